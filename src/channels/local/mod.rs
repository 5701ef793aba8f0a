//! The local channel: a chat in the terminal, over the control socket.
//!
//! What goes out is appended to `$ALLY_HOME/local/<chat>.jsonl` and synced before it counts as sent, whether anybody
//! looks or not; terminals that are attached read the same lines. So a look-up after a crash is exact, and there is no
//! window in which an answer may have been shown twice.

mod channel;
mod draw;
mod log;
mod routes;
mod wire;

pub use channel::{CHANNEL, LocalChannel, LocalConfig};
pub use draw::{buttons, draw, draw_body};
pub use routes::routes;
pub use wire::{ChatEvent, ClickIn, Line, MessageIn, Taken};
