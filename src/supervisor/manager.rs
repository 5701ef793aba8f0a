//! What the service manager is told, where one started us (systemd's notify protocol): that ally is ready, what it is doing,
//! that it ends; and, as long as the bridge has proved itself alive, that nothing hangs. Without a manager nothing is said.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;
use tracing::{debug, info};

/// A bridge that answers, and then proves nothing for so long, is ended. Shorter than `WatchdogSec` of our units, because
/// the manager would end what the runtimes do as well.
pub(super) const UNPROVEN: Duration = Duration::from_secs(90);

/// The line to the service manager.
#[derive(Debug, Default)]
pub(super) struct Manager;

impl Manager {
    pub(super) fn new() -> Self {
        if let Some(within) = sd_notify::watchdog_enabled() {
            info!(within_s = within.as_secs(), "The service manager wants a sign of life");
        }
        Self
    }

    /// The bridge takes work; a reload is over.
    pub(super) fn ready(&self) {
        self.say(&[NotifyState::Ready, NotifyState::Status("running")]);
    }

    pub(super) fn status(&self, text: &str) {
        self.say(&[NotifyState::Status(text)]);
    }

    /// The bridge rests, and the supervisor does its work: a manager that still waits for the start need not give it up.
    pub(super) fn resting(&self, text: &str) {
        self.say(&[NotifyState::Ready, NotifyState::Status(text)]);
    }

    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.say(&[NotifyState::Reloading, now, NotifyState::Status("applying the settings")]),
            Err(error) => debug!(%error, "The reload could not be announced"),
        }
    }

    pub(super) fn stopping(&self) {
        self.say(&[NotifyState::Stopping, NotifyState::Status("ending: running tasks get their grace")]);
    }

    /// Nothing hangs.
    pub(super) fn alive(&self) {
        self.say(&[NotifyState::Watchdog]);
    }

    fn say(&self, words: &[NotifyState<'_>]) {
        // A manager that is gone is told nothing; ally works without one.
        if let Err(error) = sd_notify::notify(words) {
            debug!(%error, "The service manager could not be told");
        }
    }
}

/// Whether a bridge is alive by its own proof: its words over the link say only that some thread of it runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof {
    /// It has proved something since it is ready. One of an earlier version never does.
    given: bool,
    at: Instant,
    /// So long it may prove nothing.
    patience: Duration,
}

impl Proof {
    pub(super) fn none(now: Instant, patience: Duration) -> Self {
        Self { given: false, at: now, patience }
    }

    /// It proved itself: the control socket and the ledger answered.
    pub(super) fn give(&mut self, now: Instant) {
        (self.given, self.at) = (true, now);
    }

    /// Any word of it. Whether that is to be taken for a sign of life: of one that is not at work (it starts, or ends) and
    /// of one that never proves anything.
    pub(super) fn is_heard(&mut self, now: Instant, at_work: bool) -> bool {
        if !at_work {
            self.given = false;
        }
        if !self.given {
            self.at = now;
        }
        !self.given
    }

    /// Whether it has proved itself of late, where it ever does.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        !self.given || now.saturating_duration_since(self.at) < self.patience / 2
    }

    /// We were paused ourselves.
    pub(super) fn shift(&mut self, by: Duration) {
        self.at += by;
    }

    /// When it counts as hanging; nobody who proves nothing does.
    pub(super) fn is_due(&self) -> Option<Instant> {
        self.given.then(|| self.at + self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bridge_that_has_proved_itself_is_held_to_it() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut proof = Proof::none(start, UNPROVEN);
        assert!(proof.is_heard(start, true) && proof.is_due().is_none(), "an earlier version only beats");
        proof.give(start);
        assert!(!proof.is_heard(start + second, true), "a beat is no proof any more");
        assert_eq!(proof.is_due(), Some(start + UNPROVEN));
        proof.shift(second);
        assert_eq!(proof.is_due(), Some(start + UNPROVEN + second));
        assert!(proof.is_heard(start + second, false), "one that ends closes its ledger");
        assert_eq!(proof.is_due(), None);
    }
}
