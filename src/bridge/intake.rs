//! W1: the three-second path. A pure check against the rights in memory, one commit, then the platform may be told.
//!
//! Nothing in here waits for the network or for another lock. What is refused leaves its dedupe key, the time and the
//! reason, and nothing else.

use std::sync::Arc;

use tracing::{info, warn};

use super::actions::{Performed, Person, Told, perform};
use super::core::Core;
use super::pictures::Frame;
use super::ports::*;
use super::{greeting, say};
use crate::crash;
use crate::domain::access::{Heard, heard};
use crate::domain::action::Action;
use crate::domain::delivery::{Body, Target};
use crate::domain::ids::*;
use crate::domain::message::*;
use crate::domain::view::Lang;
use crate::ledger::grants::Pairing;
use crate::ledger::inbound::{Admission, InboundState, NewInbound};
use crate::ledger::messages::NewMessage;
use crate::ledger::{LedgerError, Transaction, audit, buttons, chats, grants, inbound, messages, said};
use crate::metrics;

/// The bridge's side of the channels' port.
pub struct BridgeIntake {
    core: Arc<Core>,
}

impl BridgeIntake {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

fn counted(channel: &ChannelName, accepted: Result<Accepted, NotStored>) -> Result<Accepted, NotStored> {
    metrics::event(channel.as_str(), accepted.is_ok());
    accepted
}

impl Intake for BridgeIntake {
    fn accept(
        &self,
        channel: &ChannelName,
        raw: String,
        decoded: Decoded,
    ) -> Boxed<'static, Result<Accepted, NotStored>> {
        let core = Arc::clone(&self.core);
        let accepted = match decoded.event {
            Event::Ignored { .. } => return Box::pin(async { Ok(Accepted::Stored) }),
            Event::Click(click) => {
                let (accepted, name) = (accept_click(core, channel, decoded.dedupe_key, click), channel.clone());
                return Box::pin(async move { counted(&name, accepted.await) });
            }
            Event::Message(message) => accept_message(core, channel, raw, decoded.dedupe_key, &message),
            event => accept_other(core, channel, raw, decoded.dedupe_key, &event),
        };
        let (core, channel) = (Arc::clone(&self.core), channel.clone());
        Box::pin(async move {
            counted(&channel, accepted.await).inspect_err(|_| super::backfill::not_taken(&core, &channel))
        })
    }

    fn bot_known(&self, channel: &ChannelName, bot: BotIdentity) {
        info!(channel = %channel, "The bot's identity is known");
        self.core.set_bot(channel, bot);
        // What was admitted before can be judged now.
        self.core.wakes.intake.notify_one();
        self.core.wakes.backfill.notify_one();
        let (core, channel) = (Arc::clone(&self.core), channel.clone());
        self.core.tasks.spawn("names", crate::tasks::OnExit::Ignore, move |_| async move {
            core.learn_names(&channel).await;
            Ok(())
        });
    }

    fn hears(&self, channel: &ChannelName, silent_ms: Option<i64>) {
        super::backfill::hears(&self.core, channel, silent_ms);
    }

    fn anomaly(&self, channel: &ChannelName, what: &'static str) {
        warn!(channel = %channel, anomaly = what, "Survived an anomaly: {what}");
    }
}

// ------------------------------------------------------------------------------------------------ messages

/// What W1 decides about a message, from memory only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Admit,
    Refuse(&'static str),
    /// Unknown person: refused, told once a day, and perhaps somebody who holds a pairing code.
    Stranger {
        may_pair: bool,
    },
}

pub(super) fn judge(core: &Core, channel: &ChannelName, message: &IncomingMessage) -> Verdict {
    if !message.sender.is_person {
        return Verdict::Refuse("not a person");
    }
    let bot_known = core.bot(channel).is_some();
    let access = core.access(channel);
    let role =
        access.role(&message.sender.user, message.sender.tenant.as_deref(), Some(&message.chat), message.chat_kind);
    // As long as the bot is not known nobody can tell whether it is mentioned.
    match heard(role, message.chat_kind, message.mentions_bot || !bot_known) {
        Heard::NotAddressed => Verdict::Refuse("not addressed"),
        Heard::Outsider => Verdict::Refuse("other company"),
        Heard::Stranger if message.chat_kind == ChatKind::Group && !bot_known => Verdict::Refuse("stranger"),
        Heard::Stranger => {
            Verdict::Stranger { may_pair: access.owner.is_none() && message.chat_kind == ChatKind::Direct }
        }
        Heard::Taken => Verdict::Admit,
    }
}

fn accept_message(
    core: Arc<Core>,
    channel: &ChannelName,
    raw: String,
    dedupe_key: String,
    message: &IncomingMessage,
) -> Boxed<'static, Result<Accepted, NotStored>> {
    let verdict = judge(&core, channel, message);
    let now = core.now_ms();
    let mut row = row_of(channel, raw, dedupe_key, message, now);
    let mut stranger = None;
    match verdict {
        Verdict::Admit => {}
        Verdict::Refuse(reason) => forget(&mut row, reason),
        Verdict::Stranger { may_pair } => {
            forget(&mut row, "stranger");
            stranger = Some(Stranger::of(&core, channel, message, may_pair, now));
        }
    }
    let admitted = verdict == Verdict::Admit;
    if crash::has_fault("no dedupe") {
        row.dedupe_key = DeliveryId::fresh().to_string();
    }
    if admitted {
        crash::point("w1.before");
    }
    let known = admitted.then(|| (channel.clone(), message.chat.clone(), message.chat_kind, message.sent_at_ms));
    let pending = core.ledger.write_first(move |tx| {
        if crash::has_fault("ack before commit") {
            // So that the ack is out before it.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let admission = inbound::admit(tx, &row)?;
        if let Some((channel, chat, kind, since_ms)) = known {
            chats::note(tx, &channel, &chat, kind, since_ms)?;
        }
        match (&admission, stranger) {
            (Admission::New(_), Some(stranger)) => stranger.answer(tx),
            _ => Ok(false),
        }
    });
    Box::pin(async move {
        let told = |error| NotStored { may_be_told: admitted, ..not_stored(error) };
        let claimed = pending.await.map_err(told)?;
        if claimed {
            core.refresh_access().await.map_err(told)?;
        }
        if admitted {
            crash::point("w1.after");
            core.wakes.intake.notify_one();
        } else {
            core.wakes.outbox.notify_one();
        }
        Ok(Accepted::Stored)
    })
}

/// The row of an admitted message.
pub(super) fn row_of(
    channel: &ChannelName,
    raw: String,
    dedupe_key: String,
    message: &IncomingMessage,
    now_ms: i64,
) -> NewInbound {
    NewInbound {
        channel: channel.clone(),
        dedupe_key,
        kind: "message",
        state: InboundState::Received,
        reason: None,
        chat: Some(message.chat.clone()),
        chat_kind: Some(message.chat_kind.as_str()),
        message: Some(message.message.clone()),
        sender: Some(message.sender.user.clone()),
        raw: Some(raw),
        sent_at_ms: Some(message.sent_at_ms),
        received_at_ms: now_ms,
    }
}

fn forget(row: &mut NewInbound, reason: &'static str) {
    row.state = InboundState::Refused;
    row.reason = Some(reason);
    (row.chat, row.chat_kind, row.message, row.sender, row.raw, row.sent_at_ms) = (None, None, None, None, None, None);
}

/// Somebody unknown: a pairing code, or the one sentence that says whom to ask.
struct Stranger {
    channel: ChannelName,
    target: Target,
    user: UserId,
    code_hash: Option<String>,
    group: bool,
    day: i64,
    lang: Lang,
    owner: Option<UserId>,
    /// Where ally works, as people call it.
    directory: String,
    now_ms: i64,
}

impl Stranger {
    fn of(core: &Core, channel: &ChannelName, message: &IncomingMessage, may_pair: bool, now_ms: i64) -> Self {
        let text = message.text();
        Self {
            channel: channel.clone(),
            target: Target { chat: message.chat.clone(), reply_to: Some(message.message.clone()), in_topic: false },
            user: message.sender.user.clone(),
            code_hash: (may_pair && super::pairing::looks_like_code(&text)).then(|| super::pairing::hash(&text)),
            group: message.chat_kind == ChatKind::Group,
            day: now_ms / 86_400_000,
            lang: core.config.lang,
            owner: core.access(channel).owner.clone(),
            directory: greeting::directory(core),
            now_ms,
        }
    }

    /// True when the stranger became the owner.
    fn answer(self, tx: &Transaction<'_>) -> Result<bool, LedgerError> {
        if let Some(code) = &self.code_hash {
            let pairing = grants::try_pairing(tx, &self.channel, code, &self.user, self.now_ms)?;
            let (outcome, text) = match pairing {
                Pairing::Claimed => ("claimed", say::paired(self.lang, &self.directory)),
                Pairing::Wrong { tries_left } => ("wrong code", say::pairing_wrong(self.lang, tries_left)),
                Pairing::Closed => ("", String::new()),
            };
            if pairing != Pairing::Closed {
                audit::note(tx, self.user.as_str(), "pairing", self.channel.as_str(), outcome, self.now_ms)?;
                let told = self.say(tx, text)?;
                if pairing == Pairing::Claimed {
                    // No other greeting follows.
                    greeting::note(tx, &self.channel, &self.user, &told)?;
                }
                return Ok(pairing == Pairing::Claimed);
            }
        }
        // Once a chat and day, so that nobody can make the bot talk.
        if said::first_time(tx, &format!("stranger:{}:{}:{}", self.channel, self.target.chat, self.day), self.now_ms)? {
            let owner = match &self.owner {
                Some(owner) => {
                    said::name_of(tx, &self.channel, owner)?.map_or_else(|| owner.to_string(), |(name, _)| name)
                }
                None => String::new(),
            };
            self.say(tx, say::stranger(self.lang, &owner, self.group))?;
        }
        Ok(false)
    }

    fn say(&self, tx: &Transaction<'_>, text: String) -> Result<DeliveryId, LedgerError> {
        delivery(tx, &self.channel, self.target.clone(), None, None, text, self.lang, self.now_ms)
    }
}

/// Whether it is the first time in an hour or two that this is to be told: what goes on over the full hour is told once.
pub(super) fn first_in_hours(tx: &Transaction<'_>, key: &str, now_ms: i64) -> Result<bool, LedgerError> {
    let hour = now_ms / 3_600_000;
    Ok(!said::was_said(tx, &format!("{key}:{}", hour - 1))? && said::first_time(tx, &format!("{key}:{hour}"), now_ms)?)
}

/// Queues a plain sentence of ally's own.
#[expect(clippy::too_many_arguments, reason = "one row, one call")]
pub(super) fn notice(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    target: Target,
    conversation: Option<&ConversationId>,
    turn: Option<&TurnId>,
    text: String,
    lang: Lang,
    now_ms: i64,
) -> Result<(), LedgerError> {
    delivery(tx, channel, target, conversation, turn, text, lang, now_ms).map(drop)
}

/// The same, for whoever wants to know what becomes of it.
#[expect(clippy::too_many_arguments, reason = "one row, one call")]
fn delivery(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    target: Target,
    conversation: Option<&ConversationId>,
    turn: Option<&TurnId>,
    text: String,
    lang: Lang,
    now_ms: i64,
) -> Result<DeliveryId, LedgerError> {
    let new = NewMessage {
        conversation: conversation.cloned(),
        turn: turn.cloned(),
        channel: channel.clone(),
        target,
        body: Body::Notice { text },
        lang,
        after: None,
        sending: None,
    };
    messages::insert(tx, &new, now_ms)
}

// ------------------------------------------------------------------------------------------------ clicks

/// A click's W1 and W5 are one transaction before the ack; the toast is its result. Its content is not kept: it may hold
/// a secret, and clicks are never delivered again.
fn accept_click(
    core: Arc<Core>,
    channel: &ChannelName,
    dedupe_key: String,
    click: Click,
) -> Boxed<'static, Result<Accepted, NotStored>> {
    let now = core.now_ms();
    let row = NewInbound {
        channel: channel.clone(),
        dedupe_key,
        kind: "click",
        state: InboundState::Decision,
        reason: None,
        chat: click.chat.clone(),
        chat_kind: None,
        message: click.card.clone(),
        sender: Some(click.user.clone()),
        raw: None,
        sent_at_ms: None,
        received_at_ms: now,
    };
    let (frame, secrets) = (core.frame(channel), Arc::clone(&core));
    let addressed = core.channel(channel).and_then(|channel| channel.chat_with(&click.user));
    crash::point("w5.before");
    let pending = core.ledger.write_first(move |tx| {
        if crash::has_fault("toast before commit") {
            // So that the toast is out before it.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        if inbound::admit(tx, &row)? == Admission::Duplicate {
            return Ok(None);
        }
        let mut performed = click_in_ledger(tx, &frame, &click, addressed.as_ref())?;
        // Before anybody can be woken by the decision: without it the runtime would be told nothing.
        if let Some((gate, decision)) = performed.secret.take() {
            secrets.keep_secret(&gate, decision);
        }
        Ok(Some(performed))
    });
    Box::pin(async move {
        let Some(performed) = pending.await.map_err(not_stored)? else {
            return Ok(Accepted::Answer(say::toast(&Told::NoLongerValid, core.now_ms())));
        };
        crash::point("w5.after");
        let toast = say::toast(&performed.told, core.now_ms());
        after(&core, performed);
        Ok(Accepted::Answer(toast))
    })
}

/// `addressed` is the name by which cards reach this person whose chat was not known when they were drawn.
fn click_in_ledger(
    tx: &Transaction<'_>,
    frame: &Frame,
    click: &Click,
    addressed: Option<&ChatId>,
) -> Result<Performed, LedgerError> {
    let unknown =
        Performed { told: Told::Unknown, wake: Vec::new(), secret: None, rerun_intake: false, routines: false };
    let refused_about = |subject: &str, why: &str| match &click.chat {
        Some(chat) => {
            let place = (&frame.channel, chat);
            audit::note_in(tx, place, click.user.as_str(), "click refused", subject, why, frame.now_ms)
        }
        None => audit::note(tx, click.user.as_str(), "click refused", subject, why, frame.now_ms),
    };
    let refused = |why: &str| refused_about("", why);
    let Some(button) = click.button.as_ref().map(|id| buttons::get(tx, id)).transpose()?.flatten() else {
        refused("not a button of ours")?;
        return Ok(unknown);
    };
    // Bound to the chat it was drawn for, or, of a check-up, to the person that it was sent to, whose chat was not known. A
    // platform that names no chat cannot be checked and is not trusted.
    let is_theirs = matches!(button.action, Action::CheckUp { .. }) && addressed == Some(&button.chat);
    let is_here = click.chat.as_ref().is_some_and(|chat| *chat == button.chat || is_theirs);
    if button.channel != frame.channel || !is_here {
        refused("drawn for another chat")?;
        return Ok(unknown);
    }
    let subject = button.action.subject().unwrap_or_default();
    if button.used_by.is_some() && !button.action.may_repeat() {
        refused_about(subject, "used before")?;
        return Ok(Performed { told: Told::NoLongerValid, ..unknown });
    }
    let kind = chat_kind_of(tx, &button.channel, &button.chat)?;
    // By the rights of now: what was just taken away may not be in memory yet.
    let frame = &Frame { access: Arc::new(super::rights::in_force(tx, frame)?), ..frame.clone() };
    let person = Person {
        user: click.user.clone(),
        name: said::name_of(tx, &frame.channel, &click.user)?.map_or_else(|| click.user.to_string(), |(name, _)| name),
        role: frame.access.role(&click.user, click.tenant.as_deref(), Some(&button.chat), kind),
    };
    let performed = perform(tx, frame, &button.action, &person, &click.form)?;
    // Who may not is kept where that is found out.
    match &performed.told {
        Told::AlreadyDecided { .. } => refused_about(subject, "used before")?,
        Told::NoLongerValid | Told::NothingRunning => refused_about(subject, "over")?,
        Told::RestartedSince => refused_about(subject, "of a former process")?,
        _ => {}
    }
    if !performed.wake.is_empty() || performed.rerun_intake {
        buttons::consume(tx, &button.id, person.user.as_str(), frame.now_ms)?;
    }
    Ok(performed)
}

fn chat_kind_of(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId) -> Result<ChatKind, LedgerError> {
    Ok(crate::ledger::conversations::kind_of_chat(tx, channel, chat)?.unwrap_or(ChatKind::Group))
}

/// What follows a committed action.
pub(super) fn after(core: &Arc<Core>, performed: Performed) {
    if let Some((gate, decision)) = performed.secret {
        core.keep_secret(&gate, decision);
    }
    for conversation in performed.wake {
        super::conversation::wake(core, &conversation);
    }
    if performed.rerun_intake {
        core.wakes.intake.notify_one();
    }
    if performed.routines {
        core.wakes.routines.notify_one();
    }
    core.wakes.painter.notify_one();
    core.wakes.outbox.notify_one();
}

// ------------------------------------------------------------------------------------------------ the rest

fn accept_other(
    core: Arc<Core>,
    channel: &ChannelName,
    raw: String,
    dedupe_key: String,
    event: &Event,
) -> Boxed<'static, Result<Accepted, NotStored>> {
    let row = row_of_other(channel, raw, dedupe_key, event, core.now_ms());
    let pending = core.ledger.write_first(move |tx| inbound::admit(tx, &row));
    Box::pin(async move {
        pending.await.map_err(not_stored)?;
        core.wakes.intake.notify_one();
        Ok(Accepted::Stored)
    })
}

/// The row of what is neither a message nor a click.
pub(super) fn row_of_other(
    channel: &ChannelName,
    raw: String,
    dedupe_key: String,
    event: &Event,
    now_ms: i64,
) -> NewInbound {
    let (kind, chat, message) = match event {
        Event::Reaction(reaction) => ("reaction", None, Some(reaction.message.clone())),
        Event::Recall(recall) => ("recall", recall.chat.clone(), Some(recall.message.clone())),
        Event::Membership(membership) => ("membership", Some(membership.chat.clone()), None),
        Event::Message(_) | Event::Click(_) | Event::Ignored { .. } => ("other", None, None),
    };
    // Nothing is done with reactions yet: they are recognised, so that a later ally does not meet them twice.
    let state = if kind == "reaction" { InboundState::Refused } else { InboundState::Received };
    NewInbound {
        channel: channel.clone(),
        dedupe_key,
        kind,
        state,
        reason: None,
        chat,
        chat_kind: None,
        message,
        sender: None,
        raw: (state == InboundState::Received).then_some(raw),
        sent_at_ms: None,
        received_at_ms: now_ms,
    }
}

fn not_stored(error: LedgerError) -> NotStored {
    NotStored { reason: error.to_string(), may_be_told: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, LedgerLock, Places};

    #[tokio::test]
    async fn what_goes_on_over_the_full_hour_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        let ledger = Ledger::open(&places, &lock).unwrap();
        let minute = |n: i64| n * 60_000;
        let told = ledger.write(move |tx| {
            [59, 60, 119, 120, 121, 300].into_iter().map(|at| first_in_hours(tx, "late", minute(at))).collect()
        });
        let told: Vec<bool> = told.await.unwrap();
        assert_eq!(told, [true, false, false, true, false, true]);
    }
}
