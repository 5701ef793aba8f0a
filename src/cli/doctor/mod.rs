//! `ally doctor`: what does not work, why, and what to do.

mod ledger;
pub(super) mod press;
pub(super) mod security;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use self::press::Card;
use super::Context;
use super::error::{CliError, Code};
use super::output::{self, Progress, paint};
use super::status;
use crate::app;
use crate::clock::Clock;
use crate::config::{Config, Paths, Problems, parse_duration};
use crate::control::{Client, StatusReport};
use crate::doctor::feishu::Pressed;
use crate::doctor::runtime::Depth;
use crate::doctor::{Daemon, Sheet, bundle, chat, feishu, home, runtime};
use crate::domain::finding::{Finding, Grade};
use crate::domain::ids::{ChannelName, UserId};
use crate::domain::safety::Tried;
use crate::ledger::{report, said};
use crate::words::DoctorMsg;
use anstyle::AnsiColor;
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Also send the owner a card, and wait until its button is pressed
    #[arg(long)]
    press: bool,
    /// How long to wait for that
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration, global = true)]
    timeout: Duration,
    /// Also write a file that can be sent to whoever helps: without secrets and messages
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Try what an agent's commands can read, write and reach
    Security,
    /// Check that everything in the ledger fits together, also while ally runs
    Ledger {
        /// Write the file anew without its gaps before that; only while ally is stopped
        #[arg(long)]
        compact: bool,
    },
    /// Look at the line to Feishu and at what is set up in the developer console
    Feishu {
        /// Also send the owner a card, and wait until its button is pressed
        #[arg(long)]
        press: bool,
    },
    /// Look at codex: program, configuration, account, sandbox, process
    Runtime,
    /// Tell why messages of a chat are taken or ignored
    Chat {
        /// The chat's id, `oc_…`
        id: String,
        /// Whose messages: `ou_…`
        #[arg(long, value_name = "ID")]
        user: Option<String>,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write it like 60s or 2m".to_owned())
}

impl Args {
    /// Neither writes nor sends anything, and starts no processes that try what a sandbox lets through.
    pub(super) fn only_looks(&self) -> bool {
        let looks = match &self.verb {
            Some(Verb::Security | Verb::Ledger { compact: true } | Verb::Feishu { press: true }) => false,
            None | Some(Verb::Ledger { .. } | Verb::Feishu { .. } | Verb::Runtime | Verb::Chat { .. }) => true,
        };
        looks && !self.press && self.bundle.is_none()
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    match &args.verb {
        Some(Verb::Security) => return security::run(context, args.json).await,
        Some(Verb::Ledger { compact }) => return ledger::run(context, args.json, *compact),
        _ => {}
    }
    let mut exam = Exam::begin(context).await?;
    let press = args.press || matches!(args.verb, Some(Verb::Feishu { press: true }));
    match &args.verb {
        None => {
            exam.home(args.json)?;
            exam.feishu(press.then_some(args.timeout), args.json).await?;
            exam.runtime(args.json).await?;
        }
        Some(Verb::Feishu { .. }) => {
            exam.settings();
            home::daemon(&mut exam.sheet, &exam.daemon);
            exam.told(args.json)?;
            exam.feishu(press.then_some(args.timeout), args.json).await?;
        }
        Some(Verb::Runtime) => {
            exam.settings();
            exam.told(args.json)?;
            exam.runtime(args.json).await?;
        }
        Some(Verb::Chat { id, user }) => {
            exam.settings();
            home::daemon(&mut exam.sheet, &exam.daemon);
            exam.told(args.json)?;
            exam.chat(id, user.as_deref(), args.json).await?;
        }
        Some(Verb::Security | Verb::Ledger { .. }) => {}
    }
    let report = exam.report();
    if args.json {
        output::json(&report)?;
    } else {
        exam.sum_up()?;
    }
    if let Some(file) = &args.bundle {
        exam.bundle(file, &report)?;
    }
    Ok(exam.code())
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    home: String,
    version: &'static str,
    /// Checks that found something broken.
    bad: usize,
    checks: &'a [Finding],
}

/// The daemon of a home as it is just now.
pub(in crate::cli) async fn look_for_daemon(context: &Context, paths: &Paths) -> Daemon {
    match status::ask(paths).await {
        Ok(status) => Daemon { state: status.state, status: Some(status), crashes: None },
        Err(error) => {
            let (state, _, _) = status::without_answer(context, paths, &error);
            Daemon { state, status: None, crashes: status::crashes(paths) }
        }
    }
}

/// One round of checks.
struct Exam<'a> {
    context: &'a Context,
    paths: Paths,
    config: Result<Config, Problems>,
    daemon: Daemon,
    sheet: Sheet,
    /// Findings that were printed.
    shown: usize,
    tried: Vec<Tried>,
    versions: Vec<String>,
}

impl<'a> Exam<'a> {
    async fn begin(context: &'a Context) -> Result<Self, CliError> {
        let paths = context.paths()?;
        let daemon = look_for_daemon(context, &paths).await;
        Ok(Self {
            context,
            config: crate::config::load(&context.environment),
            daemon,
            sheet: Sheet::new(context.lang),
            shown: 0,
            tried: Vec::new(),
            versions: Vec::new(),
            paths,
        })
    }

    /// Prints what has been found since the last time, and how it is going on stderr meanwhile.
    fn told(&mut self, json: bool) -> Result<(), CliError> {
        if !json {
            for finding in &self.sheet.findings[self.shown..] {
                output::line(&painted(finding))?;
            }
        }
        self.shown = self.sheet.findings.len();
        Ok(())
    }

    /// The settings alone: nothing else is worth looking at without them.
    fn settings(&mut self) {
        home::config(&mut self.sheet, &self.paths, &self.config);
    }

    fn home(&mut self, json: bool) -> Result<(), CliError> {
        self.settings();
        home::modes(&mut self.sheet, &self.paths);
        home::disk(&mut self.sheet, &self.paths);
        home::daemon(&mut self.sheet, &self.daemon);
        home::work(&mut self.sheet, &self.paths, Clock::default().now_ms());
        self.told(json)?;
        home::ledger(&mut self.sheet, &self.paths);
        if let Ok(config) = &self.config {
            home::routines(&mut self.sheet, config);
        }
        self.told(json)
    }

    async fn feishu(&mut self, press: Option<Duration>, json: bool) -> Result<(), CliError> {
        let Ok(config) = &self.config else { return Ok(()) };
        let (app, access) = (app::feishu_app(config), app::access(config));
        let clock = Clock::default();
        let case = feishu::Case {
            config,
            app: app.as_ref(),
            daemon: &self.daemon,
            access: &access,
            group_context: false,
            clock,
        };
        let what = self.context.say("正在问飞书", "asking Feishu");
        with_progress(what, feishu::examine(&mut self.sheet, &case)).await;
        if let (Some(app), Some(patience)) = (&app, press) {
            let came = self.press(patience).await?;
            feishu::pressed(&mut self.sheet, app, &came);
        }
        self.told(json)
    }

    async fn press(&self, patience: Duration) -> Result<Pressed, CliError> {
        if self.daemon.status.is_none() {
            return Ok(Pressed::NotRunning);
        }
        let client = Client::connect(&self.paths)?;
        let Some(mut card) = Card::send(&client, patience).await? else { return Ok(Pressed::NoOwner) };
        output::note(&DoctorMsg::PressHere.text(self.context.lang));
        let mut progress = Progress::new(self.context.say("等着", "waiting"));
        let came = loop {
            match card.look(&client).await {
                Ok(None) => {}
                Ok(Some(came)) => break Ok(came),
                Err(error) => break Err(error),
            }
            progress.tick();
            tokio::time::sleep(press::LOOK).await;
        };
        progress.end();
        Ok(came?)
    }

    async fn runtime(&mut self, json: bool) -> Result<(), CliError> {
        let Ok(config) = &self.config else { return Ok(()) };
        // A sandbox in a sandbox tells nothing.
        let below = self.context.environment.below_a_runtime();
        let codex = app::codex(config);
        if let Some(codex) = codex.as_ref().filter(|_| !below) {
            let what = self.context.say("正在试沙箱", "trying the sandbox");
            let (_, tried) = with_progress(what, app::try_security(config)).await;
            self.tried = tried;
            self.versions.extend(codex.program().await.ok().map(|found| format!("codex {}", found.version)));
        }
        let tried = (codex.is_some() && !below).then_some(self.tried.as_slice());
        let case = runtime::Case { config, codex: codex.as_ref(), daemon: &self.daemon, tried, depth: Depth::Tried };
        let what = self.context.say("正在问 codex", "asking codex");
        with_progress(what, runtime::examine(&mut self.sheet, &case)).await;
        self.told(json)
    }

    async fn chat(&mut self, id: &str, user: Option<&str>, json: bool) -> Result<(), CliError> {
        let Ok(config) = &self.config else { return Ok(()) };
        let Some(app) = app::feishu_app(config) else {
            let (daemon, access) = (&self.daemon, app::access(config));
            let case = feishu::Case {
                config,
                app: None,
                daemon,
                access: &access,
                group_context: false,
                clock: Clock::default(),
            };
            feishu::examine(&mut self.sheet, &case).await;
            return self.told(json);
        };
        let access = app::access(config);
        let name = user.and_then(|user| name_of(&self.paths, user));
        let case = chat::Case { app: &app, access: &access, chat: id, user, name, clock: Clock::default() };
        let what = self.context.say("正在问飞书", "asking Feishu");
        with_progress(what, chat::examine(&mut self.sheet, &case)).await;
        self.told(json)
    }

    fn bad(&self) -> usize {
        self.sheet.findings.iter().filter(|finding| finding.grade == Grade::Bad).count()
    }

    fn report(&self) -> Report<'_> {
        Report {
            home: self.paths.home.display().to_string(),
            version: env!("CARGO_PKG_VERSION"),
            bad: self.bad(),
            checks: &self.sheet.findings,
        }
    }

    /// One line at the end: whoever scrolled past knows.
    fn sum_up(&self) -> Result<(), CliError> {
        let line = match self.bad() {
            0 => paint(AnsiColor::Green, &self.context.say("没有 ✕", "no ✕")),
            n => paint(
                AnsiColor::Red,
                &self.context.say(&format!("{n} 项 ✕，从最上面的开始"), &format!("{n} ✕; begin with the topmost")),
            ),
        };
        output::line(&line)
    }

    fn bundle(&self, file: &Path, report: &Report<'_>) -> Result<(), CliError> {
        let in_json = |value: serde_json::Result<String>| value.unwrap_or_default();
        let offline = StatusReport::empty(self.paths.home.display().to_string(), self.daemon.state);
        let status = self.daemon.status.as_ref().unwrap_or(&offline);
        let mut versions = vec![
            format!("ally {}", env!("CARGO_PKG_VERSION")),
            format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ];
        versions.extend(self.versions.clone());
        let parts = bundle::Parts {
            paths: &self.paths,
            config: self.config.as_ref().ok(),
            findings: in_json(serde_json::to_string_pretty(report)),
            status: in_json(serde_json::to_string_pretty(status)),
            versions,
        };
        bundle::write(file, &bundle::text(&parts)).map_err(|error| {
            CliError::new(format!("{}: {error}", file.display())).hint(
                "换一个还没有的文件名，放在你能写的目录里",
                "name a file that is not there yet, in a folder that you may write to",
            )
        })?;
        let shown = file.display();
        output::note(&self.context.say(
            &format!("写好了 {shown}：没有密钥，也没有消息。发出去以前可以自己看一遍"),
            &format!("wrote {shown}: no secrets, no messages. Look through it before you send it"),
        ));
        Ok(())
    }

    fn code(&self) -> ExitCode {
        if runtime::is_exposed(&self.tried) {
            return ExitCode::from(Code::Exposed as u8);
        }
        ExitCode::from(if self.bad() == 0 { 0 } else { Code::Failed as u8 })
    }
}

fn name_of(paths: &Paths, user: &str) -> Option<String> {
    let (channel, user) = (ChannelName::from("feishu"), UserId::from(user));
    let named = report::offline(&paths.ledger, |tx| said::name_of(tx, &channel, &user));
    Some(named.ok()???.0)
}

/// A finding in colour, for a terminal.
pub(in crate::cli) fn painted(finding: &Finding) -> String {
    let color = match finding.grade {
        Grade::Ok => AnsiColor::Green,
        Grade::Note | Grade::Unknown => AnsiColor::Yellow,
        Grade::Bad => AnsiColor::Red,
    };
    let lines = finding.lines();
    match lines.split_once('\n') {
        Some((first, rest)) => format!("{}\n{rest}", paint(color, first)),
        None => paint(color, &lines),
    }
}

/// A sign of life while something takes longer than a second.
pub(in crate::cli) async fn with_progress<T>(what: String, work: impl Future<Output = T>) -> T {
    let mut progress = Progress::new(what);
    tokio::pin!(work);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = tick.tick() => progress.tick(),
        }
    };
    progress.end();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(verb: Option<Verb>) -> Args {
        Args { json: false, press: false, timeout: Duration::ZERO, bundle: None, verb }
    }

    #[test]
    fn an_agent_may_look_and_nothing_else() {
        let chat = Verb::Chat { id: String::new(), user: None };
        for verb in [None, Some(Verb::Runtime), Some(chat), Some(Verb::Feishu { press: false })] {
            assert!(args(verb).only_looks());
        }
        assert!(args(Some(Verb::Ledger { compact: false })).only_looks());
        for verb in [Verb::Security, Verb::Ledger { compact: true }, Verb::Feishu { press: true }] {
            assert!(!args(Some(verb)).only_looks());
        }
        assert!(!Args { press: true, ..args(None) }.only_looks());
        assert!(!Args { bundle: Some("x".into()), ..args(None) }.only_looks());
    }
}
