//! Properties of what reads foreign bytes or foreign words, and of what the ledger forgets: proptest with inputs that are
//! nearly right, and, for what reads raw bytes, a bolero target that replays its corpus and tries random bytes
//! (docs/fuzzing.md).

mod command;
mod config;
mod forgetting;
mod fragments;
mod frames;
mod lines;
mod splitter;

/// Random inputs of a target in an ordinary test run. `BOLERO_RANDOM_ITERATIONS` asks for more.
const ITERATIONS: usize = 400;
