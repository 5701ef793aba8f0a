//! A long time at moderate load: whether memory and descriptors stay where they are, and every message has its answer.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::machine::{descriptors, memory};
use super::site::{Plan, Site, Worker};
use super::{Options, Row, bare, figure};
use crate::words::{BenchMsg, both_of_bench};

/// Messages a second, over so many chats.
const RATE: u64 = 2;
const CHATS: usize = 20;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(30);
/// Fewer looks tell no growth from a beginning.
const ENOUGH: usize = 6;
/// What memory may grow from the first third to the last: the allocator's own ups and downs.
const MORE_MEMORY: f64 = 1.1;
const MORE_MB: f64 = 2.0;
/// The same of descriptors: connections come and go.
const MORE_DESCRIPTORS: usize = 4;
/// Messages that may wait for their answer at any look: what is sent within a minute.
const MAY_WAIT: usize = 60 * RATE as usize;

/// What was to be seen at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Look {
    /// Since the beginning.
    pub seconds: u64,
    /// Of the bridge.
    pub resident_mb: f64,
    /// Of the bridge.
    pub anonymous_mb: f64,
    /// Of the bridge.
    pub descriptors: usize,
    /// Of the supervisor.
    pub supervisor_mb: f64,
    /// Messages sent until then.
    pub said: usize,
    /// Of those, the ones that have no answer yet.
    pub unanswered: usize,
}

/// What a soak has seen, and what that says.
#[derive(Debug, Clone, Serialize)]
pub struct Soaked {
    /// In order.
    pub looks: Vec<Look>,
    /// Memory, descriptors and answers against what they must be.
    pub rows: Vec<Row>,
}

/// Soaks for `lasts`; `seen` gets each look as it is made.
///
/// # Errors
/// A daemon that does not start, or goes away.
pub async fn soak(options: &Options, lasts: Duration, mut seen: impl FnMut(&Look)) -> anyhow::Result<Soaked> {
    let worker = if options.codex.is_some() { Worker::Codex } else { Worker::Embedded };
    let mut site = Site::prepare(options, Plan { chat_limit: true, ..Plan::of(worker, CHATS) }).await?;
    site.up().await?;
    let (supervisor, bridge) = site.pids().await?;
    let (began, mut looked) = (Instant::now(), Instant::now());
    let (mut open, mut said, mut looks) = (Vec::new(), 0, Vec::new());
    let mut tick = tokio::time::interval(Duration::from_millis(1_000 / RATE));
    while began.elapsed() < lasts {
        tick.tick().await;
        open.push(site.say(said % CHATS, &format!("[[stream 20 10]][[shell echo {said}]][[say Answer {said}.]]")));
        said += 1;
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            open.retain(|message| site.answers(message).is_empty());
            let memory_now = memory(bridge)?;
            let look = Look {
                seconds: began.elapsed().as_secs(),
                resident_mb: memory_now.resident,
                anonymous_mb: memory_now.anonymous,
                descriptors: descriptors(bridge)?,
                supervisor_mb: memory(supervisor)?.resident,
                said,
                unanswered: open.len(),
            };
            seen(&look);
            looks.push(look);
        }
    }
    // The last ones may not be turns yet, and then nothing counts them as work.
    let ended = Instant::now();
    while !open.is_empty() && ended.elapsed() < Duration::from_secs(600) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        open.retain(|message| site.answers(message).is_empty());
    }
    site.settled(Duration::from_secs(600)).await?;
    site.end().await?;
    let rows = judged(&looks, open.len());
    Ok(Soaked { looks, rows })
}

/// The last third beside the first. `left` messages have no answer although nothing is at work any more.
fn judged(looks: &[Look], left: usize) -> Vec<Row> {
    let most = looks.iter().map(|look| look.unanswered).max().unwrap_or_default();
    let answers = Row {
        what: both_of_bench(BenchMsg::SoakAnswersWhat),
        measured: both_of_bench(BenchMsg::SoakAnswersMeasured { most, left }),
        target: both_of_bench(BenchMsg::SoakAnswersTarget { most: MAY_WAIT }),
        met: most <= MAY_WAIT && left == 0,
        figures: vec![figure("most_unanswered", most as f64), figure("unanswered_at_the_end", left as f64)],
    };
    if looks.len() < ENOUGH {
        let why = BenchMsg::SoakTooShort { looks: looks.len(), enough: ENOUGH };
        return vec![super::not_measured(BenchMsg::SoakWhat, why), answers];
    }
    let third = looks.len() / 3;
    let (first, last) = (&looks[..third], &looks[looks.len() - third..]);
    let mean = |looks: &[Look]| looks.iter().map(|look| look.anonymous_mb).sum::<f64>() / looks.len() as f64;
    let (before, after) = (mean(first), mean(last));
    let allowed = before * MORE_MEMORY + MORE_MB;
    let memory = Row {
        what: both_of_bench(BenchMsg::SoakMemoryWhat),
        measured: bare(format!("RssAnon {before:.1} → {after:.1} MB")),
        target: bare(format!("≤ {allowed:.1} MB")),
        met: after <= allowed,
        figures: vec![figure("first_anonymous_mb", before), figure("last_anonymous_mb", after)],
    };
    let open = |looks: &[Look]| looks.iter().map(|look| look.descriptors).max().unwrap_or_default();
    let (before, after) = (open(first), open(last));
    let descriptors = Row {
        what: both_of_bench(BenchMsg::SoakDescriptorsWhat),
        measured: both_of_bench(BenchMsg::SoakDescriptorsMeasured { before, after }),
        target: bare(format!("≤ {}", before + MORE_DESCRIPTORS)),
        met: after <= before + MORE_DESCRIPTORS,
        figures: vec![figure("first_descriptors", before as f64), figure("last_descriptors", after as f64)],
    };
    vec![memory, descriptors, answers]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nine looks that grow by so much each.
    fn looks(megabytes: f64, descriptors: usize, unanswered: usize) -> Vec<Look> {
        let look = |n: usize| Look {
            seconds: 30 * n as u64,
            resident_mb: 30.0,
            anonymous_mb: 12.0 + megabytes * n as f64,
            descriptors: 40 + descriptors * n,
            supervisor_mb: 17.0,
            said: 60 * n,
            unanswered: unanswered * n,
        };
        (0..9).map(look).collect()
    }

    fn met(looks: &[Look], left: usize) -> Vec<bool> {
        judged(looks, left).iter().map(|row| row.met).collect()
    }

    #[test]
    fn what_grows_or_stays_unanswered_is_not_met() {
        assert_eq!(met(&looks(0.1, 0, 1), 0), [true, true, true]);
        assert_eq!(met(&looks(1.0, 0, 1), 0), [false, true, true]);
        assert_eq!(met(&looks(0.1, 1, 1), 0), [true, false, true]);
        assert_eq!(met(&looks(0.1, 0, 20), 0), [true, true, false]);
        assert_eq!(met(&looks(0.1, 0, 1), 1), [true, true, false]);
        assert_eq!(met(&looks(0.1, 0, 1)[..5], 0), [false, true]);
    }
}
