//! What the rows of a dead process's turn say, and what is left of a turn that was never run.

use super::*;
use crate::bridge::pictures::tests::{frame, queued};
use crate::domain::delivery::Target;
use crate::domain::invariant::Invariant;
use crate::domain::level::Level;
use crate::ledger::inbound::{Admission, InboundState, NewInbound};
use crate::ledger::surfaces::{self, SurfaceKind};
use crate::ledger::turns::Submission;
use crate::ledger::{Ledger, LedgerLock, Places, check};

fn ledger() -> (Ledger, LedgerLock, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
    let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("a lock");
    (Ledger::open(&places, &lock).expect("a ledger"), lock, dir)
}

/// A message that belongs to the turn.
fn said(tx: &Transaction<'_>, message: &str, turn: &TurnId) -> Result<InboundSeq, LedgerError> {
    let row = NewInbound {
        channel: "local".into(),
        dedupe_key: message.to_owned(),
        kind: "message",
        state: InboundState::Received,
        reason: None,
        chat: Some("c".into()),
        chat_kind: Some("direct"),
        message: Some(message.into()),
        sender: Some("u".into()),
        raw: Some("{}".to_owned()),
        sent_at_ms: Some(1),
        received_at_ms: 1,
    };
    let Admission::New(seq) = inbound::admit(tx, &row)? else { panic!("it is new") };
    inbound::resolve(tx, seq, InboundState::Turn, None, Some(turn))?;
    Ok(seq)
}

/// With a runtime, as far as we know.
fn submitted(tx: &Transaction<'_>) -> Result<(Conversation, Turn), LedgerError> {
    let (here, turn) = queued(tx)?;
    let generation = generations::begin(tx, "embedded", "/h", 1)?;
    let submission = Submission {
        thread: "thread".into(),
        cursor: None,
        generation,
        boot_id: "boot".to_owned(),
        at_ms: 1,
        level: Level::Ask,
        network: false,
        position: None,
    };
    turns::submit(tx, &turn, &submission)?;
    Ok((here, turns::get(tx, &turn.id)?))
}

#[tokio::test]
async fn words_that_were_added_and_recalled_do_not_recall_the_turn() {
    let (ledger, _lock, _dir) = ledger();
    let recalled = ledger.write(|tx| {
        let (_, turn) = submitted(tx)?;
        let (words, added) = (said(tx, "words", &turn.id)?, said(tx, "added", &turn.id)?);
        inbound::set_steer(tx, added, &turn.id, "wanted", Some("more"))?;
        inbound::resolve(tx, added, InboundState::Turn, Some("recalled"), Some(&turn.id))?;
        let before = was_recalled(tx, &turn.id)?;
        inbound::resolve(tx, words, InboundState::Turn, Some("recalled"), Some(&turn.id))?;
        Ok((before, was_recalled(tx, &turn.id)?))
    });
    assert_eq!(recalled.await.expect("a commit"), (false, true));
}

#[tokio::test]
async fn a_turn_that_was_never_run_takes_nothing_along() {
    let (ledger, _lock, _dir) = ledger();
    let left = ledger.write(|tx| {
        let (here, turn) = submitted(tx)?;
        said(tx, "words", &turn.id)?;
        let added = said(tx, "added", &turn.id)?;
        inbound::set_steer(tx, added, &turn.id, "wanted", Some("more"))?;
        let target = Target { chat: "c".into(), reply_to: None, in_topic: false };
        let stop = [(ButtonRole::Stop, Action::Stop { turn: turn.id.clone() })];
        let question = pictures::recalled_subject(&turn.id);
        pictures::notice(tx, &frame(), &here, target, &question, "Stop it?".to_owned(), &stop)?;
        settle::cancelled(tx, &frame(), &turn)?;
        let is_over = surfaces::find(tx, SurfaceKind::Notice, &question)?.is_some_and(|surface| surface.is_gone);
        let of_added = inbound::get(tx, added)?.turn;
        let queued = turns::unsettled(tx, &here.id)?;
        let broken = check::run(tx)?.iter().any(|broken| broken.invariant == Invariant::SteersEnd);
        Ok((is_over, of_added == queued.first().map(|turn| turn.id.clone()), queued.len(), broken))
    });
    let (is_over, is_own, queued, broken) = left.await.expect("a commit");
    assert!(is_over, "nobody had seen the question, and nobody will");
    assert!(is_own && queued == 1 && !broken, "what was added is a turn of its own: {queued} {broken}");
}

#[tokio::test]
async fn a_turn_that_came_back_to_the_queue_and_was_cancelled_is_shown_no_more() {
    let (ledger, _lock, _dir) = ledger();
    let broken = ledger.write(|tx| {
        let (_, turn) = submitted(tx)?;
        said(tx, "words", &turn.id)?;
        settle::back_to_queue(tx, &frame(), &turn, 0)?;
        let shown = check::run(tx)?;
        crate::bridge::actions::recall_queued(tx, &frame(), &turns::get(tx, &turn.id)?)?;
        Ok((shown, check::run(tx)?))
    });
    assert_eq!(broken.await.expect("a commit"), (Vec::new(), Vec::new()));
}
