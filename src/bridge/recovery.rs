//! What became of a turn whose process is gone. First the proof that it is gone, then a pull, then the table of
//! [`crate::domain::verdict`].

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::conversation::{Handle, Next};
use super::core::Core;
use super::host::LiveRuntime;
use super::ports::*;
use super::settle::{self, Finish};
use crate::domain::history::PulledTurn;
use crate::domain::ids::*;
use crate::domain::turn::{Outcome, StopReason};
use crate::domain::verdict::{Found, FoundStatus, HistoryError, Known, MAX_PULLS, Verdict, after_death};
use crate::domain::view::Background;
use crate::ledger::conversations::Conversation;
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, conversations, gates, generations, inbound, turns};

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
    let mut state = core.host.watch();
    let Some(live) = core.host.now() else {
        tokio::select! {
            _ = state.changed() => {}
            () = handle.woken() => {}
        }
        return Ok(Next::Again);
    };
    judge(core, &live, conversation, turn, row.boot_changed).await
}

/// The host is still burying it, or it is the live one and the follower just let go.
async fn wait_for_death(
    core: &Arc<Core>,
    turn: &Turn,
    generation: Generation,
    handle: &Arc<Handle>,
) -> anyhow::Result<Next> {
    let live = core.host.now().is_some_and(|live| live.generation == generation);
    if live {
        // A follower that failed (ledger trouble) while its process lives: the process must tell, and does so when asked
        // by a pull in the next look.
        warn!(turn.id = %turn.id, "Turn {} has a live process and nobody follows it", turn.id);
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
    let facts = core.host.listen(&thread);
    // A turn that waits for a person has no lease; a running one works there already.
    let lease = core.leases.try_take(&turn.directory).ok();
    let mut follow = super::follow::Follow::new(core, &live, &conversation, turn.clone(), thread, facts, lease);
    follow.adopt();
    follow.to_the_end(handle).await
}

async fn judge(
    core: &Arc<Core>,
    live: &LiveRuntime,
    conversation: &Conversation,
    turn: &Turn,
    boot_changed: bool,
) -> anyhow::Result<Next> {
    let known = known(core, conversation, turn, boot_changed).await?;
    let mut pulls_failed = 0;
    let (found, pulled) = loop {
        let (found, pulled) = look(live, conversation, turn).await;
        if after_death(&found, Known { pulls_failed, ..known }) != Verdict::Retry {
            break (found, pulled);
        }
        pulls_failed += 1;
        if pulls_failed <= MAX_PULLS {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let verdict = after_death(&found, Known { pulls_failed, ..known });
    info!(turn.id = %turn.id, ?verdict, "After its process died, turn {}: {verdict:?}", turn.id);
    apply(core, conversation, turn, verdict, pulled).await?;
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
    let id = turn.id.clone();
    let (recalled, asked) = core
        .ledger
        .read(move |tx| {
            let recalled = inbound::of_turn(tx, &id)?.iter().any(|row| row.reason.as_deref() == Some("recalled"));
            Ok((recalled, !gates::of_turn(tx, &id)?.is_empty()))
        })
        .await?;
    Ok(Known {
        stop_requested: turn.stop.is_some(),
        recalled,
        boot_changed,
        thread_has_settled_turns: conversation.thread == turn.thread && conversation.settled_on_thread > 0,
        acted: turn.tool_seen || asked,
        durable: turn.evidence == Some(Evidence::Durable),
        pulls_failed: 0,
    })
}

async fn look(live: &LiveRuntime, conversation: &Conversation, turn: &Turn) -> (Found, Option<PulledTurn>) {
    let Some(thread) = turn.thread.clone() else { return (Found::Absent, None) };
    // Loading the thread is refused as long as a former process holds it.
    match live.open(Some(&thread), &conversation.directory).await {
        Ok(_) | Err(CallError::NoThread { .. }) => {}
        Err(error) => {
            warn!(turn.id = %turn.id, %error, "The thread of a dead turn cannot be opened yet");
            return (Found::NoHistory(HistoryError::Other), None);
        }
    }
    let pull =
        Pull { thread, client: turn.client_id.clone(), turn: turn.native_turn.clone(), cursor: turn.cursor.clone() };
    match live.call(|runtime| runtime.pull(&pull)).await {
        Ok(history) => {
            let found = history.turns.iter().find(|pulled| {
                turn.native_turn.as_ref() == Some(&pulled.native)
                    || turn.client_id.as_ref().is_some_and(|client| pulled.has_client(client))
            });
            // A turn newer than the cursor without any item is ours too: nothing else submits here.
            let found = found.or_else(|| history.turns.iter().find(|pulled| pulled.items.is_empty()));
            match found {
                Some(pulled) => {
                    let pulled = match &turn.client_id {
                        Some(client) => pulled.clone().since(client),
                        None => pulled.clone(),
                    };
                    let found = Found::Turn { status: pulled.status, end: pulled.end, items: pulled.items.len() };
                    (found, Some(pulled))
                }
                None if history.proves_absence() => (Found::Absent, None),
                None => (Found::NoHistory(HistoryError::Other), None),
            }
        }
        Err(CallError::NoThread { .. }) => (Found::NoHistory(HistoryError::NoThread), None),
        Err(error) => {
            warn!(turn.id = %turn.id, %error, "The history of a dead turn cannot be read");
            (Found::NoHistory(HistoryError::Other), None)
        }
    }
}

async fn apply(
    core: &Core,
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
            let found = pulled.as_ref().expect("a verdict to settle comes from a found turn");
            let mut finish = Finish::from_pull(outcome, found, progress);
            finish.merge_if_silent(turn);
            settle::render_answer(core, conversation, &mut finish)?;
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
                        return turns::not_run(tx, &turn, 0);
                    }
                    settle::cancelled(tx, &frame, &turn)
                })
                .await?;
        }
        Verdict::NotRun { new_thread } => {
            core.ledger
                .write(move |tx| {
                    if new_thread {
                        conversations::set_thread(tx, &conversation_id, None, None)?;
                    } else if let (Some(native), Some(thread)) = (&native, &thread) {
                        // An empty turn is there: the next look must not take it for ours.
                        conversations::set_cursor(tx, &conversation_id, thread, native)?;
                    }
                    turns::not_run(tx, &turns::get(tx, &id)?, 0)
                })
                .await?;
        }
        Verdict::Retry => {}
    }
    Ok(())
}
