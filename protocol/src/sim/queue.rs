//! What happens when: events in the order of their time, and of their making where that is the same.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::scheduler::Micros;

/// Events of so many microseconds are put in order at a time, and there are so many such turns in a round.
const TURN: Micros = 1 << 9;
const TURNS: Micros = 1 << 13;

/// Time, number in the order of making, slot.
type Entry = Reverse<(Micros, u64, u32)>;

/// Events to come. Those that wait lie in a slab, so that three numbers are put in order and not a message; and only
/// those of the turn that has come are, because millions of numbers in one heap are all over the memory.
pub(super) struct Queue<T> {
    /// Of the turn that has come, and of any before.
    now: BinaryHeap<Entry>,
    turn: Micros,
    /// Of the turns of this round and the next up to there, by the rest of their number.
    turns: Vec<Vec<Entry>>,
    in_turns: usize,
    /// Of all turns behind.
    later: BinaryHeap<Entry>,
    waiting: Vec<Option<T>>,
    free: Vec<u32>,
    count: u64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            now: BinaryHeap::new(),
            turn: 0,
            turns: (0..TURNS).map(|_| Vec::new()).collect(),
            in_turns: 0,
            later: BinaryHeap::new(),
            waiting: Vec::new(),
            free: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn push(&mut self, at: Micros, event: T) {
        self.count += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            u32::try_from(self.waiting.len() - 1).expect("memory ends before")
        });
        self.waiting[slot as usize] = Some(event);
        self.put(Reverse((at, self.count, slot)));
    }

    fn put(&mut self, entry: Entry) {
        let turn = entry.0.0 / TURN;
        if turn <= self.turn {
            self.now.push(entry);
        } else if turn < self.turn + TURNS {
            self.turns[(turn % TURNS) as usize].push(entry);
            self.in_turns += 1;
        } else {
            self.later.push(entry);
        }
    }

    /// The next event, if it is due by `end`.
    pub(super) fn pop(&mut self, end: Micros) -> Option<(Micros, T)> {
        while self.now.is_empty() {
            if self.turn >= end / TURN {
                return None;
            }
            self.turn_to(self.next_turn().min(end / TURN));
        }
        let Reverse((at, _, slot)) = *self.now.peek()?;
        if at > end {
            return None;
        }
        self.now.pop();
        self.free.push(slot);
        let event = self.waiting[slot as usize].take();
        Some((at, event.expect("it was put there with its time")))
    }

    /// Nothing happens before; where nothing waits for its turn there are none to be asked one after the other.
    fn next_turn(&self) -> Micros {
        match (self.in_turns, self.later.peek()) {
            (0, Some(Reverse((at, ..)))) => (at / TURN).max(self.turn + 1),
            (0, None) => Micros::MAX,
            _ => self.turn + 1,
        }
    }

    fn turn_to(&mut self, turn: Micros) {
        self.turn = turn;
        let due = std::mem::take(&mut self.turns[(turn % TURNS) as usize]);
        self.in_turns -= due.len();
        self.now = due.into();
        // What is in this round by now.
        while let Some(Reverse((at, ..))) = self.later.peek()
            && at / TURN < turn + TURNS
            && let Some(entry) = self.later.pop()
        {
            self.put(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::random::Random;

    #[test]
    fn events_come_in_the_order_of_their_time_and_of_their_making() {
        let mut random = Random::new(3);
        let mut queue = Queue::new();
        let mut left: Vec<(Micros, u64)> = Vec::new();
        let mut made = 0;
        let mut now = 0;
        for step in 0..3000 {
            for _ in 0..random.below(5) {
                // At once, soon, in another round; some at the same time.
                let far = [1, 2000, TURN * TURNS * 3][random.below(3)];
                let at = now + random.below(far as usize) as Micros;
                queue.push(at, made);
                left.push((at, made));
                made += 1;
            }
            let end = now + random.below(if step % 100 == 0 { 9_000_000 } else { 3000 }) as Micros;
            while let Some((at, event)) = queue.pop(end) {
                let first = *left.iter().min().expect("what came was left");
                assert_eq!((at, event), first);
                assert!(at <= end);
                left.retain(|entry| *entry != first);
            }
            assert!(
                left.iter().all(|(at, _)| *at > end),
                "all that was due came"
            );
            now = end;
        }
        assert!(made > 4000 && left.len() < 4000);
    }
}
