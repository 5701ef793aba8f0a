//! A bare commit: the writer's settings on a file of its own, a comparable row, one transaction and nothing around it.
//! What ally adds to it is measured beside it, on the same disk at the same time.

use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use super::inbound::{NewInbound, admit};
use super::{LedgerError, OpenError, Places, open};

/// A second file beside a ledger.
pub struct Yardstick {
    connection: Connection,
}

impl Yardstick {
    /// Opens it, or makes it.
    ///
    /// # Errors
    /// Those of a ledger.
    pub fn open(places: &Places) -> Result<Self, OpenError> {
        Ok(Self { connection: open::writer(places)? })
    }

    /// Commits one row; gives what that took. Blocks for as long.
    ///
    /// # Errors
    /// Those of a write.
    pub fn commit(&mut self, row: &NewInbound) -> Result<Duration, LedgerError> {
        let began = Instant::now();
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        admit(&tx, row)?;
        tx.commit()?;
        Ok(began.elapsed())
    }
}
