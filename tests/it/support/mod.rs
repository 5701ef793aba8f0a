//! What the integration tests share.

pub mod feishu_sim;
pub mod runtimes;
pub mod world;
