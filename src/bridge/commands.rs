//! What ally does itself when it is told to. Commands act on the conversation they are written in, or, in a group's
//! stream, on the chat; they open no topic.

mod compact;
mod conversing;
mod doctor;
mod lock;
mod look;
mod model;
mod people;
mod place;
pub(super) mod routine;
mod rules;
pub(super) mod settings;
pub(super) mod threads;
mod usage;

use std::sync::Arc;

use self::conversing::Beforehand;
use super::actions::{self, Told};
use super::core::{Core, Scope};
use super::intake::after;
use super::overtake::Order;
use super::pictures::{self, Frame};
use super::prepare::{Beside, Letter, make_turn, put_steer, receipt};
use super::typed::running_here;
use super::{rights, route, say};
use crate::domain::access::{Act, Role, may};
use crate::domain::action::{Action, Resume};
use crate::domain::command::Command;
use crate::domain::delivery::Body;
use crate::domain::ids::*;
use crate::domain::level::Level;
use crate::domain::message::ChatKind;
use crate::domain::setting::Setting;
use crate::domain::turn::{Outcome, TurnState};
use crate::domain::view::{ButtonRole, HelpView, Lang, Receipt, StatusView, View};
use crate::ledger::conversations::Conversation;
use crate::ledger::inbound::{self, InboundState};
use crate::ledger::messages::{self, NewMessage};
use crate::ledger::surfaces::{self, Picture, SurfaceKind, Wanted};
use crate::ledger::{LedgerError, Transaction, audit, conversations, report, rules as standing, said, turns};
use crate::words::{CommandMsg, NoticeMsg};

/// What a command came to, inside its transaction.
#[derive(Default)]
struct Reply {
    say: Option<String>,
    view: Option<View>,
    /// The view's language, where it is not the channel's.
    lang: Option<Lang>,
    performed: Vec<actions::Performed>,
    rights_changed: bool,
    /// There is something new for the scheduler.
    routines_changed: bool,
    release: Option<ThreadId>,
    /// Called so where the runtime shows it, too.
    name: Option<(ThreadId, String)>,
    /// The command carries a message for the agent. What it says and does is written with the turn, not before.
    then: Option<String>,
    /// With that turn the conversation begins anew.
    fresh: bool,
    /// That turn is to make a plan.
    plan: bool,
    /// That turn is to review the changes.
    review: bool,
    /// The row's end is written already (a steer).
    keep_row: bool,
    /// There is nothing here that it could act on.
    nothing: bool,
}

impl Reply {
    fn say(text: String) -> Self {
        Self { say: Some(text), ..Self::default() }
    }

    fn nothing(text: String) -> Self {
        Self { nothing: true, ..Self::say(text) }
    }
}

pub(super) async fn did_you_mean(
    core: &Arc<Core>,
    letter: Letter,
    typed: String,
    suggestion: String,
) -> anyhow::Result<()> {
    let lang = core.config.lang;
    let text = say::command(lang, CommandMsg::DidYouMean { typed: &typed, suggestion: &suggestion });
    finish(core, letter, Order::InPlace, move |_, _, _| Ok(Reply::say(text))).await
}

pub(super) async fn run(core: &Arc<Core>, letter: Letter, command: Command, order: Order) -> anyhow::Result<()> {
    let scope = core.config.scope;
    let status = match command {
        Command::Status => Some(Health::of(core, &letter.row.channel).await?),
        _ => None,
    };
    let before = match &command {
        Command::Conversing(command) => Beforehand::of(core, &letter, command).await?,
        _ => Beforehand::default(),
    };
    let defaults = settings::Defaults::of(&core.config);
    let looked = match command {
        Command::Audit { span_ms } => look::audited(core, &letter, span_ms).await?,
        Command::Gates => Some(look::open(core, &letter).await?),
        Command::Doctor => doctor::examined(core, &letter).await?,
        _ => None,
    };
    let ground = routine::Ground::of(core, &letter);
    let outsiders = match &command {
        Command::Allow { .. } => people::outsiders(core, &letter).await,
        _ => people::Outsiders::None,
    };
    finish(core, letter, order, move |tx, frame, letter| {
        let here = Here::of(tx, letter, scope)?;
        let lang = here.lang(frame);
        match &command {
            Command::Help(topic) => help(frame, letter, &here, lang, topic.as_deref()),
            Command::New(text) => new(tx, frame, letter, &here, lang, text.clone()),
            Command::Stop { all } => stop(tx, frame, letter, scope, lang, *all),
            Command::Status => status_view(tx, frame, letter, &here, status.as_ref()),
            Command::Cancel(n) => cancel(tx, frame, letter, &here, lang, *n),
            Command::Retry => retry(tx, frame, letter, &here, lang),
            Command::Whoami => Ok(Reply::say(whoami(frame, letter, lang))),
            Command::Allow { .. } => people::allow(tx, frame, letter, lang, outsiders),
            Command::Deny { .. } => people::deny(tx, frame, letter, lang),
            Command::Admin { rest } => people::right(tx, frame, letter, lang, people::Kind::Admin, rest),
            Command::Approver { rest } => people::right(tx, frame, letter, lang, people::Kind::Approver, rest),
            Command::Steer(text) => steer(tx, frame, letter, &here, lang, text),
            Command::Release => Ok(release(&here, lang)),
            Command::Settings(rest) => settings::run(tx, frame, letter, &here, lang, defaults, rest.as_deref()),
            Command::Audit { .. } | Command::Gates => match looked {
                Some(text) => Ok(Reply::say(text)),
                None => refused(tx, frame, letter, lang, Act::Audit { everywhere: false }, "audit"),
            },
            Command::Doctor => doctor::reply(tx, frame, letter, lang, looked),
            Command::Lock => lock::switch(tx, frame, letter, lang, true),
            Command::Unlock => lock::switch(tx, frame, letter, lang, false),
            Command::Rules { revoke } => rules::rules(tx, frame, letter, lang, *revoke),
            Command::Routine(wish) => routine::run(tx, frame, letter, &here, lang, wish, &ground),
            Command::Last { span_ms } => routine::last(tx, frame, letter, lang, *span_ms, &ground),
            Command::Lang(wanted) => set_lang(tx, letter, lang, wanted.as_deref()),
            Command::Conversing(command) => conversing::run(tx, frame, letter, &here, lang, command, &before),
            Command::Later(word) => Ok(Reply::say(say::command(lang, CommandMsg::Later { word }))),
        }
    })
    .await
}

async fn finish(
    core: &Arc<Core>,
    letter: Letter,
    order: Order,
    command: impl FnOnce(&Transaction<'_>, &Frame, &Letter) -> Result<Reply, LedgerError> + Send + 'static,
) -> anyhow::Result<()> {
    let frame = core.frame(&letter.row.channel);
    let (result, letter) = core
        .ledger
        .write(move |tx| {
            let mut result = command(tx, &frame, &letter)?;
            // With nothing to act on yet, what overtakes waits in its place.
            if result.then.is_some() || (result.nothing && order == Order::Overtaking) {
                return Ok((result, letter));
            }
            if !result.keep_row {
                inbound::resolve(tx, letter.row.seq, InboundState::Command, None, None)?;
                receipt(tx, &frame, &letter, Receipt::Done)?;
            }
            if let Some(text) = result.say.take() {
                let reply = NewMessage {
                    conversation: None,
                    turn: None,
                    channel: letter.row.channel.clone(),
                    target: letter.reply(),
                    body: Body::Notice { text },
                    lang: frame.lang,
                    after: None,
                    sending: Some(frame.platform_ms),
                };
                messages::insert(tx, &reply, frame.now_ms)?;
            }
            if let Some(view) = result.view.take() {
                show(tx, &frame, &letter, view, result.lang.unwrap_or(frame.lang))?;
            }
            Ok((result, letter))
        })
        .await?;
    if order == Order::Overtaking && (result.then.is_some() || result.nothing) {
        return Ok(());
    }
    // What was committed is acted on at once, whatever follows.
    result.performed.into_iter().for_each(|performed| after(core, performed));
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    if result.routines_changed {
        core.wakes.routines.notify_one();
    }
    if result.rights_changed {
        // It is committed and said: it must come into force, however long the ledger takes to be read.
        while let Err(error) = core.refresh_access().await {
            tracing::warn!(%error, "The changed rights could not be read; they are read again");
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        // What looked meanwhile was judged by the rights of before.
        core.registry.wake_all();
    }
    if let (Some(thread), Some(live)) = (result.release, core.host.now()) {
        live.forget(&thread);
        // It frees the thread for others; should it fail, the thread simply stays ours.
        if let Err(error) = live.call(|runtime| runtime.release(&thread)).await {
            tracing::info!(%error, "A thread could not be released");
        }
    }
    if let (Some((thread, name)), Some(live)) = (result.name, core.host.now())
        && let Err(error) = live.call(|runtime| runtime.name_thread(&thread, &name)).await
    {
        tracing::info!(%error, "The runtime does not take a thread's name");
    }
    match result.then {
        Some(text) => {
            let Reply { say: remark, fresh, plan, review, .. } = result;
            let beside = Beside { remark, fresh, plan, review, near: None };
            make_turn(core, Letter { text, ..letter }, beside).await
        }
        None => Ok(()),
    }
}

fn show(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, view: View, lang: Lang) -> Result<(), LedgerError> {
    let wanted = Wanted {
        kind: SurfaceKind::Notice,
        subject: pictures::list_subject(letter.row.seq),
        conversation: None,
        channel: letter.row.channel.clone(),
        target: letter.reply(),
        lang,
        picture: Some(Picture::Card(Box::new(view))),
        not_before_ms: 0,
        is_final: true,
        create_final: true,
    };
    surfaces::want(tx, &wanted, frame.now_ms)
}

/// Says who may, to somebody who may not, and keeps that he tried.
fn refused(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    act: Act,
    command: &str,
) -> Result<Reply, LedgerError> {
    let chat = &letter.message.chat;
    let (place, detail) = ((&letter.row.channel, chat), format!("/{command}"));
    audit::note_in(tx, place, letter.person.user.as_str(), "command refused", "", &detail, frame.now_ms)?;
    Ok(Reply::say(rights::only(tx, frame, chat, act, lang)?))
}

/// Where a command was written.
struct Here {
    conversation: Option<Conversation>,
    /// The conversations of the chat in which something is to be done, and the last one: what a command in the stream acts
    /// on. A chat may have thousands of topics.
    chat: Vec<Conversation>,
    is_in_stream: bool,
}

impl Here {
    fn of(tx: &Transaction<'_>, letter: &Letter, scope: Scope) -> Result<Self, LedgerError> {
        Ok(Self {
            conversation: route::existing(tx, &letter.row.channel, &letter.message, scope)?,
            chat: conversations::at_work(tx, &letter.row.channel, &letter.message.chat)?,
            is_in_stream: letter.is_in_stream(),
        })
    }

    fn lang(&self, frame: &Frame) -> Lang {
        self.conversation.as_ref().or(self.chat.first()).map_or(frame.lang, |conversation| conversation.lang)
    }

    /// A conversation of the chat, for what is the same in all of them.
    fn any(&self) -> Option<&Conversation> {
        self.conversation.as_ref().or(self.chat.first())
    }

    fn all(&self) -> Vec<&Conversation> {
        match &self.conversation {
            Some(only) => vec![only],
            None if self.is_in_stream => self.chat.iter().collect(),
            None => Vec::new(),
        }
    }

    fn project(&self, frame: &Frame) -> String {
        self.conversation
            .as_ref()
            .or(self.chat.first())
            .map_or_else(|| say::own_folder(frame.lang), |found| frame.project(&found.directory))
    }
}

fn help(frame: &Frame, letter: &Letter, here: &Here, lang: Lang, topic: Option<&str>) -> Result<Reply, LedgerError> {
    if let Some(topic) = topic {
        let text = crate::words::help_topic(topic, lang)
            .map_or_else(|| say::command(lang, CommandMsg::HelpUnknown { topic }), str::to_owned);
        return Ok(Reply::say(text));
    }
    let view = View::Help(HelpView {
        project: here.project(frame),
        group: letter.message.chat_kind == ChatKind::Group,
        bot_name: frame.bot_name.clone(),
    });
    Ok(Reply { view: Some(view), ..Reply::default() })
}

fn new(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    text: Option<String>,
) -> Result<Reply, LedgerError> {
    let Some(conversation) = &here.conversation else {
        let in_stream = letter.message.chat_kind == ChatKind::Group;
        let msg = if in_stream { CommandMsg::NewGroupStream } else { CommandMsg::NewDone };
        return Ok(Reply { then: text, ..Reply::say(say::command(lang, msg)) });
    };
    let busy = turns::active(tx, &conversation.id)?.is_some();
    let msg = if busy { CommandMsg::NewWaits } else { CommandMsg::NewDone };
    if text.is_some() {
        return Ok(Reply { then: text, fresh: true, ..Reply::say(say::command(lang, msg)) });
    }
    conversations::begin_anew(tx, &conversation.id)?;
    // What was allowed for twelve hours was allowed for what is over now.
    standing::end_hours(tx, &conversation.channel, &conversation.chat, frame.now_ms)?;
    let woken = actions::Performed {
        told: Told::Queued,
        wake: vec![conversation.id.clone()],
        secret: None,
        rerun_intake: false,
        routines: false,
    };
    Ok(Reply { performed: vec![woken], ..Reply::say(say::command(lang, msg)) })
}

fn stop(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    scope: Scope,
    lang: Lang,
    all: bool,
) -> Result<Reply, LedgerError> {
    if all {
        if !letter.person.role.is_owner() {
            return Ok(Reply::say(say::command(
                lang,
                CommandMsg::OwnerOnly { owner: &rights::owner_name(tx, frame)? },
            )));
        }
        let running = turns::all_active(tx)?;
        let mut result = Reply::say(say::command(lang, CommandMsg::StoppedAll { n: running.len() }));
        for turn in running {
            result.performed.push(actions::stop(tx, frame, &turn.id, &letter.person)?);
        }
        return Ok(result);
    }
    let running = running_here(tx, letter, scope)?;
    Ok(match running.as_slice() {
        [] => Reply::nothing(say::command(lang, CommandMsg::NothingRunning)),
        [turn] => Reply { performed: vec![actions::stop(tx, frame, turn, &letter.person)?], ..Reply::default() },
        several => Reply::say(say::command(lang, CommandMsg::StopChoose { n: several.len() })),
    })
}

fn cancel(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    n: Option<u32>,
) -> Result<Reply, LedgerError> {
    let mut queued = Vec::new();
    for conversation in here.all() {
        queued
            .extend(turns::unsettled(tx, &conversation.id)?.into_iter().filter(|turn| turn.state == TurnState::Queued));
    }
    if let Some(n) = n {
        let Some(turn) = queued.get((n as usize).wrapping_sub(1)) else {
            return Ok(Reply::nothing(say::command(lang, CommandMsg::NoSuchRow { n })));
        };
        let performed = actions::cancel(tx, frame, &turn.id, &letter.person)?;
        let text = match &performed.told {
            Told::OnlyThese { names } => say::command(lang, CommandMsg::NotYours { who: names }),
            _ => say::command(lang, CommandMsg::CancelledN { n: 1 }),
        };
        return Ok(Reply { performed: vec![performed], ..Reply::say(text) });
    }
    let mine: Vec<_> = queued.into_iter().filter(|turn| turn.requester == letter.person.user).collect();
    if mine.is_empty() {
        return Ok(Reply::nothing(say::command(lang, CommandMsg::NothingQueued)));
    }
    let mut result = Reply::say(say::command(lang, CommandMsg::CancelledN { n: mine.len() }));
    for turn in mine {
        result.performed.push(actions::cancel(tx, frame, &turn.id, &letter.person)?);
    }
    Ok(result)
}

fn retry(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, here: &Here, lang: Lang) -> Result<Reply, LedgerError> {
    let last = match &here.conversation {
        Some(conversation) => turns::last_settled(tx, &conversation.id)?,
        None => None,
    };
    let unfinished = |turn: &turns::Turn| {
        matches!(turn.state, TurnState::Settled(Outcome::Failed | Outcome::Lost | Outcome::Interrupted))
    };
    // Its words may be forgotten.
    let Some(turn) = last.filter(|turn| unfinished(turn) && !turn.prompt.is_empty()) else {
        return Ok(Reply::nothing(say::command(lang, CommandMsg::NothingToRetry)));
    };
    let chosen_before = said::was_said(tx, &actions::resumed_key(&turn.id))?;
    let may_choose = may(letter.person.role, Act::Requeue { own: turn.requester == letter.person.user });
    if turn.state == TurnState::Settled(Outcome::Lost) && may_choose && !chosen_before {
        return ask_before_retry(tx, frame, letter, &turn, lang);
    }
    let performed = actions::resume(tx, frame, &turn.id, Resume::RunAgain, &letter.person)?;
    if performed.told == Told::Paused {
        return Ok(Reply::say(say::told(lang, &performed.told, frame.now_ms)));
    }
    let text = match &performed.told {
        Told::Queued => CommandMsg::RetryQueued,
        Told::OnlyThese { .. } => CommandMsg::NotYours { who: &turn.requester_name },
        _ => CommandMsg::NothingToRetry,
    };
    Ok(Reply { performed: vec![performed], ..Reply::say(say::command(lang, text)) })
}

/// Nobody knows what a lost turn did, and from the start it may do that twice: the one who wants it says so once more.
fn ask_before_retry(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    turn: &turns::Turn,
    lang: Lang,
) -> Result<Reply, LedgerError> {
    let conversation = conversations::get(tx, &turn.conversation)?;
    let text = say::command(lang, CommandMsg::RetryAsks { title: &turn.title });
    let offered = [
        (ButtonRole::RunAgain, Resume::RunAgain),
        (ButtonRole::Continue, Resume::Continue),
        (ButtonRole::Dismiss, Resume::Dismiss),
    ]
    .map(|(role, how)| (role, Action::Resume { turn: turn.id.clone(), how }));
    // Under this name the choice takes the buttons away, wherever it is made.
    let subject = pictures::failed_subject(&turn.id);
    pictures::notice(tx, frame, &conversation, letter.reply(), &subject, text, &offered)?;
    Ok(Reply::default())
}

fn whoami(frame: &Frame, letter: &Letter, lang: Lang) -> String {
    let owner = frame.access.owner.as_ref().map_or("", UserId::as_str);
    say::command(
        lang,
        match letter.person.role {
            Role::Owner => CommandMsg::WhoamiOwner,
            Role::Admin => CommandMsg::WhoamiAdmin,
            Role::Approver => CommandMsg::WhoamiApprover,
            Role::User => CommandMsg::WhoamiUser,
            Role::Member => CommandMsg::WhoamiMember,
            Role::Stranger | Role::Outsider => CommandMsg::WhoamiStranger { owner },
        },
    )
}

fn steer(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    lang: Lang,
    text: &str,
) -> Result<Reply, LedgerError> {
    if text.trim().is_empty() {
        return Ok(Reply::say(say::command(lang, CommandMsg::SteerEmpty)));
    }
    let running = match &here.conversation {
        Some(conversation) => turns::active(tx, &conversation.id)?.filter(|turn| turn.stop.is_none()),
        None => None,
    };
    let queued = |msg| Reply { then: Some(text.to_owned()), ..Reply::say(say::command(lang, msg)) };
    let Some(running) = running else { return Ok(queued(CommandMsg::SteerQueued)) };
    if !actions::may_steer(&running, letter.person.role) {
        return Ok(queued(CommandMsg::SteerNotIn));
    }
    if !put_steer(tx, frame, &running, letter, text)? {
        return Ok(Reply { keep_row: true, ..Reply::default() });
    }
    let woken = actions::Performed {
        told: Told::Steering,
        wake: vec![running.conversation],
        secret: None,
        rerun_intake: false,
        routines: false,
    };
    Ok(Reply { performed: vec![woken], keep_row: true, ..Reply::default() })
}

fn release(here: &Here, lang: Lang) -> Reply {
    match here.conversation.as_ref().and_then(|conversation| conversation.thread.clone()) {
        Some(thread) => Reply { release: Some(thread), ..Reply::say(say::command(lang, CommandMsg::Released)) },
        None => Reply::say(say::command(lang, CommandMsg::NothingToRelease)),
    }
}

fn set_lang(tx: &Transaction<'_>, letter: &Letter, lang: Lang, wanted: Option<&str>) -> Result<Reply, LedgerError> {
    let direct = letter.message.chat_kind == ChatKind::Direct;
    if !Setting::Language.may_set("", Level::Ask, letter.person.role, direct) {
        let name = crate::words::setting(Setting::Language, lang);
        return Ok(Reply::say(say::command(lang, CommandMsg::SettingNotYours { name })));
    }
    let Some(wanted) = wanted.and_then(Lang::parse) else {
        return Ok(Reply::say(say::command(lang, CommandMsg::LangUsage)));
    };
    conversations::set_lang(tx, &letter.row.channel, &letter.message.chat, wanted)?;
    Ok(Reply::say(say::command(wanted, CommandMsg::LangSet)))
}

/// What the status card shows besides the chat. Gathered before the command's own write, which nobody is to wait for.
struct Health {
    counts: report::Counts,
    channel_ok: bool,
    last_frame_ms: Option<i64>,
    runtime: String,
    runtime_ok: bool,
    warnings: Vec<String>,
}

impl Health {
    async fn of(core: &Core, channel: &ChannelName) -> Result<Self, LedgerError> {
        use super::ports::ChannelState;
        let now_ms = core.now_ms();
        let counts = core.ledger.read(move |tx| report::counts(tx, now_ms)).await?;
        let health = core.channel(channel).map(|channel| channel.health());
        let live = core.host.now();
        Ok(Self {
            counts,
            channel_ok: health.as_ref().is_some_and(|health| health.state == ChannelState::Connected),
            last_frame_ms: health.and_then(|health| health.last_frame_at_ms),
            runtime: say::runtime(core.host.kind(), live.as_ref().map(|live| live.version()).as_deref()),
            runtime_ok: live.is_some(),
            warnings: live.map_or_else(Vec::new, |live| live.warnings()),
        })
    }
}

const DAY_MS: i64 = 86_400_000;

fn status_view(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    here: &Here,
    health: Option<&Health>,
) -> Result<Reply, LedgerError> {
    let Some(health) = health else { return Ok(Reply::default()) };
    let (mut running, mut waiting, mut queued) = (0, 0, 0);
    let counts = &health.counts;
    // The owner sees everything where only he reads; everybody else this chat.
    let owner_here = letter.person.role.is_owner() && letter.message.chat_kind == ChatKind::Direct;
    if owner_here {
        (queued, waiting) = (counts.queued as u32, counts.waiting as u32);
        running = (counts.submitting + counts.running) as u32;
    } else {
        for conversation in &here.chat {
            for turn in turns::unsettled(tx, &conversation.id)? {
                match turn.state {
                    TurnState::Queued => queued += 1,
                    TurnState::Waiting => waiting += 1,
                    _ => running += 1,
                }
            }
        }
    }
    let today = if owner_here {
        counts.settled_last_24h
    } else {
        turns::settled_in(tx, &frame.channel, &letter.message.chat, frame.now_ms - DAY_MS)?
    };
    let undelivered =
        (owner_here && counts.outbox_undeliverable > 0).then_some((counts.outbox_undeliverable as u32, None));
    // They name files of the machine.
    let mut warnings = if owner_here { health.warnings.clone() } else { Vec::new() };
    if frame.access.locked {
        warnings.insert(0, say::notice(here.lang(frame), NoticeMsg::LockedByOwner));
    }
    let view = View::Status(StatusView {
        project: here.project(frame),
        running,
        waiting,
        queued,
        channel_ok: health.channel_ok,
        last_frame_ms: health.last_frame_ms,
        runtime: health.runtime.clone(),
        runtime_ok: health.runtime_ok,
        warnings,
        undelivered,
        today: today as u32,
    });
    Ok(Reply { view: Some(view), ..Reply::default() })
}
