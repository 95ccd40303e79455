//! libp2p over the gateway's own HTTP port: a WebSocket that HTTP has accepted becomes an incoming connection.
//!
//! HTTP hands each upgraded socket to [`Door::arrive`]; the [`Transport`] at the other end of that channel gives it to the
//! swarm. Bytes travel in binary messages whose borders mean nothing (libp2p's websocket convention).

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::ws::{Message, WebSocket};
use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncRead, AsyncWrite, Sink, Stream, future};
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Sleep, sleep},
};

/// The longest message of a peer; libp2p's Noise frames have at most 65,537 bytes, and some peers send several at once.
pub(crate) const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// The longest message to a peer.
const MAX_SENT_BYTES: usize = 64 * 1024;
/// What is written within this time leaves together. A new connection has ten packets under way, however small they are, and
/// a newcomer's first answer had more: the last of it came a round trip later.
const TOGETHER: Duration = Duration::from_millis(1);

/// An accepted WebSocket on its way into the swarm.
pub(crate) struct Arrival {
    pub(crate) socket: WebSocket,
    pub(crate) from: SocketAddr,
    /// Its place among all connections; given back when the socket is gone.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Yields what HTTP accepts; it neither listens nor dials itself.
pub(super) struct Transport {
    arrivals: mpsc::Receiver<Arrival>,
    /// Where HTTP listens.
    local: Multiaddr,
    id: ListenerId,
}

impl Transport {
    pub(super) fn new(arrivals: mpsc::Receiver<Arrival>, http: SocketAddr) -> Self {
        Self {
            arrivals,
            local: address(http),
            id: ListenerId::next(),
        }
    }
}

/// `/ip4/…/tcp/…/ws`
pub(super) fn address(http: SocketAddr) -> Multiaddr {
    Multiaddr::from(http.ip())
        .with(Protocol::Tcp(http.port()))
        .with(Protocol::Ws("/".into()))
}

impl libp2p::Transport for Transport {
    type Output = Socket;
    type Error = io::Error;
    type ListenerUpgrade = future::Ready<io::Result<Socket>>;
    type Dial = future::Pending<io::Result<Socket>>;

    fn listen_on(
        &mut self,
        _id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _id: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let Some(arrival) = ready!(self.arrivals.poll_recv(cx)) else {
            return Poll::Pending; // HTTP has ended; so will the swarm
        };
        Poll::Ready(TransportEvent::Incoming {
            listener_id: self.id,
            local_addr: self.local.clone(),
            send_back_addr: address(arrival.from),
            upgrade: future::ready(Ok(Socket::new(arrival))),
        })
    }
}

/// A WebSocket as a stream of bytes.
pub(super) struct Socket {
    socket: WebSocket,
    /// What is left of the message that was read last.
    rest: Bytes,
    /// What is to leave with the next message, and when that does.
    gathered: BytesMut,
    leaves: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Socket {
    fn new(arrival: Arrival) -> Self {
        Self {
            socket: arrival.socket,
            rest: Bytes::new(),
            gathered: BytesMut::new(),
            leaves: None,
            _place: arrival.place,
        }
    }
}

fn broken(error: axum::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {} // answered underneath
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a text message where libp2p sends binary ones",
                    )));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(0)),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let length = self.rest.len().min(to.len());
        self.rest.copy_to_slice(&mut to[..length]);
        Poll::Ready(Ok(length))
    }
}

impl Socket {
    /// Hands what was gathered over.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.gathered.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(broken)?;
            let message = Message::Binary(self.gathered.split().freeze());
            let sent = Pin::new(&mut self.socket).start_send(message);
            sent.map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() == MAX_SENT_BYTES {
            ready!(self.poll_send(cx))?;
        }
        let length = from.len().min(MAX_SENT_BYTES - self.gathered.len());
        self.gathered.extend_from_slice(&from[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.gathered.is_empty() {
            let leaves = self.leaves.get_or_insert_with(|| Box::pin(sleep(TOGETHER)));
            ready!(leaves.as_mut().poll(cx));
            ready!(self.poll_send(cx))?;
        }
        self.leaves = None;
        Pin::new(&mut self.socket).poll_flush(cx).map_err(broken)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_close(cx).map_err(broken)
    }
}

/// The peer that a multiaddr ends with is added where it is announced.
pub(super) fn with_peer(address: Multiaddr, peer: PeerId) -> Multiaddr {
    address.with(Protocol::P2p(peer))
}
