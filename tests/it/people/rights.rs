//! Who is given which right, and what ends with it.

use serde_json::json;

use crate::support::feishu_sim::{Fault, Say};
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_for_somebody_is_not_done_after_he_was_removed() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    world.sim.add_user(MEI, "Mei");
    world.sim.add_direct("oc_mei", MEI);
    world.sim.add_resource("img_1", "a.png", b"\x89PNG\r\n\x1a\n and more");
    world.up().await;
    assert!(says(&world, OWNER_CHAT, OWNER, "/allow @ou_mei").await.contains("Mei"));
    let picture = world.sim.post(Say {
        chat: "oc_mei".to_owned(),
        user: MEI.to_owned(),
        raw: Some(("image".to_owned(), json!({ "image_key": "img_1" }).to_string())),
        ..Say::default()
    });
    let path = format!("GET /open-apis/im/v1/messages/{picture}/resources");
    world.sim.fault(&path, Fault::Delay(std::time::Duration::from_secs(8)), 1);
    let words = world.sim.say("oc_mei", MEI, "[[say never]] these-are-my-words");
    let asked = |world: &World| world.sim.requests().iter().any(|line| line.starts_with(&path));
    world.wait("the download", |world| asked(world).then_some(())).await;
    assert!(says(&world, OWNER_CHAT, OWNER, "/deny @ou_mei").await.contains("Mei was removed"));
    let said = world.answer(&words).await.said();
    assert!(said.contains("may not talk to me here any more"), "{said}");
    world.settled().await;
    assert_eq!(world.answers(&words).len(), 1);
    let kept = world.ledger(|tx| {
        let sql = "SELECT count(*) FROM inbound WHERE raw LIKE '%these-are-my-words%'";
        Ok(tx.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(kept, 0, "nothing of it is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_closed_has_nothing_done_for_its_members() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    world.sim.add_user(MEI, "Mei");
    world.sim.add_group("oc_far", "Far", &[OWNER, MEI]);
    world.up().await;
    let far = async |text: &str| {
        let message = world.sim.say("oc_far", OWNER, &format!("@bot {text}"));
        world.answer(&message).await.said()
    };
    far("/allow").await;
    let running = world.sim.say("oc_far", MEI, "@bot [[sleep 1800000]] [[say never]]");
    world.wait("it to run", |world| (count(world, "running") == 1).then_some(())).await;
    world.sim.reply(&running, MEI, "@bot [[say never]]");
    world.wait("one to queue", |world| (count(world, "queued") == 1).then_some(())).await;
    let theirs = world.sim.say("oc_far", OWNER, "@bot [[say mine]]");
    let said = far("/deny").await;
    assert!(said.contains("closed") && said.contains("asked to stop: 1") && said.contains("cancelled: 1"), "{said}");
    assert_eq!(world.answer(&theirs).await.said(), "mine", "what others asked for is done");
    world.settled().await;
    assert!(world.answers(&running).iter().all(|answer| !answer.text().contains("never")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_by_right_is_not_run_without_it() {
    let mut world = World::start(Kind::Embedded).await;
    let running = world.sim.say(GROUP, OWNER, "@bot [[sleep 1800000]] [[say never]]");
    world.wait("it to run", |world| (count(world, "running") == 1).then_some(())).await;
    let queued = world.sim.reply(&running, STRANGER, "@bot [[say never]]");
    world.wait("one to queue", |world| (count(world, "queued") == 1).then_some(())).await;
    world.down().await;
    let file = world.home.path().join("ally/ally.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&format!("chats = [\"{GROUP}\"]"), "chats = []")).unwrap();
    world.up().await;
    let said = world.answer(&queued).await.said();
    assert!(said.contains("may not talk to me here any more"), "{said}");
    world.settled().await;
    assert_eq!(world.answers(&queued).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_outsiders_is_not_opened_from_the_chat() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    world.sim.add_user(MEI, "Mei");
    world.sim.add_group("oc_mixed", "Mixed", &[OWNER, MEI]);
    world.sim.let_outsiders_in("oc_mixed", true);
    world.up().await;
    let allow = async |world: &World| {
        let message = world.sim.say("oc_mixed", OWNER, "@bot /allow");
        world.answer(&message).await.said()
    };
    let said = allow(&world).await;
    assert!(said.contains("other companies") && said.contains("oc_mixed"), "{said}");
    // Nobody can tell: it stays closed.
    world.sim.let_outsiders_in("oc_mixed", false);
    world.sim.fault("GET /open-apis/im/v1/chats/oc_mixed", crate::support::feishu_sim::Fault::Html { status: 502 }, 1);
    let said = allow(&world).await;
    assert!(said.contains("was not opened"), "{said}");
    let refused = world.sim.say("oc_mixed", MEI, "@bot [[say never]]");
    world.sim.wait_ack(&refused).await;
    assert!(allow(&world).await.contains("is open"));
    let message = world.sim.say("oc_mixed", MEI, "@bot [[say hello]]");
    assert_eq!(world.answer(&message).await.said(), "hello");
    assert!(world.answers(&refused).iter().all(|answer| !answer.said().contains("never")));
}
