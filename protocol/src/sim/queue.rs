//! What happens when: events in the order of their time, and of their making where that is the same.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::scheduler::Micros;

/// Events to come. Those that wait lie in a slab, so that the heap moves three numbers and not a message.
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<(Micros, u64, u32)>>,
    waiting: Vec<Option<T>>,
    free: Vec<u32>,
    count: u64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
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
        self.heap.push(Reverse((at, self.count, slot)));
    }

    /// The next event, if it is due by `end`.
    pub(super) fn pop(&mut self, end: Micros) -> Option<(Micros, T)> {
        let Reverse((at, _, slot)) = *self.heap.peek()?;
        if at > end {
            return None;
        }
        self.heap.pop();
        self.free.push(slot);
        let event = self.waiting[slot as usize].take();
        Some((at, event.expect("it was put there with its time")))
    }
}
