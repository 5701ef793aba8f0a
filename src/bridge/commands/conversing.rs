//! Commands about conversations and where they work.

use std::path::PathBuf;

use super::model::Which;
use super::place::{self, Ground};
use super::{Here, Reply, compact, model, threads, usage};
use crate::bridge::core::{Busy, Core};
use crate::bridge::pictures::Frame;
use crate::bridge::places::Refused;
use crate::bridge::ports::{CallError, Capabilities, KeptThread, Model};
use crate::bridge::prepare::Letter;
use crate::bridge::{places, route, say};
use crate::domain::access::{Act, may};
use crate::domain::conversing::Conversing;
use crate::domain::limits::Limits;
use crate::domain::message::ChatKind;
use crate::domain::view::Lang;
use crate::ledger::conversations::NewConversation;
use crate::ledger::{LedgerError, Transaction, said};
use crate::words::CommandMsg;

/// What such a command has to know beyond the ledger: asked before its transaction.
#[derive(Default)]
pub(super) struct Beforehand {
    /// Of the runtime, while there is one.
    pub capabilities: Option<Capabilities>,
    /// Where the runtime keeps its threads.
    pub home: String,
    /// What a conversation would be made with, in a chat that is one.
    pub place: Option<NewConversation>,
    /// Threads of the chat's directory, for the owner alone.
    pub kept: Vec<KeptThread>,
    /// What the runtime offers; `None` when it could not be asked.
    pub models: Option<Vec<Model>>,
    pub ground: Ground,
    pub changes: Option<Result<String, CallError>>,
    /// What becomes of a message while something runs, where the chat has not chosen.
    pub busy: Busy,
    pub limits: Limits,
}

impl Beforehand {
    pub async fn of(core: &Core, letter: &Letter, command: &Conversing) -> Result<Self, LedgerError> {
        let live = core.host.now();
        let capabilities = live.as_ref().map(|live| live.capabilities());
        let direct = letter.message.chat_kind == ChatKind::Direct;
        let place = if direct { Some(route::place(core, letter).await?) } else { None };
        let mut kept = Vec::new();
        let lists = matches!(command, Conversing::Threads | Conversing::Resume(_));
        if let (Some(place), Some(live), true) = (&place, live, lists && letter.person.role.is_owner()) {
            match live.call(|runtime| runtime.threads(&place.directory)).await {
                Ok(threads) => kept = threads,
                Err(error) => tracing::debug!(%error, "The runtime lists no threads"),
            }
        }
        let models = match (command, core.host.now()) {
            (Conversing::Model(_) | Conversing::Effort(_), Some(live)) => live
                .call(|runtime| runtime.models())
                .await
                .inspect_err(|error| tracing::debug!(%error, "No models"))
                .ok(),
            _ => None,
        };
        let changes = match (command, core.host.now()) {
            (Conversing::Diff, Some(live)) => {
                let directory = route::place(core, letter).await?.directory;
                Some(live.call(|runtime| runtime.changes(&directory)).await)
            }
            _ => None,
        };
        let ground = ground(core, letter, command).await?;
        let (busy, limits, home) = (core.config.busy, core.config.limits, core.host.home());
        Ok(Self { busy, limits, changes, capabilities, home, place, kept, models, ground })
    }

    /// The runtime is there and cannot do it.
    pub fn lacks(&self, has: impl FnOnce(&Capabilities) -> bool) -> bool {
        self.capabilities.as_ref().is_some_and(|capabilities| !has(capabilities))
    }
}

/// Projects that are listed.
const PROJECTS: usize = 10;

/// Looks at the disk, where a command is about it.
async fn ground(core: &Core, letter: &Letter, command: &Conversing) -> Result<Ground, LedgerError> {
    let may_bind = may(letter.person.role, Act::Bind);
    let (channel, chat) = (letter.row.channel.clone(), letter.message.chat.clone());
    let configured = route::directory(core, &channel, &chat);
    let config = core.config.clone();
    Ok(match command {
        Conversing::Project if may_bind => {
            Ground { configured, projects: places::projects(&config, PROJECTS), wanted: None }
        }
        Conversing::Bind(typed) if may_bind => {
            let wanted = match typed.as_str() {
                "-" => std::fs::create_dir_all(&configured).map(|()| configured.clone()).map_err(|_| Refused::NotThere),
                typed => {
                    let key = place::listed_key(&channel, &chat);
                    let listed = core.ledger.read(move |tx| said::meta(tx, &key)).await?;
                    let listed: Vec<PathBuf> =
                        listed.map(|rows| serde_json::from_str(&rows)).transpose()?.unwrap_or_default();
                    let numbered = typed.parse::<usize>().ok().and_then(|n| listed.get(n.wrapping_sub(1)).cloned());
                    let typed = numbered.map_or_else(|| typed.to_owned(), |path| path.to_string_lossy().into_owned());
                    let from = route::place(core, letter).await?.directory;
                    places::allowed(&typed, &from, &config)
                }
            };
            Ground { configured, wanted: Some(wanted), projects: Vec::new() }
        }
        _ => Ground { configured, ..Ground::default() },
    })
}

/// Lines of a list of changes.
const CHANGES: usize = 40;

fn diff(lang: Lang, before: &Beforehand) -> String {
    match &before.changes {
        Some(Ok(changes)) if changes.trim().is_empty() => say::command(lang, CommandMsg::DiffNothing),
        Some(Ok(changes)) => {
            let mut lines: Vec<&str> = changes.lines().take(CHANGES).collect();
            lines.extend((changes.lines().count() > CHANGES).then_some("…"));
            lines.join("\n")
        }
        Some(Err(CallError::Unsupported)) => say::command(lang, CommandMsg::CannotRuntime),
        Some(Err(CallError::Refused { .. })) => say::command(lang, CommandMsg::DiffNoRepository),
        Some(Err(_)) | None => say::command(lang, CommandMsg::DiffNotNow),
    }
}

pub(super) fn run(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    command: &Conversing,
    before: &Beforehand,
) -> Result<Reply, LedgerError> {
    match command {
        Conversing::Threads | Conversing::Resume(None) => threads::list(tx, frame, letter, here, lang, before),
        Conversing::Resume(Some(n)) => threads::resume(tx, frame, letter, here, lang, before, *n),
        Conversing::Fork if before.lacks(|runtime| runtime.fork) => {
            Ok(Reply::say(say::command(lang, CommandMsg::CannotRuntime)))
        }
        Conversing::Fork => threads::fork(tx, here, lang),
        Conversing::Name(name) => threads::name(tx, here, lang, name.as_deref()),
        Conversing::Diff => Ok(Reply::say(diff(lang, before))),
        Conversing::Plan(_) if before.lacks(|runtime| runtime.plan) => {
            Ok(Reply::say(say::command(lang, CommandMsg::CannotRuntime)))
        }
        Conversing::Plan(None) => Ok(Reply::say(say::command(lang, CommandMsg::PlanWhat))),
        Conversing::Plan(words) => Ok(Reply { then: words.clone(), plan: true, ..Reply::default() }),
        Conversing::Compact if before.lacks(|runtime| runtime.compact) => {
            Ok(Reply::say(say::command(lang, CommandMsg::CannotRuntime)))
        }
        Conversing::Compact => compact::compact(tx, frame, letter, here, lang, (before.busy, before.limits)),
        // What was typed shows to people and to the agent, with the words behind it.
        Conversing::Review => Ok(Reply { then: Some(letter.text.clone()), review: true, ..Reply::default() }),
        Conversing::Model(name) => model::run(tx, frame, letter, lang, before, Which::Model, name.as_deref()),
        Conversing::Effort(name) => model::run(tx, frame, letter, lang, before, Which::Effort, name.as_deref()),
        Conversing::Project => place::show(tx, frame, letter, here, lang, before),
        Conversing::Bind(_) => place::bind(tx, frame, letter, lang, before),
        Conversing::Usage { days } => usage::usage(tx, frame, here, &letter.message.chat, lang, *days),
    }
}
