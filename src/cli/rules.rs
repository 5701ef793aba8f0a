//! `ally rules`: what was allowed for longer than once, and its end.

use std::process::ExitCode;

use super::Context;
use super::error::CliError;
use super::output;
use crate::clock::Clock;
use crate::control::{ClientError, RuleRow};
use crate::domain::plain::in_one_line;
use crate::ledger::{self, Transaction};
use crate::words::covers;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the rules in force
    List,
    /// End a rule: what it covered is asked about again
    Revoke {
        /// Its number, like R7
        rule: String,
    },
}

impl Args {
    pub(super) fn only_looks(&self) -> bool {
        !matches!(self.verb, Some(Verb::Revoke { .. }))
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    if let Some(Verb::Revoke { rule }) = &args.verb {
        let Ok(number) = rule.trim_start_matches(['R', 'r']).parse::<i64>() else {
            return Err(CliError::new(format!("{rule} is not a rule's number"))
                .hint("`ally rules` 列出规则", "`ally rules` lists them"));
        };
        match context.client()?.post(&format!("/v1/rules/{number}/revoke"), &()).await {
            Ok(()) => {}
            Err(ClientError::Refused { status: 404, error }) => {
                return Err(CliError::new(error).hint("`ally rules` 列出规则", "`ally rules` lists them"));
            }
            Err(error) => return Err(error.into()),
        }
        output::note(&context.say(
            &format!("规则 R{number} 已撤销，以后会再问"),
            &format!("rule R{number} is revoked; it is asked about again"),
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let now = Clock::default().now_ms();
    let listed = |tx: &Transaction<'_>| {
        Ok(ledger::rules::listed(tx, None, now)?.into_iter().map(crate::app::rule_row).collect::<Vec<_>>())
    };
    let rows: Vec<RuleRow> = context.look("/v1/rules", listed).await?;
    if args.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        output::note(&context.say("没有规则", "no rules"));
    }
    for row in &rows {
        output::line(&line(context, row))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(context: &Context, row: &RuleRow) -> String {
    let what = in_one_line(&covers(&row.subject, &row.directory, row.sandboxed, context.lang));
    let until = match row.until_ms {
        Some(ms) => context.say(&format!("到 {}", output::time(ms)), &format!("until {}", output::time(ms))),
        None => context.say("到任务结束", "until its task ends"),
    };
    let used = match row.last_used_ms {
        Some(ms) => {
            let (n, at) = (row.uses, output::time(ms));
            context.say(&format!("用过 {n} 次，最后 {at}"), &format!("used {n} times, last {at}"))
        }
        None => context.say("还没有用过", "never used"),
    };
    let [chat, who] = [&row.chat, &row.made_by].map(|text| in_one_line(text));
    format!("R{:<4} {what}  {}  {until}  {used}  {who}  {chat}", row.number, row.class)
}
