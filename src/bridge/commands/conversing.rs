//! Commands about conversations and where they work.

use super::{Here, Reply, threads, usage};
use crate::bridge::core::Core;
use crate::bridge::pictures::Frame;
use crate::bridge::ports::{Capabilities, KeptThread};
use crate::bridge::prepare::Letter;
use crate::bridge::{route, say};
use crate::domain::conversing::Conversing;
use crate::domain::message::ChatKind;
use crate::domain::view::Lang;
use crate::ledger::conversations::NewConversation;
use crate::ledger::{LedgerError, Transaction};
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
        Ok(Self { capabilities, home: core.host.home(), place, kept })
    }

    /// The runtime is there and cannot do it.
    pub fn lacks(&self, has: impl FnOnce(&Capabilities) -> bool) -> bool {
        self.capabilities.as_ref().is_some_and(|capabilities| !has(capabilities))
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
        Conversing::Usage { days } => usage::usage(tx, frame, here, lang, *days),
    }
}
