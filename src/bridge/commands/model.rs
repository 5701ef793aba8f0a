//! `/model`, `/effort`: which model works for a chat, and how hard it thinks.

use super::conversing::Beforehand;
use super::{Reply, refused};
use crate::bridge::pictures::Frame;
use crate::bridge::ports::Model;
use crate::bridge::prepare::Letter;
use crate::bridge::say;
use crate::domain::access::{Act, may};
use crate::domain::message::ChatKind;
use crate::domain::view::Lang;
use crate::ledger::settings::{self, Setting};
use crate::ledger::{LedgerError, Transaction, audit};
use crate::words::CommandMsg;

/// Either of the two settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Model,
    Effort,
}

pub(super) fn run(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    before: &Beforehand,
    which: Which,
    wanted: Option<&str>,
) -> Result<Reply, LedgerError> {
    if before.lacks(|runtime| runtime.model_switch) {
        return Ok(Reply::say(say::command(lang, CommandMsg::CannotRuntime)));
    }
    let Some(models) = before.models.as_deref().filter(|models| !models.is_empty()) else {
        return Ok(Reply::say(say::command(lang, CommandMsg::ModelsUnknown)));
    };
    let (channel, chat) = (&frame.channel, &letter.message.chat);
    let now = settings::get(tx, channel, chat, Setting::Model)?;
    // What is in force: what was set, else the runtime's own.
    let model = find(models, now.as_deref()).or(models.iter().find(|model| model.is_default)).unwrap_or(&models[0]);
    let effort = settings::get(tx, channel, chat, Setting::Effort)?;
    let Some(wanted) = wanted else {
        return Ok(Reply::say(match which {
            Which::Model => list(lang, models, now.as_deref().unwrap_or(&model.name)),
            Which::Effort => efforts(lang, model, effort.as_deref().or(model.default_effort.as_deref())),
        }));
    };
    let act = Act::Model { direct: letter.message.chat_kind == ChatKind::Direct };
    if !may(letter.person.role, act) {
        return refused(tx, frame, letter, lang, act, "model");
    }
    let set = |setting: Setting, value: &str| {
        settings::set(tx, channel, chat, setting, Some(value), &letter.person.user, frame.now_ms)?;
        let (user, detail) = (letter.person.user.as_str(), format!("{} {value}", setting.as_str()));
        audit::note_in(tx, (channel, chat), user, "setting", chat.as_str(), &detail, frame.now_ms)
    };
    match which {
        Which::Model => {
            let Some(found) = find(models, Some(wanted)) else {
                let shown = list(lang, models, &model.name);
                let text = say::command(lang, CommandMsg::NoSuchModel { name: wanted });
                return Ok(Reply::say(format!("{text}\n{shown}")));
            };
            set(Setting::Model, &found.name)?;
            // Not every model knows every effort.
            let unknown = effort.as_ref().is_some_and(|effort| !found.efforts.contains(effort));
            if let (true, Some(own)) = (unknown, &found.default_effort) {
                set(Setting::Effort, own)?;
            }
            Ok(Reply::say(say::command(lang, CommandMsg::ModelSet { name: &found.name })))
        }
        Which::Effort => {
            let wanted = wanted.to_lowercase();
            if !model.efforts.contains(&wanted) {
                let shown = efforts(lang, model, effort.as_deref().or(model.default_effort.as_deref()));
                let text = say::command(lang, CommandMsg::NoSuchEffort { model: &model.name, name: &wanted });
                return Ok(Reply::say(format!("{text}\n{shown}")));
            }
            set(Setting::Effort, &wanted)?;
            Ok(Reply::say(say::command(lang, CommandMsg::EffortSet { name: &wanted })))
        }
    }
}

fn find<'m>(models: &'m [Model], name: Option<&str>) -> Option<&'m Model> {
    models.iter().find(|model| name.is_some_and(|name| model.name.eq_ignore_ascii_case(name)))
}

fn list(lang: Lang, models: &[Model], now: &str) -> String {
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    say::command(lang, CommandMsg::ModelIs { name: now, all: &names.join(", ") })
}

fn efforts(lang: Lang, model: &Model, now: Option<&str>) -> String {
    let all = model.efforts.join(", ");
    say::command(lang, CommandMsg::EffortIs { name: now.unwrap_or("-"), model: &model.name, all: &all })
}
