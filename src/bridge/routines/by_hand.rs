//! What people do with a routine: run it now, pause it, let it go on, take it away.

use crate::bridge::core::Core;
use crate::ledger::routines::{self, RoutineState, Source};
use crate::ledger::{LedgerError, Transaction, audit};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Done,
    /// It was so before.
    Already,
    /// There is no such routine.
    Unknown,
    /// One is under way, or waits.
    Busy,
    /// It is a file: that is to be taken away.
    IsFile,
}

/// Has a routine run now, in the name of `who`; at its next times it runs as before. Also one that is paused.
///
/// # Errors
/// The ledger's own.
pub async fn run_now(core: &Core, name: &str, who: &str) -> Result<Changed, LedgerError> {
    let (name, who, now) = (name.to_owned(), who.to_owned(), core.now_ms());
    let changed = core.ledger.write(move |tx| claim_now(tx, &name, &who, now)).await?;
    core.wakes.routines.notify_one();
    Ok(changed)
}

pub(in crate::bridge) fn claim_now(
    tx: &Transaction<'_>,
    name: &str,
    who: &str,
    now_ms: i64,
) -> Result<Changed, LedgerError> {
    if routines::get(tx, name)?.is_none_or(|row| row.state == RoutineState::Gone) {
        return Ok(Changed::Unknown);
    }
    if !routines::open(tx, name)?.is_empty() {
        return Ok(Changed::Busy);
    }
    // Another one of this very millisecond was just asked for.
    let claimed = routines::claim_by_hand(tx, name, who, now_ms)?;
    audit::note(tx, who, "routine run", name, "", now_ms)?;
    Ok(if claimed.is_some() { Changed::Done } else { Changed::Busy })
}

/// Pauses a routine, lets it go on, or takes it away.
///
/// # Errors
/// The ledger's own.
pub async fn change(core: &Core, name: &str, to: RoutineState, who: &str) -> Result<Changed, LedgerError> {
    let (name, who, now) = (name.to_owned(), who.to_owned(), core.now_ms());
    let changed = core.ledger.write(move |tx| set(tx, &name, to, &who, now)).await?;
    core.wakes.routines.notify_one();
    Ok(changed)
}

pub(in crate::bridge) fn set(
    tx: &Transaction<'_>,
    name: &str,
    to: RoutineState,
    who: &str,
    now_ms: i64,
) -> Result<Changed, LedgerError> {
    let Some(row) = routines::get(tx, name)?.filter(|row| row.state != RoutineState::Gone) else {
        return Ok(Changed::Unknown);
    };
    if to == RoutineState::Gone && row.source == Source::File {
        return Ok(Changed::IsFile);
    }
    if !routines::set_state(tx, name, to, now_ms)? {
        return Ok(Changed::Already);
    }
    let what = match to {
        RoutineState::On => "routine resumed",
        RoutineState::Paused => "routine paused",
        RoutineState::Gone => "routine removed",
    };
    audit::note(tx, who, what, name, "", now_ms)?;
    Ok(Changed::Done)
}
