//! The server as publishers see it: over real sockets, by real ffmpeg and by bytes of our own.

mod client;
mod conversations;
mod hostile;
mod publishers;
mod sources;
mod tags;
mod with_ffmpeg;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};

use super::{Publishers, Server, Settings};
use crate::{ingest::media::SourceEvent, keys::Keys};

/// Nothing in these tests takes longer on a busy machine, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port with a key folder of its own.
struct Gateway {
    server: Server,
    keys: Arc<Keys>,
    streams: Arc<Streams>,
    _folder: TempDir,
}

/// One channel an alias, as the gateway has one pipeline an alias.
#[derive(Default)]
struct Streams {
    channels: Mutex<HashMap<String, mpsc::Sender<SourceEvent>>>,
}

impl Publishers for Streams {
    fn publish(&self, alias: &str, _: SocketAddr) -> Result<mpsc::Sender<SourceEvent>, String> {
        let channels = self.channels.lock().unwrap();
        channels
            .get(alias)
            .cloned()
            .ok_or_else(|| "no room for another stream".into())
    }
}

impl Gateway {
    async fn start() -> Gateway {
        Gateway::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keys::open(folder.path()).unwrap());
        let streams = Arc::new(Streams::default());
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(address, settings, keys.clone(), streams.clone())
            .await
            .unwrap();
        Gateway {
            server,
            keys,
            streams,
            _folder: folder,
        }
    }

    /// Makes a stream: its publish secret, and what its pipeline would get.
    fn stream(&self, alias: &str, capacity: usize) -> (String, mpsc::Receiver<SourceEvent>) {
        let (out, events) = mpsc::channel(capacity);
        self.streams
            .channels
            .lock()
            .unwrap()
            .insert(alias.into(), out);
        (self.keys.ensure(alias).unwrap().publish_secret, events)
    }

    fn url(&self, secret: &str) -> String {
        format!("rtmp://{}/live/{secret}", self.server.address())
    }

    /// Waits until no connection is left.
    async fn idle(&self) {
        let none = async {
            while self.server.connections() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, none)
            .await
            .expect("every connection ends");
    }

    /// Waits until `count` frames were dropped: not one more.
    async fn dropped(&self, count: u64) {
        let counted = async {
            while self.server.dropped_frames() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let counted = timeout(PATIENCE, counted).await;
        assert_eq!(self.server.dropped_frames(), count, "{counted:?}");
    }
}

async fn next(events: &mut mpsc::Receiver<SourceEvent>) -> SourceEvent {
    timeout(PATIENCE, events.recv())
        .await
        .expect("an event in time")
        .expect("the channel is open")
}

/// Everything up to and with the event for which `last` holds.
async fn until(
    events: &mut mpsc::Receiver<SourceEvent>,
    last: impl Fn(&SourceEvent) -> bool,
) -> Vec<SourceEvent> {
    let mut seen = Vec::new();
    loop {
        seen.push(next(events).await);
        if seen.last().is_some_and(&last) {
            return seen;
        }
    }
}

fn gone(event: &SourceEvent) -> bool {
    matches!(event, SourceEvent::Gone { .. })
}
