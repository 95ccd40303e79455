//! A connection as libp2p sees it. Dropped, it is closed.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use str0m::channel::ChannelId;

use super::shared::Shared;

/// The muxer.
pub(in crate::swarm) struct Connection {
    shared: Arc<Shared>,
    asked: bool,
}

impl Connection {
    /// From now on the connection lives as long as this does.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            asked: false,
        }
    }

    /// Its peer is known.
    pub(super) fn proved(&self) {
        self.shared.state().proved = true;
        self.shared.wanted.notify_one();
    }
}

#[cfg(test)]
impl Connection {
    pub(super) fn is_over(&self) -> bool {
        self.shared.state().is_over()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.state().leaves = true;
        self.shared.wanted.notify_one();
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let id = ready!(self.shared.poll_arrived(cx))?;
        Poll::Ready(Ok(self.shared.stream(id)))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        if !self.asked {
            self.asked = true;
            self.shared.state().asked += 1;
            self.shared.wanted.notify_one();
        }
        let made = ready!(self.shared.poll_made(cx));
        self.asked = false;
        Poll::Ready(made.map(|id| self.shared.stream(id)))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        ready!(self.shared.poll_over(cx));
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.state().leaves = true;
        self.shared.wanted.notify_one();
        self.shared.poll_over(cx).map(Ok)
    }
}

/// One stream. Dropped before it was closed it is reset.
pub(in crate::swarm) struct Stream {
    shared: Arc<Shared>,
    id: ChannelId,
}

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, id: ChannelId) -> Self {
        Self { shared, id }
    }
}

/// A channel is taken away only when its stream is gone.
const HELD: &str = "a channel stays while its stream does";

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.shared.state();
        let channel = state.channels.get_mut(&self.id).expect(HELD);
        channel.poll_read(cx, to)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.shared.state();
        let channel = state.channels.get_mut(&self.id).expect(HELD);
        let written = channel.poll_write(cx, from);
        drop(state);
        if written.is_ready() {
            self.shared.wanted.notify_one();
        }
        written
    }

    /// What was written is with the task already.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.shared.state();
        let channel = state.channels.get_mut(&self.id).expect(HELD);
        let finished = channel.finish();
        drop(state);
        self.shared.wanted.notify_one();
        Poll::Ready(finished)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(channel) = state.channels.get_mut(&self.id) {
            let now = Instant::now();
            channel.abandon(now);
            if channel.is_over(now) && state.is_over() {
                state.channels.remove(&self.id);
            }
        }
        drop(state);
        self.shared.wanted.notify_one();
    }
}
