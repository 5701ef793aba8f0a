//! Cards that cannot be changed any more, or not now: none says for ever what is no longer so.

use crate::support::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_the_platform_does_not_know_any_more_is_drawn_anew_once() {
    let world = World::start(Kind::Embedded).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 60000]] [[say never]]");
    let lost = world.card_with(&asked, "Stop").await;
    world.sim.lose(&lost.id);
    world.sim.say(OWNER_CHAT, OWNER, "停");
    let fresh = world
        .wait("the new card", |world| {
            world.sim.answers_to(&asked).into_iter().find(|one| one.by_bot() && one.msg_type == "interactive")
        })
        .await;
    assert!(fresh.id != lost.id && fresh.button("Stop").is_none(), "{fresh:?}");
    world.sim.lose(&fresh.id);
    world.settled_surfaces().await;
    let vain = world.sim.requests().iter().filter(|line| line.starts_with("PATCH") && line.ends_with(&lost.id)).count();
    assert!(vain <= 2, "nobody goes on changing what is not there: {vain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_of_a_channel_that_was_off_is_painted_when_it_is_back() {
    let mut world = World::start(Kind::Embedded).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[escalate true]] [[say fine]]");
    let card = world.card_with(&asked, "Allow once").await;
    world.settled_surfaces().await;
    world.down().await;
    world.up_with_feishu(false).await;
    world.wait("the turn to end", |world| (world.status()?["turns"]["waiting"] == 0).then_some(())).await;
    world.down().await;
    world.up_with_feishu(true).await;
    world
        .wait("the old card to change", |world| {
            world.sim.message(&card.id).button("Allow once").is_none().then_some(())
        })
        .await;
}

/// Its last change was a moment ago, and the platform wants a pause between two.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_no_card_that_claims_to_run() {
    let mut world = World::start(Kind::Embedded).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[escalate true]] [[say fine]]");
    world.card_with(&asked, "Allow once").await;
    world
        .wait("the live card", |world| world.cards(&asked).into_iter().find(|card| card.button("Allow once").is_none()))
        .await;
    world.down().await;
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}
