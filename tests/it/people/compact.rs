//! `/compact` and `/review`: what runs as a turn of the conversation without being words of anybody.

use std::path::Path;

use ally::domain::history::FailureKind;
use ally::domain::level::Level;
use ally::domain::turn::{Outcome, TurnState};
use ally::domain::view::ButtonRole;

use crate::bridge::room::{Room, on};
use crate::support::world::*;

const COMPLETED: TurnState = TurnState::Settled(Outcome::Completed);
const FAILED: TurnState = TurnState::Settled(Outcome::Failed);
const INTERRUPTED: TurnState = TurnState::Settled(Outcome::Interrupted);

const CUT_OFF: &str = "The compaction was cut off";

async fn compacts_in_order(room: Room) {
    let nothing = room.say("/compact").await;
    assert_eq!(room.answered(&nothing).await, ["There is no conversation here to compact yet"]);
    assert_eq!(room.turns(&nothing).await, 0);
    let slow = room.say("[[sleep 1500]] [[say slow]]").await;
    room.until(&slow, "running", |turn| turn.state == TurnState::Running).await;
    let compact = room.say("/compact").await;
    let after = room.say("[[say after]]").await;
    let after = room.until(&after, "completed", |turn| turn.state == COMPLETED).await;
    let slow = room.until(&slow, "completed", |turn| turn.state == COMPLETED).await;
    let compacted = room.until(&compact, "completed", |turn| turn.state == COMPLETED).await;
    assert_eq!(room.answered(&compact).await, ["Compacted"]);
    assert_eq!((&compacted.thread, &after.thread), (&slow.thread, &slow.thread));
    assert!(slow.settled_at_ms <= compacted.submitted_at_ms && compacted.settled_at_ms <= after.submitted_at_ms);
    assert_eq!(compacted.cursor, slow.native_turn, "it was looked for behind the turn before it");
    assert_eq!(after.cursor, compacted.native_turn, "and is where the next one begins");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_waits_for_its_turn() {
    compacts_in_order(Room::open("compact").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_compacts_in_order() {
    compacts_in_order(Room::with_codex("compact-codex").await).await;
}

async fn too_long(room: Room) {
    room.done("[[say first]]").await;
    let message = room.say("[[context_full]] [[say there is room]]").await;
    let failed = room.until(&message, "failed", |turn| turn.state == FAILED).await;
    assert_eq!(failed.failure.map(|failure| failure.kind), Some(FailureKind::ContextFull));
    let behind = room.say("[[sleep 700]] [[say behind]]").await;
    room.press(ButtonRole::Compact).await;
    room.wait("the request again", || room.answers(&message).contains(&"there is room".to_owned()).then_some(())).await;
    assert_eq!(room.answers(&message), ["Compacted; the request now runs again", "there is room"]);
    room.until(&behind, "completed", |turn| turn.state == COMPLETED).await;
    let turns = room.all_turns(&message).await;
    assert_eq!(turns.iter().map(|turn| turn.state).collect::<Vec<_>>(), [FAILED, COMPLETED, COMPLETED]);
    assert_eq!(turns[2].cursor, turns[1].native_turn, "nothing ran between the two");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_compacted_and_runs_again() {
    too_long(Room::open("too-long").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_compacts_what_is_too_long_and_runs_it_again() {
    too_long(Room::with_codex("too-long-codex").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_done_in_a_new_conversation_instead() {
    let room = Room::open("fresh").await;
    let first = room.done("[[say first]]").await;
    on(&room.moods.simple);
    let message = room.say("[[context_full]] [[say never]]").await;
    room.until(&message, "failed", |turn| turn.state == FAILED).await;
    room.wait("the notice", || (room.notices("The conversation is too long; the task") == 1).then_some(())).await;
    room.press(ButtonRole::StartFresh).await;
    room.wait("it ran there", || (room.notices("The conversation is too long; the task") == 2).then_some(())).await;
    let turns = room.all_turns(&message).await;
    assert!(turns.len() == 2 && turns[1].thread != first.thread, "{turns:?}");
    let compact = room.say("/compact").await;
    assert_eq!(room.answered(&compact).await, ["This runtime cannot do that"]);
    room.close().await;
}

async fn cut_off(room: Room) {
    let first = room.done("[[compacting 60000]] [[say first]]").await;
    let compact = room.say("/compact").await;
    room.until(&compact, "running", |turn| turn.state == TurnState::Running).await;
    room.end_runtime().await;
    let over = room.until(&compact, "over", |turn| turn.state.is_settled()).await;
    assert_eq!((over.state, over.attempt), (INTERRUPTED, 1));
    room.wait("the notice", || (room.notices(CUT_OFF) == 1).then_some(())).await;
    let next = room.done("[[compacting 0]] [[say next]]").await;
    assert_eq!(next.thread, first.thread);
    room.press(ButtonRole::RunAgain).await;
    assert_eq!(room.answered(&compact).await, ["Compacted"]);
    let turns = room.all_turns(&compact).await;
    assert_eq!(turns.iter().map(|turn| turn.state).collect::<Vec<_>>(), [INTERRUPTED, COMPLETED]);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_was_cut_off_is_asked_about() {
    cut_off(Room::open("cut-off").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_dies_while_it_compacts() {
    cut_off(Room::with_codex("cut-off-codex").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_does_not_run_again_where_its_compaction_was_stopped() {
    let room = Room::open("stopped").await;
    room.done("[[compacting 60000]] [[say first]]").await;
    let message = room.say("[[context_full]] [[say never]]").await;
    room.until(&message, "failed", |turn| turn.state == FAILED).await;
    room.press(ButtonRole::Compact).await;
    let compaction = room.wait_for("the compaction", async || room.all_turns(&message).await.into_iter().nth(1)).await;
    room.wait_for("it to run", async || room.is_in(&compaction.id, TurnState::Running).await.then_some(())).await;
    // Words do not go into it: they wait.
    let steer = room.say("/steer [[say later]]").await;
    room.wait_for("the words to wait", async || room.turn(&steer).await).await;
    room.say("/stop").await;
    room.wait_for("the stop", async || room.is_in(&compaction.id, INTERRUPTED).await.then_some(())).await;
    room.wait("the queued words", || room.answers(&steer).contains(&"later".to_owned()).then_some(())).await;
    assert_eq!(room.all_turns(&message).await.len(), 2, "the request did not run again");
    assert_eq!(room.notices(CUT_OFF), 0, "who stopped it knows");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_nobody_answers_for_is_not_begun_again() {
    let room = Room::open("unanswered").await;
    room.done("[[say first]]").await;
    on(&room.moods.mute_compact);
    let compact = room.say("/compact").await;
    let over = room.until(&compact, "over", |turn| turn.state.is_settled()).await;
    assert_eq!((over.state, over.attempt), (INTERRUPTED, 1));
    room.wait("the notice", || (room.notices(CUT_OFF) == 1).then_some(())).await;
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_recalled_meanwhile_does_not_run_again() {
    let world = World::start(Kind::Embedded).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[compacting 3000]] [[say first]]");
    world.answer(&first).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[context_full]] [[say never]]");
    let card = world.card_with(&message, "Compact and retry").await;
    assert!(card.button("Start fresh").is_some() && card.button("Run again").is_none());
    world.sim.click(&card.id, "Compact and retry", OWNER).await;
    world.wait("the compaction", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    world.sim.recall(&message);
    world.settled().await;
    let said = world.sim.messages(OWNER_CHAT).into_iter().filter(|said| said.by_bot()).map(|said| said.said());
    assert!(said.collect::<Vec<_>>().contains(&"Compacted".to_owned()), "and nothing else is promised");
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
    assert_eq!(world.answer(&next).await.said(), "next");
    assert!(world.sim.messages(OWNER_CHAT).iter().all(|said| !said.by_bot() || said.said() != "never"));
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_goes_into_a_running_task() {
    let room = Room::open("no-steer").await;
    let set = room.say("/settings busy steer").await;
    room.answered(&set).await;
    let slow = room.say("[[sleep 1500]] [[say slow]]").await;
    room.until(&slow, "running", |turn| turn.state == TurnState::Running).await;
    let review = room.say("/review [[say nothing found]]").await;
    let compact = room.say("/compact").await;
    let reviewed = room.until(&review, "completed", |turn| turn.state == COMPLETED).await;
    assert_eq!(room.answered(&compact).await, ["Compacted"]);
    assert_eq!(room.answered(&slow).await, ["slow"], "nothing was added to it");
    assert_eq!((reviewed.level, reviewed.answer.as_deref()), (Some(Level::Safe), Some("nothing found")));
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_reviews_and_changes_nothing() {
    let room = Room::with_codex("review").await;
    let work = room.site.work();
    let wrote = room.done("[[shell echo 1 > by-hand]] [[say wrote]]").await;
    assert_eq!(wrote.level, Some(Level::Edit));
    let review = room.done("/review the login page [[shell echo 1 > by-review]] [[say no findings]]").await;
    assert_eq!((review.level, review.answer.as_deref()), (Some(Level::Safe), Some("no findings")));
    assert!(review.prompt.contains("uncommitted changes") && review.prompt.contains("the login page"), "{review:?}");
    assert_eq!(review.thread, wrote.thread);
    assert!(is_there(&work, "by-hand") && !is_there(&work, "by-review"), "it only looks");
    let after = room.done("[[shell echo 1 > after]] [[say wrote]]").await;
    assert!(after.level == Some(Level::Edit) && is_there(&work, "after"), "only the review is held");
    let bare = room.done("/审查").await;
    assert_eq!(bare.level, Some(Level::Safe));
    room.close().await;
}

fn is_there(work: &Path, name: &str) -> bool {
    work.join(name).exists()
}
