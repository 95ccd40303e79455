//! The state of one stream: what came over its data channel, what is to go, and its end. Pure.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use meshlive_protocol::channel::{
    frame::{self, Flag, MAX_PAYLOAD},
    inbox::{Broken, Inbox},
};

/// Writing pauses while so many bytes wait to be sent.
const HIGH_WATER: usize = 64 << 10;
/// A stream that nobody holds any more waits so long for the other side to have read what was said. js-libp2p and go-libp2p
/// take the same.
const FAREWELL: Duration = Duration::from_secs(10);
/// The acknowledgement of the other side's FIN waits for our own FIN, this long at most. libp2p-webrtc (its utils 0.5)
/// takes it for an error of the stream, and never reads as far when it stands behind FIN; to js-libp2p it is a signal to go on.
const ACKNOWLEDGED: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Channel {
    inbox: Inbox,
    /// Frames on their way out.
    outgoing: VecDeque<Vec<u8>>,
    waiting: usize,
    /// When the acknowledgement that waits is sent.
    acknowledged: Option<Instant>,
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

    /// A message came; `room` is how much more the connection may hold unread.
    pub(super) fn message(&mut self, now: Instant, message: Vec<u8>, room: usize) {
        let mut answers = Vec::new();
        let taken = self.inbox.message(message.into(), room, |halves, flag| {
            answers.push((flag, halves.writes()));
        });
        for (flag, writes) in answers {
            match flag {
                Flag::FinAck if writes => self.acknowledged = Some(now + ACKNOWLEDGED),
                flag => self.say(flag),
            }
        }
        if let Err(Broken) = taken {
            self.outgoing.clear();
            self.waiting = 0;
            self.say(Flag::Reset);
        }
        self.wake();
    }

    fn say(&mut self, flag: Flag) {
        if !self.closed {
            self.outgoing.push_back(frame::encode_flag(flag).to_vec());
        }
    }

    /// When [`Self::acknowledge`] has something to do.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.acknowledged
    }

    /// What was not said with our own end is said now, when it is time.
    pub(super) fn acknowledge(&mut self, now: Instant) {
        if self.acknowledged.is_some_and(|at| at <= now) {
            self.acknowledge_now();
        }
    }

    fn acknowledge_now(&mut self) {
        if self.acknowledged.take().is_some() {
            self.say(Flag::FinAck);
        }
    }

    /// The channel is gone.
    pub(super) fn lost(&mut self) {
        self.closed = true;
        self.inbox.halves.lost();
        self.outgoing.clear();
        self.waiting = 0;
        self.wake();
    }

    fn wake(&mut self) {
        let woken = [self.reader.take(), self.writer.take()];
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    pub(super) fn unread(&self) -> usize {
        self.inbox.unread()
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
        if let Some(read) = self.inbox.read(to) {
            return Poll::Ready(read);
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
        if !self.inbox.halves.writes() {
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
        if let Some(flag) = self.inbox.halves.finish() {
            self.say(flag);
            self.acknowledge_now();
            return Ok(());
        }
        match self.inbox.halves.write_failed() {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }

    /// Nobody will read or write any more.
    pub(super) fn abandon(&mut self, now: Instant) {
        self.inbox.forget();
        self.acknowledge_now();
        if let Some(flag) = self.inbox.halves.abandon()
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
        let settled = self.quiet || self.inbox.halves.settled();
        let on_its_way = !self.outgoing.is_empty() || !settled;
        self.abandoned
            .is_some_and(|since| self.closed || !(on_its_way && patient(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIN: [u8; 3] = [2, 8, 0];
    const FIN_ACK: [u8; 3] = [2, 8, 3];

    /// What it says until it has nothing more to say.
    fn said(channel: &mut Channel) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        while let Some(frame) = channel.next().map(<[u8]>::to_vec) {
            channel.sent();
            said.push(frame);
        }
        said
    }

    fn write(channel: &mut Channel, bytes: &[u8]) -> Poll<io::Result<usize>> {
        channel.poll_write(&mut Context::from_waker(Waker::noop()), bytes)
    }

    fn read(channel: &mut Channel, bytes: usize) -> Poll<io::Result<usize>> {
        channel.poll_read(&mut Context::from_waker(Waker::noop()), &mut vec![0; bytes])
    }

    #[test]
    fn fin_is_acknowledged_behind_our_own_or_after_a_second() {
        let (now, mut channel) = (Instant::now(), Channel::default());
        channel.message(now, FIN.to_vec(), usize::MAX);
        assert!(matches!(read(&mut channel, 1), Poll::Ready(Ok(0))));
        let answer = write(&mut channel, b"answer");
        assert!(matches!(answer, Poll::Ready(Ok(6))));
        channel.finish().unwrap();
        assert_eq!(said(&mut channel)[1..], [FIN, FIN_ACK]);

        let mut slow = Channel::default();
        slow.message(now, FIN.to_vec(), usize::MAX);
        slow.acknowledge(now);
        assert!(said(&mut slow).is_empty());
        let at = slow.wake_at().unwrap();
        assert_eq!(at, now + ACKNOWLEDGED);
        slow.acknowledge(at);
        assert_eq!(said(&mut slow), [FIN_ACK]);
        assert_eq!(slow.wake_at(), None);
    }

    #[test]
    fn who_leaves_a_stream_acknowledges_at_once() {
        let (now, mut channel) = (Instant::now(), Channel::default());
        channel.message(now, FIN.to_vec(), usize::MAX);
        channel.abandon(now);
        assert_eq!(said(&mut channel), [FIN_ACK, [2, 8, 2]]);
        assert!(channel.is_over(now));
    }

    #[test]
    fn more_than_may_wait_resets_the_stream() {
        let (now, mut channel) = (Instant::now(), Channel::default());
        let frame = frame::encode_payload(&[7; 10_000]);
        channel.message(now, frame.clone(), 10_000);
        assert_eq!(channel.unread(), 10_000);
        assert!(said(&mut channel).is_empty());
        channel.message(now, frame, 9_999);
        assert_eq!(channel.unread(), 0);
        assert_eq!(said(&mut channel), [[2, 8, 2]]);
        assert!(matches!(read(&mut channel, 1), Poll::Ready(Err(_))));
    }

    #[test]
    fn writing_pauses_at_the_high_water_and_goes_on_below() {
        let mut channel = Channel::default();
        let mut taken = 0;
        while let Poll::Ready(Ok(more)) = write(&mut channel, &[7; MAX_PAYLOAD]) {
            taken += more;
        }
        assert!((HIGH_WATER - MAX_PAYLOAD..HIGH_WATER + MAX_PAYLOAD).contains(&taken));
        channel.sent();
        assert!(write(&mut channel, b"more").is_ready());
    }

    #[test]
    fn a_stream_that_nobody_holds_ends_after_its_farewell() {
        let (now, mut channel) = (Instant::now(), Channel::default());
        channel.finish().unwrap();
        channel.abandon(now);
        said(&mut channel);
        assert!(
            !channel.is_over(now),
            "what was said may not have been read"
        );
        assert!(channel.is_over(now + FAREWELL));
    }
}
