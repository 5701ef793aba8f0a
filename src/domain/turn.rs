//! A turn: one request and its answer, a ledger row from the moment it is accepted.
//!
//! `queued → submitting → running ⇄ waiting → settled(…)`, `queued → cancelled`, `submitting → queued` (attempt + 1).
//! [`transition`] is the only place where a turn changes state.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    Queued,
    Submitting,
    Running,
    /// Blocked on a person (a gate is open). Gives its directory lease back.
    Waiting,
    Settled(Outcome),
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Completed,
    Failed,
    /// Somebody asked it to stop, or ally was shut down.
    Interrupted,
    /// The process died and what the turn had done is not known.
    Lost,
    /// The runtime took its input into a turn that was already open.
    Merged,
    /// Never submitted.
    Cancelled,
}

impl Outcome {
    pub const ALL: [Outcome; 6] =
        [Outcome::Completed, Outcome::Failed, Outcome::Interrupted, Outcome::Lost, Outcome::Merged, Outcome::Cancelled];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnEvent {
    /// W2: about to be written to the runtime.
    Submit,
    /// W3: the runtime says that it began.
    Started,
    /// A gate opened / the last open gate closed.
    GateOpened,
    GatesClosed,
    /// Proven absent in the runtime: back to the queue with the next attempt.
    NotRun,
    /// W6.
    Settle(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a turn in state {state} cannot take {event:?}")]
pub struct IllegalTransition {
    pub state: TurnState,
    pub event: TurnEvent,
}

/// The only place where a turn changes state. Pure: no clock, no I/O, no logging.
pub fn transition(state: TurnState, event: TurnEvent) -> Result<TurnState, IllegalTransition> {
    use Outcome::*;
    use TurnState::*;
    let next = match (state, event) {
        (Queued, TurnEvent::Submit) => Submitting,
        (Queued, TurnEvent::Settle(Cancelled)) => Settled(Cancelled),
        (Submitting, TurnEvent::Started) => Running,
        (Submitting, TurnEvent::NotRun) => Queued,
        // A recall or /stop that came before the runtime had it, and a proof that it never did.
        (Submitting | Running, TurnEvent::Settle(Cancelled)) => Settled(Cancelled),
        // A gate may be the first thing that is heard of a turn after `submitting`.
        (Submitting | Running, TurnEvent::GateOpened) => Waiting,
        (Waiting, TurnEvent::GateOpened) => Waiting,
        (Waiting, TurnEvent::GatesClosed) => Running,
        // Recovery may prove a running turn absent: the start was reported, the disk never saw it.
        (Running, TurnEvent::NotRun) => Queued,
        (Submitting | Running | Waiting, TurnEvent::Settle(outcome)) if outcome != Cancelled => Settled(outcome),
        _ => return Err(IllegalTransition { state, event }),
    };
    Ok(next)
}

impl TurnState {
    /// The ledger's two columns.
    pub fn columns(self) -> (&'static str, Option<&'static str>) {
        match self {
            TurnState::Queued => ("queued", None),
            TurnState::Submitting => ("submitting", None),
            TurnState::Running => ("running", None),
            TurnState::Waiting => ("waiting", None),
            TurnState::Settled(outcome) => ("settled", Some(outcome.as_str())),
        }
    }

    pub fn from_columns(state: &str, outcome: Option<&str>) -> Option<Self> {
        Some(match state {
            "queued" => TurnState::Queued,
            "submitting" => TurnState::Submitting,
            "running" => TurnState::Running,
            "waiting" => TurnState::Waiting,
            "settled" => TurnState::Settled(Outcome::ALL.into_iter().find(|o| Some(o.as_str()) == outcome)?),
            _ => return None,
        })
    }

    pub fn is_settled(self) -> bool {
        matches!(self, TurnState::Settled(_))
    }

    /// Handed to a runtime and not over.
    pub fn is_active(self) -> bool {
        matches!(self, TurnState::Submitting | TurnState::Running | TurnState::Waiting)
    }
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
            Outcome::Lost => "lost",
            Outcome::Merged => "merged",
            Outcome::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for TurnState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.columns() {
            (state, None) => f.write_str(state),
            (_, Some(outcome)) => f.write_str(outcome),
        }
    }
}

/// Why a turn was asked to stop. Written before anything acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// `/stop`, the button, or "停".
    Person,
    /// The message that asked for it was recalled.
    Recalled,
    /// `ally stop`.
    Shutdown,
    /// Too long without a sign of life, or over the absolute cap.
    Watchdog,
    /// It goes on at once, with the network.
    Network,
}

impl StopReason {
    pub fn as_str(self) -> &'static str {
        match self {
            StopReason::Person => "person",
            StopReason::Recalled => "recalled",
            StopReason::Shutdown => "shutdown",
            StopReason::Watchdog => "watchdog",
            StopReason::Network => "network",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        use StopReason::*;
        [Person, Recalled, Shutdown, Watchdog, Network].into_iter().find(|reason| reason.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::*;
    use super::TurnState::*;
    use super::*;

    #[track_caller]
    fn check(state: TurnState, event: TurnEvent, want: Option<TurnState>) {
        assert_eq!(transition(state, event).ok(), want, "{state} on {event:?}");
    }

    #[test]
    fn transitions() {
        for (state, event, want) in [
            (Queued, TurnEvent::Submit, Some(Submitting)),
            (Queued, TurnEvent::Started, None),
            (Queued, TurnEvent::Settle(Cancelled), Some(Settled(Cancelled))),
            (Queued, TurnEvent::Settle(Completed), None),
            (Submitting, TurnEvent::Started, Some(Running)),
            (Submitting, TurnEvent::NotRun, Some(Queued)),
            (Submitting, TurnEvent::Settle(Merged), Some(Settled(Merged))),
            (Submitting, TurnEvent::Settle(Lost), Some(Settled(Lost))),
            (Submitting, TurnEvent::Submit, None),
            (Running, TurnEvent::Started, None),
            (Running, TurnEvent::GateOpened, Some(Waiting)),
            (Waiting, TurnEvent::GateOpened, Some(Waiting)),
            (Waiting, TurnEvent::GatesClosed, Some(Running)),
            (Waiting, TurnEvent::Settle(Interrupted), Some(Settled(Interrupted))),
            (Running, TurnEvent::Settle(Cancelled), Some(Settled(Cancelled))),
            (Waiting, TurnEvent::Settle(Cancelled), None),
            (Running, TurnEvent::GatesClosed, None),
        ] {
            check(state, event, want);
        }
    }

    #[test]
    fn a_settled_turn_takes_nothing() {
        for outcome in Outcome::ALL {
            for event in [
                TurnEvent::Submit,
                TurnEvent::Started,
                TurnEvent::GateOpened,
                TurnEvent::GatesClosed,
                TurnEvent::NotRun,
                TurnEvent::Settle(Completed),
                TurnEvent::Settle(Lost),
            ] {
                check(Settled(outcome), event, None);
            }
        }
    }

    #[test]
    fn columns_round_trip() {
        let mut states = vec![Queued, Submitting, Running, Waiting];
        states.extend(Outcome::ALL.map(Settled));
        for state in states {
            let (column, outcome) = state.columns();
            assert_eq!(TurnState::from_columns(column, outcome), Some(state));
        }
        assert_eq!(TurnState::from_columns("settled", None), None);
    }
}
