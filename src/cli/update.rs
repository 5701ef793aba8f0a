//! `ally update --check`: what runs, what is on the disk, and what a restart onto it would mean. Nothing is downloaded and
//! nothing is changed: another ally comes as a file that a person puts in its place.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::error::{CliError, Code};
use super::output;
use super::{Context, status};
use crate::app::{self, CodexHere};
use crate::config::Paths;
use crate::control::StatusReport;
use crate::ledger::{self, known_schema};
use crate::supervisor::{self, Presence};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Tell what a restart onto the program on the disk would change and cut
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    ally: Ally,
    /// Nothing with another runtime.
    codex: Option<CodexHere>,
    /// Nothing where there is no ledger yet.
    ledger: Option<Schema>,
    restart: Restart,
}

#[derive(Debug, Serialize)]
struct Ally {
    /// This very program.
    program: PathBuf,
    version: &'static str,
    /// Of the one that runs, if one does.
    running: Option<String>,
    /// The file that the running one was started from is not there any more, or another one. Linux only.
    replaced: bool,
}

#[derive(Debug, Serialize)]
struct Schema {
    found: u32,
    known: u32,
    /// Where the ledger is copied to before it is brought to the known schema.
    backup: Option<PathBuf>,
}

/// What `ally restart` would do.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Restart {
    running: bool,
    /// Tasks go on below another bridge.
    hands_over: bool,
    goes_on: u64,
    cut: u64,
    /// They stay in any case.
    queued: u64,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    if !args.check {
        return Err(CliError::new("ally does not update itself").code(Code::Failed).hint(
            "把新的 ally 放到原来的位置，然后 `ally restart`；先看看会怎样：`ally update --check`",
            "put the new ally in the place of the old one, then run `ally restart`; to see what that means: `ally update --check`",
        ));
    }
    let report = look(context).await?;
    if args.json {
        output::json(&report)?;
    } else {
        show(context, &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(context: &Context) -> Result<Report, CliError> {
    let config = crate::config::load(&context.environment)?;
    let paths = &config.paths;
    let now = status::ask(paths).await.ok();
    let schema = match ledger::report::offline(&paths.ledger, |tx| ledger::report::counts(tx, 0)) {
        Ok(Some(counts)) => Some(schema(paths, counts.schema)),
        _ => now.as_ref().and_then(|now| now.ledger.as_ref()).map(|ledger| schema(paths, ledger.schema)),
    };
    let pid = match supervisor::presence(paths) {
        Presence::Running { pid } => pid,
        Presence::Stopped => None,
    };
    Ok(Report {
        ally: Ally {
            program: std::env::current_exe()?,
            version: env!("CARGO_PKG_VERSION"),
            running: now.as_ref().map(|now| now.version.clone()),
            replaced: pid.is_some_and(is_replaced),
        },
        codex: app::codex_here(&config).await,
        ledger: schema,
        restart: restart(now.as_ref(), supervisor::can_replace(paths)),
    })
}

fn schema(paths: &Paths, found: u32) -> Schema {
    let known = known_schema();
    let backup = (found < known).then(|| paths.backups.join(format!("ledger-schema-{found}.db")));
    Schema { found, known, backup }
}

/// The kernel says so of a program whose file was put away.
fn is_replaced(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.to_string_lossy().ends_with(" (deleted)"))
}

fn restart(now: Option<&StatusReport>, hands_over: bool) -> Restart {
    let Some(now) = now else { return Restart::default() };
    let under_way = now.turns.submitting + now.turns.running + now.turns.waiting;
    let (goes_on, cut) = if hands_over { (under_way, 0) } else { (0, under_way) };
    Restart { running: true, hands_over, goes_on, cut, queued: now.turns.queued }
}

fn show(context: &Context, report: &Report) -> Result<(), CliError> {
    let say = |zh: String, en: String| output::line(&context.say(&zh, &en));
    let (ally, program) = (&report.ally, report.ally.program.display());
    say(format!("ally    {}（{program}）", ally.version), format!("ally    {} ({program})", ally.version))?;
    match &ally.running {
        Some(running) if ally.replaced => say(
            format!("        正在运行的是 {running}，它的程序文件已被换掉：`ally restart` 换上新的"),
            format!("        {running} runs, from a file that was replaced: `ally restart` takes the new one"),
        )?,
        Some(running) if *running != ally.version => say(
            format!("        正在运行的是 {running}：`ally restart` 换成 {}", ally.version),
            format!("        {running} runs: `ally restart` makes it {}", ally.version),
        )?,
        Some(_) => say("        正在运行的就是它".to_owned(), "        it is the one that runs".to_owned())?,
        None => say("        没有在运行".to_owned(), "        none runs".to_owned())?,
    }
    if let Some(codex) = &report.codex {
        let found = match (&codex.version, &codex.program) {
            (Some(version), Some(program)) => format!("{version} ({})", program.display()),
            _ => codex.problem.clone().unwrap_or_default(),
        };
        let pinned = &codex.pinned;
        say(
            format!("codex   {found}；ally 用 {pinned} 测过"),
            format!("codex   {found}; ally is tested with {pinned}"),
        )?;
    }
    if let Some(schema) = &report.ledger {
        let (found, known) = (schema.found, schema.known);
        match &schema.backup {
            None if found > known => say(
                format!("账本    schema {found} 比这个 ally 认识的（{known}）新：它不会启动，用更新的 ally"),
                format!(
                    "ledger  schema {found} is newer than this ally knows ({known}): it will not start, use a newer one"
                ),
            )?,
            None => {
                say(format!("账本    schema {found}，不用迁移"), format!("ledger  schema {found}, nothing to migrate"))?
            }
            Some(backup) => {
                let backup = backup.display();
                say(
                    format!("账本    重启时从 schema {found} 迁移到 {known}，之前复制到 {backup}"),
                    format!("ledger  a restart migrates schema {found} to {known}, after a copy to {backup}"),
                )?;
            }
        }
    }
    let Restart { running, goes_on, cut, queued, .. } = report.restart;
    match (running, cut) {
        (false, _) => say("重启    没有任务会中断".to_owned(), "restart cuts nothing".to_owned()),
        (true, 0) => say(
            format!("重启    没有任务会中断（进行中 {goes_on}，排队 {queued}）"),
            format!("restart cuts nothing ({goes_on} under way go on, {queued} stay queued)"),
        ),
        (true, cut) => say(
            format!(
                "重启    会中断 {cut} 个任务，之后可以接着做；排队的 {queued} 个会保留。`ally restart --wait` 等它们做完"
            ),
            format!(
                "restart cuts {cut} tasks, which can be continued; {queued} stay queued. `ally restart --wait` waits for them"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{DaemonState, TurnCounts};

    #[test]
    fn a_restart_cuts_what_cannot_be_handed_over() {
        let mut now = StatusReport::empty(String::new(), DaemonState::Running);
        now.turns = TurnCounts { submitting: 1, running: 2, waiting: 1, queued: 3, ..TurnCounts::default() };
        let want = Restart { running: true, hands_over: true, goes_on: 4, cut: 0, queued: 3 };
        assert_eq!(restart(Some(&now), true), want);
        assert_eq!(restart(Some(&now), false), Restart { hands_over: false, goes_on: 0, cut: 4, ..want });
        assert_eq!(restart(None, true), Restart::default());
    }

    #[test]
    fn a_migration_is_told_with_its_copy() {
        let paths = Paths::of_home("/h".into(), None);
        let known = known_schema();
        assert_eq!(schema(&paths, known).backup, None);
        assert_eq!(schema(&paths, known + 1).backup, None);
        assert_eq!(schema(&paths, 1).backup, Some(PathBuf::from("/h/backups/ledger-schema-1.db")));
    }
}
