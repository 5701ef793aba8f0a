//! `ally stop`: says what it cuts, waits, and leaves nothing behind.

use std::process::ExitCode;
use std::time::Duration;

use rustix::process::Signal;

use super::Context;
use super::error::CliError;
use super::output::{self, Progress};
use crate::config::Paths;
use crate::control::{Client, DrainPreview, DrainRequest, StatusReport, TurnRow};
use crate::domain::plain::in_one_line;
use crate::ledger;
use crate::supervisor::{self, Presence};

/// Beyond what the supervisor gives the bridge: for itself and what is left behind.
const MORE: Duration = Duration::from_secs(5);

/// How often it is looked what is left.
const EVERY: Duration = Duration::from_secs(1);

/// Tasks that are listed; of the others the number is told.
const LISTED: usize = 30;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Do not wait for running tasks
    #[arg(long)]
    pub(super) now: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let paths = context.paths()?;
    if gone(&paths) {
        let note = match end_left(&paths).await {
            0 => context.say("ally 没有在运行", "ally is not running"),
            left => context.say(
                &format!("ally 没有在运行；结束了 {left} 个遗留的进程"),
                &format!("ally is not running; ended what was left behind ({left})"),
            ),
        };
        output::note(&note);
        return Ok(ExitCode::SUCCESS);
    }
    let grace = announce(context, &paths, args.now).await;
    end(context, &paths, grace, args.now).await?;
    end_left(&paths).await;
    output::note(&context.say("ally 已停止", "ally has stopped"));
    Ok(ExitCode::SUCCESS)
}

/// Neither a supervisor, nor a bridge that outlived one: that ends by itself, with its own grace.
fn gone(paths: &Paths) -> bool {
    supervisor::presence(paths) == Presence::Stopped && supervisor::left_bridge(paths).is_none()
}

/// Ends commands that outlived everybody. A ledger that cannot be read does not tell its mark: the next start looks again.
async fn end_left(paths: &Paths) -> usize {
    // Somebody else (a service manager) may have started it anew: then everything is theirs.
    if !gone(paths) {
        return 0;
    }
    match ledger::report::offline(&paths.ledger, ledger::said::id) {
        Ok(Some(Some(id))) => supervisor::end_marked(&id).await,
        _ => 0,
    }
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
        list(context, &preview.running);
    }
    if !preview.waiting.is_empty() {
        output::note(&context.say(
            "等人回答的任务会中断，之后可以接着做：",
            "waiting for a person; interrupted, and can be continued later:",
        ));
        list(context, &preview.waiting);
    }
    if preview.queued > 0 {
        let queued = preview.queued;
        output::note(&context.say(&format!("{queued} 个排队的任务会保留"), &format!("{queued} queued tasks are kept")));
    }
}

fn list(context: &Context, rows: &[TurnRow]) {
    for line in listed(context, rows) {
        output::note(&line);
    }
}

fn listed(context: &Context, rows: &[TurnRow]) -> Vec<String> {
    let mut lines: Vec<String> = rows
        .iter()
        .take(LISTED)
        .map(|row| {
            let [chat, requester, title] = [&row.chat, &row.requester, &row.title].map(|text| in_one_line(text));
            format!("  {chat}  {requester}  {title}")
        })
        .collect();
    if let Some(more) = rows.len().checked_sub(LISTED).filter(|more| *more > 0) {
        lines.push(context.say(&format!("  还有 {more} 个"), &format!("  and {more} more")));
    }
    lines
}

/// TERM, TERM again (at once), KILL; each with its time.
async fn end(context: &Context, paths: &Paths, grace: Duration, now: bool) -> Result<(), CliError> {
    let mut progress = Progress::new(context.say("正在停止", "stopping"));
    let gentle = if now { supervisor::AFTER_GRACE } else { grace + supervisor::AFTER_GRACE };
    let steps = [(Step::Gentle, gentle + MORE), (Step::AtOnce, supervisor::AFTER_TERM + MORE), (Step::Kill, MORE)];
    let mut asked = Duration::ZERO;
    for (step, patience) in steps {
        press(paths, step, now);
        let until = progress.elapsed() + patience;
        while progress.elapsed() < until {
            if gone(paths) {
                return Ok(());
            }
            if progress.elapsed() >= asked + EVERY {
                asked = progress.elapsed();
                if let Some(left) = left(paths).await.filter(|left| *left > 0) {
                    let (zh, en) = (format!("正在停止，还有 {left} 个任务"), format!("stopping, {left} tasks left"));
                    progress.becomes(context.say(&zh, &en));
                }
            }
            progress.tick();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Err(CliError::new(format!("ally (pid {}) does not end", pid_in_words(paths)))
        .hint("看 `ally logs`；必要时自己结束这个进程", "see `ally logs`; end the process by hand if you must"))
}

/// Tasks that have not ended yet, as long as there is somebody who can tell.
async fn left(paths: &Paths) -> Option<u64> {
    let asked = async { Client::connect(paths)?.get::<StatusReport>("/v1/status").await };
    let status = tokio::time::timeout(EVERY, asked).await.ok()?.ok()?;
    Some(status.turns.submitting + status.turns.running + status.turns.waiting)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Gentle,
    AtOnce,
    Kill,
}

fn press(paths: &Paths, step: Step, now: bool) {
    let with = if step == Step::Kill { Signal::KILL } else { Signal::TERM };
    let above = match supervisor::presence(paths) {
        Presence::Running { pid } => {
            pid.into_iter().for_each(|pid| supervisor::signal(pid, with));
            true
        }
        Presence::Stopped => false,
    };
    // The bridge is its supervisor's business; one that lost it drains by itself, and TERM would take back its grace.
    let heeds = if above { step == Step::Kill } else { now || step != Step::Gentle };
    if heeds && let Some(bridge) = supervisor::left_bridge(paths) {
        supervisor::signal(bridge, with);
    }
}

fn pid_in_words(paths: &Paths) -> String {
    let pid = match supervisor::presence(paths) {
        Presence::Running { pid } => pid,
        Presence::Stopped => supervisor::left_bridge(paths),
    };
    pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::domain::view::Lang;

    #[test]
    fn what_is_not_listed_is_counted() {
        let context = Context { environment: Environment::default(), lang: Lang::En };
        let row = TurnRow {
            id: "t".into(),
            conversation: "c".into(),
            chat: "feishu oc_1".to_owned(),
            state: "running".to_owned(),
            outcome: None,
            requester: "Li".to_owned(),
            title: "build".to_owned(),
            created_at_ms: 0,
            settled_at_ms: None,
            undelivered: 0,
        };
        assert_eq!(listed(&context, &vec![row.clone(); LISTED]).len(), LISTED);
        assert_eq!(listed(&context, &vec![row; LISTED + 3]).last().map(String::as_str), Some("  and 3 more"));
    }
}
