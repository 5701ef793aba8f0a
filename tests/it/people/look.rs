//! What was decided and what waits, as far as each may see it.

use crate::support::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn each_chat_has_its_own_audit_and_the_owner_all_of_it() {
    let world = World::start(Kind::Embedded).await;
    let asked = world.sim.say(GROUP, LI, "@bot [[request ls -la]] [[say done]]");
    let card = world.card_with(&asked, "Allow once").await;

    // It waits: told in its group, and to the owner with the group's name; in no other chat.
    let here = world.sim.say(GROUP, LI, "@bot /gates");
    let said = world.answer(&here).await.said();
    assert!(said.contains("#1 ls -la · reads the project · Li's task") && !said.contains("Team"), "{said}");
    let all = world.sim.say(OWNER_CHAT, OWNER, "/gates");
    let said = world.answer(&all).await.said();
    assert!(said.contains("#1 ls -la") && said.contains("Team"), "{said}");

    world.sim.click(&card.id, "Allow once", LI).await;
    assert_eq!(world.answer(&asked).await.said(), "done");
    let own = world.sim.say(OWNER_CHAT, OWNER, "[[request ls]] [[say mine]]");
    let card = world.card_with(&own, "For 12 hours").await;
    world.sim.click(&card.id, "For 12 hours", OWNER).await;
    assert_eq!(world.answer(&own).await.said(), "mine");

    for (who, command) in
        [(OWNER, "/settings busy steer"), (OWNER, "/cd -"), (LI, "/settings two_persons true"), (LI, "/cd -")]
    {
        world.answer(&world.sim.say(GROUP, who, &format!("@bot {command}"))).await;
    }
    let group = world.sim.say(GROUP, OWNER, "@bot /audit 1d");
    let said = world.answer(&group).await.said();
    assert!(said.contains("Li · decided: allowed · reads the project · #1 ls -la"), "{said}");
    for what in [
        "Wang · changed a setting · When busy: Steer",
        "Wang · brought the chat to a folder · ",
        "Li · may not change a setting · Acting on others",
        "Li · may not use a command · /cd",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert!(!said.contains("made a rule") && !said.contains("ou_"), "{said}");
    let refused = world.sim.say(GROUP, LI, "@bot /审计");
    assert!(world.answer(&refused).await.said().contains("Only Wang"));
    let direct = world.sim.say(OWNER_CHAT, OWNER, "/audit");
    let said = world.answer(&direct).await.said();
    for what in ["made a rule: for 12 hours · R1", "#1 ls -la · Team", "Li · may not use a command · /audit"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    let none = world.sim.say(OWNER_CHAT, OWNER, "/gates");
    assert!(world.answer(&none).await.said().contains("No request waits"));

    // From the computer, with the daemon and without.
    let (json, well) = world.run(&["audit", "--since", "1d", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(well && rows.as_array().unwrap().iter().any(|row| row["what"] == "rule made"), "{json}");
    assert!(!world.run(&["audit", "--since", "soon"]).1);
    let mut world = world;
    world.down().await;
    let text = world.run(&["audit"]).0;
    assert!(text.contains("Li") && text.contains("decided: allowed"), "{text}");
    assert!(world.run(&["rules", "list"]).0.contains("R1"));
}
