//! Inbound rows: one for everything a channel handed in (W1), with what became of it (W1b).

use rusqlite::{Row, Transaction, params};

use super::LedgerError;
use super::sql::{all, first, id, id_opt, run};
use crate::domain::ids::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboundState {
    /// Committed and acknowledged, not yet looked at.
    Received,
    Turn,
    Command,
    Decision,
    /// For companions or for a person's word (`reason` says which).
    Waiting,
    Refused,
    Cancelled,
}

impl InboundState {
    const ALL: [InboundState; 7] = [
        InboundState::Received,
        InboundState::Turn,
        InboundState::Command,
        InboundState::Decision,
        InboundState::Waiting,
        InboundState::Refused,
        InboundState::Cancelled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            InboundState::Received => "received",
            InboundState::Turn => "turn",
            InboundState::Command => "command",
            InboundState::Decision => "decision",
            InboundState::Waiting => "waiting",
            InboundState::Refused => "refused",
            InboundState::Cancelled => "cancelled",
        }
    }
}

/// Why a row waits: it has no words, and they may still come.
pub const COMPANION: &str = "companion";
/// The same, and its sender has been told that words are missing.
pub const COMPANION_TOLD: &str = "companion, told";

/// Why a row is looked at with other eyes: nobody delivered it, it was found.
pub const FOUND: &str = "found";
/// The same, and somebody of ours has answered it, although this ledger knows nothing of that.
pub const FOUND_ANSWERED: &str = "found, answered";

/// Why a row without words waits whose words are late themselves.
pub fn bound_to(words: InboundSeq) -> String {
    format!("{BOUND}{}", words.0)
}

const BOUND: &str = "with ";

/// A row as it is committed in W1. What is refused brings neither raw text nor people.
#[derive(Debug, Clone)]
pub struct NewInbound {
    pub channel: ChannelName,
    pub dedupe_key: String,
    pub kind: &'static str,
    pub state: InboundState,
    pub reason: Option<&'static str>,
    pub chat: Option<ChatId>,
    pub chat_kind: Option<&'static str>,
    pub message: Option<MessageId>,
    pub sender: Option<UserId>,
    pub raw: Option<String>,
    pub sent_at_ms: Option<i64>,
    pub received_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundRow {
    pub seq: InboundSeq,
    pub channel: ChannelName,
    pub state: InboundState,
    pub reason: Option<String>,
    pub chat: Option<ChatId>,
    pub in_group: bool,
    pub message: Option<MessageId>,
    pub sender: Option<UserId>,
    pub raw: Option<String>,
    pub sent_at_ms: Option<i64>,
    pub received_at_ms: i64,
    pub turn: Option<TurnId>,
    pub steer: Option<String>,
    pub steer_text: Option<String>,
}

impl InboundRow {
    /// The late words that it waits with.
    pub fn bound_to(&self) -> Option<InboundSeq> {
        self.reason.as_deref()?.strip_prefix(BOUND)?.parse().ok().map(InboundSeq)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    New(InboundSeq),
    Duplicate,
}

/// Inserts the row; the database decides what is a repetition.
pub fn admit(tx: &Transaction<'_>, row: &NewInbound) -> Result<Admission, LedgerError> {
    let sql = "INSERT INTO inbound (channel, dedupe_key, kind, state, reason, chat, chat_kind, message_id, sender, raw, sent_at_ms, received_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (channel, dedupe_key) DO NOTHING";
    let inserted = run(
        tx,
        sql,
        params![
            row.channel.as_str(),
            row.dedupe_key,
            row.kind,
            row.state.as_str(),
            row.reason,
            row.chat.as_ref().map(ChatId::as_str),
            row.chat_kind,
            row.message.as_ref().map(MessageId::as_str),
            row.sender.as_ref().map(UserId::as_str),
            row.raw,
            row.sent_at_ms,
            row.received_at_ms
        ],
    )?;
    Ok(if inserted == 1 { Admission::New(InboundSeq(tx.last_insert_rowid())) } else { Admission::Duplicate })
}

/// Leaves a mark for a recalled message that never came, so that a later delivery of it is a repetition.
pub fn tombstone(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    message: &MessageId,
    now_ms: i64,
) -> Result<(), LedgerError> {
    admit(
        tx,
        &NewInbound {
            channel: channel.clone(),
            dedupe_key: message.as_str().to_owned(),
            kind: "message",
            state: InboundState::Cancelled,
            reason: Some("recalled"),
            chat: None,
            chat_kind: None,
            message: Some(message.clone()),
            sender: None,
            raw: None,
            sent_at_ms: None,
            received_at_ms: now_ms,
        },
    )?;
    Ok(())
}

/// What W1 committed and W1b has not looked at: the oldest of each chat, in commit order, so that no chat starves another.
pub fn received(tx: &Transaction<'_>, limit: u32) -> Result<Vec<InboundRow>, LedgerError> {
    let sql = "SELECT * FROM inbound WHERE seq IN (SELECT min(seq) FROM inbound WHERE state = 'received' GROUP BY channel, chat)
         ORDER BY seq LIMIT ?1";
    all(tx, sql, [limit], read)
}

/// What of a chat was committed after a row and not looked at, oldest first.
pub fn received_behind(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    after: InboundSeq,
    limit: u32,
) -> Result<Vec<InboundRow>, LedgerError> {
    let sql = "SELECT * FROM inbound INDEXED BY inbound_received WHERE state = 'received' AND channel = ?1 AND chat = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4";
    all(tx, sql, params![channel.as_str(), chat.as_str(), after.0, limit], read)
}

pub fn get(tx: &Transaction<'_>, seq: InboundSeq) -> Result<InboundRow, LedgerError> {
    first(tx, "SELECT * FROM inbound WHERE seq = ?1", [seq.0], read)?.ok_or(LedgerError::Missing("the inbound row"))
}

pub fn by_message(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    message: &MessageId,
) -> Result<Option<InboundRow>, LedgerError> {
    let sql = "SELECT * FROM inbound INDEXED BY inbound_message WHERE message_id = ?2 AND channel = ?1 AND kind = 'message' ORDER BY seq LIMIT 1";
    first(tx, sql, params![channel.as_str(), message.as_str()], read)
}

/// Rows of a chat that wait for something, oldest first.
pub fn waiting(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    reason: &str,
) -> Result<Vec<InboundRow>, LedgerError> {
    let sql = "SELECT * FROM inbound INDEXED BY inbound_waiting WHERE channel = ?1 AND chat = ?2 AND state = 'waiting' AND reason = ?3 ORDER BY seq";
    all(tx, sql, params![channel.as_str(), chat.as_str(), reason], read)
}

/// Everything that waits since the ledger was put back, oldest first.
pub(super) fn waiting_since_restore(tx: &Transaction<'_>, reason: &str) -> Result<Vec<InboundRow>, LedgerError> {
    let sql = "SELECT * FROM inbound INDEXED BY inbound_waiting WHERE state = 'waiting' AND reason = ?1 ORDER BY seq";
    all(tx, sql, [reason], read)
}

/// Everything without words that waits for some, or with late words for a decision, oldest first.
pub fn waiting_for_words(tx: &Transaction<'_>) -> Result<Vec<InboundRow>, LedgerError> {
    let sql = "SELECT * FROM inbound INDEXED BY inbound_waiting WHERE state = 'waiting' AND (reason IN (?1, ?2) OR reason LIKE 'with %') ORDER BY seq";
    all(tx, sql, [COMPANION, COMPANION_TOLD], read)
}

/// The same of one person in one chat, and no more than so many.
pub fn waiting_for_words_of(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    sender: &UserId,
    limit: u32,
) -> Result<Vec<InboundRow>, LedgerError> {
    let sql = "SELECT * FROM inbound INDEXED BY inbound_waiting WHERE channel = ?1 AND chat = ?2 AND sender = ?3 AND state = 'waiting'
         AND (reason IN (?4, ?5) OR reason LIKE 'with %') ORDER BY seq LIMIT ?6";
    let params = params![channel.as_str(), chat.as_str(), sender.as_str(), COMPANION, COMPANION_TOLD, limit];
    all(tx, sql, params, read)
}

/// Whether anything of a chat was committed that nobody has looked at yet.
pub fn is_expected(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId) -> Result<bool, LedgerError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM inbound INDEXED BY inbound_received WHERE state = 'received' AND channel = ?1 AND chat = ?2)";
    Ok(first(tx, sql, params![channel.as_str(), chat.as_str()], |row| row.get(0))?.unwrap_or(false))
}

/// The messages of a chat whose turns are queued, oldest first.
pub fn of_queued_turns(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
) -> Result<Vec<InboundRow>, LedgerError> {
    let sql = "SELECT i.* FROM turns t CROSS JOIN inbound i INDEXED BY inbound_turn ON i.turn = t.id
         WHERE t.state <> 'settled' AND t.state = 'queued' AND i.channel = ?1 AND i.chat = ?2 ORDER BY i.seq";
    all(tx, sql, params![channel.as_str(), chat.as_str()], read)
}

/// The messages of a chat whose sender is asked whether they are still wanted: they came late, or their turns grew old.
pub fn asked_about(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId) -> Result<Vec<InboundRow>, LedgerError> {
    let sql = "SELECT i.* FROM turns t CROSS JOIN inbound i INDEXED BY inbound_turn ON i.turn = t.id AND i.message_id = t.reply_to
         WHERE t.state <> 'settled' AND t.state = 'queued' AND t.not_before_ms = ?3 AND i.channel = ?1 AND i.chat = ?2 ORDER BY i.seq";
    let mut asked = waiting(tx, channel, chat, "late")?;
    asked.extend(all(tx, sql, params![channel.as_str(), chat.as_str(), super::turns::ASKED_MS], read)?);
    Ok(asked)
}

/// How many messages of a chat came late and wait for their senders' word; no further than `most`.
pub fn late_in(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId, most: u32) -> Result<u32, LedgerError> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM inbound INDEXED BY inbound_waiting
         WHERE state = 'waiting' AND chat = ?2 AND channel = ?1 AND reason = 'late' LIMIT ?3)";
    Ok(first(tx, sql, params![channel.as_str(), chat.as_str(), most], |row| row.get(0))?.unwrap_or(0))
}

/// Whatever waits in a chat waits no more.
pub fn cancel_waiting(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    why: &str,
) -> Result<(), LedgerError> {
    let sql = "UPDATE inbound INDEXED BY inbound_waiting SET state = 'cancelled', reason = ?3 WHERE state = 'waiting' AND channel = ?1 AND chat = ?2";
    run(tx, sql, params![channel.as_str(), chat.as_str(), why])?;
    Ok(())
}

/// The inbound rows of a turn, oldest first.
pub fn of_turn(tx: &Transaction<'_>, turn: &TurnId) -> Result<Vec<InboundRow>, LedgerError> {
    all(tx, "SELECT * FROM inbound WHERE turn = ?1 ORDER BY seq", [turn.as_str()], read)
}

/// What became of a row. Idempotent: W1b may be repeated by a restart.
pub fn resolve(
    tx: &Transaction<'_>,
    seq: InboundSeq,
    state: InboundState,
    reason: Option<&str>,
    turn: Option<&TurnId>,
) -> Result<(), LedgerError> {
    let sql = "UPDATE inbound SET state = ?2, reason = ?3, turn = coalesce(?4, turn) WHERE seq = ?1";
    run(tx, sql, params![seq.0, state.as_str(), reason, turn.map(TurnId::as_str)])?;
    Ok(())
}

/// The row is no part of its turn any more.
pub fn leave_turn(tx: &Transaction<'_>, seq: InboundSeq) -> Result<(), LedgerError> {
    run(tx, "UPDATE inbound SET turn = NULL WHERE seq = ?1", [seq.0])?;
    Ok(())
}

/// Forgets the words of a row (refused late, recalled, secret answer). The key that recognises repetitions stays, and who
/// sent it: whose words went into a task decides who may decide about it.
pub fn wipe(tx: &Transaction<'_>, seq: InboundSeq) -> Result<(), LedgerError> {
    run(tx, "UPDATE inbound SET raw = NULL, steer_text = NULL WHERE seq = ?1", [seq.0])?;
    Ok(())
}

/// A steer's state: `wanted → sent → taken | returned`.
pub fn set_steer(
    tx: &Transaction<'_>,
    seq: InboundSeq,
    turn: &TurnId,
    state: &str,
    text: Option<&str>,
) -> Result<(), LedgerError> {
    let sql = "UPDATE inbound SET steer = ?2, turn = ?3, steer_text = coalesce(?4, steer_text) WHERE seq = ?1";
    run(tx, sql, params![seq.0, state, turn.as_str(), text])?;
    Ok(())
}

/// Steers of a turn that are in one of the given states.
pub fn steers(tx: &Transaction<'_>, turn: &TurnId, state: &str) -> Result<Vec<InboundRow>, LedgerError> {
    all(tx, "SELECT * FROM inbound WHERE turn = ?1 AND steer = ?2 ORDER BY seq", params![turn.as_str(), state], read)
}

/// How many messages went, or wait to go, into a running turn.
pub fn count_steers(tx: &Transaction<'_>, turn: &TurnId) -> Result<u32, LedgerError> {
    let sql =
        "SELECT count(*) FROM inbound INDEXED BY inbound_turn WHERE turn = ?1 AND steer IN ('wanted', 'sent', 'taken')";
    Ok(first(tx, sql, [turn.as_str()], |row| row.get(0))?.unwrap_or_default())
}

/// Messages of a chat before this one that went into turns, newest first.
pub fn turns_before(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    seq: InboundSeq,
    limit: u32,
) -> Result<Vec<InboundRow>, LedgerError> {
    let sql = "SELECT * FROM inbound INDEXED BY inbound_turns WHERE channel = ?1 AND chat = ?2 AND seq < ?3 AND state = 'turn'
         ORDER BY seq DESC LIMIT ?4";
    all(tx, sql, params![channel.as_str(), chat.as_str(), seq.0, limit], read)
}

/// The direct chat in which a person last wrote.
pub fn direct_chat_of(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    user: &UserId,
) -> Result<Option<ChatId>, LedgerError> {
    let sql = "SELECT chat FROM inbound INDEXED BY inbound_direct WHERE channel = ?1 AND sender = ?2 AND chat_kind = 'direct' ORDER BY seq DESC LIMIT 1";
    first(tx, sql, params![channel.as_str(), user.as_str()], |row| id(row, "chat"))
}

/// When a click last came, as far as the newest thousand rows of a channel tell it.
pub fn last_click(tx: &Transaction<'_>, channel: &ChannelName) -> Result<Option<i64>, LedgerError> {
    let sql = "SELECT kind, received_at_ms FROM inbound INDEXED BY inbound_channel WHERE channel = ?1
         ORDER BY seq DESC LIMIT 1000";
    let newest: Vec<(String, i64)> = all(tx, sql, [channel.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(newest.into_iter().find(|(kind, _)| kind == "click").map(|(_, at_ms)| at_ms))
}

/// Those of the rows whose files nobody needs any more: what came of them ended before `before_ms`, and nothing is open
/// in their conversation. A row that is not known is somebody's.
pub fn spent(tx: &Transaction<'_>, rows: &[InboundSeq], before_ms: i64) -> Result<Vec<InboundSeq>, LedgerError> {
    let sql = "SELECT seq FROM inbound i WHERE seq = ?1 AND (
            (turn IS NULL AND state IN ('command', 'decision', 'refused', 'cancelled') AND received_at_ms < ?2)
            OR EXISTS (SELECT 1 FROM turns t WHERE t.id = i.turn AND t.state = 'settled' AND t.settled_at_ms < ?2
                AND NOT EXISTS (SELECT 1 FROM turns o WHERE o.conversation = t.conversation AND o.state <> 'settled')))";
    let mut spent = Vec::new();
    for row in rows {
        spent.extend(first(tx, sql, params![row.0, before_ms], |row| Ok(InboundSeq(row.get("seq")?)))?);
    }
    Ok(spent)
}

/// Which of `rows` came in a chat.
pub fn of_chat(
    tx: &Transaction<'_>,
    rows: &[InboundSeq],
    channel: &ChannelName,
    chat: &ChatId,
) -> Result<Vec<InboundSeq>, LedgerError> {
    let sql = "SELECT seq FROM inbound WHERE seq = ?1 AND channel = ?2 AND chat = ?3";
    let mut found = Vec::new();
    for row in rows {
        let values = params![row.0, channel.as_str(), chat.as_str()];
        found.extend(first(tx, sql, values, |row| Ok(InboundSeq(row.get("seq")?)))?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> rusqlite::Result<InboundRow> {
    let state: String = row.get("state")?;
    Ok(InboundRow {
        seq: InboundSeq(row.get("seq")?),
        channel: id(row, "channel")?,
        state: InboundState::ALL
            .into_iter()
            .find(|s| s.as_str() == state)
            .ok_or_else(|| super::sql::unreadable("inbound state", &state))?,
        reason: row.get("reason")?,
        chat: id_opt(row, "chat")?,
        in_group: row.get::<_, Option<String>>("chat_kind")?.as_deref() == Some("group"),
        message: id_opt(row, "message_id")?,
        sender: id_opt(row, "sender")?,
        raw: row.get("raw")?,
        sent_at_ms: row.get("sent_at_ms")?,
        received_at_ms: row.get("received_at_ms")?,
        turn: id_opt(row, "turn")?,
        steer: row.get("steer")?,
        steer_text: row.get("steer_text")?,
    })
}
