//! What the integration tests share.

pub mod feishu_sim;
pub mod power;
pub mod proxy;
pub mod runtimes;
pub mod terminal;
pub mod world;
