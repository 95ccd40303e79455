//! A gateway with a small test card, and a viewer as a browser has it but for the transport: it plays at the live edge,
//! takes what its engine tells it to fetch over HTTP, and dials other viewers at their TCP address.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::upgrade::Version,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping,
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
use meshlive_protocol::{
    behaviour::{Behaviour, Event},
    message::Place,
    name::StreamName,
    scheduler::{Counters, Input, Micros, Output, Role, Scheduler, Settings},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::interval,
};

/// How far behind the gateway's clock playback is.
const LATENCY: Micros = 2_000_000;

/// Of a gateway without streams, at any ports of loopback.
pub(crate) fn config(data: &Path) -> Config {
    let mut config = Config {
        data: data.into(),
        inputs: Vec::new(),
        ..Config::default()
    };
    config.listen.http = Address::loopback(0);
    config.listen.rtmp = Address::OFF;
    config.listen.p2p_tcp = Beside::Port(0);
    for off in [
        &mut config.listen.p2p_quic,
        &mut config.listen.p2p_webrtc,
        &mut config.listen.stun,
    ] {
        *off = Beside::Off;
    }
    config
}

pub(crate) struct Host {
    pub(crate) gateway: Gateway,
    _folder: tempfile::TempDir,
}

impl Host {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        config.inputs = vec!["testcard?name=cam&size=320x240&rate=15&bit_rate=300000".into()];
        let gateway = Gateway::start(config).await.unwrap();
        Self {
            gateway,
            _folder: folder,
        }
    }

    pub(crate) fn stream(&self) -> StreamName {
        self.gateway.streams().find("cam").unwrap().name().clone()
    }

    /// The gateway's TCP address, with its peer id.
    pub(crate) async fn address(&self) -> Multiaddr {
        let body = get(self.gateway.http(), "/api/v1/peer").await.unwrap();
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let addresses = told["addresses"].as_array().unwrap();
        let mut all = addresses
            .iter()
            .map(|address| address.as_str().unwrap().parse::<Multiaddr>().unwrap());
        all.find(|address| matches!(address.iter().nth(2), Some(Protocol::P2p(_))))
            .unwrap_or_else(|| panic!("no TCP in {told}"))
    }

    /// Bytes of media that the gateway has sent, over libp2p and over HTTP.
    pub(crate) async fn sent(&self) -> (u64, u64) {
        let p2p = self.count("p2p_sent_bytes_total{kind=\"part\"}").await;
        (
            p2p,
            self.count("http_sent_bytes_total{kind=\"part\"}").await,
        )
    }

    /// Those that it was asked for over bitswap.
    pub(crate) async fn bitswap(&self) -> u64 {
        self.count("bitswap_sent_bytes_total").await
    }

    async fn count(&self, name: &str) -> u64 {
        let metrics = get(self.gateway.http(), "/metrics").await.unwrap();
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        let line = format!("meshlive_{name} ");
        let mut lines = metrics.lines();
        let value = lines.find_map(|l| l.strip_prefix(&line)).unwrap();
        value.parse().unwrap()
    }
}

/// The body of an answer with status 200.
async fn get(http: SocketAddr, path: &str) -> Option<Bytes> {
    let mut socket = TcpStream::connect(http).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let body = Bytes::from(answer.split_off(end + 4));
    answer.starts_with(b"HTTP/1.1 200").then_some(body)
}

fn now() -> Micros {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_micros() as Micros
}

/// Where viewers are: what relay and signalling are to browsers.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<HashMap<PeerId, Multiaddr>>>);

#[derive(NetworkBehaviour)]
struct Room {
    engine: Behaviour,
    ping: ping::Behaviour,
}

/// What a test sees of a viewer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) counters: Counters,
    /// Bytes of all parts that were announced since it joined.
    pub(crate) announced: u64,
    /// Parts that were not there when playback came to them.
    pub(crate) late: u64,
    pub(crate) peers: usize,
}

pub(crate) struct Viewer {
    pub(crate) seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Viewer {
    /// `upload`: bytes per second; 0 does not share.
    pub(crate) async fn join(host: &Host, book: &Book, upload: u32) -> Self {
        let key = Keypair::generate_ed25519();
        let me = key.public().to_peer_id();
        let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(&key).unwrap())
            .multiplex(yamux::Config::default())
            .boxed();
        let mut engine = Behaviour::new(now);
        let gateway = host.address().await;
        let Some(Protocol::P2p(peer)) = gateway.iter().last() else {
            panic!("{gateway} names no peer");
        };
        engine.gateway(peer);
        let stream = host.stream();
        let settings = Settings {
            cache_bytes: 16 << 20,
            neighbours: 4,
            upload,
            reserve: 300_000,
            hushes: true,
        };
        let scheduler = Scheduler::new(me, stream.clone(), Role::Viewer, settings, 7);
        engine.open(stream.clone(), scheduler, true);
        let _ = engine.input(&stream, Input::Select { renditions: 1 });
        let ping = ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(1)));
        let config = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(Duration::from_secs(30));
        let mut swarm = Swarm::new(transport, Room { engine, ping }, me, config);
        swarm
            .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
            .unwrap();
        swarm.dial(gateway).unwrap();
        let (tell, seen) = watch::channel(Seen::default());
        let (answer, answers) = mpsc::channel(64);
        let run = Run {
            swarm,
            stream,
            http: host.gateway.http(),
            book: book.clone(),
            tell,
            answer,
            fetches: JoinSet::new(),
            edge: None,
            played: None,
        };
        Self {
            seen,
            task: tokio::spawn(run.run(answers)),
        }
    }

    pub(crate) fn now(&self) -> Seen {
        self.seen.borrow().clone()
    }
}

type Answer = (Place, Option<Bytes>, Micros);

struct Run {
    swarm: Swarm<Room>,
    stream: StreamName,
    http: SocketAddr,
    book: Book,
    tell: watch::Sender<Seen>,
    answer: mpsc::Sender<Answer>,
    fetches: JoinSet<()>,
    /// Last part that was announced.
    edge: Option<(u64, u32)>,
    /// Last part that was played.
    played: Option<(u64, u32)>,
}

impl Run {
    async fn run(mut self, mut answers: mpsc::Receiver<Answer>) {
        let mut frame = interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.happened(event),
                Some((place, bytes, took)) = answers.recv() => {
                    self.input(Input::Fetched { place, bytes, took });
                }
                _ = frame.tick() => self.play(),
                Some(_) = self.fetches.join_next() => {}
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let engine = &mut self.swarm.behaviour_mut().engine;
        engine.input(&self.stream, input).unwrap();
    }

    fn happened(&mut self, event: SwarmEvent<RoomEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                let me = *self.swarm.local_peer_id();
                self.book.0.lock().unwrap().insert(me, address);
            }
            SwarmEvent::Behaviour(RoomEvent::Engine(Event::Output { output, .. })) => {
                self.put_out(output);
            }
            SwarmEvent::Behaviour(RoomEvent::Ping(ping::Event {
                peer,
                result: Ok(took),
                ..
            })) => {
                let engine = &mut self.swarm.behaviour_mut().engine;
                engine.round_trip(peer, took.as_micros() as Micros);
            }
            _ => {}
        }
    }

    fn put_out(&mut self, output: Output) {
        match output {
            Output::Dial { peer } => {
                let known = self.book.0.lock().unwrap().get(&peer).cloned();
                let _ = match known {
                    Some(address) => self.swarm.dial(address.with(Protocol::P2p(peer))),
                    None => self.swarm.dial(peer),
                };
            }
            Output::Fetch { place } => self.fetch(place),
            Output::News { .. } => self.count_announced(),
            Output::Abort { .. } | Output::Ready { .. } | Output::Gone { .. } => {}
            other => panic!("a viewer is not to be asked for {other:?}"),
        }
    }

    fn fetch(&mut self, place: Place) {
        let engine = &self.swarm.behaviour().engine;
        let manifest = engine.scheduler(&self.stream).unwrap().manifest().unwrap();
        let id = &manifest.renditions()[usize::from(place.rendition)]
            .rendition
            .id;
        let Place { msn, part, .. } = place;
        let path = format!("/live/{}/{id}/{msn}.{part}.m4s", self.stream);
        let (http, answer, since) = (self.http, self.answer.clone(), now());
        self.fetches.spawn(async move {
            let bytes = get(http, &path).await;
            let _ = answer.send((place, bytes, now() - since)).await;
        });
    }

    /// All parts behind `last`, with their sizes and the program date time at which they begin.
    fn behind(&self, last: Option<(u64, u32)>) -> Vec<((u64, u32), u64, u64)> {
        let engine = &self.swarm.behaviour().engine;
        let Some(manifest) = engine.scheduler(&self.stream).unwrap().manifest() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for segment in manifest.segments() {
            let mut start = segment.start;
            for (number, part) in (0..).zip(segment.parts(0)) {
                if last.is_none_or(|last| (segment.msn, number) > last) {
                    found.push(((segment.msn, number), u64::from(part.size), start));
                }
                start += u64::from(part.duration);
            }
        }
        found
    }

    fn count_announced(&mut self) {
        let new = self.behind(self.edge);
        // What was there before it joined is not wanted.
        let bytes: u64 = match self.edge {
            Some(_) => new.iter().map(|(_, size, _)| size).sum(),
            None => 0,
        };
        self.edge = new.last().map(|(at, ..)| *at).or(self.edge);
        self.tell.send_modify(|seen| seen.announced += bytes);
    }

    /// A frame of playback, [`LATENCY`] behind what was announced last.
    fn play(&mut self) {
        let engine = &self.swarm.behaviour().engine;
        let scheduler = engine.scheduler(&self.stream).unwrap();
        let (counters, peers) = (scheduler.counters(), scheduler.peers().len());
        let clock = scheduler.manifest().map(|manifest| manifest.clock());
        self.tell.send_modify(|seen| {
            seen.counters = counters;
            seen.peers = peers;
        });
        let Some(micros) = clock.map(|clock| clock - LATENCY) else {
            return;
        };
        let due = self.behind(self.played);
        let due = due.into_iter().filter(|(_, _, start)| *start <= micros);
        let due: Vec<_> = due.collect();
        let engine = &self.swarm.behaviour().engine;
        let scheduler = engine.scheduler(&self.stream).unwrap();
        let missing = due.iter().filter(|((msn, part), ..)| {
            let place = Place {
                msn: *msn,
                part: *part,
                rendition: 0,
            };
            scheduler.part(place).is_none()
        });
        let missing = missing.count() as u64;
        // What was announced before it joined may be missing.
        let began = self.played.is_some();
        self.tell.send_modify(|seen| {
            if began {
                seen.late += missing;
            }
        });
        self.played = due.last().map(|(at, ..)| *at).or(self.played);
        let moving = true;
        self.input(Input::Playhead { micros, moving });
    }
}
