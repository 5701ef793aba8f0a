//! What words decide and what they do not: whose question they answer, what was shown, who may still decide.

use serde_json::json;

use crate::support::feishu_sim::Fault;
use crate::support::world::*;

const HAN: &str = "ou_han";

async fn says(world: &World, chat: &str, user: &str, text: &str) -> String {
    let text = if chat == GROUP { format!("@bot {text}") } else { text.to_owned() };
    let message = world.sim.say(chat, user, &text);
    world.answer(&message).await.said()
}

fn open_gates(world: &World) -> u64 {
    world.status().and_then(|status| status["gates_open"].as_u64()).unwrap_or(99)
}

async fn opened(world: &World, count: u64) {
    world.wait("the requests", |world| (open_gates(world) == count).then_some(())).await;
    world.settled_surfaces().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_the_stream_is_no_answer_to_a_question() {
    let world = World::start(Kind::Codex).await;
    let asked = world.sim.say(GROUP, LI, "@bot [[form Which port?]] [[say thank you]]");
    let card = world.card_with(&asked, "Send").await;
    // A task of an approver, and one of the very person who was asked.
    for user in [OWNER, LI] {
        assert_eq!(says(&world, GROUP, user, "[[say deployed]]").await, "deployed", "{user}");
    }
    assert_eq!(open_gates(&world), 1);
    // In the topic somebody else's words are a message, and the words of the one who was asked are the answer.
    let other = world.sim.reply(&asked, OWNER, "@bot [[say later]]");
    world.sim.wait_ack(&other).await;
    world.sim.reply(&asked, LI, "@bot 8080");
    assert_eq!(world.answer(&asked).await.said(), "thank you");
    assert_eq!(world.answer(&other).await.said(), "later");
    world.settled().await;
    let text = world.sim.message(&card.id).text();
    assert!(text.contains("Li: 8080"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_a_secret_is_never_kept() {
    let mut world = World::start(Kind::Codex).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[secret The token?]] [[say over]]");
    opened(&world, 1).await;
    world.sim.say(OWNER_CHAT, OWNER, "hunter2first");
    assert_eq!(world.answer(&asked).await.said(), "over");

    // Refused, and gone all the same.
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[secret Another token?]] [[say over]]");
    let card = world.card_with(&asked, "Send").await;
    world.settled_surfaces().await;
    world.run(&["lock"]);
    let late = world.sim.say(OWNER_CHAT, OWNER, "hunter2locked");
    world.said(&late).await;
    world.run(&["unlock"]);
    world.settled().await;
    assert!(!world.sim.message(&card.id).text().contains("hunter2"));
    world.down().await;
    for file in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(world.home.path().join("ally").join(file)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "not in {file}");
    }
    let queue: String =
        world.sim.messages(OWNER_CHAT).iter().filter(|one| one.by_bot()).map(|one| one.text()).collect();
    assert!(!queue.contains("hunter2"), "on no card");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_for_all_of_low_risk_mean_one_topic() {
    let world = World::start(Kind::Embedded).await;
    for file in ["a", "b"] {
        world.sim.say(GROUP, LI, &format!("@bot [[request ls {file}]] [[say done]]"));
    }
    opened(&world, 2).await;
    assert!(says(&world, GROUP, OWNER, "all y").await.contains("Requests of several topics"));
    assert_eq!(open_gates(&world), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_came_to_a_card_that_cannot_change_is_decided_by_words() {
    let world = World::start(Kind::Codex).await;
    let (one, two) = (world.file("one.txt"), world.file("two.txt"));
    std::fs::write(&two, "").unwrap();
    // The first is on the card; the second joins it when the platform takes no change of it any more.
    world.sim.fault("PATCH /open-apis/im/v1/messages/", Fault::BeforeEffect { status: 400, code: 230028 }, 1000);
    let text = format!(
        "@bot [[escalate echo x >> {}]] [[also]] [[escalate rm -rf {}]] [[say told]]",
        one.display(),
        two.display()
    );
    let asked = world.sim.say(GROUP, LI, &text);
    world.wait("both", |world| (open_gates(world) == 2).then_some(())).await;
    let said = |world: &World, words: &str| {
        world.sim.messages(GROUP).iter().any(|one| one.by_bot() && one.text().contains(words))
    };
    world.wait("the second in words", |world| said(world, "rm -rf").then_some(())).await;
    world.settled_surfaces().await;
    // Where both were there before the card was, it lists them, and what is red is decided on it.
    let listed =
        world.cards(&asked).into_iter().find(|card| card.text().contains("rm -rf") && card.text().contains("echo x"));
    for number in [1, 2] {
        match listed.as_ref().and_then(|card| card.button(&format!("Allow #{number}")).map(|value| (card, value))) {
            Some((card, value)) => drop(world.sim.click_value(&card.id, OWNER, value, json!({})).await),
            None => drop(world.sim.reply(&asked, OWNER, &format!("@bot a{number}"))),
        }
    }
    let told = |world: &World| world.answers(&asked).iter().any(|answer| answer.said() == "told").then_some(());
    world.wait("the answer", told).await;
    assert!(!two.exists());
    assert_eq!(world.nonces(&one).get("x"), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_took_part_does_not_let_the_task_act_on_others() {
    let mut world = World::prepare(Kind::Codex, "").await;
    world.sim.add_user(HAN, "Han");
    world.up().await;
    says(&world, GROUP, OWNER, "/approver @ou_han").await;
    let asked = world.sim.say(GROUP, LI, "@bot [[sleep 4000]] [[shell true]] [[say done]]");
    says(&world, GROUP, OWNER, "/settings two_persons true").await;
    world.wait("it to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let words = world.sim.reply(&asked, HAN, "@bot /steer [[escalate git push origin main]] [[say done]]");
    world.sim.wait_ack(&words).await;
    let card = world.card_with(&asked, "Allow once").await;
    world.sim.recall(&words);
    world.settled_surfaces().await;
    let toast = world.sim.click(&card.id, "Allow once", HAN).await.to_string();
    assert!(toast.contains("Only Wang"), "{toast}");
    world.sim.click(&card.id, "Decline", OWNER).await;
    assert_eq!(world.answer(&asked).await.said(), "done");

    // Nobody else is there: the card says so.
    says(&world, GROUP, OWNER, "/approver @ou_han remove").await;
    let own = world.sim.say(GROUP, OWNER, "@bot [[escalate git push origin main]] [[say done]]");
    let card = world.card_with(&own, "Allow once").await;
    assert!(card.text().contains("another approver (there is none yet"), "{}", card.text());
    let toast = world.sim.click(&card.id, "Allow once", OWNER).await.to_string();
    assert!(toast.contains("Only") && open_gates(&world) == 1, "{toast}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_of_somebody_who_lost_the_right_is_not_passed_on() {
    let mut world = World::prepare(Kind::Codex, "").await;
    let shared = world.home.path().join("shared");
    std::fs::create_dir_all(&shared).unwrap();
    let file = world.home.path().join("ally/ally.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    let project = format!("[conversation]\ndirectory = {:?}\n", shared.display().to_string());
    std::fs::write(&file, format!("{settings}\n{project}")).unwrap();
    world.sim.add_user(HAN, "Han");
    world.up().await;
    says(&world, GROUP, OWNER, "/approver @ou_han").await;
    let ran = world.file("ran.txt");
    let asked = world.sim.say(GROUP, LI, &format!("@bot [[escalate echo x >> {}]] [[say done]]", ran.display()));
    let card = world.card_with(&asked, "Allow once").await;
    // Another task takes the directory while this one waits.
    let other = world.sim.say(GROUP, LI, "@bot [[sleep 6000]] [[say other]]");
    world.wait("the other one", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    world.sim.click(&card.id, "Allow once", HAN).await;
    world
        .wait("a word on why nothing happens", |world| {
            world.cards(&asked).iter().any(|card| card.text().contains("once the directory is free")).then_some(())
        })
        .await;
    says(&world, GROUP, OWNER, "/approver @ou_han remove").await;
    assert_eq!(world.answer(&other).await.said(), "other");
    world.wait("it to be asked again", |world| world.sim.message(&card.id).button("Allow once").map(|_| ())).await;
    assert!(!ran.exists());
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&asked).await.said(), "done");
    assert_eq!(world.nonces(&ran).get("x"), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_nothing_is_allowed_any_more() {
    let world = World::start(Kind::Codex).await;
    let ran = world.file("ran.txt");
    let asked = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo x >> {}]] [[say done]]", ran.display()));
    let card = world.card_with(&asked, "Allow once").await;
    let (stop, allow) = (card.button("Stop").unwrap(), card.button("Allow once").unwrap());
    world.sim.click_value(&card.id, OWNER, stop, json!({})).await;
    let toast = world.sim.click_value(&card.id, OWNER, allow, json!({})).await.to_string();
    assert!(!toast.contains("Recorded"), "{toast}");
    world.settled().await;
    assert!(!ran.exists());
    assert!(world.answers(&asked).is_empty());
}
