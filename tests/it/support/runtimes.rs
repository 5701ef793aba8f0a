//! A runtime as the bridge uses it, in folders of its own, with the scripted model behind it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ally::bridge::ports::*;
use ally::clock::Clock;
use ally::domain::gate::Decision;
use ally::domain::history::{Failure, PulledTurn};
use ally::domain::ids::{ClientId, Generation, NativeTurnId, ThreadId};
use ally::runtimes::codex::{CodexConfig, CodexLauncher};
use ally::runtimes::embedded::{self, EmbeddedConfig, EmbeddedLauncher};
use ally::tasks::Tasks;
use tokio::sync::mpsc;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// A test that fails shows what the threads that it started logged.
fn say_what_happens() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let shown = tracing_subscriber::EnvFilter::new("warn,ally=info");
        let logs = tracing_subscriber::fmt().with_env_filter(shown).with_ansi(false).with_test_writer();
        // Somebody else's in this process is as good.
        let _ = logs.try_init();
    });
}

/// Folders, tasks and the scripted model of one test. Whatever happens, nothing of it is left behind.
pub struct Site {
    pub root: PathBuf,
    pub model: String,
    pub tasks: Tasks,
}

impl Site {
    pub async fn new(name: &str) -> Site {
        say_what_happens();
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rt-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for dir in ["codex", "tmp", "work", "user"] {
            std::fs::create_dir_all(root.join(dir)).expect("a directory");
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let model = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let tasks = Tasks::default();
        tokio::spawn(ally::demo::serve(listener, tasks.token()));
        let site = Site { root, model, tasks };
        site.configure(|config| config);
        site
    }

    /// Writes codex's own configuration.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let config = change(ally::demo::codex_config(&self.model));
        std::fs::write(self.root.join("codex/config.toml"), config).expect("a configuration");
    }

    /// `TMPDIR` of the commands in `work`.
    pub fn temp(&self) -> PathBuf {
        ally::runtimes::codex::temp_of(&self.root.join("tmp"), &self.work())
    }

    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    fn env(&self) -> Vec<(OsString, OsString)> {
        // Login shells read the profile of whoever HOME is.
        vec![
            ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".into(), self.root.join("user").into()),
            ("ALLY_PLANTED_SECRET".into(), "planted".into()),
        ]
    }

    pub fn codex_config(&self) -> CodexConfig {
        CodexConfig {
            bin: None,
            runtimes_dir: Path::new(env!("CARGO_MANIFEST_DIR")).join(".runtimes"),
            home: self.root.join("codex"),
            tmp_dir: self.root.join("tmp"),
            run_dir: self.root.join("run"),
            private: Vec::new(),
            private_families: Vec::new(),
            args: Vec::new(),
            model: None,
            sandbox: None,
            approval_policy: None,
            path: None,
            env: self.env(),
            tools: None,
        }
    }

    pub fn codex(&self) -> Box<dyn Launcher> {
        self.codex_with(self.codex_config())
    }

    pub fn codex_with(&self, config: CodexConfig) -> Box<dyn Launcher> {
        Box::new(CodexLauncher::new(config, self.tasks.clone()))
    }

    /// It plays in this process.
    pub fn embedded(&self) -> Box<dyn Launcher> {
        Box::new(self.embedded_launcher())
    }

    /// It plays in a process of its own.
    pub fn embedded_child(&self) -> Box<dyn Launcher> {
        Box::new(self.embedded_launcher().as_process(env!("CARGO_BIN_EXE_ally").into(), None))
    }

    fn embedded_launcher(&self) -> EmbeddedLauncher {
        let config =
            EmbeddedConfig { home: self.root.join("embedded"), run_dir: self.root.join("run"), env: self.env() };
        embedded::launcher(config, Clock::default(), self.tasks.clone())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.tasks.token().cancel();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// One generation of a runtime.
pub struct Alive {
    pub identity: ProcessIdentity,
    pub runtime: Box<dyn Runtime>,
    facts: mpsc::Receiver<Envelope>,
    /// Seen and not asked for yet.
    seen: VecDeque<Fact>,
}

/// Starts a generation.
pub async fn start(launcher: &dyn Launcher, number: i64) -> Result<Alive, LaunchError> {
    let mark = format!("{}:{number}", launcher.home().display());
    let starting = launcher.spawn(SpawnSpec { generation: Generation(number), mark }).await?;
    let identity = starting.identity();
    let (sender, facts) = mpsc::channel(4096);
    let runtime = starting.ready(sender).await?;
    Ok(Alive { identity, runtime, facts, seen: VecDeque::new() })
}

impl Alive {
    pub async fn open(&self, thread: Option<&ThreadId>, directory: &Path) -> ThreadId {
        let how = Open { thread: thread.cloned(), directory: directory.to_owned(), posture: Posture::of(Level::Edit) };
        self.runtime.open(&how).await.expect("a thread")
    }

    pub async fn submit(&self, thread: &ThreadId, client: &str, text: &str) -> NativeTurnId {
        let input = Prompt { text: text.to_owned(), ..Prompt::default() };
        let submit = Submit {
            thread: thread.clone(),
            client: ClientId::new(client),
            input,
            model: None,
            effort: None,
            has_planned: false,
            posture: Posture::of(Level::Edit),
        };
        self.runtime.submit(&submit).await.expect("taken").turn.expect("a turn")
    }

    /// The next fact that `pick` takes; what came before it is gone.
    pub async fn until<T>(&mut self, what: &str, mut pick: impl FnMut(&Fact) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let reading = async {
            loop {
                let fact = match self.seen.pop_front() {
                    Some(fact) => fact,
                    None => self.facts.recv().await?.fact,
                };
                if let Some(found) = pick(&fact) {
                    return Some(found);
                }
                seen.push(fact);
            }
        };
        let found = tokio::time::timeout(PATIENCE, reading).await;
        found.ok().flatten().unwrap_or_else(|| panic!("no {what} in {seen:?}"))
    }

    pub async fn gate(&mut self) -> GateRequest {
        self.until("gate", |fact| match fact {
            Fact::GateOpened(gate) => Some((**gate).clone()),
            _ => None,
        })
        .await
    }

    pub async fn taken(&mut self, client: &str) {
        let want = Some(ClientId::new(client));
        self.until("taken input", |fact| matches!(fact, Fact::InputTaken { client } if *client == want).then_some(()))
            .await;
    }

    pub async fn speaks(&mut self) {
        self.until("word", |fact| matches!(fact, Fact::TextDelta { .. }).then_some(())).await;
    }

    pub async fn ended(&mut self) -> (TurnEnd, Option<Failure>) {
        self.until("end", |fact| match fact {
            Fact::TurnEnded { end, failure } => Some((*end, failure.clone())),
            _ => None,
        })
        .await
    }

    pub async fn answer(&self, thread: &ThreadId, gate: &GateRequest, decision: Decision) {
        let answer = GateAnswer {
            thread: thread.clone(),
            native: gate.native.clone(),
            ask: gate.ask.clone(),
            choices: gate.choices.clone(),
            decision,
        };
        self.runtime.answer(&answer).await.expect("answered");
    }

    /// The turn that carries `client`, and whether absence would be proven.
    pub async fn pull(&self, thread: &ThreadId, client: &str) -> Option<PulledTurn> {
        let client = ClientId::new(client);
        let pull = Pull { thread: thread.clone(), client: Some(client.clone()), turn: None, cursor: None };
        let history = self.runtime.pull(&pull).await.expect("a history");
        history.turns.into_iter().find(|turn| turn.has_client(&client))
    }

    /// Plays `text` to a good end and gives its answer.
    pub async fn play(&mut self, thread: &ThreadId, client: &str, text: &str) -> String {
        self.submit(thread, client, text).await;
        assert_eq!(self.ended().await, (TurnEnd::Completed, None), "{text}");
        self.pull(thread, client).await.expect("in the history").answer().unwrap_or_default()
    }
}
