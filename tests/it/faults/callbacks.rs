//! Clicks in card frames, as an app gets them whose callbacks are not published as long connection.

use serde_json::json;

use crate::support::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_click_in_a_card_frame_answers_a_request() {
    let world = World::start(Kind::Embedded).await;
    let file = world.file("ran.txt");
    let asked = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo x >> {}]] [[say done]]", file.display()));
    let card = world.card_with(&asked, "Allow once").await;
    let value = card.button("Allow once").unwrap();

    // Nothing of this is ours, and none of it decides anything.
    for bad in
        ["", "no json", "[1]", "{}", r#"{"action":7}"#, r#"{"action":{}}"#, r#"{"open_id":"ou_owner","action":{}}"#]
    {
        let delivery = world.sim.emit_card_frame(bad);
        let ack = world.sim.wait_delivery(&delivery).await;
        assert_eq!((ack.code, ack.data.is_some()), (200, true), "{bad:?}: a callback without a body is an error");
    }
    let tampered = world.sim.click_in_card_frame(&card.id, OWNER, json!({"b": "f".repeat(32)})).await;
    assert!(tampered.to_string().contains("not mine"), "{tampered}");
    let stranger = world.sim.click_in_card_frame(&card.id, STRANGER, value.clone()).await;
    assert!(stranger["toast"]["type"] != "success", "{stranger}");
    assert_eq!(world.nonces(&file).len(), 0);

    let shown = world.sim.click_in_card_frame(&card.id, OWNER, value.clone()).await;
    assert_eq!(shown["toast"]["type"], "success", "{shown}");
    assert_eq!(world.answer(&asked).await.said(), "done");
    assert_eq!(world.nonces(&file).values().sum::<usize>(), 1);
    let again = world.sim.click_in_card_frame(&card.id, OWNER, value).await;
    assert!(again["toast"]["type"] != "success", "a second click is another click, and too late: {again}");
    let hints = world.whole_log().lines().filter(|line| line.contains("publish the app with callbacks")).count();
    assert_eq!(hints, 1, "said once, not at every click");
}

/// The same envelope as in an event frame, as the platform may also write it.
#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_in_a_card_frame_is_a_click_too() {
    let mut world = World::prepare_in("zh", Kind::Embedded, "").await;
    world.up().await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[escalate true]] [[say done]]");
    let card = world.card_with(&asked, "允许一次").await;
    let body = json!({"schema": "2.0",
        "header": {"event_id": "f798", "token": "t", "create_time": "1603977298000000", "app_id": "cli_x",
                   "event_type": "card.action.trigger", "tenant_key": "tenant_sim"},
        "event": {"operator": {"tenant_key": "tenant_sim", "open_id": OWNER, "union_id": "on_x"}, "token": "c-1",
                  "action": {"value": card.button("允许一次").unwrap(), "tag": "button"}, "host": "im_message",
                  "context": {"open_message_id": card.id, "open_chat_id": OWNER_CHAT}}});
    let ack = world.sim.wait_delivery(&world.sim.emit_card_frame(&body.to_string())).await;
    assert_eq!(ack.data.unwrap()["toast"]["i18n"]["zh_cn"], "已记录，正在告诉 Codex");
    assert_eq!(world.answer(&asked).await.said(), "done");
}
