//! Tries what the profiles promise, with a codex of its own: `command/exec` runs a command in the sandbox of a named
//! profile, without a thread and without a model. What it cannot try is an allowed request to leave the sandbox.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::launch::{CodexLauncher, prepare_home, shake_hands};
use super::wire::Executed;
use super::{ground, locate, profile, temp};
use crate::bridge::ports::{LaunchError, Level, Posture, Probe};
use crate::domain::safety::{Outcome, Promise, Tried};
use crate::runtimes::rpc::Peer;

/// Longest wait for one command.
const PATIENCE: Duration = Duration::from_secs(30);
/// The last word of a command that came to its end: without it nothing is proven.
const END: &str = "tried";
/// A variable that only ally knows.
const PLANTED: &str = "ALLY_PROBE_SECRET";
/// What lies in the project of the probe and is a secret by its name.
const SECRETS: [&str; 6] = [".env", ".env.local", "deep/er/.env", "key.pem", "id_rsa", ".npmrc"];

/// Tells which of its arguments can be read, by their number. No content leaves the sandbox.
const READ: &str = "n=0; for p in \"$@\"; do if [ -d \"$p\" ]; then ls -A \"$p\"; else head -c 1 \"$p\"; fi \
    > /dev/null 2>&1 && echo $n; n=$((n+1)); done; echo tried";
const WRITE: &str = "for p in \"$@\"; do touch \"$p\" 2> /dev/null; done; echo tried";
const REACH: &str = "(exec 3<> \"/dev/tcp/127.0.0.1/$1\") 2> /dev/null; echo tried";
const SEE: &str =
    "{ env; cat /proc/[0-9]*/environ 2> /dev/null | tr '\\0' '\\n'; } | grep -q \"^$1=\" && echo seen; echo tried";

impl CodexLauncher {
    pub(super) async fn try_promises(&self, probe: &Probe) -> Vec<Tried> {
        let tried = match self.prepare(probe).await {
            Ok(site) => site.try_all().await,
            Err(why) => Tried::nothing(&why),
        };
        let _ = std::fs::remove_dir_all(&probe.folder);
        tried
    }

    async fn prepare(&self, probe: &Probe) -> Result<Site, String> {
        let found = locate::locate(&self.config).await.map_err(|error| error.to_string())?;
        prepare_home(&self.config).map_err(|error| error.to_string())?;
        let root = plant(&probe.folder).map_err(|error| format!("{}: {error}", probe.folder.display()))?;
        let (project, other) = (root.join("project"), root.join("other"));
        let denied = probe.denied.iter().cloned().chain([other]).collect();
        let posture = Posture { denied, ..Posture::of(Level::Edit) };
        temp::prepare(&self.config.tmp_dir, &project, &[]).map_err(|error| error.to_string())?;
        let ground = ground::look(&self.config, &found.program, &project, &posture);
        let others: Vec<PathBuf> = ground.denied.iter().filter(|path| posture.denied.contains(path)).cloned().collect();
        let mut private: Vec<PathBuf> = ground.denied.iter().filter(|path| !others.contains(path)).cloned().collect();
        private.extend(ground.patterns.iter().flat_map(|pattern| beginning_with(pattern.trim_end_matches('*'))));

        let mut args = self.flags("probe", false);
        let settings = match &self.config.sandbox {
            Some(sandbox) => vec![format!("sandbox_mode={}", toml(&json!(sandbox)))],
            None => {
                let profiles = &profile::config(&ground)["permissions"];
                let usual = toml(&json!(profile::name(&posture)));
                vec![format!("permissions={}", toml(profiles)), format!("default_permissions={usual}")]
            }
        };
        for setting in settings {
            args.extend(["-c".into(), setting.into()]);
        }
        let mut child = tokio::process::Command::new(&found.program)
            .args(args)
            .env_clear()
            .envs(self.environment())
            .env(PLANTED, "planted")
            .current_dir(&self.config.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", found.program.display()))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("codex has no pipes".to_owned());
        };
        let tasks = self.tasks.child();
        let (inbox, mut incoming) = mpsc::channel(1024);
        let peer = Peer::start(stdout, stdin, false, &tasks, inbox);
        shake_hands(&peer, &mut incoming, &mut Vec::new()).await.map_err(|error: LaunchError| error.to_string())?;
        let profiled = self.config.sandbox.is_none();
        Ok(Site { root, project, private, others, profiled, peer, tasks, child, _incoming: incoming })
    }
}

/// The folders of a probe and the codex that it asks.
struct Site {
    root: PathBuf,
    project: PathBuf,
    private: Vec<PathBuf>,
    others: Vec<PathBuf>,
    /// The sandbox is ours, not one that the configuration names.
    profiled: bool,
    peer: Peer,
    tasks: crate::tasks::Tasks,
    child: tokio::process::Child,
    _incoming: mpsc::Receiver<crate::runtimes::rpc::Incoming>,
}

/// What was reached or could not be done; or why that cannot be told.
type Answer = Result<Vec<String>, String>;

impl Site {
    async fn try_all(mut self) -> Vec<Tried> {
        let mut tried = Vec::new();
        for promise in Promise::ALL {
            let answer = match promise {
                Promise::Work => self.work().await,
                Promise::Secrets => self.readable(&SECRETS.map(|name| self.project.join(name))).await,
                Promise::Private => self.readable(&self.private).await,
                Promise::Others => self.readable(&self.others).await,
                Promise::Writes => self.writable().await,
                Promise::Network => self.network().await,
                Promise::Environment => self.environment().await,
            };
            let outcome = match answer {
                Ok(what) if what.is_empty() => Outcome::Held,
                Ok(what) => Outcome::NotHeld { what },
                Err(why) => Outcome::Unknown { why },
            };
            tried.push(Tried { promise, outcome });
        }
        // Its input ends, and with it codex.
        self.tasks.stop(Duration::from_millis(100)).await;
        let _ = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
        tried
    }

    /// What a command says at this level, but for its last word.
    async fn run(&self, level: Level, script: &str, args: &[String]) -> Result<Vec<String>, String> {
        let mut command = vec!["/bin/bash".to_owned(), "-c".to_owned(), script.to_owned(), "ally".to_owned()];
        command.extend_from_slice(args);
        let mut params = json!({ "command": command, "cwd": self.project, "timeoutMs": PATIENCE.as_millis() as u64 });
        if self.profiled {
            params["permissionProfile"] = json!(profile::name(&Posture::of(level)));
        }
        let answer = self.peer.call("command/exec", params, PATIENCE * 2).await.map_err(|error| error.to_string())?;
        let executed: Executed = serde_json::from_value(answer).map_err(|error| error.to_string())?;
        let mut lines: Vec<String> = executed.stdout.lines().map(str::to_owned).collect();
        if lines.pop().as_deref() == Some(END) {
            return Ok(lines);
        }
        let said = executed.stderr.lines().next().unwrap_or_default();
        Err(format!("a command ended with {} in the sandbox: {said}", executed.exit_code))
    }

    async fn readable(&self, paths: &[PathBuf]) -> Answer {
        let args: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let read = self.run(Level::Edit, READ, &args).await?;
        Ok(read.iter().filter_map(|number| args.get(number.parse::<usize>().ok()?).cloned()).collect())
    }

    async fn work(&self) -> Answer {
        let (example, made) = (self.project.join(".env.example"), self.project.join("made"));
        self.run(Level::Edit, WRITE, &[made.display().to_string()]).await?;
        let mut missing: Vec<String> = Vec::new();
        if self.readable(std::slice::from_ref(&example)).await?.is_empty() {
            missing.push(example.display().to_string());
        }
        if !made.exists() {
            missing.push(made.display().to_string());
        }
        Ok(missing)
    }

    /// What is there afterwards counts: a write to a place that is only there in the sandbox comes to nothing.
    async fn writable(&self) -> Answer {
        let (inside, outside) = (self.project.join("by-safe"), self.root.join("outside"));
        let all = [&inside, &outside].map(|path| path.display().to_string());
        self.run(Level::Safe, WRITE, &all).await?;
        self.run(Level::Edit, WRITE, &all[1..]).await?;
        Ok([inside, outside].iter().filter(|path| path.exists()).map(|path| path.display().to_string()).collect())
    }

    async fn network(&self) -> Answer {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        self.run(Level::Edit, REACH, &[address.port().to_string()]).await?;
        // Whoever came is waiting by now.
        let came = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await.is_ok();
        Ok(came.then(|| address.to_string()).into_iter().collect())
    }

    async fn environment(&self) -> Answer {
        let seen = self.run(Level::Edit, SEE, &[PLANTED.to_owned()]).await?;
        Ok(if seen.is_empty() { Vec::new() } else { vec![PLANTED.to_owned()] })
    }
}

/// Makes the folders anew; gives where they really are.
fn plant(folder: &Path) -> std::io::Result<PathBuf> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let root = std::fs::canonicalize(folder)?;
    let names = SECRETS.iter().map(|name| format!("project/{name}"));
    for name in names.chain(["project/.env.example".to_owned(), "other/file".to_owned()]) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&root))?;
        std::fs::write(path, "planted by ally to see whether it can be read\n")?;
    }
    Ok(root)
}

/// Files whose path begins like this.
fn beginning_with(start: &str) -> Vec<PathBuf> {
    let Some(folder) = Path::new(start).parent() else { return Vec::new() };
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    entries.filter(|path| path.to_string_lossy().starts_with(start)).collect()
}

/// As an inline table: a string of JSON is one of TOML as well.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("{}={}", Value::from(key.as_str()), toml(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_become_toml() {
        let value = json!({ "a b": { "**/[!x]*": "deny", "n": true }, "list": ["\"q\"", 1] });
        let text = format!("x = {}", toml(&value));
        let read: ::toml::Table = text.parse().expect("TOML");
        assert_eq!(serde_json::to_value(&read["x"]).unwrap(), value);
    }

    #[test]
    fn a_ledgers_companions_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ledger.db", "ledger.db-wal", "else"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(beginning_with(&dir.path().join("ledger.db").display().to_string()).len(), 2);
    }
}
