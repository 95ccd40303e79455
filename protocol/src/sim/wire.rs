//! What is between two nodes: a serial uplink, a serial downlink, delay, loss, and what a congestion control makes of it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::network::{Congestion, PACKET};
use crate::{
    message::Place,
    scheduler::{Micros, random::Random},
};

/// A part leaves in slices of so many bytes: what one SCTP message carries.
pub(super) const SLICE: usize = 16 * 1024;
/// A node's access to the network.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Bytes per second.
    pub up: f64,
    /// Bytes per second; infinite: it is never full.
    pub down: f64,
    /// To any other node, microseconds; where the network has sites, they count instead.
    pub delay: Micros,
    /// Share of the slices that are lost and sent again; where the network has a congestion control, of the packets.
    pub loss: f64,
}

impl Default for Line {
    /// A community network's better half: 16 and 40 Mbit/s, 5 ms.
    fn default() -> Self {
        Self {
            up: 2e6,
            down: 5e6,
            delay: 5_000,
            loss: 0.0,
        }
    }
}

/// A part that leaves.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) place: Place,
    pub(super) bytes: Bytes,
    pub(super) left: usize,
}

/// The way to one other node.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Parts for it, in order.
    pub(super) queue: VecDeque<Leaving>,
    /// Bytes of them that have not left.
    pub(super) waiting: usize,
    /// When the last part's bytes and the last message arrive: nothing overtakes them.
    last: [Micros; 2],
}

/// What a node sends and receives.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// By the other node's number.
    pub(super) flows: BTreeMap<usize, Flow>,
    /// Parts wait, in so many flows.
    pub(super) busy_flows: usize,
    /// Whether a slice is leaving, or one is awaited.
    pub(super) busy: bool,
    /// Who was served last.
    turn: usize,
    /// When the downlink has taken in all that was sent.
    down_free: Micros,
    /// When the uplink has let out the slice that leaves, messages, and what was sent again.
    owed: Micros,
    /// When it has let out the messages: they are packets between those of a slice.
    told: Micros,
}

impl Wire {
    /// The next node whose queue is to be served; `None` if there is nothing to send.
    pub(super) fn next(&mut self) -> Option<usize> {
        if self.busy_flows == 0 {
            return None;
        }
        let behind = self.flows.range(self.turn + 1..);
        let mut flows = behind.chain(self.flows.range(..=self.turn));
        let (node, _) = flows.find(|(_, flow)| !flow.queue.is_empty())?;
        self.turn = *node;
        Some(*node)
    }

    /// Whether a part waits for a node.
    pub(super) fn has_part(&self, to: usize) -> bool {
        let flow = self.flows.get(&to);
        flow.is_some_and(|flow| !flow.queue.is_empty())
    }

    pub(super) fn put(&mut self, to: usize, place: Place, bytes: Bytes) {
        let flow = self.flows.entry(to).or_default();
        if flow.queue.is_empty() {
            self.busy_flows += 1;
        }
        flow.waiting += bytes.len();
        flow.queue.push_back(Leaving {
            place,
            bytes,
            left: 0,
        });
    }

    /// The next slice, of `most` bytes, of what is to go to `to`: place, bytes, how far it goes, and its length.
    pub(super) fn take(&mut self, to: usize, most: usize) -> (Place, Bytes, usize, usize) {
        let flow = self.flows.get_mut(&to).expect("it has a part");
        let leaving = flow.queue.front_mut().expect("it has a part");
        let slice = most.min(leaving.bytes.len() - leaving.left);
        leaving.left += slice;
        flow.waiting -= slice;
        let taken = (leaving.place, leaving.bytes.clone(), leaving.left, slice);
        if leaving.left == leaving.bytes.len() {
            flow.queue.pop_front();
            if flow.queue.is_empty() {
                self.busy_flows -= 1;
            }
        }
        taken
    }

    /// A part that has not begun to leave is taken back.
    pub(super) fn unsend(&mut self, to: usize, place: Place) {
        if let Some(flow) = self.flows.get_mut(&to) {
            let had = !flow.queue.is_empty();
            let goes = |leaving: &Leaving| leaving.left == 0 && leaving.place == place;
            let gone = flow.queue.iter().filter(|leaving| goes(leaving));
            flow.waiting -= gone.map(|leaving| leaving.bytes.len()).sum::<usize>();
            flow.queue.retain(|leaving| !goes(leaving));
            if had && flow.queue.is_empty() {
                self.busy_flows -= 1;
            }
        }
    }

    pub(super) fn unlink(&mut self, to: usize) {
        if self.flows.remove(&to).is_some_and(|f| !f.queue.is_empty()) {
            self.busy_flows -= 1;
        }
    }

    /// When a message that is said now has left the uplink. Parts wait for it.
    pub(super) fn says(&mut self, now: Micros, bytes: usize, up: f64) -> Micros {
        self.leaves(now, bytes, up);
        self.told = self.told.max(now) + micros(bytes, up);
        self.told
    }

    /// When what is sent now has left the uplink, behind what it owes.
    pub(super) fn leaves(&mut self, now: Micros, bytes: usize, up: f64) -> Micros {
        self.owed = self.owed.max(now) + micros(bytes, up);
        self.owed
    }

    /// Nothing leaves until then.
    pub(super) fn rest(&mut self, until: Micros) {
        self.owed = self.owed.max(until);
        self.told = self.told.max(until);
    }

    /// When a message that leaves now is at the other end; `way`: microseconds to there.
    pub(super) fn message_arrives(
        &mut self,
        to: usize,
        leaves: Micros,
        way: Micros,
        (loss, congestion): (f64, Congestion),
        random: &mut Random,
    ) -> Micros {
        let flow = self.flows.entry(to).or_default();
        let mut at = leaves + way;
        while random.unit() < loss {
            at += match congestion {
                Congestion::Plain => 2 * way + 30_000,
                Congestion::OneRoundTrip | Congestion::Chromium => 2 * way,
            };
        }
        flow.last[1] = at.max(flow.last[1] + 1);
        flow.last[1]
    }

    /// A slice of `bytes` begins to leave: when the uplink is free again, and when it arrives.
    pub(super) fn slice_arrives(
        &mut self,
        to: usize,
        now: Micros,
        bytes: usize,
        line: &Line,
        (way, congestion): (Micros, Congestion),
        random: &mut Random,
    ) -> (Micros, Micros) {
        let left = self.leaves(now, bytes, line.up).max(now + 1);
        let flow = self.flows.entry(to).or_default();
        let packets = bytes.div_ceil(PACKET);
        let mut at = left + way;
        let mut again = 0;
        match congestion {
            Congestion::Plain => {
                while random.unit() < line.loss {
                    at += 2 * way + 30_000;
                }
            }
            Congestion::OneRoundTrip | Congestion::Chromium => {
                let mut lost = lost(packets, line.loss, random);
                while lost > 0 {
                    again += lost;
                    at += 2 * way;
                    lost = self::lost(lost, line.loss, random);
                }
            }
        }
        flow.last[0] = at.max(flow.last[0] + 1);
        let at = flow.last[0];
        if again > 0 {
            self.leaves(now, again * PACKET, line.up);
        }
        (self.owed.max(now + 1), at)
    }

    /// Forgets flows in which nothing is on its way.
    pub(super) fn forget_idle(&mut self, now: Micros) {
        let on_its_way = |flow: &Flow| flow.last.iter().any(|last| *last >= now);
        self.flows
            .retain(|_, flow| !flow.queue.is_empty() || on_its_way(flow));
    }

    /// When the downlink has taken in what arrives.
    pub(super) fn taken_in(&mut self, line: &Line, arrives: Micros, bytes: usize) -> Micros {
        self.down_free = arrives.max(self.down_free) + micros(bytes, line.down);
        self.down_free
    }
}

/// How many of so many packets are lost.
pub(super) fn lost(packets: usize, loss: f64, random: &mut Random) -> usize {
    if loss <= 0.0 {
        return 0;
    }
    (0..packets).filter(|_| random.unit() < loss).count()
}

/// How long so many bytes take.
pub(super) fn micros(bytes: usize, per_second: f64) -> Micros {
    (bytes as f64 / per_second * 1e6) as Micros
}
