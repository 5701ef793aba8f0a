//! Where everything of one home lies. Nothing here touches the disk but [`Paths::create`].

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Environment;
use super::problem::Problems;

/// `sockaddr_un` holds 104 bytes on macOS and 108 on Linux, the closing zero included.
const LONGEST_SOCKET: usize = 100;

/// The files and folders of one `$ALLY_HOME`, all absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `$ALLY_HOME`.
    pub home: PathBuf,
    /// Settings.
    pub config: PathBuf,
    /// Credentials.
    pub env: PathBuf,
    /// The ledger.
    pub ledger: PathBuf,
    /// Sockets, token, locks, marks: `run/`.
    pub run: PathBuf,
    /// `TMPDIR` of the runtimes, and below it those of their commands.
    pub tmp: PathBuf,
    /// Log files.
    pub logs: PathBuf,
    /// Files on their way out, by hash.
    pub outbox: PathBuf,
    /// What is kept of settled turns.
    pub archive: PathBuf,
    /// Copies of the ledger.
    pub backups: PathBuf,
    /// Codex's own home, unless configured otherwise.
    pub codex: PathBuf,
    /// Installed runtimes.
    pub runtimes: PathBuf,
    /// Working directories of chats that are bound to no project.
    pub workspaces: PathBuf,
    /// Messages of the local channel.
    pub local: PathBuf,
    /// Files that people sent.
    pub attachments: PathBuf,
    /// Routines that are files.
    pub routines: PathBuf,
    /// Where an assistant lives: its memory, and where routines work that name no directory.
    pub assistant: PathBuf,
    socket: PathBuf,
}

impl Paths {
    /// The paths of the home that the environment names (default `~/.ally`).
    pub fn find(environment: &Environment) -> Result<Self, Problems> {
        let wanted = match (environment.get("ALLY_HOME"), environment.home()) {
            (Some(path), Some(home)) => expand(path, home),
            (Some(path), None) => PathBuf::from(path),
            (None, Some(home)) => home.join(".ally"),
            (None, None) => {
                return Err(Problems::of_file(
                    Path::new("~/.ally"),
                    "there is no home directory",
                    "set HOME, or ALLY_HOME to an absolute path",
                ));
            }
        };
        let home = std::path::absolute(&wanted)
            .map_err(|error| Problems::of_file(&wanted, error.to_string(), "set ALLY_HOME to an absolute path"))?;
        Ok(Self::of_home(home, environment.get("XDG_RUNTIME_DIR").map(Path::new)))
    }

    /// The paths below `home`. `runtime_dir` takes the socket when its own path would be too long.
    pub fn of_home(home: PathBuf, runtime_dir: Option<&Path>) -> Self {
        let run = home.join("run");
        let socket = socket_path(&run, runtime_dir);
        Self {
            config: home.join("ally.toml"),
            env: home.join(".env"),
            ledger: home.join("ledger.db"),
            tmp: home.join("tmp"),
            logs: home.join("logs"),
            outbox: home.join("outbox"),
            archive: home.join("archive"),
            backups: home.join("backups"),
            codex: home.join("codex"),
            runtimes: home.join("runtimes"),
            workspaces: home.join("workspaces"),
            local: home.join("local"),
            attachments: home.join("attachments"),
            routines: home.join("routines"),
            assistant: home.join("assistant"),
            socket,
            run,
            home,
        }
    }

    /// The repository that keeps former states of the assistant's directory.
    pub fn autosave(&self) -> PathBuf {
        self.home.join("assistant.git")
    }

    /// Where the sandbox is tried.
    pub fn probe(&self) -> PathBuf {
        self.home.join("probe")
    }

    /// What no command of an agent reads. Missing: `runtimes` and `tmp`, which every command needs, and workspaces,
    /// attachments and the assistant's directory, of which each conversation reads its own.
    pub fn private(&self) -> Vec<PathBuf> {
        let files = [&self.config, &self.env, &self.ledger];
        let folders = [
            &self.run,
            &self.logs,
            &self.outbox,
            &self.archive,
            &self.backups,
            &self.codex,
            &self.local,
            &self.routines,
        ];
        files.into_iter().chain(folders).cloned().collect()
    }

    /// The control socket: `run/control.sock`, or a short path that `run/control.path` names.
    pub fn socket(&self) -> PathBuf {
        match fs::read_to_string(self.socket_note()) {
            Ok(path) if !path.trim().is_empty() && !self.socket_fits() => PathBuf::from(path.trim()),
            _ => self.socket.clone(),
        }
    }

    /// Where a control socket outside the home is written down.
    pub fn socket_note(&self) -> PathBuf {
        self.run.join("control.path")
    }

    /// The control socket lies in the home itself.
    pub fn socket_fits(&self) -> bool {
        self.socket.starts_with(&self.run)
    }

    /// How far `ally setup` has come, as far as the settings do not tell it.
    pub fn setup(&self) -> PathBuf {
        self.run.join("setup.json")
    }

    /// Held by `ally setup` while somebody is at it.
    pub fn setup_lock(&self) -> PathBuf {
        self.run.join("setup.lock")
    }

    /// In test builds: where the bridge shall die, see [`crate::crash`].
    pub fn crash_point(&self) -> PathBuf {
        self.run.join("crash-point")
    }

    /// In test builds: how many bytes of a runtime may be unread.
    pub fn hold_limit(&self) -> PathBuf {
        self.run.join("hold-limit")
    }

    /// In test builds: how many bytes are free where the home lies.
    pub fn free_space(&self) -> PathBuf {
        self.run.join("free-space")
    }

    /// The token that every request on the control socket carries.
    pub fn token(&self) -> PathBuf {
        self.run.join("token")
    }

    /// Held by the bridge for life.
    pub fn ledger_lock(&self) -> PathBuf {
        self.run.join("ledger.lock")
    }

    /// Held by the supervisor for life; its pid is written inside.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.run.join("supervisor.lock")
    }

    /// Pid and start time of the present bridge.
    pub fn bridge_pid(&self) -> PathBuf {
        self.run.join("bridge.pid")
    }

    /// Deaths of the bridge since it last took work.
    pub fn crashes(&self) -> PathBuf {
        self.run.join("crashes.json")
    }

    /// A bridge that died again and again, until one has lived for a while.
    pub fn crash_loop(&self) -> PathBuf {
        self.run.join("crash-loop.json")
    }

    /// In test builds: for how many milliseconds a bridge that dies again and again rests.
    pub fn crash_rest(&self) -> PathBuf {
        self.run.join("crash-rest")
    }

    /// In test builds: for how many milliseconds a bridge may prove nothing.
    pub fn unproven(&self) -> PathBuf {
        self.run.join("unproven")
    }

    /// Under which settings the present runtime was started.
    pub fn runtime_settings(&self) -> PathBuf {
        self.run.join("runtime-settings")
    }

    /// The last inbound number, kept outside the backup.
    pub fn high_water(&self) -> PathBuf {
        self.run.join("high-water")
    }

    /// What a detached daemon writes to stdout and stderr.
    pub fn daemon_log(&self) -> PathBuf {
        self.logs.join("daemon.log")
    }

    /// Creates the home and its folders, for the owner only.
    pub fn create(&self) -> Result<(), Problems> {
        let folders = [
            &self.home,
            &self.run,
            &self.tmp,
            &self.logs,
            &self.outbox,
            &self.archive,
            &self.backups,
            &self.codex,
            &self.runtimes,
            &self.workspaces,
            &self.local,
            &self.attachments,
            &self.routines,
        ];
        self.spare_others()?;
        for folder in folders {
            private_folder(folder).map_err(|error| {
                Problems::of_file(
                    folder,
                    format!("the folder cannot be used: {error}"),
                    "give it to yourself with mode 0700, or set ALLY_HOME to another place",
                )
            })?;
        }
        Ok(())
    }
}

impl Paths {
    /// A folder that is open to others and holds something else than a home is somebody's: it is not taken over.
    fn spare_others(&self) -> Result<(), Problems> {
        let Ok(found) = fs::metadata(&self.home) else { return Ok(()) };
        let ours = self.config.exists() || self.ledger.exists();
        if found.mode() & 0o077 == 0 || ours || self.holds_only_ours() {
            return Ok(());
        }
        Err(Problems::of_file(
            &self.home,
            format!(
                "others can look into it (mode {:04o}), and it holds other things than ally's",
                found.mode() & 0o7777
            ),
            "set ALLY_HOME to an empty or new folder",
        ))
    }

    /// Codex's home may have been made before ours.
    fn holds_only_ours(&self) -> bool {
        let ours = [&self.env, &self.run, &self.tmp, &self.logs, &self.outbox, &self.archive, &self.backups];
        let ours =
            [&ours[..], &[&self.codex, &self.runtimes, &self.workspaces, &self.local, &self.attachments]].concat();
        let Ok(entries) = fs::read_dir(&self.home) else { return false };
        entries.flatten().all(|entry| ours.contains(&&entry.path()))
    }
}

/// Makes a folder of mode 0700, or checks that an existing one is ours and closed to others.
pub fn private_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = fs::metadata(path)?;
    if !found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder"));
    }
    if found.uid() != rustix::process::getuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Replaces a leading `~/`.
pub fn expand(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if path == "~" => home.to_owned(),
        None => PathBuf::from(path),
    }
}

fn socket_path(run: &Path, runtime_dir: Option<&Path>) -> PathBuf {
    let wanted = run.join("control.sock");
    if wanted.as_os_str().len() <= LONGEST_SOCKET {
        return wanted;
    }
    let hash = crate::domain::gate::hex(&Sha256::digest(run.as_os_str().as_encoded_bytes()));
    let folder = match runtime_dir {
        Some(folder) if folder.is_absolute() && folder.as_os_str().len() < 50 => folder.to_owned(),
        _ => PathBuf::from("/tmp"),
    };
    folder.join(format!("ally-{}-{}", rustix::process::getuid().as_raw(), &hash[..16])).join("control.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_home_gets_a_short_socket() {
        let shallow = Paths::of_home("/h/.ally".into(), None);
        assert!(shallow.socket_fits());
        let deep = Paths::of_home(PathBuf::from(format!("/h/{}", "d".repeat(120))), None);
        assert!(!deep.socket_fits());
        assert!(deep.socket().as_os_str().len() <= LONGEST_SOCKET);
        assert_eq!(deep.socket(), Paths::of_home(deep.home.clone(), None).socket(), "every process finds the same");
    }

    #[test]
    fn a_folder_of_other_things_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().join("project");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("main.rs"), "").unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        let told = Paths::of_home(home.clone(), None).create().unwrap_err().to_string();
        assert!(told.contains("0755") && told.contains("set ALLY_HOME"), "{told}");
        assert_eq!(fs::metadata(&home).unwrap().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "nothing is made in it");
    }

    #[test]
    fn an_open_folder_is_closed() {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().join("home");
        fs::create_dir_all(home.join("codex")).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        Paths::of_home(home.clone(), None).create().unwrap();
        assert_eq!(fs::metadata(&home).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(home.join("run")).unwrap().mode() & 0o777, 0o700);
    }
}
