//! From what a zone's clock shows to instants.

use chrono::{LocalResult, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::{Cron, shown};

/// How far a clock is ever set back, and how far it skips for what was due meanwhile to be made up for. What was to be on a day
/// that a zone left out altogether (Samoa, 30 December 2011) is left out as well.
const LONGEST_SHIFT: TimeDelta = TimeDelta::hours(4);

/// The instants at which a zone's clock shows a time, in milliseconds since 1970.
pub(super) struct Instants {
    pub(super) first: i64,
    /// Where the clock is set back, it shows it again.
    again: Option<i64>,
}

/// `None` on a day that the zone left out.
pub(super) fn instants(zone: Tz, at: NaiveDateTime) -> Option<Instants> {
    match zone.from_local_datetime(&at) {
        LocalResult::Single(at) => Some(Instants { first: at.timestamp_millis(), again: None }),
        LocalResult::Ambiguous(one, other) => {
            let (one, other) = (one.timestamp_millis(), other.timestamp_millis());
            Some(Instants { first: one.min(other), again: Some(one.max(other)) })
        }
        // Skipped: the first minute after it.
        LocalResult::None => {
            let minutes = 1..=LONGEST_SHIFT.num_minutes();
            let later = |minutes| zone.from_local_datetime(&(at + TimeDelta::minutes(minutes))).earliest();
            let first = minutes.into_iter().find_map(later)?.timestamp_millis();
            Some(Instants { first, again: None })
        }
    }
}

/// The first instant after `after_ms` at which it is due.
pub(super) fn next(cron: &Cron, zone: Tz, after_ms: i64) -> Option<i64> {
    let clock = shown(zone, after_ms)?;
    // What the clock shows for the second time now it showed before.
    let shift = LONGEST_SHIFT.num_milliseconds();
    let (before, later) = (shown(zone, after_ms - shift)?, shown(zone, after_ms + shift)?);
    let is_steady = later - before == LONGEST_SHIFT * 2;
    let from = if cron.is_hourly() && !is_steady { clock - LONGEST_SHIFT } else { clock - TimeDelta::minutes(1) };
    let mut found: Option<i64> = None;
    for at in cron.after(from) {
        let Some(instants) = instants(zone, at) else { continue };
        if instants.first > after_ms {
            return Some(found.map_or(instants.first, |found| found.min(instants.first)));
        }
        if let Some(again) = instants.again.filter(|again| cron.is_hourly() && *again > after_ms) {
            found = Some(found.map_or(again, |found| found.min(again)));
        }
    }
    found
}
