//! People in the loop: who decides what, and how.

mod gates;
mod lock;
mod look;
mod noise;
mod rights;
mod rules;
mod settings;
mod table;
