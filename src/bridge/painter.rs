//! Makes what is shown equal to what is wanted: cards and reactions. Newest wins; one call a surface at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::at_end::AtEnd;
use super::core::{Core, rest, unless_outage};
use super::ports::*;
use super::{pictures, say};
use crate::crash;
use crate::domain::delivery::{Disposition, send_key, wait_before};
use crate::domain::gate::GateState;
use crate::domain::ids::*;
use crate::domain::view::{Receipt, View};
use crate::ledger::messages::{self, NewMessage};
use crate::ledger::surfaces::{self, Picture, Surface, SurfaceKind};
use crate::ledger::{LedgerError, buttons, gates};
use crate::tasks::OnExit;

const BATCH: usize = 64;
/// A reaction is a courtesy: what does not get through is left after hours, or days where the platform asks for pauses.
const REACTION_TRIES: u32 = 1000;
/// After an update of unknown fate a late one may still arrive; the last picture is sent again after this.
const REPEAT_FINAL_MS: i64 = 10_000;
/// As for messages: the platform recognises the key of a creation for an hour.
const KEY_VALID_MS: i64 = 50 * 60 * 1000;
/// How long a surface of a channel that is switched off waits before it is looked at again.
const SWITCHED_OFF_MS: i64 = 60_000;

/// Reactions that are older than this process: what the former one did last with them may not be in the ledger.
struct Inherited {
    since_ms: i64,
    tidied: Mutex<HashSet<DeliveryId>>,
}

impl Inherited {
    fn is_in_doubt(&self, surface: &Surface) -> bool {
        let tidied = self.tidied.lock().expect("no code panics while it holds this lock");
        surface.attempts > 0 || (surface.created_at_ms < self.since_ms && !tidied.contains(&surface.id))
    }

    fn tidied(&self, surface: &Surface) {
        if surface.created_at_ms < self.since_ms {
            let mut tidied = self.tidied.lock().expect("no code panics while it holds this lock");
            tidied.insert(surface.id.clone());
        }
    }
}

pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    let inherited = Arc::new(Inherited { since_ms: core.now_ms(), tidied: Mutex::default() });
    let busy: Arc<Mutex<HashSet<DeliveryId>>> = Arc::default();
    while core.until_writable(&cancel).await {
        let now = core.now_ms();
        let due = core.ledger.read(move |tx| surfaces::due(tx, now, BATCH)).await?;
        for surface in due.surfaces {
            if busy.lock().expect("no code panics while it holds this lock").insert(surface.clone()) {
                dispatch(&core, &busy, &inherited, surface);
            }
        }
        // All that is due is under way now, and each end of that wakes us.
        tokio::select! {
            () = cancel.cancelled() => break,
            () = core.wakes.painter.notified() => {}
            () = tokio::time::sleep(rest(due.next_ms, core.now_ms())) => {}
        }
    }
    Ok(())
}

fn dispatch(core: &Arc<Core>, busy: &Arc<Mutex<HashSet<DeliveryId>>>, inherited: &Arc<Inherited>, id: DeliveryId) {
    let (core, busy, inherited) = (Arc::clone(core), Arc::clone(busy), Arc::clone(inherited));
    let family = core.tasks.clone();
    family.spawn("paint", OnExit::LogOnly, move |_| async move {
        let leave = {
            let id = id.clone();
            AtEnd::new(move || {
                busy.lock().expect("no code panics while it holds this lock").remove(&id);
            })
        };
        let result = paint_fresh(&core, &inherited, &id).await;
        if result.is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        drop(leave);
        core.wakes.painter.notify_one();
        // It may have been a request, which waits from now on.
        core.wakes.reminders.notify_one();
        unless_outage(result.map_err(Into::into))
    });
}

/// The list that named the surface may be older than its last painting: the row as it is now decides.
async fn paint_fresh(core: &Core, inherited: &Inherited, id: &DeliveryId) -> Result<(), LedgerError> {
    let (id, now) = (id.clone(), core.now_ms());
    match core.ledger.read(move |tx| surfaces::due_now(tx, &id, now)).await? {
        Some(surface) => paint(core, inherited, &surface).await,
        None => Ok(()),
    }
}

async fn paint(core: &Core, inherited: &Inherited, surface: &Surface) -> Result<(), LedgerError> {
    let Some(channel) = core.channel(&surface.channel).cloned() else {
        // Nothing is lost, it waits for the channel to come back.
        let (id, next) = (surface.id.clone(), core.now_ms() + SWITCHED_OFF_MS);
        let why = "the channel is switched off";
        return core.ledger.write(move |tx| surfaces::postpone(tx, &id, next, why)).await;
    };
    let limits = channel.limits();
    match &surface.wanted {
        _ if surface.is_reaction && !limits.reactions => gone(core, surface, "no reactions here").await,
        _ if !surface.is_reaction && !limits.cards => gone(core, surface, "no cards here").await,
        Some(Picture::Reaction(receipt)) => react(core, inherited, channel.as_ref(), surface, *receipt).await,
        Some(Picture::Card(view)) => match &surface.platform_id {
            Some(card) => update(core, channel.as_ref(), surface, &MessageId::from(card.as_str()), view).await,
            None => create(core, channel.as_ref(), surface, view).await,
        },
        None => gone(core, surface, "nothing is to be seen").await,
    }
}

async fn gone(core: &Core, surface: &Surface, why: &'static str) -> Result<(), LedgerError> {
    let id = surface.id.clone();
    core.ledger.write(move |tx| surfaces::gone(tx, &id, why)).await
}

/// One reaction, replaced: the old one goes first, so that there are never two.
async fn react(
    core: &Core,
    inherited: &Inherited,
    channel: &dyn Channel,
    surface: &Surface,
    receipt: Receipt,
) -> Result<(), LedgerError> {
    let message = MessageId::from(surface.subject.as_str());
    let is_unknown = surface.platform_id.is_none() && core.is_before_restore_of(&surface.channel, &message).await?;
    let result = async {
        if is_unknown || inherited.is_in_doubt(surface) {
            match channel.tidy_reactions(&message, receipt).await {
                Ok(Some(reaction)) => return Ok(reaction),
                Ok(None) => {}
                // Best effort: without the right to look, what is known of is taken away.
                Err(error) => debug!(surface.id = %surface.id, %error, "Reactions of unknown fate cannot be looked at"),
            }
        }
        if let Some(old) = &surface.platform_id {
            // In doubt it may be gone already.
            let gone = channel.unreact(&message, old).await;
            if !inherited.is_in_doubt(surface) {
                gone?;
            }
        }
        channel.react(&message, receipt).await
    };
    match result.await {
        Ok(reaction) => {
            inherited.tidied(surface);
            shown(core, surface, Some(&reaction), Some(surface.wanted_hash.clone()), core.now_ms(), (Vec::new(), 0))
                .await
        }
        // A first refusal may have been of taking the old one away: the next try looks what is there.
        Err(error) if !inherited.is_in_doubt(surface) => retry(core, surface, &error, false).await,
        Err(error) if error.may_pass() && surface.attempts < REACTION_TRIES => {
            retry(core, surface, &error, false).await
        }
        Err(error) => {
            debug!(surface.id = %surface.id, %error, "A reaction is left out");
            let (id, hash, why) = (surface.id.clone(), surface.wanted_hash.clone(), error.to_string());
            core.ledger.write(move |tx| surfaces::left_out(tx, &id, &hash, &why)).await
        }
    }
}

async fn create(core: &Core, channel: &dyn Channel, surface: &Surface, view: &View) -> Result<(), LedgerError> {
    let asked = if surface.creating { channel.ask_platform_ms().await } else { channel.platform_ms() };
    let now = asked.unwrap_or_else(|| core.now_ms());
    // A creation of unknown fate: the same key gives the same card, but perhaps with the old picture.
    let doubtful = surface.creating;
    let expired =
        doubtful && surface.first_attempt_ms.is_some_and(|first| !(-60_000..=KEY_VALID_MS).contains(&(now - first)));
    let id = surface.id.clone();
    if !core.ledger.write(move |tx| surfaces::creating(tx, &id, now)).await? {
        return Ok(());
    }
    let key = if expired { send_key(&DeliveryId::new(format!("{}+", surface.id))) } else { send_key(&surface.id) };
    let card = CardOut {
        delivery: surface.id.clone(),
        key,
        target: surface.target.clone(),
        view: view.clone(),
        lang: surface.lang,
    };
    let answered = channel.create_card(&card).await;
    crash::point("card.told");
    match answered {
        Ok(Sent { message: Some(message), topic, platform_ms }) => {
            let hash = (!doubtful).then(|| surface.wanted_hash.clone());
            if let (Some(conversation), Some(topic)) = (surface.conversation.clone(), topic) {
                core.ledger
                    .write(move |tx| crate::ledger::conversations::learn_topic(tx, &conversation, &topic))
                    .await?;
            }
            let seen = if doubtful { Vec::new() } else { view.gates() };
            let since = core.seen_since_ms(&surface.channel, platform_ms);
            shown(core, surface, Some(message.as_str()), hash, core.now_ms(), (seen, since)).await
        }
        Ok(Sent { message: None, .. }) => {
            // What it shows may be older than what is wanted now: by what was drawn on it then.
            if let Some(found) = former(core, channel, surface).await? {
                return shown(core, surface, Some(found.as_str()), None, core.now_ms(), (Vec::new(), 0)).await;
            }
            // It is there and can never be changed: its place is taken by another, under another key.
            let (id, next) = (surface.id.clone(), core.now_ms() + wait_before(surface.attempts, 0, 1.0) as i64);
            core.ledger.write(move |tx| surfaces::anew(tx, &id, next, "sent, and its id is not known")).await
        }
        Err(error) => failed(core, surface, &error, true).await,
    }
}

/// The card that was created before and whose id was not told.
async fn former(core: &Core, channel: &dyn Channel, surface: &Surface) -> Result<Option<MessageId>, LedgerError> {
    let subject = surface.subject.clone();
    let drawn = core.ledger.read(move |tx| {
        let mut drawn = buttons::of_subject(tx, &subject)?;
        for gate in gates::of_card(tx, &GateId::new(subject))? {
            drawn.extend(buttons::of_subject(tx, gate.id.as_str())?);
        }
        Ok(drawn)
    });
    Ok(channel.card_with(&surface.target, &drawn.await?).await.unwrap_or_else(|error| {
        info!(surface.id = %surface.id, %error, "The card of surface {} was not found", surface.id);
        None
    }))
}

async fn update(
    core: &Core,
    channel: &dyn Channel,
    surface: &Surface,
    card: &MessageId,
    view: &View,
) -> Result<(), LedgerError> {
    match channel.update_card(card, view, surface.lang).await {
        Ok(()) => {
            // An earlier update without an answer may still arrive and repaint; the last picture is repeated once.
            let repeat = surface.is_final && surface.attempts > 0;
            let hash = (!repeat).then(|| surface.wanted_hash.clone());
            let next = if repeat {
                core.now_ms() + REPEAT_FINAL_MS
            } else {
                core.now_ms() + channel.limits().update_every_ms as i64
            };
            let since = core.seen_since_ms(&surface.channel, None);
            shown(core, surface, None, hash, next, (view.gates(), since)).await
        }
        Err(error) => failed(core, surface, &error, false).await,
    }
}

async fn shown(
    core: &Core,
    surface: &Surface,
    platform: Option<&str>,
    hash: Option<String>,
    next_at_ms: i64,
    (seen, since_ms): (Vec<GateId>, i64),
) -> Result<(), LedgerError> {
    let (id, platform, now) = (surface.id.clone(), platform.map(str::to_owned), core.now_ms());
    core.ledger
        .write(move |tx| {
            surfaces::shown(tx, &id, platform.as_deref(), hash.as_deref(), next_at_ms, now)?;
            // From now on words can answer them.
            seen.iter().try_for_each(|gate| gates::seen(tx, gate, since_ms))
        })
        .await
}

async fn failed(core: &Core, surface: &Surface, error: &SendError, creating: bool) -> Result<(), LedgerError> {
    match error.disposition {
        // That this try was refused says nothing about an earlier one that had no answer: that card may be there.
        Disposition::RetryAfter { .. } | Disposition::Paused { .. } => {
            retry(core, surface, error, creating && !surface.creating).await
        }
        Disposition::Ambiguous { .. } => retry(core, surface, error, false).await,
        Disposition::WithoutReply if creating && surface.target.reply_to.is_some() => {
            let (id, doubtful) = (surface.id.clone(), surface.creating);
            let mut target = surface.target.clone();
            (target.reply_to, target.in_topic) = (None, false);
            core.ledger.write(move |tx| surfaces::retarget(tx, &id, &target, doubtful)).await
        }
        Disposition::WithoutReply if !creating => {
            let (id, why) = (surface.id.clone(), error.to_string());
            if core.ledger.write(move |tx| surfaces::draw_anew(tx, &id, &why)).await? {
                info!(surface.id = %surface.id, code = error.code, %error, "A card is not there any more; it is drawn anew");
                return Ok(());
            }
            say_instead(core, surface, error.to_string(), creating).await
        }
        Disposition::NextForm | Disposition::NoForm | Disposition::WithoutReply | Disposition::Undeliverable => {
            info!(surface.id = %surface.id, code = error.code, %error, "A card cannot be shown");
            say_instead(core, surface, error.to_string(), creating).await
        }
    }
}

/// A question must reach people even where its card does not. Where the card is there, and only its change was refused,
/// nothing is asked any more.
async fn say_instead(core: &Core, surface: &Surface, why: String, creating: bool) -> Result<(), LedgerError> {
    let (surface, now, frame) = (surface.clone(), core.now_ms(), core.frame(&surface.channel));
    core.ledger
        .write(move |tx| {
            surfaces::gone(tx, &surface.id, &why)?;
            // As it is wanted now: a request may have joined while it was being refused.
            let now_wanted = surfaces::find(tx, SurfaceKind::Gate, &surface.subject)?;
            let surface = now_wanted.filter(|found| found.id == surface.id).unwrap_or(surface);
            let Some(Picture::Card(view)) = &surface.wanted else { return Ok(()) };
            let asks = matches!(**view, View::Gate(_) | View::Gates(_));
            // What joined the card since it was last shown was seen by nobody.
            let unseen = view.gates().iter().map(|gate| gates::get(tx, gate)).collect::<Result<Vec<_>, _>>()?;
            let unseen = unseen.iter().any(|gate| gate.state == GateState::Open && gate.shown_at_ms.is_none());
            let Some(body) = say::instead_of_card(view, surface.lang).filter(|_| creating || unseen || !asks) else {
                return Ok(());
            };
            let new = NewMessage {
                conversation: surface.conversation.clone(),
                turn: None,
                channel: surface.channel.clone(),
                target: surface.target.clone(),
                body,
                lang: surface.lang,
                after: None,
                sending: None,
            };
            let message = messages::insert(tx, &new, now)?;
            if !asks {
                return Ok(());
            }
            surfaces::told_by(tx, &surface.id, &message, &view.gates())?;
            pictures::without_room(tx, &frame, &GateId::from(surface.subject.as_str()), &view.gates())
        })
        .await?;
    core.wakes.outbox.notify_one();
    Ok(())
}

async fn retry(core: &Core, surface: &Surface, error: &SendError, back_to_wanted: bool) -> Result<(), LedgerError> {
    let wait = match error.disposition {
        Disposition::RetryAfter { wait_ms } | Disposition::Paused { wait_ms } | Disposition::Ambiguous { wait_ms } => {
            wait_ms
        }
        _ => 1_000,
    };
    let wait = wait_before(surface.attempts, wait, fastrand::f64()) as i64;
    debug!(surface.id = %surface.id, %error, wait_ms = wait, "A surface is painted again later");
    let (id, why, next) = (surface.id.clone(), error.to_string(), core.now_ms() + wait);
    core.ledger.write(move |tx| surfaces::failed(tx, &id, next, &why, back_to_wanted)).await
}
