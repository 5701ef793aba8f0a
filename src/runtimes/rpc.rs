//! A JSON-RPC peer over newline-delimited JSON, for every runtime that speaks it on stdio.
//!
//! One task reads, one writes: a peer that writes before it reads cannot stall both pipes. Responses may come in any
//! order; ids are echoed verbatim (integers and strings). A line that is not JSON-RPC, or is longer than
//! [`MAX_LINE`], is counted, logged by its length and skipped: it never ends the connection. The end of the stream fails
//! every waiting call, none hangs; besides, every call has a deadline.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::tasks::{OnExit, Tasks};

/// Bytes of one line. codex repeats a whole text in one line; an answer of 1 MiB gave one of 1.05 MB.
pub const MAX_LINE: usize = 16 * 1024 * 1024;
/// Requests that may wait for an answer. Above some hundreds codex drops requests without a word.
pub const IN_FLIGHT: usize = 32;

/// What the other side sent besides responses.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    Notification {
        method: String,
        params: Value,
    },
    /// Must be answered exactly once, with the same id.
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    /// What comes from here on was not there when this side came.
    CaughtUp,
}

/// Where one goes on that another has begun.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Bytes of the stream before what is read.
    pub from: u64,
    /// Bytes of the stream that were there when this side came.
    pub until: u64,
    /// How many sides there were, this one included: no two use the same ids.
    pub nth: u32,
}

impl Incoming {
    fn method(&self) -> &str {
        match self {
            Incoming::Notification { method, .. } | Incoming::Request { method, .. } => method,
            Incoming::CaughtUp => "",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// An error object of the other side.
    #[error("{message} ({code})")]
    Remote { code: i64, message: String },
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection ended")]
    Gone,
}

/// Handle to the peer. Clones share the connection.
#[derive(Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

struct Inner {
    next_id: AtomicI64,
    /// The ids of earlier sides are smaller.
    first_id: i64,
    /// Bytes of the stream whose lines were passed on.
    position: AtomicU64,
    pending: Mutex<Pending>,
    lines: mpsc::Sender<String>,
    slots: Semaphore,
    header: bool,
    skipped: AtomicU64,
}

/// `None` once the stream has ended.
type Pending = Option<HashMap<i64, oneshot::Sender<Result<Value, RpcError>>>>;

impl Peer {
    /// Starts the two tasks. `inbox` is bounded by its maker: a slow consumer slows the other side and loses nothing; it
    /// closes when the stream ends. `header` adds `"jsonrpc":"2.0"` (ACP and Kimi want it, codex does not).
    pub fn start<R, W>(reader: R, writer: W, header: bool, tasks: &Tasks, inbox: mpsc::Sender<Incoming>) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        Self::run(reader, writer, header, None, tasks, inbox)
    }

    /// The same for a stream that another side has begun to read and to write.
    pub fn resume<R, W>(reader: R, writer: W, place: Place, tasks: &Tasks, inbox: mpsc::Sender<Incoming>) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        Self::run(reader, writer, false, Some(place), tasks, inbox)
    }

    fn run<R, W>(
        reader: R,
        writer: W,
        header: bool,
        place: Option<Place>,
        tasks: &Tasks,
        inbox: mpsc::Sender<Incoming>,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let first_id = (i64::from(place.map_or(1, |place| place.nth).saturating_sub(1)) << 32) + 1;
        let (lines, queued) = mpsc::channel(IN_FLIGHT * 4);
        let inner = Arc::new(Inner {
            next_id: AtomicI64::new(first_id),
            first_id,
            position: AtomicU64::new(place.map_or(0, |place| place.from)),
            pending: Mutex::new(Some(HashMap::new())),
            lines,
            slots: Semaphore::new(IN_FLIGHT),
            header,
            skipped: AtomicU64::new(0),
        });
        let reading = Arc::clone(&inner);
        tasks.spawn("rpc-read", OnExit::Ignore, move |cancel| async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = read_lines(reader, &reading, place, inbox) => {}
            }
            reading.end();
            Ok(())
        });
        tasks.spawn("rpc-write", OnExit::Ignore, move |cancel| write_lines(writer, queued, cancel));
        Self { inner }
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// [`RpcError::Timeout`] says nothing about whether it was done.
    pub async fn call(&self, method: &str, params: Value, deadline: Duration) -> Result<Value, RpcError> {
        let _slot = self.inner.slots.acquire().await.map_err(|_| RpcError::Gone)?;
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        match self.inner.pending.lock().expect("no code panics while it holds this lock").as_mut() {
            Some(pending) => drop(pending.insert(id, sender)),
            None => return Err(RpcError::Gone),
        }
        self.send(json!({ "id": id, "method": method, "params": params })).await?;
        let called = Instant::now();
        debug!(rpc.id = id, rpc.method = method, "Called");
        match tokio::time::timeout(deadline, receiver).await {
            Ok(Ok(result)) => {
                let took = u64::try_from(called.elapsed().as_micros()).unwrap_or(u64::MAX);
                debug!(rpc.id = id, rpc.method = method, took_us = took, "Answered");
                result
            }
            Ok(Err(_)) => Err(RpcError::Gone),
            Err(_) => {
                if let Some(pending) =
                    self.inner.pending.lock().expect("no code panics while it holds this lock").as_mut()
                {
                    pending.remove(&id);
                }
                Err(RpcError::Timeout(deadline))
            }
        }
    }

    pub async fn notify(&self, method: &str, params: Value) -> Result<(), RpcError> {
        self.send(json!({ "method": method, "params": params })).await
    }

    /// Answers a request of the other side.
    pub async fn respond(&self, id: &Value, result: Value) -> Result<(), RpcError> {
        self.send(json!({ "id": id, "result": result })).await
    }

    pub async fn refuse(&self, id: &Value, code: i64, message: &str) -> Result<(), RpcError> {
        self.send(json!({ "id": id, "error": { "code": code, "message": message } })).await
    }

    /// Lines that were skipped because nobody could read them.
    pub fn skipped(&self) -> u64 {
        self.inner.skipped.load(Ordering::Relaxed)
    }

    /// Bytes of the stream whose lines were passed on.
    pub fn position(&self) -> u64 {
        self.inner.position.load(Ordering::Acquire)
    }

    async fn send(&self, mut message: Value) -> Result<(), RpcError> {
        if self.inner.header
            && let Some(object) = message.as_object_mut()
        {
            object.insert("jsonrpc".to_owned(), json!("2.0"));
        }
        self.inner.lines.send(format!("{message}\n")).await.map_err(|_| RpcError::Gone)
    }
}

impl Inner {
    /// Every waiting call learns that nobody answers any more; dropping its sender is the message.
    fn end(&self) {
        self.pending.lock().expect("no code panics while it holds this lock").take();
        self.slots.close();
    }

    fn skip(&self, why: &str, bytes: usize) {
        let skipped = self.skipped.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever writes nothing else does not fill the log with it.
        if skipped.is_power_of_two() {
            warn!(line_bytes = bytes, skipped, "Skipped a line that {why}");
        }
    }
}

async fn read_lines<R: AsyncRead + Unpin>(
    reader: R,
    inner: &Inner,
    place: Option<Place>,
    inbox: mpsc::Sender<Incoming>,
) {
    let mut lines = Lines { reader: BufReader::with_capacity(64 * 1024, reader), too_long: false, read: 0 };
    let from = place.map_or(0, |place| place.from);
    let mut until = place.map(|place| place.until);
    loop {
        let position = from + lines.read;
        inner.position.store(position, Ordering::Release);
        if until.take_if(|until| *until <= position).is_some() && inbox.send(Incoming::CaughtUp).await.is_err() {
            return;
        }
        let line = match lines.next().await {
            Some(Ok(line)) => line,
            Some(Err(why)) => {
                inner.skip(why, MAX_LINE);
                continue;
            }
            None => return,
        };
        if line.trim().is_empty() {
            continue;
        }
        match sort(&line) {
            Some(Sorted::Response { id, result }) => answer(inner, id, result),
            Some(Sorted::Incoming(incoming)) => {
                debug!(rpc.method = incoming.method(), "Heard");
                if inbox.send(incoming).await.is_err() {
                    return;
                }
            }
            None => inner.skip("is not JSON-RPC", line.len()),
        }
    }
}

/// Lines of at most [`MAX_LINE`] bytes; what is longer is thrown away as it comes, to the end of its line.
struct Lines<R> {
    reader: BufReader<R>,
    too_long: bool,
    /// Bytes so far; after a line, with its end.
    read: u64,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// `None` at the end of the stream; an error is one unreadable line.
    async fn next(&mut self) -> Option<Result<String, &'static str>> {
        let mut line = Vec::new();
        loop {
            let chunk = self.reader.fill_buf().await.ok()?;
            if chunk.is_empty() {
                // A half line at the end has no sender any more.
                return None;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(chunk.len());
            if !self.too_long {
                line.extend_from_slice(&chunk[..taken]);
            }
            let used = end.map_or(taken, |end| end + 1);
            self.reader.consume(used);
            self.read += used as u64;
            if line.len() > MAX_LINE {
                self.too_long = true;
                line = Vec::new();
            }
            if end.is_some() {
                if std::mem::take(&mut self.too_long) {
                    return Some(Err("is too long"));
                }
                return Some(String::from_utf8(line).map_err(|_| "is not UTF-8"));
            }
        }
    }
}

fn answer(inner: &Inner, id: i64, result: Result<Value, RpcError>) {
    let waiting =
        inner.pending.lock().expect("no code panics while it holds this lock").as_mut().and_then(|map| map.remove(&id));
    match waiting {
        // The caller may have given up in the same moment.
        Some(waiting) => drop(waiting.send(result)),
        None if id < inner.first_id => debug!(rpc.id = id, "An answer to a call of an earlier bridge"),
        None => warn!(rpc.id = id, "An answer to a call that nobody waits for"),
    }
}

enum Sorted {
    Response { id: i64, result: Result<Value, RpcError> },
    Incoming(Incoming),
}

fn sort(line: &str) -> Option<Sorted> {
    let mut message: Value = serde_json::from_str(line).ok()?;
    let object = message.as_object_mut()?;
    let id = object.remove("id").filter(|id| !id.is_null());
    let params = object.remove("params").unwrap_or(Value::Null);
    if let Some(method) = object.remove("method") {
        let method = method.as_str()?.to_owned();
        return Some(Sorted::Incoming(match id {
            Some(id) => Incoming::Request { id, method, params },
            None => Incoming::Notification { method, params },
        }));
    }
    let id = id?.as_i64()?;
    if let Some(error) = object.remove("error").filter(|error| !error.is_null()) {
        let code = error.get("code").and_then(Value::as_i64).unwrap_or(0);
        let message = error.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned();
        return Some(Sorted::Response { id, result: Err(RpcError::Remote { code, message }) });
    }
    let result = object.remove("result")?;
    Some(Sorted::Response { id, result: Ok(result) })
}

async fn write_lines<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut lines: mpsc::Receiver<String>,
    cancel: tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let line = tokio::select! {
            () = cancel.cancelled() => break,
            line = lines.recv() => match line {
                Some(line) => line,
                None => break,
            },
        };
        if writer.write_all(line.as_bytes()).await.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    // Closing the pipe is how the other side is told to end.
    let _ = writer.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    struct Far {
        lines: tokio::io::Lines<BufReader<tokio::io::ReadHalf<DuplexStream>>>,
        writer: tokio::io::WriteHalf<DuplexStream>,
    }

    impl Far {
        async fn next(&mut self) -> Value {
            let line = self.lines.next_line().await.unwrap().unwrap();
            serde_json::from_str(&line).unwrap()
        }

        async fn say(&mut self, line: &str) {
            self.writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
    }

    fn pair(header: bool) -> (Peer, Far, mpsc::Receiver<Incoming>, Tasks) {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, far_write) = tokio::io::split(far);
        let (inbox, received) = mpsc::channel(16);
        let tasks = Tasks::default();
        let peer = Peer::start(near_read, near_write, header, &tasks, inbox);
        (peer, Far { lines: BufReader::new(far_read).lines(), writer: far_write }, received, tasks)
    }

    #[tokio::test]
    async fn answers_come_in_any_order() {
        let (peer, mut far, _inbox, _tasks) = pair(false);
        let (one, two) = (peer.clone(), peer.clone());
        let both = async { tokio::join!(one.call("a", json!({}), SOON), two.call("b", json!({}), SOON)) };
        let serve = async {
            let (first, second) = (far.next().await, far.next().await);
            assert!(first.get("jsonrpc").is_none());
            far.say(&json!({"id": second["id"], "result": second["method"]}).to_string()).await;
            far.say(&json!({"id": first["id"], "result": first["method"]}).to_string()).await;
        };
        let ((a, b), ()) = tokio::join!(both, serve);
        assert_eq!((a.unwrap(), b.unwrap()), (json!("a"), json!("b")));
    }

    #[tokio::test]
    async fn garbage_and_oversize_are_skipped() {
        let (peer, mut far, mut inbox, _tasks) = pair(true);
        let serve = async {
            for line in ["not json", "[1,2]", "{\"id\":906.5,\"result\":1}", "", "{}"] {
                far.say(line).await;
            }
            far.say(&"x".repeat(MAX_LINE + 10)).await;
            far.say("{\"method\":\"hello\",\"params\":{\"a\":1}}").await;
        };
        let read = async { inbox.recv().await.unwrap() };
        let ((), incoming) = tokio::join!(serve, read);
        assert_eq!(incoming, Incoming::Notification { method: "hello".to_owned(), params: json!({"a": 1}) });
        assert_eq!(peer.skipped(), 5);
    }

    #[tokio::test]
    async fn ids_are_echoed_verbatim() {
        let (peer, mut far, mut inbox, _tasks) = pair(true);
        far.say("{\"id\":\"req-7\",\"method\":\"ask\",\"params\":{}}").await;
        let Some(Incoming::Request { id, .. }) = inbox.recv().await else { panic!("a request") };
        peer.respond(&id, json!({"ok": true})).await.unwrap();
        let answer = far.next().await;
        assert_eq!((&answer["id"], &answer["jsonrpc"]), (&json!("req-7"), &json!("2.0")));
    }

    #[tokio::test]
    async fn the_end_fails_every_waiting_call() {
        let (peer, far, mut inbox, _tasks) = pair(false);
        let waiting = peer.clone();
        let call = async move { waiting.call("never", json!({}), SOON).await };
        let end = async move {
            drop(far);
            inbox.recv().await
        };
        let (result, closed) = tokio::join!(call, end);
        assert_eq!(result, Err(RpcError::Gone));
        assert_eq!(closed, None);
        assert_eq!(peer.call("later", json!({}), SOON).await, Err(RpcError::Gone));
    }

    #[tokio::test]
    async fn a_later_side_goes_on_where_another_was() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, far_write) = tokio::io::split(far);
        let mut far = Far { lines: BufReader::new(far_read).lines(), writer: far_write };
        let (inbox, mut received) = mpsc::channel(16);
        let tasks = Tasks::default();
        let (answer, old) = (r#"{"id":7,"result":0}"#, r#"{"method":"old","params":{}}"#);
        let until = 100 + answer.len() as u64 + old.len() as u64 + 2;
        let peer = Peer::resume(near_read, near_write, Place { from: 100, until, nth: 3 }, &tasks, inbox);
        for line in [answer, old, r#"{"method":"new","params":{}}"#] {
            far.say(line).await;
        }
        let named = |method: &str| Incoming::Notification { method: method.to_owned(), params: json!({}) };
        let heard = [received.recv().await, received.recv().await, received.recv().await];
        assert_eq!(heard, [named("old"), Incoming::CaughtUp, named("new")].map(Some));
        assert!(peer.position() >= until);
        let serve = async {
            let asked = far.next().await;
            far.say(&json!({ "id": asked["id"], "result": asked["id"] }).to_string()).await;
        };
        let (answered, ()) = tokio::join!(peer.call("a", json!({}), SOON), serve);
        assert_eq!(answered, Ok(json!((2i64 << 32) + 1)), "no id of the sides before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_call_ends_at_its_deadline() {
        let (peer, _far, _inbox, _tasks) = pair(false);
        let result = peer.call("silent", json!({}), SOON).await;
        assert_eq!(result, Err(RpcError::Timeout(SOON)));
    }
}
