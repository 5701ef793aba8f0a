//! Proof of the simulator: the official Node SDK talks to it as it would to the platform.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::rig::{GROUP, TOM, world};
use crate::support::feishu_sim::{APP_ID, APP_SECRET, FeishuSim};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node")
}

/// Installs the locked packages once.
async fn install() {
    if folder().join("node_modules/@larksuiteoapi/node-sdk/package.json").exists() {
        return;
    }
    let installing = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder())
        .kill_on_drop(true)
        .output();
    let installed = tokio::time::timeout(Duration::from_secs(300), installing).await;
    let installed = installed.expect("npm ci ends").expect("npm is there");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
}

#[tokio::test]
async fn the_official_sdk_takes_the_simulator_for_the_platform() {
    install().await;
    let sim = world().await;
    let files = tempfile::tempdir().expect("a directory");
    let mut child = Command::new("node")
        .arg(folder().join("sdk.js"))
        .args([&sim.base_url(), APP_ID, APP_SECRET, GROUP])
        .arg(files.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is there");
    let told = collect(child.stdout.take().expect("piped"));
    let errors = collect(child.stderr.take().expect("piped"));
    let line = |what: &'static str| {
        let (told, errors) = (Arc::clone(&told), Arc::clone(&errors));
        let sim = sim.clone();
        async move {
            let find = |_: &FeishuSim| {
                let lines = told.lock().expect("not poisoned");
                let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                parsed.into_iter().find(|line| line["what"] == what)
            };
            let waiting = tokio::time::timeout(Duration::from_secs(18), sim.wait_for(what, find));
            waiting.await.unwrap_or_else(|_| panic!("no {what}: {:?}", errors.lock().expect("not poisoned")))
        }
    };

    line("done").await;
    check_rest(&sim, &line).await;

    sim.wait_connected(1).await;
    let message = sim.say(GROUP, TOM, "@bot hello");
    let ack = sim.wait_ack(&message).await;
    assert_eq!(ack.code, 200);
    let heard = line("message").await;
    assert_eq!(heard["message"], message);
    assert_eq!(heard["content"], r#"{"text":"@_user_1 hello"}"#);
    assert_eq!(heard["sender"], TOM);
    let card = line("patch").await["message"].as_str().expect("an id").to_owned();
    let shown = sim.click(&card, "Allow", TOM).await;
    assert_eq!(shown, json!({"toast": {"type": "success", "content": "clicked"}}));
    assert_eq!(line("click").await["value"], json!({"b": "0123456789abcdef0123456789abcdef"}));

    drop(child.stdin.take());
    let ended = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
    assert!(ended.expect("it ends with its input").expect("waited").success());
}

async fn check_rest<F: Future<Output = Value>>(sim: &FeishuSim, line: &impl Fn(&'static str) -> F) {
    let created = line("create").await["message"].clone();
    assert_eq!(line("repeat").await["message"], created, "one uuid, one message");
    let reply = line("reply").await;
    assert_eq!(reply["parent"], created);
    assert!(reply["thread"].as_str().is_some_and(|thread| thread.starts_with("omt_")));
    for what in ["create", "repeat", "reply", "patch", "react", "unreact", "list"] {
        assert_eq!(line(what).await["code"], 0, "{what}");
    }
    let card = sim.message(line("patch").await["message"].as_str().expect("an id"));
    assert!(card.text().contains("after") && card.history[0].contains("before"));
    assert_eq!(line("file").await["content"], "uploaded by the SDK");
    assert_eq!(line("refused").await["code"], 230002);
}

fn collect(from: impl tokio::io::AsyncRead + Unpin + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&all);
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            into.lock().expect("not poisoned").push(line);
        }
    });
    all
}
