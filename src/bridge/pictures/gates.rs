//! Cards of requests and questions: one for a question, one for all requests of a turn that are open together.

use std::path::Path;

use super::{Frame, cut, notice, target_of};
use crate::bridge::actions::grants_network;
use crate::bridge::gates::POLICY;
use crate::bridge::say;
use crate::domain::action::Action;
use crate::domain::delivery::Target;
use crate::domain::gate::{Ask, Decision, GateState};
use crate::domain::ids::*;
use crate::domain::level::Level;
use crate::domain::message::ChatKind;
use crate::domain::risk::{Lasts, Tier};
use crate::domain::rule::{Covers, Span};
use crate::domain::view::*;
use crate::ledger::conversations::Conversation;
use crate::ledger::gates::Gate;
use crate::ledger::surfaces::{self, Picture, SurfaceKind, Wanted};
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, Transaction, conversations, gates, rules, turns};

/// The card of a gate as its rows say: a question has one of its own, requests of one turn that are open together share
/// one.
pub fn gate(tx: &Transaction<'_>, frame: &Frame, gate: &Gate) -> Result<(), LedgerError> {
    let conversation = conversations::get(tx, &gate.conversation)?;
    let turn = turns::get(tx, &gate.turn)?;
    // Nobody is shown what nobody was asked.
    let mut rows = gates::of_card(tx, &gate.card)?;
    rows.retain(|row| !is_by_itself(row));
    let view = match rows.as_slice() {
        [] => return Ok(()),
        [only] => View::Gate(one_gate(tx, frame, &conversation, &turn, only)?),
        _ => View::Gates(several_gates(tx, frame, &conversation, &turn, &gate.card, &rows)?),
    };
    if gate.state != GateState::Open {
        for offer in surfaces::under(tx, SurfaceKind::Notice, &near_prefix(&gate.id))? {
            super::withdraw(tx, frame, offer, None)?;
        }
    }
    let wanted = Wanted {
        kind: SurfaceKind::Gate,
        subject: gate.card.as_str().to_owned(),
        conversation: Some(conversation.id.clone()),
        channel: conversation.channel.clone(),
        target: target_of(&conversation, &turn),
        lang: conversation.lang,
        picture: Some(Picture::Card(Box::new(view))),
        not_before_ms: 0,
        is_final: rows.iter().all(|row| row.state.is_over()),
        // A gate that was over before its card was out needs no card.
        create_final: false,
    };
    surfaces::want(tx, &wanted, frame.now_ms)
}

/// The card is gone, and its open requests that were not among the `told` were seen by nobody: they get a card of their own.
pub fn without_room(tx: &Transaction<'_>, frame: &Frame, card: &GateId, told: &[GateId]) -> Result<(), LedgerError> {
    let mut left = gates::of_card(tx, card)?;
    left.retain(|row| row.state == GateState::Open && row.shown_at_ms.is_none() && !told.contains(&row.id));
    let Some(first) = left.first() else { return Ok(()) };
    left.iter().try_for_each(|row| gates::set_card(tx, &row.id, &first.id))?;
    gate(tx, frame, &gates::get(tx, &first.id)?)
}

/// Decided by a rule or by policy before anybody could have been asked.
fn is_by_itself(gate: &Gate) -> bool {
    gate.decision.is_some() && (gate.by_rule || is_refused(gate))
}

pub(super) fn is_refused(gate: &Gate) -> bool {
    gate.decided_by.as_ref().is_some_and(|by| by.as_str() == POLICY)
}

fn one_gate(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    gate: &Gate,
) -> Result<GateView, LedgerError> {
    let (deciders, mention) = frame.deciders(tx, conversation, gate, turn)?;
    let shown = gate_shown(tx, gate)?;
    let direct = conversation.chat_kind == ChatKind::Direct;
    let buttons = if shown.is_open() { gate_buttons(tx, frame, conversation, gate, turn)? } else { Vec::new() };
    let covers = Covers::of(&gate.ask, &gate.judged()).filter(|covers| covers.class.lasts().always);
    Ok(GateView {
        gate: Some(gate.id.clone()),
        number: gate.number,
        requester: turn.requester_name.clone(),
        project: frame.project(&turn.directory),
        deciders,
        mention: if direct { Vec::new() } else { mention },
        ask: shown_ask(frame, turn, gate, direct),
        claim: gate.claim.as_deref().map(|claim| cut(claim, 200)),
        risk: (!gate.ask.is_question()).then(|| risk_of(gate, turn)),
        state: shown,
        buttons,
        rule: covers.map(|covers| RuleOffer {
            subject: covers.subject,
            directory: frame.project(Path::new(&covers.directory)),
            sandboxed: covers.sandboxed,
            until_ms: gate.opened_at_ms + Span::Always.ms().unwrap_or_default(),
        }),
        paused: gate.paused_at_ms.is_some(),
        opened_at_ms: gate.opened_at_ms,
        direct,
        bot_name: frame.bot_name.clone(),
    })
}

/// What is asked, as it is shown: a group is not told where on the computer a project lies.
fn shown_ask(frame: &Frame, turn: &Turn, gate: &Gate, direct: bool) -> Ask {
    let mut ask = gate.ask.clone();
    if let Ask::Command { directory, .. } | Ask::FileChange { directory, .. } | Ask::Permissions { directory, .. } =
        &mut ask
        && !direct
        && let Ok(below) = Path::new(&*directory).strip_prefix(&turn.directory)
    {
        let below = below.to_string_lossy().into_owned();
        let project = frame.project(&turn.directory);
        *directory = if below.is_empty() { project } else { format!("{project}/{below}") };
    }
    ask
}

fn risk_of(gate: &Gate, turn: &Turn) -> RiskShown {
    RiskShown {
        class: gate.class,
        why: gate.why.clone(),
        sandboxed: gate.sandboxed,
        needs_network: offers_network(gate, turn),
    }
}

/// To allow it gives it no network, and the task has none.
fn offers_network(gate: &Gate, turn: &Turn) -> bool {
    gate.needs_network && turn.network_by.is_none() && turn.level != Some(Level::Trusted)
}

/// C4. Its buttons cover what it shows and nothing that comes later.
fn several_gates(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    card: &GateId,
    rows: &[Gate],
) -> Result<GatesView, LedgerError> {
    let direct = conversation.chat_kind == ChatKind::Direct;
    let (open, over): (Vec<&Gate>, Vec<&Gate>) = rows.iter().partition(|row| row.state == GateState::Open);
    // What is open comes first, where not all have room.
    let room = MAX_GATE_ROWS.saturating_sub(open.len());
    let mut shown: Vec<&Gate> = open.iter().take(MAX_GATE_ROWS).copied().collect();
    shown.extend(over.iter().rev().take(room));
    shown.sort_by_key(|row| row.number);
    let button = |subject: &str, role, action: &Action| frame.button(tx, &conversation.chat, subject, role, action);
    let mut drawn = Vec::new();
    for gate in &shown {
        let mut buttons = Vec::new();
        if gate.state == GateState::Open {
            let (allow, decline) = (Action::Allow { gate: gate.id.clone() }, Action::Decline { gate: gate.id.clone() });
            buttons.push(button(gate.id.as_str(), ButtonRole::AllowNumber(gate.number), &allow)?);
            buttons.push(button(gate.id.as_str(), ButtonRole::DeclineNumber(gate.number), &decline)?);
            if offers_network(gate, turn) {
                let network = Action::AllowNetwork { gate: gate.id.clone() };
                buttons.push(button(gate.id.as_str(), ButtonRole::AllowNetwork, &network)?);
            }
        }
        drawn.push(GateRow {
            gate: gate.id.clone(),
            number: gate.number,
            ask: shown_ask(frame, turn, gate, direct),
            claim: gate.claim.as_deref().map(|claim| cut(claim, 200)),
            risk: risk_of(gate, turn),
            state: gate_shown(tx, gate)?,
            buttons,
            opened_at_ms: gate.opened_at_ms,
        });
    }
    let asked: Vec<&Gate> = open.iter().take(MAX_GATE_ROWS).copied().collect();
    let low: Vec<&Gate> = asked.iter().filter(|gate| gate.class.tier() == Tier::Inside).copied().collect();
    let ids = |gates: &[&Gate]| gates.iter().map(|gate| gate.id.clone()).collect::<Vec<_>>();
    let mut buttons = Vec::new();
    if low.len() > 1 {
        buttons.push(button(card.as_str(), ButtonRole::AllowLow, &Action::AllowAll { gates: ids(&low) })?);
    }
    if asked.len() > 1 {
        buttons.push(button(card.as_str(), ButtonRole::DeclineAll, &Action::DeclineAll { gates: ids(&asked) })?);
    }
    if !asked.is_empty() {
        buttons.push(button(card.as_str(), ButtonRole::Stop, &Action::Stop { turn: turn.id.clone() })?);
    }
    // Those who decide the worst of them decide all.
    let worst = open.iter().max_by_key(|gate| gate.class).copied().unwrap_or(&rows[0]);
    let (deciders, mention) = frame.deciders(tx, conversation, worst, turn)?;
    Ok(GatesView {
        requester: turn.requester_name.clone(),
        project: frame.project(&turn.directory),
        deciders,
        mention: if direct || open.is_empty() { Vec::new() } else { mention },
        more: open.len().saturating_sub(MAX_GATE_ROWS),
        low: low.iter().map(|gate| gate.number).collect(),
        rows: drawn,
        buttons,
        paused: open.iter().any(|gate| gate.paused_at_ms.is_some()),
        direct,
        bot_name: frame.bot_name.clone(),
    })
}

fn gate_shown(tx: &Transaction<'_>, gate: &Gate) -> Result<GateShown, LedgerError> {
    let who = gate.decided_name.clone().unwrap_or_default();
    let at_ms = gate.decided_at_ms.unwrap_or(gate.opened_at_ms);
    Ok(match gate.state {
        GateState::Open => match gate.repeats.as_ref().map(|former| gates::get(tx, former)).transpose()? {
            Some(former) if former.decision.is_some() => GateShown::OpenAgain {
                who: former.decided_name.unwrap_or_default(),
                at_ms: former.decided_at_ms.unwrap_or(former.opened_at_ms),
            },
            _ => GateShown::Open,
        },
        GateState::Withdrawn if gate.decision == Some(Decision::Network) => {
            GateShown::Decided { who, at_ms, decision: Decision::Network, rule: None }
        }
        GateState::Withdrawn => GateShown::Withdrawn,
        GateState::Void if gate.void_from == Some(GateState::Answering) => GateShown::VoidMayHaveRun { who },
        GateState::Void => GateShown::Void,
        GateState::Decided | GateState::Answering | GateState::Answered => match &gate.decision {
            _ if is_refused(gate) => GateShown::Refused,
            Some(decision) => {
                GateShown::Decided { who, at_ms, decision: decision.clone(), rule: rule_shown(tx, gate)? }
            }
            None => GateShown::Withdrawn,
        },
    })
}

fn rule_shown(tx: &Transaction<'_>, gate: &Gate) -> Result<Option<RuleShown>, LedgerError> {
    let Some(number) = gate.rule else { return Ok(None) };
    let rule = rules::get(tx, number)?;
    Ok(rule.map(|rule| RuleShown { number, span: rule.span, applied: gate.by_rule, made_at_ms: rule.made_at_ms }))
}

fn gate_buttons(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    gate: &Gate,
    turn: &Turn,
) -> Result<Vec<Button>, LedgerError> {
    let id = || gate.id.clone();
    let mut wanted = Vec::new();
    match &gate.ask {
        Ask::Questions { questions } => {
            if let [only] = questions.as_slice() {
                // More than four do not fit under a thumb: those go into the form.
                if only.options.len() <= 4 {
                    for index in 0..only.options.len() as u32 {
                        wanted.push((ButtonRole::Option(index), Action::Choose { gate: id(), index }));
                    }
                }
                if only.free_text || only.options.is_empty() || only.options.len() > 4 {
                    wanted.push((ButtonRole::Submit, Action::Submit { gate: id() }));
                }
            } else {
                wanted.push((ButtonRole::Submit, Action::Submit { gate: id() }));
            }
            wanted.push((ButtonRole::Skip, Action::Skip { gate: id() }));
        }
        _ => {
            // To allow the network is to allow all that it is good for.
            let allow = if grants_network(&gate.ask) { ButtonRole::AllowNetwork } else { ButtonRole::Allow };
            wanted.push((allow, Action::Allow { gate: id() }));
            if offers_network(gate, turn) {
                wanted.push((ButtonRole::AllowNetwork, Action::AllowNetwork { gate: id() }));
            }
            wanted.push((ButtonRole::Decline, Action::Decline { gate: id() }));
            let lasts = if Covers::of(&gate.ask, &gate.judged()).is_some() { gate.class.lasts() } else { Lasts::ONCE };
            for (offered, span) in [(lasts.task, Span::Task), (lasts.hours, Span::Hours), (lasts.always, Span::Always)]
            {
                if offered {
                    wanted.push((ButtonRole::AllowFor(span), Action::AllowFor { gate: id(), span }));
                }
            }
            wanted.push((ButtonRole::DeclineWhy, Action::DeclineWhy { gate: id() }));
        }
    }
    wanted.push((ButtonRole::Stop, Action::Stop { turn: gate.turn.clone() }));
    wanted
        .into_iter()
        .map(|(role, action)| frame.button(tx, &conversation.chat, gate.id.as_str(), role, &action))
        .collect()
}

/// A word that sounded like a decision became a message: what it did not do, with both ways out.
pub fn near_miss(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    target: Target,
    gate: &GateId,
    turn: &TurnId,
) -> Result<(), LedgerError> {
    let gate = gates::get(tx, gate)?;
    if gate.state != GateState::Open {
        return Ok(());
    }
    let mut offered = Vec::new();
    // What needs a second look is decided where all of it is to be seen.
    if !gate.class.is_red() {
        offered.push((ButtonRole::AllowNumber(gate.number), Action::Allow { gate: gate.id.clone() }));
    }
    offered.push((ButtonRole::Cancel, Action::Cancel { turn: turn.clone() }));
    let text = say::near_miss(conversation.lang, gate.number, gate.conversation == conversation.id);
    let subject = format!("{}{turn}", near_prefix(&gate.id));
    notice(tx, frame, conversation, target, &subject, text, &offered)
}

/// The message is cancelled: nothing is offered any more.
pub fn near_miss_over(tx: &Transaction<'_>, frame: &Frame, turn: &Turn) -> Result<(), LedgerError> {
    let conversation = conversations::get(tx, &turn.conversation)?;
    for gate in gates::open_in_chat(tx, &conversation.channel, &conversation.chat)? {
        let subject = format!("{}{}", near_prefix(&gate.id), turn.id);
        if let Some(offer) = surfaces::find(tx, SurfaceKind::Notice, &subject)? {
            super::withdraw(tx, frame, offer, None)?;
        }
    }
    Ok(())
}

fn near_prefix(gate: &GateId) -> String {
    format!("near:{gate}:")
}
