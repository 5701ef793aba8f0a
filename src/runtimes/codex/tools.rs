//! ally's own tools, as codex takes them with a thread: a server that codex starts and speaks MCP to.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bridge::ports::ToolAccess;
use crate::domain::tool::Tool;

/// Where they stand in the `config` of a thread, by their whole name: a table would take the place of the servers that are
/// set for every thread.
pub const KEY: &str = "mcp_servers.ally";

/// How the server is started: this program, and the home whose daemon it speaks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolServer {
    /// ally itself.
    pub program: PathBuf,
    /// `$ALLY_HOME`.
    pub home: PathBuf,
}

/// The server of one conversation. It runs outside of the sandbox; what its commands may do is not its business, and
/// what it is given stands in its environment, which none of them sees.
pub fn server(own: &ToolServer, access: &ToolAccess) -> Value {
    json!({
        "command": own.program,
        "args": ["mcp"],
        "env": {
            "ALLY_HOME": own.home,
            "ALLY_TOOLS_CONVERSATION": access.conversation,
            "ALLY_TOOLS_KEY": access.key.expose(),
        },
        "enabled_tools": Tool::ALL.map(Tool::as_str),
        // They reach the chat that asked, and nothing else: scoped, limited and audited by the daemon.
        "default_tools_approval_mode": "approve",
        // It is there in milliseconds; a loaded machine takes longer.
        "startup_timeout_sec": 30,
        // Longer than the server itself waits for a daemon that is away.
        "tool_timeout_sec": 120,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tool::ToolKey;

    #[test]
    fn the_key_stands_in_the_environment_alone() {
        let own = ToolServer { program: "/opt/ally".into(), home: "/h/.ally".into() };
        let access = ToolAccess { conversation: "c1".into(), key: ToolKey::new("sesame") };
        let server = server(&own, &access);
        assert_eq!((&server["command"], &server["args"]), (&json!("/opt/ally"), &json!(["mcp"])));
        assert_eq!(server["env"]["ALLY_TOOLS_KEY"], "sesame");
        assert_eq!(server.to_string().matches("sesame").count(), 1);
    }
}
