//! Frames of the long connection: whatever is read is written again as the same frame, and nothing makes it panic.

use std::time::Duration;

use ally::channels::feishu::frames::{Verdict, ack};
use ally::channels::feishu::{Frame, Header};
use proptest::prelude::*;
use prost::Message;
use serde_json::Value;

fn check(bytes: &[u8]) {
    let Ok(frame) = Frame::decode(bytes) else { return };
    let again = Frame::decode(frame.encode_to_vec().as_slice()).expect("what we wrote");
    assert_eq!(again, frame);
    let acked = ack(frame.clone(), &Verdict::Taken, Duration::from_millis(7));
    assert_eq!(acked.headers[..frame.headers.len()], frame.headers);
    assert_eq!((acked.seq_id, acked.log_id, acked.service), (frame.seq_id, frame.log_id, frame.service));
    let payload: Value = serde_json::from_slice(acked.payload.as_deref().unwrap_or_default()).expect("JSON");
    assert_eq!(payload["code"], 200);
}

#[test]
fn bytes() {
    bolero::check!().with_iterations(super::ITERATIONS).for_each(check);
}

pub fn frame() -> impl Strategy<Value = Frame> {
    let header = (".{0,12}", ".{0,20}").prop_map(|(key, value)| Header { key, value });
    let known =
        (prop_oneof!["type", "sum", "seq", "message_id"], "[0-9]{0,4}").prop_map(|(key, value)| Header { key, value });
    let headers = proptest::collection::vec(prop_oneof![header, known], 0..6);
    let texts = (any::<Option<String>>(), any::<Option<String>>(), any::<Option<String>>());
    let numbers = (any::<u64>(), any::<u64>(), any::<i32>(), any::<i32>());
    (numbers, headers, texts, any::<Option<Vec<u8>>>()).prop_map(|(numbers, headers, texts, payload)| Frame {
        seq_id: numbers.0,
        log_id: numbers.1,
        service: numbers.2,
        method: numbers.3,
        headers,
        payload_encoding: texts.0,
        payload_type: texts.1,
        payload,
        log_id_new: texts.2,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_is_the_same_after_the_wire(frame in frame()) {
        let bytes = frame.encode_to_vec();
        prop_assert_eq!(Frame::decode(bytes.as_slice()).unwrap(), frame);
        check(&bytes);
    }

    /// The platform adds fields without notice; what comes damaged is an error or a frame, never a panic.
    #[test]
    fn a_damaged_frame_is_an_error_or_a_frame(frame in frame(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = frame.encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= byte;
        check(&bytes);
        check(&bytes[..cut.index(bytes.len())]);
    }
}
