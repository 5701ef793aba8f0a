//! The directive language of the scripted model: what a message says is what happens.
//!
//! | directive | what the model does |
//! |---|---|
//! | `[[say TEXT]]` | writes TEXT |
//! | `[[stream N MS]]` | writes N words, MS milliseconds apart |
//! | `[[shell CMD]]` | runs CMD |
//! | `[[escalate CMD]]` | asks to run CMD outside the sandbox |
//! | `[[permit network]]` | asks for the network for the rest of the task |
//! | `[[permit read PATH]]`, `[[permit write PATH]]` | asks for a path for the rest of the task |
//! | `[[request CMD]]` | runs CMD in the sandbox; the `embedded` runtime asks before it does |
//! | `[[patch FILE TEXT]]` | creates FILE with TEXT |
//! | `[[tool SERVER.NAME {…}]]` | calls a tool of an MCP server with these arguments |
//! | `[[also]]` | calls the next tool together with the one before |
//! | `[[ask QUESTION\|A\|B]]` | asks a person |
//! | `[[form Q1\|A\|B; Q2; Q3]]` | asks several things at once |
//! | `[[secret QUESTION]]` | asks for something that must not be shown |
//! | `[[sleep MS]]` | does nothing for a while |
//! | `[[fail 500]]`, `[[http 401]]` | the model service answers with this status |
//! | `[[usage_limit]]` | the account's limit is used up |
//! | `[[context_full]]` | the conversation is too long, unless it has been compacted |
//! | `[[compacting MS]]` | compacting the conversation takes this long from now on |
//! | `[[hang]]` | never answers |
//! | `[[cut]]` | breaks the stream off before its end |
//!
//! Quoted blocks (fenced with four or more tildes, as ally writes them) are context and are never played.

use crate::domain::view::Lang;

/// Longest pause of one directive.
const MAX_MS: u64 = 3_600_000;
/// Most words of one stream.
const MAX_WORDS: u32 = 100_000;

/// One thing that the model shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    Say(String),
    Stream {
        words: u32,
        every_ms: u64,
    },
    Sleep(u64),
    Shell(String),
    /// A command that wants to leave the sandbox.
    Escalate(String),
    /// More rights for the rest of the turn.
    Permit(Right),
    /// A command that is asked about although it stays inside.
    Request(String),
    Patch {
        file: String,
        text: String,
    },
    Ask {
        question: String,
        options: Vec<String>,
    },
    Secret(String),
    /// A tool of an MCP server, with its arguments as JSON.
    Tool {
        server: String,
        tool: String,
        arguments: String,
    },
    /// Questions with their options.
    Form(Vec<(String, Vec<String>)>),
    /// The next tool is called together with the one before.
    Also,
    /// The model service refuses with this status.
    Http(u16),
    UsageLimit,
    /// The conversation is too long for the model.
    ContextFull,
    /// How long a compaction of the conversation takes; nothing happens now.
    Compacting(u64),
    Hang,
    Cut,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    Network,
    Read(String),
    Write(String),
}

impl Directive {
    /// Something whose result the model waits for.
    pub fn is_tool(&self) -> bool {
        use Directive::*;
        matches!(
            self,
            Shell(_)
                | Escalate(_)
                | Request(_)
                | Permit(_)
                | Patch { .. }
                | Ask { .. }
                | Secret(_)
                | Form(_)
                | Tool { .. }
        )
    }

    /// Ends the script: nothing after it is played.
    pub fn is_fault(&self) -> bool {
        use Directive::*;
        matches!(self, Http(_) | UsageLimit | ContextFull | Hang | Cut)
    }
}

/// One answer of the model: what it writes, then at most one tool or fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `say`, `stream` and `sleep`, in order.
    pub before: Vec<Directive>,
    /// The tool or fault that ends this answer; `None` in the last one.
    pub act: Option<Directive>,
    /// Tools that are called together with it.
    pub also: Vec<Directive>,
}

/// All directives of a message, in order. Unknown ones are plain words.
pub fn parse(text: &str) -> Vec<Directive> {
    let text = without_quotes(text);
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some(open) = rest.find("[[") {
        let inner = &rest[open + 2..];
        let Some(close) = closing(inner) else {
            rest = inner;
            continue;
        };
        match directive(&inner[..close]) {
            Some(directive) => {
                found.push(directive);
                rest = &inner[close + 2..];
            }
            None => rest = inner,
        }
    }
    found
}

/// The model's answers to a message, one a tool and a last one. Never empty.
pub fn steps(text: &str) -> Vec<Step> {
    let directives = parse(text);
    if directives.is_empty() {
        return vec![Step { before: vec![Directive::Say(small_talk(text))], act: None, also: Vec::new() }];
    }
    let mut steps = Vec::new();
    let mut before = Vec::new();
    let mut together = false;
    for directive in directives {
        if directive.is_fault() {
            steps.push(Step { before, act: Some(directive), also: Vec::new() });
            return steps;
        }
        if directive == Directive::Also {
            together = true;
        } else if directive.is_tool() {
            match steps.last_mut().filter(|_| std::mem::take(&mut together) && before.is_empty()) {
                Some(last) => last.also.push(directive),
                None => {
                    steps.push(Step { before: std::mem::take(&mut before), act: Some(directive), also: Vec::new() })
                }
            }
        } else {
            before.push(directive);
        }
    }
    if !before.iter().any(|directive| !matches!(directive, Directive::Sleep(_) | Directive::Compacting(_))) {
        let text = match language(text) {
            Lang::Zh => "完成。",
            Lang::En => "Done.",
        };
        before.push(Directive::Say(text.to_owned()));
    }
    steps.push(Step { before, act: None, also: Vec::new() });
    steps
}

/// The same message in a conversation that was compacted: there is room.
pub fn with_room(text: &str) -> String {
    text.replace("[[context_full]]", "")
}

/// How long a compaction of a conversation with these messages takes.
pub fn compacting_ms<'a>(messages: impl DoubleEndedIterator<Item = &'a str>) -> u64 {
    let said = |directive: Directive| if let Directive::Compacting(ms) = directive { Some(ms) } else { None };
    messages.rev().flat_map(parse).find_map(said).unwrap_or(0)
}

/// What a compaction leaves of a conversation.
pub const SUMMARY: &str = "What was said before, in short.";

/// The words of `[[stream N MS]]`.
pub fn word(number: u32) -> String {
    format!("w{number} ")
}

/// The language that a text is written in; the sender's name, which ally puts before it, does not count.
pub fn language(text: &str) -> Lang {
    let text = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("Message from ") => rest,
        _ => text,
    };
    if text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)) { Lang::Zh } else { Lang::En }
}

/// What the model says when it is told nothing to do.
pub fn small_talk(text: &str) -> String {
    let text = without_quotes(text);
    let lang = language(&text);
    let said = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let heard: String = said.chars().take(200).collect();
    let word = said.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let greets = ["hello", "hi", "hey", "你好", "您好", "嗨"]
        .iter()
        .any(|hello| word == *hello || word.strip_prefix(hello).is_some_and(|rest| rest.starts_with([' ', ',', '，'])));
    match (lang, greets) {
        (Lang::En, true) => {
            "Hello! I am the scripted model of the ally demo: no network, no account. I do what double brackets say. \
             Try `[[shell ls]]`, or `[[ask Tea or coffee?|Tea|Coffee]]`."
                .to_owned()
        }
        (Lang::Zh, true) => "你好！我是 ally 演示用的脚本模型：不联网，也不需要账号。双方括号里写什么，我就做什么。\
                             试试 `[[shell ls]]`，或者 `[[ask 喝茶还是咖啡？|茶|咖啡]]`。"
            .to_owned(),
        (Lang::En, false) => format!(
            "You said: “{heard}”. I am only a script, but I can act: `[[shell ls]]` runs a command, `[[escalate …]]` asks \
             you first, `[[patch notes.txt hello]]` writes a file, `[[ask Which?|A|B]]` asks a question."
        ),
        (Lang::Zh, false) => format!(
            "你说：“{heard}”。我只是个脚本，但能动手：`[[shell ls]]` 运行命令，`[[escalate …]]` 会先征求同意，\
             `[[patch notes.txt 你好]]` 写文件，`[[ask 选哪个？|A|B]]` 提问。"
        ),
    }
}

/// The text without the blocks that ally fences with tildes.
fn without_quotes(text: &str) -> String {
    let mut fence: Option<&str> = None;
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        let is_fence = bare.len() >= 4 && bare.bytes().all(|b| b == b'~');
        match fence {
            Some(open) if bare == open => fence = None,
            Some(_) => {}
            None if is_fence => fence = Some(bare),
            None => kept.push_str(line),
        }
    }
    kept
}

/// Where the directive closes; brackets inside it (`[[ -f x ]]` of a shell) are balanced.
fn closing(inner: &str) -> Option<usize> {
    let mut depth = 0u32;
    let mut at = 0;
    while at < inner.len() {
        let rest = &inner[at..];
        if rest.starts_with("[[") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("]]") {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
            at += 2;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    inner.find("]]")
}

fn directive(inner: &str) -> Option<Directive> {
    let inner = inner.trim();
    let (name, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    let rest = rest.trim();
    let text = || (!rest.is_empty()).then(|| rest.to_owned());
    Some(match name {
        "say" => Directive::Say(text()?),
        "stream" => {
            let (words, every_ms) = rest.split_once(char::is_whitespace).unwrap_or((rest, "0"));
            let every_ms: u64 = every_ms.trim().parse().ok()?;
            Directive::Stream { words: words.parse::<u32>().ok()?.min(MAX_WORDS), every_ms: every_ms.min(MAX_MS) }
        }
        "sleep" => Directive::Sleep(rest.parse::<u64>().ok()?.min(MAX_MS)),
        "shell" => Directive::Shell(text()?),
        "escalate" => Directive::Escalate(text()?),
        "permit" => Directive::Permit(match rest.split_once(char::is_whitespace) {
            None if rest == "network" => Right::Network,
            Some(("read", path)) => Right::Read(path.trim().to_owned()),
            Some(("write", path)) => Right::Write(path.trim().to_owned()),
            _ => return None,
        }),
        "request" => Directive::Request(text()?),
        "patch" => {
            let (file, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            if file.is_empty() {
                return None;
            }
            Directive::Patch { file: file.to_owned(), text: text.trim().to_owned() }
        }
        "ask" => {
            let mut parts = rest.split('|').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
            Directive::Ask { question: parts.next()?, options: parts.collect() }
        }
        "secret" => Directive::Secret(text()?),
        "tool" => {
            let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, "{}"));
            let (server, tool) =
                name.split_once('.').filter(|(server, tool)| !server.is_empty() && !tool.is_empty())?;
            Directive::Tool { server: server.to_owned(), tool: tool.to_owned(), arguments: arguments.trim().to_owned() }
        }
        "also" => Directive::Also,
        "form" => {
            let question = |text: &str| {
                let mut parts = text.split('|').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
                Some((parts.next()?, parts.collect()))
            };
            Directive::Form(rest.split(';').map(question).collect::<Option<_>>()?)
        }
        "fail" if rest.is_empty() => Directive::Http(500),
        "fail" | "http" => Directive::Http(rest.parse().ok().filter(|code| (400..600).contains(code))?),
        "usage_limit" => Directive::UsageLimit,
        "context_full" => Directive::ContextFull,
        "compacting" => Directive::Compacting(rest.parse::<u64>().ok()?.min(MAX_MS)),
        "hang" => Directive::Hang,
        "cut" => Directive::Cut,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Directive::*;
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn every_directive_is_read() {
        for (input, want) in [
            ("[[say hi there]]", Some(Say(text("hi there")))),
            ("[[stream 3 20]]", Some(Stream { words: 3, every_ms: 20 })),
            ("[[stream 3]]", Some(Stream { words: 3, every_ms: 0 })),
            ("[[shell echo hi > f]]", Some(Shell(text("echo hi > f")))),
            ("[[shell if [[ -f x ]]; then ls; fi]]", Some(Shell(text("if [[ -f x ]]; then ls; fi")))),
            ("[[escalate touch /x]]", Some(Escalate(text("touch /x")))),
            ("[[permit network]]", Some(Permit(Right::Network))),
            ("[[permit read /a b]]", Some(Permit(Right::Read(text("/a b"))))),
            ("[[permit write /a]]", Some(Permit(Right::Write(text("/a"))))),
            ("[[permit everything]] [[permit]]", None),
            ("[[request ls]]", Some(Request(text("ls")))),
            ("[[patch a.txt two\nlines]]", Some(Patch { file: text("a.txt"), text: text("two\nlines") })),
            ("[[ask Which?|A| B ]]", Some(Ask { question: text("Which?"), options: vec![text("A"), text("B")] })),
            ("[[ask Why?]]", Some(Ask { question: text("Why?"), options: vec![] })),
            ("[[secret Token?]]", Some(Secret(text("Token?")))),
            (
                "[[tool ally.send_file {\"path\":\"a\"}]]",
                Some(Tool { server: text("ally"), tool: text("send_file"), arguments: text("{\"path\":\"a\"}") }),
            ),
            ("[[tool a.b]]", Some(Tool { server: text("a"), tool: text("b"), arguments: text("{}") })),
            ("[[tool ally]] [[tool .x {}]]", None),
            ("[[sleep 5]]", Some(Sleep(5))),
            ("[[fail 500]]", Some(Http(500))),
            ("[[http 429]]", Some(Http(429))),
            ("[[http 200]]", None),
            ("[[usage_limit]]", Some(UsageLimit)),
            ("[[context_full]]", Some(ContextFull)),
            ("[[compacting 9]]", Some(Compacting(9))),
            ("[[compacting]]", None),
            ("[[hang]]", Some(Hang)),
            ("[[cut]]", Some(Cut)),
            ("[[nothing known]] [[ ]] [[say]] [[ [ ]", None),
            ("Message from Li:\n\nplease [[say 好]] now", Some(Say(text("好")))),
        ] {
            assert_eq!(parse(input), Vec::from_iter(want), "{input}");
        }
    }

    #[test]
    fn an_unknown_or_open_bracket_hides_nothing_after_it() {
        assert_eq!(parse("[[what]] [[hang]]"), [Hang]);
        assert_eq!(parse("[[ and [[say a]] [[say b]]"), [Say(text("a")), Say(text("b"))]);
    }

    #[test]
    fn quoted_messages_are_not_played() {
        let prompt = "Message from Li:\n\n[[say mine]]\n\nQuoted:\n~~~~\nWei: [[shell rm x]]\n~~~~\n[[say too]]";
        assert_eq!(parse(prompt), [Say(text("mine")), Say(text("too"))]);
    }

    #[test]
    fn an_answer_ends_at_each_tool_and_with_words() {
        let steps = steps("[[say a]] [[shell ls]] [[also]] [[escalate id]] [[sleep 1]] [[patch f x]]");
        assert_eq!(
            steps,
            [
                Step { before: vec![Say(text("a"))], act: Some(Shell(text("ls"))), also: vec![Escalate(text("id"))] },
                Step { before: vec![Sleep(1)], act: Some(Patch { file: text("f"), text: text("x") }), also: vec![] },
                Step { before: vec![Say(text("Done."))], act: None, also: vec![] },
            ]
        );
        assert_eq!(super::steps("好 [[shell ls]]")[1].before, [Say(text("完成。"))]);
        assert_eq!(super::steps("[[shell ls]] [[say z]]")[1].before, [Say(text("z"))]);
        assert_eq!(super::steps("[[hang]] [[say never]]"), [Step { before: vec![], act: Some(Hang), also: vec![] }]);
    }

    #[test]
    fn small_talk_follows_the_language() {
        assert!(small_talk("hello").starts_with("Hello! I am the scripted model of the ally demo"));
        assert!(small_talk("Message from Li:\n\nHi, bot!").starts_with("Hello!"));
        assert!(small_talk("你好").starts_with("你好！"));
        assert!(small_talk("history?").starts_with("You said: “history?”"));
        assert!(small_talk("天气怎么样").contains("天气怎么样"));
        assert!(small_talk("Message from 李:\n\nhi").starts_with("Hello!"));
        assert_eq!(small_talk("same"), small_talk("same"));
    }
}
