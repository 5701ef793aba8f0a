//! Which directories a chat may be brought to: folders below the configured roots, and none of which an agent has no
//! business in. Links are followed before anything is judged.

use std::path::{Path, PathBuf};

use super::core::BridgeConfig;

/// Folders of the system and of everybody: what lies in them is no project.
const SYSTEM: [&str; 23] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
    "/System",
    "/Library",
    "/Applications",
    "/Volumes",
    "/private/etc",
    "/private/var",
    "/cores",
    "/snap",
    "/nix",
    "/lost+found",
];
const TEMP: [&str; 3] = ["/tmp", "/private/tmp", "/var/tmp"];

/// Why a chat is not brought there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    NotThere,
    /// The whole disk, a whole home, or ally's own data lies in it.
    TooWide,
    System,
    Temp,
    /// ally's own, and what other chats work in.
    Own,
    /// A hidden folder: settings and keys of people.
    Hidden,
    Outside,
}

/// The real path of what was typed, if a chat may work there. Reads the disk.
pub fn allowed(typed: &str, from: &Path, config: &BridgeConfig) -> Result<PathBuf, Refused> {
    let path = match typed.strip_prefix("~/") {
        Some(below) => config.user_home.join(below),
        None if typed == "~" => config.user_home.clone(),
        None => from.join(typed),
    };
    let path = path.canonicalize().map_err(|_| Refused::NotThere)?;
    if !path.is_dir() {
        return Err(Refused::NotThere);
    }
    let configured = config.directory.as_deref().map(real);
    judge(&path, configured.as_deref(), &real(&config.user_home), &real(&config.ally_home), &roots(config))?;
    Ok(path)
}

fn roots(config: &BridgeConfig) -> Vec<PathBuf> {
    config.roots.iter().map(|root| real(root)).collect()
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// All paths are real ones.
fn judge(path: &Path, configured: Option<&Path>, home: &Path, own: &Path, roots: &[PathBuf]) -> Result<(), Refused> {
    if configured == Some(path) {
        return Ok(());
    }
    if home.starts_with(path) || own.starts_with(path) {
        return Err(Refused::TooWide);
    }
    if path.starts_with(own) {
        return Err(Refused::Own);
    }
    if TEMP.iter().any(|temp| path.starts_with(temp)) {
        return Err(Refused::Temp);
    }
    // A home may lie anywhere, and projects below it.
    if !path.starts_with(home) && SYSTEM.iter().any(|system| path.starts_with(system)) {
        return Err(Refused::System);
    }
    let below: Vec<&Path> = roots.iter().filter_map(|root| path.strip_prefix(root).ok()).collect();
    let shows = |rest: &&&Path| !rest.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
    match below.iter().find(shows) {
        _ if below.iter().all(|rest| rest.as_os_str().is_empty()) => Err(Refused::Outside),
        Some(_) => Ok(()),
        None => Err(Refused::Hidden),
    }
}

/// Whether the path still is what it was judged to be: a link may have taken its place.
pub fn is_still_real(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| real == path)
}

/// Repositories directly below the roots that a chat may be brought to, by name. Reads the disk.
pub fn projects(config: &BridgeConfig, most: usize) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = roots(config)
        .iter()
        .filter_map(|root| std::fs::read_dir(root).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join(".git").exists())
        .filter_map(|path| allowed(&path.to_string_lossy(), Path::new("/"), config).ok())
        .collect();
    found.sort();
    found.dedup();
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_project_is_refused() {
        let roots = ["/home/li", "/srv/code", "/"].map(PathBuf::from);
        let (home, own) = (Path::new("/home/li"), Path::new("/home/li/.ally"));
        for (path, most, want) in [
            ("/home/li/web", 1, Ok(())),
            ("/home/li/web/api", 1, Ok(())),
            ("/srv/code/web", 2, Ok(())),
            ("/srv/code", 2, Err(Refused::Outside)),
            ("/srv/other", 2, Err(Refused::Outside)),
            ("/home/wang/web", 2, Err(Refused::Outside)),
            ("/", 3, Err(Refused::TooWide)),
            ("/home", 3, Err(Refused::TooWide)),
            ("/home/li", 3, Err(Refused::TooWide)),
            ("/home/li/.ally", 3, Err(Refused::TooWide)),
            ("/home/li/.ally/workspaces/feishu-1", 3, Err(Refused::Own)),
            ("/home/li/.ssh", 1, Err(Refused::Hidden)),
            ("/home/li/web/.git", 1, Err(Refused::Hidden)),
            ("/etc/nginx", 3, Err(Refused::System)),
            ("/var/www", 3, Err(Refused::System)),
            ("/usr", 3, Err(Refused::System)),
            ("/tmp/x", 3, Err(Refused::Temp)),
            ("/var/tmp/x", 3, Err(Refused::Temp)),
        ] {
            assert_eq!(judge(Path::new(path), None, home, own, &roots[..most]), want, "{path}");
        }
        let configured = Path::new("/srv/code");
        assert_eq!(
            judge(configured, Some(configured), home, own, &roots[..1]),
            Ok(()),
            "what is configured is allowed"
        );
        let home = Path::new("/var/home/li");
        let web = Path::new("/var/home/li/web");
        assert_eq!(judge(web, None, home, own, &[home.to_owned()]), Ok(()), "a home may lie anywhere");
    }
}
