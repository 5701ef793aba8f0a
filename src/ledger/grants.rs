//! Rights given in the chat, and the one-time codes by which an unclaimed bot gets its owner.

use rusqlite::{Transaction, params};

use super::LedgerError;
use super::sql::{all, first, run};
use crate::domain::ids::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Owner,
    /// Decides everywhere.
    Admin,
    /// Decides in one chat.
    Approver,
    User,
    Chat,
}

impl Right {
    fn as_str(self) -> &'static str {
        match self {
            Right::Owner => "owner",
            Right::Admin => "admin",
            Right::Approver => "approver",
            Right::User => "user",
            Right::Chat => "chat",
        }
    }
}

/// A right of somebody or of a chat; an approver's holds in `chat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub right: Right,
    pub chat: Option<ChatId>,
    pub id: String,
}

impl Grant {
    pub fn new(right: Right, id: &str) -> Self {
        Self { right, chat: None, id: id.to_owned() }
    }

    pub fn approver(chat: &ChatId, user: &UserId) -> Self {
        Self { right: Right::Approver, chat: Some(chat.clone()), id: user.to_string() }
    }
}

pub fn give(
    tx: &Transaction<'_>,
    channel: &ChannelName,
    grant: &Grant,
    by: Option<&UserId>,
    now_ms: i64,
) -> Result<bool, LedgerError> {
    let sql = "INSERT INTO grants (channel, what, chat, id, given_by, given_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let chat = grant.chat.as_ref().map_or("", ChatId::as_str);
    let by = by.map(UserId::as_str);
    Ok(run(tx, sql, params![channel.as_str(), grant.right.as_str(), chat, grant.id, by, now_ms])? == 1)
}

pub fn take(tx: &Transaction<'_>, channel: &ChannelName, grant: &Grant) -> Result<bool, LedgerError> {
    let sql = "DELETE FROM grants WHERE channel = ?1 AND what = ?2 AND chat = ?3 AND id = ?4";
    let chat = grant.chat.as_ref().map_or("", ChatId::as_str);
    Ok(run(tx, sql, params![channel.as_str(), grant.right.as_str(), chat, grant.id])? == 1)
}

/// Takes away every right of somebody but the owner's; gives what was taken.
pub fn take_all(tx: &Transaction<'_>, channel: &ChannelName, user: &UserId) -> Result<Vec<Grant>, LedgerError> {
    let theirs: Vec<Grant> = of_channel(tx, channel)?
        .into_iter()
        .filter(|grant| grant.id == user.as_str() && !matches!(grant.right, Right::Owner | Right::Chat))
        .collect();
    for grant in &theirs {
        take(tx, channel, grant)?;
    }
    Ok(theirs)
}

/// Takes away all of a channel's: whoever they name is nobody any more. Gives how many there were.
pub fn take_of_channel(tx: &Transaction<'_>, channel: &ChannelName) -> Result<usize, LedgerError> {
    run(tx, "DELETE FROM grants WHERE channel = ?1", [channel.as_str()])
}

/// All of a channel's grants.
pub fn of_channel(tx: &Transaction<'_>, channel: &ChannelName) -> Result<Vec<Grant>, LedgerError> {
    all(tx, "SELECT what, chat, id FROM grants WHERE channel = ?1", [channel.as_str()], |row| {
        let (what, chat): (String, String) = (row.get(0)?, row.get(1)?);
        let right = match what.as_str() {
            "owner" => Right::Owner,
            "admin" => Right::Admin,
            "approver" => Right::Approver,
            "user" => Right::User,
            _ => Right::Chat,
        };
        Ok(Grant { right, chat: (!chat.is_empty()).then(|| chat.into()), id: row.get(2)? })
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
    give(tx, channel, &Grant::new(Right::Owner, user.as_str()), None, now_ms)?;
    Ok(Pairing::Claimed)
}
