//! Programs that read, list, copy and change files.

use super::Call;
use crate::domain::risk::paths;
use crate::domain::risk::shell::Judge;
use crate::domain::risk::words::Word;
use crate::domain::risk::{Class, words};

/// Programs that read the files they are given: name, and the options that make them do more.
const READERS: &[(&str, &str, &[&str])] = &[
    ("cat", "", &[]),
    ("head", "", &[]),
    ("tail", "", &[]),
    ("wc", "", &["--files0-from"]),
    ("nl", "", &[]),
    ("tac", "", &[]),
    ("rev", "", &[]),
    ("cut", "", &[]),
    ("tr", "", &[]),
    ("paste", "", &[]),
    ("join", "", &[]),
    ("comm", "", &[]),
    ("fold", "", &[]),
    ("fmt", "", &[]),
    ("column", "", &[]),
    ("expand", "", &[]),
    ("unexpand", "", &[]),
    ("od", "", &[]),
    ("hexdump", "", &[]),
    ("strings", "", &[]),
    ("cksum", "", &[]),
    ("sum", "", &[]),
    ("md5sum", "", &[]),
    ("sha1sum", "", &[]),
    ("sha256sum", "", &[]),
    ("sha512sum", "", &[]),
    ("b2sum", "", &[]),
    ("shasum", "", &[]),
    ("md5", "", &[]),
    ("base64", "o", &["--output"]),
    ("base32", "", &[]),
    ("cmp", "", &[]),
    ("diff", "", &[]),
    ("file", "Cf", &["--compile", "--files-from"]),
    ("nm", "", &[]),
    ("objdump", "", &[]),
    ("readelf", "", &[]),
    ("size", "", &[]),
    ("zcat", "", &[]),
    ("bzcat", "", &[]),
    ("xzcat", "", &[]),
    ("zgrep", "f", &["--file"]),
    ("cloc", "", &["--exec", "--out", "--script-lang", "--report-file", "--vcs", "--config"]),
    ("tokei", "", &[]),
    ("shellcheck", "", &[]),
    ("sort", "oT", &["--output", "--compress-program", "--temporary-directory", "--files0-from"]),
    ("shuf", "o", &["--output"]),
    ("tsort", "", &[]),
    ("bat", "", &["--pager", "--config-file", "--map-syntax"]),
    ("less", "oOkK", &["--log-file", "--LOG-FILE", "--lesskey-file", "--lesskey-src"]),
    ("pr", "", &[]),
    ("numfmt", "", &[]),
];
/// Programs that look at names, sizes and dates.
const LISTERS: &[(&str, &str, &[&str])] = &[
    ("ls", "", &[]),
    ("stat", "", &[]),
    ("du", "", &["--files0-from"]),
    ("df", "", &[]),
    ("tree", "oR", &["--fromfile", "--output"]),
    ("realpath", "", &[]),
    ("readlink", "", &[]),
    ("pwd", "", &[]),
    ("exa", "", &[]),
    ("eza", "", &[]),
    ("dir", "", &[]),
];
/// Their first word is a pattern, not a path, unless an option gives it.
const SEARCHERS: [&str; 6] = ["grep", "egrep", "fgrep", "rg", "ag", "jq"];

pub(super) fn is_reader(name: &str) -> bool {
    READERS.iter().any(|(reader, ..)| *reader == name) || SEARCHERS.contains(&name)
}

/// `[`, `test`, `printf`: words that are not known do no harm.
pub(super) fn test_or_print(judge: &Judge<'_>, name: &str, args: &[Word]) -> Option<Class> {
    match name {
        "printf" if args.first().is_some_and(|arg| !arg.dynamic && !arg.text.starts_with("-v")) => Some(Class::Read),
        "test" | "[" => {
            // `-v` and the comparisons of numbers evaluate names with an index.
            if args.iter().any(|arg| arg.text == "-v") {
                return Some(Class::Unknown);
            }
            let outside = args.iter().filter(|arg| !arg.dynamic && arg.text.contains('/'));
            Some(outside.map(|arg| paths::list(arg, &judge.dirs, judge.place)).max().unwrap_or(Class::Read))
        }
        _ => None,
    }
}

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str) -> Option<Class> {
    if let Some((_, short, long)) = READERS.iter().find(|(reader, ..)| *reader == name) {
        let more =
            forbidden(call, short, long) || (name == "less" && call.args.0.iter().any(|a| a.text.starts_with('+')));
        return Some(if more { output_option(call, name) } else { read_paths(call, 0) });
    }
    if let Some((_, short, long)) = LISTERS.iter().find(|(lister, ..)| *lister == name) {
        if forbidden(call, short, long) {
            return Some(Class::Unknown);
        }
        let paths = call.args.paths();
        return Some(paths.iter().map(|path| call.list(path)).max().unwrap_or_else(|| call.list(&Word::fixed(""))));
    }
    Some(match name {
        _ if SEARCHERS.contains(&name) => search(call, name),
        "find" => find(call),
        "fd" | "fdfind" => fd(call),
        "uniq" | "xxd" => match call.args.positionals().as_slice() {
            // The second name is where the output goes.
            [.., target] if call.args.positionals().len() > 1 => read_paths(call, 0).max(call.write(target)),
            _ if name == "xxd" && call.args.has('r', "--revert") => Class::Unknown,
            _ => read_paths(call, 0),
        },
        "sed" => sed(call),
        "awk" | "gawk" | "mawk" => awk(call),
        "yq" if !call.args.has('i', "--inplace") => search(call, name),
        "tee" => call.args.paths().iter().map(|path| call.write(path)).max().unwrap_or(Class::Read),
        "mkdir" | "touch" | "rmdir" | "mkfifo" => changes(call),
        "cp" | "mv" | "install" | "ditto" => copy(call, name),
        "ln" => link(call),
        "rm" | "unlink" | "shred" | "truncate" | "srm" | "wipe" => destroys(call),
        "patch" => call.here().max(read_paths(call, 0)).max(Class::Autorun),
        "tar" | "bsdtar" => tar(call),
        "unzip" | "7z" | "cpio" | "ar" => archive(call, name),
        "zip" => {
            match call.args.has('T', "--test") || call.args.has('\0', "--unzip-command") || call.args.may_be_options() {
                true => Class::Unknown,
                false if call.args.has('m', "--move") => Class::Destroy.max(both_ways(call)),
                false => both_ways(call),
            }
        }
        "gzip" | "gunzip" | "bzip2" | "bunzip2" | "xz" | "unxz" | "zstd" => {
            if call.args.has('c', "--stdout") || call.args.has('l', "--list") {
                read_paths(call, 0)
            } else {
                both_ways(call)
            }
        }
        "dd" => dd(call),
        "chmod" => chmod(call),
        "split" | "csplit" => both_ways(call),
        _ => return None,
    })
}

fn forbidden(call: &Call<'_, '_, '_>, short: &str, long: &[&str]) -> bool {
    short.chars().any(|c| call.args.has(c, "")) || long.iter().any(|name| call.args.has('\0', name))
}

/// `sort -o FILE` and the like: a target where it is plainly said.
fn output_option(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let targets = call.args.values("o", "--output");
    let only_output = matches!(name, "sort" | "shuf" | "base64")
        && !targets.is_empty()
        && !["--compress-program", "--temporary-directory", "--files0-from"].iter().any(|o| call.args.has('\0', o))
        && !call.args.has('T', "");
    match only_output {
        true => {
            targets.iter().map(|target| call.write(target)).max().unwrap_or(Class::Unknown).max(read_paths(call, 0))
        }
        false => Class::Unknown,
    }
}

/// Reads all that may be a path; `skip` of the plain words are none.
fn read_paths(call: &Call<'_, '_, '_>, skip: usize) -> Class {
    let worst = call.args.paths().iter().skip(skip).map(|path| call.read(path)).max();
    worst.unwrap_or(Class::Read)
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

fn search(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let args = &call.args;
    if ["--pre", "--hostname-bin"].iter().any(|option| args.any(&[option])) || args.any(&["--pager"]) {
        return Class::Unknown;
    }
    if name == "jq" || name == "yq" {
        let text = |word: &Word| {
            word.text.replace(".env", "").contains("env") || word.text.contains("ENV") || word.text.contains("load(")
        };
        if args.0.iter().any(text) {
            return Class::Secret;
        }
    }
    // With the pattern in an option, all plain words are paths.
    let given = args.options().any(|option| match option.strip_prefix("--") {
        Some(long) => long.starts_with('f') || long.starts_with("reg") || long == "type-list",
        None => option.contains(['e', 'f']),
    });
    let paths = args.paths();
    let skip = usize::from(!given);
    let deep = matches!(name, "rg" | "ag") || args.has('r', "--recursive") || args.has('R', "--dereference-recursive");
    let deep = deep || args.has('d', "--directories");
    let read = |path: &Word| if deep { call.read_all(path) } else { call.read(path) };
    let worst = paths.iter().skip(skip).map(read).max();
    let none = paths.len() <= skip;
    // Without a path, the current directory.
    let here = if deep && none && !call.stdin.given { call.read_all(&Word::fixed("")) } else { Class::Read };
    // The exclusion of secrets is what hidden files are about.
    worst.unwrap_or(Class::Read).max(here)
}

fn find(call: &mut Call<'_, '_, '_>) -> Class {
    let words = call.args.0;
    let start = words.iter().position(|arg| arg.text.starts_with(['-', '(', '!'])).unwrap_or(words.len());
    let leading = words.iter().take_while(|arg| matches!(arg.text.as_str(), "-H" | "-L" | "-P")).count();
    let start = if leading > 0 {
        leading
            + words[leading..]
                .iter()
                .position(|arg| arg.text.starts_with(['-', '(', '!']))
                .unwrap_or(words.len() - leading)
    } else {
        start
    };
    let mut roots: Vec<Word> = words[leading..start].to_vec();
    if roots.is_empty() {
        roots.push(Word::fixed("."));
    }
    let mut class = roots.iter().map(|root| call.list(root)).max().unwrap_or(Class::Read);
    let mut at = start;
    // Whether the names that are looked for are those of secrets, and whether a command gets what is found.
    let (mut named, mut handed) = (false, false);
    while at < words.len() {
        let next = words.get(at + 1).cloned().unwrap_or_else(Word::unknown);
        match words[at].text.as_str() {
            "-delete" => class = class.max(Class::Destroy),
            "-fprint" | "-fprint0" | "-fprintf" | "-fls" => class = class.max(call.write(&next)),
            "-files0-from" => class = class.max(Class::Unknown),
            // Looking for what is secret by its name.
            "-name" | "-iname" | "-path" | "-ipath" | "-wholename" => named |= call.read(&next) == Class::Secret,
            "-regex" | "-iregex" => {
                named |= ["env", "ssh", "key", "pem", "id_"].iter().any(|part| next.text.contains(part))
            }
            "-newer" | "-samefile" | "-anewer" | "-cnewer" => class = class.max(call.list(&next)),
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let end = words[at..].iter().position(|arg| arg.text == ";" || arg.text == "+");
                let Some(end) = end else { return Class::Unknown };
                let inner = &words[at + 1..at + end];
                handed = true;
                for root in &roots {
                    let name = match words[at].text.as_str() {
                        "-execdir" | "-okdir" => Word::unknown(),
                        _ => Word { text: format!("{}/{{}}", root.text), ..root.clone() },
                    };
                    let argv: Vec<Word> = inner.iter().map(|arg| placed(arg, "{}", &name)).collect();
                    // A path in the text of a script is part of the script.
                    let script = inner.iter().any(|arg| arg.text.contains("{}") && arg.text != "{}");
                    let (stdin, class_of) =
                        (super::Stdin::default(), if script { Class::Unknown } else { Class::Read });
                    class = class.max(class_of).max(call.judge.words(&argv, &stdin));
                }
                at += end;
            }
            _ => {}
        }
        at += 1;
    }
    let below = roots.iter().any(|root| call.read_all(root) == Class::Secret);
    if handed && (named || below) { class.max(Class::Secret) } else { class }
}

/// The word with what stands for `mark` in it.
pub(super) fn placed(word: &Word, mark: &str, value: &Word) -> Word {
    if !word.text.contains(mark) {
        return word.clone();
    }
    Word {
        text: word.text.replace(mark, &value.text),
        dynamic: word.dynamic || value.dynamic,
        glob: word.glob || value.glob,
    }
}

fn fd(call: &mut Call<'_, '_, '_>) -> Class {
    if call.args.has('x', "--exec") || call.args.has('X', "--exec-batch") {
        return Class::Unknown;
    }
    call.args.paths().iter().skip(1).map(|path| call.list(path)).max().unwrap_or(Class::Read)
}

fn sed(call: &Call<'_, '_, '_>) -> Class {
    let args = &call.args;
    if args.has('f', "--file") || args.may_be_options() {
        return Class::Unknown;
    }
    let mut scripts = args.values("e", "--expression");
    // `-ne 'p'`: all of the cluster's letters but `e` come first.
    let mut files: Vec<Word> = args.positionals().into_iter().cloned().collect();
    match scripts.is_empty() {
        true if files.is_empty() => return Class::Read,
        true => scripts.push(files.remove(0)),
        false => files.retain(|file| !scripts.contains(file)),
    }
    if !scripts.iter().all(|script| is_plain_sed(&script.text)) {
        return Class::Unknown;
    }
    let in_place = args.has('i', "--in-place");
    let reads = files.iter().map(|file| call.read(file)).max().unwrap_or(Class::Read);
    match in_place {
        true => files.iter().map(|file| call.write(file)).max().unwrap_or(Class::Write).max(Class::Write).max(reads),
        false => reads,
    }
}

/// Addresses and `p d q s y = a i c n`; nothing that reads or writes files or runs something.
fn is_plain_sed(script: &str) -> bool {
    script.split([';', '\n']).all(|command| {
        let command = command.trim().trim_start_matches('{').trim_end_matches('}').trim();
        let at = command.find(|c: char| !(c.is_ascii_digit() || ",$+~! ".contains(c))).unwrap_or(command.len());
        let mut rest = &command[at..];
        // One or two addresses between slashes.
        for _ in 0..2 {
            if let Some(inner) = rest.strip_prefix('/') {
                let Some(end) = inner.find('/') else { return false };
                if inner[..end].contains('\\') {
                    return false;
                }
                rest = inner[end + 1..].trim_start_matches(|c: char| c.is_ascii_digit() || ",$+~! I".contains(c));
            }
        }
        match rest.chars().next() {
            None => true,
            Some('p' | 'd' | 'q' | '=' | 'n' | 'D' | 'P' | 'G' | 'h' | 'H' | 'g' | 'x' | 'N') => rest.len() == 1,
            Some('a' | 'i' | 'c') => true,
            Some('s') => {
                let Some(mark) = rest.chars().nth(1).filter(|c| c.is_ascii_punctuation() && *c != '\\') else {
                    return false;
                };
                let parts: Vec<&str> = rest[2..].split(mark).collect();
                // A mark in brackets or behind a backslash: nobody needs to take that apart.
                let escaped = parts.iter().take(2).any(|part| part.ends_with('\\'));
                let flags = parts.last().copied().unwrap_or_default();
                let simple = parts.len() == 3 && !escaped && flags.chars().all(|c| "gpiIm0123456789 }".contains(c));
                // With marks that are escaped: no letter at the end that writes or runs.
                simple
                    || (escaped
                        && parts.len() > 3
                        && flags.chars().all(|c| "gpI0123456789".contains(c))
                        && !rest.contains(" w"))
            }
            _ => false,
        }
    })
}

fn awk(call: &Call<'_, '_, '_>) -> Class {
    let args = &call.args;
    let known = args.options().all(|option| option.starts_with("-F") || option.starts_with("-v"));
    let mut words: Vec<Word> = Vec::new();
    let mut skip = false;
    for arg in args.0 {
        match arg.text.as_str() {
            _ if skip => skip = false,
            "-F" | "-v" => skip = true,
            text if text.starts_with('-') && text.len() > 1 => {}
            _ => words.push(arg.clone()),
        }
    }
    let Some((program, files)) = words.split_first() else { return Class::Unknown };
    // `|`, `>`, `system`, `getline`, ARGV, ENVIRON: all that reaches out of the program. Comparisons with `>` as well.
    let reaches = ["system", "getline", "ENVIRON", "ARGV", "close", "@", "printf >", "PROCINFO"];
    let mut plain = program.text.replace("||", "").replace(">=", "");
    // Outside of braces `>` compares; with strings and patterns nobody knows which braces count.
    if let (Some(open), false) = (plain.find('{'), plain.contains(['"', '/'])) {
        plain = plain[..open].replace('>', "") + &plain[open..];
    }
    if !known || reaches.iter().any(|word| plain.contains(word)) || plain.contains(['|', '>']) {
        return Class::Unknown;
    }
    files.iter().filter(|file| !file.text.contains('=')).map(|file| call.read(file)).max().unwrap_or(Class::Read)
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
    let mut class = Class::Write;
    for source in &words {
        class = class.max(if deep { call.read_all(source) } else { call.read(source) });
        if name == "mv" {
            class = class.max(call.write(source));
        }
        for target in &targets {
            let last = source.text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            // All that is in a directory, whatever that is, goes into the target.
            let all = matches!(last, "." | "..") || source.text.is_empty();
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

fn tar(call: &Call<'_, '_, '_>) -> Class {
    let args = &call.args;
    let runs =
        ["to-command", "checkpoint-action", "use-compress-program", "info-script", "new-volume-script", "rsh-command"];
    let first = args.first();
    let old = if first.starts_with('-') { "" } else { first };
    let letters = |c: char| old.contains(c) || args.has(c, "");
    let shortened = runs.iter().any(|name| args.has('\0', name));
    if shortened
        || args.may_be_options()
        || letters('I')
        || letters('F')
        || letters('T')
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
    if letters('P') || args.has('\0', "absolute-names") {
        return Class::Unknown;
    }
    if letters('x') || args.has('\0', "extract") || args.has('\0', "get") {
        // What is in it may be a file that runs by itself.
        let to = paths.iter().map(|path| call.write_into(path)).max().unwrap_or(Class::Write);
        return reads
            .max(if args.values("C", "--directory").is_empty() { call.here() } else { to })
            .max(Class::Autorun);
    }
    let removes = args.has('\0', "remove-files") || args.has('\0', "delete");
    if letters('t') && !letters('c') {
        return reads;
    }
    if letters('c') || letters('r') || letters('u') {
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
    let special = u32::from_str_radix(text, 8).is_ok_and(|mode| mode & 0o7000 != 0);
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
