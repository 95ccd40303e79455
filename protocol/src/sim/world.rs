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

mod counts;
mod drive;
mod http;

pub use counts::Report;
use http::Answer;

/// How long it takes until a connection to a node that vanished is given up.
const VANISHED: Micros = 5_000_000;
/// Time to make a connection, signalling included.
const DIALLED: Micros = 400_000;
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
    links: BTreeSet<usize>,
    wakes: Micros,
    /// How often it wanted to be woken and was.
    pub woken: u64,
    fetching: BTreeMap<Place, u64>,
    connections: Connections,
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
    pub(super) scene: Scene,
    pub(super) random: Random,
    events: Queue<Event>,
    numbers: HashMap<PeerId, usize>,
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

    fn add(&mut self, role: Role, upload: u32, line: Line) -> usize {
        let number = self.nodes.len();
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&(number as u64 + 1000).to_le_bytes());
        let key = SigningKey::from_secret(secret).to_protobuf();
        let pair = libp2p_identity::Keypair::from_protobuf_encoding(&key).expect("a key");
        let id = pair.public().to_peer_id();
        let engine = self.engine(id, role, upload);
        self.nodes.push(Node {
            id,
            engine,
            player: None,
            line,
            lie: None,
            alive: true,
            wire: Wire::default(),
            links: BTreeSet::new(),
            wakes: 0,
            woken: 0,
            fetching: BTreeMap::new(),
            connections: Connections::default(),
            site: 0,
            own: Own::new(self.now),
            heard: Vec::new(),
            banned: Vec::new(),
            fetches: 0,
            given: 0,
            fetched: 0,
            marked: Default::default(),
        });
        self.numbers.insert(id, number);
        number
    }

    fn engine(&mut self, id: PeerId, role: Role, upload: u32) -> Scheduler {
        let settings = Settings {
            cache_bytes: self.scene.cache,
            neighbours: self.scene.neighbours,
            upload,
            reserve: 300_000,
        };
        let name = self.publisher.key().name();
        Scheduler::new(id, name, role, settings, self.random.next()).checked_by(checks::shared())
    }

    /// A viewer opens the page: its player starts at once, its peer beside it.
    pub fn join(&mut self, upload: u32, line: Line) -> usize {
        self.join_with(upload, line, Player::new(0, 1_600_000))
    }

    /// The same with a player of the scene's own.
    pub fn join_with(&mut self, upload: u32, line: Line, player: Player) -> usize {
        self.join_at(0, upload, line, player)
    }

    /// The same at a site of the network's.
    pub fn join_at(&mut self, site: usize, upload: u32, line: Line, player: Player) -> usize {
        let node = self.add(Role::Viewer, upload, line);
        self.nodes[node].site = site;
        let rendition = player.rendition;
        self.nodes[node].player = Some(player);
        if self.has_trunk() {
            let mine = site as u32 + 1;
            self.input(node, Input::Site { mine, gateway: 1 });
        }
        self.input(
            node,
            Input::Select {
                renditions: 1 << rendition,
            },
        );
        let whole = self.publisher.signed();
        let late = 2 * self.way(node, 0) + 20_000;
        self.at(self.now + late, Event::Feed(node, whole));
        self.at(self.now + TICK, Event::Tick(node));
        if self.up {
            self.at(self.now + DIALLED, Event::Link(node, 0));
        }
        node
    }

    /// Bytes of parts, and of messages, that crossed the narrow link.
    pub(super) fn crossed(&self) -> (u64, u64) {
        (self.trunk.crossed, self.trunk.said)
    }

    /// The gateway is at the first site.
    fn place_gateway(&mut self) {
        if self.has_trunk() {
            let (mine, gateway) = (1, 1);
            self.input(0, Input::Site { mine, gateway });
        }
    }

    /// Whether sites are worth a name: where something narrow lies between them.
    fn has_trunk(&self) -> bool {
        let sites = self.scene.network.sites.as_ref();
        sites.is_some_and(|sites| sites.trunk.is_some())
    }

    /// A node lies from now on.
    pub fn lies(&mut self, node: usize, lie: Lie) {
        self.nodes[node].lie = Some(lie);
        self.at(self.now + LIES, Event::Lie(node));
    }

    /// A node vanishes without a word.
    pub fn crash(&mut self, node: usize) {
        self.ends(node, VANISHED);
    }

    /// A node goes, and its connections end with it: a tab is closed.
    pub fn leave_for_good(&mut self, node: usize) {
        self.ends(node, 0);
    }

    fn ends(&mut self, node: usize, noticed: Micros) {
        self.nodes[node].alive = false;
        let links = std::mem::take(&mut self.nodes[node].links);
        for other in links {
            let late = noticed + self.way(node, other);
            self.at(self.now + late, Event::Unlink(other, node));
        }
        self.nodes[node].wire = Wire::default();
        if self.trace.is_some() {
            // Thousands come and go: what those who went knew is not kept.
            let id = self.nodes[node].id;
            let upload = 0;
            self.nodes[node].own.left = Some((self.now, self.nodes[node].engine.counters()));
            self.nodes[node].engine = self.engine(id, Role::Viewer, upload);
        }
    }

    /// The gateway is killed: its connections end with it.
    pub fn kill_gateway(&mut self) {
        self.up = false;
        self.nodes[0].alive = false;
        let links = std::mem::take(&mut self.nodes[0].links);
        for other in links {
            self.at(self.now + 10_000, Event::Unlink(other, 0));
        }
    }

    /// It returns, and goes on with what it had; viewers come back by themselves.
    pub fn start_gateway(&mut self) {
        self.up = true;
        self.publisher.restart(self.now);
        let id = self.nodes[0].id;
        let engine = self.engine(id, Role::Gateway, u32::MAX);
        let gateway = &mut self.nodes[0];
        gateway.engine = engine;
        gateway.wire = Wire::default();
        gateway.alive = true;
        gateway.wakes = 0;
        self.place_gateway();
        for node in 1..self.nodes.len() {
            let back = 200_000 + self.random.below(1_500_000) as u64;
            self.at(self.now + back, Event::Link(node, 0));
            if self.scene.feed {
                let whole = self.publisher.signed();
                self.at(self.now + back, Event::Feed(node, whole));
            }
        }
        self.at(self.now + PART, Event::Publish);
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
