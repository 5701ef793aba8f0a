//! What a machine keeps when its power goes: each file as of its last sync, and nothing that was never synced.
//!
//! `power.c` is preloaded into the daemon and keeps, at each sync, what would be there. Runtimes' own homes and the
//! projects stay as they are: what a runtime syncs is its own affair.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Not ally's own, or there before it.
const LEFT_ALONE: [&str; 5] = ["workspaces", "codex", "embedded", "ally.toml", ".env"];

/// The disk of one home.
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// `beside` is on the same file system as the home.
    pub fn new(beside: &Path) -> Self {
        let folder = beside.join("disk");
        for part in ["data", "dirs"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        Self { folder }
    }

    /// What a program needs so that its syncs are seen.
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", shim().to_owned()), ("ALLY_DISK", self.folder.clone())]
    }

    /// Puts the home back to what was synced, while nothing runs. `rest`: what was never synced stays as it is, which is
    /// what happens to most of it after some seconds. Gives how many files are others than before.
    pub fn lose_power(&self, home: &Path, rest: bool) -> usize {
        let mut changed = 0;
        let mut folders = vec![home.to_owned()];
        while let Some(folder) = folders.pop() {
            let mut known = self.listing(home, &folder);
            for entry in std::fs::read_dir(&folder).unwrap().flatten() {
                let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
                let kind = entry.file_type().unwrap();
                let tests_own = name.starts_with("crash-point");
                if tests_own || folder == *home && LEFT_ALONE.contains(&name.as_str()) {
                    continue;
                } else if kind.is_dir() {
                    folders.push(path);
                } else if let Some(key) = known.remove(&name) {
                    let synced = std::fs::read(self.folder.join("data").join(key)).unwrap_or_default();
                    if std::fs::read(&path).unwrap() != synced {
                        std::fs::write(&path, synced).unwrap();
                        changed += 1;
                    }
                } else if kind.is_file() && !rest {
                    std::fs::remove_file(&path).unwrap();
                    changed += 1;
                }
            }
            // Their end was not synced.
            for (name, key) in known {
                if let Ok(synced) = std::fs::read(self.folder.join("data").join(key)) {
                    std::fs::write(folder.join(name), synced).unwrap();
                    changed += 1;
                }
            }
        }
        changed
    }

    /// What a folder is known to hold: the newest word about each name.
    fn listing(&self, home: &Path, folder: &Path) -> BTreeMap<String, String> {
        let below = folder.strip_prefix(home).unwrap().to_str().unwrap();
        let name = if below.is_empty() { "%".to_owned() } else { below.replace('/', "%") };
        let text = std::fs::read_to_string(self.folder.join("dirs").join(name)).unwrap_or_default();
        let entries = text.lines().filter_map(|line| line.split_once(' '));
        entries.map(|(key, name)| (name.to_owned(), key.to_owned())).collect()
    }
}

/// Built once; whoever has Rust has a C compiler to link with.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/power.c");
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("power.so");
        let part = made.with_extension(format!("{}.part", std::process::id()));
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let output =
            Command::new(compiler).args(["-shared", "-fPIC", "-O1", "-o"]).arg(&part).arg(source).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(part, &made).unwrap();
        made
    })
}
