//! W1b: off the three-second path and repeated by a restart. What a committed message means: a command, a decision, a
//! steer, a question back to its sender, or a turn.
//!
//! Messages of one chat are looked at one after the other, in commit order (but see `overtake`); chats side by side.
//! Everything that needs the network (names, quotes, attachments) happens before the one transaction that makes the
//! result.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::actions::{self, Person};
use super::at_end::AtEnd;
use super::core::{Busy, Core, IDLE_POLL, is_outage};
use super::gather::{self, Gathered};
use super::intake::{first_in_hours, notice};
use super::overtake::{self, Lanes, Order};
use super::pictures::{self, Frame};
use super::{alive, commands, companions, conversation, lock, prompts, render, restored, rights, route, say, typed};
use crate::crash;
use crate::domain::access::Role;
use crate::domain::action::{Action, Resume};
use crate::domain::command::{Typed, parse};
use crate::domain::delivery::Target;
use crate::domain::ids::*;
use crate::domain::limits::{Limits, STEERS};
use crate::domain::message::*;
use crate::domain::turn::{StopReason, TurnState};
use crate::domain::view::{ButtonRole, Receipt};
use crate::ledger::conversations::{Conversation, HeldWhy};
use crate::ledger::inbound::{InboundRow, InboundState};
use crate::ledger::settings::{self, Setting};
use crate::ledger::turns::{NewTurn, Turn};
use crate::ledger::{LedgerError, Transaction, audit, conversations, inbound, rules, said, surfaces, turns};
use crate::tasks::OnExit;
use crate::words::NoticeMsg;

const BATCH: u32 = 256;
/// Rows of one chat that are looked at without a look at the others.
const IN_A_ROW: u32 = 256;
/// Late messages that a chat is asked about at a time, each with a card of its own.
const LATE_PER_CHAT: u32 = 20;

/// One message on its way through W1b, with what is known of its sender.
#[derive(Clone)]
pub(super) struct Letter {
    pub row: InboundRow,
    pub message: IncomingMessage,
    pub person: Person,
    pub text: String,
}

impl Letter {
    /// It answers nothing and stands in no topic: what it asks for may be about all that is done in its chat. What does is
    /// about that only, also before any conversation has come of it.
    pub fn is_in_stream(&self) -> bool {
        let IncomingMessage { topic, root, parent, .. } = &self.message;
        topic.is_none() && root.is_none() && parent.is_none()
    }

    /// Where a plain word about this message goes.
    pub fn reply(&self) -> Target {
        Target {
            chat: self.message.chat.clone(),
            reply_to: Some(self.message.message.clone()),
            in_topic: self.message.topic.is_some(),
        }
    }
}

pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    let lanes = Lanes::default();
    let failures = Failures::default();
    while core.until_writable(&cancel).await {
        let rows = core.ledger.read(|tx| inbound::received(tx, BATCH)).await?;
        for row in rows {
            if row.in_group && core.bot(&row.channel).is_none() {
                // Whether it speaks to the bot cannot be judged yet; `bot_known` wakes us.
                continue;
            }
            let lane = lane_of(&row);
            match lanes.enter(&lane, row.seq) {
                Some(entered) => dispatch(&core, &lanes, entered, &failures, row),
                None => overtake::offer(&core, &lanes, &lane, &row).await?,
            }
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = core.wakes.intake.notified() => {}
            () = tokio::time::sleep(IDLE_POLL) => {}
        }
    }
    Ok(())
}

fn dispatch(
    core: &Arc<Core>,
    lanes: &Lanes,
    entered: AtEnd<impl FnOnce() + Send + 'static>,
    failures: &Failures,
    first: InboundRow,
) {
    let (core, lanes, failures) = (Arc::clone(core), lanes.clone(), failures.clone());
    let family = core.tasks.clone();
    family.spawn("prepare", OnExit::LogOnly, move |cancel| async move {
        let (mut seq, mut left) = (first.seq, IN_A_ROW);
        while try_one(&core, &failures, seq).await && left > 0 && !cancel.is_cancelled() {
            if core.owner_is_to_be_asked.load(Ordering::Acquire)
                && restored::is_of_owner(&core, &first)
                && let Err(error) = restored::ask_owner(&core).await
            {
                warn!(%error, "The owner could not be asked what becomes of a ledger that was put back");
            }
            // To find each chat's oldest, all that waits is looked at: thousands are not looked at for each of them.
            let Some(next) = next_of(&core, &lanes, &first, seq).await else { break };
            (seq, left) = (next, left - 1);
            // Words that ended may have left something behind.
            core.wakes.companions.notify_one();
        }
        drop(entered);
        core.wakes.intake.notify_one();
        core.wakes.companions.notify_one();
        Ok(())
    });
}

/// Whether the chat may go on.
async fn try_one(core: &Arc<Core>, failures: &Failures, seq: InboundSeq) -> bool {
    // Counted before it is tried: a panic is a try, too.
    let tried = failures.count(seq) > MAX_TRIES;
    match if tried { give_up(core, seq).await } else { prepare_fresh(core, seq).await } {
        Ok(()) => {
            failures.forget(seq);
            true
        }
        Err(error) => {
            // A full disk is not the message's fault: it waits for the end of the outage, however long that takes.
            if is_outage(&error) {
                failures.forget(seq);
            } else {
                warn!(inbound.seq = seq.0, error = %format!("{error:#}"), "A message could not be prepared; it is tried again");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            false
        }
    }
}

/// The row behind `done` in the chat of `first`, which the chat is at from now on.
async fn next_of(core: &Core, lanes: &Lanes, first: &InboundRow, done: InboundSeq) -> Option<InboundSeq> {
    let (channel, chat) = (first.channel.clone(), first.chat.clone()?);
    let lane = lane_of(first);
    let behind = core.ledger.read(move |tx| match inbound::get(tx, done)?.state {
        // It stays where it is, and nothing goes past it.
        InboundState::Received => Ok(Vec::new()),
        _ => inbound::received_behind(tx, &channel, &chat, done, 1),
    });
    // Whatever is wrong with the ledger, the next look meets it again.
    let next = behind.await.ok()?.pop()?;
    let judged = !next.in_group || core.bot(&next.channel).is_some();
    (judged && lanes.go_on(&lane, next.seq)).then_some(next.seq)
}

fn lane_of(row: &InboundRow) -> String {
    format!("{}:{}", row.channel, row.chat.as_ref().map_or("", ChatId::as_str))
}

/// Tries of a row in this process: one that fails for ever must not block its chat for ever.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<HashMap<InboundSeq, u32>>>);

const MAX_TRIES: u32 = 10;

impl Failures {
    fn count(&self, seq: InboundSeq) -> u32 {
        let mut failures = self.0.lock().expect("no code panics while it holds this lock");
        let count = failures.entry(seq).or_insert(0);
        *count += 1;
        *count
    }

    fn forget(&self, seq: InboundSeq) {
        self.0.lock().expect("no code panics while it holds this lock").remove(&seq);
    }
}

/// Says that a message was not taken, so that the chat goes on. Its words stay in the ledger.
async fn give_up(core: &Core, seq: InboundSeq) -> anyhow::Result<()> {
    let row = core.ledger.read(move |tx| inbound::get(tx, seq)).await?;
    let frame = core.frame(&row.channel);
    core.ledger
        .write(move |tx| {
            inbound::resolve(tx, seq, InboundState::Refused, Some("could not be prepared"), None)?;
            let (Some(chat), Some(message)) = (row.chat, row.message) else { return Ok(()) };
            surfaces::want_receipt(tx, &row.channel, &chat, &message, Receipt::Failed, frame.now_ms)?;
            let target = Target { chat, reply_to: Some(message), in_topic: false };
            let text = say::not_prepared(frame.lang);
            notice(tx, &row.channel, target, None, None, text, frame.lang, frame.now_ms)
        })
        .await?;
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    Ok(())
}

/// The list that named the row may be older than the end of the lane's last task: only what is still `received` now is
/// looked at, or one message would become two turns.
async fn prepare_fresh(core: &Arc<Core>, seq: InboundSeq) -> anyhow::Result<()> {
    let row = core.ledger.read(move |tx| inbound::get(tx, seq)).await?;
    if row.state == InboundState::Received { prepare(core, row).await } else { Ok(()) }
}

async fn prepare(core: &Arc<Core>, row: InboundRow) -> anyhow::Result<()> {
    let seq = row.seq;
    let decoded = match (core.channel(&row.channel), &row.raw) {
        (Some(channel), Some(raw)) => channel.decode(raw),
        _ => return resolve(core, seq, InboundState::Cancelled, "nothing to read").await,
    };
    match decoded.map(|decoded| decoded.event) {
        Ok(Event::Message(message)) => message_came(core, row, message).await,
        Ok(Event::Recall(recall)) => recalled(core, row, recall).await,
        Ok(Event::Membership(membership)) => membership_changed(core, row, membership).await,
        Ok(Event::Click(_) | Event::Reaction(_) | Event::Ignored { .. }) => {
            resolve(core, seq, InboundState::Refused, "of no use").await
        }
        Err(error) => {
            warn!(inbound.seq = seq.0, %error, "A stored event cannot be read");
            resolve(core, seq, InboundState::Refused, "cannot be read").await
        }
    }
}

async fn resolve(core: &Core, seq: InboundSeq, state: InboundState, reason: &'static str) -> anyhow::Result<()> {
    core.ledger.write(move |tx| inbound::resolve(tx, seq, state, Some(reason), None)).await?;
    Ok(())
}

// ------------------------------------------------------------------------------------------------ messages

async fn message_came(core: &Arc<Core>, row: InboundRow, message: IncomingMessage) -> anyhow::Result<()> {
    let seq = row.seq;
    let Some(role) = role_of(core, &row, &message) else {
        core.ledger
            .write(move |tx| {
                inbound::wipe(tx, seq)?;
                inbound::resolve(tx, seq, InboundState::Refused, Some("not addressed or not allowed"), None)
            })
            .await?;
        return Ok(());
    };
    let letter = letter_of(core, row, message, role).await;
    if letter.text.is_empty() {
        return wordless(core, letter).await;
    }
    if is_late(core, &letter) {
        return ask_late(core, letter).await;
    }
    match parse(&letter.text) {
        Typed::NearMiss => typed::near_miss(core, letter).await,
        typed => act(core, letter, typed, Order::InPlace).await,
    }
}

async fn act(core: &Arc<Core>, letter: Letter, typed: Typed, order: Order) -> anyhow::Result<()> {
    match typed {
        Typed::Command(command) => commands::run(core, letter, command, order).await,
        Typed::DidYouMean { typed, suggestion } => commands::did_you_mean(core, letter, typed, suggestion).await,
        Typed::Shortcut(shortcut) => typed::shortcut(core, letter, shortcut, order).await,
        Typed::StopWord => typed::stop_word(core, letter, order).await,
        Typed::NearMiss => Ok(()),
        Typed::Text(text) => typed::text(core, Letter { text, ..letter }, order).await,
    }
}

/// What a message does before it is its turn. Whatever is not certain (rights, age) is judged in its place.
pub(super) async fn overtake(core: &Arc<Core>, seq: InboundSeq) -> anyhow::Result<()> {
    let row = core.ledger.read(move |tx| inbound::get(tx, seq)).await?;
    if row.state != InboundState::Received {
        return Ok(());
    }
    let Some((row, message)) = companions::read(core, row) else { return Ok(()) };
    let Some(role) = role_of(core, &row, &message) else { return Ok(()) };
    let letter = letter_of(core, row, message, role).await;
    if is_late(core, &letter) {
        return Ok(());
    }
    let typed = parse(&letter.text);
    act(core, letter, typed, Order::Overtaking).await
}

/// Until what it gives is dropped, this message only waits for the network, and others may overtake it.
pub(super) fn fetching(core: &Core, letter: &Letter) -> AtEnd<impl FnOnce() + use<>> {
    let fetching = core.fetching.begin(letter.row.seq);
    core.wakes.intake.notify_one();
    fetching
}

/// Judged again: what was admitted before the bot knew itself, or before a right was taken away. Nothing when it is not
/// for us or not allowed.
fn role_of(core: &Core, row: &InboundRow, message: &IncomingMessage) -> Option<Role> {
    let (access, sender) = (core.access(&row.channel), &message.sender);
    let role = access.role(&sender.user, sender.tenant.as_deref(), Some(&message.chat), message.chat_kind);
    let unaddressed = message.chat_kind == ChatKind::Group && !message.mentions_bot && core.bot(&row.channel).is_some();
    (!unaddressed && role.may_talk()).then_some(role)
}

async fn letter_of(core: &Core, row: InboundRow, message: IncomingMessage, role: Role) -> Letter {
    let name = core.name_of(&row.channel, &message.chat, &message.sender.user).await;
    let person = Person { user: message.sender.user.clone(), name, role };
    Letter { text: message.text(), row, message, person }
}

/// Older than the limit when it came, with the time that ally was down since, and nobody has said that it is still wanted.
fn is_late(core: &Core, letter: &Letter) -> bool {
    let received = letter.row.received_at_ms;
    let age = received - letter.message.sent_at_ms + core.down_within(received, core.now_ms());
    let limit = match letter.row.reason.as_deref() {
        Some("wanted") => return false,
        // Somebody has done something about it that is not known here.
        Some(inbound::FOUND_ANSWERED) => return true,
        _ if core.is_before_restore(letter.message.sent_at_ms) => return true,
        Some(inbound::FOUND) => core.config.backfill_run.min(core.config.stale_after),
        _ => core.config.stale_after,
    };
    age > limit.as_millis() as i64
}

async fn ask_late(core: &Core, letter: Letter) -> anyhow::Result<()> {
    let frame = core.frame(&letter.row.channel);
    let along: Vec<InboundSeq> =
        companions::waiting_for(core, &letter).await?.into_iter().map(|(row, _)| row.seq).collect();
    core.ledger
        .write(move |tx| {
            let (channel, chat) = (&letter.row.channel, &letter.message.chat);
            if inbound::late_in(tx, channel, chat, LATE_PER_CHAT)? >= LATE_PER_CHAT {
                return too_many_late(tx, &frame, &letter, &along);
            }
            inbound::resolve(tx, letter.row.seq, InboundState::Waiting, Some("late"), None)?;
            companions::bind_all(tx, letter.row.seq, &along, frame.now_ms)?;
            receipt(tx, &frame, &letter, Receipt::Waiting)?;
            pictures::late(tx, &frame, &inbound::get(tx, letter.row.seq)?, frame.lang, &letter.text, None)
        })
        .await?;
    core.wakes.painter.notify_one();
    core.wakes.outbox.notify_one();
    Ok(())
}

/// A chat is asked about so many. Of the rest it is told once an hour; a reaction on each of thousands would hold up those of
/// what comes now, and none means that it was not received.
fn too_many_late(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    along: &[InboundSeq],
) -> Result<(), LedgerError> {
    for seq in along.iter().chain([&letter.row.seq]) {
        inbound::resolve(tx, *seq, InboundState::Refused, Some("too many late"), None)?;
    }
    let channel = &letter.row.channel;
    if first_in_hours(tx, &format!("late:{channel}:{}", letter.message.chat), frame.now_ms)? {
        let text = say::notice(frame.lang, NoticeMsg::TooManyLate { limit: LATE_PER_CHAT });
        notice(tx, channel, letter.reply(), None, None, text, frame.lang, frame.now_ms)?;
    }
    Ok(())
}

/// No words: a file waits for them, a bare mention asks for help, the rest cannot be read.
async fn wordless(core: &Arc<Core>, letter: Letter) -> anyhow::Result<()> {
    if !letter.message.has_attachments() {
        return commands::run(core, letter, crate::domain::command::Command::Help(None), Order::InPlace).await;
    }
    if companions::can_wait(&letter.message) {
        return companions::came(core, letter).await;
    }
    let unreadable = letter.message.content.iter().find_map(|part| match part {
        Part::Unreadable { what } => Some(what.clone()),
        _ => None,
    });
    let frame = core.frame(&letter.row.channel);
    core.ledger
        .write(move |tx| {
            let what = crate::words::unreadable_name(unreadable.as_deref().unwrap_or(""), frame.lang);
            let text = say::notice(frame.lang, NoticeMsg::Unreadable { what });
            inbound::resolve(tx, letter.row.seq, InboundState::Refused, Some("unreadable"), None)?;
            receipt(tx, &frame, &letter, Receipt::Failed)?;
            notice(tx, &letter.row.channel, letter.reply(), None, None, text, frame.lang, frame.now_ms)
        })
        .await?;
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    Ok(())
}

/// The receipt of a row's message.
pub(super) fn mark(tx: &Transaction<'_>, row: &InboundRow, receipt: Receipt, now_ms: i64) -> Result<(), LedgerError> {
    let (Some(chat), Some(message)) = (&row.chat, &row.message) else { return Ok(()) };
    surfaces::want_receipt(tx, &row.channel, chat, message, receipt, now_ms)
}

pub(super) fn receipt(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    receipt: Receipt,
) -> Result<(), LedgerError> {
    surfaces::want_receipt(
        tx,
        &letter.row.channel,
        &letter.message.chat,
        &letter.message.message,
        receipt,
        frame.now_ms,
    )
}

// ------------------------------------------------------------------------------------------------ a turn

/// What happens beside a new turn, in its transaction: a repetition after a crash says and does nothing twice.
#[derive(Default)]
pub(super) struct Beside {
    pub remark: Option<String>,
    /// The conversation begins anew with this turn.
    pub fresh: bool,
    /// It is to make a plan.
    pub plan: bool,
    /// It is to review the changes.
    pub review: bool,
    /// It sounded like a decision on this request and was none: both are offered.
    pub near: Option<GateId>,
}

/// Makes a turn of a message, or a steer where the conversation is set to that.
pub(super) async fn make_turn(core: &Arc<Core>, letter: Letter, beside: Beside) -> anyhow::Result<()> {
    let companions = companions::waiting_for(core, &letter).await?;
    let mut gathered = {
        let asks = gather::asks_platform(core, &letter, &companions).await?;
        let _fetching = asks.then(|| fetching(core, &letter));
        gather::gather(core, &letter, companions).await?
    };
    gathered.prompt.plan = beside.plan;
    if beside.review {
        gathered.prompt.review = true;
        gathered.prompt.text = prompts::reviewing(&gathered.prompt.text);
    }
    let place = route::place(core, &letter).await?;
    std::fs::create_dir_all(&place.directory)?;
    let frame = core.frame(&letter.row.channel);
    let (busy, limits) = (core.config.busy, core.config.limits);
    crash::point("w1b.before");
    let id = core
        .ledger
        .write(move |tx| {
            let row = inbound::get(tx, letter.row.seq)?;
            if row.turn.is_some() || row.state != InboundState::Received {
                // Recalled meanwhile, or made into a turn before: a message never makes a second one.
                return Ok(None);
            }
            if !role_now(tx, &frame, &letter)?.may_talk() {
                return not_allowed_any_more(tx, &frame, &letter, &gathered).map(|()| None);
            }
            let conversation = conversations::resolve(tx, &place, frame.now_ms)?;
            let set = settings::get(tx, &conversation.channel, &conversation.chat, Setting::Busy)?;
            let busy = set.as_deref().and_then(Busy::parse).unwrap_or(busy);
            let manner = Manner { busy, fresh: beside.fresh, limits };
            if !put(tx, &frame, &conversation, &letter, &gathered, manner)? {
                return Ok(Some(conversation.id));
            }
            for text in gathered.notices.iter().map(|(_, text)| text).chain(&beside.remark) {
                notice(
                    tx,
                    &letter.row.channel,
                    letter.reply(),
                    Some(&conversation.id),
                    None,
                    text.clone(),
                    conversation.lang,
                    frame.now_ms,
                )?;
            }
            if let Some(hint) = &gathered.for_owner {
                tell_owner(tx, &frame, &letter, hint)?;
            }
            if let (Some(gate), Some(turn)) = (&beside.near, inbound::get(tx, letter.row.seq)?.turn) {
                pictures::near_miss(tx, &frame, &conversation, letter.reply(), gate, &turn)?;
            }
            Ok(Some(conversation.id))
        })
        .await?;
    crash::point("w1b.after");
    if let Some(id) = id {
        conversation::wake(core, &id);
    }
    core.wakes.painter.notify_one();
    core.wakes.outbox.notify_one();
    Ok(())
}

/// The rights of the sender in this transaction: they may have been taken away while names and files were fetched.
fn role_now(tx: &Transaction<'_>, frame: &Frame, letter: &Letter) -> Result<Role, LedgerError> {
    let (message, sender) = (&letter.message, &letter.message.sender);
    let access = rights::in_force(tx, frame)?;
    Ok(access.role(&sender.user, sender.tenant.as_deref(), Some(&message.chat), message.chat_kind))
}

/// Nothing is done for him, and none of his words are kept.
fn not_allowed_any_more(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    gathered: &Gathered,
) -> Result<(), LedgerError> {
    for seq in gathered.companions.iter().copied().chain([letter.row.seq]) {
        let row = inbound::get(tx, seq)?;
        if matches!(row.state, InboundState::Received | InboundState::Waiting) {
            inbound::wipe(tx, seq)?;
            inbound::resolve(tx, seq, InboundState::Refused, Some("not allowed any more"), None)?;
            mark(tx, &row, Receipt::Failed, frame.now_ms)?;
        }
    }
    let text = say::notice(frame.lang, NoticeMsg::NotAllowedAnyMore);
    notice(tx, &letter.row.channel, letter.reply(), None, None, text, frame.lang, frame.now_ms)
}

/// Once a day for each chat, where only the owner reads it if he ever wrote there.
fn tell_owner(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, hint: &str) -> Result<(), LedgerError> {
    let (channel, chat) = (&letter.row.channel, &letter.message.chat);
    let day = frame.now_ms / 86_400_000;
    if !said::first_time(tx, &format!("catch up:{channel}:{chat}:{day}"), frame.now_ms)? {
        return Ok(());
    }
    let home = match frame.access.owner.as_ref() {
        Some(owner) => inbound::direct_chat_of(tx, channel, owner)?,
        None => None,
    };
    let target = match home {
        Some(home) => Target { chat: home, reply_to: None, in_topic: false },
        None => letter.reply(),
    };
    notice(tx, channel, target, None, None, hint.to_owned(), frame.lang, frame.now_ms)
}

/// Which limit one more would be over.
fn full(
    tx: &Transaction<'_>,
    conversation: &Conversation,
    (mine, all): (i64, i64),
    limits: Limits,
) -> Result<Option<NoticeMsg<'static>>, LedgerError> {
    let told = |limit: i64| u32::try_from(limit).unwrap_or(u32::MAX);
    if mine >= limits.per_person {
        return Ok(Some(NoticeMsg::QueueFullPerson { limit: told(limits.per_person) }));
    }
    if all >= limits.per_conversation {
        return Ok(Some(NoticeMsg::QueueFullConversation { limit: told(limits.per_conversation) }));
    }
    let (here, everywhere) = turns::queued_in(tx, &conversation.channel, &conversation.chat)?;
    Ok(if here >= limits.per_chat {
        Some(NoticeMsg::QueueFullChat { limit: told(limits.per_chat) })
    } else {
        (everywhere >= limits.in_all).then(|| NoticeMsg::QueueFullAll { limit: told(limits.in_all) })
    })
}

/// A message that is not taken is marked as such. The sentence is said once a minute to each person in each place, or a
/// flood would be answered with a flood.
pub(super) fn refuse(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: Option<&Conversation>,
    letter: &Letter,
    why: NoticeMsg<'_>,
) -> Result<(), LedgerError> {
    const MINUTE_MS: i64 = 60_000;
    inbound::resolve(tx, letter.row.seq, InboundState::Refused, Some("queue full"), None)?;
    receipt(tx, frame, letter, Receipt::Failed)?;
    let channel = &letter.row.channel;
    let place = conversation.map_or_else(|| format!("{channel}:{}", letter.message.chat), |here| here.id.to_string());
    let key = format!("full:{place}:{}:{}", letter.person.user, frame.now_ms / MINUTE_MS);
    if !said::first_time(tx, &key, frame.now_ms)? {
        return Ok(());
    }
    let lang = conversation.map_or(frame.lang, |here| here.lang);
    let text = say::notice(lang, why);
    notice(tx, channel, letter.reply(), conversation.map(|here| &here.id), None, text, lang, frame.now_ms)
}

/// How a task is put into the queue.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub busy: Busy,
    /// The conversation begins anew with it.
    pub fresh: bool,
    pub limits: Limits,
}

/// Makes the turn, or says why not (then false).
pub(super) fn put(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    letter: &Letter,
    gathered: &Gathered,
    Manner { busy, fresh, limits }: Manner,
) -> Result<bool, LedgerError> {
    let seq = letter.row.seq;
    if settings::is_locked(tx)? {
        inbound::resolve(tx, seq, InboundState::Refused, Some("locked"), None)?;
        receipt(tx, frame, letter, Receipt::Failed)?;
        lock::tell(tx, &letter.row.channel, letter.reply(), conversation.lang, frame.now_ms)?;
        return Ok(false);
    }
    dismiss_lost(tx, frame, conversation, &letter.person)?;
    let active = turns::active(tx, &conversation.id)?;
    let (mine, all) = turns::queue_depth(tx, &conversation.id, &letter.person.user)?;
    let refusal = match (&active, busy) {
        (Some(_), Busy::Reject) if mine < limits.per_person && all < limits.per_conversation => {
            Some(NoticeMsg::BusyRejects)
        }
        _ => full(tx, conversation, (mine, all), limits)?,
    };
    if let Some(refusal) = refusal {
        refuse(tx, frame, Some(conversation), letter, refusal)?;
        return Ok(false);
    }
    if fresh {
        // Not before it is certain that there is something to begin with.
        conversations::begin_anew(tx, &conversation.id)?;
        rules::end_hours(tx, &conversation.channel, &conversation.chat, frame.now_ms)?;
    }
    let conversation = &conversations::get(tx, &conversation.id)?;
    if let Some(root) = &gathered.opening {
        route::heard_of(tx, letter, root)?;
    }
    // A steer holds words only: what has files stays a turn.
    let only_words = gathered.companions.is_empty() && gathered.prompt.is_only_words();
    if let (Some(active), Busy::Steer, TurnState::Running, true) =
        (&active, busy, active.as_ref().map_or(TurnState::Queued, |turn| turn.state), only_words)
        && actions::may_steer(active, letter.person.role)
    {
        return put_steer(tx, frame, active, letter, &gathered.prompt.text);
    }
    let new = NewTurn {
        conversation: conversation.id.clone(),
        ord: None,
        requester: letter.person.user.clone(),
        requester_name: letter.person.name.clone(),
        title: render::title(&letter.text),
        reply_to: Some(letter.message.message.clone()),
        prompt: prompts::freeze(&gathered.prompt),
        continues: None,
        directory: None,
        network_by: None,
        not_before_ms: 0,
    };
    let turn = turns::insert(tx, &new, frame.now_ms)?;
    inbound::resolve(tx, seq, InboundState::Turn, None, Some(&turn))?;
    if letter.row.reason.as_deref() == Some("wanted") {
        alive::set_wanted(tx, &turn, frame.now_ms)?;
    }
    for companion in &gathered.companions {
        if inbound::get(tx, *companion)?.state == InboundState::Waiting {
            inbound::resolve(tx, *companion, InboundState::Turn, None, Some(&turn))?;
        }
    }
    let waits = active.is_some() || all > 0 || conversation.held.is_some();
    let shown = if waits { Receipt::Queued } else { Receipt::Accepted };
    actions::receipts(tx, frame, &turns::get(tx, &turn)?, shown)?;
    if waits {
        pictures::queue(tx, frame, &conversation.id)?;
    }
    Ok(true)
}

/// Words for a running turn, committed before they are passed on. Where it has enough of them, says so (then false).
pub(super) fn put_steer(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &Turn,
    letter: &Letter,
    text: &str,
) -> Result<bool, LedgerError> {
    if inbound::count_steers(tx, &turn.id)? >= STEERS {
        let here = conversations::get(tx, &turn.conversation)?;
        refuse(tx, frame, Some(&here), letter, NoticeMsg::SteersFull { limit: STEERS })?;
        return Ok(false);
    }
    inbound::resolve(tx, letter.row.seq, InboundState::Turn, Some("steer"), Some(&turn.id))?;
    inbound::set_steer(tx, letter.row.seq, &turn.id, "wanted", Some(text))?;
    receipt(tx, frame, letter, Receipt::Accepted)?;
    Ok(true)
}

/// A new message of the one whose turn was lost says that he has seen it: the queue goes on.
fn dismiss_lost(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    person: &Person,
) -> Result<(), LedgerError> {
    let Some(held) = conversation.held.as_ref().filter(|held| held.why == HeldWhy::Lost) else { return Ok(()) };
    let Some(lost) = &held.turn else { return Ok(()) };
    if turns::get(tx, lost)?.requester == person.user {
        actions::resume(tx, frame, lost, Resume::Dismiss, person)?;
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------ recall, membership

/// Recalled words cancel their queued turn, what was sent along with words only leaves it; where the turn runs, a stop is
/// offered. What was recalled is forgotten.
async fn recalled(core: &Arc<Core>, row: InboundRow, recall: Recall) -> anyhow::Result<()> {
    let frame = core.frame(&row.channel);
    let (channel, message) = (row.channel.clone(), recall.message.clone());
    let without = match core.ledger.read(move |tx| inbound::by_message(tx, &channel, &message)).await? {
        Some(original) => companions::without(core, &original).await?,
        None => None,
    };
    let woken = core
        .ledger
        .write(move |tx| {
            inbound::resolve(tx, row.seq, InboundState::Command, Some("recall"), None)?;
            let Some(original) = inbound::by_message(tx, &row.channel, &recall.message)? else {
                inbound::tombstone(tx, &row.channel, &recall.message, frame.now_ms)?;
                return Ok(None);
            };
            inbound::wipe(tx, original.seq)?;
            match &original.turn {
                Some(turn) => recall_turn(tx, &frame, &original, turn, without),
                // What it decided or brought about stays so.
                None if matches!(original.state, InboundState::Decision | InboundState::Command) => {
                    inbound::resolve(tx, original.seq, original.state, Some("recalled"), None)?;
                    Ok(None)
                }
                None => {
                    inbound::resolve(tx, original.seq, InboundState::Cancelled, Some("recalled"), None)?;
                    if original.state == InboundState::Waiting {
                        // Nothing is asked about it any more, and the question no longer shows its words.
                        let by = match &original.sender {
                            Some(user) => said::name_of(tx, &row.channel, user)?.map(|(name, _)| name),
                            None => None,
                        };
                        let chosen = Some((ButtonRole::Cancel, by.unwrap_or_default()));
                        pictures::late(tx, &frame, &original, frame.lang, "", chosen)?;
                    }
                    Ok(None)
                }
            }
        })
        .await?;
    // Whoever takes his words back may not want them to lie anywhere.
    core.ledger.scrub();
    if let Some(id) = woken {
        conversation::wake(core, &id);
    }
    core.wakes.painter.notify_one();
    Ok(())
}

fn recall_turn(
    tx: &Transaction<'_>,
    frame: &Frame,
    original: &InboundRow,
    turn: &TurnId,
    without: Option<(Turn, String)>,
) -> Result<Option<ConversationId>, LedgerError> {
    let turn = turns::get(tx, turn)?;
    if turn.state == TurnState::Queued && turn.reply_to != original.message {
        if let Some((read, prompt)) = without {
            turns::replace_prompt(tx, &read, &prompt, &read.title)?;
        }
        inbound::resolve(tx, original.seq, InboundState::Cancelled, Some("recalled"), None)?;
        inbound::leave_turn(tx, original.seq)?;
        return Ok(Some(turn.conversation));
    }
    inbound::resolve(tx, original.seq, InboundState::Turn, Some("recalled"), None)?;
    match turn.state {
        TurnState::Queued => {
            actions::recall_queued(tx, frame, &turn)?;
            turns::forget_words(tx, &turn.id)?;
            // What was sent along goes with the words.
            for other in inbound::of_turn(tx, &turn.id)?.iter().filter(|other| other.seq != original.seq) {
                mark(tx, other, Receipt::Failed, frame.now_ms)?;
            }
        }
        TurnState::Settled(_) => return Ok(None),
        _ => {
            let conversation = conversations::get(tx, &turn.conversation)?;
            let text = say::notice(conversation.lang, NoticeMsg::RecalledRunning);
            let offered = [(ButtonRole::Stop, Action::Stop { turn: turn.id.clone() })];
            // The recalled message cannot be answered: the notice goes to the topic or the chat.
            let target = Target {
                chat: conversation.chat.clone(),
                reply_to: conversation.root.clone(),
                in_topic: conversation.root.is_some(),
            };
            pictures::notice(tx, frame, &conversation, target, &pictures::recalled_subject(&turn.id), text, &offered)?;
        }
    }
    Ok(Some(turn.conversation))
}

async fn membership_changed(core: &Core, row: InboundRow, membership: Membership) -> anyhow::Result<()> {
    info!(channel = %row.channel, change = ?membership.change, "The bot's membership of a chat changed");
    let frame = core.frame(&row.channel);
    let name = core.chat_name(&row.channel, &membership.chat).await;
    core.ledger
        .write(move |tx| {
            let what = format!("{:?}", membership.change);
            inbound::resolve(tx, row.seq, InboundState::Command, Some("membership"), None)?;
            audit::note(
                tx,
                membership.by.as_ref().map_or("", UserId::as_str),
                "membership",
                membership.chat.as_str(),
                &what,
                frame.now_ms,
            )?;
            let home = match frame.access.owner.as_ref() {
                Some(owner) => inbound::direct_chat_of(tx, &row.channel, owner)?,
                None => None,
            };
            let news = if membership.change == MembershipChange::BotAdded {
                Some(NoticeMsg::AddedToGroup { chat: &name })
            } else {
                // Nobody can be answered there any more: what waits is not run for nobody.
                inbound::cancel_waiting(tx, &row.channel, &membership.chat, "the bot left")?;
                let mut ended = 0;
                for conversation in conversations::at_work(tx, &row.channel, &membership.chat)? {
                    for turn in turns::unsettled(tx, &conversation.id)? {
                        ended += 1;
                        match turn.state {
                            TurnState::Queued => actions::recall_queued(tx, &frame, &turn)?,
                            _ => {
                                let stop = turns::Stop { reason: StopReason::Person, by: None, at_ms: frame.now_ms };
                                turns::request_stop(tx, &turn.id, &stop)?;
                            }
                        }
                    }
                }
                (ended > 0).then_some(NoticeMsg::LeftGroup { chat: &name, tasks: ended })
            };
            if let (Some(news), Some(home)) = (news, home) {
                let target = Target { chat: home, reply_to: None, in_topic: false };
                let text = say::notice(frame.lang, news);
                notice(tx, &row.channel, target, None, None, text, frame.lang, frame.now_ms)?;
            }
            Ok(())
        })
        .await?;
    core.registry.wake_all();
    core.wakes.outbox.notify_one();
    Ok(())
}
