//! What the origin said, in its order, until the blocks it names are here. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use cid::Cid;

/// An announcement is told after so long, microseconds, also where a block is missing: nobody else's is to be late for it.
pub(super) const PATIENCE: u64 = 2_000_000;
/// A window is, after so long: what came before this mirror joined is much.
pub(super) const LONG_PATIENCE: u64 = 5_000_000;
/// What was said so long ago, microseconds, and is not told is late.
const LATE: u64 = 300_000;
/// So many wait at most; one more, and the first is told at once. At five a second these are 50 seconds.
pub(super) const MAX_WAITING: usize = 256;

/// What happened.
pub(super) enum Input<T> {
    /// The origin said something; these blocks of it are not here. `anew`: it makes what was said before void.
    Heard {
        what: T,
        lacks: HashSet<Cid>,
        anew: bool,
    },
    /// A block is stored.
    Stored(Cid),
    /// Time passed.
    Wake,
}

/// Those that wait.
pub(super) struct Line<T> {
    waiting: VecDeque<Waiting<T>>,
    /// How many of those that wait lack a block.
    lacked: HashMap<Cid, usize>,
}

struct Waiting<T> {
    what: T,
    lacks: HashSet<Cid>,
    since: u64,
    until: u64,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            lacked: HashMap::new(),
        }
    }
}

impl<T> Line<T> {
    /// Gives what is to be told now, in order, and the blocks that were waited for in vain.
    pub(super) fn handle(&mut self, input: Input<T>, now: u64) -> (Vec<T>, Vec<Cid>) {
        match input {
            Input::Heard { what, lacks, anew } => {
                if anew {
                    self.waiting.clear();
                    self.lacked.clear();
                }
                for cid in &lacks {
                    *self.lacked.entry(*cid).or_default() += 1;
                }
                let patience = if anew { LONG_PATIENCE } else { PATIENCE };
                self.waiting.push_back(Waiting {
                    what,
                    lacks,
                    since: now,
                    until: now + patience,
                });
            }
            Input::Stored(cid) => {
                if self.lacked.remove(&cid).is_some() {
                    for one in &mut self.waiting {
                        one.lacks.remove(&cid);
                    }
                }
            }
            Input::Wake => {}
        }
        let (mut told, mut missing) = (Vec::new(), Vec::new());
        while let Some(first) = self.waiting.front() {
            let full = self.waiting.len() > MAX_WAITING;
            if !first.lacks.is_empty() && now < first.until && !full {
                break;
            }
            let Some(first) = self.waiting.pop_front() else {
                break;
            };
            for cid in first.lacks {
                if let Some(count) = self.lacked.get_mut(&cid) {
                    *count -= 1;
                    if *count == 0 {
                        self.lacked.remove(&cid);
                    }
                }
                missing.push(cid);
            }
            told.push(first.what);
        }
        (told, missing)
    }

    /// Whether the first has waited so long that what is less urgent is to wait.
    pub(super) fn is_late(&self, now: u64) -> bool {
        self.waiting
            .front()
            .is_some_and(|first| now > first.since + LATE)
    }

    /// When [`Input::Wake`] is due.
    pub(super) fn wake_at(&self) -> Option<u64> {
        self.waiting.front().map(|first| first.until)
    }
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::dag;

    use super::*;

    const NONE: [u32; 0] = [];

    fn cid(n: u8) -> Cid {
        dag::cid_of(&[n])
    }

    fn heard(what: u32, lacks: &[u8]) -> Input<u32> {
        Input::Heard {
            what,
            lacks: lacks.iter().map(|n| cid(*n)).collect(),
            anew: false,
        }
    }

    #[test]
    fn what_is_whole_waits_for_what_came_before_it() {
        let mut line = Line::default();
        assert_eq!(line.handle(heard(1, &[1, 2]), 0).0, NONE);
        assert_eq!(line.handle(heard(2, &[2]), 0).0, NONE);
        assert_eq!(line.handle(heard(3, &[]), 0).0, NONE);
        assert_eq!(line.handle(Input::Stored(cid(2)), 1).0, NONE);
        assert_eq!(line.handle(Input::Stored(cid(1)), 2).0, [1, 2, 3]);
        assert_eq!((line.wake_at(), line.lacked.len()), (None, 0));
        assert_eq!(line.handle(heard(4, &[]), 3).0, [4], "nothing to wait for");
    }

    #[test]
    fn a_block_that_never_comes_is_waited_for_so_long_and_named() {
        let mut line = Line::default();
        line.handle(heard(1, &[1]), 0);
        line.handle(heard(2, &[1, 2]), 100);
        assert_eq!(line.wake_at(), Some(PATIENCE));
        assert_eq!(line.handle(Input::Wake, PATIENCE - 1).0, NONE);
        let (told, missing) = line.handle(Input::Wake, PATIENCE);
        assert_eq!((told, missing), (vec![1], vec![cid(1)]));
        assert_eq!(line.handle(Input::Stored(cid(1)), PATIENCE).0, NONE);
        assert_eq!(line.handle(Input::Stored(cid(2)), PATIENCE).0, [2]);
    }

    #[test]
    fn a_window_makes_what_waits_void() {
        let mut line = Line::default();
        line.handle(heard(1, &[1]), 0);
        let (lacks, anew) = (HashSet::from([cid(2)]), true);
        let what = 9;
        assert_eq!(line.handle(Input::Heard { what, lacks, anew }, 5).0, NONE);
        assert_eq!(line.wake_at(), Some(5 + LONG_PATIENCE));
        assert_eq!(line.handle(Input::Stored(cid(2)), 6).0, [9]);
    }

    #[test]
    fn no_more_wait_than_the_limit() {
        let mut line = Line::default();
        for n in 0..MAX_WAITING as u32 {
            assert_eq!(line.handle(heard(n, &[1]), 0).0, NONE);
        }
        assert_eq!(line.handle(heard(999, &[1]), 0).0, [0]);
        assert_eq!(line.waiting.len(), MAX_WAITING);
    }
}
