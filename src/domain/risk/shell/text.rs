//! The text of a line: how it parses, and what it names.

use std::path::Path;

use brush_parser::ast::Program;
use brush_parser::{ParserOptions, parse_tokens, uncached_tokenize_str};

use crate::domain::risk;

/// What may stand open at once, roughly: brackets and compound commands.
const MAX_OPEN: usize = 48;
/// `case` costs the parser twice the time with every level.
const MAX_CASE: usize = 8;

/// The variables that a word names.
pub(super) fn names_in(raw: &str) -> impl Iterator<Item = &str> {
    raw.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        &rest[..end]
    })
}

/// Parses what is neither too long nor too deep.
pub(super) fn parse(line: &str) -> Option<Program> {
    let open = line.matches(['(', '{', '`']).count();
    let mut compounds = 0;
    let mut cases = 0;
    for word in line.split(|c: char| !c.is_alphanumeric()) {
        match word {
            "if" | "while" | "until" | "for" | "select" | "do" | "function" | "coproc" | "time" => compounds += 1,
            "case" => cases += 1,
            _ => {}
        }
    }
    if open + compounds > MAX_OPEN || cases > MAX_CASE || line.len() > risk::MAX_LINE {
        return None;
    }
    let options = ParserOptions::default();
    let tokens = risk::parsed(|| uncached_tokenize_str(line, &options.tokenizer_options()))?;
    risk::parsed(|| parse_tokens(&tokens, &options))
}

/// The last part of a program's path, if it lies where the system keeps its programs.
pub(in crate::domain::risk) fn program_name(word: &str) -> Option<&str> {
    const SYSTEM: [&str; 8] = [
        "/bin",
        "/usr/bin",
        "/sbin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/opt/homebrew/bin",
        "/snap/bin",
    ];
    match Path::new(word).parent().and_then(Path::to_str) {
        Some("") => Some(word),
        Some(parent) if SYSTEM.contains(&parent) => Path::new(word).file_name().and_then(|name| name.to_str()),
        _ => None,
    }
}
