//! Who is likely to push a new part to this viewer, and how long that is waited for.
//!
//! A gateway names the seeds of a part beside its announcement. The page's own socket may be faster with the same
//! announcement, and names nobody: the seeds are then learned from the gateway's, which comes right behind.

use std::collections::VecDeque;

use libp2p_identity::PeerId;

use super::{Micros, Scheduler, random::turn};
use crate::message::Place;

/// How long a push is waited for before others are asked: a round trip and what it takes, and this.
const PATIENCE: (Micros, Micros) = (150_000, 350_000);
/// Parts with several seeds of whom is remembered who they are.
const SEEDED: usize = 64;
/// Announcements without seeds of which is remembered what they brought.
const UNSEEDED: usize = 8;

/// What was announced, by (epoch, sequence), before anyone told its seeds.
#[derive(Debug, Default)]
pub(super) struct Unseeded(VecDeque<((u64, u64), Vec<Place>)>);

impl Unseeded {
    pub(super) fn heard(&mut self, at: (u64, u64), places: Vec<Place>) {
        if places.is_empty() {
            return;
        }
        if self.0.len() == UNSEEDED {
            self.0.pop_front();
        }
        self.0.push_back((at, places));
    }

    fn take(&mut self, at: (u64, u64)) -> Vec<Place> {
        let known = self.0.iter().position(|(heard, _)| *heard == at);
        let taken = known.and_then(|known| self.0.remove(known));
        taken.map_or(Vec::new(), |(_, places)| places)
    }
}

impl Scheduler {
    /// A gateway tells the seeds of what was announced already.
    pub(super) fn told_late(&mut self, id: PeerId, at: (u64, u64), seeds: &[PeerId]) {
        let is_gateway = self.peers.get(&id).is_some_and(|peer| !peer.is_viewer());
        if !is_gateway || seeds.is_empty() {
            return;
        }
        for place in self.unseeded.take(at) {
            let pushers = self.pushers(place, seeds);
            let pushed_until = self.now + self.push_patience(place, &pushers);
            let Some(wanted) = self.demand.wanted.get_mut(&place) else {
                continue; // It is here already, or no longer wanted.
            };
            if wanted.asked.is_none() && wanted.fetch.is_none() {
                wanted.pushers = pushers;
                wanted.pushed_until = pushed_until;
                wanted.next = 0;
            }
            self.remember_seeds(place, seeds);
        }
    }

    /// Remembers the seeds of a part where they are several: each has its own share of the viewers to push to.
    pub(super) fn remember_seeds(&mut self, place: Place, seeds: &[PeerId]) {
        if seeds.len() > 1 {
            self.seeds.insert(place, seeds.to_vec());
            if self.seeds.len() > SEEDED {
                self.seeds.pop_first();
            }
        }
    }

    /// The linked peer that is likely to push a new part.
    pub(super) fn pushers(&self, place: Place, seeds: &[PeerId]) -> Vec<PeerId> {
        if seeds.contains(&self.me) {
            return self.peers.gateways().map(|(id, _)| *id).collect();
        }
        let seed = self.seed_of(place, seeds, &self.me);
        let linked = seed.filter(|id| self.peers.get(id).is_some_and(|peer| peer.shares()));
        linked.into_iter().collect()
    }

    /// Which of several seeds pushes a part to `to`: both ends reckon the same, so that only one does. Who is not linked
    /// to it asks whoever has the part.
    pub(super) fn seed_of(&self, place: Place, seeds: &[PeerId], to: &PeerId) -> Option<PeerId> {
        let strange = |id: &PeerId| {
            let peer = self.peers.get(id);
            peer.is_some_and(|peer| !peer.follows(place.rendition))
        };
        let seeds = seeds.iter().filter(|id| !strange(id));
        let by = turn(place, to);
        seeds.min_by_key(|id| turn(place, id) ^ by).copied()
    }

    /// How long a push of a part that was just announced is waited for. Where nobody told who pushes it, it may be
    /// anyone who is linked.
    pub(super) fn push_patience(&self, place: Place, pushers: &[PeerId]) -> Micros {
        let size = self.window.part(place).map_or(0, |part| part.size as usize);
        let known = pushers.iter().filter_map(|id| self.peers.get(id));
        match known.map(|peer| 2 * peer.expects(size)).min() {
            Some(micros) => micros.clamp(PATIENCE.0, PATIENCE.1),
            None if self.may_come(place) => PATIENCE.0,
            None => 0,
        }
    }
}
