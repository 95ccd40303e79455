//! Chance that a seed replays (SplitMix64; Steele, Lea and Flood 2014).

use crate::message::{Place, tail};
use libp2p_identity::PeerId;

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// 0 to `end` − 1; `end` is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Any order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// The same for the same place and peer, and as good as random otherwise: whose turn it is where all are equal.
pub(crate) fn turn(place: Place, peer: &PeerId) -> u64 {
    turn_of(place, tail(peer))
}

/// The same of a peer of whom nothing is known but its tail.
pub(crate) fn turn_of(place: Place, tail: u32) -> u64 {
    let place = place.msn << 16 ^ u64::from(place.part) << 4 ^ u64::from(place.rendition);
    mix(mix(tail.into()) ^ place)
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
