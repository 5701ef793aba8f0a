//! Who is given which right, and what ends with it.

use crate::support::world::*;

const MEI: &str = "ou_mei";

async fn says(world: &World, chat: &str, user: &str, text: &str) -> String {
    let text = if chat == GROUP { format!("@bot {text}") } else { text.to_owned() };
    let message = world.sim.say(chat, user, &text);
    world.answer(&message).await.said()
}

fn count(world: &World, what: &str) -> u64 {
    world.status().and_then(|status| status["turns"][what].as_u64()).unwrap_or(99)
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_given_and_taken_with_all_that_hangs_on_them() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    world.sim.add_user(MEI, "Mei");
    world.sim.add_group("oc_far", "Far", &[OWNER, MEI]);
    world.up().await;

    // Only the owner names admins; he and they name approvers, in a group.
    assert!(says(&world, GROUP, LI, "/admin @ou_mei").await.contains("Only Wang"));
    assert!(says(&world, GROUP, LI, "/approver @ou_mei").await.contains("Only Wang"));
    assert!(says(&world, OWNER_CHAT, OWNER, "/approver @ou_mei").await.contains("belong to a group"));
    assert!(says(&world, GROUP, OWNER, "/approver").await.contains("no approvers here"));
    assert!(says(&world, GROUP, OWNER, "/approver @ou_mei").await.contains("Mei approves here now"));
    assert!(says(&world, GROUP, MEI, "/approver").await.contains("Approvers here: Mei"));
    assert!(says(&world, GROUP, MEI, "/admin @ou_mei").await.contains("Only Wang"), "nobody raises himself");
    assert!(says(&world, GROUP, OWNER, "/审批人 @ou_mei 移除").await.contains("no longer approves"));
    assert!(says(&world, GROUP, OWNER, "/approver @ou_mei remove").await.contains("did not have"));
    assert!(says(&world, GROUP, OWNER, "/admin @ou_mei").await.contains("Mei is an admin now"));
    assert!(says(&world, GROUP, MEI, "/admin").await.contains("Admins: Mei"));
    // What she may at once: decide for others, name approvers.
    assert!(says(&world, GROUP, MEI, "/approver @ou_mei").await.contains("Mei approves here now"));
    assert!(says(&world, GROUP, MEI, "/deny @ou_owner").await.contains("owner cannot be removed"));
    let asked = world.sim.say(GROUP, LI, "@bot [[request ls -la]] [[say done]]");
    let card = world.card_with(&asked, "For 12 hours").await;
    world.sim.click(&card.id, "For 12 hours", MEI).await;
    assert_eq!(world.answer(&asked).await.said(), "done");

    // Work of hers, running and queued, in a group that is not open.
    let running = world.sim.say("oc_far", MEI, "@bot [[sleep 1800000]] [[say never]]");
    world.wait("it to run", |world| (count(world, "running") == 1).then_some(())).await;
    world.sim.reply(&running, MEI, "@bot [[say never]]");
    world.wait("one to queue", |world| (count(world, "queued") == 1).then_some(())).await;

    let said = says(&world, OWNER_CHAT, OWNER, "/deny @ou_mei").await;
    for what in ["Mei was removed", "no longer an admin", "groups: 1", "asked to stop: 1", "cancelled: 1", "ended: R1"]
    {
        assert!(said.contains(what), "{what}: {said}");
    }
    world.settled().await;
    assert!(world.answers(&running).iter().all(|answer| !answer.text().contains("never")));
    assert!(says(&world, GROUP, OWNER, "/rules").await.contains("no rules here"));
    assert!(says(&world, GROUP, OWNER, "/admin").await.contains("no admins"));
    let stranger = world.sim.say("oc_far", MEI, "@bot [[say never]]");
    world.sim.wait_ack(&stranger).await;
    assert_eq!(count(&world, "running") + count(&world, "queued"), 0);
    let again = world.sim.say(GROUP, LI, "@bot [[request ls -la]] [[say asked]]");
    world.card_with(&again, "Allow once").await;

    // What stands in ally.toml is not taken away from a chat, and that is said.
    assert!(says(&world, OWNER_CHAT, OWNER, "/deny @ou_li").await.contains("ally.toml"));
    let audit = world.run(&["audit"]).0;
    for what in ["made somebody an admin  Mei", "an approver no longer  Mei", "removed somebody  Mei"] {
        assert!(audit.contains(what), "{what}: {audit}");
    }
}
