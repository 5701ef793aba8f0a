//! What is known of a bridge that keeps dying, written down for `ally status`, because the bridge itself cannot tell it, and
//! for the bridge that lives in the end: it tells the owner.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::config::{Paths, write_private};

/// The deaths since the bridge last took work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crashes {
    /// How many.
    pub count: u64,
    /// How the last one ended, in the system's words.
    pub last_exit: String,
    /// When that was, Unix milliseconds.
    pub at_ms: i64,
}

impl Crashes {
    /// What is written down in the home, if anything is.
    pub fn read(paths: &Paths) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(paths.crashes()).ok()?).ok()
    }

    /// One death more.
    pub(super) fn add(paths: &Paths, last_exit: String, at_ms: i64) -> io::Result<()> {
        let count = Self::read(paths).map_or(0, |before| before.count) + 1;
        let text = serde_json::to_string(&Self { count, last_exit, at_ms })?;
        write_private(&paths.crashes(), &text)
    }

    /// The bridge takes work, or another supervisor begins.
    pub(super) fn forget(paths: &Paths) {
        let _ = fs::remove_file(paths.crashes());
    }
}

/// A bridge that died again and again, until one has lived for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashLoop {
    /// How often, one after the other.
    pub deaths: u64,
    /// The first of them, Unix milliseconds.
    pub from_ms: i64,
    /// The last one so far.
    pub to_ms: i64,
    /// How that one ended, in the system's words.
    pub last_exit: String,
    /// When the next try begins, or began.
    pub next_ms: i64,
}

impl CrashLoop {
    /// What is written down in the home, if anything is.
    pub fn read(paths: &Paths) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(paths.crash_loop()).ok()?).ok()
    }

    pub(super) fn write(&self, paths: &Paths) -> io::Result<()> {
        write_private(&paths.crash_loop(), &serde_json::to_string(self)?)
    }

    /// A bridge has lived for a while. True when there was one.
    pub(super) fn forget(paths: &Paths) -> bool {
        fs::remove_file(paths.crash_loop()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_known_until_it_is_over() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("home"), None);
        paths.create().unwrap();
        assert!(CrashLoop::read(&paths).is_none() && !CrashLoop::forget(&paths));
        let told = CrashLoop { deaths: 10, from_ms: 1, to_ms: 2, last_exit: "signal: 9".to_owned(), next_ms: 3 };
        told.write(&paths).unwrap();
        assert_eq!(CrashLoop::read(&paths), Some(told));
        assert!(CrashLoop::forget(&paths));
        assert_eq!(CrashLoop::read(&paths), None);
    }

    #[test]
    fn deaths_are_counted_until_the_bridge_works() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("home"), None);
        paths.create().unwrap();
        assert_eq!(Crashes::read(&paths), None);
        Crashes::add(&paths, "signal: 9 (SIGKILL)".to_owned(), 1).unwrap();
        Crashes::add(&paths, "exit status: 1".to_owned(), 2).unwrap();
        let told = Crashes { count: 2, last_exit: "exit status: 1".to_owned(), at_ms: 2 };
        assert_eq!(Crashes::read(&paths), Some(told));
        Crashes::forget(&paths);
        assert_eq!(Crashes::read(&paths), None);
    }
}
