//! Requests of the agent: several at once, by word and by card, for once and for longer, by class.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::feishu_sim::Fault;
use crate::support::world::*;

/// Several are open on one card, of which this is the text.
async fn list(world: &World, message: &str, open: usize) -> String {
    let title = format!("Approvals needed: {open}");
    world
        .wait(&title, |world| {
            let card = world.cards(message).into_iter().find(|card| card.text().contains(&title))?;
            Some(card.id)
        })
        .await
}

/// The number of the row that asks for this.
fn number(world: &World, card: &str, words: &str) -> i64 {
    let text = world.sim.message(card).text();
    let before = &text[..text.find(words).expect("a row asks for it")];
    let number = before.rsplit('#').next().expect("it has a number");
    number.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

fn appends(world: &World, file: &str, nonce: &str) -> String {
    format!("[[escalate echo {nonce} >> {}]]", world.file(file).display())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_are_one_card_and_decided_by_number() {
    let world = World::start(Kind::Codex).await;
    let (one, two) = (appends(&world, "one.txt", "x"), appends(&world, "two.txt", "y"));
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("{one} [[also]] {two} [[say both told]]"));
    let card = list(&world, &message, 2).await;
    world.settled_surfaces().await;
    let asks = world.cards(&message).into_iter().filter(|card| card.button("Allow #1").is_some()).count();
    assert_eq!(asks, 1, "one card lists them");
    // Nothing of this is a decision, and "y" does not say which.
    for words in ["yes, but first tell me why", "好的", "a1 is a strange name"] {
        world.sim.say(OWNER_CHAT, OWNER, words);
    }
    let unclear = world.sim.say(OWNER_CHAT, OWNER, "y");
    assert!(world.said(&unclear).await.text().contains("More than one waits"), "it is said");
    assert_eq!(world.status().unwrap()["gates_open"], 2, "nothing is decided");
    // Which of them came first is codex's affair.
    let (one, two) = (number(&world, &card, "echo x"), number(&world, &card, "echo y"));
    world.sim.say(OWNER_CHAT, OWNER, &format!("a{one} / d{two}"));
    assert_eq!(world.answer(&message).await.said(), "both told");
    assert_eq!(world.nonces(&world.file("one.txt")).get("x"), Some(&1));
    assert!(!world.file("two.txt").exists());
    let text = world.sim.message(&card).text();
    assert!(text.contains("Allowed once by Wang") && text.contains("Declined by Wang"), "{text}");
    assert!(text.contains("Requests: 2") && !text.contains("Allow #"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_decided_once_and_by_its_own_button() {
    let world = World::start(Kind::Codex).await;
    let (one, two) = (appends(&world, "one.txt", "x"), appends(&world, "two.txt", "y"));
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("{one} [[also]] {two} [[say told]]"));
    let card = list(&world, &message, 2).await;
    let (one, two) = (number(&world, &card, "echo x"), number(&world, &card, "echo y"));
    let row = world.sim.message(&card);
    let decline = format!("Decline #{two}");
    world.sim.click(&card, &decline, OWNER).await;
    world
        .wait("the second row", |world| world.sim.message(&card).text().contains("Declined by Wang").then_some(()))
        .await;
    // The same button again, as an old client shows it.
    let toast = world.sim.click_value(&card, OWNER, row.button(&decline).unwrap(), json!({})).await;
    assert!(toast.to_string().contains("Already decided by Wang"), "{toast}");
    world.sim.click(&card, &format!("Allow #{one}"), OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "told");
    assert_eq!((world.nonces(&world.file("one.txt")).len(), world.nonces(&world.file("two.txt")).len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_judged_is_decided_on_its_card_only() {
    let world = World::start(Kind::Embedded).await;
    let destroys = format!("rm -rf {}", world.file("red.txt").display());
    let rows = [(destroys.as_str(), "may not come back"), ("sudo -n true", ""), ("bash -c \"$X\"", "")];
    for (n, (command, warns)) in (1..).zip(rows) {
        let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate {command}]] [[say over]]"));
        let card = world.card_with(&message, "Allow once").await;
        let text = world.sim.message(&card.id).text();
        assert!(text.contains(&format!("#{n}")) && text.contains(warns), "{text}");
        assert!(card.content.contains(&format!(r##""confirm":{{"text":{{"content":"#{n}: "##)), "{}", card.content);
        for longer in ["For this task", "For 12 hours", "Always"] {
            assert!(card.button(longer).is_none(), "{command}: {longer}");
        }
        for (word, want) in [
            ("y".to_owned(), "decide it on the card"),
            (format!("a{n}"), "decide it on the card"),
            ("all y".to_owned(), "nothing was decided"),
        ] {
            let said = world.sim.say(OWNER_CHAT, OWNER, &word);
            let answer = world.said(&said).await.text();
            assert!(answer.contains(want), "{command}, {word}: {answer}");
        }
        assert_eq!(world.status().unwrap()["gates_open"], 1);
        assert!(world.sim.message(&card.id).button("Allow once").is_some());
        world.sim.say(OWNER_CHAT, OWNER, "n");
        assert_eq!(world.answer(&message).await.said(), "over");
    }
    // A number never comes again, not in a new conversation either.
    let new = world.sim.say(OWNER_CHAT, OWNER, "/new");
    world.said(&new).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[escalate true]] [[say over]]");
    let card = world.card_with(&message, "Decline").await;
    assert!(card.text().contains("#4"), "{}", card.text());
    world.sim.click(&card.id, "Decline", OWNER).await;
    world.answer(&message).await;
}

/// The id of the button that was made for so many requests of a card.
fn drawn_for(world: &World, action: &str, requests: usize) -> Option<String> {
    let mut found = world.ledger(|tx| {
        let mut rows = tx.prepare("SELECT id, action FROM buttons")?;
        let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    });
    found.retain(|(_, stored)| {
        let stored: Value = serde_json::from_str(stored).unwrap();
        stored["do"] == action && stored["gates"].as_array().is_some_and(|gates| gates.len() == requests)
    });
    found.pop().map(|(id, _)| id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_leaves_alone_what_joined_its_card_since() {
    let world = World::start(Kind::Codex).await;
    let asks = ["x", "y", "z"].map(|nonce| appends(&world, &format!("{nonce}.txt"), nonce)).join(" [[also]] ");
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("{asks} [[say told]]"));
    let card = list(&world, &message, 3).await;
    world.settled_surfaces().await;
    // Made when two were open, whether or not anybody saw it.
    let old = drawn_for(&world, "decline_all", 2).expect("there was a card of two");
    let toast = world.sim.click_value(&card, OWNER, json!({ "b": old }), Value::Null).await;
    assert!(toast.to_string().contains("only the 2 you saw"), "{toast}");
    assert_eq!(world.status().unwrap()["gates_open"], 1, "the third waits");
    world
        .wait("the card to show it", |world| {
            let card = world.sim.message(&card);
            (card.button("Allow #3").is_some() && card.button("Allow #1").is_none()).then_some(())
        })
        .await;
    world.sim.click(&card, "Allow #3", OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "told");
    let ran = ["x.txt", "y.txt", "z.txt"].map(|file| world.nonces(&world.file(file)).len());
    assert_eq!(ran.iter().sum::<usize>(), 1, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_from_before_its_card_decides_nothing() {
    let world = World::start(Kind::Embedded).await;
    let file = world.file("early.txt");
    let ask = format!("[[escalate echo x >> {}]] [[say done]]", file.display());
    let message = world.sim.hold_back(OWNER_CHAT, OWNER, &ask);
    let reply = format!("POST /open-apis/im/v1/messages/{message}/reply");
    world.sim.fault(&reply, Fault::Delay(Duration::from_secs(5)), 1);
    world.sim.deliver(&message);
    world.wait("the request", |world| (world.status()?["gates_open"] == 1).then_some(())).await;
    let early = world.sim.say(OWNER_CHAT, OWNER, "y");
    assert!(world.said(&early).await.text().contains("before the card of #1"), "{}", world.said(&early).await.text());
    assert_eq!((world.status().unwrap()["gates_open"].as_u64(), file.exists()), (Some(1), false));
    let card = world.card_with(&message, "Allow once").await;
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_a_group_is_answered_by_clicks_alone() {
    let world = World::start(Kind::Codex).await;
    let form = "[[form Colour?|Red|Blue; Your name?]] [[say thank you]]";
    let rows = [
        (form, "Send", json!({"q0": "1", "t1": "Wei"}), "thank you", "Li: Blue / Wei"),
        ("[[ask Which?|Alpha|Beta]] [[say chosen]]", "Beta", Value::Null, "chosen", "Li: Beta"),
        ("[[secret The token?]] [[say got it]]", "Send", json!({"t0": "hunter2secret"}), "got it", "(not shown)"),
    ];
    for (ask, button, values, answer, shown) in rows {
        let message = world.sim.say(GROUP, LI, &format!("@bot {ask}"));
        let card = world.card_with(&message, button).await;
        world.sim.click_form(&card.id, button, LI, values).await;
        assert_eq!(world.answer(&message).await.said(), answer);
        world.settled().await;
        let text = world.sim.message(&card.id).text();
        assert!(text.contains(shown) && !text.contains("hunter2"), "{text}");
    }
    assert!(holds(&world.home.path().join("ally/codex/sessions"), "Beta"), "codex was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_reaches_the_agent() {
    let world = World::start(Kind::Codex).await;
    let one = appends(&world, "one.txt", "x");
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("{one} [[sleep 1500]] [[say heard]]"));
    let card = world.card_with(&message, "Decline, say why").await;
    world.sim.click_form(&card.id, "Decline, say why", OWNER, json!({"reason": "use the staging host"})).await;
    world.settled().await;
    let text = world.sim.message(&card.id).text();
    assert!(text.contains("Declined by Wang") && text.contains("use the staging host"), "{text}");
    assert!(!world.file("one.txt").exists());
    let rollouts = world.home.path().join("ally/codex/sessions");
    assert!(holds(&rollouts, "The reason given: use the staging host"), "the thread holds the reason");
}

/// Whether a file below holds these words.
pub(super) fn holds(folder: &std::path::Path, words: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| match entry.path() {
        path if path.is_dir() => holds(&path, words),
        path => std::fs::read_to_string(path).is_ok_and(|text| text.contains(words)),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_refused_without_asking_anybody() {
    let world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[escalate cat ~/.ssh/id_rsa]] [[sleep 4000]] [[say no luck]]");
    let card = world.wait("the live card", |world| world.cards(&message).into_iter().next()).await;
    assert_eq!(world.answer(&message).await.said(), "no luck");
    world.settled().await;
    assert_eq!(world.cards(&message).len(), 1, "nobody was asked");
    let text = world.sim.message(&card.id).text();
    assert!(text.contains("refused by policy: reads secrets"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_in_a_form_are_answered_together() {
    let world = World::start(Kind::Codex).await;
    let message =
        world.sim.say(OWNER_CHAT, OWNER, "[[form Colour?|Red|Blue; Size?|S|L; Your name?]] [[say thank you]]");
    let card = world.card_with(&message, "Send").await;
    world.sim.click_form(&card.id, "Send", OWNER, json!({"q0": "1", "q1": "0", "t2": "Wei"})).await;
    assert_eq!(world.answer(&message).await.said(), "thank you");
    world.settled().await;
    let text = world.sim.message(&card.id).text();
    assert!(text.contains("Wang: Blue / S / Wei"), "{text}");
    assert!(holds(&world.home.path().join("ally/codex/sessions"), "Wei"), "codex was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_answer_is_nowhere() {
    let mut world = World::start(Kind::Codex).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[secret The token?]] [[say got it]]");
    let card = world.card_with(&message, "Send").await;
    world.sim.click_form(&card.id, "Send", OWNER, json!({"t0": "hunter2secret"})).await;
    assert_eq!(world.answer(&message).await.said(), "got it");
    world.settled().await;
    world.down().await;
    assert!(!world.sim.message(&card.id).text().contains("hunter2"), "not on the card");
    for file in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(world.home.path().join("ally").join(file)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2secret"), "not in {file}");
    }
    assert!(!holds(&world.home.path().join("ally/logs"), "hunter2secret"), "not in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_for_hours_and_nothing_happens_by_itself() {
    let world = World::start(Kind::Embedded).await;
    let file = world.file("slow.txt");
    let message = world.sim.say(GROUP, OWNER, &format!("@bot [[escalate echo x >> {}]] [[say done]]", file.display()));
    let card = world.card_with(&message, "Allow once").await;
    world.settled_surfaces().await;
    world.warp(Duration::from_secs(31 * 60)).await;
    let reminder = |world: &World| {
        let all = world.sim.messages(GROUP);
        all.into_iter().filter(|one| one.by_bot() && one.text().contains("has been waiting for")).count()
    };
    world.wait("the reminder", |world| (reminder(world) == 1).then_some(())).await;
    world.warp(Duration::from_secs(2 * 3600)).await;
    world.wait("the pause", |world| world.sim.message(&card.id).text().contains("⏸ Paused").then_some(())).await;
    world.warp(Duration::from_secs(3600)).await;
    world.settled_surfaces().await;
    assert_eq!(reminder(&world), 1, "once");
    world.warp(Duration::from_secs(7 * 86_400)).await;
    world.wait("a reminder after a week", |world| (reminder(world) == 2).then_some(())).await;
    world.settled_surfaces().await;
    assert!(world.sim.message(&card.id).button("Allow once").is_some(), "the same card");
    // Soon nobody could press it any more.
    world.warp(Duration::from_secs(6 * 86_400)).await;
    let fresh = |world: &World| {
        let all = world.sim.messages(GROUP).into_iter();
        all.rev().find(|one| one.id != card.id && one.button("Allow once").is_some())
    };
    let second = world.wait("a card of now", |world| fresh(world)).await;
    world
        .wait("a word on the old one", |world| {
            world.sim.message(&card.id).text().contains("the card is too old").then_some(())
        })
        .await;
    world.settled_surfaces().await;
    assert!(world.sim.message(&card.id).buttons().is_empty());
    assert_eq!(reminder(&world), 2);
    assert!(!file.exists());
    world.sim.click(&second.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&message).await.said(), "done");
    assert_eq!(world.nonces(&file).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_near_miss_offers_both_ways_out() {
    let world = World::start(Kind::Embedded).await;
    let (one, two) = (world.file("one.txt"), world.file("two.txt"));
    for (file, button, runs) in [(&one, "Allow", true), (&two, "Cancel", false)] {
        let asked = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo x >> {}]] [[say ran]]", file.display()));
        let gate = world.card_with(&asked, "Allow once").await;
        let near = world.sim.say(OWNER_CHAT, OWNER, "好的");
        let offer = world.card_with(&near, "Cancel").await;
        assert!(offer.text().contains("did not approve #"), "{}", offer.text());
        world.sim.click(&offer.id, button, OWNER).await;
        let buttons = |world: &World| world.sim.message(&offer.id).buttons().len();
        world.wait("an end of the offer", |world| (buttons(world) == 0).then_some(())).await;
        if !runs {
            world.sim.click(&gate.id, "Decline", OWNER).await;
        }
        world.answer(&asked).await;
        world.settled().await;
        assert_eq!(world.nonces(file).len(), usize::from(runs));
        assert_eq!(world.answers(&near).len(), usize::from(runs), "cancelled, or a message of its own");
    }
}

/// A file of this name anywhere below.
pub(super) fn find(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| match entry.path() {
        path if path.is_dir() => find(&path, name),
        path => path.file_name().is_some_and(|found| found == name).then_some(path),
    })
}
