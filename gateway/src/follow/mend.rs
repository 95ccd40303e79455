//! What is damaged here is taken from other gateways that have the stream: a mirror heals its origin, and the other way.

use std::{collections::BTreeSet, io, sync::Arc};

use libp2p::{PeerId, multiaddr::Protocol};
use meshlive_protocol::archive::{HOUR, day_name, hour_name};
use tokio::sync::{mpsc, watch};

use super::search::peer_at;
use crate::{
    archive::{Damage, MENDED},
    publish::Streams,
    swarm::{Fetcher, Pace, Place},
};

/// Gateways that are asked for a stream's blocks.
const MAX_SOURCES: usize = 8;

/// Mends what is named, until `stop`.
pub(super) async fn run(
    streams: Arc<Streams>,
    fetcher: Fetcher,
    mut damage: mpsc::Receiver<Damage>,
    mut stop: watch::Receiver<bool>,
) {
    let mending = async {
        while let Some(damage) = damage.recv().await {
            mend(&streams, &fetcher, damage).await;
        }
    };
    tokio::select! {
        // An error means that the gateway is gone: the same.
        _ = stop.wait_for(|stop| *stop) => {}
        () = mending => {}
    }
}

async fn mend(streams: &Streams, fetcher: &Fetcher, damage: Damage) {
    let name = damage.archive.stream().clone();
    let urls = streams.find(&name.to_string()).map(|one| one.gateways());
    let from = sources(fetcher, urls.unwrap_or_default()).await;
    let found = damage.blocks.len();
    if from.is_empty() {
        tracing::warn!(stream = %name, damaged = found, "no other gateway is known that could have what is damaged here: `archive import` of a copy makes it whole");
        return;
    }
    let catalogue = damage.archive.catalogue();
    let hours = catalogue.hours();
    let hour_of = |path: &str| {
        let is_of =
            |hour: u64| path.starts_with(&format!("{}/{}", day_name(hour / 24), hour_name(hour)));
        hours.keys().copied().find(|hour| is_of(*hour))
    };
    let Some(newest) = hours.keys().next_back().copied() else {
        return;
    };
    let place = |hour: u64| Place {
        stream: name.clone(),
        rendition: MENDED.into(),
        start: hour * HOUR,
    };
    let (mut mended, mut whole) = (0, BTreeSet::new());
    for (cid, path) in &damage.blocks {
        let hour = hour_of(path);
        match fetcher
            .again(*cid, &from, &place(hour.unwrap_or(newest)))
            .await
        {
            Ok(_) => mended += 1,
            Err(error) => {
                tracing::warn!(stream = %name, path, %error, "what is damaged here cannot be had elsewhere yet");
            }
        }
        whole.extend(hour);
    }
    // What is below a damaged directory has not been looked at.
    for hour in whole {
        let root = hours[&hour].link.cid;
        let (pace, known) = (Pace::default(), Default::default());
        let fetched = fetcher
            .dag(root, &from, &place(hour), &pace, &known, &[])
            .await;
        let (archive, is_whole) = (damage.archive.clone(), fetched.is_ok());
        let kept = tokio::task::spawn_blocking(move || archive.keep_mended(hour)).await;
        match kept.map_err(io::Error::other).flatten() {
            Ok(()) if is_whole => {
                tracing::info!(stream = %name, hour, cid = %root, "an hour that was damaged is whole again");
            }
            Ok(()) => {}
            Err(error) => {
                tracing::error!(stream = %name, hour, %error, "what was mended is not kept")
            }
        }
    }
    tracing::info!(stream = %name, damaged = found, mended, "damaged blocks were taken from other gateways");
}

/// Gateways that may have it, connected.
async fn sources(fetcher: &Fetcher, urls: Vec<String>) -> Vec<PeerId> {
    let mut met = Vec::new();
    for url in urls {
        let place = url.strip_prefix("http://").and_then(|at| at.parse().ok());
        if let Some(http) = place {
            met.extend(peer_at(http).await);
        }
    }
    met.extend(fetcher.peers.around());
    let mut from = Vec::new();
    for (peer, addresses) in met {
        for address in addresses {
            if from.contains(&peer) || from.len() >= MAX_SOURCES {
                break;
            }
            let address = match address.iter().last() {
                Some(Protocol::P2p(_)) => address,
                _ => address.with(Protocol::P2p(peer)),
            };
            from.extend(fetcher.peers.connect(address).await.ok());
        }
    }
    from
}
