//! The bridge dies and the runtime lives on: every turn goes on, every request stays answerable on its card, nothing is said
//! twice and nothing is told to anybody.

use std::time::Duration;

use super::death::find;
use super::points::{arm, died};
use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

const BOTH: [Kind; 2] = [Kind::Embedded, Kind::Codex];

/// Each place with each kind.
fn with_both<const N: usize>(places: [&'static str; N]) -> impl Iterator<Item = (Kind, &'static str)> {
    BOTH.into_iter().flat_map(move |kind| places.map(|place| (kind, place)))
}

pub(super) async fn runs_turn(world: &World) {
    world.wait("the turn to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
}

/// Kills the bridge: the runtime stays the same.
pub(super) async fn kill_only_the_bridge(world: &World) {
    let runtime = world.wait("the runtime's pid", |world| world.pid("runtime")).await;
    world.kill_bridge().await;
    assert_eq!(world.pid("runtime"), Some(runtime), "the runtime lives on");
}

/// One answer and nothing besides: nobody was told of a death.
pub(super) async fn assert_answered_once(world: &World, message: &str, last_word: &str) {
    let answer = world.answer(message).await.said();
    // The last of several parts says so behind its words.
    let whole = answer.ends_with(last_word) || answer.contains(&format!("{last_word}\n("));
    assert!(whole, "{answer:?} ends with {last_word:?}");
    world.settled().await;
    assert_eq!(world.answers(message).len(), 1);
    assert_nothing_was_told(world, message);
    world.assert_nothing_runs_on_cards(&[OWNER_CHAT, GROUP]);
}

pub(super) fn assert_nothing_was_told(world: &World, message: &str) {
    for card in world.cards(message) {
        let told = card.button("Continue").is_some() || card.text().contains("did not run");
        assert!(!told, "a card tells of a death: {}", card.text());
    }
}

pub(super) fn workspaces(world: &World) -> std::path::PathBuf {
    world.home.path().join("ally/workspaces")
}

async fn streaming(kind: Kind) {
    let world = World::start(kind).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[stream 120 50]]");
    runs_turn(&world).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    kill_only_the_bridge(&world).await;
    assert_answered_once(&world, &message, "w120").await;
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_streaming_text() {
    for kind in BOTH {
        streaming(kind).await;
    }
}

async fn tool_call(kind: Kind) {
    let world = World::start(kind).await;
    let file = "nonce.txt";
    let text = format!("[[shell echo n1 >> {file}; sleep 1; echo n2 >> {file}]] [[say done]]");
    let message = world.sim.say(OWNER_CHAT, OWNER, &text);
    let nonce = world.wait("the tool's effect", |world| find(&workspaces(world), file)).await;
    kill_only_the_bridge(&world).await;
    assert_answered_once(&world, &message, "done").await;
    assert_eq!(world.nonces(&nonce), [("n1".to_owned(), 1), ("n2".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_tool_call_and_its_end_comes_while_nobody_is_there() {
    for kind in BOTH {
        tool_call(kind).await;
    }
}

async fn open_request(kind: Kind) {
    let world = World::start(kind).await;
    let file = world.file("approved.txt");
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[escalate echo n1 >> {}]] [[say done]]", file.display()));
    let card = world.card_with(&message, "Allow once").await;
    let allow = card.button("Allow once").unwrap();
    kill_only_the_bridge(&world).await;
    world.settled_surfaces().await;
    assert_eq!(world.sim.message(&card.id).button("Allow once"), Some(allow.clone()), "the same button");
    assert_nothing_was_told(&world, &message);
    world.sim.click_value(&card.id, OWNER, allow, serde_json::Value::Null).await;
    assert_answered_once(&world, &message, "done").await;
    assert_eq!(world.nonces(&file), [("n1".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_open_request_its_card_is_good_for_an_answer() {
    for kind in BOTH {
        open_request(kind).await;
    }
}

/// The bridge dies at a place in the life of a request.
async fn at_a_place_of_a_request(kind: Kind, place: &str) {
    let world = World::start(kind).await;
    let file = world.file("approved.txt");
    let text = format!("[[escalate echo n1 >> {}]] [[say done]]", file.display());
    let asks_before = place.starts_with("w4") || place == "card.told";
    if asks_before {
        arm(&world, place);
    }
    let message = world.sim.say(OWNER_CHAT, OWNER, &text);
    if asks_before {
        died(&world, place).await;
    }
    let card = world.card_with(&message, "Allow once").await;
    if asks_before {
        world.sim.click(&card.id, "Allow once", OWNER).await;
    } else {
        arm(&world, place);
        // The ack may never come, and a click that was not taken is made again.
        let sim = world.sim.clone();
        let id = card.id.clone();
        let click = tokio::spawn(async move { sim.click(&id, "Allow once", OWNER).await });
        died(&world, place).await;
        click.abort();
        if place == "w5.before" {
            world.sim.click(&card.id, "Allow once", OWNER).await;
        }
    }
    assert_answered_once(&world, &message, "done").await;
    assert_eq!(world.nonces(&file), [("n1".to_owned(), 1)].into(), "at {place}");
    let asked = world.cards(&message).into_iter().filter(|card| card.text().contains("echo n1")).count();
    assert!(asked <= 2, "it is asked about once: {asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn around_the_opening_of_a_request() {
    for (kind, place) in with_both(["w4.before", "w4.after", "card.told"]) {
        at_a_place_of_a_request(kind, place).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn around_a_decision() {
    for (kind, place) in with_both(["w5.before", "w5.after", "w5a.before"]) {
        at_a_place_of_a_request(kind, place).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn around_an_answer() {
    for (kind, place) in with_both(["w5a.after", "w5a.told"]) {
        at_a_place_of_a_request(kind, place).await;
    }
}

async fn each_write(kind: Kind) {
    let world = World::start(kind).await;
    for (n, place) in ["w2.before", "w2.after", "w2.told", "w3.before", "w3.after", "w6.before"].iter().enumerate() {
        let file = format!("nonce-{n}.txt");
        arm(&world, place);
        let text = format!("[[shell echo n{n} >> {file}]] [[say answer {n}]]");
        let message = world.sim.say(OWNER_CHAT, OWNER, &text);
        died(&world, place).await;
        assert_answered_once(&world, &message, &format!("answer {n}")).await;
        let nonce = find(&workspaces(&world), &file).unwrap();
        assert_eq!(world.nonces(&nonce), [(format!("n{n}"), 1)].into(), "at {place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn around_each_write_of_a_turn() {
    for kind in BOTH {
        each_write(kind).await;
    }
}

async fn question(kind: Kind) {
    let world = World::start(kind).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[ask Which one?|Alpha|Beta]] [[say thanks]]");
    let asked = world.card_with(&message, "2 Beta").await;
    kill_only_the_bridge(&world).await;
    world.settled_surfaces().await;
    world.sim.click(&asked.id, "2 Beta", OWNER).await;
    // The embedded runtime adds what it was answered.
    let last = if kind == Kind::Codex { "thanks" } else { "(answer: Beta)" };
    assert_answered_once(&world, &message, last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_question_waits() {
    for kind in BOTH {
        question(kind).await;
    }
}

async fn handing_over(kind: Kind) {
    let world = World::start(kind).await;
    let warm = world.sim.say(OWNER_CHAT, OWNER, "[[say warm]]");
    world.answer(&warm).await;
    world.settled().await;
    let runtime = world.pid("runtime").unwrap();
    kill(runtime, "-STOP");
    let file = "nonce.txt";
    let message = world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell echo n1 >> {file}]] [[say done]]"));
    world.wait("the submit", |world| (world.status()?["turns"]["submitting"] == 1).then_some(())).await;
    let bridge = world.pid("bridge").unwrap();
    kill(bridge, "-KILL");
    world.wait("a new bridge", |world| world.pid("bridge").filter(|pid| *pid != bridge)).await;
    kill(runtime, "-CONT");
    assert_answered_once(&world, &message, "done").await;
    assert_eq!(world.pid("runtime"), Some(runtime));
    let nonce = find(&workspaces(&world), file).unwrap();
    assert_eq!(world.nonces(&nonce), [("n1".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn during_the_handing_over_of_a_turn() {
    for kind in BOTH {
        handing_over(kind).await;
    }
}

async fn steer(kind: Kind) {
    let world = World::start(kind).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[shell sleep 5]] [[say done]]");
    runs_turn(&world).await;
    let steer = world.sim.say(OWNER_CHAT, OWNER, "/steer [[say steered words]]");
    world.sim.wait_ack(&steer).await;
    kill_only_the_bridge(&world).await;
    world.answer(&message).await;
    world.settled().await;
    assert_nothing_was_told(&world, &message);
    // Taken by the agent, or a turn of its own when the first was over: never silently gone.
    let taken = world.sim.message(&steer).receipts().contains(&"DONE");
    assert!(taken || !world.answers(&steer).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_steer_under_way() {
    for kind in BOTH {
        steer(kind).await;
    }
}

async fn stop(kind: Kind) {
    let world = World::start(kind).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[shell sleep 300]] [[say done]]");
    runs_turn(&world).await;
    let runtime = world.pid("runtime").unwrap();
    // The stop is committed and cannot be passed on.
    kill(runtime, "-STOP");
    let stop = world.sim.say(OWNER_CHAT, OWNER, "/stop");
    world.sim.wait_ack(&stop).await;
    let bridge = world.pid("bridge").unwrap();
    kill(bridge, "-KILL");
    world.wait("a new bridge", |world| world.pid("bridge").filter(|pid| *pid != bridge)).await;
    kill(runtime, "-CONT");
    world.settled().await;
    assert_eq!(world.pid("runtime"), Some(runtime));
    let turns: serde_json::Value = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    assert_eq!(turns[0]["outcome"], "interrupted", "{turns}");
    assert!(world.answers(&message).iter().all(|said| !said.text().contains("done")));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_stop_under_way() {
    for kind in BOTH {
        stop(kind).await;
    }
}

async fn ten_times(kind: Kind) {
    let mut world = World::prepare(kind, "").await;
    // After the tenth it rests; here for a moment only.
    std::fs::create_dir_all(world.file("ally/run")).unwrap();
    std::fs::write(world.file("ally/run/crash-rest"), "1000").unwrap();
    world.up().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[stream 300 150]]");
    runs_turn(&world).await;
    for _ in 0..10 {
        kill_only_the_bridge(&world).await;
    }
    assert_answered_once(&world, &message, "w300").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_within_one_turn() {
    for kind in BOTH {
        ten_times(kind).await;
    }
}

async fn nobody_reads(kind: Kind) {
    let mut world = World::prepare(kind, "").await;
    let limit = 150_000;
    std::fs::create_dir_all(world.file("ally/run")).unwrap();
    std::fs::write(world.file("ally/run/hold-limit"), limit.to_string()).unwrap();
    world.up().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[stream 2000 2]]");
    runs_turn(&world).await;
    let bridge = world.pid("bridge").unwrap();
    kill(bridge, "-STOP");
    let output = || {
        let files = std::fs::read_dir(world.file("ally/run")).unwrap().flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().ends_with(".out"))
            .map(|f| f.metadata().unwrap().len())
            .sum::<u64>()
    };
    world.wait("the limit", |_| (output() >= limit).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(output() < limit + 200_000, "{}", output());
    kill(bridge, "-KILL");
    assert_answered_once(&world, &message, "w2000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_reads_it_waits() {
    for kind in BOTH {
        nobody_reads(kind).await;
    }
}

async fn output(kind: Kind) {
    let world = World::start(kind).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[stream 50 1]]");
    world.answer(&message).await;
    let kept = |world: &World| {
        let files = std::fs::read_dir(world.file("ally/run")).unwrap().flatten();
        files.filter(|file| file.file_name().to_string_lossy().ends_with(".out")).collect::<Vec<_>>()
    };
    let empty = |world: &World| (kept(world).first()?.metadata().ok()?.len() == 0).then_some(());
    world.wait("the output to be cut", empty).await;
    let first = kept(&world)[0].file_name();
    // A bridge that comes after a cut reads on.
    let later = world.sim.say(OWNER_CHAT, OWNER, "[[stream 100 30]]");
    runs_turn(&world).await;
    kill_only_the_bridge(&world).await;
    assert_answered_once(&world, &later, "w100").await;
    world.kill_runtime().await;
    let files: Vec<_> = kept(&world).iter().map(std::fs::DirEntry::file_name).collect();
    assert!(files.len() == 1 && files[0] != first, "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_said_is_taken_away_when_nothing_runs_and_all_of_it_when_it_is_dead() {
    for kind in BOTH {
        output(kind).await;
    }
}

async fn queue(kind: Kind) {
    let world = World::start(kind).await;
    let long = world.sim.say(OWNER_CHAT, OWNER, "[[stream 100 50]]");
    let other = world.sim.say(GROUP, LI, "@bot [[stream 100 40]]");
    world.wait("both to run", |world| (world.status()?["turns"]["running"] == 2).then_some(())).await;
    let queued: Vec<String> =
        (0..3).map(|n| world.sim.say(OWNER_CHAT, OWNER, &format!("[[say queued {n}]]"))).collect();
    world.wait("the queue", |world| (world.status()?["turns"]["queued"] == 3).then_some(())).await;
    kill_only_the_bridge(&world).await;
    assert_answered_once(&world, &long, "w100").await;
    assert_answered_once(&world, &other, "w100").await;
    for (n, message) in queued.iter().enumerate() {
        assert_answered_once(&world, message, &format!("queued {n}")).await;
    }
    let said = |message: &SimMessage| message.by_bot().then(|| message.said());
    let order: Vec<String> =
        world.sim.messages(OWNER_CHAT).iter().filter_map(said).filter(|s| s.starts_with("queued")).collect();
    assert_eq!(order, ["queued 0", "queued 1", "queued 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_conversations_and_a_queue_go_on_in_their_order() {
    for kind in BOTH {
        queue(kind).await;
    }
}

/// A request that waits elsewhere has the next bridge hear everything since then: also the turn that was before on the same
/// thread.
async fn next_turn(kind: Kind) {
    let world = World::start(kind).await;
    let waits = world.sim.say(GROUP, OWNER, "@bot [[escalate true]] [[say allowed]]");
    let card = world.card_with(&waits, "Allow once").await;
    for place in ["w2.after", "w2.told", "w3.before"] {
        let first = world.sim.say(OWNER_CHAT, OWNER, &format!("[[shell echo {place}]] [[say first {place}]]"));
        assert_eq!(world.answer(&first).await.said(), format!("first {place}"));
        arm(&world, place);
        let second = world.sim.say(OWNER_CHAT, OWNER, &format!("[[stream 20 50]] [[say second {place}]]"));
        died(&world, place).await;
        let answer = world.answer(&second).await.said();
        assert!(answer.ends_with(&format!("second {place}")) && answer.contains("w20"), "{answer:?} at {place}");
        assert_eq!(world.answers(&second).len(), 1);
    }
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_answered_once(&world, &waits, "allowed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_not_taken_for_the_one_before_it() {
    for kind in BOTH {
        next_turn(kind).await;
    }
}

/// A thread that an earlier bridge loaded keeps its level and is not loaded twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_thread_goes_on_at_its_level_with_the_next_bridge() {
    let world = World::start(Kind::Codex).await;
    let set = world.sim.say(OWNER_CHAT, OWNER, "/settings autonomy ask");
    world.said(&set).await;
    let first = world.sim.say(OWNER_CHAT, OWNER, "[[shell touch asked-1]] [[say one]]");
    let card = world.card_with(&first, "Allow once").await;
    kill_only_the_bridge(&world).await;
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_answered_once(&world, &first, "one").await;
    let second = world.sim.say(OWNER_CHAT, OWNER, "[[shell touch asked-2]] [[say two]]");
    let card = world.card_with(&second, "Allow once").await;
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_answered_once(&world, &second, "two").await;
}

async fn restart(kind: Kind) {
    let world = World::start(kind).await;
    let file = world.file("approved.txt");
    let long = world.sim.say(OWNER_CHAT, OWNER, "[[stream 150 50]]");
    let asks = format!("@bot [[escalate echo n1 >> {}]] [[say done]]", file.display());
    let asked = world.sim.say(GROUP, OWNER, &asks);
    let card = world.card_with(&asked, "Allow once").await;
    let pids = |world: &World| ["supervisor", "bridge", "runtime"].map(|which| world.pid(which).unwrap());
    let before = pids(&world);
    let (said, well) = world.run(&["restart"]);
    assert!(well, "{said}");
    world.ready().await;
    let after = pids(&world);
    assert!(before[0] == after[0] && before[1] != after[1] && before[2] == after[2], "{before:?} {after:?}");
    world.sim.click(&card.id, "Allow once", OWNER).await;
    assert_answered_once(&world, &asked, "done").await;
    assert_answered_once(&world, &long, "w150").await;
    assert_eq!(world.nonces(&file), [("n1".to_owned(), 1)].into());
    let (said, well) = world.run(&["restart", "--all"]);
    assert!(well, "{said}");
    world.ready().await;
    assert!(pids(&world).iter().all(|pid| !after.contains(pid)));
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
    // That one left our hands: it is ended here.
    assert!(world.run(&["stop"]).1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_cuts_nothing() {
    for kind in BOTH {
        restart(kind).await;
    }
}

/// Settings of codex that change while a task runs hold from the next one on.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_other_settings_waits_for_the_task() {
    let world = World::start(Kind::Codex).await;
    let long = world.sim.say(OWNER_CHAT, OWNER, "[[stream 150 50]]");
    runs_turn(&world).await;
    let codex = world.pid("runtime");
    let file = world.file("ally/ally.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "\n[runtime.codex]\nargs = [\"-c\", \"model_verbosity=\\\"low\\\"\"]\n").unwrap();
    assert!(world.run(&["restart"]).1);
    world.ready().await;
    assert_eq!(world.pid("runtime"), codex, "the task goes on");
    assert_answered_once(&world, &long, "w150").await;
    world.wait("another codex", |world| world.pid("runtime").filter(|now| Some(*now) != codex)).await;
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
}

/// An error that ends the bridge is no reason to end what it serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_bridge_fails_and_codex_goes_on() {
    let world = World::start(Kind::Codex).await;
    let file = world.file("approved.txt");
    let asks = format!("@bot [[escalate echo n1 >> {}]] [[say done]]", file.display());
    let asked = world.sim.say(GROUP, OWNER, &asks);
    let card = world.card_with(&asked, "Allow once").await;
    let long = world.sim.say(OWNER_CHAT, OWNER, "[[stream 150 50]]");
    runs_turn(&world).await;
    let before = ["bridge", "runtime"].map(|which| world.pid(which).unwrap());
    // The next message that is to be sent has the outbox fail.
    std::fs::write(world.paths().crash_point(), ally::crash::FAILURES[0]).unwrap();
    let short = world.sim.say(GROUP, LI, "@bot [[say short]]");
    world.wait("a failure", |world| (!world.paths().crash_point().exists()).then_some(())).await;
    world.wait("a new bridge", |world| world.pid("bridge").filter(|pid| *pid != before[0])).await;
    world.ready().await;
    assert!(world.whole_log().contains("ended because a part of it failed"));
    assert_eq!(world.pid("runtime"), Some(before[1]), "codex lives on");
    world.sim.click(&card.id, "Allow once", OWNER).await;
    for (message, word) in [(&short, "short"), (&asked, "done"), (&long, "w150")] {
        assert_answered_once(&world, message, word).await;
    }
    assert_eq!(world.nonces(&file), [("n1".to_owned(), 1)].into());
}

/// Somebody ends the bridge alone, gently: that is a death like another, and ally goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_told_to_end_by_somebody_else_leaves_codex_as_it_is() {
    let world = World::start(Kind::Codex).await;
    let file = world.file("approved.txt");
    let asks = format!("@bot [[escalate echo n1 >> {}]] [[say done]]", file.display());
    let asked = world.sim.say(GROUP, OWNER, &asks);
    let card = world.card_with(&asked, "Allow once").await;
    let allow = card.button("Allow once").unwrap();
    let long = world.sim.say(OWNER_CHAT, OWNER, "[[stream 150 50]]");
    runs_turn(&world).await;
    for _ in 0..2 {
        let before = ["bridge", "runtime"].map(|which| world.pid(which).unwrap());
        kill(before[0], "-TERM");
        world.wait("a new bridge", |world| world.pid("bridge").filter(|pid| *pid != before[0])).await;
        world.ready().await;
        assert_eq!(world.pid("runtime"), Some(before[1]), "codex lives on");
    }
    world.sim.click_value(&card.id, OWNER, allow, serde_json::Value::Null).await;
    assert_answered_once(&world, &asked, "done").await;
    assert_answered_once(&world, &long, "w150").await;
    assert_eq!(world.nonces(&file), [("n1".to_owned(), 1)].into());
}

/// A newer build of ally plays from the next task on.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_a_newer_program_waits_for_the_task() {
    let mut world = World::prepare(Kind::Embedded, "").await;
    let program = world.file("ally-of-its-own");
    std::fs::copy(env!("CARGO_BIN_EXE_ally"), &program).unwrap();
    world.use_program(program.clone());
    world.up().await;
    let long = world.sim.say(OWNER_CHAT, OWNER, "[[stream 150 50]]");
    runs_turn(&world).await;
    let runtime = world.pid("runtime");
    let built = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    std::fs::File::open(&program).unwrap().set_modified(built).unwrap();
    assert!(world.run(&["restart"]).1);
    world.ready().await;
    assert_eq!(world.pid("runtime"), runtime, "the task goes on");
    assert_answered_once(&world, &long, "w150").await;
    world.wait("the newer one", |world| world.pid("runtime").filter(|now| Some(*now) != runtime)).await;
    let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
    assert_eq!(world.answer(&next).await.said(), "still here");
}

async fn supervisor_dies(kind: Kind) {
    let mut world = World::prepare(kind, "[turn]\ngrace = \"1s\"\n").await;
    world.up().await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[shell sleep 300]] [[say done]]");
    // Before that it may prove not to have run, and then it runs again.
    let step = |world: &World| world.cards(&message).iter().any(|card| card.text().contains("Step 1")).then_some(());
    world.wait("the step to be seen", step).await;
    kill(world.pid("supervisor").unwrap(), "-KILL");
    world.wait("the end of all of it", |world| world.processes().is_empty().then_some(())).await;
    world.down().await;
    world.up().await;
    world.card_with(&message, "Continue").await;
    world.settled().await;
    assert_eq!(world.answers(&message).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisor_dies_and_the_runtime_with_it() {
    for kind in BOTH {
        supervisor_dies(kind).await;
    }
}

/// A full disk may have kept it from being written.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_on_although_what_was_known_of_its_process_is_lost() {
    for kind in BOTH {
        let world = World::start(kind).await;
        let message = world.sim.say(OWNER_CHAT, OWNER, "[[stream 100 50]]");
        runs_turn(&world).await;
        for file in std::fs::read_dir(world.paths().run).unwrap().flatten() {
            if file.path().extension().is_some_and(|end| end == "json") && is_of_a_generation(&file.file_name()) {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
        kill_only_the_bridge(&world).await;
        assert_answered_once(&world, &message, "w100").await;
        let next = world.sim.say(OWNER_CHAT, OWNER, "[[say still here]]");
        assert_eq!(world.answer(&next).await.said(), "still here");
    }
}

fn is_of_a_generation(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("gen-")
}

/// The bridge dies between a process and the note of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_not_written_down_is_ended() {
    for kind in BOTH {
        let world = World::start(kind).await;
        arm(&world, "spawn.told");
        kill(world.pid("runtime").unwrap(), "-KILL");
        died(&world, "spawn.told").await;
        world.ready().await;
        let message = world.sim.say(OWNER_CHAT, OWNER, "[[say alive]]");
        assert_eq!(world.answer(&message).await.said(), "alive");
        let files = std::fs::read_dir(world.paths().run).unwrap().flatten();
        let names = files.map(|file| file.file_name()).filter(|name| is_of_a_generation(name));
        let generations: std::collections::BTreeSet<String> =
            names.filter_map(|name| Some(name.to_str()?.split('.').next()?.to_owned())).collect();
        assert_eq!(generations.len(), 1, "nothing of a former process is left: {generations:?}");
        let runtimes: Vec<u32> = world.processes().into_iter().filter(|pid| is_runtime(*pid)).collect();
        assert_eq!(runtimes, [world.pid("runtime").unwrap()], "and no process");
    }
}

/// Codex itself, or the player of `embedded`; not what they start, and not the codex of a probe.
fn is_runtime(pid: u32) -> bool {
    let has = |file: &str, fits: fn(&[u8]) -> bool| {
        let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        text.split(|byte| *byte == 0).any(fits)
    };
    has("environ", |entry| entry.starts_with(b"ALLY_GENERATION="))
        && has("cmdline", |word| word == b"app-server" || word == b"runtime-embedded")
}

/// When the end of all is wished for.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The bridge dies at the same time.
    Death,
    /// The next one is waited for.
    NoBridge,
    /// It makes room for another one.
    Replaced,
    /// No bridge is there, and the end is wished for a second time while the one starts that is to drain.
    Hurry,
}

async fn ends_without_a_bridge(kind: Kind, moment: Moment) {
    let mut world = World::prepare(kind, "[turn]\ngrace = \"8s\"\n").await;
    world.up().await;
    let long = world.sim.say(GROUP, OWNER, "@bot [[shell sleep 300]] [[say done]]");
    runs_turn(&world).await;
    let short = world.sim.say(OWNER_CHAT, OWNER, "[[stream 30 50]]");
    world.wait("both to run", |world| (world.status()?["turns"]["running"] == 2).then_some(())).await;
    let supervisor = world.pid("supervisor").unwrap();
    match moment {
        Moment::Death => kill(world.pid("bridge").unwrap(), "-KILL"),
        Moment::NoBridge | Moment::Hurry => {
            kill(world.pid("bridge").unwrap(), "-KILL");
            let seen = |world: &World| world.whole_log().contains("The bridge died").then_some(());
            world.wait("the death to be seen", seen).await;
        }
        Moment::Replaced => {
            kill(supervisor, "-USR1");
            let begun = |world: &World| world.whole_log().contains("is to make room").then_some(());
            world.wait("the replacement to begin", begun).await;
        }
    }
    kill(supervisor, "-TERM");
    if matches!(moment, Moment::Hurry) {
        world.wait("the bridge that drains", |world| world.bridge_pid()).await;
        kill(supervisor, "-TERM");
    }
    world.wait("the end of all of it", |world| world.processes().is_empty().then_some(())).await;
    world.down().await;
    world.up().await;
    world.card_with(&long, "Continue").await;
    if !matches!(moment, Moment::Hurry) {
        assert_answered_once(&world, &short, "w30").await;
    }
    let turns: serde_json::Value = serde_json::from_str(&world.run(&["turns", "--json"]).0).unwrap();
    let outcomes: std::collections::BTreeSet<&str> =
        turns.as_array().unwrap().iter().filter_map(|turn| turn["outcome"].as_str()).collect();
    assert!(outcomes.contains("interrupted") && !outcomes.contains("lost"), "{outcomes:?} {kind:?} {moment:?}");
}

/// Whoever stops ally while no bridge is there cuts nothing without its grace.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_without_a_bridge_gives_what_runs_its_grace() {
    use Moment::{Death, NoBridge, Replaced};
    for (kind, moment) in [(Kind::Codex, Death), (Kind::Embedded, NoBridge), (Kind::Embedded, Replaced)] {
        ends_without_a_bridge(kind, moment).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stop_without_a_bridge_settles_what_runs_as_well() {
    ends_without_a_bridge(Kind::Codex, Moment::Hurry).await;
}

/// It is found when the next bridge reads it; a person mends it while the task goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_nobody_can_read_ends_no_task() {
    let world = World::start(Kind::Codex).await;
    let message = world.sim.say(OWNER_CHAT, OWNER, "[[stream 100 100]]");
    runs_turn(&world).await;
    let codex = world.pid("runtime");
    let file = world.file("ally/ally.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}\nthis is no toml\n")).unwrap();
    kill(world.pid("bridge").unwrap(), "-KILL");
    let deaths = |world: &World| world.whole_log().matches("The bridge died").count();
    world.wait("bridges that cannot start", |world| (deaths(world) >= 3).then_some(())).await;
    std::fs::write(&file, good).unwrap();
    assert_answered_once(&world, &message, "w100").await;
    assert_eq!(world.pid("runtime"), codex, "the same one");
}
