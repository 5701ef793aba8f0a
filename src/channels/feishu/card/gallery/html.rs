//! Cards as HTML, close to Feishu's look. It knows what our builders emit and nothing else: a tag, key or value that it
//! does not know is an error, as the platform refuses whole cards for a property that it does not know.

use serde_json::{Map, Value};

use super::markdown;

/// Something in a card that has no picture here, and that the platform may refuse as well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {place} has no HTML: teach it to card/gallery/html.rs, after a look at what the platform takes")]
pub struct NotDrawn {
    pub what: String,
    pub place: String,
}

pub(super) fn not_drawn(what: impl Into<String>, place: &str) -> NotDrawn {
    NotDrawn { what: what.into(), place: place.to_owned() }
}

type Drawn = Result<String, NotDrawn>;

const TEMPLATES: &[&str] = &[
    "blue",
    "wathet",
    "turquoise",
    "green",
    "yellow",
    "orange",
    "red",
    "carmine",
    "violet",
    "purple",
    "indigo",
    "grey",
];
/// Of text and of tags: names only, so that dark mode has its own shades.
const COLOURS: &[&str] = &[
    "neutral",
    "grey",
    "blue",
    "turquoise",
    "lime",
    "orange",
    "violet",
    "indigo",
    "wathet",
    "green",
    "yellow",
    "red",
    "purple",
    "carmine",
];

/// A whole card.
pub(super) fn card(card: &Value) -> Drawn {
    let card = object(card, "the card", &["schema", "config", "header", "body"])?;
    one_of(card, "schema", "the card", &["2.0"])?;
    let config = object(
        part(card, "config")?,
        "config",
        &["update_multi", "enable_forward", "enable_forward_interaction", "summary"],
    )?;
    let summary = text(part(config, "summary")?, "content", "summary")?;
    let header = card.get("header").map(header).transpose()?.unwrap_or_default();
    let body = object(part(card, "body")?, "body", &["direction", "vertical_spacing", "elements"])?;
    one_of(body, "direction", "body", &["vertical"])?;
    let elements = elements(body, "body", Place::Body)?;
    Ok(format!(
        "<p class=summary>{}</p><article class=card>{header}<div class=body>{elements}</div></article>",
        escape(summary)
    ))
}

/// A post or a text message.
pub(super) fn message(msg_type: &str, content: &Value) -> Drawn {
    let inside = match msg_type {
        "interactive" => return card(content),
        "text" => {
            let message = object(content, "text", &["text"])?;
            format!("<div class=text>{}</div>", escape(text_of(message, "text", "text")?))
        }
        "post" => post(content)?,
        other => return Err(not_drawn(format!("the type {other:?}"), "a message")),
    };
    Ok(format!("<article class=bubble>{inside}</article>"))
}

fn post(content: &Value) -> Drawn {
    let locales = object(content, "post", &["zh_cn", "en_us"])?;
    let mut out = String::new();
    for locale in locales.values() {
        let content = object(locale, "post", &["content"])?;
        for paragraph in list(part(content, "content")?, "post")? {
            out.push_str("<div class=paragraph>");
            for piece in list(paragraph, "post")? {
                out.push_str(&post_piece(piece)?);
            }
            out.push_str("</div>");
        }
    }
    Ok(out)
}

fn post_piece(piece: &Value) -> Drawn {
    match tag(piece)? {
        "text" => Ok(escape(text_of(object(piece, "text", &["tag", "text"])?, "text", "text")?)),
        "md" => markdown::html(text_of(object(piece, "md", &["tag", "text"])?, "text", "md")?),
        "at" => {
            let user = text_of(object(piece, "at", &["tag", "user_id"])?, "user_id", "at")?;
            Ok(format!("<span class=at>@{}</span>", escape(user)))
        }
        other => Err(not_drawn(format!("the tag {other:?}"), "a post")),
    }
}

fn header(header: &Value) -> Drawn {
    let header = object(header, "header", &["title", "subtitle", "template", "text_tag_list"])?;
    let template = one_of(header, "template", "header", TEMPLATES)?;
    let mut tags = String::new();
    for tag in header.get("text_tag_list").map(|tags| list(tags, "header")).transpose()?.unwrap_or_default() {
        let tag = object(tag, "text_tag", &["tag", "text", "color"])?;
        one_of(tag, "tag", "text_tag", &["text_tag"])?;
        let colour = one_of(tag, "color", "text_tag", COLOURS)?;
        tags.push_str(&format!("<span class=\"tag c-{colour}\">{}</span>", plain(part(tag, "text")?, &[])?));
    }
    let title = plain(part(header, "title")?, &[])?;
    let subtitle = match header.get("subtitle") {
        Some(text) => format!("<div class=subtitle>{}</div>", plain(text, &[])?),
        None => String::new(),
    };
    Ok(format!("<header class=\"c-{template}\"><div class=title>{title}{tags}</div>{subtitle}</header>"))
}

/// Where an element stands: containers take less than the body does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    Column,
    Panel,
    Form,
}

fn elements(parent: &Map<String, Value>, name: &str, place: Place) -> Drawn {
    let Some(found) = parent.get("elements") else { return Err(not_drawn("the lack of elements", name)) };
    list(found, name)?.iter().map(|value| element(value, place)).collect()
}

fn element(value: &Value, place: Place) -> Drawn {
    match tag(value)? {
        "div" => {
            let div = object(value, "div", &["tag", "text"])?;
            let class = text_class(part(div, "text")?)?;
            Ok(format!("<div class=\"{class}\">{}</div>", plain(part(div, "text")?, &["text_size", "text_color"])?))
        }
        "markdown" => markdown::html(text_of(object(value, "markdown", &["tag", "content"])?, "content", "markdown")?),
        "hr" => object(value, "hr", &["tag"]).map(|_| "<hr>".to_owned()),
        "button" => button(value, place),
        "column_set" if matches!(place, Place::Body | Place::Panel) => column_set(value),
        "collapsible_panel" if place == Place::Body => panel(value),
        "form" if place == Place::Body => form(value),
        "input" if place == Place::Form => input(value),
        "select_static" if place == Place::Form => select(value),
        other => Err(not_drawn(format!("the tag {other:?}"), &format!("{place:?}"))),
    }
}

fn column_set(value: &Value) -> Drawn {
    let set = object(value, "column_set", &["tag", "flex_mode", "horizontal_spacing", "columns"])?;
    let flex = one_of(set, "flex_mode", "column_set", &["flow", "none", "stretch", "bisect"])?;
    let mut columns = String::new();
    for column in list(part(set, "columns")?, "column_set")? {
        let column = object(column, "column", &["tag", "width", "weight", "elements"])?;
        one_of(column, "tag", "column_set", &["column"])?;
        let width = one_of(column, "width", "column", &["weighted", "auto"])?;
        columns
            .push_str(&format!("<div class=\"column {width}\">{}</div>", elements(column, "column", Place::Column)?));
    }
    Ok(format!("<div class=\"columns {flex}\">{columns}</div>"))
}

fn panel(value: &Value) -> Drawn {
    let panel = object(value, "collapsible_panel", &["tag", "expanded", "header", "elements"])?;
    let header = object(part(panel, "header")?, "panel header", &["title"])?;
    let open = if part(panel, "expanded")? == &Value::Bool(true) { " open" } else { "" };
    let title = plain(part(header, "title")?, &[])?;
    let inside = elements(panel, "collapsible_panel", Place::Panel)?;
    Ok(format!("<details{open}><summary>{title}</summary><div class=inside>{inside}</div></details>"))
}

fn form(value: &Value) -> Drawn {
    let form = object(value, "form", &["tag", "name", "elements"])?;
    text_of(form, "name", "form")?;
    Ok(format!("<div class=form>{}</div>", elements(form, "form", Place::Form)?))
}

fn input(value: &Value) -> Drawn {
    const KNOWN: &[&str] =
        &["tag", "name", "input_type", "rows", "max_length", "required", "label", "placeholder", "width"];
    let input = object(value, "input", KNOWN)?;
    text_of(input, "name", "input")?;
    let kind = match input.contains_key("input_type") {
        true => one_of(input, "input_type", "input", &["text", "password", "multiline_text"])?,
        false => "text",
    };
    if input.contains_key("width") {
        one_of(input, "width", "input", &["default", "fill"])?;
    }
    let label = match input.get("label") {
        Some(label) => format!("<div class=label>{}</div>", plain(label, &[])?),
        None => String::new(),
    };
    let placeholder = plain(part(input, "placeholder")?, &[])?;
    Ok(format!("<div class=field>{label}<div class=\"input {kind}\">{placeholder}</div></div>"))
}

fn select(value: &Value) -> Drawn {
    let select =
        object(value, "select_static", &["tag", "name", "placeholder", "options", "initial_option", "required"])?;
    text_of(select, "name", "select_static")?;
    let chosen = select.get("initial_option").and_then(Value::as_str);
    let mut shown = plain(part(select, "placeholder")?, &[])?;
    let mut options = String::new();
    for option in list(part(select, "options")?, "select_static")? {
        let option = object(option, "option", &["text", "value"])?;
        let text = plain(part(option, "text")?, &[])?;
        options.push_str(&format!("<li>{text}</li>"));
        if chosen == Some(text_of(option, "value", "option")?) {
            shown = format!("<b>{text}</b>");
        }
    }
    Ok(format!("<div class=field><div class=\"input select\">{shown}</div><ol class=options>{options}</ol></div>"))
}

fn button(value: &Value, place: Place) -> Drawn {
    const KNOWN: &[&str] =
        &["tag", "name", "text", "type", "width", "behaviors", "confirm", "form_action_type", "value", "disabled"];
    const KINDS: &[&str] = &["default", "primary", "danger", "primary_filled", "danger_filled", "text"];
    let button = object(value, "button", KNOWN)?;
    text_of(button, "name", "button")?;
    let kind = one_of(button, "type", "button", KINDS)?;
    let width =
        if button.contains_key("width") { one_of(button, "width", "button", &["default", "fill"])? } else { "default" };
    let acts = button.contains_key("behaviors") || (place == Place::Form && button.contains_key("value"));
    if !acts {
        return Err(not_drawn("a press that does nothing", "button"));
    }
    let label = plain(part(button, "text")?, &[])?;
    let confirm = match button.get("confirm") {
        Some(confirm) => {
            let confirm = object(confirm, "confirm", &["title", "text"])?;
            let (title, text) = (plain(part(confirm, "title")?, &[])?, plain(part(confirm, "text")?, &[])?);
            format!("<span class=confirm>↳ {title} {text}</span>")
        }
        None => String::new(),
    };
    Ok(format!("<span class=\"press {width}\"><span class=\"button {kind}\">{label}</span>{confirm}</span>"))
}

// ------------------------------------------------------------------------------------------------ pieces

/// Text of which nothing is parsed. `styles` are the keys that it may carry here.
fn plain(value: &Value, styles: &[&str]) -> Drawn {
    let known: Vec<&str> = ["tag", "content"].iter().chain(styles).copied().collect();
    let text = object(value, "text", &known)?;
    one_of(text, "tag", "text", &["plain_text"])?;
    Ok(escape(text_of(text, "content", "plain_text")?))
}

fn text_class(value: &Value) -> Drawn {
    let Some(text) = value.as_object() else { return Err(not_drawn("no object", "div")) };
    let mut class = "text".to_owned();
    if text.contains_key("text_size") {
        class.push_str(&format!(" s-{}", one_of(text, "text_size", "text", &["normal", "notation", "heading"])?));
    }
    if text.contains_key("text_color") {
        class.push_str(&format!(" c-{}", one_of(text, "text_color", "text", COLOURS)?));
    }
    Ok(class)
}

fn tag(value: &Value) -> Result<&str, NotDrawn> {
    value["tag"].as_str().ok_or_else(|| not_drawn("an element without a tag", "a card"))
}

fn object<'a>(value: &'a Value, place: &str, known: &[&str]) -> Result<&'a Map<String, Value>, NotDrawn> {
    let Some(map) = value.as_object() else { return Err(not_drawn("the lack", place)) };
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(not_drawn(format!("the key {key:?}"), place)),
        None => Ok(map),
    }
}

fn part<'a>(map: &'a Map<String, Value>, key: &str) -> Result<&'a Value, NotDrawn> {
    map.get(key).ok_or_else(|| not_drawn(format!("the lack of {key:?}"), "a card"))
}

fn list<'a>(value: &'a Value, place: &str) -> Result<&'a [Value], NotDrawn> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| not_drawn("the lack of a list", place))
}

fn text<'a>(value: &'a Value, key: &str, place: &str) -> Result<&'a str, NotDrawn> {
    text_of(object(value, place, &[key])?, key, place)
}

fn text_of<'a>(map: &'a Map<String, Value>, key: &str, place: &str) -> Result<&'a str, NotDrawn> {
    map.get(key).and_then(Value::as_str).ok_or_else(|| not_drawn(format!("the lack of {key:?}"), place))
}

fn one_of<'a>(map: &'a Map<String, Value>, key: &str, place: &str, known: &[&str]) -> Result<&'a str, NotDrawn> {
    let found = text_of(map, key, place)?;
    match known.contains(&found) {
        true => Ok(found),
        false => Err(not_drawn(format!("the {key} {found:?}"), place)),
    }
}

/// Text for HTML, also within quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(elements: Value) -> Value {
        json!({
            "schema": "2.0",
            "config": {"summary": {"content": "s"}},
            "body": {"direction": "vertical", "elements": elements},
        })
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for (elements, what) in [
            (json!([{"tag": "marquee"}]), "the tag \"marquee\""),
            (json!([{"tag": "hr", "size": 3}]), "the key \"size\""),
            (json!([{"tag": "div", "text": {"tag": "lark_md", "content": ""}}]), "the tag \"lark_md\""),
            (
                json!([{"tag": "div", "text": {"tag": "plain_text", "content": "", "text_color": "#f00"}}]),
                "the text_color \"#f00\"",
            ),
            (json!([{"tag": "input", "name": "t"}]), "the tag \"input\""),
            (json!([{"tag": "markdown", "content": "<font color='red'>x</font>"}]), "the tag \"<font color='red'>\""),
            (
                json!([{"tag": "collapsible_panel", "expanded": false, "header": {"title": {"tag": "plain_text", "content": ""}},
                        "elements": [{"tag": "form", "name": "f", "elements": []}]}]),
                "the tag \"form\"",
            ),
            (
                json!([{"tag": "button", "name": "b", "type": "default", "text": {"tag": "plain_text", "content": ""}}]),
                "a press that does nothing",
            ),
        ] {
            assert_eq!(card(&with(elements.clone())).map_err(|error| error.what), Err(what.to_owned()), "{elements}");
        }
        assert_eq!(
            message("audio", &json!({})).map_err(|error| error.to_string()),
            Err("the type \"audio\" of a message has no HTML: teach it to card/gallery/html.rs, after a look at what the platform takes".to_owned())
        );
    }

    #[test]
    fn text_stays_text() {
        let text = json!({"tag": "plain_text", "content": "<script>'\"&</script>"});
        let html = card(&with(json!([{"tag": "div", "text": text}]))).unwrap();
        assert!(html.contains("&lt;script&gt;&#39;&quot;&amp;&lt;/script&gt;") && !html.contains("<script"), "{html}");
        let code = json!([{"tag": "markdown", "content": "```html\n<b>x</b>\n```"}]);
        assert!(card(&with(code)).unwrap().contains("&lt;b&gt;x&lt;/b&gt;"));
    }
}
