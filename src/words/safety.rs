//! What the sandbox promises, in words.

use crate::domain::safety::{Outcome, Promise, Tried};
use crate::domain::view::Lang;
use crate::words::NoticeMsg;

/// A promise as a sentence that is true where it holds.
pub fn promise(promise: Promise, lang: Lang) -> &'static str {
    let (zh, en) = match promise {
        Promise::Work => ("命令能在项目里工作", "commands can work in a project"),
        Promise::Secrets => ("读不到项目里的密钥文件", "secrets in a project cannot be read"),
        Promise::Private => ("读不到你的密钥和 ally 自己的文件", "your keys and ally's own files cannot be read"),
        Promise::Others => ("读不到别人的项目", "projects of others cannot be read"),
        Promise::Writes => ("只能改允许改的地方", "nothing but what may be changed can be changed"),
        Promise::Network => ("没有批准就不能联网", "there is no network without a grant"),
        Promise::Sockets => (
            "联网时也连不上沙箱外的程序",
            "with the network, no program outside of the sandbox is reached by its socket",
        ),
        Promise::Environment => ("看不到 ally 的环境变量", "ally's environment cannot be seen"),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// Lines for the status: what does not hold, and what cannot be told.
pub fn safety_warnings(tried: &[Tried], lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    for Tried { promise: which, outcome } in tried {
        let line = match outcome {
            Outcome::Held => continue,
            Outcome::NotHeld { what } => {
                let what = what.join(", ");
                NoticeMsg::SandboxBroken { promise: promise(*which, lang), what: &what }.text(lang)
            }
            Outcome::Unknown { why } => NoticeMsg::SandboxUnknown { why }.text(lang),
        };
        // One reason is often the reason for all.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::rules;

    #[test]
    fn promises_keep_the_rules() {
        for lang in [Lang::Zh, Lang::En] {
            for which in Promise::ALL {
                rules::check(&format!("{which:?}"), promise(which, lang), lang);
            }
        }
    }

    #[test]
    fn one_reason_is_told_once_and_what_holds_is_not() {
        assert_eq!(safety_warnings(&Tried::nothing("no codex"), Lang::En).len(), 1);
        let held = Tried { promise: Promise::Work, outcome: Outcome::Held };
        let broken = Tried { promise: Promise::Network, outcome: Outcome::NotHeld { what: vec!["127.0.0.1".into()] } };
        let told = safety_warnings(&[held, broken], Lang::En);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("there is no network without a grant") && told[0].contains("127.0.0.1"), "{told:?}");
    }
}
