//! Every view drawn in both languages, checked by structure and by its sentences.

use serde_json::{Value, json};

use super::elements::{MAX_BYTES, wire_bytes};
use super::*;
use crate::domain::delivery::Body;
use crate::domain::gate::{Ask, Change, Decision, Question, QuestionOption};
use crate::domain::risk::Class;
use crate::domain::view::*;

mod limits;

/// 2026-09-21 22:13:20 in UTC+8.
const NOON: i64 = 1_790_000_000_000;

fn pen(lang: Lang) -> Pen {
    Pen { lang, zone: |_| Zone(480) }
}

fn button(role: ButtonRole) -> Button {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Button { id: format!("{role:?}{n}").as_str().into(), role }
}

fn step(what: StepKind, object: &str, state: StepState) -> Step {
    Step { what, object: object.to_owned(), state, started_at_ms: NOON }
}

fn steps() -> Vec<Step> {
    vec![
        step(StepKind::Command, "ls", StepState::Ok),
        step(StepKind::FileChange, "src/a.rs", StepState::Failed),
        step(StepKind::Command, "npm test", StepState::Running),
    ]
}

fn live(state: LiveState) -> LiveView {
    LiveView {
        title: "修一下登录".to_owned(),
        requester: "李雷".to_owned(),
        project: "web".to_owned(),
        started_at_ms: NOON,
        state,
        steps: steps(),
        draft: "看起来 <at id=all></at> 是".to_owned(),
        unreachable_since_ms: Some(NOON),
        stop: Some(button(ButtonRole::Stop)),
        direct: true,
    }
}

fn command(command: &str) -> Ask {
    let directory = "web".to_owned();
    Ask::Command {
        command: command.to_owned(),
        exact: String::new(),
        directory,
        outside_sandbox: true,
        unsure: false,
        network: false,
        wanted: Vec::new(),
    }
}

fn gate_view(ask: Ask, state: GateShown) -> GateView {
    let class = match &ask {
        Ask::Command { command, .. } if command.starts_with("curl") => Class::Unknown,
        Ask::Command { .. } => Class::Publish,
        Ask::FileChange { .. } => Class::Write,
        _ => Class::Unknown,
    };
    GateView {
        gate: None,
        number: 3,
        requester: "李雷".to_owned(),
        project: "web".to_owned(),
        deciders: "韩梅梅".to_owned(),
        mention: vec!["ou_boss".into()],
        risk: (!ask.is_question()).then(|| RiskShown {
            class,
            why: None,
            sandboxed: class == Class::Write,
            needs_network: false,
        }),
        ask,
        claim: Some("**safe**\n# Approved".to_owned()),
        state,
        buttons: vec![button(ButtonRole::Allow), button(ButtonRole::Decline), button(ButtonRole::Stop)],
        rule: None,
        paused: false,
        opened_at_ms: NOON,
        direct: false,
        bot_name: "ally".to_owned(),
    }
}

fn open_row(number: i64) -> GateRow {
    gate_row(number, Class::Write, GateShown::Open)
}

fn gate_row(number: i64, class: Class, state: GateShown) -> GateRow {
    let open = state.is_open();
    let buttons = vec![button(ButtonRole::AllowNumber(number)), button(ButtonRole::DeclineNumber(number))];
    GateRow {
        gate: format!("gate-{number}").into(),
        number,
        ask: command(&format!("make step-{number}")),
        claim: None,
        risk: RiskShown { class, why: None, sandboxed: true, needs_network: false },
        state,
        buttons: if open { buttons } else { Vec::new() },
        opened_at_ms: NOON,
    }
}

fn gates_view(rows: Vec<GateRow>) -> GatesView {
    let low: Vec<i64> =
        rows.iter().filter(|row| row.state.is_open() && row.risk.class == Class::Write).map(|row| row.number).collect();
    let any_open = rows.iter().any(|row| row.state.is_open());
    let mut buttons = Vec::new();
    if low.len() > 1 {
        buttons.push(button(ButtonRole::AllowLow));
    }
    if any_open {
        buttons.extend([button(ButtonRole::DeclineAll), button(ButtonRole::Stop)]);
    }
    GatesView {
        requester: "李雷".to_owned(),
        project: "web".to_owned(),
        deciders: "韩梅梅".to_owned(),
        mention: vec!["ou_boss".into()],
        rows,
        more: 0,
        low,
        buttons,
        paused: false,
        direct: false,
        bot_name: "ally".to_owned(),
    }
}

fn question(options: usize, secret: bool) -> Question {
    let option = |n| QuestionOption { label: format!("Option {n}"), description: "why".to_owned() };
    Question {
        id: format!("q{options}"),
        header: "Which".to_owned(),
        text: "Which one?".to_owned(),
        options: (0..options).map(option).collect(),
        free_text: true,
        secret,
    }
}

fn questions(questions: Vec<Question>, state: GateShown) -> GateView {
    let options = questions.first().map_or(0, |q| u32::try_from(q.options.len()).expect("few"));
    let mut buttons: Vec<Button> = (0..options).map(|n| button(ButtonRole::Option(n))).collect();
    buttons.extend([button(ButtonRole::Submit), button(ButtonRole::Skip)]);
    GateView { buttons, claim: None, ..gate_view(Ask::Questions { questions }, state) }
}

fn interrupted(uncertain: Vec<Step>) -> InterruptedView {
    InterruptedView {
        requester: "李雷".to_owned(),
        mention: Some("ou_li".into()),
        at_ms: NOON,
        certain: steps()[..1].to_vec(),
        uncertain,
        commands_ended: false,
        shutdown: false,
        history_gone: false,
        partial: Some("half".to_owned()),
        steers: vec!["use tabs".to_owned()],
        buttons: vec![button(ButtonRole::Continue), button(ButtonRole::RunAgain), button(ButtonRole::Dismiss)],
        chosen: None,
    }
}

fn queue_row(state: QueueRowState) -> QueueRow {
    QueueRow {
        who: "李雷".to_owned(),
        text: "跑测试".to_owned(),
        steer: Some(button(ButtonRole::Steer)),
        cancel: Some(button(ButtonRole::Cancel)),
        state,
    }
}

fn all_views() -> Vec<(&'static str, View)> {
    let decided = |decision| GateShown::Decided { who: "韩梅梅".to_owned(), at_ms: NOON, decision, rule: None };
    let change = |n: usize| Change {
        path: format!("src/{n}.rs"),
        kind: "update".to_owned(),
        diff: "--- a\n+++ b\n-old\n+new\n+more\n".to_owned(),
    };
    let answers = |words: &str| Decision::Answers { answers: vec![("q2".to_owned(), vec![words.to_owned()])] };
    vec![
        ("live_running", View::Live(live(LiveState::Running))),
        ("live_no_runtime", View::Live(live(LiveState::Paused { why: "Codex 起不来".to_owned() }))),
        ("live_waiting", View::Live(live(LiveState::Waiting { number: 3, names: "韩梅梅".to_owned() }))),
        ("live_done", View::Live(live(LiveState::Done { duration_ms: 102_000, tokens: Some(12_345) }))),
        (
            "live_stopped",
            View::Live(live(LiveState::Stopped { by: "李雷".to_owned(), background: Background::MayRunOn })),
        ),
        ("live_failed", View::Live(live(LiveState::Failed))),
        ("gate_command", View::Gate(gate_view(command("git push origin main"), GateShown::Open))),
        ("gate_long", View::Gate(gate_view(command(&"echo line\n".repeat(43)), GateShown::Open))),
        (
            "gate_files",
            View::Gate(gate_view(
                Ask::FileChange { changes: (0..2).map(change).collect(), directory: "web".into() },
                GateShown::Open,
            )),
        ),
        (
            "gate_permissions",
            View::Gate(gate_view(
                Ask::Permissions { wanted: vec!["write /etc".into()], directory: "web".into(), network_only: false },
                GateShown::Open,
            )),
        ),
        ("gate_allowed", View::Gate(gate_view(command("ls"), decided(Decision::Allow)))),
        (
            "gates",
            View::Gates(gates_view(vec![open_row(3), open_row(4), gate_row(5, Class::Destroy, GateShown::Open)])),
        ),
        ("gates_some", View::Gates(gates_view(vec![gate_row(3, Class::Write, decided(Decision::Allow)), open_row(4)]))),
        (
            "gates_over_decided",
            View::Gates(gates_view(vec![
                gate_row(3, Class::Write, decided(Decision::Allow)),
                gate_row(4, Class::Fetch, GateShown::Withdrawn),
            ])),
        ),
        (
            "gate_declined",
            View::Gate(gate_view(command("ls"), decided(Decision::Decline { reason: Some("no".into()) }))),
        ),
        ("gate_withdrawn", View::Gate(gate_view(command("ls"), GateShown::Withdrawn))),
        ("gate_void", View::Gate(gate_view(command("ls"), GateShown::Void))),
        ("gate_may_have_run", View::Gate(gate_view(command("ls"), GateShown::VoidMayHaveRun { who: "韩梅梅".into() }))),
        (
            "gate_again",
            View::Gate(gate_view(command("ls"), GateShown::OpenAgain { who: "韩梅梅".into(), at_ms: NOON })),
        ),
        ("question_buttons", View::Gate(questions(vec![question(2, false)], GateShown::Open))),
        ("question_select", View::Gate(questions(vec![question(6, false), question(0, true)], GateShown::Open))),
        ("question_answered", View::Gate(questions(vec![question(2, false)], decided(answers("Option 1"))))),
        ("question_secret_answered", View::Gate(questions(vec![question(2, true)], decided(answers("hunter2"))))),
        (
            "interrupted",
            View::Interrupted(interrupted(vec![step(StepKind::Command, "npm publish", StepState::Running)])),
        ),
        ("interrupted_clean", View::Interrupted(interrupted(vec![]))),
        (
            "interrupted_chosen",
            View::Interrupted(InterruptedView {
                chosen: Some((ButtonRole::Continue, "李雷".into())),
                ..interrupted(vec![])
            }),
        ),
        (
            "queue",
            View::Queue(QueueView {
                why: WaitReason::Turn { who: "韩梅梅".into(), since_ms: NOON },
                rows: vec![
                    queue_row(QueueRowState::Waiting),
                    queue_row(QueueRowState::Cancelled { by: "李雷".into() }),
                ],
            }),
        ),
        (
            "stale",
            View::Stale(StaleView {
                sent_at_ms: NOON,
                text: "部署一下".to_owned(),
                others: 3,
                buttons: vec![button(ButtonRole::DoIt), button(ButtonRole::Cancel), button(ButtonRole::CancelAll)],
                chosen: None,
            }),
        ),
        (
            "status",
            View::Status(StatusView {
                project: "web".to_owned(),
                running: 1,
                waiting: 1,
                queued: 2,
                channel_ok: true,
                last_frame_ms: Some(NOON),
                runtime: "0.169.0".to_owned(),
                runtime_ok: true,
                warnings: vec!["no sandbox".to_owned()],
                undelivered: Some((2, Some(NOON))),
                today: 37,
            }),
        ),
        ("help", View::Help(HelpView { project: "web".into(), group: true, bot_name: "ally".into() })),
        ("stranger", View::Stranger(StrangerView { owner: "韩梅梅".into(), group: false })),
        (
            "list",
            View::List(ListView {
                title: "规则 20 条".to_owned(),
                rows: (0..20)
                    .map(|n| ListRow {
                        text: format!("R{n} · npm test {}", "x".repeat(500)),
                        buttons: vec![button(ButtonRole::RevokeRule(n))],
                    })
                    .collect(),
                notes: vec!["另有 3 条".to_owned()],
            }),
        ),
        ("notice", View::Notice(NoticeView { text: "嗨".into(), buttons: vec![button(ButtonRole::KeepWaiting)] })),
        (
            "list",
            View::List(ListView {
                title: "3".into(),
                rows: vec![
                    ListRow { text: "1. 登录页".into(), buttons: vec![button(ButtonRole::Continue)] },
                    ListRow { text: "2. <at id=all></at>".into(), buttons: Vec::new() },
                ],
                notes: vec!["`/resume 2`".into()],
            }),
        ),
    ]
}

/// Everything in a card, by the tag of the object it stands in.
pub(super) fn walk(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(map);
            map.values().for_each(|value| walk(value, visit));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

/// All that a person reads, in order: what a snapshot would show without the boxes.
fn read(card: &Value) -> String {
    let mut lines = Vec::new();
    let mut take = |map: &serde_json::Map<String, Value>| {
        lines.extend(map.get("content").and_then(Value::as_str).map(str::to_owned));
    };
    walk(&card["header"], &mut take);
    walk(&card["body"], &mut take);
    lines.join("\n")
}

#[track_caller]
fn check_card(name: &str, card: &Value) {
    assert_eq!((card["schema"].as_str(), card["config"]["update_multi"].as_bool()), (Some("2.0"), Some(true)));
    let summary = card["config"]["summary"]["content"].as_str().unwrap_or_default();
    assert!(!summary.is_empty() && !summary.contains("git push") && !summary.contains("src/"), "{name}: {summary}");
    assert!(wire_bytes(card) <= MAX_BYTES, "{name}: {} bytes", wire_bytes(card));
    let (mut elements, mut names) = (0, Vec::new());
    walk(card, &mut |map| {
        elements += usize::from(map.contains_key("tag"));
        names.extend(map.get("name").and_then(Value::as_str).map(str::to_owned));
        if map.get("tag") == Some(&json!("column_set")) {
            assert!(map["columns"].as_array().is_some_and(|columns| columns.len() <= 2), "{name}: more than two a row");
        }
        if map.get("tag") == Some(&json!("button")) {
            let value = map.get("value").unwrap_or_else(|| &map["behaviors"][0]["value"]);
            let value = value.as_object().expect("an object");
            assert!(value.len() == 1 && value["b"].is_string(), "{name}: {value:?}");
        }
        if map.get("tag") == Some(&json!("markdown")) {
            let text = map["content"].as_str().unwrap_or_default();
            assert!(text.starts_with("```") || text.starts_with("<at id=ou_"), "{name}: foreign Markdown {text}");
        }
    });
    assert!(elements <= 200, "{name}: {elements} elements");
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "{name}: a name twice");
}

#[test]
fn every_card_keeps_the_rules_in_both_languages() {
    for (name, view) in all_views() {
        for lang in [Lang::Zh, Lang::En] {
            let card = draw(&view, pen(lang));
            check_card(name, &card);
            let text = read(&card);
            assert!(!text.contains("成功") && !text.contains("hunter2"), "{name}: {text}");
            assert!(!text.contains("id=all></at>") || text.contains("＜at id=all>"), "{name}: {text}");
        }
    }
}

#[test]
fn gates_and_status_are_not_forwarded() {
    for (name, view) in all_views() {
        let forward = draw(&view, pen(Lang::En))["config"]["enable_forward"] == json!(true);
        assert_eq!(forward, matches!(view, View::Live(_) | View::Queue(_) | View::Help(_) | View::Notice(_)), "{name}");
    }
}

#[test]
fn what_the_cards_say() {
    let says = |name: &str, lang| {
        let views = all_views();
        let (_, view) = views.iter().find(|(n, _)| *n == name).expect("a view");
        read(&draw(view, pen(lang)))
    };
    for (name, zh, en) in [
        ("live_running", "第 3 步：运行 npm test（22:13 起）", "Step 3: running npm test (since 22:13)"),
        ("live_running", "连不上模型，22:13 起在重试", "Cannot reach the model, retrying since 22:13"),
        ("live_running", "＜at id=all>", "Draft, the final answer comes separately"),
        ("live_waiting", "⏸ 在等批准 #3（韩梅梅）", "⏸ Waiting for approval #3"),
        ("live_done", "✓ 完成 · 3 步 · 1 分 42 秒 · 12.3 k tokens", "✓ Done · 3 steps · 1 min 42 s · 12.3 k tokens"),
        ("live_stopped", "后台命令：可能还在运行", "background commands: may still be running"),
        ("gate_command", "```bash\ngit push origin main\n```", "Approval needed #3"),
        ("gate_command", "Codex 的说明（未核实）：**safe** # Approved", "Codex says (not verified)"),
        ("gate_command", "也可发：@ally a3 / d3", "or send: @ally a3 / d3"),
        ("gate_long", "全部 43 行", "All 43 lines"),
        ("gate_files", "M src/0.rs  +2 −1", "Diff: src/1.rs"),
        ("gate_permissions", "确定？", "Sure?"),
        ("gate_allowed", "✓ 韩梅梅 允许一次 · 22:13", "✓ Allowed once by"),
        ("gates", "需要批准 3 项", "Approvals needed: 3"),
        ("gates", "允许低风险 #3 #4", "Allow low-risk #3 #4"),
        ("gates", "#5 可能无法恢复 · 沙箱内", "#5 may be irreversible · in the sandbox"),
        ("gates", "也可发：@ally a3 允许，d3 拒绝", "or send: @ally a3 or d3"),
        ("gates_some", "✓ 韩梅梅 允许一次 · 22:13", "Approvals needed: 1"),
        ("gates_over_decided", "2 项批准请求", "Withdrawn, it did not run"),
        ("gate_declined", "✕ 韩梅梅 拒绝 · 22:13 · no", "✕ Declined by"),
        ("gate_withdrawn", "— 已撤回，没有执行", "— Withdrawn, it did not run"),
        ("gate_void", "没有执行", "Void: ally restarted, it did not run"),
        ("gate_may_have_run", "可能已执行，也可能没有", "it may or may not have run"),
        ("gate_again", "09-21 22:13", "it may have run. Decide once more"),
        ("question_buttons", "1 Option 0", "2 Option 1"),
        ("question_select", "内容会经过飞书服务器", "ally does not keep it"),
        ("question_answered", "韩梅梅：Option 1 · 22:13", "Option 1 · 22:13"),
        ("question_secret_answered", "已提供（不显示）", "(not shown)"),
        ("interrupted", "不确定：第 2 步（npm publish）可能已执行", "Not certain: step 2 (npm publish) may have run"),
        ("interrupted", "确定：第 1 步已完成", "Certain: step 1 finished"),
        ("interrupted", "✓ 运行 ls", "✓ ran ls"),
        ("live_no_runtime", "已暂停", "Paused"),
        ("interrupted", "可能还在运行", "Continue: checks first what was done"),
        ("interrupted_clean", "没有看到会改动东西的步骤", "No step that changes things was seen"),
        ("interrupted_chosen", "李雷：继续", "Continue, chosen by"),
        ("queue", "排队 1 条", "1 waiting"),
        ("queue", "2 · 李雷：跑测试 — 已取消（李雷）", "Cancelled by"),
        (
            "stale",
            "这条是 09-21 22:13 发的，之后我离线过。还要做吗？",
            "Sent at 09-21 22:13, and I was offline since then",
        ),
        ("status", "有问题", "Trouble"),
        ("status", "进行中 1 · 等批准 1 · 排队 2", "1 running · 1 waiting for approval · 2 queued"),
        ("help", "@ally + 要做的事", "@ally with a task"),
        ("help", "/stop 停止\n/status 状态", "/stop end the running task\n/status how things stand"),
        ("help", "@ally a1 a3 / d2", "@ally y / @ally n"),
        ("stranger", "我只为 韩梅梅 和被允许的人工作", "I work only for"),
    ] {
        for (lang, want) in [(Lang::Zh, zh), (Lang::En, en)] {
            let text = says(name, lang);
            assert!(text.contains(want), "{name}: no {want:?} in\n{text}");
        }
    }
}

#[test]
fn decided_cards_have_no_buttons() {
    for (name, view) in all_views() {
        let open = !name.contains("ed") && !name.contains("gate_void") && !name.contains("may_have");
        let mut buttons = 0;
        walk(&draw(&view, pen(Lang::En)), &mut |map| buttons += usize::from(map.get("tag") == Some(&json!("button"))));
        if !open && name != "interrupted" && name != "interrupted_clean" {
            assert_eq!(buttons, 0, "{name}");
        }
    }
}

#[test]
fn what_is_over_does_not_say_that_it_waits_or_runs() {
    for (name, view) in all_views() {
        let card = draw(&view, pen(Lang::En));
        let summary = card["config"]["summary"]["content"].as_str().unwrap_or_default().to_owned();
        let title = card["header"]["title"]["content"].as_str().unwrap_or_default().to_owned();
        if ["live_done", "live_stopped", "live_failed"].contains(&name) {
            assert!(!summary.contains("running"), "{name}: {summary}");
        }
        if ["gate_allowed", "gate_declined", "gate_withdrawn", "gate_void", "gate_may_have_run"].contains(&name) {
            assert!(!summary.contains("needs") && !title.contains("needed"), "{name}: {summary} {title}");
        }
    }
}

#[test]
fn what_was_decided_is_not_asked_again() {
    let stale = |chosen| StaleView { sent_at_ms: NOON, text: "x".into(), others: 0, buttons: vec![], chosen };
    let card = draw(&View::Stale(stale(Some((ButtonRole::DoIt, "Li".into())))), pen(Lang::En));
    assert!(!card.to_string().contains("Still wanted") && !card.to_string().contains("waits for"), "{card}");
    let rows = vec![queue_row(QueueRowState::Started)];
    let card = draw(&View::Queue(QueueView { why: WaitReason::Directory, rows }), pen(Lang::En));
    assert_eq!(card["config"]["summary"]["content"], card["header"]["title"]["content"]);
    assert!(read(&card).starts_with("Nothing waits any more"), "{card}");
}

/// Red stands for what cannot be taken back, and a thumb must not find it next to the wanted button.
#[test]
fn no_red_button_touches_the_primary_one() {
    for (name, view) in all_views() {
        let card = draw(&view, pen(Lang::En));
        let mut kinds = Vec::new();
        walk(&card, &mut |map| {
            if map.get("tag") == Some(&json!("button")) {
                kinds.push(map["type"].as_str().unwrap_or_default().to_owned());
            }
        });
        let both = kinds.iter().any(|kind| kind == "danger") && kinds.iter().any(|kind| kind == "primary");
        assert!(!both, "{name}: {kinds:?}");
    }
}

#[test]
fn red_asks_for_somebody_and_no_longer_than_that() {
    for (name, view) in all_views() {
        let card = draw(&view, pen(Lang::En));
        let buttons = card["body"].to_string().contains("\"button\"");
        assert!(buttons || name == "gate_may_have_run" || card["header"]["template"] != "red", "{name}");
    }
}

#[test]
fn hostile_and_huge_views_stay_within_the_limits() {
    let evil = "`````\n<at id=all></at>\u{202e}\"\\".repeat(4_000);
    let ask = Ask::FileChange {
        changes: (0..80).map(|_| Change { path: evil.clone(), kind: evil.clone(), diff: evil.clone() }).collect(),
        directory: evil.clone(),
    };
    let names = |view: LiveView| LiveView { title: evil.clone(), requester: evil.clone(), draft: evil.clone(), ..view };
    let many = vec![step(StepKind::Command, &evil, StepState::Ok); 300];
    let rows = vec![QueueRow { who: evil.clone(), text: evil.clone(), ..queue_row(QueueRowState::Waiting) }; 1];
    for view in [
        View::Gate(gate_view(ask, GateShown::Open)),
        View::Gate(gate_view(command(&evil), GateShown::Open)),
        View::Live(LiveView { steps: many.clone(), ..names(live(LiveState::Running)) }),
        View::Interrupted(InterruptedView {
            certain: many.clone(),
            steers: vec![evil.clone(); 50],
            ..interrupted(many)
        }),
        View::Queue(QueueView { why: WaitReason::RuntimeTrouble { text: evil.clone() }, rows }),
        View::Notice(NoticeView { text: evil.clone(), buttons: vec![] }),
    ] {
        let card = draw(&view, pen(Lang::Zh));
        check_card("hostile", &card);
        let text = card.to_string();
        assert!(!text.contains("<at id=all>") && !text.contains('\u{202e}'));
    }
}

#[test]
fn a_command_that_does_not_fit_is_red_and_says_so() {
    for text in ["\"\\\n".repeat(9_000), "字".repeat(9_000), "\u{202e}".repeat(4_000), "x".repeat(40_000)] {
        let card = draw(&View::Gate(gate_view(command(&text), GateShown::Open)), pen(Lang::En));
        check_card("cut", &card);
        let text = read(&card);
        assert!(text.contains("are shown, the rest is on the computer") && text.contains("Sure?"));
        assert!(!text.contains("(cut, it does not fit)"), "cut where the buttons could not know");
    }
}

#[test]
fn a_red_gate_asks_again_and_never_first() {
    let ask = Ask::Command {
        command: "curl x".into(),
        exact: String::new(),
        directory: "web".into(),
        outside_sandbox: true,
        unsure: false,
        network: true,
        wanted: vec!["network https://example.org".into()],
    };
    let card = draw(&View::Gate(gate_view(ask, GateShown::Open)), pen(Lang::En));
    let mut buttons = Vec::new();
    walk(&card, &mut |map| {
        if map.get("tag") == Some(&json!("button")) {
            buttons.push((map["text"]["content"].clone(), map["type"].clone(), map.contains_key("confirm")));
        }
    });
    assert_eq!(card["header"]["template"], "red");
    assert_eq!(buttons.last(), Some(&(json!("Allow once"), json!("danger"), true)));
    assert!(!read(&card).contains("or send"), "no typed shortcut");
}

/// Label, kind and whether it asks once more, of every button in order.
fn buttons_of(card: &Value) -> Vec<(String, String, bool)> {
    let mut buttons = Vec::new();
    walk(card, &mut |map| {
        if map.get("tag") == Some(&json!("button")) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            buttons.push((text(&map["text"]["content"]), text(&map["type"]), map.contains_key("confirm")));
        }
    });
    buttons
}

/// It was allowed once and may have run: the thumb's first button must not do it a second time.
#[test]
fn what_may_have_run_is_not_allowed_by_the_first_button() {
    let again = GateShown::OpenAgain { who: "Mei".into(), at_ms: NOON };
    let card = draw(&View::Gate(gate_view(command("git push origin main"), again.clone())), pen(Lang::En));
    let buttons = buttons_of(&card);
    assert_eq!(buttons[0].0, "Decline", "{buttons:?}");
    assert_eq!(buttons.last(), Some(&("Allow once".to_owned(), "danger".to_owned(), true)));
    assert!(read(&card).contains("#3: git push origin main"), "the second look says what: {}", read(&card));
    assert!(!read(&card).contains("or send"), "no typed shortcut");
    let rows = vec![GateRow { state: again, ..gate_row(3, Class::Publish, GateShown::Open) }];
    let list = GatesView { rows, ..gates_view(Vec::new()) };
    let buttons = buttons_of(&draw(&View::Gates(list), pen(Lang::En)));
    assert_eq!((buttons[0].0.as_str(), buttons[1].0.as_str(), buttons[1].2), ("Decline #3", "Allow #3", true));
}

/// What cannot be decided in three letters is not offered so.
#[test]
fn the_hint_of_a_list_names_a_request_that_letters_decide() {
    let hint = |classes: &[Class]| {
        let rows = (3..).zip(classes).map(|(n, class)| gate_row(n, *class, GateShown::Open)).collect();
        read(&draw(&View::Gates(gates_view(rows)), pen(Lang::En)))
    };
    assert!(hint(&[Class::Destroy, Class::Publish]).contains("a4 or d4"));
    assert!(!hint(&[Class::Destroy, Class::Unknown]).contains("or send"));
}

#[test]
fn what_is_over_has_nobody_to_decide_it() {
    for (name, view) in all_views() {
        let over = match &view {
            View::Gate(gate) => !gate.state.is_open(),
            View::Gates(list) => !list.rows.iter().any(|row| row.state.is_open()),
            _ => false,
        };
        let text = read(&draw(&view, pen(Lang::En)));
        assert!(!over || !text.contains("may decide"), "{name}: {text}");
    }
}

/// Code does not wrap on a phone: what stands beyond its edge would be allowed unseen.
#[test]
fn no_open_line_of_code_is_wider_than_a_phone_shows() {
    let wide =
        format!("docker run -v \"$PWD\":/app node:22 npm run build -- {} 中文目录 && rm -rf /data", "x".repeat(90));
    let paths = (0..4).map(|n| Change {
        path: format!("src/{}/很长的目录名/file{n}.ts", "deeply/nested/".repeat(6)),
        kind: "update".to_owned(),
        diff: String::new(),
    });
    let files = Ask::FileChange { changes: paths.collect(), directory: "web".to_owned() };
    let tool = Ask::Tool { server: "jira".into(), tool: "create".into(), detail: wide.clone() };
    for ask in [command(&wide), command(&"echo '长'\n".repeat(43)), files, tool] {
        let list = GatesView { rows: vec![GateRow { ask: ask.clone(), ..open_row(3) }], ..gates_view(Vec::new()) };
        for view in [View::Gate(gate_view(ask, GateShown::Open)), View::Gates(list)] {
            let card = draw(&view, pen(Lang::Zh));
            let open = card["body"]["elements"].as_array().expect("elements").iter();
            for code in open.filter(|element| element["tag"] == "markdown").filter_map(|it| it["content"].as_str()) {
                let columns =
                    |line: &str| line.chars().map(|c| if u32::from(c) < 0x1100 { 1 } else { 2 }).sum::<usize>();
                assert!(code.lines().all(|line| columns(line) <= 60) && code.lines().count() <= 2 + 8, "{code}");
            }
        }
    }
    let text = read(&draw(&View::Gate(gate_view(command(&wide), GateShown::Open)), pen(Lang::En)));
    assert_eq!(text.replace("\n↳ ", "").matches(&wide).count(), 1, "all of it is shown: {text}");
}

#[test]
fn a_fold_says_how_much_it_holds_and_of_what_class_it_is() {
    let text = |ask| read(&draw(&View::Gate(gate_view(ask, GateShown::Open)), pen(Lang::En)));
    assert!(text(command(&"echo x\n".repeat(43))).contains("All 43 lines · acts on others"));
    let change = |n| Change { path: format!("src/{n}.rs"), kind: "update".to_owned(), diff: "+x".to_owned() };
    let files = |n: usize| Ask::FileChange { changes: (0..n).map(change).collect(), directory: "web".to_owned() };
    let nine = text(files(9));
    assert!(nine.contains("9 files · changes the project") && nine.contains("Diffs of the first 6 files"), "{nine}");
    assert!(!text(files(6)).contains("Diffs of the first"));
}

#[test]
fn every_question_stands_over_its_own_field() {
    let asked = |n: usize, options, secret| Question { text: format!("Question {n}?"), ..question(options, secret) };
    let three = vec![asked(0, 3, false), asked(1, 6, false), asked(2, 0, true)];
    let card = draw(&View::Gate(questions(three, GateShown::Open)), pen(Lang::En));
    let body = card["body"]["elements"].as_array().expect("elements");
    let form = body.iter().find(|element| element["tag"] == "form").expect("a form");
    let mut seen = Vec::new();
    for element in form["elements"].as_array().expect("elements") {
        match (element["tag"].as_str(), element["name"].as_str(), element["text"]["content"].as_str()) {
            (Some("div"), _, Some(text)) if text.starts_with('(') => seen.push(text.to_owned()),
            (Some("div"), _, Some(text)) if text.contains("servers") => seen.push("secret".to_owned()),
            (Some("select_static" | "input"), Some(name), _) => seen.push(name.to_owned()),
            _ => {}
        }
    }
    let want = ["(1/3) Question 0?", "q0", "(2/3) Question 1?", "q1", "(3/3) Question 2?", "secret", "t2"];
    let seen: Vec<&str> = seen.iter().map(String::as_str).filter(|name| !["t0", "t1"].contains(name)).collect();
    assert_eq!(seen, want);
    assert_eq!(read(&card).matches("Question 0?").count(), 1);
    assert!(read(&card).contains("2 Option 1"), "the number that may be typed stands in the list");
}

#[test]
fn a_skipped_question_does_not_say_that_it_was_answered() {
    let answers = vec![("q0".to_owned(), Vec::new())];
    let state =
        GateShown::Decided { who: "Mei".into(), at_ms: NOON, decision: Decision::Answers { answers }, rule: None };
    let card = draw(&View::Gate(questions(vec![question(2, false)], state)), pen(Lang::En));
    let (summary, text) = (card["config"]["summary"]["content"].to_string(), read(&card));
    assert!(text.contains("Skipped by Mei") && !text.contains("Answered") && summary.contains("Skipped"), "{text}");
}

#[test]
fn no_row_of_a_list_calls_for_a_press() {
    let row = || ListRow { text: "a".to_owned(), buttons: vec![button(ButtonRole::Continue)] };
    let list = ListView { title: "t".to_owned(), rows: vec![row(), row()], notes: Vec::new() };
    let card = draw(&View::List(list), pen(Lang::En));
    assert!(buttons_of(&card).iter().all(|(_, kind, _)| kind == "default"), "{card}");
}

// ------------------------------------------------------------------------------------------------ answers

fn body(markdown: &str) -> Body {
    let (footer, mention) = (Some("至少改了 1 个文件".to_owned()), Some("ou_li".into()));
    Body::Answer { markdown: markdown.to_owned(), part: 2, parts: 2, footer, mention }
}

#[test]
fn an_answer_has_three_forms() {
    let body = body("Hi **there** <at id=all></at>");
    let forms: Vec<Option<Rendered>> = (0..4).map(|form| answer(&body, form, Lang::Zh)).collect();
    let post =
        |paragraphs: Value| Some(Rendered { msg_type: "post", content: json!({"zh_cn": {"content": paragraphs}}) });
    let (md, foot, part) = ("Hi **there** ＜at id=all>＜/at>", "至少改了 1 个文件", "（第 2/2 段）");
    let rest = [
        json!([{"tag": "md", "text": md}]),
        json!([{"tag": "text", "text": foot}]),
        json!([{"tag": "text", "text": part}]),
    ];
    let mut first = vec![json!([{"tag": "at", "user_id": "ou_li"}])];
    first.extend(rest.clone());
    assert_eq!(forms[0], post(json!(first)));
    assert_eq!(forms[1], post(json!(rest)));
    let text = format!("{md}\n\n{foot}\n\n{part}");
    assert_eq!(forms[2], Some(Rendered { msg_type: "text", content: json!({"text": text}) }));
    assert_eq!(forms[3], None);
}

#[test]
fn tables_headings_and_length_make_a_card_without_a_header() {
    let table = "| a | b |\n|---|---|\n| 1 | 2 |\n\n".repeat(5);
    for (markdown, want) in [("plain", "post"), ("# Title\n\nx", "interactive"), (table.as_str(), "interactive")] {
        assert_eq!(answer(&body(markdown), 0, Lang::En).expect("a form").msg_type, want, "{markdown}");
    }
    assert_eq!(answer(&body(&"word ".repeat(400)), 0, Lang::En).expect("a form").msg_type, "interactive");
    let card = answer(&body(&table), 0, Lang::En).expect("a form").content;
    assert!(card.get("header").is_none());
    let text = card["body"]["elements"][1]["content"].as_str().expect("text");
    assert_eq!((safe::shape(text).tables, text.matches("```").count()), (3, 4));
    assert!(card["body"]["elements"][0]["content"] == json!("<at id=ou_li></at>"));
    assert!(wire_bytes(&card) <= MAX_BYTES);
}

#[test]
fn notices_have_two_forms_and_files_none() {
    let notice = Body::Notice { text: "用 `/cancel` 取消".to_owned() };
    let forms: Vec<Option<&str>> =
        (0..3).map(|form| answer(&notice, form, Lang::Zh).map(|rendered| rendered.msg_type)).collect();
    assert_eq!(forms, vec![Some("post"), Some("text"), None]);
    let file = Body::File { name: "a".into(), sha256: "b".into(), bytes: 1 };
    assert_eq!(answer(&file, 0, Lang::Zh), None);
}
