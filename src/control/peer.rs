//! Who is on the other end of the socket.

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// The variable by which everything that a runtime starts can be recognised.
const MARK: &[u8] = b"ALLY_GENERATION=";

/// The process that called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: Option<u32>,
    /// Its process, where the system says so.
    pub pid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        match stream.io().peer_cred() {
            Ok(cred) => Self { uid: Some(cred.uid()), pid: cred.pid().and_then(|pid| u32::try_from(pid).ok()) },
            Err(_) => Self { uid: None, pid: None },
        }
    }
}

impl Peer {
    /// The same user as ours.
    pub fn is_us(self) -> bool {
        self.uid == Some(rustix::process::getuid().as_raw())
    }

    /// Whether it may decide things: not when it runs below a runtime, nor when that cannot be told.
    pub fn may_decide(self) -> bool {
        match self.pid {
            Some(pid) if cfg!(target_os = "linux") => !carries_mark(pid),
            // No way to look at another process's environment: the token is the only bar.
            _ => cfg!(not(target_os = "linux")),
        }
    }
}

/// Whether the process or one of its ancestors carries `ALLY_GENERATION`. A process that cannot be looked at counts as
/// marked; an ancestor that cannot (it belongs to somebody else) does not.
pub fn carries_mark(pid: u32) -> bool {
    let mut current = pid;
    // Longer chains do not occur; a loop while processes come and go could.
    for depth in 0..64 {
        match std::fs::read(format!("/proc/{current}/environ")) {
            Ok(environment) if environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(MARK)) => {
                return true;
            }
            Ok(_) => {}
            Err(_) if depth == 0 => return true,
            Err(_) => {}
        }
        match parent(current) {
            Some(next) if next > 1 => current = next,
            _ => return false,
        }
    }
    true
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in parentheses and may itself hold some.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn sleeper(marked: bool) -> std::process::Child {
        let mut command = Command::new("sh");
        // The child of the marked shell drops the mark itself: its ancestor still tells.
        command.args(["-c", "env -u ALLY_GENERATION sh -c 'echo $$; read line'; true"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if marked {
            command.env("ALLY_GENERATION", "x:1");
        }
        command.spawn().unwrap()
    }

    #[test]
    fn a_mark_is_found_in_an_ancestor() {
        use std::io::BufRead;
        let unmarked_already = !carries_mark(std::process::id());
        for marked in [true, false] {
            let mut child = sleeper(marked);
            let mut line = String::new();
            std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let grandchild: u32 = line.trim().parse().unwrap();
            if unmarked_already || marked {
                assert_eq!(carries_mark(grandchild), marked);
            }
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_process_that_is_gone_counts_as_marked() {
        assert!(carries_mark(u32::MAX));
    }
}
