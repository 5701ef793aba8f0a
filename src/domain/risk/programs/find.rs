//! `find`, `fd` and `xargs`: what finds files, and what runs on each of them.

use super::args::Args;
use super::{Call, Stdin};
use crate::domain::risk::words::Word;
use crate::domain::risk::{Class, paths};

/// Tests and actions of `find` that stand alone.
const ALONE: [&str; 32] = [
    "-print",
    "-print0",
    "-prune",
    "-delete",
    "-depth",
    "-mount",
    "-xdev",
    "-daystart",
    "-follow",
    "-noleaf",
    "-empty",
    "-readable",
    "-writable",
    "-executable",
    "-true",
    "-false",
    "-nouser",
    "-nogroup",
    "-o",
    "-or",
    "-a",
    "-and",
    "-not",
    "!",
    "(",
    ")",
    ",",
    "-ls",
    "-quit",
    "-nowarn",
    "-warn",
    "-ignore_readdir_race",
];
/// Those that take a word.
const TAKING: [&str; 42] = [
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-iwholename",
    "-lname",
    "-ilname",
    "-regex",
    "-iregex",
    "-regextype",
    "-type",
    "-xtype",
    "-maxdepth",
    "-mindepth",
    "-size",
    "-mtime",
    "-atime",
    "-ctime",
    "-mmin",
    "-amin",
    "-cmin",
    "-newer",
    "-anewer",
    "-cnewer",
    "-newermt",
    "-newerct",
    "-samefile",
    "-perm",
    "-user",
    "-group",
    "-uid",
    "-gid",
    "-links",
    "-inum",
    "-fstype",
    "-used",
    "-printf",
    "-fprint",
    "-fprint0",
    "-fls",
    "-fprintf",
];

pub(super) fn judge(call: &mut Call<'_, '_, '_>, name: &str) -> Option<Class> {
    Some(match name {
        "find" => find(call),
        "fd" | "fdfind" => fd(call),
        "xargs" => xargs(call),
        _ => return None,
    })
}

/// Where a search begins, and where its tests do.
fn roots(words: &[Word]) -> (Vec<Word>, usize) {
    let mut at = 0;
    let mut roots = Vec::new();
    while let Some(word) = words.get(at) {
        match word.text.as_str() {
            "-H" | "-L" | "-P" | "-E" | "-X" | "-x" | "-s" | "-d" | "--" => at += 1,
            "-D" => at += 2,
            // On a Mac.
            "-f" => {
                roots.extend(words.get(at + 1).cloned());
                at += 2;
            }
            text if text.starts_with("-O") => at += 1,
            text if text.starts_with(['-', '(', '!']) => break,
            _ => {
                roots.push(word.clone());
                at += 1;
            }
        }
    }
    if roots.is_empty() {
        roots.push(Word::fixed("."));
    }
    (roots, at.min(words.len()))
}

fn find(call: &mut Call<'_, '_, '_>) -> Class {
    let words = call.args.0;
    let (roots, mut at) = roots(words);
    let mut class = roots.iter().map(|root| call.list(root)).max().unwrap_or(Class::Read);
    // Whether the names that are looked for are those of secrets, and whether a command gets what is found.
    let (mut named, mut handed) = (false, false);
    while let Some(word) = words.get(at) {
        let next = words.get(at + 1).cloned().unwrap_or_else(Word::unknown);
        match word.text.as_str() {
            "-delete" => class = class.max(Class::Destroy),
            "-fprint" | "-fprint0" | "-fprintf" | "-fls" => class = class.max(call.write(&next)),
            "-name" | "-iname" | "-path" | "-ipath" | "-wholename" | "-iwholename" => {
                named |= paths::finds_secrets(&next.text);
            }
            "-regex" | "-iregex" => named |= !is_ending(&next.text),
            "-newer" | "-samefile" | "-anewer" | "-cnewer" => class = class.max(call.list(&next)),
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let Some(end) = end_of_command(&words[at + 1..]) else { return Class::Unknown };
                let inner = &words[at + 1..at + 1 + end];
                handed = true;
                for root in &roots {
                    class = class.max(on_each(call, root, inner, word.text.ends_with("dir")));
                }
                at += end + 1;
            }
            _ => {}
        }
        match word.text.as_str() {
            "-exec" | "-execdir" | "-ok" | "-okdir" => {}
            "-fprintf" => at += 2,
            text if TAKING.contains(&text) => at += 1,
            text if ALONE.contains(&text) => {}
            _ => class = class.max(Class::Unknown),
        }
        at += 1;
    }
    let below = roots.iter().any(|root| call.read_all(root) == Class::Secret);
    if handed && (named || below) { class.max(Class::Secret) } else { class }
}

/// Where the command of `-exec` ends: at `;`, or at `+` right behind `{}`.
fn end_of_command(words: &[Word]) -> Option<usize> {
    (0..words.len()).find(|at| match words[*at].text.as_str() {
        ";" => true,
        "+" => *at > 0 && words[at - 1].text == "{}",
        _ => false,
    })
}

/// Judges the command of `-exec` for what is found below a root.
fn on_each(call: &mut Call<'_, '_, '_>, root: &Word, inner: &[Word], in_its_directory: bool) -> Class {
    let name = match in_its_directory {
        true => Word::unknown(),
        false => Word { text: format!("{}/{{}}", root.text), ..root.clone() },
    };
    let argv: Vec<Word> = inner.iter().map(|arg| placed(arg, "{}", &name)).collect();
    let class = call.judge.words(&argv, &Stdin::default());
    // A path in the text of a script is part of the script.
    if inner.iter().any(|arg| arg.text.contains("{}") && arg.text != "{}") {
        return class.max(Class::Unknown);
    }
    // What is changed may be one of those that run by themselves.
    match inner.iter().any(|arg| arg.text == "{}") && class == Class::Write {
        true => Class::Autorun,
        false => class,
    }
}

/// Whether a regular expression is about the ends of names that are no secrets: `.*\.rs`, `.*\.\(c\|h\)`.
fn is_ending(regex: &str) -> bool {
    let Some((_, end)) = regex.trim_end_matches('$').rsplit_once("\\.") else { return false };
    let end = end.replace(['(', ')', '\\'], "");
    end.split('|').all(|end| {
        let plain = !end.is_empty() && end.chars().all(|c| c.is_ascii_alphanumeric());
        plain && !paths::finds_secrets(&format!("*.{end}"))
    })
}

/// Whether `find` prints names that are looked for, and these are none of secrets.
pub(super) fn prints_names(args: Args<'_>) -> bool {
    let words = args.0;
    let (_, start) = roots(words);
    let mut named = false;
    let mut at = start;
    while let Some(word) = words.get(at) {
        match word.text.as_str() {
            "-name" | "-iname" => {
                let next = words.get(at + 1).map_or("*", |word| word.text.as_str());
                if paths::finds_secrets(next) || !next.contains(|c: char| c.is_alphanumeric()) {
                    return false;
                }
                named = true;
                at += 1;
            }
            "-type" | "-maxdepth" | "-mindepth" | "-size" | "-mtime" | "-mmin" | "-newer" => at += 1,
            "-print" | "-print0" => {}
            _ => return false,
        }
        at += 1;
    }
    named
}

/// The word with what stands for `mark` in it.
fn placed(word: &Word, mark: &str, value: &Word) -> Word {
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
    let args = call.args;
    if args.has('x', "--exec") || args.has('X', "--exec-batch") {
        return Class::Unknown;
    }
    // With a place in an option, the pattern may be a path as well.
    let skip = usize::from(!args.any(&["--search-path", "--base-directory", "-C"]));
    args.paths().iter().skip(skip).map(|path| call.list(path)).max().unwrap_or(Class::Read)
}

fn xargs(call: &mut Call<'_, '_, '_>) -> Class {
    let words = call.args.0;
    let mut at = 0;
    let mut mark: Option<String> = None;
    while let Some(word) = words.get(at).filter(|word| word.text.starts_with('-')) {
        match word.text.as_str() {
            "-0" | "-r" | "-t" | "-x" | "--null" | "--no-run-if-empty" => {}
            "-n" | "-P" | "-L" | "-s" | "-d" => at += 1,
            "-I" => {
                mark = words.get(at + 1).map(|word| word.text.clone());
                at += 1;
            }
            text if text.starts_with("-I") => mark = Some(text[2..].to_owned()),
            text if ["-n", "-P", "-L"]
                .iter()
                .any(|option| text.starts_with(option) && text[2..].parse::<u32>().is_ok()) => {}
            _ => return Class::Unknown,
        }
        at += 1;
    }
    let inner = &words[at.min(words.len())..];
    if inner.is_empty() {
        return Class::Read;
    }
    // Names of files below the current directory, or nobody knows what.
    let item = match call.stdin.names.filter(|_| super::reads_only(&inner[0].text)) {
        Some(names) => Word { glob: true, ..Word::fixed(names) },
        None => Word::unknown(),
    };
    let mut argv: Vec<Word> = match &mark {
        Some(mark) if !mark.is_empty() => inner.iter().map(|word| placed(word, mark, &item)).collect(),
        _ => inner.to_vec(),
    };
    if mark.is_none() {
        argv.push(item);
    }
    call.judge.words(&argv, &Stdin::default())
}
