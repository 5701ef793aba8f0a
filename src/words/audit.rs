//! What stands in the audit, in plain words. The ledger keeps short codes, which never change; people read these.

use crate::domain::risk::Class;
use crate::domain::rule::Span;
use crate::domain::setting::Setting;
use crate::domain::view::Lang;

/// What was done, and what was chosen where that is kept. A code that has no words (of a later ally) is shown as it is.
pub fn audit(what: &str, detail: &str, lang: Lang) -> String {
    let Some(done) = verb(what, lang) else { return join(what, detail) };
    let (first, rest) = detail.split_once(' ').unwrap_or((detail, ""));
    if let Some(setting) = Setting::parse(first).filter(|_| what.starts_with("setting")) {
        let name = super::setting(setting, lang);
        let to = (!rest.is_empty()).then(|| format!("{}{}", colon(lang), super::setting_value(setting, rest, lang)));
        return join(done, &format!("{name}{}", to.unwrap_or_default()));
    }
    match (choice(first, lang), Class::parse(rest)) {
        (Some(chosen), Some(class)) => format!("{done}{}{chosen} · {}", colon(lang), super::risk(class, lang)),
        (Some(chosen), None) if rest.is_empty() => format!("{done}{}{chosen}", colon(lang)),
        _ => match Class::parse(detail) {
            Some(class) => join(done, super::risk(class, lang)),
            None => join(done, whole(detail, lang).unwrap_or(detail)),
        },
    }
}

/// Who did it, where it was nobody in a chat.
pub fn audit_who(who: &str, lang: Lang) -> Option<&'static str> {
    let (zh, en) = match who {
        "ally" => ("我", "I"),
        "policy" => ("策略", "policy"),
        "computer" => ("电脑上", "at the computer"),
        "agent" => ("Codex", "Codex"),
        _ => return None,
    };
    Some(pick(lang, zh, en))
}

/// Whoever answers at the computer, in a card.
pub fn owner_at_computer(lang: Lang) -> &'static str {
    pick(lang, "所有者在电脑上", "the owner, at the computer")
}

/// Somebody whose name nobody told.
pub fn audit_somebody(lang: Lang) -> &'static str {
    pick(lang, "不认识的人", "somebody unknown")
}

fn join(done: &str, detail: &str) -> String {
    if detail.is_empty() { done.to_owned() } else { format!("{done} · {detail}") }
}

fn colon(lang: Lang) -> &'static str {
    pick(lang, "：", ": ")
}

fn pick<'a>(lang: Lang, zh: &'a str, en: &'a str) -> &'a str {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// Code, Chinese, English.
const VERBS: [(&str, &str, &str); 52] = [
    ("decided", "决定", "decided"),
    ("decision refused", "不能决定，没有执行", "may not decide; nothing was done"),
    ("decision honoured", "之前的决定算数", "an earlier decision was honoured"),
    ("allowed by rule", "按规则允许", "allowed by a rule"),
    ("refused", "拒绝", "refused"),
    ("rule made", "建立规则", "made a rule"),
    ("rule refused", "不能建立规则", "may not make a rule"),
    ("rule revoked", "撤销规则", "revoked a rule"),
    ("revoke refused", "不能撤销规则", "may not revoke a rule"),
    ("stop", "停止任务", "stopped a task"),
    ("cancelled", "取消排队的", "cancelled a queued message"),
    ("resume", "中断的任务", "an interrupted task"),
    ("reopen", "会话", "a conversation"),
    ("lost", "任务中断，结果未知", "a task was interrupted, outcome unknown"),
    ("undeliverable", "消息没有送达", "a message was not delivered"),
    ("may be a repeat", "消息可能重复", "a message may be a repeat"),
    ("pairing", "配对", "pairing"),
    ("membership", "进群或退群", "membership of a group"),
    ("click refused", "按钮没有生效", "a click was refused"),
    ("action refused", "不能这样做", "may not do that"),
    ("command refused", "不能用这个命令", "may not use a command"),
    ("open group", "开通群", "opened a group"),
    ("close group", "关闭群", "closed a group"),
    ("allow", "允许使用", "allowed somebody to talk"),
    ("deny", "移除", "removed somebody"),
    ("admin given", "设为管理员", "made somebody an admin"),
    ("admin taken", "不再是管理员", "an admin no longer"),
    ("approver given", "设为审批人", "made somebody an approver"),
    ("approver taken", "不再是审批人", "an approver no longer"),
    ("locked", "全部暂停", "paused everything"),
    ("unlocked", "解除暂停", "let everything go on"),
    ("refused while locked", "暂停中，没有执行", "paused; nothing was done"),
    ("setting", "改设置", "changed a setting"),
    ("setting refused", "不能改设置", "may not change a setting"),
    ("bind", "换目录", "brought the chat to a folder"),
    ("continue", "继续旧会话", "took up an old conversation"),
    ("network refused", "不能开放网络", "may not let it use the network"),
    ("decision taken back", "决定作废，没有执行", "a decision was taken back; nothing was done"),
    ("restored", "决定恢复的账本里没做完的", "decided about what a restored ledger calls unfinished"),
    ("routine made", "新建定时任务", "made a routine"),
    ("routine run", "立即运行定时任务", "ran a routine now"),
    ("routine paused", "暂停定时任务", "paused a routine"),
    ("routine resumed", "恢复定时任务", "let a routine go on"),
    ("routine removed", "删除定时任务", "removed a routine"),
    ("tool message", "用工具发了消息", "sent a message by a tool"),
    ("tool file", "用工具发了文件", "sent a file by a tool"),
    ("tool routine", "起草定时任务，等人确认", "drafted a routine for somebody to confirm"),
    ("tool routines", "查看定时任务", "looked at the routines"),
    ("tool refused", "不能用工具", "may not use a tool"),
    ("sent", "发消息", "sent a message"),
    ("another app", "换了应用，以前给出的权限都作废", "another app: what was given before is void"),
    ("right refused", "不能给出或拿走权限", "may not give or take a right"),
];

fn verb(what: &str, lang: Lang) -> Option<&'static str> {
    VERBS.iter().find(|(code, ..)| *code == what).map(|(_, zh, en)| pick(lang, zh, en))
}

fn choice(word: &str, lang: Lang) -> Option<&'static str> {
    if let Some(span) = Span::parse(word) {
        let (zh, en) = match span {
            Span::Task => ("本任务内", "for a task"),
            Span::Hours => ("12 小时", "for 12 hours"),
            Span::Always => ("30 天", "for 30 days"),
        };
        return Some(pick(lang, zh, en));
    }
    let (zh, en) = match word {
        "allow" => ("允许", "allowed"),
        "decline" => ("拒绝", "declined"),
        "answer" => ("回答", "answered"),
        "stop" => ("停止", "stopped"),
        "Continue" => ("继续", "to be continued"),
        "RunAgain" => ("重新运行", "to run again"),
        "Compact" => ("压缩后重做", "to compact and retry"),
        "StartFresh" => ("新会话重做", "to start fresh"),
        "Dismiss" => ("不用了", "dismissed"),
        "TryAgain" => ("再试一次", "tried again"),
        "Fork" => ("在副本里继续", "goes on in a copy"),
        "claimed" => ("完成", "done"),
        "BotAdded" => ("我进群了", "I was added"),
        "BotRemoved" => ("我退群了", "I was removed"),
        "Disbanded" => ("群解散了", "the group was disbanded"),
        _ => return None,
    };
    Some(pick(lang, zh, en))
}

/// Reasons that are kept as a sentence.
fn whole(detail: &str, lang: Lang) -> Option<&'static str> {
    let (zh, en) = match detail {
        "not a decider" => ("不由他决定", "not theirs to decide"),
        "may not talk here" => ("在这里不能用我", "may not talk to me here"),
        "not theirs" => ("不是他的", "not theirs"),
        "not a button of ours" => ("不是我的按钮", "not a button of mine"),
        "drawn for another chat" => ("是别的聊天的按钮", "drawn for another chat"),
        "used before" => ("已经用过", "used before"),
        "over" => ("已经结束", "it is over"),
        "of a former process" => ("属于重启之前", "from before a restart"),
        "the list changed" => ("列表变了", "the list changed"),
        "wrong code" => ("配对码不对", "wrong code"),
        "no right any more" => ("他不再有这个权限", "they may not decide any more"),
        "outsiders" => ("群里有外部人员", "there are outsiders in the group"),
        "paused" => ("暂停中", "paused"),
        "not theirs to use" => ("密钥不对", "wrong key"),
        "no task runs" => ("没有任务在进行", "no task runs"),
        "stopped" => ("任务已停止", "its task was stopped"),
        "too many" => ("太多次", "too many"),
        "outside of the directory" => ("在目录之外", "outside of the directory"),
        _ => return None,
    };
    Some(pick(lang, zh, en))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::rules;

    #[test]
    fn codes_are_told_in_words() {
        for (what, detail, zh, en) in [
            ("decided", "allow write", "决定：允许 · 改项目", "decided: allowed · changes the project"),
            ("decided", "answer", "决定：回答", "decided: answered"),
            ("rule made", "hours", "建立规则：12 小时", "made a rule: for 12 hours"),
            ("refused", "secret", "拒绝 · 读密钥", "refused · reads secrets"),
            (
                "click refused",
                "drawn for another chat",
                "按钮没有生效 · 是别的聊天的按钮",
                "a click was refused · drawn for another chat",
            ),
            ("allowed by rule", "R3", "按规则允许 · R3", "allowed by a rule · R3"),
            ("stop", "", "停止任务", "stopped a task"),
            ("setting", "busy steer", "改设置 · 忙时：插话", "changed a setting · When busy: Steer"),
            ("setting refused", "noise", "不能改设置 · 安静", "may not change a setting · Noise"),
            ("of a later ally", "x", "of a later ally · x", "of a later ally · x"),
        ] {
            assert_eq!((audit(what, detail, Lang::Zh).as_str(), audit(what, detail, Lang::En).as_str()), (zh, en));
        }
    }

    #[test]
    fn every_code_keeps_the_rules() {
        for (code, ..) in VERBS {
            for lang in [Lang::Zh, Lang::En] {
                rules::check(code, &audit(code, "", lang), lang);
            }
        }
    }
}
