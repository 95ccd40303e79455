//! What runs on every connection, and its limits.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use libp2p::{
    connection_limits::{self, ConnectionLimits},
    identify,
    identity::Keypair,
    mdns, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use meshlive_protocol::behaviour::Behaviour as Engine;

use super::{Settings, bitswap, dht, feed, pubsub};
use crate::names::Names;

/// Told to peers by identify: which protocol family this is.
const PROTOCOL: &str = "/meshlive/1";
/// How often each peer is asked whether it is still there, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_PATIENCE: Duration = Duration::from_secs(20);
/// A reservation is renewed by its peer before this.
const RESERVATION: Duration = Duration::from_secs(3600);
/// Signalling is over in a second or two; and takes about 20 KB both ways with Noise, yamux and identify.
const CIRCUIT: Duration = Duration::from_secs(30);
const CIRCUIT_BYTES: u64 = 64 * 1024;
/// Circuits that one peer may have open at once; it meets this many others in the same moment.
const CIRCUITS_PER_PEER: usize = 16;
/// Of one peer: this many at once, then one for each second or six.
const CIRCUITS_BURST: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
const CIRCUITS_EVERY: Duration = Duration::from_secs(1);
const RESERVATIONS_BURST: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
const RESERVATIONS_EVERY: Duration = Duration::from_secs(6);

/// Limits come first: what they deny, no other part hears of.
#[derive(NetworkBehaviour)]
pub(super) struct Room {
    limits: connection_limits::Behaviour,
    pub(super) relay: relay::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
    /// Where the newest of a stream is, to any IPFS node.
    pub(super) dht: Toggle<dht::Behaviour>,
    /// The same, to whoever wants to be told.
    pub(super) pubsub: Toggle<pubsub::Behaviour>,
    /// What is stored, to any IPFS node.
    pub(super) bitswap: bitswap::Behaviour,
    /// What is published, to viewers.
    pub(super) engine: Engine,
}

impl Room {
    /// `mdns`: whether others on the link are asked and answered.
    pub(super) fn new(
        key: &Keypair,
        settings: &Settings,
        mdns: bool,
        shelf: bitswap::Shelf,
        names: Arc<Names>,
    ) -> Self {
        let peer = key.public().to_peer_id();
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(settings.pending))
            .with_max_pending_outgoing(Some(settings.pending))
            .with_max_established(Some(settings.connections))
            .with_max_established_per_peer(Some(settings.connections_per_peer));
        let identify = identify::Config::new(PROTOCOL.into(), key.public())
            .with_agent_version(concat!("meshlive/", env!("CARGO_PKG_VERSION")).into())
            .with_push_listen_addr_updates(false);
        let ping = ping::Config::new()
            .with_interval(PING_EVERY)
            .with_timeout(PING_PATIENCE);
        let mut relay = relay::Behaviour::new(peer, relay_config(settings));
        // Not only once others confirmed an address of ours: here nobody else can.
        relay.set_status(Some(relay::Status::Enable));
        let mdns = mdns
            .then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), peer))
            .and_then(|started| {
                started
                    .inspect_err(|error| {
                        tracing::warn!(%error, "no multicast DNS: gateways on this link do not find each other; set p2p.mdns = false to be silent about it");
                    })
                    .ok()
            });
        Self {
            limits: connection_limits::Behaviour::new(limits),
            relay,
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            mdns: mdns.into(),
            dht: dht::Behaviour::new(peer, names.clone(), settings.dht).into(),
            pubsub: (settings.pubsub)
                .then(|| pubsub::Behaviour::new(key, names))
                .into(),
            bitswap: bitswap::Behaviour::new(shelf),
            engine: Engine::new(feed::now),
        }
    }
}

/// For signalling only, between all peers that may be connected. There is no limit by address: behind one there may be
/// a whole neighbourhood.
fn relay_config(settings: &Settings) -> relay::Config {
    let connections = settings.connections as usize;
    relay::Config {
        max_reservations: connections,
        max_reservations_per_peer: 2,
        reservation_duration: RESERVATION,
        reservation_rate_limiters: Vec::new(),
        max_circuits: (connections / 2).max(CIRCUITS_PER_PEER),
        max_circuits_per_peer: CIRCUITS_PER_PEER,
        max_circuit_duration: CIRCUIT,
        max_circuit_bytes: CIRCUIT_BYTES,
        circuit_src_rate_limiters: Vec::new(),
    }
    .reservation_rate_per_peer(RESERVATIONS_BURST, RESERVATIONS_EVERY)
    .circuit_src_per_peer(CIRCUITS_BURST, CIRCUITS_EVERY)
}
