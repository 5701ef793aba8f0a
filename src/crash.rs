//! Places at which a test has this process die, as by `kill -9`, and deliberate faults that a test switches on to see
//! that it would notice them. In a release build there are none of either.
//!
//! A test writes a place's name into the file that [`arm`] names; the next passage takes it away, so that the successor
//! lives (or dies at the place in the next line), and kills the process. A file and not a variable: it can be written at
//! any moment. The faults lie in a file beside it, one a line, and are read once, when the process starts.
//!
//! A place is named after the write it stands at (`W1` to `W7` in docs/ARCHITECTURE.md): `.before` the commit, `.after`
//! it and before what may follow it, `.told` when the other side has been told and we know nothing of it yet.

/// Every place there is: what is not in here cannot be armed.
pub const PLACES: [&str; 44] = [
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
    "gate.over.before",
    "gate.over.after",
    "spawn.told",
    "bury.before",
    "bury.after",
    "w6.before",
    "w6.after",
    "w7.before",
    "w7.told",
    "w7.after",
    "upload.told",
    "commit.before",
    "commit.middle",
    "commit.after",
    "card.told",
    "tool.before",
    "tool.after",
    "reminder.before",
    "reminder.after",
    "routine.before",
    "routine.after",
    "archive.before",
    "archive.after",
    "migration.before",
    "migration.after",
    "restore.middle",
    "restore.before",
    "restore.after",
];

/// Where a part of the bridge can be made to fail: its task ends with an error, and the process lives. Asked for as a
/// death is.
pub const FAILURES: [&str; 1] = ["outbox.fails"];

/// Deliberate faults, each the breach of one rule that the ledger rests on; and a supervisor that does not wait.
pub const FAULTS: [&str; 10] = [
    // A bridge that died is started again at once, however often.
    "restart at once",
    "ack before commit",
    "toast before commit",
    "no dedupe",
    "no uuid",
    "settle from the stream",
    "submit again without asking",
    "w5a not committed",
    "doubt counts as sent",
    "commit without sync",
];

#[cfg(debug_assertions)]
struct Armed {
    file: std::path::PathBuf,
    faults: String,
}

#[cfg(debug_assertions)]
static ARMED: std::sync::OnceLock<Armed> = std::sync::OnceLock::new();

/// Names the file in which tests ask for a death; the faults lie beside it. Without this no place does anything.
#[cfg(debug_assertions)]
pub fn arm(file: std::path::PathBuf) {
    let faults = std::fs::read_to_string(file.with_extension("faults")).unwrap_or_default();
    let _ = ARMED.set(Armed { file, faults });
}

/// Dies here if that was asked for.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    debug_assert!(PLACES.contains(&name), "{name} is not in the list");
    if taken(name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Whether the part that comes by here is to fail now.
#[cfg(debug_assertions)]
pub fn fails(name: &str) -> bool {
    debug_assert!(FAILURES.contains(&name), "{name} is not in the list");
    taken(name)
}

/// Whether this was asked for, which holds once.
#[cfg(debug_assertions)]
fn taken(name: &str) -> bool {
    let Some(Armed { file, .. }) = ARMED.get() else { return false };
    let wanted = std::fs::read_to_string(file).unwrap_or_default();
    let (first, others) = wanted.split_once('\n').unwrap_or((&wanted, ""));
    if first.trim() != name {
        return false;
    }
    let taken = if others.is_empty() { std::fs::remove_file(file) } else { std::fs::write(file, others) };
    taken.is_ok()
}

/// Whether this process is to make a mistake on purpose.
#[cfg(debug_assertions)]
pub fn has_fault(name: &str) -> bool {
    debug_assert!(FAULTS.contains(&name), "{name} is not in the list");
    ARMED.get().is_some_and(|armed| armed.faults.lines().any(|fault| fault == name))
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn arm(_file: std::path::PathBuf) {}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &str) {}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn fails(_name: &str) -> bool {
    false
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn has_fault(_name: &str) -> bool {
    false
}
