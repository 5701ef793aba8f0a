//! Plays one turn.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Inner;
use super::wire::Line;
use crate::bridge::ports::{Envelope, Fact, GateRequest, Submit, TurnEnd};
use crate::demo::script::{self, Directive, Right};
use crate::domain::gate::{Ask, Choice, Decision, Effect, Question, QuestionOption};
use crate::domain::history::{ChangedFile, Failure, FailureKind};
use crate::domain::ids::{ClientId, NativeGateId, NativeTurnId, ThreadId};
use crate::domain::view::{Lang, Step, StepKind, StepState};

/// A hanging turn shows life this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Longest name of a step.
const OBJECT_CHARS: usize = 60;

/// Why a turn does not go on.
enum Halt {
    /// Interrupted, or the generation ends.
    Stopped,
    Failed(Failure),
    /// The history cannot be written: the generation must end.
    Store(io::Error),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Halt::Store(error)
    }
}

/// A turn that is being played. Every wait ends when it is stopped; a write never does.
pub(super) struct Runner {
    inner: Arc<Inner>,
    thread: ThreadId,
    turn: NativeTurnId,
    /// The words and our id of them; a compaction has neither.
    input: Option<(ClientId, String)>,
    stop: CancellationToken,
    directory: PathBuf,
    items: u32,
    tokens: i64,
    /// Words that people added, and what they answered: told at the end of the answer.
    also: Vec<String>,
    answers: Vec<String>,
}

impl Runner {
    pub fn new(
        inner: Arc<Inner>,
        submit: &Submit,
        turn: NativeTurnId,
        stop: CancellationToken,
        directory: PathBuf,
    ) -> Self {
        let input = Some((submit.client.clone(), submit.input.text.clone()));
        Self::of(inner, submit.thread.clone(), input, turn, stop, directory)
    }

    /// Compacts a thread.
    pub fn compaction(
        inner: Arc<Inner>,
        thread: ThreadId,
        turn: NativeTurnId,
        stop: CancellationToken,
        directory: PathBuf,
    ) -> Self {
        Self::of(inner, thread, None, turn, stop, directory)
    }

    fn of(
        inner: Arc<Inner>,
        thread: ThreadId,
        input: Option<(ClientId, String)>,
        turn: NativeTurnId,
        stop: CancellationToken,
        directory: PathBuf,
    ) -> Self {
        Runner {
            inner,
            thread,
            turn,
            input,
            stop,
            directory,
            items: 0,
            tokens: 0,
            also: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Plays the turn to its end; the end is told only after it is in the history.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let (end, failure) = match self.play().await {
            Ok(()) => (TurnEnd::Completed, None),
            Err(Halt::Stopped) => (TurnEnd::Interrupted, None),
            Err(Halt::Failed(failure)) => (TurnEnd::Failed, Some(failure)),
            Err(Halt::Store(error)) => return self.give_up(error).await,
        };
        let ended = Line::Ended {
            turn: self.turn.clone(),
            end: end.into(),
            failure: failure.clone(),
            at_ms: self.inner.clock.now_ms(),
        };
        if let Err(error) = self.inner.store.append(&self.thread, &[ended]).await {
            return self.give_up(error).await;
        }
        self.inner.idle(&self.thread);
        // A generation that ends says nothing more but that; the history tells the rest.
        if !self.inner.tasks.token().is_cancelled() {
            self.tell(Fact::Usage { total_tokens: self.tokens, request_tokens: self.tokens }).await;
            self.tell(Fact::TurnEnded { end, failure }).await;
        }
        Ok(())
    }

    async fn give_up(self, error: io::Error) -> anyhow::Result<()> {
        self.inner.idle(&self.thread);
        self.inner.exit(&format!("the history cannot be written: {error}")).await;
        Err(error.into())
    }

    async fn play(&mut self) -> Result<(), Halt> {
        self.tell(Fact::TurnStarted).await;
        let lines = self.inner.store.lines(&self.thread).await?;
        let Some((client, mut text)) = self.input.clone() else { return self.compact(&lines).await };
        self.tell(Fact::InputTaken { client: Some(client) }).await;
        self.tokens += (text.len() / 4 + 1) as i64;
        if lines.iter().any(|line| matches!(line, Line::Compacted { .. })) {
            text = script::with_room(&text);
        }
        let steps = script::steps(&text);
        for step in steps {
            self.take_added().await?;
            match step.act {
                None => self.finish(&step.before).await?,
                Some(act) if act.is_fault() => self.fault(&step.before, &act).await?,
                Some(tool) => {
                    self.message(&step.before).await?;
                    // It has one hand: what is called together comes one after the other.
                    for tool in std::iter::once(tool).chain(step.also) {
                        self.tool(tool).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn compact(&mut self, lines: &[Line]) -> Result<(), Halt> {
        let said = |line: &'_ Line| if let Line::Input { text, .. } = line { Some(text.clone()) } else { None };
        let said: Vec<String> = lines.iter().filter_map(said).collect();
        self.sleep(script::compacting_ms(said.iter().map(String::as_str))).await?;
        self.tokens += script::SUMMARY.len() as i64;
        self.inner.store.append(&self.thread, &[Line::Compacted { turn: self.turn.clone() }]).await?;
        Ok(())
    }

    // ------------------------------------------------------------------------------------------ facts

    async fn tell(&self, fact: Fact) {
        let sending = self.inner.facts.send(self.envelope(fact));
        // When the generation ends, nobody may be reading.
        let ending = async {
            self.inner.tasks.token().cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! {
            sent = sending => if sent.is_err() { debug!("Nobody listens to the embedded runtime") },
            () = ending => {}
        }
    }

    fn envelope(&self, fact: Fact) -> Envelope {
        let (thread, turn) = (Some(self.thread.clone()), Some(self.turn.clone()));
        Envelope { generation: self.inner.generation, thread, turn, fact }
    }

    /// Waits for `future` as long as the turn goes on.
    async fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Halt> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Halt::Stopped),
            done = future => Ok(done),
        }
    }

    async fn sleep(&self, ms: u64) -> Result<(), Halt> {
        self.wait(tokio::time::sleep(Duration::from_millis(ms))).await
    }

    fn item(&mut self) -> String {
        self.items += 1;
        format!("{}-{}", self.turn, self.items)
    }

    async fn take_added(&mut self) -> Result<(), Halt> {
        let take = |active: &mut super::Active| active.added.drain(..).collect();
        let added: Vec<(ClientId, String)> = self.inner.active(&self.thread, &self.turn, take).unwrap_or_default();
        for (client, text) in added {
            let line = Line::Input { turn: self.turn.clone(), client: Some(client.clone()), text: text.clone() };
            self.inner.store.append(&self.thread, &[line]).await?;
            self.also.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
            self.tell(Fact::InputTaken { client: Some(client) }).await;
        }
        Ok(())
    }

    // ------------------------------------------------------------------------------------------ text

    /// Writes `say` and `stream` out and gives the whole text.
    async fn deltas(&mut self, item: &str, parts: &[Directive]) -> Result<String, Halt> {
        let mut text = String::new();
        for part in parts {
            match part {
                Directive::Sleep(ms) => self.sleep(*ms).await?,
                Directive::Say(words) => {
                    let gap = if text.is_empty() { "" } else { "\n\n" };
                    self.delta(item, &mut text, format!("{gap}{words}"));
                }
                Directive::Stream { words, every_ms } => {
                    for number in 1..=*words {
                        self.sleep(*every_ms).await?;
                        self.delta(item, &mut text, script::word(number));
                    }
                }
                _ => {}
            }
        }
        Ok(text)
    }

    /// A picture only: dropped when nobody keeps up.
    fn delta(&mut self, item: &str, text: &mut String, more: String) {
        self.tokens += 1;
        text.push_str(&more);
        let _ = self.inner.facts.try_send(self.envelope(Fact::TextDelta { item: item.to_owned(), text: more }));
    }

    async fn text_done(&mut self, item: String, text: String) -> Result<(), Halt> {
        if text.is_empty() {
            return Ok(());
        }
        let line = Line::Text { turn: self.turn.clone(), text: text.clone() };
        self.inner.store.append(&self.thread, &[line]).await?;
        self.tell(Fact::TextDone { item, text }).await;
        Ok(())
    }

    async fn message(&mut self, parts: &[Directive]) -> Result<(), Halt> {
        let item = self.item();
        let text = self.deltas(&item, parts).await?;
        self.text_done(item, text).await
    }

    /// The last words, with what people added meanwhile.
    async fn finish(&mut self, parts: &[Directive]) -> Result<(), Halt> {
        let mut item = self.item();
        let mut text = self.deltas(&item, parts).await?;
        for answer in std::mem::take(&mut self.answers) {
            self.delta(&item, &mut text, format!("\n\n({answer})"));
        }
        loop {
            self.take_added().await?;
            if !self.also.is_empty() {
                let gap = if text.is_empty() { "" } else { "\n\n" };
                let also = std::mem::take(&mut self.also).join("; ");
                self.delta(&item, &mut text, format!("{gap}(also: {also})"));
            }
            self.text_done(item, text).await?;
            if self.inner.close(&self.thread, &self.turn) {
                return Ok(());
            }
            // Words that came in the last moment get an item of their own.
            (item, text) = (self.item(), String::new());
        }
    }

    // ------------------------------------------------------------------------------------------ faults

    async fn fault(&mut self, before: &[Directive], fault: &Directive) -> Result<(), Halt> {
        let failure = match fault {
            Directive::Hang => {
                let item = self.item();
                self.deltas(&item, before).await?;
                loop {
                    self.tell(Fact::Activity).await;
                    self.wait(tokio::time::sleep(SIGN_OF_LIFE)).await?;
                }
            }
            Directive::Cut => {
                let detail = "stream disconnected before completion".to_owned();
                // What was written is lost, both times.
                for again in [true, false] {
                    let item = self.item();
                    self.deltas(&item, before).await?;
                    if again {
                        self.tell(Fact::Retrying { detail: detail.clone() }).await;
                    }
                }
                Failure { kind: FailureKind::Other, detail }
            }
            refused => {
                for part in before {
                    if let Directive::Sleep(ms) = part {
                        self.sleep(*ms).await?;
                    }
                }
                refusal(refused)
            }
        };
        self.tell(Fact::Trouble(failure.clone())).await;
        Err(Halt::Failed(failure))
    }

    // ------------------------------------------------------------------------------------------ tools

    async fn tool(&mut self, tool: Directive) -> Result<(), Halt> {
        match tool {
            Directive::Shell(command) => self.shell(&command).await,
            Directive::Permit(right) => {
                let (wanted, network_only) = match right {
                    Right::Network => ("network".to_owned(), true),
                    Right::Read(path) => (format!("read {path}"), false),
                    Right::Write(path) => (format!("write {path}"), false),
                };
                let directory = self.directory.display().to_string();
                let ask = Ask::Permissions { wanted: vec![wanted], directory, network_only };
                match self.ask(ask, Some("The script asks for more rights.".to_owned()), choices()).await? {
                    Decision::StopTurn | Decision::Network => Err(Halt::Stopped),
                    // Nothing is kept from its commands anyway.
                    Decision::Allow | Decision::Decline { .. } | Decision::Answers { .. } => Ok(()),
                }
            }
            Directive::Escalate(command) => self.asked_command(command, true).await,
            Directive::Request(command) => self.asked_command(command, false).await,
            Directive::Patch { file, text } => self.patch(&file, &text).await,
            Directive::Ask { question, options } => self.questions(vec![(question, options)], false).await,
            Directive::Secret(question) => self.questions(vec![(question, Vec::new())], true).await,
            Directive::Form(questions) => self.questions(questions, false).await,
            _ => Ok(()),
        }
    }

    async fn asked_command(&mut self, command: String, outside_sandbox: bool) -> Result<(), Halt> {
        let ask = Ask::Command {
            command: command.clone(),
            exact: String::new(),
            directory: self.directory.display().to_string(),
            outside_sandbox,
            unsure: false,
            network: false,
            wanted: Vec::new(),
        };
        let claim = outside_sandbox.then(|| "The script asks to leave the sandbox.".to_owned());
        match self.ask(ask, claim, choices()).await? {
            Decision::Allow => self.shell(&command).await,
            Decision::StopTurn | Decision::Network => Err(Halt::Stopped),
            Decision::Decline { .. } | Decision::Answers { .. } => {
                let item = self.item();
                let step = self.step(StepKind::Command, &command);
                self.step_ended(item, step, false, Vec::new()).await
            }
        }
    }

    fn step(&self, what: StepKind, object: &str) -> Step {
        let object = object.chars().take(OBJECT_CHARS).collect();
        Step { what, object, state: StepState::Running, started_at_ms: self.inner.clock.now_ms() }
    }

    async fn step_ended(&mut self, item: String, step: Step, ok: bool, changed: Vec<ChangedFile>) -> Result<(), Halt> {
        let step = Step { state: if ok { StepState::Ok } else { StepState::Failed }, ..step };
        let line = Line::Tool { turn: self.turn.clone(), step: step.clone(), changed: changed.clone() };
        self.inner.store.append(&self.thread, &[line]).await?;
        self.tell(Fact::StepEnded { item, step, changed }).await;
        Ok(())
    }

    async fn shell(&mut self, command: &str) -> Result<(), Halt> {
        let item = self.item();
        let step = self.step(StepKind::Command, command);
        self.tell(Fact::StepStarted { item: item.clone(), step: step.clone() }).await;
        let ok = self.command(command).await?;
        self.step_ended(item, step, ok, Vec::new()).await
    }

    /// Runs a command; its whole process group ends with it, however it ends.
    async fn command(&self, command: &str) -> Result<bool, Halt> {
        let spawned = Command::new("/bin/sh")
            .arg("-c")
            .arg(command)
            .env_clear()
            .envs(self.inner.env.iter().cloned())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                debug!(%error, "A command did not start");
                return Ok(false);
            }
        };
        let _group = Group(child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)));
        let status = self.wait(child.wait()).await?;
        Ok(status.is_ok_and(|status| status.success()))
    }

    async fn patch(&mut self, file: &str, text: &str) -> Result<(), Halt> {
        let item = self.item();
        let step = self.step(StepKind::FileChange, file);
        self.tell(Fact::StepStarted { item: item.clone(), step: step.clone() }).await;
        let written = write(&self.directory, file, text).await;
        if let Err(error) = &written {
            debug!(%error, "A file was not written");
        }
        self.step_ended(item, step, written.is_ok(), written.into_iter().collect()).await
    }

    async fn questions(&mut self, asked: Vec<(String, Vec<String>)>, secret: bool) -> Result<(), Halt> {
        let lang = script::language(self.input.as_ref().map_or("", |(_, text)| text));
        let option = |label| QuestionOption { label, description: String::new() };
        let header = match lang {
            Lang::Zh => "提问",
            Lang::En => "Question",
        };
        let question = |(n, (text, options)): (usize, (String, Vec<String>))| Question {
            id: format!("q{}", n + 1),
            header: header.to_owned(),
            text,
            options: options.into_iter().map(option).collect(),
            free_text: true,
            secret,
        };
        let questions = asked.into_iter().enumerate().map(question).collect();
        let decision = self.ask(Ask::Questions { questions }, None, Vec::new()).await?;
        let given: Vec<String> = match decision {
            Decision::StopTurn | Decision::Network => return Err(Halt::Stopped),
            Decision::Answers { answers } => answers.into_iter().flat_map(|(_, given)| given).collect(),
            Decision::Allow | Decision::Decline { .. } => Vec::new(),
        };
        let told = match (given.is_empty(), secret, lang) {
            (true, _, Lang::En) => "no answer".to_owned(),
            (true, _, Lang::Zh) => "没有回答".to_owned(),
            (false, true, Lang::En) => "answer received".to_owned(),
            (false, true, Lang::Zh) => "已收到回答".to_owned(),
            (false, false, Lang::En) => format!("answer: {}", given.join(", ")),
            (false, false, Lang::Zh) => format!("回答：{}", given.join("、")),
        };
        self.answers.push(told);
        Ok(())
    }

    /// Asks and waits, for ever if need be. The request is over when this returns, and everybody was told so.
    async fn ask(&mut self, ask: Ask, claim: Option<String>, choices: Vec<Choice>) -> Result<Decision, Halt> {
        let native = NativeGateId::new(uuid::Uuid::new_v4().to_string());
        let (sender, answer) = oneshot::channel();
        self.inner.active(&self.thread, &self.turn, |active| active.gates.insert(native.clone(), sender));
        let request = GateRequest { native: native.clone(), ask, claim, choices };
        self.tell(Fact::GateOpened(Box::new(request))).await;
        let decision = self.wait(answer).await;
        self.inner.active(&self.thread, &self.turn, |active| active.gates.remove(&native));
        if !self.inner.tasks.token().is_cancelled() {
            self.tell(Fact::GateResolved { native }).await;
        }
        decision?.map_err(|_| Halt::Stopped)
    }
}

/// Ends a command's process group when it goes out of sight, also when the wait for it was given up.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn choices() -> Vec<Choice> {
    [("allow", Effect::AllowOnce, false), ("decline", Effect::Decline, true), ("stop", Effect::StopTurn, false)]
        .into_iter()
        .map(|(native, effect, takes_feedback)| Choice { native: native.to_owned(), effect, takes_feedback })
        .collect()
}

fn refusal(fault: &Directive) -> Failure {
    let (kind, detail) = match fault {
        Directive::ContextFull => (FailureKind::ContextFull, "The conversation is too long".to_owned()),
        Directive::UsageLimit => (FailureKind::UsageLimit, "The usage limit has been reached".to_owned()),
        Directive::Http(status) => {
            let kind = match status {
                401 => FailureKind::NotSignedIn,
                429 | 500.. => FailureKind::ModelBusy,
                _ => FailureKind::Rejected,
            };
            (kind, format!("the model service answered with status {status}"))
        }
        _ => (FailureKind::Other, "the script failed".to_owned()),
    };
    Failure { kind, detail }
}

/// Writes a file inside the directory and nowhere else.
async fn write(directory: &Path, file: &str, text: &str) -> io::Result<ChangedFile> {
    let relative = Path::new(file);
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(io::Error::other("the file is not below the thread's directory"));
    }
    let path = directory.join(relative);
    let before = tokio::fs::read_to_string(&path).await.unwrap_or_default();
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::write(&path, format!("{text}\n")).await?;
    let lines = |text: &str| u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    Ok(ChangedFile { path: file.to_owned(), added: lines(text).max(1), removed: lines(&before) })
}
