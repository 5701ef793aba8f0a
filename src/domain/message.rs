//! What a channel hands in, in one shape for all channels.

use serde::{Deserialize, Serialize};

use super::ids::{ButtonId, ChatId, MessageId, ResourceKey, TopicId, UserId};

/// Whether a chat is between one person and the bot, or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    Direct,
    Group,
}

impl ChatKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ChatKind::Direct => "direct",
            ChatKind::Group => "group",
        }
    }
}

/// Anything that came from a channel, decoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    Message(IncomingMessage),
    Click(Click),
    Reaction(Reaction),
    Recall(Recall),
    Membership(Membership),
    /// Known and of no interest (own reactions, read receipts, unknown event types): acknowledged and not kept.
    Ignored {
        what: String,
    },
}

/// An event with the key that recognises its repetitions, however late they come.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// message → message id; click → event id; reaction → message+emoji+user+action time; recall → `recall:`+message id; else event id.
    pub dedupe_key: String,
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncomingMessage {
    pub message: MessageId,
    pub chat: ChatId,
    pub chat_kind: ChatKind,
    /// First message of the reply chain, when this is a reply. In a topic: the topic's root.
    pub root: Option<MessageId>,
    /// The message that this one answers or quotes.
    pub parent: Option<MessageId>,
    /// The topic this message lies in, where the platform says so (it sometimes does not).
    pub topic: Option<TopicId>,
    pub sender: Sender,
    pub content: Vec<Part>,
    /// The bot itself is mentioned by id.
    pub mentions_bot: bool,
    /// `@all`. Does not count as a mention of the bot.
    pub mentions_all: bool,
    /// People mentioned besides the bot, in order.
    pub mentions: Vec<Mention>,
    /// When the sender's client sent it, Unix milliseconds by the platform's clock.
    pub sent_at_ms: i64,
}

impl IncomingMessage {
    /// All text parts joined, mentions of the bot already stripped by the channel.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self
            .content
            .iter()
            .filter_map(|part| match part {
                Part::Text { text } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        texts.join("\n").trim().to_owned()
    }

    /// Whether anything but text is in it.
    pub fn has_attachments(&self) -> bool {
        self.content.iter().any(|part| !matches!(part, Part::Text { .. }))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    pub user: UserId,
    /// Tenant key, where known: another tenant than the bot's is an outsider.
    pub tenant: Option<String>,
    /// False for bots and apps.
    pub is_person: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    pub user: UserId,
    pub name: String,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum Part {
    Text {
        text: String,
    },
    Image {
        key: ResourceKey,
    },
    File {
        key: ResourceKey,
        name: String,
        kind: FileKind,
    },
    /// Forwarded messages that must be fetched before they can be read.
    Forward,
    /// Something that ally cannot read (sticker, voice without text, location …). `what` is the platform's type name.
    Unreadable {
        what: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    File,
    Audio,
    Video,
}

/// A click on one of our cards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Click {
    pub chat: Option<ChatId>,
    /// The card's own message.
    pub card: Option<MessageId>,
    pub user: UserId,
    pub tenant: Option<String>,
    /// The single-use id behind the button; absent when the value is not one of ours (tampered or foreign).
    pub button: Option<ButtonId>,
    /// Form fields by name, in the card's order; empty for a plain button.
    pub form: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    pub message: MessageId,
    pub user: UserId,
    pub emoji: String,
    pub added: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    pub message: MessageId,
    pub chat: Option<ChatId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub chat: ChatId,
    pub change: MembershipChange,
    /// Who did it, where the platform says.
    pub by: Option<UserId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MembershipChange {
    BotAdded,
    BotRemoved,
    Disbanded,
}
