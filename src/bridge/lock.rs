//! The owner's one switch for everything: no turn starts, every running one is stopped, no button decides. It lies in the
//! ledger and is looked at in the transactions that it forbids, so no restart and no moment passes it by.

use std::sync::Arc;

use super::actions::{self, Performed, Told};
use super::core::Core;
use super::intake::{after, notice};
use super::{pictures, say};
use crate::domain::delivery::Target;
use crate::domain::ids::*;
use crate::domain::turn::StopReason;
use crate::domain::view::Lang;
use crate::ledger::turns::{Stop, Turn};
use crate::ledger::{LedgerError, Transaction, audit, conversations, report, said, settings, turns};
use crate::words::NoticeMsg;

/// Which turns the lock cut, until it is opened.
const CUT: &str = "locked_cut";

/// Who turns the switch.
pub struct Hand<'a> {
    /// For the audit.
    pub id: &'a str,
    /// For the cards of what is cut.
    pub name: &'a str,
    /// The chat in which it was said.
    pub place: Option<(&'a ChannelName, &'a ChatId)>,
}

/// What a turn of the switch came to.
#[derive(Debug, Clone, Default)]
pub struct Turned {
    /// False where it stood like that before.
    pub changed: bool,
    /// Turns that the lock stopped.
    pub cut: Vec<Turn>,
    /// Turns that wait for the lock to be opened.
    pub queued: i64,
    /// Conversations that have something to do now.
    pub woken: Vec<ConversationId>,
}

impl Turned {
    pub(super) fn performed(&self) -> Performed {
        Performed { told: Told::Stopping, wake: self.woken.clone(), secret: None, rerun_intake: false, routines: false }
    }
}

/// Locks: every turn that a runtime has is asked to stop in the same transaction.
pub fn lock(tx: &Transaction<'_>, hand: &Hand<'_>, now_ms: i64) -> Result<Turned, LedgerError> {
    let queued = report::counts(tx, now_ms)?.queued;
    if settings::is_locked(tx)? {
        return Ok(Turned { queued, ..Turned::default() });
    }
    settings::set_locked(tx, Some(hand.id))?;
    let (mut cut, mut woken) = (Vec::new(), Vec::new());
    for turn in turns::all_active(tx)? {
        let stop = Stop { reason: StopReason::Person, by: Some(hand.name.to_owned()), at_ms: now_ms };
        woken.push(turn.conversation.clone());
        if turns::request_stop(tx, &turn.id, &stop)? {
            audit::note(tx, hand.id, "stop", turn.id.as_str(), "", now_ms)?;
            let conversation = conversations::get(tx, &turn.conversation)?;
            let target = pictures::target_of(&conversation, &turn);
            tell(tx, &conversation.channel, target, conversation.lang, now_ms)?;
            cut.push(turn);
        }
    }
    let ids: Vec<&str> = cut.iter().map(|turn| turn.id.as_str()).collect();
    said::set_meta(tx, CUT, &ids.join(" "))?;
    note(tx, hand, "locked", now_ms)?;
    Ok(Turned { changed: true, cut, queued, woken })
}

/// Opens the lock: what is queued starts.
pub fn unlock(tx: &Transaction<'_>, hand: &Hand<'_>, now_ms: i64) -> Result<Turned, LedgerError> {
    let queued = report::counts(tx, now_ms)?.queued;
    if !settings::is_locked(tx)? {
        return Ok(Turned { queued, ..Turned::default() });
    }
    settings::set_locked(tx, None)?;
    let ids = said::meta(tx, CUT)?.unwrap_or_default();
    let cut = ids.split_whitespace().map(|id| turns::get(tx, &id.into())).collect::<Result<Vec<_>, _>>()?;
    said::set_meta(tx, CUT, "")?;
    note(tx, hand, "unlocked", now_ms)?;
    Ok(Turned { changed: true, cut, queued, woken: conversations::with_work(tx)? })
}

fn note(tx: &Transaction<'_>, hand: &Hand<'_>, what: &str, now_ms: i64) -> Result<(), LedgerError> {
    match hand.place {
        Some(place) => audit::note_in(tx, place, hand.id, what, "", "", now_ms),
        None => audit::note(tx, hand.id, what, "", "", now_ms),
    }
}

/// Says in a chat why nothing happens there, once a day.
pub(super) fn tell(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    target: Target,
    lang: Lang,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let day = now_ms / 86_400_000;
    if said::first_time(tx, &format!("locked:{channel}:{}:{day}", target.chat), now_ms)? {
        let text = say::notice(lang, NoticeMsg::LockedByOwner);
        notice(tx, channel, target, None, None, text, lang, now_ms)?;
    }
    Ok(())
}

/// What a button or a word is told meanwhile; it is kept that somebody tried.
pub(super) fn refuse(
    tx: &Transaction<'_>,
    person: &actions::Person,
    subject: &str,
    now_ms: i64,
) -> Result<Performed, LedgerError> {
    audit::note(tx, person.user.as_str(), "refused while locked", subject, "", now_ms)?;
    Ok(Performed { told: Told::Paused, wake: Vec::new(), secret: None, rerun_intake: false, routines: false })
}

/// The switch in the hand of whoever may use this account of the machine.
pub async fn by_computer(core: &Arc<Core>, locked: bool) -> Result<Turned, LedgerError> {
    let now_ms = core.now_ms();
    let turned = core.ledger.write(move |tx| {
        let hand = Hand { id: "computer", name: if locked { "ally lock" } else { "ally unlock" }, place: None };
        if locked { lock(tx, &hand, now_ms) } else { unlock(tx, &hand, now_ms) }
    });
    let turned = turned.await?;
    // What runs learns of its stop from the ledger, whether or not the rights can be read now.
    after(core, turned.performed());
    core.refresh_access().await?;
    // What came meanwhile was judged by the rights of before.
    core.registry.wake_all();
    Ok(turned)
}
