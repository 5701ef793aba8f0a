//! Looks up what a profile needs to know of this machine. Everything that is given out is there and free of links.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::launch::CodexConfig;
use super::profile::Ground;
use crate::bridge::ports::Posture;

/// Below a person's home: what nobody but that person reads.
const PRIVATE_AT_HOME: [&str; 39] = [
    ".ssh",
    ".aws",
    ".kube",
    ".gnupg",
    ".azure",
    ".gcloud",
    ".docker",
    ".password-store",
    ".codex",
    ".claude",
    ".claude.json",
    ".mozilla",
    ".thunderbird",
    ".config/gh",
    ".config/gcloud",
    ".config/hub",
    ".config/op",
    ".config/rclone",
    ".config/google-chrome",
    ".config/chromium",
    ".config/github-copilot",
    ".local/share/keyrings",
    "Library/Keychains",
    ".npmrc",
    ".netrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".vault-token",
    ".yarnrc.yml",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".bash_history",
    ".zsh_history",
    ".psql_history",
    ".mysql_history",
];

/// Below a person's home: tools that builds need, and who the person is for git.
const TOOLS_AT_HOME: [&str; 33] = [
    ".local/bin",
    ".local/lib",
    ".local/share/mise",
    ".local/share/uv",
    ".local/share/pnpm",
    ".local/share/fnm",
    ".local/pipx",
    "bin",
    ".cargo/bin",
    ".cargo/env",
    ".cargo/config.toml",
    ".cargo/registry",
    ".cargo/git",
    ".rustup",
    ".nvm",
    ".volta",
    ".asdf",
    ".pyenv",
    ".rbenv",
    ".sdkman",
    ".bun",
    ".deno",
    ".npm",
    ".nix-profile",
    ".juliaup",
    ".ghcup",
    ".opam",
    ".m2/repository",
    ".gradle/caches",
    "go",
    ".gitconfig",
    ".config/git",
    ".config/mise",
];

/// Outside of every home: tools that are not among the system's own.
const TOOLS: [&str; 5] = ["/opt", "/nix", "/snap", "/home/linuxbrew/.linuxbrew", "/run/current-system"];

/// The ground of a thread in `directory`. `program` is the codex that runs it.
pub fn look(config: &CodexConfig, program: &Path, directory: &Path, posture: &Posture) -> Ground {
    let directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let home = variable(config, "HOME").map(PathBuf::from);
    let home = home.as_deref();
    let repository = repository(&directory);

    let mut tools: Vec<PathBuf> = TOOLS.iter().map(PathBuf::from).collect();
    tools.extend(TOOLS_AT_HOME.iter().filter_map(|tool| Some(home?.join(tool))));
    tools.extend(search_path(config, home));
    // Names are looked up through what this one links to.
    tools.extend(std::fs::canonicalize("/etc/resolv.conf").ok());

    // Every command begins with codex' own program.
    let mut needed = vec![directory.clone(), config.runtimes_dir.clone()];
    needed.extend(program.ancestors().nth(2).map(Path::to_owned));
    needed.extend(repository.iter().map(|repository| repository.common.clone()));
    needed.extend(posture.readable.iter().cloned());
    let needed = real(needed);

    let mut denied: Vec<PathBuf> = PRIVATE_AT_HOME.iter().filter_map(|place| Some(home?.join(place))).collect();
    denied.extend(config.private.iter().cloned());
    denied.push(config.home.clone());
    denied.extend(posture.denied.iter().cloned());

    let mut untrusted: Vec<PathBuf> = directory.ancestors().map(Path::to_owned).collect();
    if let Some(main) = repository.and_then(|repository| Some(repository.common.parent()?.to_owned()))
        && !untrusted.contains(&main)
    {
        untrusted.push(main);
    }
    let denied: Vec<PathBuf> = real(denied).into_iter().flat_map(|path| beside(path, &needed)).collect();
    // A tool in somebody's project does not open the project.
    let mut readable = real(tools);
    readable.retain(|tool| !denied.iter().any(|denied| tool.starts_with(denied) || denied == tool));
    readable.extend(needed.into_iter().filter(|path| *path != directory));
    readable.sort();
    readable.dedup();
    Ground { readable, denied, patterns: config.private_patterns.clone(), untrusted, directory }
}

/// A denied folder with something needed in it: all of it but that, because no narrower rule would win.
fn beside(denied: PathBuf, needed: &[PathBuf]) -> Vec<PathBuf> {
    if needed.contains(&denied) {
        return Vec::new();
    }
    if !needed.iter().any(|path| path.starts_with(&denied)) {
        return vec![denied];
    }
    let entries = std::fs::read_dir(&denied).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    // A link leads to what has rules of its own, and cannot be denied itself.
    entries.filter(|path| !path.is_symlink()).flat_map(|path| beside(path, needed)).collect()
}

fn variable<'a>(config: &'a CodexConfig, name: &str) -> Option<&'a OsStr> {
    config.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
}

/// Folders of programs. An installation of its own (`/srv/node/{bin,lib}`) comes as a whole; nobody's home does.
fn search_path(config: &CodexConfig, home: Option<&Path>) -> Vec<PathBuf> {
    let Some(path) = variable(config, "PATH") else { return Vec::new() };
    let is_home = |folder: &Path| {
        let of_people =
            folder.parent().is_some_and(|parent| [Path::new("/home"), Path::new("/Users")].contains(&parent));
        of_people || Some(folder) == home || folder.join(".ssh").exists()
    };
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute() && !is_home(folder))
        .map(|folder| match folder.parent() {
            Some(whole) if folder.ends_with("bin") && whole.join("lib").is_dir() && !is_home(whole) => whole.to_owned(),
            _ => folder,
        })
        .filter(|folder| folder.parent().is_some())
        .collect()
}

/// What is there, without links, each once.
fn real(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut real: Vec<PathBuf> = paths.iter().filter_map(|path| std::fs::canonicalize(path).ok()).collect();
    real.sort();
    real.dedup();
    real
}

/// The git repository that a directory is part of.
struct Repository {
    /// The folder with its objects, also that of a worktree.
    common: PathBuf,
}

fn repository(directory: &Path) -> Option<Repository> {
    let dot_git = directory.ancestors().map(|folder| folder.join(".git")).find(|dot_git| dot_git.exists())?;
    if dot_git.is_dir() {
        return Some(Repository { common: dot_git });
    }
    // A worktree: `gitdir: <repository>/.git/worktrees/<name>`.
    let text = std::fs::read_to_string(&dot_git).ok()?;
    let named = Path::new(text.strip_prefix("gitdir:")?.trim());
    let of_worktree = std::fs::canonicalize(dot_git.parent()?.join(named)).ok()?;
    let common = of_worktree.ancestors().nth(2)?.to_owned();
    // Only what git itself would take for one: the file is the project's own word.
    let is_known = of_worktree.parent()?.ends_with("worktrees") && common.join("HEAD").is_file();
    let points_back = std::fs::read_to_string(of_worktree.join("gitdir")).ok()?;
    let is_ours = std::fs::canonicalize(points_back.trim()).ok() == std::fs::canonicalize(&dot_git).ok();
    (is_known && is_ours).then_some(Repository { common })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::level::Level;

    fn config(root: &Path) -> CodexConfig {
        CodexConfig {
            bin: None,
            runtimes_dir: root.join("ally/runtimes"),
            home: root.join("ally/codex"),
            tmp_dir: root.join("ally/tmp"),
            run_dir: root.join("ally/run"),
            private: vec![root.join("ally/.env"), root.join("ally/nothing")],
            private_patterns: vec![format!("{}/ally/ledger.db*", root.display())],
            args: Vec::new(),
            model: None,
            sandbox: None,
            approval_policy: None,
            path: None,
            env: vec![
                ("HOME".into(), root.join("user").into()),
                (
                    "PATH".into(),
                    format!("{0}/tools/x/bin:{0}/other/bin:{0}/user/own/bin:relative", root.display()).into(),
                ),
            ],
        }
    }

    #[test]
    fn only_what_is_there_and_no_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        for folder in [
            "ally/codex",
            "user/keys",
            "user/own/bin",
            "user/own/lib",
            "user/.cargo/bin",
            "tools/x/bin",
            "tools/x/lib",
            "work",
            "other/bin",
            "mine",
        ] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("ally/.env"), "").unwrap();
        std::os::unix::fs::symlink(root.join("user/keys"), root.join("user/.ssh")).unwrap();
        let posture = Posture {
            denied: vec![root.join("other"), root.join("gone")],
            readable: vec![root.join("mine")],
            ..Posture::of(Level::Edit)
        };
        let ground = look(&config(&root), &root.join("ally/runtimes/c/bin/codex"), &root.join("work"), &posture);
        let below = |paths: &[PathBuf]| -> Vec<String> {
            paths.iter().filter_map(|path| Some(path.strip_prefix(&root).ok()?.display().to_string())).collect()
        };
        assert_eq!(below(&ground.denied), ["ally/.env", "ally/codex", "other", "user/keys"]);
        assert_eq!(below(&ground.readable), ["mine", "tools/x", "user/.cargo/bin", "user/own"]);
        assert_eq!(below(&ground.untrusted), ["work", ""]);
    }

    #[test]
    fn a_denied_folder_gives_up_what_is_needed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        for folder in ["work", "user/.aws/sso/cache", "user/.aws/cli"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in ["user/.aws/credentials", "user/.aws/sso/token", "user/.aws/sso/cache/x"] {
            std::fs::write(root.join(file), "").unwrap();
        }
        let posture = Posture { readable: vec![root.join("user/.aws/sso/cache")], ..Posture::of(Level::Edit) };
        let ground = look(&config(&root), &root.join("a/b/c"), &root.join("work"), &posture);
        let mut denied: Vec<_> = ground.denied.iter().map(|path| path.strip_prefix(&root).unwrap()).collect();
        denied.sort();
        assert_eq!(denied, ["user/.aws/cli", "user/.aws/credentials", "user/.aws/sso/token"].map(Path::new));
    }

    #[test]
    fn a_worktree_brings_its_repository_and_a_false_one_brings_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        for folder in ["main/.git/worktrees/w", "w/sub", "lie"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("main/.git/HEAD"), "").unwrap();
        let own = root.join("main/.git/worktrees/w");
        std::fs::write(own.join("gitdir"), format!("{}\n", root.join("w/.git").display())).unwrap();
        for place in ["w", "lie"] {
            std::fs::write(root.join(place).join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        }
        assert_eq!(repository(&root.join("w/sub")).map(|found| found.common), Some(root.join("main/.git")));
        assert!(repository(&root.join("lie")).is_none());
        let ground = look(&config(&root), &root.join("a/b/c"), &root.join("w/sub"), &Posture::of(Level::Edit));
        assert!(ground.untrusted.contains(&root.join("main")) && ground.untrusted.contains(&root.join("w")));
    }
}
