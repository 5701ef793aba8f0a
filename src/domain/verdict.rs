//! What a dead generation's turn comes to: the table of durability §2, first matching row wins.
//!
//! Only for turns whose generation is *surely dead*. Absence must be proven, never assumed.

use serde::{Deserialize, Serialize};

use super::history::EndEvidence;
use super::turn::Outcome;

/// What a pull found of one turn. Filled by the recovery from a runtime's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Our client id (or the known native turn) is there.
    Turn { status: FoundStatus, end: EndEvidence, items: usize },
    /// The whole history down to the cursor was read and it is not there.
    Absent,
    /// The history itself could not be had.
    NoHistory(HistoryError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundStatus {
    Completed,
    Failed,
    /// The runtime closed it and wrote when (`completedAt` set): its commands were ended.
    InterruptedClosed,
    /// Nobody closed it: its commands may have run on.
    InterruptedOpen,
    /// Still marked as running although its process is dead.
    InProgress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryError {
    /// `no rollout`, `not loaded`, `is empty`: the thread was never materialised, or its history is gone.
    NoThread,
    /// Anything else: worth another try.
    Other,
}

/// What the ledger knows of the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub stop_requested: bool,
    pub recalled: bool,
    /// The machine was started anew since W2: what was not synced may be gone.
    pub boot_changed: bool,
    /// The thread has turns that settled with a result, so it must have a history.
    pub thread_has_settled_turns: bool,
    /// A step was seen to start or a gate was opened: the model was asked, so its absence proves nothing.
    pub acted: bool,
    /// The runtime had said that the words are in its history: that they are not there now means that the history broke.
    pub durable: bool,
    /// Tries of the pull that failed so far.
    pub pulls_failed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Settle from what was found.
    Settle(Outcome),
    Lost(LostHow),
    /// Never submitted again.
    Cancelled,
    /// Proven: nothing ran. Submit again.
    NotRun {
        new_thread: bool,
    },
    Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostHow {
    CommandsEnded,
    CommandsMayRunOn,
    HistoryGone,
    /// The machine went down: the history may lack what happened.
    MachineRestarted,
}

/// Pulls that may fail before a turn is given up as lost.
pub const MAX_PULLS: u32 = 3;

pub fn after_death(found: &Found, known: Known) -> Verdict {
    use EndEvidence::{Claimed, Proven};
    use FoundStatus::*;
    match found {
        Found::Turn { status: Completed, end: Proven, .. } => Verdict::Settle(Outcome::Completed),
        Found::Turn { status: Failed, end: Proven, .. } => Verdict::Settle(Outcome::Failed),
        // Said to be over, and nobody can prove it.
        Found::Turn { status: Completed | Failed, end: Claimed, .. } => Verdict::Lost(LostHow::CommandsMayRunOn),
        // 0 items: the model was never asked (M2). That is "not run" unless somebody stopped it.
        Found::Turn { items: 0, .. } | Found::Absent => absent(known, false),
        Found::Turn { .. } if known.stop_requested => Verdict::Settle(Outcome::Interrupted),
        Found::Turn { status: InterruptedClosed, end: Proven, .. } => Verdict::Lost(LostHow::CommandsEnded),
        Found::Turn { .. } => Verdict::Lost(LostHow::CommandsMayRunOn),
        Found::NoHistory(HistoryError::NoThread) if !known.thread_has_settled_turns => absent(known, true),
        Found::NoHistory(_) if known.pulls_failed < MAX_PULLS => Verdict::Retry,
        Found::NoHistory(_) => Verdict::Lost(LostHow::HistoryGone),
    }
}

/// The same for a turn that compacts its thread. It has no effect but that, and is never done again by itself: what is not
/// proven to have ended was cut off, also where it may never have begun.
pub fn compaction_after_death(found: &Found, known: Known) -> Verdict {
    match after_death(found, known) {
        Verdict::Lost(_) | Verdict::Cancelled | Verdict::NotRun { .. } => Verdict::Settle(Outcome::Interrupted),
        verdict @ (Verdict::Settle(_) | Verdict::Retry) => verdict,
    }
}

fn absent(known: Known, new_thread: bool) -> Verdict {
    if known.acted {
        Verdict::Lost(LostHow::CommandsMayRunOn)
    } else if known.durable {
        Verdict::Lost(LostHow::HistoryGone)
    } else if known.stop_requested || known.recalled {
        Verdict::Cancelled
    } else if known.boot_changed {
        Verdict::Lost(LostHow::MachineRestarted)
    } else {
        Verdict::NotRun { new_thread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Known = Known {
        stop_requested: false,
        recalled: false,
        boot_changed: false,
        thread_has_settled_turns: true,
        acted: false,
        durable: false,
        pulls_failed: 0,
    };

    #[track_caller]
    fn check(found: Found, known: Known, want: Verdict) {
        assert_eq!(after_death(&found, known), want, "{found:?} {known:?}");
    }

    #[test]
    fn the_table_of_durability() {
        let turn = |status, items| Found::Turn { status, end: EndEvidence::Proven, items };
        let claimed = |status| Found::Turn { status, end: EndEvidence::Claimed, items: 2 };
        let stopped = Known { stop_requested: true, ..PLAIN };
        let recalled = Known { recalled: true, ..PLAIN };
        let rebooted = Known { boot_changed: true, ..PLAIN };
        let fresh = Known { thread_has_settled_turns: false, ..PLAIN };
        let acted = Known { acted: true, ..PLAIN };
        let durable = Known { durable: true, thread_has_settled_turns: false, ..PLAIN };
        let tired = Known { pulls_failed: MAX_PULLS, ..PLAIN };
        for (found, known, want) in [
            (turn(FoundStatus::Completed, 2), PLAIN, Verdict::Settle(Outcome::Completed)),
            (turn(FoundStatus::Completed, 2), stopped, Verdict::Settle(Outcome::Completed)),
            (turn(FoundStatus::Failed, 1), PLAIN, Verdict::Settle(Outcome::Failed)),
            (turn(FoundStatus::InterruptedClosed, 2), stopped, Verdict::Settle(Outcome::Interrupted)),
            (turn(FoundStatus::InterruptedClosed, 2), PLAIN, Verdict::Lost(LostHow::CommandsEnded)),
            (turn(FoundStatus::InterruptedOpen, 1), PLAIN, Verdict::Lost(LostHow::CommandsMayRunOn)),
            (turn(FoundStatus::InProgress, 1), PLAIN, Verdict::Lost(LostHow::CommandsMayRunOn)),
            (claimed(FoundStatus::Completed), PLAIN, Verdict::Lost(LostHow::CommandsMayRunOn)),
            (claimed(FoundStatus::Failed), PLAIN, Verdict::Lost(LostHow::CommandsMayRunOn)),
            (claimed(FoundStatus::InterruptedClosed), PLAIN, Verdict::Lost(LostHow::CommandsMayRunOn)),
            (claimed(FoundStatus::InterruptedClosed), stopped, Verdict::Settle(Outcome::Interrupted)),
            (Found::Absent, durable, Verdict::Lost(LostHow::HistoryGone)),
            (Found::Absent, Known { stop_requested: true, ..durable }, Verdict::Lost(LostHow::HistoryGone)),
            (Found::NoHistory(HistoryError::NoThread), durable, Verdict::Lost(LostHow::HistoryGone)),
            (turn(FoundStatus::InterruptedOpen, 0), PLAIN, Verdict::NotRun { new_thread: false }),
            (turn(FoundStatus::InterruptedClosed, 0), stopped, Verdict::Cancelled),
            (Found::Absent, PLAIN, Verdict::NotRun { new_thread: false }),
            (Found::Absent, stopped, Verdict::Cancelled),
            (Found::Absent, acted, Verdict::Lost(LostHow::CommandsMayRunOn)),
            (turn(FoundStatus::InterruptedOpen, 0), acted, Verdict::Lost(LostHow::CommandsMayRunOn)),
            (Found::Absent, recalled, Verdict::Cancelled),
            (Found::Absent, rebooted, Verdict::Lost(LostHow::MachineRestarted)),
            (Found::NoHistory(HistoryError::NoThread), fresh, Verdict::NotRun { new_thread: true }),
            (Found::NoHistory(HistoryError::NoThread), PLAIN, Verdict::Retry),
            (Found::NoHistory(HistoryError::NoThread), tired, Verdict::Lost(LostHow::HistoryGone)),
            (Found::NoHistory(HistoryError::Other), fresh, Verdict::Retry),
            (Found::NoHistory(HistoryError::Other), tired, Verdict::Lost(LostHow::HistoryGone)),
        ] {
            check(found, known, want);
        }
    }

    #[test]
    fn a_compaction_is_over_or_cut_off_and_never_done_again() {
        let turn = |status, items| Found::Turn { status, end: EndEvidence::Proven, items };
        for (found, want) in [
            (turn(FoundStatus::Completed, 1), Verdict::Settle(Outcome::Completed)),
            (turn(FoundStatus::Failed, 0), Verdict::Settle(Outcome::Failed)),
            (turn(FoundStatus::InterruptedOpen, 0), Verdict::Settle(Outcome::Interrupted)),
            (turn(FoundStatus::InterruptedOpen, 1), Verdict::Settle(Outcome::Interrupted)),
            (turn(FoundStatus::InterruptedClosed, 0), Verdict::Settle(Outcome::Interrupted)),
            (Found::Absent, Verdict::Settle(Outcome::Interrupted)),
            (Found::NoHistory(HistoryError::Other), Verdict::Retry),
        ] {
            assert_eq!(compaction_after_death(&found, PLAIN), want, "{found:?}");
        }
        let stopped = Known { stop_requested: true, ..PLAIN };
        assert_eq!(compaction_after_death(&Found::Absent, stopped), Verdict::Settle(Outcome::Interrupted));
        let gone = Known { pulls_failed: MAX_PULLS, ..PLAIN };
        let found = Found::NoHistory(HistoryError::Other);
        assert_eq!(compaction_after_death(&found, gone), Verdict::Settle(Outcome::Interrupted));
    }
}
