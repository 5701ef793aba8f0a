//! Conversations: one chat, or one topic of it, bound to a runtime thread and a directory.

use std::path::{Path, PathBuf};

use rusqlite::{Row, Transaction, params};

use super::LedgerError;
use super::restored;
use super::said;
use super::sql::{all, first, id, id_opt, run};
use super::threads::{self, Thread};
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::setting::Setting;
use crate::domain::view::Lang;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub id: ConversationId,
    pub channel: ChannelName,
    pub chat: ChatId,
    pub chat_kind: ChatKind,
    /// Root message of the topic; `None` is the chat itself, or a routine's.
    pub root: Option<MessageId>,
    /// The routine whose runs are in it: its answers reply to nothing.
    pub routine: Option<String>,
    pub topic: Option<TopicId>,
    pub directory: PathBuf,
    pub lang: Lang,
    pub runtime_kind: String,
    pub runtime_home: String,
    pub thread: Option<ThreadId>,
    pub thread_cursor: Option<NativeTurnId>,
    pub settled_on_thread: i64,
    /// When a turn last settled here.
    pub last_settled_ms: Option<i64>,
    pub held: Option<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub why: HeldWhy,
    pub turn: Option<TurnId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldWhy {
    Lost,
    Elsewhere,
    Quarantined,
    Restored,
    Locked,
    HistoryGone,
}

impl HeldWhy {
    const ALL: [HeldWhy; 6] = [
        HeldWhy::Lost,
        HeldWhy::Elsewhere,
        HeldWhy::Quarantined,
        HeldWhy::Restored,
        HeldWhy::Locked,
        HeldWhy::HistoryGone,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            HeldWhy::Lost => "lost",
            HeldWhy::Elsewhere => "elsewhere",
            HeldWhy::Quarantined => "quarantined",
            HeldWhy::Restored => "restored",
            HeldWhy::Locked => "locked",
            HeldWhy::HistoryGone => "history_gone",
        }
    }

    pub(super) fn find(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == text)
    }
}

/// What a conversation is made with, the first time somebody speaks in it.
#[derive(Debug, Clone)]
pub struct NewConversation {
    pub channel: ChannelName,
    pub chat: ChatId,
    pub chat_kind: ChatKind,
    pub root: Option<MessageId>,
    /// The routine that it is for, in place of a topic.
    pub routine: Option<String>,
    pub topic: Option<TopicId>,
    pub directory: PathBuf,
    pub lang: Lang,
    pub runtime_kind: String,
    pub runtime_home: String,
}

/// What stands in place of a root message, which is never like it, in a routine's conversation.
fn root_of_routine(name: &str) -> String {
    format!("routine:{name}")
}

/// Finds the conversation of a chat, topic or routine, or makes it.
pub fn resolve(tx: &Transaction<'_>, new: &NewConversation, now_ms: i64) -> Result<Conversation, LedgerError> {
    let root = match &new.routine {
        Some(name) => root_of_routine(name),
        None => new.root.as_ref().map(MessageId::to_string).unwrap_or_default(),
    };
    let sql = "INSERT INTO conversations (id, channel, chat, chat_kind, root, topic, directory, lang, runtime_kind, runtime_home, created_at_ms, active_at_ms, routine)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12)
         ON CONFLICT (channel, chat, root) DO UPDATE SET active_at_ms = ?11, topic = coalesce(topic, excluded.topic)";
    run(
        tx,
        sql,
        params![
            ConversationId::fresh().as_str(),
            new.channel.as_str(),
            new.chat.as_str(),
            new.chat_kind.as_str(),
            root,
            new.topic.as_ref().map(TopicId::as_str),
            new.directory.to_string_lossy(),
            new.lang.as_str(),
            new.runtime_kind,
            new.runtime_home,
            now_ms,
            new.routine
        ],
    )?;
    by_root(tx, &new.channel, &new.chat, &root)?.ok_or(LedgerError::Missing("the conversation"))
}

/// Of a routine, where it ran in the chat before.
pub fn of_routine(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    name: &str,
) -> Result<Option<Conversation>, LedgerError> {
    by_root(tx, channel, chat, &root_of_routine(name))
}

pub fn find(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    root: Option<&MessageId>,
) -> Result<Option<Conversation>, LedgerError> {
    by_root(tx, channel, chat, root.map_or("", MessageId::as_str))
}

fn by_root(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    root: &str,
) -> Result<Option<Conversation>, LedgerError> {
    let sql = "SELECT * FROM conversations WHERE channel = ?1 AND chat = ?2 AND root = ?3";
    first(tx, sql, params![channel.as_str(), chat.as_str(), root], read)
}

/// By the platform's topic id: an alias, learned from events and from answers to our sends.
pub fn find_topic(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    topic: &TopicId,
) -> Result<Option<Conversation>, LedgerError> {
    let sql =
        "SELECT * FROM conversations WHERE channel = ?1 AND chat = ?2 AND topic = ?3 ORDER BY created_at_ms LIMIT 1";
    first(tx, sql, params![channel.as_str(), chat.as_str(), topic.as_str()], read)
}

pub fn learn_topic(tx: &Transaction<'_>, conversation: &ConversationId, topic: &TopicId) -> Result<(), LedgerError> {
    run(
        tx,
        "UPDATE conversations SET topic = coalesce(topic, ?2) WHERE id = ?1",
        params![conversation.as_str(), topic.as_str()],
    )?;
    Ok(())
}

pub fn get(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Conversation, LedgerError> {
    first(tx, "SELECT * FROM conversations WHERE id = ?1", [conversation.as_str()], read)?
        .ok_or(LedgerError::Missing("the conversation"))
}

/// Those of a chat in which something is to be done, and the one that was last active; that first.
pub fn at_work(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId) -> Result<Vec<Conversation>, LedgerError> {
    let sql = "SELECT DISTINCT c.* FROM turns t CROSS JOIN conversations c ON c.id = t.conversation
         WHERE t.state <> 'settled' AND c.channel = ?1 AND c.chat = ?2 ORDER BY c.active_at_ms DESC";
    let mut found = all(tx, sql, params![channel.as_str(), chat.as_str()], read)?;
    if let Some(newest) = newest_of_chat(tx, channel, chat)?
        && found.iter().all(|one| one.id != newest.id)
    {
        found.insert(0, newest);
    }
    Ok(found)
}

/// Those of a chat that were last active.
pub fn recent(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    since_ms: i64,
    limit: u32,
) -> Result<Vec<Conversation>, LedgerError> {
    let sql = "SELECT * FROM conversations WHERE channel = ?1 AND chat = ?2 AND active_at_ms >= ?3 ORDER BY active_at_ms DESC LIMIT ?4";
    all(tx, sql, params![channel.as_str(), chat.as_str(), since_ms, limit], read)
}

/// The conversations of a chat that are bound to a thread.
pub fn on_thread(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    thread: &ThreadId,
) -> Result<Vec<Conversation>, LedgerError> {
    let sql =
        "SELECT * FROM conversations INDEXED BY conversations_thread WHERE thread = ?3 AND channel = ?1 AND chat = ?2";
    all(tx, sql, params![channel.as_str(), chat.as_str(), thread.as_str()], read)
}

/// Whether a conversation of the chat has a thread of another directory.
pub fn works_elsewhere(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    directory: &Path,
) -> Result<bool, LedgerError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM conversations WHERE channel = ?1 AND chat = ?2 AND thread IS NOT NULL AND directory <> ?3)";
    let values = params![channel.as_str(), chat.as_str(), directory.to_string_lossy()];
    Ok(first(tx, sql, values, |row| row.get(0))?.unwrap_or(false))
}

/// The one of a chat that was last active; a routine's only where the chat has no other.
pub fn newest_of_chat(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
) -> Result<Option<Conversation>, LedgerError> {
    let sql = "SELECT * FROM conversations WHERE channel = ?1 AND chat = ?2 ORDER BY routine IS NOT NULL, active_at_ms DESC LIMIT 1";
    first(tx, sql, params![channel.as_str(), chat.as_str()], read)
}

/// Whether a chat is a group, as its conversations say.
pub fn kind_of_chat(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
) -> Result<Option<ChatKind>, LedgerError> {
    Ok(newest_of_chat(tx, channel, chat)?.map(|conversation| conversation.chat_kind))
}

/// Conversations that have a turn which is not settled: those that need a task after a start.
pub fn with_work(tx: &Transaction<'_>) -> Result<Vec<ConversationId>, LedgerError> {
    let sql = "SELECT DISTINCT conversation FROM turns WHERE state <> 'settled'";
    all(tx, sql, [], |row| id(row, "conversation"))
}

/// Binds the conversation to a thread (W2 of its first turn), with the newest turn known on it.
pub fn set_thread(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    thread: Option<&ThreadId>,
    cursor: Option<&NativeTurnId>,
) -> Result<(), LedgerError> {
    threads::leave(tx, conversation)?;
    if get(tx, conversation)?.thread.as_ref() != thread {
        // A copy was wanted of what it leaves.
        set_fork_wanted(tx, conversation, false)?;
    }
    let sql = "UPDATE conversations SET settled_on_thread = CASE WHEN thread IS ?2 THEN settled_on_thread ELSE 0 END,
                   thread = ?2, thread_cursor = ?3 WHERE id = ?1";
    run(tx, sql, params![conversation.as_str(), thread.map(ThreadId::as_str), cursor.map(NativeTurnId::as_str)])?;
    Ok(())
}

/// Goes on with a thread that was used before, or at the desk; nothing that was lost on the former one holds it up.
pub fn go_on_with(tx: &Transaction<'_>, conversation: &ConversationId, thread: &Thread) -> Result<(), LedgerError> {
    bring_to(tx, conversation, thread)?;
    release(tx, conversation)
}

/// Binds the conversation to a thread that was used before, as it was left.
pub fn bring_to(tx: &Transaction<'_>, conversation: &ConversationId, thread: &Thread) -> Result<(), LedgerError> {
    set_thread(tx, conversation, Some(&thread.thread), thread.cursor.as_ref())?;
    let sql = "UPDATE conversations SET settled_on_thread = ?2 WHERE id = ?1";
    run(tx, sql, params![conversation.as_str(), thread.settled])?;
    Ok(())
}

/// Where the next turns of a chat work.
pub fn set_directory(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    chat: &ChatId,
    directory: &Path,
) -> Result<(), LedgerError> {
    let sql = "UPDATE conversations SET directory = ?3 WHERE channel = ?1 AND chat = ?2";
    run(tx, sql, params![channel.as_str(), chat.as_str(), directory.to_string_lossy()])?;
    Ok(())
}

/// Every directory in which a chat works or was brought to work, each once. A step a directory, not one a topic.
pub fn directories(tx: &Transaction<'_>) -> Result<Vec<PathBuf>, LedgerError> {
    let sql = "WITH RECURSIVE
             used (path) AS (SELECT min(directory) FROM conversations
                 UNION ALL SELECT (SELECT min(directory) FROM conversations WHERE directory > path) FROM used WHERE path IS NOT NULL),
             bound (path) AS (SELECT min(value) FROM settings WHERE key = ?1
                 UNION ALL SELECT (SELECT min(value) FROM settings WHERE key = ?1 AND value > path) FROM bound WHERE path IS NOT NULL)
         SELECT path FROM used WHERE path IS NOT NULL UNION SELECT path FROM bound WHERE path IS NOT NULL";
    all(tx, sql, [Setting::Directory.as_str()], |row| Ok(PathBuf::from(row.get::<_, String>(0)?)))
}

/// From its next turn on the conversation goes on in a copy of its thread.
pub fn set_fork_wanted(tx: &Transaction<'_>, conversation: &ConversationId, wanted: bool) -> Result<(), LedgerError> {
    said::set_meta(tx, &format!("fork:{conversation}"), if wanted { "wanted" } else { "done" })
}

pub fn is_fork_wanted(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<bool, LedgerError> {
    Ok(said::meta(tx, &format!("fork:{conversation}"))?.as_deref() == Some("wanted"))
}

/// Before a conversation's id: the subject of its present queue card.
pub(super) const QUEUE_CARD: &str = "queue:";

/// The subject of its present queue card.
pub fn queue_card(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Option<String>, LedgerError> {
    Ok(said::meta(tx, &format!("{QUEUE_CARD}{conversation}"))?.filter(|subject| !subject.is_empty()))
}

pub fn set_queue_card(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    subject: Option<&str>,
) -> Result<(), LedgerError> {
    said::set_meta(tx, &format!("{QUEUE_CARD}{conversation}"), subject.unwrap_or_default())
}

/// The language of what ally says in a chat.
pub fn set_lang(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId, lang: Lang) -> Result<(), LedgerError> {
    let sql = "UPDATE conversations SET lang = ?3 WHERE channel = ?1 AND chat = ?2";
    run(tx, sql, params![channel.as_str(), chat.as_str(), lang.as_str()])?;
    Ok(())
}

/// Moves the cursor to a turn that is known to exist on the thread, if that still is the conversation's.
pub fn set_cursor(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    thread: &ThreadId,
    cursor: &NativeTurnId,
) -> Result<(), LedgerError> {
    let sql = "UPDATE conversations SET thread_cursor = ?3 WHERE id = ?1 AND thread = ?2";
    run(tx, sql, params![conversation.as_str(), thread.as_str(), cursor.as_str()])?;
    Ok(())
}

/// Counts a turn that settled with a result: from now on the thread must have a history.
pub fn count_settled(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    thread: &ThreadId,
) -> Result<(), LedgerError> {
    let sql = "UPDATE conversations SET settled_on_thread = settled_on_thread + 1 WHERE id = ?1 AND thread = ?2";
    run(tx, sql, params![conversation.as_str(), thread.as_str()])?;
    Ok(())
}

/// A turn has settled here, on whichever thread.
pub fn settled(tx: &Transaction<'_>, conversation: &ConversationId, now_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE conversations SET last_settled_ms = ?2 WHERE id = ?1";
    run(tx, sql, params![conversation.as_str(), now_ms])?;
    Ok(())
}

pub fn hold(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    why: HeldWhy,
    turn: Option<&TurnId>,
) -> Result<(), LedgerError> {
    let sql = "UPDATE conversations SET state = 'held', held_why = ?2, held_turn = ?3 WHERE id = ?1";
    run(tx, sql, params![conversation.as_str(), why.as_str(), turn.map(TurnId::as_str)])?;
    Ok(())
}

/// Its next turn knows nothing of what was said before, and nothing that was lost holds it up.
pub fn begin_anew(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), LedgerError> {
    set_thread(tx, conversation, None, None)?;
    release(tx, conversation)
}

/// Nothing holds it any more, but for this: since the ledger was put back, its owner has a word to say first.
pub fn release(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), LedgerError> {
    restored::forget_former(tx, conversation)?;
    let sql = "UPDATE conversations SET state = 'open', held_why = NULL, held_turn = NULL
         WHERE id = ?1 AND held_why IS NOT 'restored'";
    run(tx, sql, [conversation.as_str()])?;
    Ok(())
}

/// What holds a conversation, whether or not all of it is held since the ledger was put back.
pub fn held_for(tx: &Transaction<'_>, conversation: &Conversation) -> Result<Option<Held>, LedgerError> {
    match &conversation.held {
        Some(held) if held.why == HeldWhy::Restored => restored::former(tx, &conversation.id),
        held => Ok(held.clone()),
    }
}

/// The next gate number of a conversation. Numbers are never reused.
pub fn next_gate_number(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<i64, LedgerError> {
    let sql = "UPDATE conversations SET gate_number = gate_number + 1 WHERE id = ?1 RETURNING gate_number";
    first(tx, sql, [conversation.as_str()], |row| row.get(0))?.ok_or(LedgerError::Missing("the conversation"))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    let (root, routine): (String, Option<String>) = (row.get("root")?, row.get("routine")?);
    let kind: String = row.get("chat_kind")?;
    let lang: String = row.get("lang")?;
    Ok(Conversation {
        id: id(row, "id")?,
        channel: id(row, "channel")?,
        chat: id(row, "chat")?,
        chat_kind: if kind == "direct" { ChatKind::Direct } else { ChatKind::Group },
        root: (!root.is_empty() && routine.is_none()).then(|| root.into()),
        routine,
        topic: id_opt(row, "topic")?,
        directory: PathBuf::from(row.get::<_, String>("directory")?),
        lang: Lang::parse(&lang).unwrap_or_default(),
        runtime_kind: row.get("runtime_kind")?,
        runtime_home: row.get("runtime_home")?,
        thread: id_opt(row, "thread")?,
        thread_cursor: id_opt(row, "thread_cursor")?,
        settled_on_thread: row.get("settled_on_thread")?,
        last_settled_ms: row.get("last_settled_ms")?,
        held: read_held(row)?,
    })
}

fn read_held(row: &Row<'_>) -> rusqlite::Result<Option<Held>> {
    let Some(text) = row.get::<_, Option<String>>("held_why")? else { return Ok(None) };
    let why = HeldWhy::find(&text).ok_or_else(|| super::sql::unreadable("held_why", &text))?;
    Ok(Some(Held { why, turn: id_opt(row, "held_turn")? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::open::{Places, writer};
    use crate::ledger::settings;

    #[test]
    fn directories_are_found_whoever_works_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let tx = ledger.transaction().unwrap();
        assert_eq!(directories(&tx).unwrap(), Vec::<PathBuf>::new());
        for (chat, root, directory) in [("c1", "t1", "/b"), ("c1", "t2", "/b"), ("c2", "t1", "/a"), ("c3", "t1", "/d")]
        {
            let new = NewConversation {
                channel: "local".into(),
                chat: chat.into(),
                chat_kind: ChatKind::Group,
                root: Some(root.into()),
                routine: None,
                topic: None,
                directory: directory.into(),
                lang: Lang::En,
                runtime_kind: "codex".to_owned(),
                runtime_home: "/h".to_owned(),
            };
            resolve(&tx, &new, 1).unwrap();
        }
        // Nobody has written there yet.
        for (chat, directory) in [("c4", "/c"), ("c5", "/c"), ("c6", "/e")] {
            let (chat, by) = (chat.into(), "u".into());
            settings::set(&tx, &"local".into(), &chat, Setting::Directory, Some(directory), &by, 1).unwrap();
        }
        settings::set(&tx, &"local".into(), &"c7".into(), Setting::Model, Some("/x"), &"u".into(), 1).unwrap();
        assert_eq!(directories(&tx).unwrap(), ["/a", "/b", "/c", "/d", "/e"].map(PathBuf::from));
    }
}
