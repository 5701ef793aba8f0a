//! What the control socket says of routines and the archive.

use serde::{Deserialize, Serialize};

/// A routine as lists tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutineReport {
    /// Its name; `NAME.yaml` where it is a file.
    pub name: String,
    /// `file`, `chat`, `agent`.
    pub source: String,
    /// `on`, `paused`; `broken`: it could never be read.
    pub state: String,
    /// As it is written: five fields, `every 6h`, a date.
    pub schedule: String,
    /// The zone in which it is due.
    pub zone: String,
    /// Its next due time, Unix milliseconds; `null` where it is paused, or was to run once.
    pub next_ms: Option<i64>,
    /// `owner`, or a channel and a chat.
    pub to: String,
    /// How far the agent may go by itself.
    pub autonomy: String,
    /// The newest run.
    pub last: Option<RunRow>,
    /// Runs that failed in a row.
    pub failures: u32,
    /// Why it does not do what its file says.
    pub problem: Option<String>,
}

/// A routine with all there is to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutineDetail {
    /// As in lists.
    #[serde(flatten)]
    pub report: RoutineReport,
    /// Its text, in YAML.
    pub text: String,
    /// Who made it in a chat.
    pub made_by: Option<String>,
    /// The next five due times, Unix milliseconds.
    pub upcoming: Vec<i64>,
    /// Runs, newest first.
    pub runs: Vec<RunRow>,
}

/// One run, or many that were skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// When it was due, Unix milliseconds.
    pub due_ms: i64,
    /// `waiting`, `running`, `over`, `skipped`.
    pub state: String,
    /// What came of it: `completed`, `failed`, `timed_out`, `stopped`, `cut_off`, `lost`, `cancelled`; or why it was
    /// skipped: `missed`, `overlap`.
    pub outcome: Option<String>,
    /// Of many that were skipped: the last.
    pub last_ms: Option<i64>,
    /// How many due times this is about.
    pub count: i64,
    /// It was made up for.
    pub late: bool,
    /// Who had it run out of its time.
    pub started_by: Option<String>,
    /// Which try.
    pub attempt: u32,
    /// The task that played it, for `ally turns show`.
    pub turn: Option<String>,
    /// The failure's own words.
    pub detail: Option<String>,
    /// When it was over, Unix milliseconds.
    pub over_at_ms: Option<i64>,
}

/// What is to become of a routine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutineWish {
    /// One run now, besides those of its schedule.
    Run,
    /// No more runs until it goes on.
    Pause,
    /// It goes on; what was due meanwhile is not made up for.
    Resume,
    /// It ends. One that is a file ends with its file.
    Remove,
    /// Files are looked at again.
    Reload,
}

/// Wants something of a routine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutineRequest {
    /// What.
    pub wish: RoutineWish,
}

/// How many runs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutineQuery {
    /// At most so many, newest first.
    pub runs: u32,
}

/// The archive was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveReport {
    /// Lines.
    pub turns: u64,
    /// Files.
    pub days: u64,
    /// Lines besides, of tasks that the ledger does not know.
    #[serde(default)]
    pub kept: u64,
}
