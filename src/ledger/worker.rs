//! The threads behind the ledger. The writer commits in groups: what waits while one commit syncs goes into the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::LedgerError;

/// Writes that may wait. At 5 ms a sync and 200 events/s a group holds a handful; a thousand is an outage.
const QUEUE: usize = 4096;
/// Most writes of one commit: bounds how long the first of a group waits.
const GROUP: usize = 256;

/// Runs inside the transaction (or learns why there is none), and gives back what to tell the caller once the commit's
/// fate is known.
type Job = Box<dyn FnOnce(Result<&Transaction<'_>, LedgerError>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;

#[derive(Clone)]
pub(super) struct Worker {
    queue: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
    ended: Arc<tokio::sync::Notify>,
}

/// A queued job. Dropping it does not take the job back.
pub struct Pending<T> {
    result: Result<oneshot::Receiver<Result<T, LedgerError>>, Option<LedgerError>>,
}

impl<T> Future for Pending<T> {
    type Output = Result<T, LedgerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.result {
            Ok(receiver) => Pin::new(receiver).poll(context).map(|got| got.unwrap_or(Err(LedgerError::Closed))),
            Err(error) => Poll::Ready(Err(error.take().unwrap_or(LedgerError::Closed))),
        }
    }
}

impl Worker {
    pub(super) fn writer(connection: Connection) -> Self {
        Self::start("ledger-writer", connection, write_groups)
    }

    pub(super) fn reader(connection: Connection) -> Self {
        Self::start("ledger-reader", connection, read_one_by_one)
    }

    fn start(name: &str, connection: Connection, run: fn(Connection, mpsc::Receiver<Job>, &AtomicUsize)) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(tokio::sync::Notify::new());
        let (count, done) = (Arc::clone(&waiting), Arc::clone(&ended));
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                run(connection, jobs, &count);
                done.notify_one();
            })
            .expect("the system can start a thread");
        Self { queue, waiting, ended }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn submit_write<T, F>(&self, job: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        self.submit(move |tx| in_savepoint(tx, job))
    }

    pub(super) fn submit_read<T, F>(&self, job: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        self.submit(move |tx| catch(|| job(tx)))
    }

    fn submit<T, F>(&self, job: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let boxed: Job = Box::new(move |tx| {
            let result = tx.and_then(job);
            Box::new(move |commit| {
                // The caller may be gone; the commit stands all the same.
                let _ = sender.send(match commit {
                    Ok(()) => result,
                    Err(error) => Err(error),
                });
            })
        });
        self.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(boxed) {
            Ok(()) => Pending { result: Ok(receiver) },
            Err(error) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                let why = match error {
                    mpsc::error::TrySendError::Full(_) => LedgerError::Busy,
                    mpsc::error::TrySendError::Closed(_) => LedgerError::Closed,
                };
                Pending { result: Err(Some(why)) }
            }
        }
    }

    /// Ends the thread after the jobs that are queued. Other clones of the handle keep it alive.
    pub(super) async fn close(self) {
        let ended = Arc::clone(&self.ended);
        drop(self.queue);
        // Bounded: a clone that somebody forgot must not hang the exit.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), ended.notified()).await;
    }
}

fn write_groups(mut connection: Connection, mut jobs: mpsc::Receiver<Job>, waiting: &AtomicUsize) {
    while let Some(first) = jobs.blocking_recv() {
        let mut replies = Vec::new();
        let committed = commit_group(&mut connection, first, &mut jobs, &mut replies);
        waiting.fetch_sub(replies.len(), Ordering::Relaxed);
        for reply in replies {
            reply(committed.clone());
        }
    }
    // A clean end leaves one file. Failing to is harmless: the next opening recovers the log.
    let _ = connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
}

fn commit_group(
    connection: &mut Connection,
    first: Job,
    jobs: &mut mpsc::Receiver<Job>,
    replies: &mut Vec<Reply>,
) -> Result<(), LedgerError> {
    let tx = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(tx) => tx,
        Err(error) => {
            let error = LedgerError::from(error);
            replies.push(first(Err(error.clone())));
            return Err(error);
        }
    };
    replies.push(first(Ok(&tx)));
    while replies.len() < GROUP {
        let Ok(next) = jobs.try_recv() else { break };
        replies.push(next(Ok(&tx)));
    }
    tx.commit().map_err(LedgerError::from)
}

fn read_one_by_one(mut connection: Connection, mut jobs: mpsc::Receiver<Job>, waiting: &AtomicUsize) {
    while let Some(job) = jobs.blocking_recv() {
        waiting.fetch_sub(1, Ordering::Relaxed);
        match connection.transaction() {
            Ok(tx) => job(Ok(&tx))(Ok(())),
            Err(error) => job(Err(error.into()))(Ok(())),
        }
    }
}

/// One failing closure takes back its own changes and nobody else's.
fn in_savepoint<T>(
    tx: &Transaction<'_>,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    tx.execute_batch("SAVEPOINT job")?;
    let result = catch(|| job(tx));
    match &result {
        Ok(_) => tx.execute_batch("RELEASE job")?,
        Err(_) => tx.execute_batch("ROLLBACK TO job; RELEASE job")?,
    }
    result
}

fn catch<T>(job: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    catch_unwind(AssertUnwindSafe(job))
        .unwrap_or_else(|_| Err(LedgerError::Refused("a ledger closure panicked".to_owned())))
}
