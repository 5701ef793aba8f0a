//! `/allow`, `/deny`, `/admin`, `/approver`: who may what. People are named by mention.

use super::{Reply, refused};
use crate::bridge::actions::{self, Performed, Told};
use crate::bridge::core::Core;
use crate::bridge::pictures::Frame;
use crate::bridge::prepare::Letter;
use crate::bridge::{rights, say};
use crate::domain::access::{Act, may};
use crate::domain::command::takes_away;
use crate::domain::ids::*;
use crate::domain::message::{ChatKind, Mention};
use crate::domain::view::Lang;
use crate::ledger::conversations::Conversation;
use crate::ledger::grants::{self, Grant, Right};
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, Transaction, audit, conversations, rules, said, turns};
use crate::words::{CommandMsg, RightsMsg};

/// A right that somebody is given or loses by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Admin,
    /// In the chat in which it is said.
    Approver,
}

/// `/allow`: people by mention, or, alone in a group, the group.
/// Whether others than the company's own people are in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outsiders {
    None,
    Some,
    Unknown,
}

/// Asked of the platform where a group is to be opened.
pub(super) async fn outsiders(core: &Core, letter: &Letter) -> Outsiders {
    let opens = letter.message.chat_kind == ChatKind::Group && letter.message.mentions.is_empty();
    if !opens || !may(letter.person.role, Act::OpenChat) {
        return Outsiders::None;
    }
    let told = match core.channel(&letter.row.channel) {
        Some(channel) => channel.is_external(&letter.message.chat).await,
        None => None,
    };
    match told {
        Some(false) => Outsiders::None,
        Some(true) => Outsiders::Some,
        None => Outsiders::Unknown,
    }
}

/// `/allow`: lets people talk, or, alone in a group, everybody in it. A group with outsiders is opened only on the computer.
pub(super) fn allow(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    outsiders: Outsiders,
) -> Result<Reply, LedgerError> {
    if letter.message.mentions.is_empty() {
        let chat = letter.message.chat.as_str();
        let why_not = match outsiders {
            Outsiders::None => None,
            Outsiders::Some => Some(CommandMsg::GroupExternal { chat }),
            Outsiders::Unknown => Some(CommandMsg::GroupUnknown),
        };
        if let Some(why_not) = why_not {
            let place = (&letter.row.channel, &letter.message.chat);
            audit::note_in(tx, place, letter.person.user.as_str(), "right refused", chat, "outsiders", frame.now_ms)?;
            return Ok(Reply::say(say::command(lang, why_not)));
        }
        return group(tx, frame, letter, lang, true);
    }
    if !may(letter.person.role, Act::Allow) {
        return refused(tx, frame, letter, lang, Act::Allow, "allow");
    }
    let mut lines = Vec::new();
    for Mention { user, name: who } in &letter.message.mentions {
        let before = frame.access.owner.as_ref() == Some(user) || frame.access.users.contains(user);
        if !before {
            give(tx, frame, letter, &Grant::new(Right::User, user.as_str()), who)?;
        }
        note(tx, frame, letter, "allow", user)?;
        let msg = if before { CommandMsg::AlreadyAllowed { who } } else { CommandMsg::Allowed { who } };
        lines.push(say::command(lang, msg));
    }
    Ok(Reply { rights_changed: true, ..Reply::say(lines.join("\n")) })
}

/// `/deny`: everything that somebody may, does and has allowed ends at once; or, alone in a group, the group closes.
pub(super) fn deny(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, lang: Lang) -> Result<Reply, LedgerError> {
    if letter.message.mentions.is_empty() {
        return group(tx, frame, letter, lang, false);
    }
    if !may(letter.person.role, Act::Allow) {
        return refused(tx, frame, letter, lang, Act::Allow, "deny");
    }
    let mut reply = Reply { rights_changed: true, ..Reply::default() };
    let mut lines = Vec::new();
    for Mention { user, name: who } in &letter.message.mentions {
        if frame.access.owner.as_ref() == Some(user) {
            lines.push(say::command(lang, CommandMsg::DenyOwner));
            continue;
        }
        if frame.access.admins.contains(user) && !may(letter.person.role, Act::NameAdmins) {
            audit_refused(tx, frame, letter, user)?;
            lines.push(say::command(lang, CommandMsg::DenyAdmin { who }));
            continue;
        }
        let taken = grants::take_all(tx, &letter.row.channel, user)?;
        let ended = rules::end_of(tx, &letter.row.channel, None, user, letter.person.user.as_str(), frame.now_ms)?;
        let performed = end_work(tx, frame, letter, |_, turn| turn.requester == *user)?;
        note(tx, frame, letter, "deny", user)?;
        let (stopped, cancelled) = ended_tasks(&performed);
        let seats = taken.iter().filter(|grant| grant.right == Right::Approver).count();
        let had = |right| taken.iter().any(|grant| grant.right == right);
        let denied = if taken.is_empty() { CommandMsg::NotAllowedBefore { who } } else { CommandMsg::Denied { who } };
        lines.push(say::command(lang, denied));
        let tasks = stopped + cancelled > 0;
        let numbers = ended.iter().map(|number| format!("R{number}")).collect::<Vec<_>>().join(" ");
        let removed = [
            had(Right::Admin).then_some(RightsMsg::DeniedAdmin),
            (seats > 0).then_some(RightsMsg::DeniedSeats { n: seats }),
            tasks.then_some(RightsMsg::DeniedTasks { stopped, cancelled }),
            (!ended.is_empty()).then_some(RightsMsg::DeniedRules { numbers: &numbers }),
            // What cannot be taken away here is said, or somebody would think that it was.
            stays_configured(frame, user, &taken).then_some(RightsMsg::ConfiguredStays { who }),
            (!frame.access.chats.is_empty()).then_some(RightsMsg::MemberStays),
        ];
        lines.extend(removed.into_iter().flatten().map(|msg| say::rights(lang, msg)));
        reply.performed.extend(performed);
    }
    reply.say = Some(lines.join("\n"));
    Ok(reply)
}

/// Stops those of the running turns that are meant and takes the queued ones out, wherever they are.
fn end_work(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    is_meant: impl Fn(&Conversation, &Turn) -> bool,
) -> Result<Vec<Performed>, LedgerError> {
    let mut performed = Vec::new();
    for id in conversations::with_work(tx)? {
        let conversation = conversations::get(tx, &id)?;
        if conversation.channel != letter.row.channel {
            continue;
        }
        for turn in turns::unsettled(tx, &id)?.iter().filter(|turn| is_meant(&conversation, turn)) {
            performed.push(actions::stop(tx, frame, &turn.id, &letter.person)?);
        }
    }
    Ok(performed)
}

/// How many were asked to stop, and how many were cancelled.
fn ended_tasks(performed: &[Performed]) -> (usize, usize) {
    let count = |told| performed.iter().filter(|one| one.told == told).count();
    (count(Told::Stopping), count(Told::Cancelled))
}

/// Whether he is named in `ally.toml`, which nobody changes from a chat.
fn stays_configured(frame: &Frame, user: &UserId, taken: &[Grant]) -> bool {
    let taken = |right| taken.iter().any(|grant| grant.right == right);
    (frame.access.users.contains(user) && !taken(Right::User))
        || (frame.access.admins.contains(user) && !taken(Right::Admin))
}

/// `/admin @x`, `/approver @x`, each with `remove`; alone they list.
pub(super) fn right(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    kind: Kind,
    rest: &str,
) -> Result<Reply, LedgerError> {
    let (act, word) = match kind {
        Kind::Admin => (Act::NameAdmins, "admin"),
        Kind::Approver => (Act::NameApprovers, "approver"),
    };
    if letter.message.mentions.is_empty() {
        // Deciders may know who else is one.
        return match may(letter.person.role, Act::SeeRules) {
            true => list(tx, frame, letter, lang, kind),
            false => refused(tx, frame, letter, lang, Act::SeeRules, word),
        };
    }
    if !may(letter.person.role, act) {
        return refused(tx, frame, letter, lang, act, word);
    }
    if kind == Kind::Approver && letter.message.chat_kind == ChatKind::Direct {
        return Ok(Reply::say(say::rights(lang, RightsMsg::ApproverGroupOnly)));
    }
    let take = takes_away(rest);
    let mut lines = Vec::new();
    for Mention { user, name: who } in &letter.message.mentions {
        if frame.access.owner.as_ref() == Some(user) {
            lines.push(say::rights(lang, RightsMsg::IsOwner { who }));
            continue;
        }
        let grant = match kind {
            Kind::Admin => Grant::new(Right::Admin, user.as_str()),
            Kind::Approver => Grant::approver(&letter.message.chat, user),
        };
        let had = match kind {
            Kind::Admin => frame.access.admins.contains(user),
            Kind::Approver => frame.access.approvers.contains(&(letter.message.chat.clone(), user.clone())),
        };
        let taken = take && grants::take(tx, &letter.row.channel, &grant)?;
        if taken {
            // What he allowed for longer he allowed with this right.
            let chat = (kind == Kind::Approver).then_some(&letter.message.chat);
            rules::end_of(tx, &letter.row.channel, chat, user, letter.person.user.as_str(), frame.now_ms)?;
        }
        let (msg, code) = match (kind, take) {
            (_, true) if !taken && had => (RightsMsg::ConfiguredStays { who }, None),
            (Kind::Admin, true) if taken => (RightsMsg::AdminTaken { who }, Some("admin taken")),
            (Kind::Approver, true) if taken => (RightsMsg::ApproverTaken { who }, Some("approver taken")),
            (_, true) => (RightsMsg::HadNot { who }, None),
            (Kind::Admin, false) => (RightsMsg::AdminGiven { who }, Some("admin given")),
            (Kind::Approver, false) => (RightsMsg::ApproverGiven { who }, Some("approver given")),
        };
        if !take {
            give(tx, frame, letter, &grant, who)?;
        }
        if let Some(code) = code {
            note(tx, frame, letter, code, user)?;
        }
        lines.push(say::rights(lang, msg));
    }
    Ok(Reply { rights_changed: true, ..Reply::say(lines.join("\n")) })
}

fn list(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, lang: Lang, kind: Kind) -> Result<Reply, LedgerError> {
    let access = &frame.access;
    let mut people: Vec<&UserId> = match kind {
        Kind::Admin => access.admins.iter().collect(),
        Kind::Approver => {
            let here = access.approvers.iter().filter(|(chat, _)| *chat == letter.message.chat);
            here.map(|(_, user)| user).collect()
        }
    };
    people.sort();
    let names = people.into_iter().map(|user| rights::name(tx, frame, user)).collect::<Result<Vec<_>, _>>()?;
    let names = names.join(", ");
    let names = names.as_str();
    Ok(Reply::say(say::rights(
        lang,
        match (kind, names.is_empty()) {
            (Kind::Admin, true) => RightsMsg::NoAdmins,
            (Kind::Admin, false) => RightsMsg::Admins { names },
            (Kind::Approver, true) => RightsMsg::NoApprovers,
            (Kind::Approver, false) => RightsMsg::Approvers { names },
        },
    )))
}

fn group(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, lang: Lang, open: bool) -> Result<Reply, LedgerError> {
    if !may(letter.person.role, Act::OpenChat) {
        return refused(tx, frame, letter, lang, Act::OpenChat, if open { "allow" } else { "deny" });
    }
    if letter.message.chat_kind == ChatKind::Direct {
        return Ok(Reply::say(say::command(lang, if open { CommandMsg::AllowWhom } else { CommandMsg::DenyWhom })));
    }
    let (channel, chat) = (&letter.row.channel, &letter.message.chat);
    let grant = Grant::new(Right::Chat, chat.as_str());
    let (msg, code) = if open {
        grants::give(tx, channel, &grant, Some(&letter.person.user), frame.now_ms)?;
        (CommandMsg::GroupOpened, "open group")
    } else {
        grants::take(tx, channel, &grant)?;
        (CommandMsg::GroupClosed, "close group")
    };
    audit::note_in(tx, (channel, chat), letter.person.user.as_str(), code, chat.as_str(), "", frame.now_ms)?;
    let mut lines = vec![say::command(lang, msg)];
    let mut performed = Vec::new();
    if !open {
        // Who may talk only because the group is open has nothing done for him any more.
        let access = rights::in_force(tx, frame)?;
        performed = end_work(tx, frame, letter, |conversation, turn| {
            let role = access.role(&turn.requester, None, Some(&conversation.chat), conversation.chat_kind);
            conversation.chat == *chat && !role.may_talk()
        })?;
        let (stopped, cancelled) = ended_tasks(&performed);
        let tasks = (stopped + cancelled > 0).then_some(RightsMsg::DeniedTasks { stopped, cancelled });
        lines.extend(tasks.map(|msg| say::rights(lang, msg)));
    }
    Ok(Reply { rights_changed: true, performed, ..Reply::say(lines.join("\n")) })
}

fn give(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, grant: &Grant, who: &str) -> Result<(), LedgerError> {
    let channel = &letter.row.channel;
    grants::give(tx, channel, grant, Some(&letter.person.user), frame.now_ms)?;
    said::learn_name(tx, channel, &UserId::new(&grant.id), who, frame.now_ms)
}

fn note(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, what: &str, user: &UserId) -> Result<(), LedgerError> {
    let place = (&letter.row.channel, &letter.message.chat);
    audit::note_in(tx, place, letter.person.user.as_str(), what, user.as_str(), "", frame.now_ms)
}

fn audit_refused(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, user: &UserId) -> Result<(), LedgerError> {
    note(tx, frame, letter, "right refused", user)
}
