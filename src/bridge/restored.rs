//! A ledger that was put back to an earlier state: its owner decides what becomes of all that it calls unsettled. New
//! messages are taken and worked on meanwhile.

use super::actions::{Performed, Person, Told};
use super::core::Core;
use super::pictures::{self, Frame};
use super::say;
use crate::domain::action::Action;
use crate::domain::delivery::Target;
use crate::domain::ids::ChannelName;
use crate::domain::turn::{Outcome, TurnState};
use crate::domain::view::ButtonRole;
use crate::ledger::turns::{Settlement, Turn};
use crate::ledger::{LedgerError, Transaction, audit, conversations, inbound, restored, turns};
use crate::words::NoticeMsg;

/// Tasks that the card names.
const NAMED: usize = 10;

/// Asks the owner, where it was recognised and nobody has decided.
pub(super) async fn after_restart(core: &Core) -> Result<(), LedgerError> {
    core.set_restored(core.ledger.read(restored::last_ms).await?);
    let Some(at_ms) = core.ledger.read(restored::undecided).await? else { return Ok(()) };
    let mut channels: Vec<ChannelName> = core.channels.keys().cloned().collect();
    channels.sort();
    for channel in channels {
        let frame = core.frame(&channel);
        if core.ledger.write(move |tx| ask(tx, &frame, at_ms)).await? {
            break;
        }
    }
    Ok(())
}

fn subject(at_ms: i64) -> String {
    format!("restored:{at_ms}")
}

/// False where the owner has no chat on this channel.
fn ask(tx: &Transaction<'_>, frame: &Frame, at_ms: i64) -> Result<bool, LedgerError> {
    let Some(owner) = &frame.access.owner else { return Ok(false) };
    let Some(home) = inbound::direct_chat_of(tx, &frame.channel, owner)? else { return Ok(false) };
    let Some(conversation) = conversations::newest_of_chat(tx, &frame.channel, &home)? else { return Ok(false) };
    let held = restored::held(tx, at_ms)?;
    let named: Vec<String> =
        held.turns.iter().take(NAMED).map(|turn| format!("- {}: {}", turn.requester_name, turn.title)).collect();
    let text = say::notice(
        conversation.lang,
        NoticeMsg::Restored { turns: held.turns.len(), messages: held.messages, inbound: held.inbound },
    );
    let text = [vec![text], named].concat().join("\n");
    let offered = [
        (ButtonRole::Continue, Action::Restored { go_on: true, at_ms }),
        (ButtonRole::Dismiss, Action::Restored { go_on: false, at_ms }),
    ];
    let target = Target { chat: home, reply_to: None, in_topic: false };
    pictures::notice(tx, frame, &conversation, target, &subject(at_ms), text, &offered)?;
    Ok(true)
}

/// The owner has decided.
pub(super) fn decide(
    tx: &Transaction<'_>,
    frame: &Frame,
    go_on: bool,
    at_ms: i64,
    person: &Person,
) -> Result<Performed, LedgerError> {
    if !person.role.is_owner() {
        return Ok(Performed::told(Told::OnlyThese { names: super::rights::owner_name(tx, frame)? }));
    }
    if restored::undecided(tx)? != Some(at_ms) {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    let held = restored::held(tx, at_ms)?;
    let woken = if go_on {
        restored::go_on(tx)?
    } else {
        for turn in &held.turns {
            give_up(tx, turn, frame.now_ms)?;
        }
        restored::drop_rest(tx)?
    };
    let (told, what) = if go_on { (Told::Queued, "go on") } else { (Told::Dismissed, "drop") };
    let detail = format!("{} tasks, {} messages", held.turns.len(), held.messages);
    audit::note(tx, person.user.as_str(), "restored", what, &detail, frame.now_ms)?;
    let who = person.name.as_str();
    let remark = if go_on { NoticeMsg::RestoredGoesOn { who } } else { NoticeMsg::RestoredDropped { who } };
    pictures::notice_over(tx, frame, &subject(at_ms), remark)?;
    Ok(Performed { wake: woken, rerun_intake: true, ..Performed::told(told) })
}

/// Nobody is told: what became of it stands in the chat already, or never will.
fn give_up(tx: &Transaction<'_>, turn: &Turn, now_ms: i64) -> Result<(), LedgerError> {
    let outcome = if turn.state == TurnState::Queued { Outcome::Cancelled } else { Outcome::Lost };
    for gate in crate::ledger::gates::of_turn(tx, &turn.id)?.iter().filter(|gate| !gate.state.is_over()) {
        crate::ledger::gates::void(tx, gate)?;
    }
    turns::settle(tx, &turns::get(tx, &turn.id)?, outcome, &Settlement::default(), now_ms)
}
