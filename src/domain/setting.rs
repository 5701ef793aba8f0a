//! How a chat works, as far as people can set it in the chat.

use serde::{Deserialize, Serialize};

use super::access::{Act, Role, may};
use super::level::Level;

/// What can be set for a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// [`Level`].
    Autonomy,
    /// [`Busy`].
    Busy,
    /// [`Noise`].
    Noise,
    Model,
    Effort,
    Language,
    /// Where the chat works.
    Directory,
    /// Whether somebody else must allow what acts on others.
    TwoPersons,
    /// How many of a group's messages since its last task go into the next one ([`catch_up`]).
    CatchUp,
}

impl Setting {
    pub const ALL: [Setting; 9] = [
        Setting::Autonomy,
        Setting::Busy,
        Setting::Noise,
        Setting::Model,
        Setting::Effort,
        Setting::Language,
        Setting::Directory,
        Setting::TwoPersons,
        Setting::CatchUp,
    ];

    /// Those that are chosen from a list, in the order of the card.
    pub const CHOSEN: [Setting; 5] =
        [Setting::Autonomy, Setting::Busy, Setting::Noise, Setting::TwoPersons, Setting::CatchUp];

    pub fn as_str(self) -> &'static str {
        match self {
            Setting::Autonomy => "autonomy",
            Setting::Busy => "busy",
            Setting::Noise => "noise",
            Setting::Model => "model",
            Setting::Effort => "effort",
            Setting::Language => "language",
            Setting::Directory => "directory",
            Setting::TwoPersons => "two_persons",
            Setting::CatchUp => "catch_up",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.as_str() == text)
    }

    /// All values of a setting that is chosen from a list.
    pub fn values(self) -> &'static [&'static str] {
        match self {
            Setting::Autonomy => &["ask", "safe", "edit", "trusted"],
            Setting::Busy => &["queue", "steer", "reject"],
            Setting::Noise => &["full", "normal", "quiet"],
            Setting::TwoPersons => &["false", "true"],
            Setting::CatchUp => &["off", "20", "50"],
            Setting::Model | Setting::Effort | Setting::Language | Setting::Directory => &[],
        }
    }

    /// Whether somebody may set this value here, where the chat's level is `from`.
    pub fn may_set(self, value: &str, from: Level, role: Role, direct: bool) -> bool {
        match (self, Level::parse(value)) {
            (Setting::Autonomy, Some(level)) => {
                may(role, Act::SetLevel { level, from, direct }) || (direct && own(role, level))
            }
            (Setting::Autonomy, None) => false,
            (Setting::Model | Setting::Effort, _) => may(role, Act::Model { direct }),
            (Setting::Busy | Setting::Noise | Setting::Language, _) => {
                may(role, Act::Settings) || (direct && role.may_talk())
            }
            (Setting::Directory, _) => may(role, Act::Bind),
            // Alone with ally nobody else could allow anything.
            (Setting::TwoPersons, _) => !direct && may(role, Act::NameApprovers),
            // It hands the agent the words of people who did not speak to it.
            (Setting::CatchUp, _) => !direct && may(role, Act::NameApprovers),
        }
    }
}

/// Messages that a group's task is told of what was said before it; nothing where that is off.
pub fn catch_up(value: Option<&str>) -> Option<usize> {
    value?.parse().ok().filter(|count| *count > 0)
}

/// In his own direct chat everybody may ask to be asked more.
fn own(role: Role, level: Level) -> bool {
    role.may_talk() && level <= Level::Safe
}

/// What a message becomes while a turn runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Busy {
    #[default]
    Queue,
    Steer,
    Reject,
}

impl Busy {
    pub fn as_str(self) -> &'static str {
        match self {
            Busy::Queue => "queue",
            Busy::Steer => "steer",
            Busy::Reject => "reject",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Busy::Queue, Busy::Steer, Busy::Reject].into_iter().find(|busy| busy.as_str() == text)
    }
}

/// How much is shown besides answers and questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Noise {
    /// The live card from the first step on.
    Full,
    /// The live card of what takes long.
    #[default]
    Normal,
    /// Neither live cards nor the queue's.
    Quiet,
}

impl Noise {
    pub fn as_str(self) -> &'static str {
        match self {
            Noise::Full => "full",
            Noise::Normal => "normal",
            Noise::Quiet => "quiet",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Noise::Full, Noise::Normal, Noise::Quiet].into_iter().find(|noise| noise.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_value_is_read() {
        for setting in Setting::CHOSEN {
            assert_eq!(Setting::parse(setting.as_str()), Some(setting));
            for value in setting.values() {
                let read = match setting {
                    Setting::Autonomy => Level::parse(value).is_some(),
                    Setting::Busy => Busy::parse(value).is_some(),
                    Setting::Noise => Noise::parse(value).is_some(),
                    Setting::CatchUp => catch_up(Some(value)).is_some() == (*value != "off"),
                    _ => true,
                };
                assert!(read, "{setting:?} {value}");
            }
        }
    }

    #[test]
    fn who_sets_what() {
        for (setting, value, direct, least) in [
            (Setting::Autonomy, "edit", false, Role::Admin),
            (Setting::Autonomy, "ask", false, Role::Approver),
            (Setting::Autonomy, "ask", true, Role::Member),
            (Setting::Autonomy, "trusted", true, Role::Owner),
            (Setting::Busy, "steer", false, Role::Approver),
            (Setting::Busy, "steer", true, Role::Member),
            (Setting::Noise, "quiet", false, Role::Approver),
            (Setting::TwoPersons, "true", false, Role::Admin),
            (Setting::CatchUp, "20", false, Role::Admin),
        ] {
            for role in Role::ALL {
                assert_eq!(
                    setting.may_set(value, Level::Ask, role, direct),
                    role >= least,
                    "{setting:?} {value} {role:?}"
                );
            }
        }
        assert!(Role::ALL.iter().all(|role| !Setting::Autonomy.may_set("trusted", Level::Edit, *role, false)));
    }
}
