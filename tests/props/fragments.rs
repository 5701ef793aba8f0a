//! Fragments: a payload comes out whole, once, and made of its own pieces, or not at all; the memory is bounded.

use std::collections::HashMap;
use std::time::Duration;

use ally::channels::feishu::frames::{Fragments, MAX_BYTES};
use ally::channels::feishu::{Frame, Header};
use proptest::prelude::*;
use tokio::time::Instant;

/// One frame with a piece, some time after the one before.
#[derive(Debug, Clone)]
struct Piece {
    id: u8,
    sum: String,
    seq: String,
    payload: Vec<u8>,
    later: Duration,
}

impl Piece {
    fn frame(&self) -> Frame {
        let id = format!("om_{}", self.id);
        let headers = [("message_id", &id), ("sum", &self.sum), ("seq", &self.seq)];
        let header = |(key, value): (&str, &String)| Header { key: key.to_owned(), value: value.clone() };
        let headers = headers.map(header).to_vec();
        Frame { method: 1, headers, payload: Some(self.payload.clone()), ..Frame::default() }
    }
}

/// What came of one message since it was last whole, refused or forgotten.
struct Open {
    born: Instant,
    pieces: Vec<Option<Vec<u8>>>,
}

/// The same rules, said in another way: which pieces must be there for a payload to come out.
#[derive(Default)]
struct Model(HashMap<u8, Open>);

impl Model {
    fn push(&mut self, piece: &Piece, now: Instant) -> Option<Vec<u8>> {
        self.0.retain(|_, open| now - open.born < Duration::from_secs(5));
        let sum = if piece.sum.is_empty() { Some(1) } else { piece.sum.parse::<usize>().ok() }?;
        if sum <= 1 {
            return Some(piece.payload.clone());
        }
        let seq = if piece.seq.is_empty() { Some(0) } else { piece.seq.parse::<usize>().ok() }?;
        if seq >= sum || sum > 256 {
            return None;
        }
        let open = self.0.entry(piece.id).or_insert_with(|| Open { born: now, pieces: vec![None; sum] });
        if open.pieces.len() != sum {
            return None;
        }
        open.pieces[seq] = Some(piece.payload.clone());
        let whole: Option<Vec<&[u8]>> = open.pieces.iter().map(Option::as_deref).collect();
        let whole = whole?.concat();
        self.0.remove(&piece.id);
        Some(whole)
    }
}

fn check(pieces: &[Piece]) {
    let (mut fragments, mut model, mut now) = (Fragments::default(), Model::default(), Instant::now());
    for piece in pieces {
        now += piece.later;
        let got = fragments.push(&piece.frame(), now).ok().flatten();
        assert_eq!(got, model.push(piece, now), "{piece:?} of {pieces:?}");
    }
}

/// Few ids and small numbers, so that random bytes meet each other.
fn read(bytes: &[u8]) -> Vec<Piece> {
    let piece = |bytes: &[u8]| Piece {
        id: bytes[0] % 3,
        sum: number(bytes[1]),
        seq: number(bytes[2]),
        payload: vec![bytes[2]; usize::from(bytes[3] % 5)],
        later: Duration::from_millis(u64::from(bytes[3]) * 12),
    };
    bytes.chunks_exact(4).map(piece).collect()
}

fn number(byte: u8) -> String {
    match byte {
        0..=199 => (byte % 5).to_string(),
        200..=229 => String::new(),
        230 => "-1".to_owned(),
        231 => "257".to_owned(),
        232 => "18446744073709551616".to_owned(),
        _ => "two".to_owned(),
    }
}

#[test]
fn bytes() {
    bolero::check!().with_iterations(super::ITERATIONS).for_each(|bytes: &[u8]| check(&read(bytes)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_in_any_order_make_their_own_payload(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 1..8),
        cuts in 1usize..9,
        order in proptest::collection::vec(any::<prop::sample::Index>(), 80),
    ) {
        let mut pieces = Vec::new();
        for (id, payload) in payloads.iter().enumerate() {
            let chunks: Vec<&[u8]> = payload.chunks(payload.len().div_ceil(cuts)).collect();
            for (seq, chunk) in chunks.iter().enumerate() {
                let sum = chunks.len().to_string();
                let (id, seq, payload, later) = (id as u8, seq.to_string(), chunk.to_vec(), Duration::ZERO);
                pieces.push(Piece { id, sum, seq, payload, later });
            }
        }
        for (at, index) in order.iter().enumerate().take(pieces.len()) {
            let other = index.index(pieces.len());
            pieces.swap(at, other);
        }
        let mut fragments = Fragments::default();
        let mut out: Vec<Vec<u8>> = pieces.iter().filter_map(|one| fragments.push(&one.frame(), Instant::now()).unwrap()).collect();
        let mut want = payloads.clone();
        out.sort();
        want.sort();
        prop_assert_eq!(out, want);
    }

    #[test]
    fn nonsense_between_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&read(&bytes));
    }
}

/// Somebody who never finishes a message cannot fill the memory.
#[test]
fn what_waits_is_bounded() {
    let (mut fragments, now, mut held) = (Fragments::default(), Instant::now(), 0);
    let payload = vec![0; 1 << 20];
    for id in 0..64 {
        let piece = |seq: usize| Piece {
            id,
            sum: "200".into(),
            seq: seq.to_string(),
            payload: payload.clone(),
            later: Duration::ZERO,
        };
        held += (0..2).filter(|seq| fragments.push(&piece(*seq).frame(), now).is_ok()).count();
    }
    assert!(held <= MAX_BYTES >> 20, "{held} MiB");
}
