//! The Feishu channel against the simulated platform, and the simulated platform against the official SDK.

mod rest;
mod rig;
mod sdk;
mod socket;
