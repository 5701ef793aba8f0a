//! `ally stop`: says what it cuts, waits, and leaves nothing behind.

use std::process::ExitCode;
use std::time::Duration;

use rustix::process::Signal;

use super::Context;
use super::error::CliError;
use super::output::{self, Progress};
use crate::config::Paths;
use crate::control::{Client, DrainPreview, DrainRequest, TurnRow};
use crate::supervisor::{self, Presence};

/// Beyond what the supervisor gives the bridge: for itself and what is left behind.
const MORE: Duration = Duration::from_secs(5);

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Do not wait for running tasks
    #[arg(long)]
    pub(super) now: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let paths = context.paths()?;
    let Presence::Running { pid } = supervisor::presence(&paths) else {
        let left = supervisor::kill_bridge(&paths);
        output::note(&match left {
            true => context.say(
                "ally 没有在运行；结束了一个遗留的进程",
                "ally was not running; ended a process that was left behind",
            ),
            false => context.say("ally 没有在运行", "ally is not running"),
        });
        return Ok(ExitCode::SUCCESS);
    };
    let grace = announce(context, &paths, args.now).await;
    end(context, &paths, pid, grace, args.now).await?;
    output::note(&context.say("ally 已停止", "ally has stopped"));
    Ok(ExitCode::SUCCESS)
}

/// Begins the drain and tells what it cuts. A daemon that does not answer is ended all the same.
async fn announce(context: &Context, paths: &Paths, now: bool) -> Duration {
    let asked = async {
        let client = Client::connect(paths)?;
        client.post::<DrainPreview>("/v1/drain", &DrainRequest { preview: false, now }).await
    };
    match asked.await {
        Ok(preview) => {
            tell(context, &preview);
            Duration::from_secs(preview.grace_seconds)
        }
        Err(error) => {
            let told = context.say("守护进程没有回答，直接结束", "the daemon does not answer; it is ended");
            output::note(&format!("{told} ({error})"));
            crate::config::load(&context.environment).map_or(Duration::from_secs(20), |config| config.turn.grace)
        }
    }
}

fn tell(context: &Context, preview: &DrainPreview) {
    if !preview.running.is_empty() {
        let seconds = preview.grace_seconds;
        output::note(&context.say(
            &format!("进行中的任务，最多再等 {seconds} 秒，之后可以接着做："),
            &format!("running tasks; they get {seconds} s and can be continued later:"),
        ));
        list(&preview.running);
    }
    if !preview.waiting.is_empty() {
        output::note(&context.say(
            "等人回答的任务会中断，之后可以接着做：",
            "waiting for a person; interrupted, and can be continued later:",
        ));
        list(&preview.waiting);
    }
    if preview.queued > 0 {
        let queued = preview.queued;
        output::note(&context.say(&format!("{queued} 个排队的任务会保留"), &format!("{queued} queued tasks are kept")));
    }
}

fn list(rows: &[TurnRow]) {
    for row in rows {
        output::note(&format!("  {}  {}  {}", row.chat, row.requester, row.title));
    }
}

/// TERM, TERM again (at once), KILL; each with its time.
async fn end(context: &Context, paths: &Paths, pid: Option<u32>, grace: Duration, now: bool) -> Result<(), CliError> {
    let mut progress = Progress::new(context.say("正在停止", "stopping"));
    let gentle = if now { supervisor::AFTER_GRACE } else { grace + supervisor::AFTER_GRACE };
    for (signal, patience) in
        [(Signal::TERM, gentle + MORE), (Signal::TERM, supervisor::AFTER_TERM + MORE), (Signal::KILL, MORE)]
    {
        if let Some(pid) = pid {
            supervisor::signal(pid, signal);
        }
        if signal == Signal::KILL {
            supervisor::kill_bridge(paths);
        }
        let until = progress.elapsed() + patience;
        while progress.elapsed() < until {
            if supervisor::presence(paths) == Presence::Stopped {
                supervisor::kill_bridge(paths);
                return Ok(());
            }
            progress.tick();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let pid = pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    Err(CliError::new(format!("process {pid} does not end")).hint("看 `ally logs`", "see `ally logs`"))
}
