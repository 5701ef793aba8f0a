//! Programs that read files and print what they make of them.

use super::Call;
use crate::domain::risk::Class;
use crate::domain::risk::paths;
use crate::domain::risk::shell::Judge;
use crate::domain::risk::words::Word;

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
    ("strings", "", &["--plugin"]),
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
    ("nm", "", &["--plugin"]),
    ("objdump", "", &["--plugin"]),
    ("readelf", "", &[]),
    ("size", "", &["--plugin"]),
    ("zcat", "", &[]),
    ("bzcat", "", &[]),
    ("xzcat", "", &[]),
    ("zgrep", "f", &["--file"]),
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

const CLOC: [&str; 10] = [
    "--by-file",
    "--json",
    "--yaml",
    "--csv",
    "--md",
    "--quiet",
    "--exclude-dir",
    "--include-lang",
    "--exclude-lang",
    "--include-ext",
];

pub(super) fn is_reader(name: &str) -> bool {
    READERS.iter().any(|(reader, ..)| *reader == name) || SEARCHERS.contains(&name) || name == "cloc"
}

/// `[`, `test`, `printf`: words that are not known do no harm.
pub(super) fn test_or_print(judge: &Judge<'_>, name: &str, args: &[Word]) -> Option<Class> {
    match name {
        "printf"
            if args.first().is_some_and(|arg| !arg.dynamic && (arg.text == "--" || !arg.text.starts_with('-'))) =>
        {
            Some(Class::Read)
        }
        "test" | "[" => {
            // `-v` evaluates a name with an index, and nobody knows which words are `-v`.
            let may_be_set = args.iter().any(|arg| arg.text == "-v" || arg.dynamic);
            if may_be_set && args.iter().any(|arg| arg.text == "-v" || arg.text.contains('[') && arg.text != "[") {
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
        return Some(reader(call, name, short, long));
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
        "yq" if !call.args.has('i', "--inplace") && !call.args.has('s', "--split-exp") => {
            match call.args.any(&["--in-place", "--split-exp-file"]) {
                true => Class::Unknown,
                false => search(call, name),
            }
        }
        "uniq" | "xxd" => match call.args.positionals().as_slice() {
            // The second name is where the output goes.
            [.., target] if call.args.positionals().len() > 1 => read_paths(call, 0).max(call.write(target)),
            _ if name == "xxd" && call.args.has('r', "--revert") => Class::Unknown,
            _ => read_paths(call, 0),
        },
        "cloc" => {
            match call.args.options().all(|option| CLOC.contains(&option.split('=').next().unwrap_or_default())) {
                true => read_paths(call, 0),
                false => Class::Unknown,
            }
        }
        "sed" => sed(call),
        "awk" | "gawk" | "mawk" => awk(call),
        _ => return None,
    })
}

fn reader(call: &Call<'_, '_, '_>, name: &str, short: &str, long: &[&str]) -> Class {
    let args = &call.args;
    let told = name == "less" && args.0.iter().any(|arg| arg.text.starts_with('+'));
    // The tools for objects read options from `@file`.
    let listed = matches!(name, "nm" | "objdump" | "readelf" | "size" | "strings")
        && args.0.iter().any(|arg| arg.text.starts_with('@'));
    // A name that a pattern meets may be one of the options that do more.
    let met = !(short.is_empty() && long.is_empty()) && name != "wc" && args.may_be_options();
    match () {
        () if listed || met => Class::Unknown,
        () if told || forbidden(call, short, long) => output_option(call, name),
        () if name == "diff" && (args.has('r', "--recursive")) => {
            args.paths().iter().map(|path| call.read_all(path)).max().unwrap_or(Class::Read)
        }
        () => read_paths(call, 0),
    }
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

fn search(call: &Call<'_, '_, '_>, name: &str) -> Class {
    let args = &call.args;
    if args.any(&["--pre", "--hostname-bin", "--pager"]) || matches!(name, "rg" | "ag") && args.may_be_options() {
        return Class::Unknown;
    }
    if name == "jq" || name == "yq" {
        let told = |word: &Word| {
            let text = word.text.replace(".env", "");
            text.contains("env") || text.contains("ENV") || text.contains("load(") || text.contains("load_")
        };
        if args.0.iter().any(told) {
            return Class::Secret;
        }
        // `import "a" as a {search: "/x"}`
        let imports = |word: &Word| {
            let rests = ["import", "include"].iter().flat_map(|verb| word.text.split(verb).skip(1));
            rests.into_iter().any(|rest| rest.trim_start().starts_with('"'))
        };
        if args.0.iter().any(imports) {
            return Class::Unknown;
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
    // Without a path, the current directory.
    let here = if deep && paths.len() <= skip { call.read_all(&Word::fixed("")) } else { Class::Read };
    // The exclusion of secrets is what hidden files are about.
    worst.unwrap_or(Class::Read).max(here)
}

fn sed(call: &Call<'_, '_, '_>) -> Class {
    let Some(Sed { mut scripts, in_place, mut files, suffix }) = Sed::of(call.args.0) else { return Class::Unknown };
    if call.args.may_be_options() {
        return Class::Unknown;
    }
    if scripts.is_empty() {
        if files.is_empty() {
            return Class::Read;
        }
        scripts.push(files.remove(0));
    }
    // `-i ''`: without a suffix on a Mac, where the script comes behind it.
    if suffix && let Some(script) = files.first() {
        scripts.push(script.clone());
    }
    if !scripts.iter().all(|script| is_plain_sed(&script.text)) {
        return Class::Unknown;
    }
    let reads = files.iter().map(|file| call.read(file)).max().unwrap_or(Class::Read);
    match in_place {
        true => files.iter().map(|file| call.write(file)).max().unwrap_or(Class::Write).max(Class::Write).max(reads),
        false => reads,
    }
}

/// What `sed` is told, when all of its options are known.
#[derive(Default)]
struct Sed {
    scripts: Vec<Word>,
    in_place: bool,
    files: Vec<Word>,
    /// `-i` stands alone with an empty word behind it.
    suffix: bool,
}

impl Sed {
    fn of(words: &[Word]) -> Option<Self> {
        let mut sed = Self::default();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            let text = word.text.as_str();
            let value = |rest: &str| Word { text: rest.to_owned(), ..word.clone() };
            let (name, attached) = match text.split_once('=') {
                Some((name, attached)) => (name, Some(attached)),
                None => (text, None),
            };
            match name {
                "--" => {
                    sed.files.extend_from_slice(&words[at..]);
                    break;
                }
                "--quiet" | "--silent" | "--regexp-extended" | "--null-data" | "--zero-terminated" | "--separate"
                | "--unbuffered" | "--sandbox" | "--debug" | "--posix" => {}
                _ if name.len() > 3 && "--expression".starts_with(name) => match attached {
                    Some(script) => sed.scripts.push(value(script)),
                    None => {
                        sed.scripts.push(words.get(at)?.clone());
                        at += 1;
                    }
                },
                _ if name.len() > 3 && "--in-place".starts_with(name) => sed.in_place = true,
                _ if text.starts_with("--") => return None,
                _ if text.len() > 1 && text.starts_with('-') => {
                    for (from, letter) in text.char_indices().skip(1) {
                        let rest = &text[from + 1..];
                        match letter {
                            'n' | 'E' | 'r' | 's' | 'u' | 'z' => continue,
                            'e' if rest.is_empty() => {
                                sed.scripts.push(words.get(at)?.clone());
                                at += 1;
                            }
                            'e' => sed.scripts.push(value(rest)),
                            'i' => {
                                sed.in_place = true;
                                sed.suffix |= rest.is_empty() && words.get(at).is_some_and(|next| next.text.is_empty());
                            }
                            _ => return None,
                        }
                        break;
                    }
                }
                _ => sed.files.push(word.clone()),
            }
        }
        Some(sed)
    }
}

/// Addresses and `p d q s = a i c n`; nothing that reads or writes files or runs something.
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
            Some('s') => is_plain_substitution(&rest[1..]),
            _ => false,
        }
    })
}

/// `/a/b/g`: two parts and flags that only tell which and whether to print.
fn is_plain_substitution(text: &str) -> bool {
    let mut chars = text.chars();
    let Some(mark) = chars.next().filter(|c| c.is_ascii_punctuation() && *c != '\\') else { return false };
    let mut parts = vec![String::new()];
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                if chars.next().is_none() {
                    return false;
                }
            }
            _ if c == mark => parts.push(String::new()),
            _ => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    matches!(parts.as_slice(), [_, _, flags] if flags.chars().all(|c| "gpiIm0123456789 }".contains(c)))
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
    let reaches = ["system", "getline", "ENVIRON", "ARGV", "close", "@", "printf >", "PROCINFO", "SYMTAB"];
    let mut plain = program.text.replace("||", "").replace(">=", "");
    // Outside of braces `>` compares; with strings and patterns nobody knows which braces count.
    if let (Some(open), false) = (plain.find('{'), plain.contains(['"', '/'])) {
        plain = plain[..open].replace('>', "") + &plain[open..];
    }
    if !known || reaches.iter().any(|word| plain.contains(word)) || plain.contains(['|', '>']) {
        return Class::Unknown;
    }
    let assigns = |file: &&Word| {
        let name = file.text.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    files.iter().filter(|file| !assigns(file)).map(|file| call.read(file)).max().unwrap_or(Class::Read)
}

fn forbidden(call: &Call<'_, '_, '_>, short: &str, long: &[&str]) -> bool {
    short.chars().any(|c| call.args.has(c, "")) || long.iter().any(|name| call.args.has('\0', name))
}

/// Reads all that may be a path; `skip` of the plain words are none.
pub(super) fn read_paths(call: &Call<'_, '_, '_>, skip: usize) -> Class {
    let worst = call.args.paths().iter().skip(skip).map(|path| call.read(path)).max();
    worst.unwrap_or(Class::Read)
}
