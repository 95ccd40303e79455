//! A gateway to connect to, and a plain libp2p peer with every transport that libp2p has.

use std::time::Duration;

use futures::{StreamExt, future::Either};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::{muxing::StreamMuxerBox, transport::OrTransport, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, quic, relay,
    swarm::{self, NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use meshlive_gateway::{
    Gateway,
    config::{
        Config,
        value::{Address, Beside},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway without streams, on free ports of loopback.
pub(crate) struct Host {
    pub(crate) gateway: Gateway,
    _folder: tempfile::TempDir,
}

impl Host {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            data: folder.path().into(),
            inputs: Vec::new(),
            ..Config::default()
        };
        config.listen.http = Address::loopback(0);
        config.listen.rtmp = Address::OFF;
        for beside in [&mut config.listen.p2p_tcp, &mut config.listen.p2p_quic] {
            *beside = Beside::Port(0);
        }
        change(&mut config);
        let gateway = Gateway::start(config).await.unwrap();
        Self {
            gateway,
            _folder: folder,
        }
    }

    /// The body of an answer of the gateway, asked as `host`.
    pub(crate) async fn get(&self, path: &str, host: &str) -> String {
        let answer = self.answer(path, &format!("host: {host}\r\n")).await;
        let answer = String::from_utf8_lossy(&answer);
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The whole answer to a request with these headers.
    pub(crate) async fn answer(&self, path: &str, headers: &str) -> Vec<u8> {
        let mut socket = TcpStream::connect(self.gateway.http()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        answer
    }

    /// What `/api/v1/peer` tells on the gateway's own address.
    pub(crate) async fn told(&self) -> serde_json::Value {
        let body = self
            .get("/api/v1/peer", &self.gateway.http().to_string())
            .await;
        serde_json::from_str(&body).unwrap()
    }

    /// The announced address that contains `part`.
    pub(crate) async fn address(&self, part: &str) -> Multiaddr {
        let told = self.told().await;
        let addresses = told["addresses"].as_array().unwrap();
        let mut all = addresses.iter().map(|address| address.as_str().unwrap());
        let found = all.find(|address| address.contains(part));
        found
            .unwrap_or_else(|| panic!("no {part} in {told}"))
            .parse()
            .unwrap()
    }

    /// The announced address of libp2p over TCP alone.
    pub(crate) async fn tcp(&self) -> Multiaddr {
        let told = self.told().await;
        let addresses = told["addresses"].as_array().unwrap();
        let mut all = addresses.iter().map(|address| address.as_str().unwrap());
        let tcp = all.find(|one| one.contains("/tcp/") && !one.contains("/ws"));
        tcp.unwrap_or_else(|| panic!("no TCP in {told}"))
            .parse()
            .unwrap()
    }
}

/// The peer that an address ends with.
pub(crate) fn peer_of(address: &Multiaddr) -> PeerId {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => peer,
        last => panic!("{address} ends with {last:?}"),
    }
}

#[derive(NetworkBehaviour)]
pub(crate) struct Plain {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

pub(crate) type Client = Swarm<Plain>;
pub(crate) type Happened = SwarmEvent<PlainEvent>;

pub(crate) fn client() -> Client {
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    let noise = noise::Config::new(&key).unwrap();
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    // QUIC and WebRTC each bring one. An error means that it was chosen before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificate = libp2p_webrtc::tokio::Certificate::generate(&mut rand::rng()).unwrap();
    let (circuits, relay) = relay::client::new(peer);
    // WebSocket before TCP: libp2p's TCP does not take what ends with /ws.
    let streams = OrTransport::new(
        circuits,
        OrTransport::new(libp2p_websocket::Config::new(tcp()), tcp()),
    )
    .upgrade(Version::V1)
    .authenticate(noise)
    .multiplex(yamux::Config::default());
    let transport = streams
        .or_transport(quic::tokio::Transport::new(quic::Config::new(&key)))
        .map(|one, _| match one {
            Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
            Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        })
        .or_transport(libp2p_webrtc::tokio::Transport::new(
            key.clone(),
            certificate,
        ))
        .map(|one, _| match one {
            Either::Left((peer, muxer)) => (peer, muxer),
            Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        })
        .boxed();
    let behaviour = Plain {
        relay,
        identify: identify::Behaviour::new(identify::Config::new("/test/1".into(), key.public())),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(200))),
    };
    let settings = swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    let mut swarm = Swarm::new(transport, behaviour, peer, settings);
    // libp2p-webrtc dials from a socket that listens.
    swarm
        .listen_on("/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap())
        .unwrap();
    swarm
}

/// Runs a client until something happens that `wanted` makes something of.
pub(crate) async fn until<T>(
    client: &mut Client,
    what: &str,
    mut wanted: impl FnMut(&Happened) -> Option<T>,
) -> T {
    let seen = timeout(PATIENCE, async {
        loop {
            let event = client.select_next_some().await;
            if let Some(found) = wanted(&event) {
                return found;
            }
            if std::env::var_os("SHOW_EVENTS").is_some() {
                eprintln!("{event:?}");
            }
        }
    });
    seen.await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A round trip by libp2p's ping with `peer`.
pub(crate) fn pinged(event: &Happened, peer: PeerId) -> Option<Duration> {
    match event {
        SwarmEvent::Behaviour(PlainEvent::Ping(ping)) if ping.peer == peer => {
            ping.result.as_ref().ok().copied()
        }
        _ => None,
    }
}

/// What `peer` says about itself.
pub(crate) fn identified(event: &Happened, peer: PeerId) -> Option<identify::Info> {
    match event {
        SwarmEvent::Behaviour(PlainEvent::Identify(identify::Event::Received {
            peer_id,
            info,
            ..
        })) if *peer_id == peer => Some(info.clone()),
        _ => None,
    }
}

/// The reservation that was accepted.
pub(crate) fn reserved(event: &Happened) -> Option<()> {
    match event {
        SwarmEvent::Behaviour(PlainEvent::Relay(
            relay::client::Event::ReservationReqAccepted { .. },
        )) => Some(()),
        _ => None,
    }
}
