//! Pure types and decisions. No I/O, no clock, no logging: every function here can be tested with a table.
//!
//! The words are the product's own: channel, runtime, conversation, inbound, turn, gate, delivery (message or
//! surface), generation, settle. Foreign identifiers are opaque text; ours are UUIDv7.

pub mod access;
pub mod action;
pub mod archive;
pub mod command;
pub mod conversing;
pub mod delivery;
pub mod finding;
pub mod gate;
pub mod history;
pub mod hold;
pub mod ids;
pub mod invariant;
pub mod level;
pub mod limits;
pub mod message;
pub mod plain;
pub mod quote;
pub mod risk;
pub mod routine;
pub mod rule;
pub mod safety;
pub mod schedule;
pub mod secrets;
pub mod setting;
pub mod tool;
pub mod turn;
pub mod verdict;
pub mod view;
