//! `ally pair`: a code by which the owner is recognised.

use std::process::ExitCode;

use serde_json::json;

use super::Context;
use super::error::CliError;
use super::output;
use crate::control::PairCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let code: PairCode = context.client()?.post("/v1/pair", &json!({})).await?;
    if args.json {
        output::json(&code)?;
    } else {
        output::line(&code.code)?;
        output::note(&context.say(
            "在飞书里私聊机器人发这个码：10 分钟内有效，只能用一次。发的人成为所有者",
            "send the bot this code in a direct chat: valid 10 minutes, once. Whoever sends it becomes the owner",
        ));
    }
    Ok(ExitCode::SUCCESS)
}
