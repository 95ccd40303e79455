//! The gateways of one stream: those that the operator named, and those that were found.

use std::net::{IpAddr, SocketAddr};

use libp2p::{
    Multiaddr, PeerId,
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
    /// Who was found there, while it is connected.
    pub(super) peer: Option<PeerId>,
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
