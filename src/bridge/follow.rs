//! Follows a submitted turn until it settles: facts in, pictures and rows out, people's wishes passed on.
//!
//! Deltas draw the live card and nothing else. Only [`Fact::TurnEnded`], confirmed by a pull, ends the turn here; the end
//! of the process ends the following, and [`super::recovery`] asks what became of the turn.

mod again;
mod doubt;
mod seen;
mod watchdog;

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use self::seen::Seen;
use self::watchdog::Watch;
use super::conversation::{Handle, Next};
use super::core::Core;
use super::gates::{self as gate_flow, Passed};
use super::host::{LiveRuntime, Told};
use super::judge::judge;
use super::leases::Lease;
use super::pictures::{self, Frame, LIVE_AFTER_DIRECT_MS, LIVE_AFTER_GROUP_MS, Live};
use super::ports::*;
use super::settle::{self, Finish};
use super::{prompts, say};
use crate::crash;
use crate::domain::action::Action;
use crate::domain::gate::{Ask, Decision, GateState};
use crate::domain::history::{ChangedFile, Failure, FailureKind, PulledTurn};
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::setting::Noise;
use crate::domain::turn::{Outcome, StopReason, TurnState};
use crate::domain::verdict::LostHow;
use crate::domain::view::*;
use crate::ledger::conversations::Conversation;
use crate::ledger::gates::Gate;
use crate::ledger::inbound::InboundRow;
use crate::ledger::turns::{Progress, Stop, Turn};
use crate::ledger::{LedgerError, Transaction, gates, inbound, said, turns};

/// How often pictures and the watchdog are seen to.
const TICK: Duration = Duration::from_millis(500);
/// Characters of the stream that are kept for the picture.
const DRAFT: usize = 600;
/// After this long an interrupt without effect is given up.
const INTERRUPT_MS: i64 = 60_000;
/// A decision that the runtime was too busy to take is passed on again after this long.
const ANSWER_AGAIN_MS: i64 = 1_000;
/// The directory is given back after this long without a word of the runtime.
const SILENCE_MS: i64 = 1_000;
/// A progress row is at most this old.
const SAVE_MS: i64 = 5_000;
/// An unreachable model is asked about after this long.
const UNREACHABLE_MS: i64 = 180_000;

pub struct Follow {
    core: Arc<Core>,
    live: Arc<LiveRuntime>,
    conversation: Conversation,
    turn: Turn,
    thread: ThreadId,
    facts: Told,
    lease: Option<Lease>,
    native: Option<NativeTurnId>,
    evidence: Option<Evidence>,
    /// How much the chat wants to see.
    noise: Noise,
    started: bool,
    waiting: bool,
    /// A person is asked, or has answered and the answer cannot be passed on yet. The watchdog's clock stands still.
    on_person: bool,
    in_doubt: bool,
    /// The runtime named a turn that was there before: see [`Follow::swallowed`].
    swallowed: bool,
    /// It compacts its thread: its submit names no turn, and it is known by its start alone.
    compacts: bool,
    /// What an earlier bridge may have heard comes first.
    hears_again: bool,
    /// A decision could not be passed on: when to try again.
    retry_at_ms: Option<i64>,
    seen: Seen,
    watch: Watch,
    /// An allowed step waits for the directory.
    wants_lease: bool,
    /// When the runtime last said anything.
    heard_at_ms: i64,
    stop_seen_at_ms: Option<i64>,
    interrupted_at_ms: Option<i64>,
    ticked_at_ms: i64,
    /// Longest work on it, where it is a routine's.
    timeout_ms: Option<i64>,
}

/// What people want of the turn, read from the ledger at each wake-up.
struct Wishes {
    state: TurnState,
    stop: Option<Stop>,
    /// Somebody is still to decide something.
    asks: bool,
    decided: Vec<Gate>,
    steers: Vec<InboundRow>,
    noise: Noise,
    patience: Option<String>,
}

pub fn limits_of(core: &Core, conversation: &Conversation) -> ChannelLimits {
    limits_of_channel(core, &conversation.channel)
}

pub fn limits_of_channel(core: &Core, channel: &ChannelName) -> ChannelLimits {
    let plain = ChannelLimits {
        part_chars: 3000,
        max_parts: 2,
        file_bytes: 1 << 20,
        cards: false,
        reactions: false,
        unmarked_is_lost: false,
        update_every_ms: 1000,
    };
    core.channel(channel).map_or(plain, |channel| channel.limits())
}

impl Follow {
    pub fn new(
        core: &Arc<Core>,
        live: &Arc<LiveRuntime>,
        conversation: &Conversation,
        turn: Turn,
        thread: ThreadId,
        facts: Told,
        lease: Option<Lease>,
    ) -> Self {
        let now = core.now_ms();
        let prompt = prompts::thaw(&turn.prompt);
        let compacts = prompt.compacts.is_some();
        Self {
            core: Arc::clone(core),
            live: Arc::clone(live),
            conversation: conversation.clone(),
            turn,
            thread,
            facts,
            lease,
            native: None,
            evidence: None,
            noise: Noise::default(),
            started: false,
            waiting: false,
            on_person: false,
            in_doubt: false,
            swallowed: false,
            compacts,
            hears_again: false,
            retry_at_ms: None,
            seen: Seen::default(),
            watch: Watch::new(now),
            wants_lease: false,
            heard_at_ms: now,
            stop_seen_at_ms: None,
            interrupted_at_ms: None,
            ticked_at_ms: now,
            timeout_ms: prompt.routine.map(|routine| routine.timeout_ms),
        }
    }

    /// Takes up a turn that ran before anybody followed it here. It may be heard again from its beginning.
    pub fn adopt(&mut self, hears_again: bool) {
        self.hears_again = hears_again;
        self.native = self.turn.native_turn.clone();
        self.evidence = self.turn.evidence;
        self.swallowed = self.native.is_some() && self.native == self.turn.cursor;
        self.waiting = self.turn.state == TurnState::Waiting;
        self.started = self.native.is_some();
        self.in_doubt = !self.waiting;
    }

    pub fn turn_id(&self) -> &TurnId {
        &self.turn.id
    }

    /// What the submit answered. A turn that was the thread's newest before is not a new one: the words went into it as
    /// a steer, or into nothing when it had just ended. Which of them, a pull tells.
    pub fn expect(&mut self, submitted: Submitted) {
        self.swallowed = submitted.turn.is_some() && submitted.turn == self.turn.cursor;
        self.in_doubt = self.swallowed;
        self.native = submitted.turn;
        self.evidence = Some(submitted.evidence);
    }

    pub fn in_doubt(&mut self) {
        self.in_doubt = true;
    }

    pub fn forget_thread(&self) {
        self.live.forget(&self.thread);
    }

    fn frame(&self) -> Frame {
        self.core.frame(&self.conversation.channel)
    }

    // -------------------------------------------------------------------------------------------- the loop

    /// Until the turn is settled, or the process is gone (then the turn is still active and recovery goes on).
    pub async fn to_the_end(mut self, handle: &Arc<Handle>) -> anyhow::Result<Next> {
        // A wish may have been committed before we listened.
        let mut over = (self.hears_again && self.catch_up().await) || self.look().await;
        let mut taking: Option<Boxed<'static, Lease>> = None;
        let mut tick = self.next_tick();
        while !over {
            if self.wants_lease && taking.is_none() {
                taking = Some(self.take_lease());
            }
            // Facts come last: a runtime that never pauses for breath must not keep people and the watchdog waiting.
            over = tokio::select! {
                biased;
                () = &mut tick => {
                    tick = self.next_tick();
                    self.tick_for_sure().await
                }
                () = handle.woken() => self.look().await,
                lease = async { taking.as_mut().expect("guarded").await }, if taking.is_some() => {
                    taking = None;
                    self.lease = Some(lease);
                    self.wants_lease = false;
                    self.seen.dirty = true;
                    self.look().await
                }
                fact = self.facts.recv() => match fact {
                    Some(envelope) => self.take_for_sure(envelope).await,
                    None => true,
                },
            };
        }
        self.let_go();
        Ok(Next::Again)
    }

    /// A fact is told once: a ledger that fails for a moment must not lose it. All of it may be done twice.
    async fn take_for_sure(&mut self, envelope: Envelope) -> bool {
        loop {
            match self.take(envelope.clone()).await {
                Ok(over) => return over,
                Err(error) => self.rest(&error).await,
            }
        }
    }

    async fn look(&mut self) -> bool {
        match self.heed_wishes().await {
            Ok(over) => over,
            Err(error) => {
                self.rest(&error.into()).await;
                false
            }
        }
    }

    async fn tick_for_sure(&mut self) -> bool {
        match self.tick().await {
            Ok(over) => over,
            Err(error) => {
                self.rest(&error).await;
                false
            }
        }
    }

    async fn rest(&self, error: &anyhow::Error) {
        warn!(turn.id = %self.turn.id, error = %format!("{error:#}"), "Following turn {} met an error; it goes on", self.turn.id);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    fn next_tick(&self) -> Boxed<'static, ()> {
        let clock = self.core.clock.clone();
        Box::pin(async move { clock.sleep(TICK).await })
    }

    fn take_lease(&self) -> Boxed<'static, Lease> {
        let (core, directory) = (Arc::clone(&self.core), self.turn.directory.clone());
        Box::pin(async move { core.leases.take(&directory).await })
    }

    /// Nobody follows the turn here any more.
    pub fn let_go(&self) {
        self.core.host.unlisten(&self.thread);
    }

    /// Takes one fact; true when there is nothing more to follow.
    async fn take(&mut self, envelope: Envelope) -> anyhow::Result<bool> {
        if envelope.fact == Fact::CaughtUp {
            self.on_caught_up().await?;
            return Ok(false);
        }
        if let (Some(theirs), Some(ours)) = (&envelope.turn, &self.native)
            && theirs != ours
        {
            // The late end of an earlier turn's background command.
            debug!(native.turn = %theirs, "A fact of another turn");
            return Ok(false);
        }
        if self.compacts && self.native.is_none() && !matches!(envelope.fact, Fact::TurnStarted | Fact::Exited { .. }) {
            debug!("A fact of an earlier turn, before the compaction began");
            return Ok(false);
        }
        self.heard_at_ms = self.core.now_ms();
        self.watch.last_sign_ms = self.heard_at_ms;
        self.watch.asked = false;
        match envelope.fact {
            Fact::TurnEnded { .. } if self.swallowed => return self.resolve_doubt().await,
            Fact::TurnStarted => self.on_started(envelope.turn).await?,
            Fact::InputTaken { client } => self.on_input_taken(client).await?,
            Fact::TextDelta { item, text } => self.on_text(item, &text, true),
            Fact::TextDone { item, text } => {
                self.on_text(item, &text, false);
                if crash::has_fault("settle from the stream") {
                    self.on_ended(envelope.turn, TurnEnd::Completed, None).await?;
                    return Ok(true);
                }
            }
            Fact::StepStarted { item, step } => self.on_step(item, step, Vec::new()).await?,
            Fact::StepEnded { item, step, changed } => self.on_step(item, step, changed).await?,
            Fact::GateOpened(request) => self.on_gate(envelope.generation, *request).await?,
            Fact::GateResolved { native } => self.on_gate_resolved(envelope.generation, native).await?,
            Fact::Retrying { .. } => {
                self.seen.retries += 1;
                let now = self.core.now_ms();
                self.seen.unreachable_since_ms.get_or_insert(now);
                self.seen.dirty = true;
            }
            Fact::Trouble(failure) => self.seen.failure = Some(failure),
            Fact::Usage { total_tokens, request_tokens } if self.compacts => {
                self.seen.use_tokens_once(total_tokens, request_tokens);
            }
            Fact::Usage { total_tokens, request_tokens } => self.seen.use_tokens(total_tokens, request_tokens),
            Fact::TurnEnded { end, failure } => {
                self.on_ended(envelope.turn, end, failure).await?;
                return Ok(true);
            }
            Fact::Activity | Fact::CaughtUp => {}
            Fact::Exited { .. } => return Ok(true),
        }
        Ok(false)
    }

    // -------------------------------------------------------------------------------------------- facts

    /// W3.
    async fn on_started(&mut self, native: Option<NativeTurnId>) -> Result<(), LedgerError> {
        let Some(native) = native.or_else(|| self.native.clone()) else { return Ok(()) };
        self.native = Some(native.clone());
        self.in_doubt = self.swallowed;
        if self.started {
            return Ok(());
        }
        let (id, now, evidence) = (self.turn.id.clone(), self.core.now_ms(), self.evidence);
        crash::point("w3.before");
        let written = self.core.ledger.write(move |tx| {
            let turn = turns::get(tx, &id)?;
            match turn.state {
                TurnState::Submitting => turns::started(tx, &turn, &native, now)?,
                // A gate was heard of first.
                _ => turns::set_native(tx, &turn.id, &native)?,
            }
            turns::set_evidence(tx, &turn.id, evidence.unwrap_or(Evidence::Acknowledged))
        });
        written.await?;
        self.started = true;
        crash::point("w3.after");
        // A stop that came before the start was held until now.
        if self.heed_wishes().await? {
            debug!("The turn was over when it started");
        }
        Ok(())
    }

    async fn on_input_taken(&mut self, client: Option<ClientId>) -> Result<(), LedgerError> {
        let Some(client) = client else { return Ok(()) };
        if self.turn.client_id.as_ref() == Some(&client) {
            return self.on_durable().await;
        }
        let Some(seq) = client.as_str().strip_prefix("steer.").and_then(|seq| seq.parse().ok()) else { return Ok(()) };
        let (id, frame) = (self.turn.id.clone(), self.frame());
        self.core
            .ledger
            .write(move |tx| {
                let row = inbound::get(tx, InboundSeq(seq))?;
                inbound::set_steer(tx, row.seq, &id, "taken", None)?;
                if let (Some(chat), Some(message)) = (&row.chat, &row.message) {
                    crate::ledger::surfaces::want_receipt(
                        tx,
                        &row.channel,
                        chat,
                        message,
                        Receipt::Done,
                        frame.now_ms,
                    )?;
                }
                Ok(())
            })
            .await?;
        self.core.wakes.painter.notify_one();
        Ok(())
    }

    /// The runtime has the words in its history: should it deny that one day, the history is broken.
    async fn on_durable(&mut self) -> Result<(), LedgerError> {
        if self.evidence == Some(Evidence::Durable) {
            return Ok(());
        }
        let id = self.turn.id.clone();
        self.core.ledger.write(move |tx| turns::set_evidence(tx, &id, Evidence::Durable)).await?;
        self.evidence = Some(Evidence::Durable);
        Ok(())
    }

    fn on_text(&mut self, item: String, text: &str, delta: bool) {
        self.seen.unreachable_since_ms = None;
        self.seen.retries = 0;
        let draft = &mut self.seen.progress.draft;
        // A new item (also a retried one, whose former text is abandoned) starts afresh.
        if item != self.seen.draft_item {
            draft.clear();
            self.seen.draft_item = item;
        }
        if !delta {
            draft.clear();
            self.seen.completed.push(text.to_owned());
        }
        draft.push_str(text);
        if draft.len() > DRAFT * 8 {
            *draft = tail(draft, DRAFT * 2);
        }
        self.seen.dirty = true;
    }

    async fn on_step(&mut self, item: String, step: Step, changed: Vec<ChangedFile>) -> Result<(), LedgerError> {
        self.seen.unreachable_since_ms = None;
        self.seen.retries = 0;
        self.seen.completed.clear();
        self.seen.changed.extend(changed);
        let mut begins = false;
        let steps = &mut self.seen.progress.steps;
        match self.seen.items.get(&item) {
            Some(index) => {
                let started_at_ms = steps[*index].started_at_ms;
                steps[*index] = Step { started_at_ms, ..step };
            }
            None => {
                if step.state == StepState::Running && step.what.works() {
                    // It began after the directory was given back, and cannot be held.
                    begins = true;
                }
                self.seen.items.insert(item, steps.len());
                let started_at_ms = if step.started_at_ms > 0 { step.started_at_ms } else { self.core.now_ms() };
                steps.push(Step { started_at_ms, ..step });
                self.seen.unsaved_step = true;
            }
        }
        self.seen.dirty = true;
        if begins {
            self.take_back();
        }
        if self.seen.unsaved_step {
            // Should the process die now, the row must say that this step may have run.
            self.save_progress().await?;
        }
        Ok(())
    }

    async fn save_progress(&mut self) -> Result<(), LedgerError> {
        let (id, progress) = (self.turn.id.clone(), self.shown_progress());
        self.seen.saved_at_ms = self.core.now_ms();
        self.core.ledger.write(move |tx| turns::save_progress(tx, &id, &progress)).await?;
        self.seen.unsaved_step = false;
        Ok(())
    }

    fn shown_progress(&self) -> Progress {
        Progress { steps: self.seen.progress.steps.clone(), draft: tail(&self.seen.progress.draft, DRAFT) }
    }

    /// W4; the turn waits for a person, so others may soon work in its directory: see [`Follow::give_way`].
    async fn on_gate(&mut self, generation: Generation, mut request: GateRequest) -> Result<(), LedgerError> {
        let (id, frame) = (self.turn.id.clone(), self.frame());
        // codex names no directory with a patch: it is the task's.
        if let Ask::FileChange { directory, .. } = &mut request.ask
            && directory.is_empty()
        {
            *directory = self.turn.directory.to_string_lossy().into_owned();
        }
        let sandbox = self.live.holds(&self.thread);
        let judged = judge(&self.core.config, &self.turn.directory, sandbox, &request.ask);
        crash::point("w4.before");
        let open = move |tx: &Transaction<'_>| gate_flow::open(tx, &frame, &id, generation, request, judged);
        let opened = self.core.ledger.write(open).await?;
        if let Some(state) = opened {
            crash::point("w4.after");
            self.waiting = true;
            // What a rule or policy decided waits for nobody.
            self.on_person |= state == GateState::Open;
        }
        // Also when it was known: the first try may have failed after its commit.
        self.paint(true).await?;
        // The same question may have been answered before the crash that this turn continues.
        self.heed_wishes().await?;
        Ok(())
    }

    async fn on_gate_resolved(&mut self, generation: Generation, native: NativeGateId) -> Result<(), LedgerError> {
        let frame = self.frame();
        crash::point("gate.over.before");
        let all_closed = self.core.ledger.write(move |tx| gate_flow::resolved(tx, &frame, generation, &native)).await?;
        crash::point("gate.over.after");
        if all_closed {
            self.waiting = false;
            self.on_person = false;
            self.watch.last_sign_ms = self.core.now_ms();
            // After a withdrawn request the turn goes on without an answer of ours.
            self.take_back();
            self.paint(true).await?;
        }
        self.core.wakes.painter.notify_one();
        Ok(())
    }

    /// All that was said while no bridge was there is heard: an answer of which nothing was heard is given again.
    async fn on_caught_up(&mut self) -> Result<(), LedgerError> {
        let (id, frame, core) = (self.turn.id.clone(), self.frame(), Arc::clone(&self.core));
        let again = move |tx: &Transaction<'_>| gate_flow::answer_again(tx, &frame, &id, |gate| core.has_secret(gate));
        self.core.ledger.write(again).await?;
        self.hears_again = false;
        self.core.wakes.painter.notify_one();
        self.core.wakes.outbox.notify_one();
        Ok(())
    }

    /// Gives the directory back while all that the turn still does waits for a person. A runtime asks for one thing while it
    /// does another, and what it was told to do together comes one after the other: not before a moment of silence.
    async fn give_way(&mut self) -> Result<(), LedgerError> {
        let silent = self.core.now_ms() - self.heard_at_ms >= SILENCE_MS;
        if self.lease.is_none() || !self.on_person || self.wants_lease || !silent {
            return Ok(());
        }
        let id = self.turn.id.clone();
        let mut gates = self.core.ledger.read(move |tx| gates::of_turn(tx, &id)).await?;
        gates.retain(|gate| !gate.state.is_over());
        let all_asked = gates.iter().all(|gate| gate.state == GateState::Open);
        if !gates.is_empty() && all_asked && !works_beside(&self.seen.progress.steps, &gates) {
            self.lease = None;
        }
        Ok(())
    }

    /// The turn works again: at once if its directory is free, else from when it is.
    fn take_back(&mut self) {
        if self.lease.is_none() {
            self.lease = self.core.leases.try_take(&self.turn.directory).ok();
            self.wants_lease = self.lease.is_none();
        }
    }

    /// The turn's end as the runtime reports it, confirmed by a pull, then W6.
    async fn on_ended(
        &mut self,
        native: Option<NativeTurnId>,
        end: TurnEnd,
        failure: Option<Failure>,
    ) -> anyhow::Result<()> {
        let native = native.or_else(|| self.native.clone());
        let background = if end == TurnEnd::Interrupted {
            self.live.call(|runtime| runtime.clean(&self.thread)).await.unwrap_or(Background::MayRunOn)
        } else {
            Background::None
        };
        let pulled = match &native {
            Some(_) if crash::has_fault("settle from the stream") => None,
            Some(native) => settle::pull_turn(&self.core, &self.live, &self.turn, &self.thread, native).await,
            None => None,
        };
        let outcome = match end {
            TurnEnd::Completed => Outcome::Completed,
            TurnEnd::Failed => Outcome::Failed,
            TurnEnd::Interrupted => Outcome::Interrupted,
        };
        let progress = self.shown_progress();
        let mut finish = match &pulled {
            Some(pulled) => Finish::from_pull(outcome, pulled, progress),
            None => {
                // Told truly that it ended, but three pulls failed: the completed items' text is the next best.
                warn!(turn.id = %self.turn.id, "No pull of turn {} succeeded; its text comes from the stream", self.turn.id);
                Finish {
                    answer: (!self.seen.completed.is_empty()).then(|| self.seen.completed.join("\n\n")),
                    changed: std::mem::take(&mut self.seen.changed),
                    native,
                    progress,
                    ..Finish::bare(outcome, None)
                }
            }
        };
        finish.merge_if_silent(&self.turn);
        finish.background = background;
        finish.tokens = self.seen.tokens;
        finish.tries = self.seen.retries + 1;
        finish.failure = failure.or(finish.failure).or_else(|| self.seen.failure.take());
        self.finish(finish).await
    }

    async fn finish(&self, mut finish: Finish) -> anyhow::Result<()> {
        finish.can_compact = self.live.capabilities().compact;
        settle::render_answer(&self.core, &self.conversation, &self.turn, &mut finish)?;
        let (id, frame) = (self.turn.id.clone(), self.frame());
        let outcome = finish.outcome;
        crash::point("w6.before");
        if self.core.ledger.write(move |tx| settle::finish(tx, &frame, &id, &finish)).await? {
            info!(turn.id = %self.turn.id, turn.outcome = outcome.as_str(), "Turn {} {}", self.turn.id, outcome.as_str());
        }
        crash::point("w6.after");
        self.core.wakes.outbox.notify_one();
        self.core.wakes.archive.notify_one();
        self.core.wakes.painter.notify_one();
        Ok(())
    }

    // -------------------------------------------------------------------------------------------- wishes

    async fn wishes(&self) -> Result<Wishes, LedgerError> {
        let (id, conversation) = (self.turn.id.clone(), self.conversation.clone());
        self.core
            .ledger
            .read(move |tx| {
                let turn = turns::get(tx, &id)?;
                let of_turn = gates::of_turn(tx, &id)?;
                Ok(Wishes {
                    state: turn.state,
                    stop: turn.stop,
                    asks: of_turn.iter().any(|gate| gate.state == GateState::Open),
                    decided: of_turn.into_iter().filter(|gate| gate.state == GateState::Decided).collect(),
                    steers: inbound::steers(tx, &id, "wanted")?,
                    patience: said::meta(tx, &format!("patience:{id}"))?,
                    noise: pictures::noise(tx, &conversation)?,
                })
            })
            .await
    }

    /// True when the turn is over (settled by somebody else).
    async fn heed_wishes(&mut self) -> Result<bool, LedgerError> {
        if self.hears_again {
            // What is still to be heard may say that it is over; and what this bridge has answered is not to be answered
            // again, as what an earlier one had.
            return Ok(false);
        }
        let wishes = self.wishes().await?;
        if wishes.state.is_settled() {
            return Ok(true);
        }
        self.noise = wishes.noise;
        if wishes.patience != self.watch.patience {
            let now = self.core.now_ms();
            self.watch.patience = wishes.patience;
            self.watch.last_sign_ms = now;
            self.watch.asked = false;
            self.watch.told_unreachable = false;
            self.watch.patient_since_ms = now;
        }
        if wishes.stop.is_some() {
            let now = self.core.now_ms();
            self.stop_seen_at_ms.get_or_insert(now);
            self.interrupt().await;
            // Decisions and steers of a turn that is being stopped are not passed on.
            return Ok(false);
        }
        self.retry_at_ms = None;
        let mut on_person = wishes.asks;
        for gate in wishes.decided {
            // The directory first: others may have worked in it while this turn waited, and after a "no" or an answer it
            // goes on as well.
            if self.lease.is_none() && gate.decision != Some(Decision::StopTurn) {
                self.lease = self.core.leases.try_take(&self.turn.directory).ok();
                if self.lease.is_none() {
                    self.wants_lease = true;
                    self.seen.dirty = true;
                    on_person = true;
                    continue;
                }
            }
            match gate_flow::answer(&self.core, &self.live, &self.conversation, &self.thread, &gate).await {
                Ok(Passed::On) => self.watch.last_sign_ms = self.core.now_ms(),
                Ok(Passed::NotYet) => {
                    on_person = true;
                    self.retry_at_ms = Some(self.core.now_ms() + ANSWER_AGAIN_MS);
                }
                Err(error) => {
                    warn!(gate.id = %gate.id, error = %format!("{error:#}"), "Could not pass on a decision");
                    self.retry_at_ms = Some(self.core.now_ms() + ANSWER_AGAIN_MS);
                }
            }
        }
        self.on_person = on_person;
        for row in wishes.steers {
            self.steer(row).await?;
        }
        Ok(false)
    }

    /// Only once, and only after the start: before it codex refuses, and the turn would run on.
    async fn interrupt(&mut self) {
        let Some(native) = self.native.clone().filter(|_| self.started || self.waiting) else { return };
        if self.interrupted_at_ms.is_some() {
            return;
        }
        self.interrupted_at_ms = Some(self.core.now_ms());
        if let Err(error) = self.live.call(|runtime| runtime.interrupt(&self.thread, &native)).await {
            // `NoTurn`: it ended in the same moment, and its end is on its way.
            info!(turn.id = %self.turn.id, %error, "The interrupt of turn {} was not taken", self.turn.id);
            if error != CallError::NoTurn {
                self.interrupted_at_ms = None;
            }
        }
    }

    async fn steer(&mut self, row: InboundRow) -> Result<(), LedgerError> {
        let (Some(native), Some(text)) = (self.native.clone().filter(|_| self.started), row.steer_text.clone()) else {
            return Ok(());
        };
        let (id, seq) = (self.turn.id.clone(), row.seq);
        self.core.ledger.write(move |tx| inbound::set_steer(tx, seq, &id, "sent", None)).await?;
        let steer = Steer { thread: self.thread.clone(), turn: native, client: ClientId::of_steer(seq), text };
        if let Err(error) = self.live.call(|runtime| runtime.steer(&steer)).await {
            // The turn's end will return it to the queue; a doubt is resolved the same way, by the pull.
            info!(turn.id = %self.turn.id, %error, "A steer was not taken");
        }
        Ok(())
    }

    // -------------------------------------------------------------------------------------------- time

    /// Pictures, the watchdog, and what is in doubt. True when the turn is over.
    async fn tick(&mut self) -> anyhow::Result<bool> {
        if self.core.host.now().is_none_or(|live| live.generation != self.live.generation) {
            // It died before we listened: no end will be told here.
            return Ok(true);
        }
        self.keep_time();
        if self.in_doubt && self.resolve_doubt().await? {
            return Ok(true);
        }
        if self.stop_seen_at_ms.is_some() && self.interrupted_at_ms.is_none() {
            self.interrupt().await;
        }
        if self.retry_at_ms.is_some_and(|at| self.core.now_ms() >= at) && self.heed_wishes().await? {
            return Ok(true);
        }
        self.give_way().await?;
        self.paint(false).await?;
        if self.watchdog().await? {
            return Ok(true);
        }
        Ok(false)
    }

    async fn paint(&mut self, now: bool) -> Result<(), LedgerError> {
        let at = self.core.now_ms();
        let age = at - self.turn.submitted_at_ms.unwrap_or(at);
        let appears = match (self.noise, self.conversation.chat_kind) {
            (Noise::Full, _) => 0,
            (_, ChatKind::Direct) => LIVE_AFTER_DIRECT_MS,
            (_, ChatKind::Group) => LIVE_AFTER_GROUP_MS,
        };
        let cadence = match age {
            ..15_000 => 1_000,
            15_000..120_000 => 3_000,
            _ => 10_000,
        };
        // A quick turn never has a card: nothing is written for it.
        let due = self.seen.dirty && age + 1_000 >= appears && at - self.seen.painted_at_ms >= cadence;
        if !(now || due) {
            return Ok(());
        }
        self.seen.dirty = false;
        self.seen.painted_at_ms = at;
        let save = at - self.seen.saved_at_ms >= SAVE_MS;
        if save {
            self.seen.saved_at_ms = at;
        }
        let (id, frame, conversation) = (self.turn.id.clone(), self.frame(), self.conversation.clone());
        let (progress, unreachable) = (self.shown_progress(), self.seen.unreachable_since_ms);
        let wants_lease = self.wants_lease;
        self.core
            .ledger
            .write(move |tx| {
                let turn = turns::get(tx, &id)?;
                if turn.state.is_settled() {
                    return Ok(());
                }
                if save {
                    turns::save_progress(tx, &id, &progress)?;
                }
                let open = gates::open_in(tx, &conversation.id)?.into_iter().find(|gate| gate.turn == id);
                let state = match open {
                    None if wants_lease => LiveState::Paused { why: say::waits_for_directory(conversation.lang) },
                    Some(gate) => {
                        let (names, _) = frame.deciders(tx, &conversation, &gate, &turn)?;
                        LiveState::Waiting { number: gate.number, names }
                    }
                    None => LiveState::Running,
                };
                let live = Live { state, progress: &progress, unreachable_since_ms: unreachable };
                pictures::live(tx, &frame, &conversation, &turn, &live)
            })
            .await?;
        self.core.wakes.painter.notify_one();
        Ok(())
    }

    /// Proven not taken: back into the queue.
    pub async fn not_run(&self, not_before_ms: i64) -> Result<(), LedgerError> {
        let id = self.turn.id.clone();
        let frame = self.frame();
        self.core
            .ledger
            .write(move |tx| settle::back_to_queue(tx, &frame, &turns::get(tx, &id)?, not_before_ms))
            .await?;
        self.core.wakes.painter.notify_one();
        Ok(())
    }

    /// Refused before it began.
    pub async fn fail(&self, kind: FailureKind, detail: String) -> anyhow::Result<()> {
        let finish = Finish::bare(Outcome::Failed, Some(Failure { kind, detail }));
        self.finish(finish).await
    }
}

/// Whether a step runs for which nobody is asked. The request for a command or a change comes after the start of its step;
/// that of a tool, or what the tool asks itself, while its step runs.
fn works_beside(steps: &[Step], open: &[Gate]) -> bool {
    let asks = |what: StepKind| {
        let about = |ask: &Ask| match ask {
            Ask::Command { .. } => what == StepKind::Command,
            Ask::FileChange { .. } => what == StepKind::FileChange,
            Ask::Tool { .. } | Ask::Questions { .. } => what == StepKind::Tool,
            Ask::Permissions { .. } => false,
        };
        open.iter().filter(|gate| about(&gate.ask)).count()
    };
    let runs =
        |what: StepKind| steps.iter().filter(|step| step.what == what && step.state == StepState::Running).count();
    [StepKind::Command, StepKind::FileChange, StepKind::Tool].into_iter().any(|what| runs(what) > asks(what))
}

fn end_of(outcome: Outcome) -> TurnEnd {
    match outcome {
        Outcome::Completed => TurnEnd::Completed,
        Outcome::Failed => TurnEnd::Failed,
        _ => TurnEnd::Interrupted,
    }
}

/// The last `max` characters.
fn tail(text: &str, max: usize) -> String {
    let count = text.chars().count();
    text.chars().skip(count.saturating_sub(max)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compaction_took_what_its_own_request_took() {
        for (told, want) in [
            (&[(1737, 1737), (3698, 1961), (3698, 1718)][..], 1961),
            (&[(1010, 1010), (1010, 700)], 1010),
            (&[(9, 9)], 9),
        ] {
            let mut seen = Seen::default();
            told.iter().for_each(|(total, request)| seen.use_tokens_once(*total, *request));
            assert_eq!(seen.tokens, Some(want), "{told:?}");
        }
    }
}
