//! A runtime that is part of ally: it plays the scripts of [`crate::demo::script`] itself, durably.
//!
//! For the demo without any program to install, and for tests of everything around a runtime. Its history follows the
//! same rules of evidence as codex': a turn that nobody ended was cut off, and a turn without its input is not there.
//! It plays in a process of its own (`child` is the bridge's side of that, `served` the player's), or in this very one
//! where there is no program to start.

mod child;
mod runner;
mod served;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::process::{self, Holder};
use crate::bridge::ports::{
    Boxed, CallError, Capabilities, Death, Envelope, Evidence, Fact, Fork, GateAnswer, LaunchError, Launcher, Open,
    ProcessIdentity, Pull, Runtime, SpawnSpec, Starting, Steer, StillAlive, Submit, Submitted, ThreadStatus,
};
use crate::clock::Clock;
use crate::domain::gate::Decision;
use crate::domain::history::History;
use crate::domain::ids::{ClientId, Generation, NativeGateId, NativeTurnId, ThreadId};
use crate::domain::view::Background;
use crate::tasks::{OnExit, Tasks};
use child::Outside;
use runner::Runner;
pub use served::serve;
use store::Store;
use wire::Line;

/// Environment variables that a command gets, where they are configured.
const PASSED_ON: [&str; 3] = ["PATH", "HOME", "LANG"];
/// What running turns get to write their end at a shutdown.
const GRACE: Duration = Duration::from_secs(5);
const CAPABILITIES: Capabilities = Capabilities {
    resume: true,
    steer: true,
    interrupt: true,
    read_back: true,
    ask: true,
    images: true,
    model_switch: false,
    per_thread_directory: true,
    fork: true,
    compact: true,
    plan: false,
    sandbox: true,
};

/// Where the runtime keeps its history, and what its commands may see.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Holds `threads/<id>.jsonl`.
    pub home: PathBuf,
    /// Folder for files of the running process; made at the start.
    pub run_dir: PathBuf,
    /// The daemon's environment; commands get `PATH`, `HOME` and `LANG` of it.
    pub env: Vec<(OsString, OsString)>,
}

/// Makes the launcher of this runtime.
pub fn launcher(config: EmbeddedConfig, clock: Clock, tasks: Tasks) -> EmbeddedLauncher {
    EmbeddedLauncher::new(config, clock, tasks)
}

/// See [`launcher`].
#[derive(Clone)]
pub struct EmbeddedLauncher {
    config: EmbeddedConfig,
    clock: Clock,
    tasks: Tasks,
    outside: Option<Outside>,
}

impl EmbeddedLauncher {
    /// It plays in this process.
    pub fn new(config: EmbeddedConfig, clock: Clock, tasks: Tasks) -> Self {
        Self { config, clock, tasks, outside: None }
    }

    /// It plays in processes of its own: `program` is an `ally`. With a `holder` they are the supervisor's.
    pub fn as_process(self, program: PathBuf, holder: Option<Holder>) -> Self {
        Self { outside: Some(Outside { program, holder }), ..self }
    }
}

impl Launcher for EmbeddedLauncher {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn home(&self) -> PathBuf {
        self.config.home.clone()
    }

    fn spawn<'a>(&'a self, spec: SpawnSpec) -> Boxed<'a, Result<Box<dyn Starting>, LaunchError>> {
        Box::pin(async move {
            if let Some(outside) = &self.outside {
                return outside.start(&self.config, spec, self.tasks.child()).await;
            }
            let failed = |error: io::Error| LaunchError::Failed { detail: error.to_string() };
            tokio::fs::create_dir_all(&self.config.run_dir).await.map_err(failed)?;
            let store = Store::open(&self.config.home).await.map_err(failed)?;
            let starting = EmbeddedStarting { launcher: self.clone(), store, spec };
            Ok(Box::new(starting) as Box<dyn Starting>)
        })
    }

    fn attach<'a>(
        &'a self,
        former: &'a ProcessIdentity,
        from: Option<u64>,
        facts: mpsc::Sender<Envelope>,
    ) -> Boxed<'a, Option<Box<dyn Runtime>>> {
        Box::pin(async move {
            let outside = self.outside.as_ref()?;
            outside.take_up(&self.config, former, from, facts, self.tasks.child()).await
        })
    }

    /// One that played in the daemon died with it. Its commands may have outlived it.
    fn make_dead<'a>(&'a self, former: &'a ProcessIdentity) -> Boxed<'a, Result<Death, StillAlive>> {
        Box::pin(async move {
            let death = process::make_dead(former).await?;
            process::forget(&self.config.run_dir, former.generation);
            Ok(death)
        })
    }
}

struct EmbeddedStarting {
    launcher: EmbeddedLauncher,
    store: Store,
    spec: SpawnSpec,
}

impl Starting for EmbeddedStarting {
    fn identity(&self) -> ProcessIdentity {
        ProcessIdentity {
            generation: self.spec.generation,
            mark: self.spec.mark.clone(),
            pid: None,
            start_time: None,
            boot_id: process::boot_id(),
        }
    }

    fn ready(self: Box<Self>, facts: mpsc::Sender<Envelope>) -> Boxed<'static, Result<Box<dyn Runtime>, LaunchError>> {
        let EmbeddedStarting { launcher: EmbeddedLauncher { config, clock, tasks, .. }, store, spec } = *self;
        let player = Embedded::begin(store, config.env, spec, clock, &tasks, facts);
        Box::pin(std::future::ready(Ok(Box::new(player) as Box<dyn Runtime>)))
    }
}

/// One generation.
struct Embedded {
    inner: Arc<Inner>,
}

impl Embedded {
    fn begin(
        store: Store,
        env: Vec<(OsString, OsString)>,
        spec: SpawnSpec,
        clock: Clock,
        tasks: &Tasks,
        facts: mpsc::Sender<Envelope>,
    ) -> Self {
        let mut env = passed_on(&env);
        env.push((process::MARK.into(), spec.mark.into()));
        let inner = Inner {
            generation: spec.generation,
            env,
            store,
            clock,
            tasks: tasks.child(),
            facts,
            threads: Mutex::default(),
            exited: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }
}

/// Of an environment, what commands get.
fn passed_on(env: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    env.iter().filter(|(name, _)| PASSED_ON.iter().any(|allowed| name == allowed)).cloned().collect()
}

/// What the runtime and its running turns share.
struct Inner {
    generation: Generation,
    /// The whole environment of a command.
    env: Vec<(OsString, OsString)>,
    store: Store,
    clock: Clock,
    tasks: Tasks,
    facts: mpsc::Sender<Envelope>,
    threads: Mutex<HashMap<ThreadId, Loaded>>,
    /// Why the generation is over.
    exited: OnceLock<String>,
}

/// A thread that this generation has open.
struct Loaded {
    directory: PathBuf,
    active: Option<Active>,
}

/// A turn that is being played.
struct Active {
    turn: NativeTurnId,
    stop: CancellationToken,
    /// Words that came meanwhile and were not taken yet.
    added: VecDeque<(ClientId, String)>,
    gates: HashMap<NativeGateId, oneshot::Sender<Decision>>,
    /// The end is being written: nothing can be added any more.
    closing: bool,
}

impl Inner {
    fn threads(&self) -> MutexGuard<'_, HashMap<ThreadId, Loaded>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` on the turn if it is the one that is being played.
    fn active<T>(&self, thread: &ThreadId, turn: &NativeTurnId, act: impl FnOnce(&mut Active) -> T) -> Option<T> {
        let mut threads = self.threads();
        let active = threads.get_mut(thread)?.active.as_mut().filter(|active| active.turn == *turn)?;
        Some(act(active))
    }

    fn running(&self, thread: &ThreadId) -> Option<NativeTurnId> {
        Some(self.threads().get(thread)?.active.as_ref()?.turn.clone())
    }

    /// Nothing can be added to the turn any more, unless something was: then it must be taken first.
    fn close(&self, thread: &ThreadId, turn: &NativeTurnId) -> bool {
        let closed = self.active(thread, turn, |active| {
            active.closing = active.added.is_empty();
            active.closing
        });
        closed.unwrap_or(true)
    }

    fn idle(&self, thread: &ThreadId) {
        if let Some(loaded) = self.threads().get_mut(thread) {
            loaded.active = None;
        }
    }

    /// The generation is over, once.
    async fn exit(&self, detail: &str) {
        if self.exited.set(detail.to_owned()).is_err() {
            return;
        }
        self.tasks.token().cancel();
        let fact = Fact::Exited { detail: detail.to_owned() };
        let envelope = Envelope { generation: self.generation, thread: None, turn: None, fact };
        // Nobody may be reading any more.
        let _ = self.facts.send_timeout(envelope, Duration::from_secs(1)).await;
    }

    async fn load(&self, how: &Open) -> Result<ThreadId, CallError> {
        self.alive()?;
        let thread = match &how.thread {
            Some(thread) => {
                if let Some(loaded) = self.threads().get_mut(thread) {
                    if loaded.active.is_none() {
                        loaded.directory.clone_from(&how.directory);
                    }
                    return Ok(thread.clone());
                }
                self.store.repair(thread).await.map_err(store_error)?;
                thread.clone()
            }
            None => self.create(&how.directory, Vec::new()).await?,
        };
        let loaded = Loaded { directory: how.directory.clone(), active: None };
        self.threads().entry(thread.clone()).or_insert(loaded);
        Ok(thread)
    }

    async fn create(&self, directory: &Path, lines: Vec<Line>) -> Result<ThreadId, CallError> {
        let thread = ThreadId::new(uuid::Uuid::now_v7().to_string());
        let mut all = vec![Line::Opened { directory: directory.to_owned() }];
        all.extend(lines);
        self.store.create(&thread, &all).await.map_err(store_error)?;
        Ok(thread)
    }

    fn alive(&self) -> Result<(), CallError> {
        if self.tasks.token().is_cancelled() { Err(CallError::Gone) } else { Ok(()) }
    }

    /// A turn of its own, as long as no other one is played.
    async fn compact(self: &Arc<Self>, thread: &ThreadId) -> Result<Submitted, CallError> {
        self.alive()?;
        let (turn, stop, directory) = {
            let mut threads = self.threads();
            let Some(loaded) = threads.get_mut(thread) else { return Err(no_thread("it is not loaded")) };
            if loaded.active.is_some() {
                return Err(CallError::Busy { detail: "a turn is running".to_owned() });
            }
            let turn = NativeTurnId::new(uuid::Uuid::now_v7().to_string());
            let stop = self.tasks.token().child_token();
            let (added, gates) = (VecDeque::new(), HashMap::new());
            // It takes no words.
            loaded.active = Some(Active { turn: turn.clone(), stop: stop.clone(), added, gates, closing: true });
            (turn, stop, loaded.directory.clone())
        };
        let began = [Line::Started { turn: turn.clone(), at_ms: self.clock.now_ms() }];
        if let Err(error) = self.store.append(thread, &began).await {
            self.idle(thread);
            self.exit(&format!("the history cannot be written: {error}")).await;
            return Err(CallError::Gone);
        }
        let runner = Runner::compaction(Arc::clone(self), thread.clone(), turn, stop, directory);
        self.tasks.spawn("embedded.turn", OnExit::LogOnly, |_| runner.run());
        // Like codex: which turn it is, its start tells.
        Ok(Submitted { turn: None, evidence: Evidence::Acknowledged })
    }

    /// Takes the thread for a new turn, or adds the words to the turn that holds it.
    fn claim(&self, submit: &Submit) -> Result<Claim, CallError> {
        let mut threads = self.threads();
        let Some(loaded) = threads.get_mut(&submit.thread) else { return Err(no_thread("it is not loaded")) };
        if let Some(active) = &mut loaded.active {
            if active.closing {
                return Err(CallError::Busy { detail: "the former turn is ending".to_owned() });
            }
            active.added.push_back((submit.client.clone(), submit.input.text.clone()));
            return Ok(Claim::Swallowed(active.turn.clone()));
        }
        let turn = NativeTurnId::new(uuid::Uuid::now_v7().to_string());
        let stop = self.tasks.token().child_token();
        let (added, gates) = (VecDeque::new(), HashMap::new());
        loaded.active = Some(Active { turn: turn.clone(), stop: stop.clone(), added, gates, closing: false });
        Ok(Claim::Started { turn, stop, directory: loaded.directory.clone() })
    }

    async fn submit(self: &Arc<Self>, submit: &Submit) -> Result<Submitted, CallError> {
        self.alive()?;
        let (turn, stop, directory) = match self.claim(submit)? {
            Claim::Started { turn, stop, directory } => (turn, stop, directory),
            Claim::Swallowed(turn) => {
                return Ok(Submitted { turn: Some(turn), evidence: Evidence::Acknowledged });
            }
        };
        let lines = [
            Line::Started { turn: turn.clone(), at_ms: self.clock.now_ms() },
            Line::Input { turn: turn.clone(), client: Some(submit.client.clone()), text: submit.input.text.clone() },
        ];
        if let Err(error) = self.store.append(&submit.thread, &lines).await {
            // How much of it was written is not known; the next generation reads what there is.
            self.idle(&submit.thread);
            self.exit(&format!("the history cannot be written: {error}")).await;
            return Err(CallError::Gone);
        }
        let runner = Runner::new(Arc::clone(self), submit, turn.clone(), stop, directory);
        self.tasks.spawn("embedded.turn", OnExit::LogOnly, |_| runner.run());
        Ok(Submitted { turn: Some(turn), evidence: Evidence::Durable })
    }
}

enum Claim {
    Started { turn: NativeTurnId, stop: CancellationToken, directory: PathBuf },
    Swallowed(NativeTurnId),
}

fn no_thread(detail: impl ToString) -> CallError {
    CallError::NoThread { detail: detail.to_string() }
}

fn store_error(error: io::Error) -> CallError {
    match error.kind() {
        io::ErrorKind::NotFound => no_thread(error),
        _ => CallError::Refused { detail: error.to_string() },
    }
}

impl Runtime for Embedded {
    fn generation(&self) -> Generation {
        self.inner.generation
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn open<'a>(&'a self, how: &'a Open) -> Boxed<'a, Result<ThreadId, CallError>> {
        Box::pin(self.inner.load(how))
    }

    fn submit<'a>(&'a self, turn: &'a Submit) -> Boxed<'a, Result<Submitted, CallError>> {
        Box::pin(self.inner.submit(turn))
    }

    fn compact<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<Submitted, CallError>> {
        Box::pin(self.inner.compact(thread))
    }

    fn steer<'a>(&'a self, steer: &'a Steer) -> Boxed<'a, Result<(), CallError>> {
        let taken = self.inner.active(&steer.thread, &steer.turn, |active| {
            if !active.closing {
                active.added.push_back((steer.client.clone(), steer.text.clone()));
            }
            !active.closing
        });
        Box::pin(std::future::ready(if taken == Some(true) { Ok(()) } else { Err(CallError::NoTurn) }))
    }

    fn interrupt<'a>(&'a self, thread: &'a ThreadId, turn: &'a NativeTurnId) -> Boxed<'a, Result<(), CallError>> {
        let stopped = self.inner.active(thread, turn, |active| active.stop.cancel());
        Box::pin(std::future::ready(stopped.ok_or(CallError::NoTurn)))
    }

    /// Commands end with their turn's step, so there is nothing left to end.
    fn clean<'a>(&'a self, _thread: &'a ThreadId) -> Boxed<'a, Result<Background, CallError>> {
        Box::pin(std::future::ready(Ok(Background::Ended)))
    }

    fn answer<'a>(&'a self, answer: &'a GateAnswer) -> Boxed<'a, Result<(), CallError>> {
        let mut threads = self.inner.threads();
        let active = threads.get_mut(&answer.thread).and_then(|loaded| loaded.active.as_mut());
        let asked = active.and_then(|active| active.gates.remove(&answer.native));
        let told = asked.is_some_and(|asked| asked.send(answer.decision.clone()).is_ok());
        let refused = || CallError::Refused { detail: "nothing is asked by this id".to_owned() };
        Box::pin(std::future::ready(if told { Ok(()) } else { Err(refused()) }))
    }

    fn pull<'a>(&'a self, pull: &'a Pull) -> Boxed<'a, Result<History, CallError>> {
        Box::pin(async move {
            // Asked before and after: a turn that starts meanwhile runs, and one that ends meanwhile has its end line.
            let before = self.inner.running(&pull.thread);
            let lines = self.inner.store.lines(&pull.thread).await.map_err(store_error)?;
            let running = [before, self.inner.running(&pull.thread)];
            Ok(store::history(&lines, pull, running.as_slice()))
        })
    }

    fn thread_status<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<ThreadStatus, CallError>> {
        let threads = self.inner.threads();
        let status = match threads.get(thread).map(|loaded| &loaded.active) {
            None => ThreadStatus::NotLoaded,
            Some(None) => ThreadStatus::Idle,
            Some(Some(active)) if active.gates.is_empty() => ThreadStatus::Active,
            Some(Some(_)) => ThreadStatus::WaitingOnPerson,
        };
        Box::pin(std::future::ready(Ok(status)))
    }

    fn release<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<(), CallError>> {
        let mut threads = self.inner.threads();
        let busy = threads.get(thread).is_some_and(|loaded| loaded.active.is_some());
        let released = if busy {
            Err(CallError::Busy { detail: "a turn is running".to_owned() })
        } else {
            threads.remove(thread);
            Ok(())
        };
        Box::pin(std::future::ready(released))
    }

    fn fork<'a>(&'a self, how: &'a Fork) -> Boxed<'a, Result<ThreadId, CallError>> {
        Box::pin(async move {
            self.inner.alive()?;
            let lines = self.inner.store.lines(&how.thread).await.map_err(store_error)?;
            let copy = self.inner.create(&how.directory, store::ended_only(lines)).await?;
            let loaded = Loaded { directory: how.directory.clone(), active: None };
            self.inner.threads().insert(copy.clone(), loaded);
            Ok(copy)
        })
    }

    fn shutdown(&self) -> Boxed<'_, ()> {
        Box::pin(async move {
            self.inner.tasks.stop(GRACE).await;
            self.inner.exit("stopped").await;
        })
    }
}
