//! The gateway's HTTP as the engine sees it: how long it takes, and whether it answers.

use super::Micros;

/// Fetches under way at a time: browsers keep six connections to a host, over all tabs.
pub(super) const MAX_FETCHES: usize = 4;
/// What a fetch takes before one was made, microseconds, and how much that may be off; the share by which the first one that
/// was made may be off. A newcomer fetches what nobody else gives in time: what it reckons with for nothing, it fetches too soon.
const FIRST: (f64, f64) = (100_000.0, 75_000.0);
const OFF: f64 = 0.25;
/// A fetch is reckoned to take no longer: where many take longer, all would begin earlier, and so fetch more of what is on
/// its way from neighbours, until the gateway's uplink is full of that.
const MOST: f64 = 300_000.0;
/// What takes longer than this is slow: then fewer are asked for at a time, down to one. If all stand still at once, all
/// would ask at once, and the gateway would be busy for long with what comes from neighbours meanwhile.
pub(super) const SLOW: Micros = 700_000;
/// A fetch that takes much longer than usual no longer keeps neighbours from being asked, within these bounds.
const HANGS: (f64, f64) = (500_000.0, 1_500_000.0);
/// After a failure the next fetch waits, then twice as long, and so on up to the longest.
const PAUSE: (Micros, Micros) = (200_000, 1_600_000);

#[derive(Debug)]
pub(super) struct Http {
    mean: f64,
    deviation: f64,
    /// Whether one was answered.
    tried: bool,
    /// Fetches under way at a time.
    window: f64,
    failures: u32,
    closed_until: Micros,
    /// Nothing is asked for before: what was asked for last came from elsewhere, and sooner.
    rests_until: Micros,
}

impl Http {
    pub(super) fn new() -> Self {
        Self {
            mean: FIRST.0,
            deviation: FIRST.1,
            tried: false,
            window: MAX_FETCHES as f64,
            failures: 0,
            closed_until: 0,
            rests_until: 0,
        }
    }

    /// What nearly every fetch takes at most (as TCP reckons its time-out, RFC 6298), within `MOST`.
    pub(super) fn expects(&self) -> Micros {
        (self.mean + 2.0 * self.deviation).min(MOST) as Micros
    }

    /// What most fetches take at most.
    pub(super) fn usually(&self) -> Micros {
        (self.mean + self.deviation).min(MOST) as Micros
    }

    pub(super) fn answered(&mut self, took: Micros) {
        let took = took.min(10_000_000) as f64;
        if !std::mem::replace(&mut self.tried, true) {
            (self.mean, self.deviation) = (took, took * OFF);
        }
        self.deviation = self.deviation * 0.8 + (took - self.mean).abs() * 0.2;
        self.mean = self.mean * 0.85 + took * 0.15;
        self.failures = 0;
        self.closed_until = 0;
        if took > SLOW as f64 {
            self.narrows();
        } else {
            self.window = (self.window + 1.0 / self.window).min(MAX_FETCHES as f64);
        }
    }

    /// A fetch was given up after so long: the part came from elsewhere.
    pub(super) fn given_up(&mut self, took: Micros, now: Micros) {
        if took > SLOW {
            self.narrows();
            self.rests_until = now + SLOW;
        }
    }

    fn narrows(&mut self) {
        self.window = (self.window / 2.0).max(1.0);
    }

    /// How many may be under way at a time.
    pub(super) fn window(&self) -> usize {
        self.window as usize
    }

    /// How long a fetch keeps neighbours from being asked.
    pub(super) fn hangs(&self) -> Micros {
        (self.mean + 4.0 * self.deviation).clamp(HANGS.0, HANGS.1) as Micros
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

    /// When the next fetch may begin.
    pub(super) fn opens_at(&self) -> Micros {
        self.closed_until.max(self.rests_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_http_is_slow_one_fetch_is_under_way_at_a_time_and_more_again_when_it_is_not() {
        let mut http = Http::new();
        assert_eq!(http.window(), MAX_FETCHES);
        http.answered(SLOW + 1);
        http.given_up(SLOW + 1, 5_000_000);
        assert_eq!((http.window(), http.opens_at()), (1, 5_000_000 + SLOW));
        assert!(http.open(5_000_001), "it answers, but slowly");
        http.given_up(SLOW, 9_000_000);
        assert_eq!(http.opens_at(), 5_000_000 + SLOW, "that was not slow");
        for _ in 0..10 {
            http.answered(100_000);
        }
        assert_eq!(http.window(), MAX_FETCHES);
    }

    #[test]
    fn the_first_answer_tells_more_than_the_guess_before_it() {
        let mut http = Http::new();
        assert_eq!(http.expects(), 250_000);
        http.answered(80_000);
        assert!((80_000..120_000).contains(&http.expects()), "{http:?}");
        assert!(
            (80_000..http.expects()).contains(&http.usually()),
            "{http:?}"
        );
        http.answered(160_000);
        assert!((120_000..200_000).contains(&http.expects()), "{http:?}");
    }

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
