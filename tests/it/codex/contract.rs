//! What the bridge relies on, whichever runtime it is.

use ally::bridge::ports::*;
use ally::domain::gate::{Ask, Decision};
use ally::domain::ids::{ClientId, NativeTurnId, ThreadId};
use ally::domain::verdict::FoundStatus;

use crate::support::runtimes::{Site, start};

#[tokio::test]
async fn embedded_keeps_the_contract() {
    let site = Site::new("contract-embedded").await;
    keeps_the_contract(&site, site.embedded()).await;
}

#[tokio::test]
async fn embedded_in_a_process_of_its_own_keeps_the_contract() {
    let site = Site::new("contract-embedded-child").await;
    keeps_the_contract(&site, site.embedded_child()).await;
}

#[tokio::test]
async fn codex_keeps_the_contract() {
    let site = Site::new("contract-codex").await;
    keeps_the_contract(&site, site.codex()).await;
}

async fn keeps_the_contract(site: &Site, launcher: Box<dyn Launcher>) {
    let mut alive = start(&*launcher, 1).await.expect("it starts");
    let can = alive.runtime.capabilities();
    assert!(can.resume && can.steer && can.interrupt && can.read_back && can.ask, "{can:?}");
    let thread = alive.open(None, &site.work()).await;

    // Text.
    assert_eq!(alive.play(&thread, "text.1", "[[say looking]] [[say well]]").await, "looking\n\nwell");
    assert_eq!(alive.runtime.thread_status(&thread).await, Ok(ThreadStatus::Idle));

    // A command.
    assert_eq!(alive.play(&thread, "shell.1", "[[shell echo hi > f]] [[say after]]").await, "after");
    assert_eq!(std::fs::read_to_string(site.work().join("f")).expect("written"), "hi\n");
    assert!(alive.pull(&thread, "shell.1").await.expect("there").saw_tool());

    // A question.
    alive.submit(&thread, "ask.1", "[[ask Which?|Alpha|Beta]] [[say thanks]]").await;
    let gate = alive.gate().await;
    let Ask::Questions { questions } = &gate.ask else { panic!("{gate:?}") };
    assert!(questions[0].options.iter().any(|option| option.label == "Beta"), "{questions:?}");
    let answers = vec![(questions[0].id.clone(), vec!["Beta".to_owned()])];
    alive.answer(&thread, &gate, Decision::Answers { answers }).await;
    alive
        .until("resolved", |fact| matches!(fact, Fact::GateResolved { native } if *native == gate.native).then_some(()))
        .await;
    assert_eq!(alive.ended().await, (TurnEnd::Completed, None));

    // Leaving the sandbox, twice.
    let outside = site.root.join("outside");
    for (client, decision, runs) in
        [("no.1", Decision::Decline { reason: None }, false), ("yes.1", Decision::Allow, true)]
    {
        alive.submit(&thread, client, &format!("[[escalate touch {}]] [[say after]]", outside.display())).await;
        let gate = alive.gate().await;
        assert!(
            matches!(&gate.ask, Ask::Command { command, outside_sandbox: true, .. } if command.starts_with("touch ")),
            "{gate:?}"
        );
        assert_eq!(alive.runtime.thread_status(&thread).await, Ok(ThreadStatus::WaitingOnPerson));
        alive.answer(&thread, &gate, decision).await;
        assert_eq!(alive.ended().await, (TurnEnd::Completed, None));
        assert_eq!(outside.exists(), runs, "{client}");
    }

    // A steer.
    let turn = alive.submit(&thread, "long.1", "[[stream 100 50]]").await;
    alive.speaks().await;
    let steer = Steer {
        thread: thread.clone(),
        turn: turn.clone(),
        client: ClientId::new("steer.1"),
        text: "[[say steered]]".into(),
    };
    alive.runtime.steer(&steer).await.expect("taken");
    alive.taken("steer.1").await;
    assert_eq!(alive.ended().await, (TurnEnd::Completed, None));
    let pulled = alive.pull(&thread, "steer.1").await.expect("there");
    assert_eq!(pulled.native, turn);
    // codex drops the text that was under way; the embedded runtime keeps it and only repeats what it was told.
    let answer = pulled.answer().unwrap_or_default();
    assert!(answer.contains("steered"), "{answer}");
    assert_eq!(alive.runtime.steer(&steer).await, Err(CallError::NoTurn));

    // An interrupt.
    let turn = alive.submit(&thread, "stop.1", "[[stream 600 50]]").await;
    alive.speaks().await;
    alive.runtime.interrupt(&thread, &turn).await.expect("stopped");
    assert_eq!(alive.ended().await, (TurnEnd::Interrupted, None));
    assert_eq!(alive.pull(&thread, "stop.1").await.expect("there").status, FoundStatus::InterruptedClosed);
    assert_eq!(alive.runtime.interrupt(&thread, &turn).await, Err(CallError::NoTurn));

    // A restart in the middle.
    alive.submit(&thread, "cut.1", "[[stream 600 50]]").await;
    alive.speaks().await;
    alive.runtime.shutdown().await;
    alive.until("exit", |fact| matches!(fact, Fact::Exited { .. }).then_some(())).await;
    launcher.make_dead(&alive.identity).await.expect("dead");
    let mut next = start(&*launcher, 2).await.expect("it starts again");
    assert_eq!(next.pull(&thread, "cut.1").await.expect("there").status, FoundStatus::InterruptedClosed);
    assert_eq!(next.pull(&thread, "text.1").await.expect("there").status, FoundStatus::Completed);
    assert!(next.pull(&thread, "never.1").await.is_none());
    absence_needs_the_cursor(&*next.runtime, &thread).await;
    let again = next.open(Some(&thread), &site.work()).await;
    assert_eq!(again, thread);
    assert_eq!(next.play(&thread, "again.1", "[[say well again]]").await, "well again");
    next.runtime.shutdown().await;
}

/// "Not in here" is a proof only where the history goes back to what was known of it.
async fn absence_needs_the_cursor(runtime: &dyn Runtime, thread: &ThreadId) {
    let ask = async |cursor: Option<&str>| {
        let (client, cursor) = (Some(ClientId::new("never.1")), cursor.map(NativeTurnId::from));
        let pull = Pull { thread: thread.clone(), client, turn: None, cursor };
        runtime.pull(&pull).await.expect("a history")
    };
    let whole = ask(None).await;
    assert!(whole.reached_cursor, "without a cursor the beginning is enough");
    let known = whole.turns.last().expect("a turn").native.clone();
    let since = ask(Some(known.as_str())).await;
    assert!(since.reached_cursor && since.turns.len() == whole.turns.len() - 1, "{since:?}");
    let lost = ask(Some("019a0000-0000-7000-8000-00000000dead")).await;
    assert!(!lost.reached_cursor, "a history without the cursor's turn proves nothing");
}
