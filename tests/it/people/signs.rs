//! What a chat sees of ally itself: signs on messages, one card for a queue, no word too many.

use std::time::{Duration, Instant};

use crate::support::feishu_sim::{Say, SimMessage};
use crate::support::world::*;

const CLOSED: &str = "oc_closed";

/// Somebody of another company.
fn outsider(world: &World, chat: &str, text: &str) -> String {
    let (chat, user, text) = (chat.to_owned(), "ou_out".to_owned(), text.to_owned());
    world.sim.post(Say { chat, user, text, tenant: Some("tenant_other".to_owned()), ..Say::default() })
}

fn by_bot(world: &World, chat: &str) -> Vec<SimMessage> {
    world.sim.messages(chat).into_iter().filter(SimMessage::by_bot).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_has_a_sign_at_once_and_nothing_else_has() {
    let world = World::start(Kind::Embedded).await;
    world.sim.add_group(CLOSED, "Closed", &[OWNER, STRANGER]);
    let nobodys = [
        world.sim.say(GROUP, LI, "not for the bot"),
        world.sim.say(GROUP, LI, "@all [[say never]]"),
        outsider(&world, GROUP, "@bot [[say never]]"),
        world.sim.say(CLOSED, STRANGER, "@bot [[say never]]"),
    ];
    for message in &nobodys {
        world.sim.wait_ack(message).await;
    }
    let mut quickest = Duration::MAX;
    for (chat, text) in [(OWNER_CHAT, "[[say a]]"), (GROUP, "@bot [[say b]]"), (OWNER_CHAT, "[[say c]]")] {
        let since = Instant::now();
        let message = world.sim.say(chat, OWNER, text);
        world.sim.wait_for("a sign", |sim| (!sim.message(&message).receipts().is_empty()).then_some(())).await;
        quickest = quickest.min(since.elapsed());
        world.answer(&message).await;
    }
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    world.settled().await;
    for message in &nobodys {
        assert!(world.sim.message(message).receipts().is_empty(), "{:?}", world.sim.message(message));
    }
    assert!(by_bot(&world, GROUP).iter().all(|said| !said.text().contains("never")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_of_allys_own_opens_no_topic() {
    let world = World::start(Kind::Embedded).await;
    world.sim.add_group(CLOSED, "Closed", &[OWNER, STRANGER]);
    let mut asked = Vec::new();
    for (chat, user, text) in [
        (GROUP, OWNER, "@bot /status"),
        (GROUP, OWNER, "@bot"),
        (GROUP, OWNER, "@bot /help"),
        (GROUP, OWNER, "@bot /stauts"),
        (GROUP, OWNER, "@bot /stop"),
        (GROUP, OWNER, "@bot /settings"),
        (GROUP, LI, "@bot /lock"),
        (GROUP, LI, "@bot /deny @ou_owner"),
        (CLOSED, STRANGER, "@bot hello"),
    ] {
        let message = world.sim.say(chat, user, text);
        assert!(world.said(&message).await.thread.is_none(), "{text}");
        asked.push(message);
    }
    world.settled().await;
    for chat in [GROUP, CLOSED] {
        let topics: Vec<_> = world.sim.messages(chat).into_iter().filter_map(|one| one.thread).collect();
        assert!(topics.is_empty(), "{topics:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_one_card() {
    let world = World::start(Kind::Embedded).await;
    let running = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1800000]] [[say never]]");
    world.wait("it to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let queued = ["one", "two", "three"].map(|n| world.sim.say(OWNER_CHAT, OWNER, &format!("[[say {n}]]")));
    let cards = |world: &World| {
        let of_queue = |card: &SimMessage| card.text().contains(" waiting") || card.text().contains("Nothing waits");
        by_bot(world, OWNER_CHAT).into_iter().filter(of_queue).collect::<Vec<_>>()
    };
    let shows = |world: &World, words: &str| cards(world).into_iter().find(|card| card.text().contains(words));
    let card = world.wait("all three", |world| shows(world, "3 waiting")).await;
    world.sim.click(&card.id, "Cancel", OWNER).await;
    let after = world.wait("two of them", |world| shows(world, "2 waiting")).await;
    assert_eq!(card.id, after.id, "the same card");
    world.sim.reply(&running, OWNER, "/stop");
    for (message, text) in queued.iter().zip(["one", "two", "three"]).skip(1) {
        assert_eq!(world.answer(message).await.said(), text);
    }
    world.settled().await;
    assert!(world.answers(&queued[0]).is_empty(), "the first was cancelled");
    let cards: Vec<String> = cards(&world).iter().map(SimMessage::text).collect();
    assert!(cards.len() == 1 && cards[0].contains("Nothing waits any more"), "{cards:?}");
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_group_is_told_once_a_day_and_another_company_never() {
    let world = World::start(Kind::Embedded).await;
    let two = "ou_second";
    world.sim.add_user(two, "Second");
    world.sim.add_group(CLOSED, "Closed", &[OWNER, STRANGER, two]);
    for day in 1..=2 {
        for user in [STRANGER, two, STRANGER, two] {
            let message = world.sim.say(CLOSED, user, "@bot hello");
            world.sim.wait_ack(&message).await;
        }
        for chat in [CLOSED, GROUP] {
            let message = outsider(&world, chat, "@bot hello");
            world.sim.wait_ack(&message).await;
        }
        // What comes after them all is through: so is whatever they caused.
        let last = world.sim.say(GROUP, OWNER, "@bot /whoami");
        world.said(&last).await;
        world.settled().await;
        let told: Vec<String> = by_bot(&world, CLOSED).iter().map(SimMessage::text).collect();
        assert_eq!(told.len(), day, "{told:?}");
        assert!(told.iter().all(|text| text.contains("not set up")), "{told:?}");
        assert_eq!(by_bot(&world, GROUP).len(), day, "the owner's answers only");
        let next = Duration::from_secs(24 * 3600);
        world.sim.advance(next);
        world.warp(next).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_cuts_nothing_says_nothing() {
    let mut world = World::start(Kind::Embedded).await;
    for (chat, text) in [(GROUP, "@bot [[shell true]] [[say told]]"), (OWNER_CHAT, "[[say told]]")] {
        let message = world.sim.say(chat, OWNER, text);
        world.answer(&message).await;
    }
    let asked = world.sim.say(GROUP, OWNER, "@bot [[escalate true]] [[say decided]]");
    let card = world.card_with(&asked, "Allow once").await;
    world.sim.click(&card.id, "Allow once", OWNER).await;
    world.answer(&asked).await;
    world.settled().await;
    let before = world.sim.requests().len();
    world.kill_bridge().await;
    world.settled().await;
    world.down().await;
    world.up().await;
    world.settled().await;
    let said: Vec<String> = world.sim.requests().split_off(before);
    let said: Vec<&String> =
        said.iter().filter(|call| call.contains("/messages") && !call.starts_with("GET")).collect();
    assert!(said.is_empty(), "{said:?}");
}
