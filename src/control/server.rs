//! The server side of the control socket.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use subtle::ConstantTimeEq;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use super::report::{
    AnswerRequest, ApprovalRequest, AuditQuery, BackupRequest, DrainRequest, GreetRequest, LockRequest, Refusal,
    RestoredRequest, TurnsQuery, Warp,
};
use super::routines::{RoutineQuery, RoutineRequest};
use super::service::{Service, ServiceError};
use super::tools::{SendRequest, ToolRequest};
use crate::config::{Paths, private_folder, write_private};
use crate::domain::gate::hex;
use crate::domain::ids::{GateId, TurnId};

/// How long open requests may hold up the end.
const DRAIN: Duration = Duration::from_secs(2);
/// The one route for what agents ask for by their own tools.
const TOOLS: &str = "/v1/tools";

/// What a scraper is told that it gets.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A bound control socket with its fresh token. The socket file goes when this is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    socket: RemoveOnDrop,
    token: String,
}

impl Control {
    /// Writes a fresh token and binds the socket. Only for the one process that holds the home's lock: a socket that
    /// lies there is of a dead one.
    pub fn bind(paths: &Paths) -> io::Result<Self> {
        let socket = paths.socket();
        if !paths.socket_fits() {
            let folder = socket.parent().ok_or(io::ErrorKind::InvalidInput)?;
            private_folder(folder)?;
            write_private(&paths.socket_note(), &format!("{}\n", socket.display()))?;
        }
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let token = fresh_token()?;
        write_private(&paths.token(), &token)?;
        let listener = UnixListener::bind(&socket)?;
        let inode = std::fs::symlink_metadata(&socket)?.ino();
        Ok(Self { listener, socket: RemoveOnDrop { path: socket, inode }, token })
    }

    /// Answers requests until `cancel` fires. `more` holds routes of the channels; it is below the same bars.
    pub async fn serve(self, service: Arc<dyn Service>, more: Router, cancel: CancellationToken) -> anyhow::Result<()> {
        let guard = Arc::new(Guard { token: self.token.clone() });
        let app = routes(service)
            .merge(more)
            .layer(middleware::from_fn_with_state(guard, admit))
            .into_make_service_with_connect_info::<Peer>();
        let socket = self.socket;
        let stop = cancel.clone();
        let server = axum::serve(self.listener, app).with_graceful_shutdown(async move { stop.cancelled().await });
        let server = server.into_future();
        tokio::pin!(server);
        tokio::select! {
            ended = &mut server => ended?,
            () = cancel.cancelled() => {
                // Event streams end by themselves with the same token; whatever does not is left behind.
                let _ = tokio::time::timeout(DRAIN, &mut server).await;
            }
        }
        drop(socket);
        Ok(())
    }
}

/// Removes the socket file, unless a later process has put its own there.
#[derive(Debug)]
struct RemoveOnDrop {
    path: PathBuf,
    inode: u64,
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

struct Guard {
    token: String,
}

fn fresh_token() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex(&bytes))
}

/// The three bars.
async fn admit(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if !peer.is_us() {
        return refuse(StatusCode::FORBIDDEN, "another user's process may not talk to this ally");
    }
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.strip_prefix("Bearer ").unwrap_or_default();
    if !bool::from(given.as_bytes().ct_eq(guard.token.as_bytes())) {
        return refuse(StatusCode::UNAUTHORIZED, "the control token is missing or wrong");
    }
    // Whoever runs below a runtime has to bring a key to the tools' route; it is looked at there, whoever calls.
    let has_a_bar_of_its_own = request.uri().path() == TOOLS;
    if request.method() != Method::GET && !has_a_bar_of_its_own && !peer.may_decide() {
        return refuse(
            StatusCode::FORBIDDEN,
            "this was called from below a runtime: an agent may look at ally, and neither stop it nor decide for people",
        );
    }
    next.run(request).await
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(Refusal { error: why.to_owned() })).into_response()
}

type Shared = State<Arc<dyn Service>>;

fn routes(service: Arc<dyn Service>) -> Router {
    let router = Router::new()
        .route("/v1/status", get(async |State(service): Shared| answer(service.status().await)))
        .route("/v1/alive", get(async |State(service): Shared| answer(service.alive().await)))
        .route("/v1/metrics", get(async |State(service): Shared| metrics(service).await))
        .route("/v1/turns", get(turns))
        .route("/v1/turns/{id}", get(turn))
        .route("/v1/gates", get(async |State(service): Shared| answer(service.gates().await)))
        .route("/v1/gates/{id}/answer", post(answer_gate))
        .route("/v1/lock", post(lock))
        .route("/v1/audit", get(audit))
        .route("/v1/rules", get(async |State(service): Shared| answer(service.rules().await)))
        .route("/v1/rules/{number}/revoke", post(revoke_rule))
        .route("/v1/routines", get(async |State(service): Shared| answer(service.routines().await)))
        .route("/v1/routines/{name}", get(routine).post(change_routine))
        .route(TOOLS, post(call_tool))
        .route("/v1/send", post(send))
        .route("/v1/archive/rebuild", post(async |State(service): Shared| answer(service.rebuild_archive().await)))
        .route("/v1/restored", get(async |State(service): Shared| answer(service.restored().await)).post(restored))
        .route("/v1/backup", post(backup))
        .route("/v1/pair", post(async |State(service): Shared| answer(service.pair().await)))
        .route("/v1/greet", post(greet))
        .route("/v1/approval", post(await_approval))
        .route("/v1/press", post(async |State(service): Shared| answer(service.press().await)))
        .route("/v1/press/{name}", get(pressed))
        .route("/v1/drain", post(drain));
    let router = if cfg!(debug_assertions) { router.route("/v1/clock", post(warp_clock)) } else { router };
    router.with_state(service)
}

pub(super) async fn metrics(service: Arc<dyn Service>) -> Response {
    match service.metrics().await {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => answer::<()>(Err(error)),
    }
}

async fn turns(State(service): Shared, Query(query): Query<TurnsQuery>) -> Response {
    answer(service.turns(query).await)
}

async fn turn(State(service): Shared, Path(id): Path<String>) -> Response {
    answer(service.turn(TurnId::new(id)).await)
}

async fn answer_gate(State(service): Shared, Path(id): Path<String>, Json(request): Json<AnswerRequest>) -> Response {
    answer(service.answer(GateId::new(id), request).await)
}

async fn backup(State(service): Shared, Json(request): Json<BackupRequest>) -> Response {
    answer(service.backup(request).await)
}

async fn restored(State(service): Shared, Json(request): Json<RestoredRequest>) -> Response {
    answer(service.decide_restored(request).await)
}

async fn lock(State(service): Shared, Json(request): Json<LockRequest>) -> Response {
    answer(service.lock(request).await)
}

async fn audit(State(service): Shared, Query(query): Query<AuditQuery>) -> Response {
    answer(service.audit(query).await)
}

async fn revoke_rule(State(service): Shared, Path(number): Path<i64>) -> Response {
    answer(service.revoke_rule(number).await)
}

async fn routine(
    State(service): Shared,
    Path(name): Path<String>,
    Query(RoutineQuery { runs }): Query<RoutineQuery>,
) -> Response {
    answer(service.routine(name, runs).await)
}

async fn change_routine(
    State(service): Shared,
    Path(name): Path<String>,
    Json(request): Json<RoutineRequest>,
) -> Response {
    answer(service.change_routine(name, request).await)
}

async fn call_tool(State(service): Shared, Json(request): Json<ToolRequest>) -> Response {
    answer(service.call_tool(request).await)
}

async fn send(State(service): Shared, Json(request): Json<SendRequest>) -> Response {
    answer(service.send(request).await)
}

async fn greet(State(service): Shared, Json(request): Json<GreetRequest>) -> Response {
    answer(service.greet(request).await)
}

async fn await_approval(State(service): Shared, Json(request): Json<ApprovalRequest>) -> Response {
    answer(service.await_approval(request).await)
}

async fn pressed(State(service): Shared, Path(name): Path<String>) -> Response {
    answer(service.pressed(name).await)
}

async fn drain(State(service): Shared, Json(request): Json<DrainRequest>) -> Response {
    answer(service.drain(request).await)
}

async fn warp_clock(State(service): Shared, Json(warp): Json<Warp>) -> Response {
    answer(service.warp_clock(warp).await)
}

fn answer<T: Serialize>(result: Result<T, ServiceError>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(ServiceError::NotFound(why)) => refuse(StatusCode::NOT_FOUND, &why),
        Err(ServiceError::Refused(why)) => refuse(StatusCode::CONFLICT, &why),
        Err(ServiceError::Busy(why)) => refuse(StatusCode::SERVICE_UNAVAILABLE, &why),
        Err(ServiceError::Failed(why)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::*;
    use super::super::service::testing::Quiet;
    use super::super::{Client, ClientError, is_alive};
    use super::*;
    use crate::tasks::{OnExit, Tasks};

    fn start(paths: &Paths) -> Tasks {
        paths.create().unwrap();
        let control = Control::bind(paths).unwrap();
        let tasks = Tasks::default();
        tasks.spawn("control", OnExit::LogOnly, |cancel| control.serve(Arc::new(Quiet), Router::new(), cancel));
        tasks
    }

    #[tokio::test]
    async fn requests_with_the_token_are_answered() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("home"), None);
        let tasks = start(&paths);
        let client = Client::connect(&paths).unwrap();
        let status: StatusReport = client.get("/v1/status").await.unwrap();
        assert_eq!(status.state, DaemonState::Running);
        let rows: Vec<TurnRow> = client.get("/v1/turns?undelivered=true&limit=3").await.unwrap();
        assert!(rows.is_empty());
        let missing = client.get::<TurnDetail>("/v1/turns/01").await.unwrap_err();
        assert!(matches!(&missing, ClientError::Refused { status: 404, error } if error.contains("no turn 01")));
        assert!(is_alive(&paths).await.unwrap());
        assert_eq!(client.text("/v1/metrics").await.unwrap(), "# EOF\n");
        assert!(tasks.stop(Duration::from_secs(5)).await);
        assert!(!paths.socket().exists(), "the socket file goes with the server");
        let gone = client.get::<StatusReport>("/v1/status").await.unwrap_err();
        assert!(matches!(gone, ClientError::NotRunning), "{gone}");
        assert!(is_alive(&paths).await.is_err());
    }

    #[tokio::test]
    async fn a_wrong_token_is_refused_and_a_deep_home_works() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths::of_home(temp.path().join("d".repeat(100)), None);
        let tasks = start(&paths);
        let right = Client::connect(&paths).unwrap();
        right.get::<StatusReport>("/v1/status").await.unwrap();
        write_private(&paths.token(), "0000").unwrap();
        let wrong = Client::connect(&paths).unwrap().get::<StatusReport>("/v1/status").await.unwrap_err();
        assert!(matches!(wrong, ClientError::Refused { status: 401, .. }), "{wrong}");
        assert!(tasks.stop(Duration::from_secs(5)).await);
        std::fs::remove_dir(paths.socket().parent().unwrap()).unwrap();
    }
}
