//! Where people talk: one folder an adapter.

pub mod feishu;
pub mod local;
