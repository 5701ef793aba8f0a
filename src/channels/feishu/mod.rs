//! Feishu.

pub mod card;
