//! Forgets what was said long ago. Rows stay, bare: their keys recognise repetitions, and others name them. Nothing is
//! touched that is not over, not sent, or asked; the audit has its own time.
//!
//! Each step goes on where the last one ended, so no step reads what was forgotten before. What it had to pass by is noted, and
//! looked at again each time.

use rusqlite::{Transaction, params};

use super::LedgerError;
use super::restored;
use super::said::{meta, set_meta};
use super::sql::{all, first, id, json, run};
use crate::domain::delivery::Body;
use crate::domain::gate::{Ask, Decision};
use crate::domain::ids::*;

/// Pages that one step gives back to the disk at most …
const PAGES: i64 = 200;
/// … and so many stay free, for what comes next.
const SPARE: i64 = 256;

/// What is forgotten, and how much of it in one step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub now_ms: i64,
    /// Older than this: what was said.
    pub before_ms: i64,
    /// Older than this: who decided what.
    pub audit_before_ms: i64,
    pub rows: u32,
}

/// One step; false when nothing is left to forget for now.
pub fn step(tx: &Transaction<'_>, step: Step) -> Result<bool, LedgerError> {
    let again = passed_by(tx, step)?;
    let turns = old_turns(tx, step)?;
    let inbound = old_rows(tx, step, Rows::Inbound)?;
    let replies = old_rows(tx, step, Rows::Replies)?;
    let runs = "DELETE FROM runs WHERE id IN (SELECT id FROM runs INDEXED BY runs_over
             WHERE over_at_ms IS NOT NULL AND over_at_ms < ?1 ORDER BY over_at_ms LIMIT ?2)";
    let runs = run(tx, runs, params![step.before_ms, step.rows])?;
    let audit = "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit INDEXED BY audit_time WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)";
    let audit = run(tx, audit, params![step.audit_before_ms, step.rows])?;
    // Said once a minute, an hour or a day: nobody says them of that time again.
    let said = "DELETE FROM said WHERE key IN (SELECT key FROM said WHERE at_ms < ?1
             AND (key LIKE 'full:%' OR key LIKE 'stranger:%' OR key LIKE 'catch up:%' OR key LIKE 'late:%'
                  OR key LIKE 'locked:%' OR key LIKE 'remedy:%' OR key LIKE 'undeliverable:%') LIMIT ?2)";
    let said = run(tx, said, params![step.before_ms, step.rows])?;
    let full = |rows: usize| rows >= step.rows as usize;
    Ok(give_back(tx)?
        || full(again)
        || full(turns)
        || full(inbound)
        || full(replies)
        || full(runs)
        || full(audit)
        || full(said))
}

/// Gives pages that became free back to the disk; false when that is done, or the file is of a kind that cannot.
fn give_back(tx: &Transaction<'_>) -> Result<bool, LedgerError> {
    let count = || tx.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
    let free = count()?;
    let surplus = (free - SPARE).min(PAGES);
    if surplus <= 0 {
        return Ok(false);
    }
    // It gives one page back for each row that is read of it.
    let mut statement = tx.prepare(&format!("PRAGMA incremental_vacuum({surplus})"))?;
    let mut given = statement.query([])?;
    while given.next()?.is_some() {}
    let left = count()?;
    Ok(left < free && left > SPARE)
}

const TURNS: &str = "pruned_turns";

/// So far ahead of us nobody's clock is that is right.
const AHEAD_MS: i64 = 86_400_000;

/// Rows that are looked at in the order in which they came.
#[derive(Debug, Clone, Copy)]
enum Rows {
    /// Words of commands, and of what became no turn.
    Inbound,
    /// What was said about no turn: replies to commands, refusals, notices.
    Replies,
}

impl Rows {
    const ALL: [Rows; 2] = [Rows::Inbound, Rows::Replies];

    /// The key of the last one that was looked at.
    fn mark(self) -> &'static str {
        match self {
            Rows::Inbound => "pruned_inbound",
            Rows::Replies => "pruned_replies",
        }
    }

    /// The next ones after a number, and when they came.
    fn after(self) -> &'static str {
        match self {
            Rows::Inbound => "SELECT seq, received_at_ms FROM inbound WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            Rows::Replies => "SELECT rowid, created_at_ms FROM messages WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
        }
    }

    /// Forgets one; false where it is not over.
    fn forget(self, tx: &Transaction<'_>, number: i64) -> Result<bool, LedgerError> {
        match self {
            Rows::Inbound => forget_inbound(tx, number),
            Rows::Replies => forget_reply(tx, number),
        }
    }
}

/// Everything that was said in and about turns that settled long ago. How many were looked at.
fn old_turns(tx: &Transaction<'_>, step: Step) -> Result<usize, LedgerError> {
    let (from_ms, from_row): (i64, i64) = read_pair(meta(tx, TURNS)?);
    let sql = "SELECT id, settled_at_ms, rowid FROM turns INDEXED BY turns_settled
         WHERE state = 'settled' AND (settled_at_ms, rowid) > (?1, ?2) AND settled_at_ms < ?3
         ORDER BY settled_at_ms, rowid LIMIT ?4";
    let found: Vec<(TurnId, i64, i64)> = all(tx, sql, params![from_ms, from_row, step.before_ms, step.rows], |row| {
        Ok((id(row, "id")?, row.get(1)?, row.get(2)?))
    })?;
    for (turn, ..) in &found {
        if is_over(tx, turn)? {
            forget_turn(tx, step, turn)?;
        } else {
            pass_by(tx, step, TURNS, turn.as_str())?;
        }
    }
    if let Some((_, ms, row)) = found.last() {
        set_meta(tx, TURNS, &format!("{ms} {row}"))?;
    }
    Ok(found.len())
}

fn read_pair(text: Option<String>) -> (i64, i64) {
    let text = text.unwrap_or_default();
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(i64::MIN));
    (numbers.next().unwrap_or(i64::MIN), numbers.next().unwrap_or(i64::MIN))
}

/// Nothing of it is still to be sent, asked or gone on with, and nothing was left that could not be sent: that is read on this
/// computer only. What it holds it may also hold again, once somebody has decided about a ledger that was put back. A
/// compaction names in its prompt the turn that runs again after it.
fn is_over(tx: &Transaction<'_>, turn: &TurnId) -> Result<bool, LedgerError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM messages WHERE turn = ?1 AND state IN ('ready', 'sending', 'undeliverable'))
         OR EXISTS (SELECT 1 FROM gates WHERE turn = ?1 AND state IN ('open', 'decided', 'answering'))
         OR EXISTS (SELECT 1 FROM turns t CROSS JOIN conversations c ON c.id = t.conversation WHERE t.id = ?1 AND c.held_turn = t.id)
         OR EXISTS (SELECT 1 FROM turns t CROSS JOIN meta m ON m.key = ?2 || t.conversation
                    WHERE t.id = ?1 AND substr(m.value, instr(m.value, ' ') + 1) = t.id)
         OR EXISTS (SELECT 1 FROM turns t CROSS JOIN turns o INDEXED BY turns_queue ON o.conversation = t.conversation AND o.state <> 'settled'
                    WHERE t.id = ?1 AND (o.continues = t.id OR instr(o.prompt, t.id) > 0))
         OR EXISTS (SELECT 1 FROM surfaces WHERE kind = 'queue' AND subject = ?1 AND final = 0 AND state <> 'gone')";
    let values = [turn.as_str(), restored::FORMER];
    Ok(!first(tx, sql, values, |row| row.get::<_, bool>(0))?.unwrap_or(true))
}

fn forget_turn(tx: &Transaction<'_>, step: Step, turn: &TurnId) -> Result<(), LedgerError> {
    let key = [turn.as_str()];
    let sql = "UPDATE turns SET title = '', prompt = '', progress = NULL, answer = NULL, failure = NULL,
             archived = CASE archived WHEN 1 THEN 2 ELSE archived END WHERE id = ?1";
    run(tx, sql, key)?;
    run(tx, "UPDATE inbound SET raw = NULL, steer_text = NULL WHERE turn = ?1", key)?;
    let nothing = json(&Body::Notice { text: String::new() })?;
    run(tx, "UPDATE messages SET body = ?2 WHERE turn = ?1", params![turn.as_str(), nothing])?;
    forget_cards(tx, step, turn)?;
    forget_question(tx, "SELECT 'late:' || seq FROM inbound WHERE turn = ?1", &turn.as_str())?;
    let nothing = json(&Ask::Questions { questions: Vec::new() })?;
    // What was decided stays, the words in it go.
    let (answers, declined) =
        (json(&Decision::Answers { answers: Vec::new() })?, json(&Decision::Decline { reason: None })?);
    let gates = "UPDATE gates SET ask = ?2, claim = NULL, why = NULL, decision = CASE
             WHEN instr(decision, '\"answers\"') > 0 THEN ?3 WHEN instr(decision, '\"decline\"') > 0 THEN ?4 ELSE decision END
         WHERE turn = ?1";
    run(tx, gates, params![turn.as_str(), nothing, answers, declined])?;
    Ok(())
}

/// A card stays as people see it; what it would be painted with goes, and what its buttons would do.
fn forget_cards(tx: &Transaction<'_>, step: Step, turn: &TurnId) -> Result<(), LedgerError> {
    let gates: Vec<GateId> = all(tx, "SELECT id FROM gates WHERE turn = ?1", [turn.as_str()], |row| id(row, "id"))?;
    forget_card(tx, turn.as_str())?;
    for about in ["failed", "recalled", "merged"] {
        forget_card(tx, &format!("{about}:{turn}"))?;
    }
    forget_notices(tx, &format!("watchdog:{turn}:"), None)?;
    for gate in &gates {
        forget_card(tx, gate.as_str())?;
        forget_notices(tx, &format!("near:{gate}:"), None)?;
    }
    // Why its conversation waited, or went on elsewhere.
    let sql = "SELECT conversation AS id FROM turns WHERE id = ?1";
    let conversation: Option<ConversationId> = first(tx, sql, [turn.as_str()], |row| id(row, "id"))?;
    let Some(conversation) = conversation else { return Ok(()) };
    for about in ["held", "taken up"] {
        forget_notices(tx, &format!("{about}:{conversation}:"), Some(step.before_ms))?;
    }
    Ok(())
}

fn forget_card(tx: &Transaction<'_>, subject: &str) -> Result<(), LedgerError> {
    let sql = "UPDATE surfaces SET wanted = NULL, state = 'gone'
         WHERE kind IN ('live', 'gate', 'interrupted', 'queue', 'notice') AND subject = ?1";
    run(tx, sql, [subject])?;
    run(tx, "DELETE FROM buttons WHERE subject = ?1", [subject])?;
    Ok(())
}

/// Notices whose subjects begin like this. With a time only those from before it that ask nothing any more.
fn forget_notices(tx: &Transaction<'_>, prefix: &str, before_ms: Option<i64>) -> Result<(), LedgerError> {
    let sql = "SELECT subject FROM surfaces WHERE kind = 'notice' AND subject > ?1 AND subject < ?1 || char(1114111)
           AND (?2 IS NULL OR final = 1 AND created_at_ms < ?2)";
    let subjects: Vec<String> = all(tx, sql, params![prefix, before_ms], |row| row.get(0))?;
    subjects.iter().try_for_each(|subject| forget_card(tx, subject))
}

/// The card that asked whether late words are still wanted, once that is decided.
fn forget_question(tx: &Transaction<'_>, subjects: &str, of: &dyn rusqlite::ToSql) -> Result<(), LedgerError> {
    let card = format!(
        "UPDATE surfaces SET wanted = NULL, state = 'gone' WHERE kind = 'stale' AND subject IN ({subjects}) AND final = 1"
    );
    run(tx, &card, [of])?;
    Ok(())
}

/// Rows that came long ago, in their order: the first that is not old ends it, but for one whose clock was ahead. How many
/// were looked at.
fn old_rows(tx: &Transaction<'_>, step: Step, rows: Rows) -> Result<usize, LedgerError> {
    let from: i64 = meta(tx, rows.mark())?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let found: Vec<(i64, i64)> = all(tx, rows.after(), params![from, step.rows], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is_ahead = |at_ms: i64| at_ms > step.now_ms.saturating_add(AHEAD_MS);
    let first_ones = found.iter().take_while(|(_, at_ms)| *at_ms < step.before_ms || is_ahead(*at_ms)).count();
    // Clocks were set: an old one may stand behind one that is not.
    let last_old = found.iter().rposition(|(_, at_ms)| *at_ms < step.before_ms).map_or(0, |at| at + 1);
    let looked_at = &found[..first_ones.max(last_old)];
    for (number, at_ms) in looked_at {
        if *at_ms >= step.before_ms || !rows.forget(tx, *number)? {
            pass_by(tx, step, rows.mark(), &number.to_string())?;
        }
    }
    if let Some((last, _)) = looked_at.last() {
        set_meta(tx, rows.mark(), &last.to_string())?;
    }
    Ok(looked_at.len())
}

/// Also one that could not be sent: what a command said is nobody's work, and no list shows it.
fn forget_reply(tx: &Transaction<'_>, number: i64) -> Result<bool, LedgerError> {
    let nothing = json(&Body::Notice { text: String::new() })?;
    let sql = "UPDATE messages SET body = ?2 WHERE rowid = ?1 AND turn IS NULL AND state IN ('sent', 'undeliverable')";
    run(tx, sql, params![number, nothing])?;
    // What was said about a turn is forgotten with it.
    let waits = "SELECT 1 FROM messages WHERE rowid = ?1 AND turn IS NULL AND state IN ('ready', 'sending')";
    Ok(first(tx, waits, [number], |_| Ok(()))?.is_none())
}

fn forget_inbound(tx: &Transaction<'_>, seq: i64) -> Result<bool, LedgerError> {
    // What went into a turn is forgotten with it.
    let sql = "UPDATE inbound SET raw = NULL, steer_text = NULL
         WHERE seq = ?1 AND turn IS NULL AND state IN ('command', 'decision', 'refused', 'cancelled')";
    if run(tx, sql, [seq])? > 0 {
        forget_question(tx, "SELECT 'late:' || ?1", &seq)?;
        // What a command showed.
        for list in ["command", "threads", "settings"] {
            forget_card(tx, &format!("{list}:{seq}"))?;
        }
    }
    let waits = "SELECT 1 FROM inbound WHERE seq = ?1 AND state IN ('received', 'waiting')";
    Ok(first(tx, waits, [seq], |_| Ok(()))?.is_none())
}

const PASSED_BY: &str = "passed by:";

/// Notes what is old and not over, with when it was looked at last.
fn pass_by(tx: &Transaction<'_>, step: Step, mark: &str, which: &str) -> Result<(), LedgerError> {
    let sql = "INSERT INTO said (key, at_ms) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET at_ms = excluded.at_ms";
    run(tx, sql, params![format!("{PASSED_BY}{mark}:{which}"), step.before_ms])?;
    Ok(())
}

/// What earlier steps passed by, each once for a time before which all is forgotten. How many were looked at.
fn passed_by(tx: &Transaction<'_>, step: Step) -> Result<usize, LedgerError> {
    let sql = "SELECT key FROM said WHERE key > ?1 AND key < ?1 || char(1114111) AND at_ms <> ?2 ORDER BY key LIMIT ?3";
    let found: Vec<String> = all(tx, sql, params![PASSED_BY, step.before_ms, step.rows], |row| row.get(0))?;
    for key in &found {
        let (mark, which) = key[PASSED_BY.len()..].split_once(':').unwrap_or_default();
        if is_forgotten_now(tx, step, mark, which)? {
            run(tx, "DELETE FROM said WHERE key = ?1", [key])?;
        } else {
            pass_by(tx, step, mark, which)?;
        }
    }
    Ok(found.len())
}

fn is_forgotten_now(tx: &Transaction<'_>, step: Step, mark: &str, which: &str) -> Result<bool, LedgerError> {
    if mark == TURNS {
        let turn = TurnId::from(which);
        let sql = "SELECT 1 FROM turns WHERE id = ?1 AND state = 'settled' AND settled_at_ms < ?2";
        let is_old = first(tx, sql, params![which, step.before_ms], |_| Ok(()))?.is_some();
        let is_over = is_old && is_over(tx, &turn)?;
        if is_over {
            forget_turn(tx, step, &turn)?;
        }
        return Ok(is_over);
    }
    let Some((rows, number)) = Rows::ALL.into_iter().find(|rows| rows.mark() == mark).zip(which.parse::<i64>().ok())
    else {
        return Ok(true);
    };
    let found: Option<(i64, i64)> =
        first(tx, rows.after(), params![number - 1, 1], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match found.filter(|(found, _)| *found == number) {
        Some((_, at_ms)) if at_ms < step.before_ms => rows.forget(tx, number),
        Some(_) => Ok(false),
        None => Ok(true),
    }
}

/// The files that messages on their way out still need.
pub fn files_needed(tx: &Transaction<'_>) -> Result<Vec<String>, LedgerError> {
    let sql = "SELECT body FROM messages INDEXED BY messages_open WHERE state IN ('ready', 'sending')
         UNION ALL SELECT body FROM messages INDEXED BY messages_undeliverable WHERE state = 'undeliverable'";
    let bodies: Vec<Body> = all(tx, sql, [], |row| super::sql::from_json(row, "body"))?;
    let needed = bodies.into_iter().filter_map(|body| match body {
        Body::File { sha256, .. } | Body::Image { sha256, .. } => Some(sha256),
        _ => None,
    });
    Ok(needed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::Target;
    use crate::domain::message::ChatKind;
    use crate::domain::turn::{Outcome, TurnState};
    use crate::domain::view::Lang;
    use crate::ledger::conversations::NewConversation;
    use crate::ledger::inbound::{Admission, InboundState, NewInbound};
    use crate::ledger::messages::NewMessage;
    use crate::ledger::open::{Places, writer};
    use crate::ledger::turns::{NewTurn, Settlement};
    use crate::ledger::{audit, conversations, inbound, messages, turns};

    const OLD: i64 = 1_000;
    const ALL: Step = Step { now_ms: OLD, before_ms: 500, audit_before_ms: 200, rows: 7 };

    fn row(n: i64, at_ms: i64) -> NewInbound {
        NewInbound {
            channel: "c".into(),
            dedupe_key: format!("m{n}"),
            kind: "message",
            state: InboundState::Received,
            reason: None,
            chat: Some("chat".into()),
            chat_kind: Some("direct"),
            message: Some(format!("m{n}").into()),
            sender: Some("u".into()),
            raw: Some("words".to_owned()),
            sent_at_ms: Some(at_ms),
            received_at_ms: at_ms,
        }
    }

    fn conversation(tx: &Transaction<'_>, at_ms: i64) -> ConversationId {
        let place = NewConversation {
            channel: "c".into(),
            chat: "chat".into(),
            chat_kind: ChatKind::Direct,
            root: None,
            routine: None,
            topic: None,
            directory: "/d".into(),
            lang: Lang::En,
            runtime_kind: "r".to_owned(),
            runtime_home: "/h".to_owned(),
        };
        conversations::resolve(tx, &place, at_ms).unwrap().id
    }

    fn queued(tx: &Transaction<'_>, conversation: &ConversationId, at_ms: i64) -> TurnId {
        let new = NewTurn {
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

    fn said(turn: Option<(&ConversationId, &TurnId)>) -> NewMessage {
        NewMessage {
            conversation: turn.map(|(conversation, _)| conversation.clone()),
            turn: turn.map(|(_, turn)| turn.clone()),
            channel: "c".into(),
            target: Target { chat: "chat".into(), reply_to: None, in_topic: false },
            body: Body::Notice { text: "said".to_owned() },
            lang: Lang::En,
            after: None,
            sending: None,
        }
    }

    /// One message and what may have become of it; whether all of it is over, and since when.
    fn story(tx: &Transaction<'_>, n: i64, at_ms: i64) -> (InboundSeq, Option<TurnId>, bool) {
        let Admission::New(seq) = inbound::admit(tx, &row(n, at_ms)).unwrap() else { panic!("{n} is new") };
        audit::note(tx, "u", "did", "", "", at_ms).unwrap();
        let kind = fastrand::u32(0..6);
        if kind == 0 {
            inbound::resolve(tx, seq, InboundState::Command, None, None).unwrap();
            return (seq, None, true);
        }
        if kind == 1 {
            inbound::resolve(tx, seq, InboundState::Waiting, Some("late"), None).unwrap();
            return (seq, None, false);
        }
        let conversation = conversation(tx, at_ms);
        let turn = queued(tx, &conversation, at_ms);
        inbound::resolve(tx, seq, InboundState::Turn, None, Some(&turn)).unwrap();
        if kind == 2 {
            return (seq, Some(turn), false);
        }
        let answer = Settlement { answer: Some("answer".to_owned()), ..Settlement::default() };
        turns::settle(tx, &turns::get(tx, &turn).unwrap(), Outcome::Cancelled, &answer, at_ms).unwrap();
        let delivery = messages::insert(tx, &said(Some((&conversation, &turn))), at_ms).unwrap();
        if kind == 4 {
            messages::claim(tx, &messages::get(tx, &delivery).unwrap(), at_ms).unwrap();
            messages::sent(tx, &delivery, None, at_ms).unwrap();
        }
        if kind == 5 {
            messages::undeliverable(tx, &delivery, "gone").unwrap();
        }
        (seq, Some(turn), kind == 4)
    }

    #[test]
    fn what_is_over_is_forgotten_and_nothing_else() {
        for seed in 0..20 {
            fastrand::seed(seed);
            let dir = tempfile::tempdir().unwrap();
            let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
            let mut ledger = writer(&places).unwrap();
            let tx = ledger.transaction().unwrap();
            let mut at_ms = 0;
            let stories: Vec<_> = (0..60)
                .map(|n| {
                    at_ms += fastrand::i64(0..OLD / 30);
                    (n, at_ms, story(&tx, n, at_ms))
                })
                .collect();
            while step(&tx, ALL).unwrap() {}
            for (n, at_ms, (seq, turn, over)) in &stories {
                let forgotten = *over && *at_ms < ALL.before_ms;
                let row_now = inbound::get(&tx, *seq).unwrap();
                assert_eq!(row_now.raw.is_none(), forgotten, "seed {seed}, message {n} of {at_ms}");
                let again = inbound::admit(&tx, &row(*n, 9_999)).unwrap();
                assert_eq!(again, Admission::Duplicate, "its key is kept as long as the ledger");
                let Some(turn) = turn else { continue };
                let turn = turns::get(&tx, turn).unwrap();
                assert_eq!(turn.prompt.is_empty(), forgotten, "seed {seed}, turn {n}");
                if turn.state == TurnState::Queued {
                    assert_eq!(turn.title, "title");
                }
            }
            let kept = audit::since(&tx, None, 0, 1000).unwrap();
            let want = stories.iter().filter(|(_, at_ms, _)| *at_ms >= ALL.audit_before_ms).count();
            assert_eq!(kept.len(), want, "the audit has its own time");
            let broken: i64 =
                tx.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
            assert_eq!(broken, 0);
            assert!(!step(&tx, ALL).unwrap(), "there is nothing left");
        }
    }

    /// Nobody has decided for longer than words are kept, and then says that all goes on.
    #[test]
    fn what_held_a_conversation_before_the_ledger_was_put_back_is_kept_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let tx = ledger.transaction().unwrap();
        let here = conversation(&tx, 1);
        let [other, lost] = [1, 2].map(|at_ms| {
            let turn = turns::get(&tx, &queued(&tx, &here, at_ms)).unwrap();
            turns::settle(&tx, &turn, Outcome::Cancelled, &Settlement::default(), at_ms).unwrap();
            turn.id
        });
        conversations::hold(&tx, &here, conversations::HeldWhy::Lost, Some(&lost)).unwrap();
        queued(&tx, &here, 3);
        restored::hold(&tx, 4).unwrap();
        let has_words = |turn| !turns::get(&tx, turn).unwrap().prompt.is_empty();
        while step(&tx, ALL).unwrap() {}
        assert!(!has_words(&other) && has_words(&lost));
        restored::go_on(&tx).unwrap();
        let later = Step { before_ms: ALL.before_ms + 1, ..ALL };
        while step(&tx, later).unwrap() {}
        assert!(has_words(&lost), "it holds it again");
        conversations::release(&tx, &here).unwrap();
        let later = Step { before_ms: ALL.before_ms + 2, ..ALL };
        while step(&tx, later).unwrap() {}
        assert!(!has_words(&lost), "somebody has decided about it");
    }

    #[test]
    fn what_could_not_be_delivered_about_no_turn_is_forgotten_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let tx = ledger.transaction().unwrap();
        let [sent, stuck, waits] = [1, 2, 3].map(|at_ms| messages::insert(&tx, &said(None), at_ms).unwrap());
        messages::claim(&tx, &messages::get(&tx, &sent).unwrap(), 4).unwrap();
        messages::sent(&tx, &sent, None, 4).unwrap();
        messages::undeliverable(&tx, &stuck, "gone").unwrap();
        while step(&tx, ALL).unwrap() {}
        let has_words = |delivery| messages::get(&tx, delivery).unwrap().body != Body::Notice { text: String::new() };
        assert!(!has_words(&sent) && !has_words(&stuck) && has_words(&waits));
        let noted = "SELECT count(*) FROM said WHERE key LIKE 'passed by:%'";
        let noted: i64 = tx.query_row(noted, [], |row| row.get(0)).unwrap();
        assert_eq!(noted, 1, "only what may yet be sent is looked at again");
    }

    #[test]
    fn what_was_passed_by_is_forgotten_once_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let tx = ledger.transaction().unwrap();
        let mut waiting = Vec::new();
        for n in 0..20 {
            let Admission::New(seq) = inbound::admit(&tx, &row(n, 100)).unwrap() else { panic!("{n} is new") };
            inbound::resolve(&tx, seq, InboundState::Waiting, Some("late"), None).unwrap();
            waiting.push(seq);
        }
        let has_words = |seq: InboundSeq| inbound::get(&tx, seq).unwrap().raw.is_some();
        while step(&tx, ALL).unwrap() {}
        assert!(waiting.iter().all(|seq| has_words(*seq)));
        for seq in &waiting[1..] {
            inbound::resolve(&tx, *seq, InboundState::Cancelled, Some("late"), None).unwrap();
        }
        let tomorrow = Step { now_ms: ALL.now_ms + 1, before_ms: ALL.before_ms + 1, ..ALL };
        while step(&tx, tomorrow).unwrap() {}
        let left: Vec<_> = waiting.iter().filter(|seq| has_words(**seq)).collect();
        assert_eq!(left, [&waiting[0]], "it still waits");
    }

    #[test]
    fn a_clock_that_was_ahead_once_keeps_nothing_that_came_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let tx = ledger.transaction().unwrap();
        // Ahead by years, and by a little: by the rows of more than one step, and by one.
        let ahead = [ALL.now_ms * 1_000_000_000; 20].into_iter().chain([ALL.before_ms + 1]);
        let times: Vec<i64> = [1].into_iter().chain(ahead).chain([2, ALL.before_ms + 2]).collect();
        let mut rows = Vec::new();
        for (n, at_ms) in (0..).zip(&times) {
            let Admission::New(seq) = inbound::admit(&tx, &row(n, *at_ms)).unwrap() else { panic!("{n} is new") };
            inbound::resolve(&tx, seq, InboundState::Command, None, None).unwrap();
            rows.push(seq);
        }
        let forgotten = || {
            let at =
                |(seq, at_ms): (&InboundSeq, &i64)| inbound::get(&tx, *seq).unwrap().raw.is_none().then_some(*at_ms);
            rows.iter().zip(&times).filter_map(at).collect::<Vec<_>>()
        };
        while step(&tx, ALL).unwrap() {}
        assert_eq!(forgotten(), [1, 2]);
        let later = Step { before_ms: ALL.before_ms + 9, ..ALL };
        while step(&tx, later).unwrap() {}
        assert_eq!(forgotten(), [1, ALL.before_ms + 1, 2, ALL.before_ms + 2]);
    }

    /// Turns of long ago with much in them. The pages of the file before they are forgotten and after.
    fn pages_around_forgetting(ledger: &mut rusqlite::Connection) -> (i64, i64) {
        let pages = |ledger: &rusqlite::Connection| -> i64 {
            ledger.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap()
        };
        fastrand::seed(1);
        let tx = ledger.transaction().unwrap();
        (0..60).for_each(|n| drop(story(&tx, n, n)));
        let sql = "UPDATE turns SET answer = hex(zeroblob(50000)) WHERE state = 'settled'";
        tx.execute(sql, []).unwrap();
        tx.execute("UPDATE messages SET state = 'sent'", []).unwrap();
        tx.commit().unwrap();
        let before = pages(ledger);
        loop {
            let tx = ledger.transaction().unwrap();
            let more = step(&tx, ALL).unwrap();
            tx.commit().unwrap();
            if !more {
                break (before, pages(ledger));
            }
        }
    }

    #[test]
    fn what_is_forgotten_makes_the_file_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let (before, after) = pages_around_forgetting(&mut ledger);
        assert!(before > 500, "{before}");
        assert!(after < before / 2 + SPARE, "{before} pages became {after}");
        let free: i64 = ledger.pragma_query_value(None, "freelist_count", |row| row.get(0)).unwrap();
        assert!((1..=SPARE).contains(&free), "{free} pages are kept for what comes next");
    }

    #[test]
    fn a_file_that_cannot_give_pages_back_ends_the_step_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        ledger.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM").unwrap();
        let (before, after) = pages_around_forgetting(&mut ledger);
        assert_eq!(before, after);
    }
}
