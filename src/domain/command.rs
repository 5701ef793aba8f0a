//! What people type: commands, shortcuts for gates, the stop word, near misses, or a message.
//!
//! Strict on purpose: only a whole message is ever a shortcut, so ordinary speech decides nothing. What is not certainly
//! something else is [`Typed::Text`] and goes to the agent.

use unicode_normalization::UnicodeNormalization;

use super::conversing::{self, Conversing};
use super::routine::{self, Wish};

/// What a whole message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Command(Command),
    /// Looks like a mistyped command. Both with their slash.
    DidYouMean {
        typed: String,
        suggestion: String,
    },
    Shortcut(Shortcut),
    /// "停", "stop": stops a running turn; a message when none runs.
    StopWord,
    /// "好的", "ok", 👍: approves nothing, and says so when a gate is open.
    NearMiss,
    /// A message for the agent, trimmed; `//x` has become `/x`.
    Text(String),
}

/// A command that ally carries out itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// With the command to explain, without its slash.
    Help(Option<String>),
    /// With the first message of the new conversation, if one was typed behind it.
    New(Option<String>),
    Stop {
        all: bool,
    },
    Status,
    Cancel(Option<u32>),
    Retry,
    Whoami,
    Allow {
        rest: String,
    },
    Deny {
        rest: String,
    },
    /// People to make admins, or, with `remove`, no longer.
    Admin {
        rest: String,
    },
    /// The same for those who decide in this chat.
    Approver {
        rest: String,
    },
    Steer(String),
    Release,
    Lang(Option<String>),
    /// About conversations and where they work.
    Conversing(Conversing),
    /// With what to change, if anything.
    Settings(Option<String>),
    /// What was decided in the last so many milliseconds.
    Audit {
        span_ms: i64,
    },
    /// The requests that wait for a decision.
    Gates,
    Lock,
    Unlock,
    /// The rules of the chat, or the number of the one to end.
    Rules {
        revoke: Option<i64>,
    },
    Routine(Wish),
    /// What came of the night, or of so many milliseconds.
    Last {
        span_ms: Option<i64>,
    },
    Doctor,
    /// A word of the table that this version does not carry out, in its English form.
    Later(&'static str),
}

/// A typed decision. `raw` is the message, so that it can still become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcut {
    pub raw: String,
    pub meant: Meant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// Allow the one open gate, once.
    Yes,
    /// Decline the one open gate.
    No,
    /// Decide gates by number; no number is in both lists.
    Pick { allow: Vec<i64>, decline: Vec<i64> },
    /// `all y`: everything of low risk that is shown.
    AllSafe,
    /// An option of the open question, 1-based.
    Number(u32),
}

/// English word, Chinese words. The order is that of the help page.
const TABLE: &[(&str, &[&str])] = &[
    ("help", &["帮助", "菜单"]),
    ("new", &["新会话"]),
    ("stop", &["停止", "停"]),
    ("cancel", &["取消"]),
    ("status", &["状态"]),
    ("gates", &["待批准"]),
    ("steer", &["插话"]),
    ("threads", &["历史"]),
    ("resume", &["接着"]),
    ("fork", &["分叉"]),
    ("name", &["命名"]),
    ("diff", &["改动"]),
    ("review", &["审查"]),
    ("compact", &["压缩"]),
    ("plan", &["计划"]),
    ("model", &["模型"]),
    ("effort", &["强度"]),
    ("project", &["项目", "绑定"]),
    ("cd", &["目录"]),
    ("settings", &["设置"]),
    ("lang", &["语言"]),
    ("rules", &["规则"]),
    ("usage", &["用量"]),
    ("budget", &["额度"]),
    ("last", &["昨晚"]),
    ("audit", &["审计"]),
    ("routine", &["定时"]),
    ("allow", &["允许"]),
    ("deny", &["移除"]),
    ("admin", &["管理员"]),
    ("approver", &["审批人"]),
    ("delegate", &["代理"]),
    ("retry", &["重试"]),
    ("release", &["释放"]),
    ("whoami", &["我是谁"]),
    ("lock", &["锁定"]),
    ("unlock", &["解锁"]),
    ("forget", &["忘掉"]),
    ("doctor", &["体检"]),
];

const YES: &[&str] = &["y", "同意", "允许"];
const NO: &[&str] = &["n", "拒绝", "不同意"];
const STOP: &[&str] = &["停", "停止", "别跑了", "stop"];
const HELP: &[&str] = &["/", "?", "帮助", "help"];
const NEAR: &[&str] = &[
    "好",
    "好的",
    "好吧",
    "好呀",
    "好啊",
    "可以",
    "可以的",
    "行",
    "行吧",
    "嗯",
    "嗯嗯",
    "是",
    "是的",
    "对",
    "没问题",
    "批准",
    "通过",
    "同意了",
    "可",
    "ok",
    "okay",
    "k",
    "yes",
    "yep",
    "yeah",
    "yup",
    "sure",
    "fine",
    "go",
    "go ahead",
    "do it",
    "approve",
    "approved",
    "lgtm",
    "不",
    "不行",
    "不要",
    "不可以",
    "no",
    "nope",
    "[ok]",
    "[好的]",
    "[赞]",
    "[thumbsup]",
    "[done]",
    "[yes]",
    "[强]",
];

/// Judges a message whose leading mention of the bot has been stripped.
pub fn parse(text: &str) -> Typed {
    let trimmed = text.trim();
    let whole = fold(trimmed);
    if HELP.contains(&whole.as_str()) {
        return Typed::Command(Command::Help(None));
    }
    if let Some(behind_slash) = trimmed.strip_prefix(['/', '／']) {
        return slashed(behind_slash, trimmed);
    }
    if let Some(meant) = shortcut(&whole) {
        return Typed::Shortcut(Shortcut { raw: trimmed.to_owned(), meant });
    }
    if STOP.contains(&whole.as_str()) {
        return Typed::StopWord;
    }
    if NEAR.contains(&whole.as_str()) || is_emoji_only(&whole) {
        return Typed::NearMiss;
    }
    Typed::Text(trimmed.to_owned())
}

/// The words for the agent in a message that became a turn: what stands behind `/new` and `/steer`, else all of it.
pub fn for_agent(text: &str) -> String {
    match parse(text) {
        Typed::Text(words) | Typed::Command(Command::New(Some(words)) | Command::Steer(words)) => words,
        Typed::Command(Command::Conversing(Conversing::Plan(Some(words)))) => words,
        _ => text.to_owned(),
    }
}

/// The English form of a command's word in either language, with or without its slash.
pub fn known_word(word: &str) -> Option<&'static str> {
    let word = fold(word);
    let word = word.trim_start_matches('/');
    TABLE.iter().find(|(english, chinese)| *english == word || chinese.contains(&word)).map(|(english, _)| *english)
}

/// NFKC, trimmed, one final 。！!. (or several) removed, lower case.
fn fold(text: &str) -> String {
    let normal: String = text.nfkc().filter(|c| !matches!(c, '\u{fe0e}' | '\u{fe0f}' | '\u{200b}')).collect();
    normal.trim().trim_end_matches(['。', '!', '.']).trim_end().to_lowercase()
}

fn slashed(behind_slash: &str, trimmed: &str) -> Typed {
    if behind_slash.starts_with(['/', '／']) {
        let mut rest = behind_slash.chars();
        rest.next();
        return Typed::Text(format!("/{}", rest.as_str()));
    }
    let (word, rest) = behind_slash.split_once(char::is_whitespace).unwrap_or((behind_slash, ""));
    let rest = rest.trim();
    if let Some(known) = known_word(word) {
        return command(known, rest);
    }
    // "/取消2": people do not type a space behind a Chinese word.
    let folded = fold(word);
    let stem = folded.trim_end_matches(|c: char| c.is_ascii_digit());
    if let (Some(known @ ("cancel" | "resume")), true) = (known_word(stem), rest.is_empty()) {
        return command(known, &folded[stem.len()..]);
    }
    match suggestion(&folded, rest) {
        Some(known) => Typed::DidYouMean { typed: format!("/{folded}"), suggestion: format!("/{known}") },
        None => Typed::Text(trimmed.to_owned()),
    }
}

fn command(word: &'static str, rest: &str) -> Typed {
    let optional = || (!rest.is_empty()).then(|| rest.to_owned());
    Typed::Command(match word {
        "help" => Command::Help(optional().map(|topic| match known_word(&topic) {
            Some(known) => known.to_owned(),
            None => topic,
        })),
        "new" => Command::New(optional()),
        "stop" => Command::Stop { all: matches!(fold(rest).as_str(), "all" | "全部" | "所有") },
        "status" => Command::Status,
        "cancel" => return cancel(rest),
        "retry" => Command::Retry,
        "whoami" => Command::Whoami,
        "allow" => Command::Allow { rest: rest.to_owned() },
        "deny" => Command::Deny { rest: rest.to_owned() },
        "admin" => Command::Admin { rest: rest.to_owned() },
        "approver" => Command::Approver { rest: rest.to_owned() },
        "steer" => Command::Steer(rest.to_owned()),
        "release" => Command::Release,
        "lang" => Command::Lang(optional()),
        "settings" => Command::Settings(optional()),
        "rules" => return rules(rest),
        "routine" => match routine::wish(rest) {
            Some(wish) => Command::Routine(wish),
            None => Command::Help(Some("routine".to_owned())),
        },
        "last" => match (rest.is_empty(), span_ms(rest)) {
            (true, _) => Command::Last { span_ms: None },
            (false, Some(span_ms)) => Command::Last { span_ms: Some(span_ms) },
            (false, None) => Command::Help(Some("last".to_owned())),
        },
        "gates" => Command::Gates,
        "doctor" => Command::Doctor,
        "lock" => Command::Lock,
        "unlock" => Command::Unlock,
        "audit" => match span_ms(if rest.is_empty() { "7d" } else { rest }) {
            Some(span_ms) => Command::Audit { span_ms },
            None => Command::Help(Some("audit".to_owned())),
        },
        other => match conversing::parse(other, &fold_rest(other, rest)) {
            Some(Ok(command)) => Command::Conversing(command),
            Some(Err(())) => Command::Help(Some(other.to_owned())),
            None => Command::Later(other),
        },
    })
}

/// Numbers are typed in all widths; words stay as they are.
fn fold_rest(word: &str, rest: &str) -> String {
    if matches!(word, "resume" | "usage") { fold(rest) } else { rest.to_owned() }
}

/// Whether a right is to be taken away: `@Li remove`, `移除 @Li`.
pub fn takes_away(rest: &str) -> bool {
    rest.split_whitespace().any(|word| matches!(fold(word).as_str(), "remove" | "移除" | "取消"))
}

/// A span of time as people write it: `7d`, `12h`, `2w`, `3 天`, `12 小时`.
pub fn span_ms(text: &str) -> Option<i64> {
    let folded = fold(text);
    let digits = folded.find(|c: char| !c.is_ascii_digit()).unwrap_or(folded.len());
    let (number, unit) = folded.split_at(digits);
    let hours: i64 = match unit.trim() {
        "h" | "小时" => 1,
        "d" | "天" => 24,
        "w" | "周" => 7 * 24,
        _ => return None,
    };
    number.parse::<i64>().ok().filter(|n| (1..=10_000).contains(n)).map(|n| n * hours * 3_600_000)
}

/// `revoke R7`, `撤销 7`. What else stands there ends no rule; it gets the explanation.
fn rules(rest: &str) -> Typed {
    let folded = fold(rest);
    let words: Vec<&str> = folded.split_whitespace().filter(|word| !matches!(*word, "revoke" | "撤销")).collect();
    Typed::Command(match words.as_slice() {
        [] if folded.is_empty() => Command::Rules { revoke: None },
        [number] if words.len() < folded.split_whitespace().count() => match number.trim_start_matches('r').parse() {
            Ok(number) => Command::Rules { revoke: Some(number) },
            Err(_) => Command::Help(Some("rules".to_owned())),
        },
        _ => Command::Help(Some("rules".to_owned())),
    })
}

/// An argument that is not a number cancels nothing; it gets the explanation.
fn cancel(rest: &str) -> Typed {
    let folded = fold(rest);
    let number = folded.trim_start_matches('#');
    Typed::Command(match number.parse() {
        _ if rest.is_empty() => Command::Cancel(None),
        Ok(number) => Command::Cancel(Some(number)),
        Err(_) => Command::Help(Some("cancel".to_owned())),
    })
}

/// The nearest word of the table, for messages of at most two words that do not look like a path.
fn suggestion(typed: &str, rest: &str) -> Option<&'static str> {
    if rest.split_whitespace().count() > 1 || typed.contains(['/', '.', '\\', ':', '~', '_']) {
        return None;
    }
    // Two of three letters wrong is another word, not a slip.
    let allowed = if typed.chars().count() <= 3 { 1 } else { 2 };
    let words = TABLE.iter().flat_map(|(english, chinese)| {
        std::iter::once((*english, *english)).chain(chinese.iter().map(|word| (*word, *english)))
    });
    words
        .map(|(word, english)| (edit_distance(typed, word), english))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, english)| english)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn shortcut(whole: &str) -> Option<Meant> {
    if YES.contains(&whole) {
        return Some(Meant::Yes);
    }
    if NO.contains(&whole) {
        return Some(Meant::No);
    }
    if whole.split_whitespace().eq(["all", "y"]) {
        return Some(Meant::AllSafe);
    }
    if let Some(number) = option_number(whole) {
        return Some(Meant::Number(number));
    }
    picks(whole)
}

fn option_number(whole: &str) -> Option<u32> {
    let digits = !whole.is_empty() && whole.len() <= 2 && whole.bytes().all(|b| b.is_ascii_digit());
    whole.parse().ok().filter(|number| digits && *number > 0)
}

/// `a1 a3 / d2`, `同意1 3 拒绝2`. Anything else in the message, or a number on both sides, is no shortcut.
fn picks(whole: &str) -> Option<Meant> {
    const VERBS: [(&str, bool); 4] = [("不同意", false), ("同意", true), ("允许", true), ("拒绝", false)];
    let (mut allow, mut decline) = (Vec::new(), Vec::new());
    // The side that bare numbers go to, and whether the verb that opened it has a number yet.
    let mut side: Option<(bool, bool)> = None;
    let mut rest = whole;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '、' | ';' | '/'));
        if rest.is_empty() {
            break;
        }
        if let Some((verb, yes)) = VERBS.iter().find(|(verb, _)| rest.starts_with(verb)) {
            if matches!(side, Some((_, false))) {
                return None;
            }
            side = Some((*yes, false));
            rest = &rest[verb.len()..];
            continue;
        }
        let lettered = match rest.as_bytes() {
            [b'a', next, ..] if next.is_ascii_digit() => Some(true),
            [b'd', next, ..] if next.is_ascii_digit() => Some(false),
            _ => None,
        };
        let yes = match (lettered, side) {
            (Some(_), Some(_)) => return None,
            (Some(yes), None) => yes,
            (None, Some((yes, _))) => yes,
            (None, None) => return None,
        };
        rest = if lettered.is_some() { &rest[1..] } else { rest.strip_prefix('#').unwrap_or(rest) };
        let number = leading_number(&mut rest)?;
        side = side.map(|(yes, _)| (yes, true));
        let list = if yes { &mut allow } else { &mut decline };
        if !list.contains(&number) {
            list.push(number);
        }
    }
    let contradiction = allow.iter().any(|number| decline.contains(number));
    let verb_without_number = matches!(side, Some((_, false)));
    let nothing = allow.is_empty() && decline.is_empty();
    let meant = !(contradiction || verb_without_number || nothing);
    meant.then_some(Meant::Pick { allow, decline })
}

/// Takes a number from the front; it must be followed by a separator, a Chinese verb or the end.
fn leading_number(rest: &mut &str) -> Option<i64> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest[..end].parse().ok().filter(|number| *number > 0 && end <= 9)?;
    *rest = &rest[end..];
    let ended = rest
        .chars()
        .next()
        .is_none_or(|c| c.is_whitespace() || matches!(c, ',' | '、' | ';' | '/' | '同' | '允' | '拒' | '不'));
    ended.then_some(number)
}

/// Pictographs and their joiners only.
fn is_emoji_only(whole: &str) -> bool {
    let is_emoji = |c: char| matches!(u32::from(c), 0x1f000..=0x1faff | 0x2600..=0x27bf | 0x2b00..=0x2bff | 0x2190..=0x21ff | 0x231a..=0x23ff);
    let joins = |c: char| matches!(c, '\u{200d}' | '\u{20e3}') || c.is_whitespace();
    whole.chars().any(is_emoji) && whole.chars().all(|c| is_emoji(c) || joins(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Typed {
        Typed::Text(text.to_owned())
    }

    #[test]
    fn the_words_for_the_agent() {
        for (typed, want) in [
            ("fix it", "fix it"),
            (" //etc ", "/etc"),
            ("/new fix it", "fix it"),
            ("/计划 fix it", "fix it"),
            ("/插话 also the tests", "also the tests"),
            ("y", "y"),
            ("好的", "好的"),
        ] {
            assert_eq!(for_agent(typed), want);
        }
    }

    #[test]
    fn commands() {
        use Command::*;
        for (typed, want) in [
            ("/help", Help(None)),
            ("/HELP", Help(None)),
            ("/", Help(None)),
            ("／", Help(None)),
            ("?", Help(None)),
            ("？", Help(None)),
            ("帮助", Help(None)),
            ("help", Help(None)),
            ("/帮助", Help(None)),
            ("/菜单", Help(None)),
            ("/help stop", Help(Some("stop".into()))),
            ("/help /停止", Help(Some("stop".into()))),
            ("/help foo", Help(Some("foo".into()))),
            ("/new", New(None)),
            ("／new", New(None)),
            ("/新会话", New(None)),
            ("／新会话", New(None)),
            ("/new 写一个脚本", New(Some("写一个脚本".into()))),
            ("/stop", Stop { all: false }),
            ("/stop。", Stop { all: false }),
            ("/stop!", Stop { all: false }),
            ("  /stop  ", Stop { all: false }),
            ("/停止", Stop { all: false }),
            ("/停", Stop { all: false }),
            ("/停！", Stop { all: false }),
            ("/stop all", Stop { all: true }),
            ("/stop ALL", Stop { all: true }),
            ("/停止 全部", Stop { all: true }),
            ("/status", Status),
            ("/Status", Status),
            ("/状态", Status),
            ("/ｓｔａｔｕｓ", Status),
            ("/cancel", Cancel(None)),
            ("/cancel 2", Cancel(Some(2))),
            ("/cancel ２", Cancel(Some(2))),
            ("/cancel #2", Cancel(Some(2))),
            ("/取消", Cancel(None)),
            ("/取消 3", Cancel(Some(3))),
            ("/取消3", Cancel(Some(3))),
            ("/cancel2", Cancel(Some(2))),
            ("/cancel the build", Help(Some("cancel".into()))),
            ("/retry", Retry),
            ("/重试", Retry),
            ("/whoami", Whoami),
            ("/我是谁", Whoami),
            ("/allow @Li", Allow { rest: "@Li".into() }),
            ("/允许 @李雷", Allow { rest: "@李雷".into() }),
            ("/deny @Li", Deny { rest: "@Li".into() }),
            ("/移除 @Li", Deny { rest: "@Li".into() }),
            ("/steer 先跑测试，再提交", Steer("先跑测试，再提交".into())),
            ("/插话 Use tabs!", Steer("Use tabs!".into())),
            ("/steer\nline two", Steer("line two".into())),
            ("/release", Release),
            ("/释放", Release),
            ("/lang", Lang(None)),
            ("/lang zh", Lang(Some("zh".into()))),
            ("/语言 en", Lang(Some("en".into()))),
            ("/threads", Conversing(conversing::Conversing::Threads)),
            ("/历史", Conversing(conversing::Conversing::Threads)),
            ("/接着2", Conversing(conversing::Conversing::Resume(Some(2)))),
            ("/resume ２", Conversing(conversing::Conversing::Resume(Some(2)))),
            ("/resume my work", Help(Some("resume".into()))),
            ("/model gpt", Conversing(conversing::Conversing::Model(Some("gpt".into())))),
            ("/绑定 x", Conversing(conversing::Conversing::Bind("x".into()))),
            ("/cd ..", Conversing(conversing::Conversing::Bind("..".into()))),
            ("/rules", Rules { revoke: None }),
            ("/规则", Rules { revoke: None }),
            ("/rules revoke R7", Rules { revoke: Some(7) }),
            ("/规则 撤销 7", Rules { revoke: Some(7) }),
            ("/rules R7", Help(Some("rules".into()))),
            ("/rules revoke", Help(Some("rules".into()))),
            ("/rules revoke all", Help(Some("rules".into()))),
            ("/gates", Gates),
            ("/待批准", Gates),
            ("/audit", Audit { span_ms: 7 * 86_400_000 }),
            ("/审计 3 天", Audit { span_ms: 3 * 86_400_000 }),
            ("/audit 12h", Audit { span_ms: 12 * 3_600_000 }),
            ("/audit all", Help(Some("audit".into()))),
            ("/audit 99999999d", Help(Some("audit".into()))),
            ("/admin @Li", Admin { rest: "@Li".into() }),
            ("/管理员 @李雷 移除", Admin { rest: "@李雷 移除".into() }),
            ("/approver", Approver { rest: String::new() }),
            ("/审批人 @李雷", Approver { rest: "@李雷".into() }),
            ("/lock", Lock),
            ("/锁定", Lock),
            ("/unlock", Unlock),
            ("/解锁", Unlock),
            ("/体检", Doctor),
            ("/routine list", Routine(Wish::List)),
            ("/定时 暂停 周报", Routine(Wish::Pause("周报".to_owned()))),
        ] {
            assert_eq!(parse(typed), Typed::Command(want), "{typed}");
        }
    }

    #[test]
    fn a_right_is_taken_by_a_word_of_its_own() {
        for (rest, want) in
            [("@Li", false), ("@Li remove", true), ("移除 @李雷", true), ("@remove", false), ("", false)]
        {
            assert_eq!(takes_away(rest), want, "{rest}");
        }
    }

    #[test]
    fn mistyped_commands() {
        for (typed, suggestion) in [
            ("/sttaus", "/status"),
            ("/statsu", "/status"),
            ("/hlp", "/help"),
            ("/halp me", "/help"),
            ("/stp", "/stop"),
            ("/状太", "/status"),
            ("/cancle 2", "/cancel"),
            ("/whoam", "/whoami"),
        ] {
            let got = parse(typed);
            assert!(matches!(&got, Typed::DidYouMean { suggestion: s, .. } if s == suggestion), "{typed}: {got:?}");
        }
    }

    #[test]
    fn shortcuts() {
        let pick = |allow: &[i64], decline: &[i64]| Meant::Pick { allow: allow.to_vec(), decline: decline.to_vec() };
        for (typed, want) in [
            ("y", Meant::Yes),
            ("Y", Meant::Yes),
            (" y ", Meant::Yes),
            ("y。", Meant::Yes),
            ("y!", Meant::Yes),
            ("y！", Meant::Yes),
            ("y.", Meant::Yes),
            ("ｙ", Meant::Yes),
            ("同意", Meant::Yes),
            ("同意！", Meant::Yes),
            ("允许", Meant::Yes),
            ("n", Meant::No),
            ("N.", Meant::No),
            ("拒绝", Meant::No),
            ("不同意", Meant::No),
            ("不同意。", Meant::No),
            ("all y", Meant::AllSafe),
            ("ALL  Y", Meant::AllSafe),
            ("1", Meant::Number(1)),
            ("２", Meant::Number(2)),
            ("2.", Meant::Number(2)),
            ("12", Meant::Number(12)),
            ("a1", pick(&[1], &[])),
            ("A1", pick(&[1], &[])),
            ("d2", pick(&[], &[2])),
            ("a1 a3 / d2", pick(&[1, 3], &[2])),
            ("a1 a3 d2", pick(&[1, 3], &[2])),
            ("a1, a3, d2", pick(&[1, 3], &[2])),
            ("a1，a3，d2", pick(&[1, 3], &[2])),
            ("a1、a3", pick(&[1, 3], &[])),
            ("a1 a1", pick(&[1], &[])),
            ("d12 a3", pick(&[3], &[12])),
            ("a1/d2", pick(&[1], &[2])),
            ("同意1", pick(&[1], &[])),
            ("同意 1", pick(&[1], &[])),
            ("同意1 3 拒绝2", pick(&[1, 3], &[2])),
            ("同意1、3，拒绝2", pick(&[1, 3], &[2])),
            ("同意1、3拒绝2", pick(&[1, 3], &[2])),
            ("允许 #1 #3", pick(&[1, 3], &[])),
            ("不同意2", pick(&[], &[2])),
            ("拒绝2，同意1", pick(&[1], &[2])),
        ] {
            let raw = typed.trim().to_owned();
            assert_eq!(parse(typed), Typed::Shortcut(Shortcut { raw, meant: want }), "{typed}");
        }
    }

    #[test]
    fn stop_words_and_near_misses() {
        for typed in ["停", "停！", "停止", "停止。", "别跑了", "stop", "STOP!", "Stop."] {
            assert_eq!(parse(typed), Typed::StopWord, "{typed}");
        }
        for typed in [
            "好的",
            "好的。",
            "好",
            "可以",
            "可以！",
            "行",
            "嗯",
            "ok",
            "OK",
            "Ok.",
            "yes",
            "Yes!",
            "sure",
            "👍",
            "👍🏻",
            "👍👍",
            "👌",
            "✅",
            "❤️",
            "🙏 🙏",
            "没问题",
            "go ahead",
            "no",
            "不行",
            "批准",
            "[OK]",
            "[赞]",
        ] {
            assert_eq!(parse(typed), Typed::NearMiss, "{typed}");
        }
    }

    #[test]
    fn everything_else_is_a_message() {
        for typed in [
            "",
            "修一下登录的 bug",
            "/etc/hosts 是什么",
            "/etc/hosts",
            "/src/a.ts 报错",
            "/usr/bin/env python",
            "/data/li/x.py fails",
            "/foo.py",
            "/tmp",
            "/api 接口为什么这么慢呢 请看 一下",
            "/这个路径是什么意思",
            "y?",
            "y 吗",
            "yy",
            "y n",
            "同意吗",
            "我同意",
            "同意你的看法",
            "不同意见有哪些",
            "不太同意",
            "允许跨域怎么配置",
            "拒绝访问是什么原因",
            "同意1吗",
            "同意1 和 3",
            "同意 拒绝2",
            "a1 请先看",
            "a1 d1",
            "a1 3",
            "a1b2",
            "a1a2",
            "a",
            "d",
            "a0",
            "a 1",
            "add 2 tests",
            "a4 纸",
            "all",
            "all yes",
            "ally",
            "all y please",
            "0",
            "100",
            "1 2",
            "3 个文件",
            "#3",
            "1)",
            "停一下测试",
            "停止词是什么",
            "stop the server",
            "好的，再加一个测试",
            "ok 那就这样做吧",
            "yes and also the tests",
            "👍 继续",
            "...",
            "help me",
            "帮助文档在哪",
            "再见",
        ] {
            assert_eq!(parse(typed), text(typed), "{typed}");
        }
    }

    #[test]
    fn a_double_slash_sends_a_slash() {
        for (typed, want) in
            [("//new", "/new"), ("//status now", "/status now"), ("／／new", "/new"), ("/／new", "/new"), ("//", "/")]
        {
            assert_eq!(parse(typed), text(want), "{typed}");
        }
    }

    #[test]
    fn the_table_has_no_word_twice() {
        let mut words: Vec<&str> = TABLE
            .iter()
            .flat_map(|(english, chinese)| std::iter::once(english).chain(chinese.iter()))
            .copied()
            .collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
        assert_eq!(known_word("/停止"), Some("stop"));
        assert_eq!(known_word("nothing"), None);
    }
}
