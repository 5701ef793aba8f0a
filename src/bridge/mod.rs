//! What happens to a message.

pub mod ports;
pub mod render;
