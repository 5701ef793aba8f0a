//! Opening: lock, backup, migration, pragmas, and a clear word for each way in which it can fail.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};

use super::checkpoint::{self, Checkpoints};
use super::{LedgerError, OpenError};
use crate::crash;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Where the ledger and its neighbours lie. All paths absolute.
#[derive(Debug, Clone)]
pub struct Places {
    pub file: PathBuf,
    pub backups: PathBuf,
}

/// How long a write waits for another program that holds the file: an event's answer is due within three seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Held for life by the one process that may write the ledger. Taken before the file is opened; restore takes it too.
#[derive(Debug)]
pub struct LedgerLock {
    _file: File,
}

impl LedgerLock {
    /// # Errors
    /// [`OpenError::Locked`] names the process that holds it, where that can be read.
    pub fn take(lock_file: &Path, ledger: &Path) -> Result<Self, OpenError> {
        let unusable =
            |source: std::io::Error| OpenError::Unusable { path: lock_file.to_owned(), source: source.into() };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock_file).map_err(unusable)?;
        if file.try_lock().is_err() {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::Locked { path: ledger.to_owned(), pid });
        }
        // The number is for people only; the lock itself is what counts.
        file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

/// Newest schema that this program knows.
pub fn known_schema() -> u32 {
    embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0) as u32
}

pub(super) fn writer(places: &Places) -> Result<Connection, OpenError> {
    let path = &places.file;
    let mut connection = Connection::open(path).map_err(|e| classify(path, e))?;
    settings(&connection).map_err(|e| classify(path, e))?;
    let found = schema_of(&connection).map_err(|e| classify(path, e))?;
    let known = known_schema();
    if found > known {
        return Err(OpenError::TooNew { path: path.clone(), found, known });
    }
    keep_private(path);
    if is_small(path) {
        quick_check(&connection, path)?;
    }
    if found < known {
        migrate(places, &mut connection, found)?;
    }
    if is_small(path) {
        make_shrinkable(&connection);
    }
    connection.set_prepared_statement_cache_capacity(128);
    connection.busy_timeout(PATIENCE).map_err(|e| classify(path, e))?;
    Ok(connection)
}

/// Pages that a connection keeps. What a message touches is far less, and the system keeps the file in memory as well.
const CACHE_KIB: i64 = 1024;

/// Up to here the whole file is read before anything else; it takes no time that anybody notices.
const SMALL_BYTES: u64 = 32 << 20;

fn is_small(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() <= SMALL_BYTES)
}

fn quick_check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| classify(path, e))?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Corrupt { path: path.to_owned(), detail: found }) }
}

/// Reads a large file from end to end on a thread of its own; a small one was read when it was opened. Dropping the
/// future ends it.
pub(super) async fn check(path: &Path) -> Result<(), OpenError> {
    if is_small(path) {
        return Ok(());
    }
    let connection = reader(path)?;
    let _ends = Interrupts(connection.get_interrupt_handle());
    let (told, found) = tokio::sync::oneshot::channel();
    let path = path.to_owned();
    std::thread::Builder::new()
        .name("ledger-check".to_owned())
        // Nobody listens once the daemon ends.
        .spawn(move || drop(told.send(quick_check(&connection, &path))))
        .expect("the system can start a thread");
    found.await.unwrap_or(Ok(()))
}

struct Interrupts(rusqlite::InterruptHandle);

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

fn migrate(places: &Places, connection: &mut Connection, found: u32) -> Result<(), OpenError> {
    let backup = if found > 0 { Some(back_up(places, connection, found)?) } else { None };
    crash::point("migration.before");
    // All steps in one transaction: a ledger is at the old schema or at the new one.
    let migrated = embedded::migrations::runner().set_grouped(true).run(connection);
    migrated.map_err(|error| not_migrated(&places.file, backup, error.into()))?;
    crash::point("migration.after");
    Ok(())
}

/// A copy of the ledger as it was. One of the same schema may lie there from another time: it stays.
fn back_up(places: &Places, connection: &Connection, found: u32) -> Result<PathBuf, OpenError> {
    let failed = |source: Box<dyn Error + Send + Sync>| not_migrated(&places.file, None, source);
    std::fs::create_dir_all(&places.backups).map_err(|e| failed(e.into()))?;
    let part = places.backups.join(format!("ledger-schema-{found}.db.part"));
    let _ = std::fs::remove_file(&part);
    let copied = Connection::open(&part).and_then(|mut target| {
        rusqlite::backup::Backup::new(connection, &mut target)?.run_to_completion(1000, Duration::ZERO, None)
    });
    if let Err(error) = copied {
        // It takes room, of which there may be too little.
        let _ = std::fs::remove_file(&part);
        return Err(failed(error.into()));
    }
    let names = (1..).map(|n| match n {
        1 => format!("ledger-schema-{found}.db"),
        n => format!("ledger-schema-{found}-{n}.db"),
    });
    for name in names {
        let copy = places.backups.join(name);
        if !copy.exists() {
            std::fs::rename(&part, &copy).map_err(|e| failed(e.into()))?;
            return Ok(copy);
        }
        // A migration that is tried again and again fills no disk.
        if is_same(&part, &copy).map_err(|e| failed(e.into()))? {
            let _ = std::fs::remove_file(&part);
            return Ok(copy);
        }
    }
    unreachable!("there is no end of names")
}

/// What would be in the way of any write is told as that: nothing is wrong with the ledger or the steps, and time or a
/// person mends it.
fn not_migrated(path: &Path, backup: Option<PathBuf>, source: Box<dyn Error + Send + Sync>) -> OpenError {
    use ErrorCode::{CannotOpen, ReadOnly, SystemIoFailure};
    let mut causes = std::iter::successors(Some(&*source as &(dyn Error + 'static)), |&error| error.source());
    let cause = causes.find_map(|error| error.downcast_ref::<rusqlite::Error>());
    if let Some(passes) = cause.and_then(|error| passing(path, error)) {
        return passes;
    }
    let path = path.to_owned();
    match cause.and_then(rusqlite::Error::sqlite_error_code) {
        Some(SystemIoFailure | CannotOpen | ReadOnly) => OpenError::Unusable { path, source },
        _ => OpenError::Migration { path, backup, source },
    }
}

/// Whether two files hold the same bytes.
fn is_same(one: &Path, other: &Path) -> std::io::Result<bool> {
    if std::fs::metadata(one)?.len() != std::fs::metadata(other)?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let n = left.len().min(right.len());
        if left[..n] != right[..n] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
        one.consume(n);
        other.consume(n);
    }
}

/// What people said is for the owner's eyes, also where somebody copies the file out of its folder. SQLite makes files that
/// others may read; those beside it get the mode of the ledger when they are made anew.
fn keep_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.to_owned().into_os_string();
        name.push(ending);
        // It may not be there, or be somebody else's: `ally doctor` tells that.
        let _ = std::fs::set_permissions(name, std::fs::Permissions::from_mode(0o600));
    }
}

pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| classify(path, e))?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(|e| classify(path, e))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "cache_size", -CACHE_KIB / 2).map_err(|e| classify(path, e))?;
    Ok(connection)
}

/// The thread that keeps the write-ahead log short.
pub(super) fn checkpoints(writer: &mut Connection, path: &Path) -> Result<Checkpoints, OpenError> {
    checkpoint::beside(writer, path).map_err(|e| classify(path, e))
}

/// The file's random id, made when the file is.
pub(super) fn ledger_id(connection: &Connection) -> Result<String, OpenError> {
    let path = PathBuf::from(connection.path().unwrap_or_default());
    let fresh = uuid::Uuid::new_v4().simple().to_string();
    connection
        .execute("INSERT INTO meta (key, value) VALUES ('ledger_id', ?1) ON CONFLICT (key) DO NOTHING", [&fresh])
        .and_then(|_| connection.query_row("SELECT value FROM meta WHERE key = 'ledger_id'", [], |row| row.get(0)))
        .map_err(|e| classify(&path, e))
}

/// A write that changes nothing anybody reads, and reaches the disk.
pub(super) fn touch(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let sql = "INSERT INTO meta (key, value) VALUES ('touched', 'a')
               ON CONFLICT (key) DO UPDATE SET value = CASE value WHEN 'a' THEN 'b' ELSE 'a' END";
    tx.execute(sql, [])?;
    Ok(())
}

/// A file that was made before ledgers could give pages back is written anew, once. A large one is left to `ally doctor
/// ledger --compact`: nobody waits for it at a start.
fn make_shrinkable(connection: &Connection) {
    let kind = connection.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0));
    let fixed = match kind {
        Ok(NO_VACUUM) => connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM"),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    // It is as it was, and only stays as large as it is.
    if let Err(error) = fixed {
        tracing::warn!(%error, "The ledger's file cannot be made smaller for now");
    }
}

/// The answer of `PRAGMA auto_vacuum` where a file keeps what it once took.
const NO_VACUUM: i64 = 0;

fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    if pages == 0 {
        // Only before anything is in the file, its journal mode included.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: a commit that was acknowledged to a platform must survive a power cut.
    let sync = if crate::crash::has_fault("commit without sync") { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", sync)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    // What is wiped (refused and recalled texts) must be gone from the file too.
    connection.pragma_update(None, "secure_delete", "ON")?;
    Ok(())
}

/// 0 for a new file.
pub(super) fn schema_of(connection: &Connection) -> rusqlite::Result<u32> {
    let table = "SELECT count(*) FROM sqlite_schema WHERE name = 'refinery_schema_history'";
    let exists: u32 = connection.query_row(table, [], |row| row.get(0))?;
    if exists == 0 {
        return Ok(0);
    }
    connection.query_row("SELECT coalesce(max(version), 0) FROM refinery_schema_history", [], |row| row.get(0))
}

pub(super) fn classify(path: &Path, error: rusqlite::Error) -> OpenError {
    if let Some(passes) = passing(path, &error) {
        return passes;
    }
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            OpenError::Corrupt { path, detail: error.to_string() }
        }
        _ => OpenError::Unusable { path, source: error.into() },
    }
}

/// What time alone may mend.
fn passing(path: &Path, error: &rusqlite::Error) -> Option<OpenError> {
    let path = path.to_owned();
    match error.sqlite_error_code()? {
        ErrorCode::DiskFull => Some(OpenError::Full { path }),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(OpenError::Locked { path, pid: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (tempfile::TempDir, Places) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        (dir, places)
    }

    #[test]
    fn a_newer_ledger_is_refused_and_left_alone() {
        let (_dir, places) = places();
        let connection = writer(&places).unwrap();
        let insert =
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (99, 'x', 'x', '1')";
        connection.execute(insert, []).unwrap();
        drop(connection);
        let before = std::fs::read(&places.file).unwrap();
        let error = writer(&places).unwrap_err();
        assert!(matches!(error, OpenError::TooNew { found: 99, .. }), "{error}");
        assert!(error.needs_a_person());
        assert_eq!(std::fs::read(&places.file).unwrap(), before);
    }

    /// It may be large, and then nobody waits for it before the daemon takes work.
    #[tokio::test]
    async fn damage_in_the_middle_of_a_large_file_is_found_beside_the_work() {
        let (_dir, places) = places();
        let connection = writer(&places).unwrap();
        let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
                    INSERT INTO meta (key, value) SELECT 'k' || i, hex(zeroblob(1500)) FROM n";
        connection
            .execute_batch(&format!("PRAGMA synchronous = OFF; {rows}; PRAGMA wal_checkpoint(TRUNCATE)"))
            .unwrap();
        drop(connection);
        assert!(!is_small(&places.file));
        assert!(check(&places.file).await.is_ok());
        let mut bytes = std::fs::read(&places.file).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        std::fs::write(&places.file, bytes).unwrap();
        drop(writer(&places).unwrap());
        assert!(matches!(check(&places.file).await, Err(OpenError::Corrupt { .. })));
    }

    #[test]
    fn a_damaged_file_has_its_own_error() {
        let (_dir, places) = places();
        std::fs::write(&places.file, vec![b'x'; 8192]).unwrap();
        assert!(matches!(writer(&places).unwrap_err(), OpenError::Corrupt { .. }));
        assert_eq!(std::fs::read(&places.file).unwrap(), vec![b'x'; 8192]);
    }

    #[test]
    fn a_second_lock_names_the_holder() {
        let (dir, places) = places();
        let lock_file = dir.path().join("ledger.lock");
        let _held = LedgerLock::take(&lock_file, &places.file).unwrap();
        let error = LedgerLock::take(&lock_file, &places.file).unwrap_err();
        assert!(matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()));
    }

    #[test]
    fn an_older_ledger_is_backed_up_before_it_changes() {
        let (_dir, places) = places();
        let mut old = Connection::open(&places.file).unwrap();
        let first = refinery::Target::Version(1);
        embedded::migrations::runner().set_target(first).run(&mut old).unwrap();
        old.execute("INSERT INTO meta (key, value) VALUES ('kept', 'yes')", []).unwrap();
        drop(old);
        let connection = writer(&places).unwrap();
        assert_eq!(schema_of(&connection).unwrap(), known_schema());
        let kept = |connection: &Connection| -> String {
            connection.query_row("SELECT value FROM meta WHERE key = 'kept'", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(kept(&connection), "yes");
        let copy = Connection::open(places.backups.join("ledger-schema-1.db")).unwrap();
        assert_eq!((schema_of(&copy).unwrap(), kept(&copy).as_str()), (1, "yes"), "the copy is as it was");
    }

    #[test]
    fn nobody_else_can_read_a_ledger() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let (_dir, places) = places();
        drop(writer(&places).unwrap());
        std::fs::set_permissions(&places.file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let _open = writer(&places).unwrap();
        for entry in std::fs::read_dir(places.file.parent().unwrap()).unwrap().flatten() {
            let about = entry.metadata().unwrap();
            assert!(about.is_dir() || about.mode() & 0o077 == 0, "{} {:o}", entry.path().display(), about.mode());
        }
    }

    /// Whoever starts it again and again meanwhile must know that it is worth it.
    #[test]
    fn a_migration_without_room_or_beside_another_program_is_told_as_that() {
        let (_dir, places) = places();
        let mut old = Connection::open(&places.file).unwrap();
        let first = refinery::Target::Version(1);
        embedded::migrations::runner().set_target(first).run(&mut old).unwrap();
        let pages: i64 = old.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        old.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        let full = migrate(&places, &mut old, 1).unwrap_err();
        assert!(matches!(full, OpenError::Full { .. }), "{full:?}");
        drop(old);
        let mut old = Connection::open(&places.file).unwrap();
        old.busy_timeout(Duration::ZERO).unwrap();
        let other = Connection::open(&places.file).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let locked = migrate(&places, &mut old, 1).unwrap_err();
        assert!(matches!(locked, OpenError::Locked { pid: None, .. }), "{locked:?}");
        drop(other);
        migrate(&places, &mut old, 1).unwrap();
        assert_eq!(schema_of(&old).unwrap(), known_schema());
        let disk = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_SHMSIZE), None);
        let disk = not_migrated(&places.file, None, disk.into());
        assert!(matches!(disk, OpenError::Unusable { .. }), "{disk:?}");
        // Anything else stands as it is.
        let bug = not_migrated(&places.file, None, rusqlite::Error::InvalidQuery.into());
        assert!(matches!(bug, OpenError::Migration { .. }), "{bug:?}");
    }

    #[test]
    fn a_copy_of_the_same_schema_from_another_time_stays() {
        let (_dir, places) = places();
        let old = |kept: &str| {
            let _ = std::fs::remove_file(&places.file);
            let mut old = Connection::open(&places.file).unwrap();
            let first = refinery::Target::Version(1);
            embedded::migrations::runner().set_target(first).run(&mut old).unwrap();
            old.execute("INSERT INTO meta (key, value) VALUES ('kept', ?1)", [kept]).unwrap();
            old
        };
        let copies = |names: &[&str]| {
            assert_eq!(std::fs::read_dir(&places.backups).unwrap().count(), names.len());
            names.iter().all(|name| places.backups.join(name).exists())
        };
        let first = old("first");
        back_up(&places, &first, 1).unwrap();
        back_up(&places, &first, 1).unwrap();
        assert!(copies(&["ledger-schema-1.db"]), "the same is not kept twice");
        drop(first);
        drop(old("second"));
        drop(writer(&places).unwrap());
        assert!(copies(&["ledger-schema-1.db", "ledger-schema-1-2.db"]));
        let copy = Connection::open(places.backups.join("ledger-schema-1.db")).unwrap();
        let kept: String = copy.query_row("SELECT value FROM meta WHERE key = 'kept'", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, "first");
    }

    #[test]
    fn durable_settings_are_in_force() {
        let (_dir, places) = places();
        let connection = writer(&places).unwrap();
        let pragma = |name: &str| -> String {
            connection
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
                .map(|v| format!("{v:?}"))
                .unwrap()
        };
        assert!(pragma("journal_mode").contains("wal"));
        assert_eq!(pragma("synchronous"), "Integer(2)");
        assert_eq!(pragma("foreign_keys"), "Integer(1)");
        assert_eq!(pragma("auto_vacuum"), "Integer(2)", "it gives back what becomes free");
    }

    /// The numbers of rows are marks of how far it has come, and must outlive it.
    #[test]
    fn an_old_file_is_made_one_that_gives_pages_back() {
        let (_dir, places) = places();
        let connection = writer(&places).unwrap();
        connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM").unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        for n in [2, 5, 9] {
            let sql =
                "INSERT INTO messages (rowid, id, channel, target, chat, body, lang, state, next_at_ms, created_at_ms)
                       VALUES (?1, 'm' || ?1, 'c', '', '', '', '', 'sent', 0, 0)";
            connection.execute(sql, [n]).unwrap();
        }
        drop(connection);
        let connection = writer(&places).unwrap();
        let kind: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0)).unwrap();
        assert_eq!(kind, 2);
        let mut rows = connection.prepare("SELECT rowid FROM messages ORDER BY rowid").unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<Vec<i64>>>().unwrap();
        assert_eq!(rows, [2, 5, 9]);
    }
}
