//! What is said when something fails: one plain line for the chat, the remedy for the owner.

use crate::domain::history::FailureKind;
use crate::domain::view::Lang;

/// What is known around a failure, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FailureContext<'a> {
    /// Tries that were made, as far as the runtime told.
    pub tries: u32,
    /// The turn, for whoever looks on the computer.
    pub turn: &'a str,
    /// The command that signs the runtime in, where it has one.
    pub login: Option<&'a str>,
    /// The runtime can compact a conversation that is too long.
    pub can_compact: bool,
    /// It was to compact one.
    pub compacts: bool,
}

/// Two readers, two texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// For the chat where the turn ran.
    pub chat: String,
    /// For the owner: what to do about it, where there is something to do.
    pub owner: Option<String>,
}

fn told(lang: Lang, zh: (&str, Option<String>), en: (&str, Option<String>)) -> Told {
    let (chat, owner) = match lang {
        Lang::Zh => zh,
        Lang::En => en,
    };
    Told { chat: chat.to_owned(), owner }
}

/// Why a turn failed.
pub fn failure(kind: FailureKind, context: FailureContext<'_>, lang: Lang) -> Told {
    let turn = context.turn;
    match kind {
        FailureKind::NotSignedIn => not_signed_in(context.login, lang),
        FailureKind::UsageLimit => told(
            lang,
            (
                "Codex 额度用完，不知道何时恢复。任务没有完成",
                Some("账号的额度用完了。可以等它恢复，或在电脑上换一个账号登录".to_owned()),
            ),
            (
                "Codex limit reached; when it ends cannot be told. The task is not finished",
                Some(
                    "The account's limit is used up. Wait for it, or sign in with another account on the computer"
                        .to_owned(),
                ),
            ),
        ),
        FailureKind::ModelBusy => model_busy(context.tries, lang),
        FailureKind::Unreachable => told(
            lang,
            (
                "连不上模型。任务没有完成，已做的步骤不会撤回，可以重新运行",
                Some(format!("检查这台电脑的网络和代理；原因：`ally turns show {turn}`")),
            ),
            (
                "The model cannot be reached. The task is not finished, steps already done stay; it can be run again",
                Some(format!("Check this computer's network and proxy; the reason: `ally turns show {turn}`")),
            ),
        ),
        FailureKind::ContextFull if context.compacts => told(
            lang,
            ("会话太长，压缩也没有做成。用 `/new` 开新会话", None),
            ("The conversation is too long even to be compacted. Start afresh with `/new`", None),
        ),
        FailureKind::ContextFull if context.can_compact => told(
            lang,
            ("会话太长，任务没有完成。可以压缩后重做，或在新会话里做", None),
            (
                "The conversation is too long; the task is not finished. It can be compacted and retried, or done in a new one",
                None,
            ),
        ),
        FailureKind::ContextFull => told(
            lang,
            ("会话太长，任务没有完成。用 `/new` 开新会话再发一次", None),
            (
                "The conversation is too long; the task is not finished. Start afresh with `/new` and send it again",
                None,
            ),
        ),
        FailureKind::Rejected => told(
            lang,
            (
                "模型服务拒绝了这个请求，任务没有完成。换一种说法，或用 `/new` 开新会话",
                Some(format!("原因在电脑上：`ally turns show {turn}`。常见：模型名不对，或账号没有权限")),
            ),
            (
                "The model service refused this request; the task is not finished. Put it differently, or start afresh with `/new`",
                Some(format!(
                    "The reason is on the computer: `ally turns show {turn}`. Often a wrong model name or an account without the right"
                )),
            ),
        ),
        FailureKind::Other => told(
            lang,
            (
                "任务没有完成，Codex 报告了错误。已做的步骤不会撤回，可以重新运行",
                Some(format!("原因在电脑上：`ally turns show {turn}`")),
            ),
            (
                "The task is not finished: Codex reported an error. Steps already done stay; it can be run again",
                Some(format!("The reason is on the computer: `ally turns show {turn}`")),
            ),
        ),
    }
}

fn not_signed_in(login: Option<&str>, lang: Lang) -> Told {
    let login = login.unwrap_or("codex login");
    told(
        lang,
        ("Codex 没有登录，任务没有完成。恢复后可以重新运行", Some(format!("在电脑上运行 `{login}`"))),
        (
            "Codex is not signed in; the task is not finished. It can be run again once this is fixed",
            Some(format!("Run `{login}` on the computer")),
        ),
    )
}

fn model_busy(tries: u32, lang: Lang) -> Told {
    let (zh, en) = match tries {
        0 | 1 => ("模型服务繁忙。".to_owned(), "Model service busy. ".to_owned()),
        n => (format!("模型服务繁忙，试了 {n} 次都没有答复。"), format!("Model service busy, {n} tries failed. ")),
    };
    told(
        lang,
        (&format!("{zh}任务没有完成，可以重新运行"), None),
        (&format!("{en}The task is not finished; it can be run again"), None),
    )
}

/// The runtime could not be started at all. Messages are kept meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launch {
    Missing,
    WrongVersion,
    BadConfig,
    Failed,
}

/// Why the runtime does not come up; `detail` is the program's own line and goes to the owner only.
pub fn launch_failure(launch: Launch, detail: &str, lang: Lang) -> Told {
    let (zh, en) = headline(launch);
    let remedy = match (launch, lang) {
        (Launch::Missing | Launch::WrongVersion, Lang::Zh) => "在电脑上安装或更新 Codex，再看 `ally status`",
        (Launch::Missing | Launch::WrongVersion, Lang::En) => {
            "Install or update Codex on the computer, then see `ally status`"
        }
        (Launch::BadConfig, Lang::Zh) => "改好设置文件，再运行 `ally restart`",
        (Launch::BadConfig, Lang::En) => "Mend its configuration, then run `ally restart`",
        (Launch::Failed, Lang::Zh) => "在电脑上看 `ally status` 和 `ally logs`",
        (Launch::Failed, Lang::En) => "See `ally status` and `ally logs` on the computer",
    };
    let chat = match lang {
        Lang::Zh => format!("{zh}，任务没有开始。消息已保存，恢复后继续；隔得太久会先问你"),
        Lang::En => {
            format!(
                "{en}; the task did not start. Your message is kept and runs once this is fixed; after a long time I ask first"
            )
        }
    };
    let detail = detail.trim();
    let owner = match (detail.is_empty(), lang) {
        (true, _) => remedy.to_owned(),
        (false, Lang::Zh) => format!("{remedy}（{detail}）"),
        (false, Lang::En) => format!("{remedy} ({detail})"),
    };
    Told { chat, owner: Some(owner) }
}

/// The same for `ally status`, where the program's own line belongs.
pub fn launch_in_status(launch: Launch, detail: &str, lang: Lang) -> String {
    let (zh, en) = headline(launch);
    let remedy = match (launch, lang) {
        (Launch::Missing | Launch::WrongVersion, Lang::Zh) => "安装或更新 Codex",
        (Launch::Missing | Launch::WrongVersion, Lang::En) => "Install or update Codex",
        (Launch::BadConfig, Lang::Zh) => "改好它的设置文件",
        (Launch::BadConfig, Lang::En) => "Mend its configuration",
        (Launch::Failed, Lang::Zh) => "看 `ally logs`",
        (Launch::Failed, Lang::En) => "See `ally logs`",
    };
    match lang {
        Lang::Zh => format!("{zh}，会一直自己再试；消息都收着，恢复后继续。{remedy}（{detail}）"),
        Lang::En => format!("{en}; it is tried again by itself, and messages are kept until then. {remedy} ({detail})"),
    }
}

fn headline(launch: Launch) -> (&'static str, &'static str) {
    match launch {
        Launch::Missing => ("这台电脑上没有找到 Codex", "Codex was not found on this computer"),
        Launch::WrongVersion => ("Codex 的版本不合", "This version of Codex is not supported"),
        Launch::BadConfig => ("Codex 不接受它的设置", "Codex refuses its configuration"),
        Launch::Failed => ("Codex 没有启动起来", "Codex did not come up"),
    }
}

/// A former process of the runtime that does not end, for `ally status`.
pub fn stuck_in_status(pid: u32, lang: Lang) -> String {
    match lang {
        Lang::Zh => format!("上一个 Codex 进程结束不了，所以没有启动新的；消息都收着。手动结束它：`kill -9 {pid}`"),
        Lang::En => format!(
            "A former Codex process does not end, so no new one is started; messages are kept. End it by hand: `kill -9 {pid}`"
        ),
    }
}

/// The short reason for a waiting row (`WaitReason::RuntimeTrouble`).
pub fn runtime_trouble(kind: FailureKind, lang: Lang) -> &'static str {
    let (zh, en) = match kind {
        FailureKind::NotSignedIn => ("Codex 没有登录", "Codex is not signed in"),
        FailureKind::UsageLimit => ("Codex 额度用完", "the Codex limit is reached"),
        FailureKind::ModelBusy => ("模型服务繁忙", "the model service is busy"),
        FailureKind::Unreachable => ("连不上模型", "the model cannot be reached"),
        FailureKind::ContextFull => ("会话太长", "the conversation is too long"),
        FailureKind::Rejected => ("模型服务拒绝了请求", "the model service refused the request"),
        FailureKind::Other => ("Codex 报告了错误", "Codex reported an error"),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// For `ally status`: what the newest task failed of, where the model or the account is to blame.
pub fn last_failure(kind: FailureKind, lang: Lang) -> Option<String> {
    use FailureKind::*;
    if !matches!(kind, NotSignedIn | UsageLimit | ModelBusy | Unreachable) {
        return None;
    }
    let why = runtime_trouble(kind, lang);
    Some(match lang {
        Lang::Zh => format!("最近一个任务没有完成：{why}"),
        Lang::En => format!("The newest task did not finish: {why}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::rules;

    #[test]
    fn every_failure_keeps_the_rules() {
        use FailureKind::*;
        let login = Some("CODEX_HOME=/h codex login");
        let full = FailureContext { tries: 5, turn: "0198", login, can_compact: true, compacts: false };
        let compacts = FailureContext { compacts: true, ..full };
        for kind in [NotSignedIn, UsageLimit, ModelBusy, Unreachable, ContextFull, Rejected, Other] {
            for lang in [Lang::Zh, Lang::En] {
                for context in [FailureContext::default(), full, compacts] {
                    let told = failure(kind, context, lang);
                    rules::check("failure", &told.chat, lang);
                    told.owner.iter().for_each(|owner| rules::check("remedy", owner, lang));
                }
                rules::check("trouble", runtime_trouble(kind, lang), lang);
                last_failure(kind, lang).iter().for_each(|told| rules::check("last failure", told, lang));
            }
        }
        for launch in [Launch::Missing, Launch::WrongVersion, Launch::BadConfig, Launch::Failed] {
            for lang in [Lang::Zh, Lang::En] {
                let told = launch_failure(launch, "", lang);
                rules::check("launch", &told.chat, lang);
                rules::check("launch", &told.owner.expect("a remedy"), lang);
                rules::check("launch", &launch_in_status(launch, "why", lang), lang);
                rules::check("stuck", &stuck_in_status(7, lang), lang);
            }
        }
    }
}
