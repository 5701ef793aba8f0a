//! What became of a turn that an earlier bridge followed. Where its process lives it is followed again; else first the
//! proof that it is gone, then a pull, then the table of [`crate::domain::verdict`].

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::conversation::{Handle, Next};
use super::core::Core;
use super::host::{HostState, LiveRuntime};
use super::pictures::{self, Frame, Live};
use super::ports::*;
use super::settle::{self, Finish};
use super::{posture, prompts, say, turn_runner};
use crate::crash;
use crate::domain::action::{Action, Reopen};
use crate::domain::history::PulledTurn;
use crate::domain::ids::*;
use crate::domain::turn::{Outcome, StopReason};
use crate::domain::verdict::{
    Found, FoundStatus, HistoryError, Known, MAX_PULLS, Verdict, after_death, compaction_after_death,
};
use crate::domain::view::{Background, ButtonRole, LiveState};
use crate::ledger::conversations::{Conversation, HeldWhy};
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, Transaction, conversations, gates, generations, inbound, threads, turns};

/// A runtime that could not answer about a turn is asked again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A turn that the ledger calls active and that nobody follows.
pub async fn recover(
    core: &Arc<Core>,
    conversation: &Conversation,
    turn: &Turn,
    handle: &Arc<Handle>,
) -> anyhow::Result<Next> {
    let Some(generation) = turn.generation else {
        // Active without a generation cannot be written by us; the queue is the safe place.
        let turn = turn.clone();
        core.ledger.write(move |tx| turns::not_run(tx, &turn, 0)).await?;
        return Ok(Next::Again);
    };
    let row = core.ledger.read(move |tx| generations::get(tx, generation)).await?;
    if row.state != "dead" {
        return wait_for_death(core, turn, generation, handle).await;
    }
    // The successor answers for the dead one: its opening of the thread is the second proof.
    let live = match core.host.look() {
        Ok(live) => live,
        Err(mut nothing) => {
            show_no_successor(core, conversation, turn, nothing.found.clone()).await?;
            tokio::select! {
                () = nothing.over() => {}
                () = handle.woken() => {}
            }
            return Ok(Next::Again);
        }
    };
    judge(core, &live, conversation, turn, row.boot_changed).await
}

/// The turn's card must not say that it runs while nothing is there that could run it.
async fn show_no_successor(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    found: HostState,
) -> Result<(), LedgerError> {
    if !matches!(found, HostState::Trouble(_) | HostState::Stuck(_)) {
        return Ok(());
    }
    paused(core, conversation, turn, move |tx, frame, conversation| {
        turn_runner::trouble(tx, frame, conversation, &found)
    })
    .await?;
    core.wakes.outbox.notify_one();
    Ok(())
}

/// The turn's card says why nothing happens.
async fn paused(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    why: impl FnOnce(&Transaction<'_>, &Frame, &Conversation) -> Result<String, LedgerError> + Send + 'static,
) -> Result<(), LedgerError> {
    let (frame, conversation, id) = (core.frame(&conversation.channel), conversation.clone(), turn.id.clone());
    core.ledger
        .write(move |tx| {
            let turn = turns::get(tx, &id)?;
            if !turn.state.is_active() {
                return Ok(());
            }
            let why = why(tx, &frame, &conversation)?;
            let progress = turn.progress.clone().unwrap_or_default();
            let live = Live { state: LiveState::Paused { why }, progress: &progress, unreachable_since_ms: None };
            pictures::live(tx, &frame, &conversation, &turn, &live)
        })
        .await?;
    core.wakes.painter.notify_one();
    Ok(())
}

/// The host is still burying it, or it is the live one: taken up from an earlier bridge, or the follower just let go.
async fn wait_for_death(
    core: &Arc<Core>,
    turn: &Turn,
    generation: Generation,
    handle: &Arc<Handle>,
) -> anyhow::Result<Next> {
    let live = core.host.now().is_some_and(|live| live.generation == generation);
    if live {
        return adopt(core, turn, handle).await;
    }
    let mut state = core.host.watch();
    tokio::select! {
        _ = state.changed() => {}
        () = handle.woken() => {}
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    Ok(Next::Again)
}

/// Follows a turn of the live process again.
async fn adopt(core: &Arc<Core>, turn: &Turn, handle: &Arc<Handle>) -> anyhow::Result<Next> {
    let (Some(live), Some(thread)) = (core.host.now(), turn.thread.clone()) else {
        return Ok(Next::Sleep(Duration::from_secs(1)));
    };
    let id = turn.conversation.clone();
    let conversation = core.ledger.read(move |tx| conversations::get(tx, &id)).await?;
    let again = core.host.parked(&thread);
    let hears_again = again.is_some();
    if !hears_again {
        // A follower that failed (ledger trouble): the process tells when it is asked, by a pull in the next look.
        warn!(turn.id = %turn.id, "Turn {} has a live process and nobody follows it", turn.id);
    }
    let facts = again.unwrap_or_else(|| core.host.listen(&thread));
    if core.host.now().is_none_or(|now| now.generation != live.generation) {
        // It died before we listened: nobody would ever tell us.
        return Ok(Next::Again);
    }
    // A turn that waits for a person has no lease; a running one works there already.
    let lease = core.leases.reserved(&turn.id).or_else(|| core.leases.try_take(&turn.directory).ok());
    let mut follow = super::follow::Follow::new(core, &live, &conversation, turn.clone(), thread, facts, lease);
    follow.adopt(hears_again);
    follow.to_the_end(handle).await
}

async fn judge(
    core: &Arc<Core>,
    live: &LiveRuntime,
    conversation: &Conversation,
    turn: &Turn,
    boot_changed: bool,
) -> anyhow::Result<Next> {
    // It works no more.
    drop(core.leases.reserved(&turn.id));
    let known = known(core, conversation, turn, boot_changed).await?;
    let compacts = prompts::compaction(&turn.prompt).is_some();
    let judged = if compacts { compaction_after_death } else { after_death };
    let mut pulls_failed = 0;
    let (found, pulled) = loop {
        let (found, pulled) = match look(core, live, conversation, turn).await {
            Looked::Found(found, pulled) => (found, pulled),
            // The process that was asked says nothing about the turn: it is asked again, or its successor is.
            Looked::NotNow => return Ok(Next::Sleep(ASK_AGAIN)),
            Looked::Elsewhere => return held_elsewhere(core, conversation, turn).await,
        };
        if judged(&found, Known { pulls_failed, ..known }) != Verdict::Retry {
            break (found, pulled);
        }
        pulls_failed += 1;
        if pulls_failed <= MAX_PULLS {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut verdict = judged(&found, Known { pulls_failed, ..known });
    if crash::has_fault("submit again without asking") && matches!(verdict, Verdict::Lost(_)) {
        verdict = Verdict::NotRun { new_thread: false };
    }
    info!(turn.id = %turn.id, ?verdict, "After its process died, turn {}: {verdict:?}", turn.id);
    apply(core, live, conversation, turn, verdict, pulled).await?;
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    Ok(Next::Again)
}

async fn known(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    boot_changed: bool,
) -> Result<Known, LedgerError> {
    let (id, here, of) = (turn.id.clone(), conversation.clone(), turn.thread.clone());
    let (recalled, asked, thread_has_settled_turns) = core
        .ledger
        .read(move |tx| {
            let recalled = was_recalled(tx, &id)?;
            // The conversation may have gone on with another thread since.
            let settled = match &of {
                Some(thread) if here.thread.as_ref() != Some(thread) => {
                    threads::get(tx, &here.channel, &here.chat, thread)?.map_or(0, |thread| thread.settled)
                }
                _ => here.settled_on_thread,
            };
            Ok((recalled, !gates::of_turn(tx, &id)?.is_empty(), settled > 0))
        })
        .await?;
    Ok(Known {
        // Whoever let it reach the network did not want it gone.
        stop_requested: turn.stop.as_ref().is_some_and(|stop| stop.reason != StopReason::Network),
        recalled,
        boot_changed,
        thread_has_settled_turns,
        acted: turn.tool_seen || asked,
        durable: turn.evidence == Some(Evidence::Durable),
        pulls_failed: 0,
    })
}

/// The very words that the turn is about were recalled; what was sent along with them, or put into it, is not it.
fn was_recalled(tx: &Transaction<'_>, turn: &TurnId) -> Result<bool, LedgerError> {
    let asked = turns::get(tx, turn)?.reply_to;
    let rows = inbound::of_turn(tx, turn)?;
    Ok(rows.iter().any(|row| row.message == asked && row.reason.as_deref() == Some("recalled")))
}

/// What a look at the runtime's history gave.
enum Looked {
    Found(Found, Option<PulledTurn>),
    /// No answer about the turn, nor about its history.
    NotNow,
    /// Another program has the thread.
    Elsewhere,
}

impl Looked {
    fn failed(error: &CallError) -> Self {
        match error {
            CallError::Gone | CallError::Busy { .. } | CallError::NoAnswer { .. } => Looked::NotNow,
            CallError::Elsewhere => Looked::Elsewhere,
            CallError::NoThread { .. } => Looked::Found(Found::NoHistory(HistoryError::NoThread), None),
            _ => Looked::Found(Found::NoHistory(HistoryError::Other), None),
        }
    }
}

/// What the turn came to is asked when the other program has let go of the thread.
async fn held_elsewhere(core: &Core, conversation: &Conversation, turn: &Turn) -> anyhow::Result<Next> {
    if conversation.held.is_none() {
        let text = say::elsewhere(conversation.lang);
        let again = Action::Reopen { conversation: conversation.id.clone(), how: Reopen::TryAgain };
        let ways = vec![(ButtonRole::TryAgain, again)];
        paused(core, conversation, turn, {
            let text = text.clone();
            move |_, _, _| Ok(text)
        })
        .await?;
        turn_runner::hold(core, conversation, turn, HeldWhy::Elsewhere, text, ways).await?;
        return Ok(Next::Again);
    }
    Ok(Next::Nothing)
}

async fn look(core: &Core, live: &LiveRuntime, conversation: &Conversation, turn: &Turn) -> Looked {
    let Some(thread) = turn.thread.clone() else { return Looked::Found(Found::Absent, None) };
    // Loading the thread is refused as long as a former process holds it.
    let posture = match posture::of(core, conversation, turn, &turn.directory).await {
        Ok(posture) => posture,
        Err(error) => {
            warn!(turn.id = %turn.id, %error, "The posture of a dead turn cannot be read yet");
            return Looked::NotNow;
        }
    };
    match live.open(Some(&thread), &turn.directory, &posture).await {
        Ok(_) | Err(CallError::NoThread { .. }) => {}
        Err(error) => {
            warn!(turn.id = %turn.id, %error, "The thread of a dead turn cannot be opened yet");
            return Looked::failed(&error);
        }
    }
    let pull =
        Pull { thread, client: turn.client_id.clone(), turn: turn.native_turn.clone(), cursor: turn.cursor.clone() };
    match live.call(|runtime| runtime.pull(&pull)).await {
        Ok(history) => {
            let found = history.turns.iter().find(|pulled| settle::is_ours(turn, pulled));
            // A turn newer than the cursor without any item is ours too: nothing else submits here.
            let found = found.or_else(|| history.turns.iter().find(|pulled| pulled.items.is_empty()));
            match found {
                Some(pulled) => {
                    let pulled = match &turn.client_id {
                        Some(client) => pulled.clone().since(client),
                        None => pulled.clone(),
                    };
                    let found = Found::Turn { status: pulled.status, end: pulled.end, items: pulled.items.len() };
                    Looked::Found(found, Some(pulled))
                }
                None if history.proves_absence() => Looked::Found(Found::Absent, None),
                None => Looked::Found(Found::NoHistory(HistoryError::Other), None),
            }
        }
        Err(error) => {
            warn!(turn.id = %turn.id, %error, "The history of a dead turn cannot be read");
            Looked::failed(&error)
        }
    }
}

async fn apply(
    core: &Core,
    live: &LiveRuntime,
    conversation: &Conversation,
    turn: &Turn,
    verdict: Verdict,
    pulled: Option<PulledTurn>,
) -> anyhow::Result<()> {
    let frame = core.frame(&conversation.channel);
    let (id, conversation_id) = (turn.id.clone(), conversation.id.clone());
    let native = pulled.as_ref().map(|pulled| pulled.native.clone());
    let thread = turn.thread.clone();
    match verdict {
        Verdict::Settle(outcome) => {
            let progress = turn.progress.clone().unwrap_or_default();
            let mut finish = match &pulled {
                Some(found) => Finish::from_pull(outcome, found, progress),
                // A compaction of which nothing is there.
                None => Finish { progress, ..Finish::bare(outcome, None) },
            };
            finish.merge_if_silent(turn);
            finish.can_compact = live.capabilities().compact;
            settle::render_answer(core, conversation, turn, &mut finish)?;
            if outcome == Outcome::Interrupted
                && pulled.as_ref().map(|p| p.status) == Some(FoundStatus::InterruptedOpen)
            {
                finish.background = Background::MayRunOn;
            }
            core.ledger.write(move |tx| settle::finish(tx, &frame, &id, &finish)).await?;
        }
        Verdict::Lost(how) => {
            core.ledger.write(move |tx| settle::lose(tx, &frame, &id, how, native.as_ref())).await?;
        }
        Verdict::Cancelled => {
            let shutdown = turn.stop.as_ref().is_some_and(|stop| stop.reason == StopReason::Shutdown);
            core.ledger
                .write(move |tx| {
                    let turn = turns::get(tx, &id)?;
                    if shutdown {
                        // ally itself was stopped before the turn reached the runtime: nobody wanted it gone.
                        turns::clear_stop(tx, &turn.id)?;
                        return settle::back_to_queue(tx, &frame, &turn, 0);
                    }
                    settle::cancelled(tx, &frame, &turn)
                })
                .await?;
        }
        Verdict::NotRun { new_thread } => {
            core.ledger
                .write(move |tx| {
                    if new_thread {
                        // What somebody chose meanwhile stays.
                        if conversations::get(tx, &conversation_id)?.thread == thread {
                            conversations::set_thread(tx, &conversation_id, None, None)?;
                        }
                    } else if let (Some(native), Some(thread)) = (&native, &thread) {
                        // An empty turn is there: the next look must not take it for ours.
                        conversations::set_cursor(tx, &conversation_id, thread, native)?;
                    }
                    settle::back_to_queue(tx, &frame, &turns::get(tx, &id)?, 0)
                })
                .await?;
        }
        Verdict::Retry => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
