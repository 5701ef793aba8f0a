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
