//! A file that can be sent to whoever helps: what the doctor found, the status, the settings and the last of the log. No
//! message ever stands in it, and no secret: each is masked by its value and by its look.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::Value;

use crate::config::{Config, Paths};
use crate::domain::secrets::{MASK, Masks, is_name_of_secret};
use crate::telemetry;

/// Lines of each log.
const LINES: usize = 400;
/// The most that is read of a file for them.
const TAIL: u64 = 1 << 20;

/// What goes into a bundle besides what is read from the home.
pub struct Parts<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// The settings, where they can be read.
    pub config: Option<&'a Config>,
    /// The doctor's findings, as JSON.
    pub findings: String,
    /// The status, as JSON.
    pub status: String,
    /// Of the runtime, the system and ally, a line each.
    pub versions: Vec<String>,
}

/// The whole file.
pub fn text(parts: &Parts<'_>) -> String {
    let paths = parts.paths;
    let mut sections = vec![
        ("versions", parts.versions.join("\n")),
        ("findings", parts.findings.clone()),
        ("status", parts.status.clone()),
        ("ally.toml", of_file(&paths.config)),
        (".env: names only", names_of(&of_file(&paths.env))),
    ];
    if let Some(home) = codex_home(parts) {
        sections.push(("config.toml of codex", of_file(&home.join("config.toml"))));
    }
    for name in ["ally", "supervisor"] {
        // A day may have begun just now.
        let newest = telemetry::files(&paths.logs, name).into_iter().rev().take(2).collect::<Vec<_>>();
        sections.extend(newest.iter().rev().map(|file| (name, tail(file))));
    }
    sections.push(("daemon.log", tail(&paths.daemon_log())));
    let masks = masks(parts);
    let mut text = String::from("# What `ally doctor` found. Secrets are masked; no message stands in here.\n");
    for (name, body) in sections {
        text.push_str(&format!("\n===== {name} =====\n{}\n", masks.mask(body.trim_end())));
    }
    text
}

/// Writes it where nothing is yet, for the owner only.
///
/// # Errors
/// The system's.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

fn codex_home(parts: &Parts<'_>) -> Option<std::path::PathBuf> {
    match &parts.config?.runtime {
        crate::config::RuntimeConfig::Codex(codex) => Some(codex.home.clone()),
        crate::config::RuntimeConfig::Embedded => None,
    }
}

fn of_file(path: &Path) -> String {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("# {}: {error}", path.display()),
    }
}

/// The keys of an `.env`, in their order.
fn names_of(text: &str) -> String {
    let key = |line: &str| line.split_once('=').map(|(key, _)| format!("{}={MASK}", key.trim()));
    text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(key).collect::<Vec<_>>().join("\n")
}

fn tail(file: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut open = fs::File::open(file)?;
        let bytes = open.metadata()?.len();
        open.seek(SeekFrom::Start(bytes.saturating_sub(TAIL)))?;
        let mut last = Vec::new();
        open.take(TAIL).read_to_end(&mut last)?;
        Ok(String::from_utf8_lossy(&last).into_owned())
    };
    let Ok(text) = read() else { return String::new() };
    let mut lines = VecDeque::new();
    for line in text.lines() {
        lines.push_back(line);
        if lines.len() > LINES {
            lines.pop_front();
        }
    }
    Vec::from(lines).join("\n")
}

/// What is known to be secret on this machine.
fn masks(parts: &Parts<'_>) -> Masks {
    let mut known = Vec::new();
    for line in of_file(&parts.paths.env).lines() {
        if let Some((_, value)) = line.split_once('=').filter(|(key, _)| is_name_of_secret(key)) {
            // With its quotes and without.
            known.push(value.trim().to_owned());
            known.push(value.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    known.push(fs::read_to_string(parts.paths.token()).unwrap_or_default().trim().to_owned());
    if let Some(feishu) = parts.config.and_then(|config| config.feishu.as_ref()) {
        known.push(feishu.app_secret.expose_secret().to_owned());
        let proxy = feishu.proxy.as_ref().map(|proxy| proxy.address.expose_secret());
        let user = proxy.and_then(|address| address.split_once("://")?.1.rsplit_once('@'));
        known.extend(user.into_iter().flat_map(|(user, _)| user.split(':')).map(str::to_owned));
    }
    if let Some(home) = codex_home(parts) {
        let account = fs::read(home.join("auth.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        strings(&account.unwrap_or(Value::Null), &mut known);
    }
    Masks::new(known)
}

/// Whatever stands in codex's own file of credentials.
fn strings(value: &Value, into: &mut Vec<String>) {
    match value {
        // Shorter ones are words like the kind of the account.
        Value::String(text) if text.len() >= 16 => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, into)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn nothing_secret_is_in_a_bundle() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("home"), None);
        paths.create().unwrap();
        fs::write(&paths.env, "FEISHU_APP_ID=cli_1\nFEISHU_APP_SECRET=\"planted-secret\"\n").unwrap();
        fs::write(paths.token(), "planted-token-of-the-socket\n").unwrap();
        fs::write(&paths.config, "lang = \"en\"\n").unwrap();
        let line = "{\"message\":\"refused planted-secret with Bearer planted-token-of-the-socket\"}\n";
        fs::write(paths.logs.join("ally.2026-11-22.log"), line.repeat(500)).unwrap();
        let parts = Parts {
            paths: &paths,
            config: None,
            findings: "{\"found\": \"planted-secret\"}".to_owned(),
            status: "{}".to_owned(),
            versions: vec!["ally 0.1.0".to_owned()],
        };
        let text = text(&parts);
        assert!(!text.contains("planted"), "{text}");
        for want in ["ally 0.1.0", "lang = \"en\"", "FEISHU_APP_SECRET=***", "refused *** with"] {
            assert!(text.contains(want), "{want} is missing in {text}");
        }
        assert_eq!(text.matches("refused").count(), LINES);
        let file = temp.path().join("bundle.txt");
        write(&file, &text).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert!(write(&file, &text).is_err(), "what lies there stays");
    }
}
