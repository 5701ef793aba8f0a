//! What a button does. Stored with its single-use id; the card carries the id and nothing else.

use serde::{Deserialize, Serialize};

use super::conversing::Listed;
use super::ids::{ChatId, ConversationId, GateId, InboundSeq, TurnId};
use super::rule::Span;
use super::setting::Setting;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    Allow {
        gate: GateId,
    },
    Decline {
        gate: GateId,
    },
    /// Allows this and the like of it for a while.
    AllowFor {
        gate: GateId,
        span: Span,
    },
    /// The task ends here and goes on with the network.
    AllowNetwork {
        gate: GateId,
    },
    /// With the reason that the form holds.
    DeclineWhy {
        gate: GateId,
    },
    /// The requests of low risk that the card showed, and no others.
    AllowAll {
        gates: Vec<GateId>,
    },
    DeclineAll {
        gates: Vec<GateId>,
    },
    /// The form of a settings card.
    SaveSettings {
        chat: ChatId,
        direct: bool,
        /// What the card showed: only what differs from that was meant.
        shown: Vec<(Setting, String)>,
    },
    /// Option `index` (0-based) of a single question.
    Choose {
        gate: GateId,
        index: u32,
    },
    /// The card's form: free text, several questions.
    Submit {
        gate: GateId,
    },
    Skip {
        gate: GateId,
    },
    Stop {
        turn: TurnId,
    },
    /// Removes a queued turn.
    Cancel {
        turn: TurnId,
    },
    /// Puts a queued turn's words into the running one.
    Steer {
        turn: TurnId,
    },
    /// The watchdog asked; the person wants to wait on.
    KeepWaiting {
        turn: TurnId,
    },
    /// What becomes of an interrupted turn.
    Resume {
        turn: TurnId,
        how: Resume,
    },
    /// What becomes of a message that came late.
    Late {
        inbound: InboundSeq,
        how: Late,
        /// The newest one that *Cancel all* was shown for; 0 of what an older ally drew.
        #[serde(default)]
        up_to: InboundSeq,
    },
    /// Goes on with another thread in the conversation.
    TakeUp {
        conversation: ConversationId,
        listed: Listed,
    },
    /// A conversation whose thread is open elsewhere, or whose history is gone.
    Reopen {
        conversation: ConversationId,
        how: Reopen,
    },
    /// What becomes of all that a restored ledger calls unsettled, as it was recognised then.
    Restored {
        go_on: bool,
        at_ms: i64,
    },
    /// Ends a rule; `list` is the message that asked for the rules.
    RevokeRule {
        number: i64,
        list: InboundSeq,
    },
    /// Makes the routine that a card shows, or does not.
    Routine {
        name: String,
        /// As it would stand in a file; nothing: it is not wanted.
        text: Option<String>,
        /// The card.
        subject: String,
        /// The agent drafted it.
        #[serde(default)]
        by_agent: bool,
    },
    /// Was sent to be pressed: that it comes back is all that is wanted.
    CheckUp {
        name: String,
    },
}

impl Action {
    /// The id of the request, the turn, the conversation or the chat that it is about.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Action::Allow { gate }
            | Action::Decline { gate }
            | Action::AllowFor { gate, .. }
            | Action::AllowNetwork { gate }
            | Action::DeclineWhy { gate }
            | Action::Choose { gate, .. }
            | Action::Submit { gate }
            | Action::Skip { gate } => Some(gate.as_str()),
            Action::AllowAll { gates } | Action::DeclineAll { gates } => gates.first().map(GateId::as_str),
            Action::Stop { turn }
            | Action::Cancel { turn }
            | Action::Steer { turn }
            | Action::KeepWaiting { turn }
            | Action::Resume { turn, .. } => Some(turn.as_str()),
            Action::Reopen { conversation, .. } | Action::TakeUp { conversation, .. } => Some(conversation.as_str()),
            Action::SaveSettings { chat, .. } => Some(chat.as_str()),
            Action::Routine { name, .. } | Action::CheckUp { name } => Some(name),
            Action::Late { .. } | Action::RevokeRule { .. } | Action::Restored { .. } => None,
        }
    }

    /// A second press is answered by the state of what it is about (who decided, when); all others are used up by the first.
    pub fn may_repeat(&self) -> bool {
        matches!(
            self,
            Action::Allow { .. }
                | Action::AllowFor { .. }
                | Action::AllowNetwork { .. }
                | Action::AllowAll { .. }
                | Action::Decline { .. }
                | Action::DeclineWhy { .. }
                | Action::DeclineAll { .. }
                | Action::Choose { .. }
                | Action::Submit { .. }
                | Action::Skip { .. }
                | Action::Stop { .. }
                | Action::Late { .. }
                | Action::SaveSettings { .. }
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    Continue,
    RunAgain,
    /// Run again on a new thread, because the old one's history is gone or too long.
    StartFresh,
    /// Compact the thread, then run again.
    Compact,
    Dismiss,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    DoIt,
    Cancel,
    /// Every late message of the chat that this one stands for.
    CancelAll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reopen {
    TryAgain,
    Fork,
    StartFresh,
}
