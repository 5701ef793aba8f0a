//! A routine as people and agents write it: YAML, read by a parser that neither runs nor resolves anything and has bounds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use serde::Deserialize;

use super::{Misfire, Overlap, Place, Routine, Task, To, is_name};
use crate::domain::ids::{ChannelName, ChatId};
use crate::domain::level::Level;
use crate::domain::schedule::{self, Schedule, ScheduleError};

/// Longest text of a routine, in bytes.
pub const TEXT_BYTES: usize = 64 * 1024;
/// Most tries after the first.
pub const RETRIES: u32 = 10;

const WINDOW: Duration = Duration::from_secs(6 * 3600);
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Why a text is no routine. The sentences are `words::routine`'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutineError {
    Name {
        name: String,
    },
    TooLong {
        bytes: usize,
    },
    /// Not YAML, a key that is missing, unknown or of another kind. `detail` is the parser's, with line and column.
    Form {
        detail: String,
    },
    Schedule(ScheduleError),
    /// Neither words nor a skill.
    NoTask,
    /// A value that is none of those which the key can have.
    Choice {
        key: &'static str,
        value: String,
        choices: &'static [&'static str],
    },
    /// No length of time, or one under a minute or over a year.
    Span {
        key: &'static str,
        value: String,
    },
    TooManyRetries {
        value: u32,
    },
    Directory {
        path: PathBuf,
    },
}

impl From<ScheduleError> for RoutineError {
    fn from(error: ScheduleError) -> Self {
        RoutineError::Schedule(error)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schedule: String,
    zone: Option<String>,
    prompt: Option<String>,
    skill: Option<String>,
    conversation: Option<String>,
    to: Option<ToIn>,
    misfire: Option<String>,
    window: Option<String>,
    overlap: Option<String>,
    timeout: Option<String>,
    retries: Option<u32>,
    quiet: Option<bool>,
    directory: Option<PathBuf>,
    model: Option<String>,
    autonomy: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ToIn {
    Chat { channel: ChannelName, chat: ChatId },
    Word(String),
}

const MISFIRES: &[&str] = &["skip", "run_once", "all"];
const OVERLAPS: &[&str] = &["skip", "queue"];
const LEVELS: &[&str] = &["ask", "safe", "edit", "trusted"];

impl Routine {
    /// Reads the text of a routine. `here` is the machine's zone, which holds where the text names none.
    ///
    /// # Errors
    /// [`RoutineError`] names what is wrong, and nothing of the text is taken.
    pub fn parse(name: &str, text: &str, here: Tz) -> Result<Self, RoutineError> {
        if !is_name(name) {
            return Err(RoutineError::Name { name: name.to_owned() });
        }
        if text.len() > TEXT_BYTES {
            return Err(RoutineError::TooLong { bytes: text.len() });
        }
        let form = |error: serde_saphyr::Error| RoutineError::Form { detail: first_line(&error.to_string()) };
        let file: File = serde_saphyr::from_str(text).map_err(form)?;
        let zone = file.zone.as_deref().map_or(Ok(here), schedule::zone)?;
        Ok(Self {
            name: name.to_owned(),
            schedule: Schedule::parse(&file.schedule, zone)?,
            task: task(file.skill, file.prompt)?,
            place: match file.conversation.as_deref().map(str::trim) {
                None | Some("fresh") => Place::Fresh,
                Some(named) if is_name(named) => Place::Named(named.to_owned()),
                Some(other) => return Err(RoutineError::Name { name: other.to_owned() }),
            },
            to: match file.to {
                None => To::Owner,
                Some(ToIn::Word(word)) if word == "owner" => To::Owner,
                Some(ToIn::Word(value)) => return Err(choice("to", value, &["owner", "{channel: …, chat: …}"])),
                Some(ToIn::Chat { channel, chat }) => To::Chat { channel, chat },
            },
            misfire: match file.misfire.as_deref().unwrap_or("run_once") {
                "skip" => Misfire::Skip,
                "run_once" => Misfire::RunOnce,
                "all" => Misfire::All,
                other => return Err(choice("misfire", other, MISFIRES)),
            },
            window: span("window", file.window, WINDOW)?,
            overlap: match file.overlap.as_deref().unwrap_or("skip") {
                "skip" => Overlap::Skip,
                "queue" => Overlap::Queue,
                other => return Err(choice("overlap", other, OVERLAPS)),
            },
            timeout: span("timeout", file.timeout, TIMEOUT)?,
            retries: match file.retries.unwrap_or(0) {
                few if few <= RETRIES => few,
                value => return Err(RoutineError::TooManyRetries { value }),
            },
            quiet: file.quiet.unwrap_or(false),
            directory: file.directory.map(directory).transpose()?,
            model: file.model.map(|model| model.trim().to_owned()).filter(|model| !model.is_empty()),
            autonomy: match file.autonomy.as_deref() {
                None => Level::Safe,
                Some(word) => Level::parse(word).ok_or_else(|| choice("autonomy", word, LEVELS))?,
            },
        })
    }
}

fn task(skill: Option<String>, prompt: Option<String>) -> Result<Task, RoutineError> {
    let words = prompt.unwrap_or_default().trim().to_owned();
    match skill.map(|skill| skill.trim().to_owned()) {
        Some(name) if is_name(&name) => Ok(Task::Skill { name, with: words }),
        Some(name) => Err(RoutineError::Name { name }),
        None if words.is_empty() => Err(RoutineError::NoTask),
        None => Ok(Task::Prompt(words)),
    }
}

fn choice(key: &'static str, value: impl Into<String>, choices: &'static [&'static str]) -> RoutineError {
    RoutineError::Choice { key, value: value.into(), choices }
}

fn span(key: &'static str, value: Option<String>, default: Duration) -> Result<Duration, RoutineError> {
    match value {
        None => Ok(default),
        Some(value) => schedule::interval(&value).map_err(|_| RoutineError::Span { key, value }),
    }
}

/// A path that stands by itself: what it is relative to would depend on who reads it.
fn directory(path: PathBuf) -> Result<PathBuf, RoutineError> {
    let is_plain = |path: &Path| path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    if path.is_absolute() && is_plain(&path) { Ok(path) } else { Err(RoutineError::Directory { path }) }
}

/// What the reader of YAML says, without its picture of the place: it is told in one line.
fn first_line(told: &str) -> String {
    let line = told.lines().next().unwrap_or(told);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Routine, RoutineError> {
        Routine::parse("digest", text, Tz::Asia__Shanghai)
    }

    #[test]
    fn a_short_one_has_defaults_and_a_long_one_none() {
        let short = read("schedule: 30 2 * * *\nprompt: Say what happened.\n").unwrap();
        let schedule = Schedule::parse("30 2 * * *", Tz::Asia__Shanghai).unwrap();
        assert_eq!(short.schedule, schedule, "the machine's zone");
        assert_eq!(short.task, Task::Prompt("Say what happened.".to_owned()));
        assert_eq!((short.place, short.to, short.quiet, short.retries), (Place::Fresh, To::Owner, false, 0));
        assert_eq!((short.misfire, short.overlap, short.autonomy), (Misfire::RunOnce, Overlap::Skip, Level::Safe));
        assert_eq!((short.window, short.timeout), (WINDOW, TIMEOUT));
        let long = read(
            "schedule: every 6h\nzone: Europe/Berlin\nskill: memory-digest\nprompt: |\n  Briefly.\n  In German.\nconversation: nightly\n\
             to: {channel: feishu, chat: oc_1}\nmisfire: all\nwindow: 2d\noverlap: queue\ntimeout: 30m\nretries: 2\nquiet: true\n\
             directory: /srv/web\nmodel: gpt-x\nautonomy: edit\n",
        );
        let want = Routine {
            name: "digest".to_owned(),
            schedule: Schedule::parse("every 6h", Tz::Europe__Berlin).unwrap(),
            task: Task::Skill { name: "memory-digest".to_owned(), with: "Briefly.\nIn German.".to_owned() },
            place: Place::Named("nightly".to_owned()),
            to: To::Chat { channel: "feishu".into(), chat: "oc_1".into() },
            misfire: Misfire::All,
            window: Duration::from_secs(2 * 86_400),
            overlap: Overlap::Queue,
            timeout: Duration::from_secs(1800),
            retries: 2,
            quiet: true,
            directory: Some("/srv/web".into()),
            model: Some("gpt-x".to_owned()),
            autonomy: Level::Edit,
        };
        assert_eq!(long, Ok(want));
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_is_taken() {
        let with = |line: &str| read(&format!("schedule: 0 9 * * *\nprompt: p\n{line}\n"));
        for (line, want) in [
            ("misfire: later", choice("misfire", "later", MISFIRES)),
            ("overlap: both", choice("overlap", "both", OVERLAPS)),
            ("autonomy: full", choice("autonomy", "full", LEVELS)),
            ("window: soon", RoutineError::Span { key: "window", value: "soon".to_owned() }),
            ("timeout: 5s", RoutineError::Span { key: "timeout", value: "5s".to_owned() }),
            ("retries: 99", RoutineError::TooManyRetries { value: 99 }),
            ("directory: web", RoutineError::Directory { path: "web".into() }),
            ("directory: /srv/../etc", RoutineError::Directory { path: "/srv/../etc".into() }),
            ("conversation: a/b", RoutineError::Name { name: "a/b".to_owned() }),
            ("zone: Shanghai", RoutineError::Schedule(ScheduleError::Zone { name: "Shanghai".to_owned() })),
        ] {
            assert_eq!(with(line), Err(want), "{line}");
        }
        assert_eq!(read("schedule: 0 9 * * *"), Err(RoutineError::NoTask));
        assert!(matches!(Routine::parse("../x", "", Tz::UTC), Err(RoutineError::Name { .. })));
        assert!(matches!(read(&"x".repeat(TEXT_BYTES + 1)), Err(RoutineError::TooLong { .. })));
        for text in [
            "",
            "schedule: [",
            "prompt: p",
            "schedule: 0 9 * * *\npromt: p",
            "schedule: 0 9 * * *\nprompt: p\nquiet: perhaps",
        ] {
            assert!(matches!(read(text), Err(RoutineError::Form { .. })), "{text}: {:?}", read(text));
        }
        let Err(RoutineError::Form { detail }) = read("schedule: 0 9 * * *\npromt: p") else { panic!() };
        assert!(detail.contains("promt") && detail.contains("line 2"), "{detail}");
        // Aliases that grow without end.
        let mut bomb = "schedule: 0 9 * * *\nprompt: p\nx0: &x0 [a, a]\n".to_owned();
        for n in 1..30 {
            bomb += &format!("x{n}: &x{n} [*x{0}, *x{0}]\n", n - 1);
        }
        assert!(matches!(read(&bomb), Err(RoutineError::Form { .. })));
    }
}
