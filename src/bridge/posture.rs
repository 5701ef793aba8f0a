//! What a conversation's commands may do: its level, and what of others they must never see.

use std::path::{Path, PathBuf};

use super::core::Core;
use super::ports::{Level, Posture, ToolAccess};
use super::{actions, prompts, tools};
use crate::domain::access::Access;
use crate::domain::ids::{InboundSeq, UserId};
use crate::domain::level;
use crate::domain::message::ChatKind;
use crate::ledger::conversations::Conversation;
use crate::ledger::settings::{self, Setting};
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, Transaction, conversations, inbound};

/// The level of a turn as the chat's settings and its requester's rights stand now; a routine's says itself how far it may go.
pub fn of_turn(
    tx: &Transaction<'_>,
    access: &Access,
    conversation: &Conversation,
    turn: &Turn,
    now_ms: i64,
) -> Result<Level, LedgerError> {
    let role = access.role(&turn.requester, None, Some(&conversation.chat), conversation.chat_kind);
    match prompts::thaw(&turn.prompt).routine {
        Some(routine) => Ok(routine.autonomy.min(role.cap())),
        None => level(tx, access, conversation, &turn.requester, now_ms),
    }
}

/// The level of somebody's turn as the chat's settings and his rights stand now.
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
    let (access, here, of) = (core.access(&conversation.channel), conversation.clone(), turn.clone());
    let now = core.now_ms();
    let level = core.ledger.read(move |tx| of_turn(tx, &access, &here, &of, now)).await?;
    let attachments = core.config.attachments.clone();
    let folders: Vec<InboundSeq> =
        entries(&attachments).filter_map(|path| path.file_name()?.to_str()?.parse().ok().map(InboundSeq)).collect();
    let (channel, chat) = (conversation.channel.clone(), conversation.chat.clone());
    let ours = match folders.is_empty() {
        true => Vec::new(),
        false => core.ledger.read(move |tx| inbound::of_chat(tx, &folders, &channel, &chat)).await?,
    };
    let mut readable: Vec<PathBuf> = ours.into_iter().map(|seq| attachments.join(seq.0.to_string())).collect();
    // The assistant's own directory: there its owner has it look up what was done before.
    let is_owners = core.access(&conversation.channel).owner.as_ref() == Some(&turn.requester);
    if is_owners && directory == core.config.assistant {
        readable.push(core.config.archive.clone());
    }
    readable.sort();
    let bound = core.ledger.read(conversations::directories).await?;
    let others = entries(&core.config.workspaces).chain(core.config.directory.clone()).chain(bound);
    let others = others.chain(Some(core.config.assistant.clone()));
    let denied = denied(others, directory);
    let network = actions::has_network(&core.access(&conversation.channel), conversation, turn);
    let key = tools::key(core, &conversation.id).await?;
    let tools = Some(ToolAccess { conversation: conversation.id.clone(), key });
    Ok(Posture { level, network, denied, readable, tools })
}

/// Of the places where others work, those that a turn in `directory` must not see. A project that holds the directory, or
/// lies in it, is shared by whoever brought a chat there: to take it out of the working tree would look like its removal.
fn denied(others: impl Iterator<Item = PathBuf>, directory: &Path) -> Vec<PathBuf> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let own = real(directory);
    let is_shared = |other: &Path| own.starts_with(other) || other.starts_with(&own);
    let mut denied: Vec<PathBuf> = others.map(|other| real(&other)).filter(|other| !is_shared(other)).collect();
    denied.sort();
    denied.dedup();
    denied
}

/// What lies in a folder; nothing where it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_places_are_denied_and_the_own_tree_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["code/web/api", "code/shop", "ally/1"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("code/shop"), root.join("shop")).unwrap();
        let others = ["code", "code/web", "code/web/api", "code/webs", "code/shop", "shop", "ally/1", "gone"];
        let of = |own: &str| -> Vec<String> {
            let denied = denied(others.iter().map(|path| root.join(path)), &root.join(own));
            denied.iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect()
        };
        assert_eq!(of("code/web"), ["ally/1", "code/shop", "code/webs", "gone"]);
        assert_eq!(of("shop"), ["ally/1", "code/web", "code/web/api", "code/webs", "gone"], "by another name");
        assert_eq!(of("ally/1"), ["code", "code/shop", "code/web", "code/web/api", "code/webs", "gone"]);
    }
}
