//! People in the loop: who decides what and how, and what they say to ally itself.

mod answer;
mod context;
mod convs;
mod gates;
mod lock;
mod look;
mod noise;
mod rights;
mod rules;
mod settings;
mod table;
