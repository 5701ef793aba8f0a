//! What the bridge and the supervisor say to one another about the runtimes that the supervisor holds, one JSON line each.
//!
//! The supervisor holds the pipes of a runtime's process, so that it outlives the bridge. Input comes in whole lines; what
//! the process writes goes to a file, and the bridge is told how far that file has come. Positions count bytes since the
//! start of the process: they go on when the file is cut.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ids::Generation;

/// Which words both know. A bridge that knows others starts its runtimes itself.
pub const VERSION: u32 = 1;

/// The bridge's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Start a process and hold it.
    Spawn(Box<HeldChild>),
    /// This bridge reads and writes from here on; answered by [`Told::State`] or [`Told::Unknown`].
    Attach { generation: Generation },
    /// A line for the process, with its end.
    Write { generation: Generation, line: String },
    /// The process is to see the end of its input. The end of the bridge says nothing of the kind.
    Close { generation: Generation },
    /// So far the output was read: only what is unread counts against the limit.
    Read { generation: Generation, to: u64 },
    /// Nobody will ask for the output before this again. Done where it is all there is.
    Cut { generation: Generation, at: u64 },
}

/// A process to be held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldChild {
    pub generation: Generation,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    pub directory: PathBuf,
    /// It inherits this file locked.
    pub lock: PathBuf,
    /// Where its output goes.
    pub output: PathBuf,
}

/// The supervisor's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum Told {
    /// The process did not start.
    Failed { generation: Generation, detail: String },
    /// No such process is held.
    Unknown { generation: Generation },
    /// How it stands; said again whenever that changes.
    State(HeldState),
    /// The bridge is to end, and what is held stays for the next one.
    Leave,
}

/// How a held process stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldState {
    pub generation: Generation,
    pub pid: Option<u32>,
    /// How many bridges it has had, this one included.
    pub bridges: u32,
    /// The position of the file's first byte.
    pub base: u64,
    /// The position behind its last byte.
    pub written: u64,
    /// The process is dead; what it said may not all be there yet.
    #[serde(default)]
    pub died: Option<HeldEnd>,
    /// It is dead, and its output is complete.
    pub ended: Option<HeldEnd>,
}

impl HeldState {
    /// How it died, where it has.
    pub fn end(&self) -> Option<&HeldEnd> {
        self.ended.as_ref().or(self.died.as_ref())
    }
}

/// The end of a held process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEnd {
    /// In the system's words.
    pub how: String,
    /// Its last lines of stderr.
    pub stderr: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_one_line() {
        let generation = Generation(7);
        let write = Ask::Write { generation, line: "{\"id\":1}\n".to_owned() };
        let line = serde_json::to_string(&write).unwrap();
        assert_eq!(line, r#"{"ask":"write","generation":7,"line":"{\"id\":1}\n"}"#);
        assert_eq!(serde_json::from_str::<Ask>(&line).unwrap(), write);
        let ended = Some(HeldEnd { how: "exit status: 1".to_owned(), stderr: "a\nb".to_owned() });
        let state =
            Told::State(HeldState { generation, pid: Some(1), bridges: 2, base: 3, written: 4, died: None, ended });
        let line = serde_json::to_string(&state).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Told>(&line).unwrap(), state);
        // A supervisor that was started by an earlier program says less.
        let less = line.replace("\"died\":null,", "");
        assert!(less != line && serde_json::from_str::<Told>(&less).unwrap() == state, "{less}");
    }
}
