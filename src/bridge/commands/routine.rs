//! `/routine`: what is done here at its time without anybody asking for it.

use std::path::PathBuf;

use chrono_tz::Tz;

use super::{Here, Reply, refused};
use crate::bridge::actions::{Performed, Person, Told};
use crate::bridge::core::Core;
use crate::bridge::pictures::{self, Frame, cut};
use crate::bridge::prepare::Letter;
use crate::bridge::routines::{self as scheduler, Changed};
use crate::bridge::{posture, rights, route, say};
use crate::domain::access::{Act, may};
use crate::domain::action::Action;
use crate::domain::delivery::Target;
use crate::domain::ids::*;
use crate::domain::level::Level;
use crate::domain::message::ChatKind;
use crate::domain::routine::{NAME_CHARS, Routine, RoutineError, To, Wish, is_name};
use crate::domain::schedule::{self, sentence};
use crate::domain::setting::Setting;
use crate::domain::view::{ButtonRole, Lang, ListRow, ListView, MAX_LIST_ROWS, View};
use crate::ledger::routines::{self, NewRoutine, RoutineRow, RoutineState, Source};
use crate::ledger::{LedgerError, Transaction, audit, said, settings};
use crate::words::{self, RoutineMsg};

/// Runs that a chat is told of.
const RUNS: u32 = 10;
/// Due times that a card shows.
const TIMES: usize = 5;
/// Characters of the name that is made of a sentence's words.
const NAME: usize = 24;
/// Characters of the words that a card shows.
const WORDS: usize = 2000;

/// What such a command has to know beyond the ledger.
pub(super) struct Ground {
    zone: Tz,
    /// Where the chat works that is bound to nothing else.
    directory: PathBuf,
}

impl Ground {
    pub(super) fn of(core: &Core, letter: &Letter) -> Self {
        let directory = route::directory(core, &letter.row.channel, &letter.message.chat);
        Self { zone: core.config.zone, directory }
    }
}

pub(super) fn run(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    wish: &Wish,
    ground: &Ground,
) -> Result<Reply, LedgerError> {
    let changes = !matches!(wish, Wish::List | Wish::Show(_) | Wish::History(_));
    if changes && !may(letter.person.role, Act::Routines) {
        return refused(tx, frame, letter, lang, Act::Routines, "routine");
    }
    let is_everywhere = letter.person.role.is_owner() && letter.message.chat_kind == ChatKind::Direct;
    let place = (!is_everywhere).then_some((&frame.channel, &letter.message.chat));
    let name = match wish {
        Wish::List => return list(tx, frame, lang, ground.zone, place),
        Wish::Add(text) => return add(tx, frame, letter, here, lang, text, ground),
        Wish::Show(name)
        | Wish::Run(name)
        | Wish::Pause(name)
        | Wish::Resume(name)
        | Wish::History(name)
        | Wish::Remove(name) => name.as_str(),
    };
    let row = routines::get(tx, name)?.filter(|row| row.state != RoutineState::Gone);
    let Some(row) = row.filter(|row| is_told_in(row, ground.zone, place)) else {
        return Ok(Reply::nothing(RoutineMsg::NoSuch { name }.text(lang)));
    };
    let (who, now) = (letter.person.user.as_str(), frame.now_ms);
    let (done, text) = match wish {
        Wish::Show(_) => return Ok(Reply::say(shown(frame, lang, &row, ground.zone))),
        Wish::History(_) => return history(tx, frame, lang, name),
        Wish::Run(_) => (scheduler::claim_now(tx, name, &letter.person.name, now)?, RoutineMsg::WillRun { name }),
        Wish::Pause(_) => (scheduler::set(tx, name, RoutineState::Paused, who, now)?, RoutineMsg::NowPaused { name }),
        Wish::Resume(_) => (scheduler::set(tx, name, RoutineState::On, who, now)?, RoutineMsg::GoesOn { name }),
        _ => (scheduler::set(tx, name, RoutineState::Gone, who, now)?, RoutineMsg::Removed { name }),
    };
    let text = match done {
        Changed::Done | Changed::Already => text,
        Changed::Unknown => RoutineMsg::NoSuch { name },
        Changed::Busy => RoutineMsg::Busy { name },
        Changed::IsFile => RoutineMsg::IsFile { name },
    };
    Ok(Reply { routines_changed: true, ..Reply::say(text.text(lang)) })
}

/// What came of the night, or of the time that was asked for: for the owner, who sees everything, where only he reads.
pub(super) fn last(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    span_ms: Option<i64>,
    ground: &Ground,
) -> Result<Reply, LedgerError> {
    if !letter.person.role.is_owner() || letter.message.chat_kind != ChatKind::Direct {
        return refused(tx, frame, letter, lang, Act::Lock, "last");
    }
    let now = frame.now_ms;
    let from_ms = match span_ms {
        Some(span_ms) => now - span_ms,
        None => scheduler::evening(ground.zone, now, 1).unwrap_or(now),
    };
    let note = scheduler::note(tx, frame, lang, ground.zone, from_ms)?;
    let nothing = || RoutineMsg::NothingHappened { from: &say::due(from_ms, ground.zone, lang) }.text(lang);
    Ok(Reply::say(note.unwrap_or_else(nothing)))
}

/// Whether its runs are told in a place; everywhere, where that is none.
pub(in crate::bridge) fn is_told_in(row: &RoutineRow, zone: Tz, place: Option<(&ChannelName, &ChatId)>) -> bool {
    let Some(place) = place else { return true };
    let to = Routine::parse(&row.name, &row.text, zone).map(|routine| routine.to);
    matches!(&to, Ok(To::Chat { channel, chat }) if (channel, chat) == place)
}

fn list(
    tx: &Transaction<'_>,
    frame: &Frame,
    lang: Lang,
    zone: Tz,
    place: Option<(&ChannelName, &ChatId)>,
) -> Result<Reply, LedgerError> {
    let mut found = routines::listed(tx)?;
    found.retain(|row| is_told_in(row, zone, place));
    if found.is_empty() {
        return Ok(Reply::say(RoutineMsg::ListNone.text(lang)));
    }
    let mut rows = Vec::new();
    for row in found.iter().take(MAX_LIST_ROWS) {
        let mut text = line(frame, lang, row, zone);
        if let Some(run) = routines::history(tx, &row.name, 1)?.first() {
            text.push_str(&format!(" · {}", say::run_line(lang, run, frame.now_ms)));
        }
        rows.push(ListRow { text: cut(&text, 600), buttons: Vec::new() });
    }
    let left_out = found.len() - rows.len();
    let more = (left_out > 0).then(|| RoutineMsg::ListMore { n: left_out }.text(lang));
    let title = RoutineMsg::ListTitle { n: found.len() }.text(lang);
    let notes = more.into_iter().chain([RoutineMsg::ListNote.text(lang)]).collect();
    Ok(Reply { view: Some(View::List(ListView { title, rows, notes })), lang: Some(lang), ..Reply::default() })
}

/// Its name, when it is due, and when next.
pub(in crate::bridge) fn line(frame: &Frame, lang: Lang, row: &RoutineRow, zone: Tz) -> String {
    let routine = match Routine::parse(&row.name, &row.text, zone) {
        Ok(routine) => routine,
        Err(error) => return format!("{} · {}", row.name, words::routine_error(&error, lang)),
    };
    let next = match row.state {
        RoutineState::On => routine.next(row.since_ms, row.checked_ms, frame.now_ms),
        RoutineState::Paused | RoutineState::Gone => None,
    };
    let next = match (row.state, next) {
        (RoutineState::On, Some(at)) => {
            let due = say::due(at, routine.schedule.zone, lang);
            RoutineMsg::Next { due: &due }.text(lang)
        }
        (RoutineState::On, None) => RoutineMsg::NoNext.text(lang),
        (RoutineState::Paused | RoutineState::Gone, _) => RoutineMsg::Paused.text(lang),
    };
    format!("{} · {} · {next}", row.name, words::schedule(&routine.schedule, lang))
}

fn shown(frame: &Frame, lang: Lang, row: &RoutineRow, zone: Tz) -> String {
    let mut lines = vec![line(frame, lang, row, zone)];
    if let Ok(routine) = Routine::parse(&row.name, &row.text, zone) {
        lines.push(next_times(&routine, frame.now_ms, row.since_ms, lang));
    }
    lines.join("\n")
}

fn next_times(routine: &Routine, now_ms: i64, since_ms: i64, lang: Lang) -> String {
    let due = |at: i64| say::due(at, routine.schedule.zone, lang);
    let times: Vec<String> = routine.schedule.upcoming(now_ms, since_ms, TIMES).into_iter().map(due).collect();
    let times = times.join(if lang == Lang::Zh { "、" } else { ", " });
    match times.is_empty() {
        true => RoutineMsg::NoNext.text(lang),
        false => RoutineMsg::DraftNext { times: &times }.text(lang),
    }
}

fn history(tx: &Transaction<'_>, frame: &Frame, lang: Lang, name: &str) -> Result<Reply, LedgerError> {
    let runs = routines::history(tx, name, RUNS)?;
    if runs.is_empty() {
        return Ok(Reply::say(RoutineMsg::HistoryNone { name }.text(lang)));
    }
    let lines: Vec<String> = runs.iter().map(|run| say::run_line(lang, run, frame.now_ms)).collect();
    Ok(Reply::say(RoutineMsg::Says { name, text: &format!("\n{}", lines.join("\n")) }.text(lang)))
}

/// Shows what a sentence would make; a person confirms it.
fn add(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    text: &str,
    ground: &Ground,
) -> Result<Reply, LedgerError> {
    let said = schedule::shown(ground.zone, frame.now_ms).and_then(|now| sentence::read(text, now));
    let Some(said) = said else { return Ok(Reply::nothing(RoutineMsg::NotUnderstood.text(lang))) };
    if said.words.chars().count() > WORDS {
        return Ok(Reply::nothing(RoutineMsg::TooManyWords { most: WORDS }.text(lang)));
    }
    let chat = &letter.message.chat;
    let bound = settings::get(tx, &frame.channel, chat, Setting::Directory)?;
    let directory = bound.map_or_else(|| ground.directory.clone(), PathBuf::from);
    let level = match here.any() {
        Some(conversation) => posture::level(tx, &frame.access, conversation, &letter.person.user, frame.now_ms)?,
        None => Level::Safe,
    };
    // What is trusted ends after hours, and nobody is there to see it.
    let level = level.min(Level::Edit);
    let name = name_of(tx, &said.words)?;
    let mut fields = Fields::default();
    fields.say("schedule", &said.schedule);
    fields.say("zone", ground.zone.name());
    fields.say("prompt", &said.words);
    let wanted = Wanted {
        name,
        place: (frame.channel.clone(), chat.clone()),
        directory,
        level,
        zone: ground.zone,
        words: said.words,
        more: None,
        subject: pictures::list_subject(letter.row.seq),
        by_agent: false,
    };
    match offer(tx, frame, letter.reply(), lang, wanted, fields)? {
        Ok(()) => Ok(Reply::default()),
        Err(error) => Ok(Reply::nothing(words::routine_error(&error, lang))),
    }
}

/// A routine that is shown before anything is made of it.
pub(in crate::bridge) struct Wanted {
    pub name: String,
    /// Where its outcome is told.
    pub place: (ChannelName, ChatId),
    /// Where it works.
    pub directory: PathBuf,
    pub level: Level,
    /// Where the text names none.
    pub zone: Tz,
    /// What it does, as the card shows it.
    pub words: String,
    /// What else it is told, in a line of its own.
    pub more: Option<String>,
    /// The card.
    pub subject: String,
    /// An agent drafted it.
    pub by_agent: bool,
}

/// The text of a routine in the making, key by key.
#[derive(Debug, Default)]
pub(in crate::bridge) struct Fields(String);

impl Fields {
    /// One more key. The value is words, whatever is in them: a text of JSON is one of YAML as well.
    pub(in crate::bridge) fn say(&mut self, key: &str, value: &str) {
        let quoted = serde_json::Value::from(value).to_string();
        self.0.push_str(&format!("{key}: {quoted}\n"));
    }

    /// One more that is true.
    pub(in crate::bridge) fn set(&mut self, key: &str) {
        self.0.push_str(&format!("{key}: true\n"));
    }
}

/// Shows a routine with its next times; a person makes it with a press, or dismisses it.
pub(in crate::bridge) fn offer(
    tx: &Transaction<'_>,
    frame: &Frame,
    target: Target,
    lang: Lang,
    wanted: Wanted,
    mut fields: Fields,
) -> Result<Result<(), RoutineError>, LedgerError> {
    let (channel, chat) = &wanted.place;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    fields.0.push_str(&format!("to: {{channel: {}, chat: {}}}\n", quoted(channel.as_str()), quoted(chat.as_str())));
    fields.say("directory", &wanted.directory.to_string_lossy());
    fields.say("autonomy", wanted.level.as_str());
    let Wanted { name, subject, by_agent, .. } = &wanted;
    let (text, by_agent) = (fields.0, *by_agent);
    let routine = match Routine::parse(name, &text, wanted.zone) {
        Ok(routine) => routine,
        Err(error) => return Ok(Err(error)),
    };
    let when = words::schedule(&routine.schedule, lang);
    let level = words::setting_value(Setting::Autonomy, wanted.level.as_str(), lang);
    let draft = match by_agent {
        false => RoutineMsg::Draft { name, when: &when },
        true => RoutineMsg::DraftOfAgent { name, when: &when },
    };
    let lines = [
        Some(draft.text(lang)),
        Some(RoutineMsg::DraftWhat { words: &wanted.words }.text(lang)),
        wanted.more.clone(),
        Some(next_times(&routine, frame.now_ms, frame.now_ms, lang)),
        Some(RoutineMsg::DraftHow { project: &frame.project(&wanted.directory), level: &level }.text(lang)),
    ];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    let action = |text: Option<&String>| Action::Routine {
        name: name.clone(),
        text: text.cloned(),
        subject: subject.clone(),
        by_agent,
    };
    let offered = [(ButtonRole::Create, action(Some(&text))), (ButtonRole::Dismiss, action(None))];
    pictures::question(tx, frame, target, lang, subject, lines.join("\n"), &offered)?;
    Ok(Ok(()))
}

/// A name made of the first words, which nobody has yet.
fn name_of(tx: &Transaction<'_>, words: &str) -> Result<String, LedgerError> {
    let mut name = String::new();
    for c in words.chars() {
        match c {
            c if c.is_alphanumeric() => name.extend(c.to_lowercase()),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
        if name.chars().count() >= NAME {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    let name = if is_name(name) { name.to_owned() } else { "routine".to_owned() };
    const { assert!(NAME + 5 <= NAME_CHARS) };
    for n in 1.. {
        let numbered = if n == 1 { name.clone() } else { format!("{name}-{n}") };
        if routines::get(tx, &numbered)?.is_none_or(|row| row.state == RoutineState::Gone) {
            return Ok(numbered);
        }
    }
    Ok(name)
}

/// A click on the card of a routine that somebody wants.
pub(in crate::bridge) fn decide(
    tx: &Transaction<'_>,
    frame: &Frame,
    (name, source): (&str, Source),
    text: Option<&str>,
    subject: &str,
    person: &Person,
) -> Result<Performed, LedgerError> {
    if !may(person.role, Act::Routines) {
        audit::note(tx, person.user.as_str(), "action refused", name, "not an admin", frame.now_ms)?;
        return Ok(Performed::told(Told::OnlyThese { names: rights::owner_name(tx, frame)? }));
    }
    let lang = frame.lang;
    let decided = format!("routine-decided:{subject}");
    let Some(text) = text else {
        if !said::first_time(tx, &decided, frame.now_ms)? {
            return Ok(Performed::told(Told::NoLongerValid));
        }
        pictures::question_over(tx, frame, subject, &RoutineMsg::DroppedBy { who: &person.name }.text(lang))?;
        return Ok(Performed::told(Told::Dismissed));
    };
    if routines::get(tx, name)?.is_some_and(|row| row.state != RoutineState::Gone) {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    if !said::first_time(tx, &decided, frame.now_ms)? {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    let read = Routine::parse(name, text, frame.zone).ok();
    let is_over = |routine: &Routine| routine.schedule.next_after(frame.now_ms, frame.now_ms).is_none();
    if read.as_ref().is_some_and(is_over) {
        pictures::question_over(tx, frame, subject, &RoutineMsg::TimeIsOver.text(lang))?;
        return Ok(Performed::told(Told::NoLongerValid));
    }
    let to = read.map(|routine| routine.to);
    let made_in = match to {
        Some(To::Chat { channel, chat }) => Some((channel, chat)),
        _ => None,
    };
    let new = NewRoutine {
        name: name.to_owned(),
        source,
        text: text.to_owned(),
        made_in,
        made_by: person.user.clone(),
        made_name: person.name.clone(),
    };
    routines::put(tx, &new, true, frame.now_ms)?;
    audit::note(tx, person.user.as_str(), "routine made", name, "", frame.now_ms)?;
    pictures::question_over(tx, frame, subject, &RoutineMsg::MadeBy { who: &person.name }.text(lang))?;
    Ok(Performed { routines: true, ..Performed::told(Told::Saved) })
}
