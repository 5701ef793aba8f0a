//! Pictures that are computed from rows that changed meanwhile.

use std::sync::Arc;

use super::*;
use crate::domain::turn::Outcome;
use crate::ledger::conversations::NewConversation;
use crate::ledger::turns::{NewTurn, Settlement};
use crate::ledger::{Ledger, LedgerLock, Places};

/// Of a channel in which nobody has rights.
pub fn frame() -> Frame {
    Frame {
        channel: "local".into(),
        access: Arc::default(),
        floor: Arc::default(),
        lang: Lang::En,
        bot_name: "ally".to_owned(),
        workspaces: "/w".into(),
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
