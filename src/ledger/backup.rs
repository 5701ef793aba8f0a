//! Copies of a ledger, and a copy in the ledger's place. A copy is of one moment, whole and checked, or it is not there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::open::{classify, known_schema, reader, schema_of, writer};
use super::restored::RESTORING;
use super::{LedgerLock, OpenError, Places};

/// Pages that are copied in one go.
const STEP: i32 = 4096;

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub bytes: u64,
    pub turns: u64,
    pub schema: u32,
}

/// Why there is no copy, or why it did not take the ledger's place. Nothing that was there before was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("there is no ledger {0}")]
    Missing(PathBuf),
    #[error("{0} is there already")]
    Taken(PathBuf),
    #[error("{path} cannot be written")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Ledger(#[from] OpenError),
}

/// Where a copy grows until it is whole.
pub fn unfinished(copy: &Path) -> PathBuf {
    beside(copy, ".part")
}

/// Copies the ledger `from`, which may be in use, to `to`, which must not be there. For the owner only.
///
/// # Errors
/// See [`BackupError`].
pub fn copy(from: &Path, to: &Path) -> Result<Copied, BackupError> {
    if !from.exists() {
        return Err(BackupError::Missing(from.to_owned()));
    }
    if to.exists() {
        return Err(BackupError::Taken(to.to_owned()));
    }
    let part = unfinished(to);
    clear(&part);
    let copied = copy_into(from, &part).and_then(|copied| {
        std::fs::rename(&part, to).and_then(|()| sync_folder(to)).map_err(|source| io_error(to, source))?;
        Ok(copied)
    });
    if copied.is_err() {
        clear(&part);
    }
    copied
}

fn copy_into(from: &Path, part: &Path) -> Result<Copied, BackupError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part);
    drop(made.map_err(|source| io_error(part, source))?);
    let source = reader(from)?;
    let schema = schema_of(&source).map_err(|error| classify(from, error))?;
    if schema == 0 {
        let detail = "it is no ledger of ally".to_owned();
        return Err(OpenError::Corrupt { path: from.to_owned(), detail }.into());
    }
    if schema > known_schema() {
        return Err(OpenError::TooNew { path: from.to_owned(), found: schema, known: known_schema() }.into());
    }
    let turns = pages(&source, part).map_err(|error| classify(from, error))?;
    check(part)?;
    let file = File::open(part).map_err(|source| io_error(part, source))?;
    file.sync_all().map_err(|source| io_error(part, source))?;
    let bytes = file.metadata().map_err(|source| io_error(part, source))?.len();
    Ok(Copied { bytes, turns, schema })
}

/// All pages as of one moment: the snapshot is held for as long as it takes, so that no commit begins it anew.
fn pages(source: &Connection, part: &Path) -> rusqlite::Result<u64> {
    let snapshot = source.unchecked_transaction()?;
    let turns: i64 = snapshot.query_row("SELECT count(*) FROM turns", [], |row| row.get(0))?;
    let mut target = Connection::open(part)?;
    rusqlite::backup::Backup::new(&snapshot, &mut target)?.run_to_completion(STEP, Duration::ZERO, None)?;
    // One file, wherever it is carried.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(u64::try_from(turns).unwrap_or(0))
}

/// Whether a copy is whole: every page, every index, every key.
fn check(copy: &Path) -> Result<(), BackupError> {
    let whole = || -> rusqlite::Result<Option<String>> {
        let connection = Connection::open(copy)?;
        let told: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if told != "ok" {
            return Ok(Some(told));
        }
        let broken: i64 =
            connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
        Ok((broken > 0).then(|| format!("{broken} rows name others that are not there")))
    };
    match whole() {
        Ok(None) => Ok(()),
        Ok(Some(detail)) => Err(OpenError::Corrupt { path: copy.to_owned(), detail }.into()),
        Err(error) => Err(classify(copy, error).into()),
    }
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    pub copied: Copied,
    /// Where the ledger lies that was there before.
    pub aside: Option<PathBuf>,
}

/// Puts a copy in the ledger's place, marked as restored: the next start lets nothing of it run or be sent by itself. What
/// was there before is kept.
///
/// # Errors
/// See [`BackupError`]; the ledger is as it was.
pub fn restore(places: &Places, _lock: &LedgerLock, from: &Path, now_ms: i64) -> Result<Replaced, BackupError> {
    let fresh = beside(&places.file, ".restoring");
    clear(&fresh);
    let copied = copy(from, &fresh)?;
    mark(&fresh).map_err(|error| classify(&fresh, error))?;
    let aside = set_aside(places, now_ms)?;
    std::fs::rename(&fresh, &places.file)
        .and_then(|()| sync_folder(&places.file))
        .map_err(|source| io_error(&places.file, source))?;
    Ok(Replaced { copied, aside })
}

/// What compacting did to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    pub bytes_before: u64,
    pub bytes: u64,
}

/// Writes the ledger anew without its gaps, whole and checked beside the old one, and puts it in its place. From then on
/// it gives back by itself what becomes free.
///
/// # Errors
/// See [`BackupError`]; the ledger is as it was.
pub fn compact(places: &Places, _lock: &LedgerLock) -> Result<Compacted, BackupError> {
    if !places.file.exists() {
        return Err(BackupError::Missing(places.file.clone()));
    }
    let fresh = beside(&places.file, ".compact");
    clear(&fresh);
    let size = |file: &Path| std::fs::metadata(file).map(|meta| meta.len()).map_err(|source| io_error(file, source));
    let compacted = writer(places).map_err(BackupError::from).and_then(|ledger| {
        // With what is still in its log.
        let emptied = ledger.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        emptied.map_err(|error| classify(&places.file, error))?;
        let bytes_before = size(&places.file)?;
        written_anew(&ledger, &fresh).map_err(|error| classify(&fresh, error))?;
        check(&fresh)?;
        let file = File::open(&fresh).map_err(|source| io_error(&fresh, source))?;
        file.sync_all().map_err(|source| io_error(&fresh, source))?;
        Ok(Compacted { bytes_before, bytes: size(&fresh)? })
    });
    let replaced = compacted.and_then(|compacted| {
        // They belong to the old file, and hold nothing more.
        for end in LOGS.into_iter().chain([INDEX]) {
            let _ = std::fs::remove_file(beside(&places.file, end));
        }
        std::fs::rename(&fresh, &places.file)
            .and_then(|()| sync_folder(&places.file))
            .map_err(|source| io_error(&places.file, source))?;
        Ok(compacted)
    });
    if replaced.is_err() {
        clear(&fresh);
    }
    replaced
}

/// For the owner only. The numbers of rows stay: they are marks of how far it has come.
fn written_anew(ledger: &Connection, fresh: &Path) -> rusqlite::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh);
    made.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    ledger.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    ledger.execute("VACUUM INTO ?1", [fresh.to_string_lossy()]).map(drop)
}

fn mark(copy: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(copy)?;
    let sql = "INSERT INTO meta (key, value) VALUES (?1, '1') ON CONFLICT (key) DO UPDATE SET value = '1'";
    connection.execute(sql, [RESTORING]).map(drop)
}

/// What may lie beside a file that SQLite has written, and is taken for its own by whoever opens a file of that name.
const LOGS: [&str; 2] = ["-wal", "-journal"];
const INDEX: &str = "-shm";

/// Moves the ledger and its logs away, the logs first and each for itself: one whose ledger is gone would be played into
/// the file that comes in its place.
fn set_aside(places: &Places, now_ms: i64) -> Result<Option<PathBuf>, BackupError> {
    let aside = places.backups.join(format!("ledger-replaced-{now_ms}.db"));
    let mut kept = None;
    for end in LOGS.into_iter().chain([""]) {
        let (from, to) = (beside(&places.file, end), beside(&aside, end));
        if from.exists() {
            std::fs::create_dir_all(&places.backups).map_err(|source| io_error(&places.backups, source))?;
            std::fs::rename(&from, &to).map_err(|source| io_error(&to, source))?;
            kept = Some(to);
        }
    }
    // Made anew by whoever opens it.
    let _ = std::fs::remove_file(beside(&places.file, INDEX));
    Ok(kept)
}

/// What is left of a file that was being made when it was cut short.
fn clear(unfinished: &Path) {
    for end in LOGS.into_iter().chain([INDEX, ""]) {
        let _ = std::fs::remove_file(beside(unfinished, end));
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(file.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn io_error(path: &Path, source: io::Error) -> BackupError {
    BackupError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::ledger::said;

    fn places() -> (tempfile::TempDir, Places) {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        (dir, places)
    }

    fn noted(file: &Path) -> Option<String> {
        crate::ledger::report::offline(file, |tx| said::meta(tx, "note")).unwrap().flatten()
    }

    #[test]
    fn a_copy_is_of_one_moment_whole_and_private() {
        let (dir, places) = places();
        let mut open = writer(&places).unwrap();
        note(&mut open, "before");
        let to = dir.path().join("copy.db");
        let copied = copy(&places.file, &to).unwrap();
        note(&mut open, "after");
        assert_eq!((copied.turns, copied.schema), (0, known_schema()));
        assert_eq!(noted(&to).as_deref(), Some("before"));
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!unfinished(&to).exists());
        assert!(matches!(copy(&places.file, &to), Err(BackupError::Taken(_))), "nothing is written over");
        assert!(matches!(copy(&dir.path().join("none"), &dir.path().join("c2")), Err(BackupError::Missing(_))));
        let broken = dir.path().join("broken.db");
        std::fs::write(&broken, vec![b'x'; 8192]).unwrap();
        assert!(matches!(copy(&broken, &dir.path().join("c3")), Err(BackupError::Ledger(_))));
        assert!(!dir.path().join("c3").exists() && !unfinished(&dir.path().join("c3")).exists());
    }

    #[test]
    fn a_large_old_file_is_written_anew_and_gives_back_what_becomes_free() {
        let (dir, places) = places();
        let old = writer(&places).unwrap();
        // Larger than what is written anew when it is opened, and most of it gaps.
        let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
                    INSERT INTO meta (key, value) SELECT 'k' || i, hex(zeroblob(1500)) FROM n";
        old.execute_batch(&format!(
            "PRAGMA synchronous = OFF; PRAGMA secure_delete = OFF; PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE;
             VACUUM; {rows}; DELETE FROM meta WHERE key LIKE 'k%5'; DELETE FROM meta WHERE key LIKE 'k%1';
             INSERT INTO meta (key, value) VALUES ('note', 'kept')"
        ))
        .unwrap();
        drop(old);
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        let Compacted { bytes_before, bytes } = compact(&places, &lock).unwrap();
        assert!(bytes < bytes_before - bytes_before / 10, "{bytes_before} bytes became {bytes}");
        assert_eq!(std::fs::metadata(&places.file).unwrap().len(), bytes);
        assert_eq!(std::fs::metadata(&places.file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(noted(&places.file).as_deref(), Some("kept"));
        let kind: i64 = writer(&places).unwrap().pragma_query_value(None, "auto_vacuum", |row| row.get(0)).unwrap();
        assert_eq!(kind, 2);
        let none = Places { file: dir.path().join("none.db"), ..places };
        assert!(matches!(compact(&none, &lock), Err(BackupError::Missing(_))));
    }

    #[test]
    fn a_copy_takes_the_ledgers_place_and_what_was_there_is_kept() {
        let (dir, places) = places();
        let mut open = writer(&places).unwrap();
        note(&mut open, "old");
        let to = dir.path().join("copy.db");
        copy(&places.file, &to).unwrap();
        open.execute("UPDATE meta SET value = 'new' WHERE key = 'note'", []).unwrap();
        drop(open);
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        let replaced = restore(&places, &lock, &to, 7).unwrap();
        assert_eq!(noted(&places.file).as_deref(), Some("old"));
        assert_eq!(noted(&replaced.aside.unwrap()).as_deref(), Some("new"));
        let marked = crate::ledger::report::offline(&places.file, |tx| said::meta(tx, RESTORING)).unwrap().flatten();
        assert_eq!(marked.as_deref(), Some("1"));
        assert!(restore(&places, &lock, &dir.path().join("none"), 8).is_err());
        assert_eq!(noted(&places.file).as_deref(), Some("old"), "a failed one changes nothing");
    }

    fn note(open: &mut Connection, note: &str) {
        let tx = open.transaction().unwrap();
        said::set_meta(&tx, "note", note).unwrap();
        tx.commit().unwrap();
    }

    /// SQLite takes whatever has the log's name for the log of the file beside it.
    #[test]
    fn the_log_of_a_ledger_that_is_gone_is_not_played_into_another() {
        let (dir, places) = places();
        let mut open = writer(&places).unwrap();
        note(&mut open, "old");
        let to = dir.path().join("copy.db");
        copy(&places.file, &to).unwrap();
        note(&mut open, "new");
        let (wal, kept) = (beside(&places.file, "-wal"), dir.path().join("kept"));
        std::fs::copy(&wal, &kept).unwrap();
        drop(open);
        std::fs::remove_file(&places.file).unwrap();
        std::fs::rename(&kept, &wal).unwrap();
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        let replaced = restore(&places, &lock, &to, 7).unwrap();
        drop(writer(&places).unwrap());
        assert_eq!(noted(&places.file).as_deref(), Some("old"));
        assert!(replaced.aside.unwrap().exists(), "what was committed last is kept");
    }
}
