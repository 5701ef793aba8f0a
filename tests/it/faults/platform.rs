//! A platform in trouble, or one that refuses: every answer comes, once, and as soon as it is let through.

use std::time::Duration;

use crate::support::feishu_sim::{Fault, UuidRepeat};
use crate::support::world::*;

fn reply_to(message: &str) -> String {
    format!("POST /open-apis/im/v1/messages/{message}/reply")
}

fn waiting(world: &World) -> Option<String> {
    world.status()?["outbox"]["problem"].as_str().map(str::to_owned)
}

/// Each of these befalls the first tries of an answer, in chats of their own, all at once.
async fn each_answer_comes_once(repeat: UuidRepeat) {
    let world = World::start(Kind::Embedded).await;
    world.sim.rules(|rules| rules.uuid_repeat = repeat);
    let faults: [(&str, Fault, usize); 12] = [
        ("gateway", Fault::TooMany { reset: "0.4" }, 3),
        ("chat limit", Fault::BeforeEffect { status: 400, code: 230020 }, 3),
        ("app limit", Fault::BeforeEffect { status: 400, code: 99991400 }, 3),
        ("limit in a 200", Fault::BeforeEffect { status: 200, code: 99991400 }, 3),
        ("busy", Fault::BeforeEffect { status: 503, code: 2200 }, 3),
        ("internal", Fault::BeforeEffect { status: 500, code: 300000 }, 2),
        ("page", Fault::Html { status: 502 }, 3),
        ("page with 200", Fault::Html { status: 200 }, 3),
        ("done, then a page", Fault::AfterEffect, 1),
        ("done, then cut", Fault::AfterEffectDrop, 1),
        ("done, then nothing", Fault::AfterEffectHang, 1),
        ("slow", Fault::Delay(Duration::from_secs(4)), 1),
    ];
    let mut said = Vec::new();
    for (n, (name, fault, times)) in faults.into_iter().enumerate() {
        let chat = format!("oc_chat{n}");
        world.sim.add_group(&chat, name, &[OWNER]);
        let message = world.sim.say(&chat, OWNER, &format!("@bot [[sleep 500]] [[say {name}]]"));
        world.sim.fault(&reply_to(&message), fault, times);
        said.push((message, name));
    }
    for (message, name) in &said {
        assert_eq!(world.answer(message).await.said(), *name);
    }
    world.settled().await;
    for (message, name) in &said {
        let answers: Vec<_> = world.answers(message).iter().map(|one| one.said()).collect();
        assert_eq!(answers, [*name], "once");
        assert_eq!(world.sim.message(message).receipts(), ["DONE"], "{name}");
    }
    assert!(waiting(&world).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_an_answer_it_comes_once() {
    each_answer_comes_once(UuidRepeat::FirstMessage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_an_answer_it_comes_once_where_a_repeat_is_refused() {
    each_answer_comes_once(UuidRepeat::Refused).await;
}

/// A refusal inside of a 200 that nobody documented: a simpler form is tried, and the words arrive.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_a_200_is_an_error() {
    let world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 500]] [[say in a plainer form]]");
    world.sim.fault(&reply_to(&message), Fault::BeforeEffect { status: 200, code: 4711 }, 1);
    assert_eq!(world.answer(&message).await.said(), "in a plainer form");
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
}

async fn nothing_gets_through(lang: &'static str, fault: Fault, in_status: &[&str]) {
    let mut world = World::prepare_in(lang, Kind::Embedded, "").await;
    world.up().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1000]] [[say after all]]");
    world.sim.fault(&reply_to(&message), fault, 1000);
    world.wait("the trouble in status", waiting).await;
    let (shown, _) = world.run(&["status"]);
    in_status.iter().for_each(|words| assert!(shown.contains(words), "{words:?} is not in {shown}"));
    world.sim.no_more_faults();
    world.warp(Duration::from_secs(7_200)).await;
    assert_eq!(world.answer(&message).await.said(), "after all");
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
    assert!(waiting(&world).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_in_trouble_is_told_in_status_and_waited_for() {
    let page = Fault::Html { status: 502 };
    nothing_gets_through("en", page.clone(), &["not sent yet; it is tried again by itself", "HTTP status 502"]).await;
    nothing_gets_through("zh", page, &["还没发出，会一直自己再试", "502"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_can_mend_is_told_with_what_to_do() {
    let refused = |code| Fault::BeforeEffect { status: 400, code };
    nothing_gets_through("zh", refused(99991672), &["开发者后台", "99991672"]).await;
    nothing_gets_through("en", refused(99991403), &["quota of Feishu calls", "every hour"]).await;
}

/// The secret was changed in the console while ally runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_holds_back_answers_until_it_is_given_again() {
    let mut world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1000]] [[say signed in again]]");
    world.wait("its reaction", |world| (!world.sim.message(&message).receipts().is_empty()).then_some(())).await;
    world.sim.fault("POST /open-apis/auth", Fault::BeforeEffect { status: 200, code: 10014 }, 1000);
    world.sim.revoke_tokens();
    world.wait("the trouble in status", |world| world.status()?["outbox"]["advice"].as_str().map(str::to_owned)).await;
    let (shown, _) = world.run(&["status"]);
    assert!(shown.contains("app secret") && shown.contains("10014") && shown.contains("ally restart"), "{shown}");
    assert!(!world.whole_log().contains(crate::support::feishu_sim::APP_SECRET));
    world.sim.no_more_faults();
    world.down().await;
    world.up().await;
    assert_eq!(world.answer(&message).await.said(), "signed in again", "a restart waits for no pause of before");
    world.settled().await;
}

/// Refused at the start: it stays up, says so, and is connected as soon as that ends.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_refused_is_told_in_status() {
    for (lang, words) in
        [("zh", "不接受应用的 App ID 或 App Secret"), ("en", "does not accept the app id or the app secret")]
    {
        let mut world = World::prepare_in(lang, Kind::Embedded, "").await;
        world.sim.rules(|rules| rules.bootstrap_error = Some(1000040345));
        world.up_unconnected().await;
        let told = world
            .wait("the refusal in status", |world| {
                let status = world.status()?;
                let feishu = &status["channels"][0];
                (feishu["state"] == "refused").then(|| feishu["problem"].as_str().map(str::to_owned))?
            })
            .await;
        assert!(told.contains(words) && told.contains("1000040345"), "{told}");
        world.sim.rules(|rules| rules.bootstrap_error = None);
        world.down().await;
        world.up().await;
    }
}

/// The platform changes no card after two weeks, and passes no click of it on.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_two_weeks_gets_a_fresh_card() {
    let world = World::start(Kind::Embedded).await;
    let file = world.file("nonces");
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo n1 >> {}]] [[say done]]", file.display()));
    let first = world.card_with(&message, "Allow once").await;
    world.settled_surfaces().await;
    let days = Duration::from_secs(13 * 86_400 + 3_600);
    world.sim.advance(days);
    world.warp(days).await;
    let fresh = world
        .wait("a fresh card", |world| {
            let all = world.sim.messages(OWNER_CHAT).into_iter().filter(|one| one.by_bot() && one.id != first.id);
            all.into_iter().find(|card| card.button("Allow once").is_some())
        })
        .await;
    let moved = |world: &World| {
        let cards = world.sim.messages(OWNER_CHAT).into_iter();
        cards.filter(|one| one.text().contains("the card is too old, a new one was sent")).count()
    };
    world.wait("both old cards to say so", |world| (moved(world) == 2).then_some(())).await;
    world.sim.advance(Duration::from_secs(2 * 86_400));
    world.sim.click(&fresh.id, "Allow once", OWNER).await;
    let done = |world: &World| world.answers(&message).into_iter().find(|one| one.said() == "done");
    world.wait("the answer", done).await;
    world.settled().await;
    assert_eq!(world.nonces(&file).len(), 1);
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}

/// It could not be changed while it was young: it stays as it is, and the task's end is told beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_grew_too_old_to_be_changed_holds_up_nothing() {
    let mut world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[escalate true]] [[say done]]");
    let old = world.card_with(&message, "Allow once").await;
    world.settled_surfaces().await;
    world.sim.fault("PATCH", Fault::Html { status: 502 }, 1000);
    world.down().await;
    world.sim.no_more_faults();
    world.sim.advance(Duration::from_secs(15 * 86_400));
    world.up().await;
    world.card_with(&message, "Continue").await;
    world.settled_surfaces().await;
    assert!(world.sim.message(&old.id).button("Allow once").is_some(), "the platform changes it no more");
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say on we go]]");
    assert_eq!(world.answer(&next).await.said(), "on we go");
    let pressed = world.sim.click(&old.id, "Allow once", OWNER).await;
    assert!(pressed["toast"]["type"] != "success", "its buttons are void: {pressed}");
    world.settled().await;
}

/// More than fits into a card: it shows the beginning, the worst and the length.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_big_for_a_card_is_asked_all_the_same() {
    let world = World::start(Kind::Embedded).await;
    let file = world.file("nonces");
    let long = format!("echo n1 >> {} # {}", file.display(), "长".repeat(9_000));
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate {long}]] [[say done]]"));
    let card = world.card_with(&message, "Allow once").await;
    assert!(card.content.len() < 30 << 10, "{} bytes", card.content.len());
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "done");
    assert_eq!(world.nonces(&file).len(), 1);
}
