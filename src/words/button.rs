//! What buttons say: verbs, at most 6 hanzi or 16 letters, the same in the button, the toast and the result line.

use crate::domain::rule::Span;
use crate::domain::view::{ButtonRole, Lang};

/// A button's label. An option of a question says its own text; this is only its stand-in.
pub fn button(role: &ButtonRole, lang: Lang) -> &'static str {
    let (zh, en) = match role {
        ButtonRole::Stop => ("停止", "Stop"),
        ButtonRole::Allow => ("允许一次", "Allow once"),
        ButtonRole::Decline => ("拒绝", "Decline"),
        ButtonRole::AllowFor(Span::Task) => ("本任务都允许", "For this task"),
        ButtonRole::AllowFor(Span::Hours) => ("允许 12 小时", "For 12 hours"),
        ButtonRole::AllowFor(Span::Always) => ("总是允许…", "Always…"),
        ButtonRole::AllowNetwork => ("本任务可联网", "Network for task"),
        ButtonRole::DeclineWhy => ("拒绝并说明", "Decline, say why"),
        ButtonRole::AllowNumber(_) => ("允许", "Allow"),
        ButtonRole::DeclineNumber(_) => ("拒绝", "Decline"),
        ButtonRole::AllowLow => ("允许低风险", "Allow low-risk"),
        ButtonRole::DeclineAll => ("全部拒绝", "Decline all"),
        ButtonRole::Option(_) => ("选这个", "Choose this"),
        ButtonRole::Submit => ("发送", "Send"),
        ButtonRole::Skip => ("跳过", "Skip"),
        ButtonRole::Continue => ("继续", "Continue"),
        ButtonRole::RunAgain => ("重新运行", "Run again"),
        ButtonRole::Dismiss => ("不用了", "Dismiss"),
        ButtonRole::StartFresh => ("新会话重做", "Start fresh"),
        ButtonRole::Compact => ("压缩后重做", "Compact and retry"),
        ButtonRole::Steer => ("插话", "Steer"),
        ButtonRole::Cancel => ("取消", "Cancel"),
        ButtonRole::CancelAll => ("全部取消", "Cancel all"),
        ButtonRole::DoIt => ("做", "Do it"),
        ButtonRole::TryAgain => ("再试一次", "Try again"),
        ButtonRole::Fork => ("复制一份继续", "Continue a copy"),
        ButtonRole::KeepWaiting => ("继续等", "Keep waiting"),
        ButtonRole::Save => ("保存", "Save"),
        ButtonRole::RevokeRule(_) => ("撤销", "Revoke"),
        ButtonRole::Create => ("建立", "Create"),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_verbs() {
        use ButtonRole::*;
        for role in [
            Stop,
            Allow,
            Decline,
            AllowFor(Span::Task),
            AllowFor(Span::Hours),
            AllowFor(Span::Always),
            AllowNetwork,
            DeclineWhy,
            AllowNumber(1),
            DeclineNumber(1),
            AllowLow,
            DeclineAll,
            Option(0),
            Submit,
            Skip,
            Continue,
            RunAgain,
            Dismiss,
            StartFresh,
            Compact,
            Steer,
            Cancel,
            CancelAll,
            DoIt,
            TryAgain,
            Fork,
            KeepWaiting,
            Save,
            RevokeRule(1),
            Create,
        ] {
            let (zh, en) = (button(&role, Lang::Zh), button(&role, Lang::En));
            assert!((1..=6).contains(&zh.chars().filter(|c| !c.is_ascii()).count()), "{zh}");
            assert!(
                (1..=16).contains(&en.chars().filter(|c| !c.is_whitespace()).count())
                    && en.trim_end_matches('…').is_ascii(),
                "{en}"
            );
            assert!(en.starts_with(|c: char| c.is_ascii_uppercase()), "{en}");
        }
    }
}
