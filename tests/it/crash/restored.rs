//! A ledger that was put back to an earlier state: what it calls unfinished is not done a second time by itself.

use std::path::PathBuf;

use crate::support::feishu_sim::SimMessage;
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
