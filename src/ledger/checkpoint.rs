//! Moves committed pages from the write-ahead log into the file, on a thread of its own.
//!
//! A checkpoint syncs log and file; done by the writer, as SQLite does by default, it holds up every commit behind it for
//! as long. A passive one beside the writer blocks nobody. What was committed is safe before and after it: it only decides
//! how long the log grows.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Length of the log, in pages of 4 KiB, from which it is moved: SQLite's own default.
const BEGIN: i32 = 1_000;
/// Length at which the writer moves it itself: beside it the thread did not keep up, and the log must end somewhere (64 MiB).
const AT_MOST: i32 = 16_384;
/// Rounds of one go. Each moves what was written during the one before; the log starts over once one leaves nothing.
const ROUNDS: usize = 4;
/// Longest wait for the gap between two commits, when no round came to the end of the log.
const GAP: Duration = Duration::from_millis(100);

/// How often the log is tried to be emptied where somebody reads it just then.
const SCRUBS: usize = 50;

/// The thread; dropping this ends it.
pub(super) struct Checkpoints {
    wake: mpsc::SyncSender<Wake>,
    thread: Option<JoinHandle<()>>,
    scrubber: Scrubber,
}

/// Asks for the log to be emptied.
#[derive(Clone)]
pub(super) struct Scrubber {
    wake: mpsc::SyncSender<Wake>,
    wanted: Arc<AtomicBool>,
}

impl Scrubber {
    pub(super) fn ask(&self) {
        self.wanted.store(true, Ordering::Release);
        // Full: it is awake already, and looks.
        let _ = self.wake.try_send(Wake::CatchUp);
    }
}

impl Checkpoints {
    pub(super) fn scrubber(&self) -> Scrubber {
        self.scrubber.clone()
    }
}

enum Wake {
    CatchUp,
    End,
}

/// Starts the thread and has the writer's commits wake it.
pub(super) fn beside(writer: &mut Connection, path: &Path) -> rusqlite::Result<Checkpoints> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(GAP)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let (wake, woken) = mpsc::sync_channel(1);
    let waker = wake.clone();
    let scrubber = Scrubber { wake: wake.clone(), wanted: Arc::default() };
    let wanted = Arc::clone(&scrubber.wanted);
    let mut log = super::work::Log::default();
    writer.wal_hook(Some(move |wal: &mut rusqlite::hooks::Wal, pages: i32| {
        log.is_now(pages);
        if pages >= AT_MOST {
            // Never a reason to fail the commit that has just succeeded.
            let _ = wal.checkpoint();
        } else if pages >= BEGIN {
            // Full: it is awake already.
            let _ = waker.try_send(Wake::CatchUp);
        }
        Ok(())
    }))?;
    let thread = std::thread::Builder::new()
        .name("ledger-checkpoint".to_owned())
        .spawn(move || {
            while let Ok(Wake::CatchUp) = woken.recv() {
                match wanted.swap(false, Ordering::AcqRel) {
                    true => scrub(&connection),
                    false => catch_up(&connection),
                }
            }
        })
        .expect("the system can start a thread");
    Ok(Checkpoints { wake, thread: Some(thread), scrubber })
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        let _ = self.wake.send(Wake::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Moves pages until nothing is left, or somebody reads what is behind them. A failure (busy, disk) loses nothing: the next
/// wake tries again.
fn catch_up(connection: &Connection) {
    let mut so_far = None;
    // Commits go on during these rounds; the last, if it comes to that, holds up a commit for the little that is left.
    let modes = std::iter::repeat_n("PASSIVE", ROUNDS).chain(["FULL"]);
    for mode in modes {
        match checkpoint(connection, mode) {
            // Whoever reads for long (a copy, a look for damage) would hold up each commit for as long as he is waited for.
            Ok((_, moved)) if so_far == Some(moved) => return,
            Ok((log, moved)) if moved < log => so_far = Some(moved),
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(%error, mode, "The ledger's log was not moved into its file");
                return;
            }
        }
    }
}

/// What was wiped from the file is still in the log until that is emptied.
fn scrub(connection: &Connection) {
    for _ in 0..SCRUBS {
        let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i32>(0));
        match emptied {
            Ok(0) => return,
            // Somebody reads: another moment.
            Ok(_) => std::thread::sleep(GAP),
            Err(error) => {
                tracing::debug!(%error, "The ledger's log was not emptied");
                std::thread::sleep(GAP);
            }
        }
    }
    tracing::warn!("The ledger's log could not be emptied of what was wiped; the next checkpoints overwrite it");
}

/// Pages in the log, and how many of them are in the file.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(i32, i32)> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok((row.get(1)?, row.get(2)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wiped_leaves_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let mut writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode=WAL; PRAGMA secure_delete=ON; CREATE TABLE t (text TEXT)").unwrap();
        let checkpoints = beside(&mut writer, &path).unwrap();
        writer.execute("INSERT INTO t VALUES ('hunter2')", []).unwrap();
        writer.execute("UPDATE t SET text = NULL", []).unwrap();
        let holds = |file: &str| {
            let bytes = std::fs::read(dir.path().join(file)).unwrap();
            bytes.windows(7).any(|window| window == b"hunter2")
        };
        assert!(holds("w.db-wal"), "until then");
        checkpoints.scrubber().ask();
        drop(checkpoints);
        assert!(!holds("w.db-wal") && !holds("w.db"));
    }

    /// A copy or a look for damage takes minutes on a large ledger.
    #[test]
    fn a_long_look_holds_up_no_commit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let mut writer = Connection::open(&path).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE t (text TEXT) STRICT")
            .unwrap();
        let checkpoints = beside(&mut writer, &path).unwrap();
        let mut reader = Connection::open(&path).unwrap();
        let look = reader.transaction().unwrap();
        look.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
        let text = "x".repeat(3000);
        for _ in 0..2 * BEGIN {
            writer.execute("INSERT INTO t VALUES (?1)", [&text]).unwrap();
        }
        // Nothing of that can be moved: what was there before is still looked at.
        let connection = Connection::open(&path).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        let began = std::time::Instant::now();
        catch_up(&connection);
        assert!(began.elapsed() < Duration::from_secs(10), "it waited for the one who looks");
        drop(look);
        catch_up(&connection);
        assert_eq!(checkpoint(&connection, "PASSIVE").map(|(log, moved)| log - moved), Ok(0));
        drop(checkpoints);
    }

    #[test]
    fn pages_reach_the_file_without_the_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.db");
        let mut writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t (text TEXT) STRICT").unwrap();
        let checkpoints = beside(&mut writer, &path).unwrap();
        let text = "x".repeat(3000);
        for _ in 0..2 * BEGIN {
            writer.execute("INSERT INTO t VALUES (?1)", [&text]).unwrap();
        }
        // The hook took the place of the writer's own checkpoints: only the thread can have moved anything.
        drop(checkpoints);
        let moved = std::fs::metadata(&path).unwrap().len();
        assert!(moved > 2 << 20, "the file is {moved} bytes long");
        let rows: i32 = writer.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2 * BEGIN);
    }
}
