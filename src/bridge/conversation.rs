//! One task per conversation with work. It is the only one that hands this conversation's turns to a runtime, in order.
//!
//! The task keeps nothing that the ledger does not know: it reads what is next, does it, and reads again. A wake-up says
//! only "look again".

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span, warn};

use super::at_end::AtEnd;
use super::core::{Core, is_outage};
use super::{alive, recovery, restored, turn_runner};
use crate::domain::ids::*;
use crate::domain::turn::{StopReason, TurnState};
use crate::ledger::conversations::{Conversation, HeldWhy};
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, conversations, settings, turns};
use crate::tasks::OnExit;

/// Longest rest of a turn that the runtime did not take, in milliseconds, with room to spare.
const LONGEST_REST_MS: i64 = 10_000;

/// The conversations that have a task.
#[derive(Default)]
pub struct Registry {
    handles: Mutex<HashMap<ConversationId, Arc<Handle>>>,
    /// No new turn is started any more (the daemon drains).
    closed: AtomicBool,
}

#[derive(Default)]
pub struct Handle {
    notify: Notify,
    /// Set by a wake-up, taken by the task before it looks: a wake-up between look and sleep is not lost.
    again: AtomicBool,
}

impl Handle {
    /// Waits for the next wake-up.
    pub async fn woken(&self) {
        while !self.again.swap(false, Ordering::AcqRel) {
            self.notify.notified().await;
        }
    }
}

impl Registry {
    /// From now on no queued turn is started.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The task of this handle is over; its successor's handle stays.
    fn leave(&self, conversation: &ConversationId, handle: &Arc<Handle>) {
        let mut handles = self.handles.lock().expect("no code panics while it holds this lock");
        if handles.get(conversation).is_some_and(|known| Arc::ptr_eq(known, handle)) {
            handles.remove(conversation);
        }
    }

    pub fn wake_all(&self) {
        for handle in self.handles.lock().expect("no code panics while it holds this lock").values() {
            handle.again.store(true, Ordering::Release);
            handle.notify.notify_one();
        }
    }
}

/// Makes sure that the conversation's task looks (again) at what is to do.
pub fn wake(core: &Arc<Core>, conversation: &ConversationId) {
    let mut handles = core.registry.handles.lock().expect("no code panics while it holds this lock");
    if let Some(handle) = handles.get(conversation) {
        handle.again.store(true, Ordering::Release);
        handle.notify.notify_one();
        return;
    }
    let handle = Arc::new(Handle::default());
    handles.insert(conversation.clone(), Arc::clone(&handle));
    drop(handles);
    let (shared, id) = (Arc::clone(core), conversation.clone());
    core.tasks.spawn("conversation", OnExit::LogOnly, move |cancel| {
        let span = info_span!("conversation", conversation.id = %id);
        async move { run(shared, id, handle, cancel).await }.instrument(span)
    });
}

async fn run(
    core: Arc<Core>,
    id: ConversationId,
    handle: Arc<Handle>,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let _leave = {
        let (core, id, handle) = (Arc::clone(&core), id.clone(), Arc::clone(&handle));
        AtEnd::new(move || core.registry.leave(&id, &handle))
    };
    let mut failures = 0u32;
    loop {
        // A panic is a failed step like any other: the ledger holds all there is to know.
        let stepped = AssertUnwindSafe(step(&core, &id, &handle)).catch_unwind();
        let worked = tokio::select! {
            () = cancel.cancelled() => break,
            worked = stepped => worked.unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked"))),
        };
        match worked {
            Ok(Next::Again) => failures = 0,
            Ok(Next::Sleep(wait)) => {
                failures = 0;
                if !sleep(&core, &handle, wait, &cancel).await {
                    break;
                }
            }
            Ok(Next::Nothing) => {
                // Only a task that nobody woke meanwhile may end; decided under the registry's lock.
                let mut handles = core.registry.handles.lock().expect("no code panics while it holds this lock");
                if !handle.again.swap(false, Ordering::AcqRel) {
                    handles.remove(&id);
                    return Ok(());
                }
            }
            Err(error) => {
                // The ledger still knows what is to do; a task that gave up would leave it lying.
                if is_outage(&error) {
                    if !core.until_writable(&cancel).await {
                        break;
                    }
                    failures = 0;
                } else {
                    warn!(error = %format!("{error:#}"), "A conversation's step failed; it is tried again");
                }
                failures += 1;
                let wait = Duration::from_millis(200u64.saturating_mul(1 << failures.min(8)));
                if !sleep(&core, &handle, wait, &cancel).await {
                    break;
                }
            }
        }
    }
    Ok(())
}

async fn sleep(core: &Core, handle: &Handle, wait: Duration, cancel: &CancellationToken) -> bool {
    tokio::select! {
        () = cancel.cancelled() => false,
        () = handle.woken() => true,
        () = core.clock.sleep(wait) => true,
    }
}

/// What a look at the ledger came to.
pub enum Next {
    Again,
    Sleep(Duration),
    Nothing,
}

/// What a conversation has to do now, as the ledger says.
async fn step(core: &Arc<Core>, id: &ConversationId, handle: &Arc<Handle>) -> anyhow::Result<Next> {
    let next = next(core, id).await?;
    // After that look: a decision that it knows of has left its mark.
    if let Some(wait) = restored::end_unknown(core, id).await? {
        return Ok(Next::Sleep(wait));
    }
    let Some((conversation, turn, locked)) = next else { return Ok(Next::Nothing) };
    if conversation.held.as_ref().is_some_and(|held| held.why == HeldWhy::Restored) {
        // Not even asked about: it may long be over.
        return Ok(Next::Nothing);
    }
    if alive::ask_stale(core, id).await? {
        return Ok(Next::Again);
    }
    match turn.state {
        // A turn that a former process or generation had: ask what became of it.
        state if state.is_active() => recovery::recover(core, &conversation, &turn, handle).await,
        TurnState::Queued if turn.stop.is_some() => stopped_before_it_ran(core, &conversation, &turn).await,
        TurnState::Queued if conversation.held.is_some() || core.registry.is_closed() => Ok(Next::Nothing),
        TurnState::Queued if locked => Ok(Next::Nothing),
        TurnState::Queued => {
            let wait = turn.not_before_ms - core.now_ms();
            // Nothing rests for longer: where it seems to, the clock was set back meanwhile.
            if (1..=LONGEST_REST_MS).contains(&wait) {
                return Ok(Next::Sleep(Duration::from_millis(wait as u64)));
            }
            debug!(turn.id = %turn.id, "Runs turn {}", turn.id);
            turn_runner::run(core, &conversation, &turn, handle).await
        }
        _ => Ok(Next::Nothing),
    }
}

/// A stop that came while it was being handed over, and then it proved not to have run.
async fn stopped_before_it_ran(core: &Arc<Core>, conversation: &Conversation, turn: &Turn) -> anyhow::Result<Next> {
    let (frame, turn) = (core.frame(&conversation.channel), turn.clone());
    core.ledger
        .write(move |tx| match turn.stop.as_ref().map(|stop| stop.reason) {
            // ally's own end: nobody wanted it gone.
            Some(StopReason::Shutdown) => turns::clear_stop(tx, &turn.id),
            _ => super::settle::cancelled(tx, &frame, &turn),
        })
        .await?;
    core.wakes.painter.notify_one();
    Ok(Next::Again)
}

/// What is to be done next, and whether the owner has locked everything.
async fn next(core: &Core, id: &ConversationId) -> Result<Option<(Conversation, Turn, bool)>, LedgerError> {
    let id = id.clone();
    core.ledger
        .read(move |tx| {
            let mut unsettled = turns::unsettled(tx, &id)?;
            unsettled.retain(|turn| !turn.is_asked());
            // What a runtime has comes before what is queued, whatever its place.
            let active = unsettled.iter().position(|turn| turn.state.is_active()).unwrap_or(0);
            match unsettled.into_iter().nth(active) {
                Some(turn) => Ok(Some((conversations::get(tx, &id)?, turn, settings::is_locked(tx)?))),
                None => Ok(None),
            }
        })
        .await
}
