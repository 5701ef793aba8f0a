//! The pump with recorded lines, and with a child that only a script plays.

use std::ffi::OsString;

use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, Lines};

use super::*;
use crate::domain::gate::Ask;
use crate::runtimes::process::{self, Spawn, Spawned};

const FILE_CHANGE: &str = include_str!("../../../../tests/fixtures/codex/file-change-approval.jsonl");

fn config(dir: &Path) -> CodexConfig {
    CodexConfig {
        bin: None,
        runtimes_dir: dir.join("runtimes"),
        home: dir.join("home"),
        tmp_dir: dir.join("tmp"),
        run_dir: dir.join("run"),
        private: Vec::new(),
        private_families: Vec::new(),
        args: Vec::new(),
        model: None,
        sandbox: None,
        approval_policy: None,
        path: None,
        env: Vec::new(),
        tools: None,
    }
}

/// A pump without a process, and what it writes.
struct Bench {
    pump: Pump,
    facts: mpsc::Receiver<Envelope>,
    written: Lines<BufReader<DuplexStream>>,
    _tasks: Tasks,
    _reader: DuplexStream,
}

fn bench() -> Bench {
    bench_of(config(Path::new("x")), false)
}

fn bench_of(config: CodexConfig, has_forgotten: bool) -> Bench {
    let tasks = Tasks::default();
    let (near_in, far_in) = tokio::io::duplex(1 << 16);
    let (near_out, far_out) = tokio::io::duplex(1 << 16);
    let (inbox, _) = mpsc::channel(1);
    let peer = Peer::start(near_in, near_out, false, &tasks, inbox);
    let shared = Shared {
        program: "/opt/codex/bin/codex".into(),
        loaded: Mutex::default(),
        config,
        peer,
        asked: Mutex::default(),
        warnings: Mutex::default(),
        models: Mutex::default(),
        stopping: CancellationToken::new(),
        ended: CancellationToken::new(),
        version: "0".to_owned(),
        kept: None,
        attached: false,
        has_forgotten,
    };
    let (sender, facts) = mpsc::channel(64);
    let pump = Pump::new(Arc::new(shared), sender, Generation(1));
    Bench { pump, facts, written: BufReader::new(far_out).lines(), _tasks: tasks, _reader: far_in }
}

impl Bench {
    async fn take(&mut self, mut message: Value) {
        let method = message["method"].as_str().unwrap().to_owned();
        let params = message["params"].take();
        let message = match message.get("id").cloned() {
            Some(id) => Incoming::Request { id, method, params },
            None => Incoming::Notification { method, params },
        };
        self.pump.take(message).await;
    }

    async fn written(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(20), self.written.next_line()).await.unwrap();
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_file_change_is_asked_with_its_diff() {
    let mut bench = bench();
    for line in FILE_CHANGE.lines() {
        bench.take(serde_json::from_str(line).unwrap()).await;
    }
    drop(bench.pump);
    let mut gates = Vec::new();
    while let Some(envelope) = bench.facts.recv().await {
        if let Fact::GateOpened(gate) = envelope.fact {
            gates.push(gate.ask);
        }
    }
    let [Ask::FileChange { changes, .. }] = &gates[..] else { panic!("{gates:?}") };
    assert_eq!((changes[0].kind.as_str(), changes[0].diff.as_str()), ("add", "line1\nline2\n"));
}

#[tokio::test]
async fn a_patched_change_is_asked_as_it_is_now() {
    let mut bench = bench();
    bench
        .take(json!({ "method": "item/started", "params": { "threadId": "T",
            "item": { "type": "fileChange", "id": "f", "changes": [{ "path": "a", "diff": "old" }] } } }))
        .await;
    bench
        .take(json!({ "method": "item/fileChange/patchUpdated", "params": { "threadId": "T", "itemId": "f",
            "changes": [{ "path": "a", "diff": "new" }] } }))
        .await;
    let request = json!({ "id": 1, "method": "item/fileChange/requestApproval",
        "params": { "threadId": "T", "itemId": "f" } });
    bench.take(request.clone()).await;
    let gate = loop {
        if let Fact::GateOpened(gate) = bench.facts.recv().await.unwrap().fact {
            break gate;
        }
    };
    assert!(matches!(&gate.ask, Ask::FileChange { changes, .. } if changes[0].diff == "new"));
    // Its turn ended without a word about the item; another thread's item of that id is another one.
    bench
        .take(json!({ "method": "turn/completed", "params": { "threadId": "T", "turn": { "id": "t", "status": "interrupted" } } }))
        .await;
    bench.take(request).await;
    assert_eq!(bench.written().await, json!({ "id": 1, "result": { "decision": "decline" } }));
}

#[tokio::test]
async fn nobody_is_asked_blindly() {
    let mut bench = bench();
    // The item of the recorded request was never seen.
    let recorded = FILE_CHANGE.lines().find(|line| line.contains("requestApproval")).unwrap();
    bench.take(serde_json::from_str(recorded).unwrap()).await;
    let decline = json!({ "decision": "decline" });
    assert_eq!(bench.written().await, json!({ "id": 1, "result": decline }));
    for (method, params, want) in [
        ("item/commandExecution/requestApproval", json!({ "command": ["rm"] }), decline.clone()),
        ("item/commandExecution/requestApproval", json!("odd"), decline.clone()),
        ("item/fileChange/requestApproval", json!({ "itemId": 5 }), decline),
        ("item/permissions/requestApproval", json!(null), json!({ "permissions": {}, "scope": "turn" })),
        ("item/tool/requestUserInput", json!({ "questions": "odd" }), json!({ "answers": {} })),
        (
            "mcpServer/elicitation/request",
            json!({ "mode": "url" }),
            json!({ "action": "cancel", "content": null, "_meta": null }),
        ),
    ] {
        bench.take(json!({ "id": "q", "method": method, "params": params })).await;
        assert_eq!(bench.written().await, json!({ "id": "q", "result": want }), "{method}");
    }
    bench.take(json!({ "id": 9, "method": "item/tool/call", "params": {} })).await;
    assert_eq!(bench.written().await["error"]["code"], -32601);
    assert!(bench.facts.try_recv().is_err(), "nothing was opened");
    assert!(bench.pump.shared.asked().is_empty());
}

#[tokio::test]
async fn defaults_instead_of_the_configuration_are_the_end() {
    let mut bench = bench();
    bench
        .take(json!({ "method": "configWarning", "params": { "summary": "one key is ignored", "details": null } }))
        .await;
    assert_eq!(bench.pump.fatal, None);
    assert_eq!(bench.pump.shared.warnings().as_slice(), ["one key is ignored"]);
    let params = json!({ "summary": "Invalid configuration; using defaults.", "details": "line 3" });
    bench.take(json!({ "method": "configWarning", "params": params })).await;
    assert_eq!(bench.pump.fatal.as_deref(), Some("Invalid configuration; using defaults. line 3"));
}

/// A session whose child is a shell script.
fn played(script: &str, dir: &Path, facts: mpsc::Sender<Envelope>) -> (Session, ProcessIdentity) {
    let tasks = Tasks::default();
    let spawn = Spawn {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), OsString::from("/usr/bin:/bin"))],
        directory: dir.to_owned(),
        run_dir: dir.join("run"),
    };
    let spec = SpawnSpec { generation: Generation(3), mark: format!("played-{}", uuid::Uuid::new_v4()) };
    std::fs::create_dir_all(&spawn.run_dir).unwrap();
    let Spawned { stdin, stdout, handle, .. } = process::spawn_own(&spawn, &spec, &tasks).unwrap();
    let identity = handle.identity.clone();
    let (inbox, incoming) = mpsc::channel(4);
    let peer = Peer::start(stdout, stdin, false, &tasks, inbox);
    let ready = Ready {
        program: "/opt/codex/bin/codex".into(),
        config: config(dir),
        peer,
        early: Vec::new(),
        incoming,
        handle,
        version: "0".to_owned(),
        warnings: Vec::new(),
        kept: None,
        tasks,
    };
    (Session::start(ready, facts), identity)
}

fn lives(identity: &ProcessIdentity) -> bool {
    identity.pid.and_then(process::start_time).is_some()
}

#[tokio::test]
async fn a_shutdown_ends_it_though_nobody_takes_the_facts() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, mut facts) = mpsc::channel(1);
    let line = r#"{"method":"turn/started","params":{"threadId":"T","turn":{"id":"t"}}}"#;
    let (session, identity) = played(&format!("while echo '{line}'; do :; done"), dir.path(), sender);
    facts.recv().await.unwrap();
    assert!(lives(&identity));
    session.shutdown().await;
    assert!(!lives(&identity));
}

#[tokio::test]
async fn invalid_configuration_at_any_time_ends_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, mut facts) = mpsc::channel(8);
    let line =
        r#"{"method":"configWarning","params":{"summary":"Invalid configuration; using defaults.","details":"x"}}"#;
    let (_session, identity) = played(&format!("echo '{line}'; cat"), dir.path(), sender);
    let envelope = tokio::time::timeout(Duration::from_secs(20), facts.recv()).await.unwrap().unwrap();
    assert_eq!(envelope.fact, Fact::Exited { detail: "Invalid configuration; using defaults. x".to_owned() });
    assert!(!lives(&identity));
}

#[tokio::test]
async fn absence_is_proven_by_the_cursor_only() {
    let dir = tempfile::tempdir().unwrap();
    // One page that ends at the thread's beginning, whatever is asked.
    let answer = r#"{"id":ID,"result":{"data":[{"id":"t2","status":"completed","items":[]},{"id":"t1","status":"completed","items":[]}],"nextCursor":null}}"#;
    let script = format!("n=1; while read -r _; do echo '{answer}' | sed \"s/ID/$n/\"; n=$((n+1)); done");
    let (sender, _facts) = mpsc::channel(8);
    let (session, _) = played(&script, dir.path(), sender);
    for (cursor, turns, reached) in
        [(None, 2, true), (Some("t1"), 1, true), (Some("t2"), 0, true), (Some("t0"), 2, false)]
    {
        let pull = Pull { thread: "T".into(), client: None, turn: None, cursor: cursor.map(NativeTurnId::from) };
        let history = session.pull(&pull).await.unwrap();
        assert_eq!((history.turns.len(), history.reached_cursor), (turns, reached), "{cursor:?}");
    }
    session.shutdown().await;
}

/// What a request of a thread is taken for: whether it leaves the sandbox, whether nobody can tell, and whether there is one.
async fn taken_for(bench: &mut Bench, thread: &str) -> (bool, bool, bool) {
    let params = json!({ "threadId": thread, "turnId": "t", "itemId": "i", "command": "touch x", "cwd": "/p" });
    bench.take(json!({ "id": 1, "method": "item/commandExecution/requestApproval", "params": params })).await;
    let Fact::GateOpened(gate) = bench.facts.recv().await.unwrap().fact else { panic!("a request") };
    let Ask::Command { outside_sandbox, unsure, .. } = gate.ask else { panic!("{:?}", gate.ask) };
    (outside_sandbox, unsure, bench.pump.shared.is_held(&ThreadId::new(thread)))
}

/// The next bridge may have other settings than the one that began the turn.
#[tokio::test]
async fn a_request_is_taken_for_what_it_was_when_its_turn_began() {
    let of = |approval: &str, sandbox: Option<&str>| {
        let (approval, sandbox) = (Some(approval.to_owned()), sandbox.map(str::to_owned));
        let (directory, profiles) = ("/p".into(), String::new());
        Loaded { directory, profiles, level: Level::Edit, approval, sandbox, left: Left::Nothing }
    };
    let begun = [
        ("asks", of("untrusted", None), (false, true, true)),
        ("open", of("on-request", Some("danger-full-access")), (true, false, false)),
        ("held", of("on-request", Some("workspace-write")), (true, false, true)),
    ];
    for [approval, sandbox] in [[None; 2], [Some("never"), Some("danger-full-access")], [Some("untrusted"), None]] {
        let settings = CodexConfig {
            approval_policy: approval.map(str::to_owned),
            sandbox: sandbox.map(str::to_owned),
            ..config(Path::new("x"))
        };
        let mut bench = bench_of(settings, false);
        for (thread, loaded, wanted) in &begun {
            bench.pump.shared.loaded().insert(ThreadId::new(*thread), loaded.clone());
            assert_eq!(taken_for(&mut bench, thread).await, *wanted, "{thread} with {approval:?} {sandbox:?}");
        }
    }
    let mut bench = bench_of(config(Path::new("x")), true);
    assert_eq!(taken_for(&mut bench, "of nobody knows what").await, (false, true, false));
}

#[tokio::test]
async fn what_a_former_ally_kept_claims_no_sandbox_that_nobody_knows_of() {
    let of = |profiles: &Value| -> Loaded {
        let kept = json!({ "directory": "/p", "profiles": mark_of(profiles), "level": "edit", "left": "nothing" });
        serde_json::from_value(kept).unwrap()
    };
    for sandbox in [None, Some("danger-full-access"), Some("workspace-write")] {
        let settings = CodexConfig { sandbox: sandbox.map(str::to_owned), ..config(Path::new("x")) };
        let bench = bench_of(settings, false);
        for (thread, profiles, is_held) in [("configured", Value::Null, false), ("profiles", json!({ "p": {} }), true)]
        {
            let thread = ThreadId::new(thread);
            bench.pump.shared.load(&thread, of(&profiles));
            assert_eq!(bench.pump.shared.is_held(&thread), is_held, "{thread} with {sandbox:?}");
        }
    }
}
