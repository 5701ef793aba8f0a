//! Starting codex: what is wrong is said by its name.

use std::os::unix::fs::PermissionsExt;

use ally::bridge::ports::LaunchError;
use ally::runtimes::codex::CodexConfig;

use crate::support::runtimes::{Site, start};

async fn refused(site: &Site, change: impl FnOnce(&mut CodexConfig)) -> LaunchError {
    let mut config = site.codex_config();
    change(&mut config);
    start(&*site.codex_with(config), 1).await.err().expect("it must not start")
}

#[tokio::test]
async fn a_missing_or_foreign_program_is_named() {
    let site = Site::new("foreign").await;
    let missing = refused(&site, |config| config.bin = Some(site.root.join("nothing"))).await;
    assert!(matches!(&missing, LaunchError::NotFound { looked, .. } if looked.contains("nothing")), "{missing}");
    let nowhere = refused(&site, |config| config.runtimes_dir = site.root.join("empty")).await;
    assert!(matches!(&nowhere, LaunchError::NotFound { hint, .. } if hint.contains("npm")), "{nowhere}");

    let script = |name: &str, text: &str| {
        let path = site.root.join(name);
        std::fs::write(&path, text).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        path
    };
    let foreign = script("foreign", "#!/bin/sh\necho 'other-tool 3.1.4'\n");
    let wrong = refused(&site, |config| config.bin = Some(foreign)).await;
    assert!(matches!(&wrong, LaunchError::WrongVersion { found, .. } if found == "other-tool 3.1.4"), "{wrong}");
    // Looks like it and says nothing.
    let dumb = script("dumb", "#!/bin/sh\n[ \"$1\" = --version ] && echo 'codex-cli 0.169.0'\nexit 0\n");
    let failed = refused(&site, |config| config.bin = Some(dumb)).await;
    assert!(matches!(&failed, LaunchError::Failed { detail } if detail.starts_with("initialize")), "{failed}");
}

#[tokio::test]
async fn an_unknown_key_is_told_and_a_wrong_one_refused() {
    let site = Site::new("keys").await;
    site.configure(|config| format!("nobody_knows_this = 1\n{config}"));
    let alive = start(&*site.codex(), 1).await.expect("it starts without the key");
    let warnings = alive.runtime.warnings();
    assert!(warnings.iter().any(|warning| warning.contains("nobody_knows_this")), "{warnings:?}");
    alive.runtime.shutdown().await;

    site.configure(|config| config.replace("model = \"gpt-5.5\"", "model = [5]"));
    let refused = start(&*site.codex(), 2).await.err().expect("it must not start");
    assert!(matches!(&refused, LaunchError::BadConfig { detail } if detail.contains("config.toml")), "{refused}");
}
