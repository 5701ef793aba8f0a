//! What people type: only a whole message is ever a decision, and nothing that was typed is lost.

use ally::domain::command::{Command, Meant, Typed, for_agent, known_word, parse, span_ms};
use proptest::prelude::*;

const WORDS: &[&str] = &[
    "y",
    "n",
    "Y",
    "同意",
    "拒绝",
    "不同意",
    "允许",
    "all",
    "a1",
    "d2",
    "a",
    "d",
    "1",
    "2",
    "99999999999",
    "0",
    "#3",
    "/",
    "／",
    "//",
    "/new",
    "/stop",
    "/cancel",
    "/取消2",
    "/steer",
    "/lang",
    "/rules",
    "revoke",
    "R7",
    "stop",
    "停",
    "ok",
    "好的",
    "👍",
    "。",
    "!",
    ",",
    "、",
    " ",
    "\n",
    "\u{200b}",
    "\u{fe0f}",
    "é",
    "a1 a3 / d2",
    "7d",
    "天",
    "please",
    "fix the login page",
];

fn typed() -> impl Strategy<Value = String> {
    let words = proptest::collection::vec(prop::sample::select(WORDS), 0..7);
    prop_oneof![words.prop_map(|words| words.concat()), any::<String>(), "[/／]{0,2}[a-z]{1,9}[ 0-9a-z]{0,9}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn white_space_around_changes_nothing(text in typed(), before in "[ \n\t]{0,3}", after in "[ \n\t]{0,3}") {
        prop_assert_eq!(parse(&format!("{before}{text}{after}")), parse(&text));
    }

    #[test]
    fn words_for_the_agent_are_the_words_that_were_typed(text in typed()) {
        if let Typed::Text(words) = parse(&text) {
            let trimmed = text.trim();
            // `//x` is how somebody says `/x` to the agent.
            let said = trimmed == words || trimmed.chars().skip(2).eq(words.chars().skip(1));
            prop_assert!(said, "{trimmed:?} became {words:?}");
            prop_assert_eq!(for_agent(&text), words);
        }
    }

    #[test]
    fn a_decision_names_each_request_once(text in typed()) {
        if let Typed::Shortcut(shortcut) = parse(&text) {
            prop_assert_eq!(&shortcut.raw, text.trim());
            match shortcut.meant {
                Meant::Pick { allow, decline } => {
                    let all: Vec<i64> = allow.iter().chain(&decline).copied().collect();
                    let mut once = all.clone();
                    once.sort_unstable();
                    once.dedup();
                    prop_assert_eq!(once.len(), all.len(), "{}", text);
                    prop_assert!(!all.is_empty() && all.iter().all(|number| *number > 0));
                }
                Meant::Number(number) => prop_assert!(number > 0),
                Meant::Yes | Meant::No | Meant::AllSafe => {}
            }
        }
    }

    /// A sentence is a message, whatever stands at its begin or end.
    #[test]
    fn ordinary_speech_decides_nothing(word in prop::sample::select(WORDS), rest in "[b-ce-mo-xz]{4,9} [a-z]{2,9}") {
        for text in [format!("{word} {rest}"), format!("{rest} {word}")] {
            prop_assert!(!matches!(parse(&text), Typed::Shortcut(_) | Typed::StopWord), "{}: {:?}", text, parse(&text));
        }
    }

    #[test]
    fn a_command_is_known_by_its_word(text in typed()) {
        if let Typed::Command(command) = parse(&text) {
            let help = matches!(command, Command::Help(_));
            let slash = text.trim().starts_with(['/', '／']);
            prop_assert!(slash || help, "{text:?} is {command:?}");
        }
    }

    #[test]
    fn a_suggestion_is_a_command(text in typed()) {
        if let Typed::DidYouMean { suggestion, .. } = parse(&text) {
            prop_assert!(known_word(&suggestion).is_some(), "{}", suggestion);
        }
    }

    #[test]
    fn a_span_is_positive_or_none(text in typed()) {
        prop_assert!(span_ms(&text).is_none_or(|span| span > 0));
    }
}
