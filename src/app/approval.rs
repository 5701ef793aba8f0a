//! Waits with the owner for an administrator of the organisation: what `ally setup` could not wait for is looked for from here,
//! ever more seldom, and the owner is told in the chat, once. That it is waited for stands in the ledger.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::bridge::core::{Core, is_outage};
use crate::bridge::greeting;
use crate::bridge::notices::{self, Cause};
use crate::channels::feishu::FeishuConfig;
use crate::channels::feishu::inspect::Inspector;
use crate::control::{Approval, ApprovalReport};
use crate::doctor::feishu::is_approved;
use crate::domain::ids::ChannelName;
use crate::domain::view::Lang;
use crate::ledger::{LedgerError, Transaction, said};
use crate::words::NoticeMsg;

/// After the first look; each rest is twice the one before.
const FIRST: Duration = Duration::from_secs(5);
/// However long it takes. Far below what the platform allows an app to ask.
const LONGEST: Duration = Duration::from_secs(300);
/// Nobody waits for it any more.
const FORGOTTEN_MS: i64 = 30 * 86_400_000;
const ALL: [Approval; 2] = [Approval::Version, Approval::GroupContext];

impl Approval {
    fn name(self) -> &'static str {
        match self {
            Approval::Version => "version",
            Approval::GroupContext => "group_context",
        }
    }

    fn words(self, lang: Lang) -> String {
        match self {
            Approval::Version => NoticeMsg::VersionApproved.text(lang),
            Approval::GroupContext => NoticeMsg::GroupContextApproved.text(lang),
        }
    }
}

/// The approvals of one app.
pub(super) struct Approvals {
    core: Arc<Core>,
    channel: ChannelName,
    app_id: String,
    inspector: Inspector,
    /// There is one more to be looked for.
    more: Notify,
}

impl Approvals {
    /// # Errors
    /// When an address of the platform is not valid.
    pub(super) fn new(core: Arc<Core>, app: &FeishuConfig) -> anyhow::Result<Self> {
        let inspector = Inspector::new(app, core.clock.clone())?;
        Ok(Self { core, channel: "feishu".into(), app_id: app.app_id.clone(), inspector, more: Notify::new() })
    }

    /// Has it looked for, unless it is there already.
    ///
    /// # Errors
    /// When the ledger takes no writes.
    pub(super) async fn wait_for(&self, what: Approval) -> Result<ApprovalReport, LedgerError> {
        // A platform that does not answer is asked again.
        if self.is_there(what).await {
            self.forget(what).await?;
            return Ok(ApprovalReport::Approved);
        }
        if self.core.access(&self.channel).owner.is_none() {
            return Ok(ApprovalReport::NoOwner);
        }
        let (key, since) = (self.key(what), self.core.now_ms().to_string());
        self.core.ledger.write(move |tx| said::set_meta(tx, &key, &since)).await?;
        self.more.notify_one();
        Ok(ApprovalReport::Waiting)
    }

    /// Looks for what is waited for, until `cancel`.
    pub(super) async fn watch(&self, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut rest = FIRST;
        while !cancel.is_cancelled() {
            let any_left = match self.look().await {
                Ok(any_left) => any_left,
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    if !is_outage(&error) {
                        warn!(error = %format!("{error:#}"), "What an administrator has to approve could not be looked for");
                    }
                    true
                }
            };
            let pause = if any_left { rest } else { Duration::MAX };
            tokio::select! {
                () = cancel.cancelled() => {}
                () = self.more.notified() => rest = FIRST,
                () = tokio::time::sleep(pause) => rest = (rest * 2).min(LONGEST),
            }
        }
        Ok(())
    }

    /// Whether anything is still waited for.
    async fn look(&self) -> Result<bool, LedgerError> {
        let mut any_left = false;
        for what in ALL {
            let key = self.key(what);
            let since = self.core.ledger.read(move |tx| said::meta(tx, &key)).await?;
            let Some(since_ms) = since.and_then(|since| since.parse::<i64>().ok()) else { continue };
            if self.core.now_ms().saturating_sub(since_ms) > FORGOTTEN_MS {
                self.forget(what).await?;
            } else if self.is_there(what).await {
                self.tell(what).await?;
            } else {
                any_left = true;
            }
        }
        Ok(any_left)
    }

    async fn is_there(&self, what: Approval) -> bool {
        let told = is_approved(&self.inspector, what).await;
        if let Err(error) = &told {
            debug!(%error, ?what, "Whether an administrator has approved it is not told");
        }
        told.unwrap_or_default()
    }

    /// That it is not waited for any more is noted with the word that the owner gets.
    async fn tell(&self, what: Approval) -> Result<(), LedgerError> {
        let (key, channel, owner) =
            (self.key(what), self.channel.clone(), self.core.access(&self.channel).owner.clone());
        let is_news = move |tx: &Transaction<'_>| {
            said::set_meta(tx, &key, "")?;
            // Whoever went on without the word needs it no more.
            let goes_on = match &owner {
                Some(owner) if what == Approval::Version => greeting::was_begun(tx, &channel, owner)?,
                _ => false,
            };
            Ok(!goes_on)
        };
        notices::tell_if(&self.core, &Cause::Approved(what.name()), |lang| what.words(lang), is_news).await
    }

    async fn forget(&self, what: Approval) -> Result<(), LedgerError> {
        let key = self.key(what);
        let write = move |tx: &Transaction<'_>| match said::meta(tx, &key)? {
            Some(since) if !since.is_empty() => said::set_meta(tx, &key, ""),
            _ => Ok(()),
        };
        self.core.ledger.write(write).await
    }

    /// Another app waits for approvals of its own.
    fn key(&self, what: Approval) -> String {
        format!("approval:{}:{}", self.app_id, what.name())
    }
}
