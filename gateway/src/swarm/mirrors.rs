//! Mirrors that follow streams here, and where their HTTP is.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    PeerId, identify,
    swarm::{ConnectionId, SwarmEvent},
};
use meshlive_protocol::{behaviour::Behaviour as Engine, name::StreamName};

use super::{addresses, behaviour::RoomEvent, doors};
use crate::publish::{MAX_ELSEWHERE, Streams};

/// What mirrors' peers call themselves by identify.
pub(crate) const AGENT: &str = concat!("meshlive-mirror/", env!("CARGO_PKG_VERSION"));
/// What every version of them does.
pub(crate) const ANY_AGENT: &str = "meshlive-mirror/";
/// Mirrors that are known at a time; and looked up.
const MAX_MIRRORS: usize = 64;
const MAX_LOOKUPS: usize = 16;

/// All that are connected.
#[derive(Default)]
pub(super) struct Mirrors {
    /// Where direct connections come from.
    from: HashMap<ConnectionId, IpAddr>,
    known: HashMap<PeerId, Option<String>>,
    lookups: FuturesUnordered<BoxFuture<'static, (PeerId, Option<String>)>>,
    /// Streams that have mirrors.
    told: HashSet<StreamName>,
}

impl Mirrors {
    /// Keeps account of who is there.
    pub(super) fn happened(&mut self, event: &SwarmEvent<RoomEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                connection_id,
                endpoint,
                ..
            } if !endpoint.is_relayed() => {
                if let Some(ip) = addresses::ip(endpoint.get_remote_address()) {
                    self.from.insert(*connection_id, ip.to_canonical());
                }
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                ..
            } => {
                self.from.remove(connection_id);
                if *num_established == 0 {
                    self.known.remove(peer_id);
                }
            }
            SwarmEvent::Behaviour(RoomEvent::Identify(identify::Event::Received {
                connection_id,
                peer_id,
                info,
            })) if info.agent_version.starts_with(ANY_AGENT) => {
                let full = self.known.len() >= MAX_MIRRORS || self.lookups.len() >= MAX_LOOKUPS;
                let new = !self.known.contains_key(peer_id);
                if let Some(from) = self.from.get(connection_id)
                    && !(full && new)
                {
                    self.known.entry(*peer_id).or_default();
                    let (peer, from) = (*peer_id, *from);
                    let looking = doors::checked(info.listen_addrs.clone(), from);
                    self.lookups
                        .push(looking.map(move |url| (peer, url)).boxed());
                }
            }
            _ => {}
        }
    }

    /// Waits for what is being looked up.
    pub(super) async fn found(&mut self) {
        match self.lookups.next().await {
            Some((peer, url)) => {
                if let Some(known) = self.known.get_mut(&peer) {
                    *known = url;
                }
            }
            None => std::future::pending().await,
        }
    }

    /// Where a direct connection comes from.
    pub(super) fn from(&self, connection: ConnectionId) -> Option<IpAddr> {
        self.from.get(&connection).copied()
    }

    /// Tells each stream which mirrors it has here.
    pub(super) fn tell(&mut self, streams: &Arc<Streams>, engine: &Engine) {
        let mut now: HashMap<StreamName, Vec<String>> = HashMap::new();
        for (peer, url) in &self.known {
            let Some(url) = url else { continue };
            for stream in engine.linked_streams(*peer) {
                let urls = now.entry(stream).or_default();
                if !urls.contains(url) {
                    urls.push(url.clone());
                }
            }
        }
        let changed: HashSet<_> = now.keys().chain(&self.told).cloned().collect();
        for name in changed {
            let mut urls = now.remove(&name).unwrap_or_default();
            // Always in the same order, so that only what is new is told as new.
            urls.sort();
            urls.truncate(MAX_ELSEWHERE);
            match urls.is_empty() {
                true => self.told.remove(&name),
                false => self.told.insert(name.clone()),
            };
            if let Some(stream) = streams.find(&name.to_string()) {
                stream.is_mirrored_at(urls);
            }
        }
    }
}
