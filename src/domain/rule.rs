//! What an approval that holds for longer than once covers.
//!
//! Runtimes are told *allow* and *decline* only: spans and rules are ally's own, so that they end.

use serde::{Deserialize, Serialize};

use super::gate::Ask;
use super::risk::Class;

/// How long an approval holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Until the task ends.
    Task,
    /// Twelve hours, or until `/new`.
    Hours,
    /// A rule of thirty days.
    Always,
}

impl Span {
    pub const ALL: [Span; 3] = [Span::Task, Span::Hours, Span::Always];

    pub fn as_str(self) -> &'static str {
        match self {
            Span::Task => "task",
            Span::Hours => "hours",
            Span::Always => "always",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|span| span.as_str() == text)
    }

    /// For how long; a task's ends with the task.
    pub fn ms(self) -> Option<i64> {
        match self {
            Span::Task => None,
            Span::Hours => Some(12 * 3_600_000),
            Span::Always => Some(30 * 86_400_000),
        }
    }
}

/// A request as it was judged when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub class: Class,
    /// The words that made it so, where they are not the whole.
    pub why: Option<String>,
    /// The sandbox holds what is asked for.
    pub sandboxed: bool,
    /// It is of no use without a network, and to allow it gives none.
    pub needs_network: bool,
}

/// What is covered, besides the place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "covers", rename_all = "snake_case")]
pub enum Subject {
    /// Any change of files below the directory that is no worse than what was allowed.
    Files,
    /// Commands that begin with these words, and have no more than plain ones behind them: no options, no settings.
    Leading { words: Vec<String> },
    /// This line and no other.
    Line { text: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covers {
    pub subject: Subject,
    pub directory: String,
    pub class: Class,
    pub sandboxed: bool,
}

impl Covers {
    /// What would be covered, `None` for requests that can be allowed only once.
    pub fn of(ask: &Ask, judged: &Judged) -> Option<Self> {
        let (subject, directory) = match ask {
            Ask::FileChange { directory, .. } => (Subject::Files, directory),
            // What is granted along is more than the words.
            Ask::Command { wanted, .. } if !wanted.is_empty() => return None,
            // What reads elsewhere is allowed as it was shown: more words may read more.
            Ask::Command { command, directory, .. } if judged.class > Class::Write => {
                (Subject::Line { text: command.clone() }, directory)
            }
            Ask::Command { command, directory, .. } => (subject(command, judged.class), directory),
            Ask::Permissions { .. } | Ask::Tool { .. } | Ask::Questions { .. } => return None,
        };
        if directory.is_empty() {
            // Nobody knows where it would hold.
            return None;
        }
        Some(Self { subject, directory: directory.clone(), class: judged.class, sandboxed: judged.sandboxed })
    }

    /// Whether another request is covered: of the same place, in the same sandbox, and no worse.
    pub fn includes(&self, ask: &Ask, judged: &Judged) -> bool {
        let Some(other) = Self::of(ask, judged) else { return false };
        // A class that can be allowed only once is never allowed by something that was said before.
        let fits = other.directory == self.directory
            && other.sandboxed == self.sandboxed
            && other.class <= self.class
            && other.class.lasts().task;
        fits && match (&self.subject, &other.subject) {
            (Subject::Files, Subject::Files) => true,
            (Subject::Leading { words }, Subject::Leading { words: theirs }) => {
                theirs.strip_prefix(words.as_slice()).is_some_and(|more| more.iter().all(|word| is_plain(word)))
            }
            (Subject::Line { text }, Subject::Line { text: theirs }) => text == theirs,
            _ => false,
        }
    }
}

/// Neither an option nor a setting: these may turn what a command does into something else.
fn is_plain(word: &str) -> bool {
    !word.starts_with(['-', '+', '@', ':']) && !word.contains('=')
}

/// Only lines without any quoting, expansion or operator have words that can be compared one by one.
fn subject(command: &str, class: Class) -> Subject {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | '/' | ':' | '=' | '@' | ',' | '+' | '-');
    let words: Vec<String> = command.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let is_program = words.first().is_some_and(|word| !word.contains('='));
    // Behind `make` alone stands which of all its targets is made; behind an option may stand its value.
    let told = class == Class::Read || words.len() > 1;
    let closed = words.last().is_some_and(|word| is_plain(word));
    match command.chars().all(plain) && is_program && told && closed {
        true => Subject::Leading { words },
        false => Subject::Line { text: command.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::Change;

    fn command(command: &str, directory: &str) -> Ask {
        Ask::Command {
            command: command.to_owned(),
            exact: String::new(),
            directory: directory.to_owned(),
            outside_sandbox: false,
            unsure: false,
            network: false,
            wanted: Vec::new(),
        }
    }

    fn judged(class: Class, sandboxed: bool) -> Judged {
        Judged { class, why: None, sandboxed, needs_network: false }
    }

    #[test]
    fn a_rule_covers_the_same_words_in_the_same_place_and_sandbox() {
        let rule = Covers::of(&command("npm test", "/p"), &judged(Class::Write, true)).unwrap();
        for (line, directory, class, sandboxed, want) in [
            ("npm test", "/p", Class::Write, true, true),
            ("npm test src/a.js", "/p", Class::Write, true, true),
            ("npm test --watch", "/p", Class::Write, true, false),
            ("npm test --script-s=./x", "/p", Class::Write, true, false),
            ("npm test A=./x", "/p", Class::Write, true, false),
            ("npm  test", "/p", Class::Read, true, true),
            ("npm testing", "/p", Class::Write, true, false),
            ("npm run test", "/p", Class::Write, true, false),
            ("npm test", "/q", Class::Write, true, false),
            ("npm test", "/p", Class::Write, false, false),
            ("npm test", "/p", Class::Fetch, true, false),
            ("npm test; rm -rf x", "/p", Class::Write, true, false),
            ("npm test $(x)", "/p", Class::Write, true, false),
            ("npm test\nls", "/p", Class::Write, true, false),
        ] {
            let got = rule.includes(&command(line, directory), &judged(class, sandboxed));
            assert_eq!(got, want, "{line} in {directory}, {class:?}, {sandboxed}");
        }
    }

    #[test]
    fn a_rule_is_for_the_line_alone_where_more_words_could_make_it_another() {
        for (made, class, line, want) in [
            ("make", Class::Write, "make", true),
            ("make", Class::Write, "make CC=./x deployProd", false),
            ("make", Class::Write, "make other", false),
            ("make lint", Class::Write, "make lint src", true),
            ("git clean -n", Class::Read, "git clean -n", true),
            ("git clean -n", Class::Read, "git clean -n -f --no-dry-run", false),
            ("git clean -n", Class::Read, "git clean -n src", false),
            ("ls", Class::Read, "ls src", true),
            ("ls", Class::Read, "ls -la", false),
        ] {
            let rule = Covers::of(&command(made, "/p"), &judged(class, true)).unwrap();
            assert_eq!(rule.includes(&command(line, "/p"), &judged(class, true)), want, "{made} for {line}");
        }
    }

    #[test]
    fn what_reads_elsewhere_is_covered_to_the_letter() {
        let rule = Covers::of(&command("cat /etc/hosts", "/p"), &judged(Class::ReadOut, true)).unwrap();
        assert!(rule.includes(&command("cat /etc/hosts", "/p"), &judged(Class::ReadOut, true)));
        assert!(!rule.includes(&command("cat /etc/hosts /x", "/p"), &judged(Class::ReadOut, true)));
        assert_eq!(Covers::of(&command("ls", ""), &judged(Class::Read, true)), None);
        let mut more = command("ls", "/p");
        if let Ask::Command { wanted, .. } = &mut more {
            wanted.push("write /x".to_owned());
        }
        assert_eq!(Covers::of(&more, &judged(Class::Read, true)), None);
    }

    #[test]
    fn what_is_more_than_words_is_covered_to_the_letter() {
        let rule = Covers::of(&command("A=1 make && ls", "/p"), &judged(Class::Write, true)).unwrap();
        assert!(rule.includes(&command("A=1 make && ls", "/p"), &judged(Class::Write, true)));
        assert!(!rule.includes(&command("A=1 make && ls -l", "/p"), &judged(Class::Write, true)));
    }

    #[test]
    fn files_are_covered_but_for_those_that_run_by_themselves() {
        let change = Change { path: "/p/a".to_owned(), kind: "add".to_owned(), diff: String::new() };
        let ask = Ask::FileChange { changes: vec![change], directory: "/p".to_owned() };
        let rule = Covers::of(&ask, &judged(Class::Write, true)).unwrap();
        assert!(rule.includes(&ask, &judged(Class::Write, true)));
        assert!(!rule.includes(&ask, &judged(Class::Autorun, true)));
        assert!(!rule.includes(&command("ls", "/p"), &judged(Class::Read, true)));
    }

    #[test]
    fn nothing_that_may_be_allowed_only_once_is_ever_covered() {
        for class in Class::ALL.into_iter().filter(|class| !class.lasts().task) {
            let rule = Covers::of(&command("x", "/p"), &judged(class, true)).unwrap();
            assert!(!rule.includes(&command("x", "/p"), &judged(class, true)), "{class:?}");
        }
    }
}
