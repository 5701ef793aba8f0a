//! Logging: JSON lines in `logs/`, plain lines on stderr in the foreground. Facts belong into the ledger; logs are logs.
//!
//! What is never logged: message text, prompts, secrets, addresses with tickets in them.

mod rotation;

use std::path::{Path, PathBuf};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::rotation::{LIMITS, Rotating};
use crate::clock::Clock;

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Folder of the log files.
    pub folder: PathBuf,
    /// File name without its date: `ally` or `supervisor`.
    pub name: &'static str,
    /// `ALLY_LOG`, in the usual filter syntax.
    pub filter: String,
    /// Also write for people to stderr.
    pub to_stderr: bool,
}

/// Writes what is still waiting when it is dropped: keep it in `main`.
#[must_use = "dropping it ends the log"]
pub struct LogGuard {
    _worker: WorkerGuard,
}

/// Starts logging. A filter that cannot be read counts as `info`, and says so.
pub fn start(config: &LogConfig) -> anyhow::Result<LogGuard> {
    let file = Rotating::open(&config.folder, config.name, LIMITS, Clock::default())?;
    // Not lossy: a line that explains a crash is worth a short wait.
    let (writer, worker) = NonBlockingBuilder::default().lossy(false).finish(file);
    let (filter, bad_filter) = filter(&config.filter);
    let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer);
    let human = config
        .to_stderr
        .then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false));
    tracing_subscriber::registry().with(filter).with(json).with(human).try_init()?;
    if let Some(error) = bad_filter {
        tracing::warn!(%error, "ALLY_LOG cannot be read; logging at level info");
    }
    log_panics();
    Ok(LogGuard { _worker: worker })
}

/// Crates that write addresses (with tickets in them) or whole frames at level debug.
const TALKATIVE: [&str; 8] =
    ["hyper", "hyper_util", "reqwest", "tungstenite", "tokio_tungstenite", "rustls", "h2", "tower_http"];

fn filter(wanted: &str) -> (EnvFilter, Option<String>) {
    let (filter, problem) = match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error.to_string())),
    };
    let quiet = TALKATIVE.iter().filter_map(|name| format!("{name}=info").parse().ok());
    (quiet.fold(filter, EnvFilter::add_directive), problem)
}

/// A panic writes one line itself, because the log's own thread may not live long enough to do it.
fn log_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(place = panic.location().map(ToString::to_string), "A task panicked");
        usual(panic);
    }));
}

/// The log files of one name, oldest first.
pub fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
            file.starts_with(&format!("{name}.")) && file.ends_with(".log")
        })
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_makes_foreign_crates_talk() {
        let (filter, problem) = filter("trace,hyper=trace");
        assert_eq!(problem, None);
        let text = filter.to_string();
        assert!(text.contains("hyper=info") && !text.contains("hyper=trace"), "{text}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_counts_as_info() {
        let (filter, problem) = filter("a=b=c");
        assert!(problem.is_some());
        assert!(filter.to_string().contains("info"));
    }

    #[test]
    fn log_files_are_found_oldest_first() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["ally.2026-02-01.log", "ally.2026-01-31.log", "daemon.log", "ally.txt"] {
            std::fs::write(temp.path().join(name), "").unwrap();
        }
        let names: Vec<_> =
            files(temp.path(), "ally").into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["ally.2026-01-31.log", "ally.2026-02-01.log"]);
    }
}
