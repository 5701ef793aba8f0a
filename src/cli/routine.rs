//! `ally routine`: what is done at its time without anybody asking for it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono_tz::Tz;

use super::Context;
use super::error::{CliError, Code};
use super::output;
use crate::app::{RUNS, RoutinesTold, UPCOMING};
use crate::clock::Clock;
use crate::config::{Config, write_private};
use crate::control::{ClientError, RoutineDetail, RoutineReport, RoutineRequest, RoutineWish, RunRow};
use crate::domain::plain::in_one_line;
use crate::domain::routine::{Routine, RoutineError, TEXT_BYTES};
use crate::domain::schedule::{self, Schedule};
use crate::ledger::Transaction;
use crate::words::{self, routine_error};

/// A file that was put into its folder is taken in at once; a busy machine takes longer.
const TAKEN_IN: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

/// The daemon looks at its files within that time when it is asked to.
const LOOKED: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the routines, with their next times
    List,
    /// Show one: its text, its next five times, its last runs
    Show { name: String },
    /// Read a file, and tell what its schedule means and the next five times; nothing is changed
    Check { file: PathBuf },
    /// Take a file into $ALLY_HOME/routines; one of the same name is replaced
    Add {
        file: PathBuf,
        /// Under another name than the file's
        #[arg(long)]
        name: Option<String>,
    },
    /// Run one now, besides its schedule
    Run { name: String },
    /// Let one rest until it is resumed
    Pause { name: String },
    /// Let one go on; what was due meanwhile is not made up for
    Resume { name: String },
    /// List the runs of one, newest first
    History {
        name: String,
        /// At most so many
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(RUNS)))]
        limit: u32,
    },
    /// Take one away; its file moves to $ALLY_HOME/routines/removed
    Remove { name: String },
}

impl Args {
    pub(super) fn only_looks(&self) -> bool {
        use Verb::*;
        match self.verb {
            None | Some(List | Show { .. } | Check { .. } | History { .. }) => true,
            Some(Add { .. } | Run { .. } | Pause { .. } | Resume { .. } | Remove { .. }) => false,
        }
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    match &args.verb {
        None | Some(Verb::List) => list(context, args.json).await?,
        Some(Verb::Show { name }) => {
            let routine = one(context, name, 5).await?;
            if args.json { output::json(&routine)? } else { show(context, &routine)? }
        }
        Some(Verb::Check { file }) => check(context, file, args.json)?,
        Some(Verb::Add { file, name }) => add(context, file, name.as_deref()).await?,
        Some(Verb::History { name, limit }) => {
            let routine = one(context, name, *limit).await?;
            if args.json {
                output::json(&routine.runs)?;
            } else {
                if routine.runs.is_empty() {
                    output::note(&context.say("还没有运行过", "no runs yet"));
                }
                for run in &routine.runs {
                    output::line(&run_line(context, run))?;
                }
            }
        }
        Some(Verb::Run { name }) => {
            wish(context, name, RoutineWish::Run).await?;
            output::note(&context.say(
                &format!("{name} 已排队；结果发到它的聊天里，`ally routine history {name}` 看运行"),
                &format!(
                    "{name} is queued; what comes of it goes to its chat, `ally routine history {name}` shows the run"
                ),
            ));
        }
        Some(Verb::Pause { name }) => {
            wish(context, name, RoutineWish::Pause).await?;
            output::note(&context.say(
                &format!("{name} 已暂停；`ally routine resume {name}` 恢复"),
                &format!("{name} is paused; `ally routine resume {name}` lets it go on"),
            ));
        }
        Some(Verb::Resume { name }) => {
            wish(context, name, RoutineWish::Resume).await?;
            output::note(&context.say(&format!("{name} 继续按时运行"), &format!("{name} goes on as scheduled")));
        }
        Some(Verb::Remove { name }) => remove(context, name).await?,
    }
    Ok(ExitCode::SUCCESS)
}

// ------------------------------------------------------------------------------------------------ looking

/// What is told where no daemon runs. Nothing is known of files that nobody has read.
fn offline(context: &Context) -> Result<RoutinesTold, CliError> {
    let (zone, now_ms) = (context.config()?.zone, Clock::default().now_ms());
    Ok(RoutinesTold { zone, lang: context.lang, now_ms, problems: Default::default() })
}

async fn list(context: &Context, json: bool) -> Result<(), CliError> {
    let told = offline(context)?;
    let rows: Vec<RoutineReport> = context.look("/v1/routines", |tx: &Transaction<'_>| told.all(tx)).await?;
    if json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        output::note(&context.say(
            "没有定时任务；templates/routines 里有几个样子，`ally routine add 文件` 加一个",
            "no routines; templates/routines has some to begin with, `ally routine add FILE` takes one in",
        ));
    }
    for row in &rows {
        output::line(&line(context, row))?;
        if let Some(problem) = &row.problem {
            output::line(&output::paint(anstyle::AnsiColor::Red, &format!("  ! {}", in_one_line(problem))))?;
        }
    }
    Ok(())
}

async fn one(context: &Context, name: &str, runs: u32) -> Result<RoutineDetail, CliError> {
    let told = offline(context)?;
    let path = format!("/v1/routines/{}?runs={runs}", encoded(name));
    let looked = context.look(&path, |tx: &Transaction<'_>| told.one(tx, name, runs)).await;
    // The daemon says that there is none by a refusal, its ledger by nothing.
    let looked: Result<Option<RoutineDetail>, CliError> = looked;
    match looked {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(unknown(name)),
        Err(error) if error.message == format!("there is no routine {name}") => Err(unknown(name)),
        Err(error) => Err(error),
    }
}

fn unknown(name: &str) -> CliError {
    CliError::new(format!("there is no routine {name}"))
        .hint("`ally routine list` 列出定时任务", "`ally routine list` lists them")
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn line(context: &Context, row: &RoutineReport) -> String {
    let when = reading(context, &row.schedule, &row.zone);
    let next = match (row.state.as_str(), row.next_ms) {
        ("paused", _) => context.say("已暂停", "paused"),
        (_, Some(at)) => {
            context.say(&format!("下次 {}", in_zone(at, &row.zone)), &format!("next {}", in_zone(at, &row.zone)))
        }
        _ => context.say("没有下次", "no next time"),
    };
    let last = row.last.as_ref().map(|run| run_line(context, run)).unwrap_or_default();
    let name = in_one_line(&row.name);
    [name, when, next, last].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

/// A schedule in words, in the language of whoever looks.
fn reading(context: &Context, written: &str, zone: &str) -> String {
    let read = schedule::zone(zone).and_then(|zone| Schedule::parse(written, zone));
    read.map_or_else(|_| written.to_owned(), |schedule| words::schedule(&schedule, context.lang))
}

/// By the clock of the routine's zone.
fn in_zone(at_ms: i64, zone: &str) -> String {
    let shown = schedule::zone(zone).ok().and_then(|zone| schedule::shown(zone, at_ms));
    shown.map_or_else(|| output::time(at_ms), |at| at.format("%Y-%m-%d %H:%M").to_string())
}

fn run_line(context: &Context, run: &RunRow) -> String {
    let word = run.outcome.as_deref().unwrap_or(&run.state);
    let mut parts = vec![output::time(run.due_ms), words::run_state(word, context.lang).to_owned()];
    if let (Some(last), true) = (run.last_ms, run.count > 1) {
        let last = output::time(last);
        parts
            .push(context.say(&format!("到 {last} 共 {} 次", run.count), &format!("{} times until {last}", run.count)));
    }
    if run.late {
        parts.push(context.say("补跑", "run late"));
    }
    if let Some(who) = &run.started_by {
        parts.push(context.say(&format!("手动（{who}）"), &format!("by hand ({who})")));
    }
    if run.attempt > 1 {
        parts.push(context.say(&format!("第 {} 次尝试", run.attempt), &format!("try {}", run.attempt)));
    }
    parts.extend(run.detail.as_deref().filter(|detail| !detail.is_empty()).map(in_one_line));
    parts.extend(run.turn.clone());
    parts.join("  ")
}

fn show(context: &Context, routine: &RoutineDetail) -> Result<(), CliError> {
    let report = &routine.report;
    output::line(&line(context, report))?;
    if let Some(problem) = &report.problem {
        output::line(&output::paint(anstyle::AnsiColor::Red, &format!("! {problem}")))?;
    }
    if let Some(who) = &routine.made_by {
        let who = in_one_line(who);
        output::line(&context.say(&format!("由 {who} 在聊天里建立"), &format!("made by {who} in a chat")))?;
    }
    if !routine.text.is_empty() {
        output::line(&format!("\n{}", routine.text.trim_end()))?;
    }
    coming(context, &routine.upcoming, &report.zone)?;
    if !routine.runs.is_empty() {
        output::line(&format!("\n{}", context.say("最近的运行：", "Last runs:")))?;
    }
    for run in &routine.runs {
        output::line(&format!("  {}", run_line(context, run)))?;
    }
    Ok(())
}

fn coming(context: &Context, upcoming: &[i64], zone: &str) -> Result<(), CliError> {
    if upcoming.is_empty() {
        return output::line(&format!("\n{}", context.say("以后不再运行。", "It does not run any more.")));
    }
    output::line(&format!("\n{}", context.say("接下来：", "Next:")))?;
    for at in upcoming {
        let shown = schedule::zone(zone).ok().and_then(|zone| schedule::shown(zone, *at));
        let due = shown.map_or_else(|| output::time(*at), |at| words::due(at, context.lang));
        output::line(&format!("  {due}  {zone}"))?;
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------ files

#[derive(Debug, serde::Serialize)]
struct Checked {
    name: String,
    schedule: String,
    reading: String,
    zone: String,
    upcoming: Vec<i64>,
    autonomy: String,
    timeout_seconds: u64,
}

fn check(context: &Context, file: &Path, json: bool) -> Result<(), CliError> {
    let config = context.config()?;
    let (routine, _) = read(context, &config, file, None)?;
    let now = Clock::default().now_ms();
    let (zone, when) = (routine.schedule.zone.name(), &routine.schedule.when);
    let checked = Checked {
        name: routine.name.clone(),
        schedule: when.to_string(),
        reading: words::schedule(&routine.schedule, context.lang),
        zone: zone.to_owned(),
        upcoming: routine.schedule.upcoming(now, now, UPCOMING),
        autonomy: routine.autonomy.as_str().to_owned(),
        timeout_seconds: routine.timeout.as_secs(),
    };
    if json {
        return output::json(&checked);
    }
    output::line(&format!("{}  {}", checked.name, checked.reading))?;
    coming(context, &checked.upcoming, zone)?;
    if checked.upcoming.is_empty() {
        return Err(CliError::new(context.say("它永远不会运行", "it would never run"))
            .hint("把日期写到将来", "write a date that is not over"));
    }
    Ok(())
}

/// A routine's file and its text, with a message that says what to mend.
fn read(context: &Context, config: &Config, file: &Path, name: Option<&str>) -> Result<(Routine, String), CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::new(format!("{}: {error}", file.display())).hint(
            "写出一个定时任务文件的路径，例如 templates/routines/nightly-digest.yaml",
            "name a routine's file, like templates/routines/nightly-digest.yaml",
        )
    };
    let about = std::fs::metadata(file).map_err(unreadable)?;
    let told = |error: &RoutineError| {
        CliError::new(format!("{}: {}", file.display(), routine_error(error, context.lang)))
            .code(Code::Config)
            .hint("每一项的写法见 docs/routines.md", "docs/routines.md tells every key")
    };
    if about.len() > TEXT_BYTES as u64 {
        return Err(told(&RoutineError::TooLong { bytes: about.len() as usize }));
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let stem = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let routine = parse(name.unwrap_or(stem), &text, config.zone).map_err(|error| told(&error))?;
    Ok((routine, text))
}

fn parse(name: &str, text: &str, zone: Tz) -> Result<Routine, RoutineError> {
    Routine::parse(name, text, zone)
}

async fn add(context: &Context, file: &Path, name: Option<&str>) -> Result<(), CliError> {
    let config = context.config()?;
    let (routine, text) = read(context, &config, file, name)?;
    let now = Clock::default().now_ms();
    if routine.schedule.upcoming(now, now, 1).is_empty() {
        return Err(CliError::new(context.say("它永远不会运行", "it would never run"))
            .hint("把日期写到将来", "write a date that is not over"));
    }
    let folder = &config.paths.routines;
    let path = folder.join(format!("{}.yaml", routine.name));
    let is_new = !path.exists();
    write_private(&path, &text).map_err(|error| {
        CliError::new(format!("{}: {error}", path.display()))
            .hint("检查这个目录的权限", "check the folder's permissions")
    })?;
    let (name, reading) = (&routine.name, words::schedule(&routine.schedule, context.lang));
    let (zh, en) = if is_new { ("已加入", "was added") } else { ("已替换", "was replaced") };
    output::note(&context.say(&format!("{name} {zh}：{reading}"), &format!("{name} {en}: {reading}")));
    coming(context, &routine.schedule.upcoming(now, now, UPCOMING), routine.schedule.zone.name())?;
    match taken_in(context, name, &text).await {
        Err(error) if error.code == Code::NotRunning => output::note(&context.say(
            "ally 没有运行；下次 `ally start` 之后生效",
            "ally is not running; it holds from the next `ally start` on",
        )),
        result => result?,
    }
    Ok(())
}

/// Until the daemon has taken it in, or says why it does not.
async fn taken_in(context: &Context, name: &str, text: &str) -> Result<(), CliError> {
    let client = context.client()?;
    let request = RoutineRequest { wish: RoutineWish::Reload };
    let path = format!("/v1/routines/{}", encoded(name));
    client.post::<()>(&path, &request).await?;
    let mut progress = output::Progress::new(context.say("等 ally 读入", "waiting for ally to take it in"));
    while progress.elapsed() < TAKEN_IN {
        match client.get::<RoutineDetail>(&format!("{path}?runs=0")).await {
            // What is told at once may be about the file as it was before.
            Ok(found) if found.report.problem.is_some() && progress.elapsed() > LOOKED => {
                progress.end();
                return Err(CliError::new(found.report.problem.unwrap_or_default())
                    .hint("改好之后再加一次", "mend it and add it again"));
            }
            Ok(found) if found.text == text && found.report.problem.is_none() => return Ok(()),
            Ok(_) | Err(ClientError::Refused { status: 404, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        progress.tick();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    progress.end();
    Err(CliError::new(context.say("ally 还没有读入它", "ally has not taken it in yet"))
        .code(Code::Temporary)
        .hint("看 `ally routine list` 和 `ally logs`", "see `ally routine list` and `ally logs`"))
}

async fn remove(context: &Context, name: &str) -> Result<(), CliError> {
    let config = context.config()?;
    let folder = &config.paths.routines;
    let path = folder.join(format!("{name}.yaml"));
    if crate::domain::routine::is_name(name) && path.exists() {
        let removed = folder.join("removed");
        crate::config::private_folder(&removed)?;
        let kept = removed.join(format!("{name}.yaml"));
        std::fs::rename(&path, &kept)?;
        let (zh, en) = (
            format!("{name} 已删除；文件在 {}", kept.display()),
            format!("{name} was removed; its file is {}", kept.display()),
        );
        output::note(&context.say(&zh, &en));
        match wish(context, name, RoutineWish::Reload).await {
            Err(error) if error.code == Code::NotRunning => return Ok(()),
            result => return result,
        }
    }
    wish(context, name, RoutineWish::Remove).await?;
    output::note(&context.say(&format!("{name} 已删除"), &format!("{name} was removed")));
    Ok(())
}

async fn wish(context: &Context, name: &str, wish: RoutineWish) -> Result<(), CliError> {
    let path = format!("/v1/routines/{}", encoded(name));
    match context.client()?.post(&path, &RoutineRequest { wish }).await {
        Ok(()) => Ok(()),
        Err(ClientError::Refused { status: 404, .. }) => Err(unknown(name)),
        Err(ClientError::Refused { status: 409, error }) => Err(CliError::new(error)
            .code(Code::Temporary)
            .hint(format!("看 `ally routine history {name}`"), format!("see `ally routine history {name}`"))),
        Err(error) => Err(error.into()),
    }
}
