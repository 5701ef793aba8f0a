//! A codex process that answers: the port's calls, and the pump that turns its lines into facts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tracing::{debug, warn};

use super::convert;
use super::launch::CodexConfig;
use super::wire::{About, Asked, FileUpdate, Item, Thread, ThreadOpened, TurnHolder, TurnPage};
use crate::bridge::ports::*;
use crate::domain::history::{Completeness, History};
use crate::domain::ids::*;
use crate::domain::view::Background;
use crate::runtimes::process::Handle;
use crate::runtimes::rpc::{Incoming, Peer};
use crate::tasks::{OnExit, Tasks};

/// Reads answer in milliseconds; a busy machine or a long history takes longer.
const SOON: Duration = Duration::from_secs(20);
/// Loading a long thread.
const LOAD: Duration = Duration::from_secs(60);
/// Turns of one page; codex caps it at 100.
const PAGE: u32 = 20;
/// Pages that one pull reads at most: 2,000 turns back the cursor is not to be expected any more.
const MAX_PAGES: u32 = 100;

pub(super) struct Session {
    shared: Arc<Shared>,
    generation: Generation,
    version: String,
    warnings: Vec<String>,
    tasks: Tasks,
}

struct Shared {
    config: CodexConfig,
    peer: Peer,
    /// Requests that codex put to people: how each must be answered.
    asked: Mutex<HashMap<NativeGateId, Pending>>,
    stopping: Notify,
    ended: Notify,
    gone: AtomicBool,
}

struct Pending {
    id: Value,
    method: String,
    asked: Asked,
}

impl Session {
    #[expect(clippy::too_many_arguments, reason = "one call, from the handshake that made all of them")]
    pub(super) fn start(
        config: CodexConfig,
        peer: Peer,
        incoming: mpsc::Receiver<Incoming>,
        handle: Handle,
        version: String,
        warnings: Vec<String>,
        tasks: Tasks,
        facts: mpsc::Sender<Envelope>,
    ) -> Self {
        let generation = handle.identity.generation;
        let shared = Arc::new(Shared {
            config,
            peer,
            asked: Mutex::default(),
            stopping: Notify::new(),
            ended: Notify::new(),
            gone: AtomicBool::new(false),
        });
        let pump = Pump { shared: Arc::clone(&shared), facts, generation, files: HashMap::new() };
        let rpc = tasks.clone();
        // The owner of the process outlives the family of its pipes.
        let owner = Tasks::default();
        owner.spawn("codex", OnExit::LogOnly, move |_| pump.run(incoming, handle, rpc));
        Self { shared, generation, version, warnings, tasks: owner }
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
        serde_json::from_value(result)
            .map_err(|error| CallError::Refused { detail: format!("{method} answered something unreadable: {error}") })
    }

    /// What holds on every start and resume. `workspace-write` is not restored by a resume, so it is always said.
    fn settings(&self, directory: &Path) -> Value {
        let config = &self.shared.config;
        let mut settings = json!({
            "cwd": directory,
            "approvalPolicy": config.approval_policy.as_deref().unwrap_or("on-request"),
            "sandbox": config.sandbox.as_deref().unwrap_or("workspace-write"),
        });
        if let Some(model) = &config.model {
            settings["model"] = json!(model);
        }
        settings
    }

    async fn open_thread(&self, how: &Open) -> Result<ThreadId, CallError> {
        let mut params = self.settings(&how.directory);
        let opened: ThreadOpened = match &how.thread {
            None => self.call("thread/start", params, LOAD).await?,
            Some(thread) => {
                params["threadId"] = json!(thread);
                params["excludeTurns"] = json!(true);
                self.call("thread/resume", params, LOAD).await?
            }
        };
        Ok(opened.thread.id.into())
    }

    async fn start_turn(&self, turn: &Submit) -> Result<Submitted, CallError> {
        let mut input = vec![json!({ "type": "text", "text": turn.input.text })];
        input.extend(turn.input.images.iter().map(|path| json!({ "type": "localImage", "path": path })));
        let params = json!({ "threadId": turn.thread, "clientUserMessageId": turn.client, "input": input });
        let started: TurnHolder = self.call("turn/start", params, SOON).await?;
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
                if pull.cursor.as_ref().is_some_and(|old| old.as_str() == turn.id) {
                    return Ok(History { completeness: Completeness::Full, turns, reached_cursor: true });
                }
                let turn = convert::pulled_turn(turn);
                let wanted = pull.turn.as_ref() == Some(&turn.native)
                    || pull.client.as_ref().is_some_and(|client| turn.has_client(client));
                turns.push(turn);
                if wanted {
                    return Ok(History { completeness: Completeness::Full, turns, reached_cursor: true });
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(History { completeness: Completeness::Full, turns, reached_cursor: true });
            }
        }
        Ok(History { completeness: Completeness::Full, turns, reached_cursor: false })
    }

    async fn answer_request(&self, answer: &GateAnswer) -> Result<(), CallError> {
        // Taken out first: whatever happens, it is answered once.
        let pending = self.shared.asked.lock().expect("no code panics while it holds this lock").remove(&answer.native);
        let Some(pending) = pending else {
            return Err(CallError::Refused { detail: "the request is over".to_owned() });
        };
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
        self.version.clone()
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
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
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
            self.call::<Value>("turn/interrupt", params, SOON).await.map(|_| ())
        })
    }

    /// An interrupt does not end the running command; only this does.
    fn clean<'a>(&'a self, thread: &'a ThreadId) -> Boxed<'a, Result<Background, CallError>> {
        Box::pin(async move {
            let params = json!({ "threadId": thread });
            let list: Value = self.call("thread/backgroundTerminals/list", params.clone(), SOON).await?;
            let running = list.get("data").and_then(Value::as_array).is_some_and(|running| !running.is_empty());
            self.call::<Value>("thread/backgroundTerminals/clean", params, SOON).await?;
            Ok(if running { Background::Ended } else { Background::None })
        })
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
            let holder: Value = self.call("thread/read", params, SOON).await?;
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
        Box::pin(async move {
            self.call::<Value>("thread/unsubscribe", json!({ "threadId": thread }), SOON).await.map(|_| ())
        })
    }

    fn fork<'a>(&'a self, thread: &'a ThreadId, directory: &'a Path) -> Boxed<'a, Result<ThreadId, CallError>> {
        Box::pin(async move {
            let mut params = self.settings(directory);
            params["threadId"] = json!(thread);
            let forked: ThreadOpened = self.call("thread/fork", params, LOAD).await?;
            Ok(forked.thread.id.into())
        })
    }

    fn shutdown(&self) -> Boxed<'_, ()> {
        Box::pin(async move {
            let ended = self.shared.ended.notified();
            self.shared.stopping.notify_one();
            if !self.shared.gone.load(Ordering::Acquire) {
                // EOF, TERM and KILL have two seconds each; the rest is for the sweep.
                let _ = tokio::time::timeout(Duration::from_secs(10), ended).await;
            }
            self.tasks.stop(Duration::from_secs(1)).await;
        })
    }
}

// ------------------------------------------------------------------------------------------------ the pump

/// Owns the process: passes on what it says, and sees its end.
struct Pump {
    shared: Arc<Shared>,
    facts: mpsc::Sender<Envelope>,
    generation: Generation,
    /// File changes that are under way: an approval names only the item.
    files: HashMap<String, Vec<FileUpdate>>,
}

impl Pump {
    async fn run(
        mut self,
        mut incoming: mpsc::Receiver<Incoming>,
        mut handle: Handle,
        pipes: Tasks,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = self.shared.stopping.notified() => break,
                message = incoming.recv() => match message {
                    Some(Incoming::Notification { method, params }) => self.notification(&method, params).await,
                    Some(Incoming::Request { id, method, params }) => self.request(id, method, params).await,
                    None => break,
                },
            }
        }
        // Ending the pipes closes the child's stdin: it then ends by itself, and stops its commands.
        pipes.stop(Duration::from_millis(500)).await;
        handle.end().await;
        let detail = handle.stderr().lines().last().unwrap_or("").to_owned();
        self.shared.gone.store(true, Ordering::Release);
        self.send(None, None, Fact::Exited { detail }).await;
        self.shared.ended.notify_waiters();
        Ok(())
    }

    async fn notification(&mut self, method: &str, params: Value) {
        let about: About = match serde_json::from_value(params) {
            Ok(about) => about,
            Err(error) => {
                // Something new in a known place: alive it is, and the pull will tell the rest.
                debug!(rpc.method = method, %error, "A notification could not be read");
                return;
            }
        };
        self.remember_files(method, &about);
        if method == "serverRequest/resolved"
            && let Some(id) = &about.request_id
        {
            self.shared
                .asked
                .lock()
                .expect("no code panics while it holds this lock")
                .remove(&convert::native_gate(id));
        }
        let Some(fact) = convert::fact(method, &about) else { return };
        let turn = about.turn_id.or_else(|| about.turn.map(|turn| turn.id));
        self.send(about.thread_id, turn, fact).await;
    }

    fn remember_files(&mut self, method: &str, about: &About) {
        let Some(Item::FileChange { id, changes, .. }) = &about.item else { return };
        match method {
            "item/started" => drop(self.files.insert(id.clone(), changes.clone())),
            "item/completed" => drop(self.files.remove(id)),
            _ => {}
        }
    }

    async fn request(&mut self, id: Value, method: String, params: Value) {
        let asked: Asked = serde_json::from_value(params).unwrap_or_default();
        let files = asked.item_id.as_ref().and_then(|item| self.files.get(item)).map(Vec::as_slice);
        let Some(gate) = convert::gate(&method, &id, &asked, files) else {
            self.cannot_ask(&id, &method).await;
            return;
        };
        let (thread, turn, native) = (asked.thread_id.clone(), asked.turn_id.clone(), gate.native.clone());
        self.shared
            .asked
            .lock()
            .expect("no code panics while it holds this lock")
            .insert(native, Pending { id, method, asked });
        self.send(thread, turn, Fact::GateOpened(Box::new(gate))).await;
    }

    /// What nobody can be shown is answered at once: an unanswered request would hang the turn for ever.
    async fn cannot_ask(&self, id: &Value, method: &str) {
        warn!(rpc.method = method, "codex asked something that ally cannot put to people");
        let answered = match method {
            "mcpServer/elicitation/request" => {
                self.shared.peer.respond(id, json!({ "action": "cancel", "content": null, "_meta": null })).await
            }
            _ => self.shared.peer.refuse(id, -32601, "ally does not offer this").await,
        };
        if let Err(error) = answered {
            debug!(%error, "The refusal did not reach codex");
        }
    }

    /// Pictures may be dropped when nobody keeps up; everything else waits, which slows codex down.
    async fn send(&self, thread: Option<String>, turn: Option<String>, fact: Fact) {
        let picture = matches!(fact, Fact::TextDelta { .. } | Fact::Activity);
        let envelope =
            Envelope { generation: self.generation, thread: thread.map(Into::into), turn: turn.map(Into::into), fact };
        if picture {
            let _ = self.facts.try_send(envelope);
        } else {
            // A receiver that is gone is a bridge that ends.
            let _ = self.facts.send(envelope).await;
        }
    }
}
