//! Turns. A state changes only here, only through [`crate::domain::turn::transition`], and only from the version that the
//! caller read.

use std::path::PathBuf;

use rusqlite::{Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::sql::{all, first, from_json_opt, id, id_opt, json, run, unreadable};
use crate::domain::history::{Evidence, Failure};
use crate::domain::ids::*;
use crate::domain::level::Level;
use crate::domain::turn::{Outcome, StopReason, TurnEvent, TurnState, transition};
use crate::domain::verdict::LostHow;
use crate::domain::view::Step;
use crate::metrics;

/// `not_before_ms` of a queued turn whose sender is asked whether it is still wanted: it runs when he says so, and holds
/// up nothing that is queued behind it.
pub const ASKED_MS: i64 = i64::MAX;

#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub id: TurnId,
    pub conversation: ConversationId,
    pub ord: i64,
    pub state: TurnState,
    pub version: i64,
    pub attempt: u32,
    pub requester: UserId,
    pub requester_name: String,
    pub title: String,
    pub reply_to: Option<MessageId>,
    /// Frozen prompt, JSON of the bridge's own type.
    pub prompt: String,
    pub directory: PathBuf,
    pub thread: Option<ThreadId>,
    pub cursor: Option<NativeTurnId>,
    pub client_id: Option<ClientId>,
    pub native_turn: Option<NativeTurnId>,
    pub generation: Option<Generation>,
    /// How sure the runtime was that it has the turn, as far as it said so.
    pub evidence: Option<Evidence>,
    pub boot_id: Option<String>,
    /// How far the runtime's output had been read when it was submitted.
    pub position: Option<u64>,
    pub continues: Option<TurnId>,
    pub stop: Option<Stop>,
    pub tool_seen: bool,
    pub progress: Option<Progress>,
    pub answer: Option<String>,
    pub failure: Option<Failure>,
    pub tokens: Option<i64>,
    /// How far the agent may go by itself in it, since it was submitted.
    pub level: Option<Level>,
    /// Who let it reach the network, whatever its level.
    pub network_by: Option<UserId>,
    pub not_before_ms: i64,
    pub created_at_ms: i64,
    pub submitted_at_ms: Option<i64>,
    pub started_at_ms: Option<i64>,
    pub settled_at_ms: Option<i64>,
}

impl Turn {
    /// Queued, and its sender is asked whether it is still wanted.
    pub fn is_asked(&self) -> bool {
        self.state == TurnState::Queued && self.not_before_ms == ASKED_MS
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub reason: StopReason,
    /// Name of the person, where it was one.
    pub by: Option<String>,
    pub at_ms: i64,
}

/// What had been seen of a turn, kept so that it can be told should it be lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub steps: Vec<Step>,
    pub draft: String,
}

#[derive(Debug, Clone)]
pub struct NewTurn {
    pub conversation: ConversationId,
    /// `None`: at the end of the queue.
    pub ord: Option<i64>,
    pub requester: UserId,
    pub requester_name: String,
    pub title: String,
    pub reply_to: Option<MessageId>,
    pub prompt: String,
    pub continues: Option<TurnId>,
    /// Where it works; `None`: where the conversation works now.
    pub directory: Option<PathBuf>,
    /// Who let the task reach the network.
    pub network_by: Option<UserId>,
    pub not_before_ms: i64,
}

/// Inserts a queued turn. Runtime and profile are frozen from the conversation as it is now, and so is the directory of a
/// turn that is no former one again.
pub fn insert(tx: &Transaction<'_>, new: &NewTurn, now_ms: i64) -> Result<TurnId, LedgerError> {
    let turn = TurnId::fresh();
    let sql = "INSERT INTO turns (id, conversation, ord, state, requester, requester_name, title, reply_to, prompt, continues,
                   directory, runtime_kind, runtime_home, profile, not_before_ms, created_at_ms, network_by)
         SELECT ?1, id, coalesce(?3, (SELECT coalesce(max(ord), 0) + 1 FROM turns WHERE conversation = ?2)), 'queued', ?4, ?5, ?6, ?7, ?8, ?9,
                   coalesce(?13, directory), runtime_kind, runtime_home, profile, ?10, ?11, ?12
         FROM conversations WHERE id = ?2";
    let inserted = run(
        tx,
        sql,
        params![
            turn.as_str(),
            new.conversation.as_str(),
            new.ord,
            new.requester.as_str(),
            new.requester_name,
            new.title,
            new.reply_to.as_ref().map(MessageId::as_str),
            new.prompt,
            new.continues.as_ref().map(TurnId::as_str),
            new.not_before_ms,
            now_ms,
            new.network_by.as_ref().map(UserId::as_str),
            new.directory.as_ref().map(|directory| directory.to_string_lossy())
        ],
    )?;
    if inserted == 0 { Err(LedgerError::Missing("the conversation")) } else { Ok(turn) }
}

pub fn get(tx: &Transaction<'_>, turn: &TurnId) -> Result<Turn, LedgerError> {
    first(tx, "SELECT * FROM turns WHERE id = ?1", [turn.as_str()], read)?.ok_or(LedgerError::Missing("the turn"))
}

/// The unsettled turns of a conversation in the order in which they run.
pub fn unsettled(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Vec<Turn>, LedgerError> {
    let sql = "SELECT * FROM turns WHERE conversation = ?1 AND state <> 'settled' ORDER BY ord, created_at_ms";
    all(tx, sql, [conversation.as_str()], read)
}

/// The turn of a conversation that a runtime has, if any.
pub fn active(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Option<Turn>, LedgerError> {
    Ok(unsettled(tx, conversation)?.into_iter().find(|turn| turn.state.is_active()))
}

/// Every turn that a runtime has, but for those that are held since the ledger was put back.
pub fn all_working(tx: &Transaction<'_>) -> Result<Vec<Turn>, LedgerError> {
    let sql = "SELECT t.* FROM turns t INDEXED BY turns_active CROSS JOIN conversations c ON c.id = t.conversation
         WHERE t.state <> 'settled' AND t.state IN ('submitting', 'running', 'waiting') AND c.held_why IS NOT 'restored'";
    all(tx, sql, [], read)
}

/// Every turn that a runtime has, as the ledger says.
pub fn all_active(tx: &Transaction<'_>) -> Result<Vec<Turn>, LedgerError> {
    all(
        tx,
        "SELECT * FROM turns WHERE state <> 'settled' AND state IN ('submitting', 'running', 'waiting') ORDER BY submitted_at_ms",
        [],
        read,
    )
}

/// Those of one chat.
pub fn active_in_chat(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId) -> Result<Vec<TurnId>, LedgerError> {
    let sql = "SELECT t.id FROM turns t CROSS JOIN conversations c ON c.id = t.conversation
         WHERE t.state <> 'settled' AND t.state IN ('submitting', 'running', 'waiting') AND c.channel = ?1 AND c.chat = ?2
         ORDER BY t.submitted_at_ms";
    all(tx, sql, [channel.as_str(), chat.as_str()], |row| id(row, "id"))
}

/// Turns that ended since and of which nobody knows what they did, in that order.
pub fn lost_since(tx: &Transaction<'_>, since_ms: i64) -> Result<Vec<Turn>, LedgerError> {
    let sql = "SELECT * FROM turns INDEXED BY turns_settled
         WHERE state = 'settled' AND settled_at_ms >= ?1 AND outcome = 'lost' ORDER BY settled_at_ms";
    all(tx, sql, [since_ms], read)
}

/// The newest settled turn of a conversation.
pub fn last_settled(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Option<Turn>, LedgerError> {
    let sql = "SELECT * FROM turns WHERE conversation = ?1 AND state = 'settled' ORDER BY settled_at_ms DESC, ord DESC LIMIT 1";
    first(tx, sql, [conversation.as_str()], read)
}

/// What a turn that is over took of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    pub title: String,
    pub tokens: i64,
    pub settled_at_ms: i64,
}

/// What the turns of a conversation took since, the newest first; those that took nothing are left out.
pub fn spent_since(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    since_ms: i64,
) -> Result<Vec<Spent>, LedgerError> {
    let sql = "SELECT title, tokens, settled_at_ms FROM turns
         WHERE conversation = ?1 AND state = 'settled' AND settled_at_ms >= ?2 AND tokens > 0 ORDER BY settled_at_ms DESC, ord DESC";
    all(tx, sql, params![conversation.as_str(), since_ms], |row| {
        Ok(Spent { title: row.get(0)?, tokens: row.get(1)?, settled_at_ms: row.get(2)? })
    })
}

/// Turns that other people wait for in a directory, besides those of one conversation.
pub fn queued_in_directory(
    tx: &Transaction<'_>,
    directory: &std::path::Path,
    except: &ConversationId,
) -> Result<i64, LedgerError> {
    let sql = "SELECT count(*) FROM turns
         WHERE state <> 'settled' AND state = 'queued' AND not_before_ms <> ?3 AND directory = ?1 AND conversation <> ?2";
    let values = params![directory.to_string_lossy(), except.as_str(), ASKED_MS];
    Ok(first(tx, sql, values, |row| row.get(0))?.unwrap_or(0))
}

/// How many turns a person has waiting, and how many a conversation has.
pub fn queue_depth(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    requester: &UserId,
) -> Result<(i64, i64), LedgerError> {
    let sql = "SELECT coalesce(sum(requester = ?2), 0), count(*) FROM turns INDEXED BY turns_queue
         WHERE conversation = ?1 AND state <> 'settled' AND state = 'queued' AND not_before_ms <> ?3";
    let values = params![conversation.as_str(), requester.as_str(), ASKED_MS];
    Ok(first(tx, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?.unwrap_or((0, 0)))
}

/// Turns that wait in a chat, and in all chats.
pub fn queued_in(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId) -> Result<(i64, i64), LedgerError> {
    let sql = "SELECT coalesce(sum(c.channel = ?1 AND c.chat = ?2), 0), count(*)
         FROM turns t INDEXED BY turns_active CROSS JOIN conversations c ON c.id = t.conversation
         WHERE t.state <> 'settled' AND t.state = 'queued' AND t.not_before_ms <> ?3";
    let values = params![channel.as_str(), chat.as_str(), ASKED_MS];
    Ok(first(tx, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?.unwrap_or((0, 0)))
}

/// Turns of a chat that settled since.
pub fn settled_in(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    since_ms: i64,
) -> Result<i64, LedgerError> {
    let sql =
        "SELECT count(*) FROM turns t INDEXED BY turns_settled CROSS JOIN conversations c ON c.id = t.conversation
         WHERE t.state = 'settled' AND t.settled_at_ms >= ?3 AND c.channel = ?1 AND c.chat = ?2";
    Ok(first(tx, sql, params![channel.as_str(), chat.as_str(), since_ms], |row| row.get(0))?.unwrap_or(0))
}

/// The one place where a turn's row changes state. `Stale` when somebody was first.
pub fn advance(tx: &Transaction<'_>, turn: &Turn, event: TurnEvent) -> Result<TurnState, LedgerError> {
    let next = transition(turn.state, event).map_err(|e| LedgerError::Refused(e.to_string()))?;
    let (state, outcome) = next.columns();
    let sql = "UPDATE turns SET state = ?3, outcome = ?4, version = version + 1 WHERE id = ?1 AND version = ?2";
    if run(tx, sql, params![turn.id.as_str(), turn.version, state, outcome])? == 0 {
        return Err(LedgerError::Stale("the turn"));
    }
    Ok(next)
}

/// W2: everything that is needed to find the turn again, before its line is written.
#[derive(Debug, Clone)]
pub struct Submission {
    pub thread: ThreadId,
    pub cursor: Option<NativeTurnId>,
    pub generation: Generation,
    pub boot_id: String,
    /// How far the runtime's output has been read, where it outlives the bridge.
    pub position: Option<u64>,
    pub at_ms: i64,
    pub level: Level,
    /// It reaches the network, because somebody let it.
    pub network: bool,
}

pub fn submit(tx: &Transaction<'_>, turn: &Turn, submission: &Submission) -> Result<ClientId, LedgerError> {
    advance(tx, turn, TurnEvent::Submit)?;
    let client = ClientId::of_turn(&turn.id, turn.attempt + 1);
    let sql = "UPDATE turns SET attempt = attempt + 1, client_id = ?2, thread = ?3, cursor = ?4, generation = ?5, boot_id = ?6,
                   submitted_at_ms = ?7, level = ?8, position = ?9, native_turn = NULL, evidence = NULL, started_at_ms = NULL WHERE id = ?1";
    run(
        tx,
        sql,
        params![
            turn.id.as_str(),
            client.as_str(),
            submission.thread.as_str(),
            submission.cursor.as_ref().map(NativeTurnId::as_str),
            submission.generation.0,
            submission.boot_id,
            submission.at_ms,
            submission.level.as_str(),
            submission.position.and_then(|position| i64::try_from(position).ok())
        ],
    )?;
    Ok(client)
}

/// W3.
pub fn started(tx: &Transaction<'_>, turn: &Turn, native: &NativeTurnId, now_ms: i64) -> Result<(), LedgerError> {
    advance(tx, turn, TurnEvent::Started)?;
    let sql = "UPDATE turns SET native_turn = ?2, started_at_ms = ?3 WHERE id = ?1";
    run(tx, sql, params![turn.id.as_str(), native.as_str(), now_ms])?;
    Ok(())
}

/// The runtime's own id, as soon as it is known.
pub fn set_native(tx: &Transaction<'_>, turn: &TurnId, native: &NativeTurnId) -> Result<(), LedgerError> {
    run(tx, "UPDATE turns SET native_turn = ?2 WHERE id = ?1", params![turn.as_str(), native.as_str()])?;
    Ok(())
}

/// What the runtime says of its hold on the turn. Never less than it said before.
pub fn set_evidence(tx: &Transaction<'_>, turn: &TurnId, evidence: Evidence) -> Result<(), LedgerError> {
    let sql = "UPDATE turns SET evidence = ?2 WHERE id = ?1 AND evidence IS NOT 'durable'";
    run(tx, sql, params![turn.as_str(), evidence.as_str()])?;
    Ok(())
}

/// The settled turn that the runtime knows by an id of its own.
pub fn settled_as(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    native: &NativeTurnId,
) -> Result<Option<TurnId>, LedgerError> {
    let sql = "SELECT id FROM turns INDEXED BY turns_native WHERE conversation = ?1 AND native_turn = ?2 AND state = 'settled' ORDER BY ord DESC LIMIT 1";
    first(tx, sql, params![conversation.as_str(), native.as_str()], |row| id(row, "id"))
}

/// Proven not to have run: back into the queue, not before the given time.
pub fn not_run(tx: &Transaction<'_>, turn: &Turn, not_before_ms: i64) -> Result<(), LedgerError> {
    advance(tx, turn, TurnEvent::NotRun)?;
    let sql = "UPDATE turns SET native_turn = NULL, generation = NULL, started_at_ms = NULL, not_before_ms = ?2 WHERE id = ?1";
    run(tx, sql, params![turn.id.as_str(), not_before_ms])?;
    Ok(())
}

/// When a queued turn may run: [`ASKED_MS`] while its sender is asked. `Stale` once it is submitted.
pub fn set_not_before(tx: &Transaction<'_>, turn: &Turn, not_before_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE turns SET not_before_ms = ?3, version = version + 1 WHERE id = ?1 AND version = ?2 AND state = 'queued'";
    if run(tx, sql, params![turn.id.as_str(), turn.version, not_before_ms])? == 0 {
        return Err(LedgerError::Stale("the turn"));
    }
    Ok(())
}

/// W6, the turn's part of it.
#[derive(Debug, Clone, Default)]
pub struct Settlement {
    pub answer: Option<String>,
    pub failure: Option<Failure>,
    pub lost_how: Option<LostHow>,
    pub merged_into: Option<TurnId>,
    pub tokens: Option<i64>,
    /// What was done in it, as far as it was seen; nothing keeps what is there.
    pub steps: Vec<Step>,
}

pub fn settle(
    tx: &Transaction<'_>,
    turn: &Turn,
    outcome: Outcome,
    how: &Settlement,
    now_ms: i64,
) -> Result<(), LedgerError> {
    advance(tx, turn, TurnEvent::Settle(outcome))?;
    metrics::turn(outcome.as_str());
    let sql =
        "UPDATE turns SET answer = ?2, failure = ?3, lost_how = ?4, merged_into = ?5, tokens = ?6, settled_at_ms = ?7,
                   progress = coalesce(?8, progress) WHERE id = ?1";
    let progress = Progress { steps: how.steps.clone(), draft: String::new() };
    let progress = (!how.steps.is_empty()).then(|| json(&progress)).transpose()?;
    run(
        tx,
        sql,
        params![
            turn.id.as_str(),
            how.answer,
            how.failure.as_ref().map(json).transpose()?,
            how.lost_how.map(|h| format!("{h:?}")),
            how.merged_into.as_ref().map(TurnId::as_str),
            how.tokens,
            now_ms,
            progress
        ],
    )?;
    super::rules::end_with(tx, &turn.id, now_ms)
}

/// Somebody let it reach the network.
pub fn grant_network(tx: &Transaction<'_>, turn: &TurnId, by: &UserId) -> Result<(), LedgerError> {
    run(tx, "UPDATE turns SET network_by = ?2 WHERE id = ?1", params![turn.as_str(), by.as_str()])?;
    Ok(())
}

/// Whoever let it reach the network may not do so any more, and the runtime was not told.
pub fn take_network_back(tx: &Transaction<'_>, turn: &TurnId, by: &UserId) -> Result<(), LedgerError> {
    let sql = "UPDATE turns SET network_by = NULL WHERE id = ?1 AND network_by = ?2";
    run(tx, sql, params![turn.as_str(), by.as_str()])?;
    Ok(())
}

/// Written before anything acts on the wish. The first wish stays, but for one that was to go on at once.
pub fn request_stop(tx: &Transaction<'_>, turn: &TurnId, stop: &Stop) -> Result<bool, LedgerError> {
    let sql = "UPDATE turns SET stop_requested_at_ms = ?2, stop_reason = ?3, stop_by = ?4
         WHERE id = ?1 AND state <> 'settled' AND (stop_requested_at_ms IS NULL OR stop_reason = 'network')";
    Ok(run(tx, sql, params![turn.as_str(), stop.at_ms, stop.reason.as_str(), stop.by])? == 1)
}

/// Takes back a wish that was ally's own (a shutdown that cut nothing).
pub fn clear_stop(tx: &Transaction<'_>, turn: &TurnId) -> Result<(), LedgerError> {
    let sql = "UPDATE turns SET stop_requested_at_ms = NULL, stop_reason = NULL, stop_by = NULL WHERE id = ?1";
    run(tx, sql, [turn.as_str()])?;
    Ok(())
}

/// Remembers that a tool step was seen and what there is to tell of the turn.
pub fn save_progress(tx: &Transaction<'_>, turn: &TurnId, progress: &Progress) -> Result<(), LedgerError> {
    let sql = "UPDATE turns SET progress = ?2, tool_seen = max(tool_seen, ?3) WHERE id = ?1";
    run(tx, sql, params![turn.as_str(), json(progress)?, !progress.steps.is_empty()])?;
    Ok(())
}

/// Takes the words out of a turn that is over and that never began: they were taken back.
pub fn forget_words(tx: &Transaction<'_>, turn: &TurnId) -> Result<(), LedgerError> {
    run(tx, "UPDATE turns SET title = '', prompt = '' WHERE id = ?1 AND state = 'settled'", [turn.as_str()])?;
    Ok(())
}

/// Replaces a queued turn's words (an edited message, joined companions). `Stale` once it is submitted.
pub fn replace_prompt(tx: &Transaction<'_>, turn: &Turn, prompt: &str, title: &str) -> Result<(), LedgerError> {
    let sql = "UPDATE turns SET prompt = ?3, title = ?4, version = version + 1 WHERE id = ?1 AND version = ?2 AND state = 'queued'";
    if run(tx, sql, params![turn.id.as_str(), turn.version, prompt, title])? == 0 {
        return Err(LedgerError::Stale("the turn"));
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Turn> {
    let state: String = row.get("state")?;
    let outcome: Option<String> = row.get("outcome")?;
    Ok(Turn {
        id: id(row, "id")?,
        conversation: id(row, "conversation")?,
        ord: row.get("ord")?,
        state: TurnState::from_columns(&state, outcome.as_deref()).ok_or_else(|| unreadable("turn state", &state))?,
        version: row.get("version")?,
        attempt: row.get("attempt")?,
        requester: id(row, "requester")?,
        requester_name: row.get("requester_name")?,
        title: row.get("title")?,
        reply_to: id_opt(row, "reply_to")?,
        prompt: row.get("prompt")?,
        directory: PathBuf::from(row.get::<_, String>("directory")?),
        thread: id_opt(row, "thread")?,
        cursor: id_opt(row, "cursor")?,
        client_id: row.get::<_, Option<String>>("client_id")?.map(ClientId::new),
        native_turn: id_opt(row, "native_turn")?,
        generation: row.get::<_, Option<i64>>("generation")?.map(Generation),
        evidence: row.get::<_, Option<String>>("evidence")?.as_deref().and_then(Evidence::parse),
        boot_id: row.get("boot_id")?,
        position: row.get::<_, Option<i64>>("position")?.and_then(|position| u64::try_from(position).ok()),
        continues: id_opt(row, "continues")?,
        stop: read_stop(row)?,
        tool_seen: row.get("tool_seen")?,
        progress: from_json_opt(row, "progress")?,
        answer: row.get("answer")?,
        failure: from_json_opt(row, "failure")?,
        tokens: row.get("tokens")?,
        level: row.get::<_, Option<String>>("level")?.as_deref().and_then(Level::parse),
        network_by: row.get::<_, Option<String>>("network_by")?.map(UserId::from),
        not_before_ms: row.get("not_before_ms")?,
        created_at_ms: row.get("created_at_ms")?,
        submitted_at_ms: row.get("submitted_at_ms")?,
        started_at_ms: row.get("started_at_ms")?,
        settled_at_ms: row.get("settled_at_ms")?,
    })
}

fn read_stop(row: &Row<'_>) -> rusqlite::Result<Option<Stop>> {
    let Some(at_ms) = row.get::<_, Option<i64>>("stop_requested_at_ms")? else { return Ok(None) };
    let reason: String = row.get("stop_reason")?;
    let reason = StopReason::parse(&reason).ok_or_else(|| unreadable("stop_reason", &reason))?;
    Ok(Some(Stop { reason, by: row.get("stop_by")?, at_ms }))
}
