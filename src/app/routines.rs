//! Routines as lists tell them: the same whether the daemon runs or not.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::bridge::core::Core;
use crate::bridge::routines::{self as at_work, Changed, Problem};
use crate::control::{RoutineDetail, RoutineReport, RoutineWish, RunRow, ServiceError};
use crate::domain::routine::{Routine, To};
use crate::domain::view::Lang;
use crate::ledger::routines::{self, RoutineRow, RoutineState, Run};
use crate::ledger::{LedgerError, Transaction};
use crate::words::{RoutineMsg, routine_error};

/// Due times that are told ahead.
pub(crate) const UPCOMING: usize = 5;
/// Most runs that are told at once.
pub(crate) const RUNS: u32 = 1000;

/// What is needed to tell of routines, besides their rows.
pub(crate) struct Told {
    pub(crate) zone: Tz,
    pub(crate) lang: Lang,
    pub(crate) now_ms: i64,
    /// What is wrong with files, where the daemon has looked.
    pub(crate) problems: BTreeMap<String, Problem>,
}

impl Told {
    pub(super) fn by(core: &Core) -> Self {
        let (zone, lang, now_ms) = (core.config.zone, core.config.lang, core.now_ms());
        Self { zone, lang, now_ms, problems: core.routine_problems.all() }
    }

    /// All of them, by name: also those that are nothing but a file which nobody can read.
    pub(crate) fn all(&self, tx: &Transaction<'_>) -> Result<Vec<RoutineReport>, LedgerError> {
        let mut all = Vec::new();
        for row in routines::listed(tx)? {
            let last = routines::history(tx, &row.name, 1)?.into_iter().next();
            all.push(self.report(&row, last));
        }
        let broken: Vec<RoutineReport> = self
            .problems
            .iter()
            .filter(|(name, _)| !all.iter().any(|report| report.name == **name))
            .map(|(name, problem)| self.broken(name, problem))
            .collect();
        all.extend(broken);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// One with so many of its newest runs.
    pub(crate) fn one(
        &self,
        tx: &Transaction<'_>,
        name: &str,
        runs: u32,
    ) -> Result<Option<RoutineDetail>, LedgerError> {
        let Some(row) = routines::get(tx, name)?.filter(|row| row.state != RoutineState::Gone) else {
            let broken = self.problems.get(name).map(|problem| self.broken(name, problem));
            let none = |report| RoutineDetail {
                report,
                text: String::new(),
                made_by: None,
                upcoming: Vec::new(),
                runs: Vec::new(),
            };
            return Ok(broken.map(none));
        };
        let history = routines::history(tx, name, runs.clamp(1, RUNS))?;
        let report = self.report(&row, history.first().cloned());
        let upcoming = match Routine::parse(&row.name, &row.text, self.zone) {
            Ok(routine) => routine.schedule.upcoming(self.now_ms, row.since_ms, UPCOMING),
            Err(_) => Vec::new(),
        };
        let made_by = Some(row.made_name).filter(|name| !name.is_empty());
        let runs = if runs == 0 { Vec::new() } else { history.into_iter().map(run_row).collect() };
        Ok(Some(RoutineDetail { report, text: row.text, made_by, upcoming, runs }))
    }

    fn report(&self, row: &RoutineRow, last: Option<Run>) -> RoutineReport {
        let read = Routine::parse(&row.name, &row.text, self.zone);
        let problem = self.problems.get(&row.name).map(|problem| self.what(problem));
        let mut report = RoutineReport {
            name: row.name.clone(),
            source: row.source.as_str().to_owned(),
            state: row.state.as_str().to_owned(),
            schedule: String::new(),
            zone: self.zone.name().to_owned(),
            next_ms: None,
            to: String::new(),
            autonomy: String::new(),
            last: last.map(run_row),
            failures: row.failures,
            problem,
        };
        match read {
            Ok(routine) => {
                report.schedule = routine.schedule.when.to_string();
                report.zone = routine.schedule.zone.name().to_owned();
                let next = || routine.next(row.since_ms, row.checked_ms, self.now_ms);
                report.next_ms = (row.state == RoutineState::On).then(next).flatten();
                report.to = match &routine.to {
                    To::Owner => "owner".to_owned(),
                    To::Chat { channel, chat } => format!("{channel} {chat}"),
                };
                report.autonomy = routine.autonomy.as_str().to_owned();
            }
            Err(error) => report.problem = Some(routine_error(&error, self.lang)),
        }
        report
    }

    fn broken(&self, name: &str, problem: &Problem) -> RoutineReport {
        RoutineReport {
            name: name.to_owned(),
            source: "file".to_owned(),
            state: "broken".to_owned(),
            schedule: String::new(),
            zone: self.zone.name().to_owned(),
            next_ms: None,
            to: String::new(),
            autonomy: String::new(),
            last: None,
            failures: 0,
            problem: Some(self.what(problem)),
        }
    }

    fn what(&self, problem: &Problem) -> String {
        match problem {
            Problem::Text(error) => routine_error(error, self.lang),
            Problem::Taken => RoutineMsg::Taken.text(self.lang),
            Problem::File { detail } => RoutineMsg::FileUnreadable { detail }.text(self.lang),
        }
    }
}

fn run_row(run: Run) -> RunRow {
    RunRow {
        due_ms: run.due_ms,
        state: run.state.as_str().to_owned(),
        outcome: run.outcome.map(|outcome| outcome.as_str().to_owned()),
        last_ms: run.last_ms,
        count: run.count,
        late: run.late,
        started_by: run.started_by,
        attempt: run.attempt,
        turn: run.turn.map(|turn| turn.to_string()),
        detail: run.detail,
        over_at_ms: run.over_at_ms,
    }
}

/// Does what is wished, in the name of `who`.
pub(super) async fn change(core: &Core, name: &str, wish: RoutineWish, who: &str) -> Result<(), ServiceError> {
    let done = match wish {
        RoutineWish::Run => at_work::run_now(core, name, who).await,
        RoutineWish::Pause => at_work::change(core, name, RoutineState::Paused, who).await,
        RoutineWish::Resume => at_work::change(core, name, RoutineState::On, who).await,
        RoutineWish::Remove => at_work::change(core, name, RoutineState::Gone, who).await,
        RoutineWish::Reload => {
            core.wakes.routines.notify_one();
            Ok(Changed::Done)
        }
    };
    match done.map_err(super::service::failed)? {
        Changed::Done | Changed::Already => Ok(()),
        Changed::Unknown => Err(ServiceError::NotFound(format!("there is no routine {name}"))),
        Changed::Busy => Err(ServiceError::Refused(format!("{name} is under way already"))),
        Changed::IsFile => Err(ServiceError::Refused(format!("{name} is a file; it ends when that is taken away"))),
    }
}
