//! What is over a limit is refused in the chat's language, once, and can be said again; what is too old is forgotten, and
//! nothing that anybody still waits for.

use std::time::Duration;

use ally::bridge::ports::Prompt;
use ally::ledger::inbound::{self, InboundRow, InboundState};
use serde_json::{Value, json};

use crate::support::feishu_sim::Say;
use crate::support::world::*;

fn send(world: &World, kind: &str, content: Value) -> String {
    world.sim.post(Say {
        chat: OWNER_CHAT.to_owned(),
        user: OWNER.to_owned(),
        raw: Some((kind.to_owned(), content.to_string())),
        ..Say::default()
    })
}

fn row(world: &World, message: &str) -> InboundRow {
    world.ledger(|tx| inbound::by_message(tx, &"feishu".into(), &message.into())).expect("it was taken in")
}

fn turns(world: &World) -> Vec<ally::ledger::turns::Turn> {
    world.ledger(|tx| {
        let lines = ally::ledger::report::turns(tx, false, false, 99)?;
        lines.into_iter().map(|line| ally::ledger::turns::get(tx, &line.id.into())).collect()
    })
}

/// Everything that the bot said in the owner's chat, in one text.
fn said(world: &World) -> String {
    let all = world.sim.messages(OWNER_CHAT).into_iter().filter(|message| message.by_bot());
    all.map(|message| message.text() + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_over_a_limit_are_named_and_the_rest_is_done() {
    let words = [
        ("en", ["big.bin is over 1 MB; not fetched", "At most 2 attachments at once"]),
        ("zh", ["big.bin 超过 1 MB，没有取下", "一次最多 2 个附件"]),
    ];
    for (lang, told) in words {
        let limits = "[limits]\nattachments = 2\nattachment_mb = 1\n";
        let mut world = World::prepare_in(lang, Kind::Embedded, limits).await;
        world.up().await;
        for n in 0..4 {
            world.sim.add_resource(&format!("img_{n}"), "a.png", b"\x89PNG not really");
        }
        world.sim.add_resource("file_big", "big.bin", &vec![7; (1 << 20) + 1]);
        send(&world, "file", json!({ "file_key": "file_big", "file_name": "big.bin" }));
        let pictures = (0..4).map(|n| json!({ "tag": "img", "image_key": format!("img_{n}") }));
        let text = json!({ "tag": "text", "text": "[[say seen]]" });
        let line: Vec<Value> = std::iter::once(text).chain(pictures).collect();
        let post = send(&world, "post", json!({ "title": "", "content": [line] }));
        world.wait("the answer", |world| world.answers(&post).into_iter().find(|one| one.said() == "seen")).await;
        world.settled().await;
        for words in told {
            assert_eq!(said(&world).matches(words).count(), 1, "{}", said(&world));
        }
        let [turn] = &turns(&world)[..] else { panic!("one task") };
        let prompt: Prompt = serde_json::from_str(&turn.prompt).unwrap();
        assert_eq!(prompt.images.len(), 2);
        assert!(prompt.text.contains("big.bin"), "the agent hears what it does not have: {}", prompt.text);
        // A bridge that begins anew says none of it again.
        world.kill_bridge().await;
        world.sim.redeliver(&post);
        world.sim.wait_ack(&post).await;
        world.settled().await;
        assert_eq!(said(&world).matches(told[1]).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_task_takes_so_many_words_and_no_more() {
    for (lang, allow, told) in [
        ("en", "Allow once", "20 messages were already added to this task"),
        ("zh", "允许一次", "这个任务已经补充了 20 条"),
    ] {
        let mut world = World::prepare_in(lang, Kind::Embedded, "").await;
        world.up().await;
        let file = world.file("x.txt");
        let task = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo x >> {}]] [[say done]]", file.display()));
        let card = world.card_with(&task, allow).await;
        let steers: Vec<String> =
            (0..22).map(|n| world.sim.say(OWNER_CHAT, OWNER, &format!("/steer and this as well: {n}"))).collect();
        for refused in &steers[20..] {
            let marked = |world: &World| world.sim.message(refused).receipts() == ["CrossMark"];
            world.wait("the mark", |world| marked(world).then_some(())).await;
            assert_eq!(row(&world, refused).state, InboundState::Refused);
        }
        assert!(world.answer(&steers[20]).await.text().contains(told), "{}", said(&world));
        assert!(steers[..20].iter().all(|message| row(&world, message).steer.is_some()));
        assert_eq!(said(&world).matches(told).count(), 1, "it is said once a minute");
        world.sim.click(&card.id, allow, OWNER).await;
        let answer = world.answer(&task).await.said();
        assert!(answer.starts_with("done") && answer.contains("this as well: 19"), "{answer}");
        assert!(!answer.contains("this as well: 20"), "{answer}");
        world.settled().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_pictures_of_one_person_wait_for_words_and_no_more() {
    for (lang, told) in [("en", "2 of your messages already wait here for words"), ("zh", "你已有 2 条没有文字的在等")]
    {
        let mut world = World::prepare_in(lang, Kind::Embedded, "[limits]\nattachments = 2\n").await;
        world.up().await;
        let mut pictures = Vec::new();
        for n in 0..4 {
            let key = format!("img_{n}");
            world.sim.add_resource(&key, "a.png", b"\x89PNG not really");
            pictures.push(send(&world, "image", json!({ "image_key": key })));
        }
        for refused in &pictures[2..] {
            let marked = |world: &World| world.sim.message(refused).receipts() == ["CrossMark"];
            world.wait("the mark", |world| marked(world).then_some(())).await;
        }
        assert!(world.answer(&pictures[2]).await.text().contains(told), "{}", said(&world));
        assert_eq!(said(&world).matches(told).count(), 1, "it is said once a minute");
        let words = world.sim.say(OWNER_CHAT, OWNER, "[[say seen]]");
        assert_eq!(world.answer(&words).await.said(), "seen");
        world.settled().await;
        let turn = row(&world, &words).turn;
        assert!(turn.is_some() && pictures[..2].iter().all(|picture| row(&world, picture).turn == turn));
        // There is room again.
        let next = send(&world, "image", json!({ "image_key": "img_3" }));
        let found = |world: &World| world.ledger(|tx| inbound::by_message(tx, &"feishu".into(), &next.as_str().into()));
        let waits = |world: &World| found(world).is_some_and(|row| row.state == InboundState::Waiting);
        world.wait("it to wait", |world| waits(world).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_settled_and_can_be_said_again() {
    let words = [
        ("en", "[limits]\nqueue_per_chat = 1\n", "1 tasks already wait in this chat"),
        ("zh", "[limits]\nqueue = 1\n", "我手上已有 1 条在排队"),
    ];
    for (lang, limits, told) in words {
        let mut world = World::prepare_in(lang, Kind::Embedded, limits).await;
        world.up().await;
        let once = if lang == "en" { "Allow once" } else { "允许一次" };
        let held = world.sim.say(OWNER_CHAT, OWNER, "[[escalate true]] [[say held]]");
        let card = world.card_with(&held, once).await;
        let queued = world.sim.say(OWNER_CHAT, OWNER, "[[say queued]]");
        world.wait("it to wait", |world| (world.status()?["turns"]["queued"] == 1).then_some(())).await;
        let over = world.sim.say(OWNER_CHAT, OWNER, "[[say over]]");
        assert!(world.answer(&over).await.text().contains(told), "{}", said(&world));
        let is_refused = |world: &World| {
            let row = row(world, &over);
            assert_eq!(row.state, InboundState::Refused);
            assert!(row.turn.is_none());
            assert_eq!(world.answers(&over).len(), 1, "it is told once");
        };
        is_refused(&world);
        // Nobody tries it again: not the platform, and not another bridge.
        world.sim.redeliver(&over);
        world.sim.wait_ack(&over).await;
        world.kill_both().await;
        world.settled_surfaces().await;
        is_refused(&world);
        assert_eq!(world.sim.message(&over).receipts(), ["CrossMark"]);
        // The runtime went with the bridge: its task asks, and lets the queue go on once that is decided.
        let dismiss = if lang == "en" { "Dismiss" } else { "不用了" };
        let lost = world.wait("the card of the interrupted task", |world| {
            world.cards(&held).into_iter().find(|one| one.id != card.id && one.button(dismiss).is_some())
        });
        world.sim.click(&lost.await.id, dismiss, OWNER).await;
        assert_eq!(world.answer(&queued).await.said(), "queued");
        world.settled().await;
        let again = world.sim.say(OWNER_CHAT, OWNER, "[[say over]]");
        assert_eq!(world.answer(&again).await.said(), "over");
        world.settled().await;
        is_refused(&world);
    }
}

const TWO_DAYS: Duration = Duration::from_secs(2 * 86_400);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_long_ago_is_forgotten_and_what_waits_is_not() {
    let mut world = World::prepare(Kind::Embedded, "[ledger]\nkeep_days = 1\n").await;
    world.up().await;
    let old = world.sim.say(OWNER_CHAT, OWNER, "[[say once upon a time]]");
    world.answer(&old).await;
    world.settled().await;
    let waits = world.sim.say(GROUP, OWNER, "@bot [[escalate true]] [[say allowed]]");
    let card = world.card_with(&waits, "Allow once").await;
    world.settled_surfaces().await;
    // Our clock alone says that it is long ago.
    world.warp(TWO_DAYS).await;
    world.wait("the look", |world| world.whole_log().contains("Our clock is ahead").then_some(())).await;
    world.settled_surfaces().await;
    assert!(row(&world, &old).raw.is_some(), "nothing is forgotten by a clock that has jumped");
    world.sim.advance(TWO_DAYS);
    world.warp(TWO_DAYS).await;
    world.wait("the words to be forgotten", |world| row(world, &old).raw.is_none().then_some(())).await;
    let found = turns(&world);
    let of = |message: &str| found.iter().find(|turn| row(&world, message).turn.as_ref() == Some(&turn.id)).unwrap();
    assert!(of(&old).prompt.is_empty() && of(&old).title.is_empty());
    assert!(of(&waits).prompt.contains("allowed"), "what waits for a person is kept");
    world.warp_back(2 * TWO_DAYS).await;
    world.sim.redeliver(&old);
    world.sim.wait_ack(&old).await;
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&waits).await.said(), "allowed");
    world.settled().await;
    assert_eq!(world.answers(&old).len(), 1, "its key is kept");
}
