//! A peer with its engine, and a stream that is published by hand.

use std::{
    future::poll_fn,
    sync::OnceLock,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{transport::MemoryTransport, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, yamux,
};
use libp2p_swarm::{Config, NetworkBehaviour, Swarm, SwarmEvent};

use super::super::{Behaviour, Event};
use crate::{
    dag,
    key::SigningKey,
    manifest::{self, Announcement, Manifest, News, Rendition, Tracks},
    message::Place,
    name::StreamName,
    scheduler::{Input, Micros, Output, Role, Scheduler, Settings},
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// 2026-11-22 09:00:00 UTC in microseconds.
const NINE: u64 = 1_795_338_000_000_000;

pub(super) fn now() -> Micros {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_micros() as Micros
}

/// Listens at once, on an address of this process.
pub(super) fn swarm<B: NetworkBehaviour>(behaviour: B, key: &Keypair) -> (Swarm<B>, Multiaddr) {
    let transport = MemoryTransport::default()
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(key).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let me = key.public().to_peer_id();
    let config = Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(5));
    let mut swarm = Swarm::new(transport, behaviour, me, config);
    let port = u64::from_le_bytes(*me.to_bytes().last_chunk().unwrap()) | 1;
    let address: Multiaddr = format!("/memory/{port}").parse().unwrap();
    swarm.listen_on(address.clone()).unwrap();
    (swarm, address.with(Protocol::P2p(me)))
}

pub(super) struct Node {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) me: PeerId,
    pub(super) address: Multiaddr,
    pub(super) stream: StreamName,
    /// What its engine gave to the player.
    pub(super) ready: Vec<Place>,
    /// A gateway's signed window.
    whole: Vec<u8>,
    /// Connections that ended.
    pub(super) closed: usize,
}

impl Node {
    pub(super) fn new(stream: &StreamName, role: Role) -> Self {
        let key = Keypair::generate_ed25519();
        let me = key.public().to_peer_id();
        let greets = matches!(role, Role::Viewer);
        let settings = Settings {
            cache_bytes: 8 << 20,
            neighbours: 4,
            upload: 10_000_000,
            reserve: 300_000,
            hushes: true,
        };
        let mut behaviour = Behaviour::new(now);
        let scheduler = Scheduler::new(me, stream.clone(), role, settings, 1);
        behaviour.open(stream.clone(), scheduler, greets);
        if greets {
            let select = Input::Select { renditions: 1 };
            behaviour.input(stream, select).unwrap();
        }
        let (swarm, address) = swarm(behaviour, &key);
        Self {
            swarm,
            me,
            address,
            stream: stream.clone(),
            ready: Vec::new(),
            whole: Vec::new(),
            closed: 0,
        }
    }

    pub(super) fn dial(&mut self, other: &Multiaddr) {
        let options = libp2p_swarm::dial_opts::DialOpts::unknown_peer_id().address(other.clone());
        self.swarm.dial(options.build()).unwrap();
    }

    pub(super) fn engine(&mut self) -> &mut Behaviour {
        self.swarm.behaviour_mut()
    }

    /// A gateway that this viewer knows, and is connected to.
    pub(super) fn join(&mut self, gateway: &Node) {
        self.engine().gateway(gateway.me);
        self.dial(&gateway.address);
    }

    pub(super) fn scheduler(&self) -> &Scheduler {
        self.swarm.behaviour().scheduler(&self.stream).unwrap()
    }

    pub(super) fn is_linked(&self, other: PeerId) -> bool {
        self.scheduler().peers().iter().any(|one| one.peer == other)
    }

    /// What a gateway's HTTP gives: the part as it was published.
    fn over_http(&self, place: Place) -> Bytes {
        let manifest = self.scheduler().manifest().unwrap();
        let parts = manifest.segment(place.msn).unwrap().parts(0);
        body(
            place.msn,
            place.part,
            parts[place.part as usize].size as usize,
        )
    }

    fn happened(&mut self, event: SwarmEvent<Event>) {
        match event {
            SwarmEvent::ConnectionClosed { .. } => self.closed += 1,
            SwarmEvent::Behaviour(Event::Output { output, .. }) => match output {
                Output::Ready { place } => self.ready.push(place),
                Output::Fetch { place } => {
                    let bytes = self.over_http(place);
                    let fetched = Input::Fetched {
                        place,
                        bytes: Some(bytes),
                        took: 1000,
                    };
                    let stream = self.stream.clone();
                    self.engine().input(&stream, fetched).unwrap();
                }
                Output::Sign if !self.whole.is_empty() => {
                    let (stream, whole) = (self.stream.clone(), self.whole.clone());
                    let signed = Input::Envelope(&whole);
                    self.engine().input(&stream, signed).unwrap();
                }
                _ => {}
            },
            _ => {}
        }
    }
}

/// Runs all until something is true.
pub(super) async fn until(
    nodes: &mut [&mut Node],
    what: &str,
    mut is_true: impl FnMut(&mut [&mut Node]) -> bool,
) {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    let run = poll_fn(|cx| {
        loop {
            let mut idle = true;
            for node in nodes.iter_mut() {
                while let Poll::Ready(Some(event)) = node.swarm.poll_next_unpin(cx) {
                    node.happened(event);
                    idle = false;
                }
            }
            if is_true(nodes) {
                return Poll::Ready(());
            }
            if idle && look.poll_tick(cx).is_pending() {
                return Poll::Pending;
            }
        }
    });
    let done = tokio::time::timeout(PATIENCE, run).await;
    done.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Publishes a first part, and runs all until the viewers, all but the first, know the window: what is in it when they
/// join they do not want.
pub(super) async fn has_window(publisher: &mut Publisher, nodes: &mut [&mut Node]) {
    publisher.publish(nodes[0], 1000);
    let sequence = publisher.manifest.sequence();
    until(nodes, "all know the window", |nodes| {
        nodes[1..].iter().all(|viewer| {
            let manifest = viewer.scheduler().manifest();
            manifest.is_some_and(|manifest| manifest.sequence() == sequence)
        })
    })
    .await;
}

/// Runs all for a while.
pub(super) async fn for_a_while(nodes: &mut [&mut Node], while_: Duration) {
    let end = Instant::now() + while_;
    until(nodes, "the time passes", |_| Instant::now() >= end).await;
}

/// One rendition with video, in segments of ten parts.
pub(super) struct Publisher {
    key: SigningKey,
    manifest: Manifest,
    next: (u64, u32),
    /// Of the segment that is open.
    leaves: Vec<(crate::Cid, u64)>,
}

impl Publisher {
    pub(super) fn new(secret: u8) -> Self {
        let mut manifest = Manifest::new(manifest::Settings::default());
        manifest.begin_epoch(1_795_338_000, NINE);
        Self {
            key: SigningKey::from_secret([secret; 32]),
            manifest,
            next: (100, 0),
            leaves: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> StreamName {
        self.key.name()
    }

    /// Announces one more part, of `size` bytes, at the gateway.
    pub(super) fn publish(&mut self, gateway: &mut Node, size: usize) -> Place {
        let (msn, part) = self.next;
        let mut news = Vec::new();
        if self.manifest.sequence() == 0 {
            news.push(News::Rendition(rendition()));
            news.push(News::Init {
                rendition: 0,
                number: 0,
                cid: dag::cid_of(b"init"),
                size: 4,
            });
        }
        if part == 0 {
            news.push(News::Segment {
                msn,
                start: NINE + (msn - 100) * 2_000_000,
                discontinuity: false,
                init: 0,
            });
        }
        let bytes = body(msn, part, size);
        news.push(News::Part {
            rendition: 0,
            msn,
            part,
            cid: dag::cid_of(&bytes),
            size: size as u32,
            duration: 200_000,
            independent: part == 0,
        });
        self.leaves.push((dag::cid_of(&bytes), size as u64));
        self.next = (msn, part + 1);
        if part == 9 {
            let (cid, _) = dag::segment_file(&std::mem::take(&mut self.leaves));
            news.push(News::Closed {
                rendition: 0,
                msn,
                cid,
            });
            self.next = (msn + 1, 0);
        }
        let sequence = self.manifest.sequence() + 1;
        let announcement = Announcement {
            epoch: self.manifest.epoch(),
            sequence,
            clock: NINE + sequence * 200_000,
            news,
        };
        self.manifest.apply(&announcement).unwrap();
        let envelope = Bytes::from(manifest::sign_announcement(&self.key, &announcement));
        let place = Place {
            msn,
            part,
            rendition: 0,
        };
        let stream = self.name();
        let published = Input::Published { place, bytes };
        gateway.engine().input(&stream, published).unwrap();
        let announced = Input::Announced {
            envelope,
            manifest: &self.manifest,
        };
        gateway.engine().input(&stream, announced).unwrap();
        gateway.whole = manifest::sign_manifest(&self.key, &self.manifest);
        place
    }
}

/// A part's bytes: other ones for each.
pub(super) fn body(msn: u64, part: u32, size: usize) -> Bytes {
    let seed = (msn * 16 + u64::from(part)).to_le_bytes();
    seed.iter().cycle().take(size).copied().collect()
}

fn rendition() -> Rendition {
    Rendition {
        id: "source".into(),
        tracks: Tracks::Both,
        codecs: "avc1.64001f,mp4a.40.2".into(),
        bandwidth: 400_000,
        width: 320,
        height: 180,
        frame_rate: 30_000,
        part_target: 200_000,
    }
}
