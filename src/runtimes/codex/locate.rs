//! Finds the codex program: named by hand, installed by ally, or on the search path. Always the native binary: npm's
//! `codex` is a wrapper script, one process more between us and the signals.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::CodexConfig;
use crate::bridge::ports::LaunchError;
use crate::runtimes::process::{self, is_program, on_path};

/// The version that ally installs and is tested with.
pub const PINNED: &str = "0.169.0";

/// A program and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub program: PathBuf,
    pub version: String,
    /// It is not the pinned version: works as far as anybody knows.
    pub warning: Option<String>,
}

/// Folder of the pinned install below the runtimes folder.
pub fn pinned_folder(runtimes: &Path) -> PathBuf {
    runtimes.join(format!("codex-{PINNED}"))
}

/// The native binary of an npm install folder, if there is one.
pub fn native_below(folder: &Path) -> Option<PathBuf> {
    let (package, triple) = platform()?;
    let modules = [
        folder.join("node_modules/@openai"),
        folder.join("node_modules/@openai/codex/node_modules/@openai"),
        // Beside the wrapper's own package, where npm hoists a global install's dependencies.
        folder.join("../@openai"),
        folder.join("node_modules/@openai/codex/.."),
    ];
    modules
        .into_iter()
        .map(|modules| modules.join(package).join("vendor").join(triple).join("bin/codex"))
        .find(|candidate| is_program(candidate))
}

fn platform() -> Option<(&'static str, &'static str)> {
    Some(match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => ("codex-linux-x64", "x86_64-unknown-linux-musl"),
        ("linux", "aarch64") => ("codex-linux-arm64", "aarch64-unknown-linux-musl"),
        ("macos", "x86_64") => ("codex-darwin-x64", "x86_64-apple-darwin"),
        ("macos", "aarch64") => ("codex-darwin-arm64", "aarch64-apple-darwin"),
        _ => return None,
    })
}

/// The program that will be run, with its version.
///
/// # Errors
/// [`LaunchError::NotFound`] says where it was looked for and how to get it.
pub async fn locate(config: &CodexConfig) -> Result<Found, LaunchError> {
    if let Some(bin) = &config.bin {
        return probe(&unwrapped(bin), config).await;
    }
    if let Some(native) = native_below(&pinned_folder(&config.runtimes_dir)) {
        return probe(&native, config).await;
    }
    match on_path("codex", config.path.as_ref()) {
        Some(found) => probe(&unwrapped(&found), config).await,
        None => Err(not_found(format!("no `codex` below {} and none on PATH", config.runtimes_dir.display()))),
    }
}

fn not_found(looked: String) -> LaunchError {
    LaunchError::NotFound {
        looked,
        hint: format!(
            "install Node.js with npm, then `npm install -g @openai/codex@{PINNED}`, or set `[runtime.codex] bin`"
        ),
    }
}

/// The native binary behind npm's wrapper script; the path itself when it is no wrapper.
fn unwrapped(path: &Path) -> PathBuf {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real.extension().is_none_or(|extension| extension != "js") {
        return real;
    }
    // …/node_modules/@openai/codex/bin/codex.js
    let root = real.ancestors().nth(2).map(Path::to_owned);
    let install = real.ancestors().nth(5).map(Path::to_owned);
    [root, install].into_iter().flatten().find_map(|folder| native_below(&folder)).unwrap_or(real)
}

/// Asked in ally's own codex home: codex makes its folder wherever it is asked.
async fn probe(program: &Path, config: &CodexConfig) -> Result<Found, LaunchError> {
    if !is_program(program) {
        return Err(not_found(format!("{} is not a program", program.display())));
    }
    let failed = |detail: String| LaunchError::Failed { detail: format!("{} --version: {detail}", program.display()) };
    let mut command = Command::new(program);
    command.arg("--version").env_clear().envs(config.env.iter().cloned()).env("CODEX_HOME", &config.home);
    let said = process::ask(command, Duration::from_secs(20)).await.map_err(failed)?;
    match version_in(&said.stdout) {
        Some(version) => judge(program, version),
        None => Err(LaunchError::WrongVersion { found: cut(said.stdout.trim()), wanted: PINNED.to_owned() }),
    }
}

/// `codex-cli 0.169.0`. Another program of the name says something else.
fn version_in(text: &str) -> Option<String> {
    let (name, version) = text.lines().next()?.trim().split_once(' ')?;
    let numeric = version.split('.').count() == 3 && version.starts_with(|c: char| c.is_ascii_digit());
    (name.starts_with("codex") && numeric).then(|| version.to_owned())
}

fn judge(program: &Path, version: String) -> Result<Found, LaunchError> {
    let warning =
        (version != PINNED).then(|| format!("codex {version} is not the version that ally is tested with ({PINNED})"));
    let too_old = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse::<u32>().ok())
        .is_some_and(|minor| version.starts_with("0.") && minor < 150);
    if too_old {
        return Err(LaunchError::WrongVersion { found: version, wanted: PINNED.to_owned() });
    }
    Ok(Found { program: program.to_owned(), version, warning })
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version_in("codex-cli 0.169.0\n").as_deref(), Some("0.169.0"));
        assert_eq!(version_in("kimi, version 1.51.0"), None);
        assert_eq!(version_in(""), None);
        assert!(judge(Path::new("/x"), PINNED.to_owned()).unwrap().warning.is_none());
        assert!(judge(Path::new("/x"), "0.170.1".to_owned()).unwrap().warning.is_some());
        assert!(matches!(judge(Path::new("/x"), "0.63.0".to_owned()), Err(LaunchError::WrongVersion { .. })));
    }

    #[test]
    fn the_wrapper_is_seen_through() {
        let Some((package, triple)) = platform() else { return };
        let dir = tempfile::tempdir().unwrap();
        let wrapper = dir.path().join("lib/node_modules/@openai/codex/bin/codex.js");
        let native =
            dir.path().join("lib/node_modules/@openai").join(package).join("vendor").join(triple).join("bin/codex");
        for file in [&wrapper, &native] {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "#!/bin/sh\n").unwrap();
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let link = dir.path().join("codex");
        std::os::unix::fs::symlink(&wrapper, &link).unwrap();
        assert_eq!(std::fs::canonicalize(unwrapped(&link)).unwrap(), std::fs::canonicalize(native).unwrap());
    }
}
