//! Pictures that are computed from rows that changed meanwhile.

use std::sync::Arc;

use super::*;
use crate::domain::turn::Outcome;
use crate::ledger::conversations::NewConversation;
use crate::ledger::turns::{NewTurn, Settlement};
use crate::ledger::{Ledger, LedgerLock, Places, restored};

/// Of a channel in which nobody has rights.
pub fn frame() -> Frame {
    Frame {
        channel: "local".into(),
        access: Arc::default(),
        floor: Arc::default(),
        lang: Lang::En,
        bot_name: "ally".to_owned(),
        workspaces: "/w".into(),
        zone: chrono_tz::Tz::UTC,
        login: None,
        now_ms: 1,
        platform_ms: 1,
    }
}

/// A turn that waits, in the one conversation there is.
pub fn queued(tx: &Transaction<'_>) -> Result<(Conversation, Turn), LedgerError> {
    let new = NewConversation {
        channel: "local".into(),
        chat: "c".into(),
        chat_kind: ChatKind::Direct,
        root: None,
        routine: None,
        topic: None,
        directory: "/d".into(),
        lang: Lang::En,
        runtime_kind: "embedded".to_owned(),
        runtime_home: "/h".to_owned(),
    };
    let here = conversations::resolve(tx, &new, 1)?;
    let new = NewTurn {
        conversation: here.id.clone(),
        ord: None,
        requester: "u".into(),
        requester_name: "U".to_owned(),
        title: "t".to_owned(),
        reply_to: Some("words".into()),
        prompt: "{}".to_owned(),
        continues: None,
        directory: None,
        network_by: None,
        not_before_ms: 0,
    };
    let turn = turns::insert(tx, &new, 1)?;
    Ok((here, turns::get(tx, &turn)?))
}

#[tokio::test]
async fn nothing_says_that_a_turn_waits_that_was_cancelled_in_the_same_moment() {
    let dir = tempfile::tempdir().expect("a folder");
    let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
    let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("a lock");
    let ledger = Ledger::open(&places, &lock).expect("a ledger");
    let cards = ledger.write(|tx| {
        let later = 1_000_000;
        let (here, turn) = queued(tx)?;
        // Its own task read the row before somebody recalled the message.
        turns::settle(tx, &turn, Outcome::Cancelled, &Settlement::default(), 2)?;
        queue_waits(tx, &frame(), &here, &turn, WaitReason::RuntimeRestarting)?;
        let of_cancelled = surfaces::due(tx, later, 10)?.surfaces.len();
        let (here, turn) = queued(tx)?;
        queue_waits(tx, &frame(), &here, &turn, WaitReason::RuntimeRestarting)?;
        Ok((of_cancelled, surfaces::due(tx, later, 10)?.surfaces.len()))
    });
    assert_eq!(cards.await.expect("a commit"), (0, 1));
}

/// The card of before may show what came after the copy, and stays; whoever waits on is told so on one of now.
#[tokio::test]
async fn a_turn_that_waits_in_a_ledger_that_was_put_back_gets_a_queue_card_of_its_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
    let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("a lock");
    let ledger = Ledger::open(&places, &lock).expect("a ledger");
    let told = ledger.write(|tx| {
        let later = 1_000_000;
        let (here, turn) = queued(tx)?;
        queue_waits(tx, &frame(), &here, &turn, WaitReason::RuntimeRestarting)?;
        let due = |now_ms| -> Result<Vec<Surface>, LedgerError> {
            let ids = surfaces::due(tx, now_ms, 10)?.surfaces;
            ids.iter().filter_map(|id| surfaces::due_now(tx, id, now_ms).transpose()).collect()
        };
        let before = due(later)?.remove(0);
        surfaces::creating(tx, &before.id, later)?;
        surfaces::shown(tx, &before.id, Some("card"), Some(&before.wanted_hash), 0, later)?;
        restored::hold(tx, later)?;
        assert!(due(later)?.is_empty(), "nothing is painted by itself");
        let here = conversations::get(tx, &here.id)?;
        queue(tx, &frame(), &here.id)?;
        let now = due(2 * later)?;
        let old = surfaces::by_platform(tx, &here.channel, &"card".into())?;
        Ok((before.id, now, old.expect("a card that people may still answer").1))
    });
    let (before, now, old) = told.await.expect("a commit");
    assert!(old.id == before && old.is_gone, "{old:?}");
    let [card] = &now[..] else { panic!("{now:?}") };
    assert!(card.id != before && card.platform_id.is_none(), "{card:?}");
    assert!(
        matches!(&card.wanted, Some(Picture::Card(view)) if matches!(&**view, View::Queue(queue) if queue.why == WaitReason::Held)),
        "{card:?}"
    );
}
