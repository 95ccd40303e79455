//! The gateways of one stream: those that the operator named, and those that were found.

use std::net::{IpAddr, SocketAddr};

use libp2p::{
    Multiaddr, PeerId,
    core::transport::ListenerId,
    multiaddr::Protocol,
    swarm::{ConnectionId, DialError},
};
use meshlive_protocol::{name::StreamName, scheduler::Micros};

use crate::swarm::Met;

/// A gateway that was not reached is dialled again after this, microseconds, and when it is away for longer than `SOON`,
/// later and later, up to the longest.
pub(super) const REDIAL: (Micros, Micros) = (250_000, 5_000_000);
const SOON: Micros = 60_000_000;

/// A gateway that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gateway {
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    /// Where its HTTP is, as it says.
    pub(super) http: Option<SocketAddr>,
    /// The same as a URL, as viewers find it.
    pub(super) door: Option<String>,
}

/// A gateway that the operator named, or that was found.
pub(super) struct Named {
    /// Of one that was found: where it may be, and who it is.
    pub(super) found: Option<Met>,
    pub(super) address: Multiaddr,
    /// When it was connected last.
    pub(super) since: Micros,
    /// The dial that is under way.
    pub(super) dialling: Option<ConnectionId>,
    /// Who was found there, while it is connected, and the connection that was dialled.
    pub(super) peer: Option<PeerId>,
    pub(super) connection: Option<ConnectionId>,
    /// The place at its relay, by which other mirrors reach this one, and when it is asked for again.
    pub(super) place: Option<ListenerId>,
    pub(super) place_at: Option<Micros>,
    pub(super) http: Option<SocketAddr>,
    pub(super) door: Option<String>,
    pub(super) next: Micros,
    pub(super) pause: Micros,
    /// Since when it is away; `None` while it is connected, and before the first try.
    pub(super) away: Option<Micros>,
    /// It has been said that nobody answers.
    pub(super) said: bool,
}

impl Named {
    pub(super) fn new(address: Multiaddr, found: Option<Met>) -> Self {
        Self {
            found,
            address,
            since: 0,
            dialling: None,
            peer: None,
            connection: None,
            place: None,
            place_at: None,
            http: None,
            door: None,
            next: 0,
            pause: REDIAL.0,
            away: None,
            said: false,
        }
    }

    pub(super) fn failed(&mut self, stream: &StreamName, error: &DialError, now: Micros) {
        self.dialling = None;
        self.next = now + self.pause;
        if now > *self.away.get_or_insert(now) + SOON {
            self.pause = (self.pause * 2).min(REDIAL.1);
        }
        if !std::mem::replace(&mut self.said, true) {
            tracing::warn!(%stream, gateway = %self.address, %error, "the gateway is not reached; what is here is served, and it is dialled again and again");
        }
    }
}

/// A gateway that was named and found as well, or found twice, would be believed to be there as long as any of its connections
/// stands. Forgets those that were found but one, which only stays where none was named; gives their connections.
pub(super) fn leave_doubles(gateways: &mut Vec<Named>, peer: PeerId) -> Vec<ConnectionId> {
    let is_there = |one: &Named| one.peer == Some(peer);
    let mut named = gateways.iter().filter(|one| is_there(one));
    let mut keep = named.all(|one| one.found.is_some());
    let doubles = gateways.extract_if(.., |one| {
        is_there(one) && one.found.is_some() && !std::mem::take(&mut keep)
    });
    doubles.filter_map(|one| one.connection).collect()
}

pub(super) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => Some(ip.into()),
        Some(Protocol::Ip6(ip)) => Some(ip.into()),
        _ => None,
    }
}

pub(super) fn with_peer(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    match address.iter().last() {
        Some(Protocol::P2p(_)) => address.clone(),
        _ => address.clone().with(Protocol::P2p(peer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_linked_once_by_the_address_that_was_named() {
        let (peer, other) = (PeerId::random(), PeerId::random());
        let address: Multiaddr = "/ip4/10.0.0.1/tcp/4101".parse().unwrap();
        let linked = |number, peer, is_found: bool| {
            let found = is_found.then(|| (peer, vec![address.clone()]));
            Named {
                peer: Some(peer),
                connection: Some(ConnectionId::new_unchecked(number)),
                ..Named::new(address.clone(), found)
            }
        };
        let mut all = vec![
            linked(1, peer, true),
            linked(2, peer, false),
            linked(3, other, true),
            linked(4, other, true),
        ];
        let left = |all: &mut Vec<Named>, peer| {
            let left = leave_doubles(all, peer);
            left.into_iter()
                .map(|one| one.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(left(&mut all, peer), ["1"]);
        assert_eq!(left(&mut all, other), ["4"], "one of them stays");
        assert_eq!(all.len(), 2);
        assert!(left(&mut all, peer).is_empty() && left(&mut all, other).is_empty());
    }
}
