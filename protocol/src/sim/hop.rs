//! One hop alone: what parts take from one viewer to another that is so far away, and loses so much. `tests/bench/hop.mjs`
//! holds it to what two browsers do.

use super::{
    Line,
    network::{Congestion, MESSAGE},
    sctp::Sctp,
    wire::Wire,
};
use crate::scheduler::{Micros, random::Random};

/// A link between two viewers, and what goes over it.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    /// To the other end, microseconds.
    pub way: Micros,
    /// Share of the packets that is lost, each way.
    pub loss: f64,
    /// Bytes per second.
    pub up: f64,
    /// Bytes of a part; one is given each `every` microseconds.
    pub part: usize,
    /// See above.
    pub every: Micros,
}

impl Hop {
    /// How long each of so many parts took, microseconds.
    pub fn times(&self, congestion: Congestion, count: usize, seed: u64) -> Vec<Micros> {
        let mut random = Random::new(seed);
        match congestion {
            Congestion::Chromium => self.over_sctp(count, &mut random),
            _ => self.over_wire(congestion, count, &mut random),
        }
    }

    fn over_wire(&self, congestion: Congestion, count: usize, random: &mut Random) -> Vec<Micros> {
        let mut wire = Wire::default();
        let line = Line {
            up: self.up,
            down: f64::INFINITY,
            delay: 0,
            loss: self.loss,
        };
        let way = (self.way, congestion);
        let times = (0..count).map(|part| {
            let now = self.given_at(part);
            let (_, at) = wire.slice_arrives(1, now, self.part, &line, way, random);
            at - now
        });
        times.collect()
    }

    fn over_sctp(&self, count: usize, random: &mut Random) -> Vec<Micros> {
        let mut sctp = Sctp::new(self.way, self.loss);
        let (mut free, up) = (0, self.up);
        let mut uplink = |now: Micros, bytes: usize| {
            free = now.max(free) + super::wire::micros(bytes, up);
            free
        };
        let mut times = Vec::new();
        let (mut given, mut messages) = (0, 0);
        let each = self.part.div_ceil(MESSAGE);
        loop {
            let due = (given < count).then_some(self.given_at(given));
            let next = [due, sctp.next_at()].into_iter().flatten().min();
            let Some(now) = next else {
                return times;
            };
            if due == Some(now) {
                let mut left = self.part;
                while left > 0 {
                    let bytes = left.min(MESSAGE);
                    left -= bytes;
                    sctp.give(0, bytes, now, random, &mut |bytes| uplink(now, bytes));
                }
                given += 1;
            }
            sctp.pass(now, random, &mut |bytes| uplink(now, bytes));
            messages += sctp.take_whole(0);
            while (times.len() + 1) * each <= messages {
                times.push(now - self.given_at(times.len()));
            }
        }
    }

    fn given_at(&self, part: usize) -> Micros {
        (part as Micros + 1) * self.every
    }
}
