//! Takes away attachments of tasks that ended long ago. Answers and requests stay in the ledger; files would fill the
//! disk.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::core::Core;
use crate::domain::ids::InboundSeq;
use crate::ledger::inbound;

/// So long after the end of its task an attachment can still be asked about, or its task run again.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
const EVERY: Duration = Duration::from_secs(86_400);

/// Looks once a day, and at the start.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    loop {
        // A disk that is in trouble must not end the work; it is tried again tomorrow.
        if let Err(error) = sweep(&core).await {
            warn!(%error, "Old attachments could not be looked at");
        }
        if cancel.run_until_cancelled(core.clock.sleep(EVERY)).await.is_none() {
            return Ok(());
        }
    }
}

async fn sweep(core: &Core) -> anyhow::Result<()> {
    let folder = core.config.attachments.clone();
    let rows = match std::fs::read_dir(&folder) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(InboundSeq))
            .collect::<Vec<_>>(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let before_ms = core.now_ms() - KEPT.as_millis() as i64;
    let spent = core.ledger.read(move |tx| inbound::spent(tx, &rows, before_ms)).await?;
    for seq in spent {
        match tokio::fs::remove_dir_all(folder.join(seq.0.to_string())).await {
            Ok(()) => info!(inbound.seq = seq.0, "Took away the attachments of a task that ended long ago"),
            Err(error) => warn!(inbound.seq = seq.0, %error, "Old attachments could not be taken away"),
        }
    }
    Ok(())
}
