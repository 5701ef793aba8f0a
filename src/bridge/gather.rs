//! What a turn's prompt is made of besides the words: quoted and forwarded messages, attachments, companions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::warn;

use super::companions::{self, Stored};
use super::core::Core;
use super::ports::*;
use super::prepare::Letter;
use super::{render, route, say};
use crate::domain::gate::hex;
use crate::domain::ids::*;
use crate::domain::message::{ChatKind, IncomingMessage, Part};
use crate::domain::setting::catch_up;
use crate::domain::view::{Lang, Quoted};
use crate::ledger::inbound::{self, InboundRow, InboundState};
use crate::ledger::settings::{self, Setting};
use crate::ledger::{LedgerError, Transaction};
use crate::words::NoticeMsg;

/// A frozen prompt in the making.
pub(super) struct Gathered {
    pub prompt: Prompt,
    /// Messages without words of the same person that belong to this one.
    pub companions: Vec<InboundSeq>,
    /// The first message of the topic, where it stands in the prompt.
    pub opening: Option<MessageId>,
    /// What the person must be told about what could not be had, and of which message it was a part.
    pub notices: Vec<(InboundSeq, String)>,
    /// What only the owner can mend.
    pub for_owner: Option<String>,
}

impl From<Prompt> for Gathered {
    /// Nothing came along.
    fn from(prompt: Prompt) -> Self {
        Self { prompt, companions: Vec::new(), opening: None, notices: Vec::new(), for_owner: None }
    }
}

struct Pieces {
    quoted: Vec<Quoted>,
    files: Vec<(String, PathBuf)>,
    images: Vec<PathBuf>,
    omitted: Vec<String>,
    notices: Vec<(InboundSeq, String)>,
    lang: Lang,
}

/// Fetches everything that the prompt needs. A thing that cannot be had is named in the prompt and to the person; it
/// never keeps the words from running. What was sent earlier stands first.
pub(super) async fn gather(core: &Core, letter: &Letter, companions: Vec<Stored>) -> Result<Gathered, LedgerError> {
    let mut pieces = Pieces {
        quoted: Vec::new(),
        files: Vec::new(),
        images: Vec::new(),
        omitted: Vec::new(),
        notices: Vec::new(),
        lang: core.config.lang,
    };
    let mut sent: Vec<(&InboundRow, &IncomingMessage)> =
        companions.iter().map(|(row, message)| (row, message)).collect();
    sent.push((&letter.row, &letter.message));
    sent.sort_by_key(|(row, message)| (message.sent_at_ms, row.seq));
    for (row, message) in sent {
        attachments(core, row, message, &mut pieces).await;
    }
    let root = match quoted_parent(&letter.message) {
        Some(parent) => {
            quote(core, &letter.row, parent, &mut pieces).await;
            None
        }
        None => route::unknown_root(core, letter).await?,
    };
    if let Some(root) = &root {
        opening(core, &letter.row, root, &mut pieces).await;
    }
    let (said, for_owner) = caught_up(core, letter, &pieces.quoted).await?;
    let input = render::PromptInput {
        group: letter.message.chat_kind == ChatKind::Group,
        sender: &letter.person.name,
        text: &letter.text,
        quoted: &pieces.quoted,
        said: &said,
        files: &pieces.files,
        omitted: &pieces.omitted,
    };
    let prompt = Prompt { text: render::prompt(&input), images: pieces.images, ..Prompt::default() };
    Ok(Gathered {
        prompt,
        companions: companions.into_iter().map(|(row, _)| row.seq).collect(),
        opening: root,
        notices: pieces.notices,
        for_owner,
    })
}

/// Earlier tasks of a chat among which the last one of this place is looked for.
const EARLIER: u32 = 50;
/// Where the bot was never asked before, what is older is no context any more.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The task does not wait longer for what may be left out.
const CATCH_UP: Duration = Duration::from_secs(6);

/// What people said in this place since the last task that came out of it, where the chat is set to that, and the word for
/// the owner when the platform does not let us read it. Kept nowhere but in the frozen prompt.
async fn caught_up(
    core: &Core,
    letter: &Letter,
    quoted: &[Quoted],
) -> Result<(Vec<Quoted>, Option<String>), LedgerError> {
    let (row, message) = (&letter.row, &letter.message);
    if message.chat_kind != ChatKind::Group {
        return Ok((Vec::new(), None));
    }
    let (channel, chat, seq) = (row.channel.clone(), message.chat.clone(), row.seq);
    let read = move |tx: &Transaction<'_>| {
        let set = settings::get(tx, &channel, &chat, Setting::CatchUp)?;
        match catch_up(set.as_deref()) {
            Some(limit) => Ok(Some((limit, inbound::turns_before(tx, &channel, &chat, seq, EARLIER)?))),
            None => Ok(None),
        }
    };
    let (Some((limit, earlier)), Some(adapter)) = (core.ledger.read(read).await?, core.channel(&row.channel)) else {
        return Ok((Vec::new(), None));
    };
    let mut earlier = earlier.into_iter().filter_map(|row| companions::read(core, row));
    let last =
        earlier.find(|(_, words)| companions::same_place(words, message) && words.sent_at_ms < message.sent_at_ms);
    let span = Span {
        chat: message.chat.clone(),
        topic: message.topic.clone(),
        after_ms: last.map_or(message.sent_at_ms - DAY_MS, |(_, words)| words.sent_at_ms),
        until_ms: message.sent_at_ms,
        limit,
    };
    let read = match tokio::time::timeout(CATCH_UP, adapter.said_between(&span)).await {
        Ok(read) => read,
        Err(_) => Err(FetchError::Unavailable { reason: "timed out".to_owned() }),
    };
    match read {
        Ok(mut said) => {
            let quoted: Vec<_> = quoted.iter().filter_map(|one| one.message.clone()).collect();
            let channel = row.channel.clone();
            let read = move |tx: &Transaction<'_>| {
                let mut to_us = quoted;
                for id in said.iter().filter_map(|one| one.message.clone()) {
                    if inbound::by_message(tx, &channel, &id)?.is_some_and(|row| row.state != InboundState::Refused) {
                        to_us.push(id);
                    }
                }
                // What was said to the bot was dealt with, and what is quoted stands in the prompt already.
                said.retain(|one| one.message.as_ref().is_none_or(|id| !to_us.contains(id)));
                Ok(said)
            };
            Ok((core.ledger.read(read).await?, None))
        }
        Err(FetchError::NotAllowed { scope }) => {
            let chat = core.chat_name(&row.channel, &message.chat).await;
            let hint = NoticeMsg::CatchUpRefused { chat: &chat, scope: &scope };
            Ok((Vec::new(), Some(say::notice(core.config.lang, hint))))
        }
        Err(error) => {
            warn!(%error, "What was said in a chat since its last task could not be read");
            Ok((Vec::new(), None))
        }
    }
}

/// Whether gathering may have to ask the platform: only then is it worth being overtaken.
pub(super) async fn asks_platform(core: &Core, letter: &Letter, companions: &[Stored]) -> Result<bool, LedgerError> {
    let message = &letter.message;
    let asks =
        !companions.is_empty() || message.has_attachments() || message.parent.is_some() || message.root.is_some();
    if asks || message.chat_kind != ChatKind::Group {
        return Ok(asks);
    }
    let (channel, chat) = (letter.row.channel.clone(), message.chat.clone());
    let set = core.ledger.read(move |tx| settings::get(tx, &channel, &chat, Setting::CatchUp)).await?;
    Ok(catch_up(set.as_deref()).is_some())
}

/// Inside a topic every reply names the root as its parent: only another parent is a quote.
fn quoted_parent(message: &IncomingMessage) -> Option<&MessageId> {
    let parent = message.parent.as_ref()?;
    (message.topic.is_none() || message.root.as_ref() != Some(parent)).then_some(parent)
}

async fn attachments(core: &Core, row: &InboundRow, message: &IncomingMessage, pieces: &mut Pieces) {
    for (index, part) in message.content.iter().enumerate() {
        match part {
            Part::Text { .. } => {}
            Part::Image { .. } | Part::File { .. } if pieces.files.len() >= core.config.limits.attachments => {
                too_many(core, row, part, pieces);
            }
            Part::Image { key } => {
                let name = format!("image-{}-{index}.png", row.seq.0);
                if let Some(path) = fetch(core, row, message, key, &name, true, pieces).await {
                    pieces.images.push(path.clone());
                    pieces.files.push((name, path));
                }
            }
            Part::File { key, name, .. } => {
                let safe = safe_name(name, index);
                if let Some(path) = fetch(core, row, message, key, &safe, false, pieces).await {
                    pieces.files.push((name.clone(), path));
                }
            }
            Part::Forward => quote(core, row, &message.message, pieces).await,
            Part::Unreadable { what } => {
                let what = crate::words::unreadable_name(what, pieces.lang);
                pieces.omitted.push(what.to_owned());
            }
        }
    }
}

/// What is over the limit is named, and said once.
fn too_many(core: &Core, row: &InboundRow, part: &Part, pieces: &mut Pieces) {
    let limit = u32::try_from(core.config.limits.attachments).unwrap_or(u32::MAX);
    let text = say::notice(pieces.lang, NoticeMsg::TooManyFiles { limit });
    if pieces.notices.iter().all(|(_, said)| *said != text) {
        pieces.notices.push((row.seq, text));
    }
    pieces.omitted.push(match part {
        Part::File { name, .. } => name.clone(),
        _ => "picture".to_owned(),
    });
}

/// Fetched into the row's own folder and renamed into place, so that a restart never sees half a file.
async fn fetch(
    core: &Core,
    row: &InboundRow,
    message: &IncomingMessage,
    key: &ResourceKey,
    name: &str,
    is_image: bool,
    pieces: &mut Pieces,
) -> Option<PathBuf> {
    let folder = core.config.attachments.join(row.seq.0.to_string());
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    let from = Attachment { message: message.message.clone(), key: key.clone(), is_image };
    let result = match std::fs::create_dir_all(&folder) {
        Ok(()) => download(core, &row.channel, &from, &path).await,
        Err(error) => Err(FetchError::Unavailable { reason: error.to_string() }),
    };
    match result {
        Ok(()) => Some(path),
        Err(error) => {
            warn!(inbound.seq = row.seq.0, %error, "An attachment could not be fetched");
            let text = match &error {
                FetchError::TooLarge { max_bytes } => {
                    NoticeMsg::FileTooBig { name, megabytes: u32::try_from(max_bytes / 1_048_576).unwrap_or(u32::MAX) }
                }
                _ => NoticeMsg::FileNotFetched { name },
            };
            pieces.notices.push((row.seq, say::notice(pieces.lang, text)));
            pieces.omitted.push(name.to_owned());
            None
        }
    }
}

async fn download(core: &Core, channel: &ChannelName, from: &Attachment, path: &Path) -> Result<(), FetchError> {
    let unavailable = |error: std::io::Error| FetchError::Unavailable { reason: error.to_string() };
    let Some(channel) = core.channel(channel) else { return Err(FetchError::Gone) };
    let part = path.with_extension("part");
    let mut tries = 0;
    loop {
        match channel.download(from, &part, core.config.max_attachment).await {
            Ok(_) => break,
            Err(FetchError::Unavailable { reason }) if tries < 2 => {
                tries += 1;
                warn!(%reason, "A download is tried again");
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
            Err(error) => {
                let _ = std::fs::remove_file(&part);
                return Err(error);
            }
        }
    }
    std::fs::rename(&part, path).map_err(unavailable)
}

async fn quote(core: &Core, row: &InboundRow, message: &MessageId, pieces: &mut Pieces) {
    let Some(adapter) = core.channel(&row.channel) else { return };
    match adapter.quoted(message).await {
        Ok(quoted) => pieces.quoted.extend(quoted),
        Err(FetchError::NotAllowed { scope }) => {
            pieces.notices.push((row.seq, say::notice(pieces.lang, NoticeMsg::QuotedNotReadable { scope: &scope })));
            pieces.omitted.push("quoted message".to_owned());
        }
        Err(error) => {
            warn!(%error, "A quoted message could not be read");
            pieces.notices.push((row.seq, say::notice(pieces.lang, NoticeMsg::QuotedGone)));
            pieces.omitted.push("quoted message".to_owned());
        }
    }
}

/// What a topic is about that people began among themselves. Nobody quoted it, so nobody is told when it cannot be read.
async fn opening(core: &Core, row: &InboundRow, root: &MessageId, pieces: &mut Pieces) {
    let Some(adapter) = core.channel(&row.channel) else { return };
    match adapter.quoted(root).await {
        Ok(quoted) => pieces.quoted.extend(quoted),
        Err(error) => {
            warn!(%error, "The first message of a topic could not be read");
            pieces.omitted.push("the topic's first message".to_owned());
        }
    }
}

/// A file name that stays in its folder: no separators, no leading dot, not longer than file systems take.
fn safe_name(name: &str, index: usize) -> String {
    let cleaned: String =
        name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\' | ':') { '_' } else { c }).collect();
    let cleaned = cleaned.trim_start_matches('.').trim();
    if cleaned.is_empty() {
        return format!("file-{index}");
    }
    if cleaned.len() <= 120 {
        return cleaned.to_owned();
    }
    // Long names keep their end: the extension says what it is.
    let digest = hex(&Sha256::digest(cleaned.as_bytes())[..4]);
    let end: String = cleaned.chars().rev().take(24).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{digest}-{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for (name, want) in [
            ("报告.pdf", "报告.pdf"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a/b\\c:d", "a_b_c_d"),
            ("...", "file-3"),
            ("", "file-3"),
            ("x\ny", "x_y"),
        ] {
            assert_eq!(safe_name(name, 3), want);
        }
        assert!(safe_name(&format!("{}.tar.gz", "长".repeat(200)), 0).ends_with(".tar.gz"));
    }
}
