//! Every card in every state, as pages to look at (`ally cards --html DIR`) and for the tests to walk.
//!
//! The pages need no network and no script. They are close to Feishu's look, not the same: what they are good for is
//! words, order, length, wrapping and contrast.

mod html;
mod markdown;
mod samples;

use std::fmt::Write;

use serde_json::Value;

use super::elements::wire_bytes;
use super::{Pen, Rendered, answer, draw};
use crate::domain::view::{Lang, Toast, ToastKind};
use crate::words::Zone;
use html::escape;
use samples::{Sample, Shown};

pub use html::NotDrawn;

/// A file of the gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub file: String,
    pub html: String,
}

/// What every page carries, so that it is known again as ours.
pub const MARK: &str = "<meta name=generator content=\"ally cards\">";

const STYLE: &str = include_str!("gallery/page.css");

/// A way to look at a page.
struct Look {
    file: &'static str,
    theme: &'static str,
    width: u32,
    label: &'static str,
}

const LOOKS: [Look; 4] = [
    Look { file: "light", theme: "light", width: 420, label: "浅色 light" },
    Look { file: "dark", theme: "dark", width: 420, label: "深色 dark" },
    Look { file: "light-320", theme: "light", width: 320, label: "浅色 light · 320 pt" },
    Look { file: "dark-320", theme: "dark", width: 320, label: "深色 dark · 320 pt" },
];

/// The index first, then each kind of card in light and dark, wide and narrow; on each page both languages side by side.
pub fn pages() -> Result<Vec<Page>, NotDrawn> {
    let (zh, en) = (samples::all(Lang::Zh), samples::all(Lang::En));
    let mut kinds: Vec<(&str, Vec<(String, String)>)> = Vec::new();
    for (zh, en) in zh.iter().zip(&en) {
        let pair = format!(
            "<div class=pair><figure lang=zh-CN>{}</figure><figure lang=en>{}</figure></div>",
            figure(zh, Lang::Zh)?,
            figure(en, Lang::En)?
        );
        match kinds.last_mut().filter(|(kind, _)| *kind == zh.kind) {
            Some((_, states)) => states.push((zh.state.clone(), pair)),
            None => kinds.push((zh.kind, vec![(zh.state.clone(), pair)])),
        }
    }
    let mut pages = vec![index(&kinds)];
    for (kind, states) in &kinds {
        pages.extend(LOOKS.iter().map(|look| page(kind, states, look)));
    }
    Ok(pages)
}

/// What is sent for a sample.
enum Wire {
    Card(Value),
    Message(Rendered),
    Toast(Toast),
}

fn wire(sample: &Sample, lang: Lang) -> Wire {
    match &sample.shown {
        Shown::View(view) => Wire::Card(draw(view, Pen { lang, zone: |_| Zone(480) })),
        Shown::Message(body, form) => match answer(body, *form, lang) {
            Some(rendered) => Wire::Message(rendered),
            None => Wire::Message(Rendered { msg_type: "none", content: Value::Null }),
        },
        Shown::Toast(toast) => Wire::Toast(toast.clone()),
    }
}

fn figure(sample: &Sample, lang: Lang) -> Result<String, NotDrawn> {
    Ok(match wire(sample, lang) {
        Wire::Card(card) => format!("{}{}", html::card(&card)?, size(&card)),
        Wire::Message(Rendered { msg_type, content }) => {
            format!("{}{}", html::message(msg_type, &content)?, size(&content))
        }
        Wire::Toast(toast) => {
            let (kind, sign) = match toast.kind {
                ToastKind::Info => ("info", "i"),
                ToastKind::Success => ("success", "✓"),
                ToastKind::Warning => ("warning", "!"),
                ToastKind::Error => ("error", "✕"),
            };
            let text = if lang == Lang::Zh { &toast.zh } else { &toast.en };
            format!("<div class=\"toast {kind}\"><b>{sign}</b> {}</div>", escape(text))
        }
    })
}

fn size(content: &Value) -> String {
    format!("<p class=size>{} B · {} ◻</p>", wire_bytes(content), elements(content))
}

/// Elements as the platform counts them: everything with a tag.
fn elements(value: &Value) -> usize {
    match value {
        Value::Object(map) => usize::from(map.contains_key("tag")) + map.values().map(elements).sum::<usize>(),
        Value::Array(list) => list.iter().map(elements).sum(),
        _ => 0,
    }
}

fn page(kind: &str, states: &[(String, String)], look: &Look) -> Page {
    let mut body = String::from("<nav><a href=index.html>↑</a>");
    for other in &LOOKS {
        let _ = write!(body, " <a href=\"{kind}.{}.html\">{}</a>", other.file, other.label);
    }
    body.push_str("</nav>");
    for (state, pair) in states {
        let _ = write!(body, "<section id=\"{0}\"><h2>{0}</h2>{pair}</section>", escape(state));
    }
    Page { file: format!("{kind}.{}.html", look.file), html: document(kind, look, &body) }
}

fn index(kinds: &[(&str, Vec<(String, String)>)]) -> Page {
    let mut body = String::from("<ul class=index>");
    for (kind, states) in kinds {
        let _ = write!(body, "<li><b>{kind}</b>");
        for look in &LOOKS {
            let _ = write!(body, " · <a href=\"{kind}.{}.html\">{}</a>", look.file, look.label);
        }
        body.push_str("<br>");
        for (state, _) in states {
            let _ = write!(body, " <a class=state href=\"{kind}.light.html#{0}\">{0}</a>", escape(state));
        }
        body.push_str("</li>");
    }
    body.push_str("</ul>");
    Page { file: "index.html".to_owned(), html: document("ally cards", &LOOKS[0], &body) }
}

fn document(title: &str, look: &Look, body: &str) -> String {
    let Look { theme, width, .. } = look;
    format!(
        "<!doctype html><html data-theme={theme} data-width={width}><head><meta charset=utf-8>{MARK}\
         <meta name=viewport content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><h1>{title}</h1>{body}</body></html>\n"
    )
}

#[cfg(test)]
mod tests;
