//! The codex app-server as a stdio child.
//!
//! [`locate`] finds the native program, [`install`] gets the pinned one, `launch` starts it with what must hold on every
//! start, `session` is the [`Runtime`](crate::bridge::ports::Runtime). `wire` knows codex's JSON, `convert` turns it into
//! the port's words. `profile` is what a thread may do, and `ground` what it must know of this machine for that,
//! `temp` the folder for its temporary files, `tools` the server of ally's own tools; `probe` tries whether it is so. What codex really does is written down beside each rule that follows from it.

pub mod convert;
mod ground;
mod inspect;
pub mod install;
mod launch;
pub mod locate;
mod memory;
mod probe;
mod profile;
mod session;
mod temp;
mod tools;
pub mod wire;

pub use launch::{CodexConfig, CodexLauncher};
pub use temp::of as temp_of;
pub use tools::ToolServer;
