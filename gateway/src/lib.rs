//! The gateway, in the order in which bytes pass through it:
//! [`ingest`] (a source to coded samples) → [`package`] (samples to parts) → [`publish`] (CID, signature, the live
//! window) → [`store`] (pinned on disk before it is announced) → [`archive`] (hours and days) → [`swarm`] (peers) and [`http`] (page, playlists, parts, API).
//!
//! A stream that another gateway publishes comes in through [`follow`] instead of the first three. [`pinning`]: what others keep for
//! this gateway, and it for them.
//!
//! [`Gateway::start`] assembles the rooms in that order from back to front, so that nothing arrives before there is
//! someone to take it; [`Gateway::shutdown`] takes them apart from front to back.

#![warn(missing_docs)]

pub mod archive;
pub mod clock;
pub mod config;
pub mod follow;
pub mod fuzz;
pub mod http;
pub mod ingest;
mod inputs;
pub mod keys;
pub mod metrics;
pub mod names;
pub mod package;
pub mod pinning;
pub mod publish;
mod recent;
pub mod store;
pub mod swarm;

use std::{net::SocketAddr, sync::Arc};

use cid::Cid;
use libp2p::Multiaddr;
use meshlive_protocol::name::StreamName;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::JoinHandle,
};

use clock::Clock;
use config::Config;
use follow::Follows;
use http::blocks::Blocks;
use inputs::Inputs;
use keys::Keys;
use metrics::Metrics;
use names::Names;
use pinning::Pins;
use publish::Streams;
use store::Store;
use swarm::{FetchError, Fetched, Fetcher, Network, Place};

/// Connections that the system keeps for us until they are accepted, where its own limit (`net.core.somaxconn`) allows.
const WAITING_CONNECTIONS: u32 = 4096;

/// Why the gateway cannot start; names the thing, the value and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// Its store.
    #[error("{0}; give another folder with --data, or make this one writable")]
    Store(std::io::Error),
    /// A listener.
    #[error("cannot listen on {address} ({what}): {error}; give another address with --{what}")]
    Listen {
        /// The flag that sets it.
        what: &'static str,
        /// As asked for.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The swarm.
    #[error("no peer can be made of the key in peer.key: {0}; delete the file for a new one")]
    Peer(String),
    /// A stream.
    #[error(transparent)]
    Stream(#[from] publish::Error),
    /// A thread.
    #[error("the system gives no thread: {0}; end other programs or raise the limit (ulimit -u)")]
    Thread(std::io::Error),
    /// An input.
    #[error("{0}")]
    Input(String),
}

/// A running gateway.
pub struct Gateway {
    inputs: Inputs,
    follows: Follows,
    network: Network,
    fetcher: Fetcher,
    streams: Arc<Streams>,
    http: SocketAddr,
    public_url: String,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Starts everything that `config` asks for; when it returns, viewers are served.
    ///
    /// # Errors
    /// When keys, store, a listener or an input cannot be had; nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let clock = Clock::start();
        let metrics = Arc::new(Metrics::new());
        let store = Store::open(&config.data.join("store"), config.store.clone())
            .map_err(StartError::Store)?;
        let keys = Arc::new(Keys::open(&config.data)?);
        let address = config
            .listen
            .http
            .0
            .expect("the configuration was checked: http is never off");
        let listen = |error| StartError::Listen {
            what: "http",
            address,
            error,
        };
        let listener = listener(address).map_err(listen)?;
        let http = listener.local_addr().map_err(listen)?;

        let streams = Streams::new(
            config.publish.clone(),
            config.package.target_duration(),
            keys.clone(),
            store.clone(),
            clock.clone(),
            metrics.clone(),
        );
        let own = config.streams.iter();
        let own = own.map(|(alias, settings)| (alias.clone(), settings.archive_rule()));
        let streams = streams
            .with_archives(config.archive.clone(), own.collect())
            .with_names(Names::new(Some(&config.data)));
        let streams = Arc::new(streams);
        let blocks = Blocks::new(store.clone(), config.http.memory_bytes);
        let network = Network::start(
            &config,
            http,
            streams.clone(),
            store.clone(),
            blocks.clone(),
            metrics.clone(),
        )
        .await?;
        let fetcher = Fetcher {
            peers: network.peers(),
            store: store.clone(),
            blocks: blocks.clone(),
        };
        let (stop, stopping) = watch::channel(false);
        let served = match config.http.fetch {
            true => blocks.reaching(network.peers()),
            false => blocks,
        };
        let doors = http::State::new(
            streams.clone(),
            store,
            served,
            clock.clone(),
            metrics.clone(),
            config.http.clone(),
            Some(network.door()),
        );
        let pins = Pins::start(&config, &network, &fetcher, &streams, &clock, &metrics);
        let pins = match pins {
            Ok(pins) => pins,
            Err(error) => {
                network.shutdown().await;
                return Err(StartError::Store(error));
            }
        };
        let mut tasks = pins.run(&stopping);
        let doors = doors.with_pinning(pins.here, pins.elsewhere);
        let served = http::serve(listener, doors, told(stopping));
        tasks.push(tokio::spawn(served));

        let public_url = match config.public_url.trim_end_matches('/') {
            "" => format!("http://{http}"),
            url => url.to_owned(),
        };
        let inputs = match Inputs::start(config.clone(), keys, streams.clone(), clock).await {
            Ok(inputs) => inputs,
            Err(error) => {
                network.shutdown().await;
                end(&stop, tasks).await;
                return Err(error);
            }
        };
        match Follows::start(&config, &streams, &fetcher, &network.door().reach()) {
            Ok(follows) => Ok(Self {
                inputs,
                follows,
                network,
                fetcher,
                streams,
                http,
                public_url,
                stop,
                tasks,
            }),
            Err(error) => {
                inputs.shutdown().await;
                network.shutdown().await;
                end(&stop, tasks).await;
                Err(error)
            }
        }
    }

    /// The line that says where everything is: `ready`, the page's URL, and `key=address` of each other listener.
    pub fn ready(&self) -> String {
        let mut line = format!("ready {}/", self.public_url);
        for (name, address) in self
            .inputs
            .addresses()
            .iter()
            .chain(self.network.addresses())
        {
            line.push_str(&format!(" {name}={address}"));
        }
        line
    }

    /// Where HTTP listens.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The streams of this gateway.
    pub fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    /// What is pinned here.
    pub fn store(&self) -> &Store {
        &self.fetcher.store
    }

    /// Has everything that `root` leads to from the peer at `address` (a multiaddr with its peer id) and keeps it at
    /// `place`, each block checked against its CID. What is here already is not asked for.
    ///
    /// # Errors
    /// When the peer cannot be reached or does not have all of it; what came until then is kept.
    pub async fn fetch(
        &self,
        address: Multiaddr,
        root: Cid,
        place: &Place,
    ) -> Result<Fetched, FetchError> {
        let peer = self.fetcher.peers.connect(address).await?;
        let (pace, known) = Default::default();
        (self.fetcher)
            .dag(root, &[peer], place, &pace, &known, &[])
            .await
    }

    /// Asks peers for a newer IPNS record of a stream; what they tell and what proves valid is then in [`Streams::names`].
    ///
    /// # Errors
    /// When the gateway is ending.
    pub async fn look_for(&self, name: &StreamName) -> Result<(), swarm::Unreached> {
        self.fetcher.peers.look_for(name.clone()).await
    }

    /// Ends everything, from front to back; returns when all that was announced is on the disk.
    pub async fn shutdown(self) {
        self.inputs.shutdown().await;
        self.follows.shutdown().await;
        self.network.shutdown().await;
        end(&self.stop, self.tasks).await;
    }
}

/// A whole audience may come in the same moment: each waits in the system's queue until it is accepted, and one for
/// whom there is no place tries again only after a second.
fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_CONNECTIONS)
}

async fn end(stop: &watch::Sender<bool>, tasks: Vec<JoinHandle<()>>) {
    stop.send_replace(true);
    for task in tasks {
        let _ = task.await; // a panic in there has been reported
    }
}

async fn told(mut stopping: watch::Receiver<bool>) {
    // An error means that the gateway is gone: the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}
