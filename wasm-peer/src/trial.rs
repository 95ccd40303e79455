//! The network alone, for tests (feature `trial`, never in the shipped page): dial, ping, and an echo that half closes.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    convert::Infallible,
    rc::Rc,
    task::{Context, Poll},
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, channel::oneshot, future::poll_fn};
use libp2p::{
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    identity::Keypair,
    identity::PeerId,
    multiaddr::Multiaddr,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, Stream, StreamProtocol, SubstreamProtocol, Swarm,
        SwarmEvent, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, handler::ConnectionEvent,
    },
};
use wasm_bindgen::prelude::*;

use crate::swarm::{Browser, BrowserEvent, build, dial_viewer, reach};

const ECHO: StreamProtocol = StreamProtocol::new("/meshlive-trial/echo/1");

/// Ends of connections that are told.
const LAST_CLOSED: usize = 4;

/// An echo is written and read in pieces of this many bytes.
const CHUNK: usize = 64 << 10;
/// Most bytes of an echo that have not come back: data channels have no back-pressure from end to end, and who receives
/// more than 4 MiB that it does not read (here: because it cannot send as fast) resets the stream.
const MAX_UNDER_WAY: usize = 1 << 20;

type Opened = oneshot::Sender<Result<Stream, String>>;

/// Opens echo streams; what others open it sends back until they finish, then finishes.
#[derive(Default)]
pub struct Echo {
    queue: VecDeque<(PeerId, Opened)>,
}

pub struct Handler {
    wanted: Option<Opened>,
    asked: Option<Opened>,
}

impl NetworkBehaviour for Echo {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler {
            wanted: None,
            asked: None,
        })
    }
    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler {
            wanted: None,
            asked: None,
        })
    }
    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}
    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        match self.queue.pop_front() {
            Some((peer_id, event)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::Any,
                event,
            }),
            None => Poll::Pending,
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Opened;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(ECHO), ())
    }
    fn connection_keep_alive(&self) -> bool {
        true
    }
    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Infallible>> {
        if let Some(wanted) = self.wanted.take() {
            self.asked = Some(wanted);
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(ECHO), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }
    fn on_behaviour_event(&mut self, opened: Opened) {
        self.wanted = Some(opened);
    }
    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(stream) => {
                wasm_bindgen_futures::spawn_local(async move {
                    let mut stream = stream.protocol;
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(read) = stream.read(&mut buffer).await {
                        if read == 0 || stream.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                    let _ = stream.close().await;
                });
            }
            ConnectionEvent::FullyNegotiatedOutbound(stream) => {
                if let Some(opened) = self.asked.take() {
                    let _ = opened.send(Ok(stream.protocol));
                }
            }
            ConnectionEvent::DialUpgradeError(error) => {
                if let Some(opened) = self.asked.take() {
                    let _ = opened.send(Err(error.error.to_string()));
                }
            }
            _ => {}
        }
    }
}

/// A peer of a test. Its swarm runs until it is freed.
#[wasm_bindgen]
pub struct Trial {
    swarm: Rc<RefCell<Swarm<Browser<Echo>>>>,
    seen: Rc<RefCell<Seen>>,
    _stop: oneshot::Sender<()>,
}

#[derive(Default)]
struct Seen {
    pings: HashMap<PeerId, f64>,
    agents: HashMap<PeerId, String>,
    connections: HashMap<ConnectionId, (PeerId, String)>,
    /// The last first.
    closed: VecDeque<String>,
    errors: Vec<String>,
}

#[wasm_bindgen]
impl Trial {
    /// A fresh key, a swarm that runs from now on.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::new_without_default)] // JavaScript's `new`
    pub fn new() -> Self {
        let swarm = Rc::new(RefCell::new(build(
            &Keypair::generate_ed25519(),
            Echo::default(),
        )));
        let seen = Rc::new(RefCell::new(Seen::default()));
        let (stop, mut stopped) = oneshot::channel::<()>();
        let (running, events) = (Rc::downgrade(&swarm), seen.clone());
        wasm_bindgen_futures::spawn_local(poll_fn(move |cx| {
            let Some(swarm) = running.upgrade() else {
                return Poll::Ready(());
            };
            if std::pin::Pin::new(&mut stopped).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            while let Poll::Ready(Some(event)) = swarm.borrow_mut().poll_next_unpin(cx) {
                events.borrow_mut().take(event);
            }
            Poll::Pending
        }));
        Self {
            swarm,
            seen,
            _stop: stop,
        }
    }

    /// This peer's id.
    pub fn id(&self) -> String {
        self.swarm.borrow().local_peer_id().to_string()
    }

    /// Keeps connected to the gateway at these addresses.
    pub fn reach(&self, addresses: Vec<String>, stun: Vec<String>) -> Result<(), String> {
        let addresses: Result<Vec<Multiaddr>, _> =
            addresses.iter().map(|text| text.parse()).collect();
        let addresses = addresses.map_err(|error| error.to_string())?;
        reach(&mut self.swarm.borrow_mut(), &addresses, &stun);
        Ok(())
    }

    /// Dials any address.
    pub fn dial(&self, address: &str) -> Result<(), String> {
        let address: Multiaddr = address.parse().map_err(|error| format!("{error}"))?;
        self.swarm
            .borrow_mut()
            .dial(address)
            .map_err(|error| error.to_string())
    }

    /// Dials another viewer.
    #[wasm_bindgen(js_name = dialViewer)]
    pub fn dial_viewer(&self, peer: &str) -> Result<(), String> {
        let peer = peer.parse().map_err(|error| format!("{error}"))?;
        dial_viewer(&mut self.swarm.borrow_mut(), peer);
        Ok(())
    }

    /// Closes all connections to a peer.
    #[wasm_bindgen(js_name = hangUp)]
    pub fn hang_up(&self, peer: &str) -> Result<(), String> {
        let peer = peer.parse().map_err(|error| format!("{error}"))?;
        let _ = self.swarm.borrow_mut().disconnect_peer_id(peer);
        Ok(())
    }

    /// Objects of JavaScript that this module holds, however many peers there are in it.
    pub fn handles() -> u32 {
        wasm_bindgen::externref_heap_live_count()
    }

    /// JSON: what this peer listens on, is connected to, was told.
    pub fn seen(&self) -> String {
        let seen = self.seen.borrow();
        let listens: Vec<_> = self
            .swarm
            .borrow()
            .listeners()
            .map(Multiaddr::to_string)
            .collect();
        let texts = |map: &HashMap<PeerId, String>| {
            let map: HashMap<_, _> = map
                .iter()
                .map(|(peer, text)| (peer.to_string(), text.clone()))
                .collect();
            map
        };
        let pings: HashMap<_, _> = seen
            .pings
            .iter()
            .map(|(peer, ms)| (peer.to_string(), *ms))
            .collect();
        let connections: Vec<_> = seen
            .connections
            .values()
            .map(|(peer, address)| (peer.to_string(), address.clone()))
            .collect();
        serde_json::json!({
            "listens": listens,
            "pings": pings,
            "agents": texts(&seen.agents),
            "connections": connections,
            "closed": seen.closed,
            "errors": seen.errors,
        })
        .to_string()
    }

    /// Sends so many bytes, ends its half, reads until the other ends his; milliseconds it took. Throws unless what came
    /// is what was sent.
    pub async fn echo(&self, peer: &str, bytes: usize) -> Result<f64, String> {
        let started = web_time::Instant::now();
        let stream = self.open(peer).await?;
        let (mut reader, mut writer) = stream.split();
        let sent: Vec<u8> = (0..bytes).map(|at| (at * 7 + (at >> 8)) as u8).collect();
        let mut received = Vec::with_capacity(bytes);
        let mut left = sent.chunks(CHUNK);
        let mut under_way = 0;
        let mut buffer = vec![0; CHUNK];
        let mut closed = false;
        loop {
            while under_way < MAX_UNDER_WAY
                && let Some(chunk) = left.next()
            {
                let wrote = writer.write_all(chunk).await;
                wrote.map_err(|error| format!("writing: {error}"))?;
                under_way += chunk.len();
            }
            if left.len() == 0 && !std::mem::replace(&mut closed, true) {
                let closed = writer.close().await;
                closed.map_err(|error| format!("closing: {error}"))?;
            }
            let read = reader.read(&mut buffer).await;
            let read = read.map_err(|error| format!("reading: {error}"))?;
            if read == 0 {
                break;
            }
            received.extend_from_slice(&buffer[..read]);
            under_way = under_way.saturating_sub(read);
        }
        match received == sent {
            true => Ok(started.elapsed().as_secs_f64() * 1000.0),
            false => Err(format!("{} other bytes came back", received.len())),
        }
    }
}

impl Trial {
    fn open(&self, peer: &str) -> impl Future<Output = Result<Stream, String>> + use<> {
        let peer = peer.parse::<PeerId>().map_err(|error| error.to_string());
        let swarm = self.swarm.clone();
        async move {
            let peer = peer?;
            if !swarm.borrow().is_connected(&peer) {
                return Err("not connected".into());
            }
            let (opened, stream) = oneshot::channel();
            {
                let mut swarm = swarm.borrow_mut();
                swarm.behaviour_mut().engine.queue.push_back((peer, opened));
                swarm.behaviour_mut().gateways.wake();
            }
            stream.await.map_err(|_| "the connection is gone")?
        }
    }
}

impl Seen {
    fn take(&mut self, event: SwarmEvent<BrowserEvent<Echo>>) {
        match event {
            SwarmEvent::Behaviour(BrowserEvent::Ping(ping)) => match ping.result {
                Ok(rtt) => drop(self.pings.insert(ping.peer, rtt.as_secs_f64() * 1000.0)),
                Err(error) => self.errors.push(format!("ping: {error}")),
            },
            SwarmEvent::Behaviour(BrowserEvent::Identify(libp2p::identify::Event::Received {
                peer_id,
                info,
                ..
            })) => drop(self.agents.insert(peer_id, info.agent_version)),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                let address = match endpoint {
                    libp2p::core::ConnectedPoint::Dialer { address, .. } => address,
                    libp2p::core::ConnectedPoint::Listener { local_addr, .. } => local_addr,
                };
                self.connections
                    .insert(connection_id, (peer_id, address.to_string()));
            }
            SwarmEvent::ConnectionClosed {
                connection_id,
                peer_id,
                num_established,
                cause,
                ..
            } => {
                if num_established == 0 {
                    self.pings.remove(&peer_id);
                    self.agents.remove(&peer_id);
                }
                if let Some((peer, address)) = self.connections.remove(&connection_id) {
                    self.closed.truncate(LAST_CLOSED - 1);
                    self.closed
                        .push_front(format!("{peer} {address}: {cause:?}"));
                }
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                self.errors.push(error.to_string())
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                self.errors.push(error.to_string())
            }
            SwarmEvent::ListenerClosed {
                reason: Err(error), ..
            } => self.errors.push(format!("listener: {error}")),
            _ => {}
        }
    }
}
