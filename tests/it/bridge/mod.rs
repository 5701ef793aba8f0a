//! What the bridge makes of a runtime without manners: nothing is lost, nothing is done twice, nothing waits for ever.

mod moody;
mod room;

use std::sync::atomic::Ordering;
use std::time::Duration;

use ally::domain::turn::{Outcome, TurnState};
use ally::domain::view::{LiveState, View};

use room::{Room, on};

const LOST: TurnState = TurnState::Settled(Outcome::Lost);
const COMPLETED: TurnState = TurnState::Settled(Outcome::Completed);
/// Longer than an interrupt may stay without effect.
const A_MINUTE: i64 = 61_000;

async fn stop_in_vain(room: &Room, message: &ally::domain::ids::MessageId) {
    room.until(message, "running", |turn| turn.state == TurnState::Running).await;
    room.say("/stop").await;
    room.until(message, "asked to stop", |turn| turn.stop.is_some()).await;
    // The follower has to see the wish before its minute can be over.
    tokio::time::sleep(Duration::from_millis(700)).await;
    room.clock.warp(A_MINUTE, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_without_effect_loses_the_turn_and_not_the_conversation() {
    let room = Room::open("deaf").await;
    on(&room.moods.deaf);
    let first = room.say("[[stream 1200 50]]").await;
    stop_in_vain(&room, &first).await;
    let lost = room.until(&first, "lost", |turn| turn.state == LOST).await;
    let next = room.say("[[say onwards]]").await;
    assert_eq!(room.answered(&next).await, ["onwards"]);
    let on = room.turn(&next).await.unwrap();
    assert_ne!(on.thread, lost.thread, "the thread that still runs is left alone");
    assert_eq!(on.generation, lost.generation, "a process that answers is not ended");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_answers_nothing_is_ended_and_its_successor_tells() {
    let room = Room::open("mute").await;
    let first = room.say("[[stream 1200 50]]").await;
    let running = room.until(&first, "running", |turn| turn.state == TurnState::Running).await;
    room.moods.mute.set(running.generation.unwrap().0);
    stop_in_vain(&room, &first).await;
    let over = room.until(&first, "over", |turn| turn.state.is_settled()).await;
    assert_eq!(over.state, TurnState::Settled(Outcome::Interrupted), "somebody asked for it, and it is proven");
    let next = room.say("[[say onwards]]").await;
    assert_eq!(room.answered(&next).await, ["onwards"]);
    assert_ne!(room.turn(&next).await.unwrap().generation, running.generation);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_was_not_taken_is_passed_on_again() {
    let room = Room::open("busy").await;
    room.moods.busy_answers.store(2, Ordering::SeqCst);
    let file = room.site.root.join("outside");
    let message = room.say(&format!("[[escalate echo x >> {}]] [[say after]]", file.display())).await;
    let asks = |view: &View| matches!(view, View::Gate(_)).then_some(());
    room.wait("the question", || room.cards().values().find_map(asks)).await;
    room.say("y").await;
    assert_eq!(room.answered(&message).await, ["after"]);
    assert_eq!(room.moods.busy_answers.load(Ordering::SeqCst), 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x\n", "and it ran once");
    room.close().await;
}

/// The turn ends while nobody hears it, and then its process dies.
async fn unheard_end(room: &Room) -> ally::domain::ids::MessageId {
    let message = room.say("[[sleep 1500]] [[say quietly]]").await;
    let running = room.until(&message, "running", |turn| turn.state == TurnState::Running).await;
    room.moods.mute.set(running.generation.unwrap().0);
    let history = room.site.root.join("embedded/threads");
    let ended = || {
        let files = std::fs::read_dir(&history).ok()?.flatten();
        let mut texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        texts.any(|text| text.contains("quietly") && text.contains("ended")).then_some(())
    };
    room.wait("the end in the history", ended).await;
    room.end_runtime().await;
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_nobody_heard_is_told_once() {
    let room = Room::open("unheard").await;
    let message = unheard_end(&room).await;
    room.until(&message, "completed", |turn| turn.state == COMPLETED).await;
    assert_eq!(room.answered(&message).await, ["quietly"]);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_only_claimed_is_none() {
    let room = Room::open("claims").await;
    on(&room.moods.claims);
    let message = unheard_end(&room).await;
    let turn = room.until(&message, "over", |turn| turn.state.is_settled()).await;
    assert_eq!(turn.state, LOST);
    assert_eq!(room.lost_how(&turn).await.as_deref(), Some("CommandsMayRunOn"));
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_durable_and_is_gone_does_not_run_again() {
    let room = Room::open("forgets").await;
    let message = room.say("[[stream 1200 50]]").await;
    room.until(&message, "running", |turn| turn.state == TurnState::Running && turn.evidence.is_some()).await;
    on(&room.moods.forgets);
    room.end_runtime().await;
    let turn = room.until(&message, "over", |turn| turn.state.is_settled()).await;
    assert_eq!((turn.state, turn.attempt), (LOST, 1));
    assert_eq!(room.lost_how(&turn).await.as_deref(), Some("HistoryGone"));
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_fell_into_an_ended_turn_are_handed_over_again() {
    let room = Room::open("dropped").await;
    let first = room.say("[[say one]]").await;
    assert_eq!(room.answered(&first).await, ["one"]);
    on(&room.moods.drops_submit);
    let second = room.say("[[say two]]").await;
    assert_eq!(room.answered(&second).await, ["two"]);
    let turn = room.until(&second, "completed", |turn| turn.state == COMPLETED).await;
    assert_eq!(turn.attempt, 2);
    assert_eq!(room.answers(&first), ["one"]);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_joined_a_lost_turn_get_its_answer() {
    let room = Room::open("joined").await;
    on(&room.moods.deaf);
    on(&room.moods.same_fork);
    let first = room.say("[[stream 100 50]]").await;
    stop_in_vain(&room, &first).await;
    room.until(&first, "lost", |turn| turn.state == LOST).await;
    let second = room.say("and this").await;
    let said = room.answered(&second).await;
    assert!(said.len() == 1 && said[0].contains("and this"), "{said:?}");
    let turn = room.until(&second, "completed", |turn| turn.state == COMPLETED).await;
    assert_eq!(turn.attempt, 1, "they were not handed over twice");
    assert_eq!(turn.native_turn, turn.cursor);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_pauses_is_painted_while_it_runs() {
    let room = Room::open("stream").await;
    let message = room.say("[[stream 100000 5]]").await;
    let seen = |view: &View| match view {
        View::Live(live) if live.state == LiveState::Running => {
            Some(live.draft.clone()).filter(|words| !words.is_empty())
        }
        _ => None,
    };
    room.wait("a card that shows words", || room.cards().values().find_map(seen)).await;
    // Should the process die now, there is something to tell.
    room.until(&message, "remembered", |turn| turn.progress.as_ref().is_some_and(|seen| !seen.draft.is_empty())).await;
    room.say("/stop").await;
    room.until(&message, "over", |turn| turn.state.is_settled()).await;
    room.close().await;
}
