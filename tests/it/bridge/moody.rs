//! A runtime that behaves as the one behind it, except where it shall not.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ally::bridge::ports::*;
use ally::domain::history::{Completeness, EndEvidence, History};
use ally::domain::ids::{Generation, NativeTurnId, ThreadId};
use ally::domain::view::Background;
use tokio::sync::mpsc;

use super::room::OfGeneration;

#[derive(Debug, Default)]
pub struct Moods {
    /// Takes an interrupt and does nothing about it.
    pub deaf: AtomicBool,
    /// Answers nothing and says nothing.
    pub mute: OfGeneration,
    /// So many answers are not taken.
    pub busy_answers: AtomicU32,
    /// A fork is no copy but the thread itself.
    pub same_fork: AtomicBool,
    /// Says of each turn how it ended, and cannot prove it.
    pub claims: AtomicBool,
    /// Its history holds nothing.
    pub forgets: AtomicBool,
    /// The next attempt to open a thread panics.
    pub panics_open: AtomicBool,
    /// Where threads were opened, in this order.
    pub opens: Mutex<Vec<PathBuf>>,
    /// Whoever opens a thread waits for as long as this is set.
    pub holds_open: AtomicBool,
    /// No thread is known here, nor its history.
    pub no_threads: AtomicBool,
    /// So many attempts to open a thread find it busy.
    pub busy_opens: AtomicU32,
    /// The next thread is not opened at all.
    pub refuses_open: AtomicBool,
    /// Another program has every thread.
    pub elsewhere: AtomicBool,
    /// No successor comes up.
    pub starts_never: AtomicBool,
    /// Says ten times a second that it tries again.
    pub stutters: AtomicBool,
    /// The next submit names the turn before it and does nothing.
    pub drops_submit: AtomicBool,
    /// Knows neither how to compact nor how to fork.
    pub simple: AtomicBool,
    /// The next compaction is not begun, and nobody is told.
    pub mute_compact: AtomicBool,
    pub last: Mutex<Option<NativeTurnId>>,
}

impl Moods {
    fn has(switch: &AtomicBool) -> bool {
        switch.load(Ordering::SeqCst)
    }
}

pub struct Moody {
    pub inner: Box<dyn Launcher>,
    pub moods: Arc<Moods>,
}

impl Launcher for Moody {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn home(&self) -> PathBuf {
        self.inner.home()
    }

    fn spawn<'a>(&'a self, spec: SpawnSpec) -> Boxed<'a, Result<Box<dyn Starting>, LaunchError>> {
        Box::pin(async move {
            if Moods::has(&self.moods.starts_never) {
                return Err(LaunchError::BadConfig { detail: "config.toml:3: no such key".to_owned() });
            }
            let inner = self.inner.spawn(spec).await?;
            Ok(Box::new(MoodyStart { inner, moods: Arc::clone(&self.moods) }) as Box<dyn Starting>)
        })
    }

    fn make_dead<'a>(&'a self, former: &'a ProcessIdentity) -> Boxed<'a, Result<Death, StillAlive>> {
        self.inner.make_dead(former)
    }
}

struct MoodyStart {
    inner: Box<dyn Starting>,
    moods: Arc<Moods>,
}

impl Starting for MoodyStart {
    fn identity(&self) -> ProcessIdentity {
        self.inner.identity()
    }

    fn ready(self: Box<Self>, facts: mpsc::Sender<Envelope>) -> Boxed<'static, Result<Box<dyn Runtime>, LaunchError>> {
        Box::pin(async move {
            let (sender, mut all) = mpsc::channel::<Envelope>(1024);
            let moods = Arc::clone(&self.moods);
            tokio::spawn(async move {
                let mut last: Option<Envelope> = None;
                loop {
                    let envelope = tokio::select! {
                        envelope = all.recv() => match envelope {
                            Some(envelope) => envelope,
                            None => return,
                        },
                        () = tokio::time::sleep(Duration::from_millis(100)) => match &last {
                            Some(last) if Moods::has(&moods.stutters) => {
                                Envelope { fact: Fact::Retrying { detail: "again".to_owned() }, ..last.clone() }
                            }
                            _ => continue,
                        },
                    };
                    last = Some(envelope.clone()).filter(|it| it.turn.is_some());
                    let mute = moods.mute.is(envelope.generation.0);
                    if !mute || matches!(envelope.fact, Fact::Exited { .. }) {
                        let _ = facts.send(envelope).await;
                    }
                }
            });
            let inner = self.inner.ready(sender).await?;
            Ok(Box::new(MoodyRuntime { inner, moods: self.moods }) as Box<dyn Runtime>)
        })
    }
}

struct MoodyRuntime {
    inner: Box<dyn Runtime>,
    moods: Arc<Moods>,
}

impl MoodyRuntime {
    fn unless_mute<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce() -> Boxed<'a, Result<T, CallError>>,
    ) -> Boxed<'a, Result<T, CallError>> {
        if self.moods.mute.is(self.inner.generation().0) {
            return Box::pin(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(CallError::NoAnswer { method: "anything", seconds: 0 })
            });
        }
        call()
    }
}

impl Runtime for MoodyRuntime {
    fn generation(&self) -> Generation {
        self.inner.generation()
    }

    fn version(&self) -> String {
        self.inner.version()
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = self.inner.capabilities();
        match Moods::has(&self.moods.simple) {
            true => Capabilities { compact: false, fork: false, ..capabilities },
            false => capabilities,
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }

    fn open<'a>(&'a self, how: &'a Open) -> Boxed<'a, Result<ThreadId, CallError>> {
        assert!(!self.moods.panics_open.swap(false, Ordering::SeqCst), "on purpose");
        let less = |left: u32| left.checked_sub(1);
        if self.moods.busy_opens.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Box::pin(async { Err(CallError::Busy { detail: "overloaded".to_owned() }) });
        }
        if self.moods.refuses_open.swap(false, Ordering::SeqCst) {
            return Box::pin(async { Err(CallError::Refused { detail: "no such model".to_owned() }) });
        }
        if Moods::has(&self.moods.elsewhere) {
            return Box::pin(async { Err(CallError::Elsewhere) });
        }
        if how.thread.is_some() && Moods::has(&self.moods.no_threads) {
            return Box::pin(async { Err(CallError::NoThread { detail: "no such thread".to_owned() }) });
        }
        self.moods.opens.lock().unwrap().push(how.directory.clone());
        self.unless_mute(|| {
            Box::pin(async move {
                while Moods::has(&self.moods.holds_open) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                self.inner.open(how).await
            })
        })
    }

    fn submit<'a>(&'a self, turn: &'a Submit) -> Boxed<'a, Result<Submitted, CallError>> {
        if self.moods.drops_submit.swap(false, Ordering::SeqCst) {
            let turn = self.moods.last.lock().unwrap().clone();
            return Box::pin(async { Ok(Submitted { turn, evidence: Evidence::Acknowledged }) });
        }
        self.unless_mute(|| {
            Box::pin(async move {
                let submitted = self.inner.submit(turn).await?;
                self.moods.last.lock().unwrap().clone_from(&submitted.turn);
                Ok(submitted)
            })
        })
    }

    fn compact<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<Submitted, CallError>> {
        if self.moods.mute_compact.swap(false, Ordering::SeqCst) {
            return Box::pin(async move { Err(CallError::NoAnswer { method: "compact", seconds: 0 }) });
        }
        self.unless_mute(|| self.inner.compact(thread))
    }

    fn steer<'a>(&'a self, steer: &'a Steer) -> Boxed<'a, Result<(), CallError>> {
        self.unless_mute(|| self.inner.steer(steer))
    }

    fn interrupt<'a>(&'a self, thread: &'a ThreadId, turn: &'a NativeTurnId) -> Boxed<'a, Result<(), CallError>> {
        if Moods::has(&self.moods.deaf) {
            return Box::pin(async { Ok(()) });
        }
        self.unless_mute(|| self.inner.interrupt(thread, turn))
    }

    fn clean<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<Background, CallError>> {
        self.unless_mute(|| self.inner.clean(thread))
    }

    fn answer<'a>(&'a self, answer: &'a GateAnswer) -> Boxed<'a, Result<(), CallError>> {
        let less = |left: u32| left.checked_sub(1);
        if self.moods.busy_answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Box::pin(async { Err(CallError::Busy { detail: "overloaded".to_owned() }) });
        }
        self.unless_mute(|| self.inner.answer(answer))
    }

    fn pull<'a>(&'a self, pull: &'a Pull) -> Boxed<'a, Result<History, CallError>> {
        if Moods::has(&self.moods.no_threads) {
            return Box::pin(async { Err(CallError::NoThread { detail: "no such thread".to_owned() }) });
        }
        if Moods::has(&self.moods.forgets) {
            let empty = History { completeness: Completeness::Full, turns: Vec::new(), reached_cursor: true };
            return Box::pin(async { Ok(empty) });
        }
        self.unless_mute(|| {
            Box::pin(async move {
                let mut history = self.inner.pull(pull).await?;
                if Moods::has(&self.moods.claims) {
                    for turn in &mut history.turns {
                        turn.end = EndEvidence::Claimed;
                    }
                }
                Ok(history)
            })
        })
    }

    fn thread_status<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<ThreadStatus, CallError>> {
        self.unless_mute(|| self.inner.thread_status(thread))
    }

    fn release<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<(), CallError>> {
        self.unless_mute(|| self.inner.release(thread))
    }

    fn fork<'a>(&'a self, how: &'a Fork) -> Boxed<'a, Result<ThreadId, CallError>> {
        if Moods::has(&self.moods.same_fork) {
            return Box::pin(async { Ok(how.thread.clone()) });
        }
        self.unless_mute(|| self.inner.fork(how))
    }

    fn threads<'a>(&'a self, directory: &'a Path) -> Boxed<'a, Result<Vec<KeptThread>, CallError>> {
        self.inner.threads(directory)
    }

    fn changes<'a>(&'a self, directory: &'a Path) -> Boxed<'a, Result<String, CallError>> {
        self.inner.changes(directory)
    }

    fn models(&self) -> Boxed<'_, Result<Vec<Model>, CallError>> {
        self.inner.models()
    }

    fn name_thread<'a>(&'a self, thread: &'a ThreadId, name: &'a str) -> Boxed<'a, Result<(), CallError>> {
        self.inner.name_thread(thread, name)
    }

    fn shutdown(&self) -> Boxed<'_, ()> {
        self.inner.shutdown()
    }
}
