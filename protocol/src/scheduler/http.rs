//! The gateway's HTTP as the engine sees it: how long it takes, and whether it answers.

use super::Micros;

/// Fetches under way at a time: browsers keep six connections to a host, over all tabs.
pub(super) const MAX_FETCHES: usize = 4;
/// What a fetch takes before one was made, microseconds, and how much that may be off.
const FIRST: (f64, f64) = (100_000.0, 75_000.0);
/// A fetch is reckoned to take no longer: where many take longer, all would begin earlier, and so fetch more of what is on
/// its way from neighbours, until the gateway's uplink is full of that.
const MOST: f64 = 300_000.0;
/// After a failure the next fetch waits, then twice as long, and so on up to the longest.
const PAUSE: (Micros, Micros) = (200_000, 1_600_000);

#[derive(Debug)]
pub(super) struct Http {
    mean: f64,
    deviation: f64,
    failures: u32,
    closed_until: Micros,
}

impl Http {
    pub(super) fn new() -> Self {
        Self {
            mean: FIRST.0,
            deviation: FIRST.1,
            failures: 0,
            closed_until: 0,
        }
    }

    /// What nearly every fetch takes at most (as TCP reckons its time-out, RFC 6298), within `MOST`.
    pub(super) fn expects(&self) -> Micros {
        (self.mean + 2.0 * self.deviation).min(MOST) as Micros
    }

    pub(super) fn answered(&mut self, took: Micros) {
        let took = took.min(10_000_000) as f64;
        self.deviation = self.deviation * 0.8 + (took - self.mean).abs() * 0.2;
        self.mean = self.mean * 0.85 + took * 0.15;
        self.failures = 0;
        self.closed_until = 0;
    }

    pub(super) fn failed(&mut self, now: Micros) {
        let pause = (PAUSE.0 << self.failures.min(8)).min(PAUSE.1);
        self.failures += 1;
        self.closed_until = now + pause;
    }

    /// Whether it is worth trying.
    pub(super) fn open(&self, now: Micros) -> bool {
        now >= self.closed_until
    }

    pub(super) fn opens_at(&self) -> Micros {
        self.closed_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_gateway_is_not_asked_ever_earlier() {
        let mut http = Http::new();
        for _ in 0..40 {
            http.answered(50_000);
        }
        assert!((50_000..60_000).contains(&http.expects()), "{http:?}");
        for _ in 0..40 {
            http.answered(2_000_000);
        }
        assert_eq!(http.expects(), MOST as Micros);
    }
}
