//! Whom blocks are asked of over bitswap: gateways that this one connects to when something is missing. Pure.

use std::collections::HashMap;

use libp2p::{Multiaddr, PeerId};
use meshlive_protocol::scheduler::Micros;

use super::gateways::{Gateway, with_peer};
use crate::swarm::Met;

/// Within this after the first gateway was linked other mirrors are met, microseconds.
pub(super) const MEETS: Micros = 2_000_000;
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
pub(super) struct Sources {
    known: HashMap<PeerId, Source>,
    /// Since when a gateway is linked, whether or not anything was missing.
    since: Option<Micros>,
}

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
            match self.known.get(peer).copied() {
                Some(Source::Here(until)) if now < until => found.here.push(*peer),
                Some(Source::Away(until)) if now < until => {}
                Some(Source::Comes) => found.others_come = true,
                _ => {
                    let Some(address) = addresses.first() else {
                        continue;
                    };
                    if self.known.len() >= MAX_KNOWN {
                        self.doubt();
                    }
                    if self.known.len() < MAX_KNOWN {
                        self.known.insert(*peer, Source::Comes);
                        found.others_come = true;
                        found.connect.push((*peer, with_peer(address, *peer)));
                    }
                }
            }
        }
        found
    }

    /// Whether any gateway is linked: to be said whenever that may have changed.
    pub(super) fn are_linked(&mut self, any: bool, now: Micros) {
        self.since = any.then(|| self.since.unwrap_or(now));
    }

    /// Whether a gateway is linked only since a moment, and other mirrors are still to be met.
    pub(super) fn is_new(&self, moment: Micros, now: Micros) -> bool {
        self.since.is_some_and(|since| now < since + moment)
    }

    /// Whom a block is asked of, the first first. What was missed comes from other mirrors, as far as they can have it: the origin
    /// has its link for what is live. So does what `is_live` when this mirror has just come: it was announced to them before.
    pub(super) fn order(
        &self,
        gateways: &[PeerId],
        mirrors: &[PeerId],
        is_live: bool,
        now: Micros,
    ) -> Vec<PeerId> {
        match is_live && !self.is_new(MEETS, now) {
            true => [gateways, mirrors].concat(),
            false => [mirrors, gateways].concat(),
        }
    }

    /// Nothing of that is believed any more.
    pub(super) fn doubt(&mut self) {
        self.known.retain(|_, source| *source == Source::Comes);
    }

    /// One is connected, or cannot be reached.
    pub(super) fn connected(&mut self, peer: PeerId, is_here: bool, now: Micros) {
        let until = now + BELIEVED;
        let source = match is_here {
            true => Source::Here(until),
            false => Source::Away(until),
        };
        self.known.insert(peer, source);
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
    fn who_was_linked_before_anything_was_missing_has_not_just_come() {
        let mut sources = Sources::default();
        assert!(!sources.is_new(10, 0), "nobody is linked");
        sources.are_linked(true, 5);
        sources.are_linked(true, 14);
        assert!(sources.is_new(10, 14) && !sources.is_new(10, 15));
        sources.are_linked(false, 20);
        sources.are_linked(true, 30);
        assert!(sources.is_new(10, 39), "the origin was gone");
    }

    #[test]
    fn what_is_live_is_asked_of_gateways_and_what_was_missed_of_other_mirrors_first() {
        let [gateway, mirror] = [gateway().0, gateway().0];
        let mut sources = Sources::default();
        let order = |sources: &Sources, is_live, now| {
            let order = sources.order(&[gateway], &[mirror], is_live, now);
            assert_eq!(order.len(), 2);
            order[0]
        };
        sources.are_linked(true, 1);
        assert_eq!(order(&sources, true, MEETS), mirror, "it has just come");
        assert_eq!(order(&sources, true, MEETS + 1), gateway);
        assert_eq!(order(&sources, false, MEETS + 1), mirror);
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
        assert_eq!(
            sources.known.len(),
            5,
            "those that came are forgotten first"
        );
    }
}
