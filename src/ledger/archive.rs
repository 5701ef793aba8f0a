//! Which settled turns stand in the archive's files. The files are written after the commit that settles a turn, and may be
//! written anew from here at any time.

use rusqlite::{Row, Transaction, params};

use super::sql::{all, first, id, run};
use super::turns::Turn;
use super::{LedgerError, conversations, gates, routines, turns};
use crate::domain::ids::*;

/// A settled turn with all that a line of the archive tells of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub turn: Turn,
    pub conversation: conversations::Conversation,
    pub gates: Vec<gates::Gate>,
    pub run: Option<routines::Run>,
}

/// Where a listing of all settled turns goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    settled_at_ms: i64,
    row: i64,
}

impl Cursor {
    /// Before all of them.
    pub const START: Cursor = Cursor { settled_at_ms: i64::MIN, row: i64::MIN };
}

/// Settled turns of which no line was written yet, in the order in which they ended.
pub fn waiting(tx: &Transaction<'_>, limit: u32) -> Result<Vec<Entry>, LedgerError> {
    of_kind(tx, 0, limit)?.into_iter().map(|(turn, _)| entry(tx, &turn)).collect()
}

/// Turns whose words are forgotten here and stand in a file still, with when they ended.
pub fn to_forget(tx: &Transaction<'_>, limit: u32) -> Result<Vec<(TurnId, i64)>, LedgerError> {
    of_kind(tx, 2, limit)
}

fn of_kind(tx: &Transaction<'_>, kind: i64, limit: u32) -> Result<Vec<(TurnId, i64)>, LedgerError> {
    let sql = "SELECT id, settled_at_ms FROM turns INDEXED BY turns_unarchived
         WHERE state = 'settled' AND archived <> 1 AND archived = ?1 ORDER BY settled_at_ms LIMIT ?2";
    all(tx, sql, params![kind, limit], |row| Ok((id(row, "id")?, row.get(1)?)))
}

/// Their lines are on the disk, with their words or without. Words that were forgotten since they were read are to be
/// forgotten there as well.
pub fn written(tx: &Transaction<'_>, lines: &[(TurnId, bool)]) -> Result<(), LedgerError> {
    let sql = "UPDATE turns SET archived = CASE WHEN ?2 AND prompt = '' THEN 2 ELSE 1 END WHERE id = ?1";
    for (turn, with_words) in lines {
        run(tx, sql, params![turn.as_str(), with_words])?;
    }
    Ok(())
}

/// All settled turns after a place, in the order in which they ended, and where to go on.
pub fn all_after(tx: &Transaction<'_>, after: Cursor, limit: u32) -> Result<(Vec<Entry>, Cursor), LedgerError> {
    let sql = "SELECT id, settled_at_ms, rowid FROM turns INDEXED BY turns_settled
         WHERE state = 'settled' AND (settled_at_ms, rowid) > (?1, ?2) ORDER BY settled_at_ms, rowid LIMIT ?3";
    let read = |row: &Row<'_>| {
        let cursor = Cursor { settled_at_ms: row.get(1)?, row: row.get(2)? };
        Ok((id::<TurnId>(row, "id")?, cursor))
    };
    let found = all(tx, sql, params![after.settled_at_ms, after.row, limit], read)?;
    let next = found.last().map_or(after, |(_, cursor)| *cursor);
    let entries = found.iter().map(|(turn, _)| entry(tx, turn)).collect::<Result<_, _>>()?;
    Ok((entries, next))
}

/// Those of the turns that this ledger has never had.
pub fn unknown(tx: &Transaction<'_>, turns: Vec<TurnId>) -> Result<Vec<TurnId>, LedgerError> {
    let is_known =
        |turn: &TurnId| first(tx, "SELECT 1 FROM turns WHERE id = ?1", [turn.as_str()], |row| row.get::<_, i64>(0));
    let mut unknown = Vec::new();
    for turn in turns {
        if is_known(&turn)?.is_none() {
            unknown.push(turn);
        }
    }
    Ok(unknown)
}

fn entry(tx: &Transaction<'_>, turn: &TurnId) -> Result<Entry, LedgerError> {
    let turn = turns::get(tx, turn)?;
    let conversation = conversations::get(tx, &turn.conversation)?;
    let (gates, run) = (gates::of_turn(tx, &turn.id)?, routines::of_turn(tx, &turn.id)?);
    Ok(Entry { turn, conversation, gates, run })
}
