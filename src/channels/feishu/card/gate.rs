//! C3 and C5: a question that the runtime put to people, and what became of it.

use serde_json::{Value, json};

use super::Pen;
use super::elements::{Card, clip, code_block, div, plain};
use crate::domain::gate::{Ask, Change, Decision, Question};
use crate::domain::view::{Button, ButtonRole, GateShown, GateView};
use crate::words::{CardMsg, button};

/// Bytes of a request that a command or all diffs together may take. Well below the card's limit, so that the last
/// resort of cutting the finished card, which could not tell the buttons, never meets a gate.
const SHOWN_BYTES: usize = 14_000;
const OPEN_LINES: usize = 8;
const MAX_FILES: usize = 20;
const MAX_DIFFS: usize = 6;

pub(super) fn gate(view: &GateView, pen: Pen) -> Value {
    match &view.ask {
        Ask::Questions { questions } => question_card(view, questions, pen),
        _ => approval(view, pen),
    }
}

fn approval(view: &GateView, pen: Pen) -> Value {
    let kind = pen.say(kind(&view.ask));
    let (tag, colour) = tag(&view.state);
    let tag = pen.say(tag);
    let GateView { requester, project, deciders, number, .. } = view;
    let (summary, title) = match is_open(&view.state) {
        true => (CardMsg::GateSummary { who: requester, kind: &kind }, CardMsg::GateTitle { number: *number }),
        false => (CardMsg::GateSummaryOver { who: requester, tag: &tag }, CardMsg::GateTitleOver { number: *number }),
    };
    let mut card = Card::new(&pen.say(summary), false);
    card.header(&pen.say(title), Some(&kind), template(view), Some((&tag, colour)));
    if is_open(&view.state) {
        card.mention(&view.mention);
    }
    card.line(&clip(&pen.say(CardMsg::GateWho { who: requester, project, deciders }), 300));
    let cut = what(&mut card, &view.ask, pen);
    place(&mut card, &view.ask, pen);
    if is_open(&view.state) {
        card.line(&pen.say(why(&view.ask)));
    }
    if let Some(reason) = &view.claim {
        card.grey(&pen.say(CardMsg::Claim { reason: &clip(&one_line(reason), 200) }));
    }
    if let Some(result) = result(view, pen) {
        card.line(&result);
    }
    if is_open(&view.state) {
        let red = is_red(&view.ask) || cut;
        decide_buttons(&mut card, view, red, pen);
        if !red {
            card.grey(&hint(view, pen));
        }
    }
    card.finish(pen)
}

fn is_open(state: &GateShown) -> bool {
    matches!(state, GateShown::Open | GateShown::OpenAgain { .. })
}

/// What cannot be judged, or leaves the sandbox and the machine at once. Until risk classes exist.
fn is_red(ask: &Ask) -> bool {
    match ask {
        Ask::Command { outside_sandbox, network, .. } => *outside_sandbox && *network,
        Ask::Permissions { .. } | Ask::Tool { .. } => true,
        Ask::FileChange { .. } | Ask::Questions { .. } => false,
    }
}

fn template(view: &GateView) -> &'static str {
    match &view.state {
        GateShown::Open | GateShown::OpenAgain { .. } if is_red(&view.ask) => "red",
        GateShown::Open | GateShown::OpenAgain { .. } => "orange",
        GateShown::VoidMayHaveRun { .. } => "red",
        GateShown::Decided { .. } | GateShown::Withdrawn | GateShown::Void => "grey",
    }
}

fn tag(state: &GateShown) -> (CardMsg<'static>, &'static str) {
    match state {
        GateShown::Open | GateShown::OpenAgain { .. } => (CardMsg::TagOpen, "orange"),
        GateShown::Decided { decision: Decision::Allow, .. } => (CardMsg::TagAllowed, "green"),
        GateShown::Decided { decision: Decision::Answers { .. }, .. } => (CardMsg::TagAnswered, "green"),
        GateShown::Decided { .. } => (CardMsg::TagDeclined, "neutral"),
        GateShown::Withdrawn => (CardMsg::TagWithdrawn, "neutral"),
        GateShown::Void => (CardMsg::TagVoid, "neutral"),
        GateShown::VoidMayHaveRun { .. } => (CardMsg::TagUnclear, "red"),
    }
}

fn kind(ask: &Ask) -> CardMsg<'static> {
    match ask {
        Ask::Command { .. } => CardMsg::KindCommand,
        Ask::FileChange { .. } => CardMsg::KindFiles,
        Ask::Permissions { .. } => CardMsg::KindPermissions,
        Ask::Tool { .. } | Ask::Questions { .. } => CardMsg::KindTool,
    }
}

fn why(ask: &Ask) -> CardMsg<'static> {
    match ask {
        Ask::Command { network: true, .. } => CardMsg::WhyNetwork,
        Ask::Command { outside_sandbox: true, .. } => CardMsg::WhyOutside,
        Ask::Command { .. } => CardMsg::WhyCommand,
        Ask::FileChange { .. } => CardMsg::WhyFiles,
        Ask::Permissions { .. } => CardMsg::WhyPermissions,
        Ask::Tool { .. } | Ask::Questions { .. } => CardMsg::WhyTool,
    }
}

/// Shows what is asked; tells whether any of it had to be left out.
fn what(card: &mut Card, ask: &Ask, pen: Pen) -> bool {
    match ask {
        Ask::Command { command, .. } => code(card, "bash", command, pen),
        Ask::FileChange { changes, .. } => changes_list(card, changes, pen),
        Ask::Permissions { wanted, .. } => code(card, "", &wanted.join("\n"), pen),
        Ask::Tool { server, tool, detail } => code(card, "", format!("{server} · {tool}\n{detail}").trim(), pen),
        Ask::Questions { .. } => false,
    }
}

/// Up to eight lines stand open, more are folded with their count.
fn code(card: &mut Card, language: &str, text: &str, pen: Pen) -> bool {
    let (shown, cut) = shown(text, SHOWN_BYTES);
    let total = text.chars().count();
    let lines = text.lines().count();
    if lines <= OPEN_LINES && total <= 800 {
        card.code(language, shown);
    } else {
        let head: Vec<&str> = shown.lines().take(3).collect();
        card.code(language, &format!("{}\n…", clip(&head.join("\n"), 300)));
        card.folded(&pen.say(CardMsg::Folded { lines }), vec![code_block(language, shown)]);
    }
    if cut {
        card.coloured(&pen.say(CardMsg::Cut { shown: shown.chars().count(), total }), "red");
    }
    cut
}

/// As much of the text as takes `budget` bytes in a request, and whether that is not all.
fn shown(text: &str, budget: usize) -> (&str, bool) {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += match c {
            '"' | '\\' => 4,
            '\n' | '\t' | '<' => 3,
            c if c.is_ascii_graphic() || c == ' ' => 1,
            c if c.is_alphanumeric() => c.len_utf8(),
            // May be written as its code point.
            _ => 14,
        };
        if used > budget {
            return (&text[..at], true);
        }
    }
    (text, false)
}

fn changes_list(card: &mut Card, changes: &[Change], pen: Pen) -> bool {
    let row = |change: &Change| {
        let count = |sign: char, marker: &str| {
            change.diff.lines().filter(|line| line.starts_with(sign) && !line.starts_with(marker)).count()
        };
        let mark = match change.kind.as_str() {
            "add" => "A",
            "delete" => "D",
            _ => "M",
        };
        format!("{mark} {}  +{} −{}", clip(&one_line(&change.path), 120), count('+', "+++"), count('-', "---"))
    };
    let rows: Vec<String> = changes.iter().take(MAX_FILES).map(row).collect();
    card.code("", &rows.join("\n"));
    if changes.len() > MAX_FILES {
        card.coloured(&pen.say(CardMsg::MoreFiles { n: changes.len() - MAX_FILES }), "red");
    }
    let mut cut = changes.len() > MAX_FILES;
    let each = SHOWN_BYTES / changes.len().clamp(1, MAX_DIFFS);
    for change in changes.iter().take(MAX_DIFFS).filter(|change| !change.diff.is_empty()) {
        let (shown, diff_cut) = shown(&change.diff, each);
        let mut inside = vec![code_block("diff", shown)];
        if diff_cut {
            cut = true;
            let (shown, total) = (shown.chars().count(), change.diff.chars().count());
            inside.push(div(&pen.say(CardMsg::Cut { shown, total })));
        }
        card.folded(&pen.say(CardMsg::Diff { path: &clip(&one_line(&change.path), 60) }), inside);
    }
    cut || changes.len() > MAX_DIFFS
}

fn place(card: &mut Card, ask: &Ask, pen: Pen) {
    let (directory, outside, network) = match ask {
        Ask::Command { directory, outside_sandbox, network, .. } => (directory, *outside_sandbox, *network),
        Ask::FileChange { directory, .. } | Ask::Permissions { directory, .. } => (directory, false, false),
        Ask::Tool { .. } | Ask::Questions { .. } => return,
    };
    let mut parts = vec![pen.say(CardMsg::Where { directory: &clip(&one_line(directory), 200) })];
    parts.extend(outside.then(|| pen.say(CardMsg::OutsideSandbox)));
    parts.extend(network.then(|| pen.say(CardMsg::UsesNetwork)));
    card.line(&parts.join(" · "));
}

/// The line that says what became of it.
fn result(view: &GateView, pen: Pen) -> Option<String> {
    Some(match &view.state {
        GateShown::Open => return None,
        GateShown::OpenAgain { who, at_ms } => pen.say(CardMsg::GateOpenAgain { who, at: pen.dated(*at_ms) }),
        GateShown::Withdrawn => pen.say(CardMsg::GateWithdrawn),
        GateShown::Void => pen.say(CardMsg::GateVoid),
        GateShown::VoidMayHaveRun { who } => pen.say(CardMsg::GateVoidMayHaveRun { who }),
        GateShown::Decided { who, at_ms, decision } => {
            let at = pen.at(*at_ms);
            match decision {
                Decision::Allow => pen.say(CardMsg::GateAllowed { who, at }),
                Decision::Decline { reason: Some(reason) } => {
                    pen.say(CardMsg::GateDeclinedWhy { who, at, reason: &clip(&one_line(reason), 200) })
                }
                Decision::Decline { reason: None } => pen.say(CardMsg::GateDeclined { who, at }),
                Decision::StopTurn => pen.say(CardMsg::GateStopped { who, at }),
                Decision::Answers { answers } => return Some(answers_line(view, who, answers, *at_ms, pen)),
            }
        }
    })
}

fn decide_buttons(card: &mut Card, view: &GateView, red: bool, pen: Pen) {
    let number = view.number;
    let mut buttons: Vec<&Button> = view.buttons.iter().collect();
    if red {
        // Never first: the thumb's first button does nothing dangerous.
        buttons.sort_by_key(|b| b.role == ButtonRole::Allow);
    }
    let drawn = buttons
        .into_iter()
        .map(|b| {
            let ask_again = red && b.role == ButtonRole::Allow;
            let confirm =
                ask_again.then(|| (pen.say(CardMsg::ConfirmTitle), pen.say(CardMsg::ConfirmAllow { number })));
            card.button(b, button(&b.role, pen.lang), confirm)
        })
        .collect();
    card.rows(drawn);
}

fn hint(view: &GateView, pen: Pen) -> String {
    match view.direct {
        true => pen.say(CardMsg::HintDirect),
        false => pen.say(CardMsg::HintGroup { bot: &view.bot_name, number: view.number }),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// ------------------------------------------------------------------------------------------------ questions

fn question_card(view: &GateView, questions: &[Question], pen: Pen) -> Value {
    let mut card = Card::new(&pen.say(CardMsg::QuestionSummary { who: &view.requester }), false);
    let open = is_open(&view.state);
    let (tag, colour) = tag(&view.state);
    let sub = format!("{} · {}", view.requester, view.project);
    let title = pen.say(CardMsg::QuestionTitle { number: view.number });
    card.header(&title, Some(&sub), if open { "blue" } else { "grey" }, Some((&pen.say(tag), colour)));
    if open {
        card.mention(&view.mention);
    }
    let of = questions.len();
    for (i, question) in questions.iter().enumerate() {
        let place = if of > 1 { pen.say(CardMsg::QuestionOf { n: i + 1, of }) } else { String::new() };
        card.line(format!("{} {place}", clip(&question.text, 1_500)).trim_end());
        for (n, option) in question
            .options
            .iter()
            .enumerate()
            .filter(|(_, option)| !option.description.is_empty() && option.description != option.label)
        {
            card.grey(&format!("{} {} — {}", n + 1, clip(&option.label, 60), clip(&option.description, 200)));
        }
    }
    if let Some(result) = result(view, pen) {
        card.line(&result);
    }
    if open {
        answer_controls(&mut card, view, questions, pen);
    }
    card.finish(pen)
}

fn answer_controls(card: &mut Card, view: &GateView, questions: &[Question], pen: Pen) {
    let options: Vec<(&Button, usize)> = view
        .buttons
        .iter()
        .filter_map(|b| match b.role {
            ButtonRole::Option(n) => usize::try_from(n).ok().map(|n| (b, n)),
            _ => None,
        })
        .collect();
    let submit = view.buttons.iter().find(|b| b.role == ButtonRole::Submit);
    let by_button = questions.len() == 1 && !options.is_empty() && options.len() <= 4;
    if by_button {
        let drawn = options
            .iter()
            .filter_map(|(b, n)| {
                let option = questions[0].options.get(*n)?;
                Some(card.button(b, &clip(&format!("{} {}", n + 1, option.label), 40), None))
            })
            .collect();
        card.rows(drawn);
    }
    if let Some(submit) = submit {
        let form = form(card, questions, by_button, submit, pen);
        card.raw(form);
    }
    if questions.iter().any(|question| question.secret) {
        card.grey(&pen.say(CardMsg::SecretNote));
    }
    let others = view.buttons.iter().filter(|b| !matches!(b.role, ButtonRole::Option(_) | ButtonRole::Submit));
    card.buttons(&others.cloned().collect::<Vec<_>>(), pen);
    if by_button {
        card.grey(&match view.direct {
            true => pen.say(CardMsg::QuestionHint { number: view.number }),
            false => pen.say(CardMsg::QuestionHintGroup { bot: &view.bot_name }),
        });
    }
}

/// Fields are named `q0`, `q1` … (the choice) and `t0`, `t1` … (the words), by the question's place.
fn form(card: &mut Card, questions: &[Question], by_button: bool, submit: &Button, pen: Pen) -> Value {
    let mut elements = Vec::new();
    for (i, question) in questions.iter().enumerate() {
        let label = if question.header.is_empty() { clip(&question.text, 40) } else { clip(&question.header, 40) };
        if !question.options.is_empty() && !by_button {
            let options: Vec<Value> = question
                .options
                .iter()
                .take(30)
                .enumerate()
                .map(|(n, option)| json!({"text": plain(&clip(&option.label, 60)), "value": n.to_string()}))
                .collect();
            let placeholder = plain(&format!("{} · {label}", pen.say(CardMsg::Choose)));
            elements.push(json!({
                "tag": "select_static", "name": format!("q{i}"), "placeholder": placeholder, "options": options,
            }));
        }
        if question.free_text || question.options.is_empty() {
            elements.push(json!({
                "tag": "input", "name": format!("t{i}"), "input_type": if question.secret { "password" } else { "text" },
                "max_length": 1000, "label": plain(&label), "placeholder": plain(&pen.say(CardMsg::WriteAnswer)),
            }));
        }
    }
    let name = card.name();
    elements.push(json!({
        "tag": "button", "name": name, "text": plain(button(&submit.role, pen.lang)), "type": "primary",
        "form_action_type": "submit", "value": {"b": submit.id.as_str()},
    }));
    json!({"tag": "form", "name": card.name(), "elements": elements})
}

fn answers_line(view: &GateView, who: &str, answers: &[(String, Vec<String>)], at_ms: i64, pen: Pen) -> String {
    let Ask::Questions { questions } = &view.ask else { return String::new() };
    let secret = |id: &str| questions.iter().any(|question| question.id == id && question.secret);
    let given: Vec<String> = answers
        .iter()
        .filter(|(id, words)| !words.is_empty() && !secret(id))
        .map(|(_, words)| clip(&one_line(&words.join(", ")), 200))
        .collect();
    if answers.iter().any(|(id, words)| secret(id) && !words.is_empty()) && given.is_empty() {
        return pen.say(CardMsg::AnsweredSecret { who });
    }
    let at = pen.at(at_ms);
    match given.is_empty() {
        true => pen.say(CardMsg::Skipped { who, at }),
        false => pen.say(CardMsg::Answered { who, answer: &given.join(" / "), at }),
    }
}
