//! What arrives: parts from peers and over HTTP. Their bytes are checked here, before anyone sees them.

use bytes::Bytes;
use cid::Cid;
use libp2p_identity::PeerId;

use super::{Micros, Output, Scheduler, peers::Coming};
use crate::{
    manifest::PartEntry,
    message::{Message, Place},
    part::MAX_PART_BYTES,
    sorted::SortedMap,
};

/// Parts that came before their announcement: of one peer, and bytes of all together.
const MAX_EARLY: usize = 4;
const MAX_EARLY_BYTES: usize = 4 * MAX_PART_BYTES;
/// Parts that nobody wanted, at places of no window, for which a peer is dropped.
const STRIKES: u32 = 2;

/// Who a part came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Its driver had it.
    Own,
    Http,
    Peer(PeerId),
}

/// Parts that came before their announcement, by place: nothing is believed of them.
#[derive(Debug, Default)]
pub(super) struct Early {
    parts: SortedMap<Place, (PeerId, Bytes)>,
}

impl Early {
    /// False if there is no room for it.
    fn keep(&mut self, place: Place, peer: PeerId, part: Bytes) -> bool {
        let of_peer = self.parts.values().filter(|(from, _)| *from == peer);
        let bytes: usize = self.parts.values().map(|(_, part)| part.len()).sum();
        if of_peer.count() >= MAX_EARLY || bytes + part.len() > MAX_EARLY_BYTES {
            return false;
        }
        self.parts.or_insert_with(place, || (peer, part));
        true
    }

    fn take(&mut self, is_due: impl Fn(Place) -> bool) -> Vec<(Place, PeerId, Bytes)> {
        let due: Vec<_> = self.parts.keys().copied().filter(|p| is_due(*p)).collect();
        due.into_iter()
            .filter_map(|place| {
                let (peer, part) = self.parts.remove(&place)?;
                Some((place, peer, part))
            })
            .collect()
    }
}

impl Scheduler {
    /// Bytes of a part are flowing in.
    pub(super) fn progressed(&mut self, id: PeerId, place: Place, bytes: usize) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        match &mut peer.coming {
            Some(coming) if coming.place == place => {
                let more = bytes.saturating_sub(coming.last.1);
                coming.last = (now, bytes.max(coming.last.1));
                self.estimate.flowed(more, now);
            }
            coming => {
                *coming = Some(Coming {
                    place,
                    first: (now, bytes),
                    last: (now, bytes),
                });
                self.estimate.flow_began(id, now);
                self.demand.touch(place);
            }
        }
    }

    /// A part is here, from a peer.
    pub(super) fn arrived(&mut self, id: PeerId, place: Place, bytes: Bytes) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let wanted = self.demand.wanted.get(&place);
        let asked = wanted.and_then(|wanted| wanted.asked);
        let since = wanted.map(|wanted| asked.map_or(wanted.since, |asked| asked.at));
        let asked = asked.filter(|asked| asked.peer == id);
        match peer.coming.take().filter(|coming| coming.place == place) {
            Some(coming) if coming.last.1 > coming.first.1 => {
                let micros = now.saturating_sub(coming.first.0);
                peer.measure_in(bytes.len().saturating_sub(coming.first.1), micros);
                self.estimate
                    .flowed(bytes.len().saturating_sub(coming.last.1), now);
            }
            _ => {
                self.estimate.came(bytes.len());
                if let Some(asked) = asked {
                    peer.measure_in(bytes.len(), now.saturating_sub(asked.at));
                }
            }
        }
        self.estimate.flow_ended(id, now);
        let Some(entry) = self.window.part(place).copied() else {
            return self.arrived_nowhere(id, place, bytes);
        };
        if let Some(known) = self.cache.get(place) {
            if *known != bytes {
                self.counters.parts_rejected += 1;
                return self.ban(id, "it sent a part whose bytes are not what was announced");
            }
            self.counters.parts_duplicate += 1;
            return self.acknowledge(id, place);
        }
        if bytes.len() != entry.size as usize || !(self.checks.verify)(&entry.cid, &bytes) {
            self.counters.parts_rejected += 1;
            return self.ban(id, "it sent a part whose bytes are not what was announced");
        }
        if asked.is_some()
            && let Some(peer) = self.peers.get_mut(&id)
        {
            peer.answered(true);
        }
        if let Some(since) = since {
            if asked.is_none() {
                self.usual.took(now.saturating_sub(since));
            }
            self.estimate.landed(since, bytes.len(), now);
        }
        self.take_in(place, entry.cid, bytes, Source::Peer(id));
    }

    /// A part came at a place that the window does not hold.
    fn arrived_nowhere(&mut self, id: PeerId, place: Place, bytes: Bytes) {
        if self.window.is_ahead(place) {
            self.hints_at(id, place);
            if self.early.keep(place, id, bytes) || self.waits_for_news() {
                return;
            }
        }
        // Who has missed what was announced cannot tell what is of no use. Nor can who has just joined: a gateway gives an
        // older window and what was announced since, and its parts come on a way of their own.
        let is_gateway = self.peers.get(&id).is_some_and(|peer| !peer.is_viewer());
        if self.window.needs_manifest() || is_gateway {
            return;
        }
        let behind = self
            .window
            .range()
            .is_some_and(|(first, _)| place.msn < first);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        // It may have been on its way while the window moved on.
        if behind && peer.has.remove(&place) {
            return;
        }
        // Between two who have just been linked one may be far ahead: the other is about to be told what lies between. So may
        // anyone, as far as that leads, while this one is told announcement by announcement what came behind an older window.
        let is_untold = peer.is_new(self.now) && !self.silence.heard_since(peer.since);
        let catches_up = self.silence.catches_up(self.now) && self.window.may_reach(place);
        if !behind && (is_untold || catches_up) {
            return;
        }
        peer.strikes += 1;
        if peer.strikes >= STRIKES {
            self.ban(id, "it sent parts that nobody wants");
        }
    }

    /// Looks again at parts that came before their announcement.
    pub(super) fn take_early(&mut self) {
        let window = &self.window;
        let due = |place| window.part(place).is_some() || !window.is_ahead(place);
        for (place, peer, bytes) in self.early.take(due) {
            self.arrived(peer, place, bytes);
        }
    }

    /// What HTTP gave, or not.
    pub(super) fn fetched(&mut self, place: Place, bytes: Option<Bytes>, took: Micros) {
        let now = self.now;
        let size = bytes.as_ref().map(Bytes::len);
        self.estimate.fetch_ended(place, size, now);
        self.demand.touch_all();
        let entry = self.window.part(place).copied();
        if let (Some(bytes), Some(entry)) = (bytes, entry) {
            self.http.answered(took);
            self.crossed(took, true);
            if bytes.len() == entry.size as usize && (self.checks.verify)(&entry.cid, &bytes) {
                if self.cache.holds(place) {
                    self.counters.parts_duplicate += 1;
                } else {
                    let since = now.saturating_sub(took);
                    self.estimate.landed(since, bytes.len(), now);
                    self.take_in(place, entry.cid, bytes, Source::Http);
                }
                return;
            }
            self.counters.parts_rejected += 1;
        } else if entry.is_some() {
            self.http.failed(now);
        }
        if let Some(wanted) = self.demand.wanted.get_mut(&place)
            && wanted.fetch.take().is_some()
        {
            wanted.refetch = now + 200_000;
        }
    }

    /// The driver had it: nobody else need give it.
    pub(super) fn held(&mut self, place: Place, bytes: Bytes) {
        let entry = self.window.part(place).copied();
        let is_it = |entry: &PartEntry| {
            bytes.len() == entry.size as usize && (self.checks.verify)(&entry.cid, &bytes)
        };
        if let Some(entry) = entry.filter(is_it)
            && !self.cache.holds(place)
        {
            self.take_in(place, entry.cid, bytes, Source::Own);
        }
    }

    /// Verified bytes: for the player, for those who wait for them, and for the cache.
    fn take_in(&mut self, place: Place, cid: Cid, bytes: Bytes, source: Source) {
        let from_viewer = match source {
            Source::Own | Source::Http => false,
            Source::Peer(id) => self.peers.get_mut(&id).is_some_and(|peer| {
                peer.bytes_in += bytes.len() as u64;
                peer.is_viewer()
            }),
        };
        let counters = &mut self.counters;
        let (parts, sum) = if from_viewer {
            (
                &mut counters.parts_from_peers,
                &mut counters.bytes_from_peers,
            )
        } else {
            (
                &mut counters.parts_from_gateway,
                &mut counters.bytes_from_gateway,
            )
        };
        if source != Source::Own {
            *parts += 1;
            *sum += bytes.len() as u64;
        }
        self.cache.insert(place, cid, bytes);
        let asked = self.release(place).map(|asked| Source::Peer(asked.peer));
        if let Some(Source::Peer(other)) = asked.filter(|asked| *asked != source) {
            self.send(other, Message::Cancel(vec![place]));
        }
        if let Some(wanted) = self.demand.wanted.remove(&place) {
            self.came(&wanted);
            if source != Source::Http {
                self.stopped(place, &wanted);
            }
        }
        self.outputs.push_back(Output::Ready { place });
        self.pass_on(
            place,
            source,
            matches!(source, Source::Peer(_)) && asked != Some(source),
        );
    }
}

#[cfg(test)]
mod tests;
