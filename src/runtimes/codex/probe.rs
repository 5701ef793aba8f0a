//! Tries what the profiles promise, with a codex of its own: `command/exec` runs a command in the sandbox of a named
//! profile, without a thread and without a model. What it cannot try is an allowed request to leave the sandbox.
//!
//! A command that gets nothing may as well have lacked its tools. So each also does what it may do, and where that fails,
//! too, nothing is proven.

use std::collections::BTreeSet;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, UdpSocket, UnixListener};
use tokio::sync::mpsc;

use super::launch::{CodexLauncher, prepare_home, shake_hands};
use super::wire::Executed;
use super::{ground, locate, profile, temp};
use crate::bridge::ports::{LaunchError, Level, Posture, Probe};
use crate::domain::gate::hex;
use crate::domain::safety::{Outcome, Promise, Tried};
use crate::runtimes::process::kill_marked;
use crate::runtimes::rpc::Peer;

/// Longest wait for one command.
const PATIENCE: Duration = Duration::from_secs(30);
/// Whoever came is waiting by then.
const WAITING: Duration = Duration::from_millis(100);
/// How a probe's files in shared folders begin.
const NAMED: &str = "ally-probe-";
/// A socket of this age was left by a probe that was killed: none takes so long.
const LEFT: Duration = Duration::from_secs(15 * 60);
/// The last word of a command that came to its end: without it nothing is proven.
const END: &str = "tried";
/// A variable that only ally knows.
const PLANTED: &str = "ALLY_PROBE_SECRET";
/// What lies in the project of the probe and is a secret by its name.
const SECRETS: [&str; 9] = [
    ".env",
    ".env.local",
    "deep/er/.env",
    "sub/.env/x",
    ".envs/.production/.postgres",
    "key.pem",
    "server.key",
    "id_rsa",
    ".npmrc",
];
/// The profiles of a real project, beside those of the planted one.
const REAL: &str = "real-";

/// Tells which of its arguments can be read, by their number. No content leaves the sandbox.
const READ: &str = "n=0; for p in \"$@\"; do if [ -d \"$p\" ]; then ls -A \"$p\"; else head -c 1 \"$p\"; fi \
    > /dev/null 2>&1 && echo $n; n=$((n+1)); done; echo tried";
const WRITE: &str =
    "command -v touch > /dev/null || exit 1; for p in \"$@\"; do touch \"$p\" 2> /dev/null; done; echo tried";
/// A shell that cannot connect at all takes the address for a file.
const REACH: &str = "m=$( (exec 3<> \"/dev/tcp/127.0.0.1/$1\") 2>&1 ); case \"$m\" in *'No such file'*) exit 1;; esac; \
    (exec 3> \"/dev/udp/127.0.0.1/$2\" && echo x >&3) 2> /dev/null; echo tried";
const CONNECT: &str = "program=$1; shift; for p in \"$@\"; do \"$program\" stdio-to-uds \"$p\" < /dev/null \
    > /dev/null 2>&1; done; echo tried";
/// Says what it could look at before it says what it saw.
const SEE: &str = "{ env; cat /proc/[0-9]*/environ 2> /dev/null | tr '\\0' '\\n'; } | grep -q \"^$1=\" && echo seen; \
    env | grep -q = && echo own; cat /proc/$$/environ 2> /dev/null | tr '\\0' '\\n' | grep -q = && echo all; \
    echo tried";

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
        let ground = self.ground(&found.program, &project, &posture)?;
        let others: Vec<PathBuf> = ground.denied.iter().filter(|path| posture.denied.contains(path)).cloned().collect();
        let private: Vec<PathBuf> = ground.denied.iter().filter(|path| !others.contains(path)).cloned().collect();

        // Somebody's project has other things around it than a planted one. Somebody may work there just now: nothing is
        // left in it, nor in the folder of its temporary files.
        let real = match probe.denied.iter().find(|path| path.is_dir()) {
            Some(real) => {
                let denied = posture.denied.iter().filter(|path| *path != real).cloned().collect();
                let around = self.ground(&found.program, real, &Posture { denied, ..posture.clone() })?;
                Some(profile::Ground { temp: ground.temp.clone(), ..around })
            }
            None => None,
        };
        let sweep = Sweep::of(&root);
        let mut args = self.flags(&sweep.0, false);
        let settings = match &self.config.sandbox {
            Some(sandbox) => vec![format!("sandbox_mode={}", toml(&json!(sandbox)))],
            None => {
                let config = profile::config(&ground);
                let mut all: Map<String, Value> = config["permissions"].as_object().cloned().unwrap_or_default();
                let looking = real.iter().flat_map(profile::looking);
                all.extend(looking.map(|(name, profile)| (format!("{REAL}{name}"), profile)));
                let usual = toml(&json!(profile::name(&posture)));
                vec![format!("permissions={}", toml(&Value::Object(all))), format!("default_permissions={usual}")]
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
        Ok(Site {
            temp: ground.temp,
            tmp_dir: self.config.tmp_dir.clone(),
            home: self.config.env.iter().find(|(name, _)| name == "HOME").map(|(_, home)| home.into()),
            // The end of it is random; a socket takes no long path.
            tag: uuid::Uuid::now_v7().simple().to_string().split_off(20),
            // As the profile names it: links are not there.
            program: std::fs::canonicalize(&found.program).unwrap_or(found.program),
            real: real.filter(|_| profiled).map(|ground| ground.directory),
            root,
            project,
            private,
            others,
            profiled,
            peer,
            tasks,
            child,
            _incoming: incoming,
            _sweep: sweep,
        })
    }

    fn ground(&self, program: &Path, directory: &Path, posture: &Posture) -> Result<profile::Ground, String> {
        temp::prepare(&self.config.tmp_dir, directory, &[]).map_err(|error| error.to_string())?;
        Ok(ground::look(&self.config, program, directory, posture))
    }
}

/// The mark of all that a probe starts. It ends what outlives the probe: a sandbox whose parent dies while it is being set
/// up waits for ever.
struct Sweep(String);

impl Sweep {
    /// Begins with what a probe that was killed there left behind. Of the path only a number, for it may hold what no
    /// setting takes.
    fn of(root: &Path) -> Self {
        let name = hex(&Sha256::digest(root.as_os_str().as_encoded_bytes()));
        let sweep = Self(format!("probe-{}", &name[..16]));
        kill_marked(&sweep.0);
        sweep
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        kill_marked(&self.0);
    }
}

/// The folders of a probe and the codex that it asks.
struct Site {
    root: PathBuf,
    project: PathBuf,
    /// A project of somebody, where one is known. Nothing is written there.
    real: Option<PathBuf>,
    /// Where commands of the project keep temporary files, and where codex does.
    temp: PathBuf,
    tmp_dir: PathBuf,
    home: Option<PathBuf>,
    program: PathBuf,
    /// In the names of what is planted beside other things.
    tag: String,
    private: Vec<PathBuf>,
    others: Vec<PathBuf>,
    /// The sandbox is ours, not one that the configuration names.
    profiled: bool,
    peer: Peer,
    tasks: crate::tasks::Tasks,
    child: tokio::process::Child,
    _incoming: mpsc::Receiver<crate::runtimes::rpc::Incoming>,
    /// After everything else is dropped.
    _sweep: Sweep,
}

/// What was reached or could not be done; or why that cannot be told.
type Answer = Result<Vec<String>, String>;

impl Site {
    async fn try_all(mut self) -> Vec<Tried> {
        let mut tried = Vec::new();
        for promise in Promise::ALL {
            let answer = match promise {
                Promise::Work => self.work().await,
                Promise::Secrets => self.readable(&SECRETS.map(|name| self.project.join(name)), true).await,
                Promise::Private => self.readable(&self.private, false).await,
                Promise::Others => self.readable(&self.others, false).await,
                Promise::Writes => self.writable().await,
                Promise::Network => self.network().await,
                Promise::Sockets => self.sockets().await,
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
        self.run_in(&self.project, "", level, script, args).await
    }

    async fn run_in(
        &self,
        directory: &Path,
        profiles: &str,
        level: Level,
        script: &str,
        args: &[String],
    ) -> Result<Vec<String>, String> {
        let mut command = vec!["/bin/bash".to_owned(), "-c".to_owned(), script.to_owned(), "ally".to_owned()];
        command.extend_from_slice(args);
        let mut params = json!({ "command": command, "cwd": directory, "timeoutMs": PATIENCE.as_millis() as u64 });
        if self.profiled {
            params["permissionProfile"] = json!(format!("{profiles}{}", profile::name(&Posture::of(level))));
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

    /// Which of these can be read, without and with the network, from the planted project and, but for what lies in it,
    /// from a real one.
    async fn readable(&self, paths: &[PathBuf], of_project: bool) -> Answer {
        let mut read = BTreeSet::new();
        for level in [Level::Edit, Level::Trusted] {
            read.extend(self.readable_in(&self.project, "", level, paths).await?);
            if let Some(real) = self.real.as_ref().filter(|_| !of_project) {
                let paths: Vec<PathBuf> = paths.iter().filter(|path| !path.starts_with(real)).cloned().collect();
                read.extend(self.readable_in(real, REAL, level, &paths).await?);
            }
        }
        Ok(read.into_iter().collect())
    }

    async fn readable_in(&self, directory: &Path, profiles: &str, level: Level, paths: &[PathBuf]) -> Answer {
        // A file and a folder that every command may read.
        let may = [&self.program, directory].map(|path| path.display().to_string());
        let wanted: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let args = [&may[..], &wanted[..]].concat();
        let lines = self.run_in(directory, profiles, level, READ, &args).await?;
        let read: BTreeSet<usize> = lines.iter().filter_map(|number| number.parse().ok()).collect();
        if let Some(missed) = may.iter().enumerate().find(|(number, _)| !read.contains(number)) {
            return Err(format!("a command in the sandbox could not even read {}, so it proves nothing", missed.1));
        }
        if wanted.is_empty() {
            return Err("there was nothing to try".to_owned());
        }
        Ok(read.iter().filter_map(|number| wanted.get(number.checked_sub(may.len())?).cloned()).collect())
    }

    async fn work(&self) -> Answer {
        let (example, made) = (self.project.join(".env.example"), self.project.join("made"));
        self.run(Level::Edit, WRITE, &[made.display().to_string()]).await?;
        let mut missing: Vec<String> = Vec::new();
        if self.run(Level::Edit, READ, &[example.display().to_string()]).await?.is_empty() {
            missing.push(example.display().to_string());
        }
        if !made.exists() {
            missing.push(made.display().to_string());
        }
        Ok(missing)
    }

    /// What is there afterwards counts: a write to a place that is only there in the sandbox comes to nothing.
    async fn writable(&self) -> Answer {
        let inside = self.project.join("by-safe");
        let mut outside = vec![self.root.join("outside"), self.project.join(".git/tried"), self.shared("w")];
        outside.extend(self.home.iter().map(|home| home.join(format!(".{}", self.own_name("w")))));
        let mut written = Vec::new();
        for level in [Level::Safe, Level::Edit, Level::Trusted] {
            let may = self.temp.join(level.as_str());
            let _ = std::fs::remove_file(&may);
            let inside = (level == Level::Safe).then_some(&inside);
            let tried: Vec<&PathBuf> = inside.into_iter().chain(&outside).collect();
            let args: Vec<String> = tried.iter().chain([&&may]).map(|path| path.display().to_string()).collect();
            let ran = self.run(level, WRITE, &args).await;
            let there = tried.into_iter().filter(|path| path.exists());
            written.extend(there.map(|path| path.display().to_string()));
            for path in &outside {
                let _ = std::fs::remove_file(path);
            }
            ran?;
            if self.profiled && !may.exists() {
                return Err(format!("a command in the sandbox could not even write {}", may.display()));
            }
        }
        written.sort();
        written.dedup();
        Ok(written)
    }

    async fn network(&self) -> Answer {
        let failed = |error: std::io::Error| error.to_string();
        let tcp = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let udp = UdpSocket::bind("127.0.0.1:0").await.map_err(failed)?;
        let addresses = [tcp.local_addr().map_err(failed)?, udp.local_addr().map_err(failed)?];
        let ports = addresses.map(|address| address.port().to_string());
        let came = async |level| {
            self.run(level, REACH, &ports).await?;
            let connected = tokio::time::timeout(WAITING, tcp.accept()).await.is_ok();
            let sent = tokio::time::timeout(WAITING, udp.recv(&mut [0; 8])).await.is_ok();
            Ok::<_, String>([connected, sent])
        };
        let reached = came(Level::Edit).await?;
        if self.profiled && came(Level::Trusted).await? != [true, true] {
            return Err("a command could not reach the network where it may, either".to_owned());
        }
        let names = ["tcp", "udp"].iter().zip(addresses).zip(reached);
        Ok(names.filter(|(_, reached)| *reached).map(|((kind, address), _)| format!("{kind} {address}")).collect())
    }

    /// A name that nobody else uses.
    fn own_name(&self, what: &str) -> String {
        format!("{NAMED}{}-{what}", self.tag)
    }

    /// Where programs of all kinds meet.
    fn shared(&self, what: &str) -> PathBuf {
        Path::new("/tmp").join(self.own_name(what))
    }

    /// With the network: what listens outside of the project runs outside of the sandbox.
    async fn sockets(&self) -> Answer {
        let own = self.project.join("s");
        let mut paths = vec![own.clone(), self.root.join("s"), self.tmp_dir.join(self.own_name("s")), self.shared("s")];
        paths.extend(self.home.iter().map(|home| home.join(format!(".{}", self.own_name("s")))));
        let places: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        places.into_iter().for_each(|place| clear(place, LEFT));
        let listeners: Vec<(PathBuf, UnixListener)> = paths
            .into_iter()
            .filter_map(|path| {
                let _ = std::fs::remove_file(&path);
                // A path may be too long for a socket.
                UnixListener::bind(&path).ok().map(|listener| (path, listener))
            })
            .collect();
        let mut args = vec![self.program.display().to_string()];
        args.extend(listeners.iter().map(|(path, _)| path.display().to_string()));
        let came = Mutex::new(BTreeSet::new());
        let accept = async |(path, listener): &(PathBuf, UnixListener)| {
            while listener.accept().await.is_ok() {
                came.lock().expect("no code panics while it holds this lock").insert(path.clone());
            }
        };
        let ran = tokio::select! {
            ran = self.run(Level::Trusted, CONNECT, &args) => ran,
            _ = join_all(listeners.iter().map(accept)) => Err("the sockets could not be listened to".to_owned()),
        };
        for (path, _) in &listeners {
            let _ = std::fs::remove_file(path);
        }
        ran?;
        let mut came = came.into_inner().expect("no code panics while it holds this lock");
        if !came.remove(&own) {
            return Err("a command could not even reach a socket of its project, so it proves nothing".to_owned());
        }
        match listeners.len() {
            1 => Err("no socket could be planted".to_owned()),
            _ => Ok(came.iter().map(|path| path.display().to_string()).collect()),
        }
    }

    async fn environment(&self) -> Answer {
        let seen = self.run(Level::Edit, SEE, &[PLANTED.to_owned()]).await?;
        let says = |word: &str| seen.iter().any(|line| line == word);
        if says("seen") {
            return Ok(vec![PLANTED.to_owned()]);
        }
        // Not every system has it.
        let looked = says("own") && (says("all") || !Path::new("/proc/self/environ").exists());
        if looked { Ok(Vec::new()) } else { Err("a command could not look at environments".to_owned()) }
    }
}

/// Takes away the sockets that a probe of this person left here when it was killed. They lie in folders that all share, so
/// nothing else would ever take them away.
///
/// Nobody is asked whether he listens: that could wait for a stranger, and be taken for a command that reached him.
fn clear(folder: &Path, left: Duration) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let own = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.trim_start_matches('.').starts_with(NAMED));
        let socket = entry.metadata().is_ok_and(|about| {
            let age = about.modified().ok().and_then(|at| at.elapsed().ok());
            about.file_type().is_socket() && about.uid() == own && age.is_some_and(|age| age >= left)
        });
        if ours && socket {
            let _ = std::fs::remove_file(entry.path());
        }
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
    let also = ["project/.env.example", "project/.git/HEAD", "project/.git/objects/x", "other/file"].map(str::to_owned);
    for name in names.chain(also) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&root))?;
        std::fs::write(path, "planted by ally to see whether it can be read\n")?;
    }
    Ok(root)
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
    use crate::runtimes::process::MARK;

    #[test]
    fn profiles_become_toml() {
        let value = json!({ "a b": { "**/[!x]*": "deny", "n": true }, "list": ["\"q\"", 1] });
        let text = format!("x = {}", toml(&value));
        let read: ::toml::Table = text.parse().expect("TOML");
        assert_eq!(serde_json::to_value(&read["x"]).unwrap(), value);
    }

    #[test]
    fn a_socket_that_a_killed_probe_left_is_taken_away() {
        use std::os::unix::net::UnixListener;
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let left = [at("ally-probe-0123-s"), at(".ally-probe-4567-s")];
        let kept = [at("ally-probe-89ab-w"), at("other-s")];
        std::fs::write(&kept[0], "no socket").expect("written");
        for path in left.iter().chain([&kept[1]]) {
            drop(UnixListener::bind(path).expect("a socket"));
        }
        clear(folder.path(), LEFT);
        assert!(left.iter().all(|path| path.exists()), "they may be just made");
        clear(folder.path(), Duration::ZERO);
        assert!(left.iter().all(|path| !path.exists()), "they are of that age");
        assert!(kept.iter().all(|path| path.exists()), "these are somebody's");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_outlives_a_probe_is_ended_by_its_end_and_by_the_next() {
        let root = Path::new("/h/it's \"quoted\"/probe");
        let left = |mark: &str| {
            let mut command = std::process::Command::new("sleep");
            command.arg("600").env(MARK, mark).stdin(Stdio::null()).spawn().expect("a process")
        };
        let sweep = Sweep::of(root);
        assert!(sweep.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{}", sweep.0);
        let (mut own, mut other) = (left(&sweep.0), left("probe-of-another"));
        drop(sweep);
        assert!(!own.wait().expect("ended").success());
        let mut former = left(&Sweep::of(root).0);
        let _next = Sweep::of(root);
        assert!(!former.wait().expect("ended").success());
        assert!(other.try_wait().expect("a state").is_none(), "it is somebody else's");
        other.kill().expect("ended");
        other.wait().expect("ended");
    }
}
