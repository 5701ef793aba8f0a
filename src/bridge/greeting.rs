//! The first words to the owner (C12), once for each owner of a channel: what he can try, and what ally does not do unasked.
//! Who claims the bot by a code is greeted by the answer to that code, where `note` says so.

use super::core::Core;
use super::notices::{self, Cause};
use super::say;
use crate::domain::delivery::{Body, MessageState, Target};
use crate::domain::ids::*;
use crate::ledger::messages::NewMessage;
use crate::ledger::{LedgerError, Transaction, inbound, messages, said};

/// The approval that somebody waits for who is to be greeted after it.
pub const VERSION: &str = "version";

/// How far the greeting has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeted {
    /// There is nobody to be greeted.
    NoOwner,
    /// The channel reaches only whoever has written to the bot, and the owner has not.
    NoChat,
    /// It is in the outbox, and this is what keeps it there.
    OnItsWay(Option<String>),
    /// The owner has it.
    Sent,
    /// It will not arrive: why.
    Undeliverable(String),
}

/// Wants the owner greeted, unless that was done, and tells how far it has come. One that could not be delivered is tried
/// again where that is wanted (`anew`).
///
/// # Errors
/// When the ledger cannot be read or written.
pub async fn greet(core: &Core, channel: &ChannelName, anew: bool) -> Result<Greeted, LedgerError> {
    let (frame, directory) = (core.frame(channel), directory(core));
    let unknown = frame.access.owner.as_ref().and_then(|owner| core.channel(channel)?.chat_with(owner));
    let greeted = core.ledger.write(move |tx| {
        let Some(owner) = &frame.access.owner else { return Ok(Greeted::NoOwner) };
        let former = found(tx, &frame.channel, owner)?;
        match former {
            Some(Greeted::Undeliverable(_)) if anew => {}
            Some(former) => return Ok(former),
            None => {}
        }
        let Some(chat) = inbound::direct_chat_of(tx, &frame.channel, owner)?.or(unknown) else {
            return Ok(Greeted::NoChat);
        };
        let target = Target { chat, reply_to: None, in_topic: false };
        let new = NewMessage {
            conversation: None,
            turn: None,
            channel: frame.channel.clone(),
            target,
            body: Body::Notice { text: say::greeting(frame.lang, &directory) },
            lang: frame.lang,
            after: None,
            sending: None,
        };
        let delivery = messages::insert(tx, &new, frame.now_ms)?;
        // Whoever is greeted has gone on.
        notices::forget(tx, &Cause::Approved(VERSION))?;
        said::set_meta(tx, &key(&frame.channel, owner), delivery.as_str())?;
        Ok(Greeted::OnItsWay(None))
    });
    let greeted = greeted.await?;
    core.wakes.outbox.notify_one();
    Ok(greeted)
}

/// The owner is greeted by something else that was said.
pub(super) fn note(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    owner: &UserId,
    said_by: &DeliveryId,
) -> Result<(), LedgerError> {
    said::set_meta(tx, &key(channel, owner), said_by.as_str())
}

/// Whether the owner of a channel was greeted, however far that has come.
///
/// # Errors
/// When the ledger cannot be read.
pub fn was_begun(tx: &Transaction<'_>, channel: &ChannelName, owner: &UserId) -> Result<bool, LedgerError> {
    Ok(said::meta(tx, &key(channel, owner))?.is_some())
}

/// Whether the greeting has reached the owner.
pub(super) fn has_arrived(tx: &Transaction<'_>, channel: &ChannelName, owner: &UserId) -> Result<bool, LedgerError> {
    Ok(found(tx, channel, owner)? == Some(Greeted::Sent))
}

/// Where ally works, as people call it.
pub(super) fn directory(core: &Core) -> String {
    let directory = core.config.directory.as_ref();
    directory.map_or_else(|| say::own_folder(core.config.lang), |directory| directory.display().to_string())
}

/// It stays for as long as the ledger does: an owner is not greeted again after years.
fn key(channel: &ChannelName, owner: &UserId) -> String {
    format!("greeting:{channel}:{owner}")
}

fn found(tx: &Transaction<'_>, channel: &ChannelName, owner: &UserId) -> Result<Option<Greeted>, LedgerError> {
    let Some(delivery) = said::meta(tx, &key(channel, owner))? else { return Ok(None) };
    let message = match messages::get(tx, &DeliveryId::new(delivery)) {
        Ok(message) => message,
        // Forgotten since.
        Err(LedgerError::Missing(_)) => return Ok(Some(Greeted::Sent)),
        Err(error) => return Err(error),
    };
    Ok(Some(match message.state {
        MessageState::Sent => Greeted::Sent,
        MessageState::Undeliverable => Greeted::Undeliverable(message.problem.unwrap_or_default()),
        MessageState::Ready | MessageState::Sending => Greeted::OnItsWay(message.problem),
    }))
}
