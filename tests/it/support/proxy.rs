//! A line between ally and whatever it talks to, that can be made bad: slow, lossy, dead, cut. It knows nothing of what it
//! carries, except that a long connection begins with its upgrade request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Which connections are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The long connection.
    Socket,
    /// All others.
    Calls,
}

/// Seen from ally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Out,
    In,
}

/// What happens to the bytes of one line in one direction.
#[derive(Debug, Clone, Default)]
pub struct Toxic {
    /// Every piece comes so much later.
    pub delay: Duration,
    /// A piece has at most so many bytes.
    pub piece: Option<usize>,
    /// They vanish, and the connection stays open.
    pub lose: bool,
    /// After so many more bytes the connection breaks, once.
    pub cut_after: Option<usize>,
}

/// Handle of a running proxy; it ends with the last one.
#[derive(Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
    _guard: Arc<DropGuard>,
}

struct Inner {
    address: std::net::SocketAddr,
    target: String,
    toxics: Mutex<[Toxic; 4]>,
    lost: [AtomicUsize; 4],
    open: watch::Sender<bool>,
    /// What is open now is dead from now on, and nobody says so.
    dead: Mutex<CancellationToken>,
    cut: Mutex<CancellationToken>,
}

impl Proxy {
    /// In front of `target` (`127.0.0.1:port`).
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let inner = Arc::new(Inner {
            address: listener.local_addr().expect("bound"),
            target: target.to_owned(),
            toxics: Mutex::default(),
            lost: Default::default(),
            open: watch::channel(true).0,
            dead: Mutex::default(),
            cut: Mutex::default(),
        });
        let ended = CancellationToken::new();
        tokio::spawn(accept(listener, Arc::clone(&inner), ended.clone()));
        Self { inner, _guard: Arc::new(ended.drop_guard()) }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.inner.address.to_string()
    }

    /// From now on, for old and new connections.
    pub fn set(&self, line: Line, way: Way, toxic: Toxic) {
        self.inner.toxics.lock().expect("not poisoned")[place(line, way)] = toxic;
    }

    /// From now on all is well again (except for what [`Proxy::kill_present`] killed).
    pub fn heal(&self) {
        *self.inner.toxics.lock().expect("not poisoned") = Default::default();
    }

    /// Bytes that were swallowed so far.
    pub fn lost(&self, line: Line, way: Way) -> usize {
        self.inner.lost[place(line, way)].load(Ordering::SeqCst)
    }

    /// Nobody listens any more, or somebody does again.
    pub fn listen(&self, open: bool) {
        self.inner.open.send_replace(open);
    }

    /// Present connections carry nothing any more and stay open; new ones work.
    pub fn kill_present(&self) {
        std::mem::take(&mut *self.inner.dead.lock().expect("not poisoned")).cancel();
    }

    /// Present connections break.
    pub fn cut_present(&self) {
        std::mem::take(&mut *self.inner.cut.lock().expect("not poisoned")).cancel();
    }
}

fn place(line: Line, way: Way) -> usize {
    2 * usize::from(line == Line::Calls) + usize::from(way == Way::In)
}

async fn accept(listener: TcpListener, inner: Arc<Inner>, ended: CancellationToken) {
    let (mut listener, mut open) = (Some(listener), inner.open.subscribe());
    loop {
        let wanted = *open.borrow_and_update();
        if !wanted {
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(inner.address).await.expect("our port is still free"));
        }
        tokio::select! {
            () = ended.cancelled() => return,
            _ = open.changed() => {}
            accepted = async {
                match &listener {
                    Some(listener) => listener.accept().await,
                    None => std::future::pending().await,
                }
            } => {
                let Ok((client, _)) = accepted else { continue };
                tokio::spawn(carry(client, Arc::clone(&inner), ended.clone()));
            }
        }
    }
}

async fn carry(client: TcpStream, inner: Arc<Inner>, ended: CancellationToken) {
    let cut = inner.cut.lock().expect("not poisoned").child_token();
    let dead = inner.dead.lock().expect("not poisoned").child_token();
    let mut first = [0; 7];
    let carried = async {
        let read = client.peek(&mut first).await.ok()?;
        let line = if first[..read].starts_with(b"GET /ws") { Line::Socket } else { Line::Calls };
        let server = TcpStream::connect(&inner.target).await.ok()?;
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = pump(from_client, to_server, &inner, place(line, Way::Out), &dead) => {}
            () = pump(from_server, to_client, &inner, place(line, Way::In), &dead) => {}
        }
        Some(())
    };
    tokio::select! {
        () = ended.cancelled() => {}
        () = cut.cancelled() => {}
        _ = carried => {}
    }
}

/// Carries bytes one way until the connection ends; then both ways end.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, inner: &Inner, place: usize, dead: &CancellationToken) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let most = inner.toxics.lock().expect("not poisoned")[place].piece.unwrap_or(buffer.len()).min(buffer.len());
        let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { return };
        let (toxic, keep) = {
            let mut toxics = inner.toxics.lock().expect("not poisoned");
            let toxic = toxics[place].clone();
            let keep = toxic.cut_after.map_or(read, |left| left.min(read));
            if let Some(left) = &mut toxics[place].cut_after {
                *left -= keep;
            }
            if keep < read {
                toxics[place].cut_after = None;
            }
            (toxic, keep)
        };
        if dead.is_cancelled() || toxic.lose {
            inner.lost[place].fetch_add(read, Ordering::SeqCst);
            continue;
        }
        if !toxic.delay.is_zero() {
            tokio::time::sleep(toxic.delay).await;
        }
        if to.write_all(&buffer[..keep]).await.is_err() || keep < read {
            return;
        }
    }
}
