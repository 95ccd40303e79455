//! A token bucket: so much a second, and some at once.

use super::Micros;

/// May go below zero by its last taker, who is let through whole.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Micros,
}

impl Bucket {
    /// Full.
    pub(super) fn new(per_second: f64, burst: f64, now: Micros) -> Self {
        Self {
            per_second,
            burst,
            tokens: burst,
            at: now,
        }
    }

    /// Whether anything may pass now.
    pub(super) fn open(&mut self, now: Micros) -> bool {
        let passed = now.saturating_sub(self.at) as f64 / 1e6;
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.tokens > 0.0
    }

    pub(super) fn take(&mut self, amount: f64) {
        self.tokens -= amount;
    }

    /// When something may pass again, microseconds; `None` if it may now, or never will.
    pub(super) fn opens_at(&self) -> Option<Micros> {
        let shut = self.tokens <= 0.0 && self.per_second > 0.0;
        shut.then(|| self.at + ((1.0 - self.tokens) / self.per_second * 1e6) as Micros + 1)
    }
}
