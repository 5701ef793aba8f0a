//! `/lock` and `/unlock`.

use super::{Reply, refused};
use crate::bridge::lock::{self, Hand, Turned};
use crate::bridge::pictures::Frame;
use crate::bridge::prepare::Letter;
use crate::bridge::say;
use crate::domain::access::{Act, may};
use crate::domain::message::ChatKind;
use crate::domain::view::Lang;
use crate::ledger::{LedgerError, Transaction, conversations};
use crate::words::RightsMsg;

pub(super) fn switch(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    locked: bool,
) -> Result<Reply, LedgerError> {
    if !may(letter.person.role, Act::Lock) {
        return refused(tx, frame, letter, lang, Act::Lock, if locked { "lock" } else { "unlock" });
    }
    let place = Some((&letter.row.channel, &letter.message.chat));
    let hand = Hand { id: letter.person.user.as_str(), name: &letter.person.name, place };
    let turned = match locked {
        true => lock::lock(tx, &hand, frame.now_ms)?,
        false => lock::unlock(tx, &hand, frame.now_ms)?,
    };
    let (n, queued) = (turned.cut.len(), turned.queued);
    let first = match (locked, turned.changed) {
        (true, true) => RightsMsg::Locked { n, queued },
        (true, false) => RightsMsg::LockedBefore,
        (false, true) => RightsMsg::Unlocked { queued },
        (false, false) => RightsMsg::NotLocked,
    };
    let mut text = vec![say::rights(lang, first)];
    if !locked {
        text.extend(cut(tx, letter, lang, &turned)?);
    }
    let performed = vec![turned.performed()];
    Ok(Reply { rights_changed: true, performed, ..Reply::say(text.join("\n")) })
}

/// What the lock had cut: all of it where only the owner reads, else what belongs here, and how much besides.
fn cut(tx: &Transaction<'_>, letter: &Letter, lang: Lang, turned: &Turned) -> Result<Vec<String>, LedgerError> {
    let direct = letter.message.chat_kind == ChatKind::Direct;
    let (mut lines, mut elsewhere) = (Vec::new(), 0);
    for turn in &turned.cut {
        if direct || conversations::get(tx, &turn.conversation)?.chat == letter.message.chat {
            let (who, title) = (turn.requester_name.as_str(), turn.title.as_str());
            lines.push(say::rights(lang, RightsMsg::CutTurn { who, title }));
        } else {
            elsewhere += 1;
        }
    }
    if !lines.is_empty() {
        lines.insert(0, say::rights(lang, RightsMsg::CutTitle { n: lines.len() }));
    }
    lines.extend((elsewhere > 0).then(|| say::rights(lang, RightsMsg::CutElsewhere { n: elsewhere })));
    Ok(lines)
}
