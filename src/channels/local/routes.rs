//! The local channel's routes on the control socket.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::channel::{LocalChannel, decode, hello};
use super::wire::{ClickIn, ClickQuery, EventsQuery, Line, MessageIn, RawEvent, Taken};
use crate::bridge::ports::{Accepted, Channel, Intake};
use crate::domain::ids::ChatId;
use crate::domain::view::Lang;

#[derive(Clone)]
struct Desk {
    channel: LocalChannel,
    intake: Arc<dyn Intake>,
    cancel: CancellationToken,
}

/// What `control` merges: what people type goes to the intake, what ally says comes as a stream. Streams end with
/// `cancel`. Tells the intake who the bot is.
pub fn routes(channel: LocalChannel, intake: Arc<dyn Intake>, cancel: CancellationToken) -> Router {
    intake.bot_known(&channel.name(), channel.bot());
    Router::new()
        .route("/v1/chat/{chat}/messages", post(message))
        .route("/v1/chat/{chat}/clicks", post(click))
        .route("/v1/chat/{chat}/events", get(events))
        .with_state(Desk { channel, intake, cancel })
}

async fn message(State(desk): State<Desk>, Path(chat): Path<String>, Json(input): Json<MessageIn>) -> Response {
    let chat_id = ChatId::new(chat.clone());
    // The line first: quotes and receipts refer to it. It is harmless without its turn.
    if let Err(error) = desk.channel.said(&chat_id, &input).await {
        return failed(&error.to_string());
    }
    let user = desk.channel.owner().as_str().to_owned();
    let sent_at_ms = desk.channel.now_ms();
    accept(&desk, RawEvent::Message { chat, user, sent_at_ms, input }, Lang::En).await
}

async fn click(
    State(desk): State<Desk>,
    Path(chat): Path<String>,
    Query(query): Query<ClickQuery>,
    Json(input): Json<ClickIn>,
) -> Response {
    let user = desk.channel.owner().as_str().to_owned();
    accept(&desk, RawEvent::Click { chat, user, input }, query.lang).await
}

async fn accept(desk: &Desk, event: RawEvent, lang: Lang) -> Response {
    let raw = match serde_json::to_string(&event) {
        Ok(raw) => raw,
        Err(error) => return failed(&error.to_string()),
    };
    match desk.intake.accept(&desk.channel.name(), raw, decode(event)).await {
        Ok(Accepted::Stored) => Json(Taken { toast: None }).into_response(),
        Ok(Accepted::Answer(toast)) => {
            let text = match lang {
                Lang::Zh => toast.zh,
                Lang::En => toast.en,
            };
            Json(Taken { toast: Some(text) }).into_response()
        }
        Err(not_stored) => failed(&not_stored.to_string()),
    }
}

fn failed(why: &str) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": why }))).into_response()
}

/// `Hello`, the kept lines after the place, then everything that happens: one JSON value a line.
async fn events(State(desk): State<Desk>, Path(chat): Path<String>, Query(query): Query<EventsQuery>) -> Response {
    let chat = ChatId::new(chat);
    let start = desk.channel.with_chat(&chat, move |log| {
        let (old, live) = log.follow(query.after.unwrap_or_else(|| log.seq()));
        Ok((log.seq(), old, live))
    });
    let (seq, old, live) = match start.await {
        Ok(start) => start,
        Err(error) => return failed(&error.to_string()),
    };
    let first = stream::iter(std::iter::once(hello(seq, desk.channel.now_ms())).chain(old));
    // A terminal that fell behind is cut off: it asks again from its last place, where every kept line still is.
    let coming = stream::unfold(live, |mut live| async move { live.recv().await.ok().map(|line| (line, live)) });
    let cancel = desk.cancel.clone();
    let lines = first.chain(coming).map(|line| Ok::<_, Infallible>(bytes(&line)));
    let body = HttpBody::from_stream(lines.take_until(async move { cancel.cancelled().await }));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn bytes(line: &Line) -> Bytes {
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    Bytes::from(text)
}
