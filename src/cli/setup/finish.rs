//! The end: ally runs, by itself from now on if that is wanted, it has an owner, and the owner is greeted.

use std::time::Duration;

use tokio::time::Instant;

use super::ask::{Stop, or_leave};
use super::{LOOK, Place, Setup};
use crate::app;
use crate::cli::error::{CliError, Code};
use crate::cli::output::{self, Progress, dim};
use crate::cli::{reload, service, start, stop};
use crate::clock::Clock;
use crate::control::{Client, ClientError, GreetReport, GreetRequest, PairCode};
use crate::supervisor::{self, Presence};

/// For a daemon to be ready.
const READY: Duration = Duration::from_secs(90);
/// For the connection after that, and for a message to go out.
pub(super) const CONNECTED: Duration = Duration::from_secs(60);

impl Setup<'_> {
    pub(super) fn runs(&self) -> bool {
        supervisor::presence(&self.paths) != Presence::Stopped
    }

    /// Whether the system is to start it.
    pub(super) async fn service(&mut self) -> Result<(), Stop> {
        if self.args.no_service {
            self.kept.service = Some(false);
            return self.keep();
        }
        if self.kept.service.is_some() || service::is_installed(&self.context, &self.paths.home) {
            return Ok(());
        }
        if let Err(why) = service::is_offered(&self.context).await {
            output::note(&dim(&self.say(
                &format!("不装开机启动（{}）：重启电脑后运行 `ally start`", why.message),
                &format!(
                    "it is not started with the system ({}): run `ally start` after a restart of the computer",
                    why.message
                ),
            )));
            return Ok(());
        }
        let question = self.say("登录后自动启动 ally？", "Start ally by itself when you log in?");
        let default = self.kept.place == Some(Place::Own);
        let wanted = self.ask.yes(&self.context, &question, default).await?;
        self.kept.service = Some(wanted);
        self.keep()
    }

    /// It runs with the settings of now, and is connected.
    pub(super) async fn start(&mut self) -> Result<(), Stop> {
        let wants_service = self.kept.service == Some(true) && !service::is_installed(&self.context, &self.paths.home);
        if wants_service {
            if self.runs() {
                stop::run(&self.context, &stop::Args::default()).await?;
            }
            service::install_own(&self.context).await?;
        }
        let hears = !wants_service && self.runs() && (self.kept.changed || !self.has_channel().await);
        if hears {
            self.reload().await?;
        } else {
            self.start_in_background().await?;
            self.kept.changed = false;
            self.keep()?;
        }
        self.connected().await
    }

    /// What runs gets the settings of now.
    pub(super) async fn reload(&mut self) -> Result<(), Stop> {
        reload::now(&self.context, READY).await?;
        self.kept.changed = false;
        self.keep()
    }

    /// It runs, with the app of now.
    pub(super) async fn run_as_set(&mut self) -> Result<(), Stop> {
        if self.runs() {
            // It may have been started without this app.
            if self.kept.changed || !self.has_channel().await {
                self.reload().await?;
            }
            return Ok(());
        }
        self.start_in_background().await?;
        // What is changed from here on it has to hear of.
        self.kept.changed = false;
        self.keep()
    }

    /// Whether what runs was started with an app at all.
    pub(super) async fn has_channel(&self) -> bool {
        let status = start::ready(&self.paths).await;
        status.is_some_and(|status| status.channels.iter().any(|channel| channel.name == "feishu"))
    }

    pub(super) async fn start_in_background(&self) -> Result<(), Stop> {
        start::run(&self.context, &start::Args { timeout: READY }).await?;
        Ok(())
    }

    async fn connected(&mut self) -> Result<(), Stop> {
        loop {
            let (until, mut problem) = (Instant::now() + CONNECTED, None);
            let mut progress = Progress::new(self.say("正在连接飞书", "connecting to Feishu"));
            while Instant::now() < until {
                let status = start::ready(&self.paths).await;
                let channel = status.and_then(|status| status.channels.into_iter().find(|one| one.name == "feishu"));
                match channel {
                    Some(channel) if channel.state == "connected" => {
                        progress.end();
                        self.done("ally 在运行，飞书已连接", "ally runs and is connected to Feishu");
                        return Ok(());
                    }
                    Some(channel) if channel.state == "refused" => {
                        problem = channel.problem;
                        break;
                    }
                    Some(channel) => problem = channel.problem.or(problem),
                    None => {}
                }
                progress.tick();
                tokio::time::sleep(LOOK).await;
            }
            progress.end();
            let why = problem.unwrap_or_else(|| self.say("还没有连上", "not yet"));
            self.wrong(&self.say(&format!("飞书没有连上：{why}"), &format!("not connected to Feishu: {why}")));
            self.once_more("ally is not connected to Feishu").await?;
        }
    }

    /// Waits for Enter; where nobody is there it is over.
    async fn once_more(&mut self, what: &str) -> Result<(), Stop> {
        if !self.ask.is_person() {
            return Err(CliError::new(what.to_owned())
                .code(Code::Temporary)
                .hint(
                    "看 `ally doctor feishu` 和 `ally logs`，再运行一次",
                    "see `ally doctor feishu` and `ally logs`, then run it again",
                )
                .into());
        }
        let enter = self.say("按回车再试", "Enter to try again");
        self.ask.line(&or_leave(&self.context, &enter)).await.map(drop)
    }

    /// Somebody owns the bot: whoever scanned, or whoever sends it the code that is shown here.
    pub(super) async fn owner(&mut self) -> Result<(), Stop> {
        while !self.is_owned()? {
            let code: PairCode = self.client()?.post("/v1/pair", &serde_json::json!({})).await?;
            output::note(&self.say(
                "在飞书里给机器人发下面的码（10 分钟内有效，只能用一次，私聊）：发的人成为所有者",
                "Send the bot this in a direct chat (valid 10 minutes, once); whoever sends it becomes the owner:",
            ));
            output::raw(&code.code)?;
            if self.paired(code.valid_until_ms).await? {
                break;
            }
            self.wrong(
                &self.say("这个码过期了，还没有所有者", "this code is no longer good, and there is no owner yet"),
            );
            if !self.ask.is_person() {
                return Err(CliError::new("nobody sent the code")
                    .code(Code::Temporary)
                    .hint(
                        "再运行一次，10 分钟内把码发给机器人",
                        "run it again, and send the code to the bot within 10 minutes",
                    )
                    .into());
            }
            let enter = self.say("按回车换一个码", "Enter for another code");
            self.ask.line(&or_leave(&self.context, &enter)).await?;
        }
        Ok(())
    }

    fn is_owned(&self) -> Result<bool, Stop> {
        Ok(app::access(&self.config()?).owner.is_some())
    }

    /// Whether somebody has sent it in time.
    async fn paired(&mut self, until_ms: i64) -> Result<bool, Stop> {
        let clock = Clock::default();
        let mut progress =
            Progress::new(self.say("等着（Enter 换一个码 · q 离开）", "waiting (Enter for another code · q to leave)"));
        while clock.now_ms() < until_ms {
            if self.is_owned()? {
                progress.end();
                self.done("有所有者了", "the bot has an owner");
                return Ok(true);
            }
            progress.tick();
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                typed = self.ask.typed() => {
                    typed?;
                    break;
                }
            }
        }
        progress.end();
        Ok(false)
    }

    /// The owner has the first words, once, whatever becomes of this process meanwhile.
    pub(super) async fn greet(&mut self) -> Result<(), Stop> {
        loop {
            // One that could not be delivered is sent again: what kept it may be mended since.
            let problem = match self.greeted().await? {
                GreetReport::Sent => {
                    self.done("机器人在飞书里跟你打过招呼了", "the bot has greeted you in Feishu");
                    self.kept.made_new = false;
                    return self.keep();
                }
                GreetReport::Undeliverable { problem } => Some(problem),
                GreetReport::Sending { problem } => problem,
                GreetReport::NoOwner | GreetReport::NoChat => None,
            };
            let why = problem.unwrap_or_else(|| self.say("还没有发出", "it was not sent yet"));
            self.wrong(&self.say(&format!("招呼没有送到：{why}"), &format!("the greeting did not arrive: {why}")));
            output::note(&self.say(
                "看应用的可用范围里有没有你（版本管理与发布 → 可用范围）",
                "see whether you are among those who may use the app (Version management & release → availability)",
            ));
            self.once_more("the owner was not greeted").await?;
        }
    }

    /// Once it is out, or will never be.
    async fn greeted(&self) -> Result<GreetReport, Stop> {
        let until = Instant::now() + CONNECTED;
        let mut progress = Progress::new(self.say("正在打招呼", "greeting you"));
        let mut anew = true;
        loop {
            let asked = async { self.client()?.post("/v1/greet", &GreetRequest { anew }).await.map_err(Stop::from) };
            match asked.await {
                Ok(GreetReport::Sending { problem }) if Instant::now() >= until => {
                    return Ok(GreetReport::Sending { problem });
                }
                Ok(GreetReport::Sending { .. }) => anew = false,
                Ok(report) => return Ok(report),
                // It may just be started anew.
                Err(_) if Instant::now() < until => {}
                Err(error) => return Err(error),
            }
            progress.tick();
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) fn client(&self) -> Result<Client, ClientError> {
        Client::connect(&self.paths)
    }
}
