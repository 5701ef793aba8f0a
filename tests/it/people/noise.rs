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
