//! Which conversation a message belongs to. A direct chat is one; in a group each topic is one, keyed by its root message;
//! the topic's own id is only an alias that the platform sometimes forgets to send.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::core::{Core, Scope};
use super::prepare::Letter;
use crate::domain::gate::hex;
use crate::domain::ids::*;
use crate::domain::message::{ChatKind, IncomingMessage};
use crate::ledger::conversations::{Conversation, NewConversation};
use crate::ledger::settings::{self, Setting};
use crate::ledger::{LedgerError, Transaction, conversations, inbound, messages, said, surfaces};

/// The conversation that a message belongs to, if there is one already. Makes nothing.
pub fn existing(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    message: &IncomingMessage,
    scope: Scope,
) -> Result<Option<Conversation>, LedgerError> {
    let chat = &message.chat;
    if message.chat_kind == ChatKind::Group && scope == Scope::Chat {
        return conversations::find(tx, channel, chat, None);
    }
    if let Some(topic) = &message.topic
        && let Some(found) = conversations::find_topic(tx, channel, chat, topic)?
    {
        return Ok(Some(found));
    }
    if message.chat_kind == ChatKind::Direct && message.topic.is_none() {
        return conversations::find(tx, channel, chat, None);
    }
    for link in message.root.iter().chain(&message.parent) {
        if let Some(found) = conversations::find(tx, channel, chat, Some(link))? {
            return Ok(Some(found));
        }
        if let Some(found) = quoted(tx, channel, link)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The first message of a topic that people began, as long as this conversation has not heard of it from other words.
pub(super) async fn unknown_root(core: &Core, letter: &Letter) -> Result<Option<MessageId>, LedgerError> {
    let (channel, message, scope) = (letter.row.channel.clone(), letter.message.clone(), core.config.scope);
    let seq = letter.row.seq;
    let Some(root) = message.root.clone().filter(|root| message.topic.is_some() && *root != message.message) else {
        return Ok(None);
    };
    core.ledger
        .read(move |tx| {
            let known = match said::meta(tx, &heard_key(&channel, &root))? {
                // A prompt that is made anew says it again.
                Some(words) => words != seq.0.to_string(),
                None => match scope {
                    // One conversation holds all topics: whether it has this one, only the message itself tells.
                    Scope::Chat => quoted(tx, &channel, &root)?.is_some(),
                    Scope::Topic => existing(tx, &channel, &message, scope)?.is_some(),
                },
            };
            Ok((!known).then_some(root))
        })
        .await
}

/// The prompt of these words begins with what their topic is about.
pub(super) fn heard_of(tx: &Transaction<'_>, words: &Letter, root: &MessageId) -> Result<(), LedgerError> {
    said::set_meta(tx, &heard_key(&words.row.channel, root), &words.row.seq.0.to_string())
}

fn heard_key(channel: &ChannelName, root: &MessageId) -> String {
    format!("topic:{channel}:{root}")
}

/// Quoting one of our messages, or a message of a conversation, continues that conversation.
fn quoted(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    message: &MessageId,
) -> Result<Option<Conversation>, LedgerError> {
    let ours = messages::by_platform(tx, channel, message)?.and_then(|sent| sent.conversation);
    let ours = match ours {
        Some(id) => Some(id),
        None => surfaces::by_platform(tx, channel, message)?.and_then(|(_, surface)| surface.conversation),
    };
    if let Some(id) = ours {
        return conversations::get(tx, &id).map(Some);
    }
    let Some(turn) = inbound::by_message(tx, channel, message)?.and_then(|row| row.turn) else { return Ok(None) };
    let turn = crate::ledger::turns::get(tx, &turn)?;
    conversations::get(tx, &turn.conversation).map(Some)
}

/// Where a message's turn goes: the conversation that exists, or what a new one is made with.
pub(super) async fn place(core: &Core, letter: &Letter) -> Result<NewConversation, LedgerError> {
    let (channel, message, scope) = (letter.row.channel.clone(), letter.message.clone(), core.config.scope);
    let (user, is_owner) = (letter.person.user.clone(), letter.person.role.is_owner());
    let read = move |tx: &Transaction<'_>| {
        let mut found = existing(tx, &channel, &message, scope)?;
        // A routine works in the directory of whose it is: nobody else goes on there.
        if let Some(conversation) = found.as_ref().filter(|found| found.routine.is_some() && !is_owner)
            && crate::ledger::turns::last_settled(tx, &conversation.id)?.is_none_or(|turn| turn.requester != user)
        {
            found = None;
        }
        Ok((found, settings::get(tx, &channel, &message.chat, Setting::Directory)?))
    };
    let (found, bound) = core.ledger.read(read).await?;
    let message = &letter.message;
    if let Some(found) = found {
        return Ok(NewConversation {
            channel: found.channel,
            chat: found.chat,
            chat_kind: found.chat_kind,
            root: found.root,
            routine: found.routine,
            topic: message.topic.clone().or(found.topic),
            directory: found.directory,
            lang: found.lang,
            runtime_kind: found.runtime_kind,
            runtime_home: found.runtime_home,
        });
    }
    Ok(NewConversation {
        channel: letter.row.channel.clone(),
        chat: message.chat.clone(),
        chat_kind: message.chat_kind,
        root: root_of(message, scope),
        routine: None,
        topic: message.topic.clone(),
        directory: bound.map_or_else(|| directory(core, &letter.row.channel, &message.chat), PathBuf::from),
        lang: core.config.lang,
        runtime_kind: core.host.kind().to_owned(),
        runtime_home: core.host.home(),
    })
}

/// The root of the conversation that a message opens.
fn root_of(message: &IncomingMessage, scope: Scope) -> Option<MessageId> {
    match (message.chat_kind, &message.topic) {
        (ChatKind::Group, _) if scope == Scope::Chat => None,
        (ChatKind::Direct, None) => None,
        // Inside a topic that people began: its root, where the platform names it.
        (_, Some(_)) => Some(message.root.clone().unwrap_or_else(|| message.message.clone())),
        // In the stream: this very message opens a topic. What it quotes is no key (any reply has a root).
        (ChatKind::Group, None) => Some(message.message.clone()),
    }
}

/// The configured directory, or one of the chat's own.
pub(super) fn directory(core: &Core, channel: &ChannelName, chat: &ChatId) -> PathBuf {
    core.config.directory.clone().unwrap_or_else(|| {
        let digest = hex(&Sha256::digest(format!("{channel}:{chat}").as_bytes())[..6]);
        core.config.workspaces.join(format!("{channel}-{digest}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::Sender;

    fn message(kind: ChatKind, topic: Option<&str>, root: Option<&str>) -> IncomingMessage {
        IncomingMessage {
            message: "om_this".into(),
            chat: "oc_1".into(),
            chat_kind: kind,
            root: root.map(Into::into),
            parent: None,
            topic: topic.map(Into::into),
            sender: Sender { user: "ou_1".into(), tenant: None, is_person: true },
            content: Vec::new(),
            mentions_bot: true,
            mentions_all: false,
            mentions: Vec::new(),
            sent_at_ms: 0,
        }
    }

    #[test]
    fn roots() {
        for (kind, topic, root, scope, want) in [
            (ChatKind::Direct, None, None, Scope::Topic, None),
            (ChatKind::Direct, None, Some("om_q"), Scope::Topic, None),
            (ChatKind::Direct, Some("omt_1"), Some("om_r"), Scope::Topic, Some("om_r")),
            (ChatKind::Group, None, None, Scope::Topic, Some("om_this")),
            (ChatKind::Group, None, Some("om_q"), Scope::Topic, Some("om_this")),
            (ChatKind::Group, Some("omt_1"), Some("om_r"), Scope::Topic, Some("om_r")),
            (ChatKind::Group, Some("omt_1"), None, Scope::Topic, Some("om_this")),
            (ChatKind::Group, Some("omt_1"), Some("om_r"), Scope::Chat, None),
        ] {
            let got = root_of(&message(kind, topic, root), scope);
            assert_eq!(got, want.map(MessageId::from), "{kind:?} {topic:?} {root:?} {scope:?}");
        }
    }
}
