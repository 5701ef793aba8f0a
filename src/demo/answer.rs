//! From a request of the Responses API to the model's answer, as the events that are to be sent. Pure.

use serde_json::{Value, json};

use super::script::{self, Directive, Right, Step};

/// How codex asks for what is to be kept of a conversation that it compacts …
const COMPACTION: &str = "You are performing a CONTEXT CHECKPOINT COMPACTION";
/// … and how it gives that to the model afterwards.
const COMPACTED: &str = "Another language model started to solve this problem";

/// What the server does with a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// An HTTP error instead of a stream, after a pause.
    Refused {
        after_ms: u64,
        status: u16,
        body: Value,
    },
    Stream {
        events: Vec<Event>,
        end: End,
    },
}

/// One event of the stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub after_ms: u64,
    pub data: Value,
}

/// What follows the last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Close,
    /// The connection breaks without an end.
    Cut,
    Hang,
}

/// Answers `request`. `now_ms` is only used to say when a usage limit ends.
pub(super) fn reply(request: &Value, now_ms: i64) -> Reply {
    let input = request["input"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (text, after) = last_user(input);
    let outputs: Vec<&Value> = after.iter().filter(|item| is_output(item)).collect();
    let mut stream = Stream::new(input);
    if let Some(session) = outputs.last().and_then(|output| running_session(output)) {
        // The command runs on: wait for it as a patient model would.
        let wait = json!({ "session_id": session, "chars": "", "yield_time_ms": 30_000 });
        stream.call("write_stdin", &wait);
        return stream.completed();
    }
    if text.starts_with(COMPACTION) {
        let said: Vec<String> =
            input.iter().filter(|item| item["role"] == "user").map(|item| content_text(&item["content"])).collect();
        let pause = script::compacting_ms(said.iter().map(String::as_str));
        stream.message(&[Directive::Sleep(pause), Directive::Say(script::SUMMARY.to_owned())], true);
        return stream.completed();
    }
    let compacted = input.iter().any(|item| content_text(&item["content"]).starts_with(COMPACTED));
    let text = if compacted { script::with_room(&text) } else { text };
    let mut done = outputs.iter().filter(|output| running_session(output).is_none()).count();
    let mut steps = script::steps(&text);
    let last = steps.len() - 1;
    let at = steps.iter().position(|step| {
        let tools = 1 + step.also.len();
        let is_next = done < tools;
        done = done.saturating_sub(tools);
        is_next
    });
    let Step { before, act, also } = steps.swap_remove(at.unwrap_or(last));
    let slept = || before.iter().map(|d| if let Directive::Sleep(ms) = d { *ms } else { 0 }).sum();
    match &act {
        Some(Directive::Http(status)) => {
            return Reply::Refused { after_ms: slept(), status: *status, body: refusal(*status) };
        }
        Some(Directive::UsageLimit) => {
            return Reply::Refused { after_ms: slept(), status: 429, body: usage_limit(now_ms) };
        }
        _ => {}
    }
    let unfinished = matches!(act, Some(Directive::Hang | Directive::Cut | Directive::ContextFull));
    stream.message(&before, !unfinished);
    match act {
        Some(Directive::ContextFull) => {
            stream.failed("context_length_exceeded", "The input is too long for the model.")
        }
        Some(Directive::Hang) => stream.ended(End::Hang),
        Some(Directive::Cut) => stream.ended(End::Cut),
        Some(tool) => {
            std::iter::once(&tool).chain(&also).for_each(|tool| stream.tool(tool));
            stream.completed()
        }
        None => stream.completed(),
    }
}

/// The words of the newest message of a person, for the statistics.
pub(super) fn last_user_text(request: &Value) -> String {
    last_user(request["input"].as_array().map(Vec::as_slice).unwrap_or_default()).0
}

/// The newest message of a person and all items after it.
fn last_user(input: &[Value]) -> (String, &[Value]) {
    for (at, item) in input.iter().enumerate().rev() {
        if item["role"] != "user" {
            continue;
        }
        let text = content_text(&item["content"]);
        if !is_context(&text) {
            return (text, &input[at + 1..]);
        }
    }
    (String::new(), &[])
}

/// Things that codex puts into the conversation in the user's name.
fn is_context(text: &str) -> bool {
    const MARKS: [&str; 8] = [
        COMPACTED,
        "<environment_context",
        "<turn_aborted",
        "<user_instructions",
        "<user_shell_command",
        "<skill",
        "<subagent",
        "# AGENTS.md instructions",
    ];
    MARKS.iter().any(|mark| text.trim_start().starts_with(mark))
}

fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn is_output(item: &Value) -> bool {
    item["type"].as_str().is_some_and(|kind| kind.ends_with("_call_output"))
}

/// The session of a command that was still running when the tool gave up waiting.
fn running_session(output: &Value) -> Option<i64> {
    let text = content_text(&output["output"]);
    // Only the head is codex's own; what follows is the command's output.
    let head = text.split("\nOutput:").next().unwrap_or_default();
    let (_, rest) = head.split_once("Process running with session ID ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn refusal(status: u16) -> Value {
    let (kind, message) = match status {
        401 => ("invalid_request_error", "Incorrect API key provided."),
        429 => ("rate_limit_exceeded", "Rate limit reached. Please try again later."),
        400..500 => ("invalid_request_error", "The request was refused."),
        _ => ("server_error", "The server had an error while processing your request."),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": null } })
}

fn usage_limit(now_ms: i64) -> Value {
    const SECONDS: i64 = 3600;
    json!({ "error": {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": "plus",
        "resets_at": now_ms / 1000 + SECONDS,
        "resets_in_seconds": SECONDS,
    }})
}

fn fresh(prefix: &str) -> String {
    format!("{prefix}_{}", uuid::Uuid::new_v4().simple())
}

/// The events of one response, in the making.
struct Stream {
    response: String,
    input_tokens: usize,
    output_tokens: usize,
    output: Vec<Value>,
    pause_ms: u64,
    events: Vec<Event>,
}

impl Stream {
    fn new(input: &[Value]) -> Self {
        let mut stream = Stream {
            response: fresh("resp"),
            input_tokens: input.iter().map(|item| content_text(&item["content"]).len() / 4 + 1).sum(),
            output_tokens: 0,
            output: Vec::new(),
            pause_ms: 0,
            events: Vec::new(),
        };
        let response = json!({ "id": stream.response, "object": "response", "status": "in_progress", "output": [] });
        stream.push("response.created", json!({ "response": response }));
        stream
    }

    fn push(&mut self, kind: &str, mut data: Value) {
        data["type"] = kind.into();
        data["sequence_number"] = self.events.len().into();
        self.events.push(Event { after_ms: std::mem::take(&mut self.pause_ms), data });
    }

    /// `say`, `stream` and `sleep` become one message item; left open when `finish` is false.
    fn message(&mut self, parts: &[Directive], finish: bool) {
        let item = fresh("msg");
        let at = self.output.len();
        let mut text = String::new();
        let mut began = false;
        for part in parts {
            let deltas: Vec<(u64, String)> = match part {
                Directive::Sleep(ms) => {
                    self.pause_ms += ms;
                    continue;
                }
                Directive::Say(words) => {
                    let gap = if text.is_empty() { "" } else { "\n\n" };
                    pieces(&format!("{gap}{words}")).into_iter().map(|piece| (0, piece)).collect()
                }
                Directive::Stream { words, every_ms } => {
                    (1..=*words).map(|number| (*every_ms, script::word(number))).collect()
                }
                _ => continue,
            };
            for (after_ms, delta) in deltas {
                if !std::mem::replace(&mut began, true) {
                    self.message_began(&item, at);
                }
                self.pause_ms += after_ms;
                text.push_str(&delta);
                self.output_tokens += 1;
                let data = json!({ "item_id": item, "output_index": at, "content_index": 0, "delta": delta });
                self.push("response.output_text.delta", data);
            }
        }
        if began && finish {
            self.message_done(&item, at, &text);
        }
    }

    fn message_began(&mut self, item: &str, at: usize) {
        let message =
            json!({ "type": "message", "id": item, "role": "assistant", "status": "in_progress", "content": [] });
        self.push("response.output_item.added", json!({ "output_index": at, "item": message }));
        let part = json!({ "type": "output_text", "text": "", "annotations": [] });
        let data = json!({ "item_id": item, "output_index": at, "content_index": 0, "part": part });
        self.push("response.content_part.added", data);
    }

    fn message_done(&mut self, item: &str, at: usize, text: &str) {
        let part = json!({ "type": "output_text", "text": text, "annotations": [] });
        let place = json!({ "item_id": item, "output_index": at, "content_index": 0 });
        let mut data = place.clone();
        data["text"] = text.into();
        self.push("response.output_text.done", data);
        let mut data = place;
        data["part"] = part.clone();
        self.push("response.content_part.done", data);
        self.done(json!({
            "type": "message", "id": item, "role": "assistant", "status": "completed", "content": [part],
        }));
    }

    fn done(&mut self, item: Value) {
        let data = json!({ "output_index": self.output.len(), "item": item });
        self.output.push(data["item"].clone());
        self.push("response.output_item.done", data);
    }

    fn tool(&mut self, tool: &Directive) {
        match tool {
            Directive::Shell(command) | Directive::Request(command) => {
                self.call("exec_command", &json!({ "cmd": command, "yield_time_ms": 30_000 }));
            }
            Directive::Escalate(command) => self.call(
                "exec_command",
                &json!({
                    "cmd": command,
                    "yield_time_ms": 30_000,
                    "sandbox_permissions": "require_escalated",
                    "justification": format!("May I run this outside the sandbox: {command}"),
                }),
            ),
            Directive::Permit(right) => {
                let permissions = match right {
                    Right::Network => json!({ "network": { "enabled": true } }),
                    Right::Read(path) => json!({ "file_system": { "read": [path] } }),
                    Right::Write(path) => json!({ "file_system": { "write": [path] } }),
                };
                let arguments = json!({ "permissions": permissions, "reason": "The script asks for more rights." });
                self.call("request_permissions", &arguments);
            }
            Directive::Patch { file, text } => {
                let lines: String = text.lines().map(|line| format!("+{line}\n")).collect();
                let lines = if lines.is_empty() { "+\n".to_owned() } else { lines };
                let patch = format!("*** Begin Patch\n*** Add File: {file}\n{lines}*** End Patch\n");
                self.output_tokens += 1;
                self.done(json!({
                    "type": "custom_tool_call", "id": fresh("ctc"), "call_id": fresh("call"),
                    "name": "apply_patch", "input": patch, "status": "completed",
                }));
            }
            Directive::Ask { question, options } => self.ask(&[(question.clone(), options.clone())], false),
            Directive::Secret(question) => self.ask(&[(question.clone(), Vec::new())], true),
            Directive::Form(questions) => self.ask(questions, false),
            Directive::Tool { server, tool, arguments } => self.mcp(server, tool, arguments),
            _ => {}
        }
    }

    fn ask(&mut self, questions: &[(String, Vec<String>)], secret: bool) {
        let questions: Vec<Value> = questions
            .iter()
            .enumerate()
            .map(|(n, (question, options))| {
                let mut options: Vec<Value> =
                    options.iter().map(|label| json!({ "label": label, "description": label })).collect();
                if options.is_empty() {
                    // codex refuses a question without options; it adds the free text by itself.
                    options.push(json!({ "label": "No answer", "description": "Or answer in your own words." }));
                }
                json!({
                    "id": format!("q{}", n + 1), "header": "Question", "question": question, "options": options,
                    "isSecret": secret,
                })
            })
            .collect();
        self.call("request_user_input", &json!({ "questions": questions }));
    }

    fn call(&mut self, name: &str, arguments: &Value) {
        self.output_tokens += 1;
        self.done(json!({
            "type": "function_call", "id": fresh("fc"), "call_id": fresh("call"),
            "name": name, "arguments": arguments.to_string(), "status": "completed",
        }));
    }

    /// codex offers the tools of a server as a name space of their own.
    fn mcp(&mut self, server: &str, tool: &str, arguments: &str) {
        self.output_tokens += 1;
        self.done(json!({
            "type": "function_call", "id": fresh("fc"), "call_id": fresh("call"),
            "namespace": format!("mcp__{server}"), "name": tool, "arguments": arguments, "status": "completed",
        }));
    }

    fn completed(mut self) -> Reply {
        let usage = json!({
            "input_tokens": self.input_tokens,
            "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": self.output_tokens,
            "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": self.input_tokens + self.output_tokens,
        });
        let response = json!({
            "id": self.response, "object": "response", "status": "completed", "output": self.output, "usage": usage,
        });
        self.push("response.completed", json!({ "response": response }));
        self.ended(End::Close)
    }

    fn failed(mut self, code: &str, message: &str) -> Reply {
        let error = json!({ "code": code, "message": message });
        let response = json!({ "id": self.response, "object": "response", "status": "failed", "error": error });
        self.push("response.failed", json!({ "response": response }));
        self.ended(End::Close)
    }

    fn ended(self, end: End) -> Reply {
        Reply::Stream { events: self.events, end }
    }
}

/// Cuts words into deltas of a few dozen characters.
fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(48).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Value {
        json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] })
    }

    fn output(text: &str) -> Value {
        json!({ "type": "function_call_output", "call_id": "c", "output": text })
    }

    fn answer(input: Vec<Value>) -> Reply {
        reply(&json!({ "input": input }), 0)
    }

    /// The finished items of a reply: texts as they are, calls as `name arguments`.
    fn items(reply: &Reply) -> Vec<String> {
        let Reply::Stream { events, .. } = reply else { panic!("not a stream: {reply:?}") };
        let done = events.iter().filter(|event| event.data["type"] == "response.output_item.done");
        done.map(|event| {
            let item = &event.data["item"];
            match item["type"].as_str().unwrap_or_default() {
                "message" => content_text(&item["content"]),
                "function_call" => format!("{} {}", item["name"], item["arguments"]),
                _ => format!("{} {}", item["name"], item["input"]),
            }
        })
        .collect()
    }

    #[test]
    fn each_tool_is_one_response_and_the_last_one_speaks() {
        let script = user("[[say looking]] [[shell ls]] [[patch a.txt hi]] [[say bye]]");
        let first = items(&answer(vec![script.clone()]));
        assert_eq!(first[0], "looking");
        assert!(first[1].contains("exec_command") && first[1].contains("ls"), "{first:?}");
        let second = items(&answer(vec![script.clone(), output("ok")]));
        assert!(second[0].contains("*** Add File: a.txt\\n+hi"), "{second:?}");
        let patched = json!({ "type": "custom_tool_call_output", "call_id": "c", "output": "ok" });
        assert_eq!(items(&answer(vec![script.clone(), output("ok"), patched])), ["bye"]);
    }

    #[test]
    fn only_the_newest_words_of_a_person_count() {
        let context = user("<environment_context>x</environment_context>");
        let input = vec![user("[[shell a]]"), output("ok"), user("[[say steered]]"), context];
        assert_eq!(items(&answer(input)), ["steered"]);
    }

    #[test]
    fn a_compaction_takes_its_time_and_makes_room() {
        let full = user("[[compacting 70]] [[context_full]] [[say done]]");
        let Reply::Stream { events, .. } = answer(vec![full.clone()]) else { panic!("no stream") };
        assert_eq!(
            events.last().map(|e| &e.data["response"]["error"]["code"]),
            Some(&json!("context_length_exceeded"))
        );
        let asked = user(&format!("{COMPACTION}. Create a handoff summary"));
        let reply = answer(vec![full.clone(), asked]);
        let Reply::Stream { events, .. } = &reply else { panic!("no stream") };
        assert_eq!(events.iter().map(|event| event.after_ms).sum::<u64>(), 70);
        assert_eq!(items(&reply), [script::SUMMARY]);
        let summary = user(&format!("{COMPACTED} and made this: {}", script::SUMMARY));
        assert_eq!(items(&answer(vec![summary.clone(), full.clone()])), ["done"]);
        assert_eq!(items(&answer(vec![full, summary])), ["done"], "the summary is nobody's words");
    }

    #[test]
    fn a_running_command_is_waited_for() {
        let running = output("Chunk ID: 1\nProcess running with session ID 17\nOutput:\nx");
        let waiting = items(&answer(vec![user("[[shell sleep 60]]"), running.clone()]));
        assert!(waiting[0].contains("write_stdin") && waiting[0].contains("17"), "{waiting:?}");
        let over = items(&answer(vec![user("[[shell sleep 60]]"), running, output("Process exited with code 0")]));
        assert_eq!(over, ["Done."]);
    }

    #[test]
    fn faults() {
        let status = |text: &str| match answer(vec![user(text)]) {
            Reply::Refused { after_ms, status, body } => (after_ms, status, body["error"]["type"].to_string()),
            other => panic!("{other:?}"),
        };
        assert_eq!(status("[[fail 500]]"), (0, 500, "\"server_error\"".to_owned()));
        assert_eq!(status("[[sleep 7]] [[http 401]]"), (7, 401, "\"invalid_request_error\"".to_owned()));
        assert_eq!(status("[[usage_limit]]"), (0, 429, "\"usage_limit_reached\"".to_owned()));
        let Reply::Stream { events, end } = answer(vec![user("[[say half]] [[cut]]")]) else { panic!("no stream") };
        assert_eq!(end, End::Cut);
        assert_eq!(events.last().map(|e| e.data["delta"].as_str() == Some("half")), Some(true));
    }
}
