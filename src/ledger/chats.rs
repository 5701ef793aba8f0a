//! Chats that ally knows, and the stretch of time in which a channel may have missed something there.

use rusqlite::{Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::said::{meta, set_meta};
use super::sql::{all, first, id, run};
use crate::domain::ids::*;
use crate::domain::message::ChatKind;

/// A chat in which somebody whom ally works for has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownChat {
    pub chat: ChatId,
    pub kind: ChatKind,
    /// By the platform's clock.
    pub since_ms: i64,
}

/// Since when a channel may have missed messages. Stands until everything since then was looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub from_ms: i64,
    /// When it was last found: a look-through that began before does not end it.
    pub found_ms: i64,
}

/// Notes that a chat is known, by a message in it; the first one counts.
pub fn note(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    kind: ChatKind,
    since_ms: i64,
) -> Result<(), LedgerError> {
    let sql =
        "INSERT INTO chats (channel, chat, chat_kind, known_since_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    run(tx, sql, params![channel.as_str(), chat.as_str(), kind.as_str(), since_ms])?;
    Ok(())
}

/// Whether a chat is known.
pub fn is_known(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId) -> Result<bool, LedgerError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM chats WHERE channel = ?1 AND chat = ?2)";
    Ok(first(tx, sql, params![channel.as_str(), chat.as_str()], |row| row.get(0))?.unwrap_or(false))
}

/// The known chats of a channel, those first that were last used.
pub fn known(tx: &Transaction<'_>, channel: &ChannelName, limit: u32) -> Result<Vec<KnownChat>, LedgerError> {
    let sql =
        "SELECT * FROM chats k WHERE channel = ?1 ORDER BY coalesce((SELECT max(active_at_ms) FROM conversations c
             WHERE c.channel = k.channel AND c.chat = k.chat), known_since_ms) DESC LIMIT ?2";
    all(tx, sql, params![channel.as_str(), limit], read)
}

/// Topics of a chat in which something was said since `since_ms`, those first that were last used.
pub fn topics(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    since_ms: i64,
    limit: u32,
) -> Result<Vec<TopicId>, LedgerError> {
    let sql =
        "SELECT topic FROM conversations WHERE channel = ?1 AND chat = ?2 AND active_at_ms >= ?3 AND topic IS NOT NULL
         ORDER BY active_at_ms DESC LIMIT ?4";
    all(tx, sql, params![channel.as_str(), chat.as_str(), since_ms, limit], |row| id(row, "topic"))
}

/// A channel has missed something at `at_ms`. The gap begins with the last thing that it brought before, by the earlier of
/// both clocks, or with a former gap that was not looked through. Nothing where it never brought anything.
pub fn open_gap(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    at_ms: i64,
    now_ms: i64,
) -> Result<Option<Gap>, LedgerError> {
    let sql = "SELECT received_at_ms, coalesce(sent_at_ms, received_at_ms) FROM inbound INDEXED BY inbound_channel
         WHERE channel = ?1 ORDER BY seq DESC LIMIT 256";
    let newest: Vec<(i64, i64)> = all(tx, sql, [channel.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // None of them was there before where a clock was ahead once, or a lot has come since.
    let before = newest.iter().find(|(received_ms, _)| *received_ms < at_ms);
    let heard = match before {
        Some((received_ms, sent_ms)) => Some(*received_ms.min(sent_ms)),
        None => newest.iter().map(|(received_ms, sent_ms)| *received_ms.min(sent_ms)).min(),
    };
    let former = gap(tx, channel)?.map(|gap| gap.from_ms);
    let Some(from_ms) = heard.into_iter().chain(former).min() else { return Ok(None) };
    let gap = Gap { from_ms, found_ms: now_ms };
    set_meta(tx, &gap_key(channel), &serde_json::to_string(&gap)?)?;
    Ok(Some(gap))
}

/// What was not looked through yet.
pub fn gap(tx: &Transaction<'_>, channel: &ChannelName) -> Result<Option<Gap>, LedgerError> {
    let text = meta(tx, &gap_key(channel))?.filter(|text| !text.is_empty());
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(Into::into)
}

/// It was looked through, unless it has grown meanwhile.
pub fn close_gap(tx: &Transaction<'_>, channel: &ChannelName, seen: Gap) -> Result<(), LedgerError> {
    if gap(tx, channel)? == Some(seen) { set_meta(tx, &gap_key(channel), "") } else { Ok(()) }
}

/// The right that the app lacks to look through groups; `None`: it may.
pub fn set_lacking(tx: &Transaction<'_>, channel: &ChannelName, scope: Option<&str>) -> Result<(), LedgerError> {
    if lacking(tx, channel)?.as_deref() == scope {
        return Ok(());
    }
    set_meta(tx, &lacking_key(channel), scope.unwrap_or_default())
}

pub fn lacking(tx: &Transaction<'_>, channel: &ChannelName) -> Result<Option<String>, LedgerError> {
    Ok(meta(tx, &lacking_key(channel))?.filter(|scope| !scope.is_empty()))
}

fn gap_key(channel: &ChannelName) -> String {
    format!("gap:{channel}")
}

fn lacking_key(channel: &ChannelName) -> String {
    format!("lacking:{channel}")
}

fn read(row: &Row<'_>) -> rusqlite::Result<KnownChat> {
    let kind: String = row.get("chat_kind")?;
    Ok(KnownChat {
        chat: id(row, "chat")?,
        kind: if kind == ChatKind::Direct.as_str() { ChatKind::Direct } else { ChatKind::Group },
        since_ms: row.get("known_since_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::inbound;
    use crate::ledger::open::{Places, writer};

    #[test]
    fn a_gap_grows_until_it_was_looked_through() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let tx = ledger.transaction().unwrap();
        let channel = ChannelName::from("c");
        assert_eq!(open_gap(&tx, &channel, 5, 5).unwrap(), None, "nothing was ever heard");
        inbound::tombstone(&tx, &channel, &"m1".into(), 10).unwrap();
        inbound::tombstone(&tx, &"other".into(), &"m2".into(), 90).unwrap();
        let first = open_gap(&tx, &channel, 100, 100).unwrap().unwrap();
        assert_eq!(first, Gap { from_ms: 10, found_ms: 100 });
        inbound::tombstone(&tx, &channel, &"m3".into(), 110).unwrap();
        let second = open_gap(&tx, &channel, 200, 200).unwrap().unwrap();
        assert_eq!(second.from_ms, 10, "what came meanwhile hides nothing");
        close_gap(&tx, &channel, first).unwrap();
        assert_eq!(gap(&tx, &channel).unwrap(), Some(second), "it was found anew meanwhile");
        close_gap(&tx, &channel, second).unwrap();
        assert_eq!(gap(&tx, &channel).unwrap(), None);
        let gap_of = |at_ms, now_ms| open_gap(&tx, &channel, at_ms, now_ms).unwrap().unwrap().from_ms;
        assert_eq!(gap_of(110, 300), 10, "what came since does not hide it");
        set_meta(&tx, &gap_key(&channel), "").unwrap();
        assert_eq!(gap_of(115, 300), 110);
        set_meta(&tx, &gap_key(&channel), "").unwrap();
        assert_eq!(gap_of(5, 300), 10, "a clock that was ahead once");
    }
}
