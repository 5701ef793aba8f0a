//! A terminal's connection to one chat. It outlives a restart of the daemon: every line has a place, every message an id.

use std::time::Duration;

use tokio::time::Instant;

use crate::channels::local::{ChatEvent, ClickIn, Line, MessageIn, Taken};
use crate::config::Paths;
use crate::control::{Client, ClientError, GateRow, Lines};
use crate::domain::ids::{ButtonId, MessageId};
use crate::domain::view::Lang;

/// How long a restart of the daemon may take before the terminal gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// An open chat.
pub(super) struct Session {
    paths: Paths,
    chat: String,
    lines: Lines,
    seq: u64,
}

impl Session {
    pub(super) async fn open(paths: Paths, chat: &str) -> Result<Self, ClientError> {
        let (lines, seq) = attach(&paths, chat, None).await?;
        Ok(Self { paths, chat: chat.to_owned(), lines, seq })
    }

    /// Begins `lines` lines earlier, for a person who wants to know where things stand.
    pub(super) async fn rewind(&mut self, lines: u64) -> Result<(), ClientError> {
        self.seq = self.seq.saturating_sub(lines);
        self.reattach().await
    }

    /// The next thing that happens.
    pub(super) async fn next(&mut self) -> Result<ChatEvent, ClientError> {
        loop {
            match self.lines.next::<Line>().await {
                Ok(Some(Line { event: ChatEvent::Hello, .. })) => {}
                Ok(Some(line)) => {
                    self.seq = self.seq.max(line.seq);
                    return Ok(line.event);
                }
                Ok(None) | Err(ClientError::Lost(_)) => self.reattach().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// The daemon ended the stream: it restarts, or we fell behind. Goes on after the last line that was seen.
    async fn reattach(&mut self) -> Result<(), ClientError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match attach(&self.paths, &self.chat, Some(self.seq)).await {
                Ok((lines, _)) => {
                    self.lines = lines;
                    return Ok(());
                }
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
    }

    /// Says something; resolves when it is kept. Sent again while the daemon restarts: the id makes it one message.
    pub(super) async fn say(&self, text: &str) -> Result<MessageId, ClientError> {
        let message = MessageId::new(format!("lu_{}", uuid::Uuid::now_v7()));
        let input = MessageIn { message: message.clone(), text: text.to_owned(), reply_to: None };
        let _: Taken = self.post("messages", &input).await?;
        Ok(message)
    }

    /// Presses a button; gives what is to be shown.
    pub(super) async fn click(
        &self,
        card: &MessageId,
        button: &ButtonId,
        lang: Lang,
    ) -> Result<Option<String>, ClientError> {
        let click = format!("lc_{}", uuid::Uuid::now_v7());
        let input = ClickIn { card: card.clone(), button: button.clone(), click, form: Vec::new() };
        let taken: Taken = self.post(&format!("clicks?lang={}", lang.as_str()), &input).await?;
        Ok(taken.toast)
    }

    /// Requests that waited before we came.
    pub(super) async fn open_gates(&self) -> Result<Vec<GateRow>, ClientError> {
        Client::connect(&self.paths)?.get("/v1/gates").await
    }

    async fn post(&self, what: &str, input: &impl serde::Serialize) -> Result<Taken, ClientError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let sent =
                async { Client::connect(&self.paths)?.post(&format!("/v1/chat/{}/{what}", self.chat), input).await };
            match sent.await {
                // The token changes with the daemon.
                Err(
                    ClientError::Lost(_) | ClientError::NotRunning | ClientError::Refused { status: 401 | 503, .. },
                ) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(250)).await,
                done => return done,
            }
        }
    }
}

async fn attach(paths: &Paths, chat: &str, after: Option<u64>) -> Result<(Lines, u64), ClientError> {
    let query = after.map(|after| format!("?after={after}")).unwrap_or_default();
    let mut lines = Client::connect(paths)?.follow(&format!("/v1/chat/{chat}/events{query}")).await?;
    match lines.next::<Line>().await? {
        Some(Line { event: ChatEvent::Hello, seq, .. }) => Ok((lines, seq)),
        _ => Err(ClientError::Lost("the stream did not begin".to_owned())),
    }
}
