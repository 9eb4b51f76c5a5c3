//! Accepting the browser's connections: few, short, and each from staff. Where there are too many, the oldest of those that
//! have not shown the cookie gives way, so that a program which says nothing keeps nobody from the page.

use super::Desk;
use super::answer::{self, Answer, Refusal};
use super::form::Form;
use super::gate::Gate;
use super::router::{self, Ask, Requires};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::RANGE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A browser opens six to one place.
pub(super) const MAX_CONNECTIONS: usize = 16;
const MAX_HEADERS: usize = 48;
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_BODY_BYTES: usize = 64 * 1024;
/// For a whole head or body to arrive; between requests too.
const PATIENCE: Duration = Duration::from_secs(20);
/// However busy, a connection ends; the browser opens another. Long enough to watch a video on it.
const LONGEST: Duration = Duration::from_mins(15);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One connection, in the order in which they came.
struct Place {
    task: AbortHandle,
    /// It showed the cookie.
    known: Arc<AtomicBool>,
}

/// Serves until dropped.
pub(super) async fn run(listener: TcpListener, gate: Gate, desk: Arc<Desk>) {
    let mut places: VecDeque<Place> = VecDeque::new();
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the page did not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        places.retain(|place| !place.task.is_finished());
        if places.len() >= MAX_CONNECTIONS {
            let stranger = places
                .iter()
                .position(|place| !place.known.load(Ordering::Relaxed));
            if let Some(place) = places.remove(stranger.unwrap_or(0)) {
                place.task.abort();
            }
        }
        let known = Arc::new(AtomicBool::new(false));
        let visit = Visit {
            gate: gate.clone(),
            desk: Arc::clone(&desk),
            known: Arc::clone(&known),
        };
        let task = connections.spawn(async move {
            if let SocketAddr::V4(peer) = peer
                && visit.gate.admits_peer(peer)
            {
                serve(stream, visit).await;
            }
        });
        places.push_back(Place { task, known });
    }
}

/// What a connection's requests are answered with.
#[derive(Clone)]
struct Visit {
    gate: Gate,
    desk: Arc<Desk>,
    known: Arc<AtomicBool>,
}

async fn serve(stream: TcpStream, visit: Visit) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let visit = visit.clone();
        async move { Ok::<_, Infallible>(respond(request, visit).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(LONGEST, served).await {
        tracing::debug!(%error, "a connection to the page ended early");
    }
}

async fn respond(request: Request<Incoming>, visit: Visit) -> Answer {
    let Visit { gate, desk, known } = visit;
    if let Err(refusal) = gate.check_source(&request) {
        return answer::refusal(refusal);
    }
    let query = Form::read(request.uri().query().unwrap_or_default().as_bytes());
    let route = match router::find(request.method(), request.uri().path()) {
        Ok(route) if route.requires == Requires::Token => return gate.open(query.get("token")),
        other => other,
    };
    // Who has no cookie does not learn which pages there are.
    if let Err(refusal) = gate.check_cookie(request.headers()) {
        return answer::refusal(refusal);
    }
    known.store(true, Ordering::Relaxed);
    let route = match route {
        Ok(route) => route,
        Err(refusal) => return answer::refusal(refusal),
    };
    let range = request.headers().get(RANGE);
    let range = range
        .and_then(|range| range.to_str().ok())
        .map(str::to_owned);
    let form = if *request.method() == Method::POST {
        let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
        match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(body)) => Form::read(&body.to_bytes()),
            Ok(Err(_)) | Err(_) => return answer::refusal(Refusal::Body),
        }
    } else {
        Form::default()
    };
    if desk.notices.is_lost() && !router::is_open_while_lost(route.path) {
        return answer::see("/");
    }
    let ask = Ask { query, form, range };
    let answered = (route.answer)(desk, ask).await;
    answered.unwrap_or_else(|trouble| answer::trouble(&trouble))
}
