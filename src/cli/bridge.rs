//! Hidden `ally bridge`: the supervisor's child. Its stdout is the heartbeat; nothing else may write there.

use std::io;
use std::process::ExitCode;

use super::Context;
use super::error::{CliError, Code};
use crate::app::StartError;
use crate::ledger::{LedgerError, OpenError};
use crate::telemetry::{self, LogConfig};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Log to stderr, too
    #[arg(long)]
    foreground: bool,
    /// Stdout is a socket, and the supervisor holds runtimes with these words
    #[arg(long)]
    hold: Option<u32>,
    /// Look at the settings only: whether a bridge would start with them
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let config = context.config()?;
    if args.check {
        return Ok(ExitCode::SUCCESS);
    }
    let log = LogConfig {
        folder: config.paths.logs.clone(),
        name: "ally",
        filter: config.log_filter.clone(),
        to_stderr: args.foreground,
    };
    let ended = async {
        let _log = telemetry::start(&log)?;
        let ended = crate::app::run_bridge(config, context.environment.clone(), args.hold).await;
        if let Err(error) = &ended {
            tracing::error!(error = %format!("{error:#}"), "The bridge ends with an error");
        }
        ended
    };
    ended.await.map_err(|error| {
        let code = for_the_supervisor(&error);
        let told = CliError::from(error);
        match code {
            Some(code) => told.code(code),
            None => told,
        }
    })
}

/// What decides whether another bridge is of any use: the machine has no room just now or another program is in the way, and
/// nothing of ours is wrong; or the ledger cannot go on as it is.
fn for_the_supervisor(error: &anyhow::Error) -> Option<Code> {
    if error.chain().any(is_outage) {
        return Some(Code::Outage);
    }
    match error.downcast_ref::<StartError>() {
        Some(StartError::Ledger(error)) => match error {
            OpenError::Full { .. } | OpenError::Locked { .. } => Some(Code::Outage),
            OpenError::Corrupt { .. }
            | OpenError::Gone { .. }
            | OpenError::TooNew { .. }
            | OpenError::Migration { .. } => Some(Code::Ledger),
            OpenError::Unusable { .. } => None,
        },
        _ => None,
    }
}

fn is_outage(cause: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<LedgerError>() {
        use LedgerError::{Busy, Closed, Disk, Locked};
        return matches!(error, Disk(_) | Locked(_) | Busy | Closed);
    }
    let error = cause.downcast_ref::<io::Error>();
    error.is_some_and(|error| {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_supervisor_is_told_what_passes_and_what_does_not() {
        let path = || std::path::PathBuf::from("/h/ledger.db");
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let start = |error: OpenError| anyhow::Error::from(StartError::from(error));
        let unmigrated = |source| start(OpenError::Migration { path: path(), backup: None, source });
        for (error, code) in [
            (start(OpenError::Full { path: path() }), Some(Code::Outage)),
            (start(OpenError::Locked { path: path(), pid: None }), Some(Code::Outage)),
            (start(OpenError::Unusable { path: path(), source: full().into() }), Some(Code::Outage)),
            (start(OpenError::Unusable { path: path(), source: "its mode".into() }), None),
            (start(OpenError::Corrupt { path: path(), detail: String::new() }), Some(Code::Ledger)),
            (start(OpenError::TooNew { path: path(), found: 9, known: 8 }), Some(Code::Ledger)),
            (unmigrated("a step".into()), Some(Code::Ledger)),
            (unmigrated(full().into()), Some(Code::Outage)),
            (LedgerError::Disk(String::new()).into(), Some(Code::Outage)),
            (LedgerError::Corrupt(String::new()).into(), None),
            (anyhow::Error::from(full()).context("the token"), Some(Code::Outage)),
            (io::Error::from(io::ErrorKind::PermissionDenied).into(), None),
            (anyhow::anyhow!("a bug"), None),
        ] {
            assert_eq!(for_the_supervisor(&error), code, "{error:?}");
        }
    }
}
