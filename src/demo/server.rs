//! The scripted model as a Responses-API server on a local port.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Json, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::answer::{self, End, Event, Reply};
use crate::clock::Clock;

/// Conversations are sent whole with every request, pictures included.
const MAX_REQUEST_BYTES: usize = 256 * 1024 * 1024;
/// Texts of which the statistics are kept.
const MAX_TEXTS: usize = 1000;
/// A hanging response shows life this often, so that no client takes it for a dead one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Serves the scripted model until `cancel` fires. The base URL for a client is `http://<address>/v1`.
pub async fn serve(listener: TcpListener, cancel: CancellationToken) -> anyhow::Result<()> {
    let shared = Arc::new(Shared { stats: Mutex::default(), clock: Clock::default(), cancel: cancel.clone() });
    let router = Router::new()
        .route("/v1/responses", post(respond))
        .route("/v1/models", get(models))
        .route("/stats", get(stats))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(shared);
    let serving = axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned());
    serving.await?;
    Ok(())
}

struct Shared {
    stats: Mutex<Stats>,
    clock: Clock,
    cancel: CancellationToken,
}

#[derive(Default)]
struct Stats {
    requests: u64,
    by_last_user_text: BTreeMap<String, u64>,
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let stats = shared.stats.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!({ "requests": stats.requests, "by_last_user_text": stats.by_last_user_text }))
}

async fn models() -> Json<Value> {
    Json(json!({ "object": "list", "data": [{ "id": "gpt-5.5", "object": "model", "owned_by": "ally" }] }))
}

async fn respond(State(shared): State<Arc<Shared>>, Json(request): Json<Value>) -> Response {
    count(&shared, answer::last_user_text(&request));
    match answer::reply(&request, shared.clock.now_ms()) {
        Reply::Refused { after_ms, status, body } => {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(after_ms)) => {}
                () = shared.cancel.cancelled() => {}
            }
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(body)).into_response()
        }
        Reply::Stream { events, end } => {
            let playing = Playing { events: events.into(), end: Some(end), cancel: shared.cancel.clone() };
            let body = Body::from_stream(stream::unfold(playing, next));
            ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
        }
    }
}

fn count(shared: &Shared, text: String) {
    let mut stats = shared.stats.lock().unwrap_or_else(PoisonError::into_inner);
    stats.requests += 1;
    if stats.by_last_user_text.len() < MAX_TEXTS || stats.by_last_user_text.contains_key(&text) {
        *stats.by_last_user_text.entry(text).or_default() += 1;
    }
}

/// A response on its way out.
struct Playing {
    events: VecDeque<Event>,
    end: Option<End>,
    cancel: CancellationToken,
}

/// The next piece of the body; an error breaks the connection.
async fn next(mut playing: Playing) -> Option<(Result<Bytes, Broken>, Playing)> {
    let cancel = playing.cancel.clone();
    let piece = tokio::select! {
        () = cancel.cancelled() => {
            playing.events.clear();
            playing.end.take().map(|_| Err(Broken))
        }
        piece = piece(&mut playing) => piece,
    }?;
    Some((piece, playing))
}

async fn piece(playing: &mut Playing) -> Option<Result<Bytes, Broken>> {
    if let Some(Event { after_ms, data }) = playing.events.pop_front() {
        if after_ms > 0 {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
        }
        return Some(Ok(framed(&data)));
    }
    match playing.end {
        None => None,
        Some(End::Close) => {
            playing.end = None;
            None
        }
        Some(End::Cut) => {
            playing.end = None;
            Some(Err(Broken))
        }
        Some(End::Hang) => {
            tokio::time::sleep(SIGN_OF_LIFE).await;
            Some(Ok(framed(&json!({ "type": "response.in_progress" }))))
        }
    }
}

fn framed(data: &Value) -> Bytes {
    let kind = data["type"].as_str().unwrap_or("message");
    Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
}

/// The connection is broken off on purpose.
#[derive(Debug, thiserror::Error)]
#[error("broken off")]
struct Broken;
