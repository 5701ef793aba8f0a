//! Runtime processes: one row each, written before the first word is said to it.

use rusqlite::{Row, Transaction, params};

use super::LedgerError;
use super::sql::{all, first, run};
use crate::domain::ids::Generation;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    pub number: Generation,
    pub kind: String,
    pub home: String,
    pub state: String,
    /// The process's identity, JSON of the port's type; absent when the process never came to be.
    pub identity: Option<String>,
    pub boot_changed: bool,
    pub started_at_ms: i64,
}

/// Takes the next number, before the process exists.
pub fn begin(tx: &Transaction<'_>, kind: &str, home: &str, now_ms: i64) -> Result<Generation, LedgerError> {
    let sql = "INSERT INTO generations (kind, home, state, started_at_ms) VALUES (?1, ?2, 'starting', ?3)";
    run(tx, sql, params![kind, home, now_ms])?;
    Ok(Generation(tx.last_insert_rowid()))
}

/// The process exists: what it is recognised by, committed before its first request.
pub fn spawned(tx: &Transaction<'_>, number: Generation, identity: &str) -> Result<(), LedgerError> {
    run(tx, "UPDATE generations SET identity = ?2 WHERE number = ?1", params![number.0, identity])?;
    Ok(())
}

pub fn live(tx: &Transaction<'_>, number: Generation, version: &str) -> Result<(), LedgerError> {
    run(tx, "UPDATE generations SET state = 'live', version = ?2 WHERE number = ?1", params![number.0, version])?;
    Ok(())
}

/// Surely dead.
pub fn dead(tx: &Transaction<'_>, number: Generation, boot_changed: bool, now_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE generations SET state = 'dead', boot_changed = ?2, ended_at_ms = ?3 WHERE number = ?1";
    run(tx, sql, params![number.0, boot_changed, now_ms])?;
    Ok(())
}

pub fn stuck(tx: &Transaction<'_>, number: Generation) -> Result<(), LedgerError> {
    run(tx, "UPDATE generations SET state = 'stuck' WHERE number = ?1", [number.0])?;
    Ok(())
}

/// Generations that are not known to be dead.
pub fn not_dead(tx: &Transaction<'_>) -> Result<Vec<GenerationRow>, LedgerError> {
    all(tx, "SELECT * FROM generations WHERE state <> 'dead' ORDER BY number", [], read)
}

pub fn get(tx: &Transaction<'_>, number: Generation) -> Result<GenerationRow, LedgerError> {
    first(tx, "SELECT * FROM generations WHERE number = ?1", [number.0], read)?
        .ok_or(LedgerError::Missing("the generation"))
}

fn read(row: &Row<'_>) -> rusqlite::Result<GenerationRow> {
    Ok(GenerationRow {
        number: Generation(row.get("number")?),
        kind: row.get("kind")?,
        home: row.get("home")?,
        state: row.get("state")?,
        identity: row.get("identity")?,
        boot_changed: row.get("boot_changed")?,
        started_at_ms: row.get("started_at_ms")?,
    })
}
