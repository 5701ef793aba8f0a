//! People in the loop: who decides what, and how.

mod gates;
