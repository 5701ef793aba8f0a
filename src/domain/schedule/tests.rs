//! Schedules against the real histories of zones.

use chrono::{Datelike, TimeDelta, Timelike};

use super::*;

const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;

fn schedule(text: &str, in_zone: &str) -> Schedule {
    Schedule::parse(text, zone(in_zone).unwrap()).unwrap()
}

fn utc(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(&format!("{text}:00Z")).unwrap().timestamp_millis()
}

/// The next instants, as the clock in Greenwich shows them.
fn upcoming(text: &str, in_zone: &str, after: &str, count: usize) -> Vec<String> {
    let instants = schedule(text, in_zone).upcoming(utc(after), utc(after), count);
    let shown = |at: i64| DateTime::from_timestamp_millis(at).unwrap().format("%m-%d %H:%M").to_string();
    instants.into_iter().map(shown).collect()
}

#[test]
fn when_a_routine_is_due() {
    // Sunday is 0 and 7, and Monday is 1, as in a crontab.
    for sunday in ["0 9 * * 0", "0 9 * * 7", "0 9 * * sun"] {
        assert_eq!(upcoming(sunday, "UTC", "2026-11-22T00:00", 2), ["11-22 09:00", "11-29 09:00"], "{sunday}");
    }
    assert_eq!(upcoming("30 2 * * 1-5", "Asia/Shanghai", "2026-11-20T00:00", 2), ["11-22 18:30", "11-23 18:30"]);
    assert_eq!(
        upcoming("0 0 * * FRI-SUN", "UTC", "2026-11-22T01:00", 3),
        ["11-27 00:00", "11-28 00:00", "11-29 00:00"]
    );
    // Either day is enough.
    let either = ["11-23 08:00", "11-30 08:00", "12-01 08:00", "12-07 08:00"];
    assert_eq!(upcoming("0 8 1 * 1", "UTC", "2026-11-22T00:00", 4), either);
    assert_eq!(
        upcoming("*/20 22-23 * * *", "UTC", "2026-11-22T23:15", 3),
        ["11-22 23:20", "11-22 23:40", "11-23 22:00"]
    );
    assert_eq!(upcoming("0 12 29 2 *", "UTC", "2026-11-22T00:00", 1), ["02-29 12:00"]);
    assert_eq!(upcoming("@daily", "Asia/Kolkata", "2026-11-22T00:00", 1), ["11-22 18:30"]);
    assert_eq!(upcoming("every 90m", "UTC", "2026-11-22T00:10", 2), ["11-22 01:40", "11-22 03:10"]);
    assert_eq!(upcoming("2026-12-01 09:00", "Asia/Shanghai", "2026-11-22T00:00", 2), ["12-01 01:00"]);
    assert_eq!(upcoming("2026-11-01 09:00", "UTC", "2026-11-22T00:00", 1), Vec::<String>::new(), "over");
}

#[test]
fn an_interval_counts_from_its_beginning() {
    let hourly = schedule("every 1h", "UTC");
    let since = utc("2026-11-22T00:25");
    assert_eq!(hourly.next_after(since - DAY, since), Some(utc("2026-11-22T01:25")), "not before it began");
    assert_eq!(hourly.next_after(utc("2026-11-22T01:25"), since), Some(utc("2026-11-22T02:25")));
    assert_eq!(hourly.next_after(utc("2026-11-25T12:00"), since), Some(utc("2026-11-25T12:25")));
}

#[test]
fn an_hour_that_is_skipped_and_one_that_comes_twice() {
    let new_york = "America/New_York";
    // 8 March 2026: after 01:59 comes 03:00 (07:00 in Greenwich).
    assert_eq!(upcoming("30 2 * * *", new_york, "2026-03-07T12:00", 2), ["03-08 07:00", "03-09 06:30"]);
    assert_eq!(
        upcoming("0,30 2,3 * * *", new_york, "2026-03-08T00:00", 3),
        ["03-08 07:00", "03-08 07:30", "03-09 06:00"]
    );
    assert_eq!(
        upcoming("*/30 * * * *", new_york, "2026-03-08T06:20", 3),
        ["03-08 06:30", "03-08 07:00", "03-08 07:30"]
    );
    // 1 November 2026: after 01:59 comes 01:00 (06:00 in Greenwich).
    assert_eq!(upcoming("30 1 * * *", new_york, "2026-11-01T00:00", 2), ["11-01 05:30", "11-02 06:30"]);
    let all = ["11-01 05:00", "11-01 05:30", "11-01 06:00", "11-01 06:30", "11-01 07:00"];
    assert_eq!(upcoming("*/30 * * * *", new_york, "2026-11-01T04:50", 5), all, "in every hour: both times");
    // A day that did not exist is not made up for.
    assert_eq!(upcoming("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00", 2), ["12-29 19:00", "12-30 19:00"]);
}

/// Looks at every minute, as a person with a calendar would. `clock` is what the zone's clock shows at each, the first of
/// them one before the time that is looked at.
fn by_hand(cron: &Cron, clock: &[(i64, NaiveDateTime)]) -> Vec<i64> {
    let fields = cron.fields();
    let fits = |at: NaiveDateTime| {
        let day = fields.days.contains(&at.day());
        let weekday = fields.weekdays.contains(&at.weekday().num_days_from_sunday());
        fields.minutes.contains(&at.minute())
            && fields.hours.contains(&at.hour())
            && fields.months.contains(&at.month())
            && if fields.either_day { day || weekday } else { day && weekday }
    };
    let mut found = Vec::new();
    // The latest that the clock has shown so far.
    let mut latest = clock[0].1;
    for (at, shown) in &clock[1..] {
        let skipped = (*shown - latest).num_minutes() - 1;
        let made_up_for = (1..240).contains(&skipped) && (1..=skipped).any(|n| fits(latest + TimeDelta::minutes(n)));
        if made_up_for || (fits(*shown) && (*shown > latest || cron.is_hourly())) {
            found.push(*at);
        }
        latest = latest.max(*shown);
    }
    found
}

/// Every jump of these zones' clocks in thirty years, with the hours around it.
#[test]
fn no_jump_of_a_clock_loses_or_doubles_a_run() {
    let crons = ["30 2 * * *", "0 0 * * *", "*/7 * * * *", "15 */2 * * *", "10,50 1-3 * * 0", "0 3 1,31 * 1"];
    let crons = crons.map(|text| Cron::parse(text).unwrap());
    let zones = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll", "Africa/Casablanca"];
    let mut jumps = 0;
    for name in zones {
        let zone = zone(name).unwrap();
        let offset = |at: i64| shown(zone, at).unwrap() - DateTime::from_timestamp_millis(at).unwrap().naive_utc();
        for day in (utc("2000-01-01T00:00")..utc("2030-01-01T00:00")).step_by(DAY as usize) {
            if offset(day) == offset(day + DAY) {
                continue;
            }
            jumps += 1;
            let (from, to) = (day - DAY / 4, day + DAY + DAY / 4);
            let clock: Vec<_> =
                (from - MINUTE..to).step_by(MINUTE as usize).map(|at| (at, shown(zone, at).unwrap())).collect();
            for cron in &crons {
                let next = |at: &i64| local::next(cron, zone, *at);
                let found: Vec<i64> =
                    std::iter::successors(next(&(from - 1)), next).take_while(|at| *at < to).collect();
                assert_eq!(found, by_hand(cron, &clock), "{} in {name} around {day}", cron.source());
            }
        }
    }
    assert!(jumps > 250, "{jumps} jumps");
}

#[test]
fn what_is_wrong_is_named() {
    let of = |text: &str| Schedule::parse(text, Tz::UTC).unwrap_err();
    let part = |field, part: &str| ScheduleError::Part { field, part: part.to_owned() };
    let range = |field, part: &str| ScheduleError::Range { field, part: part.to_owned() };
    for (text, want) in [
        ("60 * * * *", range(Field::Minute, "60")),
        ("0 24 * * *", range(Field::Hour, "24")),
        ("0 9 0 * *", range(Field::Day, "0")),
        ("0 9 * 13 *", range(Field::Month, "13")),
        ("0 9 * * 8", range(Field::Weekday, "8")),
        ("0 17-9 * * *", range(Field::Hour, "17-9")),
        ("*/0 * * * *", range(Field::Minute, "*/0")),
        ("0 9 * * mo", part(Field::Weekday, "mo")),
        ("0 9,x * * *", part(Field::Hour, "x")),
        ("0 9,, * * *", part(Field::Hour, "")),
        ("99999999999 9 * * *", range(Field::Minute, "99999999999")),
        ("0 0 30 2 *", ScheduleError::Never),
        ("every 10", ScheduleError::Interval { text: "10".to_owned() }),
        ("every 0m", ScheduleError::Interval { text: "0m".to_owned() }),
        ("every 400d", ScheduleError::Interval { text: "400d".to_owned() }),
        ("tomorrow", ScheduleError::NotUnderstood { text: "tomorrow".to_owned() }),
        ("0 0 9 * * 1", ScheduleError::NotUnderstood { text: "0 0 9 * * 1".to_owned() }),
    ] {
        assert_eq!(of(text), want, "{text}");
    }
    assert_eq!(zone("Asia/Shanghai").unwrap(), zone(" asia/shanghai ").unwrap());
    assert_eq!(zone("Shanghai"), Err(ScheduleError::Zone { name: "Shanghai".to_owned() }));
}

#[test]
fn what_is_written_is_read_again() {
    for text in ["30 2 * * 1-5", "*/15 9-17 * * mon,wed", "every 6h", "every 90m", "every 2d", "2026-12-01 09:00"] {
        let read = schedule(text, "UTC");
        assert_eq!(read.when.to_string(), text);
        assert_eq!(schedule(&read.when.to_string(), "UTC"), read);
    }
}
