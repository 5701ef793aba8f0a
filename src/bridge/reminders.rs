//! Requests that nobody answers: one reminder to those who may decide, later a word on the card that nothing will happen
//! by itself. No time decides anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::core::{Core, is_outage};
use super::pictures::{self, Frame};
use super::say;
use crate::crash;
use crate::domain::delivery::{Body, Target};
use crate::domain::gate::GateState;
use crate::domain::ids::*;
use crate::domain::message::ChatKind;
use crate::domain::view::{NoticeView, View};
use crate::ledger::conversations::Conversation;
use crate::ledger::gates::Gate;
use crate::ledger::messages::{self, NewMessage};
use crate::ledger::surfaces::{self, SurfaceKind};
use crate::ledger::{LedgerError, Transaction, conversations, gates, turns};

/// After this long a request is called paused.
const PAUSE_MS: i64 = 2 * 3_600_000;
/// A request that still waits after this long is reminded of once more.
const AGAIN_MS: i64 = 7 * 86_400_000;
/// The platform's cards can be changed and pressed for fourteen days: what waits gets another one before.
const REISSUE_MS: i64 = 13 * 86_400_000;
/// How often it is looked at most, and while anything waits: nobody counts these minutes.
const EVERY: Duration = Duration::from_secs(5);
/// Where nothing waits, unless something new is to be seen: other cards grow old, too.
const LONGEST: Duration = Duration::from_secs(600);

pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    while core.until_writable(&cancel).await {
        let rest = look(&core).await.unwrap_or_else(|error| {
            let error = anyhow::Error::from(error);
            if !is_outage(&error) {
                warn!(error = %format!("{error:#}"), "Could not look after open requests");
            }
            EVERY
        });
        let woken = async {
            tokio::select! {
                () = core.wakes.reminders.notified() => {}
                () = core.clock.sleep(rest - EVERY) => {}
            }
            tokio::time::sleep(EVERY).await;
        };
        let _ = cancel.run_until_cancelled(woken).await;
    }
    Ok(())
}

/// Does what is due, and gives how long nothing will be.
async fn look(core: &Core) -> Result<Duration, LedgerError> {
    let waiting = core.ledger.read(gates::waiting).await?;
    let now = core.now_ms();
    let after = core.config.remind_after.map(|after| after.as_millis() as i64);
    let waits = |gate: &Gate| gate.shown_at_ms.map_or(0, |shown| now - shown);
    let remind = |gate: &Gate| {
        let due = |since: i64| after.is_some() && waits(gate) >= since;
        match gate.reminded_at_ms {
            None => after.is_some_and(due),
            Some(at) => gate.shown_at_ms.is_some_and(|shown| at - shown < AGAIN_MS) && due(AGAIN_MS),
        }
    };
    let pause = |gate: &Gate| gate.paused_at_ms.is_none() && waits(gate) >= PAUSE_MS;
    reissue(core, now).await?;
    if waiting.is_empty() {
        return Ok(LONGEST);
    }
    if !waiting.iter().any(|gate| remind(gate) || pause(gate)) {
        return Ok(EVERY);
    }
    let paused: Vec<GateId> = waiting.iter().filter(|gate| pause(gate)).map(|gate| gate.id.clone()).collect();
    let reminded: Vec<Gate> = waiting.iter().filter(|gate| remind(gate)).cloned().collect();
    let frames: Vec<Frame> = core.channels.keys().map(|name| core.frame(name)).collect();
    crash::point("reminder.before");
    core.ledger
        .write(move |tx| {
            for id in paused {
                let gate = gates::get(tx, &id)?;
                if gate.state != GateState::Open {
                    continue;
                }
                gates::paused(tx, &id, now)?;
                let gate = gates::get(tx, &id)?;
                let conversation = conversations::get(tx, &gate.conversation)?;
                if let Some(frame) = frames.iter().find(|frame| frame.channel == conversation.channel) {
                    pictures::gate(tx, frame, &gate)?;
                }
            }
            let mut chats: BTreeMap<(ChannelName, ChatId), Vec<(Conversation, Gate)>> = BTreeMap::new();
            for gate in reminded {
                // Somebody may have decided it meanwhile.
                let gate = gates::get(tx, &gate.id)?;
                if gate.state != GateState::Open {
                    continue;
                }
                let conversation = conversations::get(tx, &gate.conversation)?;
                let chat = (conversation.channel.clone(), conversation.chat.clone());
                chats.entry(chat).or_default().push((conversation, gate));
            }
            for ((channel, _), of_chat) in chats {
                if let Some(frame) = frames.iter().find(|frame| frame.channel == channel) {
                    remind_chat(tx, frame, &of_chat)?;
                }
            }
            Ok(())
        })
        .await?;
    crash::point("reminder.after");
    core.wakes.painter.notify_one();
    core.wakes.outbox.notify_one();
    Ok(EVERY)
}

/// Cards that soon nobody could press or change any more: another one takes their place, and they say so.
async fn reissue(core: &Core, now: i64) -> Result<(), LedgerError> {
    let old = core.ledger.read(move |tx| surfaces::waiting_since(tx, now - REISSUE_MS)).await?;
    for card in old {
        info!(surface.id = %card.id, "A request has waited for long; its card is sent anew");
        core.ledger
            .write(move |tx| {
                let text = say::card_moved(card.lang);
                let moved = View::Notice(NoticeView { text, buttons: Vec::new() });
                surfaces::reissue(tx, &card, &moved, now)
            })
            .await?;
        core.wakes.painter.notify_one();
    }
    Ok(())
}

/// One reminder for all that waits in a chat, as an answer to the first card.
fn remind_chat(tx: &Transaction<'_>, frame: &Frame, waiting: &[(Conversation, Gate)]) -> Result<(), LedgerError> {
    let Some((conversation, first)) = waiting.first() else { return Ok(()) };
    // Requests of several topics may have the same number: each line is about one group of deciders.
    let (mut lines, mut mention): (Vec<(String, String, i64)>, Vec<UserId>) = Default::default();
    for (conversation, gate) in waiting {
        let (names, people) = frame.deciders(tx, conversation, gate, &turns::get(tx, &gate.turn)?)?;
        mention.extend(people.into_iter().filter(|user| !mention.contains(user)).collect::<Vec<_>>());
        match lines.iter_mut().find(|(_, of, _)| *of == names) {
            Some((numbers, ..)) => *numbers = format!("{numbers} #{}", gate.number),
            None => lines.push((format!("#{}", gate.number), names, gate.opened_at_ms)),
        }
    }
    let lines = lines
        .iter()
        .map(|(numbers, names, since_ms)| say::reminder(conversation.lang, numbers, names, *since_ms, frame.now_ms));
    let text = lines.collect::<Vec<_>>().join("\n");
    under_card(tx, frame, first, text, mention.into_iter().next())?;
    waiting.iter().try_for_each(|(_, gate)| gates::reminded(tx, &gate.id, frame.now_ms))
}

/// Words about a request, as an answer to its card: a card that changes rings nowhere. In a group somebody is mentioned.
pub(super) fn under_card(
    tx: &Transaction<'_>,
    frame: &Frame,
    gate: &Gate,
    text: String,
    mention: Option<UserId>,
) -> Result<(), LedgerError> {
    let conversation = conversations::get(tx, &gate.conversation)?;
    let turn = turns::get(tx, &gate.turn)?;
    let card = surfaces::find(tx, SurfaceKind::Gate, gate.card.as_str())?.and_then(|card| card.platform_id);
    let asked_in = pictures::target_of(&conversation, &turn);
    let target = Target { reply_to: card.map(MessageId::from).or(asked_in.reply_to.clone()), ..asked_in };
    let in_group = conversation.chat_kind == ChatKind::Group;
    let body = Body::Answer { markdown: text, part: 1, parts: 1, footer: None, mention: mention.filter(|_| in_group) };
    let new = NewMessage {
        conversation: Some(conversation.id),
        turn: None,
        channel: conversation.channel,
        target,
        body,
        lang: conversation.lang,
        after: None,
        sending: None,
    };
    messages::insert(tx, &new, frame.now_ms).map(|_| ())
}
