//! The log file: a new one each day and whenever one is large, and none that is old. The supervisor and its bridge write to
//! the same file; whoever finds it large moves it aside, and the other one notices.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Days, NaiveDate};

use super::files;
use crate::clock::Clock;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Of one file.
    pub(super) file_bytes: u64,
    /// Of all of them.
    pub(super) all_bytes: u64,
    pub(super) days: u64,
}

pub(super) const LIMITS: Limits = Limits { file_bytes: 50 << 20, all_bytes: 500 << 20, days: 14 };

/// The file is looked at so often: the other process may have moved it.
const LOOK_MS: i64 = 1000;

/// A writer of whole lines.
#[derive(Debug)]
pub(super) struct Rotating {
    folder: PathBuf,
    name: &'static str,
    limits: Limits,
    clock: Clock,
    file: File,
    day: NaiveDate,
    looked_ms: i64,
}

impl Rotating {
    pub(super) fn open(folder: &Path, name: &'static str, limits: Limits, clock: Clock) -> io::Result<Self> {
        let day = day(clock.now_ms());
        fs::create_dir_all(folder)?;
        let file = append(&path(folder, name, day))?;
        let rotating = Self { folder: folder.to_owned(), name, limits, looked_ms: clock.now_ms(), clock, file, day };
        rotating.prune();
        Ok(rotating)
    }

    /// The file that a line of now belongs into. In trouble the one that is open takes it.
    fn look(&mut self) {
        let now = self.clock.now_ms();
        // A clock that was set back is looked at, too.
        if (self.looked_ms..self.looked_ms + LOOK_MS).contains(&now) {
            return;
        }
        self.looked_ms = now;
        let today = day(now);
        let current = path(&self.folder, self.name, today);
        let (ours, there) = (self.file.metadata(), fs::metadata(&current));
        let is_ours = match (&ours, &there) {
            (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
            _ => false,
        };
        let is_large = || ours.is_ok_and(|ours| ours.len() >= self.limits.file_bytes);
        if is_ours && !(is_large() && self.move_aside(&current).is_ok()) {
            return;
        }
        if let Ok(file) = append(&current) {
            (self.file, self.day) = (file, today);
            self.prune();
        }
    }

    /// By number, so that their names sort as they were written, and before the one that is written to.
    fn move_aside(&self, current: &Path) -> io::Result<()> {
        let (before, after) = (format!("{}.{}.", self.name, self.day), ".log");
        let number = |file: &PathBuf| -> Option<u32> {
            file.file_name()?.to_str()?.strip_prefix(&before)?.strip_suffix(after)?.parse().ok()
        };
        // Behind the newest: the oldest may be gone already.
        let newest = files(&self.folder, self.name).iter().filter_map(number).max().unwrap_or(0);
        fs::rename(current, self.folder.join(format!("{before}{:04}{after}", newest + 1)))
    }

    /// Takes away what is too old or too much, never the one that is written to.
    fn prune(&self) {
        let mut kept = files(&self.folder, self.name);
        kept.retain(|file| *file != path(&self.folder, self.name, self.day));
        let oldest = self.day.checked_sub_days(Days::new(self.limits.days.saturating_sub(1)));
        let size = |file: &PathBuf| fs::metadata(file).map_or(0, |found| found.len());
        // The present one counts as full.
        let mut all: u64 = kept.iter().map(size).sum::<u64>() + self.limits.file_bytes;
        for file in kept {
            let is_old = day_of(&file, self.name).zip(oldest).is_some_and(|(day, oldest)| day < oldest);
            if !is_old && all <= self.limits.all_bytes {
                continue;
            }
            let bytes = size(&file);
            if fs::remove_file(&file).is_ok() {
                all = all.saturating_sub(bytes);
            }
        }
    }
}

impl Write for Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.look();
        // In one piece: the other process appends as well.
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn path(folder: &Path, name: &str, day: NaiveDate) -> PathBuf {
    folder.join(format!("{name}.{day}.log"))
}

/// Days of the log are those of UTC, as its times are.
fn day(now_ms: i64) -> NaiveDate {
    DateTime::from_timestamp_millis(now_ms).unwrap_or_default().date_naive()
}

fn day_of(file: &Path, name: &str) -> Option<NaiveDate> {
    let text = file.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix('.')?;
    text.get(..10)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits { file_bytes: 100, all_bytes: 1_000, days: 14 };
    const DAY_MS: i64 = 86_400_000;

    /// Each line some time after the one before.
    fn write(log: &mut Rotating, clock: &Clock, line: &str) {
        clock.warp(LOOK_MS, 1.0);
        log.write_all(line.as_bytes()).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |file: PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
        files(folder, "ally").into_iter().map(name).collect()
    }

    fn noon() -> Clock {
        let clock = Clock::default();
        clock.warp(1_767_268_800_000 - clock.now_ms(), 1.0);
        clock
    }

    #[test]
    fn a_large_file_is_moved_aside_and_nothing_is_missing() {
        let (temp, clock) = (tempfile::tempdir().unwrap(), noon());
        let mut log = Rotating::open(temp.path(), "ally", SMALL, clock.clone()).unwrap();
        let lines: Vec<String> = (0..5).map(|n| format!("{n} {}\n", "x".repeat(60))).collect();
        lines.iter().for_each(|line| write(&mut log, &clock, line));
        assert_eq!(names(temp.path()), ["ally.2026-01-01.0001.log", "ally.2026-01-01.0002.log", "ally.2026-01-01.log"]);
        let text: String = files(temp.path(), "ally").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        assert_eq!(text, lines.concat(), "in their order");
    }

    #[test]
    fn what_is_too_much_goes_from_its_old_end() {
        let (temp, clock) = (tempfile::tempdir().unwrap(), noon());
        let limits = Limits { all_bytes: 400, ..SMALL };
        let mut log = Rotating::open(temp.path(), "ally", limits, clock.clone()).unwrap();
        for n in 0..30 {
            write(&mut log, &clock, &format!("{n:02} {}\n", "x".repeat(60)));
        }
        let text: String = files(temp.path(), "ally").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let left: Vec<u32> = text.lines().map(|line| line[..2].parse().unwrap()).collect();
        assert!(left.len() >= 4 && left.len() < 10, "{left:?}");
        assert_eq!(left, (30 - left.len() as u32..30).collect::<Vec<_>>(), "the newest, in their order");
    }

    #[test]
    fn two_processes_write_to_the_same_file() {
        let (temp, clock) = (tempfile::tempdir().unwrap(), noon());
        let open = || Rotating::open(temp.path(), "ally", SMALL, clock.clone()).unwrap();
        let (mut one, mut other) = (open(), open());
        for n in 0..6 {
            let log = if n % 2 == 0 { &mut one } else { &mut other };
            write(log, &clock, &format!("{n} {}\n", "x".repeat(60)));
        }
        let current = fs::read_to_string(temp.path().join("ally.2026-01-01.log")).unwrap();
        assert_eq!(current.lines().map(|line| &line[..1]).collect::<Vec<_>>(), ["4", "5"], "none goes to an old file");
        assert_eq!(names(temp.path()).len(), 3);
    }

    #[test]
    fn the_day_begins_a_file_and_what_is_old_or_too_much_goes() {
        let (temp, clock) = (tempfile::tempdir().unwrap(), noon());
        for (name, bytes) in [("ally.2025-12-18.log", 1), ("ally.2025-12-19.log", 1), ("ally.2025-12-30.log", 240)] {
            fs::write(temp.path().join(name), "x".repeat(bytes)).unwrap();
        }
        fs::write(temp.path().join("daemon.log"), "other").unwrap();
        let limits = Limits { all_bytes: 350, ..SMALL };
        let mut log = Rotating::open(temp.path(), "ally", limits, clock.clone()).unwrap();
        let kept = ["ally.2025-12-19.log", "ally.2025-12-30.log", "ally.2026-01-01.log"];
        assert_eq!(names(temp.path()), kept, "fourteen days");
        write(&mut log, &clock, &"x".repeat(100));
        clock.warp(DAY_MS, 1.0);
        write(&mut log, &clock, "x");
        let kept = ["ally.2026-01-01.log", "ally.2026-01-02.log"];
        assert_eq!(names(temp.path()), kept, "by age one, and for their size the oldest");
        assert!(temp.path().join("daemon.log").exists());
    }
}
