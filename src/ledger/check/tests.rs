//! A ledger with one of everything, which is sound, and a break of each invariant, which is named.

use rusqlite::{Connection, params};

use super::*;
use crate::domain::delivery::{Body, Target};
use crate::domain::gate::{Ask, Choice, Decision, Effect};
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::risk::Class;
use crate::domain::rule::Judged;
use crate::domain::turn::{Outcome, TurnEvent};
use crate::domain::view::Lang;
use crate::ledger::conversations::NewConversation;
use crate::ledger::gates::NewGate;
use crate::ledger::open::{self, Places};
use crate::ledger::turns::{NewTurn, Settlement, Submission};
use crate::ledger::{conversations, gates, generations, inbound, messages, surfaces, turns};

/// A turn that waits for a person, one that is done, one that is queued, and what belongs to them.
fn sound() -> (Connection, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
    let mut ledger = open::writer(&places).expect("a ledger");
    let tx = ledger.transaction().expect("a transaction");
    fill(&tx).expect("rows");
    tx.commit().expect("a commit");
    (ledger, dir)
}

fn fill(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let new = NewConversation {
        channel: "local".into(),
        chat: "c".into(),
        chat_kind: ChatKind::Direct,
        root: None,
        routine: None,
        topic: None,
        directory: "/d".into(),
        lang: Lang::En,
        runtime_kind: "codex".to_owned(),
        runtime_home: "/h".to_owned(),
    };
    let here = conversations::resolve(tx, &new, 1)?.id;
    let process = generations::begin(tx, "codex", "/h", 1)?;
    generations::live(tx, process, "1")?;
    let new = NewTurn {
        conversation: here.clone(),
        ord: None,
        requester: "u".into(),
        requester_name: "U".to_owned(),
        title: "t".to_owned(),
        reply_to: None,
        prompt: "{}".to_owned(),
        continues: None,
        directory: None,
        network_by: None,
        not_before_ms: 0,
    };
    let submission = Submission {
        thread: "thread".into(),
        cursor: None,
        generation: process,
        boot_id: "boot".to_owned(),
        at_ms: 1,
        level: crate::domain::level::Level::Ask,
        network: false,
        position: None,
    };
    let done = turns::insert(tx, &new, 1)?;
    turns::submit(tx, &turns::get(tx, &done)?, &submission)?;
    turns::settle(tx, &turns::get(tx, &done)?, Outcome::Completed, &Settlement::default(), 2)?;
    let part = |after: Option<DeliveryId>| messages::NewMessage {
        conversation: Some(here.clone()),
        turn: Some(done.clone()),
        channel: "local".into(),
        target: Target { chat: "c".into(), reply_to: None, in_topic: false },
        body: Body::Notice { text: "n".to_owned() },
        lang: Lang::En,
        after,
        sending: None,
    };
    let first = messages::insert(tx, &part(None), 2)?;
    messages::insert(tx, &part(Some(first)), 2)?;

    let waiting = turns::insert(tx, &new, 1)?;
    turns::submit(tx, &turns::get(tx, &waiting)?, &submission)?;
    turns::advance(tx, &turns::get(tx, &waiting)?, TurnEvent::GateOpened)?;
    let gate = gates::open(tx, &request(&here, &waiting, process, 1))?.ok_or(LedgerError::Missing("the request"))?;
    gates::open(tx, &request(&here, &waiting, process, 2))?;
    let second = gates::by_native(tx, process, &"2".into())?.ok_or(LedgerError::Missing("the request"))?;
    gates::set_card(tx, &second.id, &gate)?;
    gates::decide(tx, &second, &Decision::Allow, &"u".into(), "U", 2)?;
    surfaces::want(tx, &card(surfaces::SurfaceKind::Gate, gate.as_str()), 1)?;
    surfaces::want(tx, &card(surfaces::SurfaceKind::Live, waiting.as_str()), 1)?;
    let allow = crate::domain::action::Action::Allow { gate: gate.clone() };
    crate::ledger::buttons::ensure(tx, &"local".into(), &"c".into(), gate.as_str(), &allow, "b".into(), 1)?;
    turns::insert(tx, &new, 3)?;
    let queue = card(surfaces::SurfaceKind::Queue, waiting.as_str());
    surfaces::want(tx, &surfaces::Wanted { conversation: Some(here.clone()), ..queue }, 3)?;
    inbound::tombstone(tx, &"local".into(), &"recalled".into(), 1)?;
    let row = inbound::by_message(tx, &"local".into(), &"recalled".into())?;
    let seq = row.ok_or(LedgerError::Missing("the row"))?.seq;
    inbound::resolve(tx, seq, inbound::InboundState::Turn, None, Some(&waiting))
}

fn request(here: &ConversationId, turn: &TurnId, generation: Generation, number: i64) -> NewGate {
    NewGate {
        conversation: here.clone(),
        turn: turn.clone(),
        number,
        generation,
        native: number.to_string().into(),
        ask: Ask::Tool { server: "s".to_owned(), tool: "t".to_owned(), detail: String::new() },
        claim: None,
        choices: vec![Choice { native: "yes".to_owned(), effect: Effect::AllowOnce, takes_feedback: false }],
        judged: Judged { class: Class::Unknown, why: None, sandboxed: false, needs_network: false },
        card: None,
        repeats: None,
        opened_at_ms: 1,
    }
}

fn card(kind: surfaces::SurfaceKind, subject: &str) -> surfaces::Wanted {
    let view = crate::domain::view::NoticeView { text: "n".to_owned(), buttons: Vec::new() };
    surfaces::Wanted {
        kind,
        subject: subject.to_owned(),
        conversation: None,
        channel: "local".into(),
        target: Target { chat: "c".into(), reply_to: None, in_topic: false },
        lang: Lang::En,
        picture: Some(surfaces::Picture::Card(Box::new(crate::domain::view::View::Notice(view)))),
        not_before_ms: 0,
        is_final: false,
        create_final: false,
    }
}

fn found(ledger: &mut Connection) -> Vec<Broken> {
    run(&ledger.transaction().expect("a transaction")).expect("every query runs")
}

/// A way to break each, in SQL.
fn break_of(invariant: Invariant) -> &'static str {
    use Invariant::*;
    match invariant {
        // The only index of its kind loses an entry: see the test.
        FileWhole => "",
        ReferencesExist => "UPDATE turns SET continues = 'nowhere' WHERE state = 'queued'",
        ColumnsReadable => "UPDATE messages SET body = '{' WHERE after IS NULL",
        OneActiveTurn => {
            "UPDATE turns SET state = 'running', attempt = 1, client_id = id || '.1', thread = 't', generation = 1,
                 boot_id = 'b', submitted_at_ms = 1 WHERE state = 'queued'"
        }
        ActiveWasSubmitted => "UPDATE turns SET thread = NULL WHERE state = 'waiting'",
        ClientIdFits => "UPDATE turns SET client_id = 'mine' WHERE state = 'waiting'",
        QueuedIsNowhere => "UPDATE turns SET native_turn = 'n' WHERE state = 'queued'",
        SettledHasTime => "UPDATE turns SET settled_at_ms = NULL WHERE state = 'settled'",
        CompletedWasTold => "UPDATE messages SET turn = NULL",
        LostWasTold => "UPDATE turns SET outcome = 'lost' WHERE outcome = 'completed'",
        WaitingHasGate => "UPDATE gates SET state = 'withdrawn'",
        GateHasWaitingTurn => "UPDATE turns SET state = 'running' WHERE state = 'waiting'",
        GateColumnsFit => "UPDATE gates SET decided_by = NULL WHERE state = 'decided'",
        GateOfLivingProcess => "UPDATE generations SET state = 'dead'",
        GateHasCard => "DELETE FROM surfaces WHERE kind = 'gate'",
        GateCardEnds => "UPDATE gates SET state = 'withdrawn'",
        LiveCardHasTurn => {
            "UPDATE surfaces SET subject = (SELECT id FROM turns WHERE state = 'settled') WHERE kind = 'live'"
        }
        QueueCardHasTurn => "UPDATE surfaces SET conversation = NULL WHERE kind = 'queue'",
        PartsInOrder => {
            "UPDATE messages SET state = 'sending', first_attempt_ms = 1 WHERE after IS NOT NULL"
        }
        MessageColumnsFit => "UPDATE messages SET state = 'sent' WHERE after IS NULL",
        SurfaceColumnsFit => "UPDATE surfaces SET state = 'shown' WHERE kind = 'live'",
        OneLivingProcess => {
            "INSERT INTO generations (kind, home, state, started_at_ms) VALUES ('codex', '/h', 'live', 1)"
        }
        InboundLeads => "UPDATE inbound SET turn = NULL",
        InboundHasWords => "UPDATE inbound SET state = 'received'",
        RefusedHasNoWords => "UPDATE inbound SET state = 'refused', reason = 'stranger', raw = 'words'",
        SteersEnd => "UPDATE inbound SET steer = 'sent', turn = (SELECT id FROM turns WHERE state = 'settled')",
        HeldSaysWhy => "UPDATE conversations SET state = 'held'",
        ButtonsLead => "UPDATE buttons SET used_by = 'u'",
        TaskRulesEnd => {
            "INSERT INTO rules (channel, chat, turn, span, subject, directory, class, sandboxed, made_by, made_name, made_at_ms)
             SELECT 'local', 'c', id, 'task', 's', '/d', 'build', 0, 'u', 'U', 1 FROM turns WHERE state = 'settled'"
        }
    }
}

#[test]
fn a_ledger_with_one_of_everything_is_sound() {
    let (mut ledger, _dir) = sound();
    assert_eq!(found(&mut ledger), []);
}

#[test]
fn each_broken_invariant_is_named_with_its_rows() {
    for invariant in Invariant::ALL.into_iter().filter(|one| *one != Invariant::FileWhole) {
        let (mut ledger, _dir) = sound();
        ledger.pragma_update(None, "foreign_keys", "OFF").expect("a setting");
        let changed = ledger.execute(break_of(invariant), []).unwrap_or_else(|error| panic!("{invariant:?}: {error}"));
        assert!(changed > 0, "{invariant:?} was broken");
        let broken = found(&mut ledger);
        let named = broken.iter().find(|one| one.invariant == invariant);
        let named = named.unwrap_or_else(|| panic!("{invariant:?} is not named: {broken:?}"));
        assert!(named.rows.iter().all(|row| row.contains(':')), "{named:?}");
    }
}

/// What the owner gave up of a ledger that was put back was there then, whatever the clock said.
#[test]
fn a_turn_that_was_given_up_after_a_restore_is_sound_without_a_card() {
    for (restored_ms, newest, is_sound) in
        [("0", Some("max(rowid)"), true), ("9", Some("min(rowid) - 1"), false), ("9", None, true), ("0", None, false)]
    {
        let (mut ledger, _dir) = sound();
        ledger.execute(break_of(Invariant::LostWasTold), []).expect("a lost turn");
        let sql = "INSERT INTO meta (key, value) VALUES ('restored_ms', ?1)";
        ledger.execute(sql, [restored_ms]).expect("when it was recognised");
        if let Some(newest) = newest {
            let sql = format!("INSERT INTO meta (key, value) SELECT 'restored_turns', {newest} FROM turns");
            ledger.execute(&sql, []).expect("the newest turn then");
        }
        let is_named = found(&mut ledger).iter().any(|one| one.invariant == Invariant::LostWasTold);
        assert_eq!(is_named, !is_sound, "{restored_ms} {newest:?}");
    }
}

#[test]
fn a_damaged_page_is_named() {
    let (ledger, dir) = sound();
    let root: i64 = ledger
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'turns_created'", [], |row| row.get(0))
        .expect("an index");
    let size: i64 = ledger.pragma_query_value(None, "page_size", |row| row.get(0)).expect("a size");
    drop(ledger);
    // The index has no entries any more.
    let file = dir.path().join("ledger.db");
    let mut bytes = std::fs::read(&file).expect("the file");
    let at = usize::try_from((root - 1) * size).expect("small");
    bytes[at + 3..at + 5].copy_from_slice(&[0, 0]);
    std::fs::write(&file, bytes).expect("the file");
    let mut ledger = open::reader(&file).expect("a ledger");
    let broken = found(&mut ledger);
    assert!(broken.iter().any(|one| one.invariant == Invariant::FileWhole), "{broken:?}");
}

#[test]
fn only_so_many_rows_are_named() {
    let (mut ledger, _dir) = sound();
    for n in 0..30 {
        let sql = "INSERT INTO inbound (channel, dedupe_key, kind, state, received_at_ms) VALUES ('c', ?1, 'message', 'received', 1)";
        ledger.execute(sql, params![n.to_string()]).expect("a row");
    }
    let broken = found(&mut ledger);
    assert_eq!((broken.len(), broken[0].invariant, broken[0].rows.len()), (1, Invariant::InboundHasWords, NAMED));
}
