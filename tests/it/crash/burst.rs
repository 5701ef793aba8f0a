//! Files, pictures and forwards: they wait for their words, join them, and are never forgotten in silence.

use std::time::Duration;

use ally::domain::ids::MessageId;
use ally::ledger::inbound;
use serde_json::{Value, json};

use crate::support::feishu_sim::{Say, SimMessage};
use crate::support::world::*;

const HINT: &str = "What shall I do with it";
const DROPPED: &str = "No text came within 10 minutes";

fn picture(world: &World, key: &str) -> String {
    world.sim.add_resource(key, "a.png", b"\x89PNG not really");
    world.sim.post(Say {
        chat: OWNER_CHAT.to_owned(),
        user: OWNER.to_owned(),
        raw: Some(("image".to_owned(), json!({ "image_key": key }).to_string())),
        ..Say::default()
    })
}

/// What the bot said anywhere in the owner's chat that contains `words`.
fn told(world: &World, words: &str) -> Vec<SimMessage> {
    world.sim.messages(OWNER_CHAT).into_iter().filter(|m| m.by_bot() && m.text().contains(words)).collect()
}

async fn until_told(world: &World, words: &str) -> SimMessage {
    world.wait(&format!("{words:?}"), |world| told(world, words).into_iter().next()).await
}

async fn until_received(world: &World, message: &str) {
    world.wait("the receipt", |world| (!world.sim.message(message).receipts().is_empty()).then_some(())).await;
}

fn turns(world: &World) -> Vec<Value> {
    serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap()
}

/// The frozen prompt of the only turn.
fn only_prompt(world: &World) -> String {
    let turns = turns(world);
    assert_eq!(turns.len(), 1, "one turn: {turns:#?}");
    prompt(world, &turns[0])
}

fn prompt(world: &World, turn: &Value) -> String {
    let shown = world.run(&["turns", "show", turn["id"].as_str().unwrap(), "--json"]).0;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown["prompt"].as_str().unwrap_or_else(|| panic!("no prompt in {shown:#}")).to_owned()
}

/// The number of a message's row, which its attachments are named after.
fn seq(world: &World, message: &str) -> i64 {
    let message = MessageId::from(message);
    world.ledger(|tx| inbound::by_message(tx, &"feishu".into(), &message)).expect("a row").seq.0
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_their_words_are_one_turn_in_the_order_of_sending() {
    let world = World::start(Kind::Embedded).await;
    let pictures = [picture(&world, "img_1"), picture(&world, "img_2"), picture(&world, "img_3")];
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1500]] [[say seen]]");
    let second = world.sim.say(OWNER_CHAT, OWNER, "[[say second]]");
    assert_eq!(world.answer(&words).await.said(), "seen");
    assert_eq!(world.answer(&second).await.said(), "second", "a second text is queued, never a silent steer");
    world.settled().await;
    let turns = turns(&world);
    assert_eq!(turns.len(), 2);
    // Newest first.
    let prompt = prompt(&world, &turns[1]);
    let places: Vec<usize> = (1..=3).map(|n| prompt.find(&format!("image-{n}-0.png")).expect("a picture")).collect();
    assert!(places.is_sorted(), "{prompt}");
    for picture in &pictures {
        assert_eq!(world.sim.message(picture).receipts(), ["DONE"], "a picture's receipt is that of its turn");
    }
    // The time of the hint passes, and there is nothing to hint at.
    world.warp(Duration::from_secs(20)).await;
    let after = world.sim.say(OWNER_CHAT, OWNER, "[[say after]]");
    world.answer(&after).await;
    assert_eq!(told(&world, HINT).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_without_words_is_told_once_and_then_ended() {
    let world = World::start(Kind::Embedded).await;
    let pictures = [picture(&world, "img_1"), picture(&world, "img_2"), picture(&world, "img_3")];
    for picture in &pictures {
        until_received(&world, picture).await;
        assert_eq!(world.sim.message(picture).receipts(), ["Get"], "a sign at once, and no question yet");
    }
    assert_eq!(told(&world, HINT).len(), 0);
    world.warp(Duration::from_secs(8)).await;
    let hint = until_told(&world, HINT).await;
    assert_eq!(hint.replied_to.as_ref(), pictures.last(), "it answers the last one");
    world.warp(Duration::from_secs(9 * 60)).await;
    world.warp(Duration::from_secs(60)).await;
    until_told(&world, DROPPED).await;
    world.settled().await;
    for picture in &pictures {
        assert_eq!(world.sim.message(picture).receipts(), ["CrossMark"]);
    }
    assert_eq!((told(&world, HINT).len(), told(&world, DROPPED).len()), (1, 1), "each is said once a burst");
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say alone]]");
    world.answer(&words).await;
    assert!(!only_prompt(&world).contains(".png"), "what was ended is not taken later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_neither_forgets_nor_repeats_the_hint() {
    let world = World::start(Kind::Embedded).await;
    let first = picture(&world, "img_1");
    until_received(&world, &first).await;
    world.kill_bridge().await;
    world.warp(Duration::from_secs(8)).await;
    until_told(&world, HINT).await;
    world.settled().await;
    world.kill_bridge().await;
    world.warp(Duration::from_secs(60)).await;
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say seen]]");
    world.answer(&words).await;
    assert!(only_prompt(&world).contains(".png"));
    assert_eq!(told(&world, HINT).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_picture_is_left_out() {
    let world = World::start(Kind::Embedded).await;
    let first = picture(&world, "img_1");
    let second = picture(&world, "img_2");
    until_received(&world, &second).await;
    world.sim.recall(&first);
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say seen]]");
    world.answer(&words).await;
    let prompt = only_prompt(&world);
    assert!(!prompt.contains("image-1-") && prompt.contains("image-2-"), "{prompt}");
    world.sim.recall(&second);
    world.warp(Duration::from_secs(20 * 60)).await;
    let after = world.sim.say(OWNER_CHAT, OWNER, "[[say after]]");
    world.answer(&after).await;
    assert_eq!(told(&world, HINT).len() + told(&world, DROPPED).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_right_after_its_words_joins_them_while_they_are_queued() {
    let world = World::start(Kind::Embedded).await;
    world.sim.say(OWNER_CHAT, OWNER, "[[sleep 2500]] [[say first]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say seen]]");
    picture(&world, "img_1");
    assert_eq!(world.answer(&words).await.said(), "seen");
    // The words of this one have been handed over: it is a question of its own.
    let running = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 2000]] [[say third]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    picture(&world, "img_2");
    world.answer(&running).await;
    world.warp(Duration::from_secs(8)).await;
    until_told(&world, HINT).await;
    let turns = turns(&world);
    assert_eq!(turns.len(), 3);
    let pictured: Vec<bool> = turns.iter().map(|turn| prompt(&world, turn).contains(".png")).collect();
    assert_eq!(pictured, [false, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_words_keep_their_picture_until_they_are_wanted() {
    let world = World::start(Kind::Embedded).await;
    world.warp(Duration::from_secs(3600)).await;
    let first = picture(&world, "img_1");
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say seen late]]");
    let card = world.card_with(&words, "Do it").await;
    world.warp(Duration::from_secs(20 * 60)).await;
    world.sim.click(&card.id, "Do it", OWNER).await;
    assert_eq!(world.answer(&words).await.said(), "seen late");
    assert!(only_prompt(&world).contains(".png"));
    let second = picture(&world, "img_2");
    let unwanted = world.sim.say(OWNER_CHAT, OWNER, "[[say never]]");
    let card = world.card_with(&unwanted, "Do it").await;
    world.sim.click(&card.id, "Cancel", OWNER).await;
    world.settled().await;
    assert_eq!(world.sim.message(&first).receipts(), ["DONE"]);
    assert_eq!(world.sim.message(&second).receipts(), ["CrossMark"]);
    assert_eq!(told(&world, HINT).len() + told(&world, DROPPED).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_ends_with_its_late_words_or_outlives_a_command() {
    let world = World::start(Kind::Embedded).await;
    world.warp(Duration::from_secs(3600)).await;
    let gone = picture(&world, "img_1");
    let recalled = world.sim.say(OWNER_CHAT, OWNER, "[[say never]]");
    let card = world.card_with(&recalled, "Do it").await;
    world.sim.recall(&recalled);
    world.wait("its end", |world| (world.sim.message(&gone).receipts() == ["CrossMark"]).then_some(())).await;
    world.wait("no question", |world| (!world.sim.message(&card.id).text().contains("Do it")).then_some(())).await;
    let kept = picture(&world, "img_2");
    let command = world.sim.say(OWNER_CHAT, OWNER, "/status");
    let card = world.card_with(&command, "Do it").await;
    world.sim.click(&card.id, "Do it", OWNER).await;
    world.wait("it waits again", |world| (world.sim.message(&kept).receipts() == ["Get"]).then_some(())).await;
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say seen]]");
    let card = world.card_with(&words, "Do it").await;
    world.sim.click(&card.id, "Do it", OWNER).await;
    assert_eq!(world.answer(&words).await.said(), "seen");
    assert!(only_prompt(&world).contains(&format!("image-{}-", seq(&world, &kept))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_joins_words_behind_a_command_leaves_them_as_they_were() {
    let world = World::start(Kind::Embedded).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[escalate echo hold]]");
    let gate = world.card_with(&asked, "Allow once").await;
    let words = world.sim.say(OWNER_CHAT, OWNER, "/new [[say fixed]]");
    let along = picture(&world, "img_1");
    world.wait("it to join", |world| (world.sim.message(&along).receipts() == ["OneSecond"]).then_some(())).await;
    world.sim.click(&gate.id, "Allow once", OWNER).await;
    world.settled().await;
    assert!(world.sim.answers_to(&words).iter().any(|answer| answer.said() == "fixed"));
    let told = prompt(&world, &turns(&world)[0]);
    assert!(told.starts_with("[[say fixed]]") && told.contains(".png"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_picture_leaves_the_queue_and_recalled_words_take_theirs_along() {
    let world = World::start(Kind::Embedded).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[escalate echo hold]]");
    let gate = world.card_with(&asked, "Allow once").await;
    let kept = picture(&world, "img_1");
    let gone = picture(&world, "img_2");
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say seen]]");
    let queued = |message: &str, world: &World| (world.sim.message(message).receipts() == ["OneSecond"]).then_some(());
    world.wait("the picture in the queue", |world| queued(&gone, world)).await;
    world.sim.recall(&gone);
    // So much later that it is not sent together with the first words.
    world.sim.advance(Duration::from_secs(5));
    let along = picture(&world, "img_3");
    let unwanted = world.sim.say(OWNER_CHAT, OWNER, "[[say never]]");
    world.wait("the second words in the queue", |world| queued(&unwanted, world)).await;
    world.sim.recall(&unwanted);
    world.wait("the end", |world| (world.sim.message(&along).receipts() == ["CrossMark"]).then_some(())).await;
    world.sim.click(&gate.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&words).await.said(), "seen");
    let turns = turns(&world);
    assert_eq!((turns.len(), turns[0]["outcome"].as_str()), (3, Some("cancelled")));
    let told = prompt(&world, &turns[1]);
    let pictures = [&kept, &gone].map(|picture| told.contains(&format!("image-{}-", seq(&world, picture))));
    assert!(told.contains("[[say seen]]") && pictures == [true, false], "{told}");
    world.settled().await;
    assert_eq!(world.sim.message(&kept).receipts(), ["DONE"]);
}
