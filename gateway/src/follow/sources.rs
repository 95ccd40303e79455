//! Whom blocks are asked of over bitswap: gateways that this one connects to when something is missing. Pure.

use std::collections::HashMap;

use libp2p::{Multiaddr, PeerId};
use meshlive_protocol::scheduler::Micros;

use super::gateways::{Gateway, with_peer};
use crate::swarm::Met;

/// So long a connection is believed to stand, or not to be had, microseconds.
const BELIEVED: Micros = 5_000_000;
/// Gateways of which that is known.
const MAX_KNOWN: usize = 64;

/// What is known of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// It is being connected.
    Comes,
    /// It is connected; believed until then.
    Here(Micros),
    /// It cannot be reached; it is not tried again before.
    Away(Micros),
}

/// All that are known.
#[derive(Debug, Default)]
pub(super) struct Sources(HashMap<PeerId, Source>);

/// What is so of some gateways.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AtHand {
    /// Those that are connected, in order.
    pub(super) here: Vec<PeerId>,
    /// Whether others will be in a moment.
    pub(super) others_come: bool,
    /// To be connected now.
    pub(super) connect: Vec<(PeerId, Multiaddr)>,
}

impl Sources {
    /// What is so of these.
    pub(super) fn of(&mut self, all: &[Met], now: Micros) -> AtHand {
        let mut found = AtHand::default();
        for (peer, addresses) in all {
            match self.0.get(peer).copied() {
                Some(Source::Here(until)) if now < until => found.here.push(*peer),
                Some(Source::Away(until)) if now < until => {}
                Some(Source::Comes) => found.others_come = true,
                _ => {
                    let Some(address) = addresses.first() else {
                        continue;
                    };
                    if self.0.len() >= MAX_KNOWN {
                        self.doubt();
                    }
                    if self.0.len() < MAX_KNOWN {
                        self.0.insert(*peer, Source::Comes);
                        found.others_come = true;
                        found.connect.push((*peer, with_peer(address, *peer)));
                    }
                }
            }
        }
        found
    }

    /// Nothing of that is believed any more.
    pub(super) fn doubt(&mut self) {
        self.0.retain(|_, source| *source == Source::Comes);
    }

    /// One is connected, or cannot be reached.
    pub(super) fn connected(&mut self, peer: PeerId, is_here: bool, now: Micros) {
        let until = now + BELIEVED;
        let source = match is_here {
            true => Source::Here(until),
            false => Source::Away(until),
        };
        self.0.insert(peer, source);
    }
}

/// Where gateways that are linked are reached.
pub(super) fn met(gateways: Vec<Gateway>) -> Vec<Met> {
    let gateways = gateways.into_iter();
    gateways.map(|one| (one.peer, vec![one.address])).collect()
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    fn gateway() -> Met {
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        (peer, vec!["/ip4/10.0.0.1/tcp/4101".parse().unwrap()])
    }

    #[test]
    fn each_is_connected_once_and_believed_for_a_while() {
        let (mut sources, all) = (Sources::default(), [gateway(), gateway()]);
        let [one, other] = [all[0].0, all[1].0];
        let first = sources.of(&all, 0);
        assert_eq!((first.here.len(), first.connect.len()), (0, 2));
        assert!(first.others_come && first.connect[0].1.to_string().contains("/p2p/"));
        assert_eq!(sources.of(&all, 1).connect, [], "they come");
        sources.connected(one, true, 10);
        sources.connected(other, false, 10);
        let known = sources.of(&all, 11);
        assert_eq!((known.here, known.others_come), (vec![one], false));
        // Neither is believed for ever.
        assert_eq!(sources.of(&all, 10 + BELIEVED).connect.len(), 2);
        sources.connected(one, true, 11);
        sources.connected(other, true, 11);
        sources.doubt();
        assert_eq!(sources.of(&all, 12).connect.len(), 2, "they may be gone");
    }

    #[test]
    fn no_more_are_known_than_the_limit() {
        let mut sources = Sources::default();
        let many: Vec<Met> = (0..MAX_KNOWN + 5).map(|_| gateway()).collect();
        assert_eq!(sources.of(&many, 0).connect.len(), MAX_KNOWN);
        for (peer, _) in &many[..MAX_KNOWN] {
            sources.connected(*peer, false, 0);
        }
        assert_eq!(sources.of(&many[MAX_KNOWN..], 1).connect.len(), 5);
        assert_eq!(sources.0.len(), 5, "those that came are forgotten first");
    }
}
