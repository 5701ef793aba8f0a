//! The agent's own tools: what it may send and draft, where, how often, and who else may not.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use ally::domain::ids::ConversationId;
use ally::domain::tool::ToolKey;
use serde_json::{Value, json};

use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

/// A world whose chats all work in one directory, and that directory.
async fn with_directory(kind: Kind) -> (World, PathBuf) {
    let mut world = World::prepare(kind, "").await;
    let folder = world.home.path().join("project");
    std::fs::create_dir(&folder).unwrap();
    let settings = world.home.path().join("ally/ally.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(settings, format!("{text}\n[conversation]\ndirectory = \"{}\"\n", folder.display())).unwrap();
    world.up().await;
    (world, folder)
}

/// What the bot said about a message, without cards: kind and words, or the file's name.
fn said(world: &World, message: &str) -> Vec<(String, String)> {
    let of = |sent: SimMessage| match world.sim.resource_of(&sent) {
        Some((name, _)) => (sent.msg_type, name),
        None => (sent.msg_type.clone(), sent.said()),
    };
    world.answers(message).into_iter().map(of).collect()
}

pub async fn said_in_all(world: &World, message: &str, n: usize) -> Vec<(String, String)> {
    let what = format!("{n} messages about {message}");
    let all = world.wait(&what, |world| Some(said(world, message)).filter(|said| said.len() >= n)).await;
    world.settled().await;
    assert_eq!(said(world, message).len(), n, "{all:?}");
    all
}

/// The audit's codes, oldest first.
fn audit(world: &World) -> Vec<(String, String)> {
    let (json, well) = world.run(&["audit", "--since", "1d", "--json"]);
    assert!(well, "{json}");
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
    let of = |row: &Value| (row["what"].as_str().unwrap().to_owned(), row["detail"].as_str().unwrap().to_owned());
    rows.iter().rev().filter(|row| row["who"] == "agent").map(of).collect()
}

/// The conversation of a chat, and the key of its tools.
fn key_of(world: &World, chat: &str) -> (ConversationId, ToolKey) {
    let chat = chat.to_owned();
    world.ledger(move |tx| {
        let found = ally::ledger::conversations::newest_of_chat(tx, &"feishu".into(), &chat.as_str().into())?;
        let id = found.expect("a conversation").id;
        let secret = ally::ledger::tools::secret(tx, &[0; 32])?;
        let key = ToolKey::of(&secret, &id);
        Ok((id, key))
    })
}

/// `ally mcp` as a runtime starts it, and a client of it.
pub struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    asked: u64,
}

impl Server {
    fn start(world: &World, conversation: &ConversationId, key: &ToolKey) -> Self {
        let mut child = world
            .ally(&["mcp"])
            // It is below a runtime, like everything that an agent starts.
            .env("ALLY_GENERATION", "x:1")
            .env("ALLY_TOOLS_CONVERSATION", conversation.as_str())
            .env("ALLY_TOOLS_KEY", key.expose())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut server = Self { child, input, output, asked: 0 };
        let client = json!({ "name": "test", "version": "1" });
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        let told = server.ask("initialize", hello);
        assert_eq!(told["serverInfo"]["name"], "ally", "{told}");
        server.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        server
    }

    fn write(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        self.write(&json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params }));
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the server ended");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == self.asked {
                assert_eq!(message.get("error"), None, "{message}");
                return message["result"].clone();
            }
        }
    }

    /// What a tool told, or why it did nothing.
    fn call(&mut self, tool: &str, arguments: Value) -> Result<String, String> {
        let told = self.ask("tools/call", json!({ "name": tool, "arguments": arguments }));
        let text = told["content"][0]["text"].as_str().unwrap().to_owned();
        if told["isError"] == json!(true) { Err(text) } else { Ok(text) }
    }

    /// Calls `send_message`.
    pub fn say(&mut self, text: &str) -> Result<String, String> {
        self.call("send_message", json!({ "text": text }))
    }

    /// Ends it as a runtime does that closes its input.
    pub fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A task of the chat that runs until it is stopped, and its tools.
pub async fn at_work(world: &World, chat: &str) -> (String, Server) {
    let message = world.sim.say(chat, OWNER, "[[sleep 600000]]");
    world.wait("the task to run", |world| (world.status()?["turns"]["running"].as_u64()? > 0).then_some(())).await;
    let (conversation, key) = key_of(world, chat);
    (message, Server::start(world, &conversation, &key))
}

// ------------------------------------------------------------------------------------------------ with the real codex

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_sends_messages_and_files_into_its_chat() {
    let (world, folder) = with_directory(Kind::Codex).await;
    std::fs::write(folder.join("chart.png"), PNG).unwrap();
    let script = "[[shell mkdir out && printf 42 > out/report.txt]] \
                  [[tool ally.send_message {\"text\": \"half **way**\"}]] \
                  [[tool ally.send_file {\"path\": \"out/report.txt\", \"name\": \"周报.txt\"}]] \
                  [[tool ally.send_file {\"path\": \"chart.png\"}]] [[say done]]";
    let message = world.sim.say(OWNER_CHAT, OWNER, script);
    let all = said_in_all(&world, &message, 4).await;
    let words: Vec<&str> = all.iter().map(|(_, words)| words.as_str()).collect();
    assert!(words[0].contains("half") && words[0].contains("way"), "{all:?}");
    assert_eq!((all[1].0.as_str(), words[1]), ("file", "周报.txt"), "{all:?}");
    assert_eq!((all[2].0.as_str(), words[3]), ("image", "done"), "{all:?}");
    let file = world.answers(&message).remove(1);
    assert_eq!(world.sim.resource_of(&file).unwrap().1, b"42");
    // Nobody was asked: what is sent goes to whoever asked for it.
    assert!(world.cards(&message).iter().all(|card| card.button("Allow once").is_none()));
    let codes: Vec<String> = audit(&world).into_iter().map(|(what, _)| what).collect();
    assert_eq!(codes, ["tool message", "tool file", "tool file"]);
    assert!(
        world.run(&["audit"]).0.contains("Codex  sent a message by a tool")
            || world.run(&["audit"]).0.contains("sent a file by a tool")
    );

    // Also where every step is asked about, and from a thread that is taken up again.
    world.answer(&world.sim.say(OWNER_CHAT, OWNER, "/settings autonomy ask")).await;
    world.kill_runtime().await;
    let again = world.sim.say(OWNER_CHAT, OWNER, "[[tool ally.send_message {\"text\": \"still here\"}]] [[say over]]");
    let all = said_in_all(&world, &again, 2).await;
    assert_eq!((all[0].1.as_str(), all[1].1.as_str()), ("still here", "over"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_outside_is_refused_and_the_agent_is_told_why() {
    let (world, folder) = with_directory(Kind::Codex).await;
    let beside = folder.with_extension("beside");
    std::fs::write(&beside, "not yours").unwrap();
    std::os::unix::fs::symlink(&beside, folder.join("link")).unwrap();
    std::fs::write(folder.join(".env"), "TOKEN=hush").unwrap();
    let name = beside.file_name().unwrap().to_str().unwrap();
    let paths = ["/etc/hostname", &format!("../{name}"), beside.to_str().unwrap(), "link", ".env", "none.txt", "."];
    let calls: Vec<String> =
        paths.iter().map(|path| format!("[[tool ally.send_file {}]]", json!({ "path": path }))).collect();
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("{} [[say done]]", calls.join(" ")));
    let all = said_in_all(&world, &message, 1).await;
    assert_eq!(all[0].1, "done", "{all:?}");
    let told = world.tools();
    assert_eq!(told.matches("outside of the task's directory").count(), 4, "{told}");
    for why in ["holds secrets", "there is no such file", "it is no plain file"] {
        assert!(told.contains(why), "{why}: {told}");
    }
    assert!(!told.contains("not yours") && !told.contains("hush"), "{told}");
    let refused = [("tool refused", "outside of the directory"), ("tool refused", "secret")];
    assert_eq!(audit(&world), refused.map(|(what, why)| (what.to_owned(), why.to_owned())), "once for each reason");
}

/// In the sandbox nothing of the tool server is seen, and the route is of no use to whoever has no key.
#[tokio::test(flavor = "multi_thread")]
async fn no_command_sees_the_key() {
    let world = World::start(Kind::Codex).await;
    let looks = "cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c ALLY_TOOLS; env | grep -c ALLY_TOOLS; \
                 echo looked";
    let script = format!("[[tool ally.send_message {{\"text\": \"first\"}}]] [[shell {looks}]] [[say done]]");
    let message = world.sim.say(OWNER_CHAT, OWNER, &script);
    said_in_all(&world, &message, 2).await;
    let (_, key) = key_of(&world, OWNER_CHAT);
    let told = world.tools();
    assert!(told.contains("0\\n0\\nlooked"), "{told}");
    assert!(!told.contains(key.expose()), "{told}");
    assert!(!world.whole_log().contains(key.expose()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routine_is_drafted_by_the_agent_and_made_by_a_person() {
    let world = World::start(Kind::Codex).await;
    let draft = json!({
        "name": "digest", "schedule": "30 2 * * *", "zone": "Asia/Shanghai", "prompt": "[[say good morning]]",
        "quiet": true, "misfire": "skip",
    });
    let script = format!("@bot [[tool ally.list_routines]] [[tool ally.create_routine {draft}]] [[say drafted]]");
    let message = world.sim.say(GROUP, LI, &script);
    let card = world.card_with(&message, "Create").await;
    let text = card.text();
    for part in [
        "Codex would like a new routine “digest”",
        "[[say good morning]]",
        "02:30",
        "Told only where it fails",
        "misfire: skip",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(world.answer(&message).await.said(), "drafted");
    assert!(world.tools().contains("No routine is told in this chat"), "{}", world.tools());
    let routines = || -> Vec<Value> { serde_json::from_str(&world.run(&["routine", "--json"]).0).unwrap() };
    assert!(routines().is_empty(), "nothing is made before somebody says so");
    // Whose task it is may not make it.
    world.sim.click(&card.id, "Create", LI).await;
    assert!(routines().is_empty());
    world.sim.click(&card.id, "Create", OWNER).await;
    let made = routines();
    assert_eq!((&made[0]["name"], &made[0]["source"]), (&json!("digest"), &json!("agent")), "{made:?}");
    assert_eq!(made[0]["to"], format!("feishu {GROUP}"));
    assert_eq!(made[0]["autonomy"], "safe");
    let again = world.sim.say(GROUP, LI, &script);
    world.wait("the second answer", |world| said(world, &again).pop()).await;
    let told = world.tools();
    assert!(told.contains("there is a routine digest already") && told.contains("digest · "), "{told}");
    assert!(audit(&world).contains(&("tool routine".to_owned(), "digest".to_owned())));
}

// ------------------------------------------------------------------------------------------------ keys, limits, deaths

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_the_tools_of_its_conversation_while_its_task_runs() {
    let world = World::start(Kind::Embedded).await;
    world.answer(&world.sim.say(GROUP, OWNER, "@bot [[say hello]]")).await;
    let (theirs, their_key) = key_of(&world, GROUP);
    let (message, mut server) = at_work(&world, OWNER_CHAT).await;
    let (own, own_key) = key_of(&world, OWNER_CHAT);
    assert_ne!(own_key, their_key);

    let tools = server.ask("tools/list", json!({}));
    let names: Vec<&str> =
        tools["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["send_message", "send_file", "create_routine", "list_routines"]);
    assert!(server.say("on it").unwrap().starts_with("Sent"));

    for (conversation, key) in [(&own, &their_key), (&own, &ToolKey::new("0")), (&"made up".into(), &own_key)] {
        let refused = Server::start(&world, conversation, key).say("let me in").unwrap_err();
        assert!(refused.contains("does not belong to the conversation"), "{refused}");
    }
    let idle = Server::start(&world, &theirs, &their_key).say("hello?").unwrap_err();
    assert!(idle.contains("no task of this conversation is running"), "{idle}");
    let odd = server.call("send_message", json!({ "text": "x", "chat": GROUP })).unwrap_err();
    assert!(odd.contains("chat"), "{odd}");
    assert!(server.call("stop_everything", json!({})).is_err());
    assert!(server.say(" \n").unwrap_err().contains("is empty"));

    // The owner's lock closes them as well, and so does the end of the task.
    assert!(world.run(&["lock"]).1);
    let locked = server.say("anybody?").unwrap_err();
    assert!(locked.contains("paused") || locked.contains("stopped") || locked.contains("no task"), "{locked}");
    world.settled().await;
    assert!(world.run(&["unlock"]).1);
    assert!(server.say("anybody?").unwrap_err().contains("no task"));
    server.end();
    let told: Vec<String> = said(&world, &message).into_iter().map(|(_, words)| words).collect();
    assert_eq!(told.iter().filter(|words| *words == "on it").count(), 1, "{told:?}");
    for chat in [OWNER_CHAT, GROUP] {
        assert!(world.sim.messages(chat).iter().all(|sent| !sent.text().contains("let me in")));
    }
    assert!(audit(&world).contains(&("tool refused".to_owned(), "not theirs to use".to_owned())));
    // Without the daemon's word for it there is nothing to start.
    let output = world.ally(&["mcp"]).stdin(Stdio::null()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("a runtime starts this"), "{output:?}");
}

/// What is below a runtime may call this one route, and only with the key: no other way to change anything is open to it.
#[tokio::test(flavor = "multi_thread")]
async fn below_a_runtime_only_the_tools_are_open() {
    let world = World::start(Kind::Embedded).await;
    let (_, server) = at_work(&world, OWNER_CHAT).await;
    let (conversation, key) = key_of(&world, OWNER_CHAT);
    let paths = world.paths();
    let token = std::fs::read_to_string(paths.token()).unwrap();
    let call = json!({
        "id": "one", "conversation": conversation, "key": key, "tool": "send_message", "arguments": { "text": "from below" },
    });
    let post = |route: &str, body: &Value| -> String {
        let output = std::process::Command::new("curl")
            .env("ALLY_GENERATION", "x:1")
            .args(["-sS", "-w", "%{http_code}", "-X", "POST", "--unix-socket"])
            .arg(paths.socket())
            .args(["-H", &format!("Authorization: Bearer {}", token.trim()), "-H", "Content-Type: application/json"])
            .args(["-d", &body.to_string(), &format!("http://ally{route}")])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for route in ["/v1/lock", "/v1/send", "/v1/drain", "/v1/pair", "/v1/routines/x", "/v1/tools/x", "/v1/tools/../lock"]
    {
        let told = post(route, &json!({ "locked": true, "text": "x" }));
        let is_refused = told.contains("below a runtime") || told.ends_with("404") || told.ends_with("405");
        assert!(is_refused, "{route}: {told}");
    }
    let mut wrong = call.clone();
    wrong["key"] = json!("0");
    assert!(post("/v1/tools", &wrong).contains("does not belong"));
    assert!(post("/v1/tools", &call).contains("Sent to the chat"));
    assert!(post("/v1/tools", &call).contains("Sent to the chat"), "made again, it is told the same");
    server.end();
    let sent = |world: &World| {
        let sent =
            world.sim.messages(OWNER_CHAT).into_iter().filter(|sent| sent.by_bot() && sent.text() == "from below");
        sent.count()
    };
    world.wait("the message", |world| (sent(world) > 0).then_some(())).await;
    assert_eq!(sent(&world), 1, "and done once");
    assert_eq!(world.status().unwrap()["locked"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_have_limits() {
    let (world, folder) = with_directory(Kind::Embedded).await;
    std::fs::write(folder.join("a.txt"), "a").unwrap();
    let big = std::fs::File::create(folder.join("big.bin")).unwrap();
    big.set_len(31_000_000).unwrap();
    let (message, mut server) = at_work(&world, OWNER_CHAT).await;
    let too_big = server.call("send_file", json!({ "path": "big.bin" })).unwrap_err();
    assert!(too_big.contains("31000000 bytes, and 30000000 is the most"), "{too_big}");
    for n in 0..10 {
        server.say(&format!("m{n}")).unwrap();
    }
    let many = server.say("m10").unwrap_err();
    assert!(many.contains("at most 10 messages a minute; wait a minute"), "{many}");
    for _ in 0..5 {
        server.call("send_file", json!({ "path": "a.txt" })).unwrap();
    }
    let many = server.call("send_file", json!({ "path": "a.txt" })).unwrap_err();
    assert!(many.contains("at most 5 files a minute"), "{many}");
    world.warp(Duration::from_secs(61)).await;
    for n in 15..25 {
        server.say(&format!("m{n}")).unwrap();
    }
    world.warp(Duration::from_secs(61)).await;
    for n in 25..30 {
        server.say(&format!("m{n}")).unwrap();
    }
    let all = server.say("m30").unwrap_err();
    assert!(all.contains("at most 30 messages and files a task; say the rest in your answer"), "{all}");
    let draft = |n: usize| json!({ "name": format!("r{n}"), "schedule": "every 6h", "prompt": "x" });
    for n in 0..3 {
        server.call("create_routine", draft(n)).unwrap();
    }
    assert!(server.call("create_routine", draft(3)).unwrap_err().contains("3 drafts of routines an hour"));
    world.warp(Duration::from_secs(3600)).await;
    let wrong =
        server.call("create_routine", json!({ "name": "r4", "schedule": "now and then", "prompt": "x" })).unwrap_err();
    assert!(wrong.starts_with("nothing was drafted: "), "{wrong}");
    let long = json!({ "name": "r5", "schedule": "every 6h", "prompt": "x".repeat(2_001) });
    assert!(server.call("create_routine", long).unwrap_err().contains("2001 characters"));
    assert!(world.run(&["lock"]).1);
    world.settled().await;
    server.end();
    let sent: Vec<String> =
        said(&world, &message).into_iter().map(|(_, words)| words).filter(|w| w.starts_with('m')).collect();
    let expected: Vec<String> = (0..10).chain(15..30).map(|n| format!("m{n}")).collect();
    assert_eq!(sent, expected, "each once, in order");
    assert_eq!(said(&world, &message).iter().filter(|(kind, name)| kind == "file" && name == "a.txt").count(), 5);
}

/// Who asked is not there any more: neither does its server outlive it.
#[tokio::test(flavor = "multi_thread")]
async fn the_tool_servers_end_with_their_runtime() {
    let world = World::start(Kind::Codex).await;
    let servers = |world: &World| -> Vec<u32> {
        let is_one = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            Path::new("/proc").join(pid.to_string()).exists() && line.split(|byte| *byte == 0).nth(1) == Some(b"mcp")
        };
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(is_one);
        let home = format!("ALLY_HOME={}", world.home.path().join("ally").display()).into_bytes();
        let ours = |pid: &u32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|entry| entry == home)
        };
        pids.filter(ours).collect()
    };
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[tool ally.send_message {\"text\": \"first\"}]] [[say done]]");
    said_in_all(&world, &message, 2).await;
    let first = servers(&world);
    assert_eq!(first.len(), 1, "one for the thread");
    world.kill_runtime().await;
    world.wait("its end", |world| servers(world).iter().all(|pid| !first.contains(pid)).then_some(())).await;
}
