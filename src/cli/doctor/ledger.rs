//! `ally doctor ledger`: whether everything in the ledger fits together.

use std::process::ExitCode;

use anstyle::AnsiColor;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{CliError, Code};
use crate::cli::output::{self, paint};
use crate::domain::invariant::{Broken, Invariant};
use crate::ledger::backup::BackupError;
use crate::ledger::{LedgerLock, Places};
use crate::words;

/// What `--json` prints of the ledger.
#[derive(Debug, Serialize)]
struct LedgerReport {
    ledger: String,
    checked: usize,
    broken: Vec<Broken>,
    /// The file's size before it was written anew and after, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    compacted: Option<Compacted>,
}

/// Bytes of the file.
#[derive(Debug, Serialize)]
struct Compacted {
    before: u64,
    after: u64,
}

/// Writes the file anew, where nobody else has it.
fn compact(context: &Context) -> Result<Compacted, CliError> {
    let paths = context.paths()?;
    if !paths.ledger.exists() {
        return Err(BackupError::Missing(paths.ledger).into());
    }
    crate::cli::backup::refuse_while_it_runs(&paths)?;
    let lock = LedgerLock::take(&paths.ledger_lock(), &paths.ledger)?;
    let places = Places { file: paths.ledger.clone(), backups: paths.backups.clone() };
    let done = crate::ledger::backup::compact(&places, &lock)?;
    Ok(Compacted { before: done.bytes_before, after: done.bytes })
}

/// Reads the file itself, also beside a daemon: it would keep the daemon's own readers busy for long.
pub(super) fn run(context: &Context, json: bool, compacts: bool) -> Result<ExitCode, CliError> {
    let file = context.paths()?.ledger;
    let compacted = compacts.then(|| compact(context)).transpose()?;
    let failed = |error: String| {
        CliError::new(format!("{}: {error}", file.display())).hint(
            "留着这个文件别动，用 backups 里最新的一份代替它",
            "keep the file as it is, and restore the newest one from the backups folder in its place",
        )
    };
    let broken = match crate::ledger::report::offline(&file, crate::ledger::check::run) {
        Ok(Some(broken)) => broken,
        Ok(None) => {
            return Err(CliError::new(format!("{}: there is no ledger yet", file.display()))
                .hint("先运行 `ally start`", "run `ally start` first"));
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    let report = LedgerReport { ledger: file.display().to_string(), checked: Invariant::ALL.len(), broken, compacted };
    if json {
        output::json(&report)?;
    } else {
        show_ledger(context, &report)?;
    }
    Ok(ExitCode::from(if report.broken.is_empty() { 0 } else { Code::Failed as u8 }))
}

fn show_ledger(context: &Context, report: &LedgerReport) -> Result<(), CliError> {
    for Broken { invariant, rows } in &report.broken {
        let no = context.say("不成立", "this does not hold");
        let rows = rows.iter().map(|row| format!("\n    {row}")).collect::<String>();
        output::line(
            &(paint(AnsiColor::Red, &format!("✕ {}: {no}", words::invariant(*invariant, context.lang))) + &rows),
        )?;
    }
    let LedgerReport { ledger, checked, broken, compacted } = report;
    if let Some(Compacted { before, after }) = compacted {
        let [before, after] = [before, after].map(|bytes| bytes.div_ceil(1 << 20));
        output::note(&context.say(
            &format!("账本文件整理过了：{before} MB 变成 {after} MB"),
            &format!("the ledger's file was written anew: {before} MB became {after} MB"),
        ));
    }
    let held = checked - broken.len();
    let line = match broken.is_empty() {
        true => paint(
            AnsiColor::Green,
            &context.say(&format!("✓ {held} 项都成立：{ledger}"), &format!("✓ all {held} hold: {ledger}")),
        ),
        false => context.say(&format!("其余 {held} 项成立：{ledger}"), &format!("the other {held} hold: {ledger}")),
    };
    output::line(&line)
}
