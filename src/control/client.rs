//! The client side: what every command of the terminal uses.

use std::io;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::report::Refusal;
use crate::config::Paths;

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("ally is not running")]
    NotRunning,
    /// The daemon said no.
    #[error("{error}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// In plain words.
        error: String,
    },
    /// The daemon went away before it answered: it may or may not have been done.
    #[error("ally did not answer: {0}")]
    Lost(String),
    /// Our own side: token or socket cannot be used.
    #[error("the control socket cannot be used: {0}")]
    Unusable(String),
}

/// A client of one home's control socket.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    token: HeaderValue,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    pub fn connect(paths: &Paths) -> Result<Self, ClientError> {
        let token = match std::fs::read_to_string(paths.token()) {
            Ok(token) => token,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ClientError::NotRunning),
            Err(error) => return Err(ClientError::Unusable(format!("{}: {error}", paths.token().display()))),
        };
        let mut token = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| ClientError::Unusable("the token file holds no token".to_owned()))?;
        token.set_sensitive(true);
        let http = reqwest::Client::builder()
            .unix_socket(paths.socket())
            .no_proxy()
            // Nothing is encrypted there: no certificate needs to be read.
            .tls_certs_only([])
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| ClientError::Unusable(error.to_string()))?;
        Ok(Self { http, token })
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let request = self.http.get(address(path)).timeout(Duration::from_secs(30));
        self.read(request).await
    }

    /// Asks for a text.
    pub async fn text(&self, path: &str) -> Result<String, ClientError> {
        let response = self.send(self.http.get(address(path)).timeout(Duration::from_secs(30))).await?;
        response.text().await.map_err(|error| ClientError::Lost(error.to_string()))
    }

    /// Wants something done.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.post_within(path, body, Duration::from_secs(30)).await
    }

    /// Wants something done that takes its time.
    pub async fn post_within<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T, ClientError> {
        self.read(self.http.post(address(path)).json(body).timeout(patience)).await
    }

    /// Follows a stream of JSON lines.
    pub async fn follow(&self, path: &str) -> Result<Lines, ClientError> {
        let response = self.send(self.http.get(address(path))).await?;
        Ok(Lines { response, buffer: Vec::new() })
    }

    async fn read<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        response.json().await.map_err(|error| ClientError::Lost(error.to_string()))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, ClientError> {
        let response = request.header(AUTHORIZATION, self.token.clone()).send().await.map_err(judge)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let text = response.text().await.unwrap_or_default();
        let error = match serde_json::from_str::<Refusal>(&text) {
            Ok(refusal) => refusal.error,
            Err(_) => format!("refused with status {status} {text}").trim_end().to_owned(),
        };
        Err(ClientError::Refused { status, error })
    }
}

/// Lines of a stream.
#[derive(Debug)]
pub struct Lines {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Lines {
    /// The next value; `None` when the daemon ended the stream. Safe to drop and call again.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return serde_json::from_slice(&line).map(Some).map_err(|error| ClientError::Lost(error.to_string()));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => return Ok(None),
                Err(error) => return Err(ClientError::Lost(error.to_string())),
            }
        }
    }
}

/// The host is never resolved: the socket is the address.
fn address(path: &str) -> String {
    format!("http://ally{path}")
}

fn judge(error: reqwest::Error) -> ClientError {
    if error.is_connect() { ClientError::NotRunning } else { ClientError::Lost(error.to_string()) }
}
