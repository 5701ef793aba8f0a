//! (being written)

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves the scripted model until `cancel` fires.
pub async fn serve(_listener: TcpListener, cancel: CancellationToken) -> anyhow::Result<()> {
    cancel.cancelled().await;
    Ok(())
}

/// Codex's configuration for the scripted model.
pub fn codex_config(_base_url: &str) -> String {
    String::new()
}
