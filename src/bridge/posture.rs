//! What a conversation's commands may do: its level, and what of others they must never see.

use std::path::{Path, PathBuf};

use super::actions;
use super::core::Core;
use super::ports::{Level, Posture};
use crate::domain::access::Access;
use crate::domain::ids::{InboundSeq, UserId};
use crate::domain::level;
use crate::domain::message::ChatKind;
use crate::ledger::conversations::Conversation;
use crate::ledger::settings::{self, Setting};
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, Transaction, inbound};

/// The level of a turn as the chat's settings and its requester's rights stand now.
pub fn level(
    tx: &Transaction<'_>,
    access: &Access,
    conversation: &Conversation,
    requester: &UserId,
    now_ms: i64,
) -> Result<Level, LedgerError> {
    let role = access.role(requester, None, Some(&conversation.chat), conversation.chat_kind);
    let set = settings::get_dated(tx, &conversation.channel, &conversation.chat, Setting::Autonomy)?;
    let set = set.and_then(|(value, at_ms)| Some((Level::parse(&value)?, at_ms)));
    Ok(level::of_turn(set, conversation.chat_kind == ChatKind::Direct, role, now_ms))
}

/// The posture of a turn that works in `directory`.
pub async fn of(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    directory: &Path,
) -> Result<Posture, LedgerError> {
    let (access, here, requester) = (core.access(&conversation.channel), conversation.clone(), turn.requester.clone());
    let now = core.now_ms();
    let level = core.ledger.read(move |tx| level(tx, &access, &here, &requester, now)).await?;
    let attachments = core.config.attachments.clone();
    let folders: Vec<InboundSeq> =
        entries(&attachments).filter_map(|path| path.file_name()?.to_str()?.parse().ok().map(InboundSeq)).collect();
    let (channel, chat) = (conversation.channel.clone(), conversation.chat.clone());
    let ours = match folders.is_empty() {
        true => Vec::new(),
        false => core.ledger.read(move |tx| inbound::of_chat(tx, &folders, &channel, &chat)).await?,
    };
    let mut readable: Vec<PathBuf> = ours.into_iter().map(|seq| attachments.join(seq.0.to_string())).collect();
    readable.sort();
    let mut denied: Vec<PathBuf> =
        entries(&core.config.workspaces).filter(|path| !directory.starts_with(path)).collect();
    denied.extend(core.config.directory.iter().filter(|other| !directory.starts_with(other)).cloned());
    denied.sort();
    let network = actions::has_network(&core.access(&conversation.channel), conversation, turn);
    Ok(Posture { level, network, denied, readable })
}

/// What lies in a folder; nothing where it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}
