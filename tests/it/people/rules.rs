//! What was allowed for longer than once: listed, used, revoked, over.

use std::time::Duration;

use crate::support::world::*;

/// A command that is asked about unless a rule covers it.
fn ask(world: &World, said: &str) -> String {
    world.sim.say(OWNER_CHAT, OWNER, &format!("[[request ls -la]] [[say {said}]]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_was_revoked_or_is_over_never_applies() {
    let world = World::start(Kind::Embedded).await;
    let first = ask(&world, "one");
    let card = world.card_with(&first, "Allow once").await;
    let labels = card.text();
    assert!(card.button("For 12 hours").is_some(), "{labels}");
    world.sim.click(&card.id, "For 12 hours", OWNER).await;
    assert_eq!(world.answer(&first).await.said(), "one");

    // It holds.
    let second = ask(&world, "two");
    assert_eq!(world.answer(&second).await.said(), "two");
    assert!(world.cards(&second).iter().all(|card| card.button("Allow once").is_none()));

    // Listed, with what it covers and what it was used for.
    let asked = world.sim.say(OWNER_CHAT, OWNER, "/rules");
    let list = world.card_with(&asked, "Revoke").await;
    let text = list.text();
    assert!(text.contains("R1") && text.contains("ls -la") && text.contains("used 1 times"), "{text}");
    let rows: serde_json::Value = serde_json::from_str(&world.run(&["rules", "list", "--json"]).0).unwrap();
    assert_eq!((rows[0]["number"].as_i64(), rows[0]["uses"].as_i64()), (Some(1), Some(1)), "{rows}");

    // Revoked with the button: the row says so, and it is asked about again.
    let toast = world.sim.click(&list.id, "Revoke", OWNER).await;
    assert!(toast.to_string().contains("Revoked"), "{toast}");
    world
        .wait("the list to say it", |world| {
            world.cards(&asked).iter().any(|card| card.text().contains("Revoked by Wang")).then_some(())
        })
        .await;
    let third = ask(&world, "three");
    let card = world.card_with(&third, "Allow once").await;
    world.sim.click(&card.id, "For 12 hours", OWNER).await;
    assert_eq!(world.answer(&third).await.said(), "three");

    // From the computer.
    assert!(world.run(&["rules", "revoke", "R2"]).1);
    assert!(!world.run(&["rules", "revoke", "R2"]).1, "it has ended");
    let fourth = ask(&world, "four");
    let card = world.card_with(&fourth, "Allow once").await;
    world.sim.click(&card.id, "For 12 hours", OWNER).await;
    assert_eq!(world.answer(&fourth).await.said(), "four");

    // In words, and only here.
    let said = world.sim.say(OWNER_CHAT, OWNER, "/rules revoke R1");
    assert!(world.answer(&said).await.said().contains("no rule R1 here"));
    let group = world.sim.say(GROUP, OWNER, "@bot /rules revoke R3");
    assert!(world.answer(&group).await.said().contains("no rule R3 here"));

    // Thirteen hours later it is over by itself.
    let hours = Duration::from_secs(13 * 3600);
    world.sim.advance(hours);
    world.warp(hours).await;
    let fifth = ask(&world, "five");
    world.card_with(&fifth, "Allow once").await;
    let none = world.sim.say(OWNER_CHAT, OWNER, "/rules");
    assert!(world.answer(&none).await.said().contains("no rules here"));
    assert_eq!(world.run(&["rules", "--json"]).0.trim(), "[]");
}

async fn pass(world: &World, time: Duration) {
    world.sim.advance(time);
    world.warp(time).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_rule_names_its_maker_and_ends_after_thirty_days() {
    let world = World::start(Kind::Embedded).await;
    let first = ask(&world, "one");
    let card = world.card_with(&first, "Always").await;
    world.sim.click(&card.id, "Always", OWNER).await;
    assert_eq!(world.answer(&first).await.said(), "one");
    world.settled().await;
    let text = world.sim.message(&card.id).text();
    assert!(text.contains("Allowed by Wang, who made rule R1"), "{text}");
    let listed = world.sim.say(OWNER_CHAT, OWNER, "/rules");
    let list = world.card_with(&listed, "Revoke").await.text();
    assert!(list.contains("R1") && list.contains("Wang"), "{list}");
    let day = Duration::from_secs(24 * 3600);
    pass(&world, 29 * day).await;
    let second = ask(&world, "two");
    assert!(world.answer(&second).await.said().starts_with("two"));
    pass(&world, 2 * day).await;
    let third = ask(&world, "three");
    let card = world.card_with(&third, "Allow once").await;
    world.sim.click(&card.id, "Decline", OWNER).await;
    assert!(world.answer(&third).await.said().starts_with("three"));
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_hours_ends_with_its_conversation() {
    let world = World::start(Kind::Embedded).await;
    let first = ask(&world, "one");
    let card = world.card_with(&first, "For 12 hours").await;
    world.sim.click(&card.id, "For 12 hours", OWNER).await;
    assert_eq!(world.answer(&first).await.said(), "one");
    let new = world.sim.say(OWNER_CHAT, OWNER, "/new");
    world.said(&new).await;
    let second = ask(&world, "two");
    let card = world.card_with(&second, "Decline").await;
    world.sim.click(&card.id, "Decline", OWNER).await;
    world.answer(&second).await;
    assert_eq!(world.run(&["rules", "--json"]).0.trim(), "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_holds_no_longer_than_its_maker_may_decide() {
    let world = World::start(Kind::Embedded).await;
    world.sim.add_user("ou_han", "Han");
    let named = world.sim.say(GROUP, OWNER, "@bot /approver @ou_han");
    world.answer(&named).await;
    let ask = |said: &str| world.sim.say(GROUP, LI, &format!("@bot [[request ls -la]] [[say {said}]]"));
    let first = ask("one");
    let card = world.card_with(&first, "Always").await;
    world.sim.click(&card.id, "Always", "ou_han").await;
    assert_eq!(world.answer(&first).await.said(), "one");
    let second = ask("two");
    assert_eq!(world.answer(&second).await.said(), "two");
    let removed = world.sim.say(GROUP, OWNER, "@bot /approver @ou_han remove");
    assert!(world.answer(&removed).await.said().contains("no longer approves"));
    let third = ask("three");
    let card = world.card_with(&third, "Decline").await;
    world.sim.click(&card.id, "Decline", LI).await;
    assert_eq!(world.answer(&third).await.said(), "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_allowed_is_left_with_codex_or_in_the_owners_home() {
    let world = World::start(Kind::Codex).await;
    std::fs::create_dir_all(world.file(".codex")).unwrap();
    std::fs::write(world.file(".codex/config.toml"), "# the owner's own\n").unwrap();
    let level = world.sim.say(OWNER_CHAT, OWNER, "/settings autonomy ask");
    world.said(&level).await;
    for (n, button) in ["Allow once", "For this task", "For 12 hours", "Always", "Decline"].into_iter().enumerate() {
        let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell echo made-{n}]] [[say {n}]]"));
        let card = world.card_with(&message, button).await;
        world.sim.click(&card.id, button, OWNER).await;
        assert_eq!(world.answer(&message).await.said(), n.to_string(), "{button}");
    }
    world.settled().await;
    assert!(super::gates::find(&world.home.path().join("ally"), "default.rules").is_none(), "codex keeps no rule");
    let own: Vec<_> = std::fs::read_dir(world.file(".codex")).unwrap().flatten().map(|one| one.file_name()).collect();
    assert_eq!(own, ["config.toml"], "nothing is written to the owner's codex");
    assert_eq!(std::fs::read_to_string(world.file(".codex/config.toml")).unwrap(), "# the owner's own\n");
}
