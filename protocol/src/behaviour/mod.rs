//! The one libp2p driver of the [engine](crate::scheduler), for gateway and browser alike (README §8).
//!
//! It owns a [`Scheduler`] for each stream that is followed here, carries messages and parts between them and their
//! peers, and wakes them. What it cannot do itself (dial, fetch over HTTP, tell the player) comes out as [`Event`]s.
//!
//! A **link** is a peer and a stream, over a direct connection: relayed ones carry signalling and nothing of ours.
//! Each side writes on libp2p streams that it opened itself. Where two connections to a peer stand, each side writes on
//! the one it likes; a link moves to another connection when its own is gone or when the peer has moved.
//!
//! Bounds, each with its test: `queue` (what waits to be sent), `reader` (how fast and how patiently is read), `frames`
//! (lengths), `handler` (libp2p streams of one connection), [`MAX_BANNED`]. A peer that takes or says too little or too
//! much loses its link, one that breaks the protocol is banned.

mod alarm;
mod engine;
mod frames;
mod handler;
#[cfg(any(test, feature = "liar"))]
mod liar;
mod links;
mod pipe;
mod protocols;
mod queue;
mod reader;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashSet, VecDeque},
    task::{Context, Poll, Waker},
};

use libp2p_core::{Endpoint, Multiaddr, multiaddr, transport::PortUse};
use libp2p_identity::PeerId;
use libp2p_swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};

#[cfg(any(test, feature = "liar"))]
pub use self::liar::Lie;
use self::{alarm::Alarm, engine::Followed, links::Peer};
pub use self::{
    handler::{Command, Handler, Report},
    protocols::{Protocol, Protocols},
    queue::Queue,
};
use crate::{
    manifest::Rejected,
    name::StreamName,
    scheduler::{Input, Micros, Output, Scheduler},
    sorted::SortedMap,
};

/// Liars that are remembered; the oldest are forgotten first.
pub const MAX_BANNED: usize = 1024;

/// What was sent, as the gateway's metrics tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SentKind {
    /// The bytes of parts.
    Part,
    /// Announcements and manifests.
    Announcement,
    /// All other messages.
    Other,
}

/// What the driver's owner has to do or may count.
#[derive(Debug)]
#[expect(missing_docs, reason = "what a variant says tells of its fields")]
pub enum Event {
    /// Dial, Fetch, Abort, Ready, Gone or News; everything else is done inside.
    Output { stream: StreamName, output: Output },
    /// So many bytes went to peers, frames' lengths not counted.
    Sent {
        stream: StreamName,
        kind: SentKind,
        bytes: usize,
    },
    /// A link ended, for the log.
    Unlinked {
        stream: StreamName,
        peer: PeerId,
        why: String,
    },
}

/// The engines of all streams that are followed here, joined to a libp2p Swarm.
pub struct Behaviour {
    now: fn() -> Micros,
    streams: SortedMap<StreamName, Followed>,
    peers: SortedMap<PeerId, Peer>,
    gateways: HashSet<PeerId>,
    banned: VecDeque<PeerId>,
    /// Dials that an engine waits for.
    dialled: SortedMap<PeerId, Vec<StreamName>>,
    next_link: u64,
    /// What engines have to hear as soon as the one that speaks has finished.
    inbox: VecDeque<(StreamName, Input<'static>)>,
    actions: VecDeque<ToSwarm<Event, Command>>,
    /// Bytes said but not told yet.
    sent: SortedMap<(StreamName, SentKind), usize>,
    /// When links have to be looked at.
    look_at: Option<Micros>,
    alarm: Alarm,
    waker: Option<Waker>,
    #[cfg(any(test, feature = "liar"))]
    liar: liar::Liar,
}

/// The peer lied before.
#[derive(Debug, thiserror::Error)]
#[error("{0} is banned: it lied or broke the protocol")]
struct Banned(PeerId);

impl Behaviour {
    /// Nothing is followed. `now` is the driver's clock, microseconds; it never goes back.
    pub fn new(now: fn() -> Micros) -> Self {
        Self {
            now,
            streams: SortedMap::new(),
            peers: SortedMap::new(),
            gateways: HashSet::new(),
            banned: VecDeque::new(),
            dialled: SortedMap::new(),
            next_link: 0,
            inbox: VecDeque::new(),
            actions: VecDeque::new(),
            sent: SortedMap::new(),
            look_at: None,
            alarm: Alarm::default(),
            waker: None,
            #[cfg(any(test, feature = "liar"))]
            liar: liar::Liar::default(),
        }
    }

    /// Follows a stream. Who `greets` opens its side of the link on every direct connection at once (viewers); others
    /// answer (gateways). A stream that was open is opened anew.
    pub fn open(&mut self, stream: StreamName, scheduler: Scheduler, greets: bool) {
        self.close(&stream);
        self.streams
            .insert(stream.clone(), Followed { scheduler, greets });
        if greets {
            for peer in self.peers.keys().copied().collect::<Vec<_>>() {
                self.greet(peer, &stream);
            }
        }
        self.pump(&stream);
        self.settle();
    }

    /// No longer follows it: its links end.
    pub fn close(&mut self, stream: &StreamName) {
        self.streams.remove(stream);
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.unlink(peer, stream, "the stream is not followed any more");
        }
        self.settle();
    }

    /// Links to this peer are to a gateway. Those that stand already are told to the engine anew.
    pub fn gateway(&mut self, peer: PeerId) {
        if self.gateways.insert(peer) {
            self.relabel(peer);
            self.settle();
        }
    }

    /// Tells an engine what happened outside of the network; a stream that is not followed is passed over.
    ///
    /// # Errors
    /// Why an [`Input::Envelope`] was rejected.
    pub fn input(&mut self, stream: &StreamName, input: Input<'_>) -> Result<(), Rejected> {
        let taken = self.handle(stream, input);
        self.settle();
        taken
    }

    /// Has a stream's window asked for, signed as it is now ([`Scheduler::signed`]).
    pub fn renew(&mut self, stream: &StreamName) {
        let now = (self.now)();
        if let Some(followed) = self.streams.get_mut(stream) {
            followed.scheduler.renew(now);
            self.pump(stream);
            self.settle();
        }
    }

    /// The engine of a stream that is followed.
    pub fn scheduler(&self, stream: &StreamName) -> Option<&Scheduler> {
        self.streams.get(stream).map(|followed| &followed.scheduler)
    }

    /// The round-trip time to a peer, from libp2p ping.
    pub fn round_trip(&mut self, peer: PeerId, micros: Micros) {
        for stream in self.linked_streams(peer) {
            let input = Input::RoundTrip { peer, micros };
            self.inbox.push_back((stream, input));
        }
        self.settle();
    }

    fn handler(&self, peer: PeerId, relayed: bool) -> Result<Handler, ConnectionDenied> {
        self.refuse_banned(peer)?;
        Ok(Handler::new(relayed, self.now))
    }

    fn refuse_banned(&self, peer: PeerId) -> Result<(), ConnectionDenied> {
        if self.banned.contains(&peer) {
            return Err(ConnectionDenied::new(Banned(peer)));
        }
        Ok(())
    }
}

/// Whether a connection at this address runs through a relay. `…/p2p-circuit/webrtc` does not: the circuit only
/// signalled for it.
fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().fold(false, |relayed, part| match part {
        multiaddr::Protocol::P2pCircuit => true,
        multiaddr::Protocol::WebRTC => false,
        _ => relayed,
    })
}

/// Whether browsers connect at such an address.
fn is_of_web(address: &Multiaddr) -> bool {
    address.iter().any(|part| {
        use multiaddr::Protocol::{WebRTC, WebRTCDirect, WebTransport, Ws, Wss};
        matches!(part, Ws(_) | Wss(_) | WebRTC | WebRTCDirect | WebTransport)
    })
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer, is_relayed(local) || is_relayed(remote))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(peer) = peer {
            self.refuse_banned(peer)?;
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer, is_relayed(address))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(made) => {
                let (relayed, of_web) = match made.endpoint {
                    libp2p_core::ConnectedPoint::Dialer { address, .. } => {
                        (is_relayed(address), is_of_web(address))
                    }
                    libp2p_core::ConnectedPoint::Listener {
                        local_addr,
                        send_back_addr,
                    } => (
                        is_relayed(local_addr) || is_relayed(send_back_addr),
                        is_of_web(local_addr),
                    ),
                };
                if !relayed {
                    self.connected(made.peer_id, made.connection_id, of_web);
                }
            }
            FromSwarm::ConnectionClosed(gone) => {
                self.disconnected(gone.peer_id, gone.connection_id);
            }
            FromSwarm::DialFailure(failed) => {
                if let Some(peer) = failed.peer_id {
                    self.not_reached(peer);
                }
            }
            _ => {}
        }
        self.settle();
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        report: THandlerOutEvent<Self>,
    ) {
        self.reported(peer, connection, report);
        self.settle();
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // It is being polled: what follows needs no waking for that.
        self.waker = None;
        self.poll_timer(cx);
        if let Some(action) = self.actions.pop_front() {
            return Poll::Ready(action);
        }
        if let Some(((stream, kind), bytes)) = self.sent.pop_first() {
            let event = Event::Sent {
                stream,
                kind,
                bytes,
            };
            return Poll::Ready(ToSwarm::GenerateEvent(event));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
