//! The bridge in this process: a real ledger, the local channel, and the embedded runtime behind a [`Moody`] one, which
//! breaks the manners of a runtime where a test asks for it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ally::bridge::Bridge;
use ally::bridge::core::{BridgeConfig, Busy, Core, Scope};
use ally::bridge::host::{Host, HostState};
use ally::bridge::ports::Launcher;
use ally::channels::local::{ChatEvent, ClickIn, Line, LocalChannel, LocalConfig, MessageIn, routes};
use ally::clock::Clock;
use ally::domain::access::Access;
use ally::domain::delivery::Body;
use ally::domain::ids::{MessageId, TurnId};
use ally::domain::turn::{Outcome, TurnState};
use ally::domain::view::{ButtonRole, Lang, ListView, View};
use ally::ledger::turns::{self, Turn};
use ally::ledger::{Ledger, LedgerLock, Places};
use ally::tasks::Tasks;

use super::clumsy::{Clumsy, Slips};
use super::moody::{Moods, Moody};
use crate::support::runtimes::{PATIENCE, Site};

pub struct Room {
    pub core: Arc<Core>,
    pub clock: Clock,
    pub moods: Arc<Moods>,
    pub slips: Arc<Slips>,
    pub site: Site,
    bridge: Bridge,
    work: Tasks,
    base: String,
    local: PathBuf,
    said: AtomicU32,
    _lock: LedgerLock,
}

impl Room {
    pub async fn open(name: &str) -> Self {
        Self::open_with(name, Site::embedded).await
    }

    /// With the real codex.
    pub async fn with_codex(name: &str) -> Self {
        let room = Self::open_with(name, Site::codex).await;
        room.wait("codex", || room.core.host.now()).await;
        room
    }

    async fn open_with(name: &str, runtime: impl FnOnce(&Site) -> Box<dyn Launcher>) -> Self {
        let site = Site::new(&format!("bridge-{name}")).await;
        let places = Places { file: site.root.join("ledger.db"), backups: site.root.join("backups") };
        let lock = LedgerLock::take(&site.root.join("ledger.lock"), &places.file).expect("a lock");
        let ledger = Ledger::open(&places, &lock).expect("a ledger");
        let (clock, moods) = (Clock::default(), Arc::new(Moods::default()));
        let local = site.root.join("local");
        std::fs::create_dir_all(&local).expect("a folder");
        let channel = LocalChannel::new(LocalConfig { folder: local.clone(), user: "me".to_owned() }, clock.clone());
        let moody = Moody { inner: runtime(&site), moods: Arc::clone(&moods) };
        let host = Host::new(Box::new(moody), ledger.clone(), clock.clone());
        let work = site.tasks.child();
        let config = config(&site, &channel);
        let slips = Arc::new(Slips::default());
        let clumsy = Arc::new(Clumsy { inner: channel.clone(), slips: Arc::clone(&slips) });
        let core = Arc::new(Core::new(ledger, clock.clone(), work.clone(), config, vec![clumsy], host));
        let bridge = Bridge::start(Arc::clone(&core)).await.expect("a bridge");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let router = routes(channel, bridge.intake(), site.tasks.token());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let said = AtomicU32::new(0);
        Self { core, clock, moods, slips, site, bridge, work, base, local, said, _lock: lock }
    }

    /// The owner says something.
    pub async fn say(&self, text: &str) -> MessageId {
        self.say_in("main", text).await
    }

    /// In another chat, which is another conversation in the same directory.
    pub async fn say_in(&self, chat: &str, text: &str) -> MessageId {
        let message = MessageId::new(format!("m{}", self.said.fetch_add(1, Ordering::Relaxed)));
        let input = MessageIn { message: message.clone(), text: text.to_owned(), reply_to: None };
        self.post(&format!("{chat}/messages"), &input).await;
        message
    }

    /// Presses the first button of this kind that stands under a notice or a request.
    pub async fn press(&self, role: ButtonRole) {
        let found = |(card, view): (MessageId, View)| {
            let buttons = match view {
                View::Notice(notice) => notice.buttons,
                View::Gate(gate) => gate.buttons,
                _ => return None,
            };
            buttons.into_iter().find(|button| button.role == role).map(|button| (card, button.id))
        };
        let (card, button) =
            self.wait(&format!("a button to {role:?}"), || self.cards().into_iter().find_map(found)).await;
        let click = format!("{role:?} {card}");
        self.post("main/clicks", &ClickIn { card, button, click, form: Vec::new() }).await;
    }

    /// The notices that hold these words.
    pub fn notices(&self, words: &str) -> usize {
        self.cards().values().filter(|view| matches!(view, View::Notice(notice) if notice.text.contains(words))).count()
    }

    /// What the card of a turn is to show; nothing when it need not come.
    pub async fn live(&self, of: &MessageId) -> String {
        let Some(turn) = self.turn(of).await else { return String::new() };
        let read = self.core.ledger.read(move |tx| {
            let sql = "SELECT iif(state = 'gone', '', wanted) FROM surfaces WHERE kind = 'live' AND subject = ?1";
            Ok(tx.query_row(sql, [turn.id.as_str()], |row| row.get::<_, Option<String>>(0))?.unwrap_or_default())
        });
        read.await.expect("a surface")
    }

    async fn post(&self, what: &str, body: &impl serde::Serialize) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("{}/v1/chat/{what}", self.base);
        let sent = client.post(url).json(body).send().await.expect("an answer");
        assert!(sent.status().is_success(), "{sent:?}");
    }

    fn lines(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(self.local.join("main.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The cards as they are now.
    pub fn cards(&self) -> HashMap<MessageId, View> {
        let mut cards = HashMap::new();
        for line in self.lines() {
            match line.event {
                ChatEvent::Card { message, view, .. } | ChatEvent::Update { message, view, .. } => {
                    cards.insert(message, *view);
                }
                _ => {}
            }
        }
        cards
    }

    /// What was said to a message.
    pub fn answers(&self, to: &MessageId) -> Vec<String> {
        let of = |line: Line| match line.event {
            ChatEvent::Message { target, body, .. } if target.reply_to.as_ref() == Some(to) => match body {
                Body::Answer { markdown, .. } => Some(markdown),
                Body::Notice { text } => Some(text),
                _ => None,
            },
            _ => None,
        };
        self.lines().into_iter().filter_map(of).collect()
    }

    pub async fn answered(&self, to: &MessageId) -> Vec<String> {
        self.wait(&format!("an answer to {to}"), || Some(self.answers(to)).filter(|said| !said.is_empty())).await
    }

    /// The turn that a message became, as it is now.
    pub async fn turn(&self, of: &MessageId) -> Option<Turn> {
        let of = of.clone();
        let found = self.core.ledger.read(move |tx| {
            let mut rows = tx.prepare("SELECT id FROM turns WHERE reply_to = ?1")?;
            let ids: Vec<String> = rows.query_map([of.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
            drop(rows);
            ids.into_iter().next().map(|id| turns::get(tx, &TurnId::from(id))).transpose()
        });
        found.await.expect("a ledger")
    }

    /// Says something and waits until it is done.
    pub async fn done(&self, text: &str) -> Turn {
        let message = self.say(text).await;
        let completed = |turn: &Turn| turn.state == TurnState::Settled(Outcome::Completed);
        self.until(&message, "completed", completed).await
    }

    /// The list that a message was answered with, as it is now.
    pub async fn list(&self, to: &MessageId) -> ListView {
        self.wait("a list", || self.listed(to).map(|(_, list)| list)).await
    }

    fn listed(&self, to: &MessageId) -> Option<(MessageId, ListView)> {
        let (card, _) = self.lines().into_iter().find_map(|line| match line.event {
            ChatEvent::Card { message, target, view, .. } if target.reply_to.as_ref() == Some(to) => {
                Some((message, view))
            }
            _ => None,
        })?;
        match self.cards().remove(&card)? {
            View::List(list) => Some((card, list)),
            _ => None,
        }
    }

    /// Presses the button of a row.
    pub async fn press_row(&self, to: &MessageId, row: usize) {
        let (card, list) = self.wait("a list", || self.listed(to)).await;
        let button = list.rows[row].buttons.first().expect("a button").id.clone();
        self.post("main/clicks", &ClickIn { card, button, click: format!("row {row}"), form: Vec::new() }).await;
    }

    /// How many turns a message became.
    pub async fn turns(&self, of: &MessageId) -> i64 {
        let of = of.clone();
        let count = self.core.ledger.read(move |tx| {
            Ok(tx.query_row("SELECT count(*) FROM turns WHERE reply_to = ?1", [of.as_str()], |row| row.get(0))?)
        });
        count.await.expect("a ledger")
    }

    /// All turns that a message became, the oldest first.
    pub async fn all_turns(&self, of: &MessageId) -> Vec<Turn> {
        let of = of.clone();
        let found = self.core.ledger.read(move |tx| {
            let mut rows = tx.prepare("SELECT id FROM turns WHERE reply_to = ?1 ORDER BY created_at_ms, id")?;
            let ids: Vec<String> = rows.query_map([of.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
            drop(rows);
            ids.into_iter().map(|id| turns::get(tx, &TurnId::from(id))).collect()
        });
        found.await.expect("a ledger")
    }

    /// Waits until the turn of a message is as wanted.
    pub async fn until(&self, of: &MessageId, what: &str, is: impl Fn(&Turn) -> bool) -> Turn {
        let until = Instant::now() + PATIENCE;
        loop {
            let turn = self.turn(of).await;
            if let Some(turn) = turn.clone().filter(&is) {
                return turn;
            }
            assert!(Instant::now() < until, "waited in vain for {of} to be {what}: {turn:#?}\n{}", self.how_it_is());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether a turn is in this state.
    pub async fn is_in(&self, turn: &TurnId, state: TurnState) -> bool {
        let turn = turn.clone();
        self.core.ledger.read(move |tx| turns::get(tx, &turn)).await.expect("a ledger").state == state
    }

    /// Looks again and again until there is something.
    pub async fn wait_for<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < until, "waited in vain for {what}: {:#?}\n{}", self.lines(), self.how_it_is());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn wait<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < until, "waited in vain for {what}: {:#?}\n{}", self.lines(), self.how_it_is());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Of the bridge and its runtime, for whoever waited in vain.
    fn how_it_is(&self) -> String {
        let runtime = match self.core.host.state() {
            HostState::Starting => "is starting".to_owned(),
            HostState::Live(live) => format!("lives as generation {}", live.generation),
            HostState::Trouble(problem) => format!("does not start: {problem}"),
            HostState::Stuck(former) => format!("waits for {former:?}"),
            HostState::Stopped => "is stopped".to_owned(),
        };
        format!("The runtime {runtime}. The bridge failed: {:?}", self.site.tasks.fatal())
    }

    pub async fn lost_how(&self, turn: &Turn) -> Option<String> {
        let id = turn.id.clone();
        let read = self.core.ledger.read(move |tx| {
            Ok(tx.query_row("SELECT lost_how FROM turns WHERE id = ?1", [id.as_str()], |row| row.get(0))?)
        });
        read.await.expect("a row")
    }

    /// The runtime process is gone, and so is everything it did not write.
    pub async fn end_runtime(&self) {
        let live = self.core.host.now().expect("a runtime");
        let old = live.generation;
        live.give_up();
        self.wait("a new generation", || self.core.host.now().filter(|live| live.generation != old)).await;
    }

    pub async fn close(self) {
        self.bridge.drain(Duration::ZERO, &self.site.tasks.token()).await.expect("drained");
        self.work.stop(Duration::from_secs(5)).await;
    }
}

fn config(site: &Site, channel: &LocalChannel) -> BridgeConfig {
    let at_home = Access { owner: Some(channel.owner()), ..Access::default() };
    BridgeConfig {
        lang: Lang::En,
        directory: Some(site.work()),
        workspaces: site.root.join("workspaces"),
        roots: vec![site.root.clone()],
        user_home: PathBuf::from("/home/nobody"),
        ally_home: PathBuf::from("/home/nobody/.ally"),
        attachments: site.root.join("attachments"),
        outbox: site.root.join("outbox"),
        scope: Scope::Chat,
        busy: Busy::Queue,
        parallel: 4,
        shared_directory: false,
        idle_timeout: Duration::from_secs(1800),
        tool_timeout: Duration::from_secs(7200),
        max_time: None,
        grace: Duration::from_secs(1),
        stale_after: Duration::from_secs(1800),
        backfill_run: Duration::ZERO,
        remind_after: None,
        floor: HashMap::from([(ally::channels::local::CHANNEL.into(), Arc::new(at_home))]),
        max_attachment: 1 << 20,
        limits: ally::domain::limits::Limits::default(),
        zone: chrono_tz::Tz::UTC,
        assistant: site.root.join("assistant"),
        routines: site.root.join("routines"),
        archive: site.root.join("archive"),
        autosave: None,
    }
}

/// A switch that belongs to one generation: its successor behaves.
#[derive(Debug, Default)]
pub struct OfGeneration(AtomicI64);

impl OfGeneration {
    pub fn set(&self, generation: i64) {
        self.0.store(generation, Ordering::SeqCst);
    }

    pub fn is(&self, generation: i64) -> bool {
        self.0.load(Ordering::SeqCst) == generation
    }
}

pub fn on(switch: &AtomicBool) {
    switch.store(true, Ordering::SeqCst);
}
