//! What comes of a run. Its turn is ended by the same transaction as every other; here is read, from the ledger alone, what
//! that means for the run, so that nothing depends on who was alive at that moment.

use crate::bridge::pictures::Frame;
use crate::bridge::{prompts, remedy, say};
use crate::domain::ids::ConversationId;
use crate::domain::turn::{Outcome, StopReason, TurnState};
use crate::ledger::routines::{self, Run, RunOutcome};
use crate::ledger::turns::{self, NewTurn, Turn};
use crate::ledger::{LedgerError, Transaction, conversations};

/// Between two tries of a run, in milliseconds; it doubles with each.
const AGAIN_MS: i64 = 30_000;
/// So many failures in a row are told to the owner, once.
const FAILURES: u32 = 3;

/// What is said in the chat of a routine's turn that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bridge) enum Telling {
    /// As of any other.
    All,
    /// That it failed, in a line.
    Failure,
    Nothing,
}

/// What is said of a turn that ends like this. It is no run of a routine where a person had it go on or run again.
pub(in crate::bridge) fn telling(tx: &Transaction<'_>, turn: &Turn, outcome: Outcome) -> Result<Telling, LedgerError> {
    let Some(routine) = prompts::thaw(&turn.prompt).routine else { return Ok(Telling::All) };
    let Some(run) = routines::of_turn(tx, &turn.id)? else { return Ok(Telling::All) };
    let how = run_outcome(outcome, turn);
    Ok(match how {
        RunOutcome::Completed if routine.quiet => Telling::Nothing,
        RunOutcome::Failed if run.attempt <= routine.retries => Telling::Nothing,
        // One after the other: the owner hears of the third, and of all of them in the morning.
        RunOutcome::Failed | RunOutcome::TimedOut => match routines::get(tx, &run.routine)? {
            Some(row) if row.failures > 0 => Telling::Nothing,
            _ => Telling::Failure,
        },
        _ => Telling::All,
    })
}

/// Whether a run may still be under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Concluded {
    /// Its turn is not over, or is tried again later.
    Open,
    /// It is tried again: this conversation's queue has a turn more.
    Again(ConversationId),
    /// It is over.
    Over,
}

/// Whether one that failed may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    Now,
    /// The routine rests.
    Later,
    /// There is no such routine any more.
    Never,
}

/// Reads what became of a run's turn. One that failed may be tried again; one of which nobody knows what it did never is.
pub(super) fn conclude(
    tx: &Transaction<'_>,
    frame: Option<&Frame>,
    run: &Run,
    retry: Retry,
) -> Result<Concluded, LedgerError> {
    let Some(turn) = &run.turn else { return Ok(Concluded::Open) };
    let turn = turns::get(tx, turn)?;
    let TurnState::Settled(outcome) = turn.state else { return Ok(Concluded::Open) };
    let now_ms = frame.map_or(turn.settled_at_ms.unwrap_or(0), |frame| frame.now_ms);
    let how = run_outcome(outcome, &turn);
    let detail = turn.failure.as_ref().map(|failure| failure.detail.as_str());
    let retries = prompts::thaw(&turn.prompt).routine.map_or(0, |routine| routine.retries);
    if how == RunOutcome::Failed && run.attempt <= retries && retry != Retry::Never {
        let rest_ms = AGAIN_MS << (run.attempt - 1).min(6);
        // One whose chat is not there now is tried again when it is.
        let has_rested = frame.is_some() && now_ms - turn.settled_at_ms.unwrap_or(now_ms) >= rest_ms;
        if has_rested && retry == Retry::Now {
            let again = turns::insert(tx, &like(&turn), now_ms)?;
            routines::again(tx, &run.id, &again, detail.unwrap_or_default())?;
            return Ok(Concluded::Again(turn.conversation));
        }
        return Ok(Concluded::Open);
    }
    let failures = routines::over(tx, run, how, detail, now_ms)?;
    if let Some(frame) = frame.filter(|_| how.is_failure() && failures == FAILURES) {
        let conversation = conversations::get(tx, &turn.conversation)?;
        remedy::owner(tx, frame, &conversation.channel, |lang| say::routine_fails(lang, &run.routine, failures))?;
    }
    Ok(Concluded::Over)
}

/// The same once more.
fn like(turn: &Turn) -> NewTurn {
    NewTurn {
        conversation: turn.conversation.clone(),
        ord: None,
        requester: turn.requester.clone(),
        requester_name: turn.requester_name.clone(),
        title: turn.title.clone(),
        reply_to: None,
        prompt: turn.prompt.clone(),
        continues: None,
        directory: Some(turn.directory.clone()),
        network_by: None,
        not_before_ms: 0,
    }
}

/// A stop and a failure at the same time are a stop.
fn run_outcome(outcome: Outcome, turn: &Turn) -> RunOutcome {
    match (outcome, turn.stop.as_ref().map(|stop| stop.reason)) {
        (Outcome::Completed | Outcome::Merged, _) => RunOutcome::Completed,
        (Outcome::Lost, _) => RunOutcome::Lost,
        (Outcome::Cancelled, _) => RunOutcome::Cancelled,
        (_, Some(StopReason::Watchdog)) => RunOutcome::TimedOut,
        (_, Some(StopReason::Shutdown)) => RunOutcome::CutOff,
        (_, Some(StopReason::Person | StopReason::Recalled | StopReason::Network)) => RunOutcome::Stopped,
        (Outcome::Failed, None) => RunOutcome::Failed,
        (Outcome::Interrupted, None) => RunOutcome::Lost,
    }
}
