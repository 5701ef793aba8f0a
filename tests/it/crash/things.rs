//! What is sent besides plain words, and answers that are more than one message: whole, once, and in their place.

use ally::bridge::ports::Prompt;
use serde_json::{Value, json};

use super::points::{arm, arm_twice, died};
use crate::support::feishu_sim::{Fault, Say};
use crate::support::world::*;

/// Sends something as it stands on the wire.
fn send(world: &World, chat: &str, user: &str, kind: &str, content: Value) -> String {
    world.sim.post(Say {
        chat: chat.to_owned(),
        user: user.to_owned(),
        raw: Some((kind.to_owned(), content.to_string())),
        ..Say::default()
    })
}

/// The prompts that were frozen, newest first.
fn prompts(world: &World) -> Vec<Prompt> {
    let turns: Vec<Value> = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    let ids: Vec<_> = turns.iter().map(|turn| turn["id"].as_str().unwrap().into()).collect();
    let stored = |id| world.ledger(|tx| ally::ledger::turns::get(tx, &id)).prompt;
    ids.into_iter().map(|id| serde_json::from_str(&stored(id)).unwrap()).collect()
}

fn only_prompt(world: &World) -> Prompt {
    let mut prompts = prompts(world);
    assert_eq!(prompts.len(), 1);
    prompts.remove(0)
}

/// The file that a prompt names this way.
fn attached(prompt: &Prompt, name: &str) -> Vec<u8> {
    let mark = format!("- {name}: ");
    let line = prompt.text.lines().find_map(|line| line.strip_prefix(&mark));
    std::fs::read(line.unwrap_or_else(|| panic!("no {name} in {}", prompt.text))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_and_a_file_are_there_with_their_bytes_though_the_bridge_dies_while_it_fetches_them() {
    let world = World::start(Kind::Embedded).await;
    let (picture, file) = (b"\x89PNG\r\n\x1a\n and more".as_slice(), "一,二\n".repeat(50_000).into_bytes());
    world.sim.add_resource("img_1", "a.png", picture);
    world.sim.add_resource("file_1", "data.csv", &file);
    let sent = send(&world, OWNER_CHAT, OWNER, "image", json!({ "image_key": "img_1" }));
    send(&world, OWNER_CHAT, OWNER, "file", json!({ "file_key": "file_1", "file_name": "数据/表.csv" }));
    let path = format!("GET /open-apis/im/v1/messages/{sent}/resources");
    world.sim.fault(&path, Fault::Hang, 1);
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say seen]]");
    let asked = |world: &World| world.sim.requests().iter().any(|line| line.starts_with(&path));
    world.wait("the download", |world| asked(world).then_some(())).await;
    world.kill_bridge().await;
    assert_eq!(world.answer(&words).await.said(), "seen");
    world.settled().await;
    assert_eq!(world.answers(&words).len(), 1);
    let prompt = only_prompt(&world);
    assert_eq!(prompt.images.len(), 1);
    assert_eq!(std::fs::read(&prompt.images[0]).unwrap(), picture);
    assert_eq!(attached(&prompt, "数据/表.csv"), file);
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_and_stops_go_past_a_slow_download_and_words_do_not() {
    let world = World::start(Kind::Embedded).await;
    world.sim.add_resource("img_1", "a.png", PIXEL);
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[escalate echo one]] [[escalate echo two]] [[say never]]");
    let first = world.card_with(&asked, "Allow once").await;
    let picture = send(&world, OWNER_CHAT, OWNER, "image", json!({ "image_key": "img_1" }));
    let path = format!("GET /open-apis/im/v1/messages/{picture}/resources");
    world.sim.fault(&path, Fault::Hang, 1);
    let slow = world.sim.say(OWNER_CHAT, OWNER, "[[say seen]]");
    let fetched = |world: &World| world.sim.requests().iter().filter(|line| line.starts_with(&path)).count();
    world.wait("the download", |world| (fetched(world) == 1).then_some(())).await;
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say second]]");
    let yes = world.sim.say(OWNER_CHAT, OWNER, "y");
    world
        .wait("the second request", |world| {
            world.cards(&asked).into_iter().find(|card| card.id != first.id && card.button("Allow once").is_some())
        })
        .await;
    let stop = world.sim.say(OWNER_CHAT, OWNER, "/stop");
    world.wait("the stop", |world| (world.status()?["turns"]["waiting"] == 0).then_some(())).await;
    let done = |message: &String, world: &World| (world.sim.message(message).receipts() == ["DONE"]).then_some(());
    for message in [&yes, &stop] {
        world.wait("its receipt", |world| done(message, world)).await;
    }
    // With nothing to decide it is a message, and stays in its place.
    let nothing = world.sim.say(OWNER_CHAT, OWNER, "y");
    let status = world.sim.say(OWNER_CHAT, OWNER, "/status");
    world.wait("the status", |world| done(&status, world)).await;
    assert_eq!(fetched(&world), 1, "it hangs all the while");
    for message in [&slow, &words, &nothing] {
        assert_eq!(world.sim.message(message).receipts(), Vec::<String>::new());
    }
    world.kill_bridge().await;
    assert_eq!(world.answer(&slow).await.said(), "seen");
    assert_eq!(world.answer(&words).await.said(), "second");
    world.settled().await;
    let told: Vec<String> = prompts(&world).into_iter().map(|prompt| prompt.text).collect();
    assert_eq!(told.len(), 4);
    assert_eq!(told[..2], ["y", "[[say second]]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_inside_of_words_reaches_the_runtime_with_them() {
    let world = World::start(Kind::Codex).await;
    world.sim.add_resource("img_1", "a.png", PIXEL);
    let text = |text: &str| json!({ "tag": "text", "text": text });
    let lines =
        json!([[text("Look at this: ")], [json!({ "tag": "img", "image_key": "img_1" })], [text("[[say seen]]")]]);
    let post = send(&world, OWNER_CHAT, OWNER, "post", json!({ "title": "A bug", "content": lines }));
    assert_eq!(world.answer(&post).await.said(), "seen");
    let prompt = only_prompt(&world);
    assert!(prompt.text.starts_with("A bug\nLook at this:"), "{}", prompt.text);
    assert_eq!(std::fs::read(&prompt.images[0]).unwrap(), PIXEL);
}

/// A picture that every decoder takes.
const PIXEL: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 58, 126, 155,
    85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 96, 0, 0, 0, 2, 0, 1, 72, 175, 164, 113, 0, 0, 0, 0, 73, 69, 78, 68,
    174, 66, 96, 130,
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forwarded_and_quoted_stands_in_the_prompt_with_names() {
    let world = World::start(Kind::Embedded).await;
    world.sim.forward(OWNER_CHAT, OWNER, &[(LI, "the build is red"), (STRANGER, "since noon")]);
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say read]]");
    assert_eq!(world.answer(&words).await.said(), "read");
    let text = prompts(&world)[0].text.clone();
    let (li, nobody) = (text.find("Li: the build is red"), text.find("Nobody: since noon"));
    assert!(li.is_some() && li < nobody, "{text}");
    // Nobody asked the bot this, and whoever quotes it does.
    let said = world.sim.say(GROUP, STRANGER, "the disk is full");
    let quoting = world.sim.reply(&said, LI, "@bot [[say quoted]]");
    assert_eq!(world.answer(&quoting).await.said(), "quoted");
    let text = prompts(&world)[0].text.clone();
    assert!(text.starts_with("Message from Li:") && text.contains("Nobody: the disk is full"), "{text}");
    // An answer of the bot can be quoted as well.
    let answer = world.answer(&words).await;
    let again = world.sim.reply(&answer.id, OWNER, "[[say once more]]");
    assert_eq!(world.answer(&again).await.said(), "once more");
    assert!(prompts(&world)[0].text.contains("read"), "{:?}", prompts(&world)[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_topics_are_two_conversations_and_each_is_answered_in_its_own() {
    let world = World::start(Kind::Embedded).await;
    let first = world.sim.say(GROUP, OWNER, "@bot [[say one]]");
    let second = world.sim.say(GROUP, LI, "@bot [[say two]]");
    let one = world.answer(&first).await.thread.expect("a topic");
    let two = world.answer(&second).await.thread.expect("a topic");
    assert_ne!(one, two);
    world.kill_bridge().await;
    // Whoever writes in a topic goes on in it.
    for (parent, user, text, topic) in [(&first, LI, "more of one", &one), (&second, OWNER, "more of two", &two)] {
        let message = world.sim.reply(parent, user, &format!("@bot [[say {text}]]"));
        let answer = world.answer(&message).await;
        assert_eq!((answer.said().as_str(), answer.thread.as_ref()), (text, Some(topic)));
    }
    world.settled().await;
    let turns: Vec<Value> = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    let of = |n: usize| world.ledger(|tx| ally::ledger::turns::get(tx, &turns[n]["id"].as_str().unwrap().into()));
    let conversations: Vec<_> = (0..4).rev().map(|n| of(n).conversation).collect();
    assert!(conversations[0] == conversations[2] && conversations[1] == conversations[3], "{conversations:?}");
    assert_ne!(conversations[0], conversations[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_in_the_groups_stream_continues_the_conversation_of_what_it_quotes() {
    let world = World::start(Kind::Embedded).await;
    let first = world.sim.say(GROUP, OWNER, "@bot [[shell true]] [[sleep 6500]] [[say one]]");
    let answer = world.answer(&first).await;
    world.settled().await;
    let card = world.cards(&first).pop().expect("it took long");
    let other = world.sim.say(GROUP, LI, "@bot [[say two]]");
    world.answer(&other).await;
    let quote = |what: &str, text: &str| {
        let (chat, user, text) = (GROUP.to_owned(), LI.to_owned(), format!("@bot [[say {text}]]"));
        world.sim.post(Say { chat, user, text, parent: Some(what.to_owned()), in_stream: true, ..Say::default() })
    };
    let quotes = [quote(&answer.id, "of the answer"), quote(&card.id, "of the card"), quote(&first, "of the question")];
    for (message, said) in quotes.iter().zip(["of the answer", "of the card", "of the question"]) {
        assert!(world.sim.message(message).thread.as_ref() != answer.thread.as_ref(), "it is written in the stream");
        assert_eq!(world.answer(message).await.said(), said);
    }
    world.settled().await;
    let conversation = |message: &str| {
        let (channel, id) = ("feishu".into(), message.into());
        let turn = world.ledger(|tx| ally::ledger::inbound::by_message(tx, &channel, &id)).unwrap().turn.unwrap();
        world.ledger(|tx| ally::ledger::turns::get(tx, &turn)).conversation
    };
    let own = conversation(&first);
    assert!(quotes.iter().all(|message| conversation(message) == own), "one conversation");
    assert_ne!(conversation(&other), own);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_is_about_that_people_began_stands_in_its_first_prompt() {
    for scope in ["topic", "chat"] {
        let mut world = World::prepare(Kind::Embedded, &format!("[conversation]\nscope = \"{scope}\"")).await;
        world.sim.add_topic_group(GROUP, "Team", &[OWNER, LI]);
        world.up().await;
        let root = world.sim.say(GROUP, LI, "the nightly build is red");
        let first = world.sim.reply(&root, OWNER, "@bot [[say looked]]");
        assert_eq!(world.answer(&first).await.said(), "looked");
        let second = world.sim.reply(&root, OWNER, "@bot [[say looked again]]");
        assert_eq!(world.answer(&second).await.said(), "looked again");
        let about: Vec<bool> =
            prompts(&world).iter().map(|one| one.text.contains("Li: the nightly build is red")).collect();
        assert_eq!(about, [false, true], "said once, newest first, with {scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_a_picture_joins_still_says_what_its_topic_is_about() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    world.sim.add_topic_group(GROUP, "Team", &[OWNER, LI]);
    world.sim.add_resource("img_1", "a.png", PIXEL);
    world.up().await;
    let other = world.sim.say(GROUP, LI, "@bot [[sleep 3000]] [[say elsewhere]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let root = world.sim.say(GROUP, LI, "the nightly build is red");
    let words = world.sim.reply(&root, OWNER, "@bot [[say looked]]");
    let content = json!({ "title": "", "content":
        [[{ "tag": "at", "user_id": "@_user_1", "user_name": "ally" }, { "tag": "img", "image_key": "img_1" }]] });
    world.sim.post(Say {
        chat: GROUP.to_owned(),
        user: OWNER.to_owned(),
        raw: Some(("post".to_owned(), content.to_string())),
        parent: Some(root),
        ..Say::default()
    });
    assert_eq!(world.answer(&words).await.said(), "looked");
    world.answer(&other).await;
    let prompt = &prompts(&world)[0];
    assert!(prompt.text.contains("Li: the nightly build is red"), "{}", prompt.text);
    assert_eq!(prompt.images.len(), 1, "{}", prompt.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_comes_whole_and_once_though_the_bridge_dies_between_its_parts() {
    let paragraphs =
        |count: usize| (0..count).map(|n| format!("Paragraph {n}. {}\n\n", "word ".repeat(60))).collect::<String>();
    for (place, count) in [("w7.told", 30), ("w7.after", 30), ("w7.told", 200), ("w7.after", 200)] {
        // The wait before a restart grows with each death, so each world has few.
        let world = World::start(Kind::Embedded).await;
        let text = paragraphs(count);
        // It dies at the first part, and at the second where there is one that it may die at.
        if count == 30 {
            arm_twice(&world, place)
        } else {
            arm(&world, place)
        }
        let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[say {text}]]"));
        died(&world, place).await;
        world.settled().await;
        // A long one is a card, and the last parts may be less.
        let parts = world.sim.answers_to(&message);
        if count == 30 {
            assert!(parts.len() > 2, "{} parts", parts.len());
            let whole: String = parts.iter().map(|part| part.text()).collect();
            let places: Vec<_> = (0..count).map(|n| whole.find(&format!("Paragraph {n}."))).collect();
            assert!(places.is_sorted() && places[0].is_some(), "in their order at {place}: {places:?}");
            assert_eq!(whole.matches("Paragraph ").count(), count, "each once at {place}");
        } else {
            let files = parts.iter().filter(|part| part.msg_type == "file").count();
            assert_eq!((parts.len(), files), (2, 1), "the beginning and a file, at {place}: {parts:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_was_made_in_the_turn_comes_with_the_answer_and_no_other() {
    let world = World::start(Kind::Codex).await;
    let make =
        r"printf '\211PNG\r\n\032\nchart' > chart.png; ln -s /usr/share/pixmaps/x.png far.png; echo no > words.png";
    let say = "![chart](chart.png) ![far](far.png) ![words](words.png) ![none](none.png)";
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell {make}]] [[say {say}]]"));
    world.settled().await;
    let sent = world.wait("the picture", |world| Some(world.answers(&message)).filter(|all| all.len() > 1)).await;
    let kinds: Vec<&str> = sent.iter().map(|one| one.msg_type.as_str()).collect();
    assert_eq!(kinds, ["post", "image"], "{sent:#?}");
    assert!(sent[0].text().contains("chart") && !sent[0].text().contains("!["), "{}", sent[0].text());
    // The same picture is not made again in the next turn.
    let again = world.sim.say(OWNER_CHAT, OWNER, "[[say ![chart](chart.png)]]");
    world.settled().await;
    world.answer(&again).await;
    assert_eq!(world.sim.answers_to(&again).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_for_an_agent_gets_a_clear_word() {
    let world = World::start(Kind::Embedded).await;
    for (kind, content, want) in [
        ("location", json!({ "name": "Office", "longitude": "1", "latitude": "2" }), "cannot read"),
        ("share_user", json!({ "user_id": LI }), "cannot read"),
        ("brand_new", json!({ "whatever": [1] }), "cannot read"),
    ] {
        let sent = send(&world, OWNER_CHAT, OWNER, kind, content);
        let said = world.wait("a word about it", |world| world.sim.answers_to(&sent).into_iter().next()).await;
        assert!(said.text().to_lowercase().contains(want), "{kind}: {}", said.text());
        world.settled().await;
        assert_eq!(world.sim.message(&sent).receipts(), ["CrossMark"], "{kind}");
    }
    // A voice message is a file, and waits for words as files do.
    world.sim.add_resource("file_v", "voice.opus", b"OggS");
    send(&world, OWNER_CHAT, OWNER, "audio", json!({ "file_key": "file_v", "duration": 2000 }));
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say heard]]");
    assert_eq!(world.answer(&words).await.said(), "heard");
    assert_eq!(attached(&only_prompt(&world), "voice.opus"), b"OggS");
}
