//! Many messages at once: with the platform's limits on, and as much as it ever delivers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::facts::Spread;
use super::machine::memory;
use super::site::{Plan, Site, Worker};
use super::{Options, Row, figure};

/// Events a second, conversations and parallel tasks.
const RATE: u64 = 200;
const CHATS: usize = 1_000;
const PARALLEL: usize = 100;

pub async fn chat(options: &Options) -> anyhow::Result<Vec<Row>> {
    Ok(vec![burst(options).await?, calls(options).await?])
}

async fn burst(options: &Options) -> anyhow::Result<Row> {
    let mut site = Site::prepare(options, Plan { chat_limit: true, ..Plan::of(Worker::Embedded, 5) }).await?;
    site.up().await?;
    let began = Instant::now();
    let said: Vec<String> = (0..20).map(|n| site.say(n % 5, &format!("[[say Answer {n}.]]"))).collect();
    for message in &said {
        site.answered(message).await?;
    }
    let took = began.elapsed();
    site.settled(Duration::from_secs(60)).await?;
    let once = said.iter().filter(|message| site.answers(message).len() == 1).count();
    site.end().await?;
    Ok(Row {
        what: "20 messages at once over 5 chats, platform limits on",
        measured: format!("{once} answered exactly once, all within {:.1} s", took.as_secs_f64()),
        target: "20 answers every time".to_owned(),
        met: once == said.len(),
        figures: vec![figure("answers", once as f64), figure("seconds", took.as_secs_f64())],
    })
}

/// A minute with 40 tool calls and words between them.
async fn calls(options: &Options) -> anyhow::Result<Row> {
    let worker = if options.codex.is_some() { Worker::Codex } else { Worker::Embedded };
    let mut site = Site::prepare(options, Plan { chat_limit: true, ..Plan::of(worker, 1) }).await?;
    site.up().await?;
    let warm = site.say(0, "[[say Hello.]]");
    site.answered(&warm).await?;
    site.settled(Duration::from_secs(60)).await?;
    let pause = options.scaled(1_400);
    let text: String = (0..40).map(|n| format!("[[stream 5 20]][[shell echo {n}]][[sleep {pause}]]")).collect();
    let (before, began) = (site.sim.requests().len(), Instant::now());
    let message = site.say(0, &format!("{text}[[say Done.]]"));
    let mut seen = Vec::new();
    loop {
        seen.push((began.elapsed(), site.sim.requests().len() - before));
        if !site.answers(&message).is_empty() {
            break;
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(400), "the long turn did not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lasted = began.elapsed();
    site.settled(Duration::from_secs(60)).await?;
    let all = site.sim.requests()[before..].to_vec();
    site.end().await?;
    // Any second: how many more had been made at its end than at its beginning.
    let within = |(at, count): &(Duration, usize)| {
        let earlier = seen.iter().rev().find(|(then, _)| *at >= *then + Duration::from_secs(1));
        count - earlier.map_or(0, |(_, count)| *count)
    };
    let fastest = seen.iter().map(within).max().unwrap_or_default();
    Ok(Row {
        what: "Feishu calls of a 60 s turn with 40 tool calls",
        measured: format!("{} calls in {:.0} s, at most {fastest} in a second", all.len(), lasted.as_secs_f64()),
        target: "≤ 45, never above 4/s in a chat".to_owned(),
        met: all.len() <= 45 && fastest <= 4,
        figures: vec![
            figure("calls", all.len() as f64),
            figure("fastest_per_second", fastest as f64),
            figure("seconds", lasted.as_secs_f64()),
        ],
    })
}

pub async fn rows(options: &Options) -> anyhow::Result<Vec<Row>> {
    let chats = options.scaled(CHATS as u64) as usize;
    let mut site = Site::prepare(options, Plan { parallel: PARALLEL, ..Plan::of(Worker::Embedded, chats) }).await?;
    site.up().await?;
    let (_, bridge) = site.pids().await?;
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
    let mut said = Vec::new();
    let began = Instant::now();
    for n in 0..options.seconds(60).as_secs() * RATE {
        tick.tick().await;
        said.push(site.say(n as usize % chats, &format!("[[say Answer {n}.]]")));
    }
    let accepted = began.elapsed();
    let peak = memory(bridge)?;
    let (settled_in, on_their_way) = turns_over(&site, began).await?;
    let mut answers: HashMap<String, usize> = HashMap::new();
    for n in 0..chats {
        for sent in site.sim.messages(&super::site::chat(n)) {
            if let Some(message) = sent.replied_to.clone().filter(|_| sent.by_bot() && sent.msg_type != "interactive") {
                *answers.entry(message).or_default() += 1;
            }
        }
    }
    let unanswered = said.iter().filter(|message| !answers.contains_key(*message)).count();
    // Answers leave at the platform's pace, 1,000 a minute and method: one in the outbox is not lost.
    let lost = unanswered.saturating_sub(on_their_way as usize);
    let doubled = answers.values().filter(|count| **count > 1).count();
    let first = |message: &String| site.sim.acks(message).first().map(|ack| ack.took);
    let acks: Vec<Duration> = said.iter().filter_map(first).collect();
    let late = acks.iter().filter(|took| **took >= Duration::from_secs(1)).count();
    let acks = Spread::of_times(&acks);
    site.end().await?;
    let mut figures = acks.figures("platform_ack");
    figures.extend([
        figure("events", said.len() as f64),
        figure("lost", lost as f64),
        figure("doubled", doubled as f64),
        figure("acks_over_1_s", late as f64),
        figure("accepted_in_s", accepted.as_secs_f64()),
        figure("settled_in_s", settled_in.as_secs_f64()),
        figure("on_their_way", on_their_way as f64),
        figure("peak_resident_mb", peak.resident),
    ]);
    Ok(vec![Row {
        what: "200 events/s for 60 s, 1,000 conversations, 100 parallel turns",
        measured: format!(
            "{} events, {lost} lost, {doubled} doubled; all turns settled after {:.0} s, {on_their_way} answers still wait for \
             the platform's pace; acks p99 {:.0} ms, longest {:.0} ms; {:.0} MB",
            said.len(),
            settled_in.as_secs_f64(),
            acks.p99(),
            acks.max(),
            peak.resident
        ),
        target: "0 lost, 0 doubled, acks < 1 s".to_owned(),
        met: lost == 0 && doubled == 0 && late == 0,
        figures,
    }])
}

/// Waits until every message is a turn and none of them waits or runs; gives when that was, and how many answers are still
/// on their way out. Those are read first: an answer that leaves meanwhile is seen by the platform.
async fn turns_over(site: &Site, began: Instant) -> anyhow::Result<(Duration, u64)> {
    // Messages that are accepted and no turns yet are not counted anywhere: nothing may come for a while.
    let (mut seen, mut since) = (0, began.elapsed());
    while began.elapsed() < Duration::from_secs(1_200) {
        if let Some(status) = site.status().await {
            let turns = &status.turns;
            let active = turns.queued + turns.submitting + turns.running + turns.waiting;
            let all = status.ledger.as_ref().map_or(0, |ledger| ledger.turns);
            if active > 0 || all != seen {
                (seen, since) = (all, began.elapsed());
            } else if began.elapsed() - since > Duration::from_secs(10) {
                return Ok((since, status.outbox.ready + status.outbox.sending));
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!("turns were left after 20 minutes")
}
