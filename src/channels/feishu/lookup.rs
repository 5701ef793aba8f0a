//! The look-up of a message whose fate is not known: is exactly what was sent in the chat?
//!
//! A wrong yes loses an answer and a wrong no repeats it. So the comparison is of the whole message, after everything is
//! taken out of both sides that the platform is known to change when it gives a message back.

use serde_json::Value;

use super::Feishu;
use super::api::Container;
use super::error::ApiError;
use super::is_person;
use super::send::{ours, rendered};
use super::wire::MessageItem;
use crate::bridge::ports::{Lookup, SendError};
use crate::domain::delivery::{Body, Disposition, Target, normalise_for_lookup};
use crate::domain::ids::MessageId;

/// Pages of 50 messages that a look-up reads at most.
const MAX_PAGES: usize = 20;
/// This machine's clock may be ahead of the platform's, and what was sent then seems older than its first attempt. A
/// minute is more than a clock that is kept at all is wrong by; it finds nothing foreign, because what was sent in that
/// minute is known or says something else.
const SLACK_MS: i64 = 60_000;

/// A card is looked for when the platform has just refused to create it twice: its key is known for an hour.
const CARD_WINDOW_MS: i64 = 60 * 60 * 1000 + SLACK_MS;

/// What the message must be.
struct Sought<'a> {
    lookup: &'a Lookup,
    kind: &'static str,
    content: Value,
}

impl Feishu {
    /// `None` only when the whole time since the first attempt was read and the message is not in it.
    pub(super) async fn find(&self, lookup: &Lookup) -> Result<Option<MessageId>, SendError> {
        // What cannot be written down was never sent.
        let Ok((kind, content)) = rendered(&lookup.body, lookup.form, lookup.lang, lookup.resource.as_ref()) else {
            return Ok(None);
        };
        let sought = Sought { lookup, kind, content };
        let topic = match (&lookup.topic, &lookup.target.reply_to) {
            (Some(topic), _) => Some(topic.as_str().to_owned()),
            // A chat's list shows no replies in topics: the message that was answered knows its topic.
            (None, Some(answered)) => self.topic_of(answered).await?,
            (None, None) => None,
        };
        if let Some(topic) = &topic
            && let Some(found) = self.find_in(&Container::Thread(topic), &sought).await?
        {
            return Ok(Some(found));
        }
        if topic.is_some() && lookup.target.reply_to.is_some() {
            return Ok(None);
        }
        if is_person(lookup.target.chat.as_str()) {
            return Err(ours("look up", Disposition::NoForm, "the chat with this person is not known"));
        }
        let since = (lookup.since_ms - SLACK_MS).max(0) / 1000;
        self.find_in(&Container::Chat(lookup.target.chat.as_str(), since), &sought).await
    }

    /// A card that is surely there and whose id was never told, by its buttons: their ids are drawn once and never twice.
    /// `None` where it cannot be found.
    pub(super) async fn find_card(&self, target: &Target, card: &Value) -> Result<Option<MessageId>, SendError> {
        let mut buttons = Vec::new();
        buttons_of(card, &mut buttons);
        self.find_by_buttons(target, &buttons).await
    }

    pub(super) async fn find_by_buttons(
        &self,
        target: &Target,
        buttons: &[&str],
    ) -> Result<Option<MessageId>, SendError> {
        if buttons.is_empty() {
            return Ok(None);
        }
        let topic = match &target.reply_to {
            Some(answered) => self.topic_of(answered).await?,
            None => None,
        };
        let since_ms = self.clock.now_ms() - CARD_WINDOW_MS;
        let container = match &topic {
            Some(topic) => Container::Thread(topic),
            None => Container::Chat(target.chat.as_str(), since_ms.max(0) / 1000),
        };
        let listed = self.client.list(&container, None).await.map_err(unreadable)?;
        for item in listed.items.unwrap_or_default() {
            let Some(id) = self.own(&item).filter(|_| item.msg_type.as_deref() == Some("interactive")) else {
                continue;
            };
            if created(&item) < since_ms {
                continue;
            }
            let content = self.client.card_content(id).await.map_err(unreadable)?.unwrap_or_default();
            let mut there = Vec::new();
            let content: Value = serde_json::from_str(&content).unwrap_or_default();
            buttons_of(&content, &mut there);
            if there.iter().any(|button| buttons.contains(button)) {
                return Ok(Some(id.into()));
            }
        }
        Ok(None)
    }

    async fn topic_of(&self, message: &MessageId) -> Result<Option<String>, SendError> {
        match self.client.message(message.as_str()).await {
            Ok(items) => Ok(items.into_iter().next().and_then(|item| item.thread_id).filter(|id| !id.is_empty())),
            // A target that is gone has no topic any more; what was sent may still stand in the chat.
            Err(error) => match error.disposition() {
                Disposition::WithoutReply => Ok(None),
                _ => Err(unreadable(error)),
            },
        }
    }

    async fn find_in(&self, container: &Container<'_>, sought: &Sought<'_>) -> Result<Option<MessageId>, SendError> {
        let mut page: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let listed = self.client.list(container, page.as_deref()).await.map_err(unreadable)?;
            let items = listed.items.unwrap_or_default();
            for item in &items {
                if self.may_be(item, container, sought) && self.says(item, sought).await? {
                    return Ok(item.message_id.clone().map(Into::into));
                }
            }
            // Newest first: what is older than the first attempt ends the search.
            let older = items.last().is_some_and(|item| created(item) < sought.lookup.since_ms - SLACK_MS);
            page = listed.page_token.filter(|token| !token.is_empty() && listed.has_more == Some(true) && !older);
            if page.is_none() {
                return Ok(None);
            }
        }
        // Later there would be even more of them.
        Err(ours("look up a message", Disposition::Undeliverable, "too many messages since it was sent"))
    }

    /// Whether it is of our app, of this time, in this place and of this kind, and not known to be another.
    fn may_be(&self, item: &MessageItem, container: &Container<'_>, sought: &Sought<'_>) -> bool {
        let lookup = sought.lookup;
        let Some(id) = self.own(item) else { return false };
        item.msg_type.as_deref() == Some(sought.kind)
            && created(item) >= lookup.since_ms - SLACK_MS
            && !lookup.known.iter().any(|known| known.as_str() == id)
            && answers(item, lookup, matches!(container, Container::Thread(_)))
    }

    /// The id of a message of our app that was not deleted.
    pub(super) fn own<'a>(&self, item: &'a MessageItem) -> Option<&'a str> {
        let ours = item.sender.as_ref().is_some_and(|sender| {
            sender.sender_type.as_deref() == Some("app") && sender.id.as_deref() == Some(self.config.app_id.as_str())
        });
        item.message_id.as_deref().filter(|_| ours && item.deleted != Some(true))
    }

    async fn says(&self, item: &MessageItem, sought: &Sought<'_>) -> Result<bool, SendError> {
        let listed = item.body.as_ref().and_then(|body| body.content.clone());
        let content = match (sought.kind, item.message_id.as_deref()) {
            ("interactive", Some(id)) => self.client.card_content(id).await.map_err(unreadable)?.or(listed),
            _ => listed,
        };
        let content: Value = serde_json::from_str(&content.unwrap_or_default()).unwrap_or_default();
        Ok(match &sought.lookup.body {
            Body::Image { .. } => content["image_key"] == sought.content["image_key"],
            Body::File { .. } => content["file_key"] == sought.content["file_key"],
            Body::Answer { .. } | Body::Notice { .. } => words(&content) == words(&sought.content),
        })
    }
}

/// The ids in the buttons of a card, as `card` writes them.
fn buttons_of<'a>(card: &'a Value, ids: &mut Vec<&'a str>) {
    match card {
        Value::Array(items) => items.iter().for_each(|item| buttons_of(item, ids)),
        Value::Object(fields) => {
            ids.extend(card["b"].as_str());
            fields.values().for_each(|field| buttons_of(field, ids));
        }
        _ => {}
    }
}

/// In a topic every message answers the root, whichever of the topic's messages was named when it was sent.
fn answers(item: &MessageItem, lookup: &Lookup, in_topic: bool) -> bool {
    let parent = item.parent_id.as_deref().filter(|id| !id.is_empty());
    match (&lookup.target.reply_to, parent) {
        (Some(target), Some(parent)) => {
            parent == target.as_str() || (in_topic && item.root_id.as_deref() == Some(parent))
        }
        (None, None) => true,
        _ => false,
    }
}

pub(super) fn created(item: &MessageItem) -> i64 {
    item.create_time.as_deref().and_then(|at| at.parse().ok()).unwrap_or_default()
}

/// Everything that a content says, comparable: as it was sent and as it is read back are the same.
fn words(content: &Value) -> String {
    let mut said = Vec::new();
    collect(content, &mut said);
    let lines = said.iter().flat_map(|text| text.lines());
    // A fence comes back as a block with a language of its own; numbers of lists may be counted anew.
    let lines = lines.filter(|line| !line.trim_start().starts_with("```")).map(without_number);
    let bare = without_targets(&normalise_for_lookup(&lines.collect::<String>()));
    bare.chars().filter(|c| !matches!(c, '[' | ']' | '•' | '◦' | '▪' | '·')).collect()
}

fn collect<'a>(value: &'a Value, said: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, said)),
        // A mention comes back with a name that we did not write.
        Value::Object(_) if value["tag"] == "at" => {}
        Value::Object(fields) => {
            for (key, field) in fields {
                match (key.as_str(), field) {
                    ("text" | "content" | "title", Value::String(text)) => said.push(text),
                    // The preview in the chat's list is not part of what is said.
                    ("config", _) | (_, Value::String(_)) => {}
                    (_, other) => collect(other, said),
                }
            }
        }
        _ => {}
    }
}

fn without_number(line: &str) -> &str {
    let line = line.trim();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = rest.len() < line.len();
    rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")).filter(|_| numbered).unwrap_or(line)
}

/// A link comes back as its text, with its target beside it.
fn without_targets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        out.push_str(before);
        let mut depth = 1;
        let end = after.char_indices().find(|(_, c)| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        rest = end.map_or("", |(at, _)| &after[at + 1..]);
    }
    out.push_str(rest);
    out
}

/// A list that may not be read leaves the question open for good: the caller decides what to do without an answer.
fn unreadable(error: ApiError) -> SendError {
    let refused_for_good = matches!(error.code(), Some(230002 | 230027 | 231203 | 99991672));
    let mut error = error.into_send();
    if refused_for_good {
        error.disposition = Disposition::Undeliverable;
    }
    error
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_the_same_in_another_dress_and_only_then() {
        let sent = |markdown: &str| json!({"en_us": {"content": [[{"tag": "md", "text": markdown}]]}});
        let read = |nodes: Value| json!({"title": "", "content": nodes});
        let text = |text: &str| json!({"tag": "text", "text": text, "style": []});
        for (markdown, nodes) in [
            ("**Done**\n- a\n- b", json!([[text("Done")], [text("• a")], [text("• b")]])),
            (
                "see [the log](https://e.org/a(b)) now",
                json!([[text("see "), {"tag": "a", "text": "the log", "href": "x"}, text(" now")]]),
            ),
            ("```rust\nlet a = 1;\n```", json!([[{"tag": "code_block", "language": "RUST", "text": "let a = 1;\n"}]])),
            ("2. b", json!([[text("1. b")]])),
        ] {
            assert_eq!(words(&sent(markdown)), words(&read(nodes)), "{markdown}");
        }
        let mention = json!([[{"tag": "at", "user_id": "@_user_1", "user_name": "Tom"}], [text("Done")]]);
        assert_eq!(words(&sent("Done")), words(&read(mention)));
        for other in ["Done too", "All: Done", "(1/2) Done", "done"] {
            assert_ne!(words(&sent("Done")), words(&read(json!([[text(other)]]))), "{other}");
        }
        assert_ne!(words(&sent("1.5 seconds")), words(&sent("2.5 seconds")), "a number is no list");
    }
}
