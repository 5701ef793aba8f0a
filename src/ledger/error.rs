//! Errors by what the caller can do.

use std::path::PathBuf;

/// Why the ledger could not be opened. In none of these cases was anything changed or lost.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the ledger {path} was written by a newer ally (schema {found}, this one knows {known})")]
    TooNew { path: PathBuf, found: u32, known: u32 },
    #[error("another ally{} is using the ledger {path}", pid.map(|p| format!(" (pid {p})")).unwrap_or_default())]
    Locked { path: PathBuf, pid: Option<u32> },
    #[error("the ledger {path} is damaged: {detail}")]
    Corrupt { path: PathBuf, detail: String },
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
    /// The next step, for a person.
    pub fn hint(&self) -> String {
        match self {
            OpenError::TooNew { .. } => {
                "install the ally that wrote it, or restore a backup of this version's time".to_owned()
            }
            OpenError::Locked { .. } => "run `ally status`, then `ally stop`".to_owned(),
            OpenError::Corrupt { path, .. } => {
                format!(
                    "keep {} as it is, and restore the newest file from the backups folder in its place",
                    path.display()
                )
            }
            OpenError::Full { .. } => "free some space (see `df`), then start again; nothing was lost".to_owned(),
            OpenError::Migration { backup: Some(backup), .. } => format!("a copy is in {}", backup.display()),
            OpenError::Migration { backup: None, .. } => {
                "the file was not touched; see the log for the cause".to_owned()
            }
            OpenError::Unusable { path, .. } => format!("check the owner and the mode of {}", path.display()),
        }
    }
}

/// Why a read or write did not happen. A write that failed left nothing behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// No space or a failing disk: intake must stop acknowledging.
    #[error("the disk took no more of the ledger: {0}")]
    Disk(String),
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

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::*;
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(DiskFull | SystemIoFailure | ReadOnly | CannotOpen | DatabaseBusy | DatabaseLocked) => {
                LedgerError::Disk(text)
            }
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
