//! How much a chat hears of a long task.

use crate::support::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_task_is_one_card_one_answer_and_few_calls() {
    let world = World::start(Kind::Embedded).await;
    let before = world.sim.requests().len();
    let tools = "[[shell true]] ".repeat(40);
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("{tools}[[stream 20 1000]]"));
    world.answer(&message).await;
    world.settled().await;
    let calls = world.sim.requests().split_off(before);
    // A picture a second for the first quarter of a minute, then one in three; reactions, the card and the answer.
    assert!(calls.len() <= 27, "{} calls: {calls:#?}", calls.len());
    assert_eq!(world.answers(&message).len(), 1);
    let cards = world.cards(&message);
    assert_eq!(cards.len(), 1);
    assert!(cards[0].text().contains("40 steps"), "{}", cards[0].text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_work_is_few_calls_and_in_a_quiet_group_one_message() {
    let quiet_group = "oc_quiet";
    let world = World::start(Kind::Embedded).await;
    world.sim.add_group(quiet_group, "Quiet", &[OWNER]);
    for text in ["@bot /allow", "@bot /settings noise quiet"] {
        let said = world.sim.say(quiet_group, OWNER, text);
        world.said(&said).await;
    }
    world.settled().await;
    let (before, told) = (world.sim.requests().len(), world.sim.messages(quiet_group).len());
    let work = format!("@bot {} [[say over]]", "[[shell true]] [[stream 1 1500]] ".repeat(40));
    let normal = world.sim.say(GROUP, OWNER, &work);
    let quiet = world.sim.say(quiet_group, OWNER, &work);
    let steps = |world: &World| {
        let (channel, id) = ("feishu".into(), normal.as_str().into());
        let turn = world.ledger(|tx| ally::ledger::inbound::by_message(tx, &channel, &id))?.turn?;
        Some(world.ledger(|tx| ally::ledger::turns::get(tx, &turn)).progress?.steps.len())
    };
    world.wait("half of it", |world| (steps(world)? >= 20).then_some(())).await;
    for message in [&normal, &quiet] {
        world.answer(message).await;
    }
    world.settled().await;
    let calls = world.sim.requests().split_off(before);
    assert_eq!((world.answers(&normal).len(), world.cards(&normal).len()), (1, 1));
    let card = world.cards(&normal)[0].text();
    assert!(card.contains("40 steps") && card.contains("Done"), "{card}");
    // All that it asks, and its answer: nothing else is said there.
    assert_eq!((world.sim.messages(quiet_group).len(), world.answers(&quiet).len()), (told + 2, 1));
    let of_quiet = |call: &&String| world.sim.messages(quiet_group).iter().any(|one| call.contains(&one.id));
    let quiet_calls = calls.iter().filter(of_quiet).count();
    assert!(quiet_calls <= 10, "the answer and its receipts: {quiet_calls}");
    assert!(calls.len() - quiet_calls <= 45, "{} calls: {calls:#?}", calls.len() - quiet_calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_within_seconds_is_one_message_in_a_group() {
    let world = World::start(Kind::Embedded).await;
    let message = world.sim.say(GROUP, OWNER, "@bot [[shell true]] [[sleep 4000]] [[say x]]");
    world.answer(&message).await;
    world.settled().await;
    let said = world.sim.messages(GROUP).into_iter().filter(|one| one.by_bot()).count();
    assert_eq!((said, world.cards(&message).len()), (1, 0));
}
