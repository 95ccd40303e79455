//! One libp2p stream that is written here: frames, one behind another.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures::{AsyncRead, AsyncWrite};

use super::frames::put_length;
use crate::{
    message::{PART_HEADER_BYTES, PartHeader, Place},
    name::StreamName,
};

/// The first bytes of a part are copied behind its header: one frame of the transport below takes both, and a part of
/// this size needs no other.
const TOGETHER: usize = 16 << 10;

/// Something to write.
pub(super) struct Frame {
    head: Bytes,
    body: Bytes,
    /// What it was, if a part.
    pub(super) part: Option<(Place, usize)>,
}

impl Frame {
    pub(super) fn name(stream: &StreamName) -> Self {
        Self::message(stream.to_string().as_bytes())
    }

    pub(super) fn message(message: &[u8]) -> Self {
        let mut head = Vec::with_capacity(message.len() + 4);
        put_length(&mut head, message.len());
        head.extend_from_slice(message);
        Self {
            head: head.into(),
            body: Bytes::new(),
            part: None,
        }
    }

    pub(super) fn part(place: Place, part: Bytes) -> Self {
        let size = part.len();
        let header = PartHeader {
            place,
            size: size as u32, // 1 MiB at most: what is longer is no part, and its reader refuses it
        };
        let together = size.min(TOGETHER);
        let mut head = Vec::with_capacity(4 + PART_HEADER_BYTES + together);
        put_length(&mut head, PART_HEADER_BYTES + size);
        head.extend_from_slice(&header.encode());
        head.extend_from_slice(&part[..together]);
        Self {
            head: head.into(),
            body: part.slice(together..),
            part: Some((place, size)),
        }
    }
}

/// A stream and the frame that is being written.
pub(super) struct Pipe<S> {
    io: S,
    frame: Option<Frame>,
    /// Bytes written so far, to see whether it moves.
    pub(super) written: u64,
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    pub(super) fn new(io: S, first: Frame) -> Self {
        Self {
            io,
            frame: Some(first),
            written: 0,
            unflushed: false,
        }
    }

    /// Whether the peer is to take something.
    pub(super) fn is_busy(&self) -> bool {
        self.frame.is_some() || self.unflushed
    }

    /// Writes what `next` gives; ready with each part that has left, pending when there is nothing to do.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut() -> Option<Frame>,
    ) -> Poll<io::Result<(Place, usize)>> {
        // Nothing is ever said on it: what can be read is its end, told when the peer does not follow the stream any more.
        if Pin::new(&mut self.io).poll_read(cx, &mut [0]).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        loop {
            if self.frame.is_none() {
                self.frame = next();
            }
            let Some(frame) = &mut self.frame else {
                if self.unflushed {
                    ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            };
            let rest = if frame.head.has_remaining() {
                &mut frame.head
            } else {
                &mut frame.body
            };
            if rest.is_empty() {
                let part = frame.part;
                self.frame = None;
                match part {
                    Some(part) => return Poll::Ready(Ok(part)),
                    None => continue,
                }
            }
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            rest.advance(written);
            self.written += written as u64;
            self.unflushed = true;
        }
    }
}
