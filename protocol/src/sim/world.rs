//! Nodes and the clock: a driver for many engines at once, and what it must never see one of them do.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::{Index, IndexMut},
};

use bytes::Bytes;
use libp2p_identity::PeerId;

pub use super::wire::Line;
use super::{
    checks,
    liar::{self, Lie},
    network::{Congestion, Connections, Flow, HTTP, MESSAGES, Network, PARTS, Trunk, Waiting},
    player::{Player, TOLD},
    publisher::{KEY_PART, PART, Publisher, START},
    queue::Queue,
    trace::{Calendar, Own, Trace},
    wire::{Wire, micros},
};
use crate::{
    key::SigningKey,
    message::{Message, Place},
    scheduler::{Counters, Input, Kind, Micros, Output, Role, Scheduler, Settings, random::Random},
};

mod association;
mod common;
mod counts;
mod drive;
mod http;
mod joining;
mod links;
mod members;
mod shard;
mod windows;

use association::Association;
pub(super) use common::Common;
pub use counts::Report;
use http::Answer;
use shard::{Driver, Event, Shard};

/// How long it takes until a connection to a node that vanished is given up.
const VANISHED: Micros = 5_000_000;
/// How often players look at what there is, before they have begun.
const TICK: Micros = 20_000;
/// How often liars lie.
const LIES: Micros = 100_000;

/// What a run begins with.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The same seed, the same run.
    pub seed: u64,
    /// Bits per second of each rendition.
    pub rates: Vec<u64>,
    /// How large the part with a key frame is, of the mean.
    pub key_part: f64,
    /// Whether the page's own socket brings announcements, too.
    pub feed: bool,
    /// The gateway's line; its HTTP has the same bandwidth once more.
    pub gateway: Line,
    /// What is between all nodes.
    pub network: Network,
    /// Links to other viewers that each viewer seeks.
    pub neighbours: usize,
    /// Bytes of parts that each viewer keeps.
    pub cache: usize,
    /// Whether viewers tell each other what is new.
    pub hushes: bool,
    /// Sites are dealt out to so many shards, each of which has a thread: see `windows`. More than one where there are sites,
    /// no narrow link, and hops are not gone packet by packet, as both ends have these at once.
    pub shards: usize,
}

impl Default for Scene {
    /// One rendition of 400 kbit/s.
    fn default() -> Self {
        Self {
            seed: 1,
            rates: vec![400_000],
            key_part: KEY_PART,
            feed: true,
            gateway: Line {
                up: 20e6,
                down: 20e6,
                delay: 5_000,
                loss: 0.0,
            },
            network: Network::default(),
            neighbours: 8,
            cache: 16 << 20,
            hushes: true,
            shards: 1,
        }
    }
}

/// One peer.
pub struct Node {
    /// What is simulated: the very engine that runs in browsers and gateways.
    pub engine: Scheduler,
    /// Of a viewer.
    pub player: Option<Player>,
    /// Its way to everyone else.
    pub line: Line,
    lie: Option<Lie>,
    wire: Wire,
    /// By the other node's number, where ways are gone packet by packet.
    associations: BTreeMap<usize, Association>,
    links: BTreeSet<usize>,
    wakes: Micros,
    /// How often it wanted to be woken and was.
    pub woken: u64,
    /// What it asks HTTP for: which attempt it is, and when its question is at the gateway.
    fetching: BTreeMap<Place, (u64, Micros)>,
    connections: Connections,
    /// Whom its page is not ready to dial yet.
    held: Vec<usize>,
    /// What it got when, where that is traced.
    pub(super) own: Own,
    heard: Vec<Bytes>,
    /// Whom it dropped for ever, when, and why.
    pub banned: Vec<(Micros, PeerId, &'static str)>,
    /// Fetches over HTTP that it began.
    pub fetches: u64,
    /// Bytes of parts that left it for peers.
    pub given: u64,
    /// Of the gateway: bytes that it gave over HTTP.
    pub fetched: u64,
    marked: (Counters, u64),
}

/// The whole.
pub struct World {
    /// Virtual time, microseconds since the beginning.
    pub now: Micros,
    /// Bytes of all parts that were published.
    pub publisher_bytes: u64,
    pub(super) common: Common,
    /// By number; the gateway is in the first.
    shards: Vec<Shard>,
    /// The shortest way between two of them.
    shortest: Micros,
    /// When the next part is published.
    publishes: Option<Micros>,
    marked: (u64, u64, u64),
}

impl World {
    /// The gateway, node 0, publishes; nobody looks yet.
    pub fn new(scene: Scene) -> Self {
        let (seed, line, of) = (scene.seed, scene.gateway, scene.shards.max(1));
        let common = Common::new(scene);
        let shards = (0..of).map(|number| {
            let seed = seed.wrapping_add((number as u64) << 32);
            Shard::new((number, of), seed)
        });
        let mut world = Self {
            now: 0,
            publisher_bytes: 0,
            shards: shards.collect(),
            shortest: if of > 1 {
                common.shortest()
            } else {
                Micros::MAX
            },
            publishes: Some(PART),
            marked: (0, 0, 0),
            common,
        };
        world.add(Role::Gateway, u32::MAX, 0, line);
        world.place_gateway();
        world
    }

    /// What came to whom and when is remembered from now on.
    pub(super) fn trace(&mut self) {
        self.common.calendar = Some(Calendar::new());
        for shard in &mut self.shards {
            shard.trace = Some(Trace::new());
        }
    }

    /// What came to whom since then.
    pub(super) fn traced(&self) -> Trace {
        let mut all = Trace::new();
        for trace in self.shards.iter().filter_map(|shard| shard.trace.as_ref()) {
            all.add(trace);
        }
        all
    }

    /// All that ever came, in the order in which they did; the gateway is the first.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        (0..self.count()).map(|node| self.node(node))
    }

    /// How many those are.
    pub fn count(&self) -> usize {
        self.common.addresses.len()
    }

    /// One of them.
    pub fn node(&self, node: usize) -> &Node {
        &self.shards[self.common.addresses[node].shard].nodes[node]
    }

    /// The same, to change it.
    pub fn node_mut(&mut self, node: usize) -> &mut Node {
        &mut self.shards[self.common.addresses[node].shard].nodes[node]
    }

    /// Its libp2p name.
    pub fn id(&self, node: usize) -> PeerId {
        self.common.addresses[node].id
    }

    /// Where what a node does is done.
    fn driver(&mut self, node: usize) -> Driver<'_> {
        self.shards[self.common.addresses[node].shard].driver(&self.common)
    }

    /// Bytes of announcements that the gateway told.
    pub fn announced(&self) -> u64 {
        self.shards[0].announced
    }

    /// Bytes of parts, and of messages, that crossed the narrow link.
    pub(super) fn crossed(&self) -> (u64, u64) {
        let trunk = &self.shards[0].trunk;
        (trunk.crossed, trunk.said)
    }

    /// Nothing leaves the gateway for so long; then all of it does.
    pub fn silence(&mut self, micros: Micros) {
        let until = self.now + micros;
        let shard = &mut self.shards[0];
        shard.nodes[0].wire.rest(until);
        shard.http_free = shard.http_free.max(until);
    }

    /// A viewer that the gateway pushed one of the newest parts to.
    pub(super) fn newest_seed(&self) -> Option<usize> {
        let newest = *self.common.parts.keys().next_back()?;
        let older = (0..newest.part.min(5))
            .rev()
            .map(|part| Place { part, ..newest });
        let places: Vec<Place> = older.collect();
        let is_seed = |node: &usize| {
            let own = &self.node(*node).own;
            self.is_alive(*node) && places.iter().any(|place| own.hops(*place) == 1)
        };
        (1..self.count()).find(is_seed)
    }

    /// The viewer's or operator's limit, bytes per second.
    pub fn upload(&mut self, node: usize, bytes_per_second: u32) {
        self.input(node, Input::Upload { bytes_per_second });
    }

    /// A player goes over to another rendition.
    pub fn switch(&mut self, node: usize, rendition: u8) {
        if let Some(player) = &mut self.node_mut(node).player {
            player.switch(rendition);
        }
        let renditions = 1 << rendition;
        self.input(node, Input::Select { renditions });
    }

    /// Whether two nodes have a link.
    pub fn linked(&self, one: usize, other: usize) -> bool {
        self.node(one).links.contains(&other)
    }

    /// Whether it has not crashed or left.
    pub fn is_alive(&self, node: usize) -> bool {
        self.common.addresses[node].alive
    }

    /// Lets so much time pass.
    pub fn run(&mut self, micros: Micros) {
        let end = self.now + micros;
        loop {
            let until = self.publishes.filter(|at| *at <= end);
            self.pass_until(until.unwrap_or(end));
            if until.is_none() {
                break;
            }
            self.publish();
        }
    }

    fn pass_until(&mut self, end: Micros) {
        if let [shard] = &mut self.shards[..] {
            shard.driver(&self.common).pass_until(end);
        } else {
            let time = (self.now, end);
            windows::pass(&mut self.shards, &self.common, time, self.shortest);
        }
        self.now = end;
    }

    fn publish(&mut self) {
        let published = self.common.publisher.publish(self.now);
        for (place, bytes) in published.parts {
            self.publisher_bytes += bytes.len() as u64;
            if let Some(calendar) = &mut self.common.calendar {
                calendar.published(place, self.now);
                // Thousands of parts: HTTP gives none that is older than a window.
                let kept = |kept: &Place| kept.msn + 30 > place.msn;
                self.common.parts.retain(|place, _| kept(place));
            }
            self.common.parts.insert(place, bytes.clone());
            self.input(0, Input::Published { place, bytes });
        }
        let envelope = published.envelope;
        if self.common.scene.feed {
            for node in 1..self.count() {
                let at = self.now + self.common.way(0, node);
                self.at(at, Event::Feed(node, envelope.clone()));
            }
        }
        let manifest = self.common.publisher.manifest.clone();
        let manifest = &manifest;
        self.input(0, Input::Announced { envelope, manifest });
        self.publishes = Some(self.now + PART);
    }

    fn at(&mut self, at: Micros, event: Event) {
        self.driver(event.node()).at(at, event);
    }

    fn input(&mut self, node: usize, input: Input<'_>) {
        self.driver(node).input(node, input);
    }
}
