//! Outbox rows. A *message* is sent once; a *surface* is a desired state. They fail differently, so they are two things.
//!
//! Message: `ready → sending → sent | refused → (next form) ready … | undeliverable`.

use serde::{Deserialize, Serialize};

use super::ids::{ChatId, DeliveryId, MessageId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    Ready,
    /// Committed before the request is written: from here on the platform may have it.
    Sending,
    Sent,
    Undeliverable,
}

impl MessageState {
    pub fn as_str(self) -> &'static str {
        match self {
            MessageState::Ready => "ready",
            MessageState::Sending => "sending",
            MessageState::Sent => "sent",
            MessageState::Undeliverable => "undeliverable",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [MessageState::Ready, MessageState::Sending, MessageState::Sent, MessageState::Undeliverable]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What goes out as a message. Stored as JSON in the row; each channel knows how to write it in one or more *forms*.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "body", rename_all = "snake_case")]
pub enum Body {
    /// A part of the agent's answer, in Markdown, within the channel's part limit.
    Answer {
        markdown: String,
        /// 1-based part and number of parts; shown when there are several.
        part: u32,
        parts: u32,
        /// ally's own grey line under the last part ("at least 3 files changed").
        footer: Option<String>,
        /// Person to mention, only in the first send and only by the notification rules.
        mention: Option<super::ids::UserId>,
    },
    /// A plain sentence of ally's own, in the conversation's language.
    Notice { text: String },
    /// A file under `outbox/<sha256>`.
    File { name: String, sha256: String, bytes: u64 },
    /// A picture under `outbox/<sha256>`.
    Image { name: String, sha256: String, bytes: u64 },
}

/// Where a delivery goes. Always a concrete message where there is one: topic ids are not valid targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub chat: ChatId,
    pub reply_to: Option<MessageId>,
    /// Answer in a topic under `reply_to` (opens one where there is none).
    pub in_topic: bool,
}

/// What a failed attempt means for the row. A `wait_ms` is the least wait: what the platform asked for, if it did (see
/// [`wait_before`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Certainly not sent; the same again after the wait.
    RetryAfter { wait_ms: u64 },
    /// Not known whether it was sent; the same again with the same key.
    Ambiguous { wait_ms: u64 },
    /// Certainly refused for its content: try the next form.
    NextForm,
    /// Certainly refused for its target: send without reply, to the chat (or the topic's root).
    WithoutReply,
    /// No way to this chat.
    Undeliverable,
    /// The chat is there, but every form was refused.
    NoForm,
    /// Nothing can be sent at all until somebody mends the configuration.
    Paused { wait_ms: u64 },
}

/// What stands between a message and its chat, as people are told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The bot is out of the chat, or the chat is no more.
    Left,
    /// It is there and may not write.
    Forbidden,
    /// The platform says no, for a reason that only its documents explain.
    Refused { code: i64 },
    /// Trouble on this computer.
    Here,
}

/// The idempotency key of a delivery on the platform: one for all its forms and for reply or create. 36 characters.
pub fn send_key(delivery: &DeliveryId) -> String {
    /// Namespace of ally's deterministic send keys (made once, at random).
    const NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x6a1f_70c2_94d5_4d0e_9b67_3f0b_c1a8_e55d);
    uuid::Uuid::new_v5(&NAMESPACE, delivery.as_str().as_bytes()).to_string()
}

/// How long to wait before the next try, in milliseconds, after a failure that `attempts` others came before: doubling from a
/// second to a minute, never less than `asked_ms`. `spread` (0 to 1, drawn) keeps what failed together from coming back
/// together.
pub fn wait_before(attempts: u32, asked_ms: u64, spread: f64) -> u64 {
    const LONGEST_MS: u64 = 60_000;
    let part_of = |wait: u64| (wait as f64 * spread.clamp(0.0, 1.0)) as u64;
    let longest = (1000_u64 << attempts.min(6)).min(LONGEST_MS);
    let own = longest / 2 + part_of(longest / 2);
    if own > asked_ms { own } else { asked_ms + part_of(asked_ms / 10) }
}

/// Text as it is compared when a message of unknown fate is looked up: without whitespace, markup and zero-width characters,
/// because a platform gives a text back in another dress.
pub fn normalise_for_lookup(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}'))
        .filter(|c| !matches!(c, '*' | '_' | '`' | '#' | '~' | '>' | '-' | '|' | '\\'))
        .collect()
}

/// What a phone shows of a table; a larger one is read in a file.
pub const TABLE_COLUMNS: usize = 4;
/// Rows besides the head, see [`TABLE_COLUMNS`].
pub const TABLE_ROWS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_key_is_stable_and_short_enough() {
        let id = DeliveryId::new("01a1fbdd-9968-7ab0-a56f-36cccc98a027");
        assert_eq!(send_key(&id), send_key(&id));
        assert_eq!(send_key(&id).len(), 36, "Feishu takes at most 50 characters");
        assert_ne!(send_key(&id), send_key(&DeliveryId::fresh()));
    }

    #[test]
    fn waits_grow_keep_what_was_asked_and_are_spread() {
        let waits = |asked: u64, spread: f64| [0, 1, 2, 5, 6, 40, u32::MAX].map(|n| wait_before(n, asked, spread));
        assert_eq!(waits(0, 1.0), [1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000]);
        assert_eq!(waits(0, 0.0), [500, 1000, 2000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(waits(10_000, 0.0), [10_000, 10_000, 10_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(waits(3_600_000, 1.0), [3_960_000; 7]);
    }

    #[test]
    fn lookup_ignores_dress() {
        assert_eq!(normalise_for_lookup("**Done**\n\n- a\n- b"), normalise_for_lookup("Done a b"));
        assert_ne!(normalise_for_lookup("Done"), normalise_for_lookup("Done 2"));
    }
}
