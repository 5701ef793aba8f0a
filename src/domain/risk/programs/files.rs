//! Programs that read, list, copy and change files.

use super::Call;
use super::texts::read_paths;
use crate::domain::risk::words::Word;
use crate::domain::risk::{Class, words};

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str) -> Option<Class> {
    Some(match name {
        "tee" => call.args.paths().iter().map(|path| call.write(path)).max().unwrap_or(Class::Read),
        "mkdir" | "touch" | "rmdir" | "mkfifo" => changes(call),
        "cp" | "mv" | "install" | "ditto" => copy(call, name),
        "ln" => link(call),
        "rm" | "unlink" | "shred" | "truncate" | "srm" | "wipe" => destroys(call),
        "patch" => call.here().max(read_paths(call, 0)).max(Class::Autorun),
        "tar" | "bsdtar" => tar(call),
        "unzip" | "7z" | "cpio" | "ar" => archive(call, name),
        "zip" => {
            let more = ["-@", "--names-stdin", "-i", "-x"]
                .iter()
                .any(|option| call.args.0.iter().any(|arg| arg.text == *option) || call.args.has('@', ""));
            let tests = call.args.has('T', "--test") || call.args.any(&["--unzip-command", "-TT"]);
            match tests || more || call.args.may_be_options() {
                true => Class::Unknown,
                false if call.args.has('m', "--move") => Class::Destroy.max(both_ways(call)),
                false => both_ways(call),
            }
        }
        "gzip" | "gunzip" | "bzip2" | "bunzip2" | "xz" | "unxz" | "zstd" => {
            // `-S.c` is an ending, not `-c`.
            let shows = call.args.exactly(&["--stdout", "--to-stdout", "--list"])
                || call.args.lettered('c', "dfkqtv123456789")
                || call.args.lettered('l', "qv");
            let more =
                call.args.has('S', "--suffix") || call.args.has('o', "") || call.args.any(&["--files", "--files0"]);
            if shows && !more { read_paths(call, 0) } else { both_ways(call) }
        }
        "dd" => dd(call),
        "chmod" => chmod(call),
        "split" if call.args.any(&["--filter"]) || call.args.may_be_options() => Class::Unknown,
        "split" | "csplit" => both_ways(call),
        _ => return None,
    })
}

/// Reads and writes all that may be a path.
fn both_ways(call: &Call<'_, '_, '_>) -> Class {
    let paths = call.args.paths();
    paths.iter().map(|path| call.read_all(path).max(call.write(path))).max().unwrap_or(Class::Read).max(Class::Write)
}

fn changes(call: &Call<'_, '_, '_>) -> Class {
    call.args.paths().iter().map(|path| call.write_into(path)).max().unwrap_or(Class::Write).max(Class::Write)
}

fn destroys(call: &Call<'_, '_, '_>) -> Class {
    let paths = call.args.positionals();
    let worst = paths.iter().filter(|path| !path.dynamic).map(|path| call.write(path)).max().unwrap_or(Class::Write);
    worst.max(Class::Destroy)
}

fn copy(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let args = &call.args;
    let mut words: Vec<Word> = args.positionals().into_iter().cloned().collect();
    let into = args.values("t", "--target-directory");
    words.retain(|word| !into.contains(word));
    let targets: Vec<Word> = if into.is_empty() { words.pop().into_iter().collect() } else { into };
    if targets.is_empty() || words.is_empty() && name != "install" || args.may_be_options() && name == "install" {
        return Class::Unknown;
    }
    if name == "install" && (args.has('o', "--owner") || args.has('s', "--strip") || args.has('m', "--mode")) {
        return Class::Unknown;
    }
    let deep = args.has('r', "--recursive") || args.has('R', "") || args.has('a', "--archive") || name != "cp";
    // The directory itself becomes the target.
    let whole = deep && (args.has('T', "--no-target-directory"));
    let mut class = Class::Write;
    for source in &words {
        class = class.max(if deep { call.read_all(source) } else { call.read(source) });
        if name == "mv" {
            class = class.max(call.write(source));
        }
        for target in &targets {
            let last = source.text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            // All that is in a directory, whatever that is, goes into the target; on a Mac with a `/` behind it as well.
            let met = !last.is_empty() && last.chars().all(|c| matches!(c, '*' | '?')) && source.glob;
            let all = matches!(last, "." | "..")
                || whole
                || met
                || source.text.is_empty()
                || name == "cp" && deep && source.text.ends_with('/');
            let below = Word { text: format!("{}/{last}", target.text), dynamic: target.dynamic, glob: source.glob };
            class = class.max(call.write_into(target)).max(call.write_into(&below));
            class = class.max(if all { unpacked(call.write_into(target)) } else { Class::Write });
        }
    }
    class
}

/// Files whose names nobody knows go into a directory of this class: some of them may run by themselves.
pub(super) fn unpacked(into: Class) -> Class {
    if into <= Class::Write { Class::Autorun } else { into.max(Class::Unknown) }
}

/// A link makes another place look like one of the project.
fn link(call: &Call<'_, '_, '_>) -> Class {
    let words = call.args.positionals();
    let links = changes(call);
    let targets = words.iter().map(|word| match call.read_all(word) {
        Class::Read => Class::Read,
        Class::ReadOut => Class::WriteOut,
        other => other,
    });
    // `..` counts from where the link is, not from here.
    let climbs = words.iter().any(|word| word.text.contains(".."));
    links.max(targets.max().unwrap_or(Class::Unknown)).max(if climbs { Class::WriteOut } else { Class::Read })
}

/// Options of `tar` that only shape what is packed and shown. Their values are no paths, but for those of `--exclude`.
const TAR: [&str; 34] = [
    "--create",
    "--extract",
    "--get",
    "--list",
    "--append",
    "--update",
    "--file",
    "--directory",
    "--verbose",
    "--gzip",
    "--gunzip",
    "--bzip2",
    "--xz",
    "--zstd",
    "--lzma",
    "--compress",
    "--auto-compress",
    "--exclude",
    "--exclude-vcs",
    "--exclude-vcs-ignores",
    "--strip-components",
    "--wildcards",
    "--no-recursion",
    "--no-same-owner",
    "--no-same-permissions",
    "--numeric-owner",
    "--owner",
    "--group",
    "--mtime",
    "--sort",
    "--format",
    "--totals",
    "--remove-files",
    "--delete",
];

fn tar(call: &Call<'_, '_, '_>) -> Class {
    let args = &call.args;
    let first = args.first();
    let old = if first.starts_with('-') { "" } else { first };
    let letters = |c: char| old.contains(c) || args.has(c, "");
    let known = args.options().all(|option| match option.starts_with("--") {
        true => TAR.contains(&option.split('=').next().unwrap_or_default()),
        // What runs programs, or names files that others list, is not among these.
        false => option[1..]
            .split(['f', 'C'])
            .next()
            .is_some_and(|flags| flags.chars().all(|c| "cxtruzjJvhpkmOWaS".contains(c))),
    });
    // Without a dash the letters' values follow in their order: only one is taken apart.
    let old_values = old.chars().filter(|c| "fbCgXTLKNVIFH".contains(*c)).count();
    if !known
        || old_values > 1
        || old_values == 1 && !old.contains('f')
        || args.may_be_options()
        || ['I', 'F', 'T', 'g', 'G', 'X', 'P', 'H'].iter().any(|letter| letters(*letter))
        || args.0.iter().any(|arg| arg.text.contains("://"))
    {
        return Class::Unknown;
    }
    let skip = usize::from(!old.is_empty());
    let paths: Vec<Word> = args.paths().into_iter().skip(skip).collect();
    let reads = paths.iter().map(|path| call.read_all(path)).max().unwrap_or(Class::Read);
    // Host names: `host:file`.
    if paths.iter().any(|path| path.text.contains(':')) {
        return Class::Unknown;
    }
    if letters('x') || args.any(&["--extract", "--get"]) {
        // What is in it may be a file that runs by itself.
        let to = paths.iter().map(|path| call.write_into(path)).max().unwrap_or(Class::Write);
        return reads
            .max(if args.values("C", "--directory").is_empty() { call.here() } else { to })
            .max(Class::Autorun);
    }
    let removes = args.any(&["--remove-files", "--delete"]);
    let packs = letters('c') || letters('r') || letters('u') || args.any(&["--create", "--append", "--update"]);
    if (letters('t') || args.any(&["--list"])) && !packs && !removes {
        return reads;
    }
    if packs {
        let file = args.values("f", "--file");
        let file = if file.is_empty() { paths.first().cloned().into_iter().collect() } else { file };
        let target = file.iter().filter(|file| file.text != "-").map(|file| call.write(file)).max();
        return reads.max(target.unwrap_or(Class::Read)).max(if removes { Class::Destroy } else { Class::Write });
    }
    Class::Unknown
}

fn archive(call: &Call<'_, '_, '_>, name: &str) -> Class {
    match name {
        "unzip" if call.args.has('l', "") || call.args.has('t', "") || call.args.has('v', "") => read_paths(call, 0),
        "unzip" => {
            let into = call.args.values("d", "");
            let to = into.iter().map(|dir| call.write_into(dir)).max().unwrap_or_else(|| call.here());
            read_paths(call, 0).max(unpacked(to))
        }
        _ => Class::Unknown,
    }
}

fn dd(call: &Call<'_, '_, '_>) -> Class {
    let mut class = Class::Write;
    for arg in call.args.0 {
        match arg.text.split_once('=') {
            Some(("if", path)) => class = class.max(call.read(&Word::fixed(path))),
            Some(("of", path)) => class = class.max(call.write(&Word::fixed(path))),
            _ => {}
        }
    }
    class.max(Class::Destroy)
}

fn chmod(call: &Call<'_, '_, '_>) -> Class {
    let words: Vec<&words::Word> = call.args.positionals();
    let Some((mode, files)) = words.split_first() else { return Class::Unknown };
    let text = mode.text.as_str();
    // Numbers stand among letters as well: `u+x,+4000`, `=4755`.
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let special = numbers.any(|digits| u32::from_str_radix(digits, 8).is_ok_and(|mode| mode & 0o7000 != 0));
    if text.contains('s')
        || special
        || call.args.options().any(|option| option.contains('s') && !option.starts_with("--"))
    {
        return Class::Privilege;
    }
    if call.args.has('\0', "--reference") {
        return Class::Unknown;
    }
    files.iter().map(|file| call.write(file)).max().unwrap_or(Class::Write).max(Class::Write)
}
