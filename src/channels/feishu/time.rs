//! The platform's clock, learned from the `Date` of each answer.

use std::sync::Mutex;
use std::time::Instant;

use crate::clock::Clock;

/// Further apart than this, our two clocks say that one of them was set, or that the machine slept.
const DRIFT_MS: i64 = 10_000;

pub struct PlatformTime {
    clock: Clock,
    last: Mutex<Option<Seen>>,
}

/// What three clocks said at the same moment.
struct Seen {
    platform_ms: i64,
    ours_ms: i64,
    at: Instant,
}

impl PlatformTime {
    pub fn new(clock: Clock) -> Self {
        Self { clock, last: Mutex::default() }
    }

    /// An answer came. One without a date tells nothing better than our own clock.
    pub fn heard(&self, date_ms: Option<i64>) {
        let ours_ms = self.clock.now_ms();
        let mut last = self.last.lock().expect("no code panics while it holds this lock");
        if date_ms.is_some() || last.as_ref().is_none_or(|seen| seen.now_ms(ours_ms).is_none()) {
            *last = Some(Seen { platform_ms: date_ms.unwrap_or(ours_ms), ours_ms, at: Instant::now() });
        }
    }

    /// `None` before the first answer, and from a jump of our clock until the next one.
    pub fn now_ms(&self) -> Option<i64> {
        let last = self.last.lock().expect("no code panics while it holds this lock");
        last.as_ref()?.now_ms(self.clock.now_ms())
    }
}

impl Seen {
    fn now_ms(&self, ours_ms: i64) -> Option<i64> {
        let passed = i64::try_from(self.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        let by_ours = ours_ms.saturating_sub(self.ours_ms);
        (by_ours.saturating_sub(passed).abs() <= DRIFT_MS).then(|| self.platform_ms.saturating_add(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_our_clock_makes_it_unknown_until_the_next_answer() {
        let (clock, hour) = (Clock::default(), 3_600_000);
        let time = PlatformTime::new(clock.clone());
        assert_eq!(time.now_ms(), None);
        for jump in [0, 2 * hour, -2 * hour] {
            clock.warp(jump, 1.0);
            assert!(jump == 0 || time.now_ms().is_none(), "after {jump}");
            time.heard(Some(5 * hour));
            let now = time.now_ms().expect("heard");
            assert!((5 * hour..5 * hour + DRIFT_MS).contains(&now), "{now}");
        }
        time.heard(None);
        assert!(time.now_ms().expect("heard") < 6 * hour, "an answer without a date takes nothing back");
    }
}
