//! What waits to be sent on one link: filled by the behaviour, emptied by the connection's handler, bounded here.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use bytes::Bytes;

use crate::message::{MAX_CONTROL_FRAME_BYTES, Place};

/// Messages that may wait.
pub(super) const MAX_MESSAGES: usize = 1024;
/// Bytes of messages that may wait: a manifest of the longest kind and much beside it.
pub(super) const MAX_MESSAGE_BYTES: usize = 2 * MAX_CONTROL_FRAME_BYTES;
/// Bytes of parts that may wait; they are shared with the cache.
pub(super) const MAX_PART_BYTES: usize = 8 << 20;

/// There is no room.
#[derive(Debug, PartialEq)]
pub(super) struct Full;

/// Shared by a link and its connection's handler.
#[derive(Debug, Default)]
pub struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Bytes>,
    message_bytes: usize,
    parts: VecDeque<(Place, Bytes)>,
    part_bytes: usize,
    waker: Option<Waker>,
}

impl Queue {
    /// One encoded message.
    pub(super) fn push_message(&self, message: Bytes) -> Result<(), Full> {
        let mut waiting = self.lock();
        let bytes = waiting.message_bytes + message.len();
        if waiting.messages.len() == MAX_MESSAGES || bytes > MAX_MESSAGE_BYTES {
            return Err(Full);
        }
        waiting.message_bytes = bytes;
        waiting.messages.push_back(message);
        waiting.wake();
        Ok(())
    }

    pub(super) fn push_part(&self, place: Place, part: Bytes) -> Result<(), Full> {
        let mut waiting = self.lock();
        let bytes = waiting.part_bytes + part.len();
        if bytes > MAX_PART_BYTES {
            return Err(Full);
        }
        waiting.part_bytes = bytes;
        waiting.parts.push_back((place, part));
        waiting.wake();
        Ok(())
    }

    /// Takes a part back, if it has not begun to leave.
    pub(super) fn unsend(&self, place: Place) {
        let mut waiting = self.lock();
        let found = waiting.parts.iter().position(|(at, _)| *at == place);
        if let Some((_, part)) = found.and_then(|at| waiting.parts.remove(at)) {
            waiting.part_bytes -= part.len();
        }
    }

    /// Forgets the parts that have not begun to leave.
    pub(super) fn clear_parts(&self) {
        let mut waiting = self.lock();
        waiting.parts.clear();
        waiting.part_bytes = 0;
    }

    pub(super) fn next_message(&self) -> Option<Bytes> {
        let mut waiting = self.lock();
        let message = waiting.messages.pop_front()?;
        waiting.message_bytes -= message.len();
        Some(message)
    }

    pub(super) fn next_part(&self) -> Option<(Place, Bytes)> {
        let mut waiting = self.lock();
        let (place, part) = waiting.parts.pop_front()?;
        waiting.part_bytes -= part.len();
        Some((place, part))
    }

    pub(super) fn has_parts(&self) -> bool {
        !self.lock().parts.is_empty()
    }

    /// The handler is woken when something is pushed after this.
    pub(super) fn wake_on_push(&self, cx: &Context<'_>) {
        let mut waiting = self.lock();
        if !(waiting.waker.as_ref()).is_some_and(|waker| waker.will_wake(cx.waker())) {
            waiting.waker = Some(cx.waker().clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(part: u32) -> Place {
        Place {
            msn: 7,
            part,
            rendition: 0,
        }
    }

    #[test]
    fn messages_are_bounded_in_number_and_bytes() {
        let queue = Queue::default();
        for _ in 0..MAX_MESSAGES {
            queue.push_message(Bytes::from_static(b"x")).unwrap();
        }
        assert_eq!(queue.push_message(Bytes::from_static(b"x")), Err(Full));
        queue.next_message().unwrap();
        queue.push_message(Bytes::from_static(b"x")).unwrap();

        let queue = Queue::default();
        let half = Bytes::from(vec![0; MAX_MESSAGE_BYTES / 2]);
        queue.push_message(half.clone()).unwrap();
        queue.push_message(half).unwrap();
        assert_eq!(queue.push_message(Bytes::from_static(b"xx")), Err(Full));
    }

    #[test]
    fn parts_are_bounded_in_bytes_and_can_be_taken_back() {
        let queue = Queue::default();
        let part = Bytes::from(vec![0; 1 << 20]);
        for n in 0..8 {
            queue.push_part(place(n), part.clone()).unwrap();
        }
        assert_eq!(queue.push_part(place(8), part.clone()), Err(Full));
        queue.unsend(place(3));
        queue.unsend(place(3));
        queue.push_part(place(8), part.clone()).unwrap();
        assert_eq!(queue.push_part(place(9), part.clone()), Err(Full));
        let order: Vec<u32> = std::iter::from_fn(|| queue.next_part())
            .map(|(place, _)| place.part)
            .collect();
        assert_eq!(order, [0, 1, 2, 4, 5, 6, 7, 8]);
        assert!(!queue.has_parts());
        queue.push_part(place(9), part).unwrap();
        queue.clear_parts();
        assert!(!queue.has_parts());
    }
}
