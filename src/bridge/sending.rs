//! What people and scripts send from the computer: words or a file, to the owner or to a chat that is known.

use std::path::{Path, PathBuf};

use super::answering::COMPUTER;
use super::core::Core;
use super::follow::limits_of_channel;
use super::routines::LOCAL_CHAT;
use super::{files, render};
use crate::domain::delivery::{Body, Target};
use crate::domain::ids::*;
use crate::domain::tool::TEXT_CHARS;
use crate::ledger::messages::NewMessage;
use crate::ledger::{LedgerError, Transaction, audit, chats, inbound, messages};

/// The terminal's own channel: there its owner needs to have said nothing first.
const LOCAL: &str = "local";

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendingError {
    #[error("there is neither a text nor a file to send")]
    Nothing,
    #[error("the text has {chars} characters, and {most} is the most; send it as a file", most = TEXT_CHARS)]
    TextTooLong { chars: usize },
    #[error("{} cannot be sent: {why}", path.display())]
    Unfit { path: PathBuf, why: files::Unfit },
    #[error("ally knows no chat {chat} on {channel}: somebody whom it works for has to write to the bot there first")]
    NoSuchChat { channel: ChannelName, chat: ChatId },
    #[error(
        "the owner has no chat with the bot on {channel} yet: the owner has to be known, and to write to the bot first"
    )]
    NoOwner { channel: ChannelName },
    #[error("the file could not be kept for sending")]
    Storage(#[source] std::io::Error),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub channel: ChannelName,
    pub chat: ChatId,
    /// One a part, in order.
    pub messages: Vec<DeliveryId>,
}

/// Sends in the name of whoever may use this account of the machine; `to` is a chat, and without one the owner's own. The
/// messages are in the outbox when this returns.
///
/// # Errors
/// Why nothing was sent.
pub async fn by_computer(
    core: &Core,
    to: Option<(ChannelName, ChatId)>,
    text: Option<String>,
    file: Option<PathBuf>,
) -> Result<Sent, SendingError> {
    let (channel, chat) = match to {
        Some(place) => known(core, place).await?,
        None => owners(core).await?,
    };
    let bodies = bodies(core, &channel, text, file).await?;
    let (lang, now) = (core.config.lang, core.now_ms());
    let target = Target { chat: chat.clone(), reply_to: None, in_topic: false };
    let place = (channel.clone(), chat.clone());
    let sent = core.ledger.write(move |tx| {
        let (channel, chat) = place;
        let mut sent: Vec<DeliveryId> = Vec::new();
        for body in bodies {
            let new = NewMessage {
                conversation: None,
                turn: None,
                channel: channel.clone(),
                target: target.clone(),
                body,
                lang,
                after: sent.last().cloned(),
                sending: None,
            };
            sent.push(messages::insert(tx, &new, now)?);
        }
        let first = sent.first().map_or("", DeliveryId::as_str);
        audit::note_in(tx, (&channel, &chat), COMPUTER, "sent", first, "", now)?;
        Ok(sent)
    });
    let messages = sent.await?;
    core.wakes.outbox.notify_one();
    Ok(Sent { channel, chat, messages })
}

/// A chat in which somebody whom ally works for has written.
async fn known(core: &Core, (channel, chat): (ChannelName, ChatId)) -> Result<(ChannelName, ChatId), SendingError> {
    let place = (channel.clone(), chat.clone());
    let is_known = match core.channel(&channel) {
        Some(_) => core.ledger.read(move |tx| chats::is_known(tx, &place.0, &place.1)).await?,
        None => false,
    };
    let is_terminal = channel.as_str() == LOCAL && chat.as_str() == LOCAL_CHAT;
    if is_known || is_terminal { Ok((channel, chat)) } else { Err(SendingError::NoSuchChat { channel, chat }) }
}

/// The owner's direct chat: where the bot is, and where there is no bot the terminal's.
async fn owners(core: &Core) -> Result<(ChannelName, ChatId), SendingError> {
    let mut channels: Vec<ChannelName> = core.channels.keys().cloned().collect();
    channels.sort_by_key(|channel| (channel.as_str() == LOCAL, channel.clone()));
    let Some(channel) = channels.into_iter().next() else {
        return Err(SendingError::NoOwner { channel: LOCAL.into() });
    };
    let (name, owner) = (channel.clone(), core.access(&channel).owner.clone());
    let direct = move |tx: &Transaction<'_>| owner.map_or(Ok(None), |owner| inbound::direct_chat_of(tx, &name, &owner));
    let chat = core.ledger.read(direct).await?;
    let terminal = || (channel.as_str() == LOCAL).then(|| ChatId::from(LOCAL_CHAT));
    match chat.or_else(terminal) {
        Some(chat) => Ok((channel, chat)),
        None => Err(SendingError::NoOwner { channel }),
    }
}

async fn bodies(
    core: &Core,
    channel: &ChannelName,
    text: Option<String>,
    file: Option<PathBuf>,
) -> Result<Vec<Body>, SendingError> {
    let limits = limits_of_channel(core, channel);
    let mut bodies = Vec::new();
    if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
        let chars = text.chars().count();
        if chars > TEXT_CHARS {
            return Err(SendingError::TextTooLong { chars });
        }
        let bounds = render::Limits { part_chars: limits.part_chars, max_parts: limits.max_parts };
        let rendered = render::answer(&text, None, None, bounds, core.config.lang);
        bodies = rendered.bodies;
        if let Some(file) = rendered.file {
            let stored = files::store(&core.config.outbox, file.content.as_bytes());
            let (sha256, bytes) = stored.map_err(SendingError::Storage)?;
            bodies.push(Body::File { name: file.name, sha256, bytes });
        }
    }
    if let Some(path) = file {
        let (outbox, most) = (core.config.outbox.clone(), limits.file_bytes);
        // On a thread of its own: a file of many megabytes takes its time.
        let kept = tokio::task::spawn_blocking(move || keep(&path, most, &outbox)).await;
        bodies.push(kept.map_err(|error| SendingError::Storage(std::io::Error::other(error)))??);
    }
    if bodies.is_empty() { Err(SendingError::Nothing) } else { Ok(bodies) }
}

/// A person's own file: wherever it lies, and however many names it has.
fn keep(path: &Path, most: u64, outbox: &Path) -> Result<Body, SendingError> {
    let bytes = files::whole(path, most).map_err(|why| SendingError::Unfit { path: path.to_owned(), why })?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let is_picture = files::is_picture(&bytes);
    let (sha256, bytes) = files::store(outbox, &bytes).map_err(SendingError::Storage)?;
    Ok(match is_picture {
        true => Body::Image { name, sha256, bytes },
        false => Body::File { name, sha256, bytes },
    })
}
