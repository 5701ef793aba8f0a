//! What nobody should send: it is survived, answered as taken (it will not be readable in six hours either), and costs
//! nothing else.

use serde_json::{Value, json};

use crate::support::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_taken_and_costs_nothing() {
    let world = World::start(Kind::Embedded).await;
    let bridge = world.pid("bridge");
    for bytes in [&b""[..], b"\x00", b"\xff\xfe\xfd", &[0x0a; 4096]] {
        world.sim.send_garbage(bytes, false);
    }
    world.sim.send_garbage(b"{\"a text\": \"is no frame\"}", true);
    let mut deliveries: Vec<String> = [
        "",
        "null",
        "[]",
        "no json",
        "{\"schema\": \"2.0\"}",
        "{\"schema\": \"2.0\", \"header\": {}, \"event\": {}}",
        "{\"schema\": \"2.0\", \"header\": {\"event_type\": 7}, \"event\": 7}",
        // The version before envelopes.
        "{\"uuid\": \"u1\", \"token\": \"t\", \"ts\": \"1\", \"type\": \"event_callback\", \
          \"event\": {\"type\": \"message\", \"chat_type\": \"private\", \"msg_type\": \"text\", \"text\": \"old\"}}",
    ]
    .map(|payload| world.sim.emit_event_frame(payload))
    .into();
    let kinds = [
        "im.message.receive_v1",
        "im.message.recalled_v1",
        "im.message.reaction.created_v1",
        "im.chat.member.bot.added_v1",
        "im.chat.member.bot.deleted_v1",
        "im.chat.disbanded_v1",
        "im.nobody.knows_v7",
    ];
    let bodies = [
        Value::Null,
        json!({}),
        json!([7]),
        json!({"chat_id": 7, "message_id": [], "sender": "x", "message": "y"}),
        json!({"sender": {}, "message": {}}),
        json!({"sender": {"sender_id": {"open_id": OWNER}, "sender_type": "user"},
               "message": {"message_id": "", "chat_id": OWNER_CHAT, "chat_type": "p2p", "message_type": "text"}}),
    ];
    for kind in kinds {
        deliveries.extend(bodies.iter().map(|body| world.sim.emit(kind, None, body.clone())));
    }
    for delivery in &deliveries {
        assert_eq!(world.sim.wait_delivery(delivery).await.code, 200);
    }
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
    assert_eq!(world.pid("bridge"), bridge, "nothing crashed");
    let turns: Value = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    assert_eq!(turns.as_array().unwrap().len(), 1, "nothing of it became a task: {turns}");
    assert!(!world.whole_log().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_and_huge_texts_are_messages_like_others() {
    let world = World::start(Kind::Embedded).await;
    for text in [
        "[[say one]] \u{0}\u{1}\u{1b}[2J\u{1b}]0;title\u{7}".to_owned(),
        "[[say one]] \u{202e}\u{2066}\u{200b}\u{feff}\u{fffe}".to_owned(),
        format!("[[say one]] {}", "字".repeat(40_000)),
    ] {
        let message = world.sim.say(OWNER_CHAT, OWNER, &text);
        assert_eq!(world.sim.wait_ack(&message).await.code, 200);
        assert!(world.answer(&message).await.said().starts_with("one"), "{:?}", world.answers(&message));
    }
    let (listed, well) = world.run(&["turns"]);
    assert!(well && !listed.contains(['\u{1b}', '\u{0}', '\u{202e}']), "a terminal is not steered: {listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_no_button_decides_nothing() {
    let world = World::start(Kind::Embedded).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[escalate true]] [[say fine]]");
    let card = world.card_with(&asked, "Allow once").await;
    for value in [
        Value::Null,
        json!(7),
        json!([]),
        json!({}),
        json!({"b": 7}),
        json!({"b": ""}),
        json!({"b": "\u{0}'; DROP TABLE gates; --"}),
        json!({"b": "x".repeat(20_000)}),
        json!({"b": {"b": {"b": []}}}),
    ] {
        for form in [Value::Null, json!("text"), json!({"q": {"deep": [1]}})] {
            let shown = world.sim.click_value(&card.id, OWNER, value.clone(), form).await;
            assert!(shown["toast"]["type"] != "success", "{value}: {shown}");
        }
    }
    assert_eq!(world.status().unwrap()["turns"]["waiting"], 1, "nobody decided");
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&asked).await.said(), "fine");
}
