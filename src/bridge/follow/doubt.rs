//! A submit without a clear answer, while the process lives: did the runtime take the words?

use super::*;

impl Follow {
    /// In a live generation an unanswered submit proves nothing: absent holds only when the thread is idle and two pulls
    /// five seconds apart show no turn newer than the cursor, nor our words in the one at the cursor.
    pub(super) async fn resolve_doubt(&mut self) -> anyhow::Result<bool> {
        for look in 0..2 {
            if look == 1 {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            let status = self.live.call(|runtime| runtime.thread_status(&self.thread)).await;
            // A thread that is not loaded has nothing running either.
            if !matches!(status, Ok(ThreadStatus::Idle | ThreadStatus::NotLoaded)) {
                return Ok(false);
            }
            let pull = Pull {
                thread: self.thread.clone(),
                client: self.turn.client_id.clone(),
                turn: None,
                cursor: self.turn.cursor.clone(),
            };
            let history = match self.live.call(|runtime| runtime.pull(&pull)).await {
                Ok(history) => Some(history),
                // A thread without any turn is nowhere but in the process's memory.
                Err(CallError::NoThread { .. }) if self.conversation.settled_on_thread == 0 => None,
                Err(_) => return Ok(false),
            };
            let absent = history.as_ref().is_none_or(|history| history.proves_absence() && history.turns.is_empty());
            let turns = history.map(|history| history.turns).unwrap_or_default();
            if let Some(found) = turns.into_iter().find(|pulled| settle::is_ours(&self.turn, pulled)) {
                return self.found(found).await;
            }
            if !absent {
                return Ok(false);
            }
        }
        if self.compacts {
            // It may have been asked for all the same, and is never asked for twice.
            self.finish(Finish::bare(Outcome::Interrupted, None)).await?;
        } else {
            self.not_run(0).await?;
        }
        Ok(true)
    }

    /// Our words are in the history of the live process.
    async fn found(&mut self, found: PulledTurn) -> anyhow::Result<bool> {
        self.in_doubt = false;
        self.on_durable().await?;
        match found.ended() {
            Some(end) => {
                self.on_ended(Some(found.native), end_of(end), found.failure).await?;
                Ok(true)
            }
            None => {
                self.on_started(Some(found.native)).await?;
                Ok(false)
            }
        }
    }
}
