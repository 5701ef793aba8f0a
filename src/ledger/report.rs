//! What `status` and `turns` tell: counts and lists, also from a ledger whose daemon is down.

use std::path::Path;

use rusqlite::{ErrorCode, Transaction};
use serde::{Deserialize, Serialize};

use crate::domain::gate::Ask;
use crate::domain::history::{Failure, FailureKind};

use super::open::{reader, schema_of};
use super::sql::{all, first, from_json_opt};
use super::turns::ASKED_MS;
use super::{LedgerError, OpenError};

/// Counts of a ledger. Ages are relative to the `now_ms` that was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub queued: i64,
    pub submitting: i64,
    pub running: i64,
    pub waiting: i64,
    pub settled: i64,
    pub settled_last_24h: i64,
    pub gates_open: i64,
    pub late_messages_waiting: i64,
    pub outbox_ready: i64,
    pub outbox_sending: i64,
    pub outbox_undeliverable: i64,
    pub oldest_unsent_age_ms: Option<i64>,
    pub surfaces_pending: i64,
    pub schema: u32,
    pub bytes: u64,
    /// Somebody claimed the bot with a pairing code.
    pub claimed: bool,
    /// The owner has locked everything.
    pub locked: bool,
    /// Tasks, unsent messages and unread ones that wait since the ledger was put back.
    #[serde(default)]
    pub restored: Option<(usize, i64, i64)>,
    /// Why the oldest unsent message has not been sent.
    pub oldest_unsent_problem: Option<String>,
    /// Why the newest task of the last day failed, where it did.
    #[serde(default)]
    pub last_failure: Option<FailureKind>,
    /// The channel of that message and the platform's code, where it was refused with one.
    #[serde(default)]
    pub oldest_unsent_refusal: Option<(String, i64)>,
}

/// A turn as lists and `turns show` tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnLine {
    pub id: String,
    pub conversation: String,
    pub chat: String,
    pub state: String,
    pub outcome: Option<String>,
    pub requester: String,
    pub title: String,
    pub directory: String,
    pub runtime: String,
    /// Frozen prompt as it is stored.
    pub prompt: String,
    pub answer: Option<String>,
    pub failure: Option<String>,
    pub created_at_ms: i64,
    pub settled_at_ms: Option<i64>,
    pub undelivered: i64,
}

/// A request that waits for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct GateLine {
    pub id: String,
    pub number: i64,
    pub conversation: String,
    pub chat: String,
    pub turn: String,
    pub ask: Ask,
    pub opened_at_ms: i64,
}

/// All counts at once.
pub fn counts(tx: &Transaction<'_>, now_ms: i64) -> Result<Counts, LedgerError> {
    let mut counts = Counts { schema: schema_of(tx)?, ..Counts::default() };
    // What is asked about waits for its sender, not in the queue.
    let by_state =
        "SELECT CASE WHEN not_before_ms = ?1 AND state = 'queued' THEN 'asked' ELSE state END AS shown, count(*)
         FROM turns WHERE state <> 'settled' GROUP BY shown";
    let by_state = all(tx, by_state, [ASKED_MS], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    for (state, n) in by_state {
        match state.as_str() {
            "queued" => counts.queued = n,
            "submitting" => counts.submitting = n,
            "running" => counts.running = n,
            "asked" => counts.late_messages_waiting = n,
            _ => counts.waiting = n,
        }
    }
    let one = |sql: &str| -> Result<i64, LedgerError> { Ok(first(tx, sql, [], |row| row.get(0))?.unwrap_or(0)) };
    counts.settled = one("SELECT count(*) FROM turns WHERE state = 'settled'")?;
    let day = "SELECT count(*) FROM turns WHERE state = 'settled' AND settled_at_ms > ?1";
    let last = "SELECT failure FROM turns WHERE state = 'settled' AND settled_at_ms > ?1 AND outcome IN ('completed', 'failed')
         ORDER BY settled_at_ms DESC LIMIT 1";
    let last = first(tx, last, [now_ms - 86_400_000], |row| from_json_opt::<Failure>(row, "failure"))?.flatten();
    counts.last_failure = last.map(|failure| failure.kind);
    counts.settled_last_24h = first(tx, day, [now_ms - 86_400_000], |row| row.get(0))?.unwrap_or(0);
    counts.gates_open =
        one("SELECT count(*) FROM gates WHERE state IN ('open', 'decided', 'answering') AND state = 'open'")?;
    counts.late_messages_waiting += one("SELECT count(*) FROM inbound WHERE state = 'waiting' AND reason = 'late'")?;
    counts.outbox_ready = one("SELECT count(*) FROM messages WHERE state IN ('ready', 'sending') AND state = 'ready'")?;
    counts.outbox_sending =
        one("SELECT count(*) FROM messages WHERE state IN ('ready', 'sending') AND state = 'sending'")?;
    counts.outbox_undeliverable = one("SELECT count(*) FROM messages WHERE state = 'undeliverable'")?;
    let oldest = "SELECT min(created_at_ms) FROM messages WHERE state IN ('ready', 'sending')";
    let oldest: Option<i64> = first(tx, oldest, [], |row| row.get(0))?.flatten();
    counts.oldest_unsent_age_ms = oldest.map(|at| (now_ms - at).max(0));
    let problem = "SELECT problem, channel, problem_code FROM messages WHERE state IN ('ready', 'sending')
         ORDER BY created_at_ms LIMIT 1";
    let oldest = first(tx, problem, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (problem, channel, code) = oldest.unwrap_or((None, String::new(), None));
    // Cards and reactions wait as well.
    let painting =
        "SELECT problem FROM surfaces WHERE state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash)
         AND attempts > 0 ORDER BY next_at_ms LIMIT 1";
    counts.oldest_unsent_problem = match problem {
        Some(problem) => Some(problem),
        None => first(tx, painting, [], |row| row.get(0))?.flatten(),
    };
    counts.oldest_unsent_refusal = code.map(|code| (channel, code));
    counts.claimed = one("SELECT count(*) FROM grants WHERE what = 'owner'")? > 0;
    counts.locked = super::settings::is_locked(tx)?;
    counts.surfaces_pending = one(
        "SELECT count(*) FROM surfaces WHERE state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash)",
    )?;
    counts.bytes = one("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?.max(0) as u64;
    if let Some(at_ms) = super::restored::undecided(tx)? {
        let held = super::restored::held(tx, at_ms)?;
        counts.restored = Some((held.turns.len(), held.messages, held.inbound));
    }
    Ok(counts)
}

const LINES: &str = "SELECT t.*, c.chat,
         (SELECT count(*) FROM messages m WHERE m.turn = t.id AND m.state = 'undeliverable') AS undelivered
       FROM turns t JOIN conversations c ON c.id = t.conversation";

/// Newest turns first. `undelivered`: only those with a message that could not be delivered; `active`: only unsettled ones.
pub fn turns(tx: &Transaction<'_>, undelivered: bool, active: bool, limit: u32) -> Result<Vec<TurnLine>, LedgerError> {
    // Conditions as text: a partial index is not used for one that a parameter may switch off.
    let undelivered =
        if undelivered { "t.id IN (SELECT turn FROM messages WHERE state = 'undeliverable')" } else { "1" };
    let active = if active { "t.state <> 'settled'" } else { "1" };
    let sql = format!("{LINES} WHERE {undelivered} AND {active} ORDER BY t.created_at_ms DESC, t.id DESC LIMIT ?1");
    all(tx, &sql, [limit], turn_line)
}

/// One turn by its id or the beginning of it, with a line for each of its messages. `None` when none or several match.
pub fn turn(tx: &Transaction<'_>, id: &str) -> Result<Option<(TurnLine, Vec<String>)>, LedgerError> {
    let sql = format!("{LINES} WHERE t.id BETWEEN ?1 AND ?1 || '~' AND substr(t.id, 1, length(?1)) = ?1 LIMIT 2");
    let mut found = all(tx, &sql, [id], turn_line)?;
    if found.len() != 1 {
        return Ok(None);
    }
    let line = found.remove(0);
    let sql = "SELECT state, attempts, problem, platform_id FROM messages WHERE turn = ?1 ORDER BY created_at_ms, id";
    let deliveries = all(tx, sql, [&line.id], |row| {
        let (state, attempts): (String, i64) = (row.get(0)?, row.get(1)?);
        let (problem, platform): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        let end = platform.or(problem).map(|text| format!(": {text}")).unwrap_or_default();
        Ok(format!("{state}, {attempts} retries{end}"))
    })?;
    Ok(Some((line, deliveries)))
}

fn turn_line(row: &rusqlite::Row<'_>) -> rusqlite::Result<TurnLine> {
    Ok(TurnLine {
        id: row.get("id")?,
        conversation: row.get("conversation")?,
        chat: row.get("chat")?,
        state: row.get("state")?,
        outcome: row.get("outcome")?,
        requester: row.get("requester_name")?,
        title: row.get("title")?,
        directory: row.get("directory")?,
        runtime: row.get("runtime_kind")?,
        prompt: row.get("prompt")?,
        answer: row.get("answer")?,
        failure: row.get("failure")?,
        created_at_ms: row.get("created_at_ms")?,
        settled_at_ms: row.get("settled_at_ms")?,
        undelivered: row.get("undelivered")?,
    })
}

/// Requests that wait for a person, oldest first.
pub fn gates(tx: &Transaction<'_>) -> Result<Vec<GateLine>, LedgerError> {
    let sql = "SELECT g.id, g.number, g.conversation, c.chat, g.turn, g.ask, g.opened_at_ms FROM gates g JOIN conversations c ON c.id = g.conversation
         WHERE g.state IN ('open', 'decided', 'answering') AND g.state = 'open' ORDER BY g.opened_at_ms";
    all(tx, sql, [], |row| {
        Ok(GateLine {
            id: row.get("id")?,
            number: row.get("number")?,
            conversation: row.get("conversation")?,
            chat: row.get("chat")?,
            turn: row.get("turn")?,
            ask: super::sql::from_json(row, "ask")?,
            opened_at_ms: row.get("opened_at_ms")?,
        })
    })
}

/// Reads a ledger whose daemon is down. `None` when there is no ledger yet.
///
/// # Errors
/// When the file cannot be read or is no ledger of this or an older ally.
pub fn offline<T>(
    file: &Path,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError>,
) -> Result<Option<T>, Box<dyn std::error::Error + Send + Sync>> {
    if !file.exists() {
        return Ok(None);
    }
    look(file, job).map_err(|error| damaged(file, error))
}

fn look<T>(
    file: &Path,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError>,
) -> Result<Option<T>, Box<dyn std::error::Error + Send + Sync>> {
    let mut connection = reader(file)?;
    let tx = connection.transaction()?;
    if schema_of(&tx)? == 0 {
        return Ok(None);
    }
    Ok(Some(job(&tx)?))
}

/// Damage is told as at the start, with what to do about it.
fn damaged(file: &Path, error: Box<dyn std::error::Error + Send + Sync>) -> Box<dyn std::error::Error + Send + Sync> {
    let code = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    let is_damage = matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(error.downcast_ref::<LedgerError>(), Some(LedgerError::Corrupt(_)));
    if is_damage { OpenError::Corrupt { path: file.to_owned(), detail: error.to_string() }.into() } else { error }
}
