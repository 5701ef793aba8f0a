//! What a turn's stream has shown so far.

use std::collections::HashMap;

use crate::domain::history::{ChangedFile, Failure};
use crate::ledger::turns::Progress;

/// What the stream showed.
#[derive(Default)]
pub(super) struct Seen {
    pub progress: Progress,
    /// Step index by the runtime's item.
    pub items: HashMap<String, usize>,
    pub changed: Vec<ChangedFile>,
    pub failure: Option<Failure>,
    pub tokens: Option<i64>,
    /// What the thread had taken before this turn.
    pub tokens_before: Option<i64>,
    /// What it had taken when that was told last.
    pub tokens_told: Option<i64>,
    pub unreachable_since_ms: Option<i64>,
    /// Retries since the model last said something.
    pub retries: u32,
    pub draft_item: String,
    /// Completed texts after the last step: what is left when no pull succeeds.
    pub completed: Vec<String>,
    pub dirty: bool,
    /// A step that the ledger does not know of.
    pub unsaved_step: bool,
    pub painted_at_ms: i64,
    pub saved_at_ms: i64,
}

impl Seen {
    /// A runtime counts a thread's tokens, people ask for a turn's: from the first request that was heard of here.
    pub fn use_tokens(&mut self, total: i64, request: i64) {
        let before = *self.tokens_before.get_or_insert(total - request);
        self.tokens = Some(total - before);
    }

    /// A compaction is one request. codex tells the former request again before it, and afterwards, with the same sum, how
    /// long the thread is now.
    pub fn use_tokens_once(&mut self, total: i64, request: i64) {
        if self.tokens_told.replace(total) != Some(total) {
            self.tokens = Some(request);
        }
    }
}
