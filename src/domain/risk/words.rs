//! Shell words: what a word comes to, as far as that can be known without running anything.

use brush_parser::ParserOptions;
use brush_parser::word::{self, Parameter, ParameterExpr, SpecialParameter, TildeExpr, WordPiece, WordPieceWithSource};

/// Stands for a number that is only known when it runs: as bad as a number can be, as a mode of a file.
pub(super) const NUMBER: &str = "7777";

/// A word after expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    /// A part of it is only known when it runs: `text` is not all of it, and it may be several words.
    pub dynamic: bool,
    /// Holds a pattern that the shell replaces with names.
    pub glob: bool,
}

impl Word {
    pub fn fixed(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub fn unknown() -> Self {
        Self { dynamic: true, ..Self::default() }
    }
}

/// What a word refers to; answered by whoever walks the line.
pub(super) trait Scope {
    /// The value of a variable at this point, `None` if it is not known.
    fn variable(&mut self, name: &str) -> Option<Word>;
    /// The directory `~` stands for.
    fn home(&self) -> String;
    /// A command in the word: judged by the scope.
    fn script(&mut self, text: &str);
    /// Something in the word that nobody can judge.
    fn opaque(&mut self);
    /// The word sets a variable.
    fn assigns(&mut self, name: &str);
    /// A name in arithmetic: its value is evaluated in turn, and it may become another number.
    fn counts(&mut self, name: &str);
}

/// The value of an assignment, which is a number where it is nothing but arithmetic.
pub(super) fn expand_value(raw: &str, scope: &mut impl Scope) -> Word {
    let word = expand_one(raw, scope);
    let pieces = super::parsed(|| word::parse(raw, &ParserOptions::default())).unwrap_or_default();
    let counted = |pieces: &[WordPieceWithSource]| matches!(pieces, [piece] if matches!(piece.piece, WordPiece::ArithmeticExpression(_)));
    let quoted = |piece: &WordPieceWithSource| match &piece.piece {
        WordPiece::DoubleQuotedSequence(inner) => counted(inner),
        _ => false,
    };
    let number = counted(&pieces) || matches!(pieces.as_slice(), [piece] if quoted(piece));
    if number { Word::fixed(NUMBER) } else { word }
}

/// The words that one word of the line comes to: several where braces are expanded.
pub(super) fn expand(raw: &str, scope: &mut impl Scope) -> Vec<Word> {
    braces(raw).iter().map(|raw| expand_one(raw, scope)).collect()
}

pub(super) fn expand_one(raw: &str, scope: &mut impl Scope) -> Word {
    let mut word = Word::default();
    match super::parsed(|| word::parse(raw, &ParserOptions::default())) {
        Some(pieces) => add(&mut word, &pieces, false, raw, scope),
        None => {
            scope.opaque();
            word.dynamic = true;
        }
    }
    word
}

/// The body of a here-document whose end mark is not quoted.
pub(super) fn expand_document(raw: &str, scope: &mut impl Scope) -> Word {
    let mut word = Word::default();
    match super::parsed(|| word::parse_heredoc(raw, &ParserOptions::default())) {
        Some(pieces) => add(&mut word, &pieces, true, raw, scope),
        None => {
            scope.opaque();
            word.dynamic = true;
        }
    }
    word
}

fn add(word: &mut Word, pieces: &[WordPieceWithSource], quoted: bool, raw: &str, scope: &mut impl Scope) {
    for piece in pieces {
        let source = raw.get(piece.start_index..piece.end_index).unwrap_or(raw);
        match &piece.piece {
            WordPiece::Text(text) => {
                if !quoted {
                    word.glob |= text.contains(['*', '?', '[']);
                    // A list in braces that was too much for us, or a pattern of bash's own.
                    word.dynamic |= text.contains(['(', ')']) || has_list(text, raw);
                }
                word.text.push_str(text);
            }
            WordPiece::SingleQuotedText(text) => word.text.push_str(text),
            WordPiece::AnsiCQuotedText(text) if !text.contains('\\') => word.text.push_str(text),
            WordPiece::AnsiCQuotedText(_) => word.dynamic = true,
            WordPiece::EscapeSequence(text) => {
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some('\\'), Some('\n')) => {}
                    (Some('\\'), Some(c)) => word.text.push(c),
                    _ => word.dynamic = true,
                }
            }
            WordPiece::DoubleQuotedSequence(inner) | WordPiece::GettextDoubleQuotedSequence(inner) => {
                add(word, inner, true, raw, scope);
            }
            WordPiece::TildeExpansion(TildeExpr::Home) => word.text.push_str(&scope.home()),
            WordPiece::TildeExpansion(_) => word.dynamic = true,
            WordPiece::ParameterExpansion(parameter) => add_parameter(word, parameter, quoted, source, scope),
            WordPiece::CommandSubstitution(text) => {
                scope.script(text);
                word.dynamic = true;
            }
            WordPiece::BackquotedCommandSubstitution(text) => {
                scope.script(&text.replace("\\`", "`").replace("\\$", "$").replace("\\\\", "\\"));
                word.dynamic = true;
            }
            WordPiece::ArithmeticExpression(expression) => {
                arithmetic(&expression.value, scope);
                word.dynamic = true;
            }
        }
    }
}

fn add_parameter(word: &mut Word, expression: &ParameterExpr, quoted: bool, source: &str, scope: &mut impl Scope) {
    use Parameter::*;
    word.dynamic |= match expression {
        ParameterExpr::Parameter { parameter: Named(name), indirect: false } => match scope.variable(name) {
            Some(value) if !value.dynamic && (quoted || !value.text.contains([' ', '\t', '\n'])) => {
                word.text.push_str(&value.text);
                word.glob |= value.glob;
                false
            }
            _ => true,
        },
        ParameterExpr::Parameter {
            parameter:
                Special(
                    SpecialParameter::PositionalParameterCount
                    | SpecialParameter::LastExitStatus
                    | SpecialParameter::ProcessId
                    | SpecialParameter::LastBackgroundProcessId,
                ),
            indirect: false,
        } => {
            word.text.push_str(NUMBER);
            false
        }
        ParameterExpr::Parameter { parameter: Positional(_) | Special(_), indirect: false } => true,
        ParameterExpr::ParameterLength {
            parameter: Named(_) | NamedWithAllIndices { .. } | Positional(_) | Special(_),
            indirect: false,
        } => {
            word.text.push_str(NUMBER);
            false
        }
        ParameterExpr::Substring { offset, length, .. } => {
            arithmetic(&offset.value, scope);
            if let Some(length) = length {
                arithmetic(&length.value, scope);
            }
            opaque_parameter(source, scope);
            true
        }
        _ => {
            opaque_parameter(source, scope);
            true
        }
    };
}

/// `${x:-…}`, `${x%…}`, `${x[i]}` and the like: the result is not known, but what it reads and runs is.
fn opaque_parameter(source: &str, scope: &mut impl Scope) {
    let inner = source.trim_start_matches("${").trim_end_matches('}');
    let runs = inner.contains(['`', '$', '<', '>', '!']) || inner.contains('@') || inner.contains('[');
    let name: String = inner.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    // All of a list, or its indices.
    let listed = inner.strip_prefix('!').unwrap_or(inner);
    let listed = listed.strip_suffix("[@]").or_else(|| listed.strip_suffix("[*]"));
    let all = listed.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    if runs && !all {
        scope.opaque();
    }
    if name.is_empty() {
        return;
    }
    if inner[name.len()..].starts_with(":=") || inner[name.len()..].starts_with('=') {
        scope.assigns(&name);
    }
    scope.variable(&name);
}

/// `$((…))` and `((…))`: harmless when it is only numbers, names and operators.
pub(super) fn arithmetic(expression: &str, scope: &mut impl Scope) {
    // An index runs commands: `a[$(…)]`.
    if expression.contains(['`', '[', '\'', '"', '\\']) || expression.contains("$(") || expression.contains("${") {
        return scope.opaque();
    }
    for name in expression.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
        if name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            scope.counts(name);
        }
    }
}

/// Whether the unquoted text may open a `{a,b}` or `{1..3}`, the rest of which may be quoted.
fn has_list(text: &str, raw: &str) -> bool {
    text.contains('{') && (raw.contains(',') || raw.contains(".."))
}

/// `a{b,c}d` → `abd`, `acd`: plain lists only. The rest stays as it is and counts as not known.
fn braces(raw: &str) -> Vec<String> {
    if !raw.contains('{') || raw.contains(['$', '`', '\\', '\'', '"', '(']) {
        return vec![raw.to_owned()];
    }
    let mut done = Vec::new();
    let mut todo = vec![raw.to_owned()];
    while let Some(text) = todo.pop() {
        if done.len() + todo.len() > 64 {
            return vec![raw.to_owned()];
        }
        // The innermost list: the last `{` and the `}` after it.
        let list = text.rfind('{').and_then(|open| text[open..].find('}').map(|close| (open, open + close)));
        match list {
            Some((open, close)) if text[open..close].contains(',') => {
                // Braces around this list: their own commas would be taken apart wrongly.
                if text[..open].contains('{') && text[close..].contains('}') {
                    return vec![raw.to_owned()];
                }
                for item in text[open + 1..close].split(',').rev() {
                    todo.push(format!("{}{item}{}", &text[..open], &text[close + 1..]));
                }
            }
            _ => done.push(text),
        }
    }
    done
}
