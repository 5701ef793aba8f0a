//! Waits with the owner for an administrator of the organisation: what `ally setup` could not wait for is looked for from here,
//! ever more seldom, and the owner is told in the chat, once. That it is waited for stands in the ledger.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::bridge::core::{Core, is_outage};
use crate::bridge::greeting;
use crate::bridge::notices::{self, Cause};
use crate::channels::feishu::FeishuConfig;
use crate::channels::feishu::inspect::Inspector;
use crate::control::{Approval, ApprovalReport, ApprovalRequest};
use crate::doctor::feishu::{Standing, standing};
use crate::domain::ids::ChannelName;
use crate::domain::view::Lang;
use crate::ledger::{LedgerError, Transaction, said};
use crate::words::NoticeMsg;

/// After the first look; each rest is twice the one before.
const FIRST: Duration = Duration::from_secs(5);
/// However long it takes. Far below what the platform allows an app to ask.
const LONGEST: Duration = Duration::from_secs(300);
/// Whoever asks for it waits at a terminal.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Nobody waits for it any more.
const FORGOTTEN_MS: i64 = 30 * 86_400_000;
const ALL: [Approval; 2] = [Approval::Version, Approval::GroupContext];

impl Approval {
    fn name(self) -> &'static str {
        match self {
            Approval::Version => greeting::VERSION,
            Approval::GroupContext => "group_context",
        }
    }
}

/// That something is waited for, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wait {
    since_ms: i64,
    /// The version that was handed in, where the platform tells it.
    version: Option<String>,
    /// The owner had been greeted before: a greeting since says that somebody went on without the word.
    was_greeted: bool,
}

/// The approvals of one app.
pub(super) struct Approvals {
    core: Arc<Core>,
    channel: ChannelName,
    app: FeishuConfig,
    /// There is one more to be looked for.
    more: Notify,
}

impl Approvals {
    pub(super) fn new(core: Arc<Core>, app: FeishuConfig) -> Self {
        Self { core, channel: "feishu".into(), app, more: Notify::new() }
    }

    /// Hardly ever is anything waited for, so nothing is held for it.
    async fn ask(&self, what: Approval, version: Option<&str>) -> anyhow::Result<Standing> {
        let inspector = Inspector::new(&self.app, self.core.clock.clone())?;
        Ok(standing(&inspector, what, version).await?)
    }

    /// Has it looked for, unless it is there already. Nothing where it is about another app.
    ///
    /// # Errors
    /// When the ledger takes no writes.
    pub(super) async fn wait_for(&self, request: &ApprovalRequest) -> Result<Option<ApprovalReport>, LedgerError> {
        if request.app_id != self.app.app_id {
            return Ok(None);
        }
        let what = request.what;
        // A platform that does not answer is asked again.
        let looked = tokio::time::timeout(AT_ONCE, self.ask(what, None)).await;
        let version = match looked.unwrap_or(Ok(Standing::Waits { version: None })) {
            Ok(Standing::Approved) => {
                self.forget(what).await?;
                return Ok(Some(ApprovalReport::Approved));
            }
            Ok(Standing::Untold) => return Ok(Some(ApprovalReport::Untold)),
            Ok(Standing::Waits { version }) => version,
            Ok(Standing::Refused) | Err(_) => None,
        };
        let Some(owner) = self.core.access(&self.channel).owner.clone() else {
            return Ok(Some(ApprovalReport::NoOwner));
        };
        let (key, channel, since_ms) = (self.key(what), self.channel.clone(), self.core.now_ms());
        let write = move |tx: &Transaction<'_>| {
            let was_greeted = greeting::was_begun(tx, &channel, &owner)?;
            // A platform that did not answer just now has told nothing new.
            let version = version.or(waited(tx, &key)?.and_then(|former| former.version));
            said::set_meta(tx, &key, &serde_json::to_string(&Wait { since_ms, version, was_greeted })?)
        };
        self.core.ledger.write(write).await?;
        self.more.notify_one();
        Ok(Some(ApprovalReport::Waiting))
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
            let Some(wait) = self.core.ledger.read(move |tx| waited(tx, &key)).await? else { continue };
            if self.core.now_ms().saturating_sub(wait.since_ms) > FORGOTTEN_MS {
                self.forget(what).await?;
                continue;
            }
            match self.ask(what, wait.version.as_deref()).await {
                Ok(Standing::Approved) => self.tell(what, wait, true).await?,
                Ok(Standing::Refused) => self.tell(what, wait, false).await?,
                Ok(Standing::Waits { version }) => {
                    any_left = true;
                    if version.is_some() && version != wait.version {
                        self.note_version(what, version).await?;
                    }
                }
                Ok(Standing::Untold) => any_left = true,
                Err(error) => {
                    any_left = true;
                    debug!(%error, ?what, "Whether an administrator has approved it is not told");
                }
            }
        }
        Ok(any_left)
    }

    /// Another one was handed in instead.
    async fn note_version(&self, what: Approval, version: Option<String>) -> Result<(), LedgerError> {
        let key = self.key(what);
        let write = move |tx: &Transaction<'_>| match waited(tx, &key)? {
            Some(wait) => said::set_meta(tx, &key, &serde_json::to_string(&Wait { version, ..wait })?),
            None => Ok(()),
        };
        self.core.ledger.write(write).await
    }

    /// That it is not waited for any more is noted with the word that the owner gets.
    async fn tell(&self, what: Approval, seen: Wait, is_approved: bool) -> Result<(), LedgerError> {
        let (key, channel) = (self.key(what), self.channel.clone());
        let owner = self.core.access(&self.channel).owner.clone();
        let is_news = move |tx: &Transaction<'_>| {
            // Somebody may have seen it meanwhile, or wait for another one.
            if waited(tx, &key)?.as_ref() != Some(&seen) {
                return Ok(false);
            }
            said::set_meta(tx, &key, "")?;
            let goes_on = match &owner {
                Some(owner) if what == Approval::Version => greeting::was_begun(tx, &channel, owner)?,
                _ => false,
            };
            Ok(seen.was_greeted || !goes_on)
        };
        let words = |lang: Lang| match (what, is_approved) {
            (Approval::Version, true) => NoticeMsg::VersionApproved.text(lang),
            (Approval::Version, false) => NoticeMsg::VersionNotApproved.text(lang),
            (Approval::GroupContext, _) => NoticeMsg::GroupContextApproved.text(lang),
        };
        notices::tell_if(&self.core, &Cause::Approved(what.name()), words, is_news).await
    }

    async fn forget(&self, what: Approval) -> Result<(), LedgerError> {
        let key = self.key(what);
        let write = move |tx: &Transaction<'_>| {
            notices::forget(tx, &Cause::Approved(what.name()))?;
            match waited(tx, &key)? {
                Some(_) => said::set_meta(tx, &key, ""),
                None => Ok(()),
            }
        };
        self.core.ledger.write(write).await
    }

    /// Another app waits for approvals of its own.
    fn key(&self, what: Approval) -> String {
        format!("approval:{}:{}", self.app.app_id, what.name())
    }
}

fn waited(tx: &Transaction<'_>, key: &str) -> Result<Option<Wait>, LedgerError> {
    Ok(said::meta(tx, key)?.and_then(|text| serde_json::from_str(&text).ok()))
}
