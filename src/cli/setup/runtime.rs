//! Codex: found or installed, signed in, and one task that it answers.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use super::ask::{Stop, or_leave};
use super::{Place, Setup};
use crate::app::{self, TrialError};
use crate::cli::doctor::{look_for_daemon, painted, with_progress};
use crate::cli::error::CliError;
use crate::cli::output;
use crate::config::{Change, Config, RuntimeConfig, Setting};
use crate::doctor::Sheet;
use crate::doctor::runtime::{self, Depth};
use crate::domain::finding::{Check, Finding, Grade};
use crate::runtimes::codex::CodexLauncher;
use crate::runtimes::codex::locate::PINNED;
use crate::words::{self, FailureContext};

const SHOWN: [Check; 4] = [Check::Program, Check::Strict, Check::Weakened, Check::Login];
/// For an answer to three words.
const PATIENCE: Duration = Duration::from_secs(120);

/// What opens a browser on a desktop.
const DESKTOP: [&str; 6] =
    ["DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "BROWSER"];

impl Setup<'_> {
    /// The program is there, and somebody is signed in.
    pub(super) async fn runtime(&mut self) -> Result<(), Stop> {
        self.codex_home().await?;
        loop {
            let config = self.config()?;
            let Some(codex) = app::codex(&config) else {
                let kind = "embedded";
                self.done(&format!("运行时 {kind}"), &format!("runtime {kind}"));
                return Ok(());
            };
            if !self.program(&codex).await? {
                continue;
            }
            let findings = self.look_at(&config, &codex).await;
            for finding in &findings {
                output::note(&painted(finding));
            }
            let is_bad = |check: Check| findings.iter().any(|one| one.id == check && one.grade == Grade::Bad);
            if is_bad(Check::Program) {
                self.again("codex is not ready").await?;
            } else if is_bad(Check::Login) {
                self.sign_in(&codex).await?;
            } else {
                return Ok(());
            }
        }
    }

    /// On one's own computer the desk's codex may be shared.
    async fn codex_home(&mut self) -> Result<(), Stop> {
        let config = self.config()?;
        let RuntimeConfig::Codex(codex) = &config.runtime else { return Ok(()) };
        let Some(desk) = self.context.environment.home().map(|home| home.join(".codex")) else { return Ok(()) };
        let is_used = |home: &PathBuf| ["auth.json", "config.toml"].iter().any(|file| home.join(file).exists());
        let is_default = codex.home == self.paths.codex && !is_used(&codex.home);
        if self.kept.place != Some(Place::Own) || !is_default || !desk.join("auth.json").exists() {
            return Ok(());
        }
        let question =
            self.say("这台电脑的 codex 已经登录（~/.codex）：", "codex is signed in on this computer (~/.codex):");
        let options = [
            self.say("ally 用单独的一份（要再登录一次）", "a separate one for ally (sign in once more)"),
            self.say(
                "共用：桌面的会话、设置和额度，群里的人也用到",
                "share it: its threads, settings and quota, for people in groups as well",
            ),
        ];
        if self.ask.choose(&self.context, &question, &options, 1).await? == 2 {
            self.change(&[(Setting::CodexHome, Change::Text("~/.codex".to_owned()))])?;
        }
        Ok(())
    }

    /// Installs the program where there is none and nobody has named one. False: it is to be looked at again.
    async fn program(&mut self, codex: &CodexLauncher) -> Result<bool, Stop> {
        let is_missing = codex.program().await.is_err() && codex.config().bin.is_none();
        if !is_missing {
            return Ok(true);
        }
        let what = self.say(
            &format!("正在用 npm 安装 codex {PINNED}（只这一次，约 400 MB）"),
            &format!("installing codex {PINNED} with npm (once, about 400 MB)"),
        );
        if let Err(error) = with_progress(what, codex.install()).await {
            self.wrong(&error.to_string());
            output::note(&self.say(
                &format!("装好带 npm 的 Node.js 再试，或自己装：`npm install -g @openai/codex@{PINNED}`"),
                &format!("install Node.js with npm and try again, or install it yourself: `npm install -g @openai/codex@{PINNED}`"),
            ));
            self.again("codex could not be installed").await?;
            return Ok(false);
        }
        Ok(true)
    }

    async fn look_at(&self, config: &Config, codex: &CodexLauncher) -> Vec<Finding> {
        // Codex does not start without its home.
        let daemon = look_for_daemon(&self.context, &self.paths).await;
        let case = runtime::Case { config, codex: Some(codex), daemon: &daemon, tried: None, depth: Depth::Tried };
        let mut sheet = Sheet::new(self.context.lang);
        let what = self.say("正在问 codex", "asking codex");
        with_progress(what, runtime::examine(&mut sheet, &case)).await;
        sheet.findings.into_iter().filter(|finding| SHOWN.contains(&finding.id)).collect()
    }

    /// Waits for Enter; where nobody is there it is over.
    async fn again(&mut self, what: &str) -> Result<(), Stop> {
        if !self.ask.is_person() {
            let error = CliError::new(what.to_owned());
            return Err(error.hint("按上面说的做，再运行一次", "do what stands above, then run it again").into());
        }
        let enter = self.say("按回车再试", "Enter to try again");
        self.ask.line(&or_leave(&self.context, &enter)).await.map(drop)
    }

    async fn sign_in(&mut self, codex: &CodexLauncher) -> Result<(), Stop> {
        if !self.ask.is_person() || !std::io::stdin().is_terminal() {
            return self.again("codex is not signed in").await;
        }
        let by_code = self.kept.place == Some(Place::Server);
        let enter = match by_code {
            true => self.say(
                "按回车登录 codex（用另一台设备打开链接，输入码）",
                "Enter to sign in (open a link on another device and type a code)",
            ),
            false => self.say(
                "按回车登录 codex（打开浏览器，或打开它给的链接）",
                "Enter to sign in (in the browser, or open the link that it prints)",
            ),
        };
        self.ask.line(&or_leave(&self.context, &enter)).await?;
        let Ok(found) = codex.program().await else { return Ok(()) };
        let desktop = DESKTOP.into_iter().filter_map(|key| Some((key, self.context.environment.get(key)?.to_owned())));
        match codex.sign_in(&found, by_code).envs(desktop).status().await {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => {
                self.wrong(&self.say("没有登录", "it was not signed in"));
                Ok(())
            }
            Err(error) => {
                self.wrong(
                    &self.say(&format!("登录没有开始：{error}"), &format!("the sign-in could not be begun: {error}")),
                );
                Ok(())
            }
        }
    }

    /// One task is answered in the project, unless that was so before with the same program and the same folder.
    pub(super) async fn trial(&mut self) -> Result<(), Stop> {
        loop {
            let config = self.config()?;
            let directory = self.directory(&config)?;
            let mark = self.runtime_mark(&config, &directory).await;
            if self.kept.tried.as_ref() == Some(&mark) {
                return Ok(());
            }
            let what = self.say("正在试一个任务", "trying one task");
            let tried = with_progress(what, app::try_turn(&config, &directory, PATIENCE)).await;
            match tried {
                Ok(_) => {
                    self.done("试了一个任务，有回答", "one task was tried, and answered");
                    self.kept.tried = Some(mark);
                    return self.keep();
                }
                Err(error) => {
                    self.wrong(&self.say(
                        &format!("试的任务没有做成：{error}"),
                        &format!("the task that was tried did not work: {error}"),
                    ));
                    if let Some(remedy) = self.remedy(&config, &error) {
                        output::note(&remedy);
                    }
                }
            }
            if !self.ask.is_person() {
                return self.again("the runtime did not answer").await;
            }
            let enter = self.say("按回车再试 · s 先跳过", "Enter to try again · s to skip this for now");
            if self.ask.line(&or_leave(&self.context, &enter)).await?.eq_ignore_ascii_case("s") {
                return Ok(());
            }
        }
    }

    /// What makes another trial worth while.
    pub(super) async fn runtime_mark(&self, config: &Config, directory: &std::path::Path) -> String {
        let program = match app::codex(config) {
            Some(codex) => match codex.program().await {
                Ok(found) => format!("codex {} in {}", found.version, codex.config().home.display()),
                Err(_) => "none".to_owned(),
            },
            None => "embedded".to_owned(),
        };
        format!("{program}, {}", directory.display())
    }

    fn remedy(&self, config: &Config, error: &TrialError) -> Option<String> {
        match error {
            TrialError::Failed(failure) => {
                let login = app::codex(config).and_then(|codex| codex.login_command());
                let around = FailureContext { login: login.as_deref(), turn: "", ..FailureContext::default() };
                words::failure(failure.kind, around, self.context.lang).owner
            }
            TrialError::Late { .. } => Some(self.say(
                "看这台电脑的网络和代理，能不能连到模型",
                "look at the network and the proxy of this computer: can the model be reached?",
            )),
            _ => None,
        }
    }
}
