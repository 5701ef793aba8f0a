//! How far the agent may go by itself.

use serde::{Deserialize, Serialize};

use super::access::Role;

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

/// `trusted` ends by itself after this long.
pub const TRUSTED_MS: i64 = 8 * 3_600_000;

/// The level of a turn in a chat: what the chat is set to (and when that was), and no more than the role of the one who
/// asks may have. Without a setting the owner's direct chat may change its project, every other chat asks before.
pub fn of_turn(set: Option<(Level, i64)>, direct: bool, role: Role, now_ms: i64) -> Level {
    let owners = direct && role.is_owner();
    let by_default = if owners { Level::Edit } else { Level::Safe };
    let wanted = match set {
        None => by_default,
        Some((Level::Trusted, at_ms)) if !owners || now_ms - at_ms >= TRUSTED_MS => Level::Edit,
        Some((level, _)) => level,
    };
    wanted.min(role.cap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_chat_role_and_time() {
        const HOUR: i64 = 3_600_000;
        for (set, direct, role, now, want) in [
            (None, true, Role::Owner, 0, Level::Edit),
            (None, true, Role::User, 0, Level::Safe),
            (None, false, Role::Owner, 0, Level::Safe),
            (None, false, Role::Member, 0, Level::Safe),
            (Some((Level::Edit, 0)), false, Role::Member, 100 * HOUR, Level::Edit),
            (Some((Level::Ask, 0)), true, Role::Owner, 0, Level::Ask),
            (Some((Level::Trusted, 0)), true, Role::Owner, 7 * HOUR, Level::Trusted),
            (Some((Level::Trusted, 0)), true, Role::Owner, 8 * HOUR, Level::Edit),
            (Some((Level::Trusted, 0)), false, Role::Owner, 0, Level::Edit),
            (Some((Level::Trusted, 0)), true, Role::User, 0, Level::Edit),
        ] {
            assert_eq!(of_turn(set, direct, role, now), want, "{set:?} {direct} {role:?} {now}");
        }
    }
}
