//! `/doctor`: what stands in the way, for the owner alone. Looked at before the command's own write, which nobody is to
//! wait for.

use super::{Here, Reply, refused};
use crate::bridge::core::Core;
use crate::bridge::pictures::Frame;
use crate::bridge::prepare::Letter;
use crate::bridge::say;
use crate::domain::access::{Act, may};
use crate::domain::finding::{Finding, Grade};
use crate::domain::message::ChatKind;
use crate::domain::view::Lang;
use crate::ledger::{LedgerError, Transaction};
use crate::words::CommandMsg;

/// Everything that can be told without trying. It names files and people: nothing for anybody but the owner by himself.
pub(super) async fn examined(core: &Core, letter: &Letter) -> Result<Option<String>, LedgerError> {
    if !may(letter.person.role, Act::Lock) || letter.message.chat_kind != ChatKind::Direct {
        return Ok(None);
    }
    let (frame, scope, asked) = (core.frame(&letter.row.channel), core.config.scope, letter.clone());
    let lang = core.ledger.read(move |tx: &Transaction<'_>| Ok(Here::of(tx, &asked, scope)?.lang(&frame))).await?;
    let found = match core.examiner() {
        Some(examiner) => examiner.examine(lang).await,
        None => Vec::new(),
    };
    Ok(Some(told(&found, lang)))
}

/// What is as it has to be comes last and short: on a phone the first lines are read.
fn told(found: &[Finding], lang: Lang) -> String {
    let (fine, rest): (Vec<&Finding>, Vec<&Finding>) = found.iter().partition(|finding| finding.grade == Grade::Ok);
    let mut lines: Vec<String> = rest.into_iter().map(Finding::lines).collect();
    let names: Vec<&str> = fine.iter().map(|finding| finding.what.as_str()).collect();
    if !names.is_empty() {
        let names = names.join(if lang == Lang::Zh { "、" } else { ", " });
        lines.push(say::command(lang, CommandMsg::DoctorFine { names: &names }));
    }
    lines.push(say::command(lang, CommandMsg::DoctorMore));
    lines.join("\n")
}

pub(super) fn reply(
    tx: &Transaction<'_>,
    frame: &Frame,
    letter: &Letter,
    lang: Lang,
    examined: Option<String>,
) -> Result<Reply, LedgerError> {
    match examined {
        Some(text) => Ok(Reply::say(text)),
        None if may(letter.person.role, Act::Lock) => Ok(Reply::say(say::command(lang, CommandMsg::DoctorInDirect))),
        None => refused(tx, frame, letter, lang, Act::Lock, "doctor"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Check;

    #[test]
    fn what_is_wrong_comes_first() {
        let finding = |id, grade, remedy: Option<&str>| Finding {
            id,
            grade,
            what: Check::id(id).to_owned(),
            found: "so".to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let found = [
            finding(Check::Config, Grade::Ok, None),
            finding(Check::Disk, Grade::Bad, Some("make room")),
            finding(Check::Work, Grade::Ok, None),
        ];
        let text = told(&found, Lang::En);
        assert!(text.starts_with("✕ disk: so\n  → make room\n✓ config, work"), "{text}");
    }
}
