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
    /// Those which say that a ledger that has come this far had come further once.
    fn ahead_of(&self, marks: &Marks) -> Vec<Marks> {
        let inside = read(&self.inside);
        // Several homes may take turns with one app: of another ledger the note says nothing.
        let outside = self.outside.as_deref().and_then(read).filter(|known| known.ledger == marks.ledger);
        inside.into_iter().chain(outside).filter(|known| marks.is_behind(known)).collect()
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
    let look =
        |tx: &Transaction<'_>| Ok((restored::marks(tx)?, restored::is_marked(tx)?, restored::recognised_by(tx)?));
    let (marks, marked, before) = ledger.read(look).await?;
    let ahead = notes.ahead_of(&marks);
    if marked || ahead.iter().any(|known| !before.contains(known)) {
        warn!("The ledger was put back to an earlier state: what it calls unfinished waits for its owner's word");
        let hold = move |tx: &Transaction<'_>| {
            restored::set_recognised_by(tx, &ahead)?;
            restored::hold(tx, now_ms)
        };
        ledger.write(hold).await?;
        notes.write(&marks);
    }
    Ok(())
}

/// Keeps the notes up to date until `cancel`, and once more then. Wakes for commits only.
pub(super) async fn keep(ledger: Ledger, notes: Notes, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut last = None;
    loop {
        // Before the look: what was committed until then is in it.
        let is_last = cancel.is_cancelled();
        // A ledger that cannot be read is said elsewhere.
        if let Ok(marks) = ledger.read(restored::marks).await
            && last.as_ref() != Some(&marks)
        {
            let (notes, now) = (notes.clone(), marks.clone());
            tokio::task::spawn_blocking(move || notes.write(&now)).await?;
            last = Some(marks);
        }
        if is_last {
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
        let are_ahead = |notes: &Notes, marks: Marks| !notes.ahead_of(&marks).is_empty();
        assert!(!are_ahead(&notes, marks("a", 3)), "nothing is known");
        notes.write(&marks("a", 5));
        assert!(are_ahead(&notes, marks("a", 4)) && !are_ahead(&notes, marks("a", 5)));
        // A home that was put back brings its own note along.
        let inside = Notes { outside: None, ..notes.clone() };
        inside.write(&marks("a", 4));
        assert!(are_ahead(&notes, marks("a", 4)));
        // Another home with the same app.
        inside.write(&marks("b", 9));
        assert!(!are_ahead(&notes, marks("b", 9)) && are_ahead(&notes, marks("b", 8)));
    }

    /// A full or read-only disk: it is held once, not at each start again.
    #[tokio::test]
    async fn a_note_that_cannot_be_written_says_the_same_thing_once() {
        let dir = tempfile::tempdir().unwrap();
        let places = crate::ledger::Places { file: dir.path().join("ledger.db"), backups: dir.path().join("b") };
        let lock = crate::ledger::LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        let ledger = Ledger::open(&places, &lock).unwrap();
        let begin = |tx: &Transaction<'_>| crate::ledger::generations::begin(tx, "k", "/h", 1);
        ledger.write(begin).await.unwrap();
        let outside = dir.path().join("out");
        let notes = Notes { inside: dir.path().join("in"), outside: Some(outside.clone()) };
        let further = Marks { generations: 9, ..ledger.read(restored::marks).await.unwrap() };
        for (now_ms, note, want) in [(5, &further, Some(5)), (6, &further, Some(5))] {
            std::fs::write(&outside, serde_json::to_string(note).unwrap()).unwrap();
            recognise(&ledger, &notes, now_ms).await.unwrap();
            assert_eq!(ledger.read(restored::last_ms).await.unwrap(), want);
        }
        // Another note is news.
        let further = Marks { generations: 10, ..further };
        std::fs::write(&outside, serde_json::to_string(&further).unwrap()).unwrap();
        recognise(&ledger, &notes, 7).await.unwrap();
        assert_eq!(ledger.read(restored::last_ms).await.unwrap(), Some(7));
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
