//! Single-use 128-bit ids behind the buttons of cards.

use rusqlite::{Transaction, params};

use super::LedgerError;
use super::sql::{all, first, from_json, id, json, run};
use crate::domain::action::Action;
use crate::domain::ids::*;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredButton {
    pub id: ButtonId,
    pub channel: ChannelName,
    pub chat: ChatId,
    pub subject: String,
    pub action: Action,
    pub used_by: Option<String>,
}

/// The button of a subject's action in a chat: the same id as long as the card lives, so that a repaint changes nothing.
pub fn ensure(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    subject: &str,
    action: &Action,
    fresh: ButtonId,
    now_ms: i64,
) -> Result<ButtonId, LedgerError> {
    let stored = json(action)?;
    let sql = "INSERT INTO buttons (id, channel, chat, subject, action, made_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (subject, action, chat) DO NOTHING";
    run(tx, sql, params![fresh.as_str(), channel.as_str(), chat.as_str(), subject, stored, now_ms])?;
    let sql = "SELECT id FROM buttons WHERE subject = ?1 AND action = ?2 AND chat = ?3";
    first(tx, sql, params![subject, stored, chat.as_str()], |row| id(row, "id"))?
        .ok_or(LedgerError::Missing("the button"))
}

pub fn get(tx: &Transaction<'_>, button: &ButtonId) -> Result<Option<StoredButton>, LedgerError> {
    first(tx, "SELECT * FROM buttons WHERE id = ?1", [button.as_str()], |row| {
        Ok(StoredButton {
            id: id(row, "id")?,
            channel: id(row, "channel")?,
            chat: id(row, "chat")?,
            subject: row.get("subject")?,
            action: from_json(row, "action")?,
            used_by: row.get("used_by")?,
        })
    })
}

/// Everything that was ever drawn for a subject.
pub fn of_subject(tx: &Transaction<'_>, subject: &str) -> Result<Vec<ButtonId>, LedgerError> {
    all(tx, "SELECT id FROM buttons WHERE subject = ?1", [subject], |row| id(row, "id"))
}

/// Marks it used. False when somebody was first.
pub fn consume(tx: &Transaction<'_>, button: &ButtonId, by: &str, now_ms: i64) -> Result<bool, LedgerError> {
    let sql = "UPDATE buttons SET used_by = ?2, used_at_ms = ?3 WHERE id = ?1 AND used_at_ms IS NULL";
    Ok(run(tx, sql, params![button.as_str(), by, now_ms])? == 1)
}
