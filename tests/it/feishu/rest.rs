//! What goes out: messages and their doubts, cards, files, names, limits.

use std::time::{Duration, Instant};

use ally::bridge::ports::{Attachment, Channel, FetchError, Lookup, Outgoing, Span};
use ally::channels::feishu::Feishu;
use ally::clock::Clock;
use ally::domain::delivery::{Body, Disposition};
use ally::domain::view::{Lang, NoticeView, Receipt, View};
use serde_json::json;

use super::rig::{DIRECT, GROUP, Rig, TOM, config, notice, world};
use crate::support::feishu_sim::{APP_SECRET, Fault, FeishuSim, Say, UuidRepeat};

const CREATE: &str = "POST /open-apis/im/v1/messages";

fn lookup(out: &Outgoing, since_ms: i64) -> Lookup {
    Lookup {
        delivery: out.delivery.clone(),
        target: out.target.clone(),
        topic: None,
        since_ms,
        body: out.body.clone(),
        form: out.form,
        lang: out.lang,
        resource: out.resource.clone(),
        known: Vec::new(),
    }
}

fn answer(reply_to: &str, markdown: &str, (part, parts): (u32, u32), mention: Option<&str>) -> Outgoing {
    let (footer, mention) = (Some("at least 1 file changed".to_owned()), mention.map(Into::into));
    let body = Body::Answer { markdown: markdown.to_owned(), part, parts, footer, mention };
    Outgoing { body, ..notice(GROUP, Some(reply_to), "") }
}

fn tokens(sim: &FeishuSim) -> usize {
    sim.requests().iter().filter(|line| line.contains("tenant_access_token")).count()
}

#[tokio::test]
async fn an_answer_that_got_lost_is_not_sent_twice() {
    let rig = Rig::start().await;
    for fault in [Fault::AfterEffect, Fault::AfterEffectDrop] {
        let out = notice(DIRECT, None, "once");
        rig.sim.fault(CREATE, fault, 1);
        let lost = rig.feishu.send(&out).await.expect_err("no answer");
        assert!(matches!(lost.disposition, Disposition::Ambiguous { .. }), "{lost:?}");
        let sent = rig.feishu.send(&out).await.expect("sent").message.expect("an id");
        let same: Vec<_> =
            rig.sim.messages(DIRECT).into_iter().filter(|one| one.uuid.as_deref() == Some(&out.key)).collect();
        assert_eq!(same.len(), 1);
        assert_eq!(same[0].id, sent.as_str());
    }
    rig.stop().await;
}

#[tokio::test]
async fn already_sent_without_an_id_is_sent() {
    let rig = Rig::start().await;
    rig.sim.rules(|rules| rules.uuid_repeat = UuidRepeat::Refused);
    let out = notice(DIRECT, None, "once");
    rig.sim.fault(CREATE, Fault::AfterEffect, 1);
    rig.feishu.send(&out).await.expect_err("no answer");
    assert_eq!(rig.feishu.send(&out).await.expect("sent").message, None);
    assert_eq!(rig.sim.messages(DIRECT).len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn after_an_hour_the_same_key_sends_again_and_only_a_look_finds_the_first() {
    let rig = Rig::start().await;
    let out = notice(DIRECT, None, "**once**\n- a `b`");
    let since = rig.sim.now_ms();
    let first = rig.feishu.send(&out).await.expect("sent");
    rig.sim.advance(Duration::from_secs(3700));
    let found = rig.feishu.find_sent(&lookup(&out, since)).await.expect("readable");
    assert_eq!(found, first.message);
    let second = rig.feishu.send(&out).await.expect("sent");
    assert_ne!(second.message, first.message);
    assert!(second.platform_ms.expect("a date") - since > 3_600_000, "the platform's clock, not ours");
    rig.stop().await;
}

#[tokio::test]
async fn a_message_of_unknown_fate_is_looked_for_where_it_must_be() {
    let rig = Rig::start().await;
    let since = rig.sim.now_ms();
    let question = rig.sim.say(GROUP, TOM, "@bot please");
    let mut out = notice(GROUP, Some(&question), "in a topic");
    out.target.in_topic = true;
    assert_eq!(rig.feishu.find_sent(&lookup(&out, since)).await, Ok(None), "not sent yet");
    let sent = rig.feishu.send(&out).await.expect("sent");
    assert!(sent.topic.is_some(), "the answer opened a topic");
    assert_eq!(rig.feishu.find_sent(&lookup(&out, since)).await, Ok(sent.message));
    let mut other = lookup(&out, since);
    other.body = Body::Notice { text: "another text".to_owned() };
    assert_eq!(rig.feishu.find_sent(&other).await, Ok(None));
    let by_people = rig.sim.say(DIRECT, TOM, "said by Tom");
    assert!(!by_people.is_empty());
    let elsewhere = notice(DIRECT, None, "said by Tom");
    assert_eq!(rig.feishu.find_sent(&lookup(&elsewhere, since)).await, Ok(None), "not our app");
    rig.sim.rules(|rules| rules.refuse_lists = true);
    let refused = rig.feishu.find_sent(&lookup(&elsewhere, since)).await.expect_err("no right");
    assert_eq!((refused.code, refused.disposition), (Some(230027), Disposition::Undeliverable));
    rig.stop().await;
}

#[tokio::test]
async fn every_dress_of_an_answer_is_recognised() {
    let rig = Rig::start().await;
    let since = rig.sim.now_ms();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x");
    std::fs::write(&path, b"x").expect("written");
    let question = rig.sim.say(GROUP, TOM, "@bot please");
    let rich = "# Result\n\nSee [log](https://e.org/x).\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```rust\nlet a = 1;\n```";
    for (markdown, form) in
        [("Done, see [log](https://e.org/x).\n\n```sh\nls\n```", 0), (rich, 0), (rich, 1), (rich, 2)]
    {
        let out = Outgoing { form, ..answer(&question, markdown, (1, 2), Some(TOM)) };
        assert_eq!(rig.feishu.find_sent(&lookup(&out, since)).await, Ok(None), "{markdown} in form {form}");
        let sent = rig.feishu.send(&out).await.expect("sent").message;
        assert_eq!(rig.feishu.find_sent(&lookup(&out, since)).await, Ok(sent), "{markdown} in form {form}");
    }
    for name in ["one.txt", "two.txt"] {
        let body = Body::File { name: name.to_owned(), sha256: "0".to_owned(), bytes: 1 };
        let resource = Some(rig.feishu.upload(&body, &path).await.expect("uploaded"));
        let out = Outgoing { body, resource, ..notice(GROUP, Some(&question), "") };
        assert_eq!(rig.feishu.find_sent(&lookup(&out, since)).await, Ok(None), "{name}");
        let sent = rig.feishu.send(&out).await.expect("sent").message;
        assert_eq!(rig.feishu.find_sent(&lookup(&out, since)).await, Ok(sent), "{name}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn only_what_says_exactly_this_is_found() {
    let rig = Rig::start().await;
    let since = rig.sim.now_ms();
    let (question, other) = (rig.sim.say(GROUP, TOM, "@bot please"), rig.sim.say(GROUP, TOM, "@bot again"));
    let sought = answer(&question, "Done.", (2, 2), None);
    let view = View::Notice(NoticeView { text: "Done. (2/2) at least 1 file changed".to_owned(), buttons: Vec::new() });
    let card = notice(GROUP, Some(&question), "");
    let (delivery, key, target) = (card.delivery, card.key, card.target);
    let card = ally::bridge::ports::CardOut { delivery, key, target, view, lang: Lang::En };
    rig.feishu.create_card(&card).await.expect("sent");
    for near in [
        answer(&question, "Done.", (1, 2), None),
        answer(&question, "All is Done.", (2, 2), None),
        answer(&other, "Done.", (2, 2), None),
        notice(GROUP, Some(&question), "Done."),
        Outgoing { target: notice(GROUP, None, "").target, ..answer(&question, "Done.", (2, 2), None) },
    ] {
        rig.feishu.send(&near).await.expect("sent");
    }
    rig.sim.reply(&question, TOM, "Done. (2/2) at least 1 file changed");
    assert_eq!(rig.feishu.find_sent(&lookup(&sought, since)).await, Ok(None));
    let twin = rig.feishu.send(&answer(&question, "Done.", (2, 2), None)).await.expect("sent").message;
    let known = twin.iter().cloned().collect();
    assert_eq!(
        rig.feishu.find_sent(&Lookup { known, ..lookup(&sought, since) }).await,
        Ok(None),
        "known to be another"
    );
    assert_eq!(rig.feishu.find_sent(&lookup(&sought, since)).await, Ok(twin));
    rig.stop().await;
}

#[tokio::test]
async fn a_look_up_ends_in_a_chat_without_end() {
    let rig = Rig::start().await;
    let since = rig.sim.now_ms();
    let out = notice(GROUP, None, "somewhere");
    rig.sim.chatter(GROUP, TOM, 1_100);
    let given_up = rig.feishu.find_sent(&lookup(&out, since)).await.expect_err("not read to the end");
    assert_eq!(given_up.disposition, Disposition::Undeliverable, "nobody can find it, now or later");
    rig.stop().await;
}

#[tokio::test]
async fn limits_are_kept_so_that_nothing_is_refused() {
    let rig = Rig::start().await;
    let all: Vec<Outgoing> = (0..7).map(|n| notice(DIRECT, None, &format!("part {n}"))).collect();
    let sent = futures_util::future::join_all(all.iter().map(|out| rig.feishu.send(out))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(rig.sim.requests().iter().filter(|line| *line == CREATE).count(), 7, "no attempt was refused");
    rig.stop().await;
}

#[tokio::test]
async fn a_429_says_how_long_and_holds_back_the_next_call() {
    let rig = Rig::start().await;
    rig.sim.fault(CREATE, Fault::TooMany { reset: "0.6" }, 1);
    let out = notice(DIRECT, None, "x");
    let refused = rig.feishu.send(&out).await.expect_err("too many");
    assert_eq!(refused.disposition, Disposition::RetryAfter { wait_ms: 600 });
    let began = Instant::now();
    rig.feishu.send(&out).await.expect("sent");
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    rig.stop().await;
}

#[tokio::test]
async fn one_token_for_all_and_a_new_one_when_it_is_called_invalid() {
    let sim = world().await;
    let feishu = Feishu::new(config(&sim, APP_SECRET), Clock::default()).expect("valid");
    let all: Vec<Outgoing> = (0..4).map(|n| notice(DIRECT, None, &n.to_string())).collect();
    let sent = futures_util::future::join_all(all.iter().map(|out| feishu.send(out))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(tokens(&sim), 1);
    sim.revoke_tokens();
    let (one, other) = (notice(DIRECT, None, "after"), notice(GROUP, None, "after"));
    let (one, other) = tokio::join!(feishu.send(&one), feishu.send(&other));
    assert!(one.is_ok() && other.is_ok(), "sent with a new token: {one:?} {other:?}");
    assert_eq!(tokens(&sim), 2);
}

#[tokio::test]
async fn wrong_credentials_pause_everything_and_are_never_shown() {
    let sim = world().await;
    let secret = "a-wrong-secret-of-the-test";
    let feishu = Feishu::new(config(&sim, secret), Clock::default()).expect("valid");
    let refused = feishu.send(&notice(DIRECT, None, "x")).await.expect_err("no token");
    assert_eq!(refused.code, Some(10014));
    assert!(matches!(refused.disposition, Disposition::Paused { .. }), "{refused:?}");
    assert!(!format!("{refused:?} {refused}").contains(secret));
}

#[tokio::test]
async fn failures_are_told_apart() {
    let rig = Rig::start().await;
    rig.sim.remove_bot(GROUP);
    let question = rig.sim.say(DIRECT, TOM, "hello");
    let recalled = rig.sim.say(DIRECT, TOM, "oh no");
    rig.sim.recall(&recalled);
    let ambiguous = Disposition::Ambiguous { wait_ms: 1000 };
    for (fault, out, want) in [
        (Some(Fault::Html { status: 502 }), notice(DIRECT, None, "x"), ambiguous),
        (Some(Fault::BeforeEffect { status: 503, code: 7 }), notice(DIRECT, None, "x"), ambiguous),
        (Some(Fault::BeforeEffect { status: 400, code: 230001 }), notice(DIRECT, None, "x"), Disposition::NextForm),
        (None, notice(GROUP, None, "x"), Disposition::Undeliverable),
        (None, notice(DIRECT, Some(&recalled), "x"), Disposition::WithoutReply),
        (None, notice(DIRECT, Some(&question), &"x".repeat(40_000)), Disposition::NextForm),
    ] {
        let faults = usize::from(fault.is_some());
        rig.sim.fault(CREATE, fault.unwrap_or(Fault::Hang), faults);
        let error = rig.feishu.send(&out).await.expect_err("refused");
        assert_eq!(error.disposition, want, "{error}");
    }
    let mut nobody = config(&rig.sim, APP_SECRET);
    nobody.base_url = "http://127.0.0.1:1".to_owned();
    let nobody = Feishu::new(nobody, Clock::default()).expect("valid");
    let unreached = nobody.send(&notice(DIRECT, None, "x")).await.expect_err("nobody there");
    assert_eq!(unreached.disposition, Disposition::RetryAfter { wait_ms: 1000 });
    rig.stop().await;
}

#[tokio::test]
async fn files_go_up_and_come_down() {
    let rig = Rig::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (up, down) = (directory.path().join("up"), directory.path().join("down"));
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    std::fs::write(&up, &bytes).expect("written");
    let body = Body::File { name: "数据.bin".to_owned(), sha256: "0".to_owned(), bytes: 200_000 };
    let key = rig.feishu.upload(&body, &up).await.expect("uploaded");
    let out = Outgoing { body, resource: Some(key.clone()), ..notice(DIRECT, None, "") };
    let message = rig.feishu.send(&out).await.expect("sent").message.expect("an id");
    let from = Attachment { message, key, is_image: false };
    assert_eq!(rig.feishu.download(&from, &down, 1 << 20).await, Ok(200_000));
    assert_eq!(std::fs::read(&down).expect("there"), bytes);
    std::fs::remove_file(&down).expect("removed");
    let too_large = rig.feishu.download(&from, &down, 1000).await;
    assert_eq!(too_large, Err(FetchError::TooLarge { max_bytes: 1000 }));
    assert!(!down.exists(), "nothing is left of it");
    rig.sim.revoke_tokens();
    assert_eq!(rig.feishu.download(&from, &down, 1 << 20).await, Ok(200_000), "with a new token");
    let foreign = Attachment { key: "file_foreign".into(), ..from };
    assert!(matches!(rig.feishu.download(&foreign, &down, 10).await, Err(FetchError::Unreadable { .. })));
    rig.stop().await;
}

#[tokio::test]
async fn a_picture_that_a_person_sent_is_fetched() {
    let rig = Rig::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    rig.sim.add_resource("img_1", "x.png", b"PNG");
    let raw = Some(("image".to_owned(), json!({"image_key": "img_1"}).to_string()));
    let message = rig.sim.post(Say { chat: DIRECT.to_owned(), user: TOM.to_owned(), raw, ..Say::default() });
    let from = Attachment { message: message.as_str().into(), key: "img_1".into(), is_image: true };
    let into = directory.path().join("x");
    rig.sim.fault(&format!("GET /open-apis/im/v1/messages/{message}/resources"), Fault::TooMany { reset: "0.6" }, 1);
    assert!(matches!(rig.feishu.download(&from, &into, 100).await, Err(FetchError::Unavailable { .. })));
    let began = Instant::now();
    assert_eq!(rig.feishu.download(&from, &into, 100).await, Ok(3));
    assert!(began.elapsed() >= Duration::from_millis(500), "held back as it was told: {:?}", began.elapsed());
    rig.stop().await;
}

#[tokio::test]
async fn receipts_and_cards_change() {
    let rig = Rig::start().await;
    let message = rig.sim.say(DIRECT, TOM, "hello");
    let id = message.as_str().into();
    let reaction = rig.feishu.react(&id, Receipt::Accepted).await.expect("added");
    assert_eq!(rig.sim.message(&message).receipts(), ["Get"]);
    rig.feishu.unreact(&id, &reaction).await.expect("removed");
    rig.feishu.react(&id, Receipt::Done).await.expect("added");
    assert_eq!(rig.sim.message(&message).receipts(), ["DONE"]);

    rig.sim.mark(&message, TOM, "Get");
    for receipt in [Receipt::Accepted, Receipt::Queued, Receipt::Accepted] {
        rig.feishu.react(&id, receipt).await.expect("added");
    }
    let kept = rig.feishu.tidy_reactions(&id, Receipt::Accepted).await.expect("tidied").expect("it is there");
    assert_eq!(rig.sim.message(&message).receipts(), ["Get"]);
    assert_eq!(rig.feishu.tidy_reactions(&id, Receipt::Accepted).await, Ok(Some(kept)), "nothing more to do");
    assert_eq!(rig.feishu.tidy_reactions(&id, Receipt::Done).await, Ok(None));
    let left = rig.sim.message(&message).reactions;
    assert!(left.len() == 1 && left[0].2 == TOM, "of people's nothing is taken away: {left:?}");

    let view = |text: &str| View::Notice(NoticeView { text: text.to_owned(), buttons: Vec::new() });
    let out = notice(DIRECT, Some(&message), "");
    let card = ally::bridge::ports::CardOut {
        delivery: out.delivery,
        key: out.key,
        target: out.target,
        view: view("before"),
        lang: Lang::En,
    };
    let card = rig.feishu.create_card(&card).await.expect("sent").message.expect("an id");
    rig.feishu.update_card(&card, &view("after"), Lang::En).await.expect("updated");
    let shown = rig.sim.answers_to(&message).pop().expect("the card");
    assert!(shown.text().contains("after") && shown.history.len() == 1, "{shown:?}");
    for (why, want) in [
        ("card action is lock", Disposition::RetryAfter { wait_ms: 1000 }),
        ("card table number over limit", Disposition::NextForm),
    ] {
        rig.sim.rules(|rules| rules.refuse_cards = Some((11310, why)));
        let refused = rig.feishu.update_card(&card, &view("more"), Lang::En).await.expect_err("refused");
        assert_eq!(refused.disposition, want, "{why}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn quoted_and_forwarded_messages_are_read_with_names() {
    let rig = Rig::start().await;
    let said = rig.sim.say(GROUP, TOM, "@bot what I said");
    let quoted = rig.feishu.quoted(&said.as_str().into()).await.expect("readable");
    assert_eq!((quoted[0].who.as_str(), quoted[0].text.as_str()), ("Tom", "@ally what I said"));
    rig.sim.rules(|rules| rules.refuse_profiles = true);
    let forward = rig.sim.forward(GROUP, TOM, &[("ou_li", "first"), (TOM, "second")]);
    let inside = rig.feishu.quoted(&forward.as_str().into()).await.expect("readable");
    let inside: Vec<_> = inside.iter().map(|one| (one.who.as_str(), one.text.as_str())).collect();
    assert_eq!(inside, [("Li", "first"), ("Tom", "second")], "Li's name is a member's name");
    rig.sim.recall(&said);
    assert_eq!(rig.feishu.quoted(&said.as_str().into()).await, Err(FetchError::Gone));
    assert_eq!(rig.feishu.chat_name(&GROUP.into()).await.as_deref(), Some("Team"));
    assert_eq!(rig.feishu.user_name(&GROUP.into(), &"ou_nobody".into()).await, None);
    rig.stop().await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_not_asked_for_with_every_message() {
    let rig = Rig::start().await;
    let asked = |rig: &Rig| {
        let requests = rig.sim.requests();
        requests.iter().filter(|line| line.contains("basic_batch") || line.ends_with("/members")).count()
    };
    for _ in 0..3 {
        assert_eq!(rig.feishu.user_name(&GROUP.into(), &"ou_nobody".into()).await, None);
        assert_eq!(asked(&rig), 2, "once in each place");
    }
    rig.sim.add_user("ou_nobody", "Somebody");
    let elsewhere = rig.feishu.user_name(&DIRECT.into(), &"ou_nobody".into()).await;
    assert_eq!(elsewhere.as_deref(), Some("Somebody"), "another chat may know");
    assert_eq!(rig.feishu.user_name(&GROUP.into(), &"ou_nobody".into()).await.as_deref(), Some("Somebody"));
    rig.stop().await;
}

#[tokio::test]
async fn names_are_asked_for_in_batches_and_not_without_the_right() {
    let rig = Rig::start().await;
    let asked = |rig: &Rig| rig.sim.requests().iter().filter(|line| line.contains("basic_batch")).count();
    let crowd: Vec<String> = (0..12).map(|n| format!("ou_crowd{n}")).collect();
    crowd.iter().for_each(|user| rig.sim.add_user(user, &format!("N {user}")));
    let inside: Vec<(&str, &str)> = crowd.iter().chain(&crowd).map(|user| (user.as_str(), "hi")).collect();
    let forward = rig.sim.forward(GROUP, TOM, &inside);
    let read = rig.feishu.quoted(&forward.as_str().into()).await.expect("readable");
    assert!(read.len() == 24 && read.iter().all(|one| one.who.starts_with("N ou_crowd")), "{read:?}");
    assert_eq!(asked(&rig), 2, "ten at a time, each of them once");

    // Without the right it is asked for once, and the members' list tells what it can.
    rig.sim.rules(|rules| rules.refuse_profiles = true);
    assert_eq!(rig.feishu.user_name(&GROUP.into(), &"ou_stranger".into()).await, None);
    assert_eq!(rig.feishu.user_name(&GROUP.into(), &"ou_li".into()).await.as_deref(), Some("Li"));
    assert_eq!(rig.feishu.user_name(&GROUP.into(), &TOM.into()).await.as_deref(), Some("Tom"));
    assert_eq!(asked(&rig), 3);
    rig.stop().await;
}

#[tokio::test]
async fn what_people_said_in_a_span_is_read_back() {
    let rig = Rig::start().await;
    let since = rig.sim.message(&rig.sim.say(GROUP, TOM, "@bot before")).created_ms;
    let tick = || rig.sim.advance(Duration::from_millis(20));
    tick();
    rig.sim.chatter(GROUP, "ou_li", 60);
    let out = notice(GROUP, None, "of the bot");
    rig.feishu.send(&out).await.expect("sent");
    let gone = rig.sim.hold_back(GROUP, TOM, "taken back");
    rig.sim.recall(&gone);
    rig.sim.hold_back(GROUP, TOM, "the last");
    tick();
    let now = rig.sim.message(&rig.sim.say(GROUP, TOM, "@bot now")).created_ms;
    let span = Span { chat: GROUP.into(), topic: None, after_ms: since, until_ms: now - 1, limit: 55 };
    let said = rig.feishu.said_between(&span).await.expect("readable");
    let said: Vec<_> = said.iter().map(|one| (one.who.as_str(), one.text.as_str())).collect();
    assert_eq!((said.len(), said[0], said[54]), (55, ("Li", "chatter 6"), ("Tom", "the last")));
    assert!(said.iter().all(|(_, text)| !["of the bot", "taken back", "now"].contains(text)));
    let none = Span { after_ms: now, until_ms: now + 1, ..span.clone() };
    assert_eq!(rig.feishu.said_between(&none).await, Ok(Vec::new()));
    rig.sim.rules(|rules| rules.refuse_lists = true);
    let refused = rig.feishu.said_between(&span).await;
    assert_eq!(refused, Err(FetchError::NotAllowed { scope: "im:message.group_msg".to_owned() }));
    rig.stop().await;
}

#[tokio::test]
async fn names_have_two_seconds() {
    let rig = Rig::start().await;
    rig.sim.fault("GET /open-apis/im/v1/chats", Fault::Hang, 1);
    rig.sim.fault("GET /open-apis/im/v1/chats", Fault::Delay(Duration::from_millis(300)), 1);
    let began = Instant::now();
    assert_eq!(rig.feishu.chat_name(&GROUP.into()).await, None);
    assert_eq!(rig.feishu.chat_name(&GROUP.into()).await.as_deref(), Some("Team"), "slow is not too slow");
    assert!(began.elapsed() < Duration::from_secs(5));
    rig.stop().await;
}
