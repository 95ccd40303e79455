//! Has a DAG that somebody asks for: from its origins and whoever else is connected, in rounds, until it is here whole or nothing new
//! has come for too long.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::join_all;
use libp2p::PeerId;
use tokio::{
    sync::RwLock,
    time::{Instant, sleep, timeout},
};

use super::{list::Request, service::Service};
use crate::swarm::{Bound, FetchError, Place, Unreached};

/// An origin that does not answer in this time is not waited for.
const DIAL: Duration = Duration::from_secs(10);
/// Pauses between two rounds over who may have a block, first and longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A request is not fetched where less than this many bytes would stay free in the store.
const SPARE: u64 = 64 << 20;

impl Service {
    /// Has the whole DAG, or says why not.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        request: &Request,
        bytes: &Arc<AtomicU64>,
        writing: &Arc<RwLock<()>>,
    ) -> Result<(usize, u64), String> {
        let root = request.pin.root().map_err(|failure| failure.details)?;
        let place = Place {
            stream: self.name.clone(),
            rendition: root.to_string(),
            start: 0,
        };
        let (this, held) = (self.clone(), request.clone());
        let held = tokio::task::spawn_blocking(move || this.hold(&held)).await;
        held.map_err(io::Error::other)
            .flatten()
            .map_err(|error| error.to_string())?;
        let (mut pause, mut round, mut news) = (FIRST_PAUSE, 0, Instant::now());
        let mut before = 0;
        loop {
            let from = self.sources(request, round).await;
            let room = self.store.room().saturating_sub(SPARE);
            let most = self
                .settings
                .max_bytes
                .min(room.saturating_add(bytes.load(Relaxed)));
            bytes.store(0, Relaxed);
            let bound = Bound {
                most,
                told: bytes.clone(),
                writing: writing.clone(),
            };
            let error = match self.fetcher.own(root, &from, &place, &bound).await {
                Ok(fetched) => {
                    let store = self.store.clone();
                    let _ = tokio::task::spawn_blocking(move || store.flush()).await; // ended with the gateway
                    return Ok((fetched.blocks, bytes.load(Relaxed)));
                }
                Err(FetchError::Unreached(Unreached::Ending)) => std::future::pending().await,
                // Who has it may come, or be asked in the next round.
                Err(error @ FetchError::Unreached(Unreached::Block(_))) => error,
                Err(error) => return Err(error.to_string()),
            };
            let reached = bytes.load(Relaxed);
            if reached > before {
                (before, news, pause) = (reached, Instant::now(), FIRST_PAUSE);
            }
            if news.elapsed() + pause > self.settings.give_up {
                let asked = match (from.len(), request.pin.origins.len()) {
                    (0, 0) => "nobody is connected, and the request names no origins".to_owned(),
                    (0, _) => "none of its origins can be reached".to_owned(),
                    (peers, _) => format!("{peers} peers were asked"),
                };
                return Err(format!("{error}: {asked}"));
            }
            sleep(pause).await;
            (pause, round) = ((pause * 2).min(LONGEST_PAUSE), round + 1);
        }
    }

    /// Who may have it: its origins, and others that are connected, another few in each round.
    async fn sources(&self, request: &Request, round: usize) -> Vec<PeerId> {
        let dials = request.pin.sources().into_iter();
        let dials = dials.map(|origin| timeout(DIAL, self.fetcher.peers.connect(origin)));
        let mut from: Vec<_> = join_all(dials)
            .await
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        let mut others = self.fetcher.peers.connected().await.unwrap_or_default();
        others.sort_unstable();
        if !others.is_empty() {
            let at = (round * 8) % others.len();
            others.rotate_left(at);
        }
        from.extend(others);
        let mut seen = BTreeSet::new();
        from.retain(|peer| seen.insert(*peer));
        from
    }
}
