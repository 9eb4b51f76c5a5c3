//! A network that misbehaves on request, between a tablet and its server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;

/// What becomes of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Every piece arrives this much later.
    Slow(Duration),
    /// Connections are closed, open ones too.
    Cut,
    /// Connections are accepted and nothing ever arrives.
    BlackHole,
}

/// Passes connections on to `upstream`. Ends when dropped.
#[derive(Debug)]
pub struct ChaosProxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    passed_bytes: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl ChaosProxy {
    pub fn before(upstream: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (weather, seen) = watch::channel(Weather::Fair);
        let passed_bytes = Arc::new(AtomicU64::new(0));
        runtime.spawn(accept(listener, upstream, seen, Arc::clone(&passed_bytes)));
        Ok(Self {
            address,
            weather,
            passed_bytes,
            _runtime: runtime,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How much went through so far, both ways together, as the connections carry it.
    pub fn passed_bytes(&self) -> u64 {
        self.passed_bytes.load(Ordering::Relaxed)
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    weather: watch::Receiver<Weather>,
    count: Arc<AtomicU64>,
) {
    while let Ok((tablet, _)) = listener.accept().await {
        let weather = weather.clone();
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            if *weather.borrow() == Weather::Cut {
                return;
            }
            let Ok(server) = TcpStream::connect(upstream).await else {
                return;
            };
            let (from_tablet, to_tablet) = tablet.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = pass(from_tablet, to_server, weather.clone(), &count) => {}
                () = pass(from_server, to_tablet, weather.clone(), &count) => {}
                () = until_cut(weather) => {}
            }
        });
    }
}

async fn pass(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    count: &AtomicU64,
) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let now = *weather.borrow_and_update();
        match now {
            Weather::Fair | Weather::Cut => {}
            Weather::Slow(by) => tokio::time::sleep(by).await,
            Weather::BlackHole => {
                // What fell into the hole is gone, so the connection is of no more use: it only stays open.
                if weather.wait_for(|w| *w == Weather::Cut).await.is_err() {
                    return;
                }
            }
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
}

async fn until_cut(mut weather: watch::Receiver<Weather>) {
    let _ = weather.wait_for(|w| *w == Weather::Cut).await;
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener as StdListener;

    #[test]
    fn a_cut_network_ends_connections_and_a_fair_one_passes_them() {
        let upstream = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = ChaosProxy::before(upstream.local_addr().unwrap()).unwrap();
        let mut tablet = std::net::TcpStream::connect(proxy.address()).unwrap();
        tablet.write_all(b"hello").unwrap();
        let (mut server, _) = upstream.accept().unwrap();
        let mut said = [0; 5];
        server.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"hello");
        proxy.set(Weather::Cut);
        assert_eq!(tablet.read(&mut said).unwrap_or(0), 0);
    }
}
