//! The supervisor's loop: start, watch, restart, end.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use super::crashes::{CrashLoop, Crashes};
use super::daemon;
use super::hold::Hold;
use super::link::{BEAT, stdin_pipe, until_eof};
use super::lock::Lock;
use super::manager::{Manager, Proof, UNPROVEN};
use super::orphans;
use super::policy::{Awake, HEALTHY, Next, Policy, REST};
use crate::clock::Clock;
use crate::config::Paths;
use crate::crash;
use crate::domain::hold::VERSION;

/// A bridge that has never beaten gets longer: it may still be loading its own program from a slow disk.
const FIRST_BEAT: Duration = Duration::from_secs(30);
/// After the grace the bridge gets so long to settle what it cut, to write its answers and to end its children: the sum
/// of the deadlines in `app::stop`, and a little more. One that hangs is found by its silence, much earlier.
pub const AFTER_GRACE: Duration = Duration::from_secs(35);
/// The same between TERM, which takes back the grace, and KILL.
pub const AFTER_TERM: Duration = Duration::from_secs(30);

/// A start reads a large ledger, or copies it before it is migrated. The same as `TimeoutStartSec` of our units.
const STARTS: Duration = Duration::from_secs(15 * 60);
/// The settings are two small files.
const CHECK: Duration = Duration::from_secs(20);

/// A bridge that has ended may have said something that nobody has heard yet.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the supervisor must know.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// The home.
    pub paths: Paths,
    /// The program to start as `bridge`: this very one.
    pub program: PathBuf,
    /// What running turns get when ally stops.
    pub grace: Duration,
    /// End when our own stdin closes: whoever started us is gone.
    pub with_parent: bool,
    /// The bridge logs to stderr, too.
    pub foreground: bool,
    /// HUP says that the terminal is gone in which we run, and not that the settings have changed.
    pub hangup_ends: bool,
}

/// Runs until it is told to end or the bridge ends by itself. A bridge that dies is started again, and one that dies again
/// and again is tried now and then. Gives the exit code.
pub async fn run(config: SupervisorConfig) -> anyhow::Result<u8> {
    // Whoever sees the lock held may send a signal.
    let mut wishes = Wishes::listen(&config)?;
    let _lock = Lock::take_saying(&config.paths.supervisor_lock(), &daemon::can_hold())?;
    orphans::become_subreaper();
    let hold = Hold::new(for_tests(&config.paths.hold_limit()));
    let manager = Manager::new();
    let rest = for_tests(&config.paths.crash_rest()).map_or(REST, Duration::from_millis);
    let mut policy = Policy::resting(rest);
    let mut from_ms = 0;
    Crashes::forget(&config.paths);
    crash::arm(config.paths.crash_point());
    let code = loop {
        let started = Instant::now();
        let end = live(&config, &hold, &mut wishes, &manager, Ending::No).await;
        if end.wanted {
            Crashes::forget(&config.paths);
            info!(exit.code = end.code, "The bridge has ended, as it was told to");
            break match end.unfinished {
                true => drain(&config, &hold, &mut wishes, &manager).await,
                // Whatever became of it: who wants an end gets none that a service manager takes for a crash.
                false => 0,
            };
        }
        let now_ms = Clock::default().now_ms();
        if end.code != Some(0)
            && !end.replaced
            && let Err(error) = Crashes::add(&config.paths, end.how.clone(), now_ms)
        {
            warn!(%error, "The death of the bridge could not be written down for `ally status`");
        }
        let next = match end.killed {
            _ if end.replaced => Next::Restart(Duration::ZERO),
            _ if (end.killed || end.code.is_none()) && crash::has_fault("restart at once") => {
                Next::Restart(Duration::ZERO)
            }
            true => policy.after_a_kill(started.elapsed(), Instant::now()),
            false => {
                // One that had to be killed lived until it hung.
                let lived = end.hung_after.unwrap_or_else(|| started.elapsed());
                policy.after(end.code, lived, Instant::now(), !hold.pids().is_empty())
            }
        };
        if policy.deaths() == 1 && !end.replaced {
            from_ms = now_ms;
        }
        let wait = match next {
            Next::End(code) => break code,
            Next::Rest(wait) => {
                let next_ms = now_ms + i64::try_from(wait.as_millis()).unwrap_or(0);
                let found = CrashLoop { deaths: policy.deaths(), from_ms, to_ms: now_ms, last_exit: end.how, next_ms };
                if let Err(error) = found.write(&config.paths) {
                    warn!(%error, "That the bridge keeps dying could not be written down for `ally status`");
                }
                let (deaths, wait_s) = (found.deaths, wait.as_secs());
                error!(deaths, wait_s, "The bridge keeps dying; it rests before the next try. The log above tells why");
                manager
                    .resting(&format!("the bridge died {deaths} times ({}); next try in {wait_s} s", found.last_exit));
                wait
            }
            Next::Restart(wait) => {
                if end.replaced {
                    info!("The bridge is replaced");
                } else {
                    warn!(exit.code = end.code, wait_s = wait.as_secs(), "The bridge died; it is started again");
                    manager.status(&format!("the bridge died ({}) and is started again", end.how));
                }
                wait
            }
        };
        if wishes.within(wait, &hold, &manager).await {
            break drain(&config, &hold, &mut wishes, &manager).await;
        }
    };
    manager.stopping();
    hold.end().await;
    let left = orphans::end_all().await;
    if left > 0 {
        warn!(processes = left, "Ended processes that were left behind");
    }
    Ok(code)
}

/// One life of the bridge. With [`Ending::Draining`] it is to end from the beginning.
async fn live(config: &SupervisorConfig, hold: &Hold, wishes: &mut Wishes, manager: &Manager, ending: Ending) -> End {
    let lived = async {
        let (mut bridge, words) = Bridge::start(config)?;
        let telling = hold.serve(words);
        let end = bridge.watch(wishes, config, hold, manager, ending).await;
        telling.stop(Duration::from_millis(100)).await;
        end
    };
    let end = lived.await.unwrap_or_else(|error| {
        error!(error = %format!("{error:#}"), "The bridge could not be started");
        End { code: None, how: format!("not started: {error:#}"), wanted: false, ..End::default() }
    });
    daemon::forget_bridge(&config.paths);
    orphans::reap(&hold.pids());
    end
}

/// The end was wished for when no bridge was there that could give what runs its grace and settle it: one more is started
/// for that alone. Gives the exit code.
async fn drain(config: &SupervisorConfig, hold: &Hold, wishes: &mut Wishes, manager: &Manager) -> u8 {
    manager.stopping();
    if hold.pids().is_empty() {
        return 0;
    }
    info!("A runtime may have work: a bridge is started once more, to end it");
    let end = live(config, hold, wishes, manager, Ending::Draining).await;
    Crashes::forget(&config.paths);
    info!(exit.code = end.code, "The bridge has ended");
    0
}

/// In test builds a file may name another limit.
fn for_tests(file: &Path) -> Option<u64> {
    if !cfg!(debug_assertions) {
        return None;
    }
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Whether a bridge would start with the settings as they are on the disk. What is wrong with them goes to our stderr and
/// into the log.
async fn settings_hold(config: &SupervisorConfig) -> bool {
    let mut command = Command::new(&config.program);
    command.args(["bridge", "--check"]).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(CHECK, command.status()).await {
        Ok(Ok(status)) if status.success() => true,
        Ok(Ok(status)) => {
            error!(%status, "The settings cannot be used and nothing is changed; `ally reload` tells what is wrong");
            false
        }
        Ok(Err(error)) => {
            error!(%error, "The settings could not be checked and nothing is changed");
            false
        }
        Err(_) => {
            error!("The settings could not be checked in time and nothing is changed");
            false
        }
    }
}

/// What people and the kernel want of us.
struct Wishes {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    replace: tokio::signal::unix::Signal,
    reload: tokio::signal::unix::Signal,
    child: tokio::signal::unix::Signal,
    parent: Option<tokio::net::unix::pipe::Receiver>,
    hangup_ends: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Wish {
    End,
    /// Another bridge, from the program that is on the disk now.
    Replace,
    /// The same, where the settings on the disk can be used.
    Reload,
    Reap,
}

impl Wishes {
    fn listen(config: &SupervisorConfig) -> anyhow::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            replace: signal(SignalKind::user_defined1())?,
            reload: signal(SignalKind::hangup())?,
            child: signal(SignalKind::child())?,
            parent: if config.with_parent { Some(stdin_pipe()?) } else { None },
            hangup_ends: config.hangup_ends,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.term.recv() => Wish::End,
            _ = self.int.recv() => Wish::End,
            _ = self.replace.recv() => Wish::Replace,
            _ = self.reload.recv() => if self.hangup_ends { Wish::End } else { Wish::Reload },
            _ = self.child.recv() => Wish::Reap,
            () = eof(&mut self.parent) => Wish::End,
        }
    }

    /// Waits; true when the end was wished for meanwhile.
    async fn within(&mut self, wait: Duration, hold: &Hold, manager: &Manager) -> bool {
        let until = Instant::now() + wait;
        let mut signs = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                () = sleep_until(until) => return false,
                // Nobody hangs who waits.
                _ = signs.tick() => manager.alive(),
                wish = self.next() => match wish {
                    Wish::End => return true,
                    // It is about to be there, with the settings as they are then.
                    Wish::Replace | Wish::Reload => return false,
                    Wish::Reap => orphans::reap(&hold.pids()),
                },
            }
        }
    }
}

/// Resolves once, when the pipe ends; never without a pipe.
async fn eof(pipe: &mut Option<tokio::net::unix::pipe::Receiver>) {
    let Some(open) = pipe else { return std::future::pending().await };
    until_eof(open).await;
    *pipe = None;
}

struct Bridge {
    child: Child,
    pid: u32,
    /// Open means "go on".
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// It takes work, and heeds TERM.
    is_ready: bool,
}

#[derive(Default)]
struct End {
    code: Option<i32>,
    /// In the system's words.
    how: String,
    wanted: bool,
    /// Wanted, and what is held was left as it is.
    unfinished: bool,
    /// By somebody else, after it had taken work.
    killed: bool,
    /// It was to make room for another.
    replaced: bool,
    /// It hung, and was well for so long before.
    hung_after: Option<Duration>,
}

/// How far an end that was wished for has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Leaving,
    Draining,
    Terminated,
    Killed,
}

impl Bridge {
    /// Gives the way for what is said to it as well.
    fn start(config: &SupervisorConfig) -> anyhow::Result<(Self, OwnedWriteHalf)> {
        let (ours, its) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = Command::new(&config.program)
            .args(["bridge", "--hold", &VERSION.to_string()])
            .args(config.foreground.then_some("--foreground"))
            // Its threads take turns: an arena of memory for each would only keep what nobody uses (glibc).
            .env("MALLOC_ARENA_MAX", "2")
            // The service manager hears the supervisor only.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::piped())
            .stdout(OwnedFd::from(its))
            .stderr(Stdio::inherit())
            // A Ctrl-C in the terminal is for the supervisor, which then ends the bridge gently.
            .process_group(0)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        if let Err(error) = daemon::remember_bridge(&config.paths, pid) {
            // It runs, and what is held needs it; a disk that is full has room again some time.
            warn!(%error, "The bridge's process could not be noted");
        }
        info!(bridge.pid = pid, "The bridge is started");
        let stdin = child.stdin.take();
        let (heard, words) = UnixStream::from_std(ours)?.into_split();
        Ok((Self { child, pid, stdin, lines: BufReader::new(heard).lines(), is_ready: false }, words))
    }

    /// Until it has ended.
    async fn watch(
        &mut self,
        wishes: &mut Wishes,
        config: &SupervisorConfig,
        hold: &Hold,
        manager: &Manager,
        mut ending: Ending,
    ) -> anyhow::Result<End> {
        let mut grace = config.grace;
        let mut healthy_at = Some(Instant::now() + HEALTHY);
        let unproven = for_tests(&config.paths.unproven()).map_or(UNPROVEN, Duration::from_millis);
        let mut proof = Proof::none(Instant::now(), unproven);
        let mut silent_at = Instant::now() + FIRST_BEAT;
        let mut patience: Option<Instant> = None;
        if ending == Ending::Draining {
            (ending, patience) = self.press(Ending::No, grace);
        }
        let mut was_to_leave = false;
        let (mut hears, mut hangs) = (true, false);
        let began = Instant::now();
        let mut well_until = began;
        let mut ready_by = Some(began + STARTS);
        let mut awake = Awake::from(Instant::now());
        loop {
            // What has come is looked at before any deadline is: after a pause of our own both are there at once.
            tokio::select! {
                biased;
                status = self.child.wait() => {
                    let status = status?;
                    self.hear_the_rest(hold).await;
                    let by_signal = [Signal::KILL, Signal::TERM].map(|signal| Some(signal.as_raw()));
                    let by_somebody = by_signal.contains(&status.signal())
                        || status.code() == Some(i32::from(super::EXIT_TERMINATED));
                    return Ok(End {
                        code: status.code(),
                        how: status.to_string(),
                        wanted: !matches!(ending, Ending::No | Ending::Leaving),
                        unfinished: ending == Ending::Draining && (was_to_leave || status.code() != Some(0)),
                        replaced: ending == Ending::Leaving,
                        killed: by_somebody && self.is_ready && !hangs,
                        hung_after: hangs.then(|| well_until.duration_since(began)),
                    });
                }
                wish = wishes.next() => match wish {
                    Wish::Reap => orphans::reap(&[&hold.pids()[..], &[self.pid]].concat()),
                    Wish::End => {
                        manager.stopping();
                        (ending, patience) = self.press(ending, grace);
                    }
                    Wish::Replace | Wish::Reload if ending == Ending::No => {
                        if wish == Wish::Reload {
                            if !settings_hold(config).await {
                                manager.status("running; the settings on the disk cannot be used, see `ally reload`");
                                continue;
                            }
                            manager.reloading();
                        }
                        info!(bridge.pid = self.pid, "The bridge is to make room for another");
                        hold.tell_to_leave();
                        was_to_leave = true;
                        // One that cannot leave its runtime drains.
                        (ending, patience) = (Ending::Leaving, Some(Instant::now() + grace + AFTER_GRACE));
                    }
                    Wish::Replace | Wish::Reload => {}
                },
                line = self.lines.next_line(), if hears => match line {
                    Ok(Some(word)) => {
                        let now = Instant::now();
                        silent_at = now + 3 * BEAT;
                        if proof.is_heard(now, self.is_ready && ending == Ending::No) {
                            well_until = now;
                            manager.alive();
                        }
                        if word.starts_with('{') {
                            hold.take(&word);
                        } else if word == "well" {
                            proof.give(now);
                            well_until = now;
                            manager.alive();
                        } else if let Some(millis) = word.strip_prefix("grace ").and_then(|told| told.parse().ok()) {
                            // The settings may have changed since we began.
                            grace = Duration::from_millis(millis);
                        } else if word == "ready" {
                            self.is_ready = true;
                            ready_by = None;
                            info!(bridge.pid = self.pid, "The bridge is ready");
                            manager.ready();
                            Crashes::forget(&config.paths);
                            if ending == Ending::Terminated {
                                self.send(Signal::TERM);
                            }
                        }
                    }
                    _ => hears = false,
                },
                () = sleep_until(awake.next()) => {
                    if let Some(slept) = awake.woke(Instant::now()) {
                        info!(slept_s = slept.as_secs(), "ally was paused; the bridge gets its time anew");
                        silent_at = (silent_at + slept).max(Instant::now() + 3 * BEAT);
                        patience = patience.map(|at| at + slept);
                        proof.shift(slept);
                        ready_by = ready_by.map(|at| at + slept);
                    }
                }
                () = sleep_until(healthy_at.unwrap_or(silent_at)), if healthy_at.is_some() && self.is_ready => {
                    let now = Instant::now();
                    healthy_at = (!proof.is_fresh(now)).then(|| now + HEALTHY);
                    if healthy_at.is_none() && CrashLoop::forget(&config.paths) {
                        info!(bridge.pid = self.pid, "The bridge lives again");
                    }
                }
                () = sleep_until(proof.is_due().unwrap_or(silent_at)), if proof.is_due().is_some() && !hangs => {
                    error!(bridge.pid = self.pid, "The bridge beats, but its socket or its ledger do not answer; it is killed");
                    hangs = true;
                    self.send(Signal::KILL);
                }
                () = sleep_until(ready_by.unwrap_or(silent_at)), if ready_by.is_some() && !hangs => {
                    error!(bridge.pid = self.pid, "The bridge beats and is not ready after {} min; it is killed", STARTS.as_secs() / 60);
                    (hangs, ready_by) = (true, None);
                    self.send(Signal::KILL);
                }
                () = sleep_until(silent_at), if ending != Ending::Killed => {
                    error!(bridge.pid = self.pid, "The bridge has been silent for three heartbeats; it is killed");
                    hangs = true;
                    self.send(Signal::KILL);
                    silent_at = Instant::now() + FIRST_BEAT;
                }
                () = sleep_until(patience.unwrap_or(silent_at)), if patience.is_some() && ending == Ending::Leaving => {
                    warn!(bridge.pid = self.pid, "The bridge does not make room; it is killed");
                    self.send(Signal::KILL);
                    patience = None;
                }
                () = sleep_until(patience.unwrap_or(silent_at)), if patience.is_some() => {
                    (ending, patience) = self.press(ending, grace);
                }
            }
        }
    }

    /// What it said before it ended counts: an answer may be among it.
    async fn hear_the_rest(&mut self, hold: &Hold) {
        let rest = async {
            while let Ok(Some(word)) = self.lines.next_line().await {
                if word.starts_with('{') {
                    hold.take(&word);
                }
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    }

    /// The next step of an end: close the pipe, then TERM, then KILL.
    fn press(&mut self, ending: Ending, grace: Duration) -> (Ending, Option<Instant>) {
        match ending {
            Ending::No | Ending::Leaving => {
                info!(grace_s = grace.as_secs(), "ally ends: running turns get their grace; once more to end at once");
                self.stdin = None;
                (Ending::Draining, Some(Instant::now() + grace + AFTER_GRACE))
            }
            Ending::Draining => {
                warn!(bridge.pid = self.pid, "The bridge is told to end at once");
                // One that is just starting would die of it instead, and what is held is not settled then.
                if self.is_ready {
                    self.send(Signal::TERM);
                }
                (Ending::Terminated, Some(Instant::now() + AFTER_TERM))
            }
            Ending::Terminated | Ending::Killed => {
                warn!(bridge.pid = self.pid, "The bridge is killed");
                self.send(Signal::KILL);
                (Ending::Killed, None)
            }
        }
    }

    fn send(&self, signal: Signal) {
        daemon::signal(self.pid, signal);
    }
}
