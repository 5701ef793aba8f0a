//! Knows when ally was down, the machine slept, or no runtime came up. What waited meanwhile is as old as if it had come
//! late: it asks before it runs. Waiting behind another turn does not count. Notices as well that the clock was set back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::core::Core;
use super::host::HostState;
use super::prepare::mark;
use super::{outbox, pictures};
use crate::domain::ids::*;
use crate::domain::turn::TurnState;
use crate::domain::view::Receipt;
use crate::ledger::alive::{self, Outage};
use crate::ledger::inbound::{self, InboundRow};
use crate::ledger::turns::{self, ASKED_MS, Turn};
use crate::ledger::{LedgerError, Transaction, said};

/// How exactly the beginning of an outage is known.
const BEAT: Duration = Duration::from_secs(10);
/// A shorter one is a restart that nobody noticed.
const SHORTEST_MS: i64 = 60_000;

/// A clock that is corrected by less than this holds up nothing that anybody notices.
const SET_BACK_MS: i64 = 5_000;

/// Reads what is known of former outages and adds the one that has just ended, if there was one.
pub async fn after_restart(core: &Core) -> Result<(), LedgerError> {
    let now = core.now_ms();
    let outages = core
        .ledger
        .write(move |tx| {
            let from = alive::last_beat(tx)?.unwrap_or(now);
            alive::beat(tx, now)?;
            if now - from < SHORTEST_MS {
                alive::outages(tx)
            } else {
                alive::add_outage(tx, Outage { from_ms: from, to_ms: now })
            }
        })
        .await?;
    core.set_outages(outages);
    Ok(())
}

/// Notes that ally is at work while there is work, and that the machine slept, until `cancel`.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut machine = core.clock.machine_ms();
    let mut slept = None;
    let mut last = (core.now_ms(), Instant::now());
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(BEAT) => {}
        }
        // Monotonic time stands still while the machine sleeps, its wall clock does not.
        let gap = core.clock.machine_ms() - machine - BEAT.as_millis() as i64;
        machine = core.clock.machine_ms();
        let now = core.now_ms();
        let set_back = last.0 + last.1.elapsed().as_millis() as i64 - now;
        if set_back >= SET_BACK_MS {
            warn!(seconds = set_back / 1000, "The clock was set back; what waited for a time is tried now");
            core.registry.wake_all();
            match outbox::after_clock(&core).await {
                Err(error) if error.is_outage() => continue,
                done => done?,
            }
        }
        last = (now, Instant::now());
        if gap >= SHORTEST_MS {
            info!(seconds = gap / 1000, "The machine slept");
            slept = Some(Outage { from_ms: now - gap, to_ms: now });
        }
        match beat(&core, slept, now).await {
            Ok(()) => slept = None,
            // The ledger says it itself; the next beat makes up for it.
            Err(error) if error.is_outage() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn beat(core: &Core, slept: Option<Outage>, now: i64) -> Result<(), LedgerError> {
    if let Some(outage) = slept {
        core.set_outages(core.ledger.write(move |tx| alive::add_outage(tx, outage)).await?);
        core.registry.wake_all();
    }
    let works = core.host.now().is_some();
    match (works, core.outage_since()) {
        // Not yet live is not yet trouble.
        (false, None) if matches!(core.host.state(), HostState::Trouble(_) | HostState::Stuck(_)) => {
            core.set_outage_since(Some(now));
        }
        (true, Some(from_ms)) => {
            if now - from_ms >= SHORTEST_MS {
                let outage = Outage { from_ms, to_ms: now };
                core.set_outages(core.ledger.write(move |tx| alive::add_outage(tx, outage)).await?);
            }
            core.set_outage_since(None);
        }
        _ => {}
    }
    // Without a beat the next start counts the time as lost, too.
    if core.outage_since().is_none() && core.ledger.read(alive::has_work).await? {
        core.ledger.write(move |tx| alive::beat(tx, now)).await?;
    }
    Ok(())
}

/// Asks about every queued turn of a conversation that has grown old while nobody was at work (C15). Whether there was one.
pub(super) async fn ask_stale(core: &Core, conversation: &ConversationId) -> Result<bool, LedgerError> {
    if !core.was_ever_down() {
        return Ok(false);
    }
    let mut asked = false;
    let id = conversation.clone();
    let queued = core
        .ledger
        .read(move |tx| {
            let mut queued = Vec::new();
            for turn in turns::unsettled(tx, &id)?.into_iter().filter(is_open) {
                let wanted = said::meta(tx, &wanted_key(&turn.id))?.and_then(|at| at.parse::<i64>().ok());
                queued.push((words_of(tx, &turn)?, wanted, turn));
            }
            Ok(queued)
        })
        .await?;
    for (row, wanted, turn) in queued {
        let Some(row) = row else { continue };
        if is_stale(core, &row, wanted, &turn) {
            ask(core, turn, row).await?;
            asked = true;
        }
    }
    Ok(asked)
}

fn is_open(turn: &Turn) -> bool {
    turn.state == TurnState::Queued && !turn.is_asked()
}

fn is_stale(core: &Core, row: &InboundRow, wanted: Option<i64>, turn: &Turn) -> bool {
    let down = core.down_within(wanted.unwrap_or(turn.created_at_ms), core.now_ms());
    // What somebody has said is still wanted starts anew.
    let late = if wanted.is_some() { 0 } else { (row.received_at_ms - row.sent_at_ms.unwrap_or(i64::MAX)).max(0) };
    down > 0 && late + down > core.config.stale_after.as_millis() as i64
}

/// The message that a turn answers. A turn without one (nobody waits for it in a chat) asks nobody.
pub(super) fn words_of(tx: &Transaction<'_>, turn: &Turn) -> Result<Option<InboundRow>, LedgerError> {
    Ok(inbound::of_turn(tx, &turn.id)?.into_iter().find(|row| row.message.is_some() && row.message == turn.reply_to))
}

async fn ask(core: &Core, turn: Turn, row: InboundRow) -> Result<(), LedgerError> {
    let frame = core.frame(&row.channel);
    info!(turn.id = %turn.id, "Turn {} waited while nobody was at work: it asks before it runs", turn.id);
    core.ledger
        .write(move |tx| {
            let turn = turns::get(tx, &turn.id)?;
            if !is_open(&turn) {
                return Ok(());
            }
            turns::set_not_before(tx, &turn, ASKED_MS)?;
            for row in inbound::of_turn(tx, &turn.id)? {
                mark(tx, &row, Receipt::Waiting, frame.now_ms)?;
            }
            pictures::queue(tx, &frame, &turn.conversation)?;
            pictures::late(tx, &frame, &row, frame.lang, &turn.title, None)
        })
        .await?;
    core.wakes.painter.notify_one();
    Ok(())
}

fn wanted_key(turn: &TurnId) -> String {
    format!("wanted:{turn}")
}

/// A person said that it is still wanted: from now on its age counts anew.
pub(super) fn set_wanted(tx: &Transaction<'_>, turn: &TurnId, now_ms: i64) -> Result<(), LedgerError> {
    said::set_meta(tx, &wanted_key(turn), &now_ms.to_string())
}
