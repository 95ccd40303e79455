//! What happened since a moment that a scene chose.

use super::World;
use crate::scheduler::Counters;

/// What a viewer did since the mark.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// The engine's, less what they were at the mark.
    pub counters: Counters,
    /// Pauses of its player that it did not want.
    pub stalls: u32,
}

impl World {
    /// Counts from here.
    pub fn mark(&mut self) {
        let gateway = self.node(0);
        self.marked = (self.publisher_bytes, gateway.given, gateway.fetched);
        for node in 0..self.count() {
            let node = self.node_mut(node);
            node.marked = (
                node.engine.counters(),
                node.player.as_ref().map_or(0, |p| p.stalls.into()),
            );
        }
    }

    /// Copies of the stream that left the gateway since the mark: pushed, over HTTP.
    pub fn copies(&self) -> (f64, f64) {
        let stream = (self.publisher_bytes - self.marked.0) as f64;
        let pushed = (self.node(0).given - self.marked.1) as f64;
        let fetched = (self.node(0).fetched - self.marked.2) as f64;
        (pushed / stream, fetched / stream)
    }

    /// What a viewer did since the mark.
    pub fn report(&self, node: usize) -> Report {
        let node = self.node(node);
        let (now, then) = (node.engine.counters(), node.marked.0);
        Report {
            counters: Counters {
                bytes_from_peers: now.bytes_from_peers - then.bytes_from_peers,
                bytes_from_gateway: now.bytes_from_gateway - then.bytes_from_gateway,
                bytes_uploaded: now.bytes_uploaded - then.bytes_uploaded,
                parts_from_peers: now.parts_from_peers - then.parts_from_peers,
                parts_from_gateway: now.parts_from_gateway - then.parts_from_gateway,
                parts_rejected: now.parts_rejected - then.parts_rejected,
                bytes_held: now.bytes_held - then.bytes_held,
                parts_duplicate: now.parts_duplicate - then.parts_duplicate,
            },
            stalls: node.player.as_ref().map_or(0, |p| p.stalls) - node.marked.1 as u32,
        }
    }
}
