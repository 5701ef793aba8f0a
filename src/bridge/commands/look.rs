//! `/audit` and `/gates`: what was decided, and what waits. Read before the command's own write, which nobody is to wait
//! for.

use super::Here;
use crate::bridge::core::Core;
use crate::bridge::prepare::Letter;
use crate::bridge::{pictures, say};
use crate::domain::access::{Act, may};
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::view::Lang;
use crate::ledger::gates::Gate;
use crate::ledger::{LedgerError, Transaction, audit, conversations, gates, turns};
use crate::words::RightsMsg;

/// Lines of a list in a chat.
const LINES: usize = 30;

/// What was decided here, or, for whoever may see that and is alone with the bot, everywhere. Nothing for those who may
/// not look.
pub(super) async fn audited(core: &Core, letter: &Letter, span_ms: i64) -> Result<Option<String>, LedgerError> {
    let role = letter.person.role;
    if !may(role, Act::Audit { everywhere: false }) {
        return Ok(None);
    }
    let everywhere = letter.message.chat_kind == ChatKind::Direct && may(role, Act::Audit { everywhere: true });
    let (frame, scope, asked) = (core.frame(&letter.row.channel), core.config.scope, letter.clone());
    let (now_ms, since) = (frame.now_ms, frame.now_ms - span_ms);
    let read = move |tx: &Transaction<'_>| {
        let place = (!everywhere).then_some((&asked.row.channel, &asked.message.chat));
        let lines = audit::since(tx, place, since, LINES as u32 + 1)?;
        Ok((lines, Here::of(tx, &asked, scope)?.lang(&frame)))
    };
    let (mut lines, lang) = core.ledger.read(read).await?;
    let span = say::at(since, now_ms).to_string();
    if lines.is_empty() {
        return Ok(Some(say::rights(lang, RightsMsg::AuditNone { span: &span })));
    }
    let more = lines.len() > LINES;
    lines.truncate(LINES);
    let mut text = vec![say::rights(lang, RightsMsg::AuditTitle { n: lines.len(), span: &span })];
    for line in &lines {
        let chat = match &line.chat {
            // Only where one person reads it.
            Some(chat) if everywhere => Some(core.chat_name(&letter.row.channel, chat).await),
            _ => None,
        };
        text.push(say::audit_line(lang, line, chat.as_deref(), now_ms));
    }
    text.extend(more.then(|| say::rights(lang, RightsMsg::AuditMore { n: LINES })));
    Ok(Some(text.join("\n")))
}

/// The open requests of the chat, or, in the owner's direct chat, of all chats.
pub(super) async fn open(core: &Core, letter: &Letter) -> Result<String, LedgerError> {
    let everywhere = letter.person.role.is_owner() && letter.message.chat_kind == ChatKind::Direct;
    let (frame, scope, asked) = (core.frame(&letter.row.channel), core.config.scope, letter.clone());
    let now_ms = frame.now_ms;
    let read = move |tx: &Transaction<'_>| {
        let mut found = Vec::new();
        let (channel, chat) = (&asked.row.channel, &asked.message.chat);
        let open = if everywhere { gates::all_open(tx)? } else { of_chat(tx, channel, chat)? };
        for gate in open {
            let conversation = conversations::get(tx, &gate.conversation)?;
            if conversation.channel == frame.channel {
                let who = turns::get(tx, &gate.turn)?.requester_name;
                found.push((gate, conversation.chat, who));
            }
        }
        Ok((found, Here::of(tx, &asked, scope)?.lang(&frame)))
    };
    let (found, lang) = core.ledger.read(read).await?;
    if found.is_empty() {
        return Ok(say::rights(lang, RightsMsg::GatesNone));
    }
    let mut text = vec![say::rights(lang, RightsMsg::GatesTitle { n: found.len() })];
    for (gate, chat, who) in found.iter().take(LINES) {
        let elsewhere = everywhere && *chat != letter.message.chat;
        let chat = if elsewhere { Some(core.chat_name(&letter.row.channel, chat).await) } else { None };
        text.push(line(lang, gate, who, chat.as_deref(), now_ms));
    }
    let more = found.len().saturating_sub(LINES);
    text.extend((more > 0).then(|| say::rights(lang, RightsMsg::GatesMore { n: more })));
    Ok(text.join("\n"))
}

fn of_chat(tx: &Transaction<'_>, channel: &ChannelName, chat: &ChatId) -> Result<Vec<Gate>, LedgerError> {
    let mut open = Vec::new();
    for conversation in conversations::at_work(tx, channel, chat)? {
        open.extend(gates::open_in(tx, &conversation.id)?);
    }
    Ok(open)
}

fn line(lang: Lang, gate: &Gate, who: &str, chat: Option<&str>, now_ms: i64) -> String {
    let what = pictures::cut(&say::asked_line(&gate.ask), 80);
    let class = say::class_or_question(lang, &gate.ask, gate.class);
    let at = say::at(gate.opened_at_ms, now_ms);
    let text = say::rights(lang, RightsMsg::GateLine { number: gate.number, what: &what, class: &class, who, at });
    chat.map_or_else(|| text.clone(), |chat| format!("{text} · {chat}"))
}
