//! The long connection: acks, failures of the ledger, lost connections.

use std::time::Duration;

use ally::bridge::ports::{Channel, ChannelState};
use ally::channels::feishu::Timing;
use ally::domain::message::Event;
use serde_json::{Value, json};

use super::rig::{DIRECT, GROUP, Rig, TOM, quick, world};
use crate::support::feishu_sim::{APP_SECRET, TENANT};

/// A card of the bot with one button, as the simulator has it.
async fn card(rig: &Rig) -> String {
    use ally::bridge::ports::CardOut;
    use ally::domain::view::{Button, ButtonRole, Lang, NoticeView, View};
    let out = super::rig::notice(DIRECT, None, "");
    let buttons = vec![Button { id: "0123456789abcdef0123456789abcdef".into(), role: ButtonRole::Allow }];
    let view = View::Notice(NoticeView { text: "may I?".to_owned(), buttons });
    let card = CardOut { delivery: out.delivery, key: out.key, target: out.target, view, lang: Lang::En };
    let sent = rig.feishu.create_card(&card).await.expect("sent");
    sent.message.expect("an id").as_str().to_owned()
}

#[tokio::test]
async fn an_ack_waits_for_the_commit() {
    let rig = Rig::start().await;
    rig.intake.hold(true);
    let message = rig.sim.say(DIRECT, TOM, "hello");
    rig.wait_seen(1).await;
    assert!(rig.sim.acks(&message).is_empty(), "nothing is committed yet");
    rig.intake.hold(false);
    let ack = rig.sim.wait_ack(&message).await;
    assert_eq!((ack.code, ack.data, ack.well_formed), (200, None, true));
    assert!(ack.took < Duration::from_secs(3), "the platform waits no longer");
    rig.stop().await;
}

#[tokio::test]
async fn slow_commits_hold_back_neither_the_reader_nor_the_order() {
    let rig = Rig::start().await;
    rig.intake.hold(true);
    let said: Vec<String> = (0..20).map(|n| rig.sim.say(DIRECT, TOM, &format!("message {n}"))).collect();
    rig.wait_seen(20).await;
    assert_eq!(rig.intake.keys(), said, "in the order of the frames, by message id");
    rig.intake.hold(false);
    for message in &said {
        assert_eq!(rig.sim.wait_ack(message).await.code, 200);
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_could_not_be_stored_is_said_once_and_taken_later() {
    let rig = Rig::start().await;
    rig.sim.rules(|rules| rules.time_scale = 0.01);
    rig.intake.break_disk(true);
    let message = rig.sim.say(DIRECT, TOM, "important");
    assert_eq!(rig.sim.wait_ack(&message).await.code, 500);
    rig.wait_seen(2).await;
    let answers =
        rig.sim.wait_for("the notice", |sim| Some(sim.answers_to(&message)).filter(|all| !all.is_empty())).await;
    assert!(answers[0].text().contains("no need to resend"), "{}", answers[0].text());
    assert_eq!(answers[0].uuid.as_deref().map(str::len), Some(36));
    rig.intake.break_disk(false);
    rig.sim.advance(Duration::from_secs(60));
    rig.sim.wait_for("an ack with 200", |sim| sim.acks(&message).iter().find(|ack| ack.code == 200).cloned()).await;
    assert_eq!(rig.sim.answers_to(&message).len(), 1, "one notice, however often it was delivered");
    rig.stop().await;
}

#[tokio::test]
async fn a_group_that_did_not_speak_to_the_bot_is_told_nothing() {
    let rig = Rig::start().await;
    rig.intake.break_disk(true);
    let aside = rig.sim.say(GROUP, TOM, "not for the bot");
    let meant = rig.sim.say(GROUP, TOM, "@bot for you");
    assert_eq!(rig.sim.wait_ack(&aside).await.code, 500);
    rig.sim.wait_for("the notice", |sim| (!sim.answers_to(&meant).is_empty()).then_some(())).await;
    assert!(rig.sim.answers_to(&aside).is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn a_click_is_answered_with_a_toast() {
    let rig = Rig::start().await;
    let card = card(&rig).await;
    assert_eq!(rig.sim.message(&card).buttons(), ["Allow once"]);
    let shown = rig.sim.click(&card, "Allow", TOM).await;
    assert_eq!(shown["toast"]["type"], "success");
    assert_eq!(shown["toast"]["i18n"], json!({"zh_cn": "已允许", "en_us": "Allowed"}));
    let Some(Event::Click(click)) = rig.intake.events().pop() else { panic!("no click") };
    assert_eq!(click.button, Some("0123456789abcdef0123456789abcdef".into()));
    assert_eq!((click.card, click.user), (Some(card.as_str().into()), TOM.into()));
    rig.stop().await;
}

#[tokio::test]
async fn a_click_that_was_not_stored_asks_for_another() {
    let rig = Rig::start().await;
    let card = card(&rig).await;
    rig.intake.break_disk(true);
    let shown = rig.sim.click_value(&card, TOM, json!("tampered"), Value::Null).await;
    assert_eq!(shown["toast"]["i18n"], json!({"zh_cn": "没有记下，请再按一次", "en_us": "Not recorded, press again"}));
    let Some(Event::Click(click)) = rig.intake.events().pop() else { panic!("no click") };
    assert_eq!(click.button, None, "a foreign value is no button");
    rig.stop().await;
}

#[tokio::test]
async fn a_commit_outlives_its_connection() {
    let rig = Rig::start().await;
    rig.sim.rules(|rules| rules.time_scale = 0.01);
    rig.intake.hold(true);
    let message = rig.sim.say(DIRECT, TOM, "hello");
    rig.wait_seen(1).await;
    rig.sim.drop_connections();
    rig.sim.wait_connected(2).await;
    rig.intake.hold(false);
    rig.sim.wait_for("an ack on the new connection", |sim| sim.acks(&message).pop()).await;
    assert!(rig.intake.keys().iter().all(|key| *key == message), "the same key each time");
    rig.stop().await;
}

#[tokio::test]
async fn it_comes_back_as_often_as_it_is_dropped() {
    let rig = Rig::start().await;
    for times in 2..5 {
        rig.sim.drop_connections();
        rig.sim.wait_connected(times).await;
    }
    let message = rig.sim.say(DIRECT, TOM, "still there?");
    assert_eq!(rig.sim.wait_ack(&message).await.code, 200);
    rig.sim.wait_for("health", |_| (rig.feishu.health().state == ChannelState::Connected).then_some(())).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_half_open_connection_is_noticed() {
    let sim = world().await;
    sim.rules(|rules| rules.ping_interval = 1);
    let rig = Rig::with(sim, Timing { pong: Duration::from_millis(300), ..quick() }).await;
    rig.sim.rules(|rules| rules.half_open = true);
    rig.sim.wait_connected(2).await;
    rig.sim.rules(|rules| rules.half_open = false);
    let message = rig.sim.say(DIRECT, TOM, "hello");
    rig.sim.rules(|rules| rules.time_scale = 0.01);
    rig.sim.redeliver(&message);
    rig.sim.wait_for("an ack", |sim| sim.acks(&message).pop()).await;
    rig.stop().await;
}

#[tokio::test]
async fn an_event_in_pieces_is_one_event() {
    let rig = Rig::start().await;
    rig.sim.rules(|rules| rules.fragment = Some(100));
    let message = rig.sim.say(DIRECT, TOM, &"long ".repeat(200));
    let ack = rig.sim.wait_ack(&message).await;
    assert_eq!((ack.code, ack.well_formed), (200, true));
    assert_eq!(rig.intake.keys(), [message]);
    rig.stop().await;
}

#[tokio::test]
async fn nonsense_is_counted_and_survived() {
    let rig = Rig::start().await;
    rig.sim.send_garbage(&[0xff, 0x00, 0x13], false);
    rig.sim.send_garbage(b"hello", true);
    let odd = rig.sim.emit("im.message.receive_v1", None, json!({"sender": 7}));
    assert_eq!(rig.sim.wait_delivery(&odd).await.code, 200, "it would not become better");
    let unknown = rig.sim.emit("im.something.new_v9", None, json!({}));
    assert_eq!(rig.sim.wait_delivery(&unknown).await.code, 200);
    let message = rig.sim.say(DIRECT, TOM, "hello");
    assert_eq!(rig.sim.wait_ack(&message).await.code, 200);
    assert_eq!(rig.intake.anomalies(), ["bad_frame", "text_frame", "unreadable_event"]);
    assert_eq!(rig.sim.connected(), 1, "the connection held");
    rig.stop().await;
}

#[tokio::test]
async fn a_frame_beyond_all_bounds_costs_the_connection_and_no_more() {
    let rig = Rig::start().await;
    rig.sim.send_garbage(&vec![0; 17 << 20], false);
    rig.sim.wait_connected(2).await;
    let message = rig.sim.say(DIRECT, TOM, "hello");
    assert_eq!(rig.sim.wait_ack(&message).await.code, 200);
    rig.stop().await;
}

#[tokio::test]
async fn a_redelivery_has_the_same_key() {
    let rig = Rig::start().await;
    let message = rig.sim.say(DIRECT, TOM, "hello");
    rig.sim.redeliver(&message);
    rig.wait_seen(2).await;
    assert_eq!(rig.intake.keys(), [message.clone(), message]);
    rig.stop().await;
}

#[tokio::test]
async fn a_reply_in_a_topic_names_its_root() {
    let rig = Rig::start().await;
    rig.sim.add_topic_group("oc_topics", "Topics", &[TOM]);
    let root = rig.sim.say("oc_topics", TOM, "@bot start");
    let answer = rig.sim.reply(&root, TOM, "and more");
    rig.sim.reply(&answer, TOM, "and more still");
    rig.wait_seen(3).await;
    let places: Vec<_> = rig
        .intake
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Message(message) => Some((message.root, message.parent, message.topic)),
            _ => None,
        })
        .collect();
    let thread = rig.sim.message(&root).thread.map(Into::into);
    let root = Some(root.as_str().into());
    assert_eq!(places[0], (None, None, thread.clone()));
    assert_eq!(places[1], (root.clone(), root.clone(), thread.clone()));
    assert_eq!(places[2], (root.clone(), root, thread));
    rig.stop().await;
}

#[tokio::test]
async fn recalls_reach_the_intake() {
    let rig = Rig::start().await;
    let message = rig.sim.say(DIRECT, TOM, "hello");
    rig.sim.recall(&message);
    rig.wait_seen(2).await;
    assert_eq!(rig.intake.keys()[1], format!("recall:{message}"));
    rig.stop().await;
}

#[tokio::test]
async fn the_bot_is_known_with_its_tenant() {
    let rig = Rig::start().await;
    let message = rig.sim.say(GROUP, TOM, "@bot hello");
    rig.sim.wait_ack(&message).await;
    let bot = rig.intake.bots.lock().expect("not poisoned").last().cloned().expect("known");
    assert_eq!((bot.user.as_str(), bot.name.as_str(), bot.tenant.as_deref()), ("ou_bot", "ally", Some(TENANT)));
    let Some(Event::Message(said)) = rig.intake.events().pop() else { panic!("no message") };
    assert!(said.mentions_bot);
    assert_eq!(said.text(), "hello");
    let raw = rig.intake.seen.lock().expect("not poisoned")[0].0.clone();
    assert_eq!(rig.feishu.decode(&raw).expect("readable").event, Event::Message(said));
    rig.stop().await;
}

#[tokio::test]
async fn a_refusal_is_a_state_with_advice_and_ends_when_it_is_mended() {
    let sim = world().await;
    sim.rules(|rules| rules.bootstrap_error = Some(1000040345));
    let rig = Rig::begin(sim, quick(), APP_SECRET);
    let refused = |_: &_| Some(rig.feishu.health()).filter(|health| health.state == ChannelState::Refused);
    let health = rig.sim.wait_for("a refusal", refused).await;
    let problem = health.problem.expect("a sentence").en;
    assert!(problem.contains("app secret") && problem.contains("1000040345"), "{problem}");
    assert!(!problem.contains(APP_SECRET));
    rig.sim.rules(|rules| (rules.bootstrap_error, rules.handshake_error) = (None, Some((514, 1000040350))));
    rig.sim
        .wait_for("the other refusal", |_| rig.feishu.health().problem.filter(|why| why.en.contains("too many")))
        .await;
    rig.sim.rules(|rules| rules.handshake_error = None);
    rig.sim.wait_connected(1).await;
    rig.sim.wait_for("health", |_| (rig.feishu.health().state == ChannelState::Connected).then_some(())).await;
    rig.stop().await;
}

#[tokio::test]
async fn trouble_of_the_platform_is_retried() {
    let sim = world().await;
    sim.rules(|rules| rules.bootstrap_error = Some(1));
    let rig = Rig::begin(sim, quick(), APP_SECRET);
    let retrying = |_: &_| Some(rig.feishu.health()).filter(|health| health.state == ChannelState::Retrying);
    rig.sim.wait_for("a retry", retrying).await;
    rig.sim.rules(|rules| rules.bootstrap_error = None);
    rig.sim.wait_connected(1).await;
    rig.stop().await;
}
