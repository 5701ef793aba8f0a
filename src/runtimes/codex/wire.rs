//! codex app-server's JSON, as far as ally reads it (observed on 0.169.0). Everything is tolerant: unknown fields are
//! ignored, unknown kinds fall into a catch-all, what may be absent is optional, and null counts as absent.
//!
//! Two things are strict on purpose, because a pull draws conclusions from what is *not* there: a page has its `data` and
//! every turn its `id`, and `items` is a list.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::domain::ids::ThreadId;
use crate::domain::level::Level;

/// Null counts as absent; anything of another type is an error.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// What cannot be read counts as absent. Only for what nobody draws conclusions from.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).unwrap_or_default())
}

/// Items one by one: one odd item must not hide its turn.
fn items<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Item>, D::Error> {
    Ok(Option::<Vec<Value>>::deserialize(from)?.unwrap_or_default().into_iter().map(Item::read).collect())
}

fn item<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Item>, D::Error> {
    Ok(Option::<Value>::deserialize(from)?.map(Item::read))
}

/// Not codex's own: what is known of a process besides what it says, as it lies beside it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Memory {
    pub program: PathBuf,
    pub version: String,
    /// The settings that it was started with, in short.
    pub settings: String,
    pub warnings: Vec<String>,
    /// Threads that the process has loaded for us, and with what.
    pub loaded: HashMap<ThreadId, Loaded>,
    /// Model and effort of the threads that are loaded.
    pub models: HashMap<ThreadId, (String, Option<String>)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    pub directory: PathBuf,
    /// The mark of what it was loaded with: the profiles, which name the directory of every other chat, and the tools with
    /// their key.
    pub profiles: String,
    /// Of its newest turn.
    pub level: Level,
    /// The approval policy of its newest turn.
    #[serde(default)]
    pub approval: Option<String>,
    /// The sandbox that it was loaded with instead of profiles.
    #[serde(default)]
    pub sandbox: Option<String>,
    /// What commands that outlive their turn may do.
    pub left: Left,
}

/// A command that goes on in the background keeps the rights that it was started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    Nothing,
    /// No more than this profile allows.
    Under(String),
    /// Somebody granted more.
    WithMore,
}

/// Answer of `thread/start`, `thread/resume`, `thread/fork`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadOpened {
    pub thread: Thread,
    #[serde(default, deserialize_with = "lenient")]
    pub model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub reasoning_effort: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Thread {
    pub id: String,
    #[serde(default, deserialize_with = "lenient")]
    pub status: ThreadStatus,
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
    /// First words of the first message.
    #[serde(default, deserialize_with = "lenient")]
    pub preview: String,
    #[serde(default, deserialize_with = "lenient")]
    pub cwd: PathBuf,
    /// Seconds.
    #[serde(rename = "updatedAt", default, deserialize_with = "lenient")]
    pub updated_at: i64,
}

/// Answer of `thread/list`.
#[derive(Debug, Clone, Deserialize)]
pub struct ThreadList {
    pub data: Vec<Thread>,
}

/// Answer of `model/list`.
#[derive(Debug, Clone, Deserialize)]
pub struct ModelList {
    pub data: Vec<ModelEntry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelEntry {
    pub model: String,
    #[serde(default, deserialize_with = "lenient")]
    pub supported_reasoning_efforts: Vec<EffortEntry>,
    #[serde(default, deserialize_with = "lenient")]
    pub default_reasoning_effort: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub is_default: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EffortEntry {
    #[serde(default, deserialize_with = "lenient")]
    pub reasoning_effort: String,
}

/// `idle`, `active`, `systemError`, `notLoaded`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ThreadStatus {
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: String,
    #[serde(rename = "activeFlags", default, deserialize_with = "nullable")]
    pub active_flags: Vec<Value>,
}

/// Answer of `turn/start`; also the parameters of `turn/started` and `turn/completed`.
#[derive(Debug, Clone, Deserialize)]
pub struct TurnHolder {
    pub turn: Turn,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Turn {
    pub id: String,
    #[serde(default, deserialize_with = "items")]
    pub items: Vec<Item>,
    /// `inProgress`, `completed`, `failed`, `interrupted`.
    #[serde(default, deserialize_with = "nullable")]
    pub status: String,
    #[serde(default, deserialize_with = "lenient")]
    pub error: Option<TurnError>,
    #[serde(rename = "completedAt")]
    pub completed_at: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TurnError {
    #[serde(default, deserialize_with = "lenient")]
    pub message: String,
    /// A string, an object with one key, or something new.
    #[serde(rename = "codexErrorInfo")]
    pub info: Option<Value>,
    #[serde(rename = "additionalDetails", default, deserialize_with = "lenient")]
    pub details: Option<String>,
}

/// Page of `thread/turns/list`, newest first.
#[derive(Debug, Clone, Deserialize)]
pub struct TurnPage {
    pub data: Vec<Turn>,
    #[serde(rename = "nextCursor")]
    pub next_cursor: Option<String>,
}

/// What every notification about a thread may carry.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    #[serde(default, deserialize_with = "lenient")]
    pub thread_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub turn_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub item_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub delta: Option<String>,
    #[serde(default, deserialize_with = "item")]
    pub item: Option<Item>,
    /// Of `item/fileChange/patchUpdated`.
    #[serde(default, deserialize_with = "lenient")]
    pub changes: Option<Vec<FileUpdate>>,
    #[serde(default, deserialize_with = "lenient")]
    pub turn: Option<Turn>,
    #[serde(default, deserialize_with = "lenient")]
    pub error: Option<TurnError>,
    #[serde(default, deserialize_with = "lenient")]
    pub will_retry: bool,
    pub request_id: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    pub token_usage: Option<TokenUsage>,
    #[serde(default, deserialize_with = "lenient")]
    pub summary: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub details: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TokenUsage {
    pub total: TokenCount,
    /// Of the last request to the model.
    #[serde(default, deserialize_with = "nullable")]
    pub last: TokenCount,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct TokenCount {
    #[serde(rename = "totalTokens", default, deserialize_with = "nullable")]
    pub total_tokens: i64,
}

/// One item of a turn.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Item {
    #[serde(rename_all = "camelCase")]
    UserMessage {
        #[serde(default, deserialize_with = "nullable")]
        id: String,
        client_id: Option<String>,
    },
    AgentMessage {
        #[serde(default, deserialize_with = "nullable")]
        id: String,
        #[serde(default, deserialize_with = "nullable")]
        text: String,
    },
    #[serde(rename_all = "camelCase")]
    CommandExecution {
        #[serde(default, deserialize_with = "nullable")]
        id: String,
        #[serde(default, deserialize_with = "nullable")]
        command: String,
        #[serde(default, deserialize_with = "nullable")]
        status: String,
        #[serde(default, deserialize_with = "lenient")]
        exit_code: Option<i64>,
        #[serde(default, deserialize_with = "lenient")]
        started_at_ms: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    FileChange {
        #[serde(default, deserialize_with = "nullable")]
        id: String,
        #[serde(default, deserialize_with = "nullable")]
        changes: Vec<FileUpdate>,
        #[serde(default, deserialize_with = "nullable")]
        status: String,
        #[serde(default, deserialize_with = "lenient")]
        started_at_ms: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    McpToolCall {
        #[serde(default, deserialize_with = "nullable")]
        id: String,
        #[serde(default, deserialize_with = "nullable")]
        server: String,
        #[serde(default, deserialize_with = "nullable")]
        tool: String,
        #[serde(default, deserialize_with = "nullable")]
        status: String,
        #[serde(default, deserialize_with = "lenient")]
        started_at_ms: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    DynamicToolCall {
        #[serde(default, deserialize_with = "nullable")]
        id: String,
        #[serde(default, deserialize_with = "nullable")]
        tool: String,
        #[serde(default, deserialize_with = "nullable")]
        status: String,
        #[serde(default, deserialize_with = "lenient")]
        started_at_ms: Option<i64>,
    },
    WebSearch {
        #[serde(default, deserialize_with = "nullable")]
        id: String,
        #[serde(default, deserialize_with = "nullable")]
        query: String,
    },
    /// What a turn that was to make a plan comes to.
    Plan {
        #[serde(default, deserialize_with = "nullable")]
        id: String,
        #[serde(default, deserialize_with = "nullable")]
        text: String,
    },
    /// Reasoning, marks, and whatever comes to be.
    #[serde(other)]
    Other,
}

impl Item {
    /// A known kind with an odd field is one more thing that ally does not know.
    fn read(value: Value) -> Item {
        serde_json::from_value(value).unwrap_or(Item::Other)
    }
}

#[derive(Debug, Clone, Deserialize)]
pub struct FileUpdate {
    #[serde(default, deserialize_with = "nullable")]
    pub path: String,
    #[serde(default, deserialize_with = "nullable")]
    pub kind: FileUpdateKind,
    /// A unified diff; for `add` the plain content.
    #[serde(default, deserialize_with = "nullable")]
    pub diff: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct FileUpdateKind {
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: String,
    /// Where an update moves its file to: a path, and null where it stays.
    #[serde(default, alias = "movePath")]
    pub move_path: Option<Value>,
}

/// Parameters of the requests that codex puts to people.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    pub thread_id: Option<String>,
    pub turn_id: Option<String>,
    pub item_id: Option<String>,
    /// `command`; `writeStdin` for words to a program that runs.
    pub kind: Option<String>,
    /// Which machine; `local` is this one.
    pub environment_id: Option<String>,
    pub command: Option<String>,
    pub cwd: Option<String>,
    pub reason: Option<String>,
    pub additional_permissions: Option<Value>,
    pub network_approval_context: Option<Value>,
    pub permissions: Option<Value>,
    /// With a change of files: a folder that would stay writable.
    pub grant_root: Option<Value>,
    #[serde(deserialize_with = "nullable")]
    pub questions: Vec<AskedQuestion>,
    pub server_name: Option<String>,
    pub message: Option<String>,
    pub requested_schema: Option<Value>,
    #[serde(rename = "_meta")]
    pub meta: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedQuestion {
    #[serde(default, deserialize_with = "nullable")]
    pub id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub header: String,
    #[serde(default, deserialize_with = "nullable")]
    pub question: String,
    #[serde(default, deserialize_with = "nullable")]
    pub is_other: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub is_secret: bool,
    pub options: Option<Vec<AskedOption>>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AskedOption {
    #[serde(default, deserialize_with = "nullable")]
    pub label: String,
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
}

/// `codex app-server --print-startup-config`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartupConfig {
    pub app_server_version: Option<String>,
}

/// Answer of `command/exec`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Executed {
    pub exit_code: i64,
    #[serde(default, deserialize_with = "nullable")]
    pub stdout: String,
    #[serde(default, deserialize_with = "nullable")]
    pub stderr: String,
}
