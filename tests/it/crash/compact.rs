//! The bridge and codex die around a compaction: it is done or was cut off, is told once, and is never begun again by itself.

use ally::domain::ids::TurnId;
use ally::domain::turn::{Outcome, TurnState};
use ally::ledger::turns::{self, Turn};

use super::points::{arm, died};
use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

const COMPACTED: &str = "Compacted";

/// What a place proves of a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Done,
    CutOff,
    Either,
}

fn cut_off(world: &World, message: &str) -> Option<SimMessage> {
    world.cards(message).into_iter().find(|card| card.button("Run again").is_some())
}

/// All turns that answer a message, the oldest first.
fn turns_of(world: &World, message: &str) -> Vec<Turn> {
    world.ledger(|tx| {
        let mut rows = tx.prepare("SELECT id FROM turns WHERE reply_to = ?1 ORDER BY created_at_ms, id")?;
        let ids: Vec<String> = rows.query_map([message], |row| row.get(0))?.collect::<Result<_, _>>()?;
        drop(rows);
        ids.into_iter().map(|id| turns::get(tx, &TurnId::from(id))).collect()
    })
}

/// Exactly one outcome of `/compact`, of one attempt; what came of it.
async fn one_outcome(world: &World, message: &str) -> Expect {
    world
        .wait("an outcome of the compaction", |world| {
            (!world.answers(message).is_empty() || cut_off(world, message).is_some()).then_some(())
        })
        .await;
    world.settled().await;
    let (said, cut) = (world.answers(message), cut_off(world, message));
    assert_eq!(said.len() + usize::from(cut.is_some()), 1, "one outcome: {said:?} {cut:?}");
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT, GROUP]);
    let turns = turns_of(world, message);
    let [turn] = turns.as_slice() else { panic!("one turn: {turns:?}") };
    assert!(turn.attempt <= 1, "{turn:?}");
    match cut {
        None => {
            assert_eq!(said[0].said(), COMPACTED);
            assert_eq!(turn.state, TurnState::Settled(Outcome::Completed));
            Expect::Done
        }
        Some(card) => {
            assert!(card.text().contains("was cut off"), "{}", card.text());
            assert_eq!(turn.state, TurnState::Settled(Outcome::Interrupted));
            Expect::CutOff
        }
    }
}

async fn still_here(world: &World) {
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[compacting 0]] [[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
}

async fn killed_while_it_compacts(kind: Kind, kill: impl AsyncFn(&World)) {
    let world = World::start(kind).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[compacting 60000]] [[say first]]");
    world.answer(&first).await;
    let compact = world.sim.say(OWNER_CHAT, OWNER, "/compact");
    world.wait("the compaction", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    kill(&world).await;
    assert_eq!(one_outcome(&world, &compact).await, Expect::CutOff);
    still_here(&world).await;
    // Once more, where somebody says so.
    let card = cut_off(&world, &compact).expect("the question");
    world.sim.click(&card.id, "Run again", OWNER).await;
    assert_eq!(world.answer(&compact).await.said(), COMPACTED);
    world.settled().await;
    assert_eq!(turns_of(&world, &compact).len(), 2);
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}

async fn it_compacts_on_when_the_bridge_dies(kind: Kind) {
    let world = World::start(kind).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[compacting 4000]] [[say first]]");
    world.answer(&first).await;
    let compact = world.sim.say(OWNER_CHAT, OWNER, "/compact");
    world.wait("the compaction", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    world.kill_bridge().await;
    assert_eq!(one_outcome(&world, &compact).await, Done);
    still_here(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_compacts_on_when_the_bridge_dies() {
    it_compacts_on_when_the_bridge_dies(Kind::Codex).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_runtime_compacts_on_when_the_bridge_dies() {
    it_compacts_on_when_the_bridge_dies(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_dies_while_it_compacts() {
    killed_while_it_compacts(Kind::Codex, World::kill_runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_die_while_codex_compacts() {
    killed_while_it_compacts(Kind::Codex, World::kill_both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_runtime_dies_while_it_compacts() {
    killed_while_it_compacts(Kind::Embedded, World::kill_runtime).await;
    killed_while_it_compacts(Kind::Embedded, World::kill_both).await;
}

async fn around(kind: Kind, places: &[(&str, Expect)]) {
    let world = World::start(kind).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[say first]]");
    world.answer(&first).await;
    world.settled().await;
    for (place, expect) in places {
        arm(&world, place);
        let compact = world.sim.say(OWNER_CHAT, OWNER, "/compact");
        died(&world, place).await;
        let outcome = one_outcome(&world, &compact).await;
        assert!(*expect == Either || outcome == *expect, "at {place}: {outcome:?}");
        let next = world.sim.say(OWNER_CHAT, OWNER, &format!("[[say after {place}]]"));
        assert_eq!(world.answer(&next).await.said(), format!("after {place}"));
        world.settled().await;
    }
}

use Expect::{CutOff, Done, Either};

#[tokio::test(flavor = "multi_thread")]
async fn around_w2_of_codex_compacting() {
    around(Kind::Codex, &[("w2.before", Done), ("w2.after", CutOff), ("w2.told", Either)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_w3_of_codex_compacting() {
    around(Kind::Codex, &[("w3.before", Either), ("w3.after", Either)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_w6_of_codex_compacting() {
    around(Kind::Codex, &[("w6.before", Done), ("w6.after", Done)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_the_writes_of_a_compaction() {
    around(Kind::Embedded, &[("w2.after", CutOff), ("w3.after", Either), ("w6.before", Done)]).await;
}

/// A request that was too long, and the bridge dies at a place of its compaction: it runs again once.
async fn too_long(kind: Kind, place: &str, cut: bool) {
    let world = World::start(kind).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[say first]]");
    world.answer(&first).await;
    let message =
        world.sim.say(OWNER_CHAT, OWNER, "[[context_full]] [[shell echo n1 >> ran.txt]] [[say there is room]]");
    let card = world.card_with(&message, "Compact and retry").await;
    world.settled().await;
    arm(&world, place);
    world.sim.click(&card.id, "Compact and retry", OWNER).await;
    died(&world, place).await;
    if cut {
        let again = world.wait("the question", |world| cut_off(world, &message)).await;
        world.sim.click(&again.id, "Run again", OWNER).await;
    }
    let ran = |world: &World| world.answers(&message).iter().filter(|said| said.said() == "there is room").count();
    world.wait("the request again", |world| (ran(world) == 1).then_some(())).await;
    world.settled().await;
    assert_eq!(ran(&world), 1);
    let file = super::death::find(&world.home.path().join("ally/workspaces"), "ran.txt").expect("it ran");
    assert_eq!(world.nonces(&file), [("n1".to_owned(), 1)].into());
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
    still_here(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_runs_again_once_when_the_bridge_dies_before_the_end_of_its_compaction() {
    too_long(Kind::Codex, "w6.before", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_runs_again_once_when_the_bridge_dies_after_its_compaction() {
    too_long(Kind::Codex, "w6.after", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_a_compaction_that_is_asked_about() {
    too_long(Kind::Embedded, "w2.after", true).await;
}
