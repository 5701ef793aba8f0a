//! One chat's file: append, sync, and the newest lines in memory.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::sync::broadcast;

use super::wire::{ChatEvent, Line};
use crate::domain::ids::{DeliveryId, MessageId};

/// Lines that are kept when the file is opened anew.
const KEPT: usize = 1000;
/// A terminal that is further behind reads the kept lines again.
const BEHIND: usize = 256;

/// A chat on disk.
#[derive(Debug)]
pub(super) struct ChatLog {
    file: File,
    seq: u64,
    lines: VecDeque<Line>,
    by_key: HashMap<String, MessageId>,
    by_delivery: HashMap<DeliveryId, MessageId>,
    live: broadcast::Sender<Line>,
}

impl ChatLog {
    /// Opens the chat, and shortens its file when it has grown.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        // A last line without its end was never synced: its message was never reported as sent.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let all: Vec<Line> = whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let kept = &all[all.len().saturating_sub(KEPT)..];
        if all.len() > 2 * KEPT || whole.len() != text.len() {
            rewrite(path, kept)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let (live, _) = broadcast::channel(BEHIND);
        let mut log = Self {
            file,
            seq: kept.last().map_or(0, |line| line.seq),
            lines: VecDeque::new(),
            by_key: HashMap::new(),
            by_delivery: HashMap::new(),
            live,
        };
        for line in kept {
            log.remember(line.clone());
        }
        Ok(log)
    }

    /// Appends and syncs; only then is it shown to anybody.
    pub(super) fn append(&mut self, at_ms: i64, event: ChatEvent) -> io::Result<()> {
        let line = Line { seq: self.seq + 1, at_ms, event };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&bytes).and_then(|()| self.file.sync_data()) {
            // Half a line would swallow the next one.
            let _ = self.file.set_len(before);
            return Err(error);
        }
        self.seq = line.seq;
        self.remember(line.clone());
        let _ = self.live.send(line);
        Ok(())
    }

    /// Shows a picture that is not worth keeping.
    pub(super) fn show(&self, at_ms: i64, event: ChatEvent) {
        let _ = self.live.send(Line { seq: self.seq, at_ms, event });
    }

    fn remember(&mut self, line: Line) {
        if let ChatEvent::Message { message, delivery, key, .. } | ChatEvent::Card { message, delivery, key, .. } =
            &line.event
        {
            self.by_key.insert(key.clone(), message.clone());
            self.by_delivery.insert(delivery.clone(), message.clone());
        }
        self.lines.push_back(line);
        if self.lines.len() > KEPT
            && let Some(gone) = self.lines.pop_front()
            && let ChatEvent::Message { delivery, key, .. } | ChatEvent::Card { delivery, key, .. } = gone.event
        {
            // As far back as the file goes after a restart: a key is repeated within an hour, not a thousand lines later.
            self.by_key.remove(&key);
            self.by_delivery.remove(&delivery);
        }
    }

    /// The message that a key was spent for.
    pub(super) fn by_key(&self, key: &str) -> Option<MessageId> {
        self.by_key.get(key).cloned()
    }

    /// The message of an outbox row.
    pub(super) fn by_delivery(&self, delivery: &DeliveryId) -> Option<MessageId> {
        self.by_delivery.get(delivery).cloned()
    }

    /// The place of the newest line.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Lines after a place, and whatever comes.
    pub(super) fn follow(&self, after: u64) -> (Vec<Line>, broadcast::Receiver<Line>) {
        let old = self.lines.iter().filter(|line| line.seq > after).cloned().collect();
        (old, self.live.subscribe())
    }

    /// The words of a message.
    pub(super) fn said(&self, wanted: &MessageId) -> Option<ChatEvent> {
        self.lines.iter().rev().map(|line| &line.event).find_map(|event| match event {
            ChatEvent::Said { message, .. } | ChatEvent::Message { message, .. } if message == wanted => {
                Some(event.clone())
            }
            _ => None,
        })
    }

    /// Whether a card lies in this chat.
    pub(super) fn has_card(&self, wanted: &MessageId) -> bool {
        self.lines.iter().any(|line| matches!(&line.event, ChatEvent::Card { message, .. } if message == wanted))
    }
}

fn rewrite(path: &Path, lines: &[Line]) -> io::Result<()> {
    let fresh = PathBuf::from(format!("{}.new", path.display()));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> ChatEvent {
        ChatEvent::Said { message: MessageId::new(text), text: text.to_owned() }
    }

    #[test]
    fn a_torn_last_line_is_cut_off() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("c.jsonl");
        let mut log = ChatLog::open(&path).unwrap();
        log.append(1, said("one")).unwrap();
        drop(log);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"seq":2,"at_ms":2,"event":"said","mess"#).unwrap();
        drop(file);
        let mut log = ChatLog::open(&path).unwrap();
        log.append(3, said("two")).unwrap();
        let (lines, _) = ChatLog::open(&path).unwrap().follow(0);
        assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn what_is_not_kept_is_forgotten_altogether() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("c.jsonl");
        let sent = |n: usize| ChatEvent::Message {
            message: MessageId::new(format!("m{n}")),
            delivery: DeliveryId::new(format!("d{n}")),
            key: format!("k{n}"),
            target: crate::domain::delivery::Target { chat: "main".into(), reply_to: None, in_topic: false },
            body: crate::domain::delivery::Body::Notice { text: String::new() },
            lang: crate::domain::view::Lang::En,
        };
        let lines: Vec<Line> = (1..=KEPT).map(|n| Line { seq: n as u64, at_ms: 0, event: sent(n) }).collect();
        rewrite(&path, &lines).unwrap();
        let mut log = ChatLog::open(&path).unwrap();
        assert!(log.by_key("k1").is_some());
        log.append(1, sent(KEPT + 1)).unwrap();
        assert!(log.by_key("k1").is_none() && log.by_delivery(&DeliveryId::new("d1")).is_none());
        assert_eq!((log.by_key.len(), log.by_delivery.len()), (KEPT, KEPT));
    }

    #[test]
    fn a_long_file_is_shortened() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("c.jsonl");
        let lines: Vec<Line> = (1..=2500).map(|seq| Line { seq, at_ms: 0, event: said("x") }).collect();
        rewrite(&path, &lines).unwrap();
        let log = ChatLog::open(&path).unwrap();
        assert_eq!(log.seq(), 2500);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), KEPT);
        assert_eq!(log.follow(2498).0.len(), 2);
    }
}
