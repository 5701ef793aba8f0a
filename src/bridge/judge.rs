//! How risky a request is: the classifier's verdict on its words, raised by what is known of where it would run.

use std::path::{Component, Path, PathBuf};

use super::core::BridgeConfig;
use crate::domain::gate::{Ask, is_network};
use crate::domain::risk::{self, Class, Place};
use crate::domain::rule::Judged;

/// Judges what a turn that works in `project` asks for. `sandbox` says whether the runtime holds its commands at all.
/// Looks at the disk: symlinks decide where a change really goes.
pub fn judge(config: &BridgeConfig, project: &Path, sandbox: bool, ask: &Ask) -> Judged {
    let project = real(project);
    let place = |directory: &Path| Places {
        directory: real(directory),
        home: real(&config.user_home),
        ally_home: real(&config.ally_home),
        project: project.clone(),
    };
    match ask {
        Ask::Command { command, exact, directory, outside_sandbox, unsure, network, wanted } => {
            let places = place(Path::new(directory));
            let line = if exact.is_empty() { command } else { exact };
            let verdict = risk::command(line, &places.place());
            let sandboxed = sandbox && !outside_sandbox && !unsure;
            let mut class = verdict.class;
            // Whatever the command is: out there nothing holds it.
            if !sandboxed && (*outside_sandbox || class > Class::Read) {
                class = class.max(Class::WriteOut);
            }
            // In the sandbox nobody can read a secret, whatever names are met.
            if !sandboxed && class == Class::Read && meets_any_name(line) {
                class = Class::ReadOut;
            }
            if *network {
                class = class.max(Class::Fetch);
            }
            if wanted.iter().any(|line| !is_network(line)) {
                class = class.max(Class::Unknown);
            }
            let reaches_out = verdict.parts.iter().any(|part| matches!(part.class, Class::Fetch | Class::Publish));
            let why = (verdict.parts.len() > 1 && class == verdict.class).then_some(verdict.why);
            // Out of the sandbox the files are open and the network is not.
            Judged { class, why, sandboxed, needs_network: sandbox && *outside_sandbox && !network && reaches_out }
        }
        Ask::FileChange { changes, directory } => {
            let places = place(Path::new(directory));
            let base = places.directory.clone();
            let targets: Vec<PathBuf> = changes.iter().map(|change| target(&base, &change.path)).collect();
            let class = risk::file_change(targets.iter().map(PathBuf::as_path), &places.place());
            let worst = changes.iter().zip(&targets).find(|(_, target)| {
                changes.len() > 1 && risk::file_change([target.as_path()], &places.place()) == class
            });
            let why = worst.filter(|_| class > Class::Write).map(|(change, _)| change.path.clone());
            // The runtime writes patches itself; it asks where its sandbox would not let it.
            Judged { class, why, sandboxed: sandbox, needs_network: false }
        }
        Ask::Permissions { network_only: true, .. } => {
            Judged { class: Class::Fetch, why: None, sandboxed: sandbox, needs_network: false }
        }
        Ask::Permissions { .. } | Ask::Tool { .. } | Ask::Questions { .. } => {
            Judged { class: Class::Unknown, why: None, sandboxed: false, needs_network: false }
        }
    }
}

/// Whether a line that reads may come by names that it does not say: patterns, and what goes through whole folders.
fn meets_any_name(line: &str) -> bool {
    const WHOLE: [&str; 14] = [
        "rg", "ripgrep", "ag", "ack", "ack-grep", "find", "fd", "fdfind", "xargs", "parallel", "ugrep", "ug", "rgrep",
        "for",
    ];
    // By their options only.
    const ALSO: [&str; 7] = ["grep", "egrep", "fgrep", "zgrep", "diff", "wc", "sort"];
    if line.contains(['*', '?', '[']) {
        return true;
    }
    // Quotes may stand anywhere in a name.
    let bare: String = line.replace("\\\n", "").chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
    let mut words = bare.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.')));
    let whole = words.clone().any(|word| WHOLE.contains(&word));
    let long = |word: &str| ["--r", "--R", "--d", "--files"].iter().any(|start| word.starts_with(start));
    let short = |word: &str| word.starts_with('-') && !word.starts_with("--") && word.contains(['r', 'R', 'd']);
    let also = words.clone().any(|word| ALSO.contains(&word));
    whole || (also && words.any(|word| long(word) || short(word)))
}

struct Places {
    project: PathBuf,
    directory: PathBuf,
    home: PathBuf,
    ally_home: PathBuf,
}

impl Places {
    fn place(&self) -> Place<'_> {
        Place {
            project: &self.project,
            directory: &self.directory,
            home: &self.home,
            temp: None,
            ally_home: &self.ally_home,
        }
    }
}

/// The path without symlinks, as far as it exists.
fn real(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

/// Where a change really goes. What climbs is left as it is, and the classifier does not know it.
fn target(base: &Path, path: &str) -> PathBuf {
    let path = base.join(path);
    if path.components().any(|part| part == Component::ParentDir) { path } else { real(&path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::core::{Busy, Scope};
    use crate::domain::gate::Change;
    use std::collections::HashMap;
    use std::time::Duration;

    fn config(home: &Path) -> BridgeConfig {
        BridgeConfig {
            lang: crate::domain::view::Lang::En,
            directory: None,
            workspaces: home.join(".ally/workspaces"),
            roots: Vec::new(),
            user_home: home.to_owned(),
            ally_home: home.join(".ally"),
            attachments: home.join(".ally/attachments"),
            outbox: home.join(".ally/outbox"),
            scope: Scope::Topic,
            busy: Busy::Queue,
            parallel: 1,
            shared_directory: false,
            idle_timeout: Duration::ZERO,
            tool_timeout: Duration::ZERO,
            max_time: None,
            grace: Duration::ZERO,
            stale_after: Duration::ZERO,
            backfill_run: Duration::ZERO,
            remind_after: None,
            floor: HashMap::new(),
            max_attachment: 0,
            limits: crate::domain::limits::Limits::default(),
            zone: chrono_tz::Tz::UTC,
            assistant: PathBuf::from("/assistant"),
            routines: PathBuf::from("/routines"),
            archive: PathBuf::from("/archive"),
            autosave: None,
        }
    }

    fn command(line: &str, directory: &Path, outside_sandbox: bool, network: bool) -> Ask {
        Ask::Command {
            command: line.to_owned(),
            exact: format!("/bin/bash -lc '{line}'"),
            directory: directory.to_string_lossy().into_owned(),
            outside_sandbox,
            unsure: false,
            network,
            wanted: Vec::new(),
        }
    }

    /// At `ask` nobody can tell where a command will run.
    #[test]
    fn where_nobody_can_tell_nothing_is_taken_for_held() {
        let home = tempfile::tempdir().unwrap();
        let judged = |line: &str, more: &[&str]| {
            let mut ask = command(line, home.path(), false, false);
            if let Ask::Command { unsure, wanted, .. } = &mut ask {
                (*unsure, *wanted) = (true, more.iter().map(|line| (*line).to_owned()).collect());
            }
            let judged = judge(&config(home.path()), home.path(), true, &ask);
            (judged.class, judged.sandboxed)
        };
        assert_eq!(judged("ls", &[]), (Class::Read, false));
        assert_eq!(judged("touch a", &[]), (Class::WriteOut, false));
        assert_eq!(judged("cat *", &[]), (Class::ReadOut, false));
        assert_eq!(judged("ls", &["write /srv"]), (Class::Unknown, false));
        assert_eq!(judged("ls", &["network https://example.org"]), (Class::Read, false), "it says so itself");
    }

    #[test]
    fn without_a_sandbox_any_name_may_be_a_secret() {
        let home = tempfile::tempdir().unwrap();
        let class = |line: &str, sandbox: bool| {
            judge(&config(home.path()), home.path(), sandbox, &command(line, home.path(), false, false)).class
        };
        for line in [
            "cat *",
            "rg --hidden KEY",
            "r\"g\" KEY",
            "/usr/bin/rg KEY",
            "grep -r KEY .",
            "grep -nR KEY",
            "grep --recursive KEY .",
            "grep -d recurse KEY .",
            "diff -r a b",
            "find . -type f -exec cat {} +",
            "cat a?c",
        ] {
            assert_eq!(class(line, true), Class::Read, "{line}");
            assert!(class(line, false) > Class::Write, "{line}");
        }
        for line in ["ls", "cat src/main.rs", "grep KEY src/main.rs", "git status", "ls -la && pwd"] {
            assert_eq!(class(line, false), Class::Read, "{line}");
        }
    }

    #[test]
    fn leaving_the_sandbox_is_never_less_than_a_change_outside() {
        let home = tempfile::tempdir().unwrap();
        let project = home.path().join("p");
        std::fs::create_dir(&project).unwrap();
        let config = config(home.path());
        for (line, outside, network, sandbox, class, sandboxed) in [
            ("ls", false, false, true, Class::Read, true),
            ("ls", true, false, true, Class::WriteOut, false),
            ("ls", false, false, false, Class::Read, false),
            ("touch a", false, false, true, Class::Write, true),
            ("touch a", false, false, false, Class::WriteOut, false),
            ("ls", false, true, true, Class::Fetch, true),
            ("ls", true, true, true, Class::WriteOut, false),
            ("git push", true, false, true, Class::Publish, false),
            ("sudo ls", false, false, true, Class::Privilege, true),
            ("cat .env", false, false, true, Class::Secret, true),
            ("cat $HOME/.ssh/id_rsa", false, false, true, Class::Secret, true),
        ] {
            let judged = judge(&config, &project, sandbox, &command(line, &project, outside, network));
            assert_eq!((judged.class, judged.sandboxed), (class, sandboxed), "{line} {outside} {network} {sandbox}");
        }
    }

    #[test]
    fn what_reaches_out_of_the_sandbox_needs_a_network() {
        let home = tempfile::tempdir().unwrap();
        let needs = |line, outside, network, sandbox| {
            judge(&config(home.path()), home.path(), sandbox, &command(line, home.path(), outside, network))
                .needs_network
        };
        assert!(needs("npm install", true, false, true));
        assert!(needs("make && git push", true, false, true));
        assert!(!needs("npm install", true, true, true), "it comes with it");
        assert!(!needs("npm install", false, false, true), "it stays inside");
        assert!(!needs("npm install", true, false, false), "nothing holds it");
        assert!(!needs("touch /x", true, false, true));
    }

    #[test]
    fn a_compound_names_its_worst_part() {
        let home = tempfile::tempdir().unwrap();
        let judged =
            judge(&config(home.path()), home.path(), true, &command("ls && rm -rf x", home.path(), false, false));
        assert_eq!((judged.class, judged.why.as_deref()), (Class::Destroy, Some("rm -rf x")));
    }

    #[test]
    fn a_change_goes_where_its_links_lead() {
        let home = tempfile::tempdir().unwrap();
        let (project, other) = (home.path().join("p"), home.path().join("other"));
        std::fs::create_dir(&project).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, project.join("link")).unwrap();
        let class = |paths: &[&str]| {
            let change = |path: &&str| Change { path: (*path).to_owned(), kind: "add".to_owned(), diff: String::new() };
            let ask = Ask::FileChange {
                changes: paths.iter().map(change).collect(),
                directory: project.to_string_lossy().into_owned(),
            };
            let judged = judge(&config(home.path()), &project, true, &ask);
            (judged.class, judged.why)
        };
        assert_eq!(class(&["src/new/a.rs"]), (Class::Write, None));
        assert_eq!(class(&["a", "link/a"]), (Class::WriteOut, Some("link/a".to_owned())));
        assert_eq!(class(&["../other/a"]).0, Class::Unknown);
        assert_eq!(class(&["a", ".github/workflows/x"]), (Class::Autorun, Some(".github/workflows/x".to_owned())));
        assert_eq!(class(&[".git/hooks/pre-commit"]).0, Class::Autorun);
        for name in [".hg/hgrc", "sub/CLAUDE.local.md", ".huskyrc.json", ".lintstagedrc.mjs", "rust-toolchain.toml"] {
            assert_eq!(class(&[name]).0, Class::Autorun, "{name}");
        }
    }
}
