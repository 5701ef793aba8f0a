//! Hands one queued turn to the runtime: lease, thread, W2, submit. What follows the submit is [`super::follow`].

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::conversation::{Handle, Next};
use super::core::Core;
use super::follow::Follow;
use super::host::{HostState, LiveRuntime};
use super::leases::Lease;
use super::pictures::{self, Frame, Live};
use super::ports::*;
use super::settle::{self, Finish, NotCompacted};
use super::{actions, places, posture, prompts, remedy, restored, rights, say};
use crate::crash;
use crate::domain::action::{Action, Reopen};
use crate::domain::history::{Failure, FailureKind};
use crate::domain::ids::*;
use crate::domain::turn::Outcome;
use crate::domain::view::*;
use crate::ledger::conversations::{Conversation, HeldWhy};
use crate::ledger::settings::{self, Setting};
use crate::ledger::turns::{Progress, Submission, Turn};
use crate::ledger::{LedgerError, Transaction, conversations, threads, turns};

/// Thread of a turn that ended before there was one.
const NEVER_OPENED: &str = "never opened";

/// Runs a queued turn as far as it goes now.
pub async fn run(
    core: &Arc<Core>,
    conversation: &Conversation,
    turn: &Turn,
    handle: &Arc<Handle>,
) -> anyhow::Result<Next> {
    let Some(lease) = lease(core, conversation, turn, handle).await? else { return Ok(Next::Again) };
    let Some(live) = runtime(core, conversation, turn, handle).await? else { return Ok(Next::Again) };
    let input = prompts::thaw(&turn.prompt);
    if input.compacts.is_some() {
        let why = match &conversation.thread {
            _ if !live.capabilities().compact => Some(NotCompacted::Cannot),
            None => Some(NotCompacted::Nothing),
            Some(_) => None,
        };
        if let Some(why) = why {
            not_compacted(core, conversation, turn, why).await?;
            return Ok(Next::Again);
        }
    }
    let mut posture = posture::of(core, conversation, turn, &turn.directory).await?;
    if input.review {
        posture.level = posture.level.min(Level::Safe);
    }
    let thread = match thread(core, &live, conversation, turn, &posture).await? {
        Ok(thread) => thread,
        Err(step) => return Ok(step),
    };
    if restored::has_run(core, &live, conversation, turn).await? {
        restored::begin_anew(core).await?;
        return Ok(Next::Nothing);
    }
    let Some(turn) = commit_submission(core, &live, conversation, turn, &thread, &posture, false).await? else {
        return Ok(Next::Again);
    };
    // Listen before the line is written: nothing that it causes can be missed.
    let facts = core.host.listen(&thread);
    let client = turn.client_id.clone().expect("a submitted turn has a client id");
    let submitted = match input.compacts {
        Some(_) => live.call(|runtime| runtime.compact(&thread)).await,
        None => {
            let Chosen { model, effort, has_planned } = chosen(core, conversation, &thread).await?;
            let model = input.routine.as_ref().and_then(|routine| routine.model.clone()).or(model);
            let submit = Submit { thread: thread.clone(), client, input, model, effort, has_planned, posture };
            live.call(|runtime| runtime.submit(&submit)).await
        }
    };
    crash::point("w2.told");
    let follow = Follow::new(core, &live, conversation, turn, thread, facts, Some(lease));
    after_submit(core, follow, submitted, handle).await
}

async fn not_compacted(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    why: NotCompacted,
) -> Result<(), LedgerError> {
    let (frame, id) = (core.frame(&conversation.channel), turn.id.clone());
    core.ledger.write(move |tx| settle::not_compacted(tx, &frame, &id, why)).await?;
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    Ok(())
}

/// What people chose for the chat, and what the thread may still keep to.
struct Chosen {
    model: Option<String>,
    effort: Option<String>,
    has_planned: bool,
}

async fn chosen(core: &Core, conversation: &Conversation, thread: &ThreadId) -> Result<Chosen, LedgerError> {
    let (channel, chat, thread) = (conversation.channel.clone(), conversation.chat.clone(), thread.clone());
    let read = move |tx: &Transaction<'_>| {
        let get = |setting| settings::get(tx, &channel, &chat, setting);
        let has_planned = threads::get(tx, &channel, &chat, &thread)?.is_some_and(|thread| thread.has_planned);
        Ok(Chosen { model: get(Setting::Model)?, effort: get(Setting::Effort)?, has_planned })
    };
    core.ledger.read(read).await
}

/// A directory that a chat was brought to, also one that it has left since, was judged by its real path: should a link
/// stand there now, it leads to something that nobody judged.
async fn is_where_it_was_bound(core: &Core, turn: &Turn) -> Result<bool, LedgerError> {
    let directory = turn.directory.clone();
    let is_bound = core.ledger.read(move |tx| settings::was_bound(tx, &directory)).await?;
    Ok(!is_bound || places::is_still_real(&turn.directory))
}

/// Waits for the directory and a slot; `None` when something changed meanwhile and the ledger must be read again.
async fn lease(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    handle: &Handle,
) -> Result<Option<Lease>, LedgerError> {
    match core.leases.try_take(&turn.directory) {
        Ok(lease) => Ok(Some(lease)),
        Err(why) => {
            show_wait(core, conversation, turn, why).await?;
            tokio::select! {
                lease = core.leases.take(&turn.directory) => Ok(Some(lease)),
                () = handle.woken() => Ok(None),
            }
        }
    }
}

async fn runtime(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    handle: &Handle,
) -> Result<Option<Arc<LiveRuntime>>, LedgerError> {
    let mut nothing = match core.host.look() {
        Ok(live) => return Ok(Some(live)),
        Err(nothing) => nothing,
    };
    show_no_runtime(core, conversation, turn, nothing.found.clone()).await?;
    tokio::select! {
        () = nothing.over() => {}
        () = handle.woken() => {}
    }
    Ok(None)
}

/// Shows why a turn waits for its runtime, and tells the owner what to do about it.
async fn show_no_runtime(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    found: HostState,
) -> Result<(), LedgerError> {
    let (frame, conversation, turn) = (core.frame(&conversation.channel), conversation.clone(), turn.clone());
    core.ledger
        .write(move |tx| {
            let why = match &found {
                HostState::Trouble(_) | HostState::Stuck(_) => {
                    WaitReason::RuntimeTrouble { text: trouble(tx, &frame, &conversation, &found)? }
                }
                _ => WaitReason::RuntimeRestarting,
            };
            pictures::queue_waits(tx, &frame, &conversation, &turn, why)
        })
        .await?;
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    Ok(())
}

/// What is wrong with the runtime, for the conversation's chat; the owner learns what to do.
pub(super) fn trouble(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    found: &HostState,
) -> Result<String, LedgerError> {
    match found {
        HostState::Trouble(problem) => {
            remedy::tell(tx, frame, conversation, "launch", |lang| say::runtime_trouble(lang, problem))
        }
        _ => remedy::tell(tx, frame, conversation, "stuck", say::runtime_stuck),
    }
}

async fn show_wait(core: &Core, conversation: &Conversation, turn: &Turn, why: WaitReason) -> Result<(), LedgerError> {
    let (frame, conversation, turn) = (core.frame(&conversation.channel), conversation.clone(), turn.clone());
    core.ledger.write(move |tx| pictures::queue_waits(tx, &frame, &conversation, &turn, why)).await?;
    core.wakes.painter.notify_one();
    Ok(())
}

/// The loaded thread, or what to do instead.
async fn thread(
    core: &Core,
    live: &LiveRuntime,
    conversation: &Conversation,
    turn: &Turn,
    posture: &Posture,
) -> anyhow::Result<Result<ThreadId, Next>> {
    if !is_where_it_was_bound(core, turn).await? {
        let detail = format!("{} is not the folder any more that the chat was brought to", turn.directory.display());
        fail_unsubmitted(core, live, conversation, turn, &CallError::Refused { detail }).await?;
        return Ok(Err(Next::Again));
    }
    if works_elsewhere(core, conversation, turn).await? {
        // A thread works where it was begun: in another directory the conversation begins another one.
        leave_thread(core, conversation).await?;
        return Ok(Err(Next::Again));
    }
    if fork_if_wanted(core, live, conversation, turn, posture).await? {
        return Ok(Err(Next::Again));
    }
    let id = conversation.id.clone();
    Ok(Err(match live.open(conversation.thread.as_ref(), &turn.directory, posture).await {
        Ok(thread) => return Ok(Ok(thread)),
        Err(CallError::NoThread { detail }) if conversation.settled_on_thread == 0 => {
            // It never got a message, so it left nothing behind (codex keeps no empty thread).
            info!(conversation.id = %id, %detail, "An empty thread is gone; a new one is opened");
            leave_thread(core, conversation).await?;
            Next::Again
        }
        Err(CallError::NoThread { detail }) => {
            warn!(conversation.id = %id, %detail, "The thread's history is gone");
            let text = say::history_gone(conversation.lang);
            let ways = [(ButtonRole::StartFresh, Action::Reopen { conversation: id, how: Reopen::StartFresh })];
            hold(core, conversation, turn, HeldWhy::HistoryGone, text, ways.to_vec()).await?;
            Next::Again
        }
        Err(CallError::Elsewhere) => {
            let text = say::elsewhere(conversation.lang);
            let ways = [
                (ButtonRole::TryAgain, Action::Reopen { conversation: id.clone(), how: Reopen::TryAgain }),
                (ButtonRole::Fork, Action::Reopen { conversation: id, how: Reopen::Fork }),
            ];
            hold(core, conversation, turn, HeldWhy::Elsewhere, text, ways.to_vec()).await?;
            Next::Again
        }
        Err(
            error @ (CallError::Refused { .. }
            | CallError::Unreadable { .. }
            | CallError::Unsupported
            | CallError::NoTurn),
        ) => {
            // Nothing was submitted, but the turn cannot run: it ends with a sentence instead of being tried for ever.
            fail_unsubmitted(core, live, conversation, turn, &error).await?;
            Next::Again
        }
        Err(error) => {
            warn!(conversation.id = %id, %error, "The thread could not be opened now");
            Next::Sleep(Duration::from_secs(2))
        }
    }))
}

/// Whether the conversation still is where it was when it was read: people may have said otherwise while the runtime was
/// asked, and their word is the newer one.
pub(super) fn is_as_read(tx: &Transaction<'_>, read: &Conversation) -> Result<bool, LedgerError> {
    let now = conversations::get(tx, &read.id)?;
    Ok(now.thread == read.thread && now.directory == read.directory && now.held == read.held)
}

/// The conversation begins another thread, unless somebody chose one meanwhile.
async fn leave_thread(core: &Core, conversation: &Conversation) -> Result<(), LedgerError> {
    let conversation = conversation.clone();
    core.ledger
        .write(move |tx| match is_as_read(tx, &conversation)? {
            true => conversations::set_thread(tx, &conversation.id, None, None),
            false => Ok(()),
        })
        .await
}

/// Whether the conversation's thread belongs to another directory than the turn.
async fn works_elsewhere(core: &Core, conversation: &Conversation, turn: &Turn) -> Result<bool, LedgerError> {
    let Some(thread) = conversation.thread.clone() else { return Ok(false) };
    let (channel, chat) = (conversation.channel.clone(), conversation.chat.clone());
    let known = core.ledger.read(move |tx| threads::get(tx, &channel, &chat, &thread)).await?;
    Ok(known.is_some_and(|known| known.directory != turn.directory))
}

/// Copies the conversation's thread where that is wanted. True when something was written that must be read again.
async fn fork_if_wanted(
    core: &Core,
    live: &LiveRuntime,
    conversation: &Conversation,
    turn: &Turn,
    posture: &Posture,
) -> anyhow::Result<bool> {
    let Some(thread) = conversation.thread.clone() else { return Ok(false) };
    let of = conversation.id.clone();
    if !core.ledger.read(move |tx| conversations::is_fork_wanted(tx, &of)).await? {
        return Ok(false);
    }
    let how = Fork { thread, directory: turn.directory.clone(), posture: posture.clone() };
    let forked = match live.call(|runtime| runtime.fork(&how)).await {
        Ok(forked) => Some(forked),
        Err(error @ (CallError::Busy { .. } | CallError::NoAnswer { .. } | CallError::Gone)) => {
            return Err(error.into());
        }
        Err(error) => {
            // No copy to be had: the conversation goes on without its past rather than not at all.
            warn!(conversation.id = %conversation.id, %error, "The thread cannot be forked; a new one is opened");
            None
        }
    };
    let read = conversation.clone();
    core.ledger
        .write(move |tx| {
            if !is_as_read(tx, &read)? {
                // Of what it was copied from, nobody is any more.
                return Ok(());
            }
            conversations::set_fork_wanted(tx, &read.id, false)?;
            let Some(forked) = &forked else { return conversations::set_thread(tx, &read.id, None, None) };
            threads::copied(tx, &read.id, forked)?;
            conversations::set_thread(tx, &read.id, Some(forked), read.thread_cursor.as_ref())
        })
        .await?;
    Ok(true)
}

/// Nothing runs here until somebody says how to go on. Not where somebody has said so already.
pub(super) async fn hold(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    why: HeldWhy,
    text: String,
    ways: Vec<(ButtonRole, Action)>,
) -> Result<(), LedgerError> {
    let frame = core.frame(&conversation.channel);
    let (conversation, turn) = (conversation.clone(), turn.clone());
    core.ledger
        .write(move |tx| {
            if !is_as_read(tx, &conversation)? {
                return Ok(());
            }
            conversations::hold(tx, &conversation.id, why, None)?;
            pictures::held(tx, &frame, &conversation, &turn, text, &ways)?;
            pictures::queue(tx, &frame, &conversation.id)
        })
        .await?;
    core.wakes.painter.notify_one();
    Ok(())
}

async fn fail_unsubmitted(
    core: &Core,
    live: &LiveRuntime,
    conversation: &Conversation,
    turn: &Turn,
    error: &CallError,
) -> Result<(), LedgerError> {
    let thread = conversation.thread.clone().unwrap_or_else(|| NEVER_OPENED.into());
    let least = Posture::of(Level::Ask);
    let Some(turn) = commit_submission(core, live, conversation, turn, &thread, &least, true).await? else {
        return Ok(());
    };
    let failure = Failure { kind: FailureKind::Other, detail: error.to_string() };
    let finish = Finish::bare(Outcome::Failed, Some(failure));
    let frame = core.frame(&conversation.channel);
    core.ledger.write(move |tx| settle::finish(tx, &frame, &turn.id, &finish)).await?;
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    Ok(())
}

/// W2. `None` when the turn is not queued any more (cancelled, edited), or something else is to be read again. A turn that
/// `fails` is written only to end at once.
async fn commit_submission(
    core: &Core,
    live: &LiveRuntime,
    conversation: &Conversation,
    turn: &Turn,
    thread: &ThreadId,
    posture: &Posture,
    fails: bool,
) -> Result<Option<Turn>, LedgerError> {
    let submission = Submission {
        thread: thread.clone(),
        cursor: conversation.thread_cursor.clone(),
        generation: live.generation,
        boot_id: live.identity.boot_id.clone(),
        position: live.position(),
        at_ms: core.now_ms(),
        level: posture.level,
        network: posture.network,
    };
    let (frame, conversation, turn) = (core.frame(&conversation.channel), conversation.clone(), turn.clone());
    crash::point("w2.before");
    let committed = core.ledger.write(move |tx| {
        if settings::is_locked(tx)? {
            return Err(LedgerError::Stale("the lock"));
        }
        let access = rights::in_force(tx, &frame)?;
        let role = access.role(&turn.requester, None, Some(&conversation.chat), conversation.chat_kind);
        if !role.may_talk() {
            // It was queued while he might.
            actions::not_allowed_any_more(tx, &frame, &conversation, &turn)?;
            return Ok(None);
        }
        // The thread was opened meanwhile: less may be allowed now than when the level was read.
        let level = posture::of_turn(tx, &access, &conversation, &turn, submission.at_ms)?;
        let network = !submission.network || actions::has_network(&access, &conversation, &turn);
        if level < submission.level || !network {
            return Err(LedgerError::Stale("the chat's level"));
        }
        let wants_copy = conversation.thread.is_some() && conversations::is_fork_wanted(tx, &conversation.id)?;
        if !is_as_read(tx, &conversation)? || (wants_copy && !fails) {
            return Err(LedgerError::Stale("the conversation"));
        }
        turns::submit(tx, &turn, &submission)?;
        if submission.thread != NEVER_OPENED.into() && conversation.thread.as_ref() != Some(&submission.thread) {
            conversations::set_thread(tx, &conversation.id, Some(&submission.thread), submission.cursor.as_ref())?;
        }
        let turn = turns::get(tx, &turn.id)?;
        if submission.thread != NEVER_OPENED.into() {
            let (channel, chat) = (&conversation.channel, &conversation.chat);
            let owner = threads::Owner { channel, chat, home: &conversation.runtime_home };
            threads::used(tx, owner, &submission.thread, &turn.directory, &turn.title, submission.at_ms)?;
            if prompts::thaw(&turn.prompt).plan {
                threads::set_planned(tx, channel, chat, &submission.thread)?;
            }
        }
        actions::receipts(tx, &frame, &turn, Receipt::Accepted)?;
        let progress = Progress::default();
        pictures::live(
            tx,
            &frame,
            &conversation,
            &turn,
            &Live { state: LiveState::Running, progress: &progress, unreachable_since_ms: None },
        )?;
        pictures::queue(tx, &frame, &conversation.id)?;
        Ok(Some(turn))
    });
    match committed.await {
        Ok(Some(turn)) => {
            crash::point("w2.after");
            core.wakes.painter.notify_one();
            Ok(Some(turn))
        }
        Ok(None) => {
            core.wakes.outbox.notify_one();
            core.wakes.painter.notify_one();
            Ok(None)
        }
        Err(LedgerError::Stale(_) | LedgerError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the submit's answer means.
async fn after_submit(
    core: &Arc<Core>,
    mut follow: Follow,
    submitted: Result<Submitted, CallError>,
    handle: &Arc<Handle>,
) -> anyhow::Result<Next> {
    match submitted {
        Ok(submitted) => {
            follow.expect(submitted);
            follow.to_the_end(handle).await
        }
        // Certainly not taken.
        Err(CallError::Busy { detail }) => {
            info!(turn.id = %follow.turn_id(), %detail, "The runtime is busy; the turn is submitted again");
            follow.not_run(core.now_ms() + 1_000 + fastrand::i64(0..1_000)).await?;
            Ok(Next::Again)
        }
        Err(CallError::NoThread { .. }) => {
            follow.forget_thread();
            follow.not_run(core.now_ms() + 1_000).await?;
            Ok(Next::Again)
        }
        Err(
            error @ (CallError::Refused { .. } | CallError::Unsupported | CallError::Elsewhere | CallError::NoTurn),
        ) => {
            follow.fail(FailureKind::Other, error.to_string()).await?;
            Ok(Next::Again)
        }
        // May or may not have been taken: the facts will tell, or a pull, or the process's death.
        Err(error @ (CallError::NoAnswer { .. } | CallError::Unreadable { .. })) => {
            warn!(turn.id = %follow.turn_id(), %error, "The submit had no answer; looking for the turn");
            follow.in_doubt();
            follow.to_the_end(handle).await
        }
        // Its death is on its way to the ledger; recovery asks the successor.
        Err(CallError::Gone) => {
            follow.let_go();
            Ok(Next::Sleep(Duration::from_millis(200)))
        }
    }
}
