//! `ally reload`: the settings as they are on the disk now, while everything under way goes on. The bridge hands over to
//! another one that has read them, as for `ally restart`; a wrong file changes nothing.

use std::process::ExitCode;
use std::time::Duration;

use super::error::{CliError, Code};
use super::output;
use super::{Context, restart, start};
use crate::control::ClientError;
use crate::supervisor::{self, Presence};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    start: start::Args,
}

/// The same for another command.
pub(super) async fn now(context: &Context, timeout: Duration) -> Result<ExitCode, CliError> {
    run(context, &Args { start: start::Args { timeout } }).await
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    // Every problem with its line and its remedy; what runs keeps the settings that it has.
    let config = context.config().map_err(|error| {
        error.hint(
            "什么都没有改，ally 仍按原来的设置运行。改好文件再运行 `ally reload`",
            "nothing is changed, and ally goes on with the former settings. Mend the file and run `ally reload` again",
        )
    })?;
    let paths = config.paths;
    let Presence::Running { pid: Some(pid) } = supervisor::presence(&paths) else {
        return Err(ClientError::NotRunning.into());
    };
    if !supervisor::can_replace(&paths) {
        return Err(CliError::new(
            "the ally that runs is of an earlier version and cannot take over settings while it works",
        )
        .code(Code::Temporary)
        .hint("没有任务在跑时运行 `ally restart --all`", "run `ally restart --all` when no task runs"));
    }
    let (before, after) = restart::replace(context, &paths, pid, args.start.timeout).await?;
    let done = ["新设置已生效", "the settings are in force"];
    output::note(&restart::outcome(context, &done, before.as_ref(), &after));
    let of_runtime = after.runtime.iter().flat_map(|runtime| &runtime.warnings);
    for warning in after.warnings.iter().chain(of_runtime) {
        output::note(&output::paint(anstyle::AnsiColor::Yellow, &format!("! {warning}")));
    }
    Ok(ExitCode::SUCCESS)
}
