//! A year of routines in three zones, with a machine that sleeps, a clock that jumps and a bridge that dies; and what is said
//! of each end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{Datelike, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use fastrand::Rng;

use super::*;
use crate::bridge::pictures::tests::frame;
use crate::bridge::settle::{self, Finish};
use crate::domain::access::Access;
use crate::domain::history::{Failure, FailureKind};
use crate::domain::level::Level;
use crate::domain::routine::{CATCH_UP, Misfire, PUNCTUAL_MS};
use crate::domain::turn::Outcome;
use crate::ledger::routines::{NewRoutine, Source};
use crate::ledger::surfaces::{self, SurfaceKind};
use crate::ledger::turns::Submission;
use crate::ledger::{Ledger, LedgerLock, Places, generations, report};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A ledger whose owner is `wang`, in the local channel.
async fn ledger() -> (Ledger, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
    let lock = LedgerLock::take(&dir.path().join("lock"), &places.file).expect("the lock");
    let ledger = Ledger::open(&places, &lock).expect("a ledger");
    // It is held for as long as the folder is there.
    std::mem::forget(lock);
    (ledger, dir)
}

fn at(now_ms: i64) -> Frame {
    let access = Arc::new(Access { owner: Some("wang".into()), ..Access::default() });
    Frame { floor: Arc::clone(&access), access, now_ms, platform_ms: now_ms, ..frame() }
}

fn ground() -> Ground {
    Ground { directory: "/a".into(), runtime_kind: "embedded".to_owned(), runtime_home: "/h".to_owned() }
}

fn put(tx: &Transaction<'_>, name: &str, text: &str, now_ms: i64) -> Result<(), LedgerError> {
    let new = NewRoutine {
        name: name.to_owned(),
        source: Source::File,
        text: text.to_owned(),
        made_in: None,
        made_by: UserId::new(""),
        made_name: String::new(),
    };
    routines::put(tx, &new, true, now_ms)
}

fn tick(tx: &Transaction<'_>, routine: &Routine, now_ms: i64) -> Result<(), LedgerError> {
    step(tx, vec![at(now_ms)], routine, ground(), now_ms).map(drop)
}

/// The runtime takes the turn that waits, and ends it.
fn play(tx: &Transaction<'_>, run: &Run, outcome: Outcome, now_ms: i64) -> Result<(), LedgerError> {
    let turn = run.turn.clone().expect("it was begun");
    let generation = match generations::not_dead(tx)?.first() {
        Some(known) => known.number,
        None => generations::begin(tx, "embedded", "/h", now_ms)?,
    };
    let submission = Submission {
        thread: "thread".into(),
        cursor: None,
        generation,
        boot_id: "boot".to_owned(),
        position: None,
        at_ms: now_ms,
        level: Level::Safe,
        network: false,
    };
    turns::submit(tx, &turns::get(tx, &turn)?, &submission)?;
    turns::started(tx, &turns::get(tx, &turn)?, &"native".into(), now_ms)?;
    let failure = Failure { kind: FailureKind::Other, detail: "exit code 1".to_owned() };
    let mut finish = Finish::bare(outcome, (outcome == Outcome::Failed).then_some(failure));
    finish.bodies = vec![crate::domain::delivery::Body::Notice { text: "done".to_owned() }];
    match outcome {
        Outcome::Lost => {
            settle::lose(tx, &at(now_ms), &turn, crate::domain::verdict::LostHow::CommandsEnded, None)?;
        }
        _ => drop(settle::finish(tx, &at(now_ms), &turn, &finish)?),
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------ a year

/// One routine of the year: when it is due, told apart from the code that plans.
struct Kind {
    name: &'static str,
    schedule: &'static str,
    zone: Tz,
    misfire: Misfire,
    overlap: Overlap,
    window_ms: i64,
    is_due: fn(NaiveDateTime) -> bool,
    /// Due in each hour: also in the one that a clock shows twice.
    is_hourly: bool,
}

fn kinds() -> Vec<Kind> {
    let daily: fn(NaiveDateTime) -> bool = |at| at.hour() == 2 && at.minute() == 30;
    let workdays: fn(NaiveDateTime) -> bool =
        |at| at.hour() == 1 && at.minute() == 15 && at.weekday().num_days_from_monday() < 5;
    let hourly: fn(NaiveDateTime) -> bool = |at| at.minute() == 10;
    let mut kinds = Vec::new();
    for (place, zone) in
        [("shanghai", Tz::Asia__Shanghai), ("berlin", Tz::Europe__Berlin), ("lord", Tz::Australia__Lord_Howe)]
    {
        for (what, schedule, is_due, is_hourly) in [
            ("daily", "30 2 * * *", daily, false),
            ("workdays", "15 1 * * 1-5", workdays, false),
            ("hourly", "10 * * * *", hourly, true),
        ] {
            let (misfire, overlap, window_ms) = match (place, what) {
                ("shanghai", "daily") | ("berlin", "hourly") => (Misfire::Skip, Overlap::Skip, 6 * HOUR),
                ("berlin", "daily") | ("lord", "hourly") => (Misfire::RunOnce, Overlap::Skip, 20 * HOUR),
                ("lord", "workdays") => (Misfire::RunOnce, Overlap::Queue, 2 * HOUR),
                _ => (Misfire::All, Overlap::Queue, 2 * DAY),
            };
            let name: &'static str = format!("{place}-{what}").leak();
            kinds.push(Kind { name, schedule, zone, misfire, overlap, window_ms, is_due, is_hourly });
        }
    }
    kinds
}

impl Kind {
    fn text(&self) -> String {
        let misfire = match self.misfire {
            Misfire::Skip => "skip",
            Misfire::RunOnce => "run_once",
            Misfire::All => "all",
        };
        let overlap = if self.overlap == Overlap::Skip { "skip" } else { "queue" };
        let (schedule, zone, minutes) = (self.schedule, self.zone.name(), self.window_ms / MINUTE);
        format!(
            "schedule: \"{schedule}\"\nzone: {zone}\nprompt: p\nmisfire: {misfire}\noverlap: {overlap}\nwindow: {minutes}m\n"
        )
    }

    /// Minute after minute: what the zone's clock shows, and whether it is due then. A minute that is skipped is due with the
    /// next one that is there, one that comes twice the first time only.
    fn due_between(&self, from_ms: i64, to_ms: i64) -> BTreeSet<i64> {
        let shown =
            |ms: i64| self.zone.from_utc_datetime(&Utc.timestamp_millis_opt(ms).unwrap().naive_utc()).naive_local();
        let mut due = BTreeSet::new();
        // From well before it: which minutes were shown already.
        let mut at = from_ms - 6 * HOUR;
        let mut furthest = shown(at);
        while at + MINUTE <= to_ms {
            at += MINUTE;
            let clock = shown(at);
            let is_again = clock <= furthest;
            let mut is_due = (self.is_due)(clock) && (!is_again || self.is_hourly);
            let mut skipped = furthest + chrono::TimeDelta::minutes(1);
            while skipped < clock {
                is_due |= (self.is_due)(skipped);
                skipped += chrono::TimeDelta::minutes(1);
            }
            furthest = furthest.max(clock);
            if is_due && at > from_ms {
                due.insert(at);
            }
        }
        due
    }
}

/// What a committed look at the clock had to come to.
struct Look {
    now_ms: i64,
    /// Whether a run was open before.
    open: usize,
}

/// What was said to be done about each due time.
#[derive(Debug, Default, PartialEq)]
struct Account {
    runs: BTreeMap<i64, bool>,
    overlapped: BTreeSet<i64>,
    missed: BTreeSet<i64>,
}

/// The rules of the plan, once more and in the plainest way.
fn expected(kind: &Kind, due: &BTreeSet<i64>, looks: &[Look], start_ms: i64) -> Account {
    let mut account = Account::default();
    let mut before = start_ms;
    for look in looks {
        let passed: Vec<i64> = due.range(before + 1..=look.now_ms.max(before + 1)).copied().collect();
        let passed: Vec<i64> = passed.into_iter().filter(|at| *at <= look.now_ms).collect();
        before = before.max(look.now_ms);
        let (on_time, missed): (Vec<i64>, Vec<i64>) =
            passed.into_iter().partition(|at| look.now_ms - at <= PUNCTUAL_MS);
        let in_window: Vec<i64> = missed.iter().copied().filter(|at| look.now_ms - at <= kind.window_ms).collect();
        let late: Vec<i64> = match kind.misfire {
            Misfire::Skip => Vec::new(),
            Misfire::RunOnce if !on_time.is_empty() => Vec::new(),
            Misfire::RunOnce => in_window.last().copied().into_iter().collect(),
            Misfire::All => in_window[in_window.len().saturating_sub(CATCH_UP)..].to_vec(),
        };
        account.missed.extend(missed.into_iter().filter(|at| !late.contains(at)));
        let mut open = look.open;
        for (at, is_late) in late.into_iter().map(|at| (at, true)).chain(on_time.into_iter().map(|at| (at, false))) {
            let is_too_much = match kind.overlap {
                Overlap::Skip => open > 0 && !is_late,
                Overlap::Queue => open >= QUEUE,
            };
            if is_too_much {
                account.overlapped.insert(at);
            } else {
                account.runs.insert(at, is_late);
                open += 1;
            }
        }
    }
    account
}

/// The same from the ledger's rows; a due time that has two is found by their sum.
fn found(tx: &Transaction<'_>, kind: &Kind, due: &BTreeSet<i64>) -> Result<(Account, i64), LedgerError> {
    let (mut account, mut sum) = (Account::default(), 0);
    for run in routines::history(tx, kind.name, u32::MAX)? {
        sum += run.count;
        match run.outcome {
            Some(RunOutcome::Missed) => {
                let last = run.last_ms.expect("the last of them");
                account.missed.extend(due.range(run.due_ms..=last));
            }
            Some(RunOutcome::Overlap) => drop(account.overlapped.insert(run.due_ms)),
            _ => drop(account.runs.insert(run.due_ms, run.late)),
        }
    }
    Ok((account, sum))
}

#[tokio::test]
async fn a_year_of_routines_loses_and_doubles_none() {
    let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap().timestamp_millis();
    let end = start + 365 * DAY;
    let (ledger, _dir) = ledger().await;
    let mut rng = Rng::with_seed(2026);
    for kind in kinds() {
        let routine = Routine::parse(kind.name, &kind.text(), Tz::UTC).expect("a routine");
        let text = kind.text();
        ledger.write(move |tx| put(tx, kind.name, &text, start)).await.expect("taken in");
        let (mut now, mut looks, mut deaths) = (start, Vec::new(), 0);
        while now < end {
            // A life of the bridge: what it looked at and did is there, or nothing of it.
            let dies = rng.u32(0..4) == 0;
            let seed = rng.u64(..);
            let (life, from) = (routine.clone(), now);
            let lived = Arc::new(std::sync::Mutex::new((now, Vec::new())));
            let told = Arc::clone(&lived);
            let result = ledger.write(move |tx| {
                let mut rng = Rng::with_seed(seed);
                let (mut now, mut looks, mut furthest) = (from, Vec::new(), from);
                for _ in 0..rng.u32(1..60) {
                    let row = routines::get(tx, &life.name)?.expect("it is there");
                    let next = life.next(row.since_ms, row.checked_ms, now).filter(|next| *next > now);
                    now = match rng.u32(0..40) {
                        0 => now + rng.i64(0..3 * DAY),
                        1 => now - rng.i64(0..2 * HOUR),
                        2 => now + rng.i64(0..8 * HOUR),
                        // It rests until the next one is due, and no longer than until then.
                        _ => {
                            let later = now + rng.i64(MINUTE..3 * HOUR);
                            next.map_or(later, |next| later.min(next + rng.i64(0..MINUTE)))
                        }
                    };
                    // What is set back further was wrong before.
                    now = now.clamp(furthest - 20 * HOUR, end + DAY);
                    furthest = furthest.max(now);
                    // The runtime is at work between two looks, or is not there for days.
                    for run in routines::open(tx, &life.name)? {
                        let is_begun = run.state == RunState::Running;
                        let is_over = match &run.turn {
                            Some(turn) => turns::get(tx, turn)?.state.is_settled(),
                            None => false,
                        };
                        if is_begun && !is_over && rng.u32(0..3) > 0 {
                            let ends = [Outcome::Completed, Outcome::Completed, Outcome::Failed, Outcome::Lost];
                            play(tx, &run, ends[rng.usize(0..4)], now)?;
                        }
                    }
                    let is_open = |run: &Run| match &run.turn {
                        Some(turn) => turns::get(tx, turn).map(|turn| !turn.state.is_settled()),
                        None => Ok(true),
                    };
                    let mut open = 0;
                    for run in routines::open(tx, &life.name)? {
                        open += usize::from(is_open(&run)?);
                    }
                    tick(tx, &life, now)?;
                    looks.push(Look { now_ms: now, open });
                }
                *told.lock().unwrap() = (now, looks);
                if dies { Err(LedgerError::Stale("the bridge dies before its commit")) } else { Ok(()) }
            });
            let result = result.await;
            let mut lived = lived.lock().unwrap();
            now = lived.0;
            match result {
                Ok(()) => looks.append(&mut lived.1),
                Err(LedgerError::Stale(_)) => deaths += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(deaths > 10, "{deaths}");
        let furthest = looks.iter().map(|look| look.now_ms).max().expect("looks");
        let due = kind.due_between(start, furthest);
        assert!(due.len() > 200, "{}: {}", kind.name, due.len());
        let want = expected(&kind, &due, &looks, start);
        let name = kind.name;
        let (got, sum) = ledger
            .read(move |tx| found(tx, &kind, &due).map(|(account, sum)| ((account, due), sum)))
            .await
            .expect("rows");
        let (got, due) = got;
        assert_eq!(sum as usize, due.len(), "{name}: each due time is told of once");
        assert_eq!(got.missed, want.missed, "{name}: missed");
        assert_eq!(got.overlapped, want.overlapped, "{name}: overlapped");
        assert_eq!(got.runs, want.runs, "{name}: run");
        assert!(got.runs.len() > 50, "{name}: {} runs", got.runs.len());
    }
    ledger.close().await;
}

// ------------------------------------------------------------------------------------------------ what is said

/// How many messages were written; nobody sends them here.
fn said(tx: &Transaction<'_>) -> Result<i64, LedgerError> {
    let counts = report::counts(tx, 0)?;
    Ok(counts.outbox_ready + counts.outbox_sending)
}

async fn with_routine(
    more: &'static str,
    test: impl FnOnce(&Transaction<'_>, &Routine) -> Result<(), LedgerError> + Send + 'static,
) {
    let (ledger, _dir) = ledger().await;
    let text = format!("schedule: \"*/10 * * * *\"\nprompt: p\n{more}");
    let routine = Routine::parse("check", &text, Tz::UTC).expect("a routine");
    ledger
        .write(move |tx| {
            put(tx, "check", &text, 0)?;
            test(tx, &routine)
        })
        .await
        .expect("it holds");
    ledger.close().await;
}

fn the_run(tx: &Transaction<'_>) -> Result<Run, LedgerError> {
    Ok(routines::open(tx, "check")?.into_iter().next().expect("a run"))
}

#[tokio::test]
async fn a_run_that_failed_is_tried_again_and_only_the_last_failure_is_told() {
    with_routine("retries: 1\n", |tx, routine| {
        tick(tx, routine, 10 * MINUTE)?;
        let first = the_run(tx)?;
        play(tx, &first, Outcome::Failed, 11 * MINUTE)?;
        tick(tx, routine, 11 * MINUTE + 10_000)?;
        assert_eq!(the_run(tx)?.turn, first.turn, "it rests");
        let now = 11 * MINUTE + 31_000;
        let woken = step(tx, vec![at(now)], routine, ground(), now)?;
        let second = the_run(tx)?;
        let turn = turns::get(tx, second.turn.as_ref().expect("a turn"))?;
        assert_eq!(woken, Some(turn.conversation), "somebody looks at its queue");
        assert!(second.turn != first.turn && second.attempt == 2 && second.id == first.id);
        let failed = |turn: &Option<TurnId>| pictures_failed(turn.as_ref().expect("a turn"));
        let card = |turn: &Option<TurnId>| surfaces::find(tx, SurfaceKind::Notice, &failed(turn));
        assert!(card(&first.turn)?.is_none(), "nobody is told of what is tried again");
        play(tx, &second, Outcome::Failed, 12 * MINUTE)?;
        assert!(card(&second.turn)?.is_some());
        tick(tx, routine, 13 * MINUTE)?;
        assert!(routines::open(tx, "check")?.is_empty());
        let history = routines::history(tx, "check", 5)?;
        assert_eq!((history.len(), history[0].outcome, history[0].attempt), (1, Some(RunOutcome::Failed), 2));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_may_have_been_done_is_never_done_again_by_itself() {
    with_routine("retries: 5\n", |tx, routine| {
        tick(tx, routine, 10 * MINUTE)?;
        play(tx, &the_run(tx)?, Outcome::Lost, 11 * MINUTE)?;
        tick(tx, routine, 19 * MINUTE)?;
        assert!(routines::open(tx, "check")?.is_empty());
        assert_eq!(routines::history(tx, "check", 5)?[0].outcome, Some(RunOutcome::Lost));
        // And it holds up nothing.
        tick(tx, routine, 20 * MINUTE)?;
        assert_eq!(the_run(tx)?.state, RunState::Running);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_rests_begins_nothing_and_what_is_gone_tries_nothing_again() {
    with_routine("misfire: all\nretries: 5\n", |tx, routine| {
        tick(tx, routine, 36 * MINUTE)?;
        assert_eq!(routines::open(tx, "check")?.len(), 3);
        routines::set_state(tx, "check", RoutineState::Paused, 36 * MINUTE)?;
        play(tx, &the_run(tx)?, Outcome::Completed, 37 * MINUTE)?;
        tick(tx, routine, 37 * MINUTE)?;
        let states: Vec<RunState> = routines::open(tx, "check")?.iter().map(|run| run.state).collect();
        assert_eq!(states, [RunState::Waiting, RunState::Waiting], "it was said that no more runs come");
        routines::set_state(tx, "check", RoutineState::On, 38 * MINUTE)?;
        tick(tx, routine, 38 * MINUTE)?;
        play(tx, &the_run(tx)?, Outcome::Failed, 39 * MINUTE)?;
        routines::set_state(tx, "check", RoutineState::Gone, 39 * MINUTE)?;
        let run = the_run(tx)?;
        assert_eq!(over::conclude(tx, None, &run, Retry::Never)?, Concluded::Over);
        Ok(())
    })
    .await;
}

/// A backup of 02:00 that is put back at 07:00: what was due at 02:30 has run.
#[tokio::test]
async fn what_was_put_back_runs_nothing_a_second_time() {
    with_routine("misfire: all\n", |tx, routine| {
        tick(tx, routine, 36 * MINUTE)?;
        let waits = |tx: &Transaction<'_>| -> Result<usize, LedgerError> {
            Ok(routines::open(tx, "check")?.iter().filter(|run| run.state == RunState::Waiting).count())
        };
        let before = waits(tx)?;
        assert!(before > 0);
        after_restore(tx, true, Tz::UTC, 5 * HOUR)?;
        assert_eq!(waits(tx)?, before, "what waits goes on with the rest");
        after_restore(tx, false, Tz::UTC, 5 * HOUR)?;
        assert_eq!(waits(tx)?, 0);
        play(tx, &the_run(tx)?, Outcome::Completed, 5 * HOUR)?;
        tick(tx, routine, 5 * HOUR + MINUTE)?;
        assert!(routines::open(tx, "check")?.is_empty(), "nothing of the time between is made up for");
        let missed: i64 = routines::history(tx, "check", 100)?
            .iter()
            .filter(|run| run.outcome == Some(RunOutcome::Missed))
            .map(|run| run.count)
            .sum();
        assert_eq!(missed, 27, "each is noted");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_routine_whose_maker_may_not_talk_any_more_rests_and_is_told_once() {
    with_routine("", |tx, routine| {
        inbound_of_owner(tx)?;
        let new = NewRoutine {
            name: "check".to_owned(),
            source: Source::Chat,
            text: "schedule: \"*/10 * * * *\"\nprompt: p\n".to_owned(),
            made_in: None,
            made_by: UserId::new("li"),
            made_name: "Li".to_owned(),
        };
        routines::put(tx, &new, true, 0)?;
        for n in 1..4 {
            tick(tx, routine, n * 10 * MINUTE)?;
        }
        let row = routines::get(tx, "check")?.expect("it is there");
        assert_eq!((row.state, said(tx)?), (RoutineState::Paused, 1));
        assert!(routines::open(tx, "check")?.is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_quiet_routine_tells_failures_and_of_many_the_first_and_the_third() {
    with_routine("quiet: true\n", |tx, routine| {
        inbound_of_owner(tx)?;
        let mut told = Vec::new();
        use Outcome::{Completed, Failed};
        for (n, outcome) in [Completed, Failed, Failed, Failed, Failed, Completed, Failed].into_iter().enumerate() {
            let now = (n as i64 + 1) * 10 * MINUTE;
            tick(tx, routine, now)?;
            let run = the_run(tx)?;
            let before = said(tx)?;
            play(tx, &run, outcome, now + MINUTE)?;
            tick(tx, routine, now + 2 * MINUTE)?;
            let failed = pictures_failed(run.turn.as_ref().expect("a turn"));
            let card = surfaces::find(tx, SurfaceKind::Notice, &failed)?.is_some();
            told.push((card, said(tx)? - before));
        }
        let nothing = (false, 0);
        assert_eq!(told, [nothing, (true, 0), nothing, (false, 1), nothing, nothing, (true, 0)]);
        Ok(())
    })
    .await;
}

fn pictures_failed(turn: &TurnId) -> String {
    crate::bridge::pictures::failed_subject(turn)
}

/// The owner has spoken in a direct chat: it is known.
fn inbound_of_owner(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    use crate::ledger::inbound::{InboundState, NewInbound};
    let row = NewInbound {
        channel: "local".into(),
        dedupe_key: "first".to_owned(),
        kind: "message",
        state: InboundState::Command,
        reason: None,
        chat: Some("main".into()),
        chat_kind: Some("direct"),
        message: Some("m".into()),
        sender: Some("wang".into()),
        raw: None,
        sent_at_ms: Some(1),
        received_at_ms: 1,
    };
    inbound::admit(tx, &row).map(drop)
}
