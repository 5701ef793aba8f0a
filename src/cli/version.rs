//! `ally version`.

use std::process::ExitCode;

use serde_json::json;

use super::error::CliError;
use super::output;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        output::json(&json!({ "version": version, "os": os, "arch": arch }))?;
    } else {
        output::line(&format!("ally {version}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
