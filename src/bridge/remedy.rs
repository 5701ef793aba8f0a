//! What the owner can do about a failure: said where only the owner reads it.

use super::intake::notice;
use super::pictures::Frame;
use crate::domain::delivery::Target;
use crate::domain::ids::ChannelName;
use crate::domain::view::Lang;
use crate::ledger::conversations::Conversation;
use crate::ledger::{LedgerError, Transaction, inbound, said};
use crate::words::{NoticeMsg, Told};

const HOUR_MS: i64 = 3_600_000;

/// Gives the text for the conversation's chat. In the owner's own chat it holds the remedy; otherwise the owner is told
/// in a direct chat, once an hour for each `kind` of trouble.
pub fn tell(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    kind: &str,
    told: impl Fn(Lang) -> Told,
) -> Result<String, LedgerError> {
    let here = told(conversation.lang);
    let Some(remedy) = here.owner else { return Ok(here.chat) };
    let Some(owner) = &frame.access.owner else { return Ok(here.chat) };
    let Some(home) = inbound::direct_chat_of(tx, &conversation.channel, owner)? else { return Ok(here.chat) };
    if home == conversation.chat {
        return Ok(format!("{}\n{remedy}", here.chat));
    }
    let hour = frame.now_ms / HOUR_MS;
    if said::first_time(tx, &format!("remedy:{}:{kind}:{hour}", conversation.channel), frame.now_ms)? {
        let there = told(frame.lang);
        let (chat, remedy) = (conversation.chat.as_str(), there.owner.unwrap_or(remedy));
        let msg = NoticeMsg::OwnerRemedy { chat, what: &there.chat, remedy: &remedy };
        let target = Target { chat: home, reply_to: None, in_topic: false };
        notice(tx, &conversation.channel, target, None, None, msg.text(frame.lang), frame.lang, frame.now_ms)?;
    }
    Ok(here.chat)
}

/// Tells the owner something in the direct chat, where there is one.
pub(super) fn owner(
    tx: &Transaction<'_>,
    frame: &Frame,
    channel: &ChannelName,
    told: impl Fn(Lang) -> String,
) -> Result<(), LedgerError> {
    let Some(owner) = &frame.access.owner else { return Ok(()) };
    let Some(home) = inbound::direct_chat_of(tx, channel, owner)? else { return Ok(()) };
    let target = Target { chat: home, reply_to: None, in_topic: false };
    notice(tx, channel, target, None, None, told(frame.lang), frame.lang, frame.now_ms)
}
