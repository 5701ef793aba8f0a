//! The bridge's side of the two pipes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::tasks::{OnExit, Tasks};

/// How often the bridge says that it lives. The supervisor kills after three that are missing.
pub const BEAT: Duration = Duration::from_secs(5);

/// The line to the supervisor, from below.
#[derive(Debug, Clone)]
pub struct BridgeLink {
    closed: CancellationToken,
    words: mpsc::Sender<&'static str>,
}

impl BridgeLink {
    /// Takes stdin and stdout, which must be the supervisor's pipes, and begins to beat. From here on nothing else may
    /// write to stdout.
    pub fn from_stdio(tasks: &Tasks) -> io::Result<Self> {
        let mut stdin = stdin_pipe()?;
        let stdout = pipe::Sender::from_file(copy(io::stdout().as_fd())?)?;
        let closed = CancellationToken::new();
        // One `ready` in a lifetime.
        let (words, heard) = mpsc::channel(4);
        let ended = closed.clone();
        tasks.spawn("link.watch", OnExit::LogOnly, |cancel| async move {
            cancel.run_until_cancelled(until_eof(&mut stdin)).await;
            ended.cancel();
            Ok(())
        });
        let ended = closed.clone();
        tasks.spawn("link.beat", OnExit::LogOnly, |cancel| async move {
            // A pipe that nobody reads is the same as one that was closed.
            if let Some(Err(_)) = cancel.run_until_cancelled(beat(stdout, heard)).await {
                ended.cancel();
            }
            Ok(())
        });
        Ok(Self { closed, words })
    }

    /// Tells that the bridge takes work.
    pub async fn ready(&self) {
        let _ = self.words.send("ready\n").await;
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

async fn beat(mut pipe: pipe::Sender, mut words: mpsc::Receiver<&'static str>) -> io::Result<()> {
    let mut ticks = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            _ = ticks.tick() => pipe.write_all(b"beat\n").await?,
            Some(word) = words.recv() => pipe.write_all(word.as_bytes()).await?,
        }
    }
}
