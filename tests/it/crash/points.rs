//! The bridge dies at each write of a message's life, just before and just after its commit, and just after the other side
//! was told: every message has one outcome, every effect happened at most once, and exactly once where that is certain.

use std::collections::BTreeMap;
use std::path::Path;

use super::death::{Outcome, assert_one_outcome, find};
use crate::people::network::Elsewhere;
use crate::support::feishu_sim::{SimMessage, UuidRepeat};
use crate::support::world::*;

/// Has the bridge die at `place` the next time it comes by.
pub(super) fn arm(world: &World, place: &str) {
    assert!(ally::crash::PLACES.contains(&place), "{place} is a place");
    std::fs::write(file_of(world), place).unwrap();
}

/// For the process that is there now, and for its successor.
pub(super) fn arm_twice(world: &World, place: &str) {
    assert!(ally::crash::PLACES.contains(&place), "{place} is a place");
    std::fs::write(file_of(world), format!("{place}\n{place}")).unwrap();
}

fn file_of(world: &World) -> std::path::PathBuf {
    ally::config::Paths::of_home(world.home.path().join("ally"), None).crash_point()
}

/// Waits for the death, and for the successor.
pub(super) async fn died(world: &World, place: &str) {
    world.wait(&format!("a death at {place}"), |world| (!file_of(world).exists()).then_some(())).await;
    world.ready().await;
    // What was not acknowledged comes again by itself.
    world.sim.advance(std::time::Duration::from_secs(16));
}

/// The same, and the runtime dies at the same time.
async fn both_died(world: &World, place: &str, runtime: u32) {
    world.wait(&format!("a death at {place}"), |world| (!file_of(world).exists()).then_some(())).await;
    crate::support::world::kill(runtime, "-KILL");
    died(world, place).await;
}

/// What a place proves of the tool's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// The answer, and the effect once.
    Answer,
    /// The answer, or the card that says that nobody knows; the effect at most once.
    Either,
}

async fn message(kind: Kind, places: &[(&str, Expect)]) {
    let world = World::start(kind).await;
    for (n, (place, expect)) in places.iter().enumerate() {
        let file = format!("nonce-{n}.txt");
        arm(&world, place);
        let text = format!("[[shell echo n{n} >> {file}]] [[say answer {n}]]");
        let message = world.sim.say(OWNER_CHAT, OWNER, &text);
        died(&world, place).await;
        let outcome = assert_one_outcome(&world, &message).await;
        let nonces =
            find(&world.home.path().join("ally/workspaces"), &file).map_or(BTreeMap::new(), |path| counts(&path));
        let once = BTreeMap::from([(format!("n{n}"), 1)]);
        match (outcome, expect) {
            (Outcome::Answered, _) => {
                assert_eq!(world.answer(&message).await.said(), format!("answer {n}"), "at {place}");
                assert_eq!(nonces, once, "at {place}");
            }
            (Outcome::Unknown(card), Expect::Either) => {
                assert!(nonces.is_empty() || nonces == once, "at {place}: {nonces:?}");
                world.sim.click(&card.id, "Dismiss", OWNER).await;
            }
            (Outcome::Unknown(card), Expect::Answer) => panic!("at {place} the end is certain: {}", card.text()),
        }
    }
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
}

fn counts(path: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

use Expect::{Answer, Either};

#[tokio::test(flavor = "multi_thread")]
async fn around_w1() {
    message(Kind::Codex, &[("w1.before", Answer), ("w1.after", Answer)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_w1b() {
    message(Kind::Codex, &[("w1b.before", Answer), ("w1b.after", Answer)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_carries_words_is_said_and_done_once() {
    let world = World::start(Kind::Embedded).await;
    let said = |message: &str| world.told(message).iter().map(SimMessage::said).collect::<Vec<_>>();
    for (place, n) in [("w1b.before", 1), ("w1b.after", 2)] {
        arm(&world, place);
        let new = world.sim.say(OWNER_CHAT, OWNER, &format!("/new [[say fresh {n}]]"));
        died(&world, place).await;
        world.wait("the answer", |_| said(&new).contains(&format!("fresh {n}")).then_some(())).await;
        world.settled().await;
        let wanted = ["A new conversation begins; nothing said before is remembered".to_owned(), format!("fresh {n}")];
        assert_eq!(said(&new), wanted, "at {place}");
    }
    arm(&world, "w1b.before");
    let steer = world.sim.say(OWNER_CHAT, OWNER, "/steer [[say alone]]");
    died(&world, "w1b.before").await;
    world.wait("the answer", |_| said(&steer).contains(&"alone".to_owned()).then_some(())).await;
    world.settled().await;
    assert_eq!(said(&steer), ["No task is running, so this is queued", "alone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn around_w2() {
    message(Kind::Codex, &[("w2.before", Answer), ("w2.after", Answer), ("w2.told", Either)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_w3() {
    message(Kind::Codex, &[("w3.before", Either), ("w3.after", Either)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_w6_and_w7() {
    message(Kind::Codex, &[("w6.before", Answer), ("w6.after", Answer), ("w7.before", Answer)]).await;
    message(Kind::Codex, &[("w7.told", Answer), ("w7.after", Answer)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_a_group_commit() {
    message(Kind::Codex, &[("commit.before", Answer), ("commit.after", Answer)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_each_write_with_the_embedded_runtime() {
    let first = [("w2.after", Answer), ("w2.told", Either), ("w3.after", Either), ("w6.before", Answer)];
    message(Kind::Embedded, &first).await;
}

/// What is known of an approval after bridge and codex died at a place of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Nobody had decided: asked again.
    AskedAgain,
    /// The request was over, and the command may have run.
    Over,
    /// Decided, and surely not passed on: honoured once.
    Honoured,
    /// Decided and perhaps passed on: asked again, and what may have run is said.
    MayHaveRun,
}

async fn approval(place: &str, after: After) {
    let world = World::start(Kind::Codex).await;
    let codex = world.pid("runtime").unwrap();
    let file = world.file("approved.txt");
    let text = format!("[[escalate echo n1 >> {}]] [[say done]]", file.display());
    let message = if place.starts_with("w4") {
        arm(&world, place);
        world.sim.say(OWNER_CHAT, OWNER, &text)
    } else {
        let message = world.sim.say(OWNER_CHAT, OWNER, &text);
        let card = world.card_with(&message, "Allow once").await;
        arm(&world, place);
        // The ack may never come: nobody waits for it.
        let sim = world.sim.clone();
        let click = tokio::spawn(async move { sim.click(&card.id, "Allow once", OWNER).await });
        world.wait("the death", |world| (!file_of(world).exists()).then_some(())).await;
        click.abort();
        message
    };
    both_died(&world, place, codex).await;
    let Outcome::Unknown(card) = assert_one_outcome(&world, &message).await else {
        panic!("at {place} the request was cut")
    };
    let so_far = world.nonces(&file);
    assert!(so_far.values().all(|times| *times == 1), "at {place}: {so_far:?}");
    let may_have_run = matches!(after, After::MayHaveRun | After::Over);
    assert!(so_far.is_empty() || may_have_run, "at {place} nothing was passed on: {so_far:?}");
    world.sim.click(&card.id, "Continue", OWNER).await;
    if after != After::Honoured {
        let again = world.card_with(&message, "Allow once").await;
        if after == After::MayHaveRun {
            assert!(again.text().contains("may have run"), "at {place}: {}", again.text());
        }
        world.sim.click(&again.id, "Allow once", OWNER).await;
    }
    world.wait("the end", |world| (!world.answers(&message).is_empty()).then_some(())).await;
    world.settled().await;
    // A person who was told that it may have run allowed it again: that once more is his.
    let wanted = 1 + so_far.values().sum::<usize>();
    assert_eq!(world.nonces(&file).values().sum::<usize>(), wanted, "at {place}");
    assert_eq!(world.answers(&message).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_w4() {
    approval("w4.before", After::AskedAgain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_w4() {
    approval("w4.after", After::AskedAgain).await;
}

/// A platform may answer a repeated key with nothing but "it was sent": the card that is there asks no more all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_whose_id_was_never_told_stops_asking() {
    let world = World::start(Kind::Embedded).await;
    let runtime = world.pid("runtime").unwrap();
    world.sim.rules(|rules| rules.uuid_repeat = UuidRepeat::Refused);
    arm(&world, "card.told");
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[escalate echo x]] [[say done]]");
    both_died(&world, "card.told", runtime).await;
    assert!(matches!(assert_one_outcome(&world, &message).await, Outcome::Unknown(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn before_w5() {
    approval("w5.before", After::AskedAgain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_w5() {
    approval("w5.after", After::Honoured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_w5a() {
    approval("w5a.before", After::Honoured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_honoured_once_and_the_same_is_asked_about_after_that() {
    let world = World::start(Kind::Codex).await;
    let file = world.file("approved.txt");
    let ask = format!("[[escalate echo n1 >> {}]]", file.display());
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("{ask} {ask} [[say done]]"));
    let card = world.card_with(&message, "Allow once").await;
    let codex = world.pid("runtime").unwrap();
    arm(&world, "w5.after");
    let sim = world.sim.clone();
    let click = tokio::spawn(async move { sim.click(&card.id, "Allow once", OWNER).await });
    both_died(&world, "w5.after", codex).await;
    click.abort();
    assert!(!file.exists());
    let cut = world.card_with(&message, "Continue").await;
    world.sim.click(&cut.id, "Continue", OWNER).await;
    let second = world.card_with(&message, "Allow once").await;
    assert_eq!(world.nonces(&file).get("n1"), Some(&1), "the first was allowed before");
    world.sim.click(&second.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "done");
    assert_eq!(world.nonces(&file).get("n1"), Some(&2));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_w5a() {
    approval("w5a.after", After::MayHaveRun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_end_of_a_request() {
    approval("gate.over.before", After::MayHaveRun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_of_a_request() {
    approval("gate.over.after", After::Over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn just_after_the_answer_was_written() {
    approval("w5a.told", After::MayHaveRun).await;
}

/// Somebody let the task out to the network, and bridge and codex died before it could go on: it is asked about, and goes on
/// with the network when that is wanted.
#[tokio::test(flavor = "multi_thread")]
async fn a_death_around_the_grant_of_the_network() {
    for place in ["w5.before", "w5.after", "w6.before", "w6.after"] {
        let world = World::start(Kind::Codex).await;
        let there = Elsewhere::listen().await;
        let text = format!("{} {} [[say done]]", there.visit(), there.ask());
        let message = world.sim.say(OWNER_CHAT, OWNER, &text);
        let card = world.card_with(&message, "Network for task").await;
        let value = card.button("Network for task").unwrap();
        let codex = world.pid("runtime").unwrap();
        arm(&world, place);
        let sim = world.sim.clone();
        let id = card.id.clone();
        let click = tokio::spawn(async move { sim.click_value(&id, OWNER, value, serde_json::Value::Null).await });
        both_died(&world, place, codex).await;
        click.abort();
        if place != "w6.after" {
            // Nobody knows what the dead process did: somebody says whether it goes on.
            let lost = world.card_with(&message, "Continue").await;
            world.sim.click(&lost.id, "Continue", OWNER).await;
        }
        let again = world.card_with(&message, "Allow once").await;
        let granted = place != "w5.before";
        assert_eq!(there.came(), usize::from(granted), "{place}");
        assert_eq!(again.button("Network for task").is_none(), granted, "{place}");
        world.sim.click(&again.id, "Decline", OWNER).await;
        assert_eq!(world.answer(&message).await.said(), "done", "{place}");
    }
}

/// Whoever gave the network lost the right to it before the agent was told: it has none, and the request waits again.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_of_the_network_goes_with_the_right_to_give_it() {
    let world = World::start(Kind::Codex).await;
    let there = Elsewhere::listen().await;
    let named = world.sim.say(GROUP, OWNER, "@bot /admin @ou_li");
    assert!(world.answer(&named).await.said().contains("Li is an admin now"));
    let text = format!("@bot [[permit network]] {} [[say done]]", there.visit());
    let message = world.sim.say(GROUP, OWNER, &text);
    let card = world.card_with(&message, "Network for task").await;
    let value = card.button("Network for task").unwrap();
    let codex = world.pid("runtime").unwrap();
    arm(&world, "w5.after");
    let sim = world.sim.clone();
    let id = card.id.clone();
    let click = tokio::spawn(async move { sim.click_value(&id, LI, value, serde_json::Value::Null).await });
    both_died(&world, "w5.after", codex).await;
    click.abort();
    let removed = world.sim.say(GROUP, OWNER, "@bot /admin @ou_li remove");
    assert!(world.answer(&removed).await.said().contains("no longer an admin"));
    let lost = world.card_with(&message, "Continue").await;
    world.sim.click(&lost.id, "Continue", OWNER).await;
    let again = world
        .wait("the request again", |world| {
            world.cards(&message).into_iter().find(|c| c.id != card.id && c.button("Network for task").is_some())
        })
        .await;
    world.sim.click(&again.id, "Decline", OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "done");
    assert_eq!(there.came(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_group_of_writes() {
    let world = World::start(Kind::Embedded).await;
    arm(&world, "commit.middle");
    // Several at once, so that some wait while others are committed; as many as one person may have waiting.
    let messages: Vec<String> = (0..5).map(|n| world.sim.say(OWNER_CHAT, OWNER, &format!("[[say {n}]]"))).collect();
    died(&world, "commit.middle").await;
    for (n, message) in messages.iter().enumerate() {
        world.wait("its end", |world| has_an_end(world, message).then_some(())).await;
        assert!(world.answers(message).iter().all(|answer| answer.said() == n.to_string()));
    }
    world.settled().await;
    assert!(messages.iter().all(|message| world.answers(message).len() <= 1), "each once");
}

/// Answered, or somebody is asked what shall become of it.
fn has_an_end(world: &World, message: &str) -> bool {
    !world.answers(message).is_empty() || world.cards(message).iter().any(|card| card.button("Continue").is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn around_the_burial_of_a_dead_process() {
    for place in ["bury.before", "bury.after"] {
        let world = World::start(Kind::Embedded).await;
        let message = world.sim.say(OWNER_CHAT, OWNER, "[[escalate echo x]] [[say done]]");
        let card = world.card_with(&message, "Allow once").await;
        arm(&world, place);
        crate::support::world::kill(world.pid("runtime").unwrap(), "-KILL");
        died(&world, place).await;
        assert!(matches!(assert_one_outcome(&world, &message).await, Outcome::Unknown(_)), "at {place}");
        let void = world.sim.message(&card.id);
        assert!(void.text().contains("did not run") && void.button("Allow once").is_none(), "{}", void.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn around_a_reminder() {
    for (place, reminders) in [("reminder.before", 0), ("reminder.after", 1)] {
        let world = World::start(Kind::Embedded).await;
        let message = world.sim.say(GROUP, OWNER, "@bot [[escalate echo x]] [[say done]]");
        let card = world.card_with(&message, "Allow once").await;
        world.settled_surfaces().await;
        arm(&world, place);
        world.warp(std::time::Duration::from_secs(31 * 60)).await;
        died(&world, place).await;
        world.sim.click(&card.id, "Allow once", OWNER).await;
        assert!(matches!(assert_one_outcome(&world, &message).await, Outcome::Answered), "at {place}");
        let told = world.sim.messages(GROUP).into_iter().filter(|one| one.text().contains("has been waiting for"));
        assert_eq!(told.count(), reminders, "at {place}");
    }
}

mod schema {
    refinery::embed_migrations!("migrations");
}

#[tokio::test(flavor = "multi_thread")]
async fn around_a_migration() {
    for place in ["migration.before", "migration.after"] {
        let mut world = World::prepare(Kind::Embedded, "").await;
        let file = world.home.path().join("ally/ledger.db");
        let mut old = rusqlite::Connection::open(&file).unwrap();
        schema::migrations::runner().set_target(refinery::Target::Version(1)).run(&mut old).unwrap();
        old.execute("INSERT INTO said (key, at_ms) VALUES ('kept', 1)", []).unwrap();
        drop(old);
        std::fs::create_dir_all(file_of(&world).parent().unwrap()).unwrap();
        arm(&world, place);
        world.up().await;
        assert!(!file_of(&world).exists(), "it died at {place}");
        assert!(world.ledger(|tx| ally::ledger::said::was_said(tx, "kept")), "at {place}");
        assert!(world.home.path().join("ally/backups/ledger-schema-1.db").exists(), "a copy, at {place}");
        let message = world.sim.say(OWNER_CHAT, OWNER, "[[say migrated]]");
        assert_eq!(world.answer(&message).await.said(), "migrated");
        world.settled().await;
    }
}
