//! Who may work in a directory. One running turn a directory by default, and a limit over all.
//!
//! A turn that waits for a person gives its lease back; before its answer is passed on it takes the lease again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::view::WaitReason;

pub struct Leases {
    /// One permit a directory; unlimited when directories are shared.
    directories: Mutex<HashMap<PathBuf, Arc<Semaphore>>>,
    all: Arc<Semaphore>,
    shared: bool,
}

/// Held while a turn works. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Lease {
    _directory: Option<OwnedSemaphorePermit>,
    _slot: OwnedSemaphorePermit,
}

impl Leases {
    pub fn new(parallel: usize, shared: bool) -> Self {
        Self { directories: Mutex::default(), all: Arc::new(Semaphore::new(parallel.max(1))), shared }
    }

    /// Takes the directory and a slot at once if both are free; else says what is waited for.
    pub fn try_take(&self, directory: &Path) -> Result<Lease, WaitReason> {
        let directory_permit = if self.shared {
            None
        } else {
            Some(self.of(directory).try_acquire_owned().map_err(|_| WaitReason::Directory)?)
        };
        let slot = Arc::clone(&self.all).try_acquire_owned().map_err(|_| WaitReason::Limit)?;
        Ok(Lease { _directory: directory_permit, _slot: slot })
    }

    /// Waits for the directory, then for a slot. Always in this order, so that nobody holds a slot while waiting for a
    /// directory.
    pub async fn take(&self, directory: &Path) -> Lease {
        let directory_permit = if self.shared {
            None
        } else {
            Some(self.of(directory).acquire_owned().await.expect("the semaphores are never closed"))
        };
        let slot = Arc::clone(&self.all).acquire_owned().await.expect("the semaphores are never closed");
        Lease { _directory: directory_permit, _slot: slot }
    }

    fn of(&self, directory: &Path) -> Arc<Semaphore> {
        // Two names of one directory are one directory.
        let real = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let mut directories = self.directories.lock().expect("no code panics while it holds this lock");
        directories.retain(|_, semaphore| Arc::strong_count(semaphore) > 1 || semaphore.available_permits() == 0);
        Arc::clone(directories.entry(real).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_turn_a_directory_and_a_limit_over_all() {
        let leases = Leases::new(2, false);
        let a = leases.try_take(Path::new("/a")).unwrap();
        assert_eq!(leases.try_take(Path::new("/a")).unwrap_err(), WaitReason::Directory);
        let _b = leases.try_take(Path::new("/b")).unwrap();
        assert_eq!(leases.try_take(Path::new("/c")).unwrap_err(), WaitReason::Limit);
        drop(a);
        assert!(leases.try_take(Path::new("/a")).is_ok());
    }

    #[test]
    fn two_names_of_one_directory_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let leases = Leases::new(4, false);
        let _held = leases.try_take(dir.path()).unwrap();
        assert!(leases.try_take(&dir.path().join(".")).is_err());
    }

    #[test]
    fn shared_directories_know_only_the_limit() {
        let leases = Leases::new(2, true);
        let _a = leases.try_take(Path::new("/a")).unwrap();
        assert!(leases.try_take(Path::new("/a")).is_ok());
    }
}
