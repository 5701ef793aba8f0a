//! JSON-RPC lines: whatever the pieces in which they come, each good line arrives once and in order, each bad one is
//! counted, and nothing ends the connection.

use ally::runtimes::rpc::{Incoming, Peer};
use ally::tasks::Tasks;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// What must come of a stream: what arrives, and how many lines are skipped.
fn expected(stream: &[u8]) -> (Vec<Incoming>, u64) {
    let (mut arrives, mut skipped) = (Vec::new(), 0);
    let mut lines: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    // What stands behind the last line end is no line.
    lines.pop();
    for line in lines {
        let Ok(text) = std::str::from_utf8(line) else {
            skipped += 1;
            continue;
        };
        if text.trim().is_empty() {
            continue;
        }
        let message = serde_json::from_str(text).unwrap_or(Value::Null);
        let id = message.get("id").filter(|id| !id.is_null()).cloned();
        let params = message.get("params").cloned().unwrap_or(Value::Null);
        match (message.get("method"), id) {
            (Some(Value::String(method)), Some(id)) => {
                arrives.push(Incoming::Request { id, method: method.clone(), params });
            }
            (Some(Value::String(method)), None) => {
                arrives.push(Incoming::Notification { method: method.clone(), params });
            }
            (None, Some(id)) if id.is_i64() => {
                let error = message.get("error").is_some_and(|error| !error.is_null());
                skipped += u64::from(!error && message.get("result").is_none());
            }
            _ => skipped += 1,
        }
    }
    (arrives, skipped)
}

fn check(stream: &[u8], piece: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(piece);
        let (reader, writer) = tokio::io::split(near);
        let (inbox, mut received) = mpsc::channel(4);
        let tasks = Tasks::default();
        let peer = Peer::start(reader, writer, false, &tasks, inbox);
        let mut arrived = Vec::new();
        let write = async {
            far.write_all(stream).await.expect("a reader");
            far.shutdown().await.expect("an end");
        };
        let read = async {
            while let Some(incoming) = received.recv().await {
                arrived.push(incoming);
            }
        };
        tokio::join!(write, read);
        assert_eq!((arrived, peer.skipped()), expected(stream), "{}", String::from_utf8_lossy(stream));
    });
}

#[test]
fn bytes() {
    bolero::check!().with_iterations(super::ITERATIONS).for_each(|bytes: &[u8]| {
        if let [piece, stream @ ..] = bytes {
            check(stream, usize::from(*piece) + 1);
        }
    });
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\n\"é👩‍💻]{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof!["id", "method", "params", "result", "error", "jsonrpc", "[a-z]{1,5}"];
    let object = proptest::collection::btree_map(key, value(), 0..5).prop_map(|map| json!(map).to_string());
    let call = (any::<Option<u32>>(), "[a-z/]{1,12}", value()).prop_map(|(id, method, params)| {
        let mut message = json!({"method": method, "params": params});
        if let Some(id) = id {
            message["id"] = json!(id);
        }
        message.to_string()
    });
    prop_oneof![3 => object, 3 => call, 1 => ".{0,20}", 1 => Just("\r".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_good_line_arrives_once_and_in_order(lines in proptest::collection::vec(line(), 0..12), piece in 1usize..90, half: bool) {
        let mut stream = lines.join("\n");
        if !half {
            stream.push('\n');
        }
        check(stream.as_bytes(), piece);
    }
}

/// Deep nesting is a bad line, not an overflow of the stack.
#[test]
fn a_line_of_brackets_is_skipped() {
    let mut stream = "[".repeat(1 << 20);
    stream.push_str("\n{\"method\":\"next\"}\n");
    check(stream.as_bytes(), 1 << 16);
}
