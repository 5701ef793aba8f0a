//! `/compact`: a turn of the conversation, in order like a message, that compacts its thread.

use super::{Here, Reply};
use crate::bridge::actions::{Performed, Told};
use crate::bridge::core::Busy;
use crate::bridge::pictures::Frame;
use crate::bridge::prepare::{self, Letter};
use crate::bridge::{prompts, say};
use crate::domain::limits::Limits;
use crate::domain::view::Lang;
use crate::ledger::settings::{self, Setting};
use crate::ledger::{LedgerError, Transaction, turns};
use crate::words::CommandMsg;

pub(super) fn compact(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    (busy, limits): (Busy, Limits),
) -> Result<Reply, LedgerError> {
    let Some(conversation) = &here.conversation else {
        return Ok(Reply::say(say::command(lang, CommandMsg::CompactNothing)));
    };
    if conversation.thread.is_none() && turns::unsettled(tx, &conversation.id)?.is_empty() {
        return Ok(Reply::say(say::command(lang, CommandMsg::CompactNothing)));
    }
    let set = settings::get(tx, &conversation.channel, &conversation.chat, Setting::Busy)?;
    let busy = set.as_deref().and_then(Busy::parse).unwrap_or(busy);
    let manner = prepare::Manner { busy, fresh: false, limits };
    prepare::put(tx, frame, conversation, letter, &prompts::compacting(None).into(), manner)?;
    let woken = Performed { wake: vec![conversation.id.clone()], ..Performed::told(Told::Queued) };
    Ok(Reply { performed: vec![woken], keep_row: true, ..Reply::default() })
}
