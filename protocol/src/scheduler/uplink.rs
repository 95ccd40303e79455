//! How much goes out: the uplink as what was given to others has shown it, and how much may wait in it.
//!
//! A page has a limit, and no idea of its uplink. So it is measured while parts leave, and everyone is told no more than
//! that: who has more is asked by more, and is nearer to the gateway.

use super::{Micros, Role, Scheduler};

/// Bytes a second before anything was measured: 5 Mbit/s.
const UNKNOWN: f64 = 625_000.0;
/// So long a time is measured at least, and at most before it is taken in.
const MEASURED: (Micros, Micros) = (20_000, 200_000);
/// Share of what is known that a measure replaces: of more, and of less, because a neighbour's narrow link shows less.
const LEARNS: (f64, f64) = (0.5, 0.1);
/// What may wait in the uplink, as time: more would wait behind it, whatever it is worth.
const WAITS: f64 = 0.04;
/// Others are told when it is off by this factor.
const OFF: f64 = 1.5;

#[derive(Debug)]
pub(super) struct Uplink {
    /// Bytes per second.
    rate: f64,
    /// Since when something leaves without a break, and what has left.
    busy: Option<(Micros, usize)>,
    /// What others were told, bytes per second.
    told: f64,
}

impl Default for Uplink {
    fn default() -> Self {
        Self {
            rate: UNKNOWN,
            busy: None,
            told: UNKNOWN,
        }
    }
}

impl Uplink {
    /// Something leaves from now, if nothing did.
    pub(super) fn begin(&mut self, now: Micros) {
        self.busy.get_or_insert((now, 0));
    }

    /// So much has left; `idle`: and nothing else leaves.
    pub(super) fn left(&mut self, bytes: usize, idle: bool, now: Micros) {
        let Some((since, sum)) = &mut self.busy else {
            return;
        };
        *sum += bytes;
        let (micros, sum) = (now.saturating_sub(*since), *sum);
        if !idle && micros < MEASURED.1 {
            return;
        }
        if micros >= MEASURED.0 {
            let rate = sum as f64 / micros as f64 * 1e6;
            let share = if rate > self.rate { LEARNS.0 } else { LEARNS.1 };
            self.rate += share * (rate - self.rate);
        }
        self.busy = (!idle).then_some((now, 0));
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
    pub(super) fn unsent(&self) -> usize {
        self.peers.iter().map(|(_, peer)| peer.unsent()).sum()
    }

    /// Whether one more part may be on its way out.
    pub(super) fn may_send(&self) -> bool {
        match self.role {
            Role::Gateway => true,
            Role::Viewer => (self.unsent() as f64) <= self.capacity() * WAITS,
        }
    }

    /// How long what waits to be given takes to leave, seconds.
    pub(super) fn backlog(&self) -> f64 {
        let unsent = match self.role {
            Role::Gateway => 0,
            Role::Viewer => self.unsent(),
        };
        (self.gifts.bytes() + unsent) as f64 / self.capacity().max(1.0)
    }

    /// Something has left.
    pub(super) fn learn_uplink(&mut self, bytes: usize) {
        if matches!(self.role, Role::Gateway) {
            return;
        }
        let idle = self.unsent() == 0;
        self.uplink.left(bytes, idle, self.now);
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

    #[test]
    fn an_uplink_is_learned_while_parts_leave() {
        let mut uplink = Uplink::default();
        for part in 0..40 {
            let began = part * 200_000;
            uplink.begin(began);
            uplink.left(50_000, true, began + 50_000);
        }
        assert!(
            (990_000.0..1_010_000.0).contains(&uplink.rate),
            "{uplink:?}"
        );
        for part in 40..140 {
            let began = part * 1_000_000;
            uplink.begin(began);
            uplink.left(50_000, false, began + 400_000);
            uplink.left(50_000, true, began + 800_000);
        }
        assert!((120_000.0..130_000.0).contains(&uplink.rate), "{uplink:?}");
    }

    #[test]
    fn what_leaves_at_once_tells_nothing() {
        let mut uplink = Uplink::default();
        uplink.begin(5);
        uplink.left(50_000, true, 5);
        assert_eq!(uplink.rate, UNKNOWN);
    }
}
