//! Keeps the bridge alive: `ally run` starts it as a child, hears its heartbeat, restarts it when it dies and ends it
//! gently. It knows no protocol, no ledger and no secret, so that it hardly ever has a reason to die itself.
//!
//! Between the two run two pipes: the bridge's stdin says "go on" by being open; its stdout, a socket, carries `ready`,
//! `beat` and `well` (it has proved itself alive), and what both say about the runtimes that are held here ([`crate::domain::hold`]).

mod crashes;
mod daemon;
mod hold;
mod link;
mod lock;
mod manager;
mod orphans;
mod policy;
mod run;

pub use crashes::{CrashLoop, Crashes};
pub use daemon::{Presence, can_replace, end_marked, left_bridge, presence, signal, spawn_detached};
pub use link::{BridgeLink, HoldLink};
pub use lock::{Lock, LockError, holder};
pub use run::{AFTER_GRACE, AFTER_TERM, SupervisorConfig, run};

/// Exit code of a bridge that cannot work with its configuration: the same again would fail again.
pub const EXIT_CONFIG: u8 = 78;
/// Exit code of a bridge whose app another home holds: only a person ends that.
pub const EXIT_HELD: u8 = 75;
/// Exit code of a bridge whose ledger cannot go on as it is: no runtime is of use without it.
pub const EXIT_LEDGER: u8 = 65;
/// Exit code of a bridge for which the machine has no room just now, or whose ledger another program holds.
pub const EXIT_OUTAGE: u8 = 74;
/// Exit code of a bridge that somebody ended by TERM, and nobody else of ally's: another one goes on.
pub const EXIT_TERMINATED: u8 = 143;
