//! Schedules as people say them: "every weekday at 9 summarise …", "每天早上 9 点总结……". Only a few plain forms, so that what is
//! understood is understood for certain; a person confirms it before it holds.

use chrono::{NaiveDateTime, TimeDelta};

/// What a sentence says: a schedule as it is written in a routine's file, and the rest of the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub schedule: String,
    pub words: String,
}

/// Reads a sentence that begins or ends with a time. `now` is what the clock of the zone shows.
pub fn read(text: &str, now: NaiveDateTime) -> Option<Said> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if let Some((schedule, used)) = phrase(&lower, now) {
        let words = task(&text[used..]);
        return (!words.is_empty()).then_some(Said { schedule, words });
    }
    // At the end: the longest part that is nothing but a time.
    let starts = text.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
    for at in starts.filter(|at| is_start(text, *at)) {
        if let Some((schedule, used)) = phrase(&lower[at..], now)
            && lower[at + used..].trim_matches(|c: char| c.is_whitespace() || "。.!！".contains(c)).is_empty()
        {
            let words = task(&text[..at]);
            return (!words.is_empty()).then_some(Said { schedule, words });
        }
    }
    None
}

/// A word begins here; in Chinese there is nothing between words.
fn is_start(text: &str, at: usize) -> bool {
    let next = text[at..].chars().next().is_some_and(|c| !c.is_ascii());
    next || text[..at].ends_with(|c: char| c.is_whitespace() || "，,；;".contains(c))
}

/// The words of the task without what joins them to the time.
fn task(text: &str) -> String {
    let mut rest = text.trim_matches(|c: char| c.is_whitespace() || "，,：:；;、。".contains(c));
    for joint in ["to ", "please ", "then ", "就", "请", "帮我", "给我"] {
        if let Some(behind) = rest.strip_prefix(joint) {
            rest = behind.trim_start();
        }
    }
    rest.to_owned()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Days {
    All,
    /// Of the week, 0 is Sunday.
    Week(Vec<u32>),
    /// Of the month.
    Month(Vec<u32>),
    /// One day, so many from today.
    Once(i64),
}

/// A time phrase, and how many bytes it took.
fn phrase(lower: &str, now: NaiveDateTime) -> Option<(String, usize)> {
    let mut at = Cursor { text: lower, at: 0 };
    if let Some(schedule) = interval(&mut at) {
        return Some((schedule, at.at));
    }
    at = Cursor { text: lower, at: 0 };
    // "at 9 every day" as well as "every day at 9".
    let before = time(&mut at);
    if before.is_none() {
        at.at = 0;
    }
    let days = days(&mut at)?;
    let time = match before {
        Some(time) => time,
        None => {
            let here = at.at;
            match time(&mut at) {
                Some(time) => time,
                None => {
                    at.at = here;
                    default_of_part(&mut at)?
                }
            }
        }
    };
    let (hour, minute) = time;
    let schedule = match days {
        Days::All => format!("{minute} {hour} * * *"),
        Days::Week(days) => format!("{minute} {hour} * * {}", listed(&days)),
        Days::Month(days) => format!("{minute} {hour} {} * *", listed(&days)),
        Days::Once(days) => {
            let day = now.date() + TimeDelta::days(days);
            let moment = day.and_hms_opt(hour, minute, 0)?;
            if moment <= now {
                return None;
            }
            moment.format("%Y-%m-%d %H:%M").to_string()
        }
    };
    Some((schedule, at.at))
}

fn listed(days: &[u32]) -> String {
    if days == [1, 2, 3, 4, 5] {
        return "1-5".to_owned();
    }
    days.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// "every 6 hours", "每 30 分钟", "hourly".
fn interval(at: &mut Cursor<'_>) -> Option<String> {
    if at.eat(&["hourly", "every hour", "each hour", "每小时", "每个小时"]) && at.is_word_over() {
        return Some("0 * * * *".to_owned());
    }
    if !at.eat(&["every", "each", "每隔", "每"]) {
        return None;
    }
    let number = at.number()?;
    let unit = if at.eat(&["minutes", "minute", "mins", "min", "分钟"]) {
        'm'
    } else if at.eat(&["hours", "hour", "hrs", "个小时", "小时"]) {
        'h'
    } else if at.eat(&["days", "day", "天"]) && !at.peek(&["at "]) {
        'd'
    } else {
        return None;
    };
    at.is_word_over().then(|| format!("every {number}{unit}"))
}

fn days(at: &mut Cursor<'_>) -> Option<Days> {
    at.eat(&["on "]);
    if at.eat(&[
        "每个工作日",
        "每工作日",
        "工作日",
        "every weekday",
        "each weekday",
        "every workday",
        "weekdays",
        "workdays",
    ]) {
        return at.is_word_over().then(|| Days::Week(vec![1, 2, 3, 4, 5]));
    }
    if at.eat(&["每天", "每日", "天天", "every day", "each day", "daily"]) {
        return at.is_word_over().then_some(Days::All);
    }
    for part in ["morning", "noon", "evening", "night"] {
        let (every, here) = (format!("every {part}"), at.at);
        if at.eat(&[&every]) {
            // The part itself may be what tells the time.
            at.at = here + "every".len();
            return Some(Days::All);
        }
    }
    if at.peek(&["每晚", "每早"]) {
        at.eat(&["每"]);
        return Some(Days::All);
    }
    for (words, days) in [
        (["tomorrow", "明天", "明日"], 1),
        (["today", "今天", "今日"], 0),
        (["the day after tomorrow", "后天", "後天"], 2),
    ] {
        if at.eat(&words) {
            return at.is_word_over().then_some(Days::Once(days));
        }
    }
    for (words, days) in [(["tonight", "今晚"], 0), (["tomorrow night", "明晚"], 1)] {
        if at.peek(&words) {
            let here = at.at;
            at.eat(&["今", "明", "to"]);
            // "tonight" is "to" and "night".
            if !at.peek(&["晚", "night"]) {
                at.at = here;
                return None;
            }
            return Some(Days::Once(days));
        }
    }
    of_month(at).or_else(|| of_week(at))
}

fn of_week(at: &mut Cursor<'_>) -> Option<Days> {
    const EN: [(&str, u32); 7] = [
        ("monday", 1),
        ("tuesday", 2),
        ("wednesday", 3),
        ("thursday", 4),
        ("friday", 5),
        ("saturday", 6),
        ("sunday", 0),
    ];
    const ZH: [(char, u32); 8] =
        [('一', 1), ('二', 2), ('三', 3), ('四', 4), ('五', 5), ('六', 6), ('日', 0), ('天', 0)];
    let mut found = Vec::new();
    if at.eat(&["每周", "每个周", "每星期", "每个星期"]) {
        loop {
            let next = at.rest().chars().next();
            let Some((c, day)) = ZH.iter().find(|(c, _)| Some(*c) == next) else { break };
            at.at += c.len_utf8();
            found.push(*day);
            if !at.eat(&["、周", "、", "，周", "和周", "和", "周"]) {
                break;
            }
        }
    } else {
        at.eat(&["every ", "each ", "weekly on ", "on "]);
        while let Some((name, day)) = EN.iter().find(|(name, _)| at.peek(&[name])) {
            at.eat(&[name]);
            if at.rest().starts_with('s') {
                at.at += 1;
            }
            if !at.is_word_over() {
                return None;
            }
            found.push(*day);
            if !at.eat(&[", and ", " and ", ", ", " & "]) {
                break;
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    (!found.is_empty()).then_some(Days::Week(found))
}

fn of_month(at: &mut Cursor<'_>) -> Option<Days> {
    let here = at.at;
    if at.eat(&["每个月", "每月"]) {
        let day = at.number().filter(|day| (1..=31).contains(day));
        if let Some(day) = day
            && at.eat(&["号", "日"])
        {
            return Some(Days::Month(vec![day]));
        }
        at.at = here;
        return None;
    }
    at.eat(&["on "]);
    if at.eat(&["the "])
        && let Some(day) = at.number().filter(|day| (1..=31).contains(day))
        && at.eat(&["st", "nd", "rd", "th"])
        && at.eat(&["of each month", "of every month", "of the month"])
    {
        return Some(Days::Month(vec![day]));
    }
    at.at = here;
    None
}

/// A part of the day, before an hour of it.
fn part_of_day(at: &mut Cursor<'_>) -> Option<Part> {
    at.eat(&["in the ", "at ", "的"]);
    let parts: [(&[&str], Part); 6] = [
        (&["凌晨", "半夜", "夜里"], Part::SmallHours),
        (&["morning", "早上", "早晨", "上午", "早"], Part::Morning),
        (&["noon", "中午"], Part::Noon),
        (&["afternoon", "下午"], Part::Afternoon),
        (&["evening", "傍晚", "晚上", "晚"], Part::Evening),
        (&["night"], Part::Night),
    ];
    let part = parts.into_iter().find_map(|(words, part)| at.eat(words).then_some(part))?;
    at.is_word_over().then_some(part)
}

/// The time of a part of the day where no hour of it is named.
fn default_of_part(at: &mut Cursor<'_>) -> Option<(u32, u32)> {
    at.eat(&["in the ", "at ", "的"]);
    let parts: [(&[&str], (u32, u32)); 7] = [
        (&["凌晨", "半夜", "夜里"], (2, 30)),
        (&["morning", "早上", "早晨", "上午"], (9, 0)),
        (&["noon", "中午"], (12, 0)),
        (&["afternoon", "下午"], (15, 0)),
        (&["evening", "傍晚", "晚上"], (20, 0)),
        (&["midnight"], (0, 0)),
        (&["night"], (2, 30)),
    ];
    let time = parts.into_iter().find_map(|(words, time)| at.eat(words).then_some(time))?;
    at.is_word_over().then_some(time)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    SmallHours,
    Morning,
    Noon,
    Afternoon,
    Evening,
    /// Before midnight as well as after it.
    Night,
}

/// "at 9", "9:30 pm", "早上 9 点半", "下午 3 点".
fn time(at: &mut Cursor<'_>) -> Option<(u32, u32)> {
    let here = at.at;
    let part = part_of_day(at);
    if part.is_none() {
        at.at = here;
    }
    let named = at.eat(&["at "]);
    let hour = at.number()?;
    let mut minute = None;
    let mut is_time = part.is_some() || named;
    if at.eat(&[":", "："]) {
        minute = Some(at.digits(2)?);
        is_time = true;
    } else if at.eat(&["点钟", "点", "时"]) {
        is_time = true;
        minute = if at.eat(&["半"]) {
            Some(30)
        } else if at.eat(&["一刻"]) {
            Some(15)
        } else if at.eat(&["三刻"]) {
            Some(45)
        } else {
            let here = at.at;
            match at.number() {
                Some(minute) if at.eat(&["分"]) => Some(minute),
                _ => {
                    at.at = here;
                    None
                }
            }
        };
    }
    // "9 点整", and not "9 点整理".
    if at.rest().starts_with('整') && !at.rest().starts_with("整理") {
        at.at += '整'.len_utf8();
    }
    let mut hour = hour;
    if at.eat_word(&["am", "a.m."]) {
        is_time = true;
        hour = if hour == 12 { 0 } else { hour };
    } else if at.eat_word(&["pm", "p.m."]) {
        is_time = true;
        hour = if hour < 12 { hour + 12 } else { hour };
    } else if let Some(part) = part {
        hour = match part {
            Part::Afternoon if (1..12).contains(&hour) => hour + 12,
            Part::Evening if (5..12).contains(&hour) => hour + 12,
            // Midnight and the small hours, of which day? Nothing is guessed.
            Part::Evening if hour == 12 || (1..5).contains(&hour) => return None,
            Part::Night if (6..12).contains(&hour) => hour + 12,
            Part::Noon if (1..3).contains(&hour) => hour + 12,
            Part::SmallHours | Part::Night if hour == 12 => 0,
            _ => hour,
        };
    } else if at.eat_word(&["in the evening", "in the afternoon"]) {
        hour += if (1..12).contains(&hour) { 12 } else { 0 };
    } else if at.eat_word(&["at night"]) {
        hour = if (6..12).contains(&hour) { hour + 12 } else { hour % 12 };
    } else {
        at.eat_word(&["in the morning"]);
    }
    let minute = minute.unwrap_or(0);
    (is_time && hour < 24 && minute < 60 && at.is_word_over()).then_some((hour, minute))
}

/// Reads from left to right; blanks before a word do not matter.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self, words: &[&str]) -> bool {
        let rest = self.rest().trim_start();
        words.iter().any(|word| rest.starts_with(word.trim_start()))
    }

    /// Takes the first of the words that stands here.
    fn eat(&mut self, words: &[&str]) -> bool {
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start().len();
        for word in words {
            let word = word.trim_start();
            if !word.is_empty() && rest[blanks..].starts_with(word) {
                self.at += blanks + word.len();
                return true;
            }
        }
        false
    }

    /// The same where the word ends with it.
    fn eat_word(&mut self, words: &[&str]) -> bool {
        let here = self.at;
        let found = self.eat(words) && self.is_word_over();
        if !found {
            self.at = here;
        }
        found
    }

    /// A Latin word does not go on here.
    fn is_word_over(&self) -> bool {
        let before = self.text[..self.at].chars().next_back();
        let next = self.rest().chars().next();
        let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        !(is_letter(before) && is_letter(next))
    }

    fn digits(&mut self, most: usize) -> Option<u32> {
        let rest = self.rest();
        let len = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let number = rest[..len].parse().ok()?;
        self.at += len;
        Some(number)
    }

    /// In digits, or in Chinese up to 59.
    fn number(&mut self) -> Option<u32> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        if let Some(number) = self.digits(5) {
            return Some(number);
        }
        let value = |c: char| "零一二三四五六七八九".chars().position(|digit| digit == c).map(|n| n as u32);
        let (mut number, mut used) = (None, 0);
        for c in self.rest().chars() {
            number = match (c, number) {
                ('两', None) => Some(2),
                ('十', None) => Some(10),
                ('十', Some(tens)) if tens < 10 => Some(tens * 10),
                (c, former) => match (value(c), former) {
                    (Some(digit), None) => Some(digit),
                    (Some(digit), Some(tens)) if tens >= 10 && tens % 10 == 0 => Some(tens + digit),
                    _ => break,
                },
            };
            used += c.len_utf8();
        }
        self.at += used;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::{Schedule, zone};

    fn now() -> NaiveDateTime {
        chrono::NaiveDate::from_ymd_opt(2026, 11, 22).unwrap().and_hms_opt(13, 5, 0).unwrap()
    }

    #[test]
    fn plain_sentences_are_read() {
        for (text, schedule, words) in [
            ("every day at 9 summarise yesterday's commits", "0 9 * * *", "summarise yesterday's commits"),
            ("Every weekday at 02:30, run the tests", "30 2 * * 1-5", "run the tests"),
            ("every Monday and Friday at 5pm: write the report", "0 17 * * 1,5", "write the report"),
            ("daily at 9:15 am to check the links", "15 9 * * *", "check the links"),
            ("every 6 hours look at CI", "every 6h", "look at CI"),
            ("every 30 minutes check the queue", "every 30m", "check the queue"),
            ("hourly look at CI", "0 * * * *", "look at CI"),
            ("every morning tell me what is open", "0 9 * * *", "tell me what is open"),
            ("every night at 2 make the digest", "0 2 * * *", "make the digest"),
            ("tomorrow at 10 remind me of the release", "2026-11-23 10:00", "remind me of the release"),
            ("at 9 every weekday post the plan", "0 9 * * 1-5", "post the plan"),
            ("on the 1st of each month at 8 pay the bills", "0 8 1 * *", "pay the bills"),
            ("Summarise the commits every weekday at 18:00", "0 18 * * 1-5", "Summarise the commits"),
            ("post the plan every day at 9.", "0 9 * * *", "post the plan"),
            ("每天早上9点总结昨天的提交", "0 9 * * *", "总结昨天的提交"),
            ("每天 9:30 看一下 CI", "30 9 * * *", "看一下 CI"),
            ("每个工作日下午五点半，写日报", "30 17 * * 1-5", "写日报"),
            ("每周一、三上午十点 检查依赖", "0 10 * * 1,3", "检查依赖"),
            ("每周一和周五 10:00 检查依赖", "0 10 * * 1,5", "检查依赖"),
            ("每 6 小时看一下 CI", "every 6h", "看一下 CI"),
            ("每30分钟看一下队列", "every 30m", "看一下队列"),
            ("每小时看一下队列", "0 * * * *", "看一下队列"),
            ("每月1号9点整理账单", "0 9 1 * *", "整理账单"),
            ("明天上午10点提醒我发版", "2026-11-23 10:00", "提醒我发版"),
            ("今晚九点 提醒我备份", "2026-11-22 21:00", "提醒我备份"),
            ("每晚 11 点备份", "0 23 * * *", "备份"),
            ("每天凌晨两点半跑测试", "30 2 * * *", "跑测试"),
            ("总结昨天的提交，每天早上 9 点", "0 9 * * *", "总结昨天的提交"),
            ("每天中午提醒大家吃饭", "0 12 * * *", "提醒大家吃饭"),
            ("every day at 9 amend the notes", "0 9 * * *", "amend the notes"),
            ("tonight at 9 remind me", "2026-11-22 21:00", "remind me"),
            ("每天 9 点早会提醒", "0 9 * * *", "早会提醒"),
            ("每周一、周三 9 点 x", "0 9 * * 1,3", "x"),
        ] {
            let said = read(text, now());
            let want = Said { schedule: schedule.to_owned(), words: words.to_owned() };
            assert_eq!(said, Some(want), "{text}");
            Schedule::parse(schedule, zone("Asia/Shanghai").unwrap()).expect(text);
        }
    }

    #[test]
    fn what_is_not_certain_is_not_guessed() {
        for text in [
            "",
            "summarise the commits",
            "every day at 9",
            "every day summarise",
            "每天",
            "每天总结提交",
            "每天早报汇总",
            "every 2 days at 9 x",
            "sometimes look at CI",
            "every 6 lightyears look",
            "today at 9 remind me",
            "every daydream at 9 x",
            "every day at 25 x",
            "每周八 9 点 x",
            "每月 40 号 9 点 x",
            "the weather is nice at 9",
        ] {
            assert_eq!(read(text, now()), None, "{text}");
        }
    }
}
