//! What a view or an answer looks like in Feishu: card JSON 2.0, posts and texts. Pure.
//!
//! Text that comes from people, agents or the machine stands only in `plain_text` or in fenced code; Markdown that we
//! compose holds nothing foreign but mentions with a checked id. Buttons carry `{"b": id}` and nothing else.

mod answer;
mod elements;
pub mod gallery;
mod gate;
mod safe;
mod turn;

use chrono::{Local, Offset, TimeZone};
use serde_json::{Value, json};

use crate::domain::view::{
    HelpView, Lang, ListView, MAX_LIST_ROWS, NoticeView, SettingsView, StatusView, StrangerView, View,
};
use crate::words::{At, CardMsg, CommandMsg, Zone, button, setting, setting_value};
use elements::{Card, div, plain};

pub use answer::{Rendered, answer};

/// Draws a view as a full card.
pub fn card(view: &View, lang: Lang) -> Value {
    draw(view, Pen { lang, zone: machine_zone })
}

/// How things are written down: the language, and the zone for an instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pen {
    lang: Lang,
    zone: fn(i64) -> Zone,
}

impl Pen {
    fn say(self, msg: CardMsg<'_>) -> String {
        msg.text(self.lang)
    }

    /// The time of day of something that happened on the day of the card.
    fn at(self, ms: i64) -> At {
        At::hhmm(ms, (self.zone)(ms))
    }

    /// With its day, if that is not the day of `begun_ms`, when the card began.
    fn near(self, ms: i64, begun_ms: i64) -> At {
        At::new(ms, (self.zone)(ms), begun_ms)
    }

    /// With its day: the card is read on another one.
    fn dated(self, ms: i64) -> At {
        At::new(ms, (self.zone)(ms), i64::MIN / 2)
    }
}

/// The machine's offset at an instant. No clock is read.
fn machine_zone(ms: i64) -> Zone {
    let offset = Local.timestamp_millis_opt(ms).single().map_or(0, |at| at.offset().fix().local_minus_utc());
    Zone(offset / 60)
}

fn draw(view: &View, pen: Pen) -> Value {
    match view {
        View::Live(view) => turn::live(view, pen),
        View::Gate(view) => gate::gate(view, pen),
        View::Gates(view) => gate::gates(view, pen),
        View::Interrupted(view) => turn::interrupted(view, pen),
        View::Queue(view) => turn::queue(view, pen),
        View::Stale(view) => turn::stale(view, pen),
        View::Status(view) => status(view, pen),
        View::Help(view) => help(view, pen),
        View::Stranger(view) => stranger(view, pen),
        View::Settings(view) => settings(view, pen),
        View::Notice(view) => notice(view, pen),
        View::List(view) => list(view, pen),
    }
}

fn status(view: &StatusView, pen: Pen) -> Value {
    let mut card = Card::new(&pen.say(CardMsg::StatusSummary), false);
    let arrived = view.undelivered.is_none_or(|(n, _)| n == 0);
    let well = view.channel_ok && view.runtime_ok && view.warnings.is_empty() && arrived;
    let (tag, colour) = if well { (CardMsg::TagWell, "green") } else { (CardMsg::TagTrouble, "red") };
    card.header(&pen.say(CardMsg::StatusTitle), Some(&view.project), "grey", Some((&pen.say(tag), colour)));
    let StatusView { running, waiting, queued, .. } = *view;
    card.line(&pen.say(CardMsg::StatusWork { running, waiting, queued }));
    let channel = match (view.channel_ok, view.last_frame_ms) {
        (true, Some(ms)) => CardMsg::StatusChannelOk { at: pen.at(ms) },
        (true, None) => CardMsg::StatusChannelOkQuiet,
        (false, _) => CardMsg::StatusChannelBad,
    };
    let runtime = match view.runtime_ok {
        true => CardMsg::StatusRuntimeOk { runtime: &view.runtime },
        false => CardMsg::StatusRuntimeBad { runtime: &view.runtime },
    };
    card.line(&pen.say(channel));
    card.line(&pen.say(runtime));
    card.line(&pen.say(CardMsg::StatusToday { n: view.today }));
    match view.undelivered {
        Some((n, Some(at))) => card.line(&pen.say(CardMsg::StatusUndeliveredSince { n, at: pen.dated(at) })),
        Some((n, None)) if n > 0 => card.line(&pen.say(CardMsg::StatusUndelivered { n })),
        _ => {}
    }
    for warning in view.warnings.iter().take(12) {
        card.coloured(&pen.say(CardMsg::Warning { text: warning }), "red");
    }
    card.finish(pen)
}

fn help(view: &HelpView, pen: Pen) -> Value {
    let mut card = Card::new(&pen.say(CardMsg::HelpSummary), true);
    card.header(&pen.say(CardMsg::HelpTitle), None, "grey", None);
    let HelpView { project, bot_name: bot, .. } = view;
    let (how, gates) = match view.group {
        true => (CommandMsg::HelpGroup { project, bot }, CommandMsg::HelpGatesGroup { bot }),
        false => (CommandMsg::HelpDirect { project }, CommandMsg::HelpGates),
    };
    let say = |msg: CommandMsg<'_>| msg.text(pen.lang).replace('`', "");
    card.line(&say(how));
    // A list on a phone is read down, not across.
    card.line(&say(CommandMsg::HelpCommands).replace(" · ", "\n"));
    for msg in [gates, CommandMsg::HelpOwner, CommandMsg::HelpMore] {
        card.line(&say(msg));
    }
    card.finish(pen)
}

/// C9. What is not the asker's to change stands there as words.
fn settings(view: &SettingsView, pen: Pen) -> Value {
    let mut card = Card::new(&pen.say(CardMsg::SettingsSummary), false);
    card.header(&pen.say(CardMsg::SettingsTitle), Some(&view.project), "grey", None);
    let mut form = Vec::new();
    for row in &view.rows {
        let (name, value) = (setting(row.setting, pen.lang), setting_value(row.setting, &row.value, pen.lang));
        if row.choices.is_empty() || view.save.is_none() {
            card.line(&pen.say(CardMsg::SettingLine { name, value: &value }));
            continue;
        }
        let options: Vec<Value> = row
            .choices
            .iter()
            .map(|choice| json!({"text": plain(&setting_value(row.setting, choice, pen.lang)), "value": choice}))
            .collect();
        form.push(div(name));
        form.push(json!({
            "tag": "select_static", "name": row.setting.as_str(), "placeholder": plain(name), "options": options,
            "initial_option": row.value,
        }));
    }
    if let (Some(save), false) = (&view.save, form.is_empty()) {
        form.push(card.submit(save, button(&save.role, pen.lang), "primary"));
        let form = json!({"tag": "form", "name": card.name(), "elements": form});
        card.raw(form);
    }
    card.finish(pen)
}

fn stranger(view: &StrangerView, pen: Pen) -> Value {
    let mut card = Card::new(&pen.say(CardMsg::StrangerSummary), false);
    let owner = &view.owner;
    card.line(&pen.say(if view.group { CardMsg::StrangerGroup { owner } } else { CardMsg::StrangerDirect { owner } }));
    card.finish(pen)
}

fn notice(view: &NoticeView, pen: Pen) -> Value {
    let summary = if view.buttons.is_empty() { CardMsg::NoticeSummary } else { CardMsg::NoticeAsks };
    let mut card = Card::new(&pen.say(summary), true);
    card.line(&view.text.replace('`', ""));
    card.buttons(&view.buttons, pen);
    card.finish(pen)
}

fn list(view: &ListView, pen: Pen) -> Value {
    let mut card = Card::new(&view.title, false);
    card.header(&view.title, None, "grey", None);
    for (n, row) in view.rows.iter().take(MAX_LIST_ROWS).enumerate() {
        if n > 0 {
            card.rule();
        }
        card.line(&row.text.replace('`', ""));
        // No row of many is the one to press.
        let drawn = row.buttons.iter().map(|b| card.calm_button(b, button(&b.role, pen.lang), None)).collect();
        card.rows(drawn);
    }
    for note in &view.notes {
        card.grey(&note.replace('`', ""));
    }
    card.finish(pen)
}

#[cfg(test)]
mod tests;
