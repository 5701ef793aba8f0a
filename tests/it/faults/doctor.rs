//! `ally doctor`: each of its checks is made to fail once, and says what is so and what to do.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use ally::domain::finding::Check;
use serde_json::Value;

use crate::support::feishu_sim::{APP_ID, APP_SECRET, Console, Fault};
use crate::support::world::{GROUP, Kind, LI, OWNER, OWNER_CHAT, STRANGER, World};

/// One way in which things are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// A word in `ally.toml` that is none.
    BadConfig,
    /// An ally that was stopped, with an open file, no room, a broken row and a bad routine.
    Neglected,
    /// The owner has locked everything.
    Paused,
    /// Nobody owns the bot, and another home holds its app.
    Contested,
    /// Credentials are there, and the channel is switched off.
    Off,
    /// There is no way to the platform.
    Unreachable,
    /// The secret is another one.
    Refused,
    /// Our clock is behind.
    Late,
    /// Nothing is set up in the developer console.
    Empty,
    /// The card is there, and nobody presses it.
    Unpressed,
    /// What is called codex is something else.
    NoCodex,
    /// Codex is there, and its settings are bad.
    BadCodex,
    /// The bot was taken out of the group.
    Outside,
    /// A group with outsiders that nobody opened, and somebody who may not talk.
    Closed,
}

/// The check, the scene in which it fails, a piece of what it says is so, and a piece of the remedy.
const TABLE: [(Check, Scene, &str, &str); 32] = [
    (Check::Config, Scene::BadConfig, "mistakes in the configuration: 1", "did you mean `turn.idle_timeout`"),
    (Check::Modes, Scene::Neglected, "ledger.db (0644)", "chmod 600 "),
    (Check::Disk, Scene::Neglected, "0 MiB are free", "make room"),
    (Check::Daemon, Scene::Neglected, "it does not run", "`ally start`"),
    (Check::Work, Scene::Paused, "the owner has paused everything", "`ally unlock`"),
    (Check::Ledger, Scene::Neglected, "what is not done yet has its words", "`ally backup`"),
    (Check::Routines, Scene::Neglected, "bad.yaml: ", "`ally routine check FILE`"),
    (Check::Feishu, Scene::Off, "it is off", "FEISHU_APP_SECRET"),
    (Check::Reach, Scene::Unreachable, "no way to http://127.0.0.1:9", "look at the network"),
    (Check::Clock, Scene::Late, "s behind", "set its clock by itself"),
    (
        Check::Credentials,
        Scene::Refused,
        "does not accept the app id or the app secret (10014)",
        "Credentials & basic info",
    ),
    (Check::Twice, Scene::Contested, "the ally of another home (process ", "stop the other one"),
    (Check::Connection, Scene::Refused, "does not accept the app id", "connects by itself"),
    (Check::Bot, Scene::Empty, "the app has no bot", "“Add features”"),
    (Check::Owner, Scene::Contested, "nobody owns this bot", "`ally pair`"),
    (Check::Version, Scene::Empty, "none was ever published", "“Version management & release”"),
    (Check::Range, Scene::Empty, "on the list of those who may not use it", "“Availability”"),
    (Check::Scopes, Scene::Empty, "`im:resource` (no files out)", "/auth?q=im:message.p2p_msg:readonly,"),
    (Check::Events, Scene::Empty, "im.message.receive_v1", "“Event configuration”"),
    (Check::Callback, Scene::Empty, "`card.action.trigger` is not subscribed to", "“Callback configuration”"),
    (Check::Click, Scene::Unpressed, "no click came within 1 s", "“Callback configuration”"),
    (Check::Program, Scene::NoCodex, "none at all: something else", "npm install -g @openai/codex@"),
    (Check::Strict, Scene::BadCodex, "codex does not know a key", "codex/config.toml"),
    (Check::Weakened, Scene::BadCodex, "levels do not", "remove it from "),
    (Check::Login, Scene::BadCodex, "codex is not signed in", " login`"),
    (Check::Sandbox, Scene::BadCodex, "it does not keep this: ", "`ally doctor security`"),
    (Check::Process, Scene::NoCodex, "it does not come up", "`ally logs`"),
    (Check::InChat, Scene::Outside, "the bot is not in this group", "add the bot"),
    (Check::Outsiders, Scene::Closed, "people of other companies", "[access] chats"),
    (Check::Opened, Scene::Closed, "it is not opened", "with `/allow` alone"),
    (Check::Person, Scene::Closed, "Nobody was not allowed", "`/allow @Nobody`"),
    (Check::Heard, Scene::Closed, "messages of Nobody are ignored", "`/allow @Nobody`"),
];

impl Scene {
    /// What is called.
    fn args(self) -> &'static [&'static str] {
        match self {
            Scene::BadConfig | Scene::Neglected | Scene::Paused => &["doctor"],
            Scene::Contested | Scene::Off | Scene::Unreachable | Scene::Refused | Scene::Late | Scene::Empty => {
                &["doctor", "feishu"]
            }
            Scene::Unpressed => &["doctor", "feishu", "--press", "--timeout", "1s"],
            Scene::NoCodex | Scene::BadCodex => &["doctor", "runtime"],
            Scene::Outside => &["doctor", "chat", GROUP],
            Scene::Closed => &["doctor", "chat", "oc_closed", "--user", STRANGER],
        }
    }

    async fn set(self) -> World {
        match self {
            Scene::BadConfig => World::prepare(Kind::Embedded, "[turn]\nidle_timout = \"3m\"\n").await,
            Scene::Neglected => neglected().await,
            Scene::Paused => {
                let world = World::start(Kind::Embedded).await;
                assert!(world.run(&["lock"]).1);
                world
            }
            Scene::Contested => {
                let world = World::prepare(Kind::Embedded, "").await;
                rewrite(&world, "ally.toml", &format!("owner = \"{OWNER}\"\n"), "");
                world
            }
            Scene::Off => {
                let world = World::prepare(Kind::Embedded, "").await;
                rewrite(&world, "ally.toml", "enabled = true", "enabled = false");
                world
            }
            Scene::Unreachable => {
                let world = World::prepare(Kind::Embedded, "").await;
                rewrite(&world, ".env", &world.sim.base_url(), "http://127.0.0.1:9");
                world
            }
            Scene::Refused => {
                let mut world = World::prepare(Kind::Embedded, "").await;
                rewrite(&world, ".env", APP_SECRET, "another-secret");
                world.up_unconnected().await;
                world
                    .wait("the connection to be refused", |world| {
                        (world.status()?["channels"][0]["state"] == "refused").then_some(())
                    })
                    .await;
                world
            }
            Scene::Late => {
                let world = World::prepare(Kind::Embedded, "").await;
                world.sim.advance(Duration::from_secs(3600));
                world
            }
            Scene::Empty => {
                let world = World::prepare(Kind::Embedded, "").await;
                world.sim.rules(|rules| {
                    rules.console = Console {
                        activate_status: None,
                        scopes: vec!["application:application:self_manage"],
                        granted: Vec::new(),
                        online_version: None,
                        waiting_version: None,
                        events: Vec::new(),
                        departments: Vec::new(),
                        banned: Some(OWNER),
                        callback: Some(("webhook", Vec::new())),
                    };
                });
                world
            }
            Scene::Unpressed => {
                let world = World::start(Kind::Embedded).await;
                world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
                world.settled().await;
                world
            }
            Scene::NoCodex => {
                let mut world = World::prepare(Kind::Codex, "").await;
                world.codex = Some(program(&world, "codex", "echo something else"));
                world.up_without_runtime().await;
                world
                    .wait("the runtime to be down", |world| {
                        (world.status()?["runtime"]["state"] == "down").then_some(())
                    })
                    .await;
                world
            }
            Scene::BadCodex => {
                let world = World::prepare(Kind::Codex, "[runtime.codex]\nsandbox = \"danger-full-access\"\n").await;
                let mock = "model_provider = \"mock\"";
                rewrite(&world, "codex/config.toml", mock, "no_such_key = 1\nmodel_provider = \"openai\"");
                world
            }
            Scene::Outside => {
                let world = World::prepare(Kind::Embedded, "").await;
                world.sim.remove_bot(GROUP);
                world
            }
            Scene::Closed => {
                let world = World::prepare(Kind::Embedded, "").await;
                world.sim.add_group("oc_closed", "Others", &[OWNER, STRANGER]);
                world.sim.let_outsiders_in("oc_closed", true);
                world
            }
        }
    }
}

async fn neglected() -> World {
    let mut world = World::start(Kind::Embedded).await;
    world.down().await;
    let paths = world.paths();
    let row = "INSERT INTO inbound (channel, dedupe_key, kind, state, received_at_ms) VALUES ('c', 'k', 'message', 'received', 1)";
    rusqlite::Connection::open(&paths.ledger).unwrap().execute(row, []).unwrap();
    std::fs::set_permissions(&paths.ledger, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(paths.free_space(), "4096").unwrap();
    std::fs::create_dir_all(&paths.routines).unwrap();
    std::fs::write(paths.routines.join("bad.yaml"), "schedule: sometimes\nprompt: p\n").unwrap();
    world
}

fn rewrite(world: &World, file: &str, from: &str, to: &str) {
    let file = world.home.path().join("ally").join(file);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&file, text.replace(from, to)).unwrap();
}

fn program(world: &World, name: &str, script: &str) -> PathBuf {
    let path = world.file(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Runs it to its end. The simulator lives in the same process and has to answer meanwhile.
async fn run(mut command: Command) -> Output {
    let ended = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
    ended.await.unwrap().unwrap()
}

/// The findings, and the exit code.
async fn doctor(world: &World, args: &[&str]) -> (Vec<Value>, i32) {
    let mut command = world.ally(args);
    command.arg("--json");
    let output = run(command).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}\n{said}"));
    (report["checks"].as_array().unwrap().clone(), output.status.code().unwrap())
}

fn found<'a>(checks: &'a [Value], id: &str) -> Vec<&'a Value> {
    checks.iter().filter(|check| check["id"] == id).collect()
}

async fn judge(scene: Scene) {
    let world = scene.set().await;
    let app_lock = world.home.path().join(".cache/ally").join(format!("{APP_ID}.lock"));
    let held = (scene == Scene::Contested).then(|| {
        std::fs::create_dir_all(app_lock.parent().unwrap()).unwrap();
        ally::supervisor::Lock::take(&app_lock).unwrap()
    });
    let (checks, code) = doctor(&world, scene.args()).await;
    drop(held);
    for (check, _, cause, remedy) in TABLE.iter().filter(|(_, of, _, _)| *of == scene) {
        let told = found(&checks, check.id());
        let fits = |one: &&Value| {
            let has = |key: &str, piece: &str| one[key].as_str().is_some_and(|text| text.contains(piece));
            one["grade"] != "ok" && has("found", cause) && has("remedy", remedy)
        };
        assert!(told.iter().any(fits), "{}: {cause} / {remedy} is not told: {checks:#?}", check.id());
    }
    let any_bad = checks.iter().any(|check| check["grade"] == "bad");
    let want = if scene == Scene::BadCodex { 77 } else { i32::from(any_bad) };
    assert_eq!(code, want, "{checks:#?}");
    // What people read says the same, in both languages.
    let mut command = world.ally(scene.args());
    command.env("ALLY_LANG", "zh");
    let told = String::from_utf8_lossy(&run(command).await.stdout).into_owned();
    let is_marked = told.lines().any(|line| line.starts_with('✕'));
    assert_eq!(is_marked, checks.iter().any(|check| check["grade"] == "bad"), "{told}");
    assert!(told.lines().filter(|line| line.starts_with('✕')).count() <= told.matches("\n  → ").count(), "{told}");
}

macro_rules! scenes {
    ($($test:ident => $scene:ident;)+) => {
        const SCENES: &[Scene] = &[$(Scene::$scene),+];
        $(
            #[tokio::test]
            async fn $test() {
                judge(Scene::$scene).await;
            }
        )+
    };
}

scenes! {
    mistakes_in_the_configuration_are_told => BadConfig;
    a_neglected_home_is_told => Neglected;
    a_pause_is_told => Paused;
    another_home_with_the_app_and_a_bot_without_owner_are_told => Contested;
    a_channel_that_is_off_is_told => Off;
    a_platform_that_is_not_reached_is_told => Unreachable;
    refused_credentials_are_told => Refused;
    a_clock_that_is_off_is_told => Late;
    an_empty_console_is_told => Empty;
    a_click_that_does_not_come_is_told => Unpressed;
    a_missing_codex_is_told => NoCodex;
    bad_settings_of_codex_are_told => BadCodex;
    a_group_without_the_bot_is_told => Outside;
    a_closed_group_and_a_stranger_are_told => Closed;
}

#[test]
fn every_check_is_made_to_fail_and_stands_in_the_documentation() {
    let all: BTreeSet<&str> = Check::ALL.iter().map(|check| check.id()).collect();
    let made: BTreeSet<&str> = TABLE.iter().map(|(check, ..)| check.id()).collect();
    assert_eq!(made, all);
    for (check, scene, ..) in TABLE {
        assert!(SCENES.contains(&scene), "{} fails in a scene that nobody plays", check.id());
    }
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doctor.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut told = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
        told.push(cells[0].trim_matches('`'));
    }
    assert_eq!(told, Check::ALL.iter().map(|check| check.id()).collect::<Vec<_>>(), "docs/doctor.md, in this order");
}

#[tokio::test]
async fn where_all_is_well_nothing_is_broken() {
    let world = World::start(Kind::Codex).await;
    world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.settled().await;
    let (checks, code) = doctor(&world, &["doctor"]).await;
    assert_eq!(code, 0, "{checks:#?}");
    let open: Vec<&Value> = checks.iter().filter(|check| check["grade"] != "ok").collect();
    // No click has come yet, and that codex has no version of its own is not known.
    assert!(open.iter().all(|check| check["id"] == "feishu.click" || check["id"] == "config"), "{open:#?}");
    let told = String::from_utf8_lossy(&run(world.ally(&["doctor"])).await.stdout).into_owned();
    assert!(told.ends_with("no ✕\n") && told.contains("✓ long connection: it is open"), "{told}");
    let (checks, code) = doctor(&world, &["doctor", "chat", GROUP, "--user", LI]).await;
    assert_eq!(code, 0, "{checks:#?}");
    assert!(
        found(&checks, "chat.message")[0]["found"]
            .as_str()
            .unwrap()
            .contains("messages of Li that mention the bot are taken")
    );
}

#[tokio::test]
async fn a_platform_that_is_a_page_and_one_that_tells_little_are_told() {
    let world = World::prepare(Kind::Embedded, "").await;
    world.sim.fault("GET /open-apis/bot", Fault::Html { status: 502 }, 1);
    let (checks, code) = doctor(&world, &["doctor", "feishu"]).await;
    let reach = found(&checks, "feishu.reach")[0];
    assert!(code == 1 && reach["found"].as_str().unwrap().contains("HTTP status 502"), "{checks:#?}");
    assert_eq!(found(&checks, "feishu.bot")[0]["grade"], "unknown", "{checks:#?}");
    // Without the right to read about itself only the organisation's list is left, which is not complete.
    world.sim.rules(|rules| {
        rules.console.scopes.retain(|scope| *scope != "application:application:self_manage");
        rules.console.granted = vec!["im:message", "im:resource"];
    });
    let (checks, _) = doctor(&world, &["doctor", "feishu"]).await;
    for id in ["feishu.version", "feishu.events", "feishu.callback"] {
        let told = found(&checks, id)[0];
        assert_eq!(told["grade"], "unknown", "{told}");
        assert!(told["remedy"].as_str().unwrap().contains("application:application:self_manage"), "{told}");
    }
    let scopes = found(&checks, "feishu.scopes")[0];
    assert!(scopes["grade"] == "note" && scopes["found"].as_str().unwrap().contains("p2p_msg"), "{scopes}");
}

#[tokio::test]
async fn a_press_comes_back() {
    let world = World::start(Kind::Embedded).await;
    world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    world.settled().await;
    let asked =
        world.ally(&["doctor", "feishu", "--press", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let asked = asked.unwrap();
    let card = world
        .wait("the card to press", |world| {
            let all = world.sim.messages(OWNER_CHAT);
            all.into_iter().find(|card| card.by_bot() && card.text().contains("press Continue below"))
        })
        .await;
    let toast = world.sim.click(&card.id, "Continue", OWNER).await;
    assert_eq!(toast["toast"]["type"], "success", "{toast}");
    let output = tokio::task::spawn_blocking(move || asked.wait_with_output()).await.unwrap().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let click = found(report["checks"].as_array().unwrap(), "feishu.click")[0].clone();
    assert!(click["grade"] == "ok" && click["found"].as_str().unwrap().contains("came back"), "{click}");
    world.settled().await;
    assert!(world.sim.message(&card.id).text().contains("buttons work"));
    let (checks, _) = doctor(&world, &["doctor", "feishu"]).await;
    assert!(found(&checks, "feishu.click")[0]["found"].as_str().unwrap().contains("the last click came"));
}

#[tokio::test]
async fn a_bundle_holds_no_secret_and_no_words() {
    let world = World::start(Kind::Embedded).await;
    world.sim.say(OWNER_CHAT, OWNER, "planted-word [[say planted-answer]]");
    world.settled().await;
    let token = std::fs::read_to_string(world.paths().token()).unwrap();
    // As if something had been careless.
    let careless = format!("{{\"message\":\"{APP_SECRET} {}\"}}\n", token.trim());
    std::fs::write(world.paths().logs.join("ally.2999-01-01.log"), careless).unwrap();
    let file = world.file("bundle.txt");
    let shown = file.display().to_string();
    run(world.ally(&["doctor", "--bundle", &shown])).await;
    let text = std::fs::read_to_string(&file).unwrap();
    for secret in [APP_SECRET, token.trim(), "planted"] {
        assert!(!text.contains(secret), "{secret} is in the bundle");
    }
    for want in ["===== findings =====", "feishu.connection", "FEISHU_APP_SECRET=***", "===== status =====", APP_ID] {
        assert!(text.contains(want), "{want} is missing");
    }
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let again = run(world.ally(&["doctor", "--bundle", &shown])).await;
    assert_eq!(again.status.code(), Some(1), "what lies there is not written over");
}

#[tokio::test]
async fn an_agent_may_ask_the_doctor_and_no_more() {
    let world = World::prepare(Kind::Codex, "").await;
    let ask = async |args: &[&str]| {
        let mut command = world.ally(args);
        command.env("ALLY_GENERATION", "x:1");
        let output = run(command).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (String::from_utf8_lossy(&output.stdout).into_owned(), said)
    };
    let (told, _) = ask(&["doctor", "runtime", "--json"]).await;
    let report: Value = serde_json::from_str(&told).unwrap();
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(found(checks, "runtime.sandbox")[0]["grade"], "unknown", "a sandbox in a sandbox tells nothing");
    let file = world.file("bundle.txt").display().to_string();
    let refused: [&[&str]; 4] = [
        &["doctor", "--bundle", &file],
        &["doctor", "feishu", "--press"],
        &["doctor", "security"],
        &["doctor", "ledger", "--compact"],
    ];
    for args in refused {
        assert!(ask(args).await.1.contains("below a runtime"), "{args:?}");
    }
    assert!(!world.file("bundle.txt").exists());
}

#[tokio::test]
async fn the_owner_asks_the_doctor_in_his_chat() {
    let world = World::start(Kind::Embedded).await;
    world.sim.rules(|rules| rules.console.events.clear());
    let asked = world.sim.say(OWNER_CHAT, OWNER, "/doctor");
    let told = world.answer(&asked).await.text();
    assert!(told.contains("✕ events: not subscribed to: im.message.receive_v1"), "{told}");
    assert!(told.contains("→ ") && told.contains("✓ ") && told.contains("ally doctor"), "{told}");
    let grouped = world.sim.say(GROUP, OWNER, "@bot /doctor");
    assert!(world.answer(&grouped).await.text().contains("in the direct chat"));
    let other = world.sim.say(GROUP, LI, "@bot /体检");
    assert!(world.answer(&other).await.text().contains("Only Wang can do that"));
}
