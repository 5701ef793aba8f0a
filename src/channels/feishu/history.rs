//! What people said to the bot while nobody listened: the platform gives up on an event after six hours, and on some at
//! once.

use std::collections::HashSet;

use super::api::Container;
use super::lookup::created;
use super::send::is_not_stored;
use super::wire::{Envelope, MessageItem};
use super::{Feishu, convert};
use crate::bridge::ports::{FetchError, Missed, Place, ReadBack};
use crate::domain::ids::TopicId;
use crate::domain::message::{ChatKind, Event, Sender};

/// Pages of 50 messages that are read of one place at most.
const MAX_PAGES: usize = 20;

impl Feishu {
    /// Reads a place back, newest first, to the moment from which on it is wanted.
    pub(super) async fn read_missed(&self, place: &Place) -> Result<ReadBack, FetchError> {
        let container = match &place.topic {
            Some(topic) => Container::Thread(topic.as_str()),
            None => Container::Chat(place.chat.as_str(), place.since_ms.max(0) / 1000),
        };
        let needs = match place.kind {
            ChatKind::Direct => "im:message:readonly",
            ChatKind::Group => super::directory::GROUP_MESSAGES,
        };
        let mut read = ReadBack::default();
        let mut answered = HashSet::new();
        let mut page: Option<String> = None;
        for turn in 1.. {
            let listed =
                self.client.list(&container, page.as_deref()).await.map_err(|error| error.into_fetch(needs))?;
            let items = listed.items.unwrap_or_default();
            // A topic's list takes no times.
            let over = items.last().is_none_or(|item| created(item) < place.since_ms);
            for item in items.iter().filter(|item| created(item) >= place.since_ms) {
                if self.own(item).is_some() && !is_not_stored(item) {
                    answered.extend(item.parent_id.clone());
                }
                read.topics.extend(topic_of(item, place));
                read.said.extend(self.missed(item, place.kind));
            }
            page = listed.page_token.filter(|token| !token.is_empty() && listed.has_more == Some(true) && !over);
            if page.is_none() {
                break;
            }
            if turn == MAX_PAGES {
                read.cut = true;
                break;
            }
        }
        read.said.reverse();
        for said in &mut read.said {
            if let Event::Message(message) = &said.decoded.event {
                said.answered = answered.contains(message.message.as_str());
            }
        }
        Ok(read)
    }

    /// What was said to the bot, and what was recalled. What was never for the bot is not kept even here.
    fn missed(&self, item: &MessageItem, kind: ChatKind) -> Option<Missed> {
        let raw = convert::event_of(item, kind)?;
        let decoded = convert::decode(&Envelope::read(&raw).ok()?, self.bot_id().as_ref()).ok()?;
        let sender = match &decoded.event {
            Event::Message(message) if kind == ChatKind::Group && !message.mentions_bot => return None,
            Event::Message(message) => message.sender.clone(),
            Event::Recall(_) => {
                let sender = item.sender.as_ref()?;
                Sender { user: sender.id.as_deref()?.into(), tenant: sender.tenant_key.clone(), is_person: true }
            }
            _ => return None,
        };
        Some(Missed { raw, decoded, sender, answered: false })
    }
}

/// The topic that hangs below a message of a chat's list.
fn topic_of(item: &MessageItem, place: &Place) -> Option<TopicId> {
    let topic = item.thread_id.as_deref().filter(|id| !id.is_empty() && place.topic.is_none())?;
    Some(topic.into())
}
