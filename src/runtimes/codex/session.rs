//! A codex process that answers: the port's calls. The pump turns its lines into facts.

mod pump;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::launch::CodexConfig;
use super::wire::{
    Asked, Executed, Left, Loaded, Memory, ModelList, Thread, ThreadList, ThreadOpened, TurnHolder, TurnPage,
};
use super::{convert, ground, memory, profile, temp, tools};
use crate::bridge::ports::*;
use crate::domain::gate::{Ask, Decision, hex};
use crate::domain::history::{Completeness, History};
use crate::domain::ids::*;
use crate::domain::level::Level;
use crate::domain::view::Background;
use crate::runtimes::process::{Handle, Holder};
use crate::runtimes::rpc::{Incoming, Peer};
use crate::tasks::{OnExit, Tasks};
use pump::Pump;

/// Reads answer in milliseconds; a busy machine or a long history takes longer.
const SOON: Duration = Duration::from_secs(20);
/// What codex answers from memory, in 10 ms: one that does not answer this soon is asked again, not waited for.
const PROMPTLY: Duration = Duration::from_secs(5);
/// Loading a long thread.
const LOAD: Duration = Duration::from_secs(60);
/// Turns of one page; codex caps it at 100.
const PAGE: u32 = 20;
/// Threads of a directory that are asked for.
const LISTED: u32 = 20;
/// Pages that one pull reads at most: 2,000 turns back the cursor is not to be expected any more.
const MAX_PAGES: u32 = 100;

pub(super) struct Session {
    shared: Arc<Shared>,
    generation: Generation,
    tasks: Tasks,
}

/// A process whose handshake is done.
pub(super) struct Ready {
    pub config: CodexConfig,
    pub program: PathBuf,
    pub peer: Peer,
    /// What came during the handshake.
    pub early: Vec<Incoming>,
    pub incoming: mpsc::Receiver<Incoming>,
    pub handle: Handle,
    pub version: String,
    pub warnings: Vec<String>,
    /// Where it is kept what is known of a process that outlives this one.
    pub kept: Option<Kept>,
    /// Family of the pipes.
    pub tasks: Tasks,
}

struct Keeping {
    file: PathBuf,
    cuts: mpsc::Sender<u64>,
    holder: Holder,
    settings: String,
    is_outdated: bool,
}

/// Of a process that the supervisor holds.
pub(super) struct Kept {
    pub file: PathBuf,
    pub cuts: mpsc::Sender<u64>,
    pub holder: Holder,
    /// The settings that it was started with, in short.
    pub settings: String,
    /// What an earlier bridge knew, where there was one: its process has said things already.
    pub memory: Option<Memory>,
}

struct Shared {
    config: CodexConfig,
    program: PathBuf,
    peer: Peer,
    /// Threads that this process has loaded for us, and with what.
    loaded: Mutex<HashMap<ThreadId, Loaded>>,
    /// Requests that codex put to people: how each must be answered.
    asked: Mutex<HashMap<NativeGateId, Pending>>,
    warnings: Mutex<Vec<String>>,
    /// Model and effort of the threads that are loaded.
    models: Mutex<HashMap<ThreadId, (String, Option<String>)>>,
    version: String,
    kept: Option<Keeping>,
    /// An earlier bridge may have loaded threads that are not known here.
    attached: bool,
    /// What an earlier bridge knew of its threads is lost.
    has_forgotten: bool,
    /// The process shall end. Fires with the family of the pipes as well.
    stopping: CancellationToken,
    /// The process is gone.
    ended: CancellationToken,
}

impl Shared {
    fn asked(&self) -> MutexGuard<'_, HashMap<NativeGateId, Pending>> {
        self.asked.lock().expect("no code panics while it holds this lock")
    }

    fn warnings(&self) -> MutexGuard<'_, Vec<String>> {
        self.warnings.lock().expect("no code panics while it holds this lock")
    }

    fn models(&self) -> MutexGuard<'_, HashMap<ThreadId, (String, Option<String>)>> {
        self.models.lock().expect("no code panics while it holds this lock")
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<ThreadId, Loaded>> {
        self.loaded.lock().expect("no code panics while it holds this lock")
    }

    /// What is known of threads is kept for a bridge to come.
    fn remember(&self) {
        let Some(Keeping { file, settings, .. }) = &self.kept else { return };
        let memory = Memory {
            program: self.program.clone(),
            version: self.version.clone(),
            settings: settings.clone(),
            warnings: self.warnings().clone(),
            loaded: self.loaded().clone(),
            models: self.models().clone(),
        };
        if let Err(error) = memory::keep(file, &memory) {
            // What was may claim too much; a bridge that finds nothing lets threads go before it uses them.
            warn!(%error, "What is known of codex's threads could not be kept");
            let _ = std::fs::remove_file(file);
        }
    }

    fn load(&self, thread: &ThreadId, loaded: Loaded) {
        self.loaded().insert(thread.clone(), loaded);
        self.remember();
    }

    fn unload(&self, thread: &ThreadId) {
        self.loaded().remove(thread);
        self.remember();
    }

    /// The approval policy that holds at a level.
    fn approval(&self, level: Level) -> &str {
        self.config.approval_policy.as_deref().unwrap_or_else(|| profile::approval(level))
    }

    /// The approval policy of a thread's newest turn, which may be older than the settings of now. Where nobody knows it,
    /// the one under which a request may mean anything.
    fn approval_of(&self, thread: Option<&str>) -> String {
        match thread.and_then(|thread| self.loaded().get(&ThreadId::new(thread)).cloned()) {
            Some(Loaded { approval: Some(approval), .. }) => approval,
            Some(loaded) => self.approval(loaded.level).to_owned(),
            None if self.has_forgotten => "untrusted".to_owned(),
            None => self.approval(Level::Edit).to_owned(),
        }
    }

    /// The same for the sandbox that it was loaded with. A former ally did not write down which: without profiles it was one
    /// that somebody had configured, and nobody knows whether that is one.
    fn is_held(&self, thread: &ThreadId) -> bool {
        match self.loaded().get(thread) {
            Some(Loaded { sandbox: None, profiles, .. }) => *profiles != mark_of(&Value::Null),
            Some(loaded) => is_sandbox(loaded.sandbox.as_deref()),
            None => !self.has_forgotten && is_sandbox(self.config.sandbox.as_deref()),
        }
    }

    /// A thread as it is loaded with the settings of now.
    fn loaded_for(&self, directory: &Path, profiles: &Value, posture: &Posture) -> Loaded {
        Loaded {
            directory: directory.to_owned(),
            profiles: mark_of(profiles),
            level: posture.level,
            approval: Some(self.approval(posture.level).to_owned()),
            sandbox: self.config.sandbox.clone(),
            left: Left::Nothing,
        }
    }
}

/// Whether a configured sandbox is one; where none is configured the profiles are.
fn is_sandbox(configured: Option<&str>) -> bool {
    configured != Some("danger-full-access")
}

fn mark_of(profiles: &Value) -> String {
    hex(&Sha256::digest(profiles.to_string().as_bytes()))
}

struct Pending {
    id: Value,
    method: String,
    asked: Asked,
}

impl Session {
    pub(super) fn start(ready: Ready, facts: mpsc::Sender<Envelope>) -> Self {
        let Ready { config, program, peer, early, incoming, handle, version, warnings, kept, tasks } = ready;
        let generation = handle.identity.generation;
        let (kept, former) = match kept {
            Some(Kept { file, cuts, holder, settings, memory }) => {
                let is_outdated = memory.as_ref().is_some_and(|memory| memory.settings != settings);
                let settings = memory.as_ref().map_or(settings, |memory| memory.settings.clone());
                (Some(Keeping { file, cuts, holder, settings, is_outdated }), memory)
            }
            None => (None, None),
        };
        let attached = former.is_some();
        let has_forgotten = former.as_ref().is_some_and(|former| former.settings.is_empty());
        let (loaded, models) = former.map(|former| (former.loaded, former.models)).unwrap_or_default();
        let shared = Arc::new(Shared {
            config,
            program,
            peer,
            loaded: Mutex::new(loaded),
            asked: Mutex::default(),
            warnings: Mutex::new(warnings),
            models: Mutex::new(models),
            version,
            kept,
            attached,
            has_forgotten,
            stopping: tasks.token().child_token(),
            ended: CancellationToken::new(),
        });
        shared.remember();
        let pump = Pump::new(Arc::clone(&shared), facts, generation);
        // The owner of the process outlives the family of its pipes.
        let owner = Tasks::default();
        owner.spawn("codex", OnExit::LogOnly, move |cancel| pump.run(early, incoming, handle, tasks, cancel));
        Self { shared, generation, tasks: owner }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
        deadline: Duration,
    ) -> Result<T, CallError> {
        let result = self
            .shared
            .peer
            .call(method, params, deadline)
            .await
            .map_err(|error| convert::call_error(method, error))?;
        serde_json::from_value(result).map_err(|error| CallError::Unreadable { method, detail: error.to_string() })
    }

    /// What a thread is loaded with: the profiles of its directory and ally's tools.
    fn thread_config(&self, directory: &Path, posture: &Posture) -> Result<Value, CallError> {
        let mut config = self.profiles(directory, posture)?;
        if let (Some(own), Some(access)) = (&self.shared.config.tools, &posture.tools) {
            config[tools::KEY] = tools::server(own, access);
        }
        Ok(config)
    }

    /// The profiles of a directory; null where the configuration names a sandbox of its own.
    fn profiles(&self, directory: &Path, posture: &Posture) -> Result<Value, CallError> {
        let config = &self.shared.config;
        if config.sandbox.is_some() {
            return Ok(Value::Null);
        }
        let used: Vec<PathBuf> =
            self.shared.loaded().values().map(|loaded| temp::of(&config.tmp_dir, &loaded.directory)).collect();
        temp::prepare(&config.tmp_dir, directory, &used).map_err(|error| CallError::Refused {
            detail: format!("the folder for temporary files below {}: {error}", config.tmp_dir.display()),
        })?;
        Ok(profile::config(&ground::look(config, &self.shared.program, directory, posture)))
    }

    /// What holds on every start, resume and fork. Nothing of it is restored by codex, so it is always said.
    fn settings(&self, directory: &Path, posture: &Posture, thread_config: &Value) -> Value {
        let config = &self.shared.config;
        let mut settings = json!({ "cwd": directory, "approvalPolicy": self.shared.approval(posture.level) });
        match &config.sandbox {
            Some(sandbox) => settings["sandbox"] = json!(sandbox),
            None => settings["permissions"] = json!(profile::name(posture)),
        }
        if !thread_config.is_null() {
            settings["config"] = thread_config.clone();
        }
        if let Some(model) = &config.model {
            settings["model"] = json!(model);
        }
        settings
    }

    async fn open_thread(&self, how: &Open) -> Result<ThreadId, CallError> {
        let config = self.thread_config(&how.directory, &how.posture)?;
        let mut params = self.settings(&how.directory, &how.posture, &config);
        let opened: ThreadOpened = match &how.thread {
            None => self.call("thread/start", params, SOON).await?,
            Some(thread) => {
                let wanted = mark_of(&config);
                let same = |loaded: &Loaded| {
                    loaded.directory == how.directory
                        && loaded.profiles == wanted
                        && loaded.sandbox == self.shared.config.sandbox
                };
                let loaded = self.shared.loaded().get(thread).map(same);
                match loaded {
                    Some(true) => return Ok(thread.clone()),
                    // A loaded thread keeps the profiles that it has: it must be let go first.
                    Some(false) => self.let_go(thread).await?,
                    None if self.shared.attached => self.let_go_if_loaded(thread).await?,
                    None => {}
                }
                params["threadId"] = json!(thread);
                params["excludeTurns"] = json!(true);
                self.call("thread/resume", params, LOAD).await?
            }
        };
        let thread = self.opened(opened);
        self.shared.load(&thread, self.shared.loaded_for(&how.directory, &config, &how.posture));
        Ok(thread)
    }

    /// A thread is loaded: what it works with is kept for turns that must name it.
    fn opened(&self, opened: ThreadOpened) -> ThreadId {
        let thread = ThreadId::from(opened.thread.id);
        if let Some(model) = opened.model {
            self.shared.models().insert(thread.clone(), (model, opened.reasoning_effort));
        }
        thread
    }

    /// Planning sticks to a thread, and so is said anew with every turn of one that has planned. It names the model and
    /// the effort, too.
    fn mode(&self, turn: &Submit) -> Result<Value, CallError> {
        if !turn.input.plan && !turn.has_planned {
            return Ok(Value::Null);
        }
        let known = self.shared.models().get(&turn.thread).cloned();
        let (model, effort) = match (&turn.model, known) {
            (Some(model), known) => (model.clone(), turn.effort.clone().or(known.and_then(|(_, effort)| effort))),
            (None, Some((model, effort))) => (model, turn.effort.clone().or(effort)),
            (None, None) => {
                return Err(CallError::Refused { detail: "codex did not say which model the thread has".to_owned() });
            }
        };
        let mode = if turn.input.plan { "plan" } else { "default" };
        let settings = json!({ "model": model, "reasoning_effort": effort, "developer_instructions": null });
        Ok(json!({ "mode": mode, "settings": settings }))
    }

    async fn git(&self, directory: &Path, words: &[&str]) -> Result<String, CallError> {
        // Neither a hook nor a program that the repository names; and all of it only reads, in the sandbox.
        let mut command = vec!["git", "--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false"];
        command.extend(words);
        let params = json!({
            "command": command, "cwd": directory, "timeoutMs": 15_000, "outputBytesCap": 16_384,
            "sandboxPolicy": { "type": "readOnly" },
        });
        let ran: Executed = self.call("command/exec", params, SOON).await?;
        if ran.exit_code != 0 {
            return Err(CallError::Refused { detail: ran.stderr.trim().to_owned() });
        }
        Ok(ran.stdout)
    }

    /// A grant ends with its task, also for commands that go on behind it.
    async fn end_what_may_do_more(&self, turn: &Submit) -> Result<(), CallError> {
        let now = Left::Under(profile::name(&turn.posture).to_owned());
        let left = self.shared.loaded().get(&turn.thread).map(|loaded| loaded.left.clone());
        if left.is_some_and(|left| left != Left::Nothing && left != now) {
            self.clean_up(&turn.thread).await?;
        }
        if let Some(loaded) = self.shared.loaded().get_mut(&turn.thread) {
            loaded.level = turn.posture.level;
            loaded.approval = Some(self.shared.approval(turn.posture.level).to_owned());
            loaded.left = now;
        }
        self.shared.remember();
        Ok(())
    }

    async fn clean_up(&self, thread: &ThreadId) -> Result<Background, CallError> {
        let params = json!({ "threadId": thread });
        let list: Value = self.call("thread/backgroundTerminals/list", params.clone(), SOON).await?;
        let running = list.get("data").and_then(Value::as_array).is_some_and(|running| !running.is_empty());
        self.call::<Value>("thread/backgroundTerminals/clean", params, SOON).await?;
        Ok(if running { Background::Ended } else { Background::None })
    }

    async fn let_go(&self, thread: &ThreadId) -> Result<(), CallError> {
        self.call::<Value>("thread/unsubscribe", json!({ "threadId": thread }), SOON).await?;
        self.shared.unload(thread);
        Ok(())
    }

    /// The earlier bridge may have died between loading it and writing that down.
    async fn let_go_if_loaded(&self, thread: &ThreadId) -> Result<(), CallError> {
        match self.let_go(thread).await {
            Ok(()) | Err(CallError::NoThread { .. } | CallError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn start_turn(&self, turn: &Submit) -> Result<Submitted, CallError> {
        let mut input = vec![json!({ "type": "text", "text": turn.input.text })];
        input.extend(turn.input.images.iter().map(|path| json!({ "type": "localImage", "path": path })));
        // They stick to the thread, so what was chosen once is said with every turn.
        let mut params = without_null(json!({
            "threadId": turn.thread, "clientUserMessageId": turn.client, "input": input,
            "model": turn.model, "effort": turn.effort, "collaborationMode": self.mode(turn)?,
        }));
        // What a turn picks stays with the thread: each says its own.
        params["approvalPolicy"] = json!(self.shared.approval(turn.posture.level));
        if self.shared.config.sandbox.is_none() {
            params["permissions"] = json!(profile::name(&turn.posture));
        }
        self.end_what_may_do_more(turn).await?;
        let started: TurnHolder = match self.call("turn/start", params, SOON).await {
            Err(error @ CallError::NoThread { .. }) => {
                self.shared.unload(&turn.thread);
                return Err(error);
            }
            answer => answer?,
        };
        // Accepted in memory only: killed right after, 7 of 8 were gone.
        Ok(Submitted { turn: Some(started.turn.id.into()), evidence: Evidence::Acknowledged })
    }

    async fn history(&self, pull: &Pull) -> Result<History, CallError> {
        let mut turns = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let params = json!({ "threadId": pull.thread, "limit": PAGE, "itemsView": "full", "cursor": cursor });
            let page: TurnPage = self.call("thread/turns/list", without_null(params), SOON).await?;
            for turn in &page.data {
                let turn = convert::pulled_turn(turn);
                let has_ours = pull.client.as_ref().is_some_and(|client| turn.has_client(client));
                if pull.cursor.as_ref() == Some(&turn.native) {
                    turns.extend(has_ours.then_some(turn));
                    return Ok(History { completeness: Completeness::Full, turns, reached_cursor: true });
                }
                let wanted = has_ours || pull.turn.as_ref() == Some(&turn.native);
                turns.push(turn);
                if wanted {
                    return Ok(History { completeness: Completeness::Full, turns, reached_cursor: true });
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                // The beginning. A turn that was known to be there and is not makes the whole history doubtful.
                let reached_cursor = pull.cursor.is_none();
                return Ok(History { completeness: Completeness::Full, turns, reached_cursor });
            }
        }
        Ok(History { completeness: Completeness::Full, turns, reached_cursor: false })
    }

    async fn answer_request(&self, answer: &GateAnswer) -> Result<(), CallError> {
        // Taken out first: whatever happens, it is answered once.
        let pending = self.shared.asked().remove(&answer.native);
        let Some(pending) = pending else {
            return Err(CallError::Refused { detail: "the request is over".to_owned() });
        };
        if matches!((&answer.ask, &answer.decision), (Ask::Permissions { .. }, Decision::Allow)) {
            if let Some(loaded) = self.shared.loaded().get_mut(&answer.thread) {
                loaded.left = Left::WithMore;
            }
            self.shared.remember();
        }
        let result = convert::answer(&pending.method, &pending.asked, &answer.ask, &answer.decision);
        self.shared.peer.respond(&pending.id, result).await.map_err(|error| convert::call_error("answer", error))
    }
}

fn without_null(mut params: Value) -> Value {
    if let Some(object) = params.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    params
}

impl Runtime for Session {
    fn generation(&self) -> Generation {
        self.generation
    }

    fn version(&self) -> String {
        self.shared.version.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            resume: true,
            steer: true,
            interrupt: true,
            read_back: true,
            ask: true,
            images: true,
            model_switch: true,
            per_thread_directory: true,
            fork: true,
            compact: true,
            plan: true,
            sandbox: is_sandbox(self.shared.config.sandbox.as_deref()),
        }
    }

    fn holds(&self, thread: &ThreadId) -> bool {
        self.shared.is_held(thread)
    }

    fn warnings(&self) -> Vec<String> {
        self.shared.warnings().clone()
    }

    fn open<'a>(&'a self, how: &'a Open) -> Boxed<'a, Result<ThreadId, CallError>> {
        Box::pin(self.open_thread(how))
    }

    fn submit<'a>(&'a self, turn: &'a Submit) -> Boxed<'a, Result<Submitted, CallError>> {
        Box::pin(self.start_turn(turn))
    }

    fn steer<'a>(&'a self, steer: &'a Steer) -> Boxed<'a, Result<(), CallError>> {
        Box::pin(async move {
            let params = json!({
                "threadId": steer.thread,
                "expectedTurnId": steer.turn,
                "clientUserMessageId": steer.client,
                "input": [{ "type": "text", "text": steer.text }],
            });
            self.call::<Value>("turn/steer", params, SOON).await.map(|_| ())
        })
    }

    fn interrupt<'a>(&'a self, thread: &'a ThreadId, turn: &'a NativeTurnId) -> Boxed<'a, Result<(), CallError>> {
        Box::pin(async move {
            let params = json!({ "threadId": thread, "turnId": turn });
            self.call::<Value>("turn/interrupt", params, PROMPTLY).await.map(|_| ())
        })
    }

    /// An interrupt does not end the running command; only this does.
    fn clean<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<Background, CallError>> {
        Box::pin(self.clean_up(thread))
    }

    fn answer<'a>(&'a self, answer: &'a GateAnswer) -> Boxed<'a, Result<(), CallError>> {
        Box::pin(self.answer_request(answer))
    }

    fn pull<'a>(&'a self, pull: &'a Pull) -> Boxed<'a, Result<History, CallError>> {
        Box::pin(self.history(pull))
    }

    fn thread_status<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<ThreadStatus, CallError>> {
        Box::pin(async move {
            let params = json!({ "threadId": thread, "includeTurns": false });
            let holder: Value = self.call("thread/read", params, PROMPTLY).await?;
            let thread = holder.get("thread").cloned().and_then(|thread| serde_json::from_value::<Thread>(thread).ok());
            Ok(
                match thread.as_ref().map(|thread| (thread.status.kind.as_str(), thread.status.active_flags.is_empty()))
                {
                    Some(("active", true)) => ThreadStatus::Active,
                    Some(("active", false)) => ThreadStatus::WaitingOnPerson,
                    Some(("idle" | "systemError", _)) => ThreadStatus::Idle,
                    _ => ThreadStatus::NotLoaded,
                },
            )
        })
    }

    fn release<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<(), CallError>> {
        Box::pin(self.let_go(thread))
    }

    fn fork<'a>(&'a self, how: &'a Fork) -> Boxed<'a, Result<ThreadId, CallError>> {
        Box::pin(async move {
            let config = self.thread_config(&how.directory, &how.posture)?;
            let mut params = self.settings(&how.directory, &how.posture, &config);
            params["threadId"] = json!(how.thread);
            let forked: ThreadOpened = self.call("thread/fork", params, LOAD).await?;
            let fork = self.opened(forked);
            self.shared.load(&fork, self.shared.loaded_for(&how.directory, &config, &how.posture));
            Ok(fork)
        })
    }

    fn compact<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<Submitted, CallError>> {
        Box::pin(async move {
            // It names no turn and takes no id of ours.
            match self.call::<Value>("thread/compact/start", json!({ "threadId": thread }), SOON).await {
                Ok(_) => Ok(Submitted { turn: None, evidence: Evidence::Acknowledged }),
                Err(error @ CallError::NoThread { .. }) => {
                    self.shared.unload(thread);
                    Err(error)
                }
                Err(error) => Err(error),
            }
        })
    }

    fn threads<'a>(&'a self, directory: &'a Path) -> Boxed<'a, Result<Vec<KeptThread>, CallError>> {
        Box::pin(async move {
            let params = json!({ "cwd": directory, "limit": LISTED });
            let list: ThreadList = self.call("thread/list", params, SOON).await?;
            Ok(list.data.into_iter().map(convert::kept_thread).collect())
        })
    }

    fn changes<'a>(&'a self, directory: &'a Path) -> Boxed<'a, Result<String, CallError>> {
        Box::pin(async move {
            let changed = ["diff", "--no-ext-diff", "--no-textconv", "--stat=72", "HEAD"];
            let changed = self.git(directory, &changed).await?;
            let new = self.git(directory, &["ls-files", "--others", "--exclude-standard"]).await?;
            Ok(changed
                .lines()
                .map(str::to_owned)
                .chain(new.lines().map(|file| format!(" + {file}")))
                .collect::<Vec<_>>()
                .join("\n"))
        })
    }

    fn models(&self) -> Boxed<'_, Result<Vec<Model>, CallError>> {
        Box::pin(async move {
            let list: ModelList = self.call("model/list", json!({}), SOON).await?;
            let own = match &self.shared.config.model {
                Some(model) => Some(model.clone()),
                // Its own configuration may name one, too.
                None => {
                    let read: Result<Value, CallError> = self.call("config/read", json!({}), SOON).await;
                    read.ok().and_then(|read| read.pointer("/config/model")?.as_str().map(str::to_owned))
                }
            };
            Ok(list.data.into_iter().map(|model| convert::model(model, own.as_deref())).collect())
        })
    }

    fn name_thread<'a>(&'a self, thread: &'a ThreadId, name: &'a str) -> Boxed<'a, Result<(), CallError>> {
        Box::pin(async move {
            self.call::<Value>("thread/name/set", json!({ "threadId": thread, "name": name }), SOON).await.map(|_| ())
        })
    }

    fn position(&self) -> Option<u64> {
        self.shared.kept.is_some().then(|| self.shared.peer.position())
    }

    fn cut(&self, at: u64) {
        if let Some(kept) = &self.shared.kept {
            // One that is on its way is enough.
            let _ = kept.cuts.try_send(at);
        }
    }

    fn leave(&self) -> bool {
        let Some(kept) = &self.shared.kept else { return false };
        kept.holder.leave();
        true
    }

    fn is_outdated(&self) -> bool {
        self.shared.kept.as_ref().is_some_and(|kept| kept.is_outdated)
    }

    fn shutdown(&self) -> Boxed<'_, ()> {
        Box::pin(async move {
            self.shared.stopping.cancel();
            // EOF, TERM and KILL have two seconds each; the rest is for the sweep.
            let _ = tokio::time::timeout(Duration::from_secs(10), self.shared.ended.cancelled()).await;
            self.tasks.stop(Duration::from_secs(1)).await;
        })
    }
}

impl Drop for Session {
    /// Nobody can speak to it any more.
    fn drop(&mut self) {
        self.shared.stopping.cancel();
    }
}

#[cfg(test)]
mod tests;
