//! Hidden `ally bridge`: the supervisor's child. Its stdout is the heartbeat; nothing else may write there.

use std::io;
use std::process::ExitCode;

use super::Context;
use super::error::{CliError, Code};
use crate::app::StartError;
use crate::ledger::LedgerError;
use crate::telemetry::{self, LogConfig};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Log to stderr, too
    #[arg(long)]
    foreground: bool,
    /// Stdout is a socket, and the supervisor holds runtimes with these words
    #[arg(long)]
    hold: Option<u32>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let config = context.config()?;
    let log = LogConfig {
        folder: config.paths.logs.clone(),
        name: "ally",
        filter: config.log_filter.clone(),
        to_stderr: args.foreground,
    };
    let ended = async {
        let _log = telemetry::start(&log)?;
        let ended = crate::app::run_bridge(config, args.hold).await;
        if let Err(error) = &ended {
            tracing::error!(error = %format!("{error:#}"), "The bridge ends with an error");
        }
        ended
    };
    ended.await.map_err(|error| {
        let is_outage = is_outage(&error);
        let told = CliError::from(error);
        if is_outage { told.code(Code::Outage) } else { told }
    })
}

/// The machine has no room just now, or another program is in the way: nothing of ours is wrong.
fn is_outage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let open = match cause.downcast_ref::<StartError>() {
            Some(StartError::Ledger(error)) => !error.needs_a_person(),
            _ => false,
        };
        let ledger = cause.downcast_ref::<LedgerError>().is_some_and(|error| {
            matches!(error, LedgerError::Disk(_) | LedgerError::Locked(_) | LedgerError::Busy | LedgerError::Closed)
        });
        let full = cause.downcast_ref::<io::Error>().is_some_and(|error| {
            use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
            matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
        });
        open || ledger || full
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::OpenError;

    #[test]
    fn only_what_passes_by_itself_is_an_outage() {
        let path = || std::path::PathBuf::from("/h/ledger.db");
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let start = |error: OpenError| anyhow::Error::from(StartError::from(error));
        for (error, is) in [
            (start(OpenError::Full { path: path() }), true),
            (start(OpenError::Locked { path: path(), pid: None }), true),
            (start(OpenError::Unusable { path: path(), source: full().into() }), true),
            (start(OpenError::Corrupt { path: path(), detail: String::new() }), false),
            (LedgerError::Disk(String::new()).into(), true),
            (LedgerError::Corrupt(String::new()).into(), false),
            (anyhow::Error::from(full()).context("the token"), true),
            (io::Error::from(io::ErrorKind::PermissionDenied).into(), false),
            (anyhow::anyhow!("a bug"), false),
        ] {
            assert_eq!(is_outage(&error), is, "{error:?}");
        }
    }
}
