//! Answers into parts.
