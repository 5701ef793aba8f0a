//! Errors by what the caller can do.

use std::path::PathBuf;

/// Why the ledger could not be opened. In none of these cases was anything changed or lost.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the ledger {path} was written by a newer ally (schema {found}, this one knows {known})")]
    TooNew { path: PathBuf, found: u32, known: u32 },
    #[error("another {} is using the ledger {path}", pid.map_or_else(|| "program".to_owned(), |pid| format!("ally (pid {pid})")))]
    Locked { path: PathBuf, pid: Option<u32> },
    #[error("the ledger {path} is damaged: {detail}")]
    Corrupt { path: PathBuf, detail: String },
    /// Something says that there was a ledger; nobody begins an empty one without being told to.
    #[error("the ledger {path} is not there, and there was one: {} is left of it", list(signs))]
    Gone {
        path: PathBuf,
        /// The newest copy.
        copy: Option<PathBuf>,
        /// What says so.
        signs: Vec<PathBuf>,
    },
    #[error("there is no space left for the ledger {path}")]
    Full { path: PathBuf },
    #[error("the ledger {path} could not be migrated; it is as it was")]
    Migration {
        path: PathBuf,
        backup: Option<PathBuf>,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the ledger {path} cannot be opened")]
    Unusable {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenError {
    /// The next step, for a person: in Chinese and in English.
    pub fn hint(&self) -> (String, String) {
        match self {
            OpenError::TooNew { .. } => (
                "安装写下它的那个版本的 ally，或换回这个版本时的备份".to_owned(),
                "install the ally that wrote it, or restore a backup of this version's time".to_owned(),
            ),
            OpenError::Locked { path, pid: None } => (
                format!("用 `lsof {}` 看是哪个程序", path.display()),
                format!("see which one: `lsof {}`", path.display()),
            ),
            OpenError::Locked { .. } => {
                ("运行 `ally status`，再运行 `ally stop`".to_owned(), "run `ally status`, then `ally stop`".to_owned())
            }
            OpenError::Corrupt { path, .. } => (
                format!("留着 {} 别动，用 backups 里最新的一份代替它", path.display()),
                format!(
                    "keep {} as it is, and restore the newest file from the backups folder in its place",
                    path.display()
                ),
            ),
            OpenError::Gone { copy, signs, .. } => {
                let (copy, signs) = (copy.as_ref().map_or("FILE".into(), |copy| copy.to_string_lossy()), list(signs));
                (
                    format!("放回一份备份：`ally restore {copy}`。想从空账本开始，就先把 {signs} 移走"),
                    format!(
                        "put a copy back: `ally restore {copy}`. To begin with an empty one, move {signs} away first"
                    ),
                )
            }
            OpenError::Full { .. } => (
                "腾出一些空间（看 `df`）再启动；没有东西丢掉".to_owned(),
                "free some space (see `df`), then start again; nothing was lost".to_owned(),
            ),
            OpenError::Migration { backup: Some(backup), .. } => {
                (format!("副本在 {}", backup.display()), format!("a copy is in {}", backup.display()))
            }
            OpenError::Migration { backup: None, .. } => (
                "文件没有动过；原因看日志".to_owned(),
                "the file was not touched; see the log for the cause".to_owned(),
            ),
            OpenError::Unusable { path, .. } => (
                format!("检查 {} 的所有者和权限", path.display()),
                format!("check the owner and the mode of {}", path.display()),
            ),
        }
    }

    /// Time alone does not mend it: starting again would end the same way.
    pub fn needs_a_person(&self) -> bool {
        !matches!(self, OpenError::Locked { .. } | OpenError::Full { .. })
    }
}

fn list(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Why a read or write did not happen. A write that failed left nothing behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// No space or a failing disk: intake must stop acknowledging.
    #[error("the disk took no more of the ledger: {0}")]
    Disk(String),
    /// Another program holds the file.
    #[error("another program holds the ledger: {0}")]
    Locked(String),
    #[error("the ledger is damaged: {0}")]
    Corrupt(String),
    /// Too many writes are waiting; the caller may try again.
    #[error("the ledger's queue is full")]
    Busy,
    #[error("the ledger is closed")]
    Closed,
    /// The row is not in the state that the caller thought (somebody was first).
    #[error("{0} changed meanwhile")]
    Stale(&'static str),
    #[error("{0} is not there")]
    Missing(&'static str),
    /// A bug of ours: a constraint, a type, a panic in a closure.
    #[error("the ledger refused: {0}")]
    Refused(String),
}

impl LedgerError {
    /// The machine's fault, not the write's: the same write works once that is over.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::Locked(_) | Self::Corrupt(_) | Self::Busy | Self::Closed)
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::*;
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(DiskFull | SystemIoFailure | ReadOnly | CannotOpen) => LedgerError::Disk(text),
            Some(DatabaseBusy | DatabaseLocked) => LedgerError::Locked(text),
            Some(DatabaseCorrupt | NotADatabase) => LedgerError::Corrupt(text),
            _ => LedgerError::Refused(text),
        }
    }
}

impl From<serde_json::Error> for LedgerError {
    fn from(error: serde_json::Error) -> Self {
        LedgerError::Refused(format!("a stored JSON column cannot be read: {error}"))
    }
}
