//! `ally doctor security`: tries on this machine what the sandbox promises.

use std::process::ExitCode;

use anstyle::AnsiColor;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{CliError, Code};
use crate::cli::output::{self, paint};
use crate::domain::safety::{Outcome, Tried};
use crate::words;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    home: String,
    runtime: String,
    tried: Vec<Tried>,
    /// Settings that make levels void, and the like.
    warnings: Vec<String>,
}

pub(super) async fn run(context: &Context, json: bool) -> Result<ExitCode, CliError> {
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
    for line in lines(context, &report.runtime, &report.tried) {
        output::line(&line)?;
    }
    for warning in &report.warnings {
        output::line(&paint(AnsiColor::Red, &format!("! {warning}")))?;
    }
    Ok(())
}

/// What came of trying, as a person reads it.
pub(in crate::cli) fn lines(context: &Context, runtime: &str, tried: &[Tried]) -> Vec<String> {
    if tried.is_empty() {
        let text = context.say(
            &format!("{runtime} 没有沙箱：命令以你的身份运行"),
            &format!("{runtime} has no sandbox: commands run as you"),
        );
        return vec![paint(AnsiColor::Red, &text)];
    }
    let line = |Tried { promise, outcome }: &Tried| {
        let promise = words::promise(*promise, context.lang);
        match outcome {
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
        }
    };
    tried.iter().map(line).collect()
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
