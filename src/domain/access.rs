//! Who may talk, decide and change what. One table for clicks, typed words and commands.

use std::collections::HashSet;

use super::ids::{ChatId, UserId};
use super::level::Level;
use super::message::ChatKind;
use super::risk::Class;

/// The rights as they stand: the configured floor plus what the ledger adds. Kept in memory for the 3-second path.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub owner: Option<UserId>,
    /// People who decide everywhere, but not over more rights.
    pub admins: HashSet<UserId>,
    /// People who may talk anywhere.
    pub users: HashSet<UserId>,
    /// People who decide in one chat.
    pub approvers: HashSet<(ChatId, UserId)>,
    /// Groups whose members may talk.
    pub chats: HashSet<ChatId>,
    /// The bot's own tenant, once known: other tenants are outsiders.
    pub tenant: Option<String>,
    /// The owner has locked everything.
    pub locked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Of another company: gets no reply at all.
    Outsider,
    Stranger,
    /// Member of an opened group, there.
    Member,
    /// Listed by name: talks anywhere, decides like a member.
    User,
    /// Decides in this chat.
    Approver,
    Admin,
    Owner,
}

impl Role {
    pub const ALL: [Role; 7] =
        [Role::Outsider, Role::Stranger, Role::Member, Role::User, Role::Approver, Role::Admin, Role::Owner];

    pub fn may_talk(self) -> bool {
        self >= Role::Member
    }

    /// Somebody whom others' requests wait for.
    pub fn is_decider(self) -> bool {
        self >= Role::Approver
    }

    pub fn is_owner(self) -> bool {
        self == Role::Owner
    }

    /// The most that a turn may do which has words of such a person in it.
    pub fn cap(self) -> Level {
        if self == Role::Owner { Level::Trusted } else { Level::Edit }
    }
}

/// What somebody wants to do. `own` says that it is about his own request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Talk,
    /// Stop a turn of the chat: the safe direction.
    Stop,
    /// Take a message out of the queue, or put it into the running turn.
    Requeue {
        own: bool,
    },
    /// Allow or decline a request.
    Decide {
        class: Class,
        own: bool,
    },
    /// Answer a question that the agent put to the requester.
    Answer {
        own: bool,
    },
    /// Decide about a request and the like of it for a while.
    MakeRule {
        class: Class,
        own: bool,
        standing: bool,
    },
    /// Let a task reach the network, which lets it send as well.
    GrantNetwork,
    /// Rules of the chat: see them, end them.
    SeeRules,
    /// What was decided, here or everywhere.
    Audit {
        everywhere: bool,
    },
    /// How this chat works: language, noise, what happens when busy.
    Settings,
    /// Which model works for this chat.
    Model {
        direct: bool,
    },
    /// How far the agent may go here by itself.
    SetLevel {
        level: Level,
        /// How far it goes now.
        from: Level,
        direct: bool,
    },
    /// Which directory a chat works in.
    Bind,
    OpenChat,
    /// Let people talk, or not.
    Allow,
    NameApprovers,
    NameAdmins,
    /// Stop everything everywhere, and let it go on.
    Lock,
    /// What is done in a chat without anybody asking for it: make it, change it, run it.
    Routines,
}

/// The one answer to who may what.
pub fn may(role: Role, act: Act) -> bool {
    match act {
        Act::Talk | Act::Stop => role.may_talk(),
        Act::Requeue { own } | Act::Answer { own } => role.is_decider() || (own && role.may_talk()),
        Act::Decide { class, own } => match class {
            Class::Read | Class::Write => role.is_decider() || (own && role.may_talk()),
            Class::ReadOut
            | Class::Fetch
            | Class::WriteOut
            | Class::Autorun
            | Class::Publish
            | Class::Destroy
            | Class::Unknown => role.is_decider(),
            Class::Privilege => role.is_owner(),
            // The sandbox refuses it whatever anybody says: a button would lie.
            Class::Secret => false,
        },
        Act::MakeRule { class, own, standing } => {
            may(role, Act::Decide { class, own })
                && if standing { class.lasts().always && role.is_decider() } else { class.lasts().hours }
        }
        Act::GrantNetwork | Act::SeeRules | Act::Audit { everywhere: false } | Act::Settings => role.is_decider(),
        Act::Model { direct } => role >= Role::Admin || (direct && role.may_talk()),
        // Less is always right for whoever decides.
        Act::SetLevel { level, from, .. } if level <= from => role.is_decider(),
        Act::SetLevel { level: Level::Trusted, direct, .. } => role.is_owner() && direct,
        Act::SetLevel { .. } => role >= Role::Admin,
        Act::Bind
        | Act::OpenChat
        | Act::Allow
        | Act::NameApprovers
        | Act::Routines
        | Act::Audit { everywhere: true } => role >= Role::Admin,
        Act::NameAdmins | Act::Lock => role.is_owner(),
    }
}

/// What becomes of a person's message, before anybody looks at its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Taken,
    /// Said in a group, and not to the bot.
    NotAddressed,
    /// Of another company: ignored without a word.
    Outsider,
    /// Ignored; once a day it is said whom to ask.
    Stranger,
}

/// The one answer to which messages are taken. `is_for_bot` says that it mentions the bot; in a direct chat all are for it.
pub fn heard(role: Role, kind: ChatKind, is_for_bot: bool) -> Heard {
    match role {
        _ if kind == ChatKind::Group && !is_for_bot => Heard::NotAddressed,
        Role::Outsider => Heard::Outsider,
        Role::Stranger => Heard::Stranger,
        Role::Owner | Role::Admin | Role::Approver | Role::User | Role::Member => Heard::Taken,
    }
}

impl Access {
    pub fn role(&self, user: &UserId, tenant: Option<&str>, chat: Option<&ChatId>, kind: ChatKind) -> Role {
        if self.owner.as_ref() == Some(user) {
            return Role::Owner;
        }
        if self.admins.contains(user) {
            return Role::Admin;
        }
        let outsider = matches!((tenant, self.tenant.as_deref()), (Some(theirs), Some(ours)) if theirs != ours);
        let approves =
            |chat: &ChatId| !self.approvers.is_empty() && self.approvers.contains(&(chat.clone(), user.clone()));
        let open = |chat: &ChatId| kind == ChatKind::Group && self.chats.contains(chat);
        match chat {
            Some(chat) if !outsider && approves(chat) => Role::Approver,
            _ if self.users.contains(user) => Role::User,
            _ if outsider => Role::Outsider,
            Some(chat) if open(chat) => Role::Member,
            _ => Role::Stranger,
        }
    }

    /// Those who decide what the requester may not, in this chat: the chat's approvers, then admins, then the owner.
    pub fn deciders(&self, chat: &ChatId, class: Class) -> Vec<UserId> {
        let mut people = Vec::new();
        let mut add = |found: Vec<&UserId>| {
            let mut found = found;
            found.sort();
            for user in found {
                if !people.contains(user) {
                    people.push(user.clone());
                }
            }
        };
        if may(Role::Approver, Act::Decide { class, own: false }) {
            add(self.approvers.iter().filter(|(of, _)| of == chat).map(|(_, user)| user).collect());
            add(self.admins.iter().collect());
        }
        add(self.owner.iter().collect());
        people
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            owner: Some("ou_owner".into()),
            admins: HashSet::from(["ou_admin".into()]),
            users: HashSet::from(["ou_user".into()]),
            approvers: HashSet::from([("oc_open".into(), "ou_li".into()), ("oc_open".into(), "ou_far".into())]),
            chats: HashSet::from(["oc_open".into()]),
            tenant: Some("t1".to_owned()),
            locked: false,
        }
    }

    #[test]
    fn roles() {
        for (user, tenant, chat, kind, want) in [
            ("ou_owner", "t1", "oc_any", ChatKind::Group, Role::Owner),
            ("ou_owner", "t1", "oc_dm", ChatKind::Direct, Role::Owner),
            ("ou_admin", "t1", "oc_any", ChatKind::Group, Role::Admin),
            ("ou_user", "t1", "oc_any", ChatKind::Group, Role::User),
            ("ou_li", "t1", "oc_open", ChatKind::Group, Role::Approver),
            ("ou_li", "t1", "oc_other", ChatKind::Group, Role::Stranger),
            ("ou_far", "t2", "oc_open", ChatKind::Group, Role::Outsider),
            ("ou_x", "t1", "oc_open", ChatKind::Group, Role::Member),
            ("ou_x", "t1", "oc_open", ChatKind::Direct, Role::Stranger),
            ("ou_x", "t1", "oc_closed", ChatKind::Group, Role::Stranger),
            ("ou_x", "t2", "oc_open", ChatKind::Group, Role::Outsider),
        ] {
            let chat = ChatId::from(chat);
            let got = access().role(&user.into(), Some(tenant), Some(&chat), kind);
            assert_eq!(got, want, "{user} {tenant} {chat}");
        }
    }

    /// Who decides what: a row a class, for a member's own request, a member about others', an approver, an admin, the owner.
    #[test]
    fn who_decides_what() {
        let table = [
            (Class::Read, "own     yes others no  approver yes admin yes owner yes"),
            (Class::Write, "own     yes others no  approver yes admin yes owner yes"),
            (Class::ReadOut, "own     no  others no  approver yes admin yes owner yes"),
            (Class::Fetch, "own     no  others no  approver yes admin yes owner yes"),
            (Class::WriteOut, "own     no  others no  approver yes admin yes owner yes"),
            (Class::Autorun, "own     no  others no  approver yes admin yes owner yes"),
            (Class::Publish, "own     no  others no  approver yes admin yes owner yes"),
            (Class::Destroy, "own     no  others no  approver yes admin yes owner yes"),
            (Class::Unknown, "own     no  others no  approver yes admin yes owner yes"),
            (Class::Privilege, "own     no  others no  approver no  admin no  owner yes"),
            (Class::Secret, "own     no  others no  approver no  admin no  owner no"),
        ];
        assert_eq!(table.map(|(class, _)| class).len(), Class::ALL.len());
        for (class, want) in table {
            let says = |role, own| if may(role, Act::Decide { class, own }) { "yes" } else { "no" };
            let got = format!(
                "own     {:<3} others {:<3} approver {:<3} admin {:<3} owner {}",
                says(Role::Member, true),
                says(Role::Member, false),
                says(Role::Approver, false),
                says(Role::Admin, false),
                says(Role::Owner, false)
            );
            assert_eq!(got, want, "{class:?}");
            for nobody in [Role::Stranger, Role::Outsider] {
                assert!(!may(nobody, Act::Decide { class, own: true }), "{nobody:?} {class:?}");
            }
        }
    }

    #[test]
    fn no_red_request_is_allowed_for_longer_than_once() {
        for class in Class::ALL {
            let lasts = class.lasts();
            assert!(!(class.is_red() && (lasts.task || lasts.hours || lasts.always)), "{class:?}");
            assert!(!lasts.always || lasts.hours, "{class:?}");
            for role in Role::ALL {
                let rule = |standing| may(role, Act::MakeRule { class, own: true, standing });
                assert!(!rule(true) || role.is_decider(), "{role:?} {class:?}");
                assert!(!rule(false) || may(role, Act::Decide { class, own: true }), "{role:?} {class:?}");
            }
        }
    }

    /// A row an act, the least of those who may.
    #[test]
    fn who_may_what() {
        for (act, least) in [
            (Act::Talk, Role::Member),
            (Act::Stop, Role::Member),
            (Act::Requeue { own: true }, Role::Member),
            (Act::Requeue { own: false }, Role::Approver),
            (Act::Answer { own: true }, Role::Member),
            (Act::Answer { own: false }, Role::Approver),
            (Act::GrantNetwork, Role::Approver),
            (Act::SeeRules, Role::Approver),
            (Act::Settings, Role::Approver),
            (Act::Audit { everywhere: false }, Role::Approver),
            (Act::Audit { everywhere: true }, Role::Admin),
            (Act::Model { direct: true }, Role::Member),
            (Act::Model { direct: false }, Role::Admin),
            (Act::SetLevel { level: Level::Safe, from: Level::Edit, direct: false }, Role::Approver),
            (Act::SetLevel { level: Level::Safe, from: Level::Ask, direct: false }, Role::Admin),
            (Act::SetLevel { level: Level::Edit, from: Level::Safe, direct: false }, Role::Admin),
            (Act::SetLevel { level: Level::Trusted, from: Level::Edit, direct: true }, Role::Owner),
            (Act::Bind, Role::Admin),
            (Act::OpenChat, Role::Admin),
            (Act::Allow, Role::Admin),
            (Act::NameApprovers, Role::Admin),
            (Act::Routines, Role::Admin),
            (Act::NameAdmins, Role::Owner),
            (Act::Lock, Role::Owner),
        ] {
            for role in Role::ALL {
                assert_eq!(may(role, act), role >= least, "{role:?} {act:?}");
            }
        }
        let trusted = Act::SetLevel { level: Level::Trusted, from: Level::Edit, direct: false };
        assert!(Role::ALL.iter().all(|role| !may(*role, trusted)));
    }

    #[test]
    fn who_is_heard() {
        for role in Role::ALL {
            assert_eq!(heard(role, ChatKind::Group, false), Heard::NotAddressed, "{role:?}");
            for kind in [ChatKind::Group, ChatKind::Direct] {
                assert_eq!(heard(role, kind, true) == Heard::Taken, role.may_talk(), "{role:?}");
            }
            assert_eq!(heard(role, ChatKind::Direct, false) == Heard::Taken, role.may_talk(), "{role:?}");
        }
    }

    #[test]
    fn deciders_are_the_nearest_first() {
        let chat = ChatId::from("oc_open");
        assert_eq!(
            access().deciders(&chat, Class::Publish),
            ["ou_far", "ou_li", "ou_admin", "ou_owner"].map(UserId::from)
        );
        assert_eq!(
            access().deciders(&ChatId::from("oc_x"), Class::Publish),
            ["ou_admin", "ou_owner"].map(UserId::from)
        );
        assert_eq!(access().deciders(&chat, Class::Privilege), [UserId::from("ou_owner")]);
    }
}
