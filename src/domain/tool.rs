//! What an agent may ask ally itself for: its tools, who may call them, and how often.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::gate::hex;
use super::ids::ConversationId;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Longest text of one message, in characters.
pub const TEXT_CHARS: usize = 20_000;
/// Longest words of a routine that an agent drafts: a person reads all of them on the card.
pub const DRAFT_CHARS: usize = 2_000;
/// Longest name of a file, in characters.
pub const FILE_NAME_CHARS: usize = 120;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tool", content = "arguments", rename_all = "snake_case")]
pub enum Wish {
    /// Says something in the conversation's chat.
    SendMessage(Message),
    /// Sends a file of the task's directory there.
    SendFile(File),
    /// Shows a person a routine that the agent would like to have.
    CreateRoutine(Draft),
    /// Tells the routines whose outcome is told there.
    ListRoutines(Nothing),
}

/// Words for the chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// In Markdown.
    pub text: String,
}

/// A file for the chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Below the task's directory, and relative to it where it is not absolute.
    pub path: PathBuf,
    /// How it is called in the chat; without one by its own name.
    #[serde(default)]
    pub name: Option<String>,
}

/// A routine in the making. Where it works, where it is told and how far it may go is not the agent's to choose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// Five fields, `every 6h`, or one moment.
    pub schedule: String,
    /// An IANA name.
    #[serde(default)]
    pub zone: Option<String>,
    /// Words for the agent that plays it.
    #[serde(default)]
    pub prompt: Option<String>,
    /// A skill of the assistant's.
    #[serde(default)]
    pub skill: Option<String>,
    /// Only failures, and what waits for a person, are told.
    #[serde(default)]
    pub quiet: bool,
    /// `fresh`, or the name of a conversation that its runs share.
    #[serde(default)]
    pub conversation: Option<String>,
    /// `skip`, `run_once` or `all`.
    #[serde(default)]
    pub misfire: Option<String>,
    /// How late a run may be made up for.
    #[serde(default)]
    pub window: Option<String>,
    /// `skip` or `queue`.
    #[serde(default)]
    pub overlap: Option<String>,
    /// Longest work of one run.
    #[serde(default)]
    pub timeout: Option<String>,
}

/// No arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Which tool, without its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    SendMessage,
    SendFile,
    CreateRoutine,
    ListRoutines,
}

impl Tool {
    pub const ALL: [Tool; 4] = [Tool::SendMessage, Tool::SendFile, Tool::CreateRoutine, Tool::ListRoutines];

    /// Its name, by which the agent calls it and the ledger keeps it.
    pub fn as_str(self) -> &'static str {
        match self {
            Tool::SendMessage => "send_message",
            Tool::SendFile => "send_file",
            Tool::CreateRoutine => "create_routine",
            Tool::ListRoutines => "list_routines",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.as_str() == text)
    }
}

impl Wish {
    /// Which tool it is.
    pub fn tool(&self) -> Tool {
        match self {
            Wish::SendMessage(_) => Tool::SendMessage,
            Wish::SendFile(_) => Tool::SendFile,
            Wish::CreateRoutine(_) => Tool::CreateRoutine,
            Wish::ListRoutines(_) => Tool::ListRoutines,
        }
    }
}

// ------------------------------------------------------------------------------------------------ how often

/// A call that was let in, as the limits see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    pub tool: Tool,
    pub at_ms: i64,
    /// In the very task that calls now.
    pub in_this_task: bool,
}

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    pub most: usize,
    pub per: Per,
}

/// The span in which calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Minute,
    Hour,
    Task,
}

/// Whether one more call of a tool is too many: ten messages and five files a minute, thirty of both a task, three drafts an
/// hour, thirty looks a task. What a clock that was set back dates after now counts for the task only.
pub fn too_many(tool: Tool, made: &[Made], now_ms: i64) -> Option<TooMany> {
    let within =
        |span: i64| made.iter().filter(|call| call.tool == tool && (0..span).contains(&(now_ms - call.at_ms))).count();
    let of_task = |tools: &[Tool]| made.iter().filter(|call| call.in_this_task && tools.contains(&call.tool)).count();
    let sends = [Tool::SendMessage, Tool::SendFile];
    let bounds: &[(usize, usize, Per)] = match tool {
        Tool::SendMessage => &[(within(MINUTE), 10, Per::Minute), (of_task(&sends), 30, Per::Task)],
        Tool::SendFile => &[(within(MINUTE), 5, Per::Minute), (of_task(&sends), 30, Per::Task)],
        Tool::CreateRoutine => &[(within(HOUR), 3, Per::Hour)],
        Tool::ListRoutines => &[(of_task(&[tool]), 30, Per::Task)],
    };
    bounds.iter().find(|(found, most, _)| found >= most).map(|(_, most, per)| TooMany { most: *most, per: *per })
}

// ------------------------------------------------------------------------------------------------ whose

/// What a conversation's tools are called with. It opens that conversation and no other.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ToolKey(String);

/// Never printed.
impl fmt::Debug for ToolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToolKey(…)")
    }
}

impl ToolKey {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For whoever hands it on: the tool server's environment, and a request of its.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Of a conversation, by the ledger's secret. The same after a restart: a thread that was opened with it keeps it.
    pub fn of(secret: &[u8; 32], conversation: &ConversationId) -> Self {
        Self(hex(&hmac(secret, format!("tools:{conversation}").as_bytes())))
    }

    /// Whether both are the same, in a time that tells nothing.
    pub fn is(&self, other: &ToolKey) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

/// HMAC-SHA-256 (RFC 2104) with a key that is no longer than a block.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut padded = [0_u8; BLOCK];
    padded[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(padded.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

/// The tools that go with a task: whose they are, and the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolAccess {
    pub conversation: ConversationId,
    pub key: ToolKey,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_read_as_the_agent_makes_it() {
        let read = |tool: &str, arguments: serde_json::Value| {
            serde_json::from_value::<Wish>(json!({ "tool": tool, "arguments": arguments }))
        };
        let file = Wish::SendFile(File { path: "out/a.pdf".into(), name: None });
        assert_eq!(read("send_file", json!({ "path": "out/a.pdf" })).unwrap(), file);
        assert_eq!(read("list_routines", json!({})).unwrap().tool(), Tool::ListRoutines);
        let draft = json!({ "name": "n", "schedule": "every 6h", "prompt": "p", "quiet": true });
        assert!(matches!(read("create_routine", draft).unwrap(), Wish::CreateRoutine(Draft { quiet: true, .. })));
        for (tool, arguments) in [
            ("send_message", json!({})),
            ("send_message", json!({ "text": "x", "chat": "oc_other" })),
            ("send_file", json!({ "path": 1 })),
            ("create_routine", json!({ "name": "n", "schedule": "s", "autonomy": "trusted" })),
            ("delete_everything", json!({})),
        ] {
            assert!(read(tool, arguments).is_err(), "{tool}");
        }
        for tool in Tool::ALL {
            assert_eq!(Tool::parse(tool.as_str()), Some(tool));
        }
    }

    #[test]
    fn each_tool_has_its_limits() {
        let made = |tool, n: usize, at_ms, in_this_task| vec![Made { tool, at_ms, in_this_task }; n];
        let now = 10 * HOUR;
        let messages = |n, ago| too_many(Tool::SendMessage, &made(Tool::SendMessage, n, now - ago, true), now);
        assert_eq!(messages(9, 0), None);
        assert_eq!(messages(10, 0), Some(TooMany { most: 10, per: Per::Minute }));
        assert_eq!(messages(29, MINUTE), None, "another minute");
        assert_eq!(messages(30, MINUTE), Some(TooMany { most: 30, per: Per::Task }));
        let both = [made(Tool::SendMessage, 20, 0, true), made(Tool::SendFile, 10, 0, true)].concat();
        assert_eq!(too_many(Tool::SendFile, &both, now).map(|most| most.per), Some(Per::Task));
        let former = made(Tool::SendMessage, 30, 0, false);
        assert_eq!(too_many(Tool::SendMessage, &former, now), None, "of a former task");
        assert_eq!(too_many(Tool::SendFile, &made(Tool::SendFile, 5, now, true), now).map(|most| most.most), Some(5));
        let drafts = |ago| too_many(Tool::CreateRoutine, &made(Tool::CreateRoutine, 3, now - ago, false), now);
        assert_eq!(drafts(HOUR - 1), Some(TooMany { most: 3, per: Per::Hour }));
        assert_eq!(drafts(HOUR), None);
        assert_eq!(drafts(-HOUR), None, "a clock that was set back");
        assert_eq!(too_many(Tool::ListRoutines, &made(Tool::ListRoutines, 30, 0, true), now).map(|m| m.most), Some(30));
    }

    /// The second case of RFC 4231.
    #[test]
    fn a_key_is_an_hmac() {
        let told = hex(&hmac(b"Jefe", b"what do ya want for nothing?"));
        assert_eq!(told, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_key_opens_one_conversation_and_is_not_printed() {
        let (a, b) = (ConversationId::new("a"), ConversationId::new("b"));
        let key = ToolKey::of(&[7; 32], &a);
        assert!(key.is(&ToolKey::of(&[7; 32], &a)));
        for other in [ToolKey::of(&[7; 32], &b), ToolKey::of(&[8; 32], &a), ToolKey::new("")] {
            assert!(!key.is(&other));
        }
        assert!(!format!("{key:?}").contains(key.expose()));
    }
}
