//! Many messages at once: with the platform's limits on, and as much as it ever delivers.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::facts::Spread;
use super::machine::memory;
use super::site::{Plan, Site, Worker};
use super::{Options, Row, figure};
use crate::domain::ids::MessageId;
use crate::ledger::messages;
use crate::words::{BenchMsg, both_of_bench};

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
        what: both_of_bench(BenchMsg::BurstWhat),
        measured: both_of_bench(BenchMsg::BurstMeasured { once, seconds: took.as_secs_f64() }),
        target: both_of_bench(BenchMsg::BurstTarget),
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
        what: both_of_bench(BenchMsg::CallsWhat),
        measured: both_of_bench(BenchMsg::CallsMeasured { calls: all.len(), seconds: lasted.as_secs_f64(), fastest }),
        target: both_of_bench(BenchMsg::CallsTarget),
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
        said.push(site.say(n as usize % chats, &format!("[[say {}]]", answer(n))));
    }
    let accepted = began.elapsed();
    let peak = memory(bridge)?;
    let settled_in = turns_over(&site, began).await?;
    // Nothing leaves any more while the two sides are compared.
    site.down().await?;
    let mut replies: HashMap<String, Vec<String>> = HashMap::new();
    for n in 0..chats {
        for sent in site.sim.messages(&super::site::chat(n)) {
            if let Some(message) = sent.replied_to.clone().filter(|_| sent.by_bot() && sent.msg_type != "interactive") {
                replies.entry(message).or_default().push(sent.content);
            }
        }
    }
    let waits = waiting(&site, &said).await?;
    let fates: Vec<Fate> = said
        .iter()
        .enumerate()
        .map(|(n, message)| {
            let replies = replies.get(message).map_or(&[][..], Vec::as_slice);
            fate(replies, &answer(n as u64), waits.contains(message))
        })
        .collect();
    let count = |wanted: Fate| fates.iter().filter(|fate| **fate == wanted).count();
    let (lost, doubled, on_their_way) = (count(Fate::Lost), count(Fate::Doubled), count(Fate::OnItsWay));
    let first = said.iter().map(|message| site.sim.acks(message).first().map(|ack| (ack.code, ack.took)));
    let (late, acks) = judged(first);
    site.end().await?;
    let mut figures = acks.figures("platform_ack");
    figures.extend([
        figure("events", said.len() as f64),
        figure("lost", lost as f64),
        figure("doubled", doubled as f64),
        figure("acks_late_refused_or_missing", late as f64),
        figure("accepted_in_s", accepted.as_secs_f64()),
        figure("settled_in_s", settled_in.as_secs_f64()),
        figure("on_their_way", on_their_way as f64),
        figure("peak_resident_mb", peak.resident),
    ]);
    Ok(vec![Row {
        what: both_of_bench(BenchMsg::LoadWhat),
        measured: both_of_bench(BenchMsg::LoadMeasured {
            events: said.len(),
            gone: lost,
            doubled,
            settled: settled_in.as_secs_f64(),
            waiting: on_their_way,
            p99: acks.p99(),
            max: acks.max(),
            late,
            resident: peak.resident,
        }),
        target: both_of_bench(BenchMsg::LoadTarget),
        met: lost == 0 && doubled == 0 && late == 0,
        figures,
    }])
}

fn answer(n: u64) -> String {
    format!("Answer {n}.")
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    Doubled,
    /// Answers leave at the platform's pace, 1,000 a minute and method: one whose row waits in the outbox is not lost.
    OnItsWay,
    /// Also where something else was said to it: a refusal is no answer.
    Lost,
}

/// By what the platform shows as replies to it, and by whether its answer waits in the ledger.
fn fate(replies: &[String], answer: &str, waits: bool) -> Fate {
    match replies.iter().filter(|reply| reply.contains(answer)).count() {
        0 if waits => Fate::OnItsWay,
        0 => Fate::Lost,
        1 => Fate::Answered,
        _ => Fate::Doubled,
    }
}

/// Those whose turn is done and whose answer is still to be sent, by the ledger of a daemon that has ended.
async fn waiting(site: &Site, said: &[String]) -> anyhow::Result<HashSet<String>> {
    let (ledger, _lock) = site.ledger()?;
    let said: Vec<MessageId> = said.iter().map(|message| message.as_str().into()).collect();
    let waits = ledger.read(move |tx| {
        let mut found = HashSet::new();
        for message in said {
            if messages::answer_waits(tx, &"feishu".into(), &message)? {
                found.insert(message.as_str().to_owned());
            }
        }
        Ok(found)
    });
    let waits = waits.await;
    ledger.close().await;
    Ok(waits?)
}

/// How many of the first acks came late, with a refusal or not at all, and how long those took that came.
fn judged(acks: impl Iterator<Item = Option<(i64, Duration)>>) -> (usize, Spread) {
    let acks: Vec<_> = acks.collect();
    let in_time =
        |ack: &&Option<(i64, Duration)>| ack.is_some_and(|(code, took)| code == 200 && took < Duration::from_secs(1));
    let took: Vec<Duration> = acks.iter().flatten().map(|(_, took)| *took).collect();
    (acks.len() - acks.iter().filter(in_time).count(), Spread::of_times(&took))
}

/// Waits until every message is a turn and none of them waits or runs; gives when that was.
async fn turns_over(site: &Site, began: Instant) -> anyhow::Result<Duration> {
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
                return Ok(since);
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!("turns were left after 20 minutes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fill::{Filling, fill};
    use crate::domain::delivery::{Body, Target};
    use crate::domain::view::Lang;
    use crate::ledger::inbound;
    use crate::ledger::messages::NewMessage;

    #[test]
    fn a_message_is_answered_by_its_own_answer_alone() {
        let replies = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let of = |all: &[&str], waits| fate(&replies(all), "Answer 1.", waits);
        assert_eq!(of(&["Too much waits here.", "Answer 1."], false), Fate::Answered);
        assert_eq!(of(&["Answer 1.", "Answer 1."], false), Fate::Doubled);
        assert_eq!(of(&[], true), Fate::OnItsWay);
        assert_eq!(of(&["Too much waits here."], false), Fate::Lost);
        assert_eq!(of(&["Answer 11."], false), Fate::Lost);
    }

    #[test]
    fn an_ack_that_never_came_or_refused_is_not_in_time() {
        let ms = Duration::from_millis;
        let acks = [Some((200, ms(3))), Some((500, ms(3))), None, Some((200, ms(1_000)))];
        let (late, took) = judged(acks.into_iter());
        assert_eq!((late, took.count()), (3, 3));
    }

    #[tokio::test]
    async fn an_answer_waits_until_it_is_sent_and_a_notice_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { folder: folder.path().to_owned(), codex: None, quick: true };
        let site = Site::prepare(&options, Plan::of(Worker::Embedded, 1)).await.unwrap();
        let filling = Filling {
            settled: 0..3,
            unsettled: 0,
            chats: 1,
            until_ms: 1_790_000_000_000,
            kind: "embedded".to_owned(),
            home: "home".to_owned(),
            workspaces: folder.path().to_owned(),
        };
        let said: Vec<String> = (0..3).map(|n| format!("om_filled_{n:025}")).collect();
        let (ledger, lock) = site.ledger().unwrap();
        fill(&ledger, &filling).await.unwrap();
        let messages: Vec<MessageId> = said.iter().map(|message| message.as_str().into()).collect();
        let more = ledger.write(move |tx| {
            let answer = Body::Answer { markdown: "A".into(), part: 1, parts: 1, footer: None, mention: None };
            for (message, body) in messages.iter().zip([answer, Body::Notice { text: "N".into() }]) {
                let row = inbound::by_message(tx, &"feishu".into(), message)?.unwrap();
                let new = NewMessage {
                    conversation: None,
                    turn: row.turn,
                    channel: "feishu".into(),
                    target: Target { chat: row.chat.unwrap(), reply_to: Some(message.clone()), in_topic: false },
                    body,
                    lang: Lang::En,
                    after: None,
                    sending: None,
                };
                messages::insert(tx, &new, 1)?;
            }
            Ok(())
        });
        more.await.unwrap();
        ledger.close().await;
        drop(lock);
        assert_eq!(waiting(&site, &said).await.unwrap(), HashSet::from([said[0].clone()]));
        site.end().await.unwrap();
    }
}
