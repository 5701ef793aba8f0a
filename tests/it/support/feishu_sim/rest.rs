//! The REST side: one router, one function an endpoint.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request, State as Shared, WebSocketUpgrade};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::rules::{Fault, UuidRepeat};
use super::state::{ChatMode, State};
use super::{APP_ID, APP_SECRET, BOT, Inner, registration, socket};

/// Idempotency of `uuid`.
const UUID_WINDOW_MS: i64 = 3_600_000;
/// How long a card can be changed.
const CARD_MS: i64 = 14 * 86_400_000;

/// What an endpoint gives: the body of a success, or code and text of a refusal.
type Outcome = Result<Value, (i64, String)>;

pub async fn serve(listener: tokio::net::TcpListener, inner: Arc<Inner>) {
    let ended = inner.ended.clone();
    let app = axum::Router::new()
        .route("/ws/v2", axum::routing::get(upgrade))
        .fallback(entry)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(inner);
    let served = axum::serve(listener, app).with_graceful_shutdown(ended.cancelled_owned());
    // The runtime of the test may end first.
    let _ = served.await;
}

async fn upgrade(Shared(inner): Shared<Arc<Inner>>, socket: WebSocketUpgrade, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let refused = inner.with(|state| {
        let ticket = query.split('&').find_map(|part| part.strip_prefix("ticket=")).unwrap_or_default();
        let known = state.tickets.iter().position(|one| one == ticket);
        // A ticket is good for one connection.
        match (known.map(|at| state.tickets.remove(at)), state.rules.handshake_error) {
            (_, Some(error)) => Some(error),
            (None, None) => Some((514, 0)),
            (Some(_), None) => None,
        }
    });
    match refused {
        Some((status, auth)) => {
            let headers = [
                ("Handshake-Status", status.to_string()),
                ("Handshake-Msg", "refused".to_owned()),
                ("Handshake-Autherrcode", auth.to_string()),
            ];
            (StatusCode::OK, headers).into_response()
        }
        None => socket.on_upgrade(move |socket| socket::serve(inner, socket)),
    }
}

pub struct Call {
    pub method: Method,
    /// Where the caller believes us to be.
    host: String,
    path: String,
    query: Vec<(String, String)>,
    bearer: Option<String>,
    body: Value,
    /// Of an upload: form fields and the file.
    fields: Vec<(String, String)>,
    file: Bytes,
}

impl Call {
    fn query(&self, key: &str) -> &str {
        self.query.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value.as_str())
    }

    pub fn field(&self, key: &str) -> &str {
        self.fields.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value.as_str())
    }
}

fn header(request: &Request, name: &str) -> Option<String> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

async fn read(request: Request) -> Call {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let host = header(&request, "host").expect("every request names its host");
    let bearer = header(&request, "authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let multipart = header(&request, "content-type").is_some_and(|kind| kind.starts_with("multipart/"));
    let url = reqwest::Url::parse(&format!("http://sim{uri}")).expect("a request's path is valid");
    let query = url.query_pairs().into_owned().collect();
    let mut call = Call {
        method,
        host,
        path: uri.path().to_owned(),
        query,
        bearer,
        body: Value::Null,
        fields: Vec::new(),
        file: Bytes::new(),
    };
    let is_form = header(&request, "content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    if is_form {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
        let form = reqwest::Url::parse(&format!("http://sim/?{}", String::from_utf8_lossy(&body))).expect("a form");
        call.fields = form.query_pairs().into_owned().collect();
    } else if multipart {
        let mut form = Multipart::from_request(request, &()).await.expect("a readable form");
        while let Some(field) = form.next_field().await.expect("a readable form") {
            let name = field.name().unwrap_or_default().to_owned();
            if matches!(name.as_str(), "file" | "image") {
                let file_name = field.file_name().unwrap_or_default().to_owned();
                call.fields.push(("name of the part".to_owned(), file_name));
                call.file = field.bytes().await.expect("a readable form");
            } else {
                call.fields.push((name, field.text().await.expect("a readable form")));
            }
        }
    } else {
        let body = axum::body::to_bytes(request.into_body(), 4 << 20).await.unwrap_or_default();
        call.body = serde_json::from_slice(&body).unwrap_or_default();
    }
    call
}

async fn entry(Shared(inner): Shared<Arc<Inner>>, request: Request) -> Response {
    let call = read(request).await;
    let line = format!("{} {}", call.method, call.path);
    let fault = inner.with(|state| {
        state.requests.push(line.clone());
        take_fault(state, &line, &call.path)
    });
    match fault {
        None => answer(&inner, &call),
        Some(Fault::Delay(wait)) => {
            tokio::time::sleep(wait).await;
            answer(&inner, &call)
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::AfterEffectHang) => {
            answer(&inner, &call);
            std::future::pending().await
        }
        Some(Fault::BeforeEffect { status, code }) => refusal(&inner, status, code, "injected"),
        Some(Fault::Html { status }) => page(status),
        Some(Fault::TooMany { reset }) => {
            let mut response = refusal(&inner, 429, 99991400, "request trigger frequency limit");
            response.headers_mut().insert("x-ogw-ratelimit-reset", reset.parse().expect("ascii"));
            response
        }
        Some(Fault::AfterEffect) => {
            answer(&inner, &call);
            page(500)
        }
        Some(Fault::AfterEffectDrop) => {
            answer(&inner, &call);
            // A body that breaks off closes the connection.
            Body::from_stream(tokio_stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))])).into_response()
        }
    }
}

fn take_fault(state: &mut State, line: &str, path: &str) -> Option<Fault> {
    let fits = |prefix: &str| line.starts_with(prefix) || path.starts_with(prefix);
    let found = state.faults.iter_mut().find(|(prefix, _, times)| *times > 0 && fits(prefix))?;
    found.2 -= 1;
    Some(found.1.clone())
}

fn page(status: u16) -> Response {
    let status = StatusCode::from_u16(status).expect("a status of the test");
    (status, [("content-type", "text/html")], "<html><body>Something went wrong</body></html>").into_response()
}

fn refusal(inner: &Inner, status: u16, code: i64, msg: &str) -> Response {
    let body = json!({"code": code, "msg": msg, "error": {"log_id": "20261121LOG"}});
    stamped(inner, StatusCode::from_u16(status).expect("a status of the test"), body.to_string().into_bytes())
}

/// With the headers that every answer of the gateway carries.
fn stamped(inner: &Inner, status: StatusCode, body: Vec<u8>) -> Response {
    let now = chrono::DateTime::from_timestamp_millis(inner.with(|state| state.now_ms())).expect("a time of today");
    let headers = [
        ("content-type", "application/json; charset=utf-8".to_owned()),
        ("date", now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        ("x-tt-logid", "20261121LOG".to_owned()),
    ];
    (status, headers, body).into_response()
}

fn answer(inner: &Arc<Inner>, call: &Call) -> Response {
    if call.path == registration::PATH {
        let (status, body) = inner.with(|state| registration::answer(state, call));
        let status = StatusCode::from_u16(status).expect("a status of ours");
        return stamped(inner, status, body.to_string().into_bytes());
    }
    let segments: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
    if let ["open-apis", "im", "v1", "messages", message, "resources", key] = segments[..] {
        return match inner.with(|state| authorised(state, call).and_then(|()| resource(state, message, key))) {
            Ok(bytes) => stamped_file(inner, bytes),
            Err((code, msg)) => refusal(inner, 400, code, &msg),
        };
    }
    match inner.with(|state| route(state, call, &segments)) {
        Ok(body) => stamped(inner, StatusCode::OK, body.to_string().into_bytes()),
        Err((code, msg)) => refusal(inner, 400, code, &msg),
    }
}

fn stamped_file(inner: &Inner, bytes: Vec<u8>) -> Response {
    let mut response = stamped(inner, StatusCode::OK, bytes);
    response.headers_mut().insert("content-type", "application/octet-stream".parse().expect("ascii"));
    response
}

fn route(state: &mut State, call: &Call, segments: &[&str]) -> Outcome {
    match (call.method.as_str(), segments) {
        ("POST", ["callback", "ws", "endpoint"]) => return endpoint(state, call),
        ("POST", ["open-apis", "auth", "v3", "tenant_access_token", "internal"]) => return token(state, call),
        _ => authorised(state, call)?,
    }
    let ["open-apis", rest @ ..] = segments else { return refuse(404, "no such path") };
    let data = match (call.method.as_str(), rest) {
        ("GET", ["bot", "v3", "info"]) => {
            let Some(status) = state.rules.console.activate_status else {
                return refuse(11205, "app do not have bot");
            };
            let bot = json!({"activate_status": status, "app_name": "ally", "avatar_url": "", "ip_white_list": [], "open_id": BOT});
            return Ok(json!({"code": 0, "msg": "ok", "bot": bot}));
        }
        ("POST", ["im", "v1", "messages"]) => create(state, call),
        ("POST", ["im", "v1", "messages", message, "reply"]) => reply(state, call, message),
        ("PATCH", ["im", "v1", "messages", message]) => patch(state, call, message),
        ("GET", ["im", "v1", "messages"]) => list(state, call),
        ("GET", ["im", "v1", "messages", message]) => get(state, call, message),
        ("POST", ["im", "v1", "messages", message, "reactions"]) => react(state, call, message),
        ("GET", ["im", "v1", "messages", message, "reactions"]) => reactions(state, message),
        ("DELETE", ["im", "v1", "messages", message, "reactions", reaction]) => unreact(state, message, reaction),
        ("POST", ["im", "v1", "images"]) => upload(state, call, "image_key", 10 << 20),
        ("POST", ["im", "v1", "files"]) => upload(state, call, "file_key", 30 << 20),
        ("GET", ["application", "v6", "applications", app]) => application(state, app),
        ("GET", ["application", "v6", "applications", app, "app_versions"]) => versions(state, call, app),
        ("POST", ["application", "v6", "applications", app, "visibility", "check_white_black_list"]) => {
            listed(state, call, app)
        }
        ("GET", ["application", "v6", "scopes"]) => granted(state),
        ("GET", ["im", "v1", "chats", chat]) => chat_info(state, chat),
        ("GET", ["im", "v1", "chats", chat, "members", "is_in_chat"]) => is_in_chat(state, chat),
        ("GET", ["im", "v1", "chats", chat, "members"]) => members(state, chat),
        ("POST", ["contact", "v3", "users", "basic_batch"]) => profiles(state, call),
        _ => refuse(404, "no such path"),
    };
    data.map(|data| json!({"code": 0, "msg": "success", "data": data}))
}

fn refuse(code: i64, msg: &str) -> Outcome {
    Err((code, msg.to_owned()))
}

fn endpoint(state: &mut State, call: &Call) -> Outcome {
    if let Some(code) = state.rules.bootstrap_error {
        return refuse(code, "refused");
    }
    if call.body["AppID"] != APP_ID || call.body["AppSecret"] != APP_SECRET {
        return refuse(1000040345, "app_id or app_secret is invalid");
    }
    let ticket = state.fresh("ticket");
    state.tickets.push(ticket.clone());
    let url = format!(
        "ws://{}/ws/v2?fpid=493&aid=552564&device_id=7318&access_key=sim&service_id={}&ticket={ticket}",
        call.host,
        socket::SERVICE
    );
    let config = json!({"ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30,
                        "PingInterval": state.rules.ping_interval});
    Ok(json!({"code": 0, "msg": "ok", "data": {"URL": url, "ClientConfig": config}}))
}

fn token(state: &mut State, call: &Call) -> Outcome {
    if call.body["app_id"] != APP_ID {
        return refuse(10003, "invalid param");
    }
    if call.body["app_secret"] != APP_SECRET {
        return refuse(10014, "app secret invalid");
    }
    let token = state.fresh("t");
    let token = token.replace("t_", "t-");
    state.tokens.push(token.clone());
    Ok(json!({"code": 0, "msg": "ok", "tenant_access_token": token, "expire": state.rules.token_seconds}))
}

fn authorised(state: &State, call: &Call) -> Result<(), (i64, String)> {
    match &call.bearer {
        None => Err((99991661, "Missing access token for authorization".to_owned())),
        Some(token) if state.tokens.contains(token) => Ok(()),
        Some(_) => Err((99991663, "Invalid access token for authorization".to_owned())),
    }
}

fn create(state: &mut State, call: &Call) -> Outcome {
    let id = call.body["receive_id"].as_str().unwrap_or_default().to_owned();
    match call.query("receive_id_type") {
        "chat_id" => send(state, call, &id, None),
        "open_id" if !state.users.contains_key(&id) => refuse(230001, "invalid receive_id"),
        "open_id" if state.rules.out_of_range == Some(&id) => refuse(230013, "Bot has NO availability to this user."),
        "open_id" => {
            let chat = state.direct_with(&id);
            send(state, call, &chat, None)
        }
        _ => refuse(230001, "the simulator knows receive_id_type chat_id and open_id only"),
    }
}

fn reply(state: &mut State, call: &Call, message: &str) -> Outcome {
    let Some(target) = state.find(message) else { return refuse(99992354, "message id not exist") };
    if target.recalled {
        return refuse(230011, "The message was recalled");
    }
    let chat = target.chat.clone();
    let in_thread = call.body["reply_in_thread"] == json!(true);
    send(state, call, &chat, Some((message, in_thread)))
}

fn send(state: &mut State, call: &Call, chat: &str, parent: Option<(&str, bool)>) -> Outcome {
    if !state.chats.get(chat).is_some_and(|chat| chat.bot_in) {
        return refuse(230002, "Bot/User can NOT be out of the chat.");
    }
    let now = state.now_ms();
    let uuid = call.body["uuid"].as_str().map(str::to_owned);
    if uuid.as_ref().is_some_and(|uuid| uuid.chars().count() > 50) {
        return refuse(230001, "uuid is longer than 50");
    }
    let first = uuid.as_ref().and_then(|uuid| state.sent.get(uuid)).filter(|(at, _)| now - at < UUID_WINDOW_MS);
    if let Some((_, first)) = first {
        return match state.rules.uuid_repeat {
            UuidRepeat::Refused => refuse(230049, "The message is being sent."),
            UuidRepeat::FirstMessage => Ok(state.item(state.find(first).expect("it was sent"))),
        };
    }
    let recent = state.recent.entry(chat.to_owned()).or_default();
    recent.retain(|at| now - at < 1000);
    if state.rules.chat_limit && recent.len() >= 5 {
        return refuse(230020, "This operation triggers the frequency limit.");
    }
    recent.push(now);
    let kind = call.body["msg_type"].as_str().unwrap_or_default().to_owned();
    let Some(content) = call.body["content"].as_str().map(str::to_owned) else {
        return refuse(230001, "content is not a string");
    };
    check_content(state, &kind, &content, call.body.to_string().len())?;
    let mut message = state.sent_by_bot(chat, &kind, content, parent);
    message.uuid.clone_from(&uuid);
    let place = state.messages.last_mut().expect("just sent");
    place.uuid.clone_from(&uuid);
    if let Some(uuid) = uuid {
        state.sent.insert(uuid, (now, message.id.clone()));
    }
    Ok(state.item(&message))
}

fn check_content(state: &State, kind: &str, content: &str, body_bytes: usize) -> Result<(), (i64, String)> {
    let limit = if kind == "text" { 150 << 10 } else { 30 << 10 };
    if body_bytes > limit {
        return Err((230025, "The message content reaches its limit.".to_owned()));
    }
    let invalid = |why: &str| Err((230001, format!("Your request contains an invalid request parameter, ext={why}")));
    let Ok(content) = serde_json::from_str::<Value>(content) else { return invalid("content is not a JSON") };
    let known = |key: &str| content[key].as_str().is_some_and(|key| state.resources.contains_key(key));
    match kind {
        "text" if !content["text"].is_string() => invalid("text is missing"),
        "image" if !known("image_key") => invalid("image_key is unknown"),
        "file" if !known("file_key") => invalid("file_key is unknown"),
        "post" => {
            let bodies = content.as_object().into_iter().flat_map(|all| all.values());
            let good = |body: &Value| body["content"].as_array().is_some_and(|rows| rows.iter().all(Value::is_array));
            if content.as_object().is_some_and(|all| !all.is_empty()) && bodies.clone().all(good) {
                Ok(())
            } else {
                invalid("a post needs content for a language")
            }
        }
        "interactive" => check_card(state, &content),
        "text" | "image" | "file" => Ok(()),
        _ => invalid("msg_type is unknown"),
    }
}

fn check_card(state: &State, card: &Value) -> Result<(), (i64, String)> {
    let refused = |code: i64, why: &str| {
        Err((
            230099,
            format!("Failed to create card content, ext=ErrCode: {code}; ErrMsg: {why}; ErrPath: ROOT -> body"),
        ))
    };
    if let Some((code, why)) = state.rules.refuse_cards {
        return refused(code, why);
    }
    if card["schema"] != "2.0" || !card["body"]["elements"].is_array() {
        return refused(200621, "parse card json err");
    }
    let mut tags = Vec::new();
    collect_tags(card, &mut tags);
    if tags.iter().any(|tag| matches!(tag.as_str(), "note" | "action")) {
        return refused(200861, "cards of schema V2 no longer support this capability");
    }
    if tags.len() > 200 {
        return refused(11310, "element exceeds the limit");
    }
    if tags.iter().filter(|tag| *tag == "table").count() > 5 {
        return refused(11310, "card table number over limit");
    }
    Ok(())
}

fn collect_tags(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_tags(item, out)),
        Value::Object(fields) => {
            out.extend(value["tag"].as_str().map(str::to_owned));
            fields.values().for_each(|field| collect_tags(field, out));
        }
        _ => {}
    }
}

fn patch(state: &mut State, call: &Call, message: &str) -> Outcome {
    let Some(found) = state.find(message).cloned() else { return refuse(99992354, "message id not exist") };
    let content = call.body["content"].as_str().unwrap_or_default().to_owned();
    match (found.by_bot(), found.msg_type.as_str(), found.recalled) {
        (_, _, true) => return refuse(230011, "The message was recalled"),
        (false, ..) => return refuse(230071, "The operator is not the sender"),
        (true, "interactive", false) => {}
        _ => return refuse(230054, "This operation is not supported for this message type"),
    }
    if state.now_ms() - found.created_ms > CARD_MS {
        return refuse(230031, "The message has been sent for too long and can not be updated");
    }
    check_content(state, "interactive", &content, call.body.to_string().len())?;
    let place = state.messages.iter_mut().find(|one| one.id == message).expect("found before");
    place.history.push(std::mem::replace(&mut place.content, content));
    Ok(json!({}))
}

fn get(state: &State, call: &Call, message: &str) -> Outcome {
    let Some(found) = state.find(message) else { return refuse(99992354, "message id not exist") };
    let mut items = vec![state.item(found)];
    if found.msg_type == "interactive" && call.query("card_msg_content_type") == "user_card_content" {
        items[0]["body"]["content"] = json!(found.content);
    }
    let inside = state.messages.iter().filter(|one| one.upper.as_deref() == Some(message));
    items.extend(inside.map(|one| state.item(one)));
    Ok(json!({ "items": items }))
}

fn list(state: &State, call: &Call) -> Outcome {
    if state.rules.refuse_lists {
        return refuse(230027, "Lack of necessary permissions");
    }
    let id = call.query("container_id");
    if state.rules.refuse_list_of == Some(id) {
        return refuse(230027, "Lack of necessary permissions, ext=external chat");
    }
    if state.rules.refuse_group_lists && state.chats.get(id).is_some_and(|chat| chat.mode != ChatMode::Direct) {
        return refuse(230027, "Lack of necessary permissions, ext=need scope: im:message.group_msg");
    }
    // A topic's list takes no times.
    if call.query("container_id_type") == "thread" && !call.query("start_time").is_empty() {
        return refuse(230001, "start_time is not supported for a thread");
    }
    if state.chats.get(id).is_some_and(|chat| !chat.bot_in) {
        return refuse(230002, "Bot/User can NOT be out of the chat.");
    }
    let since = call.query("start_time").parse::<i64>().unwrap_or_default() * 1000;
    let mut found: Vec<_> = match call.query("container_id_type") {
        "thread" => state.messages.iter().filter(|one| one.thread.as_deref() == Some(id)).collect(),
        // Of a topic the chat's list shows the root alone.
        "chat" => {
            let shown = |one: &&super::SimMessage| one.chat == id && !(one.thread.is_some() && one.root.is_some());
            state.messages.iter().filter(|one| !one.inside).filter(shown).collect()
        }
        _ => return refuse(230001, "container_id_type"),
    };
    found.retain(|one| one.created_ms >= since);
    if call.query("sort_type") == "ByCreateTimeDesc" {
        found.reverse();
    }
    let size = call.query("page_size").parse::<usize>().unwrap_or(20).min(50);
    let from = call.query("page_token").parse::<usize>().unwrap_or_default();
    let items: Vec<Value> = found.iter().skip(from).take(size).map(|one| state.item(one)).collect();
    let more = from + items.len() < found.len();
    let token = if more { (from + items.len()).to_string() } else { String::new() };
    Ok(json!({"has_more": more, "page_token": token, "items": items}))
}

fn react(state: &mut State, call: &Call, message: &str) -> Outcome {
    let Some(emoji) = call.body["reaction_type"]["emoji_type"].as_str().map(str::to_owned) else {
        return refuse(231001, "reaction type is invalid");
    };
    let id = state.fresh("ZCaCIjUBVVWSrm5L-3ZTw");
    let Some(found) = state.messages.iter_mut().find(|one| one.id == message) else {
        return refuse(231003, "The message is not found");
    };
    if found.recalled {
        return refuse(231003, "The message is not found");
    }
    let is_second = found.reactions.iter().any(|(_, _, who)| who == APP_ID);
    found.reactions.push((id.clone(), emoji.clone(), APP_ID.to_owned()));
    if is_second {
        state.doubled.push(message.to_owned());
    }
    Ok(json!({"reaction_id": id, "operator": {"operator_id": APP_ID, "operator_type": "app"},
              "reaction_type": {"emoji_type": emoji}}))
}

fn reactions(state: &State, message: &str) -> Outcome {
    let Some(found) = state.find(message) else { return refuse(231003, "The message is not found") };
    let kind = |who: &str| if who == APP_ID { "app" } else { "user" };
    let item = |(id, emoji, who): &(String, String, String)| {
        json!({"reaction_id": id, "operator": {"operator_id": who, "operator_type": kind(who)}, "action_time": "1",
               "reaction_type": {"emoji_type": emoji}})
    };
    let items: Vec<Value> = found.reactions.iter().map(item).collect();
    Ok(json!({"items": items, "has_more": false, "page_token": ""}))
}

fn unreact(state: &mut State, message: &str, reaction: &str) -> Outcome {
    let Some(found) = state.messages.iter_mut().find(|one| one.id == message) else {
        return refuse(231003, "The message is not found");
    };
    let before = found.reactions.len();
    found.reactions.retain(|(id, _, _)| id != reaction);
    if found.reactions.len() == before { refuse(231011, "reaction id not match") } else { Ok(json!({})) }
}

fn upload(state: &mut State, call: &Call, key_name: &str, limit: usize) -> Outcome {
    if call.file.is_empty() {
        return refuse(234010, "File's size can't be 0");
    }
    if call.file.len() > limit {
        return refuse(234006, "The file size exceed the max value.");
    }
    let typed = if key_name == "image_key" {
        call.field("image_type") == "message"
    } else {
        !call.field("file_type").is_empty()
    };
    if !typed {
        return refuse(234001, "Invalid request param.");
    }
    let key = state.fresh(if key_name == "image_key" { "img_v3" } else { "file_v3" });
    let name =
        Some(call.field("file_name")).filter(|name| !name.is_empty()).unwrap_or_else(|| call.field("name of the part"));
    state.resources.insert(key.clone(), (name.to_owned(), call.file.to_vec()));
    Ok(json!({ key_name: key }))
}

fn resource(state: &State, message: &str, key: &str) -> Result<Vec<u8>, (i64, String)> {
    let Some(found) = state.find(message) else { return Err((234003, "File not in msg.".to_owned())) };
    match state.resources.get(key).filter(|_| found.content.contains(key)) {
        Some((_, bytes)) => Ok(bytes.clone()),
        None => Err((234003, "File not in msg.".to_owned())),
    }
}

fn chat_info(state: &State, chat: &str) -> Outcome {
    let Some(found) = state.chats.get(chat) else { return refuse(232006, "chat id is invalid") };
    let mode = match found.mode {
        ChatMode::Direct => "p2p",
        ChatMode::Group => "group",
        ChatMode::Topic => "topic",
    };
    Ok(json!({"name": found.name, "description": "", "chat_mode": mode, "group_message_type": "chat",
              "chat_type": "private", "chat_status": "normal", "external": found.external,
              "user_count": found.members.len().to_string(), "bot_count": "1"}))
}

fn is_in_chat(state: &State, chat: &str) -> Outcome {
    let Some(found) = state.chats.get(chat) else { return refuse(232006, "chat id is invalid") };
    Ok(json!({ "is_in_chat": found.bot_in }))
}

/// Whoever asks about an app must be that app, and may.
fn asks_about_itself(state: &State, app: &str) -> Result<(), (i64, String)> {
    if app != APP_ID {
        return Err((210504, "no permission for this app".to_owned()));
    }
    if !state.rules.console.scopes.contains(&"application:application:self_manage") {
        let msg = "Access denied. One of the following scopes is required: \
                   [admin:app.info:readonly, application:application:self_manage].";
        return Err((99991672, msg.to_owned()));
    }
    Ok(())
}

fn application(state: &State, app: &str) -> Outcome {
    asks_about_itself(state, app)?;
    let console = &state.rules.console;
    let scopes: Vec<Value> =
        console.scopes.iter().map(|scope| json!({"scope": scope, "level": 1, "token_types": ["tenant"]})).collect();
    let mut app = json!({"app_id": APP_ID, "status": 1, "scopes": scopes, "app_name": "ally",
        "owner": {"type": 2, "owner_id": "ou_owner"}, "online_version_id": console.online_version.unwrap_or(""),
        "unaudit_version_id": console.waiting_version.unwrap_or("")});
    if let Some((kind, subscribed)) = &console.callback {
        app["callback_info"] = json!({"callback_type": kind, "subscribed_callbacks": subscribed});
    }
    Ok(json!({ "app": app }))
}

fn versions(state: &State, call: &Call, app: &str) -> Outcome {
    asks_about_itself(state, app)?;
    if call.query("lang").is_empty() {
        return refuse(210501, "lang is required");
    }
    let console = &state.rules.console;
    let events: Vec<Value> =
        console.events.iter().map(|event| json!({"event_type": event, "event_name": event})).collect();
    // Newest first: one that nobody has approved yet stands before the one in force.
    let waiting = console.waiting_version.map(|id| json!({"version_id": id, "version": "1.1.0", "status": 3}));
    let range =
        json!({"is_all": console.departments.is_empty(), "visible_list": {"department_ids": console.departments}});
    let online = console.online_version.map(|id| {
        json!({"version_id": id, "version": "1.0.0", "status": 1, "publish_time": "1790000000", "event_infos": events,
            "remark": {"remark": "", "visibility": range}})
    });
    let items: Vec<Value> = waiting.into_iter().chain(online).collect();
    Ok(json!({"items": items, "has_more": false}))
}

/// Whoever may use it as one of a department does not stand on the list.
fn listed(state: &State, call: &Call, app: &str) -> Outcome {
    asks_about_itself(state, app)?;
    let console = &state.rules.console;
    let ids = call.body["user_ids"].as_array().cloned().unwrap_or_default();
    let people: Vec<Value> = ids
        .iter()
        .map(|id| {
            let is_banned = console.banned.is_some_and(|banned| id == banned);
            json!({"user_id": id, "in_white_list": console.departments.is_empty(), "in_black_list": is_banned,
                "in_paid_list": false})
        })
        .collect();
    Ok(json!({ "user_visibility_list": people }))
}

fn granted(state: &State) -> Outcome {
    let scopes: Vec<Value> =
        state.rules.console.granted.iter().map(|scope| json!({"scope_name": scope, "grant_status": 1})).collect();
    Ok(json!({ "scopes": scopes }))
}

fn members(state: &State, chat: &str) -> Outcome {
    let Some(found) = state.chats.get(chat) else { return refuse(232006, "chat id is invalid") };
    let items: Vec<Value> = found
        .members
        .iter()
        .map(|id| json!({"member_id": id, "member_id_type": "open_id", "name": state.users.get(id), "tenant_key": "t"}))
        .collect();
    Ok(json!({"items": items, "has_more": false, "page_token": "", "member_total": found.members.len()}))
}

fn profiles(state: &State, call: &Call) -> Outcome {
    if state.rules.refuse_profiles {
        return refuse(
            99991672,
            "Access denied. One of the following scopes is required: [contact:user.basic_profile:readonly].",
        );
    }
    let ids = call.body["user_ids"].as_array().cloned().unwrap_or_default();
    let named = |id: &Value| {
        let name = state.users.get(id.as_str()?)?;
        Some(json!({"user_id": id, "name": name, "i18n_name": {"zh_cn": name}}))
    };
    Ok(json!({"users": ids.iter().filter_map(named).collect::<Vec<_>>()}))
}
