//! What people should see, computed from the ledger's rows and written as wanted surfaces, in the transaction of the
//! change that they show.

mod gates;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::gates::{gate, near_miss, near_miss_over, without_room};

use crate::bridge::actions;
use crate::bridge::core::fresh_button;
use crate::bridge::gates::POLICY;
use crate::bridge::say;
use crate::domain::access::Access;
use crate::domain::action::{Action, Late, Resume};
use crate::domain::delivery::Target;
use crate::domain::gate::{Ask, GateState};
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::setting::Noise;
use crate::domain::turn::TurnState;
use crate::domain::verdict::LostHow;
use crate::domain::view::*;
use crate::ledger::conversations::{Conversation, HeldWhy};
use crate::ledger::gates as requests;
use crate::ledger::gates::Gate;
use crate::ledger::inbound::InboundRow;
use crate::ledger::rules::Rule;
use crate::ledger::settings::{self, Setting};
use crate::ledger::surfaces::{self, Picture, Surface, SurfaceKind, Wanted};
use crate::ledger::turns::{Progress, Turn};
use crate::ledger::{LedgerError, Transaction, buttons, conversations, inbound, said, turns};
use crate::words::{NoticeMsg, RightsMsg};

/// A live card appears only when a turn takes longer than this.
pub const LIVE_AFTER_GROUP_MS: i64 = 6_000;
pub const LIVE_AFTER_DIRECT_MS: i64 = 3_000;
/// A queue card appears only when a message waits longer than this.
pub const QUEUE_AFTER_MS: i64 = 5_000;

/// In a quiet chat: after everything that could still be running.
const NEVER_MS: i64 = 10 * 365 * 86_400_000;

/// What a picture needs besides the rows: who has which right, how the bot is called, what time it is. Owned, so that it
/// can go into a ledger closure.
#[derive(Debug, Clone)]
pub struct Frame {
    pub channel: ChannelName,
    pub access: Arc<Access>,
    /// What of it is configured.
    pub floor: Arc<Access>,
    pub lang: Lang,
    pub bot_name: String,
    /// Where conversations work that are bound to no project.
    pub workspaces: PathBuf,
    /// Of the person's clock.
    pub zone: chrono_tz::Tz,
    /// The command that signs the runtime in, where it has one.
    pub login: Option<String>,
    pub now_ms: i64,
    /// The channel's clock, ours where it is not known: first attempts are dated by it.
    pub platform_ms: i64,
}

impl Frame {
    /// A directory as people call it.
    pub fn project(&self, directory: &Path) -> String {
        if directory.starts_with(&self.workspaces) {
            return say::own_folder(self.lang);
        }
        directory.file_name().map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    pub(super) fn button(
        &self,
        tx: &Transaction<'_>,
        chat: &ChatId,
        subject: &str,
        role: ButtonRole,
        action: &Action,
    ) -> Result<Button, LedgerError> {
        let id = buttons::ensure(tx, &self.channel, chat, subject, action, fresh_button(), self.now_ms)?;
        Ok(Button { id, role })
    }

    /// Names of those who may decide a request, and whom to mention: the requester if he may, else at most three who may.
    pub fn deciders(
        &self,
        tx: &Transaction<'_>,
        conversation: &Conversation,
        gate: &Gate,
        turn: &Turn,
    ) -> Result<(String, Vec<UserId>), LedgerError> {
        let requester = || (turn.requester_name.clone(), vec![turn.requester.clone()]);
        if gate.ask.is_question() {
            return Ok(requester());
        }
        let role = self.access.role(&turn.requester, None, Some(&conversation.chat), conversation.chat_kind);
        let own = actions::may_decide(tx, conversation, gate, turn, &turn.requester, role)?;
        if own && !role.is_decider() {
            return Ok(requester());
        }
        let mut people = Vec::new();
        for user in self.access.deciders(&conversation.chat, gate.class) {
            let role = self.access.role(&user, None, Some(&conversation.chat), conversation.chat_kind);
            if actions::may_decide(tx, conversation, gate, turn, &user, role)? {
                people.push(user);
            }
        }
        if people.is_empty() {
            // Nobody may who is here: in this chat it takes somebody else.
            return Ok((say::another_approver(conversation.lang), Vec::new()));
        }
        let names = self.names(tx, &people, turn)?;
        let mention = if own { vec![turn.requester.clone()] } else { people.into_iter().take(3).collect() };
        Ok((names, mention))
    }

    /// At most three of them, by name.
    pub fn names(&self, tx: &Transaction<'_>, people: &[UserId], turn: &Turn) -> Result<String, LedgerError> {
        let mut names = Vec::new();
        for user in people.iter().take(3) {
            let name = said::name_of(tx, &self.channel, user)?.map(|(name, _)| name);
            names.push(name.unwrap_or_else(|| {
                if *user == turn.requester { turn.requester_name.clone() } else { user.to_string() }
            }));
        }
        Ok(names.join(", "))
    }
}

/// Where an answer, a card or a notice about a turn goes.
pub fn target_of(conversation: &Conversation, turn: &Turn) -> Target {
    Target {
        chat: conversation.chat.clone(),
        reply_to: turn.reply_to.clone().or_else(|| conversation.root.clone()),
        in_topic: conversation.root.is_some(),
    }
}

/// Where something is said in a conversation that answers no message.
pub fn place_of(conversation: &Conversation) -> Target {
    let (chat, reply_to) = (conversation.chat.clone(), conversation.root.clone());
    Target { chat, in_topic: reply_to.is_some(), reply_to }
}

// ------------------------------------------------------------------------------------------------ live card

/// A running turn's picture. The first one decides when the card may appear.
pub struct Live<'a> {
    pub state: LiveState,
    pub progress: &'a Progress,
    pub unreachable_since_ms: Option<i64>,
}

pub fn live(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    live: &Live<'_>,
) -> Result<(), LedgerError> {
    let over = !matches!(live.state, LiveState::Running | LiveState::Waiting { .. } | LiveState::Paused { .. });
    let stop = if over {
        None
    } else {
        let action = Action::Stop { turn: turn.id.clone() };
        Some(frame.button(tx, &conversation.chat, turn.id.as_str(), ButtonRole::Stop, &action)?)
    };
    let direct = conversation.chat_kind == ChatKind::Direct;
    let started = turn.started_at_ms.or(turn.submitted_at_ms).unwrap_or(frame.now_ms);
    let view = View::Live(LiveView {
        title: turn.title.clone(),
        requester: turn.requester_name.clone(),
        project: frame.project(&turn.directory),
        started_at_ms: started,
        state: live.state.clone(),
        steps: with_refused(tx, turn, conversation.lang, &live.progress.steps)?,
        draft: if over { String::new() } else { live.progress.draft.clone() },
        unreachable_since_ms: live.unreachable_since_ms,
        stop,
        direct,
    });
    // Who stops what was doing something learns what may remain of it, however little the chat wants to see.
    let must_tell = match live.state {
        LiveState::Stopped { background, .. } => background != Background::None || !live.progress.steps.is_empty(),
        _ => false,
    };
    let wait = match (noise(tx, conversation)?, direct) {
        _ if must_tell => 0,
        (Noise::Quiet, _) => NEVER_MS,
        // Nobody waits for a routine's.
        (Noise::Normal, _) if conversation.routine.is_some() => NEVER_MS,
        (Noise::Full, _) => 0,
        (Noise::Normal, true) => LIVE_AFTER_DIRECT_MS,
        (Noise::Normal, false) => LIVE_AFTER_GROUP_MS,
    };
    let wanted = Wanted {
        kind: SurfaceKind::Live,
        subject: turn.id.as_str().to_owned(),
        conversation: Some(conversation.id.clone()),
        channel: conversation.channel.clone(),
        target: target_of(conversation, turn),
        lang: conversation.lang,
        picture: Some(Picture::Card(Box::new(view))),
        not_before_ms: turn.submitted_at_ms.unwrap_or(frame.now_ms) + wait,
        is_final: over,
        create_final: must_tell,
    };
    surfaces::want(tx, &wanted, frame.now_ms)
}

/// How much the chat wants to see.
pub fn noise(tx: &Transaction<'_>, conversation: &Conversation) -> Result<Noise, LedgerError> {
    let set = settings::get(tx, &conversation.channel, &conversation.chat, Setting::Noise)?;
    Ok(set.as_deref().and_then(Noise::parse).unwrap_or_default())
}

fn queue_after(tx: &Transaction<'_>, conversation: &Conversation) -> Result<i64, LedgerError> {
    let is_quiet = conversation.routine.is_some() || noise(tx, conversation)? == Noise::Quiet;
    Ok(if is_quiet { NEVER_MS } else { QUEUE_AFTER_MS })
}

/// The steps, and what policy refused or a rule allowed: nobody was asked, so the card says it.
fn with_refused(tx: &Transaction<'_>, turn: &Turn, lang: Lang, steps: &[Step]) -> Result<Vec<Step>, LedgerError> {
    let mut steps = steps.to_vec();
    for gate in requests::decided_by_itself(tx, &turn.id, POLICY)? {
        let (what, object, state) = match (gates::is_refused(&gate), gate.rule) {
            (false, Some(rule)) => {
                let who = gate.decided_name.as_deref().unwrap_or_default();
                (StepKind::ByRule, cut(&format!("R{rule} · {who} · {}", asked_line(&gate.ask)), 60), StepState::Ok)
            }
            _ => (StepKind::Refused, crate::words::risk(gate.class, lang).to_owned(), StepState::Failed),
        };
        let step = Step { what, object, state, started_at_ms: gate.opened_at_ms };
        let at = steps.partition_point(|other| other.started_at_ms <= gate.opened_at_ms);
        steps.insert(at, step);
    }
    Ok(steps)
}

/// What was asked for, in a line.
fn asked_line(ask: &Ask) -> String {
    match ask {
        Ask::Command { command, .. } => command.split_whitespace().collect::<Vec<_>>().join(" "),
        Ask::FileChange { changes, .. } => {
            changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>().join(", ")
        }
        Ask::Permissions { wanted, .. } => wanted.join(", "),
        Ask::Tool { server, tool, .. } => format!("{server}/{tool}"),
        Ask::Questions { .. } => String::new(),
    }
}

// ------------------------------------------------------------------------------------------------ queue

/// The conversation's one queue card: why its first message waits, and what can be done.
pub fn queue(tx: &Transaction<'_>, frame: &Frame, conversation: &ConversationId) -> Result<(), LedgerError> {
    let conversation = conversations::get(tx, conversation)?;
    let unsettled = turns::unsettled(tx, &conversation.id)?;
    let active = unsettled.iter().find(|turn| turn.state.is_active());
    let waits = |turn: &&Turn| turn.state == TurnState::Queued && !turn.is_asked();
    let queued: Vec<&Turn> = unsettled.iter().filter(waits).collect();
    let why = wait_reason(tx, frame, &conversation, active)?;
    let waits = why.is_some();
    let mut rows = Vec::new();
    for turn in &queued {
        rows.push(queue_row(tx, frame, &conversation, turn, active.is_some())?);
    }
    let is_final = queued.is_empty() || !waits;
    let newest = queued.last();
    let view = View::Queue(QueueView { why: why.unwrap_or(WaitReason::Limit), rows });
    let wanted = Wanted {
        kind: SurfaceKind::Queue,
        // One card a busy spell: the next spell gets a new one, below the messages that it is about.
        subject: queue_subject(tx, &conversation, newest.map(|turn| &turn.id))?,
        conversation: Some(conversation.id.clone()),
        channel: conversation.channel.clone(),
        target: newest.map_or_else(|| root_target(&conversation), |turn| target_of(&conversation, turn)),
        lang: conversation.lang,
        picture: Some(Picture::Card(Box::new(view))),
        not_before_ms: frame.now_ms + queue_after(tx, &conversation)?,
        is_final,
        create_final: false,
    };
    surfaces::want(tx, &wanted, frame.now_ms)
}

/// The subject of the conversation's present queue card: the first turn of the busy spell.
fn queue_subject(
    tx: &Transaction<'_>,
    conversation: &Conversation,
    newest: Option<&TurnId>,
) -> Result<String, LedgerError> {
    match (conversations::queue_card(tx, &conversation.id)?, newest) {
        (Some(subject), Some(_)) => Ok(subject),
        (Some(subject), None) => {
            conversations::set_queue_card(tx, &conversation.id, None)?;
            Ok(subject)
        }
        (None, Some(turn)) => {
            conversations::set_queue_card(tx, &conversation.id, Some(turn.as_str()))?;
            Ok(turn.as_str().to_owned())
        }
        (None, None) => Ok(conversation.id.as_str().to_owned()),
    }
}

fn wait_reason(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    active: Option<&Turn>,
) -> Result<Option<WaitReason>, LedgerError> {
    if let Some(held) = &conversation.held {
        return Ok(Some(if held.why == HeldWhy::Elsewhere { WaitReason::Elsewhere } else { WaitReason::Held }));
    }
    let Some(active) = active else { return Ok(None) };
    let open = requests::of_turn(tx, &active.id)?.into_iter().find(|gate| gate.state == GateState::Open);
    Ok(Some(match open {
        Some(gate) => {
            let (names, _) = frame.deciders(tx, conversation, &gate, active)?;
            WaitReason::Gate { number: gate.number, names }
        }
        None => WaitReason::Turn {
            who: active.requester_name.clone(),
            since_ms: active.started_at_ms.or(active.submitted_at_ms).unwrap_or(active.created_at_ms),
        },
    }))
}

fn queue_row(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    can_steer: bool,
) -> Result<QueueRow, LedgerError> {
    let cancel = Action::Cancel { turn: turn.id.clone() };
    let steer = Action::Steer { turn: turn.id.clone() };
    let button = |role, action: &Action| frame.button(tx, &conversation.chat, turn.id.as_str(), role, action);
    Ok(QueueRow {
        who: turn.requester_name.clone(),
        text: cut(&turn.title, 20),
        steer: if can_steer { Some(button(ButtonRole::Steer, &steer)?) } else { None },
        cancel: Some(button(ButtonRole::Cancel, &cancel)?),
        state: QueueRowState::Waiting,
    })
}

/// While a turn waits for a directory, a slot or the runtime: the same card, with that reason.
pub fn queue_waits(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    why: WaitReason,
) -> Result<(), LedgerError> {
    // Whoever found that it waits read it before: it may have been cancelled or begun since.
    if turns::get(tx, &turn.id)?.state != TurnState::Queued {
        return Ok(());
    }
    let row = queue_row(tx, frame, conversation, turn, false)?;
    let wanted = Wanted {
        kind: SurfaceKind::Queue,
        subject: queue_subject(tx, conversation, Some(&turn.id))?,
        conversation: Some(conversation.id.clone()),
        channel: conversation.channel.clone(),
        target: target_of(conversation, turn),
        lang: conversation.lang,
        picture: Some(Picture::Card(Box::new(View::Queue(QueueView { why, rows: vec![row] })))),
        not_before_ms: frame.now_ms + queue_after(tx, conversation)?,
        is_final: false,
        create_final: false,
    };
    surfaces::want(tx, &wanted, frame.now_ms)
}

fn root_target(conversation: &Conversation) -> Target {
    Target {
        chat: conversation.chat.clone(),
        reply_to: conversation.root.clone(),
        in_topic: conversation.root.is_some(),
    }
}

// ------------------------------------------------------------------------------------------------ interrupted turns

/// C6: what is certain, what is not, and the ways on.
pub struct Interrupted<'a> {
    pub how: Option<LostHow>,
    pub shutdown: bool,
    pub progress: Progress,
    pub steers: &'a [InboundRow],
}

pub fn interrupted(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &Turn,
    what: &Interrupted<'_>,
) -> Result<(), LedgerError> {
    let conversation = conversations::get(tx, &turn.conversation)?;
    let (certain, uncertain): (Vec<Step>, Vec<Step>) =
        what.progress.steps.iter().cloned().partition(|step| step.state != StepState::Running);
    let mut uncertain = uncertain;
    // What somebody allowed and the runtime was being told may have run without a trace.
    for gate in requests::of_turn(tx, &turn.id)?.into_iter().filter(|gate| gate.void_from == Some(GateState::Answering))
    {
        if let Ask::Command { command, .. } = &gate.ask
            && !uncertain.iter().any(|step| command.contains(step.object.trim_end_matches('…')))
        {
            uncertain.push(Step {
                what: StepKind::Command,
                object: cut(command, 60),
                state: StepState::Running,
                started_at_ms: 0,
            });
        }
    }
    let history_gone = what.how == Some(LostHow::HistoryGone);
    let mut offered = vec![(
        if history_gone { ButtonRole::StartFresh } else { ButtonRole::Continue },
        if history_gone { Resume::StartFresh } else { Resume::Continue },
    )];
    offered.push((ButtonRole::RunAgain, Resume::RunAgain));
    offered.push((ButtonRole::Dismiss, Resume::Dismiss));
    let buttons = offered
        .into_iter()
        .map(|(role, how)| {
            let action = Action::Resume { turn: turn.id.clone(), how };
            frame.button(tx, &conversation.chat, turn.id.as_str(), role, &action)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let view = View::Interrupted(InterruptedView {
        requester: turn.requester_name.clone(),
        mention: (conversation.chat_kind == ChatKind::Group).then(|| turn.requester.clone()),
        at_ms: turn.settled_at_ms.unwrap_or(frame.now_ms),
        certain,
        uncertain,
        commands_ended: what.how == Some(LostHow::CommandsEnded),
        shutdown: what.shutdown,
        history_gone,
        partial: (!what.progress.draft.trim().is_empty()).then(|| what.progress.draft.clone()),
        steers: what.steers.iter().filter_map(|row| row.steer_text.clone()).collect(),
        buttons,
        chosen: None,
    });
    let wanted = Wanted {
        kind: SurfaceKind::Interrupted,
        subject: turn.id.as_str().to_owned(),
        conversation: Some(conversation.id.clone()),
        channel: conversation.channel.clone(),
        target: target_of(&conversation, turn),
        lang: conversation.lang,
        picture: Some(Picture::Card(Box::new(view))),
        not_before_ms: 0,
        is_final: false,
        create_final: true,
    };
    surfaces::want(tx, &wanted, frame.now_ms)
}

/// What somebody chose about a turn that did not finish: its card keeps what it says, and the way on takes the buttons'
/// place. A turn that was stopped by a person has no such card.
pub fn chosen(
    tx: &Transaction<'_>,
    frame: &Frame,
    turn: &Turn,
    role: &ButtonRole,
    who: &str,
) -> Result<(), LedgerError> {
    let failed = failed_subject(&turn.id);
    for (kind, subject) in [(SurfaceKind::Interrupted, turn.id.as_str()), (SurfaceKind::Notice, failed.as_str())] {
        let Some(mut stored) = surfaces::find(tx, kind, subject)? else { continue };
        let Some(Picture::Card(mut view)) = stored.wanted.take() else { continue };
        match view.as_mut() {
            View::Interrupted(card) => {
                card.chosen = Some((role.clone(), who.to_owned()));
                (card.buttons, card.mention) = (Vec::new(), None);
            }
            View::Notice(notice) => {
                notice.text = format!("{}\n{}", notice.text, say::chosen(stored.lang, role, who));
                notice.buttons = Vec::new();
            }
            _ => continue,
        }
        repaint(tx, frame, stored, kind, view, true)?;
    }
    Ok(())
}

/// The subject of the notice that says why a turn failed.
pub fn failed_subject(turn: &TurnId) -> String {
    format!("failed:{turn}")
}

// ------------------------------------------------------------------------------------------------ late messages

pub fn late_subject(row: InboundSeq) -> String {
    format!("late:{}", row.0)
}

/// C15 for one late message.
pub fn late(
    tx: &Transaction<'_>,
    frame: &Frame,
    row: &InboundRow,
    lang: Lang,
    text: &str,
    chosen: Option<(ButtonRole, String)>,
) -> Result<(), LedgerError> {
    let (Some(chat), Some(message)) = (row.chat.clone(), row.message.clone()) else { return Ok(()) };
    let asked = inbound::asked_about(tx, &row.channel, &chat)?;
    let others = asked.iter().filter(|other| other.seq != row.seq).count() as u32;
    let up_to = asked.iter().map(|other| other.seq).max().unwrap_or(row.seq);
    let subject = late_subject(row.seq);
    let mut offered = vec![(ButtonRole::DoIt, Late::DoIt), (ButtonRole::Cancel, Late::Cancel)];
    if others > 0 {
        offered.push((ButtonRole::CancelAll, Late::CancelAll));
    }
    let buttons = if chosen.is_some() {
        Vec::new()
    } else {
        offered
            .into_iter()
            .map(|(role, how)| frame.button(tx, &chat, &subject, role, &Action::Late { inbound: row.seq, how, up_to }))
            .collect::<Result<Vec<_>, _>>()?
    };
    let is_final = chosen.is_some();
    let view = View::Stale(StaleView {
        sent_at_ms: row.sent_at_ms.unwrap_or(row.received_at_ms),
        text: cut(text, 40),
        others,
        buttons,
        chosen,
    });
    let wanted = Wanted {
        kind: SurfaceKind::Stale,
        subject,
        conversation: None,
        channel: row.channel.clone(),
        target: Target { chat, reply_to: Some(message), in_topic: false },
        lang,
        picture: Some(Picture::Card(Box::new(view))),
        not_before_ms: 0,
        is_final,
        create_final: false,
    };
    surfaces::want(tx, &wanted, frame.now_ms)
}

// ------------------------------------------------------------------------------------------------ notices with buttons

/// A line of ally's own with buttons, replaced as things change. `subject` names what it is about.
pub fn notice(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    target: Target,
    subject: &str,
    text: String,
    offered: &[(ButtonRole, Action)],
) -> Result<(), LedgerError> {
    let whose = (&conversation.channel, Some(&conversation.id), conversation.lang);
    want_notice(tx, frame, whose, &conversation.chat, target, (subject, text, offered))
}

/// The same in a chat, about no conversation.
pub fn notice_at(
    tx: &Transaction<'_>,
    frame: &Frame,
    chat: ChatId,
    lang: Lang,
    subject: &str,
    text: String,
    offered: &[(ButtonRole, Action)],
) -> Result<(), LedgerError> {
    let target = Target { chat: chat.clone(), reply_to: None, in_topic: false };
    want_notice(tx, frame, (&frame.channel, None, lang), &chat, target, (subject, text, offered))
}

/// The same as an answer to what somebody wrote.
pub fn question(
    tx: &Transaction<'_>,
    frame: &Frame,
    target: Target,
    lang: Lang,
    subject: &str,
    text: String,
    offered: &[(ButtonRole, Action)],
) -> Result<(), LedgerError> {
    let chat = target.chat.clone();
    want_notice(tx, frame, (&frame.channel, None, lang), &chat, target, (subject, text, offered))
}

/// A question that somebody has decided: its card says so, and has no buttons any more.
pub fn question_over(tx: &Transaction<'_>, frame: &Frame, subject: &str, remark: &str) -> Result<(), LedgerError> {
    let Some(stored) = surfaces::find(tx, SurfaceKind::Notice, subject)? else { return Ok(()) };
    withdraw(tx, frame, stored, Some(remark))
}

fn want_notice(
    tx: &Transaction<'_>,
    frame: &Frame,
    (channel, conversation, lang): (&ChannelName, Option<&ConversationId>, Lang),
    chat: &ChatId,
    target: Target,
    (subject, text, offered): (&str, String, &[(ButtonRole, Action)]),
) -> Result<(), LedgerError> {
    let buttons = offered
        .iter()
        .map(|(role, action)| frame.button(tx, chat, subject, role.clone(), action))
        .collect::<Result<Vec<_>, _>>()?;
    let is_final = buttons.is_empty();
    let wanted = Wanted {
        kind: SurfaceKind::Notice,
        subject: subject.to_owned(),
        conversation: conversation.cloned(),
        channel: channel.clone(),
        target,
        lang,
        picture: Some(Picture::Card(Box::new(View::Notice(NoticeView { text, buttons })))),
        not_before_ms: 0,
        is_final,
        create_final: true,
    };
    surfaces::want(tx, &wanted, frame.now_ms)
}

/// The subject of the question whether a turn shall be stopped whose message was recalled.
pub fn recalled_subject(turn: &TurnId) -> String {
    format!("recalled:{turn}")
}

/// The same of the `n`th question about a turn that gives no sign of life.
pub fn watchdog_subject(turn: &TurnId, n: u32) -> String {
    format!("watchdog:{turn}:{n}")
}

/// A turn is over: nobody is asked any more whether to stop it.
pub fn stop_questions_over(tx: &Transaction<'_>, frame: &Frame, turn: &TurnId) -> Result<(), LedgerError> {
    close_notice(tx, frame, &recalled_subject(turn))?;
    for n in 1.. {
        if !close_notice(tx, frame, &watchdog_subject(turn, n))? {
            break;
        }
    }
    Ok(())
}

/// What a notice asked is decided: it says so, and its buttons go.
pub fn notice_over(
    tx: &Transaction<'_>,
    frame: &Frame,
    subject: &str,
    remark: NoticeMsg<'_>,
) -> Result<(), LedgerError> {
    let Some(stored) = surfaces::find(tx, SurfaceKind::Notice, subject)? else { return Ok(()) };
    let remark = say::notice(stored.lang, remark);
    withdraw(tx, frame, stored, Some(&remark))
}

/// Gives whether there is such a notice; it says that its task has ended, and its buttons go.
fn close_notice(tx: &Transaction<'_>, frame: &Frame, subject: &str) -> Result<bool, LedgerError> {
    let Some(stored) = surfaces::find(tx, SurfaceKind::Notice, subject)? else { return Ok(false) };
    let remark = say::notice(stored.lang, NoticeMsg::TaskOver);
    withdraw(tx, frame, stored, Some(&remark))?;
    Ok(true)
}

/// Why a conversation waits, with the ways out of it.
pub fn held(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &Conversation,
    turn: &Turn,
    text: String,
    ways: &[(ButtonRole, Action)],
) -> Result<(), LedgerError> {
    // Each time it waits has a notice of its own.
    let subject = format!("held:{}:{}", conversation.id, frame.now_ms);
    said::set_meta(tx, &held_key(&conversation.id), &subject)?;
    notice(tx, frame, conversation, target_of(conversation, turn), &subject, text, ways)
}

/// A way out was chosen: the notice says so and offers no other.
pub fn held_no_longer(
    tx: &Transaction<'_>,
    frame: &Frame,
    conversation: &ConversationId,
    role: &ButtonRole,
    who: &str,
) -> Result<(), LedgerError> {
    let Some(subject) = said::meta(tx, &held_key(conversation))? else { return Ok(()) };
    let Some(stored) = surfaces::find(tx, SurfaceKind::Notice, &subject)? else { return Ok(()) };
    let remark = say::chosen(stored.lang, role, who);
    withdraw(tx, frame, stored, Some(&remark))
}

fn held_key(conversation: &ConversationId) -> String {
    format!("held:{conversation}")
}

/// What is stored gets a last picture. `anew`: also where the former one never came to be seen.
fn repaint(
    tx: &Transaction<'_>,
    frame: &Frame,
    stored: Surface,
    kind: SurfaceKind,
    view: Box<View>,
    anew: bool,
) -> Result<(), LedgerError> {
    let wanted = Wanted {
        kind,
        subject: stored.subject,
        conversation: stored.conversation,
        channel: stored.channel,
        target: stored.target,
        lang: stored.lang,
        picture: Some(Picture::Card(view)),
        not_before_ms: 0,
        is_final: true,
        create_final: anew,
    };
    surfaces::want(tx, &wanted, frame.now_ms)
}

/// The words of a notice stay, its buttons go; `remark` is said below.
fn withdraw(tx: &Transaction<'_>, frame: &Frame, mut stored: Surface, remark: Option<&str>) -> Result<(), LedgerError> {
    let Some(Picture::Card(mut view)) = stored.wanted.take() else { return Ok(()) };
    let View::Notice(notice) = view.as_mut() else { return Ok(()) };
    if notice.buttons.is_empty() {
        return Ok(());
    }
    notice.buttons = Vec::new();
    if let Some(remark) = remark {
        notice.text = format!("{}\n{remark}", notice.text);
    }
    repaint(tx, frame, stored, SurfaceKind::Notice, view, false)
}

// ------------------------------------------------------------------------------------------------ lists

/// The rules of a chat, each with the button that ends it. `list` is the message that asked for them.
pub fn rules(
    tx: &Transaction<'_>,
    frame: &Frame,
    chat: &ChatId,
    list: InboundSeq,
    found: &[Rule],
    lang: Lang,
) -> Result<ListView, LedgerError> {
    let mut rows = Vec::new();
    for rule in found.iter().take(MAX_LIST_ROWS) {
        let text = say::rule(lang, rule, &frame.project(Path::new(&rule.covers.directory)), frame.now_ms);
        let action = Action::RevokeRule { number: rule.number, list };
        let button = frame.button(tx, chat, &list_subject(list), ButtonRole::RevokeRule(rule.number), &action)?;
        rows.push(ListRow { text: cut(&text, 600), buttons: vec![button] });
    }
    let left_out = found.len().saturating_sub(rows.len());
    let mut notes: Vec<String> =
        found.first().map(|rule| say::rights(lang, RightsMsg::RulesHint { number: rule.number })).into_iter().collect();
    notes.extend((left_out > 0).then(|| say::rights(lang, RightsMsg::RulesMore { n: left_out })));
    Ok(ListView { title: say::rights(lang, RightsMsg::RulesTitle { n: found.len() }), rows, notes })
}

/// A rule that was ended from its list: the row says so, and has no button any more.
pub fn rule_ended(
    tx: &Transaction<'_>,
    frame: &Frame,
    list: InboundSeq,
    number: i64,
    who: &str,
) -> Result<(), LedgerError> {
    let Some(mut stored) = surfaces::find(tx, SurfaceKind::Notice, &list_subject(list))? else { return Ok(()) };
    let Some(Picture::Card(mut view)) = stored.wanted.take() else { return Ok(()) };
    let View::List(shown) = view.as_mut() else { return Ok(()) };
    let ends = |row: &ListRow| row.buttons.iter().any(|button| button.role == ButtonRole::RevokeRule(number));
    for row in shown.rows.iter_mut().filter(|row| ends(row)) {
        row.text = format!("{}\n{}", row.text, say::rule_revoked(stored.lang, who, frame.now_ms));
        row.buttons.clear();
    }
    repaint(tx, frame, stored, SurfaceKind::Notice, view, true)
}

/// The subject of what a command shows.
pub fn list_subject(command: InboundSeq) -> String {
    format!("command:{}", command.0)
}

/// The first `max` characters (graphemes), with an ellipsis where something is cut.
pub fn cut(text: &str, max: usize) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    let mut graphemes = text.graphemes(true);
    let head: String = graphemes.by_ref().take(max).collect();
    if graphemes.next().is_some() { format!("{head}…") } else { head }
}

#[cfg(test)]
pub(super) mod tests;
