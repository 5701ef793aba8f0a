//! The home: its settings, its files, its disk, its daemon, its ledger.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Daemon, Sheet, age, joined};
use crate::config::{Config, Paths, Problems};
use crate::control::DaemonState;
use crate::domain::finding::{Check, Grade};
use crate::domain::invariant::Invariant;
use crate::domain::quote;
use crate::domain::routine::{Routine, TEXT_BYTES};
use crate::ledger::report::{self, Counts};
use crate::ledger::routines::{RoutineRow, RoutineState, listed};
use crate::words::{self, DoctorMsg, routine_error};

/// With less than this nothing can be taken for long.
const FULL: u64 = 200 << 20;
/// With less than this it is worth a word.
const TIGHT: u64 = 1 << 30;
/// Messages that wait longer than this do not just wait for their turn.
const UNSENT_MS: i64 = 2 * 60_000;

/// The settings as they were read.
pub fn config(sheet: &mut Sheet, paths: &Paths, config: &Result<Config, Problems>) {
    let lang = sheet.lang;
    match config {
        Ok(config) => {
            sheet.ok(Check::Config, DoctorMsg::ConfigFine { file: &paths.config.display().to_string() });
            // What weakens the sandbox is told with the runtime. Each says what to do.
            let weakens = config.safety_warnings();
            for warning in config.warnings.iter().filter(|one| !weakens.contains(one)) {
                sheet.put(Check::Config, Grade::Note, warning.clone(), None);
            }
        }
        Err(problems) => {
            let found = DoctorMsg::ConfigBad { n: problems.list().len() }.text(lang);
            let all: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
            sheet.put(Check::Config, Grade::Bad, found, Some(all.join("\n")));
        }
    }
}

/// Nobody else may read what lies in the home: words of people, credentials, the token of the control socket.
pub fn modes(sheet: &mut Sheet, paths: &Paths) {
    let lang = sheet.lang;
    if !paths.home.exists() {
        let home = paths.home.display().to_string();
        return sheet.note(Check::Modes, DoctorMsg::NoHome { home: &home }, DoctorMsg::StartRemedy);
    }
    let mine = rustix::process::geteuid().as_raw();
    let (mut looked, mut open, mut foreign, mut commands) = (0, Vec::new(), Vec::new(), Vec::new());
    for path in private_places(paths) {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.file_type().is_symlink() {
            continue;
        }
        looked += 1;
        let shown = path.display().to_string();
        if found.uid() != mine {
            foreign.push(shown.clone());
            commands.push(format!("sudo chown $(id -u) {}", quote::path(&path)));
        }
        if found.mode() & 0o077 != 0 {
            let mode = found.mode() & 0o7777;
            open.push(format!("{shown} ({mode:04o})"));
            let mode = if found.is_dir() { "700" } else { "600" };
            commands.push(format!("chmod {mode} {}", quote::path(&path)));
        }
    }
    if commands.is_empty() {
        return sheet.ok(Check::Modes, DoctorMsg::ModesFine { n: looked });
    }
    let mut found = Vec::new();
    if !open.is_empty() {
        found.push(DoctorMsg::ModesOpen { what: &joined(&open, lang) }.text(lang));
    }
    if !foreign.is_empty() {
        found.push(DoctorMsg::ModesForeign { what: &joined(&foreign, lang) }.text(lang));
    }
    let remedy = DoctorMsg::ModesRemedy { command: &commands.join(" && ") }.text(lang);
    sheet.put(Check::Modes, Grade::Bad, found.join("\n"), Some(remedy));
}

fn private_places(paths: &Paths) -> Vec<PathBuf> {
    let mut places = vec![paths.home.clone(), paths.token(), paths.assistant.clone(), paths.attachments.clone()];
    places.extend(paths.private());
    for ending in ["-wal", "-shm"] {
        let mut name = paths.ledger.clone().into_os_string();
        name.push(ending);
        places.push(name.into());
    }
    places
}

/// Room where the home lies.
pub fn disk(sheet: &mut Sheet, paths: &Paths) {
    let place = paths.home.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match free(paths, place) {
        Ok(bytes) => {
            let (free, path) = (size(bytes), place.display().to_string());
            let found = DoctorMsg::DiskRoom { free: &free, path: &path };
            match bytes {
                _ if bytes < FULL => sheet.bad(Check::Disk, found, DoctorMsg::DiskRemedy),
                _ if bytes < TIGHT => sheet.note(Check::Disk, found, DoctorMsg::DiskRemedy),
                _ => sheet.ok(Check::Disk, found),
            }
        }
        Err(error) => sheet.unknown(Check::Disk, DoctorMsg::DiskUnknown { why: &error.to_string() }),
    }
}

fn free(paths: &Paths, place: &Path) -> std::io::Result<u64> {
    if cfg!(debug_assertions)
        && let Some(told) = fs::read_to_string(paths.free_space()).ok().and_then(|text| text.trim().parse().ok())
    {
        return Ok(told);
    }
    let found = rustix::fs::statvfs(place)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn size(bytes: u64) -> String {
    if bytes < TIGHT { format!("{} MiB", bytes >> 20) } else { format!("{:.1} GiB", bytes as f64 / TIGHT as f64) }
}

/// Whether anybody listens.
pub fn daemon(sheet: &mut Sheet, daemon: &Daemon) {
    const OURS: &str = env!("CARGO_PKG_VERSION");
    let check = Check::Daemon;
    match (daemon.state, &daemon.status) {
        (DaemonState::Stopped, _) => sheet.bad(check, DoctorMsg::DaemonStopped, DoctorMsg::StartRemedy),
        (DaemonState::Failing, _) => {
            let (count, last) = daemon.crashes.as_ref().map_or((0, "?"), |c| (c.count, c.last_exit.as_str()));
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            sheet.bad(check, DoctorMsg::DaemonFailing { count, last }, DoctorMsg::DaemonFailingRemedy);
        }
        (DaemonState::Silent, _) => sheet.bad(check, DoctorMsg::DaemonSilent, DoctorMsg::DaemonSilentRemedy),
        (DaemonState::Draining, _) => sheet.note(check, DoctorMsg::DaemonDraining, DoctorMsg::StartRemedy),
        (DaemonState::Starting, _) | (_, None) => sheet.unknown(check, DoctorMsg::DaemonStarting),
        (DaemonState::Running, Some(status)) if status.version != OURS => {
            let found = DoctorMsg::DaemonOther { version: &status.version, ours: OURS };
            sheet.note(check, found, DoctorMsg::DaemonOtherRemedy);
        }
        (DaemonState::Running, Some(status)) => {
            let pid = status.pids.bridge.unwrap_or_default();
            sheet.ok(check, DoctorMsg::DaemonRuns { version: &status.version, pid });
        }
    }
}

/// What keeps work from being done, and answers from arriving. Reads the ledger itself, also beside a daemon.
pub fn work(sheet: &mut Sheet, paths: &Paths, now_ms: i64) {
    let counts = match report::offline(&paths.ledger, |tx| report::counts(tx, now_ms)) {
        Ok(Some(counts)) => counts,
        Ok(None) => return sheet.ok(Check::Work, DoctorMsg::WorkFine),
        // The check of the ledger says it.
        Err(error) => return sheet.unknown(Check::Work, DoctorMsg::LedgerUnreadable { why: &error.to_string() }),
    };
    judge_work(sheet, &counts);
}

fn judge_work(sheet: &mut Sheet, counts: &Counts) {
    let check = Check::Work;
    let before = sheet.findings.len();
    if counts.locked {
        sheet.note(check, DoctorMsg::WorkLocked, DoctorMsg::WorkLockedRemedy);
    }
    if let Some((turns, _, _)) = counts.restored {
        sheet.note(check, DoctorMsg::WorkRestored { turns }, DoctorMsg::WorkRestoredRemedy);
    }
    if counts.outbox_undeliverable > 0 {
        let found = DoctorMsg::WorkUndeliverable { n: counts.outbox_undeliverable };
        sheet.note(check, found, DoctorMsg::WorkUndeliverableRemedy);
    }
    if let Some(oldest) = counts.oldest_unsent_age_ms.filter(|oldest| *oldest > UNSENT_MS) {
        let why = counts.oldest_unsent_problem.as_deref().unwrap_or("?");
        let n = counts.outbox_ready + counts.outbox_sending;
        let found = DoctorMsg::WorkUnsent { n, age: &age(oldest), why };
        sheet.bad(check, found, DoctorMsg::WorkUnsentRemedy);
    }
    if sheet.findings.len() == before {
        sheet.ok(check, DoctorMsg::WorkFine);
    }
}

/// Everything that can be read from the rows; takes as long as the ledger is large.
pub fn ledger(sheet: &mut Sheet, paths: &Paths) {
    let (check, lang) = (Check::Ledger, sheet.lang);
    match report::offline(&paths.ledger, crate::ledger::check::run) {
        Ok(Some(broken)) if broken.is_empty() => {
            sheet.ok(check, DoctorMsg::LedgerFine { n: Invariant::ALL.len() });
        }
        Ok(Some(broken)) => {
            let what: Vec<String> =
                broken.iter().map(|broken| words::invariant(broken.invariant, lang).to_owned()).collect();
            let found = DoctorMsg::LedgerBroken { what: &joined(&what, lang) };
            sheet.bad(check, found, DoctorMsg::LedgerBrokenRemedy);
        }
        Ok(None) => sheet.note(check, DoctorMsg::LedgerNone, DoctorMsg::StartRemedy),
        Err(error) => {
            let why = error.to_string();
            sheet.bad(check, DoctorMsg::LedgerUnreadable { why: &why }, DoctorMsg::LedgerUnreadableRemedy);
        }
    }
}

/// Files that say what nobody can read, and rows that a newer ally does not understand.
pub fn routines(sheet: &mut Sheet, config: &Config) {
    let (check, lang) = (Check::Routines, sheet.lang);
    let (mut read, mut broken) = (Vec::new(), Vec::new());
    for path in fs::read_dir(&config.paths.routines).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        if path.extension().is_none_or(|ending| ending != "yaml") || name.starts_with('.') {
            continue;
        }
        let said = match text_of(&path) {
            Ok(text) => Routine::parse(name, &text, config.zone).err().map(|error| routine_error(&error, lang)),
            Err(error) => Some(error.to_string()),
        };
        broken.extend(said.map(|what| format!("{}: {what}", path.display())));
        read.push(name.to_owned());
    }
    let rows = report::offline(&config.paths.ledger, listed).ok().flatten().unwrap_or_default();
    let others =
        rows.into_iter().filter(|row: &RoutineRow| row.state != RoutineState::Gone && !read.contains(&row.name));
    let mut count = read.len();
    for row in others {
        count += 1;
        if let Err(error) = Routine::parse(&row.name, &row.text, config.zone) {
            broken.push(format!("{}: {}", row.name, routine_error(&error, lang)));
        }
    }
    match broken.is_empty() {
        true => sheet.ok(check, DoctorMsg::RoutinesFine { n: count }),
        false => {
            let what = broken.join("\n");
            sheet.bad(check, DoctorMsg::RoutinesBroken { what: &what }, DoctorMsg::RoutinesBrokenRemedy);
        }
    }
}

fn text_of(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    fs::File::open(path)?.take(TEXT_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::domain::finding::Finding;
    use crate::domain::view::Lang;

    fn sheet(look: impl FnOnce(&mut Sheet)) -> Vec<Finding> {
        let mut sheet = Sheet::new(Lang::En);
        look(&mut sheet);
        sheet.findings
    }

    #[test]
    fn an_open_file_is_named_with_the_command_that_closes_it() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("home"), None);
        assert_eq!(sheet(|sheet| modes(sheet, &paths))[0].grade, Grade::Note, "there is none yet");
        paths.create().unwrap();
        fs::write(&paths.ledger, "").unwrap();
        fs::set_permissions(&paths.ledger, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(sheet(|sheet| modes(sheet, &paths))[0].grade, Grade::Ok);
        fs::set_permissions(&paths.ledger, fs::Permissions::from_mode(0o640)).unwrap();
        let found = &sheet(|sheet| modes(sheet, &paths))[0];
        let command = format!("chmod 600 {}", paths.ledger.display());
        assert!(found.found.contains("ledger.db (0640)"), "{found:?}");
        assert!(found.remedy.as_deref().is_some_and(|remedy| remedy.contains(&command)), "{found:?}");
    }

    #[test]
    fn too_little_room_is_bad_and_little_is_worth_a_word() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("home"), None);
        paths.create().unwrap();
        for (bytes, want) in [(0, Grade::Bad), (300 << 20, Grade::Note), (5 << 30, Grade::Ok)] {
            fs::write(paths.free_space(), u64::to_string(&bytes)).unwrap();
            assert_eq!(sheet(|sheet| disk(sheet, &paths))[0].grade, want, "{bytes}");
        }
    }

    #[test]
    fn what_keeps_work_back_is_told_each_by_itself() {
        let fine = sheet(|sheet| judge_work(sheet, &Counts::default()));
        assert_eq!(fine.len(), 1);
        assert_eq!(fine[0].grade, Grade::Ok);
        let counts = Counts {
            locked: true,
            restored: Some((2, 0, 0)),
            outbox_undeliverable: 1,
            outbox_ready: 3,
            oldest_unsent_age_ms: Some(600_000),
            oldest_unsent_problem: Some("code 99991672".to_owned()),
            ..Counts::default()
        };
        let found = sheet(|sheet| judge_work(sheet, &counts));
        assert_eq!(found.len(), 4);
        assert!(found[3].grade == Grade::Bad && found[3].found.contains("10 min (code 99991672)"), "{found:?}");
    }
}
