//! Event frame → ack frame at 200 events/s, beside a bare commit of the same row on a second file.
//!
//! `cargo bench --bench ack [-- --seconds 10]`. A measurement: it prints PASS or FAIL and always ends with 0.
//! The bridge's workers are not started: only W1 (decode, judge, commit, acknowledge) is measured. Two clocks: the
//! channel's own, from the frame that was read to the ack that was written (the target's), and the simulated platform's,
//! which holds its own queue and both trips over loopback as well.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ally::bridge::core::{BridgeConfig, Busy, Core, Scope};
use ally::bridge::host::Host;
use ally::bridge::intake::BridgeIntake;
use ally::bridge::ports::Channel;
use ally::channels::feishu::{Feishu, FeishuConfig};
use ally::clock::Clock;
use ally::domain::access::Access;
use ally::domain::view::Lang;
use ally::ledger::inbound::{InboundState, NewInbound, admit};
use ally::ledger::{Ledger, LedgerLock, Places};
use ally::runtimes::embedded::{EmbeddedConfig, launcher};
use ally::tasks::Tasks;
use rusqlite::{Connection, TransactionBehavior};
use support::feishu_sim::{APP_ID, APP_SECRET, FeishuSim};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

#[path = "../tests/it/support"]
#[allow(dead_code, unused_imports, reason = "the bench uses a part of the simulator")]
mod support {
    pub mod feishu_sim;
}

const RATE: u64 = 200;
const TEXT: &str = "Please look at the failing test in the parser and tell me what is wrong with it.";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == "--seconds");
    let seconds = at.and_then(|at| args.get(at + 1)).and_then(|text| text.parse().ok()).unwrap_or(60);
    // Below `target/`, which lies on the disk of the checkout; a temporary folder may lie in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder below target/");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(run(dir.path(), seconds));
}

fn open(dir: &Path) -> (Ledger, LedgerLock) {
    std::fs::create_dir_all(dir).expect("a folder");
    let places = Places { file: dir.join("ledger.db"), backups: dir.join("backups") };
    let lock = LedgerLock::take(&dir.join("ledger.lock"), &places.file).expect("a lock");
    (Ledger::open(&places, &lock).expect("a ledger"), lock)
}

fn core(dir: &Path, ledger: &Ledger, feishu: &Arc<Feishu>) -> Core {
    let (clock, tasks) = (Clock::default(), Tasks::default());
    let embedded = EmbeddedConfig { home: dir.join("embedded"), run_dir: dir.join("run"), env: Vec::new() };
    let host = Host::new(Box::new(launcher(embedded, clock.clone(), tasks.child())), ledger.clone(), clock.clone());
    let access = Access { owner: Some("ou_owner".into()), ..Access::default() };
    let config = BridgeConfig {
        lang: Lang::En,
        directory: None,
        workspaces: dir.join("workspaces"),
        user_home: "/home/nobody".into(),
        ally_home: "/home/nobody/.ally".into(),
        attachments: dir.join("attachments"),
        outbox: dir.join("outbox"),
        scope: Scope::Topic,
        busy: Busy::Queue,
        roots: Vec::new(),
        parallel: 2,
        shared_directory: false,
        idle_timeout: Duration::from_secs(600),
        tool_timeout: Duration::from_secs(600),
        max_time: None,
        grace: Duration::ZERO,
        stale_after: Duration::from_secs(600),
        backfill_run: Duration::ZERO,
        remind_after: None,
        floor: HashMap::from([("feishu".into(), access)]),
        max_attachment: 1024,
        limits: ally::domain::limits::Limits::default(),
    };
    Core::new(ledger.clone(), clock, tasks, config, vec![Arc::clone(feishu) as Arc<dyn Channel>], host)
}

/// The bare commit: the same row, table and settings, one transaction each, on a thread of its own.
fn plain(file: &Path, ticks: &std::sync::mpsc::Receiver<u64>) -> Vec<Duration> {
    let mut db = Connection::open(file).expect("the second file");
    let set = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;
               PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864;";
    db.execute_batch(set).expect("settings");
    // About what the simulator's event weighs.
    let raw = format!("{TEXT}{}", "x".repeat(720));
    let mut took = Vec::new();
    while let Ok(n) = ticks.recv() {
        let row = NewInbound {
            channel: "feishu".into(),
            dedupe_key: format!("om_{n:032}"),
            kind: "message",
            state: InboundState::Received,
            reason: None,
            chat: Some("oc_direct".into()),
            chat_kind: Some("direct"),
            message: Some(format!("om_{n:032}").as_str().into()),
            sender: Some("ou_owner".into()),
            raw: Some(raw.clone()),
            sent_at_ms: Some(1),
            received_at_ms: 1,
        };
        let began = Instant::now();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).expect("a transaction");
        admit(&tx, &row).expect("a row");
        tx.commit().expect("a commit");
        took.push(began.elapsed());
    }
    took
}

/// Collects what the channel logs of each ack.
#[derive(Clone, Default)]
struct Acks(Arc<Mutex<Vec<Duration>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Acks {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            if field.name() == "took_us" {
                let took = format!("{value:?}").parse().expect("a number");
                self.0.lock().expect("no code panics with it").push(Duration::from_micros(took));
            }
        });
    }
}

async fn run(dir: &Path, seconds: u64) {
    let acks = Acks::default();
    let acknowledged = Arc::clone(&acks.0);
    let only_acks = Targets::new().with_target("ally::channels::feishu::socket", tracing::Level::DEBUG);
    tracing_subscriber::registry().with(acks.with_filter(only_acks)).init();
    let (second, second_lock) = open(&dir.join("plain"));
    second.close().await;
    drop(second_lock);
    let (ledger, _lock) = open(&dir.join("ally"));
    let sim = FeishuSim::start().await;
    sim.add_user("ou_owner", "Owner");
    sim.add_direct("oc_direct", "ou_owner");
    let settings = FeishuConfig {
        app_id: APP_ID.to_owned(),
        app_secret: APP_SECRET.to_owned().into(),
        base_url: sim.base_url(),
        proxy: None,
    };
    let feishu = Feishu::new(settings, Clock::default()).expect("a channel");
    let intake = Arc::new(BridgeIntake::new(Arc::new(core(dir, &ledger, &feishu))));
    let ended = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(feishu.run(intake, ended.clone()));
    sim.wait_connected(1).await;
    let (ticks, ticked) = std::sync::mpsc::channel();
    let file = dir.join("plain/ledger.db");
    let commits = std::thread::spawn(move || plain(&file, &ticked));
    // Half a period apart, so that the two do not sync at the same moment.
    let mut half = tokio::time::interval(Duration::from_micros(500_000 / RATE));
    let mut said = Vec::new();
    let began = Instant::now();
    for n in 0..seconds * RATE {
        half.tick().await;
        said.push(sim.say("oc_direct", "ou_owner", TEXT));
        half.tick().await;
        ticks.send(n).expect("the second thread lives");
    }
    let lasted = began.elapsed();
    drop(ticks);
    sim.wait_ack(said.last().expect("an event")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let plain = Figures::of(commits.join().expect("commits"));
    let acks: Vec<_> = said.iter().map(|message| sim.acks(message)).collect();
    let missing = acks.iter().filter(|acks| acks.first().is_none_or(|ack| ack.code != 200)).count();
    let ack = Figures::of(acks.iter().filter_map(|acks| acks.first()).map(|ack| ack.took).collect());
    let inside = Figures::of(acknowledged.lock().expect("no code panics with it").clone());
    ended.cancel();
    let _ = running.await;
    ledger.close().await;
    println!("{} events in {:.1} s, {missing} not acknowledged with 200", said.len(), lasted.as_secs_f64());
    println!("| ms | p50 | p90 | p99 | max |\n|---|---|---|---|---|");
    println!("| event frame read → ack frame written | {} |", inside.row());
    println!("| the same, seen by the platform | {} |\n| bare commit | {} |", ack.row(), plain.row());
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    let (p50, p99) = (ratio(inside.p50, plain.p50), ratio(inside.p99, plain.p99));
    let word = |good| if good { "PASS" } else { "FAIL" };
    println!("p50 {p50:.2} x (target 2): {}", word(p50 <= 2.0));
    println!("p99 {p99:.2} x (target 3): {}", word(p99 <= 3.0));
    println!("always < 1 s: {}", word(missing == 0 && ack.max < Duration::from_secs(1)));
}

struct Figures {
    p50: Duration,
    p90: Duration,
    p99: Duration,
    max: Duration,
}

impl Figures {
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
        Self { p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }

    fn row(&self) -> String {
        [self.p50, self.p90, self.p99, self.max].map(|one| format!("{:.2}", one.as_secs_f64() * 1e3)).join(" | ")
    }
}
