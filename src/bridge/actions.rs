//! What people may do, whatever they do it with: the one place that authorises and performs clicks, typed decisions and
//! commands. Runs inside the ledger's transaction and from the ledger only; its result is what the person is told.

pub(super) mod answers;
mod late;

use self::answers::{choose, field, from_form, without_secrets};
use self::late::late;
pub(super) use self::late::{close_question, still_wanted};
use crate::bridge::commands::routine as routine_command;
use crate::bridge::commands::settings as settings_command;
use crate::bridge::commands::threads;
use crate::bridge::intake::notice;
use crate::bridge::pictures::{self, Frame};
use crate::bridge::{compaction, lock, prompts, rights, say, settle};
use crate::domain::access::{Access, Act, Role, may};
use crate::domain::action::{Action, Reopen, Resume};
use crate::domain::gate::{Ask, Decision, GateState};
use crate::domain::ids::*;
use crate::domain::limits::STEERS;
use crate::domain::message::ChatKind;
use crate::domain::risk::Class;
use crate::domain::rule::{Covers, Span};
use crate::domain::turn::{Outcome, StopReason, TurnEvent, TurnState};
use crate::domain::view::{ButtonRole, LiveState, Receipt};
use crate::ledger::conversations::{self, Conversation, HeldWhy};
use crate::ledger::gates::Gate;
use crate::ledger::inbound::{self, Admission, InboundState, NewInbound};
use crate::ledger::routines::Source;
use crate::ledger::rules::{self, NewRule};
use crate::ledger::settings::{self, Setting};
use crate::ledger::threads as ledger_threads;
use crate::ledger::turns::{NewTurn, Settlement, Stop, Turn};
use crate::ledger::{LedgerError, Transaction, audit, gates, routines, said, surfaces, turns};
use crate::words::NoticeMsg;

/// Somebody who acts, with the rights he has where he acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub user: UserId,
    pub name: String,
    pub role: Role,
}

/// What the person is told. The words are chosen later, in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The decision is stored; the runtime is being told.
    Recorded,
    Stopping,
    Cancelled,
    Steering,
    Queued,
    Dismissed,
    KeepWaiting,
    Saved,
    /// What was his to set; the rest was not.
    SavedPartly,
    /// The form says what holds already.
    NoChange,
    /// Not his to decide; these people may.
    OnlyThese {
        names: String,
    },
    AlreadyDecided {
        who: String,
        at_ms: i64,
    },
    /// Some of them are not his to decide.
    Partly {
        n: usize,
        names: String,
    },
    /// Only what the card showed was decided; others have come since.
    ListChanged {
        n: usize,
    },
    /// The request, turn or message is over.
    NoLongerValid,
    /// The process that asked is gone.
    RestartedSince,
    /// The button is not ours, or from another chat.
    Unknown,
    /// A form was sent without what it must hold.
    AnswerMissing,
    NothingRunning,
    /// The conversation goes on with another thread.
    TakenUp,
    /// Something runs that has to end first.
    StillWorking,
    RuleRevoked,
    /// The owner has locked everything.
    Paused,
    /// A click that was to come back did.
    CameBack,
}

/// What follows an action once its transaction is committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Performed {
    pub told: Told,
    pub wake: Vec<ConversationId>,
    /// A secret answer, kept in memory only.
    pub secret: Option<(GateId, Decision)>,
    /// Late messages that are wanted after all: W1b looks at them again.
    pub rerun_intake: bool,
    /// A routine was made: it may be due soon.
    pub routines: bool,
}

impl Performed {
    pub(super) fn told(told: Told) -> Self {
        Self { told, wake: Vec::new(), secret: None, rerun_intake: false, routines: false }
    }

    fn waking(told: Told, conversation: &ConversationId) -> Self {
        Self { wake: vec![conversation.clone()], ..Self::told(told) }
    }
}

/// Performs an action, or says why not.
pub fn perform(
    tx: &Transaction<'_>,
    frame: &Frame,
    action: &Action,
    person: &Person,
    form: &[(String, String)],
) -> Result<Performed, LedgerError> {
    if !person.role.may_talk() {
        let subject = action.subject().unwrap_or_default();
        audit::note(tx, person.user.as_str(), "action refused", subject, "may not talk here", frame.now_ms)?;
        return Ok(Performed::told(Told::OnlyThese { names: rights::owner_name(tx, frame)? }));
    }
    match action {
        Action::Allow { gate } => decide(tx, frame, gate, person, |_| Some(Decision::Allow)),
        Action::AllowFor { gate, span } => allow_for(tx, frame, gate, person, *span),
        Action::AllowNetwork { gate } => allow_network(tx, frame, gate, person),
        Action::Decline { gate } => decide(tx, frame, gate, person, |_| Some(Decision::Decline { reason: None })),
        Action::DeclineWhy { gate } => {
            let reason = field(form, "reason").map(str::to_owned);
            decide(tx, frame, gate, person, |_| Some(Decision::Decline { reason }))
        }
        Action::AllowAll { gates } => decide_all(tx, frame, gates, person, &Decision::Allow),
        Action::DeclineAll { gates } => decide_all(tx, frame, gates, person, &Decision::Decline { reason: None }),
        Action::Choose { gate, index } => decide(tx, frame, gate, person, |ask| choose(ask, *index as usize)),
        Action::Submit { gate } => decide(tx, frame, gate, person, |ask| from_form(ask, form)),
        Action::Skip { gate } => decide(tx, frame, gate, person, |_| Some(Decision::Answers { answers: Vec::new() })),
        Action::SaveSettings { chat, direct, shown } => {
            settings_command::save(tx, frame, (chat, *direct), shown, person, form)
        }
        Action::Stop { turn } => stop(tx, frame, turn, person),
        Action::Cancel { turn } => cancel(tx, frame, turn, person),
        Action::Steer { turn } => steer_queued(tx, frame, turn, person),
        Action::KeepWaiting { turn } => keep_waiting(tx, frame, turn, person),
        Action::Resume { turn, how } => resume(tx, frame, turn, *how, person),
        Action::Late { inbound, how, up_to } => late(tx, frame, *inbound, *how, *up_to, person),
        Action::TakeUp { conversation, listed } => threads::click(tx, frame, conversation, listed, person),
        Action::Reopen { conversation, how } => reopen(tx, frame, conversation, *how, person),
        Action::Restored { go_on, at_ms } => super::restored::decide(tx, frame, *go_on, *at_ms, person),
        Action::Routine { name, text, subject, by_agent } => {
            let source = if *by_agent { Source::Agent } else { Source::Chat };
            routine_command::decide(tx, frame, (name, source), text.as_deref(), subject, person)
        }
        Action::CheckUp { name } => super::checkup::pressed(tx, frame, name, person),
        Action::RevokeRule { number, list } => {
            let Some(rule) = rules::get(tx, *number)? else { return Ok(Performed::told(Told::NoLongerValid)) };
            let performed = revoke_rule(tx, frame, *number, &rule.chat, person)?;
            if performed.told == Told::RuleRevoked {
                pictures::rule_ended(tx, frame, *list, *number, &person.name)?;
            }
            Ok(performed)
        }
    }
}

// ------------------------------------------------------------------------------------------------ gates

/// W5. The state, the person and the question are checked in here, from the ledger only.
pub fn decide(
    tx: &Transaction<'_>,
    frame: &Frame,
    gate: &GateId,
    person: &Person,
    decision: impl FnOnce(&Ask) -> Option<Decision>,
) -> Result<Performed, LedgerError> {
    let gate = gates::get(tx, gate)?;
    let turn = turns::get(tx, &gate.turn)?;
    let conversation = conversations::get(tx, &gate.conversation)?;
    let decision = decision(&gate.ask);
    // To say no is the safe direction: whoever asked may always.
    let declines = matches!(decision, Some(Decision::Decline { .. }))
        && person.user == turn.requester
        && may(person.role, Act::Talk);
    if !declines && !may_decide(tx, &conversation, &gate, &turn, &person.user, person.role)? {
        audit::note(tx, person.user.as_str(), "decision refused", gate.id.as_str(), "not a decider", frame.now_ms)?;
        let (names, _) = frame.deciders(tx, &conversation, &gate, &turn)?;
        return Ok(Performed::told(Told::OnlyThese { names }));
    }
    if settings::is_locked(tx)? {
        return lock::refuse(tx, person, gate.id.as_str(), frame.now_ms);
    }
    if let Some(over) = no_longer(&gate, frame.now_ms) {
        return Ok(Performed::told(over));
    }
    if turn.stop.is_some() {
        // It is told to stop, and nothing else any more.
        return Ok(Performed::told(Told::NoLongerValid));
    }
    let Some(decision) = decision else { return Ok(Performed::told(Told::AnswerMissing)) };
    let (stored, secret) = without_secrets(&gate.ask, decision);
    gates::decide(tx, &gate, &stored, &person.user, &person.name, frame.now_ms)?;
    if stored == Decision::Allow && grants_network(&gate.ask) {
        turns::grant_network(tx, &turn.id, &person.user)?;
    }
    let detail = format!("{} {}", decision_word(&stored), gate.class.as_str());
    let detail = if gate.ask.is_question() { decision_word(&stored) } else { &detail };
    audit::note(tx, person.user.as_str(), "decided", gate.id.as_str(), detail, frame.now_ms)?;
    if let Decision::Decline { reason: Some(reason) } = &stored {
        pass_on(tx, frame, &conversation, &gate, reason)?;
    }
    pictures::gate(tx, frame, &gates::get(tx, &gate.id)?)?;
    let mut performed = Performed::waking(Told::Recorded, &gate.conversation);
    performed.secret = secret.map(|full| (gate.id.clone(), full));
    Ok(performed)
}

/// Runtimes take no reason along with a *no*: it follows as words for the running turn. Nobody's message, so that it is
/// dropped where the turn ends first.
fn pass_on(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    gate: &Gate,
    reason: &str,
) -> Result<(), LedgerError> {
    let row = NewInbound {
        channel: conversation.channel.clone(),
        dedupe_key: format!("reason:{}", gate.id),
        kind: "other",
        state: InboundState::Decision,
        reason: Some("reason of a decision"),
        chat: Some(conversation.chat.clone()),
        chat_kind: None,
        message: None,
        sender: None,
        raw: None,
        sent_at_ms: None,
        received_at_ms: frame.now_ms,
    };
    let Admission::New(seq) = inbound::admit(tx, &row)? else { return Ok(()) };
    let words = prompts::declined_because(&gate.ask, reason);
    inbound::set_steer(tx, seq, &gate.turn, "wanted", Some(&words))
}

/// What is told of a request that nobody can decide any more.
fn no_longer(gate: &Gate, now_ms: i64) -> Option<Told> {
    match gate.state {
        GateState::Open => None,
        GateState::Decided | GateState::Answering | GateState::Answered => Some(Told::AlreadyDecided {
            who: gate.decided_name.clone().unwrap_or_default(),
            at_ms: gate.decided_at_ms.unwrap_or(now_ms),
        }),
        GateState::Withdrawn => Some(Told::NoLongerValid),
        GateState::Void => Some(Told::RestartedSince),
    }
}

/// Whether somebody may decide a request: by its class, or, for a question, because it was put to them.
pub fn may_decide(
    tx: &Transaction<'_>,
    conversation: &Conversation,
    gate: &Gate,
    turn: &Turn,
    user: &UserId,
    role: Role,
) -> Result<bool, LedgerError> {
    let own = *user == turn.requester;
    if gate.ask.is_question() {
        return Ok(may(role, Act::Answer { own }));
    }
    // Whoever has the network can send.
    let sends = gate.class == Class::Publish || grants_network(&gate.ask);
    let act = Act::Decide { class: gate.class, own };
    Ok(may(role, act) && !(sends && needs_another(tx, conversation, turn, user)?))
}

/// In this chat nobody lets his own task act on others.
fn needs_another(
    tx: &Transaction<'_>,
    conversation: &Conversation,
    turn: &Turn,
    user: &UserId,
) -> Result<bool, LedgerError> {
    if conversation.chat_kind != ChatKind::Group {
        return Ok(false);
    }
    let set = settings::get(tx, &conversation.channel, &conversation.chat, Setting::TwoPersons)?;
    // Whoever's words are in the turn asked for it, too.
    Ok(set.as_deref() == Some("true")
        && (turn.requester == *user
            || inbound::of_turn(tx, &turn.id)?.iter().any(|row| row.sender.as_ref() == Some(user))))
}

/// What is asked for is the network itself.
pub(super) fn grants_network(ask: &Ask) -> bool {
    matches!(ask, Ask::Permissions { network_only: true, .. })
}

/// Out of the sandbox a command has no network, so to allow it would not help: the task is stopped and goes on with the
/// network, which is said with each turn. What was asked for does not run by itself.
fn allow_network(
    tx: &Transaction<'_>,
    frame: &Frame,
    gate: &GateId,
    person: &Person,
) -> Result<Performed, LedgerError> {
    let gate = gates::get(tx, gate)?;
    let turn = turns::get(tx, &gate.turn)?;
    let conversation = conversations::get(tx, &gate.conversation)?;
    let refused = !may(person.role, Act::GrantNetwork) || needs_another(tx, &conversation, &turn, &person.user)?;
    if refused {
        audit::note(tx, person.user.as_str(), "network refused", gate.id.as_str(), "not a decider", frame.now_ms)?;
        let mut people = frame.access.deciders(&conversation.chat, Class::Publish);
        people.retain(|user| *user != person.user);
        return Ok(Performed::told(Told::OnlyThese { names: frame.names(tx, &people, &turn)? }));
    }
    if turn.stop.is_some() || turn.state.is_settled() || !gate.needs_network {
        return Ok(Performed::told(no_longer(&gate, frame.now_ms).unwrap_or(Told::NoLongerValid)));
    }
    let performed = decide(tx, frame, &gate.id, person, |_| Some(Decision::Network))?;
    if performed.told == Told::Recorded {
        turns::grant_network(tx, &turn.id, &person.user)?;
        let wish = Stop { reason: StopReason::Network, by: Some(person.name.clone()), at_ms: frame.now_ms };
        turns::request_stop(tx, &turn.id, &wish)?;
    }
    Ok(performed)
}

/// Whether a task may reach the network: somebody let it who may do so.
pub(super) fn has_network(access: &Access, conversation: &Conversation, turn: &Turn) -> bool {
    turn.network_by.as_ref().is_some_and(|by| {
        let role = access.role(by, None, Some(&conversation.chat), conversation.chat_kind);
        may(role, Act::GrantNetwork)
    })
}

/// Allows a request, and the like of it for a while.
fn allow_for(
    tx: &Transaction<'_>,
    frame: &Frame,
    gate: &GateId,
    person: &Person,
    span: Span,
) -> Result<Performed, LedgerError> {
    let gate = gates::get(tx, gate)?;
    let turn = turns::get(tx, &gate.turn)?;
    let conversation = conversations::get(tx, &gate.conversation)?;
    let own = person.user == turn.requester;
    let act = Act::MakeRule { class: gate.class, own, standing: span == Span::Always };
    let covers = Covers::of(&gate.ask, &gate.judged());
    let (true, Some(covers)) = (may(person.role, act), covers) else {
        audit::note(tx, person.user.as_str(), "rule refused", gate.id.as_str(), span.as_str(), frame.now_ms)?;
        let names = frame.names(tx, &frame.access.deciders(&conversation.chat, gate.class), &turn)?;
        return Ok(Performed::told(Told::OnlyThese { names }));
    };
    let performed = decide(tx, frame, &gate.id, person, |_| Some(Decision::Allow))?;
    if performed.told != Told::Recorded {
        return Ok(performed);
    }
    let new = NewRule {
        channel: conversation.channel.clone(),
        chat: conversation.chat.clone(),
        turn: (span == Span::Task).then(|| turn.id.clone()),
        span,
        covers,
        made_by: person.user.clone(),
        made_name: person.name.clone(),
        expires_at_ms: span.ms().map(|ms| frame.now_ms + ms),
    };
    let number = rules::make(tx, &new, frame.now_ms)?;
    gates::set_rule(tx, &gate.id, number, false)?;
    let (place, subject) = ((&conversation.channel, &conversation.chat), format!("R{number}"));
    audit::note_in(tx, place, person.user.as_str(), "rule made", &subject, span.as_str(), frame.now_ms)?;
    pictures::gate(tx, frame, &gates::get(tx, &gate.id)?)?;
    Ok(performed)
}

/// Decides exactly those requests that a card listed, as far as the person may. What came since is not touched.
fn decide_all(
    tx: &Transaction<'_>,
    frame: &Frame,
    listed: &[GateId],
    person: &Person,
    decision: &Decision,
) -> Result<Performed, LedgerError> {
    let mut result = Performed::told(Told::NoLongerValid);
    let mut decided = 0;
    let mut refused: Option<Told> = None;
    for gate in listed {
        let one = decide(tx, frame, gate, person, |_| Some(decision.clone()))?;
        if one.told == Told::Recorded {
            decided += 1;
            result.wake.extend(one.wake.into_iter().filter(|id| !result.wake.contains(id)).collect::<Vec<_>>());
        } else if refused.is_none() || matches!(one.told, Told::OnlyThese { .. }) {
            // That somebody else has to decide one says more than that one is decided.
            refused = Some(one.told);
        }
    }
    result.told = match (decided, refused) {
        (0, Some(why)) => why,
        (0, None) => Told::NoLongerValid,
        (_, Some(Told::OnlyThese { names })) => Told::Partly { n: decided, names },
        _ if newer_open(tx, listed)? => Told::ListChanged { n: decided },
        _ => Told::Recorded,
    };
    Ok(result)
}

/// Whether the card lists open requests that were not on it when the button was drawn.
fn newer_open(tx: &Transaction<'_>, listed: &[GateId]) -> Result<bool, LedgerError> {
    let Some(last) = listed.last() else { return Ok(false) };
    let last = gates::get(tx, last)?;
    let rows = gates::of_card(tx, &last.card)?;
    Ok(rows.iter().any(|row| row.state == GateState::Open && row.number > last.number && !listed.contains(&row.id)))
}

fn decision_word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Decline { .. } => "decline",
        Decision::StopTurn => "stop",
        Decision::Network => "network",
        Decision::Answers { .. } => "answer",
    }
}

// ------------------------------------------------------------------------------------------------ rules

/// Ends a rule of a chat: the next request of its kind is asked about again.
pub fn revoke_rule(
    tx: &Transaction<'_>,
    frame: &Frame,
    number: i64,
    chat: &ChatId,
    person: &Person,
) -> Result<Performed, LedgerError> {
    let subject = format!("R{number}");
    if !may(person.role, Act::SeeRules) {
        let (place, who) = ((&frame.channel, chat), person.user.as_str());
        audit::note_in(tx, place, who, "revoke refused", &subject, "not a decider", frame.now_ms)?;
        return Ok(Performed::told(Told::OnlyThese { names: rights::owner_name(tx, frame)? }));
    }
    let here = rules::get(tx, number)?.filter(|rule| rule.channel == frame.channel && rule.chat == *chat);
    let in_force = here.is_some_and(|rule| rule.expires_at_ms.is_none_or(|at| at > frame.now_ms));
    if !in_force || !rules::end(tx, number, person.user.as_str(), frame.now_ms)? {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    audit::note_in(tx, (&frame.channel, chat), person.user.as_str(), "rule revoked", &subject, "", frame.now_ms)?;
    Ok(Performed::told(Told::RuleRevoked))
}

// ------------------------------------------------------------------------------------------------ turns

/// Everybody who may talk may stop: it is the safe direction.
pub fn stop(tx: &Transaction<'_>, frame: &Frame, turn: &TurnId, person: &Person) -> Result<Performed, LedgerError> {
    if !person.role.may_talk() {
        return Ok(Performed::told(Told::OnlyThese { names: String::new() }));
    }
    let turn = turns::get(tx, turn)?;
    match turn.state {
        TurnState::Settled(_) => Ok(Performed::told(Told::NoLongerValid)),
        TurnState::Queued => cancel_turn(tx, frame, &turn, &person.name, Receipt::Failed),
        _ => {
            let wish = Stop { reason: StopReason::Person, by: Some(person.name.clone()), at_ms: frame.now_ms };
            turns::request_stop(tx, &turn.id, &wish)?;
            audit::note(tx, person.user.as_str(), "stop", turn.id.as_str(), "", frame.now_ms)?;
            Ok(Performed::waking(Told::Stopping, &turn.conversation))
        }
    }
}

/// One's own queued turn, or anybody's for a decider.
pub fn cancel(tx: &Transaction<'_>, frame: &Frame, turn: &TurnId, person: &Person) -> Result<Performed, LedgerError> {
    let turn = turns::get(tx, turn)?;
    if !may(person.role, Act::Requeue { own: turn.requester == person.user }) {
        return not_theirs(tx, frame, person, turn.id.as_str(), turn.requester_name);
    }
    if turn.state != TurnState::Queued {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    cancel_turn(tx, frame, &turn, &person.name, Receipt::Failed)
}

/// Somebody else's: he is told whose, and that he tried is kept.
fn not_theirs(
    tx: &Transaction<'_>,
    frame: &Frame,
    person: &Person,
    subject: &str,
    names: String,
) -> Result<Performed, LedgerError> {
    audit::note(tx, person.user.as_str(), "action refused", subject, "not theirs", frame.now_ms)?;
    Ok(Performed::told(Told::OnlyThese { names }))
}

fn cancel_turn(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &Turn,
    by: &str,
    receipt: Receipt,
) -> Result<Performed, LedgerError> {
    turns::settle(tx, turn, Outcome::Cancelled, &Settlement::default(), frame.now_ms)?;
    // It may have been with a runtime that died, and come back.
    settle::loose_ends(tx, frame, turn, settle::unwanted(turn))?;
    close_question(tx, frame, turn, by)?;
    pictures::near_miss_over(tx, frame, turn)?;
    audit::note(tx, by, "cancelled", turn.id.as_str(), "", frame.now_ms)?;
    receipts(tx, frame, turn, receipt)?;
    compaction::over(tx, frame, turn, false)?;
    pictures::queue(tx, frame, &turn.conversation)?;
    Ok(Performed::waking(Told::Cancelled, &turn.conversation))
}

/// A queued turn of somebody who may not talk here any more.
pub(super) fn not_allowed_any_more(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
) -> Result<(), LedgerError> {
    cancel_turn(tx, frame, turn, "ally", Receipt::Failed)?;
    let (target, lang) = (pictures::target_of(conversation, turn), conversation.lang);
    let (id, text) = (Some(&conversation.id), say::notice(lang, NoticeMsg::NotAllowedAnyMore));
    notice(tx, &conversation.channel, target, id, None, text, lang, frame.now_ms)
}

/// Sets the receipt of every message of a turn.
pub fn receipts(tx: &Transaction<'_>, frame: &Frame, turn: &Turn, receipt: Receipt) -> Result<(), LedgerError> {
    for row in inbound::of_turn(tx, &turn.id)? {
        if let (Some(chat), Some(message)) = (&row.chat, &row.message) {
            surfaces::want_receipt(tx, &row.channel, chat, message, receipt, frame.now_ms)?;
        }
    }
    Ok(())
}

/// Puts a queued turn's words into the running one. The queued row ends as cancelled, naming the turn that it went into;
/// should the words not be taken, they come back as a queued turn.
fn steer_queued(tx: &Transaction<'_>, frame: &Frame, turn: &TurnId, person: &Person) -> Result<Performed, LedgerError> {
    let turn = turns::get(tx, turn)?;
    if !may(person.role, Act::Requeue { own: turn.requester == person.user }) {
        return not_theirs(tx, frame, person, turn.id.as_str(), turn.requester_name);
    }
    if turn.state != TurnState::Queued {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    if settings::is_locked(tx)? {
        return lock::refuse(tx, person, turn.id.as_str(), frame.now_ms);
    }
    let prompt = prompts::thaw(&turn.prompt);
    let running = turns::active(tx, &turn.conversation)?.filter(|running| running.stop.is_none());
    let conversation = conversations::get(tx, &turn.conversation)?;
    let role = frame.access.role(&turn.requester, None, Some(&conversation.chat), conversation.chat_kind);
    let running = running.filter(|running| may_steer(running, role));
    let mut rows = inbound::of_turn(tx, &turn.id)?;
    let carrier = rows.iter().position(|row| row.message.is_some() && row.message == turn.reply_to);
    // A steer holds words only: what has pictures stays a turn, and so does what wants a plan.
    let (Some(running), Some(carrier), true) = (running, carrier, prompt.is_only_words()) else {
        return Ok(Performed::told(Told::Queued));
    };
    // It has its place in the queue already: nothing is refused.
    if inbound::count_steers(tx, &running.id)? >= STEERS {
        return Ok(Performed::told(Told::Queued));
    }
    let merged = Settlement { merged_into: Some(running.id.clone()), ..Settlement::default() };
    turns::settle(tx, &turn, Outcome::Cancelled, &merged, frame.now_ms)?;
    settle::loose_ends(tx, frame, &turn, LiveState::Merged)?;
    close_question(tx, frame, &turn, &person.name)?;
    // The words are one steer, whatever came along with them. Should they come back, it is to the one who wrote them.
    let words = rows.remove(carrier);
    inbound::set_steer(tx, words.seq, &running.id, "wanted", Some(&prompt.text))?;
    for companion in rows {
        inbound::set_steer(tx, companion.seq, &running.id, "taken", None)?;
    }
    pictures::queue(tx, frame, &turn.conversation)?;
    Ok(Performed::waking(Told::Steering, &turn.conversation))
}

/// Words of somebody with fewer rights than a running turn has do not go into it: they become a turn of their own. A
/// compaction hears no words at all.
pub fn may_steer(turn: &Turn, role: Role) -> bool {
    let takes_words = prompts::compaction(&turn.prompt).is_none();
    let has_rights = turn.level.is_none_or(|level| role.cap() >= level);
    takes_words && has_rights && (turn.network_by.is_none() || may(role, Act::GrantNetwork))
}

fn keep_waiting(tx: &Transaction<'_>, frame: &Frame, turn: &TurnId, person: &Person) -> Result<Performed, LedgerError> {
    if !person.role.may_talk() {
        return Ok(Performed::told(Told::OnlyThese { names: String::new() }));
    }
    let turn = turns::get(tx, turn)?;
    if turn.state.is_settled() {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    said::set_meta(tx, &format!("patience:{}", turn.id), &frame.now_ms.to_string())?;
    Ok(Performed::waking(Told::KeepWaiting, &turn.conversation))
}

// ------------------------------------------------------------------------------------------------ interrupted turns

/// *Continue*, *Run again*, *Start fresh*, *Dismiss*: chosen once, by whoever may talk here.
pub fn resume(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &TurnId,
    how: Resume,
    person: &Person,
) -> Result<Performed, LedgerError> {
    let turn = turns::get(tx, turn)?;
    if !may(person.role, Act::Requeue { own: turn.requester == person.user }) {
        return not_theirs(tx, frame, person, turn.id.as_str(), turn.requester_name);
    }
    // Its words may be forgotten.
    let is_known = how == Resume::Dismiss || !turn.prompt.is_empty();
    if !matches!(turn.state, TurnState::Settled(Outcome::Lost | Outcome::Interrupted | Outcome::Failed)) || !is_known {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    if how != Resume::Dismiss && settings::is_locked(tx)? {
        return lock::refuse(tx, person, turn.id.as_str(), frame.now_ms);
    }
    if !said::first_time(tx, &resumed_key(&turn.id), frame.now_ms)? {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    let conversation = conversations::get(tx, &turn.conversation)?;
    if how == Resume::StartFresh {
        conversations::set_thread(tx, &conversation.id, None, None)?;
    }
    if conversations::held_for(tx, &conversation)?
        .is_some_and(|held| held.turn.as_ref() == Some(&turn.id) || held.why == HeldWhy::HistoryGone)
    {
        conversations::release(tx, &conversation.id)?;
    }
    let told = match how {
        Resume::Dismiss => Told::Dismissed,
        Resume::Continue | Resume::RunAgain | Resume::StartFresh => {
            let prompt = match how {
                Resume::Continue if back_on_its_thread(tx, &conversation, &turn)? => prompts::continuing(&turn.prompt),
                Resume::Continue => prompts::begun_elsewhere(&turn.prompt),
                _ => turn.prompt.clone(),
            };
            again(tx, frame, &turn, prompt, how == Resume::Continue, (&person.user, &person.name))?;
            Told::Queued
        }
        Resume::Compact => {
            compaction::first(tx, frame, &turn, person)?;
            Told::Queued
        }
    };
    audit::note(tx, person.user.as_str(), "resume", turn.id.as_str(), &format!("{how:?}"), frame.now_ms)?;
    let role = match how {
        Resume::Continue => ButtonRole::Continue,
        Resume::RunAgain => ButtonRole::RunAgain,
        Resume::StartFresh => ButtonRole::StartFresh,
        Resume::Compact => ButtonRole::Compact,
        Resume::Dismiss => ButtonRole::Dismiss,
    };
    pictures::chosen(tx, frame, &turn, &role, &person.name)?;
    if conversations::get(tx, &turn.conversation)?.held.is_none() {
        pictures::held_no_longer(tx, frame, &turn.conversation, &role, &person.name)?;
    }
    pictures::queue(tx, frame, &turn.conversation)?;
    Ok(Performed::waking(told, &turn.conversation))
}

/// Brings the conversation back to the thread of a turn that is continued. False where it went on with another one, and
/// that is in use or this one is another's now.
fn back_on_its_thread(tx: &Transaction<'_>, conversation: &Conversation, turn: &Turn) -> Result<bool, LedgerError> {
    let Some(thread) = &turn.thread else { return Ok(false) };
    if conversation.thread.as_ref() == Some(thread) {
        return Ok(true);
    }
    let Some(known) = ledger_threads::get(tx, &conversation.channel, &conversation.chat, thread)? else {
        return Ok(false);
    };
    let is_wanted = |of: &Option<ThreadId>| of.as_ref() == Some(thread);
    let is_used = !turns::unsettled(tx, &conversation.id)?.is_empty()
        || turns::all_active(tx)?.iter().any(|active| is_wanted(&active.thread))
        || !conversations::on_thread(tx, &conversation.channel, &conversation.chat, thread)?.is_empty();
    if !is_used {
        conversations::bring_to(tx, &conversation.id, &known)?;
    }
    Ok(!is_used)
}

/// Said once the way on from a turn is chosen.
pub(super) fn resumed_key(turn: &TurnId) -> String {
    format!("resumed:{turn}")
}

/// A turn made of a former one, in its place in the queue.
pub(super) fn again(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &Turn,
    prompt: String,
    continues: bool,
    (user, name): (&UserId, &str),
) -> Result<(), LedgerError> {
    let new = NewTurn {
        conversation: turn.conversation.clone(),
        ord: Some(turn.ord),
        requester: user.clone(),
        requester_name: name.to_owned(),
        title: turn.title.clone(),
        reply_to: turn.reply_to.clone(),
        prompt,
        continues: continues.then(|| turn.id.clone()),
        // What was asked for was asked for there.
        directory: Some(turn.directory.clone()),
        // It is the same task.
        network_by: turn.network_by.clone().filter(|_| continues),
        not_before_ms: 0,
    };
    let fresh = turns::insert(tx, &new, frame.now_ms)?;
    routines::goes_on(tx, &turn.id, &fresh)?;
    // The messages now belong to the new turn: their receipts follow it. What was put into the former one while it ran is
    // not in this prompt.
    for row in inbound::of_turn(tx, &turn.id)?.into_iter().filter(|row| row.message.is_some()) {
        if row.steer.is_none() || row.message == turn.reply_to {
            inbound::resolve(tx, row.seq, InboundState::Turn, None, Some(&fresh))?;
        }
    }
    receipts(tx, frame, &turns::get(tx, &fresh)?, Receipt::Accepted)
}

// ------------------------------------------------------------------------------------------------ conversations

fn reopen(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &ConversationId,
    how: Reopen,
    person: &Person,
) -> Result<Performed, LedgerError> {
    if !person.role.may_talk() {
        return Ok(Performed::told(Told::OnlyThese { names: String::new() }));
    }
    let conversation = conversations::get(tx, conversation)?;
    if conversations::held_for(tx, &conversation)?.is_none_or(|held| held.why == HeldWhy::Lost) {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    let role = match how {
        Reopen::TryAgain => ButtonRole::TryAgain,
        Reopen::StartFresh => {
            conversations::set_thread(tx, &conversation.id, None, None)?;
            ButtonRole::StartFresh
        }
        Reopen::Fork => {
            conversations::set_fork_wanted(tx, &conversation.id, true)?;
            ButtonRole::Fork
        }
    };
    conversations::release(tx, &conversation.id)?;
    pictures::held_no_longer(tx, frame, &conversation.id, &role, &person.name)?;
    audit::note(tx, person.user.as_str(), "reopen", conversation.id.as_str(), &format!("{how:?}"), frame.now_ms)?;
    Ok(Performed::waking(Told::Queued, &conversation.id))
}

/// A queued turn that is taken back because its message was recalled.
pub fn recall_queued(tx: &Transaction<'_>, frame: &Frame, turn: &Turn) -> Result<(), LedgerError> {
    debug_assert!(crate::domain::turn::transition(turn.state, TurnEvent::Settle(Outcome::Cancelled)).is_ok());
    turns::settle(tx, turn, Outcome::Cancelled, &Settlement::default(), frame.now_ms)?;
    settle::loose_ends(tx, frame, turn, settle::unwanted(turn))?;
    close_question(tx, frame, turn, &turn.requester_name)?;
    pictures::queue(tx, frame, &turn.conversation)
}
