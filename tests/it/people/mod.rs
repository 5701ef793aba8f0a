//! People in the loop: what they say to ally itself, and what comes of it.

mod convs;
