//! What can be asked of codex without starting a generation: for `ally doctor`.

use std::time::Duration;

use tokio::process::Command;

use super::install::install;
use super::locate::{Found, locate};
use super::{CodexConfig, CodexLauncher};
use crate::bridge::ports::{LaunchError, Launcher};
use crate::runtimes::process;

/// It reads a file and answers.
const LOGIN: Duration = Duration::from_secs(20);

impl CodexLauncher {
    /// How it would be started.
    pub fn config(&self) -> &CodexConfig {
        &self.config
    }

    /// The program that would be started; nothing is installed.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn program(&self) -> Result<Found, LaunchError> {
        locate(&self.config).await
    }

    /// Codex's own complaint about a key that it does not know, with file, line and key.
    ///
    /// # Errors
    /// Its configuration cannot be read at all, or it could not be tried.
    pub async fn unknown_key(&self, found: &Found) -> Result<Option<String>, LaunchError> {
        self.refuses_strictly(found).await
    }

    /// Signs somebody in, in the terminal that this process has; `by_code` on a machine without a browser.
    pub fn sign_in(&self, found: &Found, by_code: bool) -> Command {
        let mut command = Command::new(&found.program);
        command.arg("login").args(by_code.then_some("--device-auth"));
        command.env_clear().envs(self.environment()).kill_on_drop(true);
        command
    }

    /// The command by which a person signs in, as a shell takes it.
    pub fn login_command(&self) -> Option<String> {
        Launcher::login(self)
    }

    /// Gets the pinned program, where nobody has named another.
    ///
    /// # Errors
    /// Why it could not be installed, and how to get it otherwise.
    pub async fn install(&self) -> Result<(), LaunchError> {
        let CodexConfig { runtimes_dir, path, env, .. } = &self.config;
        install(runtimes_dir, path.as_ref(), env, |_| {}).await.map(drop)
    }

    /// Whether somebody is signed in.
    ///
    /// # Errors
    /// In the system's words, when it cannot be asked.
    pub async fn is_signed_in(&self, found: &Found) -> Result<bool, String> {
        let mut command = Command::new(&found.program);
        command.args(["login", "status"]).env_clear().envs(self.environment());
        let said = process::ask(command, LOGIN).await?;
        match said.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(said.stderr.trim().chars().take(200).collect()),
        }
    }
}
