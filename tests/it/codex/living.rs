//! Deaths, failures, commands and their environment, with the real codex.

use std::path::Path;
use std::process::Command;

use ally::bridge::ports::*;
use ally::domain::gate::Decision;
use ally::domain::history::FailureKind;
use ally::domain::ids::ClientId;
use ally::domain::verdict::{Found, FoundStatus, Known, LostHow, Verdict, after_death};
use ally::domain::view::Background;

use crate::support::runtimes::{PATIENCE, Site, start};

const KNOWN: Known = Known {
    acted: false,
    durable: false,
    stop_requested: false,
    recalled: false,
    boot_changed: false,
    thread_has_settled_turns: true,
    pulls_failed: 0,
};

/// Whether some process has `word` on its command line.
fn runs(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok()).any(|line| {
        // The shell that was told to start it names it as well: it counts.
        String::from_utf8_lossy(&line).contains(word)
    })
}

async fn until_gone(word: &str) {
    let waiting = async {
        while runs(word) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{word} runs on"));
}

async fn until_there(path: &Path) {
    let waiting = async {
        while !path.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{} never came", path.display()));
}

/// A number of seconds that no other sleep has.
fn sleep_of_ones_own() -> String {
    format!("sleep 3{}.{}", std::process::id(), fastrand::u32(100_000..999_999))
}

#[tokio::test]
async fn an_interrupt_and_a_clean_leave_no_process() {
    let site = Site::new("clean").await;
    let mut alive = start(&*site.codex(), 1).await.expect("codex starts");
    let thread = alive.open(None, &site.work()).await;
    let sleep = sleep_of_ones_own();
    // An interrupt in a command's first moments ends it; later it runs on in the background.
    let turn = alive.submit(&thread, "c.1", &format!("[[shell sleep 1; touch began; {sleep}]]")).await;
    until_there(&site.work().join("began")).await;
    alive.runtime.interrupt(&thread, &turn).await.expect("stopped");
    assert_eq!(alive.ended().await.0, TurnEnd::Interrupted);
    assert_eq!(alive.runtime.clean(&thread).await, Ok(Background::Ended));
    until_gone(&sleep).await;
    assert_eq!(alive.runtime.clean(&thread).await, Ok(Background::None));
    alive.runtime.shutdown().await;
}

#[tokio::test]
async fn a_command_in_the_background_keeps_no_right_of_an_earlier_task() {
    let site = Site::new("left").await;
    let mut alive = start(&*site.codex(), 1).await.expect("codex starts");
    let thread = alive.open(None, &site.work()).await;
    let edit = Posture::of(Level::Edit);
    let granted = Posture { network: true, ..edit.clone() };
    let began = site.temp().join("began");
    // The first may do the same as what follows, the second reached the network, the third was granted it on the way.
    for (posture, ask, stays) in [
        (&edit, "", true),
        (&granted, "", false),
        (&edit, "[[permit network]]", false),
        (&Posture::of(Level::Safe), "", false),
    ] {
        let sleep = sleep_of_ones_own();
        let submit = |text: String, posture: &Posture| Submit {
            thread: thread.clone(),
            client: ClientId::new(&text),
            input: Prompt { text, ..Prompt::default() },
            model: None,
            effort: None,
            has_planned: false,
            posture: posture.clone(),
        };
        let text = format!("{ask} [[shell touch $TMPDIR/began; {sleep}]]");
        let turn = alive.runtime.submit(&submit(text, posture)).await.expect("taken").turn.expect("a turn");
        if !ask.is_empty() {
            let gate = alive.gate().await;
            alive.answer(&thread, &gate, Decision::Allow).await;
        }
        until_there(&began).await;
        // In its first moments an interrupt would end it.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        alive.runtime.interrupt(&thread, &turn).await.expect("stopped");
        alive.ended().await;
        assert!(runs(&sleep), "{posture:?}: it runs on");
        alive.runtime.submit(&submit(format!("[[say next to {sleep}]]"), &edit)).await.expect("taken");
        alive.ended().await;
        if stays {
            assert!(runs(&sleep), "no right was taken away");
        } else {
            until_gone(&sleep).await;
        }
        alive.runtime.clean(&thread).await.expect("cleaned");
        let _ = std::fs::remove_file(&began);
    }
    alive.runtime.shutdown().await;
}

#[tokio::test]
async fn killed_in_the_middle_it_is_lost_and_goes_on() {
    let site = Site::new("killed").await;
    let launcher = site.codex();
    let mut alive = start(&*launcher, 1).await.expect("codex starts");
    let thread = alive.open(None, &site.work()).await;
    alive.play(&thread, "first.1", "[[say first]]").await;
    let sleep = sleep_of_ones_own();
    alive.submit(&thread, "cut.1", &format!("[[shell touch began; {sleep}]]")).await;
    alive.taken("cut.1").await;
    until_there(&site.work().join("began")).await;
    let pid = alive.identity.pid.expect("a process").to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().expect("kill").success());
    alive.until("exit", |fact| matches!(fact, Fact::Exited { .. }).then_some(())).await;
    assert_eq!(launcher.make_dead(&alive.identity).await.map(|death| death.boot_changed), Ok(false));
    until_gone(&sleep).await;

    let next = start(&*launcher, 2).await.expect("codex starts again");
    let pulled = next.pull(&thread, "cut.1").await.expect("in the history");
    assert_eq!(pulled.status, FoundStatus::InterruptedOpen);
    let found = Found::Turn { status: pulled.status, end: pulled.end, items: pulled.items.len() };
    assert_eq!(after_death(&found, KNOWN), Verdict::Lost(LostHow::CommandsMayRunOn));
    assert!(next.pull(&thread, "never.1").await.is_none());

    // `workspace-write` is not restored by codex itself: it must have been said again.
    site.configure(|config| config.replace("sandbox_mode = \"workspace-write\"", "sandbox_mode = \"read-only\""));
    next.runtime.shutdown().await;
    let mut last = start(&*launcher, 3).await.expect("codex starts a third time");
    assert_eq!(last.open(Some(&thread), &site.work()).await, thread);
    last.play(&thread, "write.1", "[[shell echo hi > inside]]").await;
    assert_eq!(std::fs::read_to_string(site.work().join("inside")).expect("written inside"), "hi\n");
    last.runtime.shutdown().await;
}

#[tokio::test]
async fn closed_input_ends_it_and_its_commands() {
    let site = Site::new("eof").await;
    let launcher = site.codex();
    let mut alive = start(&*launcher, 1).await.expect("codex starts");
    let thread = alive.open(None, &site.work()).await;
    let sleep = sleep_of_ones_own();
    alive.submit(&thread, "cut.1", &format!("[[shell touch began; {sleep}]]")).await;
    until_there(&site.work().join("began")).await;
    alive.runtime.shutdown().await;
    until_gone(&sleep).await;
    alive.until("exit", |fact| matches!(fact, Fact::Exited { .. }).then_some(())).await;
    let next = start(&*launcher, 2).await.expect("codex starts again");
    let pulled = next.pull(&thread, "cut.1").await.expect("in the history");
    let found = Found::Turn { status: pulled.status, end: pulled.end, items: pulled.items.len() };
    assert_eq!(after_death(&found, KNOWN), Verdict::Lost(LostHow::CommandsEnded));
    next.runtime.shutdown().await;
}

#[tokio::test]
async fn failures_have_their_kind() {
    let site = Site::new("failures").await;
    let mut alive = start(&*site.codex(), 1).await.expect("codex starts");
    let thread = alive.open(None, &site.work()).await;
    for (text, want) in [
        ("[[http 401]]", FailureKind::NotSignedIn),
        ("[[http 429]]", FailureKind::ModelBusy),
        ("[[fail 500]]", FailureKind::ModelBusy),
        ("[[usage_limit]]", FailureKind::UsageLimit),
    ] {
        alive.submit(&thread, text, text).await;
        let (end, failure) = alive.ended().await;
        assert_eq!((end, failure.map(|failure| failure.kind)), (TurnEnd::Failed, Some(want)), "{text}");
        let pulled = alive.pull(&thread, text).await.expect("in the history");
        assert_eq!((pulled.status, pulled.failure.map(|failure| failure.kind)), (FoundStatus::Failed, Some(want)));
    }
    assert_eq!(alive.play(&thread, "well.1", "[[say well]]").await, "well");
    alive.runtime.shutdown().await;
}

#[tokio::test]
async fn commands_see_the_mark_and_no_secret() {
    let site = Site::new("environment").await;
    let mut alive = start(&*site.codex(), 1).await.expect("codex starts");
    let thread = alive.open(None, &site.work()).await;
    alive.play(&thread, "env.1", "[[shell env > seen]]").await;
    let seen = std::fs::read_to_string(site.work().join("seen")).expect("written");
    assert!(seen.lines().any(|line| line == format!("ALLY_GENERATION={}", alive.identity.mark)), "{seen}");
    assert!(!seen.contains("planted"), "{seen}");
    alive.runtime.shutdown().await;
}
