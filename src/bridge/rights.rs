//! The rights of now, and who may do what is not his to do: the names that are told to whoever may not.

use super::pictures::Frame;
use super::say;
use crate::domain::access::{Access, Act, Role, may};
use crate::domain::ids::*;
use crate::domain::view::Lang;
use crate::ledger::grants::{self, Grant, Right};
use crate::ledger::{Ledger, LedgerError, Transaction, audit, said, settings};
use crate::words::CommandMsg;

/// Most people who are named.
const NAMES: usize = 3;

/// That only these people may do something in a chat, the nearest first.
pub(super) fn only(
    tx: &Transaction<'_>,
    frame: &Frame,
    chat: &ChatId,
    act: Act,
    lang: Lang,
) -> Result<String, LedgerError> {
    let access = &frame.access;
    let mut people: Vec<&UserId> = Vec::new();
    if may(Role::Approver, act) {
        people.extend(access.approvers.iter().filter(|(of, _)| of == chat).map(|(_, user)| user));
    }
    if may(Role::Admin, act) {
        people.extend(&access.admins);
    }
    people.sort();
    people.extend(&access.owner);
    people.dedup();
    people.truncate(NAMES);
    let names = people.into_iter().map(|user| name(tx, frame, user)).collect::<Result<Vec<_>, _>>()?;
    Ok(say::command(lang, CommandMsg::OwnerOnly { owner: &names.join(", ") }))
}

/// How people call the owner; empty where there is none yet.
pub(super) fn owner_name(tx: &Transaction<'_>, frame: &Frame) -> Result<String, LedgerError> {
    frame.access.owner.as_ref().map_or_else(|| Ok(String::new()), |owner| name(tx, frame, owner))
}

/// The rights as the ledger has them in this transaction: what was just taken away may not be in memory yet.
pub(super) fn in_force(tx: &Transaction<'_>, frame: &Frame) -> Result<Access, LedgerError> {
    let mut access = granted(&frame.floor, grants::of_channel(tx, &frame.channel)?);
    access.locked = settings::is_locked(tx)?;
    access.tenant.clone_from(&frame.access.tenant);
    Ok(access)
}

/// The same for whoever has no frame: the daemon may not run.
///
/// # Errors
/// When the ledger cannot be read.
pub fn in_ledger(tx: &Transaction<'_>, channel: &ChannelName, floor: &Access) -> Result<Access, LedgerError> {
    let mut access = granted(floor, grants::of_channel(tx, channel)?);
    access.locked = settings::is_locked(tx)?;
    Ok(access)
}

/// People have another id with each app: what was given under a former app is nobody's any more, the owner's right among it.
///
/// # Errors
/// When the ledger cannot be read or written.
pub async fn of_app(ledger: &Ledger, channel: &ChannelName, app: &str, now_ms: i64) -> Result<(), LedgerError> {
    let (key, app, channel) = (format!("app:{channel}"), app.to_owned(), channel.clone());
    let asked = key.clone();
    let former = ledger.read(move |tx| said::meta(tx, &asked)).await?;
    if former.as_ref() == Some(&app) {
        return Ok(());
    }
    let write = move |tx: &Transaction<'_>| {
        if let Some(former) = former {
            grants::take_of_channel(tx, &channel)?;
            audit::note(tx, "ally", "another app", channel.as_str(), &former, now_ms)?;
        }
        said::set_meta(tx, &key, &app)
    };
    ledger.write(write).await
}

/// What is configured, and what was given in chats.
pub(super) fn granted(floor: &Access, grants: Vec<Grant>) -> Access {
    let mut access = floor.clone();
    for Grant { right, chat, id } in grants {
        match (right, chat) {
            (Right::Owner, _) => access.owner = access.owner.or_else(|| Some(id.into())),
            (Right::Admin, _) => drop(access.admins.insert(id.into())),
            (Right::Approver, Some(chat)) => drop(access.approvers.insert((chat, id.into()))),
            (Right::User | Right::Approver, _) => drop(access.users.insert(id.into())),
            (Right::Chat, _) => drop(access.chats.insert(id.into())),
        }
    }
    access
}

/// A person's name as far as it is known.
pub(super) fn name(tx: &Transaction<'_>, frame: &Frame, user: &UserId) -> Result<String, LedgerError> {
    Ok(said::name_of(tx, &frame.channel, user)?.map_or_else(|| user.to_string(), |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{LedgerLock, Places};

    #[tokio::test]
    async fn rights_under_another_app_are_nobodys() {
        let dir = tempfile::tempdir().expect("a folder");
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("the lock");
        let ledger = Ledger::open(&places, &lock).expect("a ledger");
        let channel = ChannelName::new("feishu");
        let given = |tx: &Transaction<'_>| grants::of_channel(tx, &"feishu".into()).map(|grants| grants.len());
        let give =
            |tx: &Transaction<'_>| grants::give(tx, &"feishu".into(), &Grant::new(Right::Owner, "ou_of_a"), None, 1);
        ledger.write(give).await.expect("given");
        // Of a ledger from before it was noted nothing is taken.
        for (app, left) in [("cli_a", 1), ("cli_a", 1), ("cli_b", 0), ("cli_b", 0)] {
            of_app(&ledger, &channel, app, 2).await.expect("noted");
            assert_eq!(ledger.read(given).await, Ok(left), "{app}");
        }
        ledger.close().await;
    }
}
