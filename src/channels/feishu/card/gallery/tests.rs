//! The gallery itself: complete, drawable, and safe to open.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_sample_is_drawn_in_every_look() {
    let pages = pages().expect("every element has HTML");
    let names: BTreeSet<&str> = pages.iter().map(|page| page.file.as_str()).collect();
    assert_eq!(names.len(), pages.len(), "a page twice");
    let (index, rest) = pages.split_first().expect("an index");
    assert_eq!(index.file, "index.html");
    for page in rest {
        assert!(index.html.contains(&format!("href=\"{}\"", page.file)), "{} is not in the index", page.file);
        assert!(page.html.contains(MARK) && page.html.contains("lang=zh-CN") && page.html.contains("lang=en"));
        assert!(!page.html.contains("<script") && !page.html.contains("src=") && !page.html.contains("\u{202e}"));
    }
}

#[test]
fn both_languages_show_the_same_states() {
    let of = |lang| samples::all(lang).into_iter().map(|sample| (sample.kind, sample.state)).collect::<Vec<_>>();
    let states = of(Lang::Zh);
    assert_eq!(states, of(Lang::En));
    assert_eq!(states.iter().collect::<BTreeSet<_>>().len(), states.len(), "a state twice");
}
