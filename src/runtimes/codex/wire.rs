//! codex app-server's JSON, as far as ally reads it (observed on 0.169.0). Everything is tolerant: unknown fields are
//! ignored, unknown kinds fall into a catch-all, what may be absent is optional.

use serde::Deserialize;
use serde_json::Value;

/// Answer of `thread/start`, `thread/resume`, `thread/fork`.
#[derive(Debug, Clone, Deserialize)]
pub struct ThreadOpened {
    pub thread: Thread,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Thread {
    pub id: String,
    #[serde(default)]
    pub status: ThreadStatus,
}

/// `idle`, `active`, `systemError`, `notLoaded`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ThreadStatus {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(rename = "activeFlags", default)]
    pub active_flags: Vec<String>,
}

/// Answer of `turn/start`; also the parameters of `turn/started` and `turn/completed`.
#[derive(Debug, Clone, Deserialize)]
pub struct TurnHolder {
    pub turn: Turn,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Turn {
    pub id: String,
    #[serde(default)]
    pub items: Vec<Item>,
    /// `inProgress`, `completed`, `failed`, `interrupted`.
    #[serde(default)]
    pub status: String,
    pub error: Option<TurnError>,
    #[serde(rename = "completedAt")]
    pub completed_at: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TurnError {
    #[serde(default)]
    pub message: String,
    /// A string, an object with one key, or something new.
    #[serde(rename = "codexErrorInfo")]
    pub info: Option<Value>,
    #[serde(rename = "additionalDetails")]
    pub details: Option<String>,
}

/// Page of `thread/turns/list`, newest first.
#[derive(Debug, Clone, Deserialize)]
pub struct TurnPage {
    #[serde(default)]
    pub data: Vec<Turn>,
    #[serde(rename = "nextCursor")]
    pub next_cursor: Option<String>,
}

/// What every notification about a thread may carry.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    pub thread_id: Option<String>,
    pub turn_id: Option<String>,
    pub item_id: Option<String>,
    pub delta: Option<String>,
    pub item: Option<Item>,
    pub turn: Option<Turn>,
    pub error: Option<TurnError>,
    #[serde(default)]
    pub will_retry: bool,
    pub request_id: Option<Value>,
    pub token_usage: Option<TokenUsage>,
    pub summary: Option<String>,
    pub details: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TokenUsage {
    pub total: TokenCount,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TokenCount {
    #[serde(rename = "totalTokens", default)]
    pub total_tokens: i64,
}

/// One item of a turn.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Item {
    #[serde(rename_all = "camelCase")]
    UserMessage {
        #[serde(default)]
        id: String,
        client_id: Option<String>,
    },
    AgentMessage {
        #[serde(default)]
        id: String,
        #[serde(default)]
        text: String,
    },
    #[serde(rename_all = "camelCase")]
    CommandExecution {
        #[serde(default)]
        id: String,
        #[serde(default)]
        command: String,
        #[serde(default)]
        status: String,
        exit_code: Option<i64>,
        started_at_ms: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    FileChange {
        #[serde(default)]
        id: String,
        #[serde(default)]
        changes: Vec<FileUpdate>,
        #[serde(default)]
        status: String,
        started_at_ms: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    McpToolCall {
        #[serde(default)]
        id: String,
        #[serde(default)]
        server: String,
        #[serde(default)]
        tool: String,
        #[serde(default)]
        status: String,
        started_at_ms: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    DynamicToolCall {
        #[serde(default)]
        id: String,
        #[serde(default)]
        tool: String,
        #[serde(default)]
        status: String,
        started_at_ms: Option<i64>,
    },
    WebSearch {
        #[serde(default)]
        id: String,
        #[serde(default)]
        query: String,
    },
    /// Reasoning, plans, marks, and whatever comes to be.
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Deserialize)]
pub struct FileUpdate {
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub kind: FileUpdateKind,
    /// A unified diff; for `add` the plain content.
    #[serde(default)]
    pub diff: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct FileUpdateKind {
    #[serde(rename = "type", default)]
    pub kind: String,
}

/// Parameters of the requests that codex puts to people.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    pub thread_id: Option<String>,
    pub turn_id: Option<String>,
    pub item_id: Option<String>,
    pub command: Option<String>,
    pub cwd: Option<String>,
    pub reason: Option<String>,
    pub additional_permissions: Option<Value>,
    pub network_approval_context: Option<Value>,
    pub permissions: Option<Value>,
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
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub header: String,
    #[serde(default)]
    pub question: String,
    #[serde(default)]
    pub is_other: bool,
    #[serde(default)]
    pub is_secret: bool,
    pub options: Option<Vec<AskedOption>>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AskedOption {
    #[serde(default)]
    pub label: String,
    #[serde(default)]
    pub description: String,
}

/// `codex app-server --print-startup-config`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartupConfig {
    pub app_server_version: Option<String>,
}
