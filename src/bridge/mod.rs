//! What happens to a message.
//!
//! [`intake`] commits what a channel hands in (W1) and lets it be acknowledged; [`prepare`] finds out what it means (W1b):
//! a command, a decision, or a turn in the queue of its [`conversation`]. The conversation's task hands the turn over
//! ([`turn_runner`], W2), follows it ([`follow`], W3, W4, W5a) and ends it ([`settle`], W6); [`outbox`] and [`painter`] take
//! what people are to see from the ledger to the channel (W7). When a process dies, [`recovery`] asks the runtime what
//! became of its turns. [`ports`] is the contract with channels and runtimes.
//!
//! Nothing in here knows a platform or a runtime by name, and nothing remembers what the ledger does not.

pub mod actions;
pub mod alive;
pub mod answering;
pub mod archive;
mod at_end;
mod autosave;
mod backfill;
pub mod checkup;
mod commands;
pub mod compaction;
pub mod companions;
pub mod conversation;
pub mod core;
mod files;
pub mod follow;
pub mod gates;
mod gather;
pub mod greeting;
pub mod host;
pub mod intake;
pub mod judge;
pub mod leases;
pub mod lock;
pub mod notices;
pub mod outbox;
mod overtake;
pub mod painter;
pub mod pairing;
pub mod pictures;
mod places;
pub mod ports;
mod posture;
pub mod prepare;
mod prompts;
mod pulse;
pub mod recovery;
mod remedy;
mod reminders;
pub mod render;
pub mod restored;
mod rights;
mod route;
pub mod routines;
mod say;
pub mod sending;
pub mod settle;
mod sweep;
pub mod tools;
pub mod turn_runner;
mod typed;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::turn::{StopReason, TurnState};
use crate::ledger::{LedgerError, conversations, turns};
use crate::tasks::OnExit;

use self::core::Core;
use self::gates::Undertaker;
use self::intake::BridgeIntake;

pub use prompts::{of_text as prompt_of, text_of as prompt_text};
pub use rights::{in_ledger as rights_in_ledger, of_app as rights_of_app};
pub use say::launch_in_status;

/// A running bridge.
pub struct Bridge {
    core: Arc<Core>,
}

impl Bridge {
    /// Starts the workers. Channels may hand in events as soon as this returns.
    pub async fn start(core: Arc<Core>) -> Result<Self, LedgerError> {
        // The one before may have died between the wiping of a row and the emptying of the log that still has it.
        core.ledger.scrub();
        core.refresh_access().await?;
        outbox::after_restart(&core).await?;
        alive::after_restart(&core).await?;
        restored::after_restart(&core).await?;
        let tasks = core.tasks.clone();
        let host = core.host.clone();
        // Those that are held since the ledger was put back work nowhere, and wait for longer than others can.
        for turn in core.ledger.read(turns::all_working).await? {
            // One that waits for a person may work beside that; where it does not it gives way soon.
            core.leases.reserve(&turn.id, &turn.directory);
        }
        let undertaker = Arc::new(Undertaker::new(Arc::clone(&core)));
        tasks.spawn("runtime", OnExit::StopDaemon, move |cancel| async move { host.run(undertaker, cancel).await });
        let shared = Arc::clone(&core);
        tasks.spawn("intake", OnExit::StopDaemon, move |cancel| prepare::run(shared, cancel));
        let shared = Arc::clone(&core);
        tasks.spawn("alive", OnExit::StopDaemon, move |cancel| alive::run(shared, cancel));
        let shared = Arc::clone(&core);
        tasks.spawn("companions", OnExit::StopDaemon, move |cancel| companions::run(shared, cancel));
        let shared = Arc::clone(&core);
        tasks.spawn("outbox", OnExit::StopDaemon, move |cancel| outbox::run(shared, cancel));
        let shared = Arc::clone(&core);
        tasks.spawn("painter", OnExit::StopDaemon, move |cancel| painter::run(shared, cancel));
        let shared = Arc::clone(&core);
        tasks.spawn("reminders", OnExit::LogOnly, move |cancel| reminders::run(shared, cancel));
        let shared = Arc::clone(&core);
        tasks.spawn("backfill", OnExit::LogOnly, move |cancel| backfill::run(shared, cancel));
        let shared = Arc::clone(&core);
        tasks.spawn("archive", OnExit::LogOnly, move |cancel| archive::run(shared, cancel));
        let shared = Arc::clone(&core);
        tasks.spawn("routines", OnExit::LogOnly, move |cancel| routines::run(shared, cancel));
        let shared = Arc::clone(&core);
        tasks.spawn("sweep", OnExit::LogOnly, move |cancel| sweep::run(shared, cancel));
        for conversation in core.ledger.read(conversations::with_work).await? {
            conversation::wake(&core, &conversation);
        }
        // Also where nothing is to do: what was given up may still go on.
        for conversation in core.ledger.read(crate::ledger::restored::in_doubt).await? {
            conversation::wake(&core, &conversation);
        }
        Ok(Self { core })
    }

    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What the channels hand their events to.
    pub fn intake(&self) -> Arc<BridgeIntake> {
        Arc::new(BridgeIntake::new(Arc::clone(&self.core)))
    }

    /// Ends the work: no new turn starts, running ones get the grace, waiting ones none; what is cut is marked as cut by
    /// the shutdown first. Queued turns stay. Resolves when nothing is active any more, or the time is over. `hurry` takes
    /// back what is left of the grace.
    pub async fn drain(&self, grace: Duration, hurry: &CancellationToken) -> Result<(), LedgerError> {
        self.core.registry.close();
        self.core.registry.wake_all();
        self.cut(|state| state == TurnState::Waiting).await?;
        if !self.idle_within(grace, hurry).await? {
            self.cut(|_| true).await?;
            // What is cut gets its time whoever is in a hurry: without it the turn could not be settled.
            self.idle_within(Duration::from_secs(5), &CancellationToken::new()).await?;
        }
        self.flushed_within(Duration::from_secs(if hurry.is_cancelled() { 1 } else { 5 })).await
    }

    /// Makes room for another bridge that goes on with all of it: nothing is cut, and what is ready is sent. False where
    /// the runtime cannot outlive this one.
    pub async fn leave(&self) -> Result<bool, LedgerError> {
        self.core.registry.close();
        if !self.core.host.leave() {
            return Ok(false);
        }
        self.flushed_within(Duration::from_secs(1)).await?;
        Ok(true)
    }

    async fn cut(&self, which: impl Fn(TurnState) -> bool + Send + 'static) -> Result<(), LedgerError> {
        let now = self.core.now_ms();
        let woken = self
            .core
            .ledger
            .write(move |tx| {
                let mut woken = Vec::new();
                for turn in turns::all_working(tx)?.into_iter().filter(|turn| which(turn.state)) {
                    let stop = turns::Stop { reason: StopReason::Shutdown, by: None, at_ms: now };
                    turns::request_stop(tx, &turn.id, &stop)?;
                    woken.push(turn.conversation);
                }
                Ok(woken)
            })
            .await?;
        for conversation in woken {
            conversation::wake(&self.core, &conversation);
        }
        Ok(())
    }

    async fn idle_within(&self, grace: Duration, hurry: &CancellationToken) -> Result<bool, LedgerError> {
        let until = tokio::time::Instant::now() + grace;
        loop {
            if self.core.ledger.read(turns::all_working).await?.is_empty() {
                return Ok(true);
            }
            if hurry.is_cancelled() || tokio::time::Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What can be sent is sent; what cannot stays in the outbox.
    async fn flushed_within(&self, grace: Duration) -> Result<(), LedgerError> {
        let until = tokio::time::Instant::now() + grace;
        self.core.wakes.outbox.notify_one();
        self.core.wakes.painter.notify_one();
        while let Some(left) = until.checked_duration_since(tokio::time::Instant::now()) {
            // A card that was just changed waits a moment for its last picture: that comes soon enough, too.
            let soon = self.core.now_ms() + i64::try_from(left.as_millis()).unwrap_or(0);
            let waiting = self
                .core
                .ledger
                .read(move |tx| {
                    let messages = crate::ledger::messages::due(tx, soon, 1)?;
                    let surfaces = crate::ledger::surfaces::due(tx, soon, 1)?;
                    Ok(!messages.heads.is_empty() || !surfaces.surfaces.is_empty())
                })
                .await?;
            if !waiting {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}
