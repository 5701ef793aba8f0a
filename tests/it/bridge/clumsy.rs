//! A channel that panics where a test asks for it, and is the local one otherwise.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ally::bridge::ports::*;
use ally::channels::local::LocalChannel;
use ally::domain::delivery::{Body, Obstacle};
use ally::domain::ids::*;
use ally::domain::message::Decoded;
use ally::domain::view::{Lang, Quoted, Receipt, View};

/// The next call panics.
#[derive(Debug, Default)]
pub struct Slips {
    pub decode: AtomicBool,
    pub send: AtomicBool,
    pub paint: AtomicBool,
}

fn slip(switch: &AtomicBool) {
    assert!(!switch.swap(false, Ordering::SeqCst), "on purpose");
}

pub struct Clumsy {
    pub inner: LocalChannel,
    pub slips: Arc<Slips>,
}

impl Channel for Clumsy {
    fn name(&self) -> ChannelName {
        self.inner.name()
    }

    fn limits(&self) -> ChannelLimits {
        self.inner.limits()
    }

    fn decode(&self, raw: &str) -> Result<Decoded, DecodeError> {
        slip(&self.slips.decode);
        self.inner.decode(raw)
    }

    fn send<'a>(&'a self, out: &'a Outgoing) -> Boxed<'a, Result<Sent, SendError>> {
        slip(&self.slips.send);
        self.inner.send(out)
    }

    fn platform_ms(&self) -> Option<i64> {
        self.inner.platform_ms()
    }

    fn ask_platform_ms(&self) -> Boxed<'_, Option<i64>> {
        self.inner.ask_platform_ms()
    }

    fn find_sent<'a>(&'a self, lookup: &'a Lookup) -> Boxed<'a, Result<Option<MessageId>, SendError>> {
        self.inner.find_sent(lookup)
    }

    fn create_card<'a>(&'a self, card: &'a CardOut) -> Boxed<'a, Result<Sent, SendError>> {
        slip(&self.slips.paint);
        self.inner.create_card(card)
    }

    fn update_card<'a>(
        &'a self,
        message: &'a MessageId,
        view: &'a View,
        lang: Lang,
    ) -> Boxed<'a, Result<(), SendError>> {
        self.inner.update_card(message, view, lang)
    }

    fn react<'a>(&'a self, message: &'a MessageId, receipt: Receipt) -> Boxed<'a, Result<String, SendError>> {
        self.inner.react(message, receipt)
    }

    fn unreact<'a>(&'a self, message: &'a MessageId, reaction: &'a str) -> Boxed<'a, Result<(), SendError>> {
        self.inner.unreact(message, reaction)
    }

    fn upload<'a>(&'a self, body: &'a Body, path: &'a Path) -> Boxed<'a, Result<ResourceKey, SendError>> {
        self.inner.upload(body, path)
    }

    fn download<'a>(
        &'a self,
        from: &'a Attachment,
        into: &'a Path,
        max_bytes: u64,
    ) -> Boxed<'a, Result<u64, FetchError>> {
        self.inner.download(from, into, max_bytes)
    }

    fn quoted<'a>(&'a self, message: &'a MessageId) -> Boxed<'a, Result<Vec<Quoted>, FetchError>> {
        self.inner.quoted(message)
    }

    fn user_name<'a>(&'a self, chat: &'a ChatId, user: &'a UserId) -> Boxed<'a, Option<String>> {
        self.inner.user_name(chat, user)
    }

    fn chat_name<'a>(&'a self, chat: &'a ChatId) -> Boxed<'a, Option<String>> {
        self.inner.chat_name(chat)
    }

    fn obstacle(&self, error: &SendError) -> Obstacle {
        self.inner.obstacle(error)
    }

    fn health(&self) -> ChannelHealth {
        self.inner.health()
    }
}
