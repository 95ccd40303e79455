//! How far a stream is written ahead of its data channel. What a channel has taken cannot be taken back, and leaves nobody
//! knows when: so it is given what it sends in a tenth of a second, and no more.

use crate::scheduler::Micros;

/// Bytes that may wait in a channel, at the least and at the most: one frame, and what a fast one sends while its page is
/// busy.
pub const BOUNDS: (usize, usize) = (16 * 1024, 256 * 1024);
/// What waits leaves within this.
const QUEUE: Micros = 100_000;
/// How fast it leaves is measured over so long at least.
const MEASURED: Micros = 50_000;

/// Of one channel.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    most: usize,
    /// What waited when it was last looked at.
    waiting: usize,
    /// Since when something waits without a break, and what has left meanwhile.
    busy: Option<(Micros, usize)>,
}

impl Default for Ahead {
    /// Nothing is known: one frame.
    fn default() -> Self {
        Self {
            most: BOUNDS.0,
            waiting: 0,
            busy: None,
        }
    }
}

impl Ahead {
    /// Bytes that may wait.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Whether more may be written where so many bytes wait: to be asked before each frame.
    pub fn has_room(&mut self, waiting: usize, now: Micros) -> bool {
        let left = self.waiting.saturating_sub(waiting);
        self.waiting = waiting;
        if let Some((since, sum)) = &mut self.busy {
            *sum += left;
            let (took, sum) = (now.saturating_sub(*since), *sum);
            if waiting == 0 {
                // It ran dry: it may be faster than its page.
                if 2 * sum > self.most && took < QUEUE {
                    self.most = (2 * self.most).min(BOUNDS.1);
                }
                self.busy = None;
            } else if took >= MEASURED {
                let leaves = sum as f64 / took as f64 * QUEUE as f64;
                let most = (leaves as usize).min(2 * self.most);
                self.most = most.clamp(BOUNDS.0, BOUNDS.1);
                self.busy = Some((now, 0));
            }
        }
        waiting <= self.most
    }

    /// So many bytes were written.
    pub fn wrote(&mut self, bytes: usize, now: Micros) {
        self.waiting += bytes;
        self.busy.get_or_insert((now, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 16 * 1024;

    /// Writes as it may for three seconds into a channel that sends so many bytes a second, and is looked at each `every`
    /// microseconds: what was sent, and the longest that anything waited, in microseconds.
    fn written(ahead: &mut Ahead, rate: usize, every: Micros) -> (usize, usize) {
        let (mut waiting, mut sent, mut longest) = (0, 0, 0);
        for now in (0..3_000_000).step_by(every as usize) {
            let leaves = (rate * every as usize / 1_000_000).min(waiting);
            (waiting, sent) = (waiting - leaves, sent + leaves);
            while ahead.has_room(waiting, now) {
                ahead.wrote(FRAME, now);
                waiting += FRAME;
            }
            longest = longest.max(waiting * 1_000_000 / rate);
        }
        (sent, longest)
    }

    #[test]
    fn what_waits_leaves_in_a_tenth_of_a_second_and_a_frame() {
        for rate in [300_000, 1_000_000] {
            let (sent, longest) = written(&mut Ahead::default(), rate, 5_000);
            assert!(sent > 29 * rate / 10, "{rate}: {sent}");
            let frame = FRAME * 1_000_000 / rate;
            assert!(longest <= 110_000 + frame, "{rate}: {longest}");
        }
    }

    #[test]
    fn a_fast_channel_is_kept_busy_by_a_page_that_is_late() {
        let mut ahead = Ahead::default();
        let (sent, _) = written(&mut ahead, 5_000_000, 20_000);
        assert!(sent > 13_000_000, "{sent}");
        assert!(ahead.most() <= BOUNDS.1);
    }

    #[test]
    fn a_channel_that_becomes_slow_is_given_less() {
        let mut ahead = Ahead::default();
        written(&mut ahead, 2_000_000, 5_000);
        assert!(ahead.most() > 100_000, "{ahead:?}");
        written(&mut ahead, 100_000, 5_000);
        assert_eq!(ahead.most(), BOUNDS.0);
    }
}
