//! What the control socket says, as types. `--json` prints them as they are: fields are added, never renamed.

use serde::{Deserialize, Serialize};

use crate::domain::gate::Question;
use crate::domain::ids::{ConversationId, GateId, TurnId};
use crate::domain::rule::{Span, Subject};

/// Everything that `ally status` shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Version of the running ally.
    pub version: String,
    /// `$ALLY_HOME`.
    pub home: String,
    /// What the daemon is doing.
    pub state: DaemonState,
    /// Processes.
    pub pids: Pids,
    /// When the bridge was started, Unix milliseconds.
    #[serde(default)]
    pub since_ms: Option<i64>,
    /// Channels that are on.
    pub channels: Vec<ChannelReport>,
    /// The runtime, once it is known.
    pub runtime: Option<RuntimeReport>,
    /// Turns by state.
    pub turns: TurnCounts,
    /// Questions that wait for people.
    pub gates_open: u64,
    /// The owner has paused everything.
    #[serde(default)]
    pub locked: bool,
    /// The ledger was put back to an earlier state, and nobody has decided yet what becomes of what it calls unfinished.
    #[serde(default)]
    pub restored: bool,
    /// Messages on their way out.
    pub outbox: OutboxReport,
    /// Cards that do not show yet what they should.
    pub surfaces_pending: u64,
    /// The ledger, where it could be read.
    pub ledger: Option<LedgerReport>,
    /// Due time of the next routine, Unix milliseconds.
    pub next_routine: Option<i64>,
    /// Things a person should know.
    pub warnings: Vec<String>,
    /// The deaths of a daemon that does not come up.
    #[serde(default)]
    pub crashes: Option<CrashReport>,
}

impl StatusReport {
    /// An empty report of a home in some state.
    pub fn empty(home: String, state: DaemonState) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            home,
            state,
            pids: Pids::default(),
            since_ms: None,
            channels: Vec::new(),
            runtime: None,
            turns: TurnCounts::default(),
            gates_open: 0,
            locked: false,
            restored: false,
            outbox: OutboxReport::default(),
            surfaces_pending: 0,
            ledger: None,
            next_routine: None,
            warnings: Vec::new(),
            crashes: None,
        }
    }
}

/// A daemon that does not come up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashReport {
    /// Deaths since it last took work.
    pub count: u64,
    /// How the last one ended, in the system's words.
    pub last_exit: String,
    /// When that was, Unix milliseconds.
    pub at_ms: i64,
    /// It died so often that it rests: when the next try begins, or began.
    #[serde(default)]
    pub next_try_ms: Option<i64>,
}

/// What the daemon is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonState {
    /// Not ready yet.
    Starting,
    /// Takes and does work.
    Running,
    /// Takes no new work and ends what runs.
    Draining,
    /// No process.
    Stopped,
    /// Dies and is started again.
    Failing,
    /// There, and does not answer.
    Silent,
}

impl DaemonState {
    /// The word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            DaemonState::Starting => "starting",
            DaemonState::Running => "running",
            DaemonState::Draining => "draining",
            DaemonState::Stopped => "stopped",
            DaemonState::Failing => "failing",
            DaemonState::Silent => "silent",
        }
    }
}

/// Process ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pids {
    /// `ally run`.
    pub supervisor: Option<u32>,
    /// Its child.
    pub bridge: Option<u32>,
    /// The child of that.
    pub runtime: Option<u32>,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelReport {
    /// `feishu`, `local`.
    pub name: String,
    /// `connecting`, `connected`, `retrying`, `refused`.
    pub state: String,
    /// Age of the last inbound frame.
    pub last_frame_age_ms: Option<i64>,
    /// What is wrong and what to do.
    pub problem: Option<String>,
    /// The bot's name, once known.
    pub bot_name: Option<String>,
}

/// The runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuntimeReport {
    /// `codex`, `embedded`.
    pub kind: String,
    /// Its own version, once it is up.
    pub version: Option<String>,
    /// Number of the process.
    pub generation: Option<i64>,
    /// When it was started, Unix milliseconds.
    #[serde(default)]
    pub since_ms: Option<i64>,
    /// `starting`, `ready`, `down`, `stuck`.
    pub state: String,
    /// What is wrong and what to do.
    pub problem: Option<String>,
    /// Ignored settings and the like.
    pub warnings: Vec<String>,
}

/// Turns by state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnCounts {
    /// Accepted, not handed over.
    pub queued: u64,
    /// Being handed over.
    pub submitting: u64,
    /// At work.
    pub running: u64,
    /// Waiting for a person.
    pub waiting: u64,
    /// Ended within a day.
    pub settled_last_24h: u64,
    /// Late messages that wait for "still wanted?".
    pub late_waiting: u64,
}

/// Messages on their way out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxReport {
    /// Not attempted.
    pub ready: u64,
    /// Attempted, no answer.
    pub sending: u64,
    /// Given up.
    pub undeliverable: u64,
    /// Age of the oldest that was not sent.
    pub oldest_unsent_age_ms: Option<i64>,
    /// Why the oldest has not been sent, in the channel's words.
    #[serde(default)]
    pub problem: Option<String>,
    /// What to do about it, where only a person can.
    #[serde(default)]
    pub advice: Option<String>,
}

/// The ledger file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerReport {
    /// Its path.
    pub path: String,
    /// Its size with the write-ahead log.
    pub bytes: u64,
    /// Schema version.
    pub schema: u32,
    /// Turns in it.
    pub turns: u64,
    /// Why it takes no writes, and what to do.
    #[serde(default)]
    pub problem: Option<String>,
    /// Steps of SQLite's machine since the bridge began; none where no bridge runs.
    #[serde(default)]
    pub steps: Option<u64>,
    /// Pages that commits have written since then.
    #[serde(default)]
    pub pages_written: Option<u64>,
}

/// Which turns are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnsQuery {
    /// Only those with a message that could not be delivered.
    #[serde(default)]
    pub undelivered: bool,
    /// Only those that are not settled.
    #[serde(default)]
    pub active: bool,
    /// At most so many, newest first.
    #[serde(default = "default_limit")]
    pub limit: u32,
}

fn default_limit() -> u32 {
    20
}

impl Default for TurnsQuery {
    fn default() -> Self {
        Self { undelivered: false, active: false, limit: default_limit() }
    }
}

/// One turn in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnRow {
    /// Its id.
    pub id: TurnId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Channel and chat in words.
    pub chat: String,
    /// `queued`, `submitting`, `running`, `waiting`, `settled`.
    pub state: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// Who asked.
    pub requester: String,
    /// First line of the request.
    pub title: String,
    /// Unix milliseconds.
    pub created_at_ms: i64,
    /// Unix milliseconds.
    pub settled_at_ms: Option<i64>,
    /// Messages of it that could not be delivered.
    pub undelivered: u64,
}

/// One turn with everything that `turns show` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnDetail {
    /// The row.
    pub row: TurnRow,
    /// Working directory.
    pub directory: String,
    /// Runtime and thread, for people who look there.
    pub runtime: String,
    /// The whole request.
    pub prompt: String,
    /// The whole answer.
    pub answer: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// What became of each message, in words.
    pub deliveries: Vec<String>,
}

/// One question that waits for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRow {
    /// Its id.
    pub id: GateId,
    /// Its number in the chat.
    pub number: i64,
    /// Its turn.
    pub turn: TurnId,
    /// Its conversation: numbers count in each by itself.
    pub conversation: ConversationId,
    /// Channel and chat in words.
    pub chat: String,
    /// What is asked, one line.
    pub what: String,
    /// The questions to answer; none where it is a request to allow.
    pub questions: Vec<Question>,
    /// Unix milliseconds.
    pub opened_at_ms: i64,
}

/// Answers to the questions of one gate, in their order; an empty one leaves its question open.
#[derive(Clone, Serialize, Deserialize)]
pub struct AnswerRequest {
    /// An option's number, or words.
    pub answers: Vec<String>,
}

/// They may be secret: no log ever shows them.
impl std::fmt::Debug for AnswerRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AnswerRequest({})", self.answers.len())
    }
}

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerReport {
    /// What was answered.
    pub gate: GateId,
    /// In words.
    pub told: String,
}

/// What was allowed for longer than once, and is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRow {
    /// `R7` without its letter.
    pub number: i64,
    /// The chat in which it holds.
    pub chat: String,
    /// `task`, `hours`, `always`.
    pub span: Span,
    /// What it covers.
    pub subject: Subject,
    /// Where.
    pub directory: String,
    /// The worst that it covers.
    pub class: String,
    /// Only in the sandbox, or only outside of it.
    pub sandboxed: bool,
    /// Who allowed it.
    pub made_by: String,
    /// Unix milliseconds.
    pub made_at_ms: i64,
    /// Unix milliseconds; `null` ends with its task.
    pub until_ms: Option<i64>,
    /// Times that it allowed something.
    pub uses: i64,
    /// Unix milliseconds.
    pub last_used_ms: Option<i64>,
}

/// Pauses everything, or lets it go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRequest {
    /// What is wanted.
    pub locked: bool,
}

/// What a lock stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockReport {
    /// False where it stood like that before.
    pub changed: bool,
    /// Who asked for the tasks that were stopped, and for what.
    pub cut: Vec<CutRow>,
    /// They wait for the lock to be opened.
    pub queued: u64,
}

/// Wants a copy of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRequest {
    /// An absolute path at which there is nothing yet.
    pub file: std::path::PathBuf,
}

/// A copy of the ledger, whole and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Where it lies.
    pub file: std::path::PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Turns in it.
    pub turns: u64,
    /// Its schema.
    pub schema: u32,
}

/// What is to become of all that waits since the ledger was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredRequest {
    /// It goes on; else it is dropped.
    pub go_on: bool,
}

/// What waits since the ledger was put back to an earlier state, or what was decided about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredReport {
    /// When that was recognised, Unix milliseconds; `null` when nothing waits for a decision.
    pub at_ms: Option<i64>,
    /// Tasks that it calls unfinished.
    pub tasks: Vec<CutRow>,
    /// Messages that it calls unsent.
    pub messages: u64,
    /// Messages that nobody has looked at.
    pub inbound: u64,
}

/// One task that a lock stopped, or that waits since the ledger was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutRow {
    /// Its id.
    pub turn: TurnId,
    /// Who asked.
    pub requester: String,
    /// First line of the request.
    pub title: String,
}

/// Since when the audit is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditQuery {
    /// Unix milliseconds.
    pub since_ms: i64,
}

/// One thing that was decided or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Where, as far as that is known.
    pub chat: Option<String>,
    /// The id of who did it; `ally`, `policy` and `computer` are nobody in a chat.
    pub who: String,
    /// How people call them.
    pub name: Option<String>,
    /// A short code that never changes.
    pub what: String,
    /// The id of what it is about.
    pub subject: String,
    /// The same in words.
    pub about: String,
    /// What was chosen.
    pub detail: String,
}

/// A one-time code that makes its sender the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCode {
    /// Eight characters.
    pub code: String,
    /// Until when, Unix milliseconds.
    pub valid_until_ms: i64,
}

/// Whether the owner is to be greeted a second time where the first greeting could not be delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GreetRequest {
    /// It is.
    pub anew: bool,
}

/// How far the greeting of the owner has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum GreetReport {
    /// Nobody owns the bot.
    NoOwner,
    /// The owner has no chat with the bot, and cannot be written to without one.
    NoChat,
    /// It is on its way.
    Sending {
        /// What keeps it.
        problem: Option<String>,
    },
    /// The owner has it.
    Sent,
    /// It will not arrive.
    Undeliverable {
        /// In the platform's words.
        problem: String,
    },
}

/// What an administrator of the organisation has to approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// The version of the app that was handed in.
    Version,
    /// The right to read what others say in groups.
    GroupContext,
}

/// An approval that is to be waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// Of what.
    pub what: Approval,
    /// Of which app: the daemon may have been started with another one.
    pub app_id: String,
}

/// How it stands with an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ApprovalReport {
    /// It was given, and is in force.
    Approved,
    /// It is looked for from now on, and the owner hears of it.
    Waiting,
    /// There is no owner to be told, so nobody looks for it.
    NoOwner,
    /// The app has no right to see it, so nobody could tell.
    Untold,
}

/// A card that was sent to be pressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PressReport {
    /// Its name; `null` where there is no owner, or no way to send it.
    pub name: Option<String>,
}

/// How far such a card has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PressState {
    /// It is in the chat.
    pub shown: bool,
    /// It will not be there.
    pub given_up: bool,
    /// The click came back.
    pub pressed: bool,
}

/// How the daemon is to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRequest {
    /// Only tell what would be cut.
    #[serde(default)]
    pub preview: bool,
    /// Cut running turns at once instead of giving them the grace.
    #[serde(default)]
    pub now: bool,
}

/// What a stop cuts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainPreview {
    /// Running: they get the grace.
    pub running: Vec<TurnRow>,
    /// Waiting for a person: they are interrupted at once, and can be continued.
    pub waiting: Vec<TurnRow>,
    /// Queued: they stay.
    pub queued: u64,
    /// Seconds that running turns get.
    pub grace_seconds: u64,
}

/// Moves the clock (test builds only).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Warp {
    /// Milliseconds forward.
    pub offset_ms: i64,
    /// Times as fast.
    pub speed: f64,
}

/// A refusal, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// In plain words.
    pub error: String,
}
