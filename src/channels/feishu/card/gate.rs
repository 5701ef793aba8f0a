//! C3, C4 and C5: what a runtime asked people, and what became of it.

use serde_json::{Value, json};

use super::elements::{Card, clip, code_block, div, grey, plain, row};
use super::{Pen, safe};
use crate::domain::gate::{Ask, Change, Decision, Question};
use crate::domain::risk::Class;
use crate::domain::rule::{Span, Subject};
use crate::domain::view::{
    Button, ButtonRole, GateRow, GateShown, GateView, GatesView, MAX_GATE_ROWS, RiskShown, RuleOffer,
};
use crate::words::card::sandbox;
use crate::words::{CardMsg, button, risk, risk_why};

/// Bytes of a request that a command or all diffs together may take. Well below the card's limit, so that the last
/// resort of cutting the finished card, which could not tell the buttons, never meets a gate.
const SHOWN_BYTES: usize = 14_000;
/// The same of all rows of a list, which have more around them, and of the small texts in a row.
const LIST_BYTES: usize = 10_000;
const ROW_CLAIM_BYTES: usize = 300;
const ROW_TEXT_BYTES: usize = 150;
const OPEN_LINES: usize = 8;
const OPEN_COLUMNS: usize = 60;
const OPEN_CHARS: usize = 800;
/// Bytes of a request that its second look repeats.
const SURE_BYTES: usize = 120;
const MAX_FILES: usize = 20;
const MAX_DIFFS: usize = 6;
const MAX_OPTIONS: usize = 30;
/// Elements that the questions of a card may take, so that all of it stays below the platform's 200.
const QUESTION_ELEMENTS: usize = 150;

pub(super) fn gate(view: &GateView, pen: Pen) -> Value {
    match &view.ask {
        Ask::Questions { questions } => question_card(view, questions, pen),
        _ => approval(view, pen),
    }
}

fn approval(view: &GateView, pen: Pen) -> Value {
    let class = class_of(view);
    let kind = risk(class, pen.lang);
    let (tag, colour) = tag(&view.state);
    let tag = pen.say(tag);
    let GateView { requester, project, deciders, number, .. } = view;
    let (summary, title) = match view.state.is_open() {
        true => (CardMsg::GateSummary { who: requester, kind }, CardMsg::GateTitle { number: *number }),
        false => (CardMsg::GateSummaryOver { who: requester, tag: &tag }, CardMsg::GateTitleOver { number: *number }),
    };
    let mut card = Card::new(&pen.say(summary), false);
    card.header(&pen.say(title), Some(kind), template(&view.state, class), Some((&tag, colour)));
    if view.state.is_open() {
        card.mention(&view.mention);
    }
    // Nobody is to decide what is over.
    card.line(&match view.state.is_open() {
        true => clip(&pen.say(CardMsg::GateWho { who: requester, project, deciders }), 300),
        false => format!("{requester} · {project}"),
    });
    let cut = what(&mut card, &view.ask, kind, pen);
    place(&mut card, &view.ask, view.risk.as_ref(), pen);
    card.line(risk_why(class, pen.lang));
    if let Some(words) = view.risk.as_ref().and_then(|risk| risk.why.as_deref()) {
        card.line(&pen.say(CardMsg::BecauseOf { words: &clip(&one_line(words), 120) }));
    }
    if view.state.is_open() && view.risk.as_ref().is_some_and(|risk| risk.needs_network) {
        card.line(&pen.say(CardMsg::NeedsNetwork));
    }
    if let Some(reason) = &view.claim {
        card.grey(&pen.say(CardMsg::Claim { reason: &clip(&one_line(reason), 200) }));
    }
    if let Some(result) = result(view, pen) {
        card.line(&result);
    }
    if view.state.is_open() {
        if view.paused {
            card.line(&pen.say(CardMsg::GatePaused { at: pen.dated(view.opened_at_ms), names: deciders }));
        }
        let careful = class.is_red() || cut || may_have_run(&view.state);
        decide_buttons(&mut card, view, careful, pen);
        if !careful {
            card.grey(&hint(view, pen));
        }
    }
    card.finish(pen)
}

/// What an older ally drew without a class cannot be judged any more.
fn class_of(view: &GateView) -> Class {
    view.risk.as_ref().map_or(Class::Unknown, |risk| risk.class)
}

/// It was allowed once and may have run: allowing it again can do it twice.
fn may_have_run(state: &GateShown) -> bool {
    matches!(state, GateShown::OpenAgain { .. })
}

fn template(state: &GateShown, class: Class) -> &'static str {
    match state {
        GateShown::Open | GateShown::OpenAgain { .. } if class.is_red() => "red",
        GateShown::Open | GateShown::OpenAgain { .. } => "orange",
        GateShown::VoidMayHaveRun { .. } => "red",
        GateShown::Decided { .. } | GateShown::Refused | GateShown::Withdrawn | GateShown::Void => "grey",
    }
}

fn tag(state: &GateShown) -> (CardMsg<'static>, &'static str) {
    match state {
        GateShown::Open | GateShown::OpenAgain { .. } => (CardMsg::TagOpen, "orange"),
        GateShown::Decided { decision: Decision::Allow | Decision::Network, .. } => (CardMsg::TagAllowed, "green"),
        GateShown::Decided { decision: Decision::Answers { answers }, .. } => {
            match answers.iter().any(|(_, words)| !words.is_empty()) {
                true => (CardMsg::TagAnswered, "green"),
                false => (CardMsg::TagSkipped, "neutral"),
            }
        }
        GateShown::Decided { .. } | GateShown::Refused => (CardMsg::TagDeclined, "neutral"),
        GateShown::Withdrawn => (CardMsg::TagWithdrawn, "neutral"),
        GateShown::Void => (CardMsg::TagVoid, "neutral"),
        GateShown::VoidMayHaveRun { .. } => (CardMsg::TagUnclear, "red"),
    }
}

// ------------------------------------------------------------------------------------------------ several at once

/// C4. A row shows the beginning of what is asked and folds the whole; nothing is allowed by a button under it that a
/// person could not have read.
pub(super) fn gates(view: &GatesView, pen: Pen) -> Value {
    let rows = &view.rows[..view.rows.len().min(MAX_GATE_ROWS)];
    let open: Vec<&GateRow> = rows.iter().filter(|row| row.state.is_open()).collect();
    let more = view.more + view.rows[rows.len()..].iter().filter(|row| row.state.is_open()).count();
    let n = open.len() + more;
    let worst = open.iter().map(|row| row.risk.class).max();
    let GatesView { requester, project, deciders, .. } = view;
    let summary = match n {
        0 => pen.say(CardMsg::GateSummaryOver { who: requester, tag: &pen.say(CardMsg::TagDecided) }),
        n => pen.say(CardMsg::GatesSummary { who: requester, n }),
    };
    let mut card = Card::new(&summary, false);
    let (title, tag, colour) = match n {
        0 => (CardMsg::GatesTitleOver { n: view.rows.len() }, CardMsg::TagDecided, "neutral"),
        _ => (CardMsg::GatesTitle { n }, CardMsg::GatesTagOpen { n }, "orange"),
    };
    let template = match worst {
        None => "grey",
        Some(class) if class.is_red() => "red",
        Some(_) => "orange",
    };
    card.header(&pen.say(title), Some(&format!("{requester} · {project}")), template, Some((&pen.say(tag), colour)));
    if n > 0 {
        card.mention(&view.mention);
        card.line(&clip(&pen.say(CardMsg::GatesWho { deciders }), 300));
    }
    let each = LIST_BYTES / rows.len().max(1);
    for (i, gate) in rows.iter().enumerate() {
        if i > 0 {
            card.rule();
        }
        list_row(&mut card, gate, each, pen);
    }
    if more > 0 {
        card.line(&pen.say(CardMsg::GatesMore { n: more }));
    }
    if let Some(first) = open.first() {
        if view.paused {
            card.line(&pen.say(CardMsg::GatePaused { at: pen.dated(first.opened_at_ms), names: deciders }));
        }
        card.rule();
        let numbers = view.low.iter().map(|n| format!("#{n}")).collect::<Vec<_>>().join(" ");
        let words = |role: &ButtonRole| match role {
            ButtonRole::AllowLow => pen.say(CardMsg::AllowLow { numbers: &numbers }),
            role => label(role, pen),
        };
        let drawn = view.buttons.iter().map(|b| card.button(b, &words(&b.role), None)).collect();
        card.rows(drawn);
        // What needs a second look is not decided in three letters.
        if let Some(n) = open.iter().find(|row| !row.risk.class.is_red() && !may_have_run(&row.state)) {
            let n = n.number;
            card.grey(&match view.direct {
                true => pen.say(CardMsg::HintGates { n }),
                false => pen.say(CardMsg::HintGatesGroup { bot: &view.bot_name, n }),
            });
        }
    }
    card.finish(pen)
}

/// Eight rows have to stay below the platform's 200 elements: what belongs together shares one.
fn list_row(card: &mut Card, gate: &GateRow, budget: usize, pen: Pen) {
    let sandbox = sandbox(&gate.ask, gate.risk.sandboxed);
    let kind = risk(gate.risk.class, pen.lang);
    let mut head = vec![format!("#{} {kind} · {}", gate.number, pen.say(sandbox))];
    let because = gate.risk.why.as_deref();
    head.extend(because.map(|words| pen.say(CardMsg::BecauseOf { words: &brief(words, ROW_TEXT_BYTES) })));
    let result = outcome(&gate.state, &gate.ask, gate.opened_at_ms, pen);
    head.extend(result.clone().filter(|_| gate.state.is_open()));
    card.line(&head.join("\n"));
    let asked = asked(&gate.ask);
    let (shown, cut) = shown(&asked, budget);
    let total = asked.chars().count();
    let lines = asked.lines().count();
    let is_short = !cut && lines <= 2 && total <= 160;
    let first = shown.lines().take(2).collect::<Vec<_>>().join("\n");
    let first = self::shown(&first, ROW_TEXT_BYTES).0;
    card.code(language(&gate.ask), &if is_short { narrow(shown) } else { format!("{}\n…", narrow(first)) });
    let mut facts = Vec::new();
    facts.extend(cut.then(|| pen.say(CardMsg::Cut { shown: shown.chars().count(), total })));
    facts.extend(
        directory(&gate.ask).map(|directory| pen.say(CardMsg::Where { directory: &brief(directory, ROW_TEXT_BYTES) })),
    );
    let needs_network = gate.state.is_open() && gate.risk.needs_network;
    facts.extend(needs_network.then(|| pen.say(CardMsg::NeedsNetwork)));
    facts.extend(gate.state.is_open().then(|| risk_why(gate.risk.class, pen.lang).to_owned()));
    let mut inside = Vec::new();
    inside.extend((!is_short).then(|| code_block(language(&gate.ask), shown)));
    inside.extend((!facts.is_empty()).then(|| div(&facts.join("\n"))));
    // The agent's words stand alone.
    if let Some(reason) = &gate.claim {
        inside.push(div(&pen.say(CardMsg::Claim { reason: &brief(reason, ROW_CLAIM_BYTES) })));
    }
    card.folded(&pen.say(if is_short { CardMsg::Details } else { CardMsg::Folded { lines, kind } }), inside);
    if let Some(result) = result.filter(|_| !gate.state.is_open()) {
        card.line(&result);
    }
    let careful = gate.risk.class.is_red() || cut || may_have_run(&gate.state);
    let number = gate.number;
    let drawn: Vec<Value> = ordered(&gate.buttons, careful)
        .into_iter()
        .map(|b| {
            let confirm = confirmed(b, &gate.ask, careful, number, pen);
            card.button(b, &format!("{} #{number}", button(&b.role, pen.lang)), confirm)
        })
        .collect();
    card.rows(drawn);
}

/// What is asked, as one text.
fn asked(ask: &Ask) -> String {
    match ask {
        Ask::Command { command, wanted, .. } => {
            std::iter::once(command).chain(wanted).cloned().collect::<Vec<_>>().join("\n")
        }
        // The files first: the beginning of this is all that stands open.
        Ask::FileChange { changes, .. } => {
            let files = changes.iter().map(change_line);
            files.chain(changes.iter().map(|change| change.diff.clone())).collect::<Vec<_>>().join("\n")
        }
        Ask::Permissions { wanted, .. } => wanted.join("\n"),
        Ask::Tool { server, tool, detail } => format!("{server} · {tool}\n{detail}").trim().to_owned(),
        Ask::Questions { .. } => String::new(),
    }
}

fn language(ask: &Ask) -> &'static str {
    match ask {
        Ask::Command { .. } => "bash",
        Ask::FileChange { .. } => "diff",
        Ask::Permissions { .. } | Ask::Tool { .. } | Ask::Questions { .. } => "",
    }
}

fn directory(ask: &Ask) -> Option<&str> {
    match ask {
        Ask::Command { directory, .. } | Ask::FileChange { directory, .. } | Ask::Permissions { directory, .. } => {
            Some(directory)
        }
        Ask::Tool { .. } | Ask::Questions { .. } => None,
    }
}

// ------------------------------------------------------------------------------------------------ parts

/// Shows what is asked; tells whether any of it had to be left out.
fn what(card: &mut Card, ask: &Ask, kind: &str, pen: Pen) -> bool {
    match ask {
        Ask::FileChange { changes, .. } => changes_list(card, changes, kind, pen),
        Ask::Command { command, wanted, .. } => {
            let cut = code(card, "bash", command, kind, pen);
            (!wanted.is_empty() && code(card, "", &wanted.join("\n"), kind, pen)) || cut
        }
        Ask::Questions { .. } => false,
        other => code(card, language(other), &asked(other), kind, pen),
    }
}

/// Up to eight lines stand open, more are folded with their count and the class of the whole.
fn code(card: &mut Card, language: &str, text: &str, kind: &str, pen: Pen) -> bool {
    let (shown, cut) = shown(text, SHOWN_BYTES);
    let total = text.chars().count();
    let lines = text.lines().count();
    if total <= OPEN_CHARS && narrow(shown).lines().count() <= OPEN_LINES {
        card.code(language, &narrow(shown));
    } else {
        let head = clip(&shown.lines().take(3).collect::<Vec<_>>().join("\n"), 300);
        card.code(language, &format!("{}\n…", narrow(&head)));
        card.folded(&pen.say(CardMsg::Folded { lines, kind }), vec![code_block(language, shown)]);
    }
    if cut {
        card.coloured(&pen.say(CardMsg::Cut { shown: shown.chars().count(), total }), "red");
    }
    cut
}

/// Lines that a phone shows whole: code does not wrap there, and what stands beyond its edge is not seen. The sign says
/// that a line goes on.
fn narrow(code: &str) -> String {
    let code = safe::visible(code);
    let mut out = String::with_capacity(code.len());
    for (n, line) in code.lines().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        let mut used = 0;
        for word in line.split_inclusive([' ', '/', ',']) {
            let wide: usize = word.chars().map(columns).sum();
            if used > 3 && used + wide > OPEN_COLUMNS && wide <= OPEN_COLUMNS / 2 {
                out.push_str("\n↳ ");
                used = 3;
            }
            for c in word.chars() {
                if used + columns(c) > OPEN_COLUMNS {
                    out.push_str("\n↳ ");
                    used = 3;
                }
                out.push(c);
                used += columns(c);
            }
        }
    }
    out
}

/// About as many as it takes in a monospaced font.
fn columns(c: char) -> usize {
    match c {
        '\t' => 4,
        c if u32::from(c) < 0x1100 => 1,
        _ => 2,
    }
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

fn changes_list(card: &mut Card, changes: &[Change], kind: &str, pen: Pen) -> bool {
    let rows: Vec<String> = changes.iter().take(MAX_FILES).map(change_line).collect();
    match narrow(&rows.join("\n")) {
        open if open.lines().count() <= OPEN_LINES => card.code("", &open),
        open => {
            let first: Vec<&str> = open.lines().take(3).collect();
            card.code("", &format!("{}\n…", first.join("\n")));
            let title = pen.say(CardMsg::FoldedFiles { n: rows.len(), kind });
            card.folded(&title, vec![code_block("", &rows.join("\n"))]);
        }
    }
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
    if changes.len() > MAX_DIFFS {
        card.coloured(&pen.say(CardMsg::MoreDiffs { n: MAX_DIFFS }), "red");
    }
    cut || changes.len() > MAX_DIFFS
}

fn change_line(change: &Change) -> String {
    let count = |sign: char, marker: &str| {
        change.diff.lines().filter(|line| line.starts_with(sign) && !line.starts_with(marker)).count()
    };
    let mark = match change.kind.as_str() {
        "add" => "A",
        "delete" => "D",
        "move" => "→",
        _ => "M",
    };
    format!("{mark} {}  +{} −{}", clip(&one_line(&change.path), 120), count('+', "+++"), count('-', "---"))
}

fn place(card: &mut Card, ask: &Ask, risk: Option<&RiskShown>, pen: Pen) {
    let Some(directory) = directory(ask) else { return };
    let mut parts = vec![pen.say(CardMsg::Where { directory: &clip(&one_line(directory), 200) })];
    if let Ask::Command { outside_sandbox, network, .. } = ask {
        let outside = risk.map_or(*outside_sandbox, |risk| !risk.sandboxed);
        parts.push(pen.say(sandbox(ask, !outside)));
        parts.extend(network.then(|| pen.say(CardMsg::UsesNetwork)));
    }
    card.line(&parts.join(" · "));
}

/// The line that says what became of it.
fn result(view: &GateView, pen: Pen) -> Option<String> {
    match &view.state {
        GateShown::Decided { who, at_ms, decision: Decision::Answers { answers }, .. } => {
            Some(answers_line(view, who, answers, *at_ms, pen))
        }
        state => outcome(state, &view.ask, view.opened_at_ms, pen),
    }
}

fn outcome(state: &GateShown, ask: &Ask, opened_at_ms: i64, pen: Pen) -> Option<String> {
    Some(match state {
        GateShown::Open => return None,
        GateShown::OpenAgain { who, at_ms } => pen.say(CardMsg::GateOpenAgain { who, at: pen.dated(*at_ms) }),
        GateShown::Refused => pen.say(CardMsg::GateRefused),
        GateShown::Withdrawn => pen.say(CardMsg::GateWithdrawn),
        GateShown::Void => pen.say(CardMsg::GateVoid),
        GateShown::VoidMayHaveRun { who } => pen.say(CardMsg::GateVoidMayHaveRun { who }),
        GateShown::Decided { who, at_ms, decision, rule } => {
            let at = pen.near(*at_ms, opened_at_ms);
            match (decision, rule) {
                (Decision::Allow, None) if is_network(ask) => pen.say(CardMsg::GateNetworkGranted { who, at }),
                (Decision::Allow, None) => pen.say(CardMsg::GateAllowed { who, at }),
                (Decision::Allow, Some(rule)) if rule.applied => {
                    pen.say(CardMsg::GateByRule { who, at: pen.dated(rule.made_at_ms), rule: rule.number })
                }
                (Decision::Allow, Some(rule)) => pen.say(match rule.span {
                    Span::Task => CardMsg::GateAllowedTask { who, at },
                    Span::Hours => CardMsg::GateAllowedHours { who, at },
                    Span::Always => CardMsg::GateAllowedAlways { who, at, rule: rule.number },
                }),
                (Decision::Decline { reason: Some(reason) }, _) => {
                    pen.say(CardMsg::GateDeclinedWhy { who, at, reason: &clip(&one_line(reason), 200) })
                }
                (Decision::Decline { reason: None }, _) => pen.say(CardMsg::GateDeclined { who, at }),
                (Decision::Network, _) => pen.say(CardMsg::GateNetwork { who, at }),
                (Decision::StopTurn, _) => pen.say(CardMsg::GateStopped { who, at }),
                (Decision::Answers { .. }, _) => return None,
            }
        }
    })
}

/// What is asked once more before a button does what it says.
fn confirmed(b: &Button, ask: &Ask, careful: bool, number: i64, pen: Pen) -> Option<(String, String)> {
    let text = match b.role {
        ButtonRole::AllowNetwork if is_network(ask) => CardMsg::ConfirmNetwork,
        ButtonRole::AllowNetwork => CardMsg::ConfirmNetworkGoesOn,
        ButtonRole::Allow | ButtonRole::AllowNumber(_) if careful => return Some(sure(number, ask, pen)),
        _ => return None,
    };
    Some((pen.say(CardMsg::ConfirmTitle), pen.say(text)))
}

/// The request is for the network itself.
fn is_network(ask: &Ask) -> bool {
    matches!(ask, Ask::Permissions { network_only: true, .. })
}

/// The thumb's first button does nothing dangerous.
fn ordered(buttons: &[Button], red: bool) -> Vec<&Button> {
    let mut buttons: Vec<&Button> = buttons.iter().collect();
    if red {
        buttons.sort_by_key(|b| matches!(b.role, ButtonRole::Allow | ButtonRole::AllowNumber(_)));
    }
    // What opens most comes last.
    buttons.sort_by_key(|b| b.role == ButtonRole::AllowNetwork);
    buttons
}

/// The second look: what it was about, as far as it has room.
fn sure(number: i64, ask: &Ask, pen: Pen) -> (String, String) {
    let what = brief(&asked(ask), SURE_BYTES);
    (pen.say(CardMsg::ConfirmTitle), pen.say(CardMsg::ConfirmAllow { number, what: &what }))
}

/// Where declining stands beside it, a bare "stop" would not say what stops.
fn label(role: &ButtonRole, pen: Pen) -> String {
    match role {
        ButtonRole::Stop => pen.say(CardMsg::StopTask),
        role => button(role, pen.lang).to_owned(),
    }
}

fn decide_buttons(card: &mut Card, view: &GateView, red: bool, pen: Pen) {
    let number = view.number;
    let is_more = |b: &&Button| matches!(b.role, ButtonRole::AllowFor(_) | ButtonRole::DeclineWhy);
    let (more, first): (Vec<&Button>, Vec<&Button>) = ordered(&view.buttons, red).into_iter().partition(is_more);
    let drawn = first
        .into_iter()
        .map(|b| {
            let confirm = confirmed(b, &view.ask, red, number, pen);
            card.button(b, &label(&b.role, pen), confirm)
        })
        .collect();
    card.rows(drawn);
    let spans: Vec<Value> = more
        .iter()
        .filter(|b| !red && matches!(b.role, ButtonRole::AllowFor(_)))
        .map(|b| {
            let rule = view.rule.as_ref().filter(|_| b.role == ButtonRole::AllowFor(Span::Always));
            let confirm = rule.map(|rule| (pen.say(CardMsg::RuleConfirm), rule_words(rule, pen)));
            card.calm_button(b, button(&b.role, pen.lang), confirm)
        })
        .collect();
    if !spans.is_empty() {
        let rows = spans.chunks(2).map(|pair| row(pair.iter().map(|b| vec![b.clone()]).collect())).collect();
        card.folded(&pen.say(CardMsg::More), rows);
    }
    if let Some(why) = more.iter().find(|b| b.role == ButtonRole::DeclineWhy) {
        let form = reason_form(card, why, pen);
        card.raw(form);
    }
}

fn rule_words(rule: &RuleOffer, pen: Pen) -> String {
    let (directory, at) = (rule.directory.as_str(), pen.dated(rule.until_ms));
    match &rule.subject {
        Subject::Files => pen.say(CardMsg::RuleFiles { directory, at }),
        Subject::Line { .. } => pen.say(CardMsg::RuleLine { directory, at }),
        Subject::Leading { words } => {
            pen.say(CardMsg::RuleCommand { directory, words: &clip(&words.join(" "), 120), at })
        }
    }
}

/// Forms cannot stand in a folded panel: one line, and the button that sends it.
fn reason_form(card: &mut Card, b: &Button, pen: Pen) -> Value {
    let input = json!({
        "tag": "input", "name": "reason", "max_length": 300, "placeholder": plain(&pen.say(CardMsg::Reason)), "width": "fill",
    });
    let send = card.submit(b, button(&b.role, pen.lang), "default");
    json!({"tag": "form", "name": card.name(), "elements": [input, send]})
}

fn hint(view: &GateView, pen: Pen) -> String {
    match view.direct {
        true => pen.say(CardMsg::HintDirect),
        false => pen.say(CardMsg::HintGroup { bot: &view.bot_name, number: view.number }),
    }
}

/// In one line, as much as takes so many bytes in a request.
fn brief(text: &str, bytes: usize) -> String {
    let line = one_line(text);
    match shown(&line, bytes) {
        (all, false) => all.to_owned(),
        (part, true) => format!("{part}…"),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// ------------------------------------------------------------------------------------------------ questions

fn question_card(view: &GateView, questions: &[Question], pen: Pen) -> Value {
    let open = view.state.is_open();
    let (tag, colour) = match open {
        true => (CardMsg::TagQuestion, "orange"),
        false => tag(&view.state),
    };
    let tag = pen.say(tag);
    let who = &view.requester;
    let summary = match open {
        true => CardMsg::QuestionSummary { who },
        false => CardMsg::QuestionSummaryOver { who, tag: &tag },
    };
    let mut card = Card::new(&pen.say(summary), false);
    let sub = format!("{} · {}", view.requester, view.project);
    let title = pen.say(CardMsg::QuestionTitle { number: view.number });
    card.header(&title, Some(&sub), if open { "blue" } else { "grey" }, Some((&tag, colour)));
    if open {
        card.mention(&view.mention);
    }
    let of = questions.len();
    let questions = fitting(questions);
    // Several stand in the form, each over its own fields.
    if !open || of == 1 {
        for (i, question) in questions.iter().enumerate() {
            question_text(question, (i + 1, of), pen).into_iter().for_each(|element| card.raw(element));
        }
    }
    if let Some(result) = result(view, pen) {
        card.line(&result);
    }
    if open {
        answer_controls(&mut card, view, questions, of, pen);
    }
    if questions.len() < of {
        card.coloured(&pen.say(CardMsg::MoreQuestions { n: of - questions.len() }), "red");
    }
    card.finish(pen)
}

/// What is asked, and what its options mean.
fn question_text(question: &Question, (n, of): (usize, usize), pen: Pen) -> Vec<Value> {
    let place = if of > 1 { pen.say(CardMsg::QuestionOf { n, of }) } else { String::new() };
    let explained = question.options.iter().take(MAX_OPTIONS).enumerate();
    let explained =
        explained.filter(|(_, option)| !option.description.is_empty() && option.description != option.label);
    let options = explained.map(|(n, option)| {
        grey(&format!("{} {} — {}", n + 1, clip(&option.label, 60), clip(&option.description, 200)))
    });
    [div(&format!("{place}{}", clip(&question.text, 1_500)))].into_iter().chain(options).collect()
}

/// As many questions as one card takes.
fn fitting(questions: &[Question]) -> &[Question] {
    let mut used = 0;
    let fit = questions.iter().take_while(|question| {
        // An option is an entry of the list and, with its description, a line.
        used += 12 + 3 * question.options.len().min(MAX_OPTIONS);
        used <= QUESTION_ELEMENTS
    });
    &questions[..fit.count().max(1).min(questions.len())]
}

fn answer_controls(card: &mut Card, view: &GateView, questions: &[Question], of: usize, pen: Pen) {
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
        let form = form(card, view.number, questions, (by_button, of), submit, pen);
        card.raw(form);
    }
    let others = view.buttons.iter().filter(|b| !matches!(b.role, ButtonRole::Option(_) | ButtonRole::Submit));
    let drawn = others.map(|b| card.button(b, &label(&b.role, pen), None)).collect();
    card.rows(drawn);
    // A number is an answer wherever there is one list of options.
    if of == 1 && questions.iter().any(|question| !question.options.is_empty()) {
        card.grey(&match view.direct {
            true => pen.say(CardMsg::QuestionHint { number: view.number }),
            false => pen.say(CardMsg::QuestionHintGroup { bot: &view.bot_name }),
        });
    }
}

/// Fields are named `q0`, `q1` … (the choice) and `t0`, `t1` … (the words), by the question's place.
fn form(
    card: &mut Card,
    number: i64,
    questions: &[Question],
    (by_button, of): (bool, usize),
    submit: &Button,
    pen: Pen,
) -> Value {
    let mut elements = Vec::new();
    for (i, question) in questions.iter().enumerate() {
        if of > 1 {
            elements.extend(question_text(question, (i + 1, of), pen));
        }
        if question.secret {
            elements.push(grey(&pen.say(CardMsg::SecretNote { number })));
        }
        if !question.options.is_empty() && !by_button {
            let options: Vec<Value> = question
                .options
                .iter()
                .take(MAX_OPTIONS)
                .enumerate()
                .map(|(n, option)| {
                    json!({"text": plain(&clip(&format!("{} {}", n + 1, option.label), 60)), "value": n.to_string()})
                })
                .collect();
            let placeholder = plain(&pen.say(CardMsg::Choose));
            elements.push(json!({
                "tag": "select_static", "name": format!("q{i}"), "placeholder": placeholder, "options": options,
            }));
        }
        if question.free_text || question.options.is_empty() {
            // Under options it has to say that it is another way; alone it stands under its question.
            let words = if question.options.is_empty() { CardMsg::WriteAnswer } else { CardMsg::OwnWords };
            elements.push(json!({
                "tag": "input", "name": format!("t{i}"), "input_type": if question.secret { "password" } else { "text" },
                "max_length": 1000, "placeholder": plain(&pen.say(words)), "width": "fill",
            }));
        }
    }
    elements.push(card.submit(submit, button(&submit.role, pen.lang), "primary"));
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
    let at = pen.near(at_ms, view.opened_at_ms);
    match given.is_empty() {
        true => pen.say(CardMsg::Skipped { who, at }),
        false => pen.say(CardMsg::Answered { who, answer: &given.join(" / "), at }),
    }
}
