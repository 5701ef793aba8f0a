//! Child processes of runtimes: how they are started, recognised for sure, and ended for sure.
//!
//! A child runs in a process group of its own with an allow-listed environment, carries our mark in it, and inherits an
//! open lock file. *Surely dead* means: the recorded process is gone (pid, start time and boot id), its group is empty,
//! and, on Linux, no process carries the mark.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process, test_kill_process_group};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tracing::debug;

use self::held::Held;
pub use self::held::{Attached, Holder};

use crate::bridge::ports::{Death, ProcessIdentity, SpawnSpec, StillAlive};
use crate::domain::ids::Generation;
use crate::tasks::{OnExit, Tasks};

mod held;

/// The environment variable that carries the mark.
pub const MARK: &str = "ALLY_GENERATION";
/// Lines of stderr that are kept for an error's text.
const STDERR_LINES: usize = 40;
/// Bytes of a line of stderr that are kept.
const STDERR_LINE: usize = 4096;
/// Bytes of each stream that are read of a program that is asked one thing.
const ASKED_BYTES: u64 = 256 * 1024;
/// What a process gets for each of EOF, TERM and KILL.
const PATIENCE: Duration = Duration::from_secs(2);

/// How to start a runtime's process.
#[derive(Debug, Clone)]
pub struct Spawn {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    pub directory: PathBuf,
    /// Folder of the lock files (`gen-N.lock`).
    pub run_dir: PathBuf,
}

/// A started process with its pipes: its own ones, or those that the supervisor holds.
pub struct Spawned {
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    pub handle: Handle,
    /// Up to where its kept output may go, if that is all there is. Where nothing is kept there is none.
    pub cuts: Option<mpsc::Sender<u64>>,
}

/// The process without its pipes.
pub struct Handle {
    pub identity: ProcessIdentity,
    kin: Kin,
}

/// Whose child it is.
enum Kin {
    /// Ours: it ends with us.
    Own { child: Box<Child>, stderr: Arc<Mutex<Vec<String>>> },
    /// The supervisor's.
    Held(Held),
}

/// Starts the process in its own group, marked and locked. With a `holder` it is the supervisor's child.
pub async fn spawn(
    spawn: &Spawn,
    spec: &SpawnSpec,
    holder: Option<&Holder>,
    tasks: &Tasks,
) -> std::io::Result<Spawned> {
    std::fs::create_dir_all(&spawn.run_dir)?;
    match holder {
        Some(holder) => holder.spawn(spawn, spec).await,
        None => spawn_own(spawn, spec, tasks),
    }
}

fn lock_of(run_dir: &Path, generation: Generation) -> PathBuf {
    run_dir.join(format!("gen-{generation}.lock"))
}

/// The same as our own child; the folder of the lock files is there.
pub fn spawn_own(spawn: &Spawn, spec: &SpawnSpec, tasks: &Tasks) -> std::io::Result<Spawned> {
    let lock = File::create(lock_of(&spawn.run_dir, spec.generation))?;
    lock.try_lock().map_err(std::io::Error::from)?;
    let mut command = Command::new(&spawn.program);
    command
        .args(&spawn.args)
        .env_clear()
        .envs(spawn.env.iter().cloned())
        .env(MARK, &spec.mark)
        .current_dir(&spawn.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    // An extra sign only: the child, and nothing that it starts with close-on-exec, keeps the lock.
    hand_down(&mut command, lock);
    let child = command.spawn();
    // Only the child holds the lock from here on.
    drop(command);
    let mut child = child?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(std::io::Error::other("the child has no pipes"));
    };
    let pid = child.id();
    let identity = ProcessIdentity {
        generation: spec.generation,
        mark: spec.mark.clone(),
        pid,
        start_time: pid.and_then(start_time),
        boot_id: boot_id(),
    };
    let kept = Arc::new(Mutex::new(Vec::new()));
    drain(stderr, Arc::clone(&kept), tasks);
    let handle = Handle { identity, kin: Kin::Own { child: Box::new(child), stderr: kept } };
    Ok(Spawned { stdin: Box::new(stdin), stdout: Box::new(stdout), handle, cuts: None })
}

/// Gives the child, and nobody else, the open file. Were the flag cleared in this process, any other child that is
/// started in the same moment would get the file as well.
#[allow(unsafe_code)]
fn hand_down(command: &mut Command, file: File) {
    let inherit = move || rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).map_err(std::io::Error::from);
    // SAFETY: the closure runs between fork and exec. It makes one fcntl on a descriptor that the closure itself keeps
    // open: no allocation, no lock, nothing that another thread may have held at the fork.
    unsafe { command.pre_exec(inherit) };
}

/// An undrained stderr would block the child after 64 KiB. Its words are for people, never parsed.
fn drain(stderr: tokio::process::ChildStderr, kept: Arc<Mutex<Vec<String>>>, tasks: &Tasks) {
    tasks.spawn("child-stderr", OnExit::Ignore, move |_| async move {
        let mut stderr = BufReader::new(stderr);
        while let Some(line) = beginning_of_line(&mut stderr, STDERR_LINE).await {
            debug!(line_bytes = line.len(), "The runtime wrote to stderr");
            let mut kept = kept.lock().expect("no code panics while it holds this lock");
            if kept.len() == STDERR_LINES {
                kept.remove(0);
            }
            kept.push(without_colour(&String::from_utf8_lossy(&line)));
        }
        Ok(())
    });
}

/// The first `most` bytes of the next line, whatever they are; `None` at the end. The rest of a longer line is thrown
/// away as it comes.
async fn beginning_of_line(reader: &mut (impl AsyncBufRead + Unpin), most: usize) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut began = false;
    loop {
        let chunk = reader.fill_buf().await.ok()?;
        if chunk.is_empty() {
            return began.then_some(line);
        }
        began = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        line.extend_from_slice(&chunk[..taken.min(most - line.len())]);
        reader.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            return Some(line);
        }
    }
}

/// What a program said that was asked one thing.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end, without input, and gives what it said. Who says too much or takes too long is killed with all
/// that it started, and the error says so.
pub async fn ask(mut command: Command, deadline: Duration) -> Result<Said, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let group = child.id().and_then(|pid| Pid::from_raw(pid as i32));
    let heard = tokio::time::timeout(deadline, hear_out(&mut child)).await;
    let said = heard.unwrap_or_else(|_| Err(format!("no answer within {} s", deadline.as_secs())));
    if said.is_err()
        && let Some(group) = group
    {
        // Not reaped yet, so the number is still its own.
        let _ = kill_process_group(group, Signal::KILL);
    }
    said
}

async fn hear_out(child: &mut Child) -> Result<Said, String> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(all_of(stdout), all_of(stderr))?;
    let status = child.wait().await.map_err(|error| error.to_string())?;
    Ok(Said { status, stdout, stderr })
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> Result<String, String> {
    let Some(stream) = stream else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    stream.take(ASKED_BYTES + 1).read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > ASKED_BYTES {
        return Err(format!("it writes without end (over {} KiB)", ASKED_BYTES / 1024));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn without_colour(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // An escape sequence ends with a letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

impl Handle {
    /// The last lines of stderr; of a held process after its end.
    pub fn stderr(&self) -> String {
        match &self.kin {
            Kin::Own { stderr, .. } => stderr.lock().expect("no code panics while it holds this lock").join("\n"),
            Kin::Held(held) => held.stderr().lines().map(without_colour).collect::<Vec<_>>().join("\n"),
        }
    }

    /// Until it has ended.
    pub async fn wait(&mut self) {
        match &mut self.kin {
            Kin::Own { child, .. } => drop(child.wait().await),
            Kin::Held(held) => {
                if held.ended().await.is_none() {
                    // Nobody waits for it any more who would tell.
                    while runs(&self.identity) {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    }

    /// Waits for the end that a closed stdin asks for, then TERM, then KILL; reaps it and ends what it left behind.
    /// Not where it is left to the next bridge.
    pub async fn end(&mut self) {
        if matches!(&self.kin, Kin::Held(held) if held.is_left()) {
            return;
        }
        for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
            if let Some(signal) = signal {
                signal_group(&self.identity, signal);
            }
            if tokio::time::timeout(PATIENCE, self.wait()).await.is_ok() {
                break;
            }
        }
        // Reaped just now: as long as its group has members, nobody else can have been given the group's number. This
        // reaches what has lost the mark, and all of it where there is no /proc. A held one's group is ended by whoever
        // reaps it, which may be long ago by now.
        if matches!(&self.kin, Kin::Own { .. })
            && let Some(pid) = pid_of(&self.identity)
            && test_kill_process_group(pid).is_ok()
        {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        // A killed process is gone a moment later.
        for _ in 0..50 {
            if kill_marked(&self.identity.mark) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

// ------------------------------------------------------------------------------------------------ identity

/// This boot of the machine. Empty where the system does not tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Start time in clock ticks since boot; `None` when there is no such process or the system does not tell.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and parentheses: count the fields after the last one.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    // A zombie has ended; only its parent has not looked.
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn pid_of(identity: &ProcessIdentity) -> Option<Pid> {
    Pid::from_raw(i32::try_from(identity.pid?).ok()?)
}

/// Whether the very process runs (not another one that got its number).
fn runs(identity: &ProcessIdentity) -> bool {
    let Some(pid) = identity.pid else { return false };
    if identity.boot_id != boot_id() {
        return false;
    }
    match identity.start_time {
        Some(recorded) => start_time(pid) == Some(recorded),
        // Without /proc the number is all there is.
        None => pid_of(identity).is_some_and(|pid| test_kill_process(pid).is_ok()),
    }
}

/// Whether its process group has members. Only meaningful within the same boot.
fn group_lives(identity: &ProcessIdentity) -> bool {
    if identity.boot_id != boot_id() || (cfg!(target_os = "linux") && !group_is_ours(identity)) {
        return false;
    }
    pid_of(identity).is_some_and(|pid| test_kill_process_group(pid).is_ok())
}

/// A group number may have been given to somebody else: ours has a member that carries the mark, or is the process itself.
fn group_is_ours(identity: &ProcessIdentity) -> bool {
    runs(identity) || marked(&identity.mark).iter().any(|pid| group_of(*pid) == identity.pid)
}

fn group_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

fn signal_group(identity: &ProcessIdentity, signal: Signal) {
    if let Some(pid) = pid_of(identity).filter(|_| group_lives(identity)) {
        let _ = kill_process_group(pid, signal);
    }
}

/// Processes that carry the mark (Linux). Zombies have an empty environment and do not count.
fn marked(mark: &str) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let needle = format!("{MARK}={mark}").into_bytes();
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == needle))
        })
        .collect()
}

pub(super) fn kill_marked(mark: &str) -> u32 {
    let mut killed = 0;
    for pid in marked(mark) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
            && kill_process(pid, Signal::KILL).is_ok()
        {
            killed += 1;
        }
    }
    killed
}

// ------------------------------------------------------------------------------------------------ death

/// Makes sure that a former process and everything of it is gone.
///
/// # Errors
/// [`StillAlive`] when even KILL did not end it: nothing of that generation may be concluded.
pub async fn make_dead(former: &ProcessIdentity) -> Result<Death, StillAlive> {
    // Of one that was not written down the boot is not known; its mark is then looked for in this one.
    let boot_changed = !former.boot_id.is_empty() && former.boot_id != boot_id();
    if boot_changed {
        return Ok(Death { boot_changed, orphans_killed: 0 });
    }
    for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
        if let Some(signal) = signal {
            signal_group(former, signal);
        }
        // It may be ending by itself just now: its stdin closed when the bridge died.
        if ended_within(former, PATIENCE).await {
            break;
        }
    }
    let mut orphans_killed = 0;
    for _ in 0..20 {
        orphans_killed += kill_marked(&former.mark);
        if marked(&former.mark).is_empty() && !runs(former) && !group_lives(former) {
            return Ok(Death { boot_changed, orphans_killed });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(StillAlive { generation: former.generation, pid: former.pid.unwrap_or(0) })
}

async fn ended_within(former: &ProcessIdentity, patience: Duration) -> bool {
    let until = tokio::time::Instant::now() + patience;
    loop {
        if !runs(former) && !group_lives(former) {
            return true;
        }
        if tokio::time::Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Takes away what was kept of a generation that is surely dead.
pub fn forget(run_dir: &Path, generation: Generation) {
    for file in [held::output_of(run_dir, generation), memory_of(run_dir, generation), lock_of(run_dir, generation)] {
        let _ = std::fs::remove_file(file);
    }
}

/// Where an adapter keeps what it must know of a process that outlives it.
pub fn memory_of(run_dir: &Path, generation: Generation) -> PathBuf {
    run_dir.join(format!("gen-{generation}.json"))
}

/// The program of a name on a search path.
pub fn on_path(name: &str, path: Option<&OsString>) -> Option<PathBuf> {
    std::env::split_paths(path?).map(|folder| folder.join(name)).find(|candidate| is_program(candidate))
}

/// A regular file that somebody may execute.
pub fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, dir: &Path) -> Spawn {
        Spawn {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            directory: dir.to_owned(),
            run_dir: dir.join("run"),
        }
    }

    fn spec(mark: &str) -> SpawnSpec {
        SpawnSpec { generation: Generation(7), mark: format!("{mark}-{}", uuid::Uuid::new_v4()) }
    }

    fn asked(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env_clear().env("PATH", "/usr/bin:/bin");
        command
    }

    #[tokio::test]
    async fn who_is_asked_one_thing_says_a_little_or_is_ended() {
        let said = ask(asked("echo hi; printf 'a\\377b\\n' >&2; exit 3"), PATIENCE).await.unwrap();
        assert_eq!((said.status.code(), said.stdout.as_str(), said.stderr.as_str()), (Some(3), "hi\n", "a\u{fffd}b\n"));
        for flood in ["yes", "yes >&2", "sleep 4242 & yes"] {
            let refused = ask(asked(flood), Duration::from_secs(60)).await.unwrap_err();
            assert!(refused.contains("without end"), "{refused}");
        }
        let silent = ask(asked("sleep 4242 & sleep 4242"), Duration::from_millis(100)).await.unwrap_err();
        assert!(silent.contains("no answer"), "{silent}");
    }

    #[tokio::test]
    async fn stderr_is_heard_whatever_is_written_there() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::default();
        let script = "printf 'a\\377b\\n' >&2; head -c 5000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2; cat";
        let mut spawned = spawn(&shell(script, dir.path()), &spec("odd"), None, &tasks).await.unwrap();
        while !spawned.handle.stderr().ends_with("end") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let heard = spawned.handle.stderr();
        assert!(heard.starts_with("a\u{fffd}b\nxxx") && heard.len() < 2 * STDERR_LINE, "{} bytes", heard.len());
        drop(spawned.stdin);
        spawned.handle.end().await;
    }

    #[tokio::test]
    async fn a_closed_stdin_ends_it_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::default();
        let spec = spec("eof");
        let mut spawned = spawn(&shell("sleep 300 & cat", dir.path()), &spec, None, &tasks).await.unwrap();
        drop(spawned.stdin);
        spawned.handle.end().await;
        assert!(!runs(&spawned.handle.identity));
        assert_eq!(marked(&spec.mark), Vec::<u32>::new());
    }

    #[tokio::test]
    async fn the_end_takes_those_of_the_group_that_lost_the_mark() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::default();
        let spec = spec("unmarked");
        let mut spawned =
            spawn(&shell("env -i sleep 300 & echo $!; cat", dir.path()), &spec, None, &tasks).await.unwrap();
        let mut lines = BufReader::new(&mut spawned.stdout).lines();
        let child: u32 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        assert!(start_time(child).is_some());
        drop(spawned.stdin);
        spawned.handle.end().await;
        // A signal works soon, not at once.
        for _ in 0..500 {
            if start_time(child).is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{child} lives on");
    }

    #[tokio::test]
    async fn the_child_holds_its_lock_as_long_as_it_lives() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::default();
        let mut spawned = spawn(&shell("cat", dir.path()), &spec("lock"), None, &tasks).await.unwrap();
        let lock = File::open(dir.path().join("run/gen-7.lock")).unwrap();
        assert!(matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)));
        drop(spawned.stdin);
        spawned.handle.end().await;
        lock.try_lock().unwrap();
    }

    #[tokio::test]
    async fn a_former_process_is_made_dead_with_its_orphans() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::default();
        let spec = spec("former");
        // An orphan in a session of its own: only the mark finds it. Nothing reads stdin: only a signal ends it.
        let script = "setsid sleep 300 & trap '' TERM; echo up; sleep 300; sleep 300";
        let mut spawned = spawn(&shell(script, dir.path()), &spec, None, &tasks).await.unwrap();
        let mut lines = BufReader::new(&mut spawned.stdout).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("up"));
        let identity = spawned.handle.identity.clone();
        assert!(runs(&identity));
        let (death, _) = tokio::join!(make_dead(&identity), spawned.handle.wait());
        let death = death.unwrap();
        assert!(!death.boot_changed && death.orphans_killed >= 1, "{death:?}");
        assert_eq!(marked(&spec.mark), Vec::<u32>::new());
    }

    #[tokio::test]
    async fn another_boot_is_dead_without_a_signal() {
        // This very process under another boot id: were it signalled, the test would not end.
        let identity = ProcessIdentity {
            generation: Generation(1),
            mark: "none".to_owned(),
            pid: Some(std::process::id()),
            start_time: start_time(std::process::id()),
            boot_id: "another".to_owned(),
        };
        assert_eq!(make_dead(&identity).await, Ok(Death { boot_changed: true, orphans_killed: 0 }));
    }

    #[tokio::test]
    async fn a_reused_number_is_not_touched() {
        let identity = ProcessIdentity {
            generation: Generation(1),
            mark: format!("none-{}", uuid::Uuid::new_v4()),
            pid: Some(std::process::id()),
            start_time: Some(1),
            boot_id: boot_id(),
        };
        assert!(make_dead(&identity).await.is_ok());
    }

    #[test]
    fn colours_are_taken_off() {
        assert_eq!(without_colour("\u{1b}[31mERROR\u{1b}[0m x"), "ERROR x");
    }
}
