//! The threads behind the ledger. The writer commits in groups: what waits while one commit syncs goes into the next.
//!
//! What a platform waits for goes first, and its group is not filled up: under more load than the machine can take, work waits
//! and acknowledgements do not.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use super::LedgerError;
use crate::crash;
use crate::metrics;

/// Writes that may wait. At 5 ms a sync and 200 events/s a group holds a handful; a thousand is an outage.
const QUEUE: usize = 4096;
/// Most writes of one commit: bounds how long the first of a group waits.
const GROUP: usize = 256;
/// A group in which somebody waits who goes first takes nothing more after this long.
const HURRY: Duration = Duration::from_millis(10);

/// Runs inside the transaction (or learns why there is none), and gives back what to tell the caller once the commit's
/// fate is known.
type Job = Box<dyn FnOnce(Result<&Transaction<'_>, LedgerError>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;

enum Order {
    Do(Job),
    /// Before all of those.
    First(Job),
    /// Says that the thread is there.
    Ping(oneshot::Sender<()>),
    /// End after what came before, whoever still holds a handle.
    Close,
}

#[derive(Clone)]
pub(super) struct Worker {
    queue: mpsc::Sender<Order>,
    waiting: Arc<AtomicUsize>,
    ended: Arc<tokio::sync::Notify>,
    committed: Arc<tokio::sync::Notify>,
    trouble: Trouble,
}

/// Why the last commit failed, while nothing has been committed since.
#[derive(Clone, Default)]
struct Trouble(Arc<Mutex<Option<LedgerError>>>);

impl Trouble {
    fn get(&self) -> Option<LedgerError> {
        self.0.lock().expect("no code panics while it holds this lock").clone()
    }

    /// Says in the log when an outage begins and when it is over, and nothing in between.
    fn note(&self, committed: &Result<(), LedgerError>) {
        let mut trouble = self.0.lock().expect("no code panics while it holds this lock");
        match (trouble.as_ref(), committed) {
            (None, Err(now)) => {
                error!(error = %now, "The ledger takes no writes; nothing is acknowledged until it does");
            }
            (Some(before), Err(now)) if before != now => {
                error!(error = %now, "The ledger takes no writes for another reason")
            }
            (Some(_), Ok(())) => info!("The ledger takes writes again"),
            _ => {}
        }
        *trouble = committed.clone().err();
    }
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
        let committed = Arc::new(tokio::sync::Notify::new());
        let told = Arc::clone(&committed);
        let run = move |orders: mpsc::Receiver<Order>, waiting: &AtomicUsize, trouble: &Trouble| {
            write_groups(connection, orders, waiting, trouble, &told);
            drop(beside);
        };
        Self { committed, ..Self::start("ledger-writer", run) }
    }

    pub(super) fn reader(connection: Connection) -> Self {
        Self::start("ledger-reader", |orders, waiting, _| read_one_by_one(connection, orders, waiting))
    }

    fn start(name: &str, run: impl FnOnce(mpsc::Receiver<Order>, &AtomicUsize, &Trouble) + Send + 'static) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(tokio::sync::Notify::new());
        let trouble = Trouble::default();
        let (count, done, seen) = (Arc::clone(&waiting), Arc::clone(&ended), trouble.clone());
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                run(jobs, &count, &seen);
                done.notify_one();
            })
            .expect("the system can start a thread");
        Self { queue, waiting, ended, committed: Arc::default(), trouble }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn trouble(&self) -> Option<LedgerError> {
        self.trouble.get()
    }

    /// Resolves once something was committed after the last time it did. For one who waits.
    pub(super) async fn committed(&self) {
        self.committed.notified().await;
    }

    pub(super) fn submit_write<T, F>(&self, job: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        self.submit(Order::Do, move |tx| in_savepoint(tx, job))
    }

    /// Goes before all that was submitted otherwise; these keep their order among themselves.
    pub(super) fn submit_first<T, F>(&self, job: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        self.submit(Order::First, move |tx| in_savepoint(tx, job))
    }

    pub(super) fn submit_read<T, F>(&self, job: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        self.submit(Order::Do, move |tx| catch(|| job(tx)))
    }

    fn submit<T, F>(&self, order: fn(Job) -> Order, job: F) -> Pending<T>
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
        match self.queue.try_send(order(boxed)) {
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

    /// Resolves when the thread looks at what waits, which it does between any two jobs.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] where too much waits, [`LedgerError::Closed`] after the end.
    pub(super) async fn answers(&self) -> Result<(), LedgerError> {
        let (asked, answer) = oneshot::channel();
        match self.queue.try_send(Order::Ping(asked)) {
            Ok(()) => answer.await.map_err(|_| LedgerError::Closed),
            Err(mpsc::error::TrySendError::Full(_)) => Err(LedgerError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(LedgerError::Closed),
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

/// What waits for the writer.
struct Inbox {
    orders: mpsc::Receiver<Order>,
    first: VecDeque<Job>,
    others: VecDeque<Job>,
    closed: bool,
}

/// The next job, and whether somebody waits for it who goes first.
struct Next {
    job: Job,
    hurries: bool,
}

impl Inbox {
    fn new(orders: mpsc::Receiver<Order>) -> Self {
        Self { orders, first: VecDeque::new(), others: VecDeque::new(), closed: false }
    }

    fn sort(&mut self, order: Order) {
        match order {
            Order::Do(job) => self.others.push_back(job),
            Order::First(job) => self.first.push_back(job),
            // Whoever asked may be gone.
            Order::Ping(asked) => drop(asked.send(())),
            Order::Close => self.closed = true,
        }
    }

    /// The next one that is there.
    fn next(&mut self) -> Option<Next> {
        // No more than the queue itself may hold: what is beyond it is refused there.
        while !self.closed && self.first.len() + self.others.len() < QUEUE {
            let Ok(order) = self.orders.try_recv() else { break };
            self.sort(order);
        }
        let hurries = !self.first.is_empty();
        let job = self.first.pop_front().or_else(|| self.others.pop_front())?;
        Some(Next { job, hurries })
    }

    /// Waits for the next one; `None` at the end.
    fn wait(&mut self) -> Option<Next> {
        loop {
            if let Some(next) = self.next() {
                return Some(next);
            }
            if self.closed {
                return None;
            }
            let order = self.orders.blocking_recv()?;
            self.sort(order);
        }
    }
}

fn write_groups(
    mut connection: Connection,
    orders: mpsc::Receiver<Order>,
    waiting: &AtomicUsize,
    trouble: &Trouble,
    told: &tokio::sync::Notify,
) {
    let mut inbox = Inbox::new(orders);
    while let Some(first) = inbox.wait() {
        let mut replies = Vec::new();
        let committed = commit_group(&mut connection, first, &mut inbox, &mut replies);
        waiting.fetch_sub(replies.len(), Ordering::Relaxed);
        trouble.note(&committed);
        if committed.is_ok() {
            told.notify_one();
        }
        for reply in replies {
            reply(committed.clone());
        }
    }
    // A clean end leaves one file. Failing to is harmless: the next opening recovers the log.
    let _ = connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
}

fn commit_group(
    connection: &mut Connection,
    first: Next,
    inbox: &mut Inbox,
    replies: &mut Vec<Reply>,
) -> Result<(), LedgerError> {
    let tx = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(tx) => tx,
        Err(error) => {
            let error = LedgerError::from(error);
            replies.push((first.job)(Err(error.clone())));
            // What queued up meanwhile must not wait as long once more: people and platforms wait for its answer.
            while replies.len() < GROUP
                && let Some(next) = inbox.next()
            {
                replies.push((next.job)(Err(error.clone())));
            }
            return Err(error);
        }
    };
    // Not before: whoever was waited for took no time of the group's.
    let began = Instant::now();
    let mut hurries = first.hurries;
    replies.push((first.job)(Ok(&tx)));
    // A failing disk makes SQLite take the whole transaction back; what came after would commit by itself.
    while !tx.is_autocommit() && replies.len() < GROUP && !(hurries && began.elapsed() >= HURRY) {
        let Some(next) = inbox.next() else { break };
        hurries |= next.hurries;
        replies.push((next.job)(Ok(&tx)));
        crash::point("commit.middle");
    }
    if tx.is_autocommit() {
        return Err(LedgerError::Disk("the transaction was rolled back".to_owned()));
    }
    crash::point("commit.before");
    let committed = tx.commit().map_err(LedgerError::from);
    if committed.is_ok() {
        metrics::committed(began.elapsed());
    }
    crash::point("commit.after");
    committed
}

fn read_one_by_one(mut connection: Connection, mut orders: mpsc::Receiver<Order>, waiting: &AtomicUsize) {
    while let Some(Order::Do(job) | Order::First(job)) = orders.blocking_recv() {
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
        // SQLite took back everything itself.
        Err(_) if tx.is_autocommit() => {}
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
        let (worker, dir, _) = counting_worker();
        (worker, dir)
    }

    /// With the number of its commits so far.
    fn counting_worker() -> (Worker, tempfile::TempDir, Arc<AtomicU32>) {
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
        (Worker::writer(connection, ()), dir, commits)
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
        let (worker, _dir, commits) = counting_worker();
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
    async fn what_a_platform_waits_for_goes_first_and_in_its_order() {
        let (worker, _dir, commits) = counting_worker();
        // A slow first job lets the others queue up behind it.
        let hold = worker.submit_write(|_| {
            std::thread::sleep(Duration::from_millis(200));
            Ok(())
        });
        // Which came in the group after so many commits. They take so long that a group that hurries does not hold them all.
        let done: Arc<Mutex<Vec<(i64, u32)>>> = Arc::default();
        let slow = |n: i64| {
            let (done, commits) = (Arc::clone(&done), Arc::clone(&commits));
            move |tx: &Transaction<'_>| {
                std::thread::sleep(HURRY / 4);
                done.lock().unwrap().push((n, commits.load(Ordering::Relaxed)));
                insert(n)(tx)
            }
        };
        let others: Vec<_> = (0..40).map(|n| worker.submit_write(slow(n))).collect();
        let first: Vec<_> = (100..103).map(|n| worker.submit_first(slow(n))).collect();
        hold.await.unwrap();
        for write in first.into_iter().chain(others) {
            write.await.unwrap();
        }
        let done = done.lock().unwrap().clone();
        let order: Vec<i64> = done.iter().map(|(n, _)| *n).collect();
        assert_eq!(order, (100..103).chain(0..40).collect::<Vec<_>>());
        let (hurried, last) = (done[2].1, done[42].1);
        assert!(hurried < last, "it was committed together with all the others: {done:?}");
    }

    #[tokio::test]
    async fn writes_behind_a_held_lock_fail_together_and_work_again_after_it() {
        let (worker, dir) = worker();
        let other = Connection::open(dir.path().join("w.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let began = std::time::Instant::now();
        let pending: Vec<_> = (0..20).map(|n| worker.submit_write(insert(n))).collect();
        for write in pending {
            assert!(matches!(write.await, Err(LedgerError::Locked(_))));
        }
        // One wait of SQLite's own (5 s unless it is told otherwise), or two where the first had begun before.
        assert!(began.elapsed() < std::time::Duration::from_secs(15), "each did not wait by itself");
        worker.answers().await.unwrap();
        assert!(matches!(worker.trouble(), Some(LedgerError::Locked(_))), "an answer is no write");
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(worker.submit_write(insert(1)).await, Ok(1));
        assert_eq!(worker.trouble(), None);
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_took_back_takes_nothing_more() {
        let (worker, _dir) = worker();
        let hold = worker.submit_write(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            Ok(())
        });
        let before = worker.submit_write(insert(1));
        // As SQLite does by itself when a page cannot be written.
        let broken = worker.submit_write(|tx| {
            tx.execute_batch("ROLLBACK")?;
            Err::<(), _>(LedgerError::Disk("full".to_owned()))
        });
        let after = worker.submit_write(insert(2));
        hold.await.ok();
        assert!(before.await.is_err() && broken.await.is_err());
        assert_eq!(after.await, Ok(2), "it came in a transaction of its own");
        assert_eq!(worker.submit_write(count).await, Ok(1));
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
