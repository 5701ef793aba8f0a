//! How far the ledger has come, noted outside of it: so an earlier state of it, put back from a backup, is recognised.
//!
//! There are two notes: in the home, and, where an app is connected, beside that app's lock and so outside of the home, for
//! whoever puts a whole home back. A note follows each commit within [`PACE`]; it may only ever be too low, and then it
//! recognises less.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::write_private;
use crate::ledger::restored::{self, Marks};
use crate::ledger::{Ledger, LedgerError, OpenError, Places, Transaction, backup};

/// Commits of so long are noted together: a note is synced, and the ledger's own syncs are waited for by people.
const PACE: Duration = Duration::from_secs(1);

/// Where it is noted.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    /// In the home.
    pub(super) inside: PathBuf,
    /// Outside of it.
    pub(super) outside: Option<PathBuf>,
}

impl Notes {
    /// Whether a ledger that has come this far had come further once.
    fn are_ahead_of(&self, marks: &Marks) -> bool {
        let inside = read(&self.inside).is_some_and(|known| marks.is_behind(&known));
        // Several homes may take turns with one app: of another ledger the note says nothing.
        let outside = self.outside.as_deref().and_then(read).filter(|known| known.ledger == marks.ledger);
        inside || outside.is_some_and(|known| marks.is_behind(&known))
    }

    fn write(&self, marks: &Marks) {
        for note in std::iter::once(&self.inside).chain(&self.outside) {
            let written = serde_json::to_string(marks).map_err(std::io::Error::from);
            if let Err(error) = written.and_then(|text| write_private(note, &text)) {
                warn!(%error, "How far the ledger has come could not be noted");
            }
        }
    }
}

/// Refuses to begin an empty ledger in a home that had one.
pub(super) fn refuse_if_gone(places: &Places, inside: &Path) -> Result<(), OpenError> {
    let known = read(inside).is_some_and(|known| known.generations > 0 || known.inbound > 0);
    backup::refuse_if_gone(places, known.then(|| inside.to_owned()))
}

/// Holds everything that is not over, where this is an earlier state of the ledger. Before anything works on it.
pub(super) async fn recognise(ledger: &Ledger, notes: &Notes, now_ms: i64) -> Result<(), LedgerError> {
    let look = |tx: &Transaction<'_>| Ok((restored::marks(tx)?, restored::is_marked(tx)?));
    let (marks, marked) = ledger.read(look).await?;
    if marked || notes.are_ahead_of(&marks) {
        warn!("The ledger was put back to an earlier state: what it calls unfinished waits for its owner's word");
        ledger.write(move |tx| restored::hold(tx, now_ms)).await?;
        notes.write(&marks);
    }
    Ok(())
}

/// Keeps the notes up to date until `cancel`, and once more then. Wakes for commits only.
pub(super) async fn keep(ledger: Ledger, notes: Notes, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut last = None;
    loop {
        // A ledger that cannot be read is said elsewhere.
        if let Ok(marks) = ledger.read(restored::marks).await
            && last.as_ref() != Some(&marks)
        {
            let (notes, now) = (notes.clone(), marks.clone());
            tokio::task::spawn_blocking(move || notes.write(&now)).await?;
            last = Some(marks);
        }
        if cancel.is_cancelled() {
            return Ok(());
        }
        let next = async {
            ledger.committed().await;
            tokio::time::sleep(PACE).await;
        };
        let _ = cancel.run_until_cancelled(next).await;
    }
}

/// What cannot be read says nothing.
fn read(note: &Path) -> Option<Marks> {
    serde_json::from_str(&std::fs::read_to_string(note).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(ledger: &str, inbound: i64) -> Marks {
        Marks { ledger: ledger.to_owned(), inbound, generations: 1, turns: inbound, messages: inbound }
    }

    #[test]
    fn either_note_recognises_an_earlier_state_and_the_outer_one_only_of_its_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes { inside: dir.path().join("in"), outside: Some(dir.path().join("out")) };
        assert!(!notes.are_ahead_of(&marks("a", 3)), "nothing is known");
        notes.write(&marks("a", 5));
        assert!(notes.are_ahead_of(&marks("a", 4)) && !notes.are_ahead_of(&marks("a", 5)));
        // A home that was put back brings its own note along.
        let inside = Notes { outside: None, ..notes.clone() };
        inside.write(&marks("a", 4));
        assert!(notes.are_ahead_of(&marks("a", 4)));
        // Another home with the same app.
        inside.write(&marks("b", 9));
        assert!(!notes.are_ahead_of(&marks("b", 9)) && notes.are_ahead_of(&marks("b", 8)));
    }

    #[tokio::test]
    async fn a_note_follows_the_last_commit() {
        let dir = tempfile::tempdir().unwrap();
        let places = crate::ledger::Places { file: dir.path().join("ledger.db"), backups: dir.path().join("b") };
        let lock = crate::ledger::LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        let ledger = Ledger::open(&places, &lock).unwrap();
        let notes = Notes { inside: dir.path().join("in"), outside: None };
        let cancel = CancellationToken::new();
        let keeping = tokio::spawn(keep(ledger.clone(), notes.clone(), cancel.clone()));
        let begin = |tx: &Transaction<'_>| crate::ledger::generations::begin(tx, "k", "/h", 1);
        let number = ledger.write(begin).await.unwrap();
        while read(&notes.inside).is_none_or(|known| known.generations < number.0) {
            tokio::task::yield_now().await;
        }
        let number = ledger.write(begin).await.unwrap();
        cancel.cancel();
        keeping.await.unwrap().unwrap();
        assert_eq!(read(&notes.inside).unwrap().generations, number.0, "once more at the end");
    }
}
