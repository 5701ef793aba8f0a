//! What is wrong with a channel's line, for `ally status`. Always in both languages: an adapter knows none.

use crate::domain::view::{Both, Lang};

super::messages! {
    /// What is wrong with the line to Feishu, and what becomes of it.
    ChannelMsg {
        /// `why` is the system's own word for it.
        LineBroke { why: &'a str } =>
            "长连接断了，正在自己重连；这段时间的消息飞书会再次送来（{why}）",
            "The long connection broke and is opened again by itself; what was sent meanwhile is delivered again ({why})";
        LineClosed =>
            "飞书关掉了长连接，正在自己重连；这段时间的消息飞书会再次送来",
            "Feishu closed the long connection; it is opened again by itself, and what was sent meanwhile is delivered again";
        LineSilent =>
            "长连接没有任何动静，当作断了，正在自己重连；这段时间的消息飞书会再次送来",
            "The long connection fell silent and is taken for dead; it is opened again by itself, and what was sent meanwhile is delivered again";
        MachineSlept =>
            "电脑刚睡过，正在自己重连；这段时间的消息飞书会再次送来",
            "The computer slept; the long connection is opened again by itself, and what was sent meanwhile is delivered again";
        Unreached { why: &'a str } =>
            "连不上飞书，会一直自己再试。看这台电脑的网络和代理（{why}）",
            "Feishu cannot be reached; it is tried again by itself. Look at this computer's network and proxy ({why})";
        AppNotEnabled { code: i64 } =>
            "飞书不让这个应用连接（代码 {code}），五分钟后自己再试。在开发者后台看应用是否启用",
            "Feishu does not let this app connect (code {code}); it is tried again in five minutes. Look in the developer console whether the app is enabled";
        WrongCredentials { code: i64 } =>
            "飞书不接受应用的 App ID 或 App Secret（代码 {code}），五分钟后自己再试。核对这两项，并看应用是否已发布、事件是否用长连接接收",
            "Feishu does not accept the app id or the app secret (code {code}); it is tried again in five minutes. Check both, and that the app is published with the long connection as its way of getting events";
        TooManyConnections { code: i64 } =>
            "这个应用的长连接太多（最多 50 个，代码 {code}），五分钟后自己再试。停掉别的用这个应用的程序",
            "The app has too many long connections (50 are allowed, code {code}); it is tried again in five minutes. Stop the other programs that use this app";
        ConnectionRefused { code: i64 } =>
            "飞书拒绝了长连接（代码 {code}），五分钟后自己再试。在开发者后台看应用的状态",
            "Feishu refuses the long connection (code {code}); it is tried again in five minutes. Look in the developer console at the state of the app";
        CheckCredentials { code: i64 } =>
            "飞书不接受应用的 App ID 或 App Secret（代码 {code}），要发的都等着，会一直自己再试。核对 `.env` 里的这两项，再运行 `ally restart`",
            "Feishu does not accept the app id or the app secret (code {code}); what is to be sent waits and is tried again by itself. Check both in `.env`, then run `ally restart`";
        CheckApp { code: i64 } =>
            "飞书不让应用做这件事（代码 {code}），要发的都等着，会一直自己再试。在开发者后台看应用的状态、权限和 IP 白名单，再发布一个版本",
            "Feishu does not let the app do this (code {code}); what is to be sent waits and is tried again by itself. Look at the app's state, rights and IP list in the developer console, and publish a version";
        QuotaUsed { code: i64 } =>
            "这个月的飞书调用额度用完了（代码 {code}），要发的都等着，每小时自己再试",
            "This month's quota of Feishu calls is used up (code {code}); what is to be sent waits and is tried again every hour";
        BotUnknown { why: &'a str } =>
            "还不知道机器人是谁，群里的消息先等着；会自己再问（{why}）",
            "Group messages wait until it is known who the bot is; asked again by itself ({why})";
        BotUnnamed =>
            "飞书没有给出机器人，群里的消息先等着；会自己再问。看应用是否开了机器人能力、是否已发布",
            "Group messages wait: Feishu names no bot. Asked again by itself; look whether the app has the bot feature and is published";
    }
}

/// A sentence in both languages.
pub fn both(msg: ChannelMsg<'_>) -> Both {
    Both { zh: msg.text(Lang::Zh), en: msg.text(Lang::En) }
}
