//! Gates between the runtime and people: W4 (opened), W5a (answering), resolved, void.

use std::sync::Arc;

use tracing::warn;

use super::actions::may_decide;
use super::answering::COMPUTER;
use super::core::Core;
use super::host::{Burial, LiveRuntime, OnDeath};
use super::pictures::{self, Frame};
use super::ports::*;
use super::reminders::under_card;
use super::say;
use crate::crash;
use crate::domain::gate::{Decision, GateState};
use crate::domain::ids::*;
use crate::domain::risk::Class;
use crate::domain::rule::{Covers, Judged};
use crate::domain::turn::{TurnEvent, TurnState};
use crate::domain::view::Receipt;
use crate::ledger::conversations::Conversation;
use crate::ledger::gates::{Gate, NewGate};
use crate::ledger::rules::Rule;
use crate::ledger::surfaces::{self, SurfaceKind};
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, Transaction, audit, conversations, gates, rules, settings, turns};

/// Who decided where nobody was asked.
pub const POLICY: &str = "policy";

/// A decision is carried over to the same question of a continued turn for this long.
const HONOUR_MS: i64 = 30 * 60 * 1000;

/// W4: the question is a row, the turn waits, the card is wanted. Gives where the request stands now, and nothing when it
/// was known already.
pub fn open(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &TurnId,
    generation: Generation,
    request: GateRequest,
    judged: Judged,
) -> Result<Option<GateState>, LedgerError> {
    let turn = turns::get(tx, turn)?;
    let conversation = conversations::get(tx, &turn.conversation)?;
    let former = former_decision(tx, &turn, &request, frame.now_ms)?;
    let question = request.ask.is_question();
    let new = NewGate {
        conversation: turn.conversation.clone(),
        turn: turn.id.clone(),
        number: conversations::next_gate_number(tx, &turn.conversation)?,
        generation,
        native: request.native,
        ask: request.ask,
        claim: request.claim,
        choices: request.choices,
        judged,
        card: if question { None } else { open_card(tx, &turn)? },
        repeats: former.as_ref().map(|(gate, _)| gate.id.clone()),
        opened_at_ms: frame.now_ms,
    };
    let Some(id) = gates::open(tx, &new)? else { return Ok(None) };
    if matches!(turn.state, TurnState::Submitting | TurnState::Running | TurnState::Waiting) {
        turns::advance(tx, &turn, TurnEvent::GateOpened)?;
    }
    let gate = gates::get(tx, &id)?;
    if !question && gate.class == Class::Secret {
        refuse(tx, &gate, frame.now_ms)?;
    } else if settings::is_locked(tx)? {
        // Nothing is allowed by what was said before: its turn is being stopped.
        super::actions::receipts(tx, frame, &turn, Receipt::Waiting)?;
    } else if let Some((former, true)) = &former
        && still_decides(tx, frame, &conversation, &turn, &gate, former)?
    {
        honour(tx, &gate, former, frame.now_ms)?;
    } else if let Some(rule) = rule_for(tx, frame, &conversation, &turn, &gate)? {
        apply(tx, &gate, &rule, frame.now_ms)?;
    } else {
        super::actions::receipts(tx, frame, &turn, Receipt::Waiting)?;
    }
    let gate = gates::get(tx, &id)?;
    pictures::gate(tx, frame, &gate)?;
    pictures::queue(tx, frame, &turn.conversation)?;
    Ok(Some(gate.state))
}

/// What somebody had decided on the same question in the turn that this one continues, and whether that is honoured
/// now: only a decision that surely was not passed on, once, and for half an hour.
fn former_decision(
    tx: &Transaction<'_>,
    turn: &Turn,
    request: &GateRequest,
    now_ms: i64,
) -> Result<Option<(Gate, bool)>, LedgerError> {
    let Some(continued) = &turn.continues else { return Ok(None) };
    let Some(former) = gates::decided_before(tx, continued, &request.ask.fingerprint())? else { return Ok(None) };
    if former.decision == Some(Decision::Network) {
        // It was not about this.
        return Ok(None);
    }
    let fresh = former.decided_at_ms.is_some_and(|at| (0..=HONOUR_MS).contains(&(now_ms - at)));
    let not_passed_on = former.void_from == Some(GateState::Decided);
    let secret = request.ask.is_question();
    // What a rule decided is decided by the rules of now.
    let honoured = fresh && not_passed_on && !secret && !former.by_rule && !gates::was_honoured(tx, &former.id)?;
    Ok(Some((former, honoured)))
}

/// Rights may have been taken away since.
fn still_decides(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    gate: &Gate,
    former: &Gate,
) -> Result<bool, LedgerError> {
    let Some(user) = &former.decided_by else { return Ok(false) };
    let role = frame.access.role(user, None, Some(&conversation.chat), conversation.chat_kind);
    may_decide(tx, conversation, gate, turn, user, role)
}

/// Whoever allowed it may still do so: rights may have been taken away since.
fn still_allows(tx: &Transaction<'_>, frame: &Frame, turn: &Turn, gate: &Gate) -> Result<bool, LedgerError> {
    let conversation = conversations::get(tx, &gate.conversation)?;
    still_decides(tx, frame, &conversation, turn, gate, gate)
}

/// The card of the turn's requests that are open now: it lists the new one as well.
fn open_card(tx: &Transaction<'_>, turn: &Turn) -> Result<Option<GateId>, LedgerError> {
    let open = gates::open_in(tx, &turn.conversation)?;
    let Some(last) = open.into_iter().rev().find(|gate| gate.turn == turn.id && !gate.ask.is_question()) else {
        return Ok(None);
    };
    // A card that was refused shows nothing: what comes now is tried with a card of its own.
    let card = surfaces::find(tx, SurfaceKind::Gate, last.card.as_str())?;
    Ok(card.filter(|card| !card.is_gone).map(|_| last.card))
}

/// Nobody is asked: the sandbox would refuse it whatever they say.
fn refuse(tx: &Transaction<'_>, gate: &Gate, now_ms: i64) -> Result<(), LedgerError> {
    let decision = Decision::Decline { reason: None };
    gates::decide(tx, gate, &decision, &UserId::new(POLICY), POLICY, now_ms)?;
    audit::note(tx, POLICY, "refused", gate.id.as_str(), gate.class.as_str(), now_ms)
}

/// A rule of this chat that covers the request, and whose maker may still decide it.
fn rule_for(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    gate: &Gate,
) -> Result<Option<Rule>, LedgerError> {
    let judged = gate.judged();
    let Some(covers) = Covers::of(&gate.ask, &judged) else { return Ok(None) };
    for rule in rules::in_force(tx, &conversation.channel, &conversation.chat, &covers.directory, frame.now_ms)? {
        if !rule.covers.includes(&gate.ask, &judged) || rule.turn.as_ref().is_some_and(|of| *of != turn.id) {
            continue;
        }
        let role = frame.access.role(&rule.made_by, None, Some(&conversation.chat), conversation.chat_kind);
        if may_decide(tx, conversation, gate, turn, &rule.made_by, role)? {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

fn apply(tx: &Transaction<'_>, gate: &Gate, rule: &Rule, now_ms: i64) -> Result<(), LedgerError> {
    gates::decide(tx, gate, &Decision::Allow, &rule.made_by, &rule.made_name, now_ms)?;
    gates::set_rule(tx, &gate.id, rule.number, true)?;
    rules::used(tx, rule.number, now_ms)?;
    audit::note(tx, rule.made_by.as_str(), "allowed by rule", gate.id.as_str(), &format!("R{}", rule.number), now_ms)
}

fn honour(tx: &Transaction<'_>, gate: &Gate, former: &Gate, now_ms: i64) -> Result<(), LedgerError> {
    let (Some(decision), Some(by)) = (&former.decision, &former.decided_by) else { return Ok(()) };
    // It was decided then, and is good for half an hour from then.
    let at_ms = former.decided_at_ms.unwrap_or(now_ms);
    gates::decide(tx, gate, decision, by, former.decided_name.as_deref().unwrap_or(by.as_str()), at_ms)?;
    if *decision == Decision::Allow && super::actions::grants_network(&gate.ask) {
        turns::grant_network(tx, &gate.turn, by)?;
    }
    audit::note(tx, by.as_str(), "decision honoured", gate.id.as_str(), former.id.as_str(), now_ms)
}

/// What became of passing a decision on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// The runtime has it, or the request is over: nothing waits for a person here.
    On,
    /// Certainly not taken: to be tried again.
    NotYet,
}

/// W5a, then the answer. The commit comes first: from there on the runtime may know.
pub async fn answer(
    core: &Core,
    live: &LiveRuntime,
    conversation: &Conversation,
    thread: &ThreadId,
    gate: &Gate,
) -> anyhow::Result<Passed> {
    let secret = core.take_secret(&gate.id);
    if needs_secret(gate) && secret.is_none() {
        // It is on its way into memory; what is stored (`***`) is never sent.
        return Ok(Passed::NotYet);
    }
    let row = gate.clone();
    crash::point("w5a.before");
    let frame = core.frame(&conversation.channel);
    let answering = move |tx: &Transaction<'_>| {
        let turn = turns::get(tx, &row.turn)?;
        // A turn that is being stopped is told that, and no decision; and a yes from before the lock is not passed on.
        if turn.stop.is_some() || (row.decision == Some(Decision::Allow) && settings::is_locked(tx)?) {
            return Ok(Some(Passed::On));
        }
        if row.decision == Some(Decision::Allow) && !still_allows(tx, &frame, &turn, &row)? {
            gates::taken_back(tx, &row)?;
            if let Some(by) = row.decided_by.as_ref().filter(|_| super::actions::grants_network(&row.ask)) {
                turns::take_network_back(tx, &row.turn, by)?;
            }
            audit::note(tx, POLICY, "decision taken back", row.id.as_str(), "no right any more", frame.now_ms)?;
            pictures::gate(tx, &frame, &gates::get(tx, &row.id)?)?;
            return Ok(Some(Passed::NotYet));
        }
        if crash::has_fault("w5a not committed") {
            return Ok(None);
        }
        gates::answering(tx, &row).map(|()| None)
    };
    match core.ledger.write(answering).await {
        Ok(None) => crash::point("w5a.after"),
        Ok(Some(passed)) => {
            core.wakes.painter.notify_one();
            return Ok(passed);
        }
        // Withdrawn in the same moment: nothing to answer.
        Err(LedgerError::Stale(_) | LedgerError::Refused(_)) => return Ok(Passed::On),
        Err(error) => {
            if let Some(secret) = secret {
                core.keep_secret(&gate.id, secret);
            }
            return Err(error.into());
        }
    }
    let decision = secret.clone().or_else(|| gate.decision.clone()).unwrap_or(Decision::Decline { reason: None });
    let answer = GateAnswer {
        thread: thread.clone(),
        native: gate.native.clone(),
        ask: gate.ask.clone(),
        choices: gate.choices.clone(),
        decision,
    };
    let answered = live.call(|runtime| runtime.answer(&answer)).await;
    crash::point("w5a.told");
    let Err(error) = answered else { return Ok(Passed::On) };
    warn!(gate.id = %gate.id, %error, "The answer to gate {} did not reach the runtime", gate.id);
    match error {
        CallError::Busy { .. } => {
            if let Some(secret) = secret {
                core.keep_secret(&gate.id, secret);
            }
            let id = gate.id.clone();
            core.ledger.write(move |tx| gates::not_taken(tx, &gates::get(tx, &id)?)).await?;
            Ok(Passed::NotYet)
        }
        // The process is gone, took the question back, or may have it: its own facts tell. Should there be none, the
        // turn's silence is noticed.
        _ => Ok(Passed::On),
    }
}

/// The process that asks has outlived a bridge. Whether that one's answer reached it nobody knows; it takes the first one
/// that comes. What only that bridge knew is asked for again.
pub fn answer_again(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &TurnId,
    has_secret: impl Fn(&GateId) -> bool,
) -> Result<(), LedgerError> {
    for mut gate in gates::of_turn(tx, turn)? {
        if gate.state == GateState::Answering {
            gates::not_taken(tx, &gate)?;
            gate = gates::get(tx, &gate.id)?;
        }
        if gate.state == GateState::Decided && needs_secret(&gate) && !has_secret(&gate.id) {
            gates::taken_back(tx, &gate)?;
            pictures::gate(tx, frame, &gates::get(tx, &gate.id)?)?;
            ask_for_it_again(tx, frame, &gate)?;
        }
    }
    Ok(())
}

/// Whoever answered believes that it is done.
fn ask_for_it_again(tx: &Transaction<'_>, frame: &Frame, answered: &Gate) -> Result<(), LedgerError> {
    let lang = conversations::get(tx, &answered.conversation)?.lang;
    let by = answered.decided_by.clone().filter(|by| by.as_str() != COMPUTER);
    under_card(tx, frame, answered, say::secret_again(lang, answered.number), by)
}

/// Its answer is not in the ledger.
fn needs_secret(gate: &Gate) -> bool {
    let skipped = matches!(&gate.decision, Some(Decision::Answers { answers }) if answers.is_empty());
    gate.ask.is_secret() && !skipped
}

/// The runtime says that a request is over. With the last one the turn runs again.
pub fn resolved(
    tx: &Transaction<'_>,
    frame: &Frame,
    generation: Generation,
    native: &NativeGateId,
) -> Result<bool, LedgerError> {
    let Some(gate) = gates::by_native(tx, generation, native)? else { return Ok(false) };
    if gate.state.is_over() {
        return Ok(false);
    }
    gates::resolved(tx, &gate)?;
    pictures::gate(tx, frame, &gates::get(tx, &gate.id)?)?;
    let turn = turns::get(tx, &gate.turn)?;
    let all_closed = gates::of_turn(tx, &gate.turn)?.iter().all(|gate| gate.state.is_over());
    if all_closed && turn.state == TurnState::Waiting {
        turns::advance(tx, &turn, TurnEvent::GatesClosed)?;
        super::actions::receipts(tx, frame, &turn, Receipt::Accepted)?;
        pictures::queue(tx, frame, &gate.conversation)?;
    }
    Ok(all_closed)
}

/// What the host needs of the bridge.
pub struct Undertaker {
    core: Arc<Core>,
}

impl Undertaker {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

impl OnDeath for Undertaker {
    fn bury(&self) -> Burial {
        // Gates of all channels may hang on one generation: each is painted with its own channel's frame.
        let frames: Vec<Frame> = self.core.channels.keys().map(|name| self.core.frame(name)).collect();
        Box::new(move |tx, generation, _now_ms| {
            for gate in gates::unfinished_of(tx, generation)? {
                gates::void(tx, &gate)?;
                let conversation = conversations::get(tx, &gate.conversation)?;
                if let Some(frame) = frames.iter().find(|frame| frame.channel == conversation.channel) {
                    pictures::gate(tx, frame, &gates::get(tx, &gate.id)?)?;
                }
            }
            Ok(())
        })
    }

    fn buried(&self) {
        self.core.wakes.painter.notify_one();
    }

    fn has_failed(&self) -> bool {
        self.core.tasks.fatal().is_some()
    }

    /// A question on a thread that no turn of ours runs on (a sub-agent's): nobody can be shown it, so it is declined
    /// and never left hanging.
    fn stray(&self, live: Arc<LiveRuntime>, envelope: Envelope) {
        let (Fact::GateOpened(request), Some(thread)) = (envelope.fact, envelope.thread) else { return };
        warn!(thread = %thread, "Declined a request that belongs to no turn");
        self.core.tasks.spawn("stray-gate", crate::tasks::OnExit::LogOnly, move |_| async move {
            let answer = GateAnswer {
                thread,
                native: request.native,
                ask: request.ask,
                choices: request.choices,
                decision: Decision::Decline { reason: Some("nobody can be asked here".to_owned()) },
            };
            live.call(|runtime| runtime.answer(&answer)).await.map_err(anyhow::Error::from)
        });
    }
}
