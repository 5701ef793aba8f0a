//! What `ally doctor` says: the name of each check, what was found, and what to do.

use crate::domain::finding::Check;
use crate::domain::view::Lang;

super::messages! {
    /// What a check found, and its remedy.
    DoctorMsg {
        // ---- the home
        ConfigFine { file: &'a str } => "{file} 和 `.env` 没有错误", "{file} and `.env` hold no mistake";
        ConfigBad { n: usize } => "配置里有 {n} 处错误", "mistakes in the configuration: {n}";
        ModesFine { n: usize } => "{n} 个文件和目录只有你能读写", "only you can read and write what was looked at: {n} files and folders";
        ModesOpen { what: &'a str } => "别人也能读写：{what}", "others can read or write this: {what}";
        ModesForeign { what: &'a str } => "不属于你：{what}", "this is not yours: {what}";
        ModesRemedy { command: &'a str } => "运行 `{command}`", "run `{command}`";
        NoHome { home: &'a str } => "还没有 {home}", "there is no {home} yet";
        StartRemedy => "运行 `ally start`", "run `ally start`";
        DiskRoom { free: &'a str, path: &'a str } => "{path} 所在的盘还有 {free}", "{free} are free where {path} lies";
        DiskUnknown { why: &'a str } => "问不到剩余空间：{why}", "the free space cannot be asked for: {why}";
        DiskRemedy =>
            "腾出空间。满了就收不下消息：旧副本在 `backups`，旧日志在 `logs`",
            "make room. On a full disk no message is taken: old copies lie in `backups`, old logs in `logs`";
        // ---- what goes on
        DaemonRuns { version: &'a str, pid: u32 } => "在运行，版本 {version}，进程 {pid}", "it runs, version {version}, process {pid}";
        DaemonOther { version: &'a str, ours: &'a str } =>
            "在运行的是版本 {version}，这个程序是 {ours}", "version {version} runs, and this program is {ours}";
        DaemonOtherRemedy => "运行 `ally restart`，进行中的任务不停", "run `ally restart`; running tasks go on";
        DaemonStopped => "没有在运行，消息没有人收", "it does not run: nobody takes messages";
        DaemonStarting => "正在启动", "it is starting";
        DaemonDraining => "正在停止，不接新任务", "it is stopping and takes no new task";
        DaemonFailing { count: u32, last: &'a str } => "它退出了 {count} 次，没有能开始工作；最后一次：{last}", "deaths before it took work: {count}; the last: {last}";
        DaemonFailingRemedy =>
            "`ally logs` 里最后几行是原因；改好后运行 `ally restart`", "the last lines of `ally logs` are the cause; mend it, then run `ally restart`";
        DaemonSilent => "在运行，但没有回答", "it runs and does not answer";
        DaemonSilentRemedy => "运行 `ally restart`；原因在 `ally logs` 里", "run `ally restart`; the cause is in `ally logs`";
        WorkFine => "没有暂停，没有扣住，没有送不到的", "nothing is paused, held or undeliverable";
        WorkLocked => "所有者暂停了全部，新消息只排队", "the owner has paused everything; new messages only wait";
        WorkLockedRemedy => "运行 `ally unlock`，或者所有者在飞书里发 `/unlock`", "run `ally unlock`, or the owner sends `/unlock`";
        WorkRestored { turns: usize } =>
            "账本被换回过以前的一份，{turns} 个任务等着决定", "the ledger was put back to an earlier state; tasks that wait for a decision: {turns}";
        WorkRestoredRemedy => "运行 `ally restored`", "run `ally restored`";
        WorkUnsent { n: i64, age: &'a str, why: &'a str } =>
            "{n} 条消息还没发出，最早的 {age} 前（{why}）", "messages that wait to be sent: {n}, the oldest for {age} ({why})";
        WorkUnsentRemedy => "会自己再试；先看下面连接和权限的结果", "they are tried again by themselves; first see what stands below about the connection and rights";
        WorkUndeliverable { n: i64 } => "{n} 条消息飞书不收，没有送到", "messages that were refused for good: {n}";
        WorkUndeliverableRemedy => "`ally turns --undelivered` 列出它们，`ally turns show ID` 看全文", "`ally turns --undelivered` lists them, `ally turns show ID` has the whole text";
        LedgerFine { n: usize } => "{n} 项都成立", "all of it holds: {n} sentences";
        LedgerNone => "还没有账本", "there is no ledger yet";
        LedgerBroken { what: &'a str } => "不成立：{what}", "this does not hold: {what}";
        LedgerBrokenRemedy =>
            "别动这个文件。`ally doctor ledger` 列出是哪几行；`ally backup` 留一份，再报告",
            "leave the file as it is. `ally doctor ledger` lists the rows; keep a copy with `ally backup`, and report it";
        LedgerUnreadable { why: &'a str } => "读不了：{why}", "it cannot be read: {why}";
        LedgerUnreadableRemedy =>
            "留着这个文件，用 `backups` 里最新的一份代替它：`ally restore`", "keep the file, and put the newest copy of `backups` in its place: `ally restore`";
        RoutinesFine { n: usize } => "{n} 个定时任务都读得懂", "all can be read: {n}";
        RoutinesBroken { what: &'a str } => "没有照着做：{what}", "not done as written: {what}";
        RoutinesBrokenRemedy => "改好文件，用 `ally routine check 文件` 试", "mend the file, and try it with `ally routine check FILE`";
        // ---- the line to Feishu
        FeishuOn { app: &'a str, host: &'a str } => "应用 {app}，在 {host}", "app {app} at {host}";
        FeishuOff => "没有开：只有这台电脑的终端能用", "it is off: only the terminal of this computer can be used";
        FeishuOffRemedy { file: &'a str } =>
            "要用飞书：把 FEISHU_APP_ID 和 FEISHU_APP_SECRET 写进 {file}，再运行 `ally restart`",
            "to use it, put FEISHU_APP_ID and FEISHU_APP_SECRET into {file}, then run `ally restart`";
        Reached { ms: i64 } => "有回答，{ms} ms", "it answers, after {ms} ms";
        NotReached { host: &'a str, why: &'a str } => "连不上 {host}：{why}", "no way to {host}: {why}";
        ReachRemedy => "看这台电脑的网络，和 HTTPS_PROXY 要不要设", "look at the network of this computer, and whether HTTPS_PROXY has to be set";
        ReachProxyRemedy { proxy: &'a str } => "看这台电脑的网络，和代理 {proxy} 通不通", "look at the network of this computer, and whether the proxy {proxy} works";
        NotAnswer { host: &'a str, status: u32 } =>
            "{host} 回的不是飞书的回答（HTTP {status}）", "what {host} gives is no answer of Feishu's (HTTP status {status})";
        NotAnswerRemedy =>
            "多半是代理或网关的页面：核对 FEISHU_BASE_URL 和代理", "most likely a page of a proxy or gateway: check FEISHU_BASE_URL and the proxy";
        NotWithoutReach => "飞书没有回答，查不了", "it cannot be looked at: Feishu did not answer";
        NotWithoutLogin => "飞书不接受应用的凭证，查不了", "it cannot be looked at: Feishu does not accept the credentials";
        Refused { why: &'a str } => "飞书没有给：{why}", "Feishu does not tell: {why}";
        ClockFine { seconds: i64 } => "和飞书差 {seconds} 秒", "it differs from Feishu's by {seconds} s";
        ClockAhead { seconds: i64 } => "这台电脑的钟快 {seconds} 秒", "the clock of this computer is {seconds} s ahead";
        ClockBehind { seconds: i64 } => "这台电脑的钟慢 {seconds} 秒", "the clock of this computer is {seconds} s behind";
        ClockRemedy =>
            "打开系统的自动对时。差得多，消息会被当成旧的，定时任务会错时", "have the system set its clock by itself. A wrong one makes new messages look old, and routines run at wrong times";
        ClockUnknown => "飞书没有报时", "Feishu told no time";
        CredentialsFine => "飞书接受", "Feishu accepts them";
        CredentialsBad { code: i64 } => "飞书不接受 App ID 或 App Secret（{code}）", "Feishu does not accept the app id or the app secret ({code})";
        CredentialsRemedy { link: &'a str, file: &'a str } =>
            "打开 {link} 的“凭证与基础信息”，和 {file} 里的核对，再运行 `ally restart`。飞书的应用不能用在 Lark 的地址上，反过来也不行",
            "compare “Credentials & basic info” at {link} with {file}, then run `ally restart`. An app of Feishu does not work at Lark's address, nor the other way round";
        TwiceFine => "没有别的程序占着这个应用", "no other program was found that holds this app";
        TwiceFineHere => "别的 ally 没有占着这个应用；别的程序这里看不到", "no other ally holds this app; other programs cannot be seen here";
        TwiceHeld { pid: u32 } =>
            "另一个目录的 ally（进程 {pid}）占着这个应用", "the ally of another home (process {pid}) holds this app";
        TwiceHeldRemedy =>
            "两个连接会把消息随机分掉：停掉那一个（`ALLY_HOME=… ally stop`），或者给这里换一个应用",
            "two connections split the messages at random: stop the other one (`ALLY_HOME=… ally stop`), or give this home an app of its own";
        TwiceSuspected { what: &'a str } => "这些程序也知道这个应用，可能连着它：{what}", "these programs know this app, too, and may be connected to it: {what}";
        TwiceSuspectedRemedy =>
            "时不时有消息收不到的话，先停掉它们；找不到就重置 App Secret", "if messages go missing now and then, stop them first; where that cannot be done, reset the app secret";
        ConnectionLive { age: &'a str } => "连着，{age} 前有动静", "it is open; something came {age} ago";
        ConnectionFresh => "连着，还没有动静", "it is open; nothing has come yet";
        ConnectionQuiet { age: &'a str } => "连着，但 {age} 没有任何动静", "it is open, and nothing has come for {age}";
        ConnectionQuietRemedy =>
            "电脑刚睡醒的话等两分钟；再这样就运行 `ally restart`", "if the computer has just slept, wait two minutes; after that run `ally restart`";
        ConnectionBroken { why: &'a str } => "没有连上：{why}", "it is not open: {why}";
        ConnectionRemedy => "会一直自己再试；等两分钟，再看上面几项", "it is tried again by itself; wait two minutes, then look at the lines above";
        ConnectionRefusedRemedy { link: &'a str } =>
            "核对 {link} 里应用的状态和凭证；改好五分钟内自己连上", "check the state and the credentials of the app at {link}; five minutes after that it connects by itself";
        ConnectionOff => "ally 没有在运行，没有连接", "ally does not run, so there is no connection";
        ConnectionNew => "ally 启动后才开了飞书", "Feishu was switched on after ally was started";
        BotFine { name: &'a str } => "{name}，已启用", "{name}, enabled";
        BotMissing => "这个应用没有机器人能力", "the app has no bot";
        BotMissingRemedy { link: &'a str } =>
            "打开 {link} 的“添加应用能力”，加上机器人，再发布一个版本", "at {link}, “Add features”: add the bot, then publish a version";
        BotInit => "机器人还没有启用", "the bot was never enabled";
        BotDisabled => "机器人被企业停用了", "the organisation has disabled the bot";
        BotPending => "机器人装了，等管理员启用", "the bot is installed and waits to be enabled by an administrator";
        BotUpgrade => "机器人等管理员升级", "the bot waits for an upgrade by an administrator";
        BotExpired => "机器人的许可或套餐到期了", "the licence or the plan of the bot has ended";
        BotStateRemedy { link: &'a str } =>
            "请企业管理员在管理后台启用它；应用页：{link}", "have an administrator of the organisation enable it; the page of the app: {link}";
        OwnerFine { who: &'a str } => "所有者是 {who}", "the owner is {who}";
        OwnerNone => "这个机器人还没有所有者，谁都不能用", "nobody owns this bot, so nobody may use it";
        OwnerRemedy => "运行 `ally pair`，把码私聊发给机器人", "run `ally pair`, and send the code to the bot in a direct chat";
        VersionFine { version: &'a str } => "已发布 {version}", "{version} is published";
        VersionPending { version: &'a str } => "{version} 提交了，还没有生效", "{version} was handed in and is not in force yet";
        VersionPendingRemedy { link: &'a str } => "等企业管理员审核：{link}", "it waits for an administrator's review: {link}";
        VersionNone => "还没有发布过，什么都没有生效", "none was ever published, so nothing is in force";
        VersionRemedy { link: &'a str } =>
            "打开 {link} 的“版本管理与发布”，创建版本，选好可用范围，发布", "at {link}, “Version management & release”: create a version, choose who may see it, publish";
        RangeAll => "企业里所有人", "everybody in the organisation";
        RangeSome { who: &'a str } => "只对这些人开放：{who}。其他同事找不到这个机器人", "only for {who}; other colleagues do not find the bot";
        RangePeople { n: usize } => "{n} 个人", "people: {n}";
        RangeDepartments { n: usize } => "{n} 个部门", "departments: {n}";
        RangeGroups { n: usize } => "{n} 个用户组", "groups of people: {n}";
        RangeNobody => "应用的创建者", "its maker";
        RangeUntold => "飞书没有说谁能用", "Feishu does not tell who may use it";
        RangeOwnerOnly => "所有者能用；还有谁能用，看不到", "the owner may use it; who else may is not told";
        RangeNotOwner => "所有者不在名单里，机器人可能没法给所有者发消息", "the owner is not on the list, so the bot may be unable to write to the owner";
        RangeForbidden => "所有者在禁用名单里，用不了这个机器人", "the owner is on the list of those who may not use it, so the bot cannot be used";
        RangeRemedy { link: &'a str } =>
            "要改：打开 {link} 的“版本管理与发布”→“可用范围”，选好人，再发布一个版本",
            "to change it: at {link}, “Version management & release” → “Availability”: choose who, then publish a version";
        NeedsSelfManage => "应用没有读自己资料的权限，看不到", "the app may not read about itself, so this cannot be seen";
        NeedsSelfManageRemedy { link: &'a str } =>
            "要看到：加上 `application:application:self_manage`（{link}），再发布一个版本。不加也能用",
            "to see it, add `application:application:self_manage` ({link}) and publish a version. ally works without it";
        ScopesFine { n: usize } => "要用的 {n} 项都有", "all that are needed are there: {n}";
        ScopesMissing { what: &'a str } => "缺：{what}", "missing: {what}";
        ScopesLess { what: &'a str } => "要用的都有；没有这些，有的事做不到：{what}", "all that are needed are there; without these some things are not done: {what}";
        ScopesRemedy { link: &'a str } => "打开 {link} 加上，再发布一个版本", "add them at {link}, then publish a version";
        EventsFine => "消息和群的事件都订阅了", "messages and what happens to groups are subscribed to";
        EventsMissing { what: &'a str } => "没有订阅：{what}", "not subscribed to: {what}";
        EventsRemedy { link: &'a str } =>
            "ally 在运行时，打开 {link} 的“事件与回调”→“事件配置”：选长连接，保存，加上这些事件，再发布一个版本",
            "while ally runs, at {link}, “Events & callbacks” → “Event configuration”: choose long connection, save, add these events, then publish a version";
        CallbackFine => "`card.action.trigger` 走长连接", "`card.action.trigger` comes by the long connection";
        CallbackMissing => "没有订阅 `card.action.trigger`，按钮都按不动", "`card.action.trigger` is not subscribed to, so no button works";
        CallbackElsewhere { how: &'a str } => "按钮不走长连接（{how}），ally 收不到", "clicks do not come by the long connection ({how}), so ally never hears of them";
        CallbackUntold => "飞书没有说按钮怎么送", "Feishu does not tell how clicks are sent";
        CallbackRemedy { link: &'a str } =>
            "ally 在运行时，打开 {link} 的“事件与回调”→“回调配置”：选长连接，保存，加上 `card.action.trigger`，再发布一个版本",
            "while ally runs, at {link}, “Events & callbacks” → “Callback configuration”: choose long connection, save, add `card.action.trigger`, then publish a version";
        ClickSeen { age: &'a str } => "最近一次按按钮是 {age} 前，收到了", "the last click came {age} ago";
        ClickNever => "还没有收到过按按钮", "no click has come yet";
        ClickTryRemedy => "要试一次：`ally doctor feishu --press`", "to try it: `ally doctor feishu --press`";
        ClickCame => "卡片发出去了，按下也收到了", "the card was sent, and the click on it came back";
        ClickNotShown { why: &'a str } => "卡片没有发出去（{why}）", "the card was not sent ({why})";
        ClickNotShownRemedy => "先看上面的连接和权限", "first see what stands above about the connection and rights";
        ClickMissing { seconds: i64 } => "卡片发出去了，{seconds} 秒内没有收到按下", "the card was sent, and no click came within {seconds} s";
        ClickMissingRemedy { link: &'a str } =>
            "没有按就再来一次。按了而且飞书报错：打开 {link} 的“回调配置”，选长连接，加上 `card.action.trigger`，再发布一个版本",
            "if nobody pressed it, try again. If Feishu showed an error: at {link}, “Callback configuration”, choose long connection, add `card.action.trigger`, then publish a version";
        ClickNoOwner => "不知道卡片发给谁：所有者还没有和机器人私聊过", "there is nobody to send the card to: the owner has not written to the bot in a direct chat yet";
        ClickNoOwnerRemedy => "先和机器人私聊说一句话", "first say something to the bot in a direct chat";
        ClickNotRunning => "ally 没有在运行，没有人收", "ally does not run, so nobody would hear of it";
        PressAsk => "这是一次体检：按下面的「继续」", "This is a check-up: press Continue below";
        PressCame => "收到了，按钮可用", "It came back: buttons work";
        PressHere => "去飞书里和机器人的私聊，按卡片上的「继续」", "go to your direct chat with the bot in Feishu, and press Continue on the card";
        // ---- the runtime
        RuntimeEmbedded => "内置的演示运行时，没有沙箱，也不用登录", "the built-in player for demos: no sandbox, no account";
        ProgramFine { version: &'a str, program: &'a str } => "codex {version}，{program}", "codex {version} at {program}";
        ProgramOther { version: &'a str, pinned: &'a str } =>
            "codex {version}，不是测试过的 {pinned}", "codex {version}, which is not the tested {pinned}";
        ProgramOtherRemedy { pinned: &'a str } =>
            "有问题的话换成 `npm install -g @openai/codex@{pinned}`", "if something is odd, install the tested one: `npm install -g @openai/codex@{pinned}`";
        ProgramMissing { why: &'a str } => "没有找到 codex：{why}", "no codex was found: {why}";
        ProgramMissingRemedy { pinned: &'a str } =>
            "装好 Node.js，`ally start` 会自己装；或者 `npm install -g @openai/codex@{pinned}`，或者在 ally.toml 里写 `[runtime.codex] bin`",
            "install Node.js, and `ally start` gets it by itself; or `npm install -g @openai/codex@{pinned}`; or set `[runtime.codex] bin` in ally.toml";
        ProgramOld { found: &'a str } => "这个 codex 太旧，或者不是 codex：{found}", "this codex is too old, or none at all: {found}";
        NotWithoutProgram => "没有 codex，查不了", "it cannot be looked at without codex";
        StrictFine { file: &'a str } => "{file} 的每一项 codex 都认识", "codex knows every key in {file}";
        StrictUnknownKey { what: &'a str } => "codex 不认识其中一项，这一项不起作用：{what}", "codex does not know a key, which is therefore not in force: {what}";
        StrictRemedy { file: &'a str } => "改 {file}：改对这一项，或者删掉，再运行 `ally restart --all`", "in {file}, mend the key or remove it, then run `ally restart --all`";
        StrictBroken { what: &'a str } => "codex 读不了它的配置，不会启动：{what}", "codex cannot read its configuration and does not start: {what}";
        StrictUntried { why: &'a str } => "没有试成：{why}", "it could not be tried: {why}";
        WeakenedNot => "没有什么削弱 ally 给 codex 的限制", "nothing weakens what ally sends to codex";
        WeakenedRemedy { file: &'a str } => "从 {file} 里删掉，再运行 `ally restart --all`", "remove it from {file}, then run `ally restart --all`";
        WeakArgs { arg: &'a str } => "`[runtime.codex] args` 里的 `{arg}` 会盖过 ally 的限制", "`{arg}` in `[runtime.codex] args` overrides what ally sends";
        WeakProfile { name: &'a str } => "`permissions.{name}` 和 ally 用的同名，会混进去", "`permissions.{name}` has the name of one of ally's own and gets mixed into it";
        WeakServers { names: &'a str } => "MCP 服务在沙箱外以你的身份运行：{names}", "MCP servers run outside of the sandbox, as you: {names}";
        WeakNotify => "`notify` 的程序在沙箱外以你的身份运行", "the program of `notify` runs outside of the sandbox, as you";
        WeakHooks => "`hooks` 的程序在沙箱外以你的身份运行", "the programs of `hooks` run outside of the sandbox, as you";
        WeakVariable { name: &'a str } => "`shell_environment_policy.set.{name}` 看起来是密钥，命令都看得到", "`shell_environment_policy.set.{name}` looks like a secret, and every command sees it";
        WeakNoteRemedy { file: &'a str } => "不是有意的，就从 {file} 里删掉", "unless it is meant so, remove it from {file}";
        LoginFine => "已登录", "codex is signed in";
        LoginNotNeeded { provider: &'a str } => "模型服务 {provider} 不用登录", "the provider {provider} needs no sign-in";
        LoginKeyMissing { provider: &'a str, key: &'a str } =>
            "模型服务 {provider} 要环境变量 {key}，ally 不把它交给 codex", "the provider {provider} wants the variable {key}, which ally does not pass on to codex";
        LoginKeyRemedy => "用 `codex login` 登录，或者让模型服务不经环境变量拿密钥", "sign in with `codex login`, or have the provider get its key some other way";
        LoginMissing => "codex 没有登录，任务都会失败", "codex is not signed in, so every task fails";
        LoginRemedy { command: &'a str } => "运行 `{command}`", "run `{command}`";
        LoginUnknown { why: &'a str } => "问不到：{why}", "it cannot be asked: {why}";
        SandboxHolds { n: usize } => "{n} 条保证都试过，都做到了", "all that it promises was tried and holds: {n}";
        SandboxBroken { what: &'a str } => "没有做到：{what}", "it does not keep this: {what}";
        SandboxRemedy =>
            "`ally doctor security` 说明是哪些；在弄清之前用 `ally lock` 暂停", "`ally doctor security` tells what got through; until that is clear, `ally lock` pauses everything";
        SandboxUnknown { why: &'a str } => "无法确认：{why}", "it cannot be told: {why}";
        SandboxUntried => "没有试：这是在沙箱里或者不该开进程的地方", "it was not tried: no processes are started from here";
        SandboxTryRemedy => "请人在自己的终端里运行 `ally doctor runtime`", "ask a person to run `ally doctor runtime` in a terminal";
        SandboxNone => "没有沙箱：命令以你的身份运行", "there is no sandbox: commands run as you";
        ProcessReady { version: &'a str, generation: i64 } => "{version} 在运行，第 {generation} 个进程", "{version} runs, generation {generation}";
        ProcessStarting => "正在启动", "it is starting";
        ProcessDown { why: &'a str } => "起不来：{why}", "it does not come up: {why}";
        ProcessDownRemedy => "看上面 codex 的几项；会一直自己再试，原因在 `ally logs` 里", "see the lines above about codex; it is tried again by itself, and the cause is in `ally logs`";
        ProcessStuck { why: &'a str } => "卡住了：{why}", "it is stuck: {why}";
        ProcessStuckRemedy => "运行 `ally restart --all`", "run `ally restart --all`";
        ProcessOff => "ally 没有在运行，也就没有进程", "ally does not run, so there is none";
        // ---- one chat
        ChatNoId { id: &'a str } => "{id} 不是飞书聊天的 id，那种以 oc_ 开头", "{id} is no id of a Feishu chat, which begins with oc_";
        ChatNoIdRemedy => "在群设置里看“群 ID”，或者看 `ally audit` 里的 chat", "see the group's settings, or the chat in `ally audit --json`";
        InChat { name: &'a str } => "在「{name}」里", "it is in “{name}”";
        InDirect => "这是和机器人的私聊", "this is a direct chat with the bot";
        NotInChat => "机器人不在这个群里", "the bot is not in this group";
        NotInChatRemedy => "请群里的人把机器人加进来", "have somebody of the group add the bot";
        ChatGone => "飞书不认识这个聊天，或者它已经解散", "Feishu does not know this chat, or it was disbanded";
        ChatGoneRemedy => "核对 id；解散的群回不来", "check the id; what was disbanded does not come back";
        OutsidersNone => "没有外部人员", "nobody from outside is in it";
        OutsidersIn => "有外部人员：不能从聊天里开通", "people of other companies are in it: it cannot be opened from the chat";
        OutsidersRemedy { chat: &'a str } =>
            "确实要开通：在 ally.toml 的 [access] chats 里加上 {chat}，再运行 `ally restart`", "if it is to be opened all the same: add {chat} to [access] chats in ally.toml, then run `ally restart`";
        OutsidersUnknown => "飞书没有说有没有外部人员", "Feishu does not tell whether people from outside are in it";
        OpenedGroup => "已开通，群里的人都能用", "it is open: everybody in it may talk to ally";
        OpenedNot => "没有开通，只有点过名的人能用", "it is not opened: only people who were named may talk to ally here";
        OpenedNotRemedy => "所有者或管理员在群里 @ 机器人，单独发 `/allow`", "the owner or an admin mentions the bot in it with `/allow` alone";
        OpenedDirect => "私聊不用开通，看人", "a direct chat needs no opening; the person counts";
        PersonOwner { who: &'a str } => "{who} 是所有者", "{who} is the owner";
        PersonAdmin { who: &'a str } => "{who} 是管理员", "{who} is an admin";
        PersonApprover { who: &'a str } => "{who} 是这里的审批人", "{who} approves here";
        PersonUser { who: &'a str } => "{who} 被允许用 ally", "{who} was allowed to talk to ally";
        PersonMember { who: &'a str } => "{who} 在开通的群里", "{who} is in a group that is open";
        PersonMaybeOutside { who: &'a str } =>
            "群里有外部人员：{who} 如果是外部人员，说的都不看；是不是，只有 {who} 自己的消息知道",
            "people of other companies are in this group: if {who} is one, nothing of theirs is taken; only their own messages tell";
        PersonNotThere { who: &'a str } => "群里没有看到 {who}", "{who} was not seen in the group";
        PersonNotThereRemedy => "核对 `--user` 后面的 id（ou_…）；大群只看了前面的成员", "check the id behind `--user` (ou_…); of a large group only the first members were looked at";
        PersonStranger { who: &'a str } => "{who} 没有被允许", "{who} was not allowed";
        PersonRemedy { who: &'a str } =>
            "所有者或管理员发 `/allow @{who}`，或者在 ally.toml 的 [access] users 里加上", "the owner or an admin sends `/allow @{who}`, or adds the id to [access] users in ally.toml";
        PersonUntold => "没有说是谁", "it was not said who";
        PersonUntoldRemedy => "加上 `--user ou_…`", "add `--user ou_…`";
        HeardDirect { who: &'a str } => "{who} 在这里说的都会收下", "whatever {who} says here is taken";
        HeardMention { who: &'a str } =>
            "{who} @ 了机器人的消息会收下；没有 @ 的不看，这是有意的", "messages of {who} that mention the bot are taken; those that do not are ignored on purpose";
        HeardAnybody => "谁 @ 了机器人都会收下；没有 @ 的不看，这是有意的", "whoever mentions the bot is heard; what does not mention it is ignored on purpose";
        HeardNamed => "点过名的人 @ 了机器人才收下；别人只得到一句话，一天一次", "people who were named are heard when they mention the bot; others get one sentence a day";
        HeardStranger { who: &'a str } =>
            "{who} 的消息不收：没有被允许。一天告诉一次找谁", "messages of {who} are ignored: nobody allowed it. Once a day it is said whom to ask";
        HeardOutsider { who: &'a str } => "{who} 是别的公司的，消息不收，也不回", "messages of {who}, who is from another company, are ignored without a word";
        HeardNotThere => "不会收到：机器人不在这里", "none arrives: the bot is not there";
        HeardPaused => "会收下，但所有者暂停了全部，不会开始", "they are taken, and nothing is begun: the owner has paused everything";
    }
}

/// What a check looks at.
pub fn check(check: Check, lang: Lang) -> &'static str {
    let (zh, en) = match check {
        Check::Config => ("配置", "configuration"),
        Check::Modes => ("文件权限", "file modes"),
        Check::Disk => ("磁盘", "disk"),
        Check::Daemon => ("ally 在运行", "ally runs"),
        Check::Work => ("任务和发件箱", "tasks and outbox"),
        Check::Ledger => ("账本", "ledger"),
        Check::Routines => ("定时任务", "routines"),
        Check::Feishu => ("飞书", "Feishu"),
        Check::Reach => ("连到飞书", "way to Feishu"),
        Check::Clock => ("时钟", "clock"),
        Check::Credentials => ("应用凭证", "credentials"),
        Check::Twice => ("只有一个连接", "one connection only"),
        Check::Connection => ("长连接", "long connection"),
        Check::Bot => ("机器人", "bot"),
        Check::Owner => ("所有者", "owner"),
        Check::Version => ("发布的版本", "published version"),
        Check::Range => ("可用范围", "availability range"),
        Check::Scopes => ("权限", "rights"),
        Check::Events => ("事件", "events"),
        Check::Callback => ("按钮的回调", "callback of buttons"),
        Check::Click => ("按一次按钮", "a click and back"),
        Check::Program => ("codex 程序", "codex"),
        Check::Strict => ("codex 的配置", "codex's configuration"),
        Check::Weakened => ("对 codex 的限制", "limits on codex"),
        Check::Login => ("codex 登录", "codex's sign-in"),
        Check::Sandbox => ("沙箱", "sandbox"),
        Check::Process => ("运行时进程", "runtime process"),
        Check::InChat => ("机器人在聊天里", "bot in the chat"),
        Check::Outsiders => ("外部人员", "people from outside"),
        Check::Opened => ("开通", "opened"),
        Check::Person => ("这个人", "the person"),
        Check::Heard => ("消息收不收", "what becomes of a message"),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// What cannot be done without a right of the platform.
pub fn without_scope(scope: &str, lang: Lang) -> &'static str {
    let (zh, en) = match scope {
        "im:message.p2p_msg:readonly" => ("收不到私聊", "direct messages do not arrive"),
        "im:message.group_at_msg:readonly" => ("收不到群里的 @", "mentions in groups do not arrive"),
        "im:message:send_as_bot" => ("发不出答案和卡片", "no answers, no cards"),
        "im:message:readonly" => ("读不到引用和附件", "quotes and attachments cannot be read"),
        "im:message:update" => ("卡片不会更新", "cards stay as they were first shown"),
        "im:message.reactions:write_only" => ("没有表情回执", "no reactions as receipts"),
        "im:message.reactions:read" => ("崩溃后旧表情去不掉", "after a crash old reactions stay"),
        "im:resource" => ("发不出文件", "no files out"),
        "im:chat:read" => ("看不到群名和解散", "no names of groups, and disbanding is not heard of"),
        "im:chat.members:bot_access" => ("不知道被加进或移出群", "joining and leaving a group is not heard of"),
        "im:message.group_msg" => (
            "读不到群里别人的消息，要管理员审批",
            "what others say in groups cannot be read; an administrator has to approve it",
        ),
        "contact:user.basic_profile:readonly" => ("只看到 id，没有姓名", "ids instead of names"),
        "application:application:self_manage" => {
            ("查不了版本、事件和回调", "version, events and callback cannot be looked at")
        }
        _ => ("有的事做不到", "some things are not done"),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::rules;

    #[test]
    fn names_of_checks_keep_the_rules() {
        for lang in [Lang::Zh, Lang::En] {
            for one in Check::ALL {
                rules::check(one.id(), check(*one, lang), lang);
            }
        }
    }
}
