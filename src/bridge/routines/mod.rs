//! Routines: what is due is claimed, and the turn that plays it put into the queue, in one transaction. Whatever dies, sleeps
//! or jumps, a due time has one run or is noted as skipped.
//!
//! The scheduler keeps nothing in memory that the ledger does not know, but what is wrong with a file.

mod by_hand;
mod files;
mod morning;
mod over;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::core::{Core, is_outage};
use super::pictures::Frame;
use super::ports::{OfRoutine, Prompt};
use super::{conversation, prompts, remedy, rights, say};
use crate::crash;
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::routine::{Overlap, Place, Routine, Skipped, Task, To};
use crate::ledger::conversations::NewConversation;
use crate::ledger::routines::{RoutineRow, RoutineState, Run, RunOutcome, RunState};
use crate::ledger::turns::NewTurn;
use crate::ledger::{LedgerError, Transaction, conversations, inbound, restored, routines, said, settings, turns};

pub use by_hand::{Changed, change, run_now};
pub(super) use by_hand::{claim_now, set};
pub use files::{Problem, Problems};
pub(super) use morning::{evening, note};
use over::{Concluded, Retry};
pub(super) use over::{Telling, telling};

/// Longest rest: files may have changed, and after a sleep of the machine what was due is not to wait for long.
const LONGEST: Duration = Duration::from_secs(30);
/// While a run is under way, it is looked so often whether that is over.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Runs of one routine that wait for the one before; what is due beyond that is skipped.
const QUEUE: usize = 20;
/// The chat of the local channel that its terminal opens.
pub(super) const LOCAL_CHAT: &str = "main";

/// Runs what is due until `cancel`.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut files = files::Files::default();
    while core.until_writable(&cancel).await {
        // Before the look: what comes in meanwhile is seen by the next one.
        let woken = core.wakes.routines.notified();
        let rest = match look(&core, &mut files).await {
            Ok(rest) => rest,
            Err(error) => {
                if !is_outage(&error) {
                    warn!(error = %format!("{error:#}"), "Could not look after the routines; they are looked after again");
                }
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = cancel.cancelled() => break,
            () = woken => {}
            () = core.clock.sleep(rest) => {}
        }
    }
    Ok(())
}

/// Does what is due, and gives how long nothing will be.
async fn look(core: &Arc<Core>, files: &mut files::Files) -> anyhow::Result<Duration> {
    files.take_in(core).await?;
    morning::look(core).await?;
    let (rows, open) = core.ledger.read(|tx| Ok((routines::listed(tx)?, routines::with_open(tx)?))).await?;
    let mut rest = LONGEST;
    // One that was taken away may still be under way.
    for name in open.iter().filter(|name| !rows.iter().any(|row| row.name == **name)) {
        settle(core, name.clone()).await?;
        rest = rest.min(LOOK_AGAIN);
    }
    for row in rows {
        let routine = match Routine::parse(&row.name, &row.text, core.config.zone) {
            Ok(routine) => routine,
            Err(error) => {
                // It was read when it was taken in; another ally may read it otherwise.
                core.routine_problems.set(&row.name, error);
                continue;
            }
        };
        let now = core.now_ms();
        let next = routine.next(row.since_ms, row.checked_ms, now);
        let is_due = row.state == RoutineState::On && next.is_some_and(|due| due <= now);
        let is_wrong = Routine::is_noted_ahead(row.checked_ms, now);
        if is_due || is_wrong || open.contains(&row.name) {
            if let Some(conversation) = attend(core, &routine).await? {
                conversation::wake(core, &conversation);
            }
            rest = rest.min(LOOK_AGAIN);
        } else if let Some(next) = next.filter(|_| row.state == RoutineState::On) {
            rest = rest.min(Duration::from_millis((next - now).max(1) as u64));
        }
    }
    Ok(rest)
}

/// Concludes what is over of a routine that is not there any more.
async fn settle(core: &Arc<Core>, name: String) -> Result<(), LedgerError> {
    core.ledger
        .write(move |tx| {
            for run in routines::open(tx, &name)? {
                match run.state {
                    RunState::Running => drop(over::conclude(tx, None, &run, Retry::Never)?),
                    _ => drop(routines::over(tx, &run, RunOutcome::Cancelled, None, run.claimed_at_ms)?),
                }
            }
            Ok(())
        })
        .await
}

/// Where the runs of a routine belong: a chat of a channel, and whose turns they are there.
struct Target {
    frame: Frame,
    chat: ChatId,
    requester: UserId,
    name: String,
}

/// Accounts for the time that has passed, concludes what is over and begins the next run where it may begin.
async fn attend(core: &Arc<Core>, routine: &Routine) -> Result<Option<ConversationId>, LedgerError> {
    if core.registry.is_closed() {
        return Ok(None);
    }
    let mut channels: Vec<ChannelName> = core.channels.keys().cloned().collect();
    channels.sort();
    let frames: Vec<Frame> = channels.iter().map(|channel| core.frame(channel)).collect();
    let directory = routine.directory.clone().unwrap_or_else(|| core.config.assistant.clone());
    if routine.directory.is_none()
        && let Err(error) = std::fs::create_dir_all(&directory)
    {
        warn!(routine = %routine.name, %error, "The assistant's directory cannot be made");
    }
    let ground = Ground { directory, runtime_kind: core.host.kind().to_owned(), runtime_home: core.host.home() };
    let (routine, now) = (routine.clone(), core.now_ms());
    crash::point("routine.before");
    let begun = core.ledger.write(move |tx| step(tx, frames, &routine, ground, now)).await?;
    crash::point("routine.after");
    if begun.is_some() {
        info!("A run of a routine is in the queue");
    }
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    Ok(begun)
}

/// Where runs work and what plays them.
struct Ground {
    directory: PathBuf,
    runtime_kind: String,
    runtime_home: String,
}

/// All that is to be done about a routine now. The conversation whose queue has a turn more.
fn step(
    tx: &Transaction<'_>,
    frames: Vec<Frame>,
    routine: &Routine,
    ground: Ground,
    now_ms: i64,
) -> Result<Option<ConversationId>, LedgerError> {
    // What a ledger that was put back calls due may long be done, and a lock lets nothing begin.
    if settings::is_locked(tx)? || restored::undecided(tx)?.is_some() {
        return Ok(None);
    }
    let Some(row) = routines::get(tx, &routine.name)? else { return Ok(None) };
    let target = target(tx, frames, &routine.to, &row)?;
    let frame = target.as_ref().map(|target| &target.frame);
    let mut woken = None;
    for run in routines::open(tx, &routine.name)? {
        let retry = match row.state {
            RoutineState::Gone => Retry::Never,
            RoutineState::Paused if run.started_by.is_none() => Retry::Later,
            RoutineState::On | RoutineState::Paused => Retry::Now,
        };
        if let Concluded::Again(conversation) = over::conclude(tx, frame, &run, retry)? {
            woken = Some(conversation);
        }
    }
    let is_due = routine.next(row.since_ms, row.checked_ms, now_ms).is_some_and(|due| due <= now_ms);
    let is_wrong = Routine::is_noted_ahead(row.checked_ms, now_ms);
    if row.state == RoutineState::On && (is_due || is_wrong) {
        account(tx, routine, &row, now_ms)?;
    }
    // What was asked for by hand runs also while it is paused.
    let next = next(tx, &routine.name)?.filter(|run| row.state == RoutineState::On || run.started_by.is_some());
    let (Some(run), Some(target)) = (next, target) else { return Ok(woken) };
    if !may_run(tx, &target, &row)? {
        return Ok(woken);
    }
    Ok(begin(tx, &target, routine, &run, ground)?.or(woken))
}

/// Whether the one whose routine it is may still talk to ally there. If not it is paused, and the owner is told so once.
fn may_run(tx: &Transaction<'_>, target: &Target, row: &RoutineRow) -> Result<bool, LedgerError> {
    let frame = &target.frame;
    let access = rights::in_force(tx, frame)?;
    let role = access.role(&target.requester, None, Some(&target.chat), chat_kind(tx, target)?);
    if role.may_talk() {
        return Ok(true);
    }
    if row.state == RoutineState::On {
        routines::set_state(tx, &row.name, RoutineState::Paused, frame.now_ms)?;
        remedy::owner(tx, frame, &frame.channel, |lang| say::routine_has_nobody(lang, &row.name, &target.name))?;
    }
    for run in routines::open(tx, &row.name)?.iter().filter(|run| run.state == RunState::Waiting) {
        routines::over(tx, run, RunOutcome::Cancelled, None, frame.now_ms)?;
    }
    Ok(false)
}

/// Of a ledger that was put back: what it calls due may long be done, and so may what it calls waiting. What was due up to
/// now is noted as missed; what waits goes on with the rest, or not.
pub(super) fn after_restore(tx: &Transaction<'_>, go_on: bool, zone: Tz, now_ms: i64) -> Result<(), LedgerError> {
    for row in routines::listed(tx)? {
        if row.state == RoutineState::On
            && let Ok(routine) = Routine::parse(&row.name, &row.text, zone)
        {
            let plan = routine.plan(row.since_ms, row.checked_ms, now_ms);
            let due = plan.runs.into_iter().map(|due| Skipped { first_ms: due.at_ms, last_ms: due.at_ms, count: 1 });
            for skipped in plan.skipped.into_iter().chain(due) {
                routines::skip(tx, &row.name, skipped, RunOutcome::Missed, now_ms)?;
            }
            routines::checked(tx, &row.name, plan.checked_ms)?;
        }
        for run in routines::open(tx, &row.name)?.iter().filter(|run| !go_on && run.state == RunState::Waiting) {
            routines::over(tx, run, RunOutcome::Cancelled, None, now_ms)?;
        }
    }
    Ok(())
}

/// Notes every due time up to now as a run that waits, or as skipped.
fn account(tx: &Transaction<'_>, routine: &Routine, row: &RoutineRow, now_ms: i64) -> Result<(), LedgerError> {
    let plan = routine.plan(row.since_ms, row.checked_ms, now_ms);
    if let Some(skipped) = plan.skipped {
        routines::skip(tx, &row.name, skipped, RunOutcome::Missed, now_ms)?;
    }
    for due in plan.runs {
        let open = routines::open(tx, &row.name)?.len();
        let is_too_much = match routine.overlap {
            // What is made up for comes one after the other.
            Overlap::Skip => open > 0 && !due.late,
            Overlap::Queue => open >= QUEUE,
        };
        if is_too_much {
            let skipped = Skipped { first_ms: due.at_ms, last_ms: due.at_ms, count: 1 };
            routines::skip(tx, &row.name, skipped, RunOutcome::Overlap, now_ms)?;
        } else {
            routines::claim(tx, &row.name, due, now_ms)?;
        }
    }
    routines::checked(tx, &row.name, plan.checked_ms)
}

/// The run that comes next, where none is under way.
fn next(tx: &Transaction<'_>, name: &str) -> Result<Option<Run>, LedgerError> {
    let open = routines::open(tx, name)?;
    let is_busy = open.iter().any(|run| run.state == RunState::Running);
    Ok(open.into_iter().next().filter(|_| !is_busy))
}

/// `None` where the channel is switched off, or its owner is not known or has no chat yet: the run waits.
fn target(tx: &Transaction<'_>, frames: Vec<Frame>, to: &To, row: &RoutineRow) -> Result<Option<Target>, LedgerError> {
    // The owner's words to a bot stand where the bot is; the terminal is for those who have nothing else.
    let frame = frames.into_iter().find(|frame| match to {
        To::Chat { channel, .. } => *channel == frame.channel,
        To::Owner => frame.access.owner.is_some(),
    });
    let Some(frame) = frame else { return Ok(None) };
    let Some(owner) = frame.access.owner.clone() else { return Ok(None) };
    let chat = match to {
        To::Chat { chat, .. } => Some(chat.clone()),
        To::Owner if frame.channel.as_str() == "local" => {
            Some(inbound::direct_chat_of(tx, &frame.channel, &owner)?.unwrap_or_else(|| LOCAL_CHAT.into()))
        }
        To::Owner => inbound::direct_chat_of(tx, &frame.channel, &owner)?,
    };
    let Some(chat) = chat else { return Ok(None) };
    // What lies in a file is the owner's.
    let requester = if row.made_by.as_str().is_empty() { owner } else { row.made_by.clone() };
    let name = said::name_of(tx, &frame.channel, &requester)?.map(|(name, _)| name);
    let name = name.or_else(|| Some(row.made_name.clone()).filter(|name| !name.is_empty()));
    let name = name.unwrap_or_else(|| requester.to_string());
    Ok(Some(Target { frame, chat, requester, name }))
}

fn chat_kind(tx: &Transaction<'_>, target: &Target) -> Result<ChatKind, LedgerError> {
    let known = conversations::kind_of_chat(tx, &target.frame.channel, &target.chat)?;
    let is_local = target.frame.channel.as_str() == "local";
    // Nobody has spoken there yet: the stricter of the two, but where there are no groups.
    Ok(known.unwrap_or(if is_local { ChatKind::Direct } else { ChatKind::Group }))
}

/// What stands for the conversation: one a routine, or one that several share.
fn key(routine: &Routine) -> String {
    match &routine.place {
        Place::Fresh => routine.name.clone(),
        Place::Named(name) => format!("@{name}"),
    }
}

/// Puts the turn that plays the run into the queue. Not while anything is unsettled in its conversation.
fn begin(
    tx: &Transaction<'_>,
    target: &Target,
    routine: &Routine,
    run: &Run,
    ground: Ground,
) -> Result<Option<ConversationId>, LedgerError> {
    let (now_ms, channel) = (target.frame.now_ms, &target.frame.channel);
    let former = conversations::of_routine(tx, channel, &target.chat, &key(routine))?;
    if let Some(former) = former
        && !turns::unsettled(tx, &former.id)?.is_empty()
    {
        return Ok(None);
    }
    let place = NewConversation {
        channel: channel.clone(),
        chat: target.chat.clone(),
        chat_kind: chat_kind(tx, target)?,
        root: None,
        routine: Some(key(routine)),
        topic: None,
        directory: ground.directory.clone(),
        lang: target.frame.lang,
        runtime_kind: ground.runtime_kind,
        runtime_home: ground.runtime_home,
    };
    let conversation = conversations::resolve(tx, &place, now_ms)?;
    if routine.place == Place::Fresh {
        conversations::begin_anew(tx, &conversation.id)?;
    }
    let new = NewTurn {
        conversation: conversation.id.clone(),
        ord: None,
        requester: target.requester.clone(),
        requester_name: target.name.clone(),
        title: routine.name.clone(),
        reply_to: None,
        prompt: prompts::freeze(&prompt(routine)),
        continues: None,
        directory: Some(ground.directory),
        network_by: None,
        not_before_ms: 0,
    };
    let turn = turns::insert(tx, &new, now_ms)?;
    routines::begin(tx, &run.id, &turn)?;
    Ok(Some(conversation.id))
}

/// The words of a run, and how it is to be done.
fn prompt(routine: &Routine) -> Prompt {
    let text = match &routine.task {
        Task::Prompt(words) => words.clone(),
        Task::Skill { name, with } if with.is_empty() => format!("Use the skill ${name}."),
        Task::Skill { name, with } => format!("Use the skill ${name}.\n\n{with}"),
    };
    let of = OfRoutine {
        name: routine.name.clone(),
        quiet: routine.quiet,
        timeout_ms: i64::try_from(routine.timeout.as_millis()).unwrap_or(i64::MAX),
        retries: routine.retries,
        model: routine.model.clone(),
        autonomy: routine.autonomy,
    };
    Prompt { text, routine: Some(of), ..Prompt::default() }
}

#[cfg(test)]
mod tests;
