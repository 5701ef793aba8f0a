//! `ally bench`: how fast this binary is on this machine, against what it must be.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::Context;
use super::error::{CliError, Code};
use super::output;
use crate::bench::{self, Options, Part, Row};
use crate::words::{BenchMsg, both_of_bench};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Measure these parts only: ack, turn, rest, start, chat, load, growth
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<String>,
    /// A tenth of everything: to see that it works, not to believe it
    #[arg(long)]
    quick: bool,
    /// Moderate load for so long instead (30m), with memory and descriptors every 30 s
    #[arg(long, value_name = "TIME", conflicts_with = "only")]
    soak: Option<String>,
    /// Folder for the throw-away homes, on the disk that is measured (default: the person's cache)
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    /// Without optimisation the figures mean nothing.
    optimised: bool,
    quick: bool,
    cores: usize,
    codex: bool,
    rows: Vec<Row>,
    /// Parts that could not be measured, and why.
    failed: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let options = options(context, args)?;
    if cfg!(debug_assertions) {
        output::note(&context.say(
            "这是没有优化的构建，数字没有意义：cargo build --release",
            "this build is not optimised, its figures mean nothing: cargo build --release",
        ));
    }
    let measured = async {
        match &args.soak {
            Some(lasts) => soak(context, args, &options, lasts).await,
            None => measure(context, args, &options).await,
        }
    };
    // Whoever ends it in the middle leaves no home and no daemon behind.
    tokio::select! {
        measured = measured => measured,
        () = super::demo::interrupted() => Err(CliError::new("the measurement was interrupted").hint(
            "没有留下什么；再运行一次 `ally bench`",
            "nothing of it is left; run `ally bench` again",
        )),
    }
}

fn options(context: &Context, args: &Args) -> Result<Options, CliError> {
    let folder = match &args.folder {
        Some(folder) => std::path::absolute(folder)?,
        None => super::demo::demo_folder(&context.environment)?,
    };
    let named = context.environment.get("ALLY_RUNTIME_BIN").map(PathBuf::from);
    let installed = || bench::installed_codex(&context.paths().ok()?.runtimes);
    Ok(Options { folder, codex: named.or_else(installed), quick: args.quick })
}

async fn measure(context: &Context, args: &Args, options: &Options) -> Result<ExitCode, CliError> {
    let parts = match args.only.is_empty() {
        true => Part::ALL.to_vec(),
        false => args.only.iter().map(|name| part(name)).collect::<Result<_, _>>()?,
    };
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for part in parts {
        let name = part.as_str();
        output::note(&output::dim(&context.say(&format!("正在测量：{name}"), &format!("measuring: {name}"))));
        match bench::measure(part, options).await {
            Ok(found) => {
                if !args.json {
                    found.iter().try_for_each(|row| show(context, row))?;
                }
                rows.extend(found);
            }
            Err(error) => {
                output::note(&format!("{name}: {error:#}"));
                failed.push(format!("{name}: {error:#}"));
            }
        }
    }
    let all_met = failed.is_empty() && rows.iter().all(|row| row.met);
    if args.json {
        output::json(&Report {
            version: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            quick: args.quick,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            codex: options.codex.is_some(),
            rows,
            failed,
        })?;
    }
    Ok(exit_code(all_met))
}

fn exit_code(all_met: bool) -> ExitCode {
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn part(name: &str) -> Result<Part, CliError> {
    Part::parse(name).ok_or_else(|| {
        let all = Part::ALL.map(Part::as_str).join(", ");
        CliError::new(format!("there is no part {name:?}")).hint(format!("可以是：{all}"), format!("one of: {all}"))
    })
}

fn show(context: &Context, row: &Row) -> Result<(), CliError> {
    let word = match row.met {
        true => context.say("达到", "met"),
        false => context.say("未达到", "NOT met"),
    };
    let (measured, target) = (context.say("测得", "measured"), context.say("目标", "target"));
    let [what, found, wanted] = [&row.what, &row.measured, &row.target].map(|text| context.say(&text.zh, &text.en));
    output::line(&format!("{what}: {word}\n  {measured}: {found}\n  {target}: {wanted}"))
}

async fn soak(context: &Context, args: &Args, options: &Options, lasts: &str) -> Result<ExitCode, CliError> {
    let lasts = crate::config::parse_duration(lasts).ok_or_else(|| {
        CliError::new(format!("{lasts:?} is no time")).hint("例如 90s、30m、2h", "for example 90s, 30m, 2h")
    })?;
    if !args.json {
        let head = both_of_bench(BenchMsg::SoakHead);
        output::line(&format!("{}\n|---|---|---|---|---|---|---|", context.say(&head.zh, &head.en)))?;
    }
    let soaked = bench::soak(options, lasts, |look| {
        if !args.json {
            // A reader that went away is found out at the end.
            let _ = output::line(&format!(
                "| {} | {:.1} | {:.1} | {} | {:.1} | {} | {} |",
                look.seconds,
                look.resident_mb,
                look.anonymous_mb,
                look.descriptors,
                look.supervisor_mb,
                look.said,
                look.unanswered
            ));
        }
    })
    .await
    .map_err(|error| {
        CliError::new(format!("the soak did not come to its end: {error:#}")).code(Code::Failed).hint(
            "先看 `ally bench --only rest` 能不能测；`--folder` 要在有空间的磁盘上",
            "see whether `ally bench --only rest` can be measured; `--folder` must be on a disk with room",
        )
    })?;
    if args.json {
        output::json(&soaked)?;
    } else {
        soaked.rows.iter().try_for_each(|row| show(context, row))?;
    }
    Ok(exit_code(soaked.rows.iter().all(|row| row.met)))
}
