//! How much of a stream its viewers give each other: what they have got, against what left the gateway. Counting only;
//! `now` is an argument.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The time that is looked back on ...
const RECENT: Duration = Duration::from_secs(10);
/// ... in steps of this.
const STEP: Duration = Duration::from_secs(1);

/// Bytes of parts, since the gateway began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Published, all renditions together.
    pub published: u64,
    /// Pushed or given to viewers by libp2p.
    pub given: u64,
    /// Of parts that linked viewers said they hold, whoever gave them.
    pub held: u64,
}

/// What of one stream went where of late.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    totals: Totals,
    fetched: u64,
    linked: usize,
    /// Oldest first: what `totals` and `fetched` were.
    past: VecDeque<(Instant, Totals, u64)>,
}

impl Traffic {
    /// Somebody fetched so many bytes of parts over HTTP.
    pub fn fetched(&self, bytes: u64) {
        self.lock().fetched += bytes;
    }

    /// What the swarm counts, and how many viewers are linked to it; told with each announcement.
    pub fn look(&self, totals: Totals, linked: usize, now: Instant) {
        let mut inner = self.lock();
        (inner.totals, inner.linked) = (totals, linked);
        let newest = inner.past.back().map(|(at, ..)| *at);
        if newest.is_none_or(|at| now >= at + STEP) {
            let fetched = inner.fetched;
            inner.past.push_back((now, totals, fetched));
        }
        while inner.past.len() > 1 && inner.past[1].0 + RECENT <= now {
            inner.past.pop_front();
        }
    }

    /// The share of what `viewers` have got lately that did not come from the gateway, 0 to 1 in thousandths.
    ///
    /// Viewers that are not linked take from HTTP alone, at most a copy of everything each.
    pub fn offload(&self, viewers: usize) -> f64 {
        let inner = self.lock();
        let Some((_, then, fetched_then)) = inner.past.front() else {
            return 0.0;
        };
        let now = inner.totals;
        let fetched = inner.fetched - fetched_then;
        let given = now.given.saturating_sub(then.given);
        let held = now.held.saturating_sub(then.held);
        let unlinked = viewers.saturating_sub(inner.linked) as u64;
        let published = now.published.saturating_sub(then.published);
        let needed = held + fetched.min(unlinked * published);
        if needed == 0 {
            return 0.0;
        }
        let share = 1.0 - (fetched + given) as f64 / needed as f64;
        (share.max(0.0) * 1000.0).round() / 1000.0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty seconds of a stream of 100 bytes a second; each second so much is given, held and fetched.
    fn after(given: u64, held: u64, fetched: u64, linked: usize) -> Traffic {
        let (traffic, start) = (Traffic::default(), Instant::now());
        for second in 0..=20 {
            let totals = Totals {
                published: 100 * second,
                given: given * second,
                held: held * second,
            };
            traffic.look(totals, linked, start + Duration::from_secs(second));
            traffic.fetched(fetched);
        }
        traffic
    }

    #[test]
    fn what_left_the_gateway_is_no_offload() {
        assert_eq!(Traffic::default().offload(5), 0.0);
        // Two viewers who feed each other; who also fetch a fifth; who get everything from here.
        assert_eq!(after(100, 200, 0, 2).offload(2), 0.5);
        assert!((after(80, 200, 20, 2).offload(2) - 0.49).abs() < 0.011);
        assert_eq!(after(200, 200, 0, 2).offload(2), 0.0);
        assert_eq!(after(100, 600, 0, 6).offload(6), 0.833);
    }

    #[test]
    fn viewers_that_are_not_linked_need_what_they_fetch() {
        assert_eq!(after(0, 0, 300, 0).offload(3), 0.0);
        let mixed = after(100, 200, 100, 2).offload(3);
        assert!((mixed - 0.333).abs() < 0.04, "{mixed}");
    }

    #[test]
    fn only_the_last_seconds_count() {
        let (traffic, start) = (Traffic::default(), Instant::now());
        let mut totals = Totals::default();
        for second in 0..200 {
            totals.published += 100;
            totals.held += 200;
            totals.given += if second < 100 { 200 } else { 100 };
            traffic.look(totals, 2, start + Duration::from_secs(second));
        }
        assert_eq!(traffic.offload(2), 0.5);
        assert!(traffic.lock().past.len() <= 12);
    }
}
