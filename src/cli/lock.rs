//! `ally lock` and `ally unlock`: the owner's switch for everything.

use std::process::ExitCode;

use super::Context;
use super::error::CliError;
use super::output;
use crate::control::{LockReport, LockRequest};
use crate::domain::plain::in_one_line;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args, locked: bool) -> Result<ExitCode, CliError> {
    let report: LockReport = context.client()?.post("/v1/lock", &LockRequest { locked }).await?;
    if args.json {
        output::json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (n, queued) = (report.cut.len(), report.queued);
    output::note(&match (locked, report.changed) {
        (true, true) => context.say(
            &format!("已暂停：要求停止的任务 {n} 个，排队的 {queued} 条留着。`ally unlock` 继续"),
            &format!("paused: {n} tasks are asked to stop, {queued} queued ones stay. `ally unlock` lets it go on"),
        ),
        (true, false) => context.say("已经暂停了", "it is paused already"),
        (false, true) => context.say(
            &format!("已解除暂停，排队的 {queued} 条继续；暂停时停止的任务 {n} 个"),
            &format!("no longer paused; {queued} queued ones go on. Tasks that the pause stopped: {n}"),
        ),
        (false, false) => context.say("没有暂停", "it is not paused"),
    });
    for row in &report.cut {
        let [who, title] = [&row.requester, &row.title].map(|text| in_one_line(text));
        output::line(&format!("{}  {who}  {title}", row.turn))?;
    }
    Ok(ExitCode::SUCCESS)
}
