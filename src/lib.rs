//! ally: a durable bridge between team chat and coding agents.
//!
//! A message's way: a [`channels`] adapter decodes an event → [`bridge`] intake commits it to the [`ledger`] and only then
//! lets it be acknowledged → a conversation's queue → a turn is handed to a [`runtimes`] adapter → its end is confirmed by
//! a pull → the answer leaves through the outbox. Whatever dies in between, the ledger knows what is certain.
//!
//! Direction: `main → cli → app → {bridge, control, supervisor, channels, runtimes, ledger, config}`;
//! `bridge → ledger, domain`; `channels, runtimes → bridge::ports, domain`; `ledger → domain`; `domain → nothing`;
//! `control, supervisor → config, domain`; `doctor` looks at all of it for `app` and `cli`, and nothing depends on it
//! besides. `clock`, `tasks`, `words`, `telemetry`, `metrics` and `crash` are leaves. `cli` is a client of the
//! running daemon besides: it speaks `control` and draws `channels::local`. `bench` measures all of it, for `cli` alone. `tests/tidy.rs` holds all of this.

pub mod app;
pub mod bench;
pub mod bridge;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod crash;
pub mod demo;
pub mod doctor;
pub mod domain;
pub mod ledger;
pub mod metrics;
pub mod runtimes;
pub mod supervisor;
pub mod tasks;
pub mod telemetry;
pub mod words;
