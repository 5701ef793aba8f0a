//! Rules, rights and the lock: what is said when somebody looks at them or changes them.

use super::time::At;
use crate::domain::rule::Subject;
use crate::domain::view::Lang;

super::messages! {
    /// What `/rules`, `/audit`, `/lock`, `/admin` and the like are answered with.
    RightsMsg {
        // ---- rules
        RulesTitle { n: usize } => "规则 {n} 条", "Rules: {n}";
        RulesNone => "这里没有规则", "There are no rules here";
        RulesMore { n: usize } => "另有 {n} 条没有列出：`ally rules list`", "{n} more are not listed: `ally rules list`";
        RulesHint { number: i64 } => "也可发：`/rules revoke R{number}`", "or send: `/rules revoke R{number}`";
        CoversLeading { directory: &'a str, words: &'a str, sandbox: &'a str } =>
            "在 {directory} 内、{sandbox}，以 {words} 开头的命令", "in {directory}, {sandbox}: commands that begin with {words}";
        CoversLine { directory: &'a str, words: &'a str, sandbox: &'a str } =>
            "在 {directory} 内、{sandbox}，一字不差的 {words}", "in {directory}, {sandbox}: exactly {words}";
        CoversFiles { directory: &'a str, sandbox: &'a str } =>
            "在 {directory} 内、{sandbox}，改文件（会自动运行的除外）", "in {directory}, {sandbox}: changes of files (not of those that run by themselves)";
        RuleUntil { at: At } => "到 {at}", "until {at}";
        RuleUntilTask => "到这个任务结束", "until its task ends";
        RuleUsed { n: i64, at: At } => "用过 {n} 次，最后 {at}", "used {n} times, last {at}";
        RuleUnused => "还没有用过", "never used";
        RuleMadeBy { who: &'a str } => "{who} 允许的", "allowed by {who}";
        RuleRevoked { number: i64 } => "规则 R{number} 已撤销，以后会再问", "Rule R{number} is revoked; it is asked about again";
        RuleRevokedBy { who: &'a str, at: At } => "✕ {who} 撤销 · {at}", "✕ Revoked by {who} · {at}";
        // ---- audit
        AuditTitle { n: usize, span: &'a str } => "{span} 以来的记录，{n} 条", "Since {span}: {n} entries";
        AuditNone { span: &'a str } => "{span} 以来没有记录", "Nothing since {span}";
        AuditMore { n: usize } => "只列出最新的 {n} 条，其余在电脑上：`ally audit`", "Only the newest {n} are listed; the rest is on the computer: `ally audit`";
        // ---- open requests
        GatesTitle { n: usize } => "等人决定的有 {n} 项", "Open requests: {n}";
        GatesNone => "没有等人决定的请求", "No request waits for a decision";
        GateLine { number: i64, what: &'a str, class: &'a str, who: &'a str, at: At } =>
            "#{number} {what} · {class} · {who} 的任务 · {at} 起", "#{number} {what} · {class} · {who}'s task · since {at}";
        AQuestion => "问题", "a question";
        GatesMore { n: usize } => "另有 {n} 项没有列出", "{n} more are not listed";
        // ---- lock
        Locked { n: usize, queued: i64 } =>
            "已暂停：要求停止的任务 {n} 个，排队的 {queued} 条留着。`/unlock` 继续", "Paused: {n} tasks are asked to stop, {queued} queued ones stay. `/unlock` lets it go on";
        LockedBefore => "已经暂停了。`/unlock` 继续", "It is paused already. `/unlock` lets it go on";
        Unlocked { queued: i64 } => "已解除暂停，排队的 {queued} 条继续", "No longer paused; {queued} queued ones go on";
        NotLocked => "没有暂停", "It is not paused";
        CutTitle { n: usize } => "暂停时停止的任务 {n} 个，要继续请重新发或用 `/retry`：", "Tasks that the pause stopped: {n}. Send them again, or use `/retry`:";
        CutTurn { who: &'a str, title: &'a str } => "— {who}：{title}", "— {who}: {title}";
        CutElsewhere { n: usize } => "别的聊天里还有 {n} 个", "{n} more in other chats";
        // ---- rights
        AdminGiven { who: &'a str } =>
            "{who} 现在是管理员：处处能用我，能批准（提权除外），能允许别人", "{who} is an admin now: may talk everywhere, approve (but not more rights), and allow others";
        AdminTaken { who: &'a str } => "{who} 不再是管理员", "{who} is no longer an admin";
        ApproverGiven { who: &'a str } =>
            "{who} 现在是这里的审批人：能用我，能批准这里别人的请求（提权除外）", "{who} approves here now: may talk to me and decide others' requests here (but not more rights)";
        ApproverTaken { who: &'a str } => "{who} 不再是这里的审批人", "{who} no longer approves here";
        HadNot { who: &'a str } => "{who} 本来就没有这个权限", "{who} did not have that right before either";
        IsOwner { who: &'a str } => "{who} 是所有者，权限不变", "{who} is the owner; nothing was changed";
        ApproverGroupOnly => "审批人是一个群的，请在那个群里发", "Approvers belong to a group; send this there";
        Admins { names: &'a str } => "管理员：{names}", "Admins: {names}";
        NoAdmins => "没有管理员", "There are no admins";
        Approvers { names: &'a str } => "这里的审批人：{names}", "Approvers here: {names}";
        NoApprovers => "这里没有审批人", "There are no approvers here";
        DeniedAdmin => "— 不再是管理员", "— no longer an admin";
        DeniedSeats { n: usize } => "— 不再是 {n} 个群的审批人", "— no longer an approver, groups: {n}";
        DeniedTasks { stopped: usize, cancelled: usize } =>
            "— 要求停止的任务 {stopped} 个，取消排队的 {cancelled} 条", "— tasks asked to stop: {stopped}, queued ones cancelled: {cancelled}";
        DeniedRules { numbers: &'a str } => "— 规则 {numbers} 已结束", "— rules ended: {numbers}";
        ConfiguredStays { who: &'a str } =>
            "{who} 写在电脑上的 `ally.toml` 里，那里不改，权限就还在", "{who} stands in `ally.toml` on the computer and keeps that right until it is changed there";
        MemberStays => "在已开通的群里，群成员都能用我；要他不能用，请把他移出群", "In an open group every member may talk to me; to end that, remove them from the group";
        NoSuchRule { number: i64 } => "这里没有规则 R{number}，或者它已结束", "There is no rule R{number} here, or it has ended";
    }
}

/// What a rule covers, in a line.
pub fn covers(subject: &Subject, directory: &str, sandboxed: bool, lang: Lang) -> String {
    use super::CardMsg;
    let sandbox = if sandboxed { CardMsg::InSandbox } else { CardMsg::OutsideSandbox }.text(lang);
    let sandbox = sandbox.as_str();
    match subject {
        Subject::Files => RightsMsg::CoversFiles { directory, sandbox }.text(lang),
        Subject::Leading { words } => {
            RightsMsg::CoversLeading { directory, words: &words.join(" "), sandbox }.text(lang)
        }
        Subject::Line { text } => RightsMsg::CoversLine { directory, words: text, sandbox }.text(lang),
    }
}
