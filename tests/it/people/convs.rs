//! Conversations and projects: what goes on where, and what it cost.

use ally::domain::turn::{Outcome, TurnState};
use ally::domain::view::ButtonRole;

use crate::bridge::room::Room;

const COMPLETED: TurnState = TurnState::Settled(Outcome::Completed);
const LOST: TurnState = TurnState::Settled(Outcome::Lost);

#[tokio::test(flavor = "multi_thread")]
async fn usage_counts_the_tokens_of_turns() {
    let room = Room::open("usage").await;
    let nothing = room.say("/usage").await;
    assert!(room.answered(&nothing).await[0].contains("Nothing was used"), "{:?}", room.answers(&nothing));
    let first = room.say("[[say one two three four five six]]").await;
    let first = room.until(&first, "completed", |turn| turn.state == COMPLETED).await;
    let second = room.say("[[say one two three four five six]]").await;
    let second = room.until(&second, "completed", |turn| turn.state == COMPLETED).await;
    assert!(first.tokens.unwrap() > 1 && first.tokens == second.tokens, "{first:?} {second:?}");
    let asked = room.say("/usage 7d").await;
    let said = room.answered(&asked).await.concat();
    let both = first.tokens.unwrap() + second.tokens.unwrap();
    assert!(said.contains(&format!("{both} tokens")) && said.contains("tasks: 2"), "{said}");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_a_lost_turn_asks_first() {
    let room = Room::open("retry").await;
    let message = room.say("[[shell sleep 60]]").await;
    room.until(&message, "at work", |turn| turn.tool_seen).await;
    room.end_runtime().await;
    room.until(&message, "lost", |turn| turn.state == LOST).await;
    room.say("/retry").await;
    room.wait("the question", || (room.notices("may be done twice") == 1).then_some(())).await;
    room.press(ButtonRole::Dismiss).await;
    let over = room.say("/retry").await;
    assert_eq!(room.answered(&over).await, ["There is no request to run again"]);
    assert_eq!(room.turns(&message).await, 1, "nothing ran again");
    room.close().await;
}
