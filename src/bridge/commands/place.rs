//! `/cd`, `/project`: where a chat works.

use std::path::PathBuf;

use super::conversing::Beforehand;
use super::{Here, Reply, refused};
use crate::bridge::pictures::Frame;
use crate::bridge::places::Refused;
use crate::bridge::prepare::Letter;
use crate::bridge::say;
use crate::domain::access::{Act, may};
use crate::domain::ids::*;
use crate::domain::view::{Lang, ListRow, ListView, View};
use crate::ledger::settings::{self, Setting};
use crate::ledger::{LedgerError, Transaction, audit, conversations, said};
use crate::words::CommandMsg;

/// What is known of the disk when the command's transaction begins.
#[derive(Default)]
pub(super) struct Ground {
    /// Where the chat would work if nobody had brought it elsewhere.
    pub configured: PathBuf,
    /// The directory that is wanted, judged.
    pub wanted: Option<Result<PathBuf, Refused>>,
    pub projects: Vec<PathBuf>,
}

/// Numbers mean the list that was shown last in the chat.
pub(super) fn listed_key(channel: &ChannelName, chat: &ChatId) -> String {
    format!("projects:{channel}:{chat}")
}

/// Where the chat works, and for who may change it, where it could.
pub(super) fn show(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    before: &Beforehand,
) -> Result<Reply, LedgerError> {
    let (channel, chat) = (&frame.channel, &letter.message.chat);
    let now = directory(tx, channel, chat, here, before)?;
    let project = frame.project(&now);
    if !may(letter.person.role, Act::Bind) {
        return Ok(Reply::say(say::command(lang, CommandMsg::WorksIn { project: &project })));
    }
    let projects = &before.ground.projects;
    said::set_meta(tx, &listed_key(channel, chat), &serde_json::to_string(projects)?)?;
    let row = |(index, path): (usize, &PathBuf)| {
        let mark = if *path == now {
            format!(" · {}", say::command(lang, CommandMsg::ThreadsRowHere))
        } else {
            String::new()
        };
        ListRow { text: format!("{}. {}{mark}", index + 1, frame.project(path)), buttons: Vec::new() }
    };
    let note = if projects.is_empty() { CommandMsg::ProjectsNone } else { CommandMsg::ProjectsNote };
    let view = View::List(ListView {
        title: say::command(lang, CommandMsg::WorksIn { project: &project }),
        rows: projects.iter().enumerate().map(row).collect(),
        notes: vec![say::command(lang, note)],
    });
    Ok(Reply { view: Some(view), ..Reply::default() })
}

fn directory(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    here: &Here,
    before: &Beforehand,
) -> Result<PathBuf, LedgerError> {
    if let Some(conversation) = here.conversation.as_ref().or(here.chat.first()) {
        return Ok(conversation.directory.clone());
    }
    let set = settings::get(tx, channel, chat, Setting::Directory)?;
    Ok(set.map_or_else(|| before.ground.configured.clone(), PathBuf::from))
}

/// From the next message on the chat works there. What is queued stays where it was asked.
pub(super) fn bind(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    before: &Beforehand,
) -> Result<Reply, LedgerError> {
    let (channel, chat) = (&frame.channel, &letter.message.chat);
    if !may(letter.person.role, Act::Bind) {
        return refused(tx, frame, letter, lang, Act::Bind, "cd");
    }
    let wanted = match &before.ground.wanted {
        Some(Ok(wanted)) => wanted,
        Some(Err(refused)) => return Ok(Reply::say(say::command(lang, why(*refused)))),
        None => return Ok(Reply::say(say::command(lang, CommandMsg::ProjectsNote))),
    };
    let is_configured = *wanted == before.ground.configured;
    let value = wanted.to_string_lossy();
    let value = (!is_configured).then_some(value.as_ref());
    settings::set(tx, channel, chat, Setting::Directory, value, &letter.person.user, frame.now_ms)?;
    if value.is_some() {
        settings::note_bound(tx, wanted)?;
    }
    let begins_anew = conversations::works_elsewhere(tx, channel, chat, wanted)?;
    conversations::set_directory(tx, channel, chat, wanted)?;
    let (user, detail) = (letter.person.user.as_str(), wanted.to_string_lossy());
    audit::note_in(tx, (channel, chat), user, "bind", chat.as_str(), &detail, frame.now_ms)?;
    let project = frame.project(wanted);
    let msg = match begins_anew {
        true => CommandMsg::BoundAnew { project: &project },
        false => CommandMsg::Bound { project: &project },
    };
    Ok(Reply::say(say::command(lang, msg)))
}

fn why(refused: Refused) -> CommandMsg<'static> {
    match refused {
        Refused::NotThere => CommandMsg::PlaceNotThere,
        Refused::TooWide => CommandMsg::PlaceTooWide,
        Refused::System => CommandMsg::PlaceSystem,
        Refused::Temp => CommandMsg::PlaceTemp,
        Refused::Own => CommandMsg::PlaceOwn,
        Refused::Hidden => CommandMsg::PlaceHidden,
        Refused::Outside => CommandMsg::PlaceOutside,
    }
}
