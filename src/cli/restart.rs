//! `ally restart`: another bridge from the program and the settings on the disk, while the runtime's tasks go on; or all of
//! it anew.

use std::process::ExitCode;
use std::time::Duration;

use rustix::process::Signal;

use super::error::{CliError, Code};
use super::output::{self, Progress};
use super::{Context, service, start, stop};
use crate::config::Paths;
use crate::control::{Client, ClientError, StatusReport, TurnCounts};
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
        if supervisor::can_replace(&paths) {
            let (before, after) = replace(context, &paths, pid, args.start.timeout).await?;
            output::note(&outcome(context, &RESTARTED, before.as_ref(), &after));
            return Ok(ExitCode::SUCCESS);
        }
        output::note(&context.say(
            "正在运行的 ally 不能把任务交给这个版本，全部重新启动",
            "the ally that runs cannot hand its tasks over to this version; all of it is started anew",
        ));
    }
    service::may_restart(context, &paths.home).await?;
    stop::run(context, &stop::Args::default()).await?;
    start::run(context, &args.start).await
}

/// What was done, in zh and en.
type Done = [&'static str; 2];

const RESTARTED: Done = ["ally 已重启", "ally is restarted"];

/// The supervisor stays and replaces the bridge. What was there before, and what is there now.
pub(super) async fn replace(
    context: &Context,
    paths: &Paths,
    pid: u32,
    timeout: Duration,
) -> Result<(Option<StatusReport>, StatusReport), CliError> {
    let before = start::ready(paths).await;
    let former = before.as_ref().and_then(|status| status.pids.bridge).or_else(|| supervisor::left_bridge(paths));
    supervisor::signal(pid, Signal::USR1);
    let mut progress = Progress::new(context.say("正在重启", "restarting"));
    loop {
        let late = progress.elapsed() > timeout;
        if let Some(status) = start::ready(paths).await.filter(|status| status.pids.bridge != former)
            && (late || has_found_its_runtime(&status))
        {
            progress.end();
            return Ok((before, status));
        }
        if supervisor::presence(paths) == Presence::Stopped {
            progress.end();
            return Err(CliError::new("ally ended instead of being restarted")
                .hint("看 `ally logs`，再 `ally start`", "see `ally logs`, then run `ally start`"));
        }
        if late {
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

/// Or knows that it has none.
fn has_found_its_runtime(status: &StatusReport) -> bool {
    status.runtime.as_ref().is_none_or(|runtime| runtime.state != "starting")
}

/// What became of the tasks: they went on where the runtime is the same process.
pub(super) fn outcome(
    context: &Context,
    [zh, en]: &Done,
    before: Option<&StatusReport>,
    after: &StatusReport,
) -> String {
    let generation = |status: &StatusReport| status.runtime.as_ref().and_then(|runtime| runtime.generation);
    let under_way = |turns: &TurnCounts| turns.submitting + turns.running + turns.waiting;
    let turns = &after.turns;
    let cut = before.map_or(0, |before| under_way(&before.turns));
    if cut > 0 && before.and_then(generation) != generation(after) {
        return context.say(
            &format!("{zh}，运行时也重新启动了：{cut} 个任务中断，可以在聊天里接着做"),
            &format!("{en}, and the runtime is new as well: interrupted tasks, to be continued in the chat: {cut}"),
        );
    }
    let counts = [
        (turns.submitting + turns.running, "进行中", "running"),
        (turns.waiting, "等人回答", "waiting for a person"),
        (turns.queued, "排队", "queued"),
    ];
    let list = |zh: bool| {
        let some = counts.iter().filter(|(count, ..)| *count > 0);
        some.map(|(count, in_zh, in_en)| format!("{} {count}", if zh { in_zh } else { in_en })).collect::<Vec<_>>()
    };
    if list(true).is_empty() {
        return context.say(zh, en);
    }
    context.say(
        &format!("{zh}，任务都没有中断（{}）", list(true).join("，")),
        &format!("{en}, and no task was interrupted ({})", list(false).join(", ")),
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::control::{DaemonState, RuntimeReport};
    use crate::domain::view::Lang;

    fn status(generation: i64, [running, waiting, queued]: [u64; 3]) -> StatusReport {
        let mut status = StatusReport::empty(String::new(), DaemonState::Running);
        status.turns = TurnCounts { running, waiting, queued, ..TurnCounts::default() };
        status.runtime = Some(RuntimeReport {
            kind: "codex".to_owned(),
            version: None,
            generation: Some(generation),
            since_ms: None,
            state: "ready".to_owned(),
            problem: None,
            warnings: Vec::new(),
        });
        status
    }

    fn told(lang: Lang, before: &StatusReport, after: &StatusReport) -> String {
        outcome(&Context { environment: Environment::default(), lang }, &RESTARTED, Some(before), after)
    }

    #[test]
    fn only_what_went_on_is_said_to_have_gone_on() {
        let (idle, busy) = (status(1, [0, 0, 0]), status(1, [2, 1, 3]));
        assert_eq!(told(Lang::En, &idle, &idle), "ally is restarted");
        let went_on = "ally is restarted, and no task was interrupted (running 2, waiting for a person 1, queued 3)";
        assert_eq!(told(Lang::En, &busy, &busy), went_on);
        assert_eq!(told(Lang::Zh, &busy, &busy), "ally 已重启，任务都没有中断（进行中 2，等人回答 1，排队 3）");
        let anew = status(2, [0, 0, 3]);
        assert!(told(Lang::En, &busy, &anew).ends_with("to be continued in the chat: 3"));
        assert!(told(Lang::Zh, &busy, &anew).contains("3 个任务中断"));
        assert_eq!(told(Lang::En, &idle, &anew), "ally is restarted, and no task was interrupted (queued 3)");
    }

    #[test]
    fn nothing_is_said_of_tasks_before_the_runtime_is_found() {
        let mut early = status(1, [1, 0, 0]);
        assert!(has_found_its_runtime(&early));
        early.runtime.as_mut().unwrap().state = "starting".to_owned();
        assert!(!has_found_its_runtime(&early));
    }
}
