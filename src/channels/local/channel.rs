//! The local channel's side of the port.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use super::log::ChatLog;
use super::wire::{ChatEvent, Line, MessageIn, RawEvent};
use crate::bridge::ports::{
    Attachment, BotIdentity, Boxed, CardOut, Channel, ChannelHealth, ChannelLimits, ChannelState, DecodeError,
    FetchError, Lookup, Outgoing, SendError, Sent,
};
use crate::clock::Clock;
use crate::domain::delivery::{Body, Disposition, Obstacle};
use crate::domain::ids::{ChannelName, ChatId, MessageId, ResourceKey, UserId};
use crate::domain::message::{ChatKind, Click, Decoded, Event, IncomingMessage, Part, Sender};
use crate::domain::view::{Lang, LiveState, Quoted, Receipt, View};

/// The channel's name.
pub const CHANNEL: &str = "local";

/// What the local channel must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalConfig {
    /// `$ALLY_HOME/local`.
    pub folder: PathBuf,
    /// The person at this machine.
    pub user: String,
}

/// A chat in the terminal. Clones share everything.
#[derive(Debug, Clone)]
pub struct LocalChannel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: LocalConfig,
    clock: Clock,
    // Held for one append with its sync; never over an await.
    chats: Mutex<HashMap<ChatId, ChatLog>>,
    since_ms: i64,
    last_frame_at_ms: AtomicI64,
}

impl LocalChannel {
    /// Makes the channel; files are opened when they are needed.
    pub fn new(config: LocalConfig, clock: Clock) -> Self {
        let since_ms = clock.now_ms();
        let shared = Shared { config, clock, chats: Mutex::default(), since_ms, last_frame_at_ms: AtomicI64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// The user id of the person at this machine: the owner of this channel.
    pub fn owner(&self) -> UserId {
        UserId::new(format!("{CHANNEL}:{}", self.shared.config.user))
    }

    /// Who the bot is here.
    pub fn bot(&self) -> BotIdentity {
        BotIdentity { user: UserId::new("local:ally"), name: "ally".to_owned(), tenant: None }
    }

    /// Works with a chat's file on a thread that may block.
    pub(super) async fn with_chat<T: Send + 'static>(
        &self,
        chat: &ChatId,
        work: impl FnOnce(&mut ChatLog) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shared = Arc::clone(&self.shared);
        let chat = chat.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let mut chats = shared.chats.lock().expect("no code panics while it holds this lock");
            if !chats.contains_key(&chat) {
                let path = shared.config.folder.join(format!("{}.jsonl", file_name(&chat)?));
                chats.insert(chat.clone(), ChatLog::open(&path)?);
            }
            match chats.get_mut(&chat) {
                Some(log) => work(log),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        });
        worked.await.map_err(io::Error::other)?
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    /// A person said something: shown in every attached terminal, and kept for quotes.
    pub(super) async fn said(&self, chat: &ChatId, input: &MessageIn) -> io::Result<()> {
        let event = ChatEvent::Said { message: input.message.clone(), text: input.text.clone() };
        let now = self.now_ms();
        self.shared.last_frame_at_ms.store(now, Ordering::Relaxed);
        let known = input.message.clone();
        self.with_chat(chat, move |log| if log.said(&known).is_some() { Ok(()) } else { log.append(now, event) }).await
    }

    async fn append_once(
        &self,
        chat: &ChatId,
        key: String,
        event: impl FnOnce(MessageId) -> ChatEvent + Send + 'static,
    ) -> Result<Sent, SendError> {
        let now = self.now_ms();
        let done = self.with_chat(chat, move |log| {
            if let Some(message) = log.by_key(&key) {
                return Ok(message);
            }
            let message = MessageId::new(format!("lm_{key}"));
            log.append(now, event(message.clone()))?;
            Ok(message)
        });
        match done.await {
            Ok(message) => Ok(Sent { message: Some(message), topic: None, platform_ms: Some(now) }),
            Err(error) => Err(not_written("local append", error)),
        }
    }

    /// Looks at the open chats, on a thread that may block: another one may be syncing its file just now.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&HashMap<ChatId, ChatLog>) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let shared = Arc::clone(&self.shared);
        let looked = tokio::task::spawn_blocking(move || {
            look(&shared.chats.lock().expect("no code panics while it holds this lock"))
        });
        looked.await.ok().flatten()
    }

    /// Finds the open chat that a card lies in.
    async fn chat_of_card(&self, card: &MessageId) -> Option<ChatId> {
        let card = card.clone();
        self.look(move |chats| chats.iter().find(|(_, log)| log.has_card(&card)).map(|(chat, _)| chat.clone())).await
    }

    /// Opens every chat that has a file, so that cards of a former run are found.
    fn known_chats(&self) -> Vec<ChatId> {
        let Ok(entries) = std::fs::read_dir(&self.shared.config.folder) else { return Vec::new() };
        entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".jsonl")?.to_owned()))
            .map(ChatId::new)
            .collect()
    }

    async fn find_card(&self, card: &MessageId) -> Option<ChatId> {
        if let Some(chat) = self.chat_of_card(card).await {
            return Some(chat);
        }
        for chat in self.known_chats() {
            let wanted = card.clone();
            if self.with_chat(&chat, move |log| Ok(log.has_card(&wanted))).await.unwrap_or(false) {
                return Some(chat);
            }
        }
        None
    }
}

/// Chats are files: their names are plain.
fn file_name(chat: &ChatId) -> io::Result<&str> {
    let name = chat.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a local chat's name has at most 64 letters, digits, - and _",
        ));
    }
    Ok(name)
}

fn not_written(what: &'static str, error: io::Error) -> SendError {
    let disposition = match error.kind() {
        io::ErrorKind::InvalidInput => Disposition::Undeliverable,
        // A half-written line is cut off again, so this is certain.
        _ => Disposition::RetryAfter { wait_ms: 1000 },
    };
    SendError { what, code: None, detail: error.to_string(), disposition, platform_ms: None }
}

/// Pictures that are replaced within a second are shown, not kept.
fn is_fleeting(view: &View) -> bool {
    matches!(view, View::Live(live) if matches!(live.state, LiveState::Running))
}

impl Channel for LocalChannel {
    fn name(&self) -> ChannelName {
        ChannelName::new(CHANNEL)
    }

    fn limits(&self) -> ChannelLimits {
        ChannelLimits {
            part_chars: 100_000,
            max_parts: 20,
            file_bytes: 100 << 20,
            cards: true,
            reactions: true,
            unmarked_is_lost: false,
            update_every_ms: 250,
        }
    }

    fn decode(&self, raw: &str) -> Result<Decoded, DecodeError> {
        let event = serde_json::from_str(raw).map_err(|error| DecodeError { reason: error.to_string() })?;
        Ok(decode(event))
    }

    fn send<'a>(&'a self, out: &'a Outgoing) -> Boxed<'a, Result<Sent, SendError>> {
        let out = out.clone();
        Box::pin(async move {
            let chat = out.target.chat.clone();
            self.append_once(&chat, out.key.clone(), move |message| ChatEvent::Message {
                message,
                delivery: out.delivery,
                key: out.key,
                target: out.target,
                body: out.body,
                lang: out.lang,
            })
            .await
        })
    }

    fn platform_ms(&self) -> Option<i64> {
        Some(self.shared.clock.now_ms())
    }

    fn ask_platform_ms(&self) -> Boxed<'_, Option<i64>> {
        Box::pin(async { self.platform_ms() })
    }

    fn find_sent<'a>(&'a self, lookup: &'a Lookup) -> Boxed<'a, Result<Option<MessageId>, SendError>> {
        Box::pin(async move {
            let delivery = lookup.delivery.clone();
            let found = self.with_chat(&lookup.target.chat, move |log| Ok(log.by_delivery(&delivery))).await;
            found.map_err(|error| not_written("local look-up", error))
        })
    }

    fn create_card<'a>(&'a self, card: &'a CardOut) -> Boxed<'a, Result<Sent, SendError>> {
        let card = card.clone();
        Box::pin(async move {
            let chat = card.target.chat.clone();
            self.append_once(&chat, card.key.clone(), move |message| ChatEvent::Card {
                message,
                delivery: card.delivery,
                key: card.key,
                target: card.target,
                view: Box::new(card.view),
                lang: card.lang,
            })
            .await
        })
    }

    fn update_card<'a>(
        &'a self,
        message: &'a MessageId,
        view: &'a View,
        lang: Lang,
    ) -> Boxed<'a, Result<(), SendError>> {
        Box::pin(async move {
            let Some(chat) = self.find_card(message).await else {
                let detail = format!("there is no card {message}");
                let disposition = Disposition::WithoutReply;
                return Err(SendError { what: "local update", code: None, detail, disposition, platform_ms: None });
            };
            let now = self.now_ms();
            let fleeting = is_fleeting(view);
            let event = ChatEvent::Update { message: message.clone(), view: Box::new(view.clone()), lang };
            let done = self.with_chat(&chat, move |log| {
                if fleeting {
                    log.show(now, event);
                    return Ok(());
                }
                log.append(now, event)
            });
            done.await.map_err(|error| not_written("local update", error))
        })
    }

    fn react<'a>(&'a self, message: &'a MessageId, receipt: Receipt) -> Boxed<'a, Result<String, SendError>> {
        Box::pin(async move {
            let now = self.now_ms();
            let message = message.clone();
            self.look(move |chats| {
                let log = chats.values().find(|log| log.said(&message).is_some())?;
                log.show(now, ChatEvent::Receipt { message, receipt });
                Some(())
            })
            .await;
            Ok(format!("{receipt:?}"))
        })
    }

    fn unreact<'a>(&'a self, _: &'a MessageId, _: &'a str) -> Boxed<'a, Result<(), SendError>> {
        Box::pin(async { Ok(()) })
    }

    /// Nothing moves: the terminal is on the same machine and is told the path.
    fn upload<'a>(&'a self, _: &'a Body, path: &'a Path) -> Boxed<'a, Result<ResourceKey, SendError>> {
        Box::pin(async move { Ok(ResourceKey::new(path.display().to_string())) })
    }

    fn download<'a>(&'a self, _: &'a Attachment, _: &'a Path, _: u64) -> Boxed<'a, Result<u64, FetchError>> {
        Box::pin(async { Err(FetchError::Gone) })
    }

    fn quoted<'a>(&'a self, message: &'a MessageId) -> Boxed<'a, Result<Vec<Quoted>, FetchError>> {
        Box::pin(async move {
            for chat in self.known_chats() {
                let wanted = message.clone();
                let found = self.with_chat(&chat, move |log| Ok(log.said(&wanted))).await;
                let (who, text) = match found.map_err(|error| FetchError::Unavailable { reason: error.to_string() })? {
                    Some(ChatEvent::Said { text, .. }) => (self.shared.config.user.clone(), text),
                    Some(ChatEvent::Message { body: Body::Answer { markdown, .. }, .. }) => {
                        ("ally".to_owned(), markdown)
                    }
                    Some(ChatEvent::Message { body: Body::Notice { text }, .. }) => ("ally".to_owned(), text),
                    _ => continue,
                };
                return Ok(vec![Quoted { message: Some(message.clone()), who, text }]);
            }
            Err(FetchError::Gone)
        })
    }

    fn user_name<'a>(&'a self, _: &'a ChatId, user: &'a UserId) -> Boxed<'a, Option<String>> {
        Box::pin(async move { user.as_str().strip_prefix("local:").map(str::to_owned) })
    }

    fn chat_name<'a>(&'a self, chat: &'a ChatId) -> Boxed<'a, Option<String>> {
        Box::pin(async move { Some(chat.as_str().to_owned()) })
    }

    fn obstacle(&self, _: &SendError) -> Obstacle {
        Obstacle::Here
    }

    fn health(&self) -> ChannelHealth {
        let last = self.shared.last_frame_at_ms.load(Ordering::Relaxed);
        ChannelHealth {
            state: ChannelState::Connected,
            last_frame_at_ms: (last > 0).then_some(last),
            since_ms: self.shared.since_ms,
            problem: None,
            bot_name: Some("ally".to_owned()),
        }
    }
}

pub(super) fn decode(event: RawEvent) -> Decoded {
    match event {
        RawEvent::Message { chat, user, sent_at_ms, input } => Decoded {
            dedupe_key: input.message.as_str().to_owned(),
            event: Event::Message(IncomingMessage {
                message: input.message,
                chat: ChatId::new(chat),
                chat_kind: ChatKind::Direct,
                root: input.reply_to.clone(),
                parent: input.reply_to,
                topic: None,
                sender: Sender { user: UserId::new(user), tenant: None, is_person: true },
                content: vec![Part::Text { text: input.text }],
                mentions_bot: false,
                mentions_all: false,
                mentions: Vec::new(),
                sent_at_ms,
            }),
        },
        RawEvent::Click { chat, user, input } => Decoded {
            dedupe_key: input.click,
            event: Event::Click(Click {
                chat: Some(ChatId::new(chat)),
                card: Some(input.card),
                user: UserId::new(user),
                tenant: None,
                button: Some(input.button),
                form: input.form,
            }),
        },
    }
}

/// The first line of every stream.
pub(super) fn hello(seq: u64, at_ms: i64) -> Line {
    Line { seq, at_ms, event: ChatEvent::Hello }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::Target;
    use crate::domain::ids::DeliveryId;

    fn channel(folder: &Path) -> LocalChannel {
        let config = LocalConfig { folder: folder.to_owned(), user: "ann".to_owned() };
        LocalChannel::new(config, Clock::default())
    }

    fn outgoing(delivery: &str) -> Outgoing {
        let delivery = DeliveryId::new(delivery);
        Outgoing {
            key: crate::domain::delivery::send_key(&delivery),
            delivery,
            target: Target { chat: "main".into(), reply_to: Some("m1".into()), in_topic: false },
            body: Body::Notice { text: "hello".to_owned() },
            form: 0,
            lang: Lang::En,
            resource: None,
        }
    }

    #[tokio::test]
    async fn a_message_is_sent_once_and_found_after_a_restart() {
        let temp = tempfile::tempdir().unwrap();
        let out = outgoing("d1");
        let first = channel(temp.path()).send(&out).await.unwrap();
        let again = channel(temp.path());
        assert_eq!(again.send(&out).await.unwrap().message, first.message);
        let text = std::fs::read_to_string(temp.path().join("main.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut lookup = Lookup {
            delivery: out.delivery.clone(),
            target: out.target.clone(),
            topic: None,
            since_ms: 0,
            body: out.body.clone(),
            form: 0,
            lang: Lang::En,
            resource: None,
            known: Vec::new(),
        };
        assert_eq!(again.find_sent(&lookup).await.unwrap(), first.message);
        lookup.delivery = DeliveryId::new("d2");
        assert_eq!(again.find_sent(&lookup).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_chat_that_is_a_path_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let mut out = outgoing("d1");
        out.target.chat = "../x".into();
        let refused = channel(temp.path()).send(&out).await.unwrap_err();
        assert_eq!(refused.disposition, Disposition::Undeliverable);
    }

    #[test]
    fn a_stored_event_is_read_again() {
        let temp = tempfile::tempdir().unwrap();
        let input = MessageIn { message: "m1".into(), text: "hi".to_owned(), reply_to: None };
        let raw = RawEvent::Message { chat: "main".to_owned(), user: "local:ann".to_owned(), sent_at_ms: 5, input };
        let text = serde_json::to_string(&raw).unwrap();
        let channel = channel(temp.path());
        let decoded = channel.decode(&text).unwrap();
        assert_eq!(decoded.dedupe_key, "m1");
        assert!(matches!(decoded.event, Event::Message(message) if message.sender.user == channel.owner()));
        assert!(channel.decode("{}").is_err());
    }

    /// One thread runs everything here: a lock that is held elsewhere would end it all.
    #[tokio::test]
    async fn nobody_waits_for_a_sync_on_a_thread_of_the_runtime() {
        let temp = tempfile::tempdir().unwrap();
        let config = LocalConfig { folder: temp.path().to_owned(), user: "ann".to_owned() };
        let channel = LocalChannel::new(config, Clock::default());
        let held = channel.shared.chats.lock().unwrap();
        let message = MessageId::new("m");
        let (reacted, found, ()) =
            tokio::join!(channel.react(&message, Receipt::Done), channel.chat_of_card(&message), async move {
                drop(held);
            });
        assert!(reacted.is_ok() && found.is_none());
    }
}
