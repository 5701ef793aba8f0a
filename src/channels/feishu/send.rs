//! What goes out: messages in their forms, and cards.

use serde_json::{Value, json};
use tracing::info;

use super::api::Draft;
use super::error::ApiError;
use super::wire::MessageItem;
use super::{Feishu, card};
use crate::bridge::ports::{CardOut, Outgoing, SendError, Sent};
use crate::domain::delivery::{Body, Disposition, Target};
use crate::domain::ids::ResourceKey;
use crate::domain::message::IncomingMessage;
use crate::domain::view::Lang;
use crate::words::NoticeMsg;

/// The most bytes of a request with a post or a card; the platform's limit is 30 KB of the whole body.
const MAX_CONTENT: usize = 29_000;
/// Namespace of the keys of notices about messages that could not be stored (made once, at random).
const NOT_STORED: uuid::Uuid = uuid::Uuid::from_u128(0x0f2b_63d1_7c49_4a5e_8d02_b7f1_5e6c_934a);

impl Feishu {
    pub(super) async fn send_outgoing(&self, out: &Outgoing) -> Result<Sent, SendError> {
        let (msg_type, content) = rendered(&out.body, out.form, out.lang, out.resource.as_ref())?;
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
            other => other.map_err(|error| error.into_send()),
        }
    }

    pub(super) async fn send_card(&self, out: &CardOut) -> Result<Sent, SendError> {
        let card = card::card(&out.view, out.lang);
        let draft = Draft { msg_type: "interactive", content: card.to_string(), uuid: &out.key };
        let mut sent = self.send_draft(&out.target, &draft).await?;
        if sent.message.is_none() {
            // Without its id it could never be changed.
            sent.message = self.find_card(&out.target, &card).await.unwrap_or_else(|error| {
                info!(delivery.id = %out.delivery, %error, "The card of delivery {} was not found", out.delivery);
                None
            });
        }
        Ok(sent)
    }

    /// The one message that goes out without a row: there is no ledger to write it to.
    pub(super) async fn send_not_stored(&self, message: &IncomingMessage) -> Result<(), ApiError> {
        let text = not_stored();
        let uuid = uuid::Uuid::new_v5(&NOT_STORED, message.message.as_str().as_bytes()).to_string();
        let draft = Draft { msg_type: "text", content: json!({ "text": text }).to_string(), uuid: &uuid };
        let target = Target {
            chat: message.chat.clone(),
            reply_to: Some(message.message.clone()),
            in_topic: message.topic.is_some(),
        };
        self.client.send_message(&target, &draft).await.map(drop)
    }
}

/// In both languages: the chat's own stands in the ledger, which is what does not work.
fn not_stored() -> String {
    [Lang::Zh, Lang::En].map(|lang| NoticeMsg::NotStored.text(lang)).join("\n")
}

/// Whether this is what [`Feishu::send_not_stored`] sends, which answers nothing.
pub(super) fn is_not_stored(item: &MessageItem) -> bool {
    let content = item.body.as_ref().and_then(|body| serde_json::from_str::<Value>(body.content.as_deref()?).ok());
    content.is_some_and(|content| content["text"] == not_stored().as_str())
}

/// Message type and content of a body in one of its forms.
pub(super) fn rendered(
    body: &Body,
    form: u32,
    lang: Lang,
    resource: Option<&ResourceKey>,
) -> Result<(&'static str, Value), SendError> {
    match (body, resource) {
        (Body::File { .. }, Some(key)) if form == 0 => Ok(("file", json!({ "file_key": key }))),
        (Body::Image { .. }, Some(key)) if form == 0 => Ok(("image", json!({ "image_key": key }))),
        (Body::File { .. } | Body::Image { .. }, None) => {
            Err(ours("render", Disposition::Undeliverable, "the file was never uploaded"))
        }
        _ => card::answer(body, form, lang)
            .map(|rendered| (rendered.msg_type, rendered.content))
            .ok_or_else(|| ours("render", Disposition::NoForm, "no simpler form is left")),
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

    fn in_form(body: Body, form: u32, resource: Option<&str>) -> Result<(&'static str, Value), SendError> {
        rendered(&body, form, Lang::En, resource.map(ResourceKey::from).as_ref())
    }

    #[test]
    fn a_file_needs_its_upload_and_has_one_form() {
        let file = || Body::File { name: "a".to_owned(), sha256: "0".to_owned(), bytes: 1 };
        let (kind, content) = in_form(file(), 0, Some("file_1")).expect("a form");
        assert_eq!((kind, content), ("file", json!({"file_key": "file_1"})));
        let cases = [(0, None, Disposition::Undeliverable), (1, Some("file_1"), Disposition::NoForm)];
        for (form, resource, want) in cases {
            let error = in_form(file(), form, resource).expect_err("no form");
            assert_eq!(error.disposition, want);
        }
    }

    #[test]
    fn the_ladder_of_an_answer_ends() {
        let notice = || Body::Notice { text: "x".to_owned() };
        let last = (0..10).find_map(|form| in_form(notice(), form, None).err()).expect("an end");
        assert_eq!(last.disposition, Disposition::NoForm);
    }
}
