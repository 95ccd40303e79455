//! What is between all nodes: sites and how far they are from each other, a narrow link, HTTP with its connections.

use std::collections::{BTreeMap, VecDeque};

use super::wire::{lost, micros};
use crate::scheduler::{Micros, random::Random};

/// Bytes of a message on a data channel: what our streams put into one.
pub(super) const MESSAGE: usize = 16 * 1024;
/// Bytes of media in a packet.
pub(super) const PACKET: usize = 1200;
/// Packets that a TCP connection sends at first, and after it rested (RFC 6928).
const FIRST_FLIGHT: usize = 10;
/// Nobody is nearer to anyone than this, and nobody farther: microseconds there and back.
const ROUND_TRIPS: (f64, f64) = (5_000.0, 80_000.0);

/// What a stream over a hop does about loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congestion {
    /// A lost slice comes a round trip and 30 ms later; nothing limits the rate.
    Plain,
    /// A hop recovers its losses in one round trip; nothing limits the rate.
    OneRoundTrip,
    /// Packet by packet what Chromium's SCTP does: see `sctp`.
    Chromium,
}

/// Where nodes are. Nodes of a site are near each other.
#[derive(Clone, Debug)]
pub struct Sites {
    /// On a square whose diagonal is the longest way, each 0 to 1.
    pub at: Vec<(f64, f64)>,
    /// Bytes per second of the one link between the first site and all others, each way.
    pub trunk: Option<f64>,
}

impl Sites {
    /// So many, anywhere.
    pub(super) fn draw(count: usize, random: &mut Random) -> Self {
        let mut place = || (random.unit(), random.unit());
        Self {
            at: (0..count).map(|_| place()).collect(),
            trunk: None,
        }
    }

    /// There and back, microseconds.
    pub fn round_trip(&self, one: usize, other: usize) -> Micros {
        if one == other {
            return ROUND_TRIPS.0 as Micros;
        }
        let (a, b) = (self.at[one], self.at[other]);
        let far = ((a.0 - b.0).powi(2) + (a.1 - b.1).powi(2)).sqrt() / 2f64.sqrt();
        (2.0 * ROUND_TRIPS.0 + far * (ROUND_TRIPS.1 - 2.0 * ROUND_TRIPS.0)) as Micros
    }

    /// Whether the narrow link lies between.
    pub(super) fn crosses(&self, one: usize, other: usize) -> bool {
        self.trunk.is_some() && (one == 0) != (other == 0)
    }
}

/// What all nodes share.
#[derive(Clone, Debug)]
pub struct Network {
    /// Of each hop.
    pub congestion: Congestion,
    /// Bytes of a part that leave at a time.
    pub slice: usize,
    /// None: each node's line says how far it is.
    pub sites: Option<Sites>,
    /// Whether the gateway's HTTP gives parts.
    pub http: bool,
    /// Whether messages are read back from their bytes, to see that they can be: it takes time.
    pub exact: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            congestion: Congestion::Plain,
            slice: super::wire::SLICE,
            sites: None,
            http: true,
            exact: true,
        }
    }
}

/// What waits at the narrow link.
#[derive(Debug)]
pub(super) struct Waiting<E> {
    pub(super) bytes: usize,
    /// From its other end to where it goes, microseconds.
    pub(super) way: Micros,
    pub(super) event: Box<E>,
}

/// Who sends to whom, and what: parts, messages, HTTP.
pub(super) type Flow = (usize, usize, u8);

/// The narrow link's two ways, and what crossed it. As routers do (fq_codel), it serves flows by turns, and messages first.
#[derive(Debug)]
pub(super) struct Trunk<E> {
    ways: [Way<E>; 2],
    /// Bytes of parts, and of messages.
    pub(super) crossed: u64,
    pub(super) said: u64,
}

#[derive(Debug)]
struct Way<E> {
    flows: BTreeMap<Flow, VecDeque<Waiting<E>>>,
    turn: Flow,
    busy: bool,
    /// When the last of each flow arrives: nothing overtakes it.
    last: BTreeMap<Flow, Micros>,
}

/// The class of a [`Flow`] that is served first.
pub(super) const MESSAGES: u8 = 0;
pub(super) const PARTS: u8 = 1;
pub(super) const HTTP: u8 = 2;

impl<E> Default for Trunk<E> {
    fn default() -> Self {
        let way = || Way {
            flows: BTreeMap::new(),
            turn: (0, 0, 0),
            busy: false,
            last: BTreeMap::new(),
        };
        Self {
            ways: [way(), way()],
            crossed: 0,
            said: 0,
        }
    }
}

impl<E> Trunk<E> {
    /// Something is there; true if the link was idle.
    pub(super) fn put(&mut self, way: usize, flow: Flow, waiting: Waiting<E>) -> bool {
        let way = &mut self.ways[way];
        way.flows.entry(flow).or_default().push_back(waiting);
        !std::mem::replace(&mut way.busy, true)
    }

    /// The next sets out: when the link is free again, when it arrives, and what. What is not `wanted` any more does not.
    pub(super) fn next(
        &mut self,
        (way, now): (usize, Micros),
        rate: f64,
        wanted: impl Fn(&E) -> bool,
    ) -> Option<(Micros, Micros, Box<E>)> {
        for queue in self.ways[way].flows.values_mut() {
            queue.retain(|waiting| wanted(&waiting.event));
        }
        self.ways[way].flows.retain(|_, queue| !queue.is_empty());
        let way = &mut self.ways[way];
        let behind = |flow: &&Flow| **flow > way.turn;
        let first = way.flows.keys().find(|flow| flow.2 == MESSAGES);
        let next = first.or_else(|| way.flows.keys().find(behind));
        let Some(flow) = next.or_else(|| way.flows.keys().next()).copied() else {
            way.busy = false;
            return None;
        };
        let queue = way.flows.get_mut(&flow).expect("it was found");
        let waiting = queue.pop_front().expect("empty ones are removed");
        if queue.is_empty() {
            way.flows.remove(&flow);
        }
        if flow.2 != MESSAGES {
            way.turn = flow;
        }
        let sum = if flow.2 == MESSAGES {
            &mut self.said
        } else {
            &mut self.crossed
        };
        *sum += waiting.bytes as u64;
        let free = now + micros(waiting.bytes, rate).max(1);
        let last = way.last.entry(flow).or_default();
        *last = (free + waiting.way).max(*last + 1);
        Some((free, *last, waiting.event))
    }
}

/// A viewer's connections to the gateway's HTTP.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// When each is free again.
    free: Vec<Micros>,
}

impl Connections {
    /// Round trips until an answer of `bytes` is whole: set-up where none is open, the question, the flights of a
    /// connection that begins slowly, and what was lost.
    pub(super) fn round_trips(
        &mut self,
        now: Micros,
        bytes: usize,
        loss: f64,
        random: &mut Random,
    ) -> (u64, usize) {
        let open = self.free.iter().position(|free| *free <= now);
        let at = open.unwrap_or_else(|| {
            self.free.push(Micros::MAX);
            self.free.len() - 1
        });
        self.free[at] = Micros::MAX;
        let mut trips = 1 + u64::from(open.is_none());
        let packets = bytes.div_ceil(1460);
        let mut flight = FIRST_FLIGHT;
        let mut sent = flight;
        while sent < packets {
            trips += 1;
            flight *= 2;
            sent += flight;
        }
        let mut missing = lost(packets, loss, random);
        while missing > 0 {
            trips += 1;
            missing = lost(missing, loss, random);
        }
        (trips, at)
    }

    pub(super) fn ends(&mut self, connection: usize, at: Micros) {
        self.free[connection] = at;
    }
}
