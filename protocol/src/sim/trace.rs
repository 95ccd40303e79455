//! When parts came to viewers, and over how many hops.

use super::publisher::PARTS;
use crate::{
    message::Place,
    scheduler::{Counters, Micros},
};

/// Parts of which a viewer remembers that it has them, and over how many hops.
const REMEMBERED: usize = 128;
/// So long after it came a viewer is one of the swarm, and its parts are counted.
pub(super) const SETTLES: Micros = 5_000_000;
/// What is counted of a delay: tenths of a second up to this are told apart by milliseconds.
pub(super) const LONGEST: usize = 20_000;
/// Hops that are told apart.
pub(super) const MAX_HOPS: usize = 24;

/// Why a viewer asked HTTP for a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It lies, and others have dropped it.
    Liar,
    /// Nothing has come from a viewer yet.
    StartUp,
    /// It came just now.
    Newcomer,
    /// See [`Cause`](crate::scheduler::cause::Cause).
    Alone,
    /// See there.
    Unheld,
    /// See there.
    Refused,
    /// See there.
    Late,
    /// See there.
    Unasked,
}

/// Their names, in order.
pub(super) const WHY: [&str; 8] = [
    "of liars",
    "start-up",
    "newcomers",
    "alone",
    "nobody near has it",
    "refused",
    "late",
    "not asked",
];

/// Number of a part of the first rendition, from the beginning.
pub(super) fn number(place: Place) -> u64 {
    place.msn * u64::from(PARTS) + u64::from(place.part)
}

/// One viewer's.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) joined: Micros,
    /// When it went, and what it had counted then.
    pub(super) left: Option<(Micros, Counters)>,
    /// By number of the part, and hops.
    seen: Vec<(u64, u8)>,
    coming: Option<u8>,
    /// Parts that came, of those that are counted.
    pub(super) counted: u64,
    /// When its first part came, and the first from a viewer.
    pub(super) first: Option<Micros>,
    pub(super) first_from_peer: Option<Micros>,
    /// Bytes that it took over HTTP before that.
    pub(super) start_up: u64,
}

impl Own {
    pub(super) fn new(now: Micros) -> Self {
        Self {
            joined: now,
            left: None,
            seen: Vec::new(),
            coming: None,
            counted: 0,
            first: None,
            first_from_peer: None,
            start_up: 0,
        }
    }

    /// Whether nothing came from a viewer yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.first_from_peer.is_none()
    }

    /// What comes now went over so many hops; none: it comes over HTTP.
    pub(super) fn comes(&mut self, hops: Option<u8>) {
        self.coming = hops;
    }

    /// Over how many hops a part came to this one.
    pub(super) fn hops(&self, place: Place) -> u8 {
        let known = self.seen.get(number(place) as usize % REMEMBERED);
        known
            .filter(|(at, _)| *at == number(place) + 1)
            .map_or(0, |(_, hops)| *hops)
    }
}

/// When each part was published, and which are counted.
pub(super) struct Calendar {
    /// By number.
    pub(super) at: Vec<Micros>,
    /// Numbers of those that are counted.
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Calendar {
    /// Nothing is counted before `from` and `to` are set.
    pub(super) fn new() -> Self {
        Self {
            at: Vec::new(),
            from: u64::MAX,
            to: u64::MAX,
        }
    }

    pub(super) fn published(&mut self, place: Place, now: Micros) {
        let number = number(place) as usize;
        if self.at.len() <= number {
            self.at.resize(number + 1, now);
        }
        self.at[number] = now;
    }

    fn counts(&self, own: &Own, number: u64, published: Micros) -> bool {
        number >= self.from && number < self.to && published >= own.joined + SETTLES
    }

    /// Parts that a viewer that stays to the end should have counted.
    pub(super) fn expected(&self, own: &Own) -> u64 {
        let of = |(number, at): (usize, &Micros)| self.counts(own, number as u64, *at);
        self.at.iter().enumerate().filter(|part| of(*part)).count() as u64
    }
}

/// What came to the viewers of a shard.
pub(super) struct Trace {
    /// Parts that came after so many milliseconds, by hops; the last: after longer.
    pub(super) delays: Vec<Vec<u32>>,
    /// Announcements that came after so many milliseconds.
    pub(super) told: Vec<u32>,
    /// Bytes of messages.
    pub(super) said: u64,
    /// Bytes that HTTP gave, by [`Why`].
    pub(super) fetched: [u64; WHY.len()],
}

impl Trace {
    pub(super) fn new() -> Self {
        Self {
            delays: vec![vec![0; LONGEST + 1]; MAX_HOPS + 1],
            told: vec![0; LONGEST + 1],
            said: 0,
            fetched: [0; WHY.len()],
        }
    }

    /// A viewer is told what was published then.
    pub(super) fn told(&mut self, calendar: &Calendar, own: &Own, published: Micros, now: Micros) {
        let newest = calendar.at.len() as u64;
        let counts = (calendar.from..=calendar.to).contains(&newest);
        if counts && published >= own.joined + SETTLES {
            let late = ((now - published) / 1000) as usize;
            self.told[late.min(LONGEST)] += 1;
        }
    }

    pub(super) fn got(&mut self, calendar: &Calendar, own: &mut Own, place: Place, now: Micros) {
        if own.seen.is_empty() {
            own.seen = vec![(0, 0); REMEMBERED];
        }
        let number = number(place);
        let seen = &mut own.seen[number as usize % REMEMBERED];
        if seen.0 == number + 1 {
            return;
        }
        let hops = own.coming.map_or(0, |hops| hops.saturating_add(1));
        *seen = (number + 1, hops);
        own.first.get_or_insert(now);
        if hops > 1 {
            own.first_from_peer.get_or_insert(now);
        }
        let Some(published) = calendar.at.get(number as usize) else {
            return;
        };
        if calendar.counts(own, number, *published) {
            own.counted += 1;
            let late = ((now - published) / 1000) as usize;
            self.delays[usize::from(hops).min(MAX_HOPS)][late.min(LONGEST)] += 1;
        }
    }

    /// What came to the viewers of another shard, too.
    pub(super) fn add(&mut self, other: &Self) {
        for (sums, more) in self.delays.iter_mut().zip(&other.delays) {
            add(sums, more);
        }
        add(&mut self.told, &other.told);
        self.said += other.said;
        for (sum, more) in self.fetched.iter_mut().zip(other.fetched) {
            *sum += more;
        }
    }
}

fn add(sums: &mut [u32], more: &[u32]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}
