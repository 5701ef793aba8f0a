//! `ally setup`: from nothing to a bot that greets its owner. Each step looks first whether it is done (in `ally.toml` and
//! `.env` wherever they can tell it, in a small note for the rest), so that it can be left at any time, and run again, goes
//! on at the first thing that is missing.

mod app;
mod approval;
mod ask;
mod checks;
mod click;
mod finish;
mod project;
mod qr;
mod runtime;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::AnsiColor;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::ask::{Ask, Stop};
use super::error::{CliError, Code};
use super::output::{self, paint};
use super::{Context, demo};
use crate::channels::feishu::register::{Brand, Rights};
use crate::config::{Change, Config, Paths, Setting, write_missing, write_private, write_settings};
use crate::domain::view::Lang;
use crate::supervisor::{Lock, LockError};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The language of ally: zh or en
    #[arg(long, value_name = "LANG", value_parser = lang)]
    lang: Option<Lang>,
    /// Ask nothing: take the default wherever nothing else is said
    #[arg(long)]
    yes: bool,
    /// Which platform: feishu or lark
    #[arg(long, value_name = "PLATFORM", value_parser = brand)]
    domain: Option<Brand>,
    /// An app that is there already: its id, cli_…
    #[arg(long, value_name = "ID", conflicts_with = "new_app")]
    app_id: Option<String>,
    /// Read that app's secret from stdin
    #[arg(long, requires_all = ["app_id", "yes"], conflicts_with = "app_secret_env")]
    app_secret_stdin: bool,
    /// Read that app's secret from a variable of the environment
    #[arg(long, value_name = "NAME", requires = "app_id")]
    app_secret_env: Option<String>,
    /// Make a new app by a code that you scan, also where there is one
    #[arg(long)]
    new_app: bool,
    /// Which rights the app is to have: basic, or group (what others say in groups as well; an administrator approves that)
    #[arg(long, value_name = "PACKAGE", value_parser = rights)]
    rights: Option<Rights>,
    /// The folder of the project in which the agent works
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Do not have the system start ally by itself
    #[arg(long)]
    no_service: bool,
    /// Where the platform is, for tests
    #[arg(long, value_name = "URL", hide = true)]
    base_url: Option<String>,
}

fn lang(text: &str) -> Result<Lang, String> {
    Lang::parse(text).ok_or_else(|| "write zh or en".to_owned())
}

fn brand(text: &str) -> Result<Brand, String> {
    match text {
        "feishu" => Ok(Brand::Feishu),
        "lark" => Ok(Brand::Lark),
        _ => Err("write feishu or lark".to_owned()),
    }
}

fn rights(text: &str) -> Result<Rights, String> {
    match text {
        "basic" => Ok(Rights::Basic),
        "group" => Ok(Rights::GroupContext),
        _ => Err("write basic or group".to_owned()),
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    if !args.yes && !std::io::stdin().is_terminal() {
        return Err(CliError::new("there is no terminal in which anything could be asked").hint(
            "用 `ally setup --yes`，并写明 --new-app，或 --app-id ID 加 --app-secret-stdin（或 --app-secret-env NAME）；还有 --lang、--domain、--rights、--project DIR、--no-service",
            "use `ally setup --yes` with --new-app, or with --app-id ID and --app-secret-stdin (or --app-secret-env NAME); besides them --lang, --domain, --rights, --project DIR, --no-service",
        ));
    }
    let paths = context.paths()?;
    write_missing(&paths)?;
    let _lock = Lock::take(&paths.setup_lock()).map_err(|error| match error {
        LockError::Held { pid } => {
            let pid = pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
            CliError::new(format!("another `ally setup` is at it (pid {pid})"))
                .code(Code::Temporary)
                .hint("在那个终端里继续，或先结束它", "go on in its terminal, or end it first")
        }
        error => error.into(),
    })?;
    let mut setup = Setup {
        context: Context { environment: context.environment.clone(), lang: context.lang },
        kept: Kept::read(&paths),
        ask: if args.yes { Ask::nobody() } else { Ask::person() },
        began: Instant::now(),
        is_told: None,
        paths,
        args,
    };
    let left = tokio::select! {
        biased;
        // The terminal shows again what is typed, before anything ends.
        () = demo::interrupted() => Err(Stop::Left),
        done = setup.steps() => done,
    };
    setup.end(left)
}

/// What the settings do not tell.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// Whose computer this is.
    place: Option<Place>,
    /// An app that was made, until its credentials are written down: nobody tells the secret twice.
    app: Option<MadeApp>,
    /// A code that somebody may be about to scan.
    code: Option<PendingCode>,
    /// The app was made here, as it was asked for.
    made_new: bool,
    /// Whether the app is to be allowed to read what others say in groups, once a person or a flag has said it.
    group_context: Option<bool>,
    /// The card that was sent to be pressed.
    card: Option<String>,
    /// A button was pressed, or nobody wants to press one. `false`: the app is another one since.
    clicked: Option<bool>,
    /// No project is wanted: each chat has a folder of its own.
    no_project: bool,
    /// What the runtime answered with.
    tried: Option<String>,
    /// The posture that somebody accepted.
    accepted: Option<String>,
    /// Whether the system is to start ally.
    service: Option<bool>,
    /// The settings were changed since ally was started.
    changed: bool,
}

/// Whose computer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// Of the person who sits here.
    Own,
    /// A server for several.
    Server,
}

/// An app as it was told.
#[derive(Clone, Serialize, Deserialize)]
struct MadeApp {
    app_id: String,
    app_secret: String,
    lark: bool,
    by: Option<String>,
}

// Its secret is nobody's business.
impl std::fmt::Debug for MadeApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MadeApp").field(&self.app_id).finish()
    }
}

/// A registration that was begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PendingCode {
    device_code: String,
    link: String,
    short_link: String,
    interval_s: u64,
    until_ms: i64,
    /// Which rights it holds.
    #[serde(default)]
    group_context: bool,
}

impl Kept {
    /// One that cannot be read costs some questions.
    fn read(paths: &Paths) -> Self {
        let text = std::fs::read_to_string(paths.setup()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// One run of it.
struct Setup<'a> {
    args: &'a Args,
    /// In the language that was chosen.
    context: Context,
    paths: Paths,
    kept: Kept,
    ask: Ask,
    began: Instant,
    /// Whether the owner hears of the approval that is waited for; nothing where none is.
    is_told: Option<bool>,
}

impl Setup<'_> {
    async fn steps(&mut self) -> Result<(), Stop> {
        self.language().await?;
        self.place().await?;
        self.app().await?;
        self.checks().await?;
        self.runtime().await?;
        self.project().await?;
        self.trial().await?;
        self.posture().await?;
        self.service().await?;
        self.start().await?;
        self.owner().await?;
        self.greet().await?;
        self.click().await?;
        self.group_context().await
    }

    /// What is said at the end, however it came.
    fn end(&self, ended: Result<(), Stop>) -> Result<ExitCode, CliError> {
        let context = &self.context;
        let ended = match ended {
            Err(Stop::Left) if self.is_told.is_some() => {
                output::note("");
                Err(Stop::Waits)
            }
            ended => ended,
        };
        match ended {
            Ok(()) => {
                let seconds = self.began.elapsed().as_secs();
                output::note(&context.say(
                    &format!(
                        "完成，用时 {}。停止：`ally stop` · 锁定：`ally lock` · 体检：`ally doctor`",
                        spoken(seconds, Lang::Zh)
                    ),
                    &format!(
                        "Done in {}. Stop: `ally stop` · Lock: `ally lock` · Check: `ally doctor`",
                        spoken(seconds, Lang::En)
                    ),
                ));
                Ok(ExitCode::SUCCESS)
            }
            Err(Stop::Waits) => {
                output::note(&match self.is_told {
                    Some(true) => context.say(
                        "已保存。管理员批准后运行 `ally setup` 继续；批准了我也会在飞书里告诉你",
                        "Saved. After the administrator approves, run `ally setup` again; I will also tell you in Feishu",
                    ),
                    _ => context.say(
                        "已保存。管理员批准后运行 `ally setup` 继续",
                        "Saved. After the administrator approves, run `ally setup` again",
                    ),
                });
                Ok(if self.ask.is_person() { ExitCode::SUCCESS } else { ExitCode::from(Code::Temporary as u8) })
            }
            Err(Stop::Left) => {
                output::note("");
                output::note(&context.say(
                    "已保存，做完的都在。再运行 `ally setup` 从这里继续",
                    "Saved, nothing is lost. Run `ally setup` again to go on from here",
                ));
                Ok(ExitCode::from(Code::Temporary as u8))
            }
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn say(&self, zh: &str, en: &str) -> String {
        self.context.say(zh, en)
    }

    /// A step that is done.
    fn done(&self, zh: &str, en: &str) {
        output::note(&paint(AnsiColor::Green, &format!("✓ {}", self.say(zh, en))));
    }

    /// Something that went wrong and can be tried again.
    fn wrong(&self, text: &str) {
        output::note(&paint(AnsiColor::Red, &format!("✕ {text}")));
    }

    fn config(&self) -> Result<Config, Stop> {
        Ok(crate::config::load(&self.context.environment)?)
    }

    fn keep(&self) -> Result<(), Stop> {
        let text = serde_json::to_string_pretty(&self.kept).map_err(|error| CliError::new(error.to_string()))?;
        Ok(write_private(&self.paths.setup(), &text)?)
    }

    /// Changes the settings. That it did is known before: a daemon that runs has to hear of it.
    fn change(&mut self, changes: &[(Setting, Change)]) -> Result<(), Stop> {
        self.kept.changed = true;
        self.keep()?;
        Ok(write_settings(&self.paths, changes)?)
    }

    async fn language(&mut self) -> Result<(), Stop> {
        let environment = &self.context.environment;
        let chosen = match (self.args.lang, crate::config::chosen_lang(environment)) {
            (Some(lang), _) => lang,
            (None, Some(chosen)) => {
                self.context.lang = chosen;
                return Ok(());
            }
            (None, None) => {
                let default = if self.context.lang == Lang::Zh { 1 } else { 2 };
                let options = ["中文".to_owned(), "English".to_owned()];
                match self.ask.choose(&self.context, "语言 / Language", &options, default).await? {
                    1 => Lang::Zh,
                    _ => Lang::En,
                }
            }
        };
        self.context.lang = chosen;
        self.change(&[(Setting::Lang, Change::Text(chosen.as_str().to_owned()))])
    }

    async fn place(&mut self) -> Result<(), Stop> {
        if self.kept.place.is_some() {
            return Ok(());
        }
        let question = self.say("这台电脑是：", "This computer is:");
        let options = [self.say("我自己的", "my own"), self.say("团队服务器", "a team server")];
        let place = match self.ask.choose(&self.context, &question, &options, 1).await? {
            1 => Place::Own,
            _ => Place::Server,
        };
        if place == Place::Own {
            output::note(&self.say(
                "电脑睡眠时 ally 也睡：消息不会丢，醒来再做",
                "While this computer sleeps ally does, too: no message is lost, they are done after it wakes",
            ));
        }
        self.kept.place = Some(place);
        self.keep()
    }
}

/// A span of time in words.
fn spoken(seconds: u64, lang: Lang) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match (lang, minutes) {
        (Lang::Zh, 0) => format!("{seconds} 秒"),
        (Lang::Zh, _) => format!("{minutes} 分 {seconds} 秒"),
        (Lang::En, 0) => format!("{seconds} s"),
        (Lang::En, _) => format!("{minutes} min {seconds} s"),
    }
}

/// Between two looks at something that another process does.
const LOOK: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_spoken() {
        for (seconds, zh, en) in
            [(9, "9 秒", "9 s"), (108, "1 分 48 秒", "1 min 48 s"), (120, "2 分 0 秒", "2 min 0 s")]
        {
            assert_eq!([spoken(seconds, Lang::Zh), spoken(seconds, Lang::En)], [zh, en]);
        }
    }

    #[test]
    fn a_note_of_another_version_is_read_as_far_as_it_goes() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("ally"), None);
        assert!(Kept::read(&paths).place.is_none(), "there is none");
        write_missing(&paths).unwrap();
        std::fs::write(paths.setup(), r#"{"place":"server","service":false,"later":1}"#).unwrap();
        let kept = Kept::read(&paths);
        assert_eq!((kept.place, kept.service, kept.changed), (Some(Place::Server), Some(false), false));
        std::fs::write(paths.setup(), "{").unwrap();
        assert!(Kept::read(&paths).place.is_none(), "it costs some questions");
    }
}
