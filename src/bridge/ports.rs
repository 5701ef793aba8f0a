//! The two ports: where people talk ([`Channel`]) and what does the work ([`Launcher`], [`Runtime`]).
//!
//! No lowest common denominator: a runtime states its [`Capabilities`] and the bridge decides by them, never by a name.
//! Native ids and cursors are opaque; native payloads are kept where something must go back verbatim.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::domain::delivery::{Body, Disposition, Obstacle, Target};
use crate::domain::finding::Finding;
use crate::domain::gate::{Ask, Choice, Decision};
pub use crate::domain::history::Evidence;
use crate::domain::history::{ChangedFile, Failure, History};
use crate::domain::ids::*;
pub use crate::domain::level::Level;
use crate::domain::message::{ChatKind, Decoded, Sender};
use crate::domain::safety::Tried;
pub use crate::domain::tool::ToolAccess;
use crate::domain::view::{Background, Both, Lang, Quoted, Receipt, Step, Toast, View};

pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

// ------------------------------------------------------------------------------------------------ intake

/// What a channel hands its events to. The implementation commits before the future resolves (W1).
pub trait Intake: Send + Sync + 'static {
    /// Queues the event for its commit **before it returns**, so that calls made in order commit in order; the future
    /// resolves after the commit. Only then may the platform be told that the event was taken.
    ///
    /// `raw` is kept with the row and must be what [`Channel::decode`] reads.
    fn accept(
        &self,
        channel: &ChannelName,
        raw: String,
        decoded: Decoded,
    ) -> Boxed<'static, Result<Accepted, NotStored>>;

    /// The channel learned who the bot is; from now on mentions and tenants can be judged.
    fn bot_known(&self, channel: &ChannelName, bot: BotIdentity);

    /// The channel hears events from now on. Said before the first of them is handed in; `silent_ms` is how long it heard
    /// nothing, `None` at its start.
    fn hears(&self, _channel: &ChannelName, _silent_ms: Option<i64>) {}

    /// Counts something odd that was survived (bad frame, unreadable event), by a stable name.
    fn anomaly(&self, channel: &ChannelName, what: &'static str);
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Stored, or recognised as a repetition.
    Stored,
    /// A click, with what to show at once.
    Answer(Toast),
}

/// W1 could not commit. Nothing may be acknowledged as taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be stored: {reason}")]
pub struct NotStored {
    pub reason: String,
    /// Its sender is somebody whom ally works for, and may be told.
    pub may_be_told: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotIdentity {
    pub user: UserId,
    pub name: String,
    pub tenant: Option<String>,
}

// ------------------------------------------------------------------------------------------------ channel

/// Where people talk. All methods may be called at the same time from many tasks.
pub trait Channel: Send + Sync + 'static {
    fn name(&self) -> ChannelName;
    fn limits(&self) -> ChannelLimits;

    /// Reads a stored raw event again (W1b after a restart). Pure.
    fn decode(&self, raw: &str) -> Result<Decoded, DecodeError>;

    /// Sends one message. `form` 0 is the richest; a [`Disposition::NextForm`] asks for the next one.
    fn send<'a>(&'a self, out: &'a Outgoing) -> Boxed<'a, Result<Sent, SendError>>;

    /// The platform's clock, as far as its answers have told it: by that one it forgets the keys of what was sent.
    fn platform_ms(&self) -> Option<i64>;
    /// The same; where it is not known the platform is asked. `None` when it cannot be reached.
    fn ask_platform_ms(&self) -> Boxed<'_, Option<i64>>;

    /// Looks for a message of unknown fate. `Ok(None)` means that it is certainly not there.
    fn find_sent<'a>(&'a self, lookup: &'a Lookup) -> Boxed<'a, Result<Option<MessageId>, SendError>>;

    /// Shows a card, once for each key.
    fn create_card<'a>(&'a self, card: &'a CardOut) -> Boxed<'a, Result<Sent, SendError>>;
    /// The card that one of these buttons was drawn on, where it can be found: its creation was told without its id. A
    /// channel that always tells it has nothing to look for.
    fn card_with<'a>(
        &'a self,
        _target: &'a Target,
        _buttons: &'a [ButtonId],
    ) -> Boxed<'a, Result<Option<MessageId>, SendError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// Replaces what a card shows. [`Disposition::WithoutReply`] says that there is no such card (any more).
    fn update_card<'a>(
        &'a self,
        message: &'a MessageId,
        view: &'a View,
        lang: Lang,
    ) -> Boxed<'a, Result<(), SendError>>;

    /// Adds the reaction that stands for a receipt; gives the id by which it can be taken away.
    fn react<'a>(&'a self, message: &'a MessageId, receipt: Receipt) -> Boxed<'a, Result<String, SendError>>;
    fn unreact<'a>(&'a self, message: &'a MessageId, reaction: &'a str) -> Boxed<'a, Result<(), SendError>>;
    /// After a reaction of unknown fate: takes away all of ours but the one that stands for `keep`, and gives that one's
    /// id, if it is there. A channel that never is in doubt has nothing to do.
    fn tidy_reactions<'a>(
        &'a self,
        _message: &'a MessageId,
        _keep: Receipt,
    ) -> Boxed<'a, Result<Option<String>, SendError>> {
        Box::pin(async { Ok(None) })
    }

    /// Uploads a file or picture once; its key is recorded before the message that shows it is sent.
    fn upload<'a>(&'a self, body: &'a Body, path: &'a Path) -> Boxed<'a, Result<ResourceKey, SendError>>;
    /// Fetches an attachment into `into` (created, at most `max_bytes`).
    fn download<'a>(
        &'a self,
        from: &'a Attachment,
        into: &'a Path,
        max_bytes: u64,
    ) -> Boxed<'a, Result<u64, FetchError>>;
    /// The text of a quoted message, or of everything in a forward, oldest first.
    fn quoted<'a>(&'a self, message: &'a MessageId) -> Boxed<'a, Result<Vec<Quoted>, FetchError>>;

    /// What people said in a place between two moments, oldest first: the newest that fit. Neither bots' words nor the
    /// platform's own. A channel that cannot read back has nothing to tell.
    fn said_between<'a>(&'a self, _span: &'a Span) -> Boxed<'a, Result<Vec<Quoted>, FetchError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Whether what was said while nobody listened can be read back with [`Channel::read_back`].
    fn reads_back(&self) -> bool {
        false
    }

    /// What people said to the bot in a place since a moment, and what of it they took back; oldest first.
    fn read_back<'a>(&'a self, _place: &'a Place) -> Boxed<'a, Result<ReadBack, FetchError>> {
        Box::pin(std::future::ready(Ok(ReadBack::default())))
    }

    /// A person's name, if it can be had within the call's deadline (2 s).
    fn user_name<'a>(&'a self, chat: &'a ChatId, user: &'a UserId) -> Boxed<'a, Option<String>>;
    fn chat_name<'a>(&'a self, chat: &'a ChatId) -> Boxed<'a, Option<String>>;

    /// Whether people of other companies are in a chat; `None` where that cannot be had within the deadline.
    fn is_external<'a>(&'a self, _chat: &'a ChatId) -> Boxed<'a, Option<bool>> {
        Box::pin(std::future::ready(Some(false)))
    }

    /// The right that the bot would need, where an upload was refused for want of one.
    fn right_to_upload(&self, _error: &SendError) -> Option<&'static str> {
        None
    }

    /// A name by which messages reach a person with whom no chat is known yet. It is no chat: nobody writes from there, and
    /// nothing can be looked up in it.
    fn chat_with(&self, _user: &UserId) -> Option<ChatId> {
        None
    }

    /// What an error is about that says [`Disposition::Undeliverable`].
    fn obstacle(&self, error: &SendError) -> Obstacle;

    /// What a person can do about a refusal that nothing else ends (credentials, a missing right, a used-up quota).
    fn advice(&self, _code: i64) -> Option<Both> {
        None
    }

    fn health(&self) -> ChannelHealth;
}

/// A stretch of a chat, or of one of its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub chat: ChatId,
    pub topic: Option<TopicId>,
    /// Unix milliseconds by the platform's clock: what was said after this one …
    pub after_ms: i64,
    /// … and not after this one.
    pub until_ms: i64,
    /// Messages at most.
    pub limit: usize,
}

/// A chat, or one of its topics, from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub chat: ChatId,
    pub kind: ChatKind,
    pub topic: Option<TopicId>,
    /// Unix milliseconds by the platform's clock.
    pub since_ms: i64,
}

/// What was read back of a place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadBack {
    pub said: Vec<Missed>,
    /// Topics that were seen: what was said in them is read apart.
    pub topics: Vec<TopicId>,
    /// There was more than is read at once; the newest was read.
    pub cut: bool,
}

/// A message, or that it was recalled.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    /// As [`Channel::decode`] reads it.
    pub raw: String,
    pub decoded: Decoded,
    pub sender: Sender,
    /// Our app has answered it.
    pub answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelLimits {
    /// Characters of one answer part.
    pub part_chars: usize,
    /// Parts of an answer before the rest goes into a file.
    pub max_parts: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    pub cards: bool,
    pub reactions: bool,
    /// A message that ally did not get is told from others only by the reaction that it lacks.
    pub unmarked_is_lost: bool,
    /// Least time between two updates of one card.
    pub update_every_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored event cannot be read: {reason}")]
pub struct DecodeError {
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    pub delivery: DeliveryId,
    /// Idempotency key: one for all forms, and for reply or create.
    pub key: String,
    pub target: Target,
    pub body: Body,
    pub form: u32,
    pub lang: Lang,
    /// Already uploaded resource of a file or image body.
    pub resource: Option<ResourceKey>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CardOut {
    pub delivery: DeliveryId,
    pub key: String,
    pub target: Target,
    pub view: View,
    pub lang: Lang,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Absent when the platform said "already sent" without telling which message that is.
    pub message: Option<MessageId>,
    /// The topic that the message lies in, where the platform says so.
    pub topic: Option<TopicId>,
    /// The platform's clock at the answer, Unix milliseconds.
    pub platform_ms: Option<i64>,
}

/// What is known of a message whose sending had no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    pub delivery: DeliveryId,
    pub target: Target,
    pub topic: Option<TopicId>,
    /// Before the first attempt, by the platform's clock as far as it was known then. Unix milliseconds.
    pub since_ms: i64,
    /// What was sent, and in which form: only a message that says exactly this is the one.
    pub body: Body,
    pub form: u32,
    pub lang: Lang,
    pub resource: Option<ResourceKey>,
    /// Messages and cards of ours of about that time that are known to be something else.
    pub known: Vec<MessageId>,
}

/// A refused, failed or unanswered call, already judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} failed{}: {detail}", code.map(|c| format!(" with code {c}")).unwrap_or_default())]
pub struct SendError {
    pub what: &'static str,
    pub code: Option<i64>,
    pub detail: String,
    pub disposition: Disposition,
    /// The platform's clock at the answer, where there was one.
    pub platform_ms: Option<i64>,
}

impl SendError {
    /// The same call may go well later.
    pub fn may_pass(&self) -> bool {
        matches!(
            self.disposition,
            Disposition::RetryAfter { .. } | Disposition::Paused { .. } | Disposition::Ambiguous { .. }
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub message: MessageId,
    pub key: ResourceKey,
    pub is_image: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("it is larger than {max_bytes} bytes")]
    TooLarge { max_bytes: u64 },
    /// A missing right: `scope` is what the operator must add.
    #[error("the bot may not read it (missing right: {scope})")]
    NotAllowed { scope: String },
    #[error("it is gone")]
    Gone,
    /// Worth another try.
    #[error("it could not be fetched: {reason}")]
    Unavailable { reason: String },
    #[error("it cannot be read: {reason}")]
    Unreadable { reason: String },
}

/// A channel's state as `status` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelHealth {
    pub state: ChannelState,
    /// Last inbound frame of any kind, Unix milliseconds.
    pub last_frame_at_ms: Option<i64>,
    /// Since when the state holds, Unix milliseconds.
    pub since_ms: i64,
    /// What is wrong, in plain words, and what to do about it.
    pub problem: Option<Both>,
    pub bot_name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    Connecting,
    Connected,
    /// Down and trying again by itself.
    Retrying,
    /// Needs a person (credentials, app disabled …); still tried, slowly.
    Refused,
}

// ------------------------------------------------------------------------------------------------ runtime

/// What a runtime can do. The bridge asks this, never the runtime's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    pub resume: bool,
    pub steer: bool,
    pub interrupt: bool,
    /// A pull finds turns by our client id and tells how they ended.
    pub read_back: bool,
    pub ask: bool,
    pub images: bool,
    pub model_switch: bool,
    pub per_thread_directory: bool,
    pub fork: bool,
    /// A thread can be compacted, see [`Runtime::compact`].
    pub compact: bool,
    /// A turn can be held to making a plan.
    pub plan: bool,
    /// What it runs is held by a sandbox unless a request says otherwise.
    pub sandbox: bool,
}

/// One kind of runtime with its configuration: finds the program, starts it, and knows how to make sure that it is dead.
pub trait Launcher: Send + Sync + 'static {
    /// Stable name, stored with conversations and turns (`codex`, `embedded`).
    fn kind(&self) -> &'static str;
    /// The runtime's own data directory. A conversation's thread lives in one home.
    fn home(&self) -> PathBuf;
    /// The command by which a person signs it in, where there is one: for the owner, as a shell takes it.
    fn login(&self) -> Option<String> {
        None
    }

    /// Starts the process and says nothing to it yet: its identity is committed first.
    fn spawn<'a>(&'a self, spec: SpawnSpec) -> Boxed<'a, Result<Box<dyn Starting>, LaunchError>>;

    /// Takes up the process of an earlier bridge where it lives on without one, and tells `facts` again what it said since
    /// a [`Runtime::position`], then [`Fact::CaughtUp`]. Nothing where that cannot be: it is to be made dead.
    fn attach<'a>(
        &'a self,
        _former: &'a ProcessIdentity,
        _from: Option<u64>,
        _facts: mpsc::Sender<Envelope>,
    ) -> Boxed<'a, Option<Box<dyn Runtime>>> {
        Box::pin(std::future::ready(None))
    }

    /// Makes sure that a former generation is surely dead: its process, its group and everything that carries its mark.
    /// TERM, then KILL, only where pid, start time and boot id match.
    fn make_dead<'a>(&'a self, former: &'a ProcessIdentity) -> Boxed<'a, Result<Death, StillAlive>>;

    /// Really tries what a [`Posture`] promises, with commands in folders of its own. It installs nothing and needs no
    /// running generation. Nothing where there is no sandbox that promises anything.
    fn probe<'a>(&'a self, _probe: &'a Probe) -> Boxed<'a, Vec<Tried>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// Looks at everything that ally needs to work, for `/doctor`. It tries nothing.
pub trait Examiner: Send + Sync + 'static {
    /// What was found, in the order in which one depends on the other.
    fn examine(&self, lang: Lang) -> Boxed<'_, Vec<Finding>>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Made anew for the probe, and taken away after it.
    pub folder: PathBuf,
    /// Projects and workspaces that no command may read.
    pub denied: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnSpec {
    pub generation: Generation,
    /// `<ledger id>:<generation>`, given to the child as `ALLY_GENERATION`.
    pub mark: String,
}

/// Enough to recognise a process for sure. An in-process runtime has no pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub generation: Generation,
    pub mark: String,
    pub pid: Option<u32>,
    /// Start time in the kernel's units (clock ticks since boot on Linux).
    pub start_time: Option<u64>,
    pub boot_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// The machine was started anew since.
    pub boot_changed: bool,
    /// Left-over commands that had to be killed.
    pub orphans_killed: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("process {pid} of generation {generation} does not end")]
pub struct StillAlive {
    pub generation: Generation,
    pub pid: u32,
}

/// A process that was started and not spoken to.
pub trait Starting: Send {
    fn identity(&self) -> ProcessIdentity;
    /// Handshake. All that happens from here on is sent to `facts`; the receiver must be drained by a task that never
    /// awaits a call to this runtime.
    fn ready(self: Box<Self>, facts: mpsc::Sender<Envelope>) -> Boxed<'static, Result<Box<dyn Runtime>, LaunchError>>;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// `hint` says how to get it.
    #[error("the runtime program was not found ({looked})")]
    NotFound { looked: String, hint: String },
    #[error("the runtime's version {found} is not supported (wanted {wanted})")]
    WrongVersion { found: String, wanted: String },
    /// The runtime refuses its own configuration: file, line and key in `detail`.
    #[error("the runtime refuses its configuration: {detail}")]
    BadConfig { detail: String },
    #[error("the runtime did not come up: {detail}")]
    Failed { detail: String },
}

/// One generation of a runtime. Every call has a deadline and may fail with [`CallError`].
pub trait Runtime: Send + Sync {
    fn generation(&self) -> Generation;
    fn version(&self) -> String;
    fn capabilities(&self) -> Capabilities;

    /// Whether a sandbox holds what the thread's present turn runs, unless a request says otherwise. A turn goes on as it
    /// was begun, whatever the settings are by now.
    fn holds(&self, _thread: &ThreadId) -> bool {
        self.capabilities().sandbox
    }
    /// Warnings that belong into `status` (configuration keys that were ignored …).
    fn warnings(&self) -> Vec<String>;

    /// Loads a thread, or starts one. A thread that is loaded takes the new posture; it must have no active turn then.
    fn open<'a>(&'a self, how: &'a Open) -> Boxed<'a, Result<ThreadId, CallError>>;
    /// Hands a turn over. Never called while a turn of this thread is known to be active.
    fn submit<'a>(&'a self, turn: &'a Submit) -> Boxed<'a, Result<Submitted, CallError>>;
    fn steer<'a>(&'a self, steer: &'a Steer) -> Boxed<'a, Result<(), CallError>>;
    /// Only after the turn is known to have started.
    fn interrupt<'a>(&'a self, thread: &'a ThreadId, turn: &'a NativeTurnId) -> Boxed<'a, Result<(), CallError>>;
    /// Ends commands that run on in the background after an interrupt.
    fn clean<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<Background, CallError>>;
    /// Answers a request, exactly once. Secret answers are in here and nowhere else.
    fn answer<'a>(&'a self, answer: &'a GateAnswer) -> Boxed<'a, Result<(), CallError>>;
    fn pull<'a>(&'a self, pull: &'a Pull) -> Boxed<'a, Result<History, CallError>>;
    fn thread_status<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<ThreadStatus, CallError>>;
    /// Frees the thread for other programs.
    fn release<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<(), CallError>>;
    fn fork<'a>(&'a self, how: &'a Fork) -> Boxed<'a, Result<ThreadId, CallError>>;
    /// Compacts a loaded thread, as a turn of its own that carries no id of ours: in the history it is a turn without any
    /// input. Its facts and its end are told like those of any other turn. Never called while a turn is active: runtimes
    /// end that one first.
    fn compact<'a>(&'a self, _thread: &'a ThreadId) -> Boxed<'a, Result<Submitted, CallError>> {
        Box::pin(async { Err(CallError::Unsupported) })
    }
    /// Threads that it keeps of a directory, whoever began them, the newest first.
    fn threads<'a>(&'a self, _directory: &'a Path) -> Boxed<'a, Result<Vec<KeptThread>, CallError>> {
        Box::pin(async { Err(CallError::Unsupported) })
    }
    /// What has changed in a directory since its last commit, as a few lines; empty where nothing has. Whatever it runs
    /// for that, it holds in its sandbox: the directory may be the agent's.
    fn changes<'a>(&'a self, _directory: &'a Path) -> Boxed<'a, Result<String, CallError>> {
        Box::pin(async { Err(CallError::Unsupported) })
    }
    /// The models that it offers, the first one first.
    fn models(&self) -> Boxed<'_, Result<Vec<Model>, CallError>> {
        Box::pin(async { Err(CallError::Unsupported) })
    }
    /// Calls a thread by a name where people see it outside of ally.
    fn name_thread<'a>(&'a self, _thread: &'a ThreadId, _name: &'a str) -> Boxed<'a, Result<(), CallError>> {
        Box::pin(async { Err(CallError::Unsupported) })
    }
    /// How far it was listened to, where another bridge could go on from there: what a turn brings comes behind the
    /// position at which it was submitted.
    fn position(&self) -> Option<u64> {
        None
    }
    /// Nobody will ask for what it said before this position.
    fn cut(&self, _at: u64) {}
    /// This bridge ends and the next one takes the process up: from here on it is neither spoken to nor ended. False where
    /// there is no way to do that.
    fn leave(&self) -> bool {
        false
    }
    /// It was started with other settings than those of now.
    fn is_outdated(&self) -> bool {
        false
    }
    /// EOF, TERM, KILL; resolves when the process is gone.
    fn shutdown(&self) -> Boxed<'_, ()>;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// `None` starts a new thread.
    pub thread: Option<ThreadId>,
    pub directory: PathBuf,
    pub posture: Posture,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The thread to be copied.
    pub thread: ThreadId,
    pub directory: PathBuf,
    pub posture: Posture,
}

/// How far the commands of a thread may go. It holds for everything that is opened, forked and submitted with it; a
/// runtime never falls back to settings of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    pub level: Level,
    /// The network is granted for this task, whatever the level. Whoever grants it grants sending as well.
    pub network: bool,
    /// Files and folders of others (projects, workspaces): nothing reads them, also not after an allowed request to leave
    /// the sandbox. The directory and what is `readable` are spared where they lie inside.
    pub denied: Vec<PathBuf>,
    /// Readable besides the directory and the tools of this machine. It does not open what is a secret by its name.
    pub readable: Vec<PathBuf>,
    /// ally's own tools, as far as the runtime can offer any: those of one conversation. Its commands never see the key, and
    /// a player that knows no tools is not told it.
    #[serde(skip)]
    pub tools: Option<ToolAccess>,
}

impl Posture {
    /// A level and nothing else.
    pub fn of(level: Level) -> Self {
        Self { level, network: false, denied: Vec::new(), readable: Vec::new(), tools: None }
    }

    /// Whether commands reach the network.
    pub fn has_network(&self) -> bool {
        self.network || self.level == Level::Trusted
    }

    /// Whether a thread that was opened with `self` serves turns of `other`: level and network are said with each turn.
    pub fn serves(&self, other: &Self) -> bool {
        self.ground() == other.ground()
    }

    /// A mark of what [`Posture::serves`] compares. Its lists name the directory of every other chat, and its key opens the
    /// tools: whoever remembers what each thread was opened with remembers this.
    pub fn ground(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let denied = self.denied.iter().map(|path| (b"-", path));
        for (what, path) in denied.chain(self.readable.iter().map(|path| (b"+", path))) {
            hash.update(what);
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update([0]);
        }
        if let Some(ToolAccess { conversation, key }) = &self.tools {
            hash.update(format!("={conversation} {}", key.expose()));
        }
        hash.finalize().into()
    }
}

/// A model as a runtime offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub name: String,
    /// How hard it can think, in the runtime's words.
    pub efforts: Vec<String>,
    pub default_effort: Option<String>,
    /// Works where nobody chose another.
    pub is_default: bool,
}

/// A thread as a runtime lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptThread {
    pub thread: ThreadId,
    pub directory: PathBuf,
    /// Its name, or its first words.
    pub title: String,
    pub active_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    pub thread: ThreadId,
    pub client: ClientId,
    pub input: Prompt,
    /// Chosen for the chat; `None` leaves the thread's own.
    pub model: Option<String>,
    pub effort: Option<String>,
    /// The thread may have been told to plan before: whether this turn does, the prompt says.
    pub has_planned: bool,
    /// Level and network of this turn. The paths are those that the thread was opened with.
    pub posture: Posture,
}

/// A frozen prompt: the words of a turn, or what it does instead of hearing words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    pub text: String,
    /// Absolute paths of local pictures.
    pub images: Vec<PathBuf>,
    /// A plan is wanted, and nothing is to be changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan: bool,
    /// It only looks: whatever the chat's level is, this turn has no more than [`Level::Safe`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub review: bool,
    /// It is no words at all: the thread is compacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacts: Option<Compacts>,
    /// Nobody asked for it just now: it is a run of a routine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routine: Option<OfRoutine>,
}

/// What a routine says of the turns that play its runs, as of when they were put into the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfRoutine {
    pub name: String,
    /// Only failures, and what waits for a person, are told.
    pub quiet: bool,
    /// Longest work on it, in milliseconds; the wait for a person does not count.
    pub timeout_ms: i64,
    pub retries: u32,
    /// In place of the chat's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// In place of the chat's; no more than the rights of the one whose routine it is.
    pub autonomy: Level,
}

/// A turn that compacts its thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacts {
    /// The turn that found the thread too long: once it is compacted, that request runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<TurnId>,
}

impl Prompt {
    /// Nothing but words that could as well go into a running turn.
    pub fn is_only_words(&self) -> bool {
        self.images.is_empty() && !self.plan && !self.review && self.compacts.is_none() && self.routine.is_none()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steer {
    pub thread: ThreadId,
    pub turn: NativeTurnId,
    pub client: ClientId,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    pub turn: Option<NativeTurnId>,
    pub evidence: Evidence,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateAnswer {
    pub thread: ThreadId,
    pub native: NativeGateId,
    pub ask: Ask,
    pub choices: Vec<Choice>,
    pub decision: Decision,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    pub thread: ThreadId,
    /// Stop at the turn that carries this id …
    pub client: Option<ClientId>,
    /// … or is this one …
    pub turn: Option<NativeTurnId>,
    /// … or at this older turn, which was the newest before ours was submitted. `None`: read to the beginning. It is part
    /// of the answer only if it took `client` in: words handed over in its last moment may have gone into it.
    pub cursor: Option<NativeTurnId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadStatus {
    NotLoaded,
    Idle,
    Active,
    WaitingOnPerson,
}

/// Why a call did not do what was asked, by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Certainly not done, and worth another try (overloaded).
    #[error("the runtime is busy: {detail}")]
    Busy { detail: String },
    /// The thread is not loaded in this process or was never materialised.
    #[error("the runtime does not know the thread: {detail}")]
    NoThread { detail: String },
    /// Another program holds the thread.
    #[error("the thread is open in another program")]
    Elsewhere,
    /// There is no turn to steer or interrupt (any more).
    #[error("no such turn is running")]
    NoTurn,
    /// Certainly refused; the same again will be refused again.
    #[error("the runtime refused: {detail}")]
    Refused { detail: String },
    /// No answer in time: it may or may not have been done.
    #[error("no answer to {method} within {seconds} s")]
    NoAnswer { method: &'static str, seconds: u64 },
    /// It answered, in a way that cannot be read: it may or may not have been done, and asking again tells nothing new.
    #[error("the answer to {method} cannot be read: {detail}")]
    Unreadable { method: &'static str, detail: String },
    /// The process is gone: it may or may not have been done.
    #[error("the runtime process is gone")]
    Gone,
    #[error("this runtime cannot do that")]
    Unsupported,
}

/// One thing that happened in a runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub generation: Generation,
    pub thread: Option<ThreadId>,
    pub turn: Option<NativeTurnId>,
    pub fact: Fact,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    TurnStarted,
    /// An input of ours is in the runtime's durable history.
    InputTaken {
        client: Option<ClientId>,
    },
    /// Picture only; may be dropped under load.
    TextDelta {
        item: String,
        text: String,
    },
    TextDone {
        item: String,
        text: String,
    },
    StepStarted {
        item: String,
        step: Step,
    },
    /// `object` may be better known at the end than at the start.
    StepEnded {
        item: String,
        step: Step,
        changed: Vec<ChangedFile>,
    },
    GateOpened(Box<GateRequest>),
    /// The request is over: answered, withdrawn, or its turn ended.
    GateResolved {
        native: NativeGateId,
    },
    /// A retry is under way: never a failure.
    Retrying {
        detail: String,
    },
    /// The turn's error, before its end is reported. Advisory.
    Trouble(Failure),
    /// What the thread took in all so far, and the last request to the model of it.
    Usage {
        total_tokens: i64,
        request_tokens: i64,
    },
    /// The one terminal event that is told truly; the text comes from a pull.
    TurnEnded {
        end: TurnEnd,
        failure: Option<Failure>,
    },
    /// Anything else that shows the turn alive.
    Activity,
    /// What follows has not been told to an earlier bridge.
    CaughtUp,
    /// The process ended; nothing follows.
    Exited {
        detail: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEnd {
    Completed,
    Failed,
    Interrupted,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateRequest {
    pub native: NativeGateId,
    pub ask: Ask,
    /// The agent's own reason, unverified.
    pub claim: Option<String>,
    pub choices: Vec<Choice>,
}

/// A chat as the bridge sees it when a message comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRef {
    pub channel: ChannelName,
    pub chat: ChatId,
    pub kind: ChatKind,
}
