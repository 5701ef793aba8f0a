//! The only place that spawns. Every task has a name, an owner and a meaning when it ends.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info_span, warn};

/// What the end of a task means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// The process cannot do its work without it: stop, so that the supervisor starts it anew.
    StopDaemon,
    /// Worth a line in the log.
    LogOnly,
    /// A normal end.
    Ignore,
}

/// Owner of a family of tasks. Clones share the family; [`Tasks::child`] makes one that can be ended by itself.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    cancel: CancellationToken,
    fatal: Arc<Mutex<Option<String>>>,
    root: CancellationToken,
}

impl Default for Tasks {
    fn default() -> Self {
        let cancel = CancellationToken::new();
        Self { tracker: TaskTracker::new(), root: cancel.clone(), cancel, fatal: Arc::default() }
    }
}

impl Tasks {
    /// A family of its own below this one: cancelled with it, or alone.
    pub fn child(&self) -> Tasks {
        Tasks {
            tracker: TaskTracker::new(),
            cancel: self.cancel.child_token(),
            fatal: Arc::clone(&self.fatal),
            root: self.root.clone(),
        }
    }

    pub fn token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Starts a task. It gets a token and must end soon after that fires, at a point that is safe by construction.
    pub fn spawn<F, Fut>(&self, name: &'static str, on_exit: OnExit, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let cancel = self.cancel.clone();
        let future = task(cancel.clone());
        let family = self.clone();
        let span = info_span!("task", task.name = name);
        self.tracker.spawn(
            async move {
                // A second spawn inside: a panic becomes a value instead of a silent end.
                let ended = tokio::spawn(future.in_current_span()).await;
                let failure = match ended {
                    Ok(Ok(())) if cancel.is_cancelled() || on_exit != OnExit::StopDaemon => None,
                    Ok(Ok(())) => Some("ended by itself".to_owned()),
                    Ok(Err(error)) => Some(format!("{error:#}")),
                    Err(join) => Some(format!("panicked: {join}")),
                };
                if let Some(failure) = failure {
                    family.report(name, on_exit, failure);
                }
            }
            .instrument(span),
        );
    }

    fn report(&self, name: &'static str, on_exit: OnExit, failure: String) {
        match on_exit {
            OnExit::StopDaemon => {
                error!(task.name = name, error = %failure, "Task {name} failed; the daemon stops");
                self.fatal
                    .lock()
                    .expect("no code panics while it holds this lock")
                    .get_or_insert(format!("{name}: {failure}"));
                self.root.cancel();
            }
            OnExit::LogOnly => warn!(task.name = name, error = %failure, "Task {name} failed"),
            OnExit::Ignore => {}
        }
    }

    /// Why the family was ended by one of its essential tasks, if it was.
    pub fn fatal(&self) -> Option<String> {
        self.fatal.lock().expect("no code panics while it holds this lock").clone()
    }

    /// Cancels and waits; returns false when some task did not end within `grace`.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.cancel.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_essential_task_that_panics_stops_the_family() {
        let tasks = Tasks::default();
        tasks.spawn("doomed", OnExit::StopDaemon, |_| async { panic!("on purpose") });
        tasks.token().cancelled().await;
        assert!(tasks.fatal().is_some_and(|why| why.starts_with("doomed: panicked")));
        assert!(tasks.stop(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_child_family_ends_alone() {
        let tasks = Tasks::default();
        let child = tasks.child();
        child.spawn("waits", OnExit::StopDaemon, |cancel| async move {
            cancel.cancelled().await;
            Ok(())
        });
        assert!(child.stop(Duration::from_secs(5)).await);
        assert!(!tasks.token().is_cancelled());
    }
}
