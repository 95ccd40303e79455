//! Makes the relayed connections that signalling runs over, decides who may begin a session, and closes what is not
//! needed any more.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{
    StreamExt,
    channel::mpsc,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use futures_timer::Delay;
use libp2p_core::{Endpoint, Multiaddr, PeerId, multiaddr::Protocol, transport::PortUse};
use libp2p_swarm::{
    CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm,
    NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    behaviour::ConnectionEstablished,
    derive_prelude::Either,
    dial_opts::{DialOpts, PeerCondition},
    dummy,
};

use super::{
    Connection, Error, is_relayed,
    signal::{
        handler::{Command, Handler, Reply, Told},
        session::Role,
    },
};

/// Most sessions at a time that others began.
const MAX_ACCEPTED: usize = 16;
/// A circuit stays so long after the direct connection stands, so that the other side learns it from there ...
const CIRCUIT_STAYS: Duration = Duration::from_secs(1);
/// ... and so long if the other side made it and does not close it.
const ITS_CIRCUIT_STAYS: Duration = Duration::from_secs(5);

/// A connection the transport was asked for.
pub(crate) struct Request {
    pub(crate) peer: PeerId,
    /// Up to `/p2p-circuit`; `None`: any relay this peer listens at.
    pub(crate) relay: Option<Multiaddr>,
    pub(crate) reply: Reply,
}

/// Told to the transport.
pub(crate) enum News {
    /// The other side made a connection, introduced over this circuit.
    Arrived(PeerId, Connection, Multiaddr),
    /// The swarm listens at this circuit address, or no longer.
    Circuit(Multiaddr),
    CircuitExpired(Multiaddr),
}

/// The half of this transport that sees connections; see [`new`](super::new).
pub struct Behaviour {
    me: PeerId,
    requests: mpsc::UnboundedReceiver<Request>,
    news: mpsc::UnboundedSender<News>,
    listening: Arc<AtomicBool>,
    ice: Vec<String>,
    relays: Vec<Multiaddr>,
    circuits: HashMap<PeerId, Vec<ConnectionId>>,
    dialling: HashMap<ConnectionId, (PeerId, Reply)>,
    initiated: HashSet<(PeerId, ConnectionId)>,
    accepted: HashSet<(PeerId, ConnectionId)>,
    farewells: FuturesUnordered<BoxFuture<'static, (PeerId, ConnectionId)>>,
    queue: VecDeque<ToSwarm<Infallible, Either<Command, Infallible>>>,
    waker: Option<Waker>,
}

impl Behaviour {
    pub(crate) fn new(
        me: PeerId,
        requests: mpsc::UnboundedReceiver<Request>,
        news: mpsc::UnboundedSender<News>,
        listening: Arc<AtomicBool>,
    ) -> Self {
        Self {
            me,
            requests,
            news,
            listening,
            ice: Vec::new(),
            relays: Vec::new(),
            circuits: HashMap::new(),
            dialling: HashMap::new(),
            initiated: HashSet::new(),
            accepted: HashSet::new(),
            farewells: FuturesUnordered::new(),
            queue: VecDeque::new(),
            waker: None,
        }
    }

    /// STUN servers of connections made from now on: `stun:<host>:<port>`.
    pub fn set_ice_servers(&mut self, urls: Vec<String>) {
        self.ice = urls;
    }

    /// Where this peer is reachable: the circuit address of each relay that it holds a reservation at.
    pub fn circuits(&self) -> Vec<Multiaddr> {
        let mut relays = HashSet::new();
        let mut circuits = self.relays.clone();
        circuits.retain(|circuit| relays.insert(relay(circuit)));
        circuits
    }

    fn request(&mut self, Request { peer, relay, reply }: Request) {
        if let Some(circuit) = self
            .circuits
            .get(&peer)
            .and_then(|circuits| circuits.first())
        {
            let circuit = *circuit;
            self.initiated.insert((peer, circuit));
            return self.command(peer, circuit, Command::Initiate(reply));
        }
        let relays = relay.map_or_else(|| self.circuits(), |relay| vec![relay]);
        if relays.is_empty() {
            let _ = reply.send(Err(Error::NoRelay));
            return;
        }
        // This happens within a dial of the same peer.
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(relays)
            .build();
        self.dialling.insert(opts.connection_id(), (peer, reply));
        self.queue.push_back(ToSwarm::Dial { opts });
    }

    fn command(&mut self, peer_id: PeerId, circuit: ConnectionId, command: Command) {
        self.queue.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(circuit),
            event: Either::Left(command),
        });
    }

    /// Both sides may begin at once: what the lower peer id began is kept.
    fn asked(&mut self, peer: PeerId, circuit: ConnectionId) {
        let glare = self
            .initiated
            .iter()
            .any(|(initiated, _)| *initiated == peer)
            || self.dialling.values().any(|(dialled, _)| *dialled == peer);
        let refused = !self.listening.load(Ordering::Relaxed)
            || self.accepted.len() >= MAX_ACCEPTED
            || (glare && self.me < peer);
        if refused {
            return self.command(peer, circuit, Command::Refuse);
        }
        self.accepted.insert((peer, circuit));
        self.command(peer, circuit, Command::Accept);
    }

    fn close_later(&mut self, peer: PeerId, circuit: ConnectionId, after: Duration) {
        self.farewells
            .push(Delay::new(after).map(move |()| (peer, circuit)).boxed());
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn handler(
        &self,
        peer: PeerId,
        circuit: &Multiaddr,
        wanted: Option<Reply>,
    ) -> Either<Handler, dummy::ConnectionHandler> {
        let (ice, news) = (self.ice.clone(), self.news.clone());
        Either::Left(Handler::new(
            peer,
            up_to_circuit(circuit),
            ice,
            news,
            wanted,
        ))
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Either<Handler, dummy::ConnectionHandler>;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(match is_relayed(local) {
            true => self.handler(peer, local, None),
            false => Either::Right(dummy::ConnectionHandler),
        })
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !is_relayed(address) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let wanted = self.dialling.remove(&connection).map(|(_, reply)| reply);
        if wanted.is_some() {
            self.initiated.insert((peer, connection));
        }
        Ok(self.handler(peer, address, wanted))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) if is_relayed(endpoint.get_remote_address()) || is_relayed(local(endpoint)) => {
                self.circuits
                    .entry(peer_id)
                    .or_default()
                    .push(connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => {
                if let Some(circuits) = self.circuits.get_mut(&peer_id) {
                    circuits.retain(|circuit| *circuit != connection_id);
                    if circuits.is_empty() {
                        self.circuits.remove(&peer_id);
                    }
                }
                self.initiated.remove(&(peer_id, connection_id));
                self.accepted.remove(&(peer_id, connection_id));
            }
            FromSwarm::DialFailure(DialFailure {
                connection_id,
                error,
                ..
            }) => {
                if let Some((_, reply)) = self.dialling.remove(&connection_id) {
                    let _ = reply.send(Err(Error::Signalling(error.to_string())));
                }
            }
            FromSwarm::NewListenAddr(listened) if is_relayed(listened.addr) => {
                let circuit = up_to_circuit(listened.addr);
                self.relays.push(circuit.clone());
                let _ = self.news.unbounded_send(News::Circuit(circuit));
            }
            FromSwarm::ExpiredListenAddr(expired) if is_relayed(expired.addr) => {
                let circuit = up_to_circuit(expired.addr);
                self.relays.retain(|relay| *relay != circuit);
                let _ = self.news.unbounded_send(News::CircuitExpired(circuit));
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        circuit: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(Told::Asked) => self.asked(peer, circuit),
            Either::Left(Told::Over(role)) => {
                let after = match role {
                    Role::Initiator => {
                        self.initiated.remove(&(peer, circuit));
                        CIRCUIT_STAYS
                    }
                    Role::Responder => {
                        self.accepted.remove(&(peer, circuit));
                        ITS_CIRCUIT_STAYS
                    }
                };
                self.close_later(peer, circuit, after);
            }
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.queue.pop_front() {
                return Poll::Ready(action);
            }
            if let Poll::Ready(Some(request)) = self.requests.poll_next_unpin(cx) {
                self.request(request);
                continue;
            }
            if let Poll::Ready(Some((peer_id, circuit))) = self.farewells.poll_next_unpin(cx) {
                let key = (peer_id, circuit);
                if !self.initiated.contains(&key) && !self.accepted.contains(&key) {
                    self.queue.push_back(ToSwarm::CloseConnection {
                        peer_id,
                        connection: CloseConnection::One(circuit),
                    });
                }
                continue;
            }
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
    }
}

fn local(endpoint: &libp2p_core::ConnectedPoint) -> &Multiaddr {
    match endpoint {
        libp2p_core::ConnectedPoint::Dialer { address, .. } => address,
        libp2p_core::ConnectedPoint::Listener { local_addr, .. } => local_addr,
    }
}

/// `…/p2p-circuit` of a longer address.
fn up_to_circuit(address: &Multiaddr) -> Multiaddr {
    let mut circuit = Multiaddr::empty();
    for part in address {
        let last = part == Protocol::P2pCircuit;
        circuit.push(part);
        if last {
            break;
        }
    }
    circuit
}

/// The relay that a circuit address names last.
fn relay(circuit: &Multiaddr) -> Option<PeerId> {
    let peers = circuit.iter().filter_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    });
    peers.last()
}
