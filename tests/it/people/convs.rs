//! Conversations and projects: what goes on where, and what it cost.

use ally::domain::turn::{Outcome, TurnState};
use ally::domain::view::{ButtonRole, View};

use crate::bridge::room::Room;

const COMPLETED: TurnState = TurnState::Settled(Outcome::Completed);
const LOST: TurnState = TurnState::Settled(Outcome::Lost);

#[tokio::test(flavor = "multi_thread")]
async fn usage_counts_the_tokens_of_turns() {
    let room = Room::open("usage").await;
    let nothing = room.say("/usage").await;
    assert!(room.answered(&nothing).await[0].contains("Nothing was used"), "{:?}", room.answers(&nothing));
    let first = room.say("[[say one two three four five six]]").await;
    let first = room.until(&first, "completed", |turn| turn.state == COMPLETED).await;
    let second = room.say("[[say one two three four five six]]").await;
    let second = room.until(&second, "completed", |turn| turn.state == COMPLETED).await;
    assert!(first.tokens.unwrap() > 1 && first.tokens == second.tokens, "{first:?} {second:?}");
    let asked = room.say("/usage 7d").await;
    let said = room.answered(&asked).await.concat();
    let both = first.tokens.unwrap() + second.tokens.unwrap();
    assert!(said.contains(&format!("{both} tokens")) && said.contains("tasks: 2"), "{said}");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_a_lost_turn_asks_first() {
    let room = Room::open("retry").await;
    let message = room.say("[[shell sleep 60]]").await;
    room.until(&message, "at work", |turn| turn.tool_seen).await;
    room.end_runtime().await;
    room.until(&message, "lost", |turn| turn.state == LOST).await;
    room.say("/retry").await;
    room.wait("the question", || (room.notices("may be done twice") == 1).then_some(())).await;
    room.press(ButtonRole::Dismiss).await;
    let over = room.say("/retry").await;
    assert_eq!(room.answered(&over).await, ["There is no request to run again"]);
    assert_eq!(room.turns(&message).await, 1, "nothing ran again");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_conversation_is_continued_by_number_and_by_button() {
    let room = Room::open("threads").await;
    let none = room.say("/threads").await;
    assert_eq!(room.answered(&none).await, ["There is no conversation here yet"]);
    let first = room.done("[[say the login page]]").await;
    let named = room.say("/name Login page").await;
    assert_eq!(room.answered(&named).await, ["This conversation is now called “Login page”"]);
    let fresh = room.say("/new").await;
    room.answered(&fresh).await;
    let second = room.done("[[say the tests]]").await;
    assert_ne!(first.thread, second.thread);

    let rows = room.list(&room.say("/threads").await).await.rows;
    assert!(rows[0].text.starts_with("1. [[say the tests]]") && rows[0].text.ends_with("this one"), "{rows:?}");
    assert!(rows[1].text.starts_with("2. Login page"), "{rows:?}");
    assert!(rows[0].buttons.is_empty() && rows[1].buttons.len() == 1 && rows.len() == 2, "{rows:?}");

    let resumed = room.say("/接着2").await;
    assert_eq!(room.answered(&resumed).await, ["From the next message on this continues “Login page”"]);
    let third = room.done("[[say again]]").await;
    assert_eq!(third.thread, first.thread);
    assert_eq!(third.cursor, first.native_turn, "it is known where the thread was left");

    let list = room.say("/threads").await;
    let rows = room.list(&list).await.rows;
    assert!(rows[0].text.contains("Login page"), "the one used last comes first: {rows:?}");
    room.press_row(&list, 1).await;
    room.wait("word of it", || (room.notices("continues “[[say the tests]]”") == 1).then_some(())).await;
    let fourth = room.done("[[say back]]").await;
    assert_eq!(fourth.thread, second.thread);
    let out_of_range = room.say("/resume 7").await;
    assert!(room.answered(&out_of_range).await[0].starts_with("There is no conversation 7"));
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_works_is_not_taken_from_its_conversation() {
    let room = Room::open("taken").await;
    let busy = room.say("[[sleep 60000]]").await;
    room.until(&busy, "running", |turn| turn.state == TurnState::Running).await;
    let fresh = room.say("/new").await;
    room.answered(&fresh).await;
    room.say("/threads").await;
    let resumed = room.say("/resume 1").await;
    assert!(room.answered(&resumed).await[0].contains("still running"), "{:?}", room.answers(&resumed));
    room.say("/stop").await;
    room.until(&busy, "over", |turn| turn.state.is_settled()).await;
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_leaves_the_original_alone() {
    let room = Room::open("fork").await;
    let nothing = room.say("/fork").await;
    assert_eq!(room.answered(&nothing).await, ["There is no conversation to copy yet"]);
    let first = room.done("[[say one]]").await;
    let said = room.say("/fork").await;
    assert!(room.answered(&said).await[0].contains("in a copy"));
    let second = room.done("[[say two]]").await;
    assert_ne!(second.thread, first.thread);
    let third = room.done("[[say three]]").await;
    assert_eq!(third.thread, second.thread, "copied once");
    assert_eq!(room.list(&room.say("/threads").await).await.rows.len(), 2);
    room.say("/fork").await;
    let fresh = room.say("/new").await;
    room.answered(&fresh).await;
    let fourth = room.done("[[say four]]").await;
    let fifth = room.done("[[say five]]").await;
    assert_eq!(fourth.thread, fifth.thread, "a copy was wanted of what was left since");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_brought_to_another_directory_and_to_no_forbidden_one() {
    let room = Room::open("places").await;
    let root = room.site.root.clone();
    let other = root.join("other");
    std::fs::create_dir_all(other.join(".git")).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
    let first = room.done("[[say here]]").await;
    for (typed, want) in [
        ("/cd /", "too wide"),
        ("/cd /etc", "folder of the system"),
        ("/cd ../link", "folder of the system"),
        ("/cd /tmp", "temporary files"),
        ("/cd ../other/.git", "hidden folder"),
        ("/cd ..", "not below the allowed ones"),
        ("/cd ../nowhere", "no such folder"),
    ] {
        let asked = room.say(typed).await;
        assert!(room.answered(&asked).await[0].contains(want), "{typed}: {:?}", room.answers(&asked));
    }
    assert_eq!(room.done("[[say still here]]").await.thread, first.thread);

    let list = room.list(&room.say("/project").await).await;
    assert_eq!((list.rows.len(), list.rows[0].text.as_str()), (1, "1. other"), "{list:?}");
    let bound = room.say("/project 1").await;
    assert!(room.answered(&bound).await[0].contains("works in other, in a new conversation"));
    let moved = room.done("[[say there]]").await;
    assert_eq!(moved.directory, other.canonicalize().unwrap());
    assert_ne!(moved.thread, first.thread);
    let refused = room.say("/resume 2").await;
    assert!(room.answered(&refused).await[0].contains("That conversation works in work"));

    // A link took its place: what it leads to was judged by nobody.
    std::fs::rename(&other, root.join("former")).unwrap();
    std::os::unix::fs::symlink("/etc", &other).unwrap();
    let message = room.say("[[say somewhere]]").await;
    let failed = room.until(&message, "over", |turn| turn.state.is_settled()).await;
    assert_eq!(failed.state, TurnState::Settled(Outcome::Failed));
    let back = room.say("/cd -").await;
    room.answered(&back).await;
    room.say("/threads").await;
    let rows = room.list(&room.say("/threads").await).await.rows;
    let n = rows.iter().position(|row| row.text.contains("say here")).expect("the first one") + 1;
    room.say(&format!("/resume {n}")).await;
    let again = room.done("[[say back]]").await;
    assert_eq!((again.directory, again.thread), (first.directory, first.thread));
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_where_another_chat_was_brought_to() {
    let room = Room::with_codex("others").await;
    let (other, temp) = (room.site.root.join("other"), room.site.root.join("tmp"));
    let told = || super::gates::find(&temp, "told");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("x"), "theirs").unwrap();
    let read = async || {
        told().into_iter().for_each(|told| std::fs::remove_file(told).unwrap());
        let message = room.say(&format!("[[escalate cat {}/x > $TMPDIR/told; true]]", other.display())).await;
        room.press(ButtonRole::Allow).await;
        room.until(&message, "completed", |turn| turn.state == COMPLETED).await;
        let is_over = |view: &View| !matches!(view, View::Gate(gate) if !gate.buttons.is_empty());
        room.wait("the card to be over", || room.cards().values().all(is_over).then_some(())).await;
        std::fs::read_to_string(told().expect("it ran")).unwrap()
    };
    let bound = async |to: &'static str| {
        room.say_in("second", &format!("/cd {to}")).await;
        let other = other.canonicalize().unwrap();
        let until = std::time::Instant::now() + crate::support::runtimes::PATIENCE;
        while room.core.ledger.read(ally::ledger::conversations::directories).await.unwrap().contains(&other)
            == (to == "-")
        {
            assert!(std::time::Instant::now() < until, "/cd {to}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    assert_eq!(read().await, "theirs", "allowed, and nobody's project");
    bound("../other").await;
    assert_eq!(read().await, "");
    bound("-").await;
    assert_eq!(read().await, "theirs");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_cannot_says_so() {
    let room = Room::open("cannot").await;
    room.done("[[say hello]]").await;
    room.moods.simple.store(true, std::sync::atomic::Ordering::SeqCst);
    for typed in ["/model", "/effort high", "/diff", "/plan the login page", "/compact", "/fork"] {
        let asked = room.say(typed).await;
        assert_eq!(room.answered(&asked).await, ["This runtime cannot do that"], "{typed}");
    }
    room.close().await;
}

/// What codex wrote of its threads.
fn rollouts(room: &Room) -> String {
    fn read(folder: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => read(&path, text),
                path => text.push_str(&std::fs::read_to_string(path).unwrap_or_default()),
            }
        }
    }
    let mut text = String::new();
    read(&room.site.root.join("codex/sessions"), &mut text);
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_works_with_the_model_and_the_effort_that_were_chosen() {
    let room = Room::with_codex("model").await;
    let shown = room.say("/model").await;
    let shown = room.answered(&shown).await.concat();
    assert!(shown.starts_with("Model: gpt-5.5."), "what codex is configured with: {shown}");
    let other = shown.rsplit([' ', ':']).find(|name| !name.trim_matches(',').starts_with("gpt-5.5")).unwrap();
    let other = other.trim_matches(',').to_owned();
    let wrong = room.say("/model gpt-9").await;
    assert!(room.answered(&wrong).await[0].starts_with("There is no model gpt-9\nModel: gpt-5.5."));
    let chosen = room.say(&format!("/model {}", other.to_uppercase())).await;
    assert_eq!(room.answered(&chosen).await, [format!("From the next task on {other} works here")]);
    let wrong = room.say("/effort enormous").await;
    assert!(room.answered(&wrong).await[0].contains("has no effort enormous"));
    let chosen = room.say("/effort high").await;
    assert_eq!(room.answered(&chosen).await, ["From the next task on the effort is high"]);
    room.done("[[say hello]]").await;
    let written = rollouts(&room);
    assert!(
        written.contains(&format!("\"model\":\"{other}\"")) && written.contains("\"effort\":\"high\""),
        "{written}"
    );
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_at_the_desk_goes_on_in_the_owners_chat() {
    let room = Room::with_codex("desk").await;
    let here = room.done("[[say from the chat]]").await;
    let live = room.core.host.now().unwrap();
    let posture = ally::bridge::ports::Posture::of(ally::domain::level::Level::Edit);
    let desk = live.open(None, &here.directory, &posture).await.unwrap();
    let submit = ally::bridge::ports::Submit {
        thread: desk.clone(),
        client: ally::domain::ids::ClientId::new("desk.1"),
        input: ally::bridge::ports::Prompt {
            text: "[[say from the desk]]".to_owned(),
            ..ally::bridge::ports::Prompt::default()
        },
        model: None,
        effort: None,
        has_planned: false,
        posture: posture.clone(),
    };
    live.call(|runtime| runtime.submit(&submit)).await.unwrap();
    let until = std::time::Instant::now() + crate::support::runtimes::PATIENCE;
    let row = loop {
        let list = room.list(&room.say("/threads").await).await;
        if let Some(row) = list.rows.iter().position(|row| row.text.ends_with("begun on the computer")) {
            assert!(list.rows[row].text.contains("say from the desk"), "{list:?}");
            break row + 1;
        }
        assert!(std::time::Instant::now() < until, "{list:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let idle = async || {
        let status = live.call(|runtime| runtime.thread_status(&desk)).await;
        status == Ok(ally::bridge::ports::ThreadStatus::Idle)
    };
    while !idle().await {
        assert!(std::time::Instant::now() < until, "the desk's turn never ends");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    room.say(&format!("/resume {row}")).await;
    let next = room.done("[[say onwards]]").await;
    assert_eq!(next.thread, Some(desk));
    let named = room.say("/name Desk work").await;
    room.answered(&named).await;
    let listed = live.call(|runtime| runtime.threads(&here.directory)).await.unwrap();
    assert!(listed.iter().any(|kept| kept.title == "Desk work"), "{listed:?}");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_plans_when_it_is_asked_to_and_only_then() {
    let room = Room::with_codex("plan").await;
    let empty = room.say("/plan").await;
    assert!(room.answered(&empty).await[0].starts_with("Plan what?"));
    let before = room.done("[[say before]]").await;
    assert!(!rollouts(&room).contains("\"mode\":\"plan\""));
    let planned = room.done("/plan [[say first the tests]]").await;
    assert_eq!(planned.thread, before.thread);
    assert!(planned.answer.as_deref().is_some_and(|answer| answer.contains("first the tests")), "{planned:?}");
    let written = rollouts(&room);
    assert!(written.contains("\"mode\":\"plan\""), "{written}");
    let after = room.done("[[say after]]").await;
    assert_eq!(after.thread, planned.thread);
    let written = rollouts(&room);
    let (plan, default) = (written.rfind("\"mode\":\"plan\""), written.rfind("\"mode\":\"default\""));
    assert!(default > plan, "it does not go on planning: {written}");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_tells_what_has_changed() {
    let room = Room::with_codex("diff").await;
    let work = room.site.work();
    // The folder lies in a repository of its own only after this.
    let git = |words: &[&str]| {
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let ran = std::process::Command::new("git").args(who).args(words).current_dir(&work).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    };
    git(&["init", "-q"]);
    std::fs::write(work.join("a.txt"), "one\n").unwrap();
    git(&["add", "."]);
    git(&["commit", "-qm", "first"]);
    let nothing = room.say("/diff").await;
    assert_eq!(room.answered(&nothing).await, ["Nothing has changed"]);
    std::fs::write(work.join("a.txt"), "one\ntwo\n").unwrap();
    std::fs::write(work.join("b.txt"), "new\n").unwrap();
    // A program that the repository names does not run.
    git(&["config", "diff.external", "touch ran #"]);
    git(&["config", "core.fsmonitor", "touch ran; true"]);
    let changed = room.say("/diff").await;
    let said = room.answered(&changed).await.concat();
    assert!(said.contains("a.txt | 1 +") && said.contains(" + b.txt"), "{said}");
    assert!(!work.join("ran").exists());
    room.close().await;
}
