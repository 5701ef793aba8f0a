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
    /// Which model works for the chat; without a name it is told.
    Model(Option<String>),
    /// How hard it thinks.
    Effort(Option<String>),
    /// Where the chat works, and the projects that it could be brought to.
    Project,
    /// Brings the chat to another directory: a path, or a number of that list.
    Bind(String),
    /// What has changed in the chat's directory.
    Diff,
    /// Words for the agent that want a plan and no change.
    Plan(Option<String>),
    /// Shortens the conversation to a summary, in its order.
    Compact,
    /// Looks over what is not committed; the words behind it are read with the message.
    Review,
    /// What the conversation, or everything in the chat, took of the model in the last days.
    Usage { days: u32 },
}

impl Conversing {
    /// It changes nothing for what was sent before it.
    pub fn only_looks(&self) -> bool {
        use Conversing::*;
        matches!(self, Threads | Diff | Usage { .. } | Project | Name(None) | Resume(None) | Model(None) | Effort(None))
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
        "name" => Ok(Conversing::Name(optional(rest))),
        "diff" => Ok(Conversing::Diff),
        "plan" => Ok(Conversing::Plan(optional(rest))),
        "compact" => Ok(Conversing::Compact),
        "review" => Ok(Conversing::Review),
        "model" => Ok(Conversing::Model(optional(rest))),
        "effort" => Ok(Conversing::Effort(optional(rest))),
        "cd" => Ok(optional(rest).map_or(Conversing::Project, Conversing::Bind)),
        "project" => Ok(optional(unbind(rest)).map_or(Conversing::Project, Conversing::Bind)),
        "usage" => days(rest).map(|days| Conversing::Usage { days }),
        _ => return None,
    })
}

fn optional(rest: &str) -> Option<String> {
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// `/project bind PATH` and `/project PATH` say the same.
fn unbind(rest: &str) -> &str {
    ["bind", "绑定"].iter().find_map(|word| rest.strip_prefix(word)).map_or(rest, |path| match path {
        "" => path,
        path if path.starts_with(char::is_whitespace) => path.trim_start(),
        _ => rest,
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
            ("diff", "", Some(Ok(Conversing::Diff))),
            ("plan", "the login page", Some(Ok(Conversing::Plan(Some("the login page".into()))))),
            ("compact", "", Some(Ok(Conversing::Compact))),
            ("model", "gpt-5.5", Some(Ok(Conversing::Model(Some("gpt-5.5".into()))))),
            ("effort", "", Some(Ok(Conversing::Effort(None)))),
            ("cd", "", Some(Ok(Conversing::Project))),
            ("cd", "..", Some(Ok(Conversing::Bind("..".into())))),
            ("project", "bind ~/web", Some(Ok(Conversing::Bind("~/web".into())))),
            ("project", "bind", Some(Ok(Conversing::Project))),
            ("project", "2", Some(Ok(Conversing::Bind("2".into())))),
            ("project", "binder", Some(Ok(Conversing::Bind("binder".into())))),
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
