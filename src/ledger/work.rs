//! How much work the ledger was: steps of SQLite's machine and pages written, since the process began. They tell growth
//! where times cannot, because they do not depend on what else the machine does.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Statement, StatementStatus};

static STEPS: AtomicU64 = AtomicU64::new(0);
static PAGES: AtomicU64 = AtomicU64::new(0);

/// Of all ledgers that this process has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Steps of all statements.
    pub steps: u64,
    /// Pages that commits wrote into the log.
    pub pages: u64,
}

/// What was done so far.
pub fn so_far() -> Work {
    Work { steps: STEPS.load(Ordering::Relaxed), pages: PAGES.load(Ordering::Relaxed) }
}

/// Counts what a statement has done since it was last counted.
pub(super) fn count(statement: &Statement<'_>) {
    let steps = statement.reset_status(StatementStatus::VmStep);
    STEPS.fetch_add(steps.max(0).cast_unsigned().into(), Ordering::Relaxed);
}

/// Length of the log after each commit; a commit may find that it starts over.
#[derive(Default)]
pub(super) struct Log {
    pages: i32,
}

impl Log {
    pub(super) fn is_now(&mut self, pages: i32) {
        let written = if pages > self.pages { pages - self.pages } else { pages };
        self.pages = pages;
        PAGES.fetch_add(written.max(0).cast_unsigned().into(), Ordering::Relaxed);
    }
}
