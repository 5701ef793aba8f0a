//! `ally chat`: the local channel's terminal.

mod follow;
mod say;
mod session;
mod talk;

use std::process::ExitCode;
use std::time::Duration;

use super::Context;
use super::error::CliError;
use super::start::parse_timeout;
use crate::config::Paths;
use crate::domain::view::Lang;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Send one message, print the answer and leave
    #[arg(long, value_name = "TEXT")]
    say: Option<String>,
    /// Which chat: each has its own conversation
    #[arg(long, value_name = "NAME", default_value = "main", value_parser = parse_chat)]
    chat: String,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = parse_timeout)]
    timeout: Duration,
    /// Allow what the agent asks for (with --say)
    #[arg(long, requires = "say", conflicts_with = "no")]
    yes: bool,
    /// Decline what the agent asks for (with --say)
    #[arg(long, requires = "say")]
    no: bool,
}

fn parse_chat(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("a chat's name has at most 64 letters, digits, - and _".to_owned()),
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    in_home(&context.paths()?, context.lang, args).await
}

/// Also for the demo, whose home is another.
pub(super) async fn in_home(paths: &Paths, lang: Lang, args: &Args) -> Result<ExitCode, CliError> {
    let mut session = session::Session::open(paths.clone(), &args.chat).await?;
    match &args.say {
        Some(text) => {
            let wanted = match (args.yes, args.no) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            };
            say::run(&mut session, lang, text, wanted, args.timeout).await
        }
        None => talk::run(&mut session, lang, args.timeout).await,
    }
}

/// Arguments for the demo's chat.
pub(super) fn args_for_demo(say: Option<String>, yes: bool) -> Args {
    Args { say, chat: "main".to_owned(), timeout: Duration::from_secs(600), yes, no: false }
}
