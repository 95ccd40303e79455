//! How much goes out: the uplink as what was given to others has shown it, and how much may be on its way.
//!
//! A page has a limit, and no idea of its uplink. So it is measured by what others say they have got: what a browser has
//! taken from its page has not left for long. Everyone is told no more than that: who has more is asked by more, and is
//! nearer to the gateway. What is on its way is bounded by it, too: more would wait in the uplink, where it cannot be taken
//! back, and every part would be late.

use libp2p_identity::PeerId;

use super::{Micros, Role, Scheduler, peers::Peer};

/// Bytes a second before anything was measured: 5 Mbit/s.
const UNKNOWN: f64 = 625_000.0;
/// So long a time is measured at least, and at most before it is taken in.
const MEASURED: (Micros, Micros) = (20_000, 400_000);
/// Share of what is known that a measure replaces: of more; of less, where more waited to leave; of less, where nothing did.
const MORE: f64 = 0.3;
const LESS: (f64, f64) = (0.15, 0.05);
/// What may wait in the uplink, as time: more would wait behind it, whatever it is worth.
const WAITS: f64 = 0.04;
/// What may be on its way, as time, seconds, and in round trips of whom it goes to: a hop that recovers its losses takes a few.
const ON_ITS_WAY: (f64, f64) = (0.2, 4.0);
/// How soon to look again whether there is room.
const LOOKS: Micros = 200_000;
/// Others are told when it is off by this factor.
const OFF: f64 = 1.5;

#[derive(Debug)]
pub(super) struct Uplink {
    /// Bytes per second.
    rate: f64,
    /// Since when something is on its way without a break, and what has come.
    busy: Option<(Micros, usize)>,
    /// Something waited to leave since then.
    full: bool,
    /// Something waits to leave, and is looked at then at the latest: nobody may say that anything came.
    looks_at: Option<Micros>,
    /// How often it was full when it was measured.
    measures: u32,
    /// What others were told, bytes per second.
    told: f64,
}

impl Default for Uplink {
    fn default() -> Self {
        Self {
            rate: UNKNOWN,
            busy: None,
            full: false,
            looks_at: None,
            measures: 0,
            told: UNKNOWN,
        }
    }
}

impl Uplink {
    /// Something leaves from now; `idle`: and nothing else is on its way.
    pub(super) fn begin(&mut self, idle: bool, now: Micros) {
        if idle || self.busy.is_none() {
            self.busy = Some((now, 0));
            self.full = false;
        }
    }

    /// Something waits to leave, or nothing does.
    pub(super) fn waits(&mut self, waits: bool, now: Micros) {
        self.full |= waits;
        self.looks_at = waits.then_some(now + LOOKS);
    }

    pub(super) fn wake_at(&self) -> Option<Micros> {
        self.looks_at
    }

    /// So much has come to someone who is so far away; `idle`: and nothing else is on its way.
    pub(super) fn came(&mut self, bytes: usize, round_trip: Micros, idle: bool, now: Micros) {
        let Some((since, sum)) = &mut self.busy else {
            return;
        };
        *sum += bytes;
        // The last of it has left before it is heard that it came.
        let left = if idle { round_trip } else { 0 };
        let (micros, sum) = (now.saturating_sub(*since + left), *sum);
        if !idle && micros < MEASURED.1 {
            return;
        }
        if micros >= MEASURED.0 && sum > 0 {
            self.learn(sum as f64 / micros as f64 * 1e6);
        }
        self.busy = (!idle).then_some((now, 0));
        self.full = false;
    }

    fn learn(&mut self, rate: f64) {
        let share = if rate > self.rate {
            MORE
        } else if self.full {
            LESS.0
        } else {
            LESS.1
        };
        // The first measures count for more than what was only supposed.
        let share = match self.full || rate > self.rate {
            true => {
                self.measures = self.measures.saturating_add(1);
                share.max(1.0 / f64::from(self.measures))
            }
            false => share,
        };
        self.rate += share * (rate - self.rate);
    }
}

/// What has gone out, and whether there is room for more. A gateway's line has no bound, and is not learned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Out {
    Any,
    Within {
        capacity: f64,
        unsent: usize,
        on_its_way: usize,
    },
}

impl Out {
    /// Whether one more part may be on its way to someone who is so far away.
    pub(super) fn has_room(&self, round_trip: Micros) -> bool {
        match *self {
            Self::Any => true,
            Self::Within {
                capacity,
                unsent,
                on_its_way,
            } => {
                let most = ON_ITS_WAY.0 + ON_ITS_WAY.1 * round_trip as f64 / 1e6;
                unsent as f64 <= capacity * WAITS && on_its_way as f64 <= capacity * most
            }
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Within { on_its_way: 0, .. })
    }
}

impl Scheduler {
    /// Bytes per second that this peer is likely to be able to give, within its limit.
    pub(super) fn capacity(&self) -> f64 {
        let limit = f64::from(self.gifts.upload());
        match self.role {
            Role::Gateway => limit,
            Role::Viewer => limit.min(self.uplink.rate),
        }
    }

    /// The same as others are told it.
    pub(super) fn offers(&self) -> u32 {
        match self.role {
            Role::Gateway => self.gifts.upload(),
            Role::Viewer => self.gifts.upload().min(self.uplink.told as u32),
        }
    }

    /// Bytes that were given and have not left.
    fn unsent(&self) -> usize {
        self.peers.iter().map(|(_, peer)| peer.unsent()).sum()
    }

    /// What has gone out.
    pub(super) fn out(&self) -> Out {
        match self.role {
            Role::Gateway => Out::Any,
            Role::Viewer => Out::Within {
                capacity: self.capacity(),
                unsent: self.unsent(),
                on_its_way: self.on_its_way(),
            },
        }
    }

    /// Bytes that were given and not acknowledged.
    fn on_its_way(&self) -> usize {
        let peers = self.peers.iter();
        peers.map(|(_, peer)| peer.on_its_way(self.now)).sum()
    }

    /// How long what waits to be given takes to leave, seconds.
    pub(super) fn backlog(&self) -> f64 {
        let unsent = match self.role {
            Role::Gateway => 0,
            Role::Viewer => self.unsent(),
        };
        (self.gifts.bytes() + unsent) as f64 / self.capacity().max(1.0)
    }

    /// So much has come to someone, or was taken back (0 bytes then).
    pub(super) fn learn_uplink(&mut self, bytes: usize, round_trip: Micros) {
        if matches!(self.role, Role::Gateway) {
            return;
        }
        let now = self.now;
        let is_idle = |(_, peer): (&PeerId, &Peer)| peer.on_its_way(now) == 0;
        let idle = self.peers.iter().all(is_idle);
        self.uplink.came(bytes, round_trip, idle, now);
        let off = self.uplink.rate / self.uplink.told;
        if !(1.0 / OFF..=OFF).contains(&off) {
            self.uplink.told = self.uplink.rate;
            self.introduce_myself();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{message::Place, scheduler::Kind};

    /// Parts of 50 kB, one each `every` microseconds, each of which is acknowledged after `took`.
    fn measured(uplink: &mut Uplink, parts: std::ops::Range<u64>, every: Micros, took: Micros) {
        for part in parts {
            let began = part * every;
            uplink.begin(true, began);
            uplink.waits(true, 0);
            uplink.came(50_000, 20_000, true, began + took + 20_000);
        }
    }

    #[test]
    fn an_uplink_is_learned_while_parts_come_to_others() {
        let mut uplink = Uplink::default();
        measured(&mut uplink, 0..40, 200_000, 50_000);
        let rate = uplink.rate;
        assert!((990_000.0..1_010_000.0).contains(&rate), "{uplink:?}");
        measured(&mut uplink, 40..80, 1_000_000, 400_000);
        let rate = uplink.rate;
        assert!((120_000.0..130_000.0).contains(&rate), "{uplink:?}");
    }

    #[test]
    fn several_that_are_on_their_way_are_measured_together() {
        let mut uplink = Uplink::default();
        uplink.begin(true, 0);
        for part in 1..100 {
            uplink.begin(false, part * 50_000);
            uplink.waits(true, 0);
            uplink.came(50_000, 80_000, false, part * 50_000 + 80_000);
        }
        let rate = uplink.rate;
        assert!((950_000.0..1_050_000.0).contains(&rate), "{uplink:?}");
    }

    #[test]
    fn who_gives_little_is_not_taken_for_slow_at_once() {
        let mut uplink = Uplink::default();
        uplink.begin(true, 0);
        uplink.came(50_000, 20_000, true, 520_000);
        assert!(uplink.rate > 0.9 * UNKNOWN, "{uplink:?}");
        uplink.begin(true, 1_000_000);
        uplink.waits(true, 0);
        uplink.came(50_000, 20_000, true, 1_520_000);
        assert_eq!(uplink.rate, 100_000.0, "something waited: it is as slow");
    }

    #[test]
    fn who_acknowledges_nothing_holds_up_others_for_a_second() {
        let place = |part| Place {
            msn: 1,
            part,
            rendition: 0,
        };
        let mut peer = Peer::new(Kind::Viewer, 0);
        for part in 0..4 {
            peer.give(place(part), 50_000, false, 100_000);
        }
        assert_eq!(peer.on_its_way(1_099_999), 200_000);
        assert_eq!(peer.on_its_way(1_100_000), 0);
    }

    #[test]
    fn what_comes_at_once_tells_nothing() {
        let mut uplink = Uplink::default();
        uplink.begin(true, 5);
        uplink.came(50_000, 0, true, 5);
        assert_eq!(uplink.rate, UNKNOWN);
    }
}
