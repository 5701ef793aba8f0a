//! Looks up what a profile needs to know of this machine. Everything that is given out is there and free of links.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::launch::CodexConfig;
use super::profile::Ground;
use super::temp;
use crate::bridge::ports::Posture;

/// Below a person's home: what nobody but that person reads.
const PRIVATE_AT_HOME: [&str; 43] = [
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
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".config/git/credentials",
    ".config/mise/age.txt",
    ".local/share/uv/credentials",
    ".local/share/fish/fish_history",
    ".Xauthority",
    ".bash_history",
    ".zsh_history",
    ".psql_history",
    ".mysql_history",
];

/// Below a person's home: tools that builds need, and who the person is for git. Of a folder that holds more than that
/// only the parts.
const TOOLS_AT_HOME: [&str; 38] = [
    ".local/bin",
    ".local/lib",
    ".local/share/mise",
    ".local/share/uv/python",
    ".local/share/uv/tools",
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
    "go/bin",
    "go/pkg",
    ".gitconfig",
    ".config/git/config",
    ".config/git/ignore",
    ".config/git/attributes",
    ".config/mise/config.toml",
    ".config/mise/conf.d",
];

/// Outside of every home: tools that are not among the system's own.
/// Of nix without the socket of its daemon.
const TOOLS: [&str; 6] =
    ["/opt", "/nix/store", "/nix/var/nix/profiles", "/snap", "/home/linuxbrew/.linuxbrew", "/run/current-system"];

/// Where people's homes are.
const HOMES: [&str; 3] = ["/home", "/Users", "/root"];

/// Of an installation in somebody's home: what its programs need.
const PARTS: [&str; 7] = ["lib", "lib64", "libexec", "include", "share", "ssl", "pyvenv.cfg"];

/// The ground of a thread in `directory`. `program` is the codex that runs it.
pub fn look(config: &CodexConfig, program: &Path, directory: &Path, posture: &Posture) -> Ground {
    let temp = temp::of(&config.tmp_dir, directory);
    let temp = std::fs::canonicalize(&temp).unwrap_or(temp);
    let directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let home = variable(config, "HOME").map(|home| std::fs::canonicalize(home).unwrap_or_else(|_| home.into()));
    let home = home.as_deref();

    let mut private: Vec<PathBuf> = PRIVATE_AT_HOME.iter().filter_map(|place| Some(home?.join(place))).collect();
    private.extend(config.private.iter().cloned());
    // Named one by one: for a pattern codex reads through the whole home before each command, and a folder that goes away
    // meanwhile ends the command.
    private.extend(config.private_families.iter().flat_map(|first| family(first)));
    private.push(config.home.clone());
    let private = real(private);
    // What the project says of itself opens nothing private.
    let is_private = |path: &Path| private.iter().any(|place| path.starts_with(place) && !directory.starts_with(place));
    let repository = repository(&directory, home).filter(|repository| !is_private(&repository.common));

    let mut tools: Vec<PathBuf> = TOOLS.iter().map(PathBuf::from).collect();
    tools.extend(TOOLS_AT_HOME.iter().filter_map(|tool| Some(home?.join(tool))));
    tools.extend(search_path(config, home));
    // Names are looked up through what this one links to.
    tools.extend(std::fs::canonicalize("/etc/resolv.conf").ok());

    // Every command begins with codex' own program.
    let mut needed = vec![directory.clone(), temp.clone(), config.runtimes_dir.clone(), own_folder(program)];
    needed.extend(repository.iter().map(|repository| repository.common.clone()));
    needed.extend(posture.readable.iter().cloned());
    let needed = real(needed);

    let mut denied = private.clone();
    denied.extend(posture.denied.iter().cloned());
    // Of other directories.
    denied.extend(temp.parent().map(Path::to_owned));

    let mut untrusted: Vec<PathBuf> = directory.ancestors().map(Path::to_owned).collect();
    if let Some(main) = repository.and_then(|repository| Some(repository.common.parent()?.to_owned()))
        && !untrusted.contains(&main)
    {
        untrusted.push(main);
    }
    let denied: Vec<PathBuf> = real(denied).into_iter().flat_map(|path| beside(path, &needed)).collect();
    // A tool in somebody's project does not open the project.
    let mut readable = real(tools);
    readable.retain(|tool| !denied.iter().any(|denied| tool.starts_with(denied)));
    // A link may have led to more than a tool.
    readable.retain(|tool| tool.parent().is_some() && home.is_none_or(|home| !home.starts_with(tool)));
    readable.extend(needed.into_iter().filter(|path| *path != directory && *path != temp));
    readable.sort();
    readable.dedup();
    Ground { directory, temp, readable, denied, untrusted }
}

/// Every file beside `first` whose name begins like its own.
fn family(first: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(start)) = (first.parent(), first.file_name()) else { return Vec::new() };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let belongs = |name: &OsStr| name.as_encoded_bytes().starts_with(start.as_encoded_bytes());
    entries.filter(|entry| belongs(&entry.file_name())).map(|entry| entry.path()).collect()
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

/// Folders of programs. An installation of its own (`/srv/node/{bin,lib}`) comes as a whole, but never what lies in
/// somebody's home, where a project looks the same.
fn search_path(config: &CodexConfig, home: Option<&Path>) -> Vec<PathBuf> {
    let Some(path) = variable(config, "PATH") else { return Vec::new() };
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders
        .filter_map(|folder| std::fs::canonicalize(folder).ok())
        .flat_map(|folder| installation(folder, home))
        .collect()
}

fn installation(folder: PathBuf, home: Option<&Path>) -> Vec<PathBuf> {
    let Some(whole) = folder.parent().filter(|_| folder.ends_with("bin")).map(Path::to_owned) else {
        return if is_home(&folder, home) { Vec::new() } else { vec![folder] };
    };
    let at_home = HOMES.iter().any(|homes| whole.starts_with(homes)) || whole.ancestors().any(|at| is_home(at, home));
    if at_home || home.is_some_and(|home| home.starts_with(&whole)) {
        let marked = ["conda-meta", "pyvenv.cfg"].iter().any(|mark| whole.join(mark).exists());
        let parts = PARTS.iter().filter(|_| marked).map(|part| whole.join(part));
        return parts.chain([folder]).collect();
    }
    let is_project = [".git", ".env"].iter().any(|mark| whole.join(mark).exists());
    if whole.join("lib").is_dir() && !is_project { vec![whole] } else { vec![folder] }
}

fn is_home(folder: &Path, home: Option<&Path>) -> bool {
    let of_people = folder.parent().is_some_and(|parent| HOMES.iter().any(|homes| parent == Path::new(homes)));
    of_people || Some(folder) == home || folder.join(".ssh").exists()
}

/// What a program brings along: its package where it has one, and otherwise nothing but itself.
fn own_folder(program: &Path) -> PathBuf {
    let package =
        program.ancestors().nth(2).filter(|package| package.parent().is_some_and(|at| at.ends_with("vendor")));
    package.unwrap_or(program).to_owned()
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

fn repository(directory: &Path, home: Option<&Path>) -> Option<Repository> {
    let dot_git = directory.ancestors().map(|folder| folder.join(".git")).find(|dot_git| dot_git.exists())?;
    // A link may lead to anything; and the repository of a whole home is not the project's.
    if dot_git.is_symlink() || home.is_some_and(|home| dot_git.parent().is_some_and(|at| home.starts_with(at))) {
        return None;
    }
    if dot_git.is_dir() {
        return is_repository(&dot_git).then_some(Repository { common: dot_git });
    }
    // A worktree: `gitdir: <repository>/.git/worktrees/<name>`.
    let text = std::fs::read_to_string(&dot_git).ok()?;
    let named = Path::new(text.strip_prefix("gitdir:")?.trim());
    let of_worktree = std::fs::canonicalize(dot_git.parent()?.join(named)).ok()?;
    let common = of_worktree.ancestors().nth(2)?.to_owned();
    // Only what git itself would take for one: the file is the project's own word.
    let is_known = of_worktree.parent()?.ends_with("worktrees") && is_repository(&common);
    let points_back = std::fs::read_to_string(of_worktree.join("gitdir")).ok()?;
    let is_ours = std::fs::canonicalize(points_back.trim()).ok() == std::fs::canonicalize(&dot_git).ok();
    (is_known && is_ours).then_some(Repository { common })
}

fn is_repository(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir()
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
            private_families: vec![root.join("ally/ledger.db")],
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
            tools: None,
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
        for file in [".env", "ledger.db", "ledger.db-wal", "ledger"] {
            std::fs::write(root.join("ally").join(file), "").unwrap();
        }
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
        assert_eq!(
            below(&ground.denied),
            ["ally/.env", "ally/codex", "ally/ledger.db", "ally/ledger.db-wal", "other", "user/keys"]
        );
        // What lies beside the tools in a home is a person's.
        assert_eq!(below(&ground.readable), ["mine", "tools/x", "user/.cargo/bin", "user/own/bin"]);
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
        for folder in ["main/.git/worktrees/w", "main/.git/objects", "w/sub", "lie"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("main/.git/HEAD"), "").unwrap();
        let own = root.join("main/.git/worktrees/w");
        std::fs::write(own.join("gitdir"), format!("{}\n", root.join("w/.git").display())).unwrap();
        for place in ["w", "lie"] {
            std::fs::write(root.join(place).join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        }
        assert_eq!(repository(&root.join("w/sub"), None).map(|found| found.common), Some(root.join("main/.git")));
        assert!(repository(&root.join("lie"), None).is_none());
        let ground = look(&config(&root), &root.join("a/b/c"), &root.join("w/sub"), &Posture::of(Level::Edit));
        assert!(ground.untrusted.contains(&root.join("main")) && ground.untrusted.contains(&root.join("w")));
    }

    #[test]
    fn a_git_that_is_a_link_or_no_repository_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        for folder in
            ["user/.ssh/objects", "user/project", "user/.git/objects", "user/none/.git/objects", "user/real/.git"]
        {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::create_dir_all(root.join("user/real/.git/objects")).unwrap();
        for head in ["user/.ssh/HEAD", "user/.git/HEAD", "user/real/.git/HEAD"] {
            std::fs::write(root.join(head), "").unwrap();
        }
        let ground = |work: &str| {
            look(&config(&root), &root.join("a/b/c"), &root.join("user").join(work), &Posture::of(Level::Edit))
        };
        // The home's own repository is nobody's project.
        assert!(!ground("project").readable.contains(&root.join("user/.git")));
        std::os::unix::fs::symlink(root.join("user/.ssh"), root.join("user/project/.git")).unwrap();
        let linked = ground("project");
        assert!(linked.denied.contains(&root.join("user/.ssh")));
        assert!(!linked.readable.contains(&root.join("user/.ssh")));
        assert!(!ground("none").readable.contains(&root.join("user/none/.git")), "without a HEAD");
        assert!(ground("real").readable.contains(&root.join("user/real/.git")));
    }

    #[test]
    fn neither_the_program_nor_the_search_path_opens_a_home() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        for folder in [
            "work",
            "user/bin",
            "user/.local/bin",
            "user/.local/lib",
            "user/.local/share/uv/credentials",
            "user/.local/share/uv/python",
            "user/.config/git",
            "user/conda/bin",
            "user/conda/lib",
            "user/conda/conda-meta",
            "user/conda/notes",
            "srv/project/bin",
            "srv/project/lib",
            "srv/project/.git",
        ] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in ["user/bin/codex", "user/.config/git/credentials", "user/.config/git/config"] {
            std::fs::write(root.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(root.join("user"), root.join("linked")).unwrap();
        let mut config = config(&root);
        let path = "{}/user/.local/bin:{}/user/conda/bin:{}/srv/project/bin:{}/linked:{}/linked/bin";
        config.env[1].1 = path.replace("{}", &root.display().to_string()).into();
        let posture = Posture::of(Level::Edit);
        for (program, own) in [("user/bin/codex", "user/bin/codex"), ("user/vendor/x/bin/codex", "user/vendor/x")] {
            std::fs::create_dir_all(root.join(program).parent().unwrap()).unwrap();
            std::fs::write(root.join(program), "").unwrap();
            let ground = look(&config, &root.join(program), &root.join("work"), &posture);
            let mut want = vec![
                "srv/project/bin",
                "user/.config/git/config",
                "user/.local/bin",
                "user/.local/lib",
                "user/.local/share/uv/python",
                "user/bin",
                "user/conda/bin",
                "user/conda/lib",
                own,
            ];
            want.sort_unstable_by_key(|path| root.join(path));
            let found = ground.readable.iter().filter_map(|path| path.strip_prefix(&root).ok()?.to_str());
            assert_eq!(found.collect::<Vec<_>>(), want);
            for secret in ["user/.config/git/credentials", "user/.local/share/uv/credentials"] {
                assert!(ground.denied.contains(&root.join(secret)), "{secret}");
            }
        }
    }

    #[test]
    fn temporary_files_of_others_are_denied() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        let config = config(&root);
        let [own, other] = ["work", "else"].map(|name| {
            std::fs::create_dir(root.join(name)).unwrap();
            temp::prepare(&config.tmp_dir, &root.join(name), &[]).unwrap()
        });
        let ground = look(&config, &root.join("a/b/c"), &root.join("work"), &Posture::of(Level::Edit));
        assert_eq!((&ground.temp, ground.denied), (&own, vec![other]));
        assert!(!ground.readable.contains(&own), "it is writable");
    }
}
