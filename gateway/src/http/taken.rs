//! A socket that fails when its client takes nothing for too long, and into which what lies in a file of memory
//! ([`Files`]) goes without a copy.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::{
    fs::sendfile,
    net::{SendAncillaryBuffer, SendFlags, sendmsg},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::files::{Files, Place};

/// A client's socket.
pub(super) struct Taken {
    socket: TcpStream,
    patience: Duration,
    files: Arc<Files>,
    /// Runs while bytes wait to be taken.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Taken {
    /// Waits for the client for as long as `patience`.
    pub(super) fn new(socket: TcpStream, patience: Duration, files: Arc<Files>) -> Self {
        Self {
            socket,
            patience,
            files,
            stalled: None,
        }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes slices of which the last is in a file; an error says that it cannot be done this way.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
        place: &Place,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_write_ready(cx))?;
            let send = || send(&self.socket, from, place);
            match self.socket.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

/// Sends slices of which the last is in a file, as many of their bytes as the socket takes.
fn send(socket: &TcpStream, from: &[IoSlice<'_>], place: &Place) -> io::Result<usize> {
    let Some((body, head)) = from.split_last() else {
        return Ok(0);
    };
    let before = head.iter().map(|slice| slice.len()).sum();
    if before > 0 {
        // It waits in the socket, to leave in one packet with what follows.
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        let sent = sendmsg(socket, head, &mut SendAncillaryBuffer::default(), flags)?;
        if sent < before {
            return Ok(sent);
        }
    }
    let mut offset = place.offset;
    match sendfile(socket, &*place.file, Some(&mut offset), body.len()) {
        Ok(sent) if sent > 0 => Ok(before + sent),
        // The head has gone: the body gets its own turn, and its own error.
        _ if before > 0 => Ok(before),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Err(error.into()),
    }
}

impl AsyncRead for Taken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, to)
    }
}

impl AsyncWrite for Taken {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let place = from.last().and_then(|body| self.files.find(body));
        let sent = place.map(|place| self.poll_send(cx, from, &place));
        let written = match sent {
            Some(sent) if !matches!(sent, Poll::Ready(Err(_))) => sent,
            // The bytes are in memory as well. Should the socket be what failed, it fails again.
            _ => Pin::new(&mut self.socket).poll_write_vectored(cx, from),
        };
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
