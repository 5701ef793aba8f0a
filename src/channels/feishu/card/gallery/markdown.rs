//! The platform's Markdown as HTML, for what stands in our cards and answers.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::super::safe;
use super::html::{NotDrawn, escape, not_drawn};

pub(super) fn html(markdown: &str) -> Result<String, NotDrawn> {
    let mut out = String::from("<div class=md>");
    let mut in_head = false;
    for event in Parser::new_ext(markdown, safe::options()) {
        match event {
            Event::Start(tag) => {
                in_head = in_head || matches!(tag, Tag::TableHead);
                out.push_str(&open(&tag, in_head)?);
            }
            Event::End(tag) => {
                out.push_str(close(tag, in_head));
                in_head = in_head && !matches!(tag, TagEnd::TableHead);
            }
            Event::Text(text) => out.push_str(&escape(&text)),
            Event::Code(code) => out.push_str(&format!("<code>{}</code>", escape(&code))),
            Event::SoftBreak => out.push('\n'),
            Event::HardBreak => out.push_str("<br>"),
            Event::Rule => out.push_str("<hr>"),
            Event::Html(tag) | Event::InlineHtml(tag) => out.push_str(&live_tag(tag.trim())?),
            other => return Err(not_drawn(format!("{other:?}"), "Markdown")),
        }
    }
    out.push_str("</div>");
    Ok(out)
}

/// The one tag that we write.
fn live_tag(tag: &str) -> Result<String, NotDrawn> {
    // A mention alone in its block comes as one piece of HTML, several as one line.
    let mut out = String::new();
    for piece in tag.split("</at>").map(str::trim).filter(|piece| !piece.is_empty()) {
        let user = piece.strip_prefix("<at id=").and_then(|rest| rest.strip_suffix('>'));
        let user = user.ok_or_else(|| not_drawn(format!("the tag {piece:?}"), "Markdown"))?;
        out.push_str(&format!("<span class=at>@{}</span> ", escape(user)));
    }
    Ok(out)
}

fn open(tag: &Tag<'_>, in_head: bool) -> Result<String, NotDrawn> {
    Ok(match tag {
        Tag::Paragraph => "<p>".to_owned(),
        Tag::Heading { level, .. } => format!("<p class=\"heading {level}\">"),
        Tag::BlockQuote(_) => "<blockquote>".to_owned(),
        Tag::CodeBlock(kind) => {
            let language = match kind {
                CodeBlockKind::Fenced(language) => escape(language),
                CodeBlockKind::Indented => String::new(),
            };
            format!("<pre data-language=\"{language}\">")
        }
        Tag::List(None) => "<ul>".to_owned(),
        Tag::List(Some(from)) => format!("<ol start={from}>"),
        Tag::Item => "<li>".to_owned(),
        Tag::Table(_) => "<table>".to_owned(),
        Tag::TableHead | Tag::TableRow => "<tr>".to_owned(),
        Tag::TableCell if in_head => "<th>".to_owned(),
        Tag::TableCell => "<td>".to_owned(),
        Tag::Emphasis => "<em>".to_owned(),
        Tag::Strong => "<strong>".to_owned(),
        Tag::Strikethrough => "<s>".to_owned(),
        Tag::Link { dest_url, .. } => format!("<a class=link title=\"{}\">", escape(dest_url)),
        Tag::HtmlBlock => String::new(),
        other => return Err(not_drawn(format!("{other:?}"), "Markdown")),
    })
}

fn close(tag: TagEnd, in_head: bool) -> &'static str {
    match tag {
        TagEnd::Paragraph | TagEnd::Heading(_) => "</p>",
        TagEnd::BlockQuote(_) => "</blockquote>",
        TagEnd::CodeBlock => "</pre>",
        TagEnd::List(true) => "</ol>",
        TagEnd::List(false) => "</ul>",
        TagEnd::Item => "</li>",
        TagEnd::Table => "</table>",
        TagEnd::TableHead | TagEnd::TableRow => "</tr>",
        TagEnd::TableCell if in_head => "</th>",
        TagEnd::TableCell => "</td>",
        TagEnd::Emphasis => "</em>",
        TagEnd::Strong => "</strong>",
        TagEnd::Strikethrough => "</s>",
        TagEnd::Link => "</a>",
        // Nothing else was opened.
        _ => "",
    }
}
