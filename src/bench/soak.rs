//! A long time at moderate load: whether memory and descriptors stay where they are.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::Options;
use super::machine::{descriptors, memory};
use super::site::{Plan, Site, Worker};

/// Messages a second, over so many chats.
const RATE: u64 = 2;
const CHATS: usize = 20;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(30);

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

/// Soaks for `lasts`; `seen` gets each look as it is made.
///
/// # Errors
/// A daemon that does not start, or goes away.
pub async fn soak(options: &Options, lasts: Duration, mut seen: impl FnMut(&Look)) -> anyhow::Result<Vec<Look>> {
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
    site.settled(Duration::from_secs(600)).await?;
    site.end().await?;
    Ok(looks)
}
