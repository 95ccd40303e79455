//! The state of one stream: what came over its data channel, what is to go, and its end. Pure.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use meshlive_protocol::channel::{
    frame::{self, Decoder, Flag, MAX_PAYLOAD},
    halves::Halves,
};

/// Most bytes received and not yet read of one stream. There is no back-pressure in data channels: whoever sends more
/// without being asked is reset.
const MAX_RECEIVED: usize = 4 << 20;
/// Writing pauses while so many bytes wait to be sent.
const HIGH_WATER: usize = 64 << 10;
/// A stream that nobody holds any more waits so long for the other side to have read what was said. js-libp2p and go-libp2p
/// take the same.
const FAREWELL: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Channel {
    halves: Halves,
    decoder: Decoder,
    received: VecDeque<Bytes>,
    unread: usize,
    /// Frames on their way out.
    outgoing: VecDeque<Vec<u8>>,
    waiting: usize,
    overrun: bool,
    closed: bool,
    /// Left without a word.
    quiet: bool,
    /// When nobody held the stream any more.
    abandoned: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Channel {
    /// The channel of the handshake: after it both sides leave it as it is, and some take a flag on it for an error.
    pub(super) fn handshake() -> Self {
        Self {
            quiet: true,
            ..Self::default()
        }
    }

    /// A message came; `budget` is how much the connection may still hold unread.
    pub(super) fn message(&mut self, message: Vec<u8>, budget: usize) {
        let mut message = Bytes::from(message);
        loop {
            match self.decoder.next(&mut message) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    let length = frame.payload.len();
                    if length > 0 && self.halves.reads() {
                        if self.unread + length > MAX_RECEIVED.min(budget) {
                            self.overrun = true;
                            self.give_up();
                            break;
                        }
                        self.unread += length;
                        self.received.push_back(frame.payload);
                    }
                    if let Some(answer) = frame.flag.and_then(|flag| self.halves.receive(flag)) {
                        self.say(answer);
                    }
                }
                Err(_) => {
                    self.give_up();
                    break;
                }
            }
        }
        self.wake();
    }

    /// The other side does not keep to the protocol.
    fn give_up(&mut self) {
        self.forget();
        self.halves.lost();
        self.outgoing.clear();
        self.waiting = 0;
        self.say(Flag::Reset);
    }

    fn forget(&mut self) {
        self.received.clear();
        self.unread = 0;
    }

    fn say(&mut self, flag: Flag) {
        if !self.closed {
            self.outgoing.push_back(frame::encode_flag(flag).to_vec());
        }
    }

    /// The channel is gone.
    pub(super) fn lost(&mut self) {
        self.closed = true;
        self.halves.lost();
        self.outgoing.clear();
        self.waiting = 0;
        self.wake();
    }

    fn wake(&mut self) {
        let woken = [self.reader.take(), self.writer.take()];
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    pub(super) fn unread(&self) -> usize {
        self.unread
    }

    /// The next frame to send; [`sent`](Self::sent) takes it away.
    pub(super) fn next(&self) -> Option<&[u8]> {
        self.outgoing.front().map(Vec::as_slice)
    }

    pub(super) fn sent(&mut self) {
        if let Some(frame) = self.outgoing.pop_front() {
            self.waiting = self.waiting.saturating_sub(frame.len());
        }
        if self.waiting < HIGH_WATER
            && let Some(writer) = self.writer.take()
        {
            writer.wake();
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut read = 0;
        while read < to.len()
            && let Some(first) = self.received.front_mut()
        {
            let taken = first.len().min(to.len() - read);
            first.copy_to_slice(&mut to[read..read + taken]);
            if first.is_empty() {
                self.received.pop_front();
            }
            read += taken;
        }
        self.unread -= read;
        if read > 0 || to.is_empty() {
            return Poll::Ready(Ok(read));
        }
        if self.overrun {
            let why = "more was received than may wait to be read";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::QuotaExceeded, why)));
        }
        if self.halves.read_failed() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !self.halves.reads() {
            return Poll::Ready(Ok(0));
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !self.halves.writes() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.waiting >= HIGH_WATER {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = from.len().min(MAX_PAYLOAD);
        if taken > 0 {
            let frame = frame::encode_payload(&from[..taken]);
            self.waiting += frame.len();
            self.outgoing.push_back(frame);
        }
        Poll::Ready(Ok(taken))
    }

    /// This side has said all.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Some(flag) = self.halves.finish() {
            self.say(flag);
            return Ok(());
        }
        match self.halves.write_failed() {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }

    /// Nobody will read or write any more.
    pub(super) fn abandon(&mut self, now: Instant) {
        self.forget();
        if let Some(flag) = self.halves.abandon()
            && !self.quiet
        {
            self.say(flag);
        }
        self.abandoned = Some(now);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.is_some()
    }

    /// Whether nobody holds it, and nothing is lost by closing it now.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let patient = |since: Instant| now.saturating_duration_since(since) < FAREWELL;
        let settled = self.quiet || self.halves.settled();
        let on_its_way = !self.outgoing.is_empty() || !settled;
        self.abandoned
            .is_some_and(|since| self.closed || !(on_its_way && patient(since)))
    }
}
