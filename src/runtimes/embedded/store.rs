//! The durable history: one append-only file of JSON lines a thread. Every line is synced before anything is told of it.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::wire::{End, Line};
use crate::bridge::ports::Pull;
use crate::domain::history::{Completeness, EndEvidence, History, PulledItem, PulledTurn};
use crate::domain::ids::{NativeTurnId, ThreadId};
use crate::domain::verdict::FoundStatus;

/// The files of all threads.
#[derive(Debug, Clone)]
pub(super) struct Store {
    threads: PathBuf,
}

impl Store {
    /// Makes the folder.
    pub async fn open(home: &Path) -> io::Result<Store> {
        let threads = home.join("threads");
        fs::create_dir_all(&threads).await?;
        Ok(Store { threads })
    }

    /// `None` for an id that is none of ours.
    fn path(&self, thread: &ThreadId) -> Option<PathBuf> {
        let ours = uuid::Uuid::parse_str(thread.as_str()).is_ok();
        ours.then(|| self.threads.join(format!("{thread}.jsonl")))
    }

    pub async fn create(&self, thread: &ThreadId, lines: &[Line]) -> io::Result<()> {
        self.write(thread, lines, true).await?;
        // The name itself must survive as well.
        fs::File::open(&self.threads).await?.sync_all().await
    }

    /// Adds lines and syncs them.
    pub async fn append(&self, thread: &ThreadId, lines: &[Line]) -> io::Result<()> {
        self.write(thread, lines, false).await
    }

    async fn write(&self, thread: &ThreadId, lines: &[Line], create: bool) -> io::Result<()> {
        let path = self.path(thread).ok_or(io::ErrorKind::NotFound)?;
        let mut text = String::new();
        for line in lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        let mut file = OpenOptions::new().append(true).create_new(create).open(path).await?;
        file.write_all(text.as_bytes()).await?;
        file.flush().await?;
        file.sync_data().await
    }

    /// Cuts off a last line that was never finished, so that the next one stands alone.
    ///
    /// # Errors
    /// `NotFound` when there is no such thread.
    pub async fn repair(&self, thread: &ThreadId) -> io::Result<()> {
        let path = self.path(thread).ok_or(io::ErrorKind::NotFound)?;
        let bytes = fs::read(&path).await?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            let file = OpenOptions::new().write(true).open(&path).await?;
            file.set_len(whole as u64).await?;
            file.sync_data().await?;
        }
        Ok(())
    }

    /// All finished lines.
    ///
    /// # Errors
    /// `NotFound` when there is no such thread, `InvalidData` when a finished line cannot be read.
    pub async fn lines(&self, thread: &ThreadId) -> io::Result<Vec<Line>> {
        let path = self.path(thread).ok_or(io::ErrorKind::NotFound)?;
        let bytes = fs::read(&path).await?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text = std::str::from_utf8(&bytes[..whole]).map_err(io::Error::other)?;
        text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
    }
}

/// The lines of turns that have ended, for a copy of the thread.
pub(super) fn ended_only(lines: Vec<Line>) -> Vec<Line> {
    let ended: Vec<NativeTurnId> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Ended { turn, .. } => Some(turn.clone()),
            _ => None,
        })
        .collect();
    lines.into_iter().filter(|line| line.turn().is_some_and(|turn| ended.contains(turn))).collect()
}

/// Answers a pull from a thread's lines. `running` holds the turn that this process is playing.
pub(super) fn history(lines: &[Line], pull: &Pull, running: &[Option<NativeTurnId>]) -> History {
    let mut turns: Vec<PulledTurn> = Vec::new();
    for line in lines {
        take(&mut turns, line, running);
    }
    let mut found = Vec::new();
    // A turn that was known to be there and is not makes the whole history doubtful.
    let mut reached_cursor = pull.cursor.is_none();
    for turn in turns.into_iter().rev() {
        let has_ours = pull.client.as_ref().is_some_and(|client| turn.has_client(client));
        if pull.cursor.as_ref() == Some(&turn.native) {
            reached_cursor = true;
            found.extend(has_ours.then_some(turn));
            break;
        }
        if turn.items.is_empty() && turn.ended().is_none() {
            // Neither its input nor its end was ever written: nothing of it was done, so it is not there.
            continue;
        }
        let ours = has_ours || pull.turn.as_ref() == Some(&turn.native);
        found.push(turn);
        if ours {
            reached_cursor = false;
            break;
        }
    }
    History { completeness: Completeness::Full, turns: found, reached_cursor }
}

fn take(turns: &mut Vec<PulledTurn>, line: &Line, running: &[Option<NativeTurnId>]) {
    if let Line::Started { turn, .. } = line {
        let status = if running.iter().flatten().any(|active| active == turn) {
            FoundStatus::InProgress
        } else {
            FoundStatus::InterruptedOpen
        };
        let end = EndEvidence::Claimed;
        turns.push(PulledTurn { native: turn.clone(), status, end, items: Vec::new(), failure: None });
        return;
    }
    let Some(turn) = line.turn().and_then(|id| turns.iter_mut().rfind(|turn| turn.native == *id)) else { return };
    match line {
        Line::Opened { .. } | Line::Started { .. } => {}
        Line::Compacted { .. } => turn.items.push(PulledItem::Other),
        Line::Input { client, .. } => turn.items.push(PulledItem::Input { client: client.clone() }),
        Line::Text { text, .. } => turn.items.push(PulledItem::Text { text: text.clone() }),
        Line::Tool { step, changed, .. } => {
            turn.items.push(PulledItem::Tool { step: step.clone(), changed_files: changed.clone() });
        }
        Line::Ended { end, failure, .. } => {
            turn.end = EndEvidence::Proven;
            turn.failure = failure.clone();
            turn.status = match end {
                End::Completed => FoundStatus::Completed,
                End::Failed => FoundStatus::Failed,
                End::Interrupted => FoundStatus::InterruptedClosed,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ClientId;

    fn lines(turns: &[(&str, Option<End>)]) -> Vec<Line> {
        let mut lines = vec![Line::Opened { directory: "/w".into() }];
        for (turn, end) in turns {
            let turn = NativeTurnId::from(*turn);
            let client = Some(ClientId::new(format!("c{turn}")));
            lines.push(Line::Started { turn: turn.clone(), at_ms: 1 });
            lines.push(Line::Input { turn: turn.clone(), client, text: "x".to_owned() });
            if let Some(end) = end {
                lines.push(Line::Ended { turn, end: *end, failure: None, at_ms: 2 });
            }
        }
        lines
    }

    #[test]
    fn a_pull_stops_where_it_was_told() {
        let mut lines = lines(&[("1", Some(End::Completed)), ("2", Some(End::Interrupted)), ("3", None)]);
        lines.push(Line::Started { turn: "4".into(), at_ms: 1 });
        let ask = |client: Option<&str>, turn: Option<&str>, cursor: Option<&str>| {
            let pull = Pull {
                thread: "t".into(),
                client: client.map(ClientId::new),
                turn: turn.map(NativeTurnId::from),
                cursor: cursor.map(NativeTurnId::from),
            };
            let history = history(&lines, &pull, &[]);
            let turns: Vec<String> = history.turns.iter().map(|turn| turn.native.to_string()).collect();
            (turns.concat(), history.reached_cursor)
        };
        for (client, turn, cursor, want, reached) in [
            (None, None, None, "321", true),
            (None, None, Some("1"), "32", true),
            (None, None, Some("3"), "", true),
            (Some("c2"), None, Some("1"), "32", false),
            (Some("absent"), None, Some("2"), "3", true),
            (None, Some("3"), None, "3", false),
            (None, Some("4"), Some("2"), "3", true),
            (None, None, Some("4"), "", true),
            (Some("absent"), None, Some("0"), "321", false),
        ] {
            assert_eq!(ask(client, turn, cursor), (want.to_owned(), reached), "{client:?} {turn:?} {cursor:?}");
        }
    }

    #[test]
    fn how_turns_ended() {
        let lines = lines(&[
            ("1", Some(End::Completed)),
            ("2", Some(End::Failed)),
            ("3", Some(End::Interrupted)),
            ("4", None),
            ("5", None),
        ]);
        let pull = Pull { thread: "t".into(), client: None, turn: None, cursor: None };
        let history = history(&lines, &pull, &[None, Some("5".into())]);
        let statuses: Vec<FoundStatus> = history.turns.iter().map(|turn| turn.status).collect();
        use FoundStatus::*;
        assert_eq!(statuses, [InProgress, InterruptedOpen, InterruptedClosed, Failed, Completed]);
    }

    #[tokio::test]
    async fn a_torn_line_is_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let thread = ThreadId::new(uuid::Uuid::now_v7().to_string());
        let written = lines(&[("1", Some(End::Completed))]);
        store.create(&thread, &written).await.unwrap();
        let path = store.path(&thread).unwrap();
        let torn = [std::fs::read(&path).unwrap(), b"{\"line\":\"star".to_vec()].concat();
        std::fs::write(&path, torn).unwrap();
        assert_eq!(store.lines(&thread).await.unwrap(), written);
        store.repair(&thread).await.unwrap();
        store.append(&thread, &written[1..2]).await.unwrap();
        assert_eq!(store.lines(&thread).await.unwrap().len(), written.len() + 1);
        assert!(store.lines(&"../x".into()).await.is_err());
    }
}
