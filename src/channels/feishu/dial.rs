//! Opening the long connection: the bootstrap call, then the WebSocket, through a proxy where one is set.
//!
//! The socket's URL carries a ticket that is good for one connection: it is asked for anew each time and never written
//! into a log or an error.

use std::time::Duration;

use reqwest::Url;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::FeishuConfig;
use super::client::{Http, judge};
use super::error::ApiError;
use super::frames::MAX_BYTES;
use super::proxy::{Proxy, Stream};
use super::tls;
use super::wire::{ClientConfig, EndpointData, EndpointRequest};
use crate::domain::view::Both;
use crate::words::{self, ChannelMsg};

type Socket = WebSocketStream<MaybeTlsStream<Box<dyn Stream>>>;

pub struct Connection {
    pub socket: Socket,
    /// Goes into every ping.
    pub service: i32,
    /// The platform's id of this connection, for logs.
    pub device: String,
    pub config: ClientConfig,
}

#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Only a person can mend it: tried again, but slowly. `problem` says what to do.
    #[error("{}", problem.en)]
    Refused { problem: Both },
    /// Ends by itself.
    #[error("{reason}")]
    Unavailable { reason: String },
}

pub fn unavailable(reason: impl Into<String>) -> DialError {
    DialError::Unavailable { reason: reason.into() }
}

/// Asks where to connect and connects. `limit` is for TCP, TLS and upgrade together.
pub async fn dial(http: &Http, config: &FeishuConfig, limit: Duration) -> Result<Connection, DialError> {
    let (url, client_config) = bootstrap(http, config).await?;
    let parsed = Url::parse(&url).map_err(|_| unavailable("the platform gave an address that is none"))?;
    let query = |key: &str| parsed.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
    let service = query("service_id").and_then(|id| id.parse().ok()).unwrap_or_default();
    let device = query("device_id").unwrap_or_default();
    let opening = open(&parsed, config.proxy.as_ref());
    let socket = tokio::time::timeout(limit, opening).await.map_err(|_| unavailable("connecting timed out"))??;
    Ok(Connection { socket, service, device, config: client_config })
}

async fn bootstrap(http: &Http, config: &FeishuConfig) -> Result<(String, ClientConfig), DialError> {
    const WHAT: &str = "ask where to connect";
    let body = EndpointRequest { app_id: &config.app_id, app_secret: config.app_secret.expose_secret() };
    let request =
        http.post("/callback/ws/endpoint").header("locale", "zh").timeout(Duration::from_secs(15)).json(&body);
    let response = http.open(WHAT, request).await.map_err(refusal)?;
    let answer = judge(WHAT, response).await.map_err(refusal)?;
    let data: EndpointData = answer.data(WHAT).map_err(refusal)?;
    let url = data.url.filter(|url| !url.is_empty()).ok_or_else(|| unavailable("the platform gave no address"))?;
    Ok((url, data.client_config.unwrap_or_default()))
}

/// The bootstrap's codes. The SDKs disagree about 1 (busy) and make all others fatal; here nothing ever is.
fn refusal(error: ApiError) -> DialError {
    let Some(code) = error.code() else { return unavailable(error.to_string()) };
    let told = match code {
        1 | 514 | 1000040343 | 99991400 | 300000 | 300120 => return unavailable(error.to_string()),
        403 => ChannelMsg::AppNotEnabled { code },
        1000040344 | 1000040345 | 10003 | 10012..=10015 | 20002 | 99991543 => ChannelMsg::WrongCredentials { code },
        1000040350 => ChannelMsg::TooManyConnections { code },
        _ => ChannelMsg::ConnectionRefused { code },
    };
    refused(told)
}

fn refused(told: ChannelMsg<'_>) -> DialError {
    DialError::Refused { problem: words::both(told) }
}

/// A handshake that did not end in 101 says why in its headers.
fn handshake(status: u16, header: impl Fn(&str) -> Option<i64>) -> DialError {
    let reported = header("Handshake-Status").unwrap_or_else(|| status.into());
    match (reported, header("Handshake-Autherrcode")) {
        (514, Some(code @ 1000040350)) => refused(ChannelMsg::TooManyConnections { code }),
        (403, _) => refused(ChannelMsg::AppNotEnabled { code: 403 }),
        (reported, _) => unavailable(format!("the handshake was refused with status {reported}")),
    }
}

async fn open(url: &Url, proxy: Option<&Proxy>) -> Result<Socket, DialError> {
    let stream = match proxy.filter(|proxy| proxy.serves(url)) {
        Some(proxy) => proxy.tunnel(url).await?,
        None => Box::new(connect(url).await?),
    };
    let limits = WebSocketConfig::default().max_message_size(Some(MAX_BYTES)).max_frame_size(Some(MAX_BYTES));
    let opened: Result<(_, Response), _> =
        client_async_tls_with_config(url.as_str(), stream, Some(limits), Some(Connector::Rustls(tls::config()))).await;
    match opened {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(answer)) => Err(handshake(answer.status().as_u16(), |name| {
            answer.headers().get(name)?.to_str().ok()?.trim().parse().ok()
        })),
        // Its text may hold the address with the ticket.
        Err(tungstenite::Error::Url(_)) => Err(unavailable("the platform gave an address that cannot be used")),
        Err(error) => Err(unavailable(format!("the handshake failed: {error}"))),
    }
}

pub async fn connect(url: &Url) -> Result<TcpStream, DialError> {
    let host = url.host_str().ok_or_else(|| unavailable("the platform gave an address without a host"))?;
    let port = url.port_or_known_default().ok_or_else(|| unavailable("the platform gave an address without a port"))?;
    let tcp = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .map_err(|error| unavailable(format!("no connection to {host}:{port}: {error}")))?;
    // An ack is small and wanted within 3 s.
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

#[cfg(test)]
mod tests {
    use super::super::error::Refusal;
    use super::*;

    fn refused_with(code: i64) -> DialError {
        refusal(ApiError::Refused(Box::new(Refusal { code, ..Refusal::default() })))
    }

    #[test]
    fn bootstrap_codes() {
        for code in [1, 514, 1000040343, 99991400] {
            assert!(matches!(refused_with(code), DialError::Unavailable { .. }), "{code}");
        }
        for code in [403, 1000040344, 1000040345, 1000040350, 10014, 4711] {
            assert!(matches!(refused_with(code), DialError::Refused { .. }), "{code}");
        }
    }

    #[test]
    fn handshake_headers() {
        let headers = |name: &str, auth| match name {
            "Handshake-Status" => Some(514),
            _ => auth,
        };
        assert!(matches!(handshake(200, |name| headers(name, Some(1000040350))), DialError::Refused { .. }));
        assert!(matches!(handshake(200, |name| headers(name, None)), DialError::Unavailable { .. }));
        assert!(matches!(handshake(403, |_| None), DialError::Refused { .. }));
        assert!(matches!(handshake(502, |_| None), DialError::Unavailable { .. }));
    }

    #[tokio::test]
    async fn tls_has_a_provider() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let url = Url::parse(&format!("wss://127.0.0.1:{port}/ws")).expect("an address");
        let (opened, _) = tokio::join!(open(&url, None), async { listener.accept().await.map(drop) });
        assert!(matches!(opened, Err(DialError::Unavailable { .. })), "an error, not a panic");
    }
}
