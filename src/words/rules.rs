//! The wording rules, held over every sentence in both languages.

use super::*;
use crate::domain::view::{ButtonRole, StepKind};

/// A value that fills a field of a sample sentence.
pub(crate) trait Sample {
    fn sample() -> Self;
}

impl Sample for &str {
    fn sample() -> Self {
        "Li Wei"
    }
}

impl Sample for i64 {
    fn sample() -> Self {
        3
    }
}

impl Sample for u32 {
    fn sample() -> Self {
        2
    }
}

impl Sample for usize {
    fn sample() -> Self {
        4200
    }
}

impl Sample for f64 {
    fn sample() -> Self {
        1.5
    }
}

impl Sample for At {
    fn sample() -> Self {
        At::new(1_790_000_000_000, Zone(480), 1_790_100_000_000)
    }
}

const FORBIDDEN_ZH: &[&str] = &[
    "成功",
    "应该",
    "大概",
    "稍后自动恢复",
    "抱歉",
    "对不起",
    "未知错误",
    "AI 认为",
    "您",
    "我们",
    "丢失",
    "审批请求",
    "机器人认为",
];
const FORBIDDEN_EN: &[&str] = &[
    "success",
    "should ",
    "probably",
    "sorry",
    "unknown error",
    "we ",
    "our ",
    "lost",
    "oops",
    "please try again later",
];

pub(crate) fn is_hanzi(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}')
}

/// Fails when a sentence breaks a rule of wording.
#[track_caller]
pub(crate) fn check(name: &str, text: &str, lang: Lang) {
    assert!(!text.trim().is_empty(), "{name} says nothing");
    match lang {
        Lang::Zh => check_zh(name, text),
        Lang::En => check_en(name, text),
    }
}

#[track_caller]
fn check_zh(name: &str, text: &str) {
    for word in FORBIDDEN_ZH {
        assert!(!text.contains(word), "{name} says {word}: {text}");
    }
    let chinese = |c: char| is_hanzi(c) || "，。！？；：（）「」".contains(c);
    assert!(text.chars().any(chinese), "{name} has no Chinese: {text}");
    // A code span counts as one Latin letter, whatever is in it.
    let chars: Vec<char> = text
        .split('`')
        .enumerate()
        .flat_map(|(i, part)| match i % 2 {
            0 => part.chars().collect::<Vec<_>>(),
            _ => vec!['A'],
        })
        .collect();
    for pair in chars.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let latin = |c: char| c.is_ascii_alphanumeric();
        assert!(!(is_hanzi(a) && latin(b)), "{name}: no space between {a} and {b}: {text}");
        assert!(!(latin(a) && is_hanzi(b)), "{name}: no space between {a} and {b}: {text}");
        assert!(!(is_hanzi(a) && ",;:!?()".contains(b)), "{name}: half-width {b}: {text}");
        assert!(!(",;:!?()".contains(a) && is_hanzi(b)), "{name}: half-width {a}: {text}");
    }
}

#[track_caller]
fn check_en(name: &str, text: &str) {
    let lower = format!(" {} ", text.to_lowercase());
    for word in FORBIDDEN_EN {
        assert!(!lower.contains(&format!(" {word}")), "{name} says {word}: {text}");
    }
    assert!(!text.contains('!'), "{name} shouts: {text}");
    assert!(!text.chars().any(|c| is_hanzi(c) || "，。！？；：（）「」".contains(c)), "{name} is not English: {text}");
}

#[test]
fn every_sentence_keeps_the_rules_in_both_languages() {
    let mut all: Vec<(&str, Msg<'static>)> = Vec::new();
    all.extend(CardMsg::samples().into_iter().map(|(name, msg)| (name, msg.into())));
    all.extend(NoticeMsg::samples().into_iter().map(|(name, msg)| (name, msg.into())));
    all.extend(CommandMsg::samples().into_iter().map(|(name, msg)| (name, msg.into())));
    all.extend(ToastMsg::samples().into_iter().map(|(name, msg)| (name, msg.into())));
    all.extend(ChannelMsg::samples().into_iter().map(|(name, msg)| (name, msg.into())));
    all.extend(RightsMsg::samples().into_iter().map(|(name, msg)| (name, msg.into())));
    all.extend(RoutineMsg::samples().into_iter().map(|(name, msg)| (name, msg.into())));
    all.extend(DoctorMsg::samples().into_iter().map(|(name, msg)| (name, msg.into())));
    all.extend(BenchMsg::samples().into_iter().map(|(name, msg)| (name, msg.into())));
    assert!(all.len() > 100, "only {} sentences", all.len());
    for (name, msg) in &all {
        for lang in [Lang::Zh, Lang::En] {
            check(name, &text(msg, lang), lang);
        }
        assert_ne!(text(msg, Lang::Zh), text(msg, Lang::En), "{name}");
    }
}

#[test]
fn the_four_degrees_are_different_sentences() {
    let did_not = CardMsg::GateVoid.text(Lang::Zh);
    let may_have = CardMsg::GateVoidMayHaveRun { who: "Li" }.text(Lang::Zh);
    assert!(did_not.contains("没有执行") && !did_not.contains("可能"));
    assert!(may_have.contains("可能已执行") && !may_have.contains("没有执行"));
}

#[test]
fn roles_and_kinds_have_words() {
    for lang in [Lang::Zh, Lang::En] {
        assert!(!button(&ButtonRole::Allow, lang).is_empty());
        for kind in [StepKind::Command, StepKind::FileChange, StepKind::Tool, StepKind::Search, StepKind::Other] {
            assert!(!super::card::step_verb(kind, lang).is_empty());
        }
    }
}
