//! The peer by which a stream is followed: a viewer's engine over TCP and QUIC. Other mirrors are reached as browsers reach
//! each other: the gateway names them, and its relay introduces; addresses are told there, and the connection is direct.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm, identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{
        ConnectionError, ConnectionId, NetworkBehaviour, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
    tcp, yamux,
};
use meshlive_protocol::{
    behaviour::{Behaviour as Engine, Event},
    message::Place,
    name::StreamName,
    scheduler::{Input, Micros, Output, Role, Scheduler, Settings},
};

use super::gateways::{Gateway, Named, REDIAL, ip_of, leave_doubles, with_peer};
use crate::swarm::{Met, doors, mirrors};

/// Told to peers by identify: which protocol family this is, and what of it.
const PROTOCOL: &str = "/meshlive/1";
/// Bytes of parts that are at hand for others: what waits for its announcement to be told lies there, too.
const CACHE_BYTES: usize = 64 << 20;
/// Mirrors are a site of their own: what is pushed to a browser does not reach them, they pass it on among each other.
const MIRRORS: u32 = u32::MAX;
/// Links to others that are sought.
const NEIGHBOURS: usize = 8;
/// A connection on which nothing runs is closed after this.
const IDLE: Duration = Duration::from_secs(30);
/// A QUIC connection to a gateway that was killed says nothing of that. On ours something is said so often, and one on which
/// nothing comes for so long has ended.
const QUIC: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(2_500));
/// Gateways that were found, linked or tried, at a time; those that have been tried; and when one is tried again, microseconds.
const MAX_FOUND: usize = 8;
const MAX_TRIED: usize = 256;
const TRY_AGAIN: Micros = 15_000_000;
/// A gateway that has the stream says so within this, microseconds.
const SAYS: Micros = 5_000_000;
/// Gateways whose HTTP is looked up at a time.
const MAX_LOOKUPS: usize = 16;

#[derive(NetworkBehaviour)]
pub(super) struct Room {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    engine: Engine,
}

/// One stream's peer.
pub(super) struct Peer {
    pub(super) stream: StreamName,
    pub(super) swarm: Swarm<Room>,
    pub(super) gateways: Vec<Named>,
    /// Gateways that were found and are not tried again before.
    tried: HashMap<Met, Micros>,
    /// Relayed connections, and with whom.
    pub(super) circuits: HashMap<ConnectionId, PeerId>,
    /// Where viewers find a gateway, while that is being looked up.
    lookups: FuturesUnordered<BoxFuture<'static, (PeerId, Option<String>)>>,
    now: fn() -> Micros,
}

/// What happened that the mirror takes part in.
pub(super) enum Happened {
    /// The engine wants something done.
    Output(Output),
    /// The last connection to a gateway broke.
    Lost(PeerId),
    /// Nothing that matters here.
    Nothing,
}

impl Peer {
    /// Nobody is connected yet. It listens at `listen`, on any port, for other mirrors; within a tokio runtime.
    ///
    /// # Errors
    /// What the transports say, which is nothing but that a key cannot sign.
    pub(super) fn new(
        stream: StreamName,
        gateways: &[Multiaddr],
        listen: Option<IpAddr>,
        upload: u32,
        now: fn() -> Micros,
    ) -> Result<Self, noise::Error> {
        let key = Keypair::generate_ed25519();
        let me = key.public().to_peer_id();
        let settings = Settings {
            cache_bytes: CACHE_BYTES,
            neighbours: NEIGHBOURS,
            upload,
            reserve: 300_000,
            hushes: false, // its own viewers wait for it
        };
        let seed = getrandom::u64().expect("the system has randomness: keys were made with it");
        let scheduler = Scheduler::new(me, stream.clone(), Role::Viewer, settings, seed);
        let mut engine = Engine::new(now);
        engine.open(stream.clone(), scheduler, true);
        // Every rendition there is or will be.
        let all = Input::Select {
            renditions: u16::MAX,
        };
        engine.input(&stream, all).expect("no envelope");
        let (mine, gateway) = (MIRRORS, MIRRORS);
        let apart = Input::Site { mine, gateway };
        engine.input(&stream, apart).expect("no envelope");
        let identify = identify::Config::new(PROTOCOL.into(), key.public())
            .with_agent_version(mirrors::AGENT.into())
            .with_push_listen_addr_updates(true)
            .with_cache_size(0);
        let identify = identify::Behaviour::new(identify);
        let tcp = tcp::Config::default().nodelay(true);
        let swarm = libp2p::SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(tcp, noise::Config::new, yamux::Config::default)?
            .with_quic_config(|mut config| {
                config.keep_alive_interval = QUIC.0;
                config.max_idle_timeout = QUIC.1.as_millis().try_into().expect("some seconds");
                config
            })
            .with_relay_client(noise::Config::new, yamux::Config::default)?
            .with_behaviour(|_, relay| Room {
                relay,
                identify,
                ping: ping::Behaviour::default(),
                engine,
            })
            .expect("making it never fails")
            .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
            .build();
        let mut this = Self {
            stream,
            swarm,
            gateways: Vec::new(),
            tried: HashMap::new(),
            circuits: HashMap::new(),
            lookups: FuturesUnordered::new(),
            now,
        };
        if let Some(ip) = listen {
            let address = Multiaddr::from(ip).with(Protocol::Tcp(0));
            if let Err(error) = this.swarm.listen_on(address) {
                tracing::warn!(%error, "other mirrors cannot reach this one");
            }
        }
        this.gateways = gateways
            .iter()
            .map(|address| Named::new(address.clone(), None))
            .collect();
        Ok(this)
    }

    /// This gateway's HTTP is at these addresses: told to gateways, and by them to viewers.
    pub(super) fn is_at(&mut self, doors: Vec<Multiaddr>) {
        let old = self.swarm.external_addresses();
        let old: Vec<_> = old
            .filter(|one| doors::url(one).is_some())
            .cloned()
            .collect();
        for address in old.iter().filter(|address| !doors.contains(address)) {
            self.swarm.remove_external_address(address);
        }
        for address in doors.into_iter().filter(|address| !old.contains(address)) {
            self.swarm.add_external_address(address);
        }
    }

    /// The engine.
    pub(super) fn scheduler(&self) -> &Scheduler {
        let scheduler = self.swarm.behaviour().engine.scheduler(&self.stream);
        scheduler.expect("it was opened and is never closed")
    }

    /// Has the origin asked for its window, signed as it is now.
    pub(super) fn renew(&mut self) {
        self.swarm.behaviour_mut().engine.renew(&self.stream);
    }

    /// What the engine wanted fetched is here, or nobody had it.
    pub(super) fn fetched(&mut self, place: Place, bytes: Option<Bytes>, took: Micros) {
        let input = Input::Fetched { place, bytes, took };
        let engine = &mut self.swarm.behaviour_mut().engine;
        engine.input(&self.stream, input).expect("no envelope");
    }

    /// What the engine wants is stored here.
    pub(super) fn held(&mut self, place: Place, bytes: Bytes) {
        let input = Input::Held { place, bytes };
        let engine = &mut self.swarm.behaviour_mut().engine;
        engine.input(&self.stream, input).expect("no envelope");
    }

    /// Gateways that are connected at the moment, the nearest first.
    pub(super) fn gateways(&self) -> Vec<Gateway> {
        let gateways = self.gateways.iter();
        let connected = gateways.filter_map(|one| {
            let peer = one.peer?;
            Some(Gateway {
                peer,
                address: with_peer(&one.address, peer),
                http: one.http,
                door: one.door.clone(),
            })
        });
        connected.collect()
    }

    /// Dials what is to be dialled; says when to come back.
    pub(super) fn dial(&mut self) -> Option<Micros> {
        let now = (self.now)();
        for gateway in &mut self.gateways {
            if gateway.peer.is_some() || gateway.dialling.is_some() || now < gateway.next {
                continue;
            }
            let options = match &gateway.found {
                None => DialOpts::from(gateway.address.clone()),
                Some((peer, addresses)) => DialOpts::peer_id(*peer)
                    .condition(PeerCondition::Always)
                    .addresses(addresses.clone())
                    .build(),
            };
            let id = options.connection_id();
            match self.swarm.dial(options) {
                Ok(()) => gateway.dialling = Some(id),
                Err(error) => gateway.failed(&self.stream, &error, now),
            }
        }
        self.take_places(now);
        let places = self.gateways.iter().filter(|one| one.peer.is_some());
        let places = places.filter_map(|one| one.place_at);
        let waiting = self.gateways.iter();
        let waiting = waiting.filter(|one| one.peer.is_none() && one.dialling.is_none());
        waiting.map(|one| one.next).chain(places).min()
    }

    /// Nothing is heard of the stream: tries gateways that may have it, and leaves those again that do not.
    pub(super) fn seek(&mut self, candidates: Vec<Met>) {
        let now = (self.now)();
        let has: HashSet<PeerId> = (self.scheduler().peers().iter())
            .map(|one| one.peer)
            .collect();
        let has_not = |one: &Named| {
            let silent = |peer| !has.contains(&peer) && now > one.since + SAYS;
            one.found.is_some() && one.peer.map_or(one.said, silent)
        };
        let strangers: Vec<Named> = self.gateways.extract_if(.., |one| has_not(one)).collect();
        for stranger in strangers {
            if let Some(peer) = stranger.peer {
                let _ = self.swarm.disconnect_peer_id(peer); // gone already: as well
            }
        }
        self.tried.retain(|_, again| *again > now);
        for (peer, addresses) in candidates {
            let found = self.gateways.iter().filter(|one| one.found.is_some());
            if found.count() >= MAX_FOUND || self.tried.len() >= MAX_TRIED {
                return;
            }
            let is_it = |one: &Named| {
                let found = one.found.as_ref().map(|(peer, _)| *peer);
                one.peer == Some(peer) || found == Some(peer)
            };
            let known = self.gateways.iter().any(is_it);
            let (Some(first), false) = (addresses.first().cloned(), known) else {
                continue;
            };
            // One that is elsewhere now is tried at once.
            let met = (peer, addresses);
            if self.tried.contains_key(&met) {
                continue;
            }
            self.tried.insert(met.clone(), now + TRY_AGAIN);
            self.gateways.push(Named::new(first, Some(met)));
        }
    }

    /// The next that happens.
    pub(super) async fn next(&mut self) -> Happened {
        tokio::select! {
            event = self.swarm.select_next_some() => self.happened(event),
            Some((peer, door)) = self.lookups.next() => {
                let gateways = self.gateways.iter_mut();
                for gateway in gateways.filter(|one| one.peer == Some(peer)) {
                    gateway.door = door.clone();
                }
                Happened::Nothing
            }
        }
    }

    fn happened(&mut self, event: SwarmEvent<RoomEvent>) -> Happened {
        let now = (self.now)();
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                if endpoint.is_relayed() {
                    self.circuits.insert(connection_id, peer_id);
                }
                self.reached(connection_id, peer_id, endpoint.get_remote_address());
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                self.circuits.remove(&connection_id);
                let mut broke = false;
                let lost = self
                    .gateways
                    .iter_mut()
                    .filter(|one| one.peer == Some(peer_id));
                for gateway in lost.filter(|_| num_established == 0) {
                    tracing::warn!(stream = %self.stream, gateway = %gateway.address, "a gateway is gone; what is here is served, and it is dialled again");
                    (gateway.peer, gateway.said) = (None, true);
                    (gateway.pause, gateway.next) = (REDIAL.0, now + REDIAL.0);
                    gateway.away = Some(now);
                    broke = matches!(cause, Some(ConnectionError::IO(_)));
                }
                if num_established == 0 {
                    // It is found again where it is then.
                    let is_gone = |one: &mut Named| {
                        one.found.as_ref().is_some_and(|(peer, _)| *peer == peer_id)
                    };
                    self.gateways.retain_mut(|one| !is_gone(one));
                }
                if broke {
                    return Happened::Lost(peer_id);
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                let mut gateways = self.gateways.iter_mut();
                if let Some(gateway) = gateways.find(|one| one.dialling == Some(connection_id)) {
                    gateway.failed(&self.stream, &error, now);
                    self.gateways.retain(|one| one.found.is_none() || !one.said);
                }
            }
            SwarmEvent::ListenerClosed { listener_id, .. } => self.place_lost(listener_id, now),
            SwarmEvent::Behaviour(event) => return self.behaved(event),
            _ => {}
        }
        Happened::Nothing
    }

    fn behaved(&mut self, event: RoomEvent) -> Happened {
        match event {
            RoomEvent::Engine(Event::Output {
                output: Output::Dial { peer },
                ..
            }) => self.introduce(peer),
            RoomEvent::Engine(Event::Output { output, .. }) => return Happened::Output(output),
            RoomEvent::Engine(Event::Unlinked { peer, why, .. }) => {
                tracing::debug!(stream = %self.stream, %peer, why, "a link ended");
            }
            RoomEvent::Ping(ping::Event {
                peer,
                result: Ok(took),
                ..
            }) => {
                let micros = took.as_micros().try_into().unwrap_or(Micros::MAX);
                self.swarm.behaviour_mut().engine.round_trip(peer, micros);
            }
            RoomEvent::Ping(ping::Event {
                connection,
                result: Err(ping::Failure::Timeout | ping::Failure::Other { .. }),
                ..
            }) => {
                self.swarm.close_connection(connection);
            }
            RoomEvent::Identify(identify::Event::Received {
                connection_id,
                peer_id,
                info,
            }) => match self.circuits.contains_key(&connection_id) {
                true => self.introduced(peer_id, &info),
                false => self.identified(peer_id, &info),
            },
            _ => {}
        }
        Happened::Nothing
    }

    /// A gateway that was dialled is there: it is told so to the engine, and its relay introduces this mirror to others.
    fn reached(&mut self, connection: ConnectionId, peer: PeerId, at: &Multiaddr) {
        let now = (self.now)();
        let mut gateways = self.gateways.iter_mut();
        let Some(gateway) = gateways.find(|one| one.dialling == Some(connection)) else {
            return;
        };
        if gateway.found.is_some() {
            gateway.address = at.clone();
        }
        gateway.dialling = None;
        gateway.since = now;
        gateway.peer = Some(peer);
        gateway.connection = Some(connection);
        (gateway.pause, gateway.away) = (REDIAL.0, None);
        gateway.said = false;
        tracing::info!(stream = %self.stream, gateway = %gateway.address, %peer, "following");
        gateway.place_at = Some(now);
        for double in leave_doubles(&mut self.gateways, peer) {
            self.swarm.close_connection(double);
        }
        self.swarm.behaviour_mut().engine.gateway(peer);
    }

    /// A gateway says where it is: its WebSockets come in over HTTP.
    fn identified(&mut self, peer: PeerId, info: &identify::Info) {
        for gateway in self
            .gateways
            .iter_mut()
            .filter(|one| one.peer == Some(peer))
        {
            let dialled = ip_of(&gateway.address);
            let ports = info.listen_addrs.iter().filter_map(|address| {
                let parts: Vec<_> = address.iter().take(3).collect();
                match parts[..] {
                    [_, Protocol::Tcp(port), Protocol::Ws(_)] => Some((ip_of(address), port)),
                    _ => None,
                }
            });
            // Best at the address that was dialled, which is reached from here.
            let port = ports.max_by_key(|(ip, _)| *ip == dialled);
            gateway.http = dialled
                .zip(port)
                .map(|(ip, (_, port))| SocketAddr::new(ip, port));
            let (told, dialled) = (info.listen_addrs.clone(), dialled);
            let own = gateway.http.map(doors::address);
            if let (Some(from), true) = (dialled, self.lookups.len() < MAX_LOOKUPS) {
                // Where the gateway itself tells only of addresses beyond a forwarded port, what was dialled is right.
                let looking = async move {
                    let told = told.into_iter().chain(own).collect();
                    (peer, doors::checked(told, from).await)
                };
                self.lookups.push(looking.boxed());
            }
        }
    }
}
