//! What goes wrong outside: disks, lines, platforms, models, programs, people's inputs. A clear word where one is due, and
//! nothing else lost. Which fault is shown by which test stands in docs/reliability.md.

mod callbacks;
mod cards;
mod child;
mod disk;
mod doctor;
mod flood;
mod input;
mod limits;
mod machine;
mod members;
mod model;
mod platform;
mod supervision;
mod wire;
