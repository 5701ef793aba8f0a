//! `git`, by its subcommands.

use super::Call;
use super::args::Args;
use crate::domain::risk::Class;
use crate::domain::risk::words::Word;

/// Subcommands that only read the repository.
const READS: [&str; 33] = [
    "status",
    "log",
    "show",
    "diff",
    "blame",
    "annotate",
    "shortlog",
    "describe",
    "rev-parse",
    "rev-list",
    "ls-files",
    "ls-tree",
    "cat-file",
    "name-rev",
    "merge-base",
    "for-each-ref",
    "show-ref",
    "count-objects",
    "check-ignore",
    "check-attr",
    "diff-tree",
    "diff-index",
    "diff-files",
    "cherry",
    "range-diff",
    "whatchanged",
    "version",
    "help",
    "merge-tree",
    "show-branch",
    "verify-commit",
    "fsck",
    "grep",
];
/// Settings that change only how something looks or is signed with a name.
const LOOKS: [&str; 12] = [
    "color.",
    "core.quotepath",
    "user.name",
    "user.email",
    "advice.",
    "init.defaultbranch",
    "diff.renames",
    "log.date",
    "column.",
    "core.abbrev",
    "status.",
    "commit.gpgsign",
];

pub(super) fn judge(call: &mut Call<'_, '_, '_>) -> Class {
    let words = call.args.0;
    let mut at = 0;
    let mut class = Class::Read;
    let mut dir: Option<Word> = None;
    while let Some(word) = words.get(at) {
        let next = words.get(at + 1);
        match word.text.as_str() {
            "-C" => {
                let Some(next) = next else { return Class::Unknown };
                dir = Some(match dir {
                    Some(before) if !next.text.starts_with('/') => {
                        Word::fixed(format!("{}/{}", before.text, next.text))
                    }
                    _ => next.clone(),
                });
                at += 1;
            }
            "-c" => {
                let setting = next.map(|next| next.text.to_lowercase()).unwrap_or_default();
                if !(LOOKS.iter().any(|look| setting.starts_with(look)) || setting == "core.pager=cat") {
                    return Class::Unknown;
                }
                at += 1;
            }
            "--no-pager" | "-P" | "--no-optional-locks" | "--literal-pathspecs" | "--no-replace-objects" => {}
            "--version" | "--help" => return Class::Read,
            text if text.starts_with('-') => return Class::Unknown,
            _ => break,
        }
        at += 1;
    }
    let Some(sub) = words.get(at) else { return Class::Read };
    if sub.dynamic {
        return Class::Unknown;
    }
    let args = Args(&words[at + 1..]);
    let stdin = call.stdin;
    let run = |judge: &mut _| subcommand(&mut Call { judge, args, stdin }, &sub.text);
    class = class.max(match dir {
        Some(dir) => call.judge.within(&dir, run),
        None => run(call.judge),
    });
    class
}

fn subcommand(call: &mut Call<'_, '_, '_>, sub: &str) -> Class {
    let args = call.args;
    let plain = args.positionals();
    let first = args.first();
    let here = call.here_read();
    let change = call.here();
    let runs =
        ["--ext-diff", "--textconv", "--filters", "--upload-pack", "--receive-pack", "--exec", "--open-files-in-pager"];
    if runs.iter().any(|option| args.any(&[option])) || sub == "grep" && args.has('O', "--open-files-in-pager") {
        return Class::Unknown;
    }
    let force = args.has('f', "--force");
    match sub {
        _ if READS.contains(&sub) => {
            // Patterns and revisions are no paths; what leads out of the project is one.
            let outs = plain.iter().filter(|word| {
                let path = word.text.rsplit(':').next().unwrap_or_default();
                path.starts_with('/') || path.contains("..") && path.contains('/') || args.any(&["--no-index"])
            });
            let paths = outs.map(|word| {
                if word.text.contains("../") || word.text.starts_with('/') || args.any(&["--no-index"]) {
                    call.read(word)
                } else {
                    Class::Read
                }
            });
            let secrets = args.0.iter().map(|word| {
                let path = Word::fixed(word.text.rsplit(':').next().unwrap_or_default());
                if matches!(sub, "ls-files" | "check-ignore" | "status") {
                    return Class::Read;
                }
                if call.read(&path) == Class::Secret { Class::Secret } else { Class::Read }
            });
            let output = args.values("", "--output").iter().map(|path| call.write(path)).max();
            let abbreviated = args.options().any(|o| o.starts_with("--ou") && !o.starts_with("--output"));
            let lost = if abbreviated { Class::Unknown } else { Class::Read };
            let lost = lost.max(if sub == "fsck" && args.any(&["--lost-found"]) { Class::Write } else { Class::Read });
            here.max(paths.max().unwrap_or(Class::Read))
                .max(secrets.max().unwrap_or(Class::Read))
                .max(output.unwrap_or(Class::Read))
                .max(lost)
        }
        "var" | "column" => here.max(Class::ReadOut),
        "branch" => match () {
            () if force || args.has('d', "--delete") || args.has('D', "") || args.has('M', "") || args.has('C', "") => {
                change.max(Class::Destroy)
            }
            () if args.has('m', "--move") || args.has('c', "--copy") || args.any(&["--edit-description"]) => {
                change.max(Class::Write)
            }
            () if args.any(&[
                "--list",
                "-l",
                "--contains",
                "--merged",
                "--no-merged",
                "--show-current",
                "--points-at",
            ]) || plain.is_empty() =>
            {
                here
            }
            () => change,
        },
        "tag" => match () {
            () if force || args.has('d', "--delete") => change.max(Class::Destroy),
            () if plain.is_empty() || args.any(&["-l", "--list", "--contains", "--points-at", "--merged"]) => here,
            () => change,
        },
        "remote" => match first {
            "" | "-v" | "--verbose" | "get-url" => here,
            "show" | "update" | "prune" => change.max(Class::Fetch),
            "remove" | "rm" => change.max(Class::Destroy),
            // What is fetched from and pushed to.
            _ => change.max(Class::Autorun),
        },
        "stash" => match first {
            "list" | "show" => here,
            "drop" | "clear" => change.max(Class::Destroy),
            ""
            | "push"
            | "save"
            | "pop"
            | "apply"
            | "create"
            | "branch"
            | "-u"
            | "--include-untracked"
            | "-k"
            | "-m" => change,
            _ => Class::Unknown,
        },
        "reflog" => match first {
            "expire" | "delete" => change.max(Class::Destroy),
            _ => here,
        },
        "worktree" => match first {
            "list" => here,
            "add" => {
                plain.iter().skip(1).take(1).map(|path| call.write(path)).max().unwrap_or(Class::Unknown).max(change)
            }
            _ => change.max(Class::Destroy),
        },
        "config" => config(call, here, change),
        "add" | "commit" | "mv" | "merge" | "rebase" | "cherry-pick" | "revert" | "init" | "notes" | "write-tree"
        | "commit-tree" | "hash-object" | "format-patch" | "switch" | "mktree" | "read-tree" => {
            let editor = sub == "rebase" && (args.has('i', "--interactive") || args.has('x', "--exec"));
            let strategy = args.has('s', "--strategy") && matches!(sub, "merge" | "rebase" | "cherry-pick" | "revert");
            let template = sub == "init" && args.has('\0', "--template");
            if editor || strategy || template {
                return Class::Unknown;
            }
            let file = args
                .values("F", "--file")
                .iter()
                .chain(&args.values("t", "--template"))
                .filter(|_| sub == "commit")
                .map(|path| call.read(path))
                .max();
            let out = args
                .values("o", "--output-directory")
                .iter()
                .filter(|_| sub == "format-patch")
                .map(|path| call.write_into(path))
                .max();
            let paths = plain.iter().filter(|_| matches!(sub, "mv" | "init")).map(|path| call.write_into(path)).max();
            let content =
                plain.iter().filter(|_| matches!(sub, "hash-object" | "add")).map(|path| call.read(path)).max();
            let throws = sub == "switch"
                && (force || args.has('C', "--force-create") || args.any(&["--discard-changes"]))
                || sub == "mv" && force
                || sub == "read-tree";
            [file, out, paths, content].into_iter().flatten().max().unwrap_or(Class::Read).max(change).max(if throws {
                Class::Destroy
            } else {
                Class::Write
            })
        }
        "am" | "apply" => match sub == "apply"
            && args.any(&["--stat", "--check", "--numstat", "--summary"])
            && !args.any(&["--apply"])
        {
            true => plain.iter().map(|path| call.read(path)).max().unwrap_or(Class::Read).max(here),
            // What the patch changes is not in the line.
            false if args.any(&["--unsafe-paths"]) => Class::Unknown,
            false => {
                plain.iter().map(|path| call.read(path)).max().unwrap_or(Class::Read).max(change).max(Class::Autorun)
            }
        },
        "restore" => match args.any(&["--staged", "-S"]) && !args.any(&["--worktree", "-W"]) {
            true => change,
            false => change.max(Class::Destroy),
        },
        "checkout" => {
            let usual = ["main", "master", "develop", "-"];
            let creates = args.0.first().is_some_and(|arg| arg.text == "-b") && plain.len() <= 2;
            let moves = args.0.len() == 1 && usual.contains(&first);
            if (creates || moves) && !force { change } else { change.max(Class::Destroy) }
        }
        "reset" => match args.options().all(|o| matches!(o, "--soft" | "--mixed" | "-q" | "--quiet" | "-N")) {
            true => change,
            false => change.max(Class::Destroy),
        },
        "clean" => {
            let dry = args.any(&["--dry-run"]) || args.has('n', "");
            if dry && !args.has('i', "--interactive") { here } else { change.max(Class::Destroy) }
        }
        "rm" => match args.any(&["-n", "--dry-run"]) {
            true => here,
            false => change.max(Class::Destroy),
        },
        "gc" | "prune" | "repack" | "filter-branch" | "filter-repo" | "update-ref" | "symbolic-ref" | "replace"
        | "checkout-index" | "sparse-checkout" | "update-index" => change.max(Class::Destroy),
        "push" => {
            let rewrites = force
                || args.options().any(|o| {
                    o.starts_with("--force")
                        || o.starts_with("--mi")
                        || o.starts_with("--prune")
                        || o.starts_with("--de")
                })
                || args.has('d', "")
                || plain.iter().any(|word| word.text.starts_with(['+', ':']));
            outside_helper(&plain).max(if rewrites { Class::Destroy } else { Class::Publish })
        }
        "fetch" | "pull" | "ls-remote" | "submodule" | "clone" | "lfs" => {
            if args.has('u', "--upload-pack") && sub != "submodule" && sub != "pull"
                || args.has('c', "--config") && sub == "clone"
                || args.has('\0', "--template") && sub == "clone"
            {
                return Class::Unknown;
            }
            let known = match (sub, first) {
                ("submodule", "foreach") => return Class::Unknown,
                ("submodule", "" | "status" | "summary") | ("lfs", "ls-files" | "status" | "env") => return here,
                ("submodule", "deinit") | ("lfs", "prune") => Class::Destroy,
                ("submodule", "add" | "set-url" | "sync" | "init") | ("lfs", "install" | "track") => Class::Autorun,
                ("lfs", "push") => Class::Publish,
                ("pull", _) if force => Class::Destroy,
                ("pull", _) if args.has('s', "--strategy") => Class::Unknown,
                _ => Class::Fetch,
            };
            let target = match (sub, plain.as_slice()) {
                ("clone", [source, target, ..]) => call.write(target).max(call_source(call, source)),
                ("clone", [source]) => change.max(call_source(call, source)),
                ("ls-remote", _) => Class::Read,
                _ => change,
            };
            outside_helper(&plain).max(known).max(target)
        }
        "archive" => {
            let secret = plain.iter().any(|word| call.read(word) == Class::Secret);
            let remote = if secret {
                Class::Secret
            } else if args.any(&["--remote", "--exec"]) {
                Class::Unknown
            } else {
                here
            };
            args.values("o", "--output")
                .iter()
                .map(|path| call.write(path).max(Class::Write))
                .max()
                .unwrap_or(Class::Read)
                .max(remote)
        }
        "bisect" if first != "run" => change,
        "send-email" | "imap-send" | "svn" | "p4" | "request-pull" => Class::Publish,
        "credential" | "credential-store" | "credential-cache" | "credential-osxkeychain" => Class::Secret,
        _ => Class::Unknown,
    }
}

/// `ext::sh -c …` runs a command; so may any other helper.
fn outside_helper(words: &[&Word]) -> Class {
    match words.iter().any(|word| word.text.contains("::") || word.text.starts_with('-')) {
        true => Class::Unknown,
        false => Class::Read,
    }
}

/// A clone from a directory reads it.
fn call_source(call: &Call<'_, '_, '_>, source: &Word) -> Class {
    if source.text.contains(':') { Class::Read } else { call.read_all(source) }
}

fn config(call: &Call<'_, '_, '_>, here: Class, change: Class) -> Class {
    let args = call.args;
    let plain = args.positionals();
    if args.any(&["-f", "--file", "--blob", "-e", "--edit", "edit"]) {
        return Class::Unknown;
    }
    let gets = args.any(&["--get", "--get-all", "--get-regexp"]) || args.first() == "get";
    let key = |word: &&Word| {
        ["token", "extraheader", "password", "credential", "http."]
            .iter()
            .any(|part| word.text.to_lowercase().contains(part))
    };
    if gets
        || (plain.len() == 1 && !args.any(&["--unset", "--unset-all", "--remove-section"]) && args.first() != "list")
    {
        return if plain.iter().any(key) || args.any(&["--get-regexp"]) { Class::Secret } else { here };
    }
    // A list shows the tokens that are in addresses and headers.
    if args.any(&["-l", "--list", "list"]) {
        return Class::ReadOut;
    }
    let looks = plain.first().is_some_and(|key| LOOKS.iter().any(|look| key.text.to_lowercase().starts_with(look)));
    let far = args.any(&["--global", "--system"]);
    match (looks, far) {
        (true, false) => change,
        (true, true) => Class::WriteOut,
        // Names a program that git runs, or where it sends things.
        _ => change.max(Class::Autorun),
    }
}
