//! Sends messages, each once. Order within a chat, chats in parallel.
//!
//! `ready` rows were never attempted or definitely refused: they may be sent at any age. `sending` rows are ambiguous
//! unless this process just wrote them: repeated with the same key while the platform still recognises it, and looked up
//! in the chat after that. Never lost beats never twice.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::at_end::AtEnd;
use super::core::{Core, rest, unless_outage};
use super::intake::{first_in_hours, notice};
use super::ports::*;
use super::{remedy, say};
use crate::crash;
use crate::domain::delivery::{Body, Disposition, MessageState, Obstacle, Target, send_key, wait_before};
use crate::domain::ids::*;
use crate::ledger::messages::{Again, Head, OutMessage};
use crate::ledger::surfaces::Picture;
use crate::ledger::{LedgerError, Transaction, audit, conversations, gates, messages, said, surfaces};
use crate::tasks::OnExit;

/// The platform recognises a repeated key for an hour; ten minutes are kept clear of that edge.
const KEY_VALID_MS: i64 = 50 * 60 * 1000;
/// A look-up is told what else was shown, as much as it could meet and more.
const NEIGHBOURS: u32 = 10_000;
/// Between two look-ups of a message, and how long they may fail before it is sent as a possible repeat.
const LOOK_AGAIN_MS: i64 = 30_000;
const LOOK_FOR_MS: i64 = 10 * 60 * 1000;
/// How long an upload may fail before those who wait behind it go on without the file.
const UPLOAD_FOR_MS: i64 = 10 * 60 * 1000;
/// Rows that are looked at in one go.
const BATCH: usize = 64;

/// Chats that a send is under way in.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<HashSet<(ChannelName, ChatId)>>>);

/// Deliveries whose last attempt the ledger knows nothing of, because it took no writes then.
#[derive(Clone, Default)]
struct Unrecorded(Arc<Mutex<HashSet<DeliveryId>>>);

impl Unrecorded {
    fn has(&self, delivery: &DeliveryId) -> bool {
        self.0.lock().expect("no code panics while it holds this lock").contains(delivery)
    }

    fn note(&self, delivery: &DeliveryId, unrecorded: bool) {
        let mut all = self.0.lock().expect("no code panics while it holds this lock");
        if unrecorded {
            all.insert(delivery.clone())
        } else {
            all.remove(delivery)
        };
    }
}

impl Busy {
    fn enter(&self, head: &Head) -> bool {
        let chat = (head.channel.clone(), head.chat.clone());
        self.0.lock().expect("no code panics while it holds this lock").insert(chat)
    }

    fn leave(&self, head: &Head) {
        let chat = (head.channel.clone(), head.chat.clone());
        self.0.lock().expect("no code panics while it holds this lock").remove(&chat);
    }
}

/// Sends what is due until `cancel`. A send that has begun is finished before the task family ends.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    let (busy, unrecorded) = (Busy::default(), Unrecorded::default());
    while core.until_writable(&cancel).await {
        let now = core.now_ms();
        let due = core.ledger.read(move |tx| messages::due(tx, now, BATCH)).await?;
        if !due.heads.is_empty() && crash::fails("outbox.fails") {
            anyhow::bail!("made to fail by a test");
        }
        for head in due.heads {
            if busy.enter(&head) {
                dispatch(&core, &busy, &unrecorded, head);
            }
        }
        // All that is due is under way now, and each end of that wakes us.
        tokio::select! {
            () = cancel.cancelled() => break,
            () = core.wakes.outbox.notified() => {}
            () = tokio::time::sleep(rest(due.next_ms, core.now_ms())) => {}
        }
    }
    Ok(())
}

fn dispatch(core: &Arc<Core>, busy: &Busy, unrecorded: &Unrecorded, head: Head) {
    let (core, busy, unrecorded) = (Arc::clone(core), busy.clone(), unrecorded.clone());
    let family = core.tasks.clone();
    family.spawn("send", OnExit::LogOnly, move |_| async move {
        let leave = {
            let head = head.clone();
            AtEnd::new(move || busy.leave(&head))
        };
        let result = send_fresh(&core, &unrecorded, &head.id).await;
        unrecorded.note(&head.id, result.is_err());
        if result.is_err() {
            // The row is as it was; a short rest keeps a broken ledger from a hot loop.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        drop(leave);
        core.wakes.outbox.notify_one();
        unless_outage(result)
    });
}

/// The list that named the row may be older than the end of the chat's last send: the row as it is now decides.
async fn send_fresh(core: &Core, unrecorded: &Unrecorded, id: &DeliveryId) -> anyhow::Result<()> {
    let (id, now) = (id.clone(), core.now_ms());
    let mut message = core.ledger.read(move |tx| messages::get(tx, &id)).await?;
    if unrecorded.has(&message.id) {
        message.attempts = message.attempts.max(1);
    }
    let open = matches!(message.state, MessageState::Ready | MessageState::Sending);
    if open && message.next_at_ms <= now { send(core, &message).await } else { Ok(()) }
}

async fn send(core: &Core, message: &OutMessage) -> anyhow::Result<()> {
    let Some(channel) = core.channel(&message.channel).cloned() else {
        // The channel is not configured any more: nothing is lost, it waits for the channel to come back.
        return postpone(core, message, 60_000, "the channel is switched off").await.map_err(Into::into);
    };
    if is_doubtful(message) && crash::has_fault("doubt counts as sent") {
        return Ok(delivered(core, message, None, None, None).await?);
    }
    // Whether it was attempted may be known to nobody: the ledger may have been unable to take that.
    if message.state == MessageState::Sending {
        // Without an answer of the platform nothing can be sent either.
        let Some(platform_ms) = channel.ask_platform_ms().await else {
            let wait = wait_before(message.attempts, 0, fastrand::f64()) as i64;
            return Ok(postpone(core, message, wait, "the platform's time could not be asked").await?);
        };
        if is_old(message, platform_ms) {
            return look_up(core, channel.as_ref(), message).await;
        }
    }
    if message.state == MessageState::Ready {
        let (row, platform_ms) = (message.clone(), core.platform_ms(&message.channel));
        match core.ledger.write(move |tx| messages::claim(tx, &row, platform_ms)).await {
            Ok(()) => {}
            Err(LedgerError::Stale(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    attempt(core, channel.as_ref(), message).await
}

/// Attempted before, and nobody knows what came of it. What was born `sending` is attempted now for the first time.
fn is_doubtful(message: &OutMessage) -> bool {
    message.state == MessageState::Sending && message.attempts > 0
}

/// Too old for the platform's own recognition, by the platform's clock; or that went back and age means nothing.
fn is_old(message: &OutMessage, platform_ms: i64) -> bool {
    let first = message.first_attempt_ms.unwrap_or(message.created_at_ms);
    !(-60_000..=KEY_VALID_MS).contains(&(platform_ms - first))
}

async fn attempt(core: &Core, channel: &dyn Channel, message: &OutMessage) -> anyhow::Result<()> {
    let resource = match upload_if_needed(core, channel, message).await? {
        Ok(resource) => resource,
        Err(error) => return not_uploaded(core, channel, message, &error).await,
    };
    let out = Outgoing {
        delivery: message.id.clone(),
        key: key_of(&message.id),
        target: message.target.clone(),
        body: message.body.clone(),
        form: message.form,
        lang: message.lang,
        resource,
    };
    crash::point("w7.before");
    debug!(delivery.id = %message.id, "Sends delivery {}", message.id);
    let answered = channel.send(&out).await;
    crash::point("w7.told");
    match answered {
        Ok(sent) => delivered(core, message, sent.message.as_ref(), sent.topic.as_ref(), sent.platform_ms)
            .await
            .map_err(Into::into),
        Err(error) => refused(core, message, &error).await,
    }
}

fn key_of(delivery: &DeliveryId) -> String {
    match crash::has_fault("no uuid") {
        true => send_key(&DeliveryId::fresh()),
        false => send_key(delivery),
    }
}

/// Without its key in the ledger nothing is sent: what has no key there was surely never sent.
async fn upload_if_needed(
    core: &Core,
    channel: &dyn Channel,
    message: &OutMessage,
) -> Result<Result<Option<ResourceKey>, SendError>, LedgerError> {
    let (Body::File { sha256, .. } | Body::Image { sha256, .. }) = &message.body else { return Ok(Ok(None)) };
    if message.resource.is_some() {
        return Ok(Ok(message.resource.clone()));
    }
    let key = match channel.upload(&message.body, &core.config.outbox.join(sha256)).await {
        Ok(key) => key,
        Err(error) => return Ok(Err(error)),
    };
    crash::point("upload.told");
    let (id, stored) = (message.id.clone(), key.clone());
    core.ledger.write(move |tx| messages::set_resource(tx, &id, &stored)).await?;
    Ok(Ok(Some(key)))
}

/// Certainly not sent, whatever became of the upload. It holds up its chat, so it is not tried for ever.
async fn not_uploaded(
    core: &Core,
    channel: &dyn Channel,
    message: &OutMessage,
    error: &SendError,
) -> anyhow::Result<()> {
    let right = channel.right_to_upload(error);
    let wait = match error.disposition {
        _ if right.is_some() => None,
        // Without a connection, or where the platform lets nothing through, nothing else could be sent either.
        Disposition::Paused { wait_ms } => Some(wait_ms),
        Disposition::RetryAfter { wait_ms } if error.code.is_none() => Some(wait_ms),
        Disposition::RetryAfter { wait_ms } | Disposition::Ambiguous { wait_ms } => {
            let (key, now) = (format!("upload:{}", message.id), core.now_ms());
            let began = core.ledger.write(move |tx| said::first_at(tx, &key, now)).await?;
            (now - began < UPLOAD_FOR_MS).then_some(wait_ms)
        }
        // An upload names no chat: no refusal of one says anything of the chat.
        _ => None,
    };
    let Some(asked) = wait else { return Ok(leave_file(core, message, error, right).await?) };
    info!(delivery.id = %message.id, code = error.code, %error, "The file of delivery {} was not uploaded", message.id);
    let again = Again {
        form: message.form,
        target: message.target.clone(),
        next_at_ms: core.now_ms() + wait_before(message.attempts, asked, fastrand::f64()) as i64,
        problem: error.to_string(),
        code: error.code,
    };
    Ok(write_again(core, message, again).await?)
}

/// The file stays on the computer: its chat is told so, and the owner what is missing.
async fn leave_file(
    core: &Core,
    message: &OutMessage,
    error: &SendError,
    right: Option<&'static str>,
) -> Result<(), LedgerError> {
    warn!(delivery.id = %message.id, %error, "The file of delivery {} cannot be uploaded", message.id);
    let (message, problem, frame) = (message.clone(), error.to_string(), core.frame(&message.channel));
    core.ledger
        .write(move |tx| {
            messages::undeliverable(tx, &message.id, &problem)?;
            audit::note(tx, "ally", "undeliverable", message.id.as_str(), &problem, frame.now_ms)?;
            let (Some(turn), Some(id)) = (&message.turn, &message.conversation) else { return Ok(()) };
            let conversation = conversations::get(tx, id)?;
            let told = |lang| say::file_left(lang, turn.as_str(), right);
            let text = remedy::tell(tx, &frame, &conversation, "upload", told)?;
            notice(tx, &message.channel, message.target.clone(), Some(id), None, text, message.lang, frame.now_ms)
        })
        .await
}

/// W7.
async fn delivered(
    core: &Core,
    message: &OutMessage,
    platform: Option<&MessageId>,
    topic: Option<&TopicId>,
    platform_ms: Option<i64>,
) -> Result<(), LedgerError> {
    let since = core.seen_since_ms(&message.channel, platform_ms);
    let (id, conversation) = (message.id.clone(), message.conversation.clone());
    let (platform, topic, now) = (platform.cloned(), topic.cloned(), core.now_ms());
    core.ledger
        .write(move |tx| {
            messages::sent(tx, &id, platform.as_ref(), now)?;
            if let Some((card, told)) = surfaces::told_in(tx, &id)? {
                surfaces::seen(tx, &card.id, now)?;
                told.iter().try_for_each(|gate| gates::seen(tx, gate, since))?;
            }
            if let (Some(conversation), Some(topic)) = (conversation, topic) {
                conversations::learn_topic(tx, &conversation, &topic)?;
            }
            Ok(())
        })
        .await?;
    // It may have been a request that no card shows.
    core.wakes.reminders.notify_one();
    crash::point("w7.after");
    Ok(())
}

/// What a failed attempt means, as the channel judged it.
async fn refused(core: &Core, message: &OutMessage, error: &SendError) -> anyhow::Result<()> {
    let now = core.now_ms();
    info!(delivery.id = %message.id, code = error.code, disposition = ?error.disposition, %error, "Delivery {} was not sent", message.id);
    let again = |form: u32, target: Target, wait_ms: u64| Again {
        form,
        target,
        next_at_ms: now + wait_ms as i64,
        problem: error.to_string(),
        code: error.code,
    };
    match error.disposition {
        // What kept this attempt from the platform says nothing of the one before it.
        Disposition::Ambiguous { wait_ms } | Disposition::RetryAfter { wait_ms } | Disposition::Paused { wait_ms }
            if is_doubtful(message) || matches!(error.disposition, Disposition::Ambiguous { .. }) =>
        {
            let (id, problem) = (message.id.clone(), error.to_string());
            let wait = wait_before(message.attempts, wait_ms, fastrand::f64()) as i64;
            core.ledger.write(move |tx| messages::ambiguous(tx, &id, now + wait, &problem)).await?;
        }
        Disposition::Ambiguous { wait_ms } | Disposition::RetryAfter { wait_ms } | Disposition::Paused { wait_ms } => {
            let wait = wait_before(message.attempts, wait_ms, fastrand::f64());
            write_again(core, message, again(message.form, message.target.clone(), wait)).await?;
        }
        Disposition::NextForm => {
            write_again(core, message, again(message.form + 1, message.target.clone(), 0)).await?;
        }
        Disposition::WithoutReply if message.target.reply_to.is_some() => {
            let target = without_reply(core, message).await?;
            write_again(core, message, again(message.form, target, 0)).await?;
        }
        Disposition::WithoutReply | Disposition::Undeliverable => undeliverable(core, message, error).await?,
        Disposition::NoForm => no_form(core, message, error).await?,
    }
    Ok(())
}

async fn write_again(core: &Core, message: &OutMessage, again: Again) -> Result<(), LedgerError> {
    let id = message.id.clone();
    core.ledger.write(move |tx| messages::refused(tx, &id, &again)).await
}

async fn postpone(core: &Core, message: &OutMessage, wait_ms: i64, problem: &str) -> Result<(), LedgerError> {
    let again = Again {
        form: message.form,
        target: message.target.clone(),
        next_at_ms: core.now_ms() + wait_ms,
        problem: problem.to_owned(),
        code: None,
    };
    if message.state == MessageState::Sending {
        let id = message.id.clone();
        return core.ledger.write(move |tx| messages::ambiguous(tx, &id, again.next_at_ms, &again.problem)).await;
    }
    write_again(core, message, again).await
}

/// The message that was to be answered is gone: the topic's root takes its place, or the chat itself.
async fn without_reply(core: &Core, message: &OutMessage) -> Result<Target, LedgerError> {
    let root = match message.conversation.clone() {
        Some(id) => core.ledger.read(move |tx| conversations::get(tx, &id)).await?.root,
        None => None,
    };
    let reply_to = root.filter(|root| message.target.reply_to.as_ref() != Some(root));
    Ok(Target { chat: message.target.chat.clone(), in_topic: reply_to.is_some(), reply_to })
}

/// Every form was refused, and the chat is there: whoever waits for the answer is told where it lies.
async fn no_form(core: &Core, message: &OutMessage, error: &SendError) -> Result<(), LedgerError> {
    warn!(delivery.id = %message.id, code = message.problem_code, "The platform took no form of delivery {}", message.id);
    let (message, now) = (message.clone(), core.now_ms());
    let problem = message.problem.clone().unwrap_or_else(|| error.to_string());
    core.ledger
        .write(move |tx| {
            messages::undeliverable(tx, &message.id, &problem)?;
            audit::note(tx, "ally", "undeliverable", message.id.as_str(), &problem, now)?;
            let (target, conversation) = (message.target.clone(), message.conversation.as_ref());
            if let Some((surface, _)) = surfaces::told_in(tx, &message.id)? {
                let Some(Picture::Card(view)) = &surface.wanted else { return Ok(()) };
                let Some(text) = say::waits_unseen(view, message.lang, now) else { return Ok(()) };
                return notice(tx, &message.channel, target, conversation, None, text, message.lang, now);
            }
            // A sentence of ally's own that is refused is not answered with another.
            let (Some(turn), false) = (&message.turn, matches!(message.body, Body::Notice { .. })) else {
                return Ok(());
            };
            let text = say::answer_refused(message.lang, message.problem_code, turn.as_str());
            notice(tx, &message.channel, target, conversation, None, text, message.lang, now)
        })
        .await
}

/// No way to this chat: the owner is told what and where, once a chat and hour.
async fn undeliverable(core: &Core, message: &OutMessage, error: &SendError) -> Result<(), LedgerError> {
    warn!(delivery.id = %message.id, %error, "Delivery {} cannot be delivered", message.id);
    let owner = core.access(&message.channel).owner.clone();
    let name = core.chat_name(&message.channel, &message.target.chat).await;
    let obstacle = core.channel(&message.channel).map_or(Obstacle::Here, |channel| channel.obstacle(error));
    let (id, channel, chat) = (message.id.clone(), message.channel.clone(), message.target.chat.clone());
    let (problem, lang, now) = (error.to_string(), core.config.lang, core.now_ms());
    let turn = message.turn.as_ref().map_or_else(String::new, TurnId::to_string);
    core.ledger
        .write(move |tx| {
            messages::undeliverable(tx, &id, &problem)?;
            audit::note(tx, "ally", "undeliverable", id.as_str(), &problem, now)?;
            let Some(home) = owner.map(|owner| owner_chat(tx, &channel, &owner)).transpose()?.flatten() else {
                return Ok(());
            };
            if home != chat && first_in_hours(tx, &format!("undeliverable:{channel}:{chat}"), now)? {
                let target = Target { chat: home, reply_to: None, in_topic: false };
                notice(tx, &channel, target, None, None, say::undeliverable(lang, &name, obstacle, &turn), lang, now)?;
            }
            Ok(())
        })
        .await
}

/// The owner's direct chat, where he has ever written to the bot.
fn owner_chat(tx: &Transaction<'_>, channel: &ChannelName, owner: &UserId) -> Result<Option<ChatId>, LedgerError> {
    crate::ledger::inbound::direct_chat_of(tx, channel, owner)
}

/// An ambiguous row past the platform's own memory: is it in the chat?
async fn look_up(core: &Core, channel: &dyn Channel, message: &OutMessage) -> anyhow::Result<()> {
    let topic = match message.conversation.clone() {
        Some(id) => core.ledger.read(move |tx| conversations::get(tx, &id)).await?.topic,
        None => None,
    };
    let since_ms = message.first_attempt_ms.unwrap_or(message.created_at_ms);
    let name = message.channel.clone();
    let known = core.ledger.read(move |tx| messages::newest_platform_ids(tx, &name, NEIGHBOURS)).await?;
    let lookup = Lookup {
        delivery: message.id.clone(),
        target: message.target.clone(),
        topic,
        since_ms,
        body: message.body.clone(),
        form: message.form,
        lang: message.lang,
        resource: message.resource.clone(),
        known,
    };
    match channel.find_sent(&lookup).await {
        Ok(Some(found)) => {
            info!(delivery.id = %message.id, "Delivery {} had been sent", message.id);
            Ok(delivered(core, message, Some(&found), None, None).await?)
        }
        Ok(None) => {
            // Certainly not there: as good as never attempted.
            Ok(write_again(
                core,
                message,
                Again {
                    form: message.form,
                    target: message.target.clone(),
                    next_at_ms: core.now_ms(),
                    problem: "was not in the chat".to_owned(),
                    code: None,
                },
            )
            .await?)
        }
        Err(error) => not_found_out(core, message, &error, since_ms).await,
    }
}

/// The look-up failed: tried again for a while, and then decided without it. Nothing behind it may wait for ever.
async fn not_found_out(core: &Core, message: &OutMessage, error: &SendError, since_ms: i64) -> anyhow::Result<()> {
    let wait = match error.disposition {
        Disposition::RetryAfter { wait_ms } | Disposition::Paused { wait_ms } | Disposition::Ambiguous { wait_ms } => {
            LOOK_AGAIN_MS.max(wait_ms as i64)
        }
        // Nobody may look, or nobody can find it.
        _ => return Ok(send_as_repeat(core, message, error).await?),
    };
    // Without a connection nothing could be sent either: that is no time in which it was looked for.
    let unreached = error.code.is_none() && matches!(error.disposition, Disposition::RetryAfter { .. });
    let (key, now) = (format!("look-up:{}:{since_ms}", message.id), core.now_ms());
    let began = core.ledger.write(move |tx| said::first_at(tx, &key, now)).await?;
    if !unreached && now - began >= LOOK_FOR_MS {
        return Ok(send_as_repeat(core, message, error).await?);
    }
    Ok(postpone(core, message, wait, "could not look for it in the chat").await?)
}

/// Never lost beats never twice, and what may be a repeat says so.
async fn send_as_repeat(core: &Core, message: &OutMessage, error: &SendError) -> Result<(), LedgerError> {
    warn!(delivery.id = %message.id, %error, "Delivery {} is sent as a possible repeat", message.id);
    let (id, now) = (message.id.clone(), core.now_ms());
    let body = say::may_be_repeat(message.lang, message.body.clone());
    let again = Again {
        form: message.form,
        target: message.target.clone(),
        next_at_ms: now,
        problem: error.to_string(),
        code: error.code,
    };
    core.ledger
        .write(move |tx| {
            messages::set_body(tx, &id, &body)?;
            audit::note(tx, "ally", "may be a repeat", id.as_str(), &again.problem, now)?;
            messages::refused(tx, &id, &again)
        })
        .await
}

/// After a restart: what was being created or changed is looked at again at once, and what was being sent is doubtful.
pub async fn after_restart(core: &Core) -> Result<(), LedgerError> {
    core.ledger
        .write(|tx| {
            messages::count_unanswered(tx)?;
            surfaces::forget_unanswered(tx)
        })
        .await
}

/// The clock was set back: what waits for a time waits for none.
pub async fn after_clock(core: &Core) -> Result<(), LedgerError> {
    let now = core.now_ms();
    core.ledger
        .write(move |tx| {
            messages::forget_waits(tx, now)?;
            surfaces::forget_waits(tx, now)
        })
        .await?;
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    Ok(())
}
