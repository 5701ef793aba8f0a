//! How far the ledger has come, noted outside of it: so an earlier state of it, put back from a backup, is recognised.
//!
//! The note lags behind by seconds and is not synced: it may only ever be too low, and then it recognises less.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::write_private;
use crate::ledger::restored::{self, Marks};
use crate::ledger::{Ledger, LedgerError, Transaction};

/// How often it is looked whether the ledger has gone on.
const EVERY: Duration = Duration::from_secs(10);

/// Holds everything that is not over, where this is an earlier state of the ledger. Before anything works on it.
pub(super) async fn recognise(ledger: &Ledger, note: &Path, now_ms: i64) -> Result<(), LedgerError> {
    let known = read(note);
    let look = |tx: &Transaction<'_>| Ok((restored::marks(tx)?, restored::is_marked(tx)?));
    let (marks, marked) = ledger.read(look).await?;
    if marked || known.is_some_and(|known| marks.is_behind(&known)) {
        warn!("The ledger was put back to an earlier state: what it calls unfinished waits for its owner's word");
        ledger.write(move |tx| restored::hold(tx, now_ms)).await?;
        write(note, &marks);
    }
    Ok(())
}

/// Keeps the note up to date until `cancel`, and once more then.
pub(super) async fn keep(ledger: Ledger, note: PathBuf, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut last = None;
    loop {
        // A ledger that cannot be read is said elsewhere.
        if let Ok(marks) = ledger.read(restored::marks).await
            && last.as_ref() != Some(&marks)
        {
            write(&note, &marks);
            last = Some(marks);
        }
        if cancel.is_cancelled() {
            return Ok(());
        }
        let _ = cancel.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
}

/// What cannot be read says nothing.
fn read(note: &Path) -> Option<Marks> {
    serde_json::from_str(&std::fs::read_to_string(note).ok()?).ok()
}

fn write(note: &Path, marks: &Marks) {
    let written = serde_json::to_string(marks).map_err(std::io::Error::from);
    if let Err(error) = written.and_then(|text| write_private(note, &text)) {
        warn!(%error, "How far the ledger has come could not be noted");
    }
}
