//! One task for the configured runtime outside of any chat: for `ally setup`, before anybody relies on it. It may change
//! nothing, and whatever it asks for is an answer as well.

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::bridge::ports::{
    CallError, Envelope, Fact, LaunchError, Open, Posture, Prompt, Pull, Runtime, SpawnSpec, Submit, TurnEnd,
};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::history::Failure;
use crate::domain::ids::{ClientId, Generation};
use crate::domain::level::Level;

/// What is asked for.
const WORDS: &str = "Reply with ok";
/// Of a process that nobody recovers.
const NOBODYS: Generation = Generation(0);

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// No process came up.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// It did not take the task.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The task failed.
    #[error("the task failed: {}", .0.detail)]
    Failed(Failure),
    /// It was not over in time.
    #[error("no answer within {seconds} s{}", trouble.as_ref().map_or(String::new(), |trouble| format!(": {trouble}")))]
    Late {
        /// So long it was waited for.
        seconds: u64,
        /// What it said of itself last.
        trouble: Option<String>,
    },
    /// It ended otherwise.
    #[error("the task did not come to its end: {why}")]
    Cut {
        /// In the runtime's words.
        why: String,
    },
}

/// Has the runtime answer once in this directory; its answer.
///
/// # Errors
/// Why there was none.
pub(crate) async fn try_turn(config: &Config, directory: &Path, patience: Duration) -> Result<String, TrialError> {
    let launcher = super::launcher(config, &Clock::default(), None, None);
    let mark = format!("setup-{}", std::process::id());
    let starting = launcher.spawn(SpawnSpec { generation: NOBODYS, mark }).await?;
    let (sender, mut facts) = mpsc::channel(1024);
    let runtime = starting.ready(sender).await?;
    let mut trouble = None;
    let played = tokio::time::timeout(patience, play(runtime.as_ref(), &mut facts, directory, &mut trouble)).await;
    runtime.shutdown().await;
    played.unwrap_or(Err(TrialError::Late { seconds: patience.as_secs(), trouble }))
}

async fn play(
    runtime: &dyn Runtime,
    facts: &mut mpsc::Receiver<Envelope>,
    directory: &Path,
    trouble: &mut Option<String>,
) -> Result<String, TrialError> {
    let posture = Posture::of(Level::Safe);
    let open = Open { thread: None, directory: directory.to_owned(), posture: posture.clone() };
    let thread = runtime.open(&open).await?;
    let client = ClientId::new(uuid::Uuid::now_v7().to_string());
    let submit = Submit {
        thread: thread.clone(),
        client: client.clone(),
        input: Prompt { text: WORDS.to_owned(), ..Prompt::default() },
        model: None,
        effort: None,
        has_planned: false,
        posture,
    };
    runtime.submit(&submit).await?;
    let cut = |why: &str| TrialError::Cut { why: why.to_owned() };
    loop {
        match facts.recv().await.map(|envelope| envelope.fact) {
            Some(Fact::TurnEnded { end: TurnEnd::Completed, .. }) => break,
            Some(Fact::TurnEnded { failure: Some(failure), .. }) => return Err(TrialError::Failed(failure)),
            Some(Fact::TurnEnded { .. }) => return Err(cut("it was interrupted")),
            Some(Fact::GateOpened(_)) => return Err(cut("it asked for an approval, although nothing was to be done")),
            Some(Fact::Retrying { detail }) => *trouble = Some(detail),
            Some(Fact::Exited { detail }) => return Err(TrialError::Cut { why: detail }),
            Some(_) => {}
            None => return Err(TrialError::Call(CallError::Gone)),
        }
    }
    let pull = Pull { thread, client: Some(client.clone()), turn: None, cursor: None };
    let history = runtime.pull(&pull).await?;
    let turn = history.turns.into_iter().find(|turn| turn.has_client(&client));
    let answer = turn.and_then(|turn| turn.answer()).filter(|answer| !answer.trim().is_empty());
    answer.ok_or_else(|| cut("there is no answer in it"))
}
