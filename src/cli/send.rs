//! `ally send`: words or a file from this computer into a chat, for people and for their scripts.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Context;
use super::error::CliError;
use super::output;
use crate::control::{ClientError, SendReport, SendRequest};
use crate::domain::ids::{ChannelName, ChatId};
use crate::domain::tool::TEXT_CHARS;

const EXAMPLES: &str = "\
Examples:
  ally send \"the backup is done\"
  make 2>&1 | tail -20 | ally send -
  ally send --to feishu:oc_… --file report.pdf \"this week's report\"

What is sent waits in the outbox until the chat has it, also over a restart. `ally status` shows what waits.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("what").args(["text", "file"]).required(true).multiple(true)))]
pub(super) struct Args {
    /// What to say, in Markdown; `-` reads it from the standard input
    text: Option<String>,
    /// Where to: the owner's own chat, or a chat as CHANNEL:CHAT, like feishu:oc_…
    #[arg(long, default_value = "owner", value_name = "owner|CHANNEL:CHAT", value_parser = parse_to)]
    to: To,
    /// Send a file; behind the text, where there is one
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    Owner,
    Chat(ChannelName, ChatId),
}

fn parse_to(text: &str) -> Result<To, String> {
    match text.split_once(':') {
        None if text == "owner" => Ok(To::Owner),
        Some((channel, chat)) if !channel.is_empty() && !chat.is_empty() => Ok(To::Chat(channel.into(), chat.into())),
        _ => Err("write `owner`, or a channel and a chat like feishu:oc_…".to_owned()),
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let text = match args.text.as_deref() {
        Some("-") => Some(from_stdin()?),
        text => text.map(str::to_owned),
    };
    // The daemon works elsewhere.
    let file = args.file.as_deref().map(std::path::absolute).transpose()?;
    let to = match &args.to {
        To::Owner => None,
        To::Chat(channel, chat) => Some((channel.clone(), chat.clone())),
    };
    let sent: Result<SendReport, ClientError> =
        context.client()?.post("/v1/send", &SendRequest { to, text, file }).await;
    let report = sent.map_err(|error| match error {
        ClientError::Refused { status: 404, error } => CliError::new(error).hint(
            "先在那个聊天里给机器人发一句话；所有者还没有确定时运行 `ally pair`",
            "write to the bot in that chat first; where no owner is known yet, run `ally pair`",
        ),
        ClientError::Refused { status: 409, error } => {
            CliError::new(error).hint("`ally send --help` 有例子", "`ally send --help` has examples")
        }
        error => error.into(),
    })?;
    if args.json {
        output::json(&report)?;
    } else {
        let (channel, chat, n) = (&report.channel, &report.chat, report.messages.len());
        output::note(&context.say(
            &format!("已放进发件箱：{n} 条，发到 {channel}:{chat}"),
            &format!("in the outbox: {n} for {channel}:{chat}"),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// No more than could be sent: a program that writes without end is not read to its end.
fn from_stdin() -> Result<String, CliError> {
    let most = 4 * TEXT_CHARS as u64 + 4;
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to() {
        assert_eq!(parse_to("owner"), Ok(To::Owner));
        assert_eq!(parse_to("feishu:oc_1"), Ok(To::Chat("feishu".into(), "oc_1".into())));
        for wrong in ["oc_1", "feishu:", ":oc_1", ""] {
            assert!(parse_to(wrong).is_err(), "{wrong}");
        }
    }
}
