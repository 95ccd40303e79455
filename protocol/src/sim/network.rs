//! What is between all nodes: sites and how far they are from each other, a narrow link, HTTP with its connections.

use super::wire::{lost, micros};
use crate::scheduler::{Micros, random::Random};

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
    /// A window halves at each loss and grows by a packet in a round trip, as SCTP's in Chromium.
    NewReno,
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

    fn crosses(&self, one: usize, other: usize) -> bool {
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

/// The narrow link's two ways, and what crossed it.
#[derive(Debug, Default)]
pub(super) struct Trunk {
    free: [Micros; 2],
    /// Bytes of parts.
    pub(super) crossed: u64,
}

impl Trunk {
    /// When what arrives there is through.
    pub(super) fn through(
        &mut self,
        sites: &Sites,
        from: usize,
        to: usize,
        at: Micros,
        bytes: usize,
    ) -> Micros {
        let Some(rate) = sites.trunk.filter(|_| sites.crosses(from, to)) else {
            return at;
        };
        self.crossed += bytes as u64;
        let free = &mut self.free[usize::from(from == 0)];
        *free = at.max(*free) + micros(bytes, rate);
        *free
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
        let mut missing = lost(packets, loss, random).0;
        while missing > 0 {
            trips += 1;
            missing = lost(missing, loss, random).0;
        }
        (trips, at)
    }

    pub(super) fn ends(&mut self, connection: usize, at: Micros) {
        self.free[connection] = at;
    }
}
