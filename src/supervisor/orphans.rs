//! Processes whose parent died come to the supervisor (child subreaper, Linux): they are reaped, and ended at the end.

use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions};

/// Makes this process the parent of everything below it that loses its own.
pub fn become_subreaper() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::warn!(%error, "Orphans cannot be adopted; a crashed runtime may leave processes behind");
    }
}

/// Collects dead orphans. Those that are `awaited` are left to whoever waits for them.
pub fn reap(awaited: &[u32]) {
    for child in children().into_iter().filter(|child| child.zombie && !awaited.contains(&child.pid)) {
        if let Some(pid) = pid_of(child.pid) {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Ends every child that is left: TERM, two seconds, KILL. Gives the number of those that had to be told.
pub async fn end_all() -> usize {
    reap(&[]);
    let left = children();
    for child in &left {
        send(child.pid, Signal::TERM);
    }
    for _ in 0..20 {
        reap(&[]);
        if children().is_empty() {
            return left.len();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Killing one may hand its own children to us: again until nothing is left.
    for _ in 0..20 {
        for child in children() {
            send(child.pid, Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        reap(&[]);
        if children().is_empty() {
            break;
        }
    }
    left.len()
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = pid_of(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

struct Child {
    pid: u32,
    zombie: bool,
}

/// All direct children. Linux only: elsewhere there are no adopted ones.
fn children() -> Vec<Child> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let own = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let zombie = fields.next()? == "Z";
            (fields.next()?.parse::<u32>().ok()? == own).then_some(Child { pid, zombie })
        })
        .collect()
}
