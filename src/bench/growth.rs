//! What a long life costs: the start of a daemon with a large ledger, a message's work on ledgers of three sizes, and to
//! forget.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::facts::Spread;
use super::fill::{Filling, fill};
use super::log::What;
use super::site::{Plan, Site, Worker};
use super::{Options, Row, bare, figure};
use crate::clock::Clock;
use crate::ledger::{Ledger, prune, work};
use crate::words::{BenchMsg, both_of_bench};

/// A start is measured so often: the first one finds nothing in the machine's memory.
const STARTS: usize = 5;
const CHATS: usize = 50;
/// After the last answer: its row and its reactions.
const REST: Duration = Duration::from_secs(2);
/// Rows of one step, as many as the daemon takes.
const FORGOTTEN_AT_ONCE: u32 = 100;

pub async fn start(options: &Options) -> anyhow::Result<Vec<Row>> {
    let turns = options.scaled(100_000);
    let mut site = Site::prepare(options, Plan { timed: true, ..Plan::of(Worker::Embedded, CHATS) }).await?;
    let (ledger, lock) = site.ledger()?;
    fill(&ledger, &filling(&site, 0..turns, 50)).await?;
    ledger.close().await;
    drop(lock);
    // A start settles, or asks about, what it found: each begins with the same file.
    let filled = site.paths.ledger.with_extension("filled");
    std::fs::copy(&site.paths.ledger, &filled)?;
    let (mut ready, mut connected) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        for log in ["db-wal", "db-shm"] {
            // A clean end leaves none.
            let _ = std::fs::remove_file(site.paths.ledger.with_extension(log));
        }
        std::fs::copy(&filled, &site.paths.ledger)?;
        site.up().await?;
        tokio::time::sleep(REST).await;
        site.down().await?;
        let events = site.events();
        let since = |what: What| {
            let event = events.iter().find(|event| event.what == what && event.at_us >= site.started_ms * 1000);
            Some((event?.at_us - site.started_ms * 1000) as f64 / 1000.0)
        };
        ready.push(since(What::Ready).context("the log does not say when the daemon was ready")?);
        connected.push(since(What::Connected).context("the log does not say when it was connected")?);
    }
    site.end().await?;
    let mut fresh = Site::prepare(options, Plan { timed: true, ..Plan::of(Worker::Embedded, 1) }).await?;
    let mut opened = Vec::new();
    for _ in 0..STARTS {
        fresh.up().await?;
        fresh.down().await?;
        let begun = fresh.started_ms * 1000;
        let events = fresh.events();
        let open = events.iter().find(|event| event.what == What::Connected && event.at_us >= begun);
        opened.push((open.context("it was not connected")?.at_us - begun) as f64 / 1000.0);
    }
    fresh.end().await?;
    let (ready, connected, opened) = (Spread::of(ready), Spread::of(connected), Spread::of(opened));
    let large = Row {
        what: both_of_bench(BenchMsg::LargeStartWhat),
        measured: both_of_bench(BenchMsg::StartMeasured { p50: ready.p50(), starts: STARTS, max: ready.max() }),
        target: bare("≤ 300 ms"),
        met: ready.p50() <= 300.0,
        figures: [ready.figures("ready"), connected.figures("connected"), vec![figure("turns", turns as f64)]].concat(),
    };
    let connection = Row {
        what: both_of_bench(BenchMsg::ConnectionWhat),
        measured: both_of_bench(BenchMsg::StartMeasured { p50: opened.p50(), starts: STARTS, max: opened.max() }),
        target: bare("≤ 50 ms"),
        met: opened.p50() <= 50.0,
        figures: opened.figures("open"),
    };
    Ok(vec![large, connection])
}

fn filling(site: &Site, settled: std::ops::Range<u64>, unsettled: u64) -> Filling {
    Filling {
        settled,
        unsettled,
        chats: CHATS as u64,
        until_ms: Clock::default().now_ms(),
        kind: "embedded".to_owned(),
        home: site.paths.home.join("embedded").display().to_string(),
        workspaces: site.paths.workspaces.clone(),
    }
}

/// A message's work on a ledger of one size.
#[derive(Debug, Clone)]
struct Cost {
    turns: u64,
    steps: f64,
    pages: f64,
    wall: Spread,
    bytes: u64,
}

pub async fn rows(options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut site = Site::prepare(options, Plan::of(Worker::Embedded, CHATS)).await?;
    let (mut costs, mut filled) = (Vec::new(), 0);
    for turns in [1_000, 100_000, 1_000_000] {
        let turns = options.scaled(turns);
        let (ledger, lock) = site.ledger()?;
        fill(&ledger, &filling(&site, filled..turns, 0)).await?;
        filled = turns;
        ledger.close().await;
        drop(lock);
        site.up().await?;
        costs.push(cost(&site, turns, options.scaled(300)).await?);
        site.down().await?;
    }
    let forgetting = forgetting(&site, options.scaled(500)).await?;
    site.end().await?;
    Ok(vec![told(&costs), forgetting])
}

/// The steps in which a daemon forgets, on the largest ledger: each occupies the writer for so long.
async fn forgetting(site: &Site, steps: u64) -> anyhow::Result<Row> {
    let (ledger, lock) = site.ledger()?;
    let row = forget(&ledger, steps).await;
    ledger.close().await;
    drop(lock);
    row
}

async fn forget(ledger: &Ledger, steps: u64) -> anyhow::Result<Row> {
    // Everything is old: what is measured is a step that is full.
    let now_ms = Clock::default().now_ms();
    let step = prune::Step { now_ms, before_ms: now_ms, audit_before_ms: now_ms, rows: FORGOTTEN_AT_ONCE };
    let (mut took, before) = (Vec::new(), work::so_far());
    for _ in 0..steps {
        let began = Instant::now();
        let more = ledger.write(move |tx| prune::step(tx, step)).await?;
        took.push(began.elapsed());
        if !more {
            break;
        }
    }
    let (after, count) = (work::so_far(), took.len().max(1) as f64);
    let (pages, took) = ((after.pages - before.pages) as f64 / count, Spread::of_times(&took));
    let mut figures = took.figures("step");
    figures.extend([figure("pages_each", pages), figure("steps", count)]);
    Ok(Row {
        what: both_of_bench(BenchMsg::ForgetWhat),
        measured: both_of_bench(BenchMsg::ForgetMeasured {
            p50: took.p50(),
            p99: took.p99(),
            max: took.max(),
            pages,
            steps: count,
        }),
        target: bare("p99 ≤ 50 ms"),
        met: took.p99() <= 50.0,
        figures,
    })
}

async fn cost(site: &Site, turns: u64, messages: u64) -> anyhow::Result<Cost> {
    // Every chat has its thread and its rows in memory then.
    for n in 0..CHATS {
        let message = site.say(n, "[[say Hello.]]");
        site.answered(&message).await?;
    }
    site.settled(Duration::from_secs(60)).await?;
    tokio::time::sleep(REST).await;
    // To ask is work itself, and grows with the ledger: what one question takes is known from two in a row.
    let asked = work(site).await?;
    let (steps, pages, _) = work(site).await?;
    let question = steps - asked.0;
    let mut wall = Vec::new();
    for n in 0..messages {
        let message = site.say(n as usize % CHATS, "[[say Done.]]");
        wall.push(site.answered(&message).await? as f64);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    tokio::time::sleep(REST).await;
    let (steps_after, pages_after, bytes) = work(site).await?;
    site.settled(Duration::from_secs(60)).await?;
    let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / messages as f64;
    let steps = each(steps + question, steps_after);
    Ok(Cost { turns, steps, pages: each(pages, pages_after), wall: Spread::of(wall), bytes })
}

/// Steps, pages and the file's size.
async fn work(site: &Site) -> anyhow::Result<(u64, u64, u64)> {
    let ledger = site.status().await.and_then(|status| status.ledger).context("the daemon does not answer")?;
    Ok((ledger.steps.context("no steps")?, ledger.pages_written.context("no pages")?, ledger.bytes))
}

fn told(costs: &[Cost]) -> Row {
    let (Some(first), Some(last)) = (costs.first(), costs.last()) else {
        return super::not_measured(BenchMsg::GrowthWhat, BenchMsg::NothingFilled);
    };
    let (steps, pages) = (last.steps / first.steps, last.pages / first.pages);
    let wall = last.wall.p50() / first.wall.p50();
    let of = |cost: &Cost| {
        let name = |what: &str| format!("{what}_at_{}", cost.turns);
        let mut figures = vec![
            figure(name("steps"), cost.steps),
            figure(name("pages"), cost.pages),
            figure(name("megabytes"), cost.bytes as f64 / 1e6),
        ];
        figures.extend(cost.wall.figures(&name("wall")));
        figures
    };
    let mut figures: Vec<_> = costs.iter().flat_map(of).collect();
    figures.extend([figure("ratio_steps", steps), figure("ratio_pages", pages), figure("ratio_wall", wall)]);
    Row {
        what: both_of_bench(BenchMsg::GrowthWhat),
        measured: both_of_bench(BenchMsg::GrowthMeasured {
            steps: &format!("{:.0} → {:.0} (× {steps:.2})", first.steps, last.steps),
            pages: &format!("{:.1} → {:.1} (× {pages:.2})", first.pages, last.pages),
            wall: &format!("{:.1} → {:.1} ms (× {wall:.2})", first.wall.p50(), last.wall.p50()),
        }),
        target: both_of_bench(BenchMsg::GrowthTarget),
        met: (0.9..=1.1).contains(&steps) && (0.9..=1.1).contains(&pages) && wall <= 1.3,
        figures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_filled_can_be_forgotten_step_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { folder: folder.path().to_owned(), codex: None, quick: true };
        let site = Site::prepare(&options, Plan::of(Worker::Embedded, CHATS)).await.unwrap();
        let (ledger, _lock) = site.ledger().unwrap();
        fill(&ledger, &filling(&site, 0..250, 0)).await.unwrap();
        let row = forget(&ledger, 100).await.unwrap();
        let steps = row.figures.iter().find(|figure| figure.name == "steps").unwrap().value;
        // Two full ones and the rest.
        assert_eq!(steps, 3.0, "{row:?}");
        ledger.close().await;
        site.end().await.unwrap();
    }
}
