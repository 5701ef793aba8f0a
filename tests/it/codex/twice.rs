//! A request that is answered twice, as by a bridge that does not know whether its predecessor's answer arrived.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::runtimes::{PATIENCE, Site};
use crate::support::world::codex_program;

/// codex as it is, line by line.
struct Raw {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Raw {
    fn start(site: &Site) -> Self {
        let mut child = Command::new(codex_program())
            .arg("app-server")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", site.root.join("user"))
            .env("CODEX_HOME", site.root.join("codex"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, stdin, lines: BufReader::new(stdout).lines() }
    }

    async fn say(&mut self, message: Value) {
        self.stdin.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn until(&mut self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let hear = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("codex lives");
                let message: Value = serde_json::from_str(&line).unwrap();
                if good(&message) {
                    return message;
                }
            }
        };
        tokio::time::timeout(PATIENCE, hear).await.unwrap_or_else(|_| panic!("no {what}"))
    }

    async fn call(&mut self, id: i64, method: &str, params: Value) -> Value {
        self.say(json!({ "id": id, "method": method, "params": params })).await;
        self.until(method, |message| message["id"] == id && message.get("method").is_none()).await
    }
}

#[tokio::test]
async fn a_second_answer_does_no_harm() {
    let site = Site::new("twice").await;
    let mut codex = Raw::start(&site);
    let client = json!({ "clientInfo": { "name": "ally", "title": "ally", "version": "0" } });
    codex.call(1, "initialize", client).await;
    codex.say(json!({ "method": "initialized", "params": {} })).await;
    let settings = json!({ "cwd": site.work(), "approvalPolicy": "on-request", "sandbox": "read-only" });
    let thread = codex.call(2, "thread/start", settings).await["result"]["thread"]["id"].clone();
    let file = site.root.join("effect");
    // Ids as high as those of a later bridge.
    let high = (3i64 << 32) + 1;
    for (n, late) in [(0, false), (1, true)] {
        let text = format!("[[escalate echo n{n} >> {}]] [[say done]]", file.display());
        let input = json!([{ "type": "text", "text": text }]);
        codex.call(high + n, "turn/start", json!({ "threadId": thread, "input": input })).await;
        let asked =
            codex.until("request", |message| message.get("method").is_some() && message.get("id").is_some()).await;
        let answer = json!({ "id": asked["id"], "result": { "decision": "accept" } });
        codex.say(answer.clone()).await;
        if late {
            codex.until("end of the request", |message| message["method"] == "serverRequest/resolved").await;
        }
        // Another word than the first: that one holds.
        codex.say(json!({ "id": asked["id"], "result": { "decision": "decline" } })).await;
        let ended = codex.until("end", |message| message["method"] == "turn/completed").await;
        assert_eq!(ended["params"]["turn"]["status"], "completed", "{ended}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "n0\nn1\n", "each ran once");
}
