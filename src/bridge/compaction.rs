//! A request that waits for its conversation to be compacted: put there by *Compact and retry*, and run again by the end of
//! the compaction.

use super::actions::{self, Person};
use super::pictures::Frame;
use super::prompts;
use crate::domain::view::Receipt;
use crate::ledger::turns::{NewTurn, Turn};
use crate::ledger::{LedgerError, Transaction, inbound, turns};

/// A compaction in the place of a turn that found its thread too long. The request runs again when that is done, by a row
/// that the compaction's end writes ([`over`]).
pub fn first(tx: &Transaction<'_>, frame: &Frame, turn: &Turn, person: &Person) -> Result<(), LedgerError> {
    let new = NewTurn {
        conversation: turn.conversation.clone(),
        ord: Some(turn.ord),
        requester: person.user.clone(),
        requester_name: person.name.clone(),
        title: turn.title.clone(),
        reply_to: turn.reply_to.clone(),
        prompt: prompts::freeze(&prompts::compacting(Some(turn.id.clone()))),
        continues: None,
        directory: Some(turn.directory.clone()),
        network_by: None,
        not_before_ms: 0,
    };
    turns::insert(tx, &new, frame.now_ms)?;
    actions::receipts(tx, frame, turn, Receipt::Queued)
}

/// Whether a request waits for this compaction that nobody has recalled.
pub fn is_awaited(tx: &Transaction<'_>, compaction: &Turn) -> Result<bool, LedgerError> {
    let Some(former) = prompts::compaction(&compaction.prompt).and_then(|compacts| compacts.then) else {
        return Ok(false);
    };
    Ok(!inbound::of_turn(tx, &former)?.iter().any(|row| row.reason.as_deref() == Some("recalled")))
}

/// The end of a turn, where it was a compaction that a request waits for: only a thread that has room again takes it. In
/// the transaction of that end, so that it runs once whatever dies.
pub fn over(tx: &Transaction<'_>, frame: &Frame, compaction: &Turn, has_room: bool) -> Result<(), LedgerError> {
    let Some(former) = prompts::compaction(&compaction.prompt).and_then(|compacts| compacts.then) else {
        return Ok(());
    };
    let former = turns::get(tx, &former)?;
    if !has_room || !is_awaited(tx, compaction)? {
        return actions::receipts(tx, frame, &former, Receipt::Failed);
    }
    let by = (&compaction.requester, compaction.requester_name.as_str());
    actions::again(tx, frame, &former, former.prompt.clone(), false, by)
}
