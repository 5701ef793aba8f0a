//! Typed decisions: `y`, `n`, `a1 d2`, an option's number, free text to a question, "停". Strict: whatever is not certainly
//! a decision is a message, and says so where somebody might think otherwise.

use std::sync::Arc;
use std::time::Duration;

use super::actions::{self, Performed, Person, Told, answers};
use super::core::Core;
use super::intake::{after, notice};
use super::overtake::Order;
use super::pictures::Frame;
use super::prepare::{Beside, Letter, make_turn, put_steer, receipt};
use super::{route, say};
use crate::crash;
use crate::domain::command::{Meant, Shortcut};
use crate::domain::gate::{Decision, GateState};
use crate::domain::ids::*;
use crate::domain::risk::Tier;
use crate::domain::turn::TurnState;
use crate::domain::view::Receipt;
use crate::ledger::gates::Gate;
use crate::ledger::inbound::{self, InboundState};
use crate::ledger::surfaces::{self, SurfaceKind};
use crate::ledger::{LedgerError, Transaction, conversations, gates, turns};
use crate::words::NoticeMsg;

/// What a typed thing came to.
enum Came {
    /// Carried out, or refused with a word: the message is done. `wiped`: its words are gone, as they may have been a
    /// secret.
    Done { performed: Vec<Performed>, wiped: bool },
    /// It is an ordinary message after all, with a remark beside it.
    Message(Option<String>),
}

impl Came {
    fn done(performed: Vec<Performed>) -> Self {
        Self::Done { performed, wiped: false }
    }

    /// Before anybody can be woken by the decision: without it the runtime would be told nothing.
    fn with_secrets_kept(mut self, core: &Core) -> Self {
        if let Self::Done { performed, .. } = &mut self {
            let secrets = performed.iter_mut().filter_map(|performed| performed.secret.take());
            secrets.for_each(|(gate, decision)| core.keep_secret(&gate, decision));
        }
        self
    }
}

/// How long a card whose sending is under way is waited for: somebody may have answered what he sees before its sender
/// knows that it is there.
const UNDER_WAY: Duration = Duration::from_secs(3);

async fn until_cards_are_out(core: &Core, letter: &Letter) -> Result<(), LedgerError> {
    let end = tokio::time::Instant::now() + UNDER_WAY;
    let scope = core.config.scope;
    while tokio::time::Instant::now() < end {
        let letter = letter.clone();
        let under_way = move |tx: &Transaction<'_>| {
            for gate in open_here(tx, &letter, scope)?.iter().filter(|gate| gate.shown_at_ms.is_none()) {
                let card = surfaces::find(tx, SurfaceKind::Gate, gate.card.as_str())?;
                if card.is_some_and(|card| card.creating) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if !core.ledger.read(under_way).await? {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

pub(super) async fn shortcut(core: &Arc<Core>, letter: Letter, shortcut: Shortcut, order: Order) -> anyhow::Result<()> {
    until_cards_are_out(core, &letter).await?;
    let (frame, scope, keeper) = (core.frame(&letter.row.channel), core.config.scope, Arc::clone(core));
    let (came, letter) = core
        .ledger
        .write(move |tx| {
            let open = open_here(tx, &letter, scope)?;
            let came = match (&shortcut.meant, open.as_slice()) {
                (_, []) => Came::Message(None),
                (Meant::Yes, [gate]) if !gate.ask.is_question() => one(tx, &frame, &letter, gate, Decision::Allow)?,
                (Meant::No, [gate]) if !gate.ask.is_question() => {
                    one(tx, &frame, &letter, gate, Decision::Decline { reason: None })?
                }
                (Meant::Yes | Meant::No, [_]) => match question_of(tx, &letter, &open, Said::InShort, scope)? {
                    Some(gate) => answer(tx, &frame, &letter, &gate, &shortcut.raw)?,
                    None => Came::Message(None),
                },
                (Meant::Number(n), open) => match question_of(tx, &letter, open, Said::InShort, scope)? {
                    Some(gate) => answer(tx, &frame, &letter, &gate, &n.to_string())?,
                    None => Came::Message(None),
                },
                (Meant::Yes | Meant::No, several) => {
                    let msg = match of_several_topics(several) {
                        true => NoticeMsg::ShortcutSeveralTopics,
                        false => NoticeMsg::ShortcutAmbiguous { numbers: &numbers(several) },
                    };
                    refuse(tx, &frame, &letter, msg)?
                }
                (Meant::Pick { allow, decline }, open) => pick(tx, &frame, &letter, open, allow, decline)?,
                (Meant::AllSafe, open) => all_safe(tx, &frame, &letter, open)?,
            };
            Ok((came.with_secrets_kept(&keeper), letter))
        })
        .await?;
    conclude(core, letter, came, order).await
}

async fn conclude(core: &Arc<Core>, letter: Letter, came: Came, order: Order) -> anyhow::Result<()> {
    match came {
        Came::Done { performed, wiped } => {
            crash::point("w5.after");
            if wiped {
                core.ledger.scrub();
            }
            performed.into_iter().for_each(|performed| after(core, performed));
            core.wakes.painter.notify_one();
            core.wakes.outbox.notify_one();
            Ok(())
        }
        Came::Message(_) if order == Order::Overtaking => Ok(()),
        Came::Message(remark) => make_turn(core, letter, Beside { remark, ..Beside::default() }).await,
    }
}

/// Gates that a message here can mean: its conversation's, or, in a group's stream, the chat's.
fn open_here(tx: &Transaction<'_>, letter: &Letter, scope: super::core::Scope) -> Result<Vec<Gate>, LedgerError> {
    if let Some(conversation) = route::existing(tx, &letter.row.channel, &letter.message, scope)? {
        return gates::open_in(tx, &conversation.id);
    }
    match letter.is_in_stream() {
        true => gates::open_in_chat(tx, &letter.row.channel, &letter.message.chat),
        false => Ok(Vec::new()),
    }
}

/// How an answer to a question is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Nothing but an option's number, or another word that is hardly a message.
    InShort,
    /// Words that might as well be a new task.
    AtLength,
}

/// The question that words answer: the one whose card they reply to, else the one open question that was put to this
/// person. In a group's stream words are a task of their own.
fn question_of(
    tx: &Transaction<'_>,
    letter: &Letter,
    open: &[Gate],
    said: Said,
    scope: super::core::Scope,
) -> Result<Option<Gate>, LedgerError> {
    if letter.message.has_attachments() {
        return Ok(None);
    }
    if let Some(parent) = &letter.message.parent
        && let Some((kind, card)) = surfaces::by_platform(tx, &letter.row.channel, parent)?
        && kind == SurfaceKind::Gate.as_str()
    {
        let listed = gates::of_card(tx, &GateId::from(card.subject))?;
        let asked = listed.into_iter().find(|gate| gate.ask.is_question() && gate.state == GateState::Open);
        return match asked {
            Some(gate) => Ok(may_decide(tx, &gate, &letter.person)?.then_some(gate)),
            None => Ok(None),
        };
    }
    if said == Said::AtLength && route::existing(tx, &letter.row.channel, &letter.message, scope)?.is_none() {
        return Ok(None);
    }
    let mut own = Vec::new();
    for gate in open.iter().filter(|gate| gate.ask.is_question()) {
        if turns::get(tx, &gate.turn)?.requester == letter.person.user && may_decide(tx, gate, &letter.person)? {
            own.push(gate);
        }
    }
    Ok(match own.as_slice() {
        [only] => Some((*only).clone()),
        _ => None,
    })
}

/// Numbers count within a conversation: outside of one, the same number may mean several requests.
fn of_several_topics(open: &[Gate]) -> bool {
    let mut requests = open.iter().filter(|gate| !gate.ask.is_question());
    let first = requests.next();
    requests.any(|gate| first.is_some_and(|first| first.conversation != gate.conversation))
}

/// One gate, only if its card was there when the message was written.
fn one(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    gate: &Gate,
    decision: Decision,
) -> Result<Came, LedgerError> {
    if !was_shown(letter, gate) {
        return refuse(tx, frame, letter, NoticeMsg::ShortcutTooEarly { number: gate.number });
    }
    if decision == Decision::Allow && needs_card(tx, gate)? {
        return refuse(tx, frame, letter, NoticeMsg::ShortcutRed { numbers: &format!("#{}", gate.number) });
    }
    let performed = actions::decide(tx, frame, &gate.id, &letter.person, |_| Some(decision))?;
    done(tx, frame, letter, vec![performed])
}

fn was_shown(letter: &Letter, gate: &Gate) -> bool {
    // Both times are the platform's.
    gate.shown_at_ms.is_some_and(|shown| shown <= letter.message.sent_at_ms)
}

/// A red request is allowed by a button that asks once more. Where its card, or a change of it, was refused, words are all
/// there is: they said all of it.
fn needs_card(tx: &Transaction<'_>, gate: &Gate) -> Result<bool, LedgerError> {
    let card = surfaces::find(tx, SurfaceKind::Gate, gate.card.as_str())?;
    Ok(gate.class.is_red() && card.is_none_or(|card| !card.is_gone))
}

/// `all y`: what the card's button for the requests of low risk would allow, as far as the sender may; the rest is named.
fn all_safe(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, open: &[Gate]) -> Result<Came, LedgerError> {
    if of_several_topics(open) {
        return refuse(tx, frame, letter, NoticeMsg::ShortcutSeveralTopics);
    }
    let mut performed = Vec::new();
    let mut left = Vec::new();
    for gate in open {
        let low = !gate.ask.is_question() && gate.class.tier() == Tier::Inside && was_shown(letter, gate);
        if low {
            let one = actions::decide(tx, frame, &gate.id, &letter.person, |_| Some(Decision::Allow))?;
            if one.told == Told::Recorded {
                performed.push(one);
                continue;
            }
        }
        left.push(format!("#{}", gate.number));
    }
    if performed.is_empty() {
        return refuse(tx, frame, letter, NoticeMsg::AllSafeNothing);
    }
    if !left.is_empty() {
        let text = say::notice(frame.lang, NoticeMsg::StillOpen { numbers: &left.join(" ") });
        notice(tx, &letter.row.channel, letter.reply(), None, None, text, frame.lang, frame.now_ms)?;
    }
    done(tx, frame, letter, performed)
}

fn answer(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, gate: &Gate, text: &str) -> Result<Came, LedgerError> {
    let secret = gate.ask.is_secret();
    let fits = answers::typed_answer(&gate.ask, text).is_some();
    if !was_shown(letter, gate) || !(fits || secret) {
        return Ok(Came::Message(None));
    }
    if secret {
        // Whatever comes of it: it may be what nobody is to see.
        inbound::wipe(tx, letter.row.seq)?;
    }
    let came = if fits {
        let performed = actions::decide(tx, frame, &gate.id, &letter.person, |ask| answers::typed_answer(ask, text))?;
        done(tx, frame, letter, vec![performed])?
    } else {
        refuse(tx, frame, letter, NoticeMsg::SecretByCard { number: gate.number })?
    };
    Ok(match came {
        Came::Done { performed, .. } => Came::Done { performed, wiped: secret },
        came => came,
    })
}

fn pick(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    open: &[Gate],
    allow: &[i64],
    decline: &[i64],
) -> Result<Came, LedgerError> {
    if of_several_topics(open) {
        return refuse(tx, frame, letter, NoticeMsg::ShortcutSeveralTopics);
    }
    let mut performed = Vec::new();
    let mut unknown = Vec::new();
    let mut red = Vec::new();
    for (number, decision) in allow
        .iter()
        .map(|n| (n, Decision::Allow))
        .chain(decline.iter().map(|n| (n, Decision::Decline { reason: None })))
    {
        match open.iter().find(|gate| gate.number == *number && !gate.ask.is_question()) {
            Some(gate) if decision == Decision::Allow && needs_card(tx, gate)? => red.push(format!("#{number}")),
            Some(gate) if was_shown(letter, gate) => {
                performed.push(actions::decide(tx, frame, &gate.id, &letter.person, |_| Some(decision))?);
            }
            _ => unknown.push(format!("#{number}")),
        }
    }
    if !red.is_empty() {
        let text = say::notice(frame.lang, NoticeMsg::ShortcutRed { numbers: &red.join(" ") });
        notice(tx, &letter.row.channel, letter.reply(), None, None, text, frame.lang, frame.now_ms)?;
    }
    if !unknown.is_empty() {
        let text = say::notice(frame.lang, NoticeMsg::ShortcutUnknown { numbers: &unknown.join(" ") });
        notice(tx, &letter.row.channel, letter.reply(), None, None, text, frame.lang, frame.now_ms)?;
    }
    done(tx, frame, letter, performed)
}

/// The message was a decision: its row ends, and whoever could not decide is told in words.
fn done(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, performed: Vec<Performed>) -> Result<Came, LedgerError> {
    crash::point("w5.before");
    inbound::resolve(tx, letter.row.seq, InboundState::Decision, None, None)?;
    let refused = performed.iter().find(|performed| !matches!(performed.told, Told::Recorded));
    receipt(tx, frame, letter, if refused.is_some() { Receipt::Failed } else { Receipt::Done })?;
    if let Some(refused) = refused {
        let text = say::told(frame.lang, &refused.told, frame.now_ms);
        notice(tx, &letter.row.channel, letter.reply(), None, None, text, frame.lang, frame.now_ms)?;
    }
    Ok(Came::done(performed))
}

fn refuse(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, msg: NoticeMsg<'_>) -> Result<Came, LedgerError> {
    inbound::resolve(tx, letter.row.seq, InboundState::Refused, Some("shortcut"), None)?;
    receipt(tx, frame, letter, Receipt::Failed)?;
    let text = say::notice(frame.lang, msg);
    notice(tx, &letter.row.channel, letter.reply(), None, None, text, frame.lang, frame.now_ms)?;
    Ok(Came::done(Vec::new()))
}

fn numbers(gates: &[Gate]) -> String {
    gates.iter().map(|gate| format!("#{}", gate.number)).collect::<Vec<_>>().join(" ")
}

/// "停" alone stops what runs here; when nothing runs it is a message.
pub(super) async fn stop_word(core: &Arc<Core>, letter: Letter, order: Order) -> anyhow::Result<()> {
    let (frame, scope) = (core.frame(&letter.row.channel), core.config.scope);
    let (came, letter) = core
        .ledger
        .write(move |tx| {
            let running = running_here(tx, &letter, scope)?;
            let came = match running.as_slice() {
                [] => Came::Message(None),
                [turn] => {
                    let performed = actions::stop(tx, &frame, turn, &letter.person)?;
                    inbound::resolve(tx, letter.row.seq, InboundState::Command, Some("stop"), None)?;
                    receipt(tx, &frame, &letter, Receipt::Done)?;
                    Came::done(vec![performed])
                }
                several => {
                    let text = say::command(frame.lang, crate::words::CommandMsg::StopChoose { n: several.len() });
                    inbound::resolve(tx, letter.row.seq, InboundState::Command, Some("stop"), None)?;
                    notice(tx, &letter.row.channel, letter.reply(), None, None, text, frame.lang, frame.now_ms)?;
                    Came::done(Vec::new())
                }
            };
            Ok((came, letter))
        })
        .await?;
    conclude(core, letter, came, order).await
}

/// Turns that a runtime has, in the message's conversation or, in a group's stream, in the chat.
pub(super) fn running_here(
    tx: &Transaction<'_>,
    letter: &Letter,
    scope: super::core::Scope,
) -> Result<Vec<TurnId>, LedgerError> {
    match route::existing(tx, &letter.row.channel, &letter.message, scope)? {
        Some(conversation) => Ok(turns::active(tx, &conversation.id)?.map(|turn| turn.id).into_iter().collect()),
        None if letter.is_in_stream() => turns::active_in_chat(tx, &letter.row.channel, &letter.message.chat),
        None => Ok(Vec::new()),
    }
}

/// "好的" approves nothing: it is queued as a message, and the chat says so while a request is open.
pub(super) async fn near_miss(core: &Arc<Core>, letter: Letter) -> anyhow::Result<()> {
    let scope = core.config.scope;
    let (near, letter) = core
        .ledger
        .read(move |tx| {
            let open = open_here(tx, &letter, scope)?;
            let near = match open.as_slice() {
                [gate]
                    if !gate.ask.is_question() && was_shown(&letter, gate) && may_decide(tx, gate, &letter.person)? =>
                {
                    Some(gate.id.clone())
                }
                _ => None,
            };
            Ok((near, letter))
        })
        .await?;
    make_turn(core, letter, Beside { near, ..Beside::default() }).await
}

/// Plain words: an answer to the one open question of this person, a steer when they answer a live card, else a turn.
pub(super) async fn text(core: &Arc<Core>, letter: Letter, order: Order) -> anyhow::Result<()> {
    until_cards_are_out(core, &letter).await?;
    let (frame, scope, keeper) = (core.frame(&letter.row.channel), core.config.scope, Arc::clone(core));
    let (came, letter) = core
        .ledger
        .write(move |tx| {
            // A steer holds words only: with something to look at it is a turn of its own.
            let may_steer = order == Order::InPlace;
            let only_words = may_steer && !letter.message.has_attachments() && !has_companions(tx, &letter)?;
            if only_words
                && let Some(turn) = live_card_of(tx, &letter)?
                && actions::may_steer(&turn, letter.person.role)
            {
                if !put_steer(tx, &frame, &turn, &letter, &letter.text)? {
                    return Ok((Came::done(Vec::new()), letter));
                }
                let told = Performed {
                    told: Told::Steering,
                    wake: vec![turn.conversation],
                    secret: None,
                    rerun_intake: false,
                    routines: false,
                };
                return Ok((Came::done(vec![told]), letter));
            }
            let open = open_here(tx, &letter, scope)?;
            let came = match question_of(tx, &letter, &open, Said::AtLength, scope)? {
                Some(gate) => answer(tx, &frame, &letter, &gate, &letter.text)?,
                None => Came::Message(None),
            };
            Ok((came.with_secrets_kept(&keeper), letter))
        })
        .await?;
    conclude(core, letter, came, order).await
}

fn may_decide(tx: &Transaction<'_>, gate: &Gate, person: &Person) -> Result<bool, LedgerError> {
    let (turn, conversation) = (turns::get(tx, &gate.turn)?, conversations::get(tx, &gate.conversation)?);
    actions::may_decide(tx, &conversation, gate, &turn, &person.user, person.role)
}

/// Whether anything without words of this person waits in this chat.
fn has_companions(tx: &Transaction<'_>, letter: &Letter) -> Result<bool, LedgerError> {
    let (channel, chat) = (&letter.row.channel, &letter.message.chat);
    Ok(!inbound::waiting_for_words_of(tx, channel, chat, &letter.person.user, 1)?.is_empty())
}

/// The running turn whose live card this message answers.
fn live_card_of(tx: &Transaction<'_>, letter: &Letter) -> Result<Option<turns::Turn>, LedgerError> {
    let Some(parent) = &letter.message.parent else { return Ok(None) };
    let Some((kind, surface)) = surfaces::by_platform(tx, &letter.row.channel, parent)? else { return Ok(None) };
    if kind != SurfaceKind::Live.as_str() {
        return Ok(None);
    }
    let turn = turns::get(tx, &TurnId::from(surface.subject))?;
    Ok((turn.state == TurnState::Running && turn.stop.is_none()).then_some(turn))
}
