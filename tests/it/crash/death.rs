//! `kill -9` of the bridge, of codex, of both, in each kind of moment: every message has exactly one outcome, no card says
//! running, and no tool effect happens twice.

use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

#[derive(Debug, Clone, Copy)]
enum Who {
    Bridge,
    Runtime,
    Both,
}

async fn kill(world: &World, who: Who) {
    match who {
        Who::Bridge => world.kill_bridge().await,
        Who::Runtime => world.kill_runtime().await,
        Who::Both => world.kill_both().await,
    }
}

/// What became of a message: its answer, or the card that says that nobody knows.
async fn outcome(world: &World, message: &str) -> Outcome {
    world
        .wait(&format!("an outcome of {message}"), |world| {
            if !world.answers(message).is_empty() {
                return Some(Outcome::Answered);
            }
            world
                .cards(message)
                .into_iter()
                .find(|card| card.button("Continue").is_some())
                .map(Box::new)
                .map(Outcome::Unknown)
        })
        .await
}

pub enum Outcome {
    Answered,
    Unknown(Box<SimMessage>),
}

/// Exactly one outcome, and nothing that claims to run.
pub async fn assert_one_outcome(world: &World, message: &str) -> Outcome {
    let outcome = outcome(world, message).await;
    world.settled().await;
    let answers = world.answers(message).len();
    let unknown = world.cards(message).iter().filter(|card| card.button("Continue").is_some()).count();
    assert_eq!(answers + unknown, 1, "one outcome, not {answers} answers and {unknown} cards");
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT, GROUP]);
    outcome
}

async fn during_text(who: Who) {
    let world = World::start(Kind::Codex).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[stream 200 50]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    kill(&world, who).await;
    assert_one_outcome(&world, &message).await;
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_dies_while_text_streams() {
    during_text(Who::Bridge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_dies_while_text_streams() {
    during_text(Who::Runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_die_while_text_streams() {
    during_text(Who::Both).await;
}

/// When something dies in a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// As soon as it did what it does: a command may be quicker than the word of it.
    Effect,
    /// Once the ledger knows of the step.
    Known,
}

async fn during_a_tool(who: Who) {
    for moment in [Moment::Effect, Moment::Known] {
        in_a_tool_at(who, moment).await;
    }
}

async fn in_a_tool_at(who: Who, moment: Moment) {
    let world = World::start(Kind::Codex).await;
    let file = "nonce.txt";
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell echo n1 >> {file}; sleep 20]] [[say done]]"));
    let nonce = world.wait("the tool's effect", |world| find(&world.home.path().join("ally/workspaces"), file)).await;
    if moment == Moment::Known {
        let knows = |world: &World| {
            let active = world.ledger(ally::ledger::turns::all_active);
            active.iter().any(|turn| turn.tool_seen).then_some(())
        };
        world.wait("the step to be known", knows).await;
    }
    kill(&world, who).await;
    let Outcome::Unknown(card) = assert_one_outcome(&world, &message).await else {
        panic!("a tool was cut: nobody can know")
    };
    if moment == Moment::Known {
        assert!(card.text().contains("echo n1"), "the step that is not certain is named: {}", card.text());
    }
    assert_eq!(world.nonces(&nonce), [("n1".to_owned(), 1)].into(), "the effect did not happen twice");
    // What waits behind it waits for a person; his own new message says that he has seen it.
    world.sim.click(&card.id, "Dismiss", OWNER).await;
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say onwards]]");
    assert_eq!(world.answer(&next).await.said(), "onwards");
    assert_eq!(world.nonces(&nonce), [("n1".to_owned(), 1)].into());
}

pub fn find(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    let folders = std::fs::read_dir(folder).ok()?;
    folders.flatten().map(|entry| entry.path().join(name)).find(|path| path.metadata().is_ok_and(|meta| meta.len() > 0))
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_dies_in_a_tool_call() {
    during_a_tool(Who::Runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_die_in_a_tool_call() {
    during_a_tool(Who::Both).await;
}

async fn with_an_open_approval(who: Who) {
    let world = World::start(Kind::Codex).await;
    let file = world.file("approved.txt");
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo n1 >> {}]] [[say done]]", file.display()));
    let card = world.card_with(&message, "Allow once").await;
    kill(&world, who).await;
    let Outcome::Unknown(interrupted) = assert_one_outcome(&world, &message).await else {
        panic!("the question was cut")
    };
    let repainted = world.sim.message(&card.id);
    assert!(repainted.text().contains("did not run"), "the old card is void: {}", repainted.text());
    assert!(repainted.button("Allow once").is_none());
    assert_eq!(world.nonces(&file).len(), 0);
    // Continue asks again, and once allowed it happens once.
    world.sim.click(&interrupted.id, "Continue", OWNER).await;
    let again = world
        .wait("the question again", |world| {
            world.cards(&message).into_iter().find(|other| other.id != card.id && other.button("Allow once").is_some())
        })
        .await;
    world.sim.click(&again.id, "Allow once", OWNER).await;
    world.wait("the effect", |world| (!world.nonces(&file).is_empty()).then_some(())).await;
    world.settled().await;
    assert_eq!(world.nonces(&file), [("n1".to_owned(), 1)].into());
    assert_eq!(world.answers(&message).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_die_with_an_open_approval() {
    with_an_open_approval(Who::Both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_dies_with_an_open_approval() {
    with_an_open_approval(Who::Runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_an_open_approval_leaves_it_to_be_asked_again() {
    let mut world = World::prepare(Kind::Codex, "[turn]\ngrace = \"1s\"\n").await;
    world.up().await;
    let file = world.file("approved.txt");
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo n1 >> {}]] [[say done]]", file.display()));
    let card = world.card_with(&message, "Allow once").await;
    let allow = card.button("Allow once").unwrap();
    world.down().await;
    world.up().await;
    world.settled_surfaces().await;
    let void = world.sim.message(&card.id);
    assert!(void.text().contains("did not run") && void.button("Allow once").is_none(), "{}", void.text());
    world.sim.click_value(&card.id, OWNER, allow, serde_json::Value::Null).await;
    assert_eq!((world.status().unwrap()["turns"]["running"].as_u64(), file.exists()), (Some(0), false));
    let interrupted = world.card_with(&message, "Continue").await;
    world.sim.click(&interrupted.id, "Continue", OWNER).await;
    let again = world.card_with(&message, "Allow once").await;
    assert_ne!(again.id, card.id);
    world.sim.click(&again.id, "Allow once", OWNER).await;
    world.wait("the effect", |world| (!world.nonces(&file).is_empty()).then_some(())).await;
    world.settled().await;
    assert_eq!((world.nonces(&file), world.answers(&message).len()), ([("n1".to_owned(), 1)].into(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_dies_just_after_an_accept() {
    let world = World::start(Kind::Codex).await;
    let file = world.file("accepted.txt");
    let message =
        world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo n1 >> {}; sleep 20]] [[say done]]", file.display()));
    let card = world.card_with(&message, "Allow once").await;
    world.sim.click(&card.id, "Allow once", OWNER).await;
    world.wait("the effect", |world| (!world.nonces(&file).is_empty()).then_some(())).await;
    world.kill_runtime().await;
    let Outcome::Unknown(interrupted) = assert_one_outcome(&world, &message).await else {
        panic!("the command was cut")
    };
    assert!(interrupted.text().contains("may have"), "what may have run is named: {}", interrupted.text());
    assert_eq!(world.nonces(&file), [("n1".to_owned(), 1)].into(), "an accepted command is never repeated by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_dies_right_after_the_end_and_before_the_answer() {
    let world = World::start(Kind::Codex).await;
    // The platform hangs: the answer is committed and its sending has no answer when the bridge dies.
    world.sim.fault("/open-apis/im/v1/messages", crate::support::feishu_sim::Fault::Hang, 3);
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say exactly once]]");
    world.wait("the answer to be on its way", |world| (world.status()?["outbox"]["sending"] == 1).then_some(())).await;
    world.kill_bridge().await;
    let answer = world.answer(&message).await;
    assert_eq!(answer.said(), "exactly once");
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_dies_with_a_queue_behind_a_running_turn() {
    let world = World::start(Kind::Codex).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[stream 100 50]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let queued: Vec<String> =
        (0..4).map(|n| world.sim.say(OWNER_CHAT, OWNER, &format!("[[say queued {n}]]"))).collect();
    world.wait("the queue", |world| (world.status()?["turns"]["queued"] == 4).then_some(())).await;
    world.kill_bridge().await;
    assert_one_outcome(&world, &first).await;
    for (n, message) in queued.iter().enumerate() {
        assert_eq!(world.answer(message).await.said(), format!("queued {n}"));
        assert_eq!(world.answers(message).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_dies_just_after_a_steer() {
    let world = World::start(Kind::Codex).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[shell sleep 20]] [[say done]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let steer = world.sim.say(OWNER_CHAT, OWNER, "/steer [[say steered words]]");
    world.sim.wait_ack(&steer).await;
    world.kill_bridge().await;
    assert_one_outcome(&world, &message).await;
    // Named in the notice, answered as a turn of its own, or taken by the agent before the end (and marked so): never
    // silently gone.
    world
        .wait("the steer's words to be told", |world| {
            let named = world.cards(&message).iter().any(|card| card.text().contains("steered words"));
            let taken = world.sim.message(&steer).receipts().contains(&"DONE");
            (named || taken || !world.answers(&steer).is_empty()).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_a_command_running_leaves_nothing_behind() {
    let mut world = World::prepare(Kind::Codex, "[turn]\ngrace = \"1s\"\n").await;
    world.up().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[shell sleep 300]] [[say done]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    world.down().await;
    assert_eq!(world.processes(), Vec::<u32>::new());
    let card = world.cards(&message).into_iter().find(|card| card.button("Continue").is_some());
    assert!(
        card.is_some(),
        "what was cut is told at once: {:?}",
        world.cards(&message).iter().map(SimMessage::text).collect::<Vec<_>>()
    );
    world.up().await;
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say again]]");
    assert_eq!(world.answer(&next).await.said(), "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codex_that_stands_still_is_ended_when_it_heeds_no_stop() {
    let world = World::start(Kind::Codex).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[stream 1200 50]]");
    let pid = world
        .wait("the turn to run", |world| {
            let status = world.status()?;
            (status["turns"]["running"] == 1).then(|| status["pids"]["runtime"].as_u64()).flatten()
        })
        .await;
    crate::support::world::kill(pid as u32, "-STOP");
    world.sim.say(OWNER_CHAT, OWNER, "/stop");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    world.warp(std::time::Duration::from_secs(61)).await;
    let status = |world: &World| world.status()?["pids"]["runtime"].as_u64().filter(|now| *now != pid);
    world.wait("a new codex", status).await;
    world.settled().await;
    world.settled_surfaces().await;
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
    assert!(world.answers(&message).iter().all(|said| !said.text().contains("w1200")), "it was stopped");
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
}
