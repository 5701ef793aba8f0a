//! Whether a runtime process still answers at all. One call without an answer says nothing; several in a row, with nothing
//! heard in between, say that waiting on is pointless: then the process is ended and recovery asks its successor.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Unanswered calls in a row …
const CALLS: u32 = 3;
/// … over at least this long. Deadlines that fire together after a sleep of the machine are one sign, not many.
const SPAN: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct Pulse {
    silence: Mutex<Option<Silence>>,
    given_up: CancellationToken,
}

#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Instant,
    calls: u32,
}

impl Pulse {
    /// It said something, whatever it was.
    pub fn heard(&self) {
        *self.silence() = None;
    }

    /// A call had no answer in its time.
    pub fn missed(&self) {
        self.missed_at(Instant::now());
    }

    fn missed_at(&self, now: Instant) {
        let mut silence = self.silence();
        let so_far = silence.get_or_insert(Silence { since: now, calls: 0 });
        so_far.calls += 1;
        if so_far.calls >= CALLS && now.duration_since(so_far.since) >= SPAN {
            self.given_up.cancel();
        }
    }

    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Resolves when nothing more is expected of it.
    pub async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    fn silence(&self) -> std::sync::MutexGuard<'_, Option<Silence>> {
        self.silence.lock().expect("no code panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(missed_at_seconds: &[u64], heard_after: Option<usize>, gives_up: bool) {
        let (pulse, start) = (Pulse::default(), Instant::now());
        for (nth, second) in missed_at_seconds.iter().enumerate() {
            pulse.missed_at(start + Duration::from_secs(*second));
            if heard_after == Some(nth) {
                pulse.heard();
            }
        }
        assert_eq!(pulse.given_up.is_cancelled(), gives_up, "{missed_at_seconds:?} {heard_after:?}");
    }

    #[test]
    fn only_a_long_row_of_missing_answers_counts() {
        check(&[0, 20, 40], None, true);
        check(&[0, 40], None, false);
        check(&[0, 0, 0, 0, 0], None, false);
        check(&[0, 20, 40, 60], Some(1), false);
        check(&[0, 20, 40, 60, 80], Some(1), true);
    }
}
