//! Keeps a behaviour off relayed connections: over those nothing but signalling runs.

use std::{
    collections::HashMap,
    task::{Context, Poll},
};

use libp2p_core::{ConnectedPoint, Endpoint, Multiaddr, PeerId, transport::PortUse};
use libp2p_swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    derive_prelude::Either, dummy,
};

use crate::webrtc::is_relayed;

/// A behaviour that sees direct connections only, and counts only those.
pub struct Unrelayed<B> {
    inner: B,
    direct: HashMap<PeerId, Vec<ConnectionId>>,
}

impl<B> Unrelayed<B> {
    pub fn new(inner: B) -> Self {
        Self {
            inner,
            direct: HashMap::new(),
        }
    }

    /// Whether a direct connection to this peer stands.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.direct.contains_key(peer)
    }
}

impl<B> std::ops::Deref for Unrelayed<B> {
    type Target = B;
    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> std::ops::DerefMut for Unrelayed<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Unrelayed<B> {
    type ConnectionHandler = Either<THandler<B>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match is_relayed(local) {
            true => Ok(()),
            false => self
                .inner
                .handle_pending_inbound_connection(connection, local, remote),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if is_relayed(local) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let inner = &mut self.inner;
        inner
            .handle_established_inbound_connection(connection, peer, local, remote)
            .map(Either::Left)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if is_relayed(address) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let inner = &mut self.inner;
        inner
            .handle_established_outbound_connection(connection, peer, address, role, port)
            .map(Either::Left)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let event = match event {
            FromSwarm::ConnectionEstablished(event) => {
                if relays(event.endpoint) {
                    return;
                }
                let direct = self.direct.entry(event.peer_id).or_default();
                direct.push(event.connection_id);
                FromSwarm::ConnectionEstablished(ConnectionEstablished {
                    other_established: direct.len() - 1,
                    ..event
                })
            }
            FromSwarm::ConnectionClosed(event) => {
                if relays(event.endpoint) {
                    return;
                }
                let direct = self.direct.entry(event.peer_id).or_default();
                direct.retain(|connection| *connection != event.connection_id);
                let remaining_established = direct.len();
                if remaining_established == 0 {
                    self.direct.remove(&event.peer_id);
                }
                FromSwarm::ConnectionClosed(ConnectionClosed {
                    remaining_established,
                    ..event
                })
            }
            other => other,
        };
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(event) => self
                .inner
                .on_connection_handler_event(peer, connection, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            let mut action = std::task::ready!(self.inner.poll(cx)).map_in(Either::Left);
            if let ToSwarm::NotifyHandler {
                peer_id, handler, ..
            } = &mut action
                && matches!(handler, NotifyHandler::Any)
            {
                // "Any" of those that have this behaviour's handler.
                match self.direct.get(peer_id).and_then(|direct| direct.last()) {
                    Some(connection) => *handler = NotifyHandler::One(*connection),
                    None => continue,
                }
            }
            return Poll::Ready(action);
        }
    }
}

fn relays(endpoint: &ConnectedPoint) -> bool {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => is_relayed(address),
        ConnectedPoint::Listener { local_addr, .. } => is_relayed(local_addr),
    }
}
