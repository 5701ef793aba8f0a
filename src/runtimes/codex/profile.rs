//! The permission profile of one directory, as codex takes it with a thread. Pure: what there is on this machine stands in
//! [`Ground`], and `ground.rs` looks for it.
//!
//! What codex 0.169 does with a profile on Linux, all of it tried:
//!
//! - The profiles lie in the `config` of `thread/start`, `resume` and `fork`; a turn only picks one by name, and what it
//!   picked stays until the next pick. A thread that is loaded does not take another `config`.
//! - What no rule names is not there (`:minimal` brings the system's own programs). After an allowed request to leave the
//!   sandbox everything is there but what is denied by name. So secrets are denied by name *and* not listed.
//! - A narrower rule never makes something readable below a denied folder.
//! - A glob only denies, and only files. It is expanded before each command, hidden and ignored files included, without
//!   following links: everything below its fixed beginning is walked through, and a folder that goes away meanwhile ends
//!   the command (`failed to enumerate unreadable glob paths`; 30 of 150 where folders come and go all the time). So no
//!   pattern begins outside of the project. A class (`[!x]`) works in it, a choice (`{a,b}`) does not.
//! - A class matches the `/` between folders as well, `*` and `?` do not. What is below a folder is `folder/**`. More than
//!   some 2,900 files that are denied by patterns end every command: bwrap takes 9,000 arguments.
//! - With the network a command reaches every unix socket that it can see, wherever its folder is only readable; without
//!   it none. So no folder is listed that programs outside share (`/tmp`, `/run`).
//! - A denied path that is a link, or lies below one, ends every command: paths must be real.
//! - Starting a thread marks its project as trusted, and a trusted project's own `.codex/config.toml` starts MCP servers
//!   outside of any sandbox. Whoever says `untrusted` for the folder has neither.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::bridge::ports::Posture;
use crate::domain::level::Level;
use crate::domain::secrets::{ACCOUNTS, ENDINGS, FILES, FOLDERS, KEYS};

/// What there is on this machine, all of it absolute, there, and free of links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ground {
    pub directory: PathBuf,
    /// The `TMPDIR` of those who work there, and of nobody else.
    pub temp: PathBuf,
    /// Readable: tools, caches, the repository that the directory is a part of.
    pub readable: Vec<PathBuf>,
    /// Denied: places of secrets, private parts of ally's home, codex' homes, other projects.
    pub denied: Vec<PathBuf>,
    /// Folders whose own `.codex/config.toml` must not be heeded.
    pub untrusted: Vec<PathBuf>,
}

/// The approval policy of a level.
pub fn approval(level: Level) -> &'static str {
    match level {
        Level::Ask => "untrusted",
        Level::Safe | Level::Edit | Level::Trusted => "on-request",
    }
}

/// The name of the profile that a turn picks.
pub fn name(posture: &Posture) -> &'static str {
    match (posture.level, posture.has_network()) {
        (Level::Safe, false) => "ally-temp",
        (Level::Safe, true) => "ally-temp-network",
        (_, false) => "ally-project",
        (_, true) => "ally-project-network",
    }
}

/// The `config` of a thread: every profile that a turn in this directory may pick.
pub fn config(ground: &Ground) -> Value {
    let mut permissions = Map::new();
    for (name, project, network) in [
        ("ally-temp", "read", false),
        ("ally-temp-network", "read", true),
        ("ally-project", "write", false),
        ("ally-project-network", "write", true),
    ] {
        permissions.insert(name.to_owned(), profile(filesystem(ground, guarded(project)), network));
    }
    let distrust = |path: &PathBuf| (text(path), json!({ "trust_level": "untrusted" }));
    json!({
        "permissions": permissions,
        // By its whole name: a table would take the place of what is set for every thread.
        "shell_environment_policy.set.TMPDIR": text(&ground.temp),
        "projects": ground.untrusted.iter().map(distrust).collect::<Map<_, _>>(),
    })
}

/// Profiles to look around with from the directory, without and with the network: around it the rules of [`config`], in it
/// reading and no rule besides. Commands under them leave no trace in it: where a command may write or a pattern denies,
/// codex makes `.git` and other folders that are missing for as long as the command runs, and another command there that
/// begins just then fails.
pub fn looking(ground: &Ground) -> Map<String, Value> {
    [("ally-project", false), ("ally-project-network", true)]
        .map(|(name, network)| (name.to_owned(), profile(filesystem(ground, json!({ ".": "read" })), network)))
        .into_iter()
        .collect()
}

fn profile(filesystem: Value, network: bool) -> Value {
    json!({ "filesystem": filesystem, "network": { "enabled": network } })
}

/// The rules inside of the directory: what may be done there, and which files are secrets.
fn guarded(project: &str) -> Value {
    let mut inside = Map::new();
    inside.insert(".".to_owned(), json!(project));
    for pattern in secret_patterns() {
        inside.insert(format!("**/{pattern}"), json!("deny"));
    }
    Value::Object(inside)
}

fn filesystem(ground: &Ground, inside: Value) -> Value {
    let mut rules = Map::new();
    rules.insert(":minimal".to_owned(), json!("read"));
    rules.insert(text(&ground.temp), json!("write"));
    for path in &ground.readable {
        rules.insert(text(path), json!("read"));
    }
    // A denied parent would win over what must be there. `ground` names what lies beside instead.
    let needed = |denied: &Path| {
        let there = ground.readable.iter().chain([&ground.directory, &ground.temp]);
        there.into_iter().any(|there| there.starts_with(denied))
    };
    for path in ground.denied.iter().filter(|path| !needed(path)) {
        rules.insert(text(path), json!("deny"));
    }
    rules.insert(":workspace_roots".to_owned(), inside);
    Value::Object(rules)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Every file that is a secret by its name, as patterns that codex understands.
fn secret_patterns() -> Vec<String> {
    let mut patterns: Vec<String> = FILES.map(str::to_owned).to_vec();
    patterns.extend(KEYS.map(|kind| format!("id_{kind}*")));
    patterns.push("ssh_host_*_key".to_owned());
    patterns.extend(ACCOUNTS.map(|start| format!("{start}*.json")));
    patterns.extend(ENDINGS.iter().filter(|end| **end != ".pem").map(|end| format!("*{end}")));
    // Lists of public certificates are no secrets, and nothing is fetched without them.
    patterns.extend(ending_but_not("acert", ".pem"));
    patterns.extend(beginning_but_not(".env", ".example"));
    patterns.extend(FOLDERS.map(|folder| format!("{folder}/**")));
    patterns.extend([".envs/**", ".env.*/**", ".env-*/**", ".env_*/**"].map(str::to_owned));
    // Python's tools may live in `.env`: thousands of files, in bin, include, lib, lib64 and share, and pyvenv.cfg.
    for start in ["?", "[!bilps]*", "b[!i]*", "i[!n]*", "l[!i]*", "p[!y]*", "s[!h]*"] {
        patterns.extend([format!(".env/{start}"), format!(".env/{start}/**")]);
    }
    patterns
}

/// Names that begin with `start`, but for `start` + `rest` itself.
fn beginning_but_not(start: &str, rest: &str) -> Vec<String> {
    let mut patterns = Vec::new();
    let mut so_far = start.to_owned();
    for next in rest.chars() {
        patterns.push(so_far.clone());
        // A class would take the `/` of a folder's name for a letter.
        patterns.push(format!("{so_far}[!{next}/]*"));
        so_far.push(next);
    }
    patterns.push(format!("{so_far}?*"));
    patterns
}

/// Names that end with `end`, but for those that end with `rest` + `end`.
fn ending_but_not(rest: &str, end: &str) -> Vec<String> {
    let mut patterns = Vec::new();
    let mut so_far = end.to_owned();
    for before in rest.chars().rev() {
        patterns.push(so_far.clone());
        patterns.push(format!("*[!{before}]{so_far}"));
        so_far.insert(0, before);
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::risk;

    fn ground() -> Ground {
        Ground {
            directory: "/h/.ally/workspaces/a".into(),
            temp: "/h/.ally/tmp/of/a".into(),
            readable: vec!["/h/.cargo/bin".into(), "/h/.ally/runtimes".into()],
            denied: ["/h/.ssh", "/h/.ally/codex", "/h/.ally", "/h/.cargo", "/h/.ally/tmp"].map(PathBuf::from).to_vec(),
            untrusted: vec!["/h/.ally/workspaces/a".into(), "/h".into()],
        }
    }

    #[test]
    fn each_level_has_its_settings() {
        let of = |level, network| {
            let posture = Posture { network, ..Posture::of(level) };
            (approval(level), name(&posture))
        };
        assert_eq!(of(Level::Ask, false), ("untrusted", "ally-project"));
        assert_eq!(of(Level::Safe, false), ("on-request", "ally-temp"));
        assert_eq!(of(Level::Edit, false), ("on-request", "ally-project"));
        assert_eq!(of(Level::Trusted, false), ("on-request", "ally-project-network"));
        assert_eq!(of(Level::Ask, true), ("untrusted", "ally-project-network"));
        assert_eq!(of(Level::Safe, true), ("on-request", "ally-temp-network"));
        assert_eq!(of(Level::Edit, true), ("on-request", "ally-project-network"));
    }

    #[test]
    fn a_profile_is_there_for_every_posture() {
        let config = config(&ground());
        for level in Level::ALL {
            for network in [false, true] {
                let posture = Posture { network, ..Posture::of(level) };
                let profile = &config["permissions"][name(&posture)];
                let writes = profile["filesystem"][":workspace_roots"]["."] == "write";
                assert_eq!(writes, level != Level::Safe, "{level:?}");
                assert_eq!(profile["network"]["enabled"], posture.has_network(), "{level:?}");
                assert_eq!(profile["filesystem"]["/h/.ally/tmp/of/a"], "write");
                // Shared with programs outside, and with their sockets.
                for shared in [":tmpdir", ":slash_tmp"] {
                    assert_eq!(profile["filesystem"].get(shared), None, "{shared}");
                }
                assert_eq!(profile["filesystem"][":minimal"], "read");
                assert_eq!(profile["filesystem"].get(":root"), None, "what is not listed is not there");
            }
        }
        assert_eq!(config["projects"]["/h"]["trust_level"], "untrusted");
        assert_eq!(config["shell_environment_policy.set.TMPDIR"], "/h/.ally/tmp/of/a");
    }

    #[test]
    fn what_contains_something_needed_is_not_denied() {
        let filesystem = filesystem(&ground(), guarded("write"));
        assert_eq!(filesystem["/h/.ssh"], "deny");
        assert_eq!(filesystem["/h/.ally/codex"], "deny");
        let outside = filesystem.as_object().unwrap().keys().find(|rule| rule.starts_with('/') && rule.contains('*'));
        assert_eq!(outside, None, "codex would walk through a home before each command");
        assert_eq!(filesystem["/h/.cargo/bin"], "read");
        for needed in ["/h/.ally", "/h/.cargo", "/h/.ally/tmp"] {
            assert_eq!(filesystem.get(needed), None, "{needed}");
        }
    }

    /// As codex matches them: `**`, `*`, `?` and `[!xy]`.
    fn matches(pattern: &[char], path: &[char]) -> bool {
        match pattern {
            [] => path.is_empty(),
            ['*', '*', '/', rest @ ..] => {
                matches(rest, path) || (0..path.len()).any(|at| path[at] == '/' && matches(rest, &path[at + 1..]))
            }
            ['*', '*'] => !path.is_empty(),
            ['*', rest @ ..] => {
                let end = path.iter().position(|c| *c == '/').unwrap_or(path.len());
                (0..=end).any(|at| matches(rest, &path[at..]))
            }
            ['[', '!', rest @ ..] => {
                let end = rest.iter().position(|c| *c == ']').expect("closed");
                path.first().is_some_and(|c| !rest[..end].contains(c)) && matches(&rest[end + 1..], &path[1..])
            }
            ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && matches(rest, &path[1..]),
            [c, rest @ ..] => path.first() == Some(c) && matches(rest, &path[1..]),
        }
    }

    fn is_denied(path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        secret_patterns().iter().any(|pattern| matches(&format!("**/{pattern}").chars().collect::<Vec<_>>(), &path))
    }

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            ".env",
            ".env.",
            ".envrc",
            ".env-x",
            ".env.local",
            ".env.e",
            ".env.example2",
            ".env.exampl",
            ".pem",
            "k.pem",
            "t.pem",
            "cert.pem",
            "acert2.pem",
            "id_rsa",
            "id_ed25519.old",
            ".npmrc",
            ".netrc",
            "prod.tfstate",
            "tls/server.key",
            ".envs/.production/.postgres",
            "a/.env.d/x",
            ".env/prod",
            ".env/x",
            "a/.env/staging/x/y",
            ".env-prod/x",
        ] {
            assert!(is_denied(name), "{name}");
        }
        for name in [
            ".env.example",
            "env",
            "cacert.pem",
            "id_map.js",
            "id_generator.py",
            "a.pem.txt",
            "npmrc",
            "credentials.rs",
            "credentials/mod.rs",
            ".env/pyvenv.cfg",
            ".env/bin/python",
            ".env/lib/python3/site-packages/x.py",
        ] {
            assert!(!is_denied(name), "{name}");
        }
    }

    /// What the classifier takes for a secret by its name, the sandbox does not give out.
    #[test]
    fn both_sides_know_the_same_secrets() {
        let mut names: Vec<String> = FILES.map(str::to_owned).to_vec();
        names.extend(ENDINGS.map(|end| format!("x{end}")));
        names.extend(KEYS.iter().flat_map(|kind| [format!("id_{kind}"), format!("id_{kind}.old")]));
        names.extend(ACCOUNTS.iter().flat_map(|start| [format!("{start}.json"), format!("{start}-x.json")]));
        names.extend(FOLDERS.map(|folder| format!("{folder}/x/y")));
        names
            .extend(["ssh_host_rsa_key", ".env", ".env.prod", ".envs/x/y", ".env.d/x", ".env/prod"].map(str::to_owned));
        let place = risk::Place {
            project: Path::new("/w"),
            directory: Path::new("/w"),
            home: Path::new("/h"),
            temp: None,
            ally_home: Path::new("/h/.ally"),
        };
        for name in names {
            for path in [name.clone(), format!("deep/er/{name}")] {
                assert_eq!(risk::command(&format!("cat {path}"), &place).class, risk::Class::Secret, "{path}");
                assert!(is_denied(&path), "{path}");
            }
        }
    }
}
