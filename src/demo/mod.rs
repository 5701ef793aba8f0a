//! A model that does what it is told in double brackets: for the demo and for tests, offline and deterministic.
//!
//! `codex` talks to it as to any Responses API; the embedded runtime plays the same [`script`] in process.

mod answer;
pub mod script;
mod server;

pub use server::serve;

/// A minimal `config.toml` that makes codex use the scripted model at `base_url` (which ends in `/v1`) and nothing else.
pub fn codex_config(base_url: &str) -> String {
    // A JSON string is a TOML string as well.
    let base_url = serde_json::Value::from(base_url);
    format!(
        r#"model = "gpt-5.5"
model_provider = "mock"
check_for_update_on_startup = false
web_search = "disabled"
suppress_unstable_features_warning = true
sandbox_mode = "workspace-write"
approval_policy = "on-request"

[analytics]
enabled = false

[features]
apps = false
plugins = false
remote_plugin = false
unbounded_connection_retries = false
default_mode_request_user_input = true
request_permissions_tool = true

[model_providers.mock]
name = "mock"
base_url = {base_url}
wire_api = "responses"
requires_openai_auth = false
request_max_retries = 0
stream_max_retries = 1
stream_idle_timeout_ms = 300000
"#
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_configuration_is_toml() {
        let config: toml::Table = super::codex_config("http://127.0.0.1:1/v1").parse().expect("valid TOML");
        assert_eq!(config["model_providers"]["mock"]["base_url"].as_str(), Some("http://127.0.0.1:1/v1"));
        assert_eq!(config["model"].as_str(), Some("gpt-5.5"));
    }
}
