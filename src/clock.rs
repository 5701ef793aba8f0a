//! The only place that reads the wall clock.
//!
//! In test builds the clock can be moved and sped up over the control socket, so that a real process lives through a
//! six-hour redelivery or a one-hour idempotency window in seconds. Monotonic deadlines (timeouts of single calls) use
//! `tokio::time` and are not scaled: a peer that does not answer does not answer faster in a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::Instant;

/// How late a sleeper may be at least, and at most, because the machine itself slept. Each look at the clock wakes a processor.
const LATE_MS: (u64, u64) = (5_000, 60_000);

/// Wall-clock time in Unix milliseconds, with an offset and a speed. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    inner: Arc<Warp>,
}

#[derive(Debug)]
struct Warp {
    offset_ms: AtomicI64,
    /// Thousandths: 1000 is real time.
    speed_milli: AtomicU64,
    /// Real time at which the present speed began to count.
    anchor_ms: AtomicI64,
    moved: Notify,
}

impl Default for Warp {
    fn default() -> Self {
        Self {
            offset_ms: AtomicI64::new(0),
            speed_milli: AtomicU64::new(1000),
            anchor_ms: AtomicI64::new(0),
            moved: Notify::new(),
        }
    }
}

impl Clock {
    /// Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        let real = real_ms();
        let speed = self.inner.speed_milli.load(Ordering::Relaxed) as i64;
        let anchor = self.inner.anchor_ms.load(Ordering::Relaxed);
        let gained = if speed == 1000 { 0 } else { (real - anchor) * (speed - 1000) / 1000 };
        real + gained + self.inner.offset_ms.load(Ordering::Relaxed)
    }

    /// The machine's own wall clock, never warped: a jump of it against monotonic time means that the machine slept.
    pub fn machine_ms(&self) -> i64 {
        real_ms()
    }

    /// Moves the clock by `offset_ms` (from now on, added to former moves) and lets it run `speed` times as fast.
    pub fn warp(&self, offset_ms: i64, speed: f64) {
        let now = self.now_ms();
        let real = real_ms();
        self.inner.anchor_ms.store(real, Ordering::Relaxed);
        self.inner.speed_milli.store((speed * 1000.0).max(1.0) as u64, Ordering::Relaxed);
        self.inner.offset_ms.store(now - real + offset_ms, Ordering::Relaxed);
        self.inner.moved.notify_waiters();
    }

    /// Sleeps for `duration` of this clock's time. For waits that are rules (30 min, 6 s), not for deadlines of calls.
    /// After a sleep of the machine it may end a tenth of what was left then too late, five seconds at least and a minute at
    /// most; a clock that is set back makes it no longer.
    pub async fn sleep(&self, duration: Duration) {
        let until = self.now_ms().saturating_add(duration.as_millis() as i64);
        let mut rest = duration;
        loop {
            // Before the clock is read: no move is missed.
            let moved = self.inner.moved.notified();
            let left = (until - self.now_ms()).min(rest.as_millis() as i64);
            if left <= 0 {
                return;
            }
            let speed = self.inner.speed_milli.load(Ordering::Relaxed).max(1);
            let real = (left as u64).saturating_mul(1000) / speed;
            // In slices, because the wall clock may be set and the machine may sleep, which the timer does not count.
            let slice = Duration::from_millis(real.min((real / 10).clamp(LATE_MS.0, LATE_MS.1)).max(1));
            let began = Instant::now();
            tokio::select! {
                () = tokio::time::sleep(slice) => {}
                () = moved => {}
            }
            rest = rest.saturating_sub(began.elapsed().mul_f64(speed as f64 / 1000.0));
        }
    }
}

fn real_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warp_moves_all_clones() {
        let clock = Clock::default();
        let other = clock.clone();
        let before = clock.now_ms();
        other.warp(3_600_000, 1.0);
        assert!(clock.now_ms() - before >= 3_600_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_warp_wakes_who_sleeps() {
        let clock = Clock::default();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(86_400)).await }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!sleeper.is_finished());
        clock.warp(86_400_000, 1.0);
        tokio::time::timeout(Duration::from_millis(10), sleeper).await.expect("awake at once").expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_makes_no_sleep_longer() {
        let clock = Clock::default();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        tokio::time::sleep(Duration::from_secs(4)).await;
        clock.warp(-3_600_000, 1.0);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!sleeper.is_finished());
        tokio::time::timeout(Duration::from_secs(2), sleeper)
            .await
            .expect("its ten seconds are over")
            .expect("no panic");
    }
}
