//! What keeps ally running: a bridge that keeps dying, a service manager that wants signs of life, settings that change
//! under a running daemon.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::feishu_sim::SimMessage;
use crate::support::world::*;

/// With files in `run/` that only test builds look at.
async fn prepare(settings: &str, files: &[(&str, &str)]) -> World {
    let world = World::prepare(Kind::Embedded, settings).await;
    world.rewrite("ally.toml", "lang = \"en\"\n", &format!("lang = \"en\"\n{}", daytime()));
    for (name, text) in files {
        let file = world.home.path().join("ally/run").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    world
}

fn told(world: &World, words: &str) -> Vec<SimMessage> {
    world.sim.messages(OWNER_CHAT).into_iter().filter(|one| one.by_bot() && one.text().contains(words)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_keeps_dying_rests_tells_its_owner_once_and_comes_back_by_itself() {
    let mut world = prepare("", &[("crash-rest", "10000")]).await;
    world.up().await;
    let hello = world.sim.say(OWNER_CHAT, OWNER, "[[say hello]]");
    assert_eq!(world.answer(&hello).await.said(), "hello");
    world.settled().await;
    for _ in 0..9 {
        world.kill_bridge().await;
    }
    assert_eq!(told(&world, "crashed").len(), 0, "nine times may be an accident");
    kill(world.pid("bridge").unwrap(), "-KILL");
    let shown = world.wait("status to tell of it", |world| {
        let (shown, well) = world.run(&["status"]);
        (!well && shown.contains("it crashed 10 times between")).then_some(shown)
    });
    let shown = shown.await;
    let said = ["failing", "signal: 9 (SIGKILL)", "rests until", "`ally restart` tries at once", "`ally logs`"];
    assert!(said.iter().all(|words| shown.contains(words)), "{shown}");
    let status = world.status().unwrap();
    assert!(status["crashes"]["count"] == 10 && status["crashes"]["next_try_ms"].is_i64(), "{status}");
    let meanwhile = world.sim.say(OWNER_CHAT, OWNER, "[[say still there]]");
    world.ready().await;
    assert_eq!(world.answer(&meanwhile).await.said(), "still there");
    world
        .wait("its owner to be told", |world| (!told(world, "ally crashed 10 times between").is_empty()).then_some(()))
        .await;
    let (shown, well) = world.run(&["status"]);
    assert!(well && shown.contains("works again only just now"), "{shown}");
    // The next ones know that it was told.
    assert!(world.run(&["restart"]).1);
    world.ready().await;
    let later = world.sim.say(OWNER_CHAT, OWNER, "[[say later]]");
    assert_eq!(world.answer(&later).await.said(), "later");
    world.settled().await;
    let notice = told(&world, "crashed");
    assert_eq!(notice.len(), 1, "{notice:?}");
    assert!(notice[0].text().contains("is tried again now"), "{}", notice[0].text());
}

/// Beats only say that some thread of it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_beats_and_answers_nobody_is_replaced() {
    let mut world = prepare("", &[("unproven", "25000")]).await;
    world.up().await;
    let before = world.pid("bridge").unwrap();
    world.wait("its first proof", |world| world.log_says("The bridge is ready").then_some(())).await;
    tokio::time::sleep(Duration::from_secs(28)).await;
    assert_eq!(world.bridge_pid(), Some(before), "it proves that it lives");
    std::fs::remove_file(world.paths().socket()).unwrap();
    world.wait("another bridge", |world| world.bridge_pid().filter(|pid| *pid != before)).await;
    world.ready().await;
    assert!(world.log_says("its socket or its ledger do not answer"));
}

/// systemd's end of the notify socket.
struct FakeManager {
    socket: UnixDatagram,
    path: PathBuf,
    heard: Mutex<Vec<String>>,
}

impl FakeManager {
    fn new(world: &World) -> Self {
        let path = world.file("n.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path, heard: Mutex::default() }
    }

    /// Everything so far.
    fn heard(&self) -> Vec<String> {
        let mut heard = self.heard.lock().unwrap();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        heard.clone()
    }

    fn count(&self, word: &str) -> usize {
        self.heard().iter().filter(|told| told.lines().any(|line| line == word)).count()
    }

    fn forget(&self) {
        self.heard();
        self.heard.lock().unwrap().clear();
    }

    async fn hears(&self, word: &str, times: usize) {
        let until = Instant::now() + PATIENCE;
        while self.count(word) < times {
            assert!(Instant::now() < until, "{word} was not said {times} times: {:?}", self.heard());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("NOTIFY_SOCKET", self.path.display().to_string()), ("WATCHDOG_USEC", "180000000".to_owned())]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_hears_that_it_is_ready_alive_applying_settings_and_ending() {
    let mut world = prepare("", &[]).await;
    let manager = FakeManager::new(&world);
    world.up_with(&manager.environment()).await;
    manager.hears("READY=1", 1).await;
    manager.hears("WATCHDOG=1", 3).await;
    let environ = std::fs::read(format!("/proc/{}/environ", world.pid("bridge").unwrap())).unwrap();
    let environ = String::from_utf8_lossy(&environ).into_owned();
    assert!(!environ.contains("NOTIFY_SOCKET") && !environ.contains("WATCHDOG_USEC"), "it hears the supervisor only");
    // A wrong file changes nothing.
    let before = ["supervisor", "bridge", "runtime"].map(|which| world.pid(which).unwrap());
    world.rewrite("ally.toml", "[feishu]", "[feishuu]");
    kill(before[0], "-HUP");
    world
        .wait("the refusal", |world| world.log_says("The settings cannot be used and nothing is changed").then_some(()))
        .await;
    manager.hears("STATUS=running; the settings on the disk cannot be used, see `ally reload`", 1).await;
    assert_eq!(["supervisor", "bridge", "runtime"].map(|which| world.pid(which).unwrap()), before);
    assert_eq!(manager.heard().iter().filter(|told| told.contains("RELOADING=1")).count(), 0);
    // A right one is applied by another bridge, and what runs goes on.
    world.rewrite("ally.toml", "[feishuu]", "[feishu]");
    let running = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 5000]] [[say worked on]]");
    world.wait("it to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    kill(before[0], "-HUP");
    manager.hears("RELOADING=1", 1).await;
    assert!(manager.heard().iter().any(|told| told.contains("RELOADING=1") && told.contains("MONOTONIC_USEC=")));
    manager.hears("READY=1", 2).await;
    world.ready().await;
    let after = ["supervisor", "bridge", "runtime"].map(|which| world.pid(which).unwrap());
    assert!(before[0] == after[0] && before[1] != after[1] && before[2] == after[2], "{before:?} {after:?}");
    assert_eq!(world.answer(&running).await.said(), "worked on");
    world.down().await;
    assert!(manager.count("STOPPING=1") >= 1, "{:?}", manager.heard());
}

/// The service manager ends what gives no sign of life, and starts it anew: nothing is missing then.
#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_gives_no_sign_of_life_until_it_is_started_anew() {
    let mut world = prepare("", &[]).await;
    let manager = FakeManager::new(&world);
    world.up_with(&manager.environment()).await;
    manager.hears("WATCHDOG=1", 2).await;
    let bridge = world.pid("bridge").unwrap();
    kill(bridge, "-STOP");
    // What was on its way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    manager.forget();
    world.wait("the supervisor to notice", |world| world.log_says("silent for three heartbeats").then_some(())).await;
    let early: Vec<String> = manager.heard();
    let signs = early.iter().take_while(|told| !told.contains("STATUS=")).filter(|told| told.contains("WATCHDOG=1"));
    assert_eq!(signs.count(), 0, "a bridge that stands still is not alive: {early:?}");
    manager.hears("READY=1", 1).await;
    manager.hears("WATCHDOG=1", 1).await;
    world.ready().await;
    // The supervisor itself.
    let supervisor = world.supervisor_pid().unwrap();
    kill(supervisor, "-STOP");
    tokio::time::sleep(Duration::from_secs(1)).await;
    manager.forget();
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(manager.heard(), Vec::<String>::new(), "nobody speaks for it");
    let asked = world.sim.say(OWNER_CHAT, OWNER, "[[say done]]");
    kill(supervisor, "-KILL");
    world.wait("its bridge to end", |world| world.bridge_pid().is_none().then_some(())).await;
    world.up_with(&manager.environment()).await;
    manager.hears("READY=1", 1).await;
    assert_eq!(world.answer(&asked).await.said(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_applied_while_tasks_go_on_and_a_wrong_file_changes_nothing() {
    let world = World::start(Kind::Embedded).await;
    let running = world.sim.say(OWNER_CHAT, OWNER, "[[sleep 6000]] [[say worked on]]");
    world.wait("it to run", |world| (world.status()?["turns"]["running"] == 1).then_some(())).await;
    let before = ["supervisor", "bridge", "runtime"].map(|which| world.pid(which).unwrap());
    let listed = format!("users = [\"{LI}\"]");
    let reload = |world: &World| {
        let output = world.ally(&["reload"]).output().unwrap();
        (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
    };
    world.rewrite("ally.toml", &listed, "users = [\"li@example.com\"]");
    let (said, code) = reload(&world);
    let wanted = ["ally.toml:8: access.users", "is not an id of the form ou_", "hint: nothing is changed"];
    assert!(code == Some(78) && wanted.iter().all(|words| said.contains(words)), "{code:?} {said}");
    assert_eq!(["supervisor", "bridge", "runtime"].map(|which| world.pid(which).unwrap()), before);
    world.rewrite("ally.toml", "users = [\"li@example.com\"]", &format!("users = [\"{LI}\", \"{STRANGER}\"]"));
    let (said, code) = reload(&world);
    assert!(
        code == Some(0) && said.contains("the settings are in force, and no task was interrupted (running 1"),
        "{said}"
    );
    world.ready().await;
    let after = ["supervisor", "bridge", "runtime"].map(|which| world.pid(which).unwrap());
    assert!(before[0] == after[0] && before[1] != after[1] && before[2] == after[2], "{before:?} {after:?}");
    let direct = "oc_stranger";
    world.sim.add_direct(direct, STRANGER);
    let allowed = world.sim.say(direct, STRANGER, "[[say after]]");
    assert_eq!(world.answer(&allowed).await.said(), "after");
    assert_eq!(world.answer(&running).await.said(), "worked on");
    world.settled().await;
}
