//! What a message says: `content` by `message_type` into parts. Pure.
//!
//! Source: `im-v1/message/message-content-description`. Received posts have no language wrapper and never `md` nodes; sent
//! ones that are read back may have both, so both are understood.

use serde_json::Value;

use crate::domain::message::{FileKind, Part};

/// Somebody who is mentioned in a text by a key such as `@_user_1`.
pub struct Named {
    pub key: String,
    pub name: String,
    /// The bot itself: its mention is how one speaks to it, not part of what is said.
    pub is_bot: bool,
}

/// Reads a message's content. What cannot be read becomes [`Part::Unreadable`], never an error: the person who sent it
/// must be told.
pub fn parts(kind: &str, content: &str, named: &[Named]) -> Vec<Part> {
    let unreadable = || vec![Part::Unreadable { what: kind.to_owned() }];
    if kind == "merge_forward" {
        return vec![Part::Forward];
    }
    let Ok(content) = serde_json::from_str::<Value>(content) else { return unreadable() };
    let parts = match kind {
        "text" => vec![Part::Text { text: with_names(text_of(&content, "text"), named) }],
        "post" => rich(post_body(&content), "content", named),
        "interactive" => rich(&content, "elements", named),
        "image" => image(&content).into_iter().collect(),
        "file" => file(&content, FileKind::File, "file").into_iter().collect(),
        "audio" => file(&content, FileKind::Audio, "voice.opus").into_iter().collect(),
        "media" => file(&content, FileKind::Video, "video.mp4").into_iter().collect(),
        _ => Vec::new(),
    };
    if parts.is_empty() { unreadable() } else { parts }
}

/// All that is text, in one string. For comparing and quoting.
pub fn plain(kind: &str, content: &str, named: &[Named]) -> String {
    let texts: Vec<String> = parts(kind, content, named)
        .into_iter()
        .map(|part| match part {
            Part::Text { text } => text,
            Part::Image { .. } => "[image]".to_owned(),
            Part::File { name, .. } => format!("[file {name}]"),
            Part::Forward => "[forwarded messages]".to_owned(),
            Part::Unreadable { what } => format!("[{what}]"),
        })
        .collect();
    texts.join("\n").trim().to_owned()
}

fn text_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn image(value: &Value) -> Option<Part> {
    value["image_key"].as_str().map(|key| Part::Image { key: key.into() })
}

fn file(value: &Value, kind: FileKind, fallback: &str) -> Option<Part> {
    let name = value["file_name"].as_str().filter(|name| !name.is_empty()).unwrap_or(fallback);
    value["file_key"].as_str().map(|key| Part::File { key: key.into(), name: name.to_owned(), kind })
}

/// A post without its language wrapper, if it has one.
fn post_body(content: &Value) -> &Value {
    if content["content"].is_array() {
        return content;
    }
    content.as_object().and_then(|all| all.values().find(|body| body["content"].is_array())).unwrap_or(content)
}

/// Paragraphs of nodes (a post's `content`, a card's `elements`): text runs between pictures and files.
fn rich(body: &Value, field: &str, named: &[Named]) -> Vec<Part> {
    let mut out = Vec::new();
    let mut text = text_of(body, "title").to_owned();
    for paragraph in body[field].as_array().into_iter().flatten() {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let nodes = paragraph.as_array().map_or(std::slice::from_ref(paragraph), Vec::as_slice);
        for node in nodes {
            match (node["tag"].as_str(), resource(node)) {
                (_, Some(part)) => {
                    flush(&mut out, &mut text);
                    out.push(part);
                }
                (tag, None) => text.push_str(&run(tag.unwrap_or_default(), node, named)),
            }
        }
    }
    flush(&mut out, &mut text);
    out
}

fn resource(node: &Value) -> Option<Part> {
    match node["tag"].as_str()? {
        "img" => image(node),
        "media" => file(node, FileKind::Video, "video.mp4"),
        _ => None,
    }
}

fn flush(out: &mut Vec<Part>, text: &mut String) {
    let run = std::mem::take(text);
    if !run.trim().is_empty() {
        out.push(Part::Text { text: run.trim().to_owned() });
    }
}

fn run(tag: &str, node: &Value, named: &[Named]) -> String {
    let text = text_of(node, "text");
    match tag {
        "a" => match node["href"].as_str() {
            Some(href) if href != text => format!("[{text}]({href})"),
            _ => text.to_owned(),
        },
        "at" => at(node, named),
        "hr" => "---".to_owned(),
        "emotion" => format!("[{}]", text_of(node, "emoji_type")),
        "code_block" => {
            let language = text_of(node, "language").to_lowercase();
            format!("```{language}\n{}\n```", text.trim_end_matches('\n'))
        }
        "markdown" => text_of(node, "content").to_owned(),
        "div" | "note" => text_of(&node["text"], "content").to_owned(),
        // A button's text is not said by anybody.
        "button" => String::new(),
        _ => with_names(text, named),
    }
}

fn at(node: &Value, named: &[Named]) -> String {
    let id = text_of(node, "user_id");
    if id == "@_all" || id == "all" {
        return "@all".to_owned();
    }
    match named.iter().find(|one| one.key == id) {
        Some(one) if one.is_bot => String::new(),
        Some(one) => format!("@{}", one.name),
        None => format!("@{}", text_of(node, "user_name")),
    }
}

/// Puts names for the keys in a text, in one pass (a name may look like a key), and drops the bot's own mention with the
/// space that it leaves behind.
fn with_names(text: &str, named: &[Named]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("@_") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = key_length(rest);
        let (key, after) = rest.split_at(length);
        rest = after;
        match named.iter().find(|one| one.key == key) {
            Some(one) if one.is_bot => {
                if out.is_empty() || out.ends_with(char::is_whitespace) {
                    rest = rest.strip_prefix([' ', '\u{a0}']).unwrap_or(rest);
                }
            }
            Some(one) => {
                out.push('@');
                out.push_str(&one.name);
            }
            None if key == "@_all" => out.push_str("@all"),
            None => out.push_str(key),
        }
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// How much of a text that begins with `@_` is a key: `@_user_` with digits, or `@_all`.
fn key_length(text: &str) -> usize {
    if let Some(rest) = text.strip_prefix("@_user_") {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        return "@_user_".len() + digits;
    }
    if text.starts_with("@_all") { "@_all".len() } else { "@_".len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> Vec<Named> {
        let named = |key: &str, name: &str, is_bot| Named { key: key.to_owned(), name: name.to_owned(), is_bot };
        vec![named("@_user_1", "ally", true), named("@_user_2", "Tom @_user_1", false), named("@_user_10", "Li", false)]
    }

    #[track_caller]
    fn check(kind: &str, content: &str, want: &[Part]) {
        assert_eq!(parts(kind, content, &people()), want, "{kind} {content}");
    }

    fn text(text: &str) -> Part {
        Part::Text { text: text.to_owned() }
    }

    #[test]
    fn mentions_in_texts() {
        for (content, want) in [
            (r#"{"text":"@_user_1 hello"}"#, "hello"),
            (r#"{"text":"hi @_user_1 there"}"#, "hi there"),
            (r#"{"text":"ask @_user_2 and @_user_10, @_user_1"}"#, "ask @Tom @_user_1 and @Li,"),
            (r#"{"text":"@_all look"}"#, "@all look"),
            (r#"{"text":"mail@_x and @_user_9"}"#, "mail@_x and @_user_9"),
            (r#"{"text":"@_user_1"}"#, ""),
        ] {
            check("text", content, &[text(want)]);
        }
    }

    #[test]
    fn a_post_keeps_the_order_of_words_and_pictures() {
        let post = r#"{"title":"t","content":[[{"tag":"text","text":"a","style":["bold"]},{"tag":"a","href":"u","text":"l"},
            {"tag":"at","user_id":"@_user_2","user_name":""}],[{"tag":"img","image_key":"img_1","width":8}],
            [{"tag":"media","file_key":"file_1","image_key":"img_2"}],[{"tag":"emotion","emoji_type":"SMILE"}],
            [{"tag":"code_block","language":"GO","text":"x := 1\n"}]]}"#;
        let video = Part::File { key: "file_1".into(), name: "video.mp4".to_owned(), kind: FileKind::Video };
        check(
            "post",
            post,
            &[
                text("t\na[l](u)@Tom @_user_1"),
                Part::Image { key: "img_1".into() },
                video,
                text("[SMILE]\n```go\nx := 1\n```"),
            ],
        );
        check("post", r#"{"zh_cn":{"content":[[{"tag":"md","text":"**x**"}]]}}"#, &[text("**x**")]);
    }

    #[test]
    fn files_and_what_cannot_be_read() {
        check("image", r#"{"image_key":"img_1"}"#, &[Part::Image { key: "img_1".into() }]);
        let file = Part::File { key: "f".into(), name: "a.txt".to_owned(), kind: FileKind::File };
        check("file", r#"{"file_key":"f","file_name":"a.txt"}"#, &[file]);
        let voice = Part::File { key: "f".into(), name: "voice.opus".to_owned(), kind: FileKind::Audio };
        check("audio", r#"{"file_key":"f","duration":2000}"#, &[voice]);
        check("merge_forward", r#"{"content":"Merged and Forwarded Message"}"#, &[Part::Forward]);
        for kind in ["sticker", "location", "share_chat", "brand_new"] {
            check(kind, "{}", &[Part::Unreadable { what: kind.to_owned() }]);
        }
        check("text", "not json", &[Part::Unreadable { what: "text".to_owned() }]);
        check("image", "{}", &[Part::Unreadable { what: "image".to_owned() }]);
    }

    #[test]
    fn a_card_is_read_without_its_buttons() {
        let card = r#"{"title":"T","elements":[[{"tag":"button","text":"Go","type":"primary"}],[{"tag":"text","text":"body"}]]}"#;
        check("interactive", card, &[text("T\nbody")]);
    }
}
