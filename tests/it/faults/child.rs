//! A program in codex's place that is missing, foreign, dumb or mad. Nothing is lost: what was asked for waits, says why,
//! and runs by itself once the right program is there.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::support::world::*;

const VERSION: &str = "[ \"$1\" = --version ] && echo 'codex-cli 0.169.0' && exit 0\n";
/// It was tried with its input closed, and that is fine.
const CLOSED: &str = "read -r line || exit 0\n";

/// Puts a script in codex's place, in one step: it may be started in this moment.
fn install(world: &World, script: &str) -> PathBuf {
    let (new, path) = (world.file("codex-new"), world.file("codex-bin"));
    std::fs::write(&new, format!("#!/bin/sh\n{script}")).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path
}

async fn world_with(lang: &'static str, script: &str) -> World {
    let mut world = World::prepare_in(lang, Kind::Codex, "").await;
    world.codex = Some(install(&world, script));
    world.up_without_runtime().await;
    world
}

/// What the runtime's trouble is, in status.
async fn trouble(world: &World) -> String {
    world
        .wait("the trouble in status", |world| {
            let status = world.status()?;
            let told = status["runtime"]["problem"].as_str()?.to_owned();
            (status["runtime"]["state"] == "down").then_some(told)
        })
        .await
}

/// The words of the queue's card about a message.
async fn waits(world: &World, message: &str, why: &str) -> String {
    world
        .wait("why it waits", |world| {
            let cards = world.cards(message).into_iter();
            cards.map(|card| card.text()).find(|text| text.contains(why))
        })
        .await
}

/// The right program takes the place of the wrong one: what waited is done, once.
async fn heals(world: &World, message: &str, words: &str) {
    install(world, &format!("exec {} \"$@\"\n", codex_program().display()));
    assert_eq!(world.answer(message).await.said(), words);
    world.settled().await;
    assert_eq!(world.answers(message).len(), 1);
    assert!(world.status().unwrap()["runtime"]["problem"].is_null());
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT]);
}

async fn check(script: &str, in_status: &[&str], in_chat: &[&str]) -> World {
    let world = world_with("en", script).await;
    let told = trouble(&world).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say at last]]");
    let shown = waits(&world, &message, in_chat[0]).await;
    in_status.iter().for_each(|words| assert!(told.contains(words), "{words:?} is not in {told}"));
    in_chat.iter().for_each(|words| assert!(shown.contains(words), "{words:?} is not in {shown}"));
    heals(&world, &message, "at last").await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codex_that_ends_at_once_is_told_and_tried_again() {
    let script = format!("{VERSION}{CLOSED}echo 'no licence for today' >&2\nexit 3\n");
    check(&script, &["did not come up", "no licence for today"], &["Codex did not come up", "kept"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codex_of_a_wrong_version_is_told_with_what_is_wanted() {
    check(
        "echo 'codex-cli 0.63.0'\n",
        &["0.63.0", "wanted 0.169.0", "Install or update"],
        &["version of Codex is not supported", "Install or update"],
    )
    .await;
}

/// It was there, and is taken away while ally runs (an upgrade that failed, a disk that is not mounted).
#[tokio::test(flavor = "multi_thread")]
async fn a_codex_that_is_missing_is_told_with_how_to_get_it() {
    let mut world = World::prepare_in("zh", Kind::Codex, "").await;
    let program = install(&world, &format!("exec {} \"$@\"\n", codex_program().display()));
    world.codex = Some(program.clone());
    world.up().await;
    std::fs::remove_file(&program).unwrap();
    kill(world.pid("runtime").unwrap(), "-KILL");
    let told = trouble(&world).await;
    assert!(told.contains("没有找到 Codex") && told.contains("npm install"), "{told}");
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say 好了]]");
    let shown = waits(&world, &message, "没有找到 Codex").await;
    assert!(shown.contains("在电脑上安装或更新 Codex") && shown.contains("消息已保存"), "{shown}");
    heals(&world, &message, "好了").await;
}

/// Named in the settings and not there: nothing starts, and the terminal says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_named_codex_that_is_not_there_is_told_at_the_start() {
    let mut world = World::prepare(Kind::Codex, "").await;
    world.codex = Some(world.file("codex-bin"));
    let output = world.ally(&["start"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("there is no program") && told.contains("install codex"), "{told}");
}

/// It answers nothing at its start.
#[tokio::test(flavor = "multi_thread")]
async fn a_codex_that_hangs_at_its_start_is_ended_and_told() {
    let script = format!("{VERSION}{CLOSED}exec sleep 86399\n");
    let world =
        check(&script, &["did not come up", "no answer", "tried again by itself"], &["Codex did not come up"]).await;
    assert!(!runs("86399"), "nothing of it is left but {:?}", world.pid("runtime"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codex_that_writes_garbage_is_told_and_fills_no_log() {
    let script = format!("{VERSION}{CLOSED}exec yes 'this is no JSON'\n");
    let world =
        check(&script, &["did not come up", "no answer", "tried again by itself"], &["Codex did not come up"]).await;
    let log = world.whole_log();
    assert!(log.len() < 1 << 20, "{} bytes of log", log.len());
}

/// Between the lines of a codex that is well otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_between_the_lines_of_codex_costs_nothing() {
    let mut world = World::prepare(Kind::Codex, "").await;
    let noise = "echo 'Welcome to codex'; printf '{\"half\\n\\377\\376\\n[]\\n{}\\n'; printf 'odd \\377\\n' >&2";
    let real = codex_program().display().to_string();
    let script = format!("case \"$1\" in app-server) {noise};; esac\nexec {real} \"$@\"\n");
    world.codex = Some(install(&world, &script));
    world.up().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say all the same]]");
    assert_eq!(world.answer(&message).await.said(), "all the same");
    assert!(world.whole_log().contains("Skipped a line"), "it is noted");
}

/// More than anybody reads, at whatever it is asked: memory and log stay as they are, and it is ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_codex_that_floods_is_held_off() {
    let world = world_with("en", "exec yes\n").await;
    let bridge = world.pid("bridge").unwrap();
    let before = resident(bridge);
    assert!(trouble(&world).await.contains("without end"));
    let log = world.whole_log().len();
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say at last]]");
    // Before its first answer, on both streams.
    install(&world, &format!("{VERSION}yes 'to stderr' >&2 & exec yes '{FLOOD}'\n"));
    let other = world.wait("its other trouble", |world| {
        let told = world.status()?["runtime"]["problem"].as_str()?.to_owned();
        (told.contains("its input closed") && told.contains("without end")).then_some(())
    });
    other.await;
    assert!(resident(bridge) < before + (60 << 20), "{} MiB, then {}", before >> 20, resident(bridge) >> 20);
    assert!(world.whole_log().len() < log + (1 << 20), "the log was not flooded");
    heals(&world, &message, "at last").await;
    assert_eq!(world.pid("bridge"), Some(bridge), "nothing crashed");
}

const FLOOD: &str = "{\"method\":\"nobody/knows\",\"params\":{\"x\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}";

/// It says hello, and then floods and answers nothing any more: after three calls without an answer it is ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_codex_that_floods_after_its_start_is_given_up() {
    let hello = "{\"id\":1,\"result\":{\"userAgent\":\"x\"}}";
    let mut world = World::prepare(Kind::Codex, "").await;
    world.codex = Some(install(&world, &format!("{VERSION}{CLOSED}echo '{hello}'\nexec yes '{FLOOD}'\n")));
    world.up().await;
    let (bridge, flooding) = (world.pid("bridge").unwrap(), world.pid("runtime").unwrap());
    let before = resident(bridge);
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[say at last]]");
    world.wait("its reaction", |world| (!world.sim.message(&message).receipts().is_empty()).then_some(())).await;
    install(&world, &format!("exec {} \"$@\"\n", codex_program().display()));
    world.wait("a flood", |_| (written(flooding) > 20 << 20).then_some(())).await;
    assert!(resident(bridge) < before + (60 << 20), "{} MiB, then {}", before >> 20, resident(bridge) >> 20);
    let ended = |world: &World| world.pid("runtime").filter(|pid| *pid != flooding);
    // Three calls of twenty seconds each: longer than one wait.
    world.patiently(2, "its end", ended).await;
    heals(&world, &message, "at last").await;
}

/// Bytes that a process has written, wherever to; as many as there may be when it is gone.
fn written(pid: u32) -> u64 {
    let Ok(io) = std::fs::read_to_string(format!("/proc/{pid}/io")) else { return u64::MAX };
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: ")).expect("it is told");
    line.parse().unwrap()
}

fn resident(pid: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
