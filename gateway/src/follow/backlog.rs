//! Blocks that are missing and fetched from other gateways: the newest of the stream first, so many at once, at the rate
//! that the operator set. Pure.

use std::collections::{BTreeMap, HashMap};

use cid::Cid;

/// Blocks that are known to be missing; the oldest are forgotten first, for the window moves over them.
pub(super) const MAX_BLOCKS: usize = 65_536;
/// Fetches at a time.
const AT_ONCE: usize = 16;
/// A block that nobody had is asked for again after this, microseconds, then twice as long and so on, up to the longest.
const AGAIN: (u64, u64) = (500_000, 30_000_000);

/// One block, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) cid: Cid,
    pub(super) size: u32,
    /// The rendition's id.
    pub(super) rendition: String,
    /// When its segment begins, µs since the Unix epoch.
    pub(super) start: u64,
    /// Needed before anything can be shown: an init segment, or what a live announcement waits for. The rate does not
    /// count for it.
    pub(super) urgent: bool,
}

#[derive(Clone, Copy)]
struct State {
    key: (bool, u64, u64),
    not_before: u64,
    tries: u32,
    fetching: bool,
}

/// All that is missing.
pub(super) struct Backlog {
    /// Bytes per second; 0: as fast as can be.
    rate: u64,
    /// When the next that is not urgent may begin.
    free_at: u64,
    /// By urgency, the time of their segment, and the order in which they came.
    order: BTreeMap<(bool, u64, u64), Block>,
    known: HashMap<Cid, State>,
    number: u64,
    fetching: usize,
}

impl Backlog {
    pub(super) fn new(rate: u64) -> Self {
        Self {
            rate,
            free_at: 0,
            order: BTreeMap::new(),
            known: HashMap::new(),
            number: 0,
            fetching: 0,
        }
    }

    /// A block is missing. One that is known already may become urgent; then it is asked for again at once.
    pub(super) fn add(&mut self, block: Block) {
        match self.known.get_mut(&block.cid) {
            Some(state) => {
                if block.urgent {
                    state.not_before = 0;
                }
                if block.urgent
                    && !state.key.0
                    && let Some(old) = self.order.remove(&state.key)
                {
                    let key = (true, state.key.1, state.key.2);
                    state.key = key;
                    let urgent = true;
                    self.order.insert(key, Block { urgent, ..old });
                }
            }
            None => {
                // Of one segment the first comes first.
                self.number += 1;
                let key = (block.urgent, block.start, u64::MAX - self.number);
                self.known.insert(
                    block.cid,
                    State {
                        key,
                        not_before: 0,
                        tries: 0,
                        fetching: false,
                    },
                );
                self.order.insert(key, block);
                if self.order.len() > MAX_BLOCKS {
                    self.forget_oldest();
                }
            }
        }
    }

    /// It is here, whoever gave it.
    pub(super) fn done(&mut self, cid: &Cid) {
        if let Some(state) = self.known.remove(cid) {
            self.order.remove(&state.key);
            self.fetching -= usize::from(state.fetching);
        }
    }

    /// Nobody had it.
    pub(super) fn failed(&mut self, cid: &Cid, now: u64) {
        if let Some(state) = self.known.get_mut(cid) {
            self.fetching -= usize::from(std::mem::take(&mut state.fetching));
            state.not_before = now + (AGAIN.0 << state.tries.min(16)).min(AGAIN.1);
            state.tries += 1;
        }
    }

    /// What lies before this time is not needed any more.
    pub(super) fn forget_before(&mut self, start: u64) {
        let old: Vec<Cid> = self
            .order
            .values()
            .filter(|block| block.start < start)
            .map(|block| block.cid)
            .collect();
        for cid in old {
            self.done(&cid);
        }
    }

    /// The next to fetch now; while something is `late`, only what is urgent.
    pub(super) fn next(&mut self, now: u64, late: bool) -> Option<Block> {
        if self.fetching >= AT_ONCE {
            return None;
        }
        let block = self
            .order
            .values()
            .rev()
            .find(|block| {
                let state = &self.known[&block.cid];
                let free = block.urgent || !late && now >= self.free_at;
                !state.fetching && now >= state.not_before && free
            })?
            .clone();
        let state = self.known.get_mut(&block.cid)?;
        state.fetching = true;
        self.fetching += 1;
        if !block.urgent && self.rate > 0 {
            let takes = u64::from(block.size) * 1_000_000 / self.rate;
            self.free_at = self.free_at.max(now) + takes;
        }
        Some(block)
    }

    /// When to ask [`Self::next`] again at the latest, where something is missing.
    pub(super) fn wake_at(&self, now: u64) -> Option<u64> {
        if self.fetching >= AT_ONCE || self.order.len() == self.fetching {
            return None; // the next that ends asks
        }
        // Looking through tens of thousands for the very moment is not worth it.
        Some(now + 50_000)
    }

    /// Whether nothing is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many are missing.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.order.len()
    }

    fn forget_oldest(&mut self) {
        let oldest = self.order.values().next().map(|block| block.cid);
        if let Some(cid) = oldest {
            self.done(&cid);
        }
    }
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::dag;

    use super::*;

    fn block(n: u32, start: u64, urgent: bool) -> Block {
        Block {
            cid: dag::cid_of(&n.to_le_bytes()),
            size: 100_000,
            rendition: "v".into(),
            start,
            urgent,
        }
    }

    #[test]
    fn the_newest_segment_comes_first_and_in_it_the_first_block() {
        let mut backlog = Backlog::new(0);
        for (n, start) in [(1, 10), (2, 10), (3, 20), (4, 20)] {
            backlog.add(block(n, start, false));
        }
        backlog.add(block(5, 5, true));
        let order = std::iter::from_fn(|| backlog.next(0, false));
        let starts: Vec<_> = order.map(|block| block.cid).collect();
        let expected = [(5, 5), (3, 20), (4, 20), (1, 10), (2, 10)];
        assert_eq!(
            starts,
            expected.map(|(n, start)| block(n, start, false).cid)
        );
    }

    #[test]
    fn the_rate_holds_but_not_for_what_is_urgent() {
        let mut backlog = Backlog::new(1_000_000); // ten blocks a second
        for n in 0..30 {
            backlog.add(block(n, u64::from(n), false));
        }
        let mut taken = 0;
        for now in 0..1_000 {
            while let Some(block) = backlog.next(now * 1_000, false) {
                taken += 1;
                backlog.done(&block.cid);
            }
        }
        assert_eq!(taken, 10);
        backlog.add(block(99, 0, true));
        assert!(
            backlog
                .next(999_000, false)
                .is_some_and(|block| block.urgent)
        );
        assert!(backlog.next(999_000, false).is_none());
        assert!(
            backlog.next(1_000_000, true).is_none(),
            "what is live is late"
        );
        assert!(backlog.next(1_000_000, false).is_some());
    }

    #[test]
    fn what_nobody_had_is_asked_for_later_and_later() {
        let mut backlog = Backlog::new(0);
        backlog.add(block(1, 0, false));
        let cid = block(1, 0, false).cid;
        let mut now = 0;
        for pause in [500_000, 1_000_000, 2_000_000] {
            assert!(backlog.next(now, false).is_some());
            assert!(
                backlog.next(now, false).is_none(),
                "it is asked for already"
            );
            backlog.failed(&cid, now);
            assert!(backlog.next(now + pause - 1, false).is_none());
            now += pause;
        }
        backlog.add(block(1, 0, true));
        assert!(backlog.next(now - 1, false).is_some(), "urgent now");
        backlog.done(&cid);
        assert_eq!((backlog.len(), backlog.fetching), (0, 0));
    }

    #[test]
    fn no_more_than_the_limits() {
        let mut backlog = Backlog::new(0);
        for n in 0..MAX_BLOCKS as u32 + 1 {
            backlog.add(block(n, u64::from(n), false));
        }
        assert_eq!(backlog.len(), MAX_BLOCKS);
        assert!(!backlog.known.contains_key(&block(0, 0, false).cid));
        let fetching = std::iter::from_fn(|| backlog.next(0, false)).count();
        assert_eq!(fetching, AT_ONCE);
        assert_eq!(backlog.wake_at(0), None);
        backlog.forget_before(u64::MAX);
        assert_eq!((backlog.len(), backlog.fetching), (0, 0));
    }
}
