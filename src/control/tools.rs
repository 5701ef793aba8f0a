//! What agents' tool servers and `ally send` want over the control socket.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{ChannelName, ChatId, ConversationId, DeliveryId};
use crate::domain::tool::{ToolKey, Wish};

/// A call of one of an agent's own tools. Below a runtime it is the only request that may change anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRequest {
    /// Made by the tool server, one a call: the same call may be made again.
    pub id: String,
    /// Whose tools they are.
    pub conversation: ConversationId,
    /// What says so.
    pub key: ToolKey,
    /// What is wanted.
    #[serde(flatten)]
    pub wish: Wish,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolReport {
    /// For the agent.
    pub told: String,
}

/// Wants something sent in the name of whoever is at the computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendRequest {
    /// Where; `None`: the owner's own chat.
    #[serde(default)]
    pub to: Option<(ChannelName, ChatId)>,
    /// In Markdown.
    #[serde(default)]
    pub text: Option<String>,
    /// An absolute path.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// What is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendReport {
    /// Where to.
    pub channel: ChannelName,
    /// The chat.
    pub chat: ChatId,
    /// One a part, in order.
    pub messages: Vec<DeliveryId>,
}
