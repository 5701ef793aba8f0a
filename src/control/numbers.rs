//! The numbers of `/v1/metrics` for a scraper on this machine that knows no token: on the loopback only, and only where a
//! port is configured.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::server::metrics;
use super::service::Service;

/// Answers `GET /metrics` until `cancel`. A port that cannot be had is no reason to do no work.
pub async fn serve_numbers(port: u16, service: Arc<dyn Service>, cancel: CancellationToken) -> anyhow::Result<()> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(error) => {
            warn!(port, %error, "The port of [metrics] cannot be had; `ally status --metrics` works without it");
            return Ok(());
        }
    };
    info!(port, "Numbers are served on the loopback");
    let app = Router::new()
        .route("/metrics", get(async |State(service): State<Arc<dyn Service>>| -> Response { metrics(service).await }))
        .with_state(service);
    Ok(axum::serve(listener, app).with_graceful_shutdown(async move { cancel.cancelled().await }).await?)
}
