//! People in the loop: who decides what and how, and what they say to ally itself.

pub mod answer;
mod compact;
mod context;
mod control;
mod convs;
mod digest;
mod directories;
mod gates;
mod lock;
mod look;
pub mod mcp;
pub mod network;
mod noise;
mod rights;
pub mod routines;
mod rules;
mod secrets;
mod send;
mod settings;
pub mod setup;
mod signs;
mod table;
mod words;
