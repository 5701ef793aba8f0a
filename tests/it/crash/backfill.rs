//! What the platform never delivers is found: once, by whom it may be, and never twice.

use std::time::Duration;

use super::points::{arm, died};
use crate::support::feishu_sim::Say;
use crate::support::world::*;

/// The owner and a group have spoken with it before, and it is down.
async fn away(settings: &str) -> (World, String) {
    let mut world = World::prepare(Kind::Embedded, settings).await;
    world.up().await;
    let direct = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    let group = world.sim.say(GROUP, OWNER, "@bot [[say hello group]]");
    world.answer(&direct).await;
    world.answer(&group).await;
    world.settled().await;
    world.down().await;
    (world, group)
}

/// Waits until what was missed has been looked for, `times` in all. A new ledger has missed nothing.
async fn looked(world: &World, times: usize) {
    world
        .wait("a look for what was missed", |world| {
            (world.whole_log().matches("Looked for what was missed").count() >= times).then_some(())
        })
        .await;
}

fn in_topic(world: &World, root: &str, user: &str, text: &str) -> Say {
    let (chat, text) = (world.sim.message(root).chat, text.to_owned());
    Say { chat, user: user.to_owned(), text, parent: Some(root.to_owned()), ..Say::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_during_a_downtime_is_answered_once() {
    let (mut world, group) = away("").await;
    let topic = in_topic(&world, &group, LI, "@bot [[say three]]");
    let missed = [
        (world.sim.hold_back(OWNER_CHAT, OWNER, "[[say one]]"), "one"),
        (world.sim.hold_back(GROUP, LI, "@bot [[say two]]"), "two"),
        (world.sim.post_back(topic), "three"),
    ];
    world.sim.chatter(GROUP, LI, 60);
    world.up().await;
    for (message, want) in &missed {
        assert_eq!(world.answer(message).await.said(), *want);
    }
    // The platform remembers them after all.
    for (message, _) in &missed {
        world.sim.deliver(message);
        world.sim.wait_ack(message).await;
    }
    world.settled().await;
    world.kill_bridge().await;
    looked(&world, 2).await;
    world.settled().await;
    for (message, _) in &missed {
        assert_eq!(world.answers(message).len(), 1);
    }
    assert_eq!(world.ledger(|tx| Ok(ally::ledger::report::turns(tx, false, false, 99)?.len())), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_silence_of_the_connection_is_looked_through() {
    let world = World::start(Kind::Embedded).await;
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.answer(&hello).await;
    world.settled().await;
    let missed = world.sim.hold_back(OWNER_CHAT, OWNER, "[[say found]]");
    world.warp(Duration::from_secs(120)).await;
    world.sim.drop_connections();
    assert_eq!(world.answer(&missed).await.said(), "found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_or_was_answered_asks() {
    let (mut world, _) = away("[intake]\nbackfill_run = \"0s\"\n").await;
    let missed = world.sim.hold_back(OWNER_CHAT, OWNER, "[[say done late]]");
    world.up().await;
    let card = world.card_with(&missed, "Do it").await;
    assert!(world.answers(&missed).is_empty());
    world.sim.click(&card.id, "Do it", OWNER).await;
    assert_eq!(world.answer(&missed).await.said(), "done late");
    world.settled().await;
    assert_eq!(world.answers(&missed).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn recalls_strangers_and_the_time_before_are_left_alone() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    world.sim.add_direct("oc_li", LI);
    world.sim.add_group("oc_closed", "Closed", &[OWNER, STRANGER]);
    let before = world.sim.hold_back("oc_li", LI, "[[say before]]");
    world.up().await;
    let file = world.file("x.txt");
    let asks = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo x >> {}]] [[say asked]]", file.display()));
    let card = world.card_with(&asks, "Allow once").await;
    let queued = world.sim.say(OWNER_CHAT, OWNER, "[[say queued]]");
    let li = world.sim.say("oc_li", LI, "[[say hello]]");
    let closed = world.sim.say("oc_closed", OWNER, "@bot [[say hello]]");
    world.answer(&li).await;
    world.answer(&closed).await;
    let (bridge, runtime) = (world.pid("bridge").unwrap(), world.pid("runtime").unwrap());
    kill(bridge, "-STOP");
    world.sim.recall_unheard(&queued);
    let recalled = world.sim.hold_back("oc_li", LI, "[[say recalled]]");
    world.sim.recall_unheard(&recalled);
    let stranger = world.sim.hold_back("oc_closed", STRANGER, "@bot [[say stranger]]");
    let idle = world.sim.hold_back("oc_closed", OWNER, "not for the bot");
    kill(runtime, "-KILL");
    kill(bridge, "-KILL");
    world.wait("a new bridge", |world| world.pid("bridge").filter(|pid| *pid != bridge)).await;
    looked(&world, 1).await;
    world.sim.deliver(&recalled);
    world.sim.wait_ack(&recalled).await;
    let card = world.wait("the card of the lost task", |world| {
        world.cards(&asks).into_iter().find(|one| one.button("Dismiss").is_some() && one.id != card.id)
    });
    world.sim.click(&card.await.id, "Dismiss", OWNER).await;
    world.settled().await;
    for message in [&before, &queued, &recalled, &stranger, &idle] {
        let said = world.sim.answers_to(message).into_iter().filter(|one| one.msg_type != "interactive").count();
        assert_eq!(said, 0, "{}", world.sim.message(message).text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_direct_chats_are_looked_through_and_the_status_says_so() {
    let (mut world, _) = away("").await;
    world.sim.rules(|rules| rules.refuse_group_lists = true);
    let direct = world.sim.hold_back(OWNER_CHAT, OWNER, "[[say direct]]");
    world.sim.hold_back(GROUP, LI, "@bot [[say group]]");
    world.up().await;
    assert_eq!(world.answer(&direct).await.said(), "direct");
    looked(&world, 1).await;
    let warned = |world: &World| {
        let status = world.status().unwrap();
        let warnings = status["warnings"].as_array().unwrap().clone();
        warnings.iter().filter(|line| line.as_str().unwrap().contains("im:message.group_msg")).count()
    };
    world.wait("the warning", |world| (warned(world) == 1).then_some(())).await;
    // Granted since.
    world.sim.rules(|rules| rules.refuse_group_lists = false);
    world.kill_bridge().await;
    world.wait("the warning to end", |world| (warned(world) == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_in_the_middle_of_a_look_loses_and_doubles_nothing() {
    for place in ["w1.before", "w1.after"] {
        let (mut world, _) = away("").await;
        let missed =
            [world.sim.hold_back(OWNER_CHAT, OWNER, "[[say one]]"), world.sim.hold_back(GROUP, LI, "@bot [[say two]]")];
        arm(&world, place);
        world.up().await;
        died(&world, place).await;
        for message in &missed {
            world.answer(message).await;
        }
        world.settled().await;
        for message in &missed {
            assert_eq!(world.answers(message).len(), 1, "at {place}");
        }
    }
}

/// The connection was never lost, and the platform has given up.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_ledger_refused_is_found_when_it_takes_writes_again() {
    let world = World::start(Kind::Embedded).await;
    world.sim.rules(|rules| rules.time_scale = 1e6);
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.answer(&hello).await;
    world.settled().await;
    let other = rusqlite::Connection::open(world.home.path().join("ally/ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = world.sim.say(OWNER_CHAT, OWNER, "[[say found]]");
    assert_eq!(world.sim.wait_ack(&refused).await.code, 500);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        world
            .wait("the answer", |world| world.answers(&refused).into_iter().find(|one| one.said() == "found"))
            .await
            .said(),
        "found"
    );
    world.settled().await;
    assert_eq!(world.sim.acks(&refused).len(), 1, "it was never delivered again");
    assert_eq!(world.ledger(|tx| Ok(ally::ledger::report::turns(tx, false, false, 99)?.len())), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_may_not_be_read_hides_no_other() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    world.sim.add_group("oc_closed", "Closed", &[OWNER]);
    world.up().await;
    for chat in ["oc_closed", GROUP] {
        let hello = world.sim.say(chat, OWNER, "@bot [[say hello]]");
        world.answer(&hello).await;
    }
    world.settled().await;
    world.down().await;
    // The one that was used last is looked through first.
    world.sim.rules(|rules| rules.refuse_list_of = Some(GROUP));
    let missed = world.sim.hold_back("oc_closed", OWNER, "@bot [[say found]]");
    world.up().await;
    assert_eq!(world.answer(&missed).await.said(), "found");
    looked(&world, 1).await;
    assert!(!world.run(&["status"]).0.contains("im:message.group_msg"), "the app may read groups");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_in_which_too_much_was_said_is_told_so() {
    let (mut world, _) = away("").await;
    let first = world.sim.hold_back(GROUP, LI, "@bot [[say first]]");
    world.sim.chatter(GROUP, LI, 1_010);
    let last = world.sim.hold_back(GROUP, LI, "@bot [[say last]]");
    world.up().await;
    assert_eq!(world.answer(&last).await.said(), "last");
    let told = |world: &World| {
        let all = world.sim.messages(GROUP).into_iter();
        all.filter(|said| said.by_bot() && said.text().contains("could not look through all")).count()
    };
    world.wait("the word about it", |world| (told(world) == 1).then_some(())).await;
    world.settled().await;
    assert_eq!((told(&world), world.answers(&first).len()), (1, 0));
}
