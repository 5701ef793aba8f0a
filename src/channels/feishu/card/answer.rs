//! C2: answers and notices as messages, in a ladder of forms. A form that is refused for its content gives way to a
//! simpler one; the last is plain text, so that an answer is never dropped.

use serde_json::{Value, json};

use super::elements::{self, Card, is_id, mentions};
use super::safe::{self, Dialect, Shape};
use super::{Pen, machine_zone};
use crate::domain::delivery::Body;
use crate::domain::ids::UserId;
use crate::domain::view::Lang;
use crate::words::{CardMsg, NoticeMsg};

/// A message as the platform takes it. `content` is still to be written as a JSON string.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    pub msg_type: &'static str,
    pub content: Value,
}

/// Tables that a card shows as tables.
const CARD_TABLES: usize = 3;
/// What chat lists show of an answer.
const SUMMARY_CHARS: usize = 60;
/// From here on a post is harder to read than a card.
const POST_CHARS: usize = 1_500;

/// The body in one of its forms; `None` when there is no such form, and for files and pictures.
pub fn answer(body: &Body, form: u32, lang: Lang) -> Option<Rendered> {
    match body {
        Body::Answer { markdown, part, parts, footer, mention } => {
            let tail = tail((*part, *parts), footer.as_deref(), lang);
            match form {
                0 => Some(richest(markdown, &tail, mention.as_ref(), lang)),
                1 => Some(post(&safe::markdown(markdown, PLAINER), &tail, None, lang)),
                2 => Some(text(&join(markdown, &tail))),
                _ => None,
            }
        }
        Body::Notice { text: notice } => match form {
            0 => Some(notice_post(notice, lang)),
            1 => Some(text(notice)),
            _ => None,
        },
        Body::File { .. } | Body::Image { .. } => None,
    }
}

const PLAINER: Dialect = Dialect { tables: 0, headings: false };

/// ally's own lines under the agent's text.
fn tail((part, parts): (u32, u32), footer: Option<&str>, lang: Lang) -> Vec<String> {
    let part = (parts > 1).then(|| NoticeMsg::Part { n: part, of: parts }.text(lang));
    footer.map(|footer| footer.replace('`', "")).into_iter().chain(part).collect()
}

fn richest(markdown: &str, tail: &[String], mention: Option<&UserId>, lang: Lang) -> Rendered {
    let Shape { tables, headings } = safe::shape(markdown);
    if tables == 0 && headings == 0 && markdown.chars().count() <= POST_CHARS {
        return post(&safe::markdown(markdown, PLAINER), tail, mention, lang);
    }
    let content = safe::markdown(markdown, Dialect { tables: CARD_TABLES, headings: true });
    let mut card = Card::new(&summary(markdown, lang), true);
    if let Some(text) = mention.and_then(|user| mentions(std::slice::from_ref(user))) {
        card.raw(json!({"tag": "markdown", "content": text}));
    }
    card.raw(json!({"tag": "markdown", "content": content}));
    tail.iter().for_each(|line| card.grey(line));
    Rendered { msg_type: "interactive", content: card.finish(Pen { lang, zone: machine_zone }) }
}

/// The first words, without markup. Chat lists and lock screens show it: code stays out of it, and so do tables, unless
/// there is nothing else.
fn summary(markdown: &str, lang: Lang) -> String {
    let (words, code, cells) = safe::words(markdown, SUMMARY_CHARS);
    let first = match (words.is_empty(), cells.is_empty()) {
        (false, _) => words,
        (true, false) => cells,
        (true, true) if code => CardMsg::AnswerOfCode.text(lang),
        (true, true) => CardMsg::AnswerSummary.text(lang),
    };
    elements::clip(&first, SUMMARY_CHARS)
}

fn post(markdown: &str, tail: &[String], mention: Option<&UserId>, lang: Lang) -> Rendered {
    let mut paragraphs = Vec::new();
    if let Some(user) = mention.filter(|user| is_id(user)) {
        paragraphs.push(json!([{"tag": "at", "user_id": user.as_str()}]));
    }
    paragraphs.push(json!([{"tag": "md", "text": markdown}]));
    paragraphs.extend(tail.iter().map(|line| json!([{"tag": "text", "text": safe::visible(line)}])));
    localised(paragraphs, lang)
}

fn notice_post(notice: &str, lang: Lang) -> Rendered {
    let lines = safe::visible(&notice.replace('`', ""));
    localised(lines.lines().map(|line| json!([{"tag": "text", "text": line}])).collect(), lang)
}

fn localised(paragraphs: Vec<Value>, lang: Lang) -> Rendered {
    let locale = match lang {
        Lang::Zh => "zh_cn",
        Lang::En => "en_us",
    };
    Rendered { msg_type: "post", content: json!({locale: {"content": paragraphs}}) }
}

fn text(text: &str) -> Rendered {
    Rendered { msg_type: "text", content: json!({"text": safe::visible(text)}) }
}

fn join(markdown: &str, tail: &[String]) -> String {
    std::iter::once(markdown.trim_end()).chain(tail.iter().map(String::as_str)).collect::<Vec<_>>().join("\n\n")
}
