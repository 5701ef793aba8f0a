//! The settings of one home: `$ALLY_HOME/ally.toml`, `$ALLY_HOME/.env` and the environment, resolved once.
//!
//! This is the only place that reads the environment. Everything that is wrong is told together, with file, key, line
//! and remedy; what comes out ([`Config`]) holds decisions, not wishes: absolute paths, defaults filled in.

use crate::domain::view::Lang;

mod duration;
mod environment;
mod paths;
mod problem;
mod raw;
mod resolved;
mod secrets;
mod template;
mod warnings;

pub use environment::Environment;
pub use paths::{Paths, private_folder};
pub use problem::{Problem, Problems, did_you_mean};
pub use resolved::{
    AccessConfig, Busy, CodexConfig, Config, ConversationConfig, Directory, FeishuConfig, IntakeConfig, ProxyConfig,
    RuntimeConfig, Scope, TurnConfig,
};
pub use template::{write_missing, write_private};

/// Resolves the configuration of the home that the environment names.
pub fn load(environment: &Environment) -> Result<Config, Problems> {
    let paths = Paths::find(environment)?;
    resolved::resolve(paths, environment)
}

/// The language of what a command says: the same order as in the configuration, which may be wrong otherwise.
pub fn lang(environment: &Environment) -> Lang {
    let paths = Paths::find(environment);
    paths.ok().and_then(|paths| resolved::lang(&paths, environment)).or_else(|| environment.lang()).unwrap_or_default()
}

/// Reads a duration as people write it (`90s`, `30m`, `2h`).
pub fn parse_duration(text: &str) -> Option<std::time::Duration> {
    duration::parse(text)
}
