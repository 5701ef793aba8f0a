//! Rights given in the chat, and the one-time codes by which an unclaimed bot gets its owner.

use rusqlite::{Transaction, params};

use super::LedgerError;
use super::sql::{all, first, run};
use crate::domain::ids::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Owner,
    User,
    Chat,
}

impl Right {
    fn as_str(self) -> &'static str {
        match self {
            Right::Owner => "owner",
            Right::User => "user",
            Right::Chat => "chat",
        }
    }
}

pub fn give(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    right: Right,
    to: &str,
    by: Option<&UserId>,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO grants (channel, what, id, given_by, given_at_ms) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    run(tx, sql, params![channel.as_str(), right.as_str(), to, by.map(UserId::as_str), now_ms])?;
    Ok(())
}

pub fn take(tx: &Transaction<'_>, channel: &ChannelName, right: Right, from: &str) -> Result<bool, LedgerError> {
    let sql = "DELETE FROM grants WHERE channel = ?1 AND what = ?2 AND id = ?3";
    Ok(run(tx, sql, params![channel.as_str(), right.as_str(), from])? == 1)
}

/// All of a channel's grants: (right, id).
pub fn of_channel(tx: &Transaction<'_>, channel: &ChannelName) -> Result<Vec<(Right, String)>, LedgerError> {
    all(tx, "SELECT what, id FROM grants WHERE channel = ?1", [channel.as_str()], |row| {
        let what: String = row.get(0)?;
        let right = match what.as_str() {
            "owner" => Right::Owner,
            "user" => Right::User,
            _ => Right::Chat,
        };
        Ok((right, row.get(1)?))
    })
}

/// Stores the hash of a fresh pairing code; older codes end.
pub fn start_pairing(tx: &Transaction<'_>, code_hash: &str, expires_at_ms: i64, tries: u32) -> Result<(), LedgerError> {
    run(tx, "DELETE FROM pairings", [])?;
    let sql = "INSERT INTO pairings (code_hash, expires_at_ms, tries_left) VALUES (?1, ?2, ?3)";
    run(tx, sql, params![code_hash, expires_at_ms, tries])?;
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// The code was right; the person is the owner from now on.
    Claimed,
    Wrong {
        tries_left: u32,
    },
    /// Nobody is pairing (no code, expired, or too many wrong tries).
    Closed,
}

/// Tries a code. A right one is used up and makes `user` the owner, in the same transaction.
pub fn try_pairing(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    code_hash: &str,
    user: &UserId,
    now_ms: i64,
) -> Result<Pairing, LedgerError> {
    let sql =
        "SELECT code_hash, tries_left FROM pairings WHERE expires_at_ms > ?1 AND tries_left > 0 AND used_at_ms IS NULL";
    let row = first(tx, sql, [now_ms], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?)))?;
    let Some((stored, tries)) = row else { return Ok(Pairing::Closed) };
    if stored != code_hash {
        run(tx, "UPDATE pairings SET tries_left = tries_left - 1", [])?;
        return Ok(Pairing::Wrong { tries_left: tries - 1 });
    }
    run(tx, "UPDATE pairings SET used_at_ms = ?1", [now_ms])?;
    give(tx, channel, Right::Owner, user.as_str(), None, now_ms)?;
    Ok(Pairing::Claimed)
}
