//! Where peers are. What lies between two sites is narrow, and is to be crossed about once by each part:
//!
//! - viewers are introduced to others of their own site, and leave those of others when there are enough;
//! - a gateway seeds each site by itself, and tells each of its own seeds only;
//! - a viewer asks its own site first, and a gateway at another site over HTTP later than one that is near.
//!
//! Within what is one site some are nearer than others, and a part takes several round trips: so a viewer is introduced to
//! some who are as far from the gateway as it is.
//!
//! A gateway tells a page where it is (by the address that it came from, or as the operator named that network), and the
//! page tells everyone. Where it is not known (0) all are of one site.

use libp2p_identity::PeerId;

use super::{Micros, Role, Scheduler, http::SLOW, peers::Peer, random::turn};
use crate::{message::Place, sorted::SortedMap};

/// Sites that are seeded by themselves, the largest: each is one more copy of the stream.
const MOST: usize = 16;
/// One of each neighbourhood asks a gateway at another site so long after it knew of a part that nobody has; the others, or
/// where a neighbour has it, so much later: if all did, the way between would be full of what one is enough for. (The gateway
/// pushes again what its seeds do not get.)
const LATER: Micros = 2_500_000;
const OTHERS: Micros = 8_000_000;
/// Whose fetch is slow has found the way between full, and crosses it no more for so long, then for twice as long, and so on up
/// to the longest; each fetch that is not slow halves it. If all went on, what is pushed would find the way full of what is
/// asked for because it is late.
const PAUSE: (Micros, Micros) = (8_000_000, 64_000_000);
/// Of those that a viewer is introduced to, so many are likely to be near; the others keep the swarm together.
const NEAR: usize = 5;
/// Round trips that differ by less than this, and an eighth, are alike.
const ALIKE: Micros = 2_000;
/// A gateway waits so many times as long for a seed at another site, and so many times what that site's seeds took lately
/// besides, at the most so long: where the way there is full, nothing comes sooner for being pushed once more.
const SLOWER: Micros = 3;
const USUALLY: f64 = 1.5;
const LONGEST: f64 = 8_000_000.0;
/// The weight of one part in what seeds take.
const WEIGHT: f64 = 0.2;

/// Where this peer is.
#[derive(Debug, Default)]
pub(super) struct Site {
    pub(super) mine: u32,
    /// Of the gateway whose HTTP it uses.
    gateway: u32,
    /// Gateway: sites that are seeded by themselves.
    seeded: Vec<u32>,
    /// Gateway: from a part's publication until a seed of a site says that it has it, lately, microseconds.
    takes: SortedMap<u32, f64>,
    /// Nothing is fetched from another site before, by who has neighbours; and how long that pause is.
    crosses_at: Micros,
    pause: Micros,
}

impl Site {
    /// The number by which a part is seeded to viewers of this site: its own, or 0 for all that are few.
    pub(super) fn seeded_as(&self, site: u32) -> u32 {
        if self.seeded.contains(&site) { site } else { 0 }
    }

    /// A seed of a site says that it has a part, so long after that was published.
    pub(super) fn took(&mut self, site: u32, took: Micros) {
        let took = took as f64;
        let takes = self.takes.or_insert_with(site, || took);
        *takes += (took - *takes) * WEIGHT;
    }
}

impl Scheduler {
    /// This peer learns where it is, and where the gateway is.
    pub(super) fn placed(&mut self, mine: u32, gateway: u32) {
        self.site.mine = mine;
        self.site.gateway = gateway;
        self.introduce_myself();
    }

    /// Whether a peer is at another site.
    pub(super) fn is_far(&self, peer: &Peer) -> bool {
        let (mine, its) = (self.site.mine, peer.site());
        mine != 0 && its != 0 && mine != its
    }

    /// Whether a neighbour is of this viewer's site, or may be, which it says first: then this one needs no one of another.
    pub(super) fn is_among_its_own(&self) -> bool {
        let mut viewers = self.peers.viewers();
        viewers.any(|(_, peer)| peer.join.is_none() || (peer.shares() && !self.is_far(peer)))
    }

    /// Whether the gateway is at another site.
    pub(super) fn is_far_off(&self) -> bool {
        let (mine, its) = (self.site.mine, self.site.gateway);
        mine != 0 && its != 0 && mine != its
    }

    /// A neighbour at another site that is not needed.
    pub(super) fn needless(&self) -> Option<PeerId> {
        let mut far = self.peers.viewers().filter(|(_, peer)| self.is_far(peer));
        let far = far.next()?;
        self.is_among_its_own().then_some(*far.0)
    }

    /// When a part that is wanted `since` then may be fetched from a gateway at another site; from one that is near it may
    /// be at once. One of a site does so first, and the others have it from there.
    pub(super) fn may_cross(&self, place: Place, since: Micros) -> Micros {
        if !self.is_far_off() {
            return 0;
        }
        let mut viewers = self.peers.viewers();
        let linked = viewers.next().is_some();
        let alone = if linked {
            !self.is_among_its_own()
        } else {
            !self.expects_neighbours()
        };
        if alone {
            // What is new is pushed to the first of a site, and what was new just before it came.
            let seeded = self.shares() && self.peers.gateways().next().is_some();
            return if seeded { since + LATER } else { 0 };
        }
        let mine = turn(place, &self.me);
        let (mut held, mut first) = (false, true);
        for (id, peer) in self.peers.viewers().filter(|(_, peer)| !self.is_far(peer)) {
            held |= peer.has.contains(&place);
            first &= !peer.follows(place.rendition) || mine < turn(place, id);
        }
        let waits = match (held, first) {
            (false, true) => LATER,
            _ => OTHERS,
        };
        (since + waits).max(self.site.crosses_at)
    }

    /// A fetch has taken so long, and was answered or given up.
    pub(super) fn crossed(&mut self, took: Micros, answered: bool) {
        if !self.is_far_off() {
            return;
        }
        if took > SLOW {
            let pause = (2 * self.site.pause).clamp(PAUSE.0, PAUSE.1);
            self.site.pause = pause;
            let some = pause / 2 + self.random.below(pause as usize) as Micros;
            self.site.crosses_at = self.now + some;
        } else if answered {
            self.site.pause /= 2;
        }
    }

    /// Puts a few first who are likely to be near to a peer: a gateway knows how far each is from itself, and a viewer tells
    /// of those near to it. The order of the others stays.
    pub(super) fn put_near_first<T>(
        &self,
        to: &PeerId,
        others: &mut [T],
        id: impl Fn(&T) -> PeerId,
    ) {
        let trip = |id: &PeerId| self.peers.get(id).and_then(Peer::measured_round_trip);
        let of = trip(to);
        let away = |other: &T| -> Micros {
            let Some(its) = trip(&id(other)) else {
                return Micros::MAX;
            };
            match (&self.role, of) {
                (Role::Viewer, _) => its,
                (Role::Gateway, Some(of)) => of.abs_diff(its) / (ALIKE + of.min(its) / 8),
                (Role::Gateway, None) => Micros::MAX,
            }
        };
        let mut far: Vec<Micros> = others.iter().map(away).collect();
        for place in 0..NEAR.min(others.len()) {
            let rest = far[place..].iter().enumerate();
            let nearest = rest.min_by_key(|(at, away)| (**away, *at));
            if let Some(at) = nearest.map(|(at, _)| at) {
                others[place..=place + at].rotate_right(1);
                far[place..=place + at].rotate_right(1);
            }
        }
    }

    // --- gateway ---

    /// How long a seed of a site is waited for, if one of this gateway's own is so long.
    pub(super) fn patience(&self, site: u32, own: Micros) -> Micros {
        match site == 0 || site == self.site.mine {
            true => own,
            false => SLOWER * own,
        }
    }

    /// How much longer it is waited for, by what seeds of a site take lately; one of this gateway's own is not.
    pub(super) fn usually_takes(&self, site: u32) -> Micros {
        let takes = self.site.takes.get(&site);
        let takes = takes.filter(|_| site != 0 && site != self.site.mine);
        takes.map_or(0, |takes| (USUALLY * takes).min(LONGEST) as Micros)
    }

    /// Looks which sites have viewers that share, and so are seeded by themselves. Those that had none before.
    pub(super) fn look_at_sites(&mut self) -> Vec<u32> {
        let mut count: SortedMap<u32, usize> = SortedMap::new();
        for (_, peer) in self.peers.viewers().filter(|(_, peer)| peer.shares()) {
            *count.or_insert_with(peer.site(), || 0) += 1;
        }
        let sites = count.iter().filter(|(site, _)| **site != 0);
        let mut sites: Vec<(usize, u32)> = sites.map(|(site, count)| (*count, *site)).collect();
        sites.sort_unstable_by(|a, b| b.cmp(a));
        sites.truncate(MOST);
        let sites: Vec<u32> = sites.into_iter().map(|(_, site)| site).collect();
        let before = std::mem::replace(&mut self.site.seeded, sites.clone());
        (self.site.takes).retain(|site, _| sites.contains(site));
        let mine = self.site.mine;
        let fresh = sites.into_iter();
        fresh
            .filter(|site| *site != mine && !before.contains(site))
            .collect()
    }

    /// Sites that are seeded by themselves, and 0 for all others.
    pub(super) fn seeded_sites(&self) -> Vec<u32> {
        let mut sites = self.site.seeded.clone();
        sites.push(0);
        sites
    }

    /// As which of them a peer is seeded.
    pub(super) fn seeded_as(&self, peer: &Peer) -> u32 {
        match self.role {
            Role::Gateway => self.site.seeded_as(peer.site()),
            Role::Viewer => 0,
        }
    }
}

#[cfg(test)]
mod tests;
