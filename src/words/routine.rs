//! Routines: what came of a run, and what is wrong with a text.

use chrono::{Datelike, NaiveDateTime};

use super::schedule_error;
use super::time::At;
use crate::domain::routine::{RETRIES, RoutineError, TEXT_BYTES};
use crate::domain::view::Lang;

super::messages! {
    /// What is said of routines.
    RoutineMsg {
        // ---- under an answer
        OnTime { name: &'a str, due: At } => "定时任务 {name}，{due}", "Routine {name}, due {due}";
        Late { name: &'a str, due: At } => "定时任务 {name}，本该 {due}，补跑", "Routine {name}, due {due}, run late";
        ByHand { name: &'a str, who: &'a str } => "定时任务 {name}，{who} 让它立即运行", "Routine {name}, run now by {who}";
        // ---- ends
        Says { name: &'a str, text: &'a str } => "定时任务 {name}：{text}", "Routine {name}: {text}";
        TooLong { name: &'a str } =>
            "定时任务 {name} 用完了规定的时间，已停止", "Routine {name} used up the time that it may take, and was stopped";
        Fails { name: &'a str, times: u32 } =>
            "定时任务 {name} 已连续 {times} 次失败，仍会按时运行。暂停它：`/routine pause {name}`",
            "Routine {name} failed {times} times in a row and goes on as scheduled. To pause it: `/routine pause {name}`";
        HasNobody { name: &'a str, who: &'a str } =>
            "定时任务 {name} 已暂停：它是 {who} 的，而 {who} 不能再用我。要保留它，由你重新加一个",
            "Routine {name} is paused: it is {who}'s, who may not talk to me any more. To keep it, add it anew yourself";
        TimeIsOver => "它的时间已经过了，没有加入。写一个之后的时间再试", "Its time is over, so nothing was made. Try again with a later one";
        TooManyWords { most: usize } =>
            "要做的事太长（最多 {most} 个字符）。写进文件：`ally routine add`", "That is too long for a card (at most {most} characters). Write it as a file: `ally routine add`";
        // ---- what is wrong
        NoName { name: &'a str } =>
            "「{name}」不能作名字：最多 40 个字母、数字、- 和 _，以字母或数字开头",
            "“{name}” cannot be a name: at most 40 letters, digits, - and _, beginning with a letter or a digit";
        TextTooLong { bytes: usize, most: usize } => "有 {bytes} 字节，最多 {most}", "it has {bytes} bytes, and {most} is the most";
        Form { detail: &'a str } => "读不懂：{detail}", "it cannot be read: {detail}";
        NoTask => "没有写要做什么：写 `prompt`，或 `skill`", "it does not say what to do: write `prompt`, or `skill`";
        Choice { key: &'a str, value: &'a str, all: &'a str } =>
            "`{key}` 不能是「{value}」，可以是：{all}", "`{key}` cannot be “{value}”; it can be: {all}";
        Span { key: &'a str, value: &'a str } =>
            "`{key}` 的「{value}」不是一段时间，写法如 `30m`、`6h`、`2d`，1 分钟到 1 年",
            "“{value}” for `{key}` is no length of time; write `30m`, `6h` or `2d`, a minute to a year";
        TooManyRetries { value: u32, most: u32 } => "`retries` 是 {value}，最多 {most}", "`retries` is {value}, and {most} is the most";
        Directory { path: &'a str } =>
            "`directory` 的 {path} 不是完整路径；要从 / 写起，不带 ..", "{path} for `directory` is no whole path; write it from / on, without ..";
        Taken =>
            "已经有一个在聊天里建的同名定时任务。给文件换个名字，或先删掉那个",
            "a routine of this name was made in a chat. Give the file another name, or remove that one first";
        // ---- in a chat
        ListTitle { n: usize } => "定时任务：{n} 个", "Routines: {n}";
        ListNone =>
            "这里没有定时任务。例如：`/routine add 每天早上 9 点 总结昨天的提交`",
            "No routines here. For example: `/routine add every weekday at 9 summarise yesterday's commits`";
        ListMore { n: usize } => "还有 {n} 个没有列出，在电脑上看：`ally routine`", "{n} more are not listed; on the computer: `ally routine`";
        ListNote =>
            "`/routine run 名字` 立即运行，`pause` 暂停，`resume` 恢复，`history` 看运行，`delete` 删除",
            "`/routine run NAME` runs one now; `pause`, `resume`, `history`, `delete` do as they say";
        Paused => "已暂停", "paused";
        Next { due: &'a str } => "下次 {due}", "next {due}";
        NoNext => "没有下次", "no next time";
        NoSuch { name: &'a str } => "这里没有定时任务「{name}」，`/routine` 看全部", "There is no routine “{name}” here; `/routine` lists them";
        WillRun { name: &'a str } => "{name} 已排队，结果发到它的聊天里", "{name} is queued; what comes of it goes to its chat";
        Busy { name: &'a str } => "{name} 正在运行或在等", "{name} is under way or waits already";
        NowPaused { name: &'a str } => "{name} 已暂停；`/routine resume {name}` 恢复", "{name} is paused; `/routine resume {name}` lets it go on";
        GoesOn { name: &'a str } => "{name} 继续按时运行", "{name} goes on as scheduled";
        Removed { name: &'a str } => "{name} 已删除", "{name} was removed";
        IsFile { name: &'a str } =>
            "{name} 是电脑上的文件，在那里删：`ally routine remove {name}`",
            "{name} is a file on the computer; remove it there: `ally routine remove {name}`";
        HistoryNone { name: &'a str } => "{name} 还没有运行过", "{name} has not run yet";
        NotUnderstood =>
            "没看懂时间。写法：`每天 9:30 …`、`每个工作日下午 5 点 …`、`每周一、三 10 点 …`、`每 6 小时 …`、`明天 9 点 …`。别的写法，请直接跟 Codex 说，由它来写",
            "I do not understand the time. Write `every day at 9:30 …`, `every weekday at 5pm …`, `every Monday at 10 …`, `every 6 hours …`, `tomorrow at 9 …`. For anything else tell Codex, which can write it";
        Draft { name: &'a str, when: &'a str } => "新的定时任务「{name}」：{when}", "New routine “{name}”: {when}";
        DraftOfAgent { name: &'a str, when: &'a str } =>
            "Codex 想新建定时任务「{name}」：{when}", "Codex would like a new routine “{name}”: {when}";
        DraftQuiet => "只报失败和等人的事，其余不发消息", "Told only where it fails or waits for somebody";
        DraftWhat { words: &'a str } => "做：{words}", "Does: {words}";
        DraftNext { times: &'a str } => "接下来：{times}", "Next: {times}";
        DraftHow { project: &'a str, level: &'a str } =>
            "结果发到这里；在 {project} 里工作；自主程度：{level}。没有人在的时候，要批准的事会停下等人",
            "Told here; works in {project}; autonomy: {level}. What needs approval while nobody is there waits";
        MadeBy { who: &'a str } => "{who} 已建立", "Made by {who}";
        DroppedBy { who: &'a str } => "{who}：不用了", "Dismissed by {who}";
        // ---- in the morning
        MorningTitle { from: &'a str } => "从 {from} 起：没有事等你", "Since {from}: nothing waits for you";
        MorningNeeds { from: &'a str, n: usize } => "从 {from} 起：{n} 项等你", "Since {from}: {n} need you";
        MorningGate { number: i64, class: &'a str, project: &'a str, since: At } =>
            "#{number} {class} · {project} · 从 {since} 起在等", "#{number} {class} · {project} · waits since {since}";
        MorningLost { title: &'a str, project: &'a str } =>
            "中断，结果未知：{title} · {project}", "Interrupted, outcome unknown: {title} · {project}";
        MorningSkipped { n: i64 } => "跳过 {n} 次", "{n} skipped";
        MorningUnderWay { name: &'a str } => "{name} 还在进行，或在等人", "{name} is under way, or waits for a person";
        MorningMore { n: usize } => "还有 {n} 行没有列出", "{n} more lines are left out";
        NothingHappened { from: &'a str } => "从 {from} 起没有要说的", "Nothing to tell since {from}";
        FileUnreadable { detail: &'a str } => "文件读不了：{detail}", "the file cannot be read: {detail}";
    }
}

/// A due time by the clock of its zone: `11-23 Mon 09:00`.
pub fn due(at: NaiveDateTime, lang: Lang) -> String {
    let n = at.weekday().num_days_from_monday() as usize;
    let day = match lang {
        Lang::Zh => ["周一", "周二", "周三", "周四", "周五", "周六", "周日"][n],
        Lang::En => ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][n],
    };
    format!("{} {day} {}", at.format("%m-%d"), at.format("%H:%M"))
}

/// Where a run stands, or what came of it: the ledger's short words in plain ones.
pub fn run_state(word: &str, lang: Lang) -> &str {
    let (zh, en) = match word {
        "waiting" => ("等待开始", "waits"),
        "running" => ("进行中", "under way"),
        "completed" => ("完成", "completed"),
        "failed" => ("失败", "failed"),
        "timed_out" => ("超时，已停止", "took too long, stopped"),
        "stopped" => ("被停止", "stopped"),
        "cut_off" => ("随 ally 停止而中断", "cut off by ally's stop"),
        "lost" => ("中断，结果未知", "interrupted, outcome unknown"),
        "cancelled" => ("已取消", "cancelled"),
        "missed" => ("错过", "missed"),
        "overlap" => ("上次还在进行，跳过", "skipped: the one before went on"),
        other => (other, other),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// What is wrong with the text of a routine, and how it would be right.
pub fn routine_error(error: &RoutineError, lang: Lang) -> String {
    match error {
        RoutineError::Name { name } => RoutineMsg::NoName { name }.text(lang),
        RoutineError::TooLong { bytes } => RoutineMsg::TextTooLong { bytes: *bytes, most: TEXT_BYTES }.text(lang),
        RoutineError::Form { detail } => RoutineMsg::Form { detail }.text(lang),
        RoutineError::Schedule(error) => schedule_error(error, lang),
        RoutineError::NoTask => RoutineMsg::NoTask.text(lang),
        RoutineError::Choice { key, value, choices } => {
            let all = choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ");
            RoutineMsg::Choice { key, value, all: &all }.text(lang)
        }
        RoutineError::Span { key, value } => RoutineMsg::Span { key, value }.text(lang),
        RoutineError::TooManyRetries { value } => {
            RoutineMsg::TooManyRetries { value: *value, most: RETRIES }.text(lang)
        }
        RoutineError::Directory { path } => RoutineMsg::Directory { path: &path.display().to_string() }.text(lang),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::routine::Routine;
    use crate::words::rules;

    #[test]
    fn what_is_wrong_keeps_the_rules_and_says_what_would_be_right() {
        for (line, en) in [
            ("misfire: later", "`run_once`"),
            ("window: soon", "`6h`"),
            ("retries: 99", "10"),
            ("directory: web", "from / on"),
            ("conversation: a/b", "letters"),
            ("schedule2: x", "line 3"),
            ("zone: Mars", "Mars"),
        ] {
            let text = format!("schedule: 0 9 * * *\nprompt: p\n{line}\n");
            let error = Routine::parse("r", &text, chrono_tz::Tz::UTC).unwrap_err();
            let told = routine_error(&error, Lang::En);
            assert!(told.contains(en), "{line}: {told}");
            if !matches!(error, RoutineError::Form { .. }) {
                rules::check(line, &routine_error(&error, Lang::Zh), Lang::Zh);
                rules::check(line, &told, Lang::En);
            }
        }
    }
}
