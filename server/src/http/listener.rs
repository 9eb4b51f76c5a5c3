//! Accepting connections: bounded in number, in all and from one address, and in how long a client may take.

use super::Limits;
use super::app::stopping;
use super::auth::Connection;
use crate::signing::ca;
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// After which silence a peer is probed, and how often.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_PROBES: u32 = 3;
/// How long a peer may leave what was sent to it unread.
const UNREAD_TIMEOUT_MS: u32 = 120_000;
const MAX_HEADERS: usize = 32;
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// After a failure to accept, such as running out of descriptors: lets connections end instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `closing` turns true and every connection has ended or run out of time.
pub(super) async fn run(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    limits: Limits,
    mut closing: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let gate = Arc::new(Gate::new(limits));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stopping(&mut closing) => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        let Some(place) = gate.enter(address) else {
            tracing::warn!(%address, "refused a connection: too many are open");
            continue;
        };
        let served = serve(
            stream,
            address,
            acceptor.clone(),
            router.clone(),
            limits,
            closing.clone(),
        );
        connections.spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%address, %error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    address: IpAddr,
    acceptor: TlsAcceptor,
    router: Router,
    limits: Limits,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    notice_silence(&stream)?;
    let tls = tokio::time::timeout(limits.handshake, acceptor.accept(stream)).await??;
    let connection = Connection {
        address,
        peer: tls
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first())
            .and_then(|certificate| ca::peer(certificate)),
    };
    let head = if connection.peer.is_some() {
        limits.tablet_head
    } else {
        limits.head
    };
    let answer = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        answer.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(tls), service);
    tokio::pin!(served);
    tokio::select! {
        ended = served.as_mut() => return ended.map_err(io::Error::other),
        () = stopping(&mut closing) => {}
    }
    served.as_mut().graceful_shutdown();
    tokio::time::timeout(limits.drain, served)
        .await?
        .map_err(io::Error::other)
}

/// Finds out about tablets that left the network while their fetch hangs, and about clients that do not read.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    sockopt::set_tcp_user_timeout(stream, UNREAD_TIMEOUT_MS)?;
    Ok(())
}

/// Counts open connections.
struct Gate {
    limits: Limits,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Gate {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: Mutex::default(),
        }
    }

    /// `None`: no room. The place is given up when dropped.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = open.get(&address).copied().unwrap_or(0);
        let in_all: usize = open.values().sum();
        if of_address >= self.limits.connections_per_address || in_all >= self.limits.connections {
            return None;
        }
        open.insert(address, of_address + 1);
        Some(Place {
            gate: Arc::clone(self),
            address,
        })
    }
}

struct Place {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .gate
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}
