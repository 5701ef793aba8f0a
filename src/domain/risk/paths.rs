//! What it means to read or to change a path, by where it is and by its name.

use std::path::{Component, Path, PathBuf};

use super::words::Word;
use super::{Class, Place};
use crate::domain::secrets::{ACCOUNTS, ENDINGS, FILES, FOLDERS, KEYS};

/// Directories that hold secrets besides those of the table.
const SECRET_DIRS: [&str; 5] = ["keychains", "keyrings", ".codex", ".claude", ".mozilla"];
/// Directories below `.config` that hold secrets.
const SECRET_CONFIGS: [&str; 8] =
    ["gh", "gcloud", "hub", "op", "rclone", "google-chrome", "chromium", "github-copilot"];
/// Files and directories, anywhere in the project, that something runs by itself.
const AUTORUN: [&str; 87] = [
    ".git",
    ".githooks",
    ".husky",
    ".envrc",
    ".direnv",
    ".gitlab-ci.yml",
    ".circleci",
    "jenkinsfile",
    ".travis.yml",
    "azure-pipelines.yml",
    "azure-pipelines.yaml",
    ".drone.yml",
    "bitbucket-pipelines.yml",
    ".buildkite",
    "appveyor.yml",
    ".appveyor.yml",
    ".woodpecker.yml",
    ".woodpecker",
    ".gitea",
    ".forgejo",
    ".vscode",
    ".idea",
    ".zed",
    ".devcontainer",
    ".devcontainer.json",
    "agents.md",
    "agents.override.md",
    "claude.md",
    "gemini.md",
    ".codex",
    ".claude",
    ".cursor",
    ".cursorrules",
    ".agents",
    ".mcp.json",
    "package.json",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".yarn",
    ".pnpmfile.cjs",
    "binding.gyp",
    "conftest.py",
    "sitecustomize.py",
    "usercustomize.py",
    "build.rs",
    ".cargo",
    ".pre-commit-config.yaml",
    "lefthook.yml",
    ".lefthook.yml",
    ".lintstagedrc",
    ".gitmodules",
    ".gitattributes",
    ".bazelrc",
    ".mise.toml",
    "mise.toml",
    ".tool-versions",
    ".exrc",
    ".nvimrc",
    ".gdbinit",
    ".lldbinit",
    ".env",
    "setup.py",
    ".hg",
    ".gitpod.yml",
    ".dir-locals.el",
    "bunfig.toml",
    "mise.local.toml",
    ".mise.local.toml",
    "lefthook.yaml",
    ".lefthook.yaml",
    "lefthook-local.yml",
    "lefthook-local.yaml",
    ".huskyrc*",
    ".lintstagedrc.*",
    ".gitlab",
    ".gitlab-ci.yaml",
    ".cirrus.yml",
    "cloudbuild.yaml",
    "cloudbuild.yml",
    "claude.local.md",
    ".gemini",
    ".windsurfrules",
    ".windsurf",
    ".clinerules",
    "rust-toolchain.toml",
    "rust-toolchain",
];
/// Places outside of the project from where something takes more rights.
const POWER: [&str; 15] = [
    "sudoers",
    "sudoers.d",
    "cron.d",
    "crontab",
    "crontabs",
    "cron.daily",
    "cron.hourly",
    "systemd",
    "launchagents",
    "launchdaemons",
    "pam.d",
    "authorized_keys",
    "autostart",
    "passwd",
    "ld.so.preload",
];

/// The directories in which a command may be. An empty path: anywhere.
pub(super) type Dirs = [PathBuf];

/// An absolute path without `.` and `..`.
pub(super) fn resolve(text: &str, directory: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    for part in directory.join(text).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                path.pop();
            }
            other => path.push(other),
        }
    }
    path
}

pub(super) fn is_inside(path: &Path, place: &Place<'_>) -> bool {
    path.starts_with(place.project) || place.temp.is_some_and(|temp| path.starts_with(temp))
}

/// Brackets that nobody needs to take apart: `[[:alpha:]]`, `[]x]`, `[!]x]`, and what is quoted in a pattern.
fn is_odd(pattern: &str) -> bool {
    let opened: Vec<&str> = pattern.split('[').skip(1).collect();
    pattern.contains('\\')
        || ["[]", "[!]", "[^]"].iter().any(|open| pattern.contains(open))
        || opened.iter().rev().skip(1).any(|part| !part.contains(']'))
}

fn matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some('*'), _) => matches(&pattern[1..], name) || (!name.is_empty() && matches(pattern, &name[1..])),
        (Some('?'), Some(_)) => matches(&pattern[1..], &name[1..]),
        // Whatever is in the brackets.
        (Some('['), Some(_)) => match pattern.iter().skip(2).position(|c| *c == ']') {
            Some(end) => matches(&pattern[end + 3..], &name[1..]),
            None => true,
        },
        (Some(a), Some(b)) if a == b => matches(&pattern[1..], &name[1..]),
        _ => false,
    }
}

/// Whether a word of a pattern may stand for `name`. A bare `*` is not held against it.
fn may_be(pattern: &str, name: &str) -> bool {
    if !pattern.contains(['*', '?', '[']) {
        return pattern == name;
    }
    let plain = |c: char| !matches!(c, '*' | '?' | '[' | ']');
    let hidden = name.starts_with('.') && !pattern.starts_with('.');
    if pattern.len() > 40 || pattern.matches('*').count() > 5 || is_odd(pattern) {
        return true;
    }
    let (a, b): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    pattern.chars().any(plain) && !hidden && matches(&a, &b)
}

/// Whether a search for names by this pattern may find secrets: its `*` meets dots and slashes as well.
pub(super) fn finds_secrets(pattern: &str) -> bool {
    let pattern = pattern.to_lowercase();
    let last = pattern.rsplit('/').next().unwrap_or_default();
    // Anything at all is not held against it.
    if !pattern.contains(|c: char| c.is_alphanumeric()) {
        return pattern.contains('.');
    }
    let (a, pattern_has) = (last.chars().collect::<Vec<_>>(), last.contains(['*', '?', '[', '\\']));
    let common = [".env", ".env.local", ".env.production", "id_rsa", "id_ed25519", "server.pem", "server.key"];
    let names = FILES.iter().chain(&common);
    let met = |name: &&str| last.len() > 40 || is_odd(last) || matches(&a, &name.chars().collect::<Vec<_>>());
    let dirs = pattern.split('/').any(|part| SECRET_DIRS.contains(&part) || part.starts_with(".env"));
    is_secret_name(last) || dirs || pattern_has && names.into_iter().any(met)
}

fn lower(part: &Component<'_>) -> String {
    part.as_os_str().to_string_lossy().to_lowercase()
}

fn is_secret_name(name: &str) -> bool {
    let template = [".example", ".sample", ".template", ".dist"].iter().any(|end| name.ends_with(end));
    if template || name.ends_with(".pub") {
        return false;
    }
    let env = name.starts_with(".env");
    let id = name
        .strip_prefix("id_")
        .is_some_and(|rest| !rest.contains('.') || KEYS.iter().any(|kind| rest.starts_with(kind)));
    let plain = FILES.contains(&name) || ENDINGS.iter().any(|end| name.ends_with(end));
    let host = name.starts_with("ssh_host_") && name.ends_with("_key");
    let account = name.ends_with(".json") && ACCOUNTS.iter().any(|start| name.starts_with(start));
    let pattern = name.contains(['*', '?', '['])
        && (FILES.iter().any(|secret| may_be(name, secret))
            || [".env", ".env.local", ".env.production", "id_rsa", "id_ed25519", "server.pem", "server.key"]
                .iter()
                // `*.k*` is asked about, `*` and `s*` are not.
                .any(|secret| may_be(name, secret) && !matches!(name.trim_end_matches('*'), "" | "s" | "i")));
    env || host || (id && !name.contains('*')) || plain || account || pattern
}

/// Whether a path holds secrets, by its names.
fn is_secret(path: &Path, place: &Place<'_>) -> bool {
    let names: Vec<String> = path.components().map(|part| lower(&part)).collect();
    let inside = is_inside(path, place);
    if !inside && path.starts_with(place.ally_home) {
        return !path.starts_with(place.ally_home.join("runtimes")) || path == place.ally_home;
    }
    let own = place.project.components().count();
    let below = if path.starts_with(place.project) { &names[own.min(names.len())..] } else { &names[..] };
    let in_secret_dir = below.iter().enumerate().any(|(at, name)| {
        let is = |secret: &&str| may_be(name, secret);
        // The project's own folder for the agent is read by everybody.
        let agent = inside && (name == ".codex" || name == ".claude");
        let config = at > 0 && below[at - 1] == ".config" && SECRET_CONFIGS.iter().any(is);
        (SECRET_DIRS.iter().chain(&FOLDERS).any(is) && !agent) || config
    });
    let kernel = names.get(1).is_some_and(|name| name == "proc") && {
        let last = names.last().map_or("", String::as_str);
        ["environ", "mem", "cmdline"].iter().any(|secret| may_be(last, secret) || last.contains('*'))
            || names.iter().any(|name| ["fd", "root", "cwd", "map_files"].contains(&name.as_str()))
    };
    let env = |name: &String| name.starts_with(".env") && is_secret_name(name);
    // Where containers get theirs.
    let mounted = path.starts_with("/run/secrets") || path.starts_with("/var/run/secrets");
    mounted || in_secret_dir || kernel || below.iter().any(env) || below.last().is_some_and(|name| is_secret_name(name))
}

/// What it means to read the content of a path.
pub(super) fn read_path(path: &Path, place: &Place<'_>) -> Class {
    let device = ["/dev/null", "/dev/zero", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/urandom", "/dev/random"];
    if device.iter().any(|name| path == Path::new(name)) || path == Path::new("/dev/fd/0") {
        Class::Read
    } else if path.starts_with("/dev/tcp") || path.starts_with("/dev/udp") {
        Class::Publish
    } else if is_secret(path, place)
        || path.starts_with("/dev") && !path.starts_with("/dev/fd") && path != Path::new("/dev/tty")
    {
        // Memory and whole disks are in there.
        Class::Secret
    } else if is_inside(path, place) {
        Class::Read
    } else {
        Class::ReadOut
    }
}

/// What it means to change a path.
pub(super) fn write_path(path: &Path, place: &Place<'_>) -> Class {
    let device = ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/1", "/dev/fd/2"];
    if device.iter().any(|name| path == Path::new(name)) {
        return Class::Read;
    }
    if path.starts_with("/dev/tcp") || path.starts_with("/dev/udp") {
        return Class::Publish;
    }
    if path.starts_with("/dev/shm") {
        return Class::WriteOut;
    }
    if path.starts_with("/dev") || path.starts_with("/proc") || path.starts_with("/sys") {
        return Class::Privilege;
    }
    let names: Vec<String> = path.components().map(|part| lower(&part)).collect();
    if !is_inside(path, place) {
        let power = names.iter().any(|name| POWER.iter().any(|power| may_be(name, power)));
        let watcher = path.starts_with(place.ally_home) || is_secret(path, place);
        return if power || watcher { Class::Privilege } else { Class::WriteOut };
    }
    if !path.starts_with(place.project) {
        return Class::Write;
    }
    let below = &names[place.project.components().count().min(names.len())..];
    let ci = below.windows(2).any(|pair| pair[0] == ".github" && !["issue_template"].contains(&pair[1].as_str()));
    let by_name = below.iter().any(|name| {
        AUTORUN
            .iter()
            .any(|auto| may_be(name, auto) || auto.strip_suffix('*').is_some_and(|auto| name.starts_with(auto)))
            || name.ends_with(".code-workspace")
            || name.starts_with(".env.")
    });
    // The project itself: replacing it replaces all that is in it.
    let whole = below.is_empty() || below == [".github"];
    let secret = is_secret(path, place);
    if ci || by_name || whole || secret { Class::Autorun } else { Class::Write }
}

/// Whether secrets are somewhere below: the home, what is above it, `.config`, ally's own folder.
fn holds_secrets(path: &Path, place: &Place<'_>) -> bool {
    let inside = is_inside(path, place);
    !inside && (place.home.starts_with(path) || place.ally_home.starts_with(path) || path == place.home.join(".config"))
        || path.starts_with("/proc")
        || (path.starts_with("/home") || path.starts_with("/Users")) && path.components().count() <= 3
}

/// The path with `..` for each part that some shells expand to that as well: `.*`, `.?`.
fn climbing(text: &str) -> Option<String> {
    let climbs = |part: &str| {
        let excluded = [".[!.", ".[^."].iter().any(|start| part.starts_with(start));
        let letters = part.strip_prefix(".[").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
        part.starts_with('.') && part != ".." && may_be(part, "..") && !excluded && !letters
    };
    let parts: Vec<&str> = text.split('/').map(|part| if climbs(part) { ".." } else { part }).collect();
    let path = parts.join("/");
    (path != text).then_some(path)
}

/// The worst over all directories in which the command may be.
fn over(word: &Word, dirs: &Dirs, judge: impl Fn(&Path) -> Class) -> Class {
    let also = climbing(&word.text).filter(|_| word.glob);
    let class = over_dirs(word, dirs, &judge);
    also.map_or(Class::Read, |text| over_dirs(&Word::fixed(text), dirs, &judge)).max(class)
}

fn over_dirs(word: &Word, dirs: &Dirs, judge: impl Fn(&Path) -> Class) -> Class {
    if word.dynamic {
        return Class::Unknown;
    }
    if word.text.starts_with('/') {
        return judge(&resolve(&word.text, Path::new("/")));
    }
    let at = |dir: &PathBuf| match dir.as_os_str().is_empty() {
        true => Class::Unknown,
        false => judge(&resolve(&word.text, dir)),
    };
    dirs.iter().map(at).max().unwrap_or(Class::Unknown)
}

pub(super) fn read(word: &Word, dirs: &Dirs, place: &Place<'_>) -> Class {
    over(word, dirs, |path| read_path(path, place))
}

/// Reads everything below the path as well.
pub(super) fn read_all(word: &Word, dirs: &Dirs, place: &Place<'_>) -> Class {
    over(word, dirs, |path| if holds_secrets(path, place) { Class::Secret } else { read_path(path, place) })
}

/// Looks at names, sizes and dates only.
pub(super) fn list(word: &Word, dirs: &Dirs, place: &Place<'_>) -> Class {
    over(word, dirs, |path| if is_inside(path, place) { Class::Read } else { Class::ReadOut })
}

pub(super) fn write(word: &Word, dirs: &Dirs, place: &Place<'_>) -> Class {
    over(word, dirs, |path| write_path(path, place))
}

/// Makes something in a directory that may be the project itself.
pub(super) fn write_into(word: &Word, dirs: &Dirs, place: &Place<'_>) -> Class {
    over(word, dirs, |path| if path == place.project { Class::Write } else { write_path(path, place) })
}

/// The class of giving away what a file holds. The path is absolute and resolved.
pub fn file_read(path: &Path, place: &Place<'_>) -> Class {
    read_path(path, place)
}

/// The class of a change of files. The paths are absolute and resolved; the worst one counts.
pub fn file_change<'p>(paths: impl IntoIterator<Item = &'p Path>, place: &Place<'_>) -> Class {
    let change = |path: &Path| match path.is_absolute() {
        // An unresolved path may lead anywhere.
        true if !path.components().any(|part| part == Component::ParentDir) => write_path(path, place),
        _ => Class::Unknown,
    };
    // No path at all: nobody can say what changes.
    paths.into_iter().map(|path| change(path).max(Class::Write)).max().unwrap_or(Class::Unknown)
}
