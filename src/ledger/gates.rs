//! Gates. States change only through [`crate::domain::gate::transition`], from the version that was read.

use rusqlite::{Row, Transaction, params};

use super::LedgerError;
use super::sql::{all, first, from_json, from_json_opt, id, json, run, unreadable};
use crate::domain::gate::{Ask, Choice, Decision, GateEvent, GateState, transition};
use crate::domain::ids::*;
use crate::domain::risk::Class;
use crate::domain::rule::Judged;
use crate::metrics;

#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub id: GateId,
    pub conversation: ConversationId,
    pub turn: TurnId,
    pub number: i64,
    pub generation: Generation,
    pub native: NativeGateId,
    pub fingerprint: String,
    pub ask: Ask,
    pub claim: Option<String>,
    pub choices: Vec<Choice>,
    pub state: GateState,
    pub version: i64,
    pub decision: Option<Decision>,
    pub decided_by: Option<UserId>,
    pub decided_name: Option<String>,
    pub decided_at_ms: Option<i64>,
    pub void_from: Option<GateState>,
    pub repeats: Option<GateId>,
    pub opened_at_ms: i64,
    pub class: Class,
    /// The words that made it so, where they are not the whole.
    pub why: Option<String>,
    /// The sandbox holds what is asked for.
    pub sandboxed: bool,
    /// It is of no use without a network, and to allow it gives none.
    pub needs_network: bool,
    /// The first request of the card that lists this one.
    pub card: GateId,
    /// When people could first see it.
    pub shown_at_ms: Option<i64>,
    /// The rule that its decision made, or that decided it.
    pub rule: Option<i64>,
    pub by_rule: bool,
    pub reminded_at_ms: Option<i64>,
    pub paused_at_ms: Option<i64>,
}

impl Gate {
    pub fn judged(&self) -> Judged {
        Judged {
            class: self.class,
            why: self.why.clone(),
            sandboxed: self.sandboxed,
            needs_network: self.needs_network,
        }
    }
}

#[derive(Debug, Clone)]
pub struct NewGate {
    pub conversation: ConversationId,
    pub turn: TurnId,
    pub number: i64,
    pub generation: Generation,
    pub native: NativeGateId,
    pub ask: Ask,
    pub claim: Option<String>,
    pub choices: Vec<Choice>,
    pub judged: Judged,
    /// The card that lists it; `None` for a card of its own.
    pub card: Option<GateId>,
    pub repeats: Option<GateId>,
    pub opened_at_ms: i64,
}

/// W4. `None` when the same request is known already (a re-attached generation sends it again).
pub fn open(tx: &Transaction<'_>, new: &NewGate) -> Result<Option<GateId>, LedgerError> {
    let gate = GateId::fresh();
    let sql = "INSERT INTO gates (id, conversation, turn, number, generation, native_id, fingerprint, ask, claim, choices, state, repeats, opened_at_ms, class, why, sandboxed, card, needs_network)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'open', ?11, ?12, ?13, ?14, ?15, coalesce(?16, ?1), ?17) ON CONFLICT (generation, native_id) DO NOTHING";
    let inserted = run(
        tx,
        sql,
        params![
            gate.as_str(),
            new.conversation.as_str(),
            new.turn.as_str(),
            new.number,
            new.generation.0,
            new.native.as_str(),
            new.ask.fingerprint(),
            json(&new.ask)?,
            new.claim,
            json(&new.choices)?,
            new.repeats.as_ref().map(GateId::as_str),
            new.opened_at_ms,
            new.judged.class.as_str(),
            new.judged.why,
            new.judged.sandboxed,
            new.card.as_ref().map(GateId::as_str),
            new.judged.needs_network
        ],
    )?;
    Ok((inserted == 1).then_some(gate))
}

pub fn get(tx: &Transaction<'_>, gate: &GateId) -> Result<Gate, LedgerError> {
    first(tx, "SELECT * FROM gates WHERE id = ?1", [gate.as_str()], read)?.ok_or(LedgerError::Missing("the request"))
}

pub fn by_native(
    tx: &Transaction<'_>,
    generation: Generation,
    native: &NativeGateId,
) -> Result<Option<Gate>, LedgerError> {
    first(
        tx,
        "SELECT * FROM gates WHERE generation = ?1 AND native_id = ?2",
        params![generation.0, native.as_str()],
        read,
    )
}

/// Gates of a turn, oldest first.
pub fn of_turn(tx: &Transaction<'_>, turn: &TurnId) -> Result<Vec<Gate>, LedgerError> {
    all(tx, "SELECT * FROM gates WHERE turn = ?1 ORDER BY number", [turn.as_str()], read)
}

/// Those of a turn about which nobody was asked: a rule decided, or `policy`.
pub fn decided_by_itself(tx: &Transaction<'_>, turn: &TurnId, policy: &str) -> Result<Vec<Gate>, LedgerError> {
    let sql = "SELECT * FROM gates WHERE turn = ?1 AND (by_rule = 1 OR decided_by = ?2) ORDER BY number";
    all(tx, sql, params![turn.as_str(), policy], read)
}

/// The requests that one card lists, oldest first.
pub fn of_card(tx: &Transaction<'_>, card: &GateId) -> Result<Vec<Gate>, LedgerError> {
    all(tx, "SELECT * FROM gates WHERE card = ?1 ORDER BY number", [card.as_str()], read)
}

/// People can see it from now on.
pub fn seen(tx: &Transaction<'_>, gate: &GateId, now_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE gates SET shown_at_ms = ?2 WHERE id = ?1 AND shown_at_ms IS NULL";
    run(tx, sql, params![gate.as_str(), now_ms])?;
    Ok(())
}

/// Another card lists it.
pub fn set_card(tx: &Transaction<'_>, gate: &GateId, card: &GateId) -> Result<(), LedgerError> {
    run(tx, "UPDATE gates SET card = ?2 WHERE id = ?1", params![gate.as_str(), card.as_str()])?;
    Ok(())
}

/// The rule that a decision made, or that decided.
pub fn set_rule(tx: &Transaction<'_>, gate: &GateId, rule: i64, by_rule: bool) -> Result<(), LedgerError> {
    run(tx, "UPDATE gates SET rule = ?2, by_rule = ?3 WHERE id = ?1", params![gate.as_str(), rule, by_rule])?;
    Ok(())
}

/// Those who may decide were reminded.
pub fn reminded(tx: &Transaction<'_>, gate: &GateId, now_ms: i64) -> Result<(), LedgerError> {
    run(tx, "UPDATE gates SET reminded_at_ms = ?2 WHERE id = ?1", params![gate.as_str(), now_ms])?;
    Ok(())
}

/// Nobody answered for long: its card says that nothing will happen by itself.
pub fn paused(tx: &Transaction<'_>, gate: &GateId, now_ms: i64) -> Result<(), LedgerError> {
    run(tx, "UPDATE gates SET paused_at_ms = ?2 WHERE id = ?1", params![gate.as_str(), now_ms])?;
    Ok(())
}

/// Gates of a conversation that wait for a person.
pub fn open_in(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Vec<Gate>, LedgerError> {
    let sql = "SELECT * FROM gates INDEXED BY gates_open WHERE conversation = ?1 AND state IN ('open', 'decided', 'answering') AND state = 'open' ORDER BY number";
    all(tx, sql, [conversation.as_str()], read)
}

/// Gates of a chat, in whatever conversation, that wait for a person.
pub fn open_in_chat(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId) -> Result<Vec<Gate>, LedgerError> {
    let sql = "SELECT g.* FROM gates g INDEXED BY gates_open CROSS JOIN conversations c ON c.id = g.conversation
         WHERE g.state IN ('open', 'decided', 'answering') AND g.state = 'open' AND c.channel = ?1 AND c.chat = ?2
         ORDER BY g.opened_at_ms";
    all(tx, sql, [channel.as_str(), chat.as_str()], read)
}

/// Every gate that waits for a person.
pub fn all_open(tx: &Transaction<'_>) -> Result<Vec<Gate>, LedgerError> {
    all(
        tx,
        "SELECT * FROM gates WHERE state IN ('open', 'decided', 'answering') AND state = 'open' ORDER BY opened_at_ms",
        [],
        read,
    )
}

/// Requests that wait for a person and were seen by somebody.
pub fn waiting(tx: &Transaction<'_>) -> Result<Vec<Gate>, LedgerError> {
    let sql =
        "SELECT * FROM gates INDEXED BY gates_open WHERE state IN ('open', 'decided', 'answering') AND state = 'open'
           AND shown_at_ms IS NOT NULL ORDER BY opened_at_ms";
    all(tx, sql, [], read)
}

/// Gates of a generation that are not over.
pub fn unfinished_of(tx: &Transaction<'_>, generation: Generation) -> Result<Vec<Gate>, LedgerError> {
    let sql =
        "SELECT * FROM gates INDEXED BY gates_open WHERE generation = ?1 AND state IN ('open', 'decided', 'answering')";
    all(tx, sql, [generation.0], read)
}

/// A void gate of the turn with the same question that somebody had answered.
pub fn decided_before(tx: &Transaction<'_>, turn: &TurnId, fingerprint: &str) -> Result<Option<Gate>, LedgerError> {
    let sql = "SELECT * FROM gates WHERE turn = ?1 AND fingerprint = ?2 AND state = 'void' AND decision IS NOT NULL ORDER BY number DESC LIMIT 1";
    first(tx, sql, params![turn.as_str(), fingerprint], read)
}

/// Whether an earlier decision was already carried over (it is honoured once).
pub fn was_honoured(tx: &Transaction<'_>, gate: &GateId) -> Result<bool, LedgerError> {
    Ok(first(tx, "SELECT 1 FROM gates WHERE repeats = ?1 AND decision IS NOT NULL", [gate.as_str()], |_| Ok(()))?
        .is_some())
}

fn advance(tx: &Transaction<'_>, gate: &Gate, event: GateEvent) -> Result<GateState, LedgerError> {
    let next = transition(gate.state, event).map_err(|e| LedgerError::Refused(e.to_string()))?;
    let sql = "UPDATE gates SET state = ?3, version = version + 1 WHERE id = ?1 AND version = ?2";
    if run(tx, sql, params![gate.id.as_str(), gate.version, next.as_str()])? == 0 {
        return Err(LedgerError::Stale("the request"));
    }
    Ok(next)
}

/// W5: who decided what.
pub fn decide(
    tx: &Transaction<'_>,
    gate: &Gate,
    decision: &Decision,
    by: &UserId,
    name: &str,
    now_ms: i64,
) -> Result<(), LedgerError> {
    advance(tx, gate, GateEvent::Decide)?;
    let sql = "UPDATE gates SET decision = ?2, decided_by = ?3, decided_name = ?4, decided_at_ms = ?5 WHERE id = ?1";
    run(tx, sql, params![gate.id.as_str(), json(decision)?, by.as_str(), name, now_ms])?;
    metrics::gate_decided(now_ms - gate.opened_at_ms);
    Ok(())
}

/// W5a: from here on the runtime may know.
pub fn answering(tx: &Transaction<'_>, gate: &Gate) -> Result<(), LedgerError> {
    advance(tx, gate, GateEvent::Answer).map(|_| ())
}

/// Whoever decided may not decide any more, and nobody was told: it waits for a person again.
pub fn taken_back(tx: &Transaction<'_>, gate: &Gate) -> Result<(), LedgerError> {
    advance(tx, gate, GateEvent::TakenBack)?;
    let sql =
        "UPDATE gates SET decision = NULL, decided_by = NULL, decided_name = NULL, decided_at_ms = NULL, rule = NULL,
                   by_rule = 0 WHERE id = ?1";
    run(tx, sql, [gate.id.as_str()])?;
    Ok(())
}

/// The runtime certainly did not take the answer: it may be told again.
pub fn not_taken(tx: &Transaction<'_>, gate: &Gate) -> Result<(), LedgerError> {
    advance(tx, gate, GateEvent::NotTaken).map(|_| ())
}

/// The runtime said that the request is over.
pub fn resolved(tx: &Transaction<'_>, gate: &Gate) -> Result<GateState, LedgerError> {
    advance(tx, gate, GateEvent::Resolved)
}

/// The process that asked is surely dead.
pub fn void(tx: &Transaction<'_>, gate: &Gate) -> Result<(), LedgerError> {
    advance(tx, gate, GateEvent::ProcessGone)?;
    run(tx, "UPDATE gates SET void_from = ?2 WHERE id = ?1", params![gate.id.as_str(), gate.state.as_str()])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Gate> {
    let state: String = row.get("state")?;
    let void_from: Option<String> = row.get("void_from")?;
    let class: String = row.get("class")?;
    Ok(Gate {
        id: id(row, "id")?,
        conversation: id(row, "conversation")?,
        turn: id(row, "turn")?,
        number: row.get("number")?,
        generation: Generation(row.get("generation")?),
        native: id(row, "native_id")?,
        fingerprint: row.get("fingerprint")?,
        ask: from_json(row, "ask")?,
        claim: row.get("claim")?,
        choices: from_json(row, "choices")?,
        state: GateState::parse(&state).ok_or_else(|| unreadable("gate state", &state))?,
        version: row.get("version")?,
        decision: from_json_opt(row, "decision")?,
        decided_by: row.get::<_, Option<String>>("decided_by")?.map(UserId::from),
        decided_name: row.get("decided_name")?,
        decided_at_ms: row.get("decided_at_ms")?,
        void_from: void_from.as_deref().and_then(GateState::parse),
        repeats: row.get::<_, Option<String>>("repeats")?.map(GateId::from),
        opened_at_ms: row.get("opened_at_ms")?,
        class: Class::parse(&class).ok_or_else(|| unreadable("class", &class))?,
        why: row.get("why")?,
        sandboxed: row.get("sandboxed")?,
        needs_network: row.get("needs_network")?,
        card: row.get::<_, Option<String>>("card")?.map_or_else(|| id(row, "id"), |card| Ok(GateId::from(card)))?,
        shown_at_ms: row.get("shown_at_ms")?,
        rule: row.get("rule")?,
        by_rule: row.get("by_rule")?,
        reminded_at_ms: row.get("reminded_at_ms")?,
        paused_at_ms: row.get("paused_at_ms")?,
    })
}
