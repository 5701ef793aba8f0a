//! `ally restored`: what waits since the ledger was put back to an earlier state, and what becomes of it.

use std::process::ExitCode;

use super::Context;
use super::error::CliError;
use super::output;
use crate::control::{ClientError, RestoredReport, RestoredRequest};
use crate::domain::plain::in_one_line;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Verb {
    /// List what waits for a decision
    List,
    /// Let all of it go on: what was done already is done a second time
    Continue,
    /// Drop all of it: nothing of it is done or sent
    Dismiss,
}

impl Args {
    pub(super) fn only_looks(&self) -> bool {
        !matches!(self.verb, Some(Verb::Continue | Verb::Dismiss))
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let report = match args.verb {
        Some(verb @ (Verb::Continue | Verb::Dismiss)) => {
            decide(context, matches!(verb, Verb::Continue), args.json).await?
        }
        None | Some(Verb::List) => list(context, args.json).await?,
    };
    if args.json {
        output::json(&report)?;
    } else {
        for row in &report.tasks {
            let [who, title] = [&row.requester, &row.title].map(|text| in_one_line(text));
            output::line(&format!("{}  {who}  {title}", row.turn))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context, json: bool) -> Result<RestoredReport, CliError> {
    let report: RestoredReport = context.look("/v1/restored", crate::app::restored_report).await?;
    if json {
        return Ok(report);
    }
    let (tasks, messages, inbound) = (report.tasks.len(), report.messages, report.inbound);
    output::note(&match report.at_ms {
        None => context.say("没有要决定的", "nothing waits for a decision"),
        Some(at_ms) => {
            let at = output::time(at_ms);
            context.say(
                &format!(
                    "账本在 {at} 回到了以前的状态，停着的：{tasks} 个任务，{messages} 条待发，{inbound} 条待处理。`ally restored continue` 接着做，结果可能重复；`ally restored dismiss` 全部放弃"
                ),
                &format!(
                    "the ledger was put back on {at}; what waits: {tasks} tasks, {messages} unsent and {inbound} unread messages. `ally restored continue` lets it go on, and answers may come twice; `ally restored dismiss` drops it all"
                ),
            )
        }
    });
    Ok(report)
}

async fn decide(context: &Context, go_on: bool, json: bool) -> Result<RestoredReport, CliError> {
    let decided = context.client()?.post("/v1/restored", &RestoredRequest { go_on }).await;
    let report: RestoredReport = match decided {
        Ok(report) => report,
        Err(ClientError::Refused { status: 404, error }) => {
            return Err(CliError::new(error).hint("`ally restored` 看有没有停着的", "`ally restored` lists what waits"));
        }
        Err(error) => return Err(error.into()),
    };
    if json {
        return Ok(report);
    }
    let (tasks, messages, inbound) = (report.tasks.len(), report.messages, report.inbound);
    output::note(&match go_on {
        true => context.say(
            &format!("继续：{tasks} 个任务，{messages} 条待发，{inbound} 条待处理"),
            &format!("goes on: {tasks} tasks, {messages} unsent and {inbound} unread messages"),
        ),
        false => context.say(
            &format!("已放弃：{tasks} 个任务，{messages} 条待发，{inbound} 条待处理"),
            &format!("dropped: {tasks} tasks, {messages} unsent and {inbound} unread messages"),
        ),
    });
    Ok(report)
}
