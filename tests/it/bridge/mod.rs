//! What the bridge makes of a runtime without manners: nothing is lost, nothing is done twice, nothing waits for ever.

mod clumsy;
mod moody;
pub mod room;

use std::sync::atomic::Ordering;
use std::time::Duration;

use ally::domain::turn::{Outcome, TurnState};
use ally::domain::view::{ButtonRole, LiveState, View};

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
    unheard_end_of(room, |_| ()).await
}

/// The same, and then something happens before the process dies.
async fn unheard_end_of(room: &Room, then: impl FnOnce(&Room)) -> ally::domain::ids::MessageId {
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
    then(room);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_is_busy_is_asked_again() {
    let room = Room::open("busy-opens").await;
    let message = unheard_end_of(&room, |room| room.moods.busy_opens.store(6, Ordering::SeqCst)).await;
    room.until(&message, "completed", |turn| turn.state == COMPLETED).await;
    assert_eq!(room.answered(&message).await, ["quietly"]);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_is_open_elsewhere_is_judged_when_it_is_free() {
    let room = Room::open("elsewhere").await;
    let message = unheard_end_of(&room, |room| on(&room.moods.elsewhere)).await;
    room.wait("the question", || (room.notices("open in Codex") == 1).then_some(())).await;
    assert!(room.live(&message).await.contains("open in Codex"), "{}", room.live(&message).await);
    room.moods.elsewhere.store(false, Ordering::SeqCst);
    room.press(ButtonRole::TryAgain).await;
    let chosen = |view: &View| match view {
        View::Notice(notice) if notice.text.contains("open in Codex") => {
            (notice.buttons.is_empty() && notice.text.contains("Try again, chosen by")).then_some(())
        }
        _ => None,
    };
    room.wait("the question to say what was chosen", || room.cards().values().find_map(chosen)).await;
    assert_eq!(room.answered(&message).await, ["quietly"]);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_was_refused_once_is_opened_the_next_time() {
    let room = Room::open("refused").await;
    on(&room.moods.refuses_open);
    let first = room.say("[[say never]]").await;
    room.until(&first, "failed", |turn| turn.state == TurnState::Settled(Outcome::Failed)).await;
    let second = room.say("[[say well]]").await;
    assert_eq!(room.answered(&second).await, ["well"]);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_card_says_running_while_no_runtime_starts() {
    let room = Room::open("never").await;
    let message = room.say("[[stream 1200 50]]").await;
    room.until(&message, "running", |turn| turn.state == TurnState::Running).await;
    on(&room.moods.starts_never);
    room.core.host.now().unwrap().give_up();
    let until = std::time::Instant::now() + crate::support::runtimes::PATIENCE;
    while !room.live(&message).await.contains("paused") {
        assert!(std::time::Instant::now() < until, "{}", room.live(&message).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    room.moods.starts_never.store(false, Ordering::SeqCst);
    room.until(&message, "over", |turn| turn.state.is_settled()).await;
    let shown = room.live(&message).await;
    assert!(!shown.contains("paused"), "{shown} {:#?}", room.turn(&message).await);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_question_waits_for_its_directory() {
    let room = Room::open("lease").await;
    let asker = room.say("[[ask Which?|Alpha|Beta]] [[say chosen]]").await;
    let asks = |view: &View| matches!(view, View::Gate(_)).then_some(());
    room.wait("the question", || room.cards().values().find_map(asks)).await;
    let worker = room.say_in("other", "[[sleep 2500]] [[say worked]]").await;
    room.until(&worker, "running", |turn| turn.state == TurnState::Running).await;
    room.say("2").await;
    let asker = room.until(&asker, "completed", |turn| turn.state == COMPLETED).await;
    let worker = room.until(&worker, "completed", |turn| turn.state == COMPLETED).await;
    assert!(asker.settled_at_ms >= worker.settled_at_ms, "one at a time in a directory: {asker:#?} {worker:#?}");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_model_is_asked_about_once_and_patience_counts() {
    let room = Room::open("stutter").await;
    on(&room.moods.stutters);
    let message = room.say("[[hang]]").await;
    room.until(&message, "running", |turn| turn.state == TurnState::Running).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    room.clock.warp(181_000, 1.0);
    let asked = || room.notices("Cannot reach the model");
    room.wait("the question", || (asked() == 1).then_some(())).await;
    room.clock.warp(181_000, 1.0);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(asked(), 1, "a question that nobody answered is not put again");
    room.press(ButtonRole::KeepWaiting).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(asked(), 1, "patience lasts");
    room.clock.warp(181_000, 1.0);
    room.wait("the next question", || (asked() == 2).then_some(())).await;
    room.say("/stop").await;
    room.until(&message, "over", |turn| turn.state.is_settled()).await;
    let still_asks = |view: &View| matches!(view, View::Notice(notice) if !notice.buttons.is_empty());
    let none = || (!room.cards().values().any(still_asks)).then_some(());
    room.wait("nobody to be asked about what is over", none).await;
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_long_for_a_runtime_asks_before_it_runs() {
    let room = Room::open("long").await;
    let live = room.wait("a runtime", || room.core.host.now()).await;
    on(&room.moods.starts_never);
    live.give_up();
    let message = room.say("[[say late]]").await;
    room.wait("the trouble to be noticed", || room.core.outage_since()).await;
    room.clock.warp(40 * 60_000, 1.0);
    room.moods.starts_never.store(false, Ordering::SeqCst);
    let asks = |view: &View| matches!(view, View::Stale(_)).then_some(());
    room.wait("the question", || room.cards().values().find_map(asks)).await;
    assert!(room.answers(&message).is_empty(), "it does not run unasked");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_keeps_no_chat_no_card_and_no_conversation_waiting() {
    let room = Room::open("panics").await;
    on(&room.slips.decode);
    on(&room.moods.panics_open);
    on(&room.slips.send);
    let first = room.say("[[say first]]").await;
    assert_eq!(room.answered(&first).await, ["first"]);
    on(&room.slips.paint);
    room.say("/help").await;
    let help = |view: &View| matches!(view, View::Help(_)).then_some(());
    room.wait("the help", || room.cards().values().find_map(help)).await;
    let slips = &room.slips;
    for slip in [&slips.decode, &slips.send, &slips.paint, &room.moods.panics_open] {
        assert!(!slip.load(Ordering::SeqCst), "each was fallen into");
    }
    room.close().await;
}
