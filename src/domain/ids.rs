//! Identifier newtypes. None of them can be mistaken for another, and none is ever parsed for meaning.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(value.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self(value)
            }
        }
    )*};
}

text_id! {
    /// A channel's name: `feishu` or `local`.
    ChannelName;
    /// A chat of a channel (Feishu `oc_…`). Opaque.
    ChatId;
    /// A platform message (Feishu `om_…`). Opaque.
    MessageId;
    /// A person of a channel (Feishu `open_id`, `ou_…`). Opaque and valid for one app only.
    UserId;
    /// A platform's name for a topic (Feishu `omt_…`). An alias: a conversation's key is its root message.
    TopicId;
    /// A downloadable part of a message (Feishu `image_key`, `file_key`). Opaque.
    ResourceKey;
    /// A runtime's thread or session. Opaque.
    ThreadId;
    /// A runtime's own turn id. Opaque, unique within its thread only (forks copy turn ids).
    NativeTurnId;
    /// A runtime's id of a request that it put to us. Valid within its generation only.
    NativeGateId;
    /// One of our turns (UUIDv7).
    TurnId;
    /// One of our conversations (UUIDv7).
    ConversationId;
    /// One of our gates (UUIDv7).
    GateId;
    /// One outbox row, message or surface (UUIDv7).
    DeliveryId;
    /// One run of a routine (UUIDv7).
    RunId;
    /// A single-use 128-bit random id behind a button of a card (32 hex digits).
    ButtonId;
}

macro_rules! own_id {
    ($($name:ident),*) => {$(
        impl $name {
            /// Makes a fresh UUIDv7, so that ids sort by the time they were made.
            pub fn fresh() -> Self {
                Self(uuid::Uuid::now_v7().to_string())
            }
        }
    )*};
}

own_id!(TurnId, ConversationId, GateId, DeliveryId, RunId);

impl ButtonId {
    /// Makes an id from 128 random bits.
    pub fn from_bits(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }
}

/// The ledger's number of an inbound row: its place in commit order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InboundSeq(pub i64);

/// The number of a runtime process. Numbers are never reused in a ledger; 0 is no generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub i64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The id that a turn carries to its runtime: `<turn>.<attempt>`. After a crash it is looked for in the runtime's history.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(String);

impl ClientId {
    pub fn of_turn(turn: &TurnId, attempt: u32) -> Self {
        Self(format!("{turn}.{attempt}"))
    }

    /// The client id of a steer: the inbound row that holds its words.
    pub fn of_steer(inbound: InboundSeq) -> Self {
        Self(format!("steer.{}", inbound.0))
    }

    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
