//! Notices that a turn shows no sign of life, that its model cannot be reached, or that it does not heed a stop, and asks the
//! chat. Waiting for a person stops its clock.

use tracing::warn;

use super::*;
use crate::ledger::conversations;

/// The watchdog's memory. Waiting on a person stops its clock.
pub(super) struct Watch {
    pub(super) last_sign_ms: i64,
    pub(super) asked: bool,
    /// The chat was asked about a model that cannot be reached.
    pub(super) told_unreachable: bool,
    /// Somebody said to wait on.
    pub(super) patient_since_ms: i64,
    pub(super) asks: u32,
    pub(super) patience: Option<String>,
}

impl Watch {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            last_sign_ms: now_ms,
            asked: false,
            told_unreachable: false,
            patient_since_ms: 0,
            asks: 0,
            patience: None,
        }
    }
}

impl Follow {
    /// Where the clock was set back, so is all that was noted by it: else nothing would be painted, noticed or tried again
    /// for as long.
    pub(super) fn keep_time(&mut self) {
        let now = self.core.now_ms();
        let set_back = self.ticked_at_ms - now;
        self.ticked_at_ms = now;
        if set_back <= 0 {
            return;
        }
        let (watch, seen) = (&mut self.watch, &mut self.seen);
        let always = [
            &mut self.heard_at_ms,
            &mut watch.last_sign_ms,
            &mut watch.patient_since_ms,
            &mut seen.painted_at_ms,
            &mut seen.saved_at_ms,
        ];
        let maybe = [
            &mut self.turn.submitted_at_ms,
            &mut self.retry_at_ms,
            &mut self.stop_seen_at_ms,
            &mut self.interrupted_at_ms,
            &mut seen.unreachable_since_ms,
        ];
        for at in always.into_iter().chain(maybe.into_iter().flatten()) {
            *at -= set_back;
        }
    }

    pub(super) async fn watchdog(&mut self) -> anyhow::Result<bool> {
        let now = self.core.now_ms();
        if let Some(at) = self.stop_seen_at_ms {
            if now - at >= INTERRUPT_MS {
                return self.give_up().await;
            }
            return Ok(false);
        }
        if self.on_person {
            self.watch.last_sign_ms = now;
            return Ok(false);
        }
        let config = &self.core.config;
        if self.took_too_long(now).await? {
            let (id, stop) =
                (self.turn.id.clone(), Stop { reason: StopReason::Watchdog, by: Some("ally".to_owned()), at_ms: now });
            self.core.ledger.write(move |tx| turns::request_stop(tx, &id, &stop)).await?;
            return Ok(self.heed_wishes().await?);
        }
        let in_tool = self.seen.progress.steps.iter().any(|step| step.state == StepState::Running);
        let limit = if in_tool { config.tool_timeout } else { config.idle_timeout }.as_millis() as i64;
        let silent = now - self.watch.last_sign_ms >= limit;
        let lang = self.conversation.lang;
        if let Some(since) = self.seen.unreachable_since_ms {
            let long = now - since.max(self.watch.patient_since_ms) >= UNREACHABLE_MS;
            if long && !self.watch.told_unreachable {
                self.ask(say::unreachable(lang, since, now)).await?;
                self.watch.told_unreachable = true;
            }
        } else {
            self.watch.told_unreachable = false;
        }
        if silent && !self.watch.asked {
            self.ask(say::silent(lang, (now - self.watch.last_sign_ms) / 60_000, in_tool)).await?;
            self.watch.asked = true;
        }
        Ok(false)
    }

    /// A routine's run may take as long as the routine says, without the wait for people; everything as long as is configured.
    async fn took_too_long(&self, now: i64) -> Result<bool, LedgerError> {
        let took = now - self.turn.submitted_at_ms.unwrap_or(now);
        if self.core.config.max_time.is_some_and(|max| took > max.as_millis() as i64) {
            return Ok(true);
        }
        let Some(timeout_ms) = self.timeout_ms.filter(|timeout_ms| took > *timeout_ms) else { return Ok(false) };
        let turn = self.turn.id.clone();
        let gates = self.core.ledger.read(move |tx| gates::of_turn(tx, &turn)).await?;
        let waits = gates.iter().map(|gate| (gate.opened_at_ms, gate.decided_at_ms.unwrap_or(gate.opened_at_ms)));
        Ok(took - covered(waits.collect()) > timeout_ms)
    }

    async fn ask(&mut self, text: String) -> Result<(), LedgerError> {
        self.watch.asks += 1;
        let subject = pictures::watchdog_subject(&self.turn.id, self.watch.asks);
        let (frame, conversation, turn) = (self.frame(), self.conversation.clone(), self.turn.clone());
        self.core
            .ledger
            .write(move |tx| {
                let offered = [
                    (ButtonRole::KeepWaiting, Action::KeepWaiting { turn: turn.id.clone() }),
                    (ButtonRole::Stop, Action::Stop { turn: turn.id.clone() }),
                ];
                pictures::notice(
                    tx,
                    &frame,
                    &conversation,
                    pictures::target_of(&conversation, &turn),
                    &subject,
                    text,
                    &offered,
                )
            })
            .await?;
        self.core.wakes.painter.notify_one();
        Ok(())
    }

    /// The interrupt had no effect for a minute. A process that does not answer at all is ended, and its successor tells
    /// what became of the turn. One that does answer keeps the turn: it is lost, and the conversation goes on in a fork.
    async fn give_up(&mut self) -> anyhow::Result<bool> {
        match self.live.call(|runtime| runtime.thread_status(&self.thread)).await {
            Err(CallError::NoAnswer { .. }) => {
                self.live.give_up();
                return Ok(false);
            }
            Err(CallError::Gone) => return Ok(false),
            _ => {}
        }
        if let Some(native) = self.native.clone()
            && let Some(pulled) = settle::pull_turn(&self.core, &self.live, &self.turn, &self.thread, &native).await
            && let Some(end) = pulled.ended()
        {
            // It ended and the word of it was lost.
            self.on_ended(Some(native), end_of(end), pulled.failure).await?;
            return Ok(true);
        }
        warn!(turn.id = %self.turn.id, "Turn {} does not end; its thread is left alone", self.turn.id);
        let (id, frame, native) = (self.turn.id.clone(), self.frame(), self.native.clone());
        let conversation = self.conversation.id.clone();
        self.core
            .ledger
            .write(move |tx| {
                conversations::set_fork_wanted(tx, &conversation, true)?;
                settle::lose(tx, &frame, &id, LostHow::CommandsMayRunOn, native.as_ref())
            })
            .await?;
        self.core.wakes.painter.notify_one();
        Ok(true)
    }
}

/// How long any of these spans lasted, in milliseconds.
fn covered(mut spans: Vec<(i64, i64)>) -> i64 {
    spans.sort_unstable();
    let (mut sum, mut until) = (0, i64::MIN);
    for (from, to) in spans {
        sum += (to - from.max(until)).max(0);
        until = until.max(to);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::covered;

    #[test]
    fn waits_at_the_same_time_count_once() {
        assert_eq!(covered(vec![(20, 30), (0, 10), (5, 12), (6, 8), (40, 40)]), 22);
        assert_eq!(covered(Vec::new()), 0);
    }
}
