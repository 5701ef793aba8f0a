//! The settings of one home: `$ALLY_HOME/ally.toml`, `$ALLY_HOME/.env` and the environment, resolved once.
//!
//! This is the only place that reads the environment. Everything that is wrong is told together, with file, key, line
//! and remedy; what comes out ([`Config`]) holds decisions, not wishes: absolute paths, defaults filled in.

use crate::domain::view::Lang;

mod directory;
mod duration;
mod edit;
mod environment;
mod paths;
mod problem;
mod raw;
mod resolved;
mod secrets;
mod template;
mod warnings;

pub use directory::{Unfit, unfit as unfit_directory};
pub use edit::{Change, Setting, write as write_settings};
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

/// The language that the settings or the environment choose for ally, where they do.
pub fn chosen_lang(environment: &Environment) -> Option<Lang> {
    resolved::lang(&Paths::find(environment).ok()?, environment)
}

/// What the environment or `.env` sets of the credentials' file, in this order.
pub fn variable(environment: &Environment, key: &str) -> Option<String> {
    let read = || {
        let values = secrets::read(&Paths::find(environment).ok()?.env, &mut Problems::default());
        values.get(key).map(|found| found.value.clone())
    };
    environment.get(key).map(str::to_owned).or_else(read)
}

/// The proxy that the environment names on the way to a platform.
///
/// # Errors
/// One that cannot be used.
pub fn proxy(environment: &Environment) -> Result<Option<ProxyConfig>, Problems> {
    resolved::proxy(environment).map_err(|problem| {
        let mut problems = Problems::default();
        problems.add(problem);
        problems
    })
}

/// Whether a text has the form of an app's id.
pub fn is_app_id(text: &str) -> bool {
    resolved::is_id(text, "cli_")
}

/// `~/` is the person's home.
pub fn expand(path: &str, home: &std::path::Path) -> std::path::PathBuf {
    paths::expand(path, home)
}

/// Reads a duration as people write it (`90s`, `30m`, `2h`).
pub fn parse_duration(text: &str) -> Option<std::time::Duration> {
    duration::parse(text)
}
