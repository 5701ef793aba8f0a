//! How a chat works, where somebody set it otherwise than it is configured; and the one switch for everything.

use std::path::Path;

use rusqlite::{Transaction, params};

use super::LedgerError;
use super::said;
use super::sql::{all, first, run};
use crate::domain::ids::*;
pub use crate::domain::setting::Setting;

pub fn get(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    setting: Setting,
) -> Result<Option<String>, LedgerError> {
    let sql = "SELECT value FROM settings WHERE channel = ?1 AND chat = ?2 AND key = ?3";
    first(tx, sql, params![channel.as_str(), chat.as_str(), setting.as_str()], |row| row.get(0))
}

/// A setting with the time at which it was made.
pub fn get_dated(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    setting: Setting,
) -> Result<Option<(String, i64)>, LedgerError> {
    let sql = "SELECT value, at_ms FROM settings WHERE channel = ?1 AND chat = ?2 AND key = ?3";
    let values = params![channel.as_str(), chat.as_str(), setting.as_str()];
    first(tx, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Everything that was set for a chat.
pub fn of_chat(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
) -> Result<Vec<(Setting, String)>, LedgerError> {
    let sql = "SELECT key, value FROM settings WHERE channel = ?1 AND chat = ?2";
    let rows = all(tx, sql, params![channel.as_str(), chat.as_str()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    Ok(rows.into_iter().filter_map(|(key, value)| Some((Setting::parse(&key)?, value))).collect())
}

/// `None` goes back to what is configured.
pub fn set(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    setting: Setting,
    value: Option<&str>,
    by: &UserId,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let Some(value) = value else {
        let sql = "DELETE FROM settings WHERE channel = ?1 AND chat = ?2 AND key = ?3";
        run(tx, sql, params![channel.as_str(), chat.as_str(), setting.as_str()])?;
        return Ok(());
    };
    let sql = "INSERT INTO settings (channel, chat, key, value, set_by, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (channel, chat, key) DO UPDATE SET value = excluded.value, set_by = excluded.set_by, at_ms = excluded.at_ms";
    run(tx, sql, params![channel.as_str(), chat.as_str(), setting.as_str(), value, by.as_str(), now_ms])?;
    Ok(())
}

/// A directory by its real path, to which a chat was brought.
pub fn note_bound(tx: &Transaction<'_>, directory: &Path) -> Result<(), LedgerError> {
    said::set_meta(tx, &bound_key(directory), "bound")
}

/// Whether any chat was ever brought there.
pub fn was_bound(tx: &Transaction<'_>, directory: &Path) -> Result<bool, LedgerError> {
    Ok(said::meta(tx, &bound_key(directory))?.is_some())
}

fn bound_key(directory: &Path) -> String {
    format!("bound:{}", directory.to_string_lossy())
}

/// Nothing runs anywhere until the owner unlocks it.
pub fn is_locked(tx: &Transaction<'_>) -> Result<bool, LedgerError> {
    Ok(said::meta(tx, "locked")?.is_some_and(|value| !value.is_empty()))
}

pub fn set_locked(tx: &Transaction<'_>, by: Option<&str>) -> Result<(), LedgerError> {
    said::set_meta(tx, "locked", by.unwrap_or(""))
}
