//! `ally turns`: what was asked and what came of it.

use std::process::ExitCode;

use super::Context;
use super::error::CliError;
use super::output;
use crate::control::{TurnDetail, TurnRow};
use crate::domain::plain::in_one_line;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only tasks with a message that could not be delivered
    #[arg(long)]
    undelivered: bool,
    /// Only tasks that are not over
    #[arg(long)]
    active: bool,
    /// At most so many, newest first
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show one task with its whole request and answer
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let client = context.client()?;
    if let Some(Verb::Show { id }) = &args.verb {
        if !id.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            return Err(CliError::new(format!("{id} is not a task's id"))
                .hint("`ally turns` 列出任务", "`ally turns` lists them"));
        }
        let turn: TurnDetail = client.get(&format!("/v1/turns/{id}")).await?;
        if args.json {
            output::json(&turn)?
        } else {
            show(context, &turn)?
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (undelivered, active, limit) = (args.undelivered, args.active, args.limit);
    let path = format!("/v1/turns?undelivered={undelivered}&active={active}&limit={limit}");
    let rows: Vec<TurnRow> = client.get(&path).await?;
    if args.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        output::note(&context.say("没有任务", "no tasks"));
    }
    for row in &rows {
        output::line(&row_line(row))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row_line(row: &TurnRow) -> String {
    let state = row.outcome.as_deref().unwrap_or(&row.state);
    let undelivered = match row.undelivered {
        0 => String::new(),
        n => format!("  [{n} undelivered]"),
    };
    let time = output::time(row.created_at_ms);
    let [chat, requester, title] = [&row.chat, &row.requester, &row.title].map(|text| in_one_line(text));
    format!("{}  {time}  {state:<11}  {chat}  {requester}  {title}{undelivered}", row.id)
}

fn show(context: &Context, turn: &TurnDetail) -> Result<(), CliError> {
    output::line(&row_line(&turn.row))?;
    output::line(&format!("directory  {}", turn.directory))?;
    output::line(&format!("runtime    {}", turn.runtime))?;
    for delivery in &turn.deliveries {
        output::line(&format!("delivery   {delivery}"))?;
    }
    if let Some(failure) = &turn.failure {
        output::line(&format!("failure    {failure}"))?;
    }
    output::line(&format!("\n{}\n{}", context.say("— 请求", "— request"), turn.prompt))?;
    if let Some(answer) = &turn.answer {
        output::line(&format!("\n{}\n{answer}", context.say("— 答案", "— answer")))?;
    }
    Ok(())
}
