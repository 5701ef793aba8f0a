//! `ally restart`: another bridge from the program and the settings on the disk, while the runtime's tasks go on; or all of
//! it anew.

use std::process::ExitCode;
use std::time::Duration;

use rustix::process::Signal;

use super::error::{CliError, Code};
use super::output::{self, Progress};
use super::{Context, start, stop};
use crate::config::Paths;
use crate::control::{Client, ClientError, StatusReport};
use crate::supervisor::{self, Presence};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Wait until no task runs, however long that takes
    #[arg(long)]
    wait: bool,
    /// Stop everything, the runtime and its tasks included, and start again
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    start: start::Args,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    // A configuration that cannot start must not stop what runs.
    context.config()?;
    if args.wait {
        wait_idle(context).await?;
    }
    let paths = context.paths()?;
    if !args.all
        && let Presence::Running { pid: Some(pid) } = supervisor::presence(&paths)
    {
        return replace(context, &paths, pid, args.start.timeout).await;
    }
    stop::run(context, &stop::Args::default()).await?;
    start::run(context, &args.start).await
}

/// The supervisor stays and replaces the bridge.
async fn replace(context: &Context, paths: &Paths, pid: u32, timeout: Duration) -> Result<ExitCode, CliError> {
    let former = start::ready(paths).await.and_then(|status| status.pids.bridge);
    supervisor::signal(pid, Signal::USR1);
    let mut progress = Progress::new(context.say("正在重启", "restarting"));
    loop {
        if let Some(status) = start::ready(paths).await
            && status.pids.bridge != former
        {
            progress.end();
            let running = status.turns.submitting + status.turns.running + status.turns.waiting;
            output::note(&match running {
                0 => context.say("ally 已重启", "ally is restarted"),
                _ => context.say(
                    &format!("ally 已重启；{running} 个任务没有中断"),
                    &format!("ally is restarted; tasks that go on: {running}"),
                ),
            });
            return Ok(ExitCode::SUCCESS);
        }
        if progress.elapsed() > timeout {
            progress.end();
            return Err(CliError::new(format!("ally is not ready after {} s; it goes on trying", timeout.as_secs()))
                .code(Code::Temporary)
                .hint(
                    "看 `ally logs`；`ally restart --all` 全部重来",
                    "see `ally logs`; `ally restart --all` starts all of it anew",
                ));
        }
        progress.tick();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
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
