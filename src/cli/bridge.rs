//! Hidden `ally bridge`: the supervisor's child. Its stdout is the heartbeat; nothing else may write there.

use std::process::ExitCode;

use super::Context;
use super::error::CliError;
use crate::telemetry::{self, LogConfig};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Log to stderr, too
    #[arg(long)]
    foreground: bool,
    /// Stdout is a socket, and the supervisor holds runtimes with these words
    #[arg(long)]
    hold: Option<u32>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let config = context.config()?;
    let _log = telemetry::start(&LogConfig {
        folder: config.paths.logs.clone(),
        name: "ally",
        filter: config.log_filter.clone(),
        to_stderr: args.foreground,
    })?;
    let ended = crate::app::run_bridge(config, args.hold).await;
    if let Err(error) = &ended {
        tracing::error!(error = %format!("{error:#}"), "The bridge ends with an error");
    }
    Ok(ended?)
}
