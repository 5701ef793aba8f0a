//! Whether the app is as ally needs it, by the checks of `ally doctor`: each line says what is missing, and where to mend it.

use super::Setup;
use super::ask::{Stop, or_leave};
use crate::app;
use crate::cli::doctor::{look_for_daemon, painted, with_progress};
use crate::cli::error::CliError;
use crate::cli::output;
use crate::clock::Clock;
use crate::doctor::feishu::{self, waits_for_administrator};
use crate::doctor::{Daemon, Sheet};
use crate::domain::finding::{Check, Finding, Grade};

/// What can be told before ally runs, and before it has an owner.
const SHOWN: [Check; 10] = [
    Check::Reach,
    Check::Clock,
    Check::Credentials,
    Check::Twice,
    Check::Bot,
    Check::Version,
    Check::Range,
    Check::Scopes,
    Check::Events,
    Check::Callback,
];

/// Bad, and nothing works without it.
fn blocks(finding: &Finding) -> bool {
    // A clock that is off makes times wrong, and whoever sits here may be unable to set it.
    finding.grade == Grade::Bad && finding.id != Check::Clock
}

impl Setup<'_> {
    /// Every check is passed. What is missing is looked at again as often as somebody wants.
    pub(super) async fn checks(&mut self) -> Result<(), Stop> {
        loop {
            let findings = self.look().await?;
            for finding in &findings {
                output::note(&painted(finding));
            }
            let is_bad = |check: Check| findings.iter().any(|one| one.id == check && blocks(one));
            let lang = self.context.lang;
            let waits = findings.iter().any(|finding| waits_for_administrator(finding, lang));
            let is_ready = !findings.iter().any(blocks);
            if is_ready || !waits {
                self.is_told = None;
            }
            if is_ready {
                if !waits {
                    self.waits_no_more().await;
                }
                return Ok(());
            }
            if is_bad(Check::Events) || is_bad(Check::Callback) {
                self.connect().await?;
            }
            if waits {
                self.waits().await;
            }
            if !self.ask.is_person() {
                let bad: Vec<&str> = findings.iter().filter(|one| blocks(one)).map(|one| one.id.id()).collect();
                let failed = CliError::new(format!("the app is not ready: {}", bad.join(", ")))
                    .hint("按上面每一行说的改好，再运行一次", "mend what the lines above name, then run it again");
                return Err(if waits { Stop::Waits } else { failed.into() });
            }
            if waits {
                output::note(&self.say(
                    "要等企业管理员批准：现在可以离开，以后继续",
                    "an administrator has to approve it: you may leave now and go on later",
                ));
            }
            let wrong_secret = is_bad(Check::Credentials);
            let enter = match wrong_secret {
                true => self.say("按回车再查 · p 重新填凭证", "Enter to check again · p to give the credentials again"),
                false => self.say("按回车再查", "Enter to check again"),
            };
            let typed = self.ask.line(&or_leave(&self.context, &enter)).await?;
            if wrong_secret && typed.eq_ignore_ascii_case("p") {
                let brand = self.args.domain.unwrap_or_else(|| self.present_brand());
                let former = self.former_app();
                self.pasted(brand).await?;
                if self.former_app() != former && self.args.rights.is_none() {
                    self.kept.group_context = None;
                    self.keep()?;
                }
            }
        }
    }

    async fn look(&self) -> Result<Vec<Finding>, Stop> {
        let config = self.config()?;
        let (app, access) = (app::feishu_app(&config), app::access(&config));
        let daemon: Daemon = look_for_daemon(&self.context, &self.paths).await;
        let (clock, group_context) = (Clock::default(), self.wants_groups());
        let case =
            feishu::Case { config: &config, app: app.as_ref(), daemon: &daemon, access: &access, group_context, clock };
        let mut sheet = Sheet::new(self.context.lang);
        let what = self.say("正在问飞书", "asking Feishu");
        with_progress(what, feishu::examine(&mut sheet, &case)).await;
        Ok(sheet.findings.into_iter().filter(|finding| SHOWN.contains(&finding.id)).collect())
    }

    /// The console takes the long connection only while there is one.
    async fn connect(&mut self) -> Result<(), Stop> {
        if !self.runs() {
            output::note(&self.say(
                "后台要看到长连接才让选：先把 ally 启动起来",
                "the console lets you choose the long connection only while it sees one: ally is started now",
            ));
        }
        self.run_as_set().await
    }
}
