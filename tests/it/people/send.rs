//! `ally send`: what people and scripts send from the computer.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

/// What the bot says in a chat that answers nothing.
fn sent(world: &World, chat: &str) -> Vec<SimMessage> {
    let mut messages = world.sim.messages(chat);
    messages.retain(|message| message.by_bot() && message.replied_to.is_none() && message.msg_type != "interactive");
    messages
}

fn refused(world: &World, args: &[&str]) -> String {
    let output = world.ally(args).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_from_the_computer_arrives_where_it_was_meant() {
    let world = World::start(Kind::Embedded).await;
    // Nobody has written to the bot yet.
    let told = refused(&world, &["send", "hello"]);
    assert!(told.contains("the owner has no chat with the bot on feishu yet") && told.contains("ally pair"), "{told}");
    let unknown = refused(&world, &["send", "--to", &format!("feishu:{GROUP}"), "hello"]);
    assert!(unknown.contains(&format!("ally knows no chat {GROUP} on feishu")), "{unknown}");
    world.answer(&world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]")).await;
    world.answer(&world.sim.say(GROUP, LI, "@bot [[say hello]]")).await;

    let (out, well) = world.run(&["send", "--json", "the **backup** is done"]);
    assert!(well, "{out}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["channel"], &report["chat"]), (&json!("feishu"), &json!(OWNER_CHAT)));
    assert_eq!(report["messages"].as_array().unwrap().len(), 1);
    let message = world.wait("the message", |world| sent(world, OWNER_CHAT).pop()).await;
    assert_eq!(message.text(), "the **backup** is done", "it is Markdown");

    let file = world.file("report.txt");
    std::fs::write(&file, "42").unwrap();
    let mut piped = world
        .ally(&["send", "--to", &format!("feishu:{GROUP}"), "--file", file.to_str().unwrap(), "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all("from a pipe\n".as_bytes()).unwrap();
    assert!(piped.wait().unwrap().success());
    let both = world.wait("both", |world| Some(sent(world, GROUP)).filter(|sent| sent.len() == 2)).await;
    assert_eq!(both[0].text(), "from a pipe");
    assert_eq!(world.sim.resource_of(&both[1]), Some(("report.txt".to_owned(), b"42".to_vec())));
    world.settled().await;

    assert!(refused(&world, &["send"]).contains("--file"));
    assert!(refused(&world, &["send", " "]).contains("neither a text nor a file"));
    assert!(refused(&world, &["send", "--to", "oc_1", "x"]).contains("feishu:oc_"));
    let none = world.file("none.txt");
    let told = refused(&world, &["send", "--file", none.to_str().unwrap()]);
    assert!(told.contains("none.txt cannot be sent: there is no such file"), "{told}");
    let marked = world.ally(&["send", "x"]).env("ALLY_GENERATION", "x:1").output().unwrap();
    assert!(String::from_utf8_lossy(&marked.stderr).contains("below a runtime"), "{marked:?}");
    assert_eq!(sent(&world, OWNER_CHAT).len() + sent(&world, GROUP).len(), 3);
    let audit = world.run(&["audit", "--since", "1d"]).0;
    assert_eq!(audit.matches("at the computer").count(), 2, "{audit}");
    assert!(audit.contains("sent a message"), "{audit}");

    let mut world = world;
    world.down().await;
    let output = world.ally(&["send", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
}
