//! Commands about conversations and where they work: which one goes on, how it is called, what it cost.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ids::ThreadId;

/// One of these commands, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversing {
    /// The conversations of the chat.
    Threads,
    /// Goes on with one of them; without a number they are listed.
    Resume(Option<u32>),
    /// From the next message on in a copy.
    Fork,
    /// Calls the conversation by a name; without one its name is told.
    Name(Option<String>),
    /// What the conversation, or everything in the chat, took of the model in the last days.
    Usage { days: u32 },
}

impl Conversing {
    /// It changes nothing for what was sent before it.
    pub fn only_looks(&self) -> bool {
        matches!(
            self,
            Conversing::Threads | Conversing::Usage { .. } | Conversing::Name(None) | Conversing::Resume(None)
        )
    }
}

/// A row of `/threads`, as a number or a button refers to it later.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Listed {
    pub thread: ThreadId,
    pub directory: PathBuf,
    pub title: String,
    /// It was begun on the computer, not here.
    pub at_desk: bool,
}

/// The longest time that `/usage` looks back.
pub const MAX_DAYS: u32 = 90;

/// Reads a command of this group; `None` for any other word. `Err` where its words cannot be meant: it is explained.
pub fn parse(word: &str, rest: &str) -> Option<Result<Conversing, ()>> {
    Some(match word {
        "threads" => Ok(Conversing::Threads),
        "resume" => number(rest).map(Conversing::Resume),
        "fork" => Ok(Conversing::Fork),
        "name" => Ok(Conversing::Name((!rest.is_empty()).then(|| rest.to_owned()))),
        "usage" => days(rest).map(|days| Conversing::Usage { days }),
        _ => return None,
    })
}

fn number(rest: &str) -> Result<Option<u32>, ()> {
    match rest.trim_start_matches('#').trim_end_matches(['.', '。']) {
        "" => Ok(None),
        digits => digits.parse().map(Some).map_err(drop),
    }
}

/// `7d`, `7 天`, `7`; a day where nothing is said.
fn days(rest: &str) -> Result<u32, ()> {
    let digits = rest.trim_end_matches(['d', 'D', '天']).trim_end();
    match digits {
        "" if rest.is_empty() => Ok(1),
        digits => digits.parse().ok().filter(|days| (1..=MAX_DAYS).contains(days)).ok_or(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        for (word, rest, want) in [
            ("threads", "", Some(Ok(Conversing::Threads))),
            ("resume", "", Some(Ok(Conversing::Resume(None)))),
            ("resume", "#2", Some(Ok(Conversing::Resume(Some(2))))),
            ("resume", "the build", Some(Err(()))),
            ("fork", "", Some(Ok(Conversing::Fork))),
            ("name", "", Some(Ok(Conversing::Name(None)))),
            ("name", "Login page", Some(Ok(Conversing::Name(Some("Login page".into()))))),
            ("usage", "", Some(Ok(Conversing::Usage { days: 1 }))),
            ("usage", "7d", Some(Ok(Conversing::Usage { days: 7 }))),
            ("usage", "7 天", Some(Ok(Conversing::Usage { days: 7 }))),
            ("usage", "0", Some(Err(()))),
            ("usage", "d", Some(Err(()))),
            ("usage", "of the week", Some(Err(()))),
            ("stop", "", None),
        ] {
            assert_eq!(parse(word, rest), want, "{word} {rest}");
        }
    }
}
