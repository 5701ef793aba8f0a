//! What `ally bench` measures, and what came of it. Figures that need no words are not here.

use crate::domain::view::{Both, Lang};

super::messages! {
    /// A row of `ally bench`.
    BenchMsg {
        AckWhat =>
            "收到事件 → 确认，每秒 200 个事件",
            "event frame → ack frame, 200 events/s";
        AckMeasured { p50: f64, r50: f64, p99: f64, r99: f64, max: f64, missing: usize } =>
            "p50 {p50:.2} ms = {r50:.2} 次提交，p99 {p99:.2} ms = {r99:.2} 次提交，最长 {max:.1} ms，{missing} 个没有确认",
            "p50 {p50:.2} ms = {r50:.2} commits, p99 {p99:.2} ms = {r99:.2} commits, longest {max:.1} ms, {missing} missing";
        AckTarget =>
            "p50 ≤ 2 次提交，p99 ≤ 3 次提交，每个都 < 1 s",
            "p50 ≤ 2 commits, p99 ≤ 3 commits, always < 1 s";
        ToStartWhat =>
            "收到事件 → 写出 turn/start，会话已载入，空闲",
            "event frame → turn/start line, thread loaded, idle";
        ToStartTarget { p50: f64, p99: f64 } =>
            "p50 ≤ 5 ms + 3 次提交 = {p50:.1} ms，p99 ≤ 20 ms + 3 次提交 = {p99:.1} ms",
            "5 ms + 3 commits = {p50:.1} ms p50, 20 ms + 3 commits = {p99:.1} ms p99";
        ToSendWhat =>
            "turn/completed → 发出回答的请求",
            "turn/completed → answer request sent";
        ToSendMeasured { p50: f64, pull: f64 } =>
            "p50 {p50:.1} ms，其中读回历史 {pull:.1} ms",
            "p50 {p50:.1} ms, of which the pull {pull:.1} ms";
        ToSendTarget { most: f64 } =>
            "p50 ≤ 10 ms + 1 次提交 + 1 次读回 = {most:.1} ms",
            "10 ms + 1 commit + 1 pull = {most:.1} ms p50";
        AnswerWhat =>
            "消息 → 看到回答，真的 codex，模型立刻回答",
            "message → answer visible, real codex, model answering at once";
        AnswerMeasured { whole: f64, codex: f64, rest: f64 } =>
            "p50 {whole:.1} ms；codex 自己 {codex:.1} ms，其余 {rest:.1} ms",
            "p50 {whole:.1} ms; codex alone {codex:.1} ms, ally beside it {rest:.1} ms";
        AnswerTarget { most: f64 } =>
            "codex 之外 p50 ≤ 15 ms + 4 次提交 + 1 次读回 = {most:.1} ms",
            "codex alone + 15 ms + 4 commits + 1 pull: ally ≤ {most:.1} ms p50";
        CodexNotFound =>
            "没有找到 codex：`./ally.sh test` 会装上",
            "codex was not found: `./ally.sh test` installs it";
        NotInLog { found: usize, asked: usize } =>
            "{asked} 个任务里，日志只有 {found} 个的全程：是不是哪一行换了说法",
            "the log shows the whole way of {found} turns out of {asked}: has a line another text now?";
        MemoryWhat =>
            "bridge 的常驻内存，空闲，一个渠道",
            "resident memory of the bridge, idle, one channel";
        MemoryMeasured { anonymous: f64, resident: f64, their_anonymous: f64, their_resident: f64 } =>
            "RssAnon {anonymous:.1} MB，VmRSS {resident:.1} MB；supervisor 是 {their_anonymous:.1} 和 {their_resident:.1} MB",
            "RssAnon {anonymous:.1} MB, VmRSS {resident:.1} MB; supervisor {their_anonymous:.1} and {their_resident:.1} MB";
        IdleWhat =>
            "空闲时的处理器，bridge 和 supervisor",
            "processor while idle, bridge and supervisor";
        IdleMeasured { share: f64 } => "一个核的 {share:.3} %", "{share:.3} % of a core";
        IdleTarget => "≤ 一个核的 0.05 %", "≤ 0.05 % of a core";
        ConversationsWhat => "同上，有 1,000 个会话", "the same with 1,000 conversations";
        ConversationsMeasured { more: f64, chats: usize, resident: f64 } =>
            "{chats} 个会话多 {more:.1} MB：VmRSS {resident:.1} MB",
            "+ {more:.1} MB for {chats}: VmRSS {resident:.1} MB";
        CommandWhat =>
            "每秒 200 条简单命令（/whoami）的处理器，含回答",
            "processor for a cheap command (/whoami) at 200/s, its answer included";
        CommandMeasured { each: f64, count: i64 } =>
            "每条 {each:.2} ms，共 {count} 条",
            "{each:.2} ms each, {count} commands";
        LargeStartWhat =>
            "启动 → 就绪，账本有 100,000 个任务，50 个没完，不算代理",
            "start → ready, ledger of 100,000 turns, 50 unsettled, runtime not counted";
        ConnectionWhat => "进程启动 → 长连接打开", "process start → long connection open";
        StartMeasured { p50: f64, starts: usize, max: f64 } =>
            "p50 {p50:.0} ms，{starts} 次里最长 {max:.0} ms",
            "p50 {p50:.0} ms, longest of {starts}: {max:.0} ms";
        GrowthWhat =>
            "账本从一千到一百万个任务，一条消息的工作量的增长",
            "growth of a message's work from 1 thousand to 1 million turns";
        GrowthMeasured { steps: &'a str, pages: &'a str, wall: &'a str } =>
            "步数 {steps}，页数 {pages}，用时 p50 {wall}",
            "steps {steps}, pages {pages}, wall p50 {wall}";
        GrowthTarget =>
            "步数和页数 ± 10 %，用时 p50 ≤ 1.3 ×",
            "steps and pages ± 10 %, wall p50 ≤ 1.3 ×";
        NothingFilled => "没有填好任何账本", "no ledger was filled";
        ForgetWhat =>
            "忘记：最大的账本上，一步 100 个任务",
            "forgetting: one step of 100 turns on the largest ledger";
        ForgetMeasured { p50: f64, p99: f64, max: f64, pages: f64, steps: f64 } =>
            "p50 {p50:.1} ms，p99 {p99:.1} ms，最长 {max:.1} ms；每步 {pages:.0} 页，共 {steps:.0} 步",
            "p50 {p50:.1} ms, p99 {p99:.1} ms, longest {max:.1} ms; {pages:.0} pages each, {steps:.0} steps";
        BurstWhat =>
            "5 个聊天里同时来 20 条消息，平台限速开着",
            "20 messages at once over 5 chats, platform limits on";
        BurstMeasured { once: usize, seconds: f64 } =>
            "{once} 条正好回答一次，都在 {seconds:.1} s 之内",
            "{once} answered exactly once, all within {seconds:.1} s";
        BurstTarget => "每次都是 20 个回答", "20 answers every time";
        CallsWhat =>
            "60 s、40 次工具调用的任务的飞书调用数",
            "Feishu calls of a 60 s turn with 40 tool calls";
        CallsMeasured { calls: usize, seconds: f64, fastest: usize } =>
            "{seconds:.0} s 里 {calls} 次，一秒里最多 {fastest} 次",
            "{calls} calls in {seconds:.0} s, at most {fastest} in a second";
        CallsTarget =>
            "≤ 45 次，一个聊天里一秒不超过 4 次",
            "≤ 45, never above 4/s in a chat";
        LoadWhat =>
            "每秒 200 个事件，持续 60 s，1,000 个会话，100 个任务并行",
            "200 events/s for 60 s, 1,000 conversations, 100 parallel turns";
        LoadMeasured {
            events: usize, gone: usize, doubled: usize, settled: f64, waiting: usize, p99: f64, max: f64, late: usize, resident: f64,
        } =>
            "{events} 个事件，{gone} 个没有下文，{doubled} 个答了两次；{settled:.0} s 后任务全部结束，还有 {waiting} 个回答在等平台的速度；\
             确认 p99 {p99:.0} ms，最长 {max:.0} ms，{late} 个晚了、被拒或没有；{resident:.0} MB",
            "{events} events, {gone} without an answer, {doubled} answered twice; all turns settled after {settled:.0} s, \
             {waiting} answers still wait for the platform's pace; acks p99 {p99:.0} ms, longest {max:.0} ms, {late} late, refused or \
             missing; {resident:.0} MB";
        LoadTarget =>
            "没有下文的 0 个，答了两次的 0 个，确认 < 1 s",
            "0 without an answer, 0 answered twice, acks < 1 s";
        SoakAnswersWhat => "长时间运行中的回答", "answers during a long time";
        SoakAnswersMeasured { most: usize, left: usize } =>
            "每次看时最多 {most} 条在等回答，最后 {left} 条没有",
            "at most {most} messages waited for theirs at a look, {left} have none at the end";
        SoakAnswersTarget { most: usize } =>
            "每次 ≤ {most} 条，最后一条不剩",
            "≤ {most} at each look, none at the end";
        SoakWhat => "长时间运行中的增长", "growth during a long time";
        SoakTooShort { looks: usize, enough: usize } =>
            "只看了 {looks} 次，要 {enough} 次：时间长一些",
            "{looks} looks, {enough} are needed: soak for longer";
        SoakMemoryWhat =>
            "bridge 的内存，最后三分之一比最初三分之一",
            "memory of the bridge, the last third beside the first";
        SoakDescriptorsWhat =>
            "bridge 的文件描述符，最后三分之一比最初三分之一",
            "descriptors of the bridge, the last third beside the first";
        SoakDescriptorsMeasured { before: usize, after: usize } =>
            "最多 {before} → {after}",
            "at most {before} → {after}";
        SoakHead =>
            "| 秒 | VmRSS MB | RssAnon MB | 描述符 | supervisor MB | 消息 | 没有回答 |",
            "| s | VmRSS MB | RssAnon MB | fds | supervisor MB | messages | unanswered |";
        NotMeasured { why: &'a str } => "没有测：{why}", "not measured: {why}";
    }
}

/// A sentence in both languages.
pub fn both_of_bench(msg: BenchMsg<'_>) -> Both {
    Both { zh: msg.text(Lang::Zh), en: msg.text(Lang::En) }
}
