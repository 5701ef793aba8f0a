//! What the integration tests share.

pub mod feishu_sim;
pub mod proxy;
pub mod runtimes;
pub mod world;
