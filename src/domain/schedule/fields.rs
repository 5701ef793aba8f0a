//! The five fields of cron: minute, hour, day of the month, month, day of the week.
//!
//! As in every crontab, and unlike in the crate that finds the times: numbers of weekdays begin with Sunday as 0 (7 is Sunday
//! too), and where both days are given either of them is enough.

use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};

use super::ScheduleError;

/// Which of the five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

impl Field {
    const ALL: [Field; 5] = [Field::Minute, Field::Hour, Field::Day, Field::Month, Field::Weekday];

    /// Smallest and greatest number that may stand in it.
    pub fn range(self) -> (u32, u32) {
        match self {
            Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::Day => (1, 31),
            Field::Month => (1, 12),
            Field::Weekday => (0, 7),
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
            Field::Weekday => &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
            _ => &[],
        }
    }
}

/// What each field allows, in ascending order. Sunday is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    pub minutes: Vec<u32>,
    pub hours: Vec<u32>,
    pub days: Vec<u32>,
    pub months: Vec<u32>,
    pub weekdays: Vec<u32>,
    /// Both the day of the month and that of the week are given: either is enough.
    pub either_day: bool,
}

/// Five fields that were understood.
#[derive(Debug, Clone)]
pub struct Cron {
    source: String,
    fields: Fields,
    /// Without a zone. Two where either day is enough.
    schedules: Vec<cron::Schedule>,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl Cron {
    /// Reads five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    ///
    /// # Errors
    /// [`ScheduleError`] names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let source = match text {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            _ => text,
        };
        let parts: Vec<&str> = source.split_whitespace().collect();
        if parts.len() != Field::ALL.len() {
            return Err(ScheduleError::NotUnderstood { text: text.to_owned() });
        }
        let mut allowed = Vec::new();
        for (field, part) in Field::ALL.into_iter().zip(&parts) {
            allowed.push(numbers(field, part)?);
        }
        let [minutes, hours, days, months, weekdays] = allowed.try_into().expect("there are five fields");
        let either_day = !parts[2].starts_with('*') && !parts[4].starts_with('*');
        let fields = Fields { minutes, hours, days, months, weekdays, either_day };
        let schedules = schedules(&fields);
        let cron = Self { source: parts.join(" "), fields, schedules };
        // A leap day comes at most eight years later.
        let long_ago = DateTime::from_timestamp_millis(0).expect("an instant").naive_utc();
        if cron.after(long_ago).next().is_none() { Err(ScheduleError::Never) } else { Ok(cron) }
    }

    /// The five fields as they were written.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Whether it is due in every hour of its days.
    pub fn is_hourly(&self) -> bool {
        self.fields.hours.len() == 24
    }

    /// What a clock that never jumps shows when it is due, after `from`, in order.
    pub(super) fn after(&self, from: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + '_ {
        let from = Utc.from_utc_datetime(&from);
        let mut all: Vec<_> = self.schedules.iter().map(|schedule| schedule.after(&from).peekable()).collect();
        std::iter::from_fn(move || {
            let next = all.iter_mut().filter_map(|one| one.peek().copied()).min()?;
            for one in &mut all {
                one.next_if_eq(&next);
            }
            Some(next.naive_utc())
        })
    }
}

/// `*`, `5`, `1-5`, `mon-fri`, `*/15`, `10-50/20`, and lists of these.
fn numbers(field: Field, text: &str) -> Result<Vec<u32>, ScheduleError> {
    let (low, high) = field.range();
    let mut found = Vec::new();
    for part in text.split(',') {
        let wrong = || ScheduleError::Part { field, part: part.to_owned() };
        let outside = || ScheduleError::Range { field, part: part.to_owned() };
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().map_err(|_| wrong())?)),
            None => (part, None),
        };
        let number = |word: &str| {
            let named = field.names().iter().position(|name| word.eq_ignore_ascii_case(name));
            match named {
                Some(at) => Ok(at as u32 + if field == Field::Month { 1 } else { 0 }),
                None if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) => {
                    word.parse().map_err(|_| outside())
                }
                None => Err(wrong()),
            }
        };
        let (first, mut last) = match range.split_once('-') {
            _ if range == "*" => (low, if field == Field::Weekday { 6 } else { high }),
            Some((first, last)) => (number(first)?, number(last)?),
            None if step.is_some() => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if field == Field::Weekday && last == 0 && first > 0 {
            // fri-sun
            last = 7;
        }
        if first < low || last > high || first > last || step == Some(0) {
            return Err(outside());
        }
        found.extend((first..=last).step_by(step.unwrap_or(1) as usize));
    }
    if field == Field::Weekday {
        found.iter_mut().for_each(|day| *day %= 7);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn schedules(fields: &Fields) -> Vec<cron::Schedule> {
    let list = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let names = Field::Weekday.names();
    let weekdays = fields.weekdays.iter().map(|day| names[*day as usize]).collect::<Vec<_>>().join(",");
    let (days, any) = (list(&fields.days), "*".to_owned());
    let pairs = match fields.either_day {
        true => vec![(&days, &any), (&any, &weekdays)],
        false => vec![(&days, &weekdays)],
    };
    let (minutes, hours, months) = (list(&fields.minutes), list(&fields.hours), list(&fields.months));
    let of = |(days, weekdays): (&String, &String)| {
        let text = format!("0 {minutes} {hours} {days} {months} {weekdays}");
        cron::Schedule::from_str(&text).expect("lists of numbers in their ranges, and names of days")
    };
    pairs.into_iter().map(of).collect()
}
