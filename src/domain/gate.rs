//! A gate: a question that a runtime put to people.
//!
//! `open ⇄ decided → answering → answered`; `open | decided → withdrawn`; `open | decided | answering → void`.
//! Nothing ever expires into a "no".

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    Open,
    /// A person chose; the runtime has not been told.
    Decided,
    /// Committed before the answer line is written: from here on the runtime may know.
    Answering,
    /// The runtime said that the request is over.
    Answered,
    /// The runtime took the question back.
    Withdrawn,
    /// The process that asked is gone.
    Void,
}

impl GateState {
    pub const ALL: [GateState; 6] = [
        GateState::Open,
        GateState::Decided,
        GateState::Answering,
        GateState::Answered,
        GateState::Withdrawn,
        GateState::Void,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            GateState::Open => "open",
            GateState::Decided => "decided",
            GateState::Answering => "answering",
            GateState::Answered => "answered",
            GateState::Withdrawn => "withdrawn",
            GateState::Void => "void",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Nothing more will come of it.
    pub fn is_over(self) -> bool {
        matches!(self, GateState::Answered | GateState::Withdrawn | GateState::Void)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateEvent {
    /// W5.
    Decide,
    /// W5a.
    Answer,
    /// The runtime certainly did not take the answer.
    NotTaken,
    /// Whoever decided lost the right to, before it was passed on.
    TakenBack,
    /// The runtime reports the request as over.
    Resolved,
    /// The generation that asked is surely dead.
    ProcessGone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a gate in state {} cannot take {event:?}", state.as_str())]
pub struct IllegalGateTransition {
    pub state: GateState,
    pub event: GateEvent,
}

/// The only place where a gate changes state.
pub fn transition(state: GateState, event: GateEvent) -> Result<GateState, IllegalGateTransition> {
    use GateState::*;
    Ok(match (state, event) {
        (Open, GateEvent::Decide) => Decided,
        (Decided, GateEvent::Answer) => Answering,
        (Answering, GateEvent::NotTaken) => Decided,
        (Decided, GateEvent::TakenBack) => Open,
        (Answering, GateEvent::Resolved) => Answered,
        (Open | Decided, GateEvent::Resolved) => Withdrawn,
        (Open | Decided | Answering, GateEvent::ProcessGone) => Void,
        _ => return Err(IllegalGateTransition { state, event }),
    })
}

/// What is asked. Everything that a person is shown and everything that the fingerprint covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    Command {
        /// What a person reads.
        command: String,
        /// The whole command line that will run, where that is more than `command` (a shell around it).
        #[serde(default, skip_serializing_if = "String::is_empty")]
        exact: String,
        directory: String,
        /// The runtime wants to leave its sandbox or says nothing about it.
        outside_sandbox: bool,
        /// Nobody can tell whether it stays in the sandbox.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unsure: bool,
        network: bool,
        /// What is granted along with it: paths, the network, a host.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        wanted: Vec<String>,
    },
    FileChange {
        changes: Vec<Change>,
        directory: String,
    },
    Permissions {
        /// Human-readable lines of what is requested, from the native payload.
        wanted: Vec<String>,
        directory: String,
        /// Nothing but the network is wanted.
        #[serde(default)]
        network_only: bool,
    },
    Tool {
        server: String,
        tool: String,
        detail: String,
    },
    Questions {
        questions: Vec<Question>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    /// `add`, `delete` or `update`; `move` where something arrives that was another file.
    pub kind: String,
    pub diff: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub id: String,
    pub header: String,
    pub text: String,
    pub options: Vec<QuestionOption>,
    /// Free text is taken (always true when there are no options).
    pub free_text: bool,
    /// The answer must not be shown again or kept in clear.
    pub secret: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionOption {
    pub label: String,
    pub description: String,
}

/// The line of what is wanted that stands for the network; a host may follow it.
pub const NETWORK: &str = "network";

/// Whether a line of what is wanted means the network and nothing else.
pub fn is_network(line: &str) -> bool {
    line.strip_prefix(NETWORK).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

impl Ask {
    /// What is granted along with a command.
    pub fn granted_along(&self) -> &[String] {
        match self {
            Ask::Command { wanted, .. } => wanted,
            _ => &[],
        }
    }

    pub fn is_question(&self) -> bool {
        matches!(self, Ask::Questions { .. })
    }

    /// Part of the answer must not be shown or kept.
    pub fn is_secret(&self) -> bool {
        matches!(self, Ask::Questions { questions } if questions.iter().any(|question| question.secret))
    }

    /// SHA-256 over what was asked, in hex: the same question gives the same print, a changed command or diff another one.
    pub fn fingerprint(&self) -> String {
        let canonical = serde_json::to_vec(self).expect("an Ask holds only strings, booleans and lists");
        hex(&Sha256::digest(&canonical))
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// One way to answer, as the runtime offers it. `native` goes back verbatim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub native: String,
    pub effect: Effect,
    /// The runtime takes words along with this choice.
    pub takes_feedback: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    AllowOnce,
    /// Declined; the turn goes on.
    Decline,
    /// Declined; the turn ends.
    StopTurn,
}

/// What a person decided. Stored with the gate; secret answers are replaced before they are stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    Allow,
    Decline {
        reason: Option<String>,
    },
    StopTurn,
    /// The task ends here and goes on with the network: what was asked for did not run.
    Network,
    /// Answers by question id. An empty list is "skipped".
    Answers {
        answers: Vec<(String, Vec<String>)>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions() {
        use GateState::*;
        for (state, event, want) in [
            (Open, GateEvent::Decide, Some(Decided)),
            (Decided, GateEvent::Decide, None), // the second click
            (Decided, GateEvent::Answer, Some(Answering)),
            (Open, GateEvent::Answer, None),
            (Answering, GateEvent::NotTaken, Some(Decided)),
            (Decided, GateEvent::NotTaken, None),
            (Decided, GateEvent::TakenBack, Some(Open)),
            (Answering, GateEvent::TakenBack, None),
            (Open, GateEvent::TakenBack, None),
            (Answering, GateEvent::Resolved, Some(Answered)),
            (Open, GateEvent::Resolved, Some(Withdrawn)),
            (Decided, GateEvent::Resolved, Some(Withdrawn)),
            (Answering, GateEvent::ProcessGone, Some(Void)),
            (Answered, GateEvent::ProcessGone, None),
            (Void, GateEvent::Decide, None),
            (Withdrawn, GateEvent::Decide, None),
        ] {
            assert_eq!(transition(state, event).ok(), want, "{state:?} on {event:?}");
        }
    }

    #[test]
    fn a_changed_command_has_another_fingerprint() {
        let with = |command: &str, exact: &str, wanted: &[&str]| Ask::Command {
            command: command.to_owned(),
            exact: exact.to_owned(),
            directory: "/w".to_owned(),
            outside_sandbox: false,
            unsure: false,
            network: false,
            wanted: wanted.iter().map(|line| (*line).to_owned()).collect(),
        };
        let ask = |command: &str, exact: &str| with(command, exact, &[]);
        assert_ne!(ask("ls", "").fingerprint(), with("ls", "", &["write /x"]).fingerprint());
        assert_ne!(with("ls", "", &["write /y"]).fingerprint(), with("ls", "", &["write /x"]).fingerprint());
        assert_eq!(ask("ls", "sh -c ls").fingerprint(), ask("ls", "sh -c ls").fingerprint());
        assert_ne!(ask("ls", "sh -c ls").fingerprint(), ask("ls ", "sh -c ls").fingerprint());
        assert_ne!(ask("ls", "sh -c ls").fingerprint(), ask("ls", "zsh -c ls").fingerprint());
        assert_eq!(ask("ls", "").fingerprint().len(), 64);
    }

    #[test]
    fn states_round_trip() {
        for state in GateState::ALL {
            assert_eq!(GateState::parse(state.as_str()), Some(state));
        }
    }
}
