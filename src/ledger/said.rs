//! What was said once, and how people are called.

use rusqlite::{Transaction, params};

use super::LedgerError;
use super::sql::{first, run};
use crate::domain::ids::*;

/// True the first time a key is used: for things that are said once (a day, a chat).
pub fn first_time(tx: &Transaction<'_>, key: &str, now_ms: i64) -> Result<bool, LedgerError> {
    Ok(run(tx, "INSERT INTO said (key, at_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![key, now_ms])? == 1)
}

/// Whether a key was used.
pub fn was_said(tx: &Transaction<'_>, key: &str) -> Result<bool, LedgerError> {
    Ok(first(tx, "SELECT 1 FROM said WHERE key = ?1", [key], |_| Ok(()))?.is_some())
}

/// When a key was first used, which may be now.
pub fn first_at(tx: &Transaction<'_>, key: &str, now_ms: i64) -> Result<i64, LedgerError> {
    first_time(tx, key, now_ms)?;
    let at = first(tx, "SELECT at_ms FROM said WHERE key = ?1", [key], |row| row.get(0))?;
    Ok(at.unwrap_or(now_ms))
}

pub fn learn_name(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    user: &UserId,
    name: &str,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO people (channel, id, name, at_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (channel, id) DO UPDATE SET name = excluded.name, at_ms = excluded.at_ms";
    run(tx, sql, params![channel.as_str(), user.as_str(), name, now_ms])?;
    Ok(())
}

/// The name and when it was learned.
pub fn name_of(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    user: &UserId,
) -> Result<Option<(String, i64)>, LedgerError> {
    let sql = "SELECT name, at_ms FROM people WHERE channel = ?1 AND id = ?2";
    first(tx, sql, params![channel.as_str(), user.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// A small durable value of our own (snapshot marks and the like).
pub fn set_meta(tx: &Transaction<'_>, key: &str, value: &str) -> Result<(), LedgerError> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    run(tx, sql, params![key, value])?;
    Ok(())
}

pub fn meta(tx: &Transaction<'_>, key: &str) -> Result<Option<String>, LedgerError> {
    first(tx, "SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
}

/// The ledger's own name, which its runtimes' processes carry.
pub fn id(tx: &Transaction<'_>) -> Result<Option<String>, LedgerError> {
    meta(tx, "ledger_id")
}
