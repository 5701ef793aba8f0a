//! codex's words into the port's. Pure; tested with recorded lines.

use serde_json::{Value, json};

use super::wire::{About, Asked, FileUpdate, Item, ModelEntry, Thread, Turn, TurnError};
use crate::bridge::ports::{CallError, Fact, GateRequest, KeptThread, Model, TurnEnd};
use crate::domain::gate::{Ask, Change, Choice, Decision, Effect, NETWORK, Question, QuestionOption, is_network};
use crate::domain::history::{ChangedFile, EndEvidence, Failure, FailureKind, PulledItem, PulledTurn};
use crate::domain::ids::{ClientId, NativeGateId};
use crate::domain::verdict::FoundStatus;
use crate::domain::view::{Step, StepKind, StepState};
use crate::runtimes::rpc::RpcError;

/// Characters of a step's object.
const OBJECT: usize = 60;

// ------------------------------------------------------------------------------------------------ notifications

/// What a notification means; `None` for what is of no interest.
pub fn fact(method: &str, about: &About) -> Option<Fact> {
    Some(match method {
        "turn/started" => Fact::TurnStarted,
        "turn/completed" => {
            let turn = about.turn.as_ref()?;
            let end = match turn.status.as_str() {
                "completed" => TurnEnd::Completed,
                "failed" => TurnEnd::Failed,
                _ => TurnEnd::Interrupted,
            };
            Fact::TurnEnded { end, failure: turn.error.as_ref().map(failure) }
        }
        "item/started" => match about.item.as_ref()? {
            Item::AgentMessage { .. } | Item::Plan { .. } | Item::UserMessage { .. } | Item::Other => Fact::Activity,
            item => Fact::StepStarted { item: item_id(item)?.to_owned(), step: step(item)? },
        },
        "item/completed" => completed(about.item.as_ref()?)?,
        "item/agentMessage/delta" => Fact::TextDelta { item: about.item_id.clone()?, text: about.delta.clone()? },
        "serverRequest/resolved" => Fact::GateResolved { native: native_gate(about.request_id.as_ref()?) },
        "error" if about.will_retry => Fact::Retrying { detail: about.error.as_ref()?.message.clone() },
        "error" => Fact::Trouble(failure(about.error.as_ref()?)),
        "thread/tokenUsage/updated" => {
            let usage = about.token_usage.as_ref()?;
            Fact::Usage { total_tokens: usage.total.total_tokens, request_tokens: usage.last.total_tokens }
        }
        method if method.starts_with("item/") || method.starts_with("turn/") => Fact::Activity,
        _ => return None,
    })
}

fn completed(item: &Item) -> Option<Fact> {
    Some(match item {
        Item::UserMessage { client_id, .. } => Fact::InputTaken { client: client_id.clone().map(ClientId::new) },
        Item::AgentMessage { id, text } | Item::Plan { id, text } => {
            Fact::TextDone { item: id.clone(), text: text.clone() }
        }
        Item::Other => Fact::Activity,
        item => Fact::StepEnded { item: item_id(item)?.to_owned(), step: step(item)?, changed: changed(item) },
    })
}

/// A model of the catalogue; `own` is the one that ally was configured with.
pub fn model(entry: ModelEntry, own: Option<&str>) -> Model {
    Model {
        is_default: own.map_or(entry.is_default, |own| own == entry.model),
        efforts: entry.supported_reasoning_efforts.into_iter().map(|effort| effort.reasoning_effort).collect(),
        default_effort: entry.default_reasoning_effort,
        name: entry.model,
    }
}

/// A thread of a list.
pub fn kept_thread(thread: Thread) -> KeptThread {
    KeptThread {
        title: thread.name.filter(|name| !name.is_empty()).unwrap_or(thread.preview),
        thread: thread.id.into(),
        directory: thread.cwd,
        active_at_ms: thread.updated_at * 1_000,
    }
}

/// The id of a server request as opaque text, so that it can go back verbatim.
pub fn native_gate(id: &Value) -> NativeGateId {
    NativeGateId::new(id.to_string())
}

fn item_id(item: &Item) -> Option<&str> {
    match item {
        Item::UserMessage { id, .. }
        | Item::AgentMessage { id, .. }
        | Item::Plan { id, .. }
        | Item::CommandExecution { id, .. }
        | Item::FileChange { id, .. }
        | Item::McpToolCall { id, .. }
        | Item::DynamicToolCall { id, .. }
        | Item::WebSearch { id, .. } => Some(id),
        Item::Other => None,
    }
}

/// A tool item as a person would name it.
fn step(item: &Item) -> Option<Step> {
    let (what, object, state, started) = match item {
        Item::CommandExecution { command, status, exit_code, started_at_ms, .. } => {
            let ok = exit_code.is_none_or(|code| code == 0);
            (StepKind::Command, bare_command(command), state(status, ok), *started_at_ms)
        }
        Item::FileChange { changes, status, started_at_ms, .. } => {
            let first = changes.first().map_or("", |change| file_name(&change.path)).to_owned();
            let object = if changes.len() > 1 { format!("{first} +{}", changes.len() - 1) } else { first };
            (StepKind::FileChange, object, state(status, true), *started_at_ms)
        }
        Item::McpToolCall { server, tool, status, started_at_ms, .. } => {
            (StepKind::Tool, format!("{server} {tool}"), state(status, true), *started_at_ms)
        }
        Item::DynamicToolCall { tool, status, started_at_ms, .. } => {
            (StepKind::Tool, tool.clone(), state(status, true), *started_at_ms)
        }
        Item::WebSearch { query, .. } => (StepKind::Search, query.clone(), StepState::Ok, None),
        Item::UserMessage { .. } | Item::AgentMessage { .. } | Item::Plan { .. } | Item::Other => return None,
    };
    Some(Step { what, object: cut(&object.replace('\n', " "), OBJECT), state, started_at_ms: started.unwrap_or(0) })
}

fn state(status: &str, ok: bool) -> StepState {
    match status {
        "inProgress" => StepState::Running,
        "completed" if ok => StepState::Ok,
        _ => StepState::Failed,
    }
}

fn changed(item: &Item) -> Vec<ChangedFile> {
    match item {
        Item::FileChange { changes, status, .. } if status == "completed" => changes.iter().map(counted).collect(),
        _ => Vec::new(),
    }
}

fn counted(change: &FileUpdate) -> ChangedFile {
    let lines = |sign: char, twice: &str| {
        change.diff.lines().filter(|line| line.starts_with(sign) && !line.starts_with(twice)).count() as u32
    };
    let (added, removed) = match change.kind.kind.as_str() {
        "add" => (change.diff.lines().count() as u32, 0),
        "delete" => (0, change.diff.lines().count() as u32),
        _ => (lines('+', "+++"), lines('-', "---")),
    };
    ChangedFile { path: change.path.clone(), added, removed }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The command inside codex's shell wrapper (`/bin/bash -c '…'`; with a login shell `-lc`).
pub fn bare_command(command: &str) -> String {
    for shell in ["/bin/bash", "bash", "/usr/bin/bash", "/bin/sh", "/bin/zsh", "/usr/bin/zsh"] {
        let flags = command.strip_prefix(shell);
        if let Some(inner) = flags.and_then(|rest| rest.strip_prefix(" -c ").or_else(|| rest.strip_prefix(" -lc "))) {
            let Some(unquoted) = inner.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) else {
                // One bare word. More than that is not a wrapper that codex wrote.
                return if inner.contains(['\'', '"', ' ']) { command.to_owned() } else { inner.to_owned() };
            };
            // A quote inside is written as '\'' or '"'"'; any other one ends the argument.
            let pieces: Vec<&str> = unquoted.split("'\\''").flat_map(|part| part.split("'\"'\"'")).collect();
            let whole = pieces.iter().all(|piece| !piece.contains('\''));
            return if whole { pieces.join("'") } else { command.to_owned() };
        }
    }
    command.to_owned()
}

fn cut(text: &str, max: usize) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(max).collect();
    if chars.next().is_some() { format!("{head}…") } else { head }
}

// ------------------------------------------------------------------------------------------------ failures

/// Why a turn failed, by what somebody can do about it.
pub fn failure(error: &TurnError) -> Failure {
    let detail = match &error.details {
        Some(details) => format!("{} ({details})", error.message),
        None => error.message.clone(),
    };
    Failure { kind: failure_kind(error), detail }
}

fn failure_kind(error: &TurnError) -> FailureKind {
    let (name, status) = match &error.info {
        Some(Value::String(name)) => (name.as_str(), None),
        Some(Value::Object(map)) => {
            let first = map.iter().next();
            let status = first.and_then(|(_, value)| value.get("httpStatusCode")).and_then(Value::as_i64);
            (first.map_or("", |(name, _)| name.as_str()), status)
        }
        _ => ("", None),
    };
    match (name, status) {
        (_, Some(401)) | ("unauthorized", _) => FailureKind::NotSignedIn,
        ("usageLimitExceeded", _) => FailureKind::UsageLimit,
        ("contextWindowExceeded", _) => FailureKind::ContextFull,
        (_, Some(429 | 500..=599)) | ("internalServerError" | "serverOverloaded" | "rateLimitExceeded", _) => {
            FailureKind::ModelBusy
        }
        ("httpConnectionFailed" | "responseStreamConnectionFailed" | "responseStreamDisconnected", _) => {
            FailureKind::Unreachable
        }
        (_, Some(400..=499)) => FailureKind::Rejected,
        _ if error.message.starts_with("Missing environment variable") => FailureKind::NotSignedIn,
        _ if error.message.starts_with("stream disconnected") => FailureKind::Unreachable,
        _ => FailureKind::Other,
    }
}

/// What a refused call means. codex has no structured sub-codes: method and the beginning of the message decide.
pub fn call_error(method: &'static str, error: RpcError) -> CallError {
    match error {
        RpcError::Gone => CallError::Gone,
        RpcError::Timeout(after) => CallError::NoAnswer { method, seconds: after.as_secs() },
        RpcError::Remote { code: -32001, message } => CallError::Busy { detail: message },
        RpcError::Remote { message, .. } => {
            let starts = |prefix: &str| message.starts_with(prefix);
            if message.contains("already has an active writer") {
                CallError::Elsewhere
            } else if message.contains("ActiveTurnNotSteerable") {
                // A compaction that somebody gave up on still runs.
                CallError::Busy { detail: message }
            } else if starts("no active turn") || starts("expected active turn id") {
                CallError::NoTurn
            } else if starts("thread not found")
                || starts("thread not loaded")
                || starts("no rollout found")
                || starts("list_turns is not supported yet")
                || message.contains("is not materialized yet")
                || message.contains("is empty")
            {
                CallError::NoThread { detail: message }
            } else {
                CallError::Refused { detail: message }
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------ history

pub fn pulled_turn(turn: &Turn) -> PulledTurn {
    let closed = turn.completed_at.as_ref().is_some_and(|at| !at.is_null());
    let status = match turn.status.as_str() {
        "completed" => FoundStatus::Completed,
        "failed" => FoundStatus::Failed,
        "inProgress" => FoundStatus::InProgress,
        _ if closed => FoundStatus::InterruptedClosed,
        _ => FoundStatus::InterruptedOpen,
    };
    PulledTurn {
        native: turn.id.as_str().into(),
        status,
        end: EndEvidence::Proven,
        items: turn.items.iter().map(pulled_item).collect(),
        failure: turn.error.as_ref().map(failure),
    }
}

fn pulled_item(item: &Item) -> PulledItem {
    match item {
        Item::UserMessage { client_id, .. } => PulledItem::Input { client: client_id.clone().map(ClientId::new) },
        Item::AgentMessage { text, .. } | Item::Plan { text, .. } => PulledItem::Text { text: text.clone() },
        Item::Other => PulledItem::Other,
        item => match step(item) {
            Some(step) => PulledItem::Tool { step, changed_files: changed(item) },
            None => PulledItem::Other,
        },
    }
}

// ------------------------------------------------------------------------------------------------ questions to people

/// What codex asks; `file` is the file-change item that the request names (it carries no paths itself), `policy` the
/// approval policy. `None` when it cannot be shown in full: nobody may be asked to allow what they do not see.
pub fn gate(method: &str, id: &Value, asked: &Asked, file: Option<&[FileUpdate]>, policy: &str) -> Option<GateRequest> {
    let directory = asked.cwd.clone().unwrap_or_default();
    let (ask, claim) = match method {
        "item/commandExecution/requestApproval" => {
            // Nobody sees what is written to a program that runs, or what another machine is.
            if !matches!(asked.kind.as_deref(), None | Some("command"))
                || !matches!(asked.environment_id.as_deref(), None | Some("local"))
            {
                return None;
            }
            let exact = asked.command.clone().filter(|command| !command.trim().is_empty())?;
            let command = bare_command(&exact);
            let more = asked.additional_permissions.as_ref();
            let mut wanted = more.map_or_else(|| Some(Vec::new()), permission_lines)?;
            wanted.extend(match &asked.network_approval_context {
                Some(context) => Some(host_line(context)?),
                None => None,
            });
            let network = wanted.iter().any(|line| is_network(line));
            // `untrusted` asks before every command. One that leaves the sandbox looks like one that stays, but for the
            // model's reason, and it need not give any. The other policies ask only for what leaves it or wants more.
            let outside_sandbox = policy != "untrusted" || asked.reason.is_some() || more.is_some();
            let unsure = !outside_sandbox;
            let ask = Ask::Command { command, exact, directory, outside_sandbox, unsure, network, wanted };
            (ask, asked.reason.clone())
        }
        "item/fileChange/requestApproval" => {
            // More than these changes would be granted with it, and for longer than once.
            if asked.grant_root.is_some() {
                return None;
            }
            let changes =
                file.filter(|changes| !changes.is_empty())?.iter().map(changes_of).collect::<Option<Vec<_>>>()?;
            (Ask::FileChange { changes: changes.concat(), directory }, asked.reason.clone())
        }
        "item/permissions/requestApproval" => {
            let wanted = permission_lines(asked.permissions.as_ref()?)?;
            if wanted.is_empty() {
                return None;
            }
            let network_only = wanted == [NETWORK];
            (Ask::Permissions { wanted, directory, network_only }, asked.reason.clone())
        }
        "item/tool/requestUserInput" => {
            if asked.questions.is_empty() {
                return None;
            }
            (Ask::Questions { questions: asked.questions.iter().map(question).collect() }, None)
        }
        "mcpServer/elicitation/request" => (elicitation(asked)?, asked.message.clone()),
        _ => return None,
    };
    Some(GateRequest { native: native_gate(id), choices: choices(&ask), ask, claim })
}

/// What one update does to files: what moves arrives somewhere, too. `None` where that cannot be read.
fn changes_of(update: &FileUpdate) -> Option<Vec<Change>> {
    let source = Change { path: update.path.clone(), kind: update.kind.kind.clone(), diff: update.diff.clone() };
    Some(match &update.kind.move_path {
        None => vec![source],
        Some(Value::String(path)) if !path.is_empty() => {
            let target = Change { path: path.clone(), kind: "move".to_owned(), diff: String::new() };
            vec![source, target]
        }
        Some(_) => return None,
    })
}

fn question(asked: &super::wire::AskedQuestion) -> Question {
    let options: Vec<QuestionOption> = asked
        .options
        .iter()
        .flatten()
        .map(|option| QuestionOption { label: option.label.clone(), description: option.description.clone() })
        .collect();
    Question {
        id: asked.id.clone(),
        header: asked.header.clone(),
        text: asked.question.clone(),
        free_text: asked.is_other || options.is_empty(),
        options,
        secret: asked.is_secret,
    }
}

/// Lines of what a request for permissions wants, as it stands in the payload. What is granted is the whole payload, so
/// what has no words yet is shown as it stands; `None` where a line would not be what is granted.
fn permission_lines(permissions: &Value) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    let mut rest = Vec::new();
    for (key, value) in permissions.as_object()? {
        match (key.as_str(), value) {
            (_, Value::Null) => {}
            ("network" | "fileSystem", Value::Object(inner)) => {
                for (field, value) in inner {
                    match (key.as_str(), field.as_str(), value) {
                        (_, _, Value::Null) | ("network", "enabled", Value::Bool(false)) => {}
                        ("network", "enabled", Value::Bool(true)) => lines.push(NETWORK.to_owned()),
                        ("network", "enabled", _) => return None,
                        ("fileSystem", "read" | "write", Value::Array(paths)) => {
                            for path in paths {
                                lines.push(format!("{field} {}", plain(path)?));
                            }
                        }
                        ("fileSystem", "entries", Value::Array(entries)) => {
                            lines.extend(entries.iter().map(Value::to_string));
                        }
                        ("fileSystem", "read" | "write" | "entries", _) => return None,
                        _ => rest.push(format!("{key}.{field} {value}")),
                    }
                }
            }
            (key, other) => rest.push(format!("{key} {other}")),
        }
    }
    // In the order in which they matter; the payload's own is that of its keys.
    lines.sort_by_key(|line| !is_network(line));
    lines.extend(rest);
    Some(lines)
}

/// The host that a command wants to reach.
fn host_line(context: &Value) -> Option<String> {
    let context = context.as_object()?;
    let known = |field: &String| matches!(field.as_str(), "host" | "protocol");
    if context.iter().any(|(field, value)| !known(field) && !value.is_null()) {
        return None;
    }
    Some(format!("{NETWORK} {}://{}", plain(context.get("protocol")?)?, plain(context.get("host")?)?))
}

/// Words that stand in a line as what they are.
fn plain(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty() && !text.chars().any(char::is_control))
}

/// A tool approval in disguise, or a real form. A form that is more than flat fields cannot be shown.
fn elicitation(asked: &Asked) -> Option<Ask> {
    let meta = asked.meta.as_ref();
    let server = asked.server_name.clone().unwrap_or_default();
    if meta.and_then(|meta| meta.get("codex_approval_kind")).is_some() {
        let tool = meta.and_then(|meta| meta.get("tool_name")).and_then(Value::as_str).unwrap_or_default();
        let detail = meta.and_then(|meta| meta.get("tool_params")).map(Value::to_string).unwrap_or_default();
        return Some(Ask::Tool { server, tool: tool.to_owned(), detail });
    }
    let fields = asked.requested_schema.as_ref()?.get("properties")?.as_object()?;
    let questions = fields.iter().map(|(name, schema)| form_field(name, schema, asked)).collect::<Option<Vec<_>>>()?;
    (!questions.is_empty()).then_some(Ask::Questions { questions })
}

fn form_field(name: &str, schema: &Value, asked: &Asked) -> Option<Question> {
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or("string");
    let labels: Vec<String> = match (schema.get("enum").and_then(Value::as_array), kind) {
        (Some(values), _) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        (None, "boolean") => vec!["true".to_owned(), "false".to_owned()],
        (None, "string" | "number" | "integer") => Vec::new(),
        _ => return None,
    };
    let text = schema.get("title").or_else(|| schema.get("description")).and_then(Value::as_str).unwrap_or(name);
    Some(Question {
        id: name.to_owned(),
        header: asked.server_name.clone().unwrap_or_default(),
        text: format!("{}\n{text}", asked.message.as_deref().unwrap_or_default()).trim().to_owned(),
        free_text: labels.is_empty(),
        options: labels.into_iter().map(|label| QuestionOption { label, description: String::new() }).collect(),
        secret: schema.get("format").and_then(Value::as_str) == Some("password"),
    })
}

/// Only these three ever go to codex: session approvals and policy amendments would outlive us.
fn choices(ask: &Ask) -> Vec<Choice> {
    if ask.is_question() {
        return Vec::new();
    }
    [("accept", Effect::AllowOnce), ("decline", Effect::Decline), ("cancel", Effect::StopTurn)]
        .into_iter()
        .map(|(native, effect)| Choice { native: native.to_owned(), effect, takes_feedback: false })
        .collect()
}

/// The "no" to a request that nobody can be shown, in the shape that its kind wants; `None` where only an error fits.
pub fn turned_down(method: &str) -> Option<Value> {
    Some(match method {
        "item/commandExecution/requestApproval" | "item/fileChange/requestApproval" => json!({ "decision": "decline" }),
        "item/permissions/requestApproval" => json!({ "permissions": {}, "scope": "turn" }),
        "item/tool/requestUserInput" => json!({ "answers": {} }),
        "mcpServer/elicitation/request" => json!({ "action": "cancel", "content": null, "_meta": null }),
        _ => return None,
    })
}

/// The result that a decision becomes, in the shape that this kind of request wants.
pub fn answer(method: &str, asked: &Asked, ask: &Ask, decision: &Decision) -> Value {
    let allowed = matches!(decision, Decision::Allow);
    let word = match decision {
        Decision::Allow => "accept",
        Decision::StopTurn | Decision::Network => "cancel",
        Decision::Decline { .. } | Decision::Answers { .. } => "decline",
    };
    match method {
        "item/permissions/requestApproval" => {
            let granted = if allowed { asked.permissions.clone().unwrap_or_else(|| json!({})) } else { json!({}) };
            json!({ "permissions": without_nulls(granted), "scope": "turn" })
        }
        "item/tool/requestUserInput" => json!({ "answers": answers(decision) }),
        "mcpServer/elicitation/request" if ask.is_question() => form_answer(asked, decision),
        "mcpServer/elicitation/request" => {
            json!({ "action": word, "content": if allowed { json!({}) } else { Value::Null }, "_meta": Value::Null })
        }
        _ => json!({ "decision": word }),
    }
}

fn answers(decision: &Decision) -> Value {
    let Decision::Answers { answers } = decision else { return json!({}) };
    answers
        .iter()
        .map(|(id, values)| (id.clone(), json!({ "answers": values })))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn form_answer(asked: &Asked, decision: &Decision) -> Value {
    let Decision::Answers { answers } = decision else {
        return json!({ "action": "decline", "content": null, "_meta": null });
    };
    if answers.is_empty() {
        return json!({ "action": "cancel", "content": null, "_meta": null });
    }
    let content: serde_json::Map<String, Value> =
        answers.iter().filter_map(|(id, values)| Some((id.clone(), typed(asked, id, values.first()?)))).collect();
    json!({ "action": "accept", "content": content, "_meta": null })
}

/// A form's field in the type that its schema names.
fn typed(asked: &Asked, field: &str, text: &str) -> Value {
    let kind = asked
        .requested_schema
        .as_ref()
        .and_then(|schema| schema.pointer(&format!("/properties/{field}/type")))
        .and_then(Value::as_str);
    match kind {
        Some("boolean") => json!(text == "true"),
        Some("integer") => text.parse::<i64>().map_or_else(|_| json!(text), |n| json!(n)),
        Some("number") => text.parse::<f64>().map_or_else(|_| json!(text), |n| json!(n)),
        _ => json!(text),
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
