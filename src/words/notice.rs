//! Sentences that stand alone in a chat: what became of a message, a turn, a gate.

use super::time::At;

super::messages! {
    /// Notices and grey lines.
    NoticeMsg {
        // ---- intake
        /// W1 could not commit.
        NotStored =>
            "这条还没存下（本机写不进）。飞书会自动再交给我，不用重发",
            "I could not store this yet; it will be handed to me again by itself, no need to resend";
        /// In `ally status`.
        LedgerFull { path: &'a str } =>
            "账本写不进：磁盘满了，或写入出错。新消息没有存下，飞书会再次送来；按钮要再按一次。用 `df -h {path}` 看空间",
            "The ledger takes no writes: the disk is full or fails. New messages are not stored and come again by themselves; clicks must be repeated. See `df -h {path}`";
        LedgerLocked { path: &'a str } =>
            "账本写不进：另一个程序占着它。新消息没有存下，飞书会再次送来；按钮要再按一次。用 `lsof {path}` 看是谁",
            "The ledger takes no writes: another program holds it. New messages are not stored and come again by themselves; clicks must be repeated. See `lsof {path}`";
        LedgerDamaged { path: &'a str } =>
            "账本写不进：文件损坏了。先 `ally stop`，留着 {path} 别动，再用 backups 里最新的一份代替它",
            "The ledger takes no writes: the file is damaged. Run `ally stop`, keep {path} as it is, and put the newest copy from backups in its place";
        SandboxBroken { promise: &'a str, what: &'a str } =>
            "沙箱没有做到「{promise}」：{what}。运行 `ally doctor security`",
            "The sandbox does not keep this: {promise} (but: {what}). Run `ally doctor security`";
        SandboxUnknown { why: &'a str } =>
            "无法确认沙箱是否有效：{why}。运行 `ally doctor security`",
            "Whether the sandbox holds cannot be told: {why}. Run `ally doctor security`";
        /// In `ally status`.
        GroupsNotReadBack { scope: &'a str } =>
            "群里缺权限 {scope}：停机期间平台没有补发的群消息，ally 自己取不到；私聊不受影响",
            "The app lacks {scope}: what a group said during a downtime and the platform never delivers again is not found; direct chats are";
        /// In `ally status`.
        RestoredWaits { turns: usize, messages: i64, inbound: i64 } =>
            "账本回到了以前的状态：有 {turns} 个任务、{messages} 条待发、{inbound} 条待处理，都停着等所有者决定：在聊天里的卡片上，或运行 `ally restored`。新消息照常处理",
            "The ledger was put back to an earlier state: {turns} tasks, {messages} unsent and {inbound} unread messages wait for the owner's word: on the card in the chat, or by `ally restored`. New messages are worked on";
        Restored { turns: usize, messages: i64, inbound: i64 } =>
            "账本回到了以前的状态（恢复了备份？）。当时没做完的可能早已做完，所以都停着：{turns} 个任务，{messages} 条待发，{inbound} 条待处理。「继续」让它们接着做，结果可能重复；「不用了」全部放弃。新消息照常处理",
            "The ledger was put back to an earlier state (from a backup?). What it calls unfinished may long be done, so it all waits: {turns} tasks, {messages} unsent and {inbound} unread messages. \"Continue\" lets it go on, and answers may come twice; \"Dismiss\" drops it all. New messages are worked on";
        RestoredGoesOn { who: &'a str } => "{who} 决定：继续", "Decided by {who}: it goes on";
        RestoredDropped { who: &'a str } => "{who} 决定：全部放弃", "Decided by {who}: all of it is dropped";
        /// A message that could not be made into anything after many tries.
        NotPrepared =>
            "这条没有处理：这台电脑上出了问题，已试了多次。问题解决后请再发一次",
            "This was not processed: something is wrong on this computer, after many tries. Send it again once that is mended";
        QueueFullPerson { limit: u32 } =>
            "你已有 {limit} 条在排队，这条没有处理。等前面的做完，或用 `/cancel` 取消",
            "You already have {limit} waiting, so this was not processed. Wait for them, or remove some with `/cancel`";
        /// `busy = "reject"`.
        BusyRejects =>
            "有任务在进行，这条没有接。等它结束再发一次，或先 `/stop`",
            "A task is running, so this was not taken. Send it again when that has ended, or `/stop` it first";
        QueueFullConversation { limit: u32 } =>
            "这里已有 {limit} 条在排队，这条没有处理。等前面的做完再发",
            "{limit} messages already wait here, so this was not processed. Send it again when they are done";
        /// In a chat that could not be looked through to the end for what was said during a downtime.
        MissedInPart =>
            "我离线时这里说的话没能全部看完：没有得到回应的，请再发一次",
            "I could not look through all that was said here while I was offline: what got no reaction, please send again";
        TooManyLate { limit: u32 } =>
            "我离线时这里来的消息太多：除了已经问你的 {limit} 条，别的都没有处理。还要做的请再发一次",
            "Too much came here while I was offline: beyond the {limit} that I ask about, nothing was processed. Send again what you still want";
        QueueFullChat { limit: u32 } =>
            "这个群聊里已有 {limit} 条在排队，这条没有处理。等前面的做完再发",
            "{limit} tasks already wait in this chat, so this was not processed. Send it again when some are done";
        QueueFullAll { limit: u32 } =>
            "我手上已有 {limit} 条在排队，这条没有处理。过一会儿再发",
            "{limit} tasks already wait for me in all, so this was not processed. Send it again later";
        SteersFull { limit: u32 } =>
            "这个任务已经补充了 {limit} 条，这条没有处理。等它结束再发",
            "{limit} messages were already added to this task, so this was not processed. Send it again when the task has ended";
        CompanionsFull { limit: u32 } =>
            "你已有 {limit} 条没有文字的在等，这条没有处理。先说要做什么，再发其余的",
            "{limit} of your messages already wait here for words, so this was not processed. Say what to do with them, then send the others";
        TooManyFiles { limit: u32 } =>
            "一次最多 {limit} 个附件，多出来的没有取下，任务里没有它们",
            "At most {limit} attachments at once; the others were not fetched, and the task does not have them";
        Unreadable { what: &'a str } => "这个我读不了：{what}。请发文字", "I cannot read {what}; please send text";
        QuotedNotReadable { scope: &'a str } =>
            "我看不到你引用的内容（群里缺权限 {scope}）。请贴文字，或把图和 @我 放在同一条消息里",
            "I cannot see what you quoted (this group lacks {scope}). Paste the text, or put the picture and @me in one message";
        CatchUpRefused { chat: &'a str, scope: &'a str } =>
            "“{chat}”开了补看，但应用缺权限 {scope}，没有补看。加上它并发布，或在那里发 /settings catch_up off",
            "Catch-up is on in \"{chat}\" and the app lacks {scope}, so the task went without. Grant it and publish, or send /settings catch_up off there";
        QuotedGone =>
            "你引用的内容已经读不到了。请贴文字", "What you quoted can no longer be read. Paste the text";
        FileTooBig { name: &'a str, megabytes: u32 } => "{name} 超过 {megabytes} MB，没有取下", "{name} is over {megabytes} MB; not fetched";
        FileNotFetched { name: &'a str } => "{name} 没有取下，任务里没有它", "{name} could not be fetched; the task does not have it";
        /// To the owner.
        ScopeMissing { scope: &'a str } =>
            "缺少飞书权限 {scope}。在开发者后台加上它，再发布一个版本",
            "The Feishu permission {scope} is missing. Add it in the developer console and publish a version";
        WaitingForText =>
            "收到了。要我用它做什么？请在 10 分钟内发文字", "Received. What shall I do with it? Send text within 10 minutes";
        CompanionDropped =>
            "10 分钟里没有等到文字，没有处理。要用的话，请和文字一起再发",
            "No text came within 10 minutes, so this was not processed. To have it used, send it again with text";
        OwnFolder => "专用目录", "its own folder";
        /// To anybody who writes to a bot that nobody has claimed.
        Unclaimed =>
            "我还没有所有者，这条没有处理，也没有保存。在装了 ally 的电脑上运行 `ally pair`，把显示的码私聊发给我",
            "I have no owner yet; this was neither processed nor kept. Run `ally pair` on the computer that runs ally and send me the code in a direct chat";
        NewConversation =>
            "新会话，不记得别的话题；接着之前的请在那个话题里 @我",
            "New conversation; to continue an earlier one, @ me in its topic";
        NoReactionMeans =>
            "消息上没有表情 = 我没收到（电脑可能离线）",
            "No reaction on a message = I did not get it (the computer may be offline)";
        Continues { at: At } => "接着 {at} 的会话 · `/new` 开新会话", "Continues {at} · `/new` starts afresh";
        // ---- answer
        FilesChanged { files: usize, added: u32, removed: u32 } =>
            "至少改了 {files} 个文件（+{added} −{removed}）", "At least {files} files changed (+{added} −{removed})";
        OneFileChanged { added: u32, removed: u32 } =>
            "至少改了 1 个文件（+{added} −{removed}）", "At least 1 file changed (+{added} −{removed})";
        Part { n: u32, of: u32 } => "（第 {n}/{of} 段）", "({n}/{of})";
        FullText { chars: usize } => "全文见文件（{chars} 字）", "Full text in the file ({chars} characters)";
        NoText => "任务完成了，没有文字答案", "The task finished without a text";
        MayBeRepeat => "（可能重复发送）", "(may be a repeat)";
        AnswerRefused { code: i64, turn: &'a str } =>
            "飞书的内容检查拒收了答案（代码 {code}）。全文在电脑上：`ally turns show {turn}`",
            "Feishu's content check refused the answer (code {code}). Full text on the computer: `ally turns show {turn}`";
        AnswerTooHard { turn: &'a str } =>
            "飞书拒收了答案的每一种形式。全文在电脑上：`ally turns show {turn}`",
            "Feishu refused every form of the answer. Full text on the computer: `ally turns show {turn}`";
        FileLeft { turn: &'a str } =>
            "全文的文件没能上传。全文在电脑上：`ally turns show {turn}`",
            "The file with the full text could not be uploaded. Full text on the computer: `ally turns show {turn}`";
        /// To the owner.
        Undeliverable { chat: &'a str, reason: &'a str, turn: &'a str } =>
            "「{chat}」里的一条消息没有送达：{reason}。内容在电脑上：`ally turns show {turn}`",
            "A message for \"{chat}\" was not delivered: {reason}. Its text is on the computer: `ally turns show {turn}`";
        UndeliverableLeft => "我已不在那个群里", "I am no longer in that chat";
        UndeliverableBlocked => "那里不让我发言", "I may not write there";
        UndeliverableRefused { code: i64 } => "飞书不收（代码 {code}）", "Feishu refused it (code {code})";
        UndeliverableHere => "这台电脑上出了问题（看 `ally logs`）", "something went wrong on the computer (see `ally logs`)";
        // ---- gates
        FirstGate { number: i64 } =>
            "会改动东西的步骤我先问；#{number} 只允许这一次", "I ask before changing things; #{number} is allowed only this once";
        RecordedTelling => "已记录，正在告诉 Codex", "Recorded, telling Codex";
        NearMiss { number: i64 } =>
            "这句话没有批准 #{number}，已作为普通消息排队。", "This did not approve #{number}; it is queued as a message.";
        /// It waits behind nothing.
        NearMissElsewhere { number: i64 } =>
            "这句话没有批准 #{number}，已作为一条新消息处理。", "This did not approve #{number}; it is taken as a message of its own.";
        GateReminder { numbers: &'a str, names: &'a str, at: At } =>
            "{numbers} 从 {at} 起在等 {names} 决定", "{numbers} has been waiting for {names} since {at}";
        GatesAnswerDirect { number: i64 } =>
            "回复 a{number} 允许，d{number} 拒绝；可以一次写几个", "Reply a{number} to allow, d{number} to decline; several at once are fine";
        /// Under a request whose card the platform refused: it is answered in words only.
        GateAnswerDirect => "回复 y 允许，n 拒绝", "Reply y to allow, n to decline";
        GateAnswerGroup { bot: &'a str, number: i64 } =>
            "发 @{bot} a{number} 允许，@{bot} d{number} 拒绝", "Send @{bot} a{number} to allow, @{bot} d{number} to decline";
        QuestionAnswerGroup { bot: &'a str } => "发 @{bot} 加上选项的数字，或直接写", "Send @{bot} and the option's number, or write";
        QuestionsNeedCard =>
            "几个问题一起时只能在卡片里回答，而飞书拒收了卡片；可以用 `/stop` 停止任务",
            "Several questions at once can be answered on a card only, and Feishu refused it; `/stop` ends the task";
        GateRedirect { number: i64 } =>
            "在等批准 #{number}，这条先排队", "Waiting for approval #{number}; this is queued";
        ShortcutAmbiguous { numbers: &'a str } =>
            "不止一项在等决定（{numbers}），请写明编号，例如 a3 或 d3",
            "More than one waits for a decision ({numbers}); name the number, like a3 or d3";
        ShortcutSeveralTopics =>
            "几个话题都有请求在等决定，请在那个请求的话题里回复", "Requests of several topics wait; reply in the topic of the one you mean";
        /// What was written may be the secret.
        SecretByCard { number: i64 } =>
            "#{number} 的答案要保密：请填在卡片里。这条没有保存",
            "The answer to #{number} is secret: use its card. This was not kept";
        /// Neither is it stored: the process that had it in memory died.
        SecretAgain { number: i64 } =>
            "ally 刚重启过，#{number} 的答案可能没有交给 Codex。保密的答案不保存，请再填一次",
            "ally was restarted, and the answer to #{number} may not have reached Codex. Secrets are not stored: give it again";
        ShortcutTooEarly { number: i64 } =>
            "这句话早于 #{number} 的卡片，没有决定任何事", "This was sent before the card of #{number} appeared; it decided nothing";
        ShortcutUnknown { numbers: &'a str } =>
            "{numbers} 没有在等决定，其余已记录", "{numbers} does not wait for a decision; the rest is recorded";
        DecidedList { allowed: &'a str, declined: &'a str } =>
            "已记录：允许 {allowed}；拒绝 {declined}", "Recorded: allowed {allowed}; declined {declined}";
        SettingChanged { who: &'a str, name: &'a str, value: &'a str } =>
            "{who} 把 {name} 改为“{value}”", "{who} set {name} to \"{value}\"";
        EditForAll { project: &'a str } =>
            "这里任何人都能让 Codex 修改 {project}，只在沙箱内", "Anyone here can have Codex change {project}, inside the sandbox";
        ShortcutRed { numbers: &'a str } =>
            "{numbers} 可能无法恢复或无法判断，只能在卡片上决定", "{numbers} may be irreversible or cannot be judged; decide it on the card";
        StillOpen { numbers: &'a str } => "{numbers} 还在等决定", "{numbers} still waits for a decision";
        AllSafeNothing => "没有可以这样一起允许的，什么也没有决定", "Nothing here can be allowed like that; nothing was decided";
        CardMoved =>
            "这项还在等决定，卡片太旧，已重发一张新的", "This still waits; the card is too old, a new one was sent";
        AnotherApprover => "另一位审批人（现在没有，见 /approver）", "another approver (there is none yet, see /approver)";
        WaitsForDirectory =>
            "已记录，等同一目录空出来再继续", "Recorded; it goes on once the directory is free";
        // ---- turns
        Stopping => "已记录，正在停止任务", "Recorded, stopping the task";
        Stopped { who: &'a str } => "■ 已停止（{who}）", "■ Stopped by {who}";
        StopUnconfirmed =>
            "已要求停止，还没有得到确认；命令可能还在运行", "Asked to stop, not yet confirmed; commands may still be running";
        StopGaveUp =>
            "停止没有得到确认，无法确认它做到了哪里。会话在一份副本里继续",
            "The stop was never confirmed; how far it got cannot be told. The conversation goes on in a copy";
        Cancelled { who: &'a str } => "已取消（{who}）", "Cancelled by {who}";
        QueuedAgain => "这条没有交给 Codex，重新排队", "This had not reached Codex; it is queued again";
        LostCommandsEnded =>
            "任务中断，结果未知。没有做完；当时运行的命令已结束，做过的可能已生效",
            "Interrupted, outcome unknown. It did not finish; running commands were ended, what was done before may have taken effect";
        LostMayRunOn =>
            "任务中断，结果未知。没有做完；当时运行的命令可能还在运行",
            "Interrupted, outcome unknown. It did not finish; running commands may still be running";
        LostHistoryGone =>
            "任务中断，结果未知。Codex 里的记录读不到了，无法确认做到了哪里",
            "Interrupted, outcome unknown. Codex's history cannot be read; how far it got cannot be told";
        LostMachineRestarted =>
            "任务中断，结果未知。电脑重启过，记录可能不全",
            "Interrupted, outcome unknown. The computer restarted; the history may be incomplete";
        ShutdownCut =>
            "ally 被停机，任务没有做完，可以继续", "ally was shut down; the task did not finish and can be continued";
        TaskOver => "那个任务已结束", "That task has ended";
        SteerTaken => "已插话", "Steered";
        SteerReturned => "任务刚结束，插话改为排队", "That task had just ended; your words are queued";
        Compacted => "压缩好了", "Compacted";
        CompactedRunsOn => "压缩好了，现在重做这个请求", "Compacted; the request now runs again";
        CompactCutOff =>
            "压缩被打断，没有做完。说过的话都在，可以重新运行",
            "The compaction was cut off before its end. All that was said is still there; it can be run again";
        Merged => "这条已并入正在进行的任务", "This joined the task that was already running";
        RecalledRunning =>
            "消息已撤回，任务还在运行。要停止吗？", "The message was recalled, the task still runs. Stop it?";
        WatchdogIdle { minutes: u32 } =>
            "{minutes} 分钟没有任何动静，不知道它是否还在做。要停止吗？",
            "No sign of life for {minutes} minutes; I cannot tell whether it still works. Stop it?";
        WatchdogTool { minutes: u32 } =>
            "一个命令已运行 {minutes} 分钟没有动静。要停止吗？", "A command has run for {minutes} minutes without a sign of life. Stop it?";
        ModelUnreachable { at: At } =>
            "连不上模型，{at} 起在重试，任务没有完成。要停止吗？",
            "Cannot reach the model, retrying since {at}; the task is not finished. Stop it?";
        /// To the owner alone, about a chat that may be another one's.
        OwnerRemedy { chat: &'a str, what: &'a str, remedy: &'a str } =>
            "{what}（聊天 `{chat}`）\n{remedy}", "{what} (chat `{chat}`)\n{remedy}";
        Elsewhere =>
            "这个会话还在电脑上的 Codex 里开着，这条在等。", "This conversation is still open in Codex on your computer; this waits.";
        RuntimeBack => "Codex 恢复了，排队的任务继续", "Codex is back; what was queued goes on";
        NotAllowedAnyMore =>
            "发消息的人现在不能在这里用我了，这条没有执行", "Its sender may not talk to me here any more, so this was not done";
        LockedByOwner => "已由所有者暂停", "Paused by the owner";
        /// In `ally status`.
        RuntimeSettingsWait =>
            "[runtime] 的设置（或环境变量）改过，正在运行的运行时还用旧的。没有任务在跑时运行 `ally restart --all`",
            "[runtime] or the environment has changed; the runtime that runs has the former settings. Run `ally restart --all` when no task runs";
        // ---- ally itself, to the owner
        CrashedAgainAndAgain { times: usize, from: At, to: At, how: &'a str } =>
            "ally 在 {from} 到 {to} 之间崩溃了 {times} 次（最后一次：{how}），现在又试一次，没做完的任务各有交代。再崩的话，每隔 5 分钟试一次。原因：在电脑上运行 `ally logs`",
            "ally crashed {times} times between {from} and {to} (the last time: {how}) and is tried again now; what was under way goes on or says what became of it. If it crashes once more, it is tried every 5 minutes. For the cause run `ally logs` on the computer";
        SteadyAgain { times: usize, to: At } =>
            "ally 之后又崩溃，到 {to} 为止一共 {times} 次；现在已稳定运行一分钟",
            "ally went on crashing until {to}, {times} times in all; it has now run for a minute";
        ChannelRefuses { channel: &'a str, problem: &'a str } =>
            "{channel} 不让 ally 连接，那里的消息收不到。{problem}",
            "{channel} refuses ally, so nothing comes from there. {problem}";
        VersionApproved =>
            "管理员批准了应用。在电脑上运行 `ally setup` 接着做",
            "The administrator has approved the app. Run `ally setup` on the computer to go on";
        VersionNotApproved =>
            "应用提交的版本没有批准，或者撤回了。在电脑上运行 `ally setup` 看还缺什么",
            "The version of the app that was handed in was not approved, or was taken back. Run `ally setup` on the computer to see what is missing";
        GroupContextApproved =>
            "管理员批准了群上下文：群里被引用的消息和文件、停机时错过的话，现在都读得到",
            "The administrator has approved the group context: quoted messages, files of groups and what was missed during a downtime can be read now";
        DiskLow { path: &'a str, megabytes: usize } =>
            "磁盘快满了：{path} 那里只剩 {megabytes} MB。满了就存不下新消息。用 `df -h {path}` 看空间",
            "The disk is nearly full: {megabytes} MB are left at {path}. Once it is full, new messages cannot be stored. See `df -h {path}`";
        OfflineOver { channel: &'a str, from: At, to: At } =>
            "{channel} 从 {from} 到 {to} 连不上，现在恢复了。那段时间的消息会补上，旧的先问再做",
            "{channel} could not be reached from {from} to {to} and works again. Messages of that time are fetched; old ones are asked about before they run";
        RuntimeOutageOver { runtime: &'a str, from: At, to: At } =>
            "{runtime} 从 {from} 到 {to} 用不了，现在恢复了，排队的任务继续",
            "{runtime} did not work from {from} to {to}; it works again, and what was queued goes on";
        HappenedTimes { text: &'a str, times: u32 } => "{text}（发生了 {times} 次）", "{text} (it happened {times} times)";
        // ---- pairing and first contact
        PairingAsk => "把电脑上显示的 8 位配对码发给我", "Send me the 8-character pairing code shown on the computer";
        PairingDone =>
            "配对完成，你是所有者。", "Paired: you are the owner.";
        PairingWrong { left: u32 } => "配对码不对，还可以试 {left} 次", "That code is not right; {left} tries left";
        PairingExpired =>
            "配对码已失效。在电脑上运行 `ally pair` 取新的", "That code is no longer valid. Run `ally pair` on the computer for a new one";
        Greeting { directory: &'a str } =>
            "已连接。直接发消息试试，例如：“这个目录里有什么？” 我现在只听你的；项目目录 {directory}；会改动项目外的事我先问。换目录：`/project`；菜单：`/help`",
            "Connected. Try: \"What is in this directory?\" I listen only to you; project {directory}; I ask before anything outside it. To change it: `/project`; the menu: `/help`";
        GroupWelcome { project: &'a str, approvers: &'a str } =>
            "已开通：{project}。@我 + 要做的事；每次 @我 开一个话题，话题里继续也要 @我。出沙箱的先问 {approvers}。只 @我 看菜单。没有表情 = 我没收到。",
            "Ready: {project}. @ me with a task; each opens a topic, inside it @ me again. What leaves the sandbox is asked of {approvers}. @ me alone for the menu. No reaction = not received.";
        LeftGroup { chat: &'a str, tasks: u32 } =>
            "我已不在「{chat}」里。那里没做完的任务有 {tasks} 个：排队的取消，正在做的停止",
            "I am no longer in \"{chat}\". Its unfinished tasks ({tasks}) end: queued ones are cancelled, running ones stopped";
        AddedToGroup { chat: &'a str } =>
            "我被加进了「{chat}」，还没有开通。在群里发 `/allow` 就开通", "I was added to \"{chat}\"; it is not set up. Send `/allow` there to open it";
    }
}

/// The platform's type name of an unreadable message, as people call it.
pub fn unreadable_name(what: &str, lang: crate::domain::view::Lang) -> &'static str {
    let (zh, en) = match what {
        "audio" => ("语音", "voice messages"),
        "media" | "video" => ("视频", "videos"),
        "sticker" => ("表情", "stickers"),
        "location" => ("位置", "locations"),
        "share_chat" | "share_user" => ("名片", "contact cards"),
        "folder" => ("文件夹", "folders"),
        "interactive" => ("卡片", "cards"),
        "merge_forward" => ("合并转发", "forwarded messages"),
        "todo" | "calendar" | "share_calendar_event" | "general_calendar" => ("日程和任务", "calendar entries"),
        "vote" => ("投票", "votes"),
        "hongbao" => ("红包", "red packets"),
        "system" => ("系统消息", "system messages"),
        _ => ("这种消息", "this kind of message"),
    };
    match lang {
        crate::domain::view::Lang::Zh => zh,
        crate::domain::view::Lang::En => en,
    }
}
