//! What is asked in the terminal. Every question can be left with `q`, and everything that was answered is kept.

use std::io::Write;

use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use crate::cli::Context;
use crate::cli::answer::Hidden;
use crate::cli::error::CliError;
use crate::cli::output::{self, dim};

/// Why a step did not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Somebody left: what is done is kept.
    Left,
    /// An administrator of the organisation has to do something first.
    Waits,
    /// It did not work.
    Failed(CliError),
}

impl<E> From<E> for Stop
where
    CliError: From<E>,
{
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

/// A person at a terminal, or nobody: then every question has its default.
pub(super) struct Ask {
    lines: Option<Lines<BufReader<Stdin>>>,
}

impl Ask {
    pub(super) fn person() -> Self {
        Self { lines: Some(BufReader::new(tokio::io::stdin()).lines()) }
    }

    pub(super) fn nobody() -> Self {
        Self { lines: None }
    }

    pub(super) fn is_person(&self) -> bool {
        self.lines.is_some()
    }

    /// The next line, whenever it comes; never where nobody is there.
    pub(super) async fn typed(&mut self) -> Result<String, Stop> {
        let Some(lines) = &mut self.lines else { return std::future::pending().await };
        match lines.next_line().await.map_err(CliError::from)? {
            Some(line) if line.trim().eq_ignore_ascii_case("q") => Err(Stop::Left),
            Some(line) => Ok(line.trim().to_owned()),
            // Nobody will answer any more.
            None => Err(Stop::Left),
        }
    }

    /// One line. Empty where nobody is there.
    pub(super) async fn line(&mut self, question: &str) -> Result<String, Stop> {
        if self.lines.is_none() {
            return Ok(String::new());
        }
        output::prompt(question);
        self.typed().await
    }

    /// One line that the terminal does not show.
    pub(super) async fn hidden(&mut self, question: &str) -> Result<String, Stop> {
        if self.lines.is_none() {
            return Ok(String::new());
        }
        let hidden = Hidden::begin()?;
        output::prompt(question);
        let typed = self.typed().await;
        drop(hidden);
        output::note("");
        typed
    }

    /// One of some, counted from 1; `default` is what Enter means.
    pub(super) async fn choose(
        &mut self,
        context: &Context,
        question: &str,
        options: &[String],
        default: usize,
    ) -> Result<usize, Stop> {
        if self.lines.is_none() {
            return Ok(default);
        }
        output::note(question);
        for (at, option) in options.iter().enumerate() {
            output::note(&format!("  {} {option}", at + 1));
        }
        loop {
            let typed = self.line(&format!("[{default}]:")).await?;
            let chosen = if typed.is_empty() { Some(default) } else { typed.parse().ok() };
            match chosen.filter(|n| (1..=options.len()).contains(n)) {
                Some(n) => return Ok(n),
                None => output::note(&context.say(
                    &format!("请输入 1 到 {}，或 q 离开", options.len()),
                    &format!("type a number from 1 to {}, or q to leave", options.len()),
                )),
            }
        }
    }

    /// Yes or no; `default` is what Enter means, and what holds where nobody is there.
    pub(super) async fn yes(&mut self, context: &Context, question: &str, default: bool) -> Result<bool, Stop> {
        loop {
            let answer = self.line(&format!("{question} {}", if default { "[Y/n]" } else { "[y/N]" })).await?;
            match answer.to_lowercase().as_str() {
                "" => return Ok(default),
                "y" | "yes" | "是" => return Ok(true),
                "n" | "no" | "否" => return Ok(false),
                _ => output::note(&context.say("请输入 y 或 n", "type y or n")),
            }
        }
    }
}

/// How to leave, behind a question that waits for Enter alone.
pub(super) fn or_leave(context: &Context, enter: &str) -> String {
    format!("{enter} {}", dim(&context.say("· q 离开", "· q to leave")))
}

/// A line that is written over by the next one, on a terminal.
pub(super) fn over(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Nothing better can be done than trying.
    let _ = write!(stderr, "\r\u{1b}[K{text}").and_then(|()| stderr.flush());
}
