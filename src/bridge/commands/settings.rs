//! `/settings`: how a chat works, and who may change what of it.

use super::{CommandMsg, Here, Reply};
use crate::bridge::actions::{Performed, Person, Told};
use crate::bridge::core::BridgeConfig;
use crate::bridge::intake::notice;
use crate::bridge::pictures::Frame;
use crate::bridge::prepare::Letter;
use crate::bridge::{posture, say};
use crate::domain::access::Role;
use crate::domain::action::Action;
use crate::domain::delivery::Target;
use crate::domain::ids::*;
use crate::domain::level::Level;
use crate::domain::message::ChatKind;
use crate::domain::setting::{Noise, Setting};
use crate::domain::view::{ButtonRole, Lang, SettingRow, SettingsView, View};
use crate::ledger::{LedgerError, Transaction, audit, conversations, settings};
use crate::words::{self, NoticeMsg};

/// What holds where nothing was set.
#[derive(Debug, Clone, Copy)]
pub(in crate::bridge) struct Defaults {
    busy: &'static str,
}

impl Defaults {
    pub fn of(config: &BridgeConfig) -> Self {
        Self { busy: config.busy.as_str() }
    }
}

pub(super) fn run(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    defaults: Defaults,
    rest: Option<&str>,
) -> Result<Reply, LedgerError> {
    let (channel, chat) = (&letter.row.channel, &letter.message.chat);
    let direct = letter.message.chat_kind == ChatKind::Direct;
    let role = letter.person.role;
    let Some(rest) = rest else {
        let rows = rows(tx, frame, letter, here, defaults)?;
        let save = match rows.iter().any(|row| !row.choices.is_empty()) {
            true => {
                let shown = rows.iter().map(|row| (row.setting, row.value.clone())).collect();
                let action = Action::SaveSettings { chat: chat.clone(), direct, shown };
                // Bound to the message that asked: each card is drawn for the rights of the one who asked for it.
                let subject = format!("settings:{}", letter.row.seq.0);
                Some(frame.button(tx, chat, &subject, ButtonRole::Save, &action)?)
            }
            false => None,
        };
        let view = SettingsView { project: here.project(frame), rows, save };
        return Ok(Reply { view: Some(View::Settings(view)), ..Reply::default() });
    };
    let mut words = rest.split_whitespace();
    let (Some(name), Some(value), None) = (words.next(), words.next(), words.next()) else {
        return Ok(Reply::say(say::command(lang, CommandMsg::SettingsUsage)));
    };
    let Some(setting) = Setting::CHOSEN.into_iter().find(|of| is_called(*of, name)) else {
        let known = Setting::CHOSEN.map(Setting::as_str).join(", ");
        return Ok(Reply::say(say::command(lang, CommandMsg::SettingUnknown { word: name, known: &known })));
    };
    let Some(value) = setting.values().iter().find(|known| **known == value.to_lowercase()) else {
        let known = setting.values().join(", ");
        return Ok(Reply::say(say::command(lang, CommandMsg::SettingUnknown { word: value, known: &known })));
    };
    if !setting.may_set(value, chat_level(tx, channel, chat, direct, frame.now_ms)?, role, direct) {
        let (user, what) = (letter.person.user.as_str(), setting.as_str());
        audit::note_in(tx, (channel, chat), user, "setting refused", chat.as_str(), what, frame.now_ms)?;
        let name = words::setting(setting, lang);
        return Ok(Reply::say(say::command(lang, CommandMsg::SettingNotYours { name })));
    }
    settings::set(tx, channel, chat, setting, Some(value), &letter.person.user, frame.now_ms)?;
    let (user, detail) = (letter.person.user.as_str(), format!("{} {value}", setting.as_str()));
    audit::note_in(tx, (channel, chat), user, "setting", chat.as_str(), &detail, frame.now_ms)?;
    Ok(Reply::say(changed(lang, &letter.person.name, setting, value, &here.project(frame), direct)))
}

fn is_called(setting: Setting, word: &str) -> bool {
    let word = word.to_lowercase();
    setting.as_str() == word
        || [Lang::Zh, Lang::En].iter().any(|lang| words::setting(setting, *lang).to_lowercase() == word)
}

fn rows(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    defaults: Defaults,
) -> Result<Vec<SettingRow>, LedgerError> {
    let (role, direct) = (letter.person.role, letter.message.chat_kind == ChatKind::Direct);
    let from = chat_level(tx, &letter.row.channel, &letter.message.chat, direct, frame.now_ms)?;
    let set = settings::of_chat(tx, &letter.row.channel, &letter.message.chat)?;
    let stored = |of: Setting| set.iter().find(|(setting, _)| *setting == of).map(|(_, value)| value.clone());
    let mut rows = Vec::new();
    for setting in Setting::CHOSEN {
        let value = match setting {
            Setting::Autonomy => match &here.any() {
                Some(conversation) => {
                    posture::level(tx, &frame.access, conversation, &letter.person.user, frame.now_ms)?
                        .as_str()
                        .to_owned()
                }
                None => stored(setting).unwrap_or_else(|| by_default(role, direct).as_str().to_owned()),
            },
            Setting::Busy => stored(setting).unwrap_or_else(|| defaults.busy.to_owned()),
            Setting::Noise => stored(setting).unwrap_or_else(|| Noise::default().as_str().to_owned()),
            Setting::CatchUp => stored(setting).unwrap_or_else(|| "off".to_owned()),
            _ => stored(setting).unwrap_or_else(|| "false".to_owned()),
        };
        // Alone with ally nobody else could allow anything, and nobody else says anything.
        if matches!(setting, Setting::TwoPersons | Setting::CatchUp) && direct {
            continue;
        }
        let choices: Vec<String> = setting
            .values()
            .iter()
            .filter(|choice| **choice == value || setting.may_set(choice, from, role, direct))
            .map(|choice| (*choice).to_owned())
            .collect();
        let choices = if choices.len() > 1 { choices } else { Vec::new() };
        rows.push(SettingRow { setting, value, choices });
    }
    Ok(rows)
}

/// How far the agent may go in the chat, whoever asks.
fn chat_level(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    direct: bool,
    now_ms: i64,
) -> Result<Level, LedgerError> {
    let set = settings::get_dated(tx, channel, chat, Setting::Autonomy)?;
    let set = set.and_then(|(value, at_ms)| Some((Level::parse(&value)?, at_ms)));
    Ok(crate::domain::level::of_turn(set, direct, Role::Owner, now_ms))
}

fn by_default(role: Role, direct: bool) -> Level {
    crate::domain::level::of_turn(None, direct, role, 0)
}

/// The form of a settings card. What is as the card showed it, or is not his to change, is left as it is.
pub(in crate::bridge) fn save(
    tx: &Transaction<'_>,
    frame: &Frame,
    (chat, direct): (&ChatId, bool),
    shown: &[(Setting, String)],
    person: &Person,
    form: &[(String, String)],
) -> Result<Performed, LedgerError> {
    let mut refused = false;
    let mut lines = Vec::new();
    let conversation = conversations::newest_of_chat(tx, &frame.channel, chat)?;
    let lang = conversation.as_ref().map_or(frame.lang, |found| found.lang);
    let project = conversation.map_or_else(|| say::own_folder(lang), |found| frame.project(&found.directory));
    for setting in Setting::CHOSEN {
        let Some((_, value)) = form.iter().find(|(name, _)| name == setting.as_str()) else { continue };
        let Some(value) = setting.values().iter().find(|known| *known == value) else { continue };
        if shown.iter().any(|(of, shown)| *of == setting && shown == value) {
            continue;
        }
        let from = chat_level(tx, &frame.channel, chat, direct, frame.now_ms)?;
        if !setting.may_set(value, from, person.role, direct) {
            refused = true;
            audit::note_in(
                tx,
                (&frame.channel, chat),
                person.user.as_str(),
                "setting refused",
                chat.as_str(),
                setting.as_str(),
                frame.now_ms,
            )?;
            continue;
        }
        settings::set(tx, &frame.channel, chat, setting, Some(value), &person.user, frame.now_ms)?;
        let detail = format!("{} {value}", setting.as_str());
        audit::note_in(
            tx,
            (&frame.channel, chat),
            person.user.as_str(),
            "setting",
            chat.as_str(),
            &detail,
            frame.now_ms,
        )?;
        lines.push(changed(lang, &person.name, setting, value, &project, direct));
    }
    let told = match (refused, lines.is_empty()) {
        (true, true) => Told::OnlyThese { names: String::new() },
        (true, false) => Told::SavedPartly,
        (false, true) => Told::NoChange,
        (false, false) => Told::Saved,
    };
    if !lines.is_empty() {
        let target = Target { chat: chat.clone(), reply_to: None, in_topic: false };
        notice(tx, &frame.channel, target, None, None, lines.join("\n"), lang, frame.now_ms)?;
    }
    Ok(Performed { told, wake: Vec::new(), secret: None, rerun_intake: false, routines: false })
}

fn changed(lang: Lang, who: &str, setting: Setting, value: &str, project: &str, direct: bool) -> String {
    let (name, shown) = (words::setting(setting, lang), words::setting_value(setting, value, lang));
    let line = say::notice(lang, NoticeMsg::SettingChanged { who, name, value: &shown });
    match (setting, value) {
        (Setting::Autonomy, "edit") if !direct => {
            format!("{line}\n{}", say::notice(lang, NoticeMsg::EditForAll { project }))
        }
        _ => line,
    }
}
