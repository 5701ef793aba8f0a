//! What ally takes while nobody wants anything, with a thousand conversations behind it, and for a cheap command.

use std::time::Duration;

use super::machine::{descriptors, memory, processor_time};
use super::site::{Plan, Site, Worker};
use super::{Options, Row, bare, figure};
use crate::words::{BenchMsg, both_of_bench};

/// Commands a second, over so many chats that no chat's limit is met.
const RATE: u64 = 200;
const CHATS: usize = 100;

pub async fn rows(options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut rows = idle(options).await?;
    rows.push(conversations(options).await?);
    rows.push(commands(options).await?);
    Ok(rows)
}

/// With the real codex where there is one. The runtime, whichever it is, is a child and not counted.
async fn idle(options: &Options) -> anyhow::Result<Vec<Row>> {
    let worker = if options.codex.is_some() { Worker::Codex } else { Worker::Embedded };
    let mut site = Site::prepare(options, Plan::of(worker, 1)).await?;
    site.up().await?;
    let message = site.say(0, "[[say Hello.]]");
    site.answered(&message).await?;
    site.settled(Duration::from_secs(60)).await?;
    tokio::time::sleep(options.seconds(20)).await;
    let (supervisor, bridge) = site.pids().await?;
    let (before, began) = (processor_time(bridge)? + processor_time(supervisor)?, std::time::Instant::now());
    tokio::time::sleep(options.seconds(60)).await;
    let used = processor_time(bridge)? + processor_time(supervisor)? - before;
    let share = used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let (ours, theirs) = (memory(bridge)?, memory(supervisor)?);
    let open = descriptors(bridge)?;
    site.end().await?;
    let resident = Row {
        what: both_of_bench(BenchMsg::MemoryWhat),
        measured: both_of_bench(BenchMsg::MemoryMeasured {
            anonymous: ours.anonymous,
            resident: ours.resident,
            their_anonymous: theirs.anonymous,
            their_resident: theirs.resident,
        }),
        target: bare("RssAnon ≤ 14 MB, VmRSS ≤ 30 MB"),
        met: ours.anonymous <= 14.0 && ours.resident <= 30.0,
        figures: vec![
            figure("anonymous_mb", ours.anonymous),
            figure("resident_mb", ours.resident),
            figure("supervisor_anonymous_mb", theirs.anonymous),
            figure("supervisor_resident_mb", theirs.resident),
            figure("descriptors", open as f64),
        ],
    };
    let processor = Row {
        what: both_of_bench(BenchMsg::IdleWhat),
        measured: both_of_bench(BenchMsg::IdleMeasured { share }),
        target: both_of_bench(BenchMsg::IdleTarget),
        met: share <= 0.05,
        figures: vec![figure("idle_percent", share)],
    };
    Ok(vec![resident, processor])
}

async fn conversations(options: &Options) -> anyhow::Result<Row> {
    let chats = options.scaled(1_000) as usize;
    let mut site = Site::prepare(options, Plan { parallel: 16, ..Plan::of(Worker::Embedded, chats) }).await?;
    site.up().await?;
    let message = site.say(0, "[[say Hello.]]");
    site.answered(&message).await?;
    site.settled(Duration::from_secs(60)).await?;
    let (_, bridge) = site.pids().await?;
    let before = memory(bridge)?;
    for n in 1..chats {
        site.say(n, "[[say Hello.]]");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    site.settled(Duration::from_secs(600)).await?;
    tokio::time::sleep(options.seconds(20)).await;
    let after = memory(bridge)?;
    site.end().await?;
    let more = after.resident - before.resident;
    Ok(Row {
        what: both_of_bench(BenchMsg::ConversationsWhat),
        measured: both_of_bench(BenchMsg::ConversationsMeasured { more, chats, resident: after.resident }),
        target: bare("+ ≤ 20 MB"),
        met: more <= 20.0,
        figures: vec![
            figure("more_mb", more),
            figure("resident_mb", after.resident),
            figure("anonymous_mb", after.anonymous),
            figure("conversations", chats as f64),
        ],
    })
}

/// Says so many commands, and waits for their answers.
async fn speak(site: &mut Site, count: u64) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
    let mut said = Vec::new();
    for n in 0..count {
        tick.tick().await;
        said.push(site.say(n as usize % CHATS, "/whoami"));
    }
    // Asking the daemon would be work of its own.
    for message in &said {
        site.answered(message).await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

async fn commands(options: &Options) -> anyhow::Result<Row> {
    let mut site = Site::prepare(options, Plan::of(Worker::Embedded, CHATS)).await?;
    site.up().await?;
    let (_, bridge) = site.pids().await?;
    // What is learned once of a chat and its people is no part of a command's price. Nor is a backlog: answers leave at the
    // platform's pace, 600 a minute behind the first 300.
    speak(&mut site, CHATS as u64).await?;
    let before = processor_time(bridge)?;
    let count = options.scaled(200);
    speak(&mut site, count).await?;
    let each = (processor_time(bridge)? - before).as_secs_f64() * 1e3 / count as f64;
    site.end().await?;
    Ok(Row {
        what: both_of_bench(BenchMsg::CommandWhat),
        measured: both_of_bench(BenchMsg::CommandMeasured { each, count: count.cast_signed() }),
        target: bare("≤ 1 ms"),
        met: each <= 1.0,
        figures: vec![figure("each_ms", each), figure("commands", count as f64)],
    })
}
