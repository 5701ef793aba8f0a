//! Who may work in a directory. One running turn a directory, and none in a directory that lies in it or holds it, by
//! default; and a limit over all.
//!
//! A turn all of whose work waits for a person gives its lease back; before its answer is passed on it takes the lease
//! again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::domain::ids::TurnId;
use crate::domain::view::WaitReason;

pub struct Leases {
    places: Places,
    all: Arc<Semaphore>,
    /// Directories are not kept apart.
    shared: bool,
    /// Of turns that an earlier bridge left at work, until somebody follows them.
    reserved: Mutex<HashMap<TurnId, Lease>>,
}

/// Held while a turn works. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Lease {
    _place: Option<Claim>,
    _slot: OwnedSemaphorePermit,
}

type Places = Arc<Mutex<Table>>;

/// Who has which directory and who waits for one, in the order in which they came.
#[derive(Debug, Default)]
struct Table {
    last: u64,
    held: Vec<(u64, PathBuf)>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    claim: u64,
    directory: PathBuf,
    granted: oneshot::Sender<()>,
}

/// A directory that is held or waited for; dropping it ends either.
#[derive(Debug)]
struct Claim {
    places: Places,
    claim: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.places).leave(self.claim);
    }
}

fn lock(places: &Places) -> MutexGuard<'_, Table> {
    places.lock().expect("no code panics while it holds this lock")
}

/// Who works in the one may change the other.
fn touch(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

impl Table {
    /// Whoever waits already comes first: else a directory in which others work all the time would never be free.
    fn is_free(&self, directory: &Path, waiting: &[Waiting]) -> bool {
        let held = self.held.iter().map(|(_, held)| held);
        !held.chain(waiting.iter().map(|waiting| &waiting.directory)).any(|other| touch(other, directory))
    }

    fn leave(&mut self, claim: u64) {
        self.held.retain(|(held, _)| *held != claim);
        self.waiting.retain(|waiting| waiting.claim != claim);
        let mut left: Vec<Waiting> = Vec::new();
        for next in std::mem::take(&mut self.waiting) {
            if self.is_free(&next.directory, &left) {
                self.held.push((next.claim, next.directory));
                // Who has given up waiting drops his claim.
                let _ = next.granted.send(());
            } else {
                left.push(next);
            }
        }
        self.waiting = left;
    }
}

impl Leases {
    pub fn new(parallel: usize, shared: bool) -> Self {
        Self {
            places: Places::default(),
            all: Arc::new(Semaphore::new(parallel.max(1))),
            shared,
            reserved: Mutex::default(),
        }
    }

    /// A turn works there already: nobody else may until it is known what becomes of it.
    pub fn reserve(&self, turn: &TurnId, directory: &Path) {
        if let Ok(lease) = self.try_take(directory) {
            self.reserved.lock().expect("no code panics while it holds this lock").insert(turn.clone(), lease);
        }
    }

    /// What was reserved for the turn, once.
    pub fn reserved(&self, turn: &TurnId) -> Option<Lease> {
        self.reserved.lock().expect("no code panics while it holds this lock").remove(turn)
    }

    /// Takes the directory and a slot at once if both are free; else says what is waited for.
    pub fn try_take(&self, directory: &Path) -> Result<Lease, WaitReason> {
        let place = match self.claim(directory) {
            Some((_, Some(_))) => return Err(WaitReason::Directory),
            Some((claim, None)) => Some(claim),
            None => None,
        };
        let slot = Arc::clone(&self.all).try_acquire_owned().map_err(|_| WaitReason::Limit)?;
        Ok(Lease { _place: place, _slot: slot })
    }

    /// Waits for the directory, then for a slot. Always in this order, so that nobody holds a slot while waiting for a
    /// directory.
    pub async fn take(&self, directory: &Path) -> Lease {
        let place = match self.claim(directory) {
            Some((claim, Some(granted))) => {
                granted.await.expect("a claim that is waited for is never dropped by others");
                Some(claim)
            }
            Some((claim, None)) => Some(claim),
            None => None,
        };
        let slot = Arc::clone(&self.all).acquire_owned().await.expect("the semaphore is never closed");
        Lease { _place: place, _slot: slot }
    }

    /// The directory, and what to wait for until it is free. Nothing where directories are shared.
    fn claim(&self, directory: &Path) -> Option<(Claim, Option<oneshot::Receiver<()>>)> {
        if self.shared {
            return None;
        }
        // Two names of one directory are one directory.
        let directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let mut table = lock(&self.places);
        table.last += 1;
        let claim = table.last;
        let granted = if table.is_free(&directory, &table.waiting) {
            table.held.push((claim, directory));
            None
        } else {
            let (granted, wait) = oneshot::channel();
            table.waiting.push(Waiting { claim, directory, granted });
            Some(wait)
        };
        Some((Claim { places: Arc::clone(&self.places), claim }, granted))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

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
    fn a_directory_within_another_is_no_other() {
        let leases = Leases::new(8, false);
        let inner = leases.try_take(Path::new("/a/b")).unwrap();
        for (path, free) in [("/a", false), ("/a/b/c", false), ("/a/c", true), ("/a/bc", true), ("/", false)] {
            assert_eq!(leases.try_take(Path::new(path)).is_ok(), free, "{path}");
        }
        drop(inner);
        let _outer = leases.try_take(Path::new("/a")).unwrap();
        assert!(leases.try_take(Path::new("/a/b")).is_err());
    }

    #[tokio::test]
    async fn who_waits_comes_before_who_comes_later() {
        let leases = Arc::new(Leases::new(8, false));
        let of = |path: &'static str| {
            let leases = Arc::clone(&leases);
            let mut taking = Box::pin(async move { leases.take(Path::new(path)).await });
            assert!((&mut taking).now_or_never().is_none(), "{path}");
            taking
        };
        let held = leases.try_take(Path::new("/a/b")).unwrap();
        let whole = of("/a");
        assert!(leases.try_take(Path::new("/a/c")).is_err(), "the whole of it is waited for");
        let later = of("/a/c");
        let gone = of("/a/b");
        drop(held);
        let whole = whole.await;
        drop(gone);
        drop(whole);
        let _later = later.await;
        assert!(leases.try_take(Path::new("/a/b")).is_ok(), "who gave up waiting holds nothing");
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
