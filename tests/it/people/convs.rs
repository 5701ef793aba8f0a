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

#[tokio::test(flavor = "multi_thread")]
async fn an_old_conversation_is_continued_by_number_and_by_button() {
    let room = Room::open("threads").await;
    let none = room.say("/threads").await;
    assert_eq!(room.answered(&none).await, ["There is no conversation here yet"]);
    let first = room.done("[[say the login page]]").await;
    let named = room.say("/name Login page").await;
    assert_eq!(room.answered(&named).await, ["This conversation is now called “Login page”"]);
    let fresh = room.say("/new").await;
    room.answered(&fresh).await;
    let second = room.done("[[say the tests]]").await;
    assert_ne!(first.thread, second.thread);

    let rows = room.list(&room.say("/threads").await).await.rows;
    assert!(rows[0].text.starts_with("1. [[say the tests]]") && rows[0].text.ends_with("this one"), "{rows:?}");
    assert!(rows[1].text.starts_with("2. Login page"), "{rows:?}");
    assert!(rows[0].button.is_none() && rows[1].button.is_some() && rows.len() == 2, "{rows:?}");

    let resumed = room.say("/接着2").await;
    assert_eq!(room.answered(&resumed).await, ["From the next message on this continues “Login page”"]);
    let third = room.done("[[say again]]").await;
    assert_eq!(third.thread, first.thread);
    assert_eq!(third.cursor, first.native_turn, "it is known where the thread was left");

    let list = room.say("/threads").await;
    let rows = room.list(&list).await.rows;
    assert!(rows[0].text.contains("Login page"), "the one used last comes first: {rows:?}");
    room.press_row(&list, 1).await;
    room.wait("word of it", || (room.notices("continues “[[say the tests]]”") == 1).then_some(())).await;
    let fourth = room.done("[[say back]]").await;
    assert_eq!(fourth.thread, second.thread);
    let out_of_range = room.say("/resume 7").await;
    assert!(room.answered(&out_of_range).await[0].starts_with("There is no conversation 7"));
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_works_is_not_taken_from_its_conversation() {
    let room = Room::open("taken").await;
    let busy = room.say("[[sleep 60000]]").await;
    room.until(&busy, "running", |turn| turn.state == TurnState::Running).await;
    let fresh = room.say("/new").await;
    room.answered(&fresh).await;
    room.say("/threads").await;
    let resumed = room.say("/resume 1").await;
    assert!(room.answered(&resumed).await[0].contains("still running"), "{:?}", room.answers(&resumed));
    room.say("/stop").await;
    room.until(&busy, "over", |turn| turn.state.is_settled()).await;
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_leaves_the_original_alone() {
    let room = Room::open("fork").await;
    let nothing = room.say("/fork").await;
    assert_eq!(room.answered(&nothing).await, ["There is no conversation to copy yet"]);
    let first = room.done("[[say one]]").await;
    let said = room.say("/fork").await;
    assert!(room.answered(&said).await[0].contains("in a copy"));
    let second = room.done("[[say two]]").await;
    assert_ne!(second.thread, first.thread);
    let third = room.done("[[say three]]").await;
    assert_eq!(third.thread, second.thread, "copied once");
    assert_eq!(room.list(&room.say("/threads").await).await.rows.len(), 2);
    room.say("/fork").await;
    let fresh = room.say("/new").await;
    room.answered(&fresh).await;
    let fourth = room.done("[[say four]]").await;
    let fifth = room.done("[[say five]]").await;
    assert_eq!(fourth.thread, fifth.thread, "a copy was wanted of what was left since");
    room.close().await;
}
