//! The receiving side of a stream: messages of its data channel in, the stream's bytes out. Pure; it holds the stream's
//! [`Halves`], since every flag comes this way.

use std::{collections::VecDeque, io};

use bytes::{Buf, Bytes};

use super::{
    frame::{Decoder, Flag},
    halves::Halves,
};

/// Most bytes received and not yet read of one stream. There is no back-pressure in data channels: whoever sends more
/// without being asked is reset.
pub const MAX_RECEIVED: usize = 4 << 20;

/// What came and was not read yet.
#[derive(Debug, Default)]
pub struct Inbox {
    /// What was said of the stream's two halves.
    pub halves: Halves,
    decoder: Decoder,
    received: VecDeque<Bytes>,
    unread: usize,
    overrun: bool,
}

/// The other side does not keep to the protocol: nothing of the stream is left, and [`Flag::Reset`] is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl Inbox {
    /// Takes in a message, of which `room` more bytes may wait to be read over all streams of the connection. Gives each
    /// answer that is due, with the halves as they are then, to `answer`.
    ///
    /// # Errors
    /// When it is malformed, or more than may wait to be read.
    pub fn message(
        &mut self,
        mut message: Bytes,
        room: usize,
        mut answer: impl FnMut(&Halves, Flag),
    ) -> Result<(), Broken> {
        let most = MAX_RECEIVED.min(self.unread.saturating_add(room));
        loop {
            let frame = match self.decoder.next(&mut message) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(_) => return Err(self.give_up()),
            };
            let length = frame.payload.len();
            if length > 0 && self.halves.reads() {
                if self.unread + length > most {
                    self.overrun = true;
                    return Err(self.give_up());
                }
                self.unread += length;
                self.received.push_back(frame.payload);
            }
            if let Some(flag) = frame.flag.and_then(|flag| self.halves.receive(flag)) {
                answer(&self.halves, flag);
            }
        }
    }

    /// For a message that is none of the protocol's.
    pub fn give_up(&mut self) -> Broken {
        self.forget();
        self.halves.lost();
        Broken
    }

    /// What was received is not wanted any more.
    pub fn forget(&mut self) {
        self.received.clear();
        self.unread = 0;
    }

    /// Bytes received and not yet read; at most [`MAX_RECEIVED`].
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// How many bytes were read into `to`: 0 at the stream's end. `None`: nothing is there yet.
    ///
    /// # Errors
    /// When the stream ended before its end was said.
    pub fn read(&mut self, to: &mut [u8]) -> Option<io::Result<usize>> {
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
            return Some(Ok(read));
        }
        if self.overrun {
            let why = "more was received than may wait to be read";
            return Some(Err(io::Error::new(io::ErrorKind::QuotaExceeded, why)));
        }
        if self.halves.read_failed() {
            return Some(Err(io::ErrorKind::ConnectionReset.into()));
        }
        (!self.halves.reads()).then_some(Ok(0))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::frame::encode_payload, *};

    fn take(inbox: &mut Inbox, message: &[u8], room: usize) -> Result<Vec<Flag>, Broken> {
        let mut answers = Vec::new();
        let message = Bytes::copy_from_slice(message);
        inbox.message(message, room, |_, flag| answers.push(flag))?;
        Ok(answers)
    }

    #[test]
    fn what_came_before_the_end_is_read_then_the_end() {
        let mut inbox = Inbox::default();
        assert!(inbox.read(&mut [0; 4]).is_none());
        let message = [encode_payload(b"hello"), vec![2, 8, 0]].concat();
        // Split anywhere: a channel is a stream of bytes.
        assert_eq!(take(&mut inbox, &message[..4], usize::MAX), Ok(vec![]));
        let rest = take(&mut inbox, &message[4..], usize::MAX);
        assert_eq!(rest, Ok(vec![Flag::FinAck]));
        let mut to = [0; 4];
        assert_eq!(inbox.read(&mut to).unwrap().unwrap(), 4);
        assert_eq!((&to, inbox.unread()), (b"hell", 1));
        assert_eq!(inbox.read(&mut to).unwrap().unwrap(), 1);
        assert_eq!(inbox.read(&mut to).unwrap().unwrap(), 0);
    }

    #[test]
    fn at_the_limit_it_holds_and_past_it_the_stream_is_broken() {
        for room in [usize::MAX, 100_000] {
            let (mut inbox, limit) = (Inbox::default(), MAX_RECEIVED.min(room));
            let frame = encode_payload(&[7; 10_000]);
            for _ in 0..limit / 10_000 {
                let left = room.saturating_sub(inbox.unread());
                assert_eq!(take(&mut inbox, &frame, left), Ok(vec![]));
            }
            assert_eq!(inbox.unread(), limit / 10_000 * 10_000);
            let left = room.saturating_sub(inbox.unread());
            assert_eq!(take(&mut inbox, &frame, left), Err(Broken));
            assert_eq!(inbox.unread(), 0);
            let error = inbox.read(&mut [0; 1]).unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        }
    }

    #[test]
    fn malformed_bytes_break_it() {
        let mut inbox = Inbox::default();
        take(&mut inbox, &encode_payload(b"lost"), usize::MAX).unwrap();
        assert_eq!(take(&mut inbox, &[0xff; 11], usize::MAX), Err(Broken));
        let error = inbox.read(&mut [0; 1]).unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
