//! What terminals and the local channel say to each other, and what is kept of it.

use serde::{Deserialize, Serialize};

use crate::domain::delivery::{Body, Target};
use crate::domain::ids::{ButtonId, DeliveryId, MessageId};
use crate::domain::view::{Lang, Receipt, View};

/// A line that a person typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageIn {
    /// The message's id, made by the terminal: the same line sent twice is one message.
    pub message: MessageId,
    /// What was typed.
    pub text: String,
    /// The message that it answers.
    #[serde(default)]
    pub reply_to: Option<MessageId>,
}

/// A button that was chosen in the terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClickIn {
    /// The card.
    pub card: MessageId,
    /// Its button.
    pub button: ButtonId,
    /// Makes a repetition recognisable.
    pub click: String,
    /// Form fields by name.
    #[serde(default)]
    pub form: Vec<(String, String)>,
}

/// The daemon has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// What is to be shown of a click, in the asked language.
    #[serde(default)]
    pub toast: Option<String>,
}

/// How a click wants its answer.
#[derive(Debug, Deserialize)]
pub(super) struct ClickQuery {
    #[serde(default)]
    pub(super) lang: Lang,
}

/// Where a stream begins.
#[derive(Debug, Deserialize)]
pub(super) struct EventsQuery {
    /// Lines after this place; without it only what comes.
    pub(super) after: Option<u64>,
}

/// The raw event as it is stored by the intake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "local", rename_all = "snake_case")]
pub(super) enum RawEvent {
    Message { chat: String, user: String, sent_at_ms: i64, input: MessageIn },
    Click { chat: String, user: String, input: ClickIn },
}

/// One line of a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Place in the chat; pictures that are not kept carry the place of the line before.
    pub seq: u64,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// What happened.
    #[serde(flatten)]
    pub event: ChatEvent,
}

/// What happens in a local chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ChatEvent {
    /// First line of every stream: where the chat stands.
    Hello,
    /// A person said something.
    Said {
        /// Its id.
        message: MessageId,
        /// The words.
        text: String,
    },
    /// ally said something.
    Message {
        /// Its id.
        message: MessageId,
        /// The outbox row behind it.
        delivery: DeliveryId,
        /// Idempotency key.
        key: String,
        /// What it answers.
        target: Target,
        /// The words.
        body: Body,
        /// Language of ally's own words in it.
        lang: Lang,
    },
    /// A card appeared.
    Card {
        /// Its id.
        message: MessageId,
        /// The outbox row behind it.
        delivery: DeliveryId,
        /// Idempotency key.
        key: String,
        /// What it belongs to.
        target: Target,
        /// Its picture.
        view: Box<View>,
        /// Language of ally's own words in it.
        lang: Lang,
    },
    /// A card changed.
    Update {
        /// The card.
        message: MessageId,
        /// Its new picture.
        view: Box<View>,
        /// Language of ally's own words in it.
        lang: Lang,
    },
    /// The state of a person's message. Not kept.
    Receipt {
        /// The person's message.
        message: MessageId,
        /// Its state.
        receipt: Receipt,
    },
}
