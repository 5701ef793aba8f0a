//! Views and messages as plain text for a terminal. Control characters of what an agent wrote never reach it.

use crate::domain::delivery::Body;
use crate::domain::gate::{Ask, Decision};
use crate::domain::plain::reveal;
use crate::domain::rule::Span as Lasting;
use crate::domain::view::{
    Background, Button, ButtonRole, GateShown, GateView, GatesView, InterruptedView, Lang, LiveState, LiveView,
    QueueRowState, QueueView, RiskShown, StaleView, StatusView, Step, StepState, View,
};
use crate::words::card::{sandbox, step_verb, step_verb_past};
use crate::words::{CardMsg, CommandMsg, Span, risk, risk_why, setting, setting_value};

/// A card as text.
pub fn draw(view: &View, lang: Lang) -> String {
    let text = match view {
        View::Live(live) => draw_live(live, lang),
        View::Gate(gate) => draw_gate(gate, lang),
        View::Gates(gates) => draw_gates(gates, lang),
        View::Interrupted(interrupted) => draw_interrupted(interrupted, lang),
        View::Queue(queue) => draw_queue(queue, lang),
        View::Stale(stale) => draw_stale(stale, lang),
        View::Status(status) => draw_status(status, lang),
        View::Help(help) => format!(
            "{}\n/status  /stop  /cancel  /new  /help",
            pick(lang, &format!("项目 {}", help.project), &format!("project {}", help.project))
        ),
        View::Stranger(stranger) => pick(
            lang,
            &format!("只有 {} 允许的人能用我", stranger.owner),
            &format!("only people whom {} allows can use me", stranger.owner),
        ),
        View::Settings(settings) => settings
            .rows
            .iter()
            .map(|row| {
                let value = setting_value(row.setting, &row.value, lang);
                CardMsg::SettingLine { name: setting(row.setting, lang), value: &value }.text(lang)
            })
            .chain([CommandMsg::SettingsUsage.text(lang)])
            .collect::<Vec<_>>()
            .join("\n"),
        View::Notice(notice) => notice.text.clone(),
        View::List(list) => list.text(),
    };
    reveal(&text)
}

/// The buttons that a person may press in the terminal, with what they say. Gates are answered in words, but for those
/// that words do not allow.
pub fn buttons(view: &View, lang: Lang) -> Vec<(Button, String)> {
    let found: Vec<&Button> = match view {
        View::Live(live) => live.stop.iter().collect(),
        View::Interrupted(interrupted) => interrupted.buttons.iter().collect(),
        View::Queue(queue) => queue.rows.iter().flat_map(|row| row.steer.iter().chain(&row.cancel)).collect(),
        View::Stale(stale) => stale.buttons.iter().collect(),
        View::Notice(notice) => notice.buttons.iter().collect(),
        // What lists and settings offer is said in words as well.
        View::List(_) | View::Settings(_) => Vec::new(),
        View::Gate(gate) if gate.risk.as_ref().is_some_and(is_red) => decisions(&gate.buttons),
        View::Gates(gates) => {
            gates.rows.iter().filter(|row| is_red(&row.risk)).flat_map(|row| decisions(&row.buttons)).collect()
        }
        View::Gate(_) | View::Status(_) | View::Help(_) | View::Stranger(_) => Vec::new(),
    };
    let label = |role: &ButtonRole| match role {
        ButtonRole::AllowNumber(n) | ButtonRole::DeclineNumber(n) => {
            format!("{} #{n}", crate::words::button(role, lang))
        }
        role => crate::words::button(role, lang).to_owned(),
    };
    found.into_iter().map(|button| (button.clone(), label(&button.role))).collect()
}

fn is_red(shown: &RiskShown) -> bool {
    shown.class.is_red()
}

/// Declining first: nothing dangerous is the first button.
fn decisions(buttons: &[Button]) -> Vec<&Button> {
    let declines = buttons.iter().filter(|b| matches!(b.role, ButtonRole::Decline | ButtonRole::DeclineNumber(_)));
    declines
        .chain(buttons.iter().filter(|b| matches!(b.role, ButtonRole::Allow | ButtonRole::AllowNumber(_))))
        .collect()
}

/// A message as text.
pub fn draw_body(body: &Body) -> String {
    let text = match body {
        Body::Answer { markdown, footer, .. } => match footer {
            Some(footer) => format!("{markdown}\n\n{footer}"),
            None => markdown.clone(),
        },
        Body::Notice { text } => text.clone(),
        Body::File { name, bytes, sha256 } | Body::Image { name, bytes, sha256 } => {
            format!("[{name}, {bytes} bytes: outbox/{sha256}]")
        }
    };
    reveal(&text)
}

fn pick(lang: Lang, zh: &str, en: &str) -> String {
    match lang {
        Lang::Zh => zh.to_owned(),
        Lang::En => en.to_owned(),
    }
}

fn draw_live(live: &LiveView, lang: Lang) -> String {
    let head = match &live.state {
        LiveState::Running => match live.steps.last() {
            Some(step) => step_line(step, lang),
            None => CardMsg::TagRunning.text(lang),
        },
        LiveState::Waiting { number, names } => CardMsg::LiveWaiting { number: *number, names }.text(lang),
        LiveState::Paused { why } => format!("⏸ {why}"),
        LiveState::Done { duration_ms, tokens } => {
            let span = &Span { ms: *duration_ms, lang }.to_string();
            let done = match live.steps.len() {
                0 => CardMsg::LiveDoneAtOnce { span }.text(lang),
                1 => CardMsg::LiveDone { steps: &CardMsg::OneStep.text(lang), span }.text(lang),
                n => CardMsg::LiveDone { steps: &CardMsg::Steps { n }.text(lang), span }.text(lang),
            };
            tokens.map_or(done.clone(), |n| format!("{done} · {n} tokens"))
        }
        LiveState::Stopped { by: who, background } => match background {
            Background::None => CardMsg::LiveStopped { who }.text(lang),
            Background::Ended => CardMsg::LiveStoppedEnded { who }.text(lang),
            Background::MayRunOn => CardMsg::LiveStoppedMayRunOn { who }.text(lang),
        },
        LiveState::Failed => CardMsg::LiveFailed.text(lang),
        LiveState::Interrupted => CardMsg::LiveInterrupted.text(lang),
        LiveState::GoesOn { by: who } => CardMsg::LiveGoesOn { who }.text(lang),
        LiveState::Merged => CardMsg::LiveMerged.text(lang),
    };
    match live.unreachable_since_ms {
        Some(_) => format!(
            "{head} {}",
            pick(lang, "（模型暂时连不上，正在重试）", "(the model cannot be reached; trying again)")
        ),
        None => head,
    }
}

fn step_line(step: &Step, lang: Lang) -> String {
    let (mark, verb) = match step.state {
        StepState::Running => ("…", step_verb(step.what, lang)),
        StepState::Ok => ("✓", step_verb_past(step.what, lang)),
        StepState::Failed => ("✕", step_verb_past(step.what, lang)),
    };
    format!("{mark} {verb} {}", step.object)
}

fn draw_gate(gate: &GateView, lang: Lang) -> String {
    let number = gate.number;
    let head = match (&gate.state, gate.ask.is_question()) {
        (GateShown::Open, true) => pick(lang, &format!("? 提问 #{number}"), &format!("? question #{number}")),
        (GateShown::Open, false) => request_head(number, gate.risk.as_ref(), lang),
        (GateShown::OpenAgain { who, .. }, _) => pick(
            lang,
            &format!("? 批准请求 #{number}（{who} 曾经同意，可能已经执行）"),
            &format!("? request #{number} ({who} allowed this before; it may have run)"),
        ),
        (state, _) => return draw_over(number, state, lang),
    };
    let mut lines = vec![head, draw_ask(&gate.ask, gate.risk.as_ref(), lang)];
    lines.extend(reasons(gate.risk.as_ref(), gate.claim.as_deref(), lang));
    lines.push(match &gate.ask {
        Ask::Questions { questions } if questions.iter().any(|question| !question.options.is_empty()) => {
            pick(lang, "  回复选项的数字，或直接写答案", "  answer with an option's number, or in your own words")
        }
        Ask::Questions { .. } => pick(lang, "  直接写答案", "  answer in your own words"),
        _ if gate.risk.as_ref().is_some_and(|risk| risk.class.is_red()) => {
            pick(lang, "  用按钮决定；n 拒绝", "  decide by the buttons; n declines")
        }
        _ => pick(lang, "  回复 y 同意，n 拒绝", "  answer y to allow, n to decline"),
    });
    lines.join("\n")
}

/// Why it is asked, and what the agent says about it.
fn reasons(shown: Option<&RiskShown>, claim: Option<&str>, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(shown) = shown {
        lines.push(risk_why(shown.class, lang).to_owned());
        lines.extend(shown.why.as_deref().map(|words| CardMsg::BecauseOf { words }.text(lang)));
    }
    lines.extend(claim.map(|reason| CardMsg::Claim { reason }.text(lang)));
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// The number, and what it would do.
fn request_head(number: i64, shown: Option<&RiskShown>, lang: Lang) -> String {
    let head = pick(lang, &format!("? 批准请求 #{number}"), &format!("? request #{number}"));
    match shown {
        Some(shown) => format!("{head} · {}", risk(shown.class, lang)),
        None => head,
    }
}

/// A request that nobody is asked about any more.
fn draw_over(number: i64, state: &GateShown, lang: Lang) -> String {
    match state {
        GateShown::Open | GateShown::OpenAgain { .. } => String::new(),
        GateShown::Decided { who, decision, rule, .. } => {
            let (mark, what) = match decision {
                Decision::Allow => ("✓", pick(lang, "已允许", "allowed")),
                Decision::Decline { .. } => ("✕", pick(lang, "已拒绝", "declined")),
                Decision::Network => {
                    ("✓", pick(lang, "本任务可以联网，这条没有执行", "network for this task; this did not run"))
                }
                Decision::StopTurn => ("■", pick(lang, "已拒绝并停止任务", "declined, and stopped the task")),
                Decision::Answers { answers } => match answers.iter().any(|(_, words)| !words.is_empty()) {
                    true => ("✓", pick(lang, "已回答", "answered")),
                    false => ("—", pick(lang, "已跳过", "skipped")),
                },
            };
            let reason = match decision {
                Decision::Decline { reason: Some(reason) } => {
                    pick(lang, &format!("（{reason}）"), &format!(" ({reason})"))
                }
                _ => String::new(),
            };
            let rule = rule.as_ref().filter(|rule| rule.span == Lasting::Always);
            let rule = rule.map(|rule| format!(" · R{}", rule.number)).unwrap_or_default();
            let colon = pick(lang, "：", ": ");
            format!("{mark} #{number} {what}{colon}{who}{reason}{rule}")
        }
        GateShown::Refused => format!("{} #{number}", CardMsg::GateRefused.text(lang)),
        GateShown::Withdrawn => pick(lang, &format!("— #{number} 已撤回"), &format!("— #{number} withdrawn")),
        GateShown::Void => {
            pick(lang, &format!("— #{number} 已失效，没有执行"), &format!("— #{number} void: it did not run"))
        }
        GateShown::VoidMayHaveRun { who } => pick(
            lang,
            &format!("— #{number} 已失效（{who} 同意过，可能已经执行）"),
            &format!("— #{number} void ({who} had allowed it; it may have run)"),
        ),
    }
}

fn draw_gates(gates: &GatesView, lang: Lang) -> String {
    let mut lines = Vec::new();
    for row in &gates.rows {
        match row.state.is_open() {
            true => {
                lines.push(request_head(row.number, Some(&row.risk), lang));
                lines.push(draw_ask(&row.ask, Some(&row.risk), lang));
                lines.extend(reasons(Some(&row.risk), row.claim.as_deref(), lang));
            }
            false => lines.push(draw_over(row.number, &row.state, lang)),
        }
    }
    if gates.more > 0 {
        lines.push(CardMsg::GatesMore { n: gates.more }.text(lang));
    }
    if let Some(first) = gates.rows.iter().find(|row| row.state.is_open() && !is_red(&row.risk)) {
        lines.push(format!("  {}", CardMsg::HintGates { n: first.number }.text(lang)));
    }
    lines.join("\n")
}

fn draw_ask(ask: &Ask, shown: Option<&RiskShown>, lang: Lang) -> String {
    let place = |directory: &str| format!("  {}", CardMsg::Where { directory }.text(lang));
    match ask {
        Ask::Command { command, directory, outside_sandbox, network, wanted, .. } => {
            let outside = shown.map_or(*outside_sandbox, |shown| !shown.sandboxed);
            let mut place = vec![place(directory)];
            place.push(sandbox(ask, !outside).text(lang));
            place.extend(network.then(|| CardMsg::UsesNetwork.text(lang)));
            let granted: String = wanted.iter().map(|line| format!("\n  + {line}")).collect();
            format!("{}{granted}\n{}", indented(command), place.join(" · "))
        }
        Ask::FileChange { changes, directory } => {
            let files: Vec<String> =
                changes.iter().map(|change| format!("  {} {}", change.kind, change.path)).collect();
            let diffs: Vec<String> = changes.iter().map(|change| indented(&change.diff)).collect();
            format!("{}\n{}\n{}", files.join("\n"), diffs.join("\n"), place(directory))
        }
        Ask::Permissions { wanted, directory, .. } => format!("  {}\n{}", wanted.join("\n  "), place(directory)),
        Ask::Tool { server, tool, detail } => format!("  {server} · {tool}\n{}", indented(detail)),
        Ask::Questions { questions } => {
            let mut lines = Vec::new();
            for question in questions {
                lines.push(format!("  {}", question.text));
                for (index, option) in question.options.iter().enumerate() {
                    let why = if option.description == option.label { "" } else { &option.description };
                    lines.push(format!("    {}. {} {why}", index + 1, option.label).trim_end().to_owned());
                }
            }
            lines.join("\n")
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// The same facts as on a card: whoever decides in a terminal must know as much.
fn draw_interrupted(view: &InterruptedView, lang: Lang) -> String {
    let mut lines = vec![match view.shutdown {
        true => pick(lang, "■ ally 停止时，任务被中断", "■ interrupted, because ally was stopped"),
        false => pick(lang, "✕ 任务中断，结果未知", "✕ interrupted, outcome unknown"),
    }];
    for step in &view.certain {
        lines.push(pick(lang, &format!("  已完成 {}", step.object), &format!("  did: {}", step.object)));
    }
    for step in &view.uncertain {
        lines.push(pick(lang, &format!("  可能已执行 {}", step.object), &format!("  may have run: {}", step.object)));
    }
    let mut facts = Vec::new();
    facts.extend(view.history_gone.then_some(CardMsg::HistoryGone));
    match (view.uncertain.is_empty(), view.commands_ended) {
        (true, _) if view.history_gone => {}
        (true, _) => facts.push(CardMsg::NoChangeSeen),
        (false, true) => facts.push(CardMsg::CommandsEnded),
        (false, false) => facts.push(CardMsg::CommandsMayRunOn),
    }
    lines.extend(facts.into_iter().map(|fact| format!("  {}", fact.text(lang))));
    if let Some(partial) = view.partial.as_deref().filter(|text| !text.trim().is_empty()) {
        lines.push(format!("  {}", CardMsg::PartialNote.text(lang)));
        lines.push(indented(partial.trim()));
    }
    if !view.steers.is_empty() {
        lines.push(format!("  {}", CardMsg::SteersNote.text(lang)));
        lines.extend(view.steers.iter().map(|text| format!("    · {text}")));
    }
    let has = |role: &ButtonRole| view.buttons.iter().any(|button| button.role == *role);
    match &view.chosen {
        Some((role, who)) => {
            let chosen = CardMsg::Chosen { who, what: crate::words::button(role, lang) };
            lines.push(format!("  {}", chosen.text(lang)));
        }
        None if has(&ButtonRole::StartFresh) => lines.push(format!("  {}", CardMsg::HintStartFresh.text(lang))),
        None if has(&ButtonRole::Continue) => lines.push(format!("  {}", CardMsg::HintContinue.text(lang))),
        None => {}
    }
    lines.join("\n")
}

fn draw_queue(queue: &QueueView, lang: Lang) -> String {
    let rows = queue.rows.iter().map(|row| {
        let state = match &row.state {
            QueueRowState::Waiting => pick(lang, "排队", "queued"),
            QueueRowState::Started => pick(lang, "已开始", "started"),
            QueueRowState::Steered => pick(lang, "已插话", "steered"),
            QueueRowState::BackToQueue => pick(lang, "回到排队", "queued again"),
            QueueRowState::Cancelled { by } => pick(lang, &format!("{by} 已取消"), &format!("cancelled by {by}")),
        };
        let colon = pick(lang, "：", ": ");
        format!("… {state}{colon}{}", row.text)
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn draw_stale(stale: &StaleView, lang: Lang) -> String {
    pick(
        lang,
        &format!("? 这条消息是早先发的，还要做吗：{}", stale.text),
        &format!("? this was sent a while ago; still wanted? {}", stale.text),
    )
}

fn draw_status(status: &StatusView, lang: Lang) -> String {
    let mut text = pick(
        lang,
        &format!(
            "{}：进行中 {}，等人 {}，排队 {}；{} {}",
            status.project,
            status.running,
            status.waiting,
            status.queued,
            status.runtime,
            if status.runtime_ok { "正常" } else { "不可用" }
        ),
        &format!(
            "{}: {} running, {} waiting, {} queued; {} {}",
            status.project,
            status.running,
            status.waiting,
            status.queued,
            status.runtime,
            if status.runtime_ok { "ready" } else { "not usable" }
        ),
    );
    for warning in &status.warnings {
        text.push_str(&format!("\n  ! {warning}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::risk::Class;
    use crate::domain::view::StepKind;

    #[test]
    fn an_agent_cannot_paint_the_terminal() {
        let body = Body::Answer {
            markdown: "safe\u{1b}[2Jx\u{202e}y\n\tz".to_owned(),
            part: 1,
            parts: 1,
            footer: None,
            mention: None,
        };
        assert_eq!(draw_body(&body), "safe⟦U+001B⟧[2Jx⟦U+202E⟧y\n\tz");
    }

    fn gate(state: GateShown) -> GateView {
        GateView {
            gate: None,
            number: 3,
            requester: "ann".to_owned(),
            project: "p".to_owned(),
            deciders: "ann".to_owned(),
            mention: Vec::new(),
            ask: Ask::Command {
                command: "rm -r build\nls".to_owned(),
                exact: String::new(),
                directory: "/w".to_owned(),
                outside_sandbox: true,
                unsure: false,
                network: true,
                wanted: vec!["write /srv".to_owned()],
            },
            claim: Some("tidy up".to_owned()),
            risk: Some(RiskShown { class: Class::WriteOut, why: None, sandboxed: false, needs_network: false }),
            state,
            buttons: Vec::new(),
            rule: None,
            paused: false,
            opened_at_ms: 0,
            direct: true,
            bot_name: "ally".to_owned(),
        }
    }

    #[test]
    fn a_gate_shows_all_and_how_to_answer() {
        assert_eq!(
            draw(&View::Gate(gate(GateShown::Open)), Lang::En),
            "? request #3 · changes things outside\n    rm -r build\n    ls\n  + write /srv\n  In /w · outside the sandbox · uses the network\n  Why asked: outside the sandbox it runs with the owner's rights\n  Codex says (not verified): tidy up\n  answer y to allow, n to decline"
        );
    }

    /// Words do not allow what is red: without a button nothing here could.
    #[test]
    fn what_words_do_not_allow_has_its_buttons() {
        let button = |n, role| Button { id: crate::domain::ids::ButtonId::from_bits(n), role };
        let offered = vec![button(1, ButtonRole::Allow), button(2, ButtonRole::Decline), button(3, ButtonRole::Stop)];
        let view = |class| {
            let risk = Some(RiskShown { class, why: None, sandboxed: true, needs_network: false });
            View::Gate(GateView { risk, buttons: offered.clone(), ..gate(GateShown::Open) })
        };
        let labels = |view: &View| buttons(view, Lang::En).into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(&view(Class::Destroy)), ["Decline", "Allow once"]);
        assert!(labels(&view(Class::WriteOut)).is_empty());
        assert!(
            draw(&view(Class::Destroy), Lang::Zh).contains("目录 /w · 沙箱内"),
            "{}",
            draw(&view(Class::Destroy), Lang::Zh)
        );
    }

    #[test]
    fn a_task_is_told_as_on_its_card() {
        let step = Step {
            what: StepKind::Command,
            object: "npm test".to_owned(),
            state: StepState::Running,
            started_at_ms: 0,
        };
        let live = |state| LiveView {
            title: String::new(),
            requester: "ann".to_owned(),
            project: "p".to_owned(),
            started_at_ms: 0,
            state,
            steps: vec![step.clone()],
            draft: String::new(),
            unreachable_since_ms: None,
            stop: None,
            direct: true,
        };
        let running = [Lang::Zh, Lang::En].map(|lang| draw(&View::Live(live(LiveState::Running)), lang));
        assert_eq!(running, ["… 运行 npm test", "… running npm test"]);
        let done = LiveState::Done { duration_ms: 102_000, tokens: None };
        let [zh, en] = [Lang::Zh, Lang::En].map(|lang| draw(&View::Live(live(done.clone())), lang));
        assert_eq!((zh.as_str(), en.as_str()), ("✓ 完成 · 1 步 · 1 分 42 秒", "✓ Done · 1 step · 1 min 42 s"));
        let shown = draw(&View::Live(live(LiveState::Interrupted)), Lang::En);
        assert_eq!(shown, "? Interrupted, outcome unknown");
    }

    #[test]
    fn a_decision_is_marked_as_what_it_was() {
        let drawn = |decision| {
            let shown = GateShown::Decided { who: "ann".to_owned(), at_ms: 0, decision, rule: None };
            draw(&View::Gate(gate(shown)), Lang::En)
        };
        assert_eq!(drawn(Decision::Allow), "✓ #3 allowed: ann");
        assert_eq!(drawn(Decision::Decline { reason: Some("no".to_owned()) }), "✕ #3 declined: ann (no)");
        assert_eq!(drawn(Decision::StopTurn), "■ #3 declined, and stopped the task: ann");
    }

    #[test]
    fn an_interruption_drops_no_fact() {
        let step = |object: &str| Step {
            what: crate::domain::view::StepKind::Command,
            object: object.to_owned(),
            state: StepState::Running,
            started_at_ms: 0,
        };
        let button = Button { id: crate::domain::ids::ButtonId::from_bits(1), role: ButtonRole::Continue };
        let view = InterruptedView {
            requester: "ann".to_owned(),
            mention: None,
            at_ms: 0,
            certain: vec![step("make")],
            uncertain: vec![step("make install")],
            commands_ended: false,
            shutdown: false,
            history_gone: true,
            partial: Some("I will now".to_owned()),
            steers: vec!["and test it".to_owned()],
            buttons: vec![button],
            chosen: None,
        };
        let drawn = draw(&View::Interrupted(view.clone()), Lang::En);
        for want in [
            "did: make",
            "may have run: make install",
            "history of this conversation cannot be read",
            "may still be running",
            "I will now",
            "and test it",
            "steps may happen twice",
        ] {
            assert!(drawn.contains(want), "{want} is missing in\n{drawn}");
        }
        let chosen = Some((ButtonRole::Continue, "bob".to_owned()));
        let decided = InterruptedView { chosen, commands_ended: true, history_gone: false, ..view };
        let drawn = draw(&View::Interrupted(decided), Lang::En);
        assert!(drawn.contains("Continue, chosen by bob") && drawn.contains("were ended"), "{drawn}");
    }
}
