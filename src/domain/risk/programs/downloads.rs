//! Programs that load files: `curl` and `wget`.

use super::Call;
use super::args::{Args, Known};
use crate::domain::risk::Class;
use crate::domain::risk::words::Word;

pub(super) fn curl(call: &Call<'_, '_, '_>) -> Class {
    let args = call.args;
    if args.options().any(|o| o.starts_with("-K") || o.starts_with("--config")) || args.has('K', "") {
        return Class::Unknown;
    }
    // Long options that are known to only shape a download.
    let long = [
        "--silent",
        "--show-error",
        "--location",
        "--fail",
        "--head",
        "--include",
        "--compressed",
        "--output",
        "--remote-name",
        "--header",
        "--user-agent",
        "--max-time",
        "--connect-timeout",
        "--retry",
        "--insecure",
        "--verbose",
        "--write-out",
        "--get",
        "--http1.1",
        "--http2",
        "--range",
        "--progress-bar",
        "--create-dirs",
        "--request",
        "--url",
        "--fail-with-body",
        "--retry-delay",
        "--no-progress-meter",
        "--proto",
        "--tlsv1.2",
        "--remote-header-name",
        "--ipv4",
        "--no-buffer",
        "--parallel",
        "--globoff",
    ];
    let short = "sSLfIioOHAmkvwGrNgJ#4Z0Xy";
    let mut skip = false;
    let mut class = Class::Fetch;
    // Whether files get the names that they have there, and what these are.
    let (mut saves, mut named) = (false, false);
    let mut targets = Vec::new();
    for (at, arg) in args.0.iter().enumerate() {
        let text = arg.text.as_str();
        let next = args.0.get(at + 1).map(|arg| arg.text.as_str()).unwrap_or_default();
        if std::mem::take(&mut skip) {
            continue;
        }
        if let Some(name) = text.strip_prefix("--") {
            let takes = [
                "output",
                "header",
                "user-agent",
                "max-time",
                "connect-timeout",
                "retry",
                "write-out",
                "range",
                "request",
                "url",
                "retry-delay",
                "proto",
            ];
            let plain = text.split('=').next().unwrap_or_default();
            // What sends; of the rest some write files and run things.
            let sends =
                ["--data", "--form", "--json", "--upload-file", "--user", "--cookie", "--referer", "--oauth2-bearer"];
            if !long.contains(&plain) {
                let known = sends.iter().any(|name| plain.starts_with(name)) && !plain.starts_with("--cookie-");
                class = class.max(if known { Class::Publish } else { Class::Unknown });
            }
            skip = takes.contains(&name) && plain != "--url";
            class = class.max(match plain {
                "--output" => target(call, text.split_once('=').map_or(next, |(_, value)| value)),
                "--remote-name" => {
                    saves = true;
                    call.here()
                }
                // The server says what it is called.
                "--remote-header-name" => call.here().max(Class::Autorun),
                "--url" => source(call, text.split_once('=').map_or(next, |(_, value)| value)),
                "--request" => method(next),
                "--header" => header(call, next),
                "--write-out" if next.contains("output{") || next.starts_with('@') => Class::Unknown,
                _ => Class::Read,
            });
        } else if let Some(cluster) = text.strip_prefix('-').filter(|cluster| !cluster.is_empty()) {
            for (at, c) in cluster.char_indices() {
                if !short.contains(c) {
                    class = class.max(if "dFTbuexQn".contains(c) { Class::Publish } else { Class::Unknown });
                }
                let rest = &cluster[at + c.len_utf8()..];
                let value = if rest.is_empty() { next } else { rest };
                class = class.max(match c {
                    'o' => target(call, value),
                    'O' => {
                        saves = true;
                        call.here()
                    }
                    'J' => call.here().max(Class::Autorun),
                    'X' => method(value),
                    'H' => header(call, value),
                    'w' if value.contains("output{") || value.starts_with('@') => Class::Unknown,
                    _ => Class::Read,
                });
                if "oHAmwrXydFTbuexQ".contains(c) {
                    skip = rest.is_empty();
                    break;
                }
            }
        } else {
            class = class.max(source(call, text));
            named |= text.contains(['{', '[']);
            targets.push(saved_as(call, text, ""));
        }
    }
    // One name for many files, or names that come from a list.
    let listed = saves && named || args.0.iter().any(|arg| arg.text.starts_with('#'));
    let saved = targets.into_iter().filter(|_| saves).max().unwrap_or(Class::Read);
    class.max(saved).max(if listed { Class::Unknown } else { Class::Read })
}

/// Where `-o` puts it; `#1` is a part of an address.
fn target(call: &Call<'_, '_, '_>, path: &str) -> Class {
    if path.contains('#') { Class::Unknown } else { call.write(&Word::fixed(path)) }
}

/// What an address is read from.
fn source(call: &Call<'_, '_, '_>, url: &str) -> Class {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_lowercase());
    match scheme.as_deref() {
        Some("file") => call.read(&Word::fixed(url[5..].trim_start_matches("//"))).max(Class::Unknown),
        Some("http" | "https" | "ftp" | "ftps") => Class::Fetch,
        Some(_) if url.contains("://") => Class::Publish,
        _ => Class::Fetch,
    }
}

/// A file that gets the last name of an address, behind `dir`.
fn saved_as(call: &Call<'_, '_, '_>, url: &str, dir: &str) -> Class {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let name = path.split_once('/').map_or("", |(_, path)| path.rsplit('/').next().unwrap_or_default());
    match name {
        "" => call.here(),
        // `%2e`
        _ if name.contains('%') => call.here().max(Class::Autorun),
        _ => call.write(&Word::fixed(format!("{dir}{name}"))),
    }
}

fn method(name: &str) -> Class {
    match name.to_uppercase().as_str() {
        "GET" | "HEAD" | "OPTIONS" => Class::Fetch,
        _ => Class::Publish,
    }
}

/// A header from a file sends that file.
fn header(call: &Call<'_, '_, '_>, text: &str) -> Class {
    match text.strip_prefix('@') {
        Some(path) => call.read(&Word::fixed(path)).max(Class::Publish),
        None => Class::Fetch,
    }
}

/// Options of `wget` that only shape a download.
const WGET: Known = Known {
    alone: &[
        "-q",
        "--quiet",
        "-v",
        "--verbose",
        "-nv",
        "--no-verbose",
        "-c",
        "--continue",
        "-N",
        "-nc",
        "--no-clobber",
        "-4",
        "-6",
        "--no-check-certificate",
        "--show-progress",
        "--spider",
        "-S",
        "--server-response",
        "--no-cache",
        "-r",
        "--recursive",
        "-np",
        "--no-parent",
        "-k",
        "-p",
        "-x",
        "-nd",
        "-nH",
    ],
    taking: &[
        "-O",
        "--output-document",
        "-P",
        "--directory-prefix",
        "-o",
        "--output-file",
        "-T",
        "--timeout",
        "-t",
        "--tries",
        "-U",
        "--user-agent",
        "-w",
        "--wait",
        "--progress",
        "-l",
        "--level",
        "-A",
        "-R",
        "--waitretry",
    ],
};
/// Those that send something, or take a right to it.
const WGET_SENDS: [&str; 13] = [
    "--post-data",
    "--post-file",
    "--body-data",
    "--body-file",
    "--method",
    "--header",
    "--user",
    "--password",
    "--http-user",
    "--http-password",
    "--ftp-user",
    "--ftp-password",
    "--private-key",
];

pub(super) fn wget(call: &Call<'_, '_, '_>) -> Class {
    let args = call.args;
    // `-qO-`: a cluster whose last letter takes a value.
    let split: Vec<Word> = args.0.iter().flat_map(cluster).collect();
    let args = Args(&split);
    let Some(urls) = args.plain(&WGET) else {
        let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
        let other = |option: &&str| !WGET.alone.contains(option) && !WGET.taking.contains(&name(option).as_str());
        let sends = args.options().filter(other).all(|option| WGET_SENDS.contains(&name(option).as_str()));
        return if sends { Class::Publish } else { Class::Unknown };
    };
    let logs = args.values("o", "--output-file");
    let log = logs.iter().map(|path| call.write(path)).max().unwrap_or(Class::Read);
    if args.exactly(&["--spider"]) {
        return log.max(Class::Fetch);
    }
    let files = args.values("O", "--output-document");
    let dirs = args.values("P", "--directory-prefix");
    let many = args.has('r', "--recursive") || args.has('p', "") || args.has('x', "");
    let said = files.iter().filter(|file| file.text != "-").map(|file| call.write(file)).max();
    let below = |dir: &Word| match call.write_into(dir) {
        inside @ (Class::Read | Class::Write) => {
            let named = |url: &Word| saved_as(call, &url.text, &format!("{}/", dir.text));
            urls.iter().map(named).max().unwrap_or(inside).max(inside)
        }
        outside => super::files::unpacked(outside),
    };
    let into = dirs.iter().map(below).max();
    let saved = match files.is_empty() && dirs.is_empty() {
        true => urls.iter().map(|url| saved_as(call, &url.text, "")).max().unwrap_or(Class::Read).max(call.here()),
        false => Class::Read,
    };
    let tree = if many && files.is_empty() { Class::Autorun } else { Class::Fetch };
    log.max(said.unwrap_or(Class::Read)).max(into.unwrap_or(Class::Read)).max(saved).max(tree)
}

/// `-qO-` → `-q`, `-O-`.
fn cluster(word: &Word) -> Vec<Word> {
    let text = word.text.as_str();
    let letters: Vec<char> = text.chars().skip(1).take_while(|c| "qcS46Nrvkpx".contains(*c)).collect();
    let rest: String = text.chars().skip(1 + letters.len()).collect();
    if !text.starts_with('-') || text.starts_with("--") || WGET.alone.contains(&text) || letters.is_empty() {
        return vec![word.clone()];
    }
    let part = |text: String| Word { text, ..word.clone() };
    let mut words: Vec<Word> = letters.iter().map(|letter| part(format!("-{letter}"))).collect();
    words.extend((!rest.is_empty()).then(|| part(format!("-{rest}"))));
    words
}
