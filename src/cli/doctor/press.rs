//! A card that is sent to the owner to be pressed: whether a click comes all the way back.

use std::time::Duration;

use tokio::time::Instant;

use crate::control::{Client, ClientError, PressReport, PressState};
use crate::doctor::feishu::Pressed;

/// Between two looks whether the click came.
pub(in crate::cli) const LOOK: Duration = Duration::from_millis(300);
/// So long a card may need to be shown.
const SHOWN: Duration = Duration::from_secs(30);

/// One that was sent.
pub(in crate::cli) struct Card {
    name: String,
    patience: Duration,
    sent: Instant,
    shown: Option<Instant>,
}

impl Card {
    /// Sends one, which is waited for so long once it is shown. Nothing where the owner has no chat.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(in crate::cli) async fn send(client: &Client, patience: Duration) -> Result<Option<Self>, ClientError> {
        let sent: PressReport = client.post("/v1/press", &()).await?;
        Ok(sent.name.map(|name| Self { name, patience, sent: Instant::now(), shown: None }))
    }

    /// One that was sent before, where it can still be pressed.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(in crate::cli) async fn sent(
        client: &Client,
        name: String,
        patience: Duration,
    ) -> Result<Option<Self>, ClientError> {
        let state: PressState = match client.get(&format!("/v1/press/{name}")).await {
            // Of another ledger.
            Err(ClientError::Refused { status: 404, .. }) => return Ok(None),
            state => state?,
        };
        Ok((!state.given_up).then(|| Self { name, patience, sent: Instant::now(), shown: None }))
    }

    /// By this it is found again.
    pub(in crate::cli) fn name(&self) -> &str {
        &self.name
    }

    /// What came of it, once that is known. Another daemon since wants another client.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(in crate::cli) async fn look(&mut self, client: &Client) -> Result<Option<Pressed>, ClientError> {
        let state: PressState = client.get(&format!("/v1/press/{}", self.name)).await?;
        if state.pressed {
            return Ok(Some(Pressed::Came));
        }
        if state.shown && self.shown.is_none() {
            self.shown = Some(Instant::now());
        }
        let came = match self.shown {
            None if state.given_up => Some(Pressed::NotShown { why: "refused".to_owned() }),
            None if self.sent.elapsed() > SHOWN => {
                Some(Pressed::NotShown { why: format!("{} s", self.sent.elapsed().as_secs()) })
            }
            Some(at) if at.elapsed() > self.patience => {
                Some(Pressed::Missing { seconds: i64::try_from(self.patience.as_secs()).unwrap_or(i64::MAX) })
            }
            _ => None,
        };
        Ok(came)
    }
}
