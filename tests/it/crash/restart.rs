//! `ally restart` while everything is under way: another bridge goes on with all of it, and the terminal says so; and
//! `ally restart --all`, which cuts what runs and says that, too.

use std::process::Stdio;

use serde_json::json;

use super::death::find;
use super::held::{assert_answered_once, assert_nothing_was_told, workspaces};
use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

const SETTINGS: &str = "[conversation]\nparallel = 8\n[turn]\ngrace = \"1s\"\n";
const TOOL: &str = "oc_tool";
const REQUEST: &str = "oc_request";
const QUESTION: &str = "oc_question";
const SECRET: &str = "oc_secret";
const CHATS: [&str; 4] = [TOOL, REQUEST, QUESTION, SECRET];

/// What a verb says to whoever runs it, and its exit code.
fn terminal(world: &World, args: &[&str]) -> (String, i32) {
    let output = world.ally(args).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), output.status.code().unwrap_or(-1))
}

/// Everything that may be under way at once.
struct Busy {
    text: String,
    queued: Vec<String>,
    tool: String,
    asked: Vec<(String, SimMessage)>,
}

impl Busy {
    /// In the words of the world's language: a request, a question and a secret.
    async fn begin(world: &World, labels: [&str; 3], tool_s: u32) -> Self {
        let say = |chat: &str, text: &str| world.sim.say(chat, OWNER, text);
        // Whoever cuts it must find it at work, however slow the machine is.
        let pause_ms = if tool_s >= 120 { 600 } else { 60 };
        let text = world.sim.say(OWNER_CHAT, OWNER, &format!("[[stream 160 {pause_ms}]]"));
        let command = format!("echo n1 >> nonces.txt; sleep {tool_s}; echo n2 >> nonces.txt");
        let tool = say(TOOL, &format!("[[shell {command}]] [[say done]]"));
        let approved = world.file("approved.txt");
        let asked = [
            say(REQUEST, &format!("[[escalate echo n1 >> {}]] [[say allowed]]", approved.display())),
            say(QUESTION, "[[ask Which one?|Alpha|Beta]] [[say thanks]]"),
            say(SECRET, "[[secret Which token?]] [[say got it]]"),
        ];
        let mut cards = Vec::new();
        for (message, label) in asked.iter().zip(labels) {
            cards.push((message.clone(), world.card_with(message, label).await));
        }
        world.wait("the tool's effect", |world| find(&workspaces(world), "nonces.txt")).await;
        world.wait("the text to stream", |world| (world.status()?["turns"]["running"] == 2).then_some(())).await;
        let queued = (0..2).map(|n| world.sim.say(OWNER_CHAT, OWNER, &format!("[[say queued {n}]]"))).collect();
        world.wait("the queue", |world| (world.status()?["turns"]["queued"] == 2).then_some(())).await;
        world.settled_surfaces().await;
        Self { text, queued, tool, asked: cards }
    }

    fn all(&self) -> Vec<&String> {
        let asked = self.asked.iter().map(|(message, _)| message);
        [&self.text, &self.tool].into_iter().chain(asked).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_under_way_is_cut_and_the_terminal_says_so() {
    let mut world = World::prepare(Kind::Codex, SETTINGS).await;
    world.add_chats(&CHATS);
    world.up().await;
    let busy = Busy::begin(&world, ["Allow once", "2 Beta", "Send"], 8).await;
    let before = ["supervisor", "bridge", "runtime"].map(|which| world.pid(which).unwrap());
    let (said, code) = terminal(&world, &["restart"]);
    let went_on = "ally is restarted, and no task was interrupted (running 2, waiting for a person 3, queued 2)";
    assert!(code == 0 && said.contains(went_on), "{said}");
    world.ready().await;
    let after = ["supervisor", "bridge", "runtime"].map(|which| world.pid(which).unwrap());
    assert!(before[0] == after[0] && before[1] != after[1] && before[2] == after[2], "{before:?} {after:?}");
    let forms = [json!(null), json!(null), json!({ "t0": "hunter2" })];
    for ((_, card), (label, form)) in busy.asked.iter().zip(["Allow once", "2 Beta", "Send"].into_iter().zip(forms)) {
        let now = world.sim.message(&card.id);
        assert_eq!(now.button(label), card.button(label), "the same button");
        world.sim.click_value(&card.id, OWNER, card.button(label).unwrap(), form).await;
    }
    let queued: Vec<String> = (0..2).map(|n| format!("queued {n}")).collect();
    let words = ["w160", "done", "allowed", "thanks", "got it"].into_iter().chain(queued.iter().map(String::as_str));
    for (message, word) in busy.all().into_iter().chain(&busy.queued).zip(words) {
        assert_answered_once(&world, message, word).await;
    }
    world.assert_nothing_runs_on_cards(&CHATS);
    let both = [("n1".to_owned(), 1), ("n2".to_owned(), 1)].into();
    assert_eq!(world.nonces(&find(&workspaces(&world), "nonces.txt").unwrap()), both);
    assert_eq!(world.nonces(&world.file("approved.txt")), [("n1".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_all_cuts_what_runs_and_says_what_it_cuts() {
    let mut world = World::prepare(Kind::Codex, SETTINGS).await;
    world.add_chats(&CHATS);
    world.up().await;
    let busy = Busy::begin(&world, ["Allow once", "2 Beta", "Send"], 120).await;
    let (said, code) = terminal(&world, &["restart", "--all"]);
    let told =
        ["running tasks; they get 1 s", "waiting for a person; interrupted", "2 queued tasks are kept", "is running"];
    assert!(code == 0 && told.iter().all(|words| said.contains(words)), "{said}");
    world.ready().await;
    for message in busy.all() {
        let card = world.card_with(message, "Continue").await;
        assert!(card.text().contains("shut down"), "why it was cut: {}", card.text());
        world.sim.click(&card.id, "Dismiss", OWNER).await;
    }
    for (n, message) in busy.queued.iter().enumerate() {
        assert_answered_once(&world, message, &format!("queued {n}")).await;
    }
    for (message, card) in &busy.asked {
        assert!(world.sim.message(&card.id).text().contains("did not run"), "{}", world.sim.message(&card.id).text());
        assert_eq!(world.answers(message).len(), 0);
    }
    // That one left our hands: it is ended here.
    assert!(world.run(&["stop"]).1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_in_chinese_as_well() {
    let mut world = World::prepare_in("zh", Kind::Codex, SETTINGS).await;
    world.add_chats(&CHATS);
    world.up().await;
    let busy = Busy::begin(&world, ["允许一次", "2 Beta", "发送"], 120).await;
    let (said, code) = terminal(&world, &["restart"]);
    assert!(code == 0 && said.contains("ally 已重启，任务都没有中断（进行中 2，等人回答 3，排队 2）"), "{said}");
    world.ready().await;
    busy.all().into_iter().for_each(|message| assert_nothing_was_told(&world, message));
    let (said, code) = terminal(&world, &["restart", "--all"]);
    let told = ["进行中的任务，最多再等 1 秒", "等人回答的任务会中断", "2 个排队的任务会保留", "ally 已启动"];
    assert!(code == 0 && told.iter().all(|words| said.contains(words)), "{said}");
    world.ready().await;
    for message in busy.all() {
        world.card_with(message, "继续").await;
    }
    // That one left our hands: it is ended here.
    assert!(world.run(&["stop"]).1);
}
