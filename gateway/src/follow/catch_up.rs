//! What was missed and is past: the origin's list of closed hours, and each of them that is not here, the newest first,
//! at the operator's rate, and after what is live.

use std::{collections::HashSet, io, sync::Arc, time::Duration};

use libp2p::PeerId;
use meshlive_protocol::archive::HOUR;
use tokio::{sync::watch, time::sleep};

use super::{
    catalogue,
    gateways::{Gateway, with_peer},
    http,
};
use crate::{
    archive::{Archive, mirror::FETCHED},
    publish::Stream,
    swarm::{FetchError, Fetcher, Met, Pace, Place},
};

/// How often gateways are asked for what is new in the list.
const EVERY: Duration = Duration::from_secs(5);
/// Each so-manieth time they are asked from the beginning: a list that was lost begins anew, with a higher epoch.
const FROM_THE_BEGINNING: u64 = 12;
/// An hour is not fetched where less than this many bytes would stay free in the store.
const SPARE: u64 = 64 << 20;
/// Bytes of all proofs of a gateway, at most: two lines for each rendition, and one.
const MAX_PROOFS: usize = 64 << 10;

/// One stream's.
pub(super) struct CatchUp {
    stream: Arc<Stream>,
    archive: Arc<Archive>,
    fetcher: Fetcher,
    gateways: watch::Receiver<Vec<Gateway>>,
    mirrors: watch::Receiver<Option<Vec<Met>>>,
    pace: Pace,
    rounds: u64,
    /// It has been said that the store has no room.
    full: bool,
}

impl CatchUp {
    pub(super) fn new(
        stream: Arc<Stream>,
        archive: Arc<Archive>,
        fetcher: Fetcher,
        gateways: watch::Receiver<Vec<Gateway>>,
        mirrors: watch::Receiver<Option<Vec<Met>>>,
        pace: Pace,
    ) -> Self {
        Self {
            stream,
            archive,
            fetcher,
            gateways,
            mirrors,
            pace,
            rounds: 0,
            full: false,
        }
    }

    /// Until `stop`.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let stopped = async move {
            // An error means that the gateway is gone: the same.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        tokio::select! {
            () = stopped => {}
            () = self.rounds() => {}
        }
    }

    async fn rounds(&mut self) {
        loop {
            let gateways = self.gateways.borrow_and_update().clone();
            if !gateways.is_empty() {
                self.round(&gateways).await;
            }
            // A gateway that comes, or says where its HTTP is, is asked at once.
            tokio::select! {
                () = sleep(EVERY) => {}
                changed = self.gateways.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn round(&mut self, gateways: &[Gateway]) {
        let stream = self.archive.stream().clone();
        for http in gateways.iter().filter_map(|gateway| gateway.http) {
            if let Err(error) = self.learn(http).await {
                tracing::debug!(%stream, %http, %error, "a gateway's list of hours");
            }
            if (self.archive.wants_proofs() || self.rounds.is_multiple_of(FROM_THE_BEGINNING))
                && let Err(error) = self.learn_proofs(http).await
            {
                tracing::debug!(%stream, %http, %error, "a gateway's proofs of what is in no hour yet");
            }
        }
        self.rounds += 1;
        let lacking = self.archive.lacking();
        let root = self.archive.catalogue().root();
        let root = root.filter(|root| !self.archive.is_whole(&root.cid));
        if lacking.is_empty() && root.is_none() {
            return;
        }
        // Other mirrors first: the origin has its link for what is live.
        let mirrors = self.mirrors.borrow().clone().unwrap_or_default();
        let mirrors = mirrors.iter().filter_map(|(peer, addresses)| {
            let address = addresses.first()?;
            Some(with_peer(address, *peer))
        });
        let gateways = gateways.iter().map(|one| one.address.clone());
        let mut from = Vec::new();
        for address in mirrors.chain(gateways) {
            match self.fetcher.peers.connect(address).await {
                Ok(peer) if !from.contains(&peer) => from.push(peer),
                _ => {}
            }
        }
        if from.is_empty() {
            return;
        }
        let nothing = HashSet::new();
        for (hour, link) in lacking {
            if self.fetcher.store.room() < link.bytes.saturating_add(SPARE) {
                if !std::mem::replace(&mut self.full, true) {
                    tracing::warn!(%stream, hour, bytes = link.bytes, "the store has no room for the hours that are missing here: raise store.max_bytes, or make room on the disk");
                }
                break;
            }
            self.full = false;
            match self.fetch(&from, hour, link.cid, &nothing, true).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%stream, hour, cid = %link.cid, %error, "an hour cannot be had yet; it is tried again");
                    break;
                }
            }
        }
        // Days and root name the hours, which are fetched by themselves.
        let catalogue = self.archive.catalogue();
        let hours: HashSet<_> = catalogue
            .hours()
            .values()
            .map(|entry| entry.link.cid)
            .collect();
        let newest = catalogue.hours().keys().next_back().copied();
        if let (Some(root), Some(hour)) = (catalogue.root(), newest)
            && let Err(error) = self.fetch(&from, hour, root.cid, &hours, false).await
        {
            tracing::debug!(%stream, root = %root.cid, %error, "the newest directory cannot be had yet");
        }
    }

    /// Takes over what is new in a gateway's list.
    async fn learn(&self, http: std::net::SocketAddr) -> io::Result<()> {
        let known = self.archive.entry_count();
        let again = self.rounds.is_multiple_of(FROM_THE_BEGINNING) && known > 0;
        let mut from = if again { 0 } else { known };
        loop {
            let entries = catalogue::get(http, self.archive.stream(), from).await?;
            let (archive, count) = (self.archive.clone(), entries.len());
            let learned = tokio::task::spawn_blocking(move || archive.learn(&entries)).await;
            let new = learned.map_err(io::Error::other).flatten()?;
            if new > 0 {
                tracing::info!(stream = %self.archive.stream(), new, "new in the list of hours");
            }
            if count < catalogue::MOST {
                return Ok(());
            }
            from += count;
        }
    }

    /// Takes over a gateway's proofs of what is in no hour yet.
    async fn learn_proofs(&self, http: std::net::SocketAddr) -> io::Result<()> {
        let path = format!("/live/{}/earlier/proofs", self.archive.stream());
        let lines = http::get(http, &path, MAX_PROOFS).await?;
        let lines = String::from_utf8(lines.into()).map_err(io::Error::other)?;
        let archive = self.archive.clone();
        let learned = tokio::task::spawn_blocking(move || archive.learn_proofs(&lines)).await;
        learned.map_err(io::Error::other).flatten()
    }

    /// Has all that is below a root, but for what is `known`.
    async fn fetch(
        &self,
        from: &[PeerId],
        hour: u64,
        root: cid::Cid,
        known: &HashSet<cid::Cid>,
        is_hour: bool,
    ) -> Result<(), FetchError> {
        if self.archive.is_whole(&root) {
            return Ok(());
        }
        let stream = self.archive.stream().clone();
        let place = Place {
            stream: stream.clone(),
            rendition: FETCHED.into(),
            start: hour * HOUR,
        };
        // Held from now on, so that the store does not give up what came first before the last is here, nor what is here
        // because it was live. What lies in no pack that is held is kept once more: who follows since a moment ago does not
        // know the renditions yet.
        let store = self.fetcher.store.clone();
        let (held, at) = (stream.clone(), place.start);
        let snapshot = self.stream.snapshot();
        let pin = move || {
            let renditions = snapshot.manifest.renditions().iter();
            let renditions = renditions.map(|entry| entry.rendition.id.as_str());
            for pack in renditions.filter(|_| is_hour).chain([FETCHED]) {
                store.pin(crate::archive::OWNER, &held, pack, at)?;
            }
            let pinned = store.pinned(crate::archive::OWNER, &held).into_iter();
            let of_hour = pinned.filter(|(_, of)| is_hour && *of == hour);
            Ok(of_hour.map(|(rendition, _)| rendition).collect::<Vec<_>>())
        };
        let stays = kept(root, tokio::task::spawn_blocking(pin).await)?;
        let fetched = (self.fetcher)
            .dag(root, from, &place, &self.pace, known, &stays)
            .await?;
        let archive = self.archive.clone();
        let adopt = move || archive.adopt(hour, root, is_hour);
        kept(root, tokio::task::spawn_blocking(adopt).await)?;
        if is_hour {
            let crate::swarm::Fetched { blocks, new, bytes } = fetched;
            tracing::info!(%stream, hour, cid = %root, blocks, new, bytes, "an hour is here whole");
        }
        Ok(())
    }
}

fn kept<T>(
    root: cid::Cid,
    done: Result<io::Result<T>, tokio::task::JoinError>,
) -> Result<T, FetchError> {
    let done = done.map_err(io::Error::other).flatten();
    done.map_err(|error| FetchError::Store(root, error))
}
