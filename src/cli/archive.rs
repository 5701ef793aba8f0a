//! `ally archive`: each task that is over, as a line in the file of its day.

use std::process::ExitCode;
use std::time::Duration;

use super::Context;
use super::error::CliError;
use super::output;
use crate::control::ArchiveReport;

/// A ledger of a million tasks is read within this.
const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Write all files of $ALLY_HOME/archive anew from the ledger
    Rebuild {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let Verb::Rebuild { json } = args.verb;
    let client = context.client()?;
    let mut progress = output::Progress::new(context.say("正在重写归档", "writing the archive anew"));
    let wanted = client.post_within("/v1/archive/rebuild", &(), PATIENCE);
    tokio::pin!(wanted);
    let report: ArchiveReport = loop {
        tokio::select! {
            done = &mut wanted => break done?,
            () = tokio::time::sleep(Duration::from_millis(250)) => progress.tick(),
        }
    };
    progress.end();
    if json {
        output::json(&report)?;
    } else {
        let folder = context.paths()?.archive;
        let (turns, days, folder) = (report.turns, report.days, folder.display());
        if report.kept > 0 {
            let kept = report.kept;
            output::note(&context.say(
                &format!("账本里没有的任务，原来的行都留着：{kept} 行"),
                &format!("lines of tasks that the ledger does not know stay: {kept}"),
            ));
        }
        output::note(
            &context.say(
                &format!("{folder}：{turns} 个任务，{days} 天"),
                &format!("{folder}: {turns} tasks of {days} days"),
            ),
        );
    }
    Ok(ExitCode::SUCCESS)
}
