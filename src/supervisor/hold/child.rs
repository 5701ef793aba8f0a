//! One held process: its input as it comes, its output into a file, its end.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use super::Shared;
use crate::domain::hold::{HeldChild, HeldEnd, HeldState};
use crate::domain::ids::Generation;

/// Bytes of stderr that are kept for an error's text.
const STDERR: usize = 8 * 1024;
/// Input that a process has not taken. More is for one that takes nothing any more.
const UNTAKEN: usize = 64 * 1024 * 1024;
/// After its end somebody else may still hold the pipes: what has been written is there by then.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How soon output that could not be kept is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the bridge wants of a process.
pub(super) enum Order {
    Write(Vec<u8>),
    Close,
    Read(u64),
    Cut(u64),
    /// If it is dead nobody comes for the rest of what it said.
    Finish,
}

/// Starts a process in a group of its own, with its lock.
pub(super) fn start(spec: &HeldChild, shared: Arc<Shared>, unread: u64) -> io::Result<HeldProcess> {
    let output = create(&spec.output)?;
    let lock = create(&spec.lock)?;
    lock.try_lock().map_err(io::Error::from)?;
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .envs(spec.env.iter().cloned())
        .current_dir(&spec.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    hand_down(&mut command, lock);
    let child = command.spawn();
    // Only the child holds the lock from here on.
    drop(command);
    let mut child = child?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let generation = spec.generation;
    let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    Ok(HeldProcess {
        generation,
        group,
        shared,
        unread,
        child,
        stdin,
        stdout,
        stderr,
        input: VecDeque::new(),
        untaken: 0,
        file: output,
        unkept: Vec::new(),
        again: None,
        base: 0,
        written: 0,
        read: 0,
        said: Vec::new(),
    })
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)
}

/// Gives the child, and nobody else, the open file. Were the flag cleared in this process, any other child that is
/// started in the same moment would get the file as well.
#[allow(unsafe_code)]
fn hand_down(command: &mut Command, file: File) {
    let inherit = move || rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).map_err(io::Error::from);
    // SAFETY: the closure runs between fork and exec. It makes one fcntl on a descriptor that the closure itself keeps
    // open: no allocation, no lock, nothing that another thread may have held at the fork.
    unsafe { command.pre_exec(inherit) };
}

pub(super) struct HeldProcess {
    generation: Generation,
    group: Option<Pid>,
    shared: Arc<Shared>,
    /// So many bytes may be unread.
    unread: u64,
    child: Child,
    /// Each is gone once it has ended.
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// What is to be said to it.
    input: VecDeque<Option<Vec<u8>>>,
    untaken: usize,
    file: File,
    /// Output for which there was no room: nothing more is read before it is kept.
    unkept: Vec<u8>,
    again: Option<Instant>,
    base: u64,
    written: u64,
    read: u64,
    /// The end of its stderr.
    said: Vec<u8>,
}

impl HeldProcess {
    /// As it has just been started.
    pub(super) fn state(&self) -> HeldState {
        HeldState {
            generation: self.generation,
            pid: self.child.id(),
            bridges: 1,
            base: 0,
            written: 0,
            died: None,
            ended: None,
        }
    }

    /// Until it has ended and all its output is kept, or nobody wants what is not.
    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) -> anyhow::Result<()> {
        let mut chunk = vec![0; 64 * 1024];
        let mut words = vec![0; 4 * 1024];
        let mut ended: Option<(HeldEnd, Instant)> = None;
        let mut has_read = true;
        while ended.is_none() || self.stdout.is_some() || self.stderr.is_some() || !self.unkept.is_empty() {
            let reads = self.unkept.is_empty() && self.written.saturating_sub(self.read) < self.unread;
            if let Some((_, at)) = ended.as_mut().filter(|_| reads && !has_read) {
                // Only time in which it was listened to counts.
                *at = Instant::now() + LAST_WORDS;
            }
            has_read = reads;
            tokio::select! {
                Some(order) = orders.recv() => match order {
                    Order::Finish if ended.is_some() => break,
                    order => self.heed(order),
                },
                taken = write(&mut self.stdin, self.input.front()), if !self.input.is_empty() => self.taken(taken),
                came = read(&mut self.stdout, &mut chunk), if reads && self.stdout.is_some() => match came {
                    0 => self.stdout = None,
                    bytes => {
                        self.unkept.extend_from_slice(&chunk[..bytes]);
                        self.keep();
                    }
                },
                came = read(&mut self.stderr, &mut words), if self.stderr.is_some() => match came {
                    0 => self.stderr = None,
                    bytes => self.said.extend_from_slice(&words[..bytes]),
                },
                () = sleep_until(self.again.unwrap_or_else(Instant::now)), if self.again.is_some() => self.keep(),
                status = self.child.wait(), if ended.is_none() => {
                    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    ended = Some((self.has_died(how), Instant::now() + LAST_WORDS));
                }
                // Somebody else has its pipes.
                () = until(&ended), if ended.is_some() && reads => (self.stdout, self.stderr) = (None, None),
            }
            let surplus = self.said.len().saturating_sub(STDERR);
            self.said.drain(..surplus);
        }
        if let Some((end, _)) = ended {
            self.has_ended(end);
        }
        Ok(())
    }

    fn heed(&mut self, order: Order) {
        match order {
            Order::Write(bytes) if self.untaken + bytes.len() > UNTAKEN => {
                error!(generation = self.generation.0, "A runtime takes no input any more; it is told to end");
                self.stdin = None;
                self.input.clear();
            }
            Order::Write(bytes) if self.stdin.is_some() => {
                self.untaken += bytes.len();
                self.input.push_back(Some(bytes));
            }
            Order::Write(_) => {}
            Order::Close => self.input.push_back(None),
            Order::Read(to) => self.read = self.read.max(to.min(self.written)),
            Order::Cut(at) => self.cut(at),
            Order::Finish => {}
        }
    }

    /// So much of the first piece of input is with the process; nothing of it when the pipe is closed.
    fn taken(&mut self, taken: usize) {
        match self.input.front_mut() {
            Some(Some(bytes)) if taken > 0 => {
                self.untaken -= taken;
                bytes.drain(..taken);
                if bytes.is_empty() {
                    self.input.pop_front();
                }
            }
            _ => {
                self.stdin = None;
                self.input.clear();
                self.untaken = 0;
            }
        }
    }

    /// A full disk stalls the process and loses nothing.
    fn keep(&mut self) {
        self.again = None;
        while !self.unkept.is_empty() {
            match self.file.write(&self.unkept) {
                Ok(kept) if kept > 0 => {
                    self.written += kept as u64;
                    self.unkept.drain(..kept);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    warn!(generation = self.generation.0, ?failed, "A runtime's output cannot be kept; it waits");
                    self.again = Some(Instant::now() + AGAIN);
                    break;
                }
            }
        }
        let written = self.written;
        self.shared.change(self.generation, |state| state.written = written);
    }

    fn cut(&mut self, at: u64) {
        if at != self.written || self.written == self.base {
            return;
        }
        let cut = self.file.set_len(0).and_then(|()| io::Seek::rewind(&mut self.file));
        match cut {
            Ok(()) => {
                (self.base, self.read) = (at, at);
                self.shared.change(self.generation, |state| state.base = at);
            }
            Err(error) => warn!(generation = self.generation.0, %error, "A runtime's output could not be cut"),
        }
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// It was reaped just now: as long as its group has members nobody else has been given the group's number. Later only
    /// those can be found that carry the mark.
    fn has_died(&self, how: String) -> HeldEnd {
        info!(generation = self.generation.0, %how, "A held runtime ended");
        if let Some(group) = self.group
            && test_kill_process_group(group).is_ok()
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let end = HeldEnd { how, stderr: self.stderr() };
        self.shared.change(self.generation, |state| state.died = Some(end.clone()));
        end
    }

    fn has_ended(&self, end: HeldEnd) {
        let end = HeldEnd { stderr: self.stderr(), ..end };
        self.shared.change(self.generation, |state| state.ended = Some(end));
    }
}

/// Writes a piece. 0 is the end: it was asked for, or the process has closed its side.
async fn write(stdin: &mut Option<ChildStdin>, piece: Option<&Option<Vec<u8>>>) -> usize {
    match (stdin, piece) {
        (Some(stdin), Some(Some(bytes))) => stdin.write(bytes).await.unwrap_or(0),
        _ => 0,
    }
}

async fn read<R: AsyncRead + Unpin>(pipe: &mut Option<R>, into: &mut [u8]) -> usize {
    match pipe {
        Some(pipe) => pipe.read(into).await.unwrap_or(0),
        None => 0,
    }
}

async fn until(ended: &Option<(HeldEnd, Instant)>) {
    if let Some((_, at)) = ended {
        sleep_until(*at).await;
    }
}
