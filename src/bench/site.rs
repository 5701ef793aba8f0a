//! A throw-away home with its daemon, the simulated Feishu and the scripted model. Nothing of it outlives the measurement.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::Options;
use super::log::{self, Event};
use super::support::feishu_sim::{APP_ID, APP_SECRET, FeishuSim, SimMessage};
use crate::clock::Clock;
use crate::config::{Paths, write_missing, write_private};
use crate::control::{Client, DaemonState, StatusReport};
use crate::ledger::inbound::{InboundState, NewInbound};
use crate::ledger::{Ledger, LedgerLock, Places, Yardstick};
use crate::tasks::{OnExit, Tasks};

/// Longest wait for anything that must come.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longest wait for the daemon of an interrupted measurement, which somebody watches.
const LAST_WAIT: Duration = Duration::from_secs(15);

/// What does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    Codex,
    Embedded,
}

/// What a site is made with.
#[derive(Debug, Clone)]
pub struct Plan {
    pub worker: Worker,
    /// Direct chats, each of a person of its own.
    pub chats: usize,
    /// Tasks at the same time.
    pub parallel: usize,
    /// 5 messages a second to a chat, then 230020.
    pub chat_limit: bool,
    /// The log says when what happened: see [`log::events`]. It costs a little.
    pub timed: bool,
}

impl Plan {
    pub fn of(worker: Worker, chats: usize) -> Self {
        Self { worker, chats, parallel: 4, chat_limit: false, timed: false }
    }
}

pub struct Site {
    pub sim: FeishuSim,
    pub plan: Plan,
    pub paths: Paths,
    folder: tempfile::TempDir,
    program: Option<PathBuf>,
    tasks: Tasks,
    daemon: Option<Child>,
    /// When the daemon was last started, by the wall clock.
    pub started_ms: i64,
}

/// Of a measurement that is interrupted nothing is left: its folder is taken away once nobody writes there any more.
impl Drop for Site {
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        drop(daemon.stdin.take());
        let began = Instant::now();
        while began.elapsed() < LAST_WAIT && matches!(daemon.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Site {
    pub async fn prepare(options: &Options, plan: Plan) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.folder)?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&options.folder)?;
        let paths = Paths::of_home(folder.path().join("ally"), None);
        write_missing(&paths)?;
        let sim = FeishuSim::start().await;
        sim.rules(|rules| rules.chat_limit = plan.chat_limit);
        for n in 0..plan.chats {
            sim.add_user(&user(n), &format!("Person {n}"));
            sim.add_direct(&chat(n), &user(n));
        }
        write_private(&paths.config, &settings(&plan))?;
        let secrets =
            format!("FEISHU_APP_ID={APP_ID}\nFEISHU_APP_SECRET={APP_SECRET}\nFEISHU_BASE_URL={}\n", sim.base_url());
        write_private(&paths.env, &secrets)?;
        let tasks = Tasks::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let model = format!("http://{}/v1", listener.local_addr()?);
        tasks.spawn("bench.model", OnExit::LogOnly, |cancel| crate::demo::serve(listener, cancel));
        if plan.worker == Worker::Codex {
            write_private(&paths.codex.join("config.toml"), &crate::demo::codex_config(&model))?;
        }
        let program = options.codex.clone();
        Ok(Self { sim, plan, paths, folder, program, tasks, daemon: None, started_ms: 0 })
    }

    /// Starts the daemon and waits until it takes work, is connected and has its runtime.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        let home = self.folder.path();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["run", "--with-parent", "--quiet"])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", home)
            .env("ALLY_HOME", &self.paths.home)
            .env("ALLY_RUNTIME", if self.plan.worker == Worker::Codex { "codex" } else { "embedded" })
            .env("ALLY_LOG", if self.plan.timed { log::FILTER } else { "info" })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(program) = &self.program {
            command.env("ALLY_RUNTIME_BIN", program);
        }
        self.started_ms = Clock::default().now_ms();
        let daemon = command.spawn().context("the daemon could not be started")?;
        self.daemon = Some(daemon);
        let began = Instant::now();
        loop {
            if let Some(status) = self.status().await
                && is_ready(&status)
            {
                break;
            }
            if let Some(daemon) = &mut self.daemon
                && let Some(status) = daemon.try_wait()?
            {
                let mut said = String::new();
                if let Some(mut stderr) = daemon.stderr.take() {
                    stderr.read_to_string(&mut said).await?;
                }
                bail!("the daemon ended with {status}: {said}");
            }
            ensure!(began.elapsed() < PATIENCE, "the daemon was not ready within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends the daemon as its parent's end does.
    pub async fn down(&mut self) -> anyhow::Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        drop(daemon.stdin.take());
        match tokio::time::timeout(Duration::from_secs(120), daemon.wait()).await {
            Ok(ended) => drop(ended?),
            Err(_) => daemon.kill().await?,
        }
        Ok(())
    }

    /// Ends everything of the site.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.down().await?;
        self.tasks.stop(Duration::from_secs(5)).await;
        Ok(())
    }

    pub async fn status(&self) -> Option<StatusReport> {
        Client::connect(&self.paths).ok()?.get("/v1/status").await.ok()
    }

    /// Processes: supervisor and bridge.
    pub async fn pids(&self) -> anyhow::Result<(u32, u32)> {
        let pids = self.status().await.context("the daemon does not answer")?.pids;
        Ok((pids.supervisor.context("no supervisor")?, pids.bridge.context("no bridge")?))
    }

    pub fn events(&self) -> Vec<Event> {
        log::events(&self.paths.logs)
    }

    /// Says something in a chat.
    pub fn say(&self, n: usize, text: &str) -> String {
        self.sim.say(&chat(n), &user(n), text)
    }

    /// What a person reads as the answer to a message.
    pub fn answers(&self, message: &str) -> Vec<SimMessage> {
        self.sim.answers_to(message).into_iter().filter(|sent| sent.msg_type != "interactive").collect()
    }

    /// Waits for the answer to a message; gives the milliseconds between both, by the platform's clock.
    pub async fn answered(&self, message: &str) -> anyhow::Result<i64> {
        let asked = self.sim.message(message).created_ms;
        let began = Instant::now();
        loop {
            if let Some(answer) = self.answers(message).first() {
                return Ok(answer.created_ms - asked);
            }
            ensure!(began.elapsed() < PATIENCE, "no answer came within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until nothing runs, waits or is on its way out.
    pub async fn settled(&self, patience: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.status().await {
                let turns = &status.turns;
                let active = turns.queued + turns.submitting + turns.running + turns.waiting;
                if active + status.outbox.ready + status.outbox.sending + status.surfaces_pending == 0 {
                    return Ok(());
                }
            }
            ensure!(began.elapsed() < patience, "work was left after {patience:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A bare commit beside the ledger, on the same disk.
    pub fn yardstick(&self) -> anyhow::Result<Yardstick> {
        yardstick(self.folder.path())
    }

    /// The ledger itself, while no daemon has it.
    pub fn ledger(&self) -> anyhow::Result<(Ledger, LedgerLock)> {
        let lock = LedgerLock::take(&self.paths.ledger_lock(), &self.paths.ledger)?;
        let places = Places { file: self.paths.ledger.clone(), backups: self.paths.backups.clone() };
        Ok((Ledger::open(&places, &lock)?, lock))
    }
}

/// Nothing is forgotten: filled turns lie up to two years back, and to forget them is no part of a message's price. Nothing is
/// refused either: what is too much for this machine must show as time.
fn settings(plan: &Plan) -> String {
    let users: Vec<String> = (1..plan.chats).map(user).collect();
    format!(
        "lang = \"en\"\n\n[feishu]\nenabled = true\n\n[access]\nowner = {:?}\nusers = {users:?}\n\n[conversation]\nparallel = {}\n\n\
         [ledger]\nkeep_days = 0\n\n\
         [limits]\nqueue_per_person = 1000\nqueue_per_conversation = 10000\nqueue_per_chat = 10000\nqueue = 100000\n",
        user(0),
        plan.parallel
    )
}

fn is_ready(status: &StatusReport) -> bool {
    let runtime = status.runtime.as_ref().is_some_and(|runtime| runtime.state == "ready");
    let feishu = status.channels.iter().any(|channel| channel.name == "feishu" && channel.state == "connected");
    status.state == DaemonState::Running && runtime && feishu
}

/// A second file below `folder`.
pub fn yardstick(folder: &Path) -> anyhow::Result<Yardstick> {
    let folder = folder.join("yardstick");
    std::fs::create_dir_all(&folder)?;
    Ok(Yardstick::open(&Places { file: folder.join("plain.db"), backups: folder.join("backups") })?)
}

/// A row as heavy as that of one of the simulator's events.
pub fn comparable(n: u64, text: &str) -> NewInbound {
    NewInbound {
        channel: "feishu".into(),
        dedupe_key: format!("om_{n:032}"),
        kind: "message",
        state: InboundState::Received,
        reason: None,
        chat: Some("oc_direct".into()),
        chat_kind: Some("direct"),
        message: Some(format!("om_{n:032}").as_str().into()),
        sender: Some("ou_owner".into()),
        raw: Some(format!("{text}{}", "x".repeat(720))),
        sent_at_ms: Some(1),
        received_at_ms: 1,
    }
}

pub fn chat(n: usize) -> String {
    format!("oc_{n:04}")
}

pub fn user(n: usize) -> String {
    format!("ou_{n:04}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load};

    #[tokio::test]
    async fn a_site_forgets_nothing_that_it_was_filled_with() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { folder: folder.path().to_owned(), codex: None, quick: true };
        let site = Site::prepare(&options, Plan::of(Worker::Embedded, 2)).await.unwrap();
        let home = site.paths.home.display().to_string();
        let config = load(&Environment::of([("ALLY_HOME", home.as_str()), ("HOME", home.as_str())])).unwrap();
        assert_eq!(config.limits.queue.keep_days, 0);
        site.end().await.unwrap();
    }
}
