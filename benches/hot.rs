//! The pieces that every message passes, each alone: `cargo bench --bench hot`. What the whole daemon does with them is
//! measured by `ally bench`.

use std::path::Path;

use ally::bridge::render::{Limits, answer};
use ally::channels::feishu::card::card;
use ally::channels::feishu::frames::Fragments;
use ally::channels::feishu::{Frame, Header};
use ally::domain::command::parse;
use ally::domain::risk::{self, Place};
use ally::domain::view::{Lang, LiveState, LiveView, Step, StepKind, StepState, View};
use ally::ledger::inbound::{InboundState, NewInbound};
use ally::ledger::{Places, Yardstick};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use prost::Message;

/// An event frame about as heavy as the platform's.
fn frame() -> Frame {
    let pair = |key: &str, value: &str| Header { key: key.to_owned(), value: value.to_owned() };
    let headers = [
        ("type", "event"),
        ("message_id", "d1f0c2e5-1111-4d3e-9f60-abcdefabcdef"),
        ("sum", "1"),
        ("seq", "0"),
        ("trace_id", "0123456789abcdef0123456789abcdef"),
        ("timestamp", "1790000000000"),
    ];
    let text = "x".repeat(900);
    Frame {
        service: 33_554_678,
        method: 1,
        headers: headers.map(|(key, value)| pair(key, value)).to_vec(),
        payload: Some(format!("{{\"schema\":\"2.0\",\"event\":{{\"text\":\"{text}\"}}}}").into_bytes()),
        ..Frame::default()
    }
}

fn frames(criterion: &mut Criterion) {
    let bytes = frame().encode_to_vec();
    criterion.bench_function("frame: decode and put together", |bencher| {
        let mut fragments = Fragments::default();
        bencher.iter(|| {
            let frame = Frame::decode(bytes.as_slice()).expect("our own bytes");
            fragments.push(&frame, tokio::time::Instant::now())
        });
    });
}

fn cards(criterion: &mut Criterion) {
    let step = |n: usize| Step {
        what: StepKind::Command,
        object: format!("cargo test --lib part_{n}"),
        state: StepState::Ok,
        started_at_ms: 1_790_000_000_000,
    };
    let view = View::Live(LiveView {
        title: "Look at the failing test".to_owned(),
        requester: "Li Lei".to_owned(),
        project: "web".to_owned(),
        started_at_ms: 1_790_000_000_000,
        state: LiveState::Running,
        steps: (0..40).map(step).collect(),
        draft: "It seems that the parser takes the second separator for the end of the line. ".repeat(20),
        unreachable_since_ms: None,
        stop: None,
        direct: false,
    });
    criterion.bench_function("card: a live turn with 40 steps", |bencher| bencher.iter(|| card(&view, Lang::Zh)));
}

fn answers(criterion: &mut Criterion) {
    let block = "Some words about what was done, and why.\n\n```rust\nfn main() {\n    println!(\"hello\");\n}\n```\n\n- a\n- b\n\n";
    let limits = Limits { part_chars: 3_500, max_parts: 5 };
    for (name, text) in [("1 kB", block.repeat(10)), ("100 kB", block.repeat(1_000))] {
        criterion.bench_function(&format!("answer: split {name} of Markdown"), |bencher| {
            bencher.iter(|| answer(&text, None, None, limits, Lang::En));
        });
    }
}

fn words(criterion: &mut Criterion) {
    criterion.bench_function("shortcut: a sentence", |bencher| {
        bencher.iter(|| parse("Please look at the failing test in the parser and tell me what is wrong with it."));
    });
    let place = Place {
        project: Path::new("/home/li/web"),
        directory: Path::new("/home/li/web"),
        home: Path::new("/home/li"),
        temp: None,
        ally_home: Path::new("/home/li/.ally"),
    };
    let line = "cd src && git status --short | head -n 20; for f in *.rs; do wc -l \"$f\"; done && cargo test --lib";
    criterion.bench_function("classifier: a compound line", |bencher| bencher.iter(|| risk::command(line, &place)));
}

/// With its sync: what the disk takes.
fn commits(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder below target/");
    let places = Places { file: dir.path().join("plain.db"), backups: dir.path().join("backups") };
    let mut yardstick = Yardstick::open(&places).expect("a file");
    let mut n = 0_u64;
    criterion.bench_function("ledger: admit and commit", |bencher| {
        bencher.iter_batched(
            || {
                n += 1;
                NewInbound {
                    channel: "feishu".into(),
                    dedupe_key: format!("om_{n:032}"),
                    kind: "message",
                    state: InboundState::Received,
                    reason: None,
                    chat: Some("oc_direct".into()),
                    chat_kind: Some("direct"),
                    message: Some(format!("om_{n:032}").as_str().into()),
                    sender: Some("ou_owner".into()),
                    raw: Some("x".repeat(800)),
                    sent_at_ms: Some(1),
                    received_at_ms: 1,
                }
            },
            |row| yardstick.commit(&row).expect("a commit"),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(hot, frames, cards, answers, words, commits);
criterion_main!(hot);
