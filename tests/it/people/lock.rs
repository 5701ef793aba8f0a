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
