//! `ally doctor`: tries on this machine what the documentation promises, and checks the ledger.

use std::process::ExitCode;

use anstyle::AnsiColor;
use serde::Serialize;

use super::Context;
use super::error::{CliError, Code};
use super::output::{self, paint};
use crate::domain::invariant::{Broken, Invariant};
use crate::domain::safety::{Outcome, Tried};
use crate::ledger::backup::BackupError;
use crate::ledger::{LedgerLock, Places};
use crate::words;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Try what an agent's commands can read, write and reach
    Security,
    /// Check that everything in the ledger fits together, also while ally runs
    Ledger {
        /// Write the file anew without its gaps before that; only while ally is stopped
        #[arg(long)]
        compact: bool,
    },
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    home: String,
    runtime: String,
    tried: Vec<Tried>,
    /// Settings that make levels void, and the like.
    warnings: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    match args.verb {
        Verb::Security => security(context, args.json).await,
        Verb::Ledger { compact } => ledger(context, args.json, compact),
    }
}

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
    super::backup::refuse_while_it_runs(&paths)?;
    let lock = LedgerLock::take(&paths.ledger_lock(), &paths.ledger)?;
    let places = Places { file: paths.ledger.clone(), backups: paths.backups.clone() };
    let done = crate::ledger::backup::compact(&places, &lock)?;
    Ok(Compacted { before: done.bytes_before, after: done.bytes })
}

/// Reads the file itself, also beside a daemon: it would keep the daemon's own readers busy for long.
fn ledger(context: &Context, json: bool, compacts: bool) -> Result<ExitCode, CliError> {
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

async fn security(context: &Context, json: bool) -> Result<ExitCode, CliError> {
    let config = crate::config::load(&context.environment)?;
    let (runtime, tried) = crate::app::try_security(&config).await;
    let report = Report {
        home: config.paths.home.display().to_string(),
        runtime: runtime.to_owned(),
        tried,
        warnings: config.safety_warnings(),
    };
    if json {
        output::json(&report)?;
    } else {
        show(context, &report)?;
    }
    Ok(ExitCode::from(code(&report.tried)))
}

/// What does not hold counts most; what cannot be told is no success.
fn code(tried: &[Tried]) -> u8 {
    let any = |which: fn(&Outcome) -> bool| tried.iter().any(|tried| which(&tried.outcome));
    if any(|outcome| matches!(outcome, Outcome::NotHeld { .. })) {
        Code::Exposed as u8
    } else if tried.is_empty() || any(|outcome| matches!(outcome, Outcome::Unknown { .. })) {
        Code::Failed as u8
    } else {
        0
    }
}

fn show(context: &Context, report: &Report) -> Result<(), CliError> {
    if report.tried.is_empty() {
        let runtime = &report.runtime;
        let text = context.say(
            &format!("{runtime} 没有沙箱：命令以你的身份运行"),
            &format!("{runtime} has no sandbox: commands run as you"),
        );
        output::line(&paint(AnsiColor::Red, &text))?;
    }
    for Tried { promise, outcome } in &report.tried {
        let promise = words::promise(*promise, context.lang);
        let line = match outcome {
            Outcome::Held => paint(AnsiColor::Green, &format!("✓ {promise}")),
            Outcome::NotHeld { what } => {
                let no = context.say("没有做到", "this does not hold");
                paint(AnsiColor::Red, &format!("✕ {promise}: {no}"))
                    + &what.iter().map(|what| format!("\n    {what}")).collect::<String>()
            }
            Outcome::Unknown { why } => {
                let unknown = context.say("无法确认", "cannot be told");
                paint(AnsiColor::Yellow, &format!("? {promise}: {unknown}")) + &format!("\n    {why}")
            }
        };
        output::line(&line)?;
    }
    for warning in &report.warnings {
        output::line(&paint(AnsiColor::Red, &format!("! {warning}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::safety::Promise;

    #[test]
    fn each_result_has_its_exit_code() {
        let tried = |outcome| Tried { promise: Promise::Work, outcome };
        let held = || tried(Outcome::Held);
        let unknown = || tried(Outcome::Unknown { why: String::new() });
        let broken = || tried(Outcome::NotHeld { what: Vec::new() });
        assert_eq!(code(&[held(), held()]), 0);
        assert_eq!(code(&[held(), unknown()]), 1);
        assert_eq!(code(&[unknown(), broken(), held()]), 77);
        assert_eq!(code(&[]), 1, "no sandbox is no success");
    }
}
