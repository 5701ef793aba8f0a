//! What `ally doctor` needs of the other parts, and the same looks for `/doctor` in the owner's chat.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::service::Daemon;
use crate::bridge::core::Core;
use crate::bridge::ports::{Boxed, Examiner};
use crate::bridge::rights_in_ledger;
use crate::channels::feishu::{FeishuConfig, Proxy};
use crate::clock::Clock;
use crate::config::{Config, Environment, Problems, RuntimeConfig};
use crate::control::Service;
use crate::doctor::{self, Sheet, feishu, home, runtime};
use crate::domain::access::Access;
use crate::domain::finding::Finding;
use crate::domain::view::Lang;
use crate::ledger::report;
use crate::runtimes::codex::CodexLauncher;
use crate::tasks::Tasks;

/// In a chat nobody waits longer for a platform that does not answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// The app as the adapter takes it.
pub(crate) fn feishu_app(config: &Config) -> Option<FeishuConfig> {
    config.feishu.as_ref().map(super::feishu_config)
}

/// The proxy on the way to a platform, before there is an app there.
///
/// # Errors
/// One that cannot be used.
pub(crate) fn proxy(environment: &Environment) -> Result<Option<Proxy>, Problems> {
    Ok(crate::config::proxy(environment)?.as_ref().map(super::proxy_of))
}

/// Codex as it would be started, where that is the runtime.
pub(crate) fn codex(config: &Config) -> Option<CodexLauncher> {
    match &config.runtime {
        RuntimeConfig::Codex(codex) => {
            Some(CodexLauncher::new(super::codex_config(config, codex, None), Tasks::default()))
        }
        RuntimeConfig::Embedded => None,
    }
}

/// Who may do what in Feishu: as configured, and as granted in the ledger where there is one.
pub(crate) fn access(config: &Config) -> Access {
    let floor = super::floor(config);
    let granted = report::offline(&config.paths.ledger, |tx| rights_in_ledger(tx, &"feishu".into(), &floor));
    granted.ok().flatten().unwrap_or(floor)
}

/// Looks without trying: no program is started, nothing is sent.
pub(super) struct Looks {
    config: Config,
    /// What the settings were read with.
    environment: Environment,
    /// It is theirs, and must not keep them alive.
    core: Weak<Core>,
    daemon: Weak<Daemon>,
}

impl Looks {
    pub(super) fn new(config: Config, environment: Environment, core: &Arc<Core>, daemon: &Arc<Daemon>) -> Self {
        Self { config, environment, core: Arc::downgrade(core), daemon: Arc::downgrade(daemon) }
    }

    async fn look(&self, lang: Lang) -> Vec<Finding> {
        let (Some(core), Some(asked)) = (self.core.upgrade(), self.daemon.upgrade()) else { return Vec::new() };
        let status = asked.status().await.ok();
        let state = status.as_ref().map_or(crate::control::DaemonState::Starting, |status| status.state);
        let daemon = doctor::Daemon { state, status, crashes: None };
        let mut sheet = Sheet::new(lang);
        let (config, paths) = (&self.config, &self.config.paths);
        // As they are on the disk now: what runs was read before.
        home::config(&mut sheet, paths, &crate::config::load(&self.environment));
        home::modes(&mut sheet, paths);
        home::disk(&mut sheet, paths);
        home::daemon(&mut sheet, &daemon);
        home::work(&mut sheet, paths, core.now_ms());
        home::routines(&mut sheet, config);
        let (app, access) = (feishu_app(config), core.access(&"feishu".into()));
        let clock: Clock = core.clock.clone();
        let case =
            feishu::Case { config, app: app.as_ref(), daemon: &daemon, access: &access, group_context: false, clock };
        // What was found by then stays.
        let _ = tokio::time::timeout(PATIENCE, feishu::examine(&mut sheet, &case)).await;
        let codex = codex(config);
        let depth = runtime::Depth::Looked;
        let tried = asked.tried();
        let case = runtime::Case { config, codex: codex.as_ref(), daemon: &daemon, tried, depth };
        runtime::examine(&mut sheet, &case).await;
        sheet.findings
    }
}

impl Examiner for Looks {
    fn examine(&self, lang: Lang) -> Boxed<'_, Vec<Finding>> {
        Box::pin(self.look(lang))
    }
}
