//! `ally start`: in the background, and back when it is ready – or with the reason why not.

use std::process::{Child, ExitCode, ExitStatus};
use std::time::Duration;

use super::Context;
use super::error::{CliError, Code};
use super::output::{self, Progress};
use super::{service, status};
use crate::config::{Config, Paths};
use crate::control::{Client, DaemonState, StatusReport};
use crate::supervisor::{self, Presence};

/// Lines of the log that explain a start that failed.
const TAIL: usize = 12;

#[derive(Debug, clap::Args)]
// Flattened into `restart`: one name for two groups would clash.
#[group(skip)]
pub(super) struct Args {
    /// How long to wait until it is ready
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_timeout)]
    pub(super) timeout: Duration,
}

pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    crate::config::parse_duration(text).ok_or_else(|| "write it like 90s, 5m or 1h".to_owned())
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let config = context.config()?;
    if let Presence::Running { pid } = supervisor::presence(&config.paths) {
        return there(context, &config.paths, pid, args.timeout).await;
    }
    let logged = std::fs::metadata(config.paths.daemon_log()).map_or(0, |found| found.len());
    let child = match service::start_installed(context, &config.paths.home).await? {
        true => None,
        false => Some(supervisor::spawn_detached(&std::env::current_exe()?, &config.paths)?),
    };
    let status = wait_ready(context, &config.paths, child, args.timeout, logged).await?;
    tell(context, &config, &status);
    Ok(ExitCode::SUCCESS)
}

/// Somebody holds the home already: that is well only if it works.
async fn there(context: &Context, paths: &Paths, pid: Option<u32>, timeout: Duration) -> Result<ExitCode, CliError> {
    let state = match status::ask(paths).await {
        Ok(status) => status.state,
        Err(error) => {
            let (state, _, trouble) = status::without_answer(context, paths, &error);
            if let Some(trouble) = trouble {
                return Err(CliError::new(format!("ally is {}: {trouble}", state.as_str()))
                    .code(Code::Unwell)
                    .hint("先看 `ally logs`，再 `ally restart`", "look at `ally logs`, then run `ally restart`"));
            }
            state
        }
    };
    match state {
        DaemonState::Draining => {
            return Err(CliError::new("ally is just being stopped")
                .code(Code::Temporary)
                .hint("等它停下来，再运行 `ally start`", "run `ally start` again when it has ended"));
        }
        DaemonState::Running => {}
        _ => {
            let logged = std::fs::metadata(paths.daemon_log()).map_or(0, |found| found.len());
            wait_ready(context, paths, None, timeout, logged).await?;
        }
    }
    let pid = pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    output::note(&context.say(&format!("ally 已在运行（pid {pid}）"), &format!("ally is already running (pid {pid})")));
    Ok(ExitCode::SUCCESS)
}

async fn wait_ready(
    context: &Context,
    paths: &Paths,
    mut child: Option<Child>,
    timeout: Duration,
    logged: u64,
) -> Result<StatusReport, CliError> {
    let mut progress = Progress::new(context.say("正在启动", "starting"));
    loop {
        if let Some(status) = child.as_mut().and_then(|child| child.try_wait().transpose()).transpose()? {
            progress.end();
            return Err(died(paths, status, logged));
        }
        if let Some(status) = ready(paths).await {
            progress.end();
            return Ok(status);
        }
        if progress.elapsed() > timeout {
            progress.end();
            let tail = tail(paths, logged);
            let message = format!("ally is not ready after {} s; it goes on trying\n{tail}", timeout.as_secs());
            return Err(CliError::new(message)
                .code(Code::Temporary)
                .hint("看 `ally logs` 和 `ally status`", "see `ally logs` and `ally status`"));
        }
        progress.tick();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The status of a daemon that is ready. A fresh client each time: the token changes with the daemon.
pub(super) async fn ready(paths: &Paths) -> Option<StatusReport> {
    let status: StatusReport = Client::connect(paths).ok()?.get("/v1/status").await.ok()?;
    (status.state == DaemonState::Running).then_some(status)
}

fn died(paths: &Paths, status: ExitStatus, logged: u64) -> CliError {
    let code = match status.code() {
        Some(78) => Code::Config,
        Some(75) => Code::Temporary,
        _ => Code::Failed,
    };
    CliError::new(format!("ally did not start ({status})\n{}", tail(paths, logged)))
        .code(code)
        .hint("完整日志：`ally logs`", "the whole log: `ally logs`")
}

/// The end of what the daemon said since it was started.
fn tail(paths: &Paths, logged: u64) -> String {
    let text = std::fs::read(paths.daemon_log()).unwrap_or_default();
    let fresh = text.get(usize::try_from(logged).unwrap_or(0)..).unwrap_or(&text);
    let fresh = String::from_utf8_lossy(fresh);
    let lines: Vec<&str> = fresh.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn tell(context: &Context, config: &Config, status: &StatusReport) {
    let channels: Vec<&str> = status.channels.iter().map(|channel| channel.name.as_str()).collect();
    let channels = if channels.is_empty() { "local".to_owned() } else { channels.join(", ") };
    output::note(&context.say(&format!("ally 已启动（{channels}）"), &format!("ally is running ({channels})")));
    if config.feishu.is_none() {
        let file = config.paths.env.display();
        output::note(&context.say(
            &format!("飞书还没有连接：运行 `ally setup`，或把应用凭据写进 {file} 再 `ally restart`。现在可以用 `ally chat`"),
            &format!("Feishu is not connected: run `ally setup`, or put the app's credentials into {file}, then `ally restart`. `ally chat` works now"),
        ));
    }
    for warning in &status.warnings {
        output::note(&output::paint(anstyle::AnsiColor::Yellow, &format!("! {warning}")));
    }
}
