//! Who is looked at when. Messages of one chat go one after the other; but while one of them only waits for its
//! attachments, what acts on what is there already (a command, a typed decision, a stop) goes past it. What finds nothing
//! to act on waits in its place, and so do words: no message overtakes another.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tracing::warn;

use super::at_end::AtEnd;
use super::core::{Core, is_outage};
use super::prepare;
use crate::domain::command::{Command, Typed, parse};
use crate::domain::ids::*;
use crate::domain::message::Event;
use crate::ledger::inbound::{self, InboundRow};
use crate::tasks::OnExit;

/// Whether a message is looked at when it is its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    InPlace,
    /// It acts now or not at all: it has another chance in its place.
    Overtaking,
}

/// The row that each chat is at.
#[derive(Clone, Default)]
pub(super) struct Lanes(Arc<Mutex<HashMap<String, Lane>>>);

#[derive(Default)]
struct Lane {
    /// The oldest row of the chat, while it is looked at.
    at: Option<InboundSeq>,
    /// A row that is going past it.
    passing: Option<InboundSeq>,
    /// Up to here every row has had its chance to go past `at`.
    offered: Option<InboundSeq>,
}

impl Lanes {
    /// Begins with the oldest row of a chat. Nothing when its chat is busy, or the row is being looked at already.
    pub fn enter(&self, lane: &str, seq: InboundSeq) -> Option<AtEnd<impl FnOnce() + use<>>> {
        self.with(lane, |one| {
            let free = one.at.is_none() && one.passing != Some(seq);
            if free {
                (one.at, one.offered) = (Some(seq), Some(seq));
            }
            free
        })
        .then(|| self.at_end(lane, |one| one.at = None))
    }

    /// Goes on with the next row of a chat that it is at. Not when that row is going past it in this moment.
    pub fn go_on(&self, lane: &str, seq: InboundSeq) -> bool {
        self.with(lane, |one| {
            let free = one.passing != Some(seq);
            if free {
                (one.at, one.offered) = (Some(seq), Some(seq));
            }
            free
        })
    }

    /// Begins with a row behind it.
    fn pass(&self, lane: &str, seq: InboundSeq) -> Option<AtEnd<impl FnOnce() + use<>>> {
        self.with(lane, |one| {
            let free = one.passing.is_none() && one.at != Some(seq);
            if free {
                one.passing = Some(seq);
            }
            free
        })
        .then(|| self.at_end(lane, |one| one.passing = None))
    }

    /// The row that the chat is at, and the last one that had its chance to go past it. Nothing while one does.
    fn next(&self, lane: &str) -> Option<(InboundSeq, InboundSeq)> {
        self.with(lane, |one| if one.passing.is_some() { None } else { one.at.zip(one.offered) })
    }

    fn had_its_chance(&self, lane: &str, seq: InboundSeq) {
        self.with(lane, |one| one.offered = Some(seq));
    }

    fn at_end<F: FnOnce(&mut Lane)>(&self, lane: &str, then: F) -> AtEnd<impl FnOnce() + use<F>> {
        let (lanes, lane) = (self.clone(), lane.to_owned());
        AtEnd::new(move || lanes.with(&lane, then))
    }

    fn with<T>(&self, lane: &str, look: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = self.0.lock().expect("no code panics while it holds this lock");
        let one = lanes.entry(lane.to_owned()).or_default();
        let result = look(one);
        if one.at.is_none() && one.passing.is_none() {
            lanes.remove(lane);
        }
        result
    }
}

/// Rows that are certainly messages and whose quotes and attachments are being fetched: only they are overtaken. What a
/// decision comes to may depend on the one before it.
#[derive(Clone, Default)]
pub struct Fetching(Arc<Mutex<HashSet<InboundSeq>>>);

impl Fetching {
    /// Until what it gives is dropped.
    pub(super) fn begin(&self, seq: InboundSeq) -> AtEnd<impl FnOnce() + use<>> {
        let rows = Arc::clone(&self.0);
        rows.lock().expect("no code panics while it holds this lock").insert(seq);
        AtEnd::new(move || {
            rows.lock().expect("no code panics while it holds this lock").remove(&seq);
        })
    }

    fn has(&self, seq: InboundSeq) -> bool {
        self.0.lock().expect("no code panics while it holds this lock").contains(&seq)
    }
}

/// Lets the next row behind `oldest` that may go past it do so.
pub(super) async fn offer(core: &Arc<Core>, lanes: &Lanes, lane: &str, oldest: &InboundRow) -> anyhow::Result<()> {
    const BATCH: u32 = 64;
    let Some(chat) = oldest.chat.clone() else { return Ok(()) };
    while let Some((at, after)) = lanes.next(lane).filter(|(at, _)| core.fetching.has(*at)) {
        let (channel, chat) = (oldest.channel.clone(), chat.clone());
        let rows = core.ledger.read(move |tx| inbound::received_behind(tx, &channel, &chat, after, BATCH)).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            if lanes.next(lane).is_none_or(|(now, _)| now != at) {
                // The chat went on meanwhile.
                return Ok(());
            }
            lanes.had_its_chance(lane, row.seq);
            if may_overtake(core, &row) {
                go(core, lanes, lane, row.seq);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn may_overtake(core: &Core, row: &InboundRow) -> bool {
    let decoded = core.channel(&row.channel).zip(row.raw.as_deref()).map(|(channel, raw)| channel.decode(raw));
    match decoded {
        Some(Ok(decoded)) => match decoded.event {
            Event::Message(message) if !message.has_attachments() => is_urgent(&parse(&message.text())),
            _ => false,
        },
        _ => false,
    }
}

/// What is said of the present. A new conversation, another one and a released one are said of all that was sent before, too.
fn is_urgent(typed: &Typed) -> bool {
    match typed {
        Typed::Command(Command::New(_) | Command::Release) | Typed::NearMiss => false,
        Typed::Command(Command::Conversing(command)) => command.only_looks(),
        Typed::Command(_) | Typed::DidYouMean { .. } | Typed::Shortcut(_) | Typed::StopWord => true,
        // The answer to an open question; anything else waits in its place.
        Typed::Text(text) => !text.is_empty(),
    }
}

fn go(core: &Arc<Core>, lanes: &Lanes, lane: &str, seq: InboundSeq) {
    let Some(passing) = lanes.pass(lane, seq) else { return };
    let core = Arc::clone(core);
    let family = core.tasks.clone();
    family.spawn("overtake", OnExit::LogOnly, move |_| async move {
        match prepare::overtake(&core, seq).await {
            Ok(()) => {}
            Err(error) if is_outage(&error) => {}
            // It is tried again in its place, and counted there.
            Err(error) => warn!(inbound.seq = seq.0, error = %format!("{error:#}"), "A message could not overtake"),
        }
        drop(passing);
        core.wakes.intake.notify_one();
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_looked_at_by_one_task() {
        let lanes = Lanes::default();
        let [one, two, three] = [1, 2, 3].map(InboundSeq);
        let first = lanes.enter("c", one).expect("a free chat");
        assert!(lanes.enter("c", two).is_none() && lanes.enter("d", two).is_some());
        assert!(lanes.pass("c", one).is_none(), "it is the one that is overtaken");
        assert_eq!(lanes.next("c"), Some((one, one)));
        lanes.had_its_chance("c", two);
        let second = lanes.pass("c", two).expect("nobody passes");
        assert!(lanes.pass("c", three).is_none() && lanes.next("c").is_none(), "one after the other");
        drop(first);
        assert!(lanes.enter("c", two).is_none(), "it is on its way");
        drop(second);
        let again = lanes.enter("c", two).expect("it found nothing to do");
        assert_eq!(lanes.next("c"), Some((two, two)), "what is behind has another chance");
        drop(again);
        assert!(lanes.0.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_said_of_the_present_may_overtake() {
        for (typed, want) in [
            ("/stop", true),
            ("停", true),
            ("y", true),
            ("a1 d2", true),
            ("/status", true),
            ("/steer faster", true),
            ("/statsu", true),
            ("blue", true),
            ("/new", false),
            ("/new fix it", false),
            ("/release", false),
            ("/threads", true),
            ("/resume 2", false),
            ("好的", false),
            ("", false),
        ] {
            assert_eq!(is_urgent(&parse(typed)), want, "{typed}");
        }
    }
}
