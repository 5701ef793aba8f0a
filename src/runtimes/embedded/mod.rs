//! (being written)
pub struct EmbeddedConfig {
    pub home: std::path::PathBuf,
    pub run_dir: std::path::PathBuf,
    pub env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
}
pub struct EmbeddedLauncher;
impl EmbeddedLauncher {
    pub fn new(_: EmbeddedConfig, _: crate::clock::Clock, _: crate::tasks::Tasks) -> Self {
        Self
    }
}
impl crate::bridge::ports::Launcher for EmbeddedLauncher {
    fn kind(&self) -> &'static str {
        "embedded"
    }
    fn home(&self) -> std::path::PathBuf {
        Default::default()
    }
    fn spawn<'a>(
        &'a self,
        _: crate::bridge::ports::SpawnSpec,
    ) -> crate::bridge::ports::Boxed<
        'a,
        Result<Box<dyn crate::bridge::ports::Starting>, crate::bridge::ports::LaunchError>,
    > {
        Box::pin(async { Err(crate::bridge::ports::LaunchError::Failed { detail: String::new() }) })
    }
    fn make_dead<'a>(
        &'a self,
        _: &'a crate::bridge::ports::ProcessIdentity,
    ) -> crate::bridge::ports::Boxed<'a, Result<crate::bridge::ports::Death, crate::bridge::ports::StillAlive>> {
        Box::pin(async { Ok(crate::bridge::ports::Death { boot_changed: false, orphans_killed: 0 }) })
    }
}
