//! Whether and when a bridge that ended is started again. Pure: the times are arguments.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A bridge that lived so long was healthy: the next wait is short again.
pub(super) const HEALTHY: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// So many quick deaths within [`WINDOW`] are a loop.
const LOOP: usize = 10;
const WINDOW: Duration = Duration::from_secs(600);
/// What is in a loop is tried so often only: each try takes work, and may end some.
pub(super) const REST: Duration = Duration::from_secs(300);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start it again after the wait.
    Restart(Duration),
    /// It ended because it was to end, or cannot work: end with this code.
    End(u8),
    /// It dies again and again: one more try after this rest.
    Rest(Duration),
}

/// Remembers the deaths.
#[derive(Debug)]
pub struct Policy {
    /// Quick ones, of late.
    deaths: VecDeque<Instant>,
    /// Quick ones since one lived long.
    streak: u64,
    in_a_row: u32,
    loops: bool,
    rest: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self::resting(REST)
    }
}

impl Policy {
    /// With another rest.
    pub fn resting(rest: Duration) -> Self {
        Self { deaths: VecDeque::new(), streak: 0, in_a_row: 0, loops: false, rest }
    }

    /// Quick deaths since a bridge lived for long.
    pub fn deaths(&self) -> u64 {
        self.streak
    }

    /// Somebody else killed a bridge that had taken work: no fault of its own that would come again, unless it does.
    pub fn after_a_kill(&mut self, lived: Duration, now: Instant) -> Next {
        self.died(lived, now).unwrap_or(Next::Restart(Duration::from_secs(1)))
    }

    /// Judges one end. `code` is `None` when a signal ended it. `holds`: runtimes live, and end with the supervisor.
    pub fn after(&mut self, code: Option<i32>, lived: Duration, now: Instant, holds: bool) -> Next {
        let is = |exit: u8| code == Some(i32::from(exit));
        if is(0) {
            return Next::End(0);
        }
        if is(super::EXIT_LEDGER) {
            return Next::End(super::EXIT_CONFIG);
        }
        if lived >= HEALTHY {
            self.recover();
        }
        // It is not the bridge that fails, and what works can wait longer than a person needs to mend it.
        if holds && [super::EXIT_OUTAGE, super::EXIT_CONFIG, super::EXIT_HELD].into_iter().any(is) {
            return Next::Restart(self.wait());
        }
        if let Some(exit) = [super::EXIT_CONFIG, super::EXIT_HELD].into_iter().find(|exit| is(*exit)) {
            return Next::End(exit);
        }
        match self.died(lived, now) {
            Some(rest) => rest,
            None => Next::Restart(self.wait()),
        }
    }

    fn recover(&mut self) {
        self.deaths.clear();
        (self.streak, self.in_a_row, self.loops) = (0, 0, false);
    }

    /// One death more; whether it is a loop by now.
    fn died(&mut self, lived: Duration, now: Instant) -> Option<Next> {
        if lived >= HEALTHY {
            self.recover();
            return None;
        }
        self.streak += 1;
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|first| now.duration_since(*first) > WINDOW) {
            self.deaths.pop_front();
        }
        // Until one lives for long: after a rest the deaths before it are out of the window.
        self.loops |= self.deaths.len() >= LOOP;
        self.loops.then_some(Next::Rest(self.rest))
    }

    fn wait(&mut self) -> Duration {
        let wait = Duration::from_secs(1 << self.in_a_row.min(6)).min(LONGEST_WAIT);
        self.in_a_row += 1;
        wait
    }
}

/// How often the supervisor looks whether it was paused itself: as often as the bridge beats.
const LOOK: Duration = Duration::from_secs(5);
/// A look that is later than this was kept from it.
const LATE: Duration = Duration::from_secs(1);

/// Notices that the supervisor itself was paused (SIGSTOP, a suspended machine, a stolen processor). Of that time the
/// bridge must not be accused: it was most likely paused as well, and nobody listened to it.
#[derive(Debug, Clone, Copy)]
pub struct Awake {
    last: Instant,
}

impl Awake {
    /// Awake now.
    pub fn from(now: Instant) -> Self {
        Self { last: now }
    }

    /// When to look next.
    pub fn next(self) -> Instant {
        self.last + LOOK
    }

    /// Looked. `Some` is the pause since the last look, where there was one.
    pub fn woke(&mut self, now: Instant) -> Option<Duration> {
        let late = now.saturating_duration_since(self.next());
        self.last = now;
        (late > LATE).then_some(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_until_it_was_healthy() {
        let mut policy = Policy::default();
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let waits: Vec<Next> = (0..3).map(|_| policy.after(None, second, now, false)).collect();
        assert_eq!(waits, [1, 2, 4].map(|s| Next::Restart(Duration::from_secs(s))));
        assert_eq!(policy.after(Some(1), HEALTHY, now, false), Next::Restart(second));
    }

    #[test]
    fn whoever_kills_it_now_and_then_makes_no_loop() {
        let mut policy = Policy::default();
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        for n in 0..30 {
            assert_eq!(policy.after_a_kill(HEALTHY, now + n * HEALTHY), Next::Restart(second));
        }
        assert_eq!((policy.deaths(), policy.after(None, Duration::ZERO, now, false)), (0, Next::Restart(second)));
    }

    #[test]
    fn a_loop_rests_and_ends_with_one_that_lives() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut policy = Policy::default();
        for n in 1..LOOP as u32 {
            assert_eq!(policy.after_a_kill(second, now + n * second), Next::Restart(second), "{n}");
        }
        assert_eq!(policy.after_a_kill(second, now + 10 * second), Next::Rest(REST), "also where something kills it");
        for n in 1..5 {
            assert_eq!(policy.after(Some(101), second, now + n * REST, false), Next::Rest(REST), "it goes on");
        }
        assert_eq!(policy.deaths(), 14);
        assert_eq!(policy.after(Some(101), HEALTHY, now + 6 * REST, false), Next::Restart(second), "over");
        assert_eq!(policy.deaths(), 0);
        // The same number spread over hours is no loop.
        let mut policy = Policy::default();
        let last = (0..30).map(|n| policy.after(Some(101), HEALTHY, now + n * REST, false)).last();
        assert_eq!(last, Some(Next::Restart(second)));
    }

    /// What it holds would end with the supervisor, and the next bridge would fail for the same reason.
    #[test]
    fn what_only_time_or_a_person_mends_ends_nothing_that_works() {
        let now = Instant::now();
        for code in [74, 75, 78] {
            let mut policy = Policy::default();
            let waits: Vec<Next> = (0..30).map(|_| policy.after(Some(code), Duration::ZERO, now, true)).collect();
            assert_eq!(waits[..2], [1, 2].map(|s| Next::Restart(Duration::from_secs(s))));
            assert_eq!(waits[29], Next::Restart(LONGEST_WAIT), "{code}");
            assert_eq!(policy.after(Some(0), Duration::ZERO, now, true), Next::End(0));
            assert_eq!(policy.after(Some(65), Duration::ZERO, now, true), Next::End(78), "nothing works without it");
        }
        let mut policy = Policy::default();
        let last = (0..10).map(|_| policy.after(Some(101), Duration::ZERO, now, true)).last();
        assert_eq!(last, Some(Next::Rest(REST)), "a fault of its own is a loop whatever it holds");
        let mut policy = Policy::default();
        let last = (0..10).map(|_| policy.after(Some(74), Duration::ZERO, now, false)).last();
        assert_eq!(last, Some(Next::Rest(REST)), "and so is any where nothing is held");
    }

    #[test]
    fn a_pause_is_noticed_and_a_busy_machine_is_none() {
        let start = Instant::now();
        let mut awake = Awake::from(start);
        assert_eq!(awake.woke(start + LOOK), None);
        assert_eq!(awake.woke(awake.next() + LATE / 2), None, "a little late");
        assert_eq!(awake.woke(awake.next() + 40 * LOOK), Some(40 * LOOK));
        assert_eq!(awake.woke(awake.next()), None, "told once");
    }

    #[test]
    fn wanted_ends_are_ends() {
        let mut policy = Policy::default();
        assert_eq!(policy.after(Some(0), Duration::ZERO, Instant::now(), false), Next::End(0));
        assert_eq!(policy.after(Some(78), Duration::ZERO, Instant::now(), false), Next::End(78));
        assert_eq!(policy.after(Some(75), Duration::ZERO, Instant::now(), false), Next::End(75));
    }
}
