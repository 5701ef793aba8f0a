//! C1, C6, C7 and C15: a turn under way, a turn cut off, the queue, an old message.

use serde_json::Value;

use super::Pen;
use super::elements::{Card, clip, code_block, div};
use crate::domain::view::{
    Background, Button, ButtonRole, InterruptedView, LiveState, LiveView, QueueRow, QueueRowState, QueueView,
    StaleView, Step, StepState, WaitReason,
};
use crate::words::{CardMsg, Span, button, card::step_verb, card::step_verb_past};

const MAX_STEPS: usize = 40;
const MAX_ROWS: usize = 12;

// ------------------------------------------------------------------------------------------------ C1

pub(super) fn live(view: &LiveView, pen: Pen) -> Value {
    let LiveView { requester: who, project, .. } = view;
    let (tag, colour, template) = live_tag(&view.state);
    let summary = match &view.state {
        LiveState::Running => CardMsg::LiveSummary { who },
        _ => CardMsg::LiveSummaryEnded { who, tag: &pen.say(tag) },
    };
    let mut card = Card::new(&pen.say(summary), true);
    let at = pen.at(view.started_at_ms);
    let title = clip(&view.title, 24);
    let sub = pen.say(CardMsg::LiveSub { who, project, at });
    card.header(if title.is_empty() { project } else { &title }, Some(&sub), template, Some((&pen.say(tag), colour)));
    match &view.state {
        LiveState::Running | LiveState::Waiting { .. } | LiveState::Paused { .. } => running(&mut card, view, pen),
        ended => {
            card.line(&end_line(ended, view, pen));
            fold_steps(&mut card, &view.steps, pen);
        }
    }
    card.finish(pen)
}

fn live_tag(state: &LiveState) -> (CardMsg<'static>, &'static str, &'static str) {
    match state {
        LiveState::Running => (CardMsg::TagRunning, "blue", "wathet"),
        LiveState::Waiting { .. } => (CardMsg::TagWaiting, "orange", "wathet"),
        LiveState::Paused { .. } => (CardMsg::TagPaused, "orange", "wathet"),
        LiveState::Done { .. } => (CardMsg::TagDone, "green", "grey"),
        LiveState::Stopped { .. } => (CardMsg::TagStopped, "neutral", "grey"),
        LiveState::Failed => (CardMsg::TagFailed, "red", "grey"),
        LiveState::Interrupted => (CardMsg::TagInterrupted, "red", "grey"),
        LiveState::Merged => (CardMsg::TagMerged, "neutral", "grey"),
        LiveState::GoesOn { .. } => (CardMsg::TagGoesOn, "neutral", "grey"),
    }
}

fn running(card: &mut Card, view: &LiveView, pen: Pen) {
    let (earlier, current) = match view.steps.split_last() {
        Some((last, earlier)) if last.state == StepState::Running => (earlier, Some(last)),
        _ => (view.steps.as_slice(), None),
    };
    if let Some(step) = current {
        let n = earlier.len() + 1;
        let verb = step_verb(step.what, pen.lang);
        let object = clip(&step.object, 60);
        card.line(&pen.say(CardMsg::Step {
            n,
            verb,
            object: &object,
            at: pen.near(step.started_at_ms, view.started_at_ms),
        }));
    }
    if view.steps.is_empty() {
        card.line(&pen.say(CardMsg::NoStepYet));
    }
    fold_steps(card, earlier, pen);
    if !view.draft.trim().is_empty() {
        card.rule();
        card.line(view.draft.trim());
        card.grey(&pen.say(CardMsg::DraftNote));
    }
    if let Some(since) = view.unreachable_since_ms {
        card.coloured(&pen.say(CardMsg::Unreachable { at: pen.at(since) }), "red");
    }
    if let LiveState::Waiting { number, names } = &view.state {
        card.line(&pen.say(CardMsg::LiveWaiting { number: *number, names }));
    }
    if let LiveState::Paused { why } = &view.state {
        card.line(&format!("⏸ {why}"));
    }
    if let Some(stop) = &view.stop {
        card.buttons(std::slice::from_ref(stop), pen);
    }
}

fn end_line(state: &LiveState, view: &LiveView, pen: Pen) -> String {
    let steps = view.steps.len();
    match state {
        LiveState::Done { duration_ms, tokens } => {
            let span = &Span { ms: *duration_ms, lang: pen.lang }.to_string();
            match tokens.filter(|_| view.direct && steps > 0) {
                Some(tokens) => {
                    let steps = &count(steps, pen);
                    pen.say(CardMsg::LiveDoneTokens { steps, span, tokens: &short_count(tokens) })
                }
                None if steps == 0 => pen.say(CardMsg::LiveDoneAtOnce { span }),
                None => pen.say(CardMsg::LiveDone { steps: &count(steps, pen), span }),
            }
        }
        LiveState::Stopped { by: who, background } => pen.say(match background {
            Background::None => CardMsg::LiveStopped { who },
            Background::Ended => CardMsg::LiveStoppedEnded { who },
            Background::MayRunOn => CardMsg::LiveStoppedMayRunOn { who },
        }),
        LiveState::Failed => pen.say(CardMsg::LiveFailed),
        LiveState::Interrupted => pen.say(CardMsg::LiveInterrupted),
        LiveState::Merged => pen.say(CardMsg::LiveMerged),
        LiveState::GoesOn { by } => pen.say(CardMsg::LiveGoesOn { who: by }),
        LiveState::Running | LiveState::Waiting { .. } | LiveState::Paused { .. } => String::new(),
    }
}

fn count(steps: usize, pen: Pen) -> String {
    match steps {
        1 => pen.say(CardMsg::OneStep),
        n => pen.say(CardMsg::Steps { n }),
    }
}

/// `950`, `12.3 k`, `1.8 M`.
fn short_count(n: i64) -> String {
    match n {
        ..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}.{} k", n / 1_000, n % 1_000 / 100),
        _ => format!("{}.{} M", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

fn fold_steps(card: &mut Card, steps: &[Step], pen: Pen) {
    if steps.is_empty() {
        return;
    }
    let hidden = steps.len().saturating_sub(MAX_STEPS);
    let mut lines: Vec<String> = steps[hidden..].iter().map(|step| step_line(step, pen)).collect();
    if hidden > 0 {
        lines.insert(0, pen.say(CardMsg::MoreSteps { n: hidden }));
    }
    let title = match steps.len() {
        1 => CardMsg::FirstStep,
        n => CardMsg::EarlierSteps { n },
    };
    card.folded(&pen.say(title), vec![div(&lines.join("\n"))]);
}

fn step_line(step: &Step, pen: Pen) -> String {
    let mark = match step.state {
        StepState::Ok => "✓",
        StepState::Failed => "✕",
        StepState::Running => "?",
    };
    let verb = match step.state {
        StepState::Running => step_verb(step.what, pen.lang),
        StepState::Ok | StepState::Failed => step_verb_past(step.what, pen.lang),
    };
    format!("{mark} {verb} {}", clip(&step.object, 60).replace('\n', " "))
}

// ------------------------------------------------------------------------------------------------ C6

pub(super) fn interrupted(view: &InterruptedView, pen: Pen) -> Value {
    let mut card = Card::new(&pen.say(CardMsg::InterruptedSummary { who: &view.requester }), false);
    // The card comes when ally is back, which may be days later.
    let at = pen.dated(view.at_ms);
    let (title, body) = match view.shutdown {
        true => (CardMsg::ShutdownTitle, CardMsg::ShutdownBody { at }),
        false => (CardMsg::InterruptedTitle, CardMsg::InterruptedBody { at }),
    };
    // Red asks for somebody; once somebody chose, it asks no more.
    let (template, tag, colour) = match (view.shutdown, &view.chosen) {
        (_, Some(_)) => ("grey", CardMsg::TagDecided, "neutral"),
        (true, None) => ("grey", CardMsg::TagOpen, "red"),
        (false, None) => ("red", CardMsg::TagOpen, "red"),
    };
    card.header(&pen.say(title), Some(&view.requester), template, Some((&pen.say(tag), colour)));
    if view.chosen.is_none() {
        card.mention(view.mention.as_slice());
    }
    card.line(&pen.say(body));
    certain(&mut card, view, pen);
    uncertain(&mut card, view, pen);
    if let Some(partial) = view.partial.as_deref().filter(|text| !text.trim().is_empty()) {
        card.folded(&pen.say(CardMsg::PartialNote), vec![div(&clip(partial.trim(), 1_500))]);
    }
    if !view.steers.is_empty() {
        let steers: Vec<String> = view.steers.iter().take(10).map(|text| format!("· {}", clip(text, 200))).collect();
        card.line(&format!("{}\n{}", pen.say(CardMsg::SteersNote), steers.join("\n")));
    }
    choice(&mut card, &view.buttons, view.chosen.as_ref(), pen);
    if view.chosen.is_none() {
        let has = |role: &ButtonRole| view.buttons.iter().any(|b| b.role == *role);
        if has(&ButtonRole::StartFresh) {
            card.grey(&pen.say(CardMsg::HintStartFresh));
        } else if has(&ButtonRole::Continue) {
            card.grey(&pen.say(CardMsg::HintContinue));
        }
    }
    card.finish(pen)
}

fn certain(card: &mut Card, view: &InterruptedView, pen: Pen) {
    match view.certain.len() {
        0 => card.line(&pen.say(CardMsg::CertainNoSteps)),
        n => {
            card.line(&pen.say(if n == 1 { CardMsg::CertainFirstStep } else { CardMsg::CertainSteps { n } }));
            fold_steps(card, &view.certain, pen);
        }
    }
}

fn uncertain(card: &mut Card, view: &InterruptedView, pen: Pen) {
    if view.history_gone {
        card.line(&pen.say(CardMsg::HistoryGone));
    }
    match view.uncertain.as_slice() {
        [] if view.history_gone => {}
        [] => card.line(&pen.say(CardMsg::NoChangeSeen)),
        [step] => {
            let n = view.certain.len() + 1;
            card.line(&pen.say(CardMsg::UncertainCommand { n, object: &clip(&step.object, 60).replace('\n', " ") }));
        }
        steps => {
            card.line(&pen.say(CardMsg::UncertainSteps { n: steps.len() }));
            let lines: Vec<String> = steps.iter().take(MAX_STEPS).map(|step| step_line(step, pen)).collect();
            card.raw(code_block("", &lines.join("\n")));
        }
    }
    if !view.uncertain.is_empty() {
        card.line(&pen.say(if view.commands_ended { CardMsg::CommandsEnded } else { CardMsg::CommandsMayRunOn }));
    }
}

/// The buttons, or what was chosen and by whom.
fn choice(card: &mut Card, buttons: &[Button], chosen: Option<&(ButtonRole, String)>, pen: Pen) {
    match chosen {
        Some((role, who)) => card.line(&pen.say(CardMsg::Chosen { who, what: button(role, pen.lang) })),
        None => card.buttons(buttons, pen),
    }
}

// ------------------------------------------------------------------------------------------------ C7

pub(super) fn queue(view: &QueueView, pen: Pen) -> Value {
    let waits = |row: &&QueueRow| matches!(row.state, QueueRowState::Waiting | QueueRowState::BackToQueue);
    let n = view.rows.iter().filter(waits).count();
    let (summary, title) = match n {
        0 => (CardMsg::QueueTitleOver, CardMsg::QueueTitleOver),
        n => (CardMsg::QueueSummary, CardMsg::QueueTitle { n }),
    };
    let mut card = Card::new(&pen.say(summary), true);
    card.header(&pen.say(title), None, "grey", None);
    if n > 0 {
        card.line(&wait_reason(&view.why, pen));
    }
    for (i, row) in view.rows.iter().take(MAX_ROWS).enumerate() {
        queue_row(&mut card, i + 1, row, pen);
    }
    if view.rows.len() > MAX_ROWS {
        card.grey(&pen.say(CardMsg::MoreRows { n: view.rows.len() - MAX_ROWS }));
    }
    card.finish(pen)
}

fn queue_row(card: &mut Card, n: usize, view: &QueueRow, pen: Pen) {
    let text = clip(&view.text.replace('\n', " "), 20);
    let line = pen.say(CardMsg::QueueRow { n, who: &view.who, text: &text });
    let state = match &view.state {
        QueueRowState::Waiting => None,
        QueueRowState::Started => Some(CardMsg::RowStarted),
        QueueRowState::Steered => Some(CardMsg::RowSteered),
        QueueRowState::BackToQueue => Some(CardMsg::RowBackToQueue),
        QueueRowState::Cancelled { by } => Some(CardMsg::RowCancelled { who: by }),
    };
    card.line(&match state {
        Some(state) => format!("{line} — {}", pen.say(state)),
        None => line,
    });
    if matches!(view.state, QueueRowState::Waiting | QueueRowState::BackToQueue) {
        let buttons: Vec<Button> = view.steer.iter().chain(&view.cancel).cloned().collect();
        card.buttons(&buttons, pen);
    }
}

fn wait_reason(why: &WaitReason, pen: Pen) -> String {
    pen.say(match why {
        WaitReason::Turn { who, since_ms } => CardMsg::BehindTurn { who, at: pen.at(*since_ms) },
        WaitReason::Gate { number, names } => CardMsg::BehindGate { number: *number, names },
        WaitReason::Directory => CardMsg::BehindDirectory,
        WaitReason::Limit => CardMsg::BehindLimit,
        WaitReason::RuntimeRestarting => CardMsg::BehindRestart,
        WaitReason::Held => CardMsg::BehindHeld,
        WaitReason::Elsewhere => CardMsg::BehindElsewhere,
        WaitReason::RuntimeTrouble { text } => return text.clone(),
    })
}

// ------------------------------------------------------------------------------------------------ C15

pub(super) fn stale(view: &StaleView, pen: Pen) -> Value {
    let at = pen.dated(view.sent_at_ms);
    let (summary, line) = match view.chosen {
        None => (CardMsg::StaleSummary, CardMsg::StaleAsk { at }),
        Some(_) => (CardMsg::StaleSummaryOver, CardMsg::StaleWas { at }),
    };
    let mut card = Card::new(&pen.say(summary), false);
    card.line(&pen.say(line));
    card.grey(&clip(&view.text, 40));
    if view.others > 0 && view.chosen.is_none() {
        card.grey(&pen.say(CardMsg::StaleOthers { n: view.others }));
    }
    choice(&mut card, &view.buttons, view.chosen.as_ref(), pen);
    card.finish(pen)
}
