//! W6: the one transaction that ends a turn: its outcome, its answer's messages, its last pictures, its returned steers.

use tracing::warn;

use super::core::Core;
use super::follow::limits_of;
use super::host::LiveRuntime;
use super::pictures::{self, Frame, Interrupted, Live};
use super::ports::*;
use super::routines::{self, Telling};
use super::{actions, compaction, prompts, remedy, render, rights, say};
use crate::domain::action::{Action, Resume};
use crate::domain::delivery::{Body, Target};
use crate::domain::gate::Decision;
use crate::domain::history::{ChangedFile, Failure, FailureKind, PulledTurn};
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::turn::{Outcome, StopReason, TurnState};
use crate::domain::verdict::LostHow;
use crate::domain::view::*;
use crate::ledger::conversations::{Conversation, HeldWhy};
use crate::ledger::inbound::{InboundRow, InboundState};
use crate::ledger::messages::NewMessage;
use crate::ledger::routines as runs;
use crate::ledger::turns::{NewTurn, Progress, Settlement, Turn};
use crate::ledger::{LedgerError, Transaction, audit, conversations, gates, inbound, messages, said, turns};
use crate::words::{CommandMsg, FailureContext, NoticeMsg};

/// How often a chat is told that a new topic is a new conversation.
const NEW_CONVERSATION_TIMES: u32 = 3;
/// An answer after a longer pause says which conversation it continues.
const CONTINUES_MS: i64 = 12 * 3_600_000;

/// How a turn ended, with all that people are told of it.
#[derive(Debug, Clone)]
pub struct Finish {
    pub outcome: Outcome,
    pub answer: Option<String>,
    pub failure: Option<Failure>,
    pub changed: Vec<ChangedFile>,
    pub native: Option<NativeTurnId>,
    pub tokens: Option<i64>,
    /// Tries of the last request to the model, as far as they were told.
    pub tries: u32,
    pub progress: Progress,
    pub background: Background,
    /// Whether the runtime could compact the thread.
    pub can_compact: bool,
    /// Inputs of ours that the pulled turn holds: steers among them were taken.
    pub taken: Vec<ClientId>,
    /// The answer as it goes out, see [`render_answer`].
    pub bodies: Vec<Body>,
    /// Whether people see reactions here, and so must know what a missing one means.
    pub unmarked_is_lost: bool,
}

impl Finish {
    /// Ended without anything that came of it.
    pub fn bare(outcome: Outcome, failure: Option<Failure>) -> Self {
        Self {
            outcome,
            answer: None,
            failure,
            changed: Vec::new(),
            native: None,
            tokens: None,
            tries: 0,
            progress: Progress::default(),
            background: Background::None,
            can_compact: false,
            taken: Vec::new(),
            bodies: Vec::new(),
            unmarked_is_lost: false,
        }
    }

    /// Words that went into a turn which was there before, and to which nothing more was said, joined that one.
    pub fn merge_if_silent(&mut self, turn: &Turn) {
        let swallowed = self.native.is_some() && self.native == turn.cursor;
        if swallowed && self.outcome == Outcome::Completed && self.answer.is_none() {
            self.outcome = Outcome::Merged;
        }
    }

    /// From a pulled turn: the only place where final text comes from.
    pub fn from_pull(outcome: Outcome, pulled: &PulledTurn, progress: Progress) -> Self {
        Self {
            answer: pulled.answer(),
            changed: pulled.changed_files(),
            taken: pulled.clients(),
            native: Some(pulled.native.clone()),
            progress,
            ..Self::bare(outcome, pulled.failure.clone())
        }
    }
}

/// Whether a turn of the runtime's history is this one: by the runtime's own id or by ours. A compaction carries none of
/// ours: it is the turn newer than the cursor that heard nobody, for nobody else has the thread do anything.
pub fn is_ours(turn: &Turn, pulled: &PulledTurn) -> bool {
    if turn.native_turn.as_ref() == Some(&pulled.native) {
        return true;
    }
    if prompts::compaction(&turn.prompt).is_some() {
        return turn.native_turn.is_none() && turn.cursor.as_ref() != Some(&pulled.native) && pulled.heard_nobody();
    }
    turn.client_id.as_ref().is_some_and(|client| pulled.has_client(client))
}

/// Pulls a turn until it reads as ended: what came of our words in it. After three tries as far as it could be read.
pub async fn pull_turn(
    core: &Core,
    live: &LiveRuntime,
    turn: &Turn,
    thread: &ThreadId,
    native: &NativeTurnId,
) -> Option<PulledTurn> {
    let pull = Pull {
        thread: thread.clone(),
        client: turn.client_id.clone(),
        turn: Some(native.clone()),
        cursor: turn.cursor.clone(),
    };
    let mut last = None;
    for wait_ms in [0u64, 200, 1000] {
        core.clock.sleep(std::time::Duration::from_millis(wait_ms)).await;
        match live.call(|runtime| runtime.pull(&pull)).await {
            Ok(history) => {
                let found = history.turns.into_iter().find(|pulled| pulled.native == *native);
                let Some(found) = found else { continue };
                let found = match &turn.client_id {
                    Some(client) => found.since(client),
                    None => found,
                };
                let over = found.ended().is_some();
                last = Some(found);
                if over {
                    break;
                }
            }
            Err(error) => warn!(turn.id = %turn.id, %error, "A pull of turn {} failed", turn.id),
        }
    }
    last
}

/// W6. Gives false when the turn was settled already.
pub fn finish(tx: &Transaction<'_>, frame: &Frame, turn: &TurnId, finish: &Finish) -> Result<bool, LedgerError> {
    let turn = turns::get(tx, turn)?;
    if turn.state.is_settled() {
        return Ok(false);
    }
    let conversation = conversations::get(tx, &turn.conversation)?;
    close_gates(tx, frame, &turn)?;
    // Closing gates may have moved the turn back to running.
    let turn = turns::get(tx, &turn.id)?;
    let merged_into = match &finish.native {
        Some(native) if finish.outcome == Outcome::Merged => turns::settled_as(tx, &conversation.id, native)?,
        _ => None,
    };
    let how = Settlement {
        answer: finish.answer.clone(),
        failure: finish.failure.clone(),
        tokens: finish.tokens,
        merged_into,
        lost_how: None,
        steps: finish.progress.steps.clone(),
    };
    turns::settle(tx, &turn, finish.outcome, &how, frame.now_ms)?;
    pictures::stop_questions_over(tx, frame, &turn.id)?;
    conversations::settled(tx, &conversation.id, frame.now_ms)?;
    if let (Some(native), Some(thread)) = (&finish.native, &turn.thread) {
        // It may have ended before its start was heard of.
        turns::set_native(tx, &turn.id, native)?;
        conversations::set_cursor(tx, &conversation.id, thread, native)?;
        conversations::count_settled(tx, &conversation.id, thread)?;
    }
    tell(tx, frame, &conversation, &turns::get(tx, &turn.id)?, finish)?;
    return_steers(tx, frame, &turn, &finish.taken)?;
    compaction::over(tx, frame, &turn, finish.outcome == Outcome::Completed)?;
    pictures::queue(tx, frame, &conversation.id)?;
    Ok(true)
}

/// A queued compaction that has nothing to compact, or no runtime that could. What was to run after it runs where there
/// is nothing in its way.
pub fn not_compacted(tx: &Transaction<'_>, frame: &Frame, turn: &TurnId, why: NotCompacted) -> Result<(), LedgerError> {
    let turn = turns::get(tx, turn)?;
    if turn.state != TurnState::Queued {
        return Ok(());
    }
    let conversation = conversations::get(tx, &turn.conversation)?;
    let then = prompts::compaction(&turn.prompt).and_then(|compacts| compacts.then);
    turns::settle(tx, &turn, Outcome::Cancelled, &Settlement::default(), frame.now_ms)?;
    actions::receipts(tx, frame, &turn, Receipt::Done)?;
    let runs_on = why == NotCompacted::Nothing && then.is_some();
    if !runs_on {
        let msg = match why {
            NotCompacted::Nothing => CommandMsg::CompactNothing,
            NotCompacted::Cannot => CommandMsg::CannotRuntime,
        };
        let text = say::command(conversation.lang, msg);
        enqueue(tx, frame, &conversation, &turn, vec![Body::Notice { text }])?;
    }
    compaction::over(tx, frame, &turn, runs_on)?;
    pictures::queue(tx, frame, &conversation.id)
}

/// Why a compaction was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCompacted {
    /// The conversation has no thread.
    Nothing,
    /// The runtime does not know how.
    Cannot,
}

fn tell(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    finish: &Finish,
) -> Result<(), LedgerError> {
    let shutdown = turn.stop.as_ref().is_some_and(|stop| stop.reason == StopReason::Shutdown);
    let compacts = prompts::compaction(&turn.prompt).is_some();
    let stopped_as = |reason| turn.stop.as_ref().is_some_and(|stop| stop.reason == reason);
    let wanted_gone = stopped_as(StopReason::Person) || stopped_as(StopReason::Recalled);
    let telling = routines::telling(tx, turn, finish.outcome)?;
    let (state, receipt) = match finish.outcome {
        Outcome::Completed => {
            match compacts {
                true => {
                    let runs_on = compaction::is_awaited(tx, turn)?;
                    let text = say::compacted(conversation.lang, finish.answer.as_deref(), runs_on);
                    enqueue(tx, frame, conversation, turn, vec![Body::Notice { text }])?;
                }
                false if telling == Telling::Nothing => {}
                false => send_answer(tx, frame, conversation, turn, finish)?,
            }
            let started = turn.started_at_ms.or(turn.submitted_at_ms).unwrap_or(frame.now_ms);
            (LiveState::Done { duration_ms: frame.now_ms - started, tokens: finish.tokens }, Receipt::Done)
        }
        Outcome::Failed => {
            if telling != Telling::Nothing {
                tell_failure(tx, frame, conversation, turn, finish)?;
            }
            (LiveState::Failed, Receipt::Failed)
        }
        Outcome::Interrupted if telling != Telling::All && stopped_as(StopReason::Watchdog) => {
            if telling == Telling::Failure {
                tell_late(tx, frame, conversation, turn)?;
            }
            (LiveState::Failed, Receipt::Failed)
        }
        Outcome::Interrupted if compacts && !wanted_gone => {
            let target = pictures::target_of(conversation, turn);
            let text = say::notice(conversation.lang, NoticeMsg::CompactCutOff);
            let again = [(ButtonRole::RunAgain, Action::Resume { turn: turn.id.clone(), how: Resume::RunAgain })];
            pictures::notice(tx, frame, conversation, target, &pictures::failed_subject(&turn.id), text, &again)?;
            (LiveState::Interrupted, Receipt::Failed)
        }
        Outcome::Interrupted if shutdown => {
            let picture = Interrupted { how: None, shutdown: true, progress: finish.progress.clone(), steers: &[] };
            pictures::interrupted(tx, frame, turn, &picture)?;
            (LiveState::Interrupted, Receipt::Failed)
        }
        Outcome::Interrupted if turn.stop.as_ref().is_some_and(|stop| stop.reason == StopReason::Network) => {
            let by = goes_on(tx, frame, conversation, turn)?;
            (LiveState::GoesOn { by }, Receipt::Accepted)
        }
        Outcome::Interrupted => {
            let by = turn.stop.as_ref().and_then(|stop| stop.by.clone()).unwrap_or_else(|| turn.requester_name.clone());
            (LiveState::Stopped { by, background: finish.background }, Receipt::Failed)
        }
        Outcome::Merged => {
            let (target, text) =
                (pictures::target_of(conversation, turn), say::notice(conversation.lang, NoticeMsg::Merged));
            pictures::notice(tx, frame, conversation, target, &format!("merged:{}", turn.id), text, &[])?;
            (LiveState::Merged, Receipt::Done)
        }
        Outcome::Lost | Outcome::Cancelled => (LiveState::Interrupted, Receipt::Failed),
    };
    let live = Live { state, progress: &finish.progress, unreachable_since_ms: None };
    pictures::live(tx, frame, conversation, turn, &live)?;
    actions::receipts(tx, frame, turn, receipt)
}

/// Whoever let it reach the network wants it to go on; gives his name. He may have lost the right to let it since.
fn goes_on(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
) -> Result<String, LedgerError> {
    let granted = gates::of_turn(tx, &turn.id)?.into_iter().rev().find(|gate| gate.decision == Some(Decision::Network));
    let prompt = match &granted {
        Some(gate) if actions::has_network(&rights::in_force(tx, frame)?, conversation, turn) => {
            prompts::with_network(&turn.prompt, &gate.ask)
        }
        _ => prompts::continuing(&turn.prompt),
    };
    actions::again(tx, frame, turn, prompt, true, (&turn.requester, &turn.requester_name))?;
    let by = turn.stop.as_ref().and_then(|stop| stop.by.clone());
    Ok(by.unwrap_or_else(|| turn.requester_name.clone()))
}

/// Writes the answer as messages. Before W6, because a long one becomes a file, and the file must be on disk before the
/// row that sends it. Pictures that were made in the turn, and that the answer names, go with it.
pub fn render_answer(
    core: &Core,
    conversation: &Conversation,
    turn: &Turn,
    finish: &mut Finish,
) -> std::io::Result<()> {
    if finish.outcome != Outcome::Completed {
        return Ok(());
    }
    let lang = conversation.lang;
    let Some(text) = &finish.answer else {
        finish.bodies = vec![Body::Notice { text: say::no_text(lang, &finish.changed) }];
        return Ok(());
    };
    let footer = (!finish.changed.is_empty()).then(|| say::files_changed(lang, &finish.changed));
    let limits = limits_of(core, conversation);
    finish.unmarked_is_lost = limits.unmarked_is_lost;
    let limits = render::Limits { part_chars: limits.part_chars, max_parts: limits.max_parts };
    let rendered = render::answer(text, footer, None, limits, lang);
    finish.bodies = rendered.bodies;
    if let Some(file) = rendered.file {
        let (sha256, bytes) = super::files::store(&core.config.outbox, file.content.as_bytes())?;
        finish.bodies.push(Body::File { name: file.name, sha256, bytes });
    }
    let Some(since_ms) = turn.submitted_at_ms else { return Ok(()) };
    let made = render::pictures(text).into_iter().filter_map(|path| {
        let bytes = super::files::picture(&turn.directory, &path, since_ms)?;
        Some((path.file_name()?.to_string_lossy().into_owned(), bytes))
    });
    for (name, picture) in made.take(MAX_PICTURES) {
        let (sha256, bytes) = super::files::store(&core.config.outbox, &picture)?;
        finish.bodies.push(Body::Image { name, sha256, bytes });
    }
    Ok(())
}

/// Pictures under one answer: more would bury it.
const MAX_PICTURES: usize = 4;

/// The answer's messages: one row a part, each after the one before; the first is `sending` already.
fn send_answer(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    finish: &Finish,
) -> Result<(), LedgerError> {
    let mut bodies = finish.bodies.clone();
    let hints = hints(tx, conversation, turn, finish.unmarked_is_lost, frame.now_ms)?;
    if let Some(footer) = bodies.iter_mut().rev().find_map(footer_of) {
        let lines: Vec<String> = footer.take().into_iter().chain(hints).collect();
        *footer = (!lines.is_empty()).then(|| lines.join("\n"));
    }
    if let Some(Body::Answer { mention, .. }) = bodies.first_mut()
        && wants_mention(tx, conversation, turn, frame.now_ms)?
    {
        *mention = Some(turn.requester.clone());
    }
    enqueue(tx, frame, conversation, turn, bodies)
}

fn footer_of(body: &mut Body) -> Option<&mut Option<String>> {
    match body {
        Body::Answer { footer, .. } => Some(footer),
        _ => None,
    }
}

/// What is said once under an answer: what a silent message means, that a topic is a conversation of its own, and that
/// this one is old.
fn hints(
    tx: &Transaction<'_>,
    conversation: &Conversation,
    turn: &Turn,
    unmarked_is_lost: bool,
    now_ms: i64,
) -> Result<Vec<String>, LedgerError> {
    let mut hints = Vec::new();
    if let Some(run) = runs::of_turn(tx, &turn.id)? {
        // Nobody asked for it just now.
        hints.push(say::routine_footer(conversation.lang, &run, now_ms));
        return Ok(hints);
    }
    let (lang, chat) = (conversation.lang, format!("{}:{}", conversation.channel, conversation.chat));
    let opened_topic = conversation.chat_kind == ChatKind::Group && conversation.root.is_some();
    if opened_topic && said::first_time(tx, &format!("first-answer:{}", conversation.id), now_ms)? {
        for nth in 1..=NEW_CONVERSATION_TIMES {
            if said::first_time(tx, &format!("new-conversation:{chat}:{nth}"), now_ms)? {
                hints.push(say::notice(lang, NoticeMsg::NewConversation));
                break;
            }
        }
    }
    if let Some(last) = conversation.last_settled_ms
        && turn.created_at_ms - last > CONTINUES_MS
    {
        hints.push(say::continues(lang, last, now_ms));
    }
    if unmarked_is_lost && said::first_time(tx, &format!("no-reaction:{chat}"), now_ms)? {
        hints.push(say::notice(lang, NoticeMsg::NoReactionMeans));
    }
    Ok(hints)
}

fn enqueue(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    bodies: Vec<Body>,
) -> Result<(), LedgerError> {
    let mut after = None;
    for body in bodies {
        let new = NewMessage {
            conversation: Some(conversation.id.clone()),
            turn: Some(turn.id.clone()),
            channel: conversation.channel.clone(),
            target: pictures::target_of(conversation, turn),
            body,
            lang: conversation.lang,
            sending: after.is_none().then_some(frame.platform_ms),
            after: after.take(),
        };
        after = Some(messages::insert(tx, &new, frame.now_ms)?);
    }
    Ok(())
}

/// A muted group does not see an answer that comes late: mention the one who waits, never in a direct chat.
fn wants_mention(
    tx: &Transaction<'_>,
    conversation: &Conversation,
    turn: &Turn,
    now_ms: i64,
) -> Result<bool, LedgerError> {
    const TOOK_MS: i64 = 90_000;
    const QUEUED_MS: i64 = 60_000;
    if conversation.chat_kind == ChatKind::Direct || conversation.routine.is_some() {
        return Ok(false);
    }
    let submitted = turn.submitted_at_ms.unwrap_or(now_ms);
    let waited_for_person = !gates::of_turn(tx, &turn.id)?.is_empty();
    Ok(now_ms - submitted > TOOK_MS || submitted - turn.created_at_ms > QUEUED_MS || waited_for_person)
}

fn tell_failure(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    finish: &Finish,
) -> Result<(), LedgerError> {
    let failure = finish.failure.as_ref();
    let compacts = prompts::compaction(&turn.prompt);
    let context = FailureContext {
        tries: finish.tries,
        turn: turn.id.as_str(),
        login: frame.login.as_deref(),
        can_compact: finish.can_compact,
        compacts: compacts.is_some(),
    };
    let kind = failure.map_or_else(String::new, |failure| format!("{:?}", failure.kind));
    let text = remedy::tell(tx, frame, conversation, &kind, |lang| say::failure(lang, failure, context))?;
    let text = match &conversation.routine {
        Some(_) => say::routine_says(conversation.lang, &turn.title, &text),
        None => text,
    };
    let too_long = failure.is_some_and(|failure| failure.kind == FailureKind::ContextFull);
    let offered: &[(ButtonRole, Resume)] = match compacts {
        // Once more would find the same; a fresh thread has room for what was to run after it.
        Some(Compacts { then: Some(_) }) if too_long => &[(ButtonRole::StartFresh, Resume::StartFresh)],
        Some(Compacts { then: None }) if too_long => &[],
        None if too_long && finish.can_compact => {
            &[(ButtonRole::Compact, Resume::Compact), (ButtonRole::StartFresh, Resume::StartFresh)]
        }
        None if too_long => &[(ButtonRole::StartFresh, Resume::StartFresh)],
        _ => &[(ButtonRole::RunAgain, Resume::RunAgain)],
    };
    let offered: Vec<(ButtonRole, Action)> =
        offered.iter().map(|(role, how)| (role.clone(), Action::Resume { turn: turn.id.clone(), how: *how })).collect();
    let target = pictures::target_of(conversation, turn);
    pictures::notice(tx, frame, conversation, target, &pictures::failed_subject(&turn.id), text, &offered)
}

/// A run of a routine that took longer than it may.
fn tell_late(tx: &Transaction<'_>, frame: &Frame, conversation: &Conversation, turn: &Turn) -> Result<(), LedgerError> {
    let text = say::routine_too_long(conversation.lang, &turn.title);
    let again = [(ButtonRole::RunAgain, Action::Resume { turn: turn.id.clone(), how: Resume::RunAgain })];
    let target = pictures::target_of(conversation, turn);
    pictures::notice(tx, frame, conversation, target, &pictures::failed_subject(&turn.id), text, &again)
}

/// Requests that end with their turn.
fn close_gates(tx: &Transaction<'_>, frame: &Frame, turn: &Turn) -> Result<(), LedgerError> {
    for gate in gates::of_turn(tx, &turn.id)?.into_iter().filter(|gate| !gate.state.is_over()) {
        gates::resolved(tx, &gate)?;
        pictures::gate(tx, frame, &gates::get(tx, &gate.id)?)?;
    }
    Ok(())
}

/// Words that the turn did not take become the next queued turn.
fn return_steers(tx: &Transaction<'_>, frame: &Frame, turn: &Turn, taken: &[ClientId]) -> Result<(), LedgerError> {
    for state in ["wanted", "sent"] {
        for row in inbound::steers(tx, &turn.id, state)? {
            if taken.contains(&ClientId::of_steer(row.seq)) {
                inbound::set_steer(tx, row.seq, &turn.id, "taken", None)?;
                continue;
            }
            inbound::set_steer(tx, row.seq, &turn.id, "returned", None)?;
            let (Some(text), Some(sender)) = (row.steer_text.clone(), row.sender.clone()) else { continue };
            let name = said::name_of(tx, &row.channel, &sender)?.map_or_else(|| sender.to_string(), |(name, _)| name);
            let new = NewTurn {
                conversation: turn.conversation.clone(),
                ord: None,
                requester: sender,
                requester_name: name,
                title: render::title(&text),
                reply_to: row.message.clone(),
                prompt: super::prompts::freeze(&Prompt { text, ..Prompt::default() }),
                continues: None,
                // They were said to a task that works there.
                directory: Some(turn.directory.clone()),
                network_by: None,
                not_before_ms: 0,
            };
            let fresh = turns::insert(tx, &new, frame.now_ms)?;
            inbound::resolve(tx, row.seq, InboundState::Turn, Some("steer came too late"), Some(&fresh))?;
            told_once(tx, frame, turn, &row)?;
        }
    }
    Ok(())
}

/// What hung on a turn that ended without a runtime, and that may have been with one which died: words for it become a
/// turn of their own, nobody is asked any more whether to stop it, and no card says that it waits.
pub(super) fn loose_ends(tx: &Transaction<'_>, frame: &Frame, turn: &Turn, over: LiveState) -> Result<(), LedgerError> {
    pictures::stop_questions_over(tx, frame, &turn.id)?;
    return_steers(tx, frame, turn, &[])?;
    let conversation = conversations::get(tx, &turn.conversation)?;
    let live = Live { state: over, progress: &Progress::default(), unreachable_since_ms: None };
    pictures::live(tx, frame, &conversation, turn, &live)
}

/// How a turn that nobody wants any more is shown.
pub(super) fn unwanted(turn: &Turn) -> LiveState {
    let by = turn.stop.as_ref().and_then(|stop| stop.by.clone()).unwrap_or_else(|| turn.requester_name.clone());
    LiveState::Stopped { by, background: Background::None }
}

/// A steer that became a message of its own is told, or its answer would come as a surprise.
fn told_once(tx: &Transaction<'_>, frame: &Frame, turn: &Turn, row: &InboundRow) -> Result<(), LedgerError> {
    let (Some(chat), Some(message)) = (&row.chat, &row.message) else { return Ok(()) };
    let conversation = conversations::get(tx, &turn.conversation)?;
    let target = Target { reply_to: Some(message.clone()), chat: chat.clone(), in_topic: conversation.root.is_some() };
    let text = say::notice(conversation.lang, NoticeMsg::SteerReturned);
    let (id, lang) = (Some(&conversation.id), conversation.lang);
    super::intake::notice(tx, &row.channel, target, id, None, text, lang, frame.now_ms)
}

// ------------------------------------------------------------------------------------------------ lost

/// A turn whose process died and of which nobody knows what it did.
pub fn lose(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &TurnId,
    how: LostHow,
    native: Option<&NativeTurnId>,
) -> Result<bool, LedgerError> {
    let turn = turns::get(tx, turn)?;
    if turn.state.is_settled() {
        return Ok(false);
    }
    let conversation = conversations::get(tx, &turn.conversation)?;
    // A process that lives may have open questions: nobody would pass their answers on any more.
    close_gates(tx, frame, &turn)?;
    let turn = turns::get(tx, &turn.id)?;
    let settlement = Settlement { lost_how: Some(how), ..Settlement::default() };
    turns::settle(tx, &turn, Outcome::Lost, &settlement, frame.now_ms)?;
    pictures::stop_questions_over(tx, frame, &turn.id)?;
    if let (Some(native), Some(thread)) = (native, &turn.thread) {
        conversations::set_cursor(tx, &conversation.id, thread, native)?;
        conversations::count_settled(tx, &conversation.id, thread)?;
    }
    // A routine's next run is another matter, and nobody is there to say so.
    if conversation.routine.is_none() && must_hold(tx, &turn)? {
        conversations::hold(tx, &conversation.id, HeldWhy::Lost, Some(&turn.id))?;
    }
    let mut steers = inbound::steers(tx, &turn.id, "sent")?;
    steers.extend(inbound::steers(tx, &turn.id, "wanted")?);
    for row in &steers {
        inbound::set_steer(tx, row.seq, &turn.id, "returned", None)?;
    }
    // What was read went down with the turn: it is named like the rest.
    steers.extend(inbound::steers(tx, &turn.id, "taken")?);
    let progress = turn.progress.clone().unwrap_or_default();
    let picture = Interrupted { how: Some(how), shutdown: false, progress: progress.clone(), steers: &steers };
    let turn = turns::get(tx, &turn.id)?;
    pictures::interrupted(tx, frame, &turn, &picture)?;
    pictures::live(
        tx,
        frame,
        &conversation,
        &turn,
        &Live { state: LiveState::Interrupted, progress: &progress, unreachable_since_ms: None },
    )?;
    actions::receipts(tx, frame, &turn, Receipt::Failed)?;
    compaction::over(tx, frame, &turn, false)?;
    audit::note(tx, "ally", "lost", turn.id.as_str(), &format!("{how:?}"), frame.now_ms)?;
    pictures::queue(tx, frame, &conversation.id)?;
    Ok(true)
}

/// What is queued behind a lost turn waits only where running on could do harm.
fn must_hold(tx: &Transaction<'_>, turn: &Turn) -> Result<bool, LedgerError> {
    let decided = gates::of_turn(tx, &turn.id)?.iter().any(|gate| gate.decision.is_some());
    Ok(turn.tool_seen || decided || turns::queued_in_directory(tx, &turn.directory, &turn.conversation)? > 0)
}

/// Proven not to have run: it waits for its turn again, and no card says that it runs.
pub fn back_to_queue(tx: &Transaction<'_>, frame: &Frame, turn: &Turn, not_before_ms: i64) -> Result<(), LedgerError> {
    turns::not_run(tx, turn, not_before_ms)?;
    let conversation = conversations::get(tx, &turn.conversation)?;
    let state = LiveState::Paused { why: say::notice(conversation.lang, NoticeMsg::QueuedAgain) };
    let progress = Progress::default();
    pictures::live(tx, frame, &conversation, turn, &Live { state, progress: &progress, unreachable_since_ms: None })?;
    pictures::queue(tx, frame, &turn.conversation)
}

/// Never reached the runtime, and nobody wants it any more.
pub fn cancelled(tx: &Transaction<'_>, frame: &Frame, turn: &Turn) -> Result<(), LedgerError> {
    turns::settle(tx, turn, Outcome::Cancelled, &Settlement::default(), frame.now_ms)?;
    loose_ends(tx, frame, turn, unwanted(turn))?;
    actions::receipts(tx, frame, turn, Receipt::Failed)?;
    compaction::over(tx, frame, turn, false)?;
    pictures::queue(tx, frame, &turn.conversation)
}
