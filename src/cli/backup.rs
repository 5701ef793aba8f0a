//! `ally backup` and `ally restore`: a copy of the ledger, and a copy in its place.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::Context;
use super::error::{CliError, Code};
use super::output;
use crate::clock::Clock;
use crate::config::{Paths, private_folder};
use crate::control::{BackupReport, BackupRequest, Client, ClientError};
use crate::ledger::backup::{self, BackupError};
use crate::ledger::{LedgerLock, Places};
use crate::supervisor::{self, Presence};

/// How long the daemon may take for a copy.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How often the terminal says how far it is.
const TICK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// Where to put the copy [default: a file of its own in $ALLY_HOME/backups]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The copy
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `ally restore --json` prints.
#[derive(Debug, Serialize)]
struct RestoreReport {
    ledger: PathBuf,
    turns: u64,
    schema: u32,
    /// Where the ledger lies that was there before.
    aside: Option<PathBuf>,
}

pub(super) async fn back_up(context: &Context, args: &BackupArgs) -> Result<ExitCode, CliError> {
    let paths = context.paths()?;
    let file = match &args.file {
        Some(file) => std::path::absolute(file)?,
        None => {
            private_folder(&paths.backups)?;
            paths.backups.join(format!("ledger-{}.db", Clock::default().now_ms()))
        }
    };
    let asked = async {
        let request = BackupRequest { file: file.clone() };
        Client::connect(&paths)?.post_within("/v1/backup", &request, PATIENCE).await
    };
    let report: BackupReport = match with_progress(context, &paths.ledger, &file, asked).await {
        Ok(report) => report,
        // Nobody is at work: it is copied right here.
        Err(ClientError::NotRunning) => {
            let copied = backup::copy(&paths.ledger, &file)?;
            crate::app::backup_report(file, copied)
        }
        Err(error) => return Err(error.into()),
    };
    if args.json {
        output::json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (megabytes, turns) = (report.bytes.div_ceil(1 << 20), report.turns);
    output::note(&context.say(
        &format!(
            "已备份，检查过，完整：{turns} 个任务，{megabytes} MB。恢复：`ally restore {}`",
            report.file.display()
        ),
        &format!(
            "copied, checked and whole: {turns} tasks, {megabytes} MB. To put it back: `ally restore {}`",
            report.file.display()
        ),
    ));
    output::line(&report.file.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Says how much of the copy is there while it is made.
async fn with_progress<T>(context: &Context, ledger: &Path, file: &Path, work: impl Future<Output = T>) -> T {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len()) >> 20;
    let part = backup::unfinished(file);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(TICK) => {
                let (done, all) = (size(&part), size(ledger));
                output::note(&context.say(&format!("{done} / {all} MB"), &format!("{done} of {all} MB")));
            }
        }
    }
}

pub(super) fn restore(context: &Context, args: &RestoreArgs) -> Result<ExitCode, CliError> {
    let paths = context.paths()?;
    paths.create()?;
    refuse_while_it_runs(&paths)?;
    crate::crash::arm(paths.crash_point());
    let lock = LedgerLock::take(&paths.ledger_lock(), &paths.ledger)?;
    let places = Places { file: paths.ledger.clone(), backups: paths.backups.clone() };
    let replaced = backup::restore(&places, &lock, &std::path::absolute(&args.file)?, Clock::default().now_ms())?;
    let report = RestoreReport {
        ledger: paths.ledger.clone(),
        turns: replaced.copied.turns,
        schema: replaced.copied.schema,
        aside: replaced.aside,
    };
    if args.json {
        output::json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(aside) = &report.aside {
        let aside = aside.display();
        output::note(
            &context.say(&format!("原来的账本留在 {aside}"), &format!("the ledger that was there is kept in {aside}")),
        );
    }
    let turns = report.turns;
    output::note(&context.say(
        &format!("已恢复：{turns} 个任务。`ally start` 之后，没做完的都停着，等所有者决定：在聊天里的卡片上，或运行 `ally restored`"),
        &format!(
            "restored: {turns} tasks. After `ally start` all that is unfinished waits for its owner's word: on the card in the chat, or by `ally restored`"
        ),
    ));
    Ok(ExitCode::SUCCESS)
}

/// A daemon between two of its processes does not hold the ledger's lock, and would open what is put in its place.
pub(super) fn refuse_while_it_runs(paths: &Paths) -> Result<(), CliError> {
    match supervisor::presence(paths) {
        Presence::Stopped => Ok(()),
        Presence::Running { .. } => Err(CliError::new("ally is running")
            .code(Code::Temporary)
            .hint("先运行 `ally stop`", "run `ally stop` first")),
    }
}

impl From<BackupError> for CliError {
    fn from(error: BackupError) -> Self {
        if let BackupError::Ledger(ledger) = error {
            return ledger.into();
        }
        let (zh, en) = match &error {
            BackupError::Taken(_) => ("换一个文件名", "name another file"),
            BackupError::InTheWay(_) => {
                ("先把它改成别的名字，再用新名字恢复", "move it to another name first, then restore it from there")
            }
            BackupError::Missing(_) => (
                "检查路径；还没有账本时没有什么可备份",
                "check the path; before the first start there is nothing to copy",
            ),
            _ => ("检查空间（`df`）和权限", "check the space (`df`) and the permissions"),
        };
        CliError::new(format!("{:#}", anyhow::Error::new(error))).hint(zh, en)
    }
}
