//! Processes whose pipes the supervisor holds: started by it on our word, read from a file, written to through it. They
//! live on when this process dies, and the next one attaches.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Handle, Kin, Spawn, Spawned, boot_id, start_time};
use crate::bridge::ports::{ProcessIdentity, SpawnSpec};
use crate::domain::hold::{Ask, HeldChild, HeldEnd, HeldState, Told};
use crate::domain::ids::Generation;
use crate::tasks::{OnExit, Tasks};

/// Bytes on their way between a file and whoever reads.
const ON_THE_WAY: usize = 256 * 1024;
/// What is read is told to the supervisor each time so much has come.
const TELL_EVERY: u64 = 1024 * 1024;

/// The supervisor, as far as it holds processes. Clones share it.
#[derive(Clone)]
pub struct Holder {
    inner: Arc<Inner>,
}

struct Inner {
    words: mpsc::Sender<String>,
    known: Mutex<HashMap<Generation, watch::Sender<Known>>>,
    /// This process goes and what is held stays: nothing more is said.
    left: AtomicBool,
    /// Another bridge is to go on.
    leave: CancellationToken,
    /// The supervisor is gone, and with it the pipes.
    gone: CancellationToken,
    tasks: Tasks,
}

/// What the supervisor said of a process.
#[derive(Debug, Clone, Default)]
pub(super) enum Known {
    #[default]
    Asked,
    Not(String),
    State(HeldState),
}

impl Known {
    fn ended(&self) -> Option<&HeldEnd> {
        match self {
            Known::State(state) => state.end(),
            _ => None,
        }
    }
}

/// One process of the supervisor's.
#[derive(Clone)]
pub(super) struct Held {
    holder: Holder,
    known: watch::Receiver<Known>,
}

impl Held {
    /// Until it has ended, or nobody holds it any more.
    pub(super) async fn ended(&mut self) -> Option<HeldEnd> {
        let gone = self.holder.inner.gone.clone();
        tokio::select! {
            known = self.known.wait_for(|known| known.ended().is_some()) => known.ok()?.ended().cloned(),
            () = gone.cancelled() => None,
        }
    }

    pub(super) fn stderr(&self) -> String {
        self.known.borrow().ended().map_or_else(String::new, |ended| ended.stderr.clone())
    }

    /// It is not ours to end any more.
    pub(super) fn is_left(&self) -> bool {
        self.holder.inner.left.load(Ordering::Acquire)
    }
}

impl Holder {
    /// Listens to the supervisor until it is gone. `words` takes lines.
    pub fn start<R>(words: mpsc::Sender<String>, heard: R, tasks: &Tasks) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let inner = Arc::new(Inner {
            words,
            known: Mutex::default(),
            left: AtomicBool::new(false),
            leave: CancellationToken::new(),
            gone: CancellationToken::new(),
            tasks: tasks.clone(),
        });
        let hearing = Arc::clone(&inner);
        tasks.spawn("hold-hear", OnExit::LogOnly, |cancel| async move {
            let mut lines = BufReader::new(heard).lines();
            while let Some(Ok(Some(line))) = cancel.run_until_cancelled(lines.next_line()).await {
                hearing.hear(&line);
            }
            hearing.gone.cancel();
            Ok(())
        });
        Self { inner }
    }

    /// Resolves when this process is to make room for another one.
    pub async fn told_to_leave(&self) {
        self.inner.leave.cancelled().await;
    }

    /// From now on nothing is said to what is held, neither a word nor an end: the next bridge goes on with it.
    pub fn leave(&self) {
        self.inner.left.store(true, Ordering::Release);
    }

    /// Has the supervisor start a process.
    pub(super) async fn spawn(&self, spawn: &Spawn, spec: &SpawnSpec) -> io::Result<Spawned> {
        let generation = spec.generation;
        let mut env = spawn.env.clone();
        env.push((super::MARK.into(), spec.mark.clone().into()));
        let output = output_of(&spawn.run_dir, generation);
        let child = HeldChild {
            generation,
            program: spawn.program.clone(),
            args: spawn.args.clone(),
            env,
            directory: spawn.directory.clone(),
            lock: super::lock_of(&spawn.run_dir, generation),
            output: output.clone(),
        };
        let (held, state) = self.ask(Ask::Spawn(Box::new(child)), generation).await?;
        let identity = ProcessIdentity {
            generation,
            mark: spec.mark.clone(),
            pid: state.pid,
            start_time: state.pid.and_then(start_time),
            boot_id: boot_id(),
        };
        Ok(self.take_up(identity, held, &state, output, 0))
    }

    /// Takes up a process that an earlier bridge had started, and reads its output from a position. Nothing where the
    /// supervisor does not hold it, or it has ended.
    pub async fn attach(&self, former: &ProcessIdentity, run_dir: &Path, from: Option<u64>) -> Option<Attached> {
        let generation = former.generation;
        let (held, state) = self.ask(Ask::Attach { generation }, generation).await.ok()?;
        if state.end().is_some() || state.pid != former.pid || !super::runs(former) {
            return None;
        }
        let output = output_of(run_dir, generation);
        let least = from.unwrap_or(state.base).clamp(state.base, state.written);
        let (from, until) = match last_line_end(&output, &state, least) {
            Ok(until) => (from.map_or(until, |_| least), until),
            Err(error) => {
                warn!(generation = generation.0, %error, "The output of a held runtime cannot be read");
                return None;
            }
        };
        let spawned = self.take_up(former.clone(), held, &state, output, from);
        Some(Attached { spawned, from, until, bridges: state.bridges })
    }

    async fn ask(&self, ask: Ask, generation: Generation) -> io::Result<(Held, HeldState)> {
        let (sender, mut known) = watch::channel(Known::Asked);
        self.inner.known.lock().expect("no code panics while it holds this lock").insert(generation, sender);
        self.inner.say(&ask).await?;
        let said = tokio::select! {
            said = known.wait_for(|known| !matches!(known, Known::Asked)) => said.map(|said| said.clone()),
            () = self.inner.gone.cancelled() => return Err(io::Error::other("the supervisor is gone")),
        };
        match said {
            Ok(Known::State(state)) => Ok((Held { holder: self.clone(), known }, state)),
            Ok(Known::Not(why)) => Err(io::Error::other(why)),
            _ => Err(io::Error::other("the supervisor says nothing")),
        }
    }

    fn take_up(&self, identity: ProcessIdentity, held: Held, state: &HeldState, output: PathBuf, from: u64) -> Spawned {
        let generation = identity.generation;
        let (stdin, lines) = tokio::io::duplex(ON_THE_WAY);
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn("held-input", OnExit::Ignore, move |_| pass_input(inner, generation, lines));
        let (writes, stdout) = tokio::io::duplex(ON_THE_WAY);
        let (cuts, to_cut) = mpsc::channel(1);
        let reader = Output {
            inner: Arc::clone(&self.inner),
            generation,
            known: held.known.clone(),
            file: output,
            position: from,
            base: state.base,
            told: from,
        };
        self.inner.tasks.spawn("held-output", OnExit::LogOnly, move |_| reader.run(writes, to_cut));
        Spawned {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            handle: Handle { identity, kin: Kin::Held(held) },
            cuts: Some(cuts),
        }
    }
}

/// A process that was there before this bridge.
pub struct Attached {
    pub spawned: Spawned,
    /// Where its output is read from.
    pub from: u64,
    /// Where the lines end that were written before this bridge came.
    pub until: u64,
    /// How many bridges it has had, this one included.
    pub bridges: u32,
}

impl Inner {
    fn hear(&self, line: &str) {
        let (generation, said) = match serde_json::from_str(line) {
            Ok(Told::State(state)) => (state.generation, Known::State(state)),
            Ok(Told::Unknown { generation }) => (generation, Known::Not("it is not held".to_owned())),
            Ok(Told::Failed { generation, detail }) => (generation, Known::Not(detail)),
            Ok(Told::Leave) => return self.leave.cancel(),
            Err(error) => return warn!(line_bytes = line.len(), %error, "The supervisor said something unreadable"),
        };
        if let Some(known) = self.known.lock().expect("no code panics while it holds this lock").get(&generation) {
            known.send_replace(said);
        }
    }

    async fn say(&self, ask: &Ask) -> io::Result<()> {
        if self.left.load(Ordering::Acquire) {
            return Ok(());
        }
        let line = serde_json::to_string(ask)? + "\n";
        self.words.send(line).await.map_err(|_| io::Error::other("the supervisor is gone"))
    }
}

/// Whole lines only: a process never gets the beginning of one whose end died with us.
async fn pass_input(inner: Arc<Inner>, generation: Generation, lines: DuplexStream) -> anyhow::Result<()> {
    let mut lines = BufReader::with_capacity(ON_THE_WAY, lines);
    let mut line = String::new();
    loop {
        line.clear();
        match lines.read_line(&mut line).await {
            Ok(read) if read > 0 && line.ends_with('\n') => {
                inner.say(&Ask::Write { generation, line: std::mem::take(&mut line) }).await?;
            }
            _ => break,
        }
    }
    // Whoever has no more to say closes; a process that dies does not come here.
    let _ = inner.say(&Ask::Close { generation }).await;
    Ok(())
}

/// Reads the file that the supervisor writes, as far as it says.
struct Output {
    inner: Arc<Inner>,
    generation: Generation,
    known: watch::Receiver<Known>,
    file: PathBuf,
    position: u64,
    base: u64,
    told: u64,
}

impl Output {
    async fn run(mut self, mut to: DuplexStream, mut cuts: mpsc::Receiver<u64>) -> anyhow::Result<()> {
        let file = File::open(&self.file)?;
        let gone = self.inner.gone.clone();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let state = match &*self.known.borrow_and_update() {
                Known::State(state) => state.clone(),
                _ => break,
            };
            self.base = state.base;
            while self.position < state.written {
                let wanted = chunk.len().min((state.written - self.position) as usize);
                let read = file.read_at(&mut chunk[..wanted], self.position - self.base)?;
                if read == 0 || to.write_all(&chunk[..read]).await.is_err() {
                    // Shorter than it was said to be, or nobody reads any more.
                    return Ok(());
                }
                self.position += read as u64;
                self.tell(false).await;
            }
            self.tell(true).await;
            if state.ended.is_some() {
                break;
            }
            tokio::select! {
                changed = self.known.changed() => if changed.is_err() { break },
                Some(at) = cuts.recv() => self.cut(at).await,
                () = gone.cancelled() => break,
            }
        }
        let _ = to.shutdown().await;
        Ok(())
    }

    async fn tell(&mut self, all: bool) {
        let untold = self.position - self.told;
        if untold >= TELL_EVERY || (all && untold >= TELL_EVERY / 16) {
            self.told = self.position;
            let _ = self.inner.say(&Ask::Read { generation: self.generation, to: self.position }).await;
        }
    }

    async fn cut(&self, at: u64) {
        if at == self.position {
            let _ = self.inner.say(&Ask::Cut { generation: self.generation, at }).await;
        }
    }
}

/// Where the supervisor puts the output of a generation.
pub(super) fn output_of(run_dir: &Path, generation: Generation) -> PathBuf {
    run_dir.join(format!("gen-{generation}.out"))
}

/// The position behind the last whole line that is there now; `from` where there is none.
fn last_line_end(file: &Path, state: &HeldState, from: u64) -> io::Result<u64> {
    let file = File::open(file)?;
    let mut chunk = vec![0; 64 * 1024];
    let mut end = state.written;
    while end > from {
        let start = end.saturating_sub(chunk.len() as u64).max(from);
        let part = &mut chunk[..(end - start) as usize];
        file.read_exact_at(part, start - state.base)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(from)
}
