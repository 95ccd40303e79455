//! The gateway among peers: one libp2p swarm that viewers' browsers and other gateways connect to.
//!
//! Files: `settings`, `identity` (the key that stays) → `listen`, `interfaces`, `addresses` (where we are, purely) →
//! `websocket` (what HTTP accepts), `webrtc` (browsers that dial over UDP), `transports` (every way in) → `behaviour` (what runs on each connection, and its limits)
//! → `feed` (what is published, for the engine), `bitswap` (what is stored, for any IPFS node), `dht`, `pubsub` (where the newest is), `mirrors`, `doors` (who follows a stream here, and where viewers find it), `around` (gateways that were met), `peers`, `fetch` (what we want of others) → `run` (the one task that has the swarm) → `stun` (viewers learn their own address).
//!
//! Viewers reserve a place at our relay and reach each other through it for signalling only: a circuit lives 30 s and
//! carries 64 KiB. What they tell each other there is secured end to end.

mod addresses;
mod around;
mod behaviour;
mod bitswap;
mod dht;
pub(crate) mod doors;
mod feed;
mod fetch;
mod identity;
mod interfaces;
mod listen;
pub(crate) mod mirrors;
mod peers;
mod pubsub;
mod run;
mod settings;
mod sites;
pub mod stun;
mod transports;
mod webrtc;
mod websocket;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::extract::ws::WebSocket;
use libp2p::{Swarm, core::upgrade::Version, swarm};
use meshlive_protocol::name::StreamName;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinHandle,
};

use crate::{
    StartError, config::Config, http::blocks::Blocks, metrics::Metrics, publish::Streams,
    store::Store,
};
use addresses::Described;
pub(crate) use addresses::Reach;
pub(crate) use around::{Met, is_dialled};
use bitswap::Shelf;
pub(crate) use bitswap::check_bitswap;
pub use dht::Dht;
use feed::Feed;
pub(crate) use feed::now;
pub(crate) use fetch::{Bound, Fetcher};
pub use fetch::{FetchError, Fetched, Pace, Place};
pub(crate) use peers::Peers;
pub use peers::Unreached;
use run::Run;
pub use settings::Settings;
use sites::Sites;
pub(crate) use websocket::MAX_MESSAGE_BYTES;

/// Accepted WebSockets that may wait for the swarm's task.
const WAITING_ARRIVALS: usize = 64;
/// A connection on which nothing runs (no reservation, no link) is closed after this.
const IDLE: Duration = Duration::from_secs(30);
/// Streams of one connection that may be in the making at once.
const NEGOTIATING_STREAMS: usize = 32;

/// The running swarm.
pub(crate) struct Network {
    name: StreamName,
    door: Door,
    peers: Peers,
    listeners: Vec<(&'static str, SocketAddr)>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Network {
    /// Listens on everything that `config` asks for, beside HTTP at `http`; when it returns, peers are served.
    ///
    /// # Errors
    /// When the key, or an address that was asked for, cannot be had.
    pub(crate) async fn start(
        config: &Config,
        http: SocketAddr,
        streams: Arc<Streams>,
        store: Store,
        blocks: Arc<Blocks>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let key = identity::key(&config.data)?;
        let peer = key.public().to_peer_id();
        let name = identity::name(&key)?;
        let plan = listen::plan(config, http)?;
        let loopback = |ip: IpAddr| ip.is_loopback();
        let open = |address: &SocketAddr| !loopback(address.ip());
        let mdns = config.p2p.mdns && plan.iter().any(|(_, address)| open(address));

        let (arrive, arrivals) = mpsc::channel(WAITING_ARRIVALS);
        let certificate = webrtc::Certificate::kept(&config.data)?;
        let arrivals = websocket::Transport::new(arrivals, http);
        let transport = transports::build(&key, certificate, arrivals)
            .map_err(|error| StartError::Peer(error.to_string()))?;
        let shelf = Shelf { store, blocks };
        let names = streams.names().clone();
        let room = behaviour::Room::new(&key, &config.p2p, mdns, shelf, names);
        let settings = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(IDLE)
            // Who opens a stream says at once what it has to say: no round trip for the other side's consent.
            .with_substream_upgrade_protocol_override(Version::V1Lazy)
            .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS);
        let mut swarm = Swarm::new(transport, room, peer, settings);
        for address in config.p2p.first_peers() {
            if let Err(error) = swarm.dial(address.clone()) {
                tracing::warn!(%address, %error, "p2p.bootstrap: this peer cannot be dialled");
            }
        }
        let reach = Reach {
            peer,
            http,
            public_url: config.public_url.clone(),
            interfaces: Vec::new(),
            listening: Vec::new(),
            stun: Vec::new(),
        };
        let sites = Sites::parse(&config.p2p.sites).unwrap_or_default();
        let feed = Feed::new(streams.clone(), peer, config.p2p.upload, sites.own());
        let (around, met) = watch::channel(Vec::new());
        let (peers, asked) = Peers::new(met);
        let mut run = Run::new(swarm, reach, plan, feed, streams, asked, around, metrics);
        let listeners = run.listen().await?;
        let door = Door {
            arrive,
            places: Arc::new(Semaphore::new(config.p2p.connections as usize)),
            reach: run.reach(),
            sites: Arc::new(sites),
        };
        let (stop, mut stopping) = watch::channel(false);
        let task = tokio::spawn(run.run(async move {
            // An error means that the gateway is gone: the same.
            let _ = stopping.wait_for(|stop| *stop).await;
        }));
        Ok(Self {
            name,
            door,
            peers,
            listeners,
            stop,
            task,
        })
    }

    /// The name of this gateway's own key: of what it keeps for others.
    pub(crate) fn name(&self) -> StreamName {
        self.name.clone()
    }

    /// For HTTP: where WebSockets go in, and what peers are told.
    pub(crate) fn door(&self) -> Door {
        self.door.clone()
    }

    /// For whoever wants something of other peers.
    pub(crate) fn peers(&self) -> Peers {
        self.peers.clone()
    }

    /// Names and addresses of the listeners, for the ready line.
    pub(crate) fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.listeners
    }

    /// Ends all connections.
    pub(crate) async fn shutdown(self) {
        self.stop.send_replace(true);
        let _ = self.task.await; // a panic in there has been reported
    }
}

/// What HTTP needs of the swarm. A clone is the same.
#[derive(Clone)]
pub(crate) struct Door {
    arrive: mpsc::Sender<websocket::Arrival>,
    places: Arc<Semaphore>,
    reach: watch::Receiver<Reach>,
    sites: Arc<Sites>,
}

impl Door {
    /// A place for one more WebSocket, if there is any.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// An upgraded WebSocket becomes a connection; where too many arrive at once it is closed.
    pub(crate) fn arrive(&self, socket: WebSocket, from: SocketAddr, place: OwnedSemaphorePermit) {
        let arrival = websocket::Arrival {
            socket,
            from,
            place,
        };
        if self.arrive.try_send(arrival).is_err() {
            tracing::debug!(%from, "too many WebSockets arrive at once: one is closed");
        }
    }

    /// The operator's URL of this gateway, or nothing.
    pub(crate) fn public_url(&self) -> String {
        self.reach.borrow().public_url.clone()
    }

    /// Where this gateway's HTTP is, now and later.
    pub(crate) fn reach(&self) -> watch::Receiver<Reach> {
        self.reach.clone()
    }

    /// Where other gateways and IPFS nodes reach this one, each with its peer id: 1 to 20.
    pub(crate) fn dialled(&self) -> Vec<String> {
        self.reach.borrow().dialled()
    }

    /// What a peer needs to join, for who asked under `host`, from an address.
    pub(crate) fn described(&self, host: Option<&str>, from: Option<IpAddr>) -> Described {
        let described = self.reach.borrow().described(host);
        let site = from.map_or(0, |from| self.sites.of(from));
        described.at(site, self.sites.own())
    }
}
