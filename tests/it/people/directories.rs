//! Directory and thread of a task: those with which it was asked for, whatever is said to its chat meanwhile.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use ally::bridge::actions::{self, Person, Told};
use ally::domain::access::Role;
use ally::domain::action::Action;
use ally::domain::turn::{Outcome, TurnState};
use ally::domain::view::ButtonRole;
use ally::ledger::turns;

use crate::bridge::room::{Room, on};
use crate::support::world::*;

const COMPLETED: TurnState = TurnState::Settled(Outcome::Completed);
const FAILED: TurnState = TurnState::Settled(Outcome::Failed);
const LOST: TurnState = TurnState::Settled(Outcome::Lost);

/// A second project beside the first.
fn other(room: &Room) -> PathBuf {
    let other = room.site.root.join("other");
    std::fs::create_dir_all(&other).unwrap();
    other
}

async fn told(room: &Room, text: &str) -> String {
    let message = room.say(text).await;
    room.answered(&message).await.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_works_where_it_was_asked_for_also_in_a_copy() {
    let room = Room::open("asked-there").await;
    let other = other(&room);
    let first = room.done("[[say one]]").await;
    let busy = room.say("[[sleep 600000]]").await;
    room.until(&busy, "running", |turn| turn.state == TurnState::Running).await;
    let queued = room.say("[[shell touch made]] [[say two]]").await;
    room.until(&queued, "queued", |turn| turn.state == TurnState::Queued).await;
    told(&room, "/fork").await;
    told(&room, "/cd ../other").await;
    room.say("/stop").await;
    let turn = room.until(&queued, "completed", |turn| turn.state == COMPLETED).await;
    assert!(room.site.work().join("made").exists() && !other.join("made").exists());
    assert_ne!(turn.thread, first.thread, "in a copy");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_turn_is_looked_for_and_runs_again_where_it_was() {
    let room = Room::open("died-there").await;
    let other = other(&room);
    let first = room.done("[[say one]]").await;
    room.moods.mute.set(first.generation.unwrap().0);
    let message = room.say("[[shell touch made]]").await;
    room.until(&message, "on its way", |turn| turn.state == TurnState::Submitting).await;
    told(&room, "/cd ../other").await;
    room.end_runtime().await;
    let turn = room.until(&message, "completed", |turn| turn.state == COMPLETED).await;
    assert!(room.site.work().join("made").exists() && !other.join("made").exists());
    assert_eq!(turn.thread, first.thread);
    let opens = room.moods.opens.lock().unwrap().clone();
    assert!(opens.iter().all(|place| *place == room.site.work()), "{opens:?}");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_again_is_run_again_in_the_same_place() {
    let room = Room::open("again-there").await;
    let other = other(&room);
    let message = room.say("[[shell echo x >> made]] [[http 401]]").await;
    room.until(&message, "failed", |turn| turn.state == FAILED).await;
    told(&room, "/cd ../other").await;
    room.press(ButtonRole::RunAgain).await;
    let made = room.site.work().join("made");
    let twice = || (std::fs::read_to_string(&made).unwrap_or_default() == "x\nx\n").then_some(());
    room.wait("the second time", twice).await;
    assert!(!other.join("made").exists());
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_was_left_is_no_link_later() {
    let room = Room::open("link-later").await;
    let other = other(&room);
    told(&room, "/cd ../other").await;
    let busy = room.say("[[sleep 600000]]").await;
    room.until(&busy, "running", |turn| turn.state == TurnState::Running).await;
    let queued = room.say("[[shell touch made]]").await;
    room.until(&queued, "queued", |turn| turn.state == TurnState::Queued).await;
    told(&room, "/cd -").await;
    let elsewhere = room.site.root.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(&other, room.site.root.join("former")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &other).unwrap();
    room.say("/stop").await;
    room.until(&queued, "failed", |turn| turn.state == FAILED).await;
    assert!(!elsewhere.join("made").exists());
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_was_chosen_while_a_thread_was_opened_is_the_one() {
    let room = Room::open("chosen").await;
    let first = room.done("[[say one]]").await;
    told(&room, "/new").await;
    let list = room.say("/threads").await;
    room.list(&list).await;
    let opened = room.moods.opens.lock().unwrap().len();
    on(&room.moods.holds_open);
    let second = room.say("[[say two]]").await;
    room.wait("the thread to be opened", || (room.moods.opens.lock().unwrap().len() > opened).then_some(())).await;
    assert!(told(&room, "/resume 1").await.contains("continues"));
    room.moods.holds_open.store(false, Ordering::SeqCst);
    let second = room.until(&second, "completed", |turn| turn.state == COMPLETED).await;
    assert_eq!(second.thread, first.thread);
    assert_eq!(room.done("[[say three]]").await.thread, first.thread);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_is_gone_is_missed_after_the_conversation_went_on() {
    let room = Room::open("missed").await;
    let first = room.done("[[say one]]").await;
    room.moods.mute.set(first.generation.unwrap().0);
    let message = room.say("[[say two]]").await;
    room.until(&message, "on its way", |turn| turn.state == TurnState::Submitting).await;
    told(&room, "/new").await;
    on(&room.moods.no_threads);
    room.end_runtime().await;
    let turn = room.until(&message, "over", |turn| turn.state.is_settled()).await;
    assert_eq!((turn.state, turn.attempt), (LOST, 1));
    assert_eq!(room.lost_how(&turn).await.as_deref(), Some("HistoryGone"));
    room.close().await;
}

/// Runs a command that dies with its process; gives the message of the lost turn.
async fn lost(room: &Room) -> ally::domain::ids::MessageId {
    let message = room.say("[[shell sleep 60]]").await;
    room.until(&message, "at work", |turn| turn.tool_seen).await;
    room.end_runtime().await;
    room.until(&message, "lost", |turn| turn.state == LOST).await;
    room.say("/retry").await;
    room.wait("the question", || (room.notices("may be done twice") == 1).then_some(())).await;
    message
}

/// The turn that continues another one.
async fn continued(room: &Room, message: &ally::domain::ids::MessageId) -> turns::Turn {
    let of = room.turn(message).await.unwrap();
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let (conversation, id) = (of.conversation.clone(), of.id.clone());
        let read = room.core.ledger.read(move |tx| turns::unsettled(tx, &conversation));
        if let Some(found) = read.await.unwrap().into_iter().find(|turn| turn.continues.as_ref() == Some(&id)) {
            return found;
        }
        assert!(std::time::Instant::now() < until, "nothing continues {message}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_goes_back_to_the_thread_that_was_cut() {
    let room = Room::open("cut").await;
    let message = lost(&room).await;
    let cut = room.turn(&message).await.unwrap();
    told(&room, "/new").await;
    assert_ne!(room.done("[[say new]]").await.thread, cut.thread);
    room.press(ButtonRole::Continue).await;
    let next = continued(&room, &message).await;
    assert!(next.prompt.contains("Your previous turn"), "{}", next.prompt);
    let id = next.id.clone();
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let id = id.clone();
        let turn = room.core.ledger.read(move |tx| turns::get(tx, &id)).await.unwrap();
        if turn.state == TurnState::Running {
            assert_eq!(turn.thread, cut.thread);
            break;
        }
        assert!(std::time::Instant::now() < until, "{turn:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    room.say("/stop").await;
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_says_so_where_another_thread_is_at_work() {
    let room = Room::open("cut-busy").await;
    let message = lost(&room).await;
    told(&room, "/new").await;
    let busy = room.say("[[sleep 600000]]").await;
    room.until(&busy, "running", |turn| turn.state == TurnState::Running).await;
    room.press(ButtonRole::Continue).await;
    let next = continued(&room, &message).await;
    assert!(next.prompt.contains("begun in another conversation"), "{}", next.prompt);
    room.say("/stop").await;
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_are_steered_come_back_to_their_own_message() {
    let room = Room::open("carrier").await;
    let first = room.say("[[shell sleep 2]] [[http 401]]").await;
    room.until(&first, "at work", |turn| turn.tool_seen && turn.state == TurnState::Running).await;
    let more = room.say("/steer [[say more]]").await;
    room.until(&first, "failed", |turn| turn.state == FAILED).await;
    // Nobody's words went into it, or these: either way they are not what is run again.
    let busy = room.say("[[sleep 600000]]").await;
    room.until(&busy, "running", |turn| turn.state == TurnState::Running).await;
    room.press(ButtonRole::RunAgain).await;
    let of = first.clone();
    let until = std::time::Instant::now() + PATIENCE;
    let again = loop {
        let conversation = room.turn(&of).await.unwrap().conversation;
        let read = room.core.ledger.read(move |tx| turns::unsettled(tx, &conversation));
        let found = read.await.unwrap().into_iter().find(|turn| turn.reply_to.as_ref() == Some(&of));
        if let Some(found) = found {
            break found;
        }
        assert!(std::time::Instant::now() < until, "it is not run again");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let (frame, turn) = (room.core.frame(&ally::channels::local::CHANNEL.into()), again.id.clone());
    let owner = frame.access.owner.clone().unwrap();
    let person = Person { user: owner, name: "me".to_owned(), role: Role::Owner };
    let steer = move |tx: &ally::ledger::Transaction<'_>| {
        // The runtime is told nothing: the words come back with the end of the turn that runs.
        actions::perform(tx, &frame, &Action::Steer { turn }, &person, &[])
    };
    assert_eq!(room.core.ledger.write(steer).await.unwrap().told, Told::Steering);
    room.say("/stop").await;
    let (first_of, more_of) = (first.clone(), more.clone());
    let until = std::time::Instant::now() + PATIENCE;
    while room.turns(&first_of).await < 3 {
        assert!(std::time::Instant::now() < until, "the words are gone; {} of the other", room.turns(&more_of).await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_conversation_begins_only_with_its_first_words() {
    let room = Room::open("begins").await;
    let first = room.done("[[say one]]").await;
    told(&room, "/lock").await;
    let refused = told(&room, "/new [[say two]]").await;
    assert!(!refused.contains("new conversation"), "{refused}");
    told(&room, "/unlock").await;
    assert_eq!(room.done("[[say three]]").await.thread, first.thread);
    assert_ne!(room.done("/new [[say four]]").await.thread, first.thread);
    room.close().await;
}

/// The log that the tasks of a group wrote into their directory.
fn log(world: &World) -> Option<String> {
    let workspaces = std::fs::read_dir(world.home.path().join("ally/workspaces")).ok()?;
    workspaces.flatten().find_map(|entry| std::fs::read_to_string(entry.path().join("log")).ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_topics_of_a_group_never_work_in_their_directory_at_once() {
    let world = World::start(Kind::Codex).await;
    let set = world.sim.say(GROUP, OWNER, "@bot /settings autonomy edit");
    world.answer(&set).await;
    let first = world.sim.say(GROUP, LI, "@bot [[shell echo a >> log; sleep 3; echo b >> log]] [[say one]]");
    world.wait("it to work", log).await;
    let second = world.sim.say(GROUP, OWNER, "@bot [[shell echo c >> log]] [[say two]]");
    assert_eq!((world.answer(&first).await.said(), world.answer(&second).await.said()), ("one".into(), "two".into()));
    assert_eq!(log(&world).unwrap(), "a\nb\nc\n");

    // While one of its requests waits for a person, another command of the task goes on.
    std::fs::remove_file(find(&world)).unwrap();
    let out = world.file("out");
    let asks = format!("[[escalate touch {}]] [[also]] [[shell echo a >> log; sleep 5; echo b >> log]]", out.display());
    let first = world.sim.say(GROUP, LI, &format!("@bot {asks} [[say one]]"));
    let card = world.card_with(&first, "Allow once").await;
    world.wait("it to work", log).await;
    let second = world.sim.say(GROUP, OWNER, "@bot [[shell echo c >> log]] [[say two]]");
    assert_eq!(world.answer(&second).await.said(), "two", "nothing works any more: the other one waits for a person");
    assert_eq!(log(&world).unwrap(), "a\nb\nc\n");
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&first).await.said(), "one");
    assert!(out.exists());
    world.settled().await;
}

fn find(world: &World) -> PathBuf {
    let workspaces = std::fs::read_dir(world.home.path().join("ally/workspaces")).unwrap();
    workspaces.flatten().map(|entry| entry.path().join("log")).find(|log| log.exists()).unwrap()
}
