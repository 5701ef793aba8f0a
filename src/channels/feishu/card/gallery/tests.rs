//! The gallery itself (complete, drawable, safe to open), and what every card of it must keep.
//!
//! After a wanted change of cards or words: `INSTA_UPDATE=always cargo test gallery`, then read the diff of `snapshots/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::super::elements::MAX_BYTES;
use super::super::safe;
use super::*;
use crate::domain::delivery::Body;
use crate::domain::gate::{Ask, Change, Question, QuestionOption};
use crate::domain::risk::Class;
use crate::domain::view::*;

/// The platform's limit; the builders keep below it.
const MAX_ELEMENTS: usize = 200;
/// See `answer::CARD_TABLES`.
const MAX_TABLES: usize = 3;

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

/// What is sent for every sample, one file for each kind and language, one line for each element of a body.
#[test]
fn every_card_is_sent_as_it_was_seen() {
    for lang in [Lang::Zh, Lang::En] {
        let mut kinds: BTreeMap<&str, String> = BTreeMap::new();
        for sample in samples::all(lang) {
            let text = kinds.entry(sample.kind).or_default();
            let _ = writeln!(text, "── {}\n{}", sample.state, lines(wire(&sample, lang)));
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| {
            for (kind, text) in kinds {
                insta::assert_snapshot!(format!("{kind}.{}", lang.as_str()), text);
            }
        });
    }
}

fn lines(wire: Wire) -> String {
    let (first, content) = match wire {
        Wire::Card(card) => (String::new(), card),
        Wire::Message(Rendered { msg_type, content }) => (format!("{msg_type}\n"), content),
        Wire::Toast(Toast { kind, zh, en }) => return format!("{kind:?} {zh} ‖ {en}\n"),
    };
    let mut out = first;
    let Some(elements) = content["body"]["elements"].as_array() else { return format!("{out}{content}\n") };
    let _ = writeln!(out, "config {}", content["config"]);
    if let Some(header) = content.get("header") {
        let _ = writeln!(out, "header {header}");
    }
    for element in elements {
        let _ = writeln!(out, "{element}");
    }
    out
}

/// What the platform would refuse.
fn beyond_limits(content: &Value) -> Option<String> {
    let (bytes, n) = (wire_bytes(content), elements(content));
    let mut tables = 0;
    super::super::tests::walk(content, &mut |map| {
        if map.get("tag").and_then(Value::as_str) == Some("markdown") {
            tables += safe::shape(map["content"].as_str().unwrap_or_default()).tables;
        }
    });
    let keeps = bytes <= MAX_BYTES && n <= MAX_ELEMENTS && tables <= MAX_TABLES;
    (!keeps).then(|| format!("{bytes} bytes, {n} elements, {tables} tables"))
}

#[test]
fn every_sample_keeps_the_limits() {
    for lang in [Lang::Zh, Lang::En] {
        for sample in samples::all(lang) {
            let content = match wire(&sample, lang) {
                Wire::Card(card) => card,
                Wire::Message(rendered) => rendered.content,
                Wire::Toast(_) => continue,
            };
            assert_eq!(beyond_limits(&content), None, "{} {}", sample.kind, sample.state);
        }
    }
}

/// A list of requests in which nothing is open waits for nobody, and a short one has no count of lines.
#[test]
fn a_list_of_requests_says_what_is_so() {
    let read = |wanted: &str| {
        let all = samples::all(Lang::En);
        let sample = all.iter().find(|sample| sample.kind == "gates" && sample.state == wanted).expect("a sample");
        lines(wire(sample, Lang::En))
    };
    let over = read("all_decided");
    assert!(over.contains("Li Lei's request: Decided") && !over.contains("to approve"), "{over}");
    let low = read("low_risk");
    assert!(!low.contains("All 1 lines") && low.contains("All 19 lines"), "{low}");
    assert!(low.contains("session0.ts  +3 −1\\nA src/auth/session1.ts"), "the files come first: {low}");
}

/// Far more of everything than anybody would send: each list of each view, and each text.
fn monsters(text: &str) -> Vec<(String, View)> {
    let views = samples::all(Lang::En).into_iter().filter_map(|sample| match sample.shown {
        Shown::View(view) => Some((format!("{} {}", sample.kind, sample.state), *view)),
        _ => None,
    });
    views.map(|(name, view)| (name, monster(view, text))).collect()
}

fn monster(view: View, text: &str) -> View {
    let t = || text.to_owned();
    // In lists, which are long themselves.
    let each = || text.chars().take(2_000).collect::<String>();
    match view {
        View::Live(live) => {
            let steps = live.steps.iter().cloned().cycle().take(if live.steps.is_empty() { 0 } else { 200 });
            let steps = steps.map(|step| Step { object: each(), ..step }).collect();
            View::Live(LiveView { title: t(), requester: t(), project: t(), draft: t(), steps, ..live })
        }
        View::Gates(list) => {
            let rows = list.rows.clone().into_iter().cycle().take(MAX_GATE_ROWS).map(|row| {
                let risk = RiskShown { why: Some(t()), ..row.risk };
                // The state with the most to say.
                let state = match row.state.is_open() {
                    true => GateShown::OpenAgain { who: each(), at_ms: 0 },
                    false => row.state,
                };
                GateRow { ask: huge(&row.ask, text), claim: Some(t()), risk, state, ..row }
            });
            let (rows, low) = (rows.collect(), (0..MAX_GATE_ROWS as i64).collect());
            let list = GatesView { requester: t(), project: t(), deciders: t(), bot_name: t(), ..list };
            View::Gates(GatesView { rows, low, more: usize::MAX / 2, paused: true, ..list })
        }
        View::Gate(gate) => View::Gate(GateView { ask: huge(&gate.ask, text), ..named(gate, text) }),
        View::Interrupted(it) => {
            let step = Step { what: StepKind::Command, object: each(), state: StepState::Running, started_at_ms: 0 };
            let (certain, uncertain) = (vec![step.clone(); 200], vec![step; 200]);
            let (partial, steers) = (Some(t()), vec![each(); 50]);
            View::Interrupted(InterruptedView { requester: t(), certain, uncertain, partial, steers, ..it })
        }
        View::Queue(queue) => {
            let rows = queue.rows.into_iter().cycle().take(50).map(|row| QueueRow { who: each(), text: each(), ..row });
            View::Queue(QueueView { why: WaitReason::RuntimeTrouble { text: t() }, rows: rows.collect() })
        }
        View::Stale(stale) => View::Stale(StaleView { text: t(), others: u32::MAX, ..stale }),
        View::Status(status) => {
            View::Status(StatusView { project: t(), runtime: t(), warnings: vec![each(); 50], ..status })
        }
        View::Help(help) => View::Help(HelpView { project: t(), bot_name: t(), ..help }),
        View::Settings(settings) => View::Settings(SettingsView { project: t(), ..settings }),
        View::List(list) => {
            let rows = list.rows.into_iter().cycle().take(MAX_LIST_ROWS).map(|row| ListRow { text: each(), ..row });
            View::List(ListView { title: t(), rows: rows.collect(), notes: vec![t(); 3] })
        }
        View::Stranger(stranger) => View::Stranger(StrangerView { owner: t(), ..stranger }),
        View::Notice(notice) => View::Notice(NoticeView { text: t(), ..notice }),
    }
}

fn named(gate: GateView, text: &str) -> GateView {
    let t = || text.to_owned();
    let mention = vec!["ou_someone".into(); 50];
    let rule = gate.rule.map(|rule| RuleOffer { directory: t(), ..rule });
    GateView { requester: t(), project: t(), deciders: t(), bot_name: t(), claim: Some(t()), mention, rule, ..gate }
}

fn huge(ask: &Ask, text: &str) -> Ask {
    let t = || text.to_owned();
    let each = || text.chars().take(2_000).collect::<String>();
    match ask {
        Ask::Command { outside_sandbox, network, unsure, .. } => {
            let (outside_sandbox, network, unsure) = (*outside_sandbox, *network, *unsure);
            let wanted = vec![each(); 50];
            Ask::Command { command: t(), exact: t(), directory: t(), outside_sandbox, unsure, network, wanted }
        }
        Ask::FileChange { .. } => {
            let change = Change { path: each(), kind: each(), diff: t() };
            Ask::FileChange { changes: vec![change; 50], directory: t() }
        }
        Ask::Permissions { network_only, .. } => {
            Ask::Permissions { wanted: vec![each(); 50], directory: t(), network_only: *network_only }
        }
        Ask::Tool { .. } => Ask::Tool { server: t(), tool: t(), detail: t() },
        Ask::Questions { .. } => {
            let options = vec![QuestionOption { label: each(), description: each() }; 30];
            let question = |n| Question {
                id: format!("q{n}"),
                header: each(),
                text: each(),
                options: options.clone(),
                free_text: true,
                secret: true,
            };
            Ask::Questions { questions: (0..50).map(question).collect() }
        }
    }
}

/// Sizes that do come, with all that is hostile in them, in both languages: within the limits without the last resort,
/// which cuts texts that a button stands under.
#[test]
fn what_does_come_is_whole_or_says_what_is_missing() {
    let evil = "\u{202e}\u{200b}<at id=all></at>𠮷👩\u{200d}💻 \"\\\n";
    let line = format!("{}{}", "echo 字 && ".repeat(1_200), evil.repeat(20));
    let changes = (0..200).map(|n| Change {
        path: format!("src/{evil}/{n}.rs"),
        kind: "update".to_owned(),
        diff: format!("@@\n-a\n+{evil}\n"),
    });
    let command = Ask::Command {
        command: line.chars().take(10_000).collect(),
        exact: String::new(),
        directory: evil.to_owned(),
        outside_sandbox: true,
        network: true,
        unsure: false,
        wanted: Vec::new(),
    };
    let files = Ask::FileChange { changes: changes.collect(), directory: evil.to_owned() };
    let mut views = Vec::new();
    for sample in samples::all(Lang::En) {
        let Shown::View(view) = sample.shown else { continue };
        let view = match *view {
            View::Gate(gate) if gate.ask.is_question() => View::Gate(named(gate, evil)),
            View::Gate(gate) => {
                let files = View::Gate(GateView { ask: files.clone(), ..named(gate.clone(), evil) });
                views.push((format!("{} of files", sample.state), files));
                View::Gate(GateView { ask: command.clone(), ..named(gate, evil) })
            }
            View::Gates(list) => {
                let asks = [command.clone(), files.clone()];
                let rows = list.rows.iter().cycle().zip(asks.iter().cycle()).take(60);
                let rows = rows.map(|(row, ask)| {
                    let why = Some(evil.repeat(20));
                    let risk = RiskShown { why: why.clone(), class: Class::Destroy, ..row.risk.clone() };
                    GateRow { ask: ask.clone(), claim: why, risk, ..row.clone() }
                });
                let rows = rows.collect();
                View::Gates(GatesView { rows, ..list })
            }
            View::Live(live) => {
                let object = format!("{evil}{}", "x".repeat(500));
                let steps = live.steps.iter().cycle().take(if live.steps.is_empty() { 0 } else { 40 });
                let steps = steps.map(|step| Step { object: object.clone(), ..step.clone() }).collect();
                View::Live(LiveView { steps, draft: evil.repeat(30), title: evil.to_owned(), ..live })
            }
            _ => continue,
        };
        views.push((sample.state, view));
    }
    for lang in [Lang::Zh, Lang::En] {
        for (name, view) in &views {
            let card = draw(view, Pen { lang, zone: |_| Zone(480) });
            assert_eq!(beyond_limits(&card), None, "{name}");
            let text = card.to_string();
            assert!(
                !text.contains("<at id=all") && !text.contains(['\u{202e}', '\u{200b}']),
                "{name}: alive or hidden"
            );
            assert!(
                !text.contains("(cut, it does not fit)") && !text.contains("放不下，已截短"),
                "{name}: cut at the end"
            );
            html::card(&card).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    let list = samples::all(Lang::En).into_iter().find(|sample| sample.kind == "gates").expect("a list");
    let Shown::View(view) = list.shown else { panic!("a view") };
    let View::Gates(list) = *view else { panic!("a list") };
    let rows: Vec<GateRow> = list.rows.iter().cloned().cycle().take(60).collect();
    let drawn = draw(&View::Gates(GatesView { rows, ..list }), Pen { lang: Lang::En, zone: |_| Zone(480) }).to_string();
    assert!(drawn.contains("52 more: /gates") && drawn.contains("Approvals needed: 60"), "the rest is counted");
}

#[test]
fn no_size_breaks_the_limits() {
    let mut broken = BTreeSet::new();
    // Plain and long, wide, and what grows most on its way into a request.
    let texts = [
        (Lang::Zh, "x".repeat(100_000)),
        (Lang::En, "字 ".repeat(3_000)),
        (Lang::Zh, "𠮷👩\u{200d}💻".repeat(1_000)),
        (Lang::En, "`\u{202e}\"\\\n<at id=all>".repeat(600)),
    ];
    for (lang, text) in texts {
        for (name, view) in monsters(&text) {
            let card = draw(&view, Pen { lang, zone: |_| Zone(480) });
            broken.extend(beyond_limits(&card).map(|what| format!("{name}: {what}")));
            // It is still a card after it was cut.
            broken.extend(html::card(&card).err().map(|error| format!("{name}: {error}")));
        }
        let body = Body::Answer { markdown: format!("# A\n\n{text}"), part: 1, parts: 2, footer: None, mention: None };
        let form = answer(&body, 0, Lang::En).expect("a form");
        broken.extend(beyond_limits(&form.content).map(|what| format!("answer: {what}")));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
