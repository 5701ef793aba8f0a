//! The composition root: the only place that knows everything. It resolves nothing and decides nothing; it hands each part
//! its own small settings, starts them in order and stops them in the reverse one.

mod approval;
mod assistant;
mod doctor;
mod high_water;
mod proof;
mod routines;
mod runtime_settings;
mod service;
mod trial;

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::approval::Approvals;
use crate::bridge::core::{BridgeConfig, Busy, Core, Scope};
use crate::bridge::host::{Host, HostState};
use crate::bridge::notices::{self, Cause, Crashed};
use crate::bridge::ports::{Channel, Launcher, Probe, SpawnSpec};
use crate::bridge::{Bridge, rights_of_app};
use crate::channels::feishu::{self, Feishu, FeishuConfig, Proxy};
use crate::channels::local::{LocalChannel, LocalConfig, routes};
use crate::clock::Clock;
use crate::config::{self, Config, Directory, Environment, RuntimeConfig};
use crate::control::{Control, serve_numbers};
use crate::domain::access::Access;
use crate::domain::ids::Generation;
use crate::domain::safety::{Outcome, Tried};
use crate::ledger::{Ledger, LedgerLock, OpenError, Places};
use crate::runtimes::codex::{CodexConfig, CodexLauncher, ToolServer, locate};
use crate::runtimes::embedded::{self, EmbeddedConfig, EmbeddedLauncher};
use crate::runtimes::process::Holder;
use crate::supervisor::{BridgeLink, CrashLoop, EXIT_TERMINATED, Lock, LockError};
use crate::tasks::{OnExit, Tasks};
use crate::words::safety_warnings;

use doctor::Looks;
pub(crate) use doctor::{access, codex, feishu_app, proxy};
pub(crate) use routines::{RUNS, Told as RoutinesTold, UPCOMING};
use runtime_settings::RuntimeSettings;
use service::Daemon;
pub(crate) use service::{
    AUDIT_ROWS, audit_row, backup_report, restored_report, restored_warning, rule_row, tell_counts, tell_routines,
};
pub(crate) use trial::{TrialError, try_turn};

/// What keeps the bridge from starting and is for a person to change. The command line knows what to do about each.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two connections of one app would split its events.
    #[error("the Feishu app {app_id} is connected from another home (pid {})", pid.map_or("unknown".to_owned(), |pid| pid.to_string()))]
    AppHeld {
        /// The app.
        app_id: String,
        /// The bridge of the other home, where it is written down.
        pid: Option<u32>,
    },
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::OpenError),
}

/// Who ends all of ally's processes at once reaches them all within this.
const FOR_ALL: Duration = Duration::from_millis(500);

/// What ends the bridge, and how quickly.
#[derive(Default)]
pub(crate) struct Ending {
    wanted: Notify,
    /// No grace any more. May come before the drain or in the middle of it.
    hurry: CancellationToken,
    /// TERM came.
    terminated: CancellationToken,
    draining: AtomicBool,
    ready: AtomicBool,
}

/// Runs the bridge below a supervisor until that wants it to end.
///
/// # Errors
/// What keeps it from starting, in words for the log; the supervisor tries again unless it is the configuration.
///
/// `hold` says in which words the supervisor offers to hold runtimes.
pub async fn run_bridge(config: Config, environment: Environment, hold: Option<u32>) -> anyhow::Result<ExitCode> {
    let tasks = Tasks::default();
    let (link, held) = BridgeLink::from_stdio(&tasks, hold)?;
    // What is held outlives the cancelling of the work that uses it.
    let holder = held.map(|held| Holder::start(held.words, held.heard, &Tasks::default()));
    let paths = config.paths.clone();
    crate::crash::arm(paths.crash_point());
    if let Some(settings) = &config.feishu {
        feishu::prepare(&settings.base_url);
    }
    let lock = LedgerLock::take(&paths.ledger_lock(), &paths.ledger).map_err(StartError::from)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let places = Places { file: paths.ledger.clone(), backups: paths.backups.clone() };
    high_water::refuse_if_gone(&places, &paths.high_water()).map_err(StartError::from)?;
    let ledger = Ledger::open(&places, &lock).map_err(StartError::from)?;
    let app_lock = app_lock(&config)?;
    let outside = config.feishu.as_ref().map(|feishu| config.app_locks.join(format!("{}.high-water", feishu.app_id)));
    // In the home it would be the same note once more.
    let outside = outside.filter(|note| !note.starts_with(&paths.home));
    let notes = high_water::Notes { inside: paths.high_water(), outside };
    high_water::recognise(&ledger, &notes, Clock::default().now_ms()).await?;
    if let Some(feishu) = &config.feishu {
        let now_ms = Clock::default().now_ms();
        if let Err(error) = rights_of_app(&ledger, &"feishu".into(), &feishu.app_id, now_ms).await {
            // A disk that is full now: it is done by a later start.
            warn!(%error, "Whether the app is another one could not be noted");
        }
    }
    if let Err(error) = assistant::prepare(&paths.assistant) {
        // Everything else works without it.
        warn!(folder = %paths.assistant.display(), %error, "The assistant's directory cannot be made ready");
    }
    let parts = Parts::build(&config, &ledger, holder.clone(), &tasks)?;
    let ending = Arc::new(Ending::default());
    let bridge = Bridge::start(Arc::clone(&parts.core)).await?;
    let (watched, noting) = (ledger.clone(), tasks.child());
    noting.spawn("high-water", OnExit::LogOnly, |cancel| high_water::keep(watched, notes, cancel));
    let intake = bridge.intake();
    let safety = Arc::new(OnceLock::new());
    let app = doctor::feishu_app(&config);
    let approvals = app.map(|app| Arc::new(Approvals::new(Arc::clone(&parts.core), app)));
    if let Some(approvals) = approvals.clone() {
        parts.working.spawn("approvals", OnExit::LogOnly, |cancel| async move { approvals.watch(cancel).await });
    }
    let safety_of = Arc::clone(&safety);
    let service = Daemon::new(Arc::clone(&parts.core), &config, Arc::clone(&ending), safety_of, approvals);
    let service = Arc::new(service);
    parts.core.set_examiner(Arc::new(Looks::new(config.clone(), environment, &parts.core, &service)));
    let trying = try_once(Arc::clone(&parts.core), probe(&config, "bridge"), safety);
    tell_owner(&parts, &paths);
    let settings = RuntimeSettings::of(&config);
    let host = parts.core.host.clone();
    noting.spawn("runtime-settings", OnExit::LogOnly, |cancel| runtime_settings::keep(host, settings, cancel));
    parts.listening.spawn("probe", OnExit::LogOnly, |cancel| async move {
        let _ = cancel.run_until_cancelled(trying).await;
        Ok(())
    });
    let more = routes(parts.local.clone(), intake.clone(), tasks.token());
    let control = Control::bind(&paths)?;
    let serving = tasks.child();
    if let Some(port) = config.metrics_port {
        let service = Arc::clone(&service);
        serving.spawn("numbers", OnExit::LogOnly, move |cancel| serve_numbers(port, service, cancel));
    }
    serving.spawn("control", OnExit::StopDaemon, |cancel| control.serve(service, more, cancel));
    if let Some(feishu) = parts.feishu.clone() {
        parts.listening.spawn("feishu", OnExit::StopDaemon, |cancel| feishu.run(intake, cancel));
    }
    ending.ready.store(true, Ordering::Release);
    // Whoever hears that it is ready may send it.
    heed_term(&ending, &tasks)?;
    link.ready(config.turn.grace).await;
    let (proved, home) = (link.clone(), paths.clone());
    parts.listening.spawn("proof", OnExit::LogOnly, |cancel| proof::give(proved, home, cancel));
    info!(home = %paths.home.display(), "ally is ready");
    let damage = look_for_damage(&ledger, &ending, &tasks);
    let leaves = until_wanted(&link, holder.as_ref(), &ending, &tasks).await;
    let failed = tasks.fatal();
    // What a part that failed has left undone the next bridge does.
    let leaves = leaves || failed.is_some();
    // A part that failed has ended the others by now, and what is held must hear nothing of that.
    if let Some(holder) = holder.as_ref().filter(|_| failed.is_some()) {
        holder.leave();
    }
    stop(&bridge, parts, &ending, leaves, holder.as_ref()).await;
    serving.stop(Duration::from_secs(3)).await;
    noting.stop(Duration::from_secs(2)).await;
    tasks.stop(Duration::from_secs(2)).await;
    drop(bridge);
    ledger.close().await;
    drop((app_lock, lock));
    if let Some(damage) = damage.lock().expect("no code panics while it holds this lock").take() {
        return Err(StartError::Ledger(damage).into());
    }
    Ok(match failed {
        Some(why) => {
            error!(error = %why, "The bridge ended because a part of it failed");
            ExitCode::FAILURE
        }
        // A wish to end comes by the supervisor; without one another bridge has to go on.
        None if leaves && ending.terminated.is_cancelled() => ExitCode::from(EXIT_TERMINATED),
        None => ExitCode::SUCCESS,
    })
}

/// Tries what the sandbox of the configured runtime promises; needs no daemon. The runtime's name, and what came of it.
pub async fn try_security(config: &Config) -> (&'static str, Vec<Tried>) {
    let launcher = launcher(config, &Clock::default(), None, None);
    let tried = launcher.probe(&probe(config, "doctor")).await;
    (launcher.kind(), tried)
}

/// A probe with a folder of its own: two may run at a time.
fn probe(config: &Config, who: &str) -> Probe {
    let (fixed, workspaces) = match &config.conversation.directory {
        Directory::Fixed(directory) => (Some(directory.clone()), &config.paths.workspaces),
        Directory::OwnBelow(folder) => (None, folder),
    };
    let each = std::fs::read_dir(workspaces).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    Probe { folder: config.paths.probe().join(who), denied: each.chain(fixed).collect() }
}

/// Crashes before this bridge, and whatever else the owner is to know of ally itself.
fn tell_owner(parts: &Parts, paths: &config::Paths) {
    let crashed = CrashLoop::read(paths).map(|found| Crashed {
        deaths: found.deaths,
        from_ms: found.from_ms,
        to_ms: found.to_ms,
        last_exit: found.last_exit,
    });
    let core = Arc::clone(&parts.core);
    parts.working.spawn("notices", OnExit::LogOnly, |cancel| notices::run(core, crashed, cancel));
}

/// Once, when the runtime is up: before that it may still have to be installed. The owner hears of a promise that is broken.
async fn try_once(core: Arc<Core>, probe: Probe, safety: Arc<OnceLock<Vec<Tried>>>) {
    let host = &core.host;
    let mut state = host.watch();
    if state.wait_for(|state| matches!(state, HostState::Live(_))).await.is_err() {
        return;
    }
    let tried = host.probe(&probe).await;
    for tried in tried.iter().filter(|tried| tried.outcome != Outcome::Held) {
        warn!(promise = ?tried.promise, outcome = ?tried.outcome, "The sandbox was tried, and not everything holds");
    }
    let broken: Vec<Tried> =
        tried.iter().filter(|tried| matches!(tried.outcome, Outcome::NotHeld { .. })).cloned().collect();
    let _ = safety.set(tried);
    if broken.is_empty() {
        return;
    }
    // Once for the same: each start tries anew.
    let once = format!("sandbox:{}", serde_json::to_string(&broken).unwrap_or_default());
    let words = |lang| safety_warnings(&broken, lang).join("\n");
    if let Err(error) = notices::tell(&core, &Cause::Sandbox, &[once], words).await {
        warn!(%error, "The owner could not be told that the sandbox does not hold");
    }
}

/// One connection an app, whichever home it comes from: Feishu gives each event to a random one.
fn app_lock(config: &Config) -> anyhow::Result<Option<Lock>> {
    let Some(feishu) = &config.feishu else { return Ok(None) };
    std::fs::create_dir_all(&config.app_locks)?;
    match Lock::take(&config.app_locks.join(format!("{}.lock", feishu.app_id))) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Held { pid }) => Err(StartError::AppHeld { app_id: feishu.app_id.clone(), pid }.into()),
        Err(LockError::Io(error)) => Err(error.into()),
    }
}

/// TERM means "at once", for as long as the bridge lives: also to one that drains already. To one that nobody wants to
/// end it means that this process ends, and no other.
fn heed_term(ending: &Arc<Ending>, tasks: &Tasks) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let ending = Arc::clone(ending);
    tasks.spawn("term", OnExit::LogOnly, |cancel| async move {
        while let Some(Some(())) = cancel.run_until_cancelled(term.recv()).await {
            info!("TERM came");
            ending.terminated.cancel();
            ending.hurry.cancel();
        }
        Ok(())
    });
    Ok(())
}

/// Of a ledger that was too large for it at the start. What is found ends the bridge as it would have kept it from starting.
fn look_for_damage(ledger: &Ledger, ending: &Arc<Ending>, tasks: &Tasks) -> Arc<Mutex<Option<OpenError>>> {
    let found = Arc::new(Mutex::new(None));
    let (ledger, ending, told) = (ledger.clone(), Arc::clone(ending), Arc::clone(&found));
    tasks.spawn("ledger-check", OnExit::LogOnly, |cancel| async move {
        match cancel.run_until_cancelled(ledger.check()).await {
            Some(Err(damage @ OpenError::Corrupt { .. })) => {
                *told.lock().expect("no code panics while it holds this lock") = Some(damage);
                ending.hurry.cancel();
                Ok(())
            }
            // It could not be read just now, which says nothing about it.
            Some(Err(error)) => Err(error.into()),
            Some(Ok(())) | None => Ok(()),
        }
    });
    found
}

/// Until it is to end. True when it is to make room for another one.
async fn until_wanted(link: &BridgeLink, holder: Option<&Holder>, ending: &Ending, tasks: &Tasks) -> bool {
    let ended = tasks.token();
    let replaced = async {
        match holder {
            Some(holder) => holder.told_to_leave().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = replaced => {
            info!("Another bridge is to go on");
            return true;
        }
        () = link.closed() => info!("The supervisor wants the bridge to end"),
        () = ending.wanted.notified() => info!("A stop was asked for"),
        () = ending.hurry.cancelled() => return ending.terminated.is_cancelled() && is_ended_alone(link).await,
        () = ended.cancelled() => {}
    }
    false
}

/// TERM came to this process alone: the supervisor, which gets it as well where everything is to end, goes on.
async fn is_ended_alone(link: &BridgeLink) -> bool {
    let alone = tokio::time::timeout(FOR_ALL, link.closed()).await.is_err();
    if alone {
        info!("This bridge is ended alone; another one is to go on");
    }
    alone
}

/// Intake, conversations, runtime, outbox. The ledger is closed last, by the caller.
async fn stop(bridge: &Bridge, parts: Parts, ending: &Ending, leaves: bool, holder: Option<&Holder>) {
    ending.draining.store(true, Ordering::Release);
    parts.listening.stop(Duration::from_secs(3)).await;
    let leaves = leaves
        && bridge.leave().await.unwrap_or_else(|error| {
            // What is not done by now the next one does.
            warn!(%error, "The bridge leaves without a last look at the ledger");
            true
        });
    if leaves {
        // Not before: until now the work went on, and what it committed has to be said as well.
        if let Some(holder) = holder {
            holder.leave();
        }
        parts.working.stop(Duration::from_secs(3)).await;
        return;
    }
    if let Err(error) = bridge.drain(parts.core.config.grace, &ending.hurry).await {
        error!(%error, "The drain did not come to its end; what is cut is recovered at the next start");
    }
    // The runtime gets EOF, TERM and KILL with two seconds each.
    parts.working.stop(Duration::from_secs(12)).await;
}

/// Everything that is made once.
struct Parts {
    core: Arc<Core>,
    local: LocalChannel,
    feishu: Option<Arc<Feishu>>,
    /// Tasks that take events in.
    listening: Tasks,
    /// Tasks that work on them.
    working: Tasks,
}

impl Parts {
    fn build(config: &Config, ledger: &Ledger, holder: Option<Holder>, tasks: &Tasks) -> anyhow::Result<Self> {
        let clock = Clock::default();
        let (listening, working) = (tasks.child(), tasks.child());
        let local = LocalChannel::new(
            LocalConfig { folder: config.paths.local.clone(), user: config.local_user.clone() },
            clock.clone(),
        );
        let feishu = match &config.feishu {
            Some(settings) => Some(Feishu::new(feishu_config(settings), clock.clone())?),
            None => None,
        };
        let mut channels: Vec<Arc<dyn Channel>> = vec![Arc::new(local.clone())];
        channels.extend(feishu.clone().map(|feishu| feishu as Arc<dyn Channel>));
        let program = std::env::current_exe()?;
        let host = Host::new(launcher(config, &clock, Some(program), holder), ledger.clone(), clock.clone());
        let bridge_config = bridge_config(config, &local);
        let core = Arc::new(Core::new(ledger.clone(), clock, working.clone(), bridge_config, channels, host));
        Ok(Self { core, local, feishu, listening, working })
    }
}

fn feishu_config(settings: &config::FeishuConfig) -> FeishuConfig {
    FeishuConfig {
        app_id: settings.app_id.clone(),
        app_secret: settings.app_secret.clone(),
        base_url: settings.base_url.clone(),
        proxy: settings.proxy.as_ref().map(proxy_of),
    }
}

fn proxy_of(proxy: &config::ProxyConfig) -> Proxy {
    Proxy { address: proxy.address.expose_secret().to_owned(), except: proxy.except.clone() }
}

/// `program` is this one, where it may be started as a runtime, or for its tools.
fn launcher(config: &Config, clock: &Clock, program: Option<PathBuf>, holder: Option<Holder>) -> Box<dyn Launcher> {
    let paths = &config.paths;
    // The runtime outlives the cancelling of the work that uses it: it is ended by its own shutdown.
    let own = Tasks::default();
    match &config.runtime {
        RuntimeConfig::Codex(codex) => {
            let settings = codex_config(config, codex, program);
            Box::new(CodexLauncher::new(settings, own).held_by(holder))
        }
        RuntimeConfig::Embedded => {
            let env = child_environment(config);
            let settings = EmbeddedConfig { home: paths.home.join("embedded"), run_dir: paths.run.clone(), env };
            let launcher = EmbeddedLauncher::new(settings, clock.clone(), own);
            Box::new(match program {
                Some(program) => launcher.as_process(program, holder),
                None => launcher,
            })
        }
    }
}

fn child_environment(config: &Config) -> Vec<(OsString, OsString)> {
    config.child_environment.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// `program` is this one, for the agent's tools.
fn codex_config(config: &Config, codex: &config::CodexConfig, program: Option<PathBuf>) -> CodexConfig {
    let paths = &config.paths;
    CodexConfig {
        bin: codex.program.clone(),
        runtimes_dir: paths.runtimes.clone(),
        home: codex.home.clone(),
        tmp_dir: paths.tmp.clone(),
        run_dir: paths.run.clone(),
        private: paths.private(),
        private_families: vec![paths.ledger.clone()],
        args: codex.args.clone(),
        model: codex.model.clone(),
        sandbox: codex.sandbox.clone(),
        approval_policy: codex.approval_policy.clone(),
        path: config.child_environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.into()),
        env: child_environment(config),
        tools: program.map(|program| ToolServer { program, home: paths.home.clone() }),
    }
}

/// The codex of this machine, as it would be run; nothing where another runtime is configured.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CodexHere {
    /// The version that ally is tested with.
    pub pinned: &'static str,
    /// The program that would be run.
    pub program: Option<PathBuf>,
    /// What it says of itself.
    pub version: Option<String>,
    /// Why there is none, or what is worth knowing of it.
    pub problem: Option<String>,
}

/// Looks for it; starts no daemon and downloads nothing.
pub async fn codex_here(config: &Config) -> Option<CodexHere> {
    let RuntimeConfig::Codex(codex) = &config.runtime else { return None };
    let pinned = locate::PINNED;
    Some(match locate::locate(&codex_config(config, codex, None)).await {
        Ok(found) => {
            CodexHere { pinned, program: Some(found.program), version: Some(found.version), problem: found.warning }
        }
        Err(error) => CodexHere { pinned, program: None, version: None, problem: Some(error.to_string()) },
    })
}

/// This process is the embedded runtime: it plays for whoever has the other ends of its stdin and stdout, until its input
/// ends.
///
/// # Errors
/// What keeps it from playing.
pub async fn play_embedded(
    home: PathBuf,
    generation: Generation,
    mark: String,
    environment: &Environment,
) -> anyhow::Result<()> {
    let env = environment.for_children().into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let run_dir = home.clone();
    let input = pipe::Receiver::from_file(std::io::stdin().as_fd().try_clone_to_owned()?.into())?;
    let output = pipe::Sender::from_file(std::io::stdout().as_fd().try_clone_to_owned()?.into())?;
    let spec = SpawnSpec { generation, mark };
    embedded::serve(EmbeddedConfig { home, run_dir, env }, spec, input, output).await
}

/// The home of the person that ally runs as; without one nothing counts as theirs but ally's own.
fn user_home(config: &Config) -> PathBuf {
    let home = config.child_environment.iter().find(|(name, _)| name == "HOME").map(|(_, value)| PathBuf::from(value));
    home.unwrap_or_else(|| config.paths.home.clone())
}

/// What is configured of the rights in Feishu.
fn floor(config: &Config) -> Access {
    Access {
        owner: config.access.owner.clone(),
        users: config.access.users.clone(),
        chats: config.access.chats.clone(),
        ..Access::default()
    }
}

fn bridge_config(config: &Config, local: &LocalChannel) -> BridgeConfig {
    let paths = &config.paths;
    let feishu = floor(config);
    let at_home = Access { owner: Some(local.owner()), ..Access::default() };
    let (directory, workspaces) = match &config.conversation.directory {
        Directory::Fixed(directory) => (Some(directory.clone()), paths.workspaces.clone()),
        Directory::OwnBelow(folder) => (None, folder.clone()),
    };
    BridgeConfig {
        lang: config.lang,
        directory,
        workspaces,
        roots: config.conversation.roots.clone(),
        user_home: user_home(config),
        ally_home: paths.home.clone(),
        attachments: paths.attachments.clone(),
        outbox: paths.outbox.clone(),
        scope: match config.conversation.scope {
            config::Scope::Topic => Scope::Topic,
            config::Scope::Chat => Scope::Chat,
        },
        busy: match config.conversation.busy {
            config::Busy::Queue => Busy::Queue,
            config::Busy::Steer => Busy::Steer,
            config::Busy::Reject => Busy::Reject,
        },
        parallel: config.conversation.parallel,
        shared_directory: config.conversation.shared_directory,
        idle_timeout: config.turn.idle_timeout,
        tool_timeout: config.turn.tool_timeout,
        max_time: config.turn.max_time,
        grace: config.turn.grace,
        stale_after: config.intake.stale_after,
        backfill_run: config.intake.backfill_run,
        remind_after: config.gates.remind_after,
        floor: HashMap::from([("feishu".into(), Arc::new(feishu)), (local.name(), Arc::new(at_home))]),
        max_attachment: config.limits.attachment_bytes,
        limits: config.limits.queue,
        zone: config.zone,
        assistant: paths.assistant.clone(),
        routines: paths.routines.clone(),
        archive: paths.archive.clone(),
        autosave: config.autosave.then(|| paths.autosave()),
    }
}
