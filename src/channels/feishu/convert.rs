//! Raw events into the bridge's own shape. Pure: the bot's id is an argument, and nothing is asked of anybody.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::content::{self, Named};
use super::wire::{
    Action, CardEvent, Envelope, EventHeader, EventMention, EventMessage, ItemMention, MembershipEvent, MessageEvent,
    MessageItem, ReactionEvent, RecallEvent,
};
use crate::bridge::ports::DecodeError;
use crate::domain::ids::{ButtonId, UserId};
use crate::domain::message::{
    ChatKind, Click, Decoded, Event, IncomingMessage, Membership, MembershipChange, Mention, Reaction, Recall, Sender,
};

/// The callback of a card. Unlike events it is never delivered again, and its ack must carry an answer.
pub const CARD_ACTION: &str = "card.action.trigger";

impl Envelope {
    pub fn read(raw: &str) -> Result<Self, DecodeError> {
        let broken = |error: serde_json::Error| unreadable(format!("not an event: {error}"));
        let value: Value = serde_json::from_str(raw).map_err(broken)?;
        if value["event"].is_null() && value["header"].is_null() && value["action"].is_object() {
            return Ok(Self::of_old_callback(value));
        }
        serde_json::from_value(value).map_err(broken)
    }

    /// A card callback from before there were envelopes: what is the event today is the whole of it, and its token, made
    /// for one click, is all that tells it from another.
    fn of_old_callback(callback: Value) -> Self {
        let text = |name: &str| callback[name].as_str().map(str::to_owned);
        let header = EventHeader {
            event_id: text("token"),
            event_type: Some(CARD_ACTION.to_owned()),
            tenant_key: text("tenant_key"),
        };
        Self { header: Some(header), uuid: None, event: callback }
    }

    /// `event_type`, or the kind of a version 1 event.
    pub fn kind(&self) -> &str {
        let named = self.header.as_ref().and_then(|header| header.event_type.as_deref());
        named.or_else(|| self.event["type"].as_str()).unwrap_or_default()
    }

    /// The tenant in which the app is installed.
    pub fn tenant(&self) -> Option<&str> {
        self.header.as_ref()?.tenant_key.as_deref().filter(|tenant| !tenant.is_empty())
    }

    fn id(&self) -> Option<&str> {
        let id = self.header.as_ref().and_then(|header| header.event_id.as_deref()).or(self.uuid.as_deref());
        id.filter(|id| !id.is_empty())
    }
}

/// Decodes an event. While `bot` is unknown every mention may be the bot's, so any mention counts as one.
pub fn decode(envelope: &Envelope, bot: Option<&UserId>) -> Result<Decoded, DecodeError> {
    match envelope.kind() {
        "im.message.receive_v1" => message(envelope, bot),
        CARD_ACTION => click(envelope),
        "im.message.reaction.created_v1" => reaction(envelope, true),
        "im.message.reaction.deleted_v1" => reaction(envelope, false),
        "im.message.recalled_v1" => recall(envelope),
        "im.chat.member.bot.added_v1" => membership(envelope, MembershipChange::BotAdded),
        "im.chat.member.bot.deleted_v1" => membership(envelope, MembershipChange::BotRemoved),
        "im.chat.disbanded_v1" => membership(envelope, MembershipChange::Disbanded),
        other => Ok(ignored(envelope.id().unwrap_or_default().to_owned(), other)),
    }
}

fn ignored(dedupe_key: String, what: &str) -> Decoded {
    Decoded { dedupe_key, event: Event::Ignored { what: what.to_owned() } }
}

fn unreadable(reason: impl Into<String>) -> DecodeError {
    DecodeError { reason: reason.into() }
}

fn body<T: DeserializeOwned>(envelope: &Envelope) -> Result<T, DecodeError> {
    serde_json::from_value(envelope.event.clone())
        .map_err(|error| unreadable(format!("{} has another shape: {error}", envelope.kind())))
}

fn required(value: Option<String>, name: &str) -> Result<String, DecodeError> {
    given(value).ok_or_else(|| unreadable(format!("there is no {name}")))
}

/// Absent and empty are the same on this platform.
fn given(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.is_empty())
}

fn message(envelope: &Envelope, bot: Option<&UserId>) -> Result<Decoded, DecodeError> {
    let event: MessageEvent = body(envelope)?;
    let message = event.message.unwrap_or_default();
    let sender = event.sender.unwrap_or_default();
    let id = required(message.message_id.clone(), "message_id")?;
    if sender.sender_type.as_deref().is_some_and(|kind| kind != "user") {
        return Ok(ignored(id, "message of a bot"));
    }
    let user = required(sender.sender_id.unwrap_or_default().open_id, "sender")?;
    let sender = Sender { user: user.into(), tenant: given(sender.tenant_key), is_person: true };
    let event = Event::Message(incoming(&id, message, sender, bot)?);
    Ok(Decoded { dedupe_key: id, event })
}

fn incoming(
    id: &str,
    message: EventMessage,
    sender: Sender,
    bot: Option<&UserId>,
) -> Result<IncomingMessage, DecodeError> {
    let kind = message.message_type.unwrap_or_else(|| "unknown".to_owned());
    let content = message.content.unwrap_or_default();
    let mentioned = message.mentions.unwrap_or_default();
    let named = names(&mentioned, bot);
    let people = people(&mentioned, bot);
    // The entry for @all is often missing, the key in the text never is.
    let mentions_all = content.contains("@_all");
    let mentions_bot = match bot {
        Some(_) => named.iter().any(|one| one.is_bot),
        None => !people.is_empty(),
    };
    Ok(IncomingMessage {
        message: id.into(),
        chat: required(message.chat_id, "chat_id")?.into(),
        chat_kind: if message.chat_type.as_deref() == Some("p2p") { ChatKind::Direct } else { ChatKind::Group },
        root: given(message.root_id).map(Into::into),
        parent: given(message.parent_id).map(Into::into),
        topic: given(message.thread_id).map(Into::into),
        sender,
        content: content::parts(&kind, &content, &named),
        mentions_bot,
        mentions_all,
        mentions: people,
        sent_at_ms: message.create_time.and_then(|at| at.parse().ok()).unwrap_or_default(),
    })
}

fn open_id(mention: &EventMention) -> Option<&str> {
    mention.id.as_ref()?.open_id.as_deref().filter(|id| !id.is_empty())
}

fn names(mentions: &[EventMention], bot: Option<&UserId>) -> Vec<Named> {
    let named = |mention: &EventMention| {
        Some(Named {
            key: mention.key.clone()?,
            name: mention.name.clone().unwrap_or_default(),
            is_bot: bot.is_some_and(|bot| open_id(mention) == Some(bot.as_str())),
        })
    };
    mentions.iter().filter_map(named).collect()
}

fn people(mentions: &[EventMention], bot: Option<&UserId>) -> Vec<Mention> {
    let person = |mention: &EventMention| {
        let user = UserId::from(open_id(mention)?);
        (Some(&user) != bot).then(|| Mention { user, name: mention.name.clone().unwrap_or_default() })
    };
    mentions.iter().filter_map(person).collect()
}

fn click(envelope: &Envelope) -> Result<Decoded, DecodeError> {
    let event: CardEvent = body(envelope)?;
    let operator = event.operator.unwrap_or_default();
    let action = event.action.unwrap_or_default();
    let context = event.context.unwrap_or_default();
    let click = Click {
        chat: given(context.open_chat_id.or(event.open_chat_id)).map(Into::into),
        card: given(context.open_message_id.or(event.open_message_id)).map(Into::into),
        user: required(operator.open_id.or(event.open_id), "operator")?.into(),
        tenant: given(operator.tenant_key.or(event.tenant_key)),
        button: button(&action.value),
        form: form(&action),
    };
    let dedupe_key = envelope.id().ok_or_else(|| unreadable("there is no event_id"))?.to_owned();
    Ok(Decoded { dedupe_key, event: Event::Click(click) })
}

/// Our buttons carry `{"b":"<32 hex digits>"}` and nothing else counts.
fn button(value: &Value) -> Option<ButtonId> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let id = object.get("b")?.as_str()?;
    let ours = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    ours.then(|| ButtonId::from(id))
}

/// Everything that was typed or chosen: a form's fields by name, or the one field outside a form.
fn form(action: &Action) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (name, value) in action.form_value.iter().flatten() {
        push(&mut out, name, value);
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    for (fallback, value) in
        [("input_value", &action.input_value), ("option", &action.option), ("options", &action.options)]
    {
        push(&mut out, action.name.as_deref().unwrap_or(fallback), value);
    }
    out
}

/// Several choices of one field become several pairs with its name.
fn push(out: &mut Vec<(String, String)>, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => out.push((name.to_owned(), text.clone())),
        Value::Array(items) => items.iter().for_each(|item| push(out, name, item)),
        other => out.push((name.to_owned(), other.to_string())),
    }
}

fn reaction(envelope: &Envelope, added: bool) -> Result<Decoded, DecodeError> {
    let event: ReactionEvent = body(envelope)?;
    let message = required(event.message_id, "message_id")?;
    let emoji = event.reaction_type.unwrap_or_default().emoji_type.unwrap_or_default();
    let time = event.action_time.unwrap_or_default();
    let Some(user) = given(event.user_id.unwrap_or_default().open_id) else {
        return Ok(ignored(format!("reaction:{message}:{emoji}:app:{time}"), "reaction of an app"));
    };
    let dedupe_key = format!("reaction:{message}:{emoji}:{user}:{time}");
    if event.operator_type.as_deref() == Some("app") {
        return Ok(ignored(dedupe_key, "reaction of an app"));
    }
    let reaction = Reaction { message: message.into(), user: user.into(), emoji, added };
    Ok(Decoded { dedupe_key, event: Event::Reaction(reaction) })
}

fn recall(envelope: &Envelope) -> Result<Decoded, DecodeError> {
    let event: RecallEvent = body(envelope)?;
    let message = required(event.message_id, "message_id")?;
    let dedupe_key = format!("recall:{message}");
    let recall = Recall { message: message.into(), chat: given(event.chat_id).map(Into::into) };
    Ok(Decoded { dedupe_key, event: Event::Recall(recall) })
}

fn membership(envelope: &Envelope, change: MembershipChange) -> Result<Decoded, DecodeError> {
    let event: MembershipEvent = body(envelope)?;
    let dedupe_key = envelope.id().ok_or_else(|| unreadable("there is no event_id"))?.to_owned();
    let by = given(event.operator_id.unwrap_or_default().open_id).map(Into::into);
    let chat = required(event.chat_id, "chat_id")?.into();
    Ok(Decoded { dedupe_key, event: Event::Membership(Membership { chat, change, by }) })
}

/// A message of a person that was read back, as the event that would have brought it; of a recalled one, as the event
/// that would have said so. Nothing for what bots and the platform say.
pub fn event_of(item: &MessageItem, kind: ChatKind) -> Option<String> {
    let sender = item.sender.as_ref().filter(|sender| sender.sender_type.as_deref() == Some("user"))?;
    let id = item.message_id.as_deref().filter(|id| !id.is_empty())?;
    if item.deleted == Some(true) {
        return Some(envelope("im.message.recalled_v1", json!({"message_id": id, "chat_id": item.chat_id})));
    }
    let mention = |one: &ItemMention| json!({"key": one.key, "id": {"open_id": one.id}, "name": one.name});
    let event = json!({
        "sender": {"sender_id": {"open_id": sender.id}, "sender_type": "user", "tenant_key": sender.tenant_key},
        "message": {
            "message_id": id, "root_id": item.root_id, "parent_id": item.parent_id, "thread_id": item.thread_id,
            "create_time": item.create_time, "chat_id": item.chat_id,
            "chat_type": if kind == ChatKind::Direct { "p2p" } else { "group" },
            "message_type": item.msg_type, "content": item.body.as_ref().and_then(|body| body.content.as_deref()),
            "mentions": item.mentions.iter().flatten().map(mention).collect::<Vec<_>>(),
        },
    });
    Some(envelope("im.message.receive_v1", event))
}

fn envelope(kind: &str, event: Value) -> String {
    json!({"schema": "2.0", "header": {"event_type": kind}, "event": event}).to_string()
}

/// The text of a message that was read back, mentions by name.
pub fn item_text(item: &MessageItem) -> String {
    let named: Vec<Named> = item
        .mentions
        .iter()
        .flatten()
        .filter_map(|mention| {
            let name = mention.name.clone().unwrap_or_default();
            Some(Named { key: mention.key.clone()?, name, is_bot: false })
        })
        .collect();
    let content = item.body.as_ref().and_then(|body| body.content.as_deref()).unwrap_or_default();
    content::plain(item.msg_type.as_deref().unwrap_or("unknown"), content, &named)
}

#[cfg(test)]
mod tests;
