//! Who decided and changed what. Never message texts.

use rusqlite::{Row, Transaction, params};

use super::LedgerError;
use super::sql::{all, first, from_json_opt, run};
use crate::domain::gate::Ask;
use crate::domain::ids::*;

/// Adds an audit row, in the transaction of the change itself. Where it was is told by what the subject names: a turn, a
/// request, a conversation or a message.
pub fn note(
    tx: &Transaction<'_>,
    who: &str,
    what: &str,
    subject: &str,
    detail: &str,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let place = if subject.is_empty() { None } else { place_of(tx, subject)? };
    insert(tx, place, who, what, subject, detail, now_ms)
}

/// The same where the place is known otherwise.
pub fn note_in(
    tx: &Transaction<'_>,
    place: (&ChannelName, &ChatId),
    who: &str,
    what: &str,
    subject: &str,
    detail: &str,
    now_ms: i64,
) -> Result<(), LedgerError> {
    insert(tx, Some((place.0.to_string(), place.1.to_string())), who, what, subject, detail, now_ms)
}

fn insert(
    tx: &Transaction<'_>,
    place: Option<(String, String)>,
    who: &str,
    what: &str,
    subject: &str,
    detail: &str,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let sql =
        "INSERT INTO audit (at_ms, who, what, subject, detail, channel, chat) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (channel, chat) = place.unzip();
    run(tx, sql, params![now_ms, who, what, subject, detail, channel, chat])?;
    Ok(())
}

fn place_of(tx: &Transaction<'_>, subject: &str) -> Result<Option<(String, String)>, LedgerError> {
    let sql = "SELECT c.channel, c.chat FROM conversations c WHERE c.id = ?1
         UNION ALL SELECT c.channel, c.chat FROM turns t JOIN conversations c ON c.id = t.conversation WHERE t.id = ?1
         UNION ALL SELECT c.channel, c.chat FROM gates g JOIN conversations c ON c.id = g.conversation WHERE g.id = ?1
         UNION ALL SELECT m.channel, m.chat FROM messages m WHERE m.id = ?1";
    first(tx, sql, [subject], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// A row with what its subject is.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub at_ms: i64,
    pub who: String,
    /// How people call who did it.
    pub name: Option<String>,
    pub what: String,
    pub subject: String,
    pub about: About,
    pub detail: String,
    pub chat: Option<ChatId>,
}

/// What a subject names.
#[derive(Debug, Clone, PartialEq)]
pub enum About {
    Gate {
        number: i64,
        ask: Box<Ask>,
    },
    Turn {
        title: String,
    },
    Person {
        name: String,
    },
    /// Nothing that is known by its id: a rule's number, a chat, or nothing at all.
    Other,
}

/// What was decided since then, newest first: in a chat, or everywhere.
pub fn since(
    tx: &Transaction<'_>,
    of: Option<(&ChannelName, &ChatId)>,
    since_ms: i64,
    limit: u32,
) -> Result<Vec<Line>, LedgerError> {
    const LINES: &str = "SELECT a.*, g.number, g.ask, t.title,
           (SELECT name FROM people WHERE people.id = a.who LIMIT 1) AS name,
           (SELECT name FROM people WHERE people.id = a.subject LIMIT 1) AS person
         FROM audit a LEFT JOIN gates g ON g.id = a.subject LEFT JOIN turns t ON t.id = a.subject";
    const ORDER: &str = "ORDER BY a.at_ms DESC, a.seq DESC";
    match of {
        Some((channel, chat)) => {
            let place = "a.channel = ?1 AND a.chat = ?2";
            let sql = format!("{LINES} WHERE {place} AND a.at_ms >= ?3 {ORDER} LIMIT ?4");
            all(tx, &sql, params![channel.as_str(), chat.as_str(), since_ms, limit], read)
        }
        None => {
            let sql = format!("{LINES} WHERE a.at_ms >= ?1 {ORDER} LIMIT ?2");
            all(tx, &sql, params![since_ms, limit], read)
        }
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Line> {
    let (number, title, person): (Option<i64>, Option<String>, Option<String>) =
        (row.get("number")?, row.get("title")?, row.get("person")?);
    let about = match (number, from_json_opt::<Ask>(row, "ask")?, title, person) {
        (Some(number), Some(ask), ..) => About::Gate { number, ask: Box::new(ask) },
        (_, _, Some(title), _) => About::Turn { title },
        (_, _, _, Some(name)) => About::Person { name },
        _ => About::Other,
    };
    Ok(Line {
        at_ms: row.get("at_ms")?,
        who: row.get("who")?,
        name: row.get("name")?,
        what: row.get("what")?,
        subject: row.get::<_, Option<String>>("subject")?.unwrap_or_default(),
        about,
        detail: row.get::<_, Option<String>>("detail")?.unwrap_or_default(),
        chat: row.get::<_, Option<String>>("chat")?.map(ChatId::from),
    })
}
