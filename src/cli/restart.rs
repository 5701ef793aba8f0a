//! `ally restart`.

use std::process::ExitCode;
use std::time::Duration;

use super::error::CliError;
use super::output::Progress;
use super::{Context, start, stop};
use crate::control::{Client, ClientError, StatusReport};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Wait until no task runs, however long that takes
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    start: start::Args,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    // A configuration that cannot start must not stop what runs.
    context.config()?;
    if args.wait {
        wait_idle(context).await?;
    }
    stop::run(context, &stop::Args::default()).await?;
    start::run(context, &args.start).await
}

async fn wait_idle(context: &Context) -> Result<(), CliError> {
    let paths = context.paths()?;
    let mut progress = Progress::new(context.say("等任务做完", "waiting for the tasks to end"));
    loop {
        let status = async { Client::connect(&paths)?.get::<StatusReport>("/v1/status").await };
        match status.await {
            Ok(status) if status.turns.submitting + status.turns.running + status.turns.waiting == 0 => return Ok(()),
            Err(ClientError::NotRunning) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        progress.tick();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
