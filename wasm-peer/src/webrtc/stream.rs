//! A libp2p stream over a data channel.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, future};
use send_wrapper::SendWrapper;

use super::channel::Channel;

/// A dropped stream waits so long for the other side to have read what was said. js-libp2p and go-libp2p take the same.
const FAREWELL: Duration = Duration::from_secs(10);

/// One stream of a connection. Dropped before it was closed it is reset.
pub struct Stream(SendWrapper<Rc<Channel>>);

impl Stream {
    pub(crate) fn new(channel: Rc<Channel>) -> Self {
        Self(SendWrapper::new(channel))
    }

    /// Ready when bytes can be sent.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_open(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, to)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, from)
    }

    /// What was written is with the browser already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_finish(cx)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.0.abandon() {
            return;
        }
        let channel = Rc::clone(&self.0);
        wasm_bindgen_futures::spawn_local(async move {
            let settled = future::poll_fn(|cx| channel.poll_settled(cx));
            future::select(settled, futures_timer::Delay::new(FAREWELL)).await;
        });
    }
}
