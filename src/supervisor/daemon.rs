//! The daemon as seen from a command: is it there, start it in the background, end what is left of it.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::lock;
use crate::config::{Paths, write_private};
use crate::domain::hold::VERSION;

/// A `daemon.log` larger than this begins anew.
const LONGEST_LOG: u64 = 4 * 1024 * 1024;

/// Whether a supervisor runs in a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nobody holds the home.
    Stopped,
    /// Somebody does.
    Running {
        /// The supervisor.
        pid: Option<u32>,
    },
}

/// Looks whether a supervisor runs in the home.
pub fn presence(paths: &Paths) -> Presence {
    match lock::holder(&paths.supervisor_lock()) {
        Some(pid) => Presence::Running { pid },
        None => Presence::Stopped,
    }
}

/// What a supervisor writes into its lock: it replaces its bridge when it is told to, and holds runtimes in these words.
pub(super) fn can_hold() -> String {
    format!("holds {VERSION}")
}

/// Whether the supervisor of a home can replace its bridge by this program while the runtime works on. One that does not
/// say so may even end by the signal.
pub fn can_replace(paths: &Paths) -> bool {
    lock::word(&paths.supervisor_lock()) == Some(can_hold())
}

/// Starts `ally run` in the background; what it says goes to `logs/daemon.log`. It leaves our session by itself.
pub fn spawn_detached(program: &Path, paths: &Paths) -> io::Result<Child> {
    let log = paths.daemon_log();
    if fs::metadata(&log).is_ok_and(|found| found.len() > LONGEST_LOG) {
        fs::rename(&log, log.with_extension("log.old"))?;
    }
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    Command::new(program)
        .args(["run", "--detached"])
        .env("ALLY_HOME", &paths.home)
        // Whatever folder the command was given in must not stay in use.
        .current_dir(&paths.home)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Sends a signal; a process that is gone is no mistake.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Writes down who the bridge is, so that it can be recognised when its supervisor is gone.
pub(super) fn remember_bridge(paths: &Paths, pid: u32) -> io::Result<()> {
    let started = start_time(pid).map_or_else(|| "-".to_owned(), |started| started.to_string());
    write_private(&paths.bridge_pid(), &format!("{pid} {started}\n"))
}

pub(super) fn forget_bridge(paths: &Paths) {
    let _ = fs::remove_file(paths.bridge_pid());
}

/// A bridge that outlived its supervisor and ends by itself, or hangs. Only where pid and start time match what was
/// written down.
pub fn left_bridge(paths: &Paths) -> Option<u32> {
    let note = fs::read_to_string(paths.bridge_pid()).ok()?;
    let mut words = note.split_whitespace();
    let (pid, started) = (words.next()?.parse().ok()?, words.next()?);
    (start_time(pid)?.to_string() == started).then_some(pid)
}

/// Ends what the runtimes of a ledger left behind: processes that carry its mark. Gives how many there were. For a home
/// without supervisor and bridge only: theirs carry the mark, too. Linux only.
pub async fn end_marked(ledger: &str) -> usize {
    let needle = format!("ALLY_GENERATION={ledger}:").into_bytes();
    let mut ended = HashSet::new();
    // Between two looks a process may start another.
    for _ in 0..100 {
        let left = marked(&needle);
        if left.is_empty() {
            break;
        }
        for pid in left {
            signal(pid, Signal::KILL);
            ended.insert(pid);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ended.len()
}

fn marked(needle: &[u8]) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry.starts_with(needle)))
        })
        .collect()
}

/// Start time of a process in clock ticks since boot; of one that has ended there is none. Linux only.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // A zombie has ended; only its parent has not looked.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_same_process_is_the_bridge() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("home"), None);
        paths.create().unwrap();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        write_private(&paths.bridge_pid(), &format!("{} 1\n", child.id())).unwrap();
        assert_eq!(left_bridge(&paths), None, "another start time is another process");
        remember_bridge(&paths, child.id()).unwrap();
        assert_eq!(left_bridge(&paths), Some(child.id()));
        child.kill().unwrap();
        // Ended and not looked after: a zombie is nobody.
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while left_bridge(&paths).is_some() {
            assert!(std::time::Instant::now() < until, "a zombie counts");
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
