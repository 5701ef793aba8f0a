//! How a chat works: set by card and by word, by those who may, from the next message on.

use serde_json::json;

use crate::support::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_changed_by_those_who_may() {
    let world = World::start(Kind::Embedded).await;
    let asked = world.sim.say(GROUP, OWNER, "@bot /settings");
    let card = world.card_with(&asked, "Save").await;
    assert!(card.text().contains("Ask before changes"), "{}", card.text());
    // Somebody else presses the owner's card.
    let toast = world.sim.click_form(&card.id, "Save", LI, json!({"autonomy": "edit", "noise": "normal"})).await;
    assert!(toast.to_string().contains("You may not do that here"), "{toast}");
    world.sim.click_form(&card.id, "Save", OWNER, json!({"autonomy": "edit", "busy": "reject"})).await;
    let told = world
        .wait("the word about it", |world| {
            world.sim.messages(GROUP).into_iter().find(|one| one.by_bot() && one.text().contains("set Autonomy to"))
        })
        .await;
    assert!(told.text().contains("May edit the project") && told.text().contains("Anyone here"), "{}", told.text());
    for (text, want) in [
        ("/settings noise loud", "It can be: full, normal, quiet"),
        ("/settings colour red", "There is no \"colour\""),
        ("/settings autonomy trusted", "not yours to make"),
        ("/settings noise quiet", "set Noise to \"Answers only\""),
    ] {
        let message = world.sim.say(GROUP, OWNER, &format!("@bot {text}"));
        let said = world.said(&message).await.text();
        assert!(said.contains(want), "{text}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_conversation_does_what_its_chat_is_set_to() {
    let world = World::start(Kind::Codex).await;
    let set = world.sim.say(OWNER_CHAT, OWNER, "/settings busy reject");
    world.said(&set).await;
    world.sim.say(OWNER_CHAT, OWNER, "[[sleep 6000]] [[say long]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let refused = world.sim.say(OWNER_CHAT, OWNER, "[[say me too]]");
    world.said(&refused).await;
    assert_eq!(world.sim.message(&refused).receipts(), ["CrossMark"]);
    let set = world.sim.say(OWNER_CHAT, OWNER, "/settings busy steer");
    world.said(&set).await;
    let steered = world.sim.say(OWNER_CHAT, OWNER, "and quickly");
    world.settled().await;
    assert!(world.sim.message(&steered).receipts() == ["DONE"], "{:?}", world.sim.message(&steered).receipts());
    let row = super::control::find_row(&world, &steered).unwrap();
    assert_eq!(row.steer.as_deref(), Some("taken"), "it went into the running task: {row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_chat_gets_answers_only() {
    let world = World::start(Kind::Embedded).await;
    let set = world.sim.say(OWNER_CHAT, OWNER, "/settings noise quiet");
    world.said(&set).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[shell true]] [[sleep 5000]] [[say only this]]");
    assert_eq!(world.answer(&message).await.said(), "only this");
    world.settled().await;
    assert!(world.cards(&message).is_empty(), "{:?}", world.cards(&message));
    let set = world.sim.say(OWNER_CHAT, OWNER, "/settings noise full");
    world.said(&set).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[shell true]] [[sleep 1500]] [[say seen]]");
    world.wait("a card at once", |world| world.cards(&message).into_iter().next()).await;
    assert!(world.answers(&message).is_empty(), "before the answer");
    world.answer(&message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_asks_before_it_changes_the_project_until_it_is_opened_for_that() {
    let world = World::start(Kind::Codex).await;
    let before = world.sim.say(GROUP, OWNER, "@bot [[shell echo x > made.txt; cat made.txt || echo refused]]");
    world.answer(&before).await;
    let made = |world: &World| super::gates::find(&world.home.path().join("ally/workspaces"), "made.txt");
    assert!(made(&world).is_none(), "asks before changes");
    let set = world.sim.say(GROUP, OWNER, "@bot /settings autonomy edit");
    world.said(&set).await;
    let after = world.sim.say(GROUP, OWNER, "@bot [[shell echo x > made.txt]]");
    world.answer(&after).await;
    assert!(made(&world).is_some(), "may edit the project");
}
