//! The one libp2p driver of the [engine](crate::scheduler), for gateway and browser alike (README §8).
//!
//! It owns a [`Scheduler`] for each stream that is followed here, carries messages and parts between them and their
//! peers, and wakes them. What it cannot do itself (dial, fetch over HTTP, tell the player) comes out as [`Event`]s.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use libp2p_core::{Endpoint, Multiaddr, transport::PortUse};
use libp2p_identity::PeerId;
use libp2p_swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};

use crate::{
    manifest::Rejected,
    name::StreamName,
    scheduler::{Input, Micros, Output, Scheduler},
};

/// What was sent, as the gateway's metrics tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SentKind {
    Part,
    /// Announcements and manifests.
    Announcement,
    Other,
}

/// What the driver's owner has to do or may count.
#[derive(Debug)]
pub enum Event {
    /// Dial, Fetch, Abort, Ready, Gone or News; everything else is done inside.
    Output { stream: StreamName, output: Output },
    /// So many bytes went to peers.
    Sent {
        stream: StreamName,
        kind: SentKind,
        bytes: usize,
    },
}

struct Followed {
    scheduler: Scheduler,
}

/// The engines of all streams that are followed here, joined to a libp2p Swarm.
pub struct Behaviour {
    now: fn() -> Micros,
    streams: BTreeMap<StreamName, Followed>,
    gateways: HashSet<PeerId>,
    actions: VecDeque<ToSwarm<Event, std::convert::Infallible>>,
    timer: Option<(Micros, Delay)>,
    waker: Option<Waker>,
}

impl Behaviour {
    /// Nothing is followed. `now` is the driver's clock, microseconds; it never goes back.
    pub fn new(now: fn() -> Micros) -> Self {
        Self {
            now,
            streams: BTreeMap::new(),
            gateways: HashSet::new(),
            actions: VecDeque::new(),
            timer: None,
            waker: None,
        }
    }

    /// Follows a stream. Who `greets` opens its side of the link on every direct connection at once (viewers); others
    /// answer (gateways). A stream that was open is opened anew.
    pub fn open(&mut self, stream: StreamName, scheduler: Scheduler, greets: bool) {
        let _ = greets;
        self.streams.insert(stream.clone(), Followed { scheduler });
        self.pump(&stream);
    }

    /// No longer follows it: its links end.
    pub fn close(&mut self, stream: &StreamName) {
        self.streams.remove(stream);
    }

    /// Links to this peer are to a gateway.
    pub fn gateway(&mut self, peer: PeerId) {
        self.gateways.insert(peer);
    }

    /// Tells an engine what happened outside of the network; a stream that is not followed is passed over.
    ///
    /// # Errors
    /// Why an [`Input::Envelope`] was rejected.
    pub fn input(&mut self, stream: &StreamName, input: Input<'_>) -> Result<(), Rejected> {
        let now = (self.now)();
        let Some(followed) = self.streams.get_mut(stream) else {
            return Ok(());
        };
        let taken = followed.scheduler.handle(input, now);
        self.pump(stream);
        taken
    }

    /// The engine of a stream that is followed.
    pub fn scheduler(&self, stream: &StreamName) -> Option<&Scheduler> {
        self.streams.get(stream).map(|followed| &followed.scheduler)
    }

    /// The round-trip time to a peer, from libp2p ping.
    pub fn round_trip(&mut self, peer: PeerId, micros: Micros) {
        let _ = (peer, micros);
    }

    fn pump(&mut self, stream: &StreamName) {
        let Some(followed) = self.streams.get_mut(stream) else {
            return;
        };
        while let Some(output) = followed.scheduler.output() {
            let stream = stream.clone();
            self.actions
                .push_back(ToSwarm::GenerateEvent(Event::Output { stream, output }));
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) {
        loop {
            let wanted = self.streams.values().filter_map(|f| f.scheduler.wake_at());
            let Some(at) = wanted.min() else {
                self.timer = None;
                return;
            };
            let now = (self.now)();
            if at <= now {
                let due: Vec<StreamName> = self
                    .streams
                    .iter_mut()
                    .filter(|(_, f)| f.scheduler.wake_at().is_some_and(|at| at <= now))
                    .map(|(name, _)| name.clone())
                    .collect();
                for stream in due {
                    let _ = self.input(&stream, Input::Wake);
                }
                return cx.waker().wake_by_ref();
            }
            if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
                self.timer = Some((at, Delay::new(Duration::from_micros(at - now))));
            }
            let (_, delay) = self.timer.as_mut().expect("set above");
            if delay.poll_unpin(cx).is_pending() {
                return;
            }
            self.timer = None;
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.poll_timer(cx);
        if let Some(action) = self.actions.pop_front() {
            return Poll::Ready(action);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
