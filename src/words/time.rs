//! Instants and durations as people read them.

use std::fmt;

use chrono::{DateTime, Datelike, Timelike};

use crate::domain::view::Lang;

/// Minutes east of Greenwich. The caller takes it from the machine, for the instant that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(pub i32);

/// An instant in a sentence: `HH:MM`, with `MM-DD` before it when it is another day than `now_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    pub ms: i64,
    pub zone: Zone,
    /// What "today" is. `None` writes the time only.
    pub now_ms: Option<i64>,
}

impl At {
    /// An instant with its day whenever that is not the day of `now_ms`.
    pub fn new(ms: i64, zone: Zone, now_ms: i64) -> Self {
        Self { ms, zone, now_ms: Some(now_ms) }
    }

    /// An instant whose day the reader knows from the place where it stands.
    pub fn hhmm(ms: i64, zone: Zone) -> Self {
        Self { ms, zone, now_ms: None }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = local(self.ms, self.zone) else { return f.write_str("--:--") };
        let today = self.now_ms.is_none_or(|now| local(now, self.zone).is_some_and(|now| now.date() == at.date()));
        if !today {
            write!(f, "{:02}-{:02} ", at.month(), at.day())?;
        }
        write!(f, "{:02}:{:02}", at.hour(), at.minute())
    }
}

fn local(ms: i64, zone: Zone) -> Option<chrono::NaiveDateTime> {
    let shifted = ms.checked_add(i64::from(zone.0) * 60_000)?;
    DateTime::from_timestamp_millis(shifted).map(|instant| instant.naive_utc())
}

/// A duration in words: `1 分 42 秒`, `1 min 42 s`. At most two units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub ms: i64,
    pub lang: Lang,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = match self.lang {
            Lang::Zh => ("小时", "分", "秒"),
            Lang::En => ("h", "min", "s"),
        };
        let seconds = self.ms.max(0) / 1000;
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match (h, m, s) {
            (0, 0, s) => write!(f, "{s} {second}"),
            (0, m, 0) => write!(f, "{m} {minute}"),
            (0, m, s) => write!(f, "{m} {minute} {s} {second}"),
            (h, 0, _) => write!(f, "{h} {hour}"),
            (h, m, _) => write!(f, "{h} {hour} {m} {minute}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        let noon = 1_790_000_000_000; // 2026-09-21 14:13:20 UTC
        for (ms, zone, now, want) in [
            (noon, 0, None, "14:13"),
            (noon, 480, None, "22:13"),
            (noon, 480, Some(noon + 3_600_000), "22:13"),
            (noon, 480, Some(noon + 7_200_000), "09-21 22:13"),
            (noon, -330, Some(noon), "08:43"),
            (i64::MAX, 480, None, "--:--"),
        ] {
            assert_eq!(At { ms, zone: Zone(zone), now_ms: now }.to_string(), want);
        }
    }

    #[test]
    fn spans() {
        for (ms, zh, en) in [
            (-5, "0 秒", "0 s"),
            (999, "0 秒", "0 s"),
            (4_000, "4 秒", "4 s"),
            (60_000, "1 分", "1 min"),
            (102_000, "1 分 42 秒", "1 min 42 s"),
            (3_600_000, "1 小时", "1 h"),
            (5_430_000, "1 小时 30 分", "1 h 30 min"),
        ] {
            assert_eq!(Span { ms, lang: Lang::Zh }.to_string(), zh);
            assert_eq!(Span { ms, lang: Lang::En }.to_string(), en);
        }
    }
}
