//! `ally status`: what the daemon says, or what is found without it.

use std::process::ExitCode;
use std::time::Duration;

use anstyle::AnsiColor;

use super::Context;
use super::error::{CliError, Code};
use super::output::{self, age, paint};
use crate::clock::Clock;
use crate::config::Paths;
use crate::control::{Client, ClientError, CrashReport, DaemonState, StatusReport};
use crate::ledger;
use crate::supervisor::{self, Presence};

/// A daemon that works answers at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// A start that takes longer has gone wrong.
const SLOW_START: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print numbers for a monitoring system (OpenMetrics text)
    #[arg(long, conflicts_with = "json")]
    metrics: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let paths = context.paths()?;
    if args.metrics {
        output::raw(context.client()?.text("/v1/metrics").await?.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    // The daemon tells this itself.
    let mut claimed = None;
    let mut status = match ask(&paths).await {
        Ok(mut status) => {
            status.warnings.extend(supervisor::CrashLoop::read(&paths).map(|found| crashed_before(context, &found)));
            status
        }
        Err(error) => {
            let (status, known) = offline(context, &paths, error);
            claimed = Some(known);
            status
        }
    };
    match crate::config::load(&context.environment) {
        Ok(config) => {
            if claimed.is_some() {
                tell_routines(context, &paths, config.zone, &mut status);
            }
            status.warnings.extend(claimed.and_then(|claimed| config.unclaimed(claimed)));
            let fresh: Vec<String> =
                config.warnings.into_iter().filter(|warning| !status.warnings.contains(warning)).collect();
            status.warnings.extend(fresh);
        }
        Err(problems) => status.warnings.push(problems.to_string()),
    }
    if args.json {
        output::json(&status)?;
    } else {
        show(context, &status)?;
    }
    Ok(match status.state {
        DaemonState::Stopped => ExitCode::from(Code::NotRunning as u8),
        DaemonState::Failing | DaemonState::Silent => ExitCode::from(Code::Unwell as u8),
        DaemonState::Starting | DaemonState::Running | DaemonState::Draining => ExitCode::SUCCESS,
    })
}

/// What the daemon says of itself. A healthy one answers at once.
pub(super) async fn ask(paths: &Paths) -> Result<StatusReport, ClientError> {
    let asked = async { Client::connect(paths)?.get("/v1/status").await };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::Lost(format!("nothing came within {} s", PATIENCE.as_secs()))),
    }
}

/// What a daemon that gave no status is doing, as far as its processes tell; with its supervisor, and what is wrong.
pub(super) fn without_answer(
    context: &Context,
    paths: &Paths,
    error: &ClientError,
) -> (DaemonState, Option<u32>, Option<String>) {
    let (log, crashes) = (paths.logs.display(), supervisor::Crashes::read(paths));
    let looping = supervisor::CrashLoop::read(paths).filter(|_| crashes.is_some());
    let died = looping.map(|found| keeps_crashing(context, paths, &found)).or_else(|| {
        crashes.map(|crashes| {
            let (count, last) = (crashes.count, crashes.last_exit);
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            context.say(
            &format!("它退出了 {count} 次，没有能开始工作（最后一次：{last}）。原因在 {log} 里：运行 `ally logs`"),
            &format!(
                "it died {times} before it took work (the last time: {last}). The cause is in {log}: run `ally logs`"
            ),
        )
        })
    });
    let pid = match supervisor::presence(paths) {
        Presence::Running { pid } => pid,
        Presence::Stopped => return (DaemonState::Stopped, None, died),
    };
    let silent = |what: String| {
        context.say(
            &format!("它在运行，但没有回答（{what}）。运行 `ally restart`；原因在 {log} 里：`ally logs`"),
            &format!("it runs and does not answer ({what}). Run `ally restart`; the cause is in {log}: `ally logs`"),
        )
    };
    match (error, died) {
        (ClientError::NotRunning, Some(died)) => (DaemonState::Failing, pid, Some(died)),
        (ClientError::NotRunning, None) => match starting_for(paths) {
            Some(long) if long > SLOW_START => {
                let what = context.say("还没有就绪", "not ready yet");
                (DaemonState::Silent, pid, Some(silent(format!("{what}, {} s", long.as_secs()))))
            }
            _ => (DaemonState::Starting, pid, None),
        },
        (error, _) => (DaemonState::Silent, pid, Some(silent(error.to_string()))),
    }
}

/// It rests between two tries.
fn keeps_crashing(context: &Context, paths: &Paths, found: &supervisor::CrashLoop) -> String {
    let supervisor::CrashLoop { deaths, from_ms, to_ms, last_exit, next_ms } = found;
    let [from, to, next] = [from_ms, to_ms, next_ms].map(|at| output::time(*at));
    let log = paths.logs.display();
    context.say(
        &format!(
            "它在 {from} 到 {to} 之间崩溃了 {deaths} 次（最后一次：{last_exit}），先歇一会儿，{next} 再试；`ally restart` 马上再试。原因在 {log} 里：运行 `ally logs`"
        ),
        &format!(
            "it crashed {deaths} times between {from} and {to} (the last time: {last_exit}) and rests until {next}; `ally restart` tries at once. The cause is in {log}: run `ally logs`"
        ),
    )
}

/// It works, and has not lived for long since.
fn crashed_before(context: &Context, found: &supervisor::CrashLoop) -> String {
    let supervisor::CrashLoop { deaths, from_ms, to_ms, last_exit, .. } = found;
    let [from, to] = [from_ms, to_ms].map(|at| output::time(*at));
    context.say(
        &format!("它在 {from} 到 {to} 之间崩溃了 {deaths} 次（最后一次：{last_exit}），刚刚恢复。原因：运行 `ally logs`"),
        &format!(
            "it crashed {deaths} times between {from} and {to} (the last time: {last_exit}) and works again only just now. For the cause run `ally logs`"
        ),
    )
}

/// Since when the present bridge exists.
fn starting_for(paths: &Paths) -> Option<Duration> {
    let began = std::fs::metadata(paths.bridge_pid()).ok()?.modified().ok()?;
    let began = began.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(Clock::default().now_ms()).ok()?);
    now.checked_sub(began)
}

/// What can be told without the daemon: its lock and its ledger, read-only; and whether the bot has an owner in there.
fn offline(context: &Context, paths: &Paths, error: ClientError) -> (StatusReport, bool) {
    let (state, pid, trouble) = without_answer(context, paths, &error);
    let mut status = StatusReport::empty(paths.home.display().to_string(), state);
    status.pids.supervisor = pid;
    status.warnings.extend(trouble);
    status.crashes = crashes(paths);
    let now = Clock::default().now_ms();
    let mut claimed = false;
    match ledger::report::offline(&paths.ledger, |tx| ledger::report::counts(tx, now)) {
        Ok(Some(counts)) => {
            claimed = counts.claimed;
            status.warnings.extend(counts.restored.map(|held| crate::app::restored_warning(held, context.lang)));
            crate::app::tell_counts(&mut status, &paths.ledger.display().to_string(), &counts);
        }
        Ok(None) => {}
        Err(error) => status.warnings.push(unreadable(context, paths, error.as_ref())),
    }
    (status, claimed)
}

/// How often the bridge died since it last took work, as its supervisor wrote it down.
pub(super) fn crashes(paths: &Paths) -> Option<CrashReport> {
    let looping = supervisor::CrashLoop::read(paths);
    supervisor::Crashes::read(paths).map(|crashes| CrashReport {
        count: looping.as_ref().map_or(crashes.count, |found| found.deaths),
        last_exit: crashes.last_exit,
        at_ms: crashes.at_ms,
        next_try_ms: looping.map(|found| found.next_ms),
    })
}

/// When the next routine would be due: as the daemon tells it, from its ledger.
fn tell_routines(context: &Context, paths: &Paths, zone: chrono_tz::Tz, status: &mut StatusReport) {
    let told = crate::app::RoutinesTold {
        zone,
        lang: context.lang,
        now_ms: Clock::default().now_ms(),
        problems: Default::default(),
    };
    // A ledger that cannot be read is told of already.
    if let Ok(Some(routines)) = ledger::report::offline(&paths.ledger, |tx| told.all(tx)) {
        crate::app::tell_routines(status, &routines, context.lang);
    }
}

/// Why the ledger cannot be read, and what to do where that is known.
fn unreadable(context: &Context, paths: &Paths, error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let ledger = paths.ledger.display();
    let Some(open @ ledger::OpenError::Corrupt { detail, .. }) = error.downcast_ref::<ledger::OpenError>() else {
        return format!("{ledger}: {error}");
    };
    let (zh, en) = open.hint();
    context.say(
        &format!("账本 {ledger} 损坏了（{detail}）。{zh}"),
        &format!("The ledger {ledger} is damaged ({detail}): {en}"),
    )
}

fn show(context: &Context, status: &StatusReport) -> Result<(), CliError> {
    let say = |zh: &str, en: &str| context.say(zh, en);
    let word = word(context, status.state.as_str());
    let state = match status.state {
        DaemonState::Running => paint(AnsiColor::Green, &word),
        DaemonState::Stopped | DaemonState::Failing | DaemonState::Silent => paint(AnsiColor::Red, &word),
        _ => paint(AnsiColor::Yellow, &word),
    };
    let pids = &status.pids;
    let pid = |name: &str, pid: Option<u32>| pid.map(|pid| format!("{name} {pid}"));
    let pids: Vec<String> =
        [pid("supervisor", pids.supervisor), pid("bridge", pids.bridge), pid("runtime", pids.runtime)]
            .into_iter()
            .flatten()
            .collect();
    let pids = if pids.is_empty() { String::new() } else { format!("  ({})", pids.join(", ")) };
    let now = Clock::default().now_ms();
    let since = |at: Option<i64>| {
        let age = at.map(|at| age((now - at).max(0)));
        age.map_or_else(String::new, |age| say(&format!("，已 {age}"), &format!(", for {age}")))
    };
    field("ally", &format!("{state}  {}{pids}{}", status.version, since(status.since_ms)))?;
    field(&say("目录", "home"), &status.home)?;
    for channel in &status.channels {
        let frame = channel.last_frame_age_ms.map(|ms| {
            let age = age(ms);
            say(&format!("，最后消息 {age} 前"), &format!(", last frame {age} ago"))
        });
        field(&channel.name, &format!("{}{}", self::word(context, &channel.state), frame.unwrap_or_default()))?;
        problem(channel.problem.as_deref())?;
    }
    if let Some(runtime) = &status.runtime {
        let version = runtime.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        let generation = runtime.generation.map(|n| say(&format!("，第 {n} 个进程"), &format!(", generation {n}")));
        let state = self::word(context, &runtime.state);
        let since = since(runtime.since_ms);
        let text = format!("{}{version} {state}{}{since}", runtime.kind, generation.unwrap_or_default());
        field(&say("运行时", "runtime"), &text)?;
        problem(runtime.problem.as_deref())?;
        for warning in &runtime.warnings {
            problem(Some(warning))?;
        }
    }
    if status.locked {
        let paused = say("已由所有者暂停；`ally unlock` 继续", "paused by the owner; `ally unlock` lets it go on");
        field(&say("暂停", "paused"), &paint(AnsiColor::Red, &paused))?;
    }
    show_work(context, status)?;
    for warning in &status.warnings {
        output::line(&paint(AnsiColor::Yellow, &format!("! {warning}")))?;
    }
    if status.state == DaemonState::Stopped {
        output::note(&say("hint: 运行 `ally start`", "hint: run `ally start`"));
    }
    Ok(())
}

/// A state's word; the JSON keeps the English one.
fn word(context: &Context, state: &str) -> String {
    let zh = match state {
        "starting" => "正在启动",
        "running" => "运行中",
        "draining" => "正在停止",
        "stopped" => "已停止",
        "failing" => "反复退出",
        "silent" => "没有回应",
        "connecting" => "正在连接",
        "connected" => "已连接",
        "retrying" => "正在重连",
        "refused" => "被拒绝",
        "ready" => "就绪",
        "down" => "不可用",
        "stuck" => "卡住",
        other => other,
    };
    context.say(zh, state)
}

fn show_work(context: &Context, status: &StatusReport) -> Result<(), CliError> {
    let say = |zh: String, en: String| context.say(&zh, &en);
    let turns = &status.turns;
    let (running, waiting, queued, ended) =
        (turns.running + turns.submitting, turns.waiting, turns.queued, turns.settled_last_24h);
    let late = match turns.late_waiting {
        0 => String::new(),
        n => say(format!("，{n} 条旧消息等人确认"), format!(", {n} late messages ask first")),
    };
    field(
        &context.say("任务", "tasks"),
        &say(
            format!("进行中 {running}，等人 {waiting}，排队 {queued}，24 小时内结束 {ended}{late}"),
            format!(
                "{running} running, {waiting} waiting for a person, {queued} queued, {ended} ended in the last 24 h{late}"
            ),
        ),
    )?;
    if status.gates_open > 0 {
        let open = status.gates_open;
        field(&context.say("批准请求", "requests"), &say(format!("{open} 项等人决定"), format!("{open} open")))?;
    }
    let (outbox, cards) = (&status.outbox, status.surfaces_pending);
    if outbox.ready + outbox.sending + outbox.undeliverable + cards > 0 {
        let oldest = outbox.oldest_unsent_age_ms.map_or_else(String::new, |ms| {
            let age = age(ms);
            say(format!("，最早 {age} 前"), format!(", oldest {age}"))
        });
        let crate::control::OutboxReport { ready, sending, undeliverable, .. } = outbox;
        field(
            &context.say("发件箱", "outbox"),
            &say(
                format!("待发 {ready}，未得到回应 {sending}，无法送达 {undeliverable}，待更新的卡片 {cards}{oldest}"),
                format!(
                    "{ready} to send, {sending} unanswered, {undeliverable} undeliverable, {cards} cards to paint{oldest}"
                ),
            ),
        )?;
        let waits = outbox.problem.as_deref().map(|why| {
            say(
                format!("最早的一条还没发出，会一直自己再试（{why}）"),
                format!("The oldest is not sent yet; it is tried again by itself ({why})"),
            )
        });
        problem(outbox.advice.as_deref().or(waits.as_deref()))?;
    }
    if let Some(at) = status.next_routine {
        let at = output::time(at);
        field(&context.say("定时任务", "routines"), &say(format!("下次 {at}"), format!("next {at}")))?;
    }
    if let Some(ledger) = &status.ledger {
        let mib = ledger.bytes as f64 / 1_048_576.0;
        let (turns, schema) = (ledger.turns, ledger.schema);
        field(
            &context.say("账本", "ledger"),
            &say(
                format!("{turns} 个任务，{mib:.1} MiB，schema {schema}"),
                format!("{turns} turns, {mib:.1} MiB, schema {schema}"),
            ),
        )?;
        problem(ledger.problem.as_deref())?;
    }
    Ok(())
}

/// Columns align by what a terminal shows: a hanzi takes two.
fn field(name: &str, value: &str) -> Result<(), CliError> {
    let width: usize = name.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    output::line(&format!("{name}{} {value}", " ".repeat(10_usize.saturating_sub(width))))
}

fn problem(text: Option<&str>) -> Result<(), CliError> {
    match text {
        Some(text) => output::line(&paint(AnsiColor::Red, &format!("           ! {text}"))),
        None => Ok(()),
    }
}
