//! Whatever people, agents and long lists put into a view: its card keeps the platform's limits, and stays ours.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// Elements of a card, by the platform's rule.
const MAX_ELEMENTS: usize = 200;

/// What a view is grown by: each list so many times as long, each text so many times the words.
#[derive(Debug, Clone)]
struct Growth {
    times: usize,
    words: String,
    repeat: usize,
}

fn growth() -> impl Strategy<Value = Growth> {
    let words = prop_oneof![
        any::<String>(),
        Just("<at id=all></at> ".to_owned()),
        Just("```\n".to_owned()),
        Just("\"\\\u{202e}\n".to_owned()),
        Just("👩‍💻é中".to_owned()),
        "[a-z]{1,9} ",
    ];
    (1usize..25, words, prop_oneof![0usize..3, 0usize..400]).prop_map(|(times, words, repeat)| Growth {
        times,
        words,
        repeat,
    })
}

/// The view with its texts replaced and its lists lengthened, as far as it is a view then.
fn grown(view: &View, growth: &Growth) -> View {
    let mut value = serde_json::to_value(view).unwrap();
    let mut places = Vec::new();
    pointers(&value, String::new(), &mut places);
    // Deepest first: what a list repeats has grown already.
    places.sort_by_key(|place| std::cmp::Reverse(place.matches('/').count()));
    for place in places.into_iter().filter(|place| !is_ours(place)) {
        let Some(old) = value.pointer(&place).cloned() else { continue };
        let new = match &old {
            Value::String(text) => json!(format!("{text}{}", growth.words.repeat(growth.repeat))),
            Value::Array(list) => json!(list.iter().cycle().take(list.len() * growth.times).collect::<Vec<_>>()),
            _ => continue,
        };
        *value.pointer_mut(&place).unwrap() = new;
        // The name of a state is no text.
        if serde_json::from_value::<View>(value.clone()).is_err() {
            *value.pointer_mut(&place).unwrap() = old;
        }
    }
    serde_json::from_value(value).unwrap()
}

/// Ids, and the buttons of a card: nobody else makes them, and each card has its few.
fn is_ours(place: &str) -> bool {
    place.contains("/buttons") || place.rsplit('/').next().is_some_and(|key| key == "id" || key == "gate")
}

fn pointers(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| pointers(inner, format!("{at}/{key}"), places)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, inner)| pointers(inner, format!("{at}/{n}"), places));
        }
        _ => {}
    }
    if !at.is_empty() {
        places.push(at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_view_makes_a_card_that_is_refused(which: prop::sample::Index, growth in growth()) {
        let views = all_views();
        let (name, view) = &views[which.index(views.len())];
        let view = grown(view, &growth);
        for lang in [Lang::Zh, Lang::En] {
            let card = draw(&view, pen(lang));
            let (bytes, mut elements, mut names) = (wire_bytes(&card), 0, Vec::new());
            walk(&card, &mut |object| {
                elements += usize::from(object.contains_key("tag"));
                names.extend(object.get("name").and_then(Value::as_str).map(str::to_owned));
            });
            let once: HashSet<&String> = names.iter().collect();
            prop_assert!(bytes <= MAX_BYTES, "{}: {} bytes", name, bytes);
            prop_assert!(elements <= MAX_ELEMENTS, "{}: {} elements", name, elements);
            prop_assert_eq!(once.len(), names.len(), "{}: two elements of one name", name);
        }
    }

    #[test]
    fn an_answer_keeps_its_limits_in_every_form(text in any::<String>(), repeat in 1usize..60, rows in 0usize..9, form in 0u32..3) {
        let table = format!("\n\n| a | b |\n|---|---|\n{}\n", "| 1 | 2 |\n".repeat(rows)).repeat(rows);
        let markdown: String = format!("{}{table}", text.repeat(repeat)).chars().take(3_500).collect();
        let body = Body::Answer { markdown, part: 1, parts: 2, footer: Some("foot".into()), mention: Some("ou_li".into()) };
        let rendered = answer(&body, form, Lang::Zh).unwrap();
        let bytes = wire_bytes(&rendered.content);
        // 150 KB for texts, 30 KB for posts and cards.
        let most = if rendered.msg_type == "text" { 150_000 } else { 30_000 };
        prop_assert!(bytes <= most, "{} of {} bytes", rendered.msg_type, bytes);
    }
}
