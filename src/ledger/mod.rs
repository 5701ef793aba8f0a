//! The ledger: all SQL, and the one truth of what was accepted, done and is certain.
//!
//! One writer thread with group commit, readers apart. A write is a closure `FnOnce(&Transaction)`, so no transaction can
//! span an await. Every promise rests on one sentence: *write, commit, then act*; the future of [`Ledger::write`]
//! resolves after the commit has reached the disk (`WAL`, `synchronous=FULL`).
//!
//! One file a table. Nothing in here knows a channel, a runtime or the clock: times come in as arguments.

pub mod alive;
pub mod archive;
pub mod audit;
pub mod backup;
pub mod buttons;
pub mod chats;
pub mod check;
mod checkpoint;
pub mod conversations;
mod error;
pub mod gates;
pub mod generations;
pub mod grants;
pub mod inbound;
pub mod messages;
mod open;
#[cfg(debug_assertions)]
mod plan;
pub mod prune;
pub mod report;
pub mod restored;
pub mod routines;
pub mod rules;
pub mod said;
pub mod settings;
mod sql;
pub mod surfaces;
pub mod threads;
pub mod tools;
pub mod turns;
pub mod work;
mod worker;
mod yardstick;

pub use error::{LedgerError, OpenError};
pub use open::{LedgerLock, Places, known_schema};
pub use rusqlite::Transaction;
pub use yardstick::Yardstick;

use std::path::{Path, PathBuf};

use worker::{Pending, Worker};

/// Handle to an open ledger. Clones share the threads.
#[derive(Clone)]
pub struct Ledger {
    writer: Worker,
    readers: [Worker; 2],
    scrubber: checkpoint::Scrubber,
    path: PathBuf,
    id: String,
}

impl Ledger {
    /// Opens (or creates) the ledger, after a backup migrates it, and starts its threads.
    ///
    /// # Errors
    /// See [`OpenError`]: each says what to do, and in none of them anything was lost.
    pub fn open(places: &Places, _lock: &LedgerLock) -> Result<Self, OpenError> {
        backup::end_what_was_cut_short(places);
        let mut writer = open::writer(places)?;
        let id = open::ledger_id(&writer)?;
        let checkpoints = open::checkpoints(&mut writer, &places.file)?;
        let scrubber = checkpoints.scrubber();
        let readers = [open::reader(&places.file)?, open::reader(&places.file)?];
        let writer = Worker::writer(writer, checkpoints);
        Ok(Self { writer, readers: readers.map(Worker::reader), scrubber, path: places.file.clone(), id })
    }

    /// Queues a write before it returns; the future resolves after its commit. Writes commit in the order of these calls,
    /// but for those of [`Ledger::write_first`].
    pub fn write<T, F>(&self, job: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        self.writer.submit_write(job)
    }

    /// The same, before all writes that were queued otherwise: for what a platform waits for. These keep their order among
    /// themselves.
    pub fn write_first<T, F>(&self, job: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        self.writer.submit_first(job)
    }

    /// Reads a consistent snapshot.
    pub fn read<T, F>(&self, job: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        // Two readers: one may be in a long report while the other serves the path of a message.
        let idle = self.readers.iter().min_by_key(|worker| worker.waiting()).expect("there are two readers");
        idle.submit_read(job)
    }

    /// Resolves when the writer's thread answers. It proves that nothing hangs, and nothing about the disk.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] where too much waits for it, [`LedgerError::Closed`] after the end.
    pub async fn answers(&self) -> Result<(), LedgerError> {
        self.writer.answers().await
    }

    /// Why the last write failed, while none has succeeded since.
    pub fn trouble(&self) -> Option<LedgerError> {
        self.writer.trouble()
    }

    /// Whether writes reach the disk. Asks the disk only after a write has failed.
    pub async fn is_writable(&self) -> bool {
        self.trouble().is_none() || self.write(open::touch).await.is_ok()
    }

    /// Resolves once something was committed after the last time it did. For one who waits.
    pub async fn committed(&self) {
        self.writer.committed().await;
    }

    /// What was wiped from rows leaves the log as well, soon.
    pub fn scrub(&self) {
        self.scrubber.ask();
    }

    /// Looks for damage in a file that was too large to be read when it was opened. Takes seconds, and holds up nobody.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`], as [`Ledger::open`] gives it for a small one.
    pub async fn check(&self) -> Result<(), OpenError> {
        open::check(&self.path).await
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Random id made with the file: part of every mark that we put on processes.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Ends the threads after what is queued; the last commit is followed by a truncating checkpoint.
    pub async fn close(self) {
        for worker in &self.readers {
            worker.close().await;
        }
        self.writer.close().await;
    }
}
