//! What a conversation's commands may do: its level, and what of others they must never see.

use std::path::{Path, PathBuf};

use super::core::Core;
use super::ports::{Level, Posture};
use crate::domain::ids::InboundSeq;
use crate::ledger::conversations::Conversation;
use crate::ledger::{LedgerError, inbound};

/// The posture of a conversation that works in `directory`.
pub async fn of(core: &Core, conversation: &Conversation, directory: &Path) -> Result<Posture, LedgerError> {
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
    Ok(Posture { level: Level::Edit, network: false, denied, readable })
}

/// What lies in a folder; nothing where it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}
