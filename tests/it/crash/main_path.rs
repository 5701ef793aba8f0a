//! A message's whole way: simulated Feishu, real daemon, real codex, scripted model.

use crate::support::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered_once_in_its_place() {
    let mut world = World::start(Kind::Codex).await;
    let direct = world.sim.say(OWNER_CHAT, OWNER, "hello");
    let answer = world.answer(&direct).await;
    assert!(answer.text().contains("Hello"), "{}", answer.text());
    assert_eq!(answer.chat, OWNER_CHAT);
    let group = world.sim.say(GROUP, LI, "@bot [[say in the group]]");
    let answer = world.answer(&group).await;
    assert_eq!(answer.said(), "in the group");
    assert!(answer.thread.is_some(), "an answer in a group opens a topic");
    world.settled().await;
    for message in [&direct, &group] {
        assert_eq!(world.answers(message).len(), 1);
        assert_eq!(world.sim.message(message).receipts(), ["DONE"], "one reaction, and the last one");
    }
    world.down().await;
    assert_eq!(world.processes(), Vec::<u32>::new(), "a stop leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_over_five_chats() {
    let world = World::start(Kind::Codex).await;
    for n in 1..=3 {
        let (user, chat) = (format!("ou_user{n}"), format!("oc_user{n}"));
        world.sim.add_user(&user, &format!("User {n}"));
        world.sim.add_group(&chat, &format!("Group {n}"), &[OWNER, &user]);
    }
    let chats = [OWNER_CHAT, GROUP, "oc_user1", "oc_user2", "oc_user3"];
    let mut sent = Vec::new();
    for round in 0..4 {
        for chat in chats {
            let text = format!("[[say answer {round} {chat}]]");
            let text = if chat == OWNER_CHAT { text } else { format!("@bot {text}") };
            sent.push((world.sim.say(chat, OWNER, &text), format!("answer {round} {chat}"), chat));
        }
    }
    for (message, want, chat) in &sent {
        let answer = world.answer(message).await;
        assert_eq!((answer.said().as_str(), answer.chat.as_str()), (want.as_str(), *chat));
    }
    world.settled().await;
    for (message, _, _) in &sent {
        let answers = world.answers(message);
        assert_eq!(answers.len(), 1, "each is answered once: {answers:#?}");
    }
    let direct: Vec<String> = world
        .sim
        .messages(OWNER_CHAT)
        .iter()
        .filter(|m| m.by_bot() && m.msg_type != "interactive")
        .map(|m| m.said().to_owned())
        .collect();
    let want: Vec<String> = (0..4).map(|round| format!("answer {round} {OWNER_CHAT}")).collect();
    assert_eq!(direct, want, "one conversation keeps its order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_is_one_turn_before_and_after_a_restart() {
    let world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say once]]");
    world.sim.redeliver(&message);
    world.answer(&message).await;
    world.settled().await;
    world.kill_bridge().await;
    world.sim.redeliver(&message);
    let after = world.sim.say(OWNER_CHAT, OWNER, "[[say after]]");
    world.answer(&after).await;
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 1);
    let turns: serde_json::Value = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    assert_eq!(turns.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_by_card_in_a_group_and_by_y_in_a_direct_chat() {
    let world = World::start(Kind::Codex).await;
    let file = world.file("outside.txt");
    let asked = world.sim.say(GROUP, LI, &format!("@bot [[escalate echo card >> {}]] [[say allowed]]", file.display()));
    let card = world.card_with(&asked, "Allow once").await;
    let toast = world.sim.click(&card.id, "Allow once", STRANGER).await;
    assert!(toast.to_string().contains("Only"), "a stranger is refused: {toast}");
    assert_eq!(world.nonces(&file).len(), 0);
    let toast = world.sim.click(&card.id, "Allow once", OWNER).await;
    assert!(toast.to_string().contains("Recorded"), "{toast}");
    assert_eq!(world.answer(&asked).await.said(), "allowed");

    let typed =
        world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo typed >> {}]] [[say typed]]", file.display()));
    world.card_with(&typed, "Allow once").await;
    world.settled_surfaces().await;
    world.sim.say(OWNER_CHAT, OWNER, "y");
    assert_eq!(world.answer(&typed).await.said(), "typed");

    let declined =
        world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo no >> {}]] [[say went on]]", file.display()));
    let card = world.card_with(&declined, "Decline").await;
    world.sim.click(&card.id, "Decline", OWNER).await;
    assert_eq!(world.answer(&declined).await.said(), "went on");
    world.settled().await;
    assert_eq!(world.nonces(&file), [("card".to_owned(), 1), ("typed".to_owned(), 1)].into());
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT, GROUP]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_its_number() {
    let world = World::start(Kind::Codex).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[ask Which one?|Alpha|Beta]]");
    let card = world.card_with(&asked, "2 Beta").await;
    world.settled_surfaces().await;
    world.sim.say(OWNER_CHAT, OWNER, "2");
    world.answer(&asked).await;
    world.settled().await;
    let card = world.sim.message(&card.id);
    assert!(card.text().contains("Wang: Beta"), "who answered what: {}", card.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_one_sentence_and_leaves_no_words() {
    let world = World::start(Kind::Embedded).await;
    world.sim.add_direct("oc_nobody", STRANGER);
    for _ in 0..3 {
        world.sim.say("oc_nobody", STRANGER, "let me in, secret-words");
    }
    world.wait("the one sentence", |world| world.sim.messages("oc_nobody").into_iter().find(|m| m.by_bot())).await;
    world.settled().await;
    assert_eq!(world.sim.messages("oc_nobody").iter().filter(|m| m.by_bot()).count(), 1);
    let ledger = std::fs::read(world.home.path().join("ally/ledger.db")).unwrap();
    let log = std::fs::read(world.home.path().join("ally/ledger.db-wal")).unwrap_or_default();
    for bytes in [ledger, log] {
        assert!(!bytes.windows(12).any(|window| window == b"secret-words"), "a stranger's words were kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_words_stay_out_of_the_log() {
    let mut world = World::start(Kind::Codex).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say the-answers-words]] the-persons-words");
    world.answer(&message).await;
    world.settled().await;
    world.down().await;
    let logs = world.home.path().join("ally/logs");
    let text: String =
        std::fs::read_dir(logs).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(text.contains("ally is ready"), "the log is the one that was written");
    for secret in [
        crate::support::feishu_sim::APP_SECRET,
        "ticket=",
        "access_key=",
        "Bearer ",
        "the-answers-words",
        "the-persons-words",
    ] {
        assert!(!text.contains(secret), "{secret:?} stands in the log");
    }
}
