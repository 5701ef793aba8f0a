//! What does the work: one folder an adapter.

pub mod codex;
pub mod embedded;
pub mod process;
pub mod rpc;
