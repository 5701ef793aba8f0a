//! What a shell command or a file change may do, as one of eleven classes. Pure: looks at words and paths only.
//!
//! A class that is too low is a fault, one that is too high costs a question. So every list here names what is known to
//! be harmless, and the rest is [`Class::Unknown`]. What words cannot tell: where a symlink leads, what the files hold that
//! a build or a test runs, which names a bare `*` meets. The sandbox holds those.

mod paths;
mod programs;
mod shell;
mod words;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use paths::{file_change, file_read};

/// What a command does, from the least to the most that has to be asked for: `max` is the worst part of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Reads the project.
    Read,
    /// Changes the project: edits, builds, tests.
    Write,
    /// Reads outside of the project.
    ReadOut,
    /// Loads something from the network.
    Fetch,
    /// Changes things outside of the project.
    WriteOut,
    /// Changes files that run by themselves.
    Autorun,
    /// Acts on others: sends, publishes, deploys.
    Publish,
    /// May be irreversible.
    Destroy,
    /// Cannot be judged.
    Unknown,
    /// Takes more rights, or changes what watches over the agent.
    Privilege,
    /// Reads secrets.
    Secret,
}

/// Who has to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Passes in the sandbox, or the requester decides.
    Inside,
    /// An approver decides.
    Outside,
    /// An approver or the owner decides, and confirms.
    Red,
}

impl Class {
    pub const ALL: [Class; 11] = [
        Class::Read,
        Class::Write,
        Class::ReadOut,
        Class::Fetch,
        Class::WriteOut,
        Class::Autorun,
        Class::Publish,
        Class::Destroy,
        Class::Unknown,
        Class::Privilege,
        Class::Secret,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Class::Read => "read",
            Class::Write => "write",
            Class::ReadOut => "read-out",
            Class::Fetch => "fetch",
            Class::WriteOut => "write-out",
            Class::Autorun => "autorun",
            Class::Publish => "publish",
            Class::Destroy => "destroy",
            Class::Unknown => "unknown",
            Class::Privilege => "privilege",
            Class::Secret => "secret",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }

    pub fn tier(self) -> Tier {
        match self {
            Class::Read | Class::Write => Tier::Inside,
            Class::ReadOut | Class::Fetch | Class::WriteOut | Class::Autorun | Class::Publish => Tier::Outside,
            Class::Destroy | Class::Unknown | Class::Privilege | Class::Secret => Tier::Red,
        }
    }
}

/// For how long an approval may hold besides once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasts {
    /// For the rest of the task.
    pub task: bool,
    /// For the task, or for twelve hours.
    pub hours: bool,
    /// As a rule of thirty days.
    pub always: bool,
}

impl Lasts {
    pub const ONCE: Lasts = Lasts { task: false, hours: false, always: false };
}

impl Class {
    pub fn lasts(self) -> Lasts {
        let (task, hours, always) = match self {
            Class::Read | Class::Write => (true, true, true),
            Class::ReadOut => (true, true, false),
            Class::Fetch
            | Class::WriteOut
            | Class::Autorun
            | Class::Publish
            | Class::Destroy
            | Class::Unknown
            | Class::Privilege
            | Class::Secret => (false, false, false),
        };
        Lasts { task, hours, always }
    }

    /// Needs a second look before it is allowed, and is never allowed by a typed word.
    pub fn is_red(self) -> bool {
        self.tier() == Tier::Red
    }
}

/// Where a command runs. Absolute paths without symlinks; the caller resolves them.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What the conversation may change.
    pub project: &'a Path,
    /// Where the command starts: the project or a directory in it.
    pub directory: &'a Path,
    pub home: &'a Path,
    /// The directory for temporary files that belongs to this conversation alone.
    pub temp: Option<&'a Path>,
    pub ally_home: &'a Path,
}

/// One command of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub class: Class,
    /// Its words, as far as they are known.
    pub words: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The worst of the parts.
    pub class: Class,
    /// The words of the first part that is as bad as that.
    pub why: String,
    /// In the order in which they stand in the line.
    pub parts: Vec<Part>,
}

impl Verdict {
    fn of(parts: Vec<Part>) -> Self {
        let worst = parts.iter().map(|part| part.class).max().unwrap_or(Class::Read);
        let why = parts.iter().find(|part| part.class == worst).map(|part| part.words.clone()).unwrap_or_default();
        Self { class: worst, why, parts }
    }

    fn unknown(why: &str) -> Self {
        Self::of(vec![Part { class: Class::Unknown, words: why.to_owned() }])
    }
}

/// Longer lines are not judged.
pub const MAX_LINE: usize = 16 * 1024;

/// Judges a whole command line as a shell would read it.
pub fn command(line: &str, place: &Place<'_>) -> Verdict {
    if line.trim().is_empty() || line.len() > MAX_LINE || line.chars().any(is_hidden) {
        return Verdict::unknown(line);
    }
    match shell::Judge::new(place).line(line) {
        Some(parts) => Verdict::of(parts),
        None => Verdict::unknown(line),
    }
}

/// What the parser says, `None` if it does not understand the line or panics: some of its numbers and here-documents do.
fn parsed<T, E>(parse: impl FnOnce() -> Result<T, E>) -> Option<T> {
    // It keeps nothing from one call to the next that could be left half done.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(parse)).ok()?.ok()
}

/// Characters that make a line look different from what it does.
fn is_hidden(c: char) -> bool {
    let invisible =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    (c.is_control() && c != '\n' && c != '\t') || invisible
}
