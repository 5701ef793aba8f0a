//! Event frame → ack frame at 200 events/s, beside a bare commit of the same row on a second file.
//!
//! The bridge's workers are not started: only W1 (decode, judge, commit, acknowledge) is measured, with the bridge's parts
//! in this process. Two clocks: the channel's own, from the frame that was read to the ack that was written (the
//! target's), and the simulated platform's, which holds its own queue and both trips over loopback as well.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use super::facts::Spread;
use super::site::{comparable, yardstick};
use super::support::feishu_sim::{APP_ID, APP_SECRET, FeishuSim};
use super::{Options, Row, figure};
use crate::bridge::core::{BridgeConfig, Busy, Core, Scope};
use crate::bridge::host::Host;
use crate::bridge::intake::BridgeIntake;
use crate::bridge::ports::Channel;
use crate::channels::feishu::{Feishu, FeishuConfig};
use crate::clock::Clock;
use crate::domain::access::Access;
use crate::domain::view::Lang;
use crate::ledger::{Ledger, LedgerLock, Places};
use crate::runtimes::embedded::{EmbeddedConfig, launcher};
use crate::tasks::{OnExit, Tasks};
use crate::words::{BenchMsg, both_of_bench};

const RATE: u64 = 200;
const TEXT: &str = "Please look at the failing test in the parser and tell me what is wrong with it.";

fn open(dir: &Path) -> anyhow::Result<(Ledger, LedgerLock)> {
    let places = Places { file: dir.join("ledger.db"), backups: dir.join("backups") };
    let lock = LedgerLock::take(&dir.join("ledger.lock"), &places.file)?;
    Ok((Ledger::open(&places, &lock)?, lock))
}

fn core(dir: &Path, ledger: &Ledger, feishu: &Arc<Feishu>, tasks: &Tasks) -> Core {
    let clock = Clock::default();
    let embedded = EmbeddedConfig { home: dir.join("embedded"), run_dir: dir.join("run"), env: Vec::new() };
    let host = Host::new(Box::new(launcher(embedded, clock.clone(), tasks.child())), ledger.clone(), clock.clone());
    let access = Access { owner: Some("ou_owner".into()), ..Access::default() };
    let config = BridgeConfig {
        lang: Lang::En,
        directory: None,
        workspaces: dir.join("workspaces"),
        user_home: dir.to_owned(),
        ally_home: dir.join("ally"),
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
        limits: crate::domain::limits::Limits::default(),
        remind_after: None,
        floor: HashMap::from([("feishu".into(), Arc::new(access))]),
        max_attachment: 1024,
        zone: chrono_tz::Tz::UTC,
        assistant: "/nowhere/assistant".into(),
        routines: "/nowhere/routines".into(),
        archive: "/nowhere/archive".into(),
        autosave: None,
    };
    Core::new(ledger.clone(), clock, tasks.child(), config, vec![Arc::clone(feishu) as Arc<dyn Channel>], host)
}

/// Collects what the channel logs of each ack.
#[derive(Clone, Default)]
struct Acks(Arc<Mutex<Vec<Duration>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Acks {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            if field.name() == "took_us"
                && let Ok(took) = format!("{value:?}").parse()
            {
                self.0.lock().expect("no code panics with it").push(Duration::from_micros(took));
            }
        });
    }
}

pub async fn rows(options: &Options) -> anyhow::Result<Vec<Row>> {
    std::fs::create_dir_all(&options.folder)?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&options.folder)?;
    let acks = Acks::default();
    let acknowledged = Arc::clone(&acks.0);
    let only_acks = Targets::new().with_target("ally::channels::feishu::socket", tracing::Level::DEBUG);
    tracing_subscriber::registry().with(acks.with_filter(only_acks)).try_init()?;
    let tasks = Tasks::default();
    let (ledger, _lock) = open(folder.path())?;
    let mut yardstick = yardstick(folder.path())?;
    let sim = FeishuSim::start().await;
    sim.add_user("ou_owner", "Owner");
    sim.add_direct("oc_direct", "ou_owner");
    let settings = FeishuConfig {
        app_id: APP_ID.to_owned(),
        app_secret: APP_SECRET.to_owned().into(),
        base_url: sim.base_url(),
        proxy: None,
    };
    let feishu = Feishu::new(settings, Clock::default())?;
    let intake = Arc::new(BridgeIntake::new(Arc::new(core(folder.path(), &ledger, &feishu, &tasks))));
    tasks.spawn("bench.feishu", OnExit::LogOnly, |cancel| feishu.run(intake, cancel));
    sim.wait_connected(1).await;
    // Half a period apart, so that the two do not sync at the same moment.
    let mut half = tokio::time::interval(Duration::from_micros(500_000 / RATE));
    let (mut said, mut plain) = (Vec::new(), Vec::new());
    for n in 0..options.seconds(60).as_secs() * RATE {
        half.tick().await;
        said.push(sim.say("oc_direct", "ou_owner", TEXT));
        half.tick().await;
        plain.push(tokio::task::block_in_place(|| yardstick.commit(&comparable(n, TEXT)))?);
    }
    if let Some(last) = said.last() {
        sim.wait_ack(last).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let acks: Vec<_> = said.iter().map(|message| sim.acks(message)).collect();
    let missing = acks.iter().filter(|acks| acks.first().is_none_or(|ack| ack.code != 200)).count();
    let outside: Vec<Duration> = acks.iter().filter_map(|acks| acks.first()).map(|ack| ack.took).collect();
    let inside = Spread::of_times(&acknowledged.lock().expect("no code panics with it"));
    tasks.stop(Duration::from_secs(5)).await;
    ledger.close().await;
    Ok(vec![row(&inside, &Spread::of_times(&outside), &Spread::of_times(&plain), missing)])
}

fn row(inside: &Spread, outside: &Spread, plain: &Spread, missing: usize) -> Row {
    let (p50, p99) = (inside.p50() / plain.p50(), inside.p99() / plain.p99());
    let mut figures = [inside.figures("ack"), outside.figures("platform"), plain.figures("commit")].concat();
    figures.extend([
        figure("ratio_p50", p50),
        figure("ratio_p99", p99),
        figure("not_acknowledged", missing as f64),
        figure("events", inside.count() as f64),
    ]);
    Row {
        what: both_of_bench(BenchMsg::AckWhat),
        measured: both_of_bench(BenchMsg::AckMeasured {
            p50: inside.p50(),
            r50: p50,
            p99: inside.p99(),
            r99: p99,
            max: inside.max(),
            missing,
        }),
        target: both_of_bench(BenchMsg::AckTarget),
        met: p50 <= 2.0 && p99 <= 3.0 && missing == 0 && outside.max() < 1000.0,
        figures,
    }
}
