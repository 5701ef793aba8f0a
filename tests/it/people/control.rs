//! Queue, steer, cancel, stop and recall with the real codex: what the chat shows of a message and what the ledger holds
//! of it are the same.

use std::path::PathBuf;

use ally::domain::ids::{ChannelName, MessageId};
use ally::domain::turn::{Outcome, TurnState};
use ally::ledger::inbound::{self, InboundRow, InboundState};
use ally::ledger::turns::{self, Turn};

use super::gates::{find, holds};
use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

/// What became of a message.
enum Became<'a> {
    /// A turn of its own, with this answer.
    Answered(&'a str),
    /// A turn that never ran; whether because its words were recalled.
    Cancelled { recalled: bool },
    /// A turn that was stopped by somebody.
    Stopped { by: &'a str, recalled: bool },
    /// Words that went into the turn of another message.
    Steered { into: &'a str },
}

pub(super) fn find_row(world: &World, message: &str) -> Option<InboundRow> {
    let (channel, message) = (ChannelName::from("feishu"), MessageId::from(message));
    world.ledger(|tx| inbound::by_message(tx, &channel, &message))
}

fn row(world: &World, message: &str) -> InboundRow {
    find_row(world, message).expect("it was taken")
}

fn turn(world: &World, message: &str) -> Turn {
    let id = row(world, message).turn.expect("it made a turn");
    world.ledger(|tx| turns::get(tx, &id))
}

/// Everything is over, and what the chat shows of the message is what the ledger holds.
async fn agree(world: &World, message: &str, became: Became<'_>) {
    let over = |world: &World| {
        let turn = find_row(world, message)?.turn?;
        world.ledger(|tx| turns::get(tx, &turn)).state.is_settled().then_some(())
    };
    world.wait("its turn to be over", over).await;
    world.settled().await;
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT, GROUP]);
    let (row, turn) = (row(world, message), turn(world, message));
    let (shown, answers) = (world.sim.message(message), world.answers(message));
    let answers: Vec<String> = answers.iter().map(|answer| answer.said()).collect();
    let cards: Vec<String> = world.cards(message).iter().map(|card| card.text()).collect();
    match became {
        Became::Answered(text) => {
            assert_eq!(turn.state, TurnState::Settled(Outcome::Completed));
            assert_eq!((turn.answer.as_deref(), row.steer), (Some(text), None));
            assert_eq!((answers, shown.receipts()), (vec![text.to_owned()], vec!["DONE"]));
        }
        Became::Cancelled { recalled } => {
            assert_eq!(turn.state, TurnState::Settled(Outcome::Cancelled));
            assert_eq!((turn.attempt, turn.answer), (0, None), "it was never handed over");
            assert_eq!(row.reason.as_deref() == Some("recalled"), recalled, "{row:?}");
            assert!(answers.is_empty(), "{answers:?}");
            if !recalled {
                assert_eq!(shown.receipts(), ["CrossMark"]);
            }
        }
        Became::Stopped { by, recalled } => {
            assert_eq!(turn.state, TurnState::Settled(Outcome::Interrupted));
            assert_eq!(turn.stop.and_then(|stop| stop.by).as_deref(), Some(by));
            assert_eq!(row.reason.as_deref() == Some("recalled"), recalled, "{row:?}");
            let words = format!("Stopped by {by}");
            let told = [answers, cards].concat();
            assert!(told.iter().all(|text| text.contains(&words)), "{told:?}");
            if !recalled {
                assert_eq!(shown.receipts(), ["CrossMark"]);
            }
        }
        Became::Steered { into } => {
            let other = self::row(world, into).turn;
            assert_eq!((row.steer.as_deref(), row.turn), (Some("taken"), other));
            assert_eq!((answers, shown.receipts()), (Vec::new(), vec!["DONE"]));
            assert!(cards.iter().all(|card| card.contains("Nothing waits any more")), "{cards:?}");
        }
    }
}

/// How the turns of these words ended.
fn outcomes(world: &World, words: &str) -> Vec<String> {
    let turns: Vec<serde_json::Value> = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    let own = turns
        .into_iter()
        .filter(|turn| turn["title"].as_str().is_some_and(|title| words.starts_with(title.trim_end_matches('…'))));
    own.map(|turn| turn["outcome"].as_str().unwrap_or("none").to_owned()).collect()
}

fn count(world: &World, what: &str) -> u64 {
    world.status().and_then(|status| status["turns"][what].as_u64()).unwrap_or(99)
}

/// A command that runs until its folder holds `go`, and then what the model does.
fn waits(then: &str) -> String {
    format!("[[shell touch started; until [ -e go ]; do sleep 0.1; done]] {then}")
}

/// The folder in which such a command runs, when it does.
async fn begun(world: &World) -> PathBuf {
    let started = |world: &World| find(&world.home.path().join("ally/workspaces"), "started");
    world.wait("the command to run", started).await.with_file_name("")
}

fn go(folder: &std::path::Path) {
    std::fs::write(folder.join("go"), "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_worked_off_in_order() {
    let world = World::start(Kind::Codex).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, &waits("[[say zero]]"));
    let folder = begun(&world).await;
    let mut queued = Vec::new();
    for n in ["one", "two", "three"] {
        queued.push(world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell echo {n} >> order]] [[say {n}]]")));
    }
    world.wait("the queue", |world| (count(world, "queued") == 3).then_some(())).await;
    for message in &queued {
        world.wait("its receipt", |world| (world.sim.message(message).receipts() == ["OneSecond"]).then_some(())).await;
    }
    go(&folder);
    agree(&world, &first, Became::Answered("zero")).await;
    for (message, text) in queued.iter().zip(["one", "two", "three"]) {
        agree(&world, message, Became::Answered(text)).await;
    }
    assert_eq!(std::fs::read_to_string(folder.join("order")).unwrap(), "one\ntwo\nthree\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_go_into_a_running_task_by_reply_by_button_and_by_command() {
    let world = World::start(Kind::Codex).await;
    for way in ["reply", "button", "command"] {
        let message = world.sim.say(OWNER_CHAT, OWNER, &waits("[[say unheard]]"));
        let folder = begun(&world).await;
        let live = world.card_with(&message, "Stop").await;
        let words = format!("[[shell echo {way} >> steered]] [[say heard {way}]]");
        let steer = match way {
            "reply" => world.sim.reply(&live.id, OWNER, &words),
            "command" => world.sim.say(OWNER_CHAT, OWNER, &format!("/steer {words}")),
            _ => {
                let queued = world.sim.say(OWNER_CHAT, OWNER, &words);
                let card = world.card_with(&queued, "Steer").await;
                let toast = world.sim.click(&card.id, "Steer", OWNER).await;
                assert!(!toast.to_string().contains("queue"), "{toast}");
                queued
            }
        };
        world
            .wait("the words to be handed over", |world| {
                let steer = find_row(world, &steer)?.steer;
                matches!(steer.as_deref(), Some("sent" | "taken")).then_some(())
            })
            .await;
        go(&folder);
        agree(&world, &message, Became::Answered(&format!("heard {way}"))).await;
        agree(&world, &steer, Became::Steered { into: &message }).await;
        // Only what was queued before it was steered was ever a turn.
        let own: Vec<String> = outcomes(&world, &words);
        assert_eq!(own, if way == "button" { vec!["cancelled"] } else { vec![] }, "{way}");
        let steered = std::fs::read_to_string(folder.join("steered")).unwrap();
        assert_eq!(steered.lines().last(), Some(way));
        for file in ["started", "go"] {
            std::fs::remove_file(folder.join(file)).unwrap();
        }
        assert!(holds(&world.home.path().join("ally/codex/sessions"), &format!("heard {way}")), "codex heard it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_for_a_task_that_has_just_ended_are_queued_and_answered() {
    let world = World::start(Kind::Codex).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, &waits("[[say over]]"));
    let folder = begun(&world).await;
    let live = world.card_with(&message, "Stop").await;
    go(&folder);
    agree(&world, &message, Became::Answered("over")).await;
    let late = world.sim.reply(&live.id, OWNER, "[[say later]]");
    agree(&world, &late, Became::Answered("later")).await;
    // Nothing runs, and it is said.
    let command = world.sim.say(OWNER_CHAT, OWNER, "/steer [[say after all]]");
    let told =
        world.wait("its answer", |world| world.answers(&command).into_iter().find(|one| one.said() == "after all"));
    told.await;
    world.settled().await;
    let said: Vec<String> = world.answers(&command).iter().map(|one| one.said()).collect();
    assert!(said.len() == 2 && said[0].contains("queued"), "{said:?}");
    assert_eq!(turn(&world, &command).state, TurnState::Settled(Outcome::Completed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_is_cancelled_by_button_and_by_number() {
    let world = World::start(Kind::Codex).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, &waits("[[say first]]"));
    let folder = begun(&world).await;
    let mut cancelled = Vec::new();
    for way in ["button", "number"] {
        let queued = world.sim.say(OWNER_CHAT, OWNER, "[[shell touch never]] [[say never]]");
        world.wait("the queue", |world| (count(world, "queued") == 1).then_some(())).await;
        if way == "button" {
            let card = world.card_with(&queued, "Cancel").await;
            world.sim.click(&card.id, "Cancel", OWNER).await;
        } else {
            world.sim.say(OWNER_CHAT, OWNER, "/cancel 1");
        }
        world.wait("the queue to be empty", |world| (count(world, "queued") == 0).then_some(())).await;
        cancelled.push(queued);
    }
    go(&folder);
    agree(&world, &first, Became::Answered("first")).await;
    for message in &cancelled {
        agree(&world, message, Became::Cancelled { recalled: false }).await;
    }
    assert!(!folder.join("never").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_a_task_is_being_handed_over_is_held_and_carried_out() {
    let world = World::start(Kind::Codex).await;
    let before = world.sim.say(OWNER_CHAT, OWNER, "[[say before]]");
    agree(&world, &before, Became::Answered("before")).await;
    // Codex takes nothing and answers nothing until it goes on.
    let codex = world.pid("runtime").unwrap();
    kill(codex, "-STOP");
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 3000]] [[shell touch never]] [[say never]]");
    world.wait("it to be handed over", |world| (count(world, "submitting") == 1).then_some(())).await;
    world.sim.say(OWNER_CHAT, OWNER, "/stop");
    world.wait("the stop", |world| turn(world, &message).stop).await;
    assert_eq!(count(&world, "submitting"), 1, "it is not known yet whether codex has it");
    kill(codex, "-CONT");
    agree(&world, &message, Became::Stopped { by: "Wang", recalled: false }).await;
    assert_eq!(find(&world.home.path().join("ally/workspaces"), "never"), None);
    assert_eq!(world.pid("runtime"), Some(codex), "it is the same codex");
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
    agree(&world, &next, Became::Answered("next")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_cancels_what_is_queued_and_stops_what_runs_when_asked_to() {
    let world = World::start(Kind::Codex).await;
    let running = world.sim.say(OWNER_CHAT, OWNER, &waits("[[shell touch never]] [[say never]]"));
    let folder = begun(&world).await;
    let queued = world.sim.say(OWNER_CHAT, OWNER, "[[shell touch never]] [[say not this]]");
    world.wait("the queue", |world| (count(world, "queued") == 1).then_some(())).await;
    world.sim.recall(&queued);
    world.wait("the queue to be empty", |world| (count(world, "queued") == 0).then_some(())).await;
    assert_eq!(count(&world, "running"), 1, "the other runs on");
    world.sim.recall(&running);
    let offer = world
        .wait("the offer", |world| {
            let mut all = world.sim.messages(OWNER_CHAT).into_iter().filter(SimMessage::by_bot);
            all.find(|one| one.text().contains("was recalled") && one.button("Stop").is_some())
        })
        .await;
    assert_eq!(count(&world, "running"), 1, "a recall alone stops nothing that runs");
    world.sim.click(&offer.id, "Stop", OWNER).await;
    agree(&world, &running, Became::Stopped { by: "Wang", recalled: true }).await;
    agree(&world, &queued, Became::Cancelled { recalled: true }).await;
    assert!(!folder.join("never").exists());
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
    agree(&world, &next, Became::Answered("next")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_a_command_learns_what_remains_of_it_in_a_quiet_chat_too() {
    let world = World::start(Kind::Codex).await;
    let quiet = world.sim.say(OWNER_CHAT, OWNER, "/settings noise quiet");
    world.said(&quiet).await;
    let seconds = format!("77.{}", std::process::id());
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell sleep {seconds}]] [[say never]]"));
    world.wait("the command to run", |_| runs(&seconds).then_some(())).await;
    // Ended in its first moment it would leave nothing to tell of.
    let seen = |world: &World| turn(world, &message).tool_seen.then_some(());
    world.wait("the step to be known", seen).await;
    assert!(world.cards(&message).is_empty(), "nothing is shown while it runs");
    world.sim.say(OWNER_CHAT, OWNER, "/stop");
    agree(&world, &message, Became::Stopped { by: "Wang", recalled: false }).await;
    let cards: Vec<String> = world.cards(&message).iter().map(SimMessage::text).collect();
    assert!(cards.len() == 1 && cards[0].contains("Changes made stay; background commands: ended"), "{cards:?}");
    assert!(!runs(&seconds), "and so it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_in_a_topic_without_a_task_means_no_other_topics_task() {
    let world = World::start(Kind::Embedded).await;
    let file = world.file("ran.txt");
    let asking = world.sim.say(GROUP, LI, &format!("@bot [[escalate echo x >> {}]] [[say done]]", file.display()));
    let card = world.card_with(&asking, "Allow once").await;
    let aside = world.sim.say(GROUP, LI, "lunch?");
    for (word, told) in [("/stop", "No task is running"), ("/cancel", "Nothing is queued")] {
        let said = world.sim.reply(&aside, OWNER, &format!("@bot {word}"));
        let answer = world.answer(&said).await.said();
        assert!(answer.contains(told), "{answer}");
    }
    let yes = world.sim.reply(&aside, OWNER, "@bot y");
    world.answer(&yes).await;
    assert_eq!(count(&world, "waiting"), 1);
    assert!(world.nonces(&file).is_empty(), "nobody allowed it");
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&asking).await.said(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_taken_back_was_given() {
    let world = World::start(Kind::Embedded).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[ask Which colour?|red|blue]] [[say done]]");
    world.card_with(&asked, "red").await;
    let green = world.sim.say(OWNER_CHAT, OWNER, "the green one, please");
    assert!(world.answer(&asked).await.said().contains("done"));
    world.sim.recall(&green);
    let reason = |world: &World| row(world, &green).reason.filter(|reason| reason == "recalled");
    world.wait("the recall", reason).await;
    let row = row(&world, &green);
    assert_eq!((row.state, row.raw), (InboundState::Decision, None), "its words are gone, what it decided is not");
}
