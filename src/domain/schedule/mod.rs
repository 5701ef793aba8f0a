//! When a routine is due: the five fields of cron, a fixed interval, or one moment, in a time zone.
//!
//! The clock of a zone skips an hour in spring and shows one twice in autumn. What would be due in the hour that is skipped is
//! due in the first minute after it; what would be due twice is due the first time only, unless it is due in every hour
//! anyway. A routine is never due twice at the same instant.

mod fields;
mod local;
pub mod sentence;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

pub use fields::{Cron, Field, Fields};

/// Shortest and longest interval.
pub const SHORTEST: Duration = Duration::from_secs(60);
pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// What is said of the time, and where that time holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub when: When,
    pub zone: Tz,
}

#[derive(Debug, Clone, PartialEq)]
pub enum When {
    Cron(Cron),
    /// Each so many minutes after the routine began; the zone's clock does not matter.
    Every(Duration),
    Once(NaiveDateTime),
}

/// Why words are not a schedule. The sentences are `words::schedule`'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleError {
    /// Neither five fields, nor `every 6h`, nor a date with a time.
    NotUnderstood {
        text: String,
    },
    /// A part of one of the five fields.
    Part {
        field: Field,
        part: String,
    },
    /// A number outside of what the field can be, or a range whose end comes before its beginning.
    Range {
        field: Field,
        part: String,
    },
    /// No day has this date (30 February), or the moment is over.
    Never,
    /// An interval under a minute or over a year.
    Interval {
        text: String,
    },
    Zone {
        name: String,
    },
}

impl Schedule {
    /// Reads `30 2 * * 1-5`, `@daily`, `every 6h`, or `2026-12-01 09:00`.
    ///
    /// # Errors
    /// [`ScheduleError`] names the part that is wrong.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let when = if let Some(interval) = text.strip_prefix("every ").or_else(|| text.strip_prefix("@every ")) {
            When::Every(self::interval(interval)?)
        } else if let Some(moment) = moment_of(text) {
            When::Once(moment)
        } else {
            When::Cron(Cron::parse(text)?)
        };
        Ok(Self { when, zone })
    }

    /// The first instant after `after_ms` at which it is due; `None`: never again. An interval counts from `since_ms`.
    pub fn next_after(&self, after_ms: i64, since_ms: i64) -> Option<i64> {
        match &self.when {
            When::Every(interval) => {
                let (step, gone) = (interval.as_millis() as i64, (after_ms - since_ms).max(0));
                since_ms.checked_add(step.checked_mul(gone / step + 1)?)
            }
            When::Once(moment) => Some(local::instants(self.zone, *moment)?.first).filter(|at| *at > after_ms),
            When::Cron(cron) => local::next(cron, self.zone, after_ms),
        }
    }

    /// The next `count` instants.
    pub fn upcoming(&self, after_ms: i64, since_ms: i64, count: usize) -> Vec<i64> {
        let next = |at: &i64| self.next_after(*at, since_ms);
        std::iter::successors(next(&after_ms), next).take(count).collect()
    }
}

/// As it stands in a routine's file; [`Schedule::parse`] reads it again.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Cron(cron) => f.write_str(cron.source()),
            When::Once(moment) => write!(f, "{}", moment.format("%Y-%m-%d %H:%M")),
            When::Every(interval) => {
                let minutes = interval.as_secs() / 60;
                match (minutes / 1440, minutes / 60, minutes) {
                    (days, _, all) if all % 1440 == 0 => write!(f, "every {days}d"),
                    (_, hours, all) if all % 60 == 0 => write!(f, "every {hours}h"),
                    _ => write!(f, "every {minutes}m"),
                }
            }
        }
    }
}

/// A zone by its name in the zone database (`Asia/Shanghai`).
///
/// # Errors
/// [`ScheduleError::Zone`], where there is none of this name.
pub fn zone(name: &str) -> Result<Tz, ScheduleError> {
    let unknown = || ScheduleError::Zone { name: name.to_owned() };
    // The database knows names as people do not write them, too (`EST5EDT`); case never matters.
    Tz::from_str_insensitive(name.trim()).map_err(|_| unknown())
}

/// The date, hour and minute that the zone's clock shows at an instant.
pub fn shown(zone: Tz, at_ms: i64) -> Option<NaiveDateTime> {
    Some(DateTime::from_timestamp_millis(at_ms)?.with_timezone(&zone).naive_local())
}

/// `90m`, `6h`, `1h30m`, `2d`: whole minutes.
///
/// # Errors
/// [`ScheduleError::Interval`], also where it is under [`SHORTEST`] or over [`LONGEST`].
pub fn interval(text: &str) -> Result<Duration, ScheduleError> {
    let wrong = || ScheduleError::Interval { text: text.trim().to_owned() };
    let (mut minutes, mut number) = (0u64, String::new());
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            'm' => 1,
            'h' => 60,
            'd' => 1440,
            'w' => 7 * 1440,
            _ => return Err(wrong()),
        };
        let many: u64 = std::mem::take(&mut number).parse().map_err(|_| wrong())?;
        minutes = many.checked_mul(unit).and_then(|more| minutes.checked_add(more)).ok_or_else(wrong)?;
    }
    let interval = minutes.checked_mul(60).map(Duration::from_secs).filter(|_| number.is_empty()).ok_or_else(wrong)?;
    if (SHORTEST..=LONGEST).contains(&interval) { Ok(interval) } else { Err(wrong()) }
}

fn moment_of(text: &str) -> Option<NaiveDateTime> {
    let text = text.strip_prefix("at ").unwrap_or(text).trim();
    let (date, time) = text.split_once(['T', ' '])?;
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let (hour, minute) = time.trim().split_once(':')?;
    date.and_hms_opt(hour.parse().ok()?, minute.parse().ok()?, 0)
}

#[cfg(test)]
mod tests;
