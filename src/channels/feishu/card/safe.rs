//! Foreign text made harmless: nothing that a person or an agent wrote may act in a card or hide in it.

use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

use crate::domain::delivery::{TABLE_COLUMNS, TABLE_ROWS};
use crate::domain::plain::reveal;

/// Tags that the platform's Markdown acts on. Their `<` becomes a full-width one, so that they are read, not obeyed.
const ACTIVE_TAGS: &[&str] = &[
    "at",
    "a",
    "person",
    "link",
    "font",
    "text_tag",
    "number_tag",
    "local_datetime",
    "raw",
    "img",
    "button",
    "input",
    "form",
    "br",
    "hr",
    "b",
    "i",
    "u",
    "s",
];

/// Text in which nothing is invisible and no tag is alive: for `plain_text`, for code, for text messages.
pub fn visible(text: &str) -> String {
    disarm(&reveal(text), ACTIVE_TAGS)
}

fn disarm(text: &str, tags: &[&str]) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        out.push(if c == '<' && opens_tag(&text[at + 1..], tags) { '＜' } else { c });
    }
    out
}

/// Whether what follows a `<` is one of the tags, opening or closing.
fn opens_tag(rest: &str, tags: &[&str]) -> bool {
    let rest = rest.trim_start_matches('/');
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let name = rest[..end].to_ascii_lowercase();
    // `a<b` is arithmetic: the one-letter styles are tags only when they close at once.
    let closes = matches!(name.as_str(), "b" | "i" | "u" | "s").then(|| rest[end..].starts_with('>'));
    tags.contains(&name.as_str()) && closes.unwrap_or(true)
}

/// A fenced block that its content cannot close.
pub fn fenced(language: &str, code: &str) -> String {
    let fence = "`".repeat(longest_run(code, '`').max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", code.trim_end_matches('\n'))
}

fn longest_run(text: &str, of: char) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// How an answer's Markdown is to be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Tables that stay tables; the others are fenced.
    pub tables: usize,
    /// Whether headings are known; else they become bold lines.
    pub headings: bool,
}

/// What an answer holds, as far as its form depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    pub tables: usize,
    pub headings: usize,
}

pub fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH
}

pub fn shape(markdown: &str) -> Shape {
    let mut shape = Shape::default();
    for event in Parser::new_ext(markdown, options()) {
        match event {
            Event::Start(Tag::Table(_)) => shape.tables += 1,
            Event::Start(Tag::Heading { .. }) => shape.headings += 1,
            _ => {}
        }
    }
    shape
}

/// The first words of a text outside of code and tables, whether there is a block of code, and the first cells of its
/// tables. A little more than `chars` of each.
pub fn words(markdown: &str, chars: usize) -> (String, bool, String) {
    let (mut words, mut cells, mut code) = (String::new(), String::new(), false);
    let (mut in_code, mut in_table) = (false, false);
    for event in Parser::new_ext(markdown, options()) {
        let out = if in_table { &mut cells } else { &mut words };
        match event {
            Event::Start(Tag::CodeBlock(_)) => (in_code, code) = (true, true),
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Start(Tag::Table(_)) => in_table = true,
            Event::End(TagEnd::Table) => in_table = false,
            Event::Text(text) if !in_code => out.push_str(&text),
            Event::Code(text) => out.push_str(&text),
            Event::SoftBreak | Event::HardBreak | Event::End(TagEnd::Item) => out.push(' '),
            Event::End(TagEnd::Paragraph | TagEnd::Heading(_)) => out.push(' '),
            Event::End(TagEnd::TableCell) => out.push_str(" · "),
            _ => {}
        }
        if words.chars().take(chars + 1).count() > chars {
            break;
        }
    }
    let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    (one_line(words), code, one_line(cells).trim_end_matches([' ', '·']).to_owned())
}

/// An agent's Markdown with only what the dialect knows: live tags dead, foreign links as text, pictures as links, math
/// as code.
pub fn markdown(source: &str, dialect: Dialect) -> String {
    let source = math(&reveal(source));
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut code: Vec<Range<usize>> = Vec::new();
    let mut tables = 0;
    for (event, range) in Parser::new_ext(&source, options()).into_offset_iter() {
        match event {
            Event::Code(_) | Event::Start(Tag::CodeBlock(_)) => code.push(range),
            Event::Start(Tag::Table(columns)) => {
                let is_large =
                    columns.len() > TABLE_COLUMNS || source[range.clone()].trim_end().lines().count() > 2 + TABLE_ROWS;
                tables += usize::from(!is_large);
                if is_large || tables > dialect.tables {
                    let table = disarm(source[range.clone()].trim_end(), ACTIVE_TAGS);
                    edits.push((range, format!("{}\n", fenced("", &table))));
                }
            }
            Event::Start(Tag::Heading { .. }) if !dialect.headings => edits.push((range.clone(), bold(&source[range]))),
            Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                edits.extend(link(&source[range.clone()], link_type, &dest_url).map(|text| (range, text)));
            }
            Event::Start(Tag::Image { dest_url, .. }) => {
                let label = image_label(&source[range.clone()]);
                edits.push((range, if is_web(&dest_url) { format!("[{label}]({dest_url})") } else { label }));
            }
            _ => {}
        }
    }
    apply(&source, edits, &code)
}

/// Formulas as code: nothing here sets them, and Markdown would eat their backslashes and underscores.
fn math(source: &str) -> String {
    const SIGNS: [(&str, &str); 4] = [("$$", "$$"), (r"\[", r"\]"), (r"\(", r"\)"), ("$", "$")];
    let code = Parser::new_ext(source, options()).into_offset_iter().filter_map(|(event, range)| match event {
        Event::Code(_) | Event::Start(Tag::CodeBlock(_)) => Some(range),
        _ => None,
    });
    let code: Vec<Range<usize>> = code.collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while let Some(next) = source[at..].find(['$', '\\']).map(|found| at + found) {
        out.push_str(&source[at..next]);
        at = next;
        if let Some(range) = code.iter().find(|range| range.contains(&next)) {
            out.push_str(&source[at..range.end]);
            at = range.end;
            continue;
        }
        let room = code.iter().map(|range| range.start).find(|start| *start > next).unwrap_or(source.len());
        let rest = &source[next..room];
        let formula = SIGNS.iter().filter(|(open, _)| rest.starts_with(open)).find_map(|(open, close)| {
            let end = open.len() + rest[open.len()..].find(close)?;
            let inside = &rest[open.len()..end];
            is_formula(open, inside, &rest[end + close.len()..]).then_some((inside, end + close.len()))
        });
        match formula {
            Some((inside, length)) => {
                let before = source[..next].rsplit('\n').next().unwrap_or_default();
                let behind = source[next + length..].split('\n').next().unwrap_or_default();
                let is_block = inside.contains('\n') && before.is_empty() && behind.trim().is_empty();
                out.push_str(&if is_block { fenced("latex", inside.trim()) } else { inline_code(inside) });
                at = next + length;
            }
            // An escaped sign is none.
            None => {
                let length = 1 + rest[1..].chars().next().filter(|_| rest.starts_with('\\')).map_or(0, char::len_utf8);
                out.push_str(&rest[..length]);
                at = next + length;
            }
        }
    }
    out.push_str(&source[at..]);
    out
}

/// Money and variables of a shell have dollars as well.
fn is_formula(open: &str, inside: &str, behind: &str) -> bool {
    const LONGEST: usize = 2_000;
    if inside.trim().is_empty() || inside.len() > LONGEST || inside.contains("\n\n") {
        return false;
    }
    let is_tex = inside.contains(['\\', '^', '=']) || inside.contains("_{");
    let is_tight = !inside.contains('\n') && inside.trim() == inside && !behind.starts_with(char::is_alphanumeric);
    match open {
        "$$" => is_tex || inside.contains('\n'),
        "$" => is_tex && is_tight,
        _ => is_tex,
    }
}

fn inline_code(code: &str) -> String {
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let ticks = "`".repeat(longest_run(&code, '`') + 1);
    let space = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{code}{space}{ticks}")
}

/// Applies outermost edits in order and disarms all that is not code.
fn apply(source: &str, mut edits: Vec<(Range<usize>, String)>, code: &[Range<usize>]) -> String {
    edits.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    for (range, text) in edits {
        if range.start < at {
            continue; // inside an edit that was already made
        }
        push_outside_code(&mut out, source, at..range.start, code);
        out.push_str(&disarm(&text, ACTIVE_TAGS));
        at = range.end;
    }
    push_outside_code(&mut out, source, at..source.len(), code);
    out
}

/// Copies a stretch; in code only mentions are disarmed, because code is copied from the chat and must stay what it is.
fn push_outside_code(out: &mut String, source: &str, stretch: Range<usize>, code: &[Range<usize>]) {
    let mut at = stretch.start;
    for range in code.iter().filter(|range| range.start >= stretch.start && range.end <= stretch.end) {
        if range.start < at {
            continue;
        }
        out.push_str(&disarm(&source[at..range.start], ACTIVE_TAGS));
        out.push_str(&disarm(&source[range.clone()], &["at", "person"]));
        at = range.end;
    }
    out.push_str(&disarm(&source[at..stretch.end], ACTIVE_TAGS));
}

/// A heading as a bold line.
fn bold(heading: &str) -> String {
    let text = heading.lines().next().unwrap_or_default().trim().trim_start_matches('#').trim().trim_end_matches('#');
    format!("**{}**\n", text.trim().replace("**", ""))
}

/// What a link is replaced by: nothing when it leads to the web, else its text with its target beside it.
fn link(source: &str, link_type: LinkType, target: &str) -> Option<String> {
    let label = source.strip_prefix('[').and_then(|rest| rest.rsplit_once("](")).map(|(label, _)| label);
    match (link_type, is_web(target)) {
        (LinkType::Autolink | LinkType::Email, true) => Some(target.to_owned()),
        (LinkType::Autolink | LinkType::Email, false) => Some(source.trim_matches(['<', '>']).to_owned()),
        (LinkType::Inline, true) => None,
        (_, true) => Some(format!("[{}]({target})", label.unwrap_or(source).trim_matches(['[', ']']))),
        (_, false) => {
            let label = label.unwrap_or(source).trim_matches(['[', ']']);
            let same = label.trim_matches('`') == target || target.is_empty();
            Some(if same { label.to_owned() } else { format!("{label} (`{}`)", target.replace('`', "'")) })
        }
    }
}

fn image_label(source: &str) -> String {
    let label = source.strip_prefix("![").and_then(|rest| rest.split_once(']')).map_or("", |(label, _)| label).trim();
    if label.is_empty() { "image".to_owned() } else { label.to_owned() }
}

fn is_web(target: &str) -> bool {
    let lower = target.to_ascii_lowercase();
    let host = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RICH: Dialect = Dialect { tables: 1, headings: true };
    const POOR: Dialect = Dialect { tables: 0, headings: false };

    #[test]
    fn nothing_hides_and_nothing_mentions() {
        for (text, want) in [
            ("plain 文字", "plain 文字"),
            ("a\u{202e}b", "a⟦U+202E⟧b"),
            ("rm\u{200b} -rf", "rm⟦U+200B⟧ -rf"),
            ("x\u{1b}[31m", "x⟦U+001B⟧[31m"),
            ("👩\u{200d}💻", "👩\u{200d}💻"),
            ("a\u{200d}b", "a⟦U+200D⟧b"),
            ("<at id=all></at>", "＜at id=all>＜/at>"),
            ("<AT id=all>", "＜AT id=all>"),
            ("a<b and <b>x</b>", "a<b and ＜b>x＜/b>"),
            ("<a href='x'>y</a>", "＜a href='x'>y＜/a>"),
            ("Vec<T> && a < b", "Vec<T> && a < b"),
            ("line\r\nline\ttab", "line\nline\ttab"),
        ] {
            assert_eq!(visible(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_fence_cannot_be_closed_from_inside() {
        assert_eq!(fenced("", "git push"), "```\ngit push\n```");
        assert_eq!(fenced("sh", "a\n```\n**b**"), "````sh\na\n```\n**b**\n````");
    }

    #[test]
    fn answers_in_the_dialect() {
        for (source, dialect, want) in [
            ("# A\n\ntext", RICH, "# A\n\ntext"),
            ("# A\n\ntext", POOR, "**A**\n\ntext"),
            ("[x](https://e.org/a)", RICH, "[x](https://e.org/a)"),
            ("[x](javascript:alert(1))", RICH, "x (`javascript:alert(1)`)"),
            ("see [src/a.rs](src/a.rs)", RICH, "see src/a.rs"),
            ("see [a](/data/x/a.rs:3)", RICH, "see a (`/data/x/a.rs:3`)"),
            ("<https://e.org>", RICH, "https://e.org"),
            ("![shot](https://e.org/a.png)", RICH, "[shot](https://e.org/a.png)"),
            ("![shot](a.png)", RICH, "shot"),
            ("hi <at id=all></at>", RICH, "hi ＜at id=all>＜/at>"),
            ("`<at id=all>`", RICH, "`＜at id=all>`"),
            ("```html\n<a href=x>y</a>\n```", RICH, "```html\n<a href=x>y</a>\n```"),
            ("<font color='red'>✓ approved</font>", RICH, "＜font color='red'>✓ approved＜/font>"),
        ] {
            assert_eq!(markdown(source, dialect).trim_end(), want, "{source}");
        }
    }

    #[test]
    fn math_is_code() {
        for (source, want) in [
            (r"so $x^2 + y_1$ is", "so `x^2 + y_1` is"),
            (r"so \(a_{1} \le b\), and", r"so `a_{1} \le b`, and"),
            ("see\n\n$$\n\\sum_i x_i\n$$\n\nend", "see\n\n```latex\n\\sum_i x_i\n```\n\nend"),
            ("see\n\n\\[\nE = mc^2\n\\]\n\nend", "see\n\n```latex\nE = mc^2\n```\n\nend"),
            ("- $$a+b^2$$ c", "- `a+b^2` c"),
            ("kill $$ and $$", "kill $$ and $$"),
            ("costs $5, then $6 = 11", "costs $5, then $6 = 11"),
            ("set $A=1,$B", "set $A=1,$B"),
            (r"a \$x^2$ b", r"a \$x^2$ b"),
            (r"\[not a link\] f\(x\)", r"\[not a link\] f\(x\)"),
            ("`$x^2$` and\n\n```sh\necho $$ $a^b$\n```", "`$x^2$` and\n\n```sh\necho $$ $a^b$\n```"),
            ("$x^`a`$ 字$", "$x^`a`$ 字$"),
            (r"end \", r"end \"),
        ] {
            assert_eq!(markdown(source, RICH), want, "{source}");
        }
    }

    #[test]
    fn a_table_that_no_phone_shows_is_fenced() {
        for (columns, rows, kept) in [(4, 12, true), (5, 1, false), (2, 13, false)] {
            let line = |cell: &str| format!("|{}\n", format!("{cell}|").repeat(columns));
            let table = format!("{}{}{}", line("a"), line("-"), line("1").repeat(rows));
            assert_eq!(shape(&markdown(&table, RICH)).tables == 1, kept, "{columns} x {rows}");
        }
    }

    #[test]
    fn first_words_are_words() {
        for (markdown, want) in [
            ("# Result\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nDone.", ("Result Done.", false, "a · b · 1 · 2")),
            ("```sh\nrm -rf /\n```\n\n- **one**\n- two", ("one two", true, "")),
            ("```sh\nrm -rf /\n```", ("", true, "")),
            ("see [a](https://e.org) and\n`b`", ("see a and b", false, "")),
        ] {
            let (words, code, cells) = super::words(markdown, 60);
            assert_eq!((words.as_str(), code, cells.as_str()), want, "{markdown}");
        }
        assert!(super::words(&"word ".repeat(50_000), 60).0.len() < 50_000 * 5, "only the beginning is read");
    }

    #[test]
    fn tables_beyond_the_limit_are_fenced() {
        let table = "| a | b |\n|---|---|\n| 1 | 2 |\n";
        let source = format!("{table}\ntext\n\n{table}");
        let rich = markdown(&source, RICH);
        assert_eq!(shape(&rich).tables, 1);
        assert!(rich.contains("```\n| a | b |"), "{rich}");
        assert_eq!(shape(&markdown(&source, POOR)).tables, 0);
    }
}
