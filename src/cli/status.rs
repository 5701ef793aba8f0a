//! `ally status`: what the daemon says, or what is found without it.

use std::process::ExitCode;

use anstyle::AnsiColor;

use super::Context;
use super::error::{CliError, Code};
use super::output::{self, age, paint};
use crate::clock::Clock;
use crate::config::Paths;
use crate::control::{Client, ClientError, DaemonState, StatusReport};
use crate::ledger;
use crate::supervisor::{self, Presence};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let paths = context.paths()?;
    let asked = async { Client::connect(&paths)?.get::<StatusReport>("/v1/status").await };
    let mut status = match asked.await {
        Ok(status) => status,
        Err(ClientError::NotRunning) => offline(&paths),
        // The daemon is there and does not answer: that is what there is to tell.
        Err(error) => {
            let mut status = offline(&paths);
            status.warnings.push(error.to_string());
            status
        }
    };
    match crate::config::load(&context.environment) {
        Ok(config) => {
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
        _ => ExitCode::SUCCESS,
    })
}

/// What can be told without the daemon: its lock and its ledger, read-only.
fn offline(paths: &Paths) -> StatusReport {
    let (state, pid) = match supervisor::presence(paths) {
        Presence::Running { pid } => (DaemonState::Starting, pid),
        Presence::Stopped => (DaemonState::Stopped, None),
    };
    let mut status = StatusReport::empty(paths.home.display().to_string(), state);
    status.pids.supervisor = pid;
    let now = Clock::default().now_ms();
    match ledger::report::offline(&paths.ledger, |tx| ledger::report::counts(tx, now)) {
        Ok(Some(counts)) => crate::app::tell_counts(&mut status, &paths.ledger.display().to_string(), &counts),
        Ok(None) => {}
        Err(error) => status.warnings.push(format!("{}: {error}", paths.ledger.display())),
    }
    status
}

fn show(context: &Context, status: &StatusReport) -> Result<(), CliError> {
    let state = match status.state {
        DaemonState::Running => paint(AnsiColor::Green, "running"),
        DaemonState::Stopped => paint(AnsiColor::Red, "stopped"),
        other => paint(AnsiColor::Yellow, other.as_str()),
    };
    let pids = &status.pids;
    let pid = |name: &str, pid: Option<u32>| pid.map(|pid| format!("{name} {pid}"));
    let pids: Vec<String> =
        [pid("supervisor", pids.supervisor), pid("bridge", pids.bridge), pid("runtime", pids.runtime)]
            .into_iter()
            .flatten()
            .collect();
    let pids = if pids.is_empty() { String::new() } else { format!("  ({})", pids.join(", ")) };
    field("ally", &format!("{state}  {}{pids}", status.version))?;
    field("home", &status.home)?;
    for channel in &status.channels {
        let frame = channel.last_frame_age_ms.map(|ms| format!(", last frame {} ago", age(ms))).unwrap_or_default();
        field(&channel.name, &format!("{}{frame}", channel.state))?;
        problem(channel.problem.as_deref())?;
    }
    if let Some(runtime) = &status.runtime {
        let version = runtime.version.as_deref().unwrap_or("");
        let generation = runtime.generation.map(|n| format!(", generation {n}")).unwrap_or_default();
        field("runtime", &format!("{} {version} {}{generation}", runtime.kind, runtime.state))?;
        problem(runtime.problem.as_deref())?;
        for warning in &runtime.warnings {
            problem(Some(warning))?;
        }
    }
    show_work(status)?;
    for warning in &status.warnings {
        output::line(&paint(AnsiColor::Yellow, &format!("! {warning}")))?;
    }
    if status.state == DaemonState::Stopped {
        output::note(&context.say("hint: 运行 `ally start`", "hint: run `ally start`"));
    }
    Ok(())
}

fn show_work(status: &StatusReport) -> Result<(), CliError> {
    let turns = &status.turns;
    field(
        "tasks",
        &format!(
            "{} running, {} waiting for a person, {} queued, {} ended in the last 24 h{}",
            turns.running + turns.submitting,
            turns.waiting,
            turns.queued,
            turns.settled_last_24h,
            if turns.late_waiting > 0 {
                format!(", {} late messages ask first", turns.late_waiting)
            } else {
                String::new()
            }
        ),
    )?;
    if status.gates_open > 0 {
        field("requests", &format!("{} open", status.gates_open))?;
    }
    let outbox = &status.outbox;
    if outbox.ready + outbox.sending + outbox.undeliverable + status.surfaces_pending > 0 {
        let oldest = outbox.oldest_unsent_age_ms.map(|ms| format!(", oldest {}", age(ms))).unwrap_or_default();
        field(
            "outbox",
            &format!(
                "{} to send, {} unanswered, {} undeliverable, {} cards to paint{oldest}",
                outbox.ready, outbox.sending, outbox.undeliverable, status.surfaces_pending
            ),
        )?;
    }
    if let Some(ledger) = &status.ledger {
        let mib = ledger.bytes as f64 / 1_048_576.0;
        field("ledger", &format!("{} turns, {mib:.1} MiB, schema {}", ledger.turns, ledger.schema))?;
        problem(ledger.problem.as_deref())?;
    }
    Ok(())
}

fn field(name: &str, value: &str) -> Result<(), CliError> {
    output::line(&format!("{name:<10} {value}"))
}

fn problem(text: Option<&str>) -> Result<(), CliError> {
    match text {
        Some(text) => output::line(&paint(AnsiColor::Red, &format!("           ! {text}"))),
        None => Ok(()),
    }
}
