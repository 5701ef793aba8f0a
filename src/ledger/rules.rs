//! What was allowed for longer than once.

use rusqlite::{Row, Transaction, params};

use super::LedgerError;
use super::sql::{all, first, from_json, id, json, run, unreadable};
use crate::domain::ids::*;
use crate::domain::risk::Class;
use crate::domain::rule::{Covers, Span};

#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub number: i64,
    pub channel: ChannelName,
    pub chat: ChatId,
    pub turn: Option<TurnId>,
    pub span: Span,
    pub covers: Covers,
    pub made_by: UserId,
    pub made_name: String,
    pub made_at_ms: i64,
    pub expires_at_ms: Option<i64>,
    pub uses: i64,
    pub last_used_ms: Option<i64>,
    pub ended_at_ms: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct NewRule {
    pub channel: ChannelName,
    pub chat: ChatId,
    /// The task that it ends with.
    pub turn: Option<TurnId>,
    pub span: Span,
    pub covers: Covers,
    pub made_by: UserId,
    pub made_name: String,
    pub expires_at_ms: Option<i64>,
}

/// Its number, which is never used again.
pub fn make(tx: &Transaction<'_>, new: &NewRule, now_ms: i64) -> Result<i64, LedgerError> {
    let sql = "INSERT INTO rules (channel, chat, turn, span, subject, directory, class, sandboxed, made_by, made_name, made_at_ms, expires_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let Covers { subject, directory, class, sandboxed } = &new.covers;
    run(
        tx,
        sql,
        params![
            new.channel.as_str(),
            new.chat.as_str(),
            new.turn.as_ref().map(TurnId::as_str),
            new.span.as_str(),
            json(subject)?,
            directory,
            class.as_str(),
            sandboxed,
            new.made_by.as_str(),
            new.made_name,
            now_ms,
            new.expires_at_ms
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

pub fn get(tx: &Transaction<'_>, number: i64) -> Result<Option<Rule>, LedgerError> {
    first(tx, "SELECT * FROM rules WHERE number = ?1", [number], read)
}

/// Rules in force in a directory of a chat, newest first.
pub fn in_force(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    directory: &str,
    now_ms: i64,
) -> Result<Vec<Rule>, LedgerError> {
    let sql = "SELECT * FROM rules WHERE channel = ?1 AND chat = ?2 AND directory = ?3 AND ended_at_ms IS NULL
           AND (expires_at_ms IS NULL OR expires_at_ms > ?4) ORDER BY number DESC";
    all(tx, sql, params![channel.as_str(), chat.as_str(), directory, now_ms], read)
}

/// Rules in force of a chat, or of all chats.
pub fn listed(
    tx: &Transaction<'_>,
    of: Option<(&ChannelName, &ChatId)>,
    now_ms: i64,
) -> Result<Vec<Rule>, LedgerError> {
    let in_force = "ended_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > ?1)";
    match of {
        Some((channel, chat)) => {
            let sql = format!("SELECT * FROM rules WHERE channel = ?2 AND chat = ?3 AND {in_force} ORDER BY number");
            all(tx, &sql, params![now_ms, channel.as_str(), chat.as_str()], read)
        }
        None => {
            let sql = format!("SELECT * FROM rules INDEXED BY rules_in_force WHERE {in_force} ORDER BY number");
            all(tx, &sql, [now_ms], read)
        }
    }
}

pub fn used(tx: &Transaction<'_>, number: i64, now_ms: i64) -> Result<(), LedgerError> {
    run(tx, "UPDATE rules SET uses = uses + 1, last_used_ms = ?2 WHERE number = ?1", params![number, now_ms])?;
    Ok(())
}

/// False when it had ended before.
pub fn end(tx: &Transaction<'_>, number: i64, by: &str, now_ms: i64) -> Result<bool, LedgerError> {
    let sql = "UPDATE rules SET ended_at_ms = ?2, ended_by = ?3 WHERE number = ?1 AND ended_at_ms IS NULL";
    Ok(run(tx, sql, params![number, now_ms, by])? == 1)
}

/// Ends what somebody allowed, in one chat or in all; gives the numbers.
pub fn end_of(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: Option<&ChatId>,
    maker: &UserId,
    by: &str,
    now_ms: i64,
) -> Result<Vec<i64>, LedgerError> {
    let mut theirs = listed(tx, chat.map(|chat| (channel, chat)), now_ms)?;
    theirs.retain(|rule| rule.channel == *channel && rule.made_by == *maker);
    let mut ended = Vec::new();
    for rule in theirs {
        if end(tx, rule.number, by, now_ms)? {
            ended.push(rule.number);
        }
    }
    Ok(ended)
}

/// Ends what was allowed for the rest of a task.
pub fn end_with(tx: &Transaction<'_>, turn: &TurnId, now_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE rules SET ended_at_ms = ?2, ended_by = 'task' WHERE turn = ?1 AND ended_at_ms IS NULL";
    run(tx, sql, params![turn.as_str(), now_ms])?;
    Ok(())
}

/// Ends the twelve-hour approvals of a chat.
pub fn end_hours(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId, now_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE rules SET ended_at_ms = ?3, ended_by = 'new' WHERE channel = ?1 AND chat = ?2 AND span = 'hours' AND ended_at_ms IS NULL";
    run(tx, sql, params![channel.as_str(), chat.as_str(), now_ms])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Rule> {
    let (span, class): (String, String) = (row.get("span")?, row.get("class")?);
    Ok(Rule {
        number: row.get("number")?,
        channel: id(row, "channel")?,
        chat: id(row, "chat")?,
        turn: row.get::<_, Option<String>>("turn")?.map(TurnId::from),
        span: Span::parse(&span).ok_or_else(|| unreadable("rule span", &span))?,
        covers: Covers {
            subject: from_json(row, "subject")?,
            directory: row.get("directory")?,
            class: Class::parse(&class).ok_or_else(|| unreadable("class", &class))?,
            sandboxed: row.get("sandboxed")?,
        },
        made_by: id(row, "made_by")?,
        made_name: row.get("made_name")?,
        made_at_ms: row.get("made_at_ms")?,
        expires_at_ms: row.get("expires_at_ms")?,
        uses: row.get("uses")?,
        last_used_ms: row.get("last_used_ms")?,
        ended_at_ms: row.get("ended_at_ms")?,
    })
}
