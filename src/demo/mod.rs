//! A model that does what it is told in double brackets: for the demo and for tests, offline and deterministic.

pub mod script;
