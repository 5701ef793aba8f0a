//! The owner's switch for everything.

use serde_json::{Value, json};

use crate::support::world::*;

fn count(world: &World, what: &str) -> u64 {
    world.status().and_then(|status| status["turns"][what].as_u64()).unwrap_or(99)
}

fn said_paused(world: &World, chat: &str) -> usize {
    let all = world.sim.messages(chat).into_iter().filter(|one| one.by_bot() && one.msg_type != "interactive");
    all.filter(|one| one.text().contains("Paused by the owner")).count()
}

/// A message that makes no turn: its receipt says so.
async fn refused(world: &World, message: &str) {
    let queued = count(world, "queued");
    world.wait("a receipt", |world| (!world.sim.message(message).receipts().is_empty()).then_some(())).await;
    world.settled_surfaces().await;
    assert_eq!((count(world, "queued"), count(world, "running")), (queued, 0));
    assert!(world.answers(message).iter().all(|answer| answer.text().contains("Paused by the owner")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_stops_everything_and_outlives_a_restart() {
    let world = World::start(Kind::Embedded).await;
    let file = world.file("ran.txt");
    let asking = world.sim.say(GROUP, LI, &format!("@bot [[escalate echo x >> {}]] [[say never]]", file.display()));
    let card = world.card_with(&asking, "Allow once").await;
    let allow = card.button("Allow once").unwrap();
    world.sim.say(GROUP, LI, "@bot [[sleep 1800000]] [[say never]]");
    world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1800000]] [[say never]]");
    world
        .wait("two to run", |world| (count(world, "running") == 2 && count(world, "waiting") == 1).then_some(()))
        .await;
    let queued = world.sim.say(OWNER_CHAT, OWNER, "[[say at last]]");
    world.wait("one to queue", |world| (count(world, "queued") == 1).then_some(())).await;

    let nobody = world.sim.say(GROUP, LI, "@bot /lock");
    assert!(world.answer(&nobody).await.said().contains("Only Wang"));
    let lock = world.sim.say(OWNER_CHAT, OWNER, "/锁定");
    let said = world.answer(&lock).await.said();
    assert!(said.contains("Paused: 3 tasks are asked to stop, 1 queued"), "{said}");
    world
        .wait("every one to be stopped", |world| {
            let active = ["submitting", "running", "waiting"].map(|state| count(world, state));
            (active == [0, 0, 0] && count(world, "queued") == 1).then_some(())
        })
        .await;

    // Nothing that was asked can be allowed any more, and it is said why.
    let toast = world.sim.click_value(&card.id, OWNER, allow.clone(), Value::Null).await;
    assert!(toast.to_string().contains("Paused by the owner; nothing was done"), "{toast}");
    refused(&world, &world.sim.say(GROUP, LI, "@bot [[say never]]")).await;
    refused(&world, &world.sim.say(OWNER_CHAT, OWNER, "[[say never]]")).await;
    world
        .wait("both chats to be told", |world| {
            (said_paused(world, GROUP) > 0 && said_paused(world, OWNER_CHAT) > 0).then_some(())
        })
        .await;
    assert_eq!((said_paused(&world, GROUP), said_paused(&world, OWNER_CHAT)), (1, 1), "once a chat a day");
    assert!(world.run(&["status"]).0.contains("paused by the owner"));

    // A restart changes nothing.
    world.kill_bridge().await;
    assert_eq!(world.status().unwrap()["locked"], json!(true));
    refused(&world, &world.sim.say(GROUP, LI, "@bot [[say never]]")).await;
    let toast = world.sim.click_value(&card.id, OWNER, allow, Value::Null).await;
    assert!(toast.to_string().contains("Paused by the owner"), "{toast}");
    assert_eq!(count(&world, "queued"), 1);

    let unlock = world.sim.say(OWNER_CHAT, OWNER, "/unlock");
    let said = world.answer(&unlock).await.said();
    assert!(said.contains("No longer paused; 1 queued") && said.contains("the pause stopped: 3"), "{said}");
    assert_eq!(said.matches("— Li: ").count(), 2, "{said}");
    assert_eq!(world.answer(&queued).await.said(), "at last");
    assert!(world.nonces(&file).is_empty(), "it was never allowed");
    world.settled().await;
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT, GROUP]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_computer_has_the_same_switch() {
    let world = World::start(Kind::Embedded).await;
    let running = world.sim.say(GROUP, LI, "@bot [[sleep 1800000]] [[say never]]");
    world.wait("it to run", |world| (count(world, "running") == 1).then_some(())).await;
    let (json, well) = world.run(&["lock", "--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert!(well && report["changed"] == json!(true) && report["cut"][0]["requester"] == "Li", "{json}");
    world.wait("it to be stopped", |world| (count(world, "running") == 0).then_some(())).await;
    assert!(world.answers(&running).iter().all(|answer| !answer.text().contains("never")));
    let again: Value = serde_json::from_str(&world.run(&["lock", "--json"]).0).unwrap();
    assert_eq!(again["changed"], json!(false));
    refused(&world, &world.sim.say(GROUP, LI, "@bot [[say never]]")).await;
    let (json, well) = world.run(&["unlock", "--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert!(well && report["cut"].as_array().unwrap().len() == 1, "{json}");
    let next = world.sim.say(GROUP, LI, "@bot [[say works again]]");
    assert_eq!(world.answer(&next).await.said(), "works again");
    let audit = world.run(&["audit"]).0;
    assert!(audit.contains("at the computer  paused everything"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_ends_a_command_within_seconds_and_voids_every_button() {
    let world = World::start(Kind::Codex).await;
    // One task that was cut, one message that is asked about: both offer to begin.
    let cut = world.sim.say(GROUP, OWNER, "@bot [[shell sleep 600]] [[say never]]");
    // Cut in its first moment it would be proven not to have run, and run again.
    let at_work = |world: &World| world.ledger(ally::ledger::turns::all_active).iter().any(|turn| turn.tool_seen);
    world.wait("it to be at work", |world| at_work(world).then_some(())).await;
    world.kill_both().await;
    let cut = world.card_with(&cut, "Continue").await;
    let hour = std::time::Duration::from_secs(3600);
    world.warp(hour).await;
    let late = world.sim.say(OWNER_CHAT, OWNER, "[[say at last]]");
    let old = world.card_with(&late, "Do it").await;
    world.sim.advance(hour);
    let seconds = format!("601.{}", std::process::id());
    let running = world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell sleep {seconds}]] [[say never]]"));
    world.wait("the command to run", |_| runs(&seconds).then_some(())).await;
    let live = world.card_with(&running, "Stop").await;

    let lock = world.sim.say(OWNER_CHAT, OWNER, "/lock");
    assert!(world.answer(&lock).await.said().contains("Paused: 1 task"), "{}", world.answer(&lock).await.said());
    world.wait("nothing to run", |world| (count(world, "running") == 0).then_some(())).await;
    world.wait("the command to be gone", |_| (!runs(&seconds)).then_some(())).await;
    let turns: Vec<Value> = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    let turn = world.ledger(|tx| ally::ledger::turns::get(tx, &turns[0]["id"].as_str().unwrap().into()));
    let took = turn.settled_at_ms.unwrap() - turn.stop.unwrap().at_ms;
    assert!(turns[0]["outcome"] == "interrupted" && took < 5_000, "{took} ms: {turns:?}");
    world.settled_surfaces().await;
    let text = world.sim.message(&live.id).text();
    assert!(text.contains("Stopped by Wang"), "{text}");

    for (card, buttons) in [(&cut, ["Continue", "Run again"].as_slice()), (&old, &["Do it"])] {
        for button in buttons {
            let toast = world.sim.click(&card.id, button, OWNER).await;
            assert!(toast.to_string().contains("Paused by the owner; nothing was done"), "{button}: {toast}");
        }
    }
    assert_eq!(["queued", "submitting", "running", "waiting"].map(|state| count(&world, state)), [0; 4]);
    let after: Vec<Value> = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    assert_eq!(after.len(), turns.len(), "nothing new");
    // Unlocked, the same buttons do what they say.
    let unlock = world.sim.say(OWNER_CHAT, OWNER, "/unlock");
    world.answer(&unlock).await;
    world.sim.click(&old.id, "Do it", OWNER).await;
    assert!(world.answer(&late).await.said().starts_with("at last"));
}
