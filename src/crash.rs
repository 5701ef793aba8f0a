//! Places at which a test has this process die, as by `kill -9`. In a release build there are none.
//!
//! A test writes a place's name into the file that [`arm`] names; the next passage takes it away, so that the successor
//! lives (or dies at the place in the next line), and kills the process. A file and not a variable: it can be written at
//! any moment.
//!
//! A place is named after the write it stands at (`W1` to `W7` in docs/ARCHITECTURE.md): `.before` the commit, `.after`
//! it and before what may follow it, `.told` when the other side has been told and we know nothing of it yet.

/// Every place there is: what is not in here cannot be armed.
pub const PLACES: [&str; 23] = [
    "w1.before",
    "w1.after",
    "w1b.before",
    "w1b.after",
    "w2.before",
    "w2.after",
    "w2.told",
    "w3.before",
    "w3.after",
    "w4.before",
    "w4.after",
    "w5.before",
    "w5.after",
    "w5a.before",
    "w5a.after",
    "w5a.told",
    "w6.before",
    "w6.after",
    "w7.told",
    "w7.after",
    "commit.before",
    "commit.after",
    "card.told",
];

#[cfg(debug_assertions)]
static ARMED: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();

/// Names the file in which tests ask for a death. Without this no place does anything.
#[cfg(debug_assertions)]
pub fn arm(file: std::path::PathBuf) {
    let _ = ARMED.set(file);
}

/// Dies here if that was asked for.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    debug_assert!(PLACES.contains(&name), "{name} is not in the list");
    let Some(file) = ARMED.get() else { return };
    let wanted = std::fs::read_to_string(file).unwrap_or_default();
    let (first, others) = wanted.split_once('\n').unwrap_or((&wanted, ""));
    if first.trim() != name {
        return;
    }
    let taken = if others.is_empty() { std::fs::remove_file(file) } else { std::fs::write(file, others) };
    if taken.is_ok() {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn arm(_file: std::path::PathBuf) {}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &str) {}
