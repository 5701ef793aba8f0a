//! Hidden `ally mcp`: ally's own tools for an agent, as an MCP server on stdin and stdout. The runtime starts it for a thread;
//! it has no rights of its own and does nothing itself: each call goes to the daemon, with the key of its conversation.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, InitializeResult,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool as McpTool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServiceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Context;
use super::error::{CliError, Code};
use crate::config::Paths;
use crate::control::{Client, ClientError, ToolReport, ToolRequest};
use crate::domain::ids::ConversationId;
use crate::domain::tool::{Tool, ToolKey, Wish};

/// How long a daemon may be away: it is started again within a second or two, and a restart by hand takes a little longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// What one request may take: a file of many megabytes is read and synced.
const CALL: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(250);

const INSTRUCTIONS: &str = "Tools for the chat that this task came from. They reach that chat and no other, and only while \
    the task runs. Your answer is sent there by itself: use `send_message` for what people should know earlier, and \
    `send_file` for what they should have as a file.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(context: &Context, _: Args) -> Result<ExitCode, CliError> {
    let given = |name: &str| {
        context.environment.get(name).map(str::to_owned).ok_or_else(|| {
            CliError::new(format!("{name} is not set: a runtime starts this for a task, and nobody else"))
                .hint("要从电脑上发消息：`ally send`", "to send something from the computer: `ally send`")
                .code(Code::Config)
        })
    };
    let server = Tools {
        paths: context.paths()?,
        conversation: given("ALLY_TOOLS_CONVERSATION")?.into(),
        key: ToolKey::new(given("ALLY_TOOLS_KEY")?),
    };
    let failed = |error: &dyn std::fmt::Display| CliError::new(format!("the runtime does not speak MCP: {error}"));
    let served = server.serve(rmcp::transport::stdio()).await.map_err(|error| failed(&error))?;
    // Until the runtime closes our input. What is still asked by then is asked for nobody.
    served.waiting().await.map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// The tools of one conversation.
struct Tools {
    paths: Paths,
    conversation: ConversationId,
    key: ToolKey,
}

impl Tools {
    /// Has the daemon do it; asks again while that is away. The daemon recognises a call that it has had before.
    async fn ask(&self, wish: Wish) -> Result<String, String> {
        let request = ToolRequest {
            id: uuid::Uuid::new_v4().to_string(),
            conversation: self.conversation.clone(),
            key: self.key.clone(),
            wish,
        };
        let until = Instant::now() + PATIENCE;
        let mut may_be_done = false;
        loop {
            let asked: Result<ToolReport, ClientError> = async {
                // A daemon that was started anew has another token.
                Client::connect(&self.paths)?.post_within("/v1/tools", &request, CALL).await
            }
            .await;
            let why = match asked {
                Ok(report) => return Ok(report.told),
                Err(error @ ClientError::Refused { status: 401 | 503, .. }) => error,
                Err(ClientError::Refused { error, .. }) => return Err(error),
                Err(error @ ClientError::Lost(_)) => {
                    may_be_done = true;
                    error
                }
                Err(error) => error,
            };
            if Instant::now() >= until {
                let done = match may_be_done {
                    true => "Whether it was done is not known: do not do it again in this task",
                    false => "Nothing was done: say it in your answer instead",
                };
                return Err(format!("ally is away ({why}), also after {} s. {done}.", PATIENCE.as_secs()));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        InitializeResult::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("ally", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(Tool::ALL.map(described).to_vec()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let wish = serde_json::from_value(json!({ "tool": request.name, "arguments": arguments }));
        let told = match wish {
            Ok(wish) => self.ask(wish).await,
            Err(error) => Err(format!("the arguments cannot be read: {error}")),
        };
        // A refusal is for the model to read: an error of the protocol would be the client's.
        let result = match told {
            Ok(told) => CallToolResult::success(vec![ContentBlock::text(told)]),
            Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
        };
        Ok(result.into())
    }
}

/// A tool as the model reads it.
fn described(tool: Tool) -> McpTool {
    let (description, properties, required): (&str, Value, &[&str]) = match tool {
        Tool::SendMessage => (
            "Say something in the chat that this task came from, now, while the task goes on. Markdown. For news that people \
             should have before the task is over; your final answer is sent by itself, so do not send it with this.",
            json!({ "text": { "type": "string", "description": "What to say, in Markdown, in the language of the chat." } }),
            &["text"],
        ),
        Tool::SendFile => (
            "Send a file from the working directory to the chat that this task came from. Pictures are shown there. Nothing \
             outside of the working directory is sent, also not by a link, and nothing that is a secret by its name.",
            json!({
                "path": {
                    "type": "string",
                    "description": "The file, relative to the task's working directory or absolute below it.",
                },
                "name": { "type": "string", "description": "How it is called in the chat; without it by its own name." },
            }),
            &["path"],
        ),
        Tool::CreateRoutine => (
            "Propose something that is to be done at certain times, or once at a later time, without anybody asking for it. It \
             is shown in the chat and made only when the owner or an admin confirms it there. It works in this task's \
             directory and is told in this chat. At its time nobody may be awake, and nothing of this conversation is known: \
             the prompt has to say all that is needed.",
            json!({
                "name": { "type": "string", "description": "Letters, digits, - and _, at most 40; not in use yet." },
                "schedule": {
                    "type": "string",
                    "description": "Five fields of cron (minute, hour, day of the month, month, weekday; 0 is Sunday), or \
                                    `every 6h`, or one moment as `2026-12-01 09:00`.",
                },
                "zone": { "type": "string", "description": "An IANA time zone like Asia/Shanghai; without it the machine's." },
                "prompt": { "type": "string", "description": "What to do, in at most 2,000 characters. Needed without a skill." },
                "skill": { "type": "string", "description": "The name of a skill to use." },
                "quiet": { "type": "boolean", "description": "Only failures, and what waits for a person, are told." },
                "conversation": {
                    "type": "string",
                    "description": "`fresh` (default): each run knows nothing of the one before. A name: they share one.",
                },
                "misfire": {
                    "type": "string", "enum": ["skip", "run_once", "all"],
                    "description": "What becomes of times at which the machine was off; default run_once.",
                },
                "window": { "type": "string", "description": "How late a run may be made up for, like `6h` (default)." },
                "overlap": {
                    "type": "string", "enum": ["skip", "queue"],
                    "description": "What becomes of a run that is due while the one before goes on; default skip.",
                },
                "timeout": { "type": "string", "description": "Longest work of one run, like `1h` (default)." },
            }),
            &["name", "schedule"],
        ),
        Tool::ListRoutines => (
            "List the routines whose outcome is told in the chat that this task came from, with their next times.",
            json!({}),
            &[],
        ),
    };
    let schema = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    let Value::Object(schema) = schema else { unreachable!("it is written as an object") };
    let annotations = ToolAnnotations::new()
        .read_only(tool == Tool::ListRoutines)
        .destructive(false)
        .idempotent(false)
        .open_world(false);
    McpTool::new(tool.as_str(), description, Arc::new(schema)).with_annotations(annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the model is told to say is what the daemon reads.
    #[test]
    fn every_described_argument_is_read() {
        let sample = |schema: &Value| match schema["type"].as_str() {
            Some("boolean") => json!(true),
            _ => schema["enum"].get(0).cloned().unwrap_or_else(|| json!("x")),
        };
        for tool in Tool::ALL {
            let described = serde_json::to_value(described(tool)).unwrap();
            assert_eq!(described["name"], tool.as_str());
            let properties = described["inputSchema"]["properties"].as_object().unwrap();
            let arguments: Value = properties
                .iter()
                .map(|(name, schema)| (name.clone(), sample(schema)))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let wish: Wish = serde_json::from_value(json!({ "tool": tool.as_str(), "arguments": arguments })).unwrap();
            // And nothing is read that is not described.
            let read = serde_json::to_value(&wish).unwrap();
            let read: Vec<&String> = read["arguments"].as_object().unwrap().keys().collect();
            assert_eq!(read, properties.keys().collect::<Vec<_>>(), "{tool:?}");
            let needed = described["inputSchema"]["required"].as_array().unwrap();
            assert!(needed.iter().all(|name| properties.contains_key(name.as_str().unwrap())), "{tool:?}");
        }
    }
}
