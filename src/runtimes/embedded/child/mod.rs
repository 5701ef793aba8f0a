//! The bridge's side of a player in a process of its own: starts it, speaks to it, passes on what it tells.

pub(super) mod wire;

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::wire::{Call, FACT, Hello, Memory};
use super::{CAPABILITIES, EmbeddedConfig};
use crate::bridge::ports::*;
use crate::domain::gate::hex;
use crate::domain::history::History;
use crate::domain::ids::*;
use crate::domain::view::Background;
use crate::runtimes::process::{self, Handle, Holder, Spawn, Spawned};
use crate::runtimes::rpc::{Incoming, Peer, Place};
use crate::tasks::{OnExit, Tasks};

/// It answers in milliseconds; a loaded machine takes longer.
const HANDSHAKE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(20);
/// What it answers from memory: one that does not answer this soon is asked again, not waited for.
const PROMPTLY: Duration = Duration::from_secs(5);

/// The program that plays, and who holds its pipes.
#[derive(Clone)]
pub(super) struct Outside {
    pub program: PathBuf,
    pub holder: Option<Holder>,
}

impl Outside {
    /// Starts a process and says nothing to it yet.
    pub async fn start(
        &self,
        config: &EmbeddedConfig,
        spec: SpawnSpec,
        tasks: Tasks,
    ) -> Result<Box<dyn Starting>, LaunchError> {
        let failed =
            |error: std::io::Error| LaunchError::Failed { detail: format!("{}: {error}", config.home.display()) };
        tokio::fs::create_dir_all(&config.home).await.map_err(failed)?;
        let args =
            ["--generation".into(), spec.generation.to_string().into(), "--mark".into(), spec.mark.clone().into()];
        let spawn = Spawn {
            program: self.program.clone(),
            args: ["runtime-embedded".into(), "--home".into(), config.home.clone().into()]
                .into_iter()
                .chain(args)
                .collect(),
            env: super::passed_on(&config.env),
            directory: config.home.clone(),
            run_dir: config.run_dir.clone(),
        };
        let settings = self.settings(config);
        let spawned = process::spawn(&spawn, &spec, self.holder.as_ref(), &tasks)
            .await
            .map_err(|error| LaunchError::Failed { detail: format!("{}: {error}", self.program.display()) })?;
        info!(
            generation = spec.generation.0,
            process.pid = spawned.handle.identity.pid,
            "Started the embedded runtime"
        );
        let file = process::memory_of(&config.run_dir, spec.generation);
        Ok(Box::new(StartingChild { holder: self.holder.clone(), spawned, file, settings, tasks }))
    }

    /// A process of an earlier bridge.
    pub async fn take_up(
        &self,
        config: &EmbeddedConfig,
        former: &ProcessIdentity,
        from: Option<u64>,
        facts: mpsc::Sender<Envelope>,
        tasks: Tasks,
    ) -> Option<Box<dyn Runtime>> {
        let holder = self.holder.clone()?;
        let file = process::memory_of(&config.run_dir, former.generation);
        let known = tokio::fs::read(file).await.ok().and_then(|text| serde_json::from_slice::<Memory>(&text).ok());
        // Where it could not be kept the process is replaced when it is idle.
        let known = known.unwrap_or_default();
        let is_outdated = known.settings != self.settings(config);
        if from.is_none() && is_outdated {
            // Nothing runs: a new one is what is wanted now.
            return None;
        }
        let attached = holder.attach(former, &config.run_dir, from).await?;
        let Spawned { stdin, stdout, handle, cuts } = attached.spawned;
        let (inbox, incoming) = mpsc::channel(1024);
        let place = Place { from: attached.from, until: attached.until, nth: attached.bridges };
        let peer = Peer::resume(stdout, stdin, place, &tasks, inbox);
        let kept = cuts.map(|cuts| Kept { cuts, holder, is_outdated });
        let ready = Ready { peer, incoming, handle, version: known.version, kept, tasks };
        Some(Box::new(Child::start(ready, Some(Vec::new()), facts)))
    }

    /// Whether another process would be started otherwise: with other settings, or from another build of the program.
    fn settings(&self, config: &EmbeddedConfig) -> String {
        let build = self.program.metadata().ok().map(|meta| (meta.len(), meta.modified().ok()));
        let started_with = (&config.home, super::passed_on(&config.env), &self.program, build);
        hex(&Sha256::digest(format!("{started_with:?}")))
    }
}

struct StartingChild {
    holder: Option<Holder>,
    spawned: Spawned,
    /// Where it is kept what the next bridge must know.
    file: PathBuf,
    settings: String,
    tasks: Tasks,
}

impl Starting for StartingChild {
    fn identity(&self) -> ProcessIdentity {
        self.spawned.handle.identity.clone()
    }

    fn ready(self: Box<Self>, facts: mpsc::Sender<Envelope>) -> Boxed<'static, Result<Box<dyn Runtime>, LaunchError>> {
        Box::pin(async move {
            let StartingChild { holder, spawned, file, settings, tasks } = *self;
            let Spawned { stdin, stdout, mut handle, cuts } = spawned;
            // When it is full, the player is slowed down and loses nothing.
            let (inbox, incoming) = mpsc::channel(1024);
            let peer = Peer::start(stdout, stdin, false, &tasks, inbox);
            let version = match call::<Hello>(&peer, Call::Hello {}, HANDSHAKE).await {
                Ok(hello) => hello.version,
                Err(error) => {
                    tasks.stop(Duration::from_millis(100)).await;
                    handle.end().await;
                    let words = handle.stderr();
                    let said = if words.is_empty() { String::new() } else { format!("; it said: {words}") };
                    return Err(LaunchError::Failed { detail: format!("{error}{said}") });
                }
            };
            if holder.is_some() {
                keep(&file, &Memory { version: version.clone(), settings }).await;
            }
            let kept = cuts.zip(holder).map(|(cuts, holder)| Kept { cuts, holder, is_outdated: false });
            let ready = Ready { peer, incoming, handle, version, kept, tasks };
            Ok(Box::new(Child::start(ready, None, facts)) as Box<dyn Runtime>)
        })
    }
}

/// It is for the death of this process only, so nothing is synced.
async fn keep(file: &std::path::Path, memory: &Memory) {
    let text = serde_json::to_vec(memory).expect("two texts");
    if let Err(error) = tokio::fs::write(file, text).await {
        warn!(%error, "It could not be kept what the next bridge must know: the runtime ends with this one");
    }
}

async fn call<T: DeserializeOwned>(peer: &Peer, call: Call, deadline: Duration) -> Result<T, CallError> {
    let method = call.method();
    let unreadable = |error: serde_json::Error| CallError::Unreadable { method, detail: error.to_string() };
    let params = call.params().map_err(|error| CallError::Refused { detail: error.to_string() })?;
    let answer = peer.call(method, params, deadline).await.map_err(|error| wire::call_error(method, error))?;
    serde_json::from_value(answer).map_err(unreadable)
}

/// A process that answers.
struct Ready {
    peer: Peer,
    incoming: mpsc::Receiver<Incoming>,
    handle: Handle,
    version: String,
    kept: Option<Kept>,
    /// Family of the pipes.
    tasks: Tasks,
}

/// Of a process that the supervisor holds.
struct Kept {
    cuts: mpsc::Sender<u64>,
    holder: Holder,
    is_outdated: bool,
}

/// One generation.
struct Child {
    peer: Peer,
    generation: Generation,
    version: String,
    kept: Option<Kept>,
    ending: Ending,
    tasks: Tasks,
}

#[derive(Clone)]
struct Ending {
    /// The process shall end. Fires with the family of the pipes as well.
    wanted: CancellationToken,
    /// The process is gone.
    over: CancellationToken,
}

impl Child {
    fn start(ready: Ready, late: Option<Vec<Envelope>>, facts: mpsc::Sender<Envelope>) -> Self {
        let Ready { peer, incoming, handle, version, kept, tasks } = ready;
        let generation = handle.identity.generation;
        let ending = Ending { wanted: tasks.token().child_token(), over: CancellationToken::new() };
        let pump = Pump { facts, generation, late, ending: ending.clone() };
        // The owner of the process outlives the family of its pipes.
        let owner = Tasks::default();
        owner.spawn("embedded", OnExit::LogOnly, move |cancel| pump.run(incoming, handle, tasks, cancel));
        Self { peer, generation, version, kept, ending, tasks: owner }
    }

    fn call<T: DeserializeOwned + Send + 'static>(
        &self,
        asked: Call,
        deadline: Duration,
    ) -> Boxed<'_, Result<T, CallError>> {
        Box::pin(call(&self.peer, asked, deadline))
    }
}

impl Runtime for Child {
    fn generation(&self) -> Generation {
        self.generation
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn open<'a>(&'a self, how: &'a Open) -> Boxed<'a, Result<ThreadId, CallError>> {
        self.call(Call::Open(how.clone()), SOON)
    }

    fn submit<'a>(&'a self, turn: &'a Submit) -> Boxed<'a, Result<Submitted, CallError>> {
        self.call(Call::Submit(turn.clone()), SOON)
    }

    fn steer<'a>(&'a self, steer: &'a Steer) -> Boxed<'a, Result<(), CallError>> {
        self.call(Call::Steer(steer.clone()), SOON)
    }

    fn interrupt<'a>(&'a self, thread: &'a ThreadId, turn: &'a NativeTurnId) -> Boxed<'a, Result<(), CallError>> {
        self.call(Call::Interrupt { thread: thread.clone(), turn: turn.clone() }, PROMPTLY)
    }

    fn clean<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<Background, CallError>> {
        self.call(Call::Clean { thread: thread.clone() }, SOON)
    }

    fn answer<'a>(&'a self, answer: &'a GateAnswer) -> Boxed<'a, Result<(), CallError>> {
        self.call(Call::Answer(answer.clone()), SOON)
    }

    fn pull<'a>(&'a self, pull: &'a Pull) -> Boxed<'a, Result<History, CallError>> {
        self.call(Call::Pull(pull.clone()), SOON)
    }

    fn thread_status<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<ThreadStatus, CallError>> {
        self.call(Call::ThreadStatus { thread: thread.clone() }, PROMPTLY)
    }

    fn release<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<(), CallError>> {
        self.call(Call::Release { thread: thread.clone() }, SOON)
    }

    fn fork<'a>(&'a self, how: &'a Fork) -> Boxed<'a, Result<ThreadId, CallError>> {
        self.call(Call::Fork(how.clone()), SOON)
    }

    fn compact<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<Submitted, CallError>> {
        self.call(Call::Compact { thread: thread.clone() }, SOON)
    }

    fn position(&self) -> Option<u64> {
        self.kept.is_some().then(|| self.peer.position())
    }

    fn cut(&self, at: u64) {
        if let Some(kept) = &self.kept {
            // One that is on its way is enough.
            let _ = kept.cuts.try_send(at);
        }
    }

    fn leave(&self) -> bool {
        let Some(kept) = &self.kept else { return false };
        kept.holder.leave();
        true
    }

    fn is_outdated(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.is_outdated)
    }

    fn shutdown(&self) -> Boxed<'_, ()> {
        Box::pin(async move {
            self.ending.wanted.cancel();
            // EOF, TERM and KILL have two seconds each; the rest is for the sweep.
            let _ = tokio::time::timeout(Duration::from_secs(10), self.ending.over.cancelled()).await;
            self.tasks.stop(Duration::from_secs(1)).await;
        })
    }
}

impl Drop for Child {
    /// Nobody can speak to it any more.
    fn drop(&mut self) {
        self.ending.wanted.cancel();
    }
}

/// Owns the process: passes on what it tells, and sees its end.
struct Pump {
    facts: mpsc::Sender<Envelope>,
    generation: Generation,
    /// While that is heard again which an earlier bridge may have heard: what was asked and is not over, in order.
    late: Option<Vec<Envelope>>,
    ending: Ending,
}

impl Pump {
    async fn run(
        mut self,
        mut incoming: mpsc::Receiver<Incoming>,
        mut handle: Handle,
        pipes: Tasks,
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        let wanted = self.ending.wanted.clone();
        tokio::select! {
            biased;
            () = wanted.cancelled() => {}
            () = cancel.cancelled() => {}
            // Also while it waits for somebody to take a fact.
            () = self.pass_on(&mut incoming) => {}
        }
        // Ending the pipes closes the child's stdin: it then ends by itself, and its turns with it.
        pipes.stop(Duration::from_millis(500)).await;
        handle.end().await;
        let detail = handle.stderr().lines().last().unwrap_or("").to_owned();
        self.ending.over.cancel();
        // Whoever stopped it may not be listening any more.
        let unheard = async {
            tokio::select! {
                () = wanted.cancelled() => {}
                () = cancel.cancelled() => {}
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! {
            () = self.send(None, None, Fact::Exited { detail }) => {}
            () = unheard => {}
        }
        Ok(())
    }

    /// Until the stream ends.
    async fn pass_on(&mut self, incoming: &mut mpsc::Receiver<Incoming>) {
        while let Some(message) = incoming.recv().await {
            match message {
                Incoming::Notification { method, params } if method == FACT => match serde_json::from_value(params) {
                    Ok(envelope) => self.take(envelope).await,
                    // A word of a later version: the pull will tell the rest.
                    Err(error) => debug!(%error, "A fact could not be read"),
                },
                Incoming::CaughtUp => self.caught_up().await,
                other => debug!(?other, "The embedded runtime said something that is no fact"),
            }
        }
    }

    async fn take(&mut self, Envelope { thread, turn, fact, .. }: Envelope) {
        if let Some(late) = &mut self.late {
            match &fact {
                Fact::GateOpened(_) => {
                    late.push(Envelope { generation: self.generation, thread, turn, fact });
                    return;
                }
                Fact::GateResolved { native } => {
                    late.retain(|late| !matches!(&late.fact, Fact::GateOpened(request) if request.native == *native))
                }
                _ => {}
            }
        }
        self.send(thread, turn, fact).await;
    }

    /// What was asked before and is not over is asked now.
    async fn caught_up(&mut self) {
        for Envelope { thread, turn, fact, .. } in self.late.take().unwrap_or_default() {
            self.send(thread, turn, fact).await;
        }
        self.send(None, None, Fact::CaughtUp).await;
    }

    /// Pictures may be dropped when nobody keeps up; everything else waits, which slows the player down.
    async fn send(&self, thread: Option<ThreadId>, turn: Option<NativeTurnId>, fact: Fact) {
        let is_picture = matches!(fact, Fact::TextDelta { .. } | Fact::Activity);
        let envelope = Envelope { generation: self.generation, thread, turn, fact };
        if is_picture {
            let _ = self.facts.try_send(envelope);
        } else {
            // A receiver that is gone is a bridge that ends.
            let _ = self.facts.send(envelope).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::Ask;

    fn gate(native: &str) -> Fact {
        let ask = Ask::Questions { questions: Vec::new() };
        Fact::GateOpened(Box::new(GateRequest { native: native.into(), ask, claim: None, choices: Vec::new() }))
    }

    #[tokio::test]
    async fn what_is_over_within_what_is_heard_again_is_not_asked_again() {
        let (facts, mut told) = mpsc::channel(16);
        let ending = Ending { wanted: CancellationToken::new(), over: CancellationToken::new() };
        let mut pump = Pump { facts, generation: Generation(1), late: Some(Vec::new()), ending };
        let resolved = || Fact::GateResolved { native: "1".into() };
        for fact in [gate("1"), gate("2"), resolved()] {
            pump.take(Envelope { generation: Generation(1), thread: None, turn: None, fact }).await;
        }
        pump.caught_up().await;
        pump.take(Envelope { generation: Generation(1), thread: None, turn: None, fact: gate("3") }).await;
        drop(pump);
        let mut heard = Vec::new();
        while let Some(envelope) = told.recv().await {
            heard.push(envelope.fact);
        }
        assert_eq!(heard, [resolved(), gate("2"), Fact::CaughtUp, gate("3")]);
    }
}
