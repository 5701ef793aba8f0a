//! Everything that needs more than one module: the real binary, the real codex, the simulated Feishu.

mod bridge;
mod channels;
mod cli;
mod codex;
mod crash;
mod demo;
mod faults;
mod feishu;
pub mod people;
mod support;
