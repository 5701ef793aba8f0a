//! What `git` does with other repositories.

use super::{Call, outer};
use crate::domain::risk::Class;
use crate::domain::risk::programs::args::Known;
use crate::domain::risk::words::Word;

const QUIET: &[&str] = &["-q", "--quiet", "-v", "--verbose", "--no-progress", "--progress"];
const CLONE: Known = Known {
    alone: &[
        "-q",
        "--quiet",
        "-v",
        "--verbose",
        "--progress",
        "-n",
        "--no-checkout",
        "--bare",
        "--mirror",
        "-l",
        "--local",
        "--no-hardlinks",
        "-s",
        "--shared",
        "--recursive",
        "--recurse-submodules",
        "--single-branch",
        "--no-single-branch",
        "--no-tags",
        "--shallow-submodules",
        "--sparse",
    ],
    taking: &["--depth", "-b", "--branch", "-o", "--origin", "-j", "--jobs", "--filter", "--shallow-since"],
};
const WORKTREE: Known = Known {
    alone: &["-f", "--force", "--detach", "-d", "--checkout", "--no-checkout", "--lock", "-q", "--quiet", "--track"],
    taking: &["-b", "-B", "--reason"],
};

/// `git remote`: what is fetched from and pushed to.
pub(super) fn remote(call: &Call<'_, '_, '_>) -> Class {
    let (here, change) = (call.here_read(), call.here());
    let args = call.args;
    match verb(call, &["-v", "--verbose"]) {
        Some("") => here,
        Some("get-url") => here,
        Some("show" | "update" | "prune") => change.max(Class::Fetch),
        Some("remove" | "rm") => change.max(Class::Destroy),
        Some(_) => change.max(Class::Autorun).max(outside_helper(&args.positionals())),
        None => Class::Unknown,
    }
}

/// The subcommand of a subcommand, empty if there is none; `None` behind an option that is not known.
pub(super) fn verb<'a>(call: &Call<'a, '_, '_>, alone: &'static [&'static str]) -> Option<&'a str> {
    let known = Known { alone, taking: &[] };
    match call.args.subcommand(&known) {
        Some(at) => Some(call.args.0[at].text.as_str()),
        None => call.args.plain(&known).map(|_| ""),
    }
}

pub(super) fn push(call: &Call<'_, '_, '_>) -> Class {
    let args = call.args;
    if args.any(&["--receive-pack", "--exec"]) {
        return Class::Unknown;
    }
    let plain = args.positionals();
    let rewrites = args.has('f', "--force")
        || args.has('d', "--delete")
        || args.options().any(|option| option.starts_with("--force"))
        || args.any(&["--mirror", "--prune", "--delete"])
        || plain.iter().any(|word| word.text.starts_with(['+', ':']));
    outside_helper(&plain).max(if rewrites { Class::Destroy } else { Class::Publish })
}

pub(super) fn clone(call: &Call<'_, '_, '_>) -> Class {
    let mut targets: Vec<Word> = Vec::new();
    let words: Vec<Word> = call.args.0.to_vec();
    let separate = call.args.values("", "--separate-git-dir");
    if !separate.is_empty() {
        return separate.iter().map(|dir| call.write_into(dir)).max().unwrap_or(Class::Read).max(Class::Unknown);
    }
    let Some(plain) = call.args.plain(&CLONE) else { return Class::Unknown };
    let source = match plain.as_slice() {
        [source] => source,
        [source, target] => {
            targets.push(target.clone());
            source
        }
        _ => return Class::Unknown,
    };
    let reads = if source.text.contains(':') { Class::Read } else { call.read_all(source) };
    let writes = targets.iter().map(|target| call.write(target)).max().unwrap_or_else(|| call.here());
    outside_helper(&words.iter().filter(|word| !word.text.starts_with('-')).collect::<Vec<_>>())
        .max(reads)
        .max(writes)
        .max(Class::Fetch)
}

pub(super) fn fetch(call: &Call<'_, '_, '_>, sub: &str) -> Class {
    let args = call.args;
    let plain = args.positionals();
    let runs = args.any(&["--upload-pack", "--exec"]) || args.has('u', "") && sub == "ls-remote";
    let merges = sub == "pull" && (args.has('s', "--strategy") || args.has('e', "--edit"));
    if runs || merges {
        return Class::Unknown;
    }
    let throws = sub == "pull" && args.has('f', "--force");
    let target = if sub == "ls-remote" { Class::Read } else { call.here() };
    let known = if throws { Class::Destroy } else { Class::Fetch };
    outside_helper(&plain).max(known).max(target).max(outer(call, &plain))
}

pub(super) fn submodule(call: &Call<'_, '_, '_>) -> Class {
    let class = match verb(call, QUIET) {
        Some("" | "status" | "summary") => return call.here_read(),
        Some("deinit") => Class::Destroy,
        Some("add" | "set-url" | "set-branch" | "sync" | "init" | "absorbgitdirs") => Class::Autorun,
        Some("update") => Class::Fetch,
        _ => Class::Unknown,
    };
    outside_helper(&call.args.positionals()).max(class).max(call.here())
}

pub(super) fn lfs(call: &Call<'_, '_, '_>) -> Class {
    let class = match verb(call, &[]) {
        Some("ls-files" | "status" | "version") => return call.here_read(),
        Some("env") => Class::ReadOut,
        Some("fetch" | "pull" | "checkout") => Class::Fetch,
        Some("install" | "track" | "untrack") => Class::Autorun,
        Some("push" | "lock" | "unlock") => Class::Publish,
        Some("prune" | "migrate" | "uninstall" | "dedup") => Class::Destroy,
        _ => Class::Unknown,
    };
    class.max(call.here())
}

/// Worktrees lie where their path says; a branch among the words is taken for a path as well.
pub(super) fn worktree(call: &Call<'_, '_, '_>) -> Class {
    match verb(call, &[]) {
        Some("list") => call.here_read(),
        Some("add") => {
            let Some(plain) = call.args.rest(1).plain(&WORKTREE) else { return Class::Unknown };
            let paths = plain.iter().map(|path| call.write(path)).max();
            paths.unwrap_or(Class::Unknown).max(call.here())
        }
        Some("lock" | "unlock" | "repair") => call.here(),
        Some("remove" | "prune" | "move") => call.here().max(Class::Destroy),
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
