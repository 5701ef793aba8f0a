//! What goes wrong outside: disks, platforms, people's inputs. A clear word where one is due, and nothing else lost.

mod callbacks;
mod cards;
mod disk;
mod flood;
mod input;
mod members;
