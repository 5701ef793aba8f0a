//! Routines: what is due is claimed, and the turn that plays it put into the queue, in one transaction. Whatever dies, sleeps
//! or jumps, a due time has one run or is noted as skipped.

mod over;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::core::Core;
use super::pictures::Frame;
use super::ports::{OfRoutine, Prompt};
use super::{conversation, prompts};
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::routine::{Overlap, Place, Routine, Skipped, Task, To};
use crate::ledger::conversations::NewConversation;
use crate::ledger::routines::{RoutineRow, RoutineState, Run, RunOutcome, RunState};
use crate::ledger::turns::NewTurn;
use crate::ledger::{LedgerError, Transaction, conversations, inbound, restored, routines, settings, turns};

pub(super) use over::over;

/// Longest rest: a routine that is taken in wakes the scheduler, a clock that jumps is noticed after a minute at the most.
const LONGEST: Duration = Duration::from_secs(3600);
/// While a run waits for something, it is looked so often whether that is over.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Runs of one routine that wait for the one before; what is due beyond that is skipped.
const QUEUE: usize = 20;

/// Runs what is due until `cancel`.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    while core.until_writable(&cancel).await {
        let rest = match look(&core).await {
            Ok(rest) => rest,
            Err(error) if error.is_outage() => continue,
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            () = cancel.cancelled() => break,
            () = core.wakes.routines.notified() => {}
            () = core.clock.sleep(rest) => {}
        }
    }
    Ok(())
}

/// Does what is due, and gives how long nothing will be.
async fn look(core: &Arc<Core>) -> Result<Duration, LedgerError> {
    let (rows, open) = core.ledger.read(|tx| Ok((routines::listed(tx)?, routines::with_open(tx)?))).await?;
    let mut rest = LONGEST;
    for row in rows {
        let routine = match Routine::parse(&row.name, &row.text, core.config.zone) {
            Ok(routine) => routine,
            Err(error) => {
                // It was read when it was taken in; a newer ally may read it otherwise.
                warn!(routine = %row.name, ?error, "A routine cannot be read; it does not run");
                continue;
            }
        };
        let now = core.now_ms();
        let is_due = |row: &RoutineRow| {
            routine.schedule.next_after(row.checked_ms, row.since_ms).is_some_and(|due| due <= now)
        };
        let waits = open.contains(&row.name);
        if waits || (row.state == RoutineState::On && is_due(&row)) {
            if let Some(conversation) = attend(core, &routine).await? {
                conversation::wake(core, &conversation);
            }
            rest = rest.min(LOOK_AGAIN);
        }
        if row.state == RoutineState::On
            && let Some(next) = routine.schedule.next_after(row.checked_ms.max(now), row.since_ms)
        {
            rest = rest.min(Duration::from_millis(next.saturating_sub(core.now_ms()).max(0) as u64));
        }
    }
    Ok(rest)
}

/// Where the runs of a routine belong: a chat of a channel, and who is asked there.
struct Target {
    frame: Frame,
    chat: ChatId,
}

/// Accounts for the time that has passed, and begins the next run where it may begin.
async fn attend(core: &Arc<Core>, routine: &Routine) -> Result<Option<ConversationId>, LedgerError> {
    if core.registry.is_closed() {
        return Ok(None);
    }
    let mut channels: Vec<ChannelName> = core.channels.keys().cloned().collect();
    channels.sort();
    let frames: Vec<Frame> = channels.iter().map(|channel| core.frame(channel)).collect();
    let directory = routine.directory.clone().unwrap_or_else(|| core.config.assistant.clone());
    if let Err(error) = std::fs::create_dir_all(&directory) {
        warn!(routine = %routine.name, %error, "The directory of a routine cannot be made");
    }
    let (kind, home, now) = (core.host.kind().to_owned(), core.host.home(), core.now_ms());
    let routine = routine.clone();
    let begun = core.ledger.write(move |tx| {
        // What a ledger that was put back calls due may long be done, and a lock lets nothing begin.
        if settings::is_locked(tx)? || restored::undecided(tx)?.is_some() {
            return Ok(None);
        }
        let Some(row) = routines::get(tx, &routine.name)? else { return Ok(None) };
        if row.state == RoutineState::On {
            account(tx, &routine, &row, now)?;
        }
        let Some(run) = next(tx, &routine.name)? else { return Ok(None) };
        let Some(target) = target(tx, frames, &routine.to)? else {
            return Ok(None);
        };
        let place = NewConversation {
            channel: target.frame.channel.clone(),
            chat: target.chat.clone(),
            chat_kind: chat_kind(tx, &target)?,
            root: None,
            routine: Some(key(&routine)),
            topic: None,
            directory: directory.clone(),
            lang: target.frame.lang,
            runtime_kind: kind,
            runtime_home: home,
        };
        begin(tx, &target.frame, &routine, &row, &run, &place, directory)
    });
    let begun = begun.await?;
    if begun.is_some() {
        info!("A run of a routine is in the queue");
        core.wakes.painter.notify_one();
    }
    Ok(begun)
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
            Overlap::Skip => open > 0,
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

/// `None` where the channel is switched off, or the owner has no chat yet: the run waits.
fn target(tx: &Transaction<'_>, frames: Vec<Frame>, to: &To) -> Result<Option<Target>, LedgerError> {
    for frame in frames {
        let chat = match to {
            To::Chat { channel, chat } if *channel == frame.channel => Some(chat.clone()),
            To::Chat { .. } => None,
            To::Owner => match &frame.access.owner {
                Some(owner) => inbound::direct_chat_of(tx, &frame.channel, owner)?,
                None => None,
            },
        };
        if let Some(chat) = chat {
            return Ok(Some(Target { frame, chat }));
        }
    }
    Ok(None)
}

fn chat_kind(tx: &Transaction<'_>, target: &Target) -> Result<ChatKind, LedgerError> {
    // Nobody has spoken there yet: the stricter of the two.
    Ok(conversations::kind_of_chat(tx, &target.frame.channel, &target.chat)?.unwrap_or(ChatKind::Group))
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
    frame: &Frame,
    routine: &Routine,
    row: &RoutineRow,
    run: &Run,
    place: &NewConversation,
    directory: PathBuf,
) -> Result<Option<ConversationId>, LedgerError> {
    let conversation = conversations::resolve(tx, place, frame.now_ms)?;
    if !turns::unsettled(tx, &conversation.id)?.is_empty() {
        return Ok(None);
    }
    match routine.place {
        Place::Fresh => conversations::begin_anew(tx, &conversation.id)?,
        // What a former run was lost in holds up nothing.
        Place::Named(_) => conversations::release(tx, &conversation.id)?,
    }
    // A file's routine is its owner's.
    let owner = frame.access.owner.clone().filter(|_| row.made_by.as_str().is_empty());
    let new = NewTurn {
        conversation: conversation.id.clone(),
        ord: None,
        requester: owner.unwrap_or_else(|| row.made_by.clone()),
        requester_name: row.made_name.clone(),
        title: routine.name.clone(),
        reply_to: None,
        prompt: prompts::freeze(&prompt(routine)),
        continues: None,
        directory: Some(directory),
        network_by: None,
        not_before_ms: 0,
    };
    let turn = turns::insert(tx, &new, frame.now_ms)?;
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
