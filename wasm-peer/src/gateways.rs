//! Keeps this peer connected to a gateway and its relay's reservation alive.

use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use libp2p_core::{
    Endpoint, Multiaddr, PeerId,
    multiaddr::Protocol,
    transport::{ListenerId, PortUse},
};
use libp2p_swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, ListenOpts, NetworkBehaviour,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dial_opts::{DialOpts, PeerCondition},
    dummy,
};

/// The first time to wait after a failure; doubled with each further one ...
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);
/// ... up to this.
const LAST_BACK_OFF: Duration = Duration::from_secs(10);

/// Dials one gateway, again when it is lost, and listens at its relay.
#[derive(Default)]
pub struct Gateways {
    gateway: Option<PeerId>,
    addresses: Vec<Multiaddr>,
    connections: Vec<ConnectionId>,
    dialling: Option<ConnectionId>,
    listener: Option<ListenerId>,
    failures: u32,
    again: Option<Delay>,
    queue: VecDeque<ToSwarm<Infallible, Infallible>>,
    waker: Option<Waker>,
}

impl Gateways {
    /// From now on the gateway at these addresses (each ends in `/p2p/…`; those of another peer than the first's are
    /// passed over), in this order. None: no gateway any more.
    pub fn reach(&mut self, addresses: &[Multiaddr]) {
        let gateway = addresses.first().and_then(peer);
        if gateway != self.gateway {
            self.leave();
        }
        self.gateway = gateway;
        self.addresses = addresses
            .iter()
            .filter(|address| peer(address) == gateway)
            .cloned()
            .collect();
        self.failures = 0;
        self.go_on();
    }

    /// The gateway that is dialled, whether connected or not.
    pub fn gateway(&self) -> Option<PeerId> {
        self.gateway
    }

    /// Has the swarm polled soon.
    pub fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn leave(&mut self) {
        if let Some(id) = self.listener.take() {
            self.queue.push_back(ToSwarm::RemoveListener { id });
        }
        if let Some(peer_id) = self.gateway {
            self.queue.push_back(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::All,
            });
        }
        self.connections.clear();
        self.dialling = None;
    }

    /// Does what is missing.
    fn go_on(&mut self) {
        self.again = None;
        self.wake();
        let Some(gateway) = self.gateway else { return };
        if !self.connections.is_empty() {
            if self.listener.is_none() {
                self.listen();
            }
        } else if self.dialling.is_none() && !self.addresses.is_empty() {
            let opts = DialOpts::peer_id(gateway)
                .condition(PeerCondition::Always)
                .addresses(self.addresses.clone())
                .build();
            self.dialling = Some(opts.connection_id());
            self.queue.push_back(ToSwarm::Dial { opts });
        }
    }

    /// Where the gateway's relay leads: `…/p2p/…/p2p-circuit`; none without a gateway.
    pub fn circuit(&self) -> Option<Multiaddr> {
        let mut circuit: Multiaddr = (self.addresses.first()?.iter())
            .filter(|part| !matches!(part, Protocol::P2p(_)))
            .collect();
        circuit.push(Protocol::P2p(self.gateway?));
        circuit.push(Protocol::P2pCircuit);
        Some(circuit)
    }

    /// The relay's answer is awaited by its client; the address only has to name the relay.
    fn listen(&mut self) {
        let Some(circuit) = self.circuit() else {
            return;
        };
        let opts = ListenOpts::new(circuit);
        self.listener = Some(opts.listener_id());
        self.queue.push_back(ToSwarm::ListenOn { opts });
    }

    fn failed(&mut self) {
        let wait = FIRST_BACK_OFF * 2_u32.saturating_pow(self.failures.min(10));
        self.failures += 1;
        self.again = Some(Delay::new(wait.min(LAST_BACK_OFF)));
        self.wake();
    }
}

impl NetworkBehaviour for Gateways {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

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

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) if Some(event.peer_id) == self.gateway => {
                self.connections.push(event.connection_id);
                if self.dialling == Some(event.connection_id) {
                    self.dialling = None;
                }
                self.failures = 0;
                self.go_on();
            }
            FromSwarm::ConnectionClosed(event) => {
                let known = self.connections.len();
                self.connections
                    .retain(|connection| *connection != event.connection_id);
                if self.connections.is_empty() && known > 0 {
                    self.failed();
                }
            }
            FromSwarm::DialFailure(event) if self.dialling == Some(event.connection_id) => {
                self.dialling = None;
                self.failed();
            }
            FromSwarm::ListenerClosed(event) if self.listener == Some(event.listener_id) => {
                self.listener = None;
                if self.again.is_none() {
                    self.failed();
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.queue.pop_front() {
                return Poll::Ready(action);
            }
            if let Some(again) = &mut self.again
                && again.poll_unpin(cx).is_ready()
            {
                self.go_on();
                continue;
            }
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
    }
}

fn peer(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}
