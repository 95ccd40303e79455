//! Nodes, links and the clock: a driver for many engines at once, and what it must never see one of them do.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

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
    trace::{Own, Trace},
    wire::{Wire, micros},
};
use crate::{
    key::SigningKey,
    message::{Message, Place},
    scheduler::{Counters, Input, Kind, Micros, Output, Role, Scheduler, Settings, random::Random},
};

mod association;
mod counts;
mod drive;
mod http;
mod joining;
mod members;

use association::Association;
pub use counts::Report;
use http::Answer;

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
        }
    }
}

enum Event {
    Wake(usize),
    Tick(usize),
    Ask(usize),
    Lie(usize),
    Publish,
    Link(usize, usize),
    Unlink(usize, usize),
    Feed(usize, Bytes),
    Message(usize, usize, Message),
    /// So many bytes are at a node's downlink; when they are through, the other happens.
    Down(usize, usize, Box<Event>),
    Uplink(usize),
    /// A part has left a node for another.
    Sent(usize, usize, Place, usize),
    /// Something happens on the way from one to another, where that is gone packet by packet.
    Path(usize, usize),
    /// A viewer at the uplink's other end: to, from, place, the part, how far it is here, hops so far.
    Slice(usize, usize, Place, Bytes, usize, u8),
    Fetched(usize, Place, Option<Bytes>, Micros, u64, usize),
    /// The gateway's HTTP was asked.
    Asked(Answer),
    /// It may answer the next.
    Answer,
    /// Something is at the narrow link; it may let the next through.
    AtTrunk(usize, Flow, Waiting<Event>),
    OverTrunk(usize),
}

/// One peer.
pub struct Node {
    /// Its libp2p name.
    pub id: PeerId,
    /// What is simulated: the very engine that runs in browsers and gateways.
    pub engine: Scheduler,
    /// Of a viewer.
    pub player: Option<Player>,
    /// Its way to everyone else.
    pub line: Line,
    lie: Option<Lie>,
    alive: bool,
    wire: Wire,
    /// By the other node's number, where ways are gone packet by packet.
    associations: BTreeMap<usize, Association>,
    links: BTreeSet<usize>,
    wakes: Micros,
    /// How often it wanted to be woken and was.
    pub woken: u64,
    fetching: BTreeMap<Place, u64>,
    connections: Connections,
    /// Whom its page is not ready to dial yet.
    held: Vec<usize>,
    /// Its site, where the network has any.
    pub(super) site: usize,
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
    /// In the order in which they were made; the gateway is the first.
    pub nodes: Vec<Node>,
    /// Bytes of all parts that were published.
    pub publisher_bytes: u64,
    /// Bytes of announcements that the gateway told.
    pub announced: u64,
    pub(super) scene: Scene,
    pub(super) random: Random,
    events: Queue<Event>,
    /// By the end of their names.
    numbers: HashMap<u64, usize>,
    trunk: Trunk<Event>,
    /// What HTTP was asked for and has not begun to give, and when the answer before has left the gateway.
    answers: VecDeque<Answer>,
    http_free: Micros,
    pub(super) trace: Option<Trace>,
    count: u64,
    publisher: Publisher,
    parts: BTreeMap<Place, Bytes>,
    up: bool,
    marked: (u64, u64, u64),
}

impl World {
    /// The gateway, node 0, publishes; nobody looks yet.
    pub fn new(scene: Scene) -> Self {
        let publisher = Publisher::new(&scene.rates).with_key_part(scene.key_part);
        let mut world = Self {
            now: 0,
            nodes: Vec::new(),
            publisher_bytes: 0,
            announced: 0,
            random: Random::new(scene.seed),
            events: Queue::new(),
            numbers: HashMap::new(),
            trunk: Trunk::default(),
            answers: VecDeque::new(),
            http_free: 0,
            trace: None,
            count: 0,
            publisher,
            parts: BTreeMap::new(),
            up: true,
            marked: (0, 0, 0),
            scene,
        };
        let line = world.scene.gateway;
        world.add(Role::Gateway, u32::MAX, line);
        world.place_gateway();
        world.at(PART, Event::Publish);
        world
    }

    /// Bytes of parts, and of messages, that crossed the narrow link.
    pub(super) fn crossed(&self) -> (u64, u64) {
        (self.trunk.crossed, self.trunk.said)
    }

    /// Nothing leaves the gateway for so long; then all of it does.
    pub fn silence(&mut self, micros: Micros) {
        let until = self.now + micros;
        self.nodes[0].wire.rest(until);
        self.http_free = self.http_free.max(until);
    }

    /// A viewer that the gateway pushed one of the newest parts to.
    pub(super) fn newest_seed(&self) -> Option<usize> {
        let newest = *self.parts.keys().next_back()?;
        let older = (0..newest.part.min(5))
            .rev()
            .map(|part| Place { part, ..newest });
        let places: Vec<Place> = older.collect();
        let is_seed = |node: &usize| {
            let node = &self.nodes[*node];
            node.alive && places.iter().any(|place| node.own.hops(*place) == 1)
        };
        (1..self.nodes.len()).find(is_seed)
    }

    /// The viewer's or operator's limit, bytes per second.
    pub fn upload(&mut self, node: usize, bytes_per_second: u32) {
        self.input(node, Input::Upload { bytes_per_second });
    }

    /// A player goes over to another rendition.
    pub fn switch(&mut self, node: usize, rendition: u8) {
        if let Some(player) = &mut self.nodes[node].player {
            player.switch(rendition);
        }
        let renditions = 1 << rendition;
        self.input(node, Input::Select { renditions });
    }

    /// Whether two nodes have a link.
    pub fn linked(&self, one: usize, other: usize) -> bool {
        self.nodes[one].links.contains(&other)
    }

    /// Whether it has not crashed or left.
    pub fn is_alive(&self, node: usize) -> bool {
        self.nodes[node].alive
    }

    /// Lets so much time pass.
    pub fn run(&mut self, micros: Micros) {
        let end = self.now + micros;
        while let Some((at, event)) = self.events.pop(end) {
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    fn at(&mut self, at: Micros, event: Event) {
        self.events.push(at, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(node) => {
                if self.nodes[node].wakes <= self.now {
                    self.nodes[node].wakes = 0;
                    self.nodes[node].woken += 1;
                    self.input(node, Input::Wake);
                }
            }
            Event::Tick(node) => {
                self.tick(node);
                let this = &self.nodes[node];
                let begun = this.player.as_ref().is_some_and(Player::has_begun);
                if this.alive {
                    let next = if begun { TOLD } else { TICK };
                    self.at(self.now + next, Event::Tick(node));
                }
            }
            Event::Ask(node) => self.tick(node),
            Event::Lie(node) => self.lie(node),
            Event::Publish => self.publish(),
            Event::Link(one, other) => self.link(one, other),
            Event::Unlink(node, gone) => {
                self.nodes[node].links.remove(&gone);
                self.nodes[node].wire.unlink(gone);
                self.nodes[node].associations.remove(&gone);
                let peer = self.nodes[gone].id;
                self.input(node, Input::Unlinked { peer });
            }
            Event::Feed(node, envelope) => {
                let taken = self.handle(node, Input::Envelope(&envelope));
                assert!(
                    matches!(taken, Ok(()) | Err(crate::manifest::Rejected::Gap { .. })),
                    "the page's own socket is honest: {taken:?}"
                );
            }
            Event::Message(to, from, message) => {
                if self.nodes[to].links.contains(&from) {
                    let peer = self.nodes[from].id;
                    self.input(to, Input::Message { peer, message });
                }
            }
            Event::Down(node, bytes, event) => {
                let line = self.nodes[node].line;
                let at = self.nodes[node].wire.taken_in(&line, self.now, bytes);
                self.at(at, *event);
            }
            Event::Uplink(node) => self.leave(node),
            Event::Path(from, to) => self.pass(from, to),
            Event::Sent(node, to, place, bytes) => {
                self.nodes[node].given += bytes as u64;
                if self.nodes[node].links.contains(&to) {
                    let peer = self.nodes[to].id;
                    self.input(node, Input::Sent { peer, place, bytes });
                }
            }
            Event::Slice(to, from, place, bytes, until, hops) => {
                self.arrive(to, from, place, bytes, until, hops)
            }
            Event::Asked(answer) => self.asked(answer),
            Event::Answer => self.answer(),
            Event::AtTrunk(way, flow, waiting) => self.at_trunk(way, flow, waiting),
            Event::OverTrunk(way) => self.over_trunk(way),
            Event::Fetched(node, place, bytes, since, token, connection) => {
                if bytes.is_some() {
                    self.nodes[node].connections.ends(connection, self.now);
                }
                if self.nodes[node].fetching.get(&place) == Some(&token) {
                    self.nodes[node].fetching.remove(&place);
                    let took = self.now - since;
                    self.input(node, Input::Fetched { place, bytes, took });
                }
            }
        }
    }
}

/// The last eight bytes of a name: to look at them is a fraction of looking at all.
fn end(id: &PeerId) -> u64 {
    let digest = id.as_ref().digest();
    let end = digest.iter().rev().take(8);
    end.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
