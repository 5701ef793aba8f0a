//! The words on cards (C1–C8, C10, C15).

use super::time::At;
use crate::domain::gate::Ask;
use crate::domain::view::{Lang, StepKind};

super::messages! {
    /// Titles, lines, hints and summaries of cards.
    CardMsg {
        // ---- C1 live card
        LiveSummary { who: &'a str } => "{who} 的任务进行中", "{who}'s task is running";
        LiveSummaryEnded { who: &'a str, tag: &'a str } => "{who} 的任务：{tag}", "{who}'s task: {tag}";
        LiveSub { who: &'a str, project: &'a str, at: At } => "{who} · {project} · {at} 开始", "{who} · {project} · started {at}";
        TagRunning => "进行中", "Running";
        TagWaiting => "等批准", "Waiting";
        /// Nothing happens, and not for want of a decision.
        TagPaused => "已暂停", "Paused";
        TagDone => "完成", "Done";
        TagStopped => "已停止", "Stopped";
        TagFailed => "失败", "Failed";
        TagInterrupted => "中断", "Interrupted";
        TagMerged => "已并入", "Joined";
        /// The step under way.
        Step { n: usize, verb: &'a str, object: &'a str, at: At } =>
            "第 {n} 步：{verb} {object}（{at} 起）", "Step {n}: {verb} {object} (since {at})";
        NoStepYet => "还没有开始第 1 步", "No step has begun";
        FirstStep => "第 1 步", "Step 1";
        EarlierSteps { n: usize } => "前 {n} 步", "Steps 1–{n}";
        MoreSteps { n: usize } => "更早的 {n} 步没有列出", "{n} earlier steps are not listed";
        DraftNote => "草稿，最终答案另发", "Draft, the final answer comes separately";
        Unreachable { at: At } => "连不上模型，{at} 起在重试", "Cannot reach the model, retrying since {at}";
        LiveWaiting { number: i64, names: &'a str } => "⏸ 在等批准 #{number}（{names}）", "⏸ Waiting for approval #{number} ({names})";
        LiveDoneAtOnce { span: &'a str } => "✓ 完成 · {span}", "✓ Done · {span}";
        LiveDone { steps: &'a str, span: &'a str } => "✓ 完成 · {steps} · {span}", "✓ Done · {steps} · {span}";
        LiveDoneTokens { steps: &'a str, span: &'a str, tokens: &'a str } =>
            "✓ 完成 · {steps} · {span} · {tokens} tokens", "✓ Done · {steps} · {span} · {tokens} tokens";
        OneStep => "1 步", "1 step";
        Steps { n: usize } => "{n} 步", "{n} steps";
        LiveStopped { who: &'a str } => "■ 已停止（{who}）", "■ Stopped by {who}";
        LiveStoppedEnded { who: &'a str } =>
            "■ 已停止（{who}）。已做的改动不会撤回；后台命令：已结束", "■ Stopped by {who}. Changes made stay; background commands: ended";
        LiveStoppedMayRunOn { who: &'a str } =>
            "■ 已停止（{who}）。已做的改动不会撤回；后台命令：可能还在运行",
            "■ Stopped by {who}. Changes made stay; background commands: may still be running";
        LiveFailed => "✕ 失败", "✕ Failed";
        LiveInterrupted => "？中断，结果未知", "? Interrupted, outcome unknown";
        TagGoesOn => "接着做", "Goes on";
        LiveGoesOn { who: &'a str } =>
            "— {who} 允许了联网，任务接着做", "— Network allowed by {who}; the task goes on";
        LiveMerged => "— 已并入正在进行的任务", "— Joined the task that was already running";
        // ---- C2 answer
        /// Of an answer that begins with nothing that could be shown in a list.
        AnswerSummary => "Codex 的答案", "An answer from Codex";
        AnswerOfCode => "Codex 的答案：代码", "An answer from Codex: code";
        // ---- C3 gate
        GateSummary { who: &'a str, kind: &'a str } => "{who} 的任务需要批准：{kind}", "{who}'s task needs approval: {kind}";
        GateSummaryOver { who: &'a str, tag: &'a str } => "{who} 的批准请求：{tag}", "{who}'s request: {tag}";
        /// Once it is over: nothing waits any more.
        GateTitleOver { number: i64 } => "批准请求 #{number}", "Request #{number}";
        GateTitle { number: i64 } => "需要批准 #{number}", "Approval needed #{number}";
        GateWho { who: &'a str, project: &'a str, deciders: &'a str } =>
            "{who} · {project} · 由 {deciders} 决定", "{who} · {project} · {deciders} may decide";
        /// In a list its head names the requester and the project.
        GatesWho { deciders: &'a str } => "由 {deciders} 决定", "{deciders} may decide";
        GatesSummary { who: &'a str, n: usize } => "{who} 的任务有 {n} 项需要批准", "{who}'s task: {n} to approve";
        GatesTitle { n: usize } => "需要批准 {n} 项", "Approvals needed: {n}";
        GatesTitleOver { n: usize } => "{n} 项批准请求", "Requests: {n}";
        GatesMore { n: usize } => "还有 {n} 项：/gates", "{n} more: /gates";
        GatesTagOpen { n: usize } => "待决定 {n}", "{n} open";
        Where { directory: &'a str } => "目录 {directory}", "In {directory}";
        OutsideSandbox => "沙箱外", "outside the sandbox";
        /// The runtime does not say whether it stays inside.
        MaybeOutside => "可能在沙箱外", "perhaps outside the sandbox";
        UsesNetwork => "会联网", "uses the network";
        InSandbox => "沙箱内", "in the sandbox";
        /// The part of a compound that made it what it is.
        BecauseOf { words: &'a str } => "因为：{words}", "Because of: {words}";
        More => "更多", "More";
        Reason => "拒绝的原因", "Reason for declining";
        /// What a standing rule would cover.
        RuleCommand { directory: &'a str, words: &'a str, at: At } =>
            "在 {directory} 内、同样的沙箱里，以 {words} 开头的命令直接允许，到 {at}",
            "Inside {directory}, in the same sandbox, allow commands that begin with {words} until {at}";
        RuleLine { directory: &'a str, at: At } =>
            "在 {directory} 内、同样的沙箱里，一字不差的这条命令直接允许，到 {at}",
            "Inside {directory}, in the same sandbox, allow exactly this command until {at}";
        RuleFiles { directory: &'a str, at: At } =>
            "在 {directory} 内改文件直接允许（会自动运行的除外），到 {at}",
            "Inside {directory}, allow changes of files (not of those that run by themselves) until {at}";
        RuleConfirm => "建立规则？", "Create a rule?";
        Claim { reason: &'a str } => "Codex 的说明（未核实）：{reason}", "Codex says (not verified): {reason}";
        HintDirect => "也可回复：y / n", "or reply y / n";
        HintGroup { bot: &'a str, number: i64 } => "也可发：@{bot} a{number} / d{number}", "or send: @{bot} a{number} / d{number}";
        Details => "细节", "Details";
        Folded { lines: usize, kind: &'a str } => "全部 {lines} 行 · {kind}", "All {lines} lines · {kind}";
        FoldedFiles { n: usize, kind: &'a str } => "{n} 个文件 · {kind}", "{n} files · {kind}";
        Diff { path: &'a str } => "改动：{path}", "Diff: {path}";
        /// A file of a change, with its lines.
        MoreFiles { n: usize } => "另有 {n} 个文件没有列出", "{n} more files are not listed";
        MoreDiffs { n: usize } =>
            "只列出了前 {n} 个文件的改动，其余在电脑上", "Diffs of the first {n} files are shown, the rest is on the computer";
        Cut { shown: usize, total: usize } =>
            "只显示了 {total} 字里的前 {shown} 字，其余在电脑上", "Only the first {shown} of {total} characters are shown, the rest is on the computer";
        CutShort => "…（放不下，已截短）", "… (cut, it does not fit)";
        ConfirmTitle => "确定？", "Sure?";
        /// The second look at what cannot be taken back.
        ConfirmAllow { number: i64, what: &'a str } => "#{number}：{what}", "#{number}: {what}";
        StopTask => "停止任务", "Stop the task";
        GateAllowed { who: &'a str, at: At } => "✓ {who} 允许一次 · {at}", "✓ Allowed once by {who} · {at}";
        GateAllowedTask { who: &'a str, at: At } => "✓ {who} 允许，本任务内都算 · {at}", "✓ Allowed for this task by {who} · {at}";
        GateAllowedHours { who: &'a str, at: At } => "✓ {who} 允许，12 小时内都算 · {at}", "✓ Allowed for 12 h by {who} · {at}";
        GateAllowedAlways { who: &'a str, at: At, rule: i64 } =>
            "✓ {who} 允许，并建立规则 R{rule} · {at}", "✓ Allowed by {who}, who made rule R{rule} · {at}";
        GateByRule { who: &'a str, at: At, rule: i64 } =>
            "✓ 按规则 R{rule} 允许（{who}，{at}）", "✓ Allowed by rule R{rule} ({who}, {at})";
        GateRefused => "✕ 按策略拒绝：读密钥", "✕ Refused by policy: reads secrets";
        GateDeclined { who: &'a str, at: At } => "✕ {who} 拒绝 · {at}", "✕ Declined by {who} · {at}";
        GateDeclinedWhy { who: &'a str, at: At, reason: &'a str } =>
            "✕ {who} 拒绝 · {at} · {reason}", "✕ Declined by {who} · {at} · {reason}";
        GateStopped { who: &'a str, at: At } => "■ {who} 拒绝并停止任务 · {at}", "■ {who} declined and stopped the task · {at}";
        NeedsNetwork =>
            "这条命令要联网，而只允许这一次不带网络", "It needs the network, and allowed once it has none";
        ConfirmNetwork => "允许本任务联网（包括对外发送）？", "Allow network for this task (sending included)?";
        ConfirmNetworkGoesOn =>
            "允许本任务联网（包括对外发送）？任务先停下，再接着做", "Allow network for this task (sending included)? It stops and goes on";
        GateNetwork { who: &'a str, at: At } =>
            "✓ {who} 允许本任务联网 · {at}。这条没有执行", "✓ Network for this task allowed by {who} · {at}. This did not run";
        GateNetworkGranted { who: &'a str, at: At } => "✓ {who} 允许本任务联网 · {at}", "✓ Network for this task allowed by {who} · {at}";
        GateWithdrawn => "— 已撤回，没有执行", "— Withdrawn, it did not run";
        GateVoid => "— 已作废：ally 重启过，没有执行", "— Void: ally restarted, it did not run";
        GateVoidMayHaveRun { who: &'a str } =>
            "？{who} 允许后 ally 中断：可能已执行，也可能没有", "? Allowed by {who}, then ally was cut off: it may or may not have run";
        GateOpenAgain { who: &'a str, at: At } =>
            "{who} 在 {at} 允许过，之后 ally 中断：可能已执行。要再决定一次",
            "Allowed by {who} at {at}, then ally was cut off: it may have run. Decide once more";
        GatePaused { at: At, names: &'a str } =>
            "⏸ 已暂停，{at} 起等 {names}。不会自己执行，也不会自己拒绝",
            "⏸ Paused, waiting for {names} since {at}. It will neither run nor be declined by itself";
        HintGates { n: i64 } => "y/n 不适用；回复 a{n} 允许，d{n} 拒绝", "y/n do not work here; reply a{n} or d{n}";
        HintGatesGroup { bot: &'a str, n: i64 } => "也可发：@{bot} a{n} 允许，d{n} 拒绝", "or send: @{bot} a{n} or d{n}";
        AllowLow { numbers: &'a str } => "允许低风险 {numbers}", "Allow low-risk {numbers}";
        TagOpen => "待决定", "Open";
        TagDecided => "已决定", "Decided";
        TagAllowed => "已允许", "Allowed";
        TagDeclined => "已拒绝", "Declined";
        TagWithdrawn => "已撤回", "Withdrawn";
        TagVoid => "已作废", "Void";
        TagUnclear => "结果未知", "Unclear";
        TagSkipped => "已跳过", "Skipped";
        TagAnswered => "已回答", "Answered";
        // ---- C5 question
        QuestionSummary { who: &'a str } => "{who} 的任务有个问题", "{who}'s task has a question";
        QuestionSummaryOver { who: &'a str, tag: &'a str } => "{who} 的任务问过：{tag}", "A question of {who}'s task: {tag}";
        TagQuestion => "待回答", "Open";
        QuestionTitle { number: i64 } => "Codex 想知道 #{number}", "Codex asks #{number}";
        QuestionOf { n: usize, of: usize } => "（{n}/{of}）", "({n}/{of}) ";
        MoreQuestions { n: usize } =>
            "还有 {n} 个问题放不下，没有列出", "{n} more questions do not fit and are not listed";
        QuestionHint { number: i64 } => "回复选项的数字，或直接写（#{number}）", "reply with the option's number, or write (#{number})";
        QuestionHintGroup { bot: &'a str } => "也可发：@{bot} 选项的数字", "or send: @{bot} and the option's number";
        Choose => "选一个", "Choose one";
        WriteAnswer => "写在这里", "Write here";
        OwnWords => "或者自己写", "Or in your own words";
        SecretNote { number: i64 } =>
            "内容会经过飞书服务器；ally 不保存。更稳妥：在电脑上运行 `ally answer {number}`",
            "This passes through Feishu's servers; ally does not keep it. Safer: run `ally answer {number}` on the computer";
        Answered { who: &'a str, answer: &'a str, at: At } => "{who}：{answer} · {at}", "{who}: {answer} · {at}";
        AnsweredSecret { who: &'a str } => "{who} 已提供（不显示）", "provided by {who} (not shown)";
        Skipped { who: &'a str, at: At } => "{who} 跳过了 · {at}", "Skipped by {who} · {at}";
        // ---- C6 interrupted
        InterruptedSummary { who: &'a str } => "{who} 的任务中断了", "{who}'s task was interrupted";
        InterruptedTitle => "任务中断，结果未知", "Interrupted, outcome unknown";
        ShutdownTitle => "任务被停机打断", "Interrupted by a shutdown";
        InterruptedBody { at: At } => "{at} ally 停止过，任务没有做完。", "ally stopped at {at}; the task did not finish.";
        ShutdownBody { at: At } => "{at} 有人停止了 ally，任务没有做完。", "ally was shut down by a person at {at}; the task did not finish.";
        CertainSteps { n: usize } => "确定：前 {n} 步已完成；没有发出过最终答案", "Certain: steps 1–{n} finished; no final answer was sent";
        CertainFirstStep => "确定：第 1 步已完成；没有发出过最终答案", "Certain: step 1 finished; no final answer was sent";
        CertainNoSteps => "确定：没有发出过最终答案", "Certain: no final answer was sent";
        UncertainSteps { n: usize } => "不确定：下面 {n} 步可能已执行", "Not certain: the {n} steps below may have run";
        UncertainCommand { n: usize, object: &'a str } => "不确定：第 {n} 步（{object}）可能已执行", "Not certain: step {n} ({object}) may have run";
        NoChangeSeen => "没有看到会改动东西的步骤", "No step that changes things was seen";
        CommandsEnded => "当时运行的命令已结束。", "Commands that were running were ended.";
        CommandsMayRunOn => "当时运行的命令可能还在运行。", "Commands that were running may still be running.";
        HistoryGone =>
            "Codex 里这个会话的记录读不到了，无法确认做到了哪里。", "Codex's history of this conversation cannot be read; how far it got cannot be told.";
        PartialNote => "当时写到这里（未完成，未核实）", "Written so far (unfinished, not verified)";
        SteersNote => "这些插话可能没有被读到：", "These words may not have been read:";
        HintContinue =>
            "继续：先检查做到哪里再往下。重新运行：从头再做，已做过的步骤可能重复",
            "Continue: checks first what was done. Run again: from the start; steps may happen twice";
        HintStartFresh =>
            "两个都从头再做，已做过的步骤可能重复。新会话不记得之前的对话",
            "Both start over; steps may happen twice. A fresh conversation does not remember this one";
        Chosen { who: &'a str, what: &'a str } => "{who}：{what}", "{what}, chosen by {who}";
        // ---- C7 queue
        QueueTitle { n: usize } => "排队 {n} 条", "{n} waiting";
        QueueSummary => "消息在排队", "Messages are waiting";
        /// Every row has its end.
        QueueTitleOver => "没有排队的了", "Nothing waits any more";
        BehindTurn { who: &'a str, at: At } => "前面：{who} 的任务，{at} 起", "Behind {who}'s task since {at}";
        BehindGate { number: i64, names: &'a str } => "前面：在等批准 #{number}（{names}）", "Waiting for approval #{number} ({names})";
        BehindDirectory => "前面：同一目录正在使用", "This directory is in use";
        BehindLimit => "前面：同时运行的任务已到上限", "The limit of tasks at the same time is reached";
        BehindRestart => "前面：Codex 正在重启", "Codex is restarting";
        BehindHeld => "前面：一个中断的任务在等决定", "An interrupted task waits for a decision";
        BehindElsewhere => "前面：这个会话在另一个程序里开着", "This conversation is open in another program";
        QueueRow { n: usize, who: &'a str, text: &'a str } => "{n} · {who}：{text}", "{n} · {who}: {text}";
        RowStarted => "已开始", "Started";
        RowSteered => "已插话", "Steered";
        RowBackToQueue => "任务刚结束，改为排队", "That task had just ended; queued";
        RowCancelled { who: &'a str } => "已取消（{who}）", "Cancelled by {who}";
        MoreRows { n: usize } => "还有 {n} 条", "{n} more";
        // ---- C8 status
        StatusTitle => "状态", "Status";
        TagWell => "正常", "Well";
        TagTrouble => "有问题", "Trouble";
        SettingsSummary => "这个会话的设置", "Settings of this chat";
        SettingsTitle => "设置", "Settings";
        SettingLine { name: &'a str, value: &'a str } => "{name}：{value}", "{name}: {value}";
        StatusSummary => "ally 的状态", "Status of ally";
        StatusWork { running: u32, waiting: u32, queued: u32 } =>
            "进行中 {running} · 等批准 {waiting} · 排队 {queued}", "{running} running · {waiting} waiting for approval · {queued} queued";
        StatusChannelOk { at: At } => "飞书 正常，最后消息 {at}", "Feishu connected, last frame {at}";
        StatusChannelOkQuiet => "飞书 正常，还没有消息", "Feishu connected, no frame yet";
        StatusChannelBad => "飞书 没有连上，正在重连", "Feishu not connected, reconnecting";
        StatusRuntimeOk { runtime: &'a str } => "{runtime} 正常", "{runtime} ready";
        StatusRuntimeBad { runtime: &'a str } => "{runtime} 不能用", "{runtime} not usable";
        StatusToday { n: u32 } => "今天 {n} 个任务", "Tasks today: {n}";
        StatusUndelivered { n: u32 } => "未送达 {n}", "{n} undelivered";
        StatusUndeliveredSince { n: u32, at: At } => "未送达 {n}（最早 {at}）", "{n} undelivered (oldest {at})";
        Warning { text: &'a str } => "注意：{text}", "Attention: {text}";
        // ---- help, stranger, C15, notice
        HelpTitle => "我能做什么", "What I can do";
        HelpSummary => "ally 的菜单", "Menu of ally";
        NoticeAsks => "ally 有个问题", "A question from ally";
        NoticeSummary => "ally 的一条说明", "A note from ally";
        StrangerSummary => "ally 还没有开通", "ally is not set up here";
        StrangerDirect { owner: &'a str } =>
            "我只为 {owner} 和被允许的人工作。这条没有处理，也没有保存。", "I work only for {owner} and people they allow. This was neither processed nor kept.";
        StrangerGroup { owner: &'a str } => "这个群还没开通，{owner} 可以开通。", "This group is not set up; {owner} can do that.";
        StaleSummary => "一条旧消息在等决定", "An old message waits for a decision";
        StaleSummaryOver => "一条旧消息已有决定", "An old message was decided";
        /// Once somebody chose: nothing is asked any more.
        StaleWas { at: At } => "这条是 {at} 发的，之后我离线过。", "Sent at {at}, and I was offline since then.";
        StaleAsk { at: At } =>
            "这条是 {at} 发的，之后我离线过。还要做吗？", "Sent at {at}, and I was offline since then. Still wanted?";
        StaleOthers { n: u32 } => "另有 {n} 条也在等同一个问题", "{n} more wait for the same question";
    }
}

/// Where a request would run, as far as that is known.
pub fn sandbox<'a>(ask: &Ask, held: bool) -> CardMsg<'a> {
    match (held, ask) {
        (true, _) => CardMsg::InSandbox,
        (false, Ask::Command { unsure: true, outside_sandbox: false, .. }) => CardMsg::MaybeOutside,
        (false, _) => CardMsg::OutsideSandbox,
    }
}

/// A step's verb.
pub fn step_verb(kind: StepKind, lang: Lang) -> &'static str {
    let (zh, en) = match kind {
        StepKind::Command => ("运行", "running"),
        StepKind::FileChange => ("修改", "changing"),
        StepKind::Tool => ("调用", "calling"),
        StepKind::Search => ("查找", "searching"),
        StepKind::Refused => ("按策略拒绝：", "refused by policy:"),
        StepKind::ByRule => ("按规则允许：", "allowed by rule"),
        StepKind::Other => ("处理", "working on"),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// The same of a step that is over.
pub fn step_verb_past(kind: StepKind, lang: Lang) -> &'static str {
    match (kind, lang) {
        (kind, Lang::Zh) => step_verb(kind, Lang::Zh),
        (StepKind::Command, Lang::En) => "ran",
        (StepKind::FileChange, Lang::En) => "changed",
        (StepKind::Tool, Lang::En) => "called",
        (StepKind::Search, Lang::En) => "searched",
        (StepKind::Refused | StepKind::ByRule, Lang::En) => step_verb(kind, Lang::En),
        (StepKind::Other, Lang::En) => "worked on",
    }
}
