//! The scripted model in front of the real codex: every directive does what it says.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

/// A codex of one's own with a scripted model of one's own.
struct Codex {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    thread: String,
    root: PathBuf,
    base: String,
    model: CancellationToken,
}

impl Codex {
    async fn start(name: &str) -> Codex {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        // The home must not lie below codex's TMPDIR.
        for dir in ["home", "tmp", "work"] {
            std::fs::create_dir_all(root.join(dir)).expect("a directory");
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let model = CancellationToken::new();
        tokio::spawn(ally::demo::serve(listener, model.clone()));
        let config = ally::demo::codex_config(&format!("{base}/v1"));
        std::fs::write(root.join("home/config.toml"), config).expect("a configuration");
        let mut child = Command::new(crate::support::world::codex_program())
            .args(["app-server", "--strict-config"])
            // Login shells read the profile of whoever HOME is.
            .env("HOME", &root)
            .env("CODEX_HOME", root.join("home"))
            .env("TMPDIR", root.join("tmp"))
            .current_dir(root.join("work"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("codex starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut codex = Codex { child, stdin, stdout, thread: String::new(), root, base, model };
        codex.call("initialize", json!({ "clientInfo": { "name": "test", "version": "1" } })).await;
        codex.send(json!({ "method": "initialized" })).await;
        let params = json!({ "cwd": codex.work(), "approvalPolicy": "on-request", "sandbox": "workspace-write" });
        let started = codex.call("thread/start", params).await;
        codex.thread = started["result"]["thread"]["id"].as_str().expect("a thread id").to_owned();
        codex
    }

    fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    async fn send(&mut self, message: Value) {
        self.stdin.write_all(format!("{message}\n").as_bytes()).await.expect("codex reads");
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(json!({ "id": method, "method": method, "params": params })).await;
        self.until(|message| message["id"] == method).await
    }

    /// Reads on to the first message that fits.
    async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Vec::new();
        let reading = async {
            while let Some(line) = self.stdout.next_line().await.expect("codex writes") {
                let message: Value = serde_json::from_str(&line).expect("a JSON line");
                if fits(&message) {
                    return Some(message);
                }
                seen.push(line);
            }
            None
        };
        let found = tokio::time::timeout(PATIENCE, reading).await;
        found.ok().flatten().unwrap_or_else(|| panic!("not seen in:\n{}", seen.join("\n")))
    }

    async fn submit(&mut self, text: &str) {
        let input = json!([{ "type": "text", "text": text }]);
        let answer = self.call("turn/start", json!({ "threadId": self.thread, "input": input })).await;
        assert!(answer["result"]["turn"]["id"].is_string(), "{answer}");
    }

    /// The finished turn and its items.
    async fn ended(&mut self) -> (Value, Vec<Value>) {
        let ended = self.until(|message| message["method"] == "turn/completed").await;
        let params = json!({ "threadId": self.thread, "includeTurns": true });
        let read = self.call("thread/read", params).await;
        let turns = read["result"]["thread"]["turns"].as_array().expect("turns").clone();
        let items = turns.last().expect("a turn")["items"].as_array().expect("items").clone();
        (ended["params"]["turn"].clone(), items)
    }

    /// Plays `text` to its end, which must be a good one.
    async fn play(&mut self, text: &str) -> Vec<Value> {
        self.submit(text).await;
        self.completed().await
    }

    async fn completed(&mut self) -> Vec<Value> {
        let (turn, items) = self.ended().await;
        assert_eq!(turn["status"], "completed", "{turn}");
        items
    }

    async fn stop(mut self) {
        drop(self.stdin);
        let _ = self.child.start_kill();
        self.child.wait().await.expect("codex ends");
        self.model.cancel();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn answer(items: &[Value]) -> &str {
    items.iter().rev().find_map(|item| (item["type"] == "agentMessage").then(|| item["text"].as_str())?).expect("text")
}

#[tokio::test]
async fn words_commands_and_patches() {
    let mut codex = Codex::start("tools").await;
    let items = codex.play("hello").await;
    assert!(answer(&items).starts_with("Hello! I am the scripted model"), "{items:?}");

    let items = codex.play("[[say looking]] [[shell echo hi > f]] [[stream 3 1]]").await;
    assert_eq!(std::fs::read_to_string(codex.work().join("f")).expect("written"), "hi\n", "{items:?}");
    assert_eq!(answer(&items), "w1 w2 w3 ");

    let items = codex.play("[[patch a.txt hello]]").await;
    assert_eq!(std::fs::read_to_string(codex.work().join("a.txt")).expect("written"), "hello\n", "{items:?}");
    let again = codex.play("[[patch a.txt other words]] [[say written]]").await;
    assert_eq!(std::fs::read_to_string(codex.work().join("a.txt")).expect("written"), "other words\n", "{again:?}");
    assert_eq!(answer(&again), "written");

    let stats: Value = reqwest::Client::new()
        .get(format!("{}/stats", codex.base))
        .send()
        .await
        .expect("stats")
        .json()
        .await
        .expect("JSON");
    assert_eq!(stats["by_last_user_text"]["hello"], 1, "{stats}");
    codex.stop().await;
}

#[tokio::test]
async fn leaving_the_sandbox_asks_first() {
    let mut codex = Codex::start("escalate").await;
    let outside = codex.root.join("outside");
    for (decision, runs) in [("decline", false), ("accept", true)] {
        codex.submit(&format!("[[escalate touch {}]] [[say after]]", outside.display())).await;
        let asked = codex.until(|message| message["method"] == "item/commandExecution/requestApproval").await;
        assert!(asked["params"]["command"].as_str().is_some_and(|command| command.contains("touch")), "{asked}");
        codex.send(json!({ "id": asked["id"], "result": { "decision": decision } })).await;
        let items = codex.completed().await;
        assert_eq!(outside.exists(), runs, "{decision}: {items:?}");
        assert_eq!(answer(&items), "after");
    }
    codex.stop().await;
}

#[tokio::test]
async fn questions_reach_a_person() {
    let mut codex = Codex::start("ask").await;
    for (script, options, secret) in
        [("[[ask Which?|Alpha|Beta]]", 2, false), ("[[ask Why?]]", 1, false), ("[[secret Token?]]", 1, true)]
    {
        codex.submit(script).await;
        let asked = codex.until(|message| message["method"] == "item/tool/requestUserInput").await;
        let question = &asked["params"]["questions"][0];
        assert_eq!(question["options"].as_array().map_or(0, Vec::len), options, "{asked}");
        assert_eq!(question["isSecret"], secret, "{asked}");
        let answers = json!({ "q1": { "answers": ["Beta"] } });
        codex.send(json!({ "id": asked["id"], "result": { "answers": answers } })).await;
        assert_eq!(answer(&codex.completed().await), "Done.");
    }
    codex.stop().await;
}

#[tokio::test]
async fn faults_fail_the_turn() {
    let mut codex = Codex::start("faults").await;
    for (script, info) in [
        ("[[fail 500]]", json!("internalServerError")),
        ("[[http 401]]", json!({ "httpConnectionFailed": { "httpStatusCode": 401 } })),
        ("[[http 429]]", json!({ "responseTooManyFailedAttempts": { "httpStatusCode": 429 } })),
        ("[[usage_limit]]", json!("usageLimitExceeded")),
        ("[[say half]] [[cut]]", json!("other")),
    ] {
        codex.submit(script).await;
        let (turn, _) = codex.ended().await;
        assert_eq!(turn["status"], "failed", "{turn}");
        assert_eq!(turn["error"]["codexErrorInfo"], info, "{turn}");
    }
    codex.submit("[[say half]] [[hang]]").await;
    let delta = codex.until(|message| message["method"] == "item/agentMessage/delta").await;
    assert_eq!(delta["params"]["delta"], "half");
    let params = json!({ "threadId": codex.thread, "turnId": delta["params"]["turnId"] });
    codex.call("turn/interrupt", params).await;
    let (turn, _) = codex.ended().await;
    assert_eq!(turn["status"], "interrupted");
    assert_eq!(answer(&codex.play("[[say well again]]").await), "well again");
    codex.stop().await;
}

#[tokio::test]
async fn a_steer_is_answered() {
    let mut codex = Codex::start("steer").await;
    codex.submit("[[stream 400 50]]").await;
    let delta = codex.until(|message| message["method"] == "item/agentMessage/delta").await;
    let params = json!({
        "threadId": codex.thread,
        "expectedTurnId": delta["params"]["turnId"],
        "input": [{ "type": "text", "text": "[[say steered]]" }],
    });
    codex.call("turn/steer", params).await;
    assert_eq!(answer(&codex.completed().await), "steered");
    codex.stop().await;
}
