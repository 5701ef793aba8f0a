//! Who may talk and who may decide. One answer for clicks, typed words and commands.

use std::collections::HashSet;

use super::ids::{ChatId, UserId};
use super::message::ChatKind;

/// The rights as they stand: the configured floor plus what the ledger adds. Kept in memory for the 3-second path.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub owner: Option<UserId>,
    /// People who may talk anywhere and decide gates.
    pub users: HashSet<UserId>,
    /// Groups whose members may talk.
    pub chats: HashSet<ChatId>,
    /// The bot's own tenant, once known: other tenants are outsiders.
    pub tenant: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Owner,
    /// Listed by name.
    User,
    /// Member of an opened group, there.
    Member,
    Stranger,
    /// Of another company: gets no reply at all.
    Outsider,
}

impl Role {
    pub fn may_talk(self) -> bool {
        matches!(self, Role::Owner | Role::User | Role::Member)
    }

    /// Gates of others and commands that change rights need at least this. Until risk classes exist,
    /// owner and listed users decide every gate, others none.
    pub fn may_decide(self) -> bool {
        matches!(self, Role::Owner | Role::User)
    }

    pub fn is_owner(self) -> bool {
        self == Role::Owner
    }
}

impl Access {
    pub fn role(&self, user: &UserId, tenant: Option<&str>, chat: Option<&ChatId>, kind: ChatKind) -> Role {
        if self.owner.as_ref() == Some(user) {
            return Role::Owner;
        }
        let outsider = matches!((tenant, self.tenant.as_deref()), (Some(theirs), Some(ours)) if theirs != ours);
        if self.users.contains(user) {
            return Role::User;
        }
        if outsider {
            return Role::Outsider;
        }
        match chat {
            Some(chat) if kind == ChatKind::Group && self.chats.contains(chat) => Role::Member,
            _ => Role::Stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            owner: Some("ou_owner".into()),
            users: HashSet::from(["ou_user".into()]),
            chats: HashSet::from(["oc_open".into()]),
            tenant: Some("t1".to_owned()),
        }
    }

    #[test]
    fn roles() {
        for (user, tenant, chat, kind, want) in [
            ("ou_owner", "t1", "oc_any", ChatKind::Group, Role::Owner),
            ("ou_owner", "t1", "oc_dm", ChatKind::Direct, Role::Owner),
            ("ou_user", "t1", "oc_any", ChatKind::Group, Role::User),
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

    #[test]
    fn members_talk_but_do_not_decide() {
        assert!(Role::Member.may_talk() && !Role::Member.may_decide());
        assert!(Role::User.may_decide() && !Role::User.is_owner());
        assert!(!Role::Outsider.may_talk());
    }
}
