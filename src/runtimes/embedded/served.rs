//! The player's side where it is a process of its own: calls come in on stdin, facts and answers go out on stdout.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tracing::debug;

use super::child::wire::{self, Call, FACT, Hello};
use super::store::Store;
use super::{Embedded, EmbeddedConfig, GRACE, Inner};
use crate::bridge::ports::{CallError, Envelope, Fact, Runtime, SpawnSpec};
use crate::clock::Clock;
use crate::domain::ids::ThreadId;
use crate::runtimes::rpc::{self, Incoming, Peer};
use crate::tasks::{OnExit, Tasks};

/// Plays for whoever has the other ends, until the input ends.
///
/// # Errors
/// Why it cannot begin or go on: the history cannot be written.
pub async fn serve<R, W>(config: EmbeddedConfig, spec: SpawnSpec, input: R, output: W) -> anyhow::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let opened = Store::open(&config.home).await;
    let store = opened.with_context(|| format!("{} cannot be used", config.home.display()))?;
    let (facts, told) = mpsc::channel(1024);
    let tasks = Tasks::default();
    let player = Arc::new(Embedded::begin(store, config.env, spec, Clock::default(), &tasks, facts));
    let (inbox, asked) = mpsc::channel(64);
    let peer = Peer::start(input, output, false, &Tasks::default(), inbox);
    play(&player, asked, told, &peer, &tasks).await
}

async fn play(
    player: &Arc<Embedded>,
    asked: mpsc::Receiver<Incoming>,
    told: mpsc::Receiver<Envelope>,
    peer: &Peer,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let playing = async {
        hear(asked, player, peer, tasks).await;
        player.inner.tasks.stop(GRACE).await;
    };
    tokio::select! {
        biased;
        () = playing => Ok(()),
        trouble = tell(told, peer) => Err(anyhow!(trouble)),
        trouble = cut_short(&player.inner) => Err(anyhow!(trouble)),
    }
}

/// How long what was said before may take to go out.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why the generation is over, also where nobody takes what is told: one that cannot go on must not stay.
async fn cut_short(inner: &Inner) -> String {
    inner.tasks.token().cancelled().await;
    let Some(why) = inner.exited.get() else {
        // It was asked to stop.
        return std::future::pending().await;
    };
    tokio::time::sleep(LAST_WORDS).await;
    why.clone()
}

/// Passes facts on; gives why the generation is over.
async fn tell(mut told: mpsc::Receiver<Envelope>, peer: &Peer) -> String {
    while let Some(envelope) = told.recv().await {
        if let Fact::Exited { detail } = envelope.fact {
            return detail;
        }
        let said = serde_json::to_value(&envelope).expect("facts are text, numbers and lists");
        if peer.notify(FACT, said).await.is_err() {
            debug!("Nobody listens any more");
        }
    }
    "the player is gone".to_owned()
}

/// Until the input ends. Of each thread one call is done after the other, as they came: a new bridge must not look before
/// what an earlier one said is done.
async fn hear(mut asked: mpsc::Receiver<Incoming>, player: &Arc<Embedded>, peer: &Peer, tasks: &Tasks) {
    let mut lanes = Lanes::default();
    while let Some(incoming) = asked.recv().await {
        let Incoming::Request { id, method, params } = incoming else { continue };
        let (id, code, problem) = match Call::read(&method, params) {
            Ok(call) => match lanes.put(id, call, || lane(player, peer, tasks)) {
                Ok(()) => continue,
                Err(id) => {
                    let (code, problem) = wire::refusal(CallError::Busy { detail: "too many calls wait".to_owned() });
                    (id, code, problem)
                }
            },
            Err(error) => (id, wire::UNKNOWN, format!("{method}: {error}")),
        };
        let _ = peer.refuse(&id, code, &problem).await;
    }
}

/// Calls that may wait for those before them on the same thread; a bridge has half as many under way.
const WAITING: usize = 2 * rpc::IN_FLIGHT;

/// A call on its way, and what shows that its lane is at work until it is answered.
type Asked = (Value, Call, Arc<()>);

struct Lane {
    calls: mpsc::Sender<Asked>,
    at_work: Arc<()>,
}

impl Lane {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.at_work) == 1
    }
}

/// The threads that have calls to be done. This process outlives bridges: threads that are done with are not kept.
#[derive(Default)]
struct Lanes(HashMap<Option<ThreadId>, Lane>);

impl Lanes {
    /// Gives the id back where too many wait already.
    fn put(&mut self, id: Value, call: Call, begin: impl FnOnce() -> mpsc::Sender<Asked>) -> Result<(), Value> {
        let thread = call.thread().cloned();
        if !self.0.contains_key(&thread) {
            // Only here calls are added: one that is idle stays so, and ends with its sender.
            self.0.retain(|_, lane| !lane.is_idle());
        }
        let lane = self.0.entry(thread).or_insert_with(|| Lane { calls: begin(), at_work: Arc::default() });
        let at_work = Arc::clone(&lane.at_work);
        lane.calls.try_send((id, call, at_work)).map_err(|refused| refused.into_inner().0)
    }
}

fn lane(player: &Arc<Embedded>, peer: &Peer, tasks: &Tasks) -> mpsc::Sender<Asked> {
    let (sender, mut calls) = mpsc::channel::<Asked>(WAITING);
    let (player, peer) = (Arc::clone(player), peer.clone());
    tasks.spawn("embedded.calls", OnExit::LogOnly, |_| async move {
        while let Some((id, call, _at_work)) = calls.recv().await {
            let answered = match perform(&player, call).await {
                Ok(done) => peer.respond(&id, done).await,
                Err(error) => {
                    let (code, message) = wire::refusal(error);
                    peer.refuse(&id, code, &message).await
                }
            };
            if answered.is_err() {
                break;
            }
        }
        Ok(())
    });
    sender
}

async fn perform(player: &Embedded, call: Call) -> Result<Value, CallError> {
    match call {
        Call::Hello {} => value(Hello { version: player.version() }),
        Call::Open(how) => value(player.open(&how).await?),
        Call::Submit(turn) => value(player.submit(&turn).await?),
        Call::Compact { thread } => value(player.compact(&thread).await?),
        Call::Steer(steer) => value(player.steer(&steer).await?),
        Call::Interrupt { thread, turn } => value(player.interrupt(&thread, &turn).await?),
        Call::Clean { thread } => value(player.clean(&thread).await?),
        Call::Answer(answer) => value(player.answer(&answer).await?),
        Call::Pull(pull) => value(player.pull(&pull).await?),
        Call::ThreadStatus { thread } => value(player.thread_status(&thread).await?),
        Call::Release { thread } => value(player.release(&thread).await?),
        Call::Fork(how) => value(player.fork(&how).await?),
    }
}

fn value(done: impl Serialize) -> Result<Value, CallError> {
    serde_json::to_value(done).map_err(|error| CallError::Refused { detail: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::ports::{Level, Open, Posture, Prompt, Pull, Submit, Submitted};
    use crate::domain::history::History;
    use crate::domain::ids::{ClientId, Generation};
    use crate::domain::verdict::FoundStatus;

    const SOON: Duration = Duration::from_secs(20);

    /// A player in this process that is spoken to as if it were another one.
    struct Bench {
        dir: tempfile::TempDir,
        peer: Peer,
        pipes: Tasks,
        thread: ThreadId,
        _incoming: mpsc::Receiver<Incoming>,
    }

    async fn call<T: serde::de::DeserializeOwned>(peer: &Peer, call: Call) -> T {
        let answer = peer.call(call.method(), call.params().unwrap(), SOON).await.unwrap();
        serde_json::from_value(answer).unwrap()
    }

    /// The bench, and what becomes of the player.
    async fn bench() -> (Bench, impl Future<Output = anyhow::Result<()>>) {
        let dir = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig { home: dir.path().to_owned(), run_dir: dir.path().join("run"), env: Vec::new() };
        let spec = SpawnSpec { generation: Generation(1), mark: "served:1".to_owned() };
        let (near, far) = tokio::io::duplex(1 << 20);
        let (far_in, far_out) = tokio::io::split(far);
        let (near_in, near_out) = tokio::io::split(near);
        let (ended, over) = tokio::sync::oneshot::channel();
        Tasks::default().spawn("served", OnExit::Ignore, |_| async move {
            let _ = ended.send(serve(config, spec, far_in, far_out).await);
            Ok(())
        });
        let pipes = Tasks::default();
        let (inbox, incoming) = mpsc::channel(1024);
        let peer = Peer::start(near_in, near_out, false, &pipes, inbox);
        let how = Open { thread: None, directory: dir.path().to_owned(), posture: Posture::of(Level::Edit) };
        let thread = call(&peer, Call::Open(how)).await;
        let over = async { tokio::time::timeout(SOON, over).await.unwrap().unwrap() };
        (Bench { dir, peer, pipes, thread, _incoming: incoming }, over)
    }

    impl Bench {
        fn submit(&self, text: &str) -> Call {
            Call::Submit(Submit {
                thread: self.thread.clone(),
                client: ClientId::new("c"),
                input: Prompt { text: text.to_owned(), ..Prompt::default() },
                model: None,
                effort: None,
                has_planned: false,
                posture: Posture::of(Level::Edit),
            })
        }

        fn pull(&self) -> Pull {
            Pull { thread: self.thread.clone(), client: Some(ClientId::new("c")), turn: None, cursor: None }
        }
    }

    #[tokio::test]
    async fn threads_that_are_done_with_are_not_kept() {
        let mut lanes = Lanes::default();
        let (begun, mut lane_of) = mpsc::unbounded_channel();
        let put = |lanes: &mut Lanes, thread: &str| {
            let call = Call::Release { thread: thread.into() };
            lanes.put(Value::from(thread), call, || {
                let (sender, calls) = mpsc::channel(2);
                begun.send(calls).unwrap();
                sender
            })
        };
        put(&mut lanes, "busy").unwrap();
        let mut busy = lane_of.recv().await.unwrap();
        let at_work = busy.recv().await.unwrap();
        for thread in ["a", "b", "c", "d"] {
            put(&mut lanes, thread).unwrap();
            let mut calls = lane_of.recv().await.unwrap();
            drop(calls.recv().await.unwrap());
            assert_eq!(lanes.0.len(), 2, "the busy one and {thread}");
        }
        // In the same lane, and no more than it takes.
        put(&mut lanes, "busy").unwrap();
        put(&mut lanes, "busy").unwrap();
        assert_eq!(put(&mut lanes, "busy"), Err(Value::from("busy")));
        assert!(lane_of.try_recv().is_err());
        drop(at_work);
        for _ in 0..2 {
            drop(busy.recv().await.unwrap());
        }
        put(&mut lanes, "e").unwrap();
        assert_eq!(busy.recv().await, None, "its task ends");
    }

    #[tokio::test]
    async fn who_looks_sees_what_was_said_before() {
        for _ in 0..20 {
            let (bench, _over) = bench().await;
            let submit = call::<Submitted>(&bench.peer, bench.submit("[[hang]]"));
            let (submitted, history) = tokio::join!(submit, call::<History>(&bench.peer, Call::Pull(bench.pull())));
            assert_eq!(history.turns.first().map(|turn| turn.native.clone()), submitted.turn);
            assert!(history.turns[0].has_client(&ClientId::new("c")), "{history:?}");
        }
    }

    #[tokio::test]
    async fn with_its_input_it_ends_what_it_plays() {
        let (bench, over) = bench().await;
        call::<Submitted>(&bench.peer, bench.submit("[[hang]]")).await;
        bench.pipes.stop(SOON).await;
        let store = Store::open(bench.dir.path()).await.unwrap();
        over.await.unwrap();
        let lines = store.lines(&bench.thread).await.unwrap();
        let history = super::super::store::history(&lines, &bench.pull(), &[]);
        assert_eq!(history.turns[0].status, FoundStatus::InterruptedClosed);
    }

    #[tokio::test]
    async fn without_a_history_it_does_not_go_on() {
        let (bench, over) = bench().await;
        std::fs::remove_dir_all(bench.dir.path().join("threads")).unwrap();
        let submit = bench.submit("hello");
        let params = submit.params().unwrap();
        let answer = bench.peer.call(submit.method(), params, SOON).await.unwrap_err();
        assert_eq!(wire::call_error("submit", answer), CallError::Gone);
        let error = over.await.unwrap_err().to_string();
        assert!(error.contains("history cannot be written"), "{error}");
    }

    #[tokio::test]
    async fn without_a_history_it_does_not_stay_where_nobody_takes_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let (tasks, pipes) = (Tasks::default(), Tasks::default());
        let spec = SpawnSpec { generation: Generation(1), mark: "served:1".to_owned() };
        let (facts, told) = mpsc::channel(1024);
        let player = Arc::new(Embedded::begin(store, Vec::new(), spec, Clock::default(), &tasks, facts.clone()));
        // The other side is there and reads nothing.
        let (near, far) = tokio::io::duplex(1);
        let (far_in, far_out) = tokio::io::split(far);
        let (inbox, asked) = mpsc::channel(64);
        let peer = Peer::start(far_in, far_out, false, &pipes, inbox);
        for _ in 0..1000 {
            let fact = Fact::Usage { total_tokens: 1, request_tokens: 1 };
            facts.try_send(Envelope { generation: Generation(1), thread: None, turn: None, fact }).unwrap();
        }
        let trouble = async {
            player.inner.exit("the history cannot be written").await;
            std::future::pending::<()>().await;
        };
        let over = tokio::select! {
            over = play(&player, asked, told, &peer, &tasks) => over,
            () = trouble => unreachable!("it waits for ever"),
            () = tokio::time::sleep(SOON) => panic!("it stays"),
        };
        assert_eq!(over.unwrap_err().to_string(), "the history cannot be written");
        drop(near);
    }
}
