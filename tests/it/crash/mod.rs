//! The main path through the real daemon, and what is left of it when something dies.

mod backfill;
mod burst;
mod compact;
mod death;
mod fate;
mod held;
mod load;
mod main_path;
mod manners;
mod matrix;
mod points;
mod restart;
mod restored;
mod routines;
mod secrets;
mod things;
mod tools;
mod walk;
mod words;
