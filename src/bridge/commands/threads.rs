//! `/threads`, `/resume`, `/fork`, `/name`: which thread a conversation goes on with.

use super::conversing::Beforehand;
use super::{Here, Reply};
use crate::bridge::actions::{Performed, Person, Told};
use crate::bridge::pictures::{self, Frame, cut};
use crate::bridge::prepare::Letter;
use crate::bridge::say;
use crate::domain::access::{Act, may};
use crate::domain::action::Action;
use crate::domain::conversing::Listed;
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::view::{ButtonRole, Lang, ListRow, ListView, View};
use crate::ledger::conversations::{self, Conversation};
use crate::ledger::threads::{self, Owner, Thread};
use crate::ledger::{LedgerError, Transaction, audit, said, turns};
use crate::words::CommandMsg;

/// Rows of the list.
const ROWS: usize = 10;
/// Characters of a row's title.
const TITLE: usize = 40;
/// Characters of a name.
const NAME: usize = 60;

struct Row {
    listed: Listed,
    at_ms: i64,
}

/// The newest threads of the chat; for the owner, by himself, also those of the directory that were begun at the desk.
fn rows(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    before: &Beforehand,
) -> Result<Vec<Row>, LedgerError> {
    let (channel, chat) = (&frame.channel, &letter.message.chat);
    let mut rows: Vec<Row> = threads::recent(tx, Owner { channel, chat, home: &before.home }, ROWS)?
        .into_iter()
        .map(|thread| Row {
            at_ms: thread.active_at_ms,
            listed: Listed {
                title: thread.name.unwrap_or(thread.title),
                thread: thread.thread,
                directory: thread.directory,
                at_desk: false,
            },
        })
        .collect();
    for kept in &before.kept {
        // What another chat began is that chat's.
        if !threads::is_known(tx, &kept.thread)? {
            let (thread, directory) = (kept.thread.clone(), kept.directory.clone());
            let listed = Listed { thread, directory, title: kept.title.clone(), at_desk: true };
            rows.push(Row { listed, at_ms: kept.active_at_ms });
        }
    }
    rows.sort_by_key(|row| -row.at_ms);
    rows.truncate(ROWS);
    for row in &mut rows {
        row.listed.title = match cut(row.listed.title.lines().next().unwrap_or_default().trim(), TITLE) {
            title if title.is_empty() => say::untitled(lang),
            title => title,
        };
    }
    Ok(rows)
}

pub(super) fn list(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    before: &Beforehand,
) -> Result<Reply, LedgerError> {
    let rows = rows(tx, frame, letter, lang, before)?;
    if rows.is_empty() {
        return Ok(Reply::say(say::command(lang, CommandMsg::ThreadsNone)));
    }
    let conversation = conversation(tx, frame, here, before)?;
    let listed: Vec<&Listed> = rows.iter().map(|row| &row.listed).collect();
    said::set_meta(tx, &listed_key(frame, letter), &serde_json::to_string(&listed)?)?;
    let subject = format!("threads:{}", letter.row.seq.0);
    let mut shown = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let Row { listed, at_ms } = row;
        let mut text = say::thread_row(index + 1, &listed.title, *at_ms, frame.now_ms);
        let directory = conversation.as_ref().map(|conversation| &conversation.directory);
        let is_here = conversation.as_ref().is_some_and(|this| this.thread.as_ref() == Some(&listed.thread));
        let mut add = |msg| text.push_str(&format!(" · {}", say::command(lang, msg)));
        if is_here {
            add(CommandMsg::ThreadsRowHere);
        }
        if listed.at_desk {
            add(CommandMsg::ThreadsRowDesk);
        }
        if directory.is_some_and(|directory| *directory != listed.directory) {
            add(CommandMsg::ThreadsRowIn { project: &frame.project(&listed.directory) });
        }
        let goes_on = !is_here && directory == Some(&listed.directory);
        let button = match conversation.as_ref().filter(|_| goes_on) {
            Some(conversation) => {
                let action = Action::TakeUp { conversation: conversation.id.clone(), listed: listed.clone() };
                Some(frame.button(tx, &letter.message.chat, &subject, ButtonRole::Continue, &action)?)
            }
            None => None,
        };
        shown.push(ListRow { text, buttons: button.into_iter().collect() });
    }
    let view = View::List(ListView {
        title: say::command(lang, CommandMsg::ThreadsTitle),
        rows: shown,
        notes: vec![say::command(lang, CommandMsg::ThreadsNote)],
    });
    Ok(Reply { view: Some(view), ..Reply::default() })
}

/// Numbers mean the list that was shown last in the chat.
fn listed_key(frame: &Frame, letter: &Letter) -> String {
    format!("threads:{}:{}", frame.channel, letter.message.chat)
}

/// The conversation that is written in. A chat that is one has it, if need be, from now on.
fn conversation(
    tx: &Transaction<'_>,
    frame: &Frame,
    here: &Here,
    before: &Beforehand,
) -> Result<Option<Conversation>, LedgerError> {
    match (&here.conversation, &before.place) {
        (Some(conversation), _) => Ok(Some(conversation.clone())),
        (None, Some(place)) => conversations::resolve(tx, place, frame.now_ms).map(Some),
        (None, None) => Ok(None),
    }
}

pub(super) fn resume(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    before: &Beforehand,
    n: u32,
) -> Result<Reply, LedgerError> {
    let listed: Vec<Listed> = match said::meta(tx, &listed_key(frame, letter))? {
        Some(shown) => serde_json::from_str(&shown)?,
        None => rows(tx, frame, letter, lang, before)?.into_iter().map(|row| row.listed).collect(),
    };
    let Some(listed) = listed.get((n as usize).wrapping_sub(1)) else {
        return Ok(Reply::say(say::command(lang, CommandMsg::ResumeNoSuch { n })));
    };
    let Some(conversation) = conversation(tx, frame, here, before)? else {
        return Ok(Reply::say(say::command(lang, CommandMsg::ResumeInTopic)));
    };
    let project = frame.project(&listed.directory);
    let msg = match take_up(tx, frame, &conversation, listed, &letter.person)? {
        TakenUp::Done => CommandMsg::Resumed { title: &listed.title },
        TakenUp::Already => CommandMsg::ResumeAlready,
        TakenUp::StillWorking => CommandMsg::ResumeWorking,
        TakenUp::Elsewhere => CommandMsg::ResumeElsewhere { project: &project },
        TakenUp::NotHere => CommandMsg::ResumeGone,
    };
    let woken = Performed { wake: vec![conversation.id.clone()], ..Performed::told(Told::TakenUp) };
    Ok(Reply { performed: vec![woken], ..Reply::say(say::command(lang, msg)) })
}

/// The button of a row.
pub(in crate::bridge) fn click(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &ConversationId,
    listed: &Listed,
    person: &Person,
) -> Result<Performed, LedgerError> {
    let conversation = conversations::get(tx, conversation)?;
    match take_up(tx, frame, &conversation, listed, person)? {
        TakenUp::Done => {
            let text = say::command(conversation.lang, CommandMsg::Resumed { title: &listed.title });
            let target = pictures::place_of(&conversation);
            let subject = format!("taken up:{}:{}", conversation.id, frame.now_ms);
            pictures::notice(tx, frame, &conversation, target, &subject, text, &[])?;
            Ok(Performed { wake: vec![conversation.id], ..Performed::told(Told::TakenUp) })
        }
        TakenUp::StillWorking => Ok(Performed::told(Told::StillWorking)),
        TakenUp::Already | TakenUp::Elsewhere | TakenUp::NotHere => Ok(Performed::told(Told::NoLongerValid)),
    }
}

enum TakenUp {
    Done,
    Already,
    StillWorking,
    /// It works in another directory than the conversation.
    Elsewhere,
    /// It is not this chat's to go on with.
    NotHere,
}

/// The conversation goes on with another thread. A thread has one conversation at a time: the one that had it begins anew.
fn take_up(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    listed: &Listed,
    person: &Person,
) -> Result<TakenUp, LedgerError> {
    if !may(person.role, Act::Talk) {
        return Ok(TakenUp::NotHere);
    }
    let (channel, chat) = (&conversation.channel, &conversation.chat);
    if conversation.thread.as_ref() == Some(&listed.thread) {
        return Ok(TakenUp::Already);
    }
    let mut thread = threads::get(tx, channel, chat, &listed.thread)?;
    if thread.is_none() && listed.at_desk && person.role.is_owner() && conversation.chat_kind == ChatKind::Direct {
        // It has a history, and what its newest turn is shows with the next one.
        thread = (!threads::is_known(tx, &listed.thread)?).then(|| Thread {
            thread: listed.thread.clone(),
            directory: listed.directory.clone(),
            title: listed.title.clone(),
            name: None,
            cursor: None,
            settled: 1,
            has_planned: false,
            active_at_ms: frame.now_ms,
        });
    }
    let Some(mut thread) = thread else { return Ok(TakenUp::NotHere) };
    if thread.directory != conversation.directory {
        return Ok(TakenUp::Elsewhere);
    }
    if turns::all_active(tx)?.iter().any(|turn| turn.thread.as_ref() == Some(&thread.thread)) {
        return Ok(TakenUp::StillWorking);
    }
    for other in conversations::on_thread(tx, channel, chat, &thread.thread)? {
        conversations::begin_anew(tx, &other.id)?;
        // Where it was left just now.
        thread = threads::get(tx, channel, chat, &thread.thread)?.unwrap_or(thread);
    }
    let owner = Owner { channel, chat, home: &conversation.runtime_home };
    threads::used(tx, owner, &thread.thread, &thread.directory, &thread.title, frame.now_ms)?;
    conversations::go_on_with(tx, &conversation.id, &thread)?;
    audit::note(tx, person.user.as_str(), "continue", conversation.id.as_str(), thread.thread.as_str(), frame.now_ms)?;
    Ok(TakenUp::Done)
}

pub(super) fn fork(tx: &Transaction<'_>, here: &Here, lang: Lang) -> Result<Reply, LedgerError> {
    let Some(conversation) = here.conversation.as_ref().filter(|conversation| conversation.thread.is_some()) else {
        return Ok(Reply::say(say::command(lang, CommandMsg::NothingToFork)));
    };
    conversations::set_fork_wanted(tx, &conversation.id, true)?;
    Ok(Reply::say(say::command(lang, CommandMsg::Forked)))
}

pub(super) fn name(tx: &Transaction<'_>, here: &Here, lang: Lang, name: Option<&str>) -> Result<Reply, LedgerError> {
    let found = here.conversation.as_ref().and_then(|this| this.thread.as_ref().map(|thread| (this, thread)));
    let Some((conversation, thread)) = found else {
        return Ok(Reply::say(say::command(lang, CommandMsg::NothingToName)));
    };
    let (channel, chat) = (&conversation.channel, &conversation.chat);
    let Some(name) = name else {
        let known = threads::get(tx, channel, chat, thread)?.and_then(|thread| thread.name);
        let msg = known.as_deref().map_or(CommandMsg::NameNone, |name| CommandMsg::NameIs { name });
        return Ok(Reply::say(say::command(lang, msg)));
    };
    let name = cut(&name.split_whitespace().collect::<Vec<_>>().join(" "), NAME);
    threads::set_name(tx, channel, chat, thread, &name)?;
    let text = say::command(lang, CommandMsg::Named { name: &name });
    Ok(Reply { name: Some((thread.clone(), name)), ..Reply::say(text) })
}
