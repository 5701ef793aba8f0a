//! Debug builds look at the plan of every statement before they first run it: none may read a table that grows from end
//! to end, for a ledger is kept for years and its writer serves everybody.
//!
//! SQLite uses a partial index only where a query repeats the index's condition word for word: `state = 'queued'` does
//! not bring it to an index over `state <> 'settled'`, both together do.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use rusqlite::Connection;

use super::open::{known_schema, schema_of};

/// Tables of which nothing, or little, is ever removed, with the names that joins give them.
const GROWING: [(&str, &str); 10] = [
    ("turns", "t"),
    ("inbound", "i"),
    ("messages", "m"),
    ("messages", "p"),
    ("surfaces", "s"),
    ("gates", "g"),
    ("audit", "a"),
    ("buttons", "b"),
    ("threads", "h"),
    ("runs", "r"),
];

/// Partial indexes of what is not over: they stay short, however long the ledger lives.
const SHORT: [&str; 11] = [
    "turns_queue",
    "turns_active",
    "turns_unarchived",
    "runs_open",
    "inbound_received",
    "inbound_waiting",
    "gates_open",
    "messages_open",
    "messages_undeliverable",
    "surfaces_due",
    "surfaces_live",
];

/// Columns that do not narrow anything down: a search by one of them alone is a scan by another name.
const COARSE: [&str; 4] = ["(channel=?)", "(kind=?)", "(state=?)", "(conversation=?)"];

/// A step that a statement may take all the same.
struct Allowed {
    /// How the statement begins.
    statement: &'static str,
    step: &'static str,
}

const ALLOWED: [Allowed; 12] = [
    // Newest first by the row's number, and no further than the limit.
    Allowed {
        statement: "SELECT * FROM (SELECT platform_id FROM messages ",
        step: "SEARCH messages USING INDEX messages_seen (channel=?)",
    },
    Allowed {
        statement: "SELECT * FROM (SELECT platform_id FROM messages ",
        step: "SEARCH surfaces USING INDEX surfaces_seen (channel=?)",
    },
    // max(ord) is the last entry, and no other is read.
    Allowed { statement: "INSERT INTO turns ", step: "SEARCH turns USING COVERING INDEX turns_place (conversation=?)" },
    // For the keys by which turns name turns; SQLite jumps over it unless the statement has broken one.
    Allowed { statement: "INSERT INTO turns ", step: "SCAN turns" },
    // The last entry again.
    Allowed {
        statement: "SELECT * FROM turns WHERE conversation = ?1 AND state = 'settled' ORDER BY settled_at_ms DESC, ord DESC LIMIT 1",
        step: "SEARCH turns USING INDEX turns_last (conversation=?)",
    },
    // The last entries once more.
    Allowed {
        statement: "SELECT received_at_ms, coalesce(sent_at_ms, received_at_ms) FROM inbound INDEXED BY inbound_channel",
        step: "SEARCH inbound USING INDEX inbound_channel (channel=?)",
    },
    Allowed {
        statement: "SELECT kind, received_at_ms FROM inbound INDEXED BY inbound_channel",
        step: "SEARCH inbound USING INDEX inbound_channel (channel=?)",
    },
    // The last entry of the table itself.
    Allowed { statement: "SELECT seq FROM inbound ORDER BY seq DESC LIMIT 1", step: "SCAN inbound" },
    Allowed { statement: "SELECT rowid FROM turns ORDER BY rowid DESC LIMIT 1", step: "SCAN turns" },
    Allowed { statement: "SELECT rowid FROM messages ORDER BY rowid DESC LIMIT 1", step: "SCAN messages" },
    // A list for a person, newest first, as far as he asks for it, on a reader.
    Allowed { statement: "SELECT t.*, c.chat,", step: "SCAN t USING INDEX turns_created" },
    // Counts the entries of an index, for a person, on a reader.
    Allowed {
        statement: "SELECT count(*) FROM turns WHERE state = 'settled'",
        step: "SCAN turns USING COVERING INDEX turns_settled",
    },
];

/// Panics when the plan of a statement reads a growing table from end to end. Each statement is looked at once.
pub(super) fn check(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    if SEEN.lock().unwrap_or_else(PoisonError::into_inner).contains(sql) {
        return Ok(());
    }
    // A ledger of an older ally, read while no daemon runs, lacks the newer indexes.
    if schema_of(connection)? == known_schema() {
        let slow = slow_steps(connection, sql)?;
        assert!(slow.is_empty(), "A statement reads a table that grows from end to end ({slow:?}): {sql}");
    }
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(sql.to_owned());
    Ok(())
}

fn slow_steps(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let steps = explain.raw_query().mapped(|row| row.get::<_, String>("detail")).collect::<Result<Vec<_>, _>>()?;
    let allowed = |step: &str| ALLOWED.iter().any(|allowed| sql.starts_with(allowed.statement) && step == allowed.step);
    Ok(steps.into_iter().filter(|step| is_slow(step) && !allowed(step)).collect())
}

fn is_slow(step: &str) -> bool {
    let mut words = step.split(' ');
    let (Some(how @ ("SCAN" | "SEARCH")), Some(table)) = (words.next(), words.next()) else { return false };
    let growing = GROWING.iter().any(|(name, alias)| table == *name || table == *alias);
    let short = words.any(|word| SHORT.contains(&word));
    // A search by nothing is how min() and max() without an index show.
    let by_nothing = !step.contains('(');
    growing && !short && (how == "SCAN" || by_nothing || COARSE.iter().any(|columns| step.ends_with(columns)))
}

#[cfg(test)]
mod tests;
