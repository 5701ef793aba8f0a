//! `ally chat --say`: one message, its answer on stdout and nothing else there.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::follow::{Follow, News};
use super::session::Session;
use crate::cli::error::{CliError, Code};
use crate::cli::output::{dim, line, note};
use crate::control::ClientError;
use crate::domain::ids::{ButtonId, MessageId};
use crate::domain::view::Lang;

/// After "it is over": what was on its way has arrived by then.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(10);

/// Sends `text` and waits. `wanted` answers what the agent asks for.
pub(super) async fn run(
    session: &mut Session,
    lang: Lang,
    text: &str,
    wanted: Option<bool>,
    timeout: Duration,
) -> Result<ExitCode, CliError> {
    let mine = session.say(text).await?;
    let mut follow = Follow::new(mine, text, lang);
    let mut until = Instant::now() + timeout;
    let mut over: Option<bool> = None;
    loop {
        let event = match timeout_at(until, session.next()).await {
            Ok(event) => event?,
            Err(_) => return ended(over, timeout),
        };
        match follow.on(&event) {
            News::Answer { text, last } => {
                line(&text)?;
                if last {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            News::Told(text) => note(&text),
            News::Progress(text) => note(&dim(&text)),
            News::Asked { card, text, allow, decline } => {
                note(&text);
                let button = match wanted {
                    Some(true) => allow,
                    Some(false) => decline,
                    None => None,
                };
                press(session, &follow, &card, button, wanted).await?;
            }
            News::Over { ok, text } => {
                if let Some(text) = text {
                    note(&text);
                }
                over = Some(over.unwrap_or(true) && ok);
                until = until.min(Instant::now() + LAST_WORDS);
            }
            News::Nothing => {}
        }
    }
}

async fn press(
    session: &Session,
    follow: &Follow,
    card: &MessageId,
    button: Option<ButtonId>,
    wanted: Option<bool>,
) -> Result<(), ClientError> {
    match button {
        Some(button) => {
            if let Some(toast) = session.click(card, &button, follow.lang()).await? {
                note(&toast);
            }
        }
        None => note(match (follow.lang(), wanted) {
            (Lang::Zh, _) => "等你决定：在另一个终端里 `ally chat --say y`（或 n、选项、答案），或者用 --yes / --no",
            (Lang::En, _) => {
                "waits for you: in another terminal `ally chat --say y` (or n, an option, an answer), or use --yes / --no"
            }
        }),
    }
    Ok(())
}

pub(super) fn ended(over: Option<bool>, timeout: Duration) -> Result<ExitCode, CliError> {
    match over {
        Some(true) => Ok(ExitCode::SUCCESS),
        Some(false) => Err(CliError::new("the task did not finish").hint(
            "`ally turns` 列出任务；`ally turns show ID` 看详情",
            "`ally turns` lists tasks; `ally turns show ID` shows one",
        )),
        None => Err(CliError::new(format!("no answer within {} s; the task goes on", timeout.as_secs()))
            .code(Code::Temporary)
            .hint("`ally turns` 看进展，`ally chat` 接着聊", "`ally turns` shows how it goes, `ally chat` joins in")),
    }
}
