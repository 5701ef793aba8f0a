//! A ledger that was put back to an earlier state: what it calls unsettled may long be done. It is recognised by marks that
//! are kept outside of it, and all of that is held until somebody decides.

use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::conversations::{self, HeldWhy};
use super::inbound::{self, InboundRow};
use super::said::{self, meta, set_meta};
use super::sql::{all, first, id, json, run};
use super::turns::{self, Turn};
use crate::domain::ids::*;

/// Written into a copy that takes the ledger's place.
pub(super) const RESTORING: &str = "restoring";
/// When it was recognised, while nobody has decided.
const RESTORED: &str = "restored";
/// What it was recognised by.
const KNOWN: &str = "restored_marks";
/// The newest turn that was there then.
const TURNS: &str = "restored_turns";
/// When it last was.
const LAST: &str = "restored_ms";
/// Before a conversation's id: why it was held before, and for which turn.
pub(super) const FORMER: &str = "held before:";
/// Before a conversation's id: the thread on which something may go on that was given up, or that this ledger never knew.
const UNKNOWN: &str = "unknown on:";
/// Why an inbound row waits: nobody knows whether it was dealt with.
const HELD: &str = "restored";
/// When a delivery is due of which nobody knows whether it was sent.
pub(super) const HELD_MS: i64 = i64::MAX;

/// How far a ledger has come. None of these numbers ever goes back by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    pub ledger: String,
    pub inbound: i64,
    pub generations: i64,
    pub turns: i64,
    pub messages: i64,
}

impl Marks {
    /// Whether this is an earlier state of what `known` was taken of.
    pub fn is_behind(&self, known: &Marks) -> bool {
        let is_new = self.inbound == 0 && self.generations == 0;
        let other = self.ledger != known.ledger && !is_new;
        let behind = self.ledger == known.ledger
            && (self.inbound < known.inbound
                || self.generations < known.generations
                || self.turns < known.turns
                || self.messages < known.messages);
        other || behind
    }
}

pub fn marks(tx: &Transaction<'_>) -> Result<Marks, LedgerError> {
    let newest = |sql: &str| Ok::<_, LedgerError>(first(tx, sql, [], |row| row.get(0))?.unwrap_or(0));
    Ok(Marks {
        ledger: said::id(tx)?.unwrap_or_default(),
        inbound: newest("SELECT seq FROM inbound ORDER BY seq DESC LIMIT 1")?,
        generations: newest("SELECT number FROM generations ORDER BY number DESC LIMIT 1")?,
        turns: newest_turn(tx)?,
        messages: newest("SELECT rowid FROM messages ORDER BY rowid DESC LIMIT 1")?,
    })
}

/// The marks that it was recognised by: who finds them again knows nothing new, where they could not be brought up to date.
pub fn recognised_by(tx: &Transaction<'_>) -> Result<Vec<Marks>, LedgerError> {
    // What cannot be read says nothing.
    Ok(meta(tx, KNOWN)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

pub fn set_recognised_by(tx: &Transaction<'_>, known: &[Marks]) -> Result<(), LedgerError> {
    set_meta(tx, KNOWN, &json(&known)?)
}

fn newest_turn(tx: &Transaction<'_>) -> Result<i64, LedgerError> {
    Ok(first(tx, "SELECT rowid FROM turns ORDER BY rowid DESC LIMIT 1", [], |row| row.get(0))?.unwrap_or(0))
}

/// Whether it was put in the ledger's place on purpose.
pub fn is_marked(tx: &Transaction<'_>) -> Result<bool, LedgerError> {
    Ok(meta(tx, RESTORING)?.as_deref() == Some("1"))
}

/// The next start holds everything that is not over.
pub fn mark(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    set_meta(tx, RESTORING, "1")
}

/// Holds everything that is not over: nothing of it runs, is sent or is painted by itself.
pub fn hold(tx: &Transaction<'_>, now_ms: i64) -> Result<(), LedgerError> {
    set_meta(tx, RESTORING, "")?;
    set_meta(tx, RESTORED, &now_ms.to_string())?;
    set_meta(tx, LAST, &now_ms.to_string())?;
    set_meta(tx, TURNS, &newest_turn(tx)?.to_string())?;
    hold_conversations(tx)?;
    let messages = "UPDATE messages INDEXED BY messages_open SET next_at_ms = ?1 WHERE state IN ('ready', 'sending')";
    run(tx, messages, [HELD_MS])?;
    run(
        tx,
        "UPDATE inbound INDEXED BY inbound_received SET state = 'waiting', reason = ?1
         WHERE state = 'received' AND kind = 'message'",
        [HELD],
    )?;
    // Also what somebody is asked about: his card may say by now that it is decided, and ask nothing more.
    let waiting =
        "UPDATE inbound INDEXED BY inbound_waiting SET reason = ?1 WHERE state = 'waiting' AND reason IS NOT ?1";
    run(tx, waiting, [HELD])?;
    // What a card shows by now is newer than what this ledger would paint.
    for sql in [
        "UPDATE surfaces INDEXED BY surfaces_due SET state = 'gone', problem = 'restored'
         WHERE state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash)",
        "UPDATE surfaces SET state = 'gone', problem = 'restored'
         WHERE kind = 'live' AND subject IN (SELECT id FROM turns WHERE state <> 'settled')",
        "UPDATE surfaces SET state = 'gone', problem = 'restored' WHERE kind = 'gate' AND subject IN
             (SELECT coalesce(card, id) FROM gates INDEXED BY gates_open WHERE state IN ('open', 'decided', 'answering'))",
    ] {
        run(tx, sql, [])?;
    }
    leave_queue_cards(tx)
}

/// The queue card of what is held is left as it is. The turns still wait, and may for long: the next word about that is on a
/// new card, which may have the same subject.
fn leave_queue_cards(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let sql =
        "SELECT DISTINCT t.conversation AS id, m.value FROM turns t CROSS JOIN meta m ON m.key = ?1 || t.conversation
         WHERE t.state <> 'settled' AND m.value <> ''";
    let found: Vec<(ConversationId, String)> =
        all(tx, sql, [conversations::QUEUE_CARD], |row| Ok((id(row, "id")?, row.get(1)?)))?;
    for (conversation, subject) in found {
        let card =
            "UPDATE surfaces SET state = 'gone', problem = 'restored', wanted = NULL, subject = subject || ':' || id
             WHERE kind = 'queue' AND subject = ?1";
        run(tx, card, [subject])?;
        conversations::set_queue_card(tx, &conversation, None)?;
    }
    Ok(())
}

/// All that have a turn which is not settled. What held them before waits behind it: a word about that frees no turn.
fn hold_conversations(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let sql =
        "SELECT DISTINCT c.id, c.held_why, c.held_turn FROM turns t CROSS JOIN conversations c ON c.id = t.conversation
         WHERE t.state <> 'settled' AND c.held_why IS NOT 'restored'";
    let found: Vec<(ConversationId, Option<String>, Option<String>)> =
        all(tx, sql, [], |row| Ok((id(row, "id")?, row.get(1)?, row.get(2)?)))?;
    for (conversation, why, turn) in found {
        if let Some(why) = why {
            set_meta(tx, &former_key(&conversation), &format!("{why} {}", turn.unwrap_or_default()))?;
        }
        conversations::hold(tx, &conversation, HeldWhy::Restored, None)?;
    }
    Ok(())
}

fn former_key(conversation: &ConversationId) -> String {
    format!("{FORMER}{conversation}")
}

/// What held a conversation before the ledger was put back, and will again.
pub fn former(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Option<conversations::Held>, LedgerError> {
    let text = meta(tx, &former_key(conversation))?.unwrap_or_default();
    let (why, turn) = text.split_once(' ').unwrap_or((&text, ""));
    let turn = (!turn.is_empty()).then(|| TurnId::from(turn));
    Ok(HeldWhy::find(why).map(|why| conversations::Held { why, turn }))
}

/// It will not hold it any more.
pub(super) fn forget_former(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), LedgerError> {
    run(tx, "DELETE FROM meta WHERE key = ?1", [former_key(conversation)]).map(drop)
}

/// When it was recognised, while nobody has decided.
pub fn undecided(tx: &Transaction<'_>) -> Result<Option<i64>, LedgerError> {
    Ok(meta(tx, RESTORED)?.and_then(|at| at.parse().ok()))
}

/// When it was last recognised: what was sent before may have been dealt with.
pub fn last_ms(tx: &Transaction<'_>) -> Result<Option<i64>, LedgerError> {
    Ok(meta(tx, LAST)?.and_then(|at| at.parse().ok()))
}

/// What is held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    pub turns: Vec<Turn>,
    pub messages: i64,
    pub inbound: i64,
}

pub fn held(tx: &Transaction<'_>, at_ms: i64) -> Result<Held, LedgerError> {
    let count = |sql: &str, value: &dyn rusqlite::ToSql| {
        Ok::<i64, LedgerError>(first(tx, sql, [value], |row| row.get(0))?.unwrap_or(0))
    };
    let messages = "SELECT count(*) FROM messages INDEXED BY messages_open WHERE state IN ('ready', 'sending') AND next_at_ms = ?1";
    let inbound = "SELECT count(*) FROM inbound INDEXED BY inbound_waiting WHERE state = 'waiting' AND reason = ?1";
    Ok(Held { turns: turns_held(tx, at_ms)?, messages: count(messages, &HELD_MS)?, inbound: count(inbound, &HELD)? })
}

/// The newest turn that was there when it was last recognised. A former ally noted only when that was.
fn newest_then(tx: &Transaction<'_>) -> Result<Option<i64>, LedgerError> {
    Ok(meta(tx, TURNS)?.and_then(|number| number.parse().ok()))
}

/// Whether a turn was there when it was last recognised, whatever a clock says of it.
pub fn was_there(tx: &Transaction<'_>, turn: &TurnId) -> Result<bool, LedgerError> {
    let Some(at_ms) = last_ms(tx)? else { return Ok(false) };
    let sql = "SELECT CASE WHEN ?2 IS NULL THEN created_at_ms <= ?3 ELSE rowid <= ?2 END FROM turns WHERE id = ?1";
    let found = first(tx, sql, params![turn.as_str(), newest_then(tx)?, at_ms], |row| row.get(0))?;
    Ok(found.unwrap_or(false))
}

/// Those that were there when it was recognised, whatever a clock says of them; what came since waits behind them.
fn turns_held(tx: &Transaction<'_>, at_ms: i64) -> Result<Vec<Turn>, LedgerError> {
    let newest = newest_then(tx)?;
    let sql = "SELECT t.id FROM turns t INDEXED BY turns_active CROSS JOIN conversations c ON c.id = t.conversation
         WHERE t.state <> 'settled' AND c.held_why = 'restored'
           AND CASE WHEN ?2 IS NULL THEN t.created_at_ms <= ?1 ELSE t.rowid <= ?2 END ORDER BY t.created_at_ms";
    let found: Vec<TurnId> = all(tx, sql, params![at_ms, newest], |row| id(row, "id"))?;
    found.iter().map(|turn| turns::get(tx, turn)).collect()
}

/// The messages among it.
pub fn inbound_held(tx: &Transaction<'_>) -> Result<Vec<InboundRow>, LedgerError> {
    inbound::waiting_since_restore(tx, HELD)
}

/// Lets everything go on: the conversations that wait for their tasks now.
pub fn go_on(tx: &Transaction<'_>) -> Result<Vec<ConversationId>, LedgerError> {
    let messages = "UPDATE messages INDEXED BY messages_open SET next_at_ms = 0 WHERE state IN ('ready', 'sending') AND next_at_ms = ?1";
    run(tx, messages, [HELD_MS])?;
    let inbound = "UPDATE inbound INDEXED BY inbound_waiting SET state = 'received', reason = 'wanted' WHERE state = 'waiting' AND reason = ?1";
    run(tx, inbound, [HELD])?;
    release(tx)
}

/// Gives up what is not sent and what was not looked at. The turns are for the caller to settle, before.
pub fn drop_rest(tx: &Transaction<'_>) -> Result<Vec<ConversationId>, LedgerError> {
    let messages =
        "UPDATE messages INDEXED BY messages_open SET state = 'undeliverable', problem = ?2, version = version + 1
         WHERE state IN ('ready', 'sending') AND next_at_ms = ?1";
    run(tx, messages, params![HELD_MS, "dropped after the ledger was restored"])?;
    let inbound = "UPDATE inbound INDEXED BY inbound_waiting SET state = 'cancelled', reason = 'dropped' WHERE state = 'waiting' AND reason = ?1";
    run(tx, inbound, [HELD])?;
    release(tx)
}

fn release(tx: &Transaction<'_>) -> Result<Vec<ConversationId>, LedgerError> {
    set_meta(tx, RESTORED, "")?;
    let sql = "INSERT OR REPLACE INTO meta (key, value) SELECT ?1 || id, thread FROM conversations
         WHERE held_why = 'restored' AND thread IS NOT NULL";
    run(tx, sql, [UNKNOWN])?;
    let sql = "UPDATE conversations SET state = 'open', held_why = NULL, held_turn = NULL WHERE held_why = 'restored' RETURNING id";
    let released: Vec<ConversationId> = all(tx, sql, [], |row| id(row, "id"))?;
    for conversation in &released {
        if let Some(held) = former(tx, conversation)? {
            conversations::hold(tx, conversation, held.why, held.turn.as_ref())?;
            forget_former(tx, conversation)?;
        }
    }
    Ok(released)
}

/// The thread of a conversation on which something may go on that nobody here follows. Nothing while somebody follows what
/// goes on there, or while nobody has decided what becomes of it.
pub fn unknown_on(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Option<ThreadId>, LedgerError> {
    let sql = "SELECT m.value AS thread FROM meta m JOIN conversations c ON c.id = ?2
         WHERE m.key = ?1 || c.id AND c.held_why IS NOT 'restored' AND NOT EXISTS (
             SELECT 1 FROM turns t INDEXED BY turns_active WHERE t.state <> 'settled'
               AND t.state IN ('submitting', 'running', 'waiting') AND t.thread = m.value)";
    first(tx, sql, [UNKNOWN, conversation.as_str()], |row| id(row, "thread"))
}

/// The conversations of which it is not known yet whether something goes on there.
pub fn in_doubt(tx: &Transaction<'_>) -> Result<Vec<ConversationId>, LedgerError> {
    let sql = "SELECT substr(key, length(?1) + 1) AS id FROM meta WHERE key > ?1 AND key < ?1 || char(1114111)";
    all(tx, sql, [UNKNOWN], |row| id(row, "id"))
}

/// Nothing goes on there any more.
pub fn nothing_unknown(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), LedgerError> {
    run(tx, "DELETE FROM meta WHERE key = ?1 || ?2", [UNKNOWN, conversation.as_str()]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::ChatKind;
    use crate::domain::turn::Outcome;
    use crate::domain::view::Lang;
    use crate::ledger::inbound::InboundState;
    use crate::ledger::open::{Places, writer};

    #[test]
    fn an_earlier_state_is_recognised_and_a_later_or_a_new_one_is_not() {
        let known = Marks { ledger: "l".to_owned(), inbound: 5, generations: 2, turns: 3, messages: 4 };
        let with = |change: fn(&mut Marks)| {
            let mut marks = known.clone();
            change(&mut marks);
            marks.is_behind(&known)
        };
        assert!(!with(|_| {}));
        assert!(!with(|marks| (marks.inbound, marks.messages) = (9, 9)));
        assert!(with(|marks| marks.inbound = 4));
        assert!(with(|marks| (marks.inbound, marks.generations) = (9, 1)));
        assert!(with(|marks| marks.messages = 3));
        assert!(with(|marks| marks.ledger = "other".to_owned()));
        let new = Marks { ledger: "fresh".to_owned(), ..Marks::default() };
        assert!(!new.is_behind(&known), "a ledger that was made anew has nothing to hold");
    }

    fn conversation(tx: &Transaction<'_>, chat: &str) -> ConversationId {
        let new = conversations::NewConversation {
            channel: "c".into(),
            chat: chat.into(),
            chat_kind: ChatKind::Direct,
            root: None,
            routine: None,
            topic: None,
            directory: "/d".into(),
            lang: Lang::En,
            runtime_kind: "r".to_owned(),
            runtime_home: "/h".to_owned(),
        };
        conversations::resolve(tx, &new, 1).unwrap().id
    }

    fn queued(tx: &Transaction<'_>, conversation: &ConversationId, at_ms: i64) -> TurnId {
        let new = turns::NewTurn {
            conversation: conversation.clone(),
            ord: None,
            requester: "u".into(),
            requester_name: "U".to_owned(),
            title: "title".to_owned(),
            reply_to: None,
            prompt: "prompt".to_owned(),
            continues: None,
            directory: None,
            network_by: None,
            not_before_ms: 0,
        };
        turns::insert(tx, &new, at_ms).unwrap()
    }

    fn on_a_ledger(story: impl FnOnce(&Transaction<'_>)) {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        story(&ledger.transaction().unwrap());
    }

    /// A word about what held it, or a new beginning, lets nothing run that may long be done.
    #[test]
    fn what_held_a_conversation_before_holds_it_again_and_frees_nothing_meanwhile() {
        on_a_ledger(|tx| {
            let [lost, elsewhere, open] = ["lost", "elsewhere", "open"].map(|chat| conversation(tx, chat));
            let was_lost = queued(tx, &lost, 1);
            let cancelled = turns::get(tx, &was_lost).unwrap();
            turns::settle(tx, &cancelled, Outcome::Cancelled, &turns::Settlement::default(), 2).unwrap();
            conversations::hold(tx, &lost, HeldWhy::Lost, Some(&was_lost)).unwrap();
            conversations::hold(tx, &elsewhere, HeldWhy::Elsewhere, None).unwrap();
            let turns = [&lost, &elsewhere, &open].map(|one| queued(tx, one, 3));
            hold(tx, 4).unwrap();
            let why = |one| conversations::get(tx, one).unwrap().held.map(|held| (held.why, held.turn));
            for one in [&lost, &elsewhere, &open] {
                assert_eq!(why(one), Some((HeldWhy::Restored, None)));
            }
            assert_eq!(held(tx, 4).unwrap().turns.len(), turns.len());
            // Recognised once more before anybody has decided.
            hold(tx, 5).unwrap();
            conversations::release(tx, &elsewhere).unwrap();
            conversations::begin_anew(tx, &open).unwrap();
            for one in [&lost, &elsewhere, &open] {
                assert_eq!(why(one), Some((HeldWhy::Restored, None)));
            }
            assert_eq!(go_on(tx).unwrap().len(), 3);
            assert_eq!(why(&lost), Some((HeldWhy::Lost, Some(was_lost))));
            assert_eq!((why(&elsewhere), why(&open)), (None, None), "somebody said so meanwhile");
            conversations::release(tx, &lost).unwrap();
            assert_eq!(why(&lost), None);
        });
    }

    /// Until it is known what goes on there, but never while somebody follows it.
    #[test]
    fn a_thread_of_what_was_held_is_in_doubt_once_that_is_decided() {
        on_a_ledger(|tx| {
            let here = conversation(tx, "chat");
            let thread = ThreadId::new("thread");
            conversations::set_thread(tx, &here, Some(&thread), None).unwrap();
            let turn = queued(tx, &here, 1);
            let doubted = || unknown_on(tx, &here).unwrap();
            hold(tx, 2).unwrap();
            assert_eq!(doubted(), None, "nobody has decided");
            go_on(tx).unwrap();
            assert_eq!(doubted(), Some(thread.clone()));
            let generation = crate::ledger::generations::begin(tx, "r", "/h", 3).unwrap();
            let submission = turns::Submission {
                thread: thread.clone(),
                cursor: None,
                generation,
                boot_id: "boot".to_owned(),
                at_ms: 3,
                level: crate::domain::level::Level::Ask,
                network: false,
                position: None,
            };
            turns::submit(tx, &turns::get(tx, &turn).unwrap(), &submission).unwrap();
            assert_eq!(doubted(), None, "what goes on there is followed");
            hold(tx, 4).unwrap();
            turns::settle(tx, &turns::get(tx, &turn).unwrap(), Outcome::Lost, &turns::Settlement::default(), 5)
                .unwrap();
            drop_rest(tx).unwrap();
            assert_eq!(doubted(), Some(thread.clone()), "the runtime was not told that it is given up");
            assert_eq!(in_doubt(tx).unwrap(), std::slice::from_ref(&here));
            nothing_unknown(tx, &here).unwrap();
            assert_eq!((doubted(), in_doubt(tx).unwrap()), (None, Vec::new()));
        });
    }

    /// Its card may ask nothing any more.
    #[test]
    fn what_somebody_was_asked_about_waits_with_the_rest() {
        on_a_ledger(|tx| {
            let row = |n: &str, state, reason| {
                let new = inbound::NewInbound {
                    channel: "c".into(),
                    dedupe_key: n.to_owned(),
                    kind: "message",
                    state,
                    reason,
                    chat: Some("chat".into()),
                    chat_kind: Some("direct"),
                    message: Some(n.into()),
                    sender: Some("u".into()),
                    raw: Some("words".to_owned()),
                    sent_at_ms: Some(1),
                    received_at_ms: 1,
                };
                let inbound::Admission::New(seq) = inbound::admit(tx, &new).unwrap() else { panic!("{n} is new") };
                seq
            };
            let late = row("late", InboundState::Waiting, Some("late"));
            let file = row("file", InboundState::Waiting, Some(inbound::COMPANION));
            let words = row("words", InboundState::Received, None);
            hold(tx, 4).unwrap();
            assert_eq!(held(tx, 4).unwrap().inbound, 3);
            let state = |seq| inbound::get(tx, seq).unwrap().state;
            go_on(tx).unwrap();
            assert_eq!([late, file, words].map(state), [InboundState::Received; 3]);
            hold(tx, 5).unwrap();
            drop_rest(tx).unwrap();
            assert_eq!([late, file, words].map(state), [InboundState::Cancelled; 3]);
        });
    }

    /// The clock of a machine that was put back as well, or that had jumped.
    #[test]
    fn what_is_held_is_told_from_what_came_since_without_a_clock() {
        on_a_ledger(|tx| {
            let one = conversation(tx, "one");
            let before = queued(tx, &one, 9_000);
            hold(tx, 4).unwrap();
            let since = queued(tx, &one, 3);
            let listed = held(tx, 4).unwrap().turns;
            assert_eq!(listed.iter().map(|turn| &turn.id).collect::<Vec<_>>(), [&before]);
            let told = |turn| was_there(tx, turn).unwrap();
            assert!(told(&before) && !told(&since));
            go_on(tx).unwrap();
            assert!(told(&before) && !told(&since), "somebody has decided about the first only");
        });
    }
}
