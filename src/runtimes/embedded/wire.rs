//! The lines of a thread's file. They are read by later versions: add, never rename.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::bridge::ports::TurnEnd;
use crate::domain::history::{ChangedFile, Failure};
use crate::domain::ids::{ClientId, NativeTurnId};
use crate::domain::view::Step;

/// One line of a thread's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(super) enum Line {
    Opened {
        directory: PathBuf,
    },
    Started {
        turn: NativeTurnId,
        at_ms: i64,
    },
    Input {
        turn: NativeTurnId,
        client: Option<ClientId>,
        text: String,
    },
    Text {
        turn: NativeTurnId,
        text: String,
    },
    Tool {
        turn: NativeTurnId,
        step: Step,
        changed: Vec<ChangedFile>,
    },
    /// What came before is kept as a summary only.
    Compacted {
        turn: NativeTurnId,
    },
    Ended {
        turn: NativeTurnId,
        end: End,
        failure: Option<Failure>,
        at_ms: i64,
    },
}

impl Line {
    /// The turn that it belongs to.
    pub fn turn(&self) -> Option<&NativeTurnId> {
        match self {
            Line::Opened { .. } => None,
            Line::Started { turn, .. }
            | Line::Input { turn, .. }
            | Line::Text { turn, .. }
            | Line::Tool { turn, .. }
            | Line::Compacted { turn }
            | Line::Ended { turn, .. } => Some(turn),
        }
    }
}

/// How a turn ended, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Completed,
    Failed,
    Interrupted,
}

impl From<TurnEnd> for End {
    fn from(end: TurnEnd) -> Self {
        match end {
            TurnEnd::Completed => End::Completed,
            TurnEnd::Failed => End::Failed,
            TurnEnd::Interrupted => End::Interrupted,
        }
    }
}
