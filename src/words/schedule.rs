//! Schedules as people read them, and what is wrong with one.

use chrono::Weekday;

use super::time::Span;
use crate::domain::schedule::{Field, Fields, Schedule, ScheduleError, When};
use crate::domain::view::Lang;

/// Times that are listed one by one.
const LISTED: usize = 6;

/// A schedule as a sentence without an end: `every weekday at 02:30, Asia/Shanghai`.
pub fn schedule(schedule: &Schedule, lang: Lang) -> String {
    let zone = schedule.zone.name();
    let comma = pick(lang, "，", ", ");
    match &schedule.when {
        // The same whatever a clock shows.
        When::Every(interval) => {
            let span = Span { ms: interval.as_millis() as i64, lang };
            match lang {
                Lang::Zh => format!("每 {span}"),
                Lang::En => format!("every {span}"),
            }
        }
        When::Once(moment) => {
            let (date, time) = (moment.format("%Y-%m-%d"), moment.format("%H:%M"));
            match lang {
                Lang::Zh => format!("一次，{date} {time}，{zone}"),
                Lang::En => format!("once, on {date} at {time}, {zone}"),
            }
        }
        When::Cron(cron) => {
            let fields = cron.fields();
            let (days, times) = (days(fields, lang), times(fields, lang));
            let both = match (lang, times.starts_with("every ") || times.starts_with('每')) {
                (_, true) if is_every_day(fields) => times,
                (Lang::Zh, true) => format!("{days}，{times}"),
                (Lang::En, true) => format!("{days}, {times}"),
                (_, false) => format!("{days} {times}"),
            };
            format!("{both}{comma}{zone}")
        }
    }
}

/// What is wrong with a schedule that somebody wrote, and how it is written.
pub fn schedule_error(error: &ScheduleError, lang: Lang) -> String {
    use ScheduleError::*;
    match (error, lang) {
        (NotUnderstood { text }, Lang::Zh) => format!(
            "「{text}」不是时间设定。写法：`30 2 * * 1-5`（分 时 日 月 星期）、`every 6h`，或 `2026-12-01 09:00`"
        ),
        (NotUnderstood { text }, Lang::En) => format!(
            "“{text}” is no schedule. Write `30 2 * * 1-5` (minute, hour, day, month, weekday), `every 6h`, or `2026-12-01 09:00`"
        ),
        (Part { field, part }, Lang::Zh) => {
            format!("「{}」里的「{part}」看不懂。可以写 {}", name(*field, lang), forms(*field))
        }
        (Part { field, part }, Lang::En) => {
            format!("“{part}” in {} is not understood. It takes {}", name(*field, lang), forms(*field))
        }
        (Range { field, part }, Lang::Zh) => {
            let (low, high) = field.range();
            format!("「{}」里的「{part}」超出范围，只能从 {low} 到 {high}，小的在前", name(*field, lang))
        }
        (Range { field, part }, Lang::En) => {
            let (low, high) = field.range();
            format!(
                "“{part}” in {} is out of range: it goes from {low} to {high}, the smaller first",
                name(*field, lang)
            )
        }
        (Never, Lang::Zh) => "这个时间永远不会到：没有这样的日期".to_owned(),
        (Never, Lang::En) => "This is never due: there is no such date".to_owned(),
        (Interval { text }, Lang::Zh) => {
            format!("「{text}」不是间隔。写 `30m`、`6h` 或 `2d`，最短 1 分，最长 366 天")
        }
        (Interval { text }, Lang::En) => {
            format!("“{text}” is no interval. Write `30m`, `6h` or `2d`, from one minute to 366 days")
        }
        (Zone { name }, Lang::Zh) => format!("没有叫「{name}」的时区。写 `Asia/Shanghai` 这样的名字"),
        (Zone { name }, Lang::En) => format!("There is no time zone “{name}”. Write a name like `Asia/Shanghai`"),
    }
}

fn name(field: Field, lang: Lang) -> &'static str {
    let (zh, en) = match field {
        Field::Minute => ("分", "the minutes"),
        Field::Hour => ("时", "the hours"),
        Field::Day => ("日", "the days of the month"),
        Field::Month => ("月", "the months"),
        Field::Weekday => ("星期", "the weekdays"),
    };
    pick(lang, zh, en)
}

fn forms(field: Field) -> &'static str {
    match field {
        Field::Minute => "`*`, `30`, `0,30`, `*/15`",
        Field::Hour => "`*`, `9`, `9-17`, `*/2`",
        Field::Day => "`*`, `1`, `1,15`, `1-7`",
        Field::Month => "`*`, `1`, `jan`, `1-6`",
        Field::Weekday => "`*`, `1`, `mon`, `1-5`, `mon-fri`",
    }
}

// ------------------------------------------------------------------------------------------------ days

fn is_every_day(fields: &Fields) -> bool {
    fields.days.len() == 31 && fields.months.len() == 12 && fields.weekdays.len() == 7
}

fn days(fields: &Fields, lang: Lang) -> String {
    let months = (fields.months.len() < 12).then(|| months(&fields.months, lang));
    let (by_date, by_weekday) = (fields.days.len() < 31, fields.weekdays.len() < 7);
    match (by_date, by_weekday) {
        (false, false) => match (months, lang) {
            (None, _) => pick(lang, "每天", "every day").to_owned(),
            (Some(months), Lang::Zh) => format!("{months}的每一天"),
            (Some(months), Lang::En) => format!("every day in {months}"),
        },
        (true, false) => dates(fields, months, lang),
        (false, true) => match (months, lang) {
            (None, _) => weekdays(&fields.weekdays, lang),
            (Some(months), Lang::Zh) => format!("{months}的{}", weekdays(&fields.weekdays, lang)),
            (Some(months), Lang::En) => format!("{} in {months}", weekdays(&fields.weekdays, lang)),
        },
        (true, true) => {
            let (dates, weekdays) = (dates(fields, months, lang), weekdays(&fields.weekdays, lang));
            match (fields.either_day, lang) {
                (true, Lang::Zh) => format!("{dates}，以及{weekdays}"),
                (true, Lang::En) => format!("{dates} and {weekdays}"),
                (false, Lang::Zh) => format!("{dates}，且是{weekdays}"),
                (false, Lang::En) => format!("{dates}, only {weekdays}"),
            }
        }
    }
}

fn dates(fields: &Fields, months: Option<String>, lang: Lang) -> String {
    match lang {
        Lang::Zh => {
            let days = listed(&runs(&fields.days, |day| day.to_string(), "–"), lang);
            format!("{} {days} 日", months.unwrap_or_else(|| "每月".to_owned()))
        }
        Lang::En => {
            let days = listed(&runs(&fields.days, ordinal, " to "), lang);
            format!("on the {days} of {}", months.unwrap_or_else(|| "each month".to_owned()))
        }
    }
}

fn ordinal(day: u32) -> String {
    let end = match (day % 10, day) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{day}{end}")
}

fn months(months: &[u32], lang: Lang) -> String {
    let name = |month: u32| match lang {
        Lang::Zh => format!("{month} 月"),
        Lang::En => {
            chrono::Month::try_from(month as u8).map_or_else(|_| String::new(), |month| month.name().to_owned())
        }
    };
    listed(&runs(months, name, pick(lang, "到 ", " to ")), lang)
}

fn weekdays(days: &[u32], lang: Lang) -> String {
    match (days, lang) {
        ([1, 2, 3, 4, 5], _) => return pick(lang, "每个工作日", "every weekday").to_owned(),
        ([0, 6], _) => return pick(lang, "每周六、周日", "on Saturdays and Sundays").to_owned(),
        _ => {}
    }
    let names: Vec<String> = days
        .iter()
        .map(|day| match lang {
            Lang::Zh => format!("周{}", ["日", "一", "二", "三", "四", "五", "六"][*day as usize]),
            Lang::En => {
                let day = Weekday::Sun.num_days_from_monday() as u8 + *day as u8;
                let day = Weekday::try_from(day % 7).expect("one of seven");
                format!("{}s", full_name(day))
            }
        })
        .collect();
    match lang {
        Lang::Zh => format!("每{}", names.join("、")),
        Lang::En => format!("on {}", listed(&names, lang)),
    }
}

fn full_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    }
}

// ------------------------------------------------------------------------------------------------ times

fn times(fields: &Fields, lang: Lang) -> String {
    let (minutes, hours) = (&fields.minutes, &fields.hours);
    let at = |hour: u32, minute: u32| format!("{hour:02}:{minute:02}");
    let whole_day = hours.len() == 24;
    let hours_run = hours.len() > 2 && hours.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let (first, last) = (hours[0], hours[hours.len() - 1]);
    if let Some(step) = step_of(minutes, 60) {
        let every = match (step, lang) {
            (1, Lang::Zh) => "每分钟".to_owned(),
            (1, Lang::En) => "every minute".to_owned(),
            (_, Lang::Zh) => format!("每 {step} 分钟"),
            (_, Lang::En) => format!("every {step} minutes"),
        };
        if whole_day {
            return every;
        }
        if hours_run || hours.len() == 1 {
            return format!("{every}{}", between(&at(first, minutes[0]), &at(last, minutes[minutes.len() - 1]), lang));
        }
    }
    if whole_day {
        return match (minutes.as_slice(), lang) {
            ([0], Lang::Zh) => "每小时整点".to_owned(),
            ([0], Lang::En) => "every hour on the hour".to_owned(),
            (_, Lang::Zh) => format!("每小时的第 {} 分", numbers(minutes, lang)),
            (_, Lang::En) => format!("every hour at minute {}", numbers(minutes, lang)),
        };
    }
    if let [minute] = minutes[..] {
        if let Some(step) = step_of(hours, 24).filter(|_| hours.len() > 2) {
            let from = at(first, minute);
            return match lang {
                Lang::Zh => format!("每 {step} 小时，从 {from} 起"),
                Lang::En => format!("every {step} hours from {from}"),
            };
        }
        if hours_run {
            let every = pick(lang, "每小时", "every hour");
            return format!("{every}{}", between(&at(first, minute), &at(last, minute), lang));
        }
    }
    if minutes.len() * hours.len() <= LISTED {
        let all: Vec<String> = hours.iter().flat_map(|hour| minutes.iter().map(|minute| at(*hour, *minute))).collect();
        return match lang {
            Lang::Zh => all.join("、"),
            Lang::En => format!("at {}", listed(&all, lang)),
        };
    }
    match lang {
        Lang::Zh => format!("{} 点的第 {} 分", numbers(hours, lang), numbers(minutes, lang)),
        Lang::En => format!("at minute {} of hour {}", numbers(minutes, lang), numbers(hours, lang)),
    }
}

fn between(from: &str, to: &str, lang: Lang) -> String {
    match lang {
        Lang::Zh => format!("，从 {from} 到 {to}"),
        Lang::En => format!(" from {from} to {to}"),
    }
}

/// The step by which all of these follow each other, around the whole of it.
fn step_of(numbers: &[u32], whole: u32) -> Option<u32> {
    let step = whole / u32::try_from(numbers.len()).ok()?;
    let regular = numbers.windows(2).all(|pair| pair[1] - pair[0] == step) && numbers[0] < step;
    (numbers.len() > 1 && step * numbers.len() as u32 == whole && regular && (whole != 60 || numbers[0] == 0))
        .then_some(step)
}

fn numbers(numbers: &[u32], lang: Lang) -> String {
    listed(&runs(numbers, |number| number.to_string(), pick(lang, "–", " to ")), lang)
}

/// Three or more that follow each other are told as from … to ….
fn runs(numbers: &[u32], name: impl Fn(u32) -> String, to: &str) -> Vec<String> {
    let mut told = Vec::new();
    for run in numbers.chunk_by(|one, next| *next == one + 1) {
        match run {
            [first, _, .., last] => told.push(format!("{}{to}{}", name(*first), name(*last))),
            few => told.extend(few.iter().map(|number| name(*number))),
        }
    }
    told
}

fn listed(all: &[String], lang: Lang) -> String {
    match (lang, all) {
        (Lang::Zh, _) => all.join("、"),
        (Lang::En, [before @ .., last]) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        (Lang::En, _) => all.concat(),
    }
}

fn pick(lang: Lang, zh: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::zone;
    use crate::words::rules;

    #[track_caller]
    fn check(text: &str, zh: &str, en: &str) {
        let read = Schedule::parse(text, zone("Asia/Shanghai").unwrap()).unwrap();
        assert_eq!(schedule(&read, Lang::Zh), zh, "{text}");
        assert_eq!(schedule(&read, Lang::En), en, "{text}");
    }

    #[test]
    fn schedules_are_read_as_people_say_them() {
        let zone = "Asia/Shanghai";
        for (text, zh, en) in [
            ("30 2 * * 1-5", "每个工作日 02:30", "every weekday at 02:30"),
            ("0 9 * * *", "每天 09:00", "every day at 09:00"),
            ("0 9,17 * * 1,5", "每周一、周五 09:00、17:00", "on Mondays and Fridays at 09:00 and 17:00"),
            ("15 8 * * 0,6", "每周六、周日 08:15", "on Saturdays and Sundays at 08:15"),
            ("*/15 * * * *", "每 15 分钟", "every 15 minutes"),
            ("* * * * *", "每分钟", "every minute"),
            ("0 * * * *", "每小时整点", "every hour on the hour"),
            ("5,35 * * * *", "每小时的第 5、35 分", "every hour at minute 5 and 35"),
            ("15 */2 * * *", "每 2 小时，从 00:15 起", "every 2 hours from 00:15"),
            (
                "0 9-17 * * 1-5",
                "每个工作日，每小时，从 09:00 到 17:00",
                "every weekday, every hour from 09:00 to 17:00",
            ),
            (
                "*/20 9-17 * * 1-5",
                "每个工作日，每 20 分钟，从 09:00 到 17:40",
                "every weekday, every 20 minutes from 09:00 to 17:40",
            ),
            ("0 9 1,15 * *", "每月 1、15 日 09:00", "on the 1st and 15th of each month at 09:00"),
            (
                "0 9 1-7,22 1,7 *",
                "1 月、7 月 1–7、22 日 09:00",
                "on the 1st to 7th and 22nd of January and July at 09:00",
            ),
            ("0 9 * 6-8 *", "6 月到 8 月的每一天 09:00", "every day in June to August at 09:00"),
            ("0 9 * 1 1", "1 月的每周一 09:00", "on Mondays in January at 09:00"),
            ("0 9 1 * 1", "每月 1 日，以及每周一 09:00", "on the 1st of each month and on Mondays at 09:00"),
            (
                "0 9 */10 * 1",
                "每月 1、11、21、31 日，且是每周一 09:00",
                "on the 1st, 11th, 21st and 31st of each month, only on Mondays at 09:00",
            ),
            ("3,7 1-4,9 * * *", "每天 1–4、9 点的第 3、7 分", "every day at minute 3 and 7 of hour 1 to 4 and 9"),
            ("2026-12-01 09:00", "一次，2026-12-01 09:00", "once, on 2026-12-01 at 09:00"),
        ] {
            check(text, &format!("{zh}，{zone}"), &format!("{en}, {zone}"));
        }
        check("every 90m", "每 1 小时 30 分", "every 1 h 30 min");
    }

    #[test]
    fn what_is_wrong_with_a_schedule_keeps_the_rules() {
        for lang in [Lang::Zh, Lang::En] {
            for text in ["x", "60 * * * *", "0 9 * * x", "0 0 30 2 *", "every 5"] {
                let error = Schedule::parse(text, chrono_tz::Tz::UTC).unwrap_err();
                rules::check(text, &schedule_error(&error, lang), lang);
            }
            rules::check("zone", &schedule_error(&zone("Shanghai").unwrap_err(), lang), lang);
        }
    }
}
