//! Toasts: what the person who clicked sees at once. Always in both languages.

use super::time::At;
use crate::domain::view::{Lang, Toast, ToastKind};

super::messages! {
    /// The result of a click.
    ToastMsg {
        /// A gate was decided; the runtime has not been told yet.
        Recorded => "已记录，正在告诉 Codex", "Recorded, telling Codex";
        StopRecorded => "已记录，正在停止", "Recorded, stopping";
        Queued => "已排队", "Queued";
        Cancelled => "已取消", "Cancelled";
        Dismissed => "已记录：不用了", "Recorded: dismissed";
        KeepsWaiting => "继续等", "Keeps waiting";
        Saved => "已保存", "Saved";
        SavedPartly => "已保存，另一些不归你设置", "Saved; the rest is not yours to set";
        NoChange => "没有改动", "Nothing was changed";
        SteerRecorded => "已记录，正在插话", "Recorded, steering";
        TakenUp => "从下一条起接着那个会话", "The next message continues that conversation";
        StillWorking => "它还在运行，没有切换", "It is still running; nothing was changed";
        OnlyCanDecide { names: &'a str } => "只有 {names} 能决定", "Only {names} can decide";
        OnlyCanPress { names: &'a str } => "只有 {names} 能按这个", "Only {names} can press this";
        AlreadyDecided { who: &'a str, at: At } => "{who} 已在 {at} 决定", "Already decided by {who} at {at}";
        AlreadyDone => "已经处理过了", "Already handled";
        NoLongerValid => "已失效：ally 重启过", "No longer valid: ally restarted";
        Over => "已失效：任务已结束", "No longer valid: the task has ended";
        Withdrawn => "已撤回，没有执行", "Withdrawn, it did not run";
        ListChanged { n: usize } => "列表变了，只处理了你看到的 {n} 项", "The list changed; only the {n} you saw were decided";
        Partly { n: usize, names: &'a str } =>
            "处理了 {n} 项，其余只有 {names} 能决定", "{n} decided; only {names} can decide the rest";
        Changed => "内容变了，没有决定。请看新的卡片", "It changed, so nothing was decided. See the new card";
        NotRecorded => "没有记下，请再按一次", "Not recorded, press again";
        NotAllowed => "你在这里不能这样做", "You may not do that here";
        Unknown => "这个按钮不是我的，没有做任何事", "This button is not mine; nothing was done";
        Paused => "已由所有者暂停，没有执行", "Paused by the owner; nothing was done";
        RuleRevoked => "已撤销", "Revoked";
        CameBack => "收到了，按钮可用", "It came back: buttons work";
        AnswerMissing => "还没有选或写答案", "Choose or write an answer first";
    }
}

/// The toast of a click, in both languages.
pub fn toast(msg: ToastMsg<'_>) -> Toast {
    Toast { kind: kind(&msg), zh: msg.text(Lang::Zh), en: msg.text(Lang::En) }
}

fn kind(msg: &ToastMsg<'_>) -> ToastKind {
    use ToastMsg::*;
    match msg {
        Recorded | StopRecorded | Queued | Cancelled | Dismissed | KeepsWaiting | SteerRecorded | TakenUp | Saved
        | RuleRevoked | CameBack => ToastKind::Success,
        SavedPartly | NoChange | AlreadyDecided { .. } | AlreadyDone | Withdrawn => ToastKind::Info,
        OnlyCanDecide { .. }
        | OnlyCanPress { .. }
        | NoLongerValid
        | Over
        | Partly { .. }
        | ListChanged { .. }
        | Changed
        | StillWorking => ToastKind::Warning,
        AnswerMissing | NotAllowed | Paused => ToastKind::Warning,
        NotRecorded | Unknown => ToastKind::Error,
        Never(never, _) => match *never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toasts_say_both() {
        let toast = toast(ToastMsg::OnlyCanDecide { names: "Li" });
        assert_eq!((toast.zh.as_str(), toast.en.as_str()), ("只有 Li 能决定", "Only Li can decide"));
        assert_eq!(toast.kind, ToastKind::Warning);
    }
}
