//! The few building blocks that all cards are made of, and the limits that all of them keep.

use serde_json::{Value, json};

use super::{Pen, safe};
use crate::domain::ids::UserId;
use crate::domain::view::{Button, ButtonRole};
use crate::words::{CardMsg, button};

/// Bytes of a card as it lies in a request (a JSON string in JSON), below the platform's 30 KB.
pub(super) const MAX_BYTES: usize = 28_000;

/// A card under construction.
pub(super) struct Card {
    summary: String,
    forward: bool,
    header: Option<Value>,
    elements: Vec<Value>,
    names: usize,
}

impl Card {
    /// `summary` is what chat lists and lock screens show: never a command, a path or an answer to a question.
    pub fn new(summary: &str, forward: bool) -> Self {
        let summary = clip(&safe::visible(summary), 60);
        Self { summary, forward, header: None, elements: Vec::new(), names: 0 }
    }

    pub fn header(&mut self, title: &str, subtitle: Option<&str>, template: &str, tag: Option<(&str, &str)>) {
        let mut header = json!({"title": plain(&clip(title, 60)), "template": template});
        if let Some(subtitle) = subtitle {
            header["subtitle"] = plain(&clip(subtitle, 120));
        }
        if let Some((tag, colour)) = tag {
            header["text_tag_list"] = json!([{"tag": "text_tag", "text": plain(tag), "color": colour}]);
        }
        self.header = Some(header);
    }

    pub fn line(&mut self, text: &str) {
        self.elements.push(div(text));
    }

    /// A small grey line.
    pub fn grey(&mut self, text: &str) {
        self.elements.push(grey(text));
    }

    pub fn coloured(&mut self, text: &str, colour: &str) {
        let mut text = plain(text);
        text["text_color"] = json!(colour);
        self.elements.push(json!({"tag": "div", "text": text}));
    }

    pub fn code(&mut self, language: &str, code: &str) {
        self.elements.push(code_block(language, code));
    }

    /// Closed by default. No forms in it.
    pub fn folded(&mut self, title: &str, content: Vec<Value>) {
        self.elements.push(json!({
            "tag": "collapsible_panel", "expanded": false, "header": {"title": plain(title)}, "elements": content,
        }));
    }

    /// The only Markdown in our own cards: ids are checked, nothing foreign is in it.
    pub fn mention(&mut self, users: &[UserId]) {
        if let Some(text) = mentions(users) {
            self.elements.push(json!({"tag": "markdown", "content": text}));
        }
    }

    pub fn raw(&mut self, element: Value) {
        self.elements.push(element);
    }

    pub fn rule(&mut self) {
        self.elements.push(json!({"tag": "hr"}));
    }

    /// A name that no other element of the card has.
    pub fn name(&mut self) -> String {
        self.names += 1;
        format!("e{}", self.names)
    }

    /// Rows of two.
    pub fn buttons(&mut self, buttons: &[Button], pen: Pen) {
        let drawn = buttons.iter().map(|b| self.button(b, button(&b.role, pen.lang), None)).collect();
        self.rows(drawn);
    }

    pub fn rows(&mut self, buttons: Vec<Value>) {
        for pair in buttons.chunks(2) {
            self.elements.push(row(pair.iter().map(|b| vec![b.clone()]).collect()));
        }
    }

    /// `confirm` asks once more, in red.
    pub fn button(&mut self, b: &Button, label: &str, confirm: Option<(String, String)>) -> Value {
        let kind = match (&b.role, &confirm) {
            (_, Some(_)) => "danger",
            (ButtonRole::Allow | ButtonRole::Continue | ButtonRole::DoIt | ButtonRole::Submit, None) => "primary",
            _ => "default",
        };
        let mut drawn = json!({
            "tag": "button", "name": self.name(), "text": plain(&clip(label, 60)), "type": kind, "width": "fill",
            "behaviors": [{"type": "callback", "value": {"b": b.id.as_str()}}],
        });
        if let Some((title, text)) = confirm {
            drawn["confirm"] = json!({"title": plain(&title), "text": plain(&text)});
        }
        drawn
    }

    /// The same without a warning colour: what it asks is only whether it is meant.
    pub fn calm_button(&mut self, b: &Button, label: &str, confirm: Option<(String, String)>) -> Value {
        let mut drawn = self.button(b, label, confirm);
        drawn["type"] = json!("default");
        drawn
    }

    /// Sends the form that it stands in.
    pub fn submit(&mut self, b: &Button, label: &str, kind: &str) -> Value {
        json!({
            "tag": "button", "name": self.name(), "text": plain(&clip(label, 60)), "type": kind,
            "form_action_type": "submit", "value": {"b": b.id.as_str()},
        })
    }

    /// The finished card, within the platform's size: what is too long is cut, and says so.
    pub fn finish(self, pen: Pen) -> Value {
        let mut card = json!({
            "schema": "2.0",
            "config": {
                "update_multi": true,
                "enable_forward": self.forward,
                "enable_forward_interaction": false,
                "summary": {"content": self.summary},
            },
            "body": {"direction": "vertical", "vertical_spacing": "8px", "elements": self.elements},
        });
        if let Some(header) = self.header {
            card["header"] = header;
        }
        fit(&mut card, &pen.say(CardMsg::CutShort));
        card
    }
}

pub(super) fn plain(text: &str) -> Value {
    json!({"tag": "plain_text", "content": safe::visible(text)})
}

pub(super) fn div(text: &str) -> Value {
    json!({"tag": "div", "text": plain(text)})
}

pub(super) fn grey(text: &str) -> Value {
    let mut text = plain(text);
    text["text_size"] = json!("notation");
    text["text_color"] = json!("grey");
    json!({"tag": "div", "text": text})
}

pub(super) fn code_block(language: &str, code: &str) -> Value {
    json!({"tag": "markdown", "content": safe::fenced(language, &safe::visible(code))})
}

/// Columns of equal weight that wrap on a narrow screen.
pub(super) fn row(columns: Vec<Vec<Value>>) -> Value {
    let columns: Vec<Value> = columns
        .into_iter()
        .map(|elements| json!({"tag": "column", "width": "weighted", "weight": 1, "elements": elements}))
        .collect();
    json!({"tag": "column_set", "flex_mode": "flow", "horizontal_spacing": "8px", "columns": columns})
}

/// Mention tags for ids that look like ids; an invalid one would cost the whole card.
pub(super) fn mentions(users: &[UserId]) -> Option<String> {
    let tags: Vec<String> = users.iter().filter(|user| is_id(user)).map(|u| format!("<at id={u}></at>")).collect();
    (!tags.is_empty()).then(|| tags.join(" "))
}

pub(super) fn is_id(user: &UserId) -> bool {
    let id = user.as_str();
    !id.is_empty() && id != "all" && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// At most `max` characters, with an ellipsis when something was cut.
pub(super) fn clip(text: &str, max: usize) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    let mut out = String::new();
    for grapheme in text.graphemes(true) {
        if out.chars().count() + grapheme.chars().count() > max.saturating_sub(1) && text.chars().count() > max {
            out.push('…');
            return out;
        }
        out.push_str(grapheme);
    }
    out
}

/// Bytes of the card inside a request body.
pub(super) fn wire_bytes(card: &Value) -> usize {
    serde_json::to_string(&card.to_string()).map_or(usize::MAX, |text| text.len())
}

/// Halves the longest text until the card fits. The callers' own limits keep the number of texts small, so that it does.
fn fit(card: &mut Value, note: &str) {
    while wire_bytes(card) > MAX_BYTES {
        let Some(longest) = longest_content(&mut card["body"]).filter(|longest| longest.len() > LEAST_BYTES) else {
            return;
        };
        *longest = halve(longest, note);
    }
}

/// Shorter texts are left alone: names of buttons and the like.
const LEAST_BYTES: usize = 64;

fn halve(text: &str, note: &str) -> String {
    // A short piece has no room for words.
    let note = if text.len() < 200 { "…" } else { note };
    let ticks = text.chars().take_while(|c| *c == '`').count();
    let kept: String = text.chars().take(text.chars().count() / 2).collect();
    if ticks < 3 {
        return format!("{}{note}", kept.trim_end_matches(note));
    }
    let inside = kept.trim_end_matches('`').trim_end_matches(note).trim_end();
    format!("{inside}\n{note}\n{}", "`".repeat(ticks))
}

fn longest_content(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::Object(map) => map
            .iter_mut()
            .filter_map(|(key, value)| match value {
                Value::String(text) => (key == "content").then_some(text),
                other => longest_content(other),
            })
            .max_by_key(|text| text.len()),
        Value::Array(list) => list.iter_mut().filter_map(longest_content).max_by_key(|text| text.len()),
        _ => None,
    }
}
