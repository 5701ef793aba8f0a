//! What people type besides requests, and what they send that cannot be read: a clear answer, and nothing else lost.

use serde_json::json;

use crate::support::feishu_sim::{Fault, Say};
use crate::support::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn commands_answer_and_open_no_topic() {
    let world = World::start(Kind::Embedded).await;
    for (text, want) in [
        ("/help", "/stop"),
        ("/status", "Status"),
        ("/whoami", "owner"),
        ("/stop", "No task is running"),
        ("/cancel", "Nothing is queued"),
        ("/retry", "no request to run again"),
        ("/stauts", "/status"),
        ("／状态", "Status"),
        ("/budget", "not available"),
    ] {
        let message = world.sim.say(OWNER_CHAT, OWNER, text);
        let answer = world.said(&message).await;
        assert!(answer.text().contains(want), "{text}: {}", answer.text());
    }
    let message = world.sim.say(GROUP, OWNER, "@bot /whoami");
    assert!(world.said(&message).await.thread.is_none(), "a command opens no topic");
    let path = world.sim.say(OWNER_CHAT, OWNER, "/etc/hosts is what?");
    let answer = world.answer(&path).await.text();
    assert!(!answer.contains("no command"), "a path is a message: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_command_and_says_what_may_remain() {
    let world = World::start(Kind::Codex).await;
    let seconds = format!("222.{}", std::process::id());
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell sleep {seconds}]] [[say done]]"));
    world.wait("the command to run", |_| runs(&seconds).then_some(())).await;
    let card = world.card_with(&message, "Stop").await;
    world.sim.click(&card.id, "Stop", LI).await;
    world.settled().await;
    let card = world.sim.message(&card.id);
    assert!(card.text().contains("Stopped by Li") && card.text().contains("Changes made stay"), "{}", card.text());
    assert!(card.text().contains("background commands: ended") && !runs(&seconds), "{}", card.text());
    assert!(world.answers(&message).is_empty(), "a stopped task has no answer");
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say next]]");
    assert_eq!(world.answer(&next).await.said(), "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_stop_word_stops_and_a_near_miss_approves_nothing() {
    let world = World::start(Kind::Embedded).await;
    let file = world.file("near.txt");
    let asked = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo x >> {}]]", file.display()));
    world.card_with(&asked, "Allow once").await;
    let near = world.sim.say(OWNER_CHAT, OWNER, "ok");
    // Beside the card of the queue, whichever comes first.
    let says_so =
        |world: &World| world.sim.answers_to(&near).into_iter().find(|one| one.text().contains("did not approve"));
    world.wait("the word that a near miss approves nothing", says_so).await;
    world.sim.say(OWNER_CHAT, OWNER, "停");
    world.settled().await;
    assert_eq!(world.nonces(&file).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_outside_of_its_topic_decides_nothing_where_it_may_mean_two() {
    let world = World::start(Kind::Embedded).await;
    let (one, two) = (world.file("one.txt"), world.file("two.txt"));
    let ask = |file: &std::path::Path| format!("@bot [[escalate echo x >> {}]] [[say done]]", file.display());
    let first = world.sim.say(GROUP, OWNER, &ask(&one));
    let second = world.sim.say(GROUP, OWNER, &ask(&two));
    let card = world.card_with(&first, "Allow once").await;
    world.card_with(&second, "Allow once").await;
    world.settled_surfaces().await;
    for word in ["a1", "y"] {
        let unclear = world.sim.say(GROUP, OWNER, &format!("@bot {word}"));
        assert!(world.said(&unclear).await.text().contains("in the topic"), "{word} says what to do");
    }
    world.sim.click(&card.id, "Allow once", OWNER).await;
    world.answer(&first).await;
    assert_eq!((world.nonces(&one).len(), world.nonces(&two).len()), (1, 0));
    // Now it can mean only one.
    world.sim.say(GROUP, OWNER, "@bot a1");
    world.answer(&second).await;
    assert_eq!(world.nonces(&two).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_message_asks_before_it_runs() {
    let world = World::start(Kind::Embedded).await;
    world.warp(std::time::Duration::from_secs(3600)).await;
    let old = world.sim.say(OWNER_CHAT, OWNER, "[[say from yesterday]]");
    let card = world.card_with(&old, "Do it").await;
    assert!(world.answers(&old).is_empty());
    world.sim.click(&card.id, "Do it", OWNER).await;
    assert_eq!(world.answer(&old).await.said(), "from yesterday");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_through_an_outage_asks_before_it_runs() {
    let world = World::start(Kind::Embedded).await;
    // Until it is killed the bridge lives an hour ago, so that its successor finds an outage of an hour.
    world.warp_back(std::time::Duration::from_secs(3600)).await;
    world.sim.say(OWNER_CHAT, OWNER, "[[sleep 60000]] [[say first]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let wanted = world.sim.say(OWNER_CHAT, OWNER, "[[say wanted]]");
    let unwanted = world.sim.say(OWNER_CHAT, OWNER, "[[say unwanted]]");
    world.wait("the queue", |world| (world.status()?["turns"]["queued"] == 2).then_some(())).await;
    let hour_ago = world.sim.now_ms() - 3_000_000;
    let beat = |world: &World| world.ledger(ally::ledger::alive::last_beat).filter(|at| *at < hour_ago);
    world.wait("a beat", beat).await;
    world.kill_both().await;
    let card = world.card_with(&wanted, "Do it").await;
    let other = world.card_with(&unwanted, "Do it").await;
    assert!(card.text().contains("offline"), "{}", card.text());
    // Nothing is held up by the question.
    let after = world.sim.say(OWNER_CHAT, OWNER, "[[say after]]");
    assert_eq!(world.answer(&after).await.said(), "after");
    assert!(world.answers(&wanted).is_empty() && world.answers(&unwanted).is_empty());
    world.sim.click(&card.id, "Do it", OWNER).await;
    assert_eq!(world.answer(&wanted).await.said(), "wanted");
    world.kill_bridge().await;
    world.sim.click(&other.id, "Cancel", OWNER).await;
    world.settled().await;
    assert!(world.answers(&unwanted).is_empty());
    assert_eq!(world.sim.message(&unwanted).receipts(), ["CrossMark"]);
    assert_eq!(world.answers(&wanted).len(), 1);
    let status = world.status().unwrap();
    assert_eq!(status["turns"]["late_waiting"], 0, "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said_and_costs_nothing_else() {
    let world = World::start(Kind::Embedded).await;
    let sticker = world.sim.post(Say {
        chat: OWNER_CHAT.to_owned(),
        user: OWNER.to_owned(),
        raw: Some(("sticker".to_owned(), json!({"file_key": "file_x"}).to_string())),
        ..Say::default()
    });
    assert!(world.said(&sticker).await.text().contains("stickers"));
    world.sim.emit("im.something.new_v9", None, json!({"whatever": 1}));
    world.sim.send_garbage(b"\xff\xfe garbage", false);
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[escalate true]] [[say fine]]");
    let card = world.card_with(&asked, "Allow once").await;
    let toast =
        world.sim.click_value(&card.id, OWNER, json!({"b": "0123456789abcdef0123456789abcdef"}), json!({})).await;
    assert!(toast.to_string().contains("not mine"), "a tampered value does nothing: {toast}");
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_eq!(world.answer(&asked).await.said(), "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_message_is_not_run() {
    let world = World::start(Kind::Embedded).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1500]] [[say first]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let second = world.sim.say(OWNER_CHAT, OWNER, "[[say never]]");
    world.wait("the queue", |world| (world.status()?["turns"]["queued"] == 1).then_some(())).await;
    world.sim.recall(&second);
    assert_eq!(world.answer(&first).await.said(), "first");
    world.settled().await;
    assert!(world.answers(&second).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_opens_a_group_and_lets_somebody_in() {
    let world = World::start(Kind::Embedded).await;
    world.sim.add_group("oc_other", "Other", &[OWNER, STRANGER]);
    let refused = world.sim.say("oc_other", STRANGER, "@bot hello");
    assert!(world.said(&refused).await.text().contains("not set up"));
    let open = world.sim.say("oc_other", OWNER, "@bot /allow");
    assert!(world.said(&open).await.text().contains("open"));
    let asked = world.sim.say("oc_other", STRANGER, "@bot [[say welcome]]");
    assert_eq!(world.answer(&asked).await.said(), "welcome");
    let closed = world.sim.say("oc_other", OWNER, "@bot /deny");
    assert!(world.said(&closed).await.text().contains("closed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_model_is_said_plainly_and_can_be_tried_again() {
    let world = World::start(Kind::Codex).await;
    for (text, want) in [("[[http 401]]", "not signed in"), ("[[http 429]]", "busy"), ("[[usage_limit]]", "limit")] {
        let message = world.sim.say(OWNER_CHAT, OWNER, text);
        let card = world.card_with(&message, "Run again").await;
        assert!(card.text().contains(want), "{text}: {}", card.text());
        assert!(!card.text().contains("http"), "no internals in the chat: {}", card.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_card_is_refused_is_asked_in_full_and_answered_in_words() {
    let world = World::start(Kind::Embedded).await;
    world.sim.rules(|rules| rules.refuse_cards = Some((200550, "card rendering failed")));
    let file = world.file("asked.txt");
    let command = format!("echo `printf n1` >> {}", file.display());
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate {command}]] [[say done]]"));
    let asked = world.answer(&message).await.text();
    assert!(asked.contains(&command) && asked.contains("#1") && asked.contains("Reply y"), "{asked}");
    world.wait("its row", |world| (world.status()?["outbox"]["sending"] == 0).then_some(())).await;
    world.sim.say(OWNER_CHAT, OWNER, "y");
    world.wait("the effect", |world| (!world.nonces(&file).is_empty()).then_some(())).await;
    world.settled().await;
    let said: Vec<String> = world.answers(&message).iter().map(|answer| answer.said()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[1], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_decided_is_not_asked_again_when_its_card_cannot_change() {
    let world = World::start(Kind::Embedded).await;
    let file = world.file("decided.txt");
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo n1 >> {}]] [[say done]]", file.display()));
    let card = world.card_with(&message, "Allow once").await;
    world.sim.rules(|rules| rules.refuse_cards = Some((200550, "card rendering failed")));
    world.sim.click(&card.id, "Allow once", OWNER).await;
    world.answer(&message).await;
    world.settled().await;
    let said: Vec<String> = world.answers(&message).iter().map(|answer| answer.said()).collect();
    assert_eq!(said, ["done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_closes_the_card_that_offered_it_and_keeps_what_it_says() {
    let mut world = World::start(Kind::Embedded).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 600000]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    world.down().await;
    world.up().await;
    let card = world.card_with(&message, "Dismiss").await;
    let before = card.text();
    assert!(!before.contains("outcome unknown"), "a stop by a person is no crash: {before}");
    world.sim.click(&card.id, "Dismiss", OWNER).await;
    world.settled().await;
    let after = world.sim.message(&card.id);
    assert!(after.button("Dismiss").is_none() && after.text().contains("chosen by Wang"), "{}", after.text());
    assert!(after.text().contains("shut down") && !after.text().contains("outcome unknown"), "{}", after.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_or_stopped_task_that_is_tried_again_is_never_called_lost() {
    let world = World::start(Kind::Codex).await;
    let failed = world.sim.say(OWNER_CHAT, OWNER, "[[http 401]]");
    let card = world.card_with(&failed, "Run again").await;
    world.sim.click(&card.id, "Run again", OWNER).await;
    world
        .wait("the choice on the card", |world| {
            let card = world.sim.message(&card.id);
            (card.button("Run again").is_none() && card.text().contains("chosen by Wang")).then_some(())
        })
        .await;
    world.settled().await;
    let stopped = world.sim.say(OWNER_CHAT, OWNER, "[[shell sleep 600]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    world.sim.say(OWNER_CHAT, OWNER, "/stop");
    world.settled().await;
    world.sim.say(OWNER_CHAT, OWNER, "/retry");
    world.wait("it to run again", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    for card in [world.cards(&failed), world.cards(&stopped)].concat() {
        assert!(!card.text().contains("outcome unknown"), "{}", card.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_during_a_stop_takes_back_the_grace_and_settles() {
    let mut world = World::prepare(Kind::Embedded, "[turn]\ngrace = \"30m\"\n").await;
    world.up().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1800000]] [[say late]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let bridge = world.status().unwrap()["pids"]["bridge"].as_u64().unwrap() as u32;
    let mut stop = world.ally(&["stop"]).stdin(std::process::Stdio::null()).spawn().unwrap();
    world.wait("the drain", |world| (world.status()?["state"] == "draining").then_some(())).await;
    kill(bridge, "-TERM");
    world.wait("the stop", |_| stop.try_wait().unwrap()).await;
    world.down().await;
    world.up().await;
    world.card_with(&message, "Continue").await;
    let turns: serde_json::Value = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    assert_eq!(turns[0]["outcome"], "interrupted", "{turns}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_after_the_supervisors_death_lets_the_bridge_settle() {
    let mut world = World::prepare(Kind::Embedded, "[turn]\ngrace = \"30m\"\n").await;
    world.up().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1800000]] [[say late]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let supervisor = world.status().unwrap()["pids"]["supervisor"].as_u64().unwrap() as u32;
    kill(supervisor, "-KILL");
    world.wait("the drain", |world| (world.status()?["state"] == "draining").then_some(())).await;
    assert!(world.run(&["stop", "--now"]).1);
    assert_eq!(world.processes(), [] as [u32; 0]);
    world.down().await;
    world.up().await;
    world.card_with(&message, "Continue").await;
    let turns: serde_json::Value = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    assert_eq!(turns[0]["outcome"], "interrupted", "{turns}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_commands_that_outlived_everybody() {
    let world = World::start(Kind::Embedded).await;
    world.sim.say(OWNER_CHAT, OWNER, "[[shell sleep 300]] [[say done]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    world.wait("the command", |world| (world.processes().len() > 3).then_some(())).await;
    let pids = world.status().unwrap()["pids"].clone();
    let pid = |which: &str| pids[which].as_u64().unwrap() as u32;
    kill(pid("bridge"), "-STOP");
    kill(pid("runtime"), "-KILL");
    kill(pid("supervisor"), "-KILL");
    kill(pid("bridge"), "-KILL");
    assert!(!world.processes().is_empty(), "the command runs on");
    assert!(world.run(&["stop"]).1);
    assert_eq!(world.processes(), [] as [u32; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_learns_what_to_do_and_the_others_what_happened() {
    let world = World::start(Kind::Embedded).await;
    let own = world.sim.say(OWNER_CHAT, OWNER, "[[http 401]]");
    let card = world.card_with(&own, "Run again").await;
    assert!(card.text().contains("not signed in") && card.text().contains("codex login"), "{}", card.text());
    let foreign = world.sim.say(GROUP, LI, "@bot [[http 400]]");
    let card = world.card_with(&foreign, "Run again").await;
    assert!(card.text().contains("refused this request") && !card.text().contains("ally turns"), "{}", card.text());
    let told = |world: &World| {
        let all = world.sim.messages(OWNER_CHAT);
        all.into_iter().filter(|m| m.by_bot() && m.text().contains("ally turns show")).collect::<Vec<_>>()
    };
    world.wait("the owner to be told", |world| (told(world).len() == 1).then_some(())).await;
    let text = told(&world)[0].text();
    assert!(text.contains("refused this request") && text.contains(GROUP), "{text}");
    // Once an hour is enough.
    let again = world.sim.say(GROUP, LI, "@bot [[http 400]]");
    world.card_with(&again, "Run again").await;
    world.settled().await;
    assert_eq!(told(&world).len(), 1);
}

/// A week after its task nobody needs it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_taken_away_a_week_after_its_task() {
    let world = World::start(Kind::Embedded).await;
    world.sim.add_resource("img_1", "a.png", b"\x89PNG not really");
    world.sim.post(Say {
        chat: OWNER_CHAT.to_owned(),
        user: OWNER.to_owned(),
        raw: Some(("image".to_owned(), json!({"image_key": "img_1"}).to_string())),
        ..Say::default()
    });
    let words = world.sim.say(OWNER_CHAT, OWNER, "[[say seen]]");
    assert_eq!(world.answer(&words).await.said(), "seen");
    world.settled().await;
    let kept = || std::fs::read_dir(world.file("ally/attachments")).unwrap().count();
    assert_eq!(kept(), 1);
    world.sim.advance(std::time::Duration::from_secs(8 * 86_400));
    world.warp(std::time::Duration::from_secs(8 * 86_400)).await;
    world.wait("the picture to be taken away", |_| (kept() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_model_says_how_often_it_was_asked() {
    let world = World::start(Kind::Codex).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[http 500]]");
    let card = world.card_with(&message, "Run again").await;
    assert!(card.text().contains("tries failed"), "{}", card.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_while_a_task_runs_learns_why() {
    let mut world = World::prepare(Kind::Embedded, "[conversation]\nbusy = \"reject\"\n").await;
    world.up().await;
    world.sim.say(OWNER_CHAT, OWNER, "[[sleep 1800000]] [[say late]]");
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let refused = world.sim.say(OWNER_CHAT, OWNER, "[[say never]]");
    let text = world.said(&refused).await.text();
    assert!(text.contains("A task is running") && text.contains("/stop"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_does_not_know_itself_says_so_and_answers_when_it_does() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    world.sim.fault("GET /open-apis/bot", Fault::BeforeEffect { status: 500, code: 7 }, 1000);
    world.up().await;
    let told = world.wait("the trouble in status", |world| {
        let status = world.status()?;
        let feishu = status["channels"].as_array()?.iter().find(|channel| channel["name"] == "feishu")?.clone();
        feishu["problem"].as_str().map(str::to_owned)
    });
    assert!(told.await.contains("Group messages wait"));
    let message = world.sim.say(GROUP, OWNER, "@bot [[say at last]]");
    world.sim.wait_ack(&message).await;
    assert!(world.answers(&message).is_empty());
    world.sim.no_more_faults();
    assert_eq!(world.answer(&message).await.said(), "at last");
    let status = world.status().unwrap();
    assert!(status["channels"].as_array().unwrap().iter().all(|channel| channel["problem"].is_null()), "{status}");
}
