//! `git`, by its subcommands. It takes any beginning of its long options, and `--no-` takes most of them back.

mod config;
mod remote;

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

pub(super) fn judge(call: &mut Call<'_, '_, '_>) -> Class {
    let words = call.args.0;
    let mut at = 0;
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
                if !next.is_some_and(|next| config::is_look(&next.text)) {
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
    match dir {
        Some(dir) => call.judge.within(&dir, run),
        None => run(call.judge),
    }
}

fn subcommand(call: &mut Call<'_, '_, '_>, sub: &str) -> Class {
    let args = call.args;
    let (here, change) = (call.here_read(), call.here());
    match sub {
        _ if READS.contains(&sub) => reads(call, sub),
        "var" | "column" => here.max(Class::ReadOut),
        "branch" | "tag" => names(call, sub),
        "remote" => remote::remote(call),
        "config" => config::judge(call),
        "push" => remote::push(call),
        "clone" => remote::clone(call),
        "fetch" | "pull" | "ls-remote" => remote::fetch(call, sub),
        "submodule" => remote::submodule(call),
        "lfs" => remote::lfs(call),
        "worktree" => remote::worktree(call),
        "stash" => match remote::verb(call, &["-u", "--include-untracked", "-k", "--keep-index", "-q", "-a", "-S"]) {
            Some("list" | "show") => reads(call, sub),
            Some("drop" | "clear") => change.max(Class::Destroy),
            Some("" | "push" | "save" | "pop" | "apply" | "create" | "branch" | "store") => change,
            _ if args.first() == "-m" => change,
            _ => Class::Unknown,
        },
        "reflog" => match remote::verb(call, &[]) {
            Some("" | "show" | "list" | "exists") => reads(call, sub),
            None if args.positionals().is_empty() => reads(call, sub),
            Some("expire" | "delete" | "drop") => change.max(Class::Destroy),
            Some(_) if args.0.len() == 1 => here,
            _ => Class::Unknown,
        },
        "add" | "commit" | "mv" | "merge" | "rebase" | "cherry-pick" | "revert" | "init" | "notes" | "write-tree"
        | "commit-tree" | "hash-object" | "format-patch" | "switch" | "mktree" | "read-tree" => records(call, sub),
        "am" | "apply" => {
            let reads = args.positionals().iter().map(|path| call.read(path)).max().unwrap_or(Class::Read);
            let shows = args.exactly(&["--stat", "--check", "--numstat", "--summary"]) && sub == "apply";
            match () {
                // What the patch changes is not in the line.
                () if args.any(&["--unsafe-paths"]) => Class::Unknown,
                () if shows && !args.any(&["--apply", "--build-fake-ancestor"]) => reads.max(here),
                () => reads.max(change).max(Class::Autorun),
            }
        }
        "restore" => match args.exactly(&["--staged", "-S"]) && !args.has('W', "--worktree") {
            true => change,
            false => change.max(Class::Destroy),
        },
        "checkout" => {
            let usual = ["main", "master", "develop", "-"];
            let creates = args.first() == "-b" && args.positionals().len() <= 2;
            let moves = args.0.len() == 1 && usual.contains(&args.first());
            let force = args.has('f', "--force") || args.has('B', "");
            if (creates || moves) && !force { change } else { change.max(Class::Destroy) }
        }
        "reset" => match args.options().all(|o| matches!(o, "--soft" | "--mixed" | "-q" | "--quiet" | "-N")) {
            true => change,
            false => change.max(Class::Destroy),
        },
        "clean" => {
            let dry = (args.exactly(&["--dry-run"]) || args.lettered('n', "dfxXq") && !is_taken_back(args))
                && !args.has('i', "--interactive")
                && !args.has('e', "--exclude");
            if dry { here } else { change.max(Class::Destroy) }
        }
        "rm" => match args.exactly(&["--dry-run"]) || args.lettered('n', "rfq") && !is_taken_back(args) {
            true if !args.any(&["--pathspec-from-file"]) => here,
            _ => change.max(Class::Destroy),
        },
        "gc" | "prune" | "repack" | "filter-branch" | "filter-repo" | "update-ref" | "symbolic-ref" | "replace"
        | "checkout-index" | "sparse-checkout" | "update-index" => change.max(Class::Destroy),
        "archive" => {
            let secret = args.positionals().iter().any(|word| call.read(word) == Class::Secret);
            let files = args.values("o", "--output");
            let files = files.iter().map(|path| call.write(path).max(Class::Write)).max().unwrap_or(Class::Read);
            let content = match () {
                () if secret => Class::Secret,
                () if args.any(&["--remote", "--exec", "--add-file", "--add-virtual-file"]) => Class::Unknown,
                () => here,
            };
            files.max(content)
        }
        "bisect" => match remote::verb(call, &[]) {
            Some("start" | "good" | "bad" | "new" | "old" | "skip" | "reset" | "log" | "next") => change,
            _ => Class::Unknown,
        },
        "send-email" | "imap-send" | "svn" | "p4" | "request-pull" => Class::Publish,
        "credential" | "credential-store" | "credential-cache" | "credential-osxkeychain" => Class::Secret,
        _ => Class::Unknown,
    }
}

/// `--no-dry-run` and the like, or a beginning of it.
fn is_taken_back(args: Args<'_>) -> bool {
    args.options().any(|option| option.starts_with("--no") || option.starts_with("--n"))
}

/// What words that lead out of the repository's directory read.
fn outer(call: &Call<'_, '_, '_>, words: &[&Word]) -> Class {
    let leads_out = |word: &&&Word| word.text.starts_with('/') || word.text.contains("../");
    words.iter().filter(leads_out).map(|word| call.read_all(word)).max().unwrap_or(Class::Read)
}

/// Patterns and revisions are no paths; what leads out of the project is one, and what names a secret.
fn reads(call: &Call<'_, '_, '_>, sub: &str) -> Class {
    let args = call.args;
    let runs = args.any(&["--ext-diff", "--textconv", "--open-files-in-pager"])
        || sub == "cat-file" && args.any(&["--filters"])
        || sub == "grep" && args.has('O', "")
        || sub == "help" && !args.0.is_empty();
    if runs {
        return Class::Unknown;
    }
    let secret = |word: &Word| {
        let path = word.text.rsplit(':').next().unwrap_or_default();
        // `:(icase)x`, `:!x`, `:^x`: a path with how it is meant in front.
        let path = path.rsplit(')').next().unwrap_or(path).trim_start_matches(['!', '^', '/']);
        call.read(&Word { text: path.to_owned(), ..word.clone() }) == Class::Secret
    };
    let named = !matches!(sub, "ls-files" | "check-ignore" | "status") && args.0.iter().any(secret);
    let anywhere = args.any(&["--no-index"]);
    let words: Vec<Word> = args.positionals().into_iter().cloned().collect();
    let content = match anywhere {
        true => words.iter().map(|word| call.read_all(word)).max().unwrap_or(Class::Read),
        false => outer(call, &words.iter().collect::<Vec<_>>()),
    };
    let files = [args.values("", "--contents"), args.values("S", "")].concat();
    let files = files.iter().filter(|_| matches!(sub, "blame" | "annotate")).map(|file| call.read(file)).max();
    let patterns = args.values("f", "");
    let patterns = patterns.iter().filter(|_| sub == "grep").map(|file| call.read(file)).max();
    let output = args.values("", "--output").iter().map(|path| call.write(path).max(Class::Write)).max();
    let shortened = args.options().any(|o| o.starts_with("--ou") && !o.starts_with("--output"));
    let lost = sub == "fsck" && args.any(&["--lost-found"]);
    let class = [files, patterns, output].into_iter().flatten().max().unwrap_or(Class::Read);
    call.here_read()
        .max(class)
        .max(content)
        .max(if named { Class::Secret } else { Class::Read })
        .max(if shortened { Class::Unknown } else { Class::Read })
        .max(if lost { Class::Write } else { Class::Read })
}

/// Branches and tags.
fn names(call: &Call<'_, '_, '_>, sub: &str) -> Class {
    let args = call.args;
    let (here, change) = (call.here_read(), call.here());
    let plain = args.positionals();
    let lists = ["--list", "-l", "--contains", "--merged", "--no-merged", "--show-current", "--points-at"];
    // What reads a message from a file, and what starts an editor for it.
    let message = args.values("F", "--file");
    let message = message.iter().filter(|_| sub == "tag").map(|path| call.read(path)).max().unwrap_or(Class::Read);
    let forces = args.has('f', "--force") || args.has('d', "--delete") || args.has('D', "");
    match () {
        () if forces || sub == "branch" && (args.has('M', "") || args.has('C', "")) => change.max(Class::Destroy),
        () if args.has('m', "--move") || args.has('c', "--copy") || args.any(&["--edit-description"]) => change,
        () if plain.is_empty() => here,
        () if args.0.iter().take_while(|arg| arg.text != "--").any(|arg| lists.contains(&arg.text.as_str())) => here,
        () => change,
    }
    .max(message)
}

/// What makes objects, commits and patches.
fn records(call: &Call<'_, '_, '_>, sub: &str) -> Class {
    let args = call.args;
    let plain = args.positionals();
    let merges = matches!(sub, "merge" | "rebase" | "cherry-pick" | "revert");
    let editor = sub == "rebase" && (args.has('i', "--interactive") || args.has('x', "--exec"));
    let unknown = editor
        || merges && args.has('s', "--strategy")
        || sub == "init" && args.has('\0', "--template")
        || sub == "format-patch" && args.any(&["--ext-diff", "--textconv"]);
    if unknown {
        return Class::Unknown;
    }
    // Texts come from files: `-F`, `--file`, `--template`, `--pathspec-from-file`, `--signature-file`.
    let mut files = [args.values("", "--file"), args.values("", "--pathspec-from-file")].concat();
    files.extend(args.values("", "--signature-file"));
    if matches!(sub, "commit" | "notes" | "merge" | "commit-tree") {
        files.extend(args.values("F", ""));
    }
    if sub == "commit" {
        files.extend(args.values("t", "--template"));
    }
    let mut read: Vec<Class> = files.iter().map(|path| call.read(path)).collect();
    let mut dirs = args.values("", "--separate-git-dir");
    if sub == "format-patch" {
        dirs.extend(args.values("o", "--output-directory"));
        read.extend(args.values("", "--output").iter().map(|path| call.write(path)));
    }
    if matches!(sub, "mv" | "init") {
        dirs.extend(plain.iter().copied().cloned());
    }
    read.extend(dirs.iter().map(|path| call.write_into(path)));
    if matches!(sub, "hash-object" | "add") {
        read.extend(plain.iter().map(|path| call.read(path)));
    }
    let force = args.has('f', "--force");
    let throws = sub == "switch"
        && (force || args.has('C', "--force-create") || args.any(&["--discard-changes", "--force-create"]))
        || sub == "mv" && force
        || sub == "notes" && (force || args.0.iter().any(|arg| matches!(arg.text.as_str(), "remove" | "prune")))
        || sub == "read-tree";
    let thrown = if throws { Class::Destroy } else { Class::Write };
    read.into_iter().max().unwrap_or(Class::Read).max(call.here()).max(thrown)
}
