//! Secret answers and the death of the bridge: one that is given after it arrives, one that was only in memory is asked for
//! again and said to be, and none of them is written down.

use serde_json::json;

use super::held::{assert_nothing_was_told, kill_only_the_bridge};
use super::points::{arm, died};
use crate::people::answer::{assert_kept_nowhere, holding};
use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

/// The text goes on for a while, so that what codex said is not taken away yet when it is looked at.
const ASK: &str = "[[secret Which token?]] [[stream 60 100]] [[say got it]]";

/// Codex has the secret, which its model gets, and nobody else has.
async fn assert_arrived(world: &World, message: &str, secret: &str) {
    // While codex' words are still kept.
    world.wait("the turn to go on", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    assert_kept_nowhere(world, secret);
    assert!(world.answer(message).await.said().ends_with("got it"));
    world.settled().await;
    assert_eq!(world.answers(message).len(), 1);
    assert_nothing_was_told(world, message);
    assert_kept_nowhere(world, secret);
    assert!(codex_was_told(world, secret), "the agent has it");
}

/// What codex writes down itself is its own.
fn codex_was_told(world: &World, secret: &str) -> bool {
    !holding(&world.home.path().join("ally/codex"), secret).is_empty()
}

/// The sentences that ask to give an answer again, under the card.
fn asked_again(world: &World, card: &SimMessage) -> usize {
    let said = world.sim.answers_to(&card.id).into_iter().filter(|one| one.text().contains("Secrets are not stored"));
    said.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_given_after_a_death_arrives_and_is_kept_nowhere() {
    let world = World::start(Kind::Codex).await;
    for by_card in [true, false] {
        let asked = world.sim.say(OWNER_CHAT, OWNER, ASK);
        let card = world.card_with(&asked, "Send").await;
        world.settled_surfaces().await;
        kill_only_the_bridge(&world).await;
        world.settled_surfaces().await;
        assert_eq!(world.sim.message(&card.id).buttons(), card.buttons());
        let secret = format!("hunter2-{by_card}");
        if by_card {
            world.sim.click_form(&card.id, "Send", OWNER, json!({ "t0": secret })).await;
        } else {
            world.sim.say(OWNER_CHAT, OWNER, &secret);
        }
        assert_arrived(&world, &asked, &secret).await;
        assert_eq!(asked_again(&world, &card), 0, "nobody is asked twice");
    }
}

/// Somebody answers, and the bridge dies at a place on the way of that.
async fn dies_with_an_answer(world: &World, place: &str, card: &SimMessage, by_card: bool, secret: &str) {
    arm(world, place);
    if !by_card {
        world.sim.say(OWNER_CHAT, OWNER, secret);
        return died(world, place).await;
    }
    // The ack may never come: nobody waits for it.
    let (sim, id, form) = (world.sim.clone(), card.id.clone(), json!({ "t0": secret }));
    let click = tokio::spawn(async move { sim.click_form(&id, "Send", OWNER, form).await });
    died(world, place).await;
    click.abort();
}

/// The bridge dies with the answer in its memory, before codex has it: the card asks again, and whoever answered is told.
async fn lost_at(place: &str, by_card: bool) {
    let world = World::start(Kind::Codex).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, ASK);
    let card = world.card_with(&asked, "Send").await;
    world.settled_surfaces().await;
    let codex = world.pid("runtime");
    let first = "hunter2-that-was-only-in-memory";
    dies_with_an_answer(&world, place, &card, by_card, first).await;
    assert_eq!(world.pid("runtime"), codex, "at {place}");
    world.wait("the word under the card", |world| (asked_again(world, &card) == 1).then_some(())).await;
    world.settled_surfaces().await;
    let now = world.sim.message(&card.id);
    assert_eq!(now.buttons(), card.buttons(), "the same card asks again, at {place}: {}", now.text());
    // What was wiped leaves the ledger's log soon.
    let home = world.home.path().join("ally");
    world.wait("it to be gone", |_| holding(&home, first).is_empty().then_some(())).await;
    assert_kept_nowhere(&world, first);
    let second = "hunter2-given-again";
    world.sim.click_form(&card.id, "Send", OWNER, json!({ "t0": second })).await;
    assert_arrived(&world, &asked, second).await;
    assert!(!codex_was_told(&world, first), "what died with the bridge is gone, at {place}");
    assert_eq!(asked_again(&world, &card), 1, "once, at {place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_died_with_the_bridge_before_it_was_passed_on_is_asked_for_again() {
    for place in ["w5.after", "w5a.before", "w5a.after"] {
        lost_at(place, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_one_that_died_with_the_bridge_is_asked_for_again() {
    for place in ["w5.after", "w5a.before"] {
        lost_at(place, false).await;
    }
}

/// Codex has it, and the bridge does not know that yet: it hears so from codex, and asks nobody.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_codex_had_is_not_asked_for_again() {
    for by_card in [true, false] {
        let world = World::start(Kind::Codex).await;
        let asked = world.sim.say(OWNER_CHAT, OWNER, ASK);
        let card = world.card_with(&asked, "Send").await;
        world.settled_surfaces().await;
        let secret = "hunter2-on-its-way";
        dies_with_an_answer(&world, "gate.over.before", &card, by_card, secret).await;
        assert_arrived(&world, &asked, secret).await;
        assert_eq!(asked_again(&world, &card), 0);
    }
}

/// Not even the words of one that was typed and never looked at stay: the successor takes them as the answer.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_taken_in_and_not_looked_at_is_the_answer_all_the_same() {
    for place in ["w1.after", "w5.before"] {
        let world = World::start(Kind::Codex).await;
        let asked = world.sim.say(OWNER_CHAT, OWNER, ASK);
        let card = world.card_with(&asked, "Send").await;
        world.settled_surfaces().await;
        let secret = "hunter2-typed";
        dies_with_an_answer(&world, place, &card, false, secret).await;
        assert_arrived(&world, &asked, secret).await;
        assert_eq!(asked_again(&world, &card), 0, "at {place}");
    }
}
