//! In which order what waits is given, and whether there is any need of one.

use std::cmp::Reverse;

use libp2p_identity::PeerId;

use super::{Gift, PUSH_FRESH};
use crate::{
    message::Place,
    scheduler::{Role, Scheduler, peers::Peer},
};

/// What is older than this on the stream's timeline (a newcomer fills its buffer) waits for what is new.
const OLD: u64 = 10_000_000;

impl Scheduler {
    /// Whether anything of what waits may leave now, or is to be given up. Most looks find that nothing may: then no order is
    /// made.
    pub(super) fn has_to_give(&mut self) -> bool {
        let now = self.now;
        let is_stale = |gift: &Gift| gift.pushed && now >= gift.since + PUSH_FRESH;
        if self.gifts.queue.values().any(is_stale) {
            return true;
        }
        if !self.gifts.bucket.open(now) {
            return false;
        }
        let out = self.out();
        let mut waits = false;
        for ((_, _, id), gift) in &self.gifts.queue {
            let peer = self.peers.get(id);
            if let Some(peer) = peer.filter(|peer| peer.has_room(gift.size, now)) {
                waits = true;
                if out.has_room(peer.round_trip()) {
                    return true;
                }
            }
        }
        if waits {
            self.uplink.waits(true, now);
        }
        false
    }

    pub(super) fn in_order(&self) -> Vec<(Place, u64, PeerId)> {
        let newest = self.gifts.queue.keys().next_back().map(|key| key.0);
        let edge = newest.and_then(|place| self.window.start(place));
        let is_old = |place: Place| {
            let start = self.window.start(place);
            start.is_none_or(|start| edge.is_some_and(|edge| start + OLD < edge))
        };
        let mut of = each_once(|place| (is_old(place), self.holders(place)));
        // Who can give more to others comes first.
        let upload = |id: &PeerId| self.peers.get(id).map_or(0, Peer::upload);
        let queue = self.gifts.queue.iter();
        let mut gifts: Vec<_> = queue.map(|(key, gift)| (*key, gift.pushed)).collect();
        gifts.sort_by_cached_key(|((place, _, id), pushed)| {
            let (is_old, holders) = of(*place);
            (
                is_old,
                !pushed,
                !self.has_just_come(id),
                holders,
                *place,
                Reverse(upload(id).checked_ilog2()),
            )
        });
        gifts.into_iter().map(|(key, _)| key).collect()
    }

    /// Whether a viewer was linked a moment ago: it may know nobody else yet, and the gateway alone gives what it is not given.
    pub(super) fn has_just_come(&self, id: &PeerId) -> bool {
        matches!(self.role, Role::Viewer) && self.peers.get(id).is_some_and(|p| p.is_new(self.now))
    }

    /// How many that are linked have a part, and could give it in this one's stead. A gateway has thousands, and nobody who
    /// asks it has asked others before.
    pub(super) fn holders(&self, place: Place) -> usize {
        match self.role {
            Role::Gateway => 0,
            Role::Viewer => {
                let peers = self.peers.iter();
                peers.filter(|(_, peer)| peer.has.contains(&place)).count()
            }
        }
    }
}

/// The same function of a place, but worked out once for several in a row that are the same.
pub(super) fn each_once<T: Copy>(of: impl Fn(Place) -> T) -> impl FnMut(Place) -> T {
    let mut last: Option<(Place, T)> = None;
    move |place| match last {
        Some((known, value)) if known == place => value,
        _ => {
            let value = of(place);
            last = Some((place, value));
            value
        }
    }
}
