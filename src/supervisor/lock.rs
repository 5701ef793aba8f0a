//! One process a home: a lock file that the kernel frees. Inside is who holds it, and what it can do for whoever looks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// A held lock; free again when this is dropped or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another ally (pid {}) is running in this home", pid.map_or("unknown".to_owned(), |pid| pid.to_string()))]
    Held {
        /// Its pid, where it is written down.
        pid: Option<u32>,
    },
    /// The file cannot be used.
    #[error("the lock file cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl Lock {
    /// Takes the lock. Waits half a second, because somebody who only looks (`holder`) holds it for a moment.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        Self::take_saying(path, "")
    }

    /// The same, with a word for whoever looks.
    pub fn take_saying(path: &Path, word: &str) -> Result<Self, LockError> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        for attempt in 0.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < 10 => std::thread::sleep(Duration::from_millis(50)),
                Err(TryLockError::WouldBlock) => return Err(LockError::Held { pid: read_pid(&mut file) }),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(format!("{}\n{word}\n", std::process::id()).as_bytes())?;
        Ok(Self { _file: file })
    }
}

/// Whether somebody holds the lock, and who. Without the right to look the answer is no.
pub fn holder(path: &Path) -> Option<Option<u32>> {
    let mut file = File::open(path).ok()?;
    for _ in 0..10 {
        match (file.try_lock_shared(), read_pid(&mut file)) {
            (Err(TryLockError::WouldBlock), Some(pid)) => return Some(Some(pid)),
            // Whoever has just taken it is about to write who it is.
            (Err(TryLockError::WouldBlock), None) => std::thread::sleep(Duration::from_millis(50)),
            _ => return None,
        }
    }
    Some(None)
}

/// What the holder says besides who it is.
pub fn word(path: &Path) -> Option<String> {
    holder(path)?;
    read(&mut File::open(path).ok()?)?.lines().nth(1).map(str::to_owned)
}

fn read_pid(file: &mut File) -> Option<u32> {
    read(file)?.lines().next()?.trim().parse().ok()
}

fn read(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_learns_who_was_first() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        assert_eq!(holder(&path), None);
        let lock = Lock::take(&path).unwrap();
        assert_eq!(holder(&path), Some(Some(std::process::id())));
        let second = Lock::take(&path).unwrap_err();
        assert!(matches!(second, LockError::Held { pid } if pid == Some(std::process::id())));
        drop(lock);
        assert_eq!((holder(&path), word(&path)), (None, None));
        let _lock = Lock::take_saying(&path, "can this").unwrap();
        assert_eq!((holder(&path), word(&path)), (Some(Some(std::process::id())), Some("can this".to_owned())));
    }

    #[test]
    fn whoever_is_just_taking_it_is_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        let mut file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        let looks = std::thread::spawn({
            let path = path.clone();
            move || holder(&path)
        });
        file.write_all(b"12\n").unwrap();
        assert_eq!(looks.join().unwrap(), Some(Some(12)));
        assert_eq!(word(&path), None, "an earlier program says no more");
    }
}
