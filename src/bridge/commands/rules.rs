//! `/rules`: what was allowed for longer than once in this chat, and its end.

use super::{Reply, refused};
use crate::bridge::actions::{self, Told};
use crate::bridge::pictures::{self, Frame};
use crate::bridge::prepare::Letter;
use crate::bridge::say;
use crate::domain::access::{Act, may};
use crate::domain::view::{Lang, View};
use crate::ledger::{LedgerError, Transaction, rules};
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
        return refused(tx, frame, letter, lang, Act::SeeRules, "rules");
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
