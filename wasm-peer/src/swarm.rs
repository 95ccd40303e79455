//! The browser's swarm: what it dials by, what it speaks, and how it finds its gateway and other viewers.

use std::{num::NonZeroU8, time::Duration};

use libp2p::{
    Transport,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identify,
    identity::{Keypair, PeerId},
    multiaddr::{Multiaddr, Protocol},
    noise, ping, relay,
    swarm::{
        Config, NetworkBehaviour, Swarm,
        dial_opts::{DialOpts, PeerCondition},
    },
    yamux,
};

use crate::{gateways::Gateways, unrelayed::Unrelayed, webrtc, websocket};

/// Told to others in `identify`.
const AGENT: &str = concat!("meshlive-viewer/", env!("CARGO_PKG_VERSION"));
/// A connection that nothing uses is closed after this time.
const IDLE: Duration = Duration::from_secs(10);
/// Time for a transport's whole set-up: for `/webrtc` the way to the relay, the introduction and the connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// All that runs in this swarm. Over relayed connections nothing but `webrtc`'s signalling does.
#[derive(NetworkBehaviour)]
pub struct Browser<E: NetworkBehaviour> {
    pub gateways: Gateways,
    pub relay: relay::client::Behaviour,
    pub webrtc: webrtc::Behaviour,
    pub identify: Unrelayed<identify::Behaviour>,
    pub ping: Unrelayed<ping::Behaviour>,
    pub engine: Unrelayed<E>,
}

/// A swarm that speaks `engine`, is reachable as soon as [`reach`] found a gateway, and works while it is polled.
pub fn build<E: NetworkBehaviour>(key: &Keypair, engine: E) -> Swarm<Browser<E>> {
    let me = key.public().to_peer_id();
    let noise = noise::Config::new(key).expect("an Ed25519 key signs its Noise key");
    let (webrtc, signalling) = webrtc::new(key.clone());
    let (circuits, relay) = relay::client::new(me);

    // The order matters: the circuit transport takes every address with a circuit in it, `/p2p-circuit/webrtc` too.
    let webrtc = webrtc.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let streams = circuits
        .or_transport(websocket::Dialler)
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(PATIENCE);
    let transport = webrtc
        .or_transport(streams)
        .map(|either, _| match either {
            libp2p::futures::future::Either::Left((peer, muxer)) => (peer, muxer),
            libp2p::futures::future::Either::Right((peer, muxer)) => {
                (peer, StreamMuxerBox::new(muxer))
            }
        })
        .boxed();

    let identify = identify::Config::new("/meshlive/1".into(), key.public())
        .with_agent_version(AGENT.into())
        .with_cache_size(0);
    let behaviour = Browser {
        gateways: Gateways::default(),
        relay,
        webrtc: signalling,
        identify: Unrelayed::new(identify::Behaviour::new(identify)),
        ping: Unrelayed::new(ping::Behaviour::default()),
        engine: Unrelayed::new(engine),
    };
    // A gateway's addresses are tried in their order. Who opens a stream says at once what it has to say: no round trip for
    // the other side's consent.
    let config = Config::with_wasm_executor()
        .with_idle_connection_timeout(IDLE)
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_dial_concurrency_factor(NonZeroU8::MIN);
    let mut swarm = Swarm::new(transport, behaviour, me, config);
    swarm
        .listen_on(Multiaddr::empty().with(Protocol::WebRTC))
        .expect("the first listener of this transport");
    swarm
}

/// Keeps connected to the gateway at these addresses, each with its `/p2p/…`, and listens at its relay; `stun` are URLs.
pub fn reach<E: NetworkBehaviour>(
    swarm: &mut Swarm<Browser<E>>,
    gateway: &[Multiaddr],
    stun: &[String],
) {
    let behaviour = swarm.behaviour_mut();
    behaviour.webrtc.set_ice_servers(stun.to_vec());
    behaviour.gateways.reach(gateway);
}

/// Connects to another viewer, introduced by the gateway's relay; who dials needs no reservation there. A failure is told as
/// an event of the swarm.
pub fn dial_viewer<E: NetworkBehaviour>(swarm: &mut Swarm<Browser<E>>, peer: PeerId) {
    let behaviour = swarm.behaviour();
    let mut circuits = behaviour.webrtc.circuits();
    if circuits.is_empty() {
        // Fails where there is no gateway either, and says why.
        let circuit = behaviour.gateways.circuit();
        circuits.push(circuit.unwrap_or_else(Multiaddr::empty));
    }
    let addresses = circuits
        .into_iter()
        .map(|circuit| circuit.with(Protocol::WebRTC).with(Protocol::P2p(peer)));
    // A circuit that a former attempt left for a while is no reason not to try.
    let condition = match swarm.behaviour().engine.is_connected(&peer) {
        true => PeerCondition::DisconnectedAndNotDialing,
        false => PeerCondition::NotDialing,
    };
    // Refused at once only where it is needless: connected, or being dialled.
    let _ = swarm.dial(
        DialOpts::peer_id(peer)
            .condition(condition)
            .addresses(addresses.collect())
            .build(),
    );
}
