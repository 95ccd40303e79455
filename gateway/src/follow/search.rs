//! Gateways that may have a stream of which nothing is heard: those that this one has met, on its link or through the DHT,
//! and those that have it as others said. An origin that returns elsewhere is found so, and one that nobody named.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId};
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::http;
use crate::{
    publish::Stream,
    swarm::{Met, Peers, is_dialled},
};

/// How often it is looked for while it is not live.
const EVERY: Duration = Duration::from_secs(2);
/// How often peers of the DHT are asked for the stream's name: who answers is met.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// Bytes of what a gateway says of its peer; and addresses that are taken of it.
const MAX_ANSWER: usize = 64 << 10;
const MAX_ADDRESSES: usize = 8;

/// What is read of `GET /api/v1/peer`.
#[derive(Deserialize)]
struct Described {
    peer: String,
    addresses: Vec<String>,
}

/// One stream's.
pub(super) struct Search {
    stream: Arc<Stream>,
    peers: Peers,
    found: watch::Sender<Vec<Met>>,
}

impl Search {
    pub(super) fn new(stream: Arc<Stream>, peers: Peers, found: watch::Sender<Vec<Met>>) -> Self {
        Self {
            stream,
            peers,
            found,
        }
    }

    /// Until `stop`.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            // An error means that the gateway is gone: the same.
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.rounds() => {}
        }
    }

    async fn rounds(self) {
        let mut asked: Option<Instant> = None;
        loop {
            sleep(EVERY).await;
            if self.stream.is_live() {
                continue;
            }
            if asked.is_none_or(|at| at.elapsed() > ASK_EVERY) {
                asked = Some(Instant::now());
                if self
                    .peers
                    .look_for(self.stream.name().clone())
                    .await
                    .is_err()
                {
                    return;
                }
            }
            let mut all = Vec::new();
            for url in self.stream.gateways() {
                let place = url.strip_prefix("http://").and_then(|at| at.parse().ok());
                if let Some(http) = place {
                    all.extend(peer_at(http).await);
                }
            }
            all.extend(self.peers.around());
            self.found.send_replace(all);
        }
    }
}

/// The peer of the gateway whose HTTP is there, and where it is dialled.
pub(crate) async fn peer_at(http: SocketAddr) -> Option<Met> {
    let body = http::get(http, "/api/v1/peer", MAX_ANSWER).await.ok()?;
    let described: Described = serde_json::from_slice(&body).ok()?;
    let peer: PeerId = described.peer.parse().ok()?;
    let addresses = described.addresses.iter();
    let addresses = addresses.filter_map(|one| one.parse::<Multiaddr>().ok());
    let addresses = addresses.filter(is_dialled).take(MAX_ADDRESSES);
    let addresses: Vec<_> = addresses.collect();
    (!addresses.is_empty()).then_some((peer, addresses))
}
