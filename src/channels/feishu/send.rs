//! What goes out: messages in their forms, cards, and the look-up of a message whose fate is not known.

use serde_json::{Value, json};

use super::api::{Container, Draft};
use super::error::ApiError;
use super::wire::MessageItem;
use super::{Feishu, card, convert};
use crate::bridge::ports::{CardOut, Lookup, Outgoing, SendError, Sent};
use crate::domain::delivery::{Body, Disposition, Target, normalise_for_lookup};
use crate::domain::ids::MessageId;
use crate::domain::message::IncomingMessage;
use crate::domain::view::Lang;
use crate::words::NoticeMsg;

/// Pages of 50 messages that a look-up reads at most.
const MAX_PAGES: usize = 20;
/// Our clock and the platform's may differ by the second in which its `Date` header is cut off.
const SLACK_MS: i64 = 2000;
/// The most bytes of a request with a post or a card; the platform's limit is 30 KB of the whole body.
const MAX_CONTENT: usize = 29_000;
/// Namespace of the keys of notices about messages that could not be stored (made once, at random).
const NOT_STORED: uuid::Uuid = uuid::Uuid::from_u128(0x0f2b_63d1_7c49_4a5e_8d02_b7f1_5e6c_934a);

impl Feishu {
    pub(super) async fn send_outgoing(&self, out: &Outgoing) -> Result<Sent, SendError> {
        let (msg_type, content) = rendered(out)?;
        let content = content.to_string();
        if msg_type != "text" && on_the_wire(&content) > MAX_CONTENT {
            return Err(ours("render", Disposition::NextForm, "larger than the platform takes"));
        }
        let draft = Draft { msg_type, content, uuid: &out.key };
        self.send_draft(&out.target, &draft).await
    }

    /// A repeated key is answered with the first message or, as "being sent", without any: asked again a moment later,
    /// what is still "being sent" was sent.
    async fn send_draft(&self, target: &Target, draft: &Draft<'_>) -> Result<Sent, SendError> {
        const BEING_SENT: Option<i64> = Some(230049);
        let mut sent = self.client.send_message(target, draft).await;
        if sent.as_ref().is_err_and(|error| error.code() == BEING_SENT) {
            tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
            sent = self.client.send_message(target, draft).await;
        }
        match sent {
            Err(error) if error.code() == BEING_SENT => {
                Ok(Sent { message: None, topic: None, platform_ms: error.platform_ms() })
            }
            other => other.map_err(|error| error.into_send(0)),
        }
    }

    pub(super) async fn send_card(&self, out: &CardOut) -> Result<Sent, SendError> {
        let content = card::card(&out.view, out.lang).to_string();
        let draft = Draft { msg_type: "interactive", content, uuid: &out.key };
        self.send_draft(&out.target, &draft).await
    }

    /// The one message that goes out without a row: there is no ledger to write it to.
    pub(super) async fn send_not_stored(&self, message: &IncomingMessage) -> Result<(), ApiError> {
        // In both languages: the chat's own stands in the ledger, which is what does not work.
        let text = [Lang::Zh, Lang::En].map(|lang| NoticeMsg::NotStored.text(lang)).join("\n");
        let uuid = uuid::Uuid::new_v5(&NOT_STORED, message.message.as_str().as_bytes()).to_string();
        let draft = Draft { msg_type: "text", content: json!({ "text": text }).to_string(), uuid: &uuid };
        let target = Target {
            chat: message.chat.clone(),
            reply_to: Some(message.message.clone()),
            in_topic: message.topic.is_some(),
        };
        self.client.send_message(&target, &draft).await.map(drop)
    }

    /// `None` only when the whole time since the first attempt was read and the message is not in it.
    pub(super) async fn find(&self, lookup: &Lookup) -> Result<Option<MessageId>, SendError> {
        let topic = match (&lookup.topic, &lookup.target.reply_to) {
            (Some(topic), _) => Some(topic.as_str().to_owned()),
            // A chat's list shows no replies in topics: the message that was answered knows its topic.
            (None, Some(answered)) => self.topic_of(answered).await?,
            (None, None) => None,
        };
        if let Some(topic) = &topic
            && let Some(found) = self.find_in(&Container::Thread(topic), lookup).await?
        {
            return Ok(Some(found));
        }
        if topic.is_some() && lookup.target.reply_to.is_some() {
            return Ok(None);
        }
        let since = (lookup.since_ms - SLACK_MS).max(0) / 1000;
        self.find_in(&Container::Chat(lookup.target.chat.as_str(), since), lookup).await
    }

    async fn topic_of(&self, message: &MessageId) -> Result<Option<String>, SendError> {
        match self.client.message(message.as_str()).await {
            Ok(items) => Ok(items.into_iter().next().and_then(|item| item.thread_id).filter(|id| !id.is_empty())),
            // A target that is gone has no topic any more; what was sent may still stand in the chat.
            Err(error) => match error.disposition(0) {
                Disposition::WithoutReply => Ok(None),
                _ => Err(unreadable(error)),
            },
        }
    }

    async fn find_in(&self, container: &Container<'_>, lookup: &Lookup) -> Result<Option<MessageId>, SendError> {
        let mut page: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let listed = self.client.list(container, page.as_deref()).await.map_err(unreadable)?;
            let items = listed.items.unwrap_or_default();
            if let Some(found) = items.iter().find(|item| self.is_sought(item, lookup)) {
                return Ok(found.message_id.clone().map(Into::into));
            }
            // Newest first: what is older than the first attempt ends the search.
            let older = items.last().is_some_and(|item| created(item) < lookup.since_ms - SLACK_MS);
            page = listed.page_token.filter(|token| !token.is_empty() && listed.has_more == Some(true) && !older);
            if page.is_none() {
                return Ok(None);
            }
        }
        Err(ours("look up a message", Disposition::RetryAfter { wait_ms: 60_000 }, "too many messages since then"))
    }

    fn is_sought(&self, item: &MessageItem, lookup: &Lookup) -> bool {
        let sender = item.sender.as_ref();
        let ours = sender.is_some_and(|sender| {
            sender.sender_type.as_deref() == Some("app") && sender.id.as_deref() == Some(self.config.app_id.as_str())
        });
        let recalled = item.deleted == Some(true);
        if !ours || recalled || created(item) < lookup.since_ms - SLACK_MS || !answers(item, lookup) {
            return false;
        }
        let content = item.body.as_ref().and_then(|body| body.content.as_deref()).unwrap_or_default();
        match &lookup.resource {
            Some(key) => content.contains(key.as_str()),
            None => content.contains(lookup.delivery.as_str()) || says(&convert::item_text(item), &lookup.text),
        }
    }
}

/// Whether a message that was read back holds the words: a platform gives a text back in another dress, and with what we
/// put around it.
fn says(read: &str, words: &str) -> bool {
    let words = normalise_for_lookup(words);
    !words.is_empty() && normalise_for_lookup(read).contains(&words)
}

/// In a topic every message answers the root, so that either of the two may name the target.
fn answers(item: &MessageItem, lookup: &Lookup) -> bool {
    match &lookup.target.reply_to {
        Some(target) => [&item.parent_id, &item.root_id].into_iter().any(|id| id.as_deref() == Some(target.as_str())),
        None => item.parent_id.as_deref().unwrap_or_default().is_empty(),
    }
}

fn created(item: &MessageItem) -> i64 {
    item.create_time.as_deref().and_then(|at| at.parse().ok()).unwrap_or_default()
}

/// A list that may not be read leaves the question open for good: the caller decides what to do without an answer.
fn unreadable(error: ApiError) -> SendError {
    let refused_for_good = matches!(error.code(), Some(230002 | 230027 | 231203 | 99991672));
    let mut error = error.into_send(0);
    if refused_for_good {
        error.disposition = Disposition::Undeliverable;
    }
    error
}

fn rendered(out: &Outgoing) -> Result<(&'static str, Value), SendError> {
    match (&out.body, &out.resource) {
        (Body::File { .. }, Some(key)) if out.form == 0 => Ok(("file", json!({ "file_key": key }))),
        (Body::Image { .. }, Some(key)) if out.form == 0 => Ok(("image", json!({ "image_key": key }))),
        (Body::File { .. } | Body::Image { .. }, None) => {
            Err(ours("render", Disposition::Undeliverable, "the file was never uploaded"))
        }
        _ => card::answer(&out.body, out.form, out.lang)
            .map(|rendered| (rendered.msg_type, rendered.content))
            .ok_or_else(|| ours("render", Disposition::Undeliverable, "no simpler form is left")),
    }
}

/// Bytes of a content inside the request's JSON, where it is escaped once more.
fn on_the_wire(content: &str) -> usize {
    content.bytes().map(|byte| if matches!(byte, b'"' | b'\\') { 2 } else { 1 }).sum()
}

/// An error of our own making: nothing was asked of the platform.
pub(super) fn ours(what: &'static str, disposition: Disposition, detail: &str) -> SendError {
    SendError { what, code: None, detail: detail.to_owned(), disposition, platform_ms: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::view::Lang;

    fn out(body: Body, form: u32, resource: Option<&str>) -> Outgoing {
        Outgoing {
            delivery: "d1".into(),
            key: "k1".to_owned(),
            target: Target { chat: "oc_1".into(), reply_to: None, in_topic: false },
            body,
            form,
            lang: Lang::En,
            resource: resource.map(Into::into),
        }
    }

    #[test]
    fn a_file_needs_its_upload_and_has_one_form() {
        let file = || Body::File { name: "a".to_owned(), sha256: "0".to_owned(), bytes: 1 };
        let (kind, content) = rendered(&out(file(), 0, Some("file_1"))).expect("a form");
        assert_eq!((kind, content), ("file", json!({"file_key": "file_1"})));
        for (form, resource) in [(0, None), (1, Some("file_1"))] {
            let error = rendered(&out(file(), form, resource)).expect_err("no form");
            assert_eq!(error.disposition, Disposition::Undeliverable);
        }
    }

    #[test]
    fn the_ladder_of_an_answer_ends() {
        let notice = || Body::Notice { text: "x".to_owned() };
        let last = (0..10).find_map(|form| rendered(&out(notice(), form, None)).err()).expect("an end");
        assert_eq!(last.disposition, Disposition::Undeliverable);
    }
}
