//! A request that waits for its conversation to be compacted: put there by *Compact and retry*, and run again by the end of
//! the compaction.

use super::actions::{self, Person};
use super::pictures::Frame;
use super::prompts;
use crate::domain::view::Receipt;
use crate::ledger::turns::{NewTurn, Turn};
use crate::ledger::{LedgerError, Transaction, inbound, turns};

/// A compaction in the place of a turn that found its thread too long. The request runs again when that is done, by a row
/// that the compaction's end writes ([`over`]).
pub fn first(tx: &Transaction<'_>, frame: &Frame, turn: &Turn, person: &Person) -> Result<(), LedgerError> {
    let new = NewTurn {
        conversation: turn.conversation.clone(),
        ord: Some(turn.ord),
        requester: person.user.clone(),
        requester_name: person.name.clone(),
        title: turn.title.clone(),
        reply_to: turn.reply_to.clone(),
        prompt: prompts::freeze(&prompts::compacting(Some(turn.id.clone()))),
        continues: None,
        directory: Some(turn.directory.clone()),
        network_by: None,
        not_before_ms: 0,
    };
    turns::insert(tx, &new, frame.now_ms)?;
    actions::receipts(tx, frame, turn, Receipt::Queued)
}

/// Whether a request waits for this compaction that nobody has recalled.
pub fn is_awaited(tx: &Transaction<'_>, compaction: &Turn) -> Result<bool, LedgerError> {
    let Some(former) = prompts::compaction(&compaction.prompt).and_then(|compacts| compacts.then) else {
        return Ok(false);
    };
    Ok(!inbound::of_turn(tx, &former)?.iter().any(|row| row.reason.as_deref() == Some("recalled")))
}

/// The end of a turn, where it was a compaction that a request waits for: only a thread that has room again takes it. In
/// the transaction of that end, so that it runs once whatever dies.
pub fn over(tx: &Transaction<'_>, frame: &Frame, compaction: &Turn, has_room: bool) -> Result<(), LedgerError> {
    let Some(former) = prompts::compaction(&compaction.prompt).and_then(|compacts| compacts.then) else {
        return Ok(());
    };
    let former = turns::get(tx, &former)?;
    // Its words may be forgotten: no agent is to get an empty task.
    if !has_room || former.prompt.is_empty() || !is_awaited(tx, compaction)? {
        return actions::receipts(tx, frame, &former, Receipt::Failed);
    }
    let by = (&compaction.requester, compaction.requester_name.as_str());
    actions::again(tx, frame, &former, former.prompt.clone(), false, by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::ChatKind;
    use crate::domain::turn::Outcome;
    use crate::domain::view::Lang;
    use crate::ledger::conversations::{self, NewConversation};
    use crate::ledger::{Ledger, LedgerLock, Places, prune};

    #[tokio::test]
    async fn a_request_is_not_forgotten_while_its_compaction_waits() {
        let dir = tempfile::tempdir().expect("a folder");
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("a lock");
        let ledger = Ledger::open(&places, &lock).expect("a ledger");
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
        let prompts = ledger.write(move |tx| {
            let new = |conversation, prompt| NewTurn {
                conversation,
                ord: None,
                requester: "u".into(),
                requester_name: "U".to_owned(),
                title: "t".to_owned(),
                reply_to: None,
                prompt,
                continues: None,
                directory: None,
                network_by: None,
                not_before_ms: 0,
            };
            let here = conversations::resolve(tx, &place, 1)?.id;
            let asked =
                prompts::freeze(&super::super::ports::Prompt { text: "asked".to_owned(), ..Default::default() });
            let mut failed = Vec::new();
            for _ in 0..2 {
                let turn = turns::insert(tx, &new(here.clone(), asked.clone()), 1)?;
                turns::settle(tx, &turns::get(tx, &turn)?, Outcome::Cancelled, &Default::default(), 1)?;
                failed.push(turn);
            }
            let compaction = prompts::freeze(&prompts::compacting(Some(failed[0].clone())));
            turns::insert(tx, &new(here, compaction), 2)?;
            while prune::step(tx, prune::Step { now_ms: 9, before_ms: 9, audit_before_ms: 9, rows: 9 })? {}
            failed.iter().map(|turn| Ok(turns::get(tx, turn)?.prompt)).collect::<Result<Vec<_>, LedgerError>>()
        });
        let prompts = prompts.await.expect("a commit");
        assert!(prompts[0].contains("asked"), "it runs again after the compaction");
        assert_eq!(prompts[1], "");
    }
}
