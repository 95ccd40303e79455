//! The way from a publisher to its stream's pipeline, with a bound: a slow pipeline loses frames, never memory.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use crate::ingest::media::{Packet, SourceEvent};

/// How long an event that must not be lost waits for a pipeline that has stopped reading.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The pipeline has ended, or has not read anything for [`MAX_WAIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream's pipeline takes nothing any more")]
pub(super) struct Stuck;

/// Sends events, and counts the bytes of those that the pipeline has not taken yet.
#[derive(Debug)]
pub(super) struct Queue {
    out: mpsc::Sender<SourceEvent>,
    max_bytes: usize,
    /// Sizes of what may still be in the channel, oldest first, and their sum.
    sizes: VecDeque<usize>,
    bytes: usize,
    /// One bit per stream: frames are dropped until its next key frame.
    dropping: u8,
    dropped: u64,
}

impl Queue {
    /// At most `max_bytes` of coded frames stand in `out` (or one frame that is larger).
    pub(super) fn new(out: mpsc::Sender<SourceEvent>, max_bytes: usize) -> Queue {
        Queue {
            out,
            max_bytes,
            sizes: VecDeque::new(),
            bytes: 0,
            dropping: 0,
            dropped: 0,
        }
    }

    /// Frames dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Sends `event`: frames at once or not at all, everything else as soon as there is room.
    pub(super) async fn send(&mut self, event: SourceEvent) -> Result<(), Stuck> {
        if let SourceEvent::Packet(packet) = event {
            return self.offer(packet);
        }
        timeout(MAX_WAIT, self.out.send(event))
            .await
            .map_err(|_| Stuck)?
            .map_err(|_| Stuck)?;
        self.sizes.push_back(0);
        Ok(())
    }

    fn offer(&mut self, packet: Packet) -> Result<(), Stuck> {
        let waiting = self.out.max_capacity() - self.out.capacity();
        while self.sizes.len() > waiting {
            self.bytes -= self.sizes.pop_front().unwrap_or(0);
        }
        let bit = 1 << packet.stream;
        let size = packet.data.len();
        let full = self.bytes > 0 && self.bytes + size > self.max_bytes;
        if full || (self.dropping & bit != 0 && !packet.key) {
            self.drop_until_key(bit);
            return Ok(());
        }
        match self.out.try_send(SourceEvent::Packet(packet)) {
            Ok(()) => {
                self.dropping &= !bit;
                self.sizes.push_back(size);
                self.bytes += size;
            }
            Err(mpsc::error::TrySendError::Full(_)) => self.drop_until_key(bit),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Stuck),
        }
        Ok(())
    }

    fn drop_until_key(&mut self, bit: u8) {
        self.dropping |= bit;
        self.dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(stream: usize, key: bool, size: usize) -> SourceEvent {
        let data = Bytes::from(vec![0; size]);
        SourceEvent::Packet(Packet {
            stream,
            dts: 0,
            pts: 0,
            duration: 0,
            key,
            data,
        })
    }

    fn taken(events: &mut mpsc::Receiver<SourceEvent>) -> Vec<(usize, bool)> {
        std::iter::from_fn(|| events.try_recv().ok())
            .map(|event| match event {
                SourceEvent::Packet(packet) => (packet.stream, packet.key),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[tokio::test]
    async fn a_full_channel_drops_whole_frames_up_to_the_next_key_frame() {
        let (out, mut events) = mpsc::channel(3);
        let mut queue = Queue::new(out, 1 << 20);
        for _ in 0..5 {
            queue.send(frame(0, false, 10)).await.unwrap();
        }
        assert_eq!(queue.dropped(), 2);
        assert_eq!(taken(&mut events).len(), 3);
        queue.send(frame(0, false, 10)).await.unwrap();
        queue.send(frame(1, true, 10)).await.unwrap();
        queue.send(frame(0, true, 10)).await.unwrap();
        queue.send(frame(0, false, 10)).await.unwrap();
        assert_eq!(taken(&mut events), [(1, true), (0, true), (0, false)]);
        assert_eq!(queue.dropped(), 3);
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_what_was_taken_counts_no_more() {
        let (out, mut events) = mpsc::channel(100);
        let mut queue = Queue::new(out, 1000);
        for _ in 0..10 {
            queue.send(frame(0, true, 400)).await.unwrap();
        }
        assert_eq!(taken(&mut events).len(), 2);
        assert_eq!(queue.dropped(), 8);
        for _ in 0..10 {
            queue.send(frame(0, true, 400)).await.unwrap();
            assert_eq!(taken(&mut events).len(), 1);
        }
        // A frame larger than the bound passes alone: a stream of such frames is not starved for ever.
        queue.send(frame(0, true, 4000)).await.unwrap();
        assert_eq!(taken(&mut events).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_not_be_lost_waits_but_not_for_ever() {
        let (out, events) = mpsc::channel(1);
        let mut queue = Queue::new(out, 1000);
        queue.send(frame(0, true, 1)).await.unwrap();
        assert_eq!(queue.send(SourceEvent::End).await, Err(Stuck));
        drop(events);
        assert_eq!(queue.send(frame(0, true, 1)).await, Err(Stuck));
    }
}
