//! (placeholder until the drawing of views is merged; the signatures are final)

use serde_json::{Value, json};

use crate::domain::delivery::Body;
use crate::domain::view::{Lang, View};

/// A message as the platform takes it: `content` becomes JSON in a string.
pub struct Rendered {
    pub msg_type: &'static str,
    pub content: Value,
}

pub fn card(view: &View, lang: Lang) -> Value {
    let mut elements =
        vec![json!({"tag": "div", "text": {"tag": "plain_text", "content": format!("{} {view:?}", lang.as_str())}})];
    if let View::Notice(notice) = view {
        elements[0] = json!({"tag": "div", "text": {"tag": "plain_text", "content": notice.text}});
        elements.extend(notice.buttons.iter().map(|button| {
            json!({"tag": "button", "text": {"tag": "plain_text", "content": format!("{:?}", button.role)},
                   "behaviors": [{"type": "callback", "value": {"b": button.id}}]})
        }));
    }
    json!({"schema": "2.0", "config": {"update_multi": true, "summary": {"content": "ally"}}, "body": {"elements": elements}})
}

/// `None`: no such form left.
pub fn answer(body: &Body, form: u32, _lang: Lang) -> Option<Rendered> {
    let text = match body {
        Body::Answer { markdown, .. } => markdown,
        Body::Notice { text } => text,
        _ => return None,
    };
    match form {
        0 => {
            Some(Rendered { msg_type: "post", content: json!({"zh_cn": {"content": [[{"tag": "md", "text": text}]]}}) })
        }
        1 => Some(Rendered { msg_type: "text", content: json!({"text": text}) }),
        _ => None,
    }
}
