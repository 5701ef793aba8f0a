//! Rules, rights and the lock, through the real daemon.

mod lock;
mod look;
mod rights;
mod rules;
mod table;
