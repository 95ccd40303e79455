//! A way that is gone packet by packet: what is given to it comes out at its other end, in order.

use super::*;
use crate::{
    channel::ahead::Ahead,
    sim::{
        network::MESSAGE,
        sctp::{STREAMS, Sctp},
    },
};

/// One direction between two nodes, and what is on its way.
pub(super) struct Association {
    sctp: Sctp,
    carried: [VecDeque<Event>; STREAMS],
    /// When it is to be asked next.
    planned: Micros,
    ahead: Ahead,
}

impl Driver<'_> {
    /// Something sets out: [`PARTS`] or [`MESSAGES`], so many bytes; when it is whole at the other end, the event happens.
    pub(super) fn give(&mut self, from: usize, to: usize, stream: u8, bytes: usize, event: Event) {
        let (now, way) = (self.shard.now, self.common.way(from, to));
        let Node {
            associations,
            wire,
            line,
            ..
        } = &mut self.shard.nodes[from];
        let association = associations.entry(to).or_insert_with(|| Association {
            sctp: Sctp::new(way, line.loss),
            carried: Default::default(),
            planned: 0,
            ahead: Ahead::default(),
        });
        let stream = usize::from(stream);
        association.carried[stream].push_back(event);
        let up = line.up;
        let mut uplink = |bytes| wire.leaves(now, bytes, up);
        (association.sctp).give(stream, bytes, now, &mut self.shard.random, &mut uplink);
        self.plan(from, to);
    }

    /// What is due on the way to a node.
    pub(super) fn pass(&mut self, from: usize, to: usize) {
        let now = self.shard.now;
        let is_there = self.common.addresses[to].alive;
        let Node {
            associations,
            wire,
            line,
            ..
        } = &mut self.shard.nodes[from];
        let Some(association) = associations.get_mut(&to).filter(|one| one.planned <= now) else {
            return;
        };
        association.planned = 0;
        if !is_there {
            association.sctp.cut();
        }
        let up = line.up;
        let mut uplink = |bytes| wire.leaves(now, bytes, up);
        association
            .sctp
            .pass(now, &mut self.shard.random, &mut uplink);
        let mut whole = Vec::new();
        for (stream, carried) in association.carried.iter_mut().enumerate() {
            let count = association.sctp.take_whole(stream);
            whole.extend(carried.drain(..count));
        }
        for event in whole {
            self.at(now, event);
        }
        self.plan(from, to);
        self.fill(from, to);
    }

    fn plan(&mut self, from: usize, to: usize) {
        let Some(association) = self.shard.nodes[from].associations.get_mut(&to) else {
            return;
        };
        let planned = association.planned;
        if let Some(at) = association.sctp.next_at()
            && (planned == 0 || at < planned)
        {
            association.planned = at;
            self.at(at, Event::Path(from, to));
        }
    }

    /// Messages of the parts that wait for a node are given to the way there, as long as a page would write on: a part has
    /// left for the engine when the browser has taken it.
    pub(super) fn fill(&mut self, from: usize, to: usize) {
        loop {
            let this = &mut self.shard.nodes[from];
            let (now, association) = (self.shard.now, this.associations.get_mut(&to));
            let has_room =
                association.is_none_or(|one| one.ahead.has_room(one.sctp.waiting(), now));
            if !has_room || !this.wire.has_part(to) {
                return;
            }
            let (place, bytes, until, slice) = this.wire.take(to, MESSAGE);
            let hops = this.own.hops(place);
            let size = bytes.len();
            self.give(
                from,
                to,
                PARTS,
                slice,
                Event::Slice(to, from, place, bytes, until, hops),
            );
            if let Some(one) = self.shard.nodes[from].associations.get_mut(&to) {
                one.ahead.wrote(slice, now);
            }
            if until == size {
                self.at(self.shard.now, Event::Sent(from, to, place, size));
            }
        }
    }
}
