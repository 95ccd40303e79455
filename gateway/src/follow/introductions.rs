//! How mirrors meet: a gateway names others, and its relay introduces, for which each has a place there. Addresses are told
//! over the relay, and the connection is direct.

use std::collections::HashSet;

use libp2p::{
    Multiaddr, PeerId,
    core::transport::ListenerId,
    identify,
    multiaddr::Protocol,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use meshlive_protocol::scheduler::Micros;

use super::{gateways::with_peer, peer::Peer};
use crate::swarm::mirrors;

/// A place at a gateway's relay that is lost is asked for again after so long, microseconds.
const PLACE_AGAIN: Micros = 2_000_000;
/// Introductions under way at a time.
const MAX_CIRCUITS: usize = 8;
/// Addresses of another mirror that are tried.
const MAX_ADDRESSES: usize = 8;

impl Peer {
    /// Asks relays for a place where there is none. The one that there was goes with the connection over which it was asked
    /// for, also where another to the same gateway stands.
    pub(super) fn take_places(&mut self, now: Micros) {
        for gateway in &mut self.gateways {
            let due = gateway.place_at.is_some_and(|at| at <= now);
            let Some(peer) = gateway.peer.filter(|_| due) else {
                continue;
            };
            let circuit = with_peer(&gateway.address, peer).with(Protocol::P2pCircuit);
            (gateway.place, gateway.place_at) = match self.swarm.listen_on(circuit) {
                Ok(place) => (Some(place), None),
                Err(error) => {
                    tracing::debug!(%error, "no place at the gateway's relay");
                    (None, Some(now + PLACE_AGAIN))
                }
            };
        }
    }

    pub(super) fn place_lost(&mut self, place: ListenerId, now: Micros) {
        let mut gateways = self.gateways.iter_mut();
        if let Some(gateway) = gateways.find(|one| one.place == Some(place)) {
            tracing::debug!(stream = %self.stream, gateway = %gateway.address, "the place at its relay is gone");
            (gateway.place, gateway.place_at) = (None, Some(now + PLACE_AGAIN));
        }
    }

    /// The engine wants a link to someone whom a gateway named.
    pub(super) fn introduce(&mut self, peer: PeerId) {
        let circuits: Vec<Multiaddr> = self
            .gateways()
            .into_iter()
            .map(|one| {
                one.address
                    .with(Protocol::P2pCircuit)
                    .with(Protocol::P2p(peer))
            })
            .collect();
        let known: HashSet<_> = self.circuits.values().collect();
        if circuits.is_empty() || known.len() >= MAX_CIRCUITS || known.contains(&peer) {
            return;
        }
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::NotDialing)
            .addresses(circuits)
            .build();
        // Refused at once only where it is needless.
        let _ = self.swarm.dial(options);
    }

    /// Another mirror says over the relay where it is. Browsers do not: they have no address.
    pub(super) fn introduced(&mut self, peer: PeerId, info: &identify::Info) {
        if !info.agent_version.starts_with(mirrors::ANY_AGENT) {
            return;
        }
        let is_direct = |address: &&Multiaddr| {
            !address
                .iter()
                .any(|part| matches!(part, Protocol::P2pCircuit))
        };
        let addresses = info.listen_addrs.iter().filter(is_direct);
        let addresses: Vec<Multiaddr> = addresses.take(MAX_ADDRESSES).cloned().collect();
        if addresses.is_empty() {
            return;
        }
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(addresses)
            .build();
        let _ = self.swarm.dial(options); // as above
    }
}
