//! Routines and their runs. A due time has at most one row, and every due time is accounted for by one: as a run of its own,
//! or among those that were skipped.

use rusqlite::{Row, Transaction, params};

use super::LedgerError;
use super::sql::{all, first, id, id_opt, run, unreadable};
use crate::domain::ids::*;
use crate::domain::routine::{Due, Skipped};

/// Where a routine's text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    File,
    Chat,
    /// An agent made it, and a person confirmed it.
    Agent,
}

impl Source {
    const ALL: [Source; 3] = [Source::File, Source::Chat, Source::Agent];

    pub fn as_str(self) -> &'static str {
        match self {
            Source::File => "file",
            Source::Chat => "chat",
            Source::Agent => "agent",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutineState {
    On,
    Paused,
    /// Its file is gone, or somebody took it away; its runs are kept.
    Gone,
}

impl RoutineState {
    const ALL: [RoutineState; 3] = [RoutineState::On, RoutineState::Paused, RoutineState::Gone];

    pub fn as_str(self) -> &'static str {
        match self {
            RoutineState::On => "on",
            RoutineState::Paused => "paused",
            RoutineState::Gone => "gone",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutineRow {
    pub name: String,
    pub source: Source,
    pub text: String,
    pub state: RoutineState,
    /// Intervals count from here.
    pub since_ms: i64,
    /// Due times up to here are accounted for.
    pub checked_ms: i64,
    /// The chat in which it was made.
    pub made_in: Option<(ChannelName, ChatId)>,
    pub made_by: UserId,
    pub made_name: String,
    /// Runs that failed in a row.
    pub failures: u32,
}

#[derive(Debug, Clone)]
pub struct NewRoutine {
    pub name: String,
    pub source: Source,
    pub text: String,
    pub made_in: Option<(ChannelName, ChatId)>,
    pub made_by: UserId,
    pub made_name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    Waiting,
    Running,
    Over,
    Skipped,
}

impl RunState {
    const ALL: [RunState; 4] = [RunState::Waiting, RunState::Running, RunState::Over, RunState::Skipped];

    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Waiting => "waiting",
            RunState::Running => "running",
            RunState::Over => "over",
            RunState::Skipped => "skipped",
        }
    }
}

/// What came of a run, or why there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    Completed,
    Failed,
    /// It took longer than it may, and was stopped.
    TimedOut,
    /// A person stopped it.
    Stopped,
    /// ally was stopped in the middle of it.
    CutOff,
    /// Nobody knows what it did.
    Lost,
    /// It was taken out of the queue.
    Cancelled,
    /// Nobody was there when it was due.
    Missed,
    /// The one before went on.
    Overlap,
}

impl RunOutcome {
    const ALL: [RunOutcome; 9] = [
        RunOutcome::Completed,
        RunOutcome::Failed,
        RunOutcome::TimedOut,
        RunOutcome::Stopped,
        RunOutcome::CutOff,
        RunOutcome::Lost,
        RunOutcome::Cancelled,
        RunOutcome::Missed,
        RunOutcome::Overlap,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RunOutcome::Completed => "completed",
            RunOutcome::Failed => "failed",
            RunOutcome::TimedOut => "timed_out",
            RunOutcome::Stopped => "stopped",
            RunOutcome::CutOff => "cut_off",
            RunOutcome::Lost => "lost",
            RunOutcome::Cancelled => "cancelled",
            RunOutcome::Missed => "missed",
            RunOutcome::Overlap => "overlap",
        }
    }

    /// Whether it counts as one that failed.
    pub fn is_failure(self) -> bool {
        matches!(self, RunOutcome::Failed | RunOutcome::TimedOut | RunOutcome::Lost)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub id: RunId,
    pub routine: String,
    pub due_ms: i64,
    pub state: RunState,
    pub outcome: Option<RunOutcome>,
    /// Of many that were skipped: the last, and how many.
    pub last_ms: Option<i64>,
    pub count: i64,
    /// It was missed, and is made up for.
    pub late: bool,
    /// Who started it by hand.
    pub started_by: Option<String>,
    pub attempt: u32,
    pub turn: Option<TurnId>,
    pub detail: Option<String>,
    pub claimed_at_ms: i64,
    pub over_at_ms: Option<i64>,
}

// ------------------------------------------------------------------------------------------------ routines

/// Takes a routine, or the new text of one. `anew`: its schedule is another, so that what was due by the former one is no
/// longer asked about, and intervals count from now.
pub fn put(tx: &Transaction<'_>, new: &NewRoutine, anew: bool, now_ms: i64) -> Result<(), LedgerError> {
    let (channel, chat) = new.made_in.as_ref().map(|(channel, chat)| (channel.as_str(), chat.as_str())).unzip();
    let sql = "INSERT INTO routines (name, source, text, state, since_ms, checked_ms, channel, chat, made_by, made_name)
         VALUES (?1, ?2, ?3, 'on', ?4, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (name) DO UPDATE SET source = excluded.source, text = excluded.text,
             state = CASE state WHEN 'gone' THEN 'on' ELSE state END,
             since_ms = CASE WHEN ?9 OR state = 'gone' THEN ?4 ELSE since_ms END,
             checked_ms = CASE WHEN ?9 OR state = 'gone' THEN ?4 ELSE checked_ms END,
             failures = CASE WHEN state = 'gone' THEN 0 ELSE failures END,
             channel = excluded.channel, chat = excluded.chat, made_by = excluded.made_by, made_name = excluded.made_name";
    let (source, name) = (new.source.as_str(), new.name.as_str());
    run(tx, sql, params![name, source, new.text, now_ms, channel, chat, new.made_by.as_str(), new.made_name, anew])?;
    Ok(())
}

pub fn get(tx: &Transaction<'_>, name: &str) -> Result<Option<RoutineRow>, LedgerError> {
    first(tx, "SELECT * FROM routines WHERE name = ?1", [name], read)
}

/// Those that are there, by name.
pub fn listed(tx: &Transaction<'_>) -> Result<Vec<RoutineRow>, LedgerError> {
    all(tx, "SELECT * FROM routines WHERE state <> 'gone' ORDER BY name", [], read)
}

/// False where it was so before, or where there is none. What was due while it was paused is not made up for.
pub fn set_state(tx: &Transaction<'_>, name: &str, state: RoutineState, now_ms: i64) -> Result<bool, LedgerError> {
    let sql =
        "UPDATE routines SET state = ?2, checked_ms = CASE WHEN ?2 = 'on' THEN max(checked_ms, ?3) ELSE checked_ms END
         WHERE name = ?1 AND state <> ?2 AND state <> 'gone'";
    Ok(run(tx, sql, params![name, state.as_str(), now_ms])? == 1)
}

/// All due times up to here are accounted for.
pub fn checked(tx: &Transaction<'_>, name: &str, checked_ms: i64) -> Result<(), LedgerError> {
    run(tx, "UPDATE routines SET checked_ms = ?2 WHERE name = ?1", params![name, checked_ms])?;
    Ok(())
}

// ------------------------------------------------------------------------------------------------ runs

/// The run of a due time; `None` where that has one already. One that was noted as skipped had none: a clock that was wrong
/// had called it missed.
pub fn claim(tx: &Transaction<'_>, routine: &str, due: Due, now_ms: i64) -> Result<Option<RunId>, LedgerError> {
    insert(tx, routine, due, None, now_ms)
}

/// A run that somebody wants now.
pub fn claim_by_hand(tx: &Transaction<'_>, routine: &str, by: &str, now_ms: i64) -> Result<Option<RunId>, LedgerError> {
    insert(tx, routine, Due { at_ms: now_ms, late: false }, Some(by), now_ms)
}

fn insert(
    tx: &Transaction<'_>,
    routine: &str,
    due: Due,
    by: Option<&str>,
    now_ms: i64,
) -> Result<Option<RunId>, LedgerError> {
    let id = RunId::fresh();
    let sql = "INSERT INTO runs (id, routine, due_ms, state, late, started_by, claimed_at_ms)
         VALUES (?1, ?2, ?3, 'waiting', ?4, ?5, ?6)
         ON CONFLICT (routine, due_ms) DO UPDATE SET id = excluded.id, state = 'waiting', outcome = NULL, last_ms = NULL,
             count = 1, late = excluded.late, started_by = excluded.started_by, claimed_at_ms = excluded.claimed_at_ms,
             over_at_ms = NULL
         WHERE state = 'skipped'";
    let made = run(tx, sql, params![id.as_str(), routine, due.at_ms, due.late, by, now_ms])?;
    Ok((made == 1).then_some(id))
}

/// Notes due times that are not run.
pub fn skip(
    tx: &Transaction<'_>,
    routine: &str,
    skipped: Skipped,
    why: RunOutcome,
    now_ms: i64,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO runs (id, routine, due_ms, state, outcome, last_ms, count, claimed_at_ms, over_at_ms)
         VALUES (?1, ?2, ?3, 'skipped', ?4, ?5, ?6, ?7, ?7) ON CONFLICT (routine, due_ms) DO NOTHING";
    let (first_ms, last_ms, count) = (skipped.first_ms, skipped.last_ms, skipped.count as i64);
    run(tx, sql, params![RunId::fresh().as_str(), routine, first_ms, why.as_str(), last_ms, count, now_ms])?;
    Ok(())
}

/// The runs of a routine that are not over, in the order in which they were due.
pub fn open(tx: &Transaction<'_>, routine: &str) -> Result<Vec<Run>, LedgerError> {
    let sql = "SELECT * FROM runs INDEXED BY runs_open WHERE routine = ?1 AND state IN ('waiting', 'running') ORDER BY due_ms";
    all(tx, sql, [routine], read_run)
}

/// Routines that have runs which are not over.
pub fn with_open(tx: &Transaction<'_>) -> Result<Vec<String>, LedgerError> {
    let sql = "SELECT DISTINCT routine FROM runs INDEXED BY runs_open WHERE state IN ('waiting', 'running')";
    all(tx, sql, [], |row| row.get(0))
}

/// A run whose turn somebody has go on in another one goes on with that.
pub fn goes_on(tx: &Transaction<'_>, former: &TurnId, with: &TurnId) -> Result<(), LedgerError> {
    let sql =
        "UPDATE runs INDEXED BY runs_turn SET turn = ?2 WHERE turn = ?1 AND turn IS NOT NULL AND state = 'running'";
    run(tx, sql, params![former.as_str(), with.as_str()])?;
    Ok(())
}

/// The run that a turn plays.
pub fn of_turn(tx: &Transaction<'_>, turn: &TurnId) -> Result<Option<Run>, LedgerError> {
    first(tx, "SELECT * FROM runs INDEXED BY runs_turn WHERE turn = ?1 AND turn IS NOT NULL", [turn.as_str()], read_run)
}

/// Its turn is in the queue.
pub fn begin(tx: &Transaction<'_>, id: &RunId, turn: &TurnId) -> Result<(), LedgerError> {
    let sql = "UPDATE runs SET state = 'running', turn = ?2 WHERE id = ?1 AND state = 'waiting'";
    run(tx, sql, params![id.as_str(), turn.as_str()])?;
    Ok(())
}

/// It failed, and another turn tries it again.
pub fn again(tx: &Transaction<'_>, id: &RunId, turn: &TurnId, why: &str) -> Result<(), LedgerError> {
    let sql = "UPDATE runs SET attempt = attempt + 1, turn = ?2, detail = ?3 WHERE id = ?1 AND state = 'running'";
    run(tx, sql, params![id.as_str(), turn.as_str(), why])?;
    Ok(())
}

/// How it ended. Gives how many have failed in a row now.
pub fn over(
    tx: &Transaction<'_>,
    of: &Run,
    outcome: RunOutcome,
    detail: Option<&str>,
    now_ms: i64,
) -> Result<u32, LedgerError> {
    let sql = "UPDATE runs SET state = 'over', outcome = ?2, detail = coalesce(?3, detail), over_at_ms = ?4
         WHERE id = ?1 AND state IN ('waiting', 'running')";
    run(tx, sql, params![of.id.as_str(), outcome.as_str(), detail, now_ms])?;
    let count = match outcome {
        RunOutcome::Completed => "failures = 0",
        failed if failed.is_failure() => "failures = failures + 1",
        // Whoever stopped it said nothing of how it works.
        _ => "failures = failures",
    };
    let sql = format!("UPDATE routines SET {count} WHERE name = ?1 RETURNING failures");
    Ok(first(tx, &sql, [&of.routine], |row| row.get(0))?.unwrap_or(0))
}

/// The newest runs of a routine.
pub fn history(tx: &Transaction<'_>, routine: &str, limit: u32) -> Result<Vec<Run>, LedgerError> {
    let sql = "SELECT * FROM runs WHERE routine = ?1 ORDER BY due_ms DESC LIMIT ?2";
    all(tx, sql, params![routine, limit], read_run)
}

/// What came to its end since, in that order.
pub fn over_since(tx: &Transaction<'_>, since_ms: i64) -> Result<Vec<Run>, LedgerError> {
    let sql =
        "SELECT * FROM runs INDEXED BY runs_over WHERE over_at_ms IS NOT NULL AND over_at_ms >= ?1 ORDER BY over_at_ms";
    all(tx, sql, [since_ms], read_run)
}

fn read(row: &Row<'_>) -> rusqlite::Result<RoutineRow> {
    let (source, state): (String, String) = (row.get("source")?, row.get("state")?);
    let made_in = id_opt(row, "channel")?.zip(id_opt(row, "chat")?);
    Ok(RoutineRow {
        name: row.get("name")?,
        source: find(Source::ALL, Source::as_str, &source).ok_or_else(|| unreadable("routine source", &source))?,
        text: row.get("text")?,
        state: find(RoutineState::ALL, RoutineState::as_str, &state)
            .ok_or_else(|| unreadable("routine state", &state))?,
        since_ms: row.get("since_ms")?,
        checked_ms: row.get("checked_ms")?,
        made_in,
        made_by: id(row, "made_by")?,
        made_name: row.get("made_name")?,
        failures: row.get("failures")?,
    })
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let (state, outcome): (String, Option<String>) = (row.get("state")?, row.get("outcome")?);
    let of =
        |text: &String| find(RunOutcome::ALL, RunOutcome::as_str, text).ok_or_else(|| unreadable("run outcome", text));
    Ok(Run {
        id: id(row, "id")?,
        routine: row.get("routine")?,
        due_ms: row.get("due_ms")?,
        state: find(RunState::ALL, RunState::as_str, &state).ok_or_else(|| unreadable("run state", &state))?,
        outcome: outcome.as_ref().map(of).transpose()?,
        last_ms: row.get("last_ms")?,
        count: row.get("count")?,
        late: row.get("late")?,
        started_by: row.get("started_by")?,
        attempt: row.get("attempt")?,
        turn: id_opt(row, "turn")?,
        detail: row.get("detail")?,
        claimed_at_ms: row.get("claimed_at_ms")?,
        over_at_ms: row.get("over_at_ms")?,
    })
}

fn find<T: Copy, const N: usize>(all: [T; N], name: impl Fn(T) -> &'static str, text: &str) -> Option<T> {
    all.into_iter().find(|one| name(*one) == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::open::{Places, writer};

    fn with_routine(test: impl FnOnce(&Transaction<'_>)) {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { file: dir.path().join("ledger.db"), backups: dir.path().join("backups") };
        let mut ledger = writer(&places).unwrap();
        let tx = ledger.transaction().unwrap();
        put(&tx, &digest("a"), false, 10).unwrap();
        test(&tx);
    }

    fn digest(text: &str) -> NewRoutine {
        NewRoutine {
            name: "digest".to_owned(),
            source: Source::File,
            text: text.to_owned(),
            made_in: Some(("feishu".into(), "oc_1".into())),
            made_by: "ou_1".into(),
            made_name: "Wang".to_owned(),
        }
    }

    const DUE: Due = Due { at_ms: 100, late: false };

    #[test]
    fn a_due_time_has_one_run() {
        with_routine(|tx| {
            let run = claim(tx, "digest", DUE, 101).unwrap().expect("a run");
            assert_eq!(claim(tx, "digest", Due { late: true, ..DUE }, 102).unwrap(), None);
            skip(tx, "digest", Skipped { first_ms: 100, last_ms: 100, count: 1 }, RunOutcome::Missed, 102).unwrap();
            let open = open(tx, "digest").unwrap();
            assert_eq!(open.iter().map(|one| (&one.id, one.state)).collect::<Vec<_>>(), [(&run, RunState::Waiting)]);
            over(tx, &open[0], RunOutcome::Completed, None, 110).unwrap();
            assert_eq!(claim(tx, "digest", DUE, 111).unwrap(), None, "nor when it is over");
            assert!(claim_by_hand(tx, "digest", "Wang", 112).unwrap().is_some());
            skip(tx, "digest", Skipped { first_ms: 200, last_ms: 300, count: 2 }, RunOutcome::Missed, 400).unwrap();
            assert!(claim(tx, "digest", Due { at_ms: 200, late: false }, 200).unwrap().is_some(), "it had none");
        });
    }

    #[test]
    fn failures_are_counted_until_one_succeeds() {
        with_routine(|tx| {
            let mut counts = Vec::new();
            use RunOutcome::*;
            for (n, outcome) in [Failed, TimedOut, Stopped, Lost, Completed, Failed].into_iter().enumerate() {
                let at_ms = 100 + n as i64;
                claim(tx, "digest", Due { at_ms, late: false }, at_ms).unwrap();
                let run = open(tx, "digest").unwrap().remove(0);
                counts.push(over(tx, &run, outcome, Some("why"), at_ms).unwrap());
            }
            assert_eq!(counts, [1, 2, 2, 3, 0, 1]);
            let history = history(tx, "digest", 3).unwrap();
            assert_eq!(
                history.iter().map(|run| run.outcome).collect::<Vec<_>>(),
                [Some(Failed), Some(Completed), Some(Lost)]
            );
            assert_eq!(over_since(tx, 104).unwrap().len(), 2);
        });
    }

    #[test]
    fn another_schedule_begins_anew_and_another_text_does_not() {
        with_routine(|tx| {
            checked(tx, "digest", 50).unwrap();
            put(tx, &digest("b"), false, 60).unwrap();
            let row = get(tx, "digest").unwrap().unwrap();
            assert_eq!((row.text.as_str(), row.since_ms, row.checked_ms), ("b", 10, 50));
            put(tx, &digest("c"), true, 70).unwrap();
            let row = get(tx, "digest").unwrap().unwrap();
            assert_eq!((row.since_ms, row.checked_ms), (70, 70));
        });
    }

    #[test]
    fn what_was_due_while_it_was_paused_is_not_made_up_for() {
        with_routine(|tx| {
            assert!(set_state(tx, "digest", RoutineState::Paused, 20).unwrap());
            assert!(!set_state(tx, "digest", RoutineState::Paused, 30).unwrap(), "it is");
            put(tx, &digest("b"), false, 40).unwrap();
            assert_eq!(get(tx, "digest").unwrap().unwrap().state, RoutineState::Paused, "a new text resumes nothing");
            assert!(set_state(tx, "digest", RoutineState::On, 500).unwrap());
            assert_eq!(get(tx, "digest").unwrap().unwrap().checked_ms, 500);
            assert!(set_state(tx, "digest", RoutineState::Gone, 600).unwrap());
            assert!(listed(tx).unwrap().is_empty() && get(tx, "digest").unwrap().is_some(), "its runs are kept");
            assert!(!set_state(tx, "digest", RoutineState::On, 700).unwrap(), "it needs a text again");
            put(tx, &digest("d"), false, 800).unwrap();
            assert_eq!(get(tx, "digest").unwrap().unwrap().checked_ms, 800);
        });
    }
}
