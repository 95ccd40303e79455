//! The ledger: all linked peers, and those that are not taken back.

use libp2p_identity::PeerId;

use super::{
    Kind, Micros,
    peers::{LOST, Peer},
};
use crate::{
    message::{Place, tail},
    sorted::{SortedMap, SortedSet},
};

/// Linked peers; the driver's connection limits are lower.
pub(super) const MAX_PEERS: usize = 16_384;
/// Peers that lied and are not taken back, the newest.
const MAX_BANNED: usize = 256;

/// So few are looked for by their tails, one after the other, which lie together in memory; ids are twenty times as long.
const FEW: usize = 32;

/// All linked peers, and those that are not taken back.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Boxed: one that is looked for is found among names that lie together.
    linked: SortedMap<PeerId, Box<Peer>>,
    /// Of each of them, in their order.
    tails: Vec<u32>,
    /// Those of them that are gateways, in the same order: hardly any, and asked for all the time.
    gateways: SortedSet<PeerId>,
    /// Nothing that was given is given up for lost before: there may be thousands of peers, and this is asked all the time.
    lost_at: Option<Micros>,
    banned: Vec<PeerId>,
}

impl Peers {
    pub(super) fn add(&mut self, peer: PeerId, kind: Kind, now: Micros) {
        self.remove(&peer);
        if let Err(at) = self.linked.find(&peer) {
            self.tails.insert(at, tail(&peer));
        }
        if kind == Kind::Gateway {
            self.gateways.insert(peer);
        }
        self.linked.insert(peer, Box::new(Peer::new(kind, now)));
    }

    pub(super) fn remove(&mut self, peer: &PeerId) -> Option<Box<Peer>> {
        let at = self.find(peer)?;
        self.tails.remove(at);
        self.gateways.remove(peer);
        self.linked.remove(peer)
    }

    fn find(&self, peer: &PeerId) -> Option<usize> {
        if self.tails.len() > FEW {
            return self.linked.find(peer).ok();
        }
        let wanted = tail(peer);
        let alike = self
            .tails
            .iter()
            .enumerate()
            .filter(|(_, of)| **of == wanted);
        let is_it = |at: usize| self.linked.at(at).is_some_and(|(id, _)| id == peer);
        alike.map(|(at, _)| at).find(|at| is_it(*at))
    }

    pub(super) fn get(&self, peer: &PeerId) -> Option<&Peer> {
        let (_, peer) = self.linked.at(self.find(peer)?)?;
        Some(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Peer> {
        let at = self.find(peer)?;
        self.linked.at_mut(at).map(|peer| &mut **peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.linked.iter().map(|(id, peer)| (id, &**peer))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&PeerId, &mut Peer)> {
        self.linked.iter_mut().map(|(id, peer)| (id, &mut **peer))
    }

    /// A linked viewer by the [`tail`] of its id.
    pub(super) fn by_tail(&self, number: u32) -> Option<(&PeerId, &Peer)> {
        let alike = self
            .tails
            .iter()
            .enumerate()
            .filter(|(_, of)| **of == number);
        let mut alike = alike.filter_map(|(at, _)| self.linked.at(at));
        let found = alike.find(|(_, peer)| peer.is_viewer());
        found.map(|(id, peer)| (id, &**peer))
    }

    pub(super) fn viewers(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.iter().filter(|(_, peer)| peer.is_viewer())
    }

    pub(super) fn gateways(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        let gateways = self.gateways.iter();
        gateways.filter_map(|id| Some((id, self.get(id)?)))
    }

    /// A part is given to a peer.
    pub(super) fn give(
        &mut self,
        id: &PeerId,
        place: Place,
        size: usize,
        pushed: bool,
        now: Micros,
    ) {
        if let Some(peer) = self.get_mut(id) {
            peer.give(place, size, pushed, now);
            self.lost_at.get_or_insert(now + LOST);
        }
    }

    /// When to look for what was given and is lost.
    pub(super) fn lost_at(&self) -> Option<Micros> {
        self.lost_at
    }

    pub(super) fn forget_lost(&mut self, now: Micros) {
        for peer in self.linked.values_mut() {
            peer.forget_lost(now);
        }
        let next = self.linked.values().filter_map(|peer| peer.next_lost());
        self.lost_at = next.min();
    }

    pub(super) fn len(&self) -> usize {
        self.linked.len()
    }

    pub(super) fn ban(&mut self, peer: PeerId) {
        if self.banned.len() == MAX_BANNED {
            self.banned.remove(0);
        }
        self.banned.push(peer);
    }

    pub(super) fn is_banned(&self, peer: &PeerId) -> bool {
        self.banned.contains(peer)
    }
}
