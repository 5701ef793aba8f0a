//! Redirections: what they open, and what a command reads from.

use brush_parser::ast::*;

use super::Judge;
use crate::domain::risk::words::{self, Word};
use crate::domain::risk::{Class, paths};

/// What a command reads from its standard input.
#[derive(Debug, Clone, Default)]
pub(in crate::domain::risk) struct Stdin {
    /// The text itself.
    pub text: Option<String>,
    /// The commands before it in the pipe print names of files below the current directory: this pattern stands for them.
    pub names: Option<&'static str>,
    /// Anything is connected at all.
    pub given: bool,
}

impl Stdin {
    /// Something, and nobody knows what.
    pub(super) fn unknown() -> Self {
        Self { given: true, ..Self::default() }
    }

    /// A text that stands in the line.
    fn of(word: Word) -> Self {
        Self { text: (!word.dynamic).then_some(word.text), names: None, given: true }
    }
}

impl Judge<'_> {
    /// Judges the targets of redirections; the result is what the command reads from.
    pub(super) fn redirects(&mut self, list: Option<&RedirectList>, stdin: &Stdin) -> Stdin {
        let mut stdin = stdin.clone();
        for redirect in list.iter().flat_map(|list| &list.0) {
            self.redirect(redirect, &mut stdin);
        }
        stdin
    }

    pub(super) fn redirect(&mut self, redirect: &IoRedirect, stdin: &mut Stdin) {
        use IoFileRedirectKind::*;
        let from = |fd: &Option<i32>, input: bool| fd.map_or(input, |fd| fd == 0);
        if let IoRedirect::File(fd, kind, _) = redirect
            && from(fd, matches!(kind, Read | ReadAndWrite | DuplicateInput))
        {
            *stdin = Stdin::unknown();
        }
        match redirect {
            IoRedirect::File(_, kind, IoFileRedirectTarget::Filename(word)) => {
                let (reads, writes) = match kind {
                    Read => (true, false),
                    ReadAndWrite => (true, true),
                    _ => (false, true),
                };
                self.target(word, reads, writes);
            }
            IoRedirect::File(_, kind, IoFileRedirectTarget::Duplicate(word)) => {
                let number = word.value.trim_end_matches('-');
                if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) || word.value == "-" {
                    return;
                }
                self.target(word, matches!(kind, DuplicateInput), true);
            }
            IoRedirect::File(_, _, IoFileRedirectTarget::Fd(_)) => {}
            IoRedirect::File(_, _, IoFileRedirectTarget::ProcessSubstitution(_, shell)) => {
                self.list(&shell.list);
            }
            IoRedirect::OutputAndError(word, _) => self.target(word, false, true),
            IoRedirect::HereString(fd, word) => {
                let word = words::expand_one(&word.value, self);
                let inner = self.take_inner();
                self.note(inner, "<<<");
                if from(fd, true) {
                    *stdin = Stdin::of(word);
                }
            }
            IoRedirect::HereDocument(fd, document) => {
                let word = match document.requires_expansion {
                    true => words::expand_document(&document.doc.value, self),
                    false => Word::fixed(document.doc.value.clone()),
                };
                let inner = self.take_inner();
                self.note(inner, "<<");
                if from(fd, true) {
                    *stdin = Stdin::of(word);
                }
            }
        }
    }

    /// A file that is opened by a redirection.
    fn target(&mut self, word: &brush_parser::ast::Word, reads: bool, writes: bool) {
        let mut class = Class::Read;
        for choice in self.choices(std::iter::once(word.value.as_str())) {
            self.chosen = choice;
            for target in self.expand(&word.value) {
                if reads {
                    class = class.max(paths::read(&target, &self.dirs, self.place));
                }
                if writes {
                    class = class.max(paths::write(&target, &self.dirs, self.place));
                }
            }
        }
        self.chosen.clear();
        let inner = self.take_inner();
        self.note(class.max(inner), &word.value);
    }
}
