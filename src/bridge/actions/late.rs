//! What becomes of messages that came late, or grew old in the queue.

use super::{Performed, Person, Told, cancel_turn, not_theirs, receipts};
use crate::bridge::pictures::{self, Frame};
use crate::bridge::{alive, lock};
use crate::domain::access::{Act, may};
use crate::domain::action::Late;
use crate::domain::ids::InboundSeq;
use crate::domain::view::{ButtonRole, Receipt};
use crate::ledger::inbound::{self, InboundRow, InboundState};
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, Transaction, settings, surfaces, turns};

pub(super) fn late(
    tx: &Transaction<'_>,
    frame: &Frame,
    seq: InboundSeq,
    how: Late,
    up_to: InboundSeq,
    person: &Person,
) -> Result<Performed, LedgerError> {
    let row = inbound::get(tx, seq)?;
    if !may(person.role, Act::Requeue { own: row.sender.as_ref() == Some(&person.user) }) {
        return not_theirs(tx, frame, person, "", String::new());
    }
    if how == Late::DoIt && settings::is_locked(tx)? {
        return lock::refuse(tx, person, "", frame.now_ms);
    }
    let old = old_turn(tx, &row)?;
    if row.state != InboundState::Waiting && old.is_none() {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    let (Some(chat), channel) = (row.chat.clone(), row.channel.clone()) else {
        return Ok(Performed::told(Told::NoLongerValid));
    };
    let rows = match how {
        Late::CancelAll => inbound::asked_about(tx, &channel, &chat)?
            .into_iter()
            // What has come since it was drawn is not meant.
            .filter(|other| other.seq == seq || up_to == InboundSeq(0) || other.seq <= up_to)
            .filter(|other| other.seq == seq || other.sender == row.sender || person.role.is_decider())
            .collect(),
        Late::DoIt | Late::Cancel => vec![row],
    };
    let mut wake = Vec::new();
    for row in rows {
        if let Some(turn) = old_turn(tx, &row)? {
            match how {
                Late::DoIt => still_wanted(tx, frame, &turn, &row, person)?,
                Late::Cancel | Late::CancelAll => drop(cancel_turn(tx, frame, &turn, &person.name, Receipt::Failed)?),
            }
            wake.push(turn.conversation);
            continue;
        }
        let (state, reason, role) = match how {
            Late::DoIt => (InboundState::Received, "wanted", ButtonRole::DoIt),
            Late::Cancel | Late::CancelAll => (InboundState::Cancelled, "late", ButtonRole::Cancel),
        };
        let mut ended = vec![row.clone()];
        if how != Late::DoIt {
            // With what was sent along without words.
            ended.extend(inbound::waiting(tx, &channel, &chat, &inbound::bound_to(row.seq))?);
        }
        for row in ended {
            inbound::resolve(tx, row.seq, state, Some(reason), None)?;
            if let (Some(message), true) = (&row.message, how != Late::DoIt) {
                surfaces::want_receipt(tx, &channel, &chat, message, Receipt::Failed, frame.now_ms)?;
            }
        }
        pictures::late(tx, frame, &row, frame.lang, "", Some((role, person.name.clone())))?;
    }
    let told = if how == Late::DoIt { Told::Queued } else { Told::Cancelled };
    Ok(Performed { rerun_intake: how == Late::DoIt, wake, ..Performed::told(told) })
}

/// The turn of a message that was accepted in time and grew old in the queue, while its sender is asked about it.
fn old_turn(tx: &Transaction<'_>, row: &InboundRow) -> Result<Option<Turn>, LedgerError> {
    let Some(turn) = &row.turn else { return Ok(None) };
    Ok(Some(turns::get(tx, turn)?).filter(Turn::is_asked))
}

/// It runs in its old place, with the prompt that it had.
pub(in crate::bridge) fn still_wanted(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &Turn,
    row: &InboundRow,
    person: &Person,
) -> Result<(), LedgerError> {
    turns::set_not_before(tx, turn, 0)?;
    alive::set_wanted(tx, &turn.id, frame.now_ms)?;
    receipts(tx, frame, turn, Receipt::Queued)?;
    pictures::queue(tx, frame, &turn.conversation)?;
    pictures::late(tx, frame, row, frame.lang, "", Some((ButtonRole::DoIt, person.name.clone())))
}

/// What was asked about a queued turn needs no answer any more.
pub(in crate::bridge) fn close_question(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &Turn,
    by: &str,
) -> Result<(), LedgerError> {
    match alive::words_of(tx, turn)?.filter(|_| turn.is_asked()) {
        Some(row) => pictures::late(tx, frame, &row, frame.lang, "", Some((ButtonRole::Cancel, by.to_owned()))),
        None => Ok(()),
    }
}
