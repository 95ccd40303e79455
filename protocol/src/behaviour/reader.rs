//! One libp2p stream that a peer opened: what it says, how fast, and for how long it may hesitate.

use std::task::{Context, Poll};

use futures::AsyncRead;

use super::{
    Protocol,
    frames::{Fault, Frames, Read},
};
use crate::{name::StreamName, scheduler::Micros};

/// A stream is named within this time, and a frame that has begun gains [`MIN_BYTES`] in each such time.
pub(super) const PATIENCE: Micros = 10_000_000;
/// The slowest link that is worth waiting for has 20 kB/s; it is shared by all parts that are under way.
const MIN_BYTES: usize = 8 << 10;
/// Messages of one stream are taken at this pace on average, microseconds each: 250 a second. What comes faster waits
/// at its sender.
const PACE: Micros = 4_000;
/// Messages that may come at once.
const BURST: Micros = 1_000 * PACE;

/// Where a reader stands.
#[derive(Debug)]
enum State {
    /// Its first frame is being read.
    Unnamed,
    /// The behaviour is asked whether the stream is followed.
    Asked(StreamName),
    Open(StreamName),
}

/// Reads one stream.
pub(super) struct Reader<S> {
    pub(super) id: u64,
    pub(super) protocol: Protocol,
    io: S,
    state: State,
    frames: Frames,
    /// When its patience was counted anew, and how much of the frame there was.
    since: (Micros, usize),
    waiting: bool,
    /// Messages are paid for up to here.
    paid: Micros,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    pub(super) fn new(id: u64, protocol: Protocol, io: S, now: Micros) -> Self {
        Self {
            id,
            protocol,
            io,
            state: State::Unnamed,
            frames: Frames::new(protocol),
            since: (now, 0),
            waiting: false,
            paid: now,
        }
    }

    /// The behaviour follows its stream; no message may be longer than `max_message`.
    pub(super) fn accept(&mut self, max_message: usize) {
        if let State::Asked(name) = &self.state {
            self.frames.max_message = max_message;
            self.state = State::Open(name.clone());
        }
    }

    /// Its stream, once accepted.
    pub(super) fn stream(&self) -> Option<&StreamName> {
        match &self.state {
            State::Open(name) => Some(name),
            _ => None,
        }
    }

    /// When [`Self::is_late`] or [`Self::poll`] has to be asked again, whatever comes.
    pub(super) fn wake_at(&self, now: Micros) -> Option<Micros> {
        if self.is_throttled(now) {
            return Some(self.paid.saturating_sub(BURST));
        }
        self.waiting.then(|| self.since.0 + PATIENCE)
    }

    /// Whether the peer has hesitated for too long.
    pub(super) fn is_late(&mut self, now: Micros) -> bool {
        if !self.waiting || now < self.since.0 + PATIENCE {
            return false;
        }
        let bytes = self.frames.half_read().unwrap_or(0);
        if !matches!(self.state, State::Open(_)) || bytes < self.since.1 + MIN_BYTES {
            return true;
        }
        self.since = (now, bytes);
        false
    }

    /// The next thing that was read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Micros) -> Poll<Result<Read, Fault>> {
        if matches!(self.state, State::Asked(_)) || self.is_throttled(now) {
            return Poll::Pending;
        }
        let read = self.frames.poll(&mut self.io, cx);
        match &read {
            Poll::Pending => {
                let open = matches!(self.state, State::Open(_));
                let waiting = !open || self.frames.half_read().is_some();
                if open && waiting && !self.waiting {
                    self.since = (now, 0);
                }
                self.waiting = waiting;
            }
            Poll::Ready(Ok(Read::Name(name))) => {
                self.waiting = false;
                self.state = State::Asked(name.clone());
            }
            Poll::Ready(Ok(Read::Message(_))) => {
                self.waiting = false;
                self.paid = self.paid.max(now) + PACE;
            }
            Poll::Ready(Ok(Read::Part { .. })) => self.waiting = false,
            Poll::Ready(_) => {}
        }
        read
    }

    fn is_throttled(&self, now: Micros) -> bool {
        self.paid > now + BURST
    }
}

#[cfg(test)]
mod tests;
