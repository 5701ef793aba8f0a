//! A card that is sent to be pressed: whether a click comes all the way back to the ledger. For `ally doctor --press`.

use super::actions::{Performed, Person, Told};
use super::core::{Core, fresh_button};
use super::pictures::{self, Frame};
use crate::domain::action::Action;
use crate::domain::ids::*;
use crate::domain::view::{ButtonRole, Lang};
use crate::ledger::surfaces::{self, SurfaceKind};
use crate::ledger::{LedgerError, Transaction, conversations, inbound, said};
use crate::words::DoctorMsg;

/// What became of such a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// It is there.
    pub shown: bool,
    /// It will not be there.
    pub given_up: bool,
    /// The click came.
    pub pressed: bool,
}

/// Wants the card in the owner's direct chat. Its name; nothing where the owner cannot be reached on the channel.
pub async fn send(core: &Core, channel: &ChannelName) -> Result<Option<String>, LedgerError> {
    let (frame, name) = (core.frame(channel), fresh_button().to_string());
    let subject = subject_of(&name);
    let unknown = frame.access.owner.as_ref().and_then(|owner| core.channel(channel)?.chat_with(owner));
    let wanted = core.ledger.write(move |tx| {
        let Some(owner) = &frame.access.owner else { return Ok(None) };
        let Some(home) = inbound::direct_chat_of(tx, &frame.channel, owner)?.or(unknown) else { return Ok(None) };
        let conversation = conversations::newest_of_chat(tx, &frame.channel, &home)?;
        let lang = conversation.map_or(frame.lang, |conversation| conversation.lang);
        let offered = [(ButtonRole::Continue, Action::CheckUp { name: name.clone() })];
        pictures::notice_at(tx, &frame, home, lang, &subject, DoctorMsg::PressAsk.text(lang), &offered)?;
        Ok(Some(name))
    });
    let wanted = wanted.await?;
    core.wakes.painter.notify_one();
    Ok(wanted)
}

/// How far it has come; nothing where there is no such card.
pub async fn state(core: &Core, name: &str) -> Result<Option<Sent>, LedgerError> {
    let subject = subject_of(name);
    let read = move |tx: &Transaction<'_>| {
        let card = surfaces::find(tx, SurfaceKind::Notice, &subject)?;
        let pressed = said::was_said(tx, &subject)?;
        Ok(card.map(|card| Sent { shown: card.platform_id.is_some(), given_up: card.is_gone && !pressed, pressed }))
    };
    core.ledger.read(read).await
}

/// The click came.
pub(super) fn pressed(
    tx: &Transaction<'_>,
    frame: &Frame,
    name: &str,
    person: &Person,
) -> Result<Performed, LedgerError> {
    if frame.access.owner.as_ref() != Some(&person.user) {
        return Ok(Performed::told(Told::NoLongerValid));
    }
    let subject = subject_of(name);
    said::first_time(tx, &subject, frame.now_ms)?;
    let lang: Lang = surfaces::find(tx, SurfaceKind::Notice, &subject)?.map_or(frame.lang, |card| card.lang);
    let remark = format!("{} · {}", DoctorMsg::PressCame.text(lang), person.name);
    pictures::question_over(tx, frame, &subject, &remark)?;
    Ok(Performed::told(Told::CameBack))
}

fn subject_of(name: &str) -> String {
    format!("checkup:{name}")
}
