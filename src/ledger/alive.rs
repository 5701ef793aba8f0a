//! When ally was at work, and when it was not: what waits in a queue meanwhile is older than its own times say.

use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::inbound::{COMPANION, COMPANION_TOLD};
use super::said::{meta, set_meta};
use super::sql::first;
use super::turns::ASKED_MS;

const ALIVE: &str = "alive_ms";
const OUTAGES: &str = "outages";
/// Outages that are remembered. Nothing waits through a hundred of them unasked.
const KEPT: usize = 100;

/// A time in which nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    pub from_ms: i64,
    pub to_ms: i64,
}

impl Outage {
    /// How much of it lies within a span.
    pub fn within(&self, from_ms: i64, to_ms: i64) -> i64 {
        (self.to_ms.min(to_ms) - self.from_ms.max(from_ms)).max(0)
    }
}

/// Notes that ally is at work. Only needed while there is work that could grow old: an idle ledger is left alone.
pub fn beat(tx: &Transaction<'_>, now_ms: i64) -> Result<(), LedgerError> {
    set_meta(tx, ALIVE, &now_ms.to_string())
}

/// Whether there is anything that could grow old: what runs may prove not to have run.
pub fn has_work(tx: &Transaction<'_>) -> Result<bool, LedgerError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM turns WHERE state <> 'settled' AND not_before_ms <> ?1)
         OR EXISTS (SELECT 1 FROM inbound WHERE state = 'received')
         OR EXISTS (SELECT 1 FROM inbound WHERE state = 'waiting' AND reason IN (?2, ?3))";
    Ok(first(tx, sql, rusqlite::params![ASKED_MS, COMPANION, COMPANION_TOLD], |row| row.get(0))?.unwrap_or(false))
}

/// The last beat. Older than the truth when there was no work; what there is came later, so that does not matter.
pub fn last_beat(tx: &Transaction<'_>) -> Result<Option<i64>, LedgerError> {
    Ok(meta(tx, ALIVE)?.and_then(|text| text.parse().ok()))
}

/// The remembered outages, oldest first.
pub fn outages(tx: &Transaction<'_>) -> Result<Vec<Outage>, LedgerError> {
    meta(tx, OUTAGES)?.map_or_else(|| Ok(Vec::new()), |text| Ok(serde_json::from_str(&text)?))
}

/// Remembers one more, and gives all.
pub fn add_outage(tx: &Transaction<'_>, outage: Outage) -> Result<Vec<Outage>, LedgerError> {
    let mut all = outages(tx)?;
    all.push(outage);
    all.drain(..all.len().saturating_sub(KEPT));
    set_meta(tx, OUTAGES, &serde_json::to_string(&all)?)?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_overlaps_counts() {
        let outage = Outage { from_ms: 100, to_ms: 200 };
        for (from, to, want) in
            [(0, 50, 0), (0, 150, 50), (120, 150, 30), (150, 900, 50), (200, 300, 0), (0, 900, 100), (900, 0, 0)]
        {
            assert_eq!(outage.within(from, to), want, "{from}..{to}");
        }
    }
}
