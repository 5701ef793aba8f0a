//! Turns what a codex process says into facts, and owns the process until its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{Pending, Shared};
use crate::bridge::ports::*;
use crate::domain::ids::*;
use crate::runtimes::codex::convert;
use crate::runtimes::codex::launch::{Judged, judge_warning};
use crate::runtimes::codex::wire::{About, Asked, FileUpdate, Item};
use crate::runtimes::process::Handle;
use crate::runtimes::rpc::Incoming;
use crate::tasks::Tasks;

/// Owns the process: passes on what it says, and sees its end.
pub(super) struct Pump {
    pub(super) shared: Arc<Shared>,
    facts: mpsc::Sender<Envelope>,
    generation: Generation,
    /// File changes that are under way: an approval names only the item.
    files: HashMap<FileKey, Vec<FileUpdate>>,
    /// While that is heard again which an earlier bridge may have heard: what was asked and is not over, in order.
    late: Option<Vec<Late>>,
    /// Why the process must not go on.
    pub(super) fatal: Option<String>,
}

/// A request of which nobody knows yet whether it is over.
struct Late {
    id: Value,
    what: LateWhat,
}

enum LateWhat {
    Gate {
        thread: Option<String>,
        turn: Option<String>,
        gate: Box<GateRequest>,
    },
    /// It is turned down.
    Not {
        method: String,
    },
}

/// Thread and item. An item's id is the model's word and may come again elsewhere.
type FileKey = (Option<String>, String);

impl Pump {
    pub(super) fn new(shared: Arc<Shared>, facts: mpsc::Sender<Envelope>, generation: Generation) -> Self {
        let late = shared.attached.then(Vec::new);
        Self { shared, facts, generation, files: HashMap::new(), late, fatal: None }
    }

    pub(super) async fn run(
        mut self,
        early: Vec<Incoming>,
        mut incoming: mpsc::Receiver<Incoming>,
        mut handle: Handle,
        pipes: Tasks,
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        let stopping = self.shared.stopping.clone();
        tokio::select! {
            biased;
            () = stopping.cancelled() => {}
            () = cancel.cancelled() => {}
            // Also while it waits for somebody to take a fact.
            () = self.pass_on(early, &mut incoming) => {}
        }
        // Ending the pipes closes the child's stdin: it then ends by itself, and stops its commands.
        pipes.stop(Duration::from_millis(500)).await;
        handle.end().await;
        let detail = match self.fatal.take() {
            Some(fatal) => fatal,
            None => handle.stderr().lines().last().unwrap_or("").to_owned(),
        };
        self.shared.ended.cancel();
        // Whoever stopped it may not be listening any more.
        let exited = self.send(None, None, Fact::Exited { detail });
        let unheard = async {
            tokio::select! {
                () = self.shared.stopping.cancelled() => {}
                () = cancel.cancelled() => {}
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! {
            () = exited => {}
            () = unheard => {}
        }
        Ok(())
    }

    /// Until the stream ends or the process must not go on.
    async fn pass_on(&mut self, early: Vec<Incoming>, incoming: &mut mpsc::Receiver<Incoming>) {
        for message in early {
            self.take(message).await;
        }
        while self.fatal.is_none() {
            let Some(message) = incoming.recv().await else { return };
            self.take(message).await;
        }
    }

    pub(super) async fn take(&mut self, message: Incoming) {
        match message {
            Incoming::Notification { method, params } if method == "configWarning" => match judge_warning(&params) {
                Judged::Fatal(detail) => {
                    error!(%detail, "codex would go on with its defaults; it is ended");
                    self.fatal = Some(detail);
                }
                Judged::Tell(warning) => {
                    warn!(detail = %warning, "codex warns about its configuration");
                    let mut warnings = self.shared.warnings();
                    if !warnings.contains(&warning) {
                        warnings.push(warning);
                    }
                }
                Judged::Known => {}
            },
            Incoming::Notification { method, params } => self.notification(&method, params).await,
            Incoming::Request { id, method, params } => self.request(id, method, params).await,
            Incoming::CaughtUp => self.caught_up().await,
        }
    }

    /// What was asked before and is not over is asked now.
    async fn caught_up(&mut self) {
        for Late { id, what } in self.late.take().unwrap_or_default() {
            match what {
                LateWhat::Gate { thread, turn, gate } => self.send(thread, turn, Fact::GateOpened(gate)).await,
                LateWhat::Not { method } => self.turn_down(&id, &method).await,
            }
        }
        self.send(None, None, Fact::CaughtUp).await;
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
            self.shared.asked().remove(&convert::native_gate(id));
            self.late.iter_mut().for_each(|late| late.retain(|late| late.id != *id));
        }
        let Some(fact) = convert::fact(method, &about) else { return };
        let turn = about.turn_id.or_else(|| about.turn.map(|turn| turn.id));
        self.send(about.thread_id, turn, fact).await;
    }

    fn remember_files(&mut self, method: &str, about: &About) {
        let thread = &about.thread_id;
        match (method, &about.item, &about.item_id, &about.changes) {
            ("item/started", Some(Item::FileChange { id, changes, .. }), _, _) => {
                self.files.insert((thread.clone(), id.clone()), changes.clone());
            }
            ("item/fileChange/patchUpdated", _, Some(id), Some(changes)) => {
                self.files.insert((thread.clone(), id.clone()), changes.clone());
            }
            ("item/completed", Some(Item::FileChange { id, .. }), _, _) => {
                self.files.remove(&(thread.clone(), id.clone()));
            }
            // An interrupted change is never reported as completed.
            ("turn/completed", ..) => self.files.retain(|(of, _), _| of != thread),
            _ => {}
        }
    }

    async fn request(&mut self, id: Value, method: String, params: Value) {
        let asked: Asked = match serde_json::from_value(params) {
            Ok(asked) => asked,
            Err(error) => {
                warn!(rpc.method = method, %error, "codex asked something that cannot be read");
                return self.turn_down_or_wait(id, method).await;
            }
        };
        let key = asked.item_id.as_ref().map(|item| (asked.thread_id.clone(), item.clone()));
        let files = key.and_then(|key| self.files.get(&key)).map(Vec::as_slice);
        let policy = self.shared.approval_of(asked.thread_id.as_deref());
        let Some(gate) = convert::gate(&method, &id, &asked, files, &policy) else {
            warn!(rpc.method = method, "codex asked something that cannot be shown to people in full");
            return self.turn_down_or_wait(id, method).await;
        };
        let (thread, turn, native) = (asked.thread_id.clone(), asked.turn_id.clone(), gate.native.clone());
        self.shared.asked().insert(native, Pending { id: id.clone(), method, asked });
        let gate = Box::new(gate);
        match &mut self.late {
            Some(late) => late.push(Late { id, what: LateWhat::Gate { thread, turn, gate } }),
            None => self.send(thread, turn, Fact::GateOpened(gate)).await,
        }
    }

    async fn turn_down_or_wait(&mut self, id: Value, method: String) {
        match &mut self.late {
            Some(late) => late.push(Late { id, what: LateWhat::Not { method } }),
            None => self.turn_down(&id, &method).await,
        }
    }

    /// What nobody can be shown is answered at once: an unanswered request would hang the turn for ever.
    async fn turn_down(&self, id: &Value, method: &str) {
        let answered = match convert::turned_down(method) {
            Some(no) => self.shared.peer.respond(id, no).await,
            None => self.shared.peer.refuse(id, -32601, "ally does not offer this").await,
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
