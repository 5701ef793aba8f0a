//! The threads of a chat: every one that a turn was handed over on, with what is needed to go on with it. A conversation
//! has one of them at a time; the others are listed to people.

use std::path::{Path, PathBuf};

use rusqlite::{Row, Transaction, params};

use super::LedgerError;
use super::sql::{all, first, id, id_opt, run};
use crate::domain::ids::*;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    pub thread: ThreadId,
    /// It works there and nowhere else.
    pub directory: PathBuf,
    /// The first words that went into it.
    pub title: String,
    /// How people call it.
    pub name: Option<String>,
    /// Where its conversation left it.
    pub cursor: Option<NativeTurnId>,
    pub settled: i64,
    /// A turn of it was to make a plan.
    pub has_planned: bool,
    pub active_at_ms: i64,
}

/// Where a thread belongs.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    pub channel: &'a ChannelName,
    pub chat: &'a ChatId,
    /// Of the runtime that keeps it.
    pub home: &'a str,
}

/// A turn goes into the thread: it is of this chat from now on. Name and first words stay.
pub fn used(
    tx: &Transaction<'_>,
    owner: Owner<'_>,
    thread: &ThreadId,
    directory: &Path,
    title: &str,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO threads (channel, chat, thread, runtime_home, directory, title, active_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (channel, chat, thread) DO UPDATE SET active_at_ms = excluded.active_at_ms";
    let (channel, chat) = (owner.channel.as_str(), owner.chat.as_str());
    run(tx, sql, params![channel, chat, thread.as_str(), owner.home, directory.to_string_lossy(), title, now_ms])?;
    Ok(())
}

/// What a conversation knows of its thread, before it turns to another.
pub(super) fn leave(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), LedgerError> {
    let sql = "UPDATE threads SET cursor = c.thread_cursor, settled = c.settled_on_thread
         FROM conversations c WHERE c.id = ?1 AND threads.channel = c.channel AND threads.chat = c.chat AND threads.thread = c.thread";
    run(tx, sql, [conversation.as_str()])?;
    Ok(())
}

pub fn get(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    thread: &ThreadId,
) -> Result<Option<Thread>, LedgerError> {
    let sql = "SELECT * FROM threads WHERE channel = ?1 AND chat = ?2 AND thread = ?3";
    first(tx, sql, params![channel.as_str(), chat.as_str(), thread.as_str()], read)
}

/// The threads of a chat that a runtime's home keeps, the newest first.
pub fn recent(tx: &Transaction<'_>, owner: Owner<'_>, limit: usize) -> Result<Vec<Thread>, LedgerError> {
    let sql = "SELECT * FROM threads WHERE channel = ?1 AND chat = ?2 AND runtime_home = ?3 ORDER BY active_at_ms DESC LIMIT ?4";
    all(tx, sql, params![owner.channel.as_str(), owner.chat.as_str(), owner.home, limit as i64], read)
}

/// Whether any chat has used the thread.
pub fn is_known(tx: &Transaction<'_>, thread: &ThreadId) -> Result<bool, LedgerError> {
    Ok(first(tx, "SELECT 1 FROM threads WHERE thread = ?1 LIMIT 1", [thread.as_str()], |_| Ok(()))?.is_some())
}

/// A copy of a thread is of the same chat, and as it was.
pub fn copied(tx: &Transaction<'_>, conversation: &ConversationId, copy: &ThreadId) -> Result<(), LedgerError> {
    let sql = "INSERT INTO threads (channel, chat, thread, runtime_home, directory, title, has_planned, active_at_ms)
         SELECT h.channel, h.chat, ?2, h.runtime_home, h.directory, h.title, h.has_planned, h.active_at_ms
         FROM conversations c JOIN threads h ON h.channel = c.channel AND h.chat = c.chat AND h.thread = c.thread WHERE c.id = ?1
         ON CONFLICT DO NOTHING";
    run(tx, sql, params![conversation.as_str(), copy.as_str()])?;
    Ok(())
}

/// From now on each turn of it says whether it is to make a plan.
pub fn set_planned(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    thread: &ThreadId,
) -> Result<(), LedgerError> {
    let sql = "UPDATE threads SET has_planned = 1 WHERE channel = ?1 AND chat = ?2 AND thread = ?3";
    run(tx, sql, params![channel.as_str(), chat.as_str(), thread.as_str()])?;
    Ok(())
}

pub fn set_name(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    thread: &ThreadId,
    name: &str,
) -> Result<(), LedgerError> {
    let sql = "UPDATE threads SET name = ?4 WHERE channel = ?1 AND chat = ?2 AND thread = ?3";
    run(tx, sql, params![channel.as_str(), chat.as_str(), thread.as_str(), name])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Thread> {
    Ok(Thread {
        thread: id(row, "thread")?,
        directory: PathBuf::from(row.get::<_, String>("directory")?),
        title: row.get("title")?,
        name: row.get("name")?,
        cursor: id_opt(row, "cursor")?,
        settled: row.get("settled")?,
        has_planned: row.get("has_planned")?,
        active_at_ms: row.get("active_at_ms")?,
    })
}
