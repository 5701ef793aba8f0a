//! A routine: what is done when, without anybody asking for it, and what becomes of the times at which nobody was there.

mod file;
mod typed;

use std::path::PathBuf;
use std::time::Duration;

pub use file::{RETRIES, RoutineError, TEXT_BYTES};
pub use typed::{Wish, parse as wish};

use super::ids::{ChannelName, ChatId};
use super::level::Level;
use super::schedule::{Schedule, When};

/// Longest name of a routine.
pub const NAME_CHARS: usize = 40;
/// So late a run is still on time: a restart, or a machine that is busy, is no reason to skip one.
pub const PUNCTUAL_MS: i64 = 5 * 60_000;
/// So far back no clock is set that was right before.
const WRONG_MS: i64 = 86_400_000;
/// Of what was missed longer ago nothing is noted: a clock that came back from 1970 was not away for all that time.
const LONGEST_MS: i64 = 60 * 86_400_000;
/// Most runs that are made up for at once; older ones are skipped.
pub const CATCH_UP: usize = 100;

/// What a routine's file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Routine {
    pub name: String,
    pub schedule: Schedule,
    pub task: Task,
    pub place: Place,
    pub to: To,
    pub misfire: Misfire,
    /// How late a run may be made up for.
    pub window: Duration,
    pub overlap: Overlap,
    /// A run that takes longer is stopped, and counts as failed.
    pub timeout: Duration,
    /// How often a run that failed is tried again. One of which nobody knows what it did is never.
    pub retries: u32,
    /// Only failures, and what waits for a person, are told.
    pub quiet: bool,
    /// Where it works; `None`: in a directory of its own.
    pub directory: Option<PathBuf>,
    pub model: Option<String>,
    /// How far the agent may go by itself; what asks waits until somebody is there.
    pub autonomy: Level,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    Prompt(String),
    /// A skill of the assistant's, with more words for it.
    Skill {
        name: String,
        with: String,
    },
}

/// Which conversation its runs are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Each run begins one of its own.
    Fresh,
    /// All runs go on in one that remembers the ones before.
    Named(String),
}

/// Whom its outcome is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// In the owner's direct chat.
    Owner,
    Chat {
        channel: ChannelName,
        chat: ChatId,
    },
}

/// What becomes of the times at which ally was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfire {
    Skip,
    /// One run for all of them, at the newest.
    RunOnce,
    /// Each of them, in order.
    All,
}

/// What becomes of a run that is due while the one before goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    Skip,
    Queue,
}

/// What is to be done about the time that has passed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Due times that are to be run, in order.
    pub runs: Vec<Due>,
    pub skipped: Option<Skipped>,
    /// All due times up to here are accounted for.
    pub checked_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub at_ms: i64,
    /// It was missed, and is made up for.
    pub late: bool,
}

/// Due times that are not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    pub first_ms: i64,
    pub last_ms: i64,
    pub count: u64,
}

impl Routine {
    /// The first due time that is not accounted for; it may be over. `None`: there is none any more.
    pub fn next(&self, since_ms: i64, checked_ms: i64, now_ms: i64) -> Option<i64> {
        self.schedule.next_after(accounted_ms(checked_ms, now_ms), self.began_ms(since_ms, now_ms))
    }

    /// Whether what is noted as accounted for was noted by a clock that was wrong: it has to be noted anew.
    pub fn is_noted_ahead(checked_ms: i64, now_ms: i64) -> bool {
        accounted_ms(checked_ms, now_ms) != checked_ms
    }

    /// What is to be done about the times after `checked_ms`, up to now. Intervals count from `since_ms`.
    pub fn plan(&self, since_ms: i64, checked_ms: i64, now_ms: i64) -> Plan {
        let checked_ms = accounted_ms(checked_ms, now_ms).max(now_ms - LONGEST_MS);
        let since_ms = self.began_ms(since_ms, now_ms);
        let next = |at: &i64| self.schedule.next_after(*at, since_ms).filter(|due| *due <= now_ms);
        let window_ms = i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX);
        // A clock that was set back: what was accounted for stays so.
        let mut plan = Plan { checked_ms: checked_ms.max(now_ms), ..Plan::default() };
        let mut missed: Vec<i64> = Vec::new();
        for at_ms in std::iter::successors(next(&checked_ms), next) {
            if now_ms - at_ms <= PUNCTUAL_MS {
                plan.runs.push(Due { at_ms, late: false });
                continue;
            }
            let most = match self.misfire {
                Misfire::Skip => 0,
                Misfire::RunOnce => 1,
                Misfire::All => CATCH_UP,
            };
            if most == 0 || now_ms - at_ms > window_ms {
                plan.skip(at_ms);
                continue;
            }
            if missed.len() == most {
                plan.skip(missed.remove(0));
            }
            missed.push(at_ms);
        }
        if self.misfire == Misfire::RunOnce && !plan.runs.is_empty() {
            // The one that is on time is the one.
            missed.drain(..).for_each(|at_ms| plan.skip(at_ms));
        }
        plan.runs.splice(0..0, missed.into_iter().map(|at_ms| Due { at_ms, late: true }));
        plan
    }

    /// From where its intervals count. A clock that was far ahead when it began keeps it silent no longer.
    fn began_ms(&self, since_ms: i64, now_ms: i64) -> i64 {
        match &self.schedule.when {
            When::Every(interval) if since_ms - now_ms > WRONG_MS => {
                let step = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
                since_ms - ((since_ms - now_ms) / step + 1) * step
            }
            _ => since_ms,
        }
    }
}

/// Up to where the due times are accounted for. What lies more than a day ahead was noted by a clock that was wrong: what ran
/// by it has run, and what it only called missed is due again.
fn accounted_ms(checked_ms: i64, now_ms: i64) -> i64 {
    if checked_ms - now_ms > WRONG_MS { now_ms } else { checked_ms }
}

impl Plan {
    /// Called in the order of the times.
    fn skip(&mut self, at_ms: i64) {
        let skipped = self.skipped.get_or_insert(Skipped { first_ms: at_ms, last_ms: at_ms, count: 0 });
        skipped.last_ms = at_ms;
        skipped.count += 1;
    }
}

/// Whether a name can be a routine's: it is the name of a file, and stands in commands.
pub fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    (1..=NAME_CHARS).contains(&name.chars().count())
        && name.chars().all(is_letter)
        && name.starts_with(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::zone;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn a_clock_that_was_far_off_silences_nothing_and_costs_nothing() {
        let now = 20_000 * DAY + 7 * MINUTE;
        let minutely = routine("* * * * *", Misfire::Skip, HOUR);
        let plan = minutely.plan(0, 0, now);
        assert_eq!(plan.skipped.map(|skipped| skipped.count), Some((LONGEST_MS / MINUTE) as u64 - 6), "since 1970");
        // It was made while the clock was a year ahead.
        let every = routine("every 6h", Misfire::Skip, HOUR);
        let since = now + 365 * DAY;
        let next = every.next(since, since, now).expect("due again");
        assert!(next > now && next <= now + 6 * HOUR && (since - next) % (6 * HOUR) == 0, "{next}");
    }

    fn routine(schedule: &str, misfire: Misfire, window: i64) -> Routine {
        Routine {
            name: "r".to_owned(),
            schedule: Schedule::parse(schedule, zone("UTC").unwrap()).unwrap(),
            task: Task::Prompt("p".to_owned()),
            place: Place::Fresh,
            to: To::Owner,
            misfire,
            window: Duration::from_millis(window as u64),
            overlap: Overlap::Skip,
            timeout: Duration::from_secs(3600),
            retries: 0,
            quiet: false,
            directory: None,
            model: None,
            autonomy: Level::Safe,
        }
    }

    /// Due times and whether each is late; the first and last that are skipped, and how many. In minutes.
    type Told = (Vec<(i64, bool)>, Option<(i64, i64, u64)>);

    fn told(plan: &Plan) -> Told {
        let runs = plan.runs.iter().map(|due| (due.at_ms / MINUTE, due.late)).collect();
        (runs, plan.skipped.map(|skipped| (skipped.first_ms / MINUTE, skipped.last_ms / MINUTE, skipped.count)))
    }

    #[test]
    fn what_becomes_of_missed_times() {
        // Hourly; nobody was there from 00:30 to 06:02.
        let (from, now) = (30 * MINUTE, 6 * HOUR + 2 * MINUTE);
        let of = |misfire, window| told(&routine("0 * * * *", misfire, window).plan(0, from, now));
        let on_time = (360, false);
        assert_eq!(of(Misfire::Skip, DAY), (vec![on_time], Some((60, 300, 5))));
        assert_eq!(of(Misfire::RunOnce, DAY), (vec![on_time], Some((60, 300, 5))), "the one on time is the one");
        let all = [60, 120, 180, 240, 300].map(|at| (at, true));
        assert_eq!(of(Misfire::All, DAY), ([all.as_slice(), &[on_time]].concat(), None));
        let newer = [(240, true), (300, true), on_time].to_vec();
        assert_eq!(of(Misfire::All, 3 * HOUR), (newer, Some((60, 180, 3))));
        // At 06:30 none is on time.
        let later = now + 28 * MINUTE;
        let of = |misfire, window| told(&routine("0 * * * *", misfire, window).plan(0, from, later));
        assert_eq!(of(Misfire::Skip, DAY), (vec![], Some((60, 360, 6))));
        assert_eq!(of(Misfire::RunOnce, DAY), (vec![(360, true)], Some((60, 300, 5))));
        assert_eq!(of(Misfire::RunOnce, 20 * MINUTE), (vec![], Some((60, 360, 6))), "too late even for that");
    }

    #[test]
    fn a_long_absence_is_not_made_up_for_without_end() {
        let plan = routine("* * * * *", Misfire::All, 30 * DAY).plan(0, 0, 7 * DAY + 30_000);
        assert_eq!(plan.runs.len(), CATCH_UP + 5);
        assert_eq!(plan.skipped.map(|skipped| skipped.count), Some(7 * 1440 - CATCH_UP as u64 - 5));
    }

    /// However often it is looked, and however the clock jumps: each time is accounted for once.
    #[test]
    fn no_time_is_lost_or_doubled() {
        for misfire in [Misfire::Skip, Misfire::RunOnce, Misfire::All] {
            let daily = routine("30 2 * * *", misfire, 2 * DAY);
            let mut seed = fastrand::Rng::with_seed(7);
            let (mut now, mut checked, mut furthest) = (0, 0, 0);
            let (mut ran, mut skipped) = (Vec::new(), 0);
            while now < 365 * DAY {
                let plan = daily.plan(0, checked, now);
                assert!(plan.checked_ms >= checked);
                ran.extend(plan.runs.iter().map(|due| due.at_ms));
                skipped += plan.skipped.map_or(0, |skipped| skipped.count);
                checked = plan.checked_ms;
                furthest = now.max(furthest);
                now += match seed.u32(0..20) {
                    0 => seed.i64(0..4 * DAY),
                    1 => -seed.i64(0..DAY),
                    _ => seed.i64(0..HOUR),
                };
                now = now.max(furthest - DAY);
            }
            assert!(ran.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order");
            let due = (furthest - (2 * HOUR + 30 * MINUTE)) / DAY + 1;
            assert_eq!(ran.len() as i64 + skipped as i64, due, "{misfire:?}");
        }
    }

    #[test]
    fn a_clock_that_was_a_year_ahead_silences_nothing() {
        let daily = routine("30 2 * * *", Misfire::RunOnce, DAY);
        let now = 10 * DAY;
        let wrong = daily.plan(0, now, now + 365 * DAY);
        assert_eq!((wrong.runs.len(), wrong.checked_ms), (1, now + 365 * DAY));
        assert_eq!(daily.next(0, wrong.checked_ms, now), Some(now + 150 * MINUTE));
        assert!(Routine::is_noted_ahead(wrong.checked_ms, now));
        let right = daily.plan(0, wrong.checked_ms, now);
        assert_eq!((told(&right), right.checked_ms), ((vec![], None), now), "noted by the right clock");
        let after = daily.plan(0, right.checked_ms, now + DAY);
        assert_eq!(told(&after), (vec![((now + 150 * MINUTE) / MINUTE, true)], None));
        assert_eq!(after.checked_ms, now + DAY);
        // An hour is no such thing: what ran by that clock does not run again.
        assert_eq!(daily.next(0, now + 180 * MINUTE, now + 120 * MINUTE), Some(now + DAY + 150 * MINUTE));
    }

    #[test]
    fn names() {
        for (name, good) in [
            ("nightly-digest", true),
            ("周报", true),
            ("a_1", true),
            ("", false),
            ("-a", false),
            ("a/b", false),
            ("a b", false),
            ("..", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }
}
