//! Connections and their limits: how many, how long a request may take to come, and how long an answer to be taken.

use std::{future::Future, net::SocketAddr, time::Duration};

use axum::{Router, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::Service;

use super::{State, files::FILES, router, taken::Taken, wait};

/// The longest request line and headers together, and what a connection holds in buffers: 431 beyond.
const HEAD_BYTES: usize = 16 * 1024;
/// Open files that are left to everything that is not a connection.
const OTHER_FILES: u64 = 256 + FILES as u64;
/// Answers under way may finish in this time when the gateway ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// After an accept that failed (no more open files), before the next.
const BREATH: Duration = Duration::from_millis(50);
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 46\r\n\r\nthis gateway has all the connections it takes\n";

/// Who asks, as far as the connection tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves the [`router`] until `shutdown`, then lets answers under way finish for a moment.
pub async fn serve(listener: TcpListener, state: State, shutdown: impl Future<Output = ()>) {
    let settings = &state.settings;
    let limit = settings.connections.min(files_for_connections());
    if limit < settings.connections {
        tracing::warn!(
            "http.connections = {}, but the system allows {limit}; raise the limit of open files (ulimit -Hn)",
            settings.connections
        );
    }
    let room = std::sync::Arc::new(Semaphore::new(limit));
    let doors = router(state.clone());
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut shutdown => break,
        };
        let (socket, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(BREATH).await;
                continue;
            }
        };
        let Ok(place) = room.clone().try_acquire_owned() else {
            // There is room for this much in every socket's buffer; who does not read it has lost nothing.
            let _ = socket.try_write(FULL);
            continue;
        };
        let closing = state.closing.subscribe();
        let connection = connection(socket, Peer(address), doors.clone(), state.clone(), closing);
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    state.closing.send_replace(true);
    let _ = timeout(LAST_ANSWERS, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn connection(
    socket: TcpStream,
    peer: Peer,
    doors: Router,
    state: State,
    mut closing: watch::Receiver<bool>,
) {
    // A part must not wait for the acknowledgement of the headers before it.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        doors.clone().call(request)
    });
    let files = state.blocks.files().clone();
    let io = TokioIo::new(Taken::new(socket, state.settings.write_timeout, files));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(state.settings.read_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = wait::closes(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients leave at any moment; that is nobody's fault.
        tracing::debug!(peer = %peer.0, %error, "connection ended");
    }
}

/// How many connections the system has files for, after raising the soft limit to the hard one.
fn files_for_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let current = current.unwrap_or(u64::MAX);
    usize::try_from(current.saturating_sub(OTHER_FILES).max(16)).unwrap_or(usize::MAX)
}
