//! Recorded events of the platform's documentation, and what becomes of them.

use serde_json::{Value, json};

use super::*;
use crate::domain::message::Part;

const BOT: &str = "ou_bot";

fn event(kind: &str, body: Value) -> String {
    json!({
        "schema": "2.0",
        "header": {"event_id": "5e3702a84e847582be8db7fb73283c02", "event_type": kind, "create_time": "1608725989000",
                   "token": "rvaYgkND1GOiu5MM0E1rncYC6PLtF7JV", "app_id": "cli_9f5343c580712544", "tenant_key": "2ca1d211f64f6438"},
        "event": body,
    })
    .to_string()
}

fn received(message: Value) -> String {
    let mut full = json!({
        "message_id": "om_5ce6d572455d361153b7cb51da133945", "create_time": "1609073151345",
        "chat_id": "oc_5ce6d572455d361153b7xx51da133945", "chat_type": "group", "message_type": "text",
        "content": "{\"text\":\"@_user_1 hello\"}",
        "mentions": [{"key": "@_user_1", "id": {"union_id": "on_1", "user_id": null, "open_id": BOT},
                      "mentioned_type": "bot", "name": "ally", "tenant_key": "736588c9260f175e"}],
    });
    for (key, value) in message.as_object().expect("a test's object") {
        full[key] = value.clone();
    }
    let sender = json!({"sender_id": {"union_id": "on_8", "user_id": "e33ggbyz", "open_id": "ou_tom"},
                        "sender_type": "user", "tenant_key": "736588c9260f175e"});
    event("im.message.receive_v1", json!({"sender": sender, "message": full}))
}

fn read(raw: &str, bot: Option<&str>) -> Decoded {
    let bot = bot.map(UserId::from);
    decode(&Envelope::read(raw).expect("readable"), bot.as_ref()).expect("decodable")
}

fn message_of(raw: &str, bot: Option<&str>) -> IncomingMessage {
    match read(raw, bot).event {
        Event::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_with_everything() {
    let raw = received(json!({"root_id": "om_root", "parent_id": "om_parent", "thread_id": "omt_1", "new_field": 1}));
    let decoded = read(&raw, Some(BOT));
    assert_eq!(decoded.dedupe_key, "om_5ce6d572455d361153b7cb51da133945", "the message id, never the event id");
    let message = message_of(&raw, Some(BOT));
    assert_eq!(message.text(), "hello");
    assert!(message.mentions_bot && !message.mentions_all && message.mentions.is_empty());
    assert_eq!(message.chat_kind, ChatKind::Group);
    assert_eq!(message.sent_at_ms, 1_609_073_151_345);
    assert_eq!(message.root, Some("om_root".into()));
    assert_eq!(message.parent, Some("om_parent".into()));
    assert_eq!(message.topic, Some("omt_1".into()));
    assert_eq!(message.sender.user.as_str(), "ou_tom");
    assert_eq!(message.sender.tenant.as_deref(), Some("736588c9260f175e"));
    assert_eq!(Envelope::read(&raw).expect("readable").tenant(), Some("2ca1d211f64f6438"));
}

#[test]
fn until_the_bot_is_known_any_mention_may_be_its_own() {
    let raw = received(json!({}));
    assert!(message_of(&raw, None).mentions_bot);
    assert!(!message_of(&raw, Some("ou_other")).mentions_bot);
    assert_eq!(message_of(&raw, Some("ou_other")).text(), "@ally hello");
    assert!(!message_of(&received(json!({"mentions": null})), None).mentions_bot);
}

#[test]
fn everybody_is_not_the_bot() {
    let raw = received(json!({"content": "{\"text\":\"@_all look\"}", "mentions": []}));
    let message = message_of(&raw, Some(BOT));
    assert!(message.mentions_all && !message.mentions_bot);
}

#[test]
fn empty_ids_are_absent() {
    let raw = received(json!({"root_id": "", "parent_id": "", "thread_id": "", "chat_type": "p2p"}));
    let message = message_of(&raw, Some(BOT));
    assert_eq!((message.root, message.parent, message.topic), (None, None, None));
    assert_eq!(message.chat_kind, ChatKind::Direct);
}

#[test]
fn unknown_message_types_are_told_and_not_dropped() {
    let raw = received(json!({"message_type": "hologram", "content": "?"}));
    assert_eq!(message_of(&raw, Some(BOT)).content, [Part::Unreadable { what: "hologram".to_owned() }]);
}

#[test]
fn other_bots_and_own_reactions_are_of_no_interest() {
    let raw = received(json!({})).replace("\"sender_type\":\"user\"", "\"sender_type\":\"bot\"");
    assert!(matches!(read(&raw, Some(BOT)).event, Event::Ignored { .. }));
    let own = json!({"message_id": "om_1", "reaction_type": {"emoji_type": "Get"}, "operator_type": "app",
                     "user_id": {"open_id": ""}, "app_id": "cli_1", "action_time": "1627641418803"});
    let raw = event("im.message.reaction.created_v1", own);
    assert!(matches!(read(&raw, Some(BOT)).event, Event::Ignored { .. }));
}

#[test]
fn a_reaction_of_a_person() {
    let body = json!({"message_id": "om_1", "reaction_type": {"emoji_type": "SMILE"}, "operator_type": "user",
                      "user_id": {"open_id": "ou_tom"}, "action_time": "1627641418803"});
    let decoded = read(&event("im.message.reaction.deleted_v1", body), Some(BOT));
    assert_eq!(decoded.dedupe_key, "reaction:om_1:SMILE:ou_tom:1627641418803");
    let want = Reaction { message: "om_1".into(), user: "ou_tom".into(), emoji: "SMILE".to_owned(), added: false };
    assert_eq!(decoded.event, Event::Reaction(want));
}

#[test]
fn recalls_and_memberships() {
    let recall = json!({"message_id": "om_1", "chat_id": "oc_1", "recall_time": "1615380573411", "recall_type": "message_owner"});
    let decoded = read(&event("im.message.recalled_v1", recall), None);
    assert_eq!(decoded.dedupe_key, "recall:om_1");
    let body = json!({"chat_id": "oc_1", "operator_id": {"open_id": "ou_tom"}, "external": false, "name": "x"});
    for (kind, change) in [
        ("im.chat.member.bot.added_v1", MembershipChange::BotAdded),
        ("im.chat.member.bot.deleted_v1", MembershipChange::BotRemoved),
        ("im.chat.disbanded_v1", MembershipChange::Disbanded),
    ] {
        let decoded = read(&event(kind, body.clone()), None);
        assert_eq!(decoded.dedupe_key, "5e3702a84e847582be8db7fb73283c02");
        let want = Membership { chat: "oc_1".into(), change, by: Some("ou_tom".into()) };
        assert_eq!(decoded.event, Event::Membership(want), "{kind}");
    }
}

fn click_of(action: Value) -> Click {
    let body = json!({"operator": {"tenant_key": "t", "open_id": "ou_tom"}, "token": "c-295e", "action": action,
                      "host": "im_message", "context": {"open_message_id": "om_card", "open_chat_id": "oc_1"}});
    match read(&event(CARD_ACTION, body), None).event {
        Event::Click(click) => click,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_click_with_a_form() {
    let id = "0123456789abcdef0123456789abcdef";
    let click = click_of(json!({"tag": "button", "name": "submit_1", "value": {"b": id},
        "form_value": {"z": "1", "multi": ["a", "b"], "flag": true, "empty": null}}));
    assert_eq!(click.button, Some(id.into()));
    assert_eq!(click.card, Some("om_card".into()));
    let pairs = [("flag", "true"), ("multi", "a"), ("multi", "b"), ("z", "1")];
    assert_eq!(click.form, pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn fields_outside_a_form() {
    let click = click_of(json!({"tag": "input", "name": "answer", "input_value": "typed"}));
    assert_eq!(click.form, [("answer".to_owned(), "typed".to_owned())]);
    let click = click_of(json!({"tag": "select_static", "option": "2"}));
    assert_eq!(click.form, [("option".to_owned(), "2".to_owned())]);
}

#[test]
fn a_foreign_or_tampered_value_is_no_button() {
    for value in [
        json!({"b": "0123"}),
        json!({"b": "0123456789ABCDEF0123456789ABCDEF"}),
        json!({"b": "0123456789abcdef0123456789abcdeg"}),
        json!({"b": "0123456789abcdef0123456789abcdef", "x": 1}),
        json!({"b": 7}),
        json!("0123456789abcdef0123456789abcdef"),
        json!(null),
    ] {
        assert_eq!(click_of(json!({"tag": "button", "value": value})).button, None, "{value}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    assert!(Envelope::read("{").is_err());
    for body in [json!({"message": {}}), json!(7), json!({"sender": {}, "message": {"message_id": "om_1"}})] {
        let raw = event("im.message.receive_v1", body);
        assert!(decode(&Envelope::read(&raw).expect("an envelope"), None).is_err(), "{raw}");
    }
}

#[test]
fn unknown_and_old_events_are_ignored_by_name() {
    let decoded = read(&event("im.message.message_read_v1", json!({})), None);
    assert_eq!(decoded.event, Event::Ignored { what: "im.message.message_read_v1".to_owned() });
    let old = json!({"uuid": "41b5", "type": "event_callback", "event": {"type": "p2p_chat_create"}}).to_string();
    let decoded = read(&old, None);
    assert_eq!(decoded.dedupe_key, "41b5");
    assert_eq!(decoded.event, Event::Ignored { what: "p2p_chat_create".to_owned() });
}
