//! One chat: whether the bot is there, whether it is opened, who somebody is there, and what becomes of their message.

use super::Sheet;
use crate::channels::feishu::inspect::{ChatInfo, Inspector};
use crate::channels::feishu::{ApiError, FeishuConfig, MISSING_RIGHT};
use crate::clock::Clock;
use crate::domain::access::{Access, Heard, Role, heard};
use crate::domain::finding::Check;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::message::ChatKind;
use crate::words::DoctorMsg;

/// Codes of a chat in which the bot is not.
const OUTSIDE: [i64; 2] = [230002, 232011];
/// Codes of a chat that is no more, or never was.
const GONE: [i64; 4] = [232006, 232009, 232025, 99992351];

/// What is needed to look at a chat.
pub struct Case<'a> {
    /// The app.
    pub app: &'a FeishuConfig,
    /// Who may do what, as configured and as granted.
    pub access: &'a Access,
    /// The chat's id.
    pub chat: &'a str,
    /// Whose messages are meant; `None`: anybody's.
    pub user: Option<&'a str>,
    /// How people call that one, where the ledger knows it.
    pub name: Option<String>,
    /// The time.
    pub clock: Clock,
}

/// All of it. The last line says what becomes of a message.
pub async fn examine(sheet: &mut Sheet, case: &Case<'_>) {
    if !case.chat.starts_with("oc_") {
        return sheet.bad(Check::InChat, DoctorMsg::ChatNoId { id: case.chat }, DoctorMsg::ChatNoIdRemedy);
    }
    let inspector = match Inspector::new(case.app, case.clock.clone()) {
        Ok(inspector) => inspector,
        Err(error) => {
            let found = DoctorMsg::NotReached { host: &case.app.base_url, why: &error.to_string() };
            return sheet.bad(Check::InChat, found, DoctorMsg::ReachRemedy);
        }
    };
    let told = inspector.chat(case.chat).await;
    let info = match place(sheet, told) {
        Place::In(info) => Some(info),
        Place::NotTold => None,
        Place::Outside => {
            return sheet.bad(Check::Heard, DoctorMsg::HeardNotThere, DoctorMsg::NotInChatRemedy);
        }
    };
    let kind = match &info {
        Some(info) if info.is_direct => ChatKind::Direct,
        _ => ChatKind::Group,
    };
    let name = match (case.user, kind) {
        (Some(user), ChatKind::Group) => match inspector.member(case.chat, user).await {
            Ok(Some(name)) => Some(name),
            Ok(None) => {
                let found = DoctorMsg::PersonNotThere { who: user };
                sheet.unknown_but(Check::Person, found, DoctorMsg::PersonNotThereRemedy);
                return sheet.unknown(Check::Heard, found);
            }
            Err(_) => None,
        },
        _ => None,
    };
    let name = name.filter(|name| !name.is_empty()).or_else(|| case.name.clone());
    opened(sheet, case, info.as_ref(), kind);
    let external = info.as_ref().and_then(|info| info.external);
    person(sheet, case, kind, name.as_deref(), external == Some(true));
}

enum Place {
    In(ChatInfo),
    Outside,
    /// The platform does not tell, which says nothing about the chat.
    NotTold,
}

fn place(sheet: &mut Sheet, told: Result<ChatInfo, ApiError>) -> Place {
    let check = Check::InChat;
    match told {
        Ok(info) if !info.is_there => sheet.bad(check, DoctorMsg::ChatGone, DoctorMsg::ChatGoneRemedy),
        Ok(info) if !info.bot_in => sheet.bad(check, DoctorMsg::NotInChat, DoctorMsg::NotInChatRemedy),
        Ok(info) => {
            match info.is_direct {
                true => sheet.ok(check, DoctorMsg::InDirect),
                false => sheet.ok(check, DoctorMsg::InChat { name: &info.name }),
            }
            return Place::In(info);
        }
        Err(error) => match error.code() {
            Some(code) if OUTSIDE.contains(&code) => {
                sheet.bad(check, DoctorMsg::NotInChat, DoctorMsg::NotInChatRemedy);
            }
            Some(code) if GONE.contains(&code) => sheet.bad(check, DoctorMsg::ChatGone, DoctorMsg::ChatGoneRemedy),
            Some(MISSING_RIGHT) | None | Some(_) => {
                sheet.unknown(check, DoctorMsg::Refused { why: &error.to_string() });
                return Place::NotTold;
            }
        },
    }
    Place::Outside
}

fn opened(sheet: &mut Sheet, case: &Case<'_>, info: Option<&ChatInfo>, kind: ChatKind) {
    if kind == ChatKind::Direct {
        return sheet.ok(Check::Opened, DoctorMsg::OpenedDirect);
    }
    let is_open = case.access.chats.contains(&ChatId::from(case.chat));
    match info.and_then(|info| info.external) {
        None => sheet.unknown(Check::Outsiders, DoctorMsg::OutsidersUnknown),
        Some(false) => sheet.ok(Check::Outsiders, DoctorMsg::OutsidersNone),
        Some(true) => {
            sheet.note(Check::Outsiders, DoctorMsg::OutsidersIn, DoctorMsg::OutsidersRemedy { chat: case.chat });
        }
    }
    match is_open {
        true => sheet.ok(Check::Opened, DoctorMsg::OpenedGroup),
        false => sheet.note(Check::Opened, DoctorMsg::OpenedNot, DoctorMsg::OpenedNotRemedy),
    }
}

/// Who it is, and in one sentence what becomes of what they say. `external`: people of other companies are in the group.
fn person(sheet: &mut Sheet, case: &Case<'_>, kind: ChatKind, name: Option<&str>, external: bool) {
    let chat = ChatId::from(case.chat);
    let Some(user) = case.user else {
        sheet.unknown_but(Check::Person, DoctorMsg::PersonUntold, DoctorMsg::PersonUntoldRemedy);
        match (kind, case.access.chats.contains(&chat)) {
            _ if case.access.locked => sheet.note(Check::Heard, DoctorMsg::HeardPaused, DoctorMsg::WorkLockedRemedy),
            (ChatKind::Direct, _) => {
                sheet.unknown_but(Check::Heard, DoctorMsg::OpenedDirect, DoctorMsg::PersonUntoldRemedy);
            }
            (ChatKind::Group, true) => sheet.ok(Check::Heard, DoctorMsg::HeardAnybody),
            (ChatKind::Group, false) => sheet.note(Check::Heard, DoctorMsg::HeardNamed, DoctorMsg::OpenedNotRemedy),
        }
        return;
    };
    let who = name.unwrap_or(user);
    // Of which company they are only their own messages tell.
    let role = case.access.role(&UserId::from(user), None, Some(&chat), kind);
    let remedy = DoctorMsg::PersonRemedy { who };
    if role == Role::Member && external {
        sheet.unknown_but(Check::Person, DoctorMsg::PersonMaybeOutside { who }, remedy);
        return sheet.unknown_but(Check::Heard, DoctorMsg::PersonMaybeOutside { who }, remedy);
    }
    match role {
        Role::Owner => sheet.ok(Check::Person, DoctorMsg::PersonOwner { who }),
        Role::Admin => sheet.ok(Check::Person, DoctorMsg::PersonAdmin { who }),
        Role::Approver => sheet.ok(Check::Person, DoctorMsg::PersonApprover { who }),
        Role::User => sheet.ok(Check::Person, DoctorMsg::PersonUser { who }),
        Role::Member => sheet.ok(Check::Person, DoctorMsg::PersonMember { who }),
        Role::Stranger | Role::Outsider => sheet.bad(Check::Person, DoctorMsg::PersonStranger { who }, remedy),
    }
    match heard(role, kind, true) {
        Heard::Outsider => sheet.bad(Check::Heard, DoctorMsg::HeardOutsider { who }, remedy),
        Heard::Stranger => sheet.bad(Check::Heard, DoctorMsg::HeardStranger { who }, remedy),
        Heard::Taken | Heard::NotAddressed if case.access.locked => {
            sheet.note(Check::Heard, DoctorMsg::HeardPaused, DoctorMsg::WorkLockedRemedy);
        }
        Heard::Taken | Heard::NotAddressed if kind == ChatKind::Direct => {
            sheet.ok(Check::Heard, DoctorMsg::HeardDirect { who });
        }
        Heard::Taken | Heard::NotAddressed => sheet.ok(Check::Heard, DoctorMsg::HeardMention { who }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Grade;
    use crate::domain::view::Lang;

    #[test]
    fn the_last_line_says_whether_somebody_is_heard() {
        let app = FeishuConfig {
            app_id: "cli_1".to_owned(),
            app_secret: "s".to_owned().into(),
            base_url: "http://127.0.0.1:9".to_owned(),
            proxy: None,
        };
        let told = |access: &Access, kind, user| {
            let case = Case { app: &app, access, chat: "oc_1", user, name: None, clock: Clock::default() };
            let mut sheet = Sheet::new(Lang::En);
            person(&mut sheet, &case, kind, Some("Li"), false);
            let last = sheet.findings.pop().unwrap();
            assert_eq!(last.id, Check::Heard);
            (last.grade, last.found)
        };
        let mut access = Access { owner: Some("ou_o".into()), ..Access::default() };
        assert_eq!(told(&access, ChatKind::Direct, Some("ou_o")).0, Grade::Ok);
        let (grade, said) = told(&access, ChatKind::Direct, Some("ou_x"));
        assert!(grade == Grade::Bad && said.contains("ignored: nobody allowed it"), "{said}");
        assert_eq!(told(&access, ChatKind::Group, None).0, Grade::Note);
        access.chats.insert("oc_1".into());
        let (grade, said) = told(&access, ChatKind::Group, Some("ou_x"));
        assert!(grade == Grade::Ok && said.contains("mention the bot are taken"), "{said}");
        assert_eq!(told(&access, ChatKind::Group, None).0, Grade::Ok);
        access.locked = true;
        let (grade, said) = told(&access, ChatKind::Group, Some("ou_x"));
        assert!(grade == Grade::Note && said.contains("paused"), "{said}");
    }
}
