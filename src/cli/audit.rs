//! `ally audit`: who decided and changed what.

use std::process::ExitCode;

use super::Context;
use super::error::CliError;
use super::output;
use crate::clock::Clock;
use crate::control::AuditRow;
use crate::domain::command::span_ms;
use crate::domain::plain::in_one_line;
use crate::ledger::{self, Transaction};
use crate::words;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How far back: 12h, 7d, 2w
    #[arg(long, default_value = "7d", value_parser = span)]
    since: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn span(text: &str) -> Result<i64, String> {
    span_ms(text).ok_or_else(|| "a span is a number with h, d or w, like 7d".to_owned())
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let since_ms = Clock::default().now_ms() - args.since;
    let offline = |tx: &Transaction<'_>| {
        let lines = ledger::audit::since(tx, None, since_ms, crate::app::AUDIT_ROWS)?;
        Ok(lines.into_iter().map(crate::app::audit_row).collect::<Vec<_>>())
    };
    let rows: Vec<AuditRow> = context.look(&format!("/v1/audit?since_ms={since_ms}"), offline).await?;
    if args.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        output::note(&context.say("没有记录", "nothing was decided or changed"));
    }
    for row in &rows {
        output::line(&line(context, row))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(context: &Context, row: &AuditRow) -> String {
    let who = words::audit_who(&row.who, context.lang).map(str::to_owned);
    let who = who.or_else(|| row.name.clone()).unwrap_or_else(|| row.who.clone());
    let what = words::audit(&row.what, &row.detail, context.lang);
    let chat = row.chat.as_deref().unwrap_or_default();
    let parts = [who.as_str(), &what, &row.about, chat].map(in_one_line);
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    format!("{}  {}", output::time(row.at_ms), parts.join("  "))
}
