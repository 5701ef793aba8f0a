//! Finds what nobody delivered: after a downtime or a long silence of a channel, known chats are listed since the last
//! thing that came, and what the ledger lacks takes the way of any other message from W1 on.
//!
//! The gap is noted in the ledger before the channel's first new event is, so that nothing which comes meanwhile hides
//! it, and stands until everything was looked through: a death in the middle begins anew, and a message's own key makes
//! every repetition harmless. Nothing waits for any of this.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::core::{Core, is_outage};
use super::intake::{Verdict, judge, row_of, row_of_other};
use super::ports::{Channel, FetchError, Missed, Place};
use crate::crash;
use crate::domain::ids::*;
use crate::domain::message::{ChatKind, Event};
use crate::ledger::chats::{self, Gap, KnownChat};
use crate::ledger::inbound::{self, Admission, NewInbound};
use crate::tasks::OnExit;

/// A shorter silence is a connection that was opened anew: whatever was not acknowledged is delivered again.
const SHORT_MS: i64 = 30_000;
/// Looked at besides: what came last may not have been the last that was sent before.
const OVERLAP_MS: i64 = 10 * 60_000;
/// Chats that are looked through at most, those first that were last used.
const MAX_CHATS: u32 = 500;
/// Topics of one chat that are looked through at most …
const MAX_TOPICS: u32 = 30;
/// … if something was said in them so long before.
const TOPIC_REST_MS: i64 = 7 * 86_400_000;
/// Calls that may follow each other at once; later ones leave the platform's quota to the answers.
const BURST: u32 = 10;
const PACE: Duration = Duration::from_millis(200);
/// Tries of one place, and the wait after the first.
const TRIES: u32 = 3;
const WAIT: Duration = Duration::from_secs(1);
/// When it is tried again what could not be looked through.
const AGAIN: Duration = Duration::from_secs(60);

/// A channel hears again. Queued before this returns, and so before its first event is.
pub(super) fn hears(core: &Arc<Core>, channel: &ChannelName, silent_ms: Option<i64>) {
    let reads_back = core.channel(channel).is_some_and(|channel| channel.reads_back());
    if !reads_back || silent_ms.is_some_and(|ms| ms < SHORT_MS) {
        return;
    }
    let (name, now) = (channel.clone(), core.now_ms());
    let noted = core.ledger.write(move |tx| chats::open_gap(tx, &name, now));
    let core = Arc::clone(core);
    core.tasks.clone().spawn("gap", OnExit::Ignore, move |_| async move {
        // Not noted in an outage of the ledger: the next connection notes it.
        if noted.await.is_ok_and(|gap| gap.is_some()) {
            core.wakes.backfill.notify_one();
        }
        Ok(())
    });
}

/// Looks through every gap, when the bot knows who it is.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    while core.until_writable(&cancel).await {
        let mut left = false;
        for (name, channel) in &core.channels {
            if !channel.reads_back() || core.bot(name).is_none() {
                continue;
            }
            match cancel.run_until_cancelled(look_through(&core, name, channel.as_ref())).await {
                None => return Ok(()),
                Some(Ok(true)) => {}
                Some(Ok(false)) => left = true,
                Some(Err(error)) => {
                    left = true;
                    if !is_outage(&error) {
                        warn!(channel = %name, error = %format!("{error:#}"), "What was missed could not be looked for; it is tried again");
                    }
                }
            }
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = core.wakes.backfill.notified() => {}
            () = tokio::time::sleep(AGAIN), if left => {}
        }
    }
    Ok(())
}

/// False when a place could not be read for now: the gap stays.
async fn look_through(core: &Arc<Core>, name: &ChannelName, channel: &dyn Channel) -> anyhow::Result<bool> {
    let key = name.clone();
    let Some(gap) = core.ledger.read(move |tx| chats::gap(tx, &key)).await? else { return Ok(true) };
    let key = name.clone();
    let known = core.ledger.read(move |tx| chats::known(tx, &key, MAX_CHATS)).await?;
    let mut pass = Pass::new(core, name, channel, gap);
    for chat in &known {
        pass.chat(chat).await?;
    }
    info!(channel = %name, chats = known.len(), found = pass.found, complete = pass.complete, "Looked for what was missed");
    let (key, complete, lacking) = (name.clone(), pass.complete, pass.lacking());
    core.ledger
        .write(move |tx| {
            if let Some(scope) = lacking {
                chats::set_lacking(tx, &key, scope.as_deref())?;
            }
            if complete { chats::close_gap(tx, &key, gap) } else { Ok(()) }
        })
        .await?;
    Ok(complete)
}

/// One look through all known chats of a channel.
struct Pass<'a> {
    core: &'a Arc<Core>,
    name: &'a ChannelName,
    channel: &'a dyn Channel,
    gap: Gap,
    /// What the platform's clock is ahead of ours.
    ahead_ms: i64,
    calls: u32,
    found: usize,
    complete: bool,
    /// The right without which no chat of this kind can be read.
    refused: Vec<(ChatKind, String)>,
    read_a_group: bool,
}

impl<'a> Pass<'a> {
    fn new(core: &'a Arc<Core>, name: &'a ChannelName, channel: &'a dyn Channel, gap: Gap) -> Self {
        let ahead_ms = core.platform_ms(name) - core.now_ms();
        Self {
            core,
            name,
            channel,
            gap,
            ahead_ms,
            calls: 0,
            found: 0,
            complete: true,
            refused: Vec::new(),
            read_a_group: false,
        }
    }

    /// The right that groups need, or that they need none; `None` where no group was asked for.
    fn lacking(&self) -> Option<Option<String>> {
        let refused = self.refused.iter().find(|(kind, _)| *kind == ChatKind::Group);
        refused.map(|(_, scope)| Some(scope.clone())).or(self.read_a_group.then_some(None))
    }

    async fn chat(&mut self, known: &KnownChat) -> anyhow::Result<()> {
        if self.refused.iter().any(|(kind, _)| *kind == known.kind) {
            return Ok(());
        }
        // Nothing from before ally knew the chat.
        let since_ms = (self.gap.from_ms - OVERLAP_MS + self.ahead_ms).max(known.since_ms);
        let mut place = Place { chat: known.chat.clone(), kind: known.kind, topic: None, since_ms };
        let Some(mut topics) = self.place(&place).await? else { return Ok(()) };
        let (channel, chat, since) = (self.name.clone(), known.chat.clone(), self.gap.from_ms - TOPIC_REST_MS);
        let used = self.core.ledger.read(move |tx| chats::topics(tx, &channel, &chat, since, MAX_TOPICS)).await?;
        topics.splice(0..0, used);
        let mut seen = std::collections::HashSet::new();
        topics.retain(|topic| seen.insert(topic.clone()));
        topics.truncate(MAX_TOPICS as usize);
        for topic in topics {
            place.topic = Some(topic);
            self.place(&place).await?;
        }
        Ok(())
    }

    /// Reads one place and admits what is missing; the topics that were seen there, nothing where it cannot be read.
    async fn place(&mut self, place: &Place) -> anyhow::Result<Option<Vec<TopicId>>> {
        let mut tries = 0;
        let read = loop {
            tries += 1;
            self.calls += 1;
            if self.calls > BURST {
                tokio::time::sleep(PACE).await;
            }
            match self.channel.read_back(place).await {
                Ok(read) => break read,
                Err(FetchError::Unavailable { .. }) if tries < TRIES => {
                    tokio::time::sleep(WAIT * 2_u32.pow(tries - 1)).await;
                }
                Err(FetchError::Unavailable { reason }) => {
                    warn!(chat = %place.chat, reason, "A chat cannot be looked through for now");
                    self.complete = false;
                    return Ok(None);
                }
                Err(FetchError::NotAllowed { scope }) => {
                    self.refused.push((place.kind, scope));
                    return Ok(None);
                }
                // The bot left it, or it is no more.
                Err(_) => return Ok(None),
            }
        };
        self.read_a_group |= place.kind == ChatKind::Group;
        if read.cut {
            warn!(chat = %place.chat, "There were more messages than are looked through; the oldest were left");
        }
        self.admit(read.said).await?;
        Ok(Some(read.topics))
    }

    async fn admit(&mut self, said: Vec<Missed>) -> anyhow::Result<()> {
        let now = self.core.now_ms();
        let rows: Vec<NewInbound> = said.into_iter().filter_map(|missed| self.row(missed, now)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        crash::point("w1.before");
        let admitted = self.core.ledger.write(move |tx| {
            let mut new = 0;
            for row in &rows {
                new += usize::from(matches!(inbound::admit(tx, row)?, Admission::New(_)));
            }
            Ok(new)
        });
        self.found += admitted.await?;
        crash::point("w1.after");
        self.core.wakes.intake.notify_one();
        Ok(())
    }

    /// What W1 would have made of it; nothing for what it would have refused.
    fn row(&self, missed: Missed, now_ms: i64) -> Option<NewInbound> {
        let Missed { raw, decoded, sender, answered } = missed;
        match &decoded.event {
            Event::Message(message) => {
                if judge(self.core, self.name, message) != Verdict::Admit {
                    return None;
                }
                let reason = if answered { inbound::FOUND_ANSWERED } else { inbound::FOUND };
                let row = row_of(self.name, raw, decoded.dedupe_key, message, now_ms);
                Some(NewInbound { reason: Some(reason), ..row })
            }
            Event::Recall(recall) => {
                let access = self.core.access(self.name);
                let kind = ChatKind::Group;
                let role = access.role(&sender.user, sender.tenant.as_deref(), recall.chat.as_ref(), kind);
                let row = || row_of_other(self.name, raw, decoded.dedupe_key, &decoded.event, now_ms);
                role.may_talk().then(row)
            }
            _ => None,
        }
    }
}
