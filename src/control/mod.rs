//! HTTP over the unix socket of one home: what the command line (later the web console) calls.
//!
//! Three bars: the socket lies in a folder of mode 0700 and the peer's uid is checked; every request carries the token of
//! `run/token`; and whoever runs below a runtime may look, but decide nothing. The agent is not trusted with its own
//! leash. One route is open to it, that of its own tools: there each call has to bring the key of its conversation.

mod alive;
mod client;
mod numbers;
mod peer;
mod report;
mod routines;
mod server;
mod service;
mod tools;

pub use alive::is_alive;
pub use client::{Client, ClientError, Lines};
pub use numbers::serve_numbers;
pub use peer::{Peer, carries_mark};
pub use report::*;
pub use routines::*;
pub use server::Control;
#[cfg(test)]
pub(crate) use service::testing;
pub use service::{Reply, Service, ServiceError};
pub use tools::*;
