//! Frames as they are read (README §8): one at a time, each length checked before anything of it is kept.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::AsyncRead;

use super::Protocol;
use crate::{
    manifest::Rejected,
    message::{MAX_PART_FRAME_BYTES, Message, PART_HEADER_BYTES, PartHeader, Place},
    name::{StreamName, TEXT_BYTES},
};

/// Bytes that are asked for at once; memory grows with what has come, never with what was promised.
const STEP: usize = 16 << 10;
/// Longest length: 28 bits are more than any frame has.
const MAX_LENGTH_BYTES: u32 = 4;

/// What was read.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    /// The first frame.
    Name(StreamName),
    Message(Message),
    /// So many bytes of a part have come, of `size`; said once more for each 16 KiB.
    Progress {
        place: Place,
        bytes: usize,
    },
    Part {
        place: Place,
        bytes: Bytes,
    },
    /// The peer ended the stream between two frames.
    End,
}

/// Why reading ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer does not keep to the protocol.
    #[error("{0}")]
    Broken(Rejected),
}

impl From<Rejected> for Fault {
    fn from(rejected: Rejected) -> Self {
        Self::Broken(rejected)
    }
}

/// Reads the frames of one libp2p stream.
#[derive(Debug)]
pub(super) struct Frames {
    protocol: Protocol,
    /// Bytes of a message at most.
    pub(super) max_message: usize,
    /// Told by the first frame.
    stream: Option<StreamName>,
    length: usize,
    length_bytes: u32,
    length_known: bool,
    frame: Vec<u8>,
    header: Option<PartHeader>,
    told: usize,
}

impl Frames {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            max_message: 0,
            stream: None,
            length: 0,
            length_bytes: 0,
            length_known: false,
            frame: Vec::new(),
            header: None,
            told: 0,
        }
    }

    /// Bytes of the frame that is being read; `None` between two.
    pub(super) fn half_read(&self) -> Option<usize> {
        (self.length_bytes > 0).then_some(self.frame.len())
    }

    /// The next thing. After a fault or the end it is not to be called again.
    pub(super) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Read, Fault>> {
        while !self.length_known {
            let mut byte = [0];
            if ready!(Pin::new(&mut *io).poll_read(cx, &mut byte))? == 0 {
                return Poll::Ready(if self.length_bytes == 0 {
                    Ok(Read::End)
                } else {
                    Err(cut_short())
                });
            }
            self.length_byte(byte[0])?;
        }
        loop {
            if self.frame.len() == self.length {
                return Poll::Ready(self.finish());
            }
            let have = self.frame.len();
            let head = self.head_bytes();
            let want = if have < head {
                head - have
            } else {
                (self.length - have).min(STEP)
            };
            if self.frame.capacity() < have + want {
                // Doubling, but never beyond the frame, so that a part that is kept takes no more than its bytes.
                let more = (self.length - have).min(have.max(want));
                self.frame.reserve_exact(more);
            }
            self.frame.resize(have + want, 0);
            let read = Pin::new(&mut *io).poll_read(cx, &mut self.frame[have..]);
            let got = match &read {
                Poll::Ready(Ok(got)) => *got,
                _ => 0,
            };
            self.frame.truncate(have + got);
            if ready!(read)? == 0 {
                return Poll::Ready(Err(cut_short()));
            }
            if have < head && self.frame.len() == head {
                self.check_head()?;
            }
            if let Some(header) = self.header
                && (self.told == 0 || self.frame.len() >= self.told + STEP)
                && self.frame.len() < self.length
            {
                self.told = self.frame.len();
                return Poll::Ready(Ok(Read::Progress {
                    place: header.place,
                    bytes: self.frame.len() - PART_HEADER_BYTES,
                }));
            }
        }
    }

    fn length_byte(&mut self, byte: u8) -> Result<(), Rejected> {
        if self.length_bytes == MAX_LENGTH_BYTES || (byte == 0 && self.length_bytes > 0) {
            return Err(Rejected::Malformed(
                "a length that is not as short as possible",
            ));
        }
        self.length |= usize::from(byte & 0x7f) << (7 * self.length_bytes);
        self.length_bytes += 1;
        if byte & 0x80 != 0 {
            return Ok(());
        }
        self.length_known = true;
        let (what, min, max) = match (self.stream.is_some(), self.protocol) {
            (false, _) => ("name bytes", TEXT_BYTES, TEXT_BYTES),
            (true, Protocol::Control) => ("message bytes", 2, self.max_message),
            (true, Protocol::Parts) => ("part bytes", PART_HEADER_BYTES + 1, MAX_PART_FRAME_BYTES),
        };
        if self.length < min {
            return Err(Rejected::Malformed("a frame that is too short"));
        }
        within(what, self.length, max)
    }

    /// Bytes at the beginning of a frame that decide whether the rest is taken.
    fn head_bytes(&self) -> usize {
        match (self.stream.is_some(), self.protocol) {
            (false, _) => 0,
            (true, Protocol::Control) => 2,
            (true, Protocol::Parts) => PART_HEADER_BYTES,
        }
    }

    fn check_head(&mut self) -> Result<(), Rejected> {
        match self.protocol {
            Protocol::Control => {
                let max = Message::limit([self.frame[0], self.frame[1]]);
                if max == 0 {
                    return Err(Rejected::Malformed("a message of no kind that is known"));
                }
                within("message bytes", self.length, max)
            }
            Protocol::Parts => {
                let head = self.frame.first_chunk().expect("the head has 16 bytes");
                let header = PartHeader::decode(head)?;
                if self.length != PART_HEADER_BYTES + header.size as usize {
                    return Err(Rejected::Malformed("a part that is not as long as it says"));
                }
                self.header = Some(header);
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<Read, Fault> {
        let frame = Bytes::from(std::mem::take(&mut self.frame));
        (self.length, self.length_bytes, self.length_known) = (0, 0, false);
        self.told = 0;
        let Some(stream) = &self.stream else {
            let name = std::str::from_utf8(&frame).ok();
            let name = name.and_then(|name| name.parse::<StreamName>().ok());
            self.stream.clone_from(&name);
            return match name {
                Some(name) => Ok(Read::Name(name)),
                None => Err(Rejected::Malformed("a stream's name that is none").into()),
            };
        };
        match self.header.take() {
            None => Ok(Read::Message(Message::decode(&frame, stream)?)),
            Some(header) => Ok(Read::Part {
                place: header.place,
                bytes: frame.slice(PART_HEADER_BYTES..),
            }),
        }
    }
}

fn within(what: &'static str, value: usize, max: usize) -> Result<(), Rejected> {
    if value <= max {
        return Ok(());
    }
    Err(Rejected::TooBig {
        what,
        value: value as u64,
        max: max as u64,
    })
}

fn cut_short() -> Fault {
    Fault::Io(io::ErrorKind::UnexpectedEof.into())
}

/// A frame's length before its bytes.
pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests;
