//! The end of a run, in the transaction that ends its turn.

use crate::bridge::pictures::Frame;
use crate::bridge::prompts;
use crate::domain::turn::{Outcome, StopReason};
use crate::domain::history::Failure;
use crate::ledger::routines::{self, RunOutcome};
use crate::ledger::turns::{self, NewTurn, Turn};
use crate::ledger::{LedgerError, Transaction};

/// Between two tries of a run, in milliseconds; it doubles with each.
const AGAIN_MS: i64 = 30_000;

/// What became of the turn becomes of its run. A run that failed may be tried again; one of which nobody knows what it did
/// never is.
pub(in crate::bridge) fn over(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &Turn,
    outcome: Outcome,
    failure: Option<&Failure>,
) -> Result<(), LedgerError> {
    let Some(run) = routines::of_turn(tx, &turn.id)? else { return Ok(()) };
    let how = run_outcome(outcome, turn.stop.as_ref().map(|stop| stop.reason));
    let retries = prompts::thaw(&turn.prompt).routine.map_or(0, |routine| routine.retries);
    let detail = failure.map(|failure| failure.detail.as_str());
    if how == RunOutcome::Failed && run.attempt <= retries {
        let wait_ms = AGAIN_MS << (run.attempt - 1).min(6);
        let new = NewTurn {
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
            not_before_ms: frame.now_ms + wait_ms,
        };
        let again = turns::insert(tx, &new, frame.now_ms)?;
        return routines::again(tx, &run.id, &again, detail.unwrap_or_default());
    }
    routines::over(tx, &run, how, detail, frame.now_ms)?;
    Ok(())
}

/// A stop and a failure at the same time are a stop.
fn run_outcome(outcome: Outcome, stop: Option<StopReason>) -> RunOutcome {
    match (outcome, stop) {
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
