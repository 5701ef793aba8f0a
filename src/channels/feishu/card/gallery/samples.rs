//! One sample for every kind of card in every state: data as the bridge would make it, never a card's JSON.
//!
//! The lists cannot forget anything: `every!` matches all variants of a type, so that a new one without a sample does
//! not compile.

use std::fmt::Debug;

use crate::domain::delivery::Body;
use crate::domain::risk::Class;
use crate::domain::rule::Span;
use crate::domain::setting::Setting;
use crate::domain::view::*;
use crate::words::{At, CommandMsg, NoticeMsg, ToastMsg, Zone, toast};

/// 2026-09-21 22:13:20 in UTC+8.
const THEN: i64 = 1_790_000_000_000;

/// Something that people are shown.
pub(in super::super) struct Sample {
    /// Which page it stands on.
    pub kind: &'static str,
    pub state: String,
    pub shown: Shown,
}

pub(in super::super) enum Shown {
    View(Box<View>),
    /// An answer or a notice, in one of its forms.
    Message(Body, u32),
    Toast(Toast),
}

/// All samples of a type, each under its variant's name. What a pattern matches must be what its sample is.
macro_rules! every {
    ($type:ty { $($pattern:pat => [$($sample:expr),* $(,)?]),+ $(,)? }) => {{
        let _: fn(&$type) = |value| match value { $($pattern => {})+ };
        let mut all: Vec<$type> = Vec::new();
        $($({
            let sample: $type = $sample;
            debug_assert!(matches!(&sample, $pattern), "{sample:?} stands at another variant");
            all.push(sample);
        })*)+
        all
    }};
}

mod gates;

/// Every sample, in the order of the pages.
pub(in super::super) fn all(lang: Lang) -> Vec<Sample> {
    let people = People::of(lang);
    let mut samples = Vec::new();
    for view in every!(View {
        View::Live(_) => [View::Live(people.live(LiveState::Running))],
        View::Gate(_) => [View::Gate(people.gate(people.command(), Class::Publish))],
        View::Gates(_) => [View::Gates(people.list(Vec::new()))],
        View::Interrupted(_) => [View::Interrupted(people.interrupted())],
        View::Queue(_) => [View::Queue(people.queue(WaitReason::Directory))],
        View::Stale(_) => [View::Stale(people.stale())],
        View::Status(_) => [View::Status(people.status())],
        View::Help(_) => [View::Help(people.help(true))],
        View::Stranger(_) => [View::Stranger(people.stranger(false))],
        View::Settings(_) => [View::Settings(people.settings(true))],
        View::List(_) => [View::List(people.rules(1))],
        View::Notice(_) => [View::Notice(NoticeView { text: people.words("嗨", "Hi"), buttons: Vec::new() })],
    }) {
        let (kind, states) = match view {
            View::Live(_) => ("live", people.lives()),
            View::Gate(_) => ("gate", people.gates()),
            View::Gates(_) => ("gates", people.lists()),
            View::Interrupted(_) => ("interrupted", people.interruptions()),
            View::Queue(_) => ("queue", people.queues()),
            View::Stale(_) => ("stale", people.stales()),
            View::Status(_) => ("status", people.statuses()),
            View::Help(_) => ("help", people.helps()),
            View::Stranger(_) => ("stranger", people.strangers()),
            View::Settings(_) => ("settings", people.all_settings()),
            View::List(_) => ("list", people.all_rules()),
            View::Notice(_) => ("notice", people.notices()),
        };
        samples.extend(states.into_iter().map(|(state, view)| Sample {
            kind,
            state,
            shown: Shown::View(Box::new(view)),
        }));
    }
    let bodies = people.bodies().into_iter();
    samples.extend(bodies.map(|(state, body, form)| Sample {
        kind: "answer",
        state,
        shown: Shown::Message(body, form),
    }));
    samples.extend(toasts(&people).into_iter().map(|msg| Sample {
        kind: "toast",
        state: name(&msg),
        shown: Shown::Toast(toast(msg)),
    }));
    samples
}

/// `LiveState::Running` → `running`.
fn name(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let mut out = String::new();
    for c in text.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn button(role: ButtonRole) -> Button {
    Button { id: format!("b-{}", name(&role)).as_str().into(), role }
}

fn buttons(roles: impl IntoIterator<Item = ButtonRole>) -> Vec<Button> {
    roles
        .into_iter()
        .map(|role| match role {
            ButtonRole::Option(n) => Button { id: format!("b-option-{n}").as_str().into(), role },
            ButtonRole::AllowNumber(n) => Button { id: format!("b-allow-{n}").as_str().into(), role },
            ButtonRole::DeclineNumber(n) => Button { id: format!("b-decline-{n}").as_str().into(), role },
            ButtonRole::AllowFor(span) => Button { id: format!("b-allow-{}", name(&span)).as_str().into(), role },
            role => button(role),
        })
        .collect()
}

fn step(what: StepKind, object: &str, state: StepState) -> Step {
    Step { what, object: object.to_owned(), state, started_at_ms: THEN + 60_000 }
}

type Named = Vec<(String, View)>;

/// Who and what the samples are about, in the language of their chat.
struct People {
    lang: Lang,
    li: String,
    mei: String,
}

impl People {
    /// What `/threads` shows.
    fn rows(&self) -> ListView {
        let row = |text: String, roles: Vec<ButtonRole>| ListRow { text, buttons: buttons(roles) };
        ListView {
            title: CommandMsg::ThreadsTitle.text(self.lang),
            rows: vec![
                row(self.words("1. 登录页 · 14:20 · 正在用", "1. Login page · 14:20 · this one"), Vec::new()),
                row(self.words("2. 把测试跑一遍 · 11:05", "2. Run all the tests · 11:05"), vec![ButtonRole::Continue]),
            ],
            notes: vec![CommandMsg::ThreadsNote.text(self.lang)],
        }
    }

    fn of(lang: Lang) -> Self {
        let (li, mei) = match lang {
            Lang::Zh => ("李雷", "韩梅梅"),
            Lang::En => ("Li Lei", "Han Meimei"),
        };
        Self { lang, li: li.to_owned(), mei: mei.to_owned() }
    }

    /// What a person or an agent wrote.
    fn words(&self, zh: &str, en: &str) -> String {
        match self.lang {
            Lang::Zh => zh.to_owned(),
            Lang::En => en.to_owned(),
        }
    }

    // -------------------------------------------------------------------------------------------- C1

    fn live(&self, state: LiveState) -> LiveView {
        let over = !matches!(state, LiveState::Running | LiveState::Waiting { .. } | LiveState::Paused { .. });
        let mut steps = self.steps();
        steps.truncate(if over { 5 } else { 6 });
        LiveView {
            title: self.words("修一下登录页的报错", "Fix the login page err…"),
            requester: self.li.clone(),
            project: "web".to_owned(),
            started_at_ms: THEN,
            state,
            steps,
            draft: if over {
                String::new()
            } else {
                self.words(
                    "看起来是会话过期后没有跳转。我先跑一遍测试，\n再改 src/auth/session.ts。",
                    "The expired session is never redirected. I run the tests first,\nthen change src/auth/session.ts.",
                )
            },
            unreachable_since_ms: None,
            stop: (!over).then(|| button(ButtonRole::Stop)),
            direct: true,
        }
    }

    /// One of every kind and state, the last under way.
    fn steps(&self) -> Vec<Step> {
        let kinds = every!(StepKind {
            StepKind::Command => [StepKind::Command],
            StepKind::FileChange => [StepKind::FileChange],
            StepKind::Tool => [StepKind::Tool],
            StepKind::Search => [StepKind::Search],
            StepKind::Refused => [StepKind::Refused],
            StepKind::ByRule => [StepKind::ByRule],
            StepKind::Other => [StepKind::Other],
        });
        let object = |kind| match kind {
            StepKind::Command => "rg -n \"session\" src",
            StepKind::FileChange => "src/auth/session.ts",
            StepKind::Tool => "browser.open",
            StepKind::Search => "redirect after logout",
            StepKind::Refused => "cat .env",
            StepKind::ByRule => "R7 · Han Meimei · npm test",
            StepKind::Other => "plan",
        };
        let mut steps: Vec<Step> = kinds.into_iter().map(|kind| step(kind, object(kind), StepState::Ok)).collect();
        steps[2].state = StepState::Failed;
        steps[4].state = StepState::Failed;
        steps[5] = step(StepKind::Command, "npm test -- --watch=false auth", StepState::Running);
        steps
    }

    fn lives(&self) -> Named {
        let trouble = NoticeMsg::ModelUnreachable { at: At::hhmm(THEN, Zone(480)) }.text(self.lang);
        let states = every!(LiveState {
            LiveState::Running => [LiveState::Running],
            LiveState::Waiting { .. } => [LiveState::Waiting { number: 3, names: self.mei.clone() }],
            LiveState::Paused { .. } => [LiveState::Paused { why: trouble }],
            LiveState::Done { .. } => [LiveState::Done { duration_ms: 102_000, tokens: Some(12_345) }],
            LiveState::Stopped { .. } => [],
            LiveState::Failed => [LiveState::Failed],
            LiveState::Interrupted => [LiveState::Interrupted],
            LiveState::Merged => [LiveState::Merged],
            LiveState::GoesOn { .. } => [LiveState::GoesOn { by: "Li Lei".to_owned() }],
        });
        let live = |state| View::Live(self.live(state));
        let mut lives: Named = states.into_iter().map(|state| (name(&state), live(state))).collect();
        for background in every!(Background {
            Background::None => [Background::None],
            Background::Ended => [Background::Ended],
            Background::MayRunOn => [Background::MayRunOn],
        }) {
            let state = LiveState::Stopped { by: self.li.clone(), background };
            lives.push((format!("stopped_background_{}", name(&background)), live(state)));
        }
        let running = self.live(LiveState::Running);
        let fresh = LiveView { steps: Vec::new(), draft: String::new(), ..running.clone() };
        lives.push(("running_no_step_yet".to_owned(), View::Live(fresh)));
        let away = LiveView { unreachable_since_ms: Some(THEN + 90_000), ..running.clone() };
        lives.push(("running_model_unreachable".to_owned(), View::Live(away)));
        let mut steps: Vec<Step> = self.steps().into_iter().take(4).cycle().take(57).collect();
        steps.push(step(StepKind::Command, &"cargo test --all-features --workspace ".repeat(4), StepState::Running));
        lives.push(("running_58_steps".to_owned(), View::Live(LiveView { steps, direct: false, ..running })));
        let at_once = LiveState::Done { duration_ms: 8_000, tokens: None };
        lives.push(("done_without_steps".to_owned(), View::Live(LiveView { steps: Vec::new(), ..self.live(at_once) })));
        lives
    }

    // -------------------------------------------------------------------------------------------- C6

    fn interrupted(&self) -> InterruptedView {
        InterruptedView {
            requester: self.li.clone(),
            mention: Some("ou_li".into()),
            at_ms: THEN,
            certain: self.steps().into_iter().take(4).collect(),
            uncertain: vec![step(StepKind::Command, "npm publish", StepState::Running)],
            commands_ended: false,
            shutdown: false,
            history_gone: false,
            partial: None,
            steers: Vec::new(),
            buttons: buttons([ButtonRole::Continue, ButtonRole::RunAgain, ButtonRole::Dismiss]),
            chosen: None,
        }
    }

    fn interruptions(&self) -> Named {
        let it = || self.interrupted();
        let uncertain = |object: &str| step(StepKind::Command, object, StepState::Running);
        let chosen = |role| InterruptedView { chosen: Some((role, self.li.clone())), ..it() };
        let partial = Some(self.words("登录页的报错来自", "The error of the login page comes from"));
        let steers = vec![self.words("用 tab 缩进", "Use tabs"), self.words("别动测试", "Leave the tests alone")];
        let gone = buttons([ButtonRole::StartFresh, ButtonRole::RunAgain, ButtonRole::Dismiss]);
        [
            ("one_uncertain_command", it()),
            ("commands_ended", InterruptedView { commands_ended: true, ..it() }),
            (
                "several_uncertain",
                InterruptedView { uncertain: vec![uncertain("npm publish"), uncertain("git push")], ..it() },
            ),
            ("one_certain_step", InterruptedView { certain: it().certain.split_off(3), ..it() }),
            ("nothing_uncertain", InterruptedView { uncertain: Vec::new(), ..it() }),
            ("before_any_step", InterruptedView { certain: Vec::new(), uncertain: Vec::new(), ..it() }),
            ("shutdown", InterruptedView { shutdown: true, uncertain: Vec::new(), ..it() }),
            ("history_gone", InterruptedView { history_gone: true, uncertain: Vec::new(), buttons: gone, ..it() }),
            ("with_draft_and_steers", InterruptedView { partial, steers, ..it() }),
            ("chosen_continue", chosen(ButtonRole::Continue)),
            ("chosen_dismiss", chosen(ButtonRole::Dismiss)),
        ]
        .map(|(state, view)| (state.to_owned(), View::Interrupted(view)))
        .into()
    }

    // -------------------------------------------------------------------------------------------- C7

    fn row(&self, state: QueueRowState) -> QueueRow {
        let waits = matches!(state, QueueRowState::Waiting | QueueRowState::BackToQueue);
        QueueRow {
            who: self.li.clone(),
            text: self.words("跑一遍全部测试，再告诉我哪里慢", "Run all the tests and"),
            steer: waits.then(|| button(ButtonRole::Steer)),
            cancel: waits.then(|| button(ButtonRole::Cancel)),
            state,
        }
    }

    fn queue(&self, why: WaitReason) -> QueueView {
        let mut row = self.row(QueueRowState::Waiting);
        // There is something to steer only where a turn runs.
        row.steer = row.steer.filter(|_| matches!(why, WaitReason::Turn { .. }));
        QueueView { why, rows: vec![row] }
    }

    fn queues(&self) -> Named {
        let trouble =
            || self.words("模型服务繁忙。任务没有完成，可以重新运行", "Model service busy. The task is not finished");
        let mut queues: Named = every!(WaitReason {
            WaitReason::Turn { .. } => [WaitReason::Turn { who: self.mei.clone(), since_ms: THEN }],
            WaitReason::Gate { .. } => [WaitReason::Gate { number: 3, names: self.mei.clone() }],
            WaitReason::Directory => [WaitReason::Directory],
            WaitReason::Limit => [WaitReason::Limit],
            WaitReason::RuntimeRestarting => [WaitReason::RuntimeRestarting],
            WaitReason::Held => [WaitReason::Held],
            WaitReason::Elsewhere => [WaitReason::Elsewhere],
            WaitReason::RuntimeTrouble { .. } => [WaitReason::RuntimeTrouble { text: trouble() }],
        })
        .into_iter()
        .map(|why| (format!("behind_{}", name(&why)), View::Queue(self.queue(why))))
        .collect();
        let rows = every!(QueueRowState {
            QueueRowState::Waiting => [QueueRowState::Waiting, QueueRowState::Waiting],
            QueueRowState::Started => [QueueRowState::Started],
            QueueRowState::Steered => [QueueRowState::Steered],
            QueueRowState::BackToQueue => [QueueRowState::BackToQueue],
            QueueRowState::Cancelled { .. } => [QueueRowState::Cancelled { by: self.li.clone() }],
        });
        let why = || WaitReason::Turn { who: self.mei.clone(), since_ms: THEN };
        let rows: Vec<QueueRow> = rows.into_iter().map(|state| self.row(state)).collect();
        queues.push(("rows_in_every_state".to_owned(), View::Queue(QueueView { why: why(), rows: rows.clone() })));
        let over = rows.into_iter().filter(|row| row.cancel.is_none()).collect();
        queues.push(("nothing_waits_any_more".to_owned(), View::Queue(QueueView { why: why(), rows: over })));
        let many = vec![self.row(QueueRowState::Waiting); 20];
        queues.push(("20_rows".to_owned(), View::Queue(QueueView { why: why(), rows: many })));
        queues
    }

    // -------------------------------------------------------------------------------------------- C8, C10, C15, help

    fn stale(&self) -> StaleView {
        StaleView {
            sent_at_ms: THEN,
            text: self.words("把首页的标题改成“你好”", "Change the title of the home page"),
            others: 0,
            buttons: buttons([ButtonRole::DoIt, ButtonRole::Cancel]),
            chosen: None,
        }
    }

    fn stales(&self) -> Named {
        let roles = [ButtonRole::DoIt, ButtonRole::Cancel, ButtonRole::CancelAll];
        let several = StaleView { others: 3, buttons: buttons(roles), ..self.stale() };
        let chosen = |role| StaleView { chosen: Some((role, self.li.clone())), buttons: Vec::new(), ..self.stale() };
        vec![
            ("one".to_owned(), View::Stale(self.stale())),
            ("several".to_owned(), View::Stale(several)),
            ("chosen_do_it".to_owned(), View::Stale(chosen(ButtonRole::DoIt))),
            ("chosen_cancel_all".to_owned(), View::Stale(chosen(ButtonRole::CancelAll))),
        ]
    }

    fn status(&self) -> StatusView {
        StatusView {
            project: "web".to_owned(),
            running: 1,
            waiting: 1,
            queued: 2,
            channel_ok: true,
            last_frame_ms: Some(THEN),
            runtime: "Codex 0.169.0".to_owned(),
            runtime_ok: true,
            warnings: Vec::new(),
            undelivered: None,
            today: 37,
        }
    }

    fn statuses(&self) -> Named {
        let warnings = vec![
            self.words("没有沙箱：允许的命令以你的身份运行", "No sandbox: allowed commands run as you"),
            self.words("磁盘只剩 1.2 GB", "The disk has 1.2 GB left"),
        ];
        let troubled = StatusView {
            channel_ok: false,
            runtime_ok: false,
            warnings,
            undelivered: Some((2, Some(THEN))),
            ..self.status()
        };
        let quiet = StatusView { last_frame_ms: None, running: 0, waiting: 0, queued: 0, today: 0, ..self.status() };
        let undelivered = StatusView { undelivered: Some((1, None)), ..self.status() };
        vec![
            ("well".to_owned(), View::Status(self.status())),
            ("quiet".to_owned(), View::Status(quiet)),
            ("undelivered".to_owned(), View::Status(undelivered)),
            ("troubled".to_owned(), View::Status(troubled)),
        ]
    }

    fn help(&self, group: bool) -> HelpView {
        HelpView { project: "web".to_owned(), group, bot_name: "ally".to_owned() }
    }

    fn helps(&self) -> Named {
        vec![("group".to_owned(), View::Help(self.help(true))), ("direct".to_owned(), View::Help(self.help(false)))]
    }

    fn stranger(&self, group: bool) -> StrangerView {
        StrangerView { owner: self.mei.clone(), group }
    }

    fn settings(&self, may_change: bool) -> SettingsView {
        let row = |setting: Setting, value: &str| {
            let all = setting.values().iter().map(|value| (*value).to_owned());
            let choices = if may_change { all.collect() } else { Vec::new() };
            SettingRow { setting, value: value.to_owned(), choices }
        };
        let rows = vec![
            row(Setting::Autonomy, "safe"),
            row(Setting::Busy, "queue"),
            row(Setting::Noise, "normal"),
            row(Setting::TwoPersons, "false"),
        ];
        SettingsView { project: "web".to_owned(), rows, save: may_change.then(|| button(ButtonRole::Save)) }
    }

    fn rules(&self, n: i64) -> ListView {
        let text = self.words(
            "R7 · 在 web 内、沙箱里，以 npm test 开头的命令 · 到 10-21 22:13",
            "R7 · inside web, in the sandbox: commands that begin with npm test · until 10-21 22:13",
        );
        let row = |number| ListRow { text: text.clone(), buttons: vec![button(ButtonRole::RevokeRule(number))] };
        let title = self.words("规则", "Rules");
        ListView {
            title,
            rows: (0..n).map(row).collect(),
            notes: vec![self.words("也可发：/rules revoke R7", "or send: /rules revoke R7")],
        }
    }

    fn all_rules(&self) -> Named {
        vec![
            ("threads".to_owned(), View::List(self.rows())),
            ("rules".to_owned(), View::List(self.rules(1))),
            ("full".to_owned(), View::List(self.rules(MAX_LIST_ROWS as i64))),
        ]
    }

    fn all_settings(&self) -> Named {
        vec![
            ("to_change".to_owned(), View::Settings(self.settings(true))),
            ("to_read".to_owned(), View::Settings(self.settings(false))),
        ]
    }

    fn strangers(&self) -> Named {
        vec![
            ("direct".to_owned(), View::Stranger(self.stranger(false))),
            ("group".to_owned(), View::Stranger(self.stranger(true))),
        ]
    }

    // -------------------------------------------------------------------------------------------- notices, C2

    fn notices(&self) -> Named {
        let at = At::hhmm(THEN, Zone(480));
        let wait = || vec![ButtonRole::KeepWaiting, ButtonRole::Stop];
        let mut notices: Named = [
            ("recalled", NoticeMsg::RecalledRunning, vec![ButtonRole::Stop]),
            ("watchdog_idle", NoticeMsg::WatchdogIdle { minutes: 30 }, wait()),
            ("watchdog_tool", NoticeMsg::WatchdogTool { minutes: 120 }, wait()),
            ("model_unreachable", NoticeMsg::ModelUnreachable { at }, wait()),
            ("elsewhere", NoticeMsg::Elsewhere, vec![ButtonRole::TryAgain, ButtonRole::Fork]),
            ("history_gone", NoticeMsg::LostHistoryGone, vec![ButtonRole::StartFresh]),
            ("merged", NoticeMsg::Merged, Vec::new()),
        ]
        .map(|(state, msg, roles)| {
            (state.to_owned(), View::Notice(NoticeView { text: msg.text(self.lang), buttons: buttons(roles) }))
        })
        .into();
        let roles = every!(ButtonRole {
            ButtonRole::Stop => [ButtonRole::Stop],
            ButtonRole::Allow => [ButtonRole::Allow],
            ButtonRole::Decline => [ButtonRole::Decline],
            ButtonRole::AllowFor(_) => [
                ButtonRole::AllowFor(Span::Task),
                ButtonRole::AllowFor(Span::Hours),
                ButtonRole::AllowFor(Span::Always),
            ],
            ButtonRole::AllowNetwork => [ButtonRole::AllowNetwork],
            ButtonRole::DeclineWhy => [ButtonRole::DeclineWhy],
            ButtonRole::AllowNumber(_) => [ButtonRole::AllowNumber(3)],
            ButtonRole::DeclineNumber(_) => [ButtonRole::DeclineNumber(3)],
            ButtonRole::AllowLow => [ButtonRole::AllowLow],
            ButtonRole::DeclineAll => [ButtonRole::DeclineAll],
            ButtonRole::Option(_) => [ButtonRole::Option(0)],
            ButtonRole::Submit => [ButtonRole::Submit],
            ButtonRole::Skip => [ButtonRole::Skip],
            ButtonRole::Continue => [ButtonRole::Continue],
            ButtonRole::RunAgain => [ButtonRole::RunAgain],
            ButtonRole::Dismiss => [ButtonRole::Dismiss],
            ButtonRole::StartFresh => [ButtonRole::StartFresh],
            ButtonRole::Compact => [ButtonRole::Compact],
            ButtonRole::Steer => [ButtonRole::Steer],
            ButtonRole::Cancel => [ButtonRole::Cancel],
            ButtonRole::CancelAll => [ButtonRole::CancelAll],
            ButtonRole::DoIt => [ButtonRole::DoIt],
            ButtonRole::TryAgain => [ButtonRole::TryAgain],
            ButtonRole::Fork => [ButtonRole::Fork],
            ButtonRole::KeepWaiting => [ButtonRole::KeepWaiting],
            ButtonRole::Save => [ButtonRole::Save],
            ButtonRole::RevokeRule(_) => [ButtonRole::RevokeRule(7)],
            ButtonRole::Create => [ButtonRole::Create],
        });
        let text = self.words("所有的按钮", "Every button");
        notices.push(("every_button".to_owned(), View::Notice(NoticeView { text, buttons: buttons(roles) })));
        notices
    }

    /// With the form in which they are sent.
    fn bodies(&self) -> Vec<(String, Body, u32)> {
        let answer = |markdown: String| Body::Answer { markdown, part: 1, parts: 1, footer: None, mention: None };
        let short = self.words(
            "修好了：会话过期后会回到登录页。\n\n- 改了 `src/auth/session.ts`\n- 加了 2 个测试\n\n运行 `npm test`，**全部通过**。见 [说明](https://example.org/auth)。",
            "Mended: an expired session goes back to the login page.\n\n- changed `src/auth/session.ts`\n- 2 new tests\n\nRan `npm test`: **all pass**. See [the note](https://example.org/auth).",
        );
        let code = self.words("改动如下：\n\n", "The change:\n\n")
            + "```ts\nif (!user) {\n  return redirect('/login'); // <at id=all></at>\n}\n```\n\n> quote\n\n1. one\n2. two\n   - nested";
        let rich = self.words("# 结果\n\n", "# Result\n\n")
            + &self.words(
                "| 测试 | 前 | 后 |\n|---|---|---|\n| 登录 | ✕ | ✓ |\n| 退出 | ✓ | ✓ |\n\n## 还没有做\n\n~~旧接口~~ 仍然在。",
                "| Test | Before | After |\n|---|---|---|\n| login | ✕ | ✓ |\n| logout | ✓ | ✓ |\n\n## Not done\n\nThe ~~old~~ API is still there.",
            );
        let only_code = "```sh\nnpm publish\n```\n".repeat(90);
        let table = "| a | b | c |\n|---|---|---|\n| 1 | 2 | 3 |\n\n";
        let samples = [
            ("short_post", answer(short.clone()), 0),
            ("short_plainer", answer(short.clone()), 1),
            ("short_text", answer(short), 2),
            ("code_quote_lists", answer(code), 0),
            ("headings_and_table_card", answer(rich), 0),
            ("five_tables_card", answer(table.repeat(5)), 0),
            ("only_code_card", answer(only_code), 0),
            ("last_part", self.last_part(), 0),
            ("notice_post", Body::Notice { text: NoticeMsg::LostMayRunOn.text(self.lang) }, 0),
            ("notice_text", Body::Notice { text: NoticeMsg::LostMayRunOn.text(self.lang) }, 1),
        ];
        // A body that is drawn at all stands above.
        let _: fn(&Body) = |body| match body {
            Body::Answer { .. } | Body::Notice { .. } | Body::File { .. } | Body::Image { .. } => {}
        };
        samples.map(|(state, body, form)| (state.to_owned(), body, form)).into()
    }

    fn last_part(&self) -> Body {
        let sentence = self.words("这一段说明了为什么要这样改。", "This part says why it was changed like that. ");
        Body::Answer {
            markdown: sentence.repeat(120),
            part: 2,
            parts: 2,
            footer: Some(self.words("至少改了 3 个文件（+42 −7）", "At least 3 files changed (+42 −7)")),
            mention: Some("ou_li".into()),
        }
    }
}

fn toasts(people: &People) -> Vec<ToastMsg<'_>> {
    use ToastMsg as T;
    let (names, at) = (people.mei.as_str(), At::hhmm(THEN, Zone(480)));
    every!(ToastMsg<'_> {
        T::Recorded => [T::Recorded],
        T::StopRecorded => [T::StopRecorded],
        T::Queued => [T::Queued],
        T::Cancelled => [T::Cancelled],
        T::Dismissed => [T::Dismissed],
        T::KeepsWaiting => [T::KeepsWaiting],
        T::SteerRecorded => [T::SteerRecorded],
        T::Saved => [T::Saved],
        T::Paused => [T::Paused],
        T::RuleRevoked => [T::RuleRevoked],
        T::CameBack => [T::CameBack],
        T::SavedPartly => [T::SavedPartly],
        T::NoChange => [T::NoChange],
        T::TakenUp => [T::TakenUp],
        T::StillWorking => [T::StillWorking],
        T::OnlyCanDecide { .. } => [T::OnlyCanDecide { names }],
        T::OnlyCanPress { .. } => [T::OnlyCanPress { names }],
        T::AlreadyDecided { .. } => [T::AlreadyDecided { who: names, at }],
        T::AlreadyDone => [T::AlreadyDone],
        T::NoLongerValid => [T::NoLongerValid],
        T::Over => [T::Over],
        T::Withdrawn => [T::Withdrawn],
        T::ListChanged { .. } => [T::ListChanged { n: 2 }],
        T::Partly { .. } => [T::Partly { n: 2, names }],
        T::Changed => [T::Changed],
        T::NotRecorded => [T::NotRecorded],
        T::NotAllowed => [T::NotAllowed],
        T::Unknown => [T::Unknown],
        T::AnswerMissing => [T::AnswerMissing],
        T::Never(..) => [],
    })
}
