//! The one task that has the swarm: it listens where the machine's interfaces are, and takes what happens.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    identify, mdns,
    multiaddr::Protocol,
    ping,
    swarm::{
        SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use meshlive_protocol::{
    behaviour::{Event, SentKind},
    scheduler::Output,
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    addresses::{self, MAX_INTERFACES, Reach},
    around::{Around, Met},
    behaviour::{Room, RoomEvent},
    bitswap::{self, Sent},
    feed::Feed,
    interfaces,
    listen::{self, Way},
    mirrors::Mirrors,
    peers::{Ask, Dials},
    pubsub::Pubsub,
    stun,
};
use crate::{
    StartError,
    metrics::{Kind, Metrics},
    names::now,
    publish::Streams,
};

/// How often it is seen whether a stream's newest directory has changed.
const NAMES_EVERY: Duration = Duration::from_secs(1);
/// Peers on the link that are met at once.
const MAX_DISCOVERED: usize = 32;
/// How often the machine's interfaces are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Listeners tell their address right after they were asked to listen.
const START_PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Run {
    swarm: Swarm<Room>,
    reach: watch::Sender<Reach>,
    plan: Vec<(Way, SocketAddr)>,
    webrtc: HashMap<IpAddr, ListenerId>,
    webrtc_port: Option<u16>,
    stun: HashMap<IpAddr, Responder>,
    feed: Feed,
    streams: Arc<Streams>,
    asked: mpsc::Receiver<Ask>,
    dials: Dials,
    mirrors: Mirrors,
    around: Around,
    met: watch::Sender<Vec<Met>>,
    /// Connected peers that have blocks to give.
    nodes: HashSet<PeerId>,
    pubsub: Pubsub,
    metrics: Arc<Metrics>,
}

/// Aborted when dropped.
struct Responder(SocketAddr, JoinHandle<()>);

impl Drop for Responder {
    fn drop(&mut self) {
        self.1.abort();
    }
}

impl Run {
    #[allow(clippy::too_many_arguments)] // made in one place, and of all of these
    pub(super) fn new(
        swarm: Swarm<Room>,
        reach: Reach,
        plan: Vec<(Way, SocketAddr)>,
        feed: Feed,
        streams: Arc<Streams>,
        asked: mpsc::Receiver<Ask>,
        met: watch::Sender<Vec<Met>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            swarm,
            reach: watch::Sender::new(reach),
            plan,
            webrtc: HashMap::new(),
            webrtc_port: None,
            stun: HashMap::new(),
            feed,
            nodes: HashSet::new(),
            pubsub: Pubsub::new(streams.names().clone()),
            streams,
            asked,
            dials: Dials::default(),
            mirrors: Mirrors::default(),
            around: Around::default(),
            met,
            metrics,
        }
    }

    pub(super) fn reach(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }

    /// Begins to listen; returns each listener's first address, with the port that it has.
    ///
    /// # Errors
    /// When one cannot be had after all.
    pub(super) async fn listen(&mut self) -> Result<Vec<(&'static str, SocketAddr)>, StartError> {
        let mut listeners = Vec::new();
        for (way, address) in self.plan.clone() {
            let failed = |error| StartError::Listen {
                what: way.name(),
                address,
                error,
            };
            for ip in listen::families(address.ip()) {
                let multiaddr = match way {
                    Way::Tcp => Multiaddr::from(ip).with(Protocol::Tcp(address.port())),
                    Way::Quic => Multiaddr::from(ip)
                        .with(Protocol::Udp(address.port()))
                        .with(Protocol::QuicV1),
                    Way::WebRtc | Way::Stun => continue, // on each interface: look_around
                };
                let id = self
                    .swarm
                    .listen_on(multiaddr)
                    .map_err(|error| failed(std::io::Error::other(error)))?;
                let told = timeout(START_PATIENCE, self.told(id)).await;
                let bound = told.map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?;
                if !listeners.iter().any(|(name, _)| *name == way.name()) {
                    listeners.push((way.name(), SocketAddr::new(address.ip(), bound)));
                }
            }
        }
        self.look_around().await;
        for (way, address) in &self.plan {
            let bound = match way {
                Way::Stun => self.stun.values().map(|one| one.0.port()).next(),
                Way::WebRtc => self.webrtc_port,
                Way::Tcp | Way::Quic => None,
            };
            if let Some(port) = bound {
                listeners.push((way.name(), SocketAddr::new(address.ip(), port)));
            }
        }
        Ok(listeners)
    }

    /// The port of a listener, as soon as it is known.
    async fn told(&mut self, id: ListenerId) -> u16 {
        loop {
            let event = self.swarm.select_next_some().await;
            let bound = match &event {
                SwarmEvent::NewListenAddr {
                    listener_id,
                    address,
                } if *listener_id == id => addresses::socket(address),
                _ => None,
            };
            self.happened(event);
            if let Some(bound) = bound {
                return bound.port();
            }
        }
    }

    /// Serves until `stop`.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut names = interval(NAMES_EVERY);
        names.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.happened(event),
                news = self.feed.next() => self.feed.tell(news, &mut self.swarm.behaviour_mut().engine),
                Some(ask) = self.asked.recv() => self.asked(ask),
                () = self.mirrors.found() => {}
                _ = names.tick() => {
                    self.names();
                    self.mirrors.tell(&self.streams, &self.swarm.behaviour().engine);
                }
                _ = look.tick() => self.look_around().await,
                () = &mut stop => return,
            }
        }
    }

    /// Makes IPNS records of what is new, and tells them.
    fn names(&mut self) {
        let room = self.swarm.behaviour_mut();
        if !room.dht.is_enabled() && !room.pubsub.is_enabled() {
            return;
        }
        let mut news = false;
        for stream in self.streams.list() {
            let before = self.streams.names().get(stream.name(), now());
            let record = self.streams.record_of(stream.name());
            news |= record.is_some() && record != before.map(|(record, _)| record);
        }
        if let Some(dht) = room.dht.as_mut() {
            if news {
                dht.tell_soon();
            }
            dht.tick();
        }
        if let Some(pubsub) = room.pubsub.as_mut() {
            self.pubsub.tick(pubsub);
        }
    }

    fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Connect(address, answer) => self.dials.dial(&mut self.swarm, address, answer),
            Ask::Leave(peer) => {
                let _ = self.swarm.disconnect_peer_id(peer); // not connected: as well
            }
            Ask::Name(name) => {
                if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
                    dht.look_for(&name);
                }
            }
            Ask::Connected(answer) => {
                let _ = answer.send(self.nodes.iter().copied().collect()); // nobody waits any more
            }
            Ask::Block(wanted) => self.swarm.behaviour_mut().bitswap.want(wanted),
        }
    }

    fn happened(&mut self, event: SwarmEvent<RoomEvent>) {
        self.dials.happened(&event);
        self.mirrors.happened(&event);
        match event {
            SwarmEvent::NewListenAddr { .. } | SwarmEvent::ExpiredListenAddr { .. } => self.tell(),
            SwarmEvent::ConnectionEstablished { endpoint, .. } => {
                let transport = addresses::transport(endpoint.get_remote_address());
                self.metrics.p2p_connected(transport);
            }
            SwarmEvent::ConnectionClosed {
                endpoint,
                peer_id,
                num_established,
                ..
            } => {
                if num_established == 0 {
                    self.nodes.remove(&peer_id);
                }
                let transport = addresses::transport(endpoint.get_remote_address());
                self.metrics.p2p_disconnected(transport);
            }
            SwarmEvent::IncomingConnectionError {
                error,
                send_back_addr,
                ..
            } => {
                self.metrics.p2p_refused();
                tracing::debug!(%error, from = %send_back_addr, "a peer's connection was not made");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener"),
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                tracing::warn!(?addresses, ?reason, "a listener closed");
                self.tell();
            }
            SwarmEvent::Behaviour(event) => self.behaved(event),
            _ => {}
        }
    }

    fn behaved(&mut self, event: RoomEvent) {
        match event {
            // Who does not answer is gone: its reservation, circuits and buffers go, too.
            RoomEvent::Ping(ping::Event {
                connection,
                result: Err(ping::Failure::Timeout | ping::Failure::Other { .. }),
                ..
            }) => {
                self.swarm.close_connection(connection);
            }
            RoomEvent::Ping(ping::Event {
                peer,
                result: Ok(took),
                ..
            }) => {
                let micros = took.as_micros().try_into().unwrap_or(u64::MAX);
                self.swarm.behaviour_mut().engine.round_trip(peer, micros);
            }
            RoomEvent::Engine(Event::Output {
                stream,
                output: Output::Sign,
            }) => {
                let engine = &mut self.swarm.behaviour_mut().engine;
                self.feed.sign(&stream, engine);
            }
            RoomEvent::Engine(Event::Unlinked { stream, peer, why }) => {
                tracing::debug!(%peer, %stream, why, "a link to a viewer ended");
            }
            RoomEvent::Engine(Event::Sent { kind, bytes, .. }) => {
                let kind = match kind {
                    SentKind::Part => Kind::Part,
                    SentKind::Announcement => Kind::Announcement,
                    SentKind::Other => Kind::Other,
                };
                self.metrics.p2p_sent(kind, bytes);
            }
            RoomEvent::Bitswap(Sent { kind, bytes }) => self.metrics.bitswap_sent(kind, bytes),
            RoomEvent::Identify(identify::Event::Received {
                connection_id,
                peer_id,
                info,
            }) => {
                if info.protocols.contains(&bitswap::PROTOCOL) && self.swarm.is_connected(&peer_id)
                {
                    self.nodes.insert(peer_id);
                }
                let from = self.mirrors.from(connection_id);
                if self.around.identified(peer_id, &info, from) {
                    self.met.send_replace(self.around.all());
                }
                if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
                    dht.identified(peer_id, &info);
                }
            }
            RoomEvent::Dht(event) => {
                if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
                    dht.happened(&event);
                }
            }
            RoomEvent::Pubsub(event) => {
                if let Some(pubsub) = self.swarm.behaviour_mut().pubsub.as_mut() {
                    self.pubsub.happened(pubsub, event);
                }
            }
            RoomEvent::Mdns(mdns::Event::Discovered(found)) => {
                tracing::debug!(?found, "peers on this link");
                // To be met: who comes back learns so who is here, and these that it is back.
                for peer in found.into_iter().map(|(peer, _)| peer).take(MAX_DISCOVERED) {
                    let options =
                        DialOpts::peer_id(peer).condition(PeerCondition::DisconnectedAndNotDialing);
                    let _ = self.swarm.dial(options.build()); // refused at once only where it is needless
                }
            }
            _ => {}
        }
    }

    /// Listens on interfaces that came, and no more on those that went.
    async fn look_around(&mut self) {
        let mut there = interfaces::addresses();
        there.truncate(MAX_INTERFACES);
        for (way, address) in self.plan.clone() {
            let places = addresses::places(address.ip(), &there);
            match way {
                Way::Stun => {
                    self.stun.retain(|ip, _| places.contains(ip));
                    for ip in places {
                        if !self.stun.contains_key(&ip) {
                            self.respond(ip, address.port()).await;
                        }
                    }
                }
                Way::WebRtc => {
                    let gone = self.webrtc.extract_if(|ip, _| !places.contains(ip));
                    for (_, id) in gone.collect::<Vec<_>>() {
                        self.swarm.remove_listener(id);
                    }
                    for ip in places {
                        if !self.webrtc.contains_key(&ip) {
                            self.listen_webrtc(ip, address.port()).await;
                        }
                    }
                }
                Way::Tcp | Way::Quic => {} // libp2p looks around by itself
            }
        }
        self.reach.send_if_modified(|reach| {
            let changed = reach.interfaces != there;
            reach.interfaces = there;
            changed
        });
        self.tell();
    }

    /// WebRTC on one interface: its answers have to leave from the address that was asked.
    async fn listen_webrtc(&mut self, ip: IpAddr, port: u16) {
        let port = self.webrtc_port.unwrap_or(port);
        let address = Multiaddr::from(ip)
            .with(Protocol::Udp(port))
            .with(Protocol::WebRTCDirect);
        match self.swarm.listen_on(address) {
            Ok(id) => {
                self.webrtc.insert(ip, id);
                if let Ok(port) = timeout(START_PATIENCE, self.told(id)).await {
                    self.webrtc_port = Some(port);
                }
            }
            Err(error) => tracing::warn!(%error, "no WebRTC at {ip}, port {port}"),
        }
    }

    /// A STUN responder on one interface. Each has its own socket, so that an answer leaves from the address that was asked.
    async fn respond(&mut self, ip: IpAddr, port: u16) {
        // All have one port, also where any was asked for.
        let port = self.stun.values().next().map_or(port, |one| one.0.port());
        let bound = UdpSocket::bind(SocketAddr::new(ip, port)).await;
        match bound.and_then(|socket| Ok((socket.local_addr()?, socket))) {
            Ok((address, socket)) => {
                let task = tokio::spawn(stun::respond(socket));
                self.stun.insert(ip, Responder(address, task));
            }
            Err(error) => tracing::warn!(%error, "no STUN at {ip}, port {port}"),
        }
    }

    /// Tells peers and HTTP where we are, after that changed.
    fn tell(&mut self) {
        let mut now = self.reach.borrow().clone();
        now.listening = self.swarm.listeners().cloned().collect();
        now.listening.sort();
        now.stun = self.stun.values().map(|one| one.0).collect();
        now.stun.sort();
        let announced = now.announced();
        let old: Vec<_> = self.swarm.external_addresses().cloned().collect();
        for address in old.iter().filter(|address| !announced.contains(address)) {
            self.swarm.remove_external_address(address);
        }
        for address in announced {
            if !old.contains(&address) {
                self.swarm.add_external_address(address);
            }
        }
        self.reach.send_if_modified(|reach| {
            let changed = *reach != now;
            *reach = now;
            changed
        });
    }
}
