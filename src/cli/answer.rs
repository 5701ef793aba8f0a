//! `ally answer`: answers an agent's question on the computer, so that a secret passes through no chat.

use std::io::IsTerminal;
use std::process::ExitCode;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Stdin};

use super::Context;
use super::error::CliError;
use super::output;
use crate::control::{AnswerReport, AnswerRequest, ClientError, GateRow};
use crate::domain::gate::Question;
use crate::domain::plain::in_one_line;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The question's number, as its card shows it; without one, the open questions are listed
    number: Option<String>,
    /// Only questions of this chat
    #[arg(long)]
    chat: Option<String>,
    /// The conversation, where several have a question of this number
    #[arg(long)]
    conversation: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let client = context.client()?;
    let rows: Vec<GateRow> = client.get("/v1/gates").await?;
    let here = |row: &GateRow| {
        args.chat.as_ref().is_none_or(|chat| *chat == row.chat)
            && args.conversation.as_ref().is_none_or(|id| row.conversation.as_str().starts_with(id.as_str()))
    };
    let rows: Vec<GateRow> = rows.into_iter().filter(here).collect();
    let Some(number) = &args.number else { return list(context, args, rows) };
    let gate = pick(context, number, rows)?;
    let answers = ask(context, &gate).await?;
    let path = format!("/v1/gates/{}/answer", gate.id);
    let report: AnswerReport = match client.post(&path, &AnswerRequest { answers }).await {
        Err(ClientError::Refused { status: 404, .. }) => return Err(none(number)),
        answered => answered?,
    };
    if args.json {
        output::json(&report)?;
    } else {
        output::note(&report.told);
    }
    Ok(ExitCode::SUCCESS)
}

fn list(context: &Context, args: &Args, mut rows: Vec<GateRow>) -> Result<ExitCode, CliError> {
    rows.retain(|row| !row.questions.is_empty());
    if args.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        output::note(&context.say("没有问题在等回答", "no question waits for an answer"));
    }
    for row in &rows {
        output::line(&line(row))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(row: &GateRow) -> String {
    let [chat, what] = [&row.chat, &row.what].map(|text| in_one_line(text));
    format!("#{:<4} {what}  {chat}  {}", row.number, row.conversation)
}

fn none(number: &str) -> CliError {
    CliError::new(format!("no open question has the number {number}"))
        .hint("`ally answer` 列出在等的问题", "`ally answer` lists the questions that wait")
}

/// The one open question of this number.
fn pick(context: &Context, number: &str, rows: Vec<GateRow>) -> Result<GateRow, CliError> {
    let Ok(wanted) = number.trim_start_matches('#').parse::<i64>() else {
        return Err(none(&in_one_line(number)));
    };
    let (mut questions, requests): (Vec<GateRow>, Vec<GateRow>) =
        rows.into_iter().filter(|row| row.number == wanted).partition(|row| !row.questions.is_empty());
    match (questions.pop(), questions.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            questions.push(last);
            for row in &questions {
                output::note(&line(row));
            }
            Err(CliError::new(format!("several conversations have a question #{wanted}"))
                .hint("加上 --conversation 和上面的一个编号", "add --conversation with one of the ids above"))
        }
        (None, _) if !requests.is_empty() => Err(CliError::new(context.say(
            &format!("#{wanted} 是要批准的请求，不是问题"),
            &format!("#{wanted} is a request to allow, not a question"),
        ))
        .hint("在聊天里决定：那里看得到全部内容", "decide it in its chat: all of it is to be seen there")),
        (None, _) => Err(none(number)),
    }
}

/// Reads a line for each question, where what is secret is not shown; from a pipe the only question takes all of it.
async fn ask(context: &Context, gate: &GateRow) -> Result<Vec<String>, CliError> {
    let person = std::io::stdin().is_terminal();
    let mut lines = BufReader::new(tokio::io::stdin());
    let mut answers = Vec::new();
    for question in &gate.questions {
        if person {
            show(context, question);
        }
        let hidden = if person && question.secret { Some(Hidden::begin()?) } else { None };
        let answer = tokio::select! {
            answer = read(&mut lines, !person && gate.questions.len() == 1) => answer,
            // The terminal shows again what is typed, before anything ends.
            _ = tokio::signal::ctrl_c() => Err(CliError::new(context.say("已取消，没有回答", "cancelled; nothing was answered"))),
        };
        if hidden.is_some() {
            drop(hidden);
            output::note("");
        }
        answers.push(answer?);
    }
    if answers.iter().all(|answer| answer.trim().is_empty()) {
        return Err(CliError::new(context.say("没有写答案", "no answer was given")));
    }
    Ok(answers)
}

async fn read(lines: &mut BufReader<Stdin>, whole: bool) -> Result<String, CliError> {
    let mut text = String::new();
    if whole {
        lines.read_to_string(&mut text).await?;
    } else {
        lines.read_line(&mut text).await?;
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn show(context: &Context, question: &Question) {
    output::note(&question.text);
    for (at, option) in question.options.iter().enumerate() {
        output::note(&format!("  {} {}", at + 1, in_one_line(&option.label)));
    }
    if question.secret {
        output::note(&output::dim(&context.say("输入不会显示；回车结束", "what you type is not shown; Enter ends it")));
    }
}

/// While it lives the terminal does not show what is typed.
pub(super) struct Hidden(Termios);

impl Hidden {
    pub(super) fn begin() -> Result<Self, CliError> {
        let before = tcgetattr(std::io::stdin()).map_err(std::io::Error::from)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).map_err(std::io::Error::from)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing better can be done than trying.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
