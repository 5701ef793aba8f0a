//! The splitter: nothing is lost, doubled or moved, every part keeps the limit, and what is code stays code.

use ally::bridge::render::{Limits, answer};
use ally::domain::delivery::Body;
use ally::domain::view::Lang;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

fn parts(text: &str, limit: usize) -> Vec<String> {
    let limits = Limits { part_chars: limit, max_parts: usize::MAX };
    let bodies = answer(text, None, None, limits, Lang::En).bodies;
    let markdown = |body| match body {
        Body::Answer { markdown, .. } => markdown,
        other => panic!("{other:?}"),
    };
    bodies.into_iter().map(markdown).collect()
}

/// What a person sees of a text, without white space: what stands in blocks of code, and all the rest.
fn seen(text: &str) -> (String, String) {
    let (mut code, mut words, mut fenced) = (String::new(), String::new(), false);
    for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => fenced = true,
            Event::End(TagEnd::CodeBlock) => fenced = false,
            Event::Text(text) if fenced => code.push_str(&text),
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                words.push_str(&text)
            }
            _ => {}
        }
    }
    (bare(&code), bare(&words))
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// For every text: the limit, and each visible character in its order. Marks of fences and heads of tables may stand
/// between them once more.
fn check(text: &str, limit: usize) {
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    let parts = parts(text, limit);
    for part in &parts {
        assert!(part.chars().count() <= limit, "{} > {limit}: {part:?}", part.chars().count());
        assert!(!part.trim().is_empty(), "an empty part of {text:?}");
    }
    let whole = parts.concat();
    let mut have = whole.chars();
    let mark = |c: &char| matches!(c, '`' | '~');
    let lost = text.chars().filter(|c| !c.is_whitespace() && !mark(c)).find(|c| !have.any(|h| h == *c));
    assert_eq!(lost, None, "lost of {text:?}\n{parts:#?}");
    if !text.contains(['`', '~', '|']) {
        assert_eq!(bare(&whole), bare(text), "{parts:#?}");
    }
}

#[test]
fn bytes() {
    bolero::check!().with_iterations(super::ITERATIONS).for_each(|bytes: &[u8]| {
        if let [limit, text @ ..] = bytes {
            check(&String::from_utf8_lossy(text), 80 + usize::from(*limit));
        }
    });
}

/// Markdown as an agent writes it. No tables: their head is repeated, so their words are counted elsewhere.
fn markdown() -> impl Strategy<Value = String> {
    let block = prop_oneof![
        "[a-z][a-z ]{0,300}",
        "[一-十][一-十，。 ]{0,200}",
        "#{1,3} [a-z]{1,20}",
        "(- [a-z]{1,30}\n){1,12}",
        "([0-9]\\. [a-z ]{1,60}\n){1,9}",
        "(> [a-z]{1,30}\n){1,9}",
        "```(rust)?\n([a-z(){}; ]{0,40}\n){0,30}```",
        "~~~[a-z]{0,3}\n([a-z`]{0,20}\n){0,20}~~~",
        "````(md)?\n([a-z]{0,9}\n|```[a-z]{0,2}\n){0,30}````",
        "```\n([a-z]{0,9}\n|~~~[a-z]{0,2}\n|`{1,2}\n){0,30}```",
        "~~~ `[a-z]{1,3}`\n([a-z]{0,20}\n){0,20}~~~",
        "- [a-z]{1,9}\n\n  ```rust\n(  [a-z(){}; ]{0,40}\n){0,30}  ```\n- [a-z]{1,9}",
        "> [a-z]{1,9}\n>\n> ```\n(> [a-z(){};]{1,40}\n){0,30}> ```",
        "[a-z][a-z ]{0,90} `[a-z]{1,20}` [a-z ]{1,90}",
        "[a-z][a-z ]{40,120} (```|~~~)[a-z ]{40,120}",
        "`{14}\n([a-z]{0,9}\n|`{12,13}\n){0,30}`{14}",
        "- [a-z]{1,9}\n\n  ~~~ `[a-z]{1,3}`\n(  [a-z]{0,20}\n){0,30}  ~~~",
    ];
    proptest::collection::vec(block, 1..10).prop_map(|blocks| blocks.join("\n\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_keeps_its_characters_and_the_limit(text in any::<String>(), limit in 80usize..400) {
        check(&text, limit);
    }

    #[test]
    fn what_is_code_stays_code(text in markdown(), limit in 100usize..900) {
        prop_assume!(!text.trim().is_empty());
        check(&text, limit);
        let (code, words) = seen(text.trim());
        let mut all = (String::new(), String::new());
        let parts = parts(text.trim(), limit);
        for part in &parts {
            let (code, words) = seen(part);
            all.0.push_str(&code);
            all.1.push_str(&words);
        }
        prop_assert_eq!((&all.0, &all.1), (&code, &words), "limit {}, {}\n{:#?}", limit, text, parts);
    }
}
