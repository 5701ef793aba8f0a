//! The runtime process and its successors: takes up the one that an earlier bridge left, or starts one, records each
//! generation before a word is said to it, makes sure that a former one is surely dead before anything is concluded from its
//! absence, and passes its facts on.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::ports::*;
use super::pulse::Pulse;
use crate::clock::Clock;
use crate::crash;
use crate::domain::ids::*;
use crate::domain::safety::Tried;
use crate::ledger::generations::GenerationRow;
use crate::ledger::{Ledger, LedgerError, Transaction, generations, turns};
use crate::metrics;

/// A runtime that answers.
pub struct LiveRuntime {
    runtime: Box<dyn Runtime>,
    pub generation: Generation,
    pub identity: ProcessIdentity,
    /// When it was started.
    pub since_ms: i64,
    /// Threads that this process has loaded for us: where, and the mark of their [`Posture::ground`].
    opened: Mutex<HashMap<ThreadId, (PathBuf, [u8; 32])>>,
    pulse: Pulse,
}

impl LiveRuntime {
    /// The only way to call it: each answer is a sign of life, each missing one is counted.
    pub async fn call<'a, T>(
        &'a self,
        call: impl FnOnce(&'a dyn Runtime) -> Boxed<'a, Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let answer = call(self.runtime.as_ref()).await;
        match &answer {
            Err(CallError::NoAnswer { .. }) => self.pulse.missed(),
            Err(CallError::Gone) => {}
            _ => self.pulse.heard(),
        }
        answer
    }

    pub fn version(&self) -> String {
        self.runtime.version()
    }

    /// See [`Runtime::position`].
    pub fn position(&self) -> Option<u64> {
        self.runtime.position()
    }

    pub fn capabilities(&self) -> Capabilities {
        self.runtime.capabilities()
    }

    /// See [`Runtime::holds`].
    pub fn holds(&self, thread: &ThreadId) -> bool {
        self.runtime.holds(thread)
    }

    pub fn warnings(&self) -> Vec<String> {
        self.runtime.warnings()
    }

    /// It does not answer any more: its process is ended, and a successor tells what became of its turns.
    pub fn give_up(&self) {
        self.pulse.give_up();
    }

    /// Makes sure that the thread is loaded here for turns of this posture in this directory; `None` starts a new one.
    pub async fn open(
        &self,
        thread: Option<&ThreadId>,
        directory: &std::path::Path,
        posture: &Posture,
    ) -> Result<ThreadId, CallError> {
        let ground = posture.ground();
        if let Some(thread) = thread
            && self.opened().get(thread).is_some_and(|(place, opened)| place == directory && *opened == ground)
        {
            return Ok(thread.clone());
        }
        let how = Open { thread: thread.cloned(), directory: directory.to_owned(), posture: posture.clone() };
        let opened = self.call(|runtime| runtime.open(&how)).await?;
        self.opened().insert(opened.clone(), (how.directory, ground));
        Ok(opened)
    }

    /// The runtime said that it does not have the thread (any more).
    pub fn forget(&self, thread: &ThreadId) {
        self.opened().remove(thread);
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<ThreadId, (PathBuf, [u8; 32])>> {
        self.opened.lock().expect("no code panics while it holds this lock")
    }
}

#[derive(Clone, Default)]
pub enum HostState {
    #[default]
    Starting,
    Live(Arc<LiveRuntime>),
    /// Tried and failed; tried again by itself.
    Trouble(LaunchError),
    /// A former process does not end; nothing of it may be concluded.
    Stuck(StillAlive),
    Stopped,
}

/// What there is in place of a runtime that answers.
pub struct NoRuntime {
    pub found: HostState,
    state: watch::Receiver<HostState>,
}

impl NoRuntime {
    /// Resolves when something else is there than what was found, also where that came before this was called.
    pub async fn over(&mut self) {
        // It ends with the host, as whoever asks does.
        let _ = self.state.changed().await;
    }
}

/// One look, so that no change falls between what was found and what is waited for.
fn look(mut state: watch::Receiver<HostState>) -> Result<Arc<LiveRuntime>, NoRuntime> {
    let found = state.borrow_and_update().clone();
    match found {
        HostState::Live(live) => Ok(live),
        found => Err(NoRuntime { found, state }),
    }
}

/// Handle to the runtime. Clones share it.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    launcher: Box<dyn Launcher>,
    ledger: Ledger,
    clock: Clock,
    state: watch::Sender<HostState>,
    /// Who listens to which thread.
    routes: Mutex<HashMap<ThreadId, Route>>,
    /// What was told of the turns of an earlier bridge before anybody here followed them.
    parked: Mutex<HashMap<ThreadId, Told>>,
    /// Only what was there when this bridge came is taken up.
    has_looked: AtomicBool,
    /// This bridge ends, and the process stays for the next one.
    leaves: AtomicBool,
}

/// What is only drawn is left out for a listener that is behind by so many facts.
const BEHIND: usize = 1024;

/// The way to a listener. Nothing is waited for here: a follower that waits for the runtime's answer would wait for ever.
struct Route {
    facts: mpsc::UnboundedSender<Envelope>,
    untaken: Arc<AtomicUsize>,
}

impl Route {
    /// Gives it back where nobody listens any more.
    fn send(&self, envelope: Envelope) -> Option<Envelope> {
        let is_drawn_only = matches!(envelope.fact, Fact::TextDelta { .. } | Fact::Activity);
        if is_drawn_only && self.untaken.load(Ordering::Relaxed) >= BEHIND {
            return None;
        }
        self.untaken.fetch_add(1, Ordering::Relaxed);
        self.facts.send(envelope).err().map(|back| back.0)
    }
}

/// What is told of a thread.
pub struct Told {
    facts: mpsc::UnboundedReceiver<Envelope>,
    untaken: Arc<AtomicUsize>,
}

impl Told {
    /// `None` when the process is gone.
    pub async fn recv(&mut self) -> Option<Envelope> {
        let envelope = self.facts.recv().await?;
        self.untaken.fetch_sub(1, Ordering::Relaxed);
        Some(envelope)
    }

    fn channel() -> (Route, Self) {
        let ((sender, receiver), untaken) = (mpsc::unbounded_channel(), Arc::new(AtomicUsize::new(0)));
        (Route { facts: sender, untaken: Arc::clone(&untaken) }, Self { facts: receiver, untaken })
    }
}

pub type Burial = Box<dyn FnOnce(&Transaction<'_>, Generation, i64) -> Result<(), LedgerError> + Send>;

/// What the host asks of the bridge when a generation is surely dead.
pub trait OnDeath: Send + Sync + 'static {
    /// What belongs into the transaction that marks a generation dead (its gates become void).
    fn bury(&self) -> Burial;
    /// After that commit.
    fn buried(&self);
    /// A part of the bridge failed: it ends as by a crash, and the next one goes on.
    fn has_failed(&self) -> bool;
    /// A question that belongs to no turn of ours.
    fn stray(&self, live: Arc<LiveRuntime>, envelope: Envelope);
}

impl Host {
    pub fn new(launcher: Box<dyn Launcher>, ledger: Ledger, clock: Clock) -> Self {
        let (state, _) = watch::channel(HostState::default());
        Self {
            inner: Arc::new(Inner {
                launcher,
                ledger,
                clock,
                state,
                routes: Mutex::default(),
                parked: Mutex::default(),
                has_looked: AtomicBool::new(false),
                leaves: AtomicBool::new(false),
            }),
        }
    }

    pub fn kind(&self) -> &'static str {
        self.inner.launcher.kind()
    }

    pub fn home(&self) -> String {
        self.inner.launcher.home().to_string_lossy().into_owned()
    }

    /// The command that signs the runtime in.
    pub fn login(&self) -> Option<String> {
        self.inner.launcher.login()
    }

    /// Tries what the runtime's sandbox promises.
    pub async fn probe(&self, probe: &Probe) -> Vec<Tried> {
        self.inner.launcher.probe(probe).await
    }

    pub fn state(&self) -> HostState {
        self.inner.state.borrow().clone()
    }

    /// The runtime, if it answers now.
    pub fn now(&self) -> Option<Arc<LiveRuntime>> {
        match &*self.inner.state.borrow() {
            HostState::Live(live) => Some(Arc::clone(live)),
            _ => None,
        }
    }

    /// The runtime, or what there is in its place and how to wait for the end of that.
    ///
    /// # Errors
    /// [`NoRuntime`], while none answers.
    pub fn look(&self) -> Result<Arc<LiveRuntime>, NoRuntime> {
        look(self.watch())
    }

    /// Changes whenever the runtime comes or goes.
    pub fn watch(&self) -> watch::Receiver<HostState> {
        self.inner.state.subscribe()
    }

    /// Listens to a thread from now on; the former listener, if any, hears no more. The receiver ends with the process.
    pub fn listen(&self, thread: &ThreadId) -> Told {
        let (route, told) = Told::channel();
        let mut routes = self.inner.routes.lock().expect("no code panics while it holds this lock");
        // Whoever stopped listening without a word leaves nothing behind.
        routes.retain(|_, route| !route.facts.is_closed());
        routes.insert(thread.clone(), route);
        told
    }

    /// What was told of a thread's turn since this bridge took the process up, up to [`Fact::CaughtUp`] and beyond.
    pub fn parked(&self, thread: &ThreadId) -> Option<Told> {
        self.inner.parked.lock().expect("no code panics while it holds this lock").remove(thread)
    }

    pub fn unlisten(&self, thread: &ThreadId) {
        self.inner.routes.lock().expect("no code panics while it holds this lock").remove(thread);
    }

    /// The process stays for the next bridge, whatever ends this one. False where it cannot outlive a bridge.
    pub fn leave(&self) -> bool {
        let can = self.now().is_none_or(|live| live.runtime.leave());
        self.inner.leaves.store(can, Ordering::Release);
        can
    }

    fn leaves(&self) -> bool {
        self.inner.leaves.load(Ordering::Acquire)
    }

    /// Whether the process is left to the next bridge as this one ends: it was told so, or a part of it has failed.
    fn stays(&self, bridge: &dyn OnDeath) -> bool {
        self.leaves() || (bridge.has_failed() && self.leave())
    }

    /// Keeps a runtime alive until `cancel`, then ends it. The bridge settles what it cuts before that.
    pub async fn run(self, bridge: Arc<dyn OnDeath>, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut failures = 0u32;
        while !cancel.is_cancelled() {
            match self.live_once(bridge.as_ref(), &mut failures, &cancel).await {
                Ok(rest) => pause(rest, &cancel).await,
                // The ledger says it itself. A generation without its row must not live: nothing was said to it yet.
                Err(error) if error.is_outage() => pause(OUTAGE_WAIT, &cancel).await,
                Err(error) => return Err(error.into()),
            }
        }
        self.inner.state.send_replace(HostState::Stopped);
        if self.stays(bridge.as_ref()) {
            return Ok(());
        }
        match self.bury_former(bridge.as_ref()).await {
            Ok(_) => Ok(()),
            // The next start buries it.
            Err(error) if error.is_outage() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// One generation, from the burial of the former ones to its end; gives how long to rest before the next.
    async fn live_once(
        &self,
        bridge: &dyn OnDeath,
        failures: &mut u32,
        cancel: &CancellationToken,
    ) -> Result<Duration, LedgerError> {
        if let Some((live, facts)) = self.take_up(bridge, cancel).await? {
            *failures = 0;
            self.serve(bridge, live, facts, cancel).await;
            return Ok(Duration::ZERO);
        }
        if cancel.is_cancelled() && self.stays(bridge) {
            return Ok(Duration::ZERO);
        }
        if let Err(stuck) = self.bury_former(bridge).await? {
            error!(generation = stuck.generation.0, pid = stuck.pid, "A former runtime process does not end");
            self.inner.state.send_replace(HostState::Stuck(stuck));
            return Ok(Duration::from_secs(30));
        }
        match self.start().await? {
            Ok((live, facts)) => {
                *failures = 0;
                self.serve(bridge, live, facts, cancel).await;
                Ok(Duration::ZERO)
            }
            Err(problem) => {
                warn!(error = %problem, "The runtime did not start");
                self.inner.state.send_replace(HostState::Trouble(problem));
                *failures += 1;
                Ok(backoff(*failures))
            }
        }
    }

    /// The process of an earlier bridge, where it lives: its turns go on, and nothing is told to anybody.
    async fn take_up(
        &self,
        bridge: &dyn OnDeath,
        cancel: &CancellationToken,
    ) -> Result<Option<(Arc<LiveRuntime>, mpsc::Receiver<Envelope>)>, LedgerError> {
        if self.inner.has_looked.load(Ordering::Acquire) {
            return Ok(None);
        }
        let rows = self.inner.ledger.read(generations::not_dead).await?;
        // With another home it is as with any other setting: it goes on, and is replaced when no turn is under way.
        let ours = |row: &&GenerationRow| row.kind == self.kind() && row.state != "stuck";
        let former = rows.last().filter(ours).and_then(|row| Some((row.number, identity_of(row)?, row.started_at_ms)));
        let mut active = self.inner.ledger.read(turns::all_active).await?;
        self.inner.has_looked.store(true, Ordering::Release);
        let Some((number, identity, since_ms)) = former else {
            return Ok(None);
        };
        active.retain(|turn| turn.generation == Some(number));
        self.park(active.iter().filter_map(|turn| turn.thread.clone()));
        let (facts, mut told) = mpsc::channel(1024);
        let from = active.iter().filter_map(|turn| turn.position).min();
        let taken = match self.inner.launcher.attach(&identity, from, facts).await {
            Some(runtime) => {
                let (opened, pulse) = (Mutex::default(), Pulse::default());
                let live = Arc::new(LiveRuntime { runtime, generation: number, identity, since_ms, opened, pulse });
                self.catch_up(bridge, &live, &mut told, cancel).await.then_some((live, told))
            }
            None => None,
        };
        match &taken {
            Some((live, _)) => {
                let (kind, version) = (self.kind(), live.version());
                info!(generation = number.0, turns = active.len(), "Runtime {kind} {version} lives on");
                // It is most likely there already, and a ledger that takes no writes now must not end what lives.
                if let Err(error) = self.inner.ledger.write(move |tx| generations::live(tx, number, &version)).await {
                    warn!(%error, "The ledger does not know yet that the runtime lives");
                }
            }
            None => self.stop_routing(),
        }
        Ok(taken)
    }

    /// Somebody will follow these; what is told meanwhile is kept for them.
    fn park(&self, threads: impl Iterator<Item = ThreadId>) {
        let mut parked = self.inner.parked.lock().expect("no code panics while it holds this lock");
        for thread in threads {
            parked.insert(thread.clone(), self.listen(&thread));
        }
    }

    /// What an earlier bridge may have heard is heard again. False when the process is gone, or this bridge ends.
    async fn catch_up(
        &self,
        bridge: &dyn OnDeath,
        live: &Arc<LiveRuntime>,
        told: &mut mpsc::Receiver<Envelope>,
        cancel: &CancellationToken,
    ) -> bool {
        loop {
            let envelope = tokio::select! {
                () = cancel.cancelled() => return false,
                envelope = told.recv() => envelope,
            };
            match envelope {
                None | Some(Envelope { fact: Fact::Exited { .. }, .. }) => return false,
                Some(Envelope { fact: Fact::CaughtUp, generation, .. }) => {
                    let routes = self.inner.routes.lock().expect("no code panics while it holds this lock");
                    for (thread, route) in routes.iter() {
                        let thread = Some(thread.clone());
                        let _ = route.send(Envelope { generation, thread, turn: None, fact: Fact::CaughtUp });
                    }
                    return true;
                }
                Some(envelope) => self.route(bridge, live, envelope),
            }
        }
    }

    /// Every listener sees its end.
    fn stop_routing(&self) {
        self.inner.parked.lock().expect("no code panics while it holds this lock").clear();
        self.inner.routes.lock().expect("no code panics while it holds this lock").clear();
    }

    /// Whether no turn is under way. Then what was said so far is of no use any more.
    async fn is_idle(&self, live: &LiveRuntime) -> bool {
        // First how far, then whether: a turn that begins in between says all it says behind that.
        let Some(position) = live.position() else { return false };
        let is_idle = self.inner.ledger.read(turns::all_active).await.is_ok_and(|active| active.is_empty());
        if is_idle {
            live.runtime.cut(position);
        }
        is_idle
    }

    /// Every generation that is not known to be dead is made dead, and what hung on it is told so.
    async fn bury_former(&self, bridge: &dyn OnDeath) -> Result<Result<(), StillAlive>, LedgerError> {
        for row in self.inner.ledger.read(generations::not_dead).await? {
            let identity = identity_of(&row).unwrap_or_else(|| self.unseen(row.number));
            match self.inner.launcher.make_dead(&identity).await {
                Ok(death) => self.mark_dead(bridge, row.number, death).await?,
                Err(stuck) => {
                    let number = row.number;
                    self.inner.ledger.write(move |tx| generations::stuck(tx, number)).await?;
                    return Ok(Err(stuck));
                }
            }
        }
        Ok(Ok(()))
    }

    fn mark_of(&self, number: Generation) -> String {
        format!("{}:{number}", self.inner.ledger.id())
    }

    /// A process that may have been started and was not written down: its mark is all that is known.
    fn unseen(&self, generation: Generation) -> ProcessIdentity {
        let mark = self.mark_of(generation);
        ProcessIdentity { generation, mark, pid: None, start_time: None, boot_id: String::new() }
    }

    async fn mark_dead(&self, bridge: &dyn OnDeath, number: Generation, death: Death) -> Result<(), LedgerError> {
        if death.orphans_killed > 0 {
            warn!(
                generation = number.0,
                orphans = death.orphans_killed,
                "Ended commands that a former runtime left behind"
            );
        }
        let now = self.inner.clock.now_ms();
        let bury = bridge.bury();
        crash::point("bury.before");
        let marked = self.inner.ledger.write(move |tx| {
            generations::dead(tx, number, death.boot_changed, now)?;
            bury(tx, number, now)
        });
        marked.await?;
        crash::point("bury.after");
        bridge.buried();
        Ok(())
    }

    async fn start(&self) -> Result<Result<(Arc<LiveRuntime>, mpsc::Receiver<Envelope>), LaunchError>, LedgerError> {
        self.inner.state.send_replace(HostState::Starting);
        let launcher = &self.inner.launcher;
        let (kind, home, now) = (launcher.kind(), self.home(), self.inner.clock.now_ms());
        let number = self.inner.ledger.write(move |tx| generations::begin(tx, kind, &home, now)).await?;
        let spec = SpawnSpec { generation: number, mark: self.mark_of(number) };
        let starting = match launcher.spawn(spec).await {
            Ok(starting) => starting,
            Err(problem) => return Ok(Err(problem)),
        };
        crash::point("spawn.told");
        let identity = starting.identity();
        let stored = serde_json::to_string(&identity)?;
        self.inner.ledger.write(move |tx| generations::spawned(tx, number, &stored)).await?;
        // Room for a burst; the reader of the child waits when it is full, which slows the child and loses nothing.
        let (facts, receiver) = mpsc::channel(1024);
        let runtime = match starting.ready(facts).await {
            Ok(runtime) => runtime,
            Err(problem) => return Ok(Err(problem)),
        };
        let version = runtime.version();
        info!(generation = number.0, runtime.kind = kind, runtime.version = %version, "Runtime {kind} {version} is ready");
        self.inner.ledger.write(move |tx| generations::live(tx, number, &version)).await?;
        metrics::runtime_started();
        let (opened, pulse) = (Mutex::default(), Pulse::default());
        let live = Arc::new(LiveRuntime { runtime, generation: number, identity, since_ms: now, opened, pulse });
        Ok(Ok((live, receiver)))
    }

    /// Passes facts on until the process ends. Never awaits a call to the runtime itself.
    async fn serve(
        &self,
        bridge: &dyn OnDeath,
        live: Arc<LiveRuntime>,
        mut facts: mpsc::Receiver<Envelope>,
        cancel: &CancellationToken,
    ) {
        self.inner.state.send_replace(HostState::Live(Arc::clone(&live)));
        let mut idle_at = Some(Instant::now() + SETTLED);
        loop {
            let envelope = tokio::select! {
                () = cancel.cancelled() => {
                    if !self.stays(bridge) {
                        live.runtime.shutdown().await;
                    }
                    break;
                }
                () = live.pulse.given_up() => {
                    error!(generation = live.generation.0, "The runtime answers nothing any more; its process is ended");
                    live.runtime.shutdown().await;
                    break;
                }
                () = sleep_until(idle_at.unwrap_or_else(Instant::now)), if idle_at.is_some() => {
                    let is_idle = self.is_idle(&live).await;
                    // An end may take a while to be settled, and not every one is told.
                    idle_at = (!is_idle).then(|| Instant::now() + LOOK_AGAIN);
                    if !is_idle {
                        continue;
                    }
                    if live.runtime.is_outdated() {
                        info!(generation = live.generation.0, "The runtime is started again with the settings of now");
                        live.runtime.shutdown().await;
                        break;
                    }
                    continue;
                }
                envelope = facts.recv() => envelope,
            };
            live.pulse.heard();
            if matches!(&envelope, Some(Envelope { fact: Fact::TurnEnded { .. }, .. })) {
                idle_at = Some(Instant::now() + SETTLED);
            }
            idle_at.get_or_insert_with(|| Instant::now() + LOOK_AGAIN);
            match envelope {
                Some(Envelope { fact: Fact::Exited { detail }, generation, .. }) => {
                    warn!(generation = generation.0, %detail, "The runtime process ended");
                    break;
                }
                Some(envelope) => self.route(bridge, &live, envelope),
                None => break,
            }
        }
        self.inner.state.send_replace(HostState::Starting);
        self.stop_routing();
    }

    fn route(&self, bridge: &dyn OnDeath, live: &Arc<LiveRuntime>, envelope: Envelope) {
        let Some(thread) = envelope.thread.clone() else { return };
        let routes = self.inner.routes.lock().expect("no code panics while it holds this lock");
        let undelivered = match routes.get(&thread) {
            Some(route) => route.send(envelope),
            None => Some(envelope),
        };
        drop(routes);
        if let Some(envelope) = undelivered
            && matches!(envelope.fact, Fact::GateOpened(_))
        {
            bridge.stray(Arc::clone(live), envelope);
        }
    }
}

fn identity_of(row: &GenerationRow) -> Option<ProcessIdentity> {
    serde_json::from_str(row.identity.as_deref()?).ok()
}

/// After its end a turn is settled so soon, as a rule.
const SETTLED: Duration = Duration::from_secs(1);
/// How soon it is looked again whether all is settled.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long nothing is started while the ledger takes no writes.
const OUTAGE_WAIT: Duration = Duration::from_secs(1);

fn backoff(failures: u32) -> Duration {
    Duration::from_secs(2u64.saturating_pow(failures.min(6)).min(60))
}

async fn pause(wait: Duration, cancel: &CancellationToken) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn envelope(fact: Fact) -> Envelope {
        Envelope { generation: Generation(1), thread: Some("t".into()), turn: None, fact }
    }

    #[tokio::test]
    async fn what_comes_just_after_a_look_is_not_waited_for() {
        let state = watch::Sender::new(HostState::Starting);
        let mut nothing = look(state.subscribe()).err().expect("none is there");
        assert!(nothing.over().now_or_never().is_none());
        state.send_replace(HostState::Stopped);
        assert!(nothing.over().now_or_never().is_some());
        assert!(matches!(nothing.found, HostState::Starting), "what is said of it is what was waited on");
    }

    #[tokio::test]
    async fn a_listener_that_is_behind_misses_pictures_and_nothing_else() {
        let (route, mut told) = Told::channel();
        let delta = || envelope(Fact::TextDelta { item: "i".to_owned(), text: "x".to_owned() });
        for _ in 0..10 * BEHIND {
            assert_eq!(route.send(delta()), None);
        }
        route.send(envelope(Fact::TurnStarted));
        let mut heard = 0;
        while told.recv().await.unwrap().fact != Fact::TurnStarted {
            heard += 1;
        }
        assert_eq!(heard, BEHIND);
        route.send(delta());
        assert_eq!(told.recv().await, Some(delta()), "one that has caught up sees all of it again");
        drop(told);
        assert_eq!(route.send(delta()), Some(delta()));
    }
}
