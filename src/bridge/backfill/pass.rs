//! One look through the known chats of a channel.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::bridge::core::Core;
use crate::bridge::intake::{Verdict, judge, row_of, row_of_other};
use crate::bridge::ports::{Channel, FetchError, Missed, Place};
use crate::crash;
use crate::domain::ids::*;
use crate::domain::message::{ChatKind, Event};
use crate::ledger::chats::{self, Gap, KnownChat};
use crate::ledger::inbound::{self, Admission, NewInbound};

/// Looked at besides: what came last may not have been the last that was sent before.
const OVERLAP_MS: i64 = 10 * 60_000;
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
/// Where so many chats of a kind may not be read and none may, the others are not asked for: the app lacks a right. A
/// single chat may refuse for reasons of its own, as one with outsiders does.
const REFUSALS: usize = 3;

/// What became of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Whole,
    /// More was said, or in more topics, than is looked through.
    InPart,
    /// It could not be read, and may be later.
    NotNow,
    /// It may not be read, or the bot is not in it any more.
    Never,
}

/// One look through all known chats of a channel.
pub(super) struct Pass<'a> {
    core: &'a Arc<Core>,
    name: &'a ChannelName,
    channel: &'a dyn Channel,
    gap: Gap,
    /// What the platform's clock is ahead of ours.
    ahead_ms: i64,
    calls: u32,
    pub found: usize,
    /// The right that a chat of this kind was refused for.
    refused: Vec<(ChatKind, String)>,
    /// Kinds of chats of which one could be read.
    readable: HashSet<ChatKind>,
}

impl<'a> Pass<'a> {
    pub fn new(core: &'a Arc<Core>, name: &'a ChannelName, channel: &'a dyn Channel, gap: Gap) -> Self {
        let ahead_ms = core.platform_ms(name) - core.now_ms();
        let (refused, readable) = (Vec::new(), HashSet::new());
        Self { core, name, channel, gap, ahead_ms, calls: 0, found: 0, refused, readable }
    }

    /// The right that groups need, or that they need none; `None` where no group was asked for.
    pub fn lacking(&self) -> Option<Option<String>> {
        if self.readable.contains(&ChatKind::Group) {
            return Some(None);
        }
        self.refused.iter().find(|(kind, _)| *kind == ChatKind::Group).map(|(_, scope)| Some(scope.clone()))
    }

    pub async fn chat(&mut self, known: &KnownChat) -> anyhow::Result<Read> {
        let refused = self.refused.iter().filter(|(kind, _)| *kind == known.kind).count();
        if refused >= REFUSALS && !self.readable.contains(&known.kind) {
            return Ok(Read::Never);
        }
        // Nothing from before ally knew the chat.
        let since_ms = (self.gap.from_ms - OVERLAP_MS + self.ahead_ms).max(known.since_ms);
        let mut place = Place { chat: known.chat.clone(), kind: known.kind, topic: None, since_ms };
        let mut topics = Vec::new();
        let mut read = self.place(&place, &mut topics).await?;
        if matches!(read, Read::NotNow | Read::Never) {
            return Ok(read);
        }
        let (channel, chat, since) = (self.name.clone(), known.chat.clone(), self.gap.from_ms - TOPIC_REST_MS);
        let used = self.core.ledger.read(move |tx| chats::topics(tx, &channel, &chat, since, MAX_TOPICS)).await?;
        topics.splice(0..0, used);
        let mut seen = HashSet::new();
        topics.retain(|topic| seen.insert(topic.clone()));
        if topics.len() > MAX_TOPICS as usize {
            read = Read::InPart;
            topics.truncate(MAX_TOPICS as usize);
        }
        for topic in topics {
            place.topic = Some(topic);
            match self.place(&place, &mut Vec::new()).await? {
                Read::NotNow => return Ok(Read::NotNow),
                Read::InPart => read = Read::InPart,
                Read::Whole | Read::Never => {}
            }
        }
        Ok(read)
    }

    /// Reads one place and admits what is missing; adds the topics that were seen there.
    async fn place(&mut self, place: &Place, topics: &mut Vec<TopicId>) -> anyhow::Result<Read> {
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
                    return Ok(Read::NotNow);
                }
                Err(FetchError::NotAllowed { scope }) => {
                    self.refused.push((place.kind, scope));
                    return Ok(Read::Never);
                }
                // The bot left it, or it is no more.
                Err(_) => return Ok(Read::Never),
            }
        };
        self.readable.insert(place.kind);
        self.admit(read.said).await?;
        topics.extend(read.topics);
        Ok(if read.cut { Read::InPart } else { Read::Whole })
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
