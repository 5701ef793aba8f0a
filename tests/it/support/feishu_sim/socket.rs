//! The long connection, as the platform holds it: frames out, acks in, redelivery by the schedule.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::state::{AckRecord, Connection, Delivery, State};
use super::{APP_ID, Inner, TENANT};

/// Of the URL's query; every ping must carry it.
pub const SERVICE: i32 = 33_554_678;
/// Waits of the platform before it delivers an event again that was not acknowledged with 200.
const SCHEDULE: [i64; 4] = [15_000, 300_000, 3_600_000, 21_600_000];

/// The simulator's own reading of `pbbp2`: not the adapter's.
#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(string, required, tag = "1")]
    key: String,
    #[prost(string, required, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Frame {
    #[prost(uint64, required, tag = "1")]
    seq_id: u64,
    #[prost(uint64, required, tag = "2")]
    log_id: u64,
    #[prost(int32, required, tag = "3")]
    service: i32,
    #[prost(int32, required, tag = "4")]
    method: i32,
    #[prost(message, repeated, tag = "5")]
    headers: Vec<Pair>,
    #[prost(string, optional, tag = "6")]
    payload_encoding: Option<String>,
    #[prost(string, optional, tag = "7")]
    payload_type: Option<String>,
    #[prost(bytes = "vec", optional, tag = "8")]
    payload: Option<Vec<u8>>,
    #[prost(string, optional, tag = "9")]
    log_id_new: Option<String>,
}

impl Frame {
    fn header(&self, key: &str) -> Option<&str> {
        self.headers.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
    }
}

fn pair(key: &str, value: impl ToString) -> Pair {
    Pair { key: key.to_owned(), value: value.to_string() }
}

/// Sends an event to one connection, or keeps it until there is one and its time has come.
pub fn emit(inner: &Arc<Inner>, kind: &str, message: Option<String>, event: Value) -> String {
    inner.with(|state| {
        let id = state.fresh("delivery");
        let now = state.now_ms();
        // Callbacks are stamped in microseconds, events in milliseconds.
        let stamp = if kind == CALLBACK { now * 1000 } else { now };
        let payload = json!({"schema": "2.0",
            "header": {"event_id": state.fresh("event"), "event_type": kind, "create_time": stamp.to_string(),
                       "token": "rvaYgkND1GOiu5MM0E1rncYC6PLtF7JV", "app_id": APP_ID, "tenant_key": TENANT},
            "event": event})
        .to_string();
        begin(state, Delivery { kind: kind.to_owned(), message, event, ..blank(id, "event", payload) })
    })
}

/// Sends a callback in a card frame, whose payload is whatever stands there.
pub fn emit_card(inner: &Arc<Inner>, payload: String) -> String {
    inner.with(|state| {
        let id = state.fresh("delivery");
        begin(state, Delivery { kind: CALLBACK.to_owned(), ..blank(id, "card", payload) })
    })
}

/// Callbacks are never delivered again.
const CALLBACK: &str = "card.action.trigger";

fn blank(id: String, frame: &'static str, payload: String) -> Delivery {
    Delivery {
        id,
        frame,
        kind: String::new(),
        message: None,
        event: Value::Null,
        payload,
        attempts: 0,
        due_ms: None,
        sent_at: Instant::now(),
        acks: Vec::new(),
    }
}

fn begin(state: &mut State, mut delivery: Delivery) -> String {
    deliver(state, &mut delivery);
    let id = delivery.id.clone();
    state.deliveries.push(delivery);
    id
}

fn deliver(state: &mut State, delivery: &mut Delivery) {
    let now = state.now_ms();
    let wait = SCHEDULE.get(delivery.attempts).filter(|_| delivery.kind != CALLBACK);
    delivery.due_ms = wait.map(|wait| now + (*wait as f64 * state.rules.time_scale) as i64);
    delivery.attempts += 1;
    delivery.sent_at = Instant::now();
    let Some(connection) = state.connections.last().filter(|_| !state.rules.half_open) else { return };
    let bytes = delivery.payload.as_bytes();
    let piece = state.rules.fragment.unwrap_or(bytes.len()).max(1);
    let sum = bytes.len().div_ceil(piece).max(1);
    // Backwards: a client must not count on the order.
    let parts: Vec<&[u8]> = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(piece).collect() };
    for (seq, part) in parts.into_iter().enumerate().rev() {
        let headers = vec![
            pair("type", delivery.frame),
            pair("message_id", &delivery.id),
            pair("sum", sum),
            pair("seq", seq),
            pair("trace_id", "trace"),
            pair("timestamp", now),
            pair("instance_id", "node-1"),
        ];
        let frame = Frame {
            seq_id: 7,
            log_id: 9,
            service: SERVICE,
            method: 1,
            headers,
            payload_encoding: Some(String::new()),
            payload_type: Some(String::new()),
            payload: Some(part.to_vec()),
            log_id_new: Some("log".to_owned()),
        };
        connection.send(frame.encode_to_vec(), false);
    }
}

/// Delivers again what is due, until the simulator ends.
pub async fn redeliver(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.ended.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        let mut state = inner.state.lock().expect("no test panics inside the simulator");
        let now = state.now_ms();
        let mut deliveries = std::mem::take(&mut state.deliveries);
        for delivery in &mut deliveries {
            let done = delivery.acks.iter().any(|ack| ack.code == 200);
            if !done && delivery.due_ms.is_some_and(|due| due <= now) {
                deliver(&mut state, delivery);
            }
        }
        state.deliveries = deliveries;
    }
}

/// Serves one connection.
pub async fn serve(inner: Arc<Inner>, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let (out, mut queued) = mpsc::unbounded_channel();
    let gone = CancellationToken::new();
    inner.with(|state| {
        state.connected += 1;
        state.connections.push(Connection { gone: gone.clone(), out: out.clone() });
    });
    loop {
        tokio::select! {
            () = gone.cancelled() => break,
            () = inner.ended.cancelled() => break,
            Some((bytes, text)) = queued.recv() => {
                let message = match text {
                    true => Message::Text(String::from_utf8_lossy(&bytes).into_owned().into()),
                    false => Message::Binary(bytes.into()),
                };
                if sink.send(message).await.is_err() {
                    break;
                }
            }
            message = stream.next() => match message {
                Some(Ok(Message::Binary(bytes))) => take(&inner, &out, &bytes),
                Some(Ok(_)) => {}
                _ => break,
            }
        }
    }
    inner.with(|state| state.connections.retain(|one| !one.out.same_channel(&out)));
}

fn take(inner: &Arc<Inner>, out: &mpsc::UnboundedSender<(Vec<u8>, bool)>, bytes: &[u8]) {
    let frame = Frame::decode(bytes).expect("a client sends frames");
    if frame.method == 1 {
        return take_ack(inner, &frame);
    }
    assert_eq!(frame.header("type"), Some("ping"));
    assert_eq!(frame.service, SERVICE, "a ping carries the service id of the URL");
    let Some(interval) = inner.with(|state| (!state.rules.half_open).then_some(state.rules.ping_interval)) else {
        return;
    };
    let config =
        json!({"PingInterval": interval, "ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30});
    let payload = Some(config.to_string().into_bytes());
    let pong = Frame { service: SERVICE, headers: vec![pair("type", "pong")], payload, ..Frame::default() };
    // A closed queue is a connection that just went away.
    let _ = out.send((pong.encode_to_vec(), false));
}

fn take_ack(inner: &Arc<Inner>, frame: &Frame) {
    let payload: Value = serde_json::from_slice(frame.payload.as_deref().unwrap_or_default()).unwrap_or_default();
    let data = payload["data"].as_str().map(|data| {
        let json = BASE64_STANDARD.decode(data).expect("data is base64");
        serde_json::from_slice(&json).expect("data is JSON in base64")
    });
    let kept = ["type", "message_id", "sum", "seq", "instance_id"].iter().all(|key| frame.header(key).is_some());
    let well_formed = kept && frame.header("biz_rt").is_some() && (frame.seq_id, frame.log_id) == (7, 9);
    let id = frame.header("message_id").unwrap_or_default().to_owned();
    inner.with(|state| {
        let found = state.deliveries.iter_mut().find(|one| one.id == id).expect("an ack of a delivery of ours");
        let code = payload["code"].as_i64().unwrap_or_default();
        found.acks.push(AckRecord { code, data, took: found.sent_at.elapsed(), well_formed });
    });
}
