//! Who can give most is linked to others like it: a part that one of them has is at many soon.
//!
//! A gateway hears what each viewer can give. It names to one that turns out to be large some others, once. Neighbours that
//! are named by a gateway to a viewer that has all it needs come on top of these.

use libp2p_identity::PeerId;

use super::{Role, Scheduler, peers::Peer};
use crate::message::Message;

/// So few viewers are linked to each other anyhow.
const FEW: usize = 16;
/// Large is who can give so many times as much as half of the viewers.
const LARGE: f64 = 1.5;
/// Others that it is told of.
const INVITED: usize = 6;

impl Scheduler {
    /// Gateway: a viewer can give more than was known. If that is much, it is told of others.
    pub(super) fn invite(&mut self, id: PeerId) {
        let now = self.now;
        let is_gateway = matches!(self.role, Role::Gateway);
        let Some(peer) = self.peers.get_mut(&id).filter(|_| is_gateway) else {
            return;
        };
        // All viewers are looked at: nobody makes that happen as often as it likes.
        if !peer.is_viewer() || peer.is_invited || !peer.costly.open(now) {
            return;
        }
        peer.costly.take(1.0);
        let (site, renditions) = (peer.site(), peer.join.map_or(0, |join| join.renditions));
        let sharing = self.peers.viewers().filter(|(_, peer)| peer.shares());
        let mut uploads: Vec<u32> = sharing.map(|(_, peer)| peer.upload()).collect();
        if uploads.len() <= FEW {
            return;
        }
        let half = uploads.len() / 2;
        let large = LARGE * f64::from(*uploads.select_nth_unstable(half).1);
        let is_large = |peer: &Peer| f64::from(peer.upload()) >= large;
        if !self.peers.get(&id).is_some_and(is_large) {
            return;
        }
        let is_like_it = |peer: &Peer| {
            peer.site() == site
                && peer
                    .join
                    .is_some_and(|join| join.renditions & renditions != 0)
        };
        let others = self.peers.viewers();
        let others =
            others.filter(|(other, peer)| **other != id && is_large(peer) && is_like_it(peer));
        let mut others: Vec<PeerId> = others.map(|(other, _)| *other).collect();
        self.random.shuffle(&mut others);
        others.truncate(INVITED);
        if others.is_empty() {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.is_invited = true;
        }
        self.send(id, Message::Neighbours(others));
    }

    /// Viewer: whether those that a peer names, and neither owes nor was asked for, are to be linked besides the neighbours
    /// that there are.
    pub(super) fn may_invite(&self, from: &PeerId) -> bool {
        let is_gateway = self.peers.get(from).is_some_and(|peer| !peer.is_viewer());
        is_gateway && self.peers.viewers().count() >= self.settings.neighbours
    }

    /// Dials the next of those that a gateway has named, as far as others are sure to have room for as many. False if there
    /// is none.
    pub(super) fn dial_invited(&mut self) -> bool {
        while let Some(id) = self.acquaintances.invited.pop_front() {
            if self.linked_soon() >= 2 * self.settings.neighbours {
                self.acquaintances.invited.clear();
            } else if !self.is_acquainted(&id) {
                self.dial(id);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
