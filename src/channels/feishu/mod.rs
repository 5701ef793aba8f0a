//! Feishu (and Lark): events over the long connection, everything else over REST.
//!
//! ```text
//! proxy ─ dial ─ socket ─ frames ─ convert ─ Intake::accept … commit … ack
//!                                      └ content (what a message says)
//! Channel ─ send ─ card (how a view is drawn) ─ api ─ client ─ token
//!         └ lookup (was it sent?)                        └ error (what a refusal means)
//! ```
//! Only `wire` knows the platform's JSON and protobuf structs. The protocol is the open platform's
//! (`im-v1`, `event-subscription-guide`, `authentication-management`); where its documents and the field disagree, the
//! code says so. Nothing here touches the ledger, the configuration files or the environment.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::bridge::ports::{
    Attachment, BotIdentity, Boxed, CardOut, Channel, ChannelHealth, ChannelLimits, ChannelState, DecodeError,
    FetchError, Intake, Lookup, Outgoing, Place, ReadBack, SendError, Sent, Span,
};
use crate::clock::Clock;
use crate::domain::delivery::{Body, Disposition, Obstacle, Target};
use crate::domain::ids::{ButtonId, ChannelName, ChatId, MessageId, ResourceKey, UserId};
use crate::domain::message::Decoded;
use crate::domain::view::{Both, Lang, Quoted, Receipt, View};
use crate::tasks::{OnExit, Tasks};

mod api;
pub mod card;
mod client;
mod content;
mod convert;
mod dial;
mod directory;
mod error;
pub mod frames;
mod history;
pub mod inspect;
mod lookup;
mod proxy;
pub mod register;
mod send;
mod socket;
mod time;
mod tls;
mod token;
mod wire;

pub use directory::GROUP_MESSAGES;
pub use error::{ApiError, FeishuCode, MISSING_RIGHT};
pub use proxy::Proxy;
pub use socket::Timing;
pub use wire::{Frame, Header};

/// How to reach one app.
#[derive(Debug, Clone)]
pub struct FeishuConfig {
    /// `cli_` and 16 hex digits.
    pub app_id: String,
    pub app_secret: SecretString,
    /// `https://open.feishu.cn`, `https://open.larksuite.com` or a private deployment; no trailing slash.
    pub base_url: String,
    /// `None` is no proxy: the environment is not asked.
    pub proxy: Option<Proxy>,
}

/// One app on Feishu. One process must hold the only connection of an app: the platform gives each event to a random one.
pub struct Feishu {
    name: ChannelName,
    config: FeishuConfig,
    timing: Timing,
    clock: Clock,
    client: client::Client,
    bot: RwLock<KnownBot>,
    health: Mutex<ChannelHealth>,
    names: Mutex<directory::Names>,
    /// Messages whose senders were told that they could not be stored.
    told_not_stored: Mutex<VecDeque<MessageId>>,
    card_frames_hinted: AtomicBool,
}

#[derive(Default)]
struct KnownBot {
    identity: Option<BotIdentity>,
    tenant: Option<String>,
    /// Why it is not known yet, after the first try.
    unknown: Option<Both>,
}

/// Begins with what takes long before the first call to a platform: the certificates, where it speaks TLS.
pub fn prepare(base_url: &str) {
    if base_url.starts_with("https:") {
        tls::prepare();
    }
}

/// Whether what stands for a chat is a person's id: the platform finds the direct chat, and opens it where there is none.
fn is_person(id: &str) -> bool {
    id.starts_with("ou_")
}

/// How long the callers of the name functions are willing to wait.
const NAME: Duration = Duration::from_secs(2);
/// How long tasks may take after the end of the connection: commits that were begun, acks, one notice.
const STOP: Duration = Duration::from_secs(5);

impl Feishu {
    /// # Errors
    /// When the proxy's address is not valid.
    pub fn new(config: FeishuConfig, clock: Clock) -> anyhow::Result<Arc<Self>> {
        Self::with_timing(config, clock, Timing::default())
    }

    /// The same with other waits, for tests.
    pub fn with_timing(config: FeishuConfig, clock: Clock, timing: Timing) -> anyhow::Result<Arc<Self>> {
        let http = client::Http::new(&config.base_url, config.proxy.as_ref(), clock.clone())?;
        let tokens = token::Tokens::new(config.app_id.clone(), config.app_secret.clone());
        let health = ChannelHealth {
            state: ChannelState::Connecting,
            last_frame_at_ms: None,
            since_ms: clock.now_ms(),
            problem: None,
            bot_name: None,
        };
        Ok(Arc::new(Self {
            name: ChannelName::from("feishu"),
            config,
            timing,
            clock,
            client: client::Client::new(http, tokens),
            bot: RwLock::default(),
            health: Mutex::new(health),
            names: Mutex::default(),
            told_not_stored: Mutex::default(),
            card_frames_hinted: AtomicBool::new(false),
        }))
    }

    /// Holds the long connection until `cancel` fires; whatever goes wrong meanwhile is a state (see
    /// [`Channel::health`]), not an error.
    pub async fn run(self: Arc<Self>, intake: Arc<dyn Intake>, cancel: CancellationToken) -> anyhow::Result<()> {
        let tasks = Tasks::default();
        let (feishu, asked) = (Arc::clone(&self), Arc::clone(&intake));
        tasks.spawn("feishu-identity", OnExit::LogOnly, |cancel| async move {
            feishu.identify(&asked, &cancel).await;
            Ok(())
        });
        socket::keep_connected(&self, &intake, &tasks, cancel).await;
        tasks.stop(STOP).await;
        Ok(())
    }

    fn bot_id(&self) -> Option<UserId> {
        let bot = self.bot.read().expect("no code panics while it holds this lock");
        bot.identity.as_ref().map(|identity| identity.user.clone())
    }

    fn set_state(&self, state: ChannelState, problem: Option<Both>) {
        let mut health = self.health.lock().expect("no code panics while it holds this lock");
        if health.state != state {
            health.since_ms = self.clock.now_ms();
        }
        (health.state, health.problem) = (state, problem);
    }

    /// How long nothing has been heard; `None` before the first frame.
    fn silent_ms(&self) -> Option<i64> {
        let health = self.health.lock().expect("no code panics while it holds this lock");
        health.last_frame_at_ms.map(|at| self.clock.now_ms() - at)
    }

    fn heard(&self) {
        let mut health = self.health.lock().expect("no code panics while it holds this lock");
        health.last_frame_at_ms = Some(self.clock.now_ms());
    }
}

/// The platform's name of the reaction that stands for a receipt. Their shapes differ, not only their colours.
fn emoji(receipt: Receipt) -> &'static str {
    match receipt {
        Receipt::Accepted => "Get",
        Receipt::Queued => "OneSecond",
        Receipt::Waiting => "Alarm",
        Receipt::Done => "DONE",
        Receipt::Failed => "CrossMark",
    }
}

impl Channel for Feishu {
    fn name(&self) -> ChannelName {
        self.name.clone()
    }

    fn limits(&self) -> ChannelLimits {
        // 30 KB of request body, with escapes and up to 3 bytes a character, leave room for this many.
        ChannelLimits {
            part_chars: 3500,
            max_parts: 5,
            // What the platform takes as one file.
            file_bytes: 30_000_000,
            cards: true,
            reactions: true,
            unmarked_is_lost: true,
            update_every_ms: 1000,
        }
    }

    fn decode(&self, raw: &str) -> Result<Decoded, DecodeError> {
        convert::decode(&wire::Envelope::read(raw)?, self.bot_id().as_ref())
    }

    fn send<'a>(&'a self, out: &'a Outgoing) -> Boxed<'a, Result<Sent, SendError>> {
        Box::pin(self.send_outgoing(out))
    }

    fn platform_ms(&self) -> Option<i64> {
        self.client.http.time.now_ms()
    }

    fn ask_platform_ms(&self) -> Boxed<'_, Option<i64>> {
        Box::pin(async move {
            if self.platform_ms().is_none() {
                // Whatever it answers, it tells the time.
                let _ = self.client.bot().await;
            }
            self.platform_ms()
        })
    }

    fn find_sent<'a>(&'a self, lookup: &'a Lookup) -> Boxed<'a, Result<Option<MessageId>, SendError>> {
        Box::pin(self.find(lookup))
    }

    fn card_with<'a>(
        &'a self,
        target: &'a Target,
        buttons: &'a [ButtonId],
    ) -> Boxed<'a, Result<Option<MessageId>, SendError>> {
        Box::pin(async move {
            let ids: Vec<&str> = buttons.iter().map(ButtonId::as_str).collect();
            self.find_by_buttons(target, &ids).await
        })
    }

    fn create_card<'a>(&'a self, card: &'a CardOut) -> Boxed<'a, Result<Sent, SendError>> {
        Box::pin(self.send_card(card))
    }

    fn update_card<'a>(
        &'a self,
        message: &'a MessageId,
        view: &'a View,
        lang: Lang,
    ) -> Boxed<'a, Result<(), SendError>> {
        Box::pin(async move {
            let card = card::card(view, lang);
            self.client.patch_card(message.as_str(), &card).await.map_err(|error| {
                // On an update 11310 is also this: somebody is pressing a button right now. Its other meanings last.
                let locked = matches!(&error, ApiError::Refused(refusal)
                    if refusal.sub == Some(11310) && refusal.msg.contains("card action is lock"));
                let mut error = error.into_send();
                if locked {
                    error.disposition = Disposition::RetryAfter { wait_ms: 1000 };
                }
                error
            })
        })
    }

    fn react<'a>(&'a self, message: &'a MessageId, receipt: Receipt) -> Boxed<'a, Result<String, SendError>> {
        Box::pin(async move {
            let added = self.client.add_reaction(message.as_str(), emoji(receipt)).await;
            added.map_err(|error| error.into_send())
        })
    }

    fn unreact<'a>(&'a self, message: &'a MessageId, reaction: &'a str) -> Boxed<'a, Result<(), SendError>> {
        Box::pin(async move {
            let removed = self.client.remove_reaction(message.as_str(), reaction).await;
            removed.map_err(|error| error.into_send())
        })
    }

    fn tidy_reactions<'a>(
        &'a self,
        message: &'a MessageId,
        keep: Receipt,
    ) -> Boxed<'a, Result<Option<String>, SendError>> {
        Box::pin(async move {
            let mut kept = None;
            let ours = self.client.own_reactions(message.as_str(), &self.config.app_id).await;
            for (id, kind) in ours.map_err(ApiError::into_send)? {
                if kept.is_none() && kind == emoji(keep) {
                    kept = Some(id);
                } else {
                    let removed = self.client.remove_reaction(message.as_str(), &id).await;
                    removed.map_err(ApiError::into_send)?;
                }
            }
            Ok(kept)
        })
    }

    fn upload<'a>(&'a self, body: &'a Body, path: &'a Path) -> Boxed<'a, Result<ResourceKey, SendError>> {
        Box::pin(async move {
            let uploaded = match body {
                Body::Image { name, .. } => self.client.upload_image(path, name).await,
                Body::File { name, .. } => self.client.upload_file(path, name).await,
                _ => return Err(send::ours("upload", Disposition::Undeliverable, "this body has no file")),
            };
            uploaded.map_err(|error| error.into_send())
        })
    }

    fn download<'a>(
        &'a self,
        from: &'a Attachment,
        into: &'a Path,
        max_bytes: u64,
    ) -> Boxed<'a, Result<u64, FetchError>> {
        Box::pin(async move {
            let opened = self.client.resource(from.message.as_str(), from.key.as_str(), from.is_image).await;
            api::save(opened.map_err(|error| error.into_fetch("im:message:readonly"))?, into, max_bytes).await
        })
    }

    fn quoted<'a>(&'a self, message: &'a MessageId) -> Boxed<'a, Result<Vec<Quoted>, FetchError>> {
        Box::pin(self.read_quoted(message))
    }

    fn said_between<'a>(&'a self, span: &'a Span) -> Boxed<'a, Result<Vec<Quoted>, FetchError>> {
        Box::pin(self.read_span(span))
    }

    fn reads_back(&self) -> bool {
        true
    }

    fn read_back<'a>(&'a self, place: &'a Place) -> Boxed<'a, Result<ReadBack, FetchError>> {
        Box::pin(self.read_missed(place))
    }

    fn user_name<'a>(&'a self, chat: &'a ChatId, user: &'a UserId) -> Boxed<'a, Option<String>> {
        Box::pin(async move { tokio::time::timeout(NAME, self.name_of(Some(chat), user)).await.ok().flatten() })
    }

    fn chat_name<'a>(&'a self, chat: &'a ChatId) -> Boxed<'a, Option<String>> {
        Box::pin(async move {
            let named = tokio::time::timeout(NAME, self.client.chat_name(chat.as_str())).await;
            named.ok()?.ok().flatten()
        })
    }

    fn is_external<'a>(&'a self, chat: &'a ChatId) -> Boxed<'a, Option<bool>> {
        Box::pin(async move {
            let told = tokio::time::timeout(NAME, self.client.is_external(chat.as_str())).await;
            told.ok()?.ok().flatten()
        })
    }

    fn chat_with(&self, user: &UserId) -> Option<ChatId> {
        Some(user.as_str()).filter(|id| is_person(id)).map(ChatId::from)
    }

    fn right_to_upload(&self, error: &SendError) -> Option<&'static str> {
        (error.code == Some(error::MISSING_RIGHT)).then_some("im:resource")
    }

    fn obstacle(&self, error: &SendError) -> Obstacle {
        error.code.map_or(Obstacle::Here, error::obstacle)
    }

    fn advice(&self, code: i64) -> Option<Both> {
        error::advice(code).map(crate::words::both)
    }

    fn health(&self) -> ChannelHealth {
        let mut health = self.health.lock().expect("no code panics while it holds this lock").clone();
        let bot = self.bot.read().expect("no code panics while it holds this lock");
        health.bot_name = bot.identity.as_ref().map(|identity| identity.name.clone());
        // A connection's own trouble comes first: without it nothing is known for long.
        health.problem = health.problem.or_else(|| bot.unknown.clone());
        health
    }
}
