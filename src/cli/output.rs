//! Small helpers for what is printed.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use tokio::time::Instant;

use super::error::CliError;
use crate::domain::plain::reveal;

/// Prints a line to stdout for a person. A reader that went away (`| head`) is no failure.
pub(super) fn line(text: &str) -> Result<(), CliError> {
    printed(writeln!(anstream::stdout().lock(), "{}", harmless(text)))
}

/// Prints a line to stdout for a program: as it is.
pub(super) fn raw(text: &str) -> Result<(), CliError> {
    printed(writeln!(io::stdout().lock(), "{text}"))
}

fn printed(result: io::Result<()>) -> Result<(), CliError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    raw(&serde_json::to_string_pretty(value).map_err(|error| CliError::new(error.to_string()))?)
}

/// Prints words for a person, where data goes elsewhere.
pub(super) fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{}", harmless(text));
}

/// Asks for something at the end of a line that stays open.
pub(super) fn prompt(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = write!(stderr, "{} ", harmless(text)).and_then(|()| stderr.flush());
}

/// Everything that a person is shown comes through here. What others wrote (messages, names, an agent's words) cannot
/// paint over the terminal or hide in it; of what [`paint`] and [`dim`] wrote the colours stay.
fn harmless(text: &str) -> String {
    const OURS: [&str; 5] = ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[2m", "\u{1b}[0m"];
    let (mut out, mut foreign) = (String::with_capacity(text.len()), 0);
    let mut at = 0;
    while let Some(found) = text[at..].find('\u{1b}') {
        at += found;
        match OURS.iter().find(|ours| text[at..].starts_with(**ours)) {
            Some(ours) => {
                out.push_str(&reveal(&text[foreign..at]));
                out.push_str(ours);
                at += ours.len();
                foreign = at;
            }
            None => at += 1,
        }
    }
    out.push_str(&reveal(&text[foreign..]));
    out
}

/// Text in a colour; `anstream` takes it out again where nobody would see it.
pub(super) fn paint(color: AnsiColor, text: &str) -> String {
    let style = Style::new().fg_color(Some(color.into()));
    format!("{style}{text}{style:#}")
}

/// Text that steps back.
pub(super) fn dim(text: &str) -> String {
    let style = Style::new().dimmed();
    format!("{style}{text}{style:#}")
}

/// An age as people say it.
pub(super) fn age(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min", seconds / 60),
        3600..=86_399 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Local time of day and date, `MM-DD HH:MM`.
pub(super) fn time(ms: i64) -> String {
    match chrono::DateTime::from_timestamp_millis(ms) {
        Some(time) => time.with_timezone(&chrono::Local).format("%m-%d %H:%M").to_string(),
        None => "?".to_owned(),
    }
}

/// A sign of life on stderr while something takes longer than a second.
pub(super) struct Progress {
    what: String,
    since: Instant,
    shown: u64,
    tty: bool,
}

impl Progress {
    pub(super) fn new(what: String) -> Self {
        Self { what, since: Instant::now(), shown: 0, tty: io::stderr().is_terminal() }
    }

    /// To be called several times a second.
    pub(super) fn tick(&mut self) {
        let seconds = self.since.elapsed().as_secs();
        if seconds <= self.shown {
            return;
        }
        let mut stderr = io::stderr().lock();
        let _ = match (self.tty, self.shown) {
            (_, 0) => write!(stderr, "{} …", self.what),
            (true, _) => write!(stderr, "."),
            (false, _) => Ok(()),
        };
        let _ = stderr.flush();
        self.shown = seconds;
    }

    /// From now on it is something else that takes its time.
    pub(super) fn becomes(&mut self, what: String) {
        if self.what == what || self.shown == u64::MAX {
            return;
        }
        if self.shown > 0 {
            eprintln!();
        }
        (self.what, self.shown) = (what, 0);
    }

    /// Ends the line, if one was begun.
    pub(super) fn end(&mut self) {
        if self.shown > 0 {
            eprintln!();
        }
        self.shown = u64::MAX;
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown != u64::MAX {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_colours_reach_the_terminal() {
        for color in [AnsiColor::Red, AnsiColor::Green, AnsiColor::Yellow] {
            let painted = paint(color, "x");
            assert_eq!(harmless(&painted), painted);
        }
        assert_eq!(harmless(&dim("x")), dim("x"));
        let hostile = format!("{}\u{1b}]0;title\u{7}\u{1b}[8mhidden\u{202e}", dim("a\u{9b}2Jb"));
        let shown = harmless(&hostile);
        assert_eq!(shown, format!("{}⟦U+001B⟧]0;title⟦U+0007⟧⟦U+001B⟧[8mhidden⟦U+202E⟧", dim("a⟦U+009B⟧2Jb")));
    }

    #[test]
    fn ages() {
        for (ms, want) in [(999, "0 s"), (61_000, "1 min"), (3_700_000, "1 h 1 min"), (200_000_000, "2 d"), (-5, "0 s")]
        {
            assert_eq!(age(ms), want);
        }
    }
}
