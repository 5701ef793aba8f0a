//! Takes away attachments of tasks that ended long ago, and files that were sent; and has the ledger forget what was said
//! before the time for which it is kept. In small steps: nobody waits for any of it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::core::Core;
use super::files;
use crate::domain::ids::InboundSeq;
use crate::domain::limits::KEEP_AUDIT_DAYS;
use crate::ledger::{inbound, prune};

/// So long after the end of its task an attachment can still be asked about, or its task run again.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
const EVERY: Duration = Duration::from_secs(86_400);

/// The same where nobody says for sure how late it is.
const SOON: Duration = Duration::from_secs(3600);

/// Looks once a day, and at the start.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    loop {
        let rest = match earliest_ms(&core).await {
            Some(now_ms) => {
                look(&core, now_ms, &cancel).await;
                EVERY
            }
            None => SOON,
        };
        if cancel.run_until_cancelled(core.clock.sleep(rest)).await.is_none() {
            return Ok(());
        }
    }
}

/// How late it is by the slowest of all clocks: what a clock that has jumped ahead takes away is gone once it is set right.
/// `None` while a platform cannot be asked.
async fn earliest_ms(core: &Core) -> Option<i64> {
    let ours = core.now_ms();
    let mut earliest = ours;
    for channel in core.channels.values() {
        earliest = earliest.min(channel.ask_platform_ms().await?);
    }
    if ours - earliest > AHEAD_MS {
        warn!(
            hours = (ours - earliest) / HOUR_MS,
            "Our clock is ahead of the platform's: what is old is told by that one"
        );
    }
    Some(earliest)
}

async fn look(core: &Core, now_ms: i64, cancel: &CancellationToken) {
    // A disk that is in trouble must not end the work; it is tried again tomorrow.
    if let Err(error) = sweep(core, now_ms).await {
        warn!(%error, "Old attachments could not be looked at");
    }
    if let Err(error) = sent_files(core, now_ms).await {
        warn!(%error, "Files that were sent could not be looked at");
    }
    if let Err(error) = forget(core, now_ms, cancel).await {
        warn!(%error, "What was said long ago could not be forgotten");
    }
}

/// Rows of one step, and the rest after it: the writer serves everybody.
const STEP: u32 = 100;
const REST: Duration = Duration::from_millis(200);
const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// So far apart two clocks may be that nobody set.
const AHEAD_MS: i64 = HOUR_MS;

/// Has the ledger forget, step by step.
async fn forget(core: &Core, now_ms: i64, cancel: &CancellationToken) -> anyhow::Result<()> {
    let keep_days = core.config.limits.keep_days;
    if keep_days == 0 {
        return Ok(());
    }
    let before = |days: u32| now_ms - i64::from(days) * DAY_MS;
    let step = prune::Step {
        now_ms,
        before_ms: before(keep_days),
        audit_before_ms: before(KEEP_AUDIT_DAYS.max(keep_days)),
        rows: STEP,
    };
    while !cancel.is_cancelled() && core.ledger.write(move |tx| prune::step(tx, step)).await? {
        let _ = cancel.run_until_cancelled(tokio::time::sleep(REST)).await;
    }
    Ok(())
}

/// Files that nobody is to be sent any more.
async fn sent_files(core: &Core, now_ms: i64) -> anyhow::Result<()> {
    let before_ms = now_ms - KEPT.as_millis() as i64;
    let old = files::old(&core.config.outbox, before_ms)?;
    // Read after the list: what a later row names was stored after it, and is not old any more.
    let needed = core.ledger.read(prune::files_needed).await?;
    tokio::task::spawn_blocking(move || files::take_away(&old, before_ms, &needed)).await?;
    Ok(())
}

async fn sweep(core: &Core, now_ms: i64) -> anyhow::Result<()> {
    let folder = core.config.attachments.clone();
    let rows = match std::fs::read_dir(&folder) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(InboundSeq))
            .collect::<Vec<_>>(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let before_ms = now_ms - KEPT.as_millis() as i64;
    let spent = core.ledger.read(move |tx| inbound::spent(tx, &rows, before_ms)).await?;
    for seq in spent {
        match tokio::fs::remove_dir_all(folder.join(seq.0.to_string())).await {
            Ok(()) => info!(inbound.seq = seq.0, "Took away the attachments of a task that ended long ago"),
            Err(error) => warn!(inbound.seq = seq.0, %error, "Old attachments could not be taken away"),
        }
    }
    Ok(())
}
