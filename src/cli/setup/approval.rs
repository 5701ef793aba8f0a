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
        if let Some(group_context) = self.args.rights.map(reads_groups).or(self.kept.group_context) {
            return self.want(group_context);
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

    pub(super) fn wants_groups(&self) -> bool {
        self.kept.group_context.unwrap_or_default()
    }

    /// An administrator has to do something first. Where ally can, it looks for that and tells the owner.
    pub(super) async fn waits(&self) -> Stop {
        let is_told = matches!(self.await_approval(Approval::Version).await, Ok(ApprovalReport::Waiting));
        Stop::Waits { is_told }
    }

    /// What only an administrator can give is waited for by ally: everything else works without it.
    pub(super) async fn group_context(&mut self) -> Result<(), Stop> {
        if !self.wants_groups() {
            return Ok(());
        }
        let page = app::feishu_app(&self.config()?).map(|app| group_context_page(&app)).unwrap_or_default();
        match self.await_approval(Approval::GroupContext).await? {
            ApprovalReport::Approved => self.done("群上下文的权限有了", "the rights of the group context are there"),
            ApprovalReport::Waiting => output::note(&self.say(
                &format!("群上下文等管理员批准（{page}）：批准了我会在飞书里告诉你，别的现在就能用"),
                &format!(
                    "the group context waits for an administrator ({page}): I will tell you in Feishu; all else works now"
                ),
            )),
            ApprovalReport::NoOwner => output::note(&self.say(
                &format!("群上下文等管理员批准（{page}），别的现在就能用"),
                &format!("the group context waits for an administrator ({page}); all else works now"),
            )),
        }
        Ok(())
    }

    /// Has ally look for it, which runs from now on.
    async fn await_approval(&self, what: Approval) -> Result<ApprovalReport, Stop> {
        if app::access(&self.config()?).owner.is_none() {
            return Ok(ApprovalReport::NoOwner);
        }
        if !self.runs() {
            output::note(&dim(
                &self.say("ally 现在启动，等着管理员批准", "ally is started now, and looks for the approval")
            ));
            self.start_in_background().await?;
        }
        let asked = async { self.client()?.post("/v1/approval", &ApprovalRequest { what }).await.map_err(Stop::from) };
        with_progress(self.say("正在问飞书", "asking Feishu"), asked).await
    }
}

fn reads_groups(rights: Rights) -> bool {
    rights == Rights::GroupContext
}
