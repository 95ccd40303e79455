//! The peers of `tests/bench/join.mjs`: many viewers that join a gateway as browsers do, and stay until they are killed.
//!
//! `join ADDRESS COUNT`: each connects to the multiaddr, is identified, pings and reserves a place at the relay;
//! one line `joined N ms M` when all have.

use std::{
    env,
    error::Error,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::Either};
use libp2p::{
    Multiaddr, Swarm, Transport,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use tokio::{sync::mpsc, time::sleep};

type Failure = Box<dyn Error + Send + Sync>;

/// How many join at the same moment.
const AT_ONCE: usize = 16;
/// A peer that was not let in tries again after this.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(NetworkBehaviour)]
struct Viewer {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().collect();
    let [_, address, count] = &args[..] else {
        return Err("give ADDRESS COUNT".into());
    };
    let (address, count): (Multiaddr, usize) = (address.parse()?, count.parse()?);
    // QUIC and WebRTC each bring one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let start = Instant::now();
    let (tell, mut told) = mpsc::channel(AT_ONCE);
    for started in 0..count {
        let (address, tell) = (address.clone(), tell.clone());
        tokio::spawn(async move {
            if let Err(error) = stay(address, tell).await {
                eprintln!("{error}");
            }
        });
        if started >= AT_ONCE {
            told.recv().await.ok_or("a peer ended")?;
        }
    }
    for _ in 0..count.min(AT_ONCE) {
        told.recv().await.ok_or("a peer ended")?;
    }
    println!("joined {count} ms {}", start.elapsed().as_millis());
    sleep(Duration::MAX).await;
    Ok(())
}

/// Joins, says so once, and stays.
async fn stay(address: Multiaddr, tell: mpsc::Sender<()>) -> Result<(), Failure> {
    let mut viewer = viewer(&address)?;
    let circuit = address.with(Protocol::P2pCircuit);
    viewer.listen_on(circuit.clone())?;
    let mut tell = Some(tell);
    loop {
        match viewer.select_next_some().await {
            SwarmEvent::Behaviour(ViewerEvent::Relay(
                relay::client::Event::ReservationReqAccepted { .. },
            )) => {
                if let Some(tell) = tell.take() {
                    tell.send(()).await?;
                }
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                eprintln!("again: {reason:?}");
                sleep(AGAIN).await;
                viewer.listen_on(circuit.clone())?;
            }
            _ => {}
        }
    }
}

fn viewer(address: &Multiaddr) -> Result<Swarm<Viewer>, Failure> {
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let (circuits, relay) = relay::client::new(peer);
    let streams = circuits
        .or_transport(libp2p_websocket::Config::new(tcp))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&key)?)
        .multiplex(yamux::Config::default());
    let certificate = libp2p_webrtc::tokio::Certificate::generate(&mut rand::rng())?;
    let webrtc = libp2p_webrtc::tokio::Transport::new(key.clone(), certificate);
    let transport = streams
        .or_transport(webrtc)
        .map(|one, _| match one {
            Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
            Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        })
        .boxed();
    let identify = identify::Config::new("/meshlive/1".into(), key.public());
    let behaviour = Viewer {
        relay,
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::default(),
    };
    let settings = swarm::Config::with_tokio_executor();
    let mut swarm = Swarm::new(transport, behaviour, peer, settings);
    if address.iter().any(|one| one == Protocol::WebRTCDirect) {
        // libp2p-webrtc dials from a socket that listens.
        swarm.listen_on("/ip4/127.0.0.1/udp/0/webrtc-direct".parse()?)?;
    }
    Ok(swarm)
}
