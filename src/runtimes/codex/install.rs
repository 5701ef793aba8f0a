//! Installs the pinned codex with npm, by a lock file with checksums, into ally's own runtimes folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::locate::{PINNED, native_below, pinned_folder};
use crate::bridge::ports::LaunchError;
use crate::runtimes::process::on_path;

const PACKAGE: &str = include_str!("../../../templates/runtimes/codex/package.json");
const LOCK: &str = include_str!("../../../templates/runtimes/codex/package-lock.json");

/// Makes sure that the pinned codex is there; gives its native binary. `env` is the whole environment of npm; `progress`
/// is told what is being done.
///
/// # Errors
/// [`LaunchError::NotFound`] when npm is missing, [`LaunchError::Failed`] with npm's last words otherwise.
pub async fn install(
    runtimes: &Path,
    path: Option<&OsString>,
    env: &[(OsString, OsString)],
    progress: impl Fn(&str),
) -> Result<PathBuf, LaunchError> {
    let folder = pinned_folder(runtimes);
    if let Some(native) = native_below(&folder) {
        return Ok(native);
    }
    let npm = on_path("npm", path).ok_or_else(|| LaunchError::NotFound {
        looked: "npm is not on PATH".to_owned(),
        hint: "install Node.js with npm, or set `[runtime.codex] bin` to a codex program".to_owned(),
    })?;
    progress(&format!("Installing codex {PINNED} with npm (once, about 400 MB)"));
    let failed =
        |detail: String| LaunchError::Failed { detail: format!("npm could not install codex {PINNED}: {detail}") };
    std::fs::create_dir_all(runtimes).map_err(|error| failed(error.to_string()))?;
    // Built beside and renamed into place: a half install is never taken for one.
    let building =
        tempfile::Builder::new().prefix(".codex-").tempdir_in(runtimes).map_err(|error| failed(error.to_string()))?;
    for (name, text) in [("package.json", PACKAGE), ("package-lock.json", LOCK)] {
        std::fs::write(building.path().join(name), text).map_err(|error| failed(error.to_string()))?;
    }
    let mut command = Command::new(npm);
    // No package's script runs, and nothing of ours is in the environment: codex's binary comes ready in its package.
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .env_clear()
        .envs(env.iter().cloned())
        .current_dir(building.path())
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    if let Some(path) = path {
        // npm is a script: it finds node on the same path.
        command.env("PATH", path);
    }
    let output = command.output().await.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(failed(
            words.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" / "),
        ));
    }
    let built = building.keep();
    if let Err(error) = std::fs::rename(&built, &folder) {
        // Somebody else was first, or a broken install is in the way.
        let _ = std::fs::remove_dir_all(&built);
        if native_below(&folder).is_none() {
            return Err(failed(format!("{} is in the way: {error}", folder.display())));
        }
    }
    native_below(&folder).ok_or_else(|| failed("the package holds no binary for this platform".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn npm_sees_nothing_of_ours_and_runs_no_scripts() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (bin, seen) = (dir.path().join("bin"), dir.path().join("seen"));
        std::fs::create_dir(&bin).unwrap();
        let npm = bin.join("npm");
        std::fs::write(&npm, format!("#!/bin/sh\n{{ echo \"$@\"; env; }} > {}\nexit 1\n", seen.display())).unwrap();
        std::fs::set_permissions(&npm, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = OsString::from(format!("{}:/usr/bin:/bin", bin.display()));
        let env = [("HOME".into(), dir.path().into())];
        let refused = install(&dir.path().join("runtimes"), Some(&path), &env, |_| {}).await.unwrap_err();
        assert!(matches!(refused, LaunchError::Failed { .. }), "{refused}");
        let seen = std::fs::read_to_string(seen).unwrap();
        assert!(seen.starts_with("ci --ignore-scripts"), "{seen}");
        // What cargo gave this very test is not passed on.
        assert!(seen.contains("HOME=") && !seen.contains("CARGO"), "{seen}");
    }
}
