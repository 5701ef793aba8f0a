//! Rules, rights and the lock, through the real daemon.

mod look;
mod rules;
