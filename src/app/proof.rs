//! The bridge's proof that it lives, for its supervisor: its own socket and its ledger answer.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::Paths;
use crate::control;
use crate::supervisor::BridgeLink;

/// Far below what the supervisor and a service manager wait for.
const EVERY: Duration = Duration::from_secs(15);

/// Proves it again and again, until `cancel`. Says nothing where it cannot: that is what the supervisor waits for.
pub(super) async fn give(link: BridgeLink, paths: Paths, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut was_alive = true;
    loop {
        let Some(answered) = cancel.run_until_cancelled(control::is_alive(&paths)).await else { return Ok(()) };
        let is_alive = matches!(answered, Ok(true));
        if is_alive {
            link.well().await;
        } else if was_alive {
            warn!(error = answered.err().map(|error| error.to_string()), "The bridge does not answer itself");
        }
        was_alive = is_alive;
        if cancel.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return Ok(());
        }
    }
}
