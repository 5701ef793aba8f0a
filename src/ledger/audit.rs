//! Who decided and changed what. Never message texts.

use rusqlite::{Transaction, params};

use super::LedgerError;
use super::sql::run;

/// Adds an audit row, in the transaction of the change itself.
pub fn note(
    tx: &Transaction<'_>,
    who: &str,
    what: &str,
    subject: &str,
    detail: &str,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO audit (at_ms, who, what, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    run(tx, sql, params![now_ms, who, what, subject, detail])?;
    Ok(())
}
