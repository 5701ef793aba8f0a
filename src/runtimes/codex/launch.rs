//! Starting codex: the program, its flags, its home and environment, the handshake.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::install::install;
use super::locate::{Found, locate, native_below, pinned_folder};
use super::memory;
use super::session::{Kept, Ready, Session};
use super::tools::ToolServer;
use super::wire::Memory;
use crate::bridge::ports::*;
use crate::domain::quote;
use crate::domain::safety::Tried;
use crate::runtimes::process::{self, Holder, Spawn, Spawned};
use crate::runtimes::rpc::{Incoming, Peer, Place, RpcError};
use crate::tasks::Tasks;

/// codex answers `initialize` in 0.1 s, in a fresh home in 0.4 s; a loaded machine takes longer.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Somebody who never falls silent is listened to by the session.
const QUIET_AT_LAST: Duration = Duration::from_secs(1);
/// The most that is kept of what is said before that.
const EARLY: usize = 1024;

/// Everything that decides how codex runs. Resolved by the caller; nothing is read from the environment here.
#[derive(Debug, Clone)]
pub struct CodexConfig {
    /// Program named by hand.
    pub bin: Option<PathBuf>,
    /// Folder of pinned installs.
    pub runtimes_dir: PathBuf,
    /// `CODEX_HOME`. Must not lie below `tmp_dir`: codex then refuses its own helpers.
    pub home: PathBuf,
    /// The child's `TMPDIR`; below it those of its commands.
    pub tmp_dir: PathBuf,
    /// Folder of the lock files.
    pub run_dir: PathBuf,
    /// Files and folders of ally's own that no command reads.
    pub private: Vec<PathBuf>,
    /// The same, each with every file beside it whose name begins with its own (`ledger.db`, `ledger.db-wal`). Such files
    /// stay as long as the runtime does: codex makes what is denied and not there.
    pub private_families: Vec<PathBuf>,
    /// More arguments, after ours.
    pub args: Vec<String>,
    pub model: Option<String>,
    /// `read-only`, `workspace-write` or `danger-full-access` instead of the level's profile: then levels do not hold.
    pub sandbox: Option<String>,
    /// `untrusted`, `on-request` or `never` instead of the level's.
    pub approval_policy: Option<String>,
    /// Search path for the program.
    pub path: Option<OsString>,
    /// The child's environment, already reduced to what it may know.
    pub env: Vec<(OsString, OsString)>,
    /// What offers ally's own tools to its threads.
    pub tools: Option<ToolServer>,
}

pub struct CodexLauncher {
    pub(super) config: CodexConfig,
    pub(super) tasks: Tasks,
    holder: Option<Holder>,
}

impl CodexConfig {
    /// Whether another process would be started otherwise. It tells nothing of what is in it.
    fn in_short(&self) -> String {
        use sha2::Digest;
        crate::domain::gate::hex(&sha2::Sha256::digest(format!("{self:?}")))
    }
}

impl CodexLauncher {
    pub fn new(config: CodexConfig, tasks: Tasks) -> Self {
        Self { config, tasks, holder: None }
    }

    /// Its processes are the supervisor's.
    pub fn held_by(self, holder: Option<Holder>) -> Self {
        Self { holder, ..self }
    }

    async fn start(&self, spec: SpawnSpec) -> Result<Box<dyn Starting>, LaunchError> {
        let found = self.find().await?;
        let mut warnings: Vec<String> = found.warning.iter().cloned().collect();
        prepare_home(&self.config)?;
        let strict = match self.refuses_strictly(&found).await? {
            None => true,
            Some(complaint) => {
                warn!(detail = %complaint, "codex's own configuration has a key that it does not know; started without --strict-config");
                warnings.push(complaint);
                false
            }
        };
        let spawn = self.command(&found, &spec, strict);
        let tasks = self.tasks.child();
        let spawned = process::spawn(&spawn, &spec, self.holder.as_ref(), &tasks)
            .await
            .map_err(|error| LaunchError::Failed { detail: format!("{}: {error}", found.program.display()) })?;
        info!(
            generation = spec.generation.0,
            process.pid = spawned.handle.identity.pid,
            "Started codex {}",
            found.version
        );
        let Found { program, version, .. } = found;
        Ok(Box::new(StartingCodex {
            config: self.config.clone(),
            holder: self.holder.clone(),
            spawned,
            program,
            version,
            warnings,
            tasks,
        }))
    }

    /// A process of an earlier bridge. The handshake is behind it.
    async fn take_up(
        &self,
        former: &ProcessIdentity,
        from: Option<u64>,
        facts: mpsc::Sender<Envelope>,
    ) -> Option<Box<dyn Runtime>> {
        let file = process::memory_of(&self.config.run_dir, former.generation);
        let holder = self.holder.clone()?;
        let known = match memory::recall(&file) {
            Some(known) => known,
            // It could not be kept: every thread is let go before it is used, and the process is replaced when it is idle.
            None if from.is_some() => {
                let Found { program, version, .. } = locate(&self.config).await.ok()?;
                Memory { program, version, ..Memory::default() }
            }
            None => return None,
        };
        let settings = self.config.in_short();
        if from.is_none() && known.settings != settings {
            // Nothing runs: a new one has the settings of now.
            return None;
        }
        let attached = holder.attach(former, &self.config.run_dir, from).await?;
        let Spawned { stdin, stdout, handle, cuts } = attached.spawned;
        let tasks = self.tasks.child();
        let (inbox, incoming) = mpsc::channel(1024);
        let place = Place { from: attached.from, until: attached.until, nth: attached.bridges };
        let peer = Peer::resume(stdout, stdin, place, &tasks, inbox);
        let ready = Ready {
            config: self.config.clone(),
            program: known.program.clone(),
            peer,
            early: Vec::new(),
            incoming,
            handle,
            version: known.version.clone(),
            warnings: known.warnings.clone(),
            kept: cuts.map(|cuts| Kept { file, cuts, holder, settings, memory: Some(known) }),
            tasks,
        };
        Some(Box::new(Session::start(ready, facts)))
    }

    /// The program; where there is none and none is named, the pinned one is installed.
    async fn find(&self) -> Result<Found, LaunchError> {
        match locate(&self.config).await {
            Err(LaunchError::NotFound { .. }) if self.config.bin.is_none() => {
                let say = |what: &str| info!("{what}");
                install(&self.config.runtimes_dir, self.config.path.as_ref(), &self.config.env, say).await?;
                locate(&self.config).await
            }
            found => found,
        }
    }

    /// One unknown key and `--strict-config` is exit 1 (M9). `Some` is codex's own complaint, with file, line and key.
    pub(super) async fn refuses_strictly(&self, found: &Found) -> Result<Option<String>, LaunchError> {
        let mut command = tokio::process::Command::new(&found.program);
        command.args(self.flags("none", true)).env_clear().envs(self.environment());
        let tried = |why: String| LaunchError::Failed { detail: format!("tried with its input closed: {why}") };
        let said = process::ask(command, HANDSHAKE).await.map_err(tried)?;
        if said.status.success() {
            return Ok(None);
        }
        let complaint = said
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("Error: "))
            .unwrap_or("codex ended at its start")
            .to_owned();
        if complaint.contains("unknown configuration field") {
            return Ok(Some(complaint));
        }
        Err(LaunchError::BadConfig { detail: complaint })
    }

    fn command(&self, found: &Found, spec: &SpawnSpec, strict: bool) -> Spawn {
        Spawn {
            program: found.program.clone(),
            args: self.flags(&spec.mark, strict),
            env: self.environment(),
            directory: self.config.home.clone(),
            run_dir: self.config.run_dir.clone(),
        }
    }

    pub(super) fn flags(&self, mark: &str, strict: bool) -> Vec<OsString> {
        let mut flags: Vec<OsString> = vec!["app-server".into()];
        if strict {
            flags.push("--strict-config".into());
        }
        let settings = [
            // Questions and permission requests reach a client only with these two.
            "features.default_mode_request_user_input=true".to_owned(),
            "features.request_permissions_tool=true".to_owned(),
            "suppress_unstable_features_warning=true".to_owned(),
            "check_for_update_on_startup=false".to_owned(),
            // Commands see what a shell needs and not what the daemon knows; the mark must be set again, because
            // `core` drops it.
            "shell_environment_policy.inherit=\"core\"".to_owned(),
            // A login shell would read the person's profile: outside of the sandbox what is exported there is seen, and
            // inside, where it is not there, the search path for tools is gone.
            "allow_login_shell=false".to_owned(),
            // It would be the same profile, taken from outside.
            "features.shell_snapshot=false".to_owned(),
            // Its stdin is a socket, which bash takes for a remote shell's and reads `.bashrc`; but not in a second level.
            "shell_environment_policy.set.SHLVL=\"1\"".to_owned(),
            format!("shell_environment_policy.set.{}=\"{mark}\"", process::MARK),
        ];
        for setting in settings {
            flags.push("-c".into());
            flags.push(setting.into());
        }
        flags.extend(self.config.args.iter().map(OsString::from));
        flags
    }

    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut env = self.config.env.clone();
        env.retain(|(name, _)| name != "TMPDIR" && name != "CODEX_HOME");
        env.push(("CODEX_HOME".into(), self.config.home.clone().into()));
        env.push(("TMPDIR".into(), self.config.tmp_dir.clone().into()));
        spare_loopback(&mut env);
        env
    }
}

/// The home must exist (codex exits without it) and be private.
pub(super) fn prepare_home(config: &CodexConfig) -> Result<(), LaunchError> {
    use std::os::unix::fs::DirBuilderExt;
    for folder in [&config.home, &config.tmp_dir] {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| LaunchError::Failed { detail: format!("{} cannot be made: {error}", folder.display()) })?;
    }
    Ok(())
}

impl Launcher for CodexLauncher {
    fn kind(&self) -> &'static str {
        "codex"
    }

    fn home(&self) -> PathBuf {
        self.config.home.clone()
    }

    fn login(&self) -> Option<String> {
        let program = match &self.config.bin {
            Some(bin) => bin.clone(),
            None => native_below(&pinned_folder(&self.config.runtimes_dir)).unwrap_or_else(|| "codex".into()),
        };
        Some(format!("CODEX_HOME={} {} login", quote::path(&self.config.home), quote::path(&program)))
    }

    fn spawn<'a>(&'a self, spec: SpawnSpec) -> Boxed<'a, Result<Box<dyn Starting>, LaunchError>> {
        Box::pin(self.start(spec))
    }

    fn attach<'a>(
        &'a self,
        former: &'a ProcessIdentity,
        from: Option<u64>,
        facts: mpsc::Sender<Envelope>,
    ) -> Boxed<'a, Option<Box<dyn Runtime>>> {
        Box::pin(self.take_up(former, from, facts))
    }

    fn make_dead<'a>(&'a self, former: &'a ProcessIdentity) -> Boxed<'a, Result<Death, StillAlive>> {
        Box::pin(async move {
            let death = process::make_dead(former).await?;
            process::forget(&self.config.run_dir, former.generation);
            Ok(death)
        })
    }

    fn probe<'a>(&'a self, probe: &'a Probe) -> Boxed<'a, Vec<Tried>> {
        Box::pin(self.try_promises(probe))
    }
}

/// A model or a tool on this machine is not reached by way of a proxy elsewhere.
fn spare_loopback(env: &mut Vec<(OsString, OsString)>) {
    const LOOPBACK: &str = "localhost,127.0.0.1,::1";
    let proxied = |name: &OsString| name.to_string_lossy().to_ascii_lowercase().ends_with("_proxy");
    if !env.iter().any(|(name, _)| proxied(name) && !name.eq_ignore_ascii_case("no_proxy")) {
        return;
    }
    let known = env.iter().find(|(name, _)| name.eq_ignore_ascii_case("no_proxy"));
    let spared = match known.map(|(_, value)| value.to_string_lossy()) {
        Some(value) if !value.trim().is_empty() => format!("{},{LOOPBACK}", value.trim()),
        _ => LOOPBACK.to_owned(),
    };
    env.retain(|(name, _)| !name.eq_ignore_ascii_case("no_proxy"));
    // Programs differ in which of the two they read.
    env.extend(["NO_PROXY", "no_proxy"].map(|name| (name.into(), spared.clone().into())));
}

struct StartingCodex {
    config: CodexConfig,
    holder: Option<Holder>,
    spawned: Spawned,
    program: PathBuf,
    version: String,
    warnings: Vec<String>,
    tasks: Tasks,
}

impl Starting for StartingCodex {
    fn identity(&self) -> ProcessIdentity {
        self.spawned.handle.identity.clone()
    }

    fn ready(self: Box<Self>, facts: mpsc::Sender<Envelope>) -> Boxed<'static, Result<Box<dyn Runtime>, LaunchError>> {
        Box::pin(async move {
            let StartingCodex { config, holder, spawned, program, version, mut warnings, tasks } = *self;
            let Spawned { stdin, stdout, mut handle, cuts } = spawned;
            // A burst of notifications; when it is full, codex is slowed down and loses nothing.
            let (inbox, mut incoming) = mpsc::channel(1024);
            let peer = Peer::start(stdout, stdin, false, &tasks, inbox);
            let shaken = shake_hands(&peer, &mut incoming, &mut warnings).await;
            let early = match shaken {
                Ok(early) => early,
                Err(problem) => {
                    tasks.stop(Duration::from_millis(100)).await;
                    handle.end().await;
                    let words = handle.stderr();
                    return Err(match problem {
                        LaunchError::Failed { detail } if !words.is_empty() => {
                            LaunchError::Failed { detail: format!("{detail}; it said: {words}") }
                        }
                        other => other,
                    });
                }
            };
            let file = process::memory_of(&config.run_dir, handle.identity.generation);
            let settings = config.in_short();
            let kept = cuts.zip(holder).map(|(cuts, holder)| Kept { file, cuts, holder, settings, memory: None });
            let ready = Ready { config, program, peer, early, incoming, handle, version, warnings, kept, tasks };
            Ok(Box::new(Session::start(ready, facts)) as Box<dyn Runtime>)
        })
    }
}

/// Gives what came before anybody listened, in order.
pub(super) async fn shake_hands(
    peer: &Peer,
    incoming: &mut mpsc::Receiver<Incoming>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Incoming>, LaunchError> {
    let params = json!({
        "clientInfo": { "name": "ally", "title": "ally", "version": env!("CARGO_PKG_VERSION") },
        // Needed to end background commands after an interrupt.
        "capabilities": { "experimentalApi": true },
    });
    let failed = |error: RpcError| LaunchError::Failed { detail: format!("initialize: {error}") };
    peer.call("initialize", params, HANDSHAKE).await.map_err(failed)?;
    peer.notify("initialized", json!({})).await.map_err(failed)?;
    // The warnings about the configuration come right after the answer.
    let quiet = Duration::from_millis(50);
    let enough = tokio::time::Instant::now() + QUIET_AT_LAST;
    let mut early = Vec::new();
    loop {
        let until = enough.min(tokio::time::Instant::now() + quiet);
        match tokio::time::timeout_at(until, incoming.recv()).await {
            Ok(Some(Incoming::Notification { method, params })) if method == "configWarning" => {
                match judge_warning(&params) {
                    Judged::Fatal(detail) => return Err(LaunchError::BadConfig { detail }),
                    Judged::Tell(warning) => warnings.push(warning),
                    Judged::Known => {}
                }
            }
            // Nor to one who says too much.
            Ok(Some(other)) => {
                early.push(other);
                if early.len() >= EARLY {
                    return Ok(early);
                }
            }
            // Silence, or the end, which the session sees again.
            Ok(None) | Err(_) => return Ok(early),
        }
    }
}

/// What a `configWarning` comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// "Using defaults" means another provider and no sandbox settings of ours.
    Fatal(String),
    /// For the status.
    Tell(String),
    Known,
}

pub(super) fn judge_warning(params: &Value) -> Judged {
    let text = params.get("summary").and_then(Value::as_str).unwrap_or_default();
    if text.starts_with("Invalid configuration") {
        let details = params.get("details").and_then(Value::as_str).unwrap_or_default();
        return Judged::Fatal(format!("{text} {details}").trim().to_owned());
    }
    // The bundled sandbox helper works as well as the system's; and patterns are expanded at any depth.
    let known = text.contains("bubblewrap") || text.starts_with("Filesystem deny-read glob") || text.is_empty();
    if known { Judged::Known } else { Judged::Tell(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_never_proxied() {
        let of = |given: &[(&str, &str)]| {
            let mut env: Vec<(OsString, OsString)> = given.iter().map(|(k, v)| (k.into(), v.into())).collect();
            spare_loopback(&mut env);
            env.into_iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case("no_proxy"))
                .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&[("PATH", "/bin")]), [""; 0]);
        let alone = "localhost,127.0.0.1,::1";
        assert_eq!(of(&[("https_proxy", "http://p:1")]), [format!("NO_PROXY={alone}"), format!("no_proxy={alone}")]);
        assert_eq!(of(&[("HTTP_PROXY", "p"), ("no_proxy", "corp")])[0], format!("NO_PROXY=corp,{alone}"));
    }
}
