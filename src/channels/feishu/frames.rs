//! Frames of the long connection: putting fragments together, and the ack.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::wire::{Ack, Frame, Header};
use crate::domain::view::{Toast, ToastKind};

/// Fragments of one message.
const MAX_FRAGMENTS: usize = 256;
/// Bytes of all messages that are not complete yet; also the longest single message.
pub const MAX_BYTES: usize = 16 << 20;
/// Messages that may be incomplete at the same time.
const MAX_OPEN: usize = 64;
/// After that the missing fragment will not come any more; the platform delivers the whole message again.
const TTL: Duration = Duration::from_secs(5);

/// Messages that arrived in part.
#[derive(Default)]
pub struct Fragments {
    open: HashMap<String, Partial>,
}

struct Partial {
    pieces: Vec<Option<Vec<u8>>>,
    born: Instant,
}

impl Fragments {
    /// Takes a data frame; gives the payload once it is whole. The error names what was wrong with the fragment.
    pub fn push(&mut self, frame: &Frame, now: Instant) -> Result<Option<Vec<u8>>, &'static str> {
        self.open.retain(|_, partial| now.duration_since(partial.born) < TTL);
        let payload = frame.payload.clone().unwrap_or_default();
        let sum: usize = number(frame, "sum", 1)?;
        if sum <= 1 {
            return Ok(Some(payload));
        }
        let seq: usize = number(frame, "seq", 0)?;
        let id = frame.header("message_id").filter(|id| !id.is_empty()).ok_or("fragment_without_id")?;
        if sum > MAX_FRAGMENTS || seq >= sum {
            return Err("bad_fragment");
        }
        if self.bytes() + payload.len() > MAX_BYTES {
            self.open.remove(id);
            return Err("fragments_too_large");
        }
        if !self.open.contains_key(id) && self.open.len() >= MAX_OPEN {
            return Err("too_many_fragments");
        }
        let partial = self.open.entry(id.to_owned()).or_insert_with(|| Partial { pieces: vec![None; sum], born: now });
        // A count that changes on the way belongs to another message with the same id.
        if partial.pieces.len() != sum {
            return Err("bad_fragment");
        }
        partial.pieces[seq] = Some(payload);
        if partial.pieces.iter().any(Option::is_none) {
            return Ok(None);
        }
        let whole = self.open.remove(id).map(|partial| partial.pieces.into_iter().flatten().flatten().collect());
        Ok(whole)
    }

    fn bytes(&self) -> usize {
        let pieces = self.open.values().flat_map(|partial| &partial.pieces);
        pieces.map(|piece| piece.as_ref().map_or(0, Vec::len)).sum()
    }
}

fn number(frame: &Frame, key: &str, absent: usize) -> Result<usize, &'static str> {
    match frame.header(key) {
        None | Some("") => Ok(absent),
        Some(text) => text.parse().map_err(|_| "bad_fragment"),
    }
}

/// What the platform is told of a data frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Taken, or of no use to anybody however often it comes.
    Taken,
    /// Not taken: deliver it again.
    NotTaken,
    /// A callback's answer: JSON that the client shows.
    Answer(Value),
}

/// Answers a data frame: the same frame with the time that it took and the verdict as its payload.
pub fn ack(mut frame: Frame, verdict: &Verdict, took: Duration) -> Frame {
    let (code, data) = match verdict {
        Verdict::Taken => (200, None),
        Verdict::NotTaken => (500, None),
        Verdict::Answer(answer) => (200, Some(BASE64_STANDARD.encode(answer.to_string()))),
    };
    frame.headers.push(Header { key: "biz_rt".to_owned(), value: took.as_millis().to_string() });
    frame.payload = Some(serde_json::to_vec(&Ack { code, data }).expect("a number and a string"));
    frame
}

/// A toast as the client wants it; the client picks the language.
pub fn toast(toast: &Toast) -> Value {
    let kind = match toast.kind {
        ToastKind::Info => "info",
        ToastKind::Success => "success",
        ToastKind::Warning => "warning",
        ToastKind::Error => "error",
    };
    json!({"toast": {"type": kind, "content": toast.zh, "i18n": {"zh_cn": toast.zh, "en_us": toast.en}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: &str, sum: &str, seq: &str, payload: &str) -> Frame {
        let headers = [("message_id", id), ("sum", sum), ("seq", seq)]
            .map(|(key, value)| Header { key: key.to_owned(), value: value.to_owned() });
        Frame { method: 1, headers: headers.to_vec(), payload: Some(payload.into()), ..Frame::default() }
    }

    #[test]
    fn pieces_come_in_any_order_and_are_forgotten_when_whole() {
        let mut fragments = Fragments::default();
        let now = Instant::now();
        assert_eq!(fragments.push(&piece("m", "3", "2", "c"), now), Ok(None));
        assert_eq!(fragments.push(&piece("m", "3", "0", "a"), now), Ok(None));
        assert_eq!(fragments.push(&piece("n", "1", "0", "x"), now), Ok(Some(b"x".to_vec())));
        assert_eq!(fragments.push(&piece("m", "3", "1", "b"), now), Ok(Some(b"abc".to_vec())));
        assert!(fragments.open.is_empty());
    }

    #[test]
    fn a_fragment_that_waits_too_long_is_dropped() {
        let mut fragments = Fragments::default();
        let now = Instant::now();
        assert_eq!(fragments.push(&piece("m", "2", "0", "a"), now), Ok(None));
        assert_eq!(fragments.push(&piece("m", "2", "1", "b"), now + TTL), Ok(None));
    }

    #[test]
    fn nonsense_is_refused() {
        let mut fragments = Fragments::default();
        let now = Instant::now();
        for (frame, want) in [
            (piece("m", "257", "0", ""), "bad_fragment"),
            (piece("m", "2", "2", ""), "bad_fragment"),
            (piece("m", "two", "0", ""), "bad_fragment"),
            (piece("m", "-1", "0", ""), "bad_fragment"),
            (piece("", "2", "0", ""), "fragment_without_id"),
        ] {
            assert_eq!(fragments.push(&frame, now), Err(want));
        }
        let big = "x".repeat(MAX_BYTES / 2 + 1);
        assert_eq!(fragments.push(&piece("m", "3", "0", &big), now), Ok(None));
        assert_eq!(fragments.push(&piece("m", "3", "1", &big), now), Err("fragments_too_large"));
        assert_eq!(fragments.push(&piece("m", "2", "0", "a"), now), Ok(None), "it begins anew");
        assert_eq!(fragments.push(&piece("m", "3", "1", "a"), now), Err("bad_fragment"), "the count changed");
    }

    #[test]
    fn an_ack_is_the_same_frame() {
        let frame = piece("m", "1", "0", "{}");
        let acked = ack(frame.clone(), &Verdict::Answer(json!({})), Duration::from_millis(12));
        assert_eq!(acked.header("biz_rt"), Some("12"));
        assert_eq!(acked.headers[..3], frame.headers[..]);
        assert_eq!(acked.payload.as_deref(), Some(br#"{"code":200,"data":"e30="}"#.as_slice()));
        let refused = ack(frame, &Verdict::NotTaken, Duration::ZERO);
        assert_eq!(refused.payload.as_deref(), Some(br#"{"code":500}"#.as_slice()));
    }
}
