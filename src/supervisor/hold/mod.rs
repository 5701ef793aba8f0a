//! Holds the pipes of runtimes, so that they outlive the bridge. It passes lines on and keeps what comes back; it knows
//! nothing of what is said.

mod child;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tracing::{info, warn};

use self::child::{HeldProcess, Order, start};
use crate::domain::hold::{Ask, HeldState, Told};
use crate::domain::ids::Generation;
use crate::tasks::{OnExit, Tasks};

/// Bytes that a process may write and nobody reads, before it has to wait.
const UNREAD: u64 = 256 * 1024 * 1024;
/// What processes get between the end of their input and a signal.
const PATIENCE: Duration = Duration::from_secs(2);

/// The processes that are held.
pub(super) struct Hold {
    shared: Arc<Shared>,
    tasks: Tasks,
    unread: u64,
}

/// What the supervisor's loop, the processes' tasks and the one that tells the bridge know together.
#[derive(Default)]
struct Shared {
    held: Mutex<HashMap<Generation, Held>>,
    /// What is said once.
    words: Mutex<Vec<Told>>,
    /// Something is to be told.
    news: Notify,
}

struct Held {
    state: HeldState,
    orders: mpsc::UnboundedSender<Order>,
    /// The present bridge asked about it.
    attached: bool,
}

impl Held {
    /// Whoever waited for the rest of what it said is gone.
    fn finish_if_dead(&self) {
        if self.state.end().is_some() {
            let _ = self.orders.send(Order::Finish);
        }
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, HashMap<Generation, Held>> {
        self.held.lock().expect("no code panics while it holds this lock")
    }

    fn words(&self) -> MutexGuard<'_, Vec<Told>> {
        self.words.lock().expect("no code panics while it holds this lock")
    }

    fn say(&self, word: Told) {
        self.words().push(word);
        self.news.notify_one();
    }

    /// A process's task has something new of it.
    fn change(&self, generation: Generation, change: impl FnOnce(&mut HeldState)) {
        if let Some(held) = self.held().get_mut(&generation) {
            change(&mut held.state);
        }
        self.news.notify_one();
    }
}

impl Hold {
    pub(super) fn new(unread: Option<u64>) -> Self {
        Self { shared: Arc::default(), tasks: Tasks::default(), unread: unread.unwrap_or(UNREAD) }
    }

    /// Processes whose end a task of ours waits for.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.shared
            .held()
            .values()
            .filter(|held| held.state.end().is_none())
            .filter_map(|held| held.state.pid)
            .collect()
    }

    /// A word of the bridge.
    pub(super) fn take(&self, line: &str) {
        match serde_json::from_str(line) {
            Ok(ask) => self.heed(ask),
            Err(error) => warn!(line_bytes = line.len(), %error, "The bridge said something that cannot be read"),
        }
    }

    fn heed(&self, ask: Ask) {
        match ask {
            Ask::Spawn(child) => {
                let generation = child.generation;
                self.shared.held().retain(|_, held| held.state.ended.is_none());
                // Another one is started only when all is done with those before it.
                self.shared.held().values().for_each(Held::finish_if_dead);
                if self.shared.held().contains_key(&generation) {
                    let detail = format!("a process of generation {generation} is held already");
                    return self.shared.say(Told::Failed { generation, detail });
                }
                match start(&child, Arc::clone(&self.shared), self.unread) {
                    Ok(process) => self.hold(process),
                    Err(error) => {
                        let detail = format!("{}: {error}", child.program.display());
                        self.shared.say(Told::Failed { generation, detail });
                    }
                }
            }
            Ask::Attach { generation } => {
                let known = self.shared.held().get_mut(&generation).map(|held| {
                    held.attached = true;
                    held.state.bridges += 1;
                    // Nobody goes on with a dead one.
                    held.finish_if_dead();
                });
                match known {
                    Some(()) => self.shared.news.notify_one(),
                    None => self.shared.say(Told::Unknown { generation }),
                }
            }
            Ask::Write { generation, line } => self.order(generation, Order::Write(line.into())),
            Ask::Close { generation } => self.order(generation, Order::Close),
            Ask::Read { generation, to } => self.order(generation, Order::Read(to)),
            Ask::Cut { generation, at } => self.order(generation, Order::Cut(at)),
        }
    }

    fn hold(&self, process: HeldProcess) {
        let state = process.state();
        info!(generation = state.generation.0, process.pid = state.pid, "Holds a runtime");
        let (orders, ordered) = mpsc::unbounded_channel();
        self.shared.held().insert(state.generation, Held { state, orders, attached: true });
        self.shared.news.notify_one();
        self.tasks.spawn("held", OnExit::LogOnly, |_| process.run(ordered));
    }

    fn order(&self, generation: Generation, order: Order) {
        if let Some(held) = self.shared.held().get(&generation) {
            // One that has ended takes none.
            let _ = held.orders.send(order);
        }
    }

    /// Tells a bridge what it asks about, until the returned family is stopped.
    pub(super) fn serve<W: AsyncWrite + Send + Unpin + 'static>(&self, bridge: W) -> Tasks {
        let shared = Arc::clone(&self.shared);
        shared.words().clear();
        for held in shared.held().values_mut() {
            held.attached = false;
            held.finish_if_dead();
        }
        let tasks = self.tasks.child();
        tasks.spawn("hold-tell", OnExit::Ignore, |cancel| async move {
            cancel.run_until_cancelled(tell(&shared, bridge)).await;
            Ok(())
        });
        tasks
    }

    /// The bridge makes room for another.
    pub(super) fn tell_to_leave(&self) {
        self.shared.say(Told::Leave);
    }

    /// Ends all of it: the end of the input first; whoever does not heed that is for [`super::orphans`].
    pub(super) async fn end(&self) {
        for held in self.shared.held().values() {
            let _ = held.orders.send(Order::Close);
        }
        let until = tokio::time::Instant::now() + PATIENCE;
        while !self.pids().is_empty() && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A bridge that does not listen for a while hears the newest, and nothing is kept for it.
async fn tell<W: AsyncWrite + Unpin>(shared: &Shared, mut bridge: W) -> io::Result<()> {
    let mut told: HashMap<Generation, HeldState> = HashMap::new();
    loop {
        let mut news = std::mem::take(&mut *shared.words());
        for (generation, held) in shared.held().iter().filter(|(_, held)| held.attached) {
            if told.get(generation) != Some(&held.state) {
                told.insert(*generation, held.state.clone());
                news.push(Told::State(held.state.clone()));
            }
        }
        for word in news {
            let mut line = serde_json::to_vec(&word)?;
            line.push(b'\n');
            bridge.write_all(&line).await?;
        }
        shared.news.notified().await;
    }
}

#[cfg(test)]
mod tests;
