//! The codex runtime with the real codex and the scripted model; and what every runtime must do alike.

mod contract;
mod launching;
mod living;
mod posture;
mod twice;
