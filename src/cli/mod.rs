//! The command line: one file a command. Data goes to stdout, words to stderr; every reading verb has `--json`.

mod answer;
mod archive;
mod audit;
mod backup;
mod bench;
mod bridge;
mod cards;
mod chat;
mod demo;
mod doctor;
mod error;
mod lock;
mod logs;
mod mcp;
mod output;
mod pair;
mod reload;
mod restart;
mod restored;
mod routine;
mod rules;
mod run;
mod runtime_embedded;
mod send;
mod service;
mod setup;
mod start;
mod status;
mod stop;
mod turns;
mod update;
mod version;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::de::DeserializeOwned;

use crate::config::{Config, Environment, Paths};
use crate::control::{Client, ClientError};
use crate::domain::view::Lang;
use crate::ledger::{LedgerError, Transaction};
use error::CliError;

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   it did not work
  2   wrong usage
  69  ally is not running
  70  ally is there and does not work: it does not answer, or keeps dying
  75  not now; worth another try
  77  the sandbox does not keep what it promises (`ally doctor security`)
  78  the configuration is wrong

Data lies in $ALLY_HOME (default ~/.ally): ally.toml, .env, ledger.db, logs/.";

/// Work with a coding agent from the chat you already live in
#[derive(Debug, Parser)]
#[command(name = "ally", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set ally up, or go on with it: Feishu app, codex, project, owner, start
    Setup(setup::Args),
    /// Start ally in the background and wait until it is ready
    Start(start::Args),
    /// Stop ally: running tasks get a grace, nothing is lost
    Stop(stop::Args),
    /// Start ally anew while running tasks go on
    Restart(restart::Args),
    /// Apply the settings on the disk while running tasks go on
    Reload(reload::Args),
    /// Have the system start ally and keep it running: install, uninstall, status
    Service(service::Args),
    /// Run ally in the foreground (for systemd, launchd and containers)
    Run(run::Args),
    /// Show what ally is doing, also when it is not running
    Status(status::Args),
    /// Show the log
    Logs(logs::Args),
    /// Talk to the agent in this terminal
    Chat(chat::Args),
    /// Find out what does not work, why, and what to do
    Doctor(doctor::Args),
    /// List tasks, or show one
    Turns(turns::Args),
    /// Answer an agent's question here, past the chat's servers
    Answer(answer::Args),
    /// Send words or a file to the owner, or into a chat
    Send(send::Args),
    /// Pause everything: running tasks are stopped, nothing new starts
    Lock(lock::Args),
    /// Let everything go on, and list what the pause stopped
    Unlock(lock::Args),
    /// Show who decided and changed what
    Audit(audit::Args),
    /// List what was allowed for longer than once, or end it
    Rules(rules::Args),
    /// Do something at certain times: list, add, run, pause or remove routines
    Routine(routine::Args),
    /// Write the archive of finished tasks anew
    Archive(archive::Args),
    /// Copy the ledger, also while ally runs
    Backup(backup::BackupArgs),
    /// Put a copy of the ledger back: what it calls unfinished waits for your word
    Restore(backup::RestoreArgs),
    /// List what waits since the ledger was put back, and decide what becomes of it
    Restored(restored::Args),
    /// Print a one-time code that makes its sender the owner
    Pair(pair::Args),
    /// Try ally in a throw-away home with a scripted model: no account, no network
    Demo(demo::Args),
    /// Draw every card as HTML pages, to see what the chat would show
    Cards(cards::Args),
    /// Measure how fast this binary is here, against what it must be
    Bench(bench::Args),
    /// Tell what runs and what a restart onto the program on the disk would change
    Update(update::Args),
    /// Print the version
    Version(version::Args),
    #[command(hide = true)]
    Bridge(bridge::Args),
    /// Offer ally's tools to an agent; the runtime starts it
    #[command(hide = true)]
    Mcp(mcp::Args),
    #[command(hide = true)]
    RuntimeEmbedded(runtime_embedded::Args),
    #[command(hide = true)]
    DemoModel(demo::ModelArgs),
}

impl Command {
    /// Harmless in the hands of an agent. The daemon's own checks do not rest on this.
    fn only_looks(&self) -> bool {
        match self {
            Command::Status(_) | Command::Logs(_) | Command::Turns(_) | Command::Version(_) => true,
            Command::Update(_) => true,
            Command::Cards(_) | Command::DemoModel(_) => true,
            // It is a runtime itself, and steers nothing.
            Command::RuntimeEmbedded(_) => true,
            // It is the agent's own way to ask; the daemon looks at its key.
            Command::Mcp(_) => true,
            Command::Audit(_) => true,
            Command::Rules(args) => args.only_looks(),
            Command::Routine(args) => args.only_looks(),
            Command::Service(args) => args.only_looks(),
            Command::Doctor(args) => args.only_looks(),
            Command::Reload(_) | Command::Setup(_) => false,
            Command::Restored(args) => args.only_looks(),
            Command::Start(_) | Command::Stop(_) | Command::Restart(_) | Command::Run(_) => false,
            Command::Answer(_) | Command::Lock(_) | Command::Unlock(_) => false,
            Command::Backup(_) | Command::Restore(_) | Command::Archive(_) => false,
            Command::Chat(_) | Command::Pair(_) | Command::Bridge(_) | Command::Demo(_) => false,
            Command::Bench(_) | Command::Send(_) => false,
        }
    }
}

/// What every command gets.
struct Context {
    environment: Environment,
    lang: Lang,
}

impl Context {
    fn paths(&self) -> Result<Paths, CliError> {
        Ok(Paths::find(&self.environment)?)
    }

    /// The configuration, after the home and its two files were made where they are missing.
    fn config(&self) -> Result<Config, CliError> {
        crate::config::write_missing(&self.paths()?)?;
        Ok(crate::config::load(&self.environment)?)
    }

    fn client(&self) -> Result<Client, CliError> {
        Ok(Client::connect(&self.paths()?)?)
    }

    /// What the daemon tells, or, where none runs, what its ledger holds.
    async fn look<T: DeserializeOwned>(
        &self,
        path: &str,
        offline: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, CliError> {
        let paths = self.paths()?;
        let asked = async { Client::connect(&paths)?.get(path).await };
        match asked.await {
            Err(ClientError::NotRunning) => {}
            answered => return Ok(answered?),
        }
        match crate::ledger::report::offline(&paths.ledger, offline) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(ClientError::NotRunning.into()),
            Err(error) => Err(CliError::new(format!("{}: {error}", paths.ledger.display()))
                .hint("运行 `ally start` 再试", "run `ally start`, then try again")),
        }
    }

    /// One sentence in the person's language.
    fn say(&self, zh: &str, en: &str) -> String {
        match self.lang {
            Lang::Zh => zh.to_owned(),
            Lang::En => en.to_owned(),
        }
    }
}

/// Parses the arguments, runs the command and gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Prints help and version to stdout, mistakes to stderr.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // Exactly one provider; a second installation is refused and does not matter.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let environment = Environment::capture();
    let lang = crate::config::lang(&environment);
    let context = Context { environment, lang };
    let runtime = match runtime(&cli.command) {
        Ok(runtime) => runtime,
        Err(error) => return CliError::from(error).print(context.lang),
    };
    let result = runtime.block_on(dispatch(&context, cli.command));
    // A read of the terminal cannot be cancelled: it is left behind.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match result {
        Ok(code) => code,
        Err(error) => error.print(context.lang),
    }
}

/// Only the bridge has enough to do for several threads, and what measures it.
fn runtime(command: &Command) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match command {
        Command::Bridge(_) | Command::Bench(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder.worker_threads(2).enable_all().build()
}

async fn dispatch(context: &Context, command: Command) -> Result<ExitCode, CliError> {
    if context.environment.below_a_runtime() && !command.only_looks() {
        return Err(CliError::new("this was called from below a runtime: an agent may look at ally, and not steer it")
            .hint("请人在自己的终端里运行", "ask a person to run it in a terminal of their own"));
    }
    match command {
        Command::Setup(args) => setup::run(context, &args).await,
        Command::Start(args) => start::run(context, &args).await,
        Command::Stop(args) => stop::run(context, &args).await,
        Command::Restart(args) => restart::run(context, &args).await,
        Command::Reload(args) => reload::run(context, &args).await,
        Command::Service(args) => service::run(context, &args).await,
        Command::Run(args) => run::run(context, &args).await,
        Command::Status(args) => status::run(context, &args).await,
        Command::Logs(args) => logs::run(context, &args).await,
        Command::Chat(args) => chat::run(context, &args).await,
        Command::Doctor(args) => doctor::run(context, &args).await,
        Command::Turns(args) => turns::run(context, &args).await,
        Command::Answer(args) => answer::run(context, &args).await,
        Command::Send(args) => send::run(context, &args).await,
        Command::Lock(args) => lock::run(context, &args, true).await,
        Command::Unlock(args) => lock::run(context, &args, false).await,
        Command::Audit(args) => audit::run(context, &args).await,
        Command::Rules(args) => rules::run(context, &args).await,
        Command::Routine(args) => routine::run(context, &args).await,
        Command::Archive(args) => archive::run(context, &args).await,
        Command::Backup(args) => backup::back_up(context, &args).await,
        Command::Restore(args) => backup::restore(context, &args),
        Command::Restored(args) => restored::run(context, &args).await,
        Command::Pair(args) => pair::run(context, &args).await,
        Command::Demo(args) => demo::run(context, &args).await,
        Command::Cards(args) => cards::run(context, &args),
        Command::Bench(args) => bench::run(context, &args).await,
        Command::Update(args) => update::run(context, &args).await,
        Command::Version(args) => version::run(&args),
        Command::Bridge(args) => bridge::run(context, &args).await,
        Command::Mcp(args) => mcp::run(context, args).await,
        Command::RuntimeEmbedded(args) => Ok(runtime_embedded::run(context, args).await),
        Command::DemoModel(args) => demo::model(&args).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }

    /// Whoever is told to run something can run it.
    #[test]
    fn every_command_that_is_named_exists() {
        let known: Vec<String> =
            Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = vec![root.join("README.md"), root.join("templates/ally.toml"), root.join("templates/env")];
        let mut folders = vec![root.join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { texts.push(path) }
            }
        }
        let mut wrong = Vec::new();
        for path in texts {
            let text = std::fs::read_to_string(&path).unwrap();
            for (_, rest) in text.match_indices("`ally ").map(|(at, found)| text.split_at(at + found.len())) {
                let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                if !name.is_empty() && !name.starts_with('-') && !known.contains(&name) {
                    wrong.push(format!("{}: ally {name}", path.display()));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_command_has_a_line_of_help() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && !about.ends_with('.'), "{}: {about:?}", command.get_name());
        }
    }
}
