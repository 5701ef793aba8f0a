//! How far the agent may go by itself.

use serde::{Deserialize, Serialize};

/// From the least to the most: of two, the smaller one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every step is asked about.
    Ask,
    /// Reads; changes nothing but temporary files without asking.
    Safe,
    /// Changes the project without asking.
    Edit,
    /// As `Edit`, with the network.
    Trusted,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::Ask, Level::Safe, Level::Edit, Level::Trusted];

    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ask => "ask",
            Level::Safe => "safe",
            Level::Edit => "edit",
            Level::Trusted => "trusted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }
}
