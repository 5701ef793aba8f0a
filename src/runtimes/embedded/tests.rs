//! The runtime as the bridge uses it.

use super::*;
use crate::bridge::ports::{GateRequest, Level, Posture, Prompt, TurnEnd};
use crate::domain::gate::{Ask, Effect};
use crate::domain::history::{EndEvidence, FailureKind, PulledItem, PulledTurn};
use crate::domain::verdict::FoundStatus;
use crate::domain::view::{StepKind, StepState};

struct Bench {
    dir: tempfile::TempDir,
    tasks: Tasks,
    runtime: Box<dyn Runtime>,
    facts: mpsc::Receiver<Envelope>,
    thread: ThreadId,
}

fn launch(dir: &Path, tasks: &Tasks) -> EmbeddedLauncher {
    let env = [("PATH", "/usr/bin:/bin"), ("ALLY_TEST_SECRET", "x")].map(|(name, value)| (name.into(), value.into()));
    let config = EmbeddedConfig { home: dir.join("home"), run_dir: dir.join("run"), env: env.to_vec() };
    launcher(config, Clock::default(), tasks.clone())
}

async fn start(launcher: &EmbeddedLauncher, number: i64) -> (Box<dyn Runtime>, mpsc::Receiver<Envelope>) {
    let mark = format!("{}:{number}", launcher.config.home.display());
    let starting = launcher.spawn(SpawnSpec { generation: Generation(number), mark }).await.unwrap();
    assert_eq!(starting.identity().pid, None);
    let (sender, facts) = mpsc::channel(1024);
    (starting.ready(sender).await.unwrap(), facts)
}

impl Bench {
    async fn new() -> Bench {
        let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::default());
        let (runtime, facts) = start(&launch(dir.path(), &tasks), 1).await;
        std::fs::create_dir(dir.path().join("work")).unwrap();
        let how = Open { thread: None, directory: dir.path().join("work"), posture: Posture::of(Level::Edit) };
        let thread = runtime.open(&how).await.unwrap();
        Bench { dir, tasks, runtime, facts, thread }
    }

    fn work(&self, name: &str) -> PathBuf {
        self.dir.path().join("work").join(name)
    }

    async fn submit(&self, text: &str) -> NativeTurnId {
        let input = Prompt { text: text.to_owned(), ..Prompt::default() };
        let submit = Submit {
            thread: self.thread.clone(),
            client: ClientId::new(text),
            input,
            model: None,
            effort: None,
            has_planned: false,
            posture: Posture::of(Level::Edit),
        };
        let submitted = self.runtime.submit(&submit).await.unwrap();
        submitted.turn.unwrap()
    }

    /// The next fact that fits, and all before it.
    async fn until(&mut self, fits: impl Fn(&Fact) -> bool) -> (Fact, Vec<Fact>) {
        let mut seen = Vec::new();
        let reading = async {
            while let Some(envelope) = self.facts.recv().await {
                if fits(&envelope.fact) {
                    return Some(envelope.fact);
                }
                seen.push(envelope.fact);
            }
            None
        };
        let found = tokio::time::timeout(Duration::from_secs(20), reading).await;
        (found.ok().flatten().unwrap_or_else(|| panic!("not among {seen:?}")), seen)
    }

    async fn ended(&mut self) -> (TurnEnd, Option<FailureKind>, Vec<Fact>) {
        let (fact, seen) = self.until(|fact| matches!(fact, Fact::TurnEnded { .. })).await;
        let Fact::TurnEnded { end, failure } = fact else { unreachable!() };
        (end, failure.map(|failure| failure.kind), seen)
    }

    async fn gate(&mut self) -> GateRequest {
        let (fact, _) = self.until(|fact| matches!(fact, Fact::GateOpened(_))).await;
        let Fact::GateOpened(request) = fact else { unreachable!() };
        *request
    }

    async fn answer(&self, request: &GateRequest, decision: Decision) -> Result<(), CallError> {
        let answer = GateAnswer {
            thread: self.thread.clone(),
            native: request.native.clone(),
            ask: request.ask.clone(),
            choices: request.choices.clone(),
            decision,
        };
        self.runtime.answer(&answer).await
    }

    fn pull_of(&self, turn: &NativeTurnId) -> Pull {
        Pull { thread: self.thread.clone(), client: None, turn: Some(turn.clone()), cursor: None }
    }

    async fn pulled(&self, turn: &NativeTurnId) -> PulledTurn {
        let history = self.runtime.pull(&self.pull_of(turn)).await.unwrap();
        history.turns.into_iter().find(|pulled| pulled.native == *turn).unwrap()
    }

    /// Plays `text` to a good end and gives its answer and its facts.
    async fn play(&mut self, text: &str) -> (String, Vec<Fact>) {
        let turn = self.submit(text).await;
        let (end, failure, facts) = self.ended().await;
        assert_eq!((end, failure), (TurnEnd::Completed, None), "{facts:?}");
        let pulled = self.pulled(&turn).await;
        assert_eq!((pulled.status, pulled.end), (FoundStatus::Completed, EndEvidence::Proven));
        assert!(pulled.has_client(&ClientId::new(text)));
        (pulled.answer().unwrap_or_default(), facts)
    }
}

fn steps(facts: &[Fact]) -> Vec<(StepKind, StepState)> {
    let ended = facts.iter().filter_map(|fact| match fact {
        Fact::StepEnded { step, .. } => Some((step.what, step.state)),
        _ => None,
    });
    ended.collect()
}

#[tokio::test]
async fn words_commands_and_files() {
    let mut bench = Bench::new().await;
    let (answer, facts) = bench.play("hello").await;
    assert!(answer.starts_with("Hello! I am the scripted model"));
    assert_eq!(facts[0], Fact::TurnStarted);
    assert_eq!(facts[1], Fact::InputTaken { client: Some(ClientId::new("hello")) });

    let (answer, facts) = bench.play("[[say a]] [[shell echo hi > f]] [[stream 3 1]]").await;
    assert_eq!(answer, "w1 w2 w3");
    assert_eq!(std::fs::read_to_string(bench.work("f")).unwrap(), "hi\n");
    assert_eq!(steps(&facts), [(StepKind::Command, StepState::Ok)]);
    let deltas: String = facts
        .iter()
        .filter_map(|fact| if let Fact::TextDelta { text, .. } = fact { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!(deltas, "aw1 w2 w3 ");

    let (_, facts) = bench.play("[[shell exit 3]] [[shell echo $ALLY_TEST_SECRET$ALLY_GENERATION > env]]").await;
    assert_eq!(steps(&facts), [(StepKind::Command, StepState::Failed), (StepKind::Command, StepState::Ok)]);
    let mark = std::fs::read_to_string(bench.work("env")).unwrap();
    assert_eq!(mark.trim(), format!("{}:1", bench.dir.path().join("home").display()));

    let (answer, facts) = bench.play("[[patch d/a.txt hello]] [[patch ../b.txt no]]").await;
    assert_eq!(answer, "Done.");
    assert_eq!(steps(&facts), [(StepKind::FileChange, StepState::Ok), (StepKind::FileChange, StepState::Failed)]);
    assert_eq!(std::fs::read_to_string(bench.work("d/a.txt")).unwrap(), "hello\n");
    assert!(!bench.dir.path().join("b.txt").exists());
    let changed = facts.iter().find_map(|fact| match fact {
        Fact::StepEnded { changed, .. } if !changed.is_empty() => Some((changed[0].path.clone(), changed[0].added)),
        _ => None,
    });
    assert_eq!(changed, Some(("d/a.txt".to_owned(), 1)));
}

#[tokio::test]
async fn leaving_the_sandbox_asks_first() {
    let mut bench = Bench::new().await;
    for (decision, runs, end) in [
        (Decision::Decline { reason: None }, false, TurnEnd::Completed),
        (Decision::StopTurn, false, TurnEnd::Interrupted),
        (Decision::Allow, true, TurnEnd::Completed),
    ] {
        bench.submit("[[escalate touch out]] [[say after]]").await;
        let request = bench.gate().await;
        assert!(matches!(&request.ask, Ask::Command { command, outside_sandbox: true, .. } if command == "touch out"));
        assert!(request.choices.iter().any(|choice| choice.effect == Effect::AllowOnce));
        assert_eq!(bench.runtime.thread_status(&bench.thread).await, Ok(ThreadStatus::WaitingOnPerson));
        bench.answer(&request, decision.clone()).await.unwrap();
        assert!(bench.answer(&request, decision).await.is_err(), "only once");
        let (ended, _, facts) = bench.ended().await;
        assert_eq!(ended, end);
        assert!(facts.contains(&Fact::GateResolved { native: request.native }));
        assert_eq!(bench.work("out").exists(), runs);
    }
}

#[tokio::test]
async fn questions_and_secrets() {
    let mut bench = Bench::new().await;
    let answers = |given: &[&str]| Decision::Answers {
        answers: vec![("q1".to_owned(), given.iter().map(|text| (*text).to_owned()).collect())],
    };
    for (text, given, want) in [
        ("[[ask Which?|Alpha|Beta]]", answers(&["Beta"]), "Done.\n\n(answer: Beta)"),
        ("[[ask 选哪个？|甲|乙]]", answers(&["乙"]), "完成。\n\n(回答：乙)"),
        ("[[ask Why?]]", answers(&[]), "Done.\n\n(no answer)"),
        ("[[secret Token?]]", answers(&["hunter2"]), "Done.\n\n(answer received)"),
    ] {
        let turn = bench.submit(text).await;
        let request = bench.gate().await;
        let Ask::Questions { questions } = &request.ask else { panic!("{request:?}") };
        assert_eq!(questions[0].secret, text.contains("secret"));
        bench.answer(&request, given).await.unwrap();
        assert_eq!(bench.ended().await.0, TurnEnd::Completed);
        assert_eq!(bench.pulled(&turn).await.answer().as_deref(), Some(want));
    }
    let file = bench.dir.path().join(format!("home/threads/{}.jsonl", bench.thread));
    assert!(!std::fs::read_to_string(file).unwrap().contains("hunter2"));
}

#[tokio::test]
async fn faults_fail_the_turn_for_what_they_are() {
    let mut bench = Bench::new().await;
    for (text, want) in [
        ("[[fail 500]]", FailureKind::ModelBusy),
        ("[[http 429]]", FailureKind::ModelBusy),
        ("[[http 401]]", FailureKind::NotSignedIn),
        ("[[http 400]]", FailureKind::Rejected),
        ("[[usage_limit]]", FailureKind::UsageLimit),
        ("[[say half]] [[cut]]", FailureKind::Other),
    ] {
        let turn = bench.submit(text).await;
        let (end, failure, facts) = bench.ended().await;
        assert_eq!((end, failure), (TurnEnd::Failed, Some(want)), "{text}");
        assert!(facts.iter().any(|fact| matches!(fact, Fact::Trouble(_))));
        let retried = facts.iter().any(|fact| matches!(fact, Fact::Retrying { .. }));
        assert_eq!(retried, text.contains("cut"));
        let pulled = bench.pulled(&turn).await;
        assert_eq!((pulled.status, pulled.answer()), (FoundStatus::Failed, None));
        assert_eq!(pulled.failure.map(|failure| failure.kind), Some(want));
    }
}

#[tokio::test]
async fn an_interrupt_ends_the_turn_and_its_command() {
    let mut bench = Bench::new().await;
    let turn = bench.submit("[[shell echo $$ > pid; sleep 300 & sleep 300]]").await;
    bench.until(|fact| matches!(fact, Fact::StepStarted { .. })).await;
    while !std::fs::read_to_string(bench.work("pid")).is_ok_and(|pid| pid.ends_with('\n')) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let pid: i32 = std::fs::read_to_string(bench.work("pid")).unwrap().trim().parse().unwrap();
    let group = rustix::process::Pid::from_raw(pid).unwrap();
    assert!(rustix::process::test_kill_process_group(group).is_ok());
    bench.runtime.interrupt(&bench.thread, &turn).await.unwrap();
    assert_eq!(bench.ended().await.0, TurnEnd::Interrupted);
    assert_eq!(bench.runtime.clean(&bench.thread).await, Ok(Background::Ended));
    assert_eq!(bench.pulled(&turn).await.status, FoundStatus::InterruptedClosed);
    assert_eq!(bench.runtime.interrupt(&bench.thread, &turn).await, Err(CallError::NoTurn));
    while rustix::process::test_kill_process_group(group).is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let turn = bench.submit("[[hang]]").await;
    bench.until(|fact| *fact == Fact::Activity).await;
    assert_eq!(bench.pulled(&turn).await.status, FoundStatus::InProgress);
    bench.runtime.interrupt(&bench.thread, &turn).await.unwrap();
    assert_eq!(bench.ended().await.0, TurnEnd::Interrupted);

    // A request that is open goes with its turn.
    let turn = bench.submit("[[ask Which?|A|B]]").await;
    let request = bench.gate().await;
    bench.runtime.interrupt(&bench.thread, &turn).await.unwrap();
    let (end, _, facts) = bench.ended().await;
    assert_eq!(end, TurnEnd::Interrupted);
    assert!(facts.contains(&Fact::GateResolved { native: request.native.clone() }));
    assert!(bench.answer(&request, Decision::Allow).await.is_err());
}

#[tokio::test]
async fn words_that_come_meanwhile_are_taken_at_the_next_step() {
    let mut bench = Bench::new().await;
    let turn = bench.submit("[[ask Go?|Yes|No]] [[say gone]]").await;
    let request = bench.gate().await;
    let steer = Steer {
        thread: bench.thread.clone(),
        turn: turn.clone(),
        client: ClientId::new("steer.7"),
        text: "be quick".to_owned(),
    };
    bench.runtime.steer(&steer).await.unwrap();
    // A submit on a busy thread is swallowed by the turn that is open.
    assert_eq!(bench.submit("second").await, turn);
    bench.answer(&request, Decision::Answers { answers: Vec::new() }).await.unwrap();
    let (end, _, facts) = bench.ended().await;
    assert_eq!(end, TurnEnd::Completed);
    for client in ["steer.7", "second"] {
        assert!(facts.contains(&Fact::InputTaken { client: Some(ClientId::new(client)) }), "{facts:?}");
    }
    let pulled = bench.pulled(&turn).await;
    assert_eq!(pulled.answer().as_deref(), Some("gone\n\n(no answer)\n\n(also: be quick; second)"));
    assert!(pulled.has_client(&ClientId::new("steer.7")));
    assert_eq!(bench.runtime.steer(&steer).await, Err(CallError::NoTurn));
}

#[tokio::test]
async fn a_shutdown_closes_what_runs() {
    let mut bench = Bench::new().await;
    let turn = bench.submit("[[say before]] [[shell touch done]] [[hang]]").await;
    bench.until(|fact| *fact == Fact::Activity).await;
    bench.runtime.shutdown().await;
    let (_, facts) = bench.until(|fact| matches!(fact, Fact::Exited { .. })).await;
    assert!(!facts.iter().any(|fact| matches!(fact, Fact::TurnEnded { .. })), "{facts:?}");
    let how = Open { thread: None, directory: bench.dir.path().to_owned(), posture: Posture::of(Level::Edit) };
    assert_eq!(bench.runtime.open(&how).await, Err(CallError::Gone));

    // The next generation reads what the former one wrote.
    (bench.runtime, bench.facts) = start(&launch(bench.dir.path(), &bench.tasks), 2).await;
    assert_eq!(bench.runtime.thread_status(&bench.thread).await, Ok(ThreadStatus::NotLoaded));
    let pulled = bench.pulled(&turn).await;
    assert_eq!(pulled.status, FoundStatus::InterruptedClosed);
    assert!(pulled.saw_tool());
    let input = Prompt { text: "hello".to_owned(), ..Prompt::default() };
    let submit = Submit {
        thread: bench.thread.clone(),
        client: ClientId::new("c"),
        input,
        model: None,
        effort: None,
        has_planned: false,
        posture: Posture::of(Level::Edit),
    };
    assert!(matches!(bench.runtime.submit(&submit).await, Err(CallError::NoThread { .. })));
    let how = Open { thread: Some(bench.thread.clone()), directory: bench.work(""), posture: Posture::of(Level::Edit) };
    assert_eq!(bench.runtime.open(&how).await, Ok(bench.thread.clone()));
    bench.play("[[say on]]").await;
}

#[tokio::test]
async fn a_turn_that_nobody_ended_was_cut_off() {
    let mut bench = Bench::new().await;
    let settled = bench.submit("hello").await;
    bench.ended().await;
    let turn = bench.submit("[[say half]] [[hang]]").await;
    bench.until(|fact| *fact == Fact::Activity).await;
    // Another generation, as if this one had died without a word.
    let (runtime, _facts) = start(&launch(bench.dir.path(), &bench.tasks), 2).await;
    let history = runtime.pull(&Pull { cursor: Some(settled), ..bench.pull_of(&turn) }).await.unwrap();
    assert_eq!(history.turns.len(), 1);
    assert_eq!(history.turns[0].status, FoundStatus::InterruptedOpen);
    assert!(matches!(history.turns[0].items[..], [PulledItem::Input { .. }]), "no unfinished text: {history:?}");
    let unknown = Pull { thread: ThreadId::new(uuid::Uuid::now_v7().to_string()), ..bench.pull_of(&turn) };
    assert!(matches!(runtime.pull(&unknown).await, Err(CallError::NoThread { .. })));

    let how = Fork { thread: bench.thread.clone(), directory: bench.work(""), posture: Posture::of(Level::Edit) };
    let copy = bench.runtime.fork(&how).await.unwrap();
    let forked = bench.runtime.pull(&Pull { thread: copy.clone(), turn: None, ..bench.pull_of(&turn) }).await.unwrap();
    assert_eq!(forked.turns.len(), 1, "only what has ended");
    assert!(forked.reached_cursor);
    assert!(matches!(bench.runtime.release(&bench.thread).await, Err(CallError::Busy { .. })));
    assert_eq!(bench.runtime.release(&copy).await, Ok(()));
    bench.runtime.shutdown().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn commands_that_outlived_their_generation_are_found() {
    let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::default());
    let launcher = launch(dir.path(), &tasks);
    let former = ProcessIdentity {
        generation: Generation(1),
        mark: format!("{}:1", dir.path().display()),
        pid: None,
        start_time: None,
        boot_id: process::boot_id(),
    };
    let mut orphan = tokio::process::Command::new("sleep").arg("300").env(process::MARK, &former.mark).spawn().unwrap();
    let death = launcher.make_dead(&former).await.unwrap();
    assert_eq!(death, Death { boot_changed: false, orphans_killed: 1 });
    assert!(!orphan.wait().await.unwrap().success());
    let elsewhere = ProcessIdentity { boot_id: "another".to_owned(), ..former };
    assert_eq!(launcher.make_dead(&elsewhere).await.unwrap(), Death { boot_changed: true, orphans_killed: 0 });
}
