//! A ledger that was put back to an earlier state: its owner decides what becomes of all that it calls unsettled. New
//! messages are taken and worked on meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{info, warn};

use super::actions::{self, Performed, Person, Told};
use super::alive;
use super::core::Core;
use super::host::LiveRuntime;
use super::intake::after;
use super::pictures::{self, Frame};
use super::ports::{CallError, Pull, ThreadStatus};
use super::say;
use crate::domain::access::Role;
use crate::domain::action::Action;
use crate::domain::delivery::Target;
use crate::domain::ids::*;
use crate::domain::turn::{Outcome, TurnState};
use crate::domain::verdict::FoundStatus;
use crate::domain::view::ButtonRole;
use crate::ledger::conversations::Conversation;
use crate::ledger::inbound::InboundRow;
use crate::ledger::restored::Held;
use crate::ledger::surfaces::{self, SurfaceKind};
use crate::ledger::turns::{Settlement, Turn};
use crate::ledger::{LedgerError, Transaction, audit, conversations, inbound, restored, turns};
use crate::tasks::OnExit;
use crate::words::{self, NoticeMsg};

/// What was interrupted is looked at again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So often, before it is taken for one that does not end.
const LOOKS: usize = 15;

/// Tasks that the card names.
const NAMED: usize = 10;

/// Asks the owner, where it was recognised and nobody has decided.
pub(super) async fn after_restart(core: &Core) -> Result<(), LedgerError> {
    core.set_restored(core.ledger.read(restored::last_ms).await?);
    ask_owner(core).await
}

/// The same as soon as the owner has a chat, where the ledger that was put back knew none; and once more when he writes,
/// where the card could not be shown.
pub(super) async fn ask_owner(core: &Core) -> Result<(), LedgerError> {
    let look = |tx: &Transaction<'_>| {
        let Some(at_ms) = restored::undecided(tx)? else { return Ok(None) };
        Ok(Some((at_ms, surfaces::find(tx, SurfaceKind::Notice, &subject(at_ms))?)))
    };
    let asked = match core.ledger.read(look).await? {
        None => true,
        Some((_, Some(card))) if !card.is_gone => card.platform_id.is_some(),
        Some((at_ms, _)) => {
            let mut channels: Vec<ChannelName> = core.channels.keys().cloned().collect();
            channels.sort();
            for channel in channels {
                let frame = core.frame(&channel);
                if core.ledger.write(move |tx| ask(tx, &frame, at_ms)).await? {
                    break;
                }
            }
            // It is not there yet.
            false
        }
    };
    core.owner_is_to_be_asked.store(!asked, Ordering::Release);
    core.wakes.painter.notify_one();
    Ok(())
}

/// Whether it was the owner who wrote, where he can be asked.
pub(super) fn is_of_owner(core: &Core, row: &InboundRow) -> bool {
    !row.in_group && row.sender.is_some() && row.sender == core.frame(&row.channel).access.owner
}

fn subject(at_ms: i64) -> String {
    format!("restored:{at_ms}")
}

/// False where the owner has no chat on this channel.
fn ask(tx: &Transaction<'_>, frame: &Frame, at_ms: i64) -> Result<bool, LedgerError> {
    let Some(owner) = &frame.access.owner else { return Ok(false) };
    let Some(home) = inbound::direct_chat_of(tx, &frame.channel, owner)? else { return Ok(false) };
    // There may be none yet: what was said there was not looked at.
    let conversation = conversations::newest_of_chat(tx, &frame.channel, &home)?;
    let lang = conversation.map_or(frame.lang, |conversation| conversation.lang);
    let held = restored::held(tx, at_ms)?;
    let named: Vec<String> =
        held.turns.iter().take(NAMED).map(|turn| format!("- {}: {}", turn.requester_name, turn.title)).collect();
    let text = say::notice(
        lang,
        NoticeMsg::Restored { turns: held.turns.len(), messages: held.messages, inbound: held.inbound },
    );
    let text = [vec![text], named].concat().join("\n");
    let offered = [
        (ButtonRole::Continue, Action::Restored { go_on: true, at_ms }),
        (ButtonRole::Dismiss, Action::Restored { go_on: false, at_ms }),
    ];
    let target = Target { chat: home.clone(), reply_to: None, in_topic: false };
    pictures::notice_at(tx, frame, home, lang, &subject(at_ms), text, &offered)?;
    surfaces::show_after_all(tx, SurfaceKind::Notice, &subject(at_ms), &target)?;
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
    close_questions(tx, frame, go_on, person)?;
    for turn in &held.turns {
        let asked_about = alive::words_of(tx, turn)?.filter(|_| turn.is_asked());
        match asked_about {
            Some(row) if go_on => actions::still_wanted(tx, frame, turn, &row, person)?,
            _ if go_on => {}
            _ => {
                actions::close_question(tx, frame, turn, &person.name)?;
                give_up(tx, turn, frame.now_ms)?;
            }
        }
    }
    super::routines::after_restore(tx, go_on, frame.zone, frame.now_ms)?;
    let woken = if go_on { restored::go_on(tx)? } else { restored::drop_rest(tx)? };
    let (told, what) = if go_on { (Told::Queued, "go on") } else { (Told::Dismissed, "drop") };
    let detail = format!("{} tasks, {} messages", held.turns.len(), held.messages);
    audit::note(tx, person.user.as_str(), "restored", what, &detail, frame.now_ms)?;
    let who = person.name.as_str();
    let remark = if go_on { NoticeMsg::RestoredGoesOn { who } } else { NoticeMsg::RestoredDropped { who } };
    pictures::notice_over(tx, frame, &subject(at_ms), remark)?;
    Ok(Performed { wake: woken, rerun_intake: true, ..Performed::told(told) })
}

/// The decision of whoever may use this account of the machine: the same as a click on the card. What was held; nothing
/// where nothing is to be decided.
pub async fn by_computer(core: &Arc<Core>, go_on: bool) -> Result<Option<Held>, LedgerError> {
    let asked = core.ledger.read(|tx| {
        let Some(at_ms) = restored::undecided(tx)? else { return Ok(None) };
        let card = surfaces::find(tx, SurfaceKind::Notice, &subject(at_ms))?;
        Ok(Some((at_ms, card.map(|card| (card.channel, card.lang)))))
    });
    let Some((at_ms, card)) = asked.await? else { return Ok(None) };
    let (channel, lang) = card.unwrap_or_else(|| (ChannelName::new("local"), core.config.lang));
    let name = words::owner_at_computer(lang).to_owned();
    let person = Person { user: UserId::new("computer"), name, role: Role::Owner };
    let frame = core.frame(&channel);
    let decided = core.ledger.write(move |tx| {
        let held = restored::held(tx, at_ms)?;
        Ok((held, decide(tx, &frame, go_on, at_ms, &person)?))
    });
    let (held, performed) = decided.await?;
    // Somebody was first.
    let held = (performed.told != Told::NoLongerValid).then_some(held);
    after(core, performed);
    Ok(held)
}

/// Whether the runtime has this turn already that the ledger never handed over: then the ledger is an earlier state of
/// itself, whatever is noted beside it. Asked only of turns that were queued before this bridge came, and that nobody has
/// decided about.
pub(super) async fn has_run(
    core: &Core,
    live: &LiveRuntime,
    conversation: &Conversation,
    turn: &Turn,
) -> anyhow::Result<bool> {
    let is_older = turn.created_at_ms < core.since_ms;
    let Some(thread) = conversation.thread.clone().filter(|_| is_older) else { return Ok(false) };
    let id = turn.id.clone();
    if core.ledger.read(move |tx| restored::was_there(tx, &id)).await? {
        return Ok(false);
    }
    let client = ClientId::of_turn(&turn.id, turn.attempt + 1);
    let cursor = conversation.thread_cursor.clone();
    let pull = Pull { thread, client: Some(client.clone()), turn: None, cursor };
    match live.call(|runtime| runtime.pull(&pull)).await {
        Ok(history) => Ok(history.turns.iter().any(|pulled| pulled.has_client(&client))),
        // It says nothing now; the turn is not handed over before it does.
        Err(error @ (CallError::Busy { .. } | CallError::NoAnswer { .. } | CallError::Gone)) => Err(error.into()),
        // There is nothing that it could tell.
        Err(_) => Ok(false),
    }
}

/// Since the ledger was put back something may go on in the conversation's thread that was given up: what is handed over
/// there would go into it. It is interrupted first; where it does not end, the conversation goes on in a copy of the
/// thread. How long until the next look, while the runtime cannot be asked.
pub(super) async fn end_unknown(core: &Core, conversation: &ConversationId) -> Result<Option<Duration>, LedgerError> {
    if !core.was_put_back() || core.registry.is_closed() {
        return Ok(None);
    }
    let here = conversation.clone();
    let Some(thread) = core.ledger.read(move |tx| restored::unknown_on(tx, &here)).await? else { return Ok(None) };
    let Some(live) = core.host.now() else { return Ok(Some(LOOK_AGAIN)) };
    let is_quiet = match interrupt_unknown(&live, &thread).await {
        Ok(is_quiet) => is_quiet,
        Err(CallError::Busy { .. } | CallError::Gone) => return Ok(Some(LOOK_AGAIN)),
        Err(error) => {
            warn!(conversation.id = %conversation, %error, "What goes on in a thread cannot be ended");
            false
        }
    };
    let here = conversation.clone();
    core.ledger
        .write(move |tx| {
            restored::nothing_unknown(tx, &here)?;
            if !is_quiet && conversations::get(tx, &here)?.thread == Some(thread) {
                conversations::set_fork_wanted(tx, &here, true)?;
            }
            Ok(())
        })
        .await?;
    Ok(None)
}

/// True when it is known that nothing goes on there (any more).
async fn interrupt_unknown(live: &LiveRuntime, thread: &ThreadId) -> Result<bool, CallError> {
    if is_quiet(live, thread).await? {
        return Ok(true);
    }
    let pull = Pull { thread: thread.clone(), client: None, turn: None, cursor: None };
    let history = live.call(|runtime| runtime.pull(&pull)).await?;
    let running = history.turns.iter().find(|turn| turn.status == FoundStatus::InProgress);
    if let Some(turn) = running {
        info!(thread.id = %thread, "Interrupts what goes on in a thread since the ledger was put back");
        match live.call(|runtime| runtime.interrupt(thread, &turn.native)).await {
            Ok(()) | Err(CallError::NoTurn) => {}
            Err(error) => return Err(error),
        }
        if let Err(error) = live.call(|runtime| runtime.clean(thread)).await {
            info!(thread.id = %thread, %error, "What runs behind a thread could not be ended");
        }
    }
    for _ in 0..LOOKS {
        if is_quiet(live, thread).await? {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(false)
}

async fn is_quiet(live: &LiveRuntime, thread: &ThreadId) -> Result<bool, CallError> {
    match live.call(|runtime| runtime.thread_status(thread)).await {
        Ok(ThreadStatus::Active | ThreadStatus::WaitingOnPerson) => Ok(false),
        // What it does not know, or never tells of, it does not work on.
        Ok(ThreadStatus::Idle | ThreadStatus::NotLoaded) | Err(CallError::NoThread { .. } | CallError::Unsupported) => {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// The bridge ends, and the next one holds everything before anything of it works.
pub(super) async fn begin_anew(core: &Core) -> Result<(), LedgerError> {
    core.ledger.write(restored::mark).await?;
    core.tasks.spawn("restored", OnExit::StopDaemon, |_| async {
        Err(anyhow::anyhow!("the runtime has a turn that the ledger has not handed over: the ledger was put back"))
    });
    Ok(())
}

/// The cards that ask about late messages ask no more: it is decided about them as well.
fn close_questions(tx: &Transaction<'_>, frame: &Frame, go_on: bool, person: &Person) -> Result<(), LedgerError> {
    let role = if go_on { ButtonRole::DoIt } else { ButtonRole::Cancel };
    for row in restored::inbound_held(tx)? {
        if surfaces::find(tx, SurfaceKind::Stale, &pictures::late_subject(row.seq))?.is_some_and(|card| !card.is_gone) {
            pictures::late(tx, frame, &row, frame.lang, "", Some((role.clone(), person.name.clone())))?;
        }
    }
    Ok(())
}

/// Nobody is told: what became of it stands in the chat already, or never will.
fn give_up(tx: &Transaction<'_>, turn: &Turn, now_ms: i64) -> Result<(), LedgerError> {
    let outcome = if turn.state == TurnState::Queued { Outcome::Cancelled } else { Outcome::Lost };
    for gate in crate::ledger::gates::of_turn(tx, &turn.id)?.iter().filter(|gate| !gate.state.is_over()) {
        crate::ledger::gates::void(tx, gate)?;
    }
    turns::settle(tx, &turns::get(tx, &turn.id)?, outcome, &Settlement::default(), now_ms)
}
