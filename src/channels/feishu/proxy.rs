//! The way out through a proxy: for which addresses, with which login, and the tunnel for what is not HTTP.

use std::net::IpAddr;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::client::is_loopback;
use super::dial::{DialError, connect, unavailable};
use super::tls;

/// The longest answer of a proxy to CONNECT that is read.
const MAX_HEAD: usize = 8 << 10;

/// A proxy as the configuration gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http://` or `https://`, `[user:password@]host[:port]`; what is special in a login is percent-encoded.
    pub address: String,
    /// What `NO_PROXY` says: hosts and their subdomains, addresses, networks, each with a port or without, or `*`.
    pub except: String,
}

// The address may hold a password.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("except", &self.except).finish_non_exhaustive()
    }
}

/// A byte stream to the other side, whatever lies between.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Proxy {
    /// Whether this address is reached through the proxy. This machine never is.
    pub fn serves(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        !is_loopback(url.as_str()) && !excepted(&self.except, host, url.port_or_known_default().unwrap_or(443))
    }

    /// The same for the HTTP client.
    pub fn for_http(&self) -> anyhow::Result<reqwest::Proxy> {
        let (url, login) = self.parts()?;
        let proxy = reqwest::Proxy::all(url).context("the proxy's address is not valid")?;
        Ok(match login {
            Some((user, password)) => proxy.basic_auth(&user, &password),
            None => proxy,
        })
    }

    /// The address without its login, and the login as it was before it was encoded.
    fn parts(&self) -> anyhow::Result<(Url, Option<(String, String)>)> {
        let mut url = Url::parse(&self.address).context("the proxy's address is not valid")?;
        let login = (!url.username().is_empty())
            .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        // Only an address that has no host refuses this.
        let _ = (url.set_username(""), url.set_password(None));
        Ok((url, login))
    }

    /// A tunnel by CONNECT. The WebSocket library knows no proxy, and without this the bootstrap would work and the socket
    /// hang.
    pub async fn tunnel(&self, to: &Url) -> Result<Box<dyn Stream>, DialError> {
        let (proxy, login) = self.parts().map_err(|_| unavailable("the proxy's address is not valid"))?;
        let tcp = connect(&proxy).await?;
        let mut stream: Box<dyn Stream> =
            if proxy.scheme() == "https" { Box::new(encrypted(tcp, &proxy).await?) } else { Box::new(tcp) };
        let host = to.host_str().ok_or_else(|| unavailable("the platform gave an address without a host"))?;
        let port = to.port_or_known_default().unwrap_or(443);
        let mut head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some((user, password)) = login {
            let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
            head.push_str(&format!("Proxy-Authorization: Basic {login}\r\n"));
        }
        head.push_str("\r\n");
        let broken = |error: std::io::Error| unavailable(format!("the proxy broke off: {error}"));
        stream.write_all(head.as_bytes()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= MAX_HEAD {
                return Err(unavailable("the proxy's answer is too long"));
            }
            // Byte by byte: what follows the head belongs to the tunnel.
            answer.push(stream.read_u8().await.map_err(broken)?);
        }
        let answer = String::from_utf8_lossy(&answer);
        match answer.split_whitespace().nth(1) {
            Some(status) if status.starts_with('2') => Ok(stream),
            Some("407") => Err(unavailable(
                "the proxy refused the login (status 407). Put user and password into HTTPS_PROXY, special characters \
                 percent-encoded",
            )),
            status => Err(unavailable(format!("the proxy refused with status {}", status.unwrap_or("none")))),
        }
    }
}

/// TLS to the proxy itself, trusted as this machine trusts.
async fn encrypted<S: Stream>(tcp: S, proxy: &Url) -> Result<impl Stream + use<S>, DialError> {
    let host = proxy.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name =
        rustls::pki_types::ServerName::try_from(host).map_err(|_| unavailable("the proxy's address is not valid"))?;
    let connector = tokio_rustls::TlsConnector::from(tls::config());
    connector.connect(name, tcp).await.map_err(|error| unavailable(format!("no TLS with the proxy: {error}")))
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Whether `NO_PROXY` names this host, by curl's rules: `example.org` is itself and everything below it.
fn excepted(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let entries = list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
    entries.into_iter().any(|entry| fits(entry, &host, port))
}

fn fits(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    let (name, wanted) = with_port(entry);
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    let name = name.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    if let Ok(address) = host.parse::<IpAddr>() {
        return match name.split_once('/') {
            Some((network, bits)) => in_network(address, network, bits),
            None => name.parse() == Ok(address),
        };
    }
    let name = name.trim_start_matches('*').trim_start_matches('.');
    !name.is_empty() && (host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
}

/// `host:1`, `[::1]:1`; an IPv6 address without brackets has no port.
fn with_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            u32::MAX.checked_shl(32 - bits).is_none_or(|mask| (address.to_bits() ^ network.to_bits()) & mask == 0)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            u128::MAX.checked_shl(128 - bits).is_none_or(|mask| (address.to_bits() ^ network.to_bits()) & mask == 0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_hosts_networks_and_ports() {
        const LIST: &str = "localhost, feishu.cn,.corp.example *.star.example,10.0.0.0/8,192.168.1.7,fd00::/8,[2001:db8::1]:8443,p.example:8080";
        for (url, want) in [
            ("https://feishu.cn", true),
            ("https://open.feishu.cn/x", true),
            ("wss://MSG.feishu.cn./ws", true),
            ("https://notfeishu.cn", false),
            ("https://feishu.cn.evil.example", false),
            ("https://corp.example", true),
            ("https://a.b.corp.example", true),
            ("https://x.star.example", true),
            ("https://10.1.2.3", true),
            ("https://11.1.2.3", false),
            ("https://192.168.1.7", true),
            ("https://192.168.1.8", false),
            ("https://[fd12::1]", true),
            ("https://[fe80::1]", false),
            ("https://[2001:db8::1]:8443", true),
            ("https://[2001:db8::1]", false),
            ("http://p.example:8080", true),
            ("https://p.example", false),
        ] {
            let proxy = |except: &str| Proxy { address: "http://p:1".to_owned(), except: except.to_owned() };
            let url = Url::parse(url).expect("an address");
            assert_eq!(!proxy(LIST).serves(&url), want, "{url}");
            assert!(proxy("").serves(&url), "{url}");
            assert!(!proxy("*").serves(&url), "{url}");
        }
        let all = Proxy { address: "http://p:1".to_owned(), except: "0.0.0.0/0,10.0.0.0/99,x/8,10.0.0.0/".to_owned() };
        assert!(!all.serves(&Url::parse("https://8.8.8.8").expect("an address")));
        assert!(!all.serves(&Url::parse("http://127.0.0.1:9").expect("an address")), "this machine");
    }

    #[test]
    fn a_login_is_decoded_and_never_shown() {
        let proxy = Proxy { address: "http://m%40e:p%3Aw%2Ford@proxy.example:3128".to_owned(), except: String::new() };
        let (url, login) = proxy.parts().expect("valid");
        assert_eq!(
            (url.as_str(), login),
            ("http://proxy.example:3128/", Some(("m@e".to_owned(), "p:w/ord".to_owned())))
        );
        assert!(!format!("{proxy:?}").contains("ord"));
        proxy.for_http().expect("valid");
    }

    #[tokio::test]
    async fn a_proxy_is_asked_for_a_tunnel() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let answering = async {
            let (mut tcp, _) = listener.accept().await.expect("a client");
            let mut head = vec![0; 1024];
            let length = tcp.read(&mut head).await.expect("a request");
            tcp.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.expect("written");
            String::from_utf8_lossy(&head[..length]).into_owned()
        };
        let proxy = Proxy { address: format!("http://me:wo%2Frd@127.0.0.1:{port}"), except: String::new() };
        let url = Url::parse("wss://msg.example.invalid/ws").expect("an address");
        let (opened, asked) = tokio::join!(proxy.tunnel(&url), answering);
        assert!(asked.starts_with("CONNECT msg.example.invalid:443 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("Proxy-Authorization: Basic bWU6d28vcmQ=\r\n"), "{asked}");
        let error = opened.err().expect("refused").to_string();
        assert!(error.contains("407") && !error.contains("wo/rd"), "{error}");
    }

    #[tokio::test]
    async fn a_proxy_behind_tls_is_spoken_to_in_tls() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let answering = async {
            let (mut tcp, _) = listener.accept().await.expect("a client");
            let mut first = [0; 2];
            tcp.read_exact(&mut first).await.expect("a request");
            first
        };
        let proxy = Proxy { address: format!("https://127.0.0.1:{port}"), except: String::new() };
        let url = Url::parse("wss://msg.example.invalid/ws").expect("an address");
        let (opened, first) = tokio::join!(proxy.tunnel(&url), answering);
        assert_eq!(first, [22, 3], "a TLS handshake");
        assert!(opened.is_err());
    }
}
