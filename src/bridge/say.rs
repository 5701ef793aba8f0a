//! Which of [`crate::words`]' sentences the bridge says when. Nothing is worded here.

use chrono_tz::Tz;

use crate::bridge::actions::Told;
use crate::bridge::ports::LaunchError;
use crate::domain::delivery::{Body, Obstacle};
use crate::domain::gate::{Ask, Question};
use crate::domain::history::{ChangedFile, Failure, FailureKind};
use crate::domain::risk::Class;
use crate::domain::schedule;
use crate::domain::view::{ButtonRole, GateShown, GateView, GatesView, Lang, Toast, View};
use crate::ledger::audit::{About, Line};
use crate::ledger::routines::{Run, RunOutcome};
use crate::ledger::rules::Rule;
use crate::words::{
    self, At, CardMsg, CommandMsg, FailureContext, Launch, NoticeMsg, RightsMsg, RoutineMsg, ToastMsg, Zone,
};

/// The runtime as people call it, with its version where it is known.
pub fn runtime(kind: &str, version: Option<&str>) -> String {
    let name = if kind == "codex" { "Codex" } else { kind };
    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
}

/// Most characters of a program's own words.
const DETAIL: usize = 300;
/// Most characters of a request that is said without its card.
const ASKED: usize = 3_000;

/// The machine's own zone. Formatting a given instant is not reading the clock.
fn zone(at_ms: i64) -> Zone {
    use chrono::{Local, Offset, TimeZone};
    let offset = Local.timestamp_millis_opt(at_ms).single().map_or(0, |at| at.offset().fix().local_minus_utc());
    Zone(offset / 60)
}

pub fn at(ms: i64, now_ms: i64) -> At {
    At::new(ms, zone(ms), now_ms)
}

/// A conversation that began without words.
pub fn untitled(lang: Lang) -> String {
    CommandMsg::ThreadsUntitled.text(lang)
}

/// A row of the conversations.
pub fn thread_row(n: usize, title: &str, at_ms: i64, now_ms: i64) -> String {
    format!("{n}. {title} · {}", at(at_ms, now_ms))
}

/// A day as it is written in a list.
pub fn day(ms: i64) -> String {
    use chrono::{Local, TimeZone};
    Local.timestamp_millis_opt(ms).single().map_or_else(String::new, |at| at.format("%m-%d").to_string())
}

pub fn toast(told: &Told, now_ms: i64) -> Toast {
    words::toast(match told {
        Told::Recorded => ToastMsg::Recorded,
        Told::Stopping => ToastMsg::StopRecorded,
        Told::Cancelled => ToastMsg::Cancelled,
        Told::Steering => ToastMsg::SteerRecorded,
        Told::Queued => ToastMsg::Queued,
        Told::Dismissed => ToastMsg::Dismissed,
        Told::KeepWaiting => ToastMsg::KeepsWaiting,
        Told::Saved => ToastMsg::Saved,
        Told::SavedPartly => ToastMsg::SavedPartly,
        Told::NoChange => ToastMsg::NoChange,
        Told::OnlyThese { names } if names.is_empty() => ToastMsg::NotAllowed,
        Told::OnlyThese { names } => ToastMsg::OnlyCanDecide { names },
        Told::AlreadyDecided { who, at_ms } => ToastMsg::AlreadyDecided { who, at: at(*at_ms, now_ms) },
        Told::Partly { n, names } => ToastMsg::Partly { n: *n, names },
        Told::ListChanged { n } => ToastMsg::ListChanged { n: *n },
        Told::NoLongerValid => ToastMsg::AlreadyDone,
        Told::RestartedSince => ToastMsg::NoLongerValid,
        Told::Unknown => ToastMsg::Unknown,
        Told::AnswerMissing => ToastMsg::AnswerMissing,
        Told::Paused => ToastMsg::Paused,
        Told::CameBack => ToastMsg::CameBack,
        Told::RuleRevoked => ToastMsg::RuleRevoked,
        Told::NothingRunning => ToastMsg::Over,
        Told::TakenUp => ToastMsg::TakenUp,
        Told::StillWorking => ToastMsg::StillWorking,
    })
}

/// The same in a chat, for what was typed.
pub fn told(lang: Lang, told: &Told, now_ms: i64) -> String {
    let toast = toast(told, now_ms);
    match lang {
        Lang::Zh => toast.zh,
        Lang::En => toast.en,
    }
}

pub fn notice(lang: Lang, msg: NoticeMsg<'_>) -> String {
    msg.text(lang)
}

pub fn command(lang: Lang, msg: CommandMsg<'_>) -> String {
    msg.text(lang)
}

pub fn rights(lang: Lang, msg: RightsMsg<'_>) -> String {
    msg.text(lang)
}

/// A rule in two lines: what it covers, and how long and how often.
pub fn rule(lang: Lang, rule: &Rule, directory: &str, now_ms: i64) -> String {
    let covers = &rule.covers;
    let what = words::covers(&covers.subject, directory, covers.sandboxed, lang);
    let class = words::risk(covers.class, lang);
    let until = match rule.expires_at_ms {
        Some(ms) => RightsMsg::RuleUntil { at: at(ms, now_ms) },
        None => RightsMsg::RuleUntilTask,
    };
    let used = match rule.last_used_ms {
        Some(ms) => RightsMsg::RuleUsed { n: rule.uses, at: at(ms, now_ms) },
        None => RightsMsg::RuleUnused,
    };
    let who = RightsMsg::RuleMadeBy { who: &rule.made_name };
    let rest = [until, used, who].map(|msg| msg.text(lang)).join(" · ");
    format!("R{} · {what} · {class}\n{rest}", rule.number)
}

/// A row of the audit: when, who, what, about what.
pub fn audit_line(lang: Lang, line: &Line, chat: Option<&str>, now_ms: i64) -> String {
    let who = match (words::audit_who(&line.who, lang), &line.name) {
        (Some(who), _) => who,
        (None, Some(name)) => name,
        // No ids of people in a chat.
        (None, None) => words::audit_somebody(lang),
    };
    let about = match &line.about {
        About::Gate { number, ask } => format!("#{number} {}", super::pictures::cut(&asked_line(ask), 60)),
        About::Turn { title } => title.clone(),
        About::Person { name } => name.clone(),
        About::Other if line.subject.starts_with('R') => line.subject.clone(),
        About::Other => String::new(),
    };
    let at = at(line.at_ms, now_ms).to_string();
    let what = words::audit(&line.what, &super::pictures::cut(&line.detail, 60), lang);
    let parts = [at.as_str(), who, &what, &about, chat.unwrap_or_default()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// What is asked, in a line.
pub fn asked_line(ask: &Ask) -> String {
    crate::domain::plain::in_one_line(&asked(ask))
}

pub fn class_or_question(lang: Lang, ask: &Ask, class: Class) -> String {
    if ask.is_question() { RightsMsg::AQuestion.text(lang) } else { words::risk(class, lang).to_owned() }
}

pub fn rule_revoked(lang: Lang, who: &str, now_ms: i64) -> String {
    RightsMsg::RuleRevokedBy { who, at: at(now_ms, now_ms) }.text(lang)
}

/// Who has claimed the bot is greeted in the same message.
pub fn paired(lang: Lang, directory: &str) -> String {
    format!("{}\n{}", NoticeMsg::PairingDone.text(lang), greeting(lang, directory))
}

/// The first words to the owner.
pub fn greeting(lang: Lang, directory: &str) -> String {
    NoticeMsg::Greeting { directory }.text(lang)
}

pub fn pairing_wrong(lang: Lang, left: u32) -> String {
    NoticeMsg::PairingWrong { left }.text(lang)
}

pub fn stranger(lang: Lang, owner: &str, group: bool) -> String {
    if owner.is_empty() {
        return NoticeMsg::Unclaimed.text(lang);
    }
    if group { CardMsg::StrangerGroup { owner }.text(lang) } else { CardMsg::StrangerDirect { owner }.text(lang) }
}

/// A working directory that is bound to no project.
pub fn own_folder(lang: Lang) -> String {
    NoticeMsg::OwnFolder.text(lang)
}

pub fn no_text(lang: Lang, changed: &[ChangedFile]) -> String {
    let text = NoticeMsg::NoText.text(lang);
    if changed.is_empty() { text } else { format!("{text}\n{}", files_changed(lang, changed)) }
}

/// A thread was compacted; `said` is what the runtime says of it.
pub fn compacted(lang: Lang, said: Option<&str>, runs_on: bool) -> String {
    let text = if runs_on { NoticeMsg::CompactedRunsOn } else { NoticeMsg::Compacted }.text(lang);
    said.map_or_else(|| text.clone(), |said| format!("{text}\n{said}"))
}

pub fn files_changed(lang: Lang, changed: &[ChangedFile]) -> String {
    let mut paths: Vec<&str> = changed.iter().map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    let (added, removed) = changed.iter().fold((0, 0), |(a, r), file| (a + file.added, r + file.removed));
    match paths.len() {
        1 => NoticeMsg::OneFileChanged { added, removed }.text(lang),
        files => NoticeMsg::FilesChanged { files, added, removed }.text(lang),
    }
}

/// One plain line for the chat, and the remedy for the owner; the raw words of the runtime stay on the computer.
pub fn failure(lang: Lang, failure: Option<&Failure>, context: FailureContext<'_>) -> words::Told {
    let kind = failure.map_or(FailureKind::Other, |failure| failure.kind);
    words::failure(kind, context, lang)
}

/// Why the runtime does not come up. The owner is told the program's own words, too.
pub fn runtime_trouble(lang: Lang, problem: &LaunchError) -> words::Told {
    words::launch_failure(kind_of(problem), &super::pictures::cut(&problem.to_string(), DETAIL), lang)
}

fn kind_of(problem: &LaunchError) -> Launch {
    match problem {
        LaunchError::NotFound { .. } => Launch::Missing,
        LaunchError::WrongVersion { .. } => Launch::WrongVersion,
        LaunchError::BadConfig { .. } => Launch::BadConfig,
        LaunchError::Failed { .. } => Launch::Failed,
    }
}

/// The same for whoever looks on the computer.
pub fn launch_in_status(lang: Lang, problem: &LaunchError) -> String {
    let detail = match problem {
        LaunchError::NotFound { looked, hint } => format!("{looked}; {hint}"),
        LaunchError::WrongVersion { found, wanted } => format!("{found}, wanted {wanted}"),
        LaunchError::BadConfig { detail } | LaunchError::Failed { detail } => detail.clone(),
    };
    words::launch_in_status(kind_of(problem), &detail, lang)
}

pub fn runtime_stuck(lang: Lang) -> words::Told {
    words::launch_failure(Launch::Failed, "", lang)
}

pub fn history_gone(lang: Lang) -> String {
    NoticeMsg::LostHistoryGone.text(lang)
}

pub fn elsewhere(lang: Lang) -> String {
    NoticeMsg::Elsewhere.text(lang)
}

pub fn unreachable(lang: Lang, since_ms: i64, now_ms: i64) -> String {
    NoticeMsg::ModelUnreachable { at: at(since_ms, now_ms) }.text(lang)
}

/// Under an answer of a conversation that rested for long.
pub fn continues(lang: Lang, last_ms: i64, now_ms: i64) -> String {
    NoticeMsg::Continues { at: at(last_ms, now_ms) }.text(lang)
}

/// The answer stays on the computer: the platform took none of its forms.
pub fn answer_refused(lang: Lang, code: Option<i64>, turn: &str) -> String {
    match code {
        Some(code) => NoticeMsg::AnswerRefused { code, turn }.text(lang),
        None => NoticeMsg::AnswerTooHard { turn }.text(lang),
    }
}

/// A file that stays on the computer, and the right that is missing where it is one.
pub fn file_left(lang: Lang, turn: &str, right: Option<&str>) -> words::Told {
    let owner = right.map(|scope| NoticeMsg::ScopeMissing { scope }.text(lang));
    words::Told { chat: NoticeMsg::FileLeft { turn }.text(lang), owner }
}

pub fn silent(lang: Lang, minutes: i64, in_tool: bool) -> String {
    let minutes = u32::try_from(minutes).unwrap_or(u32::MAX);
    if in_tool {
        NoticeMsg::WatchdogTool { minutes }.text(lang)
    } else {
        NoticeMsg::WatchdogIdle { minutes }.text(lang)
    }
}

pub fn undeliverable(lang: Lang, chat: &str, obstacle: Obstacle, turn: &str) -> String {
    let reason = match obstacle {
        Obstacle::Left => NoticeMsg::UndeliverableLeft,
        Obstacle::Forbidden => NoticeMsg::UndeliverableBlocked,
        Obstacle::Refused { code } => NoticeMsg::UndeliverableRefused { code },
        Obstacle::Here => NoticeMsg::UndeliverableHere,
    };
    NoticeMsg::Undeliverable { chat, reason: &reason.text(lang), turn }.text(lang)
}

/// For a row that could not be made into anything after many tries.
pub fn not_prepared(lang: Lang) -> String {
    NoticeMsg::NotPrepared.text(lang)
}

/// The way on that somebody chose.
pub fn chosen(lang: Lang, role: &ButtonRole, who: &str) -> String {
    CardMsg::Chosen { who, what: words::button(role, lang) }.text(lang)
}

/// What a card says, as a message, where the card itself is refused. `None` for pictures that nobody misses.
pub fn instead_of_card(view: &View, lang: Lang) -> Option<Body> {
    let text = match view {
        View::Gate(gate) => return gate.state.is_open().then(|| the_ask(gate, lang)),
        View::Gates(gates) => return the_asks(gates, lang),
        View::Interrupted(lost) if lost.chosen.is_some() => return None,
        View::Interrupted(lost) if lost.shutdown => NoticeMsg::ShutdownCut.text(lang),
        View::Interrupted(lost) if lost.history_gone => NoticeMsg::LostHistoryGone.text(lang),
        View::Interrupted(lost) if lost.commands_ended => NoticeMsg::LostCommandsEnded.text(lang),
        View::Interrupted(_) => NoticeMsg::LostMayRunOn.text(lang),
        View::Notice(notice) => notice.text.clone(),
        View::List(list) => list.text(),
        _ => return None,
    };
    Some(Body::Notice { text })
}

pub fn near_miss(lang: Lang, number: i64, waits: bool) -> String {
    match waits {
        true => NoticeMsg::NearMiss { number }.text(lang),
        false => NoticeMsg::NearMissElsewhere { number }.text(lang),
    }
}

/// Stands for a name where nobody has the right.
pub fn another_approver(lang: Lang) -> String {
    NoticeMsg::AnotherApprover.text(lang)
}

/// A card whose request stands on a new one.
pub fn card_moved(lang: Lang) -> String {
    NoticeMsg::CardMoved.text(lang)
}

/// What was allowed goes on when another task has left the directory.
pub fn waits_for_directory(lang: Lang) -> String {
    NoticeMsg::WaitsForDirectory.text(lang)
}

/// An answer that was in memory only went with the bridge.
pub fn secret_again(lang: Lang, number: i64) -> String {
    NoticeMsg::SecretAgain { number }.text(lang)
}

/// Once, for all that waits in a chat.
pub fn reminder(lang: Lang, numbers: &str, names: &str, since_ms: i64, now_ms: i64) -> String {
    NoticeMsg::GateReminder { numbers, names, at: at(since_ms, now_ms) }.text(lang)
}

/// That a request waits which could be shown in no form. It cannot be answered by what is typed, for nobody has seen it.
pub fn waits_unseen(view: &View, lang: Lang, now_ms: i64) -> Option<String> {
    let (numbers, names) = match view {
        View::Gate(gate) => (format!("#{}", gate.number), &gate.deciders),
        View::Gates(gates) => (numbers_of(gates), &gates.deciders),
        _ => return None,
    };
    Some(NoticeMsg::GateReminder { numbers: &numbers, names, at: at(now_ms, now_ms) }.text(lang))
}

fn numbers_of(gates: &GatesView) -> String {
    let open = gates.rows.iter().filter(|row| row.state.is_open());
    open.map(|row| format!("#{}", row.number)).collect::<Vec<_>>().join(" ")
}

/// Several requests in full.
fn the_asks(gates: &GatesView, lang: Lang) -> Option<Body> {
    let GatesView { requester, project, deciders, .. } = gates;
    let open: Vec<_> = gates.rows.iter().filter(|row| row.state.is_open()).collect();
    let first = open.first()?;
    let mut lines = vec![
        CardMsg::GatesTitle { n: open.len() + gates.more }.text(lang),
        CardMsg::GateWho { who: requester, project, deciders }.text(lang),
    ];
    for row in &open {
        lines.push(format!("#{} · {}", row.number, words::risk(row.risk.class, lang)));
        let asked = asked(&row.ask);
        let shown = super::pictures::cut(&asked, ASKED / open.len());
        lines.push(super::render::fenced(&shown));
        if shown != asked {
            lines.push(CardMsg::Cut { shown: ASKED / open.len(), total: asked.chars().count() }.text(lang));
        }
        lines.extend(place(&row.ask, lang));
    }
    let (bot, number) = (gates.bot_name.as_str(), first.number);
    lines.push(match gates.direct {
        true => NoticeMsg::GatesAnswerDirect { number }.text(lang),
        false => NoticeMsg::GateAnswerGroup { bot, number }.text(lang),
    });
    Some(Body::Answer {
        markdown: lines.join("\n\n"),
        part: 1,
        parts: 1,
        footer: None,
        mention: gates.mention.first().cloned(),
    })
}

/// A request in full, and how it is answered without buttons. As the agent's words: a notice drops marks that a command
/// may hold.
fn the_ask(gate: &GateView, lang: Lang) -> Body {
    let GateView { number, requester, project, deciders, .. } = gate;
    let title = match gate.ask.is_question() {
        true => CardMsg::QuestionTitle { number: *number },
        false => CardMsg::GateTitle { number: *number },
    };
    let mut lines = vec![title.text(lang), CardMsg::GateWho { who: requester, project, deciders }.text(lang)];
    let asked = asked(&gate.ask);
    let shown = super::pictures::cut(&asked, ASKED);
    lines.push(super::render::fenced(&shown));
    if shown != asked {
        lines.push(CardMsg::Cut { shown: ASKED, total: asked.chars().count() }.text(lang));
    }
    lines.extend(place(&gate.ask, lang));
    if let Some(risk) = &gate.risk {
        lines.push(words::risk_why(risk.class, lang).to_owned());
    }
    if let GateShown::OpenAgain { who, at_ms } = &gate.state {
        lines.push(CardMsg::GateOpenAgain { who, at: at(*at_ms, *at_ms) }.text(lang));
    }
    if let Ask::Questions { questions } = &gate.ask
        && questions.iter().any(|question| question.secret)
    {
        lines.push(CardMsg::SecretNote { number: gate.number }.text(lang));
    }
    lines.push(how_to_answer(gate, lang));
    Body::Answer {
        markdown: lines.join("\n\n"),
        part: 1,
        parts: 1,
        footer: None,
        mention: gate.mention.first().cloned(),
    }
}

fn asked(ask: &Ask) -> String {
    match ask {
        Ask::Command { command, wanted, .. } => {
            std::iter::once(command).chain(wanted).cloned().collect::<Vec<_>>().join("\n")
        }
        Ask::FileChange { changes, .. } => {
            changes.iter().map(|change| format!("{} {}", change.kind, change.path)).collect::<Vec<_>>().join("\n")
        }
        Ask::Permissions { wanted, .. } => wanted.join("\n"),
        Ask::Tool { server, tool, detail } => format!("{server} · {tool}\n{detail}"),
        Ask::Questions { questions } => questions.iter().map(question).collect::<Vec<_>>().join("\n\n"),
    }
}

fn question(question: &Question) -> String {
    let options = question.options.iter().enumerate().map(|(n, option)| {
        let said = !option.description.is_empty() && option.description != option.label;
        let why = if said { format!(" — {}", option.description) } else { String::new() };
        format!("{} {}{why}", n + 1, option.label)
    });
    std::iter::once(question.text.clone()).chain(options).collect::<Vec<_>>().join("\n")
}

fn place(ask: &Ask, lang: Lang) -> Option<String> {
    let (directory, outside, network) = match ask {
        Ask::Command { directory, outside_sandbox, unsure, network, .. } => {
            (directory, *outside_sandbox || *unsure, *network)
        }
        Ask::FileChange { directory, .. } | Ask::Permissions { directory, .. } => (directory, false, false),
        Ask::Tool { .. } | Ask::Questions { .. } => return None,
    };
    let mut parts = vec![CardMsg::Where { directory }.text(lang)];
    parts.extend(outside.then(|| crate::words::card::sandbox(ask, false).text(lang)));
    parts.extend(network.then(|| CardMsg::UsesNetwork.text(lang)));
    Some(parts.join(" · "))
}

fn how_to_answer(gate: &GateView, lang: Lang) -> String {
    let (number, bot) = (gate.number, gate.bot_name.as_str());
    match (&gate.ask, gate.direct) {
        (Ask::Questions { questions }, _) if questions.len() != 1 => NoticeMsg::QuestionsNeedCard.text(lang),
        (Ask::Questions { .. }, true) => CardMsg::QuestionHint { number }.text(lang),
        (Ask::Questions { .. }, false) => NoticeMsg::QuestionAnswerGroup { bot }.text(lang),
        (_, true) => NoticeMsg::GateAnswerDirect.text(lang),
        (_, false) => NoticeMsg::GateAnswerGroup { bot, number }.text(lang),
    }
}

/// Marks a body that may be in the chat already.
pub fn may_be_repeat(lang: Lang, body: Body) -> Body {
    let mark = NoticeMsg::MayBeRepeat.text(lang);
    match body {
        // Once is enough, however often its fate was unknown.
        Body::Answer { ref markdown, .. } if markdown.starts_with(&mark) => body,
        Body::Notice { ref text } if text.starts_with(&mark) => body,
        Body::Answer { markdown, part, parts, footer, mention } => {
            Body::Answer { markdown: format!("{mark}\n\n{markdown}"), part, parts, footer, mention }
        }
        Body::Notice { text } => Body::Notice { text: format!("{mark} {text}") },
        file @ (Body::File { .. } | Body::Image { .. }) => file,
    }
}

/// Who had it run, as people read it.
fn by_hand(lang: Lang, who: &str) -> &str {
    if who == "computer" { words::owner_at_computer(lang) } else { who }
}

/// Under the answer of a run, so that whoever reads it knows where it comes from.
pub fn routine_footer(lang: Lang, run: &Run, now_ms: i64) -> String {
    let (name, due) = (run.routine.as_str(), at(run.due_ms, now_ms));
    match run.started_by.as_deref().map(|who| by_hand(lang, who)) {
        Some(who) => RoutineMsg::ByHand { name, who },
        None if run.late => RoutineMsg::Late { name, due },
        None => RoutineMsg::OnTime { name, due },
    }
    .text(lang)
}

/// What became of a run, with the routine's name before it.
pub fn routine_says(lang: Lang, name: &str, text: &str) -> String {
    RoutineMsg::Says { name, text }.text(lang)
}

pub fn routine_too_long(lang: Lang, name: &str) -> String {
    RoutineMsg::TooLong { name }.text(lang)
}

/// To the owner.
pub fn routine_fails(lang: Lang, name: &str, times: u32) -> String {
    RoutineMsg::Fails { name, times }.text(lang)
}

/// To the owner: it is paused, because the one whose it is may not talk to ally any more.
pub fn routine_has_nobody(lang: Lang, name: &str, who: &str) -> String {
    RoutineMsg::HasNobody { name, who }.text(lang)
}

/// A due time by the clock of its zone.
pub fn due(at_ms: i64, zone: Tz, lang: Lang) -> String {
    schedule::shown(zone, at_ms).map_or_else(|| "--:--".to_owned(), |at| words::due(at, lang))
}

/// A run in a line.
pub fn run_line(lang: Lang, run: &Run, now_ms: i64) -> String {
    let state = run.outcome.map_or(run.state.as_str(), RunOutcome::as_str);
    let mut line = format!("{} {}", at(run.due_ms, now_ms), words::run_state(state, lang));
    if run.count > 1 {
        line.push_str(&format!(" ×{}", run.count));
    }
    if let Some(detail) = run.detail.as_deref().filter(|detail| !detail.is_empty()) {
        line.push_str(&format!(" · {}", super::pictures::cut(detail, 80)));
    }
    line
}
