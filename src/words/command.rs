//! Replies to commands, and the help.

use crate::domain::view::Lang;

super::messages! {
    /// What a command is answered with.
    CommandMsg {
        // ---- help
        HelpDirect { project: &'a str } =>
            "直接发消息，我交给 Codex 在 {project} 里做。图片和文件可以一起发。",
            "Send a message and I hand it to Codex in {project}. Pictures and files can come along.";
        HelpGroup { project: &'a str, bot: &'a str } =>
            "@{bot} + 要做的事，我交给 Codex 在 {project} 里做。每次 @我 开一个话题，话题里继续也要 @我。",
            "@{bot} with a task and I hand it to Codex in {project}. Each opens a topic; inside it @ me again.";
        HelpCommands =>
            "`/new` 新会话 · `/stop` 停止 · `/status` 状态 · `/gates` 等决定的请求 · `/cancel` 取消排队的 · `/retry` 重新运行 · `/steer` 插话 · `/release` 释放会话 · `/threads` 历史 · `/plan` 计划 · `/diff` 改动 · `/review` 审查 · `/compact` 压缩 · `/model` 模型 · `/project` 项目 · `/usage` 用量 · `/routine` 定时任务 · `/settings` 这里的设置 · `/lang` 语言 · `/whoami` 我是谁",
            "`/new` fresh conversation · `/stop` end the running task · `/status` how things stand · `/gates` what waits for a decision · `/cancel` remove queued ones · `/retry` run again · `/steer` add to the running task · `/release` free the conversation · `/threads` former conversations · `/plan` plan only · `/diff` changes · `/review` look over them · `/compact` shorten the conversation · `/model` model · `/project` folder · `/usage` tokens · `/routine` what runs at its time · `/settings` how this chat works · `/lang` language · `/whoami` your role";
        HelpGates =>
            "批准请求也可以打字：一项时 `y` / `n`，几项时 `a1 a3 / d2`，问题直接回选项的数字。",
            "Requests can be answered in words: `y` / `n` for one, `a1 a3 / d2` for several, the option's number for a question.";
        /// Where only mentions are delivered.
        HelpGatesGroup { bot: &'a str } =>
            "批准请求也可以打字：一项时 `@{bot} y` / `@{bot} n`，几项时 `@{bot} a1 a3 / d2`，问题回 `@{bot}` 加选项的数字。",
            "Requests can be answered in words: `@{bot} y` / `@{bot} n` for one, `@{bot} a1 a3 / d2` for several, `@{bot}` and the option's number for a question.";
        HelpOwner =>
            "所有者：`/allow @人` 允许，`/deny @人` 移除，在群里发 `/allow` 开通这个群；`/lock` 全部暂停；`/last` 昨晚的结果；`/doctor` 体检。",
            "Owner: `/allow @person`, `/deny @person`; `/allow` alone in a group opens it; `/lock` pauses everything; `/last` what the night brought; `/doctor` what is wrong.";
        HelpMore => "`/help` 加命令名看说明。消息上没有表情 = 我没收到。", "`/help` with a command explains it. No reaction on a message = I did not get it.";
        HelpUnknown { topic: &'a str } => "没有 `/{topic}` 这个命令，`/help` 看全部", "There is no command `/{topic}`; `/help` lists all";
        // ---- results
        DidYouMean { typed: &'a str, suggestion: &'a str } =>
            "没有 `{typed}` 这个命令。是 `{suggestion}` 吗？这条没有交给 Codex；要原样交给它，前面再加一个 `/`",
            "There is no command `{typed}`. Did you mean `{suggestion}`? It was not given to Codex; to send it as it is, put one more `/` in front";
        Later { word: &'a str } => "`/{word}` 在这个版本里还没有", "`/{word}` is not available in this version";
        CannotRuntime => "这个运行时没有此功能", "This runtime cannot do that";
        NewDone => "新会话开始了，之前说的它不记得", "A new conversation begins; nothing said before is remembered";
        NewGroupStream => "群里每次 @我 就是新会话", "Each @ is a new one already";
        NewWaits => "已记录，正在进行的任务结束后开新会话", "Recorded; the new conversation begins when the running task ends";
        NothingRunning => "没有正在进行的任务", "No task is running";
        StopChoose { n: usize } => "有 {n} 个任务在进行，请在对应的话题里发 `/stop`", "{n} tasks are running; send `/stop` in the topic of the one you mean";
        StoppedAll { n: usize } => "已要求停止 {n} 个任务", "{n} tasks were asked to stop";
        NothingQueued => "没有排队的消息", "Nothing is queued";
        CancelledN { n: usize } => "已取消 {n} 条排队的", "Queued messages cancelled: {n}";
        NoSuchRow { n: u32 } => "没有排在第 {n} 位的消息", "There is no message number {n} in the queue";
        NotYours { who: &'a str } => "这条是 {who} 的，由 {who} 或审批人决定", "This one is {who}'s; {who} or an approver can do that";
        NothingToRetry => "没有可以重新运行的请求", "There is no request to run again";
        RetryAsks { title: &'a str } =>
            "「{title}」的结果未知，重新运行可能把做过的事再做一遍。继续会先查看做过什么", "What came of “{title}” is unknown: run again, and what it did may be done twice. Continue first looks at what was done";
        RetryQueued => "已排队，从头再做", "Queued, from the start";
        SteerEmpty => "要插什么话？写在 `/steer` 后面", "What shall I pass on? Write it behind `/steer`";
        SteerNotIn =>
            "正在进行的任务权限更大，你的话不能插进去，这条改为排队", "The running task may do more than you may, so this is queued";
        SteerQueued => "没有正在进行的任务，这条改为排队", "No task is running, so this is queued";
        Released => "会话已释放，可以在电脑上打开", "The conversation is free; it can be opened on the computer";
        NothingToRelease => "这个会话没有被占用", "This conversation is not held";
        LangSet => "从现在起这里说中文", "From now on I speak English here";
        LangUsage => "`/lang zh` 中文，`/lang en` 英文", "`/lang zh` for Chinese, `/lang en` for English";
        OwnerOnly { owner: &'a str } => "只有 {owner} 能这样做", "Only {owner} can do that";
        Allowed { who: &'a str } =>
            "{who} 现在可以用我；自己的任务里，读项目和改项目由他批准",
            "{who} may now talk to me, and decide what reads or changes the project in their own tasks";
        AlreadyAllowed { who: &'a str } => "{who} 已经可以用我", "{who} may already talk to me";
        /// Can be opened by hand only.
        GroupExternal { chat: &'a str } =>
            "这个群有外部人员，不能在群里开通。要开通，请在电脑上把 {chat} 写进 ally.toml 的 [access] chats，再重启",
            "There are people of other companies here, so it cannot be opened from the chat. On the computer: add {chat} to [access] chats in ally.toml, then restart";
        GroupUnknown =>
            "没能向飞书确认这个群里有没有外部人员，没有开通。请再试一次", "Feishu could not be asked whether outsiders are in this group, so it was not opened. Try again";
        GroupOpened => "这个群已开通，群里的人都能用我", "This group is open; everyone in it may talk to me";
        Denied { who: &'a str } => "已移除 {who}：不能再用我，也不能批准", "{who} was removed: may neither talk to me nor approve";
        GroupClosed => "这个群已关闭", "This group is closed";
        NotAllowedBefore { who: &'a str } => "{who} 本来就不能用我", "{who} could not talk to me before either";
        DenyOwner => "不能移除所有者", "The owner cannot be removed";
        SettingsUsage => "`/settings` 看设置；`/settings autonomy safe` 改一项", "`/settings` shows them; `/settings autonomy safe` changes one";
        SettingUnknown { word: &'a str, known: &'a str } => "没有“{word}”。可以是：{known}", "There is no \"{word}\". It can be: {known}";
        SettingNotYours { name: &'a str } => "“{name}”这样改不由你决定", "That change of {name} is not yours to make";
        DenyAdmin { who: &'a str } => "只有所有者能移除管理员 {who}", "Only the owner can remove the admin {who}";
        AllowWhom => "要允许谁？写 `/allow @人`", "Allow whom? Write `/allow @person`";
        DenyWhom => "要移除谁？写 `/deny @人`", "Remove whom? Write `/deny @person`";
        NoOutsiders { who: &'a str } => "{who} 是外部人员，只能在电脑上允许", "{who} is from outside; that can be allowed only on the computer";
        // ---- conversations
        ThreadsTitle => "这里的会话", "Conversations here";
        ThreadsNone => "这里还没有会话", "There is no conversation here yet";
        ThreadsUntitled => "（没有标题）", "(no title)";
        ThreadsRowHere => "正在用", "this one";
        ThreadsRowDesk => "在电脑上开始的", "begun on the computer";
        ThreadsRowIn { project: &'a str } => "在 {project}", "in {project}";
        ThreadsNote => "接着第 2 个：`/resume 2`；给现在的起名：`/name 名字`", "Continue the second: `/resume 2`; call this one: `/name WORDS`";
        ResumeNoSuch { n: u32 } => "没有第 {n} 个会话，`/threads` 看全部", "There is no conversation {n}; `/threads` lists them";
        ResumeInTopic => "群里一个话题一个会话：请在话题里发 `/resume`", "In a group each topic is a conversation: send `/resume` inside one";
        ResumeAlready => "现在用的就是这个会话", "This is that conversation";
        ResumeWorking => "那个会话还在运行，等它结束再接着", "That conversation is still running; continue it when it has ended";
        ResumeElsewhere { project: &'a str } => "那个会话在 {project} 里工作，先用 `/cd` 把这里换过去", "That conversation works in {project}; first bring this chat there with `/cd`";
        ResumeGone => "那个会话已经不能在这里接着", "That conversation can no longer be continued here";
        Resumed { title: &'a str } => "从下一条起接着「{title}」", "From the next message on this continues “{title}”";
        Forked => "从下一条起在一份副本里继续，原来的会话不变", "From the next message on this goes on in a copy; the original stays as it is";
        NothingToFork => "还没有会话可以复制", "There is no conversation to copy yet";
        Named { name: &'a str } => "这个会话现在叫「{name}」", "This conversation is now called “{name}”";
        NameIs { name: &'a str } => "这个会话叫「{name}」；`/name 名字` 换一个", "This conversation is called “{name}”; `/name WORDS` changes that";
        NameNone => "这个会话还没有名字，`/name 名字` 起一个", "This conversation has no name; `/name WORDS` gives it one";
        NothingToName => "先说一句话，才有会话可以命名", "Say something first: there is no conversation to name yet";
        // ---- the work
        DiffNothing => "没有改动", "Nothing has changed";
        DiffNoRepository => "看不到改动：这里不是有提交的 git 仓库", "No changes can be shown: this is no git repository with a commit";
        DiffNotNow => "现在问不到改动，过一会儿再试", "The changes cannot be asked for now; try again in a while";
        PlanWhat => "要计划什么？写在 `/plan` 后面", "Plan what? Write it behind `/plan`";
        CompactNothing => "这里还没有可以压缩的会话", "There is no conversation here to compact yet";
        // ---- the model
        ModelIs { name: &'a str, all: &'a str } => "模型：{name}。可选：{all}", "Model: {name}. To choose from: {all}";
        ModelSet { name: &'a str } => "从下一个任务起用 {name}", "From the next task on {name} works here";
        NoSuchModel { name: &'a str } => "没有 {name} 这个模型", "There is no model {name}";
        ModelsUnknown => "现在问不到有哪些模型，过一会儿再试", "The models cannot be asked for now; try again in a while";
        EffortIs { name: &'a str, model: &'a str, all: &'a str } =>
            "强度：{name}。{model} 可选：{all}", "Effort: {name}. {model} knows: {all}";
        EffortSet { name: &'a str } => "从下一个任务起强度是 {name}", "From the next task on the effort is {name}";
        NoSuchEffort { model: &'a str, name: &'a str } => "{model} 没有强度 {name}", "{model} has no effort {name}";
        // ---- where it works
        WorksIn { project: &'a str } => "这里在 {project} 里工作", "This chat works in {project}";
        ProjectsNote => "换到第 2 个：`/project 2`；换到别的目录：`/cd 路径`；换回原来的：`/cd -`", "Bring it to the second: `/project 2`; to any folder: `/cd PATH`; back to the configured one: `/cd -`";
        ProjectsNone =>
            "允许的目录下没有找到 git 仓库；换目录：`/cd 路径`", "No git repository was found below the allowed folders; to any folder: `/cd PATH`";
        Bound { project: &'a str } => "从下一条起在 {project} 里做", "From the next message on this chat works in {project}";
        BoundAnew { project: &'a str } =>
            "从下一条起在 {project} 里做，那里开新会话；之前的会话在 `/threads` 里", "From the next message on this chat works in {project}, in a new conversation; the former one is in `/threads`";
        PlaceNotThere => "没有这个目录", "There is no such folder";
        PlaceTooWide => "这个目录太大：整个主目录或 ally 自己的数据在里面。请选一个项目的目录", "That is too wide: a whole home or ally's own data lies in it. Choose the folder of one project";
        PlaceSystem => "这是系统目录，不能在里面工作", "That is a folder of the system; no work is done there";
        PlaceTemp => "这是临时目录，不能在里面工作", "That is a folder for temporary files; no work is done there";
        PlaceOwn => "这是 ally 自己的目录，不能在里面工作", "That is ally's own folder; no work is done there";
        PlaceHidden => "这是隐藏目录，不能在里面工作", "That is a hidden folder; no work is done there";
        PlaceOutside =>
            "这个目录不在允许的范围里，范围在电脑上的 `ally.toml` 里写：`[conversation] roots`", "That folder is not below the allowed ones, which stand in `ally.toml` on the computer: `[conversation] roots`";
        // ---- what it cost
        UsageNone { days: u32 } => "最近 {days} 天这里没有用量", "Nothing was used here; days: {days}";
        UsageHead { days: u32, tokens: i64, turns: usize } =>
            "最近 {days} 天：{tokens} tokens，{turns} 个任务", "In days: {days} · {tokens} tokens · tasks: {turns}";
        UsageHere { tokens: i64, turns: usize } => "这个会话：{tokens} tokens，{turns} 个任务", "This conversation: {tokens} tokens · tasks: {turns}";
        UsageDay { day: &'a str, tokens: i64, turns: usize } => "{day}：{tokens} tokens，{turns} 个任务", "{day}: {tokens} tokens · tasks: {turns}";
        UsageTurns => "最近的任务：", "Newest tasks:";
        UsageTurn { title: &'a str, tokens: i64 } => "{title}：{tokens} tokens", "{title}: {tokens} tokens";
        // ---- the check-up
        DoctorFine { names: &'a str } => "✓ 正常：{names}", "✓ {names}";
        DoctorMore => "要开进程才能试的，在电脑上：`ally doctor`", "What has to be tried is tried on the computer: `ally doctor`";
        DoctorInDirect => "结果里有电脑上的文件名，只在私聊里说：请在私聊里发 `/doctor`", "It names files of the computer: send `/doctor` in the direct chat";
        // ---- whoami
        WhoamiOwner => "你是所有者：可以用我，可以批准，可以允许别人", "You are the owner: you may talk, approve, and allow others";
        WhoamiAdmin =>
            "你是管理员：可以用我，可以批准（提权除外），可以允许别人", "You are an admin: you may talk, approve (but not more rights), and allow others";
        WhoamiApprover =>
            "你是这里的审批人：可以用我，可以批准别人的请求", "You approve here: you may talk, and decide others' requests";
        WhoamiUser =>
            "你可以用我；自己的任务里，读项目和改项目由你批准", "You may talk to me, and decide what reads or changes the project in your own tasks";
        WhoamiMember =>
            "你可以在这个群里用我；自己的任务里，读项目和改项目由你批准",
            "You may talk to me in this group, and decide what reads or changes the project in your own tasks";
        WhoamiStranger { owner: &'a str } => "你还不能用我，{owner} 可以允许", "You may not talk to me yet; {owner} can allow it";
    }
}

/// One line about a command, by its English word; `None` for a word that is no command.
pub fn help_topic(word: &str, lang: Lang) -> Option<&'static str> {
    let (zh, en) = match word {
        "help" => ("`/help`：看菜单；`/help stop` 看一个命令", "`/help`: the menu; `/help stop` explains one command"),
        "new" => ("`/new`：开新会话，之前说的它不记得", "`/new`: starts afresh, nothing said before is remembered"),
        "stop" => (
            "`/stop`：停止正在进行的任务，排队的不动；所有者用 `/stop all` 停止全部",
            "`/stop`: stops the running task, not what is queued; the owner stops everything with `/stop all`",
        ),
        "cancel" => (
            "`/cancel`：取消你排队的消息；`/cancel 2` 只取消第 2 条",
            "`/cancel`: removes your queued messages; `/cancel 2` only the second",
        ),
        "last" => (
            "`/last`：昨晚以来怎么样，什么在等你；`/last 3d` 看三天（所有者，私聊）",
            "`/last`: what came of the night and what waits for you; `/last 3d` of three days (the owner, in a direct chat)",
        ),
        "routine" => (
            "`/routine`：到点自己做的事；`/routine add 每天 9 点 总结昨天的提交` 加一个（管理员），先给你看再确认",
            "`/routine`: what is done at its time by itself; `/routine add every weekday at 9 summarise the commits` makes one (admins), after you confirmed it",
        ),
        "settings" => (
            "`/settings`：这里怎么工作（自主程度、忙时、安静、补看聊天）；`/settings noise quiet` 改一项",
            "`/settings`: how things work here (autonomy, when busy, noise, catch-up); `/settings noise quiet` changes one",
        ),
        "status" => ("`/status`：现在在做什么，哪里不通", "`/status`: what is going on, and what does not work"),
        "steer" => (
            "`/steer` 加一句话：说给正在进行的任务；没有任务时排队",
            "`/steer` and a sentence: adds it to the running task, else queues it",
        ),
        "retry" => (
            "`/retry`：把最后一个没做完的请求从头再做；结果未知的先问你",
            "`/retry`: runs the last unfinished request again; asks first where its outcome is unknown",
        ),
        "threads" => {
            ("`/threads`：这里用过的会话，新的在前", "`/threads`: the conversations of this chat, newest first")
        }
        "resume" => (
            "`/resume 2`：接着 `/threads` 里的第 2 个会话",
            "`/resume 2`: continues the second conversation of `/threads`",
        ),
        "fork" => (
            "`/fork`：从下一条起在一份副本里继续，原来的会话不变",
            "`/fork`: goes on in a copy of this conversation, the original stays as it is",
        ),
        "name" => ("`/name 名字`：给这个会话起名", "`/name WORDS`: gives this conversation a name"),
        "diff" => ("`/diff`：这里的目录里改了哪些文件", "`/diff`: which files have changed in this chat's folder"),
        "plan" => ("`/plan` 加要做的事：先给计划，不改东西", "`/plan` and a task: makes a plan and changes nothing"),
        "compact" => (
            "`/compact`：压缩会话，省下说过的细节；排在前面的消息后面做",
            "`/compact`: shortens the conversation to a summary; it waits for what was sent before it",
        ),
        "review" => (
            "`/review`：审查还没有提交的改动，不改东西；后面可以写重点看什么",
            "`/review`: reviews what is not committed and changes nothing; behind it, what to look at",
        ),
        "model" => (
            "`/model`：现在的模型和可选的；`/model 名字` 换一个，从下一个任务起",
            "`/model`: the model and what there is; `/model NAME` chooses one from the next task on",
        ),
        "effort" => (
            "`/effort`：模型想得多深；`/effort high` 从下一个任务起换",
            "`/effort`: how hard the model thinks; `/effort high` changes it from the next task on",
        ),
        "cd" => (
            "`/cd 路径`：这里从下一条起在那个目录里工作；`/cd -` 换回原来的。所有者和管理员能用",
            "`/cd PATH`: this chat works there from the next message on; `/cd -` goes back. Owner and admins",
        ),
        "project" => (
            "`/project`：这里的目录和可选的项目；`/project 2` 换到第 2 个。所有者和管理员能换",
            "`/project`: where this chat works and what there is; `/project 2` goes to the second. Owner and admins",
        ),
        "usage" => (
            "`/usage`：今天这里用了多少 tokens；`/usage 7d` 看 7 天",
            "`/usage`: tokens used here within a day; `/usage 7d` within 7 days",
        ),
        "release" => (
            "`/release`：放开这个会话，让电脑上的 Codex 打开它",
            "`/release`: lets go of this conversation, so that Codex on the computer can open it",
        ),
        "whoami" => ("`/whoami`：你在这里能做什么", "`/whoami`: what you may do here"),
        "lang" => ("`/lang zh` 或 `/lang en`：这里说哪种语言", "`/lang zh` or `/lang en`: the language of this chat"),
        "allow" => (
            "`/allow @人`：让他用我；在群里单独发 `/allow` 开通这个群。所有者和管理员能用",
            "`/allow @person`: may talk to me; alone in a group it opens the group. For the owner and admins",
        ),
        "deny" => (
            "`/deny @人`：移除，他的任务、规则和审批权一起结束；在群里单独发 `/deny` 关闭这个群。所有者和管理员能用",
            "`/deny @person`: removes them, and ends their tasks, rules and rights; alone in a group it closes the group. For the owner and admins",
        ),
        // ---- rules, rights, the lock
        "admin" => (
            "`/admin @人`：设为管理员；`/admin @人 移除` 拿走；单独发列出。只有所有者能改",
            "`/admin @person`: makes them an admin; with `remove` no longer; alone it lists. Only the owner changes it",
        ),
        "approver" => (
            "`/approver @人`：设为这个群的审批人；`/approver @人 移除` 拿走；单独发列出。所有者和管理员能改",
            "`/approver @person`: lets them approve in this group; with `remove` no longer; alone it lists. For the owner and admins",
        ),
        "lock" => (
            "`/lock`：全部暂停，正在做的停止，排队的留着，按钮无效。只有所有者能用；电脑上是 `ally lock`",
            "`/lock`: pauses everything; running tasks are stopped, queued ones stay, buttons do nothing. Owner only; `ally lock` on the computer",
        ),
        "unlock" => (
            "`/unlock`：解除暂停，列出被停止的任务。只有所有者能用",
            "`/unlock`: lets everything go on, and lists what was stopped. Owner only",
        ),
        "gates" => (
            "`/gates`：等人决定的请求；所有者在私聊里看全部",
            "`/gates`: the requests that wait; the owner sees all of them in the direct chat",
        ),
        "audit" => (
            "`/audit 7d`：最近 7 天谁决定了什么。审批人看这里的，管理员和所有者在私聊里看全部",
            "`/audit 7d`: who decided what in 7 days. Approvers see this chat's, admins and the owner all of it in their direct chat",
        ),
        "doctor" => (
            "`/doctor`：哪里不通，怎么办。只有所有者能用，在私聊里；电脑上是 `ally doctor`",
            "`/doctor`: what does not work, and what to do. Owner only, in the direct chat; `ally doctor` on the computer",
        ),
        "rules" => (
            "`/rules`：这里有哪些规则；`/rules revoke R7` 撤销 R7。审批人、管理员和所有者能用",
            "`/rules`: the rules of this chat; `/rules revoke R7` ends R7. For approvers, admins and the owner",
        ),
        _ => return None,
    };
    Some(match lang {
        Lang::Zh => zh,
        Lang::En => en,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::rules;

    #[test]
    fn topics_keep_the_rules() {
        for word in [
            "help", "new", "stop", "cancel", "status", "steer", "retry", "release", "threads", "resume", "fork",
            "name", "diff", "plan", "compact", "review", "model", "effort", "cd", "project", "usage", "whoami", "lang",
            "allow", "deny", "rules", "doctor", "gates", "routine", "last", "audit", "lock", "unlock", "admin",
            "approver",
        ] {
            for lang in [Lang::Zh, Lang::En] {
                rules::check(word, help_topic(word, lang).expect("a topic"), lang);
            }
        }
        assert_eq!(help_topic("nothing", Lang::En), None);
    }
}
