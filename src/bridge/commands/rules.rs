//! `/rules`: what was allowed for longer than once in this chat, and its end.

use super::Reply;
use crate::bridge::actions::{self, Told};
use crate::bridge::pictures::{self, Frame};
use crate::bridge::prepare::Letter;
use crate::bridge::{rights, say};
use crate::domain::access::{Act, may};
use crate::domain::view::{Lang, View};
use crate::ledger::{LedgerError, Transaction, audit, rules};
use crate::words::RightsMsg;

pub(super) fn rules(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    revoke: Option<i64>,
) -> Result<Reply, LedgerError> {
    let chat = &letter.message.chat;
    if !may(letter.person.role, Act::SeeRules) {
        audit::note(tx, letter.person.user.as_str(), "command refused", "", "rules", frame.now_ms)?;
        return Ok(Reply::say(rights::only(tx, frame, chat, Act::SeeRules, lang)?));
    }
    if let Some(number) = revoke {
        let told = actions::revoke_rule(tx, frame, number, chat, &letter.person)?.told;
        let msg = match told {
            Told::RuleRevoked => RightsMsg::RuleRevoked { number },
            _ => RightsMsg::NoSuchRule { number },
        };
        return Ok(Reply::say(say::rights(lang, msg)));
    }
    let found = rules::listed(tx, Some((&frame.channel, chat)), frame.now_ms)?;
    if found.is_empty() {
        return Ok(Reply::say(say::rights(lang, RightsMsg::RulesNone)));
    }
    let list = pictures::rules(tx, frame, chat, letter.row.seq, &found, lang)?;
    Ok(Reply { view: Some(View::List(list)), lang: Some(lang), ..Reply::default() })
}
