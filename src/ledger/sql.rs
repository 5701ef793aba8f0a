//! Small helpers that every table file uses.

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Row, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{LedgerError, work};

/// Serialises a value for a JSON column.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, LedgerError> {
    Ok(serde_json::to_string(value)?)
}

/// Reads a JSON column.
pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text)
}

/// Reads a JSON column that may be empty.
pub(super) fn from_json_opt<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.as_deref().map(parse).transpose()
}

fn parse<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, e.into()))
}

/// Reads a text column as an id.
pub(super) fn id<T: From<String>>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    row.get::<_, String>(column).map(T::from)
}

pub(super) fn id_opt<T: From<String>>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    Ok(row.get::<_, Option<String>>(column)?.map(T::from))
}

/// A value that our own code wrote and that no code of ours can read: damage.
pub(super) fn unreadable(column: &'static str, text: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, format!("unknown {column} {text:?}").into())
}

/// All rows of a query with a fixed set of parameters.
pub(super) fn all<T>(
    tx: &Transaction<'_>,
    sql: &str,
    params: impl rusqlite::Params,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, LedgerError> {
    let mut statement = prepare(tx, sql)?;
    let rows = statement.query_map(params, map)?.collect::<rusqlite::Result<Vec<T>>>();
    work::count(&statement);
    Ok(rows?)
}

/// The first row of a query, if any.
pub(super) fn first<T>(
    tx: &Transaction<'_>,
    sql: &str,
    params: impl rusqlite::Params,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, LedgerError> {
    Ok(all(tx, sql, params, map)?.into_iter().next())
}

/// Executes a statement; gives the number of changed rows.
pub(super) fn run(tx: &Transaction<'_>, sql: &str, params: impl rusqlite::Params) -> Result<usize, LedgerError> {
    let mut statement = prepare(tx, sql)?;
    let changed = statement.execute(params);
    work::count(&statement);
    Ok(changed?)
}

/// In debug builds, so in all tests: a statement that reads a table which grows from end to end is refused loudly.
fn prepare<'t>(tx: &'t Transaction<'_>, sql: &str) -> rusqlite::Result<CachedStatement<'t>> {
    #[cfg(debug_assertions)]
    super::plan::check(tx, sql)?;
    tx.prepare_cached(sql)
}
