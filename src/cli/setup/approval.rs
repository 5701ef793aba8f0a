//! What the app may do, and the administrator of the organisation who may have to approve it: nobody waits for that at a terminal.

use super::Setup;
use super::ask::Stop;
use crate::app;
use crate::channels::feishu::register::Rights;
use crate::cli::doctor::with_progress;
use crate::cli::output::{self, dim};
use crate::control::{Approval, ApprovalReport, ApprovalRequest};
use crate::doctor::feishu::group_context_page;

impl Setup<'_> {
    /// Which package of rights is wanted: asked once, before the code that holds them.
    pub(super) async fn rights(&mut self) -> Result<Rights, Stop> {
        let of_code = self.kept.code.as_ref().map(|code| code.group_context);
        if let Some(group_context) = self.args.rights.map(reads_groups).or(of_code).or(self.kept.group_context) {
            return self.want(group_context);
        }
        if !self.ask.is_person() {
            return Ok(Rights::Basic);
        }
        let question = self.say("权限：", "Rights:");
        let options = [
            self.say(
                "基本（一般免审）：私聊、群里 @我、发答案和卡片",
                "basic (usually no review): direct chats, mentions in groups, answers and cards",
            ),
            self.say(
                "加上群上下文（管理员审批）：读被引用的消息、群里的文件、停机时错过的话",
                "group context as well (an administrator reviews it): quoted messages, files of groups, what was missed during a downtime",
            ),
        ];
        let chosen = self.ask.choose(&self.context, &question, &options, 1).await?;
        self.want(chosen == 2)
    }

    fn want(&mut self, group_context: bool) -> Result<Rights, Stop> {
        self.kept.group_context = Some(group_context);
        self.keep()?;
        Ok(if group_context { Rights::GroupContext } else { Rights::Basic })
    }

    /// Another app: what a former one has shown says nothing of it.
    pub(super) fn is_another(&mut self) {
        self.kept.card = None;
        self.kept.clicked = Some(false);
    }

    pub(super) fn wants_groups(&self) -> bool {
        self.kept.group_context.unwrap_or_default()
    }

    /// An administrator has to do something first. Ally looks for that from now on, whoever leaves the terminal how.
    pub(super) async fn waits(&mut self) {
        // Each time: it may be another one that was handed in since.
        let asked = self.await_approval(Approval::Version).await;
        self.is_told = Some(matches!(asked, Ok(ApprovalReport::Waiting)));
    }

    /// All of it is there, and whoever sits here knows.
    pub(super) async fn waits_no_more(&self) {
        if self.runs() && self.has_channel().await {
            // Where that does not work, the owner is told once too often.
            let _ = self.ask_for(Approval::Version).await;
        }
    }

    /// What only an administrator can give is waited for by ally: everything else works without it.
    pub(super) async fn group_context(&mut self) -> Result<(), Stop> {
        if !self.wants_groups() {
            return Ok(());
        }
        let page = app::feishu_app(&self.config()?).map(|app| group_context_page(&app)).unwrap_or_default();
        let asked = self.await_approval(Approval::GroupContext).await;
        match asked {
            Ok(ApprovalReport::Approved) => {
                self.done("群上下文的权限有了", "the rights of the group context are there");
            }
            Ok(ApprovalReport::Waiting) => output::note(&self.say(
                &format!("群上下文等管理员批准（{page}）：批准了我会在飞书里告诉你，别的现在就能用"),
                &format!(
                    "the group context waits for an administrator ({page}): I will tell you in Feishu; all else works now"
                ),
            )),
            Ok(ApprovalReport::NoOwner | ApprovalReport::Untold) | Err(_) => output::note(&self.say(
                &format!("群上下文要管理员批准（{page}），有没有批准看不到；别的现在就能用"),
                &format!(
                    "the group context needs an administrator's approval ({page}), and whether it is there is not told; all else works now"
                ),
            )),
        }
        Ok(())
    }

    /// Has ally look for it, which runs from now on.
    async fn await_approval(&mut self, what: Approval) -> Result<ApprovalReport, Stop> {
        if app::access(&self.config()?).owner.is_none() {
            return Ok(ApprovalReport::NoOwner);
        }
        if !self.runs() {
            output::note(&dim(
                &self.say("ally 现在启动，看管理员批准了没有", "ally is started now, and looks for the approval")
            ));
        }
        self.run_as_set().await?;
        self.ask_for(what).await
    }

    /// Where it is there already, nothing is told any more.
    async fn ask_for(&self, what: Approval) -> Result<ApprovalReport, Stop> {
        let Some(app) = app::feishu_app(&self.config()?) else { return Ok(ApprovalReport::Untold) };
        let request = ApprovalRequest { what, app_id: app.app_id };
        let asked = async { self.client()?.post("/v1/approval", &request).await.map_err(Stop::from) };
        with_progress(self.say("正在问飞书", "asking Feishu"), asked).await
    }
}

fn reads_groups(rights: Rights) -> bool {
    rights == Rights::GroupContext
}
