//! The bridge's side of the two pipes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, pipe};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::hold::VERSION;
use crate::tasks::{OnExit, Tasks};

/// How often the bridge says that it lives. The supervisor kills after three that are missing.
pub const BEAT: Duration = Duration::from_secs(5);

/// The line to the supervisor, from below.
#[derive(Debug, Clone)]
pub struct BridgeLink {
    closed: CancellationToken,
    words: mpsc::Sender<String>,
}

/// What is said about the runtimes that the supervisor holds, line by line.
#[derive(Debug)]
pub struct HoldLink {
    /// To the supervisor, each with its end.
    pub words: mpsc::Sender<String>,
    /// From it.
    pub heard: OwnedReadHalf,
}

impl BridgeLink {
    /// Takes stdin and stdout, which must be the supervisor's, and begins to beat. From here on nothing else may write to
    /// stdout. `hold` says in which words the supervisor offers to hold runtimes: others than ours are no offer.
    pub fn from_stdio(tasks: &Tasks, hold: Option<u32>) -> io::Result<(Self, Option<HoldLink>)> {
        let mut stdin = stdin_pipe()?;
        let closed = CancellationToken::new();
        let (words, said) = mpsc::channel(64);
        let ended = closed.clone();
        tasks.spawn("link.watch", OnExit::LogOnly, |cancel| async move {
            cancel.run_until_cancelled(until_eof(&mut stdin)).await;
            ended.cancel();
            Ok(())
        });
        let stdout = copy(io::stdout().as_fd())?;
        let held = match hold {
            Some(version) => {
                let socket = std::os::unix::net::UnixStream::from(OwnedFd::from(stdout));
                socket.set_nonblocking(true)?;
                let (heard, writes) = UnixStream::from_std(socket)?.into_split();
                speak(tasks, writes, said, &closed);
                (version == VERSION).then(|| HoldLink { words: words.clone(), heard })
            }
            None => {
                speak(tasks, pipe::Sender::from_file(stdout)?, said, &closed);
                None
            }
        };
        Ok((Self { closed, words }, held))
    }

    /// Tells that the bridge takes work, and what running turns get when it is to end.
    pub async fn ready(&self, grace: Duration) {
        let _ = self.words.send(format!("grace {}\nready\n", grace.as_millis())).await;
    }

    /// Tells that the bridge has just proved itself alive.
    pub async fn well(&self) {
        let _ = self.words.send("well\n".to_owned()).await;
    }

    /// Resolves when the supervisor wants the bridge to end, or is gone.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

fn copy(fd: BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from(fd.try_clone_to_owned()?))
}

/// Reads until the other end is closed.
pub(super) async fn until_eof(pipe: &mut pipe::Receiver) {
    let mut buffer = [0_u8; 64];
    while !matches!(pipe.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

/// The pipe on our own stdin, if it is one.
pub(super) fn stdin_pipe() -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_file(copy(io::stdin().as_fd())?)
}

fn speak<W>(tasks: &Tasks, to: W, words: mpsc::Receiver<String>, closed: &CancellationToken)
where
    W: AsyncWrite + Send + Unpin + 'static,
{
    let ended = closed.clone();
    tasks.spawn("link.beat", OnExit::LogOnly, |cancel| async move {
        // A pipe that nobody reads is the same as one that was closed.
        if let Some(Err(_)) = cancel.run_until_cancelled(beat(to, words)).await {
            ended.cancel();
        }
        Ok(())
    });
}

async fn beat<W: AsyncWrite + Unpin>(mut to: W, mut words: mpsc::Receiver<String>) -> io::Result<()> {
    let mut ticks = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            _ = ticks.tick() => to.write_all(b"beat\n").await?,
            Some(word) = words.recv() => to.write_all(word.as_bytes()).await?,
        }
    }
}
