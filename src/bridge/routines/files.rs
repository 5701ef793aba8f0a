//! Routines that are files: `$ALLY_HOME/routines/NAME.yaml`. What a file says is taken into the ledger as soon as it can be
//! read; one that cannot be read changes nothing, and what it said before holds on.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use tracing::{info, warn};

use crate::bridge::core::Core;
use crate::domain::ids::UserId;
use crate::domain::routine::{Routine, RoutineError, Skipped, TEXT_BYTES};
use crate::domain::schedule::When;
use crate::ledger::routines::{self, NewRoutine, RoutineState, RunOutcome, Source};
use crate::ledger::{LedgerError, Transaction};

/// How a routine's file ends.
pub const ENDING: &str = "yaml";

/// Why a routine does not do what its file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Its text cannot be read. What it said before holds, if it ever could be.
    Text(RoutineError),
    /// Somebody made one of this name in a chat.
    Taken,
    /// The file itself cannot be read.
    File { detail: String },
}

/// What is wrong with which routine, for `status` and the lists.
#[derive(Debug, Default)]
pub struct Problems(Mutex<BTreeMap<String, Problem>>);

impl Problems {
    pub fn of(&self, name: &str) -> Option<Problem> {
        self.0.lock().expect("no code panics while it holds this lock").get(name).cloned()
    }

    pub fn all(&self) -> BTreeMap<String, Problem> {
        self.0.lock().expect("no code panics while it holds this lock").clone()
    }

    pub(super) fn set(&self, name: &str, error: RoutineError) {
        self.put(name, Problem::Text(error));
    }

    fn put(&self, name: &str, problem: Problem) {
        let mut all = self.0.lock().expect("no code panics while it holds this lock");
        if all.get(name) != Some(&problem) {
            warn!(routine = %name, ?problem, "A routine cannot be taken as it is written; see `ally routine list`");
            all.insert(name.to_owned(), problem);
        }
    }

    fn clear(&self, name: &str) {
        self.0.lock().expect("no code panics while it holds this lock").remove(name);
    }
}

/// What was read of the files, so that only what has changed is read again.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: BTreeMap<String, Stamp>,
    /// All that were there.
    seen: BTreeMap<String, Stamp>,
    /// They were compared with the ledger's rows: what is gone since the last bridge is noticed, too.
    is_compared: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Files {
    /// Takes in what has changed in the folder.
    pub(super) async fn take_in(&mut self, core: &Core) -> Result<(), LedgerError> {
        let folder = &core.config.routines;
        let found = match listed(folder) {
            Ok(found) => found,
            Err(error) => {
                // Not the same as a folder without files: nothing is taken away for it.
                warn!(folder = %folder.display(), %error, "The folder of the routines cannot be read");
                return Ok(());
            }
        };
        if self.is_compared && found == self.known {
            return Ok(());
        }
        for (name, stamp) in &found {
            if self.is_compared && self.known.get(name) == Some(stamp) {
                continue;
            }
            take(core, name, &folder.join(format!("{name}.{ENDING}"))).await?;
        }
        gone(core, &found).await?;
        for name in self.seen.keys().filter(|name| !found.contains_key(*name)) {
            core.routine_problems.clear(name);
        }
        (self.known, self.seen, self.is_compared) = (found.clone(), found, true);
        // What may be mended without the file being touched is looked at again.
        let may_pass =
            |name: &String| matches!(core.routine_problems.of(name), Some(Problem::Taken | Problem::File { .. }));
        self.known.retain(|name, _| !may_pass(name));
        Ok(())
    }
}

fn listed(folder: &Path) -> io::Result<BTreeMap<String, Stamp>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        if path.extension().is_none_or(|ending| ending != ENDING) || name.starts_with('.') {
            continue;
        }
        // Gone between the two looks: the next one sees that.
        let Ok(about) = std::fs::metadata(&path) else { continue };
        let stamp = Stamp { modified: about.modified().ok(), bytes: about.len() };
        found.insert(name.to_owned(), stamp);
    }
    Ok(found)
}

async fn take(core: &Core, name: &str, path: &Path) -> Result<(), LedgerError> {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => {
            core.routine_problems.put(name, Problem::File { detail: error.to_string() });
            return Ok(());
        }
    };
    let routine = match Routine::parse(name, &text, core.config.zone) {
        Ok(routine) => routine,
        Err(error) => {
            core.routine_problems.put(name, Problem::Text(error));
            return Ok(());
        }
    };
    let (now, zone) = (core.now_ms(), core.config.zone);
    let taken = core
        .ledger
        .write(move |tx| {
            let former = routines::get(tx, &routine.name)?.filter(|row| row.state != RoutineState::Gone);
            match &former {
                Some(row) if row.source != Source::File => return Ok(None),
                Some(row) if row.text == text => return Ok(Some(false)),
                _ => {}
            }
            let new = NewRoutine {
                name: routine.name.clone(),
                source: Source::File,
                text,
                made_in: None,
                made_by: UserId::new(""),
                made_name: String::new(),
            };
            let before = former.and_then(|row| Routine::parse(&row.name, &row.text, zone).ok());
            let is_anew = before.is_none_or(|before| before.schedule != routine.schedule);
            routines::put(tx, &new, is_anew, now)?;
            let moment = match routine.schedule.when {
                When::Once(_) if is_anew => routine.schedule.next_after(i64::MIN, now),
                _ => None,
            };
            if let Some(at) = moment.filter(|at| *at <= now) {
                let missed = Skipped { first_ms: at, last_ms: at, count: 1 };
                routines::skip(tx, &routine.name, missed, RunOutcome::Missed, now)?;
            }
            Ok(Some(true))
        })
        .await?;
    match taken {
        None => core.routine_problems.put(name, Problem::Taken),
        Some(changed) => {
            core.routine_problems.clear(name);
            if changed {
                info!(routine = %name, "A routine was taken in");
            }
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    // A byte more than may be: the reader of the text says what is too much.
    std::fs::File::open(path)?.take(TEXT_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Routines whose files are gone.
async fn gone(core: &Core, found: &BTreeMap<String, Stamp>) -> Result<(), LedgerError> {
    let there: Vec<String> = found.keys().cloned().collect();
    let now = core.now_ms();
    let lost = move |tx: &Transaction<'_>| {
        let rows = routines::listed(tx)?;
        let lost = rows.into_iter().filter(|row| row.source == Source::File && !there.contains(&row.name));
        Ok(lost.map(|row| row.name).collect::<Vec<_>>())
    };
    let lost = core.ledger.read(lost).await?;
    if lost.is_empty() {
        return Ok(());
    }
    info!(routines = ?lost, "The files of routines are gone; they do not run any more");
    core.ledger
        .write(move |tx| {
            for name in &lost {
                routines::set_state(tx, name, RoutineState::Gone, now)?;
            }
            Ok(())
        })
        .await
}
