//! What is between two nodes: a serial uplink, a serial downlink, delay, and loss as more delay.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

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
    /// Bytes per second.
    pub down: f64,
    /// To any other node, microseconds.
    pub delay: Micros,
    /// Share of the slices that are lost and sent again.
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

/// What a node sends and receives.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// Parts for each other node, in order.
    pub(super) queues: BTreeMap<usize, VecDeque<Leaving>>,
    /// Whether a slice is leaving.
    pub(super) busy: bool,
    /// Who was served last.
    turn: usize,
    /// When the downlink has taken in all that was sent.
    down_free: Micros,
    /// When the last of a stream to another node arrives: nothing overtakes it.
    last: BTreeMap<(usize, bool), Micros>,
}

impl Wire {
    /// The next node whose queue is to be served.
    pub(super) fn next(&mut self) -> Option<usize> {
        let waiting =
            |(node, queue): (&usize, &VecDeque<Leaving>)| (!queue.is_empty()).then_some(*node);
        let next = self.queues.range(self.turn + 1..).find_map(waiting);
        let next = next.or_else(|| self.queues.iter().find_map(waiting))?;
        self.turn = next;
        Some(next)
    }

    /// A part that has not begun to leave is taken back.
    pub(super) fn unsend(&mut self, to: usize, place: Place) {
        if let Some(queue) = self.queues.get_mut(&to) {
            queue.retain(|leaving| leaving.left > 0 || leaving.place != place);
        }
    }

    pub(super) fn unlink(&mut self, to: usize) {
        self.queues.remove(&to);
        self.last.remove(&(to, true));
        self.last.remove(&(to, false));
    }

    /// When something that leaves now is at the other end of a stream.
    pub(super) fn arrival(
        &mut self,
        line: &Line,
        to: usize,
        control: bool,
        leaves: Micros,
        random: &mut Random,
    ) -> Micros {
        let mut at = leaves + line.delay;
        while random.unit() < line.loss {
            at += 2 * line.delay + 30_000;
        }
        let last = self.last.entry((to, control)).or_default();
        *last = at.max(*last + 1);
        *last
    }

    /// When the downlink has taken in what arrives.
    pub(super) fn taken_in(&mut self, line: &Line, arrives: Micros, bytes: usize) -> Micros {
        self.down_free = arrives.max(self.down_free) + micros(bytes, line.down);
        self.down_free
    }
}

/// How long so many bytes take.
pub(super) fn micros(bytes: usize, per_second: f64) -> Micros {
    (bytes as f64 / per_second * 1e6) as Micros
}
