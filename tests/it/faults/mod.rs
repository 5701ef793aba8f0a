//! What goes wrong outside: disks, lines, platforms, models, programs, people's inputs. A clear word where one is due, and
//! nothing else lost. Which fault is shown by which test stands in docs/reliability.md.

mod callbacks;
mod cards;
mod disk;
mod input;
mod members;
mod platform;
mod wire;
