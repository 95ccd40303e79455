//! The listener: accepts publishers up to a limit, and ends them all when the gateway stops.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{
    Publishers, Settings, connection,
    live::{Live, MAX_FAREWELL},
};
use crate::keys::Keys;

/// After an error of the listener (no file descriptors left) it is asked again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running RTMP server. Dropping it closes the port and all connections at once.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) keys: Arc<Keys>,
    pub(super) publishers: Arc<dyn Publishers>,
    pub(super) live: Live,
    pub(super) dropped_frames: AtomicU64,
    room: Arc<Semaphore>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Listens on `address` (port 0: any free one).
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(
        address: SocketAddr,
        settings: Settings,
        keys: Arc<Keys>,
        publishers: Arc<dyn Publishers>,
    ) -> io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            live: Live::new(settings.takeover_after),
            room: Arc::new(Semaphore::new(settings.max_connections)),
            dropped_frames: AtomicU64::new(0),
            settings,
            keys,
            publishers,
        });
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(accept(listener, shared.clone(), stopping));
        Ok(Server {
            address,
            shared,
            stop,
            task: Some(task),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections at this moment, publishing or not.
    pub fn connections(&self) -> usize {
        self.shared.settings.max_connections - self.shared.room.available_permits()
    }

    /// Frames that were dropped because a pipeline was too slow, since the start.
    pub fn dropped_frames(&self) -> u64 {
        self.shared.dropped_frames.load(Ordering::Relaxed)
    }

    /// Closes the port, and every connection with [`super::SourceEvent::Gone`]; returns when all is done.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            let _ = task.await; // a panic in there has been reported
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopping.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => match shared.room.clone().try_acquire_owned() {
                    Ok(room) => {
                        let run = connection::run(socket, peer, shared.clone(), stopping.clone());
                        connections.spawn(async move {
                            run.await;
                            drop(room);
                        });
                    }
                    Err(_) => {
                        let limit = shared.settings.max_connections;
                        tracing::warn!(%peer, limit, "RTMP connection refused: rtmp.max_connections are in use");
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "an RTMP connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let farewell = async { while connections.join_next().await.is_some() {} };
    if timeout(MAX_FAREWELL, farewell).await.is_err() {
        tracing::warn!("RTMP publishers were cut off: their pipelines took nothing any more");
    }
}
