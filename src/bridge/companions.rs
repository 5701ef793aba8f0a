//! Files, pictures and forwards without words: they wait for the words that say what to do with them.
//!
//! All of it follows from the waiting rows and the clock, so that a crash forgets nothing: a burst is told once that words
//! are missing, [`HINT_MS`] after its last piece, and ends refused after [`COMPANION_MS`], which is said as well. What
//! waits with late words ends with them, or is free again when they took nothing along.
//!
//! Words start at once, so they have mostly been handed to the runtime when the next picture comes, and nothing can be
//! added to a turn that runs. What comes around words joins them while their turn is still queued; otherwise it waits for
//! the next words, like everything else without any.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::actions::Person;
use super::core::Core;
use super::gather::{self, Gathered};
use super::intake::notice;
use super::pictures::Frame;
use super::prepare::{Letter, mark, receipt};
use super::{prepare, prompts, say};
use crate::domain::access::Role;
use crate::domain::command::for_agent;
use crate::domain::delivery::Target;
use crate::domain::ids::*;
use crate::domain::message::{Event, IncomingMessage, Part};
use crate::domain::turn::TurnState;
use crate::domain::view::Receipt;
use crate::ledger::inbound::{COMPANION, COMPANION_TOLD, InboundRow, InboundState};
use crate::ledger::turns::Turn;
use crate::ledger::{LedgerError, Transaction, conversations, inbound, turns};
use crate::words::NoticeMsg;

/// How long something without words waits for them.
pub const COMPANION_MS: i64 = 10 * 60 * 1000;
/// So much later the person is told that words are missing.
pub const HINT_MS: i64 = 8_000;
/// What was sent so soon after the words belongs to them: phones send what was picked together as single events.
pub const TOGETHER_MS: i64 = 600;

/// A stored message with what it says.
pub(super) type Stored = (InboundRow, IncomingMessage);

/// Whether it waits for words, instead of being nothing that could be used.
pub(super) fn can_wait(message: &IncomingMessage) -> bool {
    message.content.iter().any(|part| matches!(part, Part::Image { .. } | Part::File { .. } | Part::Forward))
}

pub(super) fn read(core: &Core, row: InboundRow) -> Option<Stored> {
    let decoded = core.channel(&row.channel)?.decode(row.raw.as_deref()?).ok()?;
    match decoded.event {
        Event::Message(message) => Some((row, message)),
        _ => None,
    }
}

/// Of the same topic, or both outside of any. A topic's id is sometimes missing; its root never is.
pub(super) fn same_place(a: &IncomingMessage, b: &IncomingMessage) -> bool {
    a.chat == b.chat && (a.topic == b.topic || (a.root.is_some() && a.root == b.root))
}

fn same_burst(a: &Stored, b: &Stored) -> bool {
    a.0.channel == b.0.channel && a.0.sender == b.0.sender && same_place(&a.1, &b.1)
}

// ------------------------------------------------------------------------------------------------ it comes

/// Something without words came: it joins the words that it was sent with, or waits for some.
pub(super) async fn came(core: &Arc<Core>, letter: Letter) -> anyhow::Result<()> {
    let joined = match words_around(core, &letter).await? {
        Some(Words::Queued(words)) => join(core, &letter, *words).await?,
        Some(Words::Late(words)) => bind(core, &letter, words).await?,
        None => false,
    };
    if !joined {
        wait(core, letter).await?;
    }
    core.wakes.painter.notify_one();
    Ok(())
}

enum Words {
    Queued(Box<(Turn, Stored)>),
    /// They are late themselves, and their sender is asked whether they are still wanted.
    Late(InboundSeq),
}

/// The newest words of this person in this place that it was sent with, or, delivered out of order, not long before.
async fn words_around(core: &Core, letter: &Letter) -> Result<Option<Words>, LedgerError> {
    let (channel, chat) = (letter.row.channel.clone(), letter.message.chat.clone());
    let rows = core
        .ledger
        .read(move |tx| {
            let mut rows = inbound::waiting(tx, &channel, &chat, "late")?;
            rows.extend(inbound::of_queued_turns(tx, &channel, &chat)?);
            Ok(rows)
        })
        .await?;
    let sent = letter.message.sent_at_ms;
    let mut around: Vec<Stored> = rows
        .into_iter()
        .filter(|row| row.sender.as_ref() == Some(&letter.person.user))
        .filter_map(|row| read(core, row))
        .filter(|(_, words)| !words.text().is_empty() && same_place(words, &letter.message))
        .filter(|(_, words)| (words.sent_at_ms - COMPANION_MS..=words.sent_at_ms + TOGETHER_MS).contains(&sent))
        .collect();
    around.sort_by_key(|(row, words)| (words.sent_at_ms, row.seq));
    let Some(words) = around.pop() else { return Ok(None) };
    let Some(turn) = words.0.turn.clone() else { return Ok(Some(Words::Late(words.0.seq))) };
    let turn = core.ledger.read(move |tx| turns::get(tx, &turn)).await?;
    // The prompt of *Continue* is not that of its message.
    let whole = turn.state == TurnState::Queued && turn.continues.is_none();
    Ok(whole.then(|| Words::Queued(Box::new((turn, words)))))
}

/// Makes a queued turn's prompt anew with one piece more. False when the turn was not queued any more.
async fn join(core: &Core, letter: &Letter, words: (Turn, Stored)) -> Result<bool, LedgerError> {
    let (turn, (row, message)) = words;
    let id = turn.id.clone();
    let others = core.ledger.read(move |tx| inbound::of_turn(tx, &id)).await?;
    let mut pieces: Vec<Stored> =
        others.into_iter().filter(|other| other.seq != row.seq).filter_map(|other| read(core, other)).collect();
    // The first one over the limit is named in the prompt and to its sender. More would only make that prompt again.
    if pieces.len() > core.config.limits.attachments {
        let limit = most(core);
        return refuse(core, letter, NoticeMsg::TooManyFiles { limit }).await.map(|()| true);
    }
    pieces.push((letter.row.clone(), letter.message.clone()));
    let gathered = {
        let _fetching = prepare::fetching(core, letter);
        anew(core, &turn, (row, message), pieces, letter.person.role).await?
    };
    let (frame, letter) = (core.frame(&letter.row.channel), letter.clone());
    let joined = core
        .ledger
        .write(move |tx| {
            let seq = letter.row.seq;
            if inbound::get(tx, seq)?.state != InboundState::Received {
                return Ok(true);
            }
            let now = turns::get(tx, &turn.id)?;
            if now.state != TurnState::Queued || now.version != turn.version {
                return Ok(false);
            }
            turns::replace_prompt(tx, &now, &prompts::made_anew(&now.prompt, gathered.prompt), &now.title)?;
            inbound::resolve(tx, seq, InboundState::Turn, None, Some(&turn.id))?;
            let conversation = conversations::get(tx, &turn.conversation)?;
            let waits = conversation.held.is_some() || turns::active(tx, &conversation.id)?.is_some();
            receipt(tx, &frame, &letter, if waits { Receipt::Queued } else { Receipt::Accepted })?;
            for (_, text) in gathered.notices.into_iter().filter(|(about, _)| *about == seq) {
                let (channel, conversation) = (&letter.row.channel, &conversation);
                let target = letter.reply();
                notice(tx, channel, target, Some(&conversation.id), None, text, conversation.lang, frame.now_ms)?;
            }
            Ok(true)
        })
        .await?;
    core.wakes.outbox.notify_one();
    Ok(joined)
}

/// What the prompt of a queued turn is with these pieces beside its words.
async fn anew(
    core: &Core,
    turn: &Turn,
    (row, message): Stored,
    pieces: Vec<Stored>,
    role: Role,
) -> Result<Gathered, LedgerError> {
    let text = for_agent(&message.text());
    let person = Person { user: turn.requester.clone(), name: turn.requester_name.clone(), role };
    gather::gather(core, &Letter { row, message, person, text }, pieces).await
}

/// A queued turn, as it was read, with its prompt without a message that goes. Nothing where that message is the words
/// themselves, or where it is no part of a queued turn.
pub(super) async fn without(core: &Core, gone: &InboundRow) -> Result<Option<(Turn, String)>, LedgerError> {
    let Some(turn) = gone.turn.clone() else { return Ok(None) };
    let read_both = move |tx: &Transaction<'_>| Ok((turns::get(tx, &turn)?, inbound::of_turn(tx, &turn)?));
    let (turn, rows) = core.ledger.read(read_both).await?;
    // The prompt of *Continue* is not that of its message: the runtime knows the piece already.
    if turn.state != TurnState::Queued || turn.reply_to == gone.message || turn.continues.is_some() {
        return Ok(None);
    }
    let rest = rows.into_iter().filter(|row| row.seq != gone.seq).filter_map(|row| read(core, row));
    let (mut words, pieces): (Vec<Stored>, Vec<Stored>) = rest.partition(|(row, _)| row.message == turn.reply_to);
    let Some(words) = words.pop() else { return Ok(None) };
    let role = core.access(&gone.channel).role(
        &turn.requester,
        words.1.sender.tenant.as_deref(),
        Some(&words.1.chat),
        words.1.chat_kind,
    );
    let gathered = anew(core, &turn, words, pieces, role).await?;
    let prompt = prompts::made_anew(&turn.prompt, gathered.prompt);
    Ok(Some((turn, prompt)))
}

/// What one person may have waiting in a chat: no task takes more along.
fn most(core: &Core) -> u32 {
    u32::try_from(core.config.limits.attachments).unwrap_or(u32::MAX)
}

/// Whether one more may wait; if not, it is refused.
fn may_wait(tx: &Transaction<'_>, frame: &Frame, letter: &Letter, most: u32) -> Result<bool, LedgerError> {
    let (channel, chat) = (&letter.row.channel, &letter.message.chat);
    let waiting = inbound::waiting_for_words_of(tx, channel, chat, &letter.person.user, most)?;
    if waiting.len() < most as usize {
        return Ok(true);
    }
    prepare::refuse(tx, frame, None, letter, NoticeMsg::CompanionsFull { limit: most })?;
    Ok(false)
}

async fn refuse(core: &Core, letter: &Letter, why: NoticeMsg<'static>) -> Result<(), LedgerError> {
    let (frame, letter) = (core.frame(&letter.row.channel), letter.clone());
    core.ledger
        .write(move |tx| match inbound::get(tx, letter.row.seq)?.state {
            InboundState::Received => prepare::refuse(tx, &frame, None, &letter, why),
            _ => Ok(()),
        })
        .await?;
    core.wakes.outbox.notify_one();
    Ok(())
}

/// Goes the way of late words: with them when they are wanted, cancelled with them when not.
async fn bind(core: &Core, letter: &Letter, words: InboundSeq) -> Result<bool, LedgerError> {
    let (frame, letter, most) = (core.frame(&letter.row.channel), letter.clone(), most(core));
    let bound = core
        .ledger
        .write(move |tx| {
            let words = inbound::get(tx, words)?;
            if words.state != InboundState::Waiting || inbound::get(tx, letter.row.seq)?.state != InboundState::Received
            {
                return Ok(false);
            }
            if !may_wait(tx, &frame, &letter, most)? {
                return Ok(true);
            }
            inbound::resolve(tx, letter.row.seq, InboundState::Waiting, Some(&inbound::bound_to(words.seq)), None)?;
            receipt(tx, &frame, &letter, Receipt::Waiting)?;
            Ok(true)
        })
        .await?;
    core.wakes.outbox.notify_one();
    Ok(bound)
}

async fn wait(core: &Core, letter: Letter) -> Result<(), LedgerError> {
    let (frame, most) = (core.frame(&letter.row.channel), most(core));
    core.ledger
        .write(move |tx| {
            if inbound::get(tx, letter.row.seq)?.state != InboundState::Received
                || !may_wait(tx, &frame, &letter, most)?
            {
                return Ok(());
            }
            inbound::resolve(tx, letter.row.seq, InboundState::Waiting, Some(COMPANION), None)?;
            receipt(tx, &frame, &letter, Receipt::Accepted)
        })
        .await?;
    core.wakes.companions.notify_one();
    core.wakes.outbox.notify_one();
    Ok(())
}

// ------------------------------------------------------------------------------------------------ words come

/// What waits for these words: the same person's, here, not long before them, and what was bound to them when they were
/// late.
pub(super) async fn waiting_for(core: &Core, letter: &Letter) -> Result<Vec<Stored>, LedgerError> {
    let bound = inbound::bound_to(letter.row.seq);
    let (channel, chat, user) = (letter.row.channel.clone(), letter.message.chat.clone(), letter.person.user.clone());
    let most = most(core);
    let rows = core.ledger.read(move |tx| inbound::waiting_for_words_of(tx, &channel, &chat, &user, most)).await?;
    let (own, free): (Vec<Stored>, Vec<Stored>) = rows
        .into_iter()
        .filter_map(|row| read(core, row))
        .partition(|(row, _)| row.reason.as_deref() == Some(bound.as_str()));
    let free = free.into_iter().filter(|(row, message)| is_free(row) && same_place(message, &letter.message)).collect();
    // By the platform's clock alone: while ally was down, what was sent together came together.
    let near = |burst: &Burst| burst.0.iter().any(|(_, m)| letter.message.sent_at_ms - m.sent_at_ms <= COMPANION_MS);
    Ok(own.into_iter().chain(bursts(free).into_iter().filter(near).flat_map(|burst| burst.0)).collect())
}

fn is_free(row: &InboundRow) -> bool {
    matches!(row.reason.as_deref(), Some(COMPANION | COMPANION_TOLD))
}

/// Words that are late themselves take along what waits for them, until it is known whether they are wanted.
pub(super) fn bind_all(
    tx: &Transaction<'_>,
    words: InboundSeq,
    companions: &[InboundSeq],
    now_ms: i64,
) -> Result<(), LedgerError> {
    for seq in companions {
        let row = inbound::get(tx, *seq)?;
        if row.state == InboundState::Waiting {
            inbound::resolve(tx, *seq, InboundState::Waiting, Some(&inbound::bound_to(words)), None)?;
            mark(tx, &row, Receipt::Waiting, now_ms)?;
        }
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------ no words come

/// What one person sent without words in one go, oldest first. Never empty.
struct Burst(Vec<Stored>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Hint,
    Drop,
    At(i64),
}

impl Burst {
    fn newest_ms(&self) -> i64 {
        self.0.iter().map(|(row, _)| row.received_at_ms).max().unwrap_or_default()
    }

    fn due(&self, now_ms: i64) -> Due {
        let told = self.0.iter().any(|(row, _)| row.reason.as_deref() == Some(COMPANION_TOLD));
        let (hint, end) = (self.newest_ms() + HINT_MS, self.newest_ms() + COMPANION_MS);
        match now_ms {
            now if now >= end => Due::Drop,
            now if now >= hint && !told => Due::Hint,
            _ => Due::At(if told { end } else { hint }),
        }
    }
}

/// What came within the time of a hint after its forerunner is told and ended together with it.
fn bursts(mut rows: Vec<Stored>) -> Vec<Burst> {
    rows.sort_by_key(|(row, _)| (row.received_at_ms, row.seq));
    let mut bursts: Vec<Burst> = Vec::new();
    for row in rows {
        let near = |last: &Stored| same_burst(last, &row) && row.0.received_at_ms - last.0.received_at_ms <= HINT_MS;
        match bursts.iter_mut().find(|burst| burst.0.last().is_some_and(near)) {
            Some(burst) => burst.0.push(row),
            None => bursts.push(Burst(vec![row])),
        }
    }
    bursts
}

/// How long nothing is tried while the ledger takes no writes.
const OUTAGE_WAIT: Duration = Duration::from_secs(1);

/// Tells and ends bursts when their time has come, until `cancel`.
pub async fn run(core: Arc<Core>, cancel: CancellationToken) -> anyhow::Result<()> {
    while !cancel.is_cancelled() {
        let wait = match look(&core).await {
            Ok(wait) => wait,
            // The ledger says it itself.
            Err(error) if error.is_outage() => OUTAGE_WAIT,
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            () = cancel.cancelled() => break,
            () = core.wakes.companions.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(())
}

/// Does what is due, and says when to look again.
async fn look(core: &Arc<Core>) -> Result<Duration, LedgerError> {
    // The clock may jump (a test, or the machine's sleep), and a lost wake-up must not hold anything back for long.
    const AT_MOST: Duration = Duration::from_secs(1);
    const NOTHING_WAITS: Duration = Duration::from_secs(30);
    let mut rows = core.ledger.read(inbound::waiting_for_words).await?;
    if rows.iter().any(|row| row.bound_to().is_some()) {
        unbind(core).await?;
        rows = core.ledger.read(inbound::waiting_for_words).await?;
    }
    let waiting = rows.into_iter().filter(is_free).filter_map(|row| read(core, row)).collect();
    let mut wait = NOTHING_WAITS;
    for burst in bursts(waiting) {
        // The time that ally was down is not counted: the words may still be on their way.
        let now = core.now_ms() - core.down_within(burst.newest_ms(), core.now_ms());
        let left = match burst.due(now) {
            Due::At(at) => Duration::from_millis(u64::try_from(at - now).unwrap_or(0)),
            due => {
                tell(core, burst, due).await?;
                AT_MOST
            }
        };
        wait = wait.min(left.min(AT_MOST));
    }
    Ok(wait)
}

/// What became of late words, for what waits with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nobody has said yet whether they are wanted, or they are on their way.
    Open,
    /// They took nothing along (a command, a decision, a steer): it waits for other words.
    Free,
    /// They ended, and so does what came with them.
    Ended,
}

fn fate(words: InboundState) -> Fate {
    match words {
        InboundState::Received | InboundState::Waiting => Fate::Open,
        InboundState::Turn | InboundState::Command | InboundState::Decision => Fate::Free,
        InboundState::Refused | InboundState::Cancelled => Fate::Ended,
    }
}

/// Rows that wait with late words that are over. In here and not where words end: those places are many.
async fn unbind(core: &Arc<Core>) -> Result<(), LedgerError> {
    let over = |tx: &Transaction<'_>| {
        let mut over = Vec::new();
        for row in inbound::waiting_for_words(tx)? {
            let Some(words) = row.bound_to() else { continue };
            let fate = fate(inbound::get(tx, words)?.state);
            if fate != Fate::Open {
                over.push((row, fate));
            }
        }
        Ok(over)
    };
    if core.ledger.read(over).await?.is_empty() {
        return Ok(());
    }
    let now_ms = core.now_ms();
    core.ledger
        .write(move |tx| {
            for (row, fate) in over(tx)? {
                let (state, reason, shown) = match fate {
                    Fate::Ended => (InboundState::Cancelled, "its words ended", Receipt::Failed),
                    _ => (InboundState::Waiting, COMPANION, Receipt::Accepted),
                };
                inbound::resolve(tx, row.seq, state, Some(reason), None)?;
                mark(tx, &row, shown, now_ms)?;
            }
            Ok(())
        })
        .await?;
    core.wakes.painter.notify_one();
    Ok(())
}

async fn tell(core: &Arc<Core>, burst: Burst, due: Due) -> Result<(), LedgerError> {
    let Some((last, message)) = burst.0.last().cloned() else { return Ok(()) };
    let frame = core.frame(&last.channel);
    core.ledger
        .write(move |tx| {
            if inbound::is_expected(tx, &last.channel, &message.chat)? {
                // What was committed and not looked at yet may be the words.
                return Ok(());
            }
            let mut rows = Vec::new();
            for (row, _) in burst.0 {
                rows.push(inbound::get(tx, row.seq)?);
            }
            rows.retain(|row| row.state == InboundState::Waiting && is_free(row));
            if rows.is_empty() {
                return Ok(());
            }
            let (state, reason, shown, msg) = match due {
                Due::Drop => (InboundState::Refused, "no words came", Receipt::Failed, NoticeMsg::CompanionDropped),
                _ => (InboundState::Waiting, COMPANION_TOLD, Receipt::Waiting, NoticeMsg::WaitingForText),
            };
            for row in &rows {
                inbound::resolve(tx, row.seq, state, Some(reason), None)?;
                mark(tx, row, shown, frame.now_ms)?;
            }
            info!(channel = %last.channel, rows = rows.len(), what = reason, "Something without words");
            let target = Target {
                chat: message.chat.clone(),
                reply_to: last.message.clone(),
                in_topic: message.topic.is_some(),
            };
            notice(tx, &last.channel, target, None, None, say::notice(frame.lang, msg), frame.lang, frame.now_ms)
        })
        .await?;
    core.wakes.outbox.notify_one();
    core.wakes.painter.notify_one();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{ChatKind, Sender};

    fn piece(seq: i64, user: &str, topic: Option<&str>, at_ms: i64, reason: &str) -> Stored {
        let row = InboundRow {
            seq: InboundSeq(seq),
            channel: ChannelName::new("feishu"),
            state: InboundState::Waiting,
            reason: Some(reason.to_owned()),
            chat: Some("oc_1".into()),
            in_group: false,
            message: Some(MessageId::new(format!("om_{seq}"))),
            sender: Some(user.into()),
            raw: None,
            sent_at_ms: Some(at_ms),
            received_at_ms: at_ms,
            turn: None,
            steer: None,
            steer_text: None,
        };
        let message = IncomingMessage {
            message: MessageId::new(format!("om_{seq}")),
            chat: "oc_1".into(),
            chat_kind: ChatKind::Direct,
            root: None,
            parent: None,
            topic: topic.map(Into::into),
            sender: Sender { user: user.into(), tenant: None, is_person: true },
            content: vec![Part::Image { key: "img".into() }],
            mentions_bot: false,
            mentions_all: false,
            mentions: Vec::new(),
            sent_at_ms: at_ms,
        };
        (row, message)
    }

    fn seqs(bursts: &[Burst]) -> Vec<Vec<i64>> {
        bursts.iter().map(|burst| burst.0.iter().map(|(row, _)| row.seq.0).collect()).collect()
    }

    #[test]
    fn what_waits_with_words_never_waits_for_ever() {
        let bound = |seq| piece(2, "ann", None, 0, &inbound::bound_to(InboundSeq(seq))).0;
        assert_eq!(bound(71).bound_to(), Some(InboundSeq(71)));
        assert_eq!(piece(2, "ann", None, 0, COMPANION_TOLD).0.bound_to(), None);
        for (words, want) in [
            (InboundState::Received, Fate::Open),
            (InboundState::Waiting, Fate::Open),
            (InboundState::Turn, Fate::Free),
            (InboundState::Command, Fate::Free),
            (InboundState::Decision, Fate::Free),
            (InboundState::Refused, Fate::Ended),
            (InboundState::Cancelled, Fate::Ended),
        ] {
            assert_eq!(fate(words), want, "{words:?}");
        }
    }

    #[test]
    fn a_burst_is_one_person_in_one_place_without_a_pause() {
        let rows = vec![
            piece(1, "ann", None, 0, COMPANION),
            piece(2, "ben", None, 100, COMPANION),
            piece(3, "ann", None, 300, COMPANION),
            piece(4, "ann", Some("omt_1"), 400, COMPANION),
            piece(5, "ann", None, 300 + HINT_MS, COMPANION),
            piece(6, "ann", None, 301 + 2 * HINT_MS, COMPANION),
        ];
        assert_eq!(seqs(&bursts(rows)), [vec![1, 3, 5], vec![2], vec![4], vec![6]]);
    }

    #[test]
    fn a_burst_is_told_once_and_ends() {
        let burst = |reasons: [&str; 2]| {
            Burst(vec![piece(1, "ann", None, 0, reasons[0]), piece(2, "ann", None, 1_000, reasons[1])])
        };
        let (quiet, told) = ([COMPANION, COMPANION], [COMPANION_TOLD, COMPANION]);
        let (hint, end) = (1_000 + HINT_MS, 1_000 + COMPANION_MS);
        for (reasons, now, want) in [
            (quiet, 1_000, Due::At(hint)),
            (quiet, hint - 1, Due::At(hint)),
            (quiet, hint, Due::Hint),
            (told, hint, Due::At(end)),
            (told, end, Due::Drop),
            (quiet, end, Due::Drop),
            // The clock went back.
            (quiet, -50_000, Due::At(hint)),
        ] {
            assert_eq!(burst(reasons).due(now), want, "{reasons:?} at {now}");
        }
    }
}
