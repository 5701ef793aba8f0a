//! A ledger that was put back to an earlier state: what it calls unsettled may long be done. It is recognised by marks that
//! are kept outside of it, and all of that is held until somebody decides.

use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::said::{self, meta, set_meta};
use super::sql::{all, first, id, run};
use super::turns::{self, Turn};
use crate::domain::ids::*;

/// Written into a copy that takes the ledger's place.
pub(super) const RESTORING: &str = "restoring";
/// When it was recognised, while nobody has decided.
const RESTORED: &str = "restored";
/// When it last was.
const LAST: &str = "restored_ms";
/// Why an inbound row waits: nobody knows whether it was dealt with.
const HELD: &str = "restored";
/// When a delivery is due of which nobody knows whether it was sent.
pub(super) const HELD_MS: i64 = i64::MAX;

/// How far a ledger has come. None of these numbers ever goes back by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    pub ledger: String,
    pub inbound: i64,
    pub generations: i64,
    pub turns: i64,
    pub messages: i64,
}

impl Marks {
    /// Whether this is an earlier state of what `known` was taken of.
    pub fn is_behind(&self, known: &Marks) -> bool {
        let is_new = self.inbound == 0 && self.generations == 0;
        let other = self.ledger != known.ledger && !is_new;
        let behind = self.ledger == known.ledger
            && (self.inbound < known.inbound
                || self.generations < known.generations
                || self.turns < known.turns
                || self.messages < known.messages);
        other || behind
    }
}

pub fn marks(tx: &Transaction<'_>) -> Result<Marks, LedgerError> {
    let newest = |sql: &str| Ok::<_, LedgerError>(first(tx, sql, [], |row| row.get(0))?.unwrap_or(0));
    Ok(Marks {
        ledger: said::id(tx)?.unwrap_or_default(),
        inbound: newest("SELECT seq FROM inbound ORDER BY seq DESC LIMIT 1")?,
        generations: newest("SELECT number FROM generations ORDER BY number DESC LIMIT 1")?,
        turns: newest("SELECT rowid FROM turns ORDER BY rowid DESC LIMIT 1")?,
        messages: newest("SELECT rowid FROM messages ORDER BY rowid DESC LIMIT 1")?,
    })
}

/// Whether it was put in the ledger's place on purpose.
pub fn is_marked(tx: &Transaction<'_>) -> Result<bool, LedgerError> {
    Ok(meta(tx, RESTORING)?.as_deref() == Some("1"))
}

/// The next start holds everything that is not over.
pub fn mark(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    set_meta(tx, RESTORING, "1")
}

/// Holds everything that is not over: nothing of it runs, is sent or is painted by itself.
pub fn hold(tx: &Transaction<'_>, now_ms: i64) -> Result<(), LedgerError> {
    set_meta(tx, RESTORING, "")?;
    set_meta(tx, RESTORED, &now_ms.to_string())?;
    set_meta(tx, LAST, &now_ms.to_string())?;
    run(
        tx,
        "UPDATE conversations SET state = 'held', held_why = 'restored', held_turn = NULL
         WHERE state = 'open' AND id IN (SELECT conversation FROM turns WHERE state <> 'settled')",
        [],
    )?;
    let messages = "UPDATE messages INDEXED BY messages_open SET next_at_ms = ?1 WHERE state IN ('ready', 'sending')";
    run(tx, messages, [HELD_MS])?;
    run(
        tx,
        "UPDATE inbound INDEXED BY inbound_received SET state = 'waiting', reason = ?1
         WHERE state = 'received' AND kind = 'message'",
        [HELD],
    )?;
    let without_words =
        "UPDATE inbound INDEXED BY inbound_waiting SET reason = ?1 WHERE state = 'waiting' AND reason <> 'late'";
    run(tx, without_words, [HELD])?;
    // What a card shows by now is newer than what this ledger would paint.
    for sql in [
        "UPDATE surfaces INDEXED BY surfaces_due SET state = 'gone', problem = 'restored'
         WHERE state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash)",
        "UPDATE surfaces SET state = 'gone', problem = 'restored'
         WHERE kind = 'live' AND subject IN (SELECT id FROM turns WHERE state <> 'settled')",
        "UPDATE surfaces SET state = 'gone', problem = 'restored'
         WHERE kind = 'queue' AND subject IN (SELECT conversation FROM turns WHERE state <> 'settled')",
        "UPDATE surfaces SET state = 'gone', problem = 'restored' WHERE kind = 'gate' AND subject IN
             (SELECT coalesce(card, id) FROM gates INDEXED BY gates_open WHERE state IN ('open', 'decided', 'answering'))",
    ] {
        run(tx, sql, [])?;
    }
    Ok(())
}

/// When it was recognised, while nobody has decided.
pub fn undecided(tx: &Transaction<'_>) -> Result<Option<i64>, LedgerError> {
    Ok(meta(tx, RESTORED)?.and_then(|at| at.parse().ok()))
}

/// When it was last recognised: what was sent before may have been dealt with.
pub fn last_ms(tx: &Transaction<'_>) -> Result<Option<i64>, LedgerError> {
    Ok(meta(tx, LAST)?.and_then(|at| at.parse().ok()))
}

/// What is held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    pub turns: Vec<Turn>,
    pub messages: i64,
    pub inbound: i64,
}

pub fn held(tx: &Transaction<'_>, at_ms: i64) -> Result<Held, LedgerError> {
    let count = |sql: &str, value: &dyn rusqlite::ToSql| {
        Ok::<i64, LedgerError>(first(tx, sql, [value], |row| row.get(0))?.unwrap_or(0))
    };
    let messages = "SELECT count(*) FROM messages INDEXED BY messages_open WHERE state IN ('ready', 'sending') AND next_at_ms = ?1";
    let inbound = "SELECT count(*) FROM inbound INDEXED BY inbound_waiting WHERE state = 'waiting' AND reason = ?1";
    Ok(Held { turns: turns_held(tx, at_ms)?, messages: count(messages, &HELD_MS)?, inbound: count(inbound, &HELD)? })
}

/// Those that were there when it was recognised; what came since waits behind them.
fn turns_held(tx: &Transaction<'_>, at_ms: i64) -> Result<Vec<Turn>, LedgerError> {
    let sql = "SELECT t.id FROM turns t INDEXED BY turns_active CROSS JOIN conversations c ON c.id = t.conversation
         WHERE t.state <> 'settled' AND c.held_why = 'restored' AND t.created_at_ms <= ?1 ORDER BY t.created_at_ms";
    let found: Vec<TurnId> = all(tx, sql, [at_ms], |row| id(row, "id"))?;
    found.iter().map(|turn| turns::get(tx, turn)).collect()
}

/// Lets everything go on: the conversations that wait for their tasks now.
pub fn go_on(tx: &Transaction<'_>) -> Result<Vec<ConversationId>, LedgerError> {
    let messages = "UPDATE messages INDEXED BY messages_open SET next_at_ms = 0 WHERE state IN ('ready', 'sending') AND next_at_ms = ?1";
    run(tx, messages, [HELD_MS])?;
    let inbound = "UPDATE inbound INDEXED BY inbound_waiting SET state = 'received', reason = 'wanted' WHERE state = 'waiting' AND reason = ?1";
    run(tx, inbound, [HELD])?;
    release(tx)
}

/// Gives up what is not sent and what was not looked at. The turns are for the caller to settle, before.
pub fn drop_rest(tx: &Transaction<'_>) -> Result<Vec<ConversationId>, LedgerError> {
    let messages =
        "UPDATE messages INDEXED BY messages_open SET state = 'undeliverable', problem = ?2, version = version + 1
         WHERE state IN ('ready', 'sending') AND next_at_ms = ?1";
    run(tx, messages, params![HELD_MS, "dropped after the ledger was restored"])?;
    let inbound = "UPDATE inbound INDEXED BY inbound_waiting SET state = 'cancelled', reason = 'dropped' WHERE state = 'waiting' AND reason = ?1";
    run(tx, inbound, [HELD])?;
    release(tx)
}

fn release(tx: &Transaction<'_>) -> Result<Vec<ConversationId>, LedgerError> {
    set_meta(tx, RESTORED, "")?;
    let sql = "UPDATE conversations SET state = 'open', held_why = NULL, held_turn = NULL WHERE held_why = 'restored' RETURNING id";
    all(tx, sql, [], |row| id(row, "id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_state_is_recognised_and_a_later_or_a_new_one_is_not() {
        let known = Marks { ledger: "l".to_owned(), inbound: 5, generations: 2, turns: 3, messages: 4 };
        let with = |change: fn(&mut Marks)| {
            let mut marks = known.clone();
            change(&mut marks);
            marks.is_behind(&known)
        };
        assert!(!with(|_| {}));
        assert!(!with(|marks| (marks.inbound, marks.messages) = (9, 9)));
        assert!(with(|marks| marks.inbound = 4));
        assert!(with(|marks| (marks.inbound, marks.generations) = (9, 1)));
        assert!(with(|marks| marks.messages = 3));
        assert!(with(|marks| marks.ledger = "other".to_owned()));
        let new = Marks { ledger: "fresh".to_owned(), ..Marks::default() };
        assert!(!new.is_behind(&known), "a ledger that was made anew has nothing to hold");
    }
}
