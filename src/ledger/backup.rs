//! Copies of a ledger, and a copy in the ledger's place. A copy is of one moment, whole and checked, or it is not there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::open::{classify, known_schema, reader, schema_of, writer};
use super::restored::RESTORING;
use super::{LedgerLock, OpenError, Places};
use crate::crash;

/// Pages that are copied in one go.
const STEP: i32 = 4096;
/// How long whoever reads the ledger is waited for.
const READERS: Duration = Duration::from_secs(5);

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
    /// Nobody clears away what he was asked to put back.
    #[error("{0} is where a restore makes its own copy, and is cleared for the next one")]
    InTheWay(PathBuf),
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
/// was there before is kept. Whenever it is cut short, the one or the other lies there.
///
/// # Errors
/// See [`BackupError`]; the ledger is as it was.
pub fn restore(places: &Places, _lock: &LedgerLock, from: &Path, now_ms: i64) -> Result<Replaced, BackupError> {
    let fresh = fresh(places);
    // What one left that was cut short may be all that there is.
    if [&unfinished(&fresh), &fresh].into_iter().any(|own| is_one_file(own, from)) {
        return Err(BackupError::InTheWay(from.to_owned()));
    }
    end_what_was_cut_short(places);
    clear(&fresh);
    let (was, aside) = (identity(&places.file), unused(places, now_ms));
    let replaced = copy(from, &fresh).and_then(|copied| {
        mark(&fresh).map_err(|error| classify(&fresh, error))?;
        crash::point("restore.middle");
        let aside = set_aside(places, &aside)?;
        crash::point("restore.before");
        std::fs::rename(&fresh, &places.file)
            .and_then(|()| sync_folder(&places.file))
            .map_err(|source| io_error(&places.file, source))?;
        crash::point("restore.after");
        Ok(Replaced { copied, aside })
    });
    if replaced.is_err() {
        // Not where the copy lies there after all: they would be played into it.
        if identity(&places.file) == was {
            put_back_logs(places, &aside);
        }
        clear(&fresh);
        end_what_was_cut_short(places);
    }
    replaced
}

/// Where a copy lies that is about to take the ledger's place.
fn fresh(places: &Places) -> PathBuf {
    beside(&places.file, ".restoring")
}

/// Refuses where a ledger was and is not: nobody begins an empty one without a word. `noted` says of it outside, where it
/// does.
///
/// # Errors
/// [`OpenError::Gone`].
pub fn refuse_if_gone(places: &Places, noted: Option<PathBuf>) -> Result<(), OpenError> {
    let mut signs: Vec<PathBuf> = noted.into_iter().collect();
    if has_bytes(&places.file) {
        return Ok(());
    }
    // An empty one may just have been begun, with a log of its own.
    if !places.file.exists() {
        let fresh = fresh(places);
        let logs = LOGS.into_iter().map(|end| beside(&places.file, end));
        signs.extend(logs.chain([unfinished(&fresh), fresh]).filter(|file| has_bytes(file)));
    }
    if signs.is_empty() {
        return Ok(());
    }
    Err(OpenError::Gone { path: places.file.clone(), copy: newest(&places.backups), signs })
}

/// The newest copy in a folder.
fn newest(backups: &Path) -> Option<PathBuf> {
    let copies = std::fs::read_dir(backups).ok()?.flatten();
    let copies = copies.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "db"));
    copies.max_by_key(|path| std::fs::metadata(path).and_then(|found| found.modified()).ok())
}

/// Takes away what a restore leaves that was cut short before its last step, where the ledger is as it was: the copy, and
/// a second name of the ledger itself, which is no copy and would change with it. Its logs come back.
pub(super) fn end_what_was_cut_short(places: &Places) {
    let Ok(ledger) = std::fs::metadata(&places.file) else { return };
    let fresh = fresh(places);
    if fresh.exists() {
        tracing::warn!("The ledger is as it was: what was to take its place was cut short before it did");
    }
    clear(&unfinished(&fresh));
    clear(&fresh);
    if ledger.nlink() < 2 {
        return;
    }
    for name in std::fs::read_dir(&places.backups).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let is_the_ledger = std::fs::symlink_metadata(&name)
            .is_ok_and(|found| (found.dev(), found.ino()) == (ledger.dev(), ledger.ino()));
        if is_the_ledger {
            put_back_logs(places, &name);
        }
        // With a log it is what the ledger was, together with that.
        if is_the_ledger && !LOGS.iter().any(|end| has_bytes(&beside(&name, end))) {
            clear(&name);
        }
    }
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
    end_what_was_cut_short(places);
    let fresh = beside(&places.file, ".compact");
    clear(&fresh);
    let size = |file: &Path| std::fs::metadata(file).map(|meta| meta.len()).map_err(|source| io_error(file, source));
    let compacted = writer(places).map_err(BackupError::from).and_then(|ledger| {
        // Its log is taken away before the new file comes: nothing may be left in there.
        if !log_to_file(&ledger).map_err(|error| classify(&places.file, error))? {
            return Err(OpenError::Locked { path: places.file.clone(), pid: None }.into());
        }
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

/// Keeps the ledger and its logs under another name, each for itself, and takes the logs away: one that stays would be
/// played into the file that comes in its place. The ledger stays where it is, too, for whoever comes after a sudden end.
fn set_aside(places: &Places, aside: &Path) -> Result<Option<PathBuf>, BackupError> {
    if places.file.exists() {
        empty_log(&places.file)?;
    }
    let left = [""].into_iter().chain(LOGS).filter(|end| has_bytes(&beside(&places.file, end)));
    let left: Vec<&str> = left.collect();
    let mut kept = None;
    if !left.is_empty() {
        std::fs::create_dir_all(&places.backups).map_err(|source| io_error(&places.backups, source))?;
        for end in left {
            let (from, to) = (beside(&places.file, end), beside(aside, end));
            second_name(&from, &to).map_err(|source| io_error(&to, source))?;
            kept.get_or_insert(to);
        }
        sync_folder(aside).map_err(|source| io_error(aside, source))?;
    }
    for end in LOGS.into_iter().chain([INDEX]) {
        let log = beside(&places.file, end);
        match std::fs::remove_file(&log) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io_error(&log, source)),
            _ => {}
        }
    }
    sync_folder(&places.file).map_err(|source| io_error(&places.file, source))?;
    Ok(kept)
}

/// The ledger's logs from where they were set aside, where the ledger is still the one they belong to. The caller knows
/// that no other file has taken its place.
fn put_back_logs(places: &Places, aside: &Path) {
    for end in LOGS {
        let (kept, log) = (beside(aside, end), beside(&places.file, end));
        if is_one_file(&kept, &log) {
            let _ = std::fs::remove_file(&kept);
        } else if has_bytes(&kept) && !has_bytes(&log) && !is_written_since(&places.file, &kept) {
            let back = std::fs::rename(&kept, &log).or_else(|_| second_name(&kept, &log));
            if let Err(error) = back.and_then(|()| sync_folder(&log)) {
                tracing::warn!(%error, log = %kept.display(), "A log of the ledger stays where it was set aside");
            }
        }
    }
}

/// Whether a ledger has gone on without a log that was set aside: taking one away is the last that is noted of it.
fn is_written_since(ledger: &Path, log: &Path) -> bool {
    match (std::fs::metadata(ledger), std::fs::metadata(log)) {
        (Ok(ledger), Ok(log)) => (ledger.mtime(), ledger.mtime_nsec()) > (log.ctime(), log.ctime_nsec()),
        _ => false,
    }
}

/// A name under which nothing was kept yet; a clock may show the same time again.
fn unused(places: &Places, now_ms: i64) -> PathBuf {
    let mut number = now_ms;
    loop {
        let aside = places.backups.join(format!("ledger-replaced-{number}.db"));
        if ["", LOGS[0], LOGS[1]].iter().all(|end| !beside(&aside, end).exists()) {
            return aside;
        }
        number += 1;
    }
}

/// The same bytes under another name: by a link, else by a copy.
fn second_name(from: &Path, to: &Path) -> io::Result<()> {
    if std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let part = unfinished(to);
    let copied = std::fs::copy(from, &part).and_then(|_| File::open(&part)?.sync_all());
    let copied = copied.and_then(|()| std::fs::rename(&part, to));
    if copied.is_err() {
        clear(&part);
    }
    copied
}

/// Brings what was committed into the file itself. A file that is damaged, or that the disk does not give, is kept with
/// its log, as it is.
fn empty_log(file: &Path) -> Result<(), BackupError> {
    let emptied = || -> rusqlite::Result<bool> {
        let ledger = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        ledger.busy_timeout(READERS)?;
        // Else a log that could not be read would be gone with this connection.
        ledger.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        log_to_file(&ledger)
    };
    match emptied().map_err(|error| classify(file, error)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::Locked { path: file.to_owned(), pid: None }.into()),
        Err(error @ (OpenError::Locked { .. } | OpenError::Full { .. })) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "The ledger that is replaced is kept with its log, as it is");
            Ok(())
        }
    }
}

/// Whether all of the log could be brought into the file: not while somebody reads.
fn log_to_file(ledger: &Connection) -> rusqlite::Result<bool> {
    ledger.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}

/// What is left of a file that was being made when it was cut short.
fn clear(unfinished: &Path) {
    for end in LOGS.into_iter().chain([INDEX, ""]) {
        let _ = std::fs::remove_file(beside(unfinished, end));
    }
}

/// The same for two names of one file, and for a name that leads to it.
fn identity(file: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(file).ok().map(|found| (found.dev(), found.ino()))
}

fn is_one_file(one: &Path, other: &Path) -> bool {
    identity(one).is_some_and(|file| identity(other) == Some(file))
}

fn has_bytes(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.len() > 0)
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

    /// A home with a ledger, and a copy of what it was before.
    fn changed_since(note_then: &str, note_now: &str) -> (tempfile::TempDir, Places, PathBuf, LedgerLock) {
        let (dir, places) = places();
        let mut open = writer(&places).unwrap();
        note(&mut open, note_then);
        let to = dir.path().join("copy.db");
        copy(&places.file, &to).unwrap();
        note(&mut open, note_now);
        drop(open);
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        (dir, places, to, lock)
    }

    #[tokio::test]
    async fn until_the_last_step_the_ledger_lies_where_it_was() {
        let (_dir, places, to, lock) = changed_since("old", "new");
        // As far as a restore comes before its last step.
        copy(&to, &fresh(&places)).unwrap();
        let aside = set_aside(&places, &unused(&places, 7)).unwrap().unwrap();
        assert_eq!(noted(&places.file).as_deref(), Some("new"), "it was never away");
        assert_eq!(noted(&aside).as_deref(), Some("new"));
        // Its threads hold the file until they have ended.
        crate::ledger::Ledger::open(&places, &lock).unwrap().close().await;
        assert!(!aside.exists() && !fresh(&places).exists(), "a second name of the ledger is no copy of it");
        assert_eq!(noted(&places.file).as_deref(), Some("new"));
        let replaced = restore(&places, &lock, &to, 7).unwrap();
        assert_eq!(noted(&places.file).as_deref(), Some("old"));
        let aside = replaced.aside.unwrap();
        end_what_was_cut_short(&places);
        assert_eq!(noted(&aside).as_deref(), Some("new"), "what was replaced stays");
        let again = restore(&places, &lock, &to, 7).unwrap().aside.unwrap();
        assert_ne!(again, aside, "and is not written over");
    }

    #[test]
    fn a_damaged_ledger_is_replaced_and_kept_with_its_log() {
        let (_dir, places, to, lock) = changed_since("old", "new");
        std::fs::write(&places.file, vec![0xa5; 64 * 1024]).unwrap();
        std::fs::write(beside(&places.file, "-wal"), "what was committed last").unwrap();
        let aside = restore(&places, &lock, &to, 7).unwrap().aside.unwrap();
        assert_eq!(std::fs::read(&aside).unwrap(), vec![0xa5; 64 * 1024]);
        assert_eq!(std::fs::read(beside(&aside, "-wal")).unwrap(), b"what was committed last");
        end_what_was_cut_short(&places);
        assert!(beside(&aside, "-wal").exists(), "it is not the log of what lies there now");
        assert_eq!(noted(&places.file).as_deref(), Some("old"));
    }

    /// The power went before the last step, and nothing lies in the ledger's place.
    #[test]
    fn what_a_restore_left_is_not_cleared_where_it_is_to_be_restored() {
        let (dir, places, to, lock) = changed_since("old", "new");
        let (fresh, elsewhere) = (fresh(&places), dir.path().join("elsewhere.db"));
        let link = dir.path().join("link.db");
        for (own, is_there) in [(fresh.clone(), false), (unfinished(&fresh), false), (fresh, true)] {
            std::fs::copy(&to, &own).unwrap();
            std::os::unix::fs::symlink(&own, &link).unwrap();
            if !is_there {
                let _ = std::fs::remove_file(&places.file);
            }
            for from in [&own, &link] {
                let refused = restore(&places, &lock, from, 7);
                assert!(matches!(&refused, Err(BackupError::InTheWay(path)) if path == from), "{refused:?}");
                assert_eq!(std::fs::read(from).unwrap(), std::fs::read(&to).unwrap());
            }
            std::fs::remove_file(&link).unwrap();
            std::fs::rename(&own, &elsewhere).unwrap();
            restore(&places, &lock, &elsewhere, 7).unwrap();
            assert_eq!(noted(&places.file).as_deref(), Some("old"));
        }
    }

    /// A home whose ledger has "new" in its log alone, and an index that nobody can open: as where the disk gives errors.
    fn unreadable() -> (tempfile::TempDir, Places, PathBuf, LedgerLock) {
        let (dir, places) = places();
        let mut open = writer(&places).unwrap();
        note(&mut open, "old");
        let to = dir.path().join("copy.db");
        copy(&places.file, &to).unwrap();
        log_to_file(&open).unwrap();
        note(&mut open, "new");
        let kept = ["", "-wal"].map(|end| {
            let (file, kept) = (beside(&places.file, end), dir.path().join(format!("kept{end}")));
            std::fs::copy(&file, &kept).unwrap();
            (file, kept)
        });
        drop(open);
        for (file, kept) in kept {
            std::fs::rename(kept, file).unwrap();
        }
        std::os::unix::fs::symlink(dir.path().join("none/index"), beside(&places.file, INDEX)).unwrap();
        let refused = log_to_file(&Connection::open(&places.file).unwrap()).map_err(|e| classify(&places.file, e));
        assert!(matches!(refused, Err(OpenError::Unusable { .. })), "{refused:?}");
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        (dir, places, to, lock)
    }

    #[test]
    fn a_ledger_that_cannot_be_read_is_replaced_and_kept_with_its_log() {
        let (_dir, places, to, lock) = unreadable();
        let aside = restore(&places, &lock, &to, 7).unwrap().aside.unwrap();
        assert_eq!(noted(&places.file).as_deref(), Some("old"));
        assert_eq!(noted(&aside).as_deref(), Some("new"), "with what was in its log alone");
    }

    #[test]
    fn a_restore_that_fails_leaves_the_ledger_its_log() {
        let (_dir, places, to, lock) = unreadable();
        let index = beside(&places.file, INDEX);
        std::fs::remove_file(&index).unwrap();
        // Taken away after the log, and this one cannot be.
        std::fs::create_dir(&index).unwrap();
        assert!(restore(&places, &lock, &to, 7).is_err());
        std::fs::remove_dir(&index).unwrap();
        assert_eq!(std::fs::read_dir(&places.backups).unwrap().count(), 0, "no second name is left of it");
        assert_eq!(noted(&places.file).as_deref(), Some("new"));
        // A log alone is a sign that there was a ledger.
        std::fs::remove_file(&places.file).unwrap();
        let _ = std::fs::remove_file(&index);
        std::fs::create_dir(&index).unwrap();
        assert!(restore(&places, &lock, &to, 7).is_err());
        assert!(matches!(refuse_if_gone(&places, None), Err(OpenError::Gone { .. })));
    }

    #[test]
    fn a_log_comes_back_to_the_ledger_it_was_taken_from_and_to_no_later_one() {
        let (_dir, places, to, lock) = unreadable();
        let wal = beside(&places.file, "-wal");
        // As far as a restore comes before its last step.
        let cut_short = || set_aside(&places, &unused(&places, 7)).unwrap().unwrap();
        cut_short();
        assert!(!wal.exists());
        end_what_was_cut_short(&places);
        assert_eq!(std::fs::read_dir(&places.backups).unwrap().count(), 0);
        assert_eq!(noted(&places.file).as_deref(), Some("new"));
        // Somebody has written the ledger without it.
        let _ = std::fs::remove_file(beside(&places.file, INDEX));
        std::os::unix::fs::symlink(places.backups.join("none/index"), beside(&places.file, INDEX)).unwrap();
        let aside = cut_short();
        let later = std::time::SystemTime::now() + Duration::from_secs(1);
        File::options().write(true).open(&places.file).unwrap().set_modified(later).unwrap();
        end_what_was_cut_short(&places);
        assert!(!wal.exists() && beside(&aside, "-wal").exists());
        restore(&places, &lock, &to, 7).unwrap();
        assert_eq!(noted(&places.file).as_deref(), Some("old"));
    }

    #[test]
    fn a_ledger_that_somebody_reads_is_not_compacted() {
        let (_dir, places, _, lock) = changed_since("old", "new");
        let mut open = writer(&places).unwrap();
        let reads = reader(&places.file).unwrap();
        reads.execute_batch("BEGIN; SELECT count(*) FROM meta").unwrap();
        note(&mut open, "newest");
        drop(open);
        let refused = compact(&places, &lock);
        assert!(matches!(refused, Err(BackupError::Ledger(OpenError::Locked { .. }))), "{refused:?}");
        assert!(has_bytes(&beside(&places.file, "-wal")), "what is committed may be there alone");
        drop(reads);
        compact(&places, &lock).unwrap();
        assert_eq!(noted(&places.file).as_deref(), Some("newest"));
    }

    #[test]
    fn an_empty_one_is_not_begun_where_one_was() {
        let (dir, places, to, lock) = changed_since("old", "new");
        let note = dir.path().join("note");
        let refused = |noted: Option<&PathBuf>| match refuse_if_gone(&places, noted.cloned()) {
            Ok(()) => None,
            Err(OpenError::Gone { copy, signs, .. }) => Some((copy, signs)),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(refused(Some(&note)), None, "it is there");
        std::fs::remove_file(&places.file).unwrap();
        assert_eq!(refused(None), None, "nothing says that there was one");
        assert_eq!(refused(Some(&note)), Some((None, vec![note.clone()])));
        // A log without its ledger, and a copy that was on its way.
        let (wal, fresh) = (beside(&places.file, "-wal"), fresh(&places));
        std::fs::write(&wal, "x").unwrap();
        assert_eq!(refused(None), Some((None, vec![wal.clone()])));
        std::fs::remove_file(&wal).unwrap();
        std::fs::copy(&to, &fresh).unwrap();
        std::fs::create_dir_all(&places.backups).unwrap();
        let kept = places.backups.join("ledger-1.db");
        std::fs::copy(&to, &kept).unwrap();
        assert_eq!(refused(None), Some((Some(kept.clone()), vec![fresh])));
        restore(&places, &lock, &kept, 7).unwrap();
        assert_eq!(refused(Some(&note)), None);
        std::fs::write(&places.file, "").unwrap();
        assert!(refused(Some(&note)).is_some(), "an empty file is none");
    }
}
