//! The gateway's one clock: wall time as it was at the start of the run, moved on by the monotonic clock.
//!
//! Program date time, the clock in announcements and the answers to viewers' clock requests all come from here. A wall
//! clock that is set while the gateway runs (a Pi without a clock chip that finds NTP after an hour) therefore moves
//! nothing that is on air; it counts from the next start.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Microseconds since the Unix epoch on a clock that never goes back.
///
/// Cheap to copy; all copies of one run show the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The monotonic clock at the start of the run.
    started: Instant,
    /// What the wall clock showed then, in microseconds since the Unix epoch.
    origin: u64,
}

impl Clock {
    /// Anchors the monotonic clock to the wall clock of this moment. Once per run.
    ///
    /// A wall clock before 1970 counts as 1970.
    pub fn start() -> Arc<Self> {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Arc::new(Self::at(micros(wall)))
    }

    /// A clock that shows `origin` (microseconds since the Unix epoch) now.
    pub fn at(origin: u64) -> Self {
        Self {
            started: Instant::now(),
            origin,
        }
    }

    /// Microseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.origin.saturating_add(micros(self.started.elapsed()))
    }

    /// The moment at which this clock shows `micros`; moments before the start of the run count as the start.
    pub fn instant(&self, micros: u64) -> Instant {
        self.started + Duration::from_micros(micros.saturating_sub(self.origin))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_its_origin_at_first_and_then_goes_on() {
        let clock = Clock::at(1_000_000);
        let first = clock.now();
        assert!((1_000_000..2_000_000).contains(&first), "{first}");
        std::thread::sleep(Duration::from_millis(5));
        assert!(clock.now() >= first + 5_000);
    }

    #[test]
    fn copies_agree() {
        let clock = Clock::at(7);
        let copy = clock;
        let (one, two, three) = (clock.now(), copy.now(), clock.now());
        assert!(one <= two && two <= three);
    }

    #[test]
    fn instant_is_the_inverse_of_now() {
        let clock = Clock::at(5_000_000);
        let at = clock.instant(5_250_000);
        assert_eq!(
            at.duration_since(clock.instant(5_000_000)),
            Duration::from_millis(250)
        );
        assert_eq!(
            clock.instant(0),
            clock.instant(5_000_000),
            "before the start counts as the start"
        );
    }
}
