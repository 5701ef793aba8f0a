//! `ally run`: the supervisor, in the foreground.

use std::io::IsTerminal;
use std::process::ExitCode;

use super::Context;
use super::error::CliError;
use crate::supervisor::{self, SupervisorConfig};
use crate::telemetry::{self, LogConfig};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Leave the session: `ally start` started us
    #[arg(long, hide = true)]
    detached: bool,
    /// End when stdin is closed
    #[arg(long, hide = true)]
    with_parent: bool,
    /// Log to the file only
    #[arg(long)]
    quiet: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    if args.detached {
        // Fails only for a group leader, which then has a session of its own already.
        let _ = rustix::process::setsid();
    }
    let config = context.config()?;
    let to_stderr = !args.detached && !args.quiet;
    let _log = telemetry::start(&LogConfig {
        folder: config.paths.logs.clone(),
        name: "ally",
        filter: config.log_filter,
        to_stderr,
    })?;
    let code = supervisor::run(SupervisorConfig {
        paths: config.paths,
        program: std::env::current_exe()?,
        grace: config.turn.grace,
        with_parent: args.with_parent,
        foreground: to_stderr,
        hangup_ends: !args.detached && std::io::stdin().is_terminal(),
    })
    .await?;
    Ok(ExitCode::from(code))
}
