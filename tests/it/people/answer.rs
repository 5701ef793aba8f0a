//! Questions of the agent: answered on their card or on the computer, and what is secret is kept nowhere.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::world::*;

/// Runs a command with these words in its stdin; gives its exit code and all that it printed.
fn feed(mut command: Command, words: &str) -> (i32, String) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // One that refuses before it reads has closed its end.
    let _ = child.stdin.take().unwrap().write_all(words.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// Files below a folder that hold these bytes.
pub(crate) fn holding(folder: &Path, words: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    // Folders come and go beside this.
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(holding(&path, words)),
            Ok(kind) if kind.is_file() => {
                let bytes = std::fs::read(&path).unwrap_or_default();
                if bytes.windows(words.len()).any(|window| window == words.as_bytes()) {
                    found.push(path);
                }
            }
            _ => {}
        }
    }
    found
}

/// Nothing of ally's own holds these words, and nothing that the chats ever showed.
pub(crate) fn assert_kept_nowhere(world: &World, words: &str) {
    let home = world.home.path().join("ally");
    // The ledger with its write-ahead log, the logs, what is on its way out, attachments.
    let kept: Vec<_> = holding(&home, words).into_iter().filter(|path| !path.starts_with(home.join("codex"))).collect();
    assert!(kept.is_empty(), "{words:?} stands in {kept:?}");
    for message in [OWNER_CHAT, GROUP].iter().flat_map(|chat| world.sim.messages(chat)).filter(|one| one.by_bot()) {
        let shown = std::iter::once(&message.content).chain(&message.history);
        assert!(shown.into_iter().all(|content| !content.contains(words)), "{}", message.content);
    }
}

async fn secrets_are_kept_nowhere(kind: Kind) {
    const BY_CARD: &str = "hunter2-by-card";
    const BY_COMPUTER: &str = "hunter2-by-computer";
    let mut world = World::start(kind).await;
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[secret Which token?]] [[say got it]]");
    let card = world.card_with(&asked, "Send").await;
    assert!(card.text().contains("Safer: run `ally answer 1` on the computer"), "{}", card.text());
    world.sim.click_form(&card.id, "Send", OWNER, json!({ "t0": BY_CARD })).await;
    assert!(world.answer(&asked).await.said().contains("got it"));
    world.settled().await;
    assert!(world.sim.message(&card.id).text().contains("provided by Wang (not shown)"));
    assert_kept_nowhere(&world, BY_CARD);

    let asked = world.sim.say(GROUP, LI, "@bot [[secret Which token?]] [[say got it, too]]");
    let card = world.card_with(&asked, "Send").await;
    let (code, told) = feed(world.ally(&["answer", "1"]), &format!("{BY_COMPUTER}\n"));
    assert!(code == 0 && told.contains("Recorded") && !told.contains(BY_COMPUTER), "{told}");
    assert!(world.answer(&asked).await.said().contains("got it, too"));
    world.settled().await;
    let text = world.sim.message(&card.id).text();
    assert!(text.contains("provided by the owner, at the computer (not shown)"), "{text}");
    let (audit, _) = world.run(&["audit"]);
    assert!(audit.contains("at the computer  decided: answered"), "{audit}");
    world.down().await;
    for words in [BY_CARD, BY_COMPUTER] {
        assert_kept_nowhere(&world, words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_kept_nowhere() {
    secrets_are_kept_nowhere(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_for_codex_is_kept_nowhere() {
    secrets_are_kept_nowhere(Kind::Codex).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_computer_answers_the_question_that_is_meant() {
    let world = World::start(Kind::Embedded).await;
    let mine = world.sim.say(OWNER_CHAT, OWNER, "[[ask Which one?|Alpha|Beta]] [[say thanks]]");
    let theirs = world.sim.say(GROUP, LI, "@bot [[ask Which other?|Gamma|Delta]] [[say thanks, too]]");
    let request = world.sim.say(GROUP, LI, "@bot [[request ls -la]] [[say never]]");
    let cards = [world.card_with(&mine, "2 Beta").await, world.card_with(&theirs, "2 Delta").await];
    world.card_with(&request, "Allow once").await;
    let (listed, _) = world.run(&["answer"]);
    assert!(listed.contains("Which one?") && listed.contains("Which other?") && !listed.contains("ls -la"), "{listed}");

    // Numbers count in each conversation: which one is meant must be said.
    let (code, told) = feed(world.ally(&["answer", "1"]), "2\n");
    assert!(code == 1 && told.contains("several conversations") && told.contains("--conversation"), "{told}");
    for (args, words, want) in [
        (&["answer", "7"][..], "2\n", "no open question has the number 7"),
        (&["answer", "1", "--chat", OWNER_CHAT], "\n", "no answer was given"),
    ] {
        let (code, told) = feed(world.ally(args), words);
        assert!(code == 1 && told.contains(want), "{args:?}: {told}");
    }

    // Neither does an agent answer, whatever it takes out of its environment.
    let mut agent = Command::new("sh");
    let line = r#"env -u ALLY_GENERATION "$0" answer 1 --chat oc_owner; exit $?"#;
    let ally = world.ally(&[]);
    agent.args(["-c", line, env!("CARGO_BIN_EXE_ally")]).env_clear();
    agent.envs(ally.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("ALLY_GENERATION", "x:1");
    let (code, told) = feed(agent, "2\n");
    assert!(code == 1 && told.contains("below a runtime"), "{told}");
    let waiting: Value = serde_json::from_str(&world.run(&["answer", "--json"]).0).unwrap();
    assert_eq!(waiting.as_array().unwrap().len(), 2, "{waiting}");

    let (code, told) = feed(world.ally(&["answer", "1", "--chat", OWNER_CHAT, "--json"]), "2\n");
    let report: Value = serde_json::from_str(&told).unwrap();
    assert!(code == 0 && report["gate"].is_string(), "{told}");
    world.answer(&mine).await;
    let id = waiting.as_array().unwrap().iter().find(|row| row["chat"] == GROUP).unwrap()["conversation"].clone();
    let (code, told) = feed(world.ally(&["answer", "#1", "--conversation", id.as_str().unwrap()]), "2\n");
    assert_eq!(code, 0, "{told}");
    world.answer(&theirs).await;
    world.settled_surfaces().await;
    for (card, want) in cards.iter().zip(["the owner, at the computer: Beta", "the owner, at the computer: Delta"]) {
        let text = world.sim.message(&card.id).text();
        assert!(text.contains(want), "{text}");
    }
    // A request is decided where all of it can be seen.
    let (code, told) = feed(world.ally(&["answer", "1"]), "y\n");
    assert!(code == 1 && told.contains("is a request to allow, not a question"), "{told}");
}
