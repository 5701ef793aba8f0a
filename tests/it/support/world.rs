//! A world of its own for a test: a home, the daemon as a real process, a simulated Feishu, a scripted model, and the
//! means to kill any of them at any moment. Whatever happens, nothing of it outlives the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ally::ledger::{LedgerError, Transaction};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::feishu_sim::{APP_ID, APP_SECRET, FeishuSim, SimMessage};
use super::power::Disk;
use super::proxy::Proxy;

/// The owner in every world; may talk everywhere and decide.
pub const OWNER: &str = "ou_owner";
/// A listed user.
pub const LI: &str = "ou_li";
/// Nobody knows this one.
pub const STRANGER: &str = "ou_stranger";
pub const OWNER_CHAT: &str = "oc_owner";
pub const GROUP: &str = "oc_group";

/// How long anything may take. Machines are shared: generous, because only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Codex,
    Embedded,
}

pub struct World {
    pub sim: FeishuSim,
    pub home: tempfile::TempDir,
    pub kind: Kind,
    lang: &'static str,
    program: PathBuf,
    /// Another program in codex's place.
    pub codex: Option<PathBuf>,
    /// Where the scripted model listens, `127.0.0.1:port`.
    pub model_at: String,
    model: CancellationToken,
    supervisor: Option<std::process::Child>,
    /// What would be there after a loss of power, where that is to come.
    disk: Option<Disk>,
}

impl World {
    /// A world with the owner's chat and an open group, and the daemon running in it.
    pub async fn start(kind: Kind) -> Self {
        let mut world = Self::prepare(kind, "").await;
        world.up().await;
        world
    }

    /// The same, not started yet; `settings` is added to `ally.toml`.
    pub async fn prepare(kind: Kind, settings: &str) -> Self {
        Self::prepare_in("en", kind, settings).await
    }

    /// The same in a language of ally's.
    pub async fn prepare_in(lang: &'static str, kind: Kind, settings: &str) -> Self {
        let sim = FeishuSim::start().await;
        for (user, name) in [(OWNER, "Wang"), (LI, "Li"), (STRANGER, "Nobody")] {
            sim.add_user(user, name);
        }
        sim.add_direct(OWNER_CHAT, OWNER);
        sim.add_group(GROUP, "Team", &[OWNER, LI, STRANGER]);
        let home = tempfile::Builder::new().prefix("w-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let model = CancellationToken::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(ally::demo::serve(listener, model.clone()));
        write_home(home.path(), &sim.base_url(), &format!("http://{address}/v1"), lang, settings);
        let program = env!("CARGO_BIN_EXE_ally").into();
        Self {
            sim,
            home,
            kind,
            lang,
            program,
            codex: None,
            model_at: address.to_string(),
            model,
            supervisor: None,
            disk: None,
        }
    }

    /// Puts a line between the daemon, which is not started yet, and Feishu.
    pub async fn proxy_to_feishu(&self) -> Proxy {
        let proxy = Proxy::to(self.sim.base_url().trim_start_matches("http://")).await;
        self.rewrite(".env", &self.sim.base_url(), &format!("http://{}", proxy.address()));
        proxy
    }

    /// The same between codex and the model.
    pub async fn proxy_to_model(&self) -> Proxy {
        let proxy = Proxy::to(&self.model_at).await;
        self.rewrite("codex/config.toml", &self.model_at, &proxy.address());
        proxy
    }

    /// More chats of the owner's with the bot, each with a working directory of its own.
    pub fn add_chats(&self, chats: &[&str]) {
        chats.iter().for_each(|chat| self.sim.add_direct(chat, OWNER));
    }

    /// Faults of [`ally::crash::FAULTS`]; before the start.
    pub fn set_faults(&self, faults: &[&str]) {
        assert!(faults.iter().all(|fault| ally::crash::FAULTS.contains(fault)), "{faults:?}");
        let file = self.paths().crash_point().with_extension("faults");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, faults.join("\n")).unwrap();
    }

    /// Replaces words in a file of the home.
    pub fn rewrite(&self, file: &str, from: &str, to: &str) {
        let file = self.home.path().join("ally").join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
    }

    /// Starts the daemon and waits until it takes work and the runtime answers.
    pub async fn up(&mut self) {
        self.launch(self.ally(&["run", "--quiet"])).await;
    }

    /// The same, with more of an environment.
    pub async fn up_with(&mut self, environment: &[(&str, String)]) {
        let mut command = self.ally(&["run", "--quiet"]);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        self.launch(command).await;
    }

    /// The same, with a limit of file sizes being an error of the write and not the end of the process.
    pub async fn up_without_size_signals(&mut self) {
        let mut command = self.command("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" run --quiet", env!("CARGO_BIN_EXE_ally")]);
        self.launch(command).await;
    }

    /// The same with Feishu switched off in `ally.toml`, or on again.
    pub async fn up_with_feishu(&mut self, enabled: bool) {
        let file = self.home.path().join("ally/ally.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (from, to) = (format!("enabled = {}", !enabled), format!("enabled = {enabled}"));
        std::fs::write(&file, text.replace(&from, &to)).unwrap();
        if enabled {
            return self.up().await;
        }
        self.begin(self.ally(&["run", "--quiet"]));
        self.wait("the daemon to run", |world| (world.status()?["state"] == "running").then_some(())).await;
    }

    /// The same, where Feishu lets nobody connect.
    pub async fn up_unconnected(&mut self) {
        self.begin(self.ally(&["run", "--quiet"]));
        self.wait("the daemon to run", |world| (world.status()?["state"] == "running").then_some(())).await;
    }

    /// The same, where the runtime does not come up.
    pub async fn up_without_runtime(&mut self) {
        self.begin(self.ally(&["run", "--quiet"]));
        self.wait("Feishu to be connected", |world| {
            let status = world.status()?;
            (status["state"] == "running" && status["channels"][0]["state"] == "connected").then_some(())
        })
        .await;
    }

    async fn launch(&mut self, command: Command) {
        self.begin(command);
        self.ready().await;
    }

    fn begin(&mut self, mut command: Command) {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let program = command.get_program().to_owned();
        self.supervisor = Some(child.unwrap_or_else(|error| panic!("{program:?} could not be started: {error}")));
    }

    /// Another build of ally lives in this world.
    pub fn use_program(&mut self, program: PathBuf) {
        self.program = program;
    }

    /// Starts the daemon anew where its supervisor has ended and nothing of it is left, and waits for nothing. True when
    /// the supervisor runs.
    pub fn keep_running(&mut self) -> bool {
        if self.supervisor.as_mut().is_some_and(|supervisor| supervisor.try_wait().unwrap().is_none()) {
            return true;
        }
        self.supervisor = None;
        // A bridge that outlived its supervisor ends by itself, and holds the ledger until then.
        if self.bridge_pid().is_none() {
            self.begin(self.ally(&["run", "--quiet"]));
        }
        false
    }

    pub fn supervisor_pid(&self) -> Option<u32> {
        self.supervisor.as_ref().map(std::process::Child::id)
    }

    /// Of the bridge that is there, also while it cannot answer.
    pub fn bridge_pid(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.paths().bridge_pid()).ok()?.split(' ').next()?.parse().ok()?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        command.split(|byte| *byte == 0).any(|word| word == b"bridge").then_some(pid)
    }

    pub fn paths(&self) -> ally::config::Paths {
        ally::config::Paths::of_home(self.home.path().join("ally"), None)
    }

    /// Waits until Feishu is connected and the runtime is ready.
    pub async fn ready(&self) {
        self.wait("the daemon to be ready", |world| {
            let status = world.status()?;
            let runtime = status["runtime"]["state"] == "ready";
            let feishu =
                status["channels"].as_array()?.iter().any(|c| c["name"] == "feishu" && c["state"] == "connected");
            (status["state"] == "running" && runtime && feishu).then_some(())
        })
        .await;
    }

    /// The binary with this world's home and nothing of the machine's own settings.
    pub fn ally(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.program);
        command.args(args);
        command
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("ALLY_HOME", self.home.path().join("ally"))
            .env("ALLY_LANG", self.lang)
            .env("ALLY_RUNTIME", if self.kind == Kind::Codex { "codex" } else { "embedded" })
            .env("ALLY_RUNTIME_BIN", self.codex.clone().unwrap_or_else(codex_program));
        command.envs(self.disk.iter().flat_map(Disk::environment));
        command
    }

    /// Runs a verb to its end: stdout, and whether it ended well.
    pub fn run(&self, args: &[&str]) -> (String, bool) {
        let output = self.ally(args).stdin(Stdio::null()).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    /// `ally status --json`; `None` while there is no answer.
    pub fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.run(&["status", "--json"]).0).ok()
    }

    pub fn pid(&self, which: &str) -> Option<u32> {
        self.status()?["pids"][which].as_u64().map(|pid| pid as u32)
    }

    /// Moves the daemon's clock; the platform's stays. A bridge that is started anew has the true time again.
    pub async fn warp(&self, by: Duration) {
        self.shift(by.as_millis() as i64).await;
    }

    /// The same, back.
    pub async fn warp_back(&self, by: Duration) {
        self.shift(-(by.as_millis() as i64)).await;
    }

    async fn shift(&self, offset_ms: i64) {
        let paths = ally::config::Paths::of_home(self.home.path().join("ally"), None);
        let token = std::fs::read_to_string(paths.token()).unwrap();
        let client = reqwest::Client::builder().unix_socket(paths.socket()).build().unwrap();
        let body = serde_json::json!({ "offset_ms": offset_ms, "speed": 1.0 });
        let sent = client.post("http://ally/v1/clock").bearer_auth(token.trim()).json(&body).send().await.unwrap();
        assert!(sent.status().is_success(), "{sent:?}");
    }

    // -------------------------------------------------------------------------------------------- death

    /// `kill -9` of the bridge; the supervisor starts it anew.
    pub async fn kill_bridge(&self) {
        let old = self.wait("the bridge's pid", |world| world.pid("bridge")).await;
        kill(old, "-KILL");
        self.wait("a new bridge", |world| world.pid("bridge").filter(|pid| *pid != old)).await;
        self.ready().await;
    }

    /// `kill -9` of the runtime child; the bridge starts it anew.
    pub async fn kill_runtime(&self) {
        let old = self.wait("the runtime's pid", |world| world.pid("runtime")).await;
        kill(old, "-KILL");
        self.wait("a new runtime", |world| world.pid("runtime").filter(|pid| *pid != old)).await;
        self.ready().await;
    }

    /// Both at the same moment.
    pub async fn kill_both(&self) {
        let bridge = self.wait("the bridge's pid", |world| world.pid("bridge")).await;
        let runtime = self.wait("the runtime's pid", |world| world.pid("runtime")).await;
        kill(bridge, "-KILL");
        kill(runtime, "-KILL");
        self.wait("a new bridge", |world| world.pid("bridge").filter(|pid| *pid != bridge)).await;
        self.ready().await;
    }

    /// From the next start on it is known what the disk would keep.
    pub fn with_power_to_lose(&mut self) {
        self.disk = Some(Disk::new(self.home.path()));
    }

    /// Everything ends, and of the home is left what was synced (see [`Disk::lose_power`]). Nothing is started.
    pub fn lose_power(&mut self, rest: bool) -> usize {
        self.end_all();
        let disk = self.disk.as_ref().expect("a world with power to lose");
        disk.lose_power(&self.home.path().join("ally"), rest)
    }

    /// `ally stop`, and the supervisor's end.
    pub async fn down(&mut self) {
        let (said, well) = self.run(&["stop"]);
        assert!(well, "ally stop: {said}");
        let mut supervisor = self.supervisor.take().unwrap();
        let until = Instant::now() + PATIENCE;
        while supervisor.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the supervisor did not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Processes of this world: those whose home is this one's.
    pub fn processes(&self) -> Vec<u32> {
        let needle = format!("HOME={}", self.home.path().display()).into_bytes();
        let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
        all.flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| {
                std::fs::read(format!("/proc/{pid}/environ"))
                    .is_ok_and(|environ| environ.split(|b| *b == 0).any(|e| e == needle))
            })
            .collect()
    }

    /// Kills whatever belongs to this world, and what is being started just now.
    fn end_all(&mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            let _ = supervisor.kill();
            let _ = supervisor.wait();
        }
        let mut quiet = 0;
        for _ in 0..200 {
            let left = self.processes();
            // One that is just being started has no environment to be known by.
            quiet = if left.is_empty() { quiet + 1 } else { 0 };
            if quiet == 3 {
                break;
            }
            left.into_iter().for_each(|pid| kill(pid, "-KILL"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    // -------------------------------------------------------------------------------------------- looking

    /// Looks again and again until there is something.
    pub async fn wait<T>(&self, what: &str, look: impl FnMut(&Self) -> Option<T>) -> T {
        self.patiently(1, what, look).await
    }

    /// The same, several times as long.
    pub async fn patiently<T>(&self, times: u32, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let until = Instant::now() + times * PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if Instant::now() >= until {
                panic!("waited in vain for {what}\nstatus: {:?}", self.status());
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The answer to a message: the first thing of the bot that answers it and is not a card with buttons or a picture of
    /// progress.
    pub async fn answer(&self, message: &str) -> SimMessage {
        self.wait(&format!("an answer to {message}"), |world| world.answers(message).into_iter().next()).await
    }

    /// The first thing that the bot said to a message, card or text.
    pub async fn said(&self, message: &str) -> SimMessage {
        self.wait(&format!("a word about {message}"), |world| {
            world.sim.answers_to(message).into_iter().find(SimMessage::by_bot)
        })
        .await
    }

    /// What the bot said to a message that is settled, without the picture of progress: on a busy machine anything takes
    /// long enough to get one.
    pub fn told(&self, message: &str) -> Vec<SimMessage> {
        let all = self.sim.answers_to(message).into_iter();
        all.filter(|sent| sent.by_bot() && !sent.text().starts_with("✓ Done")).collect()
    }

    /// What the bot said to a message, without cards.
    pub fn answers(&self, message: &str) -> Vec<SimMessage> {
        self.sim
            .answers_to(message)
            .into_iter()
            .filter(|sent| sent.by_bot() && sent.msg_type != "interactive")
            .collect()
    }

    /// The bot's cards about a message.
    pub fn cards(&self, message: &str) -> Vec<SimMessage> {
        self.sim
            .answers_to(message)
            .into_iter()
            .filter(|sent| sent.by_bot() && sent.msg_type == "interactive")
            .collect()
    }

    /// The card about a message that has a button of this label.
    pub async fn card_with(&self, message: &str, button: &str) -> SimMessage {
        self.wait(&format!("a card with {button:?} about {message}"), |world| {
            world.cards(message).into_iter().find(|card| card.button(button).is_some())
        })
        .await
    }

    /// Waits until nothing is active, queued or on its way.
    pub async fn settled(&self) {
        self.wait("everything to be settled", |world| {
            let status = world.status()?;
            let turns = &status["turns"];
            let none = |value: &Value| value.as_u64() == Some(0);
            let idle = ["submitting", "running", "waiting", "queued"].iter().all(|state| none(&turns[*state]));
            let sent = none(&status["outbox"]["ready"])
                && none(&status["outbox"]["sending"])
                && none(&status["surfaces_pending"]);
            (idle && sent).then_some(())
        })
        .await;
        // A process that dies may not know of the reaction that it put.
        if self.status().is_some_and(|status| status["crashes"].is_null()) {
            assert_eq!(self.sim.doubled(), Vec::<String>::new(), "two reactions at a time");
        }
        self.assert_sound();
    }

    /// What `ally doctor ledger` checks.
    pub fn assert_sound(&self) {
        assert_eq!(self.ledger(ally::ledger::check::run), [], "the ledger does not fit together");
    }

    /// Waits until every card shows what it should.
    pub async fn settled_surfaces(&self) {
        self.wait("the cards to be painted", |world| (world.status()?["surfaces_pending"] == 0).then_some(())).await;
    }

    /// No card claims that something runs or waits, and none asks.
    pub fn assert_nothing_runs_on_cards(&self, chats: &[&str]) {
        for chat in chats {
            for message in self.sim.messages(chat).into_iter().filter(|m| m.by_bot() && m.msg_type == "interactive") {
                let text = message.text();
                assert!(!text.contains("Running") && message.button("Stop").is_none(), "a card still runs: {text}");
                let waits = ["Waiting", " waiting", "Behind "].iter().any(|words| text.contains(words));
                assert!(!waits, "a card still waits: {text}");
                let asks = ["Allow", "Decline", "Send", "Steer", "Do it"].iter().any(|b| message.button(b).is_some());
                assert!(!asks && !text.contains("needed"), "a card still asks: {text}");
            }
        }
    }

    /// How often each nonce stands in a file that tools append to.
    pub fn nonces(&self, path: &Path) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            *counts.entry(line.to_owned()).or_default() += 1;
        }
        counts
    }

    /// A file in the test's own folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Reads the ledger beside the daemon.
    pub fn ledger<T>(&self, look: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError>) -> T {
        let file = self.home.path().join("ally/ledger.db");
        ally::ledger::report::offline(&file, look).unwrap().expect("there is a ledger")
    }

    fn seen(&self) -> String {
        let mut all = self.sim.messages_since(0).0;
        all.sort_by(|a, b| a.chat.cmp(&b.chat));
        all.iter()
            .map(|m| format!("  {} {} {}: {:.300}\n", m.chat, m.sender, m.msg_type, m.text().replace('\n', " / ")))
            .collect()
    }

    /// Everything in the log.
    pub fn whole_log(&self) -> String {
        let folder = self.home.path().join("ally/logs");
        let Ok(files) = std::fs::read_dir(folder) else { return "no log".to_owned() };
        files.flatten().filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
    }

    pub fn log_says(&self, words: &str) -> bool {
        self.whole_log().contains(words)
    }

    pub fn log(&self) -> String {
        let text = self.whole_log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// What tools were asked for and what they gave back, as codex has written it down.
    pub fn tools(&self) -> String {
        let mut folders = vec![self.home.path().join("ally/codex/sessions")];
        let mut tools = String::new();
        while let Some(entries) = folders.pop().and_then(|folder| std::fs::read_dir(folder).ok()) {
            for path in entries.flatten().map(|entry| entry.path()) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(path).unwrap_or_default();
                for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
                    let item = &line["payload"];
                    if line["type"] == "response_item"
                        && item["type"].as_str().is_some_and(|kind| kind.contains("_call"))
                    {
                        tools += &format!("  {} {}{}\n", line["timestamp"], item["arguments"], item["output"]);
                    }
                }
            }
        }
        tools
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seen:\n{}tools:\n{}log:\n{}", self.seen(), self.tools(), self.log());
        }
        self.model.cancel();
        self.end_all();
    }
}

/// Whether a `sleep` of so many seconds runs on this machine.
pub fn runs(seconds: &str) -> bool {
    let line = format!("sleep\0{seconds}\0").into_bytes();
    let Ok(all) = std::fs::read_dir("/proc") else { return false };
    all.flatten().any(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|found| found == line))
}

/// The setting of a zone in which it is about noon: at night hardly anything is told.
pub fn daytime() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let east = 12 - i64::try_from(now.as_secs() / 3600 % 24).unwrap();
    // Names of this kind count the other way.
    format!("zone = \"Etc/GMT{:+}\"\n", -east)
}

pub fn kill(pid: u32, signal: &str) {
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

/// The native codex that the tests run: named by the environment, or installed in the checkout by `ally.sh`.
pub fn codex_program() -> PathBuf {
    if let Some(named) = std::env::var_os("ALLY_RUNTIME_BIN") {
        return named.into();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".runtimes")
        .join(format!("codex-{}", ally::runtimes::codex::locate::PINNED));
    ally::runtimes::codex::locate::native_below(&folder)
        .expect("run `./ally.sh test`: it installs codex into the checkout")
}

fn write_home(home: &Path, feishu: &str, model: &str, lang: &str, settings: &str) {
    use std::os::unix::fs::PermissionsExt;
    let ally = home.join("ally");
    std::fs::create_dir_all(ally.join("codex")).unwrap();
    let private = |path: &Path, text: &str| {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    for folder in [&ally, &ally.join("codex")] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let secrets = format!("FEISHU_APP_ID={APP_ID}\nFEISHU_APP_SECRET={APP_SECRET}\nFEISHU_BASE_URL={feishu}\n");
    private(&ally.join(".env"), &secrets);
    let access = format!("[access]\nowner = \"{OWNER}\"\nusers = [\"{LI}\"]\nchats = [\"{GROUP}\"]\n");
    private(
        &ally.join("ally.toml"),
        &format!("lang = \"{lang}\"\n\n[feishu]\nenabled = true\n\n{access}\n{settings}\n"),
    );
    private(&ally.join("codex/config.toml"), &ally::demo::codex_config(model));
}
