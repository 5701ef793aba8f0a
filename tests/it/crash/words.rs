//! What ally says besides the answer: once, in its place, and true.

use crate::support::feishu_sim::Fault;
use crate::support::world::*;

const NO_REACTION: &str = "No reaction on a message";
const NEW_CONVERSATION: &str = "New conversation";

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_learns_its_manners_once() {
    let world = World::start(Kind::Embedded).await;
    let mut texts = Vec::new();
    for n in 0..5 {
        let message = world.sim.say(GROUP, LI, &format!("@bot [[say topic {n}]]"));
        let answer = world.answer(&message).await;
        assert_eq!(answer.said(), format!("topic {n}"));
        texts.push(answer.text());
    }
    let with = |hint: &str| texts.iter().map(|text| text.contains(hint)).collect::<Vec<_>>();
    assert_eq!(with(NEW_CONVERSATION), [true, true, true, false, false], "three times a chat");
    assert_eq!(with(NO_REACTION), [true, false, false, false, false], "once a chat");
    let direct = world.sim.say(OWNER_CHAT, OWNER, "[[say hi]]");
    let text = world.answer(&direct).await.text();
    assert!(text.contains(NO_REACTION) && !text.contains(NEW_CONVERSATION), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_a_long_rest_says_what_it_continues() {
    let world = World::start(Kind::Embedded).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[say one]]");
    assert!(!world.answer(&first).await.text().contains("Continues"));
    world.settled().await;
    let rest = std::time::Duration::from_secs(13 * 3600);
    world.warp(rest).await;
    world.sim.advance(rest);
    let later = world.sim.say(OWNER_CHAT, OWNER, "[[say two]]");
    let text = world.answer(&later).await.text();
    assert!(text.contains("Continues") && text.contains("/new"), "{text}");
    let soon = world.sim.say(OWNER_CHAT, OWNER, "[[say three]]");
    assert!(!world.answer(&soon).await.text().contains("Continues"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_platform_refuses_in_every_form_is_told_with_its_code() {
    let world = World::start(Kind::Embedded).await;
    let refused = Fault::BeforeEffect { status: 400, code: 230028 };
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1000]] [[say something refused]]");
    world.sim.fault(&format!("POST /open-apis/im/v1/messages/{message}/reply"), refused, 3);
    let told = world.answer(&message).await.text();
    assert!(told.contains("code 230028") && told.contains("ally turns show"), "{told}");
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
    let turn = told.split("ally turns show ").nth(1).unwrap().trim_end_matches(['`', '"', '.']).to_owned();
    let (shown, well) = world.run(&["turns", "show", &turn]);
    assert!(well && shown.contains("something refused"), "the text lies where the chat was told: {shown}");
    let (undelivered, _) = world.run(&["turns", "--undelivered"]);
    assert!(undelivered.contains(&turn) && undelivered.contains("1 undelivered"), "{undelivered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_without_an_owner_says_how_to_get_one() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    std::fs::write(world.home.path().join("ally/ally.toml"), "lang = \"en\"\n").unwrap();
    world.up().await;
    let warned = |world: &World| world.status().unwrap()["warnings"].to_string().contains("ally pair");
    assert!(warned(&world), "status says what to do");
    let lost = world.sim.say(OWNER_CHAT, OWNER, "hello");
    let text = world.answer(&lost).await.text();
    assert!(text.contains("no owner yet") && text.contains("ally pair"), "{text}");
    let (code, _) = world.run(&["pair"]);
    let claim = world.sim.say(OWNER_CHAT, OWNER, code.trim());
    assert!(world.answer(&claim).await.text().contains("you are the owner"));
    assert!(!warned(&world), "it has one now");
    world.down().await;
    assert!(!warned(&world), "also with the daemon down");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_sees_every_chat_in_his_own_and_others_only_theirs() {
    let world = World::start(Kind::Embedded).await;
    world.sim.say(GROUP, LI, "@bot [[sleep 30000]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let mine = world.sim.say(OWNER_CHAT, OWNER, "/status");
    let card = world.wait("the card", |world| world.cards(&mine).into_iter().next()).await;
    assert!(card.text().contains("1 running"), "{}", card.text());
    world.sim.add_group("oc_other", "Other", &[OWNER, LI]);
    let other = world.sim.say("oc_other", OWNER, "@bot /status");
    let card = world.wait("the card", |world| world.cards(&other).into_iter().next()).await;
    assert!(card.text().contains("0 running"), "{}", card.text());
}
