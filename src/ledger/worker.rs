//! The threads behind the ledger. The writer commits in groups: what waits while one commit syncs goes into the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::LedgerError;
use crate::crash;

/// Writes that may wait. At 5 ms a sync and 200 events/s a group holds a handful; a thousand is an outage.
const QUEUE: usize = 4096;
/// Most writes of one commit: bounds how long the first of a group waits.
const GROUP: usize = 256;

/// Runs inside the transaction (or learns why there is none), and gives back what to tell the caller once the commit's
/// fate is known.
type Job = Box<dyn FnOnce(Result<&Transaction<'_>, LedgerError>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;

enum Order {
    Do(Job),
    /// End after what came before, whoever still holds a handle.
    Close,
}

#[derive(Clone)]
pub(super) struct Worker {
    queue: mpsc::Sender<Order>,
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
    /// The thread keeps `beside` until its connection is closed.
    pub(super) fn writer(connection: Connection, beside: impl Send + 'static) -> Self {
        Self::start("ledger-writer", move |orders, waiting| {
            write_groups(connection, orders, waiting);
            drop(beside);
        })
    }

    pub(super) fn reader(connection: Connection) -> Self {
        Self::start("ledger-reader", |orders, waiting| read_one_by_one(connection, orders, waiting))
    }

    fn start(name: &str, run: impl FnOnce(mpsc::Receiver<Order>, &AtomicUsize) + Send + 'static) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(tokio::sync::Notify::new());
        let (count, done) = (Arc::clone(&waiting), Arc::clone(&ended));
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                run(jobs, &count);
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
        match self.queue.try_send(Order::Do(boxed)) {
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

    /// Ends the thread after the jobs that are queued; later ones are refused as closed.
    pub(super) async fn close(&self) {
        if self.queue.send(Order::Close).await.is_ok() {
            // Bounded: a job that hangs on a broken disk must not hang the exit.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(10), self.ended.notified()).await;
        }
    }
}

fn write_groups(mut connection: Connection, mut orders: mpsc::Receiver<Order>, waiting: &AtomicUsize) {
    let mut open = true;
    while open {
        let Some(Order::Do(first)) = orders.blocking_recv() else { break };
        let mut replies = Vec::new();
        let committed = commit_group(&mut connection, first, &mut orders, &mut replies, &mut open);
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
    orders: &mut mpsc::Receiver<Order>,
    replies: &mut Vec<Reply>,
    open: &mut bool,
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
        match orders.try_recv() {
            Ok(Order::Do(next)) => replies.push(next(Ok(&tx))),
            Ok(Order::Close) => {
                *open = false;
                break;
            }
            Err(_) => break,
        }
    }
    crash::point("commit.before");
    let committed = tx.commit().map_err(LedgerError::from);
    crash::point("commit.after");
    committed
}

fn read_one_by_one(mut connection: Connection, mut orders: mpsc::Receiver<Order>, waiting: &AtomicUsize) {
    while let Some(Order::Do(job)) = orders.blocking_recv() {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn worker() -> (Worker, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("w.db")).unwrap();
        connection.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT").unwrap();
        (Worker::writer(connection, ()), dir)
    }

    fn insert(n: i64) -> impl FnOnce(&Transaction<'_>) -> Result<i64, LedgerError> + Send {
        move |tx| {
            tx.execute("INSERT INTO t VALUES (?1)", [n])?;
            Ok(n)
        }
    }

    fn count(tx: &Transaction<'_>) -> Result<i64, LedgerError> {
        Ok(tx.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn one_failing_write_takes_back_only_its_own_changes() {
        let (worker, _dir) = worker();
        let good = worker.submit_write(insert(1));
        let bad = worker.submit_write(|tx| {
            insert(2)(tx)?;
            insert(1)(tx)
        });
        let panics = worker.submit_write::<i64, _>(|tx| {
            insert(3)(tx)?;
            panic!("on purpose")
        });
        let after = worker.submit_write(insert(4));
        assert_eq!(good.await, Ok(1));
        assert!(matches!(bad.await, Err(LedgerError::Refused(_))));
        assert!(matches!(panics.await, Err(LedgerError::Refused(_))));
        assert_eq!(after.await, Ok(4));
        assert_eq!(worker.submit_write(count).await, Ok(2));
    }

    #[tokio::test]
    async fn what_waits_is_committed_in_one_group() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = Connection::open(dir.path().join("w.db")).unwrap();
        connection.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT").unwrap();
        let commits = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&commits);
        let count_commit = move || {
            counter.fetch_add(1, Ordering::Relaxed);
            false
        };
        connection.commit_hook(Some(count_commit)).unwrap();
        let worker = Worker::writer(connection, ());
        // A slow first job lets the others queue up behind it.
        let hold = worker.submit_write(|_| {
            std::thread::sleep(std::time::Duration::from_millis(200));
            Ok(())
        });
        let pending: Vec<_> = (0..100).map(|n| worker.submit_write(insert(n))).collect();
        hold.await.unwrap();
        for (n, write) in pending.into_iter().enumerate() {
            assert_eq!(write.await, Ok(n as i64));
        }
        assert!(commits.load(Ordering::Relaxed) <= 3, "a hundred writes shared a few commits");
    }

    #[tokio::test]
    async fn a_closed_ledger_refuses_and_a_forgotten_handle_does_not_hang_it() {
        let (worker, _dir) = worker();
        let forgotten = worker.clone();
        let last = worker.submit_write(insert(1));
        worker.close().await;
        assert_eq!(last.await, Ok(1));
        assert_eq!(forgotten.submit_write(insert(2)).await, Err(LedgerError::Closed));
    }
}
