//! What `ally doctor` finds: one line a check.

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// It is as it has to be.
    Ok,
    /// It works, and is worth knowing.
    Note,
    /// It does not work; the remedy says what to do.
    Bad,
    /// It cannot be told from here.
    Unknown,
}

impl Grade {
    /// The sign at the beginning of its line.
    pub fn sign(self) -> &'static str {
        match self {
            Grade::Ok => "✓",
            Grade::Note => "!",
            Grade::Bad => "✕",
            Grade::Unknown => "?",
        }
    }
}

/// Defines the checks with the ids that programs and the documentation know them by.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident => $id:literal;)+) => {
        /// One check, in the order in which they are told: what stands below depends on what stands above.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Check {
            $($(#[$doc])* #[serde(rename = $id)] $name,)+
        }

        impl Check {
            /// Every check there is.
            pub const ALL: &[Check] = &[$(Check::$name),+];

            /// Its name for programs; it never changes.
            pub fn id(self) -> &'static str {
                match self {
                    $(Check::$name => $id,)+
                }
            }
        }
    };
}

checks! {
    /// `ally.toml` and `.env` can be read and hold no mistake.
    Config => "config";
    /// Nobody else can read the home.
    Modes => "modes";
    /// There is room on the disk.
    Disk => "disk";
    /// Supervisor and bridge run and answer.
    Daemon => "daemon";
    /// Nothing is paused, held or given up.
    Work => "work";
    /// What the rows say fits together.
    Ledger => "ledger";
    /// Routines do what their files say.
    Routines => "routines";
    /// The channel is configured.
    Feishu => "feishu";
    /// The platform answers.
    Reach => "feishu.reach";
    /// Our clock and the platform's agree.
    Clock => "clock";
    /// The platform takes the app's id and secret.
    Credentials => "feishu.credentials";
    /// One program holds the app's connection, and it is this home's.
    Twice => "feishu.twice";
    /// The long connection is open, and something came over it lately.
    Connection => "feishu.connection";
    /// Somebody owns the bot.
    Owner => "feishu.owner";
    /// The app has a bot, and the bot is enabled.
    Bot => "feishu.bot";
    /// A version of the app is published, and no change waits.
    Version => "feishu.version";
    /// People may use it.
    Range => "feishu.range";
    /// The app has the rights that it needs.
    Scopes => "feishu.scopes";
    /// Messages are subscribed to.
    Events => "feishu.events";
    /// Clicks are subscribed to.
    Callback => "feishu.callback";
    /// A click came back.
    Click => "feishu.click";
    /// The runtime's program is there.
    Program => "runtime.program";
    /// Its configuration can be read, and every key in it is known.
    Strict => "runtime.config";
    /// Nothing in the settings weakens what ally sends along.
    Weakened => "runtime.settings";
    /// It is signed in.
    Login => "runtime.login";
    /// The sandbox keeps what it promises.
    Sandbox => "runtime.sandbox";
    /// A process of it runs and answers.
    Process => "runtime.process";
    /// The bot is in the chat.
    InChat => "chat.bot";
    /// People of other companies are in it or not.
    Outsiders => "chat.outsiders";
    /// The chat is opened.
    Opened => "chat.open";
    /// What the person may do there.
    Person => "chat.person";
    /// What becomes of a message.
    Heard => "chat.message";
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check.
    pub id: Check,
    /// How it came out.
    pub grade: Grade,
    /// What was looked at, in words.
    pub what: String,
    /// What is so.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// The lines that people read: the sign, what was looked at, what is so; below it the remedy.
    pub fn lines(&self) -> String {
        let Finding { grade, what, found, remedy, .. } = self;
        let remedy =
            remedy.iter().map(|remedy| format!("\n  → {}", remedy.replace('\n', "\n    "))).collect::<String>();
        format!("{} {what}: {}{remedy}", grade.sign(), found.replace('\n', "\n    "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_see_the_ids() {
        for check in Check::ALL {
            assert_eq!(serde_json::to_value(check).unwrap(), check.id());
        }
        let finding = Finding {
            id: Check::Disk,
            grade: Grade::Bad,
            what: "disk".to_owned(),
            found: "full".to_owned(),
            remedy: Some("make room".to_owned()),
        };
        assert_eq!(finding.lines(), "✕ disk: full\n  → make room");
    }
}
