//! Fills a ledger with turns as they are after years of use: each went the whole way, through the same functions as a
//! living one, from W1 to W7 with its receipts and its card that nobody needed.

use std::path::PathBuf;

use crate::domain::delivery::{Body, Target};
use crate::domain::ids::{ChatId, DeliveryId, Generation, MessageId, NativeTurnId, ThreadId, UserId};
use crate::domain::level::Level;
use crate::domain::message::ChatKind;
use crate::domain::turn::Outcome;
use crate::domain::view::{Lang, Receipt};
use crate::ledger::conversations::{self, Conversation, NewConversation};
use crate::ledger::inbound::{self, Admission, InboundState};
use crate::ledger::messages::{self, NewMessage};
use crate::ledger::surfaces::{self, SurfaceKind};
use crate::ledger::threads::{self, Owner};
use crate::ledger::turns::{self, NewTurn, Settlement, Submission, Turn};
use crate::ledger::{Ledger, LedgerError, Transaction, generations};

use super::site::{chat, comparable, user};

/// Turns of one commit: the disk shall not decide how long this takes.
const BATCH: u64 = 2_000;
/// Between two turns.
const APART_MS: i64 = 60_000;
const PROMPT: &str = "Please look at the failing test in the parser and tell me what is wrong with it.";
const ANSWER: &str = "The test fails because the parser takes the second separator for the end of the line. I changed the \
                      loop in parse_line so that it reads on, and added a test for it. All tests pass now.";

/// What a ledger is filled with.
#[derive(Debug, Clone)]
pub struct Filling {
    /// Turns that are settled, from the oldest to this one.
    pub settled: std::ops::Range<u64>,
    /// Turns behind them that are not: every second one was at work when its process died.
    pub unsettled: u64,
    /// They belong to so many chats.
    pub chats: u64,
    /// When the newest was.
    pub until_ms: i64,
    /// Of the runtime.
    pub kind: String,
    /// Where the runtime keeps its history.
    pub home: String,
    /// Where chats have their directories.
    pub workspaces: PathBuf,
}

/// Fills it.
///
/// # Errors
/// Those of a write.
pub async fn fill(ledger: &Ledger, filling: &Filling) -> Result<(), LedgerError> {
    let (kind, home, until) = (filling.kind.clone(), filling.home.clone(), filling.until_ms);
    let dead = ledger.write(move |tx| {
        let number = generations::begin(tx, &kind, &home, until)?;
        generations::dead(tx, number, false, until)?;
        Ok(number)
    });
    let generation = dead.await?;
    let all = filling.settled.end + filling.unsettled;
    let mut next = filling.settled.start;
    while next < all {
        let end = (next + BATCH).min(all);
        let (filling, range) = (filling.clone(), next..end);
        ledger.write(move |tx| range.clone().try_for_each(|n| one(tx, &filling, n, generation))).await?;
        next = end;
    }
    if filling.unsettled > 0 {
        return Ok(());
    }
    // No runtime has these threads: each chat begins anew, as after `/new`.
    let chats = filling.chats as usize;
    let anew = ledger.write(move |tx| {
        for place in 0..chats {
            let chat: ChatId = chat(place).as_str().into();
            if let Some(conversation) = conversations::find(tx, &"feishu".into(), &chat, None)? {
                conversations::begin_anew(tx, &conversation.id)?;
            }
        }
        Ok(())
    });
    anew.await
}

/// Everything about the `n`th turn.
fn one(tx: &Transaction<'_>, filling: &Filling, n: u64, generation: Generation) -> Result<(), LedgerError> {
    let place = (n % filling.chats) as usize;
    let behind = (filling.settled.end + filling.unsettled - n) as i64;
    let now = filling.until_ms - behind * APART_MS;
    let (who, where_): (UserId, ChatId) = (user(place).as_str().into(), chat(place).as_str().into());
    let message: MessageId = format!("om_filled_{n:025}").as_str().into();
    let row = inbound::NewInbound {
        chat: Some(where_.clone()),
        message: Some(message.clone()),
        dedupe_key: message.as_str().to_owned(),
        sender: Some(who.clone()),
        sent_at_ms: Some(now),
        received_at_ms: now,
        ..comparable(n, PROMPT)
    };
    let Admission::New(seq) = inbound::admit(tx, &row)? else { return Ok(()) };
    let conversation = conversations::resolve(tx, &conversation(filling, place, &where_), now)?;
    let new = NewTurn {
        conversation: conversation.id.clone(),
        ord: None,
        requester: who,
        requester_name: format!("Person {place}"),
        title: PROMPT.chars().take(23).collect(),
        reply_to: Some(message.clone()),
        prompt: crate::bridge::prompt_of(PROMPT),
        continues: None,
        directory: None,
        network_by: None,
        not_before_ms: 0,
    };
    let turn = turns::insert(tx, &new, now)?;
    inbound::resolve(tx, seq, InboundState::Turn, None, Some(&turn))?;
    surfaces::want_receipt(tx, &conversation.channel, &where_, &message, Receipt::Accepted, now)?;
    let settles = n < filling.settled.end;
    if !settles && n.is_multiple_of(2) {
        return Ok(());
    }
    let thread: ThreadId = format!("thread-{place:04}").as_str().into();
    let native: NativeTurnId = format!("native-{n}").as_str().into();
    let submission = Submission {
        thread: thread.clone(),
        cursor: conversation.thread_cursor.clone(),
        generation,
        boot_id: "a former boot".to_owned(),
        at_ms: now,
        level: Level::Edit,
        network: false,
        position: None,
    };
    turns::submit(tx, &turns::get(tx, &turn)?, &submission)?;
    if conversation.thread.as_ref() != Some(&thread) {
        conversations::set_thread(tx, &conversation.id, Some(&thread), None)?;
    }
    let owner = Owner { channel: &conversation.channel, chat: &where_, home: &filling.home };
    threads::used(tx, owner, &thread, &conversation.directory, &new.title, now)?;
    turns::started(tx, &turns::get(tx, &turn)?, &native, now + 5)?;
    if settles { settle(tx, &conversation, &turns::get(tx, &turn)?, (n, &message), now + 9_000) } else { Ok(()) }
}

fn conversation(filling: &Filling, place: usize, chat: &ChatId) -> NewConversation {
    NewConversation {
        channel: "feishu".into(),
        chat: chat.clone(),
        chat_kind: ChatKind::Direct,
        root: None,
        routine: None,
        topic: None,
        directory: filling.workspaces.join(format!("filled-{place}")),
        lang: Lang::En,
        runtime_kind: filling.kind.clone(),
        runtime_home: filling.home.clone(),
    }
}

/// W6 and W7, and the receipt that people see at the end.
fn settle(
    tx: &Transaction<'_>,
    conversation: &Conversation,
    turn: &Turn,
    (n, message): (u64, &MessageId),
    now: i64,
) -> Result<(), LedgerError> {
    let how = Settlement { answer: Some(ANSWER.to_owned()), tokens: Some(2_345), ..Settlement::default() };
    turns::settle(tx, turn, Outcome::Completed, &how, now)?;
    conversations::settled(tx, &conversation.id, now)?;
    if let (Some(native), Some(thread)) = (&turn.native_turn, &turn.thread) {
        conversations::set_cursor(tx, &conversation.id, thread, native)?;
        conversations::count_settled(tx, &conversation.id, thread)?;
    }
    let answer = NewMessage {
        conversation: Some(conversation.id.clone()),
        turn: Some(turn.id.clone()),
        channel: conversation.channel.clone(),
        target: Target { chat: conversation.chat.clone(), reply_to: Some(message.clone()), in_topic: false },
        body: Body::Answer { markdown: ANSWER.to_owned(), part: 1, parts: 1, footer: None, mention: None },
        lang: Lang::En,
        after: None,
        sending: Some(now),
    };
    let delivery: DeliveryId = messages::insert(tx, &answer, now)?;
    messages::sent(tx, &delivery, Some(&format!("om_answer_{n:025}").as_str().into()), now + 200)?;
    surfaces::want_receipt(tx, &conversation.channel, &conversation.chat, message, Receipt::Done, now)?;
    if let Some(receipt) = surfaces::find(tx, SurfaceKind::Reaction, message.as_str())? {
        surfaces::creating(tx, &receipt.id, now)?;
        let (mark, shown) = (format!("r_{n}"), Some(receipt.wanted_hash.as_str()));
        surfaces::shown(tx, &receipt.id, Some(&mark), shown, 0, now + 250)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{LedgerLock, Places, report};

    #[tokio::test]
    async fn a_filled_ledger_is_one_that_was_used() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).unwrap();
        let ledger = Ledger::open(&places, &lock).unwrap();
        let until_ms = 1_790_000_000_000;
        let filling = Filling {
            settled: 0..30,
            unsettled: 10,
            chats: 4,
            until_ms,
            kind: "embedded".to_owned(),
            home: "home".to_owned(),
            workspaces: dir.path().to_owned(),
        };
        fill(&ledger, &filling).await.unwrap();
        let counts = ledger.read(move |tx| report::counts(tx, until_ms)).await.unwrap();
        assert_eq!((counts.settled, counts.queued, counts.running), (30, 5, 5));
        assert_eq!((counts.outbox_ready, counts.outbox_sending, counts.outbox_undeliverable), (0, 0, 0));
        // Only the receipts of what is not over are still to be shown.
        assert_eq!(counts.surfaces_pending, 10);
        let works = ledger.read(conversations::with_work).await.unwrap();
        assert_eq!(works.len(), 4);
    }
}
