//! Routines: taken in, due, run, told, paused and taken away; and what is made of a sentence in a chat.

use std::time::Duration;

use serde_json::Value;

use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A world whose owner has spoken: where he is told things is known.
pub async fn with_owner(kind: Kind) -> World {
    let world = World::start(kind).await;
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.answer(&hello).await;
    world
}

/// Puts a routine's file into its folder.
pub fn put(world: &World, name: &str, text: &str) {
    let folder = world.file("ally/routines");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
}

/// What a verb prints as JSON.
pub fn json(world: &World, args: &[&str]) -> Value {
    let (out, well) = world.run(args);
    assert!(well, "{args:?}: {out}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
}

/// Takes a file in by the command line, which waits until it holds.
pub fn add(world: &World, name: &str, text: &str) {
    let file = world.home.path().join(format!("{name}.yaml"));
    std::fs::write(&file, text).unwrap();
    let (out, well) = world.run(&["routine", "add", file.to_str().unwrap()]);
    assert!(well, "{out}");
    assert!(out.contains("Next:"), "{out}");
}

/// What the bot said to the owner that contains this.
pub fn told(world: &World, what: &str) -> Vec<SimMessage> {
    let mut messages = world.sim.messages(OWNER_CHAT);
    messages.retain(|message| message.by_bot() && message.text().contains(what));
    messages
}

fn runs(world: &World, name: &str) -> Vec<(String, String)> {
    let runs = json(world, &["routine", "history", name, "--json"]);
    let of = |run: &Value| {
        let outcome = run["outcome"].as_str().unwrap_or_default();
        (run["state"].as_str().unwrap_or_default().to_owned(), outcome.to_owned())
    };
    runs.as_array().unwrap().iter().map(of).collect()
}

async fn ran(world: &World, name: &str, times: usize) {
    let over = |world: &World| {
        let runs = runs(world, name);
        (runs.iter().filter(|(state, _)| state == "over").count() >= times).then_some(())
    };
    world.wait(&format!("{times} runs of {name}"), over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routine_runs_at_its_time_and_is_told_once() {
    let world = with_owner(Kind::Embedded).await;
    add(&world, "check", "schedule: every 1h\nprompt: \"[[say all is well]]\"\n");
    let listed = json(&world, &["routine", "--json"]);
    assert_eq!((&listed[0]["name"], &listed[0]["state"]), (&"check".into(), &"on".into()), "{listed}");
    assert!(listed[0]["next_ms"].as_i64() > Some(world.sim.now_ms()), "{listed}");
    assert!(world.status().unwrap()["next_routine"].is_i64());
    assert!(told(&world, "all is well").is_empty());
    world.warp(HOUR).await;
    let said = world.wait("the run to be told", |world| told(world, "all is well").pop()).await;
    assert!(said.text().contains("Routine check, due"), "{}", said.text());
    assert!(said.replied_to.is_none(), "it answers nobody");
    ran(&world, "check", 1).await;
    assert_eq!(runs(&world, "check"), [("over".to_owned(), "completed".to_owned())]);
    // Nobody waits for it: no card, and its turn is one like any other.
    assert!(world.cards(&said.id).is_empty());
    let turns = json(&world, &["turns", "--json"]);
    assert_eq!(turns[0]["title"], "check", "{turns}");
    world.settled().await;
    world.assert_sound();
    assert_eq!(told(&world, "all is well").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_is_tried_again_by_itself_and_told_once() {
    let world = with_owner(Kind::Embedded).await;
    add(&world, "check", "schedule: every 1d\nprompt: \"[[fail]]\"\nretries: 1\n");
    assert!(world.run(&["routine", "run", "check"]).1);
    let tries = |world: &World| {
        let turns = json(world, &["turns", "--json"]);
        turns.as_array().unwrap().iter().filter(|turn| turn["title"] == "check" && turn["state"] == "settled").count()
    };
    world.wait("the first try", |world| (tries(world) == 1).then_some(())).await;
    world.settled().await;
    assert!(told(&world, "check").is_empty(), "it is tried again");
    world.warp(Duration::from_secs(31)).await;
    world.wait("the second try", |world| (tries(world) == 2).then_some(())).await;
    ran(&world, "check", 1).await;
    assert_eq!(runs(&world, "check"), [("over".to_owned(), "failed".to_owned())]);
    world.settled().await;
    assert_eq!(told(&world, "check").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_rests_does_not_run_and_what_is_taken_away_is_gone() {
    let world = with_owner(Kind::Embedded).await;
    add(&world, "check", "schedule: every 1h\nprompt: \"[[say all is well]]\"\n");
    assert!(world.run(&["routine", "pause", "check"]).1);
    world.warp(3 * HOUR).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(runs(&world, "check").is_empty());
    assert!(world.run(&["routine", "resume", "check"]).1);
    assert!(runs(&world, "check").is_empty(), "what was due meanwhile is not made up for");
    assert!(world.run(&["routine", "run", "check"]).1);
    let said = world.wait("the run to be told", |world| told(world, "all is well").pop()).await;
    assert!(said.text().contains("run now by the owner, at the computer"), "{}", said.text());
    ran(&world, "check", 1).await;
    world.warp(HOUR).await;
    ran(&world, "check", 2).await;
    assert!(world.run(&["routine", "remove", "check"]).1);
    world
        .wait("it to be gone", |world| (json(world, &["routine", "--json"]) == Value::Array(Vec::new())).then_some(()))
        .await;
    assert!(world.file("ally/routines/removed/check.yaml").exists());
    for args in [["routine", "show", "check"], ["routine", "run", "check"], ["routine", "remove", "check"]] {
        assert!(!world.run(&args).1, "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_named_and_what_it_said_before_holds() {
    let world = with_owner(Kind::Embedded).await;
    add(&world, "check", "schedule: every 1h\nprompt: \"[[say all is well]]\"\n");
    put(&world, "check", "schedule: every now and then\nprompt: x\n");
    put(&world, "broken", "schedul: x\n");
    let warns = |world: &World| {
        let warnings = world.status()?["warnings"].to_string();
        (warnings.contains("now and then") && warnings.contains("`schedul`")).then_some(())
    };
    assert!(world.run(&["routine", "pause", "check"]).1, "it looks at once");
    world.wait("the warnings", warns).await;
    assert!(world.run(&["routine", "resume", "check"]).1);
    let listed = json(&world, &["routine", "--json"]);
    let problem = |n: usize| listed[n]["problem"].as_str().unwrap_or_default().to_owned();
    assert_eq!((&listed[0]["name"], &listed[0]["state"]), (&"broken".into(), &"broken".into()), "{listed}");
    assert!(problem(1).contains("is no interval") && listed[1]["schedule"] == "every 1h", "{listed}");
    world.warp(HOUR).await;
    world.wait("the run to be told", |world| told(world, "all is well").pop()).await;
    put(&world, "check", "schedule: every 2h\nprompt: \"[[say all is well]]\"\n");
    std::fs::remove_file(world.file("ally/routines/broken.yaml")).unwrap();
    assert!(world.run(&["routine", "pause", "check"]).1, "it looks at once");
    world
        .wait("nothing to be wrong", |world| {
            let listed = json(world, &["routine", "--json"]);
            (listed[0]["problem"].is_null() && listed.as_array()?.len() == 1).then_some(())
        })
        .await;
    for text in ["schedule: every 1h\n", "schedule: 0 25 * * *\nprompt: p\n"] {
        let file = world.home.path().join("wrong.yaml");
        std::fs::write(&file, text).unwrap();
        assert!(!world.run(&["routine", "check", file.to_str().unwrap()]).1, "{text}");
        assert!(!world.run(&["routine", "add", file.to_str().unwrap()]).1, "{text}");
    }
    assert!(!world.file("ally/routines/wrong.yaml").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentence_in_the_chat_becomes_a_routine_once_it_is_confirmed() {
    let world = with_owner(Kind::Embedded).await;
    let unclear = world.sim.say(OWNER_CHAT, OWNER, "/routine add sometimes [[say tick]]");
    assert!(world.answer(&unclear).await.said().contains("every day at 9:30"));
    let asked = world.sim.say(OWNER_CHAT, OWNER, "/routine add every 2 hours [[say tick]]");
    let card = world.card_with(&asked, "Create").await;
    let text = card.text();
    for want in ["every 2 h", "[[say tick]]", "Next:", "waits", "May edit the project"] {
        assert!(text.contains(want), "{want} is missing in {text}");
    }
    assert_eq!(json(&world, &["routine", "--json"]), Value::Array(Vec::new()), "nobody confirmed it");
    world.sim.click(&card.id, "Create", OWNER).await;
    world
        .wait("the card to say it", |world| world.sim.message(&card.id).text().contains("Made by Wang").then_some(()))
        .await;
    let listed = json(&world, &["routine", "--json"]);
    let name = listed[0]["name"].as_str().unwrap().to_owned();
    assert_eq!((&listed[0]["source"], name.as_str()), (&"chat".into(), "say-tick"), "{listed}");
    // Both clocks: what is written afterwards is not to be late.
    world.sim.advance(2 * HOUR);
    world.warp(2 * HOUR).await;
    world
        .wait("the run to be told", |world| {
            told(world, "tick").into_iter().find(|said| said.text().contains("Routine say-tick"))
        })
        .await;
    let list = world.sim.say(OWNER_CHAT, OWNER, "/routine");
    let shown = world.wait("the list", |world| world.cards(&list).pop()).await;
    assert!(shown.text().contains("say-tick") && shown.text().contains("next"), "{}", shown.text());
    for (say, want) in [
        ("/routine pause say-tick", "is paused"),
        ("/routine resume say-tick", "goes on"),
        ("/routine history say-tick", "completed"),
        ("/routine delete say-tick", "was removed"),
        ("/routine show say-tick", "There is no routine"),
    ] {
        let asked = world.sim.say(OWNER_CHAT, OWNER, say);
        let said = world.answer(&asked).await.said();
        assert!(said.contains(want), "{say}: {said}");
    }
    let dropped = world.sim.say(OWNER_CHAT, OWNER, "/routine add every 3 hours [[say tock]]");
    let card = world.card_with(&dropped, "Dismiss").await;
    world.sim.click(&card.id, "Dismiss", OWNER).await;
    world
        .wait("the card to say it", |world| {
            world.sim.message(&card.id).text().contains("Dismissed by Wang").then_some(())
        })
        .await;
    assert_eq!(json(&world, &["routine", "--json"]), Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_make_routines_and_a_group_sees_its_own() {
    let world = with_owner(Kind::Embedded).await;
    let opened = world.sim.say(GROUP, OWNER, "@bot /allow");
    world.answer(&opened).await;
    add(&world, "private", "schedule: every 1h\nprompt: \"[[say secret]]\"\n");
    let asked = world.sim.say(GROUP, LI, "@bot /routine add every 2 hours [[say tick]]");
    assert!(world.answer(&asked).await.said().contains("Only Wang can do that"));
    let list = world.sim.say(GROUP, LI, "@bot /routine");
    assert!(world.answer(&list).await.said().contains("No routines here"));
    let made = world.sim.say(GROUP, OWNER, "@bot /routine add every 2 hours [[say tick]]");
    let card = world.card_with(&made, "Create").await;
    let toast = world.sim.click(&card.id, "Create", LI).await;
    assert!(toast.to_string().contains("Wang"), "{toast}");
    assert_eq!(json(&world, &["routine", "--json"]).as_array().unwrap().len(), 1);
    world.sim.click(&card.id, "Create", OWNER).await;
    let list = world.sim.say(GROUP, LI, "@bot /routine");
    let shown = world.wait("the list", |world| world.cards(&list).pop()).await;
    assert!(shown.text().contains("say-tick") && !shown.text().contains("private"), "{}", shown.text());
    let hidden = world.sim.say(GROUP, OWNER, "@bot /routine show private");
    assert!(world.answer(&hidden).await.said().contains("There is no routine"));
    world.warp(2 * HOUR).await;
    let in_group = |world: &World| {
        world
            .sim
            .messages(GROUP)
            .into_iter()
            .find(|message| message.by_bot() && message.text().contains("Routine say-tick"))
    };
    world.wait("the run to be told", in_group).await;
    world.wait("the other one", |world| told(world, "secret").pop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_goes_on_in_the_directory_of_a_routine() {
    let world = with_owner(Kind::Embedded).await;
    let opened = world.sim.say(GROUP, OWNER, "@bot /allow");
    world.answer(&opened).await;
    let to = format!("to: {{channel: feishu, chat: {GROUP}}}");
    add(&world, "report", &format!("schedule: every 1d\nprompt: \"[[say numbers]]\"\n{to}\n"));
    assert!(world.run(&["routine", "run", "report"]).1);
    let numbers = |world: &World| {
        let of_bot = world.sim.messages(GROUP).into_iter().filter(SimMessage::by_bot);
        of_bot.into_iter().find(|message| message.text().contains("numbers"))
    };
    let said = world.wait("the run to be told", numbers).await;
    for (user, words) in [(LI, "[[say theirs]]"), (OWNER, "[[say mine]]")] {
        let asked = world.sim.reply(&said.id, user, &format!("@bot {words}"));
        world.answer(&asked).await;
    }
    let works_at_home = |title: &str| {
        let turns = json(&world, &["turns", "--json"]);
        let turn =
            turns.as_array().unwrap().iter().find(|turn| turn["title"].as_str().unwrap().contains(title)).cloned();
        let id = turn.expect("a turn")["id"].as_str().unwrap().to_owned();
        let directory = json(&world, &["turns", "show", &id, "--json"])["directory"].as_str().unwrap().to_owned();
        directory.ends_with("ally/assistant")
    };
    assert!(works_at_home("report") && works_at_home("mine"), "whose it is goes on with it");
    assert!(!works_at_home("theirs"), "the notes and the memory there are the owner's");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_task_that_is_over_stands_in_the_archive_once() {
    let world = with_owner(Kind::Embedded).await;
    add(&world, "check", "schedule: every 1h\nprompt: \"[[shell echo hi]] [[say all is well]]\"\nautonomy: edit\n");
    assert!(world.run(&["routine", "run", "check"]).1);
    ran(&world, "check", 1).await;
    let lines = |world: &World| -> Vec<Value> {
        let mut folders = vec![world.file("ally/archive")];
        let mut lines = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    path => {
                        let text = std::fs::read_to_string(path).unwrap();
                        lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
                    }
                }
            }
        }
        lines
    };
    let found = world.wait("both to be archived", |world| Some(lines(world)).filter(|lines| lines.len() == 2)).await;
    let of_routine = found.iter().find(|line| line["routine"]["name"] == "check").expect("the run");
    assert_eq!(of_routine["outcome"], "completed", "{of_routine}");
    assert!(of_routine["answer"].as_str().unwrap().contains("all is well"), "{of_routine}");
    assert_eq!(of_routine["steps"][0]["what"], "command", "{of_routine}");
    assert_eq!(of_routine["requester"]["name"], "Wang", "{of_routine}");
    // What was lost comes back from the ledger.
    std::fs::remove_dir_all(world.file("ally/archive")).unwrap();
    let report = json(&world, &["archive", "rebuild", "--json"]);
    assert_eq!(report["turns"], 2, "{report}");
    let again = lines(&world);
    assert_eq!(again.len(), 2);
    assert!(again.contains(of_routine), "{again:?}");
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say three]]");
    world.answer(&next).await;
    world.wait("the third", |world| (lines(world).len() == 3).then_some(())).await;
}
