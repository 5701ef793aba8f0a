//! A ledger that was put back to an earlier state: what it calls unfinished is not done a second time by itself.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ally::ledger::surfaces::{self, SurfaceKind};

use super::death::find;
use super::held::{kill_only_the_bridge, workspaces};
use super::points::arm;
use crate::support::feishu_sim::{Fault, SimMessage};
use crate::support::world::*;

/// The card that asks the owner; it answers nobody's message.
async fn question(world: &World) -> SimMessage {
    world
        .wait("the question to the owner", |world| {
            let asks = |one: &SimMessage| one.by_bot() && one.replied_to.is_none() && one.button("Dismiss").is_some();
            world.sim.messages(OWNER_CHAT).into_iter().find(asks)
        })
        .await
}

fn is_restored(world: &World) -> bool {
    world.status().is_some_and(|status| status["restored"] == true)
}

/// A task waits for a person and another one behind it; both are done after `copy` was made.
async fn done_since(world: &mut World) -> (PathBuf, [String; 2], PathBuf) {
    let (file, copy) = (world.file("nonce.txt"), world.file("copy.db"));
    let asks = format!("[[escalate echo n >> {}]] [[say first]]", file.display());
    let first = world.sim.say(OWNER_CHAT, OWNER, &asks);
    let card = world.card_with(&first, "Allow once").await;
    let second = world.sim.say(OWNER_CHAT, OWNER, "[[say second]]");
    world.wait("the second to wait", |world| (world.status()?["turns"]["queued"] == 1).then_some(())).await;
    let (told, well) = world.run(&["backup", &copy.to_string_lossy(), "--json"]);
    assert!(well, "{told}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["turns"], 2, "{told}");
    world.sim.click(&card.id, "Allow once", OWNER).await;
    for (message, want) in [(&first, "first"), (&second, "second")] {
        assert_eq!(world.answer(message).await.said(), want);
    }
    world.settled().await;
    (copy, [first, second], file)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_since_the_backup_is_done_once() {
    let mut world = World::start(Kind::Embedded).await;
    world.sim.add_direct("oc_li", LI);
    let (copy, messages, file) = done_since(&mut world).await;
    let place = copy.to_string_lossy().into_owned();
    assert!(!world.run(&["backup", &place]).1, "nothing is written over");
    assert!(!world.run(&["restore", &place]).1, "not while it runs");
    world.down().await;
    assert!(!world.run(&["restore", &world.file("none.db").to_string_lossy()]).1);
    let (told, well) = world.run(&["restore", &place, "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(well && PathBuf::from(told["aside"].as_str().unwrap()).exists(), "{told}");
    world.up().await;
    let card = question(&world).await;
    assert!(card.text().contains("2 tasks"), "{}", card.text());
    assert!(is_restored(&world));
    // Others go on, and so does whoever asks anew.
    let new = world.sim.say("oc_li", LI, "[[say new]]");
    assert_eq!(world.answer(&new).await.said(), "new");
    // It outlives another death.
    world.kill_bridge().await;
    assert!(is_restored(&world));
    for message in &messages {
        assert_eq!(world.answers(message).len(), 1);
    }
    world.sim.click(&card.id, "Dismiss", LI).await;
    assert!(is_restored(&world), "only the owner decides");
    world.sim.click(&card.id, "Dismiss", OWNER).await;
    world.settled().await;
    assert!(!is_restored(&world));
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
    assert_eq!(world.answer(&next).await.said(), "next");
    world.settled().await;
    for message in &messages {
        assert_eq!(world.answers(message).len(), 1);
    }
    assert_eq!(world.nonces(&file).values().sum::<usize>(), 1);
}

/// Killed in the middle of it: the former ledger is there, or the restored one, and nothing in between.
#[tokio::test(flavor = "multi_thread")]
async fn around_a_restore() {
    let mut world = World::start(Kind::Embedded).await;
    let (copy, messages, file) = done_since(&mut world).await;
    let place = copy.to_string_lossy().into_owned();
    for (dies_at, restored) in [("restore.middle", false), ("restore.before", false), ("restore.after", true)] {
        world.down().await;
        arm(&world, dies_at);
        assert!(!world.run(&["restore", &place]).1, "it dies at {dies_at}");
        assert!(!world.paths().crash_point().exists(), "it died at {dies_at}");
        world.up().await;
        assert_eq!(is_restored(&world), restored, "at {dies_at}");
        let next = world.sim.say(GROUP, OWNER, &format!("@bot [[say after {dies_at}]]"));
        assert_eq!(world.answer(&next).await.said(), format!("after {dies_at}"));
        let asides = std::fs::read_dir(world.paths().backups).unwrap().count();
        assert_eq!(asides, usize::from(restored), "what is kept, at {dies_at}");
    }
    question(&world).await;
    assert!(world.run(&["restored", "dismiss"]).1);
    world.settled().await;
    for message in &messages {
        assert_eq!(world.answers(message).len(), 1);
    }
    assert_eq!(world.nonces(&file).values().sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_put_back_by_hand_is_recognised() {
    let mut world = World::start(Kind::Embedded).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[say first]]");
    world.answer(&first).await;
    world.settled().await;
    world.down().await;
    let (ledger, copy) = (world.home.path().join("ally/ledger.db"), world.file("copy.db"));
    std::fs::copy(&ledger, &copy).unwrap();
    world.up().await;
    assert!(!is_restored(&world), "it is the same");
    let since = world.sim.say(OWNER_CHAT, OWNER, "[[say since]]");
    world.answer(&since).await;
    world.settled().await;
    world.down().await;
    std::fs::copy(&copy, &ledger).unwrap();
    world.up().await;
    question(&world).await;
    assert!(is_restored(&world));
    // The platform still knows the message: it is found, asked about and not answered a second time.
    world.card_with(&since, "Do it").await;
    world.sim.redeliver(&since);
    world.settled_surfaces().await;
    assert_eq!((world.answers(&first).len(), world.answers(&since).len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_without_a_chat_is_asked_when_he_has_one() {
    let mut world = World::start(Kind::Embedded).await;
    let asks = world.sim.say(GROUP, LI, "@bot [[escalate true]] [[say in the group]]");
    world.card_with(&asks, "Allow once").await;
    let copy = world.file("copy.db");
    assert!(world.run(&["backup", &copy.to_string_lossy()]).1);
    world.down().await;
    assert!(world.run(&["restore", &copy.to_string_lossy()]).1);
    world.up().await;
    assert!(is_restored(&world));
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    assert_eq!(world.answer(&first).await.said(), "hello");
    let card = question(&world).await;
    world.sim.click(&card.id, "Dismiss", OWNER).await;
    world.settled().await;
    assert!(!is_restored(&world));
}

/// A copy of a ledger of many megabytes is made beside tasks that run, and is of one moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_big_ledger_is_copied_while_tasks_run_and_put_back() {
    let mut world = World::start(Kind::Embedded).await;
    world.down().await;
    let ledger = rusqlite::Connection::open(world.paths().ledger).unwrap();
    let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                INSERT INTO said (key, at_ms) SELECT 'k' || i || hex(zeroblob(1500)), i FROM n";
    ledger.execute_batch(&format!("PRAGMA synchronous = OFF; {rows}")).unwrap();
    drop(ledger);
    world.up().await;
    let (file, copy) = (world.file("nonce.txt"), world.file("copy.db"));
    let asks = format!("[[escalate echo held >> {}]] [[say held]]", file.display());
    let held = world.sim.say(GROUP, OWNER, &format!("@bot {asks}"));
    let card = world.card_with(&held, "Allow once").await;
    let say = |n: usize| format!("[[shell echo {n} >> {}]] [[say done {n}]]", file.display());
    let mut copying = world.ally(&["backup", &copy.to_string_lossy(), "--json"]);
    let mut copying = copying.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut during = Vec::new();
    while copying.try_wait().unwrap().is_none() {
        let n = during.len();
        let message = world.sim.say(OWNER_CHAT, OWNER, &say(n));
        assert_eq!(world.answer(&message).await.said(), format!("done {n}"));
        during.push(message);
    }
    let copied = copying.wait_with_output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let bytes = std::fs::metadata(&copy).unwrap().len();
    assert!(bytes > 50 << 20, "{bytes} bytes");
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&held).await.said(), "held");
    world.settled().await;
    world.down().await;
    assert!(world.run(&["restore", &copy.to_string_lossy()]).1);
    world.up().await;
    // Those that the copy does not know come again, are asked about, and are not done.
    for message in &during {
        world.sim.redeliver(message);
        world.sim.wait_ack(message).await;
    }
    question(&world).await;
    assert!(world.run(&["restored", "dismiss"]).1);
    world.settled().await;
    assert_eq!(world.answers(&held).len(), 1);
    let done = world.nonces(&file);
    assert_eq!(done.len(), during.len() + 1);
    assert!(done.values().all(|times| *times == 1), "{done:?}");
}

/// The ledger's file as it is, with nothing beside it.
fn keep(world: &World, names: &[&str]) {
    for name in names {
        std::fs::copy(world.paths().home.join(name), world.file(&name.replace('/', "-"))).unwrap();
    }
}

fn put_back(world: &World, names: &[&str]) {
    for name in names {
        std::fs::copy(world.file(&name.replace('/', "-")), world.paths().home.join(name)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_was_put_back_with_its_own_note_is_recognised() {
    let mut world = World::start(Kind::Embedded).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[say first]]");
    world.answer(&first).await;
    world.settled().await;
    world.down().await;
    let files = ["ledger.db", "run/high-water"];
    keep(&world, &files);
    world.up().await;
    let since = world.sim.say(OWNER_CHAT, OWNER, "[[say since]]");
    world.answer(&since).await;
    world.settled().await;
    world.down().await;
    put_back(&world, &files);
    world.up().await;
    question(&world).await;
    assert!(is_restored(&world));
}

/// Every note of how far the ledger has come is lost, and a task is queued that the runtime has done.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_runtime_knows_is_not_done_again() {
    let mut world = World::start(Kind::Embedded).await;
    let file = world.file("nonce.txt");
    // The conversation has a thread.
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[say first]]");
    world.answer(&first).await;
    world.settled().await;
    let busy = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo b >> {}]] [[say busy]]", file.display()));
    world.card_with(&busy, "Allow once").await;
    let queued = world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell echo n >> {}]] [[say done]]", file.display()));
    world.wait("it to be queued", |world| (world.status()?["turns"]["queued"] == 1).then_some(())).await;
    let copy = world.file("copy.db");
    assert!(world.run(&["lock"]).1);
    world
        .wait("nothing to run", |world| {
            let turns = &world.status()?["turns"];
            (turns["waiting"] == 0 && turns["running"] == 0 && turns["queued"] == 1).then_some(())
        })
        .await;
    assert!(world.run(&["backup", &copy.to_string_lossy()]).1);
    assert!(world.run(&["unlock"]).1);
    assert_eq!(world.answer(&queued).await.said(), "done");
    world.settled().await;
    world.down().await;
    // An old file that was put back by hand, on a machine that knows nothing else. It is not locked.
    let ledger = rusqlite::Connection::open(&copy).unwrap();
    ledger.execute("DELETE FROM meta WHERE key = 'locked'", []).unwrap();
    drop(ledger);
    std::fs::copy(&copy, world.paths().ledger).unwrap();
    std::fs::remove_file(world.paths().high_water()).unwrap();
    std::fs::remove_dir_all(world.file(".cache/ally")).unwrap();
    world.up().await;
    question(&world).await;
    world.ready().await;
    assert!(is_restored(&world));
    assert_eq!(world.answers(&queued).len(), 1);
    assert_eq!(world.nonces(&file).get("n"), Some(&1), "nothing is done a second time");
    world.sim.redeliver(&queued);
    assert!(world.run(&["restored", "dismiss"]).1);
    world.settled().await;
    assert_eq!(world.nonces(&file).get("n"), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_computer_decides_as_the_card_does() {
    let mut world = World::start(Kind::Embedded).await;
    let (copy, messages, file) = done_since(&mut world).await;
    assert!(!world.run(&["restored", "dismiss"]).1, "there is nothing to decide");
    world.down().await;
    assert!(world.run(&["restore", &copy.to_string_lossy()]).1);
    world.up().await;
    let card = question(&world).await;
    let told = world.status().unwrap()["warnings"].to_string();
    assert!(told.contains("`ally restored`"), "{told}");
    let listed =
        |world: &World| -> serde_json::Value { serde_json::from_str(&world.run(&["restored", "--json"]).0).unwrap() };
    let waits = listed(&world);
    assert!(waits["at_ms"].is_i64() && waits["tasks"].as_array().unwrap().len() == 2, "{waits}");
    let (told, well) = world.run(&["restored", "dismiss", "--json"]);
    assert!(well && told.contains(waits["tasks"][0]["turn"].as_str().unwrap()), "{told}");
    assert!(!is_restored(&world) && listed(&world)["at_ms"].is_null());
    world
        .wait("the card to say so", |world| {
            world.sim.message(&card.id).text().contains("the owner, at the computer").then_some(())
        })
        .await;
    world.settled().await;
    for message in &messages {
        assert_eq!(world.answers(message).len(), 1);
    }
    assert_eq!(world.nonces(&file).values().sum::<usize>(), 1);
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
    assert_eq!(world.answer(&next).await.said(), "next");
    assert!(world.run(&["audit"]).0.contains("restored ledger"), "it is kept who decided");
}

/// Somebody decided since the backup: his card asks nothing any more, and the ledger says that it does. And the owner's own
/// card cannot be shown at first.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_late_is_for_the_owner_to_decide_where_its_card_asks_no_more() {
    let mut world = World::prepare(Kind::Embedded, "[intake]\nbackfill_run = \"0s\"\n").await;
    world.up().await;
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.answer(&hello).await;
    world.settled().await;
    world.down().await;
    let late = world.sim.hold_back(OWNER_CHAT, OWNER, "[[say done late]]");
    world.up().await;
    let card = world.card_with(&late, "Do it").await;
    world.settled_surfaces().await;
    let copy = world.file("copy.db");
    assert!(world.run(&["backup", &copy.to_string_lossy()]).1);
    world.sim.click(&card.id, "Cancel", OWNER).await;
    world.wait("its end", |world| world.sim.message(&card.id).button("Do it").is_none().then_some(())).await;
    world.settled().await;
    world.down().await;
    assert!(world.run(&["restore", &copy.to_string_lossy()]).1);
    world.sim.fault("POST /open-apis/im/v1/messages", Fault::BeforeEffect { status: 400, code: 230013 }, 1);
    world.up().await;
    let given_up = |tx: &ally::ledger::Transaction<'_>| {
        Ok(surfaces::under(tx, SurfaceKind::Notice, "restored:")?.iter().any(|card| card.is_gone))
    };
    world.wait("the card to be given up", |world| world.ledger(given_up).then_some(())).await;
    let waits: serde_json::Value = serde_json::from_str(&world.run(&["restored", "--json"]).0).unwrap();
    assert_eq!(waits["inbound"], 1, "{waits}");
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
    assert_eq!(world.answer(&next).await.said(), "next");
    let card = question(&world).await;
    assert!(card.text().contains("1 unread"), "{}", card.text());
    world.sim.click(&card.id, "Continue", OWNER).await;
    assert_eq!(world.answer(&late).await.said(), "done late");
    world.settled().await;
    assert!(!is_restored(&world));
}

/// The bridge dies, and the next one has the copy for its ledger.
async fn put_under_the_runtime(world: &World, copy: &std::path::Path) {
    let ledger = world.paths().ledger;
    for beside in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{beside}", ledger.display()));
    }
    std::fs::rename(copy, &ledger).unwrap();
    kill_only_the_bridge(world).await;
}

/// The bridge died between its owner's word and the interrupt, and nobody says anything.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_before_a_death_ends_after_it() {
    for kind in [Kind::Embedded, Kind::Codex] {
        let world = World::start(kind).await;
        let (file, copy) = ("nonce.txt", world.file("copy.db"));
        let text = format!("[[shell echo n1 >> {file}; sleep 12; echo n2 >> {file}]] [[say given up]]");
        world.sim.say(OWNER_CHAT, OWNER, &text);
        let nonce = world.wait("the tool's effect", |world| find(&workspaces(world), file)).await;
        assert!(world.run(&["backup", &copy.to_string_lossy()]).1);
        let given_up = "UPDATE turns SET state = 'settled', outcome = 'lost', settled_at_ms = 1;
             INSERT INTO meta (key, value) VALUES ('restored_ms', '1');
             INSERT INTO meta (key, value) SELECT 'unknown on:' || id, thread FROM conversations WHERE thread IS NOT NULL";
        rusqlite::Connection::open(&copy).unwrap().execute_batch(given_up).unwrap();
        put_under_the_runtime(&world, &copy).await;
        tokio::time::sleep(Duration::from_secs(14)).await;
        assert_eq!(world.nonces(&nonce), [("n1".to_owned(), 1)].into(), "it goes on");
    }
}

/// The runtime outlived the bridge, and so the ledger that was put back under it: what was given up ends there, too, and
/// takes in nothing that is said next.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_ends_also_in_a_runtime_that_works_on_it() {
    for kind in [Kind::Embedded, Kind::Codex] {
        let world = World::start(kind).await;
        let (file, copy) = (world.file("nonce.txt"), world.file("copy.db"));
        let asks = format!("[[escalate echo n >> {}]] [[say given up]]", file.display());
        let given_up = world.sim.say(OWNER_CHAT, OWNER, &asks);
        world.card_with(&given_up, "Allow once").await;
        assert!(world.run(&["backup", &copy.to_string_lossy()]).1);
        let since = world.sim.say(GROUP, OWNER, "@bot [[say since]]");
        assert_eq!(world.answer(&since).await.said(), "since");
        world.settled_surfaces().await;
        put_under_the_runtime(&world, &copy).await;
        question(&world).await;
        assert!(world.run(&["restored", "dismiss"]).1);
        let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
        assert_eq!(world.answer(&next).await.said(), "next");
        world.settled().await;
        assert!(world.answers(&given_up).is_empty() && !file.exists(), "it did nothing more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_lets_go_on_goes_on() {
    let mut world = World::start(Kind::Embedded).await;
    let (copy, [_, second], file) = done_since(&mut world).await;
    world.down().await;
    assert!(world.run(&["restore", &copy.to_string_lossy()]).1);
    world.up().await;
    let card = question(&world).await;
    world.sim.click(&card.id, "Continue", OWNER).await;
    world.wait("the second to be answered again", |world| (world.answers(&second).len() == 2).then_some(())).await;
    assert!(!is_restored(&world));
    assert_eq!(world.nonces(&file).values().sum::<usize>(), 1, "what had its effect is not run again");
}
