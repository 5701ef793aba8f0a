//! What a runtime tells when it is asked what happened: the pull. Final text is taken from here, never from deltas.

use serde::{Deserialize, Serialize};

use super::ids::{ClientId, NativeTurnId};
use super::turn::Outcome;
use super::verdict::FoundStatus;
use super::view::Step;

/// How much of the truth a pull can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// Items and end state of every turn.
    Full,
    /// Texts, without how turns ended.
    TextOnly,
    Unknown,
}

/// Whether the end of a turn is known or only said. Only a proven end settles as completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndEvidence {
    Proven,
    Claimed,
}

/// How sure the runtime is that it has our turn. What it once called durable it may never deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    Sent,
    Acknowledged,
    Durable,
}

impl Evidence {
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::Sent => "sent",
            Evidence::Acknowledged => "acknowledged",
            Evidence::Durable => "durable",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Evidence::Sent, Evidence::Acknowledged, Evidence::Durable].into_iter().find(|it| it.as_str() == text)
    }
}

/// Turns of one thread, newest first, down to where the pull was asked to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    pub completeness: Completeness,
    pub turns: Vec<PulledTurn>,
    /// The pull reached the cursor or the thread's beginning, so that "not in here" means "not there".
    pub reached_cursor: bool,
}

impl History {
    /// What is not in here was never taken: only a full history that was read far enough can say so.
    pub fn proves_absence(&self) -> bool {
        self.completeness == Completeness::Full && self.reached_cursor
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PulledTurn {
    pub native: NativeTurnId,
    pub status: FoundStatus,
    pub end: EndEvidence,
    pub items: Vec<PulledItem>,
    pub failure: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PulledItem {
    /// What we sent, with the id that we gave it.
    Input {
        client: Option<ClientId>,
    },
    Text {
        text: String,
    },
    Tool {
        step: Step,
        changed_files: Vec<ChangedFile>,
    },
    /// Reasoning, plans, compaction marks: no side effect and no answer.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFile {
    pub path: String,
    pub added: u32,
    pub removed: u32,
}

impl PulledTurn {
    pub fn has_client(&self, client: &ClientId) -> bool {
        self.items.iter().any(|item| matches!(item, PulledItem::Input { client: Some(c) } if c == client))
    }

    /// It heard nobody and did nothing but think: so a compaction looks, which carries no id of ours.
    pub fn heard_nobody(&self) -> bool {
        self.items.iter().all(|item| *item == PulledItem::Other)
    }

    /// How it ended, where that is proven.
    pub fn ended(&self) -> Option<Outcome> {
        match self.status {
            _ if self.end != EndEvidence::Proven => None,
            FoundStatus::Completed => Some(Outcome::Completed),
            FoundStatus::Failed => Some(Outcome::Failed),
            FoundStatus::InterruptedClosed => Some(Outcome::Interrupted),
            FoundStatus::InterruptedOpen | FoundStatus::InProgress => None,
        }
    }

    /// What came of one input: everything from it on. The whole turn where it is not in it.
    pub fn since(mut self, client: &ClientId) -> Self {
        let is_it = |item: &PulledItem| matches!(item, PulledItem::Input { client: Some(c) } if c == client);
        if let Some(first) = self.items.iter().position(is_it) {
            self.items.drain(..first);
        }
        self
    }

    /// The ids of all inputs of ours.
    pub fn clients(&self) -> Vec<ClientId> {
        let of = |item: &PulledItem| match item {
            PulledItem::Input { client } => client.clone(),
            _ => None,
        };
        self.items.iter().filter_map(of).collect()
    }

    pub fn saw_tool(&self) -> bool {
        self.items.iter().any(|item| matches!(item, PulledItem::Tool { .. }))
    }

    /// The answer: the texts after the last tool item, equal neighbours collapsed; else the last text; else none.
    pub fn answer(&self) -> Option<String> {
        let after_tools =
            self.items.iter().rposition(|item| matches!(item, PulledItem::Tool { .. })).map_or(0, |i| i + 1);
        let tail = texts(&self.items[after_tools..]);
        if !tail.is_empty() {
            return Some(tail.join("\n\n"));
        }
        texts(&self.items).pop().map(str::to_owned)
    }

    pub fn changed_files(&self) -> Vec<ChangedFile> {
        self.items
            .iter()
            .filter_map(|item| match item {
                PulledItem::Tool { changed_files, .. } => Some(changed_files.clone()),
                _ => None,
            })
            .flatten()
            .collect()
    }
}

fn texts(items: &[PulledItem]) -> Vec<&str> {
    let mut texts: Vec<&str> = items
        .iter()
        .filter_map(|item| match item {
            PulledItem::Text { text } if !text.trim().is_empty() => Some(text.trim()),
            _ => None,
        })
        .collect();
    // A retried stream stores the same message twice (codex, "[[nocomplete]]").
    texts.dedup();
    texts
}

/// Why a turn failed, by what somebody can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// The runtime's own words, for the log and the computer; never shown raw in a chat.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// 401 or no login at all.
    NotSignedIn,
    /// The account's limit is used up.
    UsageLimit,
    /// 429, 5xx, overloaded: worth another try later.
    ModelBusy,
    /// The model's address cannot be reached.
    Unreachable,
    ContextFull,
    /// The model service refused the request (4xx).
    Rejected,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::view::{StepKind, StepState};

    fn turn(items: Vec<PulledItem>) -> PulledTurn {
        PulledTurn {
            native: "t".into(),
            status: FoundStatus::Completed,
            end: EndEvidence::Proven,
            items,
            failure: None,
        }
    }

    fn text(text: &str) -> PulledItem {
        PulledItem::Text { text: text.to_owned() }
    }

    fn tool() -> PulledItem {
        let step = Step { what: StepKind::Command, object: "ls".to_owned(), state: StepState::Ok, started_at_ms: 0 };
        PulledItem::Tool { step, changed_files: Vec::new() }
    }

    #[test]
    fn the_answer_is_what_stands_after_the_last_tool() {
        for (items, want) in [
            (vec![text("looking"), tool(), text("done"), text("bye")], Some("done\n\nbye")),
            (vec![text("a"), text("a")], Some("a")),
            (vec![text("first"), text("only before"), tool()], Some("only before")),
            (vec![tool()], None),
            (vec![text("  ")], None),
        ] {
            assert_eq!(turn(items.clone()).answer().as_deref(), want, "{items:?}");
        }
    }

    #[test]
    fn what_came_of_words_begins_with_them() {
        let input = |client: &str| PulledItem::Input { client: Some(ClientId::new(client)) };
        let all = turn(vec![input("a"), text("to a"), input("b"), text("to b")]);
        assert_eq!(all.clone().since(&ClientId::new("b")).answer().as_deref(), Some("to b"));
        assert_eq!(all.clone().since(&ClientId::new("a")), all);
        assert_eq!(all.clone().since(&ClientId::new("c")), all);
        assert_eq!(turn(vec![input("a"), text("to a"), input("b")]).since(&ClientId::new("b")).answer(), None);
    }

    #[test]
    fn only_a_proven_end_is_one() {
        for (status, want) in [
            (FoundStatus::Completed, Some(Outcome::Completed)),
            (FoundStatus::Failed, Some(Outcome::Failed)),
            (FoundStatus::InterruptedClosed, Some(Outcome::Interrupted)),
            (FoundStatus::InterruptedOpen, None),
            (FoundStatus::InProgress, None),
        ] {
            assert_eq!(PulledTurn { status, ..turn(Vec::new()) }.ended(), want, "{status:?}");
            let claimed = PulledTurn { status, end: EndEvidence::Claimed, ..turn(Vec::new()) };
            assert_eq!(claimed.ended(), None, "{status:?}");
        }
    }

    #[test]
    fn only_a_full_history_proves_absence() {
        for (completeness, reached_cursor, want) in [
            (Completeness::Full, true, true),
            (Completeness::Full, false, false),
            (Completeness::TextOnly, true, false),
            (Completeness::Unknown, true, false),
        ] {
            assert_eq!(History { completeness, turns: Vec::new(), reached_cursor }.proves_absence(), want);
        }
    }
}
