//! What the bridge wants people to see, as data. A channel draws it (card, terminal); the words come from `words`.
//!
//! Views are stored as the wanted state of a surface, so they are serialisable and compared by their JSON.

use serde::{Deserialize, Serialize};

use super::gate::{Ask, Decision};
use super::ids::{ButtonId, GateId, MessageId, UserId};
use super::risk::Class;
use super::rule::{Span, Subject};
use super::setting::Setting;

/// The two languages of everything that ally itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Lang {
    #[serde(rename = "zh")]
    Zh,
    #[default]
    #[serde(rename = "en")]
    En,
}

/// A sentence in both, for who does not know which one is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Both {
    pub zh: String,
    pub en: String,
}

impl Both {
    pub fn text(&self, lang: Lang) -> &str {
        match lang {
            Lang::Zh => &self.zh,
            Lang::En => &self.en,
        }
    }
}

impl Lang {
    pub fn as_str(self) -> &'static str {
        match self {
            Lang::Zh => "zh",
            Lang::En => "en",
        }
    }

    /// Reads `zh`, `zh-CN`, `zh_CN.UTF-8`, `en`, `en_US` …; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("zh") => Some(Lang::Zh),
            Some("en") => Some(Lang::En),
            _ => None,
        }
    }
}

/// A surface's wanted picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "view", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one at a time, and in a box wherever it is kept")]
pub enum View {
    Live(LiveView),
    Gate(GateView),
    Gates(GatesView),
    Interrupted(InterruptedView),
    Queue(QueueView),
    Stale(StaleView),
    Status(StatusView),
    Help(HelpView),
    Stranger(StrangerView),
    Settings(SettingsView),
    /// One line of ally's own, replaced as things change.
    Notice(NoticeView),
    /// Rows to choose from.
    List(ListView),
}

impl View {
    /// The requests that a person can see in it.
    pub fn gates(&self) -> Vec<GateId> {
        match self {
            View::Gate(gate) => gate.gate.iter().cloned().collect(),
            View::Gates(gates) => gates.rows.iter().map(|row| row.gate.clone()).collect(),
            _ => Vec::new(),
        }
    }
}

/// A button as it is drawn: what it says is `role`, what it does is stored with `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub id: ButtonId,
    pub role: ButtonRole,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonRole {
    Stop,
    Allow,
    Decline,
    /// Allows for longer than once.
    AllowFor(Span),
    /// Lets the task reach the network.
    AllowNetwork,
    /// Sends the form with the reason.
    DeclineWhy,
    /// Allows request `n` of a list.
    AllowNumber(i64),
    DeclineNumber(i64),
    /// Allows the requests of low risk that the list showed.
    AllowLow,
    DeclineAll,
    /// Option `n` (0-based) of a question.
    Option(u32),
    /// Submits the card's form (free text, several questions).
    Submit,
    Skip,
    Continue,
    RunAgain,
    Dismiss,
    StartFresh,
    /// Compacts the thread, and runs the request again.
    Compact,
    Steer,
    Cancel,
    CancelAll,
    DoIt,
    TryAgain,
    Fork,
    KeepWaiting,
    /// Sends the form of a settings card.
    Save,
    /// Ends rule `n`.
    RevokeRule(i64),
    /// Makes the routine that the card shows.
    Create,
}

/// C1. Where a turn stands, in the words of the chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveView {
    /// First line of the request, cut to 24 characters.
    pub title: String,
    pub requester: String,
    pub project: String,
    pub started_at_ms: i64,
    pub state: LiveState,
    pub steps: Vec<Step>,
    /// Last 600 characters of the stream; never presented as the answer.
    pub draft: String,
    /// Retrying an unreachable model since then, while true.
    pub unreachable_since_ms: Option<i64>,
    pub stop: Option<Button>,
    pub direct: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LiveState {
    Running,
    /// Waiting for gate `number`, which `names` decide.
    Waiting {
        number: i64,
        names: String,
    },
    /// Nothing happens, and not for want of a decision.
    Paused {
        why: String,
    },
    Done {
        duration_ms: i64,
        tokens: Option<i64>,
    },
    Stopped {
        by: String,
        background: Background,
    },
    Failed,
    Interrupted,
    /// The input went into a turn that was already running.
    Merged,
    /// The task goes on at once, with the network.
    GoesOn {
        by: String,
    },
}

/// What is known of commands that ran in the background when a turn was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    None,
    Ended,
    MayRunOn,
}

/// One step of a turn: a tool call as a person would name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub what: StepKind,
    /// Command, path or tool name, at most 60 characters.
    pub object: String,
    pub state: StepState,
    pub started_at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    Command,
    FileChange,
    Tool,
    Search,
    /// By policy, without asking anybody.
    Refused,
    /// Allowed by a rule, without asking anybody.
    ByRule,
    Other,
}

impl StepKind {
    /// It may change files.
    pub fn works(self) -> bool {
        matches!(self, StepKind::Command | StepKind::FileChange | StepKind::Tool)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    Running,
    Ok,
    Failed,
}

/// C3 and C5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateView {
    /// Not drawn: what a person can see from the moment the picture is out.
    #[serde(default)]
    pub gate: Option<GateId>,
    pub number: i64,
    pub requester: String,
    pub project: String,
    /// Names of those who may decide.
    pub deciders: String,
    /// People to mention when the card is created.
    pub mention: Vec<UserId>,
    pub ask: Ask,
    /// The agent's own reason, unverified, at most 200 characters.
    pub claim: Option<String>,
    /// What it may do; nothing for questions.
    #[serde(default)]
    pub risk: Option<RiskShown>,
    pub state: GateShown,
    pub buttons: Vec<Button>,
    /// What a standing rule would cover, for the button that makes one.
    #[serde(default)]
    pub rule: Option<RuleOffer>,
    /// Nobody has answered for long, and nothing will happen by itself.
    #[serde(default)]
    pub paused: bool,
    #[serde(default)]
    pub opened_at_ms: i64,
    /// Shows the typed shortcut, with the bot's name to mention where the chat delivers only mentions.
    pub direct: bool,
    pub bot_name: String,
}

/// How risky a request is, in the words of the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskShown {
    pub class: Class,
    /// The words that made it so, where they are not the whole.
    pub why: Option<String>,
    pub sandboxed: bool,
    /// To allow it gives it no network, and it wants one.
    #[serde(default)]
    pub needs_network: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleOffer {
    pub subject: Subject,
    pub directory: String,
    pub sandboxed: bool,
    pub until_ms: i64,
}

/// The rule behind a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleShown {
    pub number: i64,
    pub span: Span,
    /// It decided; else the decision made it.
    pub applied: bool,
    pub made_at_ms: i64,
}

/// C4: several requests on one card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatesView {
    pub requester: String,
    pub project: String,
    pub deciders: String,
    pub mention: Vec<UserId>,
    /// Open ones first, at most [`MAX_GATE_ROWS`].
    pub rows: Vec<GateRow>,
    /// How many wait besides the rows.
    pub more: usize,
    /// What the button for those of low risk covers.
    pub low: Vec<i64>,
    pub buttons: Vec<Button>,
    pub paused: bool,
    pub direct: bool,
    pub bot_name: String,
}

/// Rows of a list of requests.
pub const MAX_GATE_ROWS: usize = 8;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateRow {
    pub gate: GateId,
    pub number: i64,
    pub ask: Ask,
    pub claim: Option<String>,
    pub risk: RiskShown,
    pub state: GateShown,
    /// Of this row; empty once it is decided.
    pub buttons: Vec<Button>,
    pub opened_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shown", rename_all = "snake_case")]
pub enum GateShown {
    Open,
    /// Decided before by somebody, then cut off: it may or may not have run. Open again.
    OpenAgain {
        who: String,
        at_ms: i64,
    },
    Decided {
        who: String,
        at_ms: i64,
        decision: Decision,
        #[serde(default)]
        rule: Option<RuleShown>,
    },
    /// Refused by policy: nobody was asked.
    Refused,
    Withdrawn,
    /// Void while still undecided: it did not run, and that is proven.
    Void,
    /// Void after a decision was on its way: it may have run.
    VoidMayHaveRun {
        who: String,
    },
}

impl GateShown {
    pub fn is_open(&self) -> bool {
        matches!(self, GateShown::Open | GateShown::OpenAgain { .. })
    }
}

/// C6.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InterruptedView {
    pub requester: String,
    pub mention: Option<UserId>,
    pub at_ms: i64,
    /// Steps known to have finished.
    pub certain: Vec<Step>,
    /// Steps that may have run.
    pub uncertain: Vec<Step>,
    /// codex closed the turn itself (its commands were ended) instead of dying with it.
    pub commands_ended: bool,
    /// Not a crash: ally was stopped by a person.
    pub shutdown: bool,
    /// The runtime's history of this conversation cannot be read any more.
    pub history_gone: bool,
    /// Last painted text, unfinished and unverified.
    pub partial: Option<String>,
    /// Words that people added meanwhile and that may not have been read.
    pub steers: Vec<String>,
    pub buttons: Vec<Button>,
    /// Set once somebody chose.
    pub chosen: Option<(ButtonRole, String)>,
}

/// C7: one a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueView {
    pub why: WaitReason,
    pub rows: Vec<QueueRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueRow {
    pub who: String,
    /// First 20 characters.
    pub text: String,
    pub steer: Option<Button>,
    pub cancel: Option<Button>,
    pub state: QueueRowState,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueRowState {
    Waiting,
    Started,
    Steered,
    BackToQueue,
    Cancelled { by: String },
}

/// Why a queued turn does not run yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wait", rename_all = "snake_case")]
pub enum WaitReason {
    Turn {
        who: String,
        since_ms: i64,
    },
    Gate {
        number: i64,
        names: String,
    },
    Directory,
    Limit,
    RuntimeRestarting,
    /// A turn with unknown outcome holds the conversation.
    Held,
    /// Open in another program.
    Elsewhere,
    /// The model or the account cannot be used; `text` says why in plain words.
    RuntimeTrouble {
        text: String,
    },
}

/// C15.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StaleView {
    pub sent_at_ms: i64,
    /// First 40 characters.
    pub text: String,
    /// How many others of the same chat wait for the same question.
    pub others: u32,
    pub buttons: Vec<Button>,
    pub chosen: Option<(ButtonRole, String)>,
}

/// C8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    pub project: String,
    pub running: u32,
    pub waiting: u32,
    pub queued: u32,
    pub channel_ok: bool,
    pub last_frame_ms: Option<i64>,
    pub runtime: String,
    pub runtime_ok: bool,
    /// Plain-word warnings, red.
    pub warnings: Vec<String>,
    /// Owner only: undelivered messages and the age of the oldest.
    pub undelivered: Option<(u32, Option<i64>)>,
    pub today: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HelpView {
    pub project: String,
    pub group: bool,
    pub bot_name: String,
}

/// C9: how a chat works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingsView {
    pub project: String,
    pub rows: Vec<SettingRow>,
    /// There is a row that the one who asked may change.
    pub save: Option<Button>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingRow {
    pub setting: Setting,
    pub value: String,
    /// What it can be changed to, itself included; empty where it is not his to change.
    pub choices: Vec<String>,
}

/// C10.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrangerView {
    pub owner: String,
    pub group: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoticeView {
    pub text: String,
    pub buttons: Vec<Button>,
}

/// A list that somebody asked for, each row with what can be done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListView {
    pub title: String,
    /// At most [`MAX_LIST_ROWS`].
    pub rows: Vec<ListRow>,
    /// Below the rows: what is left out, and how to go on in words.
    pub notes: Vec<String>,
}

/// Rows of a list: its card keeps the platform's limits with them.
pub const MAX_LIST_ROWS: usize = 20;

impl ListView {
    /// In the terminal, and where a card is refused: its rows are chosen in words.
    pub fn text(&self) -> String {
        let rows = self.rows.iter().map(|row| row.text.as_str());
        let lines = std::iter::once(self.title.as_str()).chain(rows).chain(self.notes.iter().map(String::as_str));
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListRow {
    pub text: String,
    pub buttons: Vec<Button>,
}

/// The one reaction that tells a message's state. Shapes differ, not only colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    Accepted,
    Queued,
    /// Waits for a person.
    Waiting,
    Done,
    /// Ended without an answer.
    Failed,
}

/// Result of a click, shown at once to the person who clicked (both languages at once).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toast {
    pub kind: ToastKind,
    pub zh: String,
    pub en: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToastKind {
    Info,
    Success,
    Warning,
    Error,
}

/// A message that quotes or forwards others, fetched on behalf of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quoted {
    pub message: Option<MessageId>,
    pub who: String,
    pub text: String,
}
