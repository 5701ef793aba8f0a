//! The runtime: its program, its configuration, its account, its sandbox, its process.

use std::path::Path;

use toml::{Table, Value};

use super::{Daemon, Sheet, joined};
use crate::bridge::ports::{LaunchError, Launcher};
use crate::config::Config;
use crate::domain::finding::{Check, Grade};
use crate::domain::safety::{Outcome, Tried};
use crate::domain::secrets;
use crate::runtimes::codex::CodexLauncher;
use crate::runtimes::codex::locate::{Found, PINNED};
use crate::words::{self, DoctorMsg};

/// Words in further arguments by which they override what ally sends along.
const OVERRIDES: [&str; 7] = [
    "sandbox",
    "approval",
    "permissions",
    "shell_environment_policy",
    "allow_login_shell",
    "shell_snapshot",
    "dangerously",
];

/// What comes of starting processes that look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Programs are asked and the sandbox is tried.
    Tried,
    /// Nothing is started.
    Looked,
}

/// What is needed to look at the runtime.
pub struct Case<'a> {
    /// The settings.
    pub config: &'a Config,
    /// Codex; `None`: another runtime is configured.
    pub codex: Option<&'a CodexLauncher>,
    /// The daemon as it was found.
    pub daemon: &'a Daemon,
    /// What came of trying the sandbox, where it was tried.
    pub tried: Option<&'a [Tried]>,
    /// How far it goes.
    pub depth: Depth,
}

/// All of it.
pub async fn examine(sheet: &mut Sheet, case: &Case<'_>) {
    match case.codex {
        Some(codex) => of_codex(sheet, case, codex).await,
        None => sheet.note(Check::Program, DoctorMsg::RuntimeEmbedded, DoctorMsg::SandboxNone),
    }
    process(sheet, case.daemon);
}

async fn of_codex(sheet: &mut Sheet, case: &Case<'_>, codex: &CodexLauncher) {
    let found = match case.depth {
        Depth::Tried => program(sheet, codex).await,
        Depth::Looked => None,
    };
    let file = codex.config().home.join("config.toml");
    let written = read(&file);
    match (case.depth, &found) {
        (Depth::Tried, Some(found)) => strict(sheet, codex, found, &file).await,
        (Depth::Tried, None) => sheet.unknown(Check::Strict, DoctorMsg::NotWithoutProgram),
        (Depth::Looked, _) => {
            if let Err(what) = &written {
                broken(sheet, what, &file);
            }
        }
    }
    let table = written.unwrap_or_default();
    weakened(sheet, case, codex, &table, &file);
    match (case.depth, &found) {
        (Depth::Tried, Some(found)) => login(sheet, case, codex, found, &table).await,
        (Depth::Tried, None) => sheet.unknown(Check::Login, DoctorMsg::NotWithoutProgram),
        (Depth::Looked, _) => {}
    }
    sandbox(sheet, case);
}

async fn program(sheet: &mut Sheet, codex: &CodexLauncher) -> Option<Found> {
    let check = Check::Program;
    match codex.program().await {
        Ok(found) if found.warning.is_some() => {
            let told = DoctorMsg::ProgramOther { version: &found.version, pinned: PINNED };
            sheet.note(check, told, DoctorMsg::ProgramOtherRemedy { pinned: PINNED });
            Some(found)
        }
        Ok(found) => {
            let program = found.program.display().to_string();
            sheet.ok(check, DoctorMsg::ProgramFine { version: &found.version, program: &program });
            Some(found)
        }
        Err(error) => {
            let remedy = DoctorMsg::ProgramMissingRemedy { pinned: PINNED };
            match &error {
                LaunchError::WrongVersion { found, .. } => sheet.bad(check, DoctorMsg::ProgramOld { found }, remedy),
                LaunchError::NotFound { looked, .. } => {
                    sheet.bad(check, DoctorMsg::ProgramMissing { why: looked }, remedy);
                }
                other => sheet.bad(check, DoctorMsg::ProgramMissing { why: &other.to_string() }, remedy),
            }
            None
        }
    }
}

/// A missing file is an empty one. What is wrong with it is in the parser's words.
fn read(file: &Path) -> Result<Table, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => text.parse::<Table>().map_err(|error| error.to_string().trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Table::new()),
        Err(error) => Err(error.to_string()),
    }
}

fn broken(sheet: &mut Sheet, what: &str, file: &Path) {
    let file = file.display().to_string();
    let remedy = DoctorMsg::StrictRemedy { file: &file };
    sheet.bad(Check::Strict, DoctorMsg::StrictBroken { what }, remedy);
}

async fn strict(sheet: &mut Sheet, codex: &CodexLauncher, found: &Found, file: &Path) {
    let (check, shown) = (Check::Strict, file.display().to_string());
    if !codex.config().home.is_dir() {
        let home = codex.config().home.display().to_string();
        return sheet.note(check, DoctorMsg::NoHome { home: &home }, DoctorMsg::StartRemedy);
    }
    match codex.unknown_key(found).await {
        Ok(None) => sheet.ok(check, DoctorMsg::StrictFine { file: &shown }),
        Ok(Some(what)) => {
            let remedy = DoctorMsg::StrictRemedy { file: &shown };
            sheet.bad(check, DoctorMsg::StrictUnknownKey { what: &what }, remedy);
        }
        Err(LaunchError::BadConfig { detail }) => broken(sheet, &detail, file),
        Err(error) => sheet.unknown(check, DoctorMsg::StrictUntried { why: &error.to_string() }),
    }
}

/// What lets commands do more than ally says, or runs outside of the sandbox by itself.
fn weakened(sheet: &mut Sheet, case: &Case<'_>, codex: &CodexLauncher, table: &Table, file: &Path) {
    let (check, lang) = (Check::Weakened, sheet.lang);
    let (codexs, ours) = (file.display().to_string(), case.config.paths.config.display().to_string());
    let before = sheet.findings.len();
    // Each says what to do.
    let weak = case.config.safety_warnings();
    if !weak.is_empty() {
        let remedy = DoctorMsg::WeakenedRemedy { file: &ours }.text(lang);
        sheet.put(check, Grade::Bad, weak.join("\n"), Some(remedy));
    }
    for arg in overriding(&codex.config().args) {
        sheet.bad(check, DoctorMsg::WeakArgs { arg }, DoctorMsg::WeakenedRemedy { file: &ours });
    }
    for name in
        table_of(table, "permissions").into_iter().flat_map(Table::keys).filter(|name| name.starts_with("ally-"))
    {
        sheet.bad(check, DoctorMsg::WeakProfile { name }, DoctorMsg::WeakenedRemedy { file: &codexs });
    }
    let variables = table_of(table, "shell_environment_policy").and_then(|policy| table_of(policy, "set"));
    for name in variables.into_iter().flat_map(Table::keys).filter(|name| secrets::is_name_of_secret(name)) {
        sheet.bad(check, DoctorMsg::WeakVariable { name }, DoctorMsg::WeakenedRemedy { file: &codexs });
    }
    let remedy = DoctorMsg::WeakNoteRemedy { file: &codexs };
    let servers: Vec<String> = table_of(table, "mcp_servers").into_iter().flat_map(Table::keys).cloned().collect();
    if !servers.is_empty() {
        sheet.note(check, DoctorMsg::WeakServers { names: &joined(&servers, lang) }, remedy);
    }
    if table.contains_key("notify") {
        sheet.note(check, DoctorMsg::WeakNotify, remedy);
    }
    if table.contains_key("hooks") {
        sheet.note(check, DoctorMsg::WeakHooks, remedy);
    }
    if sheet.findings.len() == before {
        sheet.ok(check, DoctorMsg::WeakenedNot);
    }
}

fn table_of<'a>(table: &'a Table, key: &str) -> Option<&'a Table> {
    table.get(key)?.as_table()
}

fn overriding(args: &[String]) -> Vec<&str> {
    let fits = |arg: &&str| OVERRIDES.iter().any(|word| arg.contains(word));
    args.iter().map(String::as_str).filter(fits).collect()
}

/// The name of the provider, and what it says of itself; codex's own says nothing.
fn provider(table: &Table) -> (String, Option<&Table>) {
    let name = table.get("model_provider").and_then(Value::as_str).unwrap_or("openai");
    let known = table_of(table, "model_providers").and_then(|all| table_of(all, name));
    (name.to_owned(), known)
}

async fn login(sheet: &mut Sheet, case: &Case<'_>, codex: &CodexLauncher, found: &Found, table: &Table) {
    let check = Check::Login;
    let (name, own) = provider(table);
    if let Some(own) = own.filter(|own| own.get("requires_openai_auth").and_then(Value::as_bool) != Some(true)) {
        let key = own.get("env_key").and_then(Value::as_str);
        let passed_on = |key: &&str| case.config.child_environment.iter().any(|(name, _)| name == key);
        return match key.filter(|key| !passed_on(key)) {
            Some(key) => {
                sheet.bad(check, DoctorMsg::LoginKeyMissing { provider: &name, key }, DoctorMsg::LoginKeyRemedy);
            }
            None => sheet.ok(check, DoctorMsg::LoginNotNeeded { provider: &name }),
        };
    }
    if !codex.config().home.is_dir() {
        let home = codex.config().home.display().to_string();
        return sheet.unknown(check, DoctorMsg::NoHome { home: &home });
    }
    match codex.is_signed_in(found).await {
        Ok(true) => sheet.ok(check, DoctorMsg::LoginFine),
        Ok(false) => {
            let command = codex.login().unwrap_or_else(|| "codex login".to_owned());
            sheet.bad(check, DoctorMsg::LoginMissing, DoctorMsg::LoginRemedy { command: &command });
        }
        Err(why) => sheet.unknown(check, DoctorMsg::LoginUnknown { why: &why }),
    }
}

fn sandbox(sheet: &mut Sheet, case: &Case<'_>) {
    let (check, lang) = (Check::Sandbox, sheet.lang);
    let Some(tried) = case.tried else {
        if case.depth == Depth::Tried {
            sheet.unknown_but(check, DoctorMsg::SandboxUntried, DoctorMsg::SandboxTryRemedy);
        }
        return;
    };
    let (mut broken, mut unknown) = (Vec::new(), Vec::new());
    for Tried { promise, outcome } in tried {
        match outcome {
            Outcome::Held => {}
            Outcome::NotHeld { .. } => broken.push(words::promise(*promise, lang).to_owned()),
            Outcome::Unknown { why } if !unknown.contains(why) => unknown.push(why.clone()),
            Outcome::Unknown { .. } => {}
        }
    }
    if !broken.is_empty() {
        sheet.bad(check, DoctorMsg::SandboxBroken { what: &joined(&broken, lang) }, DoctorMsg::SandboxRemedy);
    } else if !unknown.is_empty() {
        sheet.unknown_but(check, DoctorMsg::SandboxUnknown { why: &joined(&unknown, lang) }, DoctorMsg::SandboxRemedy);
    } else if tried.is_empty() {
        sheet.bad(check, DoctorMsg::SandboxNone, DoctorMsg::SandboxRemedy);
    } else {
        sheet.ok(check, DoctorMsg::SandboxHolds { n: tried.len() });
    }
}

fn process(sheet: &mut Sheet, daemon: &Daemon) {
    let check = Check::Process;
    if !daemon.is_there() {
        return sheet.unknown(check, DoctorMsg::ProcessOff);
    }
    let Some(runtime) = daemon.status.as_ref().and_then(|status| status.runtime.as_ref()) else {
        return sheet.unknown(check, DoctorMsg::ProcessStarting);
    };
    let why = runtime.problem.as_deref().unwrap_or("?");
    match runtime.state.as_str() {
        "ready" => {
            let version = format!("{} {}", runtime.kind, runtime.version.as_deref().unwrap_or_default());
            let generation = runtime.generation.unwrap_or_default();
            sheet.ok(check, DoctorMsg::ProcessReady { version: version.trim_end(), generation });
        }
        "stuck" => sheet.bad(check, DoctorMsg::ProcessStuck { why }, DoctorMsg::ProcessStuckRemedy),
        "down" => sheet.bad(check, DoctorMsg::ProcessDown { why }, DoctorMsg::ProcessDownRemedy),
        _ => sheet.unknown(check, DoctorMsg::ProcessStarting),
    }
    for warning in &runtime.warnings {
        sheet.put(check, Grade::Note, warning.clone(), None);
    }
}

/// How many promises do not hold: that has an exit code of its own.
pub fn is_exposed(tried: &[Tried]) -> bool {
    tried.iter().any(|tried| matches!(tried.outcome, Outcome::NotHeld { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{DaemonState, RuntimeReport, StatusReport};
    use crate::domain::view::Lang;

    #[test]
    fn arguments_that_override_are_found() {
        let args =
            ["-c", "model_verbosity=low", "-c", "sandbox_mode=\"danger-full-access\"", "--yolo"].map(str::to_owned);
        assert_eq!(overriding(&args), ["sandbox_mode=\"danger-full-access\""]);
        assert!(overriding(&["--dangerously-bypass-approvals-and-sandbox".to_owned()]).len() == 1);
    }

    #[test]
    fn a_provider_says_itself_what_it_needs() {
        let table: Table = "model_provider = \"x\"\n[model_providers.x]\nenv_key = \"K\"\n".parse().unwrap();
        let (name, own) = provider(&table);
        assert_eq!((name.as_str(), own.and_then(|own| own.get("env_key")).and_then(Value::as_str)), ("x", Some("K")));
        assert_eq!(provider(&Table::new()).0, "openai");
    }

    #[test]
    fn a_process_that_is_stuck_or_down_is_bad() {
        for (state, want) in
            [("ready", Grade::Ok), ("starting", Grade::Unknown), ("down", Grade::Bad), ("stuck", Grade::Bad)]
        {
            let mut status = StatusReport::empty("h".to_owned(), DaemonState::Running);
            status.runtime = Some(RuntimeReport {
                kind: "codex".to_owned(),
                version: Some("0.169.0".to_owned()),
                generation: Some(2),
                since_ms: None,
                state: state.to_owned(),
                problem: Some("why".to_owned()),
                warnings: Vec::new(),
            });
            let daemon = Daemon { state: DaemonState::Running, status: Some(status), crashes: None };
            let mut sheet = Sheet::new(Lang::En);
            process(&mut sheet, &daemon);
            assert_eq!(sheet.findings[0].grade, want, "{state}");
        }
    }
}
