//! The question that a bridge asks itself: does its own socket answer, and its ledger? As plain as can be, because it is
//! asked all day long.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::config::Paths;

/// Longer than a ledger takes that another program holds: that is an answer as well.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks the daemon of a home whether it is alive. No answer in time is none.
///
/// # Errors
/// What came instead of an answer.
pub async fn is_alive(paths: &Paths) -> io::Result<bool> {
    let token = std::fs::read_to_string(paths.token())?;
    let request = format!(
        "GET /v1/alive HTTP/1.1\r\nHost: ally\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        token.trim()
    );
    let asked = async {
        let mut socket = UnixStream::connect(paths.socket()).await?;
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        Ok(answer.starts_with("HTTP/1.1 200 "))
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answered) => answered,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
