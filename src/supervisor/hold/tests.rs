//! Processes of all kinds, held and told about.

use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, Lines};

use super::*;
use crate::domain::hold::HeldChild;

const NUMBER: Generation = Generation(7);
const PATIENCE: Duration = Duration::from_secs(30);

/// A bridge that asks and listens.
struct Bridge {
    heard: Lines<BufReader<DuplexStream>>,
    telling: Tasks,
}

impl Bridge {
    fn of(hold: &Hold) -> Self {
        let (ours, its) = tokio::io::duplex(64 * 1024);
        Self { heard: BufReader::new(its).lines(), telling: hold.serve(ours) }
    }

    async fn until(&mut self, what: &str, good: impl Fn(&HeldState) -> bool) -> HeldState {
        let hear = async {
            loop {
                let line = self.heard.next_line().await.unwrap().unwrap();
                if let Told::State(state) = serde_json::from_str(&line).unwrap()
                    && good(&state)
                {
                    return state;
                }
            }
        };
        tokio::time::timeout(PATIENCE, hear).await.unwrap_or_else(|_| panic!("no {what}"))
    }

    async fn end(self) {
        self.telling.stop(PATIENCE).await;
    }
}

fn ask(hold: &Hold, ask: &Ask) {
    hold.take(&serde_json::to_string(ask).unwrap());
}

fn say(hold: &Hold, line: &str) {
    ask(hold, &Ask::Write { generation: NUMBER, line: format!("{line}\n") });
}

fn output(dir: &Path) -> PathBuf {
    dir.join("gen-7.out")
}

fn spawn(hold: &Hold, dir: &Path, script: &str) {
    let child = HeldChild {
        generation: NUMBER,
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("ALLY_GENERATION".into(), "held-test:7".into())],
        directory: dir.to_owned(),
        lock: dir.join("gen-7.lock"),
        output: output(dir),
    };
    ask(hold, &Ask::Spawn(Box::new(child)));
}

#[tokio::test]
async fn it_lives_on_without_a_bridge_and_the_next_one_reads_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let hold = Hold::new(None);
    let mut first = Bridge::of(&hold);
    spawn(&hold, dir.path(), "cat");
    say(&hold, "one");
    first.until("echo", |state| state.written == 4).await;
    say(&hold, "two");
    first.end().await;
    let mut second = Bridge::of(&hold);
    ask(&hold, &Ask::Attach { generation: NUMBER });
    let state = second.until("echo", |state| state.written == 8).await;
    assert_eq!((state.bridges, state.base, state.ended), (2, 0, None));
    assert_eq!(std::fs::read_to_string(output(dir.path())).unwrap(), "one\ntwo\n");
    ask(&hold, &Ask::Close { generation: NUMBER });
    let state = second.until("end", |state| state.ended.is_some()).await;
    assert_eq!(state.ended.unwrap().how, "exit status: 0");
    assert_eq!(hold.pids(), Vec::<u32>::new());
}

#[tokio::test]
async fn only_the_owner_reads_its_output_and_it_has_its_lock() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let hold = Hold::new(None);
    let mut bridge = Bridge::of(&hold);
    spawn(&hold, dir.path(), "cat");
    bridge.until("start", |state| state.pid.is_some()).await;
    assert_eq!(std::fs::metadata(output(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
    let lock = std::fs::File::open(dir.path().join("gen-7.lock")).unwrap();
    assert!(matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)));
    hold.end().await;
    assert_eq!(hold.pids(), Vec::<u32>::new(), "the end of its input ends it");
    lock.try_lock().unwrap();
}

#[tokio::test]
async fn what_nobody_reads_stalls_it_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let hold = Hold::new(Some(100_000));
    let mut bridge = Bridge::of(&hold);
    spawn(&hold, dir.path(), "head -c 1000000 /dev/zero | tr '\\0' x; echo; cat");
    let full = bridge.until("limit", |state| state.written >= 100_000).await;
    assert!(full.written < 400_000, "it waits: {}", full.written);
    let mut read = full.written;
    while read < 1_000_001 {
        ask(&hold, &Ask::Read { generation: NUMBER, to: read });
        read = bridge.until("more", |state| state.written > read).await.written;
    }
    assert_eq!(std::fs::metadata(output(dir.path())).unwrap().len(), 1_000_001);
    hold.end().await;
}

#[tokio::test]
async fn the_file_is_cut_where_all_of_it_was_read_and_positions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let hold = Hold::new(None);
    let mut bridge = Bridge::of(&hold);
    spawn(&hold, dir.path(), "cat");
    say(&hold, "one");
    bridge.until("echo", |state| state.written == 4).await;
    ask(&hold, &Ask::Cut { generation: NUMBER, at: 3 });
    ask(&hold, &Ask::Cut { generation: NUMBER, at: 4 });
    bridge.until("cut", |state| state.base == 4).await;
    say(&hold, "three");
    let state = bridge.until("echo", |state| state.written == 10).await;
    assert_eq!(state.base, 4);
    assert_eq!(std::fs::read_to_string(output(dir.path())).unwrap(), "three\n");
    hold.end().await;
}

#[tokio::test]
async fn last_words_and_a_failed_start_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let hold = Hold::new(None);
    let mut bridge = Bridge::of(&hold);
    spawn(&hold, dir.path(), "echo bye; echo why >&2; exit 3");
    let state = bridge.until("end", |state| state.ended.is_some()).await;
    let ended = state.ended.unwrap();
    assert_eq!((state.written, ended.how.as_str(), ended.stderr.as_str()), (4, "exit status: 3", "why\n"));
    let gone = dir.path().join("gone");
    let child = HeldChild {
        generation: Generation(8),
        program: gone.join("program"),
        args: Vec::new(),
        env: Vec::new(),
        directory: dir.path().to_owned(),
        lock: dir.path().join("gen-8.lock"),
        output: dir.path().join("gen-8.out"),
    };
    ask(&hold, &Ask::Spawn(Box::new(child)));
    let line = bridge.heard.next_line().await.unwrap().unwrap();
    assert!(line.contains("failed") && line.contains("gone/program"), "{line}");
    ask(&hold, &Ask::Attach { generation: Generation(9) });
    let line = bridge.heard.next_line().await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Told>(&line).unwrap(), Told::Unknown { generation: Generation(9) });
}

#[tokio::test]
async fn a_word_that_was_cut_off_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let hold = Hold::new(None);
    let mut bridge = Bridge::of(&hold);
    spawn(&hold, dir.path(), "cat");
    hold.take(r#"{"ask":"write","generation":7,"line":"ha"#);
    say(&hold, "whole");
    bridge.until("echo", |state| state.written == 6).await;
    assert_eq!(std::fs::read_to_string(output(dir.path())).unwrap(), "whole\n");
    hold.end().await;
}

/// Its pipe holds what nobody has read when it dies: at 100,000 bytes it is read no further, but what is read in one go may
/// be as much as the pipe holds, 65,536.
const STALLED: &str = "head -c 165000 /dev/zero | tr '\\0' x; exit 3";

/// Whatever has a deadline is late.
async fn time_passes() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_death_is_told_at_once_and_what_was_said_before_it_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let hold = Hold::new(Some(100_000));
    let mut bridge = Bridge::of(&hold);
    spawn(&hold, dir.path(), STALLED);
    let mut state = bridge.until("death", |state| state.died.is_some()).await;
    assert_eq!(state.died.as_ref().unwrap().how, "exit status: 3");
    assert!(state.written < 165_000 && state.ended.is_none(), "it waits: {state:?}");
    assert_eq!(hold.pids(), Vec::<u32>::new());
    while state.ended.is_none() {
        time_passes().await;
        let read = state.written;
        ask(&hold, &Ask::Read { generation: NUMBER, to: read });
        state = bridge.until("more", |state| state.written > read || state.ended.is_some()).await;
    }
    assert_eq!(std::fs::metadata(output(dir.path())).unwrap().len(), 165_000);
}

#[tokio::test]
async fn a_dead_one_that_nobody_reads_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let hold = Hold::new(Some(100_000));
    let mut first = Bridge::of(&hold);
    spawn(&hold, dir.path(), STALLED);
    first.until("death", |state| state.died.is_some()).await;
    first.end().await;
    let mut second = Bridge::of(&hold);
    ask(&hold, &Ask::Attach { generation: NUMBER });
    let state = second.until("end", |state| state.ended.is_some()).await;
    assert_eq!(state.ended.unwrap().how, "exit status: 3");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_it_leaves_in_its_group_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let hold = Hold::new(None);
    let mut bridge = Bridge::of(&hold);
    // It carries no mark.
    spawn(&hold, dir.path(), "env -i sleep 300 & echo $!");
    bridge.until("end", |state| state.ended.is_some()).await;
    let left = std::fs::read_to_string(output(dir.path())).unwrap();
    // Its pipes are closed a moment before it is gone.
    let gone = async {
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", left.trim())).unwrap_or_default();
            let state = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().next());
            if matches!(state, None | Some("Z" | "X")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it lives on");
}
