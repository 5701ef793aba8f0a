//! Outbox rows of the kind that is sent once.

use rusqlite::{Row, Transaction, params};

use super::LedgerError;
use super::sql::{all, first, from_json, id, id_opt, json, run, unreadable};
use crate::domain::delivery::{Body, MessageState, Target};
use crate::domain::ids::*;
use crate::domain::view::Lang;

#[derive(Debug, Clone, PartialEq)]
pub struct OutMessage {
    pub id: DeliveryId,
    pub conversation: Option<ConversationId>,
    pub turn: Option<TurnId>,
    pub channel: ChannelName,
    pub target: Target,
    pub body: Body,
    pub form: u32,
    pub lang: Lang,
    pub state: MessageState,
    pub version: i64,
    /// Tries that failed or had no answer.
    pub attempts: u32,
    /// By the platform's clock.
    pub first_attempt_ms: Option<i64>,
    pub next_at_ms: i64,
    pub resource: Option<ResourceKey>,
    pub platform_id: Option<MessageId>,
    pub problem: Option<String>,
    /// The platform's code of the last refusal.
    pub problem_code: Option<i64>,
    pub created_at_ms: i64,
}

#[derive(Debug, Clone)]
pub struct NewMessage {
    pub conversation: Option<ConversationId>,
    pub turn: Option<TurnId>,
    pub channel: ChannelName,
    pub target: Target,
    pub body: Body,
    pub lang: Lang,
    /// Sent only after this one is out (or will never be).
    pub after: Option<DeliveryId>,
    /// The caller sends it right after this commit, at this time of the platform: saves the commit of the claim. Behind
    /// others of its chat it waits unattempted like all.
    pub sending: Option<i64>,
}

pub fn insert(tx: &Transaction<'_>, new: &NewMessage, now_ms: i64) -> Result<DeliveryId, LedgerError> {
    let delivery = DeliveryId::fresh();
    let chat = new.target.chat.as_str();
    let waits = "SELECT 1 FROM messages WHERE channel = ?1 AND chat = ?2 AND state IN ('ready', 'sending') LIMIT 1";
    let others = first(tx, waits, params![new.channel.as_str(), chat], |_| Ok(()))?;
    let first_attempt = new.sending.filter(|_| others.is_none());
    let state = if first_attempt.is_some() { MessageState::Sending } else { MessageState::Ready };
    // Due at once, also after the clock was set back.
    let sql = "INSERT INTO messages (id, conversation, turn, channel, target, chat, body, lang, after, state, first_attempt_ms, next_at_ms, created_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12)";
    run(
        tx,
        sql,
        params![
            delivery.as_str(),
            new.conversation.as_ref().map(ConversationId::as_str),
            new.turn.as_ref().map(TurnId::as_str),
            new.channel.as_str(),
            json(&new.target)?,
            chat,
            json(&new.body)?,
            new.lang.as_str(),
            new.after.as_ref().map(DeliveryId::as_str),
            state.as_str(),
            first_attempt,
            now_ms
        ],
    )?;
    Ok(delivery)
}

/// The oldest open row of a chat, and only that: what came later waits, so that a chat keeps its order and starves no other.
/// What is held ([`super::restored`]) holds up nothing.
#[derive(Debug, Clone)]
pub struct Head {
    pub id: DeliveryId,
    pub channel: ChannelName,
    pub chat: ChatId,
}

/// What the outbox may send.
#[derive(Debug, Default)]
pub struct Due {
    /// What is due, oldest first: never attempted or definitely refused, or ambiguous and to be repeated.
    pub heads: Vec<Head>,
    /// When the next row becomes due that is not yet.
    pub next_ms: Option<i64>,
}

/// All heads. The index is sought three times a chat, however much waits there.
const HEADS: &str = "WITH RECURSIVE fronts (open) AS (
         SELECT * FROM (SELECT rowid FROM messages INDEXED BY messages_open WHERE state IN ('ready', 'sending')
             ORDER BY channel, chat LIMIT 1)
         UNION ALL
         SELECT coalesce(
             (SELECT m.rowid FROM messages m INDEXED BY messages_open WHERE m.state IN ('ready', 'sending')
                  AND m.channel = p.channel AND m.chat > p.chat ORDER BY m.chat LIMIT 1),
             (SELECT m.rowid FROM messages m INDEXED BY messages_open WHERE m.state IN ('ready', 'sending')
                  AND m.channel > p.channel ORDER BY m.channel, m.chat LIMIT 1))
         FROM fronts CROSS JOIN messages p ON p.rowid = fronts.open),
     heads (head) AS (
         SELECT (SELECT m.rowid FROM messages m INDEXED BY messages_open WHERE m.state IN ('ready', 'sending')
             AND m.channel = p.channel AND m.chat = p.chat AND m.next_at_ms < ?1 ORDER BY m.created_at_ms, m.id LIMIT 1)
         FROM fronts CROSS JOIN messages p ON p.rowid = fronts.open)
     SELECT m.id, m.channel, m.chat, m.next_at_ms FROM heads CROSS JOIN messages m ON m.rowid = heads.head
     ORDER BY m.created_at_ms, m.id";

/// The heads that are due now, at most `limit`, and when the next one is.
pub fn due(tx: &Transaction<'_>, now_ms: i64, limit: usize) -> Result<Due, LedgerError> {
    let read = |row: &Row<'_>| {
        let head = Head { id: id(row, "id")?, channel: id(row, "channel")?, chat: id(row, "chat")? };
        Ok((head, row.get::<_, i64>("next_at_ms")?))
    };
    let mut due = Due::default();
    for (head, at_ms) in all(tx, HEADS, [super::restored::HELD_MS], read)? {
        if at_ms > now_ms {
            due.next_ms = Some(due.next_ms.map_or(at_ms, |next| next.min(at_ms)));
        } else if due.heads.len() < limit {
            due.heads.push(head);
        }
    }
    Ok(due)
}

pub fn get(tx: &Transaction<'_>, delivery: &DeliveryId) -> Result<OutMessage, LedgerError> {
    first(tx, "SELECT * FROM messages WHERE id = ?1", [delivery.as_str()], read)?
        .ok_or(LedgerError::Missing("the delivery"))
}

/// Whether the answer to a message is written and still to be sent.
pub fn answer_waits(tx: &Transaction<'_>, channel: &ChannelName, message: &MessageId) -> Result<bool, LedgerError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM inbound i INDEXED BY inbound_message CROSS JOIN turns t ON t.id = i.turn
         CROSS JOIN messages m INDEXED BY messages_turn ON m.turn = t.id
         WHERE i.message_id = ?2 AND i.channel = ?1 AND t.state = 'settled' AND t.outcome = 'completed'
           AND m.state IN ('ready', 'sending') AND json_extract(m.body, '$.body') = 'answer')";
    Ok(first(tx, sql, params![channel.as_str(), message.as_str()], |row| row.get(0))?.unwrap_or(false))
}

/// The message of ours that the platform knows by this id, if it is one.
pub fn by_platform(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    message: &MessageId,
) -> Result<Option<OutMessage>, LedgerError> {
    let sql = "SELECT * FROM messages INDEXED BY messages_platform WHERE platform_id = ?2 AND channel = ?1 LIMIT 1";
    first(tx, sql, params![channel.as_str(), message.as_str()], read)
}

/// The newest that a channel is known to have shown, messages and cards, by the platform's ids. By their order in the
/// ledger, because clocks may have been set in between.
pub fn newest_platform_ids(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    limit: u32,
) -> Result<Vec<MessageId>, LedgerError> {
    let sql = "SELECT * FROM (SELECT platform_id FROM messages WHERE channel = ?1 AND platform_id IS NOT NULL
             ORDER BY rowid DESC LIMIT ?2)
         UNION SELECT * FROM (SELECT platform_id FROM surfaces WHERE channel = ?1 AND platform_id IS NOT NULL
             AND kind <> 'reaction' ORDER BY rowid DESC LIMIT ?2)";
    all(tx, sql, params![channel.as_str(), limit], |row| id(row, "platform_id"))
}

/// `ready → sending`, before the request is written.
pub fn claim(tx: &Transaction<'_>, message: &OutMessage, platform_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE messages SET state = 'sending', first_attempt_ms = coalesce(first_attempt_ms, ?3),
                   version = version + 1 WHERE id = ?1 AND version = ?2 AND state = 'ready'";
    if run(tx, sql, params![message.id.as_str(), message.version, platform_ms])? == 0 {
        return Err(LedgerError::Stale("the delivery"));
    }
    Ok(())
}

/// W7.
pub fn sent(
    tx: &Transaction<'_>,
    delivery: &DeliveryId,
    platform: Option<&MessageId>,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let sql =
        "UPDATE messages SET state = 'sent', platform_id = ?2, sent_at_ms = ?3, problem = NULL, version = version + 1
         WHERE id = ?1 AND state <> 'sent'";
    run(tx, sql, params![delivery.as_str(), platform.map(MessageId::as_str), now_ms])?;
    Ok(())
}

/// Certainly not sent: the same again, in another form or to another target, not before `next_at_ms`.
#[derive(Debug, Clone)]
pub struct Again {
    pub form: u32,
    pub target: Target,
    pub next_at_ms: i64,
    pub problem: String,
    /// The platform's code, where it refused.
    pub code: Option<i64>,
}

pub fn refused(tx: &Transaction<'_>, delivery: &DeliveryId, again: &Again) -> Result<(), LedgerError> {
    // A definite refusal takes the first attempt back: the row is as good as never attempted.
    let sql = "UPDATE messages SET state = 'ready', form = ?2, target = ?3, next_at_ms = ?4, problem = ?5, problem_code = ?6, first_attempt_ms = NULL,
                   attempts = attempts + 1, version = version + 1 WHERE id = ?1 AND state IN ('ready', 'sending')";
    let target = json(&again.target)?;
    run(tx, sql, params![delivery.as_str(), again.form, target, again.next_at_ms, again.problem, again.code])?;
    Ok(())
}

/// After a restart nobody knows what became of an attempt without an answer: it counts as one. The next is made at once, also
/// of what was refused: whoever restarts may have mended what it was refused for.
pub fn count_unanswered(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    run(
        tx,
        "UPDATE messages INDEXED BY messages_open SET attempts = attempts + (state = 'sending'), next_at_ms = 0
         WHERE state IN ('ready', 'sending') AND next_at_ms < ?1",
        [super::restored::HELD_MS],
    )?;
    Ok(())
}

/// The clock was set back to `now_ms`: what is to be tried again would wait for as long as it was set back.
pub fn forget_waits(tx: &Transaction<'_>, now_ms: i64) -> Result<(), LedgerError> {
    let sql = "UPDATE messages INDEXED BY messages_open SET next_at_ms = 0
         WHERE state IN ('ready', 'sending') AND next_at_ms > ?1 AND next_at_ms < ?2";
    run(tx, sql, params![now_ms, super::restored::HELD_MS])?;
    Ok(())
}

/// No answer, or a refusal after an attempt that had none: stays `sending`, to be repeated with the same key.
pub fn ambiguous(
    tx: &Transaction<'_>,
    delivery: &DeliveryId,
    next_at_ms: i64,
    problem: &str,
) -> Result<(), LedgerError> {
    let sql = "UPDATE messages SET next_at_ms = ?2, problem = ?3, attempts = attempts + 1, version = version + 1
         WHERE id = ?1 AND state = 'sending'";
    run(tx, sql, params![delivery.as_str(), next_at_ms, problem])?;
    Ok(())
}

pub fn undeliverable(tx: &Transaction<'_>, delivery: &DeliveryId, problem: &str) -> Result<(), LedgerError> {
    let sql = "UPDATE messages SET state = 'undeliverable', problem = ?2, version = version + 1
         WHERE id = ?1 AND state IN ('ready', 'sending')";
    run(tx, sql, params![delivery.as_str(), problem])?;
    Ok(())
}

/// The uploaded file's key, recorded before the message that shows it is sent.
pub fn set_resource(tx: &Transaction<'_>, delivery: &DeliveryId, resource: &ResourceKey) -> Result<(), LedgerError> {
    run(tx, "UPDATE messages SET resource = ?2 WHERE id = ?1", params![delivery.as_str(), resource.as_str()])?;
    Ok(())
}

/// Other words for the same delivery (marked as a possible repeat).
pub fn set_body(tx: &Transaction<'_>, delivery: &DeliveryId, body: &Body) -> Result<(), LedgerError> {
    run(tx, "UPDATE messages SET body = ?2 WHERE id = ?1", params![delivery.as_str(), json(body)?])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<OutMessage> {
    let state: String = row.get("state")?;
    let lang: String = row.get("lang")?;
    Ok(OutMessage {
        id: id(row, "id")?,
        conversation: id_opt(row, "conversation")?,
        turn: id_opt(row, "turn")?,
        channel: id(row, "channel")?,
        target: from_json(row, "target")?,
        body: from_json(row, "body")?,
        form: row.get("form")?,
        lang: Lang::parse(&lang).unwrap_or_default(),
        state: MessageState::parse(&state).ok_or_else(|| unreadable("message state", &state))?,
        version: row.get("version")?,
        attempts: row.get("attempts")?,
        first_attempt_ms: row.get("first_attempt_ms")?,
        next_at_ms: row.get("next_at_ms")?,
        resource: id_opt(row, "resource")?,
        platform_id: id_opt(row, "platform_id")?,
        problem: row.get("problem")?,
        problem_code: row.get("problem_code")?,
        created_at_ms: row.get("created_at_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, LedgerLock, Places};

    fn to(chat: &str) -> NewMessage {
        NewMessage {
            conversation: None,
            turn: None,
            channel: "local".into(),
            target: Target { chat: chat.into(), reply_to: None, in_topic: false },
            body: Body::Notice { text: "it".to_owned() },
            lang: Lang::En,
            after: None,
            sending: None,
        }
    }

    #[tokio::test]
    async fn what_was_never_tried_does_not_wait_for_a_clock_that_was_set_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("a lock");
        let ledger = Ledger::open(&places, &lock).expect("a ledger");
        let hour = 3_600_000;
        let due = ledger.write(move |tx| {
            insert(tx, &to("one"), hour)?;
            due(tx, 1, 10)
        });
        assert_eq!(due.await.expect("a commit").heads.len(), 1);
    }

    #[tokio::test]
    async fn what_is_due_is_nothing_to_wait_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("a lock");
        let ledger = Ledger::open(&places, &lock).expect("a ledger");
        let seen = ledger
            .write(|tx| {
                // In flight: its end is an event.
                let sending = insert(tx, &to("one"), 1)?;
                claim(tx, &get(tx, &sending)?, 1)?;
                insert(tx, &to("one"), 2)?;
                let none = due(tx, 10, 10)?.next_ms;
                let later = insert(tx, &to("two"), 3)?;
                claim(tx, &get(tx, &later)?, 3)?;
                ambiguous(tx, &later, 20, "no answer")?;
                let (early, late) = (due(tx, 10, 10)?, due(tx, 20, 10)?);
                Ok((none, early.next_ms, late.next_ms, late.heads.len()))
            })
            .await
            .expect("a commit");
        assert_eq!(seen, (None, Some(20), None, 2));
    }

    /// Steps of one look at the outbox, and the bodies that it would send.
    fn look(tx: &Transaction<'_>) -> Result<(i32, Vec<String>), LedgerError> {
        let mut heads = tx.prepare(HEADS)?;
        let mut rows = heads.query([crate::ledger::restored::HELD_MS])?;
        while rows.next()?.is_some() {}
        drop(rows);
        let steps = heads.get_status(rusqlite::StatementStatus::VmStep);
        let chats = due(tx, 10, 100)?.heads.into_iter().map(|head| head.chat.as_str().to_owned()).collect();
        Ok((steps, chats))
    }

    #[tokio::test]
    async fn what_waits_behind_a_head_costs_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("a lock");
        let ledger = Ledger::open(&places, &lock).expect("a ledger");
        let looks = ledger
            .write(|tx| {
                let held = insert(tx, &to("held"), 1)?;
                tx.execute(
                    "UPDATE messages SET next_at_ms = ?2 WHERE id = ?1",
                    params![held.as_str(), crate::ledger::restored::HELD_MS],
                )?;
                for (at, chat) in ["b", "a", "c"].into_iter().enumerate() {
                    insert(tx, &to(chat), at as i64)?;
                }
                let first = look(tx)?;
                for at in 0..300 {
                    insert(tx, &to(["a", "b", "c"][at % 3]), 5)?;
                }
                Ok((first, look(tx)?))
            })
            .await
            .expect("a commit");
        assert_eq!(looks.0.1, ["b", "a", "c"], "the oldest first, and nothing that is held");
        assert_eq!(looks.0, looks.1);
    }
}
