//! Hidden `ally runtime-embedded`: the embedded runtime as the supervisor's or the bridge's child. Stdin and stdout are its
//! line to the bridge; nothing else may write there.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Context;
use crate::domain::ids::Generation;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where it keeps its history
    #[arg(long)]
    home: PathBuf,
    /// Its number
    #[arg(long)]
    generation: i64,
    /// What its commands carry
    #[arg(long)]
    mark: String,
}

pub(super) async fn run(context: &Context, args: Args) -> ExitCode {
    let Args { home, generation, mark } = args;
    match crate::app::play_embedded(home, Generation(generation), mark, &context.environment).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The bridge tells it: one line, and no hint.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
