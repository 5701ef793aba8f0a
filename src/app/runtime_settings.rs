//! Under which settings the present runtime was started. It outlives bridges: one that comes with other settings says so,
//! until the runtime is started anew.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::bridge::host::{Host, HostState};
use crate::config::{Config, write_private};
use crate::domain::gate::hex;
use crate::domain::ids::Generation;

/// What is noted, and what this bridge would start a runtime with.
#[derive(Debug, Clone)]
pub(super) struct RuntimeSettings {
    note: PathBuf,
    ours: String,
}

impl RuntimeSettings {
    pub(super) fn of(config: &Config) -> Self {
        let text = format!("{:?} {:?}", config.runtime, config.child_environment);
        Self { note: config.paths.runtime_settings(), ours: hex(&Sha256::digest(text.as_bytes())) }
    }

    /// Whether a runtime was started under others than ours. Of one that nothing is noted of they are ours.
    pub(super) fn are_others(&self, generation: Generation) -> bool {
        read(&self.note).is_some_and(|(noted, settings)| noted == generation.0 && settings != self.ours)
    }

    /// Notes ours for a runtime that nothing is noted of.
    fn note(&self, generation: Generation) {
        if read(&self.note).is_some_and(|(noted, _)| noted == generation.0) {
            return;
        }
        if let Err(error) = write_private(&self.note, &format!("{generation} {}\n", self.ours)) {
            warn!(%error, "The settings of the runtime could not be noted");
        }
    }
}

fn read(note: &Path) -> Option<(i64, String)> {
    let text = fs::read_to_string(note).ok()?;
    let (generation, settings) = text.trim().split_once(' ')?;
    Some((generation.parse().ok()?, settings.to_owned()))
}

/// Notes them for each runtime that comes up, until `cancel`.
pub(super) async fn keep(host: Host, settings: RuntimeSettings, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut state = host.watch();
    loop {
        let live = match &*state.borrow_and_update() {
            HostState::Live(live) => Some(live.generation),
            _ => None,
        };
        if let Some(generation) = live {
            settings.note(generation);
        }
        match cancel.run_until_cancelled(state.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_keeps_the_settings_that_it_was_started_with() {
        let dir = tempfile::tempdir().unwrap();
        let of = |ours: &str| RuntimeSettings { note: dir.path().join("note"), ours: ours.to_owned() };
        assert!(!of("a").are_others(Generation(1)), "nothing is noted");
        of("a").note(Generation(1));
        of("b").note(Generation(1));
        assert!(of("b").are_others(Generation(1)) && !of("a").are_others(Generation(1)));
        of("b").note(Generation(2));
        assert!(!of("b").are_others(Generation(2)) && of("a").are_others(Generation(2)));
    }
}
